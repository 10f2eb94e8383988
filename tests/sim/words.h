/* SPDX-License-Identifier: MIT
 *
 * The words in which scenarios are written: what a rank does, what it gets, who dies when. One
 * seed; what a scenario says must hold whatever the order of events.
 */
#ifndef ART_TESTS_SIM_WORDS_H
#define ART_TESTS_SIM_WORDS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coll/combine.h"
#include "tests/lib/scenario.h"

#define MS ART_NS_PER_MS
#define ALL CLUSTER_ALL

static bool verbose; /* show the log of every scenario */

static inline struct cluster *job_with(struct cluster_cfg *cfg, const char *name)
{
	struct cluster *c;

	cfg->name = name;
	cfg->verbose = verbose;
	c = cluster_create(cfg);
	if (!c) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return c;
}

static inline struct cluster *job_of(int ranks, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, ranks, 7);
	return job_with(&cfg, name);
}

static const int own_hosts[9] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

/* Every rank on a host of its own: no death is ever proven. */
static inline struct cluster *job_of_hosts(int ranks, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, ranks, 7);
	cfg.hosts = own_hosts;
	cfg.evidence = CLUSTER_BY_HOST;
	return job_with(&cfg, name);
}

static inline unsigned ends(struct cluster *c)
{
	unsigned bad = cluster_violations(c);

	if (bad)
		cluster_print(c, stdout);
	return cluster_destroy(c);
}

static inline struct cluster_call sum_on(int comm)
{
	return (struct cluster_call){
		.kind = ART_C_ALLREDUCE, .comm = comm, .count = 4, .type = ART_T_UINT64,
		.op = ART_O_SUM,
	};
}

static inline void sleeps(struct cluster *c, int rank, uint64_t ns)
{
	struct cluster_item it = { .verb = CLUSTER_SLEEP, .ns = ns };
	cluster_program(c, rank, &it, 1);
}

static inline void calls(struct cluster *c, int rank, struct cluster_call call)
{
	cluster_call(c, rank, &call);
}

static inline void waits_all(struct cluster *c, int rank)
{
	struct cluster_item it = { .verb = CLUSTER_WAITALL };
	cluster_program(c, rank, &it, 1);
}

static inline void exits(struct cluster *c, int rank)
{
	struct cluster_item it = { .verb = CLUSTER_EXIT };
	cluster_program(c, rank, &it, 1);
}

static inline void sums(struct cluster *c, int rank)
{
	calls(c, rank, sum_on(0));
}

static inline void bcasts(struct cluster *c, int rank, int root, size_t count)
{
	calls(c, rank, (struct cluster_call){
		.kind = ART_C_BCAST, .root = root, .count = count, .type = ART_T_UINT64 });
}

static inline void reduces(struct cluster *c, int rank, int root)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_REDUCE, .root = root, .count = 4,
		.type = ART_T_UINT64, .op = ART_O_SUM });
}

static inline void sets_policy(struct cluster *c, int rank, int comm, int loss)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_SETLOSS, .comm = comm, .loss = loss });
}

static inline void dups(struct cluster *c, int rank, int child)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_DUP, .child = child });
}

static inline void frees(struct cluster *c, int rank, int comm)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_FREE, .comm = comm });
}

static inline void finalizes(struct cluster *c, int rank)
{
	calls(c, rank, (struct cluster_call){ .kind = ART_C_FINALIZE });
}

static inline void runs(struct cluster *c)
{
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "the survivors did not finish");
}

/* The final outcome of that call at one rank; what it was told where the call never began. */
static inline void gets(struct cluster *c, int rank, int call, int code)
{
	struct cluster_result r;
	int got;

	cluster_result(c, rank, call, &r);
	got = r.known ? r.code : r.returned_code;
	if (!r.known && !r.returned)
		cluster_fail(c, "rank %d does not know how call %d ended, want %d", rank, call,
			     code);
	else if (got != code)
		cluster_fail(c, "rank %d: call %d ended with %d, want %d", rank, call, got, code);
}

static inline void all_get(struct cluster *c, int call, int code)
{
	for (int r = 0; r < cluster_n(c); r++) {
		if (cluster_alive(c, r))
			gets(c, r, call, code);
	}
}

/* Exactly the ranks of @set (bits) are blamed for that call, at every live rank. */
static inline void all_blame(struct cluster *c, int call, uint32_t set)
{
	for (int r = 0; r < cluster_n(c); r++) {
		for (int s = 0; cluster_alive(c, r) && s < cluster_n(c); s++) {
			if (cluster_blamed(c, r, call, s) != (set >> s & 1))
				cluster_fail(c, "rank %d: call %d %s rank %d", r, call,
					     set >> s & 1 ? "does not blame" : "blames", s);
		}
	}
}

/* That call's result holds exactly the contributions of @set, at every live rank. */
static inline void all_count(struct cluster *c, int call, uint32_t set)
{
	for (int r = 0; r < cluster_n(c); r++) {
		for (int s = 0; cluster_alive(c, r) && s < cluster_n(c); s++) {
			if (cluster_contributed(c, r, call, s) != (set >> s & 1))
				cluster_fail(c, "rank %d: call %d %s rank %d", r, call,
					     set >> s & 1 ? "lacks" : "counts", s);
		}
	}
}

static inline uint32_t replays_of(struct cluster *c, int rank, int call)
{
	struct cluster_result r;

	cluster_result(c, rank, call, &r);
	return r.replays;
}

static inline bool first_returned(struct cluster *c, void *arg)
{
	struct cluster_result r;

	cluster_result(c, *(int *)arg, 0, &r);
	return r.returned;
}

static inline bool first_started_by_all(struct cluster *c, void *unused)
{
	struct cluster_result r;

	(void)unused;
	for (int i = 0; i < cluster_n(c); i++) {
		cluster_result(c, i, 0, &r);
		if (!r.started)
			return false;
	}
	return true;
}

static inline void kill_at(struct cluster *c, int rank, int op, uint64_t step)
{
	cluster_kill_at(c, &(struct cluster_at){ .rank = rank, .op = op, .step = step });
}

static inline void kill_it(struct cluster *c, void *rank)
{
	cluster_kill(c, *(int *)rank);
}

/* The last log lines of all ranks hold @text. */
static inline bool was_said(struct cluster *c, const char *text)
{
	char *said = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&said, &len);
	bool yes;

	if (!f)
		return false;
	cluster_print(c, f);
	fclose(f);
	yes = strstr(said, text) != NULL;
	free(said);
	return yes;
}

/* One rank's call that would have made a communicator is refused: nobody has one, life goes on. */
static inline unsigned makes_nothing_if_refused(const char *name, enum art_coll kind, int refused)
{
	struct cluster *c = job_of(4, name);

	for (int r = 0; r < 4; r++)
		calls(c, r, (struct cluster_call){ .kind = kind, .child = 1,
			.refuse = r == refused ? ART_ERR_ARG : 0 });
	sums(c, ALL);
	finalizes(c, ALL);
	runs(c);
	all_get(c, 0, ART_ERR_ARG);
	all_count(c, 1, 0xf);
	return ends(c);
}

struct word_scenario {
	const char *name;
	unsigned (*fn)(const char *name); /* violations */
};
#define SCENARIO(fn) { #fn, fn }

/* The main of a program of scenarios: PROGRAM [SCENARIO] [--verbose]. */
static inline int scenarios_main(int argc, char **argv, const char *program,
				 const struct word_scenario *all, size_t n)
{
	const char *only = NULL;
	unsigned failed = 0, ran = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else
			only = argv[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (only && strcmp(only, all[i].name) != 0)
			continue;
		ran++;
		scenario_crash_line("%s %s", program, all[i].name);
		if (all[i].fn(all[i].name)) {
			printf("FAIL %s %s\n", program, all[i].name);
			failed++;
		}
	}
	printf("%u scenarios, %u failed\n", ran, failed);
	if (!ran)
		fprintf(stderr, "no scenario of that name\n");
	return !ran ? 2 : failed ? 1 : 0;
}

#endif
