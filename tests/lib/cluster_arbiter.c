/* SPDX-License-Identifier: MIT
 *
 * The arbiter of exact halves (src/ft/arbiter.h) as one node more: questions and answers take their time
 * and are lost where it is cut off or dead.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cluster_impl.h"

static void unlink_vote(struct vote *v)
{
	*v->prev = v->next;
	if (v->next)
		v->next->prev = v->prev;
	free(v);
}

static struct vote *new_vote(struct crank *r, const void *p, size_t len)
{
	struct cluster *c = r->cluster;
	struct vote *v = malloc(sizeof(*v) + len);

	if (!v)
		abort();
	*v = (struct vote){ .next = c->votes, .prev = &c->votes, .rank = r, .len = len };
	memcpy(v->bytes, p, len);
	if (v->next)
		v->next->prev = &v->next;
	return c->votes = v;
}

static bool reached(const struct crank *r)
{
	const struct cluster_cfg *f = &r->cluster->cfg;

	return !(f->arbiter_cut >> r->slot & 1) &&
	       (!f->arbiter_dies_ns || cluster_now(r->cluster) < f->arbiter_dies_ns);
}

static uint64_t travel(struct cluster *c)
{
	return 10000 + cluster__below(c, c->cfg.far.latency_ns + c->cfg.far.jitter_ns + 1);
}

static void deliver_answer(struct crank *r, uint64_t word)
{
	struct vote *v = (struct vote *)(uintptr_t)word;

	if (reached(r) && cluster__enter(r)) {
		r->machine->ops->voted(r->machine, v->bytes, v->len);
		cluster__leave(r);
	}
	unlink_vote(v);
}

static void at_arbiter(void *self, uint64_t word)
{
	struct vote *v = self, *a;
	struct crank *r = v->rank;
	struct cluster *c = r->cluster;
	struct art_wbuf w = { 0 };

	(void)word;
	if (reached(r) && art__arbiter_ask(&c->arbiter, v->bytes, v->len, &w)) {
		a = new_vote(r, w.p, w.len);
		cluster__at(r, travel(c), deliver_answer, (uint64_t)(uintptr_t)a);
	}
	art__env_free(&c->env, w.p);
	unlink_vote(v);
}

static void port_vote(void *self, const void *p, size_t len)
{
	struct crank *r = self;
	struct cluster *c = r->cluster;

	if (!cluster__step(r))
		return;
	if (c->cfg.verbose)
		cluster__log(c, r->slot, "asks the arbiter: %s", art__wire_kind_name(*(const uint8_t *)p));
	if (art__sim_at(c->world, cluster_now(c) + travel(c), at_arbiter, new_vote(r, p, len), 0) < 0)
		abort();
}

void cluster__arbiter_port(struct crank *r)
{
	if (r->cluster->cfg.arbiter)
		r->port.vote = port_vote;
}

void cluster__arbiter_end(struct cluster *c)
{
	while (c->votes)
		unlink_vote(c->votes);
	art__arbiter_fini(&c->arbiter);
}
