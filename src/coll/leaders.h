/* SPDX-License-Identifier: MIT
 *
 * Slots of shared memory as edges of a tree over several hosts (leaders.c).
 */
#ifndef ART_COLL_LEADERS_H
#define ART_COLL_LEADERS_H

#include "coll/coll.h"

/* For the world of a job of several hosts: where in the arena its ops go inside this one. */
void art__leaders_init(struct art_ops *c);
/* Can its participants here share memory? The same at all of them. */
enum art_arena_state art__leaders_state(struct art_comm *comm);
bool art__leaders_undecided(struct art_op *op); /* it would go so, and that is not known yet */
bool art__leaders_is_full(struct art_comm *comm, uint64_t seq); /* its slot may still be needed */
void art__leaders_tell(struct art_op *op);  /* all of it goes by messages */
void art__leaders_begin(struct art_op *op); /* its tree is shaped: which edges are slots? */

/* Of an op with such edges (op->hosted). */
bool art__leaders_up(struct art_op *op); /* to a parent on this host; true: all of it is there */
const uint8_t *art__leaders_part(struct art_op *op, const struct art_rx *kid); /* NULL: not there yet */
bool art__leaders_intact(struct art_op *op, int slot); /* after reading; false: it is to go no further */
void art__leaders_get(struct art_op *op);  /* what comes down */
bool art__leaders_give(struct art_op *op, const uint8_t *payload); /* and goes on to this host's; true: all */
bool art__leaders_looks(const struct art_op *op); /* it waits for somebody of this host */

/* ---- leaders_long.c: what has no room in a slot, in pieces ---- */
bool art__leaders_in_pieces(const struct art_op *op); /* it would go so */
bool art__leaders_push(struct art_op *op); /* the input of a kid; true: all of it is out */
void art__leaders_pull(struct art_op *op); /* the result, or payload, of its leader */
/* What is known of it, for the kids; true: all of it. */
bool art__leaders_pour(struct art_op *op, const uint8_t *payload);
/* @n bytes of this rank's block and of its kids here, into @out; true: done. */
bool art__leaders_combine(struct art_op *op, uint8_t *out, uint64_t n);
/* What lies in `in` of the one at @slot is for this attempt. */
bool art__leaders_used_for(const struct art_op *op, int slot);

/* What the one at @slot has put down for this attempt; NULL: nothing yet, or it has called something else. */
const struct art_arena_slot *art__leaders_look(struct art_op *op, int slot);
void art__leaders_heard(struct art_op *op, uint16_t lag); /* with it, of marks */

static inline bool art__leaders_near(const struct art_ops *c, int slot)
{
	return c->cfg.hosts[slot] == c->cfg.hosts[c->cfg.slot];
}

static inline const struct art_arena_slot *art__leaders_slot(const struct art_comm *m, size_t at, int slot)
{
	return (const struct art_arena_slot *)((const uint8_t *)m->coll->arena->part[slot] + at);
}

#endif
