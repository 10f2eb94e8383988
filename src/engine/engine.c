/* SPDX-License-Identifier: MIT
 *
 * Making and ending an engine, and the effects a machine asks for (art_port). Every effect happens
 * in the thread that owns the engine, on either channel: ownership orders them, so no message
 * waits in a queue for another thread.
 */
#include <art/status.h>
#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/dying.h"
#include "engine/internal.h"

/* A wait looks up to this long before it sleeps; how, says wait.c. */
#define SPIN_NS ART_NS_PER_MS
/* Of 64 KiB each, two threads that take slices in turns are faster than one; of 32 not. */
#define SLICE (64u * 1024)
#define QUEUE_HIGH (512u * 1024)
#define QUEUE_MAX (64u * 1024 * 1024)
#define CONNECT_NS (10 * ART_NS_PER_S)
#define DRAIN_NS ART_NS_PER_S
#define STALLED_NS (100 * ART_NS_PER_MS)

int art__engine_poll(struct art_engine *e, enum art_chan chan, int budget)
{
	return e->tp[chan] ? art__link_poll(&e->link, chan, budget) : 0;
}

/* ---- effects ---- */
static void assert_owned(const struct art_engine *e)
{
	assert(atomic_load(&e->own.word) != ART_OWN_FREE);
	(void)e;
}

static int port_send(void *self, enum art_chan chan, int to, const struct art_hdr *h,
		     const void *body, size_t len)
{
	struct art_engine *e = self;

	assert_owned(e);
	assert(to >= 0 && to < e->cfg.size && to != e->cfg.slot);
	if (h->kind == ART_K_NUDGE) {
		e->nudged = true;
		if (e->shared.arena.mine &&
		    art__nudge(&e->shared.nudges, to, e->pids[to], e->shared.part[to]))
			return 1;
	}
	e->stirred = true;
	return art__link_send(&e->link, chan, to, h, body, len);
}

static size_t port_send_run(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
			    size_t each, bool *room)
{
	struct art_engine *e = self;

	assert_owned(e);
	return art__link_send_run(&e->link, to, h, body, len, each, room);
}

static bool port_lends(void *self, int to)
{
	struct art_engine *e = self;

	assert_owned(e);
	return art__link_lends(&e->link, to);
}

static int port_lend(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
		     const struct art_lending *from, bool *lent)
{
	struct art_engine *e = self;

	assert_owned(e);
	return art__link_lend(&e->link, to, h, body, len, from, lent);
}

static void port_unplace(void *self, struct art_op *op)
{
	struct art_engine *e = self;

	art__link_unplace(&e->link, op);
}

static void port_lent_over(void *self, struct art_op *op)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__link_lent_over(&e->link, op);
}

static void port_fence(void *self, int slot)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__link_fence(&e->link, slot);
}

static void port_relink(void *self, int slot)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__link_relink(&e->link, slot);
}

static void port_open(void *self, enum art_chan chan, int to)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__link_open(&e->link, chan, to);
}

/* Whose op it was is found out once per step, when the engine is given back. */
static void port_done(void *self, struct art_op *op)
{
	struct art_engine *e = self;

	(void)op;
	assert_owned(e);
	e->news = true;
}

static void port_compute(void *self, struct art_job *job)
{
	struct art_engine *e = self;

	assert_owned(e);
	job->next = NULL;
	*e->jobs_end = job;
	e->jobs_end = &job->next;
}

static void port_beat(void *self, int to, const void *p, size_t len)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__beats_send(&e->beats, to, p, len);
}

static unsigned spread_hands(void *self)
{
	struct art_engine *e = self;

	assert_owned(e);
	return art__workers_hands(&e->workers);
}

static void spread_run(void *self, art_slice_fn *slice, void *arg, unsigned n)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__workers_spread(&e->workers, slice, arg, n);
}

/* Reading /proc is the service thread's work: it is there whenever the detector's time comes. */
static void port_view(void *self, uint32_t epoch, const struct art_set *members)
{
	struct art_engine *e = self;

	e->cfg.note(e->cfg.note_self, epoch, members);
}

static void port_vote(void *self, const void *p, size_t len)
{
	struct art_engine *e = self;

	e->cfg.vote(e->cfg.note_self, p, len);
}

static void port_look(void *self, int slot)
{
	struct art_engine *e = self;

	assert_owned(e);
	art__set_add(&e->to_look, (uint32_t)slot);
}

void art__engine_port(struct art_engine *e, struct art_port *port)
{
	*port = (struct art_port){
		.self = e,
		.send = port_send,
		.send_run = port_send_run,
		.lends = port_lends,
		.lend = port_lend,
		.lent_over = port_lent_over,
		.unplace = port_unplace,
		.fence = port_fence,
		.relink = port_relink,
		.open = port_open,
		.done = port_done,
		.compute = port_compute,
		.beat = e->beats.fd >= 0 ? port_beat : NULL,
		.look = port_look,
		.arena = e->shared.arena.mine ? &e->shared.arena : NULL,
		.spread = e->workers.most > 0 ? &e->spread : NULL,
		.view = e->cfg.note ? port_view : NULL,
		.vote = e->cfg.vote ? port_vote : NULL,
	};
}

/* ---- making ---- */
static void fill_self(const struct art_engine *e, uint32_t channel, struct art_tp_self *self)
{
	const struct art_engine_cfg *cfg = &e->cfg;

	*self = (struct art_tp_self){
		.slot = cfg->slot,
		.size = cfg->size,
		.channel = channel,
		.version = ART_WIRE_VERSION,
		.job = cfg->job,
		.incarnation = cfg->incarnation,
	};
	memcpy(self->key, cfg->key, sizeof(self->key));
}

static int open_channel(struct art_engine *e, const char *transports, enum art_chan chan,
			char addr[ART_TP_ADDR_MAX])
{
	const struct art_engine_cfg *cfg = &e->cfg;
	struct art_tp_self self;
	struct art_tp_opts opts = {
		.iface = cfg->iface,
		.rdma_device = cfg->rdma_device,
		.rdma_large = cfg->rdma_large,
		.rdma_srq = cfg->rdma_srq,
		.security = chan == ART_CHAN_CTL ? ART_TP_ENCRYPT : cfg->security,
		.queue_high = QUEUE_HIGH,
		.queue_max = QUEUE_MAX,
		.connect_ns = cfg->connect_ns ? cfg->connect_ns : CONNECT_NS,
	};
	struct art_tp_up up;
	int err;

	fill_self(e, chan, &self);
	art__link_up(&e->link, chan, &up);
	err = art__transport_open(transports, e->env, &self, &opts, &up, &e->tp[chan]);
	explicit_bzero(self.key, sizeof(self.key));
	if (err)
		return err;
	art__link_attach(&e->link, chan, e->tp[chan]);
	assert(e->tp[chan]->ops->caps(e->tp[chan]) & ART_TP_CAP_FD);
	return e->tp[chan]->ops->listen(e->tp[chan], addr);
}

/* Where payloads may go through shared memory. */
static void open_arena(struct art_engine *e)
{
	struct art_tp_self self;

	fill_self(e, ART_CHAN_DATA, &self);
	art__shared_open(&e->shared, e->env, &self);
	explicit_bzero(self.key, sizeof(self.key));
}

static int open_channels(struct art_engine *e, char addr[2][ART_TP_ADDR_MAX])
{
	int err = art__link_init(&e->link, e->env, e->cfg.slot, e->cfg.size);

	if (err)
		return err;
	e->linked = true;
	if (e->cfg.size == 1)
		return 0;
	err = open_channel(e, e->cfg.transport, ART_CHAN_DATA, addr[ART_CHAN_DATA]);
	if (!err)
		err = open_channel(e, "tcp", ART_CHAN_CTL, addr[ART_CHAN_CTL]);
	if (!err && e->cfg.arena && strstr(e->cfg.transport, "shm"))
		open_arena(e);
	return err;
}

int art__engine_open(const struct art_engine_cfg *cfg, char addr[2][ART_TP_ADDR_MAX],
		     struct art_engine **out)
{
	struct art_engine *e;
	int err;

	assert(cfg->slot >= 0 && cfg->slot < cfg->size && (uint32_t)cfg->size <= ART_MAX_RANKS);
	/* Over-aligned: the ownership word has a cache line of its own. */
	e = aligned_alloc(_Alignof(struct art_engine), sizeof(*e));
	if (!e)
		return ART_ERR_NOMEM;
	memset(e, 0, sizeof(*e));
	e->env = cfg->env;
	e->cfg = *cfg;
	e->jobs_end = &e->jobs;
	e->epfd = e->wake_fd = e->status_fd = e->beats.fd = e->shared.fd = e->shared.nudges.in = -1;
	art__set_init(&e->to_look, (uint32_t)cfg->size);
	e->pidfd = malloc((size_t)cfg->size * sizeof(*e->pidfd));
	err = e->pidfd ? 0 : ART_ERR_NOMEM;
	for (int i = 0; !err && i < cfg->size; i++)
		e->pidfd[i] = -1;
	addr[0][0] = addr[1][0] = '\0';
	if (!err)
		err = open_channels(e, addr);
	if (err) {
		art__engine_close(e);
		return err;
	}
	memcpy(e->beside, addr[ART_CHAN_CTL], sizeof(e->beside));
	*out = e;
	return 0;
}

void art__engine_locals(struct art_engine *e, int ranks)
{
	assert(!e->started);
	art__wait_locals(e, ranks, SPIN_NS);
}

void art__engine_workers(struct art_engine *e, int most, art_workers_where_fn *where, void *self)
{
	assert(!e->started && !e->workers.most);
	art__workers_init(&e->workers, e->env, most, where, self);
	e->spread = (struct art_spread){ .self = e, .slice = SLICE, .most = 1 + (unsigned)most,
					 .hands = spread_hands, .run = spread_run };
}

int art__engine_peer(struct art_engine *e, int slot, bool this_host, const char *data,
		     const char *ctl)
{
	bool near = this_host && strstr(e->cfg.transport, "shm");
	const char *addr[2] = {near ? data : art__transport_far_part(data), ctl};
	int err = 0;

	assert(!e->started && slot != e->cfg.slot);
	for (int c = 0; c < 2 && !err; c++)
		err = e->tp[c]->ops->peer(e->tp[c], slot, addr[c]);
	return err;
}

bool art__engine_count(const struct art_engine *e, enum art_chan chan, unsigned i,
		       const char **what, uint64_t *n)
{
	return e->tp[chan] && art__transport_count(e->tp[chan], i, what, n);
}

void art__engine_share(struct art_engine *e, int slot, pid_t pid, uint64_t incarnation)
{
	struct art_tp_self self;

	assert(!e->started && slot != e->cfg.slot);
	fill_self(e, ART_CHAN_DATA, &self);
	art__shared_peer(&e->shared, e->env, &self, slot, pid, incarnation);
	explicit_bzero(self.key, sizeof(self.key));
}

void art__engine_share_done(struct art_engine *e)
{
	assert(!e->started);
	art__shared_ready(&e->shared);
}

int art__engine_beats_open(struct art_engine *e, char addr[ART_TP_ADDR_MAX])
{
	struct art_tp_self self;
	int err;

	assert(!e->started && e->beats.fd < 0);
	fill_self(e, ART_CHAN_CTL, &self);
	err = art__beats_open(&e->beats, e->env, &self, e->beside, addr);
	explicit_bzero(self.key, sizeof(self.key));
	return err;
}

int art__engine_beats_peer(struct art_engine *e, int slot, const char *addr, uint64_t incarnation)
{
	assert(!e->started && slot != e->cfg.slot);
	return e->beats.fd < 0 ? 0 : art__beats_peer(&e->beats, slot, addr, incarnation);
}

void art__engine_beats_close(struct art_engine *e)
{
	assert(!e->started);
	art__beats_close(&e->beats);
}

int art__engine_start(struct art_engine *e, struct art_machine *m, const pid_t *pids)
{
	assert(!e->started && !e->machine);
	e->watches = e->shared.arena.mine && art__dying_init();
	e->machine = m;
	e->link.machine = m;
	return art__service_start(e, pids);
}

/* ---- ending ---- */
static size_t pending(struct art_engine *e)
{
	size_t n = 0;

	for (int c = 0; c < 2; c++)
		n += e->tp[c] ? e->tp[c]->ops->pending(e->tp[c]) : 0;
	return n;
}

/* Whoever has left already wants nothing more. */
static void forget_the_gone(struct art_engine *e)
{
	for (int slot = 0; slot < e->cfg.size; slot++) {
		struct pollfd fd = { .fd = e->pidfd ? e->pidfd[slot] : -1, .events = POLLIN };

		if (!art__set_has(&e->exited, (uint32_t)slot) &&
		    (fd.fd < 0 || poll(&fd, 1, 0) <= 0))
			continue;
		for (int c = 0; c < 2; c++)
			if (e->tp[c])
				e->tp[c]->ops->drop(e->tp[c], slot);
	}
}

/* What is queued leaves, and what has come is read: closing over unread bytes would make the
 * kernel throw away what it has not sent yet. Queues that do not move at all belong to ranks that
 * have stopped listening. */
static void drain(struct art_engine *e)
{
	uint64_t now = art__env_now(e->env), end = now + DRAIN_NS, moved = now;
	size_t left = pending(e), before;
	int found;

	do {
		struct pollfd fd[2] = {{.fd = -1}, {.fd = -1}};

		found = 0;
		for (int c = 0; c < 2; c++) {
			found += art__engine_poll(e, (enum art_chan)c, 64);
			if (e->tp[c]) {
				art__transport_arm(e->tp[c]);
				fd[c].fd = e->tp[c]->ops->fd(e->tp[c]);
			}
			fd[c].events = POLLIN;
		}
		before = left;
		left = pending(e);
		now = art__env_now(e->env);
		if (left < before)
			moved = now;
		if (!found && left) {
			forget_the_gone(e);
			poll(fd, 2, 2);
		}
	} while ((found || left) && now < end && now - moved < STALLED_NS);
}

void art__engine_stop(struct art_engine *e)
{
	bool ran = e->started;

	art__service_stop(e);
	if (ran) {
		art__own_enter(&e->own);
		drain(e);
		art__own_leave(&e->own);
		art__service_close(e);
	}
	art__workers_stop(&e->workers);
	for (int c = 0; c < 2; c++) {
		if (e->tp[c])
			e->tp[c]->ops->close(e->tp[c]);
		e->tp[c] = NULL;
	}
}

void art__engine_close(struct art_engine *e)
{
	art__engine_stop(e);
	if (e->linked)
		art__link_fini(&e->link);
	while (e->bells > 0)
		close(e->bell[--e->bells]);
	art__beats_close(&e->beats);
	art__shared_close(&e->shared);
	free(e->pidfd);
	free(e->pids);
	explicit_bzero(e->cfg.key, sizeof(e->cfg.key));
	free(e);
}
