/* SPDX-License-Identifier: MIT
 *
 * Names of rare branches. Protocol code says ART_MARK(env, ART_M_...) where it takes one, and a
 * campaign asserts that every mark was hit. To add one, append a line here.
 */
#ifndef ART_BASE_MARKS_H
#define ART_BASE_MARKS_H

/* How an op was resolved by a view change, by op and loss policy. The order is arithmetic, see
 * art__mark_resolution(). */
#define ART_MARK_LIST_RESOLUTION(X, r) \
	X(r##_BARRIER_EXCLUDE) \
	X(r##_BARRIER_ERROR) \
	X(r##_BCAST_EXCLUDE) \
	X(r##_BCAST_ERROR) \
	X(r##_REDUCE_EXCLUDE) \
	X(r##_REDUCE_ERROR) \
	X(r##_ALLREDUCE_EXCLUDE) \
	X(r##_ALLREDUCE_ERROR)

/* Rare branches of the detector: tests/sim/silence asserts these, tests/sim/campaign the others. */
#define ART_MARK_LIST_DETECTOR(X) \
	X(HOST_CONDEMNED)     /* a host was silent beyond the bound, and enough agreed */ \
	X(VERDICTS_BATCHED)   /* several hosts were condemned at one moment */ \
	X(OUTVOTED)           /* one observer found a host silent, another heard it */ \
	X(ISOLATED)           /* nobody at all was heard any more */ \
	X(PROBE_ANSWERED)     /* a host that had been silent answered a probe */ \
	X(WATCHED_ON_DEMAND)  /* a host none of ours to observe was watched: somebody waits for it */ \
	X(AGENT_TAKEOVER)     /* a rank speaks for its host because those below it are silent */ \
	X(LAG_FORGIVEN)       /* this rank ran late, and blamed nobody for it */ \
	X(DOUBT)              /* it had been silent itself too long, and asked */ \
	X(DOUBT_CLEARED)      /* and was still a member */ \
	X(STOPPED_EVICTED)    /* a process of this host was stopped beyond the bound */ \
	X(CERTIFICATE_ASKED)  /* a connection ended, and the peer's host was asked for its death */ \
	X(CERTIFICATE_GIVEN)  /* and knew of it */ \
	X(TRUST_AGAIN)        /* a suspect spoke while there was no quorum without it */ \
	X(EDGE_DEAD)          /* a member that others hear was not reached */ \
	X(RELAYED)            /* and a message for it went through a third */ \
	X(RELAY_REFUSED)      /* which did not reach it, either */ \
	X(EDGE_BACK)          /* the direct way was taken again */ \
	X(EDGE_ASKED)         /* a view that did not know of a dead edge was changed for it */ \
	X(WENT_ROUND)         /* a tree of hosts went round a dead edge */ \
	X(PAIRS_LEFT)         /* an op that would have sent over it between pairs took the tree */

#define ART_MARK_LIST(X) \
	ART_MARK_LIST_RESOLUTION(X, DELIVER) \
	ART_MARK_LIST_RESOLUTION(X, RERUN) \
	ART_MARK_LIST_RESOLUTION(X, FAIL) \
	X(BALLOT_ADOPTED)     /* a proposer found an accepted value and took it over */ \
	X(PROPOSER_TAKEOVER)  /* another member proposes because the leader is lost */ \
	X(TWO_LEVELS)         /* a proposer had others pass on what it says */ \
	X(NACKED)             /* a ballot was refused for a higher one */ \
	X(OLD_EPOCH_DROPPED)  /* a frame older than its op's epoch was dropped */ \
	X(FUTURE_PARKED)      /* a frame of an epoch not installed here was parked */ \
	X(EVICTED_BY_DEAD)    /* a rank learned it from the certificate of one who knew */ \
	X(ARBITER_ASKED)      /* exactly half the members asked the arbiter for its vote */ \
	X(ARBITER_DECIDED)    /* and had it in both phases */ \
	X(EVICTED_TOLD)       /* a rank outside the view was told that it is evicted */ \
	X(NO_QUORUM)          /* a rank gave up waiting for a quorum */ \
	X(PLACED)             /* a body was put into the receive buffer before its message came */ \
	X(UNPLACED)           /* an attempt ended while one was to come there */ \
	X(EARLY_FRAME)        /* a frame came for an op not entered here yet */ \
	X(LOG_FULL)           /* a return waited for room in the log */ \
	X(NOT_KEPT)           /* a large payload that went by messages was stable before it was kept */ \
	X(KEPT_LATE)          /* or was not in time */ \
	X(ORPHAN_RESOLUTION)  /* a decision resolved an op that this rank has not entered */ \
	X(ARENA_LATE)         /* an outcome that is held elsewhere was had from shared memory */ \
	X(MISMATCH_SEEN)      /* calls under one number did not match, and somebody saw it */ \
	X(QUICK)              /* a plain op was over in one go, */ \
	X(QUICK_LATER)        /* or had begun so and waited */ \
	X(ARENA_GIVEN)        /* somebody had combined it for all */ \
	X(ARENA_HELD)         /* an op ended in shared memory, with messages or without */ \
	X(ARENA_OLD_EPOCH)    /* what a slot holds is of an older attempt of the op */ \
	X(BULK_RESTS)         /* what could be done of a large op was left until another asks */ \
	X(BULK_OVER)          /* a large op ended there, in pieces */ \
	X(BULK_WAITS)         /* its part was still in use for an earlier one */ \
	X(BULK_HELPED)       /* of a payload that went in pieces several hands combined a share */ \
	X(ARENA_NUDGED)       /* somebody had put something down while this rank did not look */ \
	X(ARENA_FULL)         /* a call waited for a slot that somebody still read */ \
	X(ARENA_UNDECIDED)    /* a call came before every rank had said whether it can share memory */ \
	X(ARENA_WITHOUT)      /* one could not, and the call went by messages after all */ \
	X(LEADERS_GOT)        /* what a leader had from other hosts came out of its slot */ \
	X(LEADERS_PULLED)     /* or came out of its `in`, in pieces */ \
	X(LEADERS_WAIT)       /* somebody still read from there what an earlier op had */ \
	X(LEADERS_FULL)       /* a call waited until the op that had its slot was stable */ \
	X(CHANNEL_TAKEN)      /* a new communicator was given a channel of shared memory */ \
	X(CHANNEL_AGAIN)      /* that another had had before */ \
	X(CHANNEL_NONE)       /* or none, as there is none that all have free */ \
	X(SELF_EVICTED)       /* this rank learned that it is not a member any more */ \
	ART_MARK_LIST_DETECTOR(X)

enum art_mark {
#define ART_MARK_ENUM(name) ART_M_##name,
	ART_MARK_LIST(ART_MARK_ENUM)
#undef ART_MARK_ENUM
	ART_M_COUNT
};

#define ART_M_DETECTOR ART_M_HOST_CONDEMNED /* the first of the detector's */

/* @resolution: 0 DELIVER, 1 RERUN, 2 FAIL; @op: 0 barrier, 1 bcast, 2 reduce, 3 allreduce;
 * @loss: the communicator's policy, 0 EXCLUDE, 1 ERROR. */
static inline enum art_mark art__mark_resolution(unsigned resolution, unsigned op, unsigned loss)
{
	return (enum art_mark)(resolution * 8 + op * 2 + loss);
}

_Static_assert(ART_M_DELIVER_BARRIER_EXCLUDE == 0, "art__mark_resolution() starts here");
_Static_assert(ART_M_RERUN_BCAST_ERROR == 11, "art__mark_resolution() counts so");
_Static_assert(ART_M_FAIL_ALLREDUCE_ERROR == 23, "art__mark_resolution() ends here");

/* The name without its ART_M_, or "?". */
const char *art__mark_name(enum art_mark m);

#endif
