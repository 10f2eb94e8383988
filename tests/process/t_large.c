/* SPDX-License-Identifier: MIT
 *
 * Description: allreduces of one size, for scripts that do something to ranks or links meanwhile. Every
 * element of every result is checked against its contributors. Or bcasts from rank 0, or reduces to it.
 *
 *   t_large BYTES ROUNDS [allreduce|bcast|reduce [VICTIM]]
 *
 * Each rank says which process it is, when it enters a round, and how many contributed to its result; a
 * rank that was told to leave says so and exits with 3. The victim, if there is one, is to be killed: should it come
 * as far as half of the rounds, it waits there.
 */
#include <stdbool.h>
#include <string.h>

#include "tests/process/check.h"

struct sums {
	uint64_t ranks;   /* how many contributed */
	uint64_t numbers; /* and the sum of their ranks, each plus one */
};

/* What rank @r gives: differs by rank, round and place. */
static uint64_t given(uint64_t r, uint64_t round, uint64_t i)
{
	return (r + 1) * (i % 1009 + 1) + round;
}

static uint64_t expected(const struct sums *s, uint64_t round, uint64_t i)
{
	return s->numbers * (i % 1009 + 1) + s->ranks * round;
}

static struct sums sums_of_contributors(void)
{
	struct sums s = { 0, 0 };
	art_status_t status;
	int yes;

	OK(art_last_status(ART_COMM_WORLD, &status));
	for (int r = 0; r < my_size; r++) {
		OK(art_status_contributed(&status, r, &yes));
		s.ranks += yes;
		s.numbers += yes ? (uint64_t)r + 1 : 0;
	}
	return s;
}

static void say(const char *what, uint64_t round)
{
	printf("rank %d %s %llu\n", my_rank, what, (unsigned long long)round);
	fflush(stdout);
}

/* Rank 0's are what all get. */
static int broadcast(uint64_t *out, size_t count, uint64_t round)
{
	for (size_t i = 0; i < count; i++)
		out[i] = my_rank == 0 ? given(0, round, i) : 0;
	return art_bcast(out, count, ART_UINT64, 0, ART_COMM_WORLD);
}

enum what { ALLREDUCE, BCAST, REDUCE };

static int call(enum what what, uint64_t *in, uint64_t *out, size_t count, uint64_t round)
{
	if (what == BCAST)
		return broadcast(out, count, round);
	return what == REDUCE ? art_reduce(in, out, count, ART_UINT64, ART_SUM, 0, ART_COMM_WORLD) :
				art_allreduce(in, out, count, ART_UINT64, ART_SUM, ART_COMM_WORLD);
}

static bool read_what(int argc, char **argv, enum what *what)
{
	static const char *const names[] = { "allreduce", "bcast", "reduce" };

	*what = ALLREDUCE;
	while (argc > 3 && *what <= REDUCE && strcmp(argv[3], names[*what]) != 0)
		++*what;
	return argc >= 3 && argc <= 5 && *what <= REDUCE;
}

static void one_round(uint64_t *in, uint64_t *out, size_t count, uint64_t round, enum what what)
{
	struct sums s, root = { 1, 1 };
	int rc;

	for (size_t i = 0; i < count; i++)
		in[i] = given((uint64_t)my_rank, round, i);
	say("enters round", round);
	rc = call(what, in, out, count, round);
	if (rc == ART_ERR_EVICTED) {
		say("was evicted in round", round);
		exit(3);
	}
	OK(rc);
	if (what == REDUCE && my_rank != 0)
		return;
	s = sums_of_contributors();
	for (size_t i = 0; i < count; i++) {
		if (out[i] == expected(what == BCAST ? &root : &s, round, i))
			continue;
		fprintf(stderr, "rank %d, round %llu, element %zu of %zu: %llx, not %llx (%llu ranks)\n", my_rank,
			(unsigned long long)round, i, count, (unsigned long long)out[i],
			(unsigned long long)expected(&s, round, i), (unsigned long long)s.ranks);
		exit(1);
	}
	say("has a result of", s.ranks);
}

int main(int argc, char **argv)
{
	size_t count;
	long rounds, victim;
	uint64_t *in, *out;

	enum what what;

	if (!read_what(argc, argv, &what) || (count = strtoull(argv[1], NULL, 10) / 8) == 0 ||
	    (rounds = atol(argv[2])) < 1) {
		fputs("usage: t_large BYTES ROUNDS [allreduce|bcast|reduce [VICTIM]]\n", stderr);
		return 2;
	}
	victim = argc == 5 ? atol(argv[4]) : -1;
	begin_quietly();
	alarm(0); /* the script has a bound: stopped ranks and slow machines */
	in = calloc(count, 8);
	out = calloc(count, 8);
	CHECK(in && out);
	printf("rank %d is process %d\n", my_rank, (int)getpid());
	fflush(stdout);
	for (long round = 0; round < rounds; round++) {
		while (my_rank == victim && round == rounds / 2)
			pause();
		one_round(in, out, count, (uint64_t)round, what);
	}
	free(in);
	free(out);
	return finish();
}
