/* SPDX-License-Identifier: MIT
 *
 * What a rank has to tell of its past: fixed-size events, written into a ring in a file that is mapped,
 * so that a rank that is killed has left them all behind. Protocol code hands them to env->trace, which
 * is NULL unless somebody asked for a trace; artrun --trace makes one picture of all ranks' files.
 */
#ifndef ART_BASE_TRACE_H
#define ART_BASE_TRACE_H

#include <stdint.h>

#include "base/env.h"

enum art_trace_kind {
	ART_TRACE_ENTER = 1, /* an op was called here: name, comm, seq, bytes */
	ART_TRACE_LEAVE,     /* the caller can have its outcome: also code, epoch, n = replays */
	ART_TRACE_CHANGE,    /* a phase of a change of the view, from begin_ns to t_ns: name, epoch, n members */
	ART_TRACE_STEP,      /* a step of the protocol: name, epoch */
	ART_TRACE_SIGN,      /* why a rank is to leave: rank, name = the evidence */
	ART_TRACE_LEFT,      /* it has left: rank, name = how it is known, epoch */
	ART_TRACE_RESOLVED,  /* what was decided of an op: comm, seq, epoch; rank = the holder, code */
};

#define ART_TRACE_NAME 48

struct art_trace {
	uint64_t t_ns; /* env clock */
	uint64_t begin_ns;
	uint64_t comm, seq, bytes;
	uint32_t epoch, n;
	int32_t code, rank;
	uint32_t kind; /* enum art_trace_kind */
	uint32_t unused;
	char name[ART_TRACE_NAME];
};

/* In front of the ring, in the byte order of the host. */
struct art_trace_head {
	char magic[8]; /* ART_TRACE_MAGIC */
	uint32_t version, event_bytes;
	int32_t rank, size, pid;
	uint32_t capacity; /* events in the ring */
	uint64_t count;    /* events written so far; the last @capacity of them are there */
	int64_t wall_ns;   /* add to the env clock for the time since 1970 */
	char host[72];
};

#define ART_TRACE_MAGIC "ARTtrace"
#define ART_TRACE_VERSION 1
#define ART_TRACE_EVENTS (1u << 14) /* a rank's ring, in a large job less: */
#define ART_TRACE_EVENTS_JOB (1u << 21)

_Static_assert(sizeof(struct art_trace) == 112 && sizeof(struct art_trace_head) == 120, "layout of trace files");

/* Writes into a file of its own in @directory from now on; *why says what is wrong otherwise, and
 * nothing is traced. By the owner of the engine, like everything that traces. */
int art__trace_open(struct art_env *e, const char *directory, int rank, int size, const char **why);
void art__trace_close(struct art_env *e);

/* t_ns 0: now. A name that is too long is cut. */
void art__trace_put(const struct art_env *e, struct art_trace *t, const char *name);

#endif
