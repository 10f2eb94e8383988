/* SPDX-License-Identifier: MIT
 *
 * How an op ends: held, delivered, failed or returned early; what it takes effect on; when its
 * caller is told; and what is said of it afterwards.
 */
#include <art/art.h>

#include "base/marks.h"
#include "coll/coll.h"

/* Lets go the oldest half of the records; of what was called before them nothing can be said then. */
static void drop_odds(struct art_comm *m)
{
	struct art_odd **p = &m->odds;

	for (uint32_t n = 0; n < ART_ODDS_MAX / 2; n++)
		p = &(*p)->next;
	m->nodds = ART_ODDS_MAX / 2;
	while (*p) {
		struct art_odd *o = *p;

		*p = o->next;
		if (o->seq > m->odds_from)
			m->odds_from = o->seq;
		art__env_free(m->coll->env, o);
	}
}

/* The caller was told "pending" and asks later, by its status only. */
void art__op_note_odd(struct art_op *op)
{
	struct art_comm *m = op->comm;
	struct art_odd *o = art__env_alloc(m->coll->env, sizeof(*o));

	if (!o) {
		art__ft_give_up(m->coll->ft, ART_ERR_NOMEM); /* it would tell lies */
		return;
	}
	o->seq = op->seq;
	art__op_outcome(op, &o->out);
	o->told = !op->code || !m->notify || !m->notify->fn;
	o->next = m->odds;
	m->odds = o;
	if (++m->nodds > ART_ODDS_MAX)
		drop_odds(m);
}

void art__op_lacks_memory(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	op->again_ns = art__env_now(c->env) + c->cfg.retry_ns;
	art__ft_shortage(c->ft);
}

/* Asks for a decision about this op alone (rules R3, R12); told once per epoch. */
void art__op_ask(struct art_op *op, int code, int a, int b)
{
	struct art_named n = { .comm = op->comm->id, .seq = op->seq, .code = code, .a = a, .b = b };

	if (op->asked)
		return;
	art__comm_live(op->comm, &n.ranks);
	if (!op->held && op->comm->done_mark >= op->seq)
		op->comm->done_mark = op->seq - 1; /* returned early, and in doubt now */
	op->asked = art__ft_decide(op->comm->coll->ft, &n);
	op->plea = (struct art_plea){ op->asked ? 0 : code, a, b };
	if (op->asked)
		return;
	if (op->comm->coll->ft->nwanted < ART_NAMED_MAX)
		art__op_lacks_memory(op);
	else /* no shortage: so many are to be decided first */
		op->again_ns = art__env_now(op->comm->coll->env) + op->comm->coll->cfg.retry_ns;
}

/* Time has come for what lacked memory. */
void art__op_again(struct art_op *op)
{
	op->again_ns = 0;
	if (op->arena_full || op->arena_undecided || op->bulk.on || op->hosted)
		art__arena_again(op);
	if (op->plea.code && !op->held)
		art__op_ask(op, op->plea.code, op->plea.a, op->plea.b);
	else
		art__op_settle(op);
}

/* Another rank called something else under this number. */
void art__op_mismatch(struct art_op *op, int with)
{
	int me = op->comm->coll->cfg.slot;

	ART_MARK(op->comm->coll->env, ART_M_MISMATCH_SEEN);
	if (art__op_gives(op) && !op->asked) /* it may be the one that stands, and then ends as if all were well */
		art__env_log(op->comm->coll->env, ART_LOG_WARN, "rank %d has called something else as %s %llu",
			     op->comm->rank_of[with], art__who_kind(op->call.kind), (unsigned long long)op->seq);
	if (!op->code)
		art__op_ask(op, ART_ERR_MISMATCH, me < with ? me : with, me < with ? with : me);
}

/* The outcome is here: success, computed in op->epoch by its participants. */
void art__op_hold(struct art_op *op)
{
	if (op->held)
		return;
	op->held = true;
	op->out_epoch = op->epoch;
	op->out_replays = op->replays;
	op->contributors = op->mirror ? art__mirror_contributors(op) :
					art__comm_contributors(op->comm, op->epoch);
	if (art__comm_op(op))
		art__comm_op_effect(op);
	if (op->comm->npart > 1)
		art__stable_heard(op);
	if (op->idle)
		art__op_settle(op);
	art__stable_done(op);
}

/* An outcome brought by its holder (deliver.c has filled it in). */
void art__op_delivered(struct art_op *op)
{
	op->held = true;
	op->idle = true;
	op->pulled_late = false;
	op->state = ART_OP_OVER;
	if (art__comm_op(op))
		art__comm_op_effect(op);
	if (op->returned)
		art__op_note_odd(op);
	art__op_settle(op);
	art__stable_done(op);
}

void art__op_fail(struct art_op *op, int code, uint32_t epoch, const struct art_set *blamed)
{
	if (op->held)
		return;
	art__op_reset(op);
	op->code = code;
	op->held = true;
	op->pulled_late = false;
	op->out_epoch = epoch;
	op->out_replays = 0; /* nothing was computed; and who enters late knows of no rerun */
	op->blamed = blamed;
	op->state = ART_OP_OVER;
	if (op->done && !op->refused && op->entered) {
		art__env_log(op->comm->coll->env, ART_LOG_WARN,
			     "op %llu had returned here and failed afterwards: %s",
			     (unsigned long long)op->seq, art_strerror(code));
	}
	if (op->done && op->entered && !op->refused && op->call.kind != ART_C_FREE)
		art__op_note_odd(op);
	if (op->comm->notify)
		art__notify_go(op->comm);
	art__comm_op_drop(op);
	art__op_settle(op);
	if (op->entered)
		art__stable_done(op);
}

/* A loss failed the communicator's next op before anybody had called it; but free, finalize, agree and
 * shrink run as EXCLUDE (rule R8), as it turns out now. */
void art__op_spare(struct art_op *op)
{
	if (op->foreseen != ART_RES_FAIL || !art__op_failed_by_policy(op))
		return;
	if (op->spare_code) { /* somebody was refused, or called something else */
		op->code = op->spare_code;
		op->out_epoch = op->spare_epoch;
		op->blamed = op->spare_blamed;
		return;
	}
	op->code = 0;
	op->held = false;
	op->blamed = NULL;
	op->foreseen = 0;
	op->state = ART_OP_FORESEEN;
	op->epoch = op->comm->coll->ft->view.base;
}

void art__op_return_early(struct art_op *op)
{
	op->returned = true;
	op->told_epoch = op->epoch;
	op->told_replays = op->replays;
	op->contributors = op->mirror ? art__mirror_contributors(op) :
					art__comm_contributors(op->comm, op->epoch);
	op->idle = true;
	art__op_settle(op);
	art__stable_done(op);
}

/* Every live participant has to have the outcome first, so that none of those who die next can have seen
 * another one. */
static bool too_early(const struct art_op *op)
{
	return op->uniform && !op->code && op->comm->npart > 1 && op->seq > op->comm->stable;
}

/* The root of a bcast holds it from entry, and others may yet have to come. */
bool art__op_gives(const struct art_op *op)
{
	return op->way == ART_C_BCAST && op->held && !op->code && !op->idle && !op->done;
}

bool art__op_waits(const struct art_op *op)
{
	return !op->refused && (!op->held || art__op_gives(op) || (!op->done && too_early(op)));
}

/* Tell the caller, unless the log is full, a function still runs, or something is unsent or lent. What has
 * returned early and waits to run again is not over. */
void art__op_settle(struct art_op *op)
{
	struct art_comm *m = op->comm;

	if (op->state == ART_OP_FROZEN && !op->held)
		return;
	if (op->done || !op->entered || !(op->held || op->returned) || !op->idle || op->work ||
	    op->nstale || (op->nlent && !ART_COLL_MUTANT(m->coll, 29)))
		goto out;
	if (op->uniform && too_early(op) && !ART_COLL_MUTANT(m->coll, 11)) {
		art__stable_urge(m, op->seq); /* settled again when it is stable */
		return;
	}
	if (!art__op_retain(op))
		return;
	if (op->lends)
		art__op_take_back(op);
	op->done = true;
	if (m->coll->env->trace)
		art__explain_call(op, true);
	m->nlog++;
	m->log_bytes += op->saved && op->saved != op->inlined ? op->saved_cap : 0;
	if (!op->released)
		m->coll->port->done(m->coll->port->self, op);
out:
	if (op->done && op->idle && (op->held || op->returned) && !op->pulled_late) {
		op->state = op->state == ART_OP_PULLING ? op->state : ART_OP_OVER;
		art__op_reset(op);
		art__op_deactivate(op);
	}
}

bool art__op_done(const struct art_op *op)
{
	return op->done;
}

uint64_t art__op_seq(const struct art_op *op)
{
	return op->seq;
}

struct art_comm *art__op_comm(const struct art_op *op)
{
	return op->comm;
}

struct art_comm *art__op_child(const struct art_op *op)
{
	return op->child;
}

void art__op_outcome(const struct art_op *op, struct art_outcome *out)
{
	memset(out, 0, sizeof(*out));
	out->code = op->code;
	out->blamed = op->blamed;
	if (op->refused && !op->held)
		out->pending = true;
	if (op->held) {
		out->epoch = op->out_epoch;
		out->replays = op->out_replays;
		out->contributors = op->code ? NULL : op->contributors;
		return;
	}
	/* returned early: what the present attempt would give, not certain before it is stable */
	out->pending = true;
	out->epoch = op->epoch;
	out->replays = op->replays;
}

static const struct art_set *contributors_of(const struct art_comm *m, uint32_t epoch)
{
	for (const struct art_cset *s = m->csets; s; s = s->next)
		if (s->epoch == epoch && !s->blame)
			return &s->set;
	return NULL;
}

/* @out may come from a status: numbers without the sets. */
void art__comm_outcome(struct art_comm *m, uint64_t seq, struct art_outcome *out)
{
	const struct art_op *op = art__op_find(m, seq);

	for (const struct art_odd *o = m->odds; o && out->pending; o = o->next)
		if (o->seq == seq) {
			*out = o->out;
			return;
		}
	if (out->pending && op && op->entered) {
		art__op_outcome(op, out);
		return;
	}
	if (out->code || (out->pending && seq > m->stable))
		return;
	out->lapsed = out->pending && seq <= m->odds_from;
	if (out->lapsed)
		return;
	/* as it was told; or stable by now, and never touched by a view change */
	if (!out->contributors)
		out->contributors = contributors_of(m, out->epoch);
	if (out->contributors)
		out->pending = false;
}
