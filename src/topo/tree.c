/* SPDX-License-Identifier: MIT
 *
 * Decides who is whose parent: the k-nomial tree, its host-aware form, and that round hosts which do
 * not reach each other. Which tree and radix an operation uses, and which slot sits at a position, is left to the callers.
 *
 * A node v of the k-nomial tree is written in base k. Its parent is v with the lowest non-zero
 * digit cleared; if that digit has weight w, the subtree of v is the range [v, v + w).
 */
#include "topo/topo.h"

#include <assert.h>

#define MIN_RADIX 2
#define MAX_RADIX 16

/* Everybody of a host but its leader sits right below the leader, so a tree over two hosts can
 * be a star, whatever the radix. At least 1, so that the result can size an array. */
int art__topo_max_children(int p, int radix)
{
	assert(p >= 1);
	assert(radix >= MIN_RADIX && radix <= MAX_RADIX);
	(void)radix;
	return p > 2 ? p - 1 : 1;
}

/* radix - 1 for each digit of p - 1. */
int art__topo_knomial_children(int p, int radix)
{
	int n = 0;

	assert(p >= 1);
	assert(radix >= MIN_RADIX && radix <= MAX_RADIX);
	for (int rest = p - 1; rest; rest /= radix)
		n += radix - 1;
	if (n > p - 1)
		n = p - 1;
	return n > 0 ? n : 1;
}

static void check_place(int p, int root, int radix, int me)
{
	assert(p >= 1);
	assert(root >= 0 && root < p && me >= 0 && me < p);
	assert(radix >= MIN_RADIX && radix <= MAX_RADIX);
	(void)p, (void)root, (void)radix, (void)me;
}

/* Node numbers have the root at 0; neither sum below can overflow. */
static int node_of(int p, int root, int position)
{
	return position >= root ? position - root : position + (p - root);
}

static int position_of(int p, int root, int node)
{
	return node < p - root ? root + node : node - (p - root);
}

/* The number of non-zero digits: every step up clears one. */
static int node_depth(int node, int radix)
{
	int depth = 0;

	for (; node; node /= radix)
		depth += node % radix != 0;
	return depth;
}

static void add_child(struct art_tree *t, int position)
{
	assert(t->nchild < t->cap);
	t->child[t->nchild++] = position;
}

void art__topo_knomial(int p, int root, int radix, int me, struct art_tree *t)
{
	check_place(p, root, radix, me);
	int v = node_of(p, root, me);
	int64_t w = 1; /* the weight of the digit looked at; may step past INT_MAX */

	t->nchild = 0;
	t->depth = node_depth(v, radix);
	for (; w < p && v / w % radix == 0; w *= radix)
		for (int64_t c = v + w; c < v + w * radix && c < p; c += w)
			add_child(t, position_of(p, root, (int)c));
	if (v == 0)
		t->parent = -1;
	else
		t->parent = position_of(p, root, (int)(v - v / w % radix * w));
}

/* The cell of @table (p cells, -1 is empty) for the leader of @host. Host numbers are usually
 * small and dense, then the first cell is it; any others are found by walking on. There are at
 * most p hosts, so the walk ends. */
static int *leader_cell(int p, const int *hosts, int *table, int host)
{
	int k = (int)((unsigned int)host % (unsigned int)p);

	while (table[k] >= 0 && hosts[table[k]] != host)
		k = k + 1 < p ? k + 1 : 0;
	return &table[k];
}

/* Fills @table; the root is entered first, so it leads its host. */
static void find_leaders(int p, int root, const int *hosts, int *table)
{
	for (int i = 0; i < p; i++)
		table[i] = -1;
	*leader_cell(p, hosts, table, hosts[root]) = root;
	for (int i = 0; i < p; i++) {
		int *cell = leader_cell(p, hosts, table, hosts[i]);

		if (*cell < 0)
			*cell = i;
	}
}

/* The leaders in ascending position; returns how many. */
static int list_leaders(int p, const int *hosts, int *table, int *leaders)
{
	int n = 0;

	for (int i = 0; i < p; i++)
		if (*leader_cell(p, hosts, table, hosts[i]) == i)
			leaders[n++] = i;
	return n;
}

static int index_of(const int *list, int n, int value)
{
	int i = 0;

	while (i < n && list[i] != value)
		i++;
	assert(i < n);
	return i;
}

/* A leader: its place in the tree of leaders, then its own host. */
static void place_leader(int p, const int *hosts, int me, const int *leaders, struct art_tree *t)
{
	if (t->parent >= 0)
		t->parent = leaders[t->parent];
	for (int i = 0; i < t->nchild; i++)
		t->child[i] = leaders[t->child[i]];
	for (int i = 0; i < p; i++)
		if (i != me && hosts[i] == hosts[me])
			add_child(t, i);
}

void art__topo_hosts(int p, int root, int radix, const int *hosts, int me, struct art_tree *t,
		     int *scratch)
{
	check_place(p, root, radix, me);
	int *table = scratch, *leaders = scratch + p;

	find_leaders(p, root, hosts, table);
	int n = list_leaders(p, hosts, table, leaders);
	if (n == 1) {
		art__topo_knomial(p, root, radix, me, t);
		return;
	}
	int leader = *leader_cell(p, hosts, table, hosts[me]);
	int r = index_of(leaders, n, root), l = index_of(leaders, n, leader);
	if (leader == me) {
		art__topo_knomial(n, r, radix, l, t);
		place_leader(p, hosts, me, leaders, t);
		return;
	}
	t->parent = leader;
	t->depth = node_depth(node_of(n, r, l), radix) + 1;
	t->nchild = 0;
}

/* ---- round dead edges ---- */

/* The tree of leaders as it grows, by node numbers. */
struct around {
	int n, root, radix; /* root: its place among the leaders */
	const int *hosts, *leaders;
	const struct art_pair *dead;
	int ndead;
	int *up, *depth, *kids; /* [n]; up: -1: not in the tree yet */
};

static bool no_way(const struct around *a, int v, int w)
{
	int x = a->hosts[a->leaders[position_of(a->n, a->root, v)]];
	int y = a->hosts[a->leaders[position_of(a->n, a->root, w)]];

	for (int i = 0; i < a->ndead; i++)
		if ((a->dead[i].a == x && a->dead[i].b == y) || (a->dead[i].a == y && a->dead[i].b == x))
			return true;
	return false;
}

/* In the k-nomial tree: lower than @v. */
static int usual_parent(const struct around *a, int v)
{
	int64_t w = 1;

	while (v / w % a->radix == 0)
		w *= a->radix;
	return (int)(v - v / w % a->radix * w);
}

static void hang(struct around *a, int v, int parent)
{
	a->up[v] = parent;
	a->depth[v] = a->depth[parent] + 1;
	a->kids[parent]++;
}

/* Whoever can has its usual place; each may make room for those after it. */
static void hang_usual(struct around *a)
{
	for (int v = 1; v < a->n; v++) {
		int parent = usual_parent(a, v);

		if (a->up[v] < 0 && a->up[parent] >= 0 && !no_way(a, v, parent))
			hang(a, v, parent);
	}
}

/* Where a message from the root comes soonest, if each sends to one at a time; -1: nowhere. */
static int best_place(const struct around *a, int v)
{
	int best = -1;

	for (int w = 0; w < a->n; w++)
		if (a->up[w] >= 0 && !no_way(a, v, w) &&
		    (best < 0 || a->depth[w] + a->kids[w] < a->depth[best] + a->kids[best]))
			best = w;
	return best;
}

/* One more that is not in the tree. The lowest one's usual parent is, so that all are in the end, also those
 * that no way leads to. False: all are there. */
static bool hang_next(struct around *a)
{
	int first = 0;

	for (int v = 1; v < a->n; v++) {
		int place;

		if (a->up[v] >= 0)
			continue;
		if (!first)
			first = v;
		place = best_place(a, v);
		if (place < 0)
			continue;
		hang(a, v, place);
		return true;
	}
	if (first)
		hang(a, first, usual_parent(a, first));
	return first > 0;
}

static void grow(struct around *a)
{
	for (int v = 0; v < a->n; v++) {
		a->up[v] = v ? -1 : 0;
		a->depth[v] = a->kids[v] = 0;
	}
	do
		hang_usual(a);
	while (hang_next(a));
}

/* Parent and children of the leader that is node @v, as places among the leaders. */
static void read_off(const struct around *a, int v, struct art_tree *t)
{
	t->parent = v ? position_of(a->n, a->root, a->up[v]) : -1;
	t->nchild = 0;
	for (int w = 1; w < a->n; w++)
		if (a->up[w] == v)
			add_child(t, position_of(a->n, a->root, w));
}

void art__topo_around(int p, int root, int radix, const int *hosts, const struct art_pair *dead, int ndead,
		      int me, struct art_tree *t, int *scratch)
{
	check_place(p, root, radix, me);
	int *table = scratch, *leaders = scratch + p;
	struct around a = { .radix = radix, .hosts = hosts, .leaders = leaders, .dead = dead, .ndead = ndead,
			    .up = leaders + p, .depth = leaders + p + p, .kids = leaders + p + p + p };

	find_leaders(p, root, hosts, table);
	a.n = list_leaders(p, hosts, table, leaders);
	if (a.n == 1) {
		art__topo_knomial(p, root, radix, me, t);
		return;
	}
	a.root = index_of(leaders, a.n, root);
	grow(&a);
	int leader = *leader_cell(p, hosts, table, hosts[me]);
	int v = node_of(a.n, a.root, index_of(leaders, a.n, leader));
	t->depth = a.depth[v] + (leader != me);
	if (leader == me) {
		read_off(&a, v, t);
		place_leader(p, hosts, me, leaders, t);
		return;
	}
	t->parent = leader;
	t->nchild = 0;
}
