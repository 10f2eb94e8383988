/* SPDX-License-Identifier: MIT
 *
 * The worlds that the suite runs in: real sockets in real time, the simulator in virtual time,
 * and both behind the fault decorator, which without rules must change nothing.
 */
#include "tests/conformance/conformance.h"

#include <art/status.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transport/fault/fault.h"
#include "transport/multi/multi.h"
#include "transport/rdma/open.h"
#include "transport/shm/shm.h"
#include "transport/sim/sim.h"
#include "transport/tcp/tcp.h"

struct world {
	struct art_fault_opts fault; /* first: opts.world of the decorator */
	struct art_sim_world *sim;
	struct art_multi_opts multi;
	struct art_tp_ops near; /* shm, spoilt */
	struct art_rdma_opts rdma;
};

static struct world *world_of(const struct conf *c)
{
	return c->world;
}

static uint64_t earliest_wake(struct conf *c)
{
	uint64_t ns = ART_NEVER;

	for (int i = 0; i < c->size; i++) {
		struct art_tp *tp = c->node[i].tp;
		uint64_t w = tp ? tp->ops->wake_ns(tp) : ART_NEVER;
		if (w < ns)
			ns = w;
	}
	return ns;
}

/* ---- sockets ---- */

static uint64_t real_now(void *conf)
{
	struct timespec ts;

	(void)conf;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ART_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void make_world(struct conf *c)
{
	c->world = calloc(1, sizeof(struct world));
	CHECK(c, c->world);
}

static void tcp_make(struct conf *c)
{
	const char *seed = getenv("CONF_SEED");

	make_world(c);
	c->luck = seed ? strtoull(seed, NULL, 0) : 1;
	c->ops = art__transport_find("tcp");
}

static void tcp_unmake(struct conf *c)
{
	free(c->world);
}

static void shm_make(struct conf *c)
{
	make_world(c);
	c->ops = art__transport_find("shm");
}

static void multi_make(struct conf *c)
{
	make_world(c);
	world_of(c)->near = art__shm_ops;
	world_of(c)->multi = (struct art_multi_opts){ &world_of(c)->near, &art__tcp_ops, NULL };
	c->opts.world = &world_of(c)->multi;
	c->ops = &art__multi_ops;
}

static int open_even(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts, const struct art_tp_up *up,
		     struct art_tp **out);

/* The device may be emulated, on a machine that is busy: a case that is not about the bound has time. */
#define UNHURRIED_NS (60 * ART_NS_PER_S)

static void rdma_make(struct conf *c)
{
	make_world(c);
	if (!c->opts.connect_ns)
		c->opts.connect_ns = UNHURRIED_NS;
	world_of(c)->rdma = (struct art_rdma_opts){.carrier = &art__tcp_ops,
						   .device = getenv("ART_RDMA_DEVICE"),
						   .sharing = art__rdma_sharing(getenv("ART_RDMA_SRQ"))};
	c->opts.world = &world_of(c)->rdma;
	c->ops = &art__rdma_ops;
}

static void rdma_alone_make(struct conf *c)
{
	rdma_make(c);
	world_of(c)->rdma.alone = true;
}

static void multi_rdma_make(struct conf *c)
{
	rdma_make(c);
	world_of(c)->near = art__shm_ops;
	world_of(c)->near.open = open_even;
	world_of(c)->multi = (struct art_multi_opts){ &world_of(c)->near, &art__rdma_ops,
						      &world_of(c)->rdma };
	c->opts.world = &world_of(c)->multi;
	c->ops = &art__multi_ops;
}

/* Ranks without shared memory among others that have it. */
static int open_even(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out)
{
	if (self->slot % 2)
		return ART_ERR_TRANSPORT;
	return art__shm_ops.open(env, self, opts, up, out);
}

static void multi_split_make(struct conf *c)
{
	multi_make(c);
	world_of(c)->near.open = open_even;
}

/* Everybody has shared memory and nobody is found there, which shows only when one dials. */
static int listen_elsewhere(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	int rc = art__shm_ops.listen(tp, addr);

	addr[4] = addr[4] == '0' ? '1' : '0';
	return rc;
}

static void multi_lost_make(struct conf *c)
{
	multi_make(c);
	world_of(c)->near.listen = listen_elsewhere;
}

/* Bytes between two sockets of one host may be on their way without showing anywhere. */
#define IN_FLIGHT_MS 20000

static bool tcp_advance(struct conf *c)
{
	struct pollfd p[CONF_NODES];
	uint64_t wake = earliest_wake(c), now = real_now(c);
	nfds_t n = 0;
	int ms = IN_FLIGHT_MS, r;

	for (int i = 0; i < c->size; i++)
		if (c->node[i].tp)
			art__transport_arm(c->node[i].tp);
	for (int i = 0; i < c->size; i++)
		if (c->node[i].tp)
			p[n++] = (struct pollfd){ .fd = c->ops->fd(c->node[i].tp), .events = POLLIN };
	if (wake <= now)
		return true;
	if (wake != ART_NEVER)
		ms = (int)((wake - now) / ART_NS_PER_MS) + 1;
	r = poll(p, n, ms);
	return r > 0 || (r < 0 && errno == EINTR) || wake != ART_NEVER;
}

/* ---- sockets whose system calls do less than was asked, or fail for a moment ---- */

static unsigned draw(struct conf *c, unsigned bound)
{
	c->luck = c->luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(c->luck >> 33) % bound;
}

/* 0: go on, -1: fail with errno. */
static int mishap(struct conf *c, const int *errors, unsigned n)
{
	if (draw(c, 8) != 0)
		return 0;
	errno = errors[draw(c, n)];
	return -1;
}

static size_t less(struct conf *c, size_t len)
{
	return len > 0 && draw(c, 4) == 0 ? 1 + draw(c, len < 5 ? (unsigned)len : 5) : len;
}

static ssize_t bad_recv(void *self, int fd, void *buf, size_t len, int flags)
{
	static const int errors[] = { EINTR, EAGAIN, ENOMEM };

	if (mishap(self, errors, flags & MSG_PEEK ? 2 : 3) < 0)
		return -1;
	return recv(fd, buf, less(self, len), flags);
}

static ssize_t bad_sendmsg(void *self, int fd, const struct msghdr *m, int flags)
{
	static const int errors[] = { EINTR, EAGAIN, ENOBUFS, ENOMEM };
	struct iovec v = m->msg_iov[0];
	struct msghdr one = { .msg_iov = &v, .msg_iovlen = 1 };

	if (mishap(self, errors, 4) < 0)
		return -1;
	if (draw(self, 2))
		return sendmsg(fd, m, flags);
	v.iov_len = less(self, v.iov_len);
	return sendmsg(fd, &one, flags);
}

static int bad_accept(void *self, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	static const int errors[] = { EINTR, ECONNABORTED, EPROTO, EMFILE, ENFILE, ENOBUFS, ENOMEM };

	return mishap(self, errors, 7) < 0 ? -1 : accept4(fd, sa, len, flags);
}

static int bad_connect(void *self, int fd, const struct sockaddr *sa, socklen_t len)
{
	static const int errors[] = { ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EAGAIN };

	return mishap(self, errors, 4) < 0 ? -1 : connect(fd, sa, len);
}

static void spoil_system(struct conf_node *n)
{
	struct art_tp *tp = n->tp->ops == &art__fault_ops ? art__fault_inner(n->tp) : n->tp;

	*art__tcp_sys(tp) = (struct art_tcp_sys){
		.self = n->c,
		.recv = bad_recv,
		.sendmsg = bad_sendmsg,
		.accept = bad_accept,
		.connect = bad_connect,
	};
}

static void nothing(struct conf *c)
{
	(void)c;
}

/* ---- the simulator ---- */

static uint64_t sim_now(void *conf)
{
	const struct conf *c = conf;
	struct world *w = world_of(c);

	return w && w->sim ? art__sim_now(w->sim) : 1;
}

static void sim_make(struct conf *c)
{
	struct art_sim_cfg cfg;
	const char *seed = getenv("CONF_SEED");

	make_world(c);
	art__sim_defaults(&cfg, c->size, seed ? strtoull(seed, NULL, 0) : 1);
	CHECK(c, art__sim_create(&c->env, &cfg, &world_of(c)->sim) == 0);
	c->opts.world = world_of(c)->sim;
	c->ops = art__transport_find("sim");
}

static void sim_unmake(struct conf *c)
{
	art__sim_destroy(world_of(c)->sim);
	free(c->world);
}

static void no_event(void *self, uint64_t word)
{
	(void)self;
	(void)word;
}

static bool sim_advance(struct conf *c)
{
	struct art_sim_world *w = world_of(c)->sim;
	uint64_t wake = earliest_wake(c);

	bool waits = wake <= art__sim_now(w); /* for somebody who is not being polled */

	if (!waits && wake < art__sim_next(w))
		CHECK(c, art__sim_at(w, wake, no_event, NULL, 0) == 0);
	return art__sim_step(w) || waits;
}

static void sim_settle(struct conf *c)
{
	while (art__sim_step(world_of(c)->sim))
		continue;
}

/* ---- the decorator ---- */

static void wrap(struct conf *c)
{
	struct world *w = world_of(c);

	w->fault.inner = c->ops;
	w->fault.inner_world = c->opts.world;
	c->opts.world = &w->fault;
	c->ops = art__transport_find("fault");
}

static void fault_tcp_make(struct conf *c)
{
	tcp_make(c);
	wrap(c);
}

static void fault_shm_make(struct conf *c)
{
	shm_make(c);
	wrap(c);
}

static void fault_rdma_make(struct conf *c)
{
	rdma_make(c);
	wrap(c);
}

static void fault_sim_make(struct conf *c)
{
	sim_make(c);
	wrap(c);
}

#define SOCKETS \
	.make = tcp_make, .unmake = tcp_unmake, .advance = tcp_advance, .settle = nothing, \
	.now_ns = real_now
#define FAULTY_SOCKETS \
	.make = fault_tcp_make, .unmake = tcp_unmake, .advance = tcp_advance, .settle = nothing, \
	.now_ns = real_now
#define MEMORY \
	.unmake = tcp_unmake, .advance = tcp_advance, .settle = nothing, .now_ns = real_now
#define SIMULATED \
	.unmake = sim_unmake, .advance = sim_advance, .settle = sim_settle, .now_ns = sim_now

/* Each security level is met with and without mishaps and decorator. */
static const struct conf_rig rigs[] = {
	{ .name = "tcp", SOCKETS, .security = ART_TP_MAC },
	{ .name = "tcp-plain", SOCKETS },
	{ .name = "tcp-encrypt", SOCKETS, .security = ART_TP_ENCRYPT },
	{ .name = "tcp6", SOCKETS, .iface = "::1", .security = ART_TP_ENCRYPT },
	{ .name = "tcp-dual", SOCKETS, .iface = "lo" },
	{ .name = "tcp-badsys", SOCKETS, .opened = spoil_system, .security = ART_TP_ENCRYPT },
	{ .name = "tcp-badsys-mac", SOCKETS, .opened = spoil_system, .security = ART_TP_MAC },
	{ .name = "shm", MEMORY, .make = shm_make },
	{ .name = "multi", MEMORY, .make = multi_make },
	{ .name = "multi-split", MEMORY, .make = multi_split_make },
	{ .name = "multi-lost", MEMORY, .make = multi_lost_make },
	{ .name = "rdma", MEMORY, .make = rdma_make, .security = ART_TP_MAC },
	{ .name = "rdma-plain", MEMORY, .make = rdma_make },
	{ .name = "rdma-alone", MEMORY, .make = rdma_alone_make, .security = ART_TP_MAC },
	{ .name = "multi-rdma", MEMORY, .make = multi_rdma_make },
	{ .name = "fault+rdma", MEMORY, .make = fault_rdma_make, .security = ART_TP_MAC },
	{ .name = "sim", SIMULATED, .make = sim_make },
	{ .name = "fault+tcp", FAULTY_SOCKETS },
	{ .name = "fault+tcp6", FAULTY_SOCKETS, .iface = "::1", .security = ART_TP_ENCRYPT },
	{ .name = "fault+tcp-badsys", FAULTY_SOCKETS, .opened = spoil_system,
	  .security = ART_TP_MAC },
	{ .name = "fault+shm", MEMORY, .make = fault_shm_make },
	{ .name = "fault+sim", SIMULATED, .make = fault_sim_make },
};

const struct conf_rig *conf_rig_find(const char *name)
{
	for (size_t i = 0; i < sizeof(rigs) / sizeof(rigs[0]); i++)
		if (strcmp(rigs[i].name, name) == 0)
			return &rigs[i];
	return NULL;
}
