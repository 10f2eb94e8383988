/* SPDX-License-Identifier: MIT
 *
 * Receives that all pairs of a device share, so that many pairs do not each keep as many posted as one busy
 * pair needs. A write takes whichever is next: which pair it was of, its queue pair's number says.
 *
 * Each pair has a grant: so many records the peer may have under way to us. Credits never tell more than that
 * allows, and the grants of all, with the receives that credits need, are never more than what is posted.
 *
 *   base --busy, and the rest of a window is free--> window
 *     window --another one is busy, and nothing is free: ask, of those idle the longest--> asked
 *     asked --the peer gives back what it has not used (art__rdma_give)--> base
 *
 * While it is asked nothing is told to the peer: what it gives back is counted from what it was told last. One
 * that is stopped does not answer, and keeps what it has until its way ends.
 *
 * A queue pair that ends may take a receive with it that no completion tells of. There is an event for that
 * (LAST_WQE_REACHED), not of all devices, and a fence does not wait: a spare receive takes its place. Where none was
 * taken the queue has one more than it needs, up to being full; what then has no room is a spare one, too.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BUSY 16u /* records read, after which a pair counts as that once more */
#define IDLE 4u  /* so often have all others on the average been, and this one not once */
#define HOT 16u  /* pairs that may have their whole window at a time */
#define SPARES 64u
#define RECEIVES 32u /* posted at a time */

/* ---- the queue ---- */

static unsigned kept(const struct art_rdma *t)
{
	return t->dev.srq_base + t->extra;
}

/* For how many pairs there are receives and completions beside a pool of @pool. */
static unsigned pairs_served(const struct art_rdma *t, const struct ibv_device_attr *attr, unsigned pairs,
			     unsigned beside, unsigned cqe_max)
{
	unsigned receives = attr->max_srq_wr > 0 ? (unsigned)attr->max_srq_wr : 0;
	unsigned n = pairs;

	if (attr->max_srq <= 0 || receives <= beside || cqe_max <= beside)
		return 0;
	if ((receives - beside) / kept(t) < n)
		n = (receives - beside) / kept(t);
	if ((cqe_max - beside) / (kept(t) + t->window + t->extra) < n)
		n = (cqe_max - beside) / (kept(t) + t->window + t->extra);
	return n;
}

unsigned art__rdma_srq_make(struct art_rdma *t, const struct ibv_device_attr *attr, unsigned pairs,
			    unsigned cqe_max)
{
	struct art_rdma_dev *d = &t->dev;
	struct ibv_srq_init_attr init = {.attr = {.max_sge = 1}};
	unsigned pool, n;

	d->srq_base = pairs <= HOT ? t->window : t->window / 4;
	pool = HOT * (t->window - d->srq_base);
	n = pairs_served(t, attr, pairs, pool + SPARES, cqe_max);
	init.attr.max_wr = n * kept(t) + pool + SPARES;
	/* Without, each pair needs completions for twice its queue. */
	if (n == 0 || (n < pairs && n < cqe_max / (2 * (t->window + t->extra))))
		return 0;
	d->srq = ibv_create_srq(d->pd, &init);
	if (!d->srq)
		return 0;
	d->srq_pairs = n;
	d->srq_free = pool;
	d->srq_used = n * kept(t) + pool;
	t->n[ART_RDMA_N_SHARED] = d->srq_used;
	if (init.attr.max_wr < d->srq_used || init.attr.max_wr >= cqe_max || !art__rdma_srq_refill(t)) {
		art__rdma_srq_close(t);
		return 0;
	}
	return init.attr.max_wr;
}

void art__rdma_srq_close(struct art_rdma *t)
{
	if (t->dev.srq && ibv_destroy_srq(t->dev.srq))
		art__env_log(t->env, ART_LOG_WARN, "shared receives of RDMA device %s stay: %s", t->dev.name,
			     strerror(errno));
	t->dev.srq = NULL;
	t->dev.srq_pairs = t->dev.srq_free = t->dev.srq_used = t->dev.srq_spares = 0;
	t->n[ART_RDMA_N_SHARED] = 0;
}

/* The device takes no more: is it that those that are left are spare ones? */
static bool are_spare(struct art_rdma_dev *d)
{
	if (d->srq_used > d->srq_spares)
		return false;
	d->srq_spares -= d->srq_used;
	d->srq_used = 0;
	return true;
}

bool art__rdma_srq_refill(struct art_rdma *t)
{
	struct ibv_recv_wr wr[RECEIVES], *bad = wr;

	while (t->dev.srq_used > 0) {
		unsigned k = t->dev.srq_used < RECEIVES ? t->dev.srq_used : RECEIVES;

		for (unsigned i = 0; i < k; i++)
			wr[i] = (struct ibv_recv_wr){
				.wr_id = ART_RDMA_SHARED_WR,
				.next = i + 1 < k ? &wr[i + 1] : NULL,
			};
		if (ibv_post_srq_recv(t->dev.srq, wr, &bad)) {
			t->dev.srq_used -= (unsigned)(bad - wr);
			return are_spare(&t->dev);
		}
		t->dev.srq_used -= k;
	}
	return true;
}

/* ---- who has which part of it ---- */

static struct art_rdma_conn **bucket(struct art_rdma *t, uint32_t qpn)
{
	return &t->by_qpn[qpn % ART_RDMA_BUCKETS];
}

struct art_rdma_conn *art__rdma_of_qpn(struct art_rdma *t, uint32_t qpn)
{
	struct art_rdma_conn *c = *bucket(t, qpn);

	while (c && c->qp->qp_num != qpn)
		c = c->next_qpn;
	return c;
}

void art__rdma_srq_join(struct art_rdma *t, struct art_rdma_conn *c)
{
	c->shared = t->dev.srq && !t->dev.srq_lost && t->dev.srq_pairs > 0;
	c->grant = c->shared ? t->dev.srq_base : t->window;
	t->dev.srq_pairs -= c->shared;
}

void art__rdma_srq_enter(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct art_rdma_conn **b = bucket(t, c->qp->qp_num);

	assert(c->shared);
	c->next_qpn = *b;
	*b = c;
}

void art__rdma_srq_forget(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct art_rdma_conn **at = bucket(t, c->qp->qp_num);

	while (*at && *at != c)
		at = &(*at)->next_qpn;
	if (*at)
		*at = c->next_qpn;
}

/* Of its grant: what others could have. */
static uint32_t beyond(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	return c->grant > t->dev.srq_base ? c->grant - t->dev.srq_base : 0;
}

void art__rdma_srq_leave(struct art_rdma *t, struct art_rdma_conn *c)
{
	struct ibv_recv_wr wr = {.wr_id = ART_RDMA_SHARED_WR}, *bad;

	if (!c->shared)
		return;
	c->shared = false;
	t->dev.srq_pairs++;
	t->dev.srq_free += beyond(t, c);
	t->dev.srq_spares += ibv_post_srq_recv(t->dev.srq, &wr, &bad) == 0;
}

/* ---- grants ---- */

static void shrink(struct art_rdma *t, struct art_rdma_conn *c)
{
	t->dev.srq_free += beyond(t, c);
	c->grant = t->dev.srq_base;
	c->asked = false;
	c->busy_at = c->rx.records;
}

/* What the peer has been told and not used. */
static uint32_t unused(const struct art_rdma_conn *c)
{
	return c->told_records + c->tx.window - c->announced;
}

/* Those who were busy lately are left alone: else two of them would take it from each other. */
static struct art_rdma_conn *idle_longest(struct art_rdma *t)
{
	struct art_rdma_conn *best = NULL;

	for (int i = 0; i < t->n_in; i++) {
		struct art_rdma_conn *c = t->peer[t->in[i]].conn;

		if (!c->shared || c->asked || c->failed || !beyond(t, c) ||
		    t->dev.srq_clock - c->stamp < IDLE * (unsigned)t->n_in)
			continue;
		if (!best || t->dev.srq_clock - c->stamp > t->dev.srq_clock - best->stamp)
			best = c;
	}
	return best;
}

static void ask_back(struct art_rdma *t)
{
	struct art_rdma_conn *c = idle_longest(t);

	if (c && unused(c) <= t->dev.srq_base)
		shrink(t, c);
	else if (c)
		c->asked = art__rdma_post_ask(t, c, c->announced + t->dev.srq_base - c->tx.window);
}

void art__rdma_srq_grow(struct art_rdma *t, struct art_rdma_conn *c)
{
	uint32_t more = c->tx.window - c->grant;

	if (c->rx.records - c->busy_at < BUSY)
		return;
	c->busy_at = c->rx.records;
	c->stamp = ++t->dev.srq_clock;
	if (more == 0)
		return;
	if (t->dev.srq_free < more) {
		ask_back(t); /* for the next time */
		return;
	}
	t->dev.srq_free -= more;
	c->grant += more;
	t->n[ART_RDMA_N_GROWN]++;
}

bool art__rdma_srq_given(struct art_rdma *t, struct art_rdma_conn *c, uint32_t back)
{
	if (!c->asked || back > unused(c) || unused(c) - back > t->dev.srq_base)
		return false;
	c->told_records -= back;
	shrink(t, c);
	t->n[ART_RDMA_N_GIVEN]++;
	c->credit_owed = true; /* what was read meanwhile */
	art__rdma_todo(t, c->peer);
	return true;
}
