/* SPDX-License-Identifier: MIT
 *
 * A rerun that counts lost ranks: members that keep their inputs stand in for them (mirror.c). It is
 * rare, so it is simple: one rank - the root, or the first - takes one input after the other, whole, in
 * order of rank, combines them in the shape that a binomial tree over as many ranks has, and gives the
 * result to everybody. Of a bcast whose root is lost the rank that keeps the payload is that one.
 *
 *   others: sending inputs, the own and those kept here --> (reduce: over) --result--> over
 *   top:    input 0, 1, ... n-1 --> combined --> result to each --> over
 *
 * Parts wait in a stack: as soon as the two last cover equally many ranks they become one, so that it
 * never holds more than log2(n) + 1 of them. STAND carries the place of its input above its offset.
 */
#include <assert.h>

#include <art/status.h>

#include "coll/coll.h"

#define PLACE_SHIFT 44 /* of an offset on the wire; below it bytes */
#define STACK 20       /* more than log2(ART_MAX_RANKS) + 1 */

_Static_assert(ART_MAX_RANKS < 1u << (STACK - 1), "the stack holds a part of each size");

struct input {
	int slot, by; /* whose, and who has it */
};

struct part {
	uint8_t *sum;
	int level;    /* it covers 2^level places, unless it is the last */
};

struct art_star {
	int n;
	struct input *input;    /* in order of rank */
	int top;                /* slot that combines */
	int at;                 /* top: the place that comes next; others: whose input goes out next */
	/* top */
	uint8_t *in;            /* what has come of the input at @at */
	uint64_t got;
	bool come;              /* all of it */
	int nstack;
	struct part stack[STACK];
	bool combined;
	struct art_tx *down;    /* [npart], to part[i] */
	/* others */
	uint64_t sent, granted; /* of the input at @at */
	bool opened;
	uint64_t result_got;
	bool result_here;
};

static int me(const struct art_op *op)
{
	return op->comm->coll->cfg.slot;
}

static struct art_star *star_of(const struct art_op *op)
{
	return op->mirror->star;
}

static size_t segment(const struct art_op *op)
{
	return op->bytes <= ART_EAGER || !op->elsize ? op->bytes :
						       ART_SEGMENT / op->elsize * op->elsize;
}

/* A result comes down to everybody; of a uniform reduce an empty one. */
static uint64_t down_bytes(const struct art_op *op)
{
	return op->way == ART_C_REDUCE ? 0 : op->bytes;
}

static bool waits_for_top(const struct art_op *op)
{
	return op->way != ART_C_REDUCE || op->uniform;
}

/* ---- begin and end ---- */

static int stand_in_of(const struct art_op *op, int slot)
{
	const struct art_mirror *mi = op->mirror;

	for (uint32_t i = 0; i < mi->nstand; i++)
		if (mi->stand[i].slot == (uint32_t)slot)
			return (int)mi->stand[i].by;
	return -1;
}

static void list_inputs(struct art_op *op, struct art_star *s)
{
	const struct art_comm *m = op->comm;

	for (int r = 0; r < m->nrank; r++) {
		int slot = m->slots[r], by = stand_in_of(op, slot);

		if (op->way == ART_C_BCAST && slot != op->root)
			continue;
		if (art__set_has(&m->coll->ft->view.members, (uint32_t)slot))
			by = slot;
		if (by >= 0)
			s->input[s->n++] = (struct input){ slot, by };
		if (by >= 0 && by != slot && ART_COLL_MUTANT(m->coll, 15))
			s->input[s->n++] = (struct input){ slot, by };
	}
	s->top = op->way == ART_C_REDUCE ? op->root : op->way == ART_C_BCAST ? s->input[0].by :
									       m->part[0];
}

static bool get_memory(struct art_op *op, struct art_star *s)
{
	struct art_pool *pool = &op->comm->coll->pool;
	size_t np = (size_t)op->comm->npart;

	if (s->top != me(op))
		return true;
	s->in = art__pool_get(pool, op->bytes + 1);
	s->down = art__pool_get(pool, np * sizeof(*s->down));
	for (size_t i = 0; s->down && i < np; i++)
		art__tx_init(op, &s->down[i], op->comm->part[i], ART_PH_STOOD);
	return s->in && s->down;
}

/* What is kept for a lost rank was given to another call than this one: as if that rank still lived. */
static bool fits(struct art_op *op)
{
	const struct art_mirror *mi = op->mirror;

	for (uint32_t i = 0; i < mi->nstand; i++) {
		int lost = (int)mi->stand[i].slot;
		const struct art_deposit *d = art__mirror_find(op, lost);

		if (mi->stand[i].by != (uint32_t)me(op))
			continue;
		if (!d) {
			art__op_ask(op, ART_ERR_INTERNAL, me(op), -1); /* it was promised */
			return false;
		}
		if (d->sig == op->sig && d->bytes == op->bytes)
			continue;
		art__op_mismatch(op, lost);
		return false;
	}
	return true;
}

bool art__star_begin(struct art_op *op)
{
	struct art_pool *pool = &op->comm->coll->pool;
	struct art_star *s = art__pool_get(pool, sizeof(*s));

	if (!s)
		return false;
	memset(s, 0, sizeof(*s));
	op->mirror->star = s;
	op->low = op->comm->stable; /* nobody's marks come along */
	s->granted = segment(op);
	s->input = art__pool_get(pool, 2 * (size_t)op->comm->nrank * sizeof(*s->input));
	if (s->input)
		list_inputs(op, s);
	if (!s->input || !get_memory(op, s)) {
		art__star_end(op);
		return false;
	}
	assert(op->way != ART_C_BARRIER && s->n > 0);
	if (s->top != me(op) && waits_for_top(op) && down_bytes(op) > ART_EAGER)
		art__op_credit(op, s->top, ART_PH_STOOD, op->bytes);
	if (s->top == me(op) && s->input[0].by != me(op) && op->bytes > ART_EAGER)
		art__op_credit(op, s->input[0].by, ART_PH_STAND, op->bytes);
	if (!fits(op))
		op->idle = true; /* until it is decided that it fails */
	return true;
}

void art__star_end(struct art_op *op)
{
	struct art_pool *pool = &op->comm->coll->pool;
	struct art_star *s = star_of(op);

	if (!s)
		return;
	for (int i = 0; i < s->nstack; i++)
		art__pool_put(pool, s->stack[i].sum);
	art__pool_put(pool, s->in);
	art__pool_put(pool, s->down);
	art__pool_put(pool, s->input);
	art__pool_put(pool, s);
	op->mirror->star = NULL;
}

static const uint8_t *input_here(const struct art_op *op, const struct input *in)
{
	return in->slot == me(op) ? op->input : art__mirror_find(op, in->slot)->data;
}

/* ---- the top ---- */

static bool push_part(struct art_op *op, const uint8_t *p)
{
	struct art_star *s = star_of(op);
	uint8_t *sum = art__pool_get(&op->comm->coll->pool, op->bytes + 1);

	if (!sum) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, me(op), -1);
		return false;
	}
	assert(s->nstack < STACK);
	if (op->bytes)
		memcpy(sum, p, op->bytes);
	s->stack[s->nstack++] = (struct part){ sum, 0 };
	return true;
}

/* The place that comes next: false while it is on its way. */
static bool take_input(struct art_op *op)
{
	struct art_star *s = star_of(op);
	const struct input *in = &s->input[s->at];
	bool here = in->by == me(op);

	if (!here && !s->come)
		return false;
	if (!push_part(op, here ? input_here(op, in) : s->in))
		return false;
	s->at++;
	s->got = 0;
	s->come = false;
	if (s->at < s->n && s->input[s->at].by != me(op) && op->bytes > ART_EAGER)
		art__op_credit(op, s->input[s->at].by, ART_PH_STAND,
			       (uint64_t)s->at << PLACE_SHIFT | op->bytes);
	return true;
}

static bool may_merge(const struct art_star *s)
{
	return s->nstack >= 2 && (s->at == s->n || s->stack[s->nstack - 1].level ==
						   s->stack[s->nstack - 2].level);
}

static void merged(struct art_op *op)
{
	struct art_star *s = star_of(op);

	art__pool_put(&op->comm->coll->pool, s->stack[--s->nstack].sum);
	s->stack[s->nstack - 1].level++;
}

void art__star_computed(struct art_op *op, struct art_work *w)
{
	struct art_star *s = star_of(op);

	memcpy(s->stack[s->nstack - 2].sum, w->inout, op->bytes);
	merged(op);
}

/* True when all of it is one. */
static bool combine(struct art_op *op)
{
	struct art_star *s = star_of(op);

	while (!op->work && !op->idle) {
		struct part *p = &s->stack[s->nstack >= 2 ? s->nstack - 2 : 0];
		enum art_work_now now;

		if (may_merge(s)) {
			now = art__work_combine(op, p[0].sum, p[1].sum, p[0].sum, op->bytes);
			if (now == ART_WORK_NOMEM)
				op->idle = true;
			else if (now == ART_WORK_DONE)
				merged(op);
		} else if (s->at == s->n) {
			return true;
		} else if (!take_input(op)) {
			return false;
		}
	}
	return false;
}

static void step_top(struct art_op *op)
{
	struct art_star *s = star_of(op);
	bool all = true;

	if (!s->combined) {
		if (!combine(op))
			return;
		s->combined = true;
		if (op->bytes && op->call.recvbuf)
			memcpy(op->call.recvbuf, s->stack[0].sum, op->bytes);
	}
	for (int i = 0; waits_for_top(op) && i < op->comm->npart; i++) {
		struct art_tx *tx = &s->down[i];

		if (tx->slot == me(op))
			continue;
		if (!down_bytes(op) && !tx->opened) {
			art__op_send(op, tx->slot, ART_PH_STOOD, 0, NULL, 0);
			tx->opened = true;
		}
		if (down_bytes(op) && !art__tx_push(op, tx, op->call.recvbuf, op->bytes))
			all = false;
	}
	op->idle = all;
	art__op_hold(op);
}

static enum art_take input_comes(struct art_op *op, int from, const struct art_hdr *h,
				 const uint8_t *body)
{
	struct art_star *s = star_of(op);
	uint64_t place = h->off >> PLACE_SHIFT, off = h->off & ((UINT64_C(1) << PLACE_SHIFT) - 1);

	if (s->top != me(op) || place >= (uint64_t)s->n || s->input[place].by != from)
		return ART_IGNORED;
	if (place > (uint64_t)s->at)
		return ART_NOT_YET;
	if (place < (uint64_t)s->at || s->come || off != s->got || h->len > op->bytes - off)
		return ART_IGNORED;
	if (h->len)
		memcpy(s->in + off, body, h->len);
	s->got += h->len;
	s->come = s->got == op->bytes;
	return ART_TAKEN;
}

/* ---- the others ---- */

static bool send_input(struct art_op *op, const uint8_t *p)
{
	struct art_star *s = star_of(op);
	const bool *blocked = op->comm->coll->blocked;
	uint64_t place = (uint64_t)s->at << PLACE_SHIFT;

	while (!blocked[s->top] && (!s->opened || s->sent < op->bytes) &&
	       (!s->opened || s->sent < s->granted)) {
		size_t seg = segment(op), n = op->bytes - s->sent < seg ? op->bytes - s->sent : seg;

		art__op_send(op, s->top, ART_PH_STAND, place | s->sent, p ? p + s->sent : NULL, n);
		s->opened = true;
		s->sent += n;
	}
	return s->opened && s->sent == op->bytes;
}

static void step_other(struct art_op *op)
{
	struct art_star *s = star_of(op);

	for (; s->at < s->n; s->at++) {
		if (s->input[s->at].by != me(op))
			continue;
		if (!send_input(op, input_here(op, &s->input[s->at])))
			return;
		s->opened = false;
		s->sent = 0;
		s->granted = segment(op);
	}
	if (!waits_for_top(op)) {
		art__op_return_early(op);
	} else if (s->result_here) {
		op->idle = true;
		art__op_hold(op);
	}
}

static enum art_take result_comes(struct art_op *op, int from, const struct art_hdr *h,
				  const uint8_t *body)
{
	struct art_star *s = star_of(op);

	if (from != s->top || s->result_here || h->off != s->result_got ||
	    h->len > down_bytes(op) - s->result_got)
		return ART_IGNORED;
	if (h->len)
		memcpy((uint8_t *)op->call.recvbuf + h->off, body, h->len);
	s->result_got += h->len;
	s->result_here = s->result_got == down_bytes(op);
	return ART_TAKEN;
}

/* ---- all of it ---- */

void art__star_step(struct art_op *op)
{
	if (op->idle || op->work)
		return;
	if (star_of(op)->top == me(op))
		step_top(op);
	else
		step_other(op);
	if (op->state == ART_OP_MIRRORED && op->idle)
		art__op_settle(op);
}

enum art_take art__star_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body)
{
	if (op->work)
		return ART_NOT_YET;
	if (h->phase == ART_PH_STAND)
		return input_comes(op, from, h, body);
	return h->phase == ART_PH_STOOD ? result_comes(op, from, h, body) : ART_IGNORED;
}

void art__star_credit(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_star *s = star_of(op);
	uint64_t off = h->off & ((UINT64_C(1) << PLACE_SHIFT) - 1);

	if (h->phase == ART_PH_STAND && from == s->top && s->top != me(op) &&
	    h->off >> PLACE_SHIFT == (uint64_t)s->at && off > s->granted)
		s->granted = off;
	for (int i = 0; h->phase == ART_PH_STOOD && s->top == me(op) && i < op->comm->npart; i++)
		if (s->down[i].slot == from && h->off > s->down[i].granted)
			s->down[i].granted = h->off;
}
