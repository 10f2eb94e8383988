/* SPDX-License-Identifier: MIT
 *
 * The life of an op, whatever machine runs it: made, begun, stepped, forgotten. How it ends is told
 * in outcome.c, what outlives the call in keep.c.
 */
#include <assert.h>

#include <art/art.h>

#include "base/marks.h"
#include "coll/spread.h"
#include "coll/twotree.h"

/* ---- the table of a communicator ---- */

static bool ring_room(struct art_comm *m, uint64_t seq)
{
	uint32_t cap = m->ring_cap ? m->ring_cap : 16;
	struct art_op **ring;

	if (m->ring_cap && seq - m->forgot < m->ring_cap)
		return true;
	if (seq - m->forgot >= ART_RING_MAX)
		return false;
	while (seq - m->forgot >= cap)
		cap *= 2;
	ring = art__env_zalloc(m->coll->env, cap * sizeof(*ring));
	if (!ring)
		return false;
	for (uint64_t s = m->forgot + 1; s <= m->top_seq; s++)
		ring[s & (cap - 1)] = m->ring[s & (m->ring_cap - 1)];
	art__env_free(m->coll->env, m->ring);
	m->ring = ring;
	m->ring_cap = cap;
	return true;
}

struct art_op *art__op_make(struct art_comm *m, uint64_t seq)
{
	struct art_ops *c = m->coll;
	struct art_op *op = c->free_ops;

	if (!ring_room(m, seq))
		return NULL;
	if (op) {
		c->free_ops = op->next;
	} else {
		op = art__env_alloc(c->env, sizeof(*op));
		if (!op)
			return NULL;
		op->all_next = c->all_ops;
		c->all_ops = op;
		c->op_bytes += sizeof(*op);
	}
	memset(op, 0, offsetof(struct art_op, all_next));
	op->comm = m;
	op->seq = seq;
	op->root = -1;
	op->epoch = c->ft->view.base;
	m->ring[seq & (m->ring_cap - 1)] = op;
	if (seq > m->top_seq)
		m->top_seq = seq;
	return op;
}

void art__op_activate(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (op->active)
		return;
	op->active = true;
	op->prev = NULL;
	op->next = c->active;
	if (c->active)
		c->active->prev = op;
	c->active = op;
}

void art__op_deactivate(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (!op->active)
		return;
	op->active = false;
	if (op->prev)
		op->prev->next = op->next;
	else
		c->active = op->next;
	if (op->next)
		op->next->prev = op->prev;
	op->started_ns = op->asked_ns = 0;
	op->name_due = op->reply_due = false;
}

static void recycle(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	op->recycled = true;
	art__deliver_drop(c, op);
	if (op->mirror)
		art__mirror_free(op);
	if (op->saved != op->inlined)
		art__pool_put(&c->pool, op->saved);
	art__pool_put(&c->pool, op->scratch);
	if (op->table)
		art__comm_op_free(op);
	art__env_free(c->env, op->returned_set);
	art__env_free(c->env, op->entered_by);
	op->next = c->free_ops;
	c->free_ops = op;
}

/* This rank's part was safe long ago; now the outcome of the present attempt is certain. */
static void settled_by_stability(struct art_op *op)
{
	op->held = true;
	op->out_epoch = op->told_epoch;
	op->out_replays = op->told_replays;
	if (op->out_replays)
		art__op_note_odd(op);
}

/* Nothing hangs on it but what it keeps: so are most. */
static bool is_bare(const struct art_op *op)
{
	const void *const on[] = { op->early, op->work, op->tree, op->ring, op->steps, op->mirror, op->scratch,
				   op->table, op->returned_set, op->entered_by, op->comm->coll->serves };
	uintptr_t any = (uintptr_t)op->active;

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		any |= (uintptr_t)on[i];
	return !any;
}

static void recycle_bare(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	op->recycled = true;
	if (op->saved != op->inlined)
		art__pool_put(&c->pool, op->saved);
	op->next = c->free_ops;
	c->free_ops = op;
}

/* Stable: out of the table; the struct lives on as long as its caller looks at it. */
void art__op_forget(struct art_op *op)
{
	struct art_comm *m = op->comm;

	m->ring[op->seq & (m->ring_cap - 1)] = NULL;
	if (op->named)
		m->nnamed--;
	if (op->returned && !op->held)
		settled_by_stability(op);
	if (op->done && op->entered) {
		m->nlog--;
		m->log_bytes -= op->saved && op->saved != op->inlined ? op->saved_cap : 0;
	}
	op->forgotten = true;
	if (op->released && is_bare(op)) {
		recycle_bare(op);
		return;
	}
	art__op_reset(op);
	if (op->mirror)
		art__mirror_free(op);
	art__op_deactivate(op);
	if (op->released || !op->entered)
		recycle(op);
}

void art__op_release(struct art_core *core, struct art_op *op)
{
	(void)core;
	assert(op->done && !op->released);
	op->released = true;
	op->comm->unreleased--;
	if (op->comm->freed)
		art__comm_soil(op->comm); /* it may be over now */
	if (op->forgotten)
		recycle(op);
}

/* The rank ends: also the ops that callers still look at. */
void art__op_free_all(struct art_ops *c)
{
	while (c->all_ops) {
		struct art_op *op = c->all_ops;

		c->all_ops = op->all_next;
		if (!op->recycled) {
			op->comm = &c->nowhere;
			art__op_reset(op);
			recycle(op);
		}
		art__env_free(c->env, op);
	}
	c->free_ops = NULL;
}

/* ---- running ---- */

bool art__op_is_frozen(const struct art_op *op)
{
	const struct art_ops *c = op->comm->coll;

	return c->frozen || art__ft_op_frozen(c->ft, op->comm->id, op->seq);
}

static void reset_scratch(struct art_op *op)
{
	art__pool_put(&op->comm->coll->pool, op->scratch);
	op->scratch = NULL;
}

/* Ends the present attempt: nothing of it is used again. */
void art__op_reset(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (op->work)
		art__work_abandon(op);
	if (op->tree)
		art__tree_end(op);
	if (op->ring)
		art__ring_end(op);
	if (op->steps)
		(op->by_two ? art__twotree_end : art__steps_end)(op);
	if (op->mirror)
		art__star_end(op);
	if (op->early)
		art__early_drop(c, &op->early);
	if (!ART_COLL_MUTANT(c, 8)) {
		op->acc = NULL;
		if (op->scratch)
			reset_scratch(op);
	}
	op->idle = true;
	op->arena = op->arena_undecided = op->arena_full = op->quick = op->hosted = false;
	op->bulk.on = false;
	op->pull_told = false;
	op->pulled = 0;
}

static void lost_root(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_set s;

	art__set_init(&s, (uint32_t)c->cfg.size);
	art__set_add(&s, (uint32_t)op->root);
	op->alone = true;
	art__op_fail(op, ART_ERR_ROOT_LOST, c->ft->lost_epoch[op->root],
		     art__comm_keep_set(op->comm, c->ft->lost_epoch[op->root], true, &s));
}

static void alone(struct art_op *op)
{
	if (op->call.recvbuf && op->input && op->bytes && op->call.recvbuf != (void *)op->input)
		art__spread_copy(op->comm->coll->port, op->call.recvbuf, op->input, op->bytes);
	op->idle = true;
	art__op_hold(op);
}

/* False: no memory for it. */
static bool begin_machine(struct art_op *op)
{
	switch (art__choose(op)) {
	case ART_ALGO_DOUBLING:
		return true;
	case ART_ALGO_RING:
		return art__ring_begin(op);
	case ART_ALGO_HALVING:
	case ART_ALGO_SCATTER:
		return art__steps_begin(op);
	case ART_ALGO_TWOTREE:
		return art__twotree_begin(op);
	default:
		return art__tree_begin(op);
	}
}

/* Starts an attempt in op->epoch: the first, or a rerun. */
void art__op_begin(struct art_op *op)
{
	struct art_comm *m = op->comm;

	art__comm_parts(m);
	op->state = ART_OP_RUNNING;
	op->idle = op->arena_full = false;
	op->low = op->call.kind == ART_C_BCAST ? m->stable : art__stable_low(m);
	art__op_activate(op);
	if (op->policy != ART_P_MIRROR || !art__mirror_begin(op))
		art__op_run(op);
}

void art__op_run(struct art_op *op)
{
	struct art_comm *m = op->comm;
	bool arena;

	if (op->root >= 0 && !art__set_has(&m->coll->ft->view.members, (uint32_t)op->root)) {
		lost_root(op);
		return;
	}
	if (m->npart == 1) {
		alone(op);
		return;
	}
	if (!ART_COLL_MUTANT(m->coll, 8) || !op->acc)
		op->acc = op->input;
	arena = m->coll->arena && art__arena_takes(op);
	if (!art__comm_contributors(m, op->epoch) ||
	    (!arena && !begin_machine(op))) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, m->coll->cfg.slot, -1);
		return;
	}
	if (arena)
		art__arena_begin(op);
	else if (m->coll->arena)
		art__arena_tell(op);
	if (!arena && !op->tree && !op->ring && !op->steps)
		art__rd_begin(op);
	art__op_step(op);
	if (m->early)
		art__early_claim(op);
}

/* Calls may be far ahead of what the others have called; what is sent is not, so that they need
 * not keep too much of it. */
static bool too_far_ahead(const struct art_op *op)
{
	struct art_comm *m = op->comm;

	return op->seq > m->stable + 4 * m->coll->cfg.log_ops ||
	       (m->coll->arena && art__arena_op_is_full(op));
}

/* An entered op that nothing holds up: what was decided of it, or the first attempt. */
void art__op_go(struct art_op *op)
{
	if (op->foreseen == ART_RES_DELIVER) {
		art__change_deliver(op);
	} else if (too_far_ahead(op)) {
		op->state = ART_OP_FROZEN; /* until more is stable */
		art__op_activate(op);
		if (op->comm->coll->arena && art__arena_op_is_full(op))
			art__arena_wait_room(op);
	} else {
		art__op_begin(op);
	}
}

void art__op_step(struct art_op *op)
{
	if (op->state != ART_OP_RUNNING || op->work || op->idle) {
		if (op->state == ART_OP_MIRRORED && !op->work && !op->idle)
			art__mirror_step(op);
		return;
	}
	if (op->arena)
		art__arena_step(op);
	else if (op->tree)
		art__tree_step(op);
	else if (op->ring)
		art__ring_step(op);
	else if (op->steps)
		(op->by_two ? art__twotree_step : art__steps_step)(op);
	else
		art__rd_step(op);
	if (op->idle)
		art__op_settle(op);
}

static enum art_take offer(struct art_op *op, int from, const struct art_hdr *h,
			   const uint8_t *body)
{
	if (op->state != ART_OP_RUNNING || op->idle)
		return op->state == ART_OP_MIRRORED && !op->idle ?
			       art__mirror_data(op, from, h, body) : ART_IGNORED;
	if (op->arena)
		return op->arena_undecided ? ART_NOT_YET : ART_IGNORED;
	if (op->ring)
		return art__ring_data(op, from, h, body);
	if (op->steps)
		return (op->by_two ? art__twotree_data : art__steps_data)(op, from, h, body);
	return op->tree ? art__tree_data(op, from, h, body) : art__rd_data(op, from, h, body);
}

/* While its input goes to a buddy, or it is not known which way it goes, credit for what comes after that
 * waits as messages do. */
static enum art_take credit(struct art_op *op, int from, const struct art_hdr *h)
{
	if (op->arena_undecided)
		return ART_NOT_YET;
	if (op->state == ART_OP_MIRRORED)
		return art__mirror_credit(op, from, h);
	if (op->tree && op->state == ART_OP_RUNNING)
		art__tree_credit(op, from, h);
	else if (op->ring && op->state == ART_OP_RUNNING)
		art__ring_credit(op, from, h);
	else if (op->steps && op->state == ART_OP_RUNNING)
		(op->by_two ? art__twotree_credit : art__steps_credit)(op, from, h);
	return ART_TAKEN;
}

/* Messages that had to wait for an earlier one. */
void art__op_retry(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_early **p = &op->early;

	while (*p && !op->work) {
		struct art_early *e = *p;
		enum art_take take;

		*p = e->next; /* out of the list: taking it may end the op, and the list */
		take = e->hdr.kind == ART_K_CREDIT ? credit(op, e->from, &e->hdr) :
						     offer(op, e->from, &e->hdr, e->body);
		if (take == ART_NOT_YET) {
			e->next = *p;
			*p = e;
			p = &e->next;
			continue;
		}
		art__early_free(c, e);
		if (take == ART_TAKEN) {
			art__op_step(op);
			p = &op->early;
		}
	}
}

/* A message of this op and of its epoch. */
void art__op_dispatch(struct art_op *op, int from, const struct art_hdr *h, const uint8_t *body)
{
	enum art_take take;

	if (h->kind == ART_K_CREDIT) {
		if (credit(op, from, h) == ART_NOT_YET)
			art__early_keep(op->comm->coll, &op->early, ART_CHAN_DATA, from, h, body);
		art__op_step(op);
		if (op->early)
			art__op_retry(op);
		return;
	}
	take = op->work ? ART_NOT_YET : offer(op, from, h, body);
	if (take == ART_NOT_YET) {
		art__early_keep(op->comm->coll, &op->early, ART_CHAN_DATA, from, h, body);
	} else if (take == ART_TAKEN) {
		art__op_step(op);
		if (op->early)
			art__op_retry(op);
	}
}

/* A user function has put its result into w->inout. */
void art__op_computed(struct art_op *op, struct art_work *w)
{
	if (op->state == ART_OP_MIRRORED)
		art__star_computed(op, w);
	else if (op->tree)
		art__tree_computed(op, w);
	else
		art__rd_computed(op, w);
	art__op_step(op);
	if (op->early)
		art__op_retry(op);
}
