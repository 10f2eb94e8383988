/* SPDX-License-Identifier: MIT
 *
 * Allreduce of a long vector round a ring. The vector is cut into p chunks. In steps 0 .. p-2 each rank
 * sends a chunk to the right and adds its own part to the one that comes from the left; then it has
 * one chunk of the result, and in steps p-1 .. 2p-3 the results go round. Every rank sends and
 * receives 2 (p-1)/p of the vector, whatever p (Patarasuk, Yuan, JPDC 2009).
 *
 *   rank r, step s:  sends chunk r-s (its own input in step 0, then what came in step s-1),
 *                    receives chunk r-s-1: s < p-1: combined with the input, else: the result
 *
 * To each neighbour this is one stream of 2 (p-1) chunks in segments, of which the first is sent
 * unasked and the rest against credit. A place in it is step * (size of the largest chunk) + offset.
 * What comes needs only the input, so it is taken at once. A chunk of the result may be written
 * over the partial one: it has this rank's part in it, so that has been sent.
 *
 * A chunk is combined in order of the ring, beginning at the rank of its number, by one rank for each
 * place, and the bytes are passed on: all ranks have the same. Only for what may be combined in
 * any order (choose.c).
 */
#include "coll/coll.h"

static uint64_t chunk_begin(const struct art_op *op, int chunk)
{
	uint64_t p = (uint64_t)op->comm->npart, c = (uint64_t)chunk;
	uint64_t each = op->call.count / p, more = op->call.count % p;

	return (c * each + (c < more ? c : more)) * op->elsize;
}

static uint64_t chunk_bytes(const struct art_op *op, int chunk)
{
	return chunk_begin(op, chunk + 1) - chunk_begin(op, chunk);
}

/* What this rank sends in a step; it receives what the rank to the left sends. */
static int chunk_of(const struct art_op *op, int pos, uint32_t step)
{
	int p = op->comm->npart;

	return (pos + 2 * p - (int)step) % p;
}

static int neighbour(const struct art_op *op, int by)
{
	int p = op->comm->npart;

	return (op->comm->mypos + by + p) % p;
}

static uint64_t place(const struct art_ring *g, uint32_t step, uint64_t off)
{
	return step * g->chunk_max + off;
}

static uint64_t piece(const struct art_ring *g, uint64_t left)
{
	return left < g->segment ? left : g->segment;
}

static void give_credit(struct art_op *op)
{
	struct art_ring *g = op->ring;

	g->granted = place(g, g->rx_step, g->rx_off) + ART_WINDOW / ART_SEGMENT * g->segment;
	if (g->granted > place(g, g->nstep, 0))
		g->granted = place(g, g->nstep, 0);
	art__op_credit(op, g->left, ART_PH_RING, g->granted);
}

bool art__ring_begin(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_ring *g = art__pool_get(&c->pool, sizeof(*g));

	if (!g)
		return false;
	memset(g, 0, sizeof(*g));
	op->ring = g;
	g->left = op->comm->part[neighbour(op, -1)];
	g->right = op->comm->part[neighbour(op, 1)];
	g->nstep = 2 * ((uint32_t)op->comm->npart - 1);
	g->chunk_max = chunk_bytes(op, 0);
	g->segment = c->cfg.ring_segment / op->elsize * op->elsize;
	if (!g->segment)
		g->segment = op->elsize;
	g->tx_granted = g->segment; /* unasked */
	give_credit(op);
	return true;
}

void art__ring_end(struct art_op *op)
{
	art__pool_put(&op->comm->coll->pool, op->ring);
	op->ring = NULL;
}

/* Sends one segment if it is here and may be sent. */
static bool send_one(struct art_op *op)
{
	struct art_ring *g = op->ring;
	int chunk = chunk_of(op, op->comm->mypos, g->tx_step);
	uint64_t bytes = chunk_bytes(op, chunk), n = piece(g, bytes - g->tx_off);
	uint64_t at = place(g, g->tx_step, g->tx_off);
	bool again = ART_COLL_MUTANT(op->comm->coll, 23) && op->replays;
	const uint8_t *from = g->tx_step || again ? op->call.recvbuf : op->input;

	if (op->comm->coll->blocked[g->right] || at >= g->tx_granted)
		return false;
	if (g->tx_step > g->rx_step + 1)
		return false;
	if (g->tx_step == g->rx_step + 1 && g->tx_off + n > g->rx_off)
		return false;
	art__op_send(op, g->right, ART_PH_RING, at, from + chunk_begin(op, chunk) + g->tx_off, n);
	g->tx_off += n;
	if (g->tx_off == bytes) {
		g->tx_step++;
		g->tx_off = 0;
	}
	return true;
}

void art__ring_step(struct art_op *op)
{
	struct art_ring *g = op->ring;

	while (g->tx_step < g->nstep && send_one(op))
		;
	if (g->rx_step < g->nstep)
		return;
	op->idle = g->tx_step == g->nstep;
	art__op_hold(op);
}

enum art_take art__ring_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body)
{
	struct art_ring *g = op->ring;
	uint64_t at = place(g, g->rx_step, g->rx_off), bytes, begin;
	int chunk;

	if (h->phase != ART_PH_RING || from != g->left || g->rx_step == g->nstep || h->off != at ||
	    (at && at >= g->granted))
		return ART_IGNORED;
	chunk = chunk_of(op, neighbour(op, -1), g->rx_step);
	bytes = chunk_bytes(op, chunk);
	if (h->len != piece(g, bytes - g->rx_off))
		return ART_IGNORED;
	begin = chunk_begin(op, chunk) + g->rx_off;
	if (g->rx_step < (uint32_t)op->comm->npart - 1)
		art__work_combine(op, body, op->input + begin, (uint8_t *)op->call.recvbuf + begin,
				  h->len);
	else
		memcpy((uint8_t *)op->call.recvbuf + begin, body, h->len);
	art__op_low(op, h->seq, h->lag);
	g->rx_off += h->len;
	if (g->rx_off == bytes) {
		g->rx_step++;
		g->rx_off = 0;
	}
	if (g->granted < place(g, g->nstep, 0) &&
	    g->granted <= place(g, g->rx_step, g->rx_off) +
				  ART_WINDOW / ART_SEGMENT / 2 * g->segment)
		give_credit(op);
	return ART_TAKEN;
}

void art__ring_credit(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_ring *g = op->ring;

	if (from == g->right && h->phase == ART_PH_RING && h->off > g->tx_granted)
		g->tx_granted = h->off;
}
