/* SPDX-License-Identifier: MIT
 *
 * Barrier and small bcast, reduce and allreduce of ranks that share memory (base/arena.h): every rank puts
 * its input into a slot of its own. Who waits for some, all or the root's, looks until they are there, and
 * combines or copies them. An allreduce combines in the shape of recursive doubling (rd.c), or in that of a binomial
 * tree if it would go along a tree (choose.c), whatever the radix of that; a reduce in that of a binomial tree. Where
 * the order is fixed these are the shapes that messages have (shape.c).
 *
 *   undecided --all ranks have mapped all parts--> put --> look ... all there --> combined, held
 *       |                                           '--root of a bcast: held; leaf of a reduce: returned
 *       '------one of them cannot--> by messages (op.c)
 *
 * Which way an op goes follows from the call, the participants of its epoch and their `state`, which is
 * set once: everyone comes to the same. What the contract needs is as it is with messages: the flag says
 * for which attempt an input is, so what an older epoch left there has no effect; looking is part of an
 * event, so a frozen rank completes nothing; slots carry the done marks that say what is stable; and a
 * slot is written again only when all have its op done, or for a new attempt of it. A slot carries the call's
 * signature, also when the op itself goes by messages, so that calls that do not match come out.
 *
 * A rank that waits for an op and does not look for a while says so: its `doze` is odd, another odd number
 * each time. Who puts down the last input then sends it a NUDGE on the data channel, one for each of these
 * numbers. It looks once more after it has said so, and others look round and read `doze` after they have
 * put something down: either it sees everything there, or whoever was last does and sees it doze. If that
 * one dies between the two, the change of the view wakes all.
 */
#include <art/art.h>
#include <assert.h>

#include "base/marks.h"
#include "coll/coll.h"
#include "coll/given.h"
#include "coll/leaders.h"
#include "coll/places.h"

#define LEVELS 6
/* A look ends at the first rank that is missing, as all are needed, and where many ranks share a core each
 * line of another's part is far away. One look of so many goes on, and the last one before this rank dozes
 * off: others may have called something else than this rank, and the missing one never come. */
#define LOOK_ROUND 8
/* When to look again whether everyone has mapped the arena, while one has not said so. */
#define LOOK_NS ART_NS_PER_MS

_Static_assert(1 << LEVELS == ART_ARENA_RANKS, "a buffer for each level");

/* ---- is there one? ---- */

bool art__arena_init(struct art_ops *c)
{
	const struct art_arena *a = c->port->arena;
	unsigned hands = c->port->spread ? c->port->spread->most : 1;

	if (!a)
		return true;
	c->arena_hand = LEVELS * a->large;
	c->arena_scratch = art__env_alloc(c->env, hands * c->arena_hand);
	c->nudged = art__env_zalloc(c->env, (size_t)c->cfg.size * sizeof(*c->nudged));
	c->arena = a;
	if (!c->cfg.hosts && c->cfg.size <= ART_ARENA_RANKS && c->world)
		c->world->room = art__arena_world(a);
	else if (c->cfg.hosts && c->world)
		art__leaders_init(c);
	return c->arena_scratch && c->nudged;
}

void art__arena_fini(struct art_ops *c)
{
	art__env_free(c->env, c->arena_scratch);
	art__env_free(c->env, c->nudged);
}

/* Decided once for each set of participants, when the last of them has said whether it can. */
static enum art_arena_state usable(struct art_comm *m)
{
	const struct art_arena *a = m->coll->arena;
	bool unknown = false;

	if (!m->room.slots || m->leaders)
		return ART_ARENA_NONE;
	if (m->arena_state != ART_ARENA_UNKNOWN)
		return m->arena_state;
	for (int i = 0; i < m->npart; i++) {
		const struct art_arena_part *part = a->part[m->part[i]];
		uint32_t state = part ? atomic_load_explicit(&part->state, memory_order_acquire) :
					ART_ARENA_NONE;

		if (state == ART_ARENA_READY && m != m->coll->world)
			state = art__channel_state(m, part);

		if (state != ART_ARENA_READY && state != ART_ARENA_UNKNOWN)
			art__comm_soil(m); /* what waited for a slot goes on */
		if (state != ART_ARENA_READY && state != ART_ARENA_UNKNOWN)
			return m->arena_state = ART_ARENA_NONE;
		unknown |= state == ART_ARENA_UNKNOWN;
	}
	if (unknown)
		return ART_ARENA_UNKNOWN;
	return m->arena_state = ART_ARENA_READY;
}

/* Would it go this way, if there were an arena? Of the call and the participants alone. */
static bool allowed(const struct art_op *op)
{
	return op->call.kind <= ART_C_ALLREDUCE && !op->call.fn && !op->uniform && op->policy <= ART_LOSS_ERROR;
}

static bool fits_slot(const struct art_op *op)
{
	return art__arena_fits(op->comm->coll, op->comm, op->way == ART_C_BCAST, op->bytes);
}

/* What has no room in a slot (bulk.c). */
bool art__arena_in_pieces(const struct art_op *op)
{
	return allowed(op) && !fits_slot(op) && op->comm->coll->arena->bulk;
}

bool art__arena_takes(struct art_op *op)
{
	enum art_arena_state state = usable(op->comm);

	if (op->comm->leaders)
		return op->arena_undecided = art__leaders_undecided(op);
	if (state == ART_ARENA_NONE || !allowed(op) || (!fits_slot(op) && !op->comm->coll->arena->bulk))
		return false;
	op->arena_undecided = state == ART_ARENA_UNKNOWN;
	return true;
}

/* ---- room ---- */

/* Whoever still runs an op may read what others have put down for it; who has it done never will: no
 * rerun is of an op that a member holds. */
static void count_free(struct art_comm *m)
{
	uint64_t low = m->done_mark;

	for (int i = 0; i < m->npart; i++) {
		const struct art_arena_part *part = m->coll->arena->part[m->part[i]];
		uint64_t done = i == m->mypos || !part ? low :
				atomic_load_explicit(&art__arena_marks(part, &m->room)->done,
						     memory_order_acquire);

		if (done < low)
			low = done;
	}
	if (low > m->arena_free)
		m->arena_free = low;
}

uint64_t art__arena_freed(struct art_comm *m)
{
	count_free(m);
	return m->arena_free;
}

/* What every participant has done in this epoch is stable (what it said in an older one may be in doubt
 * again). The others need not know: those that wait for it find out likewise, or by the wave. */
bool art__arena_learn(struct art_comm *m)
{
	const struct art_arena *a = m->coll->arena;
	uint64_t low = art__stable_low(m), before = m->stable, epoch = m->coll->ft->view.base;

	if (!m->room.slots || m->coll->frozen || m->coll->ft->fate || m->part_epoch != epoch ||
	    usable(m) != ART_ARENA_READY)
		return false;
	/* Its end is told by the wave alone: who knew of it from here would be gone, and its marks with it, when
	 * those above it in the tree still wait for its report. */
	if (m->freed && low == m->next_seq - 1)
		low--;
	for (int i = 0; i < m->npart && low > m->stable; i++) {
		uint64_t sure = i == m->mypos ? art__arena_stamp(epoch, low) :
				atomic_load_explicit(&art__arena_marks(a->part[m->part[i]], &m->room)->sure,
						     memory_order_acquire);

		if ((sure ^ art__arena_stamp(epoch, 0)) > ART_ARENA_SEQ)
			return false;
		if ((sure & ART_ARENA_SEQ) < low)
			low = sure & ART_ARENA_SEQ;
	}
	art__stable_learn_here(m, low);
	return m->stable > before;
}

/* The log is full: look as often as at slots. */
void art__arena_log_full(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (!op->comm->room.slots || op->comm->leaders || op->again_ns)
		return;
	op->again_ns = art__env_now(c->env) + LOOK_NS;
	c->arena_log_full = op->comm->arena_log_full = true;
	if (art__arena_learn(op->comm))
		op->comm->arena_log_full = false;
}

static bool learn_some(struct art_ops *c)
{
	bool any = false;

	c->arena_log_full = false;
	for (struct art_comm *m = c->comms; m; m = m->next) {
		if (!m->arena_log_full)
			continue;
		m->arena_log_full = !art__arena_learn(m);
		any |= !m->arena_log_full;
		c->arena_log_full |= m->arena_log_full;
	}
	return any;
}

bool art__arena_is_full(struct art_comm *m, uint64_t seq, unsigned room)
{
	if (m->leaders)
		return art__leaders_is_full(m, seq);
	if (seq <= m->arena_free + room || usable(m) == ART_ARENA_NONE ||
	    ART_COLL_MUTANT(m->coll, 21))
		return false;
	count_free(m);
	return seq > m->arena_free + room;
}

bool art__arena_op_is_full(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	/* What goes by messages, whoever shares memory, puts only down what has been called. */
	return art__arena_is_full(op->comm, op->seq,
				  allowed(op) ? art__arena_room_for(m, &op->call, op->bytes) : m->room.slots);
}

void art__arena_wait_room(struct art_op *op)
{
	if (op->comm->leaders) { /* told, as all that is stable */
		ART_MARK(op->comm->coll->env, ART_M_LEADERS_FULL);
		art__stable_urge(op->comm, op->seq - op->comm->room.slots);
		return;
	}
	ART_MARK(op->comm->coll->env, ART_M_ARENA_FULL);
	op->arena_full = true;
	op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
}

/* True: its slot is free, it begins at the end of this event. */
static bool look_for_room(struct art_op *op)
{
	if (art__arena_op_is_full(op)) {
		op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
		return false;
	}
	op->arena_full = false;
	op->again_ns = 0;
	art__comm_soil(op->comm);
	return true;
}

void art__arena_done(struct art_comm *m)
{
	const struct art_arena *a = m->coll->arena;
	struct art_arena_marks *mine;

	if (!m->room.slots || m->leaders || !art__arena_touch(a, ART_ARENA_DONE))
		return;
	mine = art__arena_my_marks(a, &m->room);
	atomic_store_explicit(&mine->done, m->done_mark, memory_order_release);
	atomic_store_explicit(&mine->sure, art__arena_stamp(m->coll->ft->view.base, art__stable_low(m)),
			      memory_order_release);
}

/* ---- putting ---- */

/* Once for each time that it dozes off. */
static void wake_up(const struct art_op *op, int slot, uint32_t doze)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h = { .kind = ART_K_NUDGE, .epoch = op->epoch, .comm = op->comm->id,
			     .seq = op->seq };

	if (c->nudged[slot] == doze)
		return;
	c->nudged[slot] = doze;
	if (!c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, NULL, 0))
		c->blocked[slot] = true;
}

/* Whoever does not look is told. */
void art__arena_nudge(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const struct art_arena_part *const *part = m->coll->arena->part;

	for (int i = 0; i < m->npart; i++) {
		const struct art_arena_part *p = part[m->part[i]];
		uint32_t doze = i != m->mypos && p ?
				atomic_load_explicit(&p->doze, memory_order_relaxed) : 0;

		if (doze & 1)
			wake_up(op, m->part[i], doze);
	}
}

void art__arena_wake(const struct art_op *op, int slot)
{
	uint32_t doze = atomic_load_explicit(&op->comm->coll->arena->part[slot]->doze, memory_order_relaxed);

	if (doze & 1)
		wake_up(op, slot, doze);
}

/* Where the payload goes may have been used for another op, whose slot is as it was. */
static __attribute__((noinline)) void use_place(const struct art_comm *m, uint64_t flag, size_t bytes)
{
	size_t at = art__arena_large(m, m->room.large, flag);

	if (art__arena_is_large(m, bytes))
		atomic_store_explicit(art__arena_large_for(m, m->coll->arena->mine, at), flag, memory_order_relaxed);
}

void art__arena_write(const struct art_comm *m, const struct art_arena_word *w, const void *input, size_t bytes)
{
	const struct art_arena *a = m->coll->arena;
	uint8_t *mine = (uint8_t *)a->mine;
	struct art_arena_slot *s = (struct art_arena_slot *)(mine + art__arena_slot_at(m, w->flag));

	if (!art__arena_touch(a, ART_ARENA_WRITE))
		return;
	/* Whoever still reads what lay here (it is out of date, or it would be stable) shall notice. */
	atomic_store_explicit(&s->flag, 0, memory_order_relaxed);
	if (bytes > ART_ARENA_SMALL)
		use_place(m, w->flag, bytes);
	art__arena_fence(memory_order_release);
	s->comm = m->id;
	s->sig = w->sig;
	s->lag = w->lag;
	atomic_store_explicit(&s->given, 0, memory_order_relaxed);
	if (w->pieces) {
		atomic_store_explicit(&s->put, 0, memory_order_relaxed);
		atomic_store_explicit(&s->made, 0, memory_order_relaxed);
		atomic_store_explicit(&s->got, 0, memory_order_relaxed);
	}
	if (bytes == sizeof(uint64_t))
		memcpy(s->small, input, sizeof(uint64_t));
	else if (bytes)
		memcpy(bytes <= ART_ARENA_SMALL ? s->small : mine + art__arena_big(m, w->flag, bytes), input, bytes);
	if (!art__arena_touch(a, ART_ARENA_FLAG))
		return;
	atomic_store_explicit(&s->flag, w->flag, memory_order_release);
	if (w->alone)
		atomic_store_explicit(&art__arena_my_marks(a, &m->room)->alone, w->flag, memory_order_release);
}

/* Root of a bcast, leaf of a reduce. */
static bool alone(const struct art_op *op)
{
	return op->root >= 0 && (op->way == ART_C_BCAST) == (op->root == op->comm->coll->cfg.slot);
}

void art__arena_put(struct art_op *op, size_t bytes)
{
	struct art_arena_word w = { .flag = art__arena_flag(op), .sig = op->sig,
				    .lag = art__op_lag(op), .pieces = op->bulk.on, .alone = alone(op) };

	art__arena_write(op->comm, &w, op->input, bytes);
	art__arena_fence(memory_order_seq_cst);
}

/* The op goes by messages: only what has been called. */
void art__arena_tell(struct art_op *op)
{
	if (op->comm->leaders)
		art__leaders_tell(op);
	if (usable(op->comm) == ART_ARENA_NONE)
		return;
	op->arena_slot = art__arena_slot_at(op->comm, op->seq);
	art__arena_put(op, 0);
	art__arena_nudge(op);
}

/* ---- looking ---- */

/* The root of a bcast has heard of everybody's marks. */
void art__arena_heard(struct art_op *op, const struct art_arena_slot *s)
{
	uint16_t lag = s->lag;

	if (op->way == ART_C_BCAST && lag != ART_LAG_UNKNOWN && lag <= op->seq)
		op->low = op->seq - lag;
	else
		art__op_low(op, op->seq, lag);
}

bool art__arena_there(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	uint64_t missing = ~op->arena_seen & (~UINT64_C(0) >> (64 - m->npart));

	op->arena_looks++;
	for (uint64_t left = missing; left; left &= left - 1) {
		int pos = __builtin_ctzll(left);
		const struct art_arena_slot *s = art__arena_slot(op, pos);

		uint64_t flag = atomic_load_explicit(&s->flag, memory_order_acquire);

		if (flag != op->arena_at || s->comm != m->id) {
			if (flag && ((flag ^ op->arena_at) & ART_ARENA_SEQ) == 0)
				ART_MARK(m->coll->env, ART_M_ARENA_OLD_EPOCH);
			if (op->arena_looks % LOOK_ROUND && !(m->coll->doze & 1))
				break;
			continue;
		}
		if (s->sig != op->sig) {
			if (!op->asked && !op->plea.code)
				art__op_mismatch(op, m->part[pos]);
			return false;
		}
		if (atomic_load_explicit(&s->given, memory_order_acquire) == op->arena_at) {
			op->arena_given = pos + 1;
			return true;
		}
		art__arena_heard(op, s);
		op->arena_seen |= UINT64_C(1) << pos;
		missing &= ~(UINT64_C(1) << pos);
	}
	return !missing;
}

/* All inputs but that of the root, which does not put its own down? Then it waits for nobody else. */
static bool all_there_but(const struct art_op *op, int root)
{
	for (int i = 0; i < op->comm->npart; i++)
		if (i != root && i != op->comm->mypos &&
		    atomic_load_explicit(&art__arena_slot(op, i)->flag, memory_order_acquire) != op->arena_at)
			return false;
	return true;
}

/* Both put down their own before they look at each other's, with a fence between: one of them sees it. */
void art__arena_check(struct art_op *op, int pos)
{
	const struct art_arena_part *p = op->comm->coll->arena->part[op->comm->part[pos]];
	const struct art_arena_slot *s = art__arena_slot(op, pos);

	/* That one may have gone on since, by calls of the kind; this rank has not, so its slot is as it was. */
	if (atomic_load_explicit(&art__arena_marks(p, &op->comm->room)->alone, memory_order_acquire) <
	    op->arena_at)
		return;
	if (atomic_load_explicit(&s->flag, memory_order_acquire) == op->arena_at &&
	    s->comm == op->comm->id && s->sig != op->sig && !op->asked && !op->plea.code)
		art__op_mismatch(op, op->comm->part[pos]);
}

int art__arena_root(const struct art_op *op)
{
	int pos = 0;

	while (op->comm->part[pos] != op->root)
		pos++;
	return pos;
}

/* The root of a bcast: whoever has not called looks for it later. */
static void give(struct art_op *op)
{
	art__arena_put(op, op->bytes);
	art__arena_nudge(op);
	ART_MARK(op->comm->coll->env, ART_M_ARENA_HELD);
	op->idle = true;
	art__op_hold(op);
	for (int i = 0; i < op->comm->npart; i++)
		if (i != op->comm->mypos)
			art__arena_check(op, i);
}

void art__arena_last(const struct art_op *op, int root)
{
	const struct art_arena_part *p = op->comm->coll->arena->part[op->root];
	uint32_t doze = atomic_load_explicit(&p->doze, memory_order_relaxed);

	if (doze & 1 && all_there_but(op, root))
		wake_up(op, op->root, doze);
}

/* Of a reduce, not its root: its part is safe, others may die or not. */
static void hand_in(struct art_op *op, int root)
{
	art__arena_put(op, op->bytes);
	art__arena_last(op, root);
	art__op_return_early(op);
	art__arena_check(op, root);
}

/* The last one to put something down finds everything there, and tells those who do not look; of the
 * others each has to wait, whatever it is told. */
static void put_input(struct art_op *op)
{
	struct art_comm *m = op->comm;
	int root = op->way == ART_C_BCAST || op->way == ART_C_REDUCE ? art__arena_root(op) : -1;

	if (op->seq - m->stable > m->coll->cfg.log_ops / 4)
		art__arena_learn(m);
	if (op->bulk.on) {
		if (op->way == ART_C_BCAST && root != m->mypos)
			op->arena_seen = ~(UINT64_C(1) << root);
		art__arena_put(op, 0);
		art__bulk_begin(op);
	} else if (op->way == ART_C_BCAST && root == m->mypos) {
		give(op);
	} else if (op->way == ART_C_BCAST) {
		op->arena_seen = ~(UINT64_C(1) << root);
		art__arena_put(op, 0);
	} else if (op->way == ART_C_REDUCE && root != m->mypos) {
		hand_in(op, root);
	} else {
		art__arena_put(op, root < 0 ? op->bytes : 0);
		if (art__arena_there(op) && root < 0)
			art__arena_nudge(op);
	}
}

/* ---- combining ---- */

struct shape {
	const struct art_op *op;
	int nodes; /* of the binomial tree */
	int rem;   /* the first so many nodes are two positions, folded */
};

const uint8_t *art__arena_payload(const struct art_op *op, int pos)
{
	const struct art_ops *c = op->comm->coll;

	if (pos == op->comm->mypos)
		return op->input;
	if (op->bytes <= ART_ARENA_SMALL)
		return art__arena_slot(op, pos)->small;
	return (const uint8_t *)c->arena->part[op->comm->part[pos]] + art__arena_big(op->comm, op->seq, op->bytes);
}

static void combine(const struct art_op *op, const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	art__combine(op->call.op, op->call.type, left, right, out, op->bytes / op->elsize);
}

static const uint8_t *leaf(const struct shape *s, int node, uint8_t *out)
{
	if (node >= s->rem)
		return art__arena_payload(s->op, node + s->rem);
	combine(s->op, art__arena_payload(s->op, 2 * node), art__arena_payload(s->op, 2 * node + 1), out);
	return out;
}

/* Of nodes [node, node + span). Into @out, unless it is one payload. */
static const uint8_t *subtree(const struct shape *s, int node, int span, uint8_t *out)
{
	const struct art_ops *c = s->op->comm->coll;
	const uint8_t *sum = leaf(s, node, out);
	int level = 0;

	for (int d = 1; d < span && node + d < s->nodes; d *= 2, level++) {
		uint8_t *room = c->arena_scratch + (size_t)level * c->arena->large;

		assert(level < LEVELS);
		combine(s->op, sum, subtree(s, node + d, d, room), out);
		sum = out;
	}
	return sum;
}

/* Would messages go along the tree? */
static bool along_tree(const struct art_op *op)
{
	return op->ordered || (op->way == ART_C_ALLREDUCE && art__choose(op) == ART_ALGO_TREE);
}

/* By recursive doubling, or along a binomial tree, with nobody folded. The two are one where the number of
 * participants is a power of two. */
static void combine_all(const struct art_op *op)
{
	int n = op->comm->npart, pof2 = 1 << (31 - __builtin_clz((unsigned)n));
	bool tree = n != pof2 && along_tree(op);
	struct shape s = { .op = op, .nodes = tree ? n : pof2, .rem = tree ? 0 : n - pof2 };

	if (op->bytes)
		subtree(&s, 0, 2 * pof2, op->call.recvbuf);
}

void art__arena_take(struct art_op *op)
{
	if (op->arena_given || (art__given_wanted(op) && art__given_find(op)))
		art__given_take(op);
	else if (op->way == ART_C_BCAST && op->bytes)
		memcpy(op->call.recvbuf, art__arena_payload(op, art__arena_root(op)), op->bytes);
	else if (op->way != ART_C_BCAST)
		combine_all(op);
}

/* Nobody has written to a slot meanwhile: only who is not a member any more finds that. */
bool art__arena_intact(const struct art_op *op)
{
	int root = op->way == ART_C_BCAST ? art__arena_root(op) : -1;

	art__arena_fence(memory_order_acquire);
	if (op->arena_given)
		return art__given_intact(op);
	for (int i = 0; i < op->comm->npart; i++)
		if (i != op->comm->mypos && (root < 0 || i == root) && !art__arena_kept(op, i))
			return false;
	return true;
}

/* Those of whom it needs something: all, or the root. */
static bool put_by_all(const struct art_op *op)
{
	int root = op->way == ART_C_BCAST ? art__arena_root(op) : -1;

	for (int i = 0; i < op->comm->npart; i++) {
		const struct art_arena_slot *s = art__arena_slot(op, i);

		if (i != op->comm->mypos && (root < 0 || i == root) &&
		    (atomic_load_explicit(&s->flag, memory_order_acquire) != op->arena_at ||
		     s->comm != op->comm->id || s->sig != op->sig))
			return false;
	}
	return true;
}

bool art__arena_late(struct art_op *op)
{
	const struct art_comm *m = op->comm;

	if (!op->arena || op->arena_undecided || op->bulk.on || op->idle || op->state != ART_OP_RUNNING ||
	    !m->part_valid || (m->part_epoch != op->epoch && !ART_COLL_MUTANT(m->coll, 28)) || !put_by_all(op) ||
	    !art__arena_touch(m->coll->arena, ART_ARENA_TAKE))
		return false;
	art__arena_take(op);
	return !op->bytes || art__arena_intact(op);
}

static void decide(struct art_op *op)
{
	struct art_comm *m = op->comm;
	enum art_arena_state state = m->leaders ? art__leaders_state(m) : usable(m);

	if (state == ART_ARENA_UNKNOWN) {
		op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
		return;
	}
	op->arena_undecided = false;
	op->again_ns = 0;
	if (state == ART_ARENA_READY && !m->leaders) {
		put_input(op);
		return;
	}
	if (state == ART_ARENA_NONE)
		ART_MARK(m->coll->env, ART_M_ARENA_WITHOUT);
	op->arena = op->bulk.on = false;
	art__op_begin(op);
	if (op->early)
		art__op_retry(op);
}

void art__arena_again(struct art_op *op)
{
	if (op->arena_full)
		look_for_room(op);
	else if (!op->comm->coll->frozen && !art__op_is_frozen(op))
		art__op_step(op);
}

void art__arena_step(struct art_op *op)
{
	if (op->arena_undecided)
		decide(op);
	if (op->arena && !op->arena_undecided && op->bulk.on && !op->idle) {
		op->idle = art__bulk_step(op);
		return;
	}
	if (!op->arena || op->arena_undecided || op->idle || !art__arena_there(op) ||
	    !art__arena_touch(op->comm->coll->arena, ART_ARENA_TAKE))
		return;
	art__arena_take(op);
	if (op->bytes && !art__arena_intact(op))
		return;
	if (art__given_wanted(op))
		art__given_put(op);
	ART_MARK(op->comm->coll->env, ART_M_ARENA_HELD);
	op->idle = true;
	art__op_hold(op);
}

/* ---- all of it ---- */

static bool waits(const struct art_op *op)
{
	return (op->arena || op->hosted) && op->state == ART_OP_RUNNING && !op->idle;
}

static bool any_waits(const struct art_ops *c)
{
	for (const struct art_op *op = c->active; op; op = op->next)
		if (waits(op))
			return true;
	return false;
}

static void set_doze(struct art_ops *c, uint32_t doze)
{
	if (!art__arena_touch(c->arena, ART_ARENA_DOZE))
		return;
	c->doze = doze;
	atomic_store(&c->arena->mine->doze, doze); /* before any look that follows */
	art__arena_fence(memory_order_seq_cst);
}

/* From now on, what is put down is told. */
static void want_nudges(struct art_ops *c)
{
	set_doze(c, (c->doze | 1) + 2);
}

static void want_none(struct art_ops *c)
{
	if (c->doze & 1)
		set_doze(c, c->doze + 1);
}

int art__arena_peek(struct art_ops *c)
{
	struct art_op *next;
	int found = -1;

	if (c->frozen && !ART_COLL_MUTANT(c, 20))
		return -1;
	if (!c->arena)
		return art__hope_look(c);
	c->arena_moved = c->arena_more = false;
	for (struct art_op *op = c->active; op; op = next) {
		next = op->next;
		if (op->arena_full && look_for_room(op))
			found = 1;
		if (art__op_hopes(op)) {
			art__op_settle(op);
			found = op->done ? 1 : found < 0 && op->arena ? 0 : found;
			continue;
		}
		if (!waits(op) || (c->ft->nfrozen_named && art__op_is_frozen(op)))
			continue;
		if (op->quick)
			art__quick_step(op);
		else
			art__op_step(op);
		if (op->hosted && op->early)
			art__op_retry(op); /* messages that had to wait for it */
		if (op->idle)
			found = 1;
		else if (found < 0 && (!op->hosted || art__leaders_looks(op)))
			found = 0;
	}
	if (c->arena_log_full && learn_some(c))
		found = 1;
	if (c->arena_moved)
		found = 1;
	if (found > 0 && c->doze & 1 && !any_waits(c))
		want_none(c);
	return found;
}

/* Before this rank dozes off it does what there is, and asks who is in arrears: the one that is asked may run
 * in this one's place at once, and would have it told when it is through, which takes a core from somebody. */
static bool ask_first(struct art_ops *c)
{
	bool found;

	want_none(c);
	c->arena_asks = true;
	found = art__arena_peek(c) > 0;
	c->arena_asks = false;
	return found;
}

bool art__arena_doze(struct art_ops *c, bool on)
{
	if (on && art__hope_give_up(c))
		return true;
	if (!c->arena)
		return false;
	if (!on)
		want_none(c);
	if (!on || (c->doze & 1 && !c->arena_more) || !any_waits(c))
		return false;
	if (ask_first(c))
		return true;
	want_nudges(c);
	return art__arena_peek(c) > 0;
}

static bool all_asked_for(const struct art_ops *c)
{
	for (const struct art_op *op = c->active; op; op = op->next)
		if (art__op_hopes(op) || (waits(op) && (!op->bulk.on || op->arena_undecided || !art__bulk_asked_for(op))))
			return false;
	return true;
}

/* As dozing off, but what this rank could do at once stays undone. Who begins or looks later finds that it
 * dozes; who did so before is found here. */
bool art__arena_rest(struct art_ops *c)
{
	if (!c->arena || c->frozen || !any_waits(c) || !all_asked_for(c))
		return false;
	if (!(c->doze & 1))
		want_nudges(c);
	if (all_asked_for(c)) {
		ART_MARK(c->env, ART_M_BULK_RESTS);
		return true;
	}
	c->arena_more = true; /* go on dozing off */
	return false;
}

/* Told that something is there. Whatever comes from now on is told again. */
void art__arena_nudged(struct art_ops *c)
{
	if (!c->arena)
		return;
	art__arena_peek(c);
	if (!(c->doze & 1))
		return;
	ART_MARK(c->env, ART_M_ARENA_NUDGED);
	if (any_waits(c)) {
		want_nudges(c);
		art__arena_peek(c);
	} else {
		want_none(c);
	}
}

void art__arena_begin(struct art_op *op)
{
	op->arena = true;
	if (op->comm->leaders) { /* it is not known whether the ranks of this host share memory */
		ART_MARK(op->comm->coll->env, ART_M_ARENA_UNDECIDED);
		op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
		return;
	}
	op->arena_seen = UINT64_C(1) << op->comm->mypos;
	op->arena_at = art__arena_flag(op);
	op->arena_slot = art__arena_slot_at(op->comm, op->seq);
	op->arena_looks = 0;
	op->arena_given = 0;
	op->bulk = (struct art_bulk){ .on = !fits_slot(op) };
	if (op->arena_undecided)
		ART_MARK(op->comm->coll->env, ART_M_ARENA_UNDECIDED);
	if (op->arena_undecided)
		op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
	else
		put_input(op);
}
