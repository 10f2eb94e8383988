/* SPDX-License-Identifier: MIT
 *
 * What a machine knows about itself at one moment, for people: who waits in which op for whom. A
 * bounded struct, filled by art_machine_ops.describe() without side effects; status.c sends it to
 * art-info, tests read it. Ranks are slots of the job.
 */
#ifndef ART_ENGINE_REPORT_H
#define ART_ENGINE_REPORT_H

#include "base/edges.h"
#include "base/set.h"

#define ART_REPORT_COMMS 16
#define ART_REPORT_OPS 32

struct art_report_comm {
	uint64_t id;
	bool world;
	int rank, size;      /* in the communicator */
	uint64_t entered;    /* highest sequence number called here */
	uint64_t stable;     /* everything up to here is stable */
	uint32_t log_ops;    /* unstable ops done here, and their bytes */
	size_t log_bytes;
	const char *policy;
	struct art_set slots; /* its ranks */
};

struct art_report_op {
	uint64_t comm, seq;
	const char *kind;    /* "allreduce"; static storage, like all texts here */
	const char *state;
	size_t bytes;
	int root;            /* slot, -1 */
	uint32_t epoch, replays;
	uint64_t started_ns; /* when the wait was first noticed, env clock; 0: not yet */
	bool asked;          /* the others were asked: the two sets below are what they said */
	struct art_set entered, missing;
};

struct art_report {
	int slot, size;
	uint32_t epoch, base;
	struct art_set members;
	struct art_set dead, suspect; /* of the members: certified dead, told to leave */
	struct art_set indirect;      /* of the members: reached through a third one only */
	struct art_edges edges;       /* which the view knows to be dead; hosts by their lowest slots */
	uint64_t relayed;             /* messages of ops that this rank has sent through a third one */
	bool changing;                /* frozen: a decision about the members is under way */
	const char *fate;             /* why this rank can do no more, or NULL */
	/* The detector: silent are members whose hosts were asked whether they live, and have not
	 * answered yet; stopped are those of this host. The times are the longest of each. */
	uint64_t heartbeat_ns, bound_ns; /* 0: nobody is watched */
	int hosts_watched;
	struct art_set silent, stopped;
	uint64_t silent_ns, stopped_ns;
	size_t memory_bytes;          /* of protocol state */
	size_t shared_bytes;          /* own part of the memory that the ranks of the host share, by the engine */
	int ncomm, ncomm_all;         /* described, and all there are */
	int nop, nop_all;             /* open ops: called here and not finished */
	struct art_report_comm comm[ART_REPORT_COMMS];
	struct art_report_op op[ART_REPORT_OPS];
};

#endif
