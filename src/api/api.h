/* SPDX-License-Identifier: MIT
 *
 * What the files of the API share: the process's one job (the only mutable globals of the library
 * live in this folder), the frame every call runs in, and errors in words.
 */
#ifndef ART_API_API_H
#define ART_API_API_H

#include <art/art.h>
#include <stdatomic.h>

#include "api/config.h"
#include "api/handles.h"
#include "base/env.h"
#include "core/core.h"
#include "engine/engine.h"
#include "launch/boot.h"

#define ART_PREFIX_MAX 32

struct art_ctx {
	struct art_env env;
	struct art_config config;
	struct art_boot boot;
	struct art_engine *engine;
	struct art_port port; /* the core keeps a pointer to it */
	struct art_core *core;
	struct art_comm_obj world;
	int rank, size;
	bool notifies; /* some communicator has had a callback: calls look for news before they end */
	struct art_near {
		pid_t *pid;    /* [ranks] of the processes of this host */
		int ranks, me; /* this one's place among them */
		int cores;     /* they may use so many together; 0: not known */
	} near;
	uint64_t *incarnation; /* [size], of the processes that made this job */
	_Atomic bool finalizing;
};

/* The job, NULL before art_init() and after the last art_finalize(). */
extern struct art_ctx *_Atomic art__api_job;

/* A call under way: what its errors name, and the communicator it works on. */
struct art_here {
	struct art_ctx *ctx;
	const char *name;
	art_comm_t comm;
	struct art_comm_obj *obj;
};

static inline uint64_t art__api_value(const void *handle)
{
	return (uint64_t)(uintptr_t)handle;
}

/* ---- errors.c ---- */
/* Says what is wrong as ART_ERRORS asks for, and returns @code (or ends the job). Without a job
 * @ctx is NULL. Not to be called while owning the engine. */
int art__api_error(struct art_ctx *ctx, int code, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Leaves the communicator's op to fail at every member with @code (rule R12), gives the engine
 * back, says what is wrong, returns @code. */
int art__api_refuse(struct art_here *h, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* One line on standard error, prefixed with library and rank. */
void art__api_say(const struct art_ctx *ctx, const char *line);

/* ---- calls.c ---- */
/* Finds job and communicator and takes the engine. On an error the engine is not held. */
int art__api_enter(struct art_here *h, const char *name, art_comm_t comm);
void art__api_leave(struct art_here *h);
/* Finds job and communicator only. */
int art__api_find(struct art_here *h, const char *name, art_comm_t comm);
/* The three below own the engine on entry and have given it back on return. */
int art__api_run(struct art_here *h, const struct art_call *call);
/* As above; *child is the new communicator of a dup. */
int art__api_run_dup(struct art_here *h, const struct art_call *call, struct art_comm **child);
int art__api_start(struct art_here *h, const struct art_call *call, art_request_t *req);
/* For waiting: is @op done? */
bool art__api_op_done(void *op);

/* ---- outcome.c ---- */
/* The end of an op in a call, owning the engine: its status to *status and, if @last, to the
 * thread's last status of the communicator; the op is released. The text of a failure goes to
 * @why ("" on success). Its code. */
#define ART_WHY_MAX 256
int art__api_finish(struct art_ctx *ctx, uint64_t comm, struct art_op *op, art_status_t *status,
		    bool last, char why[ART_WHY_MAX]);
/* The status of an operation that ended before, as it is known now. */
void art__api_status_of(const struct art_ctx *ctx, uint64_t comm, uint64_t seq,
			const struct art_outcome *o, art_status_t *status);
/* Forgets the calling thread's last statuses. */
void art__api_forget_statuses(void);

/* ---- workers.c ---- */
/* Lets the engine have threads that help, where the settings want some and there may be cores for them. */
int art__api_workers(struct art_ctx *ctx, const struct art_boot_card *cards);

/* ---- comms.c ---- */
/* Runs an op that makes a communicator; owns the engine on entry, as art__api_run(). */
int art__api_make(struct art_here *h, const struct art_call *call, art_comm_t *out);

/* ---- job.c ---- */
/* Asks the launcher to end the job and ends this process. */
void art__api_abort(struct art_ctx *ctx, int code) __attribute__((noreturn));

#endif
