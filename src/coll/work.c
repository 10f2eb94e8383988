/* SPDX-License-Identifier: MIT
 *
 * Combining two partial results. Built-in operators run here and now; a user function becomes a
 * job for a thread of the application, in memory of its own, so that a freeze never waits for it
 * and a rerun never meets what it writes (rules R5, R11).
 */
#include <art/status.h>

#include "coll/coll.h"
#include "coll/spread.h"

static void run(struct art_job *job)
{
	struct art_work *w = job->arg[0];

	w->call.fn(w->in, w->inout, job->count, w->call.type_handle, w->call.ctx);
}

static void release(struct art_ops *c, struct art_work *w)
{
	struct art_work **p = &c->works;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	art__pool_put(&c->pool, w->in);
	art__pool_put(&c->pool, w->inout);
	art__pool_put(&c->pool, w);
}

static bool start_job(struct art_op *op, const uint8_t *left, const uint8_t *right,
				   size_t bytes)
{
	struct art_ops *c = op->comm->coll;
	struct art_work *w = art__pool_get(&c->pool, sizeof(*w));

	if (!w)
		return false;
	memset(w, 0, sizeof(*w));
	w->next = c->works;
	c->works = w;
	w->in = art__pool_get(&c->pool, bytes);
	w->inout = art__pool_get(&c->pool, bytes);
	if (!w->in || !w->inout) {
		release(c, w);
		return false;
	}
	memcpy(w->in, left, bytes);
	memcpy(w->inout, right, bytes);
	w->op = op;
	w->epoch = op->epoch;
	w->call = op->call;
	w->bytes = bytes;
	w->job.op = op;
	w->job.run = run;
	w->job.arg[0] = w;
	w->job.count = bytes / op->elsize;
	op->work = w;
	c->port->compute(c->port->self, &w->job);
	return true;
}

/* Without memory the op cannot go on, here and therefore anywhere. */
static enum art_work_now no_memory(struct art_op *op)
{
	art__op_ask(op, ART_ERR_NOMEM, op->comm->coll->cfg.slot, -1);
	return ART_WORK_NOMEM;
}

enum art_work_now art__work_combine(struct art_op *op, const uint8_t *left, const uint8_t *right,
				    uint8_t *out, size_t bytes)
{
	if (!bytes)
		return ART_WORK_DONE;
	if (op->call.fn)
		return start_job(op, left, right, bytes) ? ART_WORK_LATER : no_memory(op);
	if (bytes < ART_SPREAD_LEAST)
		art__combine(op->call.op, op->call.type, left, right, out, bytes / op->elsize);
	else
		art__spread_combine(op->comm->coll->port, op->call.op, op->call.type, left, right, out,
				    bytes / op->elsize);
	return ART_WORK_DONE;
}

/* The attempt is over; the function may still be running in its own memory. */
void art__work_abandon(struct art_op *op)
{
	struct art_work *w = op->work;

	op->work = NULL;
	if (!w)
		return;
	if (w->parked) {
		release(op->comm->coll, w);
		return;
	}
	w->stale = true;
	op->nstale++;
}

/* The freeze is over and the attempt goes on. */
void art__work_thaw(struct art_op *op)
{
	struct art_work *w = op->work;

	if (!w || !w->parked)
		return;
	op->work = NULL;
	art__op_computed(op, w);
	release(op->comm->coll, w);
}

void art__work_computed(struct art_ops *c, struct art_job *job)
{
	struct art_work *w = job->arg[0];
	struct art_op *op = w->op;

	if (w->stale) {
		release(c, w);
		op->nstale--;
		art__comm_soil(op->comm);
		art__op_settle(op); /* the caller was kept until the function had ended */
		return;
	}
	if (art__op_is_frozen(op)) {
		w->parked = true; /* a frozen rank completes nothing */
		return;
	}
	op->work = NULL;
	art__op_computed(op, w);
	release(c, w);
}

/* The rank ends; no job is running any more. */
void art__work_free_all(struct art_ops *c)
{
	while (c->works)
		release(c, c->works);
}
