/* SPDX-License-Identifier: MIT
 *
 * What becomes of each unstable op: a pure function of what the members of the next view said
 * in their PROMISEs. DELIVER if a member holds it; else FAIL where nobody can finish it or the
 * policy says so; else RERUN, under MIRROR with the inputs of lost ranks that members keep.
 * (FAULTS: resolution; DESIGN rules R1, R2, R8, R12.)
 */
#include <stdlib.h>

#include <art/status.h>

#include "ft/ft.h"

static int by_op(const void *pa, const void *pb)
{
	const struct art_line *a = pa, *b = pb;

	if (a->comm != b->comm)
		return a->comm < b->comm ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	if ((a->flags ^ b->flags) & ART_L_DEPOSIT)
		return a->flags & ART_L_DEPOSIT ? 1 : -1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->from < b->from ? -1 : a->from > b->from;
}

static int by_comm(const void *pa, const void *pb)
{
	const struct art_cline *a = pa, *b = pb;

	return a->comm < b->comm ? -1 : a->comm > b->comm;
}

static uint64_t stable_of(const struct art_flush *f, uint64_t comm)
{
	struct art_cline key = { .comm = comm };
	const struct art_cline *c = NULL;

	if (f->ncline)
		c = bsearch(&key, f->cline, f->ncline, sizeof(key), by_comm);
	return c ? c->stable : 0;
}

static struct art_set *new_set(const struct art_env *env, const struct art_set *like)
{
	struct art_set *s = art__env_alloc(env, sizeof(*s));

	if (s)
		art__set_init(s, like->n);
	return s;
}

/* The slots of the old view that the new one lacks. */
static struct art_set *lost_set(const struct art_env *env, const struct art_set *old,
				const struct art_value *v)
{
	struct art_set *s = new_set(env, old);

	if (s) {
		art__set_copy(s, old);
		art__set_minus(s, &v->members);
	}
	return s;
}

static const struct art_line *holder_of(const struct art_line *l, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_HOLDS)
			return &l[i];
	return NULL;
}

/* It stands as the holder called it; whoever called otherwise, now or later, finds the same here. */
static void deliver(const struct art_line *h, struct art_resolution *s)
{
	s->res = ART_RES_DELIVER;
	s->holder = h->from;
	s->sig = h->sig;
	s->epoch = h->epoch;
	s->root = h->root;
}

static const struct art_line *entered_of(const struct art_line *l, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_ENTERED && !(l[i].flags & ART_L_REFUSED))
			return &l[i];
	return &l[0];
}

static bool any_flag(const struct art_line *l, uint32_t n, uint16_t flag)
{
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & flag)
			return true;
	return false;
}

/* Failed before, and for everybody; what a loss has failed is not, for whoever calls there what no loss
 * fails. */
static bool settled(const struct art_line *l, uint32_t n)
{
	return any_flag(l, n, ART_L_SETTLED) && !any_flag(l, n, ART_L_NOFAIL);
}

static bool blame_returned(const struct art_env *env, const struct art_line *l, uint32_t n,
			   struct art_value *v, struct art_resolution *s)
{
	if (!any_flag(l, n, ART_L_RETURNED))
		return true;
	s->returned = new_set(env, &v->members);
	if (!s->returned)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_RETURNED)
			art__set_or(s->returned, l[i].who);
	return true;
}

static void fail(struct art_resolution *s, int code, struct art_set *blamed)
{
	s->res = ART_RES_FAIL;
	s->code = code;
	s->blamed = blamed;
}

/* A member that has called something else under this number. */
static const struct art_line *other_call(const struct art_line *l, uint32_t n,
					 const struct art_line *e)
{
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_ENTERED && !(l[i].flags & ART_L_REFUSED) &&
		    l[i].sig != e->sig)
			return &l[i];
	return NULL;
}

static bool mismatch(const struct art_env *env, const struct art_set *old,
		     const struct art_line *a, const struct art_line *b, struct art_resolution *s)
{
	struct art_set *blamed = new_set(env, old);

	if (!blamed)
		return false;
	art__set_add(blamed, a->from);
	art__set_add(blamed, b->from);
	fail(s, ART_ERR_MISMATCH, blamed);
	return true;
}

static bool lost_root(const struct art_env *env, const struct art_set *old,
		      const struct art_line *e, struct art_resolution *s)
{
	struct art_set *blamed = new_set(env, old);

	if (!blamed)
		return false;
	art__set_add(blamed, (uint32_t)e->root);
	fail(s, ART_ERR_ROOT_LOST, blamed);
	return true;
}

/* Under MIRROR: the inputs of lost ranks, d[0..n) in order of owner, that were given to the call @e; of
 * several members that have one the first (rule R2). Of a bcast only the root's counts. */
static bool stand_in(const struct art_env *env, const struct art_line *e, const struct art_line *d,
		     uint32_t n, struct art_resolution *s)
{
	for (uint32_t i = 0; i < n; i++) {
		if (d[i].sig != e->sig || d[i].policy != 2 || e->policy != 2 ||
		    (e->kind == 2 && (int32_t)d[i].owner != e->root))
			continue;
		if (s->nstand && s->stand[s->nstand - 1].slot == d[i].owner)
			continue;
		if (!s->stand)
			s->stand = art__env_alloc(env, n * sizeof(*s->stand));
		if (!s->stand)
			return false;
		s->stand[s->nstand++] = (struct art_stand){ d[i].owner, d[i].from };
	}
	return true;
}

/* The root of a bcast is lost and its payload is not. */
static bool root_stands(const struct art_line *e, const struct art_resolution *s)
{
	return e->kind == 2 && s->nstand;
}

/* Some have told their callers so already: then all do, whatever they have called. */
static const struct art_line *told_alone(const struct art_line *l, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_ALONE && l[i].root >= 0)
			return &l[i];
	return NULL;
}

/* A full decision about one op; l[0..n) is the tally of what its members said of it, and behind it
 * l[n..n+nd) of the inputs of lost ranks that they have. One of the two may be empty. */
static bool resolve_full(const struct art_env *env, const struct art_set *old,
			 const struct art_line *l, uint32_t n, uint32_t nd, struct art_value *v,
			 struct art_resolution *s)
{
	const struct art_line *h = holder_of(l, n), *e = entered_of(l, n), *odd, *alone;

	s->sig = e->sig;
	for (uint32_t i = 0; i < n; i++)
		if (l[i].replays > s->replays)
			s->replays = l[i].replays;
	if (h) {
		deliver(h, s);
		return true;
	}
	alone = told_alone(l, n);
	if (alone)
		return lost_root(env, old, alone, s);
	odd = other_call(l, n, e);
	if (odd)
		return mismatch(env, old, e, odd, s);
	if (!stand_in(env, e, l + n, nd, s))
		return false;
	if (e->root >= 0 && !art__set_has(&v->members, (uint32_t)e->root) && !root_stands(e, s)) {
		art__env_free(env, s->stand);
		s->stand = NULL;
		s->nstand = 0;
		return lost_root(env, old, e, s);
	}
	if (e->policy == 1 && any_flag(l, n, ART_L_LOST) && !any_flag(l, n, ART_L_NOFAIL)) {
		struct art_set *b = lost_set(env, old, v);

		if (!b)
			return false;
		fail(s, ART_ERR_PROC_FAILED, b);
		return true;
	}
	s->res = ART_RES_RERUN;
	s->replays++;
	return blame_returned(env, l, n, v, s);
}

/* A named decision about one op (rule R3). */
static bool resolve_named(const struct art_env *env, const struct art_set *old,
			  const struct art_line *l, uint32_t n,
			  const struct art_named *why, struct art_value *v,
			  struct art_resolution *s)
{
	const struct art_line *h = n ? holder_of(l, n) : NULL, *alone = told_alone(l, n);

	if (n)
		s->sig = entered_of(l, n)->sig;
	if (h) {
		deliver(h, s);
		return true;
	}
	if (alone)
		return lost_root(env, old, alone, s);
	if (n && why->code != ART_ERR_MISMATCH && entered_of(l, n)->root >= 0 &&
	    !art__set_has(&v->members, (uint32_t)entered_of(l, n)->root) &&
	    !any_flag(l, n, ART_L_STANDS))
		return lost_root(env, old, entered_of(l, n), s); /* as whoever enters it finds out */
	fail(s, why->code, new_set(env, &v->members));
	if (!s->blamed)
		return false;
	if (why->a >= 0)
		art__set_add(s->blamed, (uint32_t)why->a);
	if (why->b >= 0)
		art__set_add(s->blamed, (uint32_t)why->b);
	if (why->code != ART_ERR_TIMEOUT)
		return true;
	art__set_copy(s->blamed, &why->ranks);
	art__set_and(s->blamed, &v->members);
	for (uint32_t i = 0; i < n; i++)
		if (l[i].flags & ART_L_ENTERED)
			art__set_minus(s->blamed, l[i].who);
	return true;
}

static const struct art_named *find_named(const struct art_named *named, uint32_t n,
					  const struct art_line *l)
{
	for (uint32_t i = 0; i < n; i++)
		if (named[i].comm == l->comm && named[i].seq == l->seq)
			return &named[i];
	return NULL;
}

/* Communicators with ART_LOSS_ERROR that lost a member and have no open unheld op: their next op
 * fails, once (rule R8). */
static bool fail_next(const struct art_env *env, const struct art_set *old,
		      const struct art_flush *f, struct art_value *v)
{
	for (uint32_t i = 0; i < f->ncline; i++) {
		const struct art_cline *c = &f->cline[i];
		struct art_resolution *s = &v->res[v->nres];
		bool open = false;

		if (!(c->policy & 1) || !(c->flags & ART_L_LOST))
			continue;
		for (uint32_t k = 0; k < v->nres; k++)
			if (v->res[k].comm == c->comm && v->res[k].res == ART_RES_FAIL)
				open = true;
		if (open)
			continue;
		memset(s, 0, sizeof(*s));
		s->comm = c->comm;
		s->seq = c->entered + 1;
		s->policy = c->policy;
		fail(s, ART_ERR_PROC_FAILED, lost_set(env, old, v));
		if (!s->blamed)
			return false;
		v->nres++;
	}
	return true;
}

/* Of l[at..left), sorted: how many of them are about the op of l[0]; those of kept inputs come last. */
static uint32_t said(const struct art_line *l, uint32_t at, uint32_t left, bool deposits)
{
	uint32_t n = at;

	while (n < left && l[n].comm == l->comm && l[n].seq == l->seq &&
	       !(l[n].flags & ART_L_DEPOSIT) == !deposits)
		n++;
	return n - at;
}

bool art__ft_resolve(const struct art_env *env, const struct art_set *old, struct art_flush *f,
		     const struct art_named *named, uint32_t nnamed, struct art_value *v)
{
	bool ok = true;

	if (f->ncline)
		qsort(f->cline, f->ncline, sizeof(f->cline[0]), by_comm);
	if (f->nline)
		qsort(f->line, f->nline, sizeof(f->line[0]), by_op);
	v->res = art__env_zalloc(env, (f->nline + f->ncline + 1) * sizeof(*v->res));
	v->comm = art__env_zalloc(env, (f->ncline + 1) * sizeof(*v->comm));
	if (!v->res || !v->comm)
		return false;
	if (f->ncline)
		memcpy(v->comm, f->cline, f->ncline * sizeof(*v->comm));
	v->ncomm = f->ncline;
	for (uint32_t i = 0, n, nd; i < f->nline && ok; i += n + nd) {
		const struct art_line *l = &f->line[i];
		const struct art_named *why = v->full ? NULL : find_named(named, nnamed, l);
		struct art_resolution *s = &v->res[v->nres];

		n = said(l, 0, f->nline - i, false);
		nd = said(l, n, f->nline - i, true);
		bool over = l->seq <= stable_of(f, l->comm) || settled(l, n);

		if (v->full ? over : !why)
			continue;
		s->comm = l->comm;
		s->seq = l->seq;
		s->kind = entered_of(l, n)->kind;
		s->policy = entered_of(l, n)->policy;
		if (over)
			s->res = ART_RES_SETTLED;
		else
			ok = v->full ? resolve_full(env, old, l, n, nd, v, s) :
				       resolve_named(env, old, l, n, why, v, s);
		v->nres++;
	}
	if (ok && v->full)
		ok = fail_next(env, old, f, v);
	return ok;
}
