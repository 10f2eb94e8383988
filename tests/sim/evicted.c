/* SPDX-License-Identifier: MIT
 *
 * Description: a rank is cut off while it waits for long sums in shared memory, and nobody tells it what comes
 * there. The others have these sums, leave it out and go on; then it looks. The slots of what it waits for are as
 * they were, but not all that belongs to them: large payloads, and results for all, share their places with those
 * of later calls. Whatever it still returns has to be right.
 *
 *	evicted                   all
 *	evicted MOMENT SEED       one run: it is cut off after so many ns
 */

#include "coll/combine.h"
#include "tests/lib/sweep.h"

#define RANKS 5
#define SEEDS 40
#define CALLS 8
#define ELEMENTS 100 /* more than has a place for each slot */
#define CUT_OFF 2
#define FIRST_NS 1000
#define LAST_NS 60000
#define STRIDE_NS 1000
#define AWAY_NS (20 * ART_NS_PER_MS)

static void crowd(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	core->crowded = *(bool *)arg;
}

static void cut_off(struct cluster *c, void *arg)
{
	static const int group[RANKS] = { [CUT_OFF] = 1 };

	(void)arg;
	cluster_partition(c, group, true);
}

static void heal(struct cluster *c, void *arg)
{
	(void)arg;
	cluster_heal(c);
}

static unsigned run(uint64_t ns, uint64_t seed, bool verbose)
{
	struct cluster_call call = { .kind = ART_C_ALLREDUCE, .count = ELEMENTS, .type = ART_T_UINT64,
				     .op = ART_O_SUM, .flags = seed % 2 ? CLUSTER_NONBLOCK : 0 };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };
	bool crowded = seed % 4 < 2; /* then one combines for all */
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, RANKS, seed);
	cfg.name = "evicted";
	cfg.arena = true;
	cfg.tune = crowd;
	cfg.tune_arg = &crowded;
	cfg.verbose = verbose;
	c = cluster_create(&cfg);
	if (!c)
		return 1;
	for (int i = 0; i < CALLS; i++)
		cluster_call(c, CLUSTER_ALL, &call);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
	cluster_after(c, ns, cut_off, NULL);
	cluster_after(c, ns + AWAY_NS, heal, NULL);
	return sweep_run(c, "evicted", ns, seed);
}

int main(int argc, char **argv)
{
	static const struct sweep all = { FIRST_NS, LAST_NS, STRIDE_NS, SEEDS, run };

	return sweep(&all, argc, argv) != 0;
}
