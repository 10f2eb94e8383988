/* SPDX-License-Identifier: MIT
 *
 * A simulated job again and again, with what happens to it a little later each time, for several seeds:
 *
 *   PROGRAM          all of them, until five have failed
 *   PROGRAM NS SEED  one, event by event: what a failure prints
 */
#ifndef ART_TEST_SWEEP_H
#define ART_TEST_SWEEP_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/cluster.h"

struct sweep {
	uint64_t first_ns, last_ns, stride_ns, seeds;
	unsigned (*run)(uint64_t ns, uint64_t seed, bool verbose); /* violations */
};

/* Runs @c, and destroys it. Violations, printed with what repeats them. */
static inline unsigned sweep_run(struct cluster *c, const char *name, uint64_t ns, uint64_t seed)
{
	unsigned bad;

	cluster_run(c);
	bad = cluster_violations(c);
	if (bad) {
		printf("FAIL %s %llu %llu\n", name, (unsigned long long)ns, (unsigned long long)seed);
		cluster_print(c, stdout);
	}
	return bad + cluster_destroy(c);
}

/* How many have failed. */
static inline unsigned sweep(const struct sweep *s, int argc, char **argv)
{
	unsigned bad = 0, runs = 0;

	if (argc == 3)
		return s->run(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), true);
	for (uint64_t seed = 1; seed <= s->seeds; seed++)
		for (uint64_t ns = s->first_ns; ns < s->last_ns && bad < 5; ns += s->stride_ns, runs++)
			bad += s->run(ns, seed, false);
	printf("%u runs, %u failed\n", runs, bad);
	return bad;
}

#endif
