/* SPDX-License-Identifier: MIT
 *
 * When all agents have greeted: which rank sits where, and the START message that tells each agent
 * so. With it go the program, the variables and the address that others reach its host at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/set.h"
#include "launch/artrun_hosts.h"

extern char **environ;

static void add_string(struct run_buf *b, const char *s)
{
	art__run_buf_add(b, s, strlen(s) + 1);
}

/* What the user has said for ART, and by name. What is artrun's own to say is not passed on. */
static bool passed_on(const char *variable)
{
	static const char *const own[] = { "ART_LAUNCH_FD=", "ART_RANK=", "ART_SIZE=", "ART_CORES=",
					   "ART_CPU=",
					   "ART_ROOT=", "ART_KEY_FILE=", "ART_RSH=" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(variable, own[i], strlen(own[i])) == 0)
			return false;
	return strncmp(variable, "ART_", 4) == 0;
}

static bool is_loopback(const char *address)
{
	return address[0] == '\0' || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* The address others reach @h at: the one artrun came in by; here, the one that another host saw
 * artrun come from; else the agent looks which of its addresses leads to another host. */
static void choose_interface(const struct run_job *j, const struct run_host *h, const char **iface,
			     const char **toward)
{
	const struct run_hosts *t = j->hosts;

	*iface = *toward = "";
	if (t->local)
		return;
	if (!is_loopback(h->hello.server)) {
		*iface = h->hello.server;
		return;
	}
	for (size_t i = 0; i < t->table.n; i++) {
		const struct run_host *o = &t->host[i];
		const char *at = strrchr(o->name, '@');

		if (o->number == h->number)
			continue;
		if (art__rsh_is_here(h->name) && !is_loopback(o->hello.client))
			*iface = o->hello.client;
		else
			*toward = at ? at + 1 : o->name;
		return;
	}
}

static void send_start(struct run_job *j, struct run_host *h, const char *directory)
{
	struct art_agent_start s = { .job = j->id, .size = (uint32_t)j->n,
				     .bind = (uint32_t)j->opts.bind, .verbose = j->opts.verbose };
	uint32_t me = (uint32_t)(h - j->hosts->host);
	const char *iface, *toward;
	struct art_agent_head head;
	struct run_buf b = { 0 };

	choose_interface(j, h, &iface, &toward);
	memcpy(s.key, j->key, sizeof(s.key));
	for (uint32_t i = 0; i < (uint32_t)j->n; i++)
		if (j->rank[i].host == me) {
			art__run_buf_add(&b, (const char *)&i, sizeof(i));
			j->rank[i].nth = (int)s.mine++;
			j->rank[i].dead = false;
			j->alive++;
		}
	add_string(&b, directory);
	add_string(&b, getenv("ART_IFACE") ? "" : iface);
	add_string(&b, getenv("ART_IFACE") ? "" : toward);
	for (char **a = j->opts.argv; *a; a++, s.argc++)
		add_string(&b, *a);
	for (char **e = environ; *e; e++)
		if (passed_on(*e)) {
			add_string(&b, *e);
			s.envc++;
		}
	for (int i = 0; i < j->opts.exports; i++, s.envc++)
		add_string(&b, j->opts.export[i]);
	if (sizeof(s) + b.tail > ART_AGENT_LEN_MAX)
		art__run_die("the arguments and variables of the program are too long");
	h->state = RUN_H_RUNNING;
	art__hosts_expect(h, RUN_ASKS_STARTING);
	head = art__agent_head(ART_AGENT_START, -1, sizeof(s) + b.tail);
	art__run_buf_add(&h->out, (const char *)&head, sizeof(head));
	art__run_buf_add(&h->out, (const char *)&s, sizeof(s));
	art__run_buf_add(&h->out, b.data, b.tail);
	explicit_bzero(&s, sizeof(s));
	art__run_buf_free(&b);
}

/* Names that lead to one host get one number. */
static void number_hosts(struct run_hosts *t)
{
	struct art_host_id *id = calloc(t->table.n, sizeof(*id));
	int *number = calloc(t->table.n, sizeof(*number));

	if (!id || !number)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++)
		id[i] = t->host[i].hello.id;
	t->local = art__host_id_number(id, t->table.n, number) == 1;
	for (size_t i = 0; i < t->table.n; i++)
		t->host[i].number = number[i];
	free(number);
	free(id);
}

static void place(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	uint32_t *slots = calloc(t->table.n, sizeof(*slots)), *at;
	uint64_t sum = 0;

	if (!slots)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++) {
		slots[i] = t->host[i].slots ? t->host[i].slots : t->host[i].hello.cores;
		slots[i] = slots[i] ? slots[i] : 1;
		sum += slots[i];
	}
	if (!j->opts.ranks && sum > ART_MAX_RANKS)
		art__run_die("the hosts have %llu slots, a job has at most %u ranks; -n says how many",
			     (unsigned long long)sum, ART_MAX_RANKS);
	art__run_ranks(j, j->opts.ranks ? j->opts.ranks : (int)sum);
	at = calloc((size_t)j->n, sizeof(*at));
	if (!at)
		art__run_die("out of memory");
	art__hosts_place(slots, t->table.n, j->opts.map, (uint32_t)j->n, at);
	for (int i = 0; i < j->n; i++)
		j->rank[i].host = at[i];
	free(at);
	free(slots);
}

void art__hosts_start(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	char *here = j->opts.directory ? realpath(j->opts.directory, NULL) : getcwd(NULL, 0);
	const char *directory = here ? here : j->opts.directory ? j->opts.directory : "/";

	number_hosts(t);
	place(j);
	t->placed = true;
	for (size_t i = 0; i < t->table.n; i++)
		send_start(j, &t->host[i], directory);
	free(here);
	art__run_feed_remote(j);
}
