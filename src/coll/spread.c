/* SPDX-License-Identifier: MIT
 *
 * See spread.h. What bulk.c cuts into blocks of its own is spread there.
 */
#include "coll/spread.h"

#include <string.h>

#include "coll/combine.h"

struct cut {
	int op, type;
	size_t elsize, bytes, each;
	const uint8_t *left, *right; /* copied: left */
	uint8_t *out;
};

static size_t slice_bytes(const struct cut *c, unsigned slice)
{
	size_t at = (size_t)slice * c->each;

	return c->bytes - at < c->each ? c->bytes - at : c->each;
}

static void copy_slice(void *arg, unsigned slice, unsigned hand)
{
	const struct cut *c = arg;
	size_t at = (size_t)slice * c->each;

	(void)hand;
	memcpy(c->out + at, c->left + at, slice_bytes(c, slice));
}

static void combine_slice(void *arg, unsigned slice, unsigned hand)
{
	const struct cut *c = arg;
	size_t at = (size_t)slice * c->each;

	(void)hand;
	art__combine(c->op, c->type, c->left + at, c->right + at, c->out + at,
		     slice_bytes(c, slice) / c->elsize);
}

unsigned art__spread_hands(const struct art_port *port, uint64_t bytes)
{
	const struct art_spread *s = port->spread;

	return s && bytes >= 2 * s->slice ? s->hands(s->self) : 1;
}

static unsigned slices(const struct cut *c)
{
	return (unsigned)((c->bytes + c->each - 1) / c->each);
}

void art__spread_copy(const struct art_port *port, void *to, const void *from, size_t bytes)
{
	if (art__spread_hands(port, bytes) > 1) {
		struct cut c = { .bytes = bytes, .each = port->spread->slice, .left = from, .out = to };

		port->spread->run(port->spread->self, copy_slice, &c, slices(&c));
	} else {
		memcpy(to, from, bytes);
	}
}

void art__spread_combine(const struct art_port *port, int op, int type, const void *left, const void *right,
			 void *out, size_t count)
{
	struct cut c = { .op = op, .type = type, .elsize = art__type_size(type), .left = left, .right = right,
			 .out = out };

	c.bytes = count * c.elsize;
	if (art__spread_hands(port, c.bytes) > 1) {
		c.each = port->spread->slice / c.elsize * c.elsize;
		port->spread->run(port->spread->self, combine_slice, &c, slices(&c));
	} else {
		art__combine(op, type, left, right, out, count);
	}
}
