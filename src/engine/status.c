/* SPDX-License-Identifier: MIT
 *
 * The status socket. The kernel says who asks (SO_PEERCRED); strangers are closed before anything
 * is done for them. An answer fits into the socket's buffer, so it is written in one go and the
 * connection is closed, whether the asker reads or not. Idle it costs nothing: one more descriptor
 * in the service thread's epoll set, edge-triggered, so that a connection that cannot be accepted
 * (no descriptor left) does not spin.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/internal.h"

#define BACKLOG 16

static socklen_t name_of(const struct art_engine *e, struct sockaddr_un *a)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, ART_STATUS_NAME, (unsigned)geteuid(),
		     (unsigned long long)e->cfg.job, e->cfg.slot, (int)getpid());
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

void art__status_open(struct art_engine *e)
{
	struct sockaddr_un a;
	socklen_t len = name_of(e, &a);

	e->nclient = 0;
	e->status_fd = -1;
	if (!e->cfg.status)
		return;
	e->status_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (e->status_fd >= 0 && bind(e->status_fd, (struct sockaddr *)&a, len) == 0 &&
	    listen(e->status_fd, BACKLOG) == 0)
		return;
	art__env_log(e->env, ART_LOG_INFO, "no status socket, art-info will not see this rank: %m");
	art__status_close(e);
}

void art__status_close(struct art_engine *e)
{
	while (e->nclient > 0)
		close(e->client[--e->nclient]);
	if (e->status_fd >= 0)
		close(e->status_fd);
	e->status_fd = -1;
}

int art__status_fd(const struct art_engine *e)
{
	return e->status_fd;
}

static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

bool art__status_accept(struct art_engine *e)
{
	while (e->nclient < ART_STATUS_CLIENTS) {
		int fd = accept4(e->status_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			break; /* nobody more, or no descriptor: they come again */
		if (may_ask(fd))
			e->client[e->nclient++] = fd;
		else
			close(fd);
	}
	return e->nclient > 0;
}

static void take_chan(struct art_engine *e, int c, struct art_snapshot_chan *out)
{
	const struct art_link_chan *l = &e->link.chan[c];

	for (int i = 0; i < e->link.size; i++)
		out->up += l->peer[i].up;
	out->tx_messages = l->tx_messages;
	out->tx_bytes = l->tx_bytes;
	out->rx_messages = l->rx_messages;
	out->rx_bytes = l->rx_bytes;
	out->pending = e->tp[c]->ops->pending(e->tp[c]);
	while (out->ncount < ART_STATUS_COUNTS &&
	       art__transport_count(e->tp[c], out->ncount, &out->count[out->ncount].what,
				    &out->count[out->ncount].n))
		out->ncount++;
}

struct art_snapshot *art__status_take(struct art_engine *e)
{
	struct art_snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->now_ns = art__env_now(e->env);
	if (e->quiet_entries != e->entries) {
		e->quiet_entries = e->entries;
		e->quiet_ns = s->now_ns;
	}
	s->quiet_ns = e->quiet_ns;
	s->in_call = e->waiters || e->computing || atomic_load(&e->own.callers_want);
	s->transport = e->tp[0] ? e->cfg.transport : "none";
	s->garbage = e->link.garbage;
	s->gaps = e->link.gaps;
	s->repeats = e->link.repeats;
	for (int c = 0; c < 2; c++)
		if (e->tp[c])
			take_chan(e, c, &s->chan[c]);
	s->report.slot = e->cfg.slot;
	s->report.size = e->cfg.size;
	if (e->machine->ops->describe) {
		e->machine->ops->describe(e->machine, &s->report);
		s->report.shared_bytes = art__shared_bytes(&e->shared);
		s->described = true;
	}
	return s;
}

void art__status_answer(struct art_engine *e, struct art_snapshot *s)
{
	struct art_status_id id = {e->cfg.job, (int)getpid(), e->answers_cut};
	char *text = s ? malloc(ART_STATUS_TEXT_MAX) : NULL;
	size_t n = text ? art__status_text(s, &id, text, ART_STATUS_TEXT_MAX) : 0;

	while (e->nclient > 0) {
		int fd = e->client[--e->nclient];

		if (n && send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
			e->answers_cut++;
		close(fd);
	}
	free(text);
	free(s);
}
