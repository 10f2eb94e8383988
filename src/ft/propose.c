/* SPDX-License-Identifier: MIT
 *
 * The proposer's half of a view change.
 *
 *   idle --propose--> preparing --PROMISE of all of M, a quorum--> accepting
 *                        |  ^                                        |
 *                        |  +--a member of M died: next ballot-------+
 *                        +--NACK, higher ballot seen--> idle          +--quorum ACCEPTED--> decided
 *
 * Every member of M is flushed, not a majority, and the resolutions stand inside the value: a
 * member that could still complete an op of the old view would otherwise meet a rerun of it.
 */
#include "base/marks.h"
#include "ft/ft.h"

void art__ft_prop_stop(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;

	art__env_free(ft->env, p->named);
	art__blob_free(ft->env, &p->best);
	art__flush_free(ft->env, &p->flush);
	p->named = NULL;
	p->nnamed = 0;
	p->active = p->accepting = false;
}

/* Out of memory in the middle: try again with a new ballot a little later. */
void art__ft_try_later(struct art_ft *ft)
{
	art__ft_prop_stop(ft);
	ft->takeover_ns = art__env_now(ft->env) + ft->retry_ns;
	art__ft_shortage(ft);
}

static uint32_t next_ballot(const struct art_ft *ft)
{
	uint32_t top = ft->ballot_seen > ft->acc.promised ? ft->ballot_seen : ft->acc.promised;
	uint32_t b = top / ft->size * ft->size + (uint32_t)ft->slot + 1;

	return b > top ? b : b + ft->size;
}

static bool write_prepare(struct art_ft *ft, struct art_wbuf *w)
{
	const struct art_proposal *p = &ft->prop;

	if (!art__ft_room(ft->env, w, 16 + 16 * p->members.words + art__ft_acted_bytes(ft)))
		return false;
	art__w_u32(w, p->ballot);
	art__w_u8(w, p->full);
	art__w_set(w, &p->members);
	art__w_set(w, &p->dead);
	art__ft_acted_write(ft, w);
	art__w_u32(w, p->nnamed);
	for (uint32_t i = 0; i < p->nnamed; i++)
		art__named_encode(ft->env, &p->named[i], w);
	return !w->bad;
}

static bool write_value(struct art_ft *ft, struct art_wbuf *w)
{
	const struct art_proposal *p = &ft->prop;

	if (!art__ft_room(ft->env, w, 4 + p->best.len))
		return false;
	art__w_u32(w, p->ballot);
	art__w_bytes(w, p->best.p, p->best.len);
	return true;
}

/* Without memory nothing is said now, but when it is said again. */
static void tell(struct art_ft *ft, uint8_t kind, const struct art_set *to)
{
	struct art_ft_said m = { .kind = kind, .epoch = ft->view.epoch + 1 };
	struct art_wbuf w = { 0 };

	if (kind == ART_K_PREPARE ? write_prepare(ft, &w) : write_value(ft, &w)) {
		m.body = w.p;
		m.len = w.len;
		art__ft_tell(ft, to, &m);
	}
	art__env_free(ft->env, w.p);
}

/* Those who have not answered the present phase, whoever was to pass it on to them. */
static void resend(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	struct art_set to;

	art__set_copy(&to, &p->members);
	art__set_minus(&to, p->accepting ? &p->accepted : &p->promised);
	art__set_del(&to, (uint32_t)ft->slot);
	art__set_or(&p->alone, &to);
	tell(ft, p->accepting ? ART_K_ACCEPT : ART_K_PREPARE, &to);
	if (!p->active)
		return;
	art__ft_ask_arbiter(ft);
	ft->prop.resend_ns = art__env_now(ft->env) + ft->retry_ns;
}

/* Whoever is to leave hears of it, too. */
static void tell_view(struct art_ft *ft, uint8_t kind)
{
	struct art_set to;

	art__set_copy(&to, &ft->view.members);
	art__set_minus(&to, &ft->dead);
	art__set_del(&to, (uint32_t)ft->slot);
	tell(ft, kind, &to);
}

static bool copy_wanted(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;

	if (p->full || !ft->nwanted)
		return true;
	p->named = art__env_alloc(ft->env, ft->nwanted * sizeof(*p->named));
	if (!p->named)
		return false;
	memcpy(p->named, ft->wanted, ft->nwanted * sizeof(*p->named));
	p->nnamed = ft->nwanted;
	return true;
}

/* What this rank would say in a PROMISE. */
static bool own_report(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	struct art_flush own = { 0 };
	bool ok = ft->client.report(ft->client.self, ft->frozen, &p->members, ft->frozen_named,
				    ft->nfrozen_named, &own);

	for (uint32_t i = 0; i < own.nline && ok; i++)
		ok = art__flush_tally(ft->env, &p->flush, &own.line[i], (uint32_t)ft->slot, ft->size);
	for (uint32_t i = 0; i < own.ncline && ok; i++)
		ok = art__flush_tally_comm(ft->env, &p->flush, &own.cline[i]);
	p->flush.edges = own.edges;
	art__flush_free(ft->env, &own);
	return ok;
}

/* Starts a ballot for the next epoch. The deaths D are those known now, and stay (FAULTS R1). */
void art__ft_propose(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	struct art_set others;

	art__ft_prop_stop(ft);
	art__set_copy(&p->members, &ft->view.members);
	art__set_minus(&p->members, &ft->suspect);
	art__set_copy(&p->dead, &ft->dead);
	art__set_init(&p->promised, ft->size);
	art__set_init(&p->accepted, ft->size);
	art__set_init(&p->alone, ft->size);
	p->full = ft->relink || ft->acc.promised || !art__set_equal(&p->members, &ft->view.members);
	p->ballot = next_ballot(ft);
	p->best_ballot = 0;
	p->arbiter_promised = p->arbiter_accepted = false;
	ft->takeover_ns = ft->request_ns = ART_NEVER;
	p->resend_ns = art__env_now(ft->env) + ft->retry_ns;
	if (!copy_wanted(ft)) {
		art__ft_try_later(ft);
		return;
	}
	p->active = true;
	art__ft_prepare_self(ft);
	if (!own_report(ft)) {
		art__ft_try_later(ft);
		return;
	}
	if (ft->acc.accepted) {
		p->best_ballot = ft->acc.accepted;
		if (!art__blob_set(ft->env, &p->best, ft->acc.value.p, ft->acc.value.len)) {
			art__ft_try_later(ft);
			return;
		}
	}
	art__set_add(&p->promised, (uint32_t)ft->slot);
	ft->client.step(ft->client.self, "prepare");
	art__set_copy(&others, &p->members);
	art__set_del(&others, (uint32_t)ft->slot);
	tell(ft, ART_K_PREPARE, &others);
	art__ft_ask_arbiter(ft);
	art__ft_choose_when_flushed(ft);
}

/* ---- phase 1 ends: the value ---- */

static bool fresh_value(struct art_ft *ft, const struct art_set *members, bool full,
			struct art_blob *out)
{
	struct art_proposal *p = &ft->prop;
	struct art_value v = { .epoch = ft->view.epoch + 1, .full = full };
	struct art_wbuf w = { 0 };
	bool ok;

	if (full)
		v.edges = p->flush.edges;
	art__set_copy(&v.members, members);
	ok = art__ft_resolve(ft->env, &ft->view.members, &p->flush, p->named, p->nnamed, &v) &&
	     art__value_encode(ft->env, &v, &w) && art__blob_set(ft->env, out, w.p, w.len);
	art__value_free(ft->env, &v);
	art__env_free(ft->env, w.p);
	return ok;
}

static bool adopt(struct art_ft *ft)
{
	ART_MARK(ft->env, ART_M_BALLOT_ADOPTED);
#ifdef ART_TEST_MUTANTS
	if (ART_FT_MUTANT(ft, 2)) {
		struct art_value v;
		bool ok = art__value_decode(ft->env, ft->prop.best.p, ft->prop.best.len, ft->size,
					    &v);

		ok = ok && fresh_value(ft, &v.members, v.full, &ft->prop.best);
		art__value_free(ft->env, &v);
		return ok;
	}
#endif
	return true;
}

static bool flushed(const struct art_ft *ft)
{
	const struct art_proposal *p = &ft->prop;
	bool all = art__set_subset(&p->members, &p->promised);

	if (ART_FT_MUTANT(ft, 1))
		all = 2 * art__set_count(&p->promised) > art__set_count(&p->members);
	return all && (art__ft_enough(ft, &p->promised, &p->dead) ||
		       (p->arbiter_promised && art__ft_arbiter_counts(ft, &p->promised)));
}

void art__ft_choose_when_flushed(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	bool ok;

	if (!p->active || p->accepting || !flushed(ft))
		return;
	if (p->best_ballot && !ART_FT_MUTANT(ft, 5))
		ok = adopt(ft);
	else
		ok = fresh_value(ft, &p->members, p->full, &p->best);
	/* the own vote first */
	if (!ok || !art__acceptor_accept(ft->env, &ft->acc, p->ballot, p->best.p, p->best.len)) {
		art__ft_try_later(ft);
		return;
	}
	p->accepting = true;
	art__set_add(&p->accepted, (uint32_t)ft->slot);
	p->resend_ns = art__env_now(ft->env) + ft->retry_ns;
	ft->client.step(ft->client.self, "accept");
	tell_view(ft, ART_K_ACCEPT);
	art__ft_ask_arbiter(ft);
	art__ft_decide_when_accepted(ft);
}

/* ---- phase 2 ends: the decision ---- */

void art__ft_decide_when_accepted(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	uint32_t epoch = ft->view.epoch, ballot = p->ballot;
	struct art_blob v;

	if (!p->active || !p->accepting || ft->acc.promised != p->ballot ||
	    !(art__ft_enough(ft, &p->accepted, &p->dead) ||
	      (p->arbiter_accepted && art__ft_arbiter_counts(ft, &p->accepted))))
		return;
	ft->client.step(ft->client.self, "decided");
	tell_view(ft, ART_K_DECIDED);
	v = p->best; /* the install ends the proposal, unless memory is missing */
	p->best = (struct art_blob){ 0 };
	art__ft_install(ft, ballot, v.p, v.len);
	if (ft->view.epoch == epoch && p->active)
		p->best = v;
	else
		art__blob_free(ft->env, &v);
}

/* ---- answers ---- */

static bool read_lines(struct art_ft *ft, int from, struct art_rbuf *r)
{
	uint32_t nl = art__r_u32(r), nc = art__r_u32(r);
	struct art_flush *f = &ft->prop.flush;
	struct art_edges said;
	struct art_line l;
	struct art_cline c;

	for (uint32_t i = 0; i < nl && !r->bad; i++) {
		art__line_decode(r, ft->size, &l);
		if (!r->bad && !art__flush_tally(ft->env, f, &l, (uint32_t)from, ft->size))
			return false;
	}
	for (uint32_t i = 0; i < nc && !r->bad; i++) {
		art__cline_decode(r, &c);
		if (!r->bad && !art__flush_tally_comm(ft->env, f, &c))
			return false;
	}
	art__edges_decode(r, ft->size, &said);
	for (uint32_t i = 0; i < said.n && !r->bad; i++)
		art__edges_add(&f->edges, said.e[i].a, said.e[i].b);
	return !r->bad;
}

void art__ft_on_promise(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	struct art_proposal *p = &ft->prop;
	uint32_t ballot = art__r_u32(r), accepted = art__r_u32(r), len = art__r_u32(r);
	const uint8_t *value = art__r_bytes(r, len);

	struct art_value v;

	if (r->bad || !p->active || p->accepting || ballot != p->ballot ||
	    epoch != ft->view.epoch + 1 || !art__set_has(&p->members, (uint32_t)from) ||
	    art__set_has(&p->promised, (uint32_t)from))
		return;
	if (accepted) {
		if (!art__ft_read_value(ft, value, len, &v))
			return; /* asked again */
		art__value_free(ft->env, &v);
	}
	if (!read_lines(ft, from, r)) {
		art__ft_try_later(ft);
		return;
	}
	if (accepted > p->best_ballot) {
		if (!art__blob_set(ft->env, &p->best, value, len)) {
			art__ft_try_later(ft); /* a ballot that forgets an accepted value would be wrong */
			return;
		}
		p->best_ballot = accepted;
	}
	art__set_add(&p->promised, (uint32_t)from);
	art__ft_choose_when_flushed(ft);
}

void art__ft_on_accepted(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	struct art_proposal *p = &ft->prop;
	uint32_t ballot = art__r_u32(r);

	if (r->bad || !p->active || !p->accepting || ballot != p->ballot ||
	    epoch != ft->view.epoch + 1)
		return;
	art__set_add(&p->accepted, (uint32_t)from);
	art__ft_decide_when_accepted(ft);
}

void art__ft_prop_tick(struct art_ft *ft, uint64_t now)
{
	if (!ft->prop.active || now < ft->prop.resend_ns)
		return;
	resend(ft);
	art__ft_decide_when_accepted(ft); /* there was no memory for it, perhaps there is now */
}
