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
#define LARGE_BYTES 1024
#define BULK 2048 /* so that large payloads are many pieces */
#define SLOTS 4u /* so that they are used again soon */
#define NARROW 2048
#define CHANNELS 2u /* so that there are not enough, and those there are are used again */
#define CHANNEL_SLOTS 2u
#define LOOKS 8 /* at least, whenever one looks */
#define SEE_NS UINT64_C(3000)     /* until what was put down is looked at */
#define MAP_NS UINT64_C(1500000)  /* until the last rank has mapped all parts, where that takes time */

static void look(struct crank *r, uint64_t word)
{
	(void)word;
	if (!r->awake || !cluster__enter(r))
		return;
	for (int i = 0; i < LOOKS && !r->dead && r->machine->ops->peek(r->machine) == 0; i++)
		;
	cluster__leave(r);
}

static bool same_host(const struct cluster *c, int a, int b)
{
	return !c->cfg.hosts || c->cfg.hosts[a] == c->cfg.hosts[b];
}

/* Whoever is awake looks all the time, and so finds that this one has gone off. */
static void look_on(struct crank *r)
{
	struct cluster *c = r->cluster;

	for (int k = 0; k < c->n; k++)
		if (k != r->slot && !c->rank[k].dead && same_host(c, k, r->slot))
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

/* Each sees the parts of its host. */
static bool show_parts(struct cluster *c, struct crank *r)
{
	r->part = calloc((size_t)c->n, sizeof(*r->part));
	for (int k = 0; r->part && k < c->n; k++)
		r->part[k] = same_host(c, k, r->slot) ? c->rank[k].shared : NULL;
	r->arena.part = r->part;
	return r->part;
}

/* Now and then one has no memory for a channel. */
static bool room(void *self, unsigned channel)
{
	struct crank *r = self;

	(void)channel;
	return cluster__below(r->cluster, 12);
}

bool cluster__arena_open(struct cluster *c)
{
	const struct art_arena sizes = { .max = MAX_BYTES, .large = LARGE_BYTES, .slots = SLOTS, .bulk = BULK,
					 .piece = BULK / 4, .hope = 2 * BULK, .narrow = NARROW,
					 .channels = CHANNELS, .channel_slots = CHANNEL_SLOTS, .room = room,
					 .touch = on_touch };
	size_t bytes = art__arena_bytes(&sizes);

	for (int k = 0; c->cfg.arena && k < c->n; k++) {
		struct crank *r = &c->rank[k];

		r->shared = aligned_alloc(128, (bytes + 127) / 128 * 128);
		if (!r->shared)
			return false;
		memset(r->shared, 0, bytes);
		r->arena = sizes;
		r->arena.mine = r->shared;
		r->arena.self = r;
		r->port.arena = &r->arena;
	}
	for (int k = 0; c->cfg.arena && k < c->n; k++)
		if (!show_parts(c, &c->rank[k]))
			return false;
	return true;
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

struct art_arena_slot *cluster_slot(struct cluster *c, int rank, unsigned channel, unsigned slot)
{
	struct art_arena_room room = art__arena_channel(&c->rank[rank].arena, channel);

	return art__arena_my_slots(&c->rank[rank].arena, &room) + slot;
}

void cluster__arena_close(struct cluster *c)
{
	for (int k = 0; c->rank && k < c->n; k++)
		free(c->rank[k].shared);
	for (int k = 0; c->rank && k < c->n; k++)
		free(c->rank[k].part);
}
