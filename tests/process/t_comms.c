/* SPDX-License-Identifier: MIT
 *
 * Description: communicators as programs see them: split, create, dup of each other, their ranks and
 * translations; every collective on several at once, in another order at every rank; policies
 * and deadlines of their own; and what is refused.
 */
#include <string.h>

#include "tests/process/check.h"

#define W ART_COMM_WORLD

static int world_rank(art_comm_t comm, int rank)
{
	int out;

	OK(art_comm_translate(comm, rank, W, &out));
	return out;
}

/* Everyone's rank in the world, added up on @comm, is what its members say. */
static void check_members(art_comm_t comm)
{
	int size, rank, want = 0, in = my_rank + 1, out = -1, back, yes;

	OK(art_comm_size(comm, &size));
	OK(art_comm_rank(comm, &rank));
	CHECK(world_rank(comm, rank) == my_rank);
	OK(art_comm_translate(W, my_rank, comm, &back));
	CHECK(back == rank);
	for (int r = 0; r < size; r++) {
		want += world_rank(comm, r) + 1;
		OK(art_alive(comm, r, &yes));
		CHECK(yes);
	}
	OK(art_alive_count(comm, &yes));
	CHECK(yes == size);
	OK(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, comm));
	CHECK(out == want);
}

static void split_orders_by_key_and_rank(void)
{
	int last = my_size - 1, rank, size, other;
	art_comm_t c;

	OK(art_comm_split(W, 7, -my_rank, &c)); /* everyone, backwards */
	OK(art_comm_rank(c, &rank));
	OK(art_comm_size(c, &size));
	CHECK(size == my_size && rank == last - my_rank);
	for (int r = 0; r < size; r++)
		CHECK(world_rank(c, r) == last - r);
	check_members(c);
	OK(art_comm_free(&c));

	OK(art_comm_split(W, my_rank % 2, 0, &c));
	OK(art_comm_rank(c, &rank));
	CHECK(rank == my_rank / 2);
	other = (my_rank + 1) % my_size;
	OK(art_comm_translate(W, other, c, &rank));
	CHECK((rank == ART_UNDEFINED) == (other % 2 != my_rank % 2));
	check_members(c);
	OK(art_comm_free(&c));
	CHECK(c == ART_COMM_NULL);
}

static void some_are_in_none(void)
{
	art_comm_t c = W;

	OK(art_comm_split(W, my_rank ? 1 : ART_UNDEFINED, 0, &c));
	CHECK((c == ART_COMM_NULL) == (my_rank == 0));
	if (c != ART_COMM_NULL) {
		check_members(c);
		OK(art_comm_free(&c));
	}
	check_works(W);
}

static void lists_are_kept_in_order(void)
{
	int list[64], n = 0, rank, size;
	art_comm_t c = W;

	for (int r = my_size - 1; r >= 0; r -= 2)
		list[n++] = r;
	OK(art_comm_create(W, n, list, &c));
	CHECK((c == ART_COMM_NULL) == ((my_size - 1 - my_rank) % 2 != 0));
	if (c != ART_COMM_NULL) {
		OK(art_comm_rank(c, &rank));
		OK(art_comm_size(c, &size));
		CHECK(size == n && list[rank] == my_rank);
		check_members(c);
		OK(art_comm_free(&c));
	}
	OK(art_comm_create(W, 0, NULL, &c));
	CHECK(c == ART_COMM_NULL);
}

static void children_outlive_parents(void)
{
	art_comm_t a, b, c;

	OK(art_comm_dup(W, &a));
	OK(art_comm_split(a, my_rank / 2, -my_rank, &b));
	OK(art_comm_free(&a));
	OK(art_comm_split(b, 0, my_rank, &c)); /* the other way round again */
	OK(art_comm_free(&b));
	check_members(c);
	OK(art_comm_free(&c));
}

enum { COMMS = 5, DEPTH = 8 };

static void start(art_comm_t comm, int d, int *in, int *out, art_request_t *req)
{
	int size, rank, root;

	OK(art_comm_size(comm, &size));
	OK(art_comm_rank(comm, &rank));
	root = d % size;
	*in = my_rank + d;
	*out = d % 4 == 1 && rank == root ? d : -1;
	if (d % 4 == 0)
		OK(art_iallreduce(in, out, 1, ART_INT32, ART_SUM, comm, req));
	else if (d % 4 == 1)
		OK(art_ibcast(out, 1, ART_INT32, root, comm, req));
	else if (d % 4 == 2)
		OK(art_ireduce(in, out, 1, ART_INT32, ART_SUM, root, comm, req));
	else
		OK(art_ibarrier(comm, req));
}

static void check_result(art_comm_t comm, int d, int out)
{
	int size, rank, sum = 0;

	OK(art_comm_size(comm, &size));
	OK(art_comm_rank(comm, &rank));
	for (int r = 0; r < size; r++)
		sum += world_rank(comm, r) + d;
	if (d % 4 == 0 || (d % 4 == 2 && rank == d % size))
		CHECK(out == sum);
	else if (d % 4 == 1)
		CHECK(out == d);
}

/* Overlapping communicators, each in the same order at all its ranks, between them in another. */
static void all_collectives_at_once(void)
{
	int in[COMMS][DEPTH], out[COMMS][DEPTH], list[64];
	art_request_t req[COMMS][DEPTH];
	art_comm_t c[COMMS] = {W};

	for (int r = 0; r < my_size; r++)
		list[r] = (r + 1) % my_size;
	OK(art_comm_dup(W, &c[1]));
	OK(art_comm_split(W, my_rank % 2, -my_rank, &c[2]));
	OK(art_comm_split(c[1], my_rank / 3, 0, &c[3]));
	OK(art_comm_create(c[1], my_size, list, &c[4]));
	for (int d = 0; d < DEPTH; d++)
		for (int j = 0; j < COMMS; j++) {
			int k = (j + my_rank) % COMMS;

			start(c[k], d, &in[k][d], &out[k][d], &req[k][d]);
		}
	for (int j = 0; j < COMMS; j++)
		OK(art_waitall(DEPTH, req[(j + 2 * my_rank) % COMMS], NULL));
	for (int k = 0; k < COMMS; k++)
		for (int d = 0; d < DEPTH; d++)
			check_result(c[k], d, out[k][d]);
	for (int k = 1; k < COMMS; k++)
		OK(art_comm_free(&c[k]));
}

/* A child begins with its parent's deadline and keeps it when the parent's changes; a time-out of one
 * part is none of the other's. Rank 0 comes to its part's barrier only when that has ended. */
static void deadlines_are_inherited_and_separate(void)
{
	int colour = my_rank % 2, code, yes = 0, size, rc;
	art_comm_t parent, child, quiet;
	art_status_t s;

	OK(art_comm_dup(W, &quiet));
	OK(art_comm_dup(W, &parent));
	OK(art_comm_set_deadline(parent, 0.2));
	do /* it binds the split, too, and this machine may be slow: alike at all ranks */
		rc = art_comm_split(parent, colour, 0, &child);
	while (rc == ART_ERR_TIMEOUT);
	OK(rc);
	OK(art_comm_set_deadline(parent, 0));
	OK(art_comm_size(child, &size));
	if (my_rank == 0)
		OK(art_barrier(quiet));
	do
		code = art_barrier(child);
	while (colour == 1 && code == ART_ERR_TIMEOUT);
	if (my_rank != 0)
		OK(art_barrier(quiet));
	if (colour == 0 && size > 1) {
		CHECK_RC(code, ART_ERR_TIMEOUT);
		OK(art_last_status(child, &s));
		OK(art_status_blamed(&s, 0, &yes));
		CHECK(yes);
	} else {
		OK(code);
	}
	OK(art_comm_set_deadline(child, 0));
	check_members(child);
	OK(art_comm_free(&child));
	OK(art_comm_free(&quiet));
	OK(art_comm_free(&parent));
}

/* A child begins with its parent's algorithms; ranks that have set others are told. */
static void algorithms_are_inherited(void)
{
	enum { N = 30000 };
	static int64_t in[N], out[N];
	art_comm_t parent, child;
	int64_t sum = (int64_t)my_size * (my_size + 1) / 2;

	for (int i = 0; i < N; i++)
		in[i] = (my_rank + 1) * (int64_t)(i + 1);
	OK(art_comm_dup(W, &parent));
	OK(art_comm_set_algorithm(parent, "allreduce", "ring"));
	OK(art_comm_dup(parent, &child));
	OK(art_allreduce(in, out, N, ART_INT64, ART_SUM, child));
	for (int i = 0; i < N; i++)
		CHECK(out[i] == sum * (i + 1));
	if (my_rank == 0)
		OK(art_comm_set_algorithm(child, "allreduce", "auto"));
	if (my_size > 1)
		CHECK_RC(art_allreduce(in, out, N, ART_INT64, ART_SUM, child), ART_ERR_MISMATCH);
	OK(art_comm_set_algorithm(child, "allreduce", "tree"));
	OK(art_allreduce(in, out, N, ART_INT64, ART_SUM, child));
	CHECK(out[N - 1] == sum * N);
	OK(art_comm_set_algorithm(child, "allreduce", my_rank == 0 ? "tree:2" : "tree:3"));
	if (my_size > 1)
		CHECK_RC(art_allreduce(in, out, N, ART_INT64, ART_SUM, child), ART_ERR_MISMATCH);
	OK(art_comm_free(&child));
	OK(art_comm_free(&parent));
}

static void wrong_calls_are_refused(void)
{
	int twice[2] = {0, 0}, none[1] = {my_size}, minus[1] = {-1}, mine[1] = {my_rank}, x = 5;
	art_comm_t c = W;

	CHECK_RC(art_comm_split(ART_COMM_NULL, 0, 0, &c), ART_ERR_COMM);
	CHECK_RC(art_comm_split(W, 0, 0, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, 2, twice, &c), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, 1, none, &c), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, 1, minus, &c), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, -1, twice, &c), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, 1, NULL, &c), ART_ERR_ARG);
	CHECK_RC(art_comm_create(W, 1, mine, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_translate(W, my_size, W, &x), ART_ERR_ARG);
	CHECK_RC(art_comm_translate(W, -1, W, &x), ART_ERR_ARG);
	CHECK_RC(art_comm_translate(W, 0, ART_COMM_NULL, &x), ART_ERR_COMM);
	CHECK_RC(art_comm_translate(W, 0, W, NULL), ART_ERR_ARG);
	CHECK(c == W && x == 5);
	if (my_size > 1) {
		CHECK_RC(art_comm_create(W, 1, mine, &c), ART_ERR_MISMATCH);
		CHECK_RC(art_comm_split(W, 0, 0, my_rank ? &c : NULL), ART_ERR_ARG);
		CHECK(c == W);
	}
	check_works(W);
}

int main(void)
{
	begin_quietly();
	split_orders_by_key_and_rank();
	some_are_in_none();
	lists_are_kept_in_order();
	children_outlive_parents();
	all_collectives_at_once();
	deadlines_are_inherited_and_separate();
	algorithms_are_inherited();
	wrong_calls_are_refused();
	return finish();
}
