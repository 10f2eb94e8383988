/* SPDX-License-Identifier: MIT
 *
 * The states of a pair (drawn in rdma.h): offers, the move to the ring, the move back.
 *
 * The move back loses nothing and doubles nothing. Each end first fences: from then on no write
 * of the other's lands. What had come is delivered; the position behind it goes out with the
 * break. The other end sends on the carrier, from its copy, what lies behind that position, then
 * what has been waiting. It has sent nothing meanwhile, so order is kept.
 */
#include "transport/rdma/rdma.h"

#include <art/status.h>
#include <assert.h>
#include <string.h>

#define BIT(s) (1u << (s))

static const unsigned may_follow[] = {
	[ART_RDMA_NONE] = BIT(ART_RDMA_OFFERED) | BIT(ART_RDMA_BROKEN),
	[ART_RDMA_OFFERED] = BIT(ART_RDMA_READY) | BIT(ART_RDMA_FENCED) | BIT(ART_RDMA_NONE),
	[ART_RDMA_READY] = BIT(ART_RDMA_PROBING) | BIT(ART_RDMA_FENCED) | BIT(ART_RDMA_NONE),
	[ART_RDMA_PROBING] = BIT(ART_RDMA_PROVED) | BIT(ART_RDMA_FENCED) | BIT(ART_RDMA_NONE),
	[ART_RDMA_PROVED] = BIT(ART_RDMA_UP) | BIT(ART_RDMA_FENCED) | BIT(ART_RDMA_NONE),
	[ART_RDMA_UP] = BIT(ART_RDMA_FENCED) | BIT(ART_RDMA_NONE),
	[ART_RDMA_FENCED] = BIT(ART_RDMA_BROKEN) | BIT(ART_RDMA_NONE),
	[ART_RDMA_BROKEN] = BIT(ART_RDMA_NONE),
};

void art__rdma_count_carrier(struct art_rdma *t)
{
	t->n_carrier = t->n_bounds = 0;
	t->n_in = t->next_in = 0;
	for (int i = 0; i < t->self.size; i++) {
		t->n_carrier += art__rdma_on_carrier(&t->peer[i]);
		t->n_bounds += t->peer[i].bound_ns != 0;
		if (t->peer[i].in_ring && t->peer[i].conn)
			t->in[t->n_in++] = i;
	}
}

static void set_state(struct art_rdma *t, struct art_rdma_peer *p, enum art_rdma_state state)
{
	assert(p->state == state || may_follow[p->state] & BIT(state));
	p->state = state;
	art__rdma_count_carrier(t);
}

void art__rdma_todo(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (!p->in_todo)
		TAILQ_INSERT_TAIL(&t->todo, p, todo);
	p->in_todo = true;
}

void art__rdma_todo_not(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->in_todo)
		TAILQ_REMOVE(&t->todo, p, todo);
	p->in_todo = false;
}

/* Whoever reads the ring, or a body in it, may be further up the stack. */
static void drop_conn(struct art_rdma *t, struct art_rdma_peer *p)
{
	struct art_rdma_conn *c = p->conn;

	if (!c)
		return;
	art__rdma_conn_fence(t, c);
	art__rdma_loans_over(t, &c->loans, UINT64_MAX); /* no one can read any more */
	art__rdma_forget_pulls(t, c);
	p->conn = NULL;
	art__rdma_count_carrier(t);
	if (t->polling)
		TAILQ_INSERT_TAIL(&t->dead, c, dead);
	else
		art__rdma_conn_free(t, c);
}

void art__rdma_pair_clear(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	drop_conn(t, p);
	art__rdma_forget_queue(t, p);
	art__rdma_todo_not(t, peer);
	p->dialled = p->link = p->told_up = p->ending = p->may_offer = p->offered = false;
	p->in_ring = p->held = p->heard_break = p->said_break = p->switched = p->carrier_full = false;
	p->bound_ns = p->our_at = 0;
	set_state(t, p, ART_RDMA_NONE);
}

void art__rdma_pair_end(struct art_rdma *t, int peer, enum art_tp_why why)
{
	assert(t->polling);
	if (t->peer[peer].link || t->peer[peer].dialled)
		t->carrier->ops->reset(t->carrier, peer);
	art__rdma_pair_clear(t, peer);
	t->upcalls++;
	t->up.down(t->up.self, peer, why);
}

/* ---- what is said ---- */

static void send_head(struct art_rdma *t, int peer, uint8_t head[ART_TP_HEAD])
{
	struct iovec v = {head, ART_TP_HEAD};
	int r = t->carrier->ops->send(t->carrier, peer, &v, 1);

	if (r < 0) { /* no memory: the ends no longer agree on where messages go */
		struct art_rdma_peer *p = &t->peer[peer];

		p->ending = true;
		p->why = ART_TP_RESET;
		art__rdma_todo(t, peer);
	}
}

static void say(struct art_rdma *t, int peer, enum art_rdma_say what, uint64_t position)
{
	uint8_t head[ART_TP_HEAD];

	art__rdma_word(head, what, position);
	send_head(t, peer, head);
}

/* False: there will be no RDMA on this connection. */
static bool offer(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	struct art_rdma_offer o;
	uint8_t head[ART_TP_HEAD];

	assert(p->state == ART_RDMA_NONE && !p->conn);
	if (t->dev.down || p->breaks >= ART_RDMA_BREAKS_MAX)
		return false;
	p->conn = art__rdma_conn_make(t, peer);
	if (!p->conn)
		return false;
	art__rdma_conn_offer(t, p->conn, &o);
	art__rdma_put_offer(head, &o);
	set_state(t, p, ART_RDMA_OFFERED);
	send_head(t, peer, head);
	return true;
}

void art__rdma_pair_up(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	p->link = true;
	p->dialled = false;
	if (t->alone)
		p->bound_ns = art__env_now(t->env) + t->connect_ns;
	art__rdma_count_carrier(t);
	p->may_offer = p->speaks;
	art__rdma_todo(t, peer);
	if (t->alone)
		return; /* up() comes with the first message that can flow */
	p->told_up = true;
	t->upcalls++;
	t->up.up(t->up.self, peer);
}

/* Both directions move at once, for users who want no message on the carrier. */
static void tell_up_alone(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (!t->alone || p->told_up || p->state != ART_RDMA_UP || !p->in_ring)
		return;
	p->told_up = true;
	p->bound_ns = 0;
	art__rdma_todo(t, peer); /* what was sent before flows */
	t->upcalls++;
	t->up.up(t->up.self, peer);
}

/* Said to who waits for it only (rdma.h): who has not moved to our ring needs none. */
static void say_break(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->said_break || p->state != ART_RDMA_BROKEN)
		return;
	p->said_break = true;
	say(t, peer, ART_RDMA_SAY_BREAK, p->our_at);
}

/* ---- the move to the ring ---- */

static void refuse(struct art_rdma *t, int peer)
{
	t->n[ART_RDMA_N_REFUSED]++;
	art__rdma_pair_break(t, peer, NULL);
}

/* Both ends are known. */
static void connect_ends(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (!art__rdma_conn_connect(t, p->conn, &p->theirs)) {
		refuse(t, peer);
		return;
	}
	set_state(t, p, ART_RDMA_READY);
	say(t, peer, ART_RDMA_SAY_READY, 0);
}

static void on_offer(struct art_rdma *t, int peer, const uint8_t head[ART_TP_HEAD])
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->state == ART_RDMA_BROKEN || p->state == ART_RDMA_FENCED)
		return; /* our break is on its way */
	if (p->offered || !art__rdma_get_offer(head, &p->theirs) || p->state > ART_RDMA_OFFERED) {
		t->n[ART_RDMA_N_REFUSED]++;
		art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
		return;
	}
	p->offered = true;
	if (p->state == ART_RDMA_OFFERED) {
		connect_ends(t, peer);
		return;
	}
	p->may_offer = true; /* ours may have failed, or they dialled without our knowing the address */
	art__rdma_todo(t, peer);
}

void art__rdma_pair_offer(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	bool made;

	if (!t->may_offer) {
		art__rdma_todo(t, peer);
		return;
	}
	p->may_offer = false;
	if (p->state != ART_RDMA_NONE || !p->link)
		return;
	t->may_offer = false;
	made = offer(t, peer);
	if (!made && t->alone) {
		p->ending = true;
		p->why = ART_TP_REFUSED;
	} else if (p->offered && !p->ending) {
		if (made)
			connect_ends(t, peer);
		else
			refuse(t, peer);
	}
}

static void on_ready(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->state == ART_RDMA_FENCED || p->state == ART_RDMA_BROKEN)
		return;
	if (p->state != ART_RDMA_READY) {
		art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
		return;
	}
	set_state(t, p, ART_RDMA_PROBING);
	if (!art__rdma_post_probe(t, p->conn))
		art__rdma_pair_break(t, peer, "cannot be posted to");
}

void art__rdma_pair_proved(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->state != ART_RDMA_PROBING)
		return;
	set_state(t, p, ART_RDMA_PROVED);
	if (t->alone && art__rdma_pair_switch(t, peer))
		tell_up_alone(t, peer);
}

bool art__rdma_pair_switch(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	assert(p->state == ART_RDMA_PROVED);
	say(t, peer, ART_RDMA_SAY_SWITCH, 0); /* behind all that is on the carrier */
	if (p->ending)
		return false;
	set_state(t, p, ART_RDMA_UP);
	t->n[ART_RDMA_N_UP]++;
	art__env_log(t->env, ART_LOG_DEBUG, "rank %d is written to over RDMA", peer);
	return true;
}

static void on_switch(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->state == ART_RDMA_BROKEN || p->state == ART_RDMA_FENCED) {
		p->switched = true; /* what they wrote is sent again */
		say_break(t, peer);
		return;
	}
	if (p->state < ART_RDMA_READY || p->in_ring) {
		art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
		return;
	}
	p->in_ring = true;
	art__rdma_count_carrier(t);
	art__rdma_todo(t, peer); /* messages may be there */
	tell_up_alone(t, peer);
}

/* ---- and back ---- */

static void say_broken(struct art_rdma *t, struct art_rdma_peer *p, int peer, const char *what)
{
	if (p->state != ART_RDMA_UP && !p->in_ring) {
		art__env_log(t->env, ART_LOG_INFO, "no RDMA to rank %d%s%s: over %s", peer,
			     what ? ": " : "", what ? what : "", t->carrier->ops->name);
		return;
	}
	t->n[ART_RDMA_N_BROKEN]++;
	p->breaks++;
	if (!p->said)
		art__env_log(t->env, ART_LOG_WARN, "RDMA to rank %d broke (%s): going on over %s",
			     peer, what ? what : "at the other end", t->carrier->ops->name);
	p->said = true;
}

void art__rdma_pair_break(struct art_rdma *t, int peer, const char *what)
{
	struct art_rdma_peer *p = &t->peer[peer];

	if (!p->link || p->state >= ART_RDMA_FENCED)
		return;
	say_broken(t, p, peer, what);
	if (t->alone) {
		p->ending = true;
		p->why = p->told_up ? ART_TP_RESET : ART_TP_REFUSED;
	}
	if (!p->conn) { /* an offer that cannot be answered: they stay where they are */
		set_state(t, p, ART_RDMA_BROKEN);
		art__rdma_todo(t, peer);
		return;
	}
	p->held = p->state == ART_RDMA_UP; /* until we know what they have */
	art__rdma_conn_fence(t, p->conn);
	set_state(t, p, ART_RDMA_FENCED);
	art__rdma_todo(t, peer);
}

/* Both breaks are known: the carrier has it all from here on. */
static void settle(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	struct art_rdma_conn *c = p->conn;

	if (p->state != ART_RDMA_BROKEN || !p->heard_break)
		return;
	say_break(t, peer);
	if (p->held && !art__rdma_resend(t, c, p->their_at)) {
		p->ending = true;
		p->why = ART_TP_RESET;
	}
	p->held = false;
	drop_conn(t, p);
	art__rdma_todo(t, peer); /* the queue flows */
}

void art__rdma_pair_drained(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];

	assert(p->state == ART_RDMA_FENCED && p->conn);
	set_state(t, p, ART_RDMA_BROKEN);
	p->our_at = p->conn->rx.at;
	if (p->in_ring || p->held || p->switched)
		say_break(t, peer);
	p->in_ring = false;
	if (!p->held)
		drop_conn(t, p);
	settle(t, peer);
}

static void on_break(struct art_rdma *t, int peer, const uint8_t head[ART_TP_HEAD])
{
	struct art_rdma_peer *p = &t->peer[peer];
	uint64_t at = art__rdma_word_position(head);

	if (p->heard_break ||
	    (p->conn ? !art__rdma_is_boundary(&p->conn->tx, at) : at != 0)) {
		art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
		return;
	}
	p->heard_break = true;
	p->their_at = at;
	if (p->state < ART_RDMA_FENCED)
		art__rdma_pair_break(t, peer, NULL);
	settle(t, peer);
}

void art__rdma_pair_hear(struct art_rdma *t, int peer, const uint8_t head[ART_TP_HEAD])
{
	assert(t->polling);
	switch (art__rdma_word_kind(head)) {
	case ART_RDMA_SAY_OFFER:
		on_offer(t, peer, head);
		return;
	case ART_RDMA_SAY_READY:
		on_ready(t, peer);
		return;
	case ART_RDMA_SAY_SWITCH:
		on_switch(t, peer);
		return;
	case ART_RDMA_SAY_BREAK:
		on_break(t, peer, head);
		return;
	case ART_RDMA_SAY_LAST:
		break;
	}
	art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
}
