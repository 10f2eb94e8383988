/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_allreduce: a sum of 64-bit integers.
 */
#include "bench.h"

static int run(struct bench *b)
{
	return art_allreduce(b->in, b->out, b->count, ART_UINT64, ART_SUM, ART_COMM_WORLD);
}

const struct bench_op bench_allreduce = {
	.name = "allreduce",
	.what = "sum of 64-bit integers, result everywhere",
	.sized = true,
	.synchronises = true,
	.fill = bench_fill,
	.run = run,
	.check = bench_check_sum,
};
