/* SPDX-License-Identifier: MIT
 *
 * The frame of every call on a communicator: enter (one compare-and-swap), start the op, wait for
 * it, take its outcome, leave (one store). What an op does is core's business.
 */
#include "api/api.h"

#include <assert.h>

int art__api_find(struct art_here *h, const char *name, art_comm_t comm)
{
	uint64_t value = art__api_value(comm);

	h->ctx = atomic_load_explicit(&art__api_job, memory_order_acquire);
	h->name = name;
	h->comm = comm;
	if (!h->ctx)
		return art__api_error(NULL, ART_ERR_COMM, name,
				      "called before art_init() or after art_finalize()");
	h->obj = value == ART_H_WORLD ? &h->ctx->world : art__handle_find(ART_H_COMM, value);
	if (h->obj)
		return 0;
	if (!value)
		return art__api_error(h->ctx, ART_ERR_COMM, name, "the communicator is ART_COMM_NULL");
	return art__api_error(h->ctx, ART_ERR_COMM, name,
			      "%#llx is no communicator, or was freed", (unsigned long long)value);
}

int art__api_enter(struct art_here *h, const char *name, art_comm_t comm)
{
	int rc = art__api_find(h, name, comm);

	if (rc)
		return rc;
	art__engine_enter(h->ctx->engine);
	if (h->obj->core)
		return 0;
	/* Another thread freed it just now. */
	art__engine_leave(h->ctx->engine);
	return art__api_error(h->ctx, ART_ERR_COMM, name, "the communicator was freed");
}

void art__api_leave(struct art_here *h)
{
	art__engine_leave(h->ctx->engine);
}

bool art__api_op_done(void *op)
{
	return art__op_done(op);
}

static uint64_t deadline(const struct art_here *h)
{
	double s = h->obj->deadline_s;

	if (s <= 0)
		return ART_NEVER;
	return art__env_now(&h->ctx->env) + (uint64_t)(s * 1e9);
}

static int start(struct art_here *h, const struct art_call *call, struct art_op **op)
{
	uint64_t seq = art__comm_next_seq(h->obj->core);
	int rc = art__core_start(h->ctx->core, h->obj->core, call, deadline(h), op);
	bool again;

	if (!rc)
		return 0;
	assert(rc < 0);
	again = rc == ART_ERR_NOMEM && !art__core_fate(h->ctx->core) &&
		art__comm_next_seq(h->obj->core) == seq;
	art__api_leave(h);
	return art__api_error(h->ctx, rc, h->name, "%s%s", art_strerror(rc),
			      again ? " (too many operations in flight: wait for some, then call again)" :
				      "");
}

struct quick {
	struct art_core *core;
	struct art_op *op;
};

static bool look(void *arg)
{
	const struct quick *q = arg;

	return art__core_look(q->core, q->op);
}

/* True: it was over at once, and there is nothing else for the engine to see to. */
static bool over_at_once(struct art_here *h, struct art_op *op)
{
	struct quick q = {h->ctx->core, op};

	if (!art__core_quick(q.core) || h->ctx->notifies)
		return false;
	return art__op_done(op) || art__engine_try(h->ctx->engine, look, &q);
}

int art__api_run_dup(struct art_here *h, const struct art_call *call, struct art_comm **child)
{
	char why[ART_WHY_MAX];
	struct art_op *op;
	int rc = start(h, call, &op);
	bool quiet;

	if (rc)
		return rc;
	quiet = over_at_once(h, op);
	if (!quiet && !art__op_done(op))
		art__engine_wait(h->ctx->engine, art__api_op_done, op);
	if (h->ctx->notifies)
		art__engine_jobs(h->ctx->engine);
	if (child)
		*child = art__op_child(op);
	rc = art__api_finish(h->ctx, art__api_value(h->comm), op, NULL, true, why);
	if (quiet)
		art__engine_leave_quietly(h->ctx->engine);
	else
		art__api_leave(h);
	return rc ? art__api_error(h->ctx, rc, h->name, "%s", why) : 0;
}

int art__api_run(struct art_here *h, const struct art_call *call)
{
	return art__api_run_dup(h, call, NULL);
}

int art__api_start(struct art_here *h, const struct art_call *call, art_request_t *req)
{
	struct art_request_obj *r;
	uint64_t value;
	int rc;

	if (!req)
		return art__api_refuse(h, ART_ERR_ARG, "the pointer for the request is null");
	r = art__handle_new(ART_H_REQUEST, &value);
	if (!r)
		return art__api_refuse(h, ART_ERR_NOMEM, "no memory for a request");
	rc = start(h, call, &r->op);
	if (rc) {
		art__handle_free(value);
		return rc;
	}
	r->comm = art__api_value(h->comm);
	r->name = h->name;
	art__handle_publish(value);
	art__api_leave(h);
	*req = (art_request_t)(uintptr_t)value;
	return 0;
}
