/* SPDX-License-Identifier: MIT
 *
 * What is lent of an op's memory. A segment of a long payload need not be copied where the transport can
 * leave it to the peer to read it out of the input, or the receive buffer. The caller then waits until all
 * of it is back, as it waits for a function that still runs.
 *
 *   sent --lent--> out --the peer has read it, or its link is gone: returned()--> back
 *                   | (nobody is going to look at it: decided, or stable) recalled
 *
 * Until it is back nothing but what the receiver has already used is written over. What is lent of an
 * attempt that is over is read in vain: a member has been frozen before the decision and drops it by its
 * epoch, and a rank that leaves has no queue pair to read by (rule R6).
 *
 * The other way round, the transport may ask where the body of a message will go, and have its own device read it
 * to there (place): a part of the receive buffer of an attempt that is running, which nothing has come for. Who
 * ends the attempt first sees to it that nothing comes any more (unplace in art__tree_end()): not later than
 * the buffer is the caller's again, or another attempt's.
 *
 * Short payloads, and what is put together in scratch that is used again, is copied: a rank that has
 * returned early must not wait for one that has not called.
 */
#include <assert.h>

#include "base/marks.h"
#include "coll/coll.h"

static bool lies_in(const void *buf, uint64_t bytes, const uint8_t *body, size_t len)
{
	const uint8_t *from = buf;

	return from && body >= from && (uint64_t)(body - from) <= bytes &&
	       len <= bytes - (uint64_t)(body - from);
}

/* The memory of @op that these bytes lie in, if it may be lent. */
static const void *base_of(const struct art_op *op, const void *body, size_t len)
{
	if (op->bytes <= ART_EAGER || !len || !op->comm->coll->port->lend)
		return NULL;
	if (lies_in(op->input, op->bytes, body, len))
		return op->input;
	return lies_in(op->call.recvbuf, op->bytes, body, len) ? op->call.recvbuf : NULL;
}

bool art__op_lends_to(const struct art_op *op, int slot, const void *body, size_t len)
{
	const struct art_port *port = op->comm->coll->port;

	return base_of(op, body, len) && port->lends(port->self, slot);
}

int art__op_lend(struct art_op *op, int slot, const struct art_hdr *h, const void *body, size_t len)
{
	const struct art_port *port = op->comm->coll->port;
	struct art_lending from = { .op = op, .base = base_of(op, body, len), .bytes = op->bytes };
	bool lent;
	int room;

	if (!from.base)
		return port->send(port->self, ART_CHAN_DATA, slot, h, body, len);
	room = port->lend(port->self, slot, h, body, len, &from, &lent);
	op->nlent += lent;
	op->lends |= lent;
	return room;
}

uint8_t *art__coll_place(struct art_ops *c, int from, const struct art_hdr *h, struct art_lending *in)
{
	struct art_comm *m = c->frozen || h->kind != ART_K_DATA ? NULL : art__comm_find(c, h->comm);
	struct art_op *op = m && h->seq > m->stable && m->made ? art__op_find(m, h->seq) : NULL;
	uint8_t *at = NULL;

	if (!op || !op->entered || op->state != ART_OP_RUNNING || op->idle || op->work || op->refused ||
	    op->code || !op->tree || op->bytes <= ART_EAGER || !op->call.recvbuf || h->sig != op->sig ||
	    h->epoch != op->epoch || !c->port->unplace || art__ft_op_frozen(c->ft, m->id, h->seq))
		return NULL;
	at = art__tree_place(op, from, h);
	if (!at)
		return NULL;
	*in = (struct art_lending){ .op = op, .base = op->call.recvbuf, .bytes = op->bytes };
	op->lends = true; /* it is registered, until it is taken back */
	ART_MARK(c->env, ART_M_PLACED);
	return at;
}

void art__op_take_back(struct art_op *op)
{
	const struct art_port *port = op->comm->coll->port;

	if (op->lends)
		port->lent_over(port->self, op);
	op->lends = false;
	op->nlent = 0;
}

void art__coll_returned(struct art_ops *c, struct art_op *op)
{
	(void)c;
	assert(op->nlent > 0);
	if (--op->nlent > 0)
		return;
	art__comm_soil(op->comm);
	if (op->idle)
		art__op_settle(op); /* the caller was kept for it */
}

bool art__coll_lends(const struct art_ops *c)
{
	for (const struct art_op *op = c->active; op; op = op->next)
		if (op->nlent)
			return true;
	return false;
}

void art__coll_recall(struct art_ops *c)
{
	for (struct art_op *op = c->active; op; op = op->next)
		art__op_take_back(op);
}
