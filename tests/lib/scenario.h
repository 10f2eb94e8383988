/* SPDX-License-Identifier: MIT
 *
 * What the simulated tests share on top of cluster.h: programs and fault schedules drawn from a
 * seed, the counters of a campaign, and worker processes. A scenario is a pure function of
 * (seed, profile): the same pair gives the same calls, the same faults and the same result.
 *
 *	struct scenario s;
 *	scenario_draw(&s, seed, SCENARIO_MIXED);
 *	unsigned bad = scenario_run(&s, &totals);
 */
#ifndef TESTS_LIB_SCENARIO_H
#define TESTS_LIB_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/marks.h"
#include "tests/lib/cluster.h"

/* ---- numbers from a seed (not the cluster's own generator) ---- */
struct scenario_rng {
	uint64_t state;
};
uint64_t scenario_next(struct scenario_rng *r);
/* 0..bound-1 */
uint64_t scenario_below(struct scenario_rng *r, uint64_t bound);
/* True @percent times out of 100. */
bool scenario_chance(struct scenario_rng *r, unsigned percent);

/* ---- schedules ---- */
#define SCENARIO_RANKS 9
#define SCENARIO_ITEMS 96
#define SCENARIO_FAULTS 16

/* Kinds of schedules. MIXED draws from all; the others are aimed at one weakness. */
enum scenario_profile {
	SCENARIO_MIXED,
	SCENARIO_SPLIT,   /* N >= 5: a partition, then certified deaths on the larger side */
	SCENARIO_LATE,    /* late completions: held data frames around a false suspicion */
	SCENARIO_BALLOT,  /* ballots cut short: proposers killed or muted between their steps */
	SCENARIO_OLD,     /* N >= 4: frames of an old epoch delivered after an install */
	SCENARIO_RERUN,   /* deaths in the middle of reductions, again and again */
	SCENARIO_ODD,     /* several ranks call something else, beside a death or a suspicion */
	SCENARIO_POLICY,  /* as mixed, with what communicators can be asked for: agree, shrink, news */
	SCENARIO_HALVES,  /* an even number falls into exact halves, with and without a tie-break */
	SCENARIO_LEVELS,  /* a change in two levels: those who pass on die, are slow or reach not all */
	SCENARIO_EDGES,   /* hosts that live and do not reach each other any more; deaths beside it */
	SCENARIO_COMMS,   /* as mixed, and communicators are made and freed all the time */
	SCENARIO_PROFILES
};
const char *scenario_profile_name(enum scenario_profile p);
/* False if there is no such profile. */
bool scenario_profile_parse(const char *name, enum scenario_profile *out);

/* X(name, text): what a scenario may contain; each is counted. */
#define SCENARIO_CLASS_LIST(X) \
	X(KILL, "kills") \
	X(UNPROVEN, "kills on hosts of their own (unproven)") \
	X(TOGETHER, "several killed at one moment") \
	X(ALL_BUT_ONE, "all but one killed") \
	X(RECOVERY, "kills during a recovery") \
	X(SUSPECT, "false suspicions") \
	X(PARTITION, "partitions") \
	X(MINORITY, "partitions that leave the leader in a minority") \
	X(TIE_BREAK, "partitions into exact halves with a tie-break") \
	X(ARBITER, "partitions into exact halves with an arbiter") \
	X(HEAL, "heals") \
	X(ONE_WAY, "one-way or single-edge cuts") \
	X(EDGE, "pairs of hosts that do not reach each other") \
	X(HOLD, "old frames held past an install") \
	X(PAUSE, "pauses") \
	X(BREAK, "broken connections") \
	X(FIVE, "scenarios with five ranks or more") \
	X(COMMS, "scenarios with operations in flight on several communicators") \
	X(SPLIT, "scenarios with splits, nested or beside each other") \
	X(CREATE, "scenarios with communicators from lists of ranks") \
	X(ERROR, "scenarios with the loss policy ERROR") \
	X(MIRROR, "scenarios with the loss policy MIRROR") \
	X(AGREE, "agreements") \
	X(SHRINK, "scenarios with shrunk communicators") \
	X(REPRODUCIBLE, "reproducible communicators") \
	X(UNIFORM, "uniform communicators") \
	X(SUCCESSOR, "communicators whose reduces survive their roots") \
	X(DEADLINE, "calls with a deadline that can expire") \
	X(MISMATCH, "mismatched calls") \
	X(REFUSED, "refused calls") \
	X(EXIT, "exits without finalize")
enum scenario_class {
#define SCENARIO_CLASS_ENUM(name, text) SCENARIO_C_##name,
	SCENARIO_CLASS_LIST(SCENARIO_CLASS_ENUM)
#undef SCENARIO_CLASS_ENUM
	SCENARIO_CLASSES
};

enum scenario_fault_kind {
	SCENARIO_F_KILL,      /* every rank of `set` */
	SCENARIO_F_SUSPECT,   /* rank suspects every rank of `set` (rank < 0: all others do) */
	SCENARIO_F_PARTITION, /* `set` against the rest; verdicts if `on` */
	SCENARIO_F_CUT,       /* from rank to peer; what vanished meanwhile ends the connection */
	SCENARIO_F_HOLD,      /* channel `how`, from rank to every rank of `set`, for ns */
	SCENARIO_F_PAUSE,     /* rank */
	SCENARIO_F_BREAK,     /* channel `how` between rank and peer */
	SCENARIO_F_EDGE,      /* from the host of rank to that of peer (how 1), back (2), or both */
};
struct scenario_fault {
	enum scenario_fault_kind kind;
	bool planned;         /* at a coordinate; otherwise after `after_ns` */
	struct cluster_at at;
	uint64_t after_ns;
	int rank, peer, how, epochs;
	bool on;
	uint32_t set;         /* bit per rank */
	uint64_t ns;
	uint64_t undo_ns;     /* partition, cut, pause: healed so long after; 0: never */
	bool hit;
};

struct scenario {
	uint64_t seed;
	enum scenario_profile profile;
	uint64_t mutant;
	bool verbose;
	struct scenario_rng rng;
	struct cluster_cfg cfg;
	int n;
	int hosts[SCENARIO_RANKS];
	/* for cfg.tune */
	size_t small_max;
	uint32_t log_ops;
	int radix;
	bool lowest_half;
	struct cluster_item item[SCENARIO_RANKS][SCENARIO_ITEMS]; /* one program each, one shape */
	int nitems;
	int ncalls;
	struct scenario_fault fault[SCENARIO_FAULTS];
	int nfaults;
	uint32_t classes[SCENARIO_CLASSES];
};

/* Sums over scenarios; plain numbers, so that worker processes can add to shared memory. */
struct scenario_totals {
	uint64_t begun; /* scenarios that a worker has begun, the crashed ones included */
	uint64_t seeds, bad, view_changes, replays, messages, events;
	uint64_t classes[SCENARIO_CLASSES];
	uint64_t marks[ART_M_COUNT];
};

void scenario_draw(struct scenario *s, uint64_t seed, enum scenario_profile profile);
/* Its last part: whether there is an arbiter of exact halves, and what becomes of it. */
void scenario_draw_arbiter(struct scenario *s);
/* Something wrong with the call @item, before which all have a pause: of one rank, or of several. */
void scenario_draw_oddities(struct scenario *s, int item);
void scenario_draw_odd_ranks(struct scenario *s, int item);
/* Hosts, a detector, dead edges and what happens beside them. */
void scenario_draw_edges(struct scenario *s);
/* What becomes of a rank that may have to pass on a change of the view, soon after the first fault. */
void scenario_draw_relay(struct scenario *s, struct scenario_fault *f);
/* How its ranks are set up: struct cluster_cfg's tune(), @arg the scenario. */
void scenario_tune(struct art_core_cfg *core, int rank, void *arg);
/* Runs it and adds to @t (may be NULL). Number of violations; if there are any, one line that
 * repeats the run and says the first goes to @out (NULL: silence), with @detail all of them and
 * the log. @command begins that line. */
unsigned scenario_run(struct scenario *s, struct scenario_totals *t, const char *command, FILE *out,
		      bool detail);
/* The calls and faults in words. */
void scenario_print(const struct scenario *s, FILE *out);
const char *scenario_coll_name(enum art_coll kind);
const char *scenario_class_text(enum scenario_class c);

/* ---- worker processes ---- */
#define SCENARIO_JOBS 64
/* Calls fn(arg, worker) in @jobs (up to SCENARIO_JOBS) processes and waits for them all. True: all
 * returned 0. What they share must come from scenario_shared(). A worker that crashed is started
 * again, a few times: fn goes on behind the place where shared memory says that it was. */
bool scenario_parallel(int jobs, int (*fn)(void *arg, int worker), void *arg);
void *scenario_shared(size_t bytes);
/* A process that dies of an assertion or a signal says @line first: its coordinate. */
void scenario_crash_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Number of processors this process may use, SCENARIO_JOBS at most. */
int scenario_cpus(void);

#endif
