/* SPDX-License-Identifier: MIT
 *
 * Description: random programs under random faults, from a seed. Every rank's inputs are its own,
 * so that a result shows who is in it; the cluster checks the invariants after every step.
 *
 *	campaign                        the default run (CAMPAIGN_SEEDS overrides its size)
 *	campaign --seed A[:B]           these seeds only
 *	campaign --count N --jobs J     N seeds from 0, J processes
 *	campaign --profile NAME         mixed (default), split, late, ballot, old, rerun, odd,
 *	                                policy, halves, levels, edges, comms, all
 *	campaign --seed A --verbose     one seed with its schedule and its log
 *
 * A default run and one of --count begin with the seeds that once found a fault (kept[]).
 * A default run fails, too, if any (resolution x operation x policy) was never taken.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/scenario.h"

#define DEFAULT_SEEDS 60000
#define ENOUGH_SEEDS 20000 /* for every class and every mark to have come up */
#define MAX_SHOWN 3   /* failures printed in full by one worker */
#define MAX_LINES 500 /* and with one line */

/* Schedules that once found a fault which the rest of a default run would rarely find again. */
static const struct {
	enum scenario_profile profile;
	uint64_t seed;
} kept[] = {
	/* a bcast stood, its root died, and a rank that had called otherwise came only then */
	{ SCENARIO_ODD, 105968 }, { SCENARIO_ODD, 115923 }, { SCENARIO_ODD, 119180 },
	{ SCENARIO_ODD, 124988 }, { SCENARIO_ODD, 137775 }, { SCENARIO_ODD, 140239 },
	{ SCENARIO_ODD, 149804 },
	/* who gave up ended a call with success, because all the others were ended */
	{ SCENARIO_POLICY, 12641 }, { SCENARIO_POLICY, 26655 }, { SCENARIO_POLICY, 132032 },
	/* the root of a reduce knew what is stable, and told nobody: a uniform call elsewhere waited */
	{ SCENARIO_POLICY, 40893 }, { SCENARIO_POLICY, 49157 }, { SCENARIO_POLICY, 296689 },
	/* a deadline came while a returned reduce waited for room in the log; the others had it done */
	{ SCENARIO_POLICY, 102529 }, { SCENARIO_POLICY, 147157 }, { SCENARIO_POLICY, 370561 },
	/* who waited for a slot of the arena slept, and those who read it had nothing to say */
	{ SCENARIO_MIXED, 15790 }, { SCENARIO_RERUN, 631 },
	/* whoever had left a rank out died, certified, and it went on alone: nobody told it of their view */
	{ SCENARIO_HALVES, 10191 }, { SCENARIO_HALVES, 14299 }, { SCENARIO_HALVES, 26188 },
	{ SCENARIO_HALVES, 56123 }, { SCENARIO_ODD, 139796 }, { SCENARIO_POLICY, 49093 },
	/* an arbiter that did not answer kept two halves apart after the network had healed */
	{ SCENARIO_HALVES, 24306 },
	/* who had nobody to ask was busy with just that until a takeover was due */
	{ SCENARIO_HALVES, 42625 },
	/* a reduce that had returned early and waited for a slot to run again was taken for over */
	{ SCENARIO_MIXED, 243014 },
	/* the source of a stream waited for room from one that had the op done, called with a lost root */
	{ SCENARIO_MIXED, 283887 },
	/* what was decided to be stable was asked about on, as its root was lost */
	{ SCENARIO_MIXED, 287341 },
	/* two took themselves for the root of a bcast: all had it, and what they sent each other had no taker */
	{ SCENARIO_MIXED, 289468 },
	/* reports were said again each time that a connection to the dead was refused */
	{ SCENARIO_EDGES, 244298 },
	/* had late from shared memory, it was given the contributors of the next view */
	{ SCENARIO_MIXED, 416473 }, { SCENARIO_ODD, 699 },
	/* a mistaken reduce came out where it had returned, and nobody was left to decide about it */
	{ SCENARIO_POLICY, 192965 },
	/* inputs that the log cannot hold: the root's word that it has the result let nobody run it again */
	{ SCENARIO_MIXED, 102122 }, { SCENARIO_MIXED, 253227 }, { SCENARIO_MIXED, 267682 },
	/* a uniform bcast stood, and who was refused its call had it done without a hurry to say so */
	{ SCENARIO_POLICY, 109326 },
	/* ranks had told that its root is lost, the next decision that the third had called otherwise */
	{ SCENARIO_ODD, 259530 },
	/* ranks found the root of a reduce lost; for the others, one of whom was refused, the next loss failed it */
	{ SCENARIO_POLICY, 59947 },
	/* a stream over an edge that died while it was full waited for room there, and went through a third */
	{ SCENARIO_EDGES, 2496 },
	/* told by the wave while frozen that an op is stable, ranks asked, or waited, on after it was settled */
	{ SCENARIO_MIXED, 20507 }, { SCENARIO_MIXED, 218887 },
	/* a rank saw in shared memory that a freed communicator is over, and ended it without its report */
	{ SCENARIO_MIXED, 181922 }, { SCENARIO_MIXED, 921737 },
	/* a body was to come to a receive buffer, an edge died, and nothing was there any more to stop it */
	{ SCENARIO_EDGES, 7318 },
	/* an evicted rank's call ended with success when its function had: the op was stable, and overlooked */
	{ SCENARIO_MIXED, 950057 },
	/* a deadline came where it was not yet known that all have the op; the others had ended its communicator */
	{ SCENARIO_MIXED, 7073902 },
	/* who was evicted held a sum of what a later one had put where its payloads were */
	{ SCENARIO_MIXED, 7062565 },
	/* two with bcasts that a third kept waiting asked each other to go on, without end */
	{ SCENARIO_SPLIT, 7407642 },
	/* a second root waited for those who had found that theirs is lost */
	{ SCENARIO_MIXED, 7373449 },
	/* (the cluster's) who had died while it was cut off was heard late, trusted, and suspected by nobody again */
	{ SCENARIO_MIXED, 9279968 },
	/* what was said to be done before a decision about it was believed after it, by who had to deliver it */
	{ SCENARIO_MIXED, 9494951 },
};
#define KEPT (sizeof(kept) / sizeof(kept[0]))

struct campaign {
	uint64_t first, last; /* seeds first..last-1 */
	bool every_profile;
	enum scenario_profile profile;
	int jobs;
	bool verbose, whole;
	struct scenario_totals *totals; /* [jobs], shared */
};

/* In a run over all profiles one seed in six goes to an aimed one. */
static enum scenario_profile profile_of(const struct campaign *k, uint64_t seed)
{
	if (!k->every_profile || seed % 6)
		return k->profile;
	return (enum scenario_profile)(1 + seed / 6 % (SCENARIO_PROFILES - 1));
}

/* What comes at place @i; false: nothing. */
static bool nth(const struct campaign *k, uint64_t i, uint64_t *seed, enum scenario_profile *p)
{
	uint64_t first = k->whole ? KEPT : 0;

	if (i < first) {
		*seed = kept[i].seed;
		*p = kept[i].profile;
		return true;
	}
	*seed = k->first + (i - first);
	*p = profile_of(k, *seed);
	return *seed < k->last;
}

static int run_share(void *arg, int worker)
{
	struct campaign *k = arg;
	struct scenario_totals *t = &k->totals[worker];
	struct scenario *s = malloc(sizeof(*s));

	if (!s)
		return 1;
	for (;;) {
		enum scenario_profile profile;
		uint64_t seed;

		if (!nth(k, (uint64_t)worker + t->begun * (uint64_t)k->jobs, &seed, &profile))
			break;
		t->begun++;
		scenario_draw(s, seed, profile);
		s->verbose = k->verbose;
		scenario_crash_line("campaign --profile %s --seed %llu",
				    scenario_profile_name(s->profile), (unsigned long long)seed);
		if (k->verbose)
			scenario_print(s, stdout);
		scenario_run(s, t, "campaign", t->bad < MAX_LINES ? stdout : NULL,
			     t->bad < MAX_SHOWN);
		if (k->verbose)
			scenario_print(s, stdout);
	}
	free(s);
	return 0;
}

static void add_totals(struct scenario_totals *sum, const struct scenario_totals *t)
{
	sum->seeds += t->seeds;
	sum->bad += t->bad;
	sum->view_changes += t->view_changes;
	sum->replays += t->replays;
	sum->messages += t->messages;
	sum->events += t->events;
	for (int i = 0; i < SCENARIO_CLASSES; i++)
		sum->classes[i] += t->classes[i];
	for (int i = 0; i < ART_M_COUNT; i++)
		sum->marks[i] += t->marks[i];
}

static uint64_t resolutions(const struct scenario_totals *t, unsigned which)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += t->marks[which * 8 + i];
	return n;
}

static void print_totals(const struct scenario_totals *t)
{
	printf("%12llu seeds\n%12llu steps of the world\n%12llu messages\n",
	       (unsigned long long)t->seeds, (unsigned long long)t->events,
	       (unsigned long long)t->messages);
	for (int i = 0; i < SCENARIO_CLASSES; i++)
		printf("%12llu %s\n", (unsigned long long)t->classes[i],
		       scenario_class_text((enum scenario_class)i));
	printf("%12llu view changes\n%12llu replays\n", (unsigned long long)t->view_changes,
	       (unsigned long long)t->replays);
	printf("%12llu delivers\n%12llu reruns\n%12llu fails\n",
	       (unsigned long long)resolutions(t, 0), (unsigned long long)resolutions(t, 1),
	       (unsigned long long)resolutions(t, 2));
	printf("marks:\n");
	for (int i = 0; i < ART_M_COUNT; i++)
		printf("%12llu %s\n", (unsigned long long)t->marks[i],
		       art__mark_name((enum art_mark)i));
}

/* Every class and every mark must have happened, or the run proves less than it says. */
static unsigned missing(const struct scenario_totals *t)
{
	unsigned n = 0;

	for (int i = 0; i < (int)ART_M_DETECTOR; i++) {
		if (!t->marks[i]) {
			printf("FAIL mark %s was never hit\n", art__mark_name((enum art_mark)i));
			n++;
		}
	}
	for (int i = 0; i < SCENARIO_CLASSES; i++) {
		if (!t->classes[i]) {
			printf("FAIL no %s\n", scenario_class_text((enum scenario_class)i));
			n++;
		}
	}
	return n;
}

static bool parse_number(const char *text, uint64_t *out, const char **end)
{
	char *e;

	errno = 0;
	*out = strtoull(text, &e, 0);
	*end = e;
	return e != text && errno == 0;
}

static bool parse_seeds(struct campaign *k, const char *text)
{
	const char *end;

	if (!parse_number(text, &k->first, &end))
		return false;
	k->last = k->first + 1;
	k->whole = false;
	if (*end == ':' && (!parse_number(end + 1, &k->last, &end) || k->last < k->first))
		return false;
	return *end == '\0';
}

static bool parse_profile(struct campaign *k, const char *name)
{
	if (strcmp(name, "all") == 0) {
		k->every_profile = true;
		k->profile = SCENARIO_MIXED;
		return true;
	}
	k->every_profile = false;
	k->whole = false;
	return scenario_profile_parse(name, &k->profile);
}

static bool parse(struct campaign *k, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "profile", required_argument, NULL, 'p' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char *end = "";
	uint64_t v;
	int o;

	while ((o = getopt_long(argc, argv, "s:c:j:p:v", options, NULL)) != -1) {
		switch (o) {
		case 's':
			if (!parse_seeds(k, optarg))
				return false;
			break;
		case 'c':
			if (!parse_number(optarg, &k->last, &end) || *end)
				return false;
			k->first = 0;
			break;
		case 'j':
			if (!parse_number(optarg, &v, &end) || *end || v < 1 || v > SCENARIO_JOBS)
				return false;
			k->jobs = (int)v;
			break;
		case 'p':
			if (!parse_profile(k, optarg))
				return false;
			break;
		case 'v': k->verbose = true; break;
		default: return false;
		}
	}
	return optind == argc;
}

static bool defaults(struct campaign *k)
{
	const char *seeds = getenv("CAMPAIGN_SEEDS"), *end = "";

	*k = (struct campaign){ .last = DEFAULT_SEEDS, .every_profile = true, .whole = true };
	k->jobs = scenario_cpus();
	if (!seeds)
		return true;
	return parse_number(seeds, &k->last, &end) && *end == '\0';
}

int main(int argc, char **argv)
{
	struct scenario_totals sum = { 0 };
	struct campaign k;
	bool good;

	if (!defaults(&k) || !parse(&k, argc, argv)) {
		fprintf(stderr, "usage: campaign [--seed A[:B] | --count N] [--jobs J] "
				"[--profile P] [--verbose]\n");
		return 2;
	}
	k.totals = scenario_shared(sizeof(*k.totals) * (size_t)k.jobs);
	if (!k.totals)
		return 77;
	if (k.last - k.first == 1) { /* in this process, for a debugger */
		k.jobs = 1;
		good = run_share(&k, 0) == 0;
	} else {
		good = scenario_parallel(k.jobs, run_share, &k);
	}
	for (int i = 0; i < k.jobs; i++)
		add_totals(&sum, &k.totals[i]);
	print_totals(&sum);
	if (sum.bad)
		printf("FAIL %llu of %llu seeds\n", (unsigned long long)sum.bad,
		       (unsigned long long)sum.seeds);
	/* what a few hundred seeds do not reach is no fault of theirs */
	if (k.whole && k.last - k.first >= ENOUGH_SEEDS && missing(&sum))
		good = false;
	return good && !sum.bad ? 0 : 1;
}
