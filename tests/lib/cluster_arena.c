/* SPDX-License-Identifier: MIT
 *
 * Memory that the ranks of one host share. Every access is a step and so a point where a rank may die;
 * the part of a dead rank stays readable. Between two events a rank either looks now and then - a while
 * after anybody has put something down - or has dozed off and counts on being sent a message; which of
 * the two is drawn anew after each event.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cluster_impl.h"

#define MAX_BYTES 512
#define BULK 2048 /* so that large payloads are many pieces */
#define SLOTS 4u /* so that they are used again soon */
#define SEE_NS UINT64_C(3000)     /* until what was put down is looked at */
#define MAP_NS UINT64_C(1500000)  /* until the last rank has mapped all parts, where that takes time */

static void look(struct crank *r, uint64_t word)
{
	(void)word;
	if (!r->awake || !cluster__enter(r))
		return;
	r->machine->ops->peek(r->machine);
	cluster__leave(r);
}

/* Whoever is awake looks all the time, and so finds that this one has gone off. */
static void look_on(struct crank *r)
{
	struct cluster *c = r->cluster;

	for (int k = 0; k < c->n; k++)
		if (k != r->slot && !c->rank[k].dead)
			cluster__at(&c->rank[k], 1 + cluster__below(c, SEE_NS), look, 0);
}

static bool on_touch(void *self, enum art_arena_touch what)
{
	struct crank *r = self;

	if (!cluster__step(r))
		return false;
	if (what == ART_ARENA_FLAG)
		look_on(r);
	return true;
}

static void mapped(struct crank *r, uint64_t state)
{
	atomic_store(&r->shared->state, (uint32_t)state);
}

bool cluster__arena_open(struct cluster *c)
{
	size_t bytes = art__arena_bytes(MAX_BYTES, BULK);

	for (int k = 1; c->cfg.arena && c->cfg.hosts && k < c->n; k++)
		if (c->cfg.hosts[k] != c->cfg.hosts[0])
			c->cfg.arena = false;
	if (!c->cfg.arena)
		return true;
	c->part = calloc((size_t)c->n, sizeof(*c->part));
	for (int k = 0; c->part && k < c->n; k++) {
		struct crank *r = &c->rank[k];

		r->shared = aligned_alloc(128, (bytes + 127) / 128 * 128);
		if (!r->shared)
			return false;
		memset(r->shared, 0, bytes);
		c->part[k] = r->shared;
		r->arena = (struct art_arena){ .max = MAX_BYTES, .slots = SLOTS, .bulk = BULK,
					       .piece = BULK / 4, .hope = 2 * BULK,
					       .mine = r->shared, .part = c->part,
					       .touch = on_touch, .self = r };
		r->port.arena = &r->arena;
	}
	return c->part != NULL;
}

/* Most find everything there. In some jobs a rank is late, in a few one cannot. */
void cluster__arena_map(struct cluster *c)
{
	uint64_t how = c->cfg.arena ? cluster__below(c, 10) : 0;

	for (int k = 0; c->cfg.arena && k < c->n; k++) {
		struct crank *r = &c->rank[k];

		if (how < 7)
			mapped(r, ART_ARENA_READY);
		else
			cluster__at(r, cluster__below(c, MAP_NS), mapped,
				    how == 9 && k == c->n - 1 ? ART_ARENA_NONE : ART_ARENA_READY);
	}
}

void cluster__arena_rest(struct crank *r)
{
	if (!r->cluster->cfg.arena || !r->machine || r->dead)
		return;
	r->awake = cluster__below(r->cluster, 2) == 0;
	if (r->awake) {
		r->machine->ops->doze(r->machine, false);
		cluster__at(r, 1 + cluster__below(r->cluster, SEE_NS), look, 0);
		return;
	}
	if (cluster__below(r->cluster, 2) && r->machine->ops->rest(r->machine)) {
		look_on(r);
		return;
	}
	while (!r->dead && r->machine->ops->doze(r->machine, true))
		;
}

struct art_arena_part *cluster_part(struct cluster *c, int rank)
{
	return c->rank[rank].shared;
}

void cluster__arena_close(struct cluster *c)
{
	for (int k = 0; c->rank && k < c->n; k++)
		free(c->rank[k].shared);
	free(c->part);
}
