/* SPDX-License-Identifier: MIT
 *
 * Which algorithm an op takes between ranks that exchange messages: a pure function of the call, the
 * number of participants, whether ranks share cores, and what is set, so that nobody sends it. Set is,
 * in this order: the communicator's (art_comm_set_algorithm, ART_COLL_<OP>), what a table says that was
 * measured (ART_TUNING), nothing (auto). It is looked up once, when the op starts, and kept for its
 * reruns. Settings that differ between ranks show as mismatched calls, because what is set is part
 * of the signature. What the view says of dead edges is looked up for each attempt.
 *
 *   two ranks             exchange (rd.c, tree.c), whatever is set, as there is no other sensible way
 *   user function         doubling (short allreduce) or tree: a whole vector at once
 *   ordered               in order of rank, along the tree
 *   dead edges            the tree, which goes round them (shape.c), unless something is set or the order
 *                         matters: what goes over them between pairs is carried (core/relay.c). The tree, too, for two trees
 *   what is left          as set; auto: doubling if it is short, halving if it is long (a reduce: and the number
 *                         of ranks is a power of two), else the tree
 *   a host for each       two trees for what is long, but for what an allreduce halves
 *   cores are shared      the tree for what would be doubling by itself, and for a barrier
 *   hosts of three ranks  auto, and short: the tree with slots inside each host (leaders.c)
 *
 * A tree has the radix that is set with it, unless it is ordered; else shape.c knows.
 *
 * Doubling takes log2 p rounds in which all send, the tree twice as many in which one message is sent for each
 * rank, up and down. A rank with a core of its own waits for rounds; where a core has several, each message
 * is work that another waits for.
 *
 * In a long allreduce the top of a tree receives and sends the vector log2 p times, in halving each rank
 * less than twice. Below 1 MiB what the steps wait for each other outweighs that where ranks
 * share cores. In a reduce there is less to be gained, and what folds costs it all again. A ring, with 2 (p-1)
 * steps, was where ranks share cores never faster than the faster of the two, though from 1 MiB on mostly faster than
 * the tree. Of ranks that share nothing but a network all links work at once in two trees, and only the root's in one.
 */
#include "base/marks.h"
#include "coll/coll.h"

/* May parts of it be combined in whatever order, and block by block? */
static bool pieces_any_order(const struct art_op *op)
{
	return !op->call.fn && !op->ordered && !art__comm_op(op);
}

/* Is there an element for each? */
static bool one_each(const struct art_op *op)
{
	return op->bytes && op->call.count >= (size_t)op->comm->npart;
}

static bool two_trees_by_itself(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	return m->nhost == m->npart && m->npart > 2 && op->bytes >= m->coll->cfg.twotree_min && one_each(op);
}

/* Hosts of which some have several ranks, whose parts go through memory before they go to other hosts. */
static bool has_leaders(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	return m->nhost > 1 && m->nhost < m->npart && pieces_any_order(op) && op->call.kind <= ART_C_ALLREDUCE;
}

/* Measured: three ranks a host, on average, and little data. Where cores are not shared, pairs take fewer rounds. */
static bool leaders_win(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	return m->npart >= 3 * m->nhost && op->bytes <= ART_LEADERS_BYTES &&
	       (op->way == ART_C_BCAST || op->way == ART_C_REDUCE || m->coll->cfg.crowded);
}

static __attribute__((noinline)) bool by_leaders(const struct art_op *op, enum art_algo set)
{
	return has_leaders(op) && (set == ART_ALGO_LEADERS || (set == ART_ALGO_AUTO && leaders_win(op)));
}

static enum art_algo bcast(const struct art_op *op, enum art_algo set)
{
	if (set == ART_ALGO_AUTO && two_trees_by_itself(op))
		return ART_ALGO_TWOTREE;
	if ((set == ART_ALGO_SCATTER || set == ART_ALGO_TWOTREE) && op->comm->npart > 2 && one_each(op))
		return set;
	return set == ART_ALGO_CHAIN ? set : ART_ALGO_TREE;
}

/* More than two, or there is nothing to be saved. */
static bool fewer_messages(const struct art_op *op)
{
	return op->comm->coll->cfg.crowded && op->comm->npart > 2 && op->call.kind <= ART_C_ALLREDUCE;
}

static enum art_algo usual_barrier(const struct art_op *op)
{
	return fewer_messages(op) ? ART_ALGO_TREE : ART_ALGO_DOUBLING;
}

static enum art_algo allreduce(const struct art_op *op, enum art_algo set)
{
	const struct art_comm *m = op->comm;
	bool shape_differs = op->ordered && m->npart & (m->npart - 1);
	bool doubling = op->bytes <= m->coll->cfg.small_max && !shape_differs && !fewer_messages(op);

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
	case ART_ALGO_HALVING:
	case ART_ALGO_TWOTREE:
		if (one_each(op))
			return set;
		break;
	case ART_ALGO_AUTO:
		if (op->bytes >= m->coll->cfg.halving_min && one_each(op))
			return ART_ALGO_HALVING;
		if (two_trees_by_itself(op))
			return ART_ALGO_TWOTREE;
		break;
	default:
		break;
	}
	return doubling ? ART_ALGO_DOUBLING : ART_ALGO_TREE;
}

/* In a uniform one the root tells the others, which only the tree does. */
static bool may_end_early(const struct art_op *op)
{
	return op->comm->npart > 2 && one_each(op) && !op->uniform;
}

static bool none_folds(const struct art_comm *m)
{
	return !(m->npart & (m->npart - 1));
}

static enum art_algo reduce(const struct art_op *op, enum art_algo set)
{
	bool is_long = op->bytes >= op->comm->coll->cfg.halving_min && none_folds(op->comm);

	if (!pieces_any_order(op))
		return ART_ALGO_TREE;
	if (set == ART_ALGO_AUTO && two_trees_by_itself(op) && may_end_early(op))
		return ART_ALGO_TWOTREE;
	if ((set == ART_ALGO_HALVING || (set == ART_ALGO_AUTO && is_long)) && may_end_early(op))
		return ART_ALGO_HALVING;
	if (set == ART_ALGO_TWOTREE && may_end_early(op))
		return set;
	return set == ART_ALGO_CHAIN ? set : ART_ALGO_TREE;
}

enum art_algo art__choose_usual(const struct art_op *op)
{
	enum art_algo set = art__algo_of(op->algo);

	if (op->comm->nhost > 1 && by_leaders(op, set))
		return ART_ALGO_LEADERS;
	switch (op->way) {
	case ART_C_BCAST:
		return bcast(op, set);
	case ART_C_REDUCE:
		return reduce(op, set);
	case ART_C_ALLREDUCE:
		return allreduce(op, set);
	default:
		return usual_barrier(op);
	}
}

/* Pairs exchange over every edge, the tree goes round dead ones. Finalize says goodbye to the pairs that it
 * had, so it keeps to them. */
enum art_algo art__choose_torn(const struct art_op *op)
{
	enum art_algo usual = art__choose_usual(op);
	bool pairs = op->way == ART_C_BARRIER || op->way == ART_C_ALLREDUCE ||
		     (op->way == ART_C_REDUCE && usual == ART_ALGO_HALVING);
	bool set = op->algo != ART_ALGO_AUTO && op->algo != ART_ALGO_TWOTREE;

	if (usual == ART_ALGO_TWOTREE)
		return ART_ALGO_TREE;
	if (!pairs || set || op->call.kind == ART_C_FINALIZE ||
	    op->comm->npart == 2 || !art__shape_any_order(op))
		return usual;
	ART_MARK(op->comm->coll->env, ART_M_PAIRS_LEFT);
	return by_leaders(op, ART_ALGO_AUTO) ? ART_ALGO_LEADERS : ART_ALGO_TREE;
}

/* ---- what is set ---- */

static uint8_t measured(const struct art_tuned *t, enum art_coll kind, uint64_t bytes)
{
	int n = t->nline[kind], i = 0;

	while (i < n && bytes > t->line[kind][i].upto)
		i++;
	return i < n ? t->line[kind][i].algo : (uint8_t)ART_ALGO_AUTO;
}

void art__choose_set(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	enum art_coll kind = op->call.kind;

	if (kind > ART_C_ALLREDUCE)
		return; /* what ART runs for itself is not to depend on settings */
	op->algo = m->algo[op->way];
	if (m->tuned && op->algo == ART_ALGO_AUTO && op->way > ART_C_BARRIER)
		op->algo = measured(m->tuned, op->way, op->bytes);
	op->sig ^= (uint32_t)op->algo * 0x9e3779b1u; /* AUTO: 0 */
}

bool art__choose_any(const struct art_comm *m)
{
	for (int kind = 0; kind <= ART_C_ALLREDUCE; kind++)
		if (m->algo[kind] != ART_ALGO_AUTO)
			return true;
	return m->tuned;
}

/* How many times more ranks the one has than the other. */
static double apart(int a, int b)
{
	return a > b ? (double)a / b : (double)b / a;
}

const struct art_tuned *art__choose_tuned(const struct art_tuning *t, int nrank)
{
	const struct art_tuned *best = NULL;

	for (int i = 0; t && nrank > 0 && i < t->nsection; i++) {
		const struct art_tuned *s = &t->section[i];

		if (apart(s->ranks, nrank) <= 2 &&
		    (!best || apart(s->ranks, nrank) < apart(best->ranks, nrank)))
			best = s;
	}
	return best;
}

void art__comm_set_algo(struct art_comm *m, enum art_coll kind, uint8_t algo)
{
	m->algo[kind] = algo;
	m->chosen = art__choose_any(m);
}
