/* SPDX-License-Identifier: MIT
 *
 * Communicators and operations of one rank, and the machines that run them. An op is
 *
 *   foreseen --entered--> running --outcome known--> held --room in the log--> done --> stable
 *      |         |           ^  |                      ^                                (forgotten)
 *      |         +-frozen----+  +--view change: RERUN, or DELIVER: pulling--+
 *      +--(a decision about an op that this rank has not called yet)
 *
 * Ops are known to all members as (communicator identity, sequence number); everything a rank
 * needs in order to run one again stays until it is stable (rules R1, R2).
 */
#ifndef ART_COLL_COLL_H
#define ART_COLL_COLL_H

#include <art/status.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/pool.h"
#include "base/set.h"
#include "coll/combine.h"
#include "core/core.h"
#include "engine/machine.h"
#include "ft/ft.h"

#define ART_SEGMENT (32u * 1024)  /* bytes of a piece of a streamed payload */
#define ART_EAGER ART_BODY_MAX    /* a payload up to here is one message, unasked */
#define ART_WINDOW (8 * ART_SEGMENT) /* what a receiver lets be under way to it */
#define ART_SWAP_WINDOW (6 * ART_SEGMENT) /* the same, where both ranks send at once */
#define ART_WIDE_WINDOW (32 * ART_SEGMENT) /* and both, where it waits in the system and not in a ring */
#define ART_LEADERS_BYTES (64u * 1024) /* by leaders of hosts by itself up to here (choose.c) */
#define ART_INLINE 256            /* bytes of result or input kept inside the op */
#define ART_KIDS_INLINE 8
#define ART_BUDDIES_MAX 3  /* who keep a rank's input under ART_LOSS_MIRROR, at most */
#define ART_LAG_UNKNOWN 0xffffu
#define ART_RING_MAX (1u << 16)  /* ops of a communicator in memory */

/* Phases on the wire. Rounds of recursive doubling are 1..ART_PH_LAST_ROUND. */
enum {
	ART_PH_FOLD = 0,
	ART_PH_LAST_ROUND = 30,
	ART_PH_UNFOLD = 31,
	ART_PH_UP = 40,
	ART_PH_DOWN = 41,
	ART_PH_FWD = 42, /* node 0 to the root, after a reduction in rank order */
	ART_PH_SWAP = 43, /* two ranks exchange long vectors */
	ART_PH_ACK = 44,  /* the root of a uniform reduce has its result */
	ART_PH_STAND = 45, /* an input, own or kept for a lost rank, to whoever combines them (stand.c) */
	ART_PH_STOOD = 46, /* and the result from there */
	ART_PH_KEPT = 47,  /* a buddy has the input (mirror.c) */
	ART_PH_DEPOSIT = 48, /* an input for a buddy to keep */
	ART_PH_RING = 49,  /* chunks of an allreduce, to the right */
	ART_PH_STEPS = 50, /* hops of a plan (steps.c) */
};

/* A data message that came before its time: kept whole. */
struct art_early {
	struct art_early *next;
	int from;
	enum art_chan chan;
	struct art_hdr hdr;
	uint8_t body[];
};

/* A payload on its way to one peer. */
struct art_tx {
	int slot;
	uint8_t phase;
	bool opened;      /* at least one message went out (the payload may be empty) */
	uint64_t sent, granted;
};

/* A payload on its way from one peer. */
struct art_rx {
	int slot;
	bool near;        /* it comes in memory that this host shares (leaders.c) */
	uint64_t got;     /* contiguous bytes taken from it */
	uint64_t granted;
	uint8_t *whole;   /* assembly of a vector that must be combined at once, or NULL */
};

/* The outcome of an op on its way to a member that lacks it. */
struct art_serve {
	struct art_serve *next;
	struct art_op *op;
	int slot;
	uint32_t epoch;
	bool told;
	uint64_t sent;
};

enum art_op_state {
	ART_OP_FORESEEN, /* only a decision or an early message is known */
	ART_OP_FROZEN,   /* entered while frozen, or too far ahead of the others: begins later */
	ART_OP_RUNNING,
	ART_OP_MIRRORED, /* its input goes to buddies first, or a rerun counts lost ranks (mirror.c) */
	ART_OP_PULLING,  /* decided DELIVER: waiting for the holder's copy */
	ART_OP_OVER,     /* outcome known here, or returned early */
};

/* Running state of recursive doubling (also the barrier). */
struct art_rd {
	int newrank;      /* -1: folded into a neighbour */
	int pof2, rem;
	uint8_t round;    /* the phase waited for */
	bool sent;        /* own message of this phase is out */
};

/* Running state of a tree, up, down or both, and of the long exchange of two. */
struct art_treeop {
	bool up, down, swap;
	bool ack, acked;        /* a reduce whose root tells everyone when it has the result; it has */
	int fwd_to;             /* slot that gets the result of the top, -1: stays there */
	bool fwd_wait;          /* this rank is that one */
	bool near_parent;       /* on this host, too (leaders.c); so are the first kids, */
	bool given;             /* which can see the result, or payload, and */
	bool torn;              /* what this rank has read there was overwritten: it is no member any more */
	int parent;             /* slot, -1 at the top */
	int nkid, nleft;        /* kids in order; the first nleft stand left of this rank */
	int nnear;
	int near_kid;           /* long ones (leaders_long.c): the next of them, */
	bool pieces;
	uint64_t near_put, near_at; /* bytes put down; of the block, those that have all of them in */
	struct art_rx *kid;     /* inline_kid, or from the pool */
	struct art_tx *down_tx; /* [nkid] */
	struct art_rx inline_kid[ART_KIDS_INLINE];
	struct art_tx inline_tx[ART_KIDS_INLINE];
	uint64_t block;         /* bytes combined at once */
	uint64_t at;            /* start of the present block */
	int item;               /* whose part of the block comes next: kids and, at nleft, the own one */
	bool ready;             /* the block is combined and wants to be sent */
	bool up_over;           /* all blocks are */
	const uint8_t *cur;     /* partial result of the block */
	uint8_t *out;           /* where it is put together: one block */
	bool out_mine;          /* out is from the pool */
	struct art_tx up_tx;
	struct art_rx down_rx;  /* from the parent, the top (fwd) or the partner (swap) */
	bool down_begun;        /* something came (a payload may be empty) */
	uint64_t final;         /* bytes of the result, from 0, that may go down */
	uint64_t placed;        /* of these so many, from 0, were or are put into the receive buffer (lend.c) */
};

/* Running state of an allreduce round a ring (ring.c). */
struct art_ring {
	int left, right;         /* slots */
	uint32_t nstep;          /* chunks that are sent, and that come */
	uint64_t chunk_max, segment; /* bytes */
	uint32_t tx_step, rx_step;
	uint64_t tx_off, rx_off; /* bytes of the chunk of that step */
	uint64_t tx_granted, granted; /* places of the stream, by the right one and to the left one */
};

/* A stretch of the vector on its way to or from one rank (steps.c). Bytes. */
struct art_hop {
	int slot;
	uint32_t step;
	uint32_t need;           /* sent: when so many have been received it is whole */
	uint64_t begin, end;
	uint64_t granted;        /* of it, by whoever receives it */
	bool raw;                /* sent: of the input; received: the first to be combined, with the input */
	bool combine;            /* received: else it is a result */
	bool theirs_left;        /* what comes stands left */
};

/* A plan, and how far this rank is in it. */
struct art_steps {
	struct art_hop *tx, *rx; /* in order of their steps */
	uint32_t ntx, nrx, tx_at, rx_at;
	uint64_t tx_off, rx_off; /* bytes of the hop at hand */
	uint64_t span, segment;  /* more than a hop can have; of a message */
	uint8_t *out;            /* where it is put together; NULL: nothing is */
	size_t room;             /* bytes of it that are ours, from the pool; 0: it is the receive buffer */
	struct art_hop hop[];
};

/* The input of another rank, kept here until the op is stable. */
struct art_deposit {
	struct art_deposit *next;
	int owner;        /* slot */
	uint32_t epoch;   /* of the messages that fill it */
	uint32_t sig;     /* of the owner's call, and its root (slot) and kind */
	int root;
	uint8_t kind;
	bool whole;       /* all of it is here, and the owner may know */
	uint64_t bytes, got, granted;
	uint8_t *data;    /* [bytes], from the pool */
};

/* Who keeps this rank's input. */
struct art_buddy {
	int slot;
	bool kept;        /* it has said so: that stays true in any later epoch */
	bool cannot;      /* it has no memory for it */
	uint64_t sent, granted;
	bool opened;
};

struct art_star; /* a rerun with inputs of lost ranks (stand.c) */
struct art_twotree;

struct art_mirror {
	struct art_deposit *deposits;
	int nbuddy;
	struct art_buddy buddy[ART_BUDDIES_MAX];
	uint32_t nstand;  /* what was decided for the present epoch */
	struct art_stand *stand;
	struct art_star *star;
};

struct art_op {
	struct art_comm *comm;
	uint64_t seq;
	struct art_op *prev, *next; /* coll->active */
	struct art_call call;
	enum art_coll way;       /* the collective that it runs as: BARRIER .. ALLREDUCE */
	size_t elsize, bytes;
	uint32_t sig;
	int root;                /* slot, -1 */
	enum art_op_state state;
	bool entered, held, returned, done, released, refused, active, nofail;
	bool uniform;            /* the caller is told when it is stable, not before (outcome.c) */
	uint8_t algo;            /* what is set for it (core.h): part of its signature */
	bool ordered;            /* parts are combined in one fixed shape, whatever else (shape.c) */
	bool late;               /* decided DELIVER, and had from shared memory meanwhile (change.c) */
	bool pulled_late;        /* returned early, then decided DELIVER: outcome still wanted */
	bool alone;              /* failed by this rank's own reasoning (its root was lost before) */
	bool named;              /* a named decision was about it */
	bool asked;              /* a named decision was asked for */
	struct art_plea {
		int code, a, b;  /* code 0: none */
	} plea;                  /* to be asked for when there is memory */
	uint64_t again_ns;       /* when to try again what lacked memory, 0: nothing */
	uint32_t epoch;          /* it runs in this epoch; older messages have no effect */
	uint32_t replays;
	uint64_t low;            /* lowest `done` mark seen in this attempt */
	uint64_t deadline_ns, started_ns, asked_ns;
	bool reply_due;          /* who.c: answers are coming in, */
	bool name_due;           /* and then the missing are named */
	struct art_set *entered_by; /* who answered what when it was asked (who.c); or NULL */
	/* the outcome */
	int code;
	uint32_t out_epoch, out_replays;
	uint32_t told_epoch, told_replays; /* of the attempt from which it returned early */
	const struct art_set *contributors, *blamed;
	bool stands;             /* DELIVER was decided once: that call stands for good (rule R12); */
	uint32_t stands_sig;     /* its signature, its root, and the epoch of the outcome: what a */
	uint32_t stands_epoch;   /* rank that called, or calls, otherwise is told */
	int stands_root;
	struct art_set *returned_set; /* for a rerun: must be leaves */
	int spare_code;          /* failed by policy, and decided since: so, for what no loss fails */
	uint32_t spare_epoch;
	const struct art_set *spare_blamed;
	int holder;              /* DELIVER: who has it */
	uint8_t foreseen;        /* enum art_res, 0: none */
	bool pull_told;          /* the holder's record has come */
	/* memory */
	const uint8_t *input;    /* own contribution: sendbuf, or the saved copy */
	uint8_t *saved;          /* library memory: input or result kept for others, or NULL */
	size_t saved_cap;
	bool saved_is_result, saved_is_input;
	const uint8_t *acc;      /* partial result of this attempt */
	struct art_early *early; /* messages of this op that wait for their turn */
	struct art_work *work;   /* a user function is running on it */
	int nstale;              /* and others, of attempts that are over */
	int nlent;               /* messages whose bodies are still to be read out of its memory (lend.c) */
	bool lends;              /* there were some, and the port has not been told that it is over */
	struct art_comm *child;  /* what the op makes: waits unmade until the op is held (comm_ops.c) */
	uint64_t *table;         /* of an op that makes one: what its ranks say, mine and everyone's */
	bool idle;               /* the machine has nothing more to send or to receive */
	bool by_two;
	bool forgotten;          /* out of the communicator's ring, kept for its caller */
	uint8_t policy;
	uint64_t pulled;         /* PULLING: bytes of the payload that are here */
	uint8_t *scratch;        /* library memory that acc points into, or NULL */
	struct art_rd rd;
	struct art_treeop *tree; /* this, or that, or neither: recursive doubling */
	struct art_ring *ring;
	union {
		struct art_steps *steps;
		struct art_twotree *two; /* if by_two: twotree.c */
	};
	struct art_mirror *mirror; /* under ART_LOSS_MIRROR; or NULL */
	bool arena;              /* it runs in memory that all share (arena.c): */
	bool quick;              /* begun the short way, this is its first attempt (quick.c) */
	bool arena_undecided;    /* nothing is put down yet, it may have to go by messages */
	bool hosted;             /* by messages, but inside this host (leaders.c) */
	bool arena_full;         /* FROZEN until its slot is free */
	uint64_t arena_seen;     /* positions whose inputs are there */
	unsigned arena_looks;    /* for them */
	int arena_given;         /* 1 + position of a rank that has the result for all (given.c); 0: none */
	uint64_t arena_at;       /* the flag they carry */
	size_t arena_slot;       /* where in each part they are */
	struct art_bulk {        /* one that goes there piece by piece (bulk.c): */
		bool on, claimed; /* it is; my part is free for it */
		bool owes;        /* others who doze are to be told that all shares are made */
		uint8_t phase;
		uint64_t piece;   /* the present one */
		uint64_t at;      /* bytes of it that are done in this phase */
		uint64_t seen;    /* positions that have got as far as this phase wants */
		uint64_t looks;   /* in vain, in a row */
	} bulk;
	uint64_t hope_ns;        /* over here: until when it may become stable before it is kept; 0: no.
				  * Once, whatever becomes of the attempt */
	bool hope_over;          /* it did not */
	bool recycled;
	struct art_op *all_next; /* from here on kept over reuse */
	uint8_t inlined[ART_INLINE] __attribute__((aligned(16)));
};

/* A user function at work, with memory of its own: no rerun reuses it (rule R5). */
struct art_work {
	struct art_job job;
	struct art_work *next;   /* of all there are */
	struct art_op *op;
	uint32_t epoch;
	bool stale;              /* the attempt it belongs to is over */
	bool parked;             /* finished while frozen: counts only if the freeze spares the op */
	struct art_call call;
	size_t bytes;
	uint8_t *in, *inout;
};

/* The contributors of everything computed in one epoch. */
struct art_cset {
	struct art_cset *next;
	uint32_t epoch;
	bool blame;
	struct art_set set;
};

/* What became of an op that returned before its outcome was certain and had an unusual one: it was
 * run again, or failed. For statuses read after it was forgotten; the newest ART_ODDS_MAX are kept. */
#define ART_ODDS_MAX 256
struct art_odd {
	struct art_odd *next;
	uint64_t seq;
	bool told; /* to the communicator's callback, or it need not be */
	struct art_outcome out;
};

/* A communicator's callback (notify.c). */
struct art_notify {
	art__news_fn *fn;        /* NULL: not any more */
	void *arg;
	struct art_set told;     /* slots whose loss is no news */
	bool out;                /* the job is queued or running: what follows is its own */
	struct art_job job;
	art__news_fn *call;
	void *call_arg;
	struct art_news news;
};

#define ART_GONE 64
#define ART_WM_KIDS 16

struct art_comm {
	struct art_ops *coll;
	struct art_comm *next;
	uint64_t id;
	bool made;       /* false: being made, others may have it already */
	bool unmade;     /* its making failed */
	bool freed;      /* ART_C_FREE was entered */
	int nrank, me;
	int *slots;      /* [nrank] */
	int *rank_of;    /* [job size], -1 */
	int policy, flags;
	uint8_t algo[ART_C_ALLREDUCE + 1]; /* what is set, for ops that start now, */
	bool chosen;                       /* any of these is not AUTO, or: */
	const struct art_tuned *tuned;     /* and what was measured for as many ranks; NULL: nothing */
	uint64_t next_seq;
	uint64_t stable;
	uint64_t forgot;       /* ops up to here are out of memory (catches up in tidy) */
	uint64_t done_mark;    /* everything up to here is done at this rank */
	struct art_op **ring;  /* op seq at seq & (cap - 1) */
	uint32_t ring_cap;
	uint64_t top_seq;      /* highest seq in the ring */
	uint32_t nlog;         /* unstable ops done here */
	size_t log_bytes;
	/* live participants of epoch view.base, in rank order */
	uint32_t part_epoch;
	bool part_valid;
	int npart, mypos;
	bool torn;             /* some of them do not reach each other directly, says the view */
	int nhost;             /* how many hosts they are on */
	struct art_arena_room room; /* where in shared memory its ops go; .slots 0: nowhere */
	bool leaders;          /* only as far as they go inside this host (leaders.c), and if */
	enum art_arena_state near_state; /* its participants here can share memory */
	struct art_near_use {
		uint64_t flag, bytes; /* for which attempt `in` was used last; 0: none */
		int reader;           /* slot; -1: all of this host */
	} near_use;
	int channel;           /* which that is (channel.c); the world has one of its own */
	enum art_arena_state arena_state; /* can those share memory? */
	bool arena_log_full;   /* an op waits for the log: look what is stable */
	uint64_t arena_free;   /* slots of ops up to here are read by nobody any more */
	uint64_t bulk_last;    /* the last op for which something was put into `in` or `out` */
	int *part;             /* slots; behind them as many ints to count with */
	struct art_cset *csets;
	struct art_odd *odds;  /* newest first */
	uint32_t nodds;
	uint64_t odds_from;    /* of ops up to here some record was dropped: who asks is told so */
	struct art_early *early; /* of ops not entered here, in order of arrival */
	struct art_notify *notify; /* NULL: nobody wants to know */
	/* stability wave */
	uint32_t nnamed;       /* unstable ops that a named decision was about */
	int unreleased;        /* ops whose callers still look at them */
	struct art_comm *dirty_next; /* coll->dirty */
	bool dirty;
	int wm_parent, wm_nkid;
	int wm_kid[ART_WM_KIDS];
	uint64_t wm_val[ART_WM_KIDS];  /* their reports */
	uint64_t wm_told[ART_WM_KIDS]; /* what they were told to be stable */
	uint64_t wm_reported;
	uint64_t wm_common;    /* stable, and everybody has been told so or is about to be */
	size_t wm_bytes;       /* of ops done since the last report that are not known to be stable */
	size_t wm_last;        /* and of the last one, if an allreduce after it would tell */
	uint64_t wm_urgent;    /* report as soon as this is done; */
	uint64_t wm_hurry;     /* and what is up to here by the data channel */
	uint64_t wm_said;      /* two ranks: what the first has told the second of itself, */
	uint64_t wm_above;     /* and what the second has heard of it */
};

struct art_ops {
	const struct art_env *env;
	const struct art_port *port;
	struct art_ft *ft;
	struct art_core_cfg cfg;
	struct art_pool pool;
	uint8_t *room;           /* scratch of a plan that is over, for the next one (steps.c); or NULL */
	size_t room_bytes;
	struct art_comm *comms;
	struct art_comm *world;
	struct art_op *active;
	struct art_op *free_ops, *all_ops;
	size_t op_bytes;
	struct art_comm nowhere; /* of ops whose communicator has ended */
	struct art_serve *serves;
	struct art_work *works;
	struct art_early *parked; /* came while frozen */
	uint32_t lost_epoch;      /* of messages for which there was no memory: a view up to it mends nothing */
	bool frozen;
	struct art_set unanswered; /* ranks that did not answer a question: is there a way to them? */
	bool *blocked;           /* [size] no room towards this slot */
	size_t *early_bytes;     /* [size] kept of this slot's messages that came before their time */
	struct art_gone {
		uint64_t id, last; /* and the last op: it is stable, or nobody would have ended it */
	} gone[ART_GONE];        /* communicators ended lately, for whoever has not heard yet */
	uint32_t ngone;
	const struct art_arena *arena; /* NULL: none */
	uint8_t *arena_scratch;  /* for partial results: so many bytes */
	size_t arena_hand;       /* of each hand (port->spread) */
	uint32_t *nudged;        /* [size] the `doze` for which this slot was nudged last */
	uint32_t doze;           /* as others see it: odd, they shall nudge this rank */
	bool arena_log_full;     /* so does an op of some communicator */
	uint32_t channels;       /* of the own part, those that a communicator has, */
	uint32_t channels_had;   /* and that one ever had */
	const struct art_op *offer; /* to which the others are offered now, or NULL */
	bool arena_moved;        /* an op got on, in pieces; */
	bool arena_more;         /* and could at once get further */
	bool arena_asks;         /* it is about to doze off, and asks who is in arrears */
	struct art_comm *dirty;  /* something of these finished: memory may be let go at the end of
				  * the event */
};

#ifdef ART_TEST_MUTANTS
#define ART_COLL_MUTANT(c, n) ((c)->cfg.mutant >> (n) & 1)
#else
#define ART_COLL_MUTANT(c, n) 0
#endif
#define ART_COLL_QUICK_MUTANTS (UINT64_C(1) << 31) /* those of quick.c */

/* ---- coll.c: the whole ---- */
int art__coll_init(struct art_ops *c, const struct art_env *env, const struct art_port *port,
		   const struct art_core_cfg *cfg, struct art_ft *ft);
void art__coll_fini(struct art_ops *c);
int art__coll_start(struct art_ops *c, struct art_comm *comm, const struct art_call *call,
		    uint64_t deadline_ns, struct art_op **out);
int art__coll_refuse(struct art_ops *c, struct art_comm *comm, int code);
uint32_t art__coll_signature(const struct art_call *call);
void art__coll_data(struct art_ops *c, int from, const struct art_hdr *h, const uint8_t *body);
void art__coll_ctl(struct art_ops *c, int from, const struct art_hdr *h);
void art__coll_room(struct art_ops *c, int to);
void art__coll_tick(struct art_ops *c, uint64_t now);
uint64_t art__coll_wake(struct art_ops *c);
void art__coll_fate(struct art_ops *c, int code);
void art__coll_tidy(struct art_ops *c);

/* ---- comm.c ---- */
const struct art_gone *art__comm_gone(const struct art_ops *c, uint64_t id);
struct art_comm *art__comm_find(struct art_ops *c, uint64_t id);
struct art_comm *art__comm_new(struct art_ops *c, uint64_t id, int nrank);
void art__comm_make(struct art_comm *comm, const int *slots, int policy);
void art__comm_end(struct art_comm *comm);
uint64_t art__comm_child_id(uint64_t parent, uint64_t seq, uint64_t colour);
static inline void art__comm_soil(struct art_comm *m) /* it wants tidying */
{
	if (m->dirty)
		return;
	m->dirty = true;
	m->dirty_next = m->coll->dirty;
	m->coll->dirty = m;
}
void art__comm_count_parts(struct art_comm *comm);
static inline void art__comm_parts(struct art_comm *m) /* refresh participants */
{
	if (!m->part_valid || m->part_epoch != m->coll->ft->view.base)
		art__comm_count_parts(m);
}
const struct art_set *art__comm_contributors_new(struct art_comm *comm, uint32_t epoch);

static inline const struct art_set *art__comm_contributors(struct art_comm *m, uint32_t epoch)
{
	const struct art_cset *s = m->csets;

	return s && s->epoch == epoch && !s->blame ? &s->set : art__comm_contributors_new(m, epoch);
}

const struct art_set *art__comm_keep_set(struct art_comm *comm, uint32_t epoch, bool blame,
					 const struct art_set *s);
void art__comm_live(const struct art_comm *comm, struct art_set *out);

/* ---- comm_ops.c: ops that make or change communicators ---- */
static inline bool art__comm_op(const struct art_op *op) /* none of the others is asked here */
{
	return op->call.kind >= ART_C_DUP;
}
bool art__comm_op_expect(struct art_op *op, const struct art_call *call); /* false: no memory */
void art__comm_op_effect(struct art_op *op);  /* the op is held */
void art__comm_op_drop(struct art_op *op);    /* it failed: nothing is made */
void art__comm_op_free(struct art_op *op);    /* memory that the call did not bring */

/* ---- op.c: life of an op ---- */
static inline struct art_op *art__op_find(const struct art_comm *m, uint64_t seq)
{
	if (seq <= m->stable || seq > m->top_seq)
		return NULL;
	return m->ring[seq & (m->ring_cap - 1)];
}
struct art_op *art__op_make(struct art_comm *comm, uint64_t seq); /* NULL: no memory */
void art__op_begin(struct art_op *op);
void art__op_run(struct art_op *op); /* the part of it that any policy has */
void art__op_go(struct art_op *op);
void art__op_step(struct art_op *op);
void art__op_retry(struct art_op *op); /* messages that had to wait: again */
void art__op_reset(struct art_op *op);
void art__op_activate(struct art_op *op);
void art__op_deactivate(struct art_op *op);
/* Sends a segment, which may be left to be read where it lies (lend.c). As art_port.send. */
int art__op_lend(struct art_op *op, int slot, const struct art_hdr *h, const void *body, size_t len);
/* What of these bytes goes to @slot may stay where it is. */
bool art__op_lends_to(const struct art_op *op, int slot, const void *body, size_t len);
/* The caller is going to have the memory again, or nobody is going to look at what was lent of it. */
void art__op_take_back(struct art_op *op);
/* All that is lent, of all ops: a decision is about every one of them. */
void art__coll_recall(struct art_ops *c);
bool art__coll_lends(const struct art_ops *c);
void art__coll_returned(struct art_ops *c, struct art_op *op);
/* As art_machine_ops.place. */
uint8_t *art__coll_place(struct art_ops *c, int from, const struct art_hdr *h, struct art_lending *in);
void art__op_forget(struct art_op *op);
void art__op_free_all(struct art_ops *c);
bool art__op_is_frozen(const struct art_op *op);
void art__op_dispatch(struct art_op *op, int from, const struct art_hdr *h, const uint8_t *body);
void art__op_computed(struct art_op *op, struct art_work *w);

/* ---- outcome.c: how an op ends ---- */
void art__op_hold(struct art_op *op);      /* outcome: success, computed in op->epoch */
void art__op_fail(struct art_op *op, int code, uint32_t epoch, const struct art_set *blamed);
void art__op_delivered(struct art_op *op);
void art__op_spare(struct art_op *op);
static inline bool art__op_failed_by_policy(const struct art_op *op)
{
	return op->held && op->code == ART_ERR_PROC_FAILED;
}
void art__op_ask(struct art_op *op, int code, int a, int b); /* for a named decision */
void art__op_again(struct art_op *op);
void art__op_mismatch(struct art_op *op, int with);
void art__op_return_early(struct art_op *op); /* reduce non-root: my part is safe */
bool art__op_waits(const struct art_op *op); /* for others, as far as its caller can tell */
bool art__op_gives(const struct art_op *op); /* it holds a bcast, and is still handing it out */
void art__op_settle(struct art_op *op);    /* tell the caller if nothing stands against it */
void art__op_note_odd(struct art_op *op);
void art__op_lacks_memory(struct art_op *op); /* it is tried again a little later */

/* ---- notify.c: news for the application ---- */
bool art__notify_set(struct art_comm *comm, art__news_fn *fn, void *arg);
void art__notify_go(struct art_comm *comm); /* there may be news; only if it has a callback */
void art__notify_told(struct art_job *job);

/* ---- keep.c: what outlives the call ---- */
bool art__op_save(struct art_op *op, const void *p, bool result);
const uint8_t *art__op_payload(const struct art_op *op);
bool art__op_retain(struct art_op *op);    /* keep what others may need; false: not now */
static inline bool art__op_hopes(const struct art_op *op) /* to be stable before it has to be kept */
{
	return op->hope_ns && op->idle && !op->done;
}
int art__hope_look(struct art_ops *c); /* where there is no arena; answers as art__arena_peek() does */
bool art__hope_give_up(struct art_ops *c);  /* nobody is going to look; true: some had hoped */

/* ---- send.c: messages out ---- */
static inline uint16_t art__lag(uint64_t seq, uint64_t low)
{
	return seq - low < ART_LAG_UNKNOWN ? (uint16_t)(seq - low) : ART_LAG_UNKNOWN;
}
static inline uint16_t art__op_lag(const struct art_op *op)
{
	return art__lag(op->seq, op->low);
}
static inline void art__op_low(struct art_op *op, uint64_t seq, uint16_t lag)
{
	uint64_t low = lag == ART_LAG_UNKNOWN || lag > seq ? op->comm->stable : seq - lag;

	if (low < op->low)
		op->low = low;
}
void art__op_low_from_root(struct art_op *op, const struct art_hdr *h); /* of a bcast */
int art__op_send(struct art_op *op, int slot, uint8_t phase, uint64_t off, const void *body,
		 size_t len);
/* A stretch of a stream in messages of @each bytes, the last one maybe of less: how much of it went out. */
size_t art__op_send_run(struct art_op *op, int slot, uint8_t phase, uint64_t off, const uint8_t *body,
			size_t len, size_t each);
void art__op_credit(struct art_op *op, int slot, uint8_t phase, uint64_t upto);
/* What @slot may have under way to this rank, ART_WINDOW or @narrow bytes if there is a ring between them. */
uint64_t art__op_window(const struct art_op *op, int slot, uint64_t narrow);
void art__tx_init(const struct art_op *op, struct art_tx *tx, int slot, uint8_t phase);
/* Sends what may be sent of base[tx->sent, upto); true when all of it is out. */
bool art__tx_push(struct art_op *op, struct art_tx *tx, const uint8_t *base, uint64_t upto);

/* ---- early.c: messages before their time ---- */
void art__early_keep(struct art_ops *c, struct art_early **list, enum art_chan chan, int from,
		     const struct art_hdr *h, const uint8_t *body);
void art__early_free(struct art_ops *c, struct art_early *e);
void art__early_drop(struct art_ops *c, struct art_early **list);
void art__early_comm(struct art_comm *comm, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body);
void art__early_claim(struct art_op *op);      /* the communicator's, for this op: dispatch */
void art__early_retry(struct art_ops *c, struct art_comm *comm); /* all of it again */

/* ---- the machines ---- */
enum art_take { ART_TAKEN, ART_NOT_YET, ART_IGNORED };
void art__rd_begin(struct art_op *op);
int art__rd_partners(struct art_comm *comm, int *slot);
void art__rd_step(struct art_op *op);
enum art_take art__rd_data(struct art_op *op, int from, const struct art_hdr *h,
			   const uint8_t *body);
bool art__tree_begin(struct art_op *op); /* false: out of memory */
void art__tree_computed(struct art_op *op, struct art_work *w);
void art__rd_computed(struct art_op *op, struct art_work *w);
void art__tree_step(struct art_op *op);
enum art_take art__tree_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body);
void art__tree_credit(struct art_op *op, int from, const struct art_hdr *h);
void art__tree_end(struct art_op *op);
/* Where a message goes that comes down, if it may be put there before. */
uint8_t *art__tree_place(struct art_op *op, int from, const struct art_hdr *h);
bool art__tree_shape(struct art_op *op); /* shape.c; false: out of memory */
bool art__shape_torn(const struct art_comm *m);
bool art__shape_any_order(const struct art_op *op);

bool art__ring_begin(struct art_op *op); /* false: out of memory */
void art__ring_step(struct art_op *op);
enum art_take art__ring_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body);
void art__ring_credit(struct art_op *op, int from, const struct art_hdr *h);
void art__ring_end(struct art_op *op);

bool art__steps_begin(struct art_op *op); /* false: out of memory */
void art__steps_step(struct art_op *op);
enum art_take art__steps_data(struct art_op *op, int from, const struct art_hdr *h,
			      const uint8_t *body);
void art__steps_credit(struct art_op *op, int from, const struct art_hdr *h);
void art__steps_end(struct art_op *op);
uint32_t art__plan_most(const struct art_op *op); /* plan.c: hops of each kind, at most */
void art__plan_make(struct art_op *op); /* into op->steps */

/* ---- choose.c: which of them ---- */
/* For the participants of its epoch; torn: some of these do not reach each other. */
enum art_algo art__choose_usual(const struct art_op *op);
enum art_algo art__choose_torn(const struct art_op *op);
static inline enum art_algo art__choose(const struct art_op *op)
{
	return op->comm->torn ? art__choose_torn(op) : art__choose_usual(op);
}
/* A communicator on which anything is set: what that is for an op that starts, and its mark in its
 * signature. */
void art__choose_set(struct art_op *op);
bool art__choose_any(const struct art_comm *m);

/* ---- mirror.c: inputs kept by buddies ---- */
enum { ART_P_MIRROR = 2 }; /* art.h's ART_LOSS_MIRROR */
/* False: nothing has to be kept before it begins, nor stands anybody in. */
bool art__mirror_begin(struct art_op *op);
void art__mirror_step(struct art_op *op);
enum art_take art__mirror_data(struct art_op *op, int from, const struct art_hdr *h,
			       const uint8_t *body);
enum art_take art__mirror_credit(struct art_op *op, int from, const struct art_hdr *h);
/* Another rank's input, for an op that may not have been called here. */
void art__mirror_on_deposit(struct art_comm *comm, int from, const struct art_hdr *h,
			    const uint8_t *body);
const struct art_deposit *art__mirror_find(const struct art_op *op, int owner); /* whole ones only */
/* What a RERUN has decided (NULL, 0: nobody stands in). False: no memory. */
bool art__mirror_decided(struct art_op *op, const struct art_stand *stand, uint32_t n);
bool art__mirror_stands(const struct art_op *op, int slot); /* does this lost slot count? */
const struct art_set *art__mirror_contributors(struct art_op *op);
bool art__mirror_report(const struct art_op *op, const struct art_set *proposed,
			struct art_flush *out); /* lines of a PROMISE */
void art__mirror_free(struct art_op *op);

/* ---- stand.c: a rerun in which members stand in for lost ranks ---- */
bool art__star_begin(struct art_op *op); /* false: no memory */
void art__star_step(struct art_op *op);
enum art_take art__star_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body);
void art__star_credit(struct art_op *op, int from, const struct art_hdr *h);
void art__star_computed(struct art_op *op, struct art_work *w);
void art__star_end(struct art_op *op);

/* ---- work.c: combining ---- */
enum art_work_now { ART_WORK_DONE, ART_WORK_LATER, ART_WORK_NOMEM };
/* out = left o right for @bytes; user functions go to a job: the op is stepped when it is done, with
 * its result in the work that art__op_computed() gets. */
enum art_work_now art__work_combine(struct art_op *op, const uint8_t *left, const uint8_t *right,
				    uint8_t *out, size_t bytes);
void art__work_computed(struct art_ops *c, struct art_job *job);
void art__work_abandon(struct art_op *op);
void art__work_free_all(struct art_ops *c);
void art__work_thaw(struct art_op *op);

/* ---- deliver.c: outcomes to those who lack them ---- */
void art__deliver_pull(struct art_op *op);
void art__deliver_on_pull(struct art_ops *c, int from, const struct art_hdr *h);
void art__deliver_on_outcome(struct art_ops *c, int from, const struct art_hdr *h,
			     const uint8_t *body);
void art__deliver_step(struct art_ops *c);
void art__deliver_drop(struct art_ops *c, const struct art_op *op);

/* ---- stable.c ---- */
void art__stable_done(struct art_op *op);       /* an op is done here: marks and reports */
uint64_t art__stable_low(const struct art_comm *comm);
void art__stable_learn(struct art_comm *comm, uint64_t seq); /* everything up to seq is stable */
void art__stable_decided(struct art_comm *comm, uint64_t seq); /* a decision says so */
void art__stable_learn_here(struct art_comm *comm, uint64_t seq); /* the others need not know */
void art__stable_heard(struct art_op *op); /* what the attempt that is held has heard of marks */
void art__stable_view(struct art_comm *comm);   /* the view changed */
void art__stable_again(struct art_comm *comm);  /* a control connection broke */
void art__stable_on_wmark(struct art_comm *comm, int from, const struct art_hdr *h);
void art__stable_tell_gone(struct art_ops *c, int to, const struct art_hdr *asked);
void art__stable_on_stable(struct art_comm *comm, int from, const struct art_hdr *h);
void art__stable_bye(struct art_op *op);        /* finalize is held: tell the neighbours */
void art__stable_on_bye(struct art_comm *comm, const struct art_hdr *h);
void art__stable_tidy(struct art_comm *comm);   /* forget what is stable */
void art__stable_urge(struct art_comm *comm, uint64_t seq);
void art__stable_hurry(struct art_comm *comm, uint64_t seq);
void art__stable_urge_all(struct art_comm *comm, uint64_t seq);
void art__stable_recount(struct art_comm *comm);

/* ---- change.c: the view changed (client of ft) ---- */
void art__coll_freeze(void *self);
bool art__coll_report(void *self, bool full, const struct art_set *proposed,
		      const struct art_named *named, uint32_t n, struct art_flush *out);
bool art__coll_wanted(void *self, const struct art_named *n);
void art__coll_install(void *self, const struct art_value *v);

void art__change_deliver(struct art_op *op); /* an entered op whose outcome others hold */
bool art__change_be_odd(struct art_op *op);  /* entered otherwise than what stands: fails */

/* ---- describe.c ---- */
struct art_report;
void art__coll_describe(const struct art_ops *c, struct art_report *r);
size_t art__comm_bytes(const struct art_comm *comm); /* of its state, without its ops */

/* ---- explain.c ---- */
/* @v is installed, its ops are not resolved yet. Times of the env's clock, 0: not known. */
void art__explain_call(const struct art_op *op, bool over);
void art__coll_explain(const struct art_ops *c, const struct art_value *v, uint64_t sign_ns,
		       uint64_t frozen_ns);

/* ---- who.c: who keeps an op waiting ---- */
const char *art__who_kind(enum art_coll kind);
/* Sorts the participants by what they answered when asked; false: nobody was asked yet, and the
 * sets are as they were. */
bool art__who_missing(const struct art_op *op, struct art_set *entered, struct art_set *missing);
void art__who_on_who(struct art_ops *c, int from, const struct art_hdr *h);
void art__who_on_reply(struct art_ops *c, int from, const struct art_hdr *h);
uint64_t art__who_wake(const struct art_op *op);
void art__who_tick(struct art_op *op, uint64_t now);

#include "coll/arena.h" /* the rest, of ops in memory that ranks share */

#endif
