/* SPDX-License-Identifier: MIT
 *
 * A rank that speaks to its launcher through boot.h alone, so that artrun can be tested without
 * the engine. Usage: boot_probe [RANK:STAGE:ACTION]...
 *   RANK    a number, or '*' for every rank
 *   STAGE   start (before art__boot_open), open (after it),
 *           table (after the exchange), done (after art__boot_finalized)
 *   ACTION  kill (by SIGKILL), stop (by SIGSTOP), pause (for ever), exit=CODE, abort=CODE,
 *           reopen (art__boot_open a second time), garbage (on the socket), say (a line on stdout)
 * Prints one line per rank and exits 0 if everything was as it must be; 3 if the exchange was
 * refused with ART_ERR_PROC_FAILED, 4 with another code, 5 if something was not as it must be.
 */
#include <art/status.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch/boot.h"

static void __attribute__((noreturn)) bad(const char *what)
{
	fprintf(stderr, "boot_probe: %s\n", what);
	exit(5);
}

static void reopen(const struct art_boot *b)
{
	struct art_boot again = { .wait_ns = 1 };
	char number[16];

	snprintf(number, sizeof(number), "%d", b->fd);
	setenv("ART_LAUNCH_FD", number, 1);
	if (art__boot_open(&again) != ART_ERR_EVICTED)
		bad("a place was given twice");
}

static void act(struct art_boot *b, const char *action)
{
	if (strcmp(action, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(action, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(action, "pause") == 0)
		for (;;)
			pause();
	else if (strncmp(action, "exit=", 5) == 0)
		exit(atoi(action + 5));
	else if (strncmp(action, "abort=", 6) == 0)
		art__boot_abort(b, atoi(action + 6));
	else if (strcmp(action, "reopen") == 0)
		reopen(b);
	else if (strcmp(action, "garbage") == 0)
		send(b->fd, "garbage that is no message", 26, MSG_NOSIGNAL);
	else if (strcmp(action, "say") == 0)
		printf("said\n");
	else
		bad("unknown action");
	fflush(stdout);
}

static void stage(struct art_boot *b, char **argv, const char *name)
{
	const char *env = getenv("ART_RANK");
	int rank = env ? atoi(env) : 0;

	for (int i = 1; argv[i]; i++) {
		const char *at = strchr(argv[i], ':');
		size_t len = strlen(name);

		if (!at || strncmp(at + 1, name, len) != 0 || at[1 + len] != ':')
			continue;
		if (argv[i][0] == '*' || atoi(argv[i]) == rank)
			act(b, at + 1 + len + 1);
	}
}

static void check_open(const struct art_boot *b)
{
	const char *rank = getenv("ART_RANK"), *size = getenv("ART_SIZE");

	if (getenv("ART_LAUNCH_FD"))
		bad("ART_LAUNCH_FD is still set");
	if (b->fd >= 0 && !(fcntl(b->fd, F_GETFD) & FD_CLOEXEC))
		bad("the launch socket is not close-on-exec");
	if (b->fd >= 0 && (!rank || !size || atoi(rank) != b->rank || atoi(size) != b->size))
		bad("ART_RANK or ART_SIZE is wrong");
	if (b->fd < 0 && (b->size != 1 || b->rank != 0))
		bad("not a job of one");
}

static void check_table(const struct art_boot *b, const struct art_boot_card *all)
{
	char want[ART_TP_ADDR_MAX];

	for (int i = 0; i < b->size; i++) {
		snprintf(want, sizeof(want), "data of %d", i);
		if (strcmp(all[i].addr[0], want) != 0)
			bad("a data address is wrong");
		snprintf(want, sizeof(want), "control of %d", i);
		if (strcmp(all[i].addr[1], want) != 0)
			bad("a control address is wrong");
		if (all[i].incarnation != 7000u + (unsigned)i ||
		    all[i].host != 0 || all[i].pid <= 1)
			bad("a card is wrong");
	}
	if (all[b->rank].pid != getpid())
		bad("my own pid is wrong");
}

static unsigned long key_sum(const struct art_boot *b)
{
	unsigned long sum = (unsigned long)b->job;

	for (size_t i = 0; i < sizeof(b->key); i++)
		sum = sum * 1099511628211ul + b->key[i];
	return sum;
}

int main(int argc, char **argv)
{
	struct art_boot b = { .fd = -1 };
	struct art_boot_card mine = { 0 }, *all;
	int err;

	(void)argc;
	stage(&b, argv, "start");
	err = art__boot_open(&b);
	if (err) {
		printf("open %d\n", err);
		return 4;
	}
	check_open(&b);
	stage(&b, argv, "open");
	snprintf(mine.addr[0], sizeof(mine.addr[0]), "data of %d", b.rank);
	snprintf(mine.addr[1], sizeof(mine.addr[1]), "control of %d", b.rank);
	mine.incarnation = 7000u + (unsigned)b.rank;
	mine.pid = getpid();
	all = calloc((size_t)b.size, sizeof(*all));
	if (!all)
		bad("no memory");
	err = art__boot_exchange(&b, &mine, all);
	if (err) {
		printf("exchange %d\n", err);
		free(all);
		art__boot_close(&b);
		return err == ART_ERR_PROC_FAILED ? 3 : 4;
	}
	check_table(&b, all);
	free(all);
	printf("rank %d of %d, key %lx\n", b.rank, b.size, key_sum(&b));
	fflush(stdout);
	stage(&b, argv, "table");
	if (art__boot_finalized(&b))
		bad("art__boot_finalized failed");
	stage(&b, argv, "done");
	art__boot_close(&b);
	return 0;
}
