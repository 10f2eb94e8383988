/* SPDX-License-Identifier: MIT
 *
 * Shapes of trees: pure functions of (participants, root, radix, hosts, dead edges). Everyone computes
 * the same tree from the same view, so a tree is never sent and a new one costs nothing.
 *
 * Participants are positions 0..p-1 (the live ranks of a communicator in rank order); which
 * slot sits at a position is the caller's business, so any member set and any holes are just
 * another p. All calls are pure, allocate nothing and never fail on valid arguments.
 */
#ifndef ART_TOPO_TOPO_H
#define ART_TOPO_TOPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One node's place in a tree. */
struct art_tree {
	int parent;       /* position, -1 at the root */
	int nchild;
	int depth;        /* steps from the root */
	int *child;       /* positions, in the order in which partial results are combined */
	int cap;          /* room in child[]: at least art__topo_max_children() */
};

/* Upper bound of nchild for any node of any tree over p positions with this radix; never 0.
 * Among them are trees over hosts in which a leader has everybody else below it. */
int art__topo_max_children(int p, int radix);

/* The same for k-nomial trees alone: a few dozen at most. */
int art__topo_knomial_children(int p, int radix);

/* k-nomial tree over 0..p-1 rooted at @root, rotated: position (root + v) mod p plays node v.
 * radix 2 is the binomial tree. Children in ascending distance. Depth <= ceil(log_radix p).
 * Each node's subtree is a contiguous range of v, itself first. */
void art__topo_knomial(int p, int root, int radix, int me, struct art_tree *t);

/* Host-aware: hosts[i] is the host of position i. One leader a host (the root on its own
 * host, the lowest position elsewhere); leaders form a k-nomial tree rooted at the root,
 * ranks of a host one below their leader. A position's children: leaders first, then its
 * own host's. With all positions on one host it is the plain k-nomial tree.
 * @scratch holds 2*p ints. */
void art__topo_hosts(int p, int root, int radix, const int *hosts, int me, struct art_tree *t,
		     int *scratch);

/* Two hosts that do not reach each other. */
struct art_pair {
	int a, b; /* as in hosts[] */
};

/* As art__topo_hosts(), but leaders of hosts between which @dead (@ndead pairs) says that there is no way
 * are not parent and child, if any tree can do without. Without dead pairs it is the same tree. Where one
 * of the k-nomial tree's edges is dead, the child hangs, with all below it, below a leader that is near
 * the root and has few children; so a node may have more of these than the k-nomial tree would give it,
 * and be deeper. A leader's children come in the order of that tree's numbers. @scratch holds 5*p ints. */
void art__topo_around(int p, int root, int radix, const int *hosts, const struct art_pair *dead, int ndead,
		      int me, struct art_tree *t, int *scratch);

/* The first (@which 0) or second (1) of two trees over @p >= 2 positions below the same root, for half of a
 * vector each: whoever has children in the one has none in the other, but the root, which has one in each.
 * (If p is even one position has none in either.) At most two children; depth at most ceil(log2 p). */
void art__topo_twotree(int p, int root, int which, int me, struct art_tree *t);

/* Locality of this process as hwloc sees it (locality.c, the only file with hwloc.h). */
struct art_locality {
	int cores;        /* cores this process may run on (cpuset and cgroup respected) */
	int pus;          /* hardware threads likewise */
	int numa_nodes;
	int packages;
};

/* Reads the machine; without hwloc (configure --without-hwloc) counts with sched_getaffinity.
 * 0, or a negative ART_ERR_*. */
int art__topo_locality(struct art_locality *out);

/* core[cpu] for each of @cpus hardware threads, numbered as the kernel does: the position of its
 * core among those this process may run on, -1 for others' and none. The number of cores, or
 * negative. */
int art__topo_cores(int *core, int cpus);

/* Caches of the core this is asked on, 0: not known. */
struct art_caches {
	size_t l1_bytes, l2_bytes, l3_bytes; /* level 1: data */
};
int art__topo_caches(struct art_caches *out);

/* As art__topo_locality() from a recorded hwloc XML file; ART_ERR_INTERNAL if hwloc cannot read it,
 * ART_ERR_ARG where hwloc is not built in (and nowhere else). */
int art__topo_locality_xml(const char *path, struct art_locality *out);

#endif
