/* SPDX-License-Identifier: MIT
 *
 * The messages of an op: their header, and payloads cut into segments against credit.
 */
#include "coll/coll.h"

/* Only the root has heard of everybody's marks; the others pass on what it says. */
void art__op_low_from_root(struct art_op *op, const struct art_hdr *h)
{
	if (h->lag != ART_LAG_UNKNOWN && h->lag <= h->seq)
		op->low = h->seq - h->lag;
	else
		art__op_low(op, h->seq, h->lag);
}

static void header(const struct art_op *op, struct art_hdr *h, uint8_t kind, uint8_t phase,
		   uint64_t off)
{
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->phase = phase;
	h->lag = art__op_lag(op);
	h->epoch = op->epoch;
	h->comm = op->comm->id;
	h->seq = op->seq;
	h->off = off;
	h->sig = op->sig;
}

int art__op_send(struct art_op *op, int slot, uint8_t phase, uint64_t off, const void *body,
		 size_t len)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;
	int room;

	header(op, &h, ART_K_DATA, phase, off);
	room = op->bytes > ART_EAGER && len ? art__op_lend(op, slot, &h, body, len) :
		c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, body, len);
	if (!room)
		c->blocked[slot] = true;
	return room;
}

size_t art__op_send_run(struct art_op *op, int slot, uint8_t phase, uint64_t off, const uint8_t *body,
			size_t len, size_t each)
{
	struct art_ops *c = op->comm->coll;
	size_t done = 0, n;
	struct art_hdr h;
	bool room;

	if (c->port->send_run && len > each && !art__op_lends_to(op, slot, body, len)) {
		header(op, &h, ART_K_DATA, phase, off);
		done = c->port->send_run(c->port->self, slot, &h, body, len, each, &room);
		c->blocked[slot] |= !room;
		return done;
	}
	for (; done < len && !c->blocked[slot]; done += n) {
		n = len - done < each ? len - done : each;
		art__op_send(op, slot, phase, off + done, body + done, n);
	}
	return done;
}

void art__op_credit(struct art_op *op, int slot, uint8_t phase, uint64_t upto)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;

	header(op, &h, ART_K_CREDIT, phase, upto);
	if (!c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, NULL, 0))
		c->blocked[slot] = true;
}

uint64_t art__op_window(const struct art_op *op, int slot, uint64_t narrow)
{
	const struct art_core_cfg *cfg = &op->comm->coll->cfg;
	bool ring = cfg->rings == ART_RINGS_ALL;

	if (cfg->rings == ART_RINGS_HOST)
		ring = !cfg->hosts || cfg->hosts[slot] == cfg->hosts[cfg->slot];
	return ring ? narrow : ART_WIDE_WINDOW;
}

static size_t segment(const struct art_op *op)
{
	if (op->bytes <= ART_EAGER)
		return op->bytes;
	return op->elsize ? ART_SEGMENT / op->elsize * op->elsize : ART_SEGMENT;
}

void art__tx_init(const struct art_op *op, struct art_tx *tx, int slot, uint8_t phase)
{
	tx->slot = slot;
	tx->phase = phase;
	tx->opened = false;
	tx->sent = 0;
	tx->granted = segment(op);
}

/* Whole segments that begin within what is granted; the last one of all may be shorter. */
static size_t may_go(const struct art_op *op, const struct art_tx *tx, uint64_t upto, size_t seg)
{
	uint64_t n;

	if (upto <= tx->sent || tx->granted <= tx->sent)
		return 0;
	if (seg == op->bytes)
		return upto - tx->sent; /* it is one message */
	n = (tx->granted - tx->sent + seg - 1) / seg * seg;
	if (n >= upto - tx->sent)
		n = upto < op->bytes ? (upto - tx->sent) / seg * seg : upto - tx->sent;
	return n;
}

bool art__tx_push(struct art_op *op, struct art_tx *tx, const uint8_t *base, uint64_t upto)
{
	const bool *blocked = op->comm->coll->blocked;
	size_t seg = segment(op), n;

	if (!op->bytes && !tx->opened && !blocked[tx->slot]) {
		tx->opened = true;
		art__op_send(op, tx->slot, tx->phase, 0, NULL, 0);
	}
	n = may_go(op, tx, upto, seg);
	if (n && !blocked[tx->slot] && n <= seg) {
		tx->opened = true;
		tx->sent += n;
		art__op_send(op, tx->slot, tx->phase, tx->sent - n, base + tx->sent - n, n);
	} else if (n && !blocked[tx->slot]) {
		tx->opened = true;
		tx->sent += art__op_send_run(op, tx->slot, tx->phase, tx->sent, base + tx->sent, n, seg);
	}
	return tx->sent >= upto && (op->bytes || tx->opened);
}
