/* SPDX-License-Identifier: MIT
 *
 * What the detector has of the world: datagrams, which get lost, and looks at the processes of the
 * own host. A stopped rank's datagrams wait for it, as in a socket.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cluster_impl.h"

#define LOOK_NS UINT64_C(2000)

static bool on_one_host(const struct cluster *c, int a, int b)
{
	return !c->cfg.hosts || c->cfg.hosts[a] == c->cfg.hosts[b];
}

static void unlink_beat(struct beat *b)
{
	*b->prev = b->next;
	if (b->next)
		b->next->prev = b->prev;
	free(b);
}

static void deliver_beat(struct crank *r, uint64_t word)
{
	struct beat *b = (struct beat *)(uintptr_t)word;
	bool cut = r->cluster->cut[b->from * r->cluster->n + r->slot];

	if (!cut && cluster__enter(r)) {
		r->machine->ops->beat(r->machine, b->from, b->bytes, b->len);
		cluster__leave(r);
	}
	unlink_beat(b);
}

static uint64_t travel(struct cluster *c, int from, int to)
{
	const struct art_sim_model *m = on_one_host(c, from, to) ? &c->cfg.near : &c->cfg.far;
	uint64_t ns = m->latency_ns + cluster__below(c, m->jitter_ns + 1);

	if (m->spike_log2 && cluster__below(c, UINT64_C(1) << m->spike_log2) == 0)
		ns += m->spike_ns;
	return ns;
}

static void port_beat(void *self, int to, const void *p, size_t len)
{
	struct crank *r = self;
	struct cluster *c = r->cluster;
	struct beat *b;

	assert(to >= 0 && to < c->n && to != r->slot && len <= sizeof(b->bytes));
	if (!cluster__step(r))
		return;
	r->beats++;
	if (c->rank[to].dead || c->cut[r->slot * c->n + to] ||
	    (!on_one_host(c, r->slot, to) && cluster__below(c, 100) < c->cfg.beat_loss))
		return;
	b = malloc(sizeof(*b));
	if (!b)
		abort();
	*b = (struct beat){ .next = c->beats, .prev = &c->beats, .from = r->slot, .len = len };
	memcpy(b->bytes, p, len);
	if (b->next)
		b->next->prev = &b->next;
	c->beats = b;
	cluster__at(&c->rank[to], travel(c, r->slot, to), deliver_beat, (uint64_t)(uintptr_t)b);
}

static void answer_look(struct crank *r, uint64_t word)
{
	const struct crank *at = &r->cluster->rank[word];

	if (!cluster__enter(r))
		return;
	r->machine->ops->looked(r->machine, (int)word,
				at->paused ? ART_LOOK_STOPPED : ART_LOOK_RUNS);
	cluster__leave(r);
}

static void port_look(void *self, int slot)
{
	struct crank *r = self;

	assert(on_one_host(r->cluster, r->slot, slot) && slot != r->slot);
	if (cluster__step(r))
		cluster__at(r, LOOK_NS, answer_look, (uint64_t)slot);
}

void cluster__beat_port(struct crank *r)
{
	r->port.beat = port_beat;
	r->port.look = port_look;
}

void cluster__beat_end(struct cluster *c)
{
	while (c->beats)
		unlink_beat(c->beats);
}
