/* SPDX-License-Identifier: MIT
 *
 * The messages of an op: their header, and payloads cut into segments against credit.
 */
#include "coll/coll.h"

uint16_t art__op_lag(const struct art_op *op)
{
	uint64_t lag = op->seq - op->low;

	return lag < ART_LAG_UNKNOWN ? (uint16_t)lag : ART_LAG_UNKNOWN;
}

void art__op_low(struct art_op *op, uint64_t seq, uint16_t lag)
{
	uint64_t low = lag == ART_LAG_UNKNOWN || lag > seq ? op->comm->stable : seq - lag;

	if (low < op->low)
		op->low = low;
}

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
	room = c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, body, len);
	if (!room)
		c->blocked[slot] = true;
	return room;
}

void art__op_credit(struct art_op *op, int slot, uint8_t phase, uint64_t upto)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;

	header(op, &h, ART_K_CREDIT, phase, upto);
	if (!c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, NULL, 0))
		c->blocked[slot] = true;
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

bool art__tx_push(struct art_op *op, struct art_tx *tx, const uint8_t *base, uint64_t upto)
{
	const bool *blocked = op->comm->coll->blocked;
	size_t seg = segment(op);

	if (!op->bytes && !tx->opened && !blocked[tx->slot]) {
		tx->opened = true;
		art__op_send(op, tx->slot, tx->phase, 0, NULL, 0);
	}
	while (tx->sent < upto && tx->sent < tx->granted && !blocked[tx->slot]) {
		size_t n = upto - tx->sent < seg ? upto - tx->sent : seg;

		if (n < seg && upto < op->bytes)
			break; /* wait for a whole segment */
		art__op_send(op, tx->slot, tx->phase, tx->sent, base + tx->sent, n);
		tx->opened = true;
		tx->sent += n;
	}
	return tx->sent >= upto && (op->bytes || tx->opened);
}
