/* SPDX-License-Identifier: MIT
 *
 * The way out: into the peer's ring where there is one and it has space, over the carrier where
 * there is none, else into a bounded queue that poll() empties. Never an upcall from send().
 */
#include "transport/rdma/rdma.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void art__rdma_forget_queue(struct art_rdma *t, struct art_rdma_peer *p)
{
	struct art_rdma_chunk *k;

	while ((k = STAILQ_FIRST(&p->queue))) {
		STAILQ_REMOVE_HEAD(&p->queue, next);
		if (k->loan)
			art__rdma_loan_over(t, k->loan);
		art__env_free(t->env, k);
	}
	t->queued -= p->queued;
	p->queued = 0;
	p->full = false;
}

/* Instead of bodies that nobody is going to look at, and that may be unmapped by now. */
static const uint8_t nothing[ART_TP_BODY_MAX];

void art__rdma_queue_unlend(struct art_rdma *t, int peer, const void *token)
{
	struct art_rdma_chunk *k;

	STAILQ_FOREACH(k, &t->peer[peer].queue, next) {
		if (!k->loan || k->loan->token != token)
			continue;
		k->loan->token = NULL;
		art__rdma_loan_over(t, k->loan);
		k->loan = NULL;
		k->body = nothing;
	}
}

void art__rdma_kick(struct art_rdma *t)
{
	uint64_t one = 1;

	if (t->kicked || !t->armed)
		return;
	t->kicked = true;
	if (write(t->kick, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
}

void art__rdma_room(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (!p->full || p->carrier_full || p->queued > t->queue_high / 2)
		return;
	p->full = false;
	t->upcalls++;
	t->up.room(t->up.self, peer);
}

/* ---- where a message can go ---- */

static bool ring_takes(const struct art_rdma *t, const struct art_rdma_peer *p, size_t body)
{
	const struct art_rdma_conn *c = p->conn;

	return p->state == ART_RDMA_UP && c->qp && !c->failed && art__rdma_has_space(&c->tx, body) &&
	       art__rdma_sq_room(t, c) && (!t->alone || p->told_up);
}

static bool is_carried(const struct art_rdma *t, const struct art_rdma_peer *p)
{
	return !t->alone && p->state != ART_RDMA_UP && !p->held;
}

void art__rdma_cannot_post(struct art_rdma *t, struct art_rdma_conn *c)
{
	c->failed = "cannot be posted to";
	art__rdma_todo(t, c->peer);
	art__rdma_kick(t);
}

/* A record that cannot be posted is in the copy all the same: it is sent again over the carrier. */
static void to_ring(struct art_rdma *t, struct art_rdma_conn *c, const struct iovec *iov, int niov,
		    size_t body)
{
	uint8_t out[ART_RDMA_SMALL];
	uint64_t at = c->tx.at;
	bool ok;

	if (body <= ART_RDMA_SMALL_BODY && art__rdma_record_bytes(body) <= c->inline_bytes)
		ok = art__rdma_post_compact(t, c, at, out,
					    art__rdma_put_compact(&c->tx, &c->tx_key, iov, niov, body, out));
	else
		ok = art__rdma_post_record(t, c, at, art__rdma_put(&c->tx, &c->tx_key, iov, niov, body));
	if (!ok)
		art__rdma_cannot_post(t, c);
}

/* Writes the ends of a record into the copy. @g: what its write brings beside it; NULL: it is to be read. */
static size_t put_lent(struct art_rdma *t, struct art_rdma_conn *c, const uint8_t *head, size_t len,
		       struct art_rdma_loan *loan, struct art_rdma_gather *g)
{
	struct art_rdma_source from = {(uintptr_t)loan->body, loan->reg->mr->rkey};
	size_t bytes;

	loan->at = c->tx.at;
	art__rdma_trial_out(t, c, loan, len);
	bytes = g ? art__rdma_put_ends(&c->tx, &c->tx_key, head, len)
		  : art__rdma_put_lent(&c->tx, &c->tx_key, head, len, &from);
	if (g)
		art__rdma_gather(c, g, loan->at, bytes, loan, len);
	loan->end = c->tx.at;
	STAILQ_INSERT_TAIL(&c->loans, loan, next);
	t->n[ART_RDMA_N_LENT]++;
	return bytes;
}

static void to_ring_lent(struct art_rdma *t, struct art_rdma_conn *c, const uint8_t *head, size_t len,
			 struct art_rdma_loan *loan)
{
	struct art_rdma_gather g = {.records = 0};
	bool reads = art__rdma_reads(t, c), ok;
	size_t bytes = put_lent(t, c, head, len, loan, reads ? NULL : &g);

	ok = reads ? art__rdma_post_record(t, c, loan->at, bytes) : art__rdma_post_gather(t, c, &g);
	if (!ok)
		art__rdma_cannot_post(t, c);
}

static int to_carrier(struct art_rdma *t, int peer, const struct iovec *iov, int niov)
{
	struct art_rdma_peer *p = &t->peer[peer];
	int r = t->carrier->ops->send(t->carrier, peer, iov, niov);

	if (r >= 0 && !p->link && !p->dialled) {
		p->dialled = true;
		art__rdma_count_carrier(t);
	}
	if (r == 0)
		p->carrier_full = p->full = true;
	return r;
}

/* ---- the queue ---- */

/* The body of a message that is lent stays where it is. */
static bool append(struct art_rdma *t, struct art_rdma_peer *p, const struct iovec *iov, int niov,
		   size_t len, struct art_rdma_loan *loan)
{
	size_t copied = loan ? ART_TP_HEAD : len;
	struct art_rdma_chunk *k = art__env_alloc(t->env, sizeof(*k) + copied);
	uint8_t *end;

	if (!k)
		return false;
	k->len = len;
	k->loan = loan;
	k->body = loan ? iov[1].iov_base : k->data + ART_TP_HEAD;
	end = art__transport_flatten(k->data, iov, loan ? 1 : niov);
	assert(end == k->data + copied);
	(void)end;
	STAILQ_INSERT_TAIL(&p->queue, k, next);
	p->queued += len;
	t->queued += len;
	t->n[ART_RDMA_N_QUEUED]++;
	return true;
}

static int send_later(struct art_rdma *t, int peer, const struct iovec *iov, int niov, size_t len,
		      struct art_rdma_loan *loan)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->queued + len > t->queue_max) {
		art__env_log(t->env, ART_LOG_WARN,
			     "more than %zu bytes queued to rank %d: connection ended", t->queue_max,
			     peer);
		p->ending = true;
		p->why = ART_TP_RESET;
		art__rdma_todo(t, peer);
		art__rdma_kick(t);
		if (loan)
			art__rdma_loan_over(t, loan);
		return 0;
	}
	if (!append(t, p, iov, niov, len, loan)) {
		if (loan)
			art__rdma_loan_over(t, loan);
		return ART_ERR_NOMEM;
	}
	if (p->queued <= t->queue_high)
		return 1;
	p->full = true;
	return 0;
}

/* Without a word on it, nothing flows: the carrier is asked for a connection. */
static int dial(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	int r = t->carrier->ops->connect(t->carrier, peer);

	if (r == 0) {
		p->dialled = true;
		art__rdma_count_carrier(t);
	}
	return r;
}

/* Only on a way that is there: over the carrier it would be copied all the same. */
static struct art_rdma_loan *lend(struct art_rdma *t, int peer, const struct iovec *iov, size_t len,
				  const struct art_tp_loan *l)
{
	const struct art_rdma_peer *p = &t->peer[peer];

	if (!l || len < ART_RDMA_LEND_MIN || t->large == ART_RDMA_COPY || !t->dev.lends || p->ending ||
	    p->state != ART_RDMA_UP)
		return NULL;
	if (t->dev.sges < 3 && !art__rdma_reads(t, p->conn))
		return NULL;
	return art__rdma_loan(t, l, iov[1].iov_base, len);
}

int art__rdma_send(struct art_rdma *t, int peer, const struct iovec *iov, int niov,
		   const struct art_tp_loan *l, bool *lent)
{
	struct art_rdma_loan *loan;
	struct art_rdma_peer *p;
	size_t len = 0;
	int r;

	assert(niov >= 1 && iov[0].iov_len == ART_TP_HEAD);
	for (int i = 1; i < niov; i++)
		len += iov[i].iov_len;
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot || len > ART_TP_BODY_MAX)
		return ART_ERR_ARG;
	p = &t->peer[peer];
	if (p->state == ART_RDMA_PROVED && !p->ending && !art__rdma_pair_switch(t, peer))
		return 0;
	loan = lend(t, peer, iov, len, l);
	if (loan)
		*lent = true;
	if (p->queued == 0 && (ring_takes(t, p, len) || (p->state == ART_RDMA_UP &&
			       art__rdma_reap(t) && ring_takes(t, p, len)))) {
		if (loan)
			to_ring_lent(t, p->conn, iov[0].iov_base, len, loan);
		else
			to_ring(t, p->conn, iov, niov, len);
		return 1;
	}
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (p->ending) /* lost with the connection; its down() is on the way */
		return 0;
	if (p->queued == 0 && is_carried(t, p))
		return to_carrier(t, peer, iov, niov);
	if (!p->link && !p->dialled && (r = dial(t, peer)) < 0)
		return r;
	return send_later(t, peer, iov, niov, ART_TP_HEAD + len, loan);
}

static void take_off(struct art_rdma *t, struct art_rdma_peer *p)
{
	struct art_rdma_chunk *k = STAILQ_FIRST(&p->queue);

	STAILQ_REMOVE_HEAD(&p->queue, next);
	p->queued -= k->len;
	t->queued -= k->len;
	art__env_free(t->env, k);
}

/* How many of those that wait one write could bring, once there is space, and where they end. */
static unsigned could_gather(const struct art_rdma *t, const struct art_rdma_peer *p, uint64_t *end)
{
	const struct art_rdma_tx *tx = &p->conn->tx;
	const struct art_rdma_chunk *k;
	unsigned n = 0;

	*end = tx->at;
	STAILQ_FOREACH(k, &p->queue, next) {
		uint64_t next = art__rdma_next(tx->bytes, *end, k->len - ART_TP_HEAD);

		if (!k->loan || 2 * n + 3 > t->dev.sges || (n && next - tx->at > tx->bytes / 2))
			return n;
		*end = next;
		n++;
		if ((next & (tx->bytes - 1)) == 0)
			return n; /* the next one would begin at the start */
	}
	return n;
}

/* One write costs a device less than several, and who waits here waits for it anyway. As long as something
 * that is lent is under way there will be credit. */
static unsigned to_gather(const struct art_rdma *t, const struct art_rdma_peer *p)
{
	const struct art_rdma_conn *c = p->conn;
	uint64_t end;
	unsigned n = could_gather(t, p, &end);

	if (end - c->tx.acked <= c->tx.bytes && c->tx.records - c->tx.records_acked + n <= c->tx.window)
		return n;
	return STAILQ_EMPTY(&c->loans) ? 1 : 0;
}

/* False: there is no space, or not for as many as it is worth to wait for. */
static bool send_gathered(struct art_rdma *t, struct art_rdma_peer *p)
{
	struct art_rdma_gather g = {.records = 0};

	for (unsigned n = to_gather(t, p); n > 0; n--) {
		struct art_rdma_chunk *k = STAILQ_FIRST(&p->queue);

		(void)put_lent(t, p->conn, k->data, k->len - ART_TP_HEAD, k->loan, &g);
		take_off(t, p);
	}
	if (g.records && !art__rdma_post_gather(t, p->conn, &g))
		art__rdma_cannot_post(t, p->conn);
	return g.records > 0;
}

/* 1: gone, 0: there is no space yet, -1: lost. */
static int send_first(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	struct art_rdma_chunk *k = STAILQ_FIRST(&p->queue);
	struct iovec v[2] = {{k->data, ART_TP_HEAD},
			     {(void *)(uintptr_t)k->body, k->len - ART_TP_HEAD}};

	if (ring_takes(t, p, v[1].iov_len)) {
		if (k->loan && !art__rdma_reads(t, p->conn))
			return send_gathered(t, p);
		if (k->loan)
			to_ring_lent(t, p->conn, k->data, v[1].iov_len, k->loan);
		else
			to_ring(t, p->conn, v, 2, v[1].iov_len);
	} else if (!is_carried(t, p) || p->carrier_full) {
		return 0;
	} else if (to_carrier(t, peer, v, 2) < 0) {
		return -1;
	} else if (k->loan) {
		art__rdma_loan_over(t, k->loan);
	}
	take_off(t, p);
	return 1;
}

void art__rdma_flush(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	int r = 1;

	assert(t->polling);
	while (r > 0 && p->queued > 0)
		r = send_first(t, peer);
	if (r < 0)
		art__rdma_pair_end(t, peer, ART_TP_RESET);
	else
		art__rdma_room(t, peer);
}

/* Of the record at @at, which we wrote: @copied, or where it is lent from. */
static const uint8_t *body_of(const struct art_rdma_conn *c, uint64_t at, const uint8_t *copied)
{
	const struct art_rdma_loan *loan;

	STAILQ_FOREACH(loan, &c->loans, next)
		if (loan->at == at)
			return loan->token ? loan->body : nothing;
	return copied;
}

bool art__rdma_resend(struct art_rdma *t, struct art_rdma_conn *c, uint64_t from)
{
	uint8_t head[ART_TP_HEAD];
	const uint8_t *body;
	size_t len;
	int r = 0;

	for (uint64_t at = from; at < c->tx.at && r >= 0; at = art__rdma_next(c->tx.bytes, at, len)) {
		struct iovec v[2];

		art__rdma_written(&c->tx, at, head, &body, &len);
		v[0] = (struct iovec){head, sizeof(head)};
		body = body_of(c, at, body);
		v[1] = (struct iovec){(void *)(uintptr_t)body, len};
		r = to_carrier(t, c->peer, v, len ? 2 : 1);
		t->n[ART_RDMA_N_RESENT]++;
	}
	return r >= 0;
}
