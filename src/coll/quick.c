/* SPDX-License-Identifier: MIT
 *
 * The short way of an op through the arena. Most ops are plain: a small payload, everyone alive and able
 * to share memory, nothing else open, nothing asked, nothing named. All that coll.c, op.c, arena.c, keep.c,
 * outcome.c and stable.c decide about such an op comes out the same each time, so here it is done in one go:
 *
 *   call --calm, simple, room?--> put down, entered --> all there? --yes--> held, kept, done
 *     '--no: the long way             |                     '--no: looked at again, until the attempt ends
 *                                     '--leaf of a reduce, root of a bcast: done
 *
 * Only the way is short. Each op is a struct art_op in its communicator's ring, with every field as the
 * long way would have set it, at each point at which anything else can see it: so a freeze, a PROMISE, a
 * rerun or a deadline finds nothing unusual, and there is nothing here for them to know.
 */
#include <art/art.h>

#include "base/marks.h"
#include "coll/coll.h"
#include "coll/given.h"
#include "coll/places.h"

/* Nothing is going on that an op would have to heed. (Mutants are shortcuts in the long way.) */
static bool calm(const struct art_ops *c, const struct art_comm *m)
{
	return c->arena && m->room.slots && !c->active && !c->frozen && !c->ft->nfrozen_named &&
	       !(c->cfg.mutant & ~ART_COLL_QUICK_MUTANTS) && !c->env->trace && m->part_valid &&
	       m->part_epoch == c->ft->view.base && m->arena_state == ART_ARENA_READY && m->npart > 1 &&
	       !m->early && !m->nnamed;
}

/* Nor is anything asked of this one. */
static bool simple(const struct art_ops *c, const struct art_comm *m, const struct art_call *call,
		   size_t bytes)
{
	bool bcast = call->kind == ART_C_BCAST;

	if (call->kind > ART_C_ALLREDUCE || call->fn || m->policy > ART_LOSS_ERROR || m->flags || m->chosen ||
	    m->torn || !art__arena_fits(c, m, bcast, bytes))
		return false;
	if (call->root >= 0 && !art__set_has(&c->ft->view.members, (uint32_t)m->slots[call->root]))
		return false;
	return bcast || call->sendbuf != call->recvbuf || bytes <= ART_INLINE;
}

/* In the log, in the ring of ops, and in the arena; and for the set of its contributors, which it will name. */
static bool room(struct art_ops *c, struct art_comm *m, const struct art_call *call, size_t bytes)
{
	uint64_t seq = m->next_seq;
	unsigned at_once = art__arena_room_for(m, call, bytes);

	return c->free_ops && seq > m->top_seq && m->ring_cap && seq - m->forgot < m->ring_cap &&
	       m->nlog < c->cfg.log_ops && m->log_bytes + bytes <= c->cfg.log_bytes &&
	       (seq <= m->arena_free + at_once || !art__arena_is_full(m, seq, at_once)) &&
	       art__comm_contributors(m, c->ft->view.base);
}

/* Unstable ops before it looks for itself what is stable: later where it hears that with the root's payload. */
static uint32_t learns_after(const struct art_ops *c, const struct art_comm *m, const struct art_call *call)
{
	return c->cfg.log_ops / (call->kind == ART_C_BCAST && call->root != m->me ? 2 : 4);
}

/* For a size that it knows the compiler takes a string instruction, which is slow to begin. */
static void clear(struct art_op *op)
{
	size_t bytes = offsetof(struct art_op, all_next);

	__asm__("" : "+r"(bytes));
	memset(op, 0, bytes);
}

/* As next_op(), take_input() and art__op_begin() leave it. */
static struct art_op *enter(struct art_ops *c, struct art_comm *m, const struct art_call *call,
			    size_t elsize, uint32_t sig)
{
	struct art_op *op = c->free_ops;

	c->free_ops = op->next;
	clear(op);
	op->comm = m;
	op->seq = m->top_seq = m->next_seq++;
	op->epoch = c->ft->view.base;
	m->ring[op->seq & (m->ring_cap - 1)] = op;
	m->unreleased++;
	op->entered = true;
	op->policy = (uint8_t)m->policy;
	op->call = *call;
	op->way = call->kind;
	op->elsize = elsize;
	op->bytes = call->count * elsize;
	op->sig = sig;
	op->root = call->root >= 0 ? m->slots[call->root] : -1;
	op->input = call->kind == ART_C_BCAST ? call->recvbuf : call->sendbuf;
	if (!op->bytes)
		op->input = op->call.recvbuf = op->inlined;
	else if (call->kind != ART_C_BCAST && call->sendbuf == call->recvbuf)
		art__op_save(op, call->sendbuf, false); /* it fits in: no memory is needed */
	op->acc = op->input;
	op->state = ART_OP_RUNNING;
	op->low = call->kind == ART_C_BCAST ? m->stable : m->done_mark;
	op->arena = op->quick = true;
	op->arena_seen = UINT64_C(1) << m->mypos;
	op->arena_at = art__arena_flag(op);
	op->arena_slot = art__arena_slot_at(m, op->seq);
	return op;
}

/* art__op_retain(), where it need not ask for memory. */
static bool keep(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const struct art_core_cfg *cfg = &m->coll->cfg;
	bool leaf = op->way == ART_C_REDUCE && op->root != cfg->slot;

	if (op->bytes > ART_INLINE || m->nlog >= cfg->log_ops || m->log_bytes + op->bytes > cfg->log_bytes)
		return art__op_retain(op);
	if (!op->bytes || (op->way == ART_C_REDUCE && !leaf) || (leaf && op->saved_is_input) ||
	    ART_COLL_MUTANT(m->coll, 31))
		return true;
	if (op->bytes == sizeof(uint64_t))
		memcpy(op->inlined, leaf ? op->input : op->call.recvbuf, sizeof(uint64_t));
	else
		memcpy(op->inlined, leaf ? op->input : op->call.recvbuf, op->bytes);
	op->saved = op->inlined;
	op->saved_cap = ART_INLINE;
	op->saved_is_result = !leaf;
	op->saved_is_input = leaf;
	if (leaf)
		op->input = op->inlined;
	return true;
}

/* Its part is safe, or it has the outcome: kept for others, told, and counted in the marks. */
static void end(struct art_op *op)
{
	struct art_comm *m = op->comm;

	op->idle = true;
	if (!keep(op)) { /* full by now */
		art__op_activate(op);
		art__op_settle(op);
		art__stable_done(op);
		return;
	}
	op->done = true;
	op->state = ART_OP_OVER;
	op->acc = NULL;
	op->arena = op->quick = false;
	m->nlog++;
	m->log_bytes += op->saved && op->saved != op->inlined ? op->saved_cap : 0;
	m->coll->port->done(m->coll->port->self, op);
	if (op->active)
		art__op_deactivate(op);
	art__stable_done(op);
}

static void hold(struct art_op *op)
{
	ART_MARK(op->comm->coll->env, ART_M_ARENA_HELD);
	op->held = true;
	op->out_epoch = op->epoch;
	op->out_replays = op->replays;
	op->contributors = art__comm_contributors(op->comm, op->epoch);
	art__stable_heard(op);
	end(op);
}

static void hand_in(struct art_op *op)
{
	op->returned = true;
	op->told_epoch = op->epoch;
	op->contributors = art__comm_contributors(op->comm, op->epoch);
	end(op);
}

static void take_pair(const struct art_op *op, const uint8_t *theirs)
{
	const uint8_t *left = op->comm->mypos ? theirs : op->input;
	const uint8_t *right = op->comm->mypos ? op->input : theirs;

	if (op->way != ART_C_BCAST)
		art__combine(op->call.op, op->call.type, left, right, op->call.recvbuf, op->call.count);
	else if (op->bytes == sizeof(uint64_t))
		memcpy(op->call.recvbuf, theirs, sizeof(uint64_t));
	else
		memcpy(op->call.recvbuf, theirs, op->bytes);
}

/* When the flag has been written, the look that finds it misses the cache. What lies behind it is asked for in the
 * same moment, and not one after the other: where cores are far apart 64 bytes took 0.63 us and take 0.47. */
static void ask_for(const struct art_op *op, const struct art_arena_slot *s)
{
	const uint8_t *p = (const uint8_t *)s + 64;
	size_t end = offsetof(struct art_arena_slot, small) + op->bytes;

	for (size_t i = 64; op->bytes <= ART_ARENA_SMALL && i < end; i += 64, p += 64)
		__builtin_prefetch(p);
}

/* Of two ranks, each waits for one. */
static bool look_pair(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const struct art_arena *a = m->coll->arena;
	const struct art_arena_slot *s = art__arena_slot(op, 1 - m->mypos);

	ask_for(op, s);
	if (atomic_load_explicit(&s->flag, memory_order_acquire) != op->arena_at)
		return false;
	if ((s->comm != m->id || s->sig != op->sig) && !art__arena_there(op))
		return false;
	art__arena_heard(op, s);
	if (!art__arena_touch(a, ART_ARENA_TAKE))
		return false;
	if (op->bytes) {
		take_pair(op, art__arena_payload(op, 1 - m->mypos));
		art__arena_fence(memory_order_acquire);
		if (atomic_load_explicit(&s->flag, memory_order_relaxed) != op->arena_at ||
		    (op->bytes > ART_ARENA_SMALL && !art__arena_kept(op, 1 - m->mypos)))
			return false;
	}
	hold(op);
	return true;
}

/* True: all that it waits for is there, and it is over. */
static bool look(struct art_op *op)
{
	if (op->comm->npart == 2)
		return look_pair(op);
	if (!art__arena_there(op) || !art__arena_touch(op->comm->coll->arena, ART_ARENA_TAKE))
		return false;
	art__arena_take(op);
	if (op->bytes && !art__arena_intact(op))
		return false;
	if (art__given_wanted(op))
		art__given_put(op);
	hold(op);
	return true;
}

/* The last one tells those who do not look. */
static void nudge(const struct art_op *op)
{
	if (op->comm->npart == 2)
		art__arena_nudge_one(op, 1 - op->comm->mypos);
	else
		art__arena_nudge(op);
}

static bool all_there(struct art_op *op)
{
	if (op->comm->npart > 2)
		return art__arena_there(op);
	return atomic_load_explicit(&art__arena_slot(op, 1 - op->comm->mypos)->flag, memory_order_acquire) ==
	       op->arena_at;
}

/* Its part has been put down. True: it is over. */
static bool go(struct art_op *op)
{
	struct art_comm *m = op->comm;
	bool root = op->root == m->coll->cfg.slot;

	if (op->way == ART_C_BCAST && root) {
		nudge(op);
		hold(op);
		for (int i = 0; i < m->npart; i++)
			if (i != m->mypos)
				art__arena_check(op, i);
		return true;
	}
	if (op->way == ART_C_REDUCE && !root) {
		int pos = art__arena_root(op);

		art__arena_last(op, pos);
		hand_in(op);
		art__arena_check(op, pos);
		return true;
	}
	if (op->way == ART_C_BCAST)
		op->arena_seen = ~(UINT64_C(1) << art__arena_root(op));
	if (op->way == ART_C_BCAST || op->way == ART_C_REDUCE)
		return look(op);
	if (!all_there(op))
		return false;
	nudge(op);
	return look(op);
}

/* First of all, so that it is under way while the rest is done here. */
static uint32_t put(const struct art_ops *c, const struct art_comm *m, const struct art_call *call,
		    size_t bytes)
{
	bool bcast = call->kind == ART_C_BCAST, root = call->root == m->me;
	bool needed = call->root < 0 || bcast == root; /* by another */
	uint64_t seq = m->next_seq;
	struct art_arena_word w = {
		.flag = art__arena_stamp(c->ft->view.base, seq),
		.sig = art__coll_signature(call),
		.lag = art__lag(seq, bcast ? m->stable : m->done_mark),
		.alone = call->root >= 0 && needed,
	};

	art__arena_write(m, &w, bcast ? call->recvbuf : call->sendbuf, needed ? bytes : 0);
	return w.sig;
}

static void tidy(struct art_ops *c, struct art_comm *m)
{
	if (c->dirty == m && !m->dirty_next && !m->freed) { /* its end is not here */
		c->dirty = NULL;
		m->dirty = false;
		art__stable_tidy(m);
	} else if (c->dirty) {
		art__coll_tidy(c);
	}
}

bool art__quick_start(struct art_ops *c, struct art_comm *m, const struct art_call *call,
		      uint64_t deadline_ns, struct art_op **out)
{
	size_t elsize, bytes;
	struct art_op *op;
	uint32_t sig;

	if (!calm(c, m))
		return false;
	elsize = art__type_size(call->type);
	bytes = call->count * elsize;
	if (!simple(c, m, call, bytes) || !room(c, m, call, bytes))
		return false;
	if (m->next_seq - m->stable > learns_after(c, m, call))
		art__arena_learn(m);
	sig = put(c, m, call, bytes);
	*out = op = enter(c, m, call, elsize, sig);
	op->deadline_ns = deadline_ns;
	tidy(c, m); /* what was over before */
	if (call->kind != ART_C_BCAST || call->root == m->me)
		art__arena_fence(memory_order_seq_cst); /* or nobody waits for what was put down */
	if (go(op))
		ART_MARK(c->env, ART_M_QUICK);
	else
		art__op_activate(op);
	return true;
}

void art__quick_step(struct art_op *op)
{
	if (op->idle || op->state != ART_OP_RUNNING || art__op_is_frozen(op))
		return;
	if (look(op))
		ART_MARK(op->comm->coll->env, ART_M_QUICK_LATER);
}

bool art__quick_look(struct art_ops *c, struct art_op *op)
{
	(void)c;
	if (op->quick)
		art__quick_step(op);
	return op->done;
}
