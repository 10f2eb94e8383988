/* SPDX-License-Identifier: MIT
 *
 * Description: two ranks with long operations under way in shared memory, in each of which one would have to
 * go on for the other, while neither can before a third has called them, which comes late. They may ask each
 * other to go on a few times, and not for as long as it is away: that would cost each of them its core.
 *
 *	asks                  all
 *	asks WHICH SEED       one run
 */
#include "coll/combine.h"
#include "tests/lib/sweep.h"

#define RANKS 3
#define LATE 2 /* the third */
#define SEEDS 30
#define AWAY_NS UINT64_C(20000000)
#define FROM_NS UINT64_C(10000000) /* by then both have done what they can */
#define MOST 10 /* messages from then on, as long as it is away */
#define LONG 600 /* elements of 8 bytes: more pieces than there is room for */
#define SHORT 256 /* all of them */

struct step {
	enum art_coll kind;
	int comm, root;
	size_t count;
};

/* What all of them call. */
static const struct {
	const char *what;
	struct step step[5];
} runs[] = {
	{ "each is the source of one of two, both full for the third",
	  { { ART_C_BCAST, 0, 0, LONG }, { ART_C_BCAST, 0, 1, LONG } } },
	{ "the same, on two communicators", { { ART_C_BCAST, 0, 0, LONG }, { ART_C_BCAST, 1, 1, LONG } } },
	{ "what the third has to give comes first",
	  { { ART_C_BCAST, 0, LATE, LONG }, { ART_C_BCAST, 0, 0, LONG }, { ART_C_BCAST, 0, 1, LONG } } },
	{ "their parts are in use for what the third has not read",
	  { { ART_C_BCAST, 0, 0, SHORT }, { ART_C_BCAST, 0, 0, LONG }, { ART_C_BCAST, 1, 1, SHORT },
	    { ART_C_BCAST, 1, 1, LONG } } },
	{ "the same, and a sum is what they are wanted for",
	  { { ART_C_BCAST, 0, 0, SHORT }, { ART_C_ALLREDUCE, 0, 0, LONG }, { ART_C_BCAST, 1, 1, SHORT },
	    { ART_C_ALLREDUCE, 1, 1, LONG } } },
};
#define RUNS (sizeof(runs) / sizeof(runs[0]))

static void start(struct cluster *c, const struct step *s)
{
	struct cluster_call call = { .kind = s->kind, .comm = s->comm, .count = s->count, .root = s->root,
				     .type = ART_T_UINT64, .op = ART_O_SUM, .flags = CLUSTER_NONBLOCK };

	cluster_call(c, CLUSTER_ALL, &call);
}

/* First so much on each communicator that all slots were in use: what is left there means nothing. */
static void fill(struct cluster *c, const struct step *steps)
{
	struct cluster_call dup = { .kind = ART_C_DUP, .child = 1 };
	struct cluster_item away = { .verb = CLUSTER_SLEEP, .ns = AWAY_NS }, wait = { .verb = CLUSTER_WAITALL };

	cluster_call(c, CLUSTER_ALL, &dup);
	for (int i = 0; i < 8; i++)
		start(c, &(struct step){ ART_C_BCAST, i % 2, i / 2 % 2, LONG });
	cluster_program(c, CLUSTER_ALL, &wait, 1);
	cluster_program(c, LATE, &away, 1);
	for (const struct step *s = steps; s->count; s++)
		start(c, s);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
}

static uint64_t before;

static void begin(struct cluster *c, void *arg)
{
	(void)arg;
	before = cluster_messages(c, ART_CHAN_DATA);
}

static void count(struct cluster *c, void *arg)
{
	uint64_t n = cluster_messages(c, ART_CHAN_DATA) - before;

	if (n > MOST)
		cluster_fail(c, "%llu messages while the third was away: %s", (unsigned long long)n,
			     (const char *)arg);
}

static unsigned run(uint64_t which, uint64_t seed, bool verbose)
{
	struct cluster_cfg cfg;
	struct cluster *c;

	cluster_defaults(&cfg, RANKS, seed);
	cfg.name = "asks";
	cfg.arena = true;
	cfg.verbose = verbose;
	c = cluster_create(&cfg);
	if (!c)
		return 1;
	fill(c, runs[which % RUNS].step);
	cluster_after(c, FROM_NS, begin, NULL);
	cluster_after(c, AWAY_NS, count, (void *)(uintptr_t)runs[which % RUNS].what);
	return sweep_run(c, "asks", which, seed);
}

int main(int argc, char **argv)
{
	static const struct sweep all = { 0, RUNS, 1, SEEDS, run };

	return sweep(&all, argc, argv) != 0;
}
