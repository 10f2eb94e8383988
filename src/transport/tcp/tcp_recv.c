/* SPDX-License-Identifier: MIT
 *
 * The way in: one recv() brings as many messages as have come, whole ones are delivered from
 * the connection's buffer. The end of a connection is reported after everything that arrived
 * before it. What is delivered may still be in the socket (only_look()): the next read brings it again.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define RX_SMALL (16u * 1024)
/* Eight segments of a stream: where each read begins with a message it also ends near the end of one, and
 * little is moved to the front. */
#define RX_FULL (8 * (ART_TP_HEAD + 32u * 1024 + ART_TCP_SEAL_BYTES))
#define RECV_BURST 4
#define LOOK_MOST (8u * 1024) /* of what is left in the socket; less than RX_SMALL */
#define LENGTHY 32 /* reads without such a look after one that has seen too little */
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
		c->at = c->end = c->left;
	if (c->left)
		return true; /* it was there when there was none */
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

bool art__tcp_settle(struct art_tcp *t, struct art_tcp_conn *c)
{
	uint8_t known[LOOK_MOST];
	ssize_t n;

	while (c->left > 0) {
		n = t->sys.recv(t->sys.self, c->fd, known, c->left, 0);
		t->n[ART_TCP_N_RECV]++;
		if (n < 0 && (errno == EINTR || art__tcp_later(errno)))
			return false;
		c->left -= n > 0 ? (size_t)n : c->left; /* at its end there is nothing left */
	}
	return true;
}

/* Is what comes next only to be looked at? If it is the second short message in a row, taking it out of the
 * socket would make the system acknowledge it first. So it is taken with what comes after it, when
 * something has been sent that acknowledges it, or before who reads goes to sleep. */
static bool only_look(const struct art_tcp *t, const struct art_tcp_conn *c)
{
	return c->heard && t->spinning && c->near && !c->lengthy && !c->left && c->at == c->end && !c->broken;
}

/* @n bytes were read, the first of which may be known. False: all are. */
static bool came(struct art_tcp *t, struct art_tcp_conn *c, size_t n, bool look)
{
	if (n <= c->left) {
		c->left -= n;
		return false;
	}
	c->end += n - c->left;
	c->left = look ? n : 0;
	if (look)
		c->lengthy = n == LOOK_MOST ? LENGTHY : 0;
	else if (c->lengthy)
		c->lengthy--;
	c->heard = n < LOOK_MOST;
	art__tcp_set_hot(t, c, HOT);
	return true;
}

/* One recv(). False: there was nothing. */
static bool fill(struct art_tcp *t, struct art_tcp_conn *c, bool *drained)
{
	bool look = only_look(t, c);
	size_t from, room;

	/* What is known goes where it was; not where the head of a message lies that has been looked into. */
	if (c->at != c->end && !art__tcp_settle(t, c))
		return c->broken;
	if (!make_space(t, c)) {
		art__env_log(t->env, ART_LOG_ERROR,
			     "no memory to receive from rank %d: connection ended", c->peer);
		c->ended = true;
		c->why = ART_TP_RESET;
		return true;
	}
	from = c->end - c->left;
	room = look ? LOOK_MOST : c->cap - from;
	assert(room > 0 && room <= c->cap - from);
	ssize_t n = t->sys.recv(t->sys.self, c->fd, c->rx + from, room, look ? MSG_PEEK : 0);
	t->n[ART_TCP_N_RECV]++;
	if (n > 0) {
		if (!came(t, c, (size_t)n, look))
			return c->broken;
		*drained = (size_t)n < room;
		/* A full small buffer is a sign of bulk; without memory the small one will do. */
		if (!*drained && !look && c->cap == RX_SMALL && c->need <= RX_SMALL)
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
