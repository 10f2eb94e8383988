/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_reduce: a sum of 64-bit integers at rank 0.
 */
#include "bench.h"

static int run(struct bench *b)
{
	return art_reduce(b->in, b->out, b->count, ART_UINT64, ART_SUM, 0, ART_COMM_WORLD);
}

static bool check(const struct bench *b)
{
	return b->rank != 0 || bench_check_sum(b);
}

const struct bench_op bench_reduce = {
	.name = "reduce",
	.what = "sum of 64-bit integers, result at rank 0",
	.sized = true,
	.fill = bench_fill,
	.run = run,
	.check = check,
};
