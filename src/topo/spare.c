/* SPDX-License-Identifier: MIT
 *
 * See spare.h. First each rank is given a core of those it may run on, then what is left is dealt out, a core at a
 * time to each rank in turn, near ones first. A rank that is bound to one core has cores of its job besides,
 * which are no other rank's; one that may run on several keeps to these.
 */
#include "topo/spare.h"

#define NOBODY (-1)
#define RANKS_MAX 256 /* of a host; of more no core is spare */

struct deal {
	const struct art_spare *s;
	int ncore;
	struct {
		int id, node, cpu; /* its first hardware thread */
		int owner;         /* rank, or NOBODY */
	} core[CPU_SETSIZE];
	struct {
		cpu_set_t on;      /* its cores, by index of core[] */
		int home;          /* likewise, or NOBODY */
		int count;         /* cores it was given besides */
	} rank[RANKS_MAX];
	cpu_set_t shared;          /* cores of ranks that have several */
	int left;                  /* cores that may still be given away */
	int most, ngot, *got;      /* of rank me, as CPUs */
};

static int core_of(struct deal *d, const struct art_pu *pu)
{
	int c = 0;

	while (c < d->ncore && d->core[c].id != pu->core)
		c++;
	if (c == d->ncore) {
		d->core[c].id = pu->core;
		d->core[c].node = pu->node;
		d->core[c].cpu = pu->cpu;
		d->core[c].owner = NOBODY;
		d->ncore++;
	}
	return c;
}

static void find_cores(struct deal *d)
{
	for (int i = 0; i < d->s->npu; i++) {
		int c = core_of(d, &d->s->pu[i]);

		for (int r = 0; r < d->s->ranks; r++)
			if (CPU_ISSET(d->s->pu[i].cpu, &d->s->rank[r]))
				CPU_SET(c, &d->rank[r].on);
	}
	for (int r = 0; r < d->s->ranks; r++)
		if (CPU_COUNT(&d->rank[r].on) > 1)
			CPU_OR(&d->shared, &d->shared, &d->rank[r].on);
}

enum known { NOT_KNOWN, ONE_CORE, SEVERAL };

static enum known known(const struct deal *d, int rank)
{
	int n = CPU_COUNT(&d->rank[rank].on);

	return n < 2 ? (enum known)n : SEVERAL;
}

static void give_homes(struct deal *d, enum known whom)
{
	for (int r = 0; r < d->s->ranks; r++) {
		if (known(d, r) != whom)
			continue;
		d->rank[r].home = NOBODY;
		for (int c = 0; c < d->ncore && d->rank[r].home == NOBODY; c++)
			if (d->core[c].owner == NOBODY && (whom == NOT_KNOWN || CPU_ISSET(c, &d->rank[r].on)))
				d->rank[r].home = c;
		if (d->rank[r].home != NOBODY)
			d->core[d->rank[r].home].owner = r;
	}
}

/* May a thread of the rank be there, if nobody else is? */
static bool may_have(const struct deal *d, int rank, int core)
{
	if (known(d, rank) != ONE_CORE)
		return CPU_ISSET(core, &d->rank[rank].on);
	return !CPU_ISSET(core, &d->shared);
}

static bool give_one(struct deal *d, int rank, bool near)
{
	if (d->rank[rank].home == NOBODY || d->rank[rank].count >= d->most)
		return false;
	for (int c = 0; c < d->ncore; c++) {
		if (d->core[c].owner != NOBODY || !may_have(d, rank, c) ||
		    (near && d->core[c].node != d->core[d->rank[rank].home].node))
			continue;
		d->core[c].owner = rank;
		d->rank[rank].count++;
		d->left--;
		if (rank == d->s->me)
			d->got[d->ngot++] = d->core[c].cpu;
		return true;
	}
	return false;
}

static void deal_out(struct deal *d, bool near)
{
	bool any = true;

	while (any) {
		any = false;
		for (int r = 0; r < d->s->ranks && d->left > 0; r++)
			any |= give_one(d, r, near);
	}
}

/* Cores nobody lives in; of a quota, what the ranks do not use. */
static int count_left(const struct deal *d)
{
	int n = 0;

	for (int c = 0; c < d->ncore; c++)
		n += d->core[c].owner == NOBODY;
	if (d->s->cores && d->s->cores - d->s->ranks < n)
		n = d->s->cores - d->s->ranks;
	return n;
}

static void add_siblings(struct deal *d)
{
	for (int i = 0; i < d->s->npu; i++) {
		const struct art_pu *pu = &d->s->pu[i];

		for (int c = 0; c < d->ncore && d->ngot < d->most; c++)
			if (d->core[c].id == pu->core && d->core[c].owner == d->s->me &&
			    d->core[c].cpu != pu->cpu)
				d->got[d->ngot++] = pu->cpu;
	}
}

int art__topo_spare(const struct art_spare *s, int most, bool siblings, int *cpu)
{
	struct deal d = { .s = s, .most = most, .got = cpu };

	if (s->ranks > RANKS_MAX || s->npu > CPU_SETSIZE)
		return 0;
	find_cores(&d);
	give_homes(&d, ONE_CORE); /* they can have no other */
	give_homes(&d, SEVERAL);
	give_homes(&d, NOT_KNOWN);
	d.left = count_left(&d);
	deal_out(&d, true);
	deal_out(&d, false);
	if (siblings)
		add_siblings(&d);
	return d.ngot;
}
