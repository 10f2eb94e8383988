/* SPDX-License-Identifier: MIT
 *
 * The process's job: art_init() puts the parts together - launcher, transports, protocol, service
 * thread - and art_finalize() takes them apart in reverse. Both nest; after the last
 * art_finalize() there is no second job.
 */
#include "api/api.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/trace.h"
#include "topo/topo.h"

#define VERSION_MAJOR 0
#define VERSION_MINOR 1
#define VERSION_PATCH 0

#define WHY_MAX ART_BOOT_WHY_MAX

struct art_ctx *_Atomic art__api_job;

static pthread_mutex_t nest_lock = PTHREAD_MUTEX_INITIALIZER;
static int nested;  /* art_init() calls not finalized yet */
static bool ended;  /* the job was finalized, or could not be made */

void art__api_abort(struct art_ctx *ctx, int code)
{
	/* If the launcher is gone it ends the job by that. */
	if (ctx && !art__boot_abort(&ctx->boot, code) && ctx->size > 1 && ctx->boot.fd < 0)
		art__api_say(ctx, "the job has no launcher that could end the other ranks: they lose "
				  "this one");
	_exit(code & 0xff);
}

/* ART_FT=off: the loss of a rank ends the job (rule R15). While the job is being finalized the
 * machine tells a goodbye from a loss. Runs in the service thread or in that of a call that waits. */
static bool on_lost(void *self, int slot)
{
	struct art_ctx *ctx = self;
	char line[80];

	if (atomic_load(&ctx->finalizing))
		return false;
	snprintf(line, sizeof(line), "rank %d was lost and ART_FT is off: the job ends", slot);
	art__api_say(ctx, line);
	art__api_abort(ctx, -ART_ERR_PROC_FAILED);
}

/* Runs in the service thread. A certificate is about one incarnation of a rank, not about who has
 * its number. */
static int on_witness(void *self)
{
	struct art_ctx *ctx = self;
	uint64_t incarnation = 0;
	int slot;

	do
		slot = art__boot_dead(&ctx->boot, &incarnation);
	while (slot >= 0 && (slot == ctx->rank || ctx->incarnation[slot] != incarnation));
	return slot;
}

static void note_view(void *self, uint32_t epoch, const struct art_set *members)
{
	art__boot_note(&((struct art_ctx *)self)->boot, epoch, members);
}

static bool last_view(void *self, int slot, bool local, uint32_t *epoch, struct art_set *members)
{
	return art__boot_last(&((struct art_ctx *)self)->boot, slot, local, epoch, members);
}

static void ask_arbiter(void *self, const void *p, size_t len)
{
	art__boot_vote(&((struct art_ctx *)self)->boot, p, len);
}

static const uint8_t *arbiter_says(void *self, size_t *len)
{
	return art__boot_voted(&((struct art_ctx *)self)->boot, len);
}

/* ---- making a job: each step says in *why what it could not do ---- */
/* Of all ranks of this host together: artrun says so, since a rank may be bound to its share. */
static int usable_cores(void)
{
	const char *told = getenv("ART_CORES");
	struct art_locality here;

	if (told && atoi(told) > 0)
		return atoi(told);
	if (art__topo_locality(&here) == 0)
		return here.cores;
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* On loopback alone the system itself lets nobody into a connection, and a seal would cost the
 * smallest messages a tenth of their time. */
static enum art_tp_security data_security(const struct art_config *config)
{
	if (config->security == ART_TP_MAC && !config->iface)
		return ART_TP_PLAIN;
	return (enum art_tp_security)config->security;
}

static void fill_engine_cfg(struct art_ctx *ctx, uint64_t incarnation, struct art_engine_cfg *cfg)
{
	*cfg = (struct art_engine_cfg){
		.env = &ctx->env,
		.transport = ctx->config.transport,
		.arena = ctx->config.arena,
		.iface = ctx->config.iface,
		.rdma_device = ctx->config.rdma_device,
		.rdma_large = ctx->config.rdma_large,
		.rdma_srq = ctx->config.rdma_srq,
		.connect_ns = ctx->config.connect_wait_ns,
		.security = data_security(&ctx->config),
		.slot = ctx->rank,
		.size = ctx->size,
		.job = ctx->boot.job,
		.incarnation = incarnation,
		.cores = ctx->size > 1 ? usable_cores() : 1,
		.apart = ctx->size > 1 && CPU_COUNT(&ctx->boot.others) > 0,
		.service_cpus = ctx->boot.others,
		.status = ctx->config.status,
		.lost = ctx->config.ft ? NULL : on_lost,
		.lost_self = ctx,
		.note = note_view,
		.last = last_view,
		.vote = ctx->config.arbiter && ctx->boot.fd >= 0 ? ask_arbiter : NULL,
		.voted = ctx->config.arbiter && ctx->boot.fd >= 0 ? arbiter_says : NULL,
		.note_self = ctx,
		.witness = ctx->boot.fd >= 0 ? on_witness : NULL,
		.witness_self = ctx,
		.witness_fd = ctx->boot.fd,
	};
	for (size_t i = 0; i < sizeof(cfg->key); i++)
		cfg->key[i] = ctx->boot.key[i];
}

/* A job is not worth less because nobody can be told of it. */
static void trace(struct art_ctx *ctx)
{
	const char *directory = getenv("ART_TRACE"), *why;

	if (directory && *directory &&
	    art__trace_open(&ctx->env, directory, ctx->rank, ctx->size, &why) < 0)
		art__env_log(&ctx->env, ART_LOG_WARN, "nothing of this rank will be in the trace: %s: %s",
			     directory, why);
}

static int join(struct art_ctx *ctx, char *why)
{
	char prefix[ART_PREFIX_MAX];
	int rc;

	ctx->boot.wait_ns = ctx->config.join_wait_ns;
	ctx->boot.lowest_half = ctx->config.lowest_half;
	rc = art__boot_open(&ctx->boot);
	if (rc) {
		snprintf(why, WHY_MAX, "%s", ctx->boot.why);
		return rc;
	}
	ctx->rank = ctx->boot.rank;
	ctx->size = ctx->boot.size;
	if (!ctx->config.iface && *ctx->boot.iface)
		ctx->config.iface = ctx->boot.iface;
	snprintf(prefix, sizeof(prefix), "rank %d", ctx->rank);
	art__env_posix(&ctx->env, prefix, ctx->config.log);
	trace(ctx);
	return 0;
}

static int introduce(struct art_ctx *ctx, struct art_boot_card *cards, char *why)
{
	struct art_boot_card mine = {.incarnation = ctx->env.random(ctx->env.self), .pid = getpid(),
				     .cores = (uint64_t)usable_cores()};
	struct art_engine_cfg cfg;
	int rc;

	fill_engine_cfg(ctx, mine.incarnation, &cfg);
	rc = art__engine_open(&cfg, mine.addr, &ctx->engine);
	explicit_bzero(cfg.key, sizeof(cfg.key));
	if (!rc && ctx->config.ft && ctx->size > 1)
		rc = art__engine_beats_open(ctx->engine, mine.addr[2]);
	if (rc) {
		snprintf(why, WHY_MAX, "transport %s cannot be opened on %s: %s",
			 ctx->config.transport, ctx->config.iface ? ctx->config.iface : "loopback",
			 art_strerror(rc));
		return rc;
	}
	rc = art__boot_exchange(&ctx->boot, &mine, cards);
	if (rc)
		snprintf(why, WHY_MAX, "%s", ctx->boot.why);
	if (ctx->boot.strangers)
		art__env_log(&ctx->env, ART_LOG_INFO, "%llu connections that did not prove to have the "
			     "key were dropped", (unsigned long long)ctx->boot.strangers);
	return rc;
}

/* @locals: ranks of this host. */
static int connect_peers(struct art_ctx *ctx, const struct art_boot_card *cards, int locals, char *why)
{
	for (int i = 0; i < ctx->size; i++) {
		int rc;

		if (i == ctx->rank)
			continue;
		rc = art__engine_peer(ctx->engine, i, cards[i].host == cards[ctx->rank].host,
				      cards[i].addr[0], cards[i].addr[1]);
		if (!rc)
			rc = art__engine_beats_peer(ctx->engine, i, cards[i].addr[2],
						    cards[i].incarnation);
		if (!rc && locals <= ART_ARENA_RANKS && cards[i].host == cards[ctx->rank].host)
			art__engine_share(ctx->engine, i, cards[i].pid, cards[i].incarnation);
		if (!rc)
			continue;
		snprintf(why, WHY_MAX, "rank %d cannot be reached at %s over %s: %s", i,
			 cards[i].addr[0], ctx->config.transport, art_strerror(rc));
		return rc;
	}
	art__engine_share_done(ctx->engine);
	return 0;
}

static enum art_rings rings_of(const char *transports)
{
	if (strstr(transports, "rdma"))
		return ART_RINGS_ALL;
	return strstr(transports, "shm") ? ART_RINGS_HOST : ART_RINGS_NONE;
}

/* Has any host more ranks than cores? All find the same, from the same table. */
static bool is_crowded(const struct art_boot_card *cards, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t ranks = 0;

		for (int k = i; k < n; k++)
			ranks += cards[k].host == cards[i].host;
		if (ranks > cards[i].cores)
			return true;
	}
	return false;
}

static int make_core(struct art_ctx *ctx, const int *hosts, bool crowded)
{
	struct art_core_cfg cfg;
	int rc;

	art__core_defaults(&cfg);
	cfg.slot = ctx->rank;
	cfg.size = ctx->size;
	cfg.hosts = hosts;
	cfg.job = ctx->boot.job;
	cfg.heartbeat_ns = ctx->config.ft ? ctx->config.heartbeat_ns : 0;
	cfg.bound_ns = ctx->config.bound_ns;
	cfg.quorum_wait_ns = ctx->config.quorum_wait_ns;
	cfg.lowest_half = ctx->config.lowest_half;
	cfg.stall_ns = ctx->config.stall_ns;
	cfg.buddies = ctx->config.buddies;
	cfg.algo[ART_C_BCAST] = ctx->config.coll_bcast;
	cfg.algo[ART_C_REDUCE] = ctx->config.coll_reduce;
	cfg.algo[ART_C_ALLREDUCE] = ctx->config.coll_allreduce;
	cfg.crowded = crowded;
	cfg.rings = rings_of(ctx->config.transport);
	cfg.tuning = ctx->config.tuning_file ? &ctx->config.tuning : NULL;
	art__engine_port(ctx->engine, &ctx->port);
	rc = art__core_create(&ctx->env, &ctx->port, &cfg, &ctx->core);
	if (rc)
		return rc;
	ctx->world.core = art__core_world(ctx->core);
	ctx->world.rank = ctx->rank;
	ctx->world.size = ctx->size;
	return 0;
}

/* A table from elsewhere is used, but not in silence. One line a job is enough. */
static void check_tuning(struct art_ctx *ctx, const int *hosts)
{
	const struct art_config *c = &ctx->config;
	const struct art_tuned *t = art__choose_tuned(&c->tuning, ctx->size);
	int nhost = 0;

	if (!c->tuning_file || ctx->rank != 0)
		return;
	for (int i = 0; i < ctx->size; i++)
		nhost = hosts[i] >= nhost ? hosts[i] + 1 : nhost;
	if (!t)
		art__env_log(&ctx->env, ART_LOG_WARN, "ART_TUNING: %s has nothing for about %d ranks, so "
			     "algorithms are chosen by size", c->tuning_file, ctx->size);
	if (t && t->hosts && t->hosts != nhost)
		art__env_log(&ctx->env, ART_LOG_WARN, "ART_TUNING: %s was measured on %d hosts, this job "
			     "has %d", c->tuning_file, t->hosts, nhost);
	if (t && *t->transport && strcmp(t->transport, c->transport))
		art__env_log(&ctx->env, ART_LOG_WARN, "ART_TUNING: %s was measured with ART_TRANSPORT=%s, "
			     "here it is %s", c->tuning_file, t->transport, c->transport);
}

/* Everything that needs the others' cards. */
static int assemble(struct art_ctx *ctx, const struct art_boot_card *cards, int *hosts,
		    pid_t *pids, char *why)
{
	int locals = 0, rc;

	for (int i = 0; i < ctx->size; i++) {
		bool local = cards[i].host == cards[ctx->rank].host;

		locals += local;
		ctx->incarnation[i] = cards[i].incarnation;
		hosts[i] = cards[i].host;
		pids[i] = local && i != ctx->rank ? cards[i].pid : 0;
	}
	art__engine_locals(ctx->engine, locals);
	if (locals == ctx->size) /* watched by their kernel */
		art__engine_beats_close(ctx->engine);
	rc = connect_peers(ctx, cards, locals, why);
	if (rc)
		return rc;
	check_tuning(ctx, hosts);
	rc = art__api_workers(ctx, cards);
	if (rc) {
		snprintf(why, WHY_MAX, "out of memory");
		return rc;
	}
	rc = make_core(ctx, hosts, is_crowded(cards, ctx->size));
	if (!rc)
		rc = art__engine_start(ctx->engine, art__core_machine(ctx->core), pids);
	if (rc)
		snprintf(why, WHY_MAX, "the rank cannot be started: %s", art_strerror(rc));
	return rc;
}

static int build(struct art_ctx *ctx, char *why)
{
	struct art_boot_card *cards = NULL;
	int *hosts = NULL;
	pid_t *pids = NULL;
	int rc = join(ctx, why);

	if (rc)
		return rc;
	cards = calloc((size_t)ctx->size, sizeof(*cards));
	hosts = calloc((size_t)ctx->size, sizeof(*hosts));
	pids = calloc((size_t)ctx->size, sizeof(*pids));
	ctx->incarnation = calloc((size_t)ctx->size, sizeof(*ctx->incarnation));
	if (!cards || !hosts || !pids || !ctx->incarnation) {
		snprintf(why, WHY_MAX, "out of memory");
		rc = ART_ERR_NOMEM;
	}
	if (!rc)
		rc = introduce(ctx, cards, why);
	if (!rc)
		rc = assemble(ctx, cards, hosts, pids, why);
	free(pids);
	free(hosts);
	free(cards);
	return rc;
}

static void demolish(struct art_ctx *ctx)
{
	if (ctx->engine)
		art__engine_stop(ctx->engine);
	if (ctx->core)
		art__core_destroy(ctx->core);
	if (ctx->engine)
		art__engine_close(ctx->engine);
	art__boot_close(&ctx->boot);
	art__trace_close(&ctx->env);
	free(ctx->incarnation);
	free(ctx->near.pid);
	free(ctx);
}

static void say_misspelt(void *self, const char *line)
{
	art__env_log(self, ART_LOG_WARN, "%s", line);
}

static int make_job(const art_options_t *options)
{
	struct art_ctx *ctx = calloc(1, sizeof(*ctx));
	char why[ART_CONFIG_WHY_MAX] = "out of memory";
	int rc = ctx ? 0 : ART_ERR_NOMEM;

	if (!rc)
		rc = art__config_read(&ctx->config, options, why, sizeof(why));
	if (rc) {
		free(ctx);
		return art__api_error(NULL, rc, "art_init", "%s", why);
	}
	rc = build(ctx, why);
	if (rc) {
		ended = true;
		demolish(ctx);
		return art__api_error(NULL, rc, "art_init", "%s", why);
	}
	if (ctx->rank == 0) /* one line a job is enough */
		art__config_misspelt(environ, say_misspelt, &ctx->env);
	atomic_store_explicit(&art__api_job, ctx, memory_order_release);
	return 0;
}

static bool gives_anything(const art_options_t *o)
{
	art_options_t none = art_options_none();
	size_t known = o->size < sizeof(none) ? o->size : sizeof(none);

	none.size = o->size;
	return memcmp(o, &none, known) != 0;
}

int art_init(int *argc, char ***argv)
{
	return art_init_with(argc, argv, NULL);
}

int art_init_with(int *argc, char ***argv, const art_options_t *options)
{
	int rc = 0;

	(void)argc;
	(void)argv;
	pthread_mutex_lock(&nest_lock);
	if (nested == 0 && ended)
		rc = art__api_error(NULL, ART_ERR_ARG, "art_init",
				    "this process has had its job, or could not join it: there "
				    "is no second one");
	else if (nested == 0)
		rc = make_job(options);
	else if (options && gives_anything(options))
		rc = art__api_error(atomic_load(&art__api_job), ART_ERR_ARG, "art_init_with",
				    "the process is in its job: its settings cannot change");
	if (!rc)
		nested++;
	pthread_mutex_unlock(&nest_lock);
	return rc;
}

/* The world's last op; it ends when everything is stable. */
static int last_op(struct art_ctx *ctx, char why[ART_WHY_MAX])
{
	struct art_call c = {.kind = ART_C_FINALIZE, .root = -1};
	struct art_op *op;
	int rc;

	atomic_store(&ctx->finalizing, true);
	art__engine_enter(ctx->engine);
	rc = art__core_start(ctx->core, ctx->world.core, &c, ART_NEVER, &op);
	if (!rc) {
		art__engine_wait(ctx->engine, art__api_op_done, op);
		rc = art__api_finish(ctx, ART_H_WORLD, op, NULL, false, why);
	} else {
		snprintf(why, ART_WHY_MAX, "%s", art_strerror(rc));
	}
	art__engine_leave(ctx->engine);
	return rc;
}

static int end_job(struct art_ctx *ctx)
{
	char why[ART_WHY_MAX];
	int rc = last_op(ctx, why);

	if (rc)
		art__api_error(ctx, rc, "art_finalize", "%s", why);
	/* A rank that could not finalize is a loss to the others, whatever it does next. */
	else if (art__boot_finalized(&ctx->boot))
		art__env_log(&ctx->env, ART_LOG_INFO, "the launcher is gone");
	atomic_store(&art__api_job, NULL);
	ended = true;
	art__api_forget_statuses();
	art__handle_clear(ART_H_COMM);
	art__handle_clear(ART_H_REQUEST);
	demolish(ctx);
	return rc;
}

int art_finalize(void)
{
	int rc = 0;

	pthread_mutex_lock(&nest_lock);
	if (nested == 0)
		rc = art__api_error(NULL, ART_ERR_COMM, "art_finalize",
				    "called without art_init(), or once too often");
	else if (--nested == 0)
		rc = end_job(atomic_load(&art__api_job));
	pthread_mutex_unlock(&nest_lock);
	return rc;
}

int art_abort(art_comm_t comm, int code)
{
	struct art_ctx *ctx = atomic_load(&art__api_job);
	char line[40];

	(void)comm; /* ends the whole job whatever communicator is named */
	fflush(NULL);
	snprintf(line, sizeof(line), "art_abort(%d)", code);
	art__api_say(ctx, line);
	art__api_abort(ctx, code);
}

int art_get_version(int *major, int *minor, int *patch)
{
	if (!major || !minor || !patch)
		return art__api_error(atomic_load(&art__api_job), ART_ERR_ARG, "art_get_version",
				      "the pointer for a result is null");
	*major = VERSION_MAJOR;
	*minor = VERSION_MINOR;
	*patch = VERSION_PATCH;
	return 0;
}
