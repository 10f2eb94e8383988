/* SPDX-License-Identifier: MIT
 *
 * How many threads help with large operations (engine/workers.h), and on which cores: those that the ranks of this
 * host do not need, as their processes may run there (topo/spare.h).
 */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/quota.h"
#include "topo/spare.h"

#define AUTO_MOST 4

/* Not known of a process that cannot be asked, for example of another container. */
static void ask_ranks(const struct art_near *near, cpu_set_t *rank)
{
	for (int i = 0; i < near->ranks; i++)
		if (near->pid[i] <= 0 || sched_getaffinity(near->pid[i], sizeof(*rank), &rank[i]))
			CPU_ZERO(&rank[i]);
}

static void place(struct art_worker_place *where, const cpu_set_t *cpus, bool own)
{
	where->cpus = *cpus;
	where->own = own;
}

/* Who has asked for so many gets them, be it where others run, too. */
static int find_places(const struct art_ctx *ctx, cpu_set_t *rank, struct art_pu *pu, int most,
		       struct art_worker_place *where)
{
	bool wanted = ctx->config.workers != ART_WORKERS_AUTO;
	int cpu[ART_WORKERS_MAX], n = 0;
	struct art_spare s = { .pu = pu, .rank = rank, .ranks = ctx->near.ranks, .me = ctx->near.me,
			       .cores = wanted ? 0 : ctx->near.cores };
	cpu_set_t all, one;

	ask_ranks(&ctx->near, rank);
	CPU_OR(&all, &rank[ctx->near.me], &ctx->boot.others);
	s.npu = art__topo_pus(NULL, &all, pu, CPU_SETSIZE);
	if (s.npu > 0)
		n = art__topo_spare(&s, most, wanted, cpu);
	for (int i = 0; i < n; i++) {
		CPU_ZERO(&one);
		CPU_SET(cpu[i], &one);
		place(&where[i], &one, true);
	}
	while (wanted && n < most)
		place(&where[n++], &all, false);
	return n;
}

/* Runs in a thread that is to help. */
static int find(void *self, int most, struct art_worker_place *where)
{
	const struct art_ctx *ctx = self;
	cpu_set_t *rank = calloc((size_t)ctx->near.ranks, sizeof(*rank));
	struct art_pu *pu = calloc(CPU_SETSIZE, sizeof(*pu));
	int n = rank && pu ? find_places(ctx, rank, pu, most, where) : 0;

	free(pu);
	free(rank);
	return n;
}

/* Of all ranks of this host together, as artrun says, or a control group. */
static int bound_of_cores(void)
{
	const char *told = getenv("ART_CORES");

	return told && atoi(told) > 0 ? atoi(told) : art__topo_quota("/");
}

/* What can be told without a look at the machine: no job makes a thread only to find that there is no core. */
static bool none_spare(const struct art_ctx *ctx)
{
	int others = CPU_COUNT(&ctx->boot.others);
	cpu_set_t mine;

	if (ctx->near.cores && ctx->near.cores <= ctx->near.ranks)
		return true;
	return sched_getaffinity(getpid(), sizeof(mine), &mine) || CPU_COUNT(&mine) + others < 2 ||
	       (others && 1 + others <= ctx->near.ranks);
}

int art__api_workers(struct art_ctx *ctx, const struct art_boot_card *cards)
{
	struct art_near *near = &ctx->near;
	int most = ctx->config.workers;

	if (!most)
		return 0;
	near->pid = calloc((size_t)ctx->size, sizeof(*near->pid));
	if (!near->pid)
		return ART_ERR_NOMEM;
	for (int i = 0; i < ctx->size; i++) {
		if (cards[i].host != cards[ctx->rank].host)
			continue;
		if (i == ctx->rank)
			near->me = near->ranks;
		near->pid[near->ranks++] = i == ctx->rank ? getpid() : cards[i].pid;
	}
	near->cores = bound_of_cores();
	if (most == ART_WORKERS_AUTO)
		most = none_spare(ctx) ? 0 : AUTO_MOST;
	if (most)
		art__engine_workers(ctx->engine, most, find, ctx);
	return 0;
}
