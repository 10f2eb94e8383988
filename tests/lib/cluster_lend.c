/* SPDX-License-Identifier: MIT
 *
 * The port of a rank whose segments are lent (cfg.lends): read by the receiver at the last moment, out of
 * memory that reads as rubbish once it was taken back. So who gives it back too soon makes wrong results.
 */
#include "tests/lib/cluster_impl.h"

/* Mostly: what is sent as runs and what is lent keeps its order within a stream. */
static bool port_lends(void *self, int to)
{
	const struct crank *r = self;

	return (r->sent[ART_CHAN_DATA] + (uint64_t)to) % 4 != 0;
}

static int port_lend(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
		     const struct art_lending *from, bool *lent)
{
	struct crank *r = self;
	int room;

	*lent = false;
	if (!cluster__step(r))
		return 1;
	r->cluster->messages[ART_CHAN_DATA]++;
	r->sent[ART_CHAN_DATA]++;
	room = art__link_lend(&r->link, to, h, body, len, from, lent);
	r->cluster->lent += *lent;
	if (*lent && r->cluster->cfg.verbose)
		cluster__log(r->cluster, r->slot, "lend to %d: epoch %u seq %llu off %llu len %zu", to,
			     (unsigned)h->epoch, (unsigned long long)h->seq,
			     (unsigned long long)h->off, len);
	return room;
}

/* No step: memory that the process has, or that goes with it. */
static void port_lent_over(void *self, struct art_op *op)
{
	struct crank *r = self;

	art__link_lent_over(&r->link, op);
}

void cluster__lend_returned(struct art_machine *wrap, struct art_op *op)
{
	struct crank *r = (struct crank *)((char *)wrap - offsetof(struct crank, wrap));

	if (!r->dead)
		r->machine->ops->returned(r->machine, op);
}

void cluster__lend_port(struct crank *r)
{
	if (!r->cluster->cfg.lends)
		return;
	r->port.lends = port_lends;
	r->port.lend = port_lend;
	r->port.lent_over = port_lent_over;
}
