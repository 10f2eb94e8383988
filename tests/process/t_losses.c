/* SPDX-License-Identifier: MIT
 *
 * Description: losses as programs meet them, with real deaths: agree and shrink among the survivors,
 * also under ART_LOSS_ERROR; who has failed; and the callback, told of each loss once and of an
 * operation that failed after it had returned. On one or two ranks nobody dies.
 */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/process/check.h"

#define W ART_COMM_WORLD

static atomic_int lost[64], late;
static int late_code, late_blamed;
static uint64_t late_operation;

static void on_notice(art_comm_t comm, const art_notice_t *n, void *ctx)
{
	int count = -1;

	CHECK(ctx == &late);
	OK(art_failed(comm, 0, NULL, &count)); /* local calls are allowed here */
	if (n->what == ART_NOTICE_LOST) {
		CHECK(n->rank >= 0 && n->rank < my_size && n->code == ART_ERR_PROC_FAILED);
		CHECK(count > 0 && n->epoch > 0);
		lost[n->rank]++;
		return;
	}
	CHECK(n->what == ART_NOTICE_FAILED);
	OK(art_status_error(&n->status, &late_code));
	CHECK(late_code == n->code);
	OK(art_status_blamed(&n->status, my_size - 2, &late_blamed));
	late_operation = n->operation;
	late++;
}

static void nobody_has_failed(void)
{
	int ranks[64], count = 7, flag = my_rank == 0 ? 0x0ff0 : 0x3c3c | my_rank << 16;
	int want = my_size == 1 ? 0x0ff0 : 0x0c30;
	art_comm_t c;

	OK(art_failed(W, 64, ranks, &count));
	CHECK(count == 0);
	OK(art_agree(W, &flag));
	CHECK(flag == want);
	OK(art_comm_shrink(W, &c));
	OK(art_comm_size(c, &count));
	CHECK(count == my_size);
	OK(art_comm_free(&c));
}

static void wrong_arguments(void)
{
	int ranks[1], count = 7;

	CHECK_RC(art_failed(W, 1, ranks, NULL), ART_ERR_ARG);
	CHECK_RC(art_failed(W, 1, NULL, &count), ART_ERR_ARG);
	CHECK_RC(art_failed(W, -1, ranks, &count), ART_ERR_ARG);
	CHECK_RC(art_agree(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_comm_shrink(W, NULL), ART_ERR_ARG);
	CHECK_RC(art_agree(ART_COMM_NULL, &count), ART_ERR_COMM);
	CHECK_RC(art_comm_set_notify(ART_COMM_NULL, on_notice, NULL), ART_ERR_COMM);
	CHECK(count == 7);
}

static void die(void)
{
	raise(SIGKILL);
}

/* The root of a reduce dies when all leaves may have returned; nobody has its result. */
static void a_late_failure_is_told(void)
{
	int root = my_size - 2, in = 1, out = 0, rc, returned, error;
	art_status_t st;

	if (my_rank == root)
		die();
	rc = art_reduce(&in, &out, 1, ART_INT32, ART_SUM, root, W);
	returned = rc == ART_SUCCESS;
	CHECK(returned || rc == ART_ERR_ROOT_LOST);
	OK(art_last_status(W, &st));
	OK(art_barrier(W));
	OK(art_barrier(W));
	CHECK(late == returned);
	if (returned) {
		CHECK(late_code == ART_ERR_ROOT_LOST && late_blamed == 1 && late_operation > 0);
		OK(art_status_error(&st, &error)); /* what the call had returned */
		CHECK(error == ART_SUCCESS);
	}
	CHECK(lost[root] == 1);
}

static void check_failed(int want)
{
	int ranks[64], count;

	OK(art_failed(W, 64, ranks, &count));
	CHECK(count == want);
	for (int i = 0; i < count; i++)
		CHECK(ranks[i] == my_size - count + i);
	memset(ranks, 0xff, sizeof(ranks));
	OK(art_failed(W, 1, ranks, &count));
	CHECK(count == want && ranks[0] == my_size - want && ranks[1] == -1);
}

/* Under ERROR the loss is an error once; then the survivors agree and shrink. */
static void survivors_agree_and_shrink(void)
{
	int flag = ~(1 << my_rank), mine = 1, sum, size, rank, yes;
	art_comm_t strict, c;
	art_status_t st;
	int rc;

	OK(art_comm_dup(W, &strict));
	OK(art_comm_set_loss(strict, ART_LOSS_ERROR));
	OK(art_barrier(W));
	if (my_rank == my_size - 1)
		die();
	rc = art_allreduce(&mine, &sum, 1, ART_INT32, ART_SUM, strict);
	CHECK_RC(rc, ART_ERR_PROC_FAILED);
	OK(art_agree(strict, &flag));
	OK(art_last_status(strict, &st));
	OK(art_status_contributed(&st, my_size - 1, &yes));
	CHECK(flag == (int)~((1u << (my_size - 1)) - 1) && yes == 0);
	OK(art_comm_shrink(strict, &c));
	OK(art_comm_size(c, &size));
	OK(art_comm_rank(c, &rank));
	CHECK(size == my_size - 1 && rank == my_rank);
	OK(art_allreduce(&mine, &sum, 1, ART_INT32, ART_SUM, c));
	CHECK(sum == size);
	OK(art_comm_free(&c));
	OK(art_comm_free(&strict));
	OK(art_barrier(W));
	check_failed(1);
	CHECK(lost[my_size - 1] == 1);
	OK(art_barrier(W)); /* the next one dies when all have looked */
}

int main(void)
{
	begin_quietly();
	OK(art_comm_set_notify(W, on_notice, &late));
	nobody_has_failed();
	wrong_arguments();
	if (my_size > 2) {
		/* a refused agree above is no loss */
		survivors_agree_and_shrink();
		a_late_failure_is_told();
		check_failed(2);
	}
	OK(art_comm_set_notify(W, NULL, NULL));
	return finish();
}
