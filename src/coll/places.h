/* SPDX-License-Identifier: MIT
 *
 * Where in a part of the arena what has no room in a slot goes, and how many ops may therefore be under way.
 */
#ifndef ART_COLL_PLACES_H
#define ART_COLL_PLACES_H

#include "coll/coll.h"

/* Of an op whose result is given: beside the input in the slot, or with the large ones. */
static inline bool art__arena_has_room_for_two(size_t bytes)
{
	return 2 * ((bytes + 7) & ~(size_t)7) <= ART_ARENA_SMALL;
}

/* Large payloads share places, so that these stay in a core's cache; where ranks share a core, so do smaller ones. But
 * the fewer there are, the sooner a rank looks again how far the others are. Leaders of hosts (leaders.c) count by
 * slots alone. */
static inline bool art__arena_is_large(const struct art_comm *m, size_t bytes)
{
	const struct art_ops *c = m->coll;

	return bytes > c->arena->max || (c->cfg.crowded && !m->leaders && !art__arena_has_room_for_two(bytes));
}

static inline unsigned art__arena_larges(const struct art_comm *m)
{
	return m->room.slots > ART_ARENA_SHARED ? m->room.slots / ART_ARENA_SHARED : 1;
}

/* Of those that begin at @at, the place of this op. */
static inline size_t art__arena_large(const struct art_comm *m, size_t at, uint64_t seq)
{
	return at + ((unsigned)seq & (art__arena_larges(m) - 1)) * (m->coll->arena->large + 64);
}

/* Behind each of those, for which attempt what lies there is: its slot still says so when the place has been used
 * again. */
static inline _Atomic uint64_t *art__arena_large_for(const struct art_comm *m, const void *part, size_t place)
{
	return (_Atomic uint64_t *)((uintptr_t)part + place + m->coll->arena->large);
}

/* In each part, the input of an op. */
static inline size_t art__arena_big(const struct art_comm *m, uint64_t seq, size_t bytes)
{
	const struct art_ops *c = m->coll;

	if (art__arena_is_large(m, bytes))
		return art__arena_large(m, m->room.large, seq);
	return m->room.big + art__arena_place(m, seq) * (c->arena->max + 64);
}

/* What the one at @pos has put down was there for this attempt all the time until now. After a fence (acquire). */
static inline bool art__arena_kept(const struct art_op *op, int pos)
{
	const struct art_comm *m = op->comm;
	const void *part = m->coll->arena->part[m->part[pos]];

	if (atomic_load_explicit(&art__arena_slot(op, pos)->flag, memory_order_relaxed) != op->arena_at)
		return false;
	return op->bytes <= ART_ARENA_SMALL || !art__arena_is_large(m, op->bytes) ||
	       atomic_load_explicit(art__arena_large_for(m, part, art__arena_large(m, m->room.large, op->seq)),
				    memory_order_relaxed) == op->arena_at;
}

/* How many ops may be under way when one with this payload begins, itself included. */
static inline unsigned art__arena_room_for(const struct art_comm *m, const struct art_call *call, size_t bytes)
{
	if (!art__arena_is_large(m, bytes) || bytes > m->coll->arena->large)
		return m->room.slots;
	if (call->root >= 0 && (call->kind == ART_C_BCAST) != (call->root == m->me))
		return m->room.slots; /* others put it down */
	return art__arena_larges(m);
}

#endif
