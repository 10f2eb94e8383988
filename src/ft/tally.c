/* SPDX-License-Identifier: MIT
 *
 * Adding up PROMISEs: what several members say alike is one line with a set of members. Lines are
 * found by a hash, because one PROMISE may bring tens of thousands of them.
 */
#include "ft/ft.h"

static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static uint64_t hash_line(const struct art_line *l)
{
	return mix(mix(mix(l->comm, l->seq), (uint64_t)l->sig << 32 | (uint32_t)l->root),
		   (uint64_t)l->owner << 32 | (uint64_t)l->flags << 16 | (uint64_t)l->kind << 8 | l->policy);
}

static uint64_t hash_comm(const struct art_cline *l)
{
	return mix(l->comm, 0);
}

static bool says_the_same(const struct art_line *a, const struct art_line *b)
{
	return a->comm == b->comm && a->seq == b->seq && a->sig == b->sig && a->root == b->root &&
	       a->flags == b->flags && a->kind == b->kind && a->policy == b->policy &&
	       a->owner == b->owner;
}

static void put(struct art_index *x, uint64_t hash, uint32_t place)
{
	uint32_t i = (uint32_t)hash & (x->cap - 1);

	while (x->at[i])
		i = (i + 1) & (x->cap - 1);
	x->at[i] = place + 1;
}

/* Room for one more than @n; false: no memory. *grown: it is empty and wants all of them anew. */
static bool index_room(const struct art_env *env, struct art_index *x, uint32_t n, bool *grown)
{
	uint32_t cap = x->cap ? 2 * x->cap : 64;
	uint32_t *at;

	*grown = false;
	if (2 * (n + 1) <= x->cap)
		return true;
	at = art__env_zalloc(env, cap * sizeof(*at));
	if (!at)
		return false;
	art__env_free(env, x->at);
	x->at = at;
	x->cap = cap;
	*grown = true;
	return true;
}

static struct art_line *find_line(const struct art_flush *f, const struct art_line *l)
{
	const struct art_index *x = &f->by_line;

	if (!x->cap)
		return NULL;
	for (uint32_t i = (uint32_t)hash_line(l) & (x->cap - 1); x->at[i]; i = (i + 1) & (x->cap - 1))
		if (says_the_same(&f->line[x->at[i] - 1], l))
			return &f->line[x->at[i] - 1];
	return NULL;
}

static struct art_line *new_line(const struct art_env *env, struct art_flush *f,
				 const struct art_line *l, uint32_t size)
{
	struct art_line mine = *l;
	bool grown;

	if (!index_room(env, &f->by_line, f->nline, &grown))
		return NULL;
	for (uint32_t i = 0; grown && i < f->nline; i++)
		put(&f->by_line, hash_line(&f->line[i]), i);
	mine.who = art__env_alloc(env, sizeof(*mine.who));
	if (!mine.who)
		return NULL;
	art__set_init(mine.who, size);
	if (!art__flush_add(env, f, &mine)) {
		art__env_free(env, mine.who);
		return NULL;
	}
	put(&f->by_line, hash_line(l), f->nline - 1);
	return &f->line[f->nline - 1];
}

bool art__flush_tally(const struct art_env *env, struct art_flush *f, const struct art_line *l,
		      uint32_t from, uint32_t size)
{
	struct art_line *t = find_line(f, l);

	if (!t)
		t = new_line(env, f, l, size);
	if (!t)
		return false;
	art__set_add(t->who, from);
	t->from = art__set_next(t->who, 0);
	t->replays = l->replays > t->replays ? l->replays : t->replays;
	return true;
}

static struct art_cline *find_comm(const struct art_flush *f, uint64_t comm)
{
	const struct art_index *x = &f->by_comm;
	const struct art_cline key = { .comm = comm };

	if (!x->cap)
		return NULL;
	for (uint32_t i = (uint32_t)hash_comm(&key) & (x->cap - 1); x->at[i];
	     i = (i + 1) & (x->cap - 1))
		if (f->cline[x->at[i] - 1].comm == comm)
			return &f->cline[x->at[i] - 1];
	return NULL;
}

/* The highest stable, the highest entered, any LOST. */
bool art__flush_tally_comm(const struct art_env *env, struct art_flush *f,
			   const struct art_cline *l)
{
	struct art_cline *t = find_comm(f, l->comm);
	bool grown;

	if (t) {
		t->stable = l->stable > t->stable ? l->stable : t->stable;
		t->entered = l->entered > t->entered ? l->entered : t->entered;
		t->flags |= l->flags;
		t->policy |= l->policy;
		return true;
	}
	if (!index_room(env, &f->by_comm, f->ncline, &grown))
		return false;
	for (uint32_t i = 0; grown && i < f->ncline; i++)
		put(&f->by_comm, hash_comm(&f->cline[i]), i);
	if (!art__flush_add_comm(env, f, l))
		return false;
	put(&f->by_comm, hash_comm(l), f->ncline - 1);
	return true;
}
