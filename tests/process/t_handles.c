/* SPDX-License-Identifier: MIT
 *
 * Description: handles of communicators, operators and requests: made, used, freed, used again,
 * by the hundred; a stale one is an error and never somebody else's.
 */
#include <stdint.h>

#include "tests/process/check.h"

#define MANY 100

static void sum(const void *in, void *inout, size_t count, art_type_t type, void *ctx)
{
	const int *x = in;
	int *y = inout;

	(void)type;
	(void)ctx;
	for (size_t i = 0; i < count; i++)
		y[i] += x[i];
}

static void freed_communicators(void)
{
	art_comm_t c, stale;
	art_status_t st;
	int n;

	OK(art_comm_dup(ART_COMM_WORLD, &c));
	CHECK(c != ART_COMM_NULL && c != ART_COMM_WORLD);
	check_works(c);
	OK(art_last_status(c, &st));
	OK(art_status_contributors(&st, &n));
	CHECK(n == my_size);
	stale = c;
	OK(art_comm_free(&c));
	CHECK(c == ART_COMM_NULL);
	CHECK_RC(art_barrier(stale), ART_ERR_COMM);
	CHECK_RC(art_comm_size(stale, &n), ART_ERR_COMM);
	CHECK_RC(art_comm_free(&stale), ART_ERR_COMM);
	CHECK_RC(art_last_status(stale, &st), ART_ERR_COMM);
	OK(art_last_status(ART_COMM_WORLD, &st));
	CHECK_RC(art_status_contributors(&(art_status_t){{0}}, &n), ART_ERR_ARG);
	stale = ART_COMM_WORLD;
	CHECK_RC(art_comm_free(&stale), ART_ERR_COMM);
	CHECK(stale == ART_COMM_WORLD);
}

/* Slots are used again: no handle that was seen before ever comes back. */
static void no_handle_returns(void)
{
	static art_comm_t seen[MANY];

	for (int i = 0; i < MANY; i++) {
		art_comm_t c;

		OK(art_comm_dup(ART_COMM_WORLD, &c));
		seen[i] = c;
		for (int k = 0; k < i; k++)
			CHECK(seen[k] != c);
		OK(art_comm_free(&c));
	}
	for (int i = 0; i < MANY; i++)
		CHECK_RC(art_barrier(seen[i]), ART_ERR_COMM);
}

static void a_family_of_communicators(void)
{
	art_comm_t c[8];

	OK(art_comm_dup(ART_COMM_WORLD, &c[0]));
	for (int i = 1; i < 8; i++)
		OK(art_comm_dup(c[i - 1], &c[i]));
	for (int i = 7; i >= 0; i--)
		check_works(c[i]);
	OK(art_comm_free(&c[0])); /* children need nothing of a freed parent */
	for (int i = 1; i < 8; i++)
		check_works(c[i]);
	for (int i = 1; i < 8; i++)
		OK(art_comm_free(&c[i]));
}

static void operators(void)
{
	art_op_t op, stale, predefined = ART_SUM;
	int in = my_rank + 1, out = 0;

	CHECK_RC(art_op_create(NULL, 0, NULL, &op), ART_ERR_ARG);
	CHECK_RC(art_op_create(sum, 0, NULL, NULL), ART_ERR_ARG);
	CHECK_RC(art_op_create(sum, 64, NULL, &op), ART_ERR_ARG);
	CHECK_RC(art_op_free(NULL), ART_ERR_ARG);
	CHECK_RC(art_op_free(&predefined), ART_ERR_OP);
	OK(art_op_create(sum, ART_OP_COMMUTATIVE, NULL, &op));
	OK(art_allreduce(&in, &out, 1, ART_INT32, op, ART_COMM_WORLD));
	CHECK(out == sum_of_ranks());
	stale = op;
	OK(art_op_free(&op));
	CHECK(op == ART_OP_NULL);
	CHECK_RC(art_op_free(&stale), ART_ERR_OP);
	CHECK_RC(art_allreduce(&in, &out, 1, ART_INT32, stale, ART_COMM_WORLD), ART_ERR_OP);
	CHECK_RC(art_barrier((art_comm_t)stale), ART_ERR_COMM);
}

static void requests(void)
{
	static art_request_t req[MANY], copy[MANY];
	static int in[MANY], out[MANY];
	art_status_t st[MANY];

	for (int i = 0; i < MANY; i++) {
		in[i] = (my_rank + 1) * i;
		OK(art_iallreduce(&in[i], &out[i], 1, ART_INT32, ART_SUM, ART_COMM_WORLD, &req[i]));
		CHECK(req[i] != ART_REQUEST_NULL);
		copy[i] = req[i];
	}
	OK(art_waitall(MANY, req, st));
	for (int i = 0; i < MANY; i++) {
		int n = -1;

		CHECK(out[i] == sum_of_ranks() * i);
		CHECK(req[i] == ART_REQUEST_NULL);
		OK(art_status_contributors(&st[i], &n));
		CHECK(n == my_size);
		CHECK_RC(art_wait(&copy[i], NULL), ART_ERR_ARG);
	}
}

/* Open operations go on when their communicator is freed. */
static void free_with_open_requests(void)
{
	int in = my_rank + 1, out = 0;
	art_request_t req;
	art_comm_t c;

	OK(art_comm_dup(ART_COMM_WORLD, &c));
	OK(art_iallreduce(&in, &out, 1, ART_INT32, ART_SUM, c, &req));
	OK(art_comm_free(&c));
	OK(art_wait(&req, NULL));
	CHECK(out == sum_of_ranks());
}

int main(void)
{
	begin_quietly();
	freed_communicators();
	no_handle_returns();
	a_family_of_communicators();
	operators();
	requests();
	free_with_open_requests();
	check_works(ART_COMM_WORLD);
	return finish();
}
