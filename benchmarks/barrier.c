/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_barrier. Its result is that everyone was there: the contributor set says so.
 */
#include "bench.h"

static void fill(struct bench *b)
{
	(void)b;
}

static int run(struct bench *b)
{
	(void)b;
	return art_barrier(ART_COMM_WORLD);
}

static bool check(const struct bench *b)
{
	art_status_t status;
	int n = -1;

	return art_last_status(ART_COMM_WORLD, &status) == ART_SUCCESS &&
	       art_status_contributors(&status, &n) == ART_SUCCESS && n == b->size;
}

const struct bench_op bench_barrier = {
	.name = "barrier",
	.what = "everyone waits for everyone",
	.synchronises = true,
	.fill = fill,
	.run = run,
	.check = check,
};
