/* SPDX-License-Identifier: MIT
 *
 * The way in: one recv() brings as many messages as have come, whole ones are delivered from
 * the connection's buffer. The end of a connection is reported after everything that arrived
 * before it.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define RX_SMALL (16u * 1024)
#define RX_FULL (2 * (ART_TP_HEAD + ART_TP_BODY_MAX + ART_TCP_SEAL_BYTES))
#define RECV_BURST 4
#define HOT 512 /* empty reads before a connection is left to epoll */

static bool whole(const struct art_tcp_conn *c)
{
	return c->need > 0 && c->end - c->at >= c->need;
}

/* What came is no message of ours: nothing behind it is looked at. */
static void on_garbage(struct art_tcp_conn *c)
{
	c->ended = true;
	c->why = ART_TP_GARBAGE;
	c->at = c->end;
	c->need = 0;
}

/* Delivers whole messages as long as there are any and the budget allows. */
static void deliver_each(struct art_tcp *t, struct art_tcp_conn *c)
{
	for (;;) {
		size_t len;

		if (c->need == 0 && art__tcp_measure(t, c) < 0) {
			on_garbage(c);
			return;
		}
		if (!whole(c) || t->budget == 0)
			return;
		const uint8_t *head = art__tcp_open_seal(t, c, c->rx + c->at, &len);
		if (!head) {
			on_garbage(c);
			return;
		}
		c->at += c->need;
		c->need = 0;
		t->budget--;
		t->upcalls++;
		t->holding = c->at < c->end || t->nhold > 0;
		t->up.message(t->up.self, c->peer, head, head + ART_TP_HEAD, len);
		if (c->state != ART_TCP_UP)
			return;
	}
}

static void deliver(struct art_tcp *t, struct art_tcp_conn *c)
{
	deliver_each(t, c);
	if (t->holding)
		art__tcp_hold_ends(t);
}

static bool grow(struct art_tcp *t, struct art_tcp_conn *c, size_t cap)
{
	uint8_t *rx = art__env_alloc(t->env, cap);

	if (!rx)
		return false;
	if (c->end > c->at)
		memcpy(rx, c->rx + c->at, c->end - c->at);
	art__env_free(t->env, c->rx);
	c->rx = rx;
	c->cap = cap;
	c->end -= c->at;
	c->at = 0;
	return true;
}

/* Space for the rest of the message at the front, or for a head. False: out of memory. */
static bool make_space(struct art_tcp *t, struct art_tcp_conn *c)
{
	size_t want = c->need ? c->need : ART_TP_HEAD;

	if (c->at == c->end)
		c->at = c->end = 0;
	if (c->cap == 0 && !grow(t, c, RX_SMALL))
		return false;
	if (c->cap < want)
		return grow(t, c, RX_FULL);
	if (c->cap - c->at < want || (c->need == 0 && c->at > 0)) {
		memmove(c->rx, c->rx + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	return true;
}

/* One recv(). False: there was nothing. */
static bool fill(struct art_tcp *t, struct art_tcp_conn *c, bool *drained)
{
	if (!make_space(t, c)) {
		art__env_log(t->env, ART_LOG_ERROR,
			     "no memory to receive from rank %d: connection ended", c->peer);
		c->ended = true;
		c->why = ART_TP_RESET;
		return true;
	}
	size_t room = c->cap - c->end;
	assert(room > 0);
	ssize_t n = t->sys.recv(t->sys.self, c->fd, c->rx + c->end, room, 0);
	t->n[ART_TCP_N_RECV]++;
	if (n > 0) {
		c->end += (size_t)n;
		art__tcp_set_hot(t, c, HOT);
		*drained = (size_t)n < room;
		/* A full small buffer is a sign of bulk; without memory the small one will do. */
		if (!*drained && c->cap == RX_SMALL && c->need <= RX_SMALL)
			(void)grow(t, c, RX_FULL);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && art__tcp_later(errno) && !c->broken)
		return false;
	c->ended = true;
	if (n == 0 && !c->broken)
		c->why = ART_TP_CLOSED;
	else if (!c->broken)
		c->why = ART_TP_RESET;
	return true;
}

bool art__tcp_recv(struct art_tcp *t, struct art_tcp_conn *c)
{
	int before = t->upcalls;
	bool drained = false;

	for (int i = 0; i <= RECV_BURST; i++) {
		deliver(t, c);
		if (c->state != ART_TCP_UP)
			return true;
		if (whole(c) || (c->broken && t->budget == 0)) {
			art__tcp_todo(t, c); /* the budget is spent */
			return true;
		}
		if (c->ended) {
			art__tcp_finish(t, c, c->why);
			return true;
		}
		if (drained && !c->broken)
			return true;
		if (t->budget == 0)
			return t->upcalls > before;
		if (i < RECV_BURST && !fill(t, c, &drained))
			return t->upcalls > before;
	}
	if (c->broken)
		art__tcp_todo(t, c);
	return true;
}
