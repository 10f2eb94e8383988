/* SPDX-License-Identifier: MIT
 *
 * Plans that steps.c carries out; a pure function of the participants, the root and the count, so
 * nobody sends them. Both want at least one element for each participant (choose.c).
 *
 * Allreduce by halving (Rabenseifner, ICCS 2004): with P the largest power of two <= p, the first 2(p-P)
 * ranks fold in pairs. In log2 P rounds each rank exchanges halves of what it has with a partner, at
 * distance 1, 2, 4..., and combines the half it keeps; then the same way back, as results. A rank
 * sends and receives 2 (P-1)/P of the vector. Near partners have the longest halves: where neighbours
 * share a host, most stays in it.
 *
 *   step 0 fold | 1 .. k halving, [lo, hi) --> a half of it | k+1 .. 2k back | 2k+1 unfold
 *
 * A reduce goes the same way, but in each round back only who is not on the root's side sends, and has then done
 * its part. The root folds into nobody.
 *
 * What comes in a step on the way back is what was sent to the same partner in the step that it mirrors:
 * it had all of it before it could send this.
 *
 * Bcast by scatter and allgather (van de Geijn): each rank first gets its part of a vector cut into p chunks,
 * down a binomial tree, then all pass on what they have: in rounds at distance 1, 2, 4... if p is a power of
 * two, else round a ring. What a rank has already, as the top of a part of the tree, is not sent to it
 * again. Ranks are counted from the root.
 */
#include "coll/coll.h"

static int ceil_log2(int p)
{
	return p > 1 ? 32 - __builtin_clz((unsigned)p - 1) : 0;
}

/* Hops of each kind that one rank can have, at most. */
uint32_t art__plan_most(const struct art_op *op)
{
	return 2 * (uint32_t)ceil_log2(op->comm->npart) + 2 + (uint32_t)op->comm->npart;
}

static struct art_hop *send(struct art_op *op, int slot, uint32_t step, uint64_t begin, uint64_t end)
{
	struct art_steps *g = op->steps;
	struct art_hop *h = &g->tx[g->ntx++];

	*h = (struct art_hop){ .slot = slot, .step = step, .begin = begin * op->elsize,
			       .end = end * op->elsize, .need = g->nrx, .raw = g->nrx == 0 };
	return h;
}

static struct art_hop *receive(struct art_op *op, int slot, uint32_t step, uint64_t begin, uint64_t end)
{
	struct art_steps *g = op->steps;
	struct art_hop *h = &g->rx[g->nrx++];

	*h = (struct art_hop){ .slot = slot, .step = step, .begin = begin * op->elsize,
			       .end = end * op->elsize, .raw = g->nrx == 1 };
	return h;
}

/* ---- allreduce and reduce ---- */

#define NO_ROOT (-1) /* all get the result */

static int position_of(int newrank, int rem, int root_pos)
{
	if (newrank >= rem)
		return newrank + rem;
	return root_pos == 2 * newrank ? root_pos : 2 * newrank + 1;
}

/* What is left of the vector after so many rounds. */
struct halves {
	uint64_t lo[32], hi[32];
};

/* Of the ranks that fold into nobody. */
static void halve(struct art_op *op, int newrank, int rem, int root_pos, uint32_t k, struct halves *v)
{
	for (uint32_t j = 0; j < k; j++) {
		int partner = newrank ^ 1 << j, slot = op->comm->part[position_of(partner, rem, root_pos)];
		uint64_t mid = v->lo[j] + (v->hi[j] - v->lo[j]) / 2;
		bool low = partner > newrank;
		struct art_hop *in;

		v->lo[j + 1] = low ? v->lo[j] : mid;
		v->hi[j + 1] = low ? mid : v->hi[j];
		send(op, slot, 1 + j, low ? mid : v->lo[j], low ? v->hi[j] : mid);
		in = receive(op, slot, 1 + j, v->lo[j + 1], v->hi[j + 1]);
		in->combine = true;
		in->theirs_left = !low;
	}
}

/* The same way back. To a root only those who are nearer to it receive. */
static void put_together(struct art_op *op, int newrank, int rem, int root_pos, uint32_t k,
			 const struct halves *v)
{
	int root = root_pos < 2 * rem ? root_pos / 2 : root_pos - rem;

	for (uint32_t j = k; j-- > 0;) {
		int partner = newrank ^ 1 << j, slot = op->comm->part[position_of(partner, rem, root_pos)];
		bool low = partner > newrank, away = (newrank ^ root) >> j & 1;

		if (root_pos == NO_ROOT || away)
			send(op, slot, 2 * k - j, v->lo[j + 1], v->hi[j + 1]);
		if (root_pos != NO_ROOT && away)
			return;
		receive(op, slot, 2 * k - j, low ? v->hi[j + 1] : v->lo[j], low ? v->hi[j] : v->lo[j + 1]);
	}
}

static void plan_reduction(struct art_op *op, int root_pos)
{
	const struct art_comm *m = op->comm;
	uint32_t k = 31 - (uint32_t)__builtin_clz((unsigned)m->npart);
	int rem = m->npart - (1 << k), pos = m->mypos;
	bool pair = pos < 2 * rem;
	int newrank = pair ? pos / 2 : pos - rem;
	uint64_t n = op->call.count;
	struct halves v = { { 0 }, { n } };

	if (pair && position_of(newrank, rem, root_pos) != pos) {
		send(op, m->part[pos ^ 1], 0, 0, n);
		if (root_pos == NO_ROOT)
			receive(op, m->part[pos ^ 1], 2 * k + 1, 0, n);
		return;
	}
	if (pair) {
		struct art_hop *in = receive(op, m->part[pos ^ 1], 0, 0, n);

		in->combine = true;
		in->theirs_left = pos % 2;
	}
	halve(op, newrank, rem, root_pos, k, &v);
	put_together(op, newrank, rem, root_pos, k, &v);
	if (pair && root_pos == NO_ROOT)
		send(op, m->part[pos ^ 1], 2 * k + 1, 0, n);
}

/* ---- bcast ---- */

static uint64_t chunk_begin(const struct art_op *op, int chunk)
{
	uint64_t p = (uint64_t)op->comm->npart, c = (uint64_t)chunk;
	uint64_t each = op->call.count / p, more = op->call.count % p;

	return c * each + (c < more ? c : more);
}

/* The slot of a rank counted from the root. */
static int slot_of(const struct art_op *op, int root_pos, int v)
{
	return op->comm->part[(v + root_pos) % op->comm->npart];
}

/* One behind the last chunk that rank @v has from the tree; the first is its own. */
static int had_upto(const struct art_op *op, int v)
{
	int p = op->comm->npart;

	return !v || v + (v & -v) > p ? p : v + (v & -v);
}

static void scatter(struct art_op *op, int root_pos, int v)
{
	int p = op->comm->npart, levels = ceil_log2(p);
	int top = v ? __builtin_ctz((unsigned)v) : levels;

	if (v)
		receive(op, slot_of(op, root_pos, v - (v & -v)), (uint32_t)(levels - 1 - top),
			chunk_begin(op, v), chunk_begin(op, had_upto(op, v)));
	for (int b = top - 1; b >= 0; b--) {
		int kid = v + (1 << b);

		if (kid < p)
			send(op, slot_of(op, root_pos, kid), (uint32_t)(levels - 1 - b),
			     chunk_begin(op, kid), chunk_begin(op, had_upto(op, kid)));
	}
}

/* In rounds, of a power of two. */
static void gather_doubling(struct art_op *op, int root_pos, int v)
{
	int p = op->comm->npart, levels = ceil_log2(p);

	for (int b = 0; b < levels; b++) {
		int d = 1 << b, partner = v ^ d, mine = v & -d, theirs = partner & -d;
		int slot = slot_of(op, root_pos, partner);

		if (partner % (2 * d))
			send(op, slot, (uint32_t)(levels + b), chunk_begin(op, mine),
			     chunk_begin(op, mine + d));
		if (v % (2 * d))
			receive(op, slot, (uint32_t)(levels + b), chunk_begin(op, theirs),
				chunk_begin(op, theirs + d));
	}
}

static bool has(const struct art_op *op, int v, int chunk)
{
	return chunk >= v && chunk < had_upto(op, v);
}

static void gather_ring(struct art_op *op, int root_pos, int v)
{
	int p = op->comm->npart, levels = ceil_log2(p), right = (v + 1) % p;

	for (int s = 0; s + 1 < p; s++) {
		int out = (v - s + p) % p, in = (v - s - 1 + p) % p;

		if (!has(op, right, out))
			send(op, slot_of(op, root_pos, right), (uint32_t)(levels + s),
			     chunk_begin(op, out), chunk_begin(op, out + 1));
		if (!has(op, v, in))
			receive(op, slot_of(op, root_pos, (v - 1 + p) % p), (uint32_t)(levels + s),
				chunk_begin(op, in), chunk_begin(op, in + 1));
	}
}

static void plan_bcast(struct art_op *op, int root_pos)
{
	const struct art_comm *m = op->comm;
	int v = (m->mypos - root_pos + m->npart) % m->npart;

	scatter(op, root_pos, v);
	if (m->npart & (m->npart - 1))
		gather_ring(op, root_pos, v);
	else
		gather_doubling(op, root_pos, v);
}

static int root_of(const struct art_op *op)
{
	int pos = 0;

	while (op->comm->part[pos] != op->root)
		pos++;
	return pos;
}

void art__plan_make(struct art_op *op)
{
	if (op->way == ART_C_BCAST)
		plan_bcast(op, root_of(op));
	else
		plan_reduction(op, op->way == ART_C_REDUCE ? root_of(op) : NO_ROOT);
}
