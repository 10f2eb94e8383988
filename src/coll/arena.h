/* SPDX-License-Identifier: MIT
 *
 * The part of coll.h that is about ops in shared memory. coll.h includes it, nobody else need.
 */
#ifndef ART_COLL_ARENA_H
#define ART_COLL_ARENA_H

#include "coll/coll.h"

/* ---- arena.c: without messages; none of it but init, fini, peek, doze and nudged where there is no
 * arena ---- */
bool art__arena_init(struct art_ops *c); /* false: out of memory */
void art__arena_fini(struct art_ops *c);
bool art__arena_takes(struct art_op *op);
void art__arena_begin(struct art_op *op);
void art__arena_step(struct art_op *op);
void art__arena_tell(struct art_op *op); /* it goes by messages */
/* Its slot, or where its payload of so many bytes goes (art__arena_room_for), is still needed. */
bool art__arena_is_full(struct art_comm *comm, uint64_t seq, unsigned room);
bool art__arena_op_is_full(const struct art_op *op);
void art__arena_wait_room(struct art_op *op); /* for that slot */
bool art__arena_learn(struct art_comm *comm); /* what is stable; true: more than before */
void art__arena_log_full(struct art_op *op);
void art__arena_again(struct art_op *op); /* again_ns has come */
void art__arena_done(struct art_comm *comm); /* its done mark has moved */
int art__arena_peek(struct art_ops *c); /* 1: an op got on, 0: none, -1: none runs there */
bool art__arena_doze(struct art_ops *c, bool on);
/* It was held in its own epoch, while this rank was frozen: then all it needs to have the same is there, as a
 * slot is written again only when all have the op done. True: it has the result; it is not over here yet. */
bool art__arena_late(struct art_op *op);
bool art__arena_rest(struct art_ops *c); /* dozes off, and what could be done at once will be asked for */
void art__arena_nudged(struct art_ops *c);

static inline bool art__arena_touch(const struct art_arena *a, enum art_arena_touch what)
{
	return !a->touch || a->touch(a->self, what);
}

/* An attempt, or how far a member of an epoch is. */
#define ART_ARENA_SEQ ((UINT64_C(1) << 40) - 1)
static inline uint64_t art__arena_stamp(uint64_t epoch, uint64_t seq)
{
	return epoch << 40 | (seq & ART_ARENA_SEQ);
}

static inline uint64_t art__arena_flag(const struct art_op *op)
{
	return art__arena_stamp(op->epoch, op->seq);
}

static inline unsigned art__arena_place(const struct art_comm *m, uint64_t seq)
{
	return (unsigned)seq & (m->room.slots - 1);
}

/* Where in each part the slot of an op is. */
static inline size_t art__arena_slot_at(const struct art_comm *m, uint64_t seq)
{
	return m->room.slot + art__arena_place(m, seq) * sizeof(struct art_arena_slot);
}

static inline const struct art_arena_slot *art__arena_slot(const struct art_op *op, int pos)
{
	const struct art_comm *m = op->comm;
	const void *part = m->coll->arena->part[m->part[pos]];

	return (const struct art_arena_slot *)((const uint8_t *)part + op->arena_slot);
}

/* Writes this rank's slot: for which attempt, with what beside the payload. A look at others' slots, or
 * whether they doze, needs a fence before it (seq_cst). */
struct art_arena_word {
	uint64_t flag;
	uint32_t sig;
	uint16_t lag;
	bool pieces, alone; /* it may be over here before anybody answers */
};
void art__arena_write(const struct art_comm *comm, const struct art_arena_word *w, const void *input, size_t bytes);
void art__arena_put(struct art_op *op, size_t bytes); /* the same, fence and all */
bool art__arena_there(struct art_op *op); /* all that it waits for have called it */
/* Over here, and nobody need have looked at it: has that one called something else of the kind? Whoever
 * waits for this rank finds out by itself. */
void art__arena_check(struct art_op *op, int pos);
void art__arena_nudge(const struct art_op *op); /* whoever does not look is told */
void art__arena_wake(const struct art_op *op, int slot); /* and one of them */
static inline void art__arena_nudge_one(const struct art_op *op, int pos)
{
	art__arena_wake(op, op->comm->part[pos]);
}
bool art__arena_in_pieces(const struct art_op *op);
uint64_t art__arena_freed(struct art_comm *comm); /* all have their ops up to here done */
/* All of the participants' payloads together: more is faster in pieces (bulk.c). */
#define ART_FLAT_BYTES (64u * 1024)
static inline bool art__arena_fits(const struct art_ops *c, const struct art_comm *m, bool bcast, size_t bytes)
{
	return bytes <= c->arena->large &&
	       (bcast || bytes * (size_t)m->npart <= ART_FLAT_BYTES || c->cfg.crowded);
}
int art__arena_root(const struct art_op *op); /* its position */
const uint8_t *art__arena_payload(const struct art_op *op, int pos);
void art__arena_heard(struct art_op *op, const struct art_arena_slot *s); /* what its rank has done */
void art__arena_take(struct art_op *op); /* combines or copies what is there */
bool art__arena_intact(const struct art_op *op); /* and nobody has written there meanwhile */
void art__arena_last(const struct art_op *op, int root); /* leaf of a reduce: if all are there, its root hears it */

/* ---- quick.c: the short way of plain ops ---- */
/* False: nothing has happened, it has to take the long way. */
bool art__quick_start(struct art_ops *c, struct art_comm *comm, const struct art_call *call,
		      uint64_t deadline_ns, struct art_op **out);
void art__quick_step(struct art_op *op); /* art__op_step() of one that has begun so */
bool art__quick_look(struct art_ops *c, struct art_op *op); /* if it has; true: it is done */

/* ---- channel.c: the part of it that a communicator has; bits are channels ---- */
/* Those that this rank has not to give to what @op, which begins here, makes. */
uint64_t art__channel_busy(struct art_op *op);
void art__channel_unoffer(struct art_op *op); /* it ends otherwise */
/* @op's child is made. @busy: what all of them said. */
void art__channel_give(struct art_op *op, uint64_t busy);
enum art_arena_state art__channel_state(const struct art_comm *comm, const struct art_arena_part *part);
void art__channel_end(struct art_comm *comm);

/* ---- bulk.c: large payloads, in pieces through the arena ---- */
void art__bulk_begin(struct art_op *op);
bool art__bulk_asked_for(const struct art_op *op); /* could another not go on, and would it say so? */
bool art__bulk_step(struct art_op *op); /* true: it is over here */

#endif
