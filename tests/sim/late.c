/* SPDX-License-Identifier: MIT
 *
 * Description: the root of a bcast has it from the beginning, so nobody owes it anything; but while it hands a
 * long one out it waits for the others as they do for it: who does not come is named, its deadline counts, and
 * who has called something else comes out.
 *
 *	late                     all scenarios
 *	late NAME [--verbose]    one
 */
#include <art/art.h>

#include "tests/sim/words.h"

#define LONG 20000 /* elements of 8 bytes: more than goes unasked, and than shared memory has room for */
#define S ART_NS_PER_S

static const int two_hosts[6] = { 0, 0, 0, 1, 1, 1 };

/* By messages; through shared memory; by leaders of hosts. */
static struct cluster *job_by(int way, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, 6, 7);
	cfg.arena = way > 0;
	cfg.hosts = way == 2 ? two_hosts : NULL;
	cfg.limit_ns = 60 * S;
	return job_with(&cfg, name);
}
#define WAYS 3

/* It sleeps for 13 s; by 12 a line says that it has not come. Then it does, and all goes well. */
static unsigned names_rank_4(struct cluster *c, const char *call)
{
	char line[64];

	snprintf(line, sizeof(line), "rank 4 has not entered %s", call);
	cluster_until(c, cluster_all_finished, NULL, 12 * S);
	if (!was_said(c, line))
		cluster_fail(c, "nobody said that rank 4 is missing");
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_SUCCESS);
	return ends(c);
}

/* Most have returned, and only who waits for the one that is late can say so. */
static unsigned who_waits_names_who_does_not_come(const char *name)
{
	unsigned bad = 0;

	for (int way = 0; way < WAYS; way++) {
		struct cluster *c = job_by(way, name);

		sleeps(c, 4, 13 * S);
		if (way)
			reduces(c, ALL, 3);
		else
			bcasts(c, ALL, 0, 4); /* the late one would pass it on */
		bad += names_rank_4(c, way ? "reduce" : "bcast");
	}
	return bad;
}

static unsigned a_root_names_who_does_not_come(const char *name)
{
	unsigned bad = 0;

	for (int way = 0; way < WAYS; way++) {
		struct cluster *c = job_by(way, name);

		sleeps(c, 4, 13 * S);
		bcasts(c, ALL, 0, LONG);
		bad += names_rank_4(c, "bcast");
	}
	return bad;
}

/* It has what all others will get, so it ends well, and they come upon it later. */
static unsigned the_deadline_of_a_root_counts(const char *name)
{
	unsigned bad = 0;

	for (int way = 0; way < WAYS; way++) {
		struct cluster *c = job_by(way, name);
		struct cluster_result r;

		sleeps(c, 4, 500 * MS);
		for (int k = 0; k < 6; k++)
			calls(c, k, (struct cluster_call){ .kind = ART_C_BCAST, .count = LONG,
							   .type = ART_T_UINT64,
							   .deadline_ns = k ? 0 : 10 * MS });
		finalizes(c, ALL);
		runs(c);
		all_get(c, 0, ART_SUCCESS);
		cluster_result(c, 0, 0, &r);
		if (r.returned_ns > S + 100 * MS)
			cluster_fail(c, "the root waited until %llu us", (unsigned long long)r.returned_ns / 1000);
		bad += ends(c);
	}
	return bad;
}

/* Whoever decides has the payload, and takes a deadline for none; another call's is decided meanwhile. */
static unsigned nor_does_another_decision_end_it(const char *name)
{
	struct cluster *c = job_by(0, name);
	struct cluster_call sum = sum_on(1);
	struct cluster_result r;

	sum.flags = CLUSTER_NONBLOCK;
	dups(c, ALL, 1);
	sleeps(c, 4, 900 * MS);
	for (int k = 0; k < 6; k++) {
		sum.deadline_ns = k ? 0 : 10 * MS;
		calls(c, k, sum);
		calls(c, k, (struct cluster_call){ .kind = ART_C_BCAST, .root = 3, .count = LONG,
						   .type = ART_T_UINT64, .deadline_ns = k == 3 ? 10 * MS : 0 });
	}
	waits_all(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 1, ART_ERR_TIMEOUT);
	all_get(c, 2, ART_SUCCESS);
	cluster_result(c, 3, 2, &r);
	if (r.returned_ns > S + 500 * MS)
		cluster_fail(c, "the root waited until %llu us", (unsigned long long)r.returned_ns / 1000);
	return ends(c);
}

/* The others have it that their root is lost before they hear anything of a second one. What the change of the
 * view had left to tell is told by then, so nobody is in a hurry to tell more. */
static unsigned a_root_that_nobody_else_has_named_ends(const char *name)
{
	unsigned bad = 0;

	for (int way = 0; way < WAYS; way++) {
		struct cluster *c = job_by(way, name);
		struct cluster_result r;

		cluster_after(c, MS, kill_it, &(int){ 4 });
		sleeps(c, ALL, 5 * MS);
		sums(c, ALL);
		sleeps(c, ALL, 5 * MS);
		for (int k = 0; k < 6; k++)
			bcasts(c, k, k == 5 ? 5 : 4, LONG);
		sums(c, ALL);
		finalizes(c, ALL);
		runs(c);
		for (int k = 0; k < 4; k++)
			gets(c, k, 1, ART_ERR_ROOT_LOST);
		gets(c, 5, 1, ART_SUCCESS); /* it has it from the beginning (R1), so its call stands (R12) */
		all_get(c, 2, ART_SUCCESS);
		cluster_result(c, 5, 1, &r);
		if (r.returned_ns > 3 * S)
			cluster_fail(c, "the second root waited until %llu us",
				     (unsigned long long)r.returned_ns / 1000);
		/* in shared memory it has no need to wait: what they have ended they do not read */
		if (way != 1 && !was_said(c, "has called something else as bcast"))
			cluster_fail(c, "nobody told the second root");
		bad += ends(c);
	}
	return bad;
}

int main(int argc, char **argv)
{
	static const struct word_scenario all[] = {
		SCENARIO(who_waits_names_who_does_not_come),
		SCENARIO(a_root_names_who_does_not_come),
		SCENARIO(the_deadline_of_a_root_counts),
		SCENARIO(nor_does_another_decision_end_it),
		SCENARIO(a_root_that_nobody_else_has_named_ends),
	};

	return scenarios_main(argc, argv, "late", all, sizeof(all) / sizeof(all[0]));
}
