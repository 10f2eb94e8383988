/* SPDX-License-Identifier: MIT
 *
 * Messages that came before their time: of an op not called here yet, of a later round, of an
 * epoch that is not installed yet, or while frozen. They are bounded by what senders may send
 * unasked (one message, or one segment, per op and edge, of ops not too far ahead of what is
 * stable), so that connections need never be left unread: another op behind them may be the one
 * the caller waits for. Whoever sends more than that is not believed to need it.
 */
#include "base/marks.h"
#include "coll/coll.h"

/* Views that a message which is lost may be ahead of this rank's. */
#define AHEAD 4

/* Each has to be found again: many small ones are as bad as a few large ones. */
static size_t cost(const struct art_hdr *h)
{
	return 1024 + h->len;
}

/* Who is honest is not far ahead. */
static void lost(struct art_ops *c, uint32_t epoch)
{
	uint32_t now = c->ft->view.epoch;

	if (epoch > now && epoch - now > AHEAD)
		epoch = now + AHEAD;
	if (epoch > c->lost_epoch)
		c->lost_epoch = epoch;
}

void art__early_keep(struct art_ops *c, struct art_early **list, enum art_chan chan, int from,
		     const struct art_hdr *h, const uint8_t *body)
{
	struct art_early *e = NULL;

	if (c->early_bytes[from] + cost(h) <= c->cfg.early_bytes)
		e = art__pool_get(&c->pool, sizeof(*e) + h->len);
	if (!e) {
		/* a lost message: as if the connection had broken */
		if (!c->ft->relink)
			art__env_log(c->env, ART_LOG_WARN,
				     "no memory to keep a message from rank %d", from);
		lost(c, h->epoch);
		art__ft_relink(c->ft);
		return;
	}
	c->early_bytes[from] += cost(h);
	e->next = NULL;
	e->from = from;
	e->chan = chan;
	e->hdr = *h;
	if (h->len)
		memcpy(e->body, body, h->len);
	while (*list)
		list = &(*list)->next;
	*list = e;
}

void art__early_free(struct art_ops *c, struct art_early *e)
{
	c->early_bytes[e->from] -= cost(&e->hdr);
	art__pool_put(&c->pool, e);
}

void art__early_drop(struct art_ops *c, struct art_early **list)
{
	while (*list) {
		struct art_early *e = *list;
		*list = e->next;
		art__early_free(c, e);
	}
}

void art__early_comm(struct art_comm *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	ART_MARK(m->coll->env, ART_M_EARLY_FRAME);
	art__early_keep(m->coll, &m->early, chan, from, h, body);
}

/* The op has begun: its messages find it now. */
void art__early_claim(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_early **p = &op->comm->early, *mine = NULL, **tail = &mine;

	while (*p) {
		struct art_early *e = *p;
		if (e->hdr.seq != op->seq || e->chan != ART_CHAN_DATA) {
			p = &e->next;
			continue;
		}
		*p = e->next;
		e->next = NULL;
		*tail = e;
		tail = &e->next;
	}
	while (mine) {
		struct art_early *e = mine;
		mine = e->next;
		art__coll_data(c, e->from, &e->hdr, e->body);
		art__early_free(c, e);
	}
}

/* After an install: what was too new may be due, what has grown old is dropped on the way. */
void art__early_retry(struct art_ops *c, struct art_comm *m)
{
	struct art_early *all = m->early;

	m->early = NULL;
	while (all) {
		struct art_early *e = all;
		all = e->next;
		if (e->chan == ART_CHAN_DATA)
			art__coll_data(c, e->from, &e->hdr, e->body);
		else
			art__coll_ctl(c, e->from, &e->hdr);
		art__early_free(c, e);
	}
}
