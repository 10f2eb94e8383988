/* SPDX-License-Identifier: MIT
 *
 * Description: user operators (rule R11): the lower rank is always on the left, also where the
 * operator does not commute; the whole count is passed unless the operator is elementwise; the
 * context arrives; the function runs on a thread that is inside a call.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/process/check.h"

#define COUNT 3000

struct seen {
	atomic_size_t calls, most, elements;
	atomic_bool wrong_type, wrong_thread;
	pthread_t caller;
};

/* x -> m x + b modulo 2^32 as (m, b): composition, which is associative and does not commute. */
struct map {
	uint32_t m, b;
};

static struct map map_of(int rank, size_t i)
{
	return (struct map){2 * (uint32_t)rank + 3 + (uint32_t)i, 5 * (uint32_t)rank + 1};
}

static struct map compose(struct map left, struct map right)
{
	return (struct map){left.m * right.m, left.m * right.b + left.b};
}

/* Maps travel as 64-bit integers. */
static void composed(const void *in, void *inout, size_t count, art_type_t type, void *ctx)
{
	struct seen *s = ctx;
	size_t most = atomic_load(&s->most);

	for (size_t i = 0; i < count; i++) {
		struct map l, r;

		memcpy(&l, (const char *)in + i * sizeof(l), sizeof(l));
		memcpy(&r, (char *)inout + i * sizeof(r), sizeof(r));
		l = compose(l, r);
		memcpy((char *)inout + i * sizeof(l), &l, sizeof(l));
	}
	atomic_fetch_add(&s->calls, 1);
	atomic_fetch_add(&s->elements, count);
	while (most < count && !atomic_compare_exchange_weak(&s->most, &most, count))
		;
	if (type != ART_UINT64)
		atomic_store(&s->wrong_type, true);
	if (!pthread_equal(pthread_self(), s->caller))
		atomic_store(&s->wrong_thread, true);
}

static void check_order(size_t count, int flags)
{
	static struct map in[COUNT], out[COUNT];
	struct seen s = {.caller = pthread_self()};
	art_op_t op;

	OK(art_op_create(composed, flags, &s, &op));
	for (int round = 0; round < 3 + my_size; round++) {
		int root = round % my_size;

		for (size_t i = 0; i < count; i++)
			in[i] = map_of(my_rank, i + (size_t)round);
		memset(out, 0, sizeof(out));
		if (round < 3)
			OK(art_allreduce(in, out, count, ART_UINT64, op, ART_COMM_WORLD));
		else
			OK(art_reduce(in, out, count, ART_UINT64, op, root, ART_COMM_WORLD));
		for (size_t i = 0; i < count && (round < 3 || my_rank == root); i++) {
			struct map want = map_of(0, i + (size_t)round);

			for (int r = 1; r < my_size; r++)
				want = compose(want, map_of(r, i + (size_t)round));
			CHECK(memcmp(&want, &out[i], sizeof(want)) == 0);
		}
	}
	OK(art_op_free(&op));
	CHECK(!atomic_load(&s.wrong_type));
	CHECK(!atomic_load(&s.wrong_thread));
	if (!(flags & ART_OP_ELEMENTWISE) && atomic_load(&s.calls) > 0) {
		CHECK(atomic_load(&s.most) == count);
		CHECK(atomic_load(&s.elements) == count * atomic_load(&s.calls));
	}
}

/* More than one message, less than the whole job's memory. */
static void check_large(void)
{
	size_t count = 200000;
	struct map *in = calloc(count, sizeof(*in)), *out = calloc(count, sizeof(*out));
	struct seen s = {.caller = pthread_self()};
	art_op_t op;

	CHECK(in && out);
	for (size_t i = 0; i < count; i++)
		in[i] = map_of(my_rank, i);
	OK(art_op_create(composed, 0, &s, &op));
	OK(art_allreduce(in, out, count, ART_UINT64, op, ART_COMM_WORLD));
	for (size_t i = 0; i < count; i++) {
		struct map want = map_of(0, i);

		for (int r = 1; r < my_size; r++)
			want = compose(want, map_of(r, i));
		CHECK(memcmp(&want, &out[i], sizeof(want)) == 0);
	}
	CHECK(atomic_load(&s.calls) == 0 || atomic_load(&s.most) == count);
	OK(art_op_free(&op));
	free(out);
	free(in);
}

/* Started, and only tested: the function runs inside art_test(). */
static void check_nonblocking(void)
{
	struct map in = map_of(my_rank, 0), out, want = map_of(0, 0);
	struct seen s = {.caller = pthread_self()};
	art_request_t req;
	art_op_t op;
	int done = 0;

	OK(art_op_create(composed, 0, &s, &op));
	OK(art_iallreduce(&in, &out, 1, ART_UINT64, op, ART_COMM_WORLD, &req));
	while (!done)
		OK(art_test(&req, &done, NULL));
	for (int r = 1; r < my_size; r++)
		want = compose(want, map_of(r, 0));
	CHECK(memcmp(&want, &out, sizeof(want)) == 0);
	CHECK(!atomic_load(&s.wrong_thread));
	OK(art_op_free(&op));
}

int main(void)
{
	begin();
	check_order(1, 0);
	check_order(COUNT, 0);
	check_order(COUNT, ART_OP_ELEMENTWISE);
	check_large();
	check_nonblocking();
	return finish();
}
