/* SPDX-License-Identifier: MIT
 *
 * Description: memory that is not there. The n-th allocation of one rank fails, alone or with all
 * after it, for every n that a scenario reaches: nobody crashes, no result is wrong, and nobody
 * waits for ever - the rank fails its call, the same everywhere, or leaves the job.
 *
 *	nomem                     every scenario
 *	nomem SCENARIO RANK N A   one run: A is 1 if all allocations from the N-th on fail
 */
#include <stdlib.h>
#include <string.h>

#include "coll/combine.h"
#include "tests/lib/cluster.h"

#define RANKS 4
#define LAST 300

static struct cluster_call sum_of(size_t count, unsigned flags)
{
	return (struct cluster_call){ .kind = ART_C_ALLREDUCE, .count = count, .type = ART_T_UINT64,
				      .op = flags & CLUSTER_USER ? 0 : ART_O_SUM, .flags = flags };
}

static void sums(struct cluster *c, size_t count, unsigned flags)
{
	struct cluster_call call = sum_of(count, flags);

	cluster_call(c, CLUSTER_ALL, &call);
}

static void rooted(struct cluster *c, enum art_coll kind, size_t count, int root)
{
	struct cluster_call call = { .kind = kind, .count = count, .type = ART_T_UINT64,
				     .op = kind == ART_C_REDUCE ? ART_O_SUM : 0, .root = root };

	cluster_call(c, CLUSTER_ALL, &call);
}

/* All sizes and machines. */
static void plain(struct cluster *c)
{
	sums(c, 1, 0);
	rooted(c, ART_C_BCAST, 3000, 1);
	rooted(c, ART_C_REDUCE, 3000, 2);
	sums(c, 30000, 0);
	sums(c, 500, CLUSTER_IN_PLACE);
	rooted(c, ART_C_BCAST, 30000, 0);
	rooted(c, ART_C_REDUCE, 30000, 3);
	sums(c, 0, 0);
}

static void functions(struct cluster *c)
{
	sums(c, 5, CLUSTER_USER);
	sums(c, 3000, CLUSTER_USER);
	sums(c, 20000, CLUSTER_USER);
	sums(c, 5, CLUSTER_USER);
}

static void communicators(struct cluster *c)
{
	struct cluster_call dup = { .kind = ART_C_DUP, .child = 1 };
	struct cluster_call split = { .kind = ART_C_SPLIT, .child = 2, .key = -1 };
	struct cluster_call list = { .kind = ART_C_CREATE, .child = 3, .list = (1u << RANKS) - 1 };
	struct cluster_call end = { .kind = ART_C_FREE, .comm = 1 };
	struct cluster_call loss = { .kind = ART_C_SETLOSS, .comm = 1, .loss = 1 };
	struct cluster_call on = sum_of(700, 0);

	on.comm = 1;
	cluster_call(c, CLUSTER_ALL, &dup);
	cluster_call(c, CLUSTER_ALL, &loss);
	cluster_call(c, CLUSTER_ALL, &on);
	cluster_call(c, CLUSTER_ALL, &split);
	cluster_call(c, CLUSTER_ALL, &list);
	on.comm = 2;
	cluster_call(c, CLUSTER_ALL, &on);
	on.comm = 3;
	cluster_call(c, CLUSTER_ALL, &on);
	cluster_call(c, CLUSTER_ALL, &end);
	sums(c, 1, 0);
}

static void a_loss(struct cluster *c)
{
	struct cluster_item pause = { .verb = CLUSTER_SLEEP, .ns = 50 * 1000 };

	plain(c);
	cluster_program(c, CLUSTER_ALL, &pause, 1);
	functions(c);
	cluster_kill_at(c, &(struct cluster_at){ .rank = 3, .op = 3, .step = 4 });
}

static void decisions(struct cluster *c)
{
	struct cluster_call refuse = { .refuse = -5 }, late = sum_of(4, 0);
	struct cluster_item pause = { .verb = CLUSTER_SLEEP, .ns = 30 * 1000 * 1000 };

	cluster_call(c, 1, &refuse);
	late.deadline_ns = 2 * 1000 * 1000;
	for (int r = 0; r < RANKS; r++)
		if (r != 1)
			cluster_call(c, r, &late);
	cluster_program(c, 2, &pause, 1);
	cluster_call(c, CLUSTER_ALL, &late);
	sums(c, 4, 0);
}

static void small_ones(struct cluster *c)
{
	for (int i = 0; i < 12; i++) {
		sums(c, 1, 0);
		rooted(c, ART_C_BCAST, 40, i % RANKS);
		rooted(c, ART_C_REDUCE, 40, i % RANKS);
	}
}

static void small_loss(struct cluster *c)
{
	small_ones(c);
	cluster_kill_at(c, &(struct cluster_at){ .rank = 3, .op = 9, .step = 2 });
}

static const struct {
	const char *name;
	void (*fill)(struct cluster *c);
	bool arena, hosts;
} scenarios[] = {
	{ "plain", plain, false, false }, { "functions", functions, false, false },
	{ "communicators", communicators, false, false },
	{ "a_loss", a_loss, false, false }, { "decisions", decisions, false, false },
	{ "shared", plain, true, false }, { "shared_small", small_ones, true, false },
	{ "shared_loss", small_loss, true, false }, { "shared_communicators", communicators, true, false },
	{ "hosts", plain, true, true }, { "hosts_small", small_ones, true, true },
	{ "hosts_loss", small_loss, true, true },
};

static bool all_over(struct cluster *c, void *arg)
{
	(void)arg;
	for (int r = 0; r < RANKS; r++)
		if (cluster_alive(c, r) && !cluster_finished(c, r) && !cluster_fate(c, r))
			return false;
	return true;
}

static void by_leaders(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	memset(core->algo, ART_ALGO_LEADERS, sizeof(core->algo));
}

/* How many allocations the rank made; *bad counts violations. */
static uint64_t run(int which, int rank, uint64_t n, bool all, unsigned *bad, bool verbose)
{
	static const int hosts[RANKS] = { 0, 0, 1, 1 };
	struct cluster_call end = { .kind = ART_C_FINALIZE };
	struct cluster_cfg cfg;
	struct cluster *c;
	uint64_t made;

	cluster_defaults(&cfg, RANKS, 1);
	cfg.name = scenarios[which].name;
	cfg.fail_rank = rank;
	cfg.fail_alloc = n;
	cfg.fail_all = all;
	cfg.verbose = verbose;
	cfg.arena = scenarios[which].arena;
	if (scenarios[which].hosts) {
		cfg.hosts = hosts;
		cfg.tune = by_leaders;
	}
	c = cluster_create(&cfg);
	if (!c) {
		(*bad)++;
		return 0;
	}
	scenarios[which].fill(c);
	cluster_call(c, CLUSTER_ALL, &end);
	cluster_until(c, all_over, NULL, 20 * ART_NS_PER_S);
	cluster_run(c);
	for (int r = 0; r < RANKS; r++)
		if (cluster_alive(c, r) && !cluster_finished(c, r) && !cluster_fate(c, r))
			cluster_fail(c, "rank %d waits for ever", r);
	made = cluster_allocs(c, rank);
	if (cluster_violations(c)) {
		printf("FAIL nomem %s %d %llu %d\n", scenarios[which].name, rank,
		       (unsigned long long)n, all);
		cluster_print(c, stdout);
		(*bad)++;
	}
	cluster_destroy(c);
	return made;
}

int main(int argc, char **argv)
{
	unsigned bad = 0, runs = 0;
	const int count = (int)(sizeof(scenarios) / sizeof(scenarios[0]));

	for (int k = 0; k < count; k++) {
		if (argc == 5 && strcmp(argv[1], scenarios[k].name) == 0)
			run(k, atoi(argv[2]), strtoull(argv[3], NULL, 10), atoi(argv[4]), &bad, true);
		for (int mode = 0; argc == 1 && mode < 2 * RANKS; mode++)
			for (uint64_t n = 1; n <= LAST; n++, runs++)
				if (run(k, mode / 2, n, mode % 2, &bad, false) < n)
					break; /* it never came to the n-th */
	}
	printf("%u runs, %u failed\n", runs, bad);
	return bad != 0;
}
