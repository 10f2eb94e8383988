/* SPDX-License-Identifier: MIT
 *
 * News of a communicator for its application: which ranks were lost, and which ops failed here after
 * they had returned (rule R1). One piece of news is under way at a time, as a job for a thread of
 * the application, so that nothing is allocated when something is lost; what has not been told is
 * found again from the view and from the records of late failures.
 *
 *   quiet --a rank left, an op failed late--> out (job queued, running) --told--> next piece, or quiet
 */
#include <assert.h>

#include <art/status.h>

#include "coll/coll.h"

static void run(struct art_job *job)
{
	struct art_notify *n = job->arg[1];

	n->call(n->call_arg, &n->news);
}

static bool is_lost(const struct art_comm *m, int slot)
{
	return !art__set_has(&m->coll->ft->view.members, (uint32_t)slot);
}

static bool next_loss(struct art_comm *m, struct art_notify *n)
{
	for (int r = 0; r < m->nrank; r++) {
		int slot = m->slots[r];

		if (!is_lost(m, slot) || art__set_has(&n->told, (uint32_t)slot))
			continue;
		art__set_add(&n->told, (uint32_t)slot);
		n->news = (struct art_news){ .kind = ART_NEWS_LOST, .slot = slot,
					     .epoch = m->coll->ft->lost_epoch[slot] };
		return true;
	}
	return false;
}

/* The oldest that was not told; the list has the newest first. */
static bool next_late(struct art_comm *m, struct art_notify *n)
{
	struct art_odd *late = NULL;

	for (struct art_odd *o = m->odds; o; o = o->next)
		if (!o->told)
			late = o;
	if (!late)
		return false;
	late->told = true;
	n->news = (struct art_news){ .kind = ART_NEWS_LATE, .slot = -1, .epoch = late->out.epoch,
				     .seq = late->seq, .out = late->out };
	return true;
}

void art__notify_go(struct art_comm *m)
{
	struct art_notify *n = m->notify;

	if (!n->fn || n->out || !m->made || !(next_loss(m, n) || next_late(m, n)))
		return;
	n->out = true;
	n->call = n->fn;
	n->call_arg = n->arg;
	n->job = (struct art_job){ .run = run, .arg = { m, n } };
	m->coll->port->compute(m->coll->port->self, &n->job);
}

void art__notify_told(struct art_job *job)
{
	struct art_comm *m = job->arg[0];

	assert(m->notify->out);
	m->notify->out = false;
	art__notify_go(m);
	art__comm_soil(m); /* it may have waited for this to end */
}

/* What is known already is no news. */
bool art__notify_set(struct art_comm *m, art__news_fn *fn, void *arg)
{
	struct art_notify *n = m->notify;

	if (!n && !fn)
		return true;
	if (!n) {
		n = art__env_zalloc(m->coll->env, sizeof(*n));
		if (!n)
			return false;
		m->notify = n;
	}
	if (!n->fn) {
		art__set_init(&n->told, (uint32_t)m->coll->cfg.size);
		for (int r = 0; r < m->nrank; r++)
			if (is_lost(m, m->slots[r]))
				art__set_add(&n->told, (uint32_t)m->slots[r]);
		for (struct art_odd *o = m->odds; o; o = o->next)
			o->told = true;
	}
	n->fn = fn;
	n->arg = arg;
	return true;
}
