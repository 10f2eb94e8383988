/* SPDX-License-Identifier: MIT
 *
 * Headers and message counts between a machine and its transports. Decides whether a message is
 * genuine and in turn; what it means is the machine's business, how it travels the transport's.
 *
 * Counting. Both sides count the messages of one connection from 0. A sender counts from the
 * moment the last connection ended, because what it sends before up() waits for the next one and
 * is the first to flow on it; a transport that gives up a connection gives up that queue too
 * (down, reset, drop). A receiver counts from up(). So the numbers of one connection agree
 * whoever dialled and in whatever order the two sides heard of it.
 */
#include <assert.h>
#include <string.h>

#include <art/status.h>

#include "engine/link.h"

int art__link_init(struct art_link *l, const struct art_env *env, int slot, int size)
{
	assert(slot >= 0 && slot < size);
	memset(l, 0, sizeof(*l));
	l->env = env;
	l->slot = slot;
	l->size = size;
	for (int k = 0; k < 2; k++) {
		l->chan[k].link = l;
		l->chan[k].chan = k ? ART_CHAN_CTL : ART_CHAN_DATA;
		l->chan[k].peer = art__env_zalloc(env, (size_t)size * sizeof(struct art_link_peer));
		if (!l->chan[k].peer) {
			art__link_fini(l);
			return ART_ERR_NOMEM;
		}
	}
	return 0;
}

void art__link_fini(struct art_link *l)
{
	for (int k = 0; k < 2; k++) {
		art__env_free(l->env, l->chan[k].peer);
		l->chan[k].peer = NULL;
	}
}

/* A connection on which nobody has said anything, or one that never came to be: nothing is lost with
 * it. What the other side said and lost, the other side knows. */
static bool was_used(const struct art_link_peer *p)
{
	return p->tx_seq || p->rx_seq;
}

/* The connection is gone, and with it whatever was counted on it or queued for it. */
static void forget(struct art_link_peer *p)
{
	p->up = false;
	p->tx_seq = 0;
	p->rx_seq = 0;
}

static void tell_down(struct art_link_chan *c, int peer)
{
	struct art_machine *m = c->link->machine;

	m->ops->link_down(m, c->chan, peer);
}

/* Something is missing: only a new connection has a known state at both ends. */
static void restart(struct art_link_chan *c, int peer)
{
	c->tp->ops->reset(c->tp, peer);
	forget(&c->peer[peer]);
	tell_down(c, peer);
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct art_link_chan *c = self;
	struct art_link *l = c->link;
	struct art_link_peer *p = &c->peer[peer];
	struct art_hdr h;

	assert(!p->fenced);
	art__wire_read(head, &h);
	assert(h.len == len); /* the transport has asked body_len() */
	if (h.src != (uint32_t)peer) {
		l->garbage++;
		return;
	}
	if (h.link_seq < p->rx_seq) {
		l->repeats++;
		return;
	}
	if (h.link_seq > p->rx_seq) {
		l->gaps++;
		art__env_log(l->env, ART_LOG_INFO, "message %u from rank %d is missing, channel %d",
			     (unsigned)p->rx_seq, peer, (int)c->chan);
		restart(c, peer);
		return;
	}
	p->rx_seq++;
	c->rx_messages++;
	c->rx_bytes += len;
	l->machine->ops->frame(l->machine, c->chan, peer, &h, body);
}

static void on_room(void *self, int peer)
{
	struct art_link_chan *c = self;
	struct art_machine *m = c->link->machine;

	if (c->chan == ART_CHAN_DATA) /* control messages never wait for room */
		m->ops->room(m, peer);
}

static void on_up(void *self, int peer)
{
	struct art_link_chan *c = self;
	struct art_link_peer *p = &c->peer[peer];

	if (p->up) { /* a new one without the end of the old: what was queued is unknown */
		restart(c, peer);
		return;
	}
	p->up = true;
	p->rx_seq = 0;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct art_link_chan *c = self;
	struct art_machine *m = c->link->machine;
	/* What was no message of ours may have been one when it left. */
	bool matters = was_used(&c->peer[peer]) || why == ART_TP_GARBAGE;

	forget(&c->peer[peer]);
	if (matters && why == ART_TP_STARVED && m->ops->starved)
		m->ops->starved(m, peer);
	if (matters)
		tell_down(c, peer);
}

static void on_returned(void *self, void *token)
{
	struct art_link_chan *c = self;
	struct art_machine *m = c->link->machine;

	m->ops->returned(m, token);
}

static bool on_place(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out)
{
	struct art_link_chan *c = self;
	struct art_machine *m = c->link->machine;
	struct art_lending in;
	struct art_hdr h;

	art__wire_read(head, &h);
	if (!m->ops->place || h.src != (uint32_t)peer || h.len != len)
		return false;
	out->at = m->ops->place(m, peer, &h, &in);
	out->token = in.op;
	out->base = (void *)(uintptr_t)in.base;
	out->bytes = in.bytes;
	return out->at;
}

static void on_deaf(void *self)
{
	struct art_link_chan *c = self;
	struct art_machine *m = c->link->machine;

	if (m->ops->starved)
		m->ops->starved(m, -1);
}

static int64_t on_head(void *self, const uint8_t *head)
{
	(void)self;
	return art__wire_body_len(head);
}

void art__link_up(struct art_link *l, enum art_chan chan, struct art_tp_up *up)
{
	up->self = &l->chan[chan];
	up->body_len = on_head;
	up->message = on_message;
	up->room = on_room;
	up->up = on_up;
	up->down = on_down;
	up->deaf = on_deaf;
	up->returned = chan == ART_CHAN_DATA ? on_returned : NULL;
	up->place = chan == ART_CHAN_DATA ? on_place : NULL;
}

void art__link_attach(struct art_link *l, enum art_chan chan, struct art_tp *tp)
{
	l->chan[chan].tp = tp;
}

/* send() may make no upcall; its losses are told here. */
static int tell_lost(struct art_link_chan *c)
{
	int told = 0;

	for (int k = 0; c->lost && k < c->link->size; k++) {
		if (!c->peer[k].lost)
			continue;
		c->peer[k].lost = false;
		c->lost--;
		told++;
		tell_down(c, k);
	}
	return told;
}

int art__link_poll(struct art_link *l, enum art_chan chan, int budget)
{
	struct art_link_chan *c = &l->chan[chan];
	int told = tell_lost(c);

	return told + c->tp->ops->poll(c->tp, budget);
}

static void lost(struct art_link_chan *c, int to)
{
	struct art_link_peer *p = &c->peer[to];

	c->tp->ops->reset(c->tp, to);
	forget(p);
	c->lost += !p->lost;
	p->lost = true;
}

/* @from: the body may be lent; NULL: not. */
static int give(struct art_link *l, enum art_chan chan, int to, const struct art_hdr *h,
		const void *body, size_t len, const struct art_lending *from, bool *lent)
{
	struct art_link_chan *c = &l->chan[chan];
	struct art_link_peer *p = &c->peer[to];
	struct art_hdr out = *h;
	uint8_t head[ART_HDR_BYTES];
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)body, len } };
	int rc;

	assert(to >= 0 && to < l->size && to != l->slot && len <= ART_BODY_MAX);
	if (p->fenced)
		return 1;
	out.src = (uint32_t)l->slot;
	out.len = (uint32_t)len;
	out.link_seq = p->tx_seq;
	art__wire_encode(&out, head);
	if (from && c->tp->ops->lend) {
		struct art_tp_loan loan = { from->op, from->base, from->bytes };

		rc = c->tp->ops->lend(c->tp, to, iov, &loan, lent);
	} else {
		rc = c->tp->ops->send(c->tp, to, iov, len ? 2 : 1);
	}
	if (rc >= 0) {
		p->tx_seq++;
		c->tx_messages++;
		c->tx_bytes += len;
		return rc;
	}
	lost(c, to);
	return 1;
}

/* The heads of the next messages of a stream, the first of which is *@h. */
static void fill_run(const struct art_link *l, const struct art_hdr *h, uint32_t seq,
		     struct art_tp_run *run)
{
	struct art_hdr out = *h;

	out.src = (uint32_t)l->slot;
	for (int i = 0; i < run->n; i++) {
		out.len = (uint32_t)art__transport_run_body(run, i);
		out.link_seq = seq + (uint32_t)i;
		art__wire_encode(&out, run->head[i]);
		out.off += out.len;
	}
}

size_t art__link_send_run(struct art_link *l, int to, const struct art_hdr *h, const void *body,
			  size_t len, size_t each, bool *room)
{
	struct art_link_chan *c = &l->chan[ART_CHAN_DATA];
	struct art_link_peer *p = &c->peer[to];
	uint8_t head[ART_TP_RUN_MAX][ART_HDR_BYTES];
	struct art_tp_run run = { .head = head, .body = body, .each = each, .room = true };
	struct art_hdr at = *h;
	size_t done = 0;

	assert(to >= 0 && to < l->size && to != l->slot && each > 0 && each <= ART_BODY_MAX);
	while (!p->fenced && run.room && done < len) {
		size_t left = (len - done + each - 1) / each;
		int rc;

		run.n = left < ART_TP_RUN_MAX ? (int)left : ART_TP_RUN_MAX;
		run.body = (const uint8_t *)body + done;
		run.len = len - done < (size_t)run.n * each ? len - done : (size_t)run.n * each;
		at.off = h->off + done;
		fill_run(l, &at, p->tx_seq, &run);
		rc = art__transport_send_run(c->tp, to, &run);
		if (rc < 0) {
			lost(c, to);
			*room = true;
			return len;
		}
		p->tx_seq += (uint32_t)rc;
		c->tx_messages += (uint64_t)rc;
		rc = rc == run.n ? (int)run.len : rc * (int)each;
		c->tx_bytes += (uint64_t)rc;
		done += (size_t)rc;
	}
	*room = run.room;
	return p->fenced ? len : done;
}

bool art__link_lends(const struct art_link *l, int to)
{
	return art__transport_lends(l->chan[ART_CHAN_DATA].tp, to);
}

int art__link_send(struct art_link *l, enum art_chan chan, int to, const struct art_hdr *h,
		   const void *body, size_t len)
{
	return give(l, chan, to, h, body, len, NULL, NULL);
}

int art__link_lend(struct art_link *l, int to, const struct art_hdr *h, const void *body, size_t len,
		   const struct art_lending *from, bool *lent)
{
	*lent = false;
	return give(l, ART_CHAN_DATA, to, h, body, len, from, lent);
}

void art__link_lent_over(struct art_link *l, struct art_op *op)
{
	struct art_tp *tp = l->chan[ART_CHAN_DATA].tp;

	if (tp->ops->lent_over)
		tp->ops->lent_over(tp, op);
}

void art__link_unplace(struct art_link *l, struct art_op *op)
{
	struct art_tp *tp = l->chan[ART_CHAN_DATA].tp;

	if (tp->ops->unplace)
		tp->ops->unplace(tp, op);
}

void art__link_fence(struct art_link *l, int slot)
{
	struct art_link_chan *c = &l->chan[ART_CHAN_DATA];
	struct art_link_peer *p = &c->peer[slot];

	if (p->fenced)
		return;
	p->fenced = true;
	c->lost -= p->lost;
	p->lost = false;
	forget(p);
	c->tp->ops->drop(c->tp, slot);
}

void art__link_relink(struct art_link *l, int slot)
{
	struct art_link_chan *c = &l->chan[ART_CHAN_DATA];

	if (c->peer[slot].fenced)
		return;
	c->tp->ops->reset(c->tp, slot);
	forget(&c->peer[slot]);
}

void art__link_open(struct art_link *l, enum art_chan chan, int to)
{
	struct art_link_chan *c = &l->chan[chan];

	assert(to >= 0 && to < l->size && to != l->slot);
	if (!c->peer[to].fenced && !c->peer[to].up)
		(void)c->tp->ops->connect(c->tp, to);
}
