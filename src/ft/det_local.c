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
 * time, and at a few of the others in turn.
 */
#include "base/marks.h"
#include "ft/detector.h"

#define LOOKS 6         /* at others than the next, each time */
#define LOOKS_BUSY 8    /* while messages come in, only every so many turns look */

static void look(struct art_det *d, int i)
{
	const struct art_det_host *h = &d->host[d->me];
	int slot = d->order[h->first + i];

	if (slot != d->slot && art__det_alive(d, slot))
		d->client.look(d->client.self, slot);
}

static int own_index(const struct art_det *d)
{
	const struct art_det_host *h = &d->host[d->me];
	int i = 0;

	while (d->order[h->first + i] != d->slot)
		i++;
	return i;
}

/* The next rank each time, others in turn; those that are stopped, for their waking. */
static void look_around(struct art_det *d)
{
	int n = d->host[d->me].count, own = own_index(d);
	int others = n - 1 < LOOKS ? n - 1 : LOOKS;
	int start = (int)(d->looks++ * LOOKS % (unsigned)n);

	for (int i = 0; i < n; i++) {
		bool next = i == (own + 1) % n, turn = (i - start + n) % n < others;

		if (next || turn || n - 1 <= LOOKS || d->stopped_ns[i])
			look(d, i);
	}
}

/* All that are due at once, for one change of the view. */
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
	d->ripe = false;
	if (!art__set_empty(&out))
		d->client.verdict(d->client.self, &out);
}

void art__det_local_tick(struct art_det *d, bool open, uint64_t now)
{
	if (!open || !d->look_ns || now < d->look_ns)
		return;
	if (d->ripe)
		pronounce(d, now);
	if (d->progress == d->look_progress || d->looks % LOOKS_BUSY == 0)
		look_around(d);
	else
		d->looks++;
	d->look_progress = d->progress;
	d->look_ns = now + d->bound_ns / 16;
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
		d->stopped_ns[i] = now;
	if (now < d->stopped_ns[i] || now - d->stopped_ns[i] < d->bound_ns || d->ripe)
		return;
	d->ripe = true; /* the answers of this look come together */
	if (d->look_ns > now + ART_NS_PER_MS)
		d->look_ns = now + ART_NS_PER_MS;
}
