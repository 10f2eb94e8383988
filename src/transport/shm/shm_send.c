/* SPDX-License-Identifier: MIT
 *
 * The way out: a message goes from the caller's memory into the ring; if there is no space it is
 * copied into the peer's bounded queue, and poll() moves it later. Never an upcall from send():
 * breakage is left for poll().
 */
#include "transport/shm/shm.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void art__shm_forget_queue(struct art_shm *t, struct art_shm_peer *p)
{
	struct art_shm_chunk *k;

	if (p->conn && p->queued > 0)
		t->n_queues--;
	while ((k = STAILQ_FIRST(&p->queue))) {
		STAILQ_REMOVE_HEAD(&p->queue, next);
		art__env_free(t->env, k);
	}
	t->queued -= p->queued;
	p->queued = 0;
	p->full = false;
}

void art__shm_kick(struct art_shm *t)
{
	uint64_t one = 1;

	/* EAGAIN after 2^64-2 of them, and then it is readable anyway. */
	if (write(t->bell, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
}

void art__shm_wake(struct art_shm *t, struct art_shm_conn *c, uint32_t armed)
{
	uint64_t one = 1;

	if (armed == c->rung)
		return;
	c->rung = armed;
	t->n[ART_SHM_N_BELLS]++;
	/* A peer whose bell cannot be rung has left it in a state of its own making. */
	if (write(c->bell, &one, sizeof(one)) < 0)
		art__env_log(t->env, ART_LOG_DEBUG, "cannot ring rank %d: %s", c->peer,
			     strerror(errno));
}

/* What send() answers now that something was queued. */
static int how_full(const struct art_shm *t, struct art_shm_peer *p)
{
	if (p->queued <= t->queue_high)
		return 1;
	p->full = true;
	return 0;
}

/* Copies a message to the end of the queue. */
static bool append(struct art_shm *t, struct art_shm_peer *p, const struct iovec *iov, int niov,
		   size_t len)
{
	struct art_shm_chunk *k = art__env_alloc(t->env, sizeof(*k) + len);
	uint8_t *end;

	if (!k)
		return false;
	k->len = len;
	end = art__transport_flatten(k->data, iov, niov);
	assert(end == k->data + len);
	(void)end;
	STAILQ_INSERT_TAIL(&p->queue, k, next);
	if (p->conn && p->queued == 0)
		t->n_queues++;
	p->queued += len;
	t->queued += len;
	t->n[ART_SHM_N_QUEUED]++;
	return true;
}

static bool next_fits(struct art_shm_conn *c, const struct art_shm_peer *p)
{
	return art__shm_has_space(&c->tx, c->rx.page, STAILQ_FIRST(&p->queue)->len - ART_TP_HEAD);
}

/* The reader is told to ring when it has made space. Whether it has just done so is looked at
 * after that by whoever is about to sleep: here only if that has happened already. */
static void wait_for_space(struct art_shm *t, struct art_shm_conn *c, const struct art_shm_peer *p)
{
	atomic_store(&c->tx.page->blocked, 1);
	if (t->armed && next_fits(c, p))
		art__shm_kick(t);
}

static int send_later(struct art_shm *t, int peer, const struct iovec *iov, int niov, size_t len)
{
	struct art_shm_peer *p = &t->peer[peer];
	struct art_shm_conn *c = p->conn ? p->conn : p->dial;

	if (c->ended) /* lost with the connection; its down() is on the way */
		return 0;
	if (p->queued + len > t->queue_max) {
		art__env_log(t->env, ART_LOG_WARN,
			     "more than %zu bytes queued to rank %d: connection ended", t->queue_max,
			     peer);
		art__shm_end(t, c, ART_TP_RESET);
		if (t->armed)
			art__shm_kick(t);
		return 0;
	}
	if (!append(t, p, iov, niov, len))
		return ART_ERR_NOMEM;
	if (p->conn)
		wait_for_space(t, c, p);
	return how_full(t, p);
}

int art__shm_send(struct art_shm *t, int peer, const struct iovec *iov, int niov)
{
	struct art_shm_peer *p;
	struct art_shm_conn *c;
	size_t len = 0;

	assert(niov >= 1 && iov[0].iov_len == ART_TP_HEAD);
	for (int i = 1; i < niov; i++)
		len += iov[i].iov_len;
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot || len > ART_TP_BODY_MAX)
		return ART_ERR_ARG;
	p = &t->peer[peer];
	c = p->conn;
	if (c && !c->ended && p->queued == 0 && art__shm_has_space(&c->tx, c->rx.page, len)) {
		art__shm_put(&c->tx, iov, niov, len);
		art__shm_wake_if_asleep(t, c);
		return 1;
	}
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (!c && !p->dial) {
		int r = art__shm_dial(t, peer);

		if (r < 0)
			return r;
	}
	return send_later(t, peer, iov, niov, ART_TP_HEAD + len);
}

static void put_first(struct art_shm *t, struct art_shm_conn *c, struct art_shm_peer *p)
{
	struct art_shm_chunk *k = STAILQ_FIRST(&p->queue);
	struct iovec v[2] = {{k->data, ART_TP_HEAD},
			     {k->data + ART_TP_HEAD, k->len - ART_TP_HEAD}};

	art__shm_put(&c->tx, v, 2, k->len - ART_TP_HEAD);
	STAILQ_REMOVE_HEAD(&p->queue, next);
	p->queued -= k->len;
	t->queued -= k->len;
	t->n_queues -= p->queued == 0;
	art__env_free(t->env, k);
}

void art__shm_flush(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = &t->peer[c->peer];
	bool moved = false;

	assert(t->polling && c->state == ART_SHM_UP && p->conn == c);
	if (c->ended)
		return;
	for (; p->queued > 0 && next_fits(c, p); moved = true)
		put_first(t, c, p);
	atomic_store(&c->tx.page->blocked, p->queued > 0);
	if (moved)
		art__shm_wake_if_asleep(t, c);
	if (p->full && p->queued <= t->queue_high / 2) {
		p->full = false;
		t->upcalls++;
		t->up.room(t->up.self, c->peer);
	}
}
