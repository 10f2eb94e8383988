/* SPDX-License-Identifier: MIT
 *
 * given.c: the result of an op in the arena, combined by one for all.
 */
#ifndef ART_COLL_GIVEN_H
#define ART_COLL_GIVEN_H

#include "coll/coll.h"

bool art__given_find(struct art_op *op); /* somebody has it; needed only where it was not found by the way */
void art__given_take(struct art_op *op);
bool art__given_intact(const struct art_op *op);
void art__given_put(struct art_op *op); /* this rank has it */
static inline bool art__given_wanted(const struct art_op *op)
{
	return op->comm->coll->cfg.crowded && op->comm->npart > 2 &&
	       (op->way == ART_C_ALLREDUCE || op->way == ART_C_BARRIER);
}

#endif
