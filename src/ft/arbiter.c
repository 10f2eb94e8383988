/* SPDX-License-Identifier: MIT
 *
 * The arbiter, and what acceptors of both kinds have in common: which ballots they promise and accept.
 */
#include "ft/arbiter.h"

/* ---- every acceptor ---- */

bool art__acceptor_promise(struct art_acceptor *a, uint32_t ballot)
{
	if (ballot < a->promised)
		return false;
	a->promised = ballot;
	return true;
}

bool art__acceptor_accept(const struct art_env *env, struct art_acceptor *a, uint32_t ballot,
			  const uint8_t *value, size_t len)
{
	if (ballot < a->promised || !art__blob_set(env, &a->value, value, len))
		return false;
	a->promised = a->accepted = ballot;
	return true;
}

void art__acceptor_reset(const struct art_env *env, struct art_acceptor *a)
{
	a->promised = a->accepted = 0;
	art__blob_free(env, &a->value);
}

/* ---- the arbiter ---- */

void art__arbiter_init(struct art_arbiter *a, const struct art_env *env, uint64_t mutant)
{
	memset(a, 0, sizeof(*a));
	a->env = env;
	a->mutant = mutant;
}

void art__arbiter_fini(struct art_arbiter *a)
{
	art__acceptor_reset(a->env, &a->acc);
}

static void head(struct art_wbuf *w, uint8_t kind, uint32_t epoch, uint32_t ballot)
{
	art__w_u8(w, kind);
	art__w_u32(w, epoch);
	art__w_u32(w, ballot);
}

static void on_prepare(struct art_arbiter *a, uint32_t ballot, struct art_wbuf *w)
{
	if (!art__acceptor_promise(&a->acc, ballot)) {
		head(w, ART_K_NACK, a->epoch, a->acc.promised);
		return;
	}
	head(w, ART_K_PROMISE, a->epoch, ballot);
	art__w_u32(w, a->acc.accepted);
	art__w_bytes(w, a->acc.value.p, a->acc.value.len);
}

static void on_accept(struct art_arbiter *a, uint32_t ballot, const struct art_rbuf *r,
		      struct art_wbuf *w)
{
	if (ART_FT_MUTANT(a, 19))
		a->acc.promised = 0;
	if (art__acceptor_accept(a->env, &a->acc, ballot, r->p + r->at, r->len - r->at))
		head(w, ART_K_ACCEPTED, a->epoch, ballot);
	else if (ballot < a->acc.promised)
		head(w, ART_K_NACK, a->epoch, a->acc.promised);
}

bool art__arbiter_ask(struct art_arbiter *a, const uint8_t *p, size_t len, struct art_wbuf *answer)
{
	struct art_rbuf r = { .p = p, .len = len };
	uint8_t kind = art__r_u8(&r);
	uint32_t epoch = art__r_u32(&r), ballot = art__r_u32(&r);

	if (r.bad || len > ART_VOTE_MAX || !epoch || !ballot || ballot >= ART_BALLOT_MAX ||
	    (kind != ART_K_PREPARE && kind != ART_K_ACCEPT) || epoch < a->epoch ||
	    !art__ft_room(a->env, answer, ART_VOTE_HEAD + a->acc.value.len))
		return false;
	if (epoch > a->epoch) {
		art__acceptor_reset(a->env, &a->acc);
		a->epoch = epoch;
	}
	if (kind == ART_K_PREPARE)
		on_prepare(a, ballot, answer);
	else
		on_accept(a, ballot, &r, answer);
	return answer->len && !answer->bad;
}
