/* SPDX-License-Identifier: MIT
 *
 * Long payloads along the edges that leaders.c has: each rank's `in` (base/arena.h) is a ring of bytes.
 *
 *   kid     in: its input            put: so much of it is there      got: so much of the result it has
 *   leader  in: result or payload    put: likewise                    got: so much it has combined, of all kids
 *
 * The counters are those of the slot that names the attempt; the third, made, says to kids what the leader has
 * heard of everybody's marks (one more than the lag). A leader combines a block as soon as all its kids
 * here have put it, and sends it on while they put the next; what comes down goes on in the same way.
 *
 * `in` is used for one op at a time, in the order of the ops, or hosts might wait for each other with two of
 * them. It is free for the next when whoever reads it has got all, which the counters say; or the attempt that it
 * was used for is over everywhere, by a decision about all ops, or because the op is stable. Who reads
 * looks afterwards whether it was still for that attempt, before it lets anybody know.
 */
#include "base/marks.h"
#include "coll/coll.h"
#include "coll/leaders.h"

/* Bytes moved before the engine is asked whether anybody wants it (rule R5). */
#define BURST (64u * 1024)
/* When to look again whether `in` is free, should nobody tell. */
#define LOOK_NS ART_NS_PER_MS

static const struct art_arena *arena(const struct art_op *op)
{
	return op->comm->coll->arena;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes of the ring: whole elements. */
static uint64_t ring(const struct art_op *op)
{
	return op->comm->room.bulk / op->elsize * op->elsize;
}

/* What is told of at one time: at most @most bytes from place @at on, that lie together. */
static uint64_t piece(const struct art_op *op, uint64_t at, uint64_t most)
{
	uint64_t unit = least(ART_SEGMENT, op->comm->room.bulk / 4) / op->elsize * op->elsize;

	return least(least(unit, most), ring(op) - at % ring(op));
}

static const uint8_t *in_of(const struct art_op *op, int slot, uint64_t at)
{
	return (const uint8_t *)arena(op)->part[slot] + op->comm->room.in + at % ring(op);
}

static uint8_t *my_in(const struct art_op *op, uint64_t at)
{
	return (uint8_t *)arena(op)->mine + op->comm->room.in + at % ring(op);
}

static struct art_arena_slot *my_slot(const struct art_op *op)
{
	return (struct art_arena_slot *)((uint8_t *)arena(op)->mine + op->arena_slot);
}

/* Who waits for it and does not look is woken. False: this rank is no more. */
static bool say(struct art_op *op, _Atomic uint64_t *counter, uint64_t n)
{
	if (!art__arena_touch(arena(op), ART_ARENA_FLAG))
		return false;
	atomic_store_explicit(counter, n, memory_order_release);
	art__arena_fence(memory_order_seq_cst);
	if (op->tree->near_parent)
		art__arena_wake(op, op->tree->parent);
	else
		art__arena_nudge(op);
	op->comm->coll->arena_moved = true;
	return true;
}

/* There is more to do at once. */
static bool enough(struct art_op *op, uint64_t moved)
{
	if (moved < BURST)
		return false;
	op->comm->coll->arena_more = true;
	return true;
}

bool art__leaders_used_for(const struct art_op *op, int slot)
{
	const struct art_arena_marks *marks = art__arena_marks(arena(op)->part[slot], &op->comm->room);

	return atomic_load_explicit(&marks->bulk, memory_order_relaxed) == op->arena_at;
}

/* ---- whose is my `in`? ---- */

/* Has the one at @slot got all of what `in` was used for? */
static bool has_read(const struct art_comm *m, int slot)
{
	const struct art_near_use *u = &m->near_use;
	const struct art_arena_slot *s = art__leaders_slot(m, art__arena_slot_at(m, u->flag & ART_ARENA_SEQ), slot);

	return atomic_load_explicit(&s->flag, memory_order_acquire) == u->flag &&
	       atomic_load_explicit(&s->got, memory_order_acquire) >= u->bytes;
}

static bool use_is_over(const struct art_comm *m)
{
	const struct art_near_use *u = &m->near_use;
	uint64_t seq = u->flag & ART_ARENA_SEQ;
	const struct art_op *op = art__op_find(m, seq);

	if (!u->flag || !op || art__arena_stamp(m->coll->ft->view.base, seq) > u->flag ||
	    ART_COLL_MUTANT(m->coll, 33))
		return true;
	if (!op->held && !op->returned && art__arena_flag(op) != u->flag)
		return true; /* it runs again */
	if (u->reader >= 0)
		return has_read(m, u->reader);
	for (int i = 0; i < m->npart; i++)
		if (i != m->mypos && art__leaders_near(m->coll, m->part[i]) && !has_read(m, m->part[i]))
			return false;
	return true;
}

/* Comes before, and may still want it. */
static bool before_it(const struct art_op *op, const struct art_op *o)
{
	if (o->comm != op->comm || o->seq >= op->seq || o->refused || !art__leaders_in_pieces(o))
		return false;
	return !(o->idle && (o->held || o->returned)) && !(o->hosted && o->tree->near_parent && !o->tree->up);
}

static bool is_free(const struct art_op *op)
{
	for (const struct art_op *o = op->comm->coll->active; o; o = o->next)
		if (before_it(op, o))
			return false;
	return use_is_over(op->comm);
}

static bool claim(struct art_op *op)
{
	struct art_near_use *u = &op->comm->near_use;

	if (u->flag == op->arena_at)
		return true;
	if (!is_free(op)) {
		ART_MARK(op->comm->coll->env, ART_M_LEADERS_WAIT);
		if (!op->again_ns)
			op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
		return false;
	}
	if (!art__arena_touch(arena(op), ART_ARENA_WRITE))
		return false;
	*u = (struct art_near_use){ op->arena_at, op->bytes, op->tree->near_parent ? op->tree->parent : -1 };
	atomic_store_explicit(&art__arena_my_marks(arena(op), &op->comm->room)->bulk, op->arena_at,
			      memory_order_relaxed);
	art__arena_fence(memory_order_release);
	return true;
}

/* ---- from a kid to its leader ---- */

/* So much of it is read by whoever reads least. */
static uint64_t read_by_all(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	uint64_t low = op->bytes;

	for (int i = 0; i < m->npart; i++) {
		const struct art_arena_slot *s = art__leaders_slot(m, op->arena_slot, m->part[i]);
		int slot = m->part[i];

		if (i == m->mypos || !art__leaders_near(m->coll, slot) ||
		    (op->tree->near_parent && slot != op->tree->parent))
			continue;
		if (!art__leaders_look(op, slot))
			return 0;
		low = least(low, atomic_load_explicit(&s->got, memory_order_acquire));
	}
	return low;
}

/* Puts [near_put, upto) of @from down as far as there is room. True: all of it. */
static bool put_some(struct art_op *op, const uint8_t *from, uint64_t upto)
{
	struct art_treeop *t = op->tree;
	uint64_t moved = 0, room, len;

	if (t->near_put >= upto)
		return true;
	if (!claim(op))
		return false;
	room = op->bytes > ring(op) ? least(upto, read_by_all(op) + ring(op)) : upto;
	for (; t->near_put < room && !enough(op, moved); moved += len) {
		len = piece(op, t->near_put, room - t->near_put);
		if (!art__arena_touch(arena(op), ART_ARENA_WRITE))
			return false;
		memcpy(my_in(op, t->near_put), from + t->near_put, len);
		if (!say(op, &my_slot(op)->put, t->near_put + len))
			return false;
		t->near_put += len;
	}
	return t->near_put >= upto;
}

bool art__leaders_push(struct art_op *op)
{
	return put_some(op, op->input, op->bytes);
}

/* The next piece of the kids that is whole; NULL: not yet. */
static const uint8_t *part(struct art_op *op, int slot, uint64_t at, uint64_t len)
{
	const struct art_arena_slot *s = art__leaders_look(op, slot);

	if (!s || atomic_load_explicit(&s->put, memory_order_acquire) < at + len)
		return NULL;
	art__leaders_heard(op, s->lag);
	return in_of(op, slot, at);
}

bool art__leaders_combine(struct art_op *op, uint8_t *out, uint64_t n)
{
	struct art_treeop *t = op->tree;
	uint64_t moved = 0, at, len;

	for (; t->near_at < n; t->near_at += len, t->near_kid = 0) {
		at = t->at + t->near_at;
		len = piece(op, at, n - t->near_at);
		for (; t->near_kid < t->nnear; t->near_kid++, moved += len) {
			int slot = t->kid[t->near_kid].slot;
			const uint8_t *p = enough(op, moved) ? NULL : part(op, slot, at, len);

			if (!p)
				return false;
			art__combine(op->call.op, op->call.type, t->near_kid ? out + t->near_at : op->input + at, p,
				     out + t->near_at, len / op->elsize);
			if (!art__leaders_intact(op, slot))
				return false;
		}
		if (!say(op, &my_slot(op)->got, at + len))
			return false;
	}
	t->near_at = 0;
	return true;
}

/* ---- from a leader to its kids ---- */

bool art__leaders_pour(struct art_op *op, const uint8_t *payload)
{
	if (!op->tree->near_put) /* by now it has heard of everybody's marks: seen with the first piece */
		atomic_store_explicit(&my_slot(op)->made, UINT64_C(1) + art__op_lag(op), memory_order_relaxed);
	return put_some(op, payload, op->tree->final) && op->tree->final >= op->bytes;
}

void art__leaders_pull(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	const struct art_arena_slot *s = art__leaders_look(op, t->parent);
	uint64_t there = s ? least(op->bytes, atomic_load_explicit(&s->put, memory_order_acquire)) : 0;
	uint64_t moved = 0, len;

	if (there)
		art__leaders_heard(op, (uint16_t)(atomic_load_explicit(&s->made, memory_order_relaxed) - 1));
	for (; t->final < there && !t->torn && !enough(op, moved); moved += len) {
		len = piece(op, t->final, there - t->final);
		memcpy((uint8_t *)op->call.recvbuf + t->final, in_of(op, t->parent, t->final), len);
		if (!art__leaders_intact(op, t->parent) || !say(op, &my_slot(op)->got, t->final + len))
			return;
		t->final += len;
		t->down_begun = true;
	}
	if (t->final >= op->bytes)
		ART_MARK(op->comm->coll->env, ART_M_LEADERS_PULLED);
}
