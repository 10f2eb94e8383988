/* SPDX-License-Identifier: MIT
 *
 * Ranks and time: makes N cores with their links and simulated transports, steps the world, hands
 * events to the machines and takes their effects. What the applications do, what goes wrong and
 * what must hold is decided in the other cluster_*.c.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <art/status.h>

#include "base/marks.h"
#include "tests/lib/cluster_impl.h"

#define US UINT64_C(1000)
#define PAUSE_LOOK_NS (100 * US) /* how often an event of a stopped rank looks again */
#define DRAIN_NS (400 * ART_NS_PER_MS) /* how long outcomes may take to become known in the end */
#define TICK_MIN_NS US
#define ALLOC_HEADER 16

_Static_assert((int)ART_M_COUNT <= CLUSTER_MARKS, "the coverage table is large enough");

uint64_t cluster_marks[CLUSTER_MARKS];

void cluster_defaults(struct cluster_cfg *cfg, int n, uint64_t seed)
{
	struct art_sim_cfg sim;

	memset(cfg, 0, sizeof(*cfg));
	art__sim_defaults(&sim, n, seed);
	cfg->n = n;
	cfg->seed = seed;
	cfg->near = sim.near;
	cfg->far = sim.far;
	cfg->end_ns = sim.end_ns;
	cfg->cut_ns = sim.cut_ns;
	cfg->evidence = CLUSTER_PROVEN;
	cfg->dead_min_ns = 20 * US;
	cfg->dead_max_ns = 400 * US;
	cfg->suspect_min_ns = 500 * US;
	cfg->suspect_max_ns = 2000 * US;
	cfg->compute_max_ns = 20 * US;
	cfg->start_max_ns = 20 * US;
	cfg->think_max_ns = 2 * US;
	cfg->limit_ns = 10 * ART_NS_PER_S;
	cfg->max_steps = 2000000;
	cfg->fail_rank = -1;
	cfg->log_level = ART_LOG_INFO;
}

/* ---- environments ---- */

static uint64_t rank_now(void *self)
{
	return art__sim_now(((struct crank *)self)->cluster->world);
}

static uint64_t rank_random(void *self)
{
	struct crank *r = self;
	uint64_t z = r->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool alloc_fails(const struct crank *r)
{
	const struct cluster_cfg *cfg = &r->cluster->cfg;

	if (!cfg->fail_alloc || cfg->fail_rank != r->slot)
		return false;
	return cfg->fail_all ? r->allocs >= cfg->fail_alloc : r->allocs == cfg->fail_alloc;
}

static void *rank_alloc(void *self, size_t bytes)
{
	struct crank *r = self;
	uint8_t *p;

	r->allocs++;
	if (alloc_fails(r))
		return NULL;
	p = malloc(bytes + ALLOC_HEADER);
	if (!p)
		return NULL;
	memcpy(p, &bytes, sizeof(bytes));
	memset(p + ALLOC_HEADER, 0xa5, bytes < 4096 ? bytes : 4096); /* nobody counts on zeros */
	r->live++;
	r->live_bytes += bytes;
	return p + ALLOC_HEADER;
}

static void rank_free(void *self, void *q)
{
	struct crank *r = self;
	uint8_t *p = (uint8_t *)q - ALLOC_HEADER;
	size_t bytes;

	memcpy(&bytes, p, sizeof(bytes));
	r->live--;
	r->live_bytes -= bytes;
	free(p);
}

static void rank_log(void *self, enum art_log_level level, const char *line)
{
	struct crank *r = self;

	(void)level;
	cluster__log(r->cluster, r->slot, "%s", line);
}

static void rank_mark(void *self, enum art_mark mark)
{
	(void)self;
	if ((unsigned)mark < CLUSTER_MARKS)
		cluster_marks[mark]++;
}

static uint64_t world_now(void *self)
{
	struct cluster *c = self;

	return c->world ? art__sim_now(c->world) : 0;
}

static uint64_t world_random(void *self)
{
	return art__sim_random(((struct cluster *)self)->world);
}

static void *world_alloc(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes);
}

static void world_free(void *self, void *p)
{
	(void)self;
	free(p);
}

static void world_log(void *self, enum art_log_level level, const char *line)
{
	(void)level;
	cluster__log(self, -1, "%s", line);
}

void cluster__log(struct cluster *c, int rank, const char *fmt, ...)
{
	uint64_t now = world_now(c);
	char *line = c->log[c->nlog++ % LOG_LINES];
	va_list ap;
	int n;

	n = snprintf(line, LOG_WIDTH, "%9llu.%03llu us ", (unsigned long long)(now / 1000),
		     (unsigned long long)(now % 1000));
	if (rank >= 0)
		n += snprintf(line + n, (size_t)(LOG_WIDTH - n), "rank %d: ", rank);
	va_start(ap, fmt);
	vsnprintf(line + n, (size_t)(LOG_WIDTH - n), fmt, ap);
	va_end(ap);
	if (c->cfg.verbose)
		fprintf(stderr, "%s\n", line);
}

uint64_t cluster__below(struct cluster *c, uint64_t bound)
{
	return bound ? art__sim_below(c->world, bound) : 0;
}

/* ---- events of a rank ---- */

struct revent {
	struct crank *rank;
	void (*fn)(struct crank *r, uint64_t word);
	uint64_t word;
};

static void on_event(void *self, uint64_t word)
{
	struct revent *e = self;
	struct crank *r = e->rank;

	(void)word;
	if (!r->dead && r->paused &&
	    art__sim_at(r->cluster->world, cluster_now(r->cluster) + PAUSE_LOOK_NS, on_event, e, 0) == 0)
		return;
	if (!r->dead)
		e->fn(r, e->word);
	free(e);
}

void cluster__at(struct crank *r, uint64_t ns, void (*fn)(struct crank *r, uint64_t word),
		 uint64_t word)
{
	struct revent *e = malloc(sizeof(*e));

	if (!e)
		abort();
	*e = (struct revent){ .rank = r, .fn = fn, .word = word };
	if (art__sim_at(r->cluster->world, cluster_now(r->cluster) + ns, on_event, e, 0) < 0)
		abort();
}

/* ---- around the machine ---- */

bool cluster__enter(struct crank *r)
{
	if (r->dead)
		return false;
	assert(!r->inside);
	r->inside = true;
	return true;
}

static void on_timer(struct crank *r, uint64_t at);
static void on_tp_timer(struct crank *r, uint64_t at);

static void set_timers(struct crank *r)
{
	uint64_t now = cluster_now(r->cluster);
	uint64_t at = r->machine->ops->wake_ns(r->machine);

	if (at != ART_NEVER && at < now + TICK_MIN_NS)
		at = now + TICK_MIN_NS;
	if (at < r->timer_at) {
		r->timer_at = at;
		cluster__at(r, at - now, on_timer, at);
	}
	if (!r->cluster->cfg.faults)
		return;
	at = r->tp[0]->ops->wake_ns(r->tp[0]);
	if (r->tp[1]->ops->wake_ns(r->tp[1]) < at)
		at = r->tp[1]->ops->wake_ns(r->tp[1]);
	if (at != ART_NEVER && at < now + 1)
		at = now + 1;
	if (at < r->tp_at) {
		r->tp_at = at;
		cluster__at(r, at - now, on_tp_timer, at);
	}
}

void cluster__leave(struct crank *r)
{
	assert(r->inside);
	cluster__arena_rest(r);
	r->inside = false;
	if (r->dead)
		return;
	cluster__check_view(r);
	cluster__app_harvest(r);
	cluster__app_run(r);
	if (!r->dead && !r->inside)
		set_timers(r);
}

static void on_timer(struct crank *r, uint64_t at)
{
	if (at != r->timer_at)
		return;
	r->timer_at = ART_NEVER;
	if (!cluster__enter(r))
		return;
	if (r->machine->ops->wake_ns(r->machine) <= cluster_now(r->cluster))
		r->machine->ops->tick(r->machine);
	cluster__check_spin(r);
	cluster__leave(r);
}

static void poll_rank(struct crank *r, enum art_chan chan)
{
	if (!cluster__enter(r))
		return;
	art__link_poll(&r->link, chan, 1);
	cluster__leave(r);
}

static void on_tp_timer(struct crank *r, uint64_t at)
{
	if (at != r->tp_at)
		return;
	r->tp_at = ART_NEVER;
	poll_rank(r, ART_CHAN_DATA);
	poll_rank(r, ART_CHAN_CTL);
}

/* ---- what the link sees: the machine, with each frame a step ---- */

static struct crank *rank_of(struct art_machine *wrap)
{
	return (struct crank *)((char *)wrap - offsetof(struct crank, wrap));
}

static void wrap_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		       const uint8_t *body)
{
	struct crank *r = rank_of(m);

	if (r->dead || !cluster__step(r))
		return;
	r->got[chan]++;
	cluster__lend_came(r, chan, h);
	if (r->cluster->cfg.verbose)
		cluster__log(r->cluster, r->slot, "got %s from %d: epoch %u comm %llx seq %llu phase %u",
			     art__wire_kind_name(h->kind), from, (unsigned)h->epoch,
			     (unsigned long long)h->comm, (unsigned long long)h->seq, (unsigned)h->phase);
	r->machine->ops->frame(r->machine, chan, from, h, body);
}

static void wrap_room(struct art_machine *m, int to)
{
	struct crank *r = rank_of(m);

	if (!r->dead)
		r->machine->ops->room(r->machine, to);
}

static void wrap_link_down(struct art_machine *m, enum art_chan chan, int peer)
{
	struct crank *r = rank_of(m);

	if (r->dead)
		return;
	if (r->cluster->cfg.verbose)
		cluster__log(r->cluster, r->slot, "%s connection to %d ended",
			     chan == ART_CHAN_DATA ? "data" : "control", peer);
	r->machine->ops->link_down(r->machine, chan, peer);
}

static const struct art_machine_ops wrap_ops = {
	.frame = wrap_frame, .room = wrap_room, .link_down = wrap_link_down,
	.returned = cluster__lend_returned, .place = cluster__lend_place,
};

/* ---- the port: every effect is a step ---- */

static int port_send(void *self, enum art_chan chan, int to, const struct art_hdr *h,
		     const void *body, size_t len)
{
	struct crank *r = self;

	if (!cluster__step(r))
		return 1;
	r->cluster->messages[chan]++;
	r->sent[chan]++;
	if (r->cluster->cfg.verbose)
		cluster__log(r->cluster, r->slot, "send %s to %d: epoch %u comm %llx seq %llu phase %u "
			     "off %llu len %zu", art__wire_kind_name(h->kind), to, (unsigned)h->epoch,
			     (unsigned long long)h->comm, (unsigned long long)h->seq,
			     (unsigned)h->phase, (unsigned long long)h->off, len);
	return art__link_send(&r->link, chan, to, h, body, len);
}

static void port_fence(void *self, int slot)
{
	struct crank *r = self;

	if (cluster__step(r))
		art__link_fence(&r->link, slot);
}

static void port_relink(void *self, int slot)
{
	struct crank *r = self;

	if (cluster__step(r))
		art__link_relink(&r->link, slot);
}

static void port_done(void *self, struct art_op *op)
{
	struct crank *r = self;

	if (cluster__step(r))
		cluster__app_done(r, op);
}

static void port_compute(void *self, struct art_job *job)
{
	struct crank *r = self;

	if (cluster__step(r))
		cluster__app_compute(r, job);
}

/* A store to memory that others share: no step, nobody waits for it. */
static void port_view(void *self, uint32_t epoch, const struct art_set *members)
{
	struct crank *r = self;

	if (r->dead)
		return;
	r->noted.epoch = epoch;
	art__set_copy(&r->noted.members, members);
}

static void port_step(void *self, const char *name)
{
	struct crank *r = self;

	if (cluster__step(r) && r->cluster->cfg.verbose)
		cluster__log(r->cluster, r->slot, "step %s", name);
}

/* ---- making ranks ---- */

static void fault_kill(void *self, int slot)
{
	cluster_kill(self, slot);
}

static bool open_chan(struct crank *r, enum art_chan chan)
{
	struct cluster *c = r->cluster;
	struct art_tp_self self = { .slot = r->slot, .size = c->n, .channel = (uint32_t)chan,
				    .job = c->cfg.seed, .incarnation = 1 };
	struct art_tp_opts opts = { .queue_high = c->cfg.queue_high, .queue_max = c->cfg.queue_max,
				    .connect_ns = 100 * ART_NS_PER_MS, .world = c->world };
	const struct art_tp_ops *ops = &art__sim_ops;
	struct art_tp_up up;
	char addr[ART_TP_ADDR_MAX];

	if (c->cfg.faults) {
		struct art_fault_opts *f = &r->fault[chan];

		*f = (struct art_fault_opts){ .inner = ops, .inner_world = c->world, .self = c,
					      .seed = c->cfg.seed, .kill = fault_kill };
		if (art__fault_parse(c->cfg.faults, f, NULL) < 0)
			return false;
		ops = &art__fault_ops;
		opts.world = f;
	}
	art__link_up(&r->link, chan, &up);
	if (ops->open(&c->env, &self, &opts, &up, &r->tp[chan]) < 0)
		return false;
	art__link_attach(&r->link, chan, r->tp[chan]);
	return ops->listen(r->tp[chan], addr) == 0;
}

static bool know_peers(struct crank *r, enum art_chan chan)
{
	char addr[ART_TP_ADDR_MAX];

	for (int k = 0; k < r->cluster->n; k++) {
		if (k == r->slot)
			continue;
		snprintf(addr, sizeof(addr), "sim:%d/%d", k, (int)chan);
		if (r->tp[chan]->ops->peer(r->tp[chan], k, addr) < 0)
			return false;
	}
	return true;
}

static bool rank_open(struct cluster *c, int slot)
{
	struct crank *r = &c->rank[slot];

	r->cluster = c;
	r->slot = slot;
	r->env = (struct art_env){ .self = r, .now_ns = rank_now, .random = rank_random,
				   .alloc = rank_alloc, .free = rank_free, .log = rank_log,
				   .mark = rank_mark, .log_level = c->cfg.log_level };
	r->port = (struct art_port){ .self = r, .send = port_send, .fence = port_fence,
				     .relink = port_relink, .done = port_done,
				     .compute = port_compute, .view = port_view, .step = port_step };
	cluster__run_port(r);
	art__set_fill(&r->noted.members, (uint32_t)c->n);
	if (c->cfg.detector)
		cluster__beat_port(r);
	cluster__arbiter_port(r);
	r->rng = c->cfg.seed * 1000003 + (uint64_t)slot;
	r->wrap.ops = &wrap_ops;
	r->timer_at = r->tp_at = ART_NEVER;
	r->jobs_tail = &r->jobs;
	r->fault_base = calloc(MAX_FAULTS, sizeof(*r->fault_base));
	if (!r->fault_base || art__link_init(&r->link, &c->env, slot, c->n) < 0)
		return false;
	r->link.machine = &r->wrap;
	return open_chan(r, ART_CHAN_DATA) && open_chan(r, ART_CHAN_CTL) &&
	       know_peers(r, ART_CHAN_DATA) && know_peers(r, ART_CHAN_CTL);
}

static void start_program(struct crank *r, uint64_t word)
{
	(void)word;
	if (r->app == APP_ASLEEP)
		r->app = APP_READY;
	cluster__app_run(r);
}

/* The core. A rank that cannot make one for lack of memory has died early. */
static void rank_boot(struct crank *r)
{
	struct cluster *c = r->cluster;
	struct art_core_cfg cfg;
	int rc;

	art__core_defaults(&cfg);
	cfg.slot = r->slot;
	cfg.size = c->n;
	cfg.hosts = c->cfg.hosts;
	cfg.job = c->cfg.seed;
	cfg.quorum_wait_ns = 2 * ART_NS_PER_S;
	cfg.mutant = c->cfg.mutant;
	if (c->cfg.tune)
		c->cfg.tune(&cfg, r->slot, c->cfg.tune_arg);
	r->inside = true;
	rc = art__core_create(&r->env, &r->port, &cfg, &r->core);
	r->inside = false;
	if (rc < 0) {
		r->core = NULL;
		if (c->cfg.fail_rank != r->slot)
			cluster_fail(c, "rank %d: no core, code %d", r->slot, rc);
		cluster_kill(c, r->slot);
		return;
	}
	r->machine = art__core_machine(r->core);
	r->comm[0] = art__core_world(r->core);
	cluster__app_listen(r, 0);
	r->epoch = art__core_epoch(r->core);
	cluster__check_view(r);
	r->app = APP_ASLEEP;
	cluster__at(r, cluster__below(c, c->cfg.start_max_ns + 1), start_program, 0);
}

static void on_ready(void *self, int slot, uint32_t channel)
{
	struct cluster *c = self;
	int k = slot * 2 + (int)channel;

	if (c->is_ready[k])
		return;
	c->is_ready[k] = true;
	c->ready[c->nready++] = k;
}

static bool make_tables(struct cluster *c)
{
	size_t n = (size_t)c->n;

	c->rank = calloc(n, sizeof(*c->rank));
	c->accused = calloc((size_t)c->words, sizeof(uint64_t));
	c->was_killed = calloc((size_t)c->words, sizeof(uint64_t));
	c->cut = calloc(n * n, sizeof(*c->cut));
	c->ready = calloc(4 * n, sizeof(*c->ready));
	c->is_ready = calloc(2 * n, sizeof(*c->is_ready));
	c->log = malloc(sizeof(*c->log) * LOG_LINES);
	return c->rank && c->accused && c->was_killed && c->cut && c->ready && c->is_ready && c->log;
}

static bool make_world(struct cluster *c)
{
	struct art_sim_cfg sim;

	art__sim_defaults(&sim, c->n, c->cfg.seed);
	sim.hosts = c->cfg.hosts;
	sim.near = c->cfg.near;
	sim.far = c->cfg.far;
	sim.end_ns = c->cfg.end_ns;
	sim.cut_ns = c->cfg.cut_ns, sim.lends = c->cfg.lends;
	sim.ready = on_ready;
	sim.self = c;
	return art__sim_create(&c->env, &sim, &c->world) == 0;
}

struct cluster *cluster_create(const struct cluster_cfg *cfg)
{
	struct cluster *c = calloc(1, sizeof(*c));
	bool good;

	if (!c)
		return NULL;
	c->cfg = *cfg;
	if (c->cfg.faults && !*c->cfg.faults)
		c->cfg.faults = NULL;
	c->n = cfg->n;
	c->words = (cfg->n + 63) / 64;
	c->env = (struct art_env){ .self = c, .now_ns = world_now, .random = world_random,
				   .alloc = world_alloc, .free = world_free, .log = world_log,
				   .log_level = cfg->log_level };
	art__arbiter_init(&c->arbiter, &c->env, cfg->mutant);
	good = make_tables(c) && make_world(c);
	for (int k = 0; good && k < c->n; k++)
		good = rank_open(c, k);
	good = good && cluster__arena_open(c);
	if (!good) {
		cluster_destroy(c);
		return NULL;
	}
	c->last_fault_ns = cluster_now(c);
	cluster__arena_map(c);
	for (int k = 0; k < c->n; k++)
		rank_boot(&c->rank[k]);
	c->last_fault_ns = cluster_now(c);
	for (int k = 0; k < c->n; k++)
		if (!c->rank[k].dead)
			set_timers(&c->rank[k]);
	return c;
}

static void rank_close(struct crank *r)
{
	if (!r->cluster)
		return;
	r->dead = true; /* effects of the destruction go nowhere */
	if (r->core)
		art__core_destroy(r->core);
	if (r->live)
		cluster_fail(r->cluster, "rank %d did not give back %llu blocks, %llu bytes", r->slot,
			     (unsigned long long)r->live, (unsigned long long)r->live_bytes);
	cluster__app_end(r);
	for (int k = 0; k < 2; k++)
		if (r->tp[k])
			r->tp[k]->ops->close(r->tp[k]);
	art__link_fini(&r->link);
	free(r->fault_base);
}

static void free_records(struct cluster *c)
{
	for (int k = 0; k < CLUSTER_COMMS; k++) {
		struct comm_rec *cr = &c->comms[k];

		for (uint64_t i = 0; i < cr->nop; i++) {
			free(cr->op[i].by_rank);
			free(cr->op[i].set);
		}
		free(cr->slot);
		free(cr->op);
	}
	for (uint32_t e = 0; e < c->nview; e++)
		free(c->view[e].set);
	free(c->view);
	cluster__beat_end(c);
	cluster__arbiter_end(c);
	while (c->timed) {
		struct timed *t = c->timed;

		c->timed = t->next;
		free(t);
	}
}

/* Events hold memory: they run out here with all ranks dead, which makes them do nothing. */
static void drain_events(struct cluster *c)
{
	for (int k = 0; k < c->n; k++)
		c->rank[k].dead = true;
	for (struct timed *t = c->timed; t; t = t->next)
		t->fn = NULL;
	while (art__sim_step(c->world))
		c->nready = 0;
}

unsigned cluster_destroy(struct cluster *c)
{
	unsigned bad;

	if (c->world && c->rank)
		drain_events(c);
	for (int k = 0; c->rank && k < c->n; k++)
		rank_close(&c->rank[k]);
	if (c->world)
		art__sim_destroy(c->world);
	free_records(c);
	cluster__arena_close(c);
	bad = c->violations;
	free(c->rank);
	free(c->accused);
	free(c->was_killed);
	free(c->cut);
	free(c->ready);
	free(c->is_ready);
	free(c->log);
	free(c);
	return bad;
}

/* ---- running ---- */

static void serve(struct cluster *c, int k)
{
	struct crank *r = &c->rank[k / 2];

	while (!r->dead && !r->paused && art__sim_pollable(c->world, k / 2, (uint32_t)k % 2))
		poll_rank(r, (enum art_chan)(k % 2));
}

bool cluster_step(struct cluster *c)
{
	bool any = c->nready > 0;

	any |= art__sim_step(c->world);
	c->events++;
	for (int i = 0; i < c->nready; i++) {
		int k = c->ready[i];

		c->is_ready[k] = false;
		serve(c, k);
		if (i == c->nready - 1 || c->nready < 2 * c->n)
			continue;
		memmove(c->ready, c->ready + i + 1, (size_t)(c->nready - i - 1) * sizeof(*c->ready));
		c->nready -= i + 1;
		i = -1;
	}
	c->nready = 0;
	return any;
}

static bool spent(struct cluster *c, uint64_t until)
{
	uint64_t next = art__sim_next(c->world);

	return (next != ART_NEVER && next > until) || c->events >= c->cfg.max_steps;
}

bool cluster_until(struct cluster *c, bool (*cond)(struct cluster *c, void *arg), void *arg,
		   uint64_t max_ns)
{
	uint64_t until = cluster_now(c) + max_ns;

	while (!cond(c, arg))
		if (spent(c, until) || !cluster_step(c))
			return cond(c, arg);
	return true;
}

bool cluster_all_finished(struct cluster *c, void *unused)
{
	(void)unused;
	for (int k = 0; k < c->n; k++)
		if (!c->rank[k].dead && !cluster_finished(c, k))
			return false;
	return true;
}

/* Early returns have told everything. */
static bool all_known(struct cluster *c, void *unused)
{
	(void)unused;
	for (int k = 0; k < c->n; k++) {
		struct crank *r = &c->rank[k];

		if (r->dead)
			continue;
		for (; r->first_unknown < r->ncalls; r->first_unknown++) {
			struct call *q = r->calls[r->first_unknown];

			if (!q->known)
				cluster__app_refresh(r, q);
			if (!q->known)
				return false;
		}
	}
	return true;
}

bool cluster_run(struct cluster *c)
{
	bool all;

	while (!(all = cluster_all_finished(c, NULL)))
		if (spent(c, c->last_fault_ns + c->cfg.limit_ns) || !cluster_step(c))
			break;
	if (all)
		cluster_until(c, all_known, NULL, DRAIN_NS);
	cluster_check_end(c);
	return all;
}

/* ---- looking ---- */

uint64_t cluster_now(const struct cluster *c)
{
	return art__sim_now(c->world);
}

int cluster_n(const struct cluster *c)
{
	return c->n;
}

bool cluster_alive(const struct cluster *c, int rank)
{
	return !c->rank[rank].dead;
}

bool cluster_finished(const struct cluster *c, int rank)
{
	return c->rank[rank].app == APP_OVER;
}

uint32_t cluster_epoch(const struct cluster *c, int rank)
{
	return c->rank[rank].epoch;
}

int cluster_fate(const struct cluster *c, int rank)
{
	return c->rank[rank].fate;
}

struct art_core *cluster_core(struct cluster *c, int rank)
{
	return c->rank[rank].core;
}

struct art_sim_world *cluster_world(struct cluster *c)
{
	return c->world;
}

uint64_t cluster_steps(const struct cluster *c, int rank)
{
	return c->rank[rank].steps;
}

uint64_t cluster_events(const struct cluster *c)
{
	return c->events;
}

uint64_t cluster_allocs(const struct cluster *c, int rank)
{
	return c->rank[rank].allocs;
}

uint64_t cluster_faults(const struct cluster *c)
{
	return c->faults;
}

uint64_t cluster_messages(const struct cluster *c, int channel)
{
	return c->messages[channel];
}

uint64_t cluster_beats(const struct cluster *c, int rank)
{
	return c->rank[rank].beats;
}

/* ---- findings ---- */

unsigned cluster_violations(const struct cluster *c)
{
	return c->violations;
}

const char *cluster_violation(const struct cluster *c, unsigned i)
{
	return i < c->violations && i < KEPT_VIOLATIONS ? c->kept[i] : NULL;
}

void cluster_fail(struct cluster *c, const char *fmt, ...)
{
	char text[VIOLATION_WIDTH];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->log)
		cluster__log(c, -1, "VIOLATION %.100s", text);
	if (c->violations < KEPT_VIOLATIONS)
		memcpy(c->kept[c->violations], text, sizeof(text));
	c->violations++;
}

const char *cluster_coordinate(struct cluster *c)
{
	size_t room = sizeof(c->coord) - c->coord_len;
	static _Thread_local char line[COORD_WIDTH + 200];

	assert(room > 0);
	snprintf(line, sizeof(line), "%s%sseed=%llu n=%d%s%s%s%s", c->cfg.name ? c->cfg.name : "",
		 c->cfg.name ? " " : "", (unsigned long long)c->cfg.seed, c->n,
		 c->cfg.mutant ? " mutant" : "", c->cfg.faults ? " faults=" : "",
		 c->cfg.faults ? c->cfg.faults : "", c->coord);
	return line;
}

void cluster_print(struct cluster *c, FILE *out)
{
	uint64_t from = c->nlog > LOG_LINES ? c->nlog - LOG_LINES : 0;

	fprintf(out, "%s\n", cluster_coordinate(c));
	for (unsigned i = 0; cluster_violation(c, i); i++)
		fprintf(out, "  violation: %s\n", cluster_violation(c, i));
	if (c->violations > KEPT_VIOLATIONS)
		fprintf(out, "  and %u more\n", c->violations - KEPT_VIOLATIONS);
	for (; from < c->nlog; from++)
		fprintf(out, "    %s\n", c->log[from % LOG_LINES]);
}
