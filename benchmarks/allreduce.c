/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_allreduce: a reduction whose result all get.
 */
#include "bench.h"

static int run(struct bench *b)
{
	return art_allreduce(b->in, b->out, b->count, b->type->type, b->op->op, ART_COMM_WORLD);
}

const struct bench_op bench_allreduce = {
	.name = "allreduce",
	.what = "reduction, result everywhere",
	.sized = true,
	.reduces = true,
	.synchronises = true,
	.fill = bench_fill,
	.run = run,
	.check = bench_check_reduced,
};
