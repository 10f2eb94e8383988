/* SPDX-License-Identifier: MIT
 *
 * Benchmark of art_bcast: from rank 0 to all.
 */
#include <string.h>

#include "bench.h"

static void fill(struct bench *b)
{
	if (b->rank == 0)
		bench_fill(b);
	else
		memset(b->in, 0xee, b->count * b->type->bytes);
}

static int run(struct bench *b)
{
	return art_bcast(b->in, b->count, b->type->type, 0, ART_COMM_WORLD);
}

static bool check(const struct bench *b)
{
	return bench_check_copy(b, 0);
}

const struct bench_op bench_bcast = {
	.name = "bcast",
	.what = "from rank 0 to all",
	.sized = true,
	.fill = fill,
	.run = run,
	.check = check,
};
