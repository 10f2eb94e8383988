/* SPDX-License-Identifier: MIT
 *
 * The other half of verbs_double.c: queue pairs, what they receive with, and what a device does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/verbs_double_impl.h"

#define QPS 4096

struct wr {
	struct wr *next;
	struct ibv_send_wr v;
	uint8_t *data; /* of an inline one */
	size_t len;
	uint8_t *to; /* of a read */
	uint32_t lkey;
	bool placed; /* its last bytes are there */
	bool muted;  /* all of them are, and nobody was told */
};

struct receives { /* of a queue pair, or shared */
	uint64_t *wr_id;
	unsigned at, n, max;
};

struct srq {
	struct ibv_srq v;
	struct receives r;
	unsigned users;
};

struct qp {
	struct ibv_qp v;
	struct ibv_qp_cap cap;
	struct wr *first, **last;
	struct receives own, *r;
	uint32_t dest;
	bool reachable, stays;
	unsigned sq_used, unsignalled;
	unsigned responds, asks; /* reads at once */
};

static struct qp *qps[QPS]; /* by number */
static uint32_t next_qp = 16;
static unsigned long pending; /* work requests, all queue pairs */

static bool put_receive(struct receives *r, uint64_t wr_id)
{
	if (r->n == r->max)
		return false;
	r->wr_id[(r->at + r->n++) % r->max] = wr_id;
	verbs_double.receives++;
	return true;
}

static uint64_t take_receive(struct receives *r)
{
	uint64_t wr_id = r->wr_id[r->at];

	REQUIRE(r->n > 0);
	r->at = (r->at + 1) % r->max;
	r->n--;
	verbs_double.receives--;
	return wr_id;
}

/* ---- shared receives ---- */

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *init)
{
	struct srq *s;

	if (verbs_double_refused(&verbs_double.srqs, verbs_double.refuse_srq) ||
	    init->attr.max_wr > (unsigned)verbs_double.max_srq_wr) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	s->v = (struct ibv_srq){.context = pd->context, .pd = pd};
	s->r.max = init->attr.max_wr;
	s->r.wr_id = calloc(s->r.max, sizeof(*s->r.wr_id));
	verbs_double.open_srqs++;
	return &s->v;
}

int ibv_destroy_srq(struct ibv_srq *v)
{
	struct srq *s = (struct srq *)v;

	REQUIRE(s->users == 0);
	verbs_double.open_srqs--;
	verbs_double.receives -= s->r.n;
	free(s->r.wr_id);
	free(s);
	return 0;
}

int verbs_double_post_srq_recv(struct ibv_srq *v, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	*bad = wr;
	if (verbs_double_refused(&verbs_double.srq_posts, verbs_double.refuse_srq_recv))
		return errno = ENOMEM;
	for (; wr; wr = wr->next, verbs_double.srq_recvs++)
		if (!put_receive(&((struct srq *)v)->r, wr->wr_id)) {
			*bad = wr;
			return errno = ENOMEM;
		}
	return 0;
}

/* ---- queue pairs ---- */

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *init)
{
	struct qp *q;
	uint32_t n = next_qp++ % QPS;

	if (init->cap.max_inline_data > verbs_double.max_inline) {
		errno = EINVAL;
		return NULL;
	}
	if (verbs_double_refused(&verbs_double.qps, verbs_double.refuse_qp)) {
		errno = ENOMEM;
		return NULL;
	}
	REQUIRE(!qps[n] && init->qp_type == IBV_QPT_RC && init->cap.max_send_sge >= 1 &&
		(int)init->cap.max_send_sge <= verbs_double.max_sge);
	q = calloc(1, sizeof(*q));
	q->v = (struct ibv_qp){.context = pd->context, .pd = pd, .send_cq = init->send_cq,
			       .recv_cq = init->recv_cq, .qp_num = n, .state = IBV_QPS_RESET};
	q->cap = init->cap;
	q->last = &q->first;
	q->v.srq = init->srq;
	q->r = init->srq ? &((struct srq *)init->srq)->r : &q->own;
	q->own.max = init->srq ? 0 : init->cap.max_recv_wr;
	q->own.wr_id = calloc(q->own.max + 1, sizeof(*q->own.wr_id));
	if (init->srq)
		((struct srq *)init->srq)->users++;
	qps[n] = q;
	verbs_double.open_qps++;
	return &q->v;
}

static void forget_first(struct qp *q)
{
	struct wr *w = q->first;

	q->first = w->next;
	if (!q->first)
		q->last = &q->first;
	pending--;
	free(w->data);
	free(w);
}

static void flush_wr(struct qp *q, enum ibv_wc_status status)
{
	struct ibv_wc wc = {.wr_id = q->first->v.wr_id, .status = status, .qp_num = q->v.qp_num};

	verbs_double_complete(q->v.send_cq, &wc);
	forget_first(q);
}

static void to_error(struct qp *q)
{
	q->v.state = IBV_QPS_ERR;
	while (q->first)
		flush_wr(q, IBV_WC_WR_FLUSH_ERR);
	while (q->own.n > 0) { /* shared ones are for the others */
		struct ibv_wc wc = {.wr_id = take_receive(&q->own), .qp_num = q->v.qp_num,
				    .status = IBV_WC_WR_FLUSH_ERR};

		verbs_double_complete(q->v.recv_cq, &wc);
	}
}

int ibv_destroy_qp(struct ibv_qp *v)
{
	struct qp *q = (struct qp *)v;

	REQUIRE(qps[v->qp_num] == q);
	if ((q->stays = verbs_double.stuck))
		return errno = EBUSY;
	qps[v->qp_num] = NULL;
	while (q->first)
		forget_first(q);
	if (verbs_double.ends_late) {
		verbs_double.held = false;
		verbs_double_run();
	}
	verbs_double.open_qps--;
	verbs_double.receives -= q->own.n;
	if (v->srq) {
		((struct srq *)v->srq)->users--;
		if (verbs_double.loses_receives && q->r->n > 0)
			(void)take_receive(q->r);
	}
	free(q->own.wr_id);
	free(q);
	return 0;
}

void verbs_double_bury(void)
{
	verbs_double.stuck = false;
	for (int i = 0; i < QPS; i++)
		if (qps[i] && qps[i]->stays)
			ibv_destroy_qp(&qps[i]->v);
}

static bool has_address(const struct ibv_ah_attr *ah)
{
	if (verbs_double.infiniband)
		return ah->dlid == LID;
	return ah->is_global && ah->grh.sgid_index < GIDS && ah->grh.hop_limit > 0 &&
	       memcmp(ah->grh.dgid.raw, verbs_double_gid[ah->grh.sgid_index], 16) == 0;
}

int ibv_modify_qp(struct ibv_qp *v, struct ibv_qp_attr *attr, int mask)
{
	struct qp *q = (struct qp *)v;

	REQUIRE(mask & IBV_QP_STATE);
	if (attr->qp_state == IBV_QPS_ERR) {
		if (verbs_double.stuck)
			return errno = EIO;
		to_error(q);
		return 0;
	}
	if (verbs_double_refused(&verbs_double.modifies, verbs_double.refuse_modify))
		return errno = EINVAL;
	if (attr->qp_state == IBV_QPS_INIT) {
		REQUIRE(v->state == IBV_QPS_RESET && mask & IBV_QP_PORT && attr->port_num == 1 &&
			attr->qp_access_flags & IBV_ACCESS_REMOTE_WRITE);
	} else if (attr->qp_state == IBV_QPS_RTR) {
		REQUIRE(v->state == IBV_QPS_INIT && attr->path_mtu >= 1 && attr->path_mtu <= 3 &&
			attr->min_rnr_timer > 0 && attr->max_dest_rd_atomic <= verbs_double.max_reads);
		q->dest = attr->dest_qp_num;
		q->responds = attr->max_dest_rd_atomic;
		q->reachable = has_address(&attr->ah_attr);
	} else {
		/* What never gives up on some device or other. */
		REQUIRE(v->state == IBV_QPS_RTR && attr->qp_state == IBV_QPS_RTS);
		REQUIRE(attr->timeout > 0 && attr->retry_cnt < 7 && attr->rnr_retry < 7);
		REQUIRE(attr->max_rd_atomic <= verbs_double.max_reads);
		q->asks = attr->max_rd_atomic;
	}
	v->state = attr->qp_state;
	return 0;
}

int verbs_double_post_recv(struct ibv_qp *v, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct qp *q = (struct qp *)v;

	for (; wr; wr = wr->next) {
		REQUIRE(!v->srq);
		if (v->state == IBV_QPS_RESET || !put_receive(&q->own, wr->wr_id)) {
			*bad = wr;
			return errno = ENOMEM;
		}
	}
	if (v->state == IBV_QPS_ERR)
		to_error(q);
	return 0;
}

/* What is not inline is read when it goes out, and must not change till then. The double reads it at once. */
static void gather(struct wr *w, const struct ibv_send_wr *wr)
{
	bool is_inline = wr->send_flags & IBV_SEND_INLINE;
	size_t at = 0;

	w->data = malloc(w->len);
	for (int i = 0; i < wr->num_sge; i++) {
		const struct ibv_sge *s = &wr->sg_list[i];
		const struct mr *m = verbs_double_mr[s->lkey % MRS];

		REQUIRE(is_inline || (m && verbs_double_within(&m->v, s->addr, s->length)));
		memcpy(w->data + at, (void *)(uintptr_t)s->addr, s->length);
		at += s->length;
	}
}

int verbs_double_post_send(struct ibv_qp *v, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct qp *q = (struct qp *)v;
	struct wr *w;

	REQUIRE(!wr->next && wr->num_sge <= (int)q->cap.max_send_sge);
	REQUIRE(v->state == IBV_QPS_RTS || v->state == IBV_QPS_ERR);
	*bad = wr;
	if (verbs_double_refused(&verbs_double.posts, verbs_double.refuse_post) ||
	    q->sq_used >= q->cap.max_send_wr)
		return errno = ENOMEM;
	w = calloc(1, sizeof(*w));
	w->v = *wr;
	for (int i = 0; i < wr->num_sge; i++)
		w->len += wr->sg_list[i].length;
	if (wr->opcode == IBV_WR_RDMA_READ) {
		const struct mr *m = verbs_double_mr[wr->sg_list[0].lkey % MRS];

		REQUIRE(q->asks && w->len && m && m->access & IBV_ACCESS_LOCAL_WRITE &&
			verbs_double_within(&m->v, wr->sg_list[0].addr, w->len));
		w->to = (uint8_t *)(uintptr_t)wr->sg_list[0].addr;
		w->lkey = wr->sg_list[0].lkey;
		verbs_double.reads++;
	} else if (w->len) {
		REQUIRE(!(wr->send_flags & IBV_SEND_INLINE) || w->len <= q->cap.max_inline_data);
		gather(w, wr);
	}
	*q->last = w;
	q->last = &w->next;
	q->sq_used++;
	pending++;
	if (v->state == IBV_QPS_ERR)
		to_error(q);
	else if (!verbs_double.late)
		verbs_double_run();
	return 0;
}

/* ---- what a device does ---- */

static struct qp *peer_of(const struct qp *q)
{
	struct qp *p = qps[q->dest % QPS];

	return p && (p->v.state == IBV_QPS_RTR || p->v.state == IBV_QPS_RTS) &&
	       p->dest == q->v.qp_num ? p : NULL;
}

static enum ibv_wc_status check(struct qp *q, const struct wr *w)
{
	const struct mr *m = verbs_double_mr[w->v.wr.rdma.rkey % MRS], *own = verbs_double_mr[w->lkey % MRS];
	int access = w->to ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
	struct qp *p = peer_of(q);

	if (!p || !q->reachable || verbs_double_port_down) {
		verbs_double.rejected++;
		return IBV_WC_RETRY_EXC_ERR;
	}
	if (w->len && (!m || m->v.pd != p->v.pd || !(m->access & access) || (w->to && !p->responds) ||
		       !verbs_double_within(&m->v, w->v.wr.rdma.remote_addr, w->len))) {
		verbs_double.rejected++;
		return IBV_WC_REM_ACCESS_ERR;
	}
	if (w->to && (!own || !verbs_double_within(&own->v, (uintptr_t)w->to, w->len)))
		return IBV_WC_LOC_PROT_ERR;
	if (w->v.opcode == IBV_WR_RDMA_WRITE_WITH_IMM && p->r->n == 0) {
		verbs_double.not_ready++;
		return IBV_WC_RNR_RETRY_EXC_ERR;
	}
	return IBV_WC_SUCCESS;
}

static void told(struct qp *p, const struct wr *w)
{
	struct ibv_wc wc = {
		.wr_id = take_receive(p->r),
		.opcode = IBV_WC_RECV_RDMA_WITH_IMM,
		.byte_len = (uint32_t)w->len,
		.imm_data = w->v.imm_data ^ htonl(verbs_double.imm_flip),
		.wc_flags = IBV_WC_WITH_IMM,
		.qp_num = p->v.qp_num,
	};

	verbs_double_complete(p->v.recv_cq, &wc);
}

static void sent(struct qp *q)
{
	struct wr *w = q->first;
	struct ibv_wc wc = {.wr_id = w->v.wr_id, .opcode = w->to ? IBV_WC_RDMA_READ : IBV_WC_RDMA_WRITE,
			    .qp_num = q->v.qp_num};

	q->unsignalled++;
	if (w->v.send_flags & IBV_SEND_SIGNALED) {
		verbs_double_complete(q->v.send_cq, &wc);
		q->sq_used -= q->unsignalled;
		q->unsignalled = 0;
	}
	forget_first(q);
}

static bool fails(unsigned long n)
{
	if (verbs_double.fail_every && n % (unsigned long)verbs_double.fail_every == 0)
		return true;
	if (!verbs_double.fail_at)
		return false;
	return verbs_double.fail_on ? n >= (unsigned long)verbs_double.fail_at
				    : n == (unsigned long)verbs_double.fail_at;
}

/* The bytes of a work request, or the last part of them. */
static void move(struct wr *w, size_t from)
{
	uint8_t *there = (uint8_t *)(uintptr_t)w->v.wr.rdma.remote_addr;

	if (w->len && w->to)
		memcpy(w->to + from, there + from, w->len - from);
	else if (w->len)
		memcpy(there + from, w->data + from, w->len - from);
}

/* A read that fails has brought a part of the bytes. */
static bool read_fails(struct wr *w)
{
	if (!w->to || w->placed || !verbs_double.fail_read ||
	    ++verbs_double.reads_done % (unsigned long)verbs_double.fail_read)
		return false;
	memset(w->to, 0xee, w->len / 2);
	return true;
}

/* False: this queue pair has done what it can for now. */
static bool execute(struct qp *q)
{
	struct wr *w = q->first;
	enum ibv_wc_status status = check(q, w);

	if (w->to && verbs_double.reads_held)
		return false;
	if (!w->placed && !w->muted && fails(++verbs_double.wrs))
		status = verbs_double.fail_with;
	if (status == IBV_WC_SUCCESS && read_fails(w))
		status = verbs_double.fail_with;
	if (status != IBV_WC_SUCCESS) {
		flush_wr(q, status);
		to_error(q);
		return false;
	}
	if (verbs_double.backwards && !w->placed && !w->muted) {
		move(w, w->len / 2);
		w->placed = true;
		return false;
	}
	if (!w->muted)
		move(w, 0);
	if (w->v.opcode == IBV_WR_RDMA_WRITE_WITH_IMM)
		told(peer_of(q), w);
	sent(q);
	return true;
}

static void place(struct qp *q)
{
	for (struct wr *w = q->first; w; w = w->next) {
		if (w->muted || w->to || check(q, w) != IBV_WC_SUCCESS)
			continue;
		move(w, 0);
		w->muted = true;
	}
}

void verbs_double_run(void)
{
	if (verbs_double.held || pending == 0)
		return;
	for (int i = 0; i < QPS && verbs_double.mute; i++)
		if (qps[i])
			place(qps[i]);
	if (verbs_double.mute)
		return;
	for (int i = 0; i < QPS; i++)
		while (qps[i] && qps[i]->first && execute(qps[i]))
			continue;
}
