/* SPDX-License-Identifier: MIT
 *
 * The end of an agent. It proves nothing about its ranks (rule R7), and neither does the end of the
 * connection to it: artrun says so and stays for the others. Only where a guard has seen all its ranks
 * end are these certified dead.
 *
 * What carries the connection may never end by itself: a host without power, an agent that is
 * stopped. Agents are therefore asked every few seconds, and one that does not answer is given up,
 * so that artrun ends when the others have.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun_hosts.h"

void art__hosts_shut_input(struct run_host *h)
{
	if (h->to >= 0)
		close(h->to);
	h->to = -1;
	h->room = false;
	art__run_buf_free(&h->out);
}

static bool is_left(const struct run_job *j, const struct run_host *h, int rank)
{
	return art__hosts_host(j, &j->rank[rank]) == h && !j->rank[rank].dead;
}

/* Their ends were seen on their own host, if not by the agent: that proves them. */
static void certify_ranks(struct run_job *j, struct run_host *h)
{
	for (int i = 0; i < j->n; i++) {
		struct run_rank *r = &j->rank[i];

		if (!is_left(j, h, i))
			continue;
		r->dead = true;
		r->sig = SIGKILL;
		r->code = 128 + SIGKILL;
		j->alive--;
		if (r->card)
			art__hosts_certify(j, r);
		art__run_judge(j, r);
	}
}

/* Nobody can tell: it may be the connection that was lost. */
static void lose_ranks(struct run_job *j, struct run_host *h, const char *why)
{
	char list[120] = "";
	size_t len = 0;
	int lost = 0;

	for (int i = 0; i < j->n; i++) {
		if (!is_left(j, h, i))
			continue;
		lost++;
		if (len + 16 < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, " %d", i);
	}
	if (lost && j->end_code < 0)
		art__run_say(j, "lost the agent on host %s: %s; nobody here can tell what became of "
			     "rank%s%s%s, the others go on if they are a quorum", h->name, why,
			     lost == 1 ? "" : "s", list, len + 16 < sizeof(list) ? "" : " ...");
	for (int i = 0; i < j->n; i++) {
		if (!is_left(j, h, i))
			continue;
		j->rank[i].dead = true;
		j->rank[i].lost = true;
		j->alive--;
		art__run_boot_gone(j, &j->rank[i]);
	}
}

void art__hosts_gone(struct run_job *j, struct run_host *h, const char *why, bool witnessed)
{
	enum run_host_state was = h->state;

	if (was == RUN_H_GONE)
		return;
	art__hosts_shut_input(h);
	if (h->from >= 0)
		close(h->from);
	if (h->words >= 0)
		close(h->words);
	if (h->pidfd >= 0)
		close(h->pidfd);
	h->from = h->words = h->pidfd = -1;
	h->state = RUN_H_GONE;
	j->hosts->gone++;
	j->hosts->starting -= was == RUN_H_STARTING;
	if (j->hosts->placed && witnessed) {
		if (j->end_code < 0)
			art__run_say(j, "the agent on host %s is gone, and its ranks with it: %s", h->name,
				     why);
		certify_ranks(j, h);
		return;
	}
	if (j->hosts->placed) {
		lose_ranks(j, h, why);
		return;
	}
	if (j->end_code >= 0 || j->hosts->closing)
		return;
	art__run_say(j, "host %s: %s; nothing was started", h->name, why);
	art__run_end(j, RUN_EXIT_SELF, SIGKILL, 0);
}

/* What it had written comes first. */
void art__hosts_ended(struct run_job *j, struct run_host *h)
{
	char why[400];
	bool witnessed;

	while (h->state != RUN_H_GONE && h->from >= 0) {
		struct pollfd p = { .fd = h->from, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0 || !art__hosts_read(j, h))
			break;
	}
	if (h->state == RUN_H_GONE)
		return;
	witnessed = art__rsh_ended(j, h, why, sizeof(why));
	art__hosts_gone(j, h, why, witnessed);
}

/* ---- silence ---- */
void art__hosts_expect(struct run_host *h, int asks)
{
	h->heard = true;
	h->unanswered = 0;
	h->patience = asks;
}

static void give_up(struct run_job *j, struct run_host *h)
{
	char why[64];

	snprintf(why, sizeof(why), "it has said nothing for %d s", h->unanswered * RUN_ASK_S);
	kill(h->pid, SIGKILL);
	art__hosts_gone(j, h, why, false);
}

/* Asks are counted, not seconds: artrun itself may have been stopped in between. */
void art__hosts_ask(struct run_job *j)
{
	j->ask_at = art__run_now() + RUN_ASK_S * ART_NS_PER_S;
	for (size_t i = 0; i < j->hosts->table.n; i++) {
		struct run_host *h = &j->hosts->host[i];

		if (h->state != RUN_H_STARTING && h->state != RUN_H_RUNNING)
			continue;
		h->unanswered = h->heard ? 0 : h->unanswered + 1;
		h->heard = false;
		if (h->unanswered >= h->patience)
			give_up(j, h);
	}
	art__hosts_look(j);
}
