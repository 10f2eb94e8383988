/* SPDX-License-Identifier: MIT
 *
 * Description: many operations in flight on several communicators, waited for in another order at
 * every rank, by wait, test and waitall; a rank that computes meanwhile holds nobody up for
 * longer than it must.
 */
#include <string.h>

#include "tests/process/check.h"

#define COMMS 4
#define DEPTH 12
#define MANY (COMMS * DEPTH)

static art_comm_t comms[COMMS];

static int value(int rank, int k)
{
	return (rank + 1) * (k + 1);
}

/* Each communicator in the same order everywhere; between communicators, ranks differ. */
static void start_all(art_request_t req[MANY], int in[MANY], int out[MANY])
{
	for (int d = 0; d < DEPTH; d++)
		for (int j = 0; j < COMMS; j++) {
			int c = (j + my_rank) % COMMS, k = c * DEPTH + d, root = d % my_size;

			in[k] = value(my_rank, k);
			out[k] = d % 4 == 2 && my_rank == root ? value(root, k) : -1;
			if (d % 4 == 0)
				OK(art_iallreduce(&in[k], &out[k], 1, ART_INT32, ART_SUM, comms[c],
						  &req[k]));
			else if (d % 4 == 1)
				OK(art_ireduce(&in[k], &out[k], 1, ART_INT32, ART_SUM, root, comms[c],
					       &req[k]));
			else if (d % 4 == 2)
				OK(art_ibcast(&out[k], 1, ART_INT32, root, comms[c], &req[k]));
			else
				OK(art_ibarrier(comms[c], &req[k]));
		}
}

static void check_one(int k, int out)
{
	int d = k % DEPTH, root = d % my_size;

	if (d % 4 == 0 || (d % 4 == 1 && my_rank == root))
		CHECK(out == sum_of_ranks() * (k + 1));
	else if (d % 4 == 2)
		CHECK(out == value(root, k));
}

static void wait_backwards(art_request_t req[MANY])
{
	for (int k = MANY - 1; k >= 0; k--)
		OK(art_wait(&req[(k + my_rank * 5) % MANY], NULL));
}

static void test_around(art_request_t req[MANY])
{
	int left = MANY;

	for (int k = my_rank; left; k++) {
		int done = 0;

		if (req[k % MANY] == ART_REQUEST_NULL)
			continue;
		OK(art_test(&req[k % MANY], &done, NULL));
		CHECK((req[k % MANY] == ART_REQUEST_NULL) == (done == 1));
		left -= done;
	}
}

/* Large ones overtake each other, too; the input is left alone. */
static void large(void)
{
	enum { N = 300000 };
	static double in[COMMS][N], out[COMMS][N];
	art_request_t req[COMMS];

	for (int c = 0; c < COMMS; c++)
		for (int i = 0; i < N; i++)
			in[c][i] = my_rank + c + i % 10;
	for (int j = 0; j < COMMS; j++) {
		int c = (j + my_rank) % COMMS;

		OK(art_iallreduce(in[c], out[c], N, ART_DOUBLE, ART_SUM, comms[c], &req[c]));
	}
	OK(art_waitall(COMMS, req, NULL));
	for (int c = 0; c < COMMS; c++)
		for (int i = 0; i < N; i++) {
			CHECK(in[c][i] == my_rank + c + i % 10);
			CHECK(out[c][i] == sum_of_ranks() - my_size + (double)my_size * (c + i % 10));
		}
}

int main(void)
{
	static int in[MANY], out[MANY];
	art_request_t req[MANY];

	begin();
	for (int c = 0; c < COMMS; c++)
		OK(art_comm_dup(ART_COMM_WORLD, &comms[c]));
	for (int round = 0; round < 30; round++) {
		start_all(req, in, out);
		if (round % 3 == 0)
			wait_backwards(req);
		else if (round % 3 == 1)
			test_around(req);
		else
			OK(art_waitall(MANY, req, NULL));
		for (int k = 0; k < MANY; k++)
			check_one(k, out[k]);
	}
	large();
	for (int c = 0; c < COMMS; c++)
		OK(art_comm_free(&comms[c]));
	return finish();
}
