/* SPDX-License-Identifier: MIT
 *
 * ART, the Active Reduction Tree: collective operations that finish even when nodes die.
 *
 * Errors. Every call returns ART_SUCCESS (0) or a negative ART_ERR_* (status.h); outputs are
 * written on success only. With ART_ERRORS=warn (the default) an error is also one line on
 * stderr; ART_ERRORS=return keeps quiet; ART_ERRORS=abort ends the job. Besides the codes it
 * lists, any collective may return ART_ERR_COMM, ART_ERR_MISMATCH, ART_ERR_TIMEOUT,
 * ART_ERR_NO_QUORUM, ART_ERR_EVICTED, ART_ERR_NOMEM, ART_ERR_TRANSPORT and, with ART_LOSS_ERROR,
 * ART_ERR_PROC_FAILED; each is the same at every member, unless noted.
 *
 * Counts are elements, sizes are bytes, times are seconds (double), ranks are ranks of the
 * communicator given. Buffers belong to the caller and may be reused when the call returns
 * (nonblocking: when art_wait() or art_test() says it is done). Receive buffers are scratch
 * during a call and undefined after an error. A null buffer is fine at count 0, and a null
 * receive buffer off the root.
 *
 * Threads. Any thread may call; calls on one communicator queue, in the order in which they
 * come. art_init() and art_finalize() are called while no other ART call runs.
 *
 * When a member dies in the middle of a collective, the call completes on the survivors: alike
 * at all of them, every survivor's contribution in the result exactly once, a lost rank's
 * entirely or not at all (art_status_contributed() tells which).
 */
#ifndef ART_ART_H
#define ART_ART_H

#include <stddef.h>
#include <stdint.h>

#include <art/options.h>
#include <art/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ART_API __attribute__((visibility("default")))
#else
#define ART_API
#endif

/* Handles: 64-bit values of distinct pointer types, checked and never dereferenced. 0 is null.
 * Layout: kind << 56 | generation << 24 | index; predefined ones have generation 0. */
typedef struct art_comm_s *art_comm_t;
typedef struct art_type_s *art_type_t;
typedef struct art_op_s *art_op_t;
typedef struct art_request_s *art_request_t;

#define ART__HANDLE(type, kind, index) ((type)(uintptr_t)(((uint64_t)(kind) << 56) | (index)))

#define ART_COMM_NULL ((art_comm_t)0)
#define ART_COMM_WORLD ART__HANDLE(art_comm_t, 1, 1)
#define ART_REQUEST_NULL ((art_request_t)0)
#define ART_TYPE_NULL ((art_type_t)0)
#define ART_OP_NULL ((art_op_t)0)
/* As sendbuf of allreduce (every rank) and reduce (the root): the input is in recvbuf. */
#define ART_IN_PLACE ((void *)1)

#define ART_BYTE ART__HANDLE(art_type_t, 2, 1)
#define ART_INT8 ART__HANDLE(art_type_t, 2, 2)
#define ART_INT16 ART__HANDLE(art_type_t, 2, 3)
#define ART_INT32 ART__HANDLE(art_type_t, 2, 4)
#define ART_INT64 ART__HANDLE(art_type_t, 2, 5)
#define ART_UINT8 ART__HANDLE(art_type_t, 2, 6)
#define ART_UINT16 ART__HANDLE(art_type_t, 2, 7)
#define ART_UINT32 ART__HANDLE(art_type_t, 2, 8)
#define ART_UINT64 ART__HANDLE(art_type_t, 2, 9)
#define ART_FLOAT ART__HANDLE(art_type_t, 2, 10)
#define ART_DOUBLE ART__HANDLE(art_type_t, 2, 11)
#define ART_LONG_DOUBLE ART__HANDLE(art_type_t, 2, 12)
#define ART_FLOAT_COMPLEX ART__HANDLE(art_type_t, 2, 13)
#define ART_DOUBLE_COMPLEX ART__HANDLE(art_type_t, 2, 14)
/* Value-index pairs for ART_MINLOC and ART_MAXLOC: struct {value; index;} as the compiler lays
 * it out. */
#define ART_FLOAT_INT32 ART__HANDLE(art_type_t, 2, 15)
#define ART_DOUBLE_INT32 ART__HANDLE(art_type_t, 2, 16)
#define ART_INT32_INT32 ART__HANDLE(art_type_t, 2, 17)
#define ART_INT64_INT64 ART__HANDLE(art_type_t, 2, 18)
/* IEEE 754 half precision and bfloat16, two bytes each (_Float16, __bf16 or uint16_t in a program);
 * combined in single precision, each result rounded to even. */
#define ART_FLOAT16 ART__HANDLE(art_type_t, 2, 19)
#define ART_BFLOAT16 ART__HANDLE(art_type_t, 2, 20)

#define ART_SUM ART__HANDLE(art_op_t, 3, 1)
#define ART_PROD ART__HANDLE(art_op_t, 3, 2)
#define ART_MIN ART__HANDLE(art_op_t, 3, 3)
#define ART_MAX ART__HANDLE(art_op_t, 3, 4)
#define ART_LAND ART__HANDLE(art_op_t, 3, 5)
#define ART_LOR ART__HANDLE(art_op_t, 3, 6)
#define ART_LXOR ART__HANDLE(art_op_t, 3, 7)
#define ART_BAND ART__HANDLE(art_op_t, 3, 8)
#define ART_BOR ART__HANDLE(art_op_t, 3, 9)
#define ART_BXOR ART__HANDLE(art_op_t, 3, 10)
#define ART_MINLOC ART__HANDLE(art_op_t, 3, 11)
#define ART_MAXLOC ART__HANDLE(art_op_t, 3, 12)

/* 64 opaque bytes for ever: the outcome of one operation. */
typedef struct art_status {
	uint64_t opaque[8];
} art_status_t;
#define ART_STATUS_IGNORE ((art_status_t *)0)

/* What a communicator does when a member is lost during an operation. */
typedef enum art_loss {
	ART_LOSS_EXCLUDE = 0, /* finish without it, unless someone already holds the result with it */
	ART_LOSS_ERROR = 1,   /* every survivor gets ART_ERR_PROC_FAILED */
	ART_LOSS_MIRROR = 2,  /* a buddy keeps each contribution first: a lost rank still counts */
} art_loss_t;

/* User reduction function: inout = in o inout, `in` from the lower rank. Called with the whole
 * count of the call unless the operator is ART_OP_ELEMENTWISE; any number of times; only on a
 * thread that is inside an ART call of this rank, or on a worker if ART_OP_THREAD_SAFE. It must
 * not call ART. */
typedef void art_op_fn(const void *in, void *inout, size_t count, art_type_t type, void *ctx);
enum {
	ART_OP_COMMUTATIVE = 1,
	ART_OP_ELEMENTWISE = 2, /* may be called on any slice of the elements */
	ART_OP_THREAD_SAFE = 4
};

/* ---- job ---- */
/* Joins the job that artrun started, or makes a job of one. Both arguments may be null; they are
 * not changed. May be called again (nests); each call wants its art_finalize(). */
ART_API int art_init(int *argc, char ***argv);
/* As art_init(), with settings of the program's own (options.h); they win over environment and
 * configuration files. @options may be NULL and is the caller's again on return. When the process
 * is in its job already, options that give anything are refused. ART_ERR_ARG, with a sentence: a
 * value, a line of a file or @options->size that is not understood; nothing was begun then. */
ART_API int art_init_with(int *argc, char ***argv, const art_options_t *options);
/* Leaves the job when every operation is stable. Collective over the survivors. */
ART_API int art_finalize(void);
/* Ends every process of the job; artrun exits with @code. Does not return. */
ART_API int art_abort(art_comm_t comm, int code);
ART_API int art_get_version(int *major, int *minor, int *patch);
/* Text for a status code; never NULL, static storage. Any thread, any time. */
ART_API const char *art_strerror(int code);

/* ---- communicators ---- */
ART_API int art_comm_rank(art_comm_t comm, int *rank);
/* Never changes: lost ranks keep their numbers. art_alive_count() counts the living. */
ART_API int art_comm_size(art_comm_t comm, int *size);
/* Collective. The same ranks (lost slots included) with an operation order of its own.
 *
 * What holds for dup, split and create alike: if a member dies in the middle, every survivor makes
 * the same communicator or gets the same error, and *out is written on success only. The new
 * communicator starts with its parent's loss policy and with the calling rank's deadline there;
 * both can then be set for it alone. It needs nothing of its parent, which may be freed. */
ART_API int art_comm_dup(art_comm_t comm, art_comm_t *out);
/* A colour for whoever is to be in none of the new communicators. */
#define ART_UNDEFINED (-1)
/* Collective. One new communicator for each colour, of the ranks that gave it, ordered by @key and
 * then by rank in @comm. A negative colour gives *out = ART_COMM_NULL. The members are those who
 * contributed to the call (art_last_status() of @comm): who was lost before is in none. */
ART_API int art_comm_split(art_comm_t comm, int color, int key, art_comm_t *out);
/* Collective over @comm. A communicator of these @n ranks of @comm, in this order: rank i of the new
 * one is ranks[i], also if that rank is lost (as in dup). All give the same list, or the call ends
 * with ART_ERR_MISMATCH; who is not in it gets *out = ART_COMM_NULL. ART_ERR_ARG: n < 0, the list is
 * null and n > 0, or a rank in it is none of @comm or stands there twice. The list is the caller's
 * again when the call returns. */
ART_API int art_comm_create(art_comm_t comm, int n, const int ranks[], art_comm_t *out);
/* *out = the rank in @to of what is @rank in @from, ART_UNDEFINED if it is not in @to. Local. */
ART_API int art_comm_translate(art_comm_t from, int rank, art_comm_t to, int *out);
/* The communicator's last operation; returns once entered, open operations go on. */
ART_API int art_comm_free(art_comm_t *comm);
/* Collective. Holds for the operations after it on @comm, and for communicators made of it after it. */
ART_API int art_comm_set_loss(art_comm_t comm, art_loss_t policy);
/* What else a communicator can be asked for. */
enum {
	/* The bits of a reduce's or allreduce's result depend on the contributors alone: not on the tree,
	 * the root, the count, the transport, the timing or the failures survived. Parts are combined in
	 * rank order in a binomial shape over the contributors. (User functions must be deterministic.) */
	ART_REPRODUCIBLE = 1,
	/* A call returns success only when every living member has the outcome: no rank that dies after
	 * it returned can have seen another one than the survivors. Contributors are then never
	 * ART_ERR_PENDING. One wave of acknowledgements longer. */
	ART_UNIFORM = 2,
	/* A reduce whose root is lost ends with success and its result at the lowest live rank, instead of
	 * ART_ERR_ROOT_LOST. Implies ART_UNIFORM; recvbuf is needed at every rank of a reduce, and has the
	 * result at every rank that gets success. */
	ART_ROOT_SUCCESSOR = 4
};
/* Collective. @flags (any of the above, or'ed; 0: none, the default) hold for the operations after it on
 * @comm, and for communicators made of it after it. ART_ERR_ARG: other bits. All ranks give the same,
 * or the call ends with ART_ERR_MISMATCH. */
ART_API int art_comm_set_flags(art_comm_t comm, int flags);
/* Local: operations started by this rank on @comm from now on end with ART_ERR_TIMEOUT when not
 * every rank has entered them @seconds after they started here. 0 or less: no deadline (default).
 * Communicators made of @comm later start with it, those made before keep theirs. */
ART_API int art_comm_set_deadline(art_comm_t comm, double seconds);
/* Local: how operations started by this rank on @comm from now on go between ranks that exchange
 * messages. @op is "bcast", "reduce" or "allreduce", @algorithm a name that ART_COLL_<OP> may have (art(7)),
 * "auto" for what ART_TUNING or, without it, ART itself says. All ranks give the same before the same
 * operation: where they differ, it ends with ART_ERR_MISMATCH. Communicators made of @comm later start
 * with it. Any thread, waits for nobody. ART_ERR_ARG: a null pointer or a name that there is not. */
ART_API int art_comm_set_algorithm(art_comm_t comm, const char *op, const char *algorithm);
/* Collective. One new communicator of the ranks that contributed to the call, ordered as in @comm:
 * who was lost before is not in it, and its size is the number of its members. No loss fails it,
 * whatever the policy of @comm. As for dup, split and create otherwise. */
ART_API int art_comm_shrink(art_comm_t comm, art_comm_t *out);

/* ---- losses ---- */
/* Local view, may differ between ranks for a moment: branch on contributors instead. */
ART_API int art_alive(art_comm_t comm, int rank, int *yes);
ART_API int art_alive_count(art_comm_t comm, int *count);
/* The ranks of @comm that are lost, lowest first: *count of them, and the first @max in ranks[] (the
 * caller's; may be null if @max is 0). A local view like art_alive(). Any thread, waits for nobody.
 * ART_ERR_ARG: a null pointer, or @max < 0. */
ART_API int art_failed(art_comm_t comm, int max, int ranks[], int *count);
/* Collective. *flag = the bitwise and of everybody's *flag, the same at every survivor, as are the
 * contributors (art_last_status()): who is none of them is agreed to have failed. No loss fails it,
 * whatever the policy of @comm; a rank that dies in the middle is in it entirely or not at all.
 * *flag is written on success only. */
ART_API int art_agree(art_comm_t comm, int *flag);
enum {
	ART_NOTICE_LOST = 1,  /* a rank of the communicator was lost */
	ART_NOTICE_FAILED = 2 /* an operation failed that had returned success at this rank */
};
typedef struct art_notice {
	int what;            /* ART_NOTICE_* */
	int rank;            /* LOST: which; FAILED: -1 */
	int code;            /* LOST: ART_ERR_PROC_FAILED; FAILED: the outcome */
	uint64_t epoch;      /* LOST: of the first view without it; FAILED: of the decision */
	uint64_t operation;  /* FAILED: its number, as in messages; LOST: 0 */
	art_status_t status; /* FAILED: of the operation; LOST: of none */
} art_notice_t;
/* @notice is the library's and ends with the call. It may make local calls (art_failed(),
 * art_status_*()), and no collective ones. */
typedef void art_notify_fn(art_comm_t comm, const art_notice_t *notice, void *ctx);
/* Local. From now on @fn hears of every rank of @comm that is lost and of every late failure, each
 * once, one after the other, on a thread of the program that is inside an ART call of any kind that
 * waits or ends an operation. NULL: nothing more is told (a call that another thread has begun may
 * still be running). Not inherited by communicators made of @comm; ends with art_comm_free().
 * ART_ERR_NOMEM: nothing has changed. */
ART_API int art_comm_set_notify(art_comm_t comm, art_notify_fn *fn, void *ctx);
/* This rank's last change of the members, phase by phase: nanoseconds of CLOCK_MONOTONIC, so that the
 * ranks of one host can be compared. What is left of a recovery after installed_ns is carrying out what
 * was decided of open operations. */
typedef struct art_change {
	uint64_t epoch;        /* that it began; 0: there was none yet, and all else is 0 */
	uint64_t sign_ns;      /* the first sign here that somebody must leave */
	uint64_t frozen_ns;    /* from here on nothing moved: this rank had promised to follow a proposer */
	uint64_t decided_ns;   /* the decision came */
	uint64_t installed_ns; /* and was carried out, as far as no messages were needed */
	uint64_t reserved[3];  /* 0 */
} art_change_t;
/* Local; any thread. ART_ERR_ARG: null, ART_ERR_COMM: before art_init or after the last art_finalize. */
ART_API int art_last_change(art_change_t *change);

/* ---- collectives ---- */
ART_API int art_barrier(art_comm_t comm);
ART_API int art_bcast(void *buf, size_t count, art_type_t type, int root, art_comm_t comm);
ART_API int art_reduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
		       int root, art_comm_t comm);
ART_API int art_allreduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type,
			  art_op_t op, art_comm_t comm);
ART_API int art_ibarrier(art_comm_t comm, art_request_t *req);
ART_API int art_ibcast(void *buf, size_t count, art_type_t type, int root, art_comm_t comm,
		       art_request_t *req);
ART_API int art_ireduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
			int root, art_comm_t comm, art_request_t *req);
ART_API int art_iallreduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type,
			   art_op_t op, art_comm_t comm, art_request_t *req);
/* Waits, frees the request, sets *req to ART_REQUEST_NULL; returns the operation's outcome. A
 * null request is done. @status may be NULL. */
ART_API int art_wait(art_request_t *req, art_status_t *status);
/* *done = 1 and as art_wait(), or *done = 0 and the request stays. */
ART_API int art_test(art_request_t *req, int *done, art_status_t *status);
ART_API int art_waitall(int n, art_request_t reqs[], art_status_t statuses[]);

/* ---- operators ---- */
ART_API int art_op_create(art_op_fn *fn, int flags, void *ctx, art_op_t *op);
/* The function and its ctx are not used by operations that have returned at this rank. */
ART_API int art_op_free(art_op_t *op);

/* ---- outcomes ---- */
/* Of the calling thread's last finished blocking operation on @comm. */
ART_API int art_last_status(art_comm_t comm, art_status_t *status);
/* How many ranks' contributions are in the result. ART_ERR_PENDING: not known yet, ask again after a
 * later operation. ART_ERR_ARG: asked so late that it is known no more (see the man page). */
ART_API int art_status_contributors(const art_status_t *status, int *count);
ART_API int art_status_contributed(const art_status_t *status, int rank, int *yes);
/* How often the operation was run again because a member was lost. */
ART_API int art_status_replays(const art_status_t *status, int *replays);
/* The epoch in which the result was computed. */
ART_API int art_status_epoch(const art_status_t *status, uint64_t *epoch);
ART_API int art_status_error(const art_status_t *status, int *code);
/* Was this rank missing, mismatched or lost, so that the operation failed? */
ART_API int art_status_blamed(const art_status_t *status, int rank, int *yes);

#ifdef __cplusplus
}
#endif

#endif
