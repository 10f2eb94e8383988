/* SPDX-License-Identifier: MIT
 *
 * Bodies of ft's control messages: encode and checked decode of lines, requests and values.
 * Every count is checked against the bytes that are there before memory is taken for it.
 */
#include <art/status.h>

#include "ft/ft.h"

#define LINE_BYTES 44
#define CLINE_BYTES 27
#define RES_MIN_BYTES 44

void art__blob_free(const struct art_env *env, struct art_blob *b)
{
	art__env_free(env, b->p);
	b->p = NULL;
	b->len = 0;
}

bool art__blob_set(const struct art_env *env, struct art_blob *b, const void *p, size_t len)
{
	uint8_t *copy = art__env_alloc(env, len ? len : 1);

	if (!copy)
		return false;
	memcpy(copy, p, len);
	art__blob_free(env, b);
	b->p = copy;
	b->len = len;
	return true;
}

bool art__ft_room(const struct art_env *env, struct art_wbuf *w, size_t n)
{
	size_t cap = w->cap ? w->cap : 512;
	uint8_t *p;

	if (w->cap - w->len >= n)
		return true;
	while (cap - w->len < n)
		cap *= 2;
	p = art__env_alloc(env, cap);
	if (!p) {
		w->bad = true;
		return false;
	}
	if (w->len)
		memcpy(p, w->p, w->len);
	art__env_free(env, w->p);
	w->p = p;
	w->cap = cap;
	return true;
}

void art__w_set(struct art_wbuf *w, const struct art_set *s)
{
	for (uint32_t i = 0; i < s->words; i++)
		art__w_u64(w, s->w[i]);
}

void art__r_set(struct art_rbuf *r, uint32_t n, struct art_set *s)
{
	art__set_init(s, n);
	for (uint32_t i = 0; i < s->words; i++)
		s->w[i] = art__r_u64(r);
	if (n % 64)
		s->w[s->words - 1] &= (UINT64_C(1) << (n % 64)) - 1;
}

bool art__line_encode(const struct art_env *env, const struct art_line *l, struct art_wbuf *w)
{
	if (!art__ft_room(env, w, LINE_BYTES))
		return false;
	art__w_u64(w, l->comm);
	art__w_u64(w, l->seq);
	art__w_u32(w, l->sig);
	art__w_u32(w, (uint32_t)l->root);
	art__w_u32(w, l->epoch);
	art__w_u32(w, l->replays);
	art__w_u8(w, l->kind);
	art__w_u8(w, l->policy);
	art__w_u16(w, l->flags);
	art__w_u32(w, l->from);
	art__w_u32(w, l->owner);
	return !w->bad;
}

void art__line_decode(struct art_rbuf *r, uint32_t size, struct art_line *l)
{
	l->comm = art__r_u64(r);
	l->seq = art__r_u64(r);
	l->sig = art__r_u32(r);
	l->root = (int32_t)art__r_u32(r);
	l->epoch = art__r_u32(r);
	l->replays = art__r_u32(r);
	l->kind = art__r_u8(r);
	l->policy = art__r_u8(r);
	l->flags = art__r_u16(r);
	l->from = art__r_u32(r);
	l->owner = art__r_u32(r);
	l->who = NULL;
	if (l->root < -1 || l->root >= (int32_t)size || l->owner >= size)
		r->bad = true;
}

bool art__cline_encode(const struct art_env *env, const struct art_cline *l, struct art_wbuf *w)
{
	if (!art__ft_room(env, w, CLINE_BYTES))
		return false;
	art__w_u64(w, l->comm);
	art__w_u64(w, l->stable);
	art__w_u64(w, l->entered);
	art__w_u8(w, l->policy);
	art__w_u16(w, l->flags);
	return !w->bad;
}

void art__cline_decode(struct art_rbuf *r, struct art_cline *l)
{
	l->comm = art__r_u64(r);
	l->stable = art__r_u64(r);
	l->entered = art__r_u64(r);
	l->policy = art__r_u8(r);
	l->flags = art__r_u16(r);
}

bool art__named_encode(const struct art_env *env, const struct art_named *n, struct art_wbuf *w)
{
	if (!art__ft_room(env, w, 32 + n->ranks.words * 8))
		return false;
	art__w_u64(w, n->comm);
	art__w_u64(w, n->seq);
	art__w_u32(w, (uint32_t)n->code);
	art__w_u32(w, (uint32_t)n->a);
	art__w_u32(w, (uint32_t)n->b);
	art__w_set(w, &n->ranks);
	return !w->bad;
}

void art__named_decode(struct art_rbuf *r, uint32_t size, struct art_named *n)
{
	n->comm = art__r_u64(r);
	n->seq = art__r_u64(r);
	n->code = (int32_t)art__r_u32(r);
	n->a = (int32_t)art__r_u32(r);
	n->b = (int32_t)art__r_u32(r);
	art__r_set(r, size, &n->ranks);
	if (n->a >= (int32_t)size || n->b >= (int32_t)size || n->code >= 0 ||
	    n->code < ART_ERR_INTERNAL)
		r->bad = true;
}

bool art__edges_encode(const struct art_env *env, const struct art_edges *e, struct art_wbuf *w)
{
	if (!art__ft_room(env, w, 4 + e->n * sizeof(e->e[0])))
		return false;
	art__w_u32(w, e->n);
	for (uint32_t i = 0; i < e->n; i++) {
		art__w_u32(w, e->e[i].a);
		art__w_u32(w, e->e[i].b);
	}
	return !w->bad;
}

/* Not more than there is room for, in order, each once. */
void art__edges_decode(struct art_rbuf *r, uint32_t size, struct art_edges *e)
{
	uint32_t n = art__r_u32(r);

	e->n = 0;
	if (n > ART_EDGES_MAX)
		r->bad = true;
	while (e->n < n && !r->bad) {
		uint32_t a = art__r_u32(r), b = art__r_u32(r);

		if (a >= b || b >= size || (e->n && !art__edge_after(&e->e[e->n - 1], a, b)))
			r->bad = true;
		e->e[e->n++] = (struct art_edge){ a, b };
	}
}

static bool encode_res(const struct art_env *env, const struct art_resolution *s,
		       struct art_wbuf *w)
{
	size_t sets = (s->blamed ? s->blamed->words * 8u : 0) +
		      (s->returned ? s->returned->words * 8u : 0);

	if (!art__ft_room(env, w, RES_MIN_BYTES + sets + (s->nstand ? 4 + 8 * (size_t)s->nstand : 0)))
		return false;
	art__w_u64(w, s->comm);
	art__w_u64(w, s->seq);
	art__w_u8(w, s->res);
	art__w_u8(w, s->kind);
	art__w_u8(w, s->policy);
	art__w_u8(w, (s->blamed ? 1 : 0) | (s->returned ? 2 : 0) | (s->nstand ? 4 : 0));
	art__w_u32(w, (uint32_t)s->code);
	art__w_u32(w, s->holder);
	art__w_u32(w, s->sig);
	art__w_u32(w, s->replays);
	art__w_u32(w, s->epoch);
	art__w_u32(w, (uint32_t)s->root);
	if (s->blamed)
		art__w_set(w, s->blamed);
	if (s->returned)
		art__w_set(w, s->returned);
	if (s->nstand)
		art__w_u32(w, s->nstand);
	for (uint32_t i = 0; i < s->nstand; i++) {
		art__w_u32(w, s->stand[i].slot);
		art__w_u32(w, s->stand[i].by);
	}
	return !w->bad;
}

bool art__value_encode(const struct art_env *env, const struct art_value *v, struct art_wbuf *w)
{
	if (!art__ft_room(env, w, 16 + v->members.words * 8))
		return false;
	art__w_u32(w, v->epoch);
	art__w_u8(w, v->full);
	art__w_set(w, &v->members);
	art__w_u32(w, v->ncomm);
	art__w_u32(w, v->nres);
	for (uint32_t i = 0; i < v->ncomm; i++)
		if (!art__cline_encode(env, &v->comm[i], w))
			return false;
	for (uint32_t i = 0; i < v->nres; i++)
		if (!encode_res(env, &v->res[i], w))
			return false;
	return !v->full || art__edges_encode(env, &v->edges, w);
}

static struct art_set *read_set(const struct art_env *env, struct art_rbuf *r, uint32_t size)
{
	struct art_set *s = art__env_alloc(env, sizeof(*s));

	if (!s)
		r->bad = true;
	else
		art__r_set(r, size, s);
	return s;
}

/* Each lost slot once, each with a member that has its input. */
static void read_stand(const struct art_env *env, struct art_rbuf *r, uint32_t size,
		       const struct art_set *members, struct art_resolution *s)
{
	uint32_t n = art__r_u32(r);

	if (r->bad || !n || n > (r->len - r->at) / sizeof(*s->stand)) {
		r->bad = true;
		return;
	}
	s->stand = art__env_alloc(env, n * sizeof(*s->stand));
	if (!s->stand) {
		r->bad = true;
		return;
	}
	s->nstand = n;
	for (uint32_t i = 0; i < n; i++) {
		struct art_stand *t = &s->stand[i];

		t->slot = art__r_u32(r);
		t->by = art__r_u32(r);
		if (t->slot >= size || t->by >= size || art__set_has(members, t->slot) ||
		    !art__set_has(members, t->by) || (i && t->slot <= t[-1].slot))
			r->bad = true;
	}
}

static void decode_res(const struct art_env *env, struct art_rbuf *r, uint32_t size,
		       const struct art_set *members, struct art_resolution *s)
{
	uint8_t has;

	s->comm = art__r_u64(r);
	s->seq = art__r_u64(r);
	s->res = art__r_u8(r);
	s->kind = art__r_u8(r);
	s->policy = art__r_u8(r);
	has = art__r_u8(r);
	s->code = (int32_t)art__r_u32(r);
	s->holder = art__r_u32(r);
	s->sig = art__r_u32(r);
	s->replays = art__r_u32(r);
	s->epoch = art__r_u32(r);
	s->root = (int32_t)art__r_u32(r);
	if (has & 1)
		s->blamed = read_set(env, r, size);
	if (has & 2)
		s->returned = read_set(env, r, size);
	if (has & 4)
		read_stand(env, r, size, members, s);
	if (s->res < ART_RES_DELIVER || s->res > ART_RES_SETTLED || s->holder >= size ||
	    s->root < -1 || s->root >= (int32_t)size)
		r->bad = true;
	if (s->res == ART_RES_DELIVER && !art__set_has(members, s->holder))
		r->bad = true;
	if (s->nstand && s->res != ART_RES_RERUN)
		r->bad = true;
	if (s->res == ART_RES_FAIL && (s->code >= 0 || s->code < ART_ERR_INTERNAL))
		r->bad = true;
}

bool art__value_decode(const struct art_env *env, const uint8_t *p, size_t len, uint32_t size,
		       struct art_value *v)
{
	struct art_rbuf r = { .p = p, .len = len };

	memset(v, 0, sizeof(*v));
	v->epoch = art__r_u32(&r);
	v->full = art__r_u8(&r);
	art__r_set(&r, size, &v->members);
	v->ncomm = art__r_u32(&r);
	v->nres = art__r_u32(&r);
	if (r.bad || v->ncomm > len / CLINE_BYTES || v->nres > len / RES_MIN_BYTES) {
		v->ncomm = v->nres = 0;
		return false;
	}
	v->comm = art__env_zalloc(env, (v->ncomm + 1) * sizeof(*v->comm));
	v->res = art__env_zalloc(env, (v->nres + 1) * sizeof(*v->res));
	if (!v->comm || !v->res) {
		v->nres = 0;
		r.bad = true;
	}
	for (uint32_t i = 0; i < v->ncomm && !r.bad; i++)
		art__cline_decode(&r, &v->comm[i]);
	for (uint32_t i = 0; i < v->nres && !r.bad; i++)
		decode_res(env, &r, size, &v->members, &v->res[i]);
	if (v->full && !r.bad)
		art__edges_decode(&r, size, &v->edges);
	if (!r.bad && r.at == r.len)
		return true;
	art__value_free(env, v);
	return false;
}

void art__value_free(const struct art_env *env, struct art_value *v)
{
	for (uint32_t i = 0; i < v->nres; i++) {
		art__env_free(env, v->res[i].blamed);
		art__env_free(env, v->res[i].returned);
		art__env_free(env, v->res[i].stand);
	}
	art__env_free(env, v->comm);
	art__env_free(env, v->res);
	v->comm = NULL;
	v->res = NULL;
	v->ncomm = v->nres = 0;
}

static void *grow(const struct art_env *env, void *old, uint32_t n, uint32_t *cap, size_t each)
{
	uint32_t want = *cap ? *cap * 2 : 16;
	void *p;

	if (n < *cap)
		return old;
	p = art__env_alloc(env, want * each);
	if (!p)
		return NULL;
	if (n)
		memcpy(p, old, n * each);
	art__env_free(env, old);
	*cap = want;
	return p;
}

bool art__flush_add(const struct art_env *env, struct art_flush *f, const struct art_line *l)
{
	struct art_line *p = grow(env, f->line, f->nline, &f->cap_line, sizeof(*p));

	if (!p)
		return false;
	f->line = p;
	f->line[f->nline++] = *l;
	return true;
}

bool art__flush_add_comm(const struct art_env *env, struct art_flush *f, const struct art_cline *l)
{
	struct art_cline *p = grow(env, f->cline, f->ncline, &f->cap_cline, sizeof(*p));

	if (!p)
		return false;
	f->cline = p;
	f->cline[f->ncline++] = *l;
	return true;
}

void art__flush_free(const struct art_env *env, struct art_flush *f)
{
	for (uint32_t i = 0; i < f->nline; i++)
		art__env_free(env, f->line[i].who);
	art__env_free(env, f->line);
	art__env_free(env, f->cline);
	art__env_free(env, f->by_line.at);
	art__env_free(env, f->by_comm.at);
	memset(f, 0, sizeof(*f));
}
