/* SPDX-License-Identifier: MIT
 *
 * N ranks in one process, in virtual time: each an art_core with its link and two simulated
 * transports, an application that executes a program of calls, and a simulated environment.
 * A scenario says who calls what and what goes wrong when; the cluster steps it, checks the
 * protocol's invariants after every step, and knows from the inputs what every result must be.
 *
 *	struct cluster_cfg cfg;
 *	cluster_defaults(&cfg, 5, seed);
 *	struct cluster *c = cluster_create(&cfg);
 *	cluster_program(c, CLUSTER_ALL, items, nitems);
 *	cluster_kill_at(c, &(struct cluster_at){ .rank = 2, .op = 1, .step = 7 });
 *	cluster_run(c);
 *	if (cluster_violations(c))
 *		cluster_print(c, stdout);
 *	cluster_destroy(c);
 *
 * A violation is recorded, never fatal; the first ones are kept as text that begins with the
 * line that repeats the run (cluster_coordinate()). Slots and ranks of the world are the same
 * numbers. Communicators that a split or a list makes may have some of them only, in another order:
 * roots are given as slots here, whatever the communicator.
 */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/set.h"
#include "core/core.h"
#include "transport/sim/sim.h"

struct cluster;

#define CLUSTER_ALL (-1)      /* as a rank: every rank */
#define CLUSTER_COMMS 16      /* communicators a rank may have, the world (0) included */
#define CLUSTER_MARKS 1024    /* size of the coverage table */

/* How the survivors learn of a kill. */
enum cluster_evidence {
	CLUSTER_PROVEN,  /* everyone gets dead(): one host, or agents that certify (default) */
	CLUSTER_BY_HOST, /* dead() while another rank of that host lives, otherwise suspect() */
	CLUSTER_SUSPECT, /* everyone gets suspect() */
	CLUSTER_SILENT,  /* nobody is told: the test does it, cluster_dead(), cluster_suspect() */
	CLUSTER_LOCAL,   /* dead() at the live ranks of its host; the rest is the detector's work */
};

struct cluster_cfg {
	int n;                     /* ranks */
	uint64_t seed;
	const int *hosts;          /* [n], must outlive the cluster; NULL: all on one host */
	struct art_sim_model near, far; /* cost model, see sim.h */
	uint64_t end_ns, cut_ns;   /* see sim.h */
	enum cluster_evidence evidence;
	uint64_t dead_min_ns, dead_max_ns;       /* kill -> dead(), drawn per survivor */
	bool early;                /* dead() comes before the others' kernel tells them, as far as ranks know */
	uint64_t suspect_min_ns, suspect_max_ns; /* kill or partition -> suspect(), drawn likewise */
	/* The detector runs: heartbeats travel by the cost models, and are lost where links are cut. */
	bool detector;
	unsigned beat_loss;        /* percent of them that are lost otherwise */
	/* There is an arbiter of exact halves; these ranks (bits) never reach it, and from then on nobody. */
	bool arbiter;
	uint32_t arbiter_cut;
	uint64_t arbiter_dies_ns;  /* virtual time, 0: it stays */
	uint64_t compute_max_ns;   /* a user function takes 0..this */
	uint64_t start_max_ns;     /* ranks begin their programs 0..this apart */
	uint64_t think_max_ns;     /* an application pauses 0..this between two items */
	uint64_t limit_ns;         /* virtual time cluster_run() takes at most after the last fault */
	uint64_t max_steps;        /* and world events at most, a bound for broken runs */
	size_t queue_high, queue_max; /* back-pressure, see transport.h */
	bool arena;                /* ranks of one host share memory */
	bool lends;                /* segments are lent, and come back when the transport likes */
	uint64_t mutant;           /* art_core_cfg.mutant */
	/* Changes a rank's configuration after defaults; may be NULL. */
	void (*tune)(struct art_core_cfg *core, int rank, void *arg);
	void *tune_arg;
	/* Rules of transport/fault applied to every rank's transports ("" or NULL: none), see fault.h.
	 * A rule starting with "rank=R," applies to that rank only; chan=data|ctl selects. */
	const char *faults;
	/* The n-th (1..) allocation of this rank fails, and with fail_all every later one. 0: none. */
	int fail_rank;
	uint64_t fail_alloc;
	bool fail_all;
	enum art_log_level log_level; /* kept in the ring (default ART_LOG_INFO) */
	bool notify;               /* every communicator gets a callback, and what it hears is checked */
	const char *name;          /* scenario name for the coordinate line, may be NULL */
	bool verbose;              /* print log lines at once to stderr */
};
/* Everything filled: one host, proven deaths in 20..400 us, LAN latencies, quorum wait 2 s. */
void cluster_defaults(struct cluster_cfg *cfg, int n, uint64_t seed);

/* NULL only if the machine is out of memory. A rank whose core could not be made because of
 * fail_alloc counts as killed. */
struct cluster *cluster_create(const struct cluster_cfg *cfg);
/* Ends all ranks, checks that each gave back all its memory, frees. Returns the violations. */
unsigned cluster_destroy(struct cluster *c);

/* ---- programs: what the application of a rank does, in order ---- */
enum {
	CLUSTER_NONBLOCK = 1,  /* start only; a later WAIT, or the end of the program, waits */
	CLUSTER_IN_PLACE = 2,  /* input in recvbuf (allreduce; reduce at the root) */
	CLUSTER_USER = 4,      /* user function, commutative: adds (type must be ART_T_UINT64) */
	CLUSTER_USER_AFFINE = 8, /* user function, not commutative (type ART_T_INT64_INT64) */
	CLUSTER_USER_ELEM = 16,  /* with either: ART_OP_ELEMENTWISE */
	CLUSTER_ROUGH = 32,      /* (set by the cluster) on a reproducible communicator: inputs and user
				  * function are such that every shape of combining gives other bits */
};
enum cluster_verb {
	CLUSTER_CALL,    /* .call */
	CLUSTER_WAIT,    /* wait for the call of item .item of this program (nonblocking, not waited) */
	CLUSTER_WAITALL, /* wait for all nonblocking calls so far */
	CLUSTER_SLEEP,   /* the application computes outside the library for .ns */
	CLUSTER_EXIT,    /* the process ends here without finalize: a loss */
};
struct cluster_call {
	enum art_coll kind;
	int comm;            /* 0: world; a rank that is in none under this number does not call */
	int child;           /* DUP, SPLIT, CREATE: number the new one gets, 1..CLUSTER_COMMS-1; the
			      * communicator of another colour has to get another one */
	int colour, key;     /* ART_C_SPLIT */
	uint32_t list;       /* ART_C_CREATE: these slots, from the highest down */
	size_t count;        /* elements */
	int type, op;        /* ART_T_*, ART_O_* (op 0 with CLUSTER_USER*) */
	int root;            /* a slot; of a communicator that lacks it, another one in its place */
	int loss;            /* ART_C_SETLOSS: ART_LOSS_*; ART_C_SETFLAGS: ART_F_* */
	unsigned flags;      /* CLUSTER_* */
	uint64_t deadline_ns; /* from the start of the call; 0: none */
	int refuse;          /* negative code: a refused call (art__core_refuse), .kind is ignored */
};
struct cluster_item {
	enum cluster_verb verb;
	struct cluster_call call;
	int item;
	uint64_t ns;
};

/* Gives @rank (or CLUSTER_ALL) its program; copied. May be called again when the rank's program
 * has ended or before it began: the items are appended. */
void cluster_program(struct cluster *c, int rank, const struct cluster_item *items, int nitems);
/* With the detector: these may be evicted; anybody else must not. Paused and cut ranks are put in by
 * the calls that do it. */
void cluster_may_leave(struct cluster *c, int rank);
/* A pause that is no reason to evict anybody. */
void cluster_nap(struct cluster *c, int rank, uint64_t ns);
/* Appends one call. */
void cluster_call(struct cluster *c, int rank, const struct cluster_call *call);

/* ---- faults at once ---- */
void cluster_kill(struct cluster *c, int rank);
/* Tells @observer (CLUSTER_ALL: every other live rank) after @after_ns. */
void cluster_dead(struct cluster *c, int observer, int rank, uint64_t after_ns);
void cluster_suspect(struct cluster *c, int observer, int rank, uint64_t after_ns);
void cluster_cut(struct cluster *c, int from, int to, enum art_sim_cut how);
void cluster_break(struct cluster *c, int channel, int a, int b);
/* group[n]. With @verdicts, ranks of different groups are suspected by each other after the
 * configured delay, if not healed before. */
void cluster_partition(struct cluster *c, const int *group, bool verdicts);
/* Everything cut, held or paused is as it was; ranks evicted meanwhile stay so. */
void cluster_heal(struct cluster *c);
void cluster_pause(struct cluster *c, int rank, bool on);
/* Holds the frames of a link on a channel; released after @ns, and with @epochs > 0 not before the
 * receiver's epoch has grown by that many (or 10 x ns have passed): late frames of an old epoch. */
void cluster_hold(struct cluster *c, int channel, int from, int to, uint64_t ns, int epochs);

/* ---- faults planned ---- */
/* A coordinate. A step is an effect (port call) of the rank or a frame that reaches it; the kill
 * comes before it, its first `step` effects (0..) having happened.
 *   op >= 0: counts from the moment the rank had started `op` calls and since then seen
 *            `attempt` epochs more.
 *   op  < 0: counts from the `attempt`-th fault (kill, suspicion, cut) of the whole run; 0 counts
 *            from the start.
 * As text: rank:op:step:attempt, op as * if negative. */
struct cluster_at {
	int rank, op;
	uint64_t step;
	int attempt;
};
void cluster_kill_at(struct cluster *c, const struct cluster_at *at);
/* Reads the text form. False if it does not parse. */
bool cluster_at_parse(const char *text, struct cluster_at *at);
/* How many planned kills have happened: a sweep over steps ends when its kill was never reached. */
int cluster_kills_hit(const struct cluster *c);
/* Runs @fn at that virtual time after now, or when @rank is at @at. It may call all of this API
 * but run, step and destroy. */
void cluster_after(struct cluster *c, uint64_t ns, void (*fn)(struct cluster *c, void *arg),
		   void *arg);
void cluster_do_at(struct cluster *c, const struct cluster_at *at,
		   void (*fn)(struct cluster *c, void *arg), void *arg);

/* ---- running ---- */
/* One event. False: nothing is left to happen. */
bool cluster_step(struct cluster *c);
/* Until @cond, or @max_ns of virtual time have passed, or nothing is left. True: @cond held. */
bool cluster_until(struct cluster *c, bool (*cond)(struct cluster *c, void *arg), void *arg,
		   uint64_t max_ns);
/* Until every live rank's program has ended and every outcome is known, or cfg.limit_ns passed;
 * then cluster_check_end(). True: all ended. What is still open after the limit is a violation
 * unless a live member has not called it, or the rank is without quorum by the test's doing. */
bool cluster_run(struct cluster *c);
/* The checks that hold only in the end: nothing open, outcomes alike, survivors contributed. */
void cluster_check_end(struct cluster *c);

/* ---- looking ---- */
uint64_t cluster_now(const struct cluster *c);
int cluster_n(const struct cluster *c);
bool cluster_alive(const struct cluster *c, int rank);      /* not killed */
bool cluster_finished(const struct cluster *c, int rank);   /* its program has ended */
bool cluster_all_finished(struct cluster *c, void *unused); /* as a condition for until() */
uint32_t cluster_epoch(const struct cluster *c, int rank);
int cluster_fate(const struct cluster *c, int rank);
struct art_core *cluster_core(struct cluster *c, int rank);
struct art_comm *cluster_comm(struct cluster *c, int rank, int comm); /* NULL: it has none */
struct art_sim_world *cluster_world(struct cluster *c);
struct art_arena_part *cluster_part(struct cluster *c, int rank); /* its shared memory; cfg.arena */
struct art_arena_slot *cluster_slot(struct cluster *c, int rank, unsigned channel, unsigned slot);
uint64_t cluster_steps(const struct cluster *c, int rank);  /* effects and frames so far */
uint64_t cluster_events(const struct cluster *c);           /* world events so far */
uint64_t cluster_allocs(const struct cluster *c, int rank); /* allocations so far */
uint64_t cluster_faults(const struct cluster *c);           /* faults that happened */
uint64_t cluster_messages(const struct cluster *c, int channel); /* sent, all ranks */
uint64_t cluster_sent(const struct cluster *c, int rank, int channel);
uint64_t cluster_got(const struct cluster *c, int rank, int channel);
uint64_t cluster_beats(const struct cluster *c, int rank); /* datagrams sent by a rank */

/* What a rank's call came to. @call counts the rank's CLUSTER_CALL items from 0. */
struct cluster_result {
	bool started, returned;
	bool lapsed;             /* it never will be: asked too late */
	bool known;              /* final outcome known: the fields below */
	int returned_code;       /* what the caller was told */
	int code;                /* final outcome */
	uint32_t epoch, replays;
	int contributors;        /* count */
	uint64_t returned_ns;    /* virtual time */
};
void cluster_result(struct cluster *c, int rank, int call, struct cluster_result *out);
/* Is @slot in the contributor (blamed) set of that call? */
bool cluster_contributed(struct cluster *c, int rank, int call, int slot);
bool cluster_blamed(struct cluster *c, int rank, int call, int slot);

/* With cfg.notify: the slots (bits) of whose loss @rank's callback on @comm has heard, and whether it has
 * heard that a call failed after it had returned. */
uint32_t cluster_heard_lost(const struct cluster *c, int rank, int comm);
bool cluster_heard_late(const struct cluster *c, int rank, int call);

/* ---- violations ---- */
unsigned cluster_violations(const struct cluster *c);
/* Text of the i-th (the first 8 are kept), or NULL. */
const char *cluster_violation(const struct cluster *c, unsigned i);
/* "name seed=... n=... kill=rank:op:step:attempt ..." */
const char *cluster_coordinate(struct cluster *c);
/* A violation found by the test itself. */
void cluster_fail(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Coordinate, violations and the last log lines. */
void cluster_print(struct cluster *c, FILE *out);

/* ---- coverage, summed over all clusters of this process ---- */
extern uint64_t cluster_marks[CLUSTER_MARKS]; /* [enum art_mark] times hit */

#endif
