/* SPDX-License-Identifier: MIT
 *
 * One rank's protocol: hands events to coll (ops) and ft (decisions) and joins the two. Holds no
 * rule of its own but two: a message from a rank outside the view means nothing (invariant 7),
 * and a broken data connection between members is put right by a view change with the same
 * members, because some message of some op may be gone. Where there is no direct way between two
 * members any more, relay.c has their messages carried by a third.
 */
#include <art/status.h>

#include "base/marks.h"
#include "base/trace.h"
#include "coll/coll.h"
#include "core/core.h"
#include "core/ctl.h"
#include "core/links.h"
#include "core/phases.h"
#include "core/relay.h"
#include "engine/report.h"
#include "ft/detector.h"
#include "ft/ft.h"

struct art_core {
	struct art_machine machine; /* first */
	const struct art_env *env;
	const struct art_port *port;
	struct art_core_cfg cfg;
	int *hosts;
	struct art_ft ft;
	struct art_ops ops;
	struct art_ctl ctl;
	struct art_relay relay;
	struct art_phases phases;
	bool quick; /* the last op began the short way */
	bool early; /* the others of this host may not know of the death that is told just now */
	struct art_det det;
	struct art_links links;
	uint64_t said_ns, again_ns; /* when reports were said again last, and when they are to be */
	uint64_t relink_ns; /* when to act on a broken link, unless a death explains it */
};

/* ---- what ft asks of the rest ---- */

static bool same_host(const struct art_core *c, int a, int b)
{
	return !c->hosts || c->hosts[a] == c->hosts[b];
}

static void ft_install(void *self, const struct art_value *v)
{
	struct art_core *c = self;

	if (c->port->view)
		c->port->view(c->port->self, c->ft.view.epoch, &c->ft.view.members);
	if (v->full)
		art__phases_decided(&c->phases, c->ft.view.epoch, art__env_now(c->env));
	art__coll_explain(&c->ops, v, c->phases.sign_ns, c->phases.frozen_ns);
	c->phases.frozen_ns = 0;
	if (v->full) {
		c->relink_ns = ART_NEVER;
		c->phases.sign_ns = 0;
		for (int i = 0; i < c->cfg.size; i++) /* the dead way has no room, and never will */
			c->ops.blocked[i] &= !art__relay_indirect(&c->relay, i);
		art__relay_installed(&c->relay, &c->ft.view.edges);
		if (ART_FT_MUTANT(&c->ft, 27)) {
			c->ft.view.edges.n = 0;
			art__relay_report(&c->relay, &c->ft.view.members, &c->ft.view.edges);
		}
	}
	art__det_stir(&c->det);
	art__links_again(&c->links, art__env_now(c->env));
	art__coll_install(&c->ops, v);
	if (v->full)
		c->phases.last.installed_ns = art__env_now(c->env);
	if (v->full && c->env->trace)
		art__phases_trace(&c->phases, c->env, art__set_count(&c->ft.view.members));
}

static bool ft_report(void *self, bool full, const struct art_set *proposed,
		      const struct art_named *named, uint32_t n, struct art_flush *out)
{
	struct art_core *c = self;

	if (full) { /* the answer must not go through one who is lost, and this rank may not know that it is */
		art__relay_promised(&c->relay, proposed);
		art__relay_report(&c->relay, proposed, &out->edges);
	}
	return art__coll_report(&c->ops, full, proposed, named, n, out);
}

static void ft_freeze(void *self)
{
	struct art_core *c = self;

	if (!c->phases.frozen_ns)
		c->phases.frozen_ns = art__env_now(c->env);
	art__coll_freeze(&c->ops);
}

static bool ft_wanted(void *self, const struct art_named *n)
{
	return art__coll_wanted(&((struct art_core *)self)->ops, n);
}

static const char *fate_text(int code)
{
	return code == ART_ERR_EVICTED ? "this rank was evicted from the job" :
	       code == ART_ERR_NOMEM   ? "out of memory, this rank leaves the job" :
	       code == ART_ERR_TRANSPORT ? "no descriptor for a connection, this rank leaves the job" :
					 "no quorum of the members can be reached";
}

static void ft_fate(void *self, int code)
{
	struct art_core *c = self;

	art__env_log(c->env, ART_LOG_ERROR, "%s (epoch %u)", fate_text(code), c->ft.view.epoch);
	art__coll_fate(&c->ops, code);
	for (int i = 0; code != ART_ERR_EVICTED && i < c->cfg.size; i++)
		if (i != c->cfg.slot && art__set_has(&c->ft.view.members, (uint32_t)i))
			art__ft_say_gone(&c->ft, i, false, 0);
}

static void ft_ctl(void *self, int to, uint8_t kind, uint32_t epoch, const void *body, size_t len)
{
	art__ctl_send(&((struct art_core *)self)->ctl, to, kind, epoch, body, len);
}

static void ft_fence(void *self, int slot, bool for_ever)
{
	struct art_core *c = self;

	if (for_ever)
		c->port->fence(c->port->self, slot);
	else
		c->port->relink(c->port->self, slot);
	c->ops.blocked[slot] = false;
}

/* The kernel that told us tells it, too, and now. */
static bool ft_knows(void *self, int slot)
{
	struct art_core *c = self;
	struct art_set lost;

	if (c->early)
		return false;
	art__set_copy(&lost, &c->ft.suspect);
	art__set_and(&lost, &c->ft.view.members);
	ART_SET_EACH(i, &lost)
		if (!art__set_has(&c->ft.dead, i) || !same_host(c, (int)i, slot) ||
		    !same_host(c, (int)i, c->cfg.slot))
			return false;
	return !art__set_empty(&lost);
}

static void ft_vote(void *self, const void *p, size_t len)
{
	struct art_core *c = self;

	c->port->vote(c->port->self, p, len);
}

static void ft_step(void *self, const char *name)
{
	struct art_core *c = self;
	struct art_trace t = {.kind = ART_TRACE_STEP, .rank = -1, .epoch = c->ft.view.epoch + 1};

	if (c->env->trace)
		art__trace_put(c->env, &t, name);

	if (c->port->step)
		c->port->step(c->port->self, name);
}

/* ---- what the detector asks of the rest ---- */

/* The change that may follow is timed from here. */
static void sign(struct art_core *c, int slot, const char *what)
{
	struct art_trace t = {.kind = ART_TRACE_SIGN, .rank = slot, .epoch = c->ft.view.epoch};

	if (!art__set_has(&c->ft.view.members, (uint32_t)slot))
		return;
	if (!c->phases.sign_ns)
		c->phases.sign_ns = art__env_now(c->env);
	if (c->env->trace)
		art__trace_put(c->env, &t, what);
	art__env_log(c->env, ART_LOG_INFO, "rank %d %s", slot, what);
}

static void det_send(void *self, int to, const void *p, size_t len)
{
	struct art_core *c = self;

	c->port->beat(c->port->self, to, p, len);
}

static void det_look(void *self, int slot)
{
	struct art_core *c = self;

	c->port->look(c->port->self, slot);
}

static void det_verdict(void *self, const struct art_set *slots)
{
	struct art_core *c = self;

	ART_SET_EACH(i, slots)
		sign(c, (int)i, "is told to leave: the detector's verdict");
	art__ft_suspect_all(&c->ft, slots);
}

/* The whole host behind @slot. */
static void det_edge(void *self, int slot, bool dead)
{
	struct art_core *c = self;
	bool change = false;

	for (int i = 0; i < c->cfg.size; i++)
		if (same_host(c, i, slot) && art__set_has(&c->ft.view.members, (uint32_t)i))
			change |= art__relay_edge(&c->relay, i, dead);
	if (change)
		c->relink_ns = art__env_now(c->env);
}

static void det_send_round(void *self, int to, const void *p, size_t len)
{
	struct art_core *c = self;
	struct art_hdr h = { .kind = ART_K_RELAY_BEAT };

	if (art__relay_indirect(&c->relay, to))
		c->port->send(c->port->self, ART_CHAN_CTL, to, &h, p, len);
}

static void det_tell_evicted(void *self, int to)
{
	struct art_core *c = self;

	ART_MARK(c->env, ART_M_EVICTED_TOLD);
	art__ctl_send(&c->ctl, to, ART_K_EVICTED, c->ft.view.epoch, NULL, 0);
}

static void det_ask_view(void *self, int to)
{
	art__ft_ask_view(&((struct art_core *)self)->ft, to);
}

/* Does anything of this rank wait for others? */
static bool waits(const struct art_core *c)
{
	return c->ops.active || c->ops.serves || art__ft_needed(&c->ft);
}

/* Before this rank may have to freeze: what it can take from shared memory it has, and others need not be
 * asked for it afterwards. */
static void look_before(struct art_core *c)
{
	if (c->ops.arena && !c->ft.frozen && !c->ft.fate)
		art__arena_peek(&c->ops);
}

/* ---- certificates ---- */

/* The end of a connection proves nothing (rule R7): who shares the peer's host knows. */
static void ask_for_certificate(struct art_core *c, int peer)
{
	struct art_hdr h = { .kind = ART_K_ASK_CERT, .epoch = c->ft.view.epoch, .seq = (uint64_t)peer };

	if (same_host(c, peer, c->cfg.slot) || art__set_has(&c->ft.suspect, (uint32_t)peer))
		return;
	art__det_hint(&c->det, peer);
	ART_SET_EACH(i, &c->ft.view.members) {
		if ((int)i == peer || !same_host(c, (int)i, peer) || art__set_has(&c->ft.suspect, i))
			continue;
		ART_MARK(c->env, ART_M_CERTIFICATE_ASKED);
		c->port->send(c->port->self, ART_CHAN_CTL, (int)i, &h, NULL, 0);
		return;
	}
}

static void on_ask_cert(struct art_core *c, int from, const struct art_hdr *h)
{
	struct art_hdr r = { .kind = ART_K_CERT, .epoch = c->ft.view.epoch, .seq = h->seq };
	uint8_t body[4 + sizeof(((struct art_set *)0)->w)];
	struct art_wbuf w = { .p = body, .cap = sizeof(body) };

	if (h->seq >= (uint64_t)c->cfg.size || !same_host(c, (int)h->seq, c->cfg.slot) ||
	    !art__set_has(&c->ft.dead, (uint32_t)h->seq))
		return; /* lives, or its death will be told as soon as it is known */
	ART_MARK(c->env, ART_M_CERTIFICATE_GIVEN);
	art__ft_acted_write(&c->ft, &w);
	c->port->send(c->port->self, ART_CHAN_CTL, from, &r, w.p, w.len);
}

static void on_cert(struct art_core *c, int from, const struct art_hdr *h, const uint8_t *body)
{
	struct art_rbuf r = { .p = body, .len = h->len };
	struct art_acted acted;

	if (h->seq >= (uint64_t)c->cfg.size || (int)h->seq == c->cfg.slot ||
	    !same_host(c, (int)h->seq, from))
		return;
	art__ft_acted_read(&c->ft, &r, &acted);
	if (r.bad)
		return;
	look_before(c);
	art__ft_dead(&c->ft, (int)h->seq, acted.epoch, &acted.members);
	art__det_stir(&c->det);
}

/* ---- events ---- */

static struct art_core *core_of(struct art_machine *m)
{
	return (struct art_core *)m;
}

static bool is_ft(uint8_t kind)
{
	return kind >= ART_K_REQUEST && kind <= ART_K_GATHER;
}

/* Most kinds have their channel, and most of them no body: those are kept and read without one. */
static bool well_formed(enum art_chan chan, const struct art_hdr *h)
{
	if ((chan == ART_CHAN_DATA) != (h->kind <= ART_K_NUDGE) && h->kind != ART_K_WMARK &&
	    h->kind != ART_K_STABLE)
		return false;
	return !h->len || is_ft(h->kind) || h->kind == ART_K_DATA || h->kind == ART_K_OUTCOME ||
	       h->kind == ART_K_RELAY || h->kind == ART_K_RELAY_BEAT || h->kind == ART_K_CERT;
}

/* ---- dead edges ---- */

static void take_frame(struct art_core *c, enum art_chan chan, int from, const struct art_hdr *h,
		       const uint8_t *body);

/* Could a message that was lost just now have mattered? */
static bool anything_unstable(const struct art_core *c)
{
	for (const struct art_comm *m = c->ops.comms; m; m = m->next)
		if (m->top_seq > m->stable || m->early)
			return true;
	return false;
}

/* A change of the view puts right what may be lost. */
static void mend(struct art_core *c)
{
	if (c->relink_ns == ART_NEVER && anything_unstable(c))
		c->relink_ns = art__env_now(c->env) + c->cfg.retry_ns / 4;
}

static void on_no_way(struct art_core *c, int from, const struct art_hdr *h)
{
	if (h->seq != (uint64_t)from)
		art__relay_refused(&c->relay, from, h->seq < (uint64_t)c->cfg.size ? (int)h->seq : -1);
	else if (art__relay_unheard(&c->relay, from, !(h->flags & 1)))
		c->relink_ns = art__env_now(c->env);
}

static void on_relay(struct art_core *c, int from, const struct art_hdr *h, const uint8_t *body)
{
	struct art_relayed in;
	struct art_set watched;
	const uint8_t *whole;
	size_t len;
	int to;

	if (!art__ctl_take(&c->ctl, from, h, body, &whole, &len))
		return;
	if (art__relay_take(&c->relay, from, whole, len, &in, &to)) {
		if (well_formed(in.chan, &in.h))
			take_frame(c, in.chan, in.from, &in.h, in.body);
	}
	art__ctl_reset(&c->ctl, from);
	if (to < 0)
		return;
	art__set_init(&watched, (uint32_t)c->cfg.size);
	art__set_add(&watched, (uint32_t)to);
	art__det_want(&c->det, &watched);
}

/* ---- messages ---- */

static void take_frame(struct art_core *c, enum art_chan chan, int from, const struct art_hdr *h,
		       const uint8_t *body)
{
	const uint8_t *whole;
	size_t len;

	if (c->ft.fate) {
		/* whoever still counts on this rank may stop */
		if (chan == ART_CHAN_CTL && h->kind != ART_K_EVICTED && h->kind != ART_K_GONE)
			art__ft_say_gone(&c->ft, from, h->kind == ART_K_REQUEST, h->epoch);
		return;
	}
	if (is_ft(h->kind)) {
		if (art__ctl_take(&c->ctl, from, h, body, &whole, &len)) {
			look_before(c);
			art__ft_message(&c->ft, from, h->kind, h->epoch, whole, len);
			art__ctl_reset(&c->ctl, from);
		}
	} else if (!art__set_has(&c->ft.view.members, (uint32_t)from)) {
		ART_MARK(c->env, ART_M_EVICTED_TOLD);
		art__ctl_send(&c->ctl, from, ART_K_EVICTED, c->ft.view.epoch, NULL, 0);
	} else if (h->kind == ART_K_ASK_CERT) {
		on_ask_cert(c, from, h);
	} else if (h->kind == ART_K_CERT) {
		on_cert(c, from, h, body);
	} else if (h->kind == ART_K_RELAY) {
		on_relay(c, from, h, body);
	} else if (h->kind == ART_K_RELAY_BEAT) {
		art__det_beat_round(&c->det, from, body, h->len);
	} else if (h->kind == ART_K_RELAY_NO) {
		on_no_way(c, from, h);
	} else if (chan == ART_CHAN_CTL) {
		art__coll_ctl(&c->ops, from, h);
	} else {
		art__coll_data(&c->ops, from, h, body);
	}
}

static void on_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	struct art_core *c = core_of(m);

	if (!well_formed(chan, h))
		return;
	art__det_heard(&c->det, from);
	take_frame(c, chan, from, h, body);
	art__coll_tidy(&c->ops);
}

static void on_room(struct art_machine *m, int to)
{
	struct art_core *c = core_of(m);

	art__coll_room(&c->ops, to);
	art__coll_tidy(&c->ops);
}

/* Reports may be gone with a connection. Not each time that one to a peer cannot be made. */
static void say_again(struct art_core *c)
{
	uint64_t now = art__env_now(c->env);

	if (c->said_ns && now - c->said_ns < c->cfg.retry_ns) {
		c->again_ns = c->said_ns + c->cfg.retry_ns;
		return;
	}
	c->said_ns = now;
	c->again_ns = ART_NEVER;
	for (struct art_comm *k = c->ops.comms; k; k = k->next)
		if (k->made)
			art__stable_again(k);
}

static void on_link_down(struct art_machine *m, enum art_chan chan, int peer)
{
	struct art_core *c = core_of(m);

	if (c->ft.fate || !art__set_has(&c->ft.view.members, (uint32_t)peer))
		return;
	if (!c->ft.finalizing)
		ask_for_certificate(c, peer);
	if (art__relay_down(&c->relay, chan, peer))
		mend(c);
	if (chan == ART_CHAN_CTL) {
		art__ctl_reset(&c->ctl, peer);
		if (!art__set_has(&c->ft.suspect, (uint32_t)peer))
			say_again(c);
		art__coll_tidy(&c->ops);
		return;
	}
	c->ops.blocked[peer] = false;
	if (c->ft.finalizing && !c->ops.active)
		return; /* this rank has finished; those who have, too, are closing down */
	if (!art__relay_indirect(&c->relay, peer))
		mend(c);
}

/* Members would wait for this rank, and nothing of it can be said dead or silent. */
static void on_starved(struct art_machine *m, int peer)
{
	struct art_core *c = core_of(m);

	bool needed = peer < 0 ? c->ops.active != NULL :
		      art__set_has(&c->ft.view.members, (uint32_t)peer) && !c->ft.finalizing;

	if (needed)
		art__ft_give_up(&c->ft, ART_ERR_TRANSPORT);
}

static void on_dead(struct art_machine *m, int slot, uint32_t epoch, const struct art_set *members, bool early)
{
	struct art_core *c = core_of(m);

	sign(c, slot, "is dead: its host's kernel says so");
	if (members && epoch)
		art__env_log(c->env, ART_LOG_INFO, "rank %d, which is dead, acted last in epoch %u", slot,
			     (unsigned)epoch);
	look_before(c);
	c->early = early;
	art__ft_dead(&c->ft, slot, epoch, members);
	c->early = false;
	art__det_stir(&c->det);
	art__coll_tidy(&c->ops);
}

static void on_suspect(struct art_machine *m, int slot)
{
	struct art_core *c = core_of(m);

	sign(c, slot, "is told to leave: the detector's verdict");
	look_before(c);
	art__ft_suspect(&c->ft, slot);
	art__coll_tidy(&c->ops);
}

static void on_beat(struct art_machine *m, int from, const uint8_t *p, size_t len)
{
	struct art_core *c = core_of(m);

	if (!c->ft.fate)
		art__det_beat(&c->det, from, p, len);
}

static void on_looked(struct art_machine *m, int slot, enum art_look look)
{
	struct art_core *c = core_of(m);

	if (!c->ft.fate)
		art__det_looked(&c->det, slot, look);
}

static void on_voted(struct art_machine *m, const uint8_t *p, size_t len)
{
	struct art_core *c = core_of(m);

	art__ft_voted(&c->ft, p, len);
	art__coll_tidy(&c->ops);
}

static void on_computed(struct art_machine *m, struct art_job *job)
{
	struct art_core *c = core_of(m);

	if (job->op)
		art__work_computed(&c->ops, job);
	else
		art__notify_told(job);
	art__coll_tidy(&c->ops);
}

static uint8_t *on_place(struct art_machine *m, int from, const struct art_hdr *h, struct art_lending *in)
{
	return art__coll_place(&core_of(m)->ops, from, h, in);
}

static void on_returned(struct art_machine *m, struct art_op *op)
{
	struct art_core *c = core_of(m);

	art__coll_returned(&c->ops, op);
	art__coll_tidy(&c->ops);
}

static void on_tick(struct art_machine *m)
{
	struct art_core *c = core_of(m);
	uint64_t now = art__env_now(c->env);
	struct art_set awaited;

	if (now >= c->relay.again_ns && art__relay_ask(&c->relay, &c->ft.view.edges, now))
		c->relink_ns = now;
	if (now >= c->again_ns)
		say_again(c);
	if (c->relink_ns != ART_NEVER && now >= c->relink_ns) {
		c->relink_ns = ART_NEVER;
		art__ft_relink(&c->ft);
	}
	if (!c->ft.fate)
		art__det_tick(&c->det, waits(c));
	if (!c->ft.fate)
		art__links_tick(&c->links, &c->ft.view.members, now);
	art__ft_tick(&c->ft);
	if (art__ft_awaited(&c->ft, &awaited))
		art__det_want(&c->det, &awaited);
	if (!c->ft.fate)
		art__coll_tick(&c->ops, now);
	if (!art__set_empty(&c->ops.unanswered)) {
		art__det_want(&c->det, &c->ops.unanswered);
		art__set_init(&c->ops.unanswered, (uint32_t)c->cfg.size);
	}
	if (art__relay_lost(&c->relay))
		mend(c);
	art__coll_tidy(&c->ops);
}

static uint64_t on_wake(struct art_machine *m)
{
	struct art_core *c = core_of(m);
	uint64_t t = art__ft_wake(&c->ft), u;

	if (c->ft.fate)
		return ART_NEVER;
	if (c->relink_ns < t)
		t = c->relink_ns;
	if (c->links.at_ns < t)
		t = c->links.at_ns;
	if (c->again_ns < t)
		t = c->again_ns;
	if (c->relay.again_ns < t)
		t = c->relay.again_ns;
	u = art__coll_wake(&c->ops);
	t = u < t ? u : t;
	u = art__det_wake(&c->det, waits(c));
	return u < t ? u : t;
}

static bool on_busy(struct art_machine *m)
{
	struct art_core *c = core_of(m);

	return c->ops.active || c->ops.serves;
}

static bool on_held_up(struct art_machine *m)
{
	return core_of(m)->ft.frozen;
}

static int on_peek(struct art_machine *m)
{
	struct art_core *c = core_of(m);
	int found = c->ft.fate ? -1 : art__arena_peek(&c->ops);

	if (found > 0)
		art__coll_tidy(&c->ops);
	return found;
}

static bool on_doze(struct art_machine *m, bool on)
{
	struct art_core *c = core_of(m);
	bool moved = !c->ft.fate && art__arena_doze(&c->ops, on);

	if (moved)
		art__coll_tidy(&c->ops);
	return moved;
}

static bool on_rest(struct art_machine *m)
{
	struct art_core *c = core_of(m);

	return !c->ft.fate && art__arena_rest(&c->ops);
}

static void on_describe(struct art_machine *m, struct art_report *r)
{
	struct art_core *c = core_of(m);

	memset(r, 0, offsetof(struct art_report, comm));
	r->slot = c->cfg.slot;
	r->size = c->cfg.size;
	r->epoch = c->ft.view.epoch;
	r->base = c->ft.view.base;
	art__set_copy(&r->members, &c->ft.view.members);
	art__set_copy(&r->dead, &c->ft.dead);
	art__set_copy(&r->suspect, &c->ft.suspect);
	art__set_and(&r->dead, &r->members);
	art__set_and(&r->suspect, &r->members);
	r->changing = c->ft.frozen || c->ft.nfrozen_named || art__ft_needed(&c->ft);
	r->fate = c->ft.fate ? fate_text(c->ft.fate) : NULL;
	r->memory_bytes = art__core_bytes(c);
	art__set_init(&r->indirect, (uint32_t)c->cfg.size);
	for (int i = 0; i < c->cfg.size; i++)
		if (art__relay_indirect(&c->relay, i) && art__set_has(&r->members, (uint32_t)i))
			art__set_add(&r->indirect, (uint32_t)i);
	r->relayed = c->relay.sent;
	r->edges = c->ft.view.edges;
	art__det_describe(&c->det, r);
	art__coll_describe(&c->ops, r);
}

static const struct art_machine_ops core_machine = {
	.frame = on_frame,
	.room = on_room,
	.link_down = on_link_down,
	.starved = on_starved,
	.dead = on_dead,
	.suspect = on_suspect,
	.beat = on_beat,
	.looked = on_looked,
	.voted = on_voted,
	.returned = on_returned,
	.place = on_place,
	.computed = on_computed,
	.tick = on_tick,
	.wake_ns = on_wake,
	.busy = on_busy,
	.held_up = on_held_up,
	.peek = on_peek,
	.doze = on_doze,
	.rest = on_rest,
	.describe = on_describe,
};

/* ---- life ---- */

static int init_detector(struct art_core *c)
{
	struct art_det_client client = {
		.self = c,
		.send = c->port->beat ? det_send : NULL,
		.look = c->port->look ? det_look : NULL,
		.verdict = det_verdict,
		.edge = det_edge,
		.send_round = det_send_round,
		.tell_evicted = det_tell_evicted,
		.ask_view = det_ask_view,
	};
	bool used = client.send || client.look;
	int rc = art__det_init(&c->det, c->env, &client, c->cfg.slot, c->cfg.size, c->cfg.hosts,
			       used ? c->cfg.heartbeat_ns : 0, c->cfg.bound_ns);

	if (!rc)
		art__det_watch(&c->det, &c->ft.view.members, &c->ft.suspect, &c->ft.view.epoch);
	return rc;
}

/* Host numbers matter only if there is more than one host. */
static int copy_hosts(struct art_core *c)
{
	const int *hosts = c->cfg.hosts;
	bool several = false;

	c->cfg.hosts = NULL;
	for (int i = 1; hosts && i < c->cfg.size; i++)
		several |= hosts[i] != hosts[0];
	if (!several)
		return 0;
	c->hosts = art__env_alloc(c->env, (size_t)c->cfg.size * sizeof(int));
	if (!c->hosts)
		return ART_ERR_NOMEM;
	memcpy(c->hosts, hosts, (size_t)c->cfg.size * sizeof(int));
	c->cfg.hosts = c->hosts;
	return 0;
}

int art__core_create(const struct art_env *env, const struct art_port *port,
		     const struct art_core_cfg *cfg, struct art_core **out)
{
	struct art_core *c;
	struct art_ft_client client = {
		.freeze = ft_freeze,
		.report = ft_report,
		.wanted = ft_wanted,
		.install = ft_install,
		.fate = ft_fate,
		.ctl = ft_ctl,
		.fence = ft_fence,
		.knows = ft_knows,
		.vote = port->vote ? ft_vote : NULL,
		.step = ft_step,
	};
	int rc;

	if (cfg->size < 1 || cfg->size > (int)ART_MAX_RANKS || cfg->slot < 0 ||
	    cfg->slot >= cfg->size || cfg->small_max > ART_EAGER ||
	    !cfg->ring_segment || cfg->ring_segment > ART_EAGER)
		return ART_ERR_ARG;
	c = art__env_zalloc(env, sizeof(*c));
	if (!c)
		return ART_ERR_NOMEM;
	c->machine.ops = &core_machine;
	c->env = env;
	c->cfg = *cfg;
	c->relink_ns = c->again_ns = ART_NEVER;
	client.self = c;
	rc = copy_hosts(c);
	art__relay_init(&c->relay, env, port, &c->ctl, cfg->slot, cfg->size, c->hosts,
			 cfg->bound_ns);
	c->port = art__relay_port(&c->relay);
	art__ctl_init(&c->ctl, env, c->port);
	art__links_init(&c->links, c->port, cfg->slot, cfg->heartbeat_ns ? cfg->size : 0, art__env_now(env));
	if (!rc)
		rc = art__ft_init(&c->ft, env, &client, cfg->slot, (uint32_t)cfg->size,
				  cfg->retry_ns, cfg->quorum_wait_ns, cfg->mutant);
	art__relay_watch(&c->relay, &c->ft.view.members, &c->ft.suspect);
	c->ft.lowest_half = cfg->lowest_half;
	c->ft.star_max = cfg->star_max;
	if (!rc)
		rc = init_detector(c);
	if (!rc)
		rc = art__coll_init(&c->ops, env, c->port, &c->cfg, &c->ft);
	if (rc) {
		art__core_destroy(c);
		return rc;
	}
	*out = c;
	return 0;
}

void art__core_destroy(struct art_core *c)
{
	if (c->ops.env)
		art__coll_fini(&c->ops);
	if (c->ft.env)
		art__ft_fini(&c->ft);
	if (c->ctl.env)
		art__ctl_fini(&c->ctl);
	if (c->det.env)
		art__det_fini(&c->det);
	if (c->relay.env)
		art__relay_fini(&c->relay);
	art__env_free(c->env, c->hosts);
	art__env_free(c->env, c);
}

/* ---- what the API asks ---- */

struct art_machine *art__core_machine(struct art_core *c)
{
	return &c->machine;
}

struct art_comm *art__core_world(struct art_core *c)
{
	return c->ops.world;
}

const struct art_set *art__core_members(const struct art_core *c)
{
	return &c->ft.view.members;
}

uint32_t art__core_epoch(const struct art_core *c)
{
	return c->ft.view.epoch;
}

int art__core_fate(const struct art_core *c)
{
	return c->ft.fate;
}

const struct art_change_times *art__core_last_change(const struct art_core *c)
{
	return &c->phases.last;
}

size_t art__core_bytes(const struct art_core *c)
{
	size_t n = sizeof(*c) + (size_t)c->cfg.size * (sizeof(bool) + sizeof(size_t)) +
		   art__ft_bytes(&c->ft) + art__det_bytes(&c->det) +
		   art__relay_bytes(&c->relay) + art__pool_bytes(&c->ops.pool) + c->ops.op_bytes;

	if (c->hosts)
		n += (size_t)c->cfg.size * sizeof(int);
	for (const struct art_comm *m = c->ops.comms; m; m = m->next)
		n += art__comm_bytes(m);
	return n;
}

int art__core_start(struct art_core *c, struct art_comm *comm, const struct art_call *call,
		    uint64_t deadline_ns, struct art_op **out)
{
	c->quick = !c->ft.fate && art__quick_start(&c->ops, comm, call, deadline_ns, out);
	return c->quick ? 0 : art__coll_start(&c->ops, comm, call, deadline_ns, out);
}

bool art__core_look(struct art_core *c, struct art_op *op)
{
	return art__quick_look(&c->ops, op);
}

bool art__core_quick(const struct art_core *c)
{
	return c->quick;
}

bool art__core_notify(struct art_core *c, struct art_comm *comm, art__news_fn *fn, void *arg)
{
	(void)c;
	return art__notify_set(comm, fn, arg);
}

int art__core_refuse(struct art_core *c, struct art_comm *comm, int code)
{
	return art__coll_refuse(&c->ops, comm, code);
}
