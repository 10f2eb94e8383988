/* SPDX-License-Identifier: MIT
 *
 * Nothing hangs unseen: an op that waits asks the others whether they have entered it, and with
 * which signature. After the stall time one line names those who have not; a rank that called
 * something else is found here even if the two would have waited for each other silently.
 */
#include <stdio.h>

#include "coll/coll.h"

#define FIRST_ASK_NS ART_NS_PER_S
#define REPLY_NS (200 * ART_NS_PER_MS) /* by then whoever is there has answered */

/* Flags of an answer, and whose answers are kept. */
#define HAS_ENTERED 1
#define WAITS 2
enum { ENTERED, ANSWERED, WAITING, SETS };

static void ask_all(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h = { .kind = ART_K_WHO, .epoch = c->ft->view.epoch, .comm = op->comm->id,
			     .seq = op->seq, .sig = op->sig };

	if (!op->entered_by)
		op->entered_by = art__env_alloc(c->env, SETS * sizeof(*op->entered_by));
	if (!op->entered_by)
		return;
	op->reply_due = true;
	for (int i = 0; i < SETS; i++)
		art__set_init(&op->entered_by[i], (uint32_t)c->cfg.size);
	for (int i = 0; i < op->comm->npart; i++)
		if (op->comm->part[i] != c->cfg.slot)
			c->port->send(c->port->self, ART_CHAN_CTL, op->comm->part[i], &h, NULL, 0);
}

void art__who_on_who(struct art_ops *c, int from, const struct art_hdr *h)
{
	struct art_comm *m = art__comm_find(c, h->comm);
	struct art_op *op = m ? art__op_find(m, h->seq) : NULL;
	struct art_hdr r = { .kind = ART_K_WHO_REPLY, .epoch = c->ft->view.epoch, .comm = h->comm,
			     .seq = h->seq };

	if (m && h->seq <= m->stable)
		return;
	if (op && op->entered) {
		r.flags = HAS_ENTERED | (op->active && art__op_waits(op) ? WAITS : 0);
		r.sig = op->sig;
		if (op->sig != h->sig && !op->refused)
			art__op_mismatch(op, from);
	}
	c->port->send(c->port->self, ART_CHAN_CTL, from, &r, NULL, 0);
}

void art__who_on_reply(struct art_ops *c, int from, const struct art_hdr *h)
{
	struct art_comm *m = art__comm_find(c, h->comm);
	struct art_op *op = m ? art__op_find(m, h->seq) : NULL;

	if (!op || !op->active || !op->entered_by)
		return;
	art__set_add(&op->entered_by[ANSWERED], (uint32_t)from);
	if (!(h->flags & HAS_ENTERED))
		return;
	art__set_add(&op->entered_by[ENTERED], (uint32_t)from);
	if (h->flags & WAITS)
		art__set_add(&op->entered_by[WAITING], (uint32_t)from);
	if (h->sig != op->sig && h->sig)
		art__op_mismatch(op, from);
}

const char *art__who_kind(enum art_coll kind)
{
	static const char *const name[] = { "?", "barrier", "bcast", "reduce", "allreduce", "comm_dup",
					    "comm_set_loss", "comm_free", "finalize",
					    "comm_split", "comm_create", "agree", "comm_shrink",
					    "comm_set_flags" };

	/* A decision names the kinds that its proposer read off the wire. */
	return name[(size_t)kind < sizeof(name) / sizeof(name[0]) ? kind : 0];
}

bool art__who_missing(const struct art_op *op, struct art_set *entered, struct art_set *missing)
{
	const struct art_comm *m = op->comm;

	if (!op->entered_by)
		return false;
	for (int i = 0; i < m->npart; i++) {
		uint32_t slot = (uint32_t)m->part[i];
		bool here = m->part[i] == m->coll->cfg.slot || art__set_has(&op->entered_by[ENTERED], slot);

		art__set_add(here ? entered : missing, slot);
	}
	return true;
}

/* A service thread answers whatever its application does: where it does not, the way there may be
 * dead, and nobody would notice as long as nothing is sent. */
static void note_unanswered(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	struct art_ops *c = m->coll;

	for (int i = 0; i < m->npart; i++)
		if (m->part[i] != c->cfg.slot && !art__set_has(&op->entered_by[ANSWERED], (uint32_t)m->part[i]))
			art__set_add(&c->unanswered, (uint32_t)m->part[i]);
}

/* The lowest rank that waits speaks for all: others have entered, and may have returned long ago. */
static void name_missing(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	struct art_set in, out;
	char line[200];
	int n = 0, missing = 0;

	art__set_init(&in, (uint32_t)m->coll->cfg.size);
	art__set_init(&out, (uint32_t)m->coll->cfg.size);
	if (!art__who_missing(op, &in, &out))
		return;
	for (int i = 0; i < m->npart; i++) {
		if (i < m->mypos && art__set_has(&op->entered_by[WAITING], (uint32_t)m->part[i]))
			return;
		if (art__set_has(&out, (uint32_t)m->part[i]) && missing++ < 16)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%d", n ? ", " : "",
				      m->rank_of[m->part[i]]);
	}
	if (missing)
		art__env_log(m->coll->env, ART_LOG_WARN, "rank%s %s%s %s not entered %s %llu",
			     missing > 1 ? "s" : "", line, missing > 16 ? ", ..." : "",
			     missing > 1 ? "have" : "has", art__who_kind(op->call.kind),
			     (unsigned long long)op->seq);
}

/* The first question comes early, for the sake of calls that do not match; whoever is to be named
 * is asked anew just before. */
static uint64_t first_ask(const struct art_op *op)
{
	uint64_t stall = op->comm->coll->cfg.stall_ns;

	return op->started_ns + (stall < 2 * FIRST_ASK_NS ? stall / 2 : FIRST_ASK_NS);
}

/* When art__who_tick() is wanted next. */
uint64_t art__who_wake(const struct art_op *op)
{
	uint64_t stall = op->comm->coll->cfg.stall_ns;

	if (op->reply_due)
		return op->asked_ns + (stall < 2 * REPLY_NS ? stall / 2 : REPLY_NS);
	if (!op->asked_ns)
		return first_ask(op);
	return (op->asked_ns >= op->started_ns + stall ? op->asked_ns : op->started_ns) + stall;
}

/* Called while the op waits; times are set here so that starting an op reads no clock. */
void art__who_tick(struct art_op *op, uint64_t now)
{
	if (!art__op_waits(op))
		return;
	if (!op->started_ns) {
		op->started_ns = now;
		return;
	}
	if (now < art__who_wake(op))
		return;
	if (op->reply_due) {
		op->reply_due = false;
		note_unanswered(op);
		if (op->name_due)
			name_missing(op);
		return;
	}
	op->name_due = now - op->started_ns >= op->comm->coll->cfg.stall_ns;
	op->asked_ns = now;
	ask_all(op);
}
