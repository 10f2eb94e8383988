/* SPDX-License-Identifier: MIT
 *
 * What the ops of this rank look like at this moment, for people (engine/report.h). Reads only.
 */
#include "coll/coll.h"
#include "engine/report.h"

static const char *state_name(const struct art_op *op)
{
	if (art__op_is_frozen(op))
		return "held up by a view change";
	switch (op->state) {
	case ART_OP_FORESEEN:
		return "foreseen";
	case ART_OP_FROZEN:
		return "held back";
	case ART_OP_RUNNING:
		if (op->work)
			return "running a user function";
		if (!op->idle || !(op->held || op->returned))
			return "running";
		return op->uniform ? "waiting until all have it" : "waiting for room in the log";
	case ART_OP_MIRRORED:
		return op->mirror->star ? "running with inputs of lost ranks" :
					  "waiting for its buddy";
	case ART_OP_PULLING:
		return "fetching the result";
	case ART_OP_OVER:
		return "waiting for room in the log";
	}
	return "?";
}

static void describe_op(const struct art_op *op, struct art_report_op *r)
{
	uint32_t size = (uint32_t)op->comm->coll->cfg.size;

	*r = (struct art_report_op){
		.comm = op->comm->id,
		.seq = op->seq,
		.kind = art__who_kind(op->call.kind),
		.state = state_name(op),
		.bytes = op->bytes,
		.root = op->root,
		.epoch = op->epoch,
		.replays = op->replays,
		.started_ns = op->started_ns,
	};
	art__set_init(&r->entered, size);
	art__set_init(&r->missing, size);
	r->asked = art__who_missing(op, &r->entered, &r->missing);
}

static void describe_comm(const struct art_comm *m, struct art_report_comm *r)
{
	*r = (struct art_report_comm){
		.id = m->id,
		.world = m == m->coll->world,
		.rank = m->me,
		.size = m->nrank,
		.entered = m->next_seq - 1,
		.stable = m->stable,
		.log_ops = m->nlog,
		.log_bytes = m->log_bytes,
		.policy = m->policy == ART_P_MIRROR ? "mirror" : m->policy ? "error" : "exclude",
	};
	art__set_init(&r->slots, (uint32_t)m->coll->cfg.size);
	for (int i = 0; i < m->nrank; i++)
		art__set_add(&r->slots, (uint32_t)m->slots[i]);
}

/* A communicator with open ops comes before idle ones only by the order in which they were made. */
void art__coll_describe(const struct art_ops *c, struct art_report *r)
{
	for (const struct art_comm *m = c->comms; m; m = m->next) {
		if (!m->made)
			continue;
		if (r->ncomm < ART_REPORT_COMMS)
			describe_comm(m, &r->comm[r->ncomm++]);
		r->ncomm_all++;
		for (uint64_t s = m->stable + 1; s <= m->top_seq; s++) {
			const struct art_op *op = art__op_find(m, s);

			if (!op || !op->entered || op->done)
				continue;
			if (r->nop < ART_REPORT_OPS)
				describe_op(op, &r->op[r->nop++]);
			r->nop_all++;
		}
	}
}

size_t art__comm_bytes(const struct art_comm *m)
{
	size_t n = sizeof(*m) + m->ring_cap * sizeof(*m->ring);

	n += (size_t)(2 * m->nrank + m->coll->cfg.size) * sizeof(int);
	for (const struct art_cset *s = m->csets; s; s = s->next)
		n += sizeof(*s);
	for (const struct art_odd *o = m->odds; o; o = o->next)
		n += sizeof(*o);
	n += m->notify ? sizeof(*m->notify) : 0;
	return n;
}
