/* SPDX-License-Identifier: MIT
 *
 * A decision, for people who read the log afterwards: who left and on what evidence, how long it
 * took, and what became of each op. Only at level info; reads, and changes nothing.
 */
#include <stdio.h>

#include <art/art.h>

#include "base/trace.h"
#include "coll/coll.h"

#define RANKS_SHOWN 16
#define OPS_SHOWN 32
#define EDGES_SHOWN 8

/* "3 (certified dead), 5 (told to leave)" */
static void name_lost(const struct art_ft *ft, char *out, size_t size)
{
	size_t n = 0;
	int shown = 0;

	snprintf(out, size, "nobody");
	for (uint32_t i = 0; i < ft->size && n < size; i++) {
		if (art__set_has(&ft->view.members, i) || ft->lost_epoch[i] != ft->view.epoch)
			continue;
		if (shown++ == RANKS_SHOWN) {
			snprintf(out + n, size - n, ", ...");
			return;
		}
		n += (size_t)snprintf(out + n, size - n, "%s%u (%s)", n ? ", " : "", i,
				      art__set_has(&ft->dead, i) ? "certified dead" :
								   "told to leave");
	}
}

/* An op was called here, or its caller can have the outcome. */
void art__explain_call(const struct art_op *op, bool over)
{
	struct art_trace t = {
		.kind = over ? ART_TRACE_LEAVE : ART_TRACE_ENTER,
		.comm = op->comm->id,
		.seq = op->seq,
		.bytes = op->bytes,
		.rank = -1,
		.code = op->code,
		.epoch = op->held ? op->out_epoch : op->epoch,
		.n = op->held ? op->out_replays : op->replays,
	};

	art__trace_put(op->comm->coll->env, &t, art__who_kind(op->call.kind));
}

static void trace_decision(const struct art_ops *c, const struct art_value *v)
{
	static const char *const what[] = {
		[ART_RES_DELIVER] = "is done: fetched from its holder",
		[ART_RES_RERUN] = "runs again",
		[ART_RES_FAIL] = "fails",
		[ART_RES_SETTLED] = "is done by all",
	};
	const struct art_ft *ft = c->ft;

	for (uint32_t i = 0; i < ft->size; i++) {
		struct art_trace t = {.kind = ART_TRACE_LEFT, .rank = (int32_t)i, .epoch = ft->view.epoch};

		if (v->full && !art__set_has(&ft->view.members, i) && ft->lost_epoch[i] == ft->view.epoch)
			art__trace_put(c->env, &t,
				       art__set_has(&ft->dead, i) ? "certified dead" : "told to leave");
	}
	for (uint32_t i = 0; i < v->nres; i++) {
		const struct art_resolution *r = &v->res[i];
		struct art_trace t = {
			.kind = ART_TRACE_RESOLVED,
			.comm = r->comm,
			.seq = r->seq,
			.epoch = ft->view.epoch,
			.rank = r->res == ART_RES_DELIVER ? (int32_t)r->holder : -1,
			.code = r->res == ART_RES_FAIL ? r->code : 0,
		};
		char name[ART_TRACE_NAME];

		snprintf(name, sizeof(name), "%s %s", art__who_kind((enum art_coll)r->kind), what[r->res]);
		art__trace_put(c->env, &t, name);
	}
}

static void explain_op(const struct art_ops *c, const struct art_resolution *r)
{
	const char *kind = art__who_kind((enum art_coll)r->kind);
	unsigned long long seq = r->seq, comm = r->comm;
	uint32_t epoch = c->ft->view.epoch;

	if (r->res == ART_RES_DELIVER)
		art__env_log(c->env, ART_LOG_INFO, "view %u: %s %llu (comm %016llx) is done: rank %u "
			     "has the result", epoch, kind, seq, comm, r->holder);
	else if (r->res == ART_RES_RERUN)
		art__env_log(c->env, ART_LOG_INFO, "view %u: %s %llu (comm %016llx) runs again among "
			     "the members", epoch, kind, seq, comm);
	else if (r->res == ART_RES_SETTLED)
		art__env_log(c->env, ART_LOG_INFO, "view %u: %s %llu (comm %016llx) is done by all",
			     epoch, kind, seq, comm);
	else
		art__env_log(c->env, ART_LOG_INFO, "view %u: %s %llu (comm %016llx) fails: %s", epoch,
			     kind, seq, comm, art_strerror(r->code));
}

static double ms(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns > from_ns ? (double)(to_ns - from_ns) * 1e-6 : 0;
}

void art__coll_explain(const struct art_ops *c, const struct art_value *v, uint64_t sign_ns,
		       uint64_t frozen_ns)
{
	const struct art_view *view = &c->ft->view;
	char lost[RANKS_SHOWN * 32];
	uint64_t now;

	if (c->env->trace)
		trace_decision(c, v);
	if (c->env->log_level < ART_LOG_INFO)
		return;
	now = art__env_now(c->env);
	name_lost(c->ft, lost, sizeof(lost));
	if (v->full)
		art__env_log(c->env, ART_LOG_INFO, "view %u: %u members, left: %s; %.3f ms after the "
			     "first sign, frozen for %.3f ms", view->epoch,
			     art__set_count(&view->members), lost, ms(sign_ns, now),
			     ms(frozen_ns, now));
	else
		art__env_log(c->env, ART_LOG_INFO, "view %u: the members stay, %u operations were "
			     "decided by name", view->epoch, v->nres);
	for (uint32_t i = 0; i < v->edges.n && i < EDGES_SHOWN; i++)
		art__env_log(c->env, ART_LOG_INFO, "view %u: operations go round the dead edge between the "
			     "hosts of ranks %u and %u", view->epoch, v->edges.e[i].a, v->edges.e[i].b);
	for (uint32_t i = 0; i < v->nres && i < OPS_SHOWN; i++)
		explain_op(c, &v->res[i]);
	if (v->nres > OPS_SHOWN)
		art__env_log(c->env, ART_LOG_INFO, "view %u: and %u operations more", view->epoch,
			     v->nres - OPS_SHOWN);
}
