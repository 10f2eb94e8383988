/* SPDX-License-Identifier: MIT
 *
 * The way out: a message goes from the caller's memory to the system in one call if the
 * connection takes it; what it does not take is copied into the peer's bounded queue, and
 * poll() writes it later. Never an upcall from send(): breakage is left for poll().
 */
#include "transport/tcp/tcp.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define CHUNK_SMALL (4u * 1024)
#define CHUNK_LARGE (64u * 1024)
#define FLUSH_IOV 16

void art__tcp_set_blocked(struct art_tcp *t, struct art_tcp_conn *c, bool blocked)
{
	if (c->blocked == blocked)
		return;
	c->blocked = blocked;
	if (blocked)
		t->n_blocked++;
	else
		t->n_blocked--;
}

void art__tcp_forget_queue(struct art_tcp *t, struct art_tcp_peer *p)
{
	struct art_tcp_chunk *k;

	while ((k = TAILQ_FIRST(&p->queue))) {
		TAILQ_REMOVE(&p->queue, k, next);
		art__env_free(t->env, k);
	}
	t->queued -= p->queued;
	p->queued = 0;
	p->full = false;
}

/* Space for @len bytes at the end of the queue: what the last chunk has left, and one more. */
static bool queue_reserve(struct art_tcp *t, struct art_tcp_peer *p, size_t len)
{
	struct art_tcp_chunk *last = TAILQ_LAST(&p->queue, art_tcp_queue);
	size_t have = last ? last->cap - last->end : 0;

	if (have >= len)
		return true;
	size_t cap = p->queued < CHUNK_LARGE ? CHUNK_SMALL : CHUNK_LARGE;
	if (cap < len - have)
		cap = len - have;
	struct art_tcp_chunk *k = art__env_alloc(t->env, sizeof(*k) + cap);
	if (!k)
		return false;
	k->at = k->end = 0;
	k->cap = cap;
	TAILQ_INSERT_TAIL(&p->queue, k, next);
	return true;
}

/* Copies @len bytes into reserved space: the chunk before the last first, if it has any. */
static void queue_copy(struct art_tcp_peer *p, struct art_tcp_chunk **at, const uint8_t *src,
		       size_t len)
{
	while (len > 0) {
		struct art_tcp_chunk *k = *at;
		size_t n = k->cap - k->end;
		if (n > len)
			n = len;
		memcpy(k->data + k->end, src, n);
		k->end += n;
		p->queued += n;
		src += n;
		len -= n;
		if (len > 0)
			*at = TAILQ_NEXT(k, next);
		assert(*at);
	}
}

/* Queues what follows the first @skip bytes of a message. */
static bool queue_append(struct art_tcp *t, struct art_tcp_peer *p, const struct iovec *iov,
			 int niov, size_t skip, size_t len)
{
	struct art_tcp_chunk *at = TAILQ_LAST(&p->queue, art_tcp_queue);

	if (!queue_reserve(t, p, len - skip))
		return false;
	if (!at)
		at = TAILQ_FIRST(&p->queue);
	for (int i = 0; i < niov; i++) {
		size_t n = iov[i].iov_len;
		if (n <= skip) {
			skip -= n;
			continue;
		}
		queue_copy(p, &at, (const uint8_t *)iov[i].iov_base + skip, n - skip);
		t->queued += n - skip;
		skip = 0;
	}
	return true;
}

ssize_t art__tcp_send_now(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov,
			  int niov)
{
	struct msghdr m = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, /* only read */
		.msg_iovlen = (size_t)(niov < IOV_MAX ? niov : IOV_MAX),
	};
	for (;;) {
		ssize_t n = t->sys.sendmsg(t->sys.self, c->fd, &m, MSG_NOSIGNAL);
		t->n[ART_TCP_N_SENDMSG]++;
		if (n >= 0) {
			c->heard = false;
			return n;
		}
		if (art__tcp_later(errno))
			return 0;
		if (errno != EINTR)
			return -1;
	}
}

/* More would be more than a peer that does not read may cost. */
static bool too_much(struct art_tcp *t, const struct art_tcp_peer *p, int peer, size_t len)
{
	if (p->queued + len <= t->queue_max)
		return false;
	art__env_log(t->env, ART_LOG_WARN, "more than %zu bytes queued to rank %d: connection ended",
		     t->queue_max, peer);
	return true;
}

/* What send() answers now that something was queued. */
static int how_full(const struct art_tcp *t, struct art_tcp_peer *p)
{
	if (p->queued <= t->queue_high)
		return 1;
	p->full = true;
	return 0;
}

void art__tcp_wait_writable(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (c->blocked)
		return;
	art__tcp_set_blocked(t, c, true);
	if (!art__tcp_watch(t, c))
		art__tcp_break(t, c, ART_TP_RESET);
}

int art__tcp_send_rest(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov,
		       size_t skip, size_t len)
{
	struct art_tcp_peer *p = &t->peer[c->peer];

	if (too_much(t, p, c->peer, len - skip)) {
		art__tcp_break(t, c, ART_TP_RESET);
		return 0;
	}
	if (!queue_append(t, p, iov, niov, skip, len)) {
		if (skip == 0) {
			art__tcp_unsend(t, c);
			return ART_ERR_NOMEM;
		}
		art__tcp_break(t, c, ART_TP_RESET); /* half a message is out */
		return 0;
	}
	art__tcp_wait_writable(t, c);
	return how_full(t, p);
}

/* Takes a message into the queue of a peer that is dialled: there are no keys to seal it yet. */
static int send_unsealed(struct art_tcp *t, struct art_tcp_conn *dial, const struct iovec *iov,
			 int niov, size_t len)
{
	struct art_tcp_peer *p = &t->peer[dial->peer];
	struct art_tcp_chunk *k;

	if (dial->broken) /* lost with it; its down() is on the way */
		return 0;
	len = art__tcp_sealed_len(t, len);
	if (too_much(t, p, dial->peer, len)) {
		art__tcp_break(t, dial, ART_TP_RESET);
		return 0;
	}
	k = art__env_alloc(t->env, sizeof(*k) + len);
	if (!k)
		return ART_ERR_NOMEM;
	k->at = 0;
	k->end = k->cap = len;
	art__tcp_store(t, k->data, iov, niov);
	TAILQ_INSERT_TAIL(&p->queue, k, next);
	p->queued += len;
	t->queued += len;
	return how_full(t, p);
}

static int send_sealed(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov,
		       size_t len)
{
	struct iovec one;
	ssize_t n = 0;

	if (t->holding && art__tcp_hold(t, c, iov, niov, len))
		return 1;
	if (c->broken) /* lost with the connection; its down() is on the way */
		return 0;
	art__tcp_seal(t, c, &iov, &niov, &one);
	len = art__tcp_sealed_len(t, len);
	if (!c->blocked) {
		n = art__tcp_send_now(t, c, iov, niov);
		if (n == (ssize_t)len)
			return 1;
		if (n < 0) {
			art__tcp_break(t, c, ART_TP_RESET);
			return 0;
		}
	}
	return art__tcp_send_rest(t, c, iov, niov, (size_t)n, len);
}

int art__tcp_send(struct art_tcp *t, int peer, const struct iovec *iov, int niov)
{
	struct art_tcp_peer *p;
	size_t len = 0;

	assert(niov >= 1 && iov[0].iov_len == ART_TP_HEAD);
	for (int i = 0; i < niov; i++)
		len += iov[i].iov_len;
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot ||
	    len > ART_TP_HEAD + ART_TP_BODY_MAX)
		return ART_ERR_ARG;
	p = &t->peer[peer];
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (p->conn)
		return send_sealed(t, p->conn, iov, niov, len);
	if (!p->dial) {
		int r = art__tcp_dial(t, peer);
		if (r < 0)
			return r;
	}
	return send_unsealed(t, p->dial, iov, niov, len);
}

static void queue_consume(struct art_tcp *t, struct art_tcp_peer *p, size_t n)
{
	assert(n <= p->queued);
	p->queued -= n;
	t->queued -= n;
	while (n > 0) {
		struct art_tcp_chunk *k = TAILQ_FIRST(&p->queue);
		size_t have = k->end - k->at;
		if (have > n) {
			k->at += n;
			return;
		}
		n -= have;
		TAILQ_REMOVE(&p->queue, k, next);
		art__env_free(t->env, k);
	}
}

/* Writes from the queue until it is empty or the system has enough. False: connection dead. */
static bool flush_queue(struct art_tcp *t, struct art_tcp_conn *c, struct art_tcp_peer *p)
{
	while (p->queued > 0) {
		struct iovec v[FLUSH_IOV];
		struct art_tcp_chunk *k;
		int nv = 0;

		TAILQ_FOREACH(k, &p->queue, next) {
			if (nv == FLUSH_IOV)
				break;
			v[nv++] = (struct iovec){ k->data + k->at, k->end - k->at };
		}
		ssize_t n = art__tcp_send_now(t, c, v, nv);
		if (n < 0)
			return false;
		if (n == 0)
			return true;
		queue_consume(t, p, (size_t)n);
	}
	return true;
}

void art__tcp_flush(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];

	assert(c->state == ART_TCP_UP && p->conn == c);
	if (c->broken)
		return;
	int r = art__tcp_hello_flush(t, c);
	if (r < 0 || (r > 0 && !flush_queue(t, c, p))) {
		art__tcp_break(t, c, ART_TP_RESET);
		return;
	}
	art__tcp_set_blocked(t, c, r == 0 || p->queued > 0);
	if (!art__tcp_watch(t, c)) {
		art__tcp_break(t, c, ART_TP_RESET);
		return;
	}
	if (p->full && p->queued <= t->queue_high / 2) {
		p->full = false;
		t->upcalls++;
		t->up.room(t->up.self, c->peer);
	}
}
