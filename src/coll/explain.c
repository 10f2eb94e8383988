/* SPDX-License-Identifier: MIT
 *
 * A decision, for people who read the log afterwards: who left and on what evidence, how long it
 * took, and what became of each op. Only at level info; reads, and changes nothing.
 */
#include <stdio.h>

#include <art/art.h>

#include "coll/coll.h"

#define RANKS_SHOWN 16
#define OPS_SHOWN 32

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
	for (uint32_t i = 0; i < v->nres && i < OPS_SHOWN; i++)
		explain_op(c, &v->res[i]);
	if (v->nres > OPS_SHOWN)
		art__env_log(c->env, ART_LOG_INFO, "view %u: and %u operations more", view->epoch,
			     v->nres - OPS_SHOWN);
}
