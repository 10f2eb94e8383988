/* SPDX-License-Identifier: MIT
 *
 * Defines the functions of libibverbs that src/transport/rdma calls (verbs_double.h): those of the
 * program are found before the library's. One thread. Here: devices, their events, memory, completion queues.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/lib/verbs_double_impl.h"

#define EVENTS 8
#define CONTEXTS 128

struct verbs_double verbs_double;
static const struct verbs_double fresh = {.max_inline = 256, .max_cqe = 65536, .max_srq_wr = 32768, .max_reads = 8,
					  .max_sge = 16, .fail_with = IBV_WC_RETRY_EXC_ERR};

struct context {
	struct verbs_context x; /* x.context is what callers have */
	enum ibv_event_type event[EVENTS];
	unsigned nevents, unacked;
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

static struct context *contexts[CONTEXTS];
static uint32_t next_key = 7;
struct mr *verbs_double_mr[MRS];
bool verbs_double_port_down;

const uint8_t verbs_double_gid[GIDS][16] = {
	{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1},
	{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1},
	{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
	{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
};

void verbs_double_reset(void)
{
	REQUIRE(!verbs_double.open_mrs && !verbs_double.open_qps && !verbs_double.open_cqs &&
		!verbs_double.open_srqs && !verbs_double.receives && !verbs_double.open_contexts);
	verbs_double = fresh;
	verbs_double_port_down = false;
}

bool verbs_double_refused(unsigned long *count, long from)
{
	++*count;
	return from > 0 && *count >= (unsigned long)from;
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
	v->ops.post_send = verbs_double_post_send;
	v->ops.post_recv = verbs_double_post_recv;
	v->ops.post_srq_recv = verbs_double_post_srq_recv;
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
	attr->state = verbs_double.inactive || verbs_double_port_down ? IBV_PORT_DOWN : IBV_PORT_ACTIVE;
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
	memcpy(e->gid.raw, verbs_double_gid[i], sizeof(e->gid.raw));
	return 0;
}

/* ---- events of the device ---- */

void verbs_double_event(enum ibv_event_type what)
{
	uint64_t one = 1;

	if (what == IBV_EVENT_PORT_ERR || what == IBV_EVENT_DEVICE_FATAL)
		verbs_double_port_down = true;
	else if (what == IBV_EVENT_PORT_ACTIVE)
		verbs_double_port_down = false;
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

	if (verbs_double_refused(&verbs_double.mrs, verbs_double.refuse_mr)) {
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
	REQUIRE(!verbs_double_mr[key]);
	m = calloc(1, sizeof(*m));
	m->v = (struct ibv_mr){.context = pd->context, .pd = pd, .addr = addr, .length = length,
			       .lkey = key, .rkey = key};
	m->access = access;
	verbs_double_mr[key] = m;
	verbs_double.registered += length;
	verbs_double.open_mrs++;
	return &m->v;
}

int ibv_dereg_mr(struct ibv_mr *v)
{
	REQUIRE(verbs_double_mr[v->rkey] == (struct mr *)v);
	verbs_double_mr[v->rkey] = NULL;
	verbs_double.registered -= v->length;
	verbs_double.open_mrs--;
	free(v);
	return 0;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return verbs_double.fork_hazard ? IBV_FORK_DISABLED : IBV_FORK_UNNEEDED;
}

bool verbs_double_within(const struct ibv_mr *m, uint64_t addr, size_t len)
{
	uint64_t start = (uintptr_t)m->addr;

	return addr >= start && addr - start <= m->length && len <= m->length - (addr - start);
}

void verbs_double_scribble(size_t offset, int byte, size_t n)
{
	for (int i = 0; i < MRS; i++)
		if (verbs_double_mr[i] && verbs_double_mr[i]->v.length >= offset + n)
			memset((uint8_t *)verbs_double_mr[i]->v.addr + offset, byte, n);
}

void verbs_double_forget_users(void)
{
	for (int i = 0; i < MRS; i++)
		if (verbs_double_mr[i] && verbs_double_mr[i]->access == IBV_ACCESS_REMOTE_READ)
			verbs_double_mr[i]->access = 0;
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

void verbs_double_complete(struct ibv_cq *v, const struct ibv_wc *wc)
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
