/* SPDX-License-Identifier: MIT
 *
 * Properties of the trees in src/topo/tree.c, looked at from every position: k-nomial trees of 1 to
 * 300 members, the binomial ones with every root, the others and the trees over hosts with every root for
 * small p and a sample above. Members sit as a launcher has placed them, as it has placed those that are left when many are gone,
 * and anyhow. Trees round dead edges: with a few and with many pairs of hosts between which there is no way.
 * Two trees in one: with every root up to 100.
 *
 *   test_tree                      everything
 *   test_tree P ROOT RADIX SEED    one coordinate, as a failure prints it
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "topo/topo.h"

#define MAX_P 300
#define ROOM (MAX_P + 1)
#define ALL_ROOTS 64 /* of all but binomial trees */
#define SAMPLED_ROOTS 3
#define HOST_MAPS 4
#define HOST_KINDS 5

/* Seeds with a meaning; all others make a random map of hosts. */
#define NO_HOSTS 0ul
#define ONE_HOST 1ul
#define FIRST_SEED 2ul
#define TWO_TREES (~0ul)
#define DEAD_SEED (1ul << 32) /* from here on: a map of the rest, and dead edges */

static const int radices[] = { 2, 3, 4, 8, 16 };
#define NRADICES (sizeof(radices) / sizeof(radices[0]))

/* What every position said about itself. */
static struct art_tree nodes[MAX_P];
static int children[MAX_P][ROOM];

static struct {
	int p, root, radix;
	unsigned long seed;
} at;
static bool failed;

static unsigned long rng_state;

static unsigned long rng(void)
{
	rng_state += 0x9e3779b97f4a7c15ul;
	unsigned long z = rng_state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return z ^ (z >> 31);
}

/* An assertion in the library ends the test; the coordinate is printed all the same. */
static void on_abort(int sig)
{
	(void)sig;
	dprintf(1, "\n    aborted: test_tree %d %d %d %lu\n", at.p, at.root, at.radix, at.seed);
}

/* One line per failed coordinate, however many of its properties are broken. */
static void expect(bool ok, const char *what)
{
	if (ok || failed)
		return;
	failed = true;
	printf("\n    not so: %s: test_tree %d %d %d %lu\n", what, at.p, at.root, at.radix,
	       at.seed);
}

static int ceil_log(int radix, int p)
{
	int log = 0;

	for (long reach = 1; reach < p; reach *= radix)
		log++;
	return log;
}

static int node_of(int position)
{
	return (position - at.root + at.p) % at.p;
}

static void prepare(int i)
{
	int cap = art__topo_max_children(at.p, at.radix);

	expect(cap >= 1 && cap <= MAX_P, "max_children is sane");
	for (int k = 0; k < ROOM; k++)
		children[i][k] = -7;
	nodes[i] = (struct art_tree){ .parent = -9, .nchild = -9, .depth = -9,
				      .child = children[i], .cap = cap };
}

static void ask_knomial(void)
{
	for (int i = 0; i < at.p; i++) {
		prepare(i);
		art__topo_knomial(at.p, at.root, at.radix, i, &nodes[i]);
	}
}

static void ask_hosts(const int *hosts)
{
	int scratch[2 * MAX_P + 1];

	for (int i = 0; i < at.p; i++) {
		prepare(i);
		memset(scratch, 0x5a, sizeof(scratch));
		scratch[2 * at.p] = 4711;
		art__topo_hosts(at.p, at.root, at.radix, hosts, i, &nodes[i], scratch);
		expect(scratch[2 * at.p] == 4711, "scratch holds 2*p ints");
	}
}

static bool is_child(int parent, int child)
{
	int n = 0;

	for (int k = 0; k < nodes[parent].nchild; k++)
		n += children[parent][k] == child;
	return n == 1;
}

/* One position: bounds, and its children say that it is their parent. */
static void check_node(int i)
{
	const struct art_tree *t = &nodes[i];

	expect((t->parent == -1) == (i == at.root), "the root and nobody else has no parent");
	expect(t->parent >= -1 && t->parent < at.p, "parent is a position");
	expect(t->nchild >= 0 && t->nchild <= t->cap, "children fit max_children");
	if (failed)
		return;
	expect(children[i][t->nchild] == -7, "nothing written after the last child");
	expect(t->parent < 0 || is_child(t->parent, i), "the parent has me as a child, once");
	for (int k = 0; k < t->nchild && !failed; k++) {
		int c = children[i][k];

		expect(c >= 0 && c < at.p, "a child is a position");
		expect(!failed && nodes[c].parent == i, "my child has me as its parent");
		expect(!failed && nodes[c].depth == t->depth + 1, "a child is one deeper");
	}
}

/* Marks the subtree of i; stops at a position seen before, so that a cycle ends too. */
static int reach(int i, bool *seen)
{
	int n = 1;

	expect(!seen[i], "no position is reached twice");
	seen[i] = true;
	for (int k = 0; k < nodes[i].nchild && !failed; k++)
		n += reach(children[i][k], seen);
	return n;
}

static void check_tree(void)
{
	bool seen[MAX_P] = { false };

	for (int i = 0; i < at.p && !failed; i++)
		check_node(i);
	expect(failed || nodes[at.root].depth == 0, "the root's depth is 0");
	expect(failed || reach(at.root, seen) == at.p, "every position is reached");
}

/* The subtree of i is the range of node numbers from its own on. */
static void check_contiguous(int i)
{
	bool seen[MAX_P] = { false };
	int size = reach(i, seen), v = node_of(i);

	expect(v + size <= at.p, "a subtree does not wrap");
	for (int k = 0; k < size && !failed; k++)
		expect(seen[(at.root + v + k) % at.p], "a subtree is a range, itself first");
}

static void check_distances(int i)
{
	for (int k = 0; k < nodes[i].nchild; k++) {
		int before = k ? node_of(children[i][k - 1]) : node_of(i);

		expect(node_of(children[i][k]) > before, "children in ascending distance");
	}
}

static void check_knomial(void)
{
	int log = ceil_log(at.radix, at.p);

	ask_knomial();
	check_tree();
	for (int i = 0; i < at.p && !failed; i++) {
		expect(nodes[i].depth <= log, "depth <= ceil(log_radix p)");
		expect(nodes[i].nchild <= (at.radix - 1) * log, "nchild <= (radix-1) log_radix p");
		expect(nodes[i].nchild <= art__topo_knomial_children(at.p, at.radix),
		       "children fit knomial_children");
		check_distances(i);
		check_contiguous(i);
	}
}

/* Who has children in the first and in the second. */
static void check_two_trees(void)
{
	bool inner[MAX_P] = { false };
	int idle = 0;

	for (int which = 0; which < 2 && !failed; which++) {
		for (int i = 0; i < at.p; i++) {
			prepare(i);
			nodes[i].cap = 2;
			art__topo_twotree(at.p, at.root, which, i, &nodes[i]);
		}
		check_tree();
		expect(failed || nodes[at.root].nchild == 1, "the root has one child");
		for (int i = 0; i < at.p && !failed; i++) {
			expect(nodes[i].depth <= ceil_log(2, at.p), "depth <= ceil(log2 p)");
			expect(i == at.root || !nodes[i].nchild || !inner[i], "inner in one of them");
			inner[i] |= nodes[i].nchild > 0;
		}
	}
	for (int i = 0; i < at.p; i++)
		idle += !inner[i];
	expect(failed || idle == (at.p % 2 == 0), "only one is a leaf in both, if any");
}

/* Written with plain loops, as the documentation reads. */
static int leader_of(const int *hosts, int i)
{
	if (hosts[i] == hosts[at.root])
		return at.root;
	for (int k = 0; k < i; k++)
		if (hosts[k] == hosts[i])
			return k;
	return i;
}

static int count_hosts(const int *hosts)
{
	int n = 0;

	for (int i = 0; i < at.p; i++)
		n += leader_of(hosts, i) == i;
	return n;
}

/* Children: leaders first, in ascending distance among the leaders, then the own host's. */
static void check_leader(const int *hosts, int i)
{
	int k = 0, own = 0;

	while (k < nodes[i].nchild && hosts[children[i][k]] != hosts[i]) {
		expect(leader_of(hosts, children[i][k]) == children[i][k],
		       "a child on another host leads it");
		expect(!k || node_of(children[i][k]) > node_of(children[i][k - 1]),
		       "leaders in ascending distance");
		k++;
	}
	for (; k < nodes[i].nchild; k++, own++)
		expect(hosts[children[i][k]] == hosts[i], "leaders first, then the own host's");
	for (int m = 0; m < at.p; m++)
		own -= m != i && hosts[m] == hosts[i];
	expect(own == 0, "a leader has all of its host below it");
}

static void check_member(const int *hosts, int i)
{
	expect(nodes[i].parent == leader_of(hosts, i), "a member is one below its leader");
	expect(nodes[i].nchild == 0, "a member has no children");
}

static void check_same_as_knomial(void)
{
	static struct art_tree before[MAX_P];
	static int kids[MAX_P][ROOM];

	memcpy(before, nodes, sizeof(nodes));
	memcpy(kids, children, sizeof(children));
	ask_knomial();
	for (int i = 0; i < at.p; i++) {
		expect(before[i].parent == nodes[i].parent && before[i].depth == nodes[i].depth &&
		       before[i].nchild == nodes[i].nchild, "one host: the plain tree");
		expect(memcmp(kids[i], children[i], sizeof(kids[i])) == 0,
		       "one host: the plain tree's children");
	}
}

/* The tree of the leaders alone is the k-nomial tree over them in position order. */
static void check_leader_tree(const int *hosts, int nhosts)
{
	int leaders[MAX_P], cell[MAX_P], n = 0, root = -1;

	for (int i = 0; i < at.p; i++)
		if (leader_of(hosts, i) == i) {
			if (i == at.root)
				root = n;
			leaders[n++] = i;
		}
	for (int l = 0; l < n && !failed; l++) {
		struct art_tree t = { .child = cell, .cap = MAX_P };

		art__topo_knomial(nhosts, root, at.radix, l, &t);
		expect(nodes[leaders[l]].depth == t.depth, "leaders are as deep as in their tree");
		expect(nodes[leaders[l]].parent == (t.parent < 0 ? -1 : leaders[t.parent]),
		       "leaders form a k-nomial tree");
	}
}

static void check_hosts(const int *hosts)
{
	int nhosts = count_hosts(hosts), log = ceil_log(at.radix, nhosts);

	ask_hosts(hosts);
	check_tree();
	if (nhosts == 1) {
		check_same_as_knomial();
		return;
	}
	for (int i = 0; i < at.p && !failed; i++) {
		expect(nodes[i].depth <= log + 1, "depth <= ceil(log_radix hosts) + 1");
		if (leader_of(hosts, i) == i)
			check_leader(hosts, i);
		else
			check_member(hosts, i);
	}
	check_leader_tree(hosts, nhosts);
}

/* ---- round dead edges ---- */

static struct art_pair dead[MAX_P];
static int ndead;

static bool no_way(int host, int other)
{
	for (int i = 0; i < ndead; i++)
		if ((dead[i].a == host && dead[i].b == other) || (dead[i].a == other && dead[i].b == host))
			return true;
	return false;
}

static void ask_around(const int *hosts)
{
	static int scratch[5 * MAX_P + 1];

	for (int i = 0; i < at.p; i++) {
		prepare(i);
		memset(scratch, 0x5a, sizeof(scratch));
		scratch[5 * at.p] = 4711;
		art__topo_around(at.p, at.root, at.radix, hosts, dead, ndead, i, &nodes[i], scratch);
		expect(scratch[5 * at.p] == 4711, "scratch holds 5*p ints");
	}
}

/* Into how many parts the hosts fall between which there are ways; plain search from each. */
static int count_parts(const int *hosts)
{
	int part[MAX_P], n = 0;
	bool more;

	for (int i = 0; i < at.p; i++)
		part[i] = -1;
	for (int i = 0; i < at.p; i++) {
		if (part[i] >= 0)
			continue;
		part[i] = n;
		do {
			more = false;
			for (int a = 0; a < at.p; a++)
				for (int b = 0; part[a] == n && b < at.p; b++)
					if (part[b] < 0 && !no_way(hosts[a], hosts[b]))
						part[b] = n, more = true;
		} while (more);
		n++;
	}
	return n;
}

static void check_same_as_hosts(const int *hosts)
{
	static struct art_tree before[MAX_P];
	static int kids[MAX_P][ROOM];

	memcpy(before, nodes, sizeof(nodes));
	memcpy(kids, children, sizeof(children));
	ask_hosts(hosts);
	for (int i = 0; i < at.p; i++) {
		expect(before[i].parent == nodes[i].parent && before[i].depth == nodes[i].depth &&
		       before[i].nchild == nodes[i].nchild, "nothing dead: the usual tree");
		expect(memcmp(kids[i], children[i], sizeof(kids[i])) == 0,
		       "nothing dead: the usual tree's children");
	}
}

/* Over a dead edge goes only what has no other way: to each part of the hosts but the root's once. */
static void check_around(const int *hosts)
{
	int nhosts = count_hosts(hosts), log = ceil_log(at.radix, nhosts), over = 0;

	ask_around(hosts);
	check_tree();
	for (int i = 0; i < at.p && !failed; i++) {
		if (leader_of(hosts, i) != i && nhosts > 1)
			check_member(hosts, i);
		if (nodes[i].parent >= 0)
			over += no_way(hosts[i], hosts[nodes[i].parent]);
		expect(ndead > 1 || nhosts < 3 || nodes[i].depth <= log + 2,
		       "one dead edge makes the tree one deeper at most");
	}
	expect(failed || over == count_parts(hosts) - 1, "dead edges are avoided where they can be");
	if (!ndead && !failed)
		check_same_as_hosts(hosts);
}

/* None, one, a few; some host's own, and it may have no other way; or so many that hosts fall into parts. */
static void draw_dead(const int *hosts)
{
	unsigned long kind = at.seed % 5;
	int many = kind < 2 ? (int)kind : kind == 2 ? 2 + (int)(rng() % 6) : MAX_P;
	int one = hosts[rng() % (unsigned long)at.p];

	ndead = 0;
	for (int tries = 0; tries < 2 * MAX_P && ndead < many; tries++) {
		int a = kind == 3 ? one : hosts[rng() % (unsigned long)at.p];
		int b = hosts[rng() % (unsigned long)at.p];

		if (a != b)
			dead[ndead++] = (struct art_pair){ a, b };
	}
}

static int random_host(unsigned long kind, int i, int nhosts)
{
	switch (kind) {
	case 0: /* in blocks, as launchers place ranks */
		return i * nhosts / at.p;
	case 1: /* round robin */
		return i % nhosts;
	case 2: /* at random, dense numbers */
		return (int)(rng() % (unsigned long)nhosts);
	default: /* at random, numbers that are far apart and all fall on one cell, some negative */
		return ((int)(rng() % (unsigned long)nhosts) - nhosts / 2) * at.p;
	}
}

/* Members of a larger job, in blocks or round robin, of which a third or more are gone. */
static void map_rest(int *hosts, int nhosts)
{
	unsigned long gone = 2 + rng() % 6;
	int blocks = (int)(rng() % 2), size = 1 + at.p / nhosts, rank = -1;

	for (int i = 0; i < at.p; i++) {
		do
			rank++;
		while (rng() % gone != 0);
		hosts[i] = blocks ? rank / size : rank % nhosts;
	}
}

static void map_hosts(int *hosts)
{
	rng_state = at.seed;
	unsigned long kind = rng() % HOST_KINDS;
	int nhosts = at.seed == ONE_HOST ? 1 : 1 + (int)(rng() % (unsigned long)at.p);

	if (rng() % 2 && nhosts > 8)
		nhosts = 2 + nhosts % 7;
	if (kind == HOST_KINDS - 1)
		map_rest(hosts, nhosts);
	else
		for (int i = 0; i < at.p; i++)
			hosts[i] = random_host(kind, i, nhosts);
}

/* False if anything is wrong at this coordinate. */
static bool check(int p, int root, int radix, unsigned long seed)
{
	int hosts[MAX_P];

	at.p = p, at.root = root, at.radix = radix, at.seed = seed;
	failed = false;
	if (seed == TWO_TREES) {
		check_two_trees();
	} else if (seed == NO_HOSTS) {
		check_knomial();
	} else {
		map_hosts(hosts);
		if (seed < DEAD_SEED) {
			check_hosts(hosts);
		} else {
			draw_dead(hosts);
			check_around(hosts);
		}
	}
	return !failed;
}

static unsigned long seed_of(int p, int root, int radix, int map)
{
	int tree = (p * MAX_P + root) * 32 + radix;

	return FIRST_SEED + (unsigned long)(tree * HOST_MAPS + map);
}

/* The n-th root to look at, -1 if there are no more. */
static int nth_root(int p, int n)
{
	if (p <= ALL_ROOTS)
		return n < p ? n : -1;
	rng_state = (unsigned long)p * 1000 + (unsigned long)n;
	return n < SAMPLED_ROOTS ? (int)(rng() % (unsigned long)p) : -1;
}

static void test_knomial(void)
{
	int bad = 0;

	for (int p = 1; p <= MAX_P; p++)
		for (size_t k = 0; k < NRADICES; k++)
			for (int n = 0, root; (root = k == 0 && n < p ? n : nth_root(p, n)) >= 0; n++)
				bad += !check(p, root, radices[k], NO_HOSTS);
	CU_ASSERT_EQUAL(bad, 0);
}

static void test_random_hosts(void)
{
	int bad = 0;

	for (int p = 1; p <= MAX_P; p += p < 40 ? 1 : 13)
		for (size_t k = 0; k < NRADICES; k++)
			for (int n = 0, root; (root = nth_root(p, n)) >= 0; n += p < 24 ? 1 : 7)
				for (int map = 0; map < HOST_MAPS; map++)
					bad += !check(p, root, radices[k],
						      seed_of(p, root, radices[k], map));
	CU_ASSERT_EQUAL(bad, 0);
}

static void test_around(void)
{
	int bad = 0;

	for (int p = 1; p <= 64; p += p < 16 ? 1 : 7)
		for (size_t k = 0; k < NRADICES; k++)
			for (int n = 0, root; (root = nth_root(p, n)) >= 0; n += 1 + p / 8)
				for (int map = 0; map < 5 * HOST_MAPS; map++)
					bad += !check(p, root, radices[k],
						      DEAD_SEED + seed_of(p, root, radices[k], map));
	CU_ASSERT_EQUAL(bad, 0);
}

static void test_two_trees(void)
{
	int bad = 0;

	for (int p = 2; p <= MAX_P; p++)
		for (int root = 0; root < p; root += p <= 100 ? 1 : 37)
			bad += !check(p, root, 2, TWO_TREES);
	CU_ASSERT_EQUAL(bad, 0);
}

static void test_one_host(void)
{
	int bad = 0;

	for (int p = 1; p <= MAX_P; p += 7)
		bad += !check(p, p / 3, 2 + p % 15, ONE_HOST);
	CU_ASSERT_EQUAL(bad, 0);
}

/* Small trees written down by hand, so that a mistake shared by code and properties shows. */
static void test_by_hand(void)
{
	static const int binomial[8] = { -1, 0, 0, 2, 0, 4, 4, 6 };
	static const int ternary[9] = { -1, 0, 0, 0, 3, 3, 0, 6, 6 };
	static const int hosts[7] = { 5, 5, 9, 9, 9, 1, 1 };
	static const int from_3[7] = { 3, 0, 3, -1, 3, 3, 5 };
	static const int own[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	static const struct art_pair two[2] = { { 2, 0 }, { 4, 6 } };
	static const int around[8] = { -1, 0, 1, 2, 0, 4, 0, 6 };
	static const int first[7] = { 1, 3, 1, 6, 5, 3, -1 }, second[7] = { 2, 0, 6, 4, 2, 4, -1 };
	int cell[9], scratch[40];
	struct art_tree t = { .child = cell, .cap = 9 };

	for (int i = 0; i < 8; i++) {
		art__topo_knomial(8, 0, 2, i, &t);
		CU_ASSERT_EQUAL(t.parent, binomial[i]);
	}
	for (int i = 0; i < 9; i++) {
		art__topo_knomial(9, 0, 3, i, &t);
		CU_ASSERT_EQUAL(t.parent, ternary[i]);
	}
	for (int i = 0; i < 7; i++) { /* leaders from the root on: 3, 5, 0 */
		art__topo_hosts(7, 3, 2, hosts, i, &t, scratch);
		CU_ASSERT_EQUAL(t.parent, from_3[i]);
	}
	for (int i = 0; i < 8; i++) { /* 2 takes 3 along from 0 to 1, and 6 takes 7 from 4 to 0 */
		art__topo_around(8, 0, 2, own, two, 2, i, &t, scratch);
		CU_ASSERT_EQUAL(t.parent, around[i]);
	}
	for (int i = 0; i < 7; i++) { /* nodes 1 .. 6 are 0 .. 5 */
		art__topo_twotree(7, 6, 0, i, &t);
		CU_ASSERT_EQUAL(t.parent, first[i]);
		art__topo_twotree(7, 6, 1, i, &t);
		CU_ASSERT_EQUAL(t.parent, second[i]);
	}
}

static void test_bounds(void)
{
	CU_ASSERT_EQUAL(art__topo_knomial_children(1, 2), 1);
	CU_ASSERT_EQUAL(art__topo_knomial_children(2, 16), 1);
	CU_ASSERT_EQUAL(art__topo_knomial_children(8, 2), 3);
	CU_ASSERT_EQUAL(art__topo_knomial_children(9, 2), 4);
	CU_ASSERT_EQUAL(art__topo_knomial_children(4096, 16), 45);
	CU_ASSERT_EQUAL(art__topo_max_children(1, 2), 1);
	CU_ASSERT_EQUAL(art__topo_max_children(4096, 2), 4095);
}

/* The largest job, in which host numbers are as inconvenient as they can be. */
static void test_large(void)
{
	enum { P = 4096 };
	static int hosts[P], scratch[2 * P], cell[P];
	struct art_tree t = { .child = cell, .cap = art__topo_max_children(P, 2) };
	int edges = 0;

	for (int i = 0; i < P; i++)
		hosts[i] = 1000000007 - i * 3;
	for (int i = 0; i < P; i += 511) {
		art__topo_hosts(P, 17, 2, hosts, i, &t, scratch);
		CU_ASSERT(t.depth <= 12 && t.nchild <= 12);
		edges += t.parent >= 0;
	}
	CU_ASSERT_EQUAL(edges, (P + 510) / 511);
}

static int replay(char **argv)
{
	int p = atoi(argv[1]), root = atoi(argv[2]), radix = atoi(argv[3]);

	if (p < 1 || p > MAX_P || root < 0 || root >= p || radix < 2 || radix > 16) {
		fprintf(stderr, "need 1 <= P <= %d, 0 <= ROOT < P, 2 <= RADIX <= 16\n", MAX_P);
		return 1;
	}
	bool ok = check(p, root, radix, strtoul(argv[4], NULL, 0));
	printf("%s\n", ok ? "ok" : "failed");
	return !ok;
}

int main(int argc, char **argv)
{
	signal(SIGABRT, on_abort);
	if (argc == 5)
		return replay(argv);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite s = CU_add_suite("tree", NULL, NULL);
	if (!s || !CU_add_test(s, "k-nomial, every root", test_knomial) ||
	    !CU_add_test(s, "random hosts", test_random_hosts) ||
	    !CU_add_test(s, "round dead edges", test_around) ||
	    !CU_add_test(s, "two trees", test_two_trees) ||
	    !CU_add_test(s, "one host is the plain tree", test_one_host) ||
	    !CU_add_test(s, "trees drawn by hand", test_by_hand) ||
	    !CU_add_test(s, "bounds", test_bounds) ||
	    !CU_add_test(s, "4096 positions", test_large))
		return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	int bad = CU_get_number_of_failures() != 0;
	CU_cleanup_registry();
	return bad;
}
