/* SPDX-License-Identifier: MIT
 *
 * What outlives a call (rule R2): the input or the result that others may still need of an op,
 * in library memory, and the bound on all of it.
 */
#include "base/marks.h"
#include "coll/coll.h"

static uint8_t *saved_room(struct art_op *op, size_t n)
{
	struct art_ops *c = op->comm->coll;

	if (op->saved && op->saved_cap >= n)
		return op->saved;
	if (n <= ART_INLINE) {
		art__pool_put(&c->pool, op->saved == op->inlined ? NULL : op->saved);
		op->saved_cap = ART_INLINE;
		return op->saved = op->inlined;
	}
	op->saved = art__pool_get(&c->pool, n);
	op->saved_cap = op->saved ? n : 0;
	return op->saved;
}

bool art__op_save(struct art_op *op, const void *p, bool result)
{
	uint8_t *room;

	if (!op->bytes)
		return true;
	room = saved_room(op, op->bytes);
	if (!room)
		return false;
	memcpy(room, p, op->bytes);
	op->saved_is_result = result;
	op->saved_is_input = !result;
	if (!result)
		op->input = room;
	return true;
}

/* The result as others may ask for it. */
const uint8_t *art__op_payload(const struct art_op *op)
{
	return op->saved_is_result ? op->saved : op->call.recvbuf;
}

/* A split's table is the library's already. */
static bool carries_payload(const struct art_op *op)
{
	return (op->way == ART_C_BCAST || op->way == ART_C_ALLREDUCE) && !op->table;
}

/* What must be kept of a finished op until it is stable: 0 nothing, 1 the input, 2 the result. */
static int keeps(const struct art_op *op)
{
	if (!op->bytes || op->code || op->seq <= op->comm->stable || op->comm->npart <= 1)
		return 0;
	if (op->way == ART_C_REDUCE && op->root != op->comm->coll->cfg.slot)
		return 1;
	return carries_payload(op) ? 2 : 0;
}

static bool ends_comm(const struct art_op *op)
{
	return op->call.kind == ART_C_FREE || op->call.kind == ART_C_FINALIZE;
}

static bool log_has_room(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const struct art_core_cfg *cfg = &m->coll->cfg;

	if (m->npart <= 1 || op->seq <= m->stable || op->code || ends_comm(op))
		return true;
	return m->nlog < cfg->log_ops && m->log_bytes + op->bytes <= cfg->log_bytes;
}

bool art__op_retain(struct art_op *op)
{
	int what;
	bool ok;

	if (op->bulk.on && keeps(op) && art__bulk_hopes(op))
		return false;
	what = keeps(op);
	ok = log_has_room(op);
	if (ok && what == 1)
		ok = op->saved_is_input || art__op_save(op, op->input, false);
	else if (ok && what == 2 && !op->saved_is_result)
		ok = art__op_save(op, op->call.recvbuf, true);
	if (!ok) {
		if (log_has_room(op))
			art__op_lacks_memory(op);
		ART_MARK(op->comm->coll->env, ART_M_LOG_FULL);
		if (op->comm->coll->arena && !log_has_room(op))
			art__arena_log_full(op);
		/* What is stable leaves the log at the end of this event, and this op is settled again:
		 * only then, if that was not enough, are the others asked. */
		if (op->comm->stable == op->comm->forgot)
			art__stable_urge(op->comm, op->seq);
	}
	return ok;
}
