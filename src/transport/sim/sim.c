/* SPDX-License-Identifier: MIT
 *
 * Instances of the simulated transport: who dials, who accepts, what a user is told and when. How
 * long things take and what gets lost is decided in sim_net.c.
 *
 * Peers of an instance:
 *
 *	idle --send, connect--> dialling --ACK--> established --FIN, reset--> idle
 *	  ^---SYN: accepted--------^-----------------^  (a new one from the peer replaces the old)
 *
 * When both dial, the lower slot's connection stands, and the other's queue moves to it.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <art/status.h>

#include "transport/sim/sim_impl.h"

#define SIM_CONNECT_NS (1 * ART_NS_PER_S)
#define SIM_QUEUE_HIGH (256u * 1024)
#define SIM_QUEUE_MAX (64u * 1024 * 1024)

static struct sim_inst *inst_of(struct art_tp *tp)
{
	return (struct sim_inst *)tp;
}

static int side_of(const struct sim_conn *c, const struct sim_inst *i)
{
	return c->end[0] == i->self.slot ? 0 : 1;
}

static struct sim_peer *peer_of(struct sim_inst *i, int peer)
{
	assert(peer >= 0 && peer < i->self.size);
	if (!i->peer[peer])
		i->peer[peer] = art__env_zalloc(&i->env, sizeof(struct sim_peer));
	return i->peer[peer];
}

void art__sim_inst_put(struct sim_inst *i, struct sim_item *it)
{
	bool first = !i->inbox.head;

	art__sim_list_put(&i->inbox, it);
	if (first)
		art__sim_announce(i->world, i->self.slot, i->self.channel);
}

/* ---- ends ---- */

static void queue_forget(struct sim_inst *i, struct sim_peer *p)
{
	struct sim_item *it;

	while ((it = art__sim_list_take(&p->queue)))
		art__sim_item_free(i->world, it);
	p->queued = 0;
	p->want_room = false;
}

/* This side is through with the peer's connection or its attempt at one. */
static void peer_end(struct sim_inst *i, struct sim_peer *p)
{
	struct sim_conn *c = p->conn ? p->conn : p->dial;

	p->conn = p->dial = NULL;
	queue_forget(i, p);
	if (!c)
		return;
	art__sim_conn_close(c, side_of(c, i), ART_TP_CLOSED);
	art__sim_conn_unref(c);
}

/* ---- sending ---- */

static int start_dial(struct sim_inst *i, struct sim_peer *p, int peer)
{
	struct art_sim_world *w = i->world;
	struct sim_event e = { .kind = SIM_EV_DIAL };
	struct sim_item *syn;

	p->dial = art__sim_conn_new(w, i->self.channel, i->self.slot, peer);
	syn = p->dial ? art__sim_item_new(w, SIM_SYN, 0) : NULL;
	if (!syn) {
		if (p->dial)
			art__sim_conn_unref(p->dial);
		p->dial = NULL;
		return ART_ERR_NOMEM;
	}
	e.self = p->dial;
	e.when = w->now + i->opts.connect_ns;
	art__sim_push(w, &e);
	art__sim_conn_push(p->dial, 0, syn);
	return 0;
}

/* The connect bound of a dial is over. */
void art__sim_on_dial(struct sim_conn *c)
{
	struct sim_inst *i = *art__sim_slot(c->world, c->end[0], c->chan);

	if (i && !i->dead && i->peer[c->end[1]] && i->peer[c->end[1]]->dial == c)
		art__sim_conn_tell(c, 0, ART_TP_REFUSED);
}

static size_t backlog(struct sim_inst *i, struct sim_peer *p)
{
	size_t n = p->queued;

	if (p->conn)
		n += art__sim_conn_backlog(p->conn, side_of(p->conn, i));
	return n;
}

/* Looks again when what now waits at the sender has left. */
static void watch_room(struct sim_inst *i, struct sim_peer *p)
{
	struct sim_event e = { .kind = SIM_EV_ROOM, .self = p->conn };

	if (!p->conn)
		return;
	e.side = side_of(p->conn, i);
	e.when = p->conn->dir[e.side].tx_free;
	art__sim_push(i->world, &e);
}

void art__sim_inst_room(struct art_sim_world *w, int slot, uint32_t chan, int peer)
{
	struct sim_inst *i = *art__sim_slot(w, slot, chan);
	struct sim_peer *p = i && !i->dead ? i->peer[peer] : NULL;
	struct sim_item *it;

	if (!p || !p->want_room || backlog(i, p) > i->opts.queue_high / 2)
		return;
	it = art__sim_item_new(w, SIM_ROOM, 0);
	assert(it);
	p->want_room = false;
	it->side = peer;
	art__sim_inst_put(i, it);
}

static struct sim_item *message_of(struct art_sim_world *w, const struct iovec *iov, int niov)
{
	struct sim_item *it;
	size_t len = 0;

	assert(niov >= 1 && iov[0].iov_len == ART_TP_HEAD);
	for (int k = 1; k < niov; k++)
		len += iov[k].iov_len;
	assert(len <= ART_TP_BODY_MAX);
	it = art__sim_item_new(w, SIM_MSG, len);
	if (it)
		(void)art__transport_flatten(it->data, iov, niov);
	return it;
}

static int give(struct sim_inst *i, int peer, const struct iovec *iov, int niov,
		const struct art_tp_loan *loan, bool *lent)
{
	struct sim_peer *p = peer_of(i, peer);
	struct sim_item *it;

	if (!p)
		return ART_ERR_NOMEM;
	if (p->dropped || !i->known[peer] || i->dead)
		return ART_ERR_TRANSPORT;
	it = message_of(i->world, iov, niov);
	if (!it)
		return ART_ERR_NOMEM;
	if (!p->conn && !p->dial && start_dial(i, p, peer) < 0) {
		art__sim_item_free(i->world, it);
		return ART_ERR_NOMEM;
	}
	if (loan)
		*lent = art__sim_lend(i, it, iov[1].iov_base, loan->token);
	if (p->conn) {
		art__sim_conn_push(p->conn, side_of(p->conn, i), it);
	} else {
		p->queued += ART_TP_HEAD + it->len;
		art__sim_list_put(&p->queue, it);
	}
	if (backlog(i, p) <= i->opts.queue_high)
		return 1;
	if (backlog(i, p) > i->opts.queue_max) {
		struct sim_conn *c = p->conn ? p->conn : p->dial;

		art__sim_conn_tell(c, side_of(c, i), ART_TP_RESET);
	}
	p->want_room = true;
	watch_room(i, p);
	return 0;
}

static int sim_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	return give(inst_of(tp), peer, iov, niov, NULL, NULL);
}

static bool sim_lends(const struct art_tp *tp, int peer)
{
	const struct sim_inst *i = (const struct sim_inst *)tp;

	(void)peer;
	return i->world->cfg.lends && i->up.returned;
}

static int sim_lend(struct art_tp *tp, int peer, const struct iovec iov[2],
		    const struct art_tp_loan *loan, bool *lent)
{
	struct sim_inst *i = inst_of(tp);

	*lent = false;
	return give(i, peer, iov, 2, i->world->cfg.lends && i->up.returned ? loan : NULL, lent);
}

static void sim_unplace(struct art_tp *tp, const void *token)
{
	art__sim_unplace(inst_of(tp), token);
}

static void sim_lent_over(struct art_tp *tp, const void *token)
{
	art__sim_lent_over(inst_of(tp), token);
}

/* ---- receiving: each returns the number of upcalls ---- */

static int established(struct sim_inst *i, struct sim_peer *p, int peer)
{
	struct sim_item *it;

	while ((it = art__sim_list_take(&p->queue)))
		art__sim_conn_push(p->conn, side_of(p->conn, i), it);
	p->queued = 0;
	if (p->want_room)
		watch_room(i, p);
	i->up.up(i->up.self, peer);
	return 1;
}

/* Our own dial to the peer that now dials us: does it stand? */
static bool own_dial_stands(const struct sim_inst *i, const struct sim_peer *p, int peer)
{
	const struct sim_conn *d = p->dial;

	return d && peer > i->self.slot && !d->closed[1] && !d->dir[1].ended;
}

static int on_syn(struct sim_inst *i, struct sim_conn *c)
{
	int peer = c->end[0], calls = 0;
	struct sim_peer *p = peer_of(i, peer);
	struct sim_item *ack;

	if (c->closed[0] || c->closed[1])
		return 0;
	if (!p || p->dropped || !i->listening) {
		art__sim_conn_close(c, 1, ART_TP_REFUSED);
		return 0;
	}
	if (own_dial_stands(i, p, peer)) {
		c->closed[1] = true; /* the peer abandons it when ours arrives */
		return 0;
	}
	if (p->dial) {
		p->dial->closed[0] = true;
		art__sim_conn_unref(p->dial);
		p->dial = NULL;
	}
	if (p->conn) {
		peer_end(i, p);
		i->up.down(i->up.self, peer, ART_TP_CLOSED);
		calls = 1;
		if (p->dropped || p->dial || i->dead) /* the user has thought of something else */
			return calls + on_syn(i, c);
	}
	ack = art__sim_item_new(i->world, SIM_ACK, 0);
	assert(ack);
	p->conn = c;
	art__sim_conn_ref(c);
	art__sim_conn_push(c, 1, ack);
	return calls + established(i, p, peer);
}

static int on_ack(struct sim_inst *i, struct sim_conn *c)
{
	int peer = c->end[1];
	struct sim_peer *p = i->peer[peer];

	if (!p || p->dial != c)
		return 0;
	p->conn = p->dial;
	p->dial = NULL;
	return established(i, p, peer);
}

static int on_fin(struct sim_inst *i, struct sim_conn *c, int side, enum art_tp_why why)
{
	int peer = c->end[side];
	struct sim_peer *p = i->peer[peer];

	if (!p || (p->conn != c && p->dial != c)) {
		art__sim_conn_close(c, 1 - side, ART_TP_CLOSED);
		return 0;
	}
	peer_end(i, p);
	i->up.down(i->up.self, peer, why);
	return 1;
}

static int on_msg(struct sim_inst *i, struct sim_item *it)
{
	struct sim_conn *c = it->conn;
	int peer = c->end[it->side];
	struct sim_peer *p = i->peer[peer];

	if (!p || p->conn != c || c->closed[1 - it->side])
		return 0;
	if (it->loan && !art__sim_read_lent(i->world, it)) {
		peer_end(i, p);
		i->up.down(i->up.self, peer, ART_TP_RESET);
		return 1;
	}
	if (i->up.body_len(i->up.self, it->data) != (int64_t)it->len) {
		peer_end(i, p);
		i->up.down(i->up.self, peer, ART_TP_GARBAGE);
		return 1;
	}
	i->up.message(i->up.self, peer, it->data, it->place ? it->place : it->data + ART_TP_HEAD, it->len);
	return 1;
}

static int on_room(struct sim_inst *i, int peer)
{
	if (!i->peer[peer] || i->peer[peer]->dropped)
		return 0;
	i->up.room(i->up.self, peer);
	return 1;
}

static int process(struct sim_inst *i, struct sim_item *it)
{
	switch (it->what) {
	case SIM_SYN:
		return on_syn(i, it->conn);
	case SIM_ACK:
		return on_ack(i, it->conn);
	case SIM_MSG:
		art__sim_conn_read(it->conn, it->side, ART_TP_HEAD + it->len);
		return on_msg(i, it);
	case SIM_FIN:
		return on_fin(i, it->conn, it->side, it->why);
	case SIM_ROOM:
		return on_room(i, it->side);
	case SIM_BACK:
		return art__sim_tell_back(i, it);
	}
	return 0;
}

static int sim_poll(struct art_tp *tp, int budget)
{
	struct sim_inst *i = inst_of(tp);
	struct sim_item *it;
	int calls = 0;

	assert(!i->polling);
	if (i->paused || i->dead)
		return 0;
	i->polling = true;
	art__sim_place(i);
	while (calls < budget && !i->dead && (it = art__sim_list_take(&i->inbox))) {
		calls += process(i, it);
		art__sim_item_free(i->world, it);
	}
	i->polling = false;
	if (!calls && i->world->cfg.autostep)
		art__sim_step(i->world);
	return calls;
}

/* ---- the rest of the contract ---- */

static int sim_open(const struct art_env *env, const struct art_tp_self *self,
		    const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out)
{
	struct art_sim_world *w = opts->world;
	struct sim_inst *i;

	if (!w || self->slot < 0 || self->slot >= w->cfg.size || self->size != w->cfg.size ||
	    self->channel >= ART_SIM_CHANNELS || *art__sim_slot(w, self->slot, self->channel))
		return ART_ERR_ARG;
	i = art__env_zalloc(env, sizeof(*i));
	if (!i)
		return ART_ERR_NOMEM;
	i->peer = art__env_zalloc(env, (size_t)self->size * sizeof(struct sim_peer *));
	i->known = art__env_zalloc(env, (size_t)self->size * sizeof(*i->known));
	if (!i->peer || !i->known) {
		art__env_free(env, i->peer);
		art__env_free(env, i->known);
		art__env_free(env, i);
		return ART_ERR_NOMEM;
	}
	i->tp.ops = &art__sim_ops;
	i->world = w;
	i->env = *env;
	i->self = *self;
	i->opts = *opts;
	i->up = *up;
	if (!i->opts.connect_ns)
		i->opts.connect_ns = SIM_CONNECT_NS;
	if (!i->opts.queue_high)
		i->opts.queue_high = SIM_QUEUE_HIGH;
	if (!i->opts.queue_max)
		i->opts.queue_max = SIM_QUEUE_MAX;
	i->dead = w->dead[self->slot];
	i->paused = w->paused[self->slot];
	*art__sim_slot(w, self->slot, self->channel) = i;
	*out = &i->tp;
	return 0;
}

static int sim_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct sim_inst *i = inst_of(tp);

	snprintf(addr, ART_TP_ADDR_MAX, "sim:%d/%u", i->self.slot, (unsigned)i->self.channel);
	i->listening = true;
	return 0;
}

static int sim_peer_addr(struct art_tp *tp, int peer, const char *addr)
{
	struct sim_inst *i = inst_of(tp);
	char want[ART_TP_ADDR_MAX];

	if (peer < 0 || peer >= i->self.size || peer == i->self.slot)
		return ART_ERR_ARG;
	snprintf(want, sizeof(want), "sim:%d/%u", peer, (unsigned)i->self.channel);
	if (strcmp(addr, want) != 0)
		return ART_ERR_ARG;
	i->known[peer] = true;
	return 0;
}

static int sim_connect(struct art_tp *tp, int peer)
{
	struct sim_inst *i = inst_of(tp);
	struct sim_peer *p = peer_of(i, peer);

	if (!p)
		return ART_ERR_NOMEM;
	if (p->dropped || !i->known[peer] || i->dead)
		return ART_ERR_TRANSPORT;
	return p->conn || p->dial ? 0 : start_dial(i, p, peer);
}

static int sim_fd(struct art_tp *tp)
{
	(void)tp;
	return -1;
}

/* ready() tells of what has arrived; an instance waits for nothing else. */
static uint64_t sim_wake(struct art_tp *tp)
{
	struct sim_inst *i = inst_of(tp);

	return i->world->cfg.autostep ? art__sim_next(i->world) : ART_NEVER;
}

static void sim_drop(struct art_tp *tp, int peer)
{
	struct sim_inst *i = inst_of(tp);
	struct sim_peer *p = peer_of(i, peer);

	if (!p)
		return;
	p->dropped = true;
	if (!i->dead)
		peer_end(i, p);
}

static void sim_reset(struct art_tp *tp, int peer)
{
	struct sim_inst *i = inst_of(tp);

	if (i->peer[peer] && !i->dead)
		peer_end(i, i->peer[peer]);
}

static size_t sim_pending(struct art_tp *tp)
{
	struct sim_inst *i = inst_of(tp);
	size_t n = 0;

	for (int k = 0; k < i->self.size; k++)
		n += i->peer[k] ? backlog(i, i->peer[k]) : 0;
	return n;
}

static unsigned sim_caps(struct art_tp *tp)
{
	(void)tp;
	return ART_TP_CAP_ORDERED | ART_TP_CAP_PEER_DEATH;
}

void art__sim_inst_die(struct sim_inst *i)
{
	struct sim_item *it;

	i->dead = true;
	while ((it = art__sim_list_take(&i->inbox)))
		art__sim_item_free(i->world, it);
}

static void sim_close(struct art_tp *tp)
{
	struct sim_inst *i = inst_of(tp);
	struct art_env env = i->env;

	assert(!i->polling);
	for (int k = 0; k < i->self.size; k++) {
		if (i->peer[k])
			peer_end(i, i->peer[k]);
		art__env_free(&env, i->peer[k]);
		i->peer[k] = NULL;
	}
	art__sim_inst_die(i);
	*art__sim_slot(i->world, i->self.slot, i->self.channel) = NULL;
	art__env_free(&env, i->peer);
	art__env_free(&env, i->known);
	art__env_free(&env, i);
}

const struct art_tp_ops art__sim_ops = {
	.name = "sim",
	.open = sim_open,
	.listen = sim_listen,
	.peer = sim_peer_addr,
	.connect = sim_connect,
	.send = sim_send,
	.lends = sim_lends,
	.lend = sim_lend,
	.lent_over = sim_lent_over,
	.unplace = sim_unplace,
	.poll = sim_poll,
	.fd = sim_fd,
	.wake_ns = sim_wake,
	.drop = sim_drop,
	.reset = sim_reset,
	.pending = sim_pending,
	.caps = sim_caps,
	.close = sim_close,
};
