/* SPDX-License-Identifier: MIT
 *
 * Ranks that others help with what is large: two of three, with slices so short that nearly everything is cut. The
 * slices are done in a mixed order, each by some hand, which is all that threads could make of it.
 */
#include <assert.h>

#include "tests/lib/cluster_impl.h"

#define SLICE 32
#define HANDS 3u

/* Not of the seed: what a schedule draws must not depend on how much is cut. */
static unsigned draw(struct crank *r)
{
	r->mixer = r->mixer * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(r->mixer >> 33);
}

/* They are late, and then they are there. */
static unsigned spread_hands(void *self)
{
	return 1 + draw(self) % HANDS;
}

/* Starts somewhere and goes on in steps of a number that has no factor in common with any count that is
 * smaller, so each is met once. */
static void spread_run(void *self, art_slice_fn *slice, void *arg, unsigned n)
{
	const unsigned step = 2147483647u; /* a prime */
	struct crank *r = self;
	uint64_t at = draw(r) % n;

	assert(n > 0 && n < step);
	for (unsigned i = 0; i < n; i++, at += step)
		slice(arg, (unsigned)(at % n), draw(r) % HANDS);
}

void cluster__spread_port(struct crank *r)
{
	r->spread = (struct art_spread){ .self = r, .slice = SLICE, .most = HANDS, .hands = spread_hands,
					 .run = spread_run };
	r->port.spread = r->slot % 3 ? &r->spread : NULL;
}
