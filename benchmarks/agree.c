/* SPDX-License-Identifier: MIT
 *
 * Benchmarks of what survivors come to terms with: art_agree, and art_comm_shrink with the free of what it
 * made. Nobody is lost meanwhile: that is what they cost a program that calls them to be sure.
 */
#include "bench.h"

static void fill(struct bench *b)
{
	*(int *)b->out = (int)(1u << (b->iter % 16)) | 1 << (16 + b->rank % 8);
}

static int run_agree(struct bench *b)
{
	return art_agree(ART_COMM_WORLD, b->out);
}

static bool all_took_part(const struct bench *b)
{
	art_status_t status;
	int n = -1;

	return art_last_status(ART_COMM_WORLD, &status) == ART_SUCCESS &&
	       art_status_contributors(&status, &n) == ART_SUCCESS && n == b->size;
}

static bool check_agree(const struct bench *b)
{
	int common = (int)(1u << (b->iter % 16)) | (b->size == 1 ? 1 << 16 : 0);

	return *(const int *)b->out == common && all_took_part(b);
}

static int run_shrink(struct bench *b)
{
	art_comm_t c;
	int rc = art_comm_shrink(ART_COMM_WORLD, &c);

	if (!rc)
		rc = art_comm_size(c, b->out);
	return rc ? rc : art_comm_free(&c);
}

static bool check_shrink(const struct bench *b)
{
	return *(const int *)b->out == b->size && all_took_part(b);
}

const struct bench_op bench_agree = {
	.name = "agree",
	.what = "the bitwise and of a flag, whoever fails",
	.synchronises = true,
	.apart = true,
	.fill = fill,
	.run = run_agree,
	.check = check_agree,
};

const struct bench_op bench_shrink = {
	.name = "shrink",
	.what = "a communicator of the survivors, and its free",
	.synchronises = true,
	.apart = true,
	.fill = fill,
	.run = run_shrink,
	.check = check_shrink,
};
