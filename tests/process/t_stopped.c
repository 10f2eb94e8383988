/* SPDX-License-Identifier: MIT
 *
 * Description: one rank of a job (stopped.sh starts it) of which rank 3
 *
 *	t_stopped stop DIR    stops itself (SIGSTOP): the others finish without it within the bound, and
 *	                      when it is sent SIGCONT it is told that it was evicted
 *	t_stopped busy MS     computes for MS milliseconds without a call: the others wait for it
 */
#include <art/art.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { VICTIM = 3, RANKS = 64, WARM = 50, WAIT_S = 60 };

static int rank, size;

static void fail(const char *what, int code)
{
	fprintf(stderr, "FAIL t_stopped: rank %d: %s (%d, %s)\n", rank, what, code, art_strerror(code));
	_exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void sum(uint64_t *v, size_t n, art_op_t op)
{
	int rc = art_allreduce(ART_IN_PLACE, v, n, ART_UINT64, op, ART_COMM_WORLD);

	if (rc)
		fail("allreduce", rc);
}

static int contributors(void)
{
	art_status_t st;
	int n = 0, rc = art_last_status(ART_COMM_WORLD, &st);

	if (!rc)
		rc = art_status_contributors(&st, &n);
	if (rc)
		fail("status", rc);
	return n;
}

/* In a file, which is there when all of it is: nobody else than the victim knows when it stopped. */
static void write_number(const char *path, uint64_t number)
{
	char part[4096];
	FILE *f;

	snprintf(part, sizeof(part), "%s.part", path);
	f = fopen(part, "w");
	if (!f || fprintf(f, "%llu\n", (unsigned long long)number) < 0 || fclose(f) || rename(part, path))
		fail("cannot write a file", 0);
}

static uint64_t read_number(const char *path)
{
	unsigned long long number = 0;
	FILE *f = fopen(path, "r");

	if (!f || fscanf(f, "%llu", &number) != 1 || fclose(f))
		fail("cannot read a file", 0);
	return number;
}

/* Nothing of a rank that was evicted has any effect, and it is told. All that it needs for one more
 * operation may lie in its sockets since before: not for two. */
static void be_evicted(const char *flag, const char *when)
{
	uint64_t v = 1;
	int rc = 0;

	write_number(when, now_ms());
	raise(SIGSTOP);
	for (int i = 0; i < 2 && !rc; i++)
		rc = art_allreduce(ART_IN_PLACE, &v, 1, ART_UINT64, ART_SUM, ART_COMM_WORLD);
	if (rc != ART_ERR_EVICTED)
		fail("it was stopped beyond the bound and is told", rc);
	write_number(flag, 1);
	_exit(0);
}

static void await_file(const char *path)
{
	uint64_t end = now_ms() + WAIT_S * 1000;

	while (access(path, F_OK)) {
		if (now_ms() > end)
			fail("the evicted rank was not told", 0);
		poll(NULL, 0, 2);
	}
}

static void with_stop(const char *flag)
{
	uint64_t pids[RANKS] = { 0 }, v, t;
	char when[4096];

	snprintf(when, sizeof(when), "%s.when", flag);
	pids[rank] = (uint64_t)getpid();
	sum(pids, RANKS, ART_SUM);
	if (rank == VICTIM)
		be_evicted(flag, when);
	v = UINT64_C(1) << rank;
	sum(&v, 1, ART_SUM);
	t = now_ms();
	if (contributors() != size - 1 || v != ((UINT64_C(1) << size) - 1 - (1u << VICTIM)))
		fail("the result is not that of the others", 0);
	sum(&t, 1, ART_MAX);
	if (rank == 0) {
		printf("slowest %llu ms\n", (unsigned long long)(t - read_number(when)));
		kill((pid_t)pids[VICTIM], SIGCONT);
		await_file(flag);
	}
	art_barrier(ART_COMM_WORLD);
}

static void with_busy(uint64_t ms)
{
	uint64_t v = 1, end = now_ms() + ms;

	while (rank == VICTIM && now_ms() < end)
		;
	sum(&v, 1, ART_SUM);
	if (v != (uint64_t)size || contributors() != size)
		fail("a rank that computed was left out", 0);
	if (rank == 0)
		printf("all waited\n");
}

int main(int argc, char **argv)
{
	uint64_t v = 1;
	int rc = art_init(&argc, &argv);

	if (rc || argc != 3)
		fail("art_init, or usage", rc);
	art_comm_rank(ART_COMM_WORLD, &rank);
	art_comm_size(ART_COMM_WORLD, &size);
	if (size <= VICTIM || size > 60)
		fail("size", 0);
	for (int i = 0; i < WARM; i++, v = 1)
		sum(&v, 1, ART_SUM);
	if (strcmp(argv[1], "stop") == 0)
		with_stop(argv[2]);
	else
		with_busy(strtoull(argv[2], NULL, 10));
	rc = art_finalize();
	if (rc)
		fail("finalize", rc);
	return 0;
}
