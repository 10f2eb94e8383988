/* SPDX-License-Identifier: MIT
 *
 * Ranks of this host. Their deaths come by pidfd and need no detector; a stopped process (SIGSTOP,
 * a freezer) is neither dead nor alive. The kernel says which are stopped, so nobody has to be
 * believed and none can be wronged: a process that may run is never evicted, however long it
 * computes, and one that a debugger holds neither.
 *
 *   runs --seen stopped--> stopped --for the bound, at every look--> verdict
 *    ^--------seen running, or a message came----+
 *
 * A rank looks while something of its own waits and nothing moves: at the next rank of its host each
 * time, and at one of the others in turn.
 */
#include "base/marks.h"
#include "ft/detector.h"

#define BATCH_NS (20 * ART_NS_PER_MS)
/* Between two looks: what it may add to the time until a stopped rank must leave. */
#define LOOK_NS (40 * ART_NS_PER_MS)
#define LOOKS_BUSY 8    /* while messages come in, only every so many turns look */

/* All that are stopped, the next that is not, and one of the others in turn: two reads, as a rule,
 * however many ranks there are. */
static void look_around(struct art_det *d)
{
	const struct art_det_host *h = &d->host[d->me];
	int own = 0;
	bool found = false;

	while (d->order[h->first + own] != d->slot)
		own++;
	for (int k = 1; k < h->count; k++) {
		int i = (own + k) % h->count;

		if (!art__det_alive(d, d->order[h->first + i]))
			continue;
		if (d->stopped_ns[i] || !found || i == d->turn)
			d->client.look(d->client.self, d->order[h->first + i]);
		found |= !d->stopped_ns[i];
	}
	d->turn = (d->turn + 1) % h->count;
}

static bool anybody_stopped(const struct art_det *d)
{
	for (int i = 0; i < d->host[d->me].count; i++)
		if (d->stopped_ns[i])
			return true;
	return false;
}

/* As seldom as may be, because every rank that waits pays for it. */
static uint64_t pause_ns(const struct art_det *d)
{
	uint64_t p = d->bound_ns / 4 < LOOK_NS ? d->bound_ns / 4 : LOOK_NS;

	return p > d->bound_ns / 16 ? p : d->bound_ns / 16;
}

/* A regular look, or sooner the one that makes somebody's bound full. */
static uint64_t next_look(const struct art_det *d, uint64_t now)
{
	uint64_t t = now + pause_ns(d);

	for (int i = 0; i < d->host[d->me].count; i++) {
		uint64_t full = d->stopped_ns[i] + d->bound_ns;

		if (d->stopped_ns[i] && full > now && full < t)
			t = full;
	}
	return t;
}

/* Is another one's bound full in a moment? Then one change of the view does for both. */
static bool more_to_come(const struct art_det *d, uint64_t now)
{
	for (int i = 0; i < d->host[d->me].count; i++) {
		uint64_t full = d->stopped_ns[i] + d->bound_ns;

		if (d->stopped_ns[i] && full > now && full <= d->ripe_ns + BATCH_NS)
			return true;
	}
	return false;
}

static void pronounce(struct art_det *d, uint64_t now)
{
	const struct art_det_host *h = &d->host[d->me];
	struct art_set out;

	art__set_init(&out, (uint32_t)d->size);
	for (int i = 0; i < h->count; i++) {
		int slot = d->order[h->first + i];
		uint64_t at = d->stopped_ns[i];

		if (!at || now < at || now - at < d->bound_ns || !art__det_alive(d, slot))
			continue;
		ART_MARK(d->env, ART_M_STOPPED_EVICTED);
		art__env_log(d->env, ART_LOG_INFO, "rank %d is stopped (state T at every look) for "
			     "%llu ms", slot, (unsigned long long)((now - at) / ART_NS_PER_MS));
		art__set_add(&out, (uint32_t)slot);
		d->stopped_ns[i] = 0;
	}
	d->ripe_ns = 0;
	if (!art__set_empty(&out))
		d->client.verdict(d->client.self, &out);
}

void art__det_local_tick(struct art_det *d, bool open, uint64_t now)
{
	if (!open || !d->look_ns || now < d->look_ns)
		return;
	if (d->ripe_ns && !more_to_come(d, now))
		pronounce(d, now);
	if (d->progress == d->look_progress || anybody_stopped(d) || d->looks++ % LOOKS_BUSY == 0)
		look_around(d);
	d->look_progress = d->progress;
	d->look_ns = next_look(d, now);
}

void art__det_looked(struct art_det *d, int slot, enum art_look look)
{
	const struct art_det_host *h;
	uint64_t now = art__env_now(d->env);
	int i = 0;

	if (!d->eta_ns || d->host_of[slot] != d->me || slot == d->slot)
		return;
	h = &d->host[d->me];
	while (d->order[h->first + i] != slot)
		i++;
	if (look != ART_LOOK_STOPPED) {
		d->stopped_ns[i] = 0;
		return;
	}
	if (!d->stopped_ns[i])
		d->stopped_ns[i] = now; /* the one behind it may be, too: look on at once */
	else if (now >= d->stopped_ns[i] + d->bound_ns && !d->ripe_ns)
		d->ripe_ns = now; /* the other answers of this look come first */
	else
		return;
	if (d->look_ns > now + ART_NS_PER_MS)
		d->look_ns = now + ART_NS_PER_MS;
}
