/* SPDX-License-Identifier: MIT
 *
 * Description: the contract under failure (README.md, rows 1-5, 7 and 8) and the rules behind it,
 * one named scenario a sentence, in virtual time.
 *
 *	contract                     all scenarios
 *	contract NAME [--verbose]    one
 */
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "tests/sim/words.h"

#define MANY 2000 /* deadlines: about twice ART_NAMED_MAX */

/* ---- row 1: completes ---- */

static unsigned an_allreduce_completes_whoever_dies(const char *name)
{
	unsigned bad = 0;

	for (int victim = 0; victim < 5; victim++) {
		struct cluster *c = job_of(5, name);
		sums(c, ALL);
		sums(c, ALL);
		finalizes(c, ALL);
		kill_at(c, victim, 1, 2);
		runs(c);
		all_get(c, 0, ART_SUCCESS);
		all_get(c, 1, ART_SUCCESS);
		bad += ends(c);
	}
	return bad;
}

static unsigned a_late_rank_is_named_after_ten_seconds(const char *name)
{
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, 4, 7);
	cfg.limit_ns = 60 * ART_NS_PER_S;
	c = job_with(&cfg, name);
	sleeps(c, 3, 13 * ART_NS_PER_S);
	sums(c, ALL);
	cluster_until(c, cluster_all_finished, NULL, 12 * ART_NS_PER_S);
	if (!was_said(c, "rank 3 has not entered allreduce"))
		cluster_fail(c, "nobody said that rank 3 is missing");
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 0, 0xf);
	return ends(c);
}

static unsigned a_deadline_names_the_missing_alike(const char *name)
{
	struct cluster *c = job_of(5, name);
	struct cluster_call sum = sum_on(0);

	sum.deadline_ns = 2 * MS;
	sleeps(c, 2, 10 * MS);
	sleeps(c, 4, 15 * MS);
	calls(c, ALL, sum);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_TIMEOUT); /* the late comers, too */
	all_blame(c, 0, 1u << 2 | 1u << 4);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

/* They wait for their turn, which is no reason for a rank to give up. */
static unsigned more_deadlines_than_one_decision_takes(const char *name)
{
	struct cluster *c = job_of(6, name);
	struct cluster_call sum = sum_on(0);

	sum.flags = CLUSTER_NONBLOCK;
	sum.deadline_ns = 10 * MS;
	sleeps(c, 4, 500 * MS);
	for (int k = 0; k < MANY; k++)
		calls(c, ALL, sum);
	waits_all(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_TIMEOUT);
	all_get(c, MANY - 1, ART_ERR_TIMEOUT);
	return ends(c);
}

static unsigned a_deadline_that_is_met_changes_nothing(const char *name)
{
	struct cluster *c = job_of(5, name);
	struct cluster_call sum = sum_on(0);

	sum.deadline_ns = 50 * MS;
	sleeps(c, 2, 10 * MS);
	calls(c, ALL, sum);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 0, 0x1f);
	return ends(c);
}

static unsigned a_deadline_of_one_rank_binds_all(const char *name)
{
	struct cluster *c = job_of(4, name);
	struct cluster_call sum = sum_on(0);

	sleeps(c, 3, 20 * MS);
	sums(c, 0);
	sum.deadline_ns = 2 * MS;
	calls(c, 1, sum);
	sums(c, 2);
	sums(c, 3);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_TIMEOUT);
	all_blame(c, 0, 1u << 3);
	return ends(c);
}

static unsigned other_operations_go_on_beside_a_timeout(const char *name)
{
	struct cluster *c = job_of(4, name);
	struct cluster_call late = sum_on(0), other = sum_on(1);

	late.deadline_ns = 2 * MS;
	late.flags = other.flags = CLUSTER_NONBLOCK;
	dups(c, ALL, 1);
	calls(c, 0, late);
	calls(c, 1, late);
	calls(c, 2, late);
	sleeps(c, 3, 10 * MS);
	calls(c, 3, late);
	calls(c, ALL, other);
	waits_all(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 1, ART_ERR_TIMEOUT);
	all_get(c, 2, ART_SUCCESS);
	if (replays_of(c, 0, 2) != 0)
		cluster_fail(c, "an operation beside the timed out one was run again");
	return ends(c);
}

/* ---- rows 2 and 3: agrees, exactly once ---- */

static unsigned a_rank_lost_before_entering_is_not_counted(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 1;

	sleeps(c, 1, 50 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 0, 0x1d);
	return ends(c);
}

static unsigned a_result_that_someone_holds_is_delivered(const char *name)
{
	struct cluster *c = job_of(7, name);
	int first = 0;

	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, first_returned, &first, ART_NS_PER_S);
	cluster_kill(c, 6);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 0, 0x7f); /* rank 6 had entered, and rank 0 held it */
	return ends(c);
}

static unsigned with_policy_error_every_survivor_gets_proc_failed(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 2;

	sets_policy(c, ALL, 0, ART_LOSS_ERROR);
	sleeps(c, 2, 50 * MS);
	sums(c, ALL);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 1, ART_ERR_PROC_FAILED);
	all_blame(c, 1, 1u << 2);
	all_get(c, 2, ART_SUCCESS);
	all_count(c, 2, 0x1b);
	return ends(c);
}

static unsigned with_policy_error_and_nothing_open_the_next_fails_once(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 4;

	sets_policy(c, ALL, 0, ART_LOSS_ERROR);
	sums(c, ALL);
	sleeps(c, ALL, 30 * MS);
	sums(c, ALL);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 1, ART_SUCCESS);
	all_get(c, 2, ART_ERR_PROC_FAILED);
	all_blame(c, 2, 1u << 4);
	all_get(c, 3, ART_SUCCESS);
	return ends(c);
}

static unsigned policy_error_fails_its_communicator_only(const char *name)
{
	struct cluster *c = job_of(5, name);
	struct cluster_call strict = sum_on(1), mild = sum_on(0);
	int victim = 3;

	strict.flags = mild.flags = CLUSTER_NONBLOCK;
	dups(c, ALL, 1);
	sets_policy(c, ALL, 1, ART_LOSS_ERROR);
	sleeps(c, 3, 50 * MS);
	calls(c, ALL, strict);
	calls(c, ALL, mild);
	waits_all(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 2, ART_ERR_PROC_FAILED);
	all_get(c, 3, ART_SUCCESS);
	all_count(c, 3, 0x17);
	return ends(c);
}

static unsigned an_early_return_learns_its_outcome_later(const char *name)
{
	struct cluster *c = job_of(4, name);

	sleeps(c, 0, 5 * MS);
	reduces(c, ALL, 0);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 0, 0xf);
	return ends(c);
}

/* ---- row 4: bcast is atomic ---- */

static unsigned a_bcast_reaches_all_or_none_wherever_the_root_dies(const char *name)
{
	bool seen_all = false, seen_none = false;
	unsigned bad = 0;

	for (uint64_t step = 0; step < 200; step++) {
		struct cluster *c = job_of(6, name);
		struct cluster_result r;
		int hit;
		bcasts(c, ALL, 2, 20000);
		sums(c, ALL);
		finalizes(c, ALL);
		kill_at(c, 2, -1, step);
		runs(c);
		hit = cluster_kills_hit(c);
		cluster_result(c, 0, 0, &r);
		if (r.code != ART_SUCCESS && r.code != ART_ERR_ROOT_LOST)
			cluster_fail(c, "the bcast ended with %d", r.code);
		all_get(c, 0, r.code);
		if (hit && r.code == ART_SUCCESS)
			seen_all = true;
		if (hit && r.code == ART_ERR_ROOT_LOST)
			seen_none = true;
		bad += ends(c);
		if (!hit)
			break;
	}
	if (!seen_all || !seen_none) {
		printf("FAIL contract %s: %s never happened\n", name,
		       seen_all ? "root lost" : "delivery");
		bad++;
	}
	return bad;
}

static unsigned a_bcast_whose_root_never_came_is_root_lost(const char *name)
{
	struct cluster *c = job_of(5, name);
	int root = 1;

	sleeps(c, 1, 50 * MS);
	bcasts(c, ALL, 1, 8);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &root);
	runs(c);
	all_get(c, 0, ART_ERR_ROOT_LOST);
	all_blame(c, 0, 1u << 1);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

/* ---- row 5: reduce to a lost root ---- */

static unsigned a_reduce_to_a_lost_root_is_root_lost(const char *name)
{
	struct cluster *c = job_of(5, name);
	int root = 3;

	sleeps(c, 3, 50 * MS);
	reduces(c, ALL, 3);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &root);
	runs(c);
	all_get(c, 0, ART_ERR_ROOT_LOST);
	all_blame(c, 0, 1u << 3);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

/* ---- row 7: no split brain ---- */

static void split(struct cluster *c, uint32_t side)
{
	int group[9];

	for (int r = 0; r < cluster_n(c); r++)
		group[r] = side >> r & 1;
	cluster_partition(c, group, true);
}

static struct cluster *partitioned_job(const char *name, int n, uint32_t side)
{
	struct cluster *c = job_of_hosts(n, name);

	sums(c, ALL);
	sleeps(c, ALL, 5 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
	cluster_until(c, cluster_all_finished, NULL, 3 * MS); /* the first sum is over */
	split(c, side);
	return c;
}

static unsigned the_larger_side_goes_on_the_smaller_stops(const char *name)
{
	struct cluster *c = partitioned_job(name, 5, 0x3); /* the leader is cut off */

	runs(c);
	for (int r = 2; r < 5; r++)
		gets(c, r, 1, ART_SUCCESS);
	for (int r = 0; r < 2; r++)
		gets(c, r, 1, ART_ERR_NO_QUORUM);
	if (cluster_contributed(c, 2, 1, 0) || !cluster_contributed(c, 2, 1, 4))
		cluster_fail(c, "the wrong side is in the result");
	return ends(c);
}

static unsigned exact_halves_both_stop(const char *name)
{
	struct cluster *c = partitioned_job(name, 4, 0x3);

	runs(c);
	all_get(c, 1, ART_ERR_NO_QUORUM);
	return ends(c);
}

static void lowest_goes_on(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	core->lowest_half = true;
}

static unsigned of_exact_halves_the_lowest_may_go_on(const char *name)
{
	static const uint32_t sides[3] = { 0x3, 0x9, 0xe }; /* the last is no half */
	unsigned bad = 0;

	for (int k = 0; k < 3; k++) {
		struct cluster_cfg cfg;
		struct cluster *c;
		uint32_t side = sides[k];

		cluster_defaults(&cfg, 4, 7);
		cfg.hosts = own_hosts;
		cfg.evidence = CLUSTER_BY_HOST;
		cfg.tune = lowest_goes_on;
		c = job_with(&cfg, name);
		sums(c, ALL);
		sleeps(c, ALL, 5 * MS);
		sums(c, ALL);
		finalizes(c, ALL);
		cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
		cluster_until(c, cluster_all_finished, NULL, 3 * MS);
		split(c, side);
		runs(c);
		for (int r = 0; r < 4; r++)
			gets(c, r, 1, side >> r & 1 ? ART_SUCCESS : ART_ERR_NO_QUORUM);
		bad += ends(c);
	}
	return bad;
}

/* Three times the same cut: with an arbiter, with one that only the second half reaches, with none left. */
static unsigned of_exact_halves_the_arbiter_chooses_one(const char *name)
{
	static const uint32_t cut[3] = { 0, 0x3, 0xf };
	unsigned bad = 0;

	for (int k = 0; k < 3; k++) {
		struct cluster_cfg cfg;
		struct cluster *c;
		struct cluster_result low, high;

		cluster_defaults(&cfg, 4, 7 + (uint64_t)k);
		cfg.hosts = own_hosts;
		cfg.evidence = CLUSTER_BY_HOST;
		cfg.arbiter = true;
		cfg.arbiter_cut = cut[k];
		c = job_with(&cfg, name);
		sums(c, ALL);
		sleeps(c, ALL, 5 * MS);
		sums(c, ALL);
		finalizes(c, ALL);
		cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
		cluster_until(c, cluster_all_finished, NULL, 3 * MS);
		split(c, 0x3);
		runs(c);
		cluster_result(c, 0, 1, &low);
		cluster_result(c, 2, 1, &high);
		gets(c, 1, 1, low.code);
		gets(c, 3, 1, high.code);
		if (k == 0 && (low.code == ART_SUCCESS) == (high.code == ART_SUCCESS))
			cluster_fail(c, "the halves end with %d and %d", low.code, high.code);
		if (k == 1)
			gets(c, 2, 1, ART_SUCCESS);
		if (k)
			gets(c, 0, 1, ART_ERR_NO_QUORUM);
		if (k == 2)
			gets(c, 2, 1, ART_ERR_NO_QUORUM);
		bad += ends(c);
	}
	return bad;
}

static void first_three_die(struct cluster *c, void *unused)
{
	(void)unused;
	for (int r = 0; r < 3; r++)
		cluster_kill(c, r);
}

/* The kernel proves them dead to those whom they had left out: these are not all that is left. */
static unsigned the_dead_tell_whom_they_left_out(const char *name)
{
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, 5, 7);
	cfg.hosts = own_hosts;
	c = job_with(&cfg, name);
	sums(c, ALL);
	sleeps(c, ALL, 5 * MS);
	sums(c, ALL);
	sleeps(c, ALL, ART_NS_PER_S);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
	cluster_until(c, cluster_all_finished, NULL, 3 * MS);
	split(c, 0x7);
	cluster_after(c, ART_NS_PER_S / 2, first_three_die, NULL);
	runs(c);
	for (int r = 0; r < 3; r++)
		gets(c, r, 1, ART_SUCCESS);
	for (int r = 3; r < 5; r++) {
		gets(c, r, 1, ART_ERR_EVICTED);
		if (cluster_epoch(c, r))
			cluster_fail(c, "rank %d went on beside the dead", r);
	}
	return ends(c);
}

static bool majority_done(struct cluster *c, void *unused)
{
	(void)unused;
	return cluster_finished(c, 2) && cluster_finished(c, 3) && cluster_finished(c, 4);
}

static unsigned who_was_cut_off_and_returns_is_evicted(const char *name)
{
	struct cluster *c = job_of_hosts(5, name);

	sums(c, ALL);
	sleeps(c, ALL, 5 * MS);
	sums(c, ALL);
	for (int r = 2; r < 5; r++) /* still there when the others come back */
		sleeps(c, r, ART_NS_PER_S);
	finalizes(c, ALL);
	cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
	cluster_until(c, cluster_all_finished, NULL, 3 * MS);
	split(c, 0x3);
	cluster_until(c, majority_done, NULL, ART_NS_PER_S / 2);
	cluster_heal(c);
	runs(c);
	for (int r = 2; r < 5; r++)
		gets(c, r, 1, ART_SUCCESS);
	for (int r = 0; r < 2; r++) {
		gets(c, r, 1, ART_ERR_EVICTED);
		if (cluster_fate(c, r) != ART_ERR_EVICTED)
			cluster_fail(c, "rank %d was not told that it is evicted", r);
	}
	return ends(c);
}

static unsigned a_rank_suspected_wrongly_is_evicted_and_harmless(const char *name)
{
	struct cluster *c = job_of_hosts(5, name);

	sums(c, ALL);
	sleeps(c, ALL, 5 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, first_started_by_all, NULL, ART_NS_PER_S);
	cluster_suspect(c, ALL, 3, 2 * MS);
	runs(c);
	for (int r = 0; r < 5; r++)
		gets(c, r, 1, r == 3 ? ART_ERR_EVICTED : ART_SUCCESS);
	if (cluster_contributed(c, 0, 1, 3))
		cluster_fail(c, "the evicted rank is in a later result");
	return ends(c);
}

static unsigned proven_deaths_shrink_a_job_to_one(const char *name)
{
	struct cluster *c = job_of(8, name);

	for (int i = 0; i < 7; i++) {
		sums(c, ALL);
		kill_at(c, i, i + 1, 0); /* one more in each round */
	}
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	gets(c, 7, 7, ART_SUCCESS);
	all_count(c, 7, 1u << 7);
	return ends(c);
}

static unsigned all_but_one_may_die_at_once(const char *name)
{
	struct cluster *c = job_of(6, name);

	sleeps(c, ALL, 5 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	for (int r = 0; r < 6; r++) {
		if (r != 4)
			kill_at(c, r, 1, 1);
	}
	runs(c);
	gets(c, 4, 0, ART_SUCCESS);
	return ends(c);
}

static unsigned unproven_deaths_need_a_quorum(const char *name)
{
	unsigned bad = 0;

	for (int dead = 2; dead <= 3; dead++) { /* of five: two may be lost, three not */
		struct cluster *c = job_of_hosts(5, name);
		sleeps(c, ALL, 5 * MS);
		sums(c, ALL);
		finalizes(c, ALL);
		for (int r = 0; r < dead; r++)
			cluster_kill(c, r);
		runs(c);
		all_get(c, 0, dead == 2 ? ART_SUCCESS : ART_ERR_NO_QUORUM);
		bad += ends(c);
	}
	return bad;
}

/* ---- row 8: bad input is refused ---- */

static unsigned mismatch_of(const char *name, int first_odd, struct cluster_call good,
			    struct cluster_call wrong)
{
	unsigned bad = 0;

	for (int odd = first_odd; odd < 4; odd++) {
		struct cluster *c = job_of(4, name);
		int blamed = 0;
		for (int r = 0; r < 4; r++)
			calls(c, r, r == odd ? wrong : good);
		sums(c, ALL);
		finalizes(c, ALL);
		runs(c);
		all_get(c, 0, ART_ERR_MISMATCH);
		for (int s = 0; s < 4; s++)
			blamed += cluster_blamed(c, 0, 0, s);
		if (!cluster_blamed(c, 0, 0, odd) || blamed != 2)
			cluster_fail(c, "%d ranks are named, the odd one %s", blamed,
				     cluster_blamed(c, 0, 0, odd) ? "too" : "not");
		for (int s = 0; s < 4; s++) {
			for (int r = 1; r < 4; r++) {
				if (cluster_blamed(c, r, 0, s) != cluster_blamed(c, 0, 0, s))
					cluster_fail(c, "ranks 0 and %d disagree about %d", r, s);
			}
		}
		all_get(c, 1, ART_SUCCESS);
		bad += ends(c);
	}
	return bad;
}

static unsigned different_operators_are_a_mismatch(const char *name)
{
	struct cluster_call wrong = sum_on(0);

	wrong.op = ART_O_MAX;
	return mismatch_of(name, 0, sum_on(0), wrong);
}

static unsigned different_counts_are_a_mismatch(const char *name)
{
	struct cluster_call wrong = sum_on(0);

	wrong.count = 5;
	return mismatch_of(name, 0, sum_on(0), wrong);
}

static unsigned different_types_are_a_mismatch(const char *name)
{
	struct cluster_call wrong = sum_on(0);

	wrong.type = ART_T_INT64;
	return mismatch_of(name, 0, sum_on(0), wrong);
}

static unsigned different_roots_are_a_mismatch(const char *name)
{
	struct cluster_call good = { .kind = ART_C_REDUCE, .count = 4, .type = ART_T_UINT64,
				     .op = ART_O_SUM };
	struct cluster_call wrong = good;

	wrong.root = 1;
	return mismatch_of(name, 1, good, wrong);
}

/* If the rank that all others call the root names another one, everyone is a leaf in its own eyes
 * and may have returned before the first wrong part arrives (rule R1): then nothing can be taken
 * back. Nobody hangs, and what follows is right. */
static unsigned a_reduce_that_nobody_calls_its_own_hurts_nothing_else(const char *name)
{
	struct cluster *c = job_of(4, name);

	for (int r = 0; r < 4; r++)
		reduces(c, r, r == 0 ? 1 : 0);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

/* The root of a bcast holds it from entry (rule R12): the operation stands, and whoever named
 * another root gets the error. (Who took itself for the root has returned from its own bcast, rule
 * R1; it is told only if the mistake comes out before everyone is done.) */
static unsigned a_bcast_stands_and_the_odd_rank_gets_the_error(const char *name)
{
	unsigned bad = 0;

	for (int odd = 2; odd < 4; odd++) {
		struct cluster *c = job_of(4, name);
		for (int r = 0; r < 4; r++)
			bcasts(c, r, r == odd ? 1 : 0, 4);
		sums(c, ALL);
		finalizes(c, ALL);
		runs(c);
		for (int r = 0; r < 4; r++)
			gets(c, r, 0, r == odd ? ART_ERR_MISMATCH : ART_SUCCESS);
		if (!cluster_blamed(c, odd, 0, odd))
			cluster_fail(c, "rank %d does not learn that it is the odd one", odd);
		all_get(c, 1, ART_SUCCESS);
		bad += ends(c);
	}
	return bad;
}

/* The root that stood dies before anybody has its payload: who called as it did has lost its root,
 * who called otherwise is odd, whether it came before the death or comes after it. */
static unsigned the_odd_ranks_agree_though_the_root_that_stood_has_died(const char *name)
{
	static const size_t count[5] = { 4, 5, 4, 4, 5 };
	struct cluster *c = job_of(5, name);
	int early = 1;

	for (int r = 2; r < 5; r++)
		sleeps(c, r, 50 * MS);
	for (int r = 0; r < 5; r++)
		bcasts(c, r, 0, count[r]);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, first_returned, &early, 20 * MS);
	cluster_kill(c, 0);
	runs(c);
	for (int r = 1; r < 5; r++) {
		bool odd = count[r] != count[0];

		gets(c, r, 0, odd ? ART_ERR_MISMATCH : ART_ERR_ROOT_LOST);
		for (int s = 0; s < 5; s++)
			if (cluster_blamed(c, r, 0, s) != (s == 0 || (odd && s == r)))
				cluster_fail(c, "rank %d is told wrong things of rank %d", r, s);
	}
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

static unsigned a_bcast_that_nobody_calls_its_own_is_a_mismatch(const char *name)
{
	struct cluster *c = job_of(4, name);

	for (int r = 0; r < 4; r++)
		bcasts(c, r, r == 0 ? 1 : 0, 4); /* 0 waits for 1, the others for 0 */
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_MISMATCH);
	all_get(c, 1, ART_SUCCESS);
	return ends(c);
}

static unsigned different_collectives_are_a_mismatch(const char *name)
{
	struct cluster_call wrong = { .kind = ART_C_BARRIER };

	return mismatch_of(name, 0, sum_on(0), wrong);
}

static unsigned a_refused_call_fails_alike_at_every_member(const char *name)
{
	unsigned bad = 0;

	for (int odd = 0; odd < 4; odd++) {
		struct cluster *c = job_of(4, name);
		struct cluster_call refused = { .refuse = ART_ERR_COUNT };
		for (int r = 0; r < 4; r++)
			calls(c, r, r == odd ? refused : sum_on(0));
		sums(c, ALL);
		finalizes(c, ALL);
		runs(c);
		for (int r = 0; r < 4; r++) {
			if (r != odd)
				gets(c, r, 0, ART_ERR_COUNT);
			if (r != odd && !cluster_blamed(c, r, 0, odd))
				cluster_fail(c, "rank %d does not blame the refused rank", r);
		}
		all_get(c, 1, ART_SUCCESS);
		bad += ends(c);
	}
	return bad;
}

/* ---- rule R10 and the end ---- */

static unsigned a_freed_communicator_finishes_what_is_open(const char *name)
{
	struct cluster *c = job_of(5, name);
	struct cluster_call sum = sum_on(1);

	sum.flags = CLUSTER_NONBLOCK;
	dups(c, ALL, 1);
	calls(c, ALL, sum);
	calls(c, ALL, sum);
	frees(c, ALL, 1);
	waits_all(c, ALL);
	sums(c, ALL);
	finalizes(c, ALL);
	kill_at(c, 4, 4, 3);
	runs(c);
	all_get(c, 1, ART_SUCCESS);
	all_get(c, 2, ART_SUCCESS);
	all_get(c, 4, ART_SUCCESS);
	return ends(c);
}

static unsigned free_and_finalize_survive_policy_error(const char *name)
{
	struct cluster *c = job_of(5, name);
	int victim = 2;

	dups(c, ALL, 1);
	sets_policy(c, ALL, 1, ART_LOSS_ERROR);
	sleeps(c, 2, 50 * MS);
	frees(c, ALL, 1);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_get(c, 2, ART_SUCCESS);
	all_get(c, 3, ART_SUCCESS);
	return ends(c);
}

static unsigned exit_without_finalize_is_a_loss(const char *name)
{
	struct cluster *c = job_of(4, name);

	exits(c, 3);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	for (int r = 0; r < 3; r++)
		gets(c, r, 0, ART_SUCCESS);
	if (cluster_contributed(c, 0, 0, 3))
		cluster_fail(c, "a rank that had left is in the result");
	return ends(c);
}

static unsigned zero_counts_and_null_buffers_are_fine(const char *name)
{
	struct cluster *c = job_of(4, name);
	struct cluster_call sum = sum_on(0);

	sum.count = 0;
	calls(c, ALL, sum);
	bcasts(c, ALL, 1, 0);
	reduces(c, ALL, 2); /* null receive buffers off the root */
	finalizes(c, ALL);
	runs(c);
	for (int call = 0; call < 3; call++)
		all_get(c, call, ART_SUCCESS);
	return ends(c);
}

static const struct word_scenario scenarios[] = {
	SCENARIO(an_allreduce_completes_whoever_dies),
	SCENARIO(a_late_rank_is_named_after_ten_seconds),
	SCENARIO(a_deadline_names_the_missing_alike),
	SCENARIO(more_deadlines_than_one_decision_takes),
	SCENARIO(a_deadline_that_is_met_changes_nothing),
	SCENARIO(a_deadline_of_one_rank_binds_all),
	SCENARIO(other_operations_go_on_beside_a_timeout),
	SCENARIO(a_rank_lost_before_entering_is_not_counted),
	SCENARIO(a_result_that_someone_holds_is_delivered),
	SCENARIO(with_policy_error_every_survivor_gets_proc_failed),
	SCENARIO(with_policy_error_and_nothing_open_the_next_fails_once),
	SCENARIO(policy_error_fails_its_communicator_only),
	SCENARIO(an_early_return_learns_its_outcome_later),
	SCENARIO(a_bcast_reaches_all_or_none_wherever_the_root_dies),
	SCENARIO(a_bcast_whose_root_never_came_is_root_lost),
	SCENARIO(a_reduce_to_a_lost_root_is_root_lost),
	SCENARIO(the_larger_side_goes_on_the_smaller_stops),
	SCENARIO(exact_halves_both_stop),
	SCENARIO(of_exact_halves_the_lowest_may_go_on),
	SCENARIO(of_exact_halves_the_arbiter_chooses_one),
	SCENARIO(the_dead_tell_whom_they_left_out),
	SCENARIO(who_was_cut_off_and_returns_is_evicted),
	SCENARIO(a_rank_suspected_wrongly_is_evicted_and_harmless),
	SCENARIO(proven_deaths_shrink_a_job_to_one),
	SCENARIO(all_but_one_may_die_at_once),
	SCENARIO(unproven_deaths_need_a_quorum),
	SCENARIO(different_operators_are_a_mismatch),
	SCENARIO(different_counts_are_a_mismatch),
	SCENARIO(different_types_are_a_mismatch),
	SCENARIO(different_roots_are_a_mismatch),
	SCENARIO(a_reduce_that_nobody_calls_its_own_hurts_nothing_else),
	SCENARIO(a_bcast_stands_and_the_odd_rank_gets_the_error),
	SCENARIO(the_odd_ranks_agree_though_the_root_that_stood_has_died),
	SCENARIO(a_bcast_that_nobody_calls_its_own_is_a_mismatch),
	SCENARIO(different_collectives_are_a_mismatch),
	SCENARIO(a_refused_call_fails_alike_at_every_member),
	SCENARIO(a_freed_communicator_finishes_what_is_open),
	SCENARIO(free_and_finalize_survive_policy_error),
	SCENARIO(exit_without_finalize_is_a_loss),
	SCENARIO(zero_counts_and_null_buffers_are_fine),
};

int main(int argc, char **argv)
{
	return scenarios_main(argc, argv, "contract", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
