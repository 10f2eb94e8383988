/* SPDX-License-Identifier: MIT
 *
 * Run as two ranks, of which rank 1 is under callgrind with --toggle-collect=measured: what one
 * operation of 8 bytes costs a rank that has to wait for nobody. Rank 0 starts each operation and
 * then passes a token; by then all that rank 1 needs is on its way or there, so rank 1 polls once
 * or twice and the count is the same in every run.
 *
 *	t_instructions OP COUNT TO-RANK-1 TO-RANK-0      the last two are named pipes
 */
#include <art/art.h>
#include <fcntl.h>
#include <string.h>

#include "tests/process/check.h"

#define WARM_UP 100

enum op { BCAST, REDUCE, ALLREDUCE, BARRIER, OPS };

static const char *const names[OPS] = { "bcast", "reduce", "allreduce", "barrier" };
static uint64_t in = 1, out;

static void call(enum op op)
{
	switch (op) {
	case BCAST:
		OK(art_bcast(&out, 1, ART_UINT64, 0, ART_COMM_WORLD));
		break;
	case REDUCE:
		OK(art_reduce(&in, &out, 1, ART_UINT64, ART_SUM, 1, ART_COMM_WORLD));
		break;
	case ALLREDUCE:
		OK(art_allreduce(&in, &out, 1, ART_UINT64, ART_SUM, ART_COMM_WORLD));
		break;
	default:
		OK(art_barrier(ART_COMM_WORLD));
	}
}

/* Its name is what callgrind is told. */
__attribute__((noinline)) void measured(enum op op);
void measured(enum op op)
{
	call(op);
}

static art_request_t begin_one(enum op op)
{
	art_request_t r;

	switch (op) {
	case BCAST:
		OK(art_ibcast(&in, 1, ART_UINT64, 0, ART_COMM_WORLD, &r));
		break;
	case REDUCE:
		OK(art_ireduce(&in, &out, 1, ART_UINT64, ART_SUM, 1, ART_COMM_WORLD, &r));
		break;
	case ALLREDUCE:
		OK(art_iallreduce(&in, &out, 1, ART_UINT64, ART_SUM, ART_COMM_WORLD, &r));
		break;
	default:
		OK(art_ibarrier(ART_COMM_WORLD, &r));
	}
	return r;
}

static void lead(enum op op, int count, int there, int back)
{
	char token = 0;
	art_request_t r;

	for (int i = 0; i < WARM_UP + count; i++) {
		r = begin_one(op);
		CHECK(write(there, &token, 1) == 1);
		OK(art_wait(&r, NULL));
		CHECK(read(back, &token, 1) == 1);
	}
}

static void follow(enum op op, int count, int there, int back)
{
	uint64_t want = op == BCAST ? 1 : 2;
	char token;

	for (int i = 0; i < WARM_UP + count; i++) {
		CHECK(read(there, &token, 1) == 1);
		out = 0;
		if (i < WARM_UP)
			call(op);
		else
			measured(op);
		CHECK(op == BARRIER || out == want);
		CHECK(write(back, &token, 1) == 1);
	}
}

int main(int argc, char **argv)
{
	int op = 0, count, there, back;

	CHECK(argc == 5);
	while (op < OPS && strcmp(argv[1], names[op]))
		op++;
	CHECK(op < OPS);
	count = atoi(argv[2]);
	begin();
	CHECK(my_size == 2);
	there = open(argv[3], my_rank ? O_RDONLY : O_WRONLY);
	back = open(argv[4], my_rank ? O_WRONLY : O_RDONLY);
	CHECK(there >= 0 && back >= 0);
	(my_rank ? follow : lead)((enum op)op, count, there, back);
	close(there);
	close(back);
	return finish();
}
