/* SPDX-License-Identifier: MIT
 *
 * When a silence is a death, as far as anybody can know:
 *
 *   calm --half the bound--> probed --the bound--> accused --enough agree--> condemned --> verdict
 *    ^        every rank of the silent host is        |  my own vote goes       |  waits up to
 *    |        asked, and its other observers are      |  to the others          |  20 ms for more
 *    +--------any sign of life-----------------------+-------------------------+  of one moment
 *
 * Enough: two of a host's observers, or all of them that are not themselves silent. A host counts
 * as silent when we do not hear it, or when it says for so long that it does not hear us.
 * An observer hears one that this rank does not: then it lives, and the way to it is dead (edge).
 * Whoever hears nobody at all condemns all at once: that is a partition, and a quorum decides
 * who is on the right side of it.
 */
#include <stdio.h>

#include "base/marks.h"
#include "ft/detector.h"

#define BATCH_NS (20 * ART_NS_PER_MS)
#define START_GRACE 10 /* bounds from the start, for hosts that have not spoken yet */

bool art__det_watches(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	return h->place >= 0 && ((h->near && d->acting) || now < h->wanted_ns || h->edge);
}

/* The bound, longer where this rank or that host runs late. */
uint64_t art__det_effective(const struct art_det *d, const struct art_det_host *h)
{
	uint64_t lag = d->lag > h->lag ? d->lag : h->lag;

	return d->bound_ns * (1 + lag);
}

/* It may still be starting. */
static bool unborn(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	return !h->spoke && now < d->start_ns + START_GRACE * d->bound_ns;
}

static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

uint64_t art__det_silence(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	uint64_t here = since(h->heard_ns, now);

	if (!h->told_ns || !h->near || now < d->deaf_ns)
		return here;
	return here > h->told_age_ns ? here : h->told_age_ns; /* said anew with each beat */
}

void art__det_calm(struct art_det *d, struct art_det_host *h)
{
	(void)d;
	h->asked_ns = h->condemned_ns = 0;
	h->accused = false;
	for (int i = 0; i < ART_DET_OBSERVERS; i++)
		h->vote[i].host = -1;
}

/* ---- who observes whom ---- */

/* The hosts that observe @h, this one included if it does. At most three. */
static int observers(const struct art_det *d, const struct art_det_host *h, int who[])
{
	static const int step[ART_DET_OBSERVERS] = { 1, 2, 4 };
	int n = 0;

	if (d->live <= ART_DET_OBSERVERS + 1) {
		for (int i = 0; i < d->live; i++)
			if (i != h->place)
				who[n++] = d->ring[i];
		return n;
	}
	for (int s = 0; s < ART_DET_OBSERVERS; s++)
		who[n++] = d->ring[(h->place - step[s] + d->live) % d->live];
	return n;
}

bool art__det_all_suspect(const struct art_det *d, const struct art_det_host *h)
{
	for (int i = 0; i < h->count; i++)
		if (art__det_alive(d, d->order[h->first + i]))
			return false;
	return true;
}

/* ---- asking ---- */

/* Another of its ranks each time, so that one stopped rank does not make a host look dead. */
static int some_rank(const struct art_det *d, struct art_det_host *h)
{
	for (int i = 0; h->attempts && i < h->count; i++) {
		int slot = d->order[h->first + (int)((h->attempts + (unsigned)i) % (unsigned)h->count)];

		if (art__det_alive(d, slot))
			return slot;
	}
	return art__det_agent(d, h);
}

static void ask_others(struct art_det *d, const struct art_det_host *h)
{
	int who[ART_DET_OBSERVERS], n = observers(d, h, who);

	for (int i = 0; i < n; i++) {
		struct art_det_host *o = &d->host[who[i]];

		if (who[i] == d->me || art__det_all_suspect(d, o))
			continue;
		o->attempts = since(o->heard_ns, h->asked_ns) ? o->attempts + 1 : 0;
		art__det_say(d, some_rank(d, o), h->accused ? ART_DET_VOTE : ART_DET_ASK,
			     d->order[h->first], h->accused, 0);
		if (h->accused) /* and what do you say? */
			art__det_say(d, some_rank(d, o), ART_DET_ASK, d->order[h->first], false, 0);
	}
}

/* It sends no heartbeats to this rank, so only answers can be heard. */
static bool probed_anyway(const struct art_det *d, const struct art_det_host *h)
{
	return !d->acting || !h->near;
}

static void probe_ranks(struct art_det *d, struct art_det_host *h, uint64_t now)
{
	for (int i = 0; i < h->count; i++)
		if (art__det_alive(d, d->order[h->first + i]))
			art__det_say(d, d->order[h->first + i], ART_DET_PROBE, d->slot, false, 0);
	h->probed_ns = now;
}

static void probe(struct art_det *d, struct art_det_host *h, uint64_t now)
{
	probe_ranks(d, h, now);
	ask_others(d, h);
}

static bool counts(const struct art_det *d, const struct art_det_host *h,
		   const struct art_det_vote *v, uint64_t now)
{
	return v->host >= 0 && since(v->at_ns, now) < art__det_effective(d, h);
}

void art__det_take_vote(struct art_det *d, int by, int about, bool silent, uint64_t now)
{
	struct art_det_host *h = &d->host[about];
	struct art_det_vote *free = NULL;

	if (about == d->me || by == about || h->place < 0)
		return;
	for (int i = 0; i < ART_DET_OBSERVERS && (!free || free->host != by); i++) {
		struct art_det_vote *v = &h->vote[i];

		/* what counts no more leaves room: the observers change with the view */
		if (v->host == by || (!free && !counts(d, h, v, now)))
			free = v;
	}
	if (!free)
		return;
	*free = (struct art_det_vote){ .host = by, .silent = silent, .at_ns = now };
	if (silent && d->next_ns > now)
		d->next_ns = now;
}

/* ---- the verdict ---- */

/* 1: says it is silent; 0: says it hears it; -1: has not said. */
static int vote_of(const struct art_det *d, const struct art_det_host *h, int by, uint64_t now)
{
	for (int i = 0; i < ART_DET_OBSERVERS; i++) {
		const struct art_det_vote *v = &h->vote[i];

		if (v->host == by && counts(d, h, v, now))
			return v->silent;
	}
	return -1;
}

static bool enough_agree(const struct art_det *d, const struct art_det_host *h, uint64_t now,
			 int *agree)
{
	int who[ART_DET_OBSERVERS], n = observers(d, h, who), others = 0;

	*agree = 0;
	for (int i = 0; i < n; i++) {
		const struct art_det_host *o = &d->host[who[i]];
		int vote = who[i] == d->me ? 1 : vote_of(d, h, who[i], now);

		if (vote == 1)
			++*agree;
		else if (who[i] != d->me && !art__det_all_suspect(d, o) &&
			 (vote == 0 || o->edge || o->heard_ns >= h->asked_ns ||
			  since(h->asked_ns, now) < art__det_effective(d, h) / 2))
			others++; /* disagrees, or lives and may yet speak */
	}
	if (*agree < 2 && others)
		ART_MARK(d->env, ART_M_OUTVOTED);
	return *agree >= 2 || !others;
}

/* "hosts of rank 4, 8": those whose word it was. */
static void accusers(const struct art_det *d, const struct art_det_host *h, char *text, size_t room)
{
	size_t at = 0;

	*text = '\0';
	for (int i = 0; i < ART_DET_OBSERVERS && at + 1 < room; i++) {
		const struct art_det_vote *v = &h->vote[i];

		if (v->host >= 0 && v->silent)
			at += (size_t)snprintf(text + at, room - at, "%s%d", at ? ", " : ", hosts of rank ",
					       d->order[d->host[v->host].first]);
	}
}

static void condemn(struct art_det *d, struct art_det_host *h, int agree, uint64_t now)
{
	char who[80];

	if (h->condemned_ns)
		return;
	h->condemned_ns = now;
	accusers(d, h, who, sizeof(who));
	art__env_log(d->env, ART_LOG_INFO, "the host of rank %d: silent for %llu ms, probes unanswered "
		     "for %llu ms, %d observer(s) agree%s", d->order[h->first],
		     (unsigned long long)(art__det_silence(d, h, now) / ART_NS_PER_MS),
		     (unsigned long long)(h->asked_ns ? since(h->asked_ns, now) / ART_NS_PER_MS : 0),
		     agree, who);
}

/* Somebody hears it, and has said so since we said that we do not: by then a host that is silent is
 * so for all of its observers, give or take a heartbeat. */
static bool heard_elsewhere(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	for (int i = 0; i < ART_DET_OBSERVERS; i++)
		if (h->vote[i].host >= 0 && !h->vote[i].silent && h->vote[i].at_ns > h->accused_ns &&
		    counts(d, h, &h->vote[i], now))
			return true;
	return false;
}

static void set_edge(struct art_det *d, struct art_det_host *h, bool dead, uint64_t now)
{
	if (h->edge != dead)
		art__env_log(d->env, ART_LOG_INFO, dead ? "the host of rank %d: not heard for %llu ms, others "
			     "hear it: the way to it is dead" : "the host of rank %d: the way to it is back "
			     "(%llu ms)", d->order[h->first],
			     (unsigned long long)(art__det_silence(d, h, now) / ART_NS_PER_MS));
	h->answered &= h->edge == dead;
	h->edge = dead;
	h->edge_ns = now;
	if (d->client.edge)
		d->client.edge(d->client.self, d->order[h->first], dead);
}

static void judge_host(struct art_det *d, struct art_det_host *h, uint64_t now)
{
	uint64_t bound = art__det_effective(d, h), silence = art__det_silence(d, h, now);
	int agree;

	if (silence < bound / 2 || unborn(d, h, now)) {
		if (h->asked_ns)
			art__det_calm(d, h);
		if (h->edge && h->answered)
			set_edge(d, h, false, now);
		if ((probed_anyway(d, h) || h->edge) && since(h->probed_ns, now) >= bound / 8)
			probe_ranks(d, h, now);
		return;
	}
	if (!h->asked_ns) {
		h->asked_ns = now;
		h->probed_ns = 0;
	}
	if (silence >= bound && since(h->asked_ns, now) >= bound / 4 && !h->accused) {
		h->accused = true;
		h->accused_ns = now;
		h->probed_ns = 0; /* the others hear of it now */
	}
	if (since(h->probed_ns, now) >= bound / 8)
		probe(d, h, now);
	if (h->accused && enough_agree(d, h, now, &agree))
		condemn(d, h, agree, now);
	else if (h->accused && (!h->edge || since(h->edge_ns, now) >= bound) &&
		 heard_elsewhere(d, h, now))
		set_edge(d, h, true, now);
}

/* Nobody outside this host is heard. */
static bool isolated(const struct art_det *d, uint64_t now)
{
	uint64_t bound = d->bound_ns * (1 + d->lag);

	if (!d->acting || d->live < 3 || since(d->any_ns, now) < bound)
		return false;
	for (int k = 0; k < d->nhost; k++)
		if (d->host[k].near && !art__det_all_suspect(d, &d->host[k]) && !d->host[k].accused)
			return false;
	return true;
}

/* Is one on the way to be condemned, so that waiting for it is worth while? */
static bool more_to_come(const struct art_det *d, uint64_t first, uint64_t now)
{
	uint64_t wait = d->eta_ns < BATCH_NS ? d->eta_ns : BATCH_NS;

	if (now - first >= wait)
		return false;
	for (int k = 0; k < d->nhost; k++) {
		const struct art_det_host *h = &d->host[k];

		if (h->asked_ns && !h->condemned_ns && art__det_watches(d, h, now) &&
		    !art__det_all_suspect(d, h))
			return true;
	}
	return false;
}

static void pronounce(struct art_det *d, uint64_t now)
{
	struct art_set out;
	uint64_t first = ART_NEVER;
	int hosts = 0;

	for (int k = 0; k < d->nhost; k++)
		if (d->host[k].condemned_ns && d->host[k].condemned_ns < first)
			first = d->host[k].condemned_ns;
	if (first == ART_NEVER || more_to_come(d, first, now))
		return;
	art__set_init(&out, (uint32_t)d->size);
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];

		if (!h->condemned_ns)
			continue;
		for (int i = 0; i < h->count; i++)
			if (art__det_alive(d, d->order[h->first + i]))
				art__set_add(&out, (uint32_t)d->order[h->first + i]);
		art__det_calm(d, h);
		hosts++;
	}
	if (hosts > 1)
		ART_MARK(d->env, ART_M_VERDICTS_BATCHED);
	if (!art__set_empty(&out)) {
		ART_MARK(d->env, ART_M_HOST_CONDEMNED);
		d->client.verdict(d->client.self, &out);
	}
}

void art__det_judge(struct art_det *d, uint64_t now)
{
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];

		if (k != d->me && art__det_watches(d, h, now) && !art__det_all_suspect(d, h))
			judge_host(d, h, now);
		else if (h->asked_ns)
			art__det_calm(d, h);
	}
	if (isolated(d, now)) {
		ART_MARK(d->env, ART_M_ISOLATED);
		for (int k = 0; k < d->nhost; k++)
			if (k != d->me && d->host[k].place >= 0 && !art__det_all_suspect(d, &d->host[k]))
				condemn(d, &d->host[k], 0, now);
	}
	pronounce(d, now);
}

/* When this host wants to be judged next. */
uint64_t art__det_deadline(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	uint64_t bound = art__det_effective(d, h), silence, left;

	if (!art__det_watches(d, h, now) || art__det_all_suspect(d, h))
		return ART_NEVER;
	silence = art__det_silence(d, h, now);
	if (h->condemned_ns)
		return now + ART_NS_PER_MS;
	if (unborn(d, h, now))
		return d->start_ns + START_GRACE * d->bound_ns;
	left = bound / 8 - (since(h->probed_ns, now) < bound / 8 ? since(h->probed_ns, now) : bound / 8);
	if (!h->asked_ns && !probed_anyway(d, h))
		return silence < bound / 2 ? now + (bound / 2 - silence) : now;
	if (silence < bound && bound - silence < left)
		left = bound - silence;
	if (!h->accused && since(h->asked_ns, now) < bound / 4 &&
	    bound / 4 - since(h->asked_ns, now) < left)
		left = bound / 4 - since(h->asked_ns, now);
	return now + left;
}
