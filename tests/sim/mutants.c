/* SPDX-License-Identifier: MIT
 *
 * Description: each shortcut that a hurried implementer would take (M1..M33, compiled into
 * libart_mutant only) must be caught by the campaign's oracle; the same schedule without the
 * shortcut must be clean. A campaign that lets one live proves nothing.
 *
 *	mutants                                    all, in parallel
 *	mutants --mutant 4                         one
 *	mutants --mutant 4 --profile old --seed 17 [--verbose]    one schedule
 *
 * Schedules aimed at the weakness come first (schedule.c says how), then the others.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/scenario.h"

#define SEEDS 4000 /* schedules tried per mutant and profile */

struct mutant {
	int bit;
	const char *what;
	enum scenario_profile aim[2];
};

static const struct mutant mutants[] = {
	{ 1, "flush a majority instead of all members", { SCENARIO_LATE, SCENARIO_BALLOT } },
	{ 2, "each coordinator chooses the resolution anew", { SCENARIO_BALLOT, SCENARIO_LATE } },
	{ 3, "no freeze", { SCENARIO_LATE, SCENARIO_OLD } },
	{ 4, "merge frames of an old epoch", { SCENARIO_OLD, SCENARIO_RERUN } },
	{ 5, "no adoption of accepted values", { SCENARIO_BALLOT, SCENARIO_SPLIT } },
	{ 6, "no quorum of the old view", { SCENARIO_SPLIT, SCENARIO_BALLOT } },
	{ 8, "keep the old partial sum on a rerun", { SCENARIO_RERUN, SCENARIO_OLD } },
	{ 9, "count the certified dead as yes votes", { SCENARIO_SPLIT, SCENARIO_BALLOT } },
	{ 10, "shrink the denominator to the live", { SCENARIO_SPLIT, SCENARIO_BALLOT } },
	{ 11, "return from a uniform call as soon as it is held", { SCENARIO_POLICY, SCENARIO_RERUN } },
	{ 12, "leaves of a uniform reduce go without its root's word",
	  { SCENARIO_POLICY, SCENARIO_RERUN } },
	{ 13, "combine as the network likes it, reproducible or not",
	  { SCENARIO_POLICY, SCENARIO_RERUN } },
	{ 14, "a contribution goes up before its buddy has it", { SCENARIO_POLICY, SCENARIO_POLICY } },
	{ 15, "count a rank that somebody stands in for twice", { SCENARIO_POLICY, SCENARIO_POLICY } },
	{ 16, "forget what was kept at a view change", { SCENARIO_POLICY, SCENARIO_POLICY } },
	{ 17, "either of exact halves is a quorum", { SCENARIO_HALVES, SCENARIO_SPLIT } },
	{ 18, "a certificate says that a rank is dead and no more", { SCENARIO_HALVES, SCENARIO_SPLIT } },
	{ 19, "the arbiter forgets what it has promised", { SCENARIO_HALVES, SCENARIO_HALVES } },
	{ 20, "look at shared memory while frozen", { SCENARIO_LATE, SCENARIO_RERUN } },
	{ 21, "use a slot in shared memory again before its op is stable",
	  { SCENARIO_MIXED, SCENARIO_POLICY } },
	{ 22, "a leader with nobody to ask goes on asking", { SCENARIO_HALVES, SCENARIO_SPLIT } },
	{ 23, "a ring that runs again begins with what it had", { SCENARIO_RERUN, SCENARIO_LATE } },
	{ 24, "use a piece of shared memory again before all have read it", { SCENARIO_MIXED, SCENARIO_LATE } },
	{ 25, "who passes a ballot on answers for its group", { SCENARIO_LEVELS, SCENARIO_LEVELS } },
	{ 26, "a halving that runs again begins with what it had", { SCENARIO_RERUN, SCENARIO_LATE } },
	{ 27, "a tree goes round the dead edges that its rank knows", { SCENARIO_EDGES, SCENARIO_EDGES } },
	{ 28, "an outcome had late is that of the next participants", { SCENARIO_MIXED, SCENARIO_LATE } },
	{ 29, "who has lent memory does not wait until it was read", { SCENARIO_MIXED, SCENARIO_RERUN } },
	{ 30, "a channel of shared memory is free as soon as all have called free",
	  { SCENARIO_COMMS, SCENARIO_MIXED } },
	{ 31, "the short way keeps nothing for others", { SCENARIO_MIXED, SCENARIO_LATE } },
	{ 32, "a slot between ranks of one of several hosts is free before its op is stable",
	  { SCENARIO_RERUN, SCENARIO_MIXED } },
	{ 33, "and a ring of pieces there before all have read it", { SCENARIO_MIXED, SCENARIO_LATE } },
	{ 36, "who takes a result for all has heard how far all are", { SCENARIO_MIXED, SCENARIO_LATE } },
};
#define MUTANTS ((int)(sizeof(mutants) / sizeof(mutants[0])))

/* How far a search has come; in shared memory, where a crash does not lose it. */
enum stage { STAGE_SEARCH, STAGE_MUTANT, STAGE_CLEAN };
struct found {
	enum stage stage; /* STAGE_MUTANT at a restart: an assertion of the core was the catch */
	bool caught;
	enum scenario_profile profile;
	uint64_t seed, tried, dirty, next[SCENARIO_PROFILES];
};

struct search {
	int only; /* bit, 0: all */
	int jobs;
	struct found *found; /* [MUTANTS] */
};

static unsigned run_one(struct scenario *s, uint64_t seed, enum scenario_profile p, uint64_t mutant,
			bool verbose, FILE *out)
{
	scenario_draw(s, seed, p);
	s->mutant = mutant;
	s->verbose = verbose;
	scenario_crash_line("mutants --profile %s --seed %llu (mutant mask %#llx)",
			    scenario_profile_name(p), (unsigned long long)seed, (unsigned long long)mutant);
	return scenario_run(s, NULL, "mutants", out, verbose);
}

/* The mutant failed on the present schedule: is it the mutant that is to blame? */
static void confirm(struct scenario *s, struct found *f)
{
	f->stage = STAGE_CLEAN;
	if (run_one(s, f->seed, f->profile, 0, false, stdout))
		f->dirty++;
	else
		f->caught = true;
	f->stage = STAGE_SEARCH;
}

static void search_profile(struct scenario *s, const struct mutant *m, enum scenario_profile p,
			   struct found *f)
{
	while (!f->caught && f->next[p] < SEEDS) {
		f->profile = p;
		f->seed = f->next[p]++;
		f->tried++;
		f->stage = STAGE_MUTANT;
		if (run_one(s, f->seed, p, UINT64_C(1) << m->bit, false, NULL))
			confirm(s, f);
		f->stage = STAGE_SEARCH;
	}
}

/* Begins, or goes on after a crash. */
static void search(struct scenario *s, const struct mutant *m, struct found *f)
{
	if (f->stage == STAGE_MUTANT)
		confirm(s, f);
	if (f->stage == STAGE_CLEAN)
		f->dirty++; /* crashed without the mutant */
	search_profile(s, m, m->aim[0], f);
	search_profile(s, m, m->aim[1], f);
	for (int p = 0; p < SCENARIO_PROFILES; p++)
		search_profile(s, m, (enum scenario_profile)p, f);
}

static int search_share(void *arg, int worker)
{
	struct search *k = arg;
	struct scenario *s = malloc(sizeof(*s));

	if (!s)
		return 1;
	for (int i = worker; i < MUTANTS; i += k->jobs) {
		if (k->only && mutants[i].bit != k->only)
			continue;
		search(s, &mutants[i], &k->found[i]);
	}
	free(s);
	return 0;
}

static int search_all(int only)
{
	struct search k = { .only = only, .jobs = scenario_cpus() };
	bool good = true;

	if (k.jobs > MUTANTS)
		k.jobs = MUTANTS;
	k.found = scenario_shared(sizeof(*k.found) * MUTANTS);
	if (!k.found)
		return 77;
	scenario_parallel(k.jobs, search_share, &k); /* a crash is a catch */
	for (int i = 0; i < MUTANTS; i++) {
		const struct mutant *m = &mutants[i];
		const struct found *f = &k.found[i];
		if (only && m->bit != only)
			continue;
		if (f->dirty) {
			printf("FAIL %llu schedules fail without M%d, too\n",
			       (unsigned long long)f->dirty, m->bit);
			good = false;
		}
		if (!f->caught) {
			printf("FAIL M%d survived %llu schedules: %s\n", m->bit,
			       (unsigned long long)f->tried, m->what);
			good = false;
			continue;
		}
		printf("M%d caught by mutants --mutant %d --profile %s --seed %llu "
		       "(schedule %llu): %s\n",
		       m->bit, m->bit, scenario_profile_name(f->profile),
		       (unsigned long long)f->seed, (unsigned long long)f->tried, m->what);
	}
	return good ? 0 : 1;
}

static int show_one(int bit, enum scenario_profile p, uint64_t seed, bool verbose)
{
	struct scenario *s = malloc(sizeof(*s));
	unsigned bad;

	if (!s)
		return 1;
	bad = run_one(s, seed, p, bit ? UINT64_C(1) << bit : 0, verbose, stdout);
	scenario_print(s, stdout);
	printf("%u violations\n", bad);
	free(s);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mutant", required_argument, NULL, 'm' },
		{ "profile", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	enum scenario_profile profile = SCENARIO_MIXED;
	bool seeded = false, verbose = false, good = true;
	uint64_t seed = 0;
	int bit = 0, o;

	while ((o = getopt_long(argc, argv, "m:p:s:v", options, NULL)) != -1) {
		switch (o) {
		case 'm': bit = atoi(optarg); break;
		case 'p': good = good && scenario_profile_parse(optarg, &profile); break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			seeded = true;
			break;
		case 'v': verbose = true; break;
		default: good = false;
		}
	}
	if (!good || optind != argc || bit < 0 || bit > mutants[MUTANTS - 1].bit) {
		fprintf(stderr, "usage: mutants [--mutant BIT "
				"[--profile P --seed A [--verbose]]]\n");
		return 2;
	}
	return seeded ? show_one(bit, profile, seed, verbose) : search_all(bit);
}
