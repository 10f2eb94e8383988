/* SPDX-License-Identifier: MIT
 *
 * One rank's protocol, whole: communicators and operations (coll), views and decisions (ft),
 * behind one machine (engine/machine.h). No thread, clock, lock or global; whoever owns the
 * engine calls it. The simulator runs thousands of these in one process.
 */
#ifndef ART_CORE_CORE_H
#define ART_CORE_CORE_H

#include "base/set.h"
#include "engine/machine.h"

struct art_core;
struct art_comm;
struct art_op;
struct art_type_s;

/* What a collective call asks for. @kind's values are the op kinds on the wire. */
enum art_coll {
	ART_C_BARRIER = 1, ART_C_BCAST, ART_C_REDUCE, ART_C_ALLREDUCE,
	ART_C_DUP, ART_C_SETLOSS, ART_C_FREE, ART_C_FINALIZE,
	ART_C_SPLIT, ART_C_CREATE,
	ART_C_AGREE,  /* an allreduce that no loss fails: its contributors are who is agreed to be left */
	ART_C_SHRINK, /* a communicator of the contributors */
	ART_C_SETFLAGS,
};

/* What a communicator may be asked for, beside its loss policy (art.h's ART_UNIFORM and so on). */
enum {
	ART_F_REPRODUCIBLE = 1, /* results depend on the contributors alone */
	ART_F_UNIFORM = 2,      /* who returns knows that every member has the outcome */
	ART_F_SUCCESSOR = 4,    /* a reduce survives its root */
	ART_F_ALL = 7
};

typedef void art__user_fn(const void *in, void *inout, size_t count, struct art_type_s *type,
			  void *ctx);

struct art_call {
	enum art_coll kind;
	const void *sendbuf; /* input; == recvbuf for in-place; NULL where there is none */
	void *recvbuf;       /* result (bcast: the buffer, root and others alike) */
	size_t count;        /* elements; ART_C_CREATE: ranks */
	int type;            /* enum art_type_code, 0 for none */
	int op;              /* enum art_op_code, 0 for a user function or none */
	int root;            /* rank in the communicator, -1 for none */
	int loss;            /* ART_C_SETLOSS: the new policy; ART_C_SETFLAGS: ART_F_* */
	int colour, key;     /* ART_C_SPLIT; a negative colour: no communicator for this rank */
	const int *ranks;    /* ART_C_CREATE: [count] different ranks of the parent, read at the start only */
	art__user_fn *fn;    /* user function or NULL */
	void *ctx;
	int flags;           /* ART_OP_* of a user function */
	struct art_type_s *type_handle; /* given to fn */
};

/* How ranks that exchange messages go about it (coll/choose.c). */
enum art_algo {
	ART_ALGO_AUTO,
	ART_ALGO_TREE,     /* k-nomial */
	ART_ALGO_CHAIN,    /* each rank has one neighbour before it and one behind it */
	ART_ALGO_DOUBLING, /* recursive doubling; of at most one message */
	ART_ALGO_RING,     /* reduce-scatter and allgather round a ring */
	ART_ALGO_HALVING,  /* recursive halving, then doubling, or to the root (Rabenseifner) */
	ART_ALGO_SCATTER,  /* a bcast as scatter and allgather */
	ART_ALGO_TWOTREE,  /* two trees, a half of the vector each */
	ART_ALGO_LEADERS,  /* the tree, and in each host what its ranks share */
};

/* What is set for an op: one of these and, above it, how wide a tree is; 0: as usual. */
#define ART_RADIX_MAX 16
static inline uint8_t art__algo_tree(int radix)
{
	return (uint8_t)(ART_ALGO_TREE | (radix - 1) << 4);
}
static inline enum art_algo art__algo_of(uint8_t set)
{
	return (enum art_algo)(set & 15);
}
static inline int art__algo_radix(uint8_t set)
{
	return set >> 4 ? (set >> 4) + 1 : 0;
}

/* What was measured to be best, by size, for a number of ranks (api/tuning.c reads it). */
#define ART_TUNED_LINES 32
#define ART_TUNED_SECTIONS 16
struct art_tuned {
	int ranks, hosts;
	char transport[32];       /* as in ART_TRANSPORT; "" if the table does not say */
	int nline[ART_C_ALLREDUCE + 1];
	struct art_tuned_line {
		uint64_t upto;    /* bytes; grows from line to line */
		uint8_t algo;     /* as below */
	} line[ART_C_ALLREDUCE + 1][ART_TUNED_LINES]; /* [kind of op] */
};
struct art_tuning {
	int nsection;
	struct art_tuned section[ART_TUNED_SECTIONS];
};

/* The section for the number nearest to @nrank; NULL: none is for half to twice as many. */
const struct art_tuned *art__choose_tuned(const struct art_tuning *t, int nrank);

/* Between which ranks data go through a ring of bounded size, and what it does not hold is copied. */
enum art_rings { ART_RINGS_ALL, ART_RINGS_HOST, ART_RINGS_NONE };

struct art_core_cfg {
	int slot, size;
	const int *hosts;         /* [size] host number of each slot; NULL: all on one */
	uint64_t job;
	uint64_t heartbeat_ns;    /* between two heartbeats of a host; 0: nobody is judged by silence */
	uint64_t bound_ns;        /* of silence, and of standing still (500 ms) */
	uint64_t quorum_wait_ns;  /* how long to wait for a quorum (60 s) */
	bool lowest_half;         /* after a split in halves the one with the lowest member goes on */
	uint64_t stall_ns;        /* after which an open op names who is missing (10 s) */
	uint64_t retry_ns;        /* resend of unanswered control messages (20 ms) */
	uint32_t log_ops;         /* unstable ops kept per communicator (64) */
	size_t log_bytes;         /* and their bytes (8 MiB) */
	bool crowded;             /* some host has more ranks than cores; the same at all ranks */
	enum art_rings rings;     /* (ALL) */
	size_t hope[2];           /* payloads from here on are kept only if they are not stable soon (bytes):
				   * of two ranks, of more */
	size_t early_bytes;       /* of one peer's messages before their time (64 MiB) */
	size_t small_max;         /* allreduce by recursive doubling up to here (bytes, <= 64 KiB) */
	size_t halving_min;       /* and by halving from here on (bytes) */
	size_t twotree_min;       /* of ranks that have a host each: by two trees from here on (bytes) */
	int radix;                /* of trees (2) */
	uint8_t algo[ART_C_ALLREDUCE + 1]; /* what is set for each kind of op; the same at all ranks */
	const struct art_tuning *tuning; /* where that says nothing; NULL: none. The same, and not copied */
	size_t ring_segment;      /* bytes of a piece that goes round a ring (32 KiB) */
	int buddies;              /* who keep each input under ART_LOSS_MIRROR (1, at most 3) */
	uint32_t star_max;        /* members to whom a proposer speaks itself (1,000); tests have less */
	uint64_t mutant;          /* test builds only: bit n switches shortcut Mn on */
};
void art__core_defaults(struct art_core_cfg *cfg);

int art__core_create(const struct art_env *env, const struct art_port *port,
		     const struct art_core_cfg *cfg, struct art_core **out);
void art__core_destroy(struct art_core *c);
struct art_machine *art__core_machine(struct art_core *c);
struct art_comm *art__core_world(struct art_core *c);
/* Slots this rank believes in: members of its view not known dead. */
const struct art_set *art__core_members(const struct art_core *c);
uint32_t art__core_epoch(const struct art_core *c);
/* 0, or ART_ERR_EVICTED, _NO_QUORUM, _NOMEM, _TRANSPORT once this rank can do no more. */
int art__core_fate(const struct art_core *c);
/* When this rank's last change of the members went through its phases (env clock). */
struct art_change_times {
	uint32_t epoch; /* 0: there was none */
	uint64_t sign_ns, frozen_ns, decided_ns, installed_ns;
};
const struct art_change_times *art__core_last_change(const struct art_core *c);
/* Bytes of protocol state now allocated for this rank. */
size_t art__core_bytes(const struct art_core *c);

/* Starts one op: takes the communicator's next sequence number. The arguments are good (the API
 * checks). *out is done at once if nothing is to be waited for. Negative: nothing was started.
 * ART_ERR_NOMEM then has two meanings, and art__comm_next_seq() tells them apart: unchanged, too
 * many ops are in flight here and the call may be made again later; one higher, the call took its
 * number and every member's ends with that code, as if it had been refused. */
int art__core_start(struct art_core *c, struct art_comm *comm, const struct art_call *call,
		    uint64_t deadline_ns, struct art_op **out);
/* Did the last art__core_start() go the short way? Until the engine is given up or something else is called,
 * nothing but its op has then changed, and once that is over this rank waits for what it waited for before. */
bool art__core_quick(const struct art_core *c);
/* Of such an op: a look at what it waits for, which costs next to nothing. True: it is done. */
bool art__core_look(struct art_core *c, struct art_op *op);
/* A refused call on a usable communicator (rule R12): takes its sequence number; the outcome
 * becomes FAIL(@code, this rank) at every member. */
int art__core_refuse(struct art_core *c, struct art_comm *comm, int code);

/* What became of an op. Contributor and blame sets hold slots and stay valid until the
 * communicator is freed. */
struct art_outcome {
	int code;                 /* 0 or ART_ERR_* */
	bool pending;             /* returned, but contributors, epoch, replays not known yet */
	bool lapsed;              /* nor ever: it was asked so late that the record is gone */
	uint32_t epoch;
	uint32_t replays;
	const struct art_set *contributors; /* NULL on failure or while pending */
	const struct art_set *blamed;       /* NULL if none */
};
bool art__op_done(const struct art_op *op);
uint64_t art__op_seq(const struct art_op *op);
struct art_comm *art__op_comm(const struct art_op *op);
/* ART_C_DUP, SPLIT, CREATE, done with success: the new communicator; NULL if this rank is in none. */
struct art_comm *art__op_child(const struct art_op *op);
void art__op_outcome(const struct art_op *op, struct art_outcome *out);
/* Under ART_LOSS_MIRROR: the slots that have said to keep this rank's input of an op; of a stable one
 * all that live, who have the outcome. */
void art__op_keepers(const struct art_op *op, struct art_set *out);
/* The caller will not look at @op any more; needs art__op_done(). The op itself lives on in the log
 * until it is stable. */
void art__op_release(struct art_core *c, struct art_op *op);
/* The outcome of an op that may have been forgotten since: @out holds what was read when it
 * returned and is brought up to date. */
void art__comm_outcome(struct art_comm *comm, uint64_t seq, struct art_outcome *out);

/* ---- what a communicator's callback is told ---- */
enum art_news_kind {
	ART_NEWS_LOST = 1, /* a rank is no member any more */
	ART_NEWS_LATE,     /* an op that had ended here with success failed afterwards */
};
struct art_news {
	enum art_news_kind kind;
	int slot;                /* LOST */
	uint32_t epoch;          /* LOST: of the view without it; LATE: of the decision */
	uint64_t seq;            /* LATE */
	struct art_outcome out;  /* LATE; its sets are the communicator's */
};
/* Runs as a job (art_port.compute): on a thread inside an ART call, without the engine. */
typedef void art__news_fn(void *arg, const struct art_news *news);
/* From now on every rank of @comm that leaves the view and every late failure is told to @fn, one after
 * the other, each once. NULL: nothing is, but a call that has begun may still be running. False: no
 * memory, and nothing has changed. */
bool art__core_notify(struct art_core *c, struct art_comm *comm, art__news_fn *fn, void *arg);

/* Ranks and slots. */
int art__comm_rank(const struct art_comm *comm);
int art__comm_size(const struct art_comm *comm);
/* How ops of @kind (BCAST .. ALLREDUCE) that start now go; AUTO: as measured, or by size. Local, but ops
 * whose ranks have different ones end with ART_ERR_MISMATCH. Communicators made later start with it. */
void art__comm_set_algo(struct art_comm *comm, enum art_coll kind, uint8_t algo);
int art__comm_flags(const struct art_comm *comm); /* ART_F_* of the ops that start now */
int art__comm_slot(const struct art_comm *comm, int rank);
int art__comm_rank_of(const struct art_comm *comm, int slot); /* -1: no member */
uint64_t art__comm_id(const struct art_comm *comm);
/* The number that the next op of this rank gets. */
uint64_t art__comm_next_seq(const struct art_comm *comm);

#endif
