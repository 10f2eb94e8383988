/* SPDX-License-Identifier: MIT
 *
 * See relay.h. An envelope is a value of the control channel: who it is for, from whom, which
 * channel, the header and the body. Whoever carries one sends it on by its own direct connection or
 * says that it has none: an envelope makes two hops and no more.
 */
#include <assert.h>
#include <string.h>

#include "base/marks.h"
#include "core/relay.h"

#define PATIENCE 32 /* bounds */
#define UNKNOWN 4   /* bounds that an edge may be missing from the view; longer each time */
#define ENVELOPE (3 * 4 + ART_HDR_BYTES) /* before the body */

static bool same_host(const struct art_relay *r, int a, int b)
{
	return !r->hosts || r->hosts[a] == r->hosts[b];
}

static bool there(const struct art_relay *r, int slot)
{
	return art__set_has(r->members, (uint32_t)slot) && !art__set_has(r->suspect, (uint32_t)slot);
}

bool art__relay_indirect(const struct art_relay *r, int slot)
{
	return r->peer && r->peer[slot].state != ART_RELAY_DIRECT;
}

static void forget_refusals(struct art_relay *r, struct art_relay_peer *p)
{
	art__env_free(r->env, p->no);
	p->no = NULL;
}

static bool may_carry(const struct art_relay *r, int who, int to)
{
	return who != r->slot && who != to && there(r, who) &&
	       !(r->promised && !art__set_has(&r->next, (uint32_t)who)) &&
	       !art__relay_indirect(r, who) && !same_host(r, who, to) &&
	       !(r->peer[to].no && art__set_has(r->peer[to].no, (uint32_t)who));
}

/* Of a third host if there is one: what lies on ours has most likely lost the same way. The search
 * begins behind the peer, so that not one rank carries for everybody. */
static int choose(const struct art_relay *r, int to)
{
	int near = -1;

	for (int i = 1; i < r->size; i++) {
		int who = (to + i) % r->size;

		if (!may_carry(r, who, to))
			continue;
		if (!same_host(r, who, r->slot))
			return who;
		if (near < 0)
			near = who;
	}
	return near;
}

/* Whoever carried may have left or lost its own way meanwhile. */
static int carrier(struct art_relay *r, int to)
{
	struct art_relay_peer *p = &r->peer[to];

	if (p->via >= 0 && may_carry(r, p->via, to))
		return p->via;
	p->via = choose(r, to);
	if (p->via < 0) {
		forget_refusals(r, p); /* all have refused: they may reach it by the next time */
		return -1;
	}
	r->lost = true; /* what the one before had of ours is uncertain */
	art__env_log(r->env, ART_LOG_INFO, "messages for rank %d go through rank %d", to, p->via);
	return p->via;
}

static bool post(struct art_relay *r, int hop, int to, int from, enum art_chan chan,
		 const struct art_hdr *h, const void *body, size_t len)
{
	uint8_t *p = art__env_alloc(r->env, ENVELOPE + len);
	struct art_wbuf w = { .p = p, .cap = ENVELOPE + len };
	struct art_hdr inner = *h;

	if (!p)
		return false;
	inner.src = (uint32_t)from;
	inner.len = (uint32_t)len;
	art__w_u32(&w, (uint32_t)to);
	art__w_u32(&w, (uint32_t)from);
	art__w_u32(&w, (uint32_t)chan);
	art__wire_encode(&inner, p + w.len);
	if (len)
		memcpy(p + ENVELOPE, body, len);
	art__ctl_send(r->ctl, hop, ART_K_RELAY, 0, p, ENVELOPE + len);
	art__env_free(r->env, p);
	return true;
}

/* ---- the port while an edge is dead ---- */

static int port_send(void *self, enum art_chan chan, int to, const struct art_hdr *h, const void *body,
		     size_t len)
{
	struct art_relay *r = self;
	int hop;

	if (!art__relay_indirect(r, to) ||
	    (chan == ART_CHAN_CTL && r->peer[to].state == ART_RELAY_HEALED))
		return r->world->send(r->world->self, chan, to, h, body, len);
	if (chan == ART_CHAN_DATA && r->peer[to].state == ART_RELAY_TURNING)
		return 1; /* the change of the view that is on its way runs this op again */
	r->sent += chan == ART_CHAN_DATA;
	hop = carrier(r, to);
	if (hop < 0 || !post(r, hop, to, r->slot, chan, h, body, len))
		r->lost |= chan == ART_CHAN_DATA;
	else
		ART_MARK(r->env, ART_M_RELAYED);
	return 1;
}

/* Nobody reads out of another's memory through a third. */
static bool port_lends(void *self, int to)
{
	struct art_relay *r = self;

	return !art__relay_indirect(r, to) && r->world->lends(r->world->self, to);
}

static int port_lend(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
		     const struct art_lending *from, bool *lent)
{
	struct art_relay *r = self;

	*lent = false;
	if (!art__relay_indirect(r, to))
		return r->world->lend(r->world->self, to, h, body, len, from, lent);
	return port_send(r, ART_CHAN_DATA, to, h, body, len);
}

static void port_lent_over(void *self, struct art_op *op)
{
	struct art_relay *r = self;

	r->world->lent_over(r->world->self, op);
}

static void port_unplace(void *self, struct art_op *op)
{
	struct art_relay *r = self;

	r->world->unplace(r->world->self, op);
}

static void port_fence(void *self, int slot)
{
	struct art_relay *r = self;

	r->world->fence(r->world->self, slot);
}

static void port_relink(void *self, int slot)
{
	struct art_relay *r = self;

	r->world->relink(r->world->self, slot);
}

static void port_open(void *self, enum art_chan chan, int to)
{
	struct art_relay *r = self;

	if (!art__relay_indirect(r, to))
		r->world->open(r->world->self, chan, to);
}

static void port_done(void *self, struct art_op *op)
{
	struct art_relay *r = self;

	r->world->done(r->world->self, op);
}

static void port_compute(void *self, struct art_job *job)
{
	struct art_relay *r = self;

	r->world->compute(r->world->self, job);
}

static void port_beat(void *self, int to, const void *p, size_t len)
{
	struct art_relay *r = self;

	r->world->beat(r->world->self, to, p, len);
}

static void port_look(void *self, int slot)
{
	struct art_relay *r = self;

	r->world->look(r->world->self, slot);
}

static void port_view(void *self, uint32_t epoch, const struct art_set *members)
{
	struct art_relay *r = self;

	r->world->view(r->world->self, epoch, members);
}

static void port_vote(void *self, const void *p, size_t len)
{
	struct art_relay *r = self;

	r->world->vote(r->world->self, p, len);
}

static void port_step(void *self, const char *name)
{
	struct art_relay *r = self;

	r->world->step(r->world->self, name);
}

static void interpose(struct art_relay *r)
{
	r->out = (struct art_port){
		.self = r,
		.send = port_send,
		.lends = r->world->lend ? port_lends : NULL,
		.lend = r->world->lend ? port_lend : NULL,
		.lent_over = r->world->lend ? port_lent_over : NULL,
		.unplace = r->world->unplace ? port_unplace : NULL,
		.fence = port_fence,
		.relink = port_relink,
		.open = r->world->open ? port_open : NULL,
		.done = port_done,
		.compute = port_compute,
		.beat = r->world->beat ? port_beat : NULL,
		.look = r->world->look ? port_look : NULL,
		.view = r->world->view ? port_view : NULL,
		.vote = r->world->vote ? port_vote : NULL,
		.step = r->world->step ? port_step : NULL,
		.arena = r->world->arena,
	};
}

static bool begin(struct art_relay *r)
{
	if (r->peer)
		return true;
	r->peer = art__env_zalloc(r->env, (size_t)r->size * sizeof(*r->peer));
	if (!r->peer)
		return false;
	for (int i = 0; i < r->size; i++)
		r->peer[i].via = -1;
	interpose(r);
	return true;
}

/* ---- edges ---- */

static bool turn(struct art_relay *r, int slot)
{
	struct art_relay_peer *p = &r->peer[slot];

	if (p->deaf || p->unheard_ns) {
		if (p->state == ART_RELAY_HEALED)
			p->state = ART_RELAY_RELAYED;
		if (p->state != ART_RELAY_DIRECT)
			return false;
		ART_MARK(r->env, ART_M_EDGE_DEAD);
		p->state = ART_RELAY_TURNING;
		p->via = -1;
		forget_refusals(r, p);
		r->world->relink(r->world->self, slot);
		return true;
	}
	if (p->state != ART_RELAY_DIRECT)
		p->state = ART_RELAY_HEALED;
	return false;
}

bool art__relay_edge(struct art_relay *r, int slot, bool dead)
{
	struct art_hdr h = { .kind = ART_K_RELAY_NO, .flags = !dead, .seq = (uint64_t)r->slot };
	bool change;

	if (dead ? !begin(r) : !r->peer)
		return false;
	r->peer[slot].deaf = dead;
	change = turn(r, slot);
	port_send(r, ART_CHAN_CTL, slot, &h, NULL, 0);
	return change;
}

bool art__relay_unheard(struct art_relay *r, int slot, bool dead)
{
	if (dead ? !begin(r) : !r->peer)
		return false;
	r->peer[slot].unheard_ns = dead ? art__env_now(r->env) : 0;
	return turn(r, slot);
}

bool art__relay_down(const struct art_relay *r, enum art_chan chan, int peer)
{
	if (!r->peer || chan != ART_CHAN_CTL)
		return false;
	if (r->peer[peer].carried)
		return true;
	for (int i = 0; i < r->size; i++)
		if (r->peer[i].state != ART_RELAY_DIRECT && r->peer[i].via == peer)
			return true;
	return false;
}

void art__relay_promised(struct art_relay *r, const struct art_set *next)
{
	r->promised = true;
	art__set_copy(&r->next, next);
}

/* ---- what the view knows of it ---- */

/* The lowest slot of its host, by which all know it. */
static uint32_t host_of(const struct art_relay *r, int slot)
{
	int i = 0;

	while (!same_host(r, i, slot))
		i++;
	return (uint32_t)i;
}

void art__relay_report(const struct art_relay *r, const struct art_set *members, struct art_edges *out)
{
	for (int i = 0; r->peer && r->hosts && i < r->size; i++) {
		enum art_relay_state s = r->peer[i].state;

		if ((s == ART_RELAY_TURNING || s == ART_RELAY_RELAYED) &&
		    art__set_has(members, (uint32_t)i))
			art__edges_add(out, host_of(r, r->slot), host_of(r, i));
	}
}

static bool all_known(const struct art_relay *r, const struct art_edges *known)
{
	struct art_edges own = { 0 };

	art__relay_report(r, r->members, &own);
	for (uint32_t i = 0; i < own.n && known->n < ART_EDGES_MAX; i++)
		if (!art__edges_has(known, own.e[i].a, own.e[i].b))
			return false;
	return true;
}

/* It died after the promise had gone out. The wait doubles, so that an edge that comes and goes costs
 * ever fewer changes. */
static void look_again(struct art_relay *r, const struct art_edges *known, uint64_t now)
{
	r->again_ns = ART_NEVER;
	if (r->peer && !all_known(r, known))
		r->again_ns = now + (UNKNOWN * r->bound_ns << (r->asked < 16 ? r->asked : 16));
}

bool art__relay_ask(struct art_relay *r, const struct art_edges *known, uint64_t now)
{
	if (now < r->again_ns)
		return false;
	r->again_ns = ART_NEVER;
	if (all_known(r, known))
		return false;
	ART_MARK(r->env, ART_M_EDGE_ASKED);
	r->asked++;
	return true;
}

void art__relay_installed(struct art_relay *r, const struct art_edges *known)
{
	r->lost = r->promised = false;
	for (int i = 0; r->peer && i < r->size; i++) {
		struct art_relay_peer *p = &r->peer[i];

		p->carried = false;
		if (p->unheard_ns && art__env_now(r->env) - p->unheard_ns > r->patience_ns)
			art__relay_unheard(r, i, false);
		if (p->state == ART_RELAY_TURNING) {
			p->state = ART_RELAY_RELAYED;
		} else if (p->state == ART_RELAY_HEALED) {
			ART_MARK(r->env, ART_M_EDGE_BACK);
			p->state = ART_RELAY_DIRECT;
			art__env_log(r->env, ART_LOG_INFO, "messages for rank %d go directly again", i);
		}
	}
	look_again(r, known, art__env_now(r->env));
}

bool art__relay_lost(struct art_relay *r)
{
	bool lost = r->lost;

	r->lost = false;
	return lost;
}

/* ---- envelopes ---- */

static void refuse(struct art_relay *r, int from, int to)
{
	struct art_hdr h = { .kind = ART_K_RELAY_NO, .seq = (uint64_t)to };

	ART_MARK(r->env, ART_M_RELAY_REFUSED);
	r->world->send(r->world->self, ART_CHAN_CTL, from, &h, NULL, 0);
}

static void carry(struct art_relay *r, int from, int to, const struct art_relayed *m)
{
	if (!there(r, to) || art__relay_indirect(r, to)) {
		refuse(r, from, to);
		return;
	}
	if (!begin(r) || !post(r, to, to, from, m->chan, &m->h, m->body, m->h.len)) {
		r->lost = true;
		return;
	}
	r->peer[to].carried = r->peer[from].carried = true;
}

bool art__relay_take(struct art_relay *r, int from, const uint8_t *body, size_t len,
		     struct art_relayed *out, int *carried_to)
{
	struct art_rbuf b = { .p = body, .len = len };
	uint32_t to = art__r_u32(&b), origin = art__r_u32(&b), chan = art__r_u32(&b);
	const uint8_t *head = art__r_bytes(&b, ART_HDR_BYTES);

	*carried_to = -1;
	if (b.bad || to >= (uint32_t)r->size || origin >= (uint32_t)r->size || to == origin ||
	    chan > ART_CHAN_CTL || !art__wire_decode(head, &out->h) || out->h.src != origin ||
	    out->h.len != len - ENVELOPE || out->h.kind == ART_K_RELAY)
		return false;
	out->from = (int)origin;
	out->chan = (enum art_chan)chan;
	out->body = body + ENVELOPE;
	if ((int)to == r->slot) /* not of @from itself: pieces of both would lie in one place (ctl.c) */
		return (int)origin != from && art__set_has(r->members, origin);
	if ((int)origin != from)
		return false; /* two hops and no more */
	*carried_to = (int)to;
	carry(r, from, (int)to, out);
	return false;
}

void art__relay_refused(struct art_relay *r, int by, int to)
{
	struct art_relay_peer *p;

	if (to < 0 || to >= r->size || !art__relay_indirect(r, to))
		return;
	p = &r->peer[to];
	if (!p->no && (p->no = art__env_alloc(r->env, sizeof(*p->no))))
		art__set_init(p->no, (uint32_t)r->size);
	if (p->no)
		art__set_add(p->no, (uint32_t)by);
	if (p->via != by)
		return;
	p->via = -1;
	r->lost = true;
}

/* ---- life ---- */

void art__relay_init(struct art_relay *r, const struct art_env *env, const struct art_port *world,
		     struct art_ctl *ctl, int slot, int size, const int *hosts, uint64_t bound_ns)
{
	memset(r, 0, sizeof(*r));
	r->env = env;
	r->world = world;
	r->out = *world;
	r->ctl = ctl;
	r->slot = slot;
	r->size = size;
	r->hosts = hosts;
	r->bound_ns = bound_ns;
	r->patience_ns = PATIENCE * bound_ns;
	r->again_ns = ART_NEVER;
}

void art__relay_watch(struct art_relay *r, const struct art_set *members, const struct art_set *suspect)
{
	r->members = members;
	r->suspect = suspect;
}

void art__relay_fini(struct art_relay *r)
{
	for (int i = 0; r->peer && i < r->size; i++)
		forget_refusals(r, &r->peer[i]);
	art__env_free(r->env, r->peer);
}

size_t art__relay_bytes(const struct art_relay *r)
{
	return r->peer ? (size_t)r->size * sizeof(*r->peer) : 0;
}

const struct art_port *art__relay_port(struct art_relay *r)
{
	return &r->out;
}
