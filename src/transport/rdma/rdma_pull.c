/* SPDX-License-Identifier: MIT
 *
 * Bodies of lent messages: read out of the peer's memory into the room that they have in our ring, several
 * at a time, in order. What was read once is delivered like any other record; what is not there when the
 * way breaks counts as not received, and comes again over the carrier.
 *
 *   announced --looked at: a lent one, a read is posted--> pull --its completion--> there --> delivered
 */
#include "transport/rdma/rdma.h"

#include <string.h>

static bool room(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->pulls - c->pulls_read < c->reads && art__rdma_sq_room(t, c);
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
	if (!art__rdma_post_pull(t, c, p, &from)) {
		c->failed = "cannot be posted to";
		art__rdma_todo(t, c->peer);
		return false;
	}
	c->pulls++;
	return true;
}

void art__rdma_pull(struct art_rdma *t, struct art_rdma_conn *c)
{
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
		*body = c->rx.ring + (p->at & (c->rx.bytes - 1)) + ART_RDMA_LINE;
		*len = p->len;
		return c->pulls_done != c->pulls_read ? ART_RDMA_PULL_THERE : ART_RDMA_PULL_WAITS;
	}
	if (!c->reads || !art__rdma_peek(&c->rx, c->rx.at, len, &lent) || !lent)
		return ART_RDMA_PULL_NONE;
	return art__rdma_get_lent(&c->rx, &c->rx_key, c->rx.at, *len, head, &(struct art_rdma_source){0})
		       ? ART_RDMA_PULL_WAITS
		       : ART_RDMA_PULL_NONE;
}
