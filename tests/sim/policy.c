/* SPDX-License-Identifier: MIT
 *
 * Description: what a program may ask of a communicator beside its results: agreement, a communicator
 * of the survivors, news of losses and of late failures; and its flags: uniform, successor of a lost root,
 * reproducible. One named scenario a sentence, in virtual
 * time.
 *
 *	policy [SCENARIO] [--verbose]
 */
#include <art/art.h>

#include "tests/sim/words.h"

static struct cluster *listening_job(int ranks, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, ranks, 7);
	cfg.notify = true;
	return job_with(&cfg, name);
}

static void agrees(struct cluster *c, int rank, int comm)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_AGREE, .comm = comm });
}

static void shrinks(struct cluster *c, int rank, int comm, int child)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_SHRINK, .comm = comm, .child = child });
}

static void sets_flags(struct cluster *c, int rank, int comm, int flags)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_SETFLAGS, .comm = comm, .loss = flags });
}

/* ---- agree ---- */

static unsigned an_agreement_completes_wherever_a_rank_dies(const char *name)
{
	bool in = false, out = false;
	unsigned bad = 0;

	for (uint64_t step = 0; step < 100; step++) {
		struct cluster *c = job_of(5, name);
		int hit;

		agrees(c, ALL, 0);
		agrees(c, ALL, 0);
		finalizes(c, ALL);
		kill_at(c, 2, 1, step);
		runs(c);
		hit = cluster_kills_hit(c);
		all_get(c, 0, ART_SUCCESS);
		all_get(c, 1, ART_SUCCESS);
		if (hit) {
			in |= cluster_contributed(c, 0, 0, 2);
			out |= !cluster_contributed(c, 0, 0, 2);
		}
		bad += ends(c);
		if (!hit)
			break;
	}
	if (!in || !out) {
		printf("FAIL policy %s: the dead rank was never %s\n", name, in ? "left out" : "in");
		bad++;
	}
	return bad;
}

/* Under ERROR everything open fails, but who wants to agree on that is not failed again. */
static unsigned no_policy_fails_an_agreement(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 3;

	sets_policy(c, ALL, 0, ART_LOSS_ERROR);
	sleeps(c, victim, 50 * MS);
	sums(c, ALL);
	agrees(c, ALL, 0);
	shrinks(c, ALL, 0, 1);
	for (int r = 0; r < 5; r++)
		calls(c, r, sum_on(1));
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 1, ART_ERR_PROC_FAILED);
	all_count(c, 2, 0x17);
	all_count(c, 3, 0x17);
	all_count(c, 4, 0x17);
	return ends(c);
}

static unsigned a_loss_while_agreeing_is_no_error_either(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 3;

	sets_policy(c, ALL, 0, ART_LOSS_ERROR);
	sleeps(c, victim, 50 * MS);
	agrees(c, ALL, 0);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_count(c, 1, 0x17);
	return ends(c);
}

/* With nothing open the loss fails what comes next - unless that is one of those it cannot fail; also
 * if a second loss meets it when some have called it and some have not. */
static unsigned a_loss_before_a_shrink_spares_it_at_every_rank(const char *name)
{
	struct cluster *c = job_of(6, name);
	int first = 3, second = 5;

	sets_policy(c, ALL, 0, ART_LOSS_ERROR);
	sleeps(c, ALL, 20 * MS);
	sleeps(c, 1, 50 * MS);
	sleeps(c, second, 50 * MS);
	shrinks(c, ALL, 0, 1);
	for (int r = 0; r < 6; r++)
		calls(c, r, (struct cluster_call){ .kind = ART_C_AGREE, .comm = 1 });
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, kill_it, &first);
	cluster_after(c, 40 * MS, kill_it, &second);
	runs(c);
	all_count(c, 1, 0x17);
	all_count(c, 2, 0x17);
	for (int r = 0; r < 5; r++)
		if (r != first && replays_of(c, r, 1) != 1)
			cluster_fail(c, "rank %d: %u replays", r, replays_of(c, r, 1));
	return ends(c);
}

/* The loss has failed the next operation beforehand: for the rank that calls something ordinary, or is
 * refused, but not for those who agree. They must not wait for it for ever. */
static unsigned who_calls_otherwise_after_a_loss_fails_an_agreement(const char *name)
{
	unsigned bad = 0;

	for (int k = 0; k < 6; k++) { /* which comes first, last, at the same time */
		struct cluster *c = job_of(5, name);
		int victim = 3, refused = k % 2;

		sets_policy(c, ALL, 0, ART_LOSS_ERROR);
		sleeps(c, ALL, 20 * MS);
		if (k / 2)
			sleeps(c, k / 2 == 1 ? 1 : 2, 20 * MS);
		if (k / 2 == 2)
			for (int r = 0; r < 5; r += 2)
				sleeps(c, r, 20 * MS);
		for (int r = 0; r < 5; r++)
			calls(c, r, (struct cluster_call){
				.kind = r == 1 ? ART_C_BARRIER : ART_C_AGREE,
				.refuse = r == 1 && refused ? ART_ERR_COUNT : 0 });
		sums(c, ALL);
		finalizes(c, ALL);
		cluster_after(c, 10 * MS, kill_it, &victim);
		runs(c);
		for (int r = 0; r < 5; r++)
			if (r != victim)
				gets(c, r, 1, refused ? ART_ERR_COUNT : r == 1 ? ART_ERR_PROC_FAILED :
									      ART_ERR_MISMATCH);
		all_count(c, 2, 0x17);
		bad += ends(c);
	}
	return bad;
}

static unsigned an_agreement_is_not_mistaken_for_an_allreduce(const char *name)
{
	struct cluster *c = job_of(4, name);

	for (int r = 0; r < 4; r++)
		calls(c, r, (struct cluster_call){ .kind = r == 2 ? ART_C_ALLREDUCE : ART_C_AGREE,
			.count = 1, .type = ART_T_INT32, .op = ART_O_BAND });
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_MISMATCH);
	return ends(c);
}

/* ---- shrink ---- */

static unsigned a_shrunk_communicator_is_that_of_the_survivors(const char *name)
{
	struct cluster *c = job_of(6, name);

	sums(c, ALL);
	kill_at(c, 0, 1, 0);
	kill_at(c, 4, 1, 0);
	sleeps(c, ALL, 10 * MS);
	shrinks(c, ALL, 0, 1);
	for (int r = 0; r < 6; r++)
		calls(c, r, sum_on(1));
	shrinks(c, ALL, 1, 2); /* of four nobody is lost */
	finalizes(c, ALL);
	runs(c);
	all_count(c, 1, 0x2e);
	all_count(c, 2, 0x2e);
	for (int r = 1; r < 6; r++) {
		if (r == 4)
			continue;
		if (art__comm_size(cluster_comm(c, r, 1)) != 4 ||
		    art__comm_size(cluster_comm(c, r, 2)) != 4)
			cluster_fail(c, "rank %d: a shrunk communicator has another size than 4", r);
	}
	return ends(c);
}

static unsigned a_refused_shrink_makes_nothing_anywhere(const char *name)
{
	return makes_nothing_if_refused(name, ART_C_SHRINK, 1);
}

/* ---- news ---- */

static unsigned every_loss_is_told_once_on_each_communicator_that_had_the_rank(const char *name)
{
	static const int half[6] = { 0, 0, 0, 1, 1, 1 };
	struct cluster *c = listening_job(6, name);
	int first = 1, second = 5;

	for (int r = 0; r < 6; r++)
		calls(c, r, (struct cluster_call){ .kind = ART_C_SPLIT, .colour = half[r],
			.child = 1 + half[r] });
	sleeps(c, first, 200 * MS);
	sums(c, ALL);
	sleeps(c, second, 200 * MS);
	sums(c, ALL);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &first);
	cluster_after(c, 10 * MS, kill_it, &second);
	runs(c);
	for (int r = 0; r < 6; r++) {
		if (!cluster_alive(c, r))
			continue;
		if (cluster_heard_lost(c, r, 0) != (1u << first | 1u << second))
			cluster_fail(c, "rank %d heard of %#x", r, cluster_heard_lost(c, r, 0));
		if (cluster_heard_lost(c, r, 1 + half[r]) != (half[r] ? 1u << second : 1u << first))
			cluster_fail(c, "rank %d heard of %#x on its half", r,
				     cluster_heard_lost(c, r, 1 + half[r]));
	}
	return ends(c);
}

/* The leaves of a reduce have returned when its root dies without the result (rule R1). */
static unsigned who_had_returned_hears_of_the_failure_later(const char *name)
{
	struct cluster *c = listening_job(5, name);
	struct cluster_result r;
	int root = 2;

	sleeps(c, root, 50 * MS);
	reduces(c, ALL, root);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &root);
	runs(c);
	for (int i = 0; i < 5; i++) {
		bool early;

		if (i == root)
			continue;
		cluster_result(c, i, 0, &r);
		early = r.returned_code == ART_SUCCESS;
		gets(c, i, 0, ART_ERR_ROOT_LOST);
		if (cluster_heard_late(c, i, 0) != early)
			cluster_fail(c, "rank %d returned %d and heard%s of the failure", i,
				     r.returned_code, early ? " nothing" : "");
	}
	cluster_result(c, 4, 0, &r);
	if (r.returned_code)
		cluster_fail(c, "the last leaf has not returned early: nothing was tested");
	return ends(c);
}

/* A rank that waits inside the library hears at once: it does not have to call again. */
static unsigned news_reach_a_rank_that_waits(const char *name)
{
	struct cluster *c = listening_job(4, name);
	int victim = 3;

	sleeps(c, 2, 500 * MS);
	sleeps(c, victim, 500 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	cluster_until(c, cluster_all_finished, NULL, 100 * MS);
	for (int r = 0; r < 2; r++)
		if (cluster_heard_lost(c, r, 0) != 1u << victim)
			cluster_fail(c, "rank %d waits and has heard of %#x", r,
				     cluster_heard_lost(c, r, 0));
	runs(c);
	return ends(c);
}

static unsigned a_freed_communicator_says_nothing(const char *name)
{
	struct cluster *c = listening_job(4, name);
	int victim = 3;

	dups(c, ALL, 1);
	frees(c, ALL, 1);
	sleeps(c, victim, 500 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 50 * MS, kill_it, &victim);
	runs(c);
	for (int r = 0; r < 3; r++)
		if (cluster_heard_lost(c, r, 1) || cluster_heard_lost(c, r, 0) != 1u << victim)
			cluster_fail(c, "rank %d heard of %#x on what it has freed", r,
				     cluster_heard_lost(c, r, 1));
	return ends(c);
}

/* ---- uniform ---- */

/* A leaf of a reduce and the root of a bcast stay until everyone has the outcome; without the flag
 * they are gone at once. */
static unsigned a_uniform_call_returns_when_all_have_the_outcome(const char *name)
{
	unsigned bad = 0;

	for (int uniform = 0; uniform < 2; uniform++) {
		struct cluster *c = job_of(5, name);
		struct cluster_result r;

		sets_flags(c, ALL, 0, uniform ? ART_F_UNIFORM : 0);
		sleeps(c, 2, 50 * MS);
		reduces(c, ALL, 2);
		bcasts(c, ALL, 0, 4);
		finalizes(c, ALL);
		cluster_until(c, cluster_all_finished, NULL, 20 * MS);
		cluster_result(c, 4, 1, &r);
		if (r.returned == uniform)
			cluster_fail(c, "flag %d: the leaf has%s returned", uniform, uniform ? "" : " not");
		cluster_result(c, 0, 2, &r);
		if (uniform ? r.started : !r.returned)
			cluster_fail(c, "flag %d: the root of the bcast has%s returned", uniform,
				     uniform ? "" : " not");
		runs(c);
		all_get(c, 1, ART_SUCCESS);
		all_count(c, 1, 0x1f);
		all_count(c, 2, 0x1f);
		bad += ends(c);
	}
	return bad;
}

/* Whoever returns from a call and dies at once has seen what the survivors see (the cluster compares);
 * every step of the wave is a place to die. */
static unsigned nobody_takes_another_outcome_to_the_grave(const char *name)
{
	unsigned bad = 0, returned = 0;

	for (int victim = 0; victim < 5; victim++)
		for (uint64_t step = 0; step < 60; step++) {
			struct cluster *c = job_of(5, name);
			struct cluster_result r;
			int hit;

			sets_flags(c, ALL, 0, ART_F_UNIFORM);
			reduces(c, ALL, 3);
			sleeps(c, ALL, 5 * MS);
			finalizes(c, ALL);
			kill_at(c, victim, 2, step);
			kill_at(c, (victim + 1) % 5, 2, step);
			runs(c);
			cluster_result(c, victim, 1, &r);
			returned += r.returned;
			hit = cluster_kills_hit(c);
			bad += ends(c);
			if (!hit)
				break;
		}
	if (!returned) {
		printf("FAIL policy %s: no victim had returned\n", name);
		bad++;
	}
	return bad;
}

static unsigned the_missing_are_named_though_this_rank_holds(const char *name)
{
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, 4, 7);
	cfg.limit_ns = 60 * ART_NS_PER_S;
	c = job_with(&cfg, name);
	sets_flags(c, ALL, 0, ART_F_UNIFORM);
	sleeps(c, 3, 13 * ART_NS_PER_S);
	bcasts(c, ALL, 0, 4);
	cluster_until(c, cluster_all_finished, NULL, 12 * ART_NS_PER_S);
	if (!was_said(c, "rank 3 has not entered bcast"))
		cluster_fail(c, "nobody said that rank 3 is missing");
	finalizes(c, ALL);
	runs(c);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

/* ---- successor ---- */

static unsigned a_reduce_survives_its_root_wherever_it_dies(const char *name)
{
	bool in = false, out = false;
	unsigned bad = 0;

	for (uint64_t step = 0; step < 100; step++) {
		struct cluster *c = job_of(5, name);
		int hit;

		sets_flags(c, ALL, 0, ART_F_SUCCESSOR);
		reduces(c, ALL, 2);
		reduces(c, ALL, 2); /* dead for long */
		finalizes(c, ALL);
		kill_at(c, 2, 2, step);
		runs(c);
		hit = cluster_kills_hit(c);
		all_get(c, 1, ART_SUCCESS);
		all_get(c, 2, ART_SUCCESS);
		if (hit) {
			in |= cluster_contributed(c, 0, 1, 2);
			out |= !cluster_contributed(c, 0, 1, 2);
		}
		bad += ends(c);
		if (!hit)
			break;
	}
	if (!in || !out) {
		printf("FAIL policy %s: the root was never %s\n", name, in ? "left out" : "in");
		bad++;
	}
	return bad;
}

static unsigned successors_may_die_too(const char *name)
{
	struct cluster *c = job_of(6, name);

	sets_flags(c, ALL, 0, ART_F_SUCCESSOR);
	sleeps(c, 5, 100 * MS);
	reduces(c, ALL, 3);
	finalizes(c, ALL);
	kill_at(c, 3, 2, 1);
	kill_at(c, 0, 2, 2);
	kill_at(c, 1, 2, 3);
	runs(c);
	all_get(c, 1, ART_SUCCESS);
	all_count(c, 1, 0x34);
	return ends(c);
}

static unsigned flags_are_inherited_and_set_by_all_alike(const char *name)
{
	struct cluster *c = job_of(5, name);
	int root = 2;

	sets_flags(c, ALL, 0, ART_F_SUCCESSOR);
	dups(c, ALL, 1);
	for (int r = 0; r < 5; r++)
		sets_flags(c, r, 0, r == 3 ? ART_F_UNIFORM : 0);
	sets_flags(c, ALL, 0, 0);
	sleeps(c, root, 50 * MS);
	for (int comm = 0; comm < 2; comm++)
		calls(c, ALL, (struct cluster_call){ .kind = ART_C_REDUCE, .comm = comm, .root = root,
			.count = 4, .type = ART_T_UINT64, .op = ART_O_SUM });
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &root);
	runs(c);
	all_get(c, 2, ART_ERR_MISMATCH);
	all_get(c, 4, ART_ERR_ROOT_LOST);
	all_get(c, 5, ART_SUCCESS);
	return ends(c);
}

/* ---- reproducible ---- */

/* The cluster gives inputs and a user function of which every shape makes something else, and computes the
 * right one: for every number of ranks, root, size of the vector and radix of the trees, on one host
 * and on several, with and without a loss. */
static void odd_radix(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	core->radix = *(int *)arg;
	core->small_max = 256;
}

static unsigned bits_depend_on_the_contributors_alone(const char *name)
{
	static const size_t counts[] = { 1, 100, 40000 };
	static const int two[9] = { 0, 1, 0, 1, 0, 1, 0, 1, 0 };
	unsigned bad = 0;

	for (int n = 2; n <= 9; n++)
		for (int k = 0; k < 9; k++) {
			struct cluster_cfg cfg;
			struct cluster *c;
			int radix = 2 + k % 3, victim = k % n;
			struct cluster_call call = { .kind = ART_C_ALLREDUCE, .count = counts[k / 3],
						     .type = ART_T_DOUBLE, .op = ART_O_SUM };

			cluster_defaults(&cfg, n, (uint64_t)k);
			cfg.tune = odd_radix;
			cfg.tune_arg = &radix;
			cfg.hosts = k % 2 ? two : NULL;
			c = job_with(&cfg, name);
			sets_flags(c, ALL, 0, ART_F_REPRODUCIBLE);
			for (int i = 0; i < 6; i++) {
				calls(c, ALL, call);
				call.kind = i % 2 ? ART_C_ALLREDUCE : ART_C_REDUCE;
				call.root = i * 5 % n;
				call.flags = i > 3 ? CLUSTER_USER : 0;
				call.type = i > 3 ? ART_T_UINT64 : i % 2 ? ART_T_FLOAT : ART_T_DOUBLE;
				call.op = i > 3 ? 0 : i == 3 ? ART_O_PROD : ART_O_SUM;
			}
			finalizes(c, ALL);
			if (k >= 3)
				kill_at(c, victim, 2 + k / 2, (uint64_t)k);
			runs(c);
			bad += ends(c);
		}
	return bad;
}

/* ---- mirror ---- */

/* A rank that had entered counts, wherever it dies from then on; before, it is left out. The oracle
 * (cluster_check.c) holds each run to who had said to keep what; here: that both happen, for every kind of
 * call, one message and a stream, and that the answer is the full sum. */
static unsigned a_lost_rank_counts_once_its_buddy_has_its_input(const char *name)
{
	static const size_t counts[] = { 0, 4, 12000 };
	unsigned bad = 0;

	for (int k = 0; k < 12; k++) {
		enum art_coll kind = k / 3 % 2 ? ART_C_REDUCE : ART_C_ALLREDUCE;
		bool in = false, out = false, hit = true;

		for (uint64_t step = 0; hit && step < 400; step++) {
			struct cluster *c = job_of(5, name);

			sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
			calls(c, ALL, (struct cluster_call){ .kind = kind, .count = counts[k % 3],
				.type = k < 6 ? ART_T_UINT64 : ART_T_INT64_INT64,
				.op = k < 6 ? ART_O_SUM : 0,
				.flags = k < 6 ? CLUSTER_IN_PLACE : CLUSTER_USER_AFFINE });
			sums(c, ALL);
			finalizes(c, ALL);
			kill_at(c, 2, 2, step);
			runs(c);
			hit = cluster_kills_hit(c);
			all_get(c, 1, ART_SUCCESS);
			if (hit) {
				in |= cluster_contributed(c, 0, 1, 2);
				out |= !cluster_contributed(c, 0, 1, 2);
			}
			bad += ends(c);
		}
		if (!in || !out) {
			printf("FAIL policy %s, case %d: the dead rank was never %s\n", name, k,
			       in ? "left out" : "in");
			bad++;
		}
	}
	return bad;
}

/* It has entered, the others have not: all of them die but its buddy and one more, and later come in. */
static unsigned what_was_kept_counts_though_nobody_else_had_called(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 1;

	sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
	for (int r = 0; r < 5; r++)
		if (r != victim && r != 2)
			sleeps(c, r, 50 * MS);
	sums(c, victim);
	sleeps(c, 2, 50 * MS);
	for (int r = 0; r < 5; r++)
		if (r != victim)
			sums(c, r);
	finalizes(c, ALL);
	cluster_after(c, 20 * MS, kill_it, &victim);
	runs(c);
	all_count(c, 1, 0x1f);
	return ends(c);
}

/* The owner and its only buddy: as under EXCLUDE. With two buddies it takes three deaths. */
static void two_buddies(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	core->buddies = *(int *)arg;
}

static unsigned who_dies_with_its_buddies_is_left_out(const char *name)
{
	unsigned bad = 0;

	for (int buddies = 1; buddies <= 2; buddies++) {
		struct cluster_cfg cfg;
		struct cluster *c;
		int victim = 1, buddy = 2, late = 4;

		cluster_defaults(&cfg, 6, 7);
		cfg.tune = two_buddies;
		cfg.tune_arg = &buddies;
		c = job_with(&cfg, name);
		sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
		sleeps(c, late, 50 * MS);
		sums(c, ALL);
		sums(c, ALL);
		finalizes(c, ALL);
		cluster_after(c, 10 * MS, kill_it, &victim);
		cluster_after(c, 10 * MS, kill_it, &buddy);
		runs(c);
		/* rank 1's buddies are 2 and 3, those of 2 are 3 and 4 */
		all_count(c, 1, buddies == 1 ? 0x3d : 0x3f);
		all_count(c, 2, 0x39);
		bad += ends(c);
	}
	return bad;
}

/* First the owner, then - with the rerun under way, which waits for a latecomer - the stand-in. */
static unsigned a_stand_in_may_die_too(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 1, buddy = 2;

	sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
	sleeps(c, 4, 50 * MS);
	sums(c, ALL);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, kill_it, &victim);
	cluster_after(c, 20 * MS, kill_it, &buddy);
	runs(c);
	all_count(c, 1, 0x1d); /* the buddy's own input had one, too */
	all_count(c, 2, 0x19);
	return ends(c);
}

static unsigned buddies_are_on_other_hosts(const char *name)
{
	static const int hosts[6] = { 0, 0, 0, 1, 1, 1 };
	struct cluster_cfg cfg;
	struct cluster *c;
	int victim[3] = { 0, 1, 2 };

	cluster_defaults(&cfg, 6, 7);
	cfg.hosts = hosts;
	c = job_with(&cfg, name);
	sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
	sleeps(c, 5, 50 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	for (int i = 0; i < 3; i++)
		cluster_after(c, 10 * MS, kill_it, &victim[i]);
	runs(c);
	all_count(c, 1, 0x3f);
	return ends(c);
}

static unsigned a_bcast_is_delivered_by_its_lost_roots_buddy(const char *name)
{
	unsigned bad = 0, lost = 0, delivered = 0;

	for (int k = 0; k < 2; k++) {
		int hit = 1;

		for (uint64_t step = 0; hit && step < 400; step++) {
			struct cluster *c = job_of(5, name);
			struct cluster_result r;

			sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
			for (int i = 0; i < 5; i++)
				if (i != 1)
					sleeps(c, i, 5 * MS);
			bcasts(c, ALL, 1, k ? 9000 : 5);
			finalizes(c, ALL);
			kill_at(c, 1, 2, step);
			runs(c);
			hit = cluster_kills_hit(c);
			cluster_result(c, 0, 1, &r);
			if (r.code != ART_SUCCESS && r.code != ART_ERR_ROOT_LOST)
				cluster_fail(c, "ended with %d", r.code);
			lost += hit && r.code;
			delivered += hit && !r.code;
			all_get(c, 1, r.code);
			bad += ends(c);
		}
	}
	if (!lost || !delivered) {
		printf("FAIL policy %s: %u lost, %u delivered\n", name, lost, delivered);
		bad++;
	}
	return bad;
}

/* Bits, too, are those of the run without failure. */
static unsigned mirrored_and_reproducible_gives_the_same_bits(const char *name)
{
	unsigned bad = 0;

	for (int n = 3; n <= 9; n++) {
		struct cluster *c = job_of(n, name);
		int victim = n / 2;

		sets_flags(c, ALL, 0, ART_F_REPRODUCIBLE);
		sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
		sleeps(c, 0, 50 * MS);
		calls(c, ALL, (struct cluster_call){ .kind = ART_C_ALLREDUCE, .count = 700,
			.type = ART_T_DOUBLE, .op = ART_O_SUM });
		finalizes(c, ALL);
		cluster_after(c, 10 * MS, kill_it, &victim);
		runs(c);
		all_count(c, 2, (1u << n) - 1);
		bad += ends(c);
	}
	return bad;
}

static unsigned a_reduce_to_a_lost_root_stays_lost_under_mirror(const char *name)
{
	unsigned bad = 0;

	for (int successor = 0; successor < 2; successor++) {
		struct cluster *c = job_of(5, name);
		int victim = 2;

		sets_flags(c, ALL, 0, successor ? ART_F_SUCCESSOR : ART_F_UNIFORM);
		sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
		sleeps(c, 4, 50 * MS);
		reduces(c, ALL, victim);
		finalizes(c, ALL);
		cluster_after(c, 10 * MS, kill_it, &victim);
		runs(c);
		all_get(c, 2, successor ? ART_SUCCESS : ART_ERR_ROOT_LOST);
		if (successor)
			all_count(c, 2, 0x1f);
		bad += ends(c);
	}
	return bad;
}

/* It gave another call than those who are left: of that nobody is to be in the result. */
static unsigned a_kept_input_of_another_call_is_left_out(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 1;

	sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
	for (int r = 0; r < 5; r++)
		if (r != victim)
			sleeps(c, r, r == 2 ? 2 * MS : 5 * MS);
	for (int r = 0; r < 5; r++)
		calls(c, r, (struct cluster_call){ .kind = ART_C_ALLREDUCE, .type = ART_T_UINT64,
			.count = r == victim ? 5 : 4, .op = ART_O_SUM });
	finalizes(c, ALL);
	sleeps(c, victim, 50 * MS);
	cluster_after(c, 3 * MS, kill_it, &victim);
	runs(c);
	for (int r = 0; r < 5; r++) {
		struct cluster_result q;

		cluster_result(c, r, 1, &q);
		if (r != victim && q.code && q.code != ART_ERR_MISMATCH)
			cluster_fail(c, "rank %d: ended with %d", r, q.code);
		if (r != victim && cluster_contributed(c, r, 1, victim))
			cluster_fail(c, "rank %d counts an input of another call", r);
	}
	return ends(c);
}

static unsigned mirror_is_inherited_and_can_be_given_up(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 3;

	sets_policy(c, ALL, 0, ART_LOSS_MIRROR);
	dups(c, ALL, 1);
	sets_policy(c, ALL, 0, ART_LOSS_EXCLUDE);
	sleeps(c, 4, 50 * MS);
	for (int r = 0; r < 5; r++)
		for (int comm = 0; comm < 2; comm++) {
			struct cluster_call k = sum_on(comm);

			k.flags = CLUSTER_NONBLOCK;
			calls(c, r, k);
		}
	waits_all(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, kill_it, &victim);
	runs(c);
	all_count(c, 3, 0x17);
	all_count(c, 4, 0x1f);
	return ends(c);
}

static const struct word_scenario scenarios[] = {
	SCENARIO(an_agreement_completes_wherever_a_rank_dies),
	SCENARIO(no_policy_fails_an_agreement),
	SCENARIO(a_loss_while_agreeing_is_no_error_either),
	SCENARIO(a_loss_before_a_shrink_spares_it_at_every_rank),
	SCENARIO(who_calls_otherwise_after_a_loss_fails_an_agreement),
	SCENARIO(an_agreement_is_not_mistaken_for_an_allreduce),
	SCENARIO(a_shrunk_communicator_is_that_of_the_survivors),
	SCENARIO(a_refused_shrink_makes_nothing_anywhere),
	SCENARIO(every_loss_is_told_once_on_each_communicator_that_had_the_rank),
	SCENARIO(who_had_returned_hears_of_the_failure_later),
	SCENARIO(news_reach_a_rank_that_waits),
	SCENARIO(a_freed_communicator_says_nothing),
	SCENARIO(a_uniform_call_returns_when_all_have_the_outcome),
	SCENARIO(nobody_takes_another_outcome_to_the_grave),
	SCENARIO(the_missing_are_named_though_this_rank_holds),
	SCENARIO(a_reduce_survives_its_root_wherever_it_dies),
	SCENARIO(successors_may_die_too),
	SCENARIO(flags_are_inherited_and_set_by_all_alike),
	SCENARIO(bits_depend_on_the_contributors_alone),
	SCENARIO(a_lost_rank_counts_once_its_buddy_has_its_input),
	SCENARIO(what_was_kept_counts_though_nobody_else_had_called),
	SCENARIO(who_dies_with_its_buddies_is_left_out),
	SCENARIO(a_stand_in_may_die_too),
	SCENARIO(buddies_are_on_other_hosts),
	SCENARIO(a_bcast_is_delivered_by_its_lost_roots_buddy),
	SCENARIO(mirrored_and_reproducible_gives_the_same_bits),
	SCENARIO(a_reduce_to_a_lost_root_stays_lost_under_mirror),
	SCENARIO(a_kept_input_of_another_call_is_left_out),
	SCENARIO(mirror_is_inherited_and_can_be_given_up),
};

int main(int argc, char **argv)
{
	return scenarios_main(argc, argv, "policy", scenarios,
			      sizeof(scenarios) / sizeof(scenarios[0]));
}
