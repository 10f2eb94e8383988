/* SPDX-License-Identifier: MIT
 *
 * See links.h. Of two ranks one dials: each opens half of its pairs, those behind it in the circle.
 *
 *   waiting --BEGIN_NS after the start--> opening --one every PAUSE_NS, the last--> all there
 *                                            ^--the view changed---------------------|
 */
#include "core/links.h"

#include "base/arena.h"

/* A job that ends at once should not have paid for them. */
#define BEGIN_NS (5 * ART_NS_PER_MS)
#define PAUSE_NS ART_NS_PER_MS
/* The proposer and those who take over from it. */
#define PROPOSERS 3

static void begin(struct art_links *l, uint64_t now)
{
	l->step = 0;
	l->at_ns = now + BEGIN_NS;
}

void art__links_init(struct art_links *l, const struct art_port *port, int slot, int size, uint64_t now)
{
	*l = (struct art_links){.port = port, .slot = slot, .size = size, .at_ns = ART_NEVER};
	if (port->open && size > 1 && size <= ART_LINKS_STAR)
		begin(l, now);
}

void art__links_again(struct art_links *l, uint64_t now)
{
	if (l->port->open && l->size > ART_LINKS_ALL && l->size <= ART_LINKS_STAR)
		begin(l, now);
}

/* The @step-th behind this one in the circle; the opposite one of an even number: the lower one dials.
 * -1: that was the last. */
static int in_circle(const struct art_links *l, int step)
{
	int peer = (l->slot + step + 1) % l->size;

	if (2 * (step + 1) > l->size || (2 * (step + 1) == l->size && l->slot > peer))
		return -1;
	return peer;
}

/* The @step-th lowest member below this one, -1: that was the last. */
static int proposer(const struct art_links *l, const struct art_set *members, int step)
{
	int n = 0;

	ART_SET_EACH(i, members) {
		if ((int)i >= l->slot || n == PROPOSERS)
			break;
		if (n++ == step)
			return (int)i;
	}
	return -1;
}

/* Ops of the world go through shared memory with it. A connection that nobody uses would cost memory, which takes
 * time to take down when a rank dies, and its hello would wait until ops stop coming and somebody
 * looks at the data channel: when members are lost, of all times. */
static bool needs_no_data(const struct art_links *l, int to)
{
	const struct art_arena *a = l->port->arena;

	for (int i = 0; a && i < l->size; i++)
		if (!a->part[i])
			return false; /* on another host: the world's ops go by messages */
	return a && atomic_load(&a->mine->state) == ART_ARENA_READY &&
	       atomic_load(&a->part[to]->state) == ART_ARENA_READY;
}

void art__links_tick(struct art_links *l, const struct art_set *members, uint64_t now)
{
	bool all = l->size <= ART_LINKS_ALL;
	int to;

	if (now < l->at_ns)
		return;
	to = all ? in_circle(l, l->step) : proposer(l, members, l->step);
	l->step++;
	l->at_ns = to < 0 ? ART_NEVER : now + PAUSE_NS;
	if (to < 0 || !art__set_has(members, (uint32_t)to))
		return;
	l->port->open(l->port->self, ART_CHAN_CTL, to);
	if (all && !needs_no_data(l, to))
		l->port->open(l->port->self, ART_CHAN_DATA, to);
}
