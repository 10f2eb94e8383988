/* SPDX-License-Identifier: MIT
 *
 * Description: communicators with flags, with real deaths: the bits of reproducible results for every root,
 * length and kind of call, compared with a sum in the documented shape, before and after a loss;
 * uniform returns leave nothing pending; a reduce survives its root. On one or two ranks nobody dies.
 */
#include <signal.h>
#include <string.h>

#include "tests/process/check.h"

#define W ART_COMM_WORLD
enum { LONG = 70000 };

static double in[LONG], out[LONG];

/* Any other order of adding gives other bits, for some of the elements at least. */
static double input(int rank, int i)
{
	static const double scale[5] = { 1e-9, 1.0, 3e7, 1e16, 7e-3 };
	uint32_t h = (uint32_t)rank * 7919 + (uint32_t)i * 104729;

	return scale[(rank * 3 + i) % 5] * (double)(1 + h % 1000003) / 3;
}

static double sum_in_shape(const int *rank, int n, int i)
{
	int half = 1;

	if (n == 1)
		return input(rank[0], i);
	while (2 * half < n)
		half *= 2;
	return sum_in_shape(rank, half, i) + sum_in_shape(rank + half, n - half, i);
}

static void check_sum(const int *rank, int n, int count)
{
	for (int i = 0; i < count; i++) {
		double want = sum_in_shape(rank, n, i);

		CHECK(memcmp(&want, &out[i], sizeof(want)) == 0);
	}
}

static void add(const void *a, void *b, size_t count, art_type_t type, void *ctx)
{
	const double *x = a;
	double *y = b;

	(void)ctx;
	CHECK(type == ART_DOUBLE);
	for (size_t i = 0; i < count; i++)
		y[i] = x[i] + y[i];
}

/* @rank[@n] are the living. */
static void bits_are_those_of_the_shape(art_comm_t c, const int *rank, int n)
{
	static const int counts[] = { 1, 5, 3000, LONG };
	art_op_t user;

	OK(art_op_create(add, ART_OP_COMMUTATIVE, NULL, &user));
	for (int k = 0; k < 4; k++) {
		int count = counts[k];

		OK(art_allreduce(in, out, (size_t)count, ART_DOUBLE, ART_SUM, c));
		check_sum(rank, n, count);
		OK(art_allreduce(in, out, (size_t)count, ART_DOUBLE, user, c));
		check_sum(rank, n, count);
		for (int r = 0; r < n; r++) {
			OK(art_reduce(in, out, (size_t)count, ART_DOUBLE, r % 2 ? user : ART_SUM, rank[r],
				      c));
			if (my_rank == rank[r])
				check_sum(rank, n, count);
		}
	}
	OK(art_op_free(&user));
}

static void wrong_flags(void)
{
	art_comm_t c;
	int rc;

	CHECK_RC(art_comm_set_flags(ART_COMM_NULL, 0), ART_ERR_COMM);
	CHECK_RC(art_comm_set_flags(W, 8), ART_ERR_ARG);
	CHECK_RC(art_comm_set_flags(W, -1), ART_ERR_ARG);
	if (my_size > 1)
		CHECK_RC(art_comm_set_flags(W, my_rank ? ART_UNIFORM : 0), ART_ERR_MISMATCH);
	OK(art_comm_dup(W, &c));
	OK(art_comm_set_flags(c, ART_ROOT_SUCCESSOR));
	rc = art_reduce(in, my_rank ? NULL : out, 1, ART_DOUBLE, ART_SUM, 0, c);
	CHECK(rc == (my_size > 1 ? ART_ERR_ARG : ART_SUCCESS));
	OK(art_comm_free(&c));
}

static void nothing_is_pending(void)
{
	int n = -1, replays;
	art_status_t st;
	art_comm_t c;

	OK(art_comm_dup(W, &c));
	OK(art_comm_set_flags(c, ART_UNIFORM));
	for (int i = 0; i < 50; i++) {
		int root = i % my_size;

		OK(art_reduce(in, out, 3, ART_DOUBLE, ART_SUM, root, c));
		OK(art_last_status(c, &st));
		OK(art_status_contributors(&st, &n));
		OK(art_status_replays(&st, &replays));
		CHECK(n == my_size && replays == 0);
		OK(art_bcast(out, 3, ART_DOUBLE, root, c));
		OK(art_last_status(c, &st));
		OK(art_status_contributors(&st, &n));
		CHECK(n == my_size);
	}
	OK(art_comm_free(&c));
}

/* The last rank dies as the root; everyone else gets the sum of those who are left, or with it. */
static void a_reduce_survives_its_root(art_comm_t c)
{
	int root = my_size - 1, with = 0, ranks[64];
	art_status_t st;

	for (int i = 0; i < my_size; i++)
		ranks[i] = i;
	if (my_rank == root)
		raise(SIGKILL);
	OK(art_reduce(in, out, LONG, ART_DOUBLE, ART_SUM, root, c));
	OK(art_last_status(c, &st));
	OK(art_status_contributed(&st, root, &with));
	check_sum(ranks, my_size - !with, LONG);
}

int main(void)
{
	int living[64], n = 0;
	art_comm_t repro, all;

	begin_quietly();
	for (int i = 0; i < LONG; i++)
		in[i] = input(my_rank, i);
	for (int r = 0; r < my_size; r++)
		living[n++] = r;
	wrong_flags();
	OK(art_comm_dup(W, &repro));
	OK(art_comm_set_flags(repro, ART_REPRODUCIBLE));
	OK(art_comm_dup(repro, &all)); /* inherits */
	bits_are_those_of_the_shape(all, living, n);
	nothing_is_pending();
	OK(art_comm_set_flags(all, ART_REPRODUCIBLE | ART_ROOT_SUCCESSOR));
	if (my_size > 2) {
		a_reduce_survives_its_root(all);
		OK(art_barrier(W));
		bits_are_those_of_the_shape(repro, living, n - 1);
		bits_are_those_of_the_shape(all, living, n - 1);
	}
	return finish();
}
