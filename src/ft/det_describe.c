/* SPDX-License-Identifier: MIT
 *
 * What the detector sees at this moment, for people (engine/report.h). Reads only.
 */
#include "engine/report.h"
#include "ft/detector.h"

static void describe_host(const struct art_det *d, const struct art_det_host *h, uint64_t now,
			  struct art_report *r)
{
	uint64_t silence = art__det_silence(d, h, now);

	r->hosts_watched++;
	if (!h->asked_ns && !h->accused)
		return;
	for (int i = 0; i < h->count; i++)
		if (art__det_alive(d, d->order[h->first + i]))
			art__set_add(&r->silent, (uint32_t)d->order[h->first + i]);
	if (silence > r->silent_ns)
		r->silent_ns = silence;
}

static void describe_local(const struct art_det *d, uint64_t now, struct art_report *r)
{
	const struct art_det_host *h = &d->host[d->me];

	for (int i = 0; i < h->count; i++) {
		uint64_t at = d->stopped_ns[i];

		if (!at || !art__det_alive(d, d->order[h->first + i]))
			continue;
		art__set_add(&r->stopped, (uint32_t)d->order[h->first + i]);
		if (now > at && now - at > r->stopped_ns)
			r->stopped_ns = now - at;
	}
}

void art__det_describe(const struct art_det *d, struct art_report *r)
{
	uint64_t now = art__env_now(d->env);

	art__set_init(&r->silent, (uint32_t)d->size);
	art__set_init(&r->stopped, (uint32_t)d->size);
	r->heartbeat_ns = d->eta_ns;
	r->bound_ns = d->bound_ns;
	if (!d->eta_ns)
		return;
	for (int k = 0; k < d->nhost; k++)
		if (k != d->me && art__det_watches(d, &d->host[k], now))
			describe_host(d, &d->host[k], now, r);
	describe_local(d, now, r);
}
