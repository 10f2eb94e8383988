/* SPDX-License-Identifier: MIT
 *
 * The queue pair and the memory of one way: made, described for the other end, connected, fenced.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define INLINE_WANTED ART_RDMA_SMALL
#define HOPS 64
#define REAPS 512 /* of a whole completion queue */
#define QP_STATE_FLAGS (IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS)
#define RTR_FLAGS \
	(IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | \
	 IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER)
#define RTS_FLAGS \
	(IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | \
	 IBV_QP_MAX_QP_RD_ATOMIC)

static size_t half_bytes(const struct art_rdma *t)
{
	return t->ring_bytes + ART_RDMA_SPILL + ART_RDMA_LINE; /* SPILL is no multiple of a line */
}

static unsigned depth(const struct art_rdma *t)
{
	return t->window + t->extra;
}

/* ---- memory ---- */

/* What is registered is pinned, and there is a limit to that. */
static void say_no_memory(struct art_rdma *t, size_t bytes, int err)
{
	struct rlimit l = {0};

	t->n[ART_RDMA_N_NO_MEMORY]++;
	if (t->said_memlock)
		return;
	t->said_memlock = true;
	getrlimit(RLIMIT_MEMLOCK, &l);
	if (l.rlim_cur == RLIM_INFINITY || (err != ENOMEM && err != EAGAIN && err != EPERM))
		art__env_log(t->env, ART_LOG_WARN,
			     "RDMA device %s refuses to register %zu bytes: %s", t->dev.name, bytes,
			     strerror(err));
	else
		art__env_log(t->env, ART_LOG_WARN,
			     "the limit of locked memory (ulimit -l) is too small for RDMA: it is %llu "
			     "KiB, and %zu KiB are needed, %zu for each of %d peers",
			     (unsigned long long)l.rlim_cur / 1024,
			     bytes / 1024 * (size_t)(t->self.size - 1), bytes / 1024,
			     t->self.size - 1);
}

/* A child of the application must not get copies of pinned pages, nor we new ones. */
static bool make_memory(struct art_rdma *t, struct art_rdma_conn *c)
{
	c->mem_bytes = 2 * half_bytes(t);
	c->mem = mmap(NULL, c->mem_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (c->mem == MAP_FAILED) {
		c->mem = NULL;
		say_no_memory(t, c->mem_bytes, errno);
		return false;
	}
	(void)madvise(c->mem, c->mem_bytes, MADV_DONTFORK);
	errno = 0;
	c->mr = ibv_reg_mr(t->dev.pd, c->mem, c->mem_bytes,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (!c->mr) {
		say_no_memory(t, c->mem_bytes, errno ? errno : ENOMEM);
		return false;
	}
	t->n[ART_RDMA_N_BYTES] += c->mem_bytes;
	return true;
}

/* ---- the queue pair ---- */

static bool make_qp(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct ibv_qp_init_attr init = {
		.send_cq = t->dev.cq,
		.recv_cq = t->dev.cq,
		.srq = c->shared ? t->dev.srq : NULL,
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = depth(t),
			.max_recv_wr = c->shared ? 0 : depth(t),
			.max_send_sge = t->dev.sges,
			.max_recv_sge = 1,
			.max_inline_data = INLINE_WANTED,
		},
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = t->dev.port,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};

	c->qp = ibv_create_qp(t->dev.pd, &init);
	while (!c->qp && init.cap.max_inline_data > 0) { /* how much a device inlines shows so */
		init.cap.max_inline_data /= 2;
		c->qp = ibv_create_qp(t->dev.pd, &init);
	}
	if (!c->qp || ibv_modify_qp(c->qp, &attr, QP_STATE_FLAGS)) {
		art__env_log(t->env, ART_LOG_WARN, "RDMA device %s gives no queue pair: %s",
			     t->dev.name, strerror(errno));
		return false;
	}
	c->inline_bytes = init.cap.max_inline_data;
	if (c->shared)
		art__rdma_srq_enter(t, c);
	return true;
}

static void set_up_rings(struct art_rdma *t, struct art_rdma_conn *c)
{
	c->rx = (struct art_rdma_rx){.ring = c->mem, .bytes = t->ring_bytes};
	c->tx = (struct art_rdma_tx){.copy = c->mem + half_bytes(t)};
}

struct art_rdma_conn *art__rdma_conn_make(struct art_rdma *t, int peer)
{
	struct art_rdma_conn *c = art__env_zalloc(t->env, sizeof(*c));

	if (!c)
		return NULL;
	art__rdma_srq_join(t, c);
	c->cqes = c->shared ? depth(t) : 2 * depth(t);
	if (c->cqes > t->dev.cq_room) { /* more pairs than the device has completions for */
		art__rdma_srq_leave(t, c);
		art__env_free(t->env, c);
		return NULL;
	}
	c->peer = peer;
	STAILQ_INIT(&c->loans);
	c->gen = ++t->gen;
	c->psn = randombytes_uniform(1u << 24);
	randombytes_buf(&c->nonce, sizeof(c->nonce));
	t->dev.cq_room -= c->cqes;
	if (!make_memory(t, c) || !make_qp(t, c) ||
	    (!c->shared && !art__rdma_post_receives(t, c, depth(t)))) {
		art__rdma_conn_fence(t, c);
		art__rdma_conn_free(t, c);
		return NULL;
	}
	set_up_rings(t, c);
	return c;
}

static uint8_t log2_of(size_t n)
{
	uint8_t k = 0;

	while ((size_t)1 << (k + 1) <= n)
		k++;
	return k;
}

void art__rdma_conn_offer(const struct art_rdma *t, const struct art_rdma_conn *c,
			  struct art_rdma_offer *o)
{
	*o = (struct art_rdma_offer){
		.mtu = t->dev.mtu,
		.infiniband = t->dev.infiniband,
		.ring_log2 = log2_of(t->ring_bytes),
		.window_log2 = log2_of(t->window),
		.grant_log2 = log2_of(c->grant),
		.reads = t->dev.reads,
		.lid = t->dev.lid,
		.qpn = c->qp->qp_num,
		.psn = c->psn,
		.rkey = c->mr->rkey,
		.addr = (uintptr_t)c->mem,
		.nonce = c->nonce,
	};
	memcpy(o->gid, t->dev.gid.raw, sizeof(o->gid));
}

/* A key of one direction: who knows the job key and both nonces has it. */
static void make_key(const struct art_rdma *t, int from, int to, uint64_t nonce_from,
		     uint64_t nonce_to, struct art_rdma_key *key)
{
	static const char purpose[8] = "art-rdma";
	uint32_t slots[2] = {(uint32_t)from, (uint32_t)to};
	crypto_generichash_state s;

	crypto_generichash_init(&s, t->self.key, ART_TP_KEY_BYTES, ART_RDMA_KEY_BYTES);
	crypto_generichash_update(&s, (const uint8_t *)purpose, sizeof(purpose));
	crypto_generichash_update(&s, (const uint8_t *)&t->self.job, sizeof(t->self.job));
	crypto_generichash_update(&s, (const uint8_t *)slots, sizeof(slots));
	crypto_generichash_update(&s, (const uint8_t *)&nonce_from, sizeof(nonce_from));
	crypto_generichash_update(&s, (const uint8_t *)&nonce_to, sizeof(nonce_to));
	crypto_generichash_final(&s, key->key, sizeof(key->key));
	key->mac = t->mac;
}

static void address(const struct art_rdma *t, const struct art_rdma_offer *o,
		    struct ibv_ah_attr *ah)
{
	*ah = (struct ibv_ah_attr){.port_num = t->dev.port, .dlid = o->lid};
	if (t->dev.infiniband && o->lid)
		return;
	ah->is_global = 1;
	memcpy(ah->grh.dgid.raw, o->gid, sizeof(ah->grh.dgid.raw));
	ah->grh.sgid_index = t->dev.gid_index;
	ah->grh.hop_limit = HOPS;
}

static bool to_rts(struct art_rdma *t, struct art_rdma_conn *c, const struct art_rdma_offer *o)
{
	struct ibv_qp_attr rtr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = o->mtu < t->dev.mtu ? o->mtu : t->dev.mtu,
		.dest_qp_num = o->qpn,
		.rq_psn = o->psn,
		.max_dest_rd_atomic = c->reads,
		.min_rnr_timer = ART_RDMA_MIN_RNR_TIMER,
	};
	struct ibv_qp_attr rts = {
		.qp_state = IBV_QPS_RTS,
		.timeout = ART_RDMA_TIMEOUT,
		.retry_cnt = ART_RDMA_RETRY_CNT,
		.rnr_retry = ART_RDMA_RNR_RETRY,
		.max_rd_atomic = c->reads,
		.sq_psn = c->psn,
	};

	address(t, o, &rtr.ah_attr);
	errno = 0;
	if (ibv_modify_qp(c->qp, &rtr, RTR_FLAGS) == 0 && ibv_modify_qp(c->qp, &rts, RTS_FLAGS) == 0)
		return true;
	art__env_log(t->env, ART_LOG_INFO, "RDMA device %s does not connect to rank %d: %s",
		     t->dev.name, c->peer, strerror(errno));
	return false;
}

bool art__rdma_conn_connect(struct art_rdma *t, struct art_rdma_conn *c,
			    const struct art_rdma_offer *o)
{
	unsigned theirs = 1u << o->window_log2, granted = 1u << o->grant_log2;

	if (o->infiniband != t->dev.infiniband ||
	    (o->infiniband && memcmp(o->gid, t->dev.gid.raw, 8) != 0)) {
		art__env_log(t->env, ART_LOG_INFO, "rank %d is on another RDMA network", c->peer);
		return false;
	}
	/* Both ends count positions alike, in the smaller of two rings. */
	c->rx.bytes = c->tx.bytes = (size_t)1 << o->ring_log2 < t->ring_bytes
					    ? (size_t)1 << o->ring_log2
					    : t->ring_bytes;
	c->tx.window = theirs < t->window ? theirs : t->window;
	c->tx.records_acked = granted < c->tx.window ? granted - c->tx.window : 0;
	c->grant = c->grant < c->tx.window ? c->grant : c->tx.window;
	c->told_records = c->grant - c->tx.window;
	c->reads = o->reads < t->dev.reads ? o->reads : t->dev.reads;
	c->remote = o->addr;
	c->rkey = o->rkey;
	make_key(t, t->self.slot, c->peer, c->nonce, o->nonce, &c->tx_key);
	make_key(t, c->peer, t->self.slot, o->nonce, c->nonce, &c->rx_key);
	return to_rts(t, c, o);
}

/* ---- the end ---- */

void art__rdma_conn_fence(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

	if (c->qp) {
		(void)ibv_modify_qp(c->qp, &attr, IBV_QP_STATE);
		for (int i = 0; i < REAPS && art__rdma_reap(t); i++)
			continue; /* what came before the fence counts */
		if (c->shared)
			art__rdma_srq_forget(t, c);
		c->stuck = ibv_destroy_qp(c->qp) != 0;
		if (c->stuck)
			art__env_log(t->env, ART_LOG_WARN, "a queue pair to rank %d stays: %s",
				     c->peer, strerror(errno));
		c->qp = NULL;
	}
	art__rdma_srq_leave(t, c);
	if (c->mr) {
		if (ibv_dereg_mr(c->mr))
			art__env_log(t->env, ART_LOG_WARN, "memory of rank %d stays registered: %s",
				     c->peer, strerror(errno));
		t->n[ART_RDMA_N_BYTES] -= c->mem_bytes;
		c->mr = NULL;
	}
}

void art__rdma_conn_free(struct art_rdma *t, struct art_rdma_conn *c)
{
	assert(!c->qp && !c->mr && STAILQ_EMPTY(&c->loans));
	if (c->mem)
		munmap(c->mem, c->mem_bytes);
	t->dev.cq_room += c->cqes;
	sodium_memzero(c, sizeof(*c));
	art__env_free(t->env, c);
}
