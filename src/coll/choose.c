/* SPDX-License-Identifier: MIT
 *
 * Which algorithm an op takes between ranks that exchange messages: a pure function of the call, the
 * number of participants and settings of the job, so that nobody sends it. Settings that differ
 * between ranks show as mismatched calls, because a setting that is given is part of the signature.
 *
 *   two ranks             exchange (rd.c, tree.c), whatever is set, as there is no other sensible way
 *   user function         doubling (short allreduce) or tree: a whole vector at once
 *   ordered               in order of rank, along the tree
 *   what is left          as set; auto: doubling if it is short, else the tree
 *
 * A ring is never taken by itself: where ranks share cores, each of its 2 (p-1) steps waits for a
 * scheduler, and it took nearly twice as long as the tree. It is for ranks with cores and links
 * of their own.
 */
#include "coll/coll.h"

/* May parts of it be combined in whatever order, and block by block? */
static bool pieces_any_order(const struct art_op *op)
{
	return !op->call.fn && !op->ordered && !art__comm_op(op);
}

static enum art_algo allreduce(const struct art_op *op, enum art_algo set)
{
	const struct art_comm *m = op->comm;
	bool shape_differs = op->ordered && m->npart & (m->npart - 1);
	bool doubling = op->bytes <= m->coll->cfg.small_max && !shape_differs;

	if (m->npart == 2)
		return !shape_differs && op->bytes <= ART_EAGER ? ART_ALGO_DOUBLING : ART_ALGO_TREE;
	if (set == ART_ALGO_DOUBLING)
		doubling = op->bytes <= ART_EAGER && !shape_differs;
	if (!pieces_any_order(op))
		return doubling ? ART_ALGO_DOUBLING : ART_ALGO_TREE;
	switch (set) {
	case ART_ALGO_TREE:
	case ART_ALGO_CHAIN:
		return set;
	case ART_ALGO_RING:
		if (op->call.count >= (size_t)m->npart)
			return ART_ALGO_RING;
		break;
	case ART_ALGO_AUTO:
	case ART_ALGO_DOUBLING:
		break;
	}
	return doubling ? ART_ALGO_DOUBLING : ART_ALGO_TREE;
}

/* What is set for the way it runs. */
static enum art_algo set_for(const struct art_op *op)
{
	return op->way <= ART_C_ALLREDUCE ? (enum art_algo)op->comm->coll->cfg.algo[op->way] :
					    ART_ALGO_AUTO;
}

enum art_algo art__choose(const struct art_op *op)
{
	enum art_algo set = set_for(op);

	switch (op->way) {
	case ART_C_BCAST:
		return set == ART_ALGO_CHAIN ? set : ART_ALGO_TREE;
	case ART_C_REDUCE:
		return set == ART_ALGO_CHAIN && pieces_any_order(op) ? set : ART_ALGO_TREE;
	case ART_C_ALLREDUCE:
		return allreduce(op, set);
	default:
		return ART_ALGO_DOUBLING;
	}
}

uint32_t art__choose_mark(const struct art_op *op)
{
	enum art_algo set = set_for(op);

	return set == ART_ALGO_AUTO || art__comm_op(op) ? 0 : (uint32_t)set * 0x9e3779b1u;
}
