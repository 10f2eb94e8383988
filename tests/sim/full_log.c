/* SPDX-License-Identifier: MIT
 *
 * Description: a full log empties, whatever was decided before. More operations are in flight than
 * the log holds, so nobody returns before the stability wave has gone round; a refused call just
 * before them makes a named decision, and reports of the wave then meet ranks that have not
 * installed it yet. Found on real processes: what a quicker kid had reported in the new epoch was
 * wiped when its parent's install ended, and all ranks slept for ever. And long sums one after another,
 * of which each says that the one before is stable, need no wave at all: each wave woke every rank's
 * service thread, and a sum of 1 MiB took 8 ms. And many reduces to one root, or broadcasts from one: the
 * root of a reduce learns first what is stable, and if it then tells nobody, all others wait for the log.
 *
 *	full_log                 seeds 1..600, the long sums, the one root
 *	full_log --seed A[:B]
 */
#include <stdlib.h>
#include <string.h>

#include "coll/combine.h"
#include "tests/lib/cluster.h"

#define LOG_OPS 8
#define IN_FLIGHT (5 * LOG_OPS)

static void small_log(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	core->log_ops = LOG_OPS;
}

static void refuse_once(struct cluster *c, int odd)
{
	struct cluster_call good = { .kind = ART_C_ALLREDUCE, .count = 1, .type = ART_T_UINT64,
				     .op = ART_O_SUM, .flags = CLUSTER_NONBLOCK };
	struct cluster_call bad = { .refuse = -5 };

	for (int r = 0; r < cluster_n(c); r++)
		cluster_call(c, r, r == odd ? &bad : &good);
}

/* Without waiting: by the time the refusal is decided, all of it may be done but for the log. */
static void flood(struct cluster *c, bool sums)
{
	struct cluster_call call = { .count = 1, .type = ART_T_UINT64, .flags = CLUSTER_NONBLOCK };

	for (int i = 0; i < IN_FLIGHT; i++) {
		call.kind = sums ? ART_C_ALLREDUCE : i % 3 ? ART_C_REDUCE : ART_C_BCAST;
		call.op = sums || i % 3 ? ART_O_SUM : 0;
		call.root = sums ? 0 : i % 3 ? 0 : 1;
		cluster_call(c, CLUSTER_ALL, &call);
	}
}

static unsigned run(uint64_t seed)
{
	struct cluster_call end = { .kind = ART_C_FINALIZE };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };
	struct cluster_cfg cfg;
	struct cluster *c;
	unsigned bad;

	cluster_defaults(&cfg, 2 + (int)(seed % 7), seed);
	cfg.name = "full_log";
	cfg.tune = small_log;
	cfg.near.spike_ns = 300 * 1000; /* one decision in eight comes late */
	cfg.near.spike_log2 = 3;
	c = cluster_create(&cfg);
	if (!c)
		return 1;
	for (int i = 0; i < 3; i++) {
		refuse_once(c, (int)((seed + (uint64_t)i) % (uint64_t)cluster_n(c)));
		flood(c, seed & 8);
		cluster_program(c, CLUSTER_ALL, &wait, 1);
	}
	cluster_call(c, CLUSTER_ALL, &end);
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "not all programs have ended");
	bad = cluster_violations(c);
	if (bad)
		cluster_print(c, stdout);
	return bad + cluster_destroy(c);
}

/* ---- long sums ---- */

#define LONG_COUNT (64u * 1024)

static void log_of_four(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	core->log_bytes = 4 * LONG_COUNT * sizeof(uint64_t);
}

/* Control messages of @sums long sums of @n ranks. */
static uint64_t control_messages(int n, int sums, unsigned *failed)
{
	struct cluster_call call = { .kind = ART_C_ALLREDUCE, .count = LONG_COUNT, .type = ART_T_UINT64,
				     .op = ART_O_SUM };
	struct cluster_call end = { .kind = ART_C_FINALIZE };
	struct cluster_cfg cfg;
	struct cluster *c;
	uint64_t told;

	cluster_defaults(&cfg, n, 1);
	cfg.name = "long_sums";
	cfg.tune = log_of_four;
	c = cluster_create(&cfg);
	if (!c) {
		++*failed;
		return 0;
	}
	for (int i = 0; i < sums; i++)
		cluster_call(c, CLUSTER_ALL, &call);
	cluster_call(c, CLUSTER_ALL, &end);
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "not all programs have ended");
	told = cluster_messages(c, ART_CHAN_CTL);
	if (cluster_violations(c))
		cluster_print(c, stdout);
	*failed += cluster_violations(c) + cluster_destroy(c);
	return told;
}

static unsigned long_sums(void)
{
	unsigned failed = 0;

	for (int n = 2; n <= 5; n++) {
		uint64_t few = control_messages(n, 2, &failed), many = control_messages(n, 24, &failed);

		printf("%d ranks: %llu control messages for 2 long sums, %llu for 24\n", n,
		       (unsigned long long)few, (unsigned long long)many);
		failed += many != few;
	}
	return failed;
}

/* ---- one root, many times ---- */

static unsigned many_of(int n, int root, uint8_t kind, uint64_t count,
			void (*tune)(struct art_core_cfg *, int, void *))
{
	struct cluster_call call = { .kind = kind, .count = count, .type = ART_T_UINT64, .root = root,
				     .op = kind == ART_C_REDUCE ? ART_O_SUM : 0 };
	struct cluster_call end = { .kind = ART_C_FINALIZE };
	struct cluster_cfg cfg;
	struct cluster *c;
	unsigned bad;

	cluster_defaults(&cfg, n, 1);
	cfg.name = "one_root";
	cfg.tune = tune;
	c = cluster_create(&cfg);
	if (!c)
		return 1;
	for (int i = 0; i < IN_FLIGHT; i++)
		cluster_call(c, CLUSTER_ALL, &call);
	cluster_call(c, CLUSTER_ALL, &end);
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "not all programs have ended");
	bad = cluster_violations(c);
	if (bad) {
		printf("%s of %d ranks, root %d, %llu elements:\n", kind == ART_C_REDUCE ? "reduce" : "bcast", n,
		       root, (unsigned long long)count);
		cluster_print(c, stdout);
	}
	return bad + cluster_destroy(c);
}

static unsigned one_root(void)
{
	unsigned failed = 0;

	for (int n = 2; n <= 9; n++)
		for (int root = 0; root < n; root++) {
			failed += many_of(n, root, ART_C_REDUCE, 1, small_log);
			failed += many_of(n, root, ART_C_BCAST, 1, small_log);
		}
	for (int root = 0; root < 3; root++) {
		failed += many_of(3, root, ART_C_REDUCE, LONG_COUNT, log_of_four);
		failed += many_of(3, root, ART_C_BCAST, LONG_COUNT, log_of_four);
	}
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 601;
	unsigned failed = 0;
	char *rest;

	if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
		first = strtoull(argv[2], &rest, 10);
		last = *rest == ':' ? strtoull(rest + 1, NULL, 10) : first + 1;
	} else if (argc > 1) {
		fprintf(stderr, "usage: full_log [--seed A[:B]]\n");
		return 2;
	} else {
		failed += long_sums() + one_root();
	}
	for (uint64_t seed = first; seed < last; seed++)
		if (run(seed)) {
			printf("FAIL full_log --seed %llu\n", (unsigned long long)seed);
			failed++;
		}
	printf("%llu seeds, %u failed\n", (unsigned long long)(last - first), failed);
	return failed != 0;
}
