/* SPDX-License-Identifier: MIT
 *
 * Description: what is promised about communicators that a split or a list makes, one scenario each:
 * who is in them and in which order, what losses, policies, deadlines and mismatches mean for
 * them, and what they leave behind. That ranks and members are right is checked by the cluster
 * after every such call, from what all ranks gave.
 *
 *	comms [SCENARIO] [--verbose]
 */
#include <art/art.h>

#include "tests/sim/words.h"

/* Every rank with its colour; those of colour k have number @first + k afterwards. */
static void splits(struct cluster *c, int comm, int first, const int *colour, const int *key)
{
	for (int r = 0; r < cluster_n(c); r++)
		calls(c, r, (struct cluster_call){
			.kind = ART_C_SPLIT, .comm = comm, .colour = colour[r], .key = key[r],
			.child = colour[r] < 0 ? 0 : first + colour[r] });
}

/* @rank may be ALL for the empty list, of which nobody gets a communicator. */
static void creates(struct cluster *c, int rank, uint32_t list, int child)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_CREATE, .list = list,
		.child = list && list >> rank & 1 ? child : 0 });
}

static void sums_on(struct cluster *c, int rank, int comm)
{
	calls(c, rank, sum_on(comm));
}

/* Rank @r counts exactly @set in that call. */
static void counts(struct cluster *c, int rank, int call, uint32_t set)
{
	gets(c, rank, call, ART_SUCCESS);
	for (int s = 0; s < cluster_n(c); s++)
		if (cluster_contributed(c, rank, call, s) != (set >> s & 1))
			cluster_fail(c, "rank %d: call %d is wrong about rank %d", rank, call, s);
}

static const int parity[6] = { 0, 1, 0, 1, 0, 1 }, equal[6] = { 0, 0, 0, 0, 0, 0 };

static unsigned a_split_goes_by_colour_key_and_rank(const char *name)
{
	static const int colour[6] = { 1, 0, 1, -1, 1, 0 }, key[6] = { 5, -7, 5, 0, -2147483647, -7 };
	struct cluster *c = job_of(6, name);

	splits(c, 0, 1, colour, key);
	for (int r = 0; r < 6; r++)
		if (r != 3)
			sums_on(c, r, 1 + colour[r]);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	for (int r = 0; r < 6; r++)
		if (r != 3)
			counts(c, r, 1, colour[r] ? 0x15 : 0x22);
	return ends(c);
}

static unsigned a_list_may_turn_ranks_round_and_leave_some_out(const char *name)
{
	struct cluster *c = job_of(5, name);

	for (int r = 0; r < 5; r++)
		creates(c, r, 0x1a, 1);
	for (int r = 0; r < 5; r++)
		if (0x1a >> r & 1)
			sums_on(c, r, 1);
	finalizes(c, ALL);
	runs(c);
	for (int r = 0; r < 5; r++)
		if (0x1a >> r & 1)
			counts(c, r, 1, 0x1a);
	return ends(c);
}

static unsigned an_empty_list_makes_nothing(const char *name)
{
	struct cluster *c = job_of(3, name);

	creates(c, ALL, 0, 1);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	all_count(c, 1, 0x7);
	return ends(c);
}

/* Whoever looks for the one that is missing sees the others, too. */
static unsigned a_mismatch_is_seen_beside_one_who_is_late(const char *name)
{
	struct cluster_call good = sum_on(0), wrong = good;
	struct cluster_result res;
	unsigned bad = 0;

	wrong.count = 5;
	for (int odd = 1; odd < 4; odd++) {
		struct cluster_cfg cfg;
		struct cluster *c;
		uint64_t begun;

		cluster_defaults(&cfg, 4, 7);
		cfg.arena = true;
		c = job_with(&cfg, name);
		begun = cluster_now(c);
		sleeps(c, 0, 50 * MS);
		for (int r = 0; r < 4; r++)
			calls(c, r, r == odd ? wrong : good);
		finalizes(c, ALL);
		runs(c);
		all_get(c, 0, ART_ERR_MISMATCH);
		for (int r = 1; r < 4; r++) {
			cluster_result(c, r, 0, &res);
			if (res.returned_ns - begun > 25 * MS)
				cluster_fail(c, "rank %d hears of it only when rank 0 comes", r);
		}
		bad += ends(c);
	}
	return bad;
}

static unsigned different_lists_are_a_mismatch(const char *name)
{
	struct cluster *c = job_of(4, name);

	for (int r = 0; r < 4; r++)
		creates(c, r, r == 2 ? 0x7 : 0xf, 1);
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_MISMATCH);
	all_get(c, 1, ART_SUCCESS);
	if (!cluster_blamed(c, 0, 0, 2))
		cluster_fail(c, "the odd rank is not named");
	return ends(c);
}

static unsigned a_refused_split_makes_nothing_anywhere(const char *name)
{
	return makes_nothing_if_refused(name, ART_C_SPLIT, 3);
}

static unsigned a_rank_lost_before_a_split_is_in_no_part(const char *name)
{
	struct cluster *c = job_of(6, name);
	int victim = 4;

	sleeps(c, victim, 50 * MS);
	splits(c, 0, 1, parity, equal);
	for (int r = 0; r < 6; r++)
		sums_on(c, r, 1 + parity[r]);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	all_count(c, 0, 0x2f);
	for (int r = 0; r < 6; r++)
		if (r != victim)
			counts(c, r, 1, parity[r] ? 0x2a : 0x05);
	return ends(c);
}

/* A list stands as it was given: who is lost keeps its number, as in a dup. */
static unsigned a_rank_lost_before_a_list_keeps_its_place(const char *name)
{
	struct cluster *c = job_of(4, name);
	int victim = 1;

	sleeps(c, victim, 50 * MS);
	for (int r = 0; r < 4; r++)
		creates(c, r, 0x7, 1);
	for (int r = 0; r < 3; r++)
		sums_on(c, r, 1);
	finalizes(c, ALL);
	cluster_after(c, 5 * MS, kill_it, &victim);
	runs(c);
	counts(c, 0, 1, 0x5);
	counts(c, 2, 1, 0x5);
	if (art__comm_size(cluster_comm(c, 0, 1)) != 3)
		cluster_fail(c, "a communicator of a list has another size than the list");
	return ends(c);
}

static unsigned children_need_nothing_of_a_freed_parent(const char *name)
{
	struct cluster *c = job_of(6, name);
	int victim = 2;

	dups(c, ALL, 1);
	splits(c, 1, 2, parity, equal);
	frees(c, ALL, 1);
	for (int r = 0; r < 6; r++) {
		sums_on(c, r, 2 + parity[r]);
		sleeps(c, r, r == victim ? 50 * MS : 10 * MS);
		sums_on(c, r, 2 + parity[r]);
	}
	finalizes(c, ALL);
	cluster_after(c, 6 * MS, kill_it, &victim);
	runs(c);
	for (int r = 0; r < 6; r++)
		if (r != victim)
			counts(c, r, 4, parity[r] ? 0x2a : 0x11);
	return ends(c);
}

/* Children begin with the policy of their parent at that time; a loss fails the part that had the
 * lost rank, once, and no other. */
static unsigned a_policy_is_inherited_and_binds_one_part(const char *name)
{
	struct cluster *c = job_of(6, name);
	int victim = 3;

	dups(c, ALL, 1);
	sets_policy(c, ALL, 1, ART_LOSS_ERROR);
	splits(c, 1, 2, parity, equal);
	sets_policy(c, ALL, 1, ART_LOSS_EXCLUDE); /* too late for them */
	sleeps(c, victim, 100 * MS);
	for (int r = 0; r < 6; r++) {
		sums_on(c, r, 2 + parity[r]);
		sums_on(c, r, 2 + parity[r]);
		sums_on(c, r, 1);
	}
	finalizes(c, ALL);
	cluster_after(c, 20 * MS, kill_it, &victim);
	runs(c);
	for (int r = 0; r < 6; r++) {
		if (r == victim)
			continue;
		gets(c, r, 4, parity[r] ? ART_ERR_PROC_FAILED : ART_SUCCESS);
		counts(c, r, 5, parity[r] ? 0x22 : 0x15);
		counts(c, r, 6, 0x37);
	}
	return ends(c);
}

/* A part may have a policy of its own, which its siblings and its parent know nothing of. */
static unsigned a_policy_set_on_a_part_stays_there(const char *name)
{
	struct cluster *c = job_of(6, name);
	int victim = 3;

	splits(c, 0, 1, parity, equal);
	for (int r = 1; r < 6; r += 2)
		sets_policy(c, r, 2, ART_LOSS_ERROR);
	sleeps(c, victim, 100 * MS);
	for (int r = 0; r < 6; r++) {
		sums_on(c, r, 1 + parity[r]);
		sums_on(c, r, 0);
	}
	finalizes(c, ALL);
	cluster_after(c, 20 * MS, kill_it, &victim);
	runs(c);
	for (int r = 0; r < 6; r++) {
		if (r == victim)
			continue;
		gets(c, r, parity[r] ? 2 : 1, parity[r] ? ART_ERR_PROC_FAILED : ART_SUCCESS);
		counts(c, r, parity[r] ? 3 : 2, 0x37);
	}
	return ends(c);
}

/* One part's call times out and names who is missing there; the others never notice. */
static unsigned a_deadline_binds_its_communicator_only(const char *name)
{
	struct cluster *c = job_of(6, name);

	splits(c, 0, 1, parity, equal);
	sleeps(c, 5, 300 * MS);
	for (int r = 0; r < 6; r++) {
		struct cluster_call sum = sum_on(1 + parity[r]);

		sum.deadline_ns = 50 * MS;
		calls(c, r, sum);
		sums_on(c, r, 0);
	}
	finalizes(c, ALL);
	runs(c);
	for (int r = 0; r < 6; r++) {
		gets(c, r, 1, parity[r] ? ART_ERR_TIMEOUT : ART_SUCCESS);
		for (int s = 0; s < 6; s++)
			if (cluster_blamed(c, r, 1, s) != (parity[r] && s == 5))
				cluster_fail(c, "rank %d is wrong about rank %d", r, s);
		counts(c, r, 2, 0x3f);
	}
	return ends(c);
}

static unsigned splits_of_splits_end_with_one_rank_each(const char *name)
{
	static const int half[6] = { 0, 0, 0, 1, 1, 1 }, third[6] = { 0, 1, 2, 0, 1, 2 };
	struct cluster *c = job_of(6, name);

	splits(c, 0, 1, half, equal);
	for (int r = 0; r < 6; r++)
		calls(c, r, (struct cluster_call){ .kind = ART_C_SPLIT, .comm = 1 + half[r],
			.colour = third[r], .child = 3 + r });
	for (int r = 0; r < 6; r++)
		sums_on(c, r, 3 + r);
	finalizes(c, ALL);
	runs(c);
	for (int r = 0; r < 6; r++)
		counts(c, r, 2, 1u << r);
	return ends(c);
}

/* Reduces that had returned at a leaf and then fail, far more of them than records are kept. */
static unsigned failed_operations_leave_little_behind(const char *name)
{
	struct cluster *c = job_of(2, name);
	struct cluster_call reduce = { .kind = ART_C_REDUCE, .count = 1, .type = ART_T_UINT64,
		.op = ART_O_SUM };
	struct cluster_result oldest;
	size_t early, late;

	for (int k = 0; k < 1000; k++) {
		reduce.refuse = 0;
		calls(c, 1, reduce);
		sleeps(c, 0, 5 * MS);
		reduce.refuse = ART_ERR_COUNT;
		calls(c, 0, reduce);
		sums(c, ALL);
	}
	cluster_until(c, cluster_all_finished, NULL, 500 * MS);
	early = art__core_bytes(cluster_core(c, 1));
	runs(c);
	late = art__core_bytes(cluster_core(c, 1));
	cluster_result(c, 1, 0, &oldest);
	if (oldest.known || !oldest.lapsed) /* nobody asked in time, and nothing may be made up */
		cluster_fail(c, "nobody is told that an outcome was let go");
	gets(c, 1, 1998, ART_ERR_COUNT);
	if (early < 4096 || late > early + 32 * 1024)
		cluster_fail(c, "%zu bytes after 1000 failed operations, %zu after about 90", late,
			     early);
	return ends(c);
}

/* Threads of a rank may make several at a time: each is offered what the others are not, and all find a way. */
static unsigned what_is_made_at_once_does_not_share_memory(const char *name)
{
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };
	uint64_t taken = cluster_marks[ART_M_CHANNEL_TAKEN];
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, 4, 7);
	cfg.arena = true;
	c = job_with(&cfg, name);
	for (int child = 1; child < 4; child++)
		calls(c, ALL, (struct cluster_call){ .kind = ART_C_DUP, .child = child, .flags = CLUSTER_NONBLOCK });
	cluster_program(c, ALL, &wait, 1);
	for (int i = 0; i < 9; i++)
		sums_on(c, ALL, 1 + i % 3);
	finalizes(c, ALL);
	runs(c);
	for (int i = 0; i < 12; i++)
		all_get(c, i, ART_SUCCESS);
	if (cluster_marks[ART_M_CHANNEL_TAKEN] == taken)
		cluster_fail(c, "none got any");
	return ends(c);
}

static const struct word_scenario scenarios[] = {
	SCENARIO(a_split_goes_by_colour_key_and_rank),
	SCENARIO(a_list_may_turn_ranks_round_and_leave_some_out),
	SCENARIO(an_empty_list_makes_nothing),
	SCENARIO(different_lists_are_a_mismatch),
	SCENARIO(a_mismatch_is_seen_beside_one_who_is_late),
	SCENARIO(a_refused_split_makes_nothing_anywhere),
	SCENARIO(a_rank_lost_before_a_split_is_in_no_part),
	SCENARIO(a_rank_lost_before_a_list_keeps_its_place),
	SCENARIO(children_need_nothing_of_a_freed_parent),
	SCENARIO(a_policy_is_inherited_and_binds_one_part),
	SCENARIO(a_policy_set_on_a_part_stays_there),
	SCENARIO(a_deadline_binds_its_communicator_only),
	SCENARIO(splits_of_splits_end_with_one_rank_each),
	SCENARIO(failed_operations_leave_little_behind),
	SCENARIO(what_is_made_at_once_does_not_share_memory),
};

int main(int argc, char **argv)
{
	return scenarios_main(argc, argv, "comms", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
