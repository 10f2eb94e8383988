/* SPDX-License-Identifier: MIT
 *
 * Several hosts: the table of those that are named, and the life of their agents as a whole. What
 * they are told is in artrun_tell.c, what they say in artrun_hear.c, how they end in artrun_gone.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun_hosts.h"

#define FILE_MAX (4u << 20)
#define END_NS (8 * ART_NS_PER_S)

/* ---- the table of hosts ---- */
static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text = NULL;

	if (!f || fstat(fileno(f), &st))
		art__run_die("cannot read the host file '%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		art__run_die("the host file '%s' is a directory", path);
	text = malloc(FILE_MAX);
	if (!text)
		art__run_die("out of memory");
	*len = fread(text, 1, FILE_MAX, f);
	if (ferror(f) || *len == FILE_MAX)
		art__run_die("cannot read the host file '%s', or it is too long", path);
	fclose(f);
	return text;
}

/* What is there as a file, or looks like the name of one, is a file. */
static void read_table(struct run_job *j, struct art_hosts *table)
{
	const char *arg = j->opts.hosts;
	bool file = strchr(arg, '/') || access(arg, F_OK) == 0;
	size_t len = strlen(arg);
	char *text = file ? read_file(arg, &len) : NULL;
	char why[200];

	table->max = ART_HOSTS_MAX;
	table->host = calloc(table->max, sizeof(*table->host));
	if (!table->host)
		art__run_die("out of memory");
	if (file ? art__hosts_parse(text, len, table, why, sizeof(why)) :
	    art__hosts_parse_list(arg, len, table, why, sizeof(why)))
		art__run_die("%s '%s': %s", file ? "host file" : "--hosts", arg, why);
	free(text);
}

void art__hosts_more(struct run_job *j)
{
	struct run_hosts *t = j->hosts;

	while (t->next < t->table.n && t->starting < RUN_STARTING_MAX && !t->closing) {
		struct run_host *h = &t->host[t->next++];

		h->state = RUN_H_STARTING;
		t->starting++;
		art__hosts_expect(h, RUN_ASKS_STARTING);
		art__rsh_start(j, h);
	}
}

void art__hosts_open(struct run_job *j)
{
	struct run_hosts *t = calloc(1, sizeof(*t));

	if (!t)
		art__run_die("out of memory");
	j->hosts = t;
	read_table(j, &t->table);
	t->host = calloc(t->table.n, sizeof(*t->host));
	if (!t->host)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++) {
		struct run_host *h = &t->host[i];

		h->name = t->table.host[i].name;
		h->slots = t->table.host[i].slots;
		h->pidfd = h->to = h->from = h->words = -1;
	}
	art__hosts_more(j);
	art__hosts_ask(j);
}

bool art__hosts_awaited(const struct run_job *j)
{
	return j->hosts && !j->hosts->placed && j->end_code < 0;
}

const char *art__hosts_name(const struct run_job *j, const struct run_rank *r)
{
	static char text[ART_HOST_NAME_MAX + 8];

	if (!j->hosts)
		return "";
	snprintf(text, sizeof(text), "host %s, ", j->hosts->host[r->host].name);
	return text;
}

void art__hosts_event(struct run_job *j, enum run_event ev, uint32_t host)
{
	struct run_host *h = j->hosts ? &j->hosts->host[host] : NULL;

	if (!h || h->state == RUN_H_GONE)
		return;
	switch (ev) {
	case RUN_EV_HOST_SAYS:
		/* At its end the process will follow, which says why. */
		if (h->from >= 0 && !art__hosts_read(j, h) && h->from >= 0) {
			close(h->from);
			h->from = -1;
			art__hosts_shut_input(h);
		}
		break;
	case RUN_EV_HOST_ROOM:
		art__hosts_flush_one(j, h);
		break;
	case RUN_EV_HOST_WORDS:
		art__rsh_words(j, h);
		break;
	default:
		art__hosts_ended(j, h);
		break;
	}
}

void art__hosts_close(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	uint64_t end = art__run_now() + END_NS;

	if (!t)
		return;
	t->closing = true;
	j->ask_at = 0;
	art__run_feed_close(j);
	for (size_t i = 0; i < t->table.n; i++) {
		art__hosts_flush_one(j, &t->host[i]);
		art__hosts_shut_input(&t->host[i]);
		if (t->host[i].state == RUN_H_STARTING) /* it may wait for a network that is not there */
			kill(t->host[i].pid, SIGTERM);
	}
	t->gone += t->table.n - t->next; /* never started */
	j->tick_at = end;
	while (t->gone < t->table.n && art__run_now() < end && !art__run_passed(j->flush_by)) {
		j->tick_at = end;
		art__run_round(j);
	}
	for (size_t i = 0; i < t->table.n; i++)
		if (t->host[i].pid > 0 && t->host[i].state != RUN_H_GONE) {
			art__run_say(j, "the agent on host %s does not end; leaving it", t->host[i].name);
			kill(t->host[i].pid, SIGKILL);
		}
	for (int i = 0; i < 2 * j->n; i++)
		art__run_stream_end(j, &j->rank[i / 2].out[i % 2]);
}

void art__hosts_free(struct run_job *j)
{
	struct run_hosts *t = j->hosts;

	for (size_t i = 0; t && i < t->table.n; i++) {
		if (t->host[i].pid > 0)
			waitpid(t->host[i].pid, NULL, WNOHANG);
		art__run_buf_free(&t->host[i].in);
		art__run_buf_free(&t->host[i].out);
		art__run_buf_free(&t->host[i].said);
	}
	if (t) {
		free(t->host);
		free(t->table.host);
	}
	free(t);
	j->hosts = NULL;
}
