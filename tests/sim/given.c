/* SPDX-License-Identifier: MIT
 *
 * Description: ranks that share cores, of which one combines for all, and a reduce with a function that takes its
 * time at the root, beside sums that are over sooner. A rank is killed at every moment. Who takes a sum that
 * another has made knows from it what is done by all, and not more: or the reduce, which has returned at most
 * ranks, is forgotten there while it still has to run again.
 *
 *	given                   all
 *	given MOMENT SEED       one run: it is killed after so many ns
 */
#include "base/marks.h"
#include "coll/combine.h"
#include "tests/lib/sweep.h"

#define RANKS 5
#define SEEDS 20
#define VICTIM 4
#define ROOT 1
#define FIRST_NS 2000
#define LAST_NS 400000
#define STRIDE_NS 4000
#define COMPUTE_NS 300000

static void crowd(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	core->crowded = true;
}

static void die(struct cluster *c, void *arg)
{
	(void)arg;
	cluster_kill(c, VICTIM);
}

/* What is summed lies in the slot, with its result, or apart. */
static void fill(struct cluster *c, uint64_t seed)
{
	struct cluster_call first = { .kind = ART_C_REDUCE, .count = 5, .type = ART_T_UINT64, .root = ROOT,
				      .flags = CLUSTER_NONBLOCK | CLUSTER_USER };
	struct cluster_call sum = { .kind = ART_C_ALLREDUCE, .count = seed % 2 ? 2 : 60, .type = ART_T_UINT64,
				    .op = ART_O_SUM, .flags = CLUSTER_NONBLOCK };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };

	cluster_call(c, CLUSTER_ALL, &first);
	cluster_call(c, CLUSTER_ALL, &sum);
	cluster_call(c, CLUSTER_ALL, &sum);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
}

static unsigned run(uint64_t ns, uint64_t seed, bool verbose)
{
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, RANKS, seed);
	cfg.name = "given";
	cfg.arena = true;
	cfg.tune = crowd;
	cfg.compute_max_ns = COMPUTE_NS;
	cfg.verbose = verbose;
	c = cluster_create(&cfg);
	if (!c)
		return 1;
	fill(c, seed);
	cluster_after(c, ns, die, NULL);
	return sweep_run(c, "given", ns, seed);
}

int main(int argc, char **argv)
{
	static const struct sweep all = { FIRST_NS, LAST_NS, STRIDE_NS, SEEDS, run };
	unsigned bad = sweep(&all, argc, argv);

	if (argc != 3 && !cluster_marks[ART_M_ARENA_GIVEN]) {
		printf("FAIL given: nobody took a result\n");
		bad++;
	}
	return bad != 0;
}
