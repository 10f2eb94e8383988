/* SPDX-License-Identifier: MIT
 *
 * Bcast, reduce and allreduce of ranks that share memory (arena.c), where a payload has no room in a slot: it
 * goes piece by piece through `in` and `out` of each rank's part (base/arena.h). Of a reduction a piece is
 * all that `in` holds, cut into a share for each rank, which that rank combines out of all of them:
 *
 *   claim --nobody reads my part any more--> put: the others' shares of a piece into `in`
 *      ^                                       |
 *      |      .--all have put it---------------'
 *      |      '-> make: my share of it, from everybody's, into `out`
 *      |            '--a share of it is made--> get: that share (whoever wants the result)
 *      '--- the next piece: all have made theirs of the last ------------'  ... or over
 *
 * Whoever puts the next piece has got the last one, so all have when it is combined: `out` is free by then.
 * A bcast, and a reduce of two ranks, is a stream of smaller ones from one rank, which runs ahead of the
 * slowest by as many as there is room for:
 *
 *   source:  claim --> put, as long as there is room --> over      the others: get what is there --> over
 *
 * What holds for slots holds here: what is there is for the attempt that the slot's flag names, and has been
 * overwritten when `bulk` names another - only who is no member any more finds that. Pieces follow from
 * the own call. A part is used for the next op when all have the last one done that it was used for, and in
 * the order of the ops, or two ranks might wait for each other with two ops.
 *
 * A large payload is not copied into the log at once: whoever has it says so in its part, and it is mostly
 * stable before the copy would have been made.
 */
#include <assert.h>

#include "base/marks.h"
#include "coll/coll.h"
#include "coll/spread.h"

/* Bytes moved before the engine is asked whether anybody wants it (rule R5). */
#define BURST (64u * 1024)
/* Slices of a payload that others help with, at least. */
#define HELP_FROM 64
/* When to look again whether a part is free, should nobody tell. */
#define LOOK_NS ART_NS_PER_MS

enum { PUT, MAKE, GET };

enum which { IS_PUT, IS_MADE, IS_GOT };

static const struct art_arena *arena(const struct art_op *op)
{
	return op->comm->coll->arena;
}

static bool is_root(const struct art_op *op)
{
	return op->root == op->comm->coll->cfg.slot;
}

static bool bcast(const struct art_op *op)
{
	return op->way == ART_C_BCAST;
}

/* Of a bcast from its root, of a reduce of two ranks to it. */
static bool streams(const struct art_op *op)
{
	return bcast(op) || (op->way == ART_C_REDUCE && op->comm->npart == 2);
}

static bool is_source(const struct art_op *op)
{
	return bcast(op) == is_root(op);
}

static int source(const struct art_op *op)
{
	int root = 0;

	while (op->comm->part[root] != op->root)
		root++;
	return bcast(op) ? root : 1 - root;
}

static uint64_t bit(int pos)
{
	return UINT64_C(1) << pos;
}

static uint64_t everybody(const struct art_op *op)
{
	return ~UINT64_C(0) >> (64 - op->comm->npart);
}

static const struct art_arena_part *part_of(const struct art_op *op, int pos)
{
	return arena(op)->part[op->comm->part[pos]];
}

static size_t room_bytes(const struct art_op *op)
{
	return op->comm->room.bulk;
}

static const uint8_t *in_of(const struct art_op *op, int pos)
{
	return (const uint8_t *)part_of(op, pos) + op->comm->room.in;
}

static const uint8_t *out_of(const struct art_op *op, int pos)
{
	return (const uint8_t *)part_of(op, pos) + op->comm->room.out;
}

static uint8_t *my_in(const struct art_op *op)
{
	return (uint8_t *)arena(op)->mine + op->comm->room.in;
}

static uint8_t *my_out(const struct art_op *op)
{
	return (uint8_t *)arena(op)->mine + op->comm->room.out;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- how far everybody has got ---- */

static _Atomic uint64_t *counter(const struct art_arena_slot *s, enum which w)
{
	struct art_arena_slot *slot = (struct art_arena_slot *)(uintptr_t)s;

	return w == IS_PUT ? &slot->put : w == IS_MADE ? &slot->made : &slot->got;
}

static uint64_t reached(const struct art_op *op, int pos, enum which w)
{
	return atomic_load_explicit(counter(art__arena_slot(op, pos), w), memory_order_acquire);
}

/* Have all others got as far as @n? Those who have are not asked again. */
static bool all_reached(struct art_op *op, enum which w, uint64_t n)
{
	struct art_bulk *b = &op->bulk;
	uint64_t missing = everybody(op) & ~b->seen;

	for (uint64_t left = missing; left; left &= left - 1) {
		int pos = __builtin_ctzll(left);

		if (pos != op->comm->mypos && reached(op, pos, w) < n)
			return false;
		b->seen |= bit(pos);
	}
	return true;
}

/* Without a trace: is this rank the last one? */
static bool nobody_short(const struct art_op *op, enum which w, uint64_t n)
{
	int besides = streams(op) ? source(op) : -1;

	for (int i = 0; i < op->comm->npart; i++)
		if (i != op->comm->mypos && i != besides && reached(op, i, w) < n)
			return false;
	return true;
}

/* False: this rank is no more. */
static bool say(const struct art_op *op, enum which w, uint64_t n)
{
	if (!art__arena_touch(arena(op), ART_ARENA_FLAG))
		return false;
	atomic_store_explicit(counter(art__arena_slot(op, op->comm->mypos), w), n, memory_order_release);
	art__arena_fence(memory_order_seq_cst);
	return true;
}

static void next_phase(struct art_op *op, uint8_t phase)
{
	op->bulk.phase = phase;
	op->bulk.at = 0;
	op->bulk.seen = bit(op->comm->mypos);
}

/* Nobody has written over what this rank has read. */
static bool still_there(const struct art_op *op)
{
	art__arena_fence(memory_order_acquire);
	for (int i = 0; i < op->comm->npart; i++) {
		if (i == op->comm->mypos || (bcast(op) && op->comm->part[i] != op->root))
			continue;
		if (atomic_load_explicit(&art__arena_slot(op, i)->flag, memory_order_relaxed) != op->arena_at ||
		    atomic_load_explicit(&art__arena_marks(part_of(op, i), &op->comm->room)->bulk,
					 memory_order_relaxed) != op->arena_at)
			return false;
	}
	return true;
}

/* ---- my part ---- */

static bool before_it(const struct art_op *op, const struct art_op *o)
{
	return o->comm == op->comm && o->seq < op->seq && !o->refused && art__arena_in_pieces(o) &&
	       !(o->idle && (o->held || o->returned));
}

static bool earlier_are_open(const struct art_op *op)
{
	for (const struct art_op *o = op->comm->coll->active; o; o = o->next)
		if (before_it(op, o))
			return true;
	return false;
}

static bool is_free(struct art_op *op)
{
	struct art_comm *m = op->comm;

	if (earlier_are_open(op))
		return false;
	return m->bulk_last >= op->seq || m->bulk_last <= art__arena_freed(m) || ART_COLL_MUTANT(m->coll, 24);
}

static bool claim(struct art_op *op)
{
	const struct art_arena *a = arena(op);

	if (!is_free(op)) {
		ART_MARK(op->comm->coll->env, ART_M_BULK_WAITS);
		if (!op->again_ns)
			op->again_ns = art__env_now(op->comm->coll->env) + LOOK_NS;
		return false;
	}
	op->again_ns = 0;
	if (!art__arena_touch(a, ART_ARENA_WRITE))
		return false;
	if (op->seq > op->comm->bulk_last)
		op->comm->bulk_last = op->seq;
	atomic_store_explicit(&art__arena_my_marks(a, &op->comm->room)->bulk, op->arena_at,
			      memory_order_relaxed);
	art__arena_fence(memory_order_release);
	op->bulk.claimed = true;
	return true;
}

/* ---- pieces and shares of a reduction ---- */

static uint64_t piece_bytes(const struct art_op *op)
{
	return room_bytes(op) / op->elsize * op->elsize;
}

/* Where the present piece begins, and how long it is. */
static uint64_t piece(const struct art_op *op, uint64_t *len)
{
	uint64_t from = op->bulk.piece * piece_bytes(op);

	*len = least(op->bytes - from, piece_bytes(op));
	return from;
}

/* Where the share of the one at @pos begins in the present piece. Whole cache lines, which are whole
 * elements: of two ranks, each has half a piece at most, which is what `out` holds. */
static uint64_t share(const struct art_op *op, int pos, uint64_t *len)
{
	uint64_t n, each, from;

	piece(op, &n);
	each = (n + (uint64_t)op->comm->npart - 1) / (uint64_t)op->comm->npart;
	assert(64 % op->elsize == 0);
	each = (each + 63) / 64 * 64;
	from = least(n, each * (uint64_t)pos);
	*len = least(n - from, each);
	return from;
}

static const struct art_port *port(const struct art_op *op)
{
	return op->comm->coll->port;
}

/* For so much of it. What fits into caches is moved to and fro between them by several hands. */
static unsigned hands(const struct art_op *op, uint64_t bytes)
{
	const struct art_spread *help = port(op)->spread;

	return help && op->bytes >= HELP_FROM * help->slice ? art__spread_hands(port(op), bytes) : 1;
}

/* What is moved at a time; by several hands in no more time. */
static uint64_t burst(const struct art_op *op, uint64_t len)
{
	unsigned n = hands(op, len);
	uint64_t bytes = n > 1 ? 2 * n * port(op)->spread->slice : 0;

	return bytes > BURST ? bytes : BURST;
}

static void copy(const struct art_op *op, void *to, const void *from, uint64_t len)
{
	if (hands(op, len) > 1)
		art__spread_copy(port(op), to, from, len);
	else
		memcpy(to, from, len);
}

static bool wants_result(const struct art_op *op)
{
	return op->way == ART_C_ALLREDUCE || is_root(op);
}

static void put_some(struct art_op *op, uint64_t most)
{
	struct art_bulk *b = &op->bulk;
	uint64_t n, len, from = piece(op, &n), mine = share(op, op->comm->mypos, &len), end;

	if (b->at == mine)
		b->at += len; /* nobody else reads it */
	end = b->at < mine ? mine : n;
	end = least(end, b->at + most);
	if (end > b->at)
		copy(op, my_in(op) + b->at, op->input + from + b->at, end - b->at);
	b->at = end == mine ? end + len : end;
}

/* ---- combining, in the shape that arena.c has where the order is fixed ---- */

struct block {
	const struct art_op *op;
	uint64_t in_piece, in_input, bytes;
	uint8_t *scratch;
};

static const uint8_t *part_at(const struct block *k, int pos)
{
	if (pos == k->op->comm->mypos)
		return k->op->input + k->in_input;
	return in_of(k->op, pos) + k->in_piece;
}

/* Of positions [pos, pos + span). Into @out, unless it is one part. */
static const uint8_t *subtree(const struct block *k, int pos, int span, uint8_t *out)
{
	const struct art_ops *c = k->op->comm->coll;
	const struct art_call *call = &k->op->call;
	const uint8_t *sum = part_at(k, pos);
	int level = 0;

	for (int d = 1; d < span && pos + d < k->op->comm->npart; d *= 2, level++) {
		const uint8_t *right = subtree(k, pos + d, d, k->scratch + (size_t)level * c->arena->max);

		art__combine(call->op, call->type, sum, right, out, k->bytes / k->op->elsize);
		sum = out;
	}
	return sum;
}

static uint64_t block_bytes(const struct art_op *op)
{
	return arena(op)->max / op->elsize * op->elsize;
}

/* A block is small: what is combined of it stays in the first cache. @at: in the own share. */
static void make_block(const struct art_op *op, uint64_t at, uint64_t bytes, unsigned hand)
{
	uint64_t n, len, from = piece(op, &n), mine = share(op, op->comm->mypos, &len);
	const struct art_ops *c = op->comm->coll;
	struct block k = { op, mine + at, from + mine + at, bytes, c->arena_scratch + hand * c->arena_hand };
	uint8_t *out = my_out(op) + at;
	int n2 = 1;

	while (n2 < op->comm->npart)
		n2 *= 2;
	subtree(&k, 0, n2, out);
	if (wants_result(op))
		memcpy((uint8_t *)op->call.recvbuf + k.in_input, out, bytes);
}

/* A stretch of the own share. */
struct stretch {
	const struct art_op *op;
	uint64_t at, end, each; /* a slice has whole blocks */
};

static void make_slice(void *arg, unsigned slice, unsigned hand)
{
	const struct stretch *s = arg;
	uint64_t at = s->at + slice * s->each, end = least(s->end, at + s->each), n;

	for (; at < end; at += n) {
		n = least(end - at, block_bytes(s->op));
		make_block(s->op, at, n, hand);
	}
}

static void make_some(struct art_op *op, uint64_t bytes)
{
	const struct art_spread *help = hands(op, bytes) > 1 ? port(op)->spread : NULL;
	struct stretch s = { op, op->bulk.at, op->bulk.at + bytes, bytes };

	op->bulk.at += bytes;
	if (!help) {
		make_slice(&s, 0, 0);
		return;
	}
	ART_MARK(op->comm->coll->env, ART_M_BULK_HELPED);
	s.each = (help->slice + block_bytes(op) - 1) / block_bytes(op) * block_bytes(op);
	help->run(help->self, make_slice, &s, (unsigned)((bytes + s.each - 1) / s.each));
}

static void get_share(struct art_op *op, int pos)
{
	uint64_t n, len, from = piece(op, &n), at = share(op, pos, &len);

	if (len)
		copy(op, (uint8_t *)op->call.recvbuf + from + at, out_of(op, pos), len);
}

/* ---- the phases of a reduction: each moves something (bytes), or not (0) ---- */

/* All of a piece is put, or combined. False: this rank is no more. */
static bool end_phase(struct art_op *op, enum which w, uint8_t next)
{
	uint64_t n = op->bulk.piece + 1;

	if (!say(op, w, n))
		return false;
	if (nobody_short(op, w, n) && w == IS_MADE)
		op->bulk.owes = true;
	else if (nobody_short(op, w, n))
		art__arena_nudge(op);
	next_phase(op, next);
	return true;
}

static uint64_t put_step(struct art_op *op)
{
	struct art_bulk *b = &op->bulk;
	uint64_t n, at = b->at;

	if (b->piece && !b->at && !all_reached(op, IS_MADE, b->piece))
		return 0;
	if (!art__arena_touch(arena(op), ART_ARENA_WRITE))
		return 0;
	piece(op, &n);
	put_some(op, burst(op, n));
	at = b->at - at + 1;
	if (b->at < n)
		return at;
	return end_phase(op, IS_PUT, MAKE) ? at : 0;
}

static uint64_t make_step(struct art_op *op)
{
	struct art_bulk *b = &op->bulk;
	uint64_t len, n;

	if (!b->at && (!art__arena_there(op) || !all_reached(op, IS_PUT, b->piece + 1)))
		return 0;
	if (!art__arena_touch(arena(op), ART_ARENA_TAKE))
		return 0;
	share(op, op->comm->mypos, &len);
	n = least(len - b->at, burst(op, len));
	make_some(op, n);
	if (b->at < len)
		return n + 1;
	return end_phase(op, IS_MADE, GET) ? n + 1 : 0;
}

/* A share that is made. */
static uint64_t get_step(struct art_op *op)
{
	struct art_bulk *b = &op->bulk;
	uint64_t missing = wants_result(op) ? everybody(op) & ~b->seen : 0, len;

	for (uint64_t left = missing; left; left &= left - 1) {
		int pos = __builtin_ctzll(left);

		if (reached(op, pos, IS_MADE) < b->piece + 1)
			continue;
		if (!art__arena_touch(arena(op), ART_ARENA_TAKE))
			return 0;
		get_share(op, pos);
		b->seen |= bit(pos);
		share(op, pos, &len);
		return len + 1;
	}
	if (missing)
		return 0;
	b->piece++;
	next_phase(op, PUT);
	return 1;
}

static bool all_pieces(const struct art_op *op)
{
	return op->bulk.piece * piece_bytes(op) >= op->bytes;
}

static uint64_t reduction_step(struct art_op *op)
{
	switch (op->bulk.phase) {
	case PUT: return put_step(op);
	case MAKE: return make_step(op);
	default: return get_step(op);
	}
}

/* ---- a stream: of a bcast from its root, of a reduce of two ranks to it ---- */

/* Of a short payload a quarter, so that both ends are at work at a time. */
static uint64_t chunk_bytes(const struct art_op *op)
{
	const struct art_arena *a = arena(op);
	uint64_t size = (op->bytes / 4 + a->max - 1) / a->max * a->max;

	size = size < a->piece ? size : a->piece;
	return size / op->elsize * op->elsize;
}

static uint64_t chunks(const struct art_op *op)
{
	return (op->bytes + chunk_bytes(op) - 1) / chunk_bytes(op);
}

static uint64_t ring(const struct art_op *op)
{
	return room_bytes(op) / chunk_bytes(op);
}

/* Whoever has the op done reads no more of it: it may have ended there otherwise, called with a root that is
 * lost. */
static bool is_over_there(const struct art_op *op, int pos)
{
	return atomic_load_explicit(&art__arena_marks(part_of(op, pos), &op->comm->room)->done,
				    memory_order_acquire) >= op->seq;
}

/* Has the one at @pos got @n chunks? */
static bool has_got(const struct art_op *op, int pos, uint64_t n)
{
	return (op->arena_seen & bit(pos) && reached(op, pos, IS_GOT) >= n) || is_over_there(op, pos);
}

/* Who falls behind, or has called something else? */
static bool ring_full(struct art_op *op)
{
	if (op->bulk.piece < ring(op))
		return false;
	art__arena_there(op);
	for (int i = 0; i < op->comm->npart; i++)
		if (i != op->comm->mypos && !has_got(op, i, op->bulk.piece - ring(op) + 1))
			return true;
	return false;
}

static uint64_t give_chunk(struct art_op *op)
{
	struct art_bulk *b = &op->bulk;
	uint64_t size = chunk_bytes(op), from = b->piece * size, len = least(size, op->bytes - from);

	if (ring_full(op) || !art__arena_touch(arena(op), ART_ARENA_WRITE))
		return 0;
	memcpy(my_in(op) + b->piece % ring(op) * size, op->input + from, len);
	if (!say(op, IS_PUT, b->piece + 1))
		return 0;
	b->piece++;
	art__arena_nudge(op);
	return len;
}

static void take_chunk(const struct art_op *op, const uint8_t *chunk, uint64_t from, uint64_t len)
{
	uint8_t *to = (uint8_t *)op->call.recvbuf + from;
	const uint8_t *mine = op->input + from;
	bool left = op->comm->mypos == 0;

	if (bcast(op))
		memcpy(to, chunk, len);
	else
		art__combine(op->call.op, op->call.type, left ? mine : chunk, left ? chunk : mine, to,
			     len / op->elsize);
}

static uint64_t get_chunk(struct art_op *op, int from_pos)
{
	struct art_bulk *b = &op->bulk;
	uint64_t size = chunk_bytes(op), from = b->piece * size, len = least(size, op->bytes - from);

	if (!art__arena_there(op) || reached(op, from_pos, IS_PUT) < b->piece + 1 ||
	    !art__arena_touch(arena(op), ART_ARENA_TAKE))
		return 0;
	take_chunk(op, in_of(op, from_pos) + b->piece % ring(op) * size, from, len);
	if (!say(op, IS_GOT, b->piece + 1))
		return 0;
	b->piece++;
	if (b->piece + ring(op) <= chunks(op) && nobody_short(op, IS_GOT, b->piece))
		art__arena_nudge(op);
	return len;
}

static uint64_t stream_step(struct art_op *op)
{
	return is_source(op) ? give_chunk(op) : get_chunk(op, source(op));
}

/* ---- who has gone off and is waited for ---- */

static bool is_there(const struct art_op *op, int pos)
{
	return atomic_load_explicit(&art__arena_slot(op, pos)->flag, memory_order_acquire) == op->arena_at;
}

/* Is the part of the one at @pos free for this op, or in use for it? */
static bool is_free_there(const struct art_op *op, int pos)
{
	uint64_t last = atomic_load_explicit(&art__arena_marks(part_of(op, pos), &op->comm->room)->bulk,
					     memory_order_acquire) & ART_ARENA_SEQ;

	return last >= op->seq || last <= art__arena_freed(op->comm);
}

/* Has the source room for the chunk that comes after the last that is there? */
static bool has_room(const struct art_op *op, int source)
{
	uint64_t put = reached(op, source, IS_PUT);

	for (int i = 0; put >= ring(op) && i < op->comm->npart; i++)
		if (i != op->comm->mypos && i != source && !is_over_there(op, i) &&
		    !(is_there(op, i) && reached(op, i, IS_GOT) >= put - ring(op) + 1))
			return false;
	return true;
}

/* Has the one at @pos called this, too, less done than what this rank now waits for, and all it needs to go
 * on? If not, a third keeps it waiting, and tells it, or asks it, later. Asked all the same it would ask this
 * rank, about another op that the third keeps waiting, and so on until that one comes. */
static bool is_behind(const struct art_op *op, int pos)
{
	const struct art_bulk *b = &op->bulk;

	if (!is_there(op, pos))
		return false;
	if (streams(op) && is_source(op))
		return b->piece >= ring(op) && !has_got(op, pos, b->piece - ring(op) + 1);
	if (streams(op))
		return pos == source(op) && reached(op, pos, IS_PUT) < b->piece + 1 && is_free_there(op, pos) &&
		       has_room(op, pos);
	if (b->phase == MAKE)
		return reached(op, pos, IS_PUT) < b->piece + 1 && is_free_there(op, pos);
	return reached(op, pos, IS_MADE) < b->piece + (b->phase == GET);
}

/* It may have gone off when there was something left to do. Asked when this rank has looked for a while, less
 * and less often, as it may wait for somebody itself; and when this one dozes off. */
static void ask_who_dozes(struct art_op *op)
{
	const struct art_ops *c = op->comm->coll;
	uint64_t looks = ++op->bulk.looks;

	if (!(c->doze & 1) && !c->arena_asks && (looks < c->arena->patience || (c->arena->patience && looks & (looks - 1))))
		return;
	if (earlier_are_open(op)) /* at others, too, perhaps; about this one it asks in its turn */
		return;
	for (int i = 0; i < op->comm->npart; i++)
		if (i != op->comm->mypos && is_behind(op, i))
			art__arena_nudge_one(op, i);
}

/* Whoever gets here later tells all who doze, and who looks now asks. In the other phases others may have all
 * they need of this rank. */
bool art__bulk_asked_for(const struct art_op *op)
{
	const struct art_bulk *b = &op->bulk;
	bool needed = streams(op) ? is_source(op) :
		      b->phase == PUT || (b->phase == MAKE && op->way == ART_C_ALLREDUCE);

	for (int i = 0; needed && i < op->comm->npart; i++)
		if (i != op->comm->mypos &&
		    (!is_there(op, i) || !(atomic_load(&part_of(op, i)->doze) & 1)))
			return true;
	return false;
}

/* ---- the end ---- */

/* Whoever waits for this one's part, or for the op to be stable, looks: all have it done. */
static void tell_the_end(struct art_op *op)
{
	art__arena_fence(memory_order_seq_cst);
	if (art__arena_freed(op->comm) >= op->seq)
		art__arena_nudge(op);
}

/* Who dozes is told of the last share that is made when this rank has got all it can: the one that is told may
 * run in this one's place at once, and would have to keep a copy of a result that others have not got yet. */
static void tell_of_shares(struct art_op *op)
{
	if (op->bulk.owes)
		art__arena_nudge(op);
	op->bulk.owes = false;
}

static bool finish(struct art_op *op)
{
	bool gave = streams(op) && is_source(op);

	if (!gave && !still_there(op))
		return false;
	ART_MARK(op->comm->coll->env, ART_M_BULK_OVER);
	if (op->way == ART_C_REDUCE && !is_root(op))
		art__op_return_early(op);
	else
		art__op_hold(op);
	tell_the_end(op);
	tell_of_shares(op);
	for (int i = 0; gave && i < op->comm->npart; i++)
		if (i != op->comm->mypos)
			art__arena_check(op, i);
	return true;
}

static bool over(const struct art_op *op)
{
	return streams(op) ? op->bulk.piece >= chunks(op) : all_pieces(op);
}

/* ---- all of it ---- */

bool art__bulk_step(struct art_op *op)
{
	bool writes = !streams(op) || is_source(op);
	uint64_t sum = 0, moved;

	if (writes && !op->bulk.claimed && !claim(op))
		return false;
	while (!over(op)) {
		if (sum >= BURST) {
			op->comm->coll->arena_more = true;
			return false;
		}
		moved = streams(op) ? stream_step(op) : reduction_step(op);
		if (!moved) {
			tell_of_shares(op);
			ask_who_dozes(op);
			return false;
		}
		op->bulk.looks = 0;
		sum += moved;
		op->comm->coll->arena_moved = true;
	}
	return finish(op);
}

/* The root of a bcast holds from entry (rule R1). Nobody is told that this rank has come: who dozes meanwhile
 * is told of the first piece that it waits for, or asked for one. */
void art__bulk_begin(struct art_op *op)
{
	next_phase(op, PUT);
	if (bcast(op) && is_root(op))
		art__op_hold(op);
}
