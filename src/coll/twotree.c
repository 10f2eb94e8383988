/* SPDX-License-Identifier: MIT
 *
 * Bcast, reduce and allreduce of a long vector along two trees at once, one for its first half and one
 * for its second (topo/twotree.c). Who passes things on in the one is a leaf of the other: each rank
 * sends and receives about the vector once for each way, up and down, however many ranks there are, while
 * the depth grows with the logarithm of their number.
 *
 *   up:   for each segment of a half: own part and those of the kids, in that order --> parent
 *                                                         (root: into the receive buffer)
 *   down: segments from the parent, or put together here --> receive buffer --> on to the kids
 *
 * A segment goes as soon as it is whole. On each edge of each half the first goes unasked, the rest
 * against credit. What comes down is taken at once, what comes up in the order of segments and kids; so
 * nobody waits in a circle: in a half messages go along a tree, and neither half waits for the other. Places
 * are those in the vector, so they tell the halves apart.
 *
 * A rank that is not the root of a reduce has done its part when both halves are out, and returns then.
 * Only for operators whose order is free (choose.c). A partial result goes to scratch or to the receive
 * buffer, never over the input; nothing of an attempt outlives it.
 */
#include "coll/twotree.h"
#include "topo/topo.h"

struct half {
	uint64_t begin, end;     /* bytes of the vector */
	int parent;              /* slot, -1: this rank is the root */
	int nkid;
	struct art_rx kid[2];    /* parts on their way up */
	struct art_tx up, down[2];
	uint64_t at;             /* the segment that is put together; before it all is out */
	int next;                /* the kid whose part of it comes next */
	uint8_t *out;            /* scratch for that segment; NULL: the receive buffer */
	uint64_t final;          /* from begin to here it is the result */
};

struct art_twotree {
	struct half half[2];
	uint64_t segment;
};

static bool goes_up(const struct art_op *op)
{
	return op->way != ART_C_BCAST;
}

static bool goes_down(const struct art_op *op)
{
	return op->way != ART_C_REDUCE;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t piece(const struct art_op *op, const struct half *h, uint64_t at)
{
	return lower(h->end - at, op->two->segment);
}

/* ---- begin and end ---- */

static int root_position(const struct art_op *op)
{
	int pos = 0;

	while (op->root >= 0 && op->comm->part[pos] != op->root)
		pos++;
	return pos;
}

static void shape(struct art_op *op, struct half *h, int which)
{
	const struct art_comm *m = op->comm;
	uint64_t first = h->begin + piece(op, h, h->begin); /* unasked */
	int child[2];
	struct art_tree t = { .child = child, .cap = 2 };

	art__topo_twotree(m->npart, root_position(op), which, m->mypos, &t);
	h->parent = t.parent < 0 ? -1 : m->part[t.parent];
	h->nkid = t.nchild;
	h->up = (struct art_tx){ .slot = h->parent, .phase = ART_PH_UP, .sent = h->begin, .granted = first };
	for (int i = 0; i < t.nchild; i++) {
		int slot = m->part[child[i]];

		h->kid[i] = (struct art_rx){ .slot = slot, .granted = first };
		h->down[i] = (struct art_tx){ .slot = slot, .phase = ART_PH_DOWN, .sent = h->begin,
					      .granted = first };
	}
}

/* Kids whose window has half run dry get more. */
static void more_credit(struct art_op *op, struct half *h)
{
	for (int i = 0; i < h->nkid; i++) {
		struct art_rx *k = &h->kid[i];
		uint64_t window = art__op_window(op, k->slot, ART_WINDOW) / ART_SEGMENT * op->two->segment;

		if (k->granted == h->end || k->granted > h->at + window / 2)
			continue;
		k->granted = h->end - h->at < window ? h->end : h->at + window;
		art__op_credit(op, k->slot, ART_PH_UP, k->granted);
	}
}

static void open_streams(struct art_op *op, struct half *h)
{
	if (goes_up(op))
		more_credit(op, h);
	if (goes_down(op) && h->parent >= 0 && h->end - h->begin > op->two->segment)
		art__op_credit(op, h->parent, ART_PH_DOWN, h->end);
}

static bool scratch(struct art_op *op, struct half *h)
{
	if (op->way != ART_C_REDUCE || h->parent < 0 || !h->nkid)
		return true;
	h->out = art__pool_get(&op->comm->coll->pool, op->two->segment);
	return h->out != NULL;
}

bool art__twotree_begin(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_twotree *g = art__pool_get(&c->pool, sizeof(*g));
	uint64_t middle = op->call.count / 2 * op->elsize;

	if (!g)
		return false;
	memset(g, 0, sizeof(*g));
	op->two = g;
	op->by_two = true;
	g->segment = c->cfg.ring_segment / op->elsize * op->elsize;
	if (!g->segment)
		g->segment = op->elsize;
	for (int i = 0; i < 2; i++) {
		struct half *h = &g->half[i];

		h->begin = h->at = h->final = i ? middle : 0;
		h->end = i ? op->bytes : middle;
		shape(op, h, i);
		if (!scratch(op, h)) {
			art__twotree_end(op);
			return false;
		}
	}
	for (int i = 0; i < 2; i++)
		open_streams(op, &g->half[i]);
	if (op->way == ART_C_BCAST && g->half[0].parent < 0) {
		g->half[0].final = middle;
		g->half[1].final = op->bytes;
		art__op_hold(op); /* the root holds from entry (rule R1) */
	}
	return true;
}

void art__twotree_end(struct art_op *op)
{
	struct art_pool *pool = &op->comm->coll->pool;

	for (int i = 0; i < 2; i++)
		art__pool_put(pool, op->two->half[i].out);
	art__pool_put(pool, op->two);
	op->two = NULL;
}

/* ---- out ---- */

/* @body: the place tx->sent. True: all up to @upto is out. */
static bool push(struct art_op *op, struct art_tx *tx, const uint8_t *body, uint64_t upto)
{
	uint64_t to = lower(tx->granted, upto);

	if (to > tx->sent && !op->comm->coll->blocked[tx->slot])
		tx->sent += art__op_send_run(op, tx->slot, tx->phase, tx->sent, body, to - tx->sent,
					     op->two->segment);
	return tx->sent >= upto;
}

static uint8_t *put_together(const struct art_op *op, const struct half *h)
{
	return h->out ? h->out : (uint8_t *)op->call.recvbuf + h->at;
}

/* True: all of this rank's part is out, or (the root) all is put together. */
static bool step_up(struct art_op *op, struct half *h)
{
	if (!h->nkid)
		return push(op, &h->up, op->input + h->up.sent, h->end);
	while (h->at < h->end && h->next == h->nkid) {
		uint64_t upto = h->at + piece(op, h, h->at);

		if (h->parent < 0)
			h->final = upto;
		else if (!push(op, &h->up, put_together(op, h), upto))
			return false;
		h->at = upto;
		h->next = 0;
		more_credit(op, h);
	}
	return h->at == h->end;
}

/* True: all the kids have all. */
static bool step_down(struct art_op *op, struct half *h)
{
	const uint8_t *from = op->way == ART_C_BCAST && h->parent < 0 ? op->input : op->call.recvbuf;
	bool all = h->final == h->end;

	for (int i = 0; i < h->nkid; i++)
		if (!push(op, &h->down[i], from + h->down[i].sent, h->final))
			all = false;
	return all;
}

void art__twotree_step(struct art_op *op)
{
	struct half *h = op->two->half;
	bool up = true, down = true;

	for (int i = 0; i < 2; i++) {
		if (goes_up(op) && !step_up(op, &h[i]))
			up = false;
		if (goes_down(op) && !step_down(op, &h[i]))
			down = false;
	}
	if (!up)
		return;
	if (op->way == ART_C_REDUCE && h->parent >= 0) {
		art__op_return_early(op); /* its part is out */
		return;
	}
	if (goes_down(op) && (h[0].final < h[0].end || h[1].final < h[1].end))
		return;
	op->idle = down;
	art__op_hold(op);
}

/* ---- in ---- */

static enum art_take data_up(struct art_op *op, struct half *h, int from, const struct art_hdr *hdr,
			     const uint8_t *body)
{
	uint8_t *out;
	int k = 0;

	while (k < h->nkid && h->kid[k].slot != from)
		k++;
	if (!goes_up(op) || k == h->nkid || hdr->off < h->at || hdr->off >= h->kid[k].granted)
		return ART_IGNORED;
	if (hdr->off > h->at || k > h->next)
		return ART_NOT_YET;
	if (k < h->next || hdr->len != piece(op, h, h->at))
		return ART_IGNORED;
	out = put_together(op, h);
	art__work_combine(op, k ? out : op->input + h->at, body, out, hdr->len);
	art__op_low(op, hdr->seq, hdr->lag);
	h->next++;
	return ART_TAKEN;
}

static enum art_take data_down(struct art_op *op, struct half *h, int from, const struct art_hdr *hdr,
			       const uint8_t *body)
{
	if (!goes_down(op) || from != h->parent || hdr->off != h->final || hdr->off == h->end ||
	    hdr->len != piece(op, h, h->final))
		return ART_IGNORED;
	memcpy((uint8_t *)op->call.recvbuf + hdr->off, body, hdr->len);
	if (op->way == ART_C_BCAST)
		art__op_low_from_root(op, hdr);
	else
		art__op_low(op, hdr->seq, hdr->lag);
	h->final += hdr->len;
	return ART_TAKEN;
}

enum art_take art__twotree_data(struct art_op *op, int from, const struct art_hdr *hdr,
				const uint8_t *body)
{
	struct half *h = op->two->half;

	h += hdr->off >= h[1].begin;
	if (hdr->phase == ART_PH_UP)
		return data_up(op, h, from, hdr, body);
	return hdr->phase == ART_PH_DOWN ? data_down(op, h, from, hdr, body) : ART_IGNORED;
}

static void grant(struct half *h, struct art_tx *tx, int from, const struct art_hdr *hdr)
{
	if (tx->slot == from && tx->phase == hdr->phase && hdr->off > tx->granted && hdr->off <= h->end)
		tx->granted = hdr->off;
}

void art__twotree_credit(struct art_op *op, int from, const struct art_hdr *hdr)
{
	struct half *h = op->two->half;

	h += hdr->off > h[1].begin;
	grant(h, &h->up, from, hdr);
	for (int i = 0; i < h->nkid; i++)
		grant(h, &h->down[i], from, hdr);
}
