/* SPDX-License-Identifier: MIT
 *
 * A proposer of exactly half the members and the arbiter. It is asked as a member is, in both phases, but
 * only where it decides: a ballot that has a quorum without it does not wait for it.
 *
 *   preparing --PREPARE--> arbiter --PROMISE--> its vote counts for this ballot, its value is adopted
 *   accepting --ACCEPT---> arbiter --ACCEPTED-> its vote counts for the decision
 *                          arbiter --NACK-----> the other half was first: a higher ballot, later
 */
#include "base/marks.h"
#include "ft/arbiter.h"

bool art__ft_arbiter_counts(const struct art_ft *ft, const struct art_set *q)
{
	struct art_set live;

	art__set_copy(&live, q);
	art__set_and(&live, &ft->view.members);
	return ft->client.vote && !ft->lowest_half &&
	       2 * art__set_count(&live) == art__set_count(&ft->view.members);
}

bool art__ft_may_be_enough(const struct art_ft *ft, const struct art_set *q, const struct art_set *d)
{
	return art__ft_enough(ft, q, d) || art__ft_arbiter_counts(ft, q);
}

void art__ft_ask_arbiter(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;
	size_t len = p->accepting ? p->best.len : 0;
	struct art_wbuf w = { 0 };

	if (!p->active || (p->accepting ? p->arbiter_accepted : p->arbiter_promised) ||
	    !art__ft_arbiter_counts(ft, &p->members) || len > ART_VOTE_MAX - ART_VOTE_HEAD ||
	    art__ft_enough(ft, p->accepting ? &p->accepted : &p->members, &p->dead))
		return;
	ART_MARK(ft->env, ART_M_ARBITER_ASKED);
	ART_SET_EACH(i, &ft->view.members) /* the network may have healed, and they know more */
		if (art__set_has(&ft->suspect, i) && !art__set_has(&ft->dead, i))
			art__ft_ask_view(ft, (int)i);
	if (art__ft_room(ft->env, &w, ART_VOTE_HEAD + len)) {
		art__w_u8(&w, p->accepting ? ART_K_ACCEPT : ART_K_PREPARE);
		art__w_u32(&w, ft->view.epoch + 1);
		art__w_u32(&w, p->ballot);
		art__w_bytes(&w, p->best.p, len);
		ft->client.vote(ft->client.self, w.p, w.len);
	}
	art__env_free(ft->env, w.p);
}

static void on_promise(struct art_ft *ft, struct art_rbuf *r)
{
	struct art_proposal *p = &ft->prop;
	uint32_t accepted = art__r_u32(r);
	size_t len = r->len - r->at;
	struct art_value v;

	if (r->bad || p->accepting)
		return;
	if (accepted > p->best_ballot) {
		if (!art__ft_read_value(ft, r->p + r->at, len, &v))
			return; /* asked again */
		art__value_free(ft->env, &v);
		if (!art__blob_set(ft->env, &p->best, r->p + r->at, len)) {
			art__ft_try_later(ft); /* a ballot that forgets an accepted value would be wrong */
			return;
		}
		p->best_ballot = accepted;
	}
	p->arbiter_promised = true;
	art__ft_choose_when_flushed(ft);
}

void art__ft_voted(struct art_ft *ft, const uint8_t *body, size_t len)
{
	struct art_rbuf r = { .p = body, .len = len };
	struct art_proposal *p = &ft->prop;
	uint8_t kind = art__r_u8(&r);
	uint32_t epoch = art__r_u32(&r), ballot = art__r_u32(&r);

	if (r.bad || ft->fate || epoch != ft->view.epoch + 1 || !p->active)
		return;
	if (kind == ART_K_NACK) {
		art__ft_outbid(ft, ballot);
	} else if (ballot == p->ballot && kind == ART_K_PROMISE) {
		on_promise(ft, &r);
	} else if (ballot == p->ballot && kind == ART_K_ACCEPTED && p->accepting) {
		ART_MARK(ft->env, ART_M_ARBITER_DECIDED);
		p->arbiter_accepted = true;
		art__ft_decide_when_accepted(ft);
	}
}
