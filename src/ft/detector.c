/* SPDX-License-Identifier: MIT
 *
 * Heartbeats: who speaks for a host, to whom, and what is heard. Whether a silence is a death is
 * decided in det_judge.c, stopped processes of this host in det_local.c.
 *
 * A rank's part:
 *
 *   resting --lowest live rank of its host; or the one above it, which has not heard it for a
 *     ^       quarter of the bound; or probed by another host--> acting: beats each eta
 *     +-------a lower one speaks again--------------------------------+
 *
 * An acting rank beats to the hosts 1, 2 and 4 places before and behind its own among those of
 * the view (all, where there are few), and to the next rank of its host. A beat says how long the
 * receiver has not been heard, so an edge that works in one direction only is known at both ends.
 */
#include "ft/detector.h"

#include <art/status.h>
#include <assert.h>

#include "base/marks.h"
#include "wire/wire.h"

#define LAG_MAX 7 /* of the score, which multiplies the bound by up to 1 + this */
#define UNKNOWN_AGE UINT32_MAX

/* ---- making ---- */

/* Hosts can be watched, and there are some. */
static bool remote(const struct art_det *d)
{
	return d->eta_ns && d->nhost > 1 && d->client.send;
}

static bool make_hosts(struct art_det *d, const int *hosts)
{
	int *number = art__env_alloc(d->env, (size_t)d->size * sizeof(int)), at = 0;

	d->nhost = 0;
	for (int i = 0; number && i < d->size; i++) {
		int k = 0;

		while (k < d->nhost && hosts && number[k] != hosts[i])
			k++;
		if (k == d->nhost)
			number[d->nhost++] = hosts ? hosts[i] : 0;
		d->host_of[i] = k;
	}
	art__env_free(d->env, number);
	if (!number)
		return false;
	d->host = art__env_zalloc(d->env, (size_t)d->nhost * sizeof(*d->host));
	d->ring = art__env_zalloc(d->env, (size_t)d->nhost * sizeof(*d->ring));
	if (!d->host || !d->ring)
		return false;
	for (int i = 0; i < d->size; i++)
		d->host[d->host_of[i]].count++;
	for (int k = 0; k < d->nhost; k++) {
		d->host[k].first = at;
		d->host[k].agent = d->host[k].place = -1;
		at += d->host[k].count;
		d->host[k].count = 0;
	}
	for (int i = 0; i < d->size; i++) {
		struct art_det_host *h = &d->host[d->host_of[i]];

		d->order[h->first + h->count++] = i;
	}
	return true;
}

int art__det_init(struct art_det *d, const struct art_env *env, const struct art_det_client *client,
		  int slot, int size, const int *hosts, uint64_t eta_ns, uint64_t bound_ns)
{
	memset(d, 0, sizeof(*d));
	d->env = env;
	d->client = *client;
	d->slot = slot;
	d->size = size;
	d->eta_ns = eta_ns;
	d->bound_ns = bound_ns;
	d->next_ns = ART_NEVER;
	d->ring_epoch = UINT32_MAX;
	if (!eta_ns)
		return 0;
	d->host_of = art__env_alloc(env, (size_t)size * sizeof(int));
	d->order = art__env_alloc(env, (size_t)size * sizeof(int));
	if (!d->host_of || !d->order || !make_hosts(d, hosts))
		return ART_ERR_NOMEM;
	d->me = d->host_of[slot];
	d->stopped_ns = art__env_zalloc(env, (size_t)d->host[d->me].count * sizeof(*d->stopped_ns));
	return d->stopped_ns ? 0 : ART_ERR_NOMEM;
}

void art__det_watch(struct art_det *d, const struct art_set *members, const struct art_set *suspect,
		    const uint32_t *epoch)
{
	uint64_t now = art__env_now(d->env);

	d->members = members;
	d->suspect = suspect;
	d->epoch = epoch;
	d->start_ns = d->lower_ns = d->any_ns = d->tick_ns = now;
	if (remote(d))
		d->next_ns = now;
	for (int k = 0; k < d->nhost; k++)
		d->host[k].heard_ns = now;
}

void art__det_fini(struct art_det *d)
{
	art__env_free(d->env, d->host_of);
	art__env_free(d->env, d->order);
	art__env_free(d->env, d->host);
	art__env_free(d->env, d->ring);
	art__env_free(d->env, d->stopped_ns);
}

size_t art__det_bytes(const struct art_det *d)
{
	if (!d->eta_ns)
		return 0;
	return (size_t)d->size * 2 * sizeof(int) +
	       (size_t)d->nhost * (sizeof(*d->host) + sizeof(*d->ring)) +
	       (size_t)d->host[d->me].count * sizeof(*d->stopped_ns);
}

/* ---- the graph ---- */

static bool has_member(const struct art_det *d, const struct art_det_host *h)
{
	for (int i = 0; i < h->count; i++)
		if (art__set_has(d->members, (uint32_t)d->order[h->first + i]))
			return true;
	return false;
}

/* Everyone with this view makes the same one. */
static void make_ring(struct art_det *d, uint64_t now)
{
	static const int step[ART_DET_OBSERVERS] = { 1, 2, 4 };
	bool few;

	d->live = 0;
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];

		h->place = has_member(d, h) ? d->live : -1;
		if (h->place >= 0)
			d->ring[d->live++] = k;
	}
	few = d->live <= ART_DET_OBSERVERS + 1;
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];
		int away = h->place - d->host[d->me].place;
		bool near = few;

		away = away < 0 ? away + d->live : away;
		for (int s = 0; s < ART_DET_OBSERVERS; s++)
			near |= away == step[s] || away == d->live - step[s];
		near &= h->place >= 0 && k != d->me;
		if (near && !art__det_watches(d, h, now)) {
			art__det_calm(d, h);
			h->heard_ns = now;
		}
		h->near = near;
	}
	d->ring_epoch = *d->epoch;
}

/* ---- who speaks ---- */

bool art__det_alive(const struct art_det *d, int slot)
{
	return art__set_has(d->members, (uint32_t)slot) && !art__set_has(d->suspect, (uint32_t)slot);
}

int art__det_agent(const struct art_det *d, const struct art_det_host *h)
{
	if (h->agent >= 0 && art__det_alive(d, h->agent))
		return h->agent;
	for (int i = 0; i < h->count; i++)
		if (art__det_alive(d, d->order[h->first + i]))
			return d->order[h->first + i];
	return -1;
}

/* Of the live ranks of this host, not seen stopped: those below this one, and the next above. */
static int ranks_below(const struct art_det *d, int *above)
{
	const struct art_det_host *h = &d->host[d->me];
	int below = 0;

	*above = -1;
	for (int i = 0; i < h->count; i++) {
		int slot = d->order[h->first + i];

		if (slot == d->slot || !art__det_alive(d, slot) || d->stopped_ns[i])
			continue;
		if (slot < d->slot)
			below++;
		else if (*above < 0)
			*above = slot;
	}
	return below;
}

static bool should_act(const struct art_det *d, uint64_t now)
{
	int above, below = ranks_below(d, &above);

	if (below == 0)
		return true;
	if (now - d->lower_ns < d->bound_ns / 4)
		return false;
	return below == 1 || now < d->called_ns;
}

/* Whoever begins to watch knows nothing yet. */
static void begin_acting(struct art_det *d, uint64_t now)
{
	int above;

	if (ranks_below(d, &above) > 0) {
		ART_MARK(d->env, ART_M_AGENT_TAKEOVER);
		art__env_log(d->env, ART_LOG_INFO, "rank %d speaks for its host: those below are silent",
			     d->slot);
	}
	for (int k = 0; k < d->nhost; k++) {
		art__det_calm(d, &d->host[k]);
		d->host[k].heard_ns = now;
		d->host[k].told_ns = 0;
	}
	d->any_ns = now;
	d->deaf_ns = now + d->bound_ns / 2;
	d->beat_ns = now;
}

static void play_part(struct art_det *d, uint64_t now)
{
	bool act = should_act(d, now);

	if (act && !d->acting)
		begin_acting(d, now);
	d->acting = act;
}

/* ---- saying ---- */

static uint32_t age_ms(const struct art_det *d, const struct art_det_host *h, uint64_t now)
{
	uint64_t ms;

	if (!d->acting || !h->near || !h->spoke)
		return UNKNOWN_AGE;
	ms = (now > h->heard_ns ? now - h->heard_ns : 0) / ART_NS_PER_MS;
	return ms < UNKNOWN_AGE ? (uint32_t)ms : UNKNOWN_AGE - 1;
}

void art__det_say(struct art_det *d, int to, enum art_det_kind kind, int about, bool silent,
		  uint64_t nonce)
{
	uint8_t b[ART_DET_BYTES];
	struct art_wbuf w = { .p = b, .cap = sizeof(b) };
	uint64_t now = art__env_now(d->env);

	if (to < 0 || to == d->slot)
		return;
	art__w_u8(&w, (uint8_t)kind);
	art__w_u8(&w, d->lag);
	art__w_u8(&w, d->acting);
	art__w_u8(&w, silent);
	art__w_u32(&w, *d->epoch);
	art__w_u32(&w, (uint32_t)about);
	art__w_u32(&w, age_ms(d, &d->host[d->host_of[to]], now));
	art__w_u64(&w, d->progress);
	art__w_u64(&w, nonce);
	assert(!w.bad && w.len == ART_DET_BYTES);
	if ((kind == ART_DET_ASK || kind == ART_DET_VOTE) && d->host[d->host_of[to]].edge &&
	    d->client.send_round)
		d->client.send_round(d->client.self, to, b, w.len);
	else
		d->client.send(d->client.self, to, b, w.len);
}

static void beat(struct art_det *d, uint64_t now)
{
	int above;

	ranks_below(d, &above);
	art__det_say(d, above, ART_DET_BEAT, d->slot, false, 0);
	for (int k = 0; k < d->nhost; k++)
		if (d->host[k].near)
			art__det_say(d, art__det_agent(d, &d->host[k]), ART_DET_BEAT, d->slot, false, 0);
	d->beat_ns = now + d->eta_ns;
}

/* ---- hearing ---- */

struct said {
	uint8_t kind, lag, acting, silent;
	uint32_t epoch, about, age;
	uint64_t nonce;
};

static bool read_said(const struct art_det *d, const uint8_t *p, size_t len, struct said *s)
{
	struct art_rbuf r = { .p = p, .len = len };

	s->kind = art__r_u8(&r);
	s->lag = art__r_u8(&r);
	s->acting = art__r_u8(&r);
	s->silent = art__r_u8(&r);
	s->epoch = art__r_u32(&r);
	s->about = art__r_u32(&r);
	s->age = art__r_u32(&r);
	art__r_u64(&r); /* progress */
	s->nonce = art__r_u64(&r);
	return !r.bad && len == ART_DET_BYTES && s->kind >= ART_DET_BEAT && s->kind <= ART_DET_VOTE &&
	       s->about < (uint32_t)d->size;
}

/* Somebody misses the rank that speaks for this host. */
static void called(struct art_det *d, uint64_t now)
{
	d->called_ns = now + d->bound_ns;
	if (!d->acting && d->next_ns > now)
		d->next_ns = now;
}

/* Begins to watch a host that is none of the graph's, or goes on. */
static void watch_too(struct art_det *d, struct art_det_host *h, uint64_t bounds, uint64_t now)
{
	if (!art__det_watches(d, h, now)) {
		art__det_calm(d, h);
		h->heard_ns = now;
		if (d->next_ns > now)
			d->next_ns = now;
	}
	h->wanted_ns = now + bounds * d->bound_ns;
}

static void on_ask(struct art_det *d, int from, int about, uint64_t now)
{
	struct art_det_host *h = &d->host[d->host_of[about]];
	uint64_t silence;

	called(d, now);
	if (d->host_of[about] == d->me || h->place < 0)
		return;
	if (art__det_all_suspect(d, h)) { /* judged already */
		art__det_say(d, from, ART_DET_VOTE, about, true, 0);
		return;
	}
	watch_too(d, h, 4, now);
	silence = art__det_silence(d, h, now);
	if (silence < now - h->life_ns) /* just begun to watch */
		silence = now - h->life_ns;
	if (d->doubt_ns || !d->acting || (silence >= art__det_effective(d, h) / 2 && !h->accused))
		art__det_say(d, from, ART_DET_ALIVE, d->slot, false, 0); /* no opinion yet */
	else
		art__det_say(d, from, ART_DET_VOTE, about, h->accused, 0);
}

static void on_alive(struct art_det *d, const struct said *s)
{
	if (!d->doubt_ns || s->nonce != d->doubt_ns || s->epoch != *d->epoch)
		return;
	ART_MARK(d->env, ART_M_DOUBT_CLEARED);
	d->doubt_ns = 0;
}

static void take_life(struct art_det *d, int from, struct art_det_host *h, const struct said *s,
		      uint64_t now)
{
	if (h->asked_ns && s->kind == ART_DET_ALIVE)
		ART_MARK(d->env, ART_M_PROBE_ANSWERED);
	h->answered |= s->kind == ART_DET_ALIVE;
	h->heard_ns = now > h->heard_ns ? now : h->heard_ns;
	h->life_ns = now;
	h->spoke = true;
	h->lag = s->lag < LAG_MAX ? s->lag : LAG_MAX;
	d->any_ns = now;
	if (!s->acting)
		return;
	h->agent = from;
	if (s->age != UNKNOWN_AGE && h->near && now >= d->deaf_ns) {
		h->told_ns = now;
		h->told_age_ns = (uint64_t)s->age * ART_NS_PER_MS;
	}
}

void art__det_beat(struct art_det *d, int from, const uint8_t *p, size_t len)
{
	struct art_det_host *h;
	struct said s;
	uint64_t now;

	if (!remote(d) || from == d->slot || !read_said(d, p, len, &s))
		return;
	now = art__env_now(d->env);
	h = &d->host[d->host_of[from]];
	if (!art__set_has(d->members, (uint32_t)from)) {
		if (now - h->warned_ns >= d->eta_ns)
			d->client.tell_evicted(d->client.self, from);
		h->warned_ns = now;
		return;
	}
	if (s.epoch > *d->epoch)
		d->client.ask_view(d->client.self, from);
	if (d->host_of[from] == d->me) {
		if (from < d->slot && s.acting)
			d->lower_ns = now;
		return;
	}
	take_life(d, from, h, &s, now);
	switch (s.kind) {
	case ART_DET_PROBE:
		called(d, now);
		art__det_say(d, from, ART_DET_ALIVE, d->slot, false, s.nonce);
		break;
	case ART_DET_ALIVE: on_alive(d, &s); break;
	case ART_DET_ASK: on_ask(d, from, (int)s.about, now); break;
	case ART_DET_VOTE:
		art__det_take_vote(d, d->host_of[from], d->host_of[s.about], s.silent, now);
		break;
	default: break;
	}
}

void art__det_beat_round(struct art_det *d, int from, const uint8_t *p, size_t len)
{
	struct said s;
	uint64_t now = art__env_now(d->env);

	if (!remote(d) || !read_said(d, p, len, &s) || d->host_of[from] == d->me)
		return;
	if (s.kind == ART_DET_ASK)
		on_ask(d, from, (int)s.about, now);
	else if (s.kind == ART_DET_VOTE)
		art__det_take_vote(d, d->host_of[from], d->host_of[s.about], s.silent, now);
}

void art__det_hint(struct art_det *d, int slot)
{
	struct art_det_host *h;
	uint64_t now;

	if (!remote(d) || d->host_of[slot] == d->me)
		return;
	now = art__env_now(d->env);
	h = &d->host[d->host_of[slot]];
	if (h->place >= 0)
		watch_too(d, h, 2, now);
}

void art__det_want(struct art_det *d, const struct art_set *slots)
{
	uint64_t now;

	if (!remote(d))
		return;
	now = art__env_now(d->env);
	ART_SET_EACH(i, slots) {
		struct art_det_host *h = &d->host[d->host_of[i]];

		if (d->host_of[i] == d->me || h->place < 0)
			continue;
		if (!art__det_watches(d, h, now))
			ART_MARK(d->env, ART_M_WATCHED_ON_DEMAND);
		watch_too(d, h, 2, now);
	}
}

/* ---- time ---- */

/* A late tick says that this rank did not run: then what it did not hear is no one's fault. What
 * came meanwhile lies in the sockets and is read before the next tick. */
static bool forgive(struct art_det *d, uint64_t late, uint64_t now)
{
	if (late <= d->eta_ns) {
		if (d->lag && now - d->lagged_ns > d->bound_ns) {
			d->lag--;
			d->lagged_ns = now;
		}
		return false;
	}
	ART_MARK(d->env, ART_M_LAG_FORGIVEN);
	d->lag += d->lag < LAG_MAX;
	d->lagged_ns = now;
	d->deaf_ns = now + d->bound_ns / 2;
	d->lower_ns += late;
	d->any_ns += late;
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];

		h->heard_ns += late;
		h->asked_ns += h->asked_ns ? late : 0;
		h->told_ns = 0;
	}
	for (int i = 0; i < d->host[d->me].count; i++)
		d->stopped_ns[i] += d->stopped_ns[i] ? late : 0;
	if (late >= d->bound_ns && remote(d)) {
		ART_MARK(d->env, ART_M_DOUBT);
		art__env_log(d->env, ART_LOG_INFO, "this rank stood still for %llu ms and asks whether "
			     "it is still a member", (unsigned long long)(late / ART_NS_PER_MS));
		d->doubt_ns = now;
	}
	return true;
}

/* Asked until somebody who still counts us in answers; nobody in two bounds: believe the silence. */
static void doubt(struct art_det *d, uint64_t now)
{
	if (!d->doubt_ns)
		return;
	if (now - d->doubt_ns > 2 * d->bound_ns) {
		d->doubt_ns = 0;
		return;
	}
	for (int k = 0; k < d->nhost; k++)
		if (d->host[k].near)
			art__det_say(d, art__det_agent(d, &d->host[k]), ART_DET_PROBE, d->slot, false,
				     d->doubt_ns);
}

/* Traffic since the last tick: alive then, at least. */
static void take_traffic(struct art_det *d)
{
	for (int k = 0; k < d->nhost; k++) {
		struct art_det_host *h = &d->host[k];

		if (!h->fresh)
			continue;
		h->fresh = false;
		h->spoke = true;
		h->heard_ns = h->heard_ns < d->tick_ns ? d->tick_ns : h->heard_ns;
		h->life_ns = h->life_ns < d->tick_ns ? d->tick_ns : h->life_ns;
		d->any_ns = d->any_ns < d->tick_ns ? d->tick_ns : d->any_ns;
	}
}

static void remote_tick(struct art_det *d, bool late, uint64_t now)
{
	if (d->ring_epoch != *d->epoch)
		make_ring(d, now);
	take_traffic(d);
	play_part(d, now);
	if (d->acting && now >= d->beat_ns) {
		beat(d, now);
		doubt(d, now);
	}
	if (!late && !d->doubt_ns)
		art__det_judge(d, now);
}

static uint64_t remote_wake(const struct art_det *d)
{
	uint64_t t = ART_NEVER, now = d->tick_ns;
	int above, below = ranks_below(d, &above);

	if (d->acting)
		t = d->beat_ns;
	else if (below <= 1)
		t = d->lower_ns + d->bound_ns / 4;
	for (int k = 0; k < d->nhost; k++) {
		uint64_t u = ART_NEVER;

		if (k != d->me && !d->doubt_ns)
			u = art__det_deadline(d, &d->host[k], now);
		t = u < t ? u : t;
	}
	return t > now ? t : now + 1;
}

void art__det_tick(struct art_det *d, bool open)
{
	uint64_t now = art__env_now(d->env);
	uint64_t due = art__det_wake(d, open);
	bool late;

	if (now < due)
		return;
	late = forgive(d, now - due, now);
	if (remote(d))
		remote_tick(d, late, now);
	art__det_local_tick(d, open, now);
	d->tick_ns = now;
	d->next_ns = remote(d) ? remote_wake(d) : ART_NEVER;
}

void art__det_stir(struct art_det *d)
{
	uint64_t now;

	if (!remote(d))
		return;
	now = art__env_now(d->env);
	d->next_ns = d->next_ns < now ? d->next_ns : now;
}

/* A look is planned when something begins to wait; what never waits for long costs nothing. */
static uint64_t local_wake(struct art_det *d, bool open)
{
	if (!open || !d->client.look || d->host[d->me].count < 2) {
		d->look_ns = 0;
		return ART_NEVER;
	}
	if (!d->look_ns) {
		d->look_ns = art__env_now(d->env) + d->bound_ns / 16;
		d->look_progress = d->progress;
		d->ripe_ns = 0; /* nobody has looked meanwhile: whoever was stopped may have run */
		memset(d->stopped_ns, 0, (size_t)d->host[d->me].count * sizeof(*d->stopped_ns));
	}
	return d->look_ns;
}

/* Called at every turn of the engine: no more than this. */
uint64_t art__det_wake(struct art_det *d, bool open)
{
	uint64_t t;

	if (!d->eta_ns)
		return ART_NEVER;
	t = local_wake(d, open);
	return d->next_ns < t ? d->next_ns : t;
}
