/* SPDX-License-Identifier: MIT
 *
 * Algorithms in which every rank sends stretches of the vector to some ranks and receives others, in an
 * order that all know: a plan (plan.c) of hops, those it sends and those it receives, each with the
 * number of its step. Here the plan is carried out.
 *
 *   hop received: next segment comes --> combined with the input or with what is there, or copied
 *   hop sent:     next segment is whole, and may be sent --> out
 *
 * A rank sends its hops one after the other, and takes those that come one after the other, both in
 * the order of their steps. What it sends in a step needs only what came in earlier ones, so the
 * unfinished hop with the lowest step can always go on. A segment goes as soon as it is whole, so
 * that steps overlap. Of the first hop to a rank one segment is sent unasked, all else against credit;
 * what comes for a later step waits, at most one segment from a rank. A place in the stream is
 * step * span + offset, with the same span at all ranks.
 *
 * A stretch that is combined is not one that is still to be sent from there, and what comes as a result
 * is written over what has been sent (plan.c), so one buffer is enough. Each place of a result is
 * combined by one rank and the bytes are passed on: all ranks have the same.
 */
#include "coll/coll.h"

#define ROOM_KEPT (4u << 20) /* bytes of scratch for the next op, at most */

static uint64_t length(const struct art_hop *h)
{
	return h->end - h->begin;
}

static uint64_t piece(const struct art_steps *g, uint64_t left)
{
	return left < g->segment ? left : g->segment;
}

static uint64_t place(const struct art_steps *g, const struct art_hop *h, uint64_t off)
{
	return h->step * g->span + off;
}

/* For the hop that is coming, and for the next one if it comes behind it on the same way. */
static void give_credit(struct art_op *op)
{
	struct art_steps *g = op->steps;

	for (uint32_t i = g->rx_at; i < g->nrx && i < g->rx_at + 2; i++) {
		struct art_hop *h = &g->rx[i];
		uint64_t got = i == g->rx_at ? g->rx_off : 0;
		uint64_t window = art__op_window(op, h->slot, ART_WINDOW) / ART_SEGMENT * g->segment;

		if (h->slot != g->rx[g->rx_at].slot)
			return;
		if (h->granted == length(h) || h->granted > got + window / 2)
			continue;
		h->granted = got + window < length(h) ? got + window : length(h);
		art__op_credit(op, h->slot, ART_PH_STEPS, place(g, h, h->granted));
	}
}

/* What every hop begins with, once all are known. */
static void ready(struct art_steps *g, struct art_hop *hop, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		bool first = true;

		for (uint32_t k = 0; k < i && first; k++)
			first = hop[k].slot != hop[i].slot;
		hop[i].granted = first ? piece(g, length(&hop[i])) : 0;
	}
}

/* Where it is put together: who is not the root of a reduce has no memory of the caller's for that. What the
 * last one had is used again, since fresh memory costs more than what is done in it. */
static bool find_room(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_steps *g = op->steps;

	g->out = op->call.recvbuf;
	if (op->way != ART_C_REDUCE || op->root == c->cfg.slot || !g->nrx)
		return true;
	g->room = op->bytes;
	g->out = c->room_bytes >= op->bytes ? c->room : NULL;
	if (g->out) {
		g->room = c->room_bytes;
		c->room = NULL;
		c->room_bytes = 0;
	} else {
		g->out = art__pool_get(&c->pool, op->bytes);
	}
	return g->out != NULL;
}

static void leave_room(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_steps *g = op->steps;
	uint8_t *worse = g->out;

	if (!g->room)
		return;
	if (g->out && g->room > c->room_bytes && g->room <= ROOM_KEPT) {
		worse = c->room;
		c->room = g->out;
		c->room_bytes = g->room;
	}
	art__pool_put(&c->pool, worse);
	g->out = NULL;
	g->room = 0;
}

bool art__steps_begin(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	uint32_t most = art__plan_most(op);
	struct art_steps *g = art__pool_get(&c->pool, sizeof(*g) + 2 * most * sizeof(*g->tx));

	if (!g)
		return false;
	memset(g, 0, sizeof(*g));
	op->steps = g;
	op->by_two = false;
	g->span = op->bytes + 1;
	g->tx = g->hop;
	g->rx = g->hop + most;
	g->segment = c->cfg.ring_segment / op->elsize * op->elsize;
	if (!g->segment)
		g->segment = op->elsize;
	art__plan_make(op);
	if (!find_room(op)) {
		art__steps_end(op);
		return false;
	}
	ready(g, g->tx, g->ntx);
	ready(g, g->rx, g->nrx);
	if (op->way == ART_C_BCAST && !g->nrx)
		art__op_hold(op); /* the root holds from entry (rule R1) */
	give_credit(op);
	return true;
}

void art__steps_end(struct art_op *op)
{
	leave_room(op);
	art__pool_put(&op->comm->coll->pool, op->steps);
	op->steps = NULL;
}

/* Has all of [from, to) come that the hop needs? */
static bool whole(const struct art_steps *g, const struct art_hop *h, uint64_t from, uint64_t to)
{
	const struct art_hop *coming = &g->rx[g->rx_at];

	if (g->rx_at >= h->need)
		return true;
	return g->rx_at + 1 == h->need &&
	       (to <= coming->begin + g->rx_off || from >= coming->end);
}

/* Bytes of the hop at hand that are here and may be sent, in whole segments. */
static uint64_t may_go(const struct art_steps *g, const struct art_hop *h)
{
	uint64_t n = 0, off = g->tx_off, len;

	for (; off < h->granted && off < length(h); off += len, n += len) {
		len = piece(g, length(h) - off);
		if (!whole(g, h, h->begin + off, h->begin + off + len))
			break;
	}
	return n;
}

/* Sends what can be sent of the hop at hand. True: all of it is out now. */
static bool send_hop(struct art_op *op)
{
	struct art_steps *g = op->steps;
	struct art_hop *h = &g->tx[g->tx_at];
	bool again = ART_COLL_MUTANT(op->comm->coll, 26) && op->replays && g->out;
	uint64_t n = may_go(g, h);
	const uint8_t *from = h->raw && !again ? op->input : g->out;

	if (!n || op->comm->coll->blocked[h->slot])
		return false;
	g->tx_off += art__op_send_run(op, h->slot, ART_PH_STEPS, place(g, h, g->tx_off),
				      from + h->begin + g->tx_off, n, g->segment);
	if (g->tx_off < length(h))
		return false;
	g->tx_at++;
	g->tx_off = 0;
	return true;
}

void art__steps_step(struct art_op *op)
{
	struct art_steps *g = op->steps;

	while (g->tx_at < g->ntx && send_hop(op))
		;
	if (g->rx_at < g->nrx)
		return;
	if (op->way == ART_C_REDUCE && op->root != op->comm->coll->cfg.slot) {
		if (g->tx_at < g->ntx)
			return;
		leave_room(op);
		art__op_return_early(op); /* its part is out */
		return;
	}
	op->idle = g->tx_at == g->ntx;
	art__op_hold(op);
}

/* Is it of a hop that is still to come? */
static bool later(const struct art_steps *g, int from, uint64_t step)
{
	for (uint32_t i = g->rx_at + 1; i < g->nrx; i++)
		if (g->rx[i].slot == from && g->rx[i].step == step)
			return true;
	return false;
}

static void take(struct art_op *op, const struct art_hop *h, uint64_t at, const uint8_t *body,
		 size_t len)
{
	uint8_t *out = op->steps->out + at;
	const uint8_t *mine = h->raw ? op->input + at : out;

	if (!h->combine)
		memcpy(out, body, len);
	else
		art__work_combine(op, h->theirs_left ? body : mine, h->theirs_left ? mine : body, out,
				  len);
}

enum art_take art__steps_data(struct art_op *op, int from, const struct art_hdr *h,
			      const uint8_t *body)
{
	struct art_steps *g = op->steps;
	uint64_t step = h->off / g->span, off = h->off % g->span;
	const struct art_hop *hop = &g->rx[g->rx_at];

	if (h->phase != ART_PH_STEPS || g->rx_at == g->nrx)
		return ART_IGNORED;
	if (from != hop->slot || step != hop->step)
		return later(g, from, step) ? ART_NOT_YET : ART_IGNORED;
	if (off != g->rx_off || off >= hop->granted || h->len != piece(g, length(hop) - off))
		return ART_IGNORED;
	take(op, hop, hop->begin + off, body, h->len);
	if (op->way == ART_C_BCAST)
		art__op_low_from_root(op, h);
	else
		art__op_low(op, h->seq, h->lag);
	g->rx_off += h->len;
	if (g->rx_off == length(hop)) {
		g->rx_at++;
		g->rx_off = 0;
	}
	give_credit(op);
	return ART_TAKEN;
}

void art__steps_credit(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_steps *g = op->steps;
	uint64_t step = h->off / g->span, upto = h->off % g->span;

	if (h->phase != ART_PH_STEPS)
		return;
	for (uint32_t i = g->tx_at; i < g->ntx; i++) {
		struct art_hop *hop = &g->tx[i];

		if (hop->slot == from && hop->step == step && upto > hop->granted &&
		    upto <= length(hop))
			hop->granted = upto;
	}
}
