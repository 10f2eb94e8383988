/* SPDX-License-Identifier: MIT
 *
 * What the files of the cluster share: ranks and stepping (cluster.c), applications
 * (cluster_app.c), faults and coordinates (cluster_fault.c), inputs and expected results
 * (cluster_oracle.c), invariants (cluster_check.c).
 */
#ifndef TESTS_LIB_CLUSTER_IMPL_H
#define TESTS_LIB_CLUSTER_IMPL_H

#include "base/arena.h"
#include "engine/link.h"
#include "ft/arbiter.h"
#include "tests/lib/cluster.h"
#include "transport/fault/fault.h"

#define LOG_LINES 256
#define LOG_WIDTH 160
#define KEPT_VIOLATIONS 8
#define VIOLATION_WIDTH 400
#define COORD_WIDTH 1200
#define MAX_PLANS 64
#define MAX_FAULTS 64 /* whose beginning is remembered for coordinates */
#define GUARD 16      /* bytes behind a buffer */

/* One call of one rank. */
struct call {
	struct cluster_call what;
	int index;            /* among the rank's calls */
	int item;             /* of the program */
	struct art_comm *comm;
	struct art_op *op;    /* until released */
	uint64_t seq;
	bool started;         /* took its sequence number */
	bool refused;         /* by us, or by the core with a code */
	bool signalled;       /* port.done() came */
	bool done;            /* outcome read, result checked */
	bool returned;        /* the application has it */
	bool released;
	bool known;           /* final outcome read */
	bool used_late;       /* its user function ran after the return */
	bool was_pending;     /* returned early */
	int cflags;           /* ART_F_* of its communicator when it started */
	bool mirror;          /* and it was under ART_LOSS_MIRROR; */
	uint64_t keepers;     /* of the first 64 ranks, those who had said to keep its input */
	uint64_t done_view;   /* the first 64 members of its rank's view when it was done */
	bool told_late;       /* the callback heard of its failure after that */
	uint64_t key;         /* sequence number that its input was made for */
	int returned_code;
	struct art_outcome out;
	uint64_t *contributors, *blamed; /* copies, or NULL */
	uint64_t returned_ns;
	uint64_t digest;      /* of the result, where there is one */
	bool has_digest;
	void *send, *recv;    /* with GUARD bytes behind; NULL after the end */
	size_t bytes;         /* of count elements */
	uint64_t send_digest;
	int list[32];         /* ART_C_CREATE: ranks */
	struct cluster *cluster;
	int rank;
};

enum app_state { APP_READY, APP_BLOCKED, APP_ASLEEP, APP_OVER };

/* What a rank's callback on one communicator has heard. */
struct heard {
	struct crank *rank;
	int comm;
	uint32_t lost; /* slots, of the first 32 */
};

#define CRANK_PLACED 16

struct crank_placed { /* bodies of an attempt that may be put into its receive buffer */
	uint64_t comm, seq;
	uint32_t epoch;
	unsigned n; /* that have not come yet, at least */
	struct art_op *op;
};

struct crank {
	struct cluster *cluster;
	int slot;
	struct art_env env;
	struct art_core *core;
	struct art_machine *machine; /* the core's */
	struct art_machine wrap;     /* what the link sees */
	struct art_link link;
	struct art_port port;
	struct art_tp *tp[2];
	struct art_fault_opts fault[2];
	bool dead, paused;
	struct crank_placed placed[CRANK_PLACED];
	size_t nplaced;
	/* memory shared by all (cfg.arena) */
	struct art_arena_part *shared;
	const struct art_arena_part **part; /* [n] of its host */
	struct art_arena arena;
	struct art_spread spread;
	uint64_t mixer;      /* of slices */
	bool awake;          /* looks at it now and then */
	bool inside;         /* a machine call is running */
	uint32_t epoch;      /* last seen */
	int fate;
	struct { uint32_t epoch; struct art_set members; } noted; /* outlives it */
	/* environment */
	uint64_t rng, allocs, live, live_bytes;
	/* steps */
	uint64_t sent[2];    /* messages, by channel */
	uint64_t got[2];
	uint64_t steps, since;
	int ops_started, attempt;
	uint32_t epoch_at_op;
	uint64_t *fault_base; /* [MAX_FAULTS] steps when the fault happened */
	/* time */
	uint64_t beats;           /* datagrams sent */
	uint64_t timer_at, tp_at; /* of the events in the queue, ART_NEVER: none */
	int spins;                /* ticks in a row that left something due */
	/* application */
	struct cluster_item *items;
	int nitems, pc;
	enum app_state app;
	int wait_call;       /* APP_BLOCKED: call index, -1: all nonblocking ones */
	struct call **calls;
	int ncalls, capcalls;
	int first_unknown, first_undone, first_back; /* calls before it are known, done, returned */
	bool running;        /* cluster__app_run() is on the stack */
	struct art_comm *comm[CLUSTER_COMMS];
	int flags[CLUSTER_COMMS]; /* ART_F_* of its communicators, by what it has called */
	int policy[CLUSTER_COMMS]; /* likewise */
	struct heard heard[CLUSTER_COMMS];
	/* user functions */
	struct art_job *jobs, **jobs_tail;
	struct art_job *job; /* taken by the application's thread */
	bool job_run;        /* it has run; computed() is due */
};

/* What is known about (communicator, seq) over all ranks. */
struct op_rec {
	struct call **by_rank; /* [n] */
	uint64_t *set;         /* contributors for which `expect` holds */
	uint64_t expect;       /* digest of the right result */
	enum art_coll expect_of;
	size_t expect_count;
	bool has_expect;
};

struct comm_rec {
	bool known;
	uint64_t id;
	int *slot, nslot;  /* by rank, as the first rank that has it says */
	struct op_rec *op;
	uint64_t nop;
	bool strict; /* it had the policy ERROR at some time */
};

struct view_rec {
	bool known;
	int by;
	uint64_t *set;
};

struct plan {
	struct cluster_at at;
	bool kill, hit;
	void (*fn)(struct cluster *c, void *arg);
	void *arg;
};

struct timed {
	struct cluster *cluster;
	struct timed *next; /* all of them, freed in the end */
	void (*fn)(struct cluster *c, void *arg);
	void *arg;
	/* hold */
	int channel, from, to, epochs;
	uint32_t epoch;
	uint64_t until, step;
};

/* A datagram on its way. */
struct beat {
	struct beat *next, **prev;
	int from;
	size_t len;
	uint8_t bytes[64];
};

/* A question to the arbiter on its way, or an answer. */
struct vote {
	struct vote *next, **prev;
	struct crank *rank;
	size_t len;
	uint8_t bytes[];
};

struct cluster {
	struct cluster_cfg cfg;
	int n, words;
	struct art_env env; /* of world and transports: plain memory */
	struct art_sim_world *world;
	struct crank *rank;
	struct comm_rec comms[CLUSTER_COMMS];
	struct view_rec *view;
	uint32_t nview, newest;
	uint64_t *accused;   /* slots that some rank was told must leave */
	uint64_t *was_killed;
	bool *cut;           /* [n * n] */
	uint64_t lent;             /* segments, so far */
	/* instances to poll */
	int *ready, nready;
	bool *is_ready;      /* [2 n] */
	/* faults */
	struct plan plan[MAX_PLANS];
	int nplans, kills_hit;
	uint64_t faults, last_fault_ns;
	struct timed *timed;
	struct beat *beats;
	struct vote *votes;
	struct art_arbiter arbiter;
	uint64_t messages[2], events;
	char coord[COORD_WIDTH];
	size_t coord_len;
	/* findings */
	unsigned violations;
	char kept[KEPT_VIOLATIONS][VIOLATION_WIDTH];
	char (*log)[LOG_WIDTH];
	uint64_t nlog;
};

/* ---- cluster.c ---- */
/* Around every call into a rank's machine. */
bool cluster__enter(struct crank *r);
void cluster__leave(struct crank *r);
/* Schedules fn(r, word) after @ns; it comes only while the rank lives and is not paused. */
void cluster__at(struct crank *r, uint64_t ns, void (*fn)(struct crank *r, uint64_t word),
		 uint64_t word);
uint64_t cluster__below(struct cluster *c, uint64_t bound); /* 0 for bound 0 */
void cluster__log(struct cluster *c, int rank, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool word_has(const uint64_t *w, int i)
{
	return w[i / 64] >> (i % 64) & 1;
}
static inline void word_add(uint64_t *w, int i)
{
	w[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- cluster_app.c ---- */
void cluster__app_run(struct crank *r);
void cluster__app_harvest(struct crank *r); /* ops that are done: read and check them */
void cluster__app_done(struct crank *r, struct art_op *op);
void cluster__app_compute(struct crank *r, struct art_job *job);
void cluster__app_end(struct crank *r);
void cluster__app_listen(struct crank *r, int comm); /* with cfg.notify: a callback */
void cluster__app_refresh(struct crank *r, struct call *k); /* brings its outcome up to date */
bool cluster__member(const struct cluster *c, int comm, int slot); /* as far as is known */
/* Who keeps the inputs of this rank's calls. */
void cluster__app_keepers(struct crank *r);
struct op_rec *cluster__op_rec(struct cluster *c, int comm, uint64_t seq);

/* ---- cluster_beat.c ---- */
/* Datagrams and looks at processes, in the rank's port. */
void cluster__beat_port(struct crank *r);
void cluster__run_port(struct crank *r);
void cluster__beat_end(struct cluster *c);

/* ---- cluster_arena.c ---- */
bool cluster__arena_open(struct cluster *c); /* false: no memory */
void cluster__arena_map(struct cluster *c);
void cluster__arena_rest(struct crank *r);   /* an event is over, but for its consequences */
void cluster__arena_close(struct cluster *c);

/* ---- cluster_arbiter.c ---- */
void cluster__lend_port(struct crank *r);
void cluster__spread_port(struct crank *r);
void cluster__lend_returned(struct art_machine *wrap, struct art_op *op);
/* A frame is about to be handed on. */
void cluster__lend_came(struct crank *r, enum art_chan chan, const struct art_hdr *h);
uint8_t *cluster__lend_place(struct art_machine *wrap, int from, const struct art_hdr *h,
			     struct art_lending *in);
void cluster__arbiter_port(struct crank *r);
void cluster__arbiter_end(struct cluster *c);

/* ---- cluster_fault.c ---- */
/* A step of @r is about to happen. False: the rank is dead, it does not. */
bool cluster__step(struct crank *r);
void cluster__note(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- cluster_oracle.c ---- */
size_t cluster__elem(const struct cluster_call *k);
/* The input of @slot for the call; bytes of @k->count elements. */
void cluster__input(const struct cluster *c, const struct cluster_call *k, uint64_t seq, int slot,
		    void *out);
/* The right result of the call over the contributors @set. False: out of memory. */
bool cluster__expected(struct cluster *c, const struct call *q, const uint64_t *set, void *out);
/* Of the bytes that mean something (no padding). */
uint64_t cluster__digest(const struct cluster_call *k, const void *p);
void cluster__user_fn(const void *in, void *inout, size_t count, struct art_type_s *type,
		      void *ctx);

/* ---- cluster_check.c ---- */
void cluster__check_spin(struct crank *r);
void cluster__check_view(struct crank *r);
void cluster__check_done(struct crank *r, struct call *k);
void cluster__check_child(struct crank *r, struct call *k); /* it has made a communicator, or not */

#endif
