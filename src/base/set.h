/* SPDX-License-Identifier: MIT
 *
 * A set of slots (rank numbers of the job), by value. Only the words that the job
 * size needs are ever touched.
 */
#ifndef ART_BASE_SET_H
#define ART_BASE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ART_MAX_RANKS 4096u

struct art_set {
	uint32_t n; /* capacity in slots: the job size */
	uint32_t words;
	uint64_t w[ART_MAX_RANKS / 64];
};

static inline void art__set_init(struct art_set *s, uint32_t n)
{
	s->n = n;
	s->words = (n + 63) / 64;
	memset(s->w, 0, s->words * sizeof(s->w[0]));
}

static inline void art__set_copy(struct art_set *dst, const struct art_set *src)
{
	memcpy(dst, src, offsetof(struct art_set, w) + src->words * sizeof(src->w[0]));
}

static inline void art__set_fill(struct art_set *s, uint32_t n)
{
	art__set_init(s, n);
	for (uint32_t i = 0; i < n; i++)
		s->w[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void art__set_add(struct art_set *s, uint32_t i)
{
	s->w[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void art__set_del(struct art_set *s, uint32_t i)
{
	s->w[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static inline bool art__set_has(const struct art_set *s, uint32_t i)
{
	return i < s->n && (s->w[i / 64] >> (i % 64) & 1);
}

static inline uint32_t art__set_count(const struct art_set *s)
{
	uint32_t c = 0;
	for (uint32_t i = 0; i < s->words; i++)
		c += (uint32_t)__builtin_popcountll(s->w[i]);
	return c;
}

static inline bool art__set_empty(const struct art_set *s)
{
	for (uint32_t i = 0; i < s->words; i++)
		if (s->w[i])
			return false;
	return true;
}

/* The lowest member >= from, or n if there is none. */
static inline uint32_t art__set_next(const struct art_set *s, uint32_t from)
{
	for (uint32_t k = from / 64; k < s->words; k++) {
		uint64_t w = s->w[k];
		if (k == from / 64)
			w &= ~UINT64_C(0) << (from % 64);
		if (w)
			return k * 64 + (uint32_t)__builtin_ctzll(w);
	}
	return s->n;
}

#define ART_SET_EACH(i, s) \
	for (uint32_t i = art__set_next((s), 0); i < (s)->n; i = art__set_next((s), i + 1))

static inline void art__set_or(struct art_set *d, const struct art_set *s)
{
	for (uint32_t i = 0; i < d->words; i++)
		d->w[i] |= s->w[i];
}

static inline void art__set_and(struct art_set *d, const struct art_set *s)
{
	for (uint32_t i = 0; i < d->words; i++)
		d->w[i] &= s->w[i];
}

static inline void art__set_minus(struct art_set *d, const struct art_set *s)
{
	for (uint32_t i = 0; i < d->words; i++)
		d->w[i] &= ~s->w[i];
}

static inline bool art__set_equal(const struct art_set *a, const struct art_set *b)
{
	return a->n == b->n && memcmp(a->w, b->w, a->words * sizeof(a->w[0])) == 0;
}

/* Every member of a is in b. */
static inline bool art__set_subset(const struct art_set *a, const struct art_set *b)
{
	for (uint32_t i = 0; i < a->words; i++)
		if (a->w[i] & ~b->w[i])
			return false;
	return true;
}

static inline bool art__set_meets(const struct art_set *a, const struct art_set *b)
{
	for (uint32_t i = 0; i < a->words; i++)
		if (a->w[i] & b->w[i])
			return true;
	return false;
}

#endif
