/* SPDX-License-Identifier: MIT
 *
 * A tree over several hosts (tree.c) whose edges inside a host are slots of the memory that its ranks share
 * (base/arena.h). Of each host one rank, its leader, speaks to other hosts, and all the others are its kids:
 *
 *   kid                                    leader
 *   its input into its slot      ------>   combined, as a message would be --> to other leaders, by messages
 *   copied from the leader's     <------   the result, or payload, into its slot
 *
 * Only what carries an edge differs. The op is one by messages, among all participants of its epoch: how it
 * is frozen, reported, run again, delivered and forgotten, and who may return early, is as without slots. So
 * nobody on other hosts need know which hosts share memory, and the ranks of one know alike from their call,
 * the participants and the `state` of their parts (arena.c).
 *
 * A flag names its attempt, looking is part of an event, and who waits and does not look says so, as in
 * arena.c. A slot is used again when the op for which it was used is stable: marks of this host alone would not
 * do, since who has returned early from a reduce may have to put its input down again for a root elsewhere.
 *
 * Who waits for somebody of its host sees in that one's slot whether it has called something else. Two who
 * wait for nobody, or for messages only, would not: so each such rank looks at the others' after it has put
 * down its own.
 */
#include <art/art.h>

#include "base/marks.h"
#include "coll/coll.h"
#include "coll/leaders.h"
#include "coll/places.h"

static const struct art_arena *arena(const struct art_op *op)
{
	return op->comm->coll->arena;
}

static bool is_near(const struct art_ops *c, int slot)
{
	return art__leaders_near(c, slot);
}

static bool is_short(const struct art_op *op)
{
	return op->bytes <= arena(op)->max;
}

static const struct art_arena_slot *slot_of(const struct art_op *op, int slot)
{
	return art__leaders_slot(op->comm, op->arena_slot, slot);
}

/* ---- has the world of a job of several hosts slots on this one? ---- */

/* Enough that a report of what is done is due before they are used up (stable.c). */
static unsigned slots_for(uint32_t log_ops)
{
	unsigned n = 1;

	while (n < log_ops && n < ART_ARENA_SLOTS)
		n *= 2;
	return n;
}

void art__leaders_init(struct art_ops *c)
{
	int n = 0;

	for (int i = 0; i < c->cfg.size; i++)
		n += is_near(c, i);
	if (n < 2 || n > ART_ARENA_RANKS)
		return;
	c->world->room = art__arena_world(c->arena);
	c->world->room.slots = slots_for(c->cfg.log_ops);
	c->world->leaders = true;
}

/* As of all ranks of one host (arena.c). */
static enum art_arena_state state_of(struct art_comm *m)
{
	const struct art_ops *c = m->coll;
	bool unknown = false;
	int n = 0;

	for (int i = 0; i < m->npart; i++) {
		const struct art_arena_part *part = c->arena->part[m->part[i]];
		uint32_t state = part ? atomic_load_explicit(&part->state, memory_order_acquire) :
					ART_ARENA_NONE;

		if (!is_near(c, m->part[i]))
			continue;
		if (state != ART_ARENA_READY && state != ART_ARENA_UNKNOWN)
			return ART_ARENA_NONE;
		unknown |= state == ART_ARENA_UNKNOWN;
		n++;
	}
	return n < 2 ? ART_ARENA_NONE : unknown ? ART_ARENA_UNKNOWN : ART_ARENA_READY;
}

enum art_arena_state art__leaders_state(struct art_comm *m)
{
	if (m->near_state == ART_ARENA_UNKNOWN) {
		m->near_state = state_of(m);
		if (m->near_state == ART_ARENA_NONE)
			art__comm_soil(m); /* what waited for a slot goes on */
	}
	return m->near_state;
}

/* Of the call and the participants alone: would its edges in this host be slots, if there were any? */
static bool allowed(const struct art_op *op)
{
	return op->comm->leaders && op->call.kind <= ART_C_ALLREDUCE && !op->call.fn && !op->uniform &&
	       op->policy <= ART_LOSS_ERROR && (is_short(op) || arena(op)->bulk) &&
	       art__choose(op) == ART_ALGO_LEADERS;
}

bool art__leaders_in_pieces(const struct art_op *op)
{
	return allowed(op) && !is_short(op);
}

bool art__leaders_undecided(struct art_op *op)
{
	return allowed(op) && art__leaders_state(op->comm) == ART_ARENA_UNKNOWN;
}

bool art__leaders_is_full(struct art_comm *m, uint64_t seq)
{
	return seq > m->stable + m->room.slots && !ART_COLL_MUTANT(m->coll, 32) &&
	       art__leaders_state(m) != ART_ARENA_NONE;
}

/* ---- putting ---- */

static void put(struct art_op *op, const uint8_t *payload, size_t bytes, bool alone)
{
	struct art_arena_word w = { .flag = op->arena_at, .sig = op->sig, .lag = art__op_lag(op), .alone = alone,
				    .pieces = op->hosted && op->tree->pieces };

	art__arena_write(op->comm, &w, payload, bytes);
	art__arena_fence(memory_order_seq_cst);
}

/* Both put down their own before they look at each other's, with a fence between: one of them sees it. */
static void check(struct art_op *op, int slot)
{
	const struct art_arena_slot *s = slot_of(op, slot);
	const struct art_arena_part *p = arena(op)->part[slot];

	if (atomic_load_explicit(&art__arena_marks(p, &op->comm->room)->alone, memory_order_acquire) < op->arena_at)
		return;
	if (atomic_load_explicit(&s->flag, memory_order_acquire) == op->arena_at && s->comm == op->comm->id &&
	    s->sig != op->sig && !op->asked && !op->plea.code)
		art__op_mismatch(op, slot);
}

static void check_all(struct art_op *op)
{
	const struct art_comm *m = op->comm;

	for (int i = 0; i < m->npart; i++)
		if (i != m->mypos && is_near(m->coll, m->part[i]))
			check(op, m->part[i]);
}

static void place(struct art_op *op)
{
	op->arena_at = art__arena_flag(op);
	op->arena_slot = art__arena_slot_at(op->comm, op->seq);
}

/* All of it goes by messages: what has been called is put down all the same. */
void art__leaders_tell(struct art_op *op)
{
	if (op->hosted || art__leaders_state(op->comm) == ART_ARENA_NONE)
		return;
	place(op);
	put(op, NULL, 0, true);
	art__arena_nudge(op);
	check_all(op);
}

/* ---- the edges of a tree ---- */

/* Those of this host first: their parts are there sooner, and nobody else cares about the order. */
static void near_first(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	int n = 0;

	for (int i = 0; i < t->nkid; i++) {
		struct art_rx k = t->kid[i];

		k.near = is_near(op->comm->coll, k.slot);
		if (!k.near) {
			t->kid[i] = k;
			continue;
		}
		memmove(&t->kid[n + 1], &t->kid[n], (size_t)(i - n) * sizeof(k));
		t->kid[n++] = k;
	}
	t->nnear = n;
}

void art__leaders_begin(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (!allowed(op) || art__leaders_state(op->comm) != ART_ARENA_READY)
		return;
	op->hosted = true;
	place(op);
	t->near_parent = t->parent >= 0 && is_near(op->comm->coll, t->parent);
	near_first(op);
	t->pieces = !is_short(op);
	if (t->pieces)
		put(op, NULL, 0, t->near_parent ? op->way == ART_C_REDUCE : op->way == ART_C_BCAST);
	else if (t->near_parent && !t->up)
		put(op, NULL, 0, false); /* of a bcast: what has been called */
}

static bool others_there(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	for (int i = 0; i < m->npart; i++) {
		int slot = m->part[i];

		if (i != m->mypos && slot != op->tree->parent && is_near(m->coll, slot) &&
		    atomic_load_explicit(&slot_of(op, slot)->flag, memory_order_acquire) != op->arena_at)
			return false;
	}
	return true;
}

/* The part of a rank with a parent on its host. The last one wakes it, should it not look. */
bool art__leaders_up(struct art_op *op)
{
	bool leaves = op->way == ART_C_REDUCE;

	if (op->tree->pieces) {
		if (!art__leaders_push(op))
			return false;
	} else {
		put(op, op->input, op->bytes, leaves);
		if (others_there(op))
			art__arena_wake(op, op->tree->parent);
	}
	if (leaves)
		check(op, op->tree->parent);
	return true;
}

/* What the one at @slot has put down for this attempt; NULL: nothing yet. */
const struct art_arena_slot *art__leaders_look(struct art_op *op, int slot)
{
	const struct art_arena_slot *s = slot_of(op, slot);
	uint64_t flag = atomic_load_explicit(&s->flag, memory_order_acquire);

	if (flag != op->arena_at || s->comm != op->comm->id) {
		if (flag && ((flag ^ op->arena_at) & ART_ARENA_SEQ) == 0)
			ART_MARK(op->comm->coll->env, ART_M_ARENA_OLD_EPOCH);
		return NULL;
	}
	if (s->sig != op->sig) {
		if (!op->asked && !op->plea.code)
			art__op_mismatch(op, slot);
		return NULL;
	}
	if (!art__arena_touch(arena(op), ART_ARENA_TAKE))
		return NULL;
	return s;
}

void art__leaders_heard(struct art_op *op, uint16_t lag)
{
	struct art_hdr h = { .seq = op->seq, .lag = lag };

	if (op->way == ART_C_BCAST)
		art__op_low_from_root(op, &h);
	else
		art__op_low(op, op->seq, lag);
}

static const uint8_t *look(struct art_op *op, int slot)
{
	const struct art_arena_slot *s = art__leaders_look(op, slot);

	if (!s)
		return NULL;
	art__leaders_heard(op, s->lag);
	op->comm->coll->arena_moved = true;
	return op->bytes <= ART_ARENA_SMALL ? s->small : (const uint8_t *)arena(op)->part[slot] +
	       art__arena_big(op->comm, op->seq, op->bytes);
}

const uint8_t *art__leaders_part(struct art_op *op, const struct art_rx *kid)
{
	return look(op, kid->slot);
}

/* Nobody has written over what was read: only who is no member any more finds that. */
bool art__leaders_intact(struct art_op *op, int slot)
{
	art__arena_fence(memory_order_acquire);
	if (atomic_load_explicit(&slot_of(op, slot)->flag, memory_order_relaxed) == op->arena_at &&
	    (!op->tree->pieces || art__leaders_used_for(op, slot)))
		return true;
	op->tree->torn = true;
	return false;
}

/* From the leader. */
void art__leaders_get(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	const uint8_t *p = t->pieces ? NULL : look(op, t->parent);

	if (t->pieces)
		art__leaders_pull(op);
	if (!p)
		return;
	if (op->bytes)
		memcpy(op->call.recvbuf, p, op->bytes);
	if (!art__leaders_intact(op, t->parent))
		return;
	ART_MARK(op->comm->coll->env, ART_M_LEADERS_GOT);
	t->final = op->bytes;
	t->down_begun = true;
}

/* For the others of this host. */
bool art__leaders_give(struct art_op *op, const uint8_t *payload)
{
	struct art_treeop *t = op->tree;

	if (t->given || (t->pieces ? !art__leaders_pour(op, payload) : t->final < op->bytes))
		return t->given;
	t->given = true;
	if (!t->pieces) {
		put(op, payload, op->bytes, op->way == ART_C_BCAST);
		art__arena_nudge(op);
	}
	if (op->way == ART_C_BCAST)
		check_all(op);
	return true;
}

/* Is what it waits for on this host? */
bool art__leaders_looks(const struct art_op *op)
{
	const struct art_treeop *t = op->tree;

	if (t->near_parent)
		return t->pieces || (t->down && !t->down_begun);
	if (t->pieces && t->nnear && t->down && t->final >= op->bytes)
		return true;
	return t->up && !t->up_over && t->item > 0 && t->item <= t->nnear;
}
