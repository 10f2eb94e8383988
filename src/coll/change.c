/* SPDX-License-Identifier: MIT
 *
 * What a view change does to the ops: freeze, say what is known of them, carry out what was
 * decided. The client of ft; it decides nothing itself.
 */
#include <art/status.h>

#include "base/marks.h"
#include "coll/coll.h"

/* ---- before: freeze and report ---- */

/* All of it; of single ops, art__ft_op_frozen() is asked where it matters. */
void art__coll_freeze(void *self)
{
	((struct art_ops *)self)->frozen = true;
}

static bool lost_by(const struct art_comm *m, const struct art_set *proposed)
{
	const struct art_set *v = &m->coll->ft->view.members;

	for (int r = 0; r < m->nrank; r++)
		if (art__set_has(v, (uint32_t)m->slots[r]) &&
		    !art__set_has(proposed, (uint32_t)m->slots[r]))
			return true;
	return false;
}

static void fill_line(const struct art_op *op, bool lost, struct art_line *l)
{
	memset(l, 0, sizeof(*l));
	l->comm = op->comm->id;
	l->seq = op->seq;
	l->sig = op->sig;
	l->root = op->root;
	l->epoch = op->held ? op->out_epoch : op->epoch;
	l->replays = op->replays;
	l->kind = (uint8_t)op->call.kind;
	l->policy = op->policy;
	l->flags = ART_L_ENTERED;
	if (op->held && !op->code)
		l->flags |= ART_L_HOLDS;
	if (op->returned && op->way == ART_C_REDUCE)
		l->flags |= ART_L_RETURNED;
	if (op->refused)
		l->flags |= ART_L_REFUSED;
	if (op->nofail)
		l->flags |= ART_L_NOFAIL;
	if (op->alone)
		l->flags |= ART_L_ALONE;
	if (lost)
		l->flags |= ART_L_LOST;
	if (op->mirror && op->root >= 0 && art__mirror_stands(op, op->root))
		l->flags |= ART_L_STANDS;
}

/* Entered while frozen, and its root had left before: every member reasons alike when it thaws. */
static bool root_gone(const struct art_op *op)
{
	return op->state == ART_OP_FROZEN && op->root >= 0 && op->foreseen != ART_RES_DELIVER &&
	       !art__set_has(&op->comm->coll->ft->view.members, (uint32_t)op->root) &&
	       !(op->mirror && art__mirror_stands(op, op->root));
}

/* Failed ops need no line: every member of this view has installed that decision. What this rank has failed by
 * its own reasoning nobody has decided, and others who have not called it yet, or otherwise, must hear of it. */
static bool report_comm(struct art_comm *m, const struct art_set *proposed, struct art_flush *out)
{
	const struct art_env *env = m->coll->env;
	bool lost = lost_by(m, proposed);
	struct art_cline cl = { .comm = m->id, .stable = m->stable, .entered = m->next_seq - 1,
				.policy = (uint8_t)m->policy, .flags = lost ? ART_L_LOST : 0 };
	struct art_line l;

	if (!art__flush_add_comm(env, out, &cl))
		return false;
	for (uint64_t s = m->stable + 1; s <= m->top_seq; s++) {
		const struct art_op *op = art__op_find(m, s);

		if (op && op->mirror && !op->code && !art__mirror_report(op, proposed, out))
			return false;
		if (!op || !op->entered || (op->code && !op->alone) || root_gone(op))
			continue;
		fill_line(op, lost, &l);
		if (!art__flush_add(env, out, &l))
			return false;
	}
	return true;
}

/* What this rank has ended is stable; others may wait to hear it. */
static bool report_gone(struct art_ops *c, struct art_flush *out)
{
	uint32_t n = c->ngone < ART_GONE ? c->ngone : ART_GONE;

	for (uint32_t i = 0; i < n; i++) {
		struct art_cline cl = { .comm = c->gone[i].id, .stable = c->gone[i].last,
					.entered = c->gone[i].last };
		if (!art__flush_add_comm(c->env, out, &cl))
			return false;
	}
	return true;
}

/* Who has ended a communicator knows as well as anybody that all of it is stable. */
static bool report_named(struct art_ops *c, const struct art_set *proposed,
			 const struct art_named *n, struct art_flush *out)
{
	struct art_comm *m = art__comm_find(c, n->comm);
	const struct art_gone *gone = m ? NULL : art__comm_gone(c, n->comm);
	const struct art_op *op = m && m->made ? art__op_find(m, n->seq) : NULL;
	struct art_line l = { .comm = n->comm, .seq = n->seq, .root = -1 };
	struct art_cline cl = { .comm = n->comm, .stable = m ? m->stable : gone ? gone->last : 0 };

	if (!gone && (!m || !m->made))
		return true;
	/* Who was told so by the wave while it was frozen has not learnt it. */
	if (n->seq <= cl.stable && !art__flush_add_comm(c->env, out, &cl))
		return false;
	if (n->seq <= cl.stable || (op && op->code && !op->alone))
		l.flags = ART_L_SETTLED | (op && art__op_failed_by_policy(op) ? ART_L_NOFAIL : 0);
	else if (op && op->entered)
		fill_line(op, lost_by(m, proposed), &l);
	return art__flush_add(c->env, out, &l);
}

bool art__coll_report(void *self, bool full, const struct art_set *proposed,
		      const struct art_named *named, uint32_t n, struct art_flush *out)
{
	struct art_ops *c = self;

	for (uint32_t i = 0; !full && i < n; i++)
		if (!report_named(c, proposed, &named[i], out))
			return false;
	for (struct art_comm *m = c->comms; full && m; m = m->next)
		if (m->made && !report_comm(m, proposed, out))
			return false;
	return !full || report_gone(c, out);
}

bool art__coll_wanted(void *self, const struct art_named *n)
{
	struct art_comm *m = art__comm_find(self, n->comm);
	const struct art_op *op;

	if (!m || !m->made)
		return true;
	if (n->seq <= m->stable)
		return false;
	op = art__op_find(m, n->seq);
	if (op && n->code == ART_ERR_TIMEOUT && !art__op_gives(op) &&
	    (op->held || op->foreseen == ART_RES_DELIVER))
		return false; /* everyone has entered: it is only on its way */
	/* where a loss has failed it, others may have called what no loss fails */
	return !op || !op->code || op->alone || art__op_failed_by_policy(op);
}

/* ---- after: carry out ---- */

static enum art_mark mark_of(const struct art_resolution *r)
{
	static const enum art_mark table[3][4][2] = {
		{ { ART_M_DELIVER_BARRIER_EXCLUDE, ART_M_DELIVER_BARRIER_ERROR },
		  { ART_M_DELIVER_BCAST_EXCLUDE, ART_M_DELIVER_BCAST_ERROR },
		  { ART_M_DELIVER_REDUCE_EXCLUDE, ART_M_DELIVER_REDUCE_ERROR },
		  { ART_M_DELIVER_ALLREDUCE_EXCLUDE, ART_M_DELIVER_ALLREDUCE_ERROR } },
		{ { ART_M_RERUN_BARRIER_EXCLUDE, ART_M_RERUN_BARRIER_ERROR },
		  { ART_M_RERUN_BCAST_EXCLUDE, ART_M_RERUN_BCAST_ERROR },
		  { ART_M_RERUN_REDUCE_EXCLUDE, ART_M_RERUN_REDUCE_ERROR },
		  { ART_M_RERUN_ALLREDUCE_EXCLUDE, ART_M_RERUN_ALLREDUCE_ERROR } },
		{ { ART_M_FAIL_BARRIER_EXCLUDE, ART_M_FAIL_BARRIER_ERROR },
		  { ART_M_FAIL_BCAST_EXCLUDE, ART_M_FAIL_BCAST_ERROR },
		  { ART_M_FAIL_REDUCE_EXCLUDE, ART_M_FAIL_REDUCE_ERROR },
		  { ART_M_FAIL_ALLREDUCE_EXCLUDE, ART_M_FAIL_ALLREDUCE_ERROR } },
	};

	if (r->kind < ART_C_BARRIER || r->kind > ART_C_ALLREDUCE || r->policy > 1 ||
	    r->res == ART_RES_SETTLED)
		return ART_M_COUNT;
	return table[r->res - 1][r->kind - 1][r->policy];
}

/* Somebody held the op once, so that call stands, whatever becomes of its holder; who called
 * otherwise, or does so later, is odd and gets the error (rule R12). It names this rank and the root of
 * the call that stands - only what has no root cannot be held while somebody has called otherwise - so
 * that it does not matter when the mistake comes out. */
bool art__change_be_odd(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_set s;

	if (!op->stands || !(op->refused || op->sig != op->stands_sig))
		return false;
	op->held = false; /* it took itself for the root, or what failed was the other call */
	art__set_init(&s, (uint32_t)c->cfg.size);
	art__set_add(&s, (uint32_t)c->cfg.slot);
	art__set_add(&s, (uint32_t)(op->stands_root < 0 ? op->holder : op->stands_root));
	art__op_fail(op, ART_ERR_MISMATCH, op->stands_epoch,
		     art__comm_keep_set(op->comm, op->stands_epoch, true, &s));
	art__stable_urge(op->comm, op->seq); /* to the others it may be a uniform call, and they wait */
	return true;
}

void art__change_deliver(struct art_op *op)
{
	art__op_reset(op);
	op->pulled_late = op->returned;
	if (op->pulled_late && op->comm->done_mark >= op->seq)
		op->comm->done_mark = op->seq - 1;
	art__deliver_pull(op);
}

static void stand(struct art_op *op, const struct art_resolution *r)
{
	op->stands = true;
	op->stands_sig = r->sig;
	op->stands_epoch = r->epoch;
	op->stands_root = r->root;
	op->holder = (int)r->holder;
}

static void deliver_late(struct art_op *op, uint32_t epoch)
{
	ART_MARK(op->comm->coll->env, ART_M_ARENA_LATE);
	op->late = false;
	op->out_epoch = epoch;
	op->out_replays = op->replays;
	art__op_reset(op);
	art__op_delivered(op);
}

static void do_deliver(struct art_op *op, const struct art_resolution *r, uint32_t epoch)
{
	if (op->held) {
		/* this rank is a holder: the others pull, nothing more is pushed */
		if (!op->idle) {
			art__op_reset(op);
			art__op_settle(op);
		}
		return;
	}
	op->epoch = epoch;
	if (r->holder == (uint32_t)op->comm->coll->cfg.slot) {
		art__op_fail(op, ART_ERR_INTERNAL, epoch, NULL); /* it does not: somebody lied */
		return;
	}
	op->foreseen = ART_RES_DELIVER;
	if (op->late)
		deliver_late(op, r->epoch);
	else if (op->entered)
		art__change_deliver(op);
}

static bool keep_returned(struct art_op *op, const struct art_resolution *r)
{
	const struct art_env *env = op->comm->coll->env;

	if (!r->returned) {
		art__env_free(env, op->returned_set);
		op->returned_set = NULL;
		return true;
	}
	if (!op->returned_set)
		op->returned_set = art__env_alloc(env, sizeof(*op->returned_set));
	if (!op->returned_set)
		return false;
	art__set_copy(op->returned_set, r->returned);
	return true;
}

static void do_rerun(struct art_op *op, const struct art_resolution *r, uint32_t epoch)
{
	if (op->held)
		return;
	op->epoch = epoch;
	op->replays = r->replays;
	op->foreseen = ART_RES_RERUN;
	op->pulled_late = false;
	if (!keep_returned(op, r) || !art__mirror_decided(op, r->stand, r->nstand)) {
		art__ft_give_up(op->comm->coll->ft, ART_ERR_NOMEM);
		return;
	}
	if (!op->entered || op->refused)
		return;
	art__op_reset(op);
	op->state = ART_OP_FROZEN; /* begins when all resolutions are known */
	art__op_activate(op);
}

static void do_fail(struct art_op *op, const struct art_resolution *r, uint32_t epoch)
{
	const struct art_set *blamed = NULL;

	if (r->code == ART_ERR_PROC_FAILED && op->nofail)
		return;
	if (r->code == ART_ERR_ROOT_LOST && r->blamed && !art__set_empty(r->blamed))
		epoch = op->comm->coll->ft->lost_epoch[art__set_next(r->blamed, 0)];
	if (r->blamed)
		blamed = art__comm_keep_set(op->comm, epoch, true, r->blamed);
	if (art__op_failed_by_policy(op)) {
		if (!op->spare_code && r->code != ART_ERR_PROC_FAILED) {
			op->spare_code = r->code;
			op->spare_epoch = epoch;
			op->spare_blamed = blamed;
		}
		return;
	}
	op->epoch = epoch;
	op->foreseen = ART_RES_FAIL;
	art__op_fail(op, r->code, epoch, blamed);
}

static void apply(struct art_ops *c, const struct art_resolution *r, uint32_t epoch, bool full)
{
	struct art_comm *m = art__comm_find(c, r->comm);
	struct art_op *op;
	enum art_mark mark = mark_of(r);

	if (mark != ART_M_COUNT)
		ART_MARK(c->env, mark);
	if (!m || r->seq <= m->stable)
		return;
	if (!m->made)
		ART_MARK(c->env, ART_M_ORPHAN_RESOLUTION);
	op = art__op_find(m, r->seq);
	if (r->res == ART_RES_SETTLED) {
		if (op)
			op->asked = false; /* who asked had returned early, and is done with it, too */
		return;
	}
	if (!op)
		op = art__op_make(m, r->seq);
	if (!op) {
		art__env_log(c->env, ART_LOG_ERROR, "no memory for a decided outcome");
		art__ft_give_up(c->ft, ART_ERR_NOMEM);
		return;
	}
	op->asked = false;
	art__op_take_back(op);
	if (!full && !op->named) {
		op->named = true;
		m->nnamed++;
	}
	if (r->res != ART_RES_FAIL && !op->entered)
		art__op_spare(op); /* others have called it, and no loss fails it */
	if (r->res == ART_RES_DELIVER)
		stand(op, r);
	if (op->entered && !op->code && art__change_be_odd(op))
		return;
	switch ((enum art_res)r->res) {
	case ART_RES_DELIVER: do_deliver(op, r, epoch); break;
	case ART_RES_RERUN: do_rerun(op, r, epoch); break;
	case ART_RES_FAIL: do_fail(op, r, epoch); break;
	case ART_RES_SETTLED: break;
	}
}

/* Ops that no line of the value names: entered since the flush, or foreseen by an earlier view
 * and entered by nobody who is left. They start afresh in this one. */
static void refresh(struct art_comm *m, uint32_t epoch)
{
	/* What is stable is done here. If somebody lied, it must not go on among other participants. */
	for (uint64_t s = m->forgot + 1; m->ring_cap && s <= m->stable && s <= m->top_seq; s++) {
		struct art_op *op = m->ring[s & (m->ring_cap - 1)];

		if (op && op->entered && !op->held && !op->returned)
			art__op_reset(op);
	}
	for (uint64_t s = m->stable + 1; s <= m->top_seq; s++) {
		struct art_op *op = art__op_find(m, s);

		if (!op || op->held || op->epoch == epoch)
			continue;
		op->epoch = epoch;
		art__mirror_decided(op, NULL, 0);
		if (op->foreseen == ART_RES_DELIVER)
			op->foreseen = ART_RES_RERUN;
		if (op->entered && !op->refused) {
			art__op_reset(op);
			op->state = ART_OP_FROZEN;
			art__op_activate(op);
		}
	}
}

static void thaw(struct art_ops *c)
{
	struct art_early *parked = c->parked;

	c->frozen = false;
	c->parked = NULL;
	/* begin in order of sequence, communicator by communicator */
	for (struct art_comm *m = c->comms; m; m = m->next)
		for (uint64_t s = m->stable + 1; m->made && s <= m->top_seq; s++) {
			struct art_op *op = art__op_find(m, s);

			if (op && op->entered && op->state == ART_OP_FROZEN)
				art__op_go(op);
		}
	for (struct art_op *op = c->active, *next; op; op = next) {
		next = op->next;
		art__work_thaw(op);
	}
	while (parked) {
		struct art_early *e = parked;

		parked = e->next;
		art__coll_data(c, e->from, &e->hdr, e->body);
		art__early_free(c, e);
	}
	for (struct art_comm *m = c->comms; m; m = m->next)
		if (m->early)
			art__early_retry(c, m);
	art__arena_peek(c); /* what was put down meanwhile */
}

static const struct art_set *participants(struct art_comm *m, uint32_t epoch)
{
	struct art_set s;

	art__set_init(&s, (uint32_t)m->coll->cfg.size);
	for (int i = 0; i < m->npart; i++)
		art__set_add(&s, (uint32_t)m->part[i]);
	return art__comm_keep_set(m, epoch, false, &s);
}

/* Outcomes that a holder has and this rank's memory, too: nothing of them need be sent. While it still goes
 * by the participants of the epoch in which they were come by. */
static void take_late(struct art_ops *c, const struct art_value *v)
{
	for (uint32_t i = 0; i < v->nres; i++) {
		const struct art_resolution *r = &v->res[i];
		struct art_comm *m = r->res == ART_RES_DELIVER ? art__comm_find(c, r->comm) : NULL;
		struct art_op *op = m && m->room.slots ? art__op_find(m, r->seq) : NULL;

		if (!op || op->held || op->epoch != r->epoch || !art__arena_late(op))
			continue;
		op->contributors = participants(m, r->epoch);
		op->late = op->contributors != NULL;
	}
}

void art__coll_install(void *self, const struct art_value *v)
{
	struct art_ops *c = self;

	if (c->arena && !ART_COLL_MUTANT(c, 28))
		take_late(c, v);

	if (v->full) {
		art__deliver_drop(c, NULL);
		art__coll_recall(c); /* every member is frozen; who leaves was fenced before it was */
	}
	for (uint32_t i = 0; i < v->ncomm; i++) {
		struct art_comm *m = art__comm_find(c, v->comm[i].comm);

		if (m && m->made)
			art__stable_decided(m, v->comm[i].stable);
	}
	for (struct art_comm *m = c->comms; m; m = m->next)
		if (m->made) {
			m->part_valid = false;
			art__comm_parts(m);
		}
	if (c->arena && ART_COLL_MUTANT(c, 28))
		take_late(c, v);
	for (uint32_t i = 0; i < v->nres && !c->ft->fate; i++)
		apply(c, &v->res[i], v->epoch, v->full);
	for (struct art_comm *m = c->comms; v->full && m; m = m->next)
		refresh(m, v->epoch);
	thaw(c);
	for (struct art_comm *m = c->comms; m; m = m->next)
		if (m->made) {
			art__stable_view(m);
			art__comm_soil(m);
			if (m->notify)
				art__notify_go(m);
		}
	if (v->full && c->lost_epoch >= v->epoch)
		art__ft_relink(c->ft);
}
