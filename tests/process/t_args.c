/* SPDX-License-Identifier: MIT
 *
 * Description: wrong arguments are refused with the right code, nothing is written, nobody is left
 * behind: after each refusal the communicator works. All ranks make the same mistake; at the end
 * one rank alone does, and all get its error and its name.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tests/process/check.h"

#define W ART_COMM_WORLD
#define BAD(kind, n) ((void *)(uintptr_t)((uint64_t)(kind) << 56 | (n)))

static int a[4], b[4];

static void wrong_communicators(void)
{
	int x;

	CHECK_RC(art_barrier(ART_COMM_NULL), ART_ERR_COMM);
	CHECK_RC(art_barrier(BAD(1, 12345)), ART_ERR_COMM);
	CHECK_RC(art_barrier(BAD(1, 0xffffffffffff)), ART_ERR_COMM);
	CHECK_RC(art_barrier((art_comm_t)ART_INT32), ART_ERR_COMM);
	CHECK_RC(art_barrier((art_comm_t)&x), ART_ERR_COMM);
	CHECK_RC(art_comm_rank(ART_COMM_NULL, &x), ART_ERR_COMM);
	CHECK_RC(art_comm_size(BAD(9, 1), &x), ART_ERR_COMM);
	CHECK_RC(art_bcast(a, 1, ART_INT32, 0, BAD(1, 2)), ART_ERR_COMM);
	check_works(W);
}

static void wrong_types_and_counts(void)
{
	CHECK_RC(art_bcast(a, 1, ART_TYPE_NULL, 0, W), ART_ERR_TYPE);
	CHECK_RC(art_bcast(a, 1, BAD(2, 21), 0, W), ART_ERR_TYPE);
	CHECK_RC(art_bcast(a, 1, (art_type_t)ART_SUM, 0, W), ART_ERR_TYPE);
	CHECK_RC(art_bcast(a, SIZE_MAX / 2, ART_INT32, 0, W), ART_ERR_COUNT);
	CHECK_RC(art_bcast(a, SIZE_MAX / 4 + 2, ART_INT32, 0, W), ART_ERR_COUNT);
	CHECK_RC(art_bcast(a, (size_t)-1, ART_BYTE, 0, W), ART_ERR_COUNT);
	CHECK_RC(art_allreduce(a, b, SIZE_MAX / 8, ART_DOUBLE_COMPLEX, ART_SUM, W), ART_ERR_COUNT);
	check_works(W);
}

static void wrong_roots(void)
{
	CHECK_RC(art_bcast(a, 1, ART_INT32, my_size, W), ART_ERR_ROOT);
	CHECK_RC(art_bcast(a, 1, ART_INT32, -1, W), ART_ERR_ROOT);
	CHECK_RC(art_reduce(a, b, 1, ART_INT32, ART_SUM, 1 << 30, W), ART_ERR_ROOT);
	check_works(W);
}

static void wrong_operators(void)
{
	CHECK_RC(art_allreduce(a, b, 1, ART_INT32, ART_OP_NULL, W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_INT32, BAD(3, 13), W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_INT32, BAD(3, 1 << 24 | 1), W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_FLOAT, ART_BAND, W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_INT32, ART_MINLOC, W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_BYTE, ART_SUM, W), ART_ERR_OP);
	CHECK_RC(art_allreduce(a, b, 1, ART_FLOAT_COMPLEX, ART_MAX, W), ART_ERR_OP);
	check_works(W);
}

static void wrong_buffers(void)
{
	CHECK_RC(art_bcast(NULL, 1, ART_INT32, 0, W), ART_ERR_ARG);
	CHECK_RC(art_bcast(ART_IN_PLACE, 1, ART_INT32, 0, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(NULL, b, 1, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(a, NULL, 1, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(a, ART_IN_PLACE, 1, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(ART_IN_PLACE, NULL, 1, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(a, a, 1, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(a, a + 1, 2, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	CHECK_RC(art_allreduce(a + 1, a, 2, ART_INT32, ART_SUM, W), ART_ERR_ARG);
	OK(art_allreduce(a, a + 2, 2, ART_INT32, ART_SUM, W)); /* neighbours are fine */
	CHECK_RC(art_reduce(NULL, b, 1, ART_INT32, ART_SUM, 0, W), ART_ERR_ARG);
	check_works(W);
}

static void null_where_it_is_fine(void)
{
	OK(art_bcast(NULL, 0, ART_INT32, 0, W));
	OK(art_allreduce(NULL, NULL, 0, ART_INT32, ART_SUM, W));
	OK(art_reduce(NULL, NULL, 0, ART_INT32, ART_SUM, 0, W));
	OK(art_reduce(a, my_rank ? NULL : b, 1, ART_INT32, ART_SUM, 0, W));
	check_works(W);
}

static void wrong_outputs(void)
{
	art_request_t none = ART_REQUEST_NULL, foreign = BAD(4, 1 << 24 | 1);
	int done = 7;

	CHECK_RC(art_comm_rank(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_size(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_alive(W, 0, NULL), ART_ERR_ARG);
	CHECK_RC(art_alive(W, my_size, &done), ART_ERR_ARG);
	CHECK_RC(art_alive_count(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_dup(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_free(NULL), ART_ERR_ARG);
	CHECK_RC(art_ibarrier(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_wait(NULL, NULL), ART_ERR_ARG);
	CHECK_RC(art_wait(&foreign, NULL), ART_ERR_ARG);
	CHECK_RC(art_test(&none, NULL, NULL), ART_ERR_ARG);
	CHECK_RC(art_test(&foreign, &done, NULL), ART_ERR_ARG);
	CHECK_RC(art_waitall(-1, &none, NULL), ART_ERR_COUNT);
	CHECK_RC(art_waitall(1, NULL, NULL), ART_ERR_ARG);
	CHECK(done == 7);
	OK(art_test(&none, &done, NULL));
	CHECK(done == 1);
	OK(art_wait(&none, NULL));
	OK(art_waitall(0, NULL, NULL));
	CHECK_RC(art_comm_set_loss(W, (art_loss_t)17), ART_ERR_ARG);
	CHECK_RC(art_comm_set_deadline(W, NAN), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "allreduce", "circle"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "bcast", "doubling"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "bcast", "tree:0"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "bcast", "chain:2"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "barrier", "tree"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, NULL, "tree"), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(W, "bcast", NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_set_algorithm(ART_COMM_NULL, "bcast", "tree"), ART_ERR_COMM);
	check_works(W);
}

static void statuses(void)
{
	art_status_t st, empty;
	uint64_t epoch;
	int n = -1;

	memset(&empty, 0, sizeof(empty));
	CHECK_RC(art_status_contributors(NULL, &n), ART_ERR_ARG);
	CHECK_RC(art_status_error(&empty, &n), ART_ERR_ARG);
	memset(&empty, 0xa5, sizeof(empty));
	CHECK_RC(art_status_contributors(&empty, &n), ART_ERR_ARG);
	check_works(W);
	OK(art_last_status(W, &st));
	CHECK_RC(art_bcast(a, 1, ART_INT32, my_size, W), ART_ERR_ROOT);
	OK(art_last_status(W, &st)); /* a refused call leaves it unchanged */
	OK(art_status_error(&st, &n));
	CHECK(n == ART_SUCCESS);
	OK(art_status_contributors(&st, &n));
	CHECK(n == my_size);
	for (int i = 0; i < my_size; i++) {
		OK(art_status_contributed(&st, i, &n));
		CHECK(n == 1);
		OK(art_status_blamed(&st, i, &n));
		CHECK(n == 0);
	}
	CHECK_RC(art_status_contributed(&st, my_size, &n), ART_ERR_ARG);
	CHECK_RC(art_status_contributed(&st, 0, NULL), ART_ERR_ARG);
	OK(art_status_replays(&st, &n));
	CHECK(n == 0);
	OK(art_status_epoch(&st, &epoch));
	CHECK_RC(art_last_status(W, NULL), ART_ERR_ARG);
}

/* One rank's mistake is everybody's outcome, and everybody is told whose it was. */
static void one_rank_is_wrong(int who)
{
	art_status_t st;
	int rc, n = -1;

	check_works(W);
	rc = art_allreduce(a, b, 1, my_rank == who ? ART_TYPE_NULL : ART_INT32, ART_SUM, W);
	CHECK_RC(rc, ART_ERR_TYPE);
	if (my_rank != who) {
		OK(art_last_status(W, &st));
		OK(art_status_error(&st, &n));
		CHECK(n == ART_ERR_TYPE);
		OK(art_status_blamed(&st, who, &n));
		CHECK(n == 1);
		OK(art_status_blamed(&st, my_rank, &n));
		CHECK(n == 0);
	}
	check_works(W);
}

int main(void)
{
	begin_quietly();
	wrong_communicators();
	wrong_types_and_counts();
	wrong_roots();
	wrong_operators();
	wrong_buffers();
	null_where_it_is_fine();
	wrong_outputs();
	statuses();
	for (int who = 0; who < my_size; who++)
		one_rank_is_wrong(who);
	return finish();
}
