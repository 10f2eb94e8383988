/* SPDX-License-Identifier: MIT
 *
 * Recursive doubling: small allreduce, barrier and the ops without data. With p participants and
 * P the largest power of two <= p, the first 2(p-P) fold in pairs, P exchange in log2 P rounds
 * with partners at distance 1, 2, 4..., and the folded get the result back. Blocks stay
 * contiguous in rank order and the lower one stands left, so order-sensitive functions are right
 * and every rank computes the same bytes. (Thakur, Rabenseifner, Gropp, IJHPCA 2005.)
 *
 *   fold --(even of a pair: sent)--> unfold --result--> over
 *     \--(odd: got its pair's part)--> round 1 --> ... --> round log2 P --> over
 */
#include "coll/coll.h"

static int position_of(const struct art_rd *rd, int newrank)
{
	return newrank < rd->rem ? 2 * newrank + 1 : newrank + rd->rem;
}

static bool folded(const struct art_op *op)
{
	return op->rd.newrank < 0;
}

/* The slot this rank waits for, or sends to, in a phase. */
static int partner(const struct art_op *op, int phase)
{
	const struct art_comm *m = op->comm;

	if (phase == ART_PH_FOLD || phase == ART_PH_UNFOLD)
		return m->part[folded(op) ? m->mypos + 1 : m->mypos - 1];
	return m->part[position_of(&op->rd, op->rd.newrank ^ 1 << (phase - 1))];
}

static int last_round(const struct art_rd *rd)
{
	return __builtin_ctz((unsigned)rd->pof2);
}

void art__rd_begin(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	struct art_rd *rd = &op->rd;

	rd->pof2 = 1 << (31 - __builtin_clz((unsigned)m->npart));
	rd->rem = m->npart - rd->pof2;
	if (m->mypos >= 2 * rd->rem)
		rd->newrank = m->mypos - rd->rem;
	else
		rd->newrank = m->mypos % 2 ? m->mypos / 2 : -1;
	rd->round = m->mypos < 2 * rd->rem ? ART_PH_FOLD : 1;
	rd->sent = false;
}

/* Every slot that recursive doubling over the present participants exchanges messages with. */
int art__rd_partners(struct art_comm *m, int *slot)
{
	struct art_op probe = { .comm = m };
	int n = 0;

	art__comm_parts(m);
	if (m->npart < 2)
		return 0;
	art__rd_begin(&probe);
	if (m->mypos < 2 * probe.rd.rem)
		slot[n++] = partner(&probe, ART_PH_FOLD);
	for (int r = 1; !folded(&probe) && r <= last_round(&probe.rd); r++)
		slot[n++] = partner(&probe, r);
	return n;
}

static void finish(struct art_op *op)
{
	if (op->bytes && op->acc != op->call.recvbuf)
		memcpy(op->call.recvbuf, op->acc, op->bytes);
	if (!folded(op) && op->comm->mypos < 2 * op->rd.rem)
		art__op_send(op, partner(op, ART_PH_UNFOLD), ART_PH_UNFOLD, 0, op->acc, op->bytes);
	op->idle = true;
	art__op_hold(op);
}

/* Sends what the present phase wants; the rest comes with messages. */
void art__rd_step(struct art_op *op)
{
	struct art_rd *rd = &op->rd;
	int to;

	if (rd->sent || (rd->round == ART_PH_FOLD && !folded(op)) || rd->round == ART_PH_UNFOLD)
		return;
	if (rd->round > last_round(rd)) {
		finish(op);
		return;
	}
	to = partner(op, rd->round);
	if (op->comm->coll->blocked[to])
		return;
	art__op_send(op, to, rd->round, 0, op->acc, op->bytes);
	rd->sent = true;
	if (folded(op))
		rd->round = ART_PH_UNFOLD;
}

static void next_round(struct art_op *op)
{
	op->rd.round++;
	op->rd.sent = false;
}

enum art_take art__rd_data(struct art_op *op, int from, const struct art_hdr *h,
			   const uint8_t *body)
{
	struct art_rd *rd = &op->rd;
	enum art_work_now now;
	bool mine_left;

	if (h->phase < rd->round || (h->phase > last_round(rd) && h->phase != ART_PH_UNFOLD))
		return ART_IGNORED;
	if (h->phase != rd->round || (!rd->sent && rd->round != ART_PH_FOLD))
		return ART_NOT_YET;
	if (from != partner(op, rd->round) || h->len != op->bytes || h->off)
		return ART_IGNORED;
	art__op_low(op, h->seq, h->lag);
	if (rd->round == ART_PH_UNFOLD) {
		if (op->bytes)
			memcpy(op->call.recvbuf, body, op->bytes);
		op->idle = true;
		art__op_hold(op);
		return ART_TAKEN;
	}
	mine_left = rd->round != ART_PH_FOLD && !(rd->newrank >> (rd->round - 1) & 1);
	now = art__work_combine(op, mine_left ? op->acc : body, mine_left ? body : op->acc,
				op->call.recvbuf, op->bytes);
	if (now == ART_WORK_NOMEM)
		return ART_NOT_YET;
	if (now == ART_WORK_DONE) {
		if (op->bytes)
			op->acc = op->call.recvbuf;
		next_round(op);
	}
	return ART_TAKEN;
}

void art__rd_computed(struct art_op *op, struct art_work *w)
{
	uint8_t *old = op->scratch;

	op->acc = op->scratch = w->inout;
	w->inout = old;
	next_round(op);
}
