/* SPDX-License-Identifier: MIT
 *
 * Description: several threads of each rank at once: each on a communicator of its own, and all on
 * one, where calls queue. Each thread has its own last status.
 */
#include <pthread.h>

#include "tests/process/check.h"

#define THREADS 4
#define ROUNDS 200

static art_comm_t own[THREADS], common;

static void add(const void *in, void *inout, size_t count, art_type_t type, void *ctx)
{
	(void)type;
	(void)ctx;
	for (size_t i = 0; i < count; i++)
		((long *)inout)[i] += ((const long *)in)[i];
}

static void *on_its_own(void *arg)
{
	int t = (int)(long)arg;
	art_status_t st;
	art_op_t op;
	int n = 0;

	OK(art_op_create(add, ART_OP_COMMUTATIVE, NULL, &op));
	for (int i = 0; i < ROUNDS; i++) {
		long in = my_rank + t + i, out = -1;

		OK(art_allreduce(&in, &out, 1, ART_INT64, i % 2 ? op : ART_SUM, own[t]));
		CHECK(out == sum_of_ranks() - my_size + (long)my_size * (t + i));
		OK(art_last_status(own[t], &st));
		OK(art_status_contributors(&st, &n));
		CHECK(n == my_size);
	}
	OK(art_op_free(&op));
	return NULL;
}

/* The same call from every thread: which thread's meets which is nobody's business. */
static void *on_the_same(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		check_works(common);
	return NULL;
}

static void *has_no_status(void *arg)
{
	art_status_t st;

	(void)arg;
	CHECK_RC(art_last_status(ART_COMM_WORLD, &st), ART_ERR_ARG);
	return NULL;
}

static void run(void *(*fn)(void *), int threads)
{
	pthread_t t[THREADS];

	for (long i = 0; i < threads; i++)
		CHECK(pthread_create(&t[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; i < threads; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

int main(void)
{
	begin_quietly();
	OK(art_comm_dup(ART_COMM_WORLD, &common));
	for (int i = 0; i < THREADS; i++)
		OK(art_comm_dup(ART_COMM_WORLD, &own[i]));
	run(on_its_own, THREADS);
	run(on_the_same, THREADS);
	run(has_no_status, 1);
	for (int i = 0; i < THREADS; i++)
		OK(art_comm_free(&own[i]));
	OK(art_comm_free(&common));
	return finish();
}
