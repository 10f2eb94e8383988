/* SPDX-License-Identifier: MIT
 *
 * What artrun says to the agents. Nothing here waits: what a pipe has no room for stays in the
 * buffer of its host.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "launch/artrun_hosts.h"
#include "launch/boot_wire.h"

void art__hosts_flush_one(struct run_job *j, struct run_host *h)
{
	bool more;

	while (h->to >= 0 && h->out.head < h->out.tail) {
		ssize_t n = write(h->to, h->out.data + h->out.head, h->out.tail - h->out.head);

		if (n >= 0)
			h->out.head += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			h->out.head = h->out.tail; /* nobody reads it; the process's end says more */
	}
	more = h->to >= 0 && h->out.head < h->out.tail;
	if (more != h->room && h->to >= 0)
		art__run_epoll(j, more ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, h->to, EPOLLOUT,
			       RUN_EV_HOST_ROOM, (int)(h - j->hosts->host));
	h->room = more;
}

static void tell(struct run_host *h, enum art_agent_kind kind, int rank, const void *body, size_t len)
{
	struct art_agent_head head = art__agent_head(kind, rank, len);

	if (h->to < 0 || h->state != RUN_H_RUNNING)
		return;
	art__run_buf_add(&h->out, (const char *)&head, sizeof(head));
	if (len)
		art__run_buf_add(&h->out, body, len);
}

static void tell_all(struct run_job *j, enum art_agent_kind kind, int rank, const void *body,
		     size_t len)
{
	for (size_t i = 0; i < j->hosts->table.n; i++)
		tell(&j->hosts->host[i], kind, rank, body, len);
}

void art__hosts_signal(struct run_job *j, const struct run_rank *r, int sig)
{
	struct art_agent_number body = { sig };

	if (j->hosts)
		tell(art__hosts_host(j, r), ART_AGENT_SIGNAL, art__run_index(j, r), &body, sizeof(body));
}

void art__hosts_voted(struct run_job *j, const struct run_rank *r, const void *p, size_t len)
{
	tell(art__hosts_host(j, r), ART_AGENT_VOTED, art__run_index(j, r), p, len);
}

void art__hosts_look(struct run_job *j)
{
	if (j->hosts)
		tell_all(j, ART_AGENT_LOOK, -1, NULL, 0); /* only those that run get it */
}

void art__hosts_input(struct run_job *j, const char *data, size_t len)
{
	tell(art__hosts_host(j, &j->rank[0]), ART_AGENT_INPUT, 0, data, len);
}

void art__hosts_shut(struct run_job *j, int which)
{
	struct art_agent_number body = { which };

	if (j->hosts)
		tell_all(j, ART_AGENT_SHUT, -1, &body, sizeof(body));
}

void art__hosts_never(struct run_job *j)
{
	tell_all(j, ART_AGENT_NEVER, j->never, NULL, 0);
}

static void tell_death(struct run_job *j, int rank)
{
	const struct art_last_view *v = art__run_view(&j->rank[rank]);
	struct art_agent_dead dead = { j->card[rank].incarnation };
	uint8_t body[sizeof(dead) + ART_LAST_VIEW_MAX];

	memcpy(body, &dead, sizeof(dead));
	memcpy(body + sizeof(dead), v, art__last_view_bytes(v));

	for (size_t i = 0; i < j->hosts->table.n; i++)
		if (i != j->rank[rank].host)
			tell(&j->hosts->host[i], ART_AGENT_DEAD, rank, body,
			     sizeof(dead) + art__last_view_bytes(v));
}

void art__hosts_table(struct run_job *j)
{
	uint8_t body[sizeof(struct art_agent_table) +
		     ART_AGENT_TABLE_CARDS * sizeof(struct art_boot_card)];

	for (uint32_t first = 0; first < (uint32_t)j->n; first += ART_AGENT_TABLE_CARDS) {
		uint32_t left = (uint32_t)j->n - first;
		struct art_agent_table t = { first, left < ART_AGENT_TABLE_CARDS ? left :
					     ART_AGENT_TABLE_CARDS };
		size_t len = t.count * sizeof(struct art_boot_card);

		memcpy(body, &t, sizeof(t));
		memcpy(body + sizeof(t), &j->card[first], len);
		tell_all(j, ART_AGENT_TABLE, -1, body, sizeof(t) + len);
	}
	j->hosts->tabled = true;
	for (int i = 0; i < j->n; i++)
		if (j->rank[i].certified)
			tell_death(j, i);
}

void art__hosts_certify(struct run_job *j, struct run_rank *r)
{
	if (r->certified)
		return;
	r->certified = true;
	if (j->hosts->tabled)
		tell_death(j, art__run_index(j, r));
	for (size_t i = 0; i < j->hosts->table.n; i++)
		art__hosts_flush_one(j, &j->hosts->host[i]);
}

void art__hosts_flush(struct run_job *j)
{
	for (size_t i = 0; j->hosts && i < j->hosts->table.n; i++) {
		struct run_host *h = &j->hosts->host[i];
		struct art_agent_number body = { (int32_t)h->owed };

		if (h->owed && !art__run_sink_full(j->out) && !art__run_sink_full(j->err)) {
			tell(h, ART_AGENT_CREDIT, -1, &body, sizeof(body));
			h->owed = 0;
		}
		art__hosts_flush_one(j, h);
	}
}
