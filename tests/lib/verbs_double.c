/* SPDX-License-Identifier: MIT
 *
 * Defines the functions of libibverbs that src/transport/rdma calls (verbs_double.h): those of the
 * program are found before the library's. One thread.
 */
#include "tests/lib/verbs_double.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QPS 4096
#define MRS 4096
#define EVENTS 8
#define CONTEXTS 128
#define REQUIRE(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "verbs double: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

struct verbs_double verbs_double;
static const struct verbs_double fresh = {.max_inline = 256, .max_cqe = 65536, .max_srq_wr = 32768, .max_reads = 8, .max_sge = 16,
					  .fail_with = IBV_WC_RETRY_EXC_ERR};

struct context {
	struct verbs_context x; /* x.context is what callers have */
	enum ibv_event_type event[EVENTS];
	unsigned nevents, unacked;
};

struct mr {
	struct ibv_mr v;
	int access;
};

struct cq {
	struct ibv_cq v;
	struct ibv_wc *wc;
	unsigned at, n;
	bool armed;
	unsigned unacked;
};

struct channel {
	struct ibv_comp_channel v;
	struct cq *cq; /* one is all that is needed */
};

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

static struct context *contexts[CONTEXTS];
static struct qp *qps[QPS]; /* by number */
static struct mr *mrs[MRS]; /* by key */
static uint32_t next_qp = 16, next_key = 7;
static bool port_down;
static unsigned long pending; /* work requests, all queue pairs */

static const uint8_t gids[][16] = {
	{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1},
	{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1},
	{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
	{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
};
#define GIDS 4
#define LID 77

void verbs_double_reset(void)
{
	REQUIRE(!verbs_double.open_mrs && !verbs_double.open_qps && !verbs_double.open_cqs &&
		!verbs_double.open_srqs && !verbs_double.receives && !verbs_double.open_contexts);
	verbs_double = fresh;
	port_down = false;
}

static bool refused(unsigned long *count, long from)
{
	++*count;
	return from > 0 && *count >= (unsigned long)from;
}

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

/* ---- devices ---- */

static struct ibv_device device = {
	.node_type = IBV_NODE_CA,
	.transport_type = IBV_TRANSPORT_IB,
	.name = "double0",
};

struct ibv_device **ibv_get_device_list(int *n)
{
	struct ibv_device **list = calloc(2, sizeof(*list));

	if (!verbs_double.max_cqe)
		verbs_double_reset();
	list[0] = verbs_double.none ? NULL : &device;
	if (n)
		*n = !verbs_double.none;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

const char *ibv_get_device_name(struct ibv_device *d)
{
	return d->name;
}

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc);
static int req_notify(struct ibv_cq *cq, int solicited);
static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
static int post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);

static struct context *context_of(struct ibv_context *v)
{
	return (struct context *)(void *)((char *)v - offsetof(struct context, x.context));
}

static int query_device_ex(struct ibv_context *v, const struct ibv_query_device_ex_input *input,
			   struct ibv_device_attr_ex *attr, size_t bytes)
{
	(void)input;
	memset(attr, 0, bytes);
	if (verbs_double.on_demand) {
		attr->odp_caps.general_caps = IBV_ODP_SUPPORT;
		attr->odp_caps.per_transport_caps.rc_odp_caps = IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ;
	}
	return ibv_query_device(v, &attr->orig_attr);
}

struct ibv_context *ibv_open_device(struct ibv_device *d)
{
	struct context *c = calloc(1, sizeof(*c));
	struct ibv_context *v = &c->x.context;

	c->x.sz = sizeof(c->x);
	c->x.query_device_ex = query_device_ex;
	v->abi_compat = __VERBS_ABI_IS_EXTENDED;
	v->device = d;
	v->ops.poll_cq = poll_cq;
	v->ops.req_notify_cq = req_notify;
	v->ops.post_send = post_send;
	v->ops.post_recv = post_recv;
	v->ops.post_srq_recv = post_srq_recv;
	v->async_fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	REQUIRE(v->async_fd >= 0);
	for (int i = 0; i < CONTEXTS; i++)
		if (!contexts[i]) {
			contexts[i] = c;
			verbs_double.open_contexts++;
			return v;
		}
	REQUIRE(!"too many contexts");
	return NULL;
}

int ibv_close_device(struct ibv_context *v)
{
	struct context *c = context_of(v);

	REQUIRE(c->unacked == 0);
	for (int i = 0; i < CONTEXTS; i++)
		if (contexts[i] == c)
			contexts[i] = NULL;
	verbs_double.open_contexts--;
	close(v->async_fd);
	free(c);
	return 0;
}

int ibv_query_device(struct ibv_context *v, struct ibv_device_attr *attr)
{
	(void)v;
	memset(attr, 0, sizeof(*attr));
	attr->phys_port_cnt = 1;
	attr->max_cqe = verbs_double.max_cqe;
	attr->max_sge = verbs_double.max_sge;
	attr->max_srq = verbs_double.max_srq_wr > 0;
	attr->max_srq_wr = verbs_double.max_srq_wr;
	attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = verbs_double.max_reads;
	return 0;
}

#undef ibv_query_port
int ibv_query_port(struct ibv_context *v, uint8_t port, struct _compat_ibv_port_attr *compat)
{
	struct ibv_port_attr *attr = (struct ibv_port_attr *)(void *)compat;

	(void)v;
	if (port != 1)
		return EINVAL;
	attr->state = verbs_double.inactive || port_down ? IBV_PORT_DOWN : IBV_PORT_ACTIVE;
	attr->active_mtu = IBV_MTU_1024;
	attr->gid_tbl_len = verbs_double.infiniband ? 1 : GIDS;
	attr->lid = verbs_double.infiniband ? LID : 0;
	attr->link_layer = verbs_double.infiniband ? IBV_LINK_LAYER_INFINIBAND
						   : IBV_LINK_LAYER_ETHERNET;
	return 0;
}

int _ibv_query_gid_ex(struct ibv_context *v, uint32_t port, uint32_t i, struct ibv_gid_entry *e,
		      uint32_t flags, size_t size)
{
	(void)v;
	(void)flags;
	if (port != 1 || i >= (verbs_double.infiniband ? 1 : GIDS) || size < sizeof(*e))
		return ENODATA;
	*e = (struct ibv_gid_entry){
		.gid_index = i,
		.port_num = port,
		.gid_type = verbs_double.infiniband ? IBV_GID_TYPE_IB
			    : i % 2		    ? IBV_GID_TYPE_ROCE_V2
						    : IBV_GID_TYPE_ROCE_V1,
	};
	memcpy(e->gid.raw, gids[i], sizeof(e->gid.raw));
	return 0;
}

/* ---- events of the device ---- */

void verbs_double_event(enum ibv_event_type what)
{
	uint64_t one = 1;

	if (what == IBV_EVENT_PORT_ERR || what == IBV_EVENT_DEVICE_FATAL)
		port_down = true;
	else if (what == IBV_EVENT_PORT_ACTIVE)
		port_down = false;
	for (int i = 0; i < CONTEXTS; i++) {
		if (!contexts[i])
			continue;
		REQUIRE(contexts[i]->nevents < EVENTS);
		contexts[i]->event[contexts[i]->nevents++] = what;
		REQUIRE(write(contexts[i]->x.context.async_fd, &one, sizeof(one)) == sizeof(one));
	}
}

int ibv_get_async_event(struct ibv_context *v, struct ibv_async_event *e)
{
	struct context *c = context_of(v);
	uint64_t one;

	if (read(v->async_fd, &one, sizeof(one)) < 0)
		return -1;
	REQUIRE(c->nevents > 0);
	memset(e, 0, sizeof(*e));
	e->event_type = c->event[0];
	e->element.cq = (struct ibv_cq *)c; /* for the acknowledgement below */
	memmove(c->event, c->event + 1, --c->nevents * sizeof(c->event[0]));
	c->unacked++;
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *e)
{
	((struct context *)e->element.cq)->unacked--;
}

/* ---- memory ---- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *v)
{
	struct ibv_pd *pd = calloc(1, sizeof(*pd));

	pd->context = v;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	free(pd);
	return 0;
}

#undef ibv_reg_mr
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	struct mr *m;
	uint32_t key = next_key++ % MRS;

	if (refused(&verbs_double.mrs, verbs_double.refuse_mr)) {
		errno = ENOMEM;
		return NULL;
	}
	if (access & IBV_ACCESS_ON_DEMAND) {
		REQUIRE(verbs_double.on_demand);
		if (verbs_double.refuse_on_demand) {
			errno = EOPNOTSUPP;
			return NULL;
		}
		verbs_double.on_demand_mrs++;
	}
	REQUIRE(!mrs[key]);
	m = calloc(1, sizeof(*m));
	m->v = (struct ibv_mr){.context = pd->context, .pd = pd, .addr = addr, .length = length,
			       .lkey = key, .rkey = key};
	m->access = access;
	mrs[key] = m;
	verbs_double.registered += length;
	verbs_double.open_mrs++;
	return &m->v;
}

int ibv_dereg_mr(struct ibv_mr *v)
{
	REQUIRE(mrs[v->rkey] == (struct mr *)v);
	mrs[v->rkey] = NULL;
	verbs_double.registered -= v->length;
	verbs_double.open_mrs--;
	free(v);
	return 0;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return verbs_double.fork_hazard ? IBV_FORK_DISABLED : IBV_FORK_UNNEEDED;
}

static bool within(const struct ibv_mr *m, uint64_t addr, size_t len)
{
	uint64_t start = (uintptr_t)m->addr;

	return addr >= start && addr - start <= m->length && len <= m->length - (addr - start);
}

void verbs_double_scribble(size_t offset, int byte, size_t n)
{
	for (int i = 0; i < MRS; i++)
		if (mrs[i] && mrs[i]->v.length >= offset + n)
			memset((uint8_t *)mrs[i]->v.addr + offset, byte, n);
}

void verbs_double_forget_users(void)
{
	for (int i = 0; i < MRS; i++)
		if (mrs[i] && mrs[i]->access == IBV_ACCESS_REMOTE_READ)
			mrs[i]->access = 0;
}

/* ---- completion queues ---- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *v)
{
	struct ibv_comp_channel *ch = calloc(1, sizeof(struct channel));

	ch->context = v;
	ch->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	REQUIRE(ch->fd >= 0);
	return ch;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *ch)
{
	close(ch->fd);
	free(ch);
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *v, int cqe, void *context,
			     struct ibv_comp_channel *ch, int vector)
{
	struct cq *c = calloc(1, sizeof(*c));

	(void)vector;
	if (cqe > verbs_double.max_cqe) {
		free(c);
		errno = EINVAL;
		return NULL;
	}
	c->v = (struct ibv_cq){.context = v, .channel = ch, .cq_context = context, .cqe = cqe};
	c->wc = calloc((size_t)cqe, sizeof(*c->wc));
	verbs_double.open_cqs++;
	((struct channel *)ch)->cq = c;
	return &c->v;
}

int ibv_destroy_cq(struct ibv_cq *v)
{
	struct cq *c = (struct cq *)v;

	REQUIRE(c->unacked == 0);
	verbs_double.open_cqs--;
	free(c->wc);
	free(c);
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ch, struct ibv_cq **cq, void **context)
{
	uint64_t one;

	if (read(ch->fd, &one, sizeof(one)) < 0)
		return -1;
	*cq = &((struct channel *)ch)->cq->v;
	*context = (*cq)->cq_context;
	((struct channel *)ch)->cq->unacked++;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *v, unsigned n)
{
	struct cq *c = (struct cq *)v;

	REQUIRE(c->unacked >= n);
	c->unacked -= n;
}

static void complete(struct ibv_cq *v, const struct ibv_wc *wc)
{
	struct cq *c = (struct cq *)v;
	uint64_t one = 1;

	REQUIRE(c->n < (unsigned)v->cqe); /* an overrun ends everything on a device, too */
	c->wc[(c->at + c->n++) % (unsigned)v->cqe] = *wc;
	if (!c->armed)
		return;
	c->armed = false;
	REQUIRE(write(v->channel->fd, &one, sizeof(one)) == sizeof(one));
}

static int poll_cq(struct ibv_cq *v, int n, struct ibv_wc *wc)
{
	struct cq *c = (struct cq *)v;
	int k = 0;

	verbs_double_run();
	for (; k < n && c->n > 0; k++, c->n--) {
		wc[k] = c->wc[c->at];
		c->at = (c->at + 1) % (unsigned)v->cqe;
	}
	return k;
}

static int req_notify(struct ibv_cq *v, int solicited)
{
	(void)solicited;
	((struct cq *)v)->armed = true;
	return 0;
}

/* ---- shared receives ---- */

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *init)
{
	struct srq *s;

	if (refused(&verbs_double.srqs, verbs_double.refuse_srq) ||
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

static int post_srq_recv(struct ibv_srq *v, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	*bad = wr;
	if (refused(&verbs_double.srq_posts, verbs_double.refuse_srq_recv))
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
	if (refused(&verbs_double.qps, verbs_double.refuse_qp)) {
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

	complete(q->v.send_cq, &wc);
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

		complete(q->v.recv_cq, &wc);
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
	       memcmp(ah->grh.dgid.raw, gids[ah->grh.sgid_index], 16) == 0;
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
	if (refused(&verbs_double.modifies, verbs_double.refuse_modify))
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

static int post_recv(struct ibv_qp *v, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
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

		REQUIRE(is_inline || (mrs[s->lkey % MRS] && within(&mrs[s->lkey % MRS]->v, s->addr, s->length)));
		memcpy(w->data + at, (void *)(uintptr_t)s->addr, s->length);
		at += s->length;
	}
}

static int post_send(struct ibv_qp *v, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct qp *q = (struct qp *)v;
	struct wr *w;

	REQUIRE(!wr->next && wr->num_sge <= (int)q->cap.max_send_sge);
	REQUIRE(v->state == IBV_QPS_RTS || v->state == IBV_QPS_ERR);
	*bad = wr;
	if (refused(&verbs_double.posts, verbs_double.refuse_post) ||
	    q->sq_used >= q->cap.max_send_wr)
		return errno = ENOMEM;
	w = calloc(1, sizeof(*w));
	w->v = *wr;
	for (int i = 0; i < wr->num_sge; i++)
		w->len += wr->sg_list[i].length;
	if (wr->opcode == IBV_WR_RDMA_READ) {
		const struct mr *m = mrs[wr->sg_list[0].lkey % MRS];

		REQUIRE(q->asks && w->len && m && m->access & IBV_ACCESS_LOCAL_WRITE &&
			within(&m->v, wr->sg_list[0].addr, w->len));
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
	const struct mr *m = mrs[w->v.wr.rdma.rkey % MRS], *own = mrs[w->lkey % MRS];
	int access = w->to ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
	struct qp *p = peer_of(q);

	if (!p || !q->reachable || port_down) {
		verbs_double.rejected++;
		return IBV_WC_RETRY_EXC_ERR;
	}
	if (w->len && (!m || m->v.pd != p->v.pd || !(m->access & access) || (w->to && !p->responds) ||
		       !within(&m->v, w->v.wr.rdma.remote_addr, w->len))) {
		verbs_double.rejected++;
		return IBV_WC_REM_ACCESS_ERR;
	}
	if (w->to && (!own || !within(&own->v, (uintptr_t)w->to, w->len)))
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

	complete(p->v.recv_cq, &wc);
}

static void sent(struct qp *q)
{
	struct wr *w = q->first;
	struct ibv_wc wc = {.wr_id = w->v.wr_id, .opcode = w->to ? IBV_WC_RDMA_READ : IBV_WC_RDMA_WRITE,
			    .qp_num = q->v.qp_num};

	q->unsignalled++;
	if (w->v.send_flags & IBV_SEND_SIGNALED) {
		complete(q->v.send_cq, &wc);
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
	if (!w->to || w->placed || !verbs_double.fail_read || ++verbs_double.reads_done % (unsigned long)verbs_double.fail_read)
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
