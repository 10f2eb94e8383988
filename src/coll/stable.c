/* SPDX-License-Identifier: MIT
 *
 * Who may forget what, and when (rule R2). An op is stable when every live participant has it
 * done; only then it leaves memory.
 *
 * Two ways to know: (1) allreduce and barrier carry the minimum of everybody's done mark along
 * (the header's lag), so that completing op k tells what is stable, for nothing. (2) A wave on
 * the control channel over a binomial tree of the participants: WMARK (minimum of a subtree) up,
 * STABLE down; a rank reports when half the log is done and unreported, so that a root of many
 * bcasts, or a leaf of many reduces, is never stopped for long.
 *
 * The wave is told per decision, so whoever takes part has installed it. What rides on messages
 * is not: data of an epoch flows on over a named decision. Therefore ops that were named count
 * for the wave only - a rank that has returned early from one must hear of its failure before
 * it may forget it, and who is to deliver one must not forget it before it has.
 */
#include "coll/coll.h"

static bool finished(const struct art_op *op)
{
	if (!op || !op->entered || op->pulled_late || (op->asked && !op->held))
		return false;
	if (op->held)
		return true;
	/* returned early: the root's own mark stands for the rest, as long as there is a root */
	return op->returned && op->way == ART_C_REDUCE &&
	       art__set_has(&op->comm->coll->ft->view.members, (uint32_t)op->root);
}

/* Of a large op, whose callers look at the data channel just now, behind its payload there; of others by
 * control, which wakes who sees to that. */
static void tell(struct art_comm *m, int slot, uint8_t kind, uint64_t seq)
{
	struct art_ops *c = m->coll;
	struct art_hdr h = { .kind = kind, .epoch = c->ft->view.epoch, .comm = m->id, .seq = seq };
	enum art_chan chan = seq <= m->wm_hurry ? ART_CHAN_DATA : ART_CHAN_CTL;

	if (!c->port->send(c->port->self, chan, slot, &h, NULL, 0) && chan == ART_CHAN_DATA)
		c->blocked[slot] = true;
}

/* As far as messages may tell. */
static uint64_t not_named(const struct art_comm *m, uint64_t seq)
{
	for (uint64_t s = m->stable + 1; m->nnamed && s <= seq; s++) {
		const struct art_op *op = art__op_find(m, s);

		if (op && op->named)
			return s - 1;
	}
	return seq;
}

/* What messages may say is done here. */
uint64_t art__stable_low(const struct art_comm *m)
{
	return not_named(m, m->done_mark);
}

static void tell_kid(struct art_comm *m, int i, uint64_t seq)
{
	if (seq <= m->wm_told[i])
		return;
	m->wm_told[i] = seq;
	tell(m, m->wm_kid[i], ART_K_STABLE, seq);
}

/* A kid that has reported waits for an answer, however this rank came to know it. */
static void answer_kids(struct art_comm *m)
{
	for (int i = 0; i < m->wm_nkid; i++)
		if (m->wm_val[i] > m->wm_told[i])
			tell_kid(m, i, m->stable);
}

static uint64_t subtree_mark(const struct art_comm *m)
{
	uint64_t low = m->done_mark;

	for (int i = 0; i < m->wm_nkid; i++)
		if (m->wm_val[i] < low)
			low = m->wm_val[i];
	return low;
}

/* Everyone sees the same ops and so comes to report at about the same marks. */
static bool report_due(const struct art_comm *m, uint64_t mark)
{
	const struct art_core_cfg *cfg = &m->coll->cfg;
	uint64_t base = m->wm_reported > m->wm_common ? m->wm_reported : m->wm_common;

	/* Where somebody waits it is told even of what is known to be stable here: the root of a reduce
	 * knows before the others. */
	if (m->wm_urgent > m->wm_reported && mark > m->wm_reported)
		return true;
	if (mark <= base)
		return false;
	return mark - base >= cfg->log_ops / 2 || m->wm_bytes >= cfg->log_bytes / 4 || m->nnamed;
}

/* Of two ranks neither need wait for an answer: what both have said to be done is stable. */
static __attribute__((noinline)) void tell_other(struct art_comm *m)
{
	uint64_t both = m->wm_above < m->done_mark ? m->wm_above : m->done_mark;

	if (m->wm_parent < 0 && m->wm_hurry > m->wm_said && m->done_mark >= m->wm_hurry) {
		m->wm_said = m->wm_told[0] = m->wm_hurry;
		tell(m, m->wm_kid[0], ART_K_WMARK, m->wm_hurry);
	}
	if (both > m->stable) /* as the first will only when it has our report, which a freeze may make void */
		art__stable_learn_here(m, both);
}

/* As report() would find out: most ops are told of by those after them. */
static bool nothing_to_report(const struct art_comm *m)
{
	const struct art_core_cfg *cfg = &m->coll->cfg;
	uint64_t base = m->wm_reported > m->wm_common ? m->wm_reported : m->wm_common;

	return !(m->wm_hurry | m->wm_above | m->nnamed) && m->wm_urgent <= m->wm_reported &&
	       m->done_mark - base < cfg->log_ops / 2 && m->wm_bytes < cfg->log_bytes / 4;
}

static void report(struct art_comm *m)
{
	uint64_t mark;

	/* who has given up ends its calls one by one: that they are ended is no mark */
	if (!m->made || m->coll->frozen || m->coll->ft->fate)
		return;
	art__comm_parts(m);
	if (m->npart <= 1)
		return;
	mark = subtree_mark(m);
	if ((m->wm_hurry | m->wm_above) && m->npart == 2)
		tell_other(m);
	if (m->wm_parent < 0) {
		if (mark <= m->stable || !report_due(m, mark))
			return;
		m->wm_reported = mark;
		m->wm_bytes = 0;
		for (int i = 0; i < m->wm_nkid; i++)
			tell_kid(m, i, mark);
		art__stable_learn(m, mark);
	} else if (report_due(m, mark)) {
		m->wm_reported = mark;
		m->wm_bytes = 0;
		tell(m, m->wm_parent, ART_K_WMARK, mark);
	}
}

/* Most ops are done in order, and after the last one there is none. */
static void count_done(struct art_op *op)
{
	struct art_comm *m = op->comm;

	if (m->done_mark + 1 != op->seq || m->top_seq != op->seq || !finished(op)) {
		art__stable_recount(m);
		return;
	}
	m->done_mark = op->seq;
	if (m->coll->arena)
		art__arena_done(m);
}

void art__stable_recount(struct art_comm *m)
{
	uint64_t before = m->done_mark;

	while (m->done_mark < m->top_seq &&
	       (m->done_mark < m->stable || finished(art__op_find(m, m->done_mark + 1))))
		m->done_mark++;
	if (m->coll->arena && m->done_mark != before)
		art__arena_done(m);
}

/* What the next allreduce will tell of needs no wave: it counts when another op is done first. */
static void count_bytes(const struct art_op *op)
{
	struct art_comm *m = op->comm;
	bool told = op->way == ART_C_ALLREDUCE;

	m->wm_bytes += m->wm_last + (told ? 0 : op->bytes);
	m->wm_last = told ? op->bytes : 0;
}

void art__stable_done(struct art_op *op)
{
	struct art_comm *m = op->comm;
	uint64_t before = m->done_mark;

	count_done(op);
	count_bytes(op);
	if (m->npart > 1 && m->done_mark != before && !nothing_to_report(m))
		report(m);
	else if (m->npart <= 1 && !m->coll->frozen)
		art__stable_learn(m, m->done_mark);
}

/* What this rank has told in a PROMISE stays as it was told until the decision: an op that was
 * reported as open must not be forgotten meanwhile. */
static uint64_t not_frozen(const struct art_comm *m, uint64_t seq)
{
	const struct art_ft *ft = m->coll->ft;

	for (uint32_t i = 0; i < ft->nfrozen_named; i++)
		if (ft->frozen_named[i].comm == m->id && ft->frozen_named[i].seq <= seq)
			seq = ft->frozen_named[i].seq - 1;
	return seq;
}

/* Everyone has these done. What this rank has returned early from, and then had asked about because its
 * deadline came before there was room in the log, is done here as well: nobody will decide about it. */
static void drop_questions(struct art_comm *m, uint64_t seq)
{
	bool any = false;

	for (uint64_t s = m->done_mark + 1; s <= seq && s <= m->top_seq; s++) {
		struct art_op *op = art__op_find(m, s);

		if (!op || !op->asked || op->held || op->refused || !op->returned)
			continue;
		op->asked = false;
		any = true;
	}
	if (any)
		art__stable_recount(m);
}

static void take(struct art_comm *m, uint64_t seq, bool common)
{
	if (common && seq > m->wm_common) {
		m->wm_common = seq;
		if (seq >= m->done_mark)
			m->wm_bytes = m->wm_last = 0; /* nothing done is left that a wave could tell of */
	}
	if (seq <= m->stable)
		return;
	m->stable = seq;
	art__comm_soil(m);
}

static void learn(struct art_comm *m, uint64_t seq, bool common)
{
	if (seq <= m->done_mark && !m->coll->ft->nfrozen_named) {
		take(m, seq, common);
		return;
	}
	if (seq > m->done_mark)
		drop_questions(m, not_frozen(m, seq));
	take(m, not_frozen(m, seq < m->done_mark ? seq : m->done_mark), common);
}

/* By a decision: everyone has had these done, this rank, too, and some have acted on it - whatever it has
 * asked since, and though the root may be lost that its early return relied on. */
void art__stable_decided(struct art_comm *m, uint64_t seq)
{
	if (seq > m->top_seq)
		seq = m->top_seq;
	if (seq > m->done_mark)
		drop_questions(m, seq);
	take(m, seq, true);
	art__stable_recount(m);
}

void art__stable_learn(struct art_comm *m, uint64_t seq)
{
	learn(m, seq, true);
}

void art__stable_learn_here(struct art_comm *m, uint64_t seq)
{
	learn(m, seq, false);
}

/* All marks have come along. What the root of a reduce so learns the others do not: it reports for them
 * all the same, or they would wait for the log while the root, for which nothing is left to do, waits
 * for their next inputs. */
void art__stable_heard(struct art_op *op)
{
	uint64_t low = not_named(op->comm, op->low); /* it may have been said before the decision */

	learn(op->comm, low, op->way != ART_C_REDUCE);
}

/* At the end of an event: nothing on the stack points into the ops that go now. */
void art__stable_tidy(struct art_comm *m)
{
	uint64_t stop = m->stable < m->top_seq ? m->stable : m->top_seq;

	if (!m->ring_cap)
		return;
	if (!m->coll->frozen)
		answer_kids(m);
	for (; m->forgot < stop; m->forgot++) {
		struct art_op *op = m->ring[(m->forgot + 1) & (m->ring_cap - 1)];

		if (!op)
			continue;
		/* All have it, so nobody is going to take what is unsent: of a bcast, by one who has taken itself
		 * for the root. */
		if (op->entered && op->held && !op->idle && !op->work)
			art__op_reset(op);
		if (op->lends)
			art__op_take_back(op); /* nobody is going to look at what is unread either */
		if (op->entered && !op->done)
			art__op_settle(op);
		if (op->entered && !op->done)
			return; /* a user function of it still runs */
		art__op_forget(op);
	}
	m->forgot = stop > m->forgot ? stop : m->forgot;
	/* What waits to be settled, or to begin, is among the active ones. */
	for (uint64_t s = m->stable + 1; s <= m->top_seq && m->coll->active; s++) {
		struct art_op *op = art__op_find(m, s);

		if (op && !op->done && op->idle &&
		    (op->held || (op->returned && op->state != ART_OP_FROZEN)))
			art__op_settle(op);
		else if (op && op->entered && op->state == ART_OP_FROZEN && !art__op_is_frozen(op))
			art__op_go(op);
	}
}

/* A finished op waits for the log, or a communicator for its end: do not wait for half a log. */
void art__stable_urge(struct art_comm *m, uint64_t seq)
{
	if (seq > m->wm_urgent)
		m->wm_urgent = seq;
	if (m->made)
		report(m);
}

/* The same of a large op. */
void art__stable_hurry(struct art_comm *m, uint64_t seq)
{
	if (seq > m->wm_hurry)
		m->wm_hurry = seq;
	art__stable_urge(m, seq);
}

/* It did not come in time: whom it is to come from may be outside, where only control is seen to. */
void art__stable_urge_all(struct art_comm *m, uint64_t seq)
{
	if (m->wm_hurry) {
		m->wm_hurry = 0;
		m->wm_reported = m->wm_common;
		for (int i = 0; i < m->wm_nkid; i++)
			m->wm_told[i] = m->wm_common < m->wm_told[i] ? m->wm_common : m->wm_told[i];
	}
	art__stable_urge(m, seq);
}

/* The tree of the wave is another one now, and what was said in the old epoch is void. (What has
 * been said in the new one already, by those who were quicker, is not: the parts were renewed
 * before the early messages were looked at.) */
void art__stable_view(struct art_comm *m)
{
	art__comm_parts(m);
	art__stable_recount(m);
	m->wm_reported = m->wm_common;
	m->wm_bytes = m->coll->cfg.log_bytes; /* report at the next occasion */
	if (m->coll->arena)
		art__arena_done(m); /* as a member of this view */
	if (m->npart <= 1)
		art__stable_learn(m, m->done_mark);
	report(m);
}

/* A control connection broke: reports and announcements may be lost, so say them again. */
void art__stable_again(struct art_comm *m)
{
	art__comm_parts(m);
	if (m->npart <= 1)
		return;
	if (m->wm_reported > m->wm_common && m->wm_parent >= 0)
		tell(m, m->wm_parent, ART_K_WMARK, m->wm_reported);
	for (int i = 0; m->stable && i < m->wm_nkid; i++)
		tell(m, m->wm_kid[i], ART_K_STABLE, m->stable);
}

static bool of_now(struct art_comm *m, int from, const struct art_hdr *h)
{
	uint32_t epoch = m->coll->ft->view.epoch;

	if (h->epoch > epoch)
		art__early_comm(m, ART_CHAN_CTL, from, h, NULL);
	return h->epoch == epoch;
}

void art__stable_on_wmark(struct art_comm *m, int from, const struct art_hdr *h)
{
	if (!m->made) {
		art__early_comm(m, ART_CHAN_CTL, from, h, NULL);
		return;
	}
	if (!of_now(m, from, h))
		return;
	art__comm_parts(m);
	for (int i = 0; i < m->wm_nkid; i++)
		if (m->wm_kid[i] == from && h->seq > m->wm_val[i])
			m->wm_val[i] = h->seq;
	if (from == m->wm_parent && m->npart == 2 && h->seq > m->wm_above)
		m->wm_above = h->seq;
	answer_kids(m);
	if (h->seq > m->wm_urgent)
		m->wm_urgent = h->seq; /* a kid that reports has reason to */
	report(m);
}

/* Asked about a communicator that has ended here: all of it is stable. */
void art__stable_tell_gone(struct art_ops *c, int to, const struct art_hdr *asked)
{
	const struct art_gone *g = art__comm_gone(c, asked->comm);
	struct art_hdr h = { .kind = ART_K_STABLE, .epoch = asked->epoch, .comm = asked->comm };

	if (!g)
		return;
	h.seq = g->last;
	c->port->send(c->port->self, ART_CHAN_CTL, to, &h, NULL, 0);
}

void art__stable_on_stable(struct art_comm *m, int from, const struct art_hdr *h)
{
	if (!m->made || !of_now(m, from, h))
		return;
	art__comm_parts(m);
	if (from != m->wm_parent)
		return;
	for (int i = 0; i < m->wm_nkid; i++)
		tell_kid(m, i, h->seq);
	art__stable_learn(m, h->seq);
}

/* ---- the end of the job (rule R10) ---- */

/* Everyone has entered finalize, so every op of every rank is done: whoever hears it may go. It
 * goes where the barrier's own messages went, over connections that are there, behind them. */
void art__stable_bye(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h = { .kind = ART_K_BYE, .epoch = c->ft->view.base, .comm = op->comm->id,
			     .seq = op->seq };
	int slot[ART_WM_KIDS * 2];
	int n = art__rd_partners(op->comm, slot);

	for (int i = 0; i < n; i++)
		c->port->send(c->port->self, ART_CHAN_DATA, slot[i], &h, NULL, 0);
}

void art__stable_on_bye(struct art_comm *m, const struct art_hdr *h)
{
	struct art_op *op = art__op_find(m, h->seq);

	if (!op || !op->entered || op->held || op->call.kind != ART_C_FINALIZE)
		return;
	art__op_reset(op);
	op->low = m->stable; /* this rank has not heard of everybody's marks */
	art__op_hold(op);
}
