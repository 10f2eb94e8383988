/* SPDX-License-Identifier: MIT
 *
 * Bcast, reduce and allreduce along two trees at once (twotree.c).
 */
#ifndef ART_COLL_TWOTREE_H
#define ART_COLL_TWOTREE_H

#include "coll/coll.h"

bool art__twotree_begin(struct art_op *op); /* false: out of memory */
void art__twotree_step(struct art_op *op);
enum art_take art__twotree_data(struct art_op *op, int from, const struct art_hdr *h,
				const uint8_t *body);
void art__twotree_credit(struct art_op *op, int from, const struct art_hdr *h);
void art__twotree_end(struct art_op *op);

#endif
