/* SPDX-License-Identifier: MIT
 *
 * Pairs of hosts that live and do not reach each other, by value. A host is named by the lowest
 * slot that the job has on it, whoever of them still lives. At most so many: what
 * does not find room is left out, as if nobody had said it.
 */
#ifndef ART_BASE_EDGES_H
#define ART_BASE_EDGES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ART_EDGES_MAX 64u

struct art_edge {
	uint32_t a, b; /* a < b */
};

struct art_edges {
	uint32_t n;
	struct art_edge e[ART_EDGES_MAX]; /* ascending, each once */
};

/* Is (a, b) behind the pair @e? */
static inline bool art__edge_after(const struct art_edge *e, uint32_t a, uint32_t b)
{
	return e->a < a || (e->a == a && e->b < b);
}

/* The place of {x, y}, or where it would be. */
static inline uint32_t art__edges_find(const struct art_edges *s, uint32_t x, uint32_t y, bool *there)
{
	uint32_t a = x < y ? x : y, b = x < y ? y : x, i = 0;

	while (i < s->n && art__edge_after(&s->e[i], a, b))
		i++;
	*there = i < s->n && s->e[i].a == a && s->e[i].b == b;
	return i;
}

static inline bool art__edges_has(const struct art_edges *s, uint32_t x, uint32_t y)
{
	bool there;

	art__edges_find(s, x, y, &there);
	return there;
}

static inline void art__edges_add(struct art_edges *s, uint32_t x, uint32_t y)
{
	bool there;
	uint32_t i = art__edges_find(s, x, y, &there);

	if (there || x == y || s->n == ART_EDGES_MAX)
		return;
	memmove(&s->e[i + 1], &s->e[i], (s->n - i) * sizeof(s->e[0]));
	s->e[i] = (struct art_edge){ x < y ? x : y, x < y ? y : x };
	s->n++;
}

#endif
