/* SPDX-License-Identifier: MIT
 *
 * What must hold: the protocol's invariants as far as they show through core.h. Views are
 * checked whenever a rank's epoch moves, outcomes whenever one becomes known, and everything that
 * only the end can tell in cluster_check_end().
 *
 * Who binds whom: the members of the newest view that live. A rank that died, was evicted or is
 * without quorum may have seen another outcome (plain mode is not uniform), the others may not.
 */
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "tests/lib/cluster_impl.h"

/* ---- views ---- */

static struct view_rec *view_rec(struct cluster *c, uint32_t epoch)
{
	if (epoch >= c->nview) {
		uint32_t n = epoch + 16;

		c->view = realloc(c->view, n * sizeof(*c->view));
		if (!c->view)
			abort();
		memset(c->view + c->nview, 0, (n - c->nview) * sizeof(*c->view));
		c->nview = n;
	}
	return &c->view[epoch];
}

static uint64_t word_of(const struct art_set *s, int k)
{
	return (uint32_t)k < s->words ? s->w[k] : 0;
}

/* Dead, evicted or without quorum: does nothing any more. */
static uint64_t gone_word(const struct cluster *c, int k)
{
	uint64_t gone = c->was_killed[k];

	for (int s = 64 * k; s < c->n && s < 64 * (k + 1); s++)
		if (c->rank[s].fate)
			gone |= UINT64_C(1) << (s - 64 * k);
	return gone;
}

/* What two ranks say of one epoch may differ in who is gone only. */
static void same_view(struct crank *r, const struct view_rec *v, const struct art_set *s)
{
	struct cluster *c = r->cluster;

	for (int k = 0; k < c->words; k++) {
		if (!((v->set[k] ^ word_of(s, k)) & ~gone_word(c, k)))
			continue;
		cluster_fail(c, "epoch %u has members %llx at rank %d and %llx at rank %d",
			     (unsigned)r->epoch, (unsigned long long)v->set[k], v->by,
			     (unsigned long long)word_of(s, k), r->slot);
		return;
	}
}

/* Members leave on a verdict, and none comes. */
static void next_view(struct crank *r, const struct view_rec *v)
{
	struct cluster *c = r->cluster;
	const struct view_rec *old = r->epoch ? view_rec(c, r->epoch - 1) : NULL;

	for (int s = 0; s < c->n; s++) {
		if (!word_has(v->set, s) && !word_has(c->accused, s) &&
		    !word_has(c->was_killed, s) && !c->rank[s].fate) /* it may have said GONE */
			cluster_fail(c, "epoch %u at rank %d is without rank %d, whom nobody suspected",
				     (unsigned)r->epoch, r->slot, s);
		if (old && old->known && word_has(v->set, s) && !word_has(old->set, s) &&
		    !word_has(c->was_killed, s))
			cluster_fail(c, "epoch %u at rank %d has rank %d, epoch %u had not",
				     (unsigned)r->epoch, r->slot, s, (unsigned)r->epoch - 1);
	}
}

static void learn_view(struct crank *r)
{
	struct cluster *c = r->cluster;
	const struct art_set *s = art__core_members(r->core);
	struct view_rec *v = view_rec(c, r->epoch);

	if (v->known) {
		same_view(r, v, s);
		return;
	}
	v->set = calloc((size_t)c->words, sizeof(*v->set));
	if (!v->set)
		abort();
	for (int k = 0; k < c->words; k++)
		v->set[k] = word_of(s, k);
	v->known = true;
	v->by = r->slot;
	if (r->epoch > c->newest)
		c->newest = r->epoch;
	next_view(r, v);
}

#define SPINS_MAX 1000 /* ticks in a row that leave something due: a millisecond */

/* A timer that stays due would keep the service thread of a process busy, and nothing else shows it. */
void cluster__check_spin(struct crank *r)
{
	if (r->dead || r->machine->ops->wake_ns(r->machine) > cluster_now(r->cluster))
		r->spins = 0;
	else if (++r->spins == SPINS_MAX)
		cluster_fail(r->cluster, "rank %d does nothing of what is due", r->slot);
}

void cluster__check_view(struct crank *r)
{
	struct cluster *c = r->cluster;
	uint32_t epoch = art__core_epoch(r->core);
	int fate = art__core_fate(r->core);

	if (fate != r->fate) {
		cluster__log(c, r->slot, "fate %d", fate);
		if (r->fate || (fate != ART_ERR_EVICTED && fate != ART_ERR_NO_QUORUM &&
				(fate != ART_ERR_NOMEM || !c->cfg.fail_alloc)))
			cluster_fail(c, "rank %d: fate goes from %d to %d", r->slot, r->fate, fate);
		if (fate == ART_ERR_EVICTED && !word_has(c->accused, r->slot))
			cluster_fail(c, "rank %d was evicted, and nobody suspected it", r->slot);
		r->fate = fate;
	}
	if (epoch == r->epoch && view_rec(c, epoch)->known)
		return;
	if (epoch < r->epoch)
		cluster_fail(c, "rank %d goes from epoch %u back to %u", r->slot, (unsigned)r->epoch,
			     (unsigned)epoch);
	r->epoch = epoch;
	cluster__log(c, r->slot, "epoch %u", (unsigned)epoch);
	if (!r->fate)
		learn_view(r);
}

/* ---- who binds ---- */

static bool binds(struct cluster *c, int slot)
{
	const struct crank *r = &c->rank[slot];

	return !r->dead && !r->fate && r->core && word_has(view_rec(c, c->newest)->set, slot);
}

static bool lost(struct cluster *c, int slot)
{
	return c->rank[slot].dead || c->rank[slot].fate || !word_has(view_rec(c, c->newest)->set, slot);
}

static bool same_call(const struct cluster_call *a, const struct cluster_call *b)
{
	unsigned user = CLUSTER_USER | CLUSTER_USER_AFFINE | CLUSTER_USER_ELEM;

	return a->kind == b->kind && a->count == b->count && a->type == b->type && a->op == b->op &&
	       a->root == b->root && a->loss == b->loss && a->refuse == b->refuse &&
	       a->list == b->list &&
	       (a->flags & user) == (b->flags & user);
}

static bool local_code(int code)
{
	return code == ART_ERR_EVICTED || code == ART_ERR_NO_QUORUM;
}

/* ---- one outcome by itself ---- */

static const char *where(const struct call *q)
{
	static _Thread_local char text[96];

	snprintf(text, sizeof(text), "rank %d call %d (seq %llu of comm %d)", q->rank, q->index,
		 (unsigned long long)q->seq, q->what.comm);
	return text;
}

static bool somebody(struct cluster *c, const struct op_rec *op, const struct call *q,
		     bool (*fits)(const struct call *other, const struct call *q))
{
	for (int s = 0; s < c->n; s++)
		if (op->by_rank[s] && fits(op->by_rank[s], q))
			return true;
	return false;
}

static bool has_deadline(const struct call *other, const struct call *q)
{
	(void)q;
	return other->what.deadline_ns > 0;
}

static bool differs(const struct call *other, const struct call *q)
{
	return !same_call(&other->what, &q->what);
}

static bool refused_so(const struct call *other, const struct call *q)
{
	return other->what.refuse && other->what.refuse == q->out.code;
}

static bool any_lost(struct cluster *c)
{
	for (int s = 0; s < c->n; s++)
		if (lost(c, s) || word_has(c->accused, s))
			return true;
	return false;
}

/* In a mismatched call there are several. */
static bool a_root_is_lost(struct cluster *c, const struct op_rec *op)
{
	for (int s = 0; s < c->n; s++) {
		int root = op->by_rank[s] ? op->by_rank[s]->what.root : -1;

		if (root >= 0 && (lost(c, root) || word_has(c->accused, root)))
			return true;
	}
	return false;
}

static bool code_has_cause(struct cluster *c, const struct op_rec *op, const struct call *q)
{
	switch (q->out.code) {
	case ART_ERR_EVICTED:
	case ART_ERR_NO_QUORUM:
		return c->rank[q->rank].fate == q->out.code;
	case ART_ERR_ROOT_LOST:
		return a_root_is_lost(c, op) && !(q->what.kind == ART_C_REDUCE &&
						  q->cflags & ART_F_SUCCESSOR);
	case ART_ERR_PROC_FAILED:
		return c->comms[q->what.comm].strict && any_lost(c) &&
		       q->what.kind != ART_C_AGREE && q->what.kind != ART_C_SHRINK;
	case ART_ERR_TIMEOUT:
		return somebody(c, op, q, has_deadline);
	case ART_ERR_MISMATCH:
		return somebody(c, op, q, differs);
	case ART_ERR_NOMEM:
		return c->cfg.fail_alloc > 0 || somebody(c, op, q, refused_so);
	default:
		return somebody(c, op, q, refused_so);
	}
}

/* A rank that was cut off may yet get what it lacked to end a split of an epoch that the others have left:
 * then it has another communicator than they under the same number. */
static bool has_its_own_comm(struct cluster *c, const struct call *q)
{
	const struct comm_rec *cr = &c->comms[q->what.comm];

	if (binds(c, q->rank))
		return false;
	if (art__comm_size(q->comm) != cr->nslot)
		return true;
	for (int i = 0; i < cr->nslot; i++)
		if (art__comm_slot(q->comm, i) != cr->slot[i])
			return true;
	return false;
}

/* Invariant: the result is computed over exactly the members of one epoch. */
static void check_contributors(struct cluster *c, const struct op_rec *op, const struct call *q)
{
	const struct view_rec *v = q->out.epoch < c->nview ? &c->view[q->out.epoch] : NULL;
	bool entered = q->what.kind != ART_C_BCAST, own = has_its_own_comm(c, q);

	for (int s = 0; s < c->n; s++) {
		bool in = word_has(q->contributors, s);
		bool member = own ? art__comm_rank_of(q->comm, s) >= 0 :
				    cluster__member(c, q->what.comm, s);

		if (in && !member)
			cluster_fail(c, "%s: rank %d contributed and is no member", where(q), s);
		if (in && entered && !op->by_rank[s])
			cluster_fail(c, "%s: rank %d contributed and has not called", where(q), s);
		if (v && v->known && in != word_has(v->set, s) && !(in && q->mirror) &&
		    !word_has(c->was_killed, s) && member)
			cluster_fail(c, "%s: rank %d %s, and epoch %u has%s got it", where(q), s,
				     in ? "contributed" : "is missing", (unsigned)q->out.epoch,
				     in ? " not" : "");
	}
}

/* The calls name several roots: each root of a bcast holds it from entry, and every rank of a reduce
 * but its own root may return early, so the mistake may be found too late to take anything back
 * (rules R1, R12). */
static bool several_roots(const struct cluster *c, const struct op_rec *op, const struct call *q)
{
	if (q->what.kind != ART_C_BCAST && q->what.kind != ART_C_REDUCE)
		return false;
	for (int i = 0; i < c->cfg.n; i++)
		if (op->by_rank[i] && op->by_rank[i]->what.root != q->what.root)
			return true;
	return false;
}

/* The digest of the right result, computed once per contributor set. */
static bool expected_digest(struct cluster *c, struct op_rec *op, const struct call *q,
			    uint64_t *out)
{
	size_t bytes = (size_t)c->words * sizeof(*op->set);
	uint8_t *p;

	if (op->has_expect && q->contributors && op->set &&
	    memcmp(op->set, q->contributors, bytes) == 0 && op->expect_of == q->what.kind &&
	    op->expect_count == q->what.count) {
		*out = op->expect;
		return true;
	}
	p = malloc(q->bytes + 1);
	if (!p || !cluster__expected(c, q, q->contributors, p)) {
		free(p);
		return false;
	}
	*out = cluster__digest(&q->what, p);
	free(p);
	if (!q->contributors)
		return true;
	op->set = op->set ? op->set : malloc(bytes);
	if (!op->set)
		abort();
	memcpy(op->set, q->contributors, bytes);
	op->expect = *out;
	op->expect_of = q->what.kind;
	op->expect_count = q->what.count;
	op->has_expect = true;
	return true;
}

static void check_result(struct cluster *c, struct op_rec *op, const struct call *q)
{
	uint64_t want;

	if (several_roots(c, op, q) || has_its_own_comm(c, q))
		return;
	if (!q->has_digest || (!q->contributors && q->what.kind != ART_C_BCAST))
		return;
	if (expected_digest(c, op, q, &want) && want != q->digest)
		cluster_fail(c, "%s: the result is not the one of its contributors", where(q));
}

/* ---- two outcomes ---- */

static bool same_set(const struct cluster *c, const uint64_t *a, const uint64_t *b)
{
	if (!a || !b)
		return a == b;
	return memcmp(a, b, (size_t)c->words * sizeof(*a)) == 0;
}

static bool comparable(const struct call *q)
{
	/* finalize may be held by hearsay (BYE): nobody reads its status */
	return q && q->done && !q->refused && q->known && !q->out.pending &&
	       q->what.kind != ART_C_FREE && q->what.kind != ART_C_FINALIZE &&
	       !local_code(q->out.code);
}

/* Somebody has called otherwise than @q, and that call stands (rule R12). */
static bool stands(const struct cluster *c, const struct op_rec *op, const struct call *q)
{
	for (int i = 0; i < c->n; i++) {
		const struct call *o = op->by_rank[i]; /* even of a rank that is lost since */

		if (!o || o->refused || same_call(&o->what, &q->what))
			continue;
		if (o->done && !o->out.code)
			return true;
		/* the root of a bcast holds it from entry, also if it is evicted before it returns */
		if (o->what.kind == ART_C_BCAST && i == o->what.root &&
		    (!o->out.code || local_code(o->out.code)))
			return true;
	}
	return false;
}

/* What the odd rank is told: itself, and the root of the call that stands. */
static bool names_itself(const struct cluster *c, const struct call *q)
{
	int n = 0;

	for (int k = 0; q->blamed && k < c->words; k++)
		n += __builtin_popcountll(q->blamed[k]);
	return n == 2 && word_has(q->blamed, q->rank);
}

static bool both_odd(const struct cluster *c, const struct op_rec *op, const struct call *a,
		     const struct call *b)
{
	return a->out.code == ART_ERR_MISMATCH && stands(c, op, a) && names_itself(c, a) &&
	       names_itself(c, b);
}

static void check_agreement(struct cluster *c, const struct op_rec *op, const struct call *a,
			    const struct call *b)
{
	const char *what = NULL;

	if (!same_call(&a->what, &b->what) || several_roots(c, op, a))
		return; /* the odd one may fail alone (rule R12) */
	if (a->out.code != b->out.code)
		what = "codes";
	else if (a->out.epoch != b->out.epoch)
		what = "epochs";
	else if (a->out.replays != b->out.replays)
		what = "replays";
	else if (!same_set(c, a->contributors, b->contributors))
		what = "contributors";
	else if (!same_set(c, a->blamed, b->blamed) && !both_odd(c, op, a, b))
		what = "blame";
	else if (a->has_digest && b->has_digest && a->digest != b->digest)
		what = "bytes";
	if (what)
		cluster_fail(c, "%s and rank %d: different %s (codes %d and %d, epochs %u and %u, "
			     "replays %u and %u)", where(a), b->rank, what, a->out.code, b->out.code,
			     (unsigned)a->out.epoch, (unsigned)b->out.epoch,
			     (unsigned)a->out.replays, (unsigned)b->out.replays);
}

static bool is_uniform(const struct call *q)
{
	return q->cflags & (ART_F_UNIFORM | ART_F_SUCCESSOR) || q->what.kind == ART_C_AGREE ||
	       q->what.kind == ART_C_SHRINK;
}

/* Is there a survivor of the view in which @q ended? Only such a one can know of it. */
static bool has_witness(struct cluster *c, const struct call *q)
{
	for (int s = 0; s < c->n && s < 64; s++)
		if (binds(c, s) && q->done_view >> s & 1)
			return true;
	return false;
}

/* Who returned from a uniform call before it was lost agrees with the survivors, too. */
static void check_uniform(struct cluster *c, const struct op_rec *op, const struct call *q)
{
	for (int s = 0; s < c->n; s++) {
		const struct call *o = op->by_rank[s];

		if (comparable(o) && !binds(c, s) && is_uniform(o) && !o->out.code &&
		    same_call(&o->what, &q->what) && has_witness(c, o))
			check_agreement(c, op, q, o);
	}
}

/* Nor does it return before - unless nobody is left to keep anything. (Of a rerun somebody else's word may
 * have been the last that was needed.) */
static void check_keepers(struct cluster *c, const struct call *q)
{
	bool gives = q->what.kind == ART_C_REDUCE || q->what.kind == ART_C_ALLREDUCE ||
		     (q->what.kind == ART_C_BCAST && q->what.root == q->rank);

	if (!q->mirror || !q->done || !gives || q->out.code || q->out.replays || q->keepers ||
	    c->cfg.fail_alloc)
		return;
	for (int s = 0; s < c->n && s < 64; s++)
		if (s != q->rank && q->done_view >> s & 1 &&
		    cluster__member(c, q->what.comm, s)) {
			cluster_fail(c, "%s: returned, and nobody keeps its input", where(q));
			return;
		}
}

void cluster__check_done(struct crank *r, struct call *q)
{
	struct cluster *c = r->cluster;
	struct op_rec *op = cluster__op_rec(c, q->what.comm, q->seq);

	if (q->out.code && !code_has_cause(c, op, q))
		cluster_fail(c, "%s: code %d has no cause", where(q), q->out.code);
	if (!q->out.code && q->contributors)
		check_contributors(c, op, q);
	if (!q->out.code)
		check_result(c, op, q);
	check_keepers(c, q);
	if (!q->out.code && !q->out.pending && !q->contributors && q->what.kind != ART_C_FREE)
		cluster_fail(c, "%s: success without a contributor set", where(q));
	if (!q->out.code && q->out.pending && is_uniform(q) && q->what.kind != ART_C_FREE)
		cluster_fail(c, "%s: pending on a uniform communicator", where(q));
	if (!comparable(q) || !binds(c, r->slot))
		return;
	check_uniform(c, op, q);
	for (int s = 0; s < c->n; s++)
		if (s != r->slot && comparable(op->by_rank[s]) && binds(c, s))
			check_agreement(c, op, q, op->by_rank[s]);
}

/* ---- communicators ---- */

/* Does @a stand before @b in a split? Their ranks are those in the communicator of @q, whose rank still has
 * it: others may have freed theirs. */
static bool before(const struct call *q, const struct call *a, const struct call *b)
{
	if (a->what.key != b->what.key)
		return a->what.key < b->what.key;
	return art__comm_rank_of(q->comm, a->rank) < art__comm_rank_of(q->comm, b->rank);
}

/* The rank that @s should have in what @q makes for its rank, -1: none. */
static int rank_in_child(struct cluster *c, const struct op_rec *op, const struct call *q, int s)
{
	const struct call *mine = op->by_rank[s];
	int rank = 0;

	switch (q->what.kind) {
	case ART_C_DUP:
		return art__comm_rank_of(q->comm, s);
	case ART_C_SHRINK:
		for (int i = 0; i < c->n; i++)
			rank += word_has(q->contributors, i) &&
				art__comm_rank_of(q->comm, i) < art__comm_rank_of(q->comm, s);
		return word_has(q->contributors, s) ? rank : -1;
	case ART_C_CREATE:
		for (int i = s + 1; i < 32; i++)
			rank += q->what.list >> i & 1 && art__comm_rank_of(q->comm, i) >= 0;
		return q->what.list >> s & 1 && art__comm_rank_of(q->comm, s) >= 0 ? rank : -1;
	default:
		break;
	}
	if (!mine || !word_has(q->contributors, s) || mine->what.colour != q->what.colour)
		return -1;
	for (int i = 0; i < c->n; i++) {
		const struct call *o = op->by_rank[i];

		rank += i != s && o && word_has(q->contributors, i) &&
			o->what.colour == q->what.colour && before(q, o, mine);
	}
	return rank;
}

/* Rank by rank what dup, split and create promise, computed from what everyone has called. */
void cluster__check_child(struct crank *r, struct call *q)
{
	struct cluster *c = r->cluster;
	struct op_rec *op = cluster__op_rec(c, q->what.comm, q->seq);
	const struct art_comm *child = art__op_child(q->op);
	bool makes = q->what.kind == ART_C_DUP || q->what.kind == ART_C_SPLIT ||
		     q->what.kind == ART_C_CREATE || q->what.kind == ART_C_SHRINK;

	if (!makes || q->out.code || !q->contributors) {
		if (child)
			cluster_fail(c, "%s: makes a communicator and must not", where(q));
		return;
	}
	if (!child) {
		if (q->what.kind == ART_C_SPLIT ? q->what.colour >= 0 :
						  rank_in_child(c, op, q, r->slot) >= 0)
			cluster_fail(c, "%s: made no communicator", where(q));
		return;
	}
	if (q->what.kind == ART_C_SPLIT && q->what.colour < 0)
		cluster_fail(c, "%s: a communicator without a colour", where(q));
	for (int s = 0; s < c->n; s++)
		if (art__comm_rank_of(child, s) != rank_in_child(c, op, q, s))
			cluster_fail(c, "%s: slot %d has rank %d in what it made, not %d", where(q), s,
				     art__comm_rank_of(child, s), rank_in_child(c, op, q, s));
}

/* ---- the end ---- */

static bool disturbed(const struct cluster *c, int slot)
{
	for (int s = 0; s < c->n; s++)
		if (c->cut[slot * c->n + s] || c->cut[s * c->n + slot])
			return true;
	return c->rank[slot].paused;
}

static bool all_called(struct cluster *c, int comm, const struct op_rec *op)
{
	for (int s = 0; s < c->n; s++)
		if (binds(c, s) && cluster__member(c, comm, s) && !op->by_rank[s])
			return false;
	return true;
}

static void check_open(struct cluster *c, struct crank *r)
{
	if (r->dead || r->app == APP_OVER || disturbed(c, r->slot) || c->cfg.fail_alloc)
		return;
	if (r->fate) {
		cluster_fail(c, "rank %d has fate %d and still waits (item %d, call %d, app %d)", r->slot,
			     r->fate, r->pc, r->wait_call, (int)r->app);
		return;
	}
	if (!binds(c, r->slot)) {
		cluster_fail(c, "rank %d is no member of epoch %u and was not told", r->slot,
			     (unsigned)c->newest);
		return;
	}
	for (int k = 0; k < r->ncalls; k++) {
		const struct call *q = r->calls[k];

		if (q->op && !q->done &&
		    all_called(c, q->what.comm, cluster__op_rec(c, q->what.comm, q->seq)))
			cluster_fail(c, "%s is open, and every member has called it", where(q));
	}
}

/* Somebody who lives had said to keep the input of this lost rank, for the same call. */
static bool kept(struct cluster *c, const struct call *o, const struct call *q)
{
	if (!o || o->refused || !o->mirror || !same_call(&o->what, &q->what))
		return false;
	for (int s = 0; s < c->n && s < 64; s++)
		if (o->keepers >> s & 1 && binds(c, s))
			return true;
	return false;
}

/* Under MIRROR a rank counts as soon as somebody keeps its input, whatever becomes of it. */
static void check_kept(struct cluster *c, const struct op_rec *op, const struct call *q)
{
	if (q->out.code == ART_ERR_ROOT_LOST && q->what.kind == ART_C_BCAST &&
	    kept(c, op->by_rank[q->what.root], q))
		cluster_fail(c, "%s: the root is lost, and its data was kept", where(q));
	for (int s = 0; s < c->n && !q->out.code && q->contributors; s++)
		if (kept(c, op->by_rank[s], q) && !word_has(q->contributors, s))
			cluster_fail(c, "%s: the contribution of rank %d, which was kept, is missing",
				     where(q), s);
}

/* A survivor's contribution is in every result. */
static void check_survivors(struct cluster *c, const struct op_rec *op, const struct call *q)
{
	if (q->out.code || !q->contributors)
		return;
	for (int s = 0; s < c->n; s++) {
		const struct call *o = op->by_rank[s];

		if (binds(c, s) && o && !o->refused && same_call(&o->what, &q->what) &&
		    !word_has(q->contributors, s))
			cluster_fail(c, "%s: the contribution of rank %d, which survived, is missing",
				     where(q), s);
	}
}

static void check_op(struct cluster *c, const struct op_rec *op)
{
	const struct call *first = NULL;

	for (int s = 0; s < c->n; s++) {
		const struct call *q = op->by_rank[s];

		if (!comparable(q) || !binds(c, s))
			continue;
		if (q->returned_code != q->out.code && !q->was_pending)
			cluster_fail(c, "%s: returned %d, later %d", where(q), q->returned_code,
				     q->out.code);
		if (first)
			check_agreement(c, op, first, q);
		else
			check_survivors(c, op, q);
		if (!first)
			check_kept(c, op, q);
		first = first ? first : q;
	}
}

void cluster_check_end(struct cluster *c)
{
	unsigned before = c->violations;

	for (int s = 0; s < c->n; s++) {
		struct crank *r = &c->rank[s];

		for (int k = r->first_unknown; k < r->ncalls; k++)
			if (!r->calls[k]->known)
				cluster__app_refresh(r, r->calls[k]);
		check_open(c, r);
	}
	for (int m = 0; m < CLUSTER_COMMS; m++)
		for (uint64_t i = 0; i < c->comms[m].nop; i++)
			if (c->comms[m].op[i].by_rank)
				check_op(c, &c->comms[m].op[i]);
	if (c->events >= c->cfg.max_steps)
		cluster_fail(c, "%llu events were not enough", (unsigned long long)c->events);
	if (c->violations == before)
		cluster__log(c, -1, "checked");
}

uint64_t cluster_sent(const struct cluster *c, int rank, int channel)
{
	return c->rank[rank].sent[channel];
}

uint64_t cluster_got(const struct cluster *c, int rank, int channel)
{
	return c->rank[rank].got[channel];
}
