/* SPDX-License-Identifier: MIT
 *
 * The device: which one, which port, which of its addresses; the completion queue that all pairs
 * share; and what the device says of itself.
 *
 * Chosen is the port that has the address on which the carrier listens (RoCE, version 2 before
 * version 1), since peers are reached there; else the first active one, InfiniBand first.
 */
#include "transport/rdma/rdma.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define GIDS_MAX 256
#define CQ_MAX 65536u
#define SHARE_PAIRS 63 /* from so many on receives are shared: there, windows are smaller, too */
#define SCORE_NAMED 8 /* beyond all others */

bool art__rdma_dev_any(const char **why)
{
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);

	/* A kernel without RDMA says ENOSYS. */
	*why = !list && errno != ENOSYS ? strerror(errno) : "this host has no RDMA device";
	if (list)
		ibv_free_device_list(list);
	return list && n > 0;
}

/* ---- which one ---- */

struct want { /* what the user has said */
	char name[64];
	long port, gid; /* -1: not said */
};

static bool parse_want(const char *text, struct want *w)
{
	int used = 0;

	*w = (struct want){.port = -1, .gid = -1};
	if (!text || !*text)
		return true;
	if (sscanf(text, "%63[^:]%n", w->name, &used) != 1)
		return false;
	text += used;
	if (*text == ':' && (sscanf(text, ":%3ld%n", &w->port, &used) != 1 || w->port < 1))
		return false;
	text += *text ? used : 0;
	if (*text == ':' && (sscanf(text, ":%3ld%n", &w->gid, &used) != 1 || w->gid < 0))
		return false;
	text += *text ? used : 0;
	return !*text;
}

/* The first address of "a.b.c.d:port,[v6]:port" as a GID. */
static bool gid_of(const char *addr, union ibv_gid *gid)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	bool six = addr[0] == '[';
	size_t n = strcspn(addr + six, six ? "]%" : ":");

	if (n >= sizeof(text))
		return false;
	memcpy(text, addr + six, n);
	text[n] = '\0';
	memset(gid, 0, sizeof(*gid));
	if (six)
		return inet_pton(AF_INET6, text, gid->raw) == 1;
	gid->raw[10] = gid->raw[11] = 0xff;
	if (inet_pton(AF_INET, text, &v4) != 1)
		return false;
	memcpy(gid->raw + 12, &v4, sizeof(v4));
	return true;
}

/* How good a GID is as an address of ours; 0: not at all. */
static int rate(const struct ibv_gid_entry *e, const union ibv_gid *own)
{
	bool v2 = e->gid_type == IBV_GID_TYPE_ROCE_V2;
	bool link_local = e->gid.raw[0] == 0xfe && (e->gid.raw[1] & 0xc0) == 0x80;

	if (own && memcmp(&e->gid, own, sizeof(*own)) == 0)
		return v2 ? 7 : 6;
	if (e->gid_type == IBV_GID_TYPE_IB)
		return 5;
	return link_local ? 1 + v2 : 3 + v2;
}

struct choice {
	struct ibv_device *device;
	int score;
	uint8_t port, gid_index, mtu;
	bool infiniband;
	uint16_t lid;
	union ibv_gid gid;
};

static void look_at_port(struct ibv_context *ctx, struct ibv_device *d, uint8_t port,
			 const struct want *w, const union ibv_gid *own, struct choice *best)
{
	struct ibv_port_attr attr;
	struct ibv_gid_entry e;

	if ((w->port >= 0 && w->port != port) || ibv_query_port(ctx, port, &attr) ||
	    attr.state != IBV_PORT_ACTIVE)
		return;
	for (int i = 0; i < attr.gid_tbl_len && i < GIDS_MAX; i++) {
		int score;

		if ((w->gid >= 0 && w->gid != i) || ibv_query_gid_ex(ctx, port, (uint32_t)i, &e, 0))
			continue;
		score = w->gid >= 0 ? SCORE_NAMED : rate(&e, own);
		if (score <= best->score)
			continue;
		*best = (struct choice){
			.device = d,
			.score = score,
			.port = port,
			.gid_index = (uint8_t)i,
			.mtu = (uint8_t)attr.active_mtu,
			.infiniband = attr.link_layer == IBV_LINK_LAYER_INFINIBAND,
			.lid = attr.lid,
			.gid = e.gid,
		};
	}
}

static void look_at(struct ibv_device *d, const struct want *w, const union ibv_gid *own,
		    struct choice *best)
{
	struct ibv_context *ctx;
	struct ibv_device_attr attr;

	if (*w->name && strcmp(w->name, ibv_get_device_name(d)) != 0)
		return;
	ctx = ibv_open_device(d);
	if (!ctx)
		return;
	if (ibv_query_device(ctx, &attr) == 0)
		for (unsigned p = 1; p <= attr.phys_port_cnt && p < 256; p++)
			look_at_port(ctx, d, (uint8_t)p, w, own, best);
	ibv_close_device(ctx);
}

/* ---- opening ---- */

static bool unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool watch(struct art_rdma *t, int fd, void *what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};

	return unblock(fd) && epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &e) == 0;
}

static unsigned cqe_max(const struct ibv_device_attr *attr)
{
	return attr->max_cqe > 0 && (unsigned)attr->max_cqe < CQ_MAX ? (unsigned)attr->max_cqe : CQ_MAX;
}

/* One completion queue for all pairs, or for as many as the device can do; and what they receive with. */
static bool make_queues(struct art_rdma *t, const struct ibv_device_attr *attr, unsigned pairs)
{
	struct art_rdma_dev *d = &t->dev;
	unsigned depth = t->window + t->extra, most = cqe_max(attr), shared = 0, entries;

	if (t->sharing == ART_RDMA_SHARE_ON || (t->sharing == ART_RDMA_SHARE_AUTO && pairs >= SHARE_PAIRS))
		shared = art__rdma_srq_make(t, attr, pairs, most);
	if (!shared && t->sharing == ART_RDMA_SHARE_ON)
		art__env_log(t->env, ART_LOG_WARN, "RDMA device %s has no receives to share: each pair has its own",
			     d->name);
	entries = shared + pairs * (shared ? 1 : 2) * depth;
	entries = entries < most ? entries : most;
	d->cq = ibv_create_cq(d->ctx, (int)entries, NULL, d->channel, 0);
	d->cq_room = entries - shared;
	return d->cq;
}

/* Each way. */
static uint8_t reads_of(const struct ibv_device_attr *attr)
{
	int n = attr->max_qp_rd_atom < attr->max_qp_init_rd_atom ? attr->max_qp_rd_atom
								 : attr->max_qp_init_rd_atom;

	return (uint8_t)(n <= 0 ? 0 : n < ART_RDMA_READS ? n : ART_RDMA_READS);
}

/* An odd number: a record has a head, a body that is the user's, and a seal. */
static unsigned sges_of(const struct ibv_device_attr *attr)
{
	if (attr->max_sge >= ART_RDMA_SGES)
		return ART_RDMA_SGES;
	return attr->max_sge < 3 ? 1 : ((unsigned)attr->max_sge - 1) | 1;
}

/* For what a pair does with memory of the user. */
static bool is_on_demand(struct ibv_context *ctx)
{
	uint32_t needed = IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ;
	struct ibv_device_attr_ex attr = {.comp_mask = 0};

	return ibv_query_device_ex(ctx, NULL, &attr) == 0 &&
	       attr.odp_caps.general_caps & IBV_ODP_SUPPORT &&
	       (attr.odp_caps.per_transport_caps.rc_odp_caps & needed) == needed;
}

static bool open_chosen(struct art_rdma *t, const struct choice *c, unsigned pairs)
{
	struct art_rdma_dev *d = &t->dev;
	struct ibv_device_attr attr;

	d->ctx = ibv_open_device(c->device);
	if (!d->ctx || ibv_query_device(d->ctx, &attr))
		return false;
	snprintf(d->name, sizeof(d->name), "%s", ibv_get_device_name(c->device));
	d->port = c->port;
	d->gid_index = c->gid_index;
	d->gid = c->gid;
	d->lid = c->lid;
	d->mtu = c->mtu;
	d->infiniband = c->infiniband;
	d->reads = reads_of(&attr);
	d->sges = sges_of(&attr);
	/* else a child of fork() could get the pages that the device reads, and this process new ones */
	d->on_demand = is_on_demand(d->ctx);
	d->lends = d->on_demand || ibv_is_fork_initialized() == IBV_FORK_UNNEEDED;
	d->places = d->lends && t->up.place;
	d->pd = ibv_alloc_pd(d->ctx);
	d->channel = d->pd ? ibv_create_comp_channel(d->ctx) : NULL;
	if (!d->channel)
		return false;
	return make_queues(t, &attr, pairs) && watch(t, d->channel->fd, d->channel) &&
	       watch(t, d->ctx->async_fd, &d->ctx);
}

bool art__rdma_dev_open(struct art_rdma *t, const char *own, const char *wanted, unsigned pairs)
{
	struct choice best = {0};
	struct want w;
	union ibv_gid gid;
	bool known = gid_of(own, &gid), ok;
	int n = 0;
	struct ibv_device **list;

	if (!parse_want(wanted, &w)) {
		art__env_log(t->env, ART_LOG_ERROR,
			     "ART_RDMA_DEVICE=%s is not device[:port[:gid index]]", wanted);
		return false;
	}
	list = ibv_get_device_list(&n);
	for (int i = 0; list && i < n; i++)
		look_at(list[i], &w, known ? &gid : NULL, &best);
	ok = best.device && open_chosen(t, &best, pairs);
	if (!best.device)
		art__env_log(t->env, ART_LOG_WARN, "no RDMA device%s%s has an active port",
			     *w.name ? " " : "", w.name);
	else if (!ok)
		art__env_log(t->env, ART_LOG_WARN, "RDMA device %s cannot be used: %s",
			     ibv_get_device_name(best.device), strerror(errno));
	else
		art__env_log(t->env, ART_LOG_INFO, "RDMA device %s, port %u, %s %u, MTU %u",
			     t->dev.name, t->dev.port, t->dev.infiniband ? "LID" : "GID index",
			     t->dev.infiniband ? t->dev.lid : t->dev.gid_index,
			     128u << t->dev.mtu);
	if (list)
		ibv_free_device_list(list);
	if (!ok)
		art__rdma_dev_close(t);
	return ok;
}

void art__rdma_dev_close(struct art_rdma *t)
{
	struct art_rdma_dev *d = &t->dev;

	if (d->cq) {
		if (d->events)
			ibv_ack_cq_events(d->cq, d->events);
		ibv_destroy_cq(d->cq);
	}
	art__rdma_srq_close(t);
	if (d->channel)
		ibv_destroy_comp_channel(d->channel);
	if (d->pd)
		ibv_dealloc_pd(d->pd);
	if (d->ctx)
		ibv_close_device(d->ctx);
	*d = (struct art_rdma_dev){0};
}

/* ---- what it says ---- */

bool art__rdma_dev_events(struct art_rdma *t, const char **what)
{
	struct ibv_async_event e;
	bool lost = false;

	while (ibv_get_async_event(t->dev.ctx, &e) == 0) {
		switch (e.event_type) {
		case IBV_EVENT_PORT_ERR:
		case IBV_EVENT_DEVICE_FATAL:
		case IBV_EVENT_CQ_ERR:
		case IBV_EVENT_SRQ_ERR:
			t->dev.down = lost = true;
			*what = ibv_event_type_str(e.event_type);
			break;
		case IBV_EVENT_PORT_ACTIVE:
			t->dev.down = false;
			break;
		default: /* of one queue pair, or few shared receives: completions say what there is to say */
			break;
		}
		art__env_log(t->env, ART_LOG_DEBUG, "RDMA device %s: %s", t->dev.name,
			     ibv_event_type_str(e.event_type));
		ibv_ack_async_event(&e);
	}
	return lost;
}
