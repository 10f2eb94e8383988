/* SPDX-License-Identifier: MIT
 *
 * Who is parent and kid of this rank in the tree of an op, in which order parts are combined: a
 * pure function of the participants, the root and who must be a leaf, so nobody sends it. In a
 * rerun with a user function, ranks that have returned are leaves (rule R11).
 */
#include "base/marks.h"
#include "coll/coll.h"
#include "topo/topo.h"

/* May parts be combined in whatever order suits the network? Otherwise in order of rank, along a tree
 * that depends on the number of participants only: for a reproducible communicator binomial, the
 * shape that recursive doubling has when that number is a power of two. What is dead in that tree stays
 * in it, and core/relay.c carries it: the bits are not to tell of the network. */
bool art__shape_any_order(const struct art_op *op)
{
	return (!op->call.fn || op->call.flags & 1) && !op->ordered;
}

/* What is short goes straight up and down where ranks share cores: a message costs the same wherever it goes and no
 * link has its limit, but who passes on is one more that has to get a core first. */
static bool wants_star(const struct art_op *op)
{
	const struct art_core_cfg *cfg = &op->comm->coll->cfg;

	return cfg->crowded && op->comm->nhost == 1 && op->way != ART_C_BCAST && op->bytes <= cfg->small_max &&
	       art__shape_any_order(op);
}

static int radix(const struct art_op *op)
{
	int set = art__algo_radix(op->algo);

	if (op->ordered)
		return 2;
	if (set)
		return set;
	return wants_star(op) ? ART_RADIX_MAX : op->comm->coll->cfg.radix;
}

static int me(const struct art_op *op)
{
	return op->comm->coll->cfg.slot;
}

struct shape {
	int *head;   /* positions that work; the others hang below one of them */
	int nhead;
	int *child;  /* scratch for topo */
	int my_head; /* index in head[], -1: this rank is such a leaf */
};

/* Never the root: it returns with the result, whatever was said of it; and only a reduce returns
 * early at others. */
static bool must_be_leaf(const struct art_op *op, int pos)
{
	return op->call.fn && op->returned_set && op->root >= 0 &&
	       op->comm->part[pos] != op->root &&
	       art__set_has(op->returned_set, (uint32_t)op->comm->part[pos]);
}

static void find_heads(const struct art_op *op, struct shape *s)
{
	s->nhead = 0;
	s->my_head = -1;
	for (int i = 0; i < op->comm->npart; i++) {
		if (must_be_leaf(op, i))
			continue;
		if (i == op->comm->mypos)
			s->my_head = s->nhead;
		s->head[s->nhead++] = i;
	}
}

/* The head a leaf hangs below: the nearest before it, or the first. */
static int head_of(const struct shape *s, int pos)
{
	int h = 0;

	while (h + 1 < s->nhead && s->head[h + 1] < pos)
		h++;
	return h;
}

/* Leaves of the head at index h, in order; those before the first head are `left`. */
static int own_leaves(const struct art_op *op, const struct shape *s, int h, int *out, int *left)
{
	int n = 0, end = h + 1 < s->nhead ? s->head[h + 1] : op->comm->npart;

	*left = 0;
	for (int i = h == 0 ? 0 : s->head[h] + 1; i < end; i++) {
		if (i == s->head[h])
			continue;
		if (i < s->head[h])
			(*left)++;
		out[n++] = i;
	}
	return n;
}

/* Do participants sit on both ends of some dead edge? */
bool art__shape_torn(const struct art_comm *m)
{
	const struct art_edges *e = &m->coll->ft->view.edges;
	const int *hosts = m->coll->cfg.hosts;

	for (uint32_t i = 0; hosts && i < e->n; i++) {
		bool a = false, b = false;

		for (int k = 0; k < m->npart; k++) {
			a |= hosts[m->part[k]] == hosts[e->e[i].a];
			b |= hosts[m->part[k]] == hosts[e->e[i].b];
		}
		if (a && b)
			return true;
	}
	return false;
}

static void tree_round(const struct art_op *op, int root, const int *hosts, struct art_tree *t, int *scratch)
{
	const struct art_core_cfg *cfg = &op->comm->coll->cfg;
	const struct art_edges *e = &op->comm->coll->ft->view.edges;
	struct art_pair dead[ART_EDGES_MAX];

	for (uint32_t i = 0; i < e->n; i++)
		dead[i] = (struct art_pair){ cfg->hosts[e->e[i].a], cfg->hosts[e->e[i].b] };
	ART_MARK(op->comm->coll->env, ART_M_WENT_ROUND);
	art__topo_around(op->comm->npart, root, radix(op), hosts, dead, (int)e->n, op->comm->mypos, t,
			 scratch);
}

static void plain_tree(const struct art_op *op, const struct shape *s, int root,
		       struct art_tree *t)
{
	const struct art_core_cfg *cfg = &op->comm->coll->cfg;

	if (cfg->hosts && art__shape_any_order(op) && s->nhead == op->comm->npart) {
		int *hosts = s->head + op->comm->npart, *scratch = hosts + op->comm->npart;

		for (int i = 0; i < op->comm->npart; i++)
			hosts[i] = cfg->hosts[op->comm->part[i]];
		if (op->comm->torn) {
			tree_round(op, root, hosts, t, scratch);
			return;
		}
		art__topo_hosts(op->comm->npart, root, radix(op), hosts, op->comm->mypos, t,
				scratch);
		return;
	}
	art__topo_knomial(s->nhead, root, radix(op), s->my_head, t);
}

/* Parent and kids of this rank; kids (positions) in order of combination into out[]. */
static int shape_kids(const struct art_op *op, struct shape *s, int root_pos, int *out)
{
	struct art_treeop *t = op->tree;
	struct art_tree tree = { .child = s->child, .cap = op->comm->npart };
	int n, root = art__shape_any_order(op) ? root_pos : 0;

	if (s->my_head < 0) {
		t->parent = op->comm->part[s->head[head_of(s, op->comm->mypos)]];
		return 0;
	}
	if (art__shape_any_order(op))
		for (int i = 0; i < s->nhead; i++)
			if (s->head[i] == root_pos)
				root = i;
	plain_tree(op, s, root, &tree);
	t->parent = tree.parent < 0 ? -1 : op->comm->part[s->head[tree.parent]];
	n = own_leaves(op, s, s->my_head, out, &t->nleft);
	for (int i = 0; i < tree.nchild; i++)
		out[n++] = s->head[tree.child[i]];
	return n;
}

static bool kid_room(struct art_op *op, int n)
{
	struct art_treeop *t = op->tree;
	struct art_pool *pool = &op->comm->coll->pool;

	t->kid = t->inline_kid;
	t->down_tx = t->inline_tx;
	t->nkid = n;
	if (n <= ART_KIDS_INLINE)
		return true;
	t->kid = art__pool_get(pool, (size_t)n * sizeof(*t->kid));
	t->down_tx = art__pool_get(pool, (size_t)n * sizeof(*t->down_tx));
	if (t->kid && t->down_tx)
		return true;
	art__pool_put(pool, t->kid);
	art__pool_put(pool, t->down_tx);
	t->kid = t->inline_kid;
	t->down_tx = t->inline_tx;
	t->nkid = 0;
	return false;
}

/* The usual case: nobody must be a leaf, no hosts, and the order does not matter. */
static bool simple_shape(struct art_op *op, int root_pos)
{
	struct art_comm *m = op->comm;
	int child[64];
	struct art_tree t = { .child = child, .cap = 64 };

	art__topo_knomial(m->npart, root_pos, radix(op), m->mypos, &t);
	op->tree->parent = t.parent < 0 ? -1 : m->part[t.parent];
	if (!kid_room(op, t.nchild))
		return false;
	for (int i = 0; i < t.nchild; i++) {
		memset(&op->tree->kid[i], 0, sizeof(op->tree->kid[i]));
		op->tree->kid[i].slot = m->part[child[i]];
	}
	return true;
}

/* Root first, then the ranks after it. */
static bool chain_shape(struct art_op *op, int root_pos)
{
	struct art_comm *m = op->comm;
	int p = m->npart, v = (m->mypos - root_pos + p) % p;

	op->tree->parent = v ? m->part[(m->mypos + p - 1) % p] : -1;
	op->tree->nkid = v + 1 < p;
	memset(&op->tree->kid[0], 0, sizeof(op->tree->kid[0]));
	op->tree->kid[0].slot = m->part[(m->mypos + 1) % p];
	return true;
}

bool art__tree_shape(struct art_op *op)
{
	struct art_comm *m = op->comm;
	struct art_pool *pool = &m->coll->pool;
	int p = m->npart, root_pos = 0, n;
	struct shape s;
	bool ok;
	int *mem, *out;

	for (int i = 0; i < p; i++)
		if (m->part[i] == op->root)
			root_pos = i;
	if (art__choose(op) == ART_ALGO_CHAIN)
		return chain_shape(op, root_pos);
	if (art__shape_any_order(op) && !(op->call.fn && op->returned_set) && !m->coll->cfg.hosts &&
	    art__topo_knomial_children(p, radix(op)) <= 64)
		return simple_shape(op, root_pos);
	mem = art__pool_get(pool, (size_t)p * 9 * sizeof(int));
	if (!mem)
		return false;
	s.head = mem; /* [7 p]: heads, hosts, and what topo needs */
	s.child = mem + 7 * (size_t)p;
	out = mem + 8 * (size_t)p;
	find_heads(op, &s);
	n = shape_kids(op, &s, root_pos, out);
	ok = kid_room(op, n);
	for (int i = 0; i < op->tree->nkid; i++) {
		memset(&op->tree->kid[i], 0, sizeof(op->tree->kid[i]));
		op->tree->kid[i].slot = m->part[out[i]];
	}
	if (!art__shape_any_order(op) && op->way == ART_C_REDUCE) {
		int top = m->part[s.head[0]];

		op->tree->fwd_to = me(op) == top && op->root != top ? op->root : -1;
		op->tree->fwd_wait = me(op) == op->root && op->root != top;
		if (op->tree->fwd_wait)
			op->tree->down_rx.slot = top;
	}
	art__pool_put(pool, mem);
	return ok;
}
