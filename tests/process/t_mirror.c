/* SPDX-License-Identifier: MIT
 *
 * Description: ART_LOSS_MIRROR with a real death: the last rank has begun an allreduce and a broadcast
 * of which it is the root, its inputs are kept, and it kills itself before anybody else has called
 * them. Both have the results of a run without failure; what comes after is without it.
 */
#include <signal.h>

#include "tests/process/check.h"

#define W ART_COMM_WORLD
#define N 2000 /* one message: a longer input is kept only when the last one has been answered */

static int64_t mine[N], sum[N], news[N];

static int64_t value(int rank, int i)
{
	return ((int64_t)1 << (8 * rank)) + i;
}

/* Returns when a buddy keeps what this rank gave to @safe; what it gave before, to any communicator, went
 * to the same buddy the same way. */
static void be_kept(art_comm_t safe)
{
	int32_t one = 1, all;

	OK(art_reduce(&one, &all, 1, ART_INT32, ART_SUM, 0, safe));
}

static void begin_and_die(art_comm_t comm, art_comm_t safe)
{
	art_request_t r[2];

	OK(art_iallreduce(mine, sum, N, ART_INT64, ART_SUM, comm, &r[0]));
	OK(art_ibcast(mine, N, ART_INT64, my_rank, comm, &r[1]));
	be_kept(safe);
	raise(SIGKILL);
}

static void check_contributors(art_comm_t comm, int want, int last)
{
	art_status_t st;
	int count, yes;

	OK(art_last_status(comm, &st));
	OK(art_status_contributors(&st, &count));
	OK(art_status_contributed(&st, my_size - 1, &yes));
	CHECK(count == want && yes == last);
}

static void nothing_is_lost(art_comm_t comm)
{
	OK(art_allreduce(mine, sum, N, ART_INT64, ART_SUM, comm));
	for (int i = 0; i < N; i++) {
		int64_t want = 0;

		for (int r = 0; r < my_size; r++)
			want += value(r, i);
		CHECK(sum[i] == want);
	}
	check_contributors(comm, my_size, 1);
	OK(art_bcast(news, N, ART_INT64, my_size - 1, comm));
	for (int i = 0; i < N; i++)
		CHECK(news[i] == value(my_size - 1, i));
}

static void nor_counted_again(art_comm_t comm)
{
	int64_t one = 1, count;

	OK(art_allreduce(&one, &count, 1, ART_INT64, ART_SUM, comm));
	CHECK(count == my_size - 1);
	check_contributors(comm, my_size - 1, 0);
}

int main(void)
{
	art_comm_t comm, safe;

	begin_quietly();
	OK(art_comm_dup(W, &comm));
	CHECK_RC(art_comm_set_loss(comm, (art_loss_t)3), ART_ERR_ARG);
	OK(art_comm_set_loss(comm, ART_LOSS_MIRROR));
	OK(art_comm_dup(comm, &safe)); /* with the same policy */
	for (int i = 0; i < N; i++)
		mine[i] = value(my_rank, i);
	if (my_size > 1 && my_rank == my_size - 1)
		begin_and_die(comm, safe);
	if (my_size > 1) {
		be_kept(safe);
		nothing_is_lost(comm);
		nor_counted_again(comm);
	} else {
		OK(art_allreduce(mine, sum, N, ART_INT64, ART_SUM, comm));
		CHECK(sum[N - 1] == value(0, N - 1));
	}
	OK(art_comm_free(&safe));
	OK(art_comm_free(&comm));
	return finish();
}
