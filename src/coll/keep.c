/* SPDX-License-Identifier: MIT
 *
 * What outlives a call (rule R2): the input or the result that others may still need of an op,
 * in library memory, and the bound on all of it. A large payload is not copied at once: whoever has
 * it says so, and it is mostly stable before the copy would have been made. Its caller waits as long, at
 * most, with its own memory still the op's.
 */
#include "base/marks.h"
#include "coll/coll.h"
#include "coll/spread.h"

/* How long it may take until it is stable, and a nanosecond a byte: what a copy into fresh memory would take,
 * where cores are shared. */
#define HOPE_NS UINT64_C(20000)

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
	art__spread_copy(op->comm->coll->port, room, p, op->bytes);
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

/* ---- what need not be kept ---- */

/* A payload so large that telling each other costs less than copying it. */
static bool is_large(const struct art_op *op)
{
	const struct art_ops *c = op->comm->coll;

	if (op->arena)
		return op->bulk.on && op->bytes >= c->arena->hope;
	return op->bytes >= c->cfg.hope[op->comm->npart > 2];
}

/* Of what goes by messages all say when they have it done, whether they have to keep anything or not. */
static bool tells_all(const struct art_op *op)
{
	return !op->arena && !op->hope_over && op->way >= ART_C_BCAST && op->way <= ART_C_ALLREDUCE && op->bytes &&
	       !op->code && op->comm->npart > 1 && op->seq > op->comm->wm_hurry;
}

/* What has hoped is stable now, or its time is over. */
static void hoped(const struct art_op *op)
{
	const struct art_env *env = op->comm->coll->env;

	if (op->seq <= op->comm->stable)
		ART_MARK(env, ART_M_NOT_KEPT);
	else
		ART_MARK(env, ART_M_KEPT_LATE);
}

/* May it yet become stable, so that nothing need be kept? */
static bool hopes(struct art_op *op, int what)
{
	struct art_comm *m = op->comm;
	uint64_t now;

	if (!what || op->hope_over || (what == 1 || op->arena ? op->saved_is_input :
									   op->saved_is_result))
		return false;
	if (op->arena)
		art__arena_learn(m);
	if (op->seq <= m->stable)
		return false;
	now = art__env_now(m->coll->env);
	if (!op->hope_ns) {
		op->hope_ns = now + HOPE_NS + op->bytes;
		if (!op->arena)
			op->again_ns = op->hope_ns; /* should nobody look */
	}
	op->hope_over = now >= op->hope_ns;
	return !op->hope_over;
}

int art__hope_look(struct art_ops *c)
{
	struct art_op *next;
	int found = -1;

	for (struct art_op *op = c->active; op; op = next) {
		next = op->next;
		if (!art__op_hopes(op))
			continue;
		art__op_settle(op);
		found = op->done ? 1 : found < 0 ? 0 : found;
	}
	return found;
}

bool art__hope_give_up(struct art_ops *c)
{
	struct art_op *next;
	bool any = false;

	for (struct art_op *op = c->active; op; op = next) {
		next = op->next;
		if (!art__op_hopes(op))
			continue;
		any |= !op->hope_over;
		op->hope_over = true;
		art__op_settle(op);
	}
	return any;
}

/* ---- the log ---- */

/* Apart, for most are small. */
static __attribute__((noinline)) bool is_put_off(struct art_op *op, int what)
{
	if (tells_all(op))
		art__stable_hurry(op->comm, op->seq);
	if (hopes(op, what))
		return true;
	if (op->hope_ns && !op->arena)
		hoped(op);
	return false;
}

bool art__op_retain(struct art_op *op)
{
	int what;
	bool ok;

	what = keeps(op);
	if (is_large(op)) {
		if (is_put_off(op, what))
			return false;
		what = keeps(op); /* less, if it has become stable now */
	}
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
			art__stable_urge_all(op->comm, op->seq);
	}
	return ok;
}
