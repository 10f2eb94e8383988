/* SPDX-License-Identifier: MIT
 *
 * A result for all, where ranks share cores and memory: whoever finds everybody's input to an allreduce in the
 * arena first combines them, and puts the result down beside its own. Who looks later finds it on the way through
 * those it still misses, and copies it; n ranks on a few cores would else combine n inputs n times.
 *
 *   all there, or a result? --a result--> copied --still the same?--> held
 *                           '--none-----> combined --inputs still the same?--> given, held
 *
 * Nobody waits for a result. Two who find everything there at once both combine, to the same bytes, and who does
 * not come by a result combines as well; so it does not matter whether whoever has given it lives on. It is for one
 * attempt, as the flag beside it says, and is there as long as the input. Only what was combined of inputs that were
 * still there afterwards is given: a rank that is no member any more may have read newer ones, and others
 * that are none either would take the result for theirs. The giver has compared all signatures with its own, and
 * who takes the result its own with the giver's.
 */
#include <art/art.h>

#include "base/marks.h"
#include "coll/given.h"
#include "coll/places.h"

static size_t shared_place(const struct art_op *op)
{
	return art__arena_large(op->comm, op->comm->room.whole, op->seq);
}

static size_t result_at(const struct art_op *op)
{
	if (art__arena_has_room_for_two(op->bytes))
		return op->arena_slot + offsetof(struct art_arena_slot, small) + ((op->bytes + 7) & ~(size_t)7);
	return shared_place(op);
}

bool art__given_find(struct art_op *op)
{
	for (int i = 0; i < op->comm->npart && !op->arena_given; i++)
		if (i != op->comm->mypos &&
		    atomic_load_explicit(&art__arena_slot(op, i)->given, memory_order_acquire) == op->arena_at)
			op->arena_given = i + 1;
	return op->arena_given;
}

void art__given_take(struct art_op *op)
{
	int pos = op->arena_given - 1;
	const void *part = op->comm->coll->arena->part[op->comm->part[pos]];

	if (!ART_COLL_MUTANT(op->comm->coll, 36))
		art__op_low(op, op->seq, art__arena_slot(op, pos)->lag_all);
	ART_MARK(op->comm->coll->env, ART_M_ARENA_GIVEN);
	if (op->bytes)
		memcpy(op->call.recvbuf, (const uint8_t *)part + result_at(op), op->bytes);
}

bool art__given_intact(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	int pos = op->arena_given - 1;
	const void *part = m->coll->arena->part[m->part[pos]];

	if (atomic_load_explicit(&art__arena_slot(op, pos)->flag, memory_order_relaxed) != op->arena_at)
		return false;
	return art__arena_has_room_for_two(op->bytes) ||
	       atomic_load_explicit(art__arena_large_for(m, part, shared_place(op)), memory_order_relaxed) ==
		       op->arena_at;
}

void art__given_put(struct art_op *op)
{
	const struct art_arena *a = op->comm->coll->arena;
	struct art_arena_slot *s = (struct art_arena_slot *)((uint8_t *)a->mine + op->arena_slot);

	if (op->arena_given || !art__arena_touch(a, ART_ARENA_WRITE))
		return;
	s->lag_all = art__op_lag(op);
	if (!art__arena_has_room_for_two(op->bytes)) { /* whoever still reads what lay here shall notice */
		atomic_store_explicit(art__arena_large_for(op->comm, a->mine, shared_place(op)), op->arena_at,
				      memory_order_relaxed);
		art__arena_fence(memory_order_release);
	}
	if (op->bytes)
		memcpy((uint8_t *)a->mine + result_at(op), op->call.recvbuf, op->bytes);
	if (art__arena_touch(a, ART_ARENA_FLAG))
		atomic_store_explicit(&s->given, op->arena_at, memory_order_release);
}
