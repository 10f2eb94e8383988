/* SPDX-License-Identifier: MIT
 *
 * Description: who does not come to an operation is named by somebody, whoever waits for it.
 *
 *	late                     all scenarios
 *	late NAME [--verbose]    one
 */
#include <art/art.h>

#include "tests/sim/words.h"

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
		cluster_until(c, cluster_all_finished, NULL, 12 * S);
		if (!was_said(c, way ? "rank 4 has not entered reduce" : "rank 4 has not entered bcast"))
			cluster_fail(c, "nobody said that rank 4 is missing");
		finalizes(c, ALL);
		runs(c);
		all_get(c, 0, ART_SUCCESS);
		bad += ends(c);
	}
	return bad;
}

int main(int argc, char **argv)
{
	static const struct word_scenario all[] = {
		SCENARIO(who_waits_names_who_does_not_come),
	};

	return scenarios_main(argc, argv, "late", all, sizeof(all) / sizeof(all[0]));
}
