/* SPDX-License-Identifier: MIT
 *
 * Work requests and their completions.
 *
 *   immediate data: 0 | number - 1       so many records have come
 *                   1 | records | lines  (15 bits each) so far is read of what you wrote
 *                   01 | records         give back what you have not used of that, down to here
 *                   001 | records        so much is given back, what was read is this
 *   wr_id:          kind (8) | generation (16) | peer (16) | number of the request (24)
 *                   SHARED (8) | 0       whose it is, the number of the queue pair says
 *
 * A request asks for a completion if many were posted since the last that did: one completion stands
 * for all before it. An error completes without having been asked to.
 */
#include "transport/rdma/rdma.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/set.h"

#define BATCH 16
#define BATCHES 16 /* of one reap: the rest is for the next one */
#define CREDIT 0x80000000u
#define ASK 0x40000000u
#define GIVEN 0x20000000u
#define COUNT_MASK 0x7fffu
#define NUMBER_MASK 0xffffffu
#define LINGER_NS (2 * ART_NS_PER_S) /* beyond what a device retries */
#define RECEIVES 32u /* posted at a time */

enum kind { RECEIVE, WRITE, PROBE, PULL, SHARED };

_Static_assert((uint64_t)SHARED << 56 == ART_RDMA_SHARED_WR, "as rdma_srq.c posts them");
_Static_assert(ART_MAX_RANKS <= 0x10000u, "a rank is 16 bits of a wr_id");

static uint64_t wr_id(const struct art_rdma_conn *c, enum kind kind, uint32_t number)
{
	return (uint64_t)kind << 56 | (uint64_t)c->gen << 40 | (uint64_t)(uint16_t)c->peer << 24 |
	       (number & NUMBER_MASK);
}

/* ---- out ---- */

bool art__rdma_post_receives(struct art_rdma *t, struct art_rdma_conn *c, unsigned n)
{
	struct ibv_recv_wr wr[RECEIVES], *bad;

	(void)t;
	while (n > 0) {
		unsigned k = n < RECEIVES ? n : RECEIVES;

		for (unsigned i = 0; i < k; i++)
			wr[i] = (struct ibv_recv_wr){
				.wr_id = wr_id(c, RECEIVE, 0),
				.next = i + 1 < k ? &wr[i + 1] : NULL,
			};
		if (ibv_post_recv(c->qp, wr, &bad))
			return false;
		n -= k;
	}
	return true;
}

/* Counts requests, of which the last t->extra places are for credits. */
bool art__rdma_sq_room(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->sq_posted - c->sq_done < t->window;
}

static bool wants_completion(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->sq_posted + 1 - c->sq_signalled >= t->window / 4;
}

static bool post(struct art_rdma *t, struct art_rdma_conn *c, struct ibv_send_wr *wr, enum kind kind)
{
	struct ibv_send_wr *bad;

	assert(c->qp && c->sq_posted - c->sq_done < t->window + t->extra);
	wr->wr_id = wr_id(c, kind, c->sq_posted + 1);
	if (kind >= PROBE || wants_completion(t, c))
		wr->send_flags |= IBV_SEND_SIGNALED;
	if (ibv_post_send(c->qp, wr, &bad))
		return false;
	c->sq_posted++;
	if (wr->send_flags & IBV_SEND_SIGNALED)
		c->sq_signalled = c->sq_posted;
	return true;
}

/* @len bytes at @from as the record at @at. */
static bool post_write(struct art_rdma *t, struct art_rdma_conn *c, uint64_t at, const uint8_t *from,
		       size_t len)
{
	uint64_t offset = at & (c->tx.bytes - 1);
	struct ibv_sge sge = {
		.addr = (uintptr_t)from,
		.length = (uint32_t)len,
		.lkey = c->mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.send_flags = len <= c->inline_bytes ? IBV_SEND_INLINE : 0,
		.wr.rdma = {.remote_addr = c->remote + offset, .rkey = c->rkey},
	};

	assert(offset + len <= c->tx.bytes + ART_RDMA_SPILL);
	t->n[ART_RDMA_N_SENT]++;
	return post(t, c, &wr, WRITE);
}

bool art__rdma_post_record(struct art_rdma *t, struct art_rdma_conn *c, uint64_t at, size_t len)
{
	return post_write(t, c, at, c->tx.copy + (at & (c->tx.bytes - 1)), len);
}

bool art__rdma_post_compact(struct art_rdma *t, struct art_rdma_conn *c, uint64_t at, const uint8_t *out,
			    size_t len)
{
	assert(len <= c->inline_bytes);
	return post_write(t, c, at, out, len);
}

/* What is between two records of one write goes with them: the copy has room for it, and so has the ring. */
void art__rdma_gather(struct art_rdma_conn *c, struct art_rdma_gather *g, uint64_t at, size_t len,
		      const struct art_rdma_loan *loan, size_t body)
{
	uint64_t from = (uintptr_t)(c->tx.copy + (at & (c->tx.bytes - 1)));
	size_t past = ART_RDMA_LINE + body;
	struct ibv_sge *sge = &g->sge[g->n ? g->n - 1 : 0];

	assert(len > past && len - past <= ART_RDMA_PAST_MAX && g->n + 2 <= ART_RDMA_SGES);
	if (g->n == 0) {
		g->at = at;
		*sge = (struct ibv_sge){from, 0, c->mr->lkey};
		g->n = 1;
	}
	assert(from >= sge->addr);
	sge->length = (uint32_t)(from - sge->addr) + ART_RDMA_LINE;
	sge[1] = (struct ibv_sge){(uintptr_t)loan->body, (uint32_t)body, loan->reg->mr->lkey};
	sge[2] = (struct ibv_sge){from + past, (uint32_t)(len - past), c->mr->lkey};
	g->n += 2;
	g->bytes = (size_t)(at - g->at) + len;
	g->records++;
}

bool art__rdma_post_gather(struct art_rdma *t, struct art_rdma_conn *c, struct art_rdma_gather *g)
{
	uint64_t offset = g->at & (c->tx.bytes - 1);
	struct ibv_send_wr wr = {
		.sg_list = g->sge,
		.num_sge = g->n,
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.imm_data = htonl(g->records - 1),
		.wr.rdma = {.remote_addr = c->remote + offset, .rkey = c->rkey},
	};

	assert(g->records >= 1 && g->records <= ART_RDMA_GATHERED);
	assert(offset + g->bytes <= c->tx.bytes + ART_RDMA_SPILL);
	t->n[ART_RDMA_N_SENT] += g->records;
	return post(t, c, &wr, WRITE);
}

bool art__rdma_post_pull(struct art_rdma *t, struct art_rdma_conn *c, const struct art_rdma_pull *p,
			 const struct art_rdma_source *from)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)p->to,
		.length = (uint32_t)p->len,
		.lkey = p->reg ? p->reg->mr->lkey : c->mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_READ,
		.wr.rdma = {.remote_addr = from->addr, .rkey = from->rkey},
	};

	return post(t, c, &wr, PULL);
}

static bool sq_full(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->sq_posted - c->sq_done >= t->window + t->extra;
}

/* An empty write, for the sake of its immediate data. */
static bool post_number(struct art_rdma *t, struct art_rdma_conn *c, uint32_t imm)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.imm_data = htonl(imm),
		.wr.rdma = {.remote_addr = c->remote, .rkey = c->rkey},
	};

	return post(t, c, &wr, WRITE);
}

bool art__rdma_post_ask(struct art_rdma *t, struct art_rdma_conn *c, uint32_t records)
{
	return !sq_full(t, c) && post_number(t, c, ASK | (records & COUNT_MASK));
}

bool art__rdma_post_given(struct art_rdma *t, struct art_rdma_conn *c)
{
	c->give_owed = sq_full(t, c);
	if (!c->give_owed)
		return post_number(t, c, GIVEN | (c->tx.records_acked & COUNT_MASK));
	art__rdma_todo(t, c->peer);
	return true;
}

/* Without room it is owed: told when a completion makes some. */
bool art__rdma_post_credit(struct art_rdma *t, struct art_rdma_conn *c)
{
	uint32_t records = art__rdma_tellable(c, art__rdma_receivable(c));

	c->credit_owed = sq_full(t, c);
	if (c->credit_owed) {
		art__rdma_todo(t, c->peer);
		return true;
	}
	c->owed = false;
	c->told_records = records;
	c->told_at = c->rx.at;
	return post_number(t, c, CREDIT | (records & COUNT_MASK) << 15 |
					 ((uint32_t)(c->rx.at / ART_RDMA_LINE) & COUNT_MASK));
}

bool art__rdma_post_probe(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.wr.rdma = {.remote_addr = c->remote, .rkey = c->rkey},
	};

	return post(t, c, &wr, PROBE);
}

/* ---- in ---- */

/* What @wc is of, if that is not over. */
static struct art_rdma_conn *conn_of(struct art_rdma *t, const struct ibv_wc *wc)
{
	unsigned peer = (unsigned)(wc->wr_id >> 24) & 0xffffu;
	struct art_rdma_conn *c = peer < (unsigned)t->self.size ? t->peer[peer].conn : NULL;

	return c && c->gen == (uint16_t)(wc->wr_id >> 40) && c->qp ? c : NULL;
}

static void fail(struct art_rdma *t, struct art_rdma_conn *c, const char *what)
{
	if (!c->failed)
		c->failed = what;
	art__rdma_todo(t, c->peer);
}

static void on_ask(struct art_rdma *t, struct art_rdma_conn *c, uint32_t records)
{
	if (art__rdma_give(&c->tx, records))
		c->give_owed = true;
	else
		fail(t, c, "more credit was asked for than given");
	art__rdma_todo(t, c->peer);
}

/* A receive was used: it is posted again before anything that could let the peer send more. */
static void on_receive(struct art_rdma *t, struct art_rdma_conn *c, const struct ibv_wc *wc)
{
	uint32_t imm = ntohl(wc->imm_data);

	if (!(wc->wc_flags & IBV_WC_WITH_IMM)) {
		fail(t, c, "a message that is not a write with immediate data");
	} else if (imm < ART_RDMA_GATHERED) {
		c->announced += imm + 1;
		if (art__rdma_ahead(c) < 0 || c->credit_owed)
			art__rdma_todo(t, c->peer);
	} else if ((imm & ~COUNT_MASK) == ASK) {
		on_ask(t, c, imm & COUNT_MASK);
	} else if ((imm & ~COUNT_MASK) == GIVEN) {
		if (!art__rdma_srq_given(t, c, (c->told_records - imm) & COUNT_MASK))
			fail(t, c, "credit given back that it has not");
	} else if (!(imm & CREDIT)) {
		fail(t, c, "more records than one write can have");
	} else if (!art__rdma_credit(&c->tx, imm & COUNT_MASK, imm >> 15 & COUNT_MASK)) {
		fail(t, c, "credit for what was not sent");
	} else {
		art__rdma_loans_over(t, &c->loans, c->tx.acked);
		if (t->peer[c->peer].queued > 0)
			art__rdma_todo(t, c->peer);
	}
	if (!c->shared && !art__rdma_post_receives(t, c, 1))
		fail(t, c, "no receive can be posted");
}

static void on_sent(struct art_rdma *t, struct art_rdma_conn *c, const struct ibv_wc *wc)
{
	uint32_t number = (uint32_t)wc->wr_id & NUMBER_MASK;

	c->sq_done += (number - c->sq_done) & NUMBER_MASK;
	assert(c->sq_posted - c->sq_done <= t->window + t->extra);
	c->probed |= wc->wr_id >> 56 == PROBE;
	if (wc->wr_id >> 56 == PULL) {
		c->pulls_done++;
		t->n[ART_RDMA_N_PULLED]++;
		art__rdma_todo(t, c->peer);
	}
	if (c->probed || c->credit_owed || c->give_owed || t->peer[c->peer].queued > 0)
		art__rdma_todo(t, c->peer);
}

static void on_completion(struct art_rdma *t, const struct ibv_wc *wc)
{
	bool shared = wc->wr_id == ART_RDMA_SHARED_WR;
	struct art_rdma_conn *c = shared ? art__rdma_of_qpn(t, wc->qp_num) : conn_of(t, wc);

	t->dev.srq_used += shared;
	if (!c)
		return;
	if (wc->status == IBV_WC_WR_FLUSH_ERR) /* another one says why */
		fail(t, c, c->failed ? c->failed : "flushed");
	else if (wc->status != IBV_WC_SUCCESS)
		fail(t, c, ibv_wc_status_str(wc->status));
	else if (shared || wc->wr_id >> 56 == RECEIVE)
		on_receive(t, c, wc);
	else
		on_sent(t, c, wc);
}

/* Without receives nothing more can come. */
static void refill_failed(struct art_rdma *t)
{
	t->dev.srq_lost = true; /* who comes has its own */
	for (int i = 0; i < t->self.size; i++)
		if (t->peer[i].conn && t->peer[i].conn->shared)
			fail(t, t->peer[i].conn, "no receive can be posted");
}

bool art__rdma_reap(struct art_rdma *t)
{
	struct ibv_wc wc[BATCH];
	bool any = false;
	int n = BATCH;

	for (int k = 0; k < BATCHES && n == BATCH; k++) {
		n = ibv_poll_cq(t->dev.cq, BATCH, wc);
		for (int i = 0; i < n; i++)
			on_completion(t, &wc[i]);
		if (t->dev.srq_used > 0 && !t->dev.srq_lost && !art__rdma_srq_refill(t))
			refill_failed(t);
		any |= n > 0;
	}
	return any;
}

/* The system goes on sending for a process that is gone; a device does not. */
static bool under_way(struct art_rdma *t)
{
	bool any = false;

	for (int i = 0; i < t->self.size; i++) {
		struct art_rdma_conn *c = t->peer[i].conn;

		if (!c || !c->qp || c->failed || t->peer[i].state != ART_RDMA_UP)
			continue;
		if (c->sq_posted == c->sq_done)
			continue;
		any = true;
		if (c->sq_signalled != c->sq_posted && art__rdma_sq_room(t, c) &&
		    !art__rdma_post_probe(t, c))
			c->failed = "cannot be posted to";
	}
	return any;
}

void art__rdma_linger(struct art_rdma *t)
{
	uint64_t start = art__env_now(t->env);

	while (under_way(t) && art__env_now(t->env) - start < LINGER_NS)
		(void)art__rdma_reap(t);
}
