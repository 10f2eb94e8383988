/* SPDX-License-Identifier: MIT
 *
 * The port of a rank whose segments are lent (cfg.lends): read by the receiver at the last moment, out of
 * memory that reads as rubbish once it was taken back. So who gives it back too soon makes wrong results.
 *
 * Bodies are put where they go before the receiver looks (place). What is still to come to the receive buffer of
 * one attempt must have been stopped before another one uses it: that a late one would spoil a result is rare
 * in here, so it is watched.
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

static void port_unplace(void *self, struct art_op *op)
{
	struct crank *r = self;

	for (size_t k = 0; k < CRANK_PLACED; k++)
		if (r->placed[k].op == op)
			r->placed[k].n = 0;
	art__link_unplace(&r->link, op);
}

static bool is_of(const struct crank_placed *p, const struct art_hdr *h)
{
	return p->comm == h->comm && p->seq == h->seq;
}

/* The record of the attempt of @h, an unused one, or the oldest. */
static struct crank_placed *placed_of(struct crank *r, const struct art_hdr *h)
{
	for (size_t k = 0; k < CRANK_PLACED; k++)
		if (is_of(&r->placed[k], h) && r->placed[k].epoch == h->epoch)
			return &r->placed[k];
	r->nplaced++;
	return &r->placed[r->nplaced % CRANK_PLACED];
}

static void watch(struct crank *r, const struct art_hdr *h, struct art_op *op)
{
	struct crank_placed *p;

	for (size_t k = 0; k < CRANK_PLACED; k++)
		if (is_of(&r->placed[k], h) && r->placed[k].n && r->placed[k].epoch != h->epoch)
			cluster_fail(r->cluster, "rank %d: op %llu: what comes in epoch %u goes where something "
				     "of epoch %u may still come", r->slot, (unsigned long long)h->seq,
				     (unsigned)h->epoch, (unsigned)r->placed[k].epoch);
	p = placed_of(r, h);
	if (!is_of(p, h) || p->epoch != h->epoch)
		*p = (struct crank_placed){ .comm = h->comm, .seq = h->seq, .epoch = h->epoch };
	p->op = op;
	p->n++;
}

void cluster__lend_came(struct crank *r, enum art_chan chan, const struct art_hdr *h)
{
	if (chan != ART_CHAN_DATA || h->kind != ART_K_DATA)
		return;
	for (size_t k = 0; k < CRANK_PLACED; k++)
		if (is_of(&r->placed[k], h) && r->placed[k].epoch == h->epoch && r->placed[k].n)
			r->placed[k].n--;
}

uint8_t *cluster__lend_place(struct art_machine *wrap, int from, const struct art_hdr *h,
			     struct art_lending *in)
{
	struct crank *r = (struct crank *)((char *)wrap - offsetof(struct crank, wrap));

	uint8_t *at = r->dead ? NULL : r->machine->ops->place(r->machine, from, h, in);

	if (at)
		watch(r, h, in->op);
	return at;
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
	r->port.unplace = port_unplace;
}
