/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_reduce: a reduction whose result rank 0 gets.
 */
#include "bench.h"

static int run(struct bench *b)
{
	return art_reduce(b->in, b->out, b->count, b->type->type, b->op->op, 0,
			  ART_COMM_WORLD);
}

static bool check(const struct bench *b)
{
	return b->rank != 0 || bench_check_reduced(b);
}

const struct bench_op bench_reduce = {
	.name = "reduce",
	.what = "reduction, result at rank 0",
	.sized = true,
	.reduces = true,
	.fill = bench_fill,
	.run = run,
	.check = check,
};
