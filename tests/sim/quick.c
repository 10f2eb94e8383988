/* SPDX-License-Identifier: MIT
 *
 * Description: plain operations go the short way, and nothing else does; and of two calls that do not match and
 * of which neither waits for the other, such as two roots of one bcast, somebody still finds out.
 */
#include <art/art.h>
#include <stdio.h>

#include "base/marks.h"
#include "coll/combine.h"
#include "tests/lib/cluster.h"

#define CALLS 40

static struct cluster *job_of(int n, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, n, 1);
	cfg.arena = true;
	cfg.name = name;
	return cluster_create(&cfg);
}

static struct cluster_call call_of(enum art_coll kind, int root)
{
	return (struct cluster_call){ .kind = kind, .count = kind == ART_C_BARRIER ? 0 : 1, .root = root,
				      .type = kind == ART_C_BARRIER ? 0 : ART_T_UINT64,
				      .op = kind >= ART_C_REDUCE && kind <= ART_C_ALLREDUCE ? ART_O_SUM : 0 };
}

static void runs(struct cluster *c)
{
	struct cluster_call end = { .kind = ART_C_FINALIZE };

	cluster_call(c, CLUSTER_ALL, &end);
	cluster_run(c);
}

static unsigned ends(struct cluster *c)
{
	unsigned bad = cluster_violations(c);

	if (bad)
		cluster_print(c, stdout);
	return bad + cluster_destroy(c);
}

/* ---- which way ---- */

/* Calls that went the short way, of CALLS at each of @n ranks. */
static uint64_t quick_ones(struct cluster *c, const struct cluster_call *call)
{
	uint64_t before = cluster_marks[ART_M_QUICK] + cluster_marks[ART_M_QUICK_LATER];

	for (int i = 0; i < CALLS; i++)
		cluster_call(c, CLUSTER_ALL, call);
	runs(c);
	return cluster_marks[ART_M_QUICK] + cluster_marks[ART_M_QUICK_LATER] - before;
}

static unsigned plain_ones_do(void)
{
	static const enum art_coll kinds[] = { ART_C_BARRIER, ART_C_BCAST, ART_C_REDUCE, ART_C_ALLREDUCE };
	unsigned bad = 0;

	for (int n = 2; n <= 5; n++)
		for (int k = 0; k < 4; k++) {
			struct cluster *c = job_of(n, "plain_ones_do");
			struct cluster_call call = call_of(kinds[k], n - 1);
			uint64_t quick = quick_ones(c, &call);

			/* The first may come before all have mapped the memory; and whoever need not wait is soon as far
			 * ahead as there are slots, which are few here. */
			if (quick < (uint64_t)(kinds[k] == ART_C_BCAST || kinds[k] == ART_C_REDUCE ?
							  CALLS * n / 4 : (CALLS - 4) * n))
				cluster_fail(c, "kind %d: %llu of %d", kinds[k], (unsigned long long)quick,
					     CALLS * n);
			if (cluster_messages(c, 0) > (uint64_t)(CALLS * n))
				cluster_fail(c, "kind %d: %llu messages", kinds[k],
					     (unsigned long long)cluster_messages(c, 0));
			bad += ends(c);
		}
	return bad;
}

static unsigned others_do_not(void)
{
	struct cluster_call set = { .kind = ART_C_SETFLAGS, .loss = ART_F_UNIFORM };
	struct cluster_call sum = call_of(ART_C_ALLREDUCE, 0);
	unsigned bad = 0;

	for (int user = 0; user < 2; user++) {
		struct cluster *c = job_of(3, "others_do_not");
		uint64_t quick;

		if (!user)
			cluster_call(c, CLUSTER_ALL, &set);
		sum.op = user ? 0 : ART_O_SUM;
		sum.flags = user ? CLUSTER_USER : 0;
		quick = quick_ones(c, &sum);
		if (quick)
			cluster_fail(c, "%s: %llu", user ? "user function" : "uniform",
				     (unsigned long long)quick);
		bad += ends(c);
	}
	return bad;
}

/* ---- a result for all ---- */

static void crowd(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	core->crowded = *(bool *)arg;
}

/* How often one of @n ranks takes what another has combined, in CALLS calls of all. */
static uint64_t given_to(int n, enum art_coll kind, size_t count, bool crowded, unsigned *bad)
{
	struct cluster_call call = call_of(kind, 0);
	uint64_t before = cluster_marks[ART_M_ARENA_GIVEN];
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, n, 1);
	cfg.arena = true;
	cfg.tune = crowd;
	cfg.tune_arg = &crowded;
	cfg.name = "given_to";
	c = cluster_create(&cfg);
	call.count = count;
	for (int i = 0; i < CALLS; i++)
		cluster_call(c, CLUSTER_ALL, &call);
	runs(c);
	*bad += ends(c);
	return cluster_marks[ART_M_ARENA_GIVEN] - before;
}

/* Where ranks share cores one of them combines for most others, what lies in the slot as what does not. */
static unsigned one_for_all(void)
{
	unsigned bad = 0;

	for (int n = 3; n <= 6; n++) {
		const uint64_t most = (uint64_t)CALLS * n / 3;
		uint64_t given[] = { given_to(n, ART_C_ALLREDUCE, 1, true, &bad),
				     given_to(n, ART_C_ALLREDUCE, 20, true, &bad),
				     given_to(n, ART_C_BARRIER, 0, true, &bad) };
		uint64_t none = given_to(n, ART_C_ALLREDUCE, 1, false, &bad) +
				given_to(n, ART_C_REDUCE, 1, true, &bad) + given_to(n, ART_C_BCAST, 1, true, &bad);

		for (int i = 0; i < 3; i++)
			if (given[i] < most) {
				printf("one_for_all: %d ranks, case %d: %llu of %d\n", n, i,
				       (unsigned long long)given[i], CALLS * n);
				bad++;
			}
		if (none) {
			printf("one_for_all: %d ranks: %llu where nobody should\n", n, (unsigned long long)none);
			bad++;
		}
	}
	return bad;
}

/* Where large payloads share a place, calls that go by messages all the same do not wait for it: 3 at a time. */
static unsigned messages_need_no_place(void)
{
	struct cluster_call set = { .kind = ART_C_SETFLAGS, .loss = ART_F_UNIFORM };
	struct cluster_call sum = call_of(ART_C_ALLREDUCE, 0);
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };
	uint64_t before = cluster_marks[ART_M_ARENA_FULL];
	struct cluster *c = job_of(3, "messages_need_no_place");

	sum.count = 100;
	sum.flags = CLUSTER_NONBLOCK;
	cluster_call(c, CLUSTER_ALL, &set);
	for (int i = 0; i < 3; i++)
		cluster_call(c, CLUSTER_ALL, &sum);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
	cluster_until(c, cluster_all_finished, NULL, ART_NS_PER_S);
	if (cluster_marks[ART_M_ARENA_FULL] != before)
		cluster_fail(c, "%llu waited", (unsigned long long)(cluster_marks[ART_M_ARENA_FULL] - before));
	return ends(c);
}

/* ---- calls that do not match ---- */

/* Ranks 0 and 1 call @a and @b and wait for nobody; others call as rank 0 does. */
static unsigned comes_out(const char *name, struct cluster_call a, struct cluster_call b)
{
	struct cluster_call sum = call_of(ART_C_ALLREDUCE, 0), barrier = call_of(ART_C_BARRIER, 0);
	unsigned bad = 0;

	for (int n = 2; n <= 3; n++)
		for (int first = 0; first < 2; first++) {
			struct cluster *c = job_of(n, name);
			struct cluster_item sleep = { .verb = CLUSTER_SLEEP, .ns = 50000 };
			uint64_t before = cluster_marks[ART_M_MISMATCH_SEEN];

			cluster_call(c, CLUSTER_ALL, &barrier); /* now all have mapped the memory */
			cluster_program(c, !first, &sleep, 1);
			for (int r = 0; r < n; r++)
				cluster_call(c, r, r == 1 ? &b : &a);
			cluster_call(c, CLUSTER_ALL, &sum);
			runs(c);
			if (cluster_marks[ART_M_MISMATCH_SEEN] == before)
				cluster_fail(c, "of %d ranks, %d first: nobody finds out", n, first);
			bad += ends(c);
		}
	return bad;
}

/* The first has gone on by @more calls of which it waits for nobody either, when the other calls. */
static unsigned comes_out_later(const char *name, struct cluster_call a, struct cluster_call b, int more)
{
	struct cluster_call barrier = call_of(ART_C_BARRIER, 0);
	struct cluster_item sleep = { .verb = CLUSTER_SLEEP, .ns = 500000 };
	struct cluster *c = job_of(2, name);
	uint64_t before = cluster_marks[ART_M_MISMATCH_SEEN];
	unsigned bad;

	cluster_call(c, CLUSTER_ALL, &barrier);
	cluster_program(c, 1, &sleep, 1);
	for (int r = 0; r < 2; r++)
		cluster_call(c, r, r == 1 ? &b : &a);
	for (int i = 0; i < more; i++)
		cluster_call(c, CLUSTER_ALL, &a);
	runs(c);
	if (cluster_marks[ART_M_MISMATCH_SEEN] == before)
		cluster_fail(c, "%d calls later nobody finds out", more);
	bad = ends(c);
	return bad;
}

int main(void)
{
	unsigned bad = plain_ones_do() + others_do_not() + one_for_all() + messages_need_no_place();

	for (int more = 0; more < 3; more++) {
		bad += comes_out_later("two_roots_of_a_bcast_later", call_of(ART_C_BCAST, 0),
				       call_of(ART_C_BCAST, 1), more);
		bad += comes_out_later("two_leaves_of_a_reduce_later", call_of(ART_C_REDUCE, 1),
				       call_of(ART_C_REDUCE, 0), more);
		bad += comes_out_later("a_root_and_a_leaf_later", call_of(ART_C_BCAST, 0),
				       call_of(ART_C_REDUCE, 0), more);
	}

	bad += comes_out("two_roots_of_a_bcast", call_of(ART_C_BCAST, 0), call_of(ART_C_BCAST, 1));
	bad += comes_out("two_leaves_of_a_reduce", call_of(ART_C_REDUCE, 1), call_of(ART_C_REDUCE, 0));
	bad += comes_out("a_root_and_a_leaf", call_of(ART_C_BCAST, 0), call_of(ART_C_REDUCE, 0));
	if (!bad)
		printf("plain operations go the short way; calls that do not match come out\n");
	return bad != 0;
}
