/* SPDX-License-Identifier: MIT
 *
 * Description: calls that do not fit together, and ranks that do not come in time: the same error
 * at every rank, with the names of those to blame, and the communicator works afterwards.
 */
#include "tests/process/check.h"

static void check_blamed(art_comm_t comm, int code, int who)
{
	art_status_t st;
	int n = -1;

	OK(art_last_status(comm, &st));
	OK(art_status_error(&st, &n));
	CHECK(n == code);
	OK(art_status_blamed(&st, who, &n));
	CHECK(n == 1);
	OK(art_status_contributors(&st, &n));
	CHECK(n == 0);
}

/* @who does something else than the others; both sides are named. */
static void mismatch(art_comm_t comm, int who)
{
	int a[2] = {1, 2}, b[2];

	if (my_rank == who)
		CHECK_RC(art_barrier(comm), ART_ERR_MISMATCH);
	else
		CHECK_RC(art_allreduce(a, b, 1, ART_INT32, ART_SUM, comm), ART_ERR_MISMATCH);
	check_blamed(comm, ART_ERR_MISMATCH, who);
	CHECK_RC(art_allreduce(a, b, my_rank == who ? 2 : 1, ART_INT32, ART_SUM, comm),
		 ART_ERR_MISMATCH);
	CHECK_RC(art_allreduce(a, b, 1, ART_INT32, my_rank == who ? ART_MAX : ART_SUM, comm),
		 ART_ERR_MISMATCH);
	CHECK_RC(art_allreduce(a, b, 1, my_rank == who ? ART_UINT32 : ART_INT32, ART_SUM, comm),
		 ART_ERR_MISMATCH);
	check_works(comm);
}

/* @who comes when the others' deadline is long over, and gets the same error. */
static void too_late(art_comm_t comm, int who)
{
	art_request_t req;
	int in = 1, out;

	OK(art_comm_set_deadline(comm, 0.05));
	if (my_rank != who) {
		CHECK_RC(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, comm), ART_ERR_TIMEOUT);
		check_blamed(comm, ART_ERR_TIMEOUT, who);
	}
	/* The others say on the world that they have been told. */
	OK(art_comm_set_deadline(comm, 0));
	OK(art_ibarrier(ART_COMM_WORLD, &req));
	OK(art_wait(&req, NULL));
	if (my_rank == who) {
		CHECK_RC(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, comm), ART_ERR_TIMEOUT);
		check_blamed(comm, ART_ERR_TIMEOUT, who);
	}
	check_works(comm);
	check_works(ART_COMM_WORLD);
}

/* Other communicators' operations go on, whatever becomes of one. */
static void others_are_not_disturbed(art_comm_t comm)
{
	int in = my_rank + 1, out = 0, x = 0, y;
	art_request_t req;

	OK(art_iallreduce(&in, &out, 1, ART_INT32, ART_SUM, ART_COMM_WORLD, &req));
	CHECK_RC(art_allreduce(&x, &y, 1, ART_INT32, my_rank ? ART_SUM : ART_MAX, comm),
		 ART_ERR_MISMATCH);
	OK(art_wait(&req, NULL));
	CHECK(out == sum_of_ranks());
	check_works(comm);
}

int main(void)
{
	art_comm_t comm;

	begin_quietly();
	OK(art_comm_dup(ART_COMM_WORLD, &comm));
	if (my_size > 1)
		for (int who = 0; who < my_size; who++) {
			mismatch(comm, who);
			too_late(comm, who);
		}
	if (my_size > 1)
		others_are_not_disturbed(comm);
	OK(art_comm_free(&comm));
	return finish();
}
