/* SPDX-License-Identifier: MIT
 *
 * Bodies of lent messages: read out of the peer's memory into the room that they have in our ring, several
 * at a time, in order. What was read once is delivered like any other record; what is not there when the
 * way breaks counts as not received, and comes again over the carrier.
 *
 *   announced --looked at: a lent one, a read is posted--> pull --its completion--> there --> delivered
 *
 * If the user says where a body goes, it is read to there, and nobody copies it. Whoever takes that memory
 * away (unplace) waits for the reads that are under way to it: they are from peers that live, since others
 * are dropped before. If one takes too long the way is fenced, which ends them all, and the pair goes on over
 * the carrier.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <string.h>

#define DRAIN_NS (20 * ART_NS_PER_MS)

static bool room(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->pulls - c->pulls_read < c->reads && art__rdma_sq_room(t, c);
}

/* Where the user wants it, or into its room in the ring. */
static void where_to(struct art_rdma *t, struct art_rdma_conn *c, struct art_rdma_pull *p)
{
	struct art_tp_place place;

	p->to = c->mem + (p->at & (c->rx.bytes - 1)) + ART_RDMA_LINE;
	p->token = NULL;
	p->reg = NULL;
	if (!t->dev.places || t->up.body_len(t->up.self, p->head) != (int64_t)p->len ||
	    !t->up.place(t->up.self, c->peer, p->head, p->len, &place))
		return;
	p->reg = art__rdma_place(t, &place, p->len);
	if (!p->reg)
		return;
	p->to = place.at;
	p->token = place.token;
	t->n[ART_RDMA_N_PLACED]++;
}

/* False: it cannot be posted, or is no record; who delivers finds that out. */
static bool start(struct art_rdma *t, struct art_rdma_conn *c, size_t len)
{
	struct art_rdma_pull *p = &c->pull[c->pulls % ART_RDMA_READS];
	struct art_rdma_source from;

	if (!art__rdma_get_lent(&c->rx, &c->rx_key, c->look_at, len, p->head, &from))
		return false;
	p->at = c->look_at;
	p->len = len;
	where_to(t, c, p);
	if (!art__rdma_post_pull(t, c, p, &from)) {
		if (p->reg)
			art__rdma_release(t, p->reg);
		c->failed = "cannot be posted to";
		art__rdma_todo(t, c->peer);
		return false;
	}
	c->pulls++;
	return true;
}

void art__rdma_pull(struct art_rdma *t, struct art_rdma_conn *c)
{
	assert(t->polling);
	if (!c->reads || !c->qp || c->failed)
		return;
	if ((int32_t)(c->rx.records - c->looked) > 0) { /* small ones are read early */
		c->looked = c->rx.records;
		c->look_at = c->rx.at;
	}
	while ((int32_t)(c->announced - c->looked) > 0) {
		bool lent;
		size_t len;

		if (!art__rdma_peek(&c->rx, c->look_at, &len, &lent))
			return;
		if (lent && (!room(t, c) || !start(t, c, len)))
			return;
		c->look_at = art__rdma_next(c->rx.bytes, c->look_at, len);
		c->looked++;
	}
}

enum art_rdma_pulled art__rdma_pulled(const struct art_rdma_conn *c, uint8_t head[ART_TP_HEAD],
				      const uint8_t **body, size_t *len)
{
	const struct art_rdma_pull *p = &c->pull[c->pulls_read % ART_RDMA_READS];
	bool lent;

	if (c->pulls != c->pulls_read && p->at == c->rx.at) { /* the word may be another one by now */
		memcpy(head, p->head, ART_TP_HEAD);
		*body = p->to;
		*len = p->len;
		return c->pulls_done != c->pulls_read ? ART_RDMA_PULL_THERE : ART_RDMA_PULL_WAITS;
	}
	if (!c->reads || !art__rdma_peek(&c->rx, c->rx.at, len, &lent) || !lent)
		return ART_RDMA_PULL_NONE;
	return art__rdma_get_lent(&c->rx, &c->rx_key, c->rx.at, *len, head, &(struct art_rdma_source){0})
		       ? ART_RDMA_PULL_WAITS
		       : ART_RDMA_PULL_NONE;
}

/* What a queue pair that stays could still read to is taken from it with the registration. */
static void release(struct art_rdma *t, struct art_rdma_conn *c, struct art_rdma_pull *p)
{
	if (p->reg && c->stuck)
		art__rdma_let_go(p->reg);
	if (p->reg)
		art__rdma_release(t, p->reg);
	p->reg = NULL;
	p->token = NULL;
}

void art__rdma_pull_done(struct art_rdma *t, struct art_rdma_conn *c)
{
	release(t, c, &c->pull[c->pulls_read++ % ART_RDMA_READS]);
}

void art__rdma_forget_pulls(struct art_rdma *t, struct art_rdma_conn *c)
{
	assert(!c->qp);
	while (c->pulls != c->pulls_read)
		art__rdma_pull_done(t, c);
}

/* ---- memory that is taken away ---- */

static bool is_read_to(const struct art_rdma_conn *c, const void *token)
{
	for (uint32_t i = c->pulls_done; c->qp && i != c->pulls; i++)
		if (c->pull[i % ART_RDMA_READS].token == token)
			return true;
	return false;
}

static void drain(struct art_rdma *t, struct art_rdma_conn *c, const void *token)
{
	uint64_t start = art__env_now(t->env);

	while (is_read_to(c, token) && !c->failed && art__env_now(t->env) - start < DRAIN_NS)
		(void)art__rdma_reap(t);
	if (!is_read_to(c, token))
		return;
	art__rdma_pair_break(t, c->peer, c->failed ? c->failed : "a read did not end in time");
	art__rdma_conn_fence(t, c);
}

/* What was read already is not delivered yet: it comes as anything. */
void art__rdma_unplace(struct art_rdma *t, const void *token)
{
	for (int i = 0; i < t->self.size; i++) {
		struct art_rdma_conn *c = t->peer[i].conn;

		if (!c || c->pulls == c->pulls_read)
			continue;
		drain(t, c, token);
		for (uint32_t k = c->pulls_read; k != c->pulls; k++) {
			struct art_rdma_pull *p = &c->pull[k % ART_RDMA_READS];

			if (p->token != token)
				continue;
			release(t, c, p);
			p->to = c->mem + (p->at & (c->rx.bytes - 1)) + ART_RDMA_LINE;
		}
	}
}
