/* SPDX-License-Identifier: MIT
 *
 * Messages whose bodies stay with the sender until the receiver looks at them, as a device would read them:
 * the latest moment that there is. Memory that was taken back reads as rubbish. From a sender who is dead,
 * or has ended the connection, nothing can be read: it ends here as well. What has been read comes back to
 * its owner a message's time later.
 *
 * The receiver's device puts them where they go (transport.h: place) while they are under way, and others are
 * still before them: rubbish, again and again, until they are looked at.
 */
#include <art/status.h>
#include <assert.h>
#include <string.h>

#include "transport/sim/sim_impl.h"

#define RUBBISH 0xdb

struct sim_loan {
	struct sim_loan *next, **prev;
	struct art_sim_world *world;
	void *token; /* NULL: taken back */
	const uint8_t *body;
	int slot;
	uint32_t chan;
};

static void loan_free(struct sim_loan *l)
{
	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	art__env_free(&l->world->env, l);
}

bool art__sim_lend(struct sim_inst *i, struct sim_item *it, const uint8_t *body, void *token)
{
	struct art_sim_world *w = i->world;
	struct sim_loan *l = art__env_alloc(&w->env, sizeof(*l));

	if (!l)
		return false;
	*l = (struct sim_loan){ .next = w->loans, .prev = &w->loans, .world = w, .token = token,
				.body = body, .slot = i->self.slot, .chan = i->self.channel };
	if (l->next)
		l->next->prev = &l->next;
	w->loans = l;
	memset(it->data + ART_TP_HEAD, RUBBISH, it->len);
	it->loan = l;
	return true;
}

bool art__sim_read_lent(struct art_sim_world *w, struct sim_item *it)
{
	struct sim_loan *l = it->loan;

	if (w->dead[l->slot] || it->conn->closed[it->side])
		return false;
	if (l->token && !it->spoilt)
		memcpy(it->data + ART_TP_HEAD, l->body, it->len);
	if (it->place)
		memcpy(it->place, it->data + ART_TP_HEAD, it->len);
	return true;
}

/* Nothing is put anywhere for who has ended the connection. */
static bool is_live(const struct sim_inst *i, const struct sim_item *it)
{
	const struct sim_peer *p = i->peer[it->conn->end[it->side]];

	return p && p->conn == it->conn && !it->conn->closed[1 - it->side];
}

static void place(struct sim_inst *i, struct sim_item *it)
{
	struct art_tp_place to;

	if (it->what != SIM_MSG || !it->loan || !is_live(i, it))
		return;
	if (!it->asked && i->up.place(i->up.self, it->conn->end[it->side], it->data, it->len, &to)) {
		it->place = to.at;
		it->place_token = to.token;
	}
	it->asked = true;
	if (it->place)
		memset(it->place, RUBBISH, it->len);
}

/* What flies to @i from @peer, oldest first. */
static struct sim_item *flying(struct sim_inst *i, int peer)
{
	struct sim_conn *c = i->peer[peer] ? i->peer[peer]->conn : NULL;

	if (!c)
		return NULL;
	return c->dir[c->end[0] == i->self.slot ? 1 : 0].fly.head;
}

void art__sim_place(struct sim_inst *i)
{
	if (!i->up.place || !i->world->loans)
		return;
	for (struct sim_item *it = i->inbox.head; it; it = it->next)
		place(i, it);
	for (int peer = 0; peer < i->self.size; peer++)
		for (struct sim_item *it = flying(i, peer); it; it = it->next)
			place(i, it);
}

static void unplace(struct sim_item *it, const void *token)
{
	if (!it->place || it->place_token != token)
		return;
	it->place = NULL;
	it->spoilt = true;
}

void art__sim_unplace(struct sim_inst *i, const void *token)
{
	for (struct sim_item *it = i->inbox.head; it; it = it->next)
		unplace(it, token);
	for (int peer = 0; peer < i->self.size; peer++)
		for (struct sim_item *it = flying(i, peer); it; it = it->next)
			unplace(it, token);
}

static void come_back(void *self, uint64_t word)
{
	struct sim_loan *l = self;
	struct sim_inst *i = *art__sim_slot(l->world, l->slot, l->chan);
	struct sim_item *it;

	(void)word;
	if (!l->token || !i || i->dead) {
		loan_free(l);
		return;
	}
	it = art__sim_item_new(l->world, SIM_BACK, 0);
	assert(it);
	it->loan = l;
	art__sim_inst_put(i, it);
}

void art__sim_loan_back(struct art_sim_world *w, struct sim_loan *l)
{
	const struct art_sim_model *m = &w->cfg.far;
	uint64_t ns = m->latency_ns + (m->jitter_ns ? art__sim_below(w, m->jitter_ns + 1) : 0);

	if (art__sim_at(w, w->now + ns, come_back, l, 0) < 0)
		loan_free(l);
}

int art__sim_tell_back(struct sim_inst *i, struct sim_item *it)
{
	void *token = it->loan->token;

	loan_free(it->loan);
	it->loan = NULL;
	if (!token)
		return 0;
	i->up.returned(i->up.self, token);
	return 1;
}

void art__sim_lent_over(struct sim_inst *i, const void *token)
{
	for (struct sim_loan *l = i->world->loans; l; l = l->next)
		if (l->token == token && l->slot == i->self.slot && l->chan == i->self.channel)
			l->token = NULL;
}

void art__sim_loans_free(struct art_sim_world *w)
{
	while (w->loans)
		loan_free(w->loans);
}
