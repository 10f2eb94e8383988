/* SPDX-License-Identifier: MIT
 *
 * DELIVER: a member of the new view holds the op, so it must not run again. Whoever lacks the
 * outcome pulls it from the holder: first a record (epoch, replays, contributors), then, for
 * bcast and allreduce, the payload as a stream.
 *
 *   pulling --PULL--> (holder) --OUTCOME record--> told --OUTCOME payload...--> over
 */
#include <art/status.h>

#include "coll/coll.h"

#define RECORD_MAX (16 + ART_MAX_RANKS / 8)

static bool wants_payload(const struct art_op *op)
{
	return (op->way == ART_C_BCAST || op->way == ART_C_ALLREDUCE) && op->bytes;
}

static void header(const struct art_op *op, uint8_t kind, uint32_t epoch, struct art_hdr *h)
{
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->lag = ART_LAG_UNKNOWN;
	h->epoch = epoch;
	h->comm = op->comm->id;
	h->seq = op->seq;
	h->sig = op->sig;
}

/* Asks the holder; again from the start in every epoch that decides DELIVER. */
void art__deliver_pull(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;

	op->state = ART_OP_PULLING;
	op->pulled = 0;
	op->pull_told = false;
	art__op_activate(op);
	header(op, ART_K_PULL, op->epoch, &h);
	c->port->send(c->port->self, ART_CHAN_DATA, op->holder, &h, NULL, 0);
}

/* ---- the holder's side ---- */

static void send_record(struct art_ops *c, const struct art_serve *s)
{
	uint8_t b[RECORD_MAX];
	struct art_wbuf w = { .p = b, .cap = sizeof(b) };
	struct art_hdr h;

	art__w_u32(&w, s->op->out_epoch);
	art__w_u32(&w, s->op->out_replays);
	art__w_set(&w, s->op->contributors);
	header(s->op, ART_K_OUTCOME, s->epoch, &h);
	if (!c->port->send(c->port->self, ART_CHAN_DATA, s->slot, &h, b, w.len))
		c->blocked[s->slot] = true;
}

/* True when this member has been served. */
static bool serve(struct art_ops *c, struct art_serve *s)
{
	const struct art_op *op = s->op;
	struct art_hdr h;

	if (c->blocked[s->slot])
		return false;
	if (!s->told)
		send_record(c, s);
	s->told = true;
	header(op, ART_K_OUTCOME, s->epoch, &h);
	h.phase = 1;
	while (wants_payload(op) && s->sent < op->bytes && !c->blocked[s->slot]) {
		size_t n = op->bytes - s->sent < ART_SEGMENT ? op->bytes - s->sent : ART_SEGMENT;

		h.off = s->sent;
		if (!c->port->send(c->port->self, ART_CHAN_DATA, s->slot, &h,
				   art__op_payload(op) + s->sent, n))
			c->blocked[s->slot] = true;
		s->sent += n;
	}
	return !wants_payload(op) || s->sent >= op->bytes;
}

void art__deliver_step(struct art_ops *c)
{
	struct art_serve **p = &c->serves;

	while (*p) {
		struct art_serve *s = *p;

		if (!serve(c, s)) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		art__pool_put(&c->pool, s);
	}
}

static struct art_serve *serve_of(struct art_ops *c, const struct art_op *op, int slot)
{
	struct art_serve *s = c->serves;

	while (s && (s->op != op || s->slot != slot))
		s = s->next;
	return s;
}

static struct art_serve *new_serve(struct art_ops *c, struct art_op *op, int slot)
{
	struct art_serve *s = art__pool_get(&c->pool, sizeof(*s));

	if (!s) {
		art__ft_relink(c->ft); /* an answer that never comes is a lost message */
		return NULL;
	}
	s->op = op;
	s->slot = slot;
	s->next = c->serves;
	return c->serves = s;
}

void art__deliver_on_pull(struct art_ops *c, int from, const struct art_hdr *h)
{
	struct art_comm *m = art__comm_find(c, h->comm);
	struct art_op *op = m ? art__op_find(m, h->seq) : NULL;
	struct art_serve *s;

	if (m && h->epoch > c->ft->view.epoch) {
		art__early_comm(m, ART_CHAN_DATA, from, h, NULL);
		return;
	}
	if (!op || h->epoch < c->ft->view.base || !op->held || op->code || !op->contributors)
		return;
	s = serve_of(c, op, from);
	if (!s)
		s = new_serve(c, op, from);
	if (!s)
		return;
	s->epoch = h->epoch;
	s->told = false; /* from the start, if it was asked twice */
	s->sent = 0;
	art__deliver_step(c);
}

/* @op NULL: all. */
void art__deliver_drop(struct art_ops *c, const struct art_op *op)
{
	struct art_serve **p = &c->serves;

	while (*p) {
		struct art_serve *s = *p;

		if (op && s->op != op) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		art__pool_put(&c->pool, s);
	}
}

/* ---- the other side ---- */

static void take_record(struct art_op *op, const struct art_hdr *h, const uint8_t *body)
{
	struct art_rbuf r = { .p = body, .len = h->len };
	uint32_t epoch = art__r_u32(&r), replays = art__r_u32(&r);
	struct art_set s;

	art__r_set(&r, (uint32_t)op->comm->coll->cfg.size, &s);
	if (r.bad || op->pull_told)
		return;
	op->out_epoch = epoch;
	op->out_replays = replays;
	/* of a rerun with lost ranks: not those of everything computed in that epoch */
	op->contributors = art__comm_keep_set(op->comm, epoch, op->policy == ART_P_MIRROR, &s);
	op->pull_told = op->contributors != NULL;
	if (!op->contributors)
		art__ft_relink(op->comm->coll->ft); /* as if the message had been lost */
}

static void take_payload(struct art_op *op, const struct art_hdr *h, const uint8_t *body)
{
	if (!op->pull_told || h->off != op->pulled || h->len > op->bytes - op->pulled)
		return;
	memcpy((uint8_t *)op->call.recvbuf + h->off, body, h->len);
	op->pulled += h->len;
}

void art__deliver_on_outcome(struct art_ops *c, int from, const struct art_hdr *h,
			     const uint8_t *body)
{
	struct art_comm *m = art__comm_find(c, h->comm);
	struct art_op *op = m ? art__op_find(m, h->seq) : NULL;

	if (!op || op->state != ART_OP_PULLING || h->epoch != op->epoch || from != op->holder)
		return;
	if (h->phase == 0)
		take_record(op, h, body);
	else
		take_payload(op, h, body);
	if (op->pull_told && (!wants_payload(op) || op->pulled == op->bytes))
		art__op_delivered(op);
}
