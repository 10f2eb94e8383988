/* SPDX-License-Identifier: MIT
 *
 * For test programs that are run as ranks (artrun -n N ./t_x): the first thing that is wrong ends
 * the rank with one line and exit status 1. A bound in seconds takes the place of patience.
 */
#ifndef ART_TESTS_PROCESS_CHECK_H
#define ART_TESTS_PROCESS_CHECK_H

#include <art/art.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int my_rank, my_size;

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: rank %d of %d: not so: %s\n", __FILE__, __LINE__, my_rank, \
				my_size, #what); \
			exit(1); \
		} \
	} while (0)

/* A call and the code it has to return. */
#define CHECK_RC(call, want) \
	do { \
		int got_ = (call), want_ = (want); \
		if (got_ != want_) { \
			fprintf(stderr, "%s:%d: rank %d of %d: %s is %d (%s), not %d (%s)\n", __FILE__, \
				__LINE__, my_rank, my_size, #call, got_, art_strerror(got_), want_, \
				art_strerror(want_)); \
			exit(1); \
		} \
	} while (0)

#define OK(call) CHECK_RC(call, ART_SUCCESS)

static inline void begin(void)
{
	alarm(240);
	OK(art_init(NULL, NULL));
	OK(art_comm_rank(ART_COMM_WORLD, &my_rank));
	OK(art_comm_size(ART_COMM_WORLD, &my_size));
	CHECK(my_rank >= 0 && my_rank < my_size);
}

/* As above, and errors that are provoked are not printed. */
static inline void begin_quietly(void)
{
	setenv("ART_ERRORS", "return", 1);
	begin();
}

static inline int finish(void)
{
	OK(art_finalize());
	return 0;
}

/* The sum of all ranks plus one each: what every rank can check. */
static inline int sum_of_ranks(void)
{
	return my_size * (my_size + 1) / 2;
}

/* The communicator is in order: everyone's contribution is in a sum. */
static inline void check_works(art_comm_t comm)
{
	int in = my_rank + 1, out = 0;

	OK(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, comm));
	CHECK(out == sum_of_ranks());
}

#endif
