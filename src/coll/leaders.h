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
void art__leaders_up(struct art_op *op); /* to a parent on this host */
const uint8_t *art__leaders_part(struct art_op *op, const struct art_rx *kid); /* NULL: not there yet */
bool art__leaders_intact(struct art_op *op, int slot); /* after reading; false: it is to go no further */
void art__leaders_get(struct art_op *op);  /* what comes down */
void art__leaders_give(struct art_op *op, const uint8_t *payload); /* and goes on to this host's */
bool art__leaders_looks(const struct art_op *op); /* it waits for somebody of this host */

#endif
