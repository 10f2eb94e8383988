/* SPDX-License-Identifier: MIT
 *
 * Two trees over the same positions, each for half of a vector (Sanders, Speck, Traeff, Parallel
 * Computing 2009): whoever passes things on in the one is a leaf of the other, so that everybody sends
 * about as much as it receives, the root included.
 *
 * The root stands above both. The others are nodes 1..q, and the first tree has them in order: a
 * node's number is a multiple of a power of two, odd ones are leaves, and each stands between its kids.
 *
 *               8               The second is the first one mirrored (v is q+1-v in it) where q is even,
 *       4               12      else shifted by one (v is v-1, 1 is q): odd nodes are even ones there.
 *   2       6       10          Where q is odd, node 1 is a leaf in both.
 *  1 3     5 7     9  11
 *
 * A node above q is not there; what is left of its kids hangs one higher.
 */
#include "topo/topo.h"

#include <assert.h>

static int node_in(int q, int which, int v)
{
	if (!which)
		return v;
	if (q % 2 == 0)
		return q + 1 - v;
	return v > 1 ? v - 1 : q;
}

/* Which node is @v in the tree: the other way. */
static int node_from(int q, int which, int v)
{
	if (!which)
		return v;
	if (q % 2 == 0)
		return q + 1 - v;
	return v < q ? v + 1 : 1;
}

static int lowest_bit(int v)
{
	return v & -v;
}

/* 0: the root. */
static int parent_of(int q, int v)
{
	int low = lowest_bit(v);
	int64_t up = (int64_t)(v ^ low) | (int64_t)low << 1;

	return up <= q ? (int)up : v ^ low;
}

static int kids_of(int q, int v, int kid[2])
{
	int half = lowest_bit(v) / 2, n = 0;

	if (half)
		kid[n++] = v - half;
	while (half && half > q - v)
		half /= 2;
	if (half)
		kid[n++] = v + half;
	return n;
}

/* The one node below the root. */
static int top(int q)
{
	int v = 1;

	while (v <= q / 2)
		v *= 2;
	return v;
}

void art__topo_twotree(int p, int root, int which, int me, struct art_tree *t)
{
	assert(p >= 2 && root >= 0 && root < p && me >= 0 && me < p);
	assert(which == 0 || which == 1);
	assert(t->cap >= 2);
	int q = p - 1, v = me >= root ? me - root : me + (p - root), kid[2] = { top(q) };

	t->parent = -1;
	t->depth = 0;
	t->nchild = 1;
	if (v) {
		v = node_in(q, which, v);
		t->nchild = kids_of(q, v, kid);
		t->parent = parent_of(q, v);
		for (int w = v; w; w = parent_of(q, w))
			t->depth++;
	}
	if (t->parent > 0)
		t->parent = node_from(q, which, t->parent);
	if (t->parent >= 0)
		t->parent = (int)(((int64_t)t->parent + root) % p);
	for (int i = 0; i < t->nchild; i++)
		t->child[i] = (int)(((int64_t)node_from(q, which, kid[i]) + root) % p);
}
