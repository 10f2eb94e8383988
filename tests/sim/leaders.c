/* SPDX-License-Identifier: MIT
 *
 * Description: two hosts, in which parts go through memory that their ranks share, and two calls at a time: a
 * reduce with a function that takes its time at the root, and a long sum that is over sooner. A rank is killed
 * at every moment. The reduce then runs again from its inputs, which those who returned early still have: the
 * sum says of what is done what all have said, and not only the leader of one's host. And many long calls at a
 * time, which ranks begin apart from each other: the room for their pieces is used in their order, or two hosts
 * would wait for each other. And a rank that calls a reduce where the others call a bcast, and waits for nobody as
 * its leader does not: one of the two finds out.
 *
 *	leaders                   all
 *	leaders MOMENT SEED       one run: it is killed after so many ns
 *	leaders 0 SEED            nobody is
 */
#include <stdlib.h>
#include <string.h>

#include "base/marks.h"
#include "coll/combine.h"
#include "tests/lib/cluster.h"

#define RANKS 6
#define SEEDS 20
#define MANY 1000
#define VICTIM 2
#define ROOT 5
#define LAST_NS 400000
#define STRIDE_NS 2000
#define COMPUTE_NS 300000

static void by_leaders(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	memset(core->algo, ART_ALGO_LEADERS, sizeof(core->algo));
}

static void fill(struct cluster *c)
{
	struct cluster_call first = { .kind = ART_C_REDUCE, .count = 5, .type = ART_T_UINT64, .root = ROOT,
				      .flags = CLUSTER_NONBLOCK | CLUSTER_USER };
	struct cluster_call then = { .kind = ART_C_ALLREDUCE, .count = 200, .type = ART_T_UINT64,
				     .op = ART_O_SUM, .flags = CLUSTER_NONBLOCK };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };

	cluster_call(c, CLUSTER_ALL, &first);
	cluster_call(c, CLUSTER_ALL, &then);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
}

static void fill_many(struct cluster *c, uint64_t seed)
{
	struct cluster_call call = { .count = 300, .type = ART_T_UINT64, .flags = CLUSTER_NONBLOCK };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };

	for (int i = 0; i < 8; i++) {
		call.kind = (seed + (uint64_t)i * i) % 3 ? ART_C_ALLREDUCE : ART_C_BCAST;
		call.op = call.kind == ART_C_BCAST ? 0 : ART_O_SUM;
		call.root = call.kind == ART_C_BCAST ? (int)((seed + (uint64_t)i) % RANKS) : 0;
		cluster_call(c, CLUSTER_ALL, &call);
	}
	cluster_program(c, CLUSTER_ALL, &wait, 1);
}

static void die(struct cluster *c, void *arg)
{
	(void)arg;
	cluster_kill(c, VICTIM);
}

static void run(uint64_t ns, uint64_t seed, bool verbose, unsigned *bad)
{
	static const int hosts[RANKS] = { 0, 0, 0, 1, 1, 1 };
	struct cluster_cfg cfg;
	struct cluster *c;
	bool ended;

	cluster_defaults(&cfg, RANKS, seed);
	cfg.name = "leaders";
	cfg.arena = true;
	cfg.hosts = hosts;
	cfg.tune = by_leaders;
	cfg.compute_max_ns = COMPUTE_NS;
	cfg.think_max_ns = ns ? 0 : 30000;
	cfg.verbose = verbose;
	c = cluster_create(&cfg);
	if (!c) {
		(*bad)++;
		return;
	}
	if (ns) {
		fill(c);
		cluster_after(c, ns, die, NULL);
	} else {
		fill_many(c, seed);
	}
	ended = cluster_run(c);
	if (!ended && !cluster_violations(c))
		cluster_fail(c, "survivors did not finish");
	if (cluster_violations(c)) {
		printf("FAIL leaders %llu %llu\n", (unsigned long long)ns, (unsigned long long)seed);
		if (!*bad)
			cluster_print(c, stdout);
		(*bad)++;
	}
	cluster_destroy(c);
}

/* True: somebody saw it. */
static bool odd_one_seen(uint64_t seed)
{
	static const int hosts[RANKS] = { 0, 0, 0, 1, 1, 1 };
	struct cluster_call call = { .kind = ART_C_BCAST, .count = seed % 2 ? 5 : 300, .type = ART_T_UINT64 };
	uint64_t before = cluster_marks[ART_M_MISMATCH_SEEN];
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, RANKS, seed);
	cfg.name = "leaders";
	cfg.arena = true;
	cfg.hosts = hosts;
	cfg.tune = by_leaders;
	c = cluster_create(&cfg);
	if (!c)
		return false;
	for (int r = 0; r < RANKS; r++) {
		call.kind = r == VICTIM ? ART_C_REDUCE : ART_C_BCAST;
		call.op = r == VICTIM ? ART_O_SUM : 0;
		cluster_call(c, r, &call);
	}
	cluster_run(c);
	cluster_destroy(c);
	return cluster_marks[ART_M_MISMATCH_SEEN] > before;
}

int main(int argc, char **argv)
{
	unsigned bad = 0, runs = 0;

	if (argc == 3)
		run(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), true, &bad);
	for (uint64_t seed = 1; argc == 1 && seed <= SEEDS; seed++)
		for (uint64_t ns = STRIDE_NS; ns < LAST_NS && bad < 5; ns += STRIDE_NS, runs++)
			run(ns, seed, false, &bad);
	for (uint64_t seed = 1; argc == 1 && seed <= MANY && bad < 5; seed++, runs++)
		run(0, seed, false, &bad);
	for (uint64_t seed = 1; argc == 1 && seed <= SEEDS; seed++, runs++)
		if (!odd_one_seen(seed)) {
			printf("FAIL leaders: nobody saw the mistaken call of seed %llu\n", (unsigned long long)seed);
			bad++;
		}
	printf("%u runs, %u failed\n", runs, bad);
	return bad != 0;
}
