/* SPDX-License-Identifier: MIT
 *
 * The life of an op, whatever machine runs it: made, begun, held, told to the caller, kept until
 * stable, forgotten.
 */
#include <assert.h>

#include <art/art.h>

#include "base/marks.h"
#include "coll/coll.h"

/* ---- the table of a communicator ---- */

struct art_op *art__op_find(const struct art_comm *m, uint64_t seq)
{
	if (seq <= m->stable || seq > m->top_seq)
		return NULL;
	return m->ring[seq & (m->ring_cap - 1)];
}

static bool ring_room(struct art_comm *m, uint64_t seq)
{
	uint32_t cap = m->ring_cap ? m->ring_cap : 16;
	struct art_op **ring;

	if (m->ring_cap && seq - m->forgot < m->ring_cap)
		return true;
	if (seq - m->forgot >= ART_RING_MAX)
		return false;
	while (seq - m->forgot >= cap)
		cap *= 2;
	ring = art__env_zalloc(m->coll->env, cap * sizeof(*ring));
	if (!ring)
		return false;
	for (uint64_t s = m->forgot + 1; s <= m->top_seq; s++)
		ring[s & (cap - 1)] = m->ring[s & (m->ring_cap - 1)];
	art__env_free(m->coll->env, m->ring);
	m->ring = ring;
	m->ring_cap = cap;
	return true;
}

struct art_op *art__op_make(struct art_comm *m, uint64_t seq)
{
	struct art_ops *c = m->coll;
	struct art_op *op = c->free_ops;

	if (!ring_room(m, seq))
		return NULL;
	if (op) {
		c->free_ops = op->next;
	} else {
		op = art__env_alloc(c->env, sizeof(*op));
		if (!op)
			return NULL;
		op->all_next = c->all_ops;
		c->all_ops = op;
		c->op_bytes += sizeof(*op);
	}
	memset(op, 0, offsetof(struct art_op, all_next));
	op->comm = m;
	op->seq = seq;
	op->root = -1;
	op->epoch = c->ft->view.base;
	m->ring[seq & (m->ring_cap - 1)] = op;
	if (seq > m->top_seq)
		m->top_seq = seq;
	return op;
}

void art__op_activate(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (op->active)
		return;
	op->active = true;
	op->prev = NULL;
	op->next = c->active;
	if (c->active)
		c->active->prev = op;
	c->active = op;
}

void art__op_deactivate(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (!op->active)
		return;
	op->active = false;
	if (op->prev)
		op->prev->next = op->next;
	else
		c->active = op->next;
	if (op->next)
		op->next->prev = op->prev;
	op->started_ns = op->asked_ns = 0;
	op->name_due = false;
}

static void recycle(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	op->recycled = true;
	art__deliver_drop(c, op);
	if (op->saved != op->inlined)
		art__pool_put(&c->pool, op->saved);
	art__pool_put(&c->pool, op->scratch);
	art__env_free(c->env, op->returned_set);
	art__env_free(c->env, op->entered_by);
	op->next = c->free_ops;
	c->free_ops = op;
}

/* An outcome that a status read later could not guess. */
static void note_odd(struct art_op *op)
{
	struct art_odd *o = art__env_alloc(op->comm->coll->env, sizeof(*o));

	if (!o) {
		art__ft_give_up(op->comm->coll->ft, ART_ERR_NOMEM); /* it would tell lies */
		return;
	}
	o->seq = op->seq;
	art__op_outcome(op, &o->out);
	o->next = op->comm->odds;
	op->comm->odds = o;
}

/* This rank's part was safe long ago; now the outcome of the present attempt is certain. */
static void settled_by_stability(struct art_op *op)
{
	op->held = true;
	op->out_epoch = op->told_epoch;
	op->out_replays = op->told_replays;
	if (op->out_replays)
		note_odd(op);
}

/* Stable: out of the table; the struct lives on as long as its caller looks at it. */
void art__op_forget(struct art_op *op)
{
	struct art_comm *m = op->comm;

	m->ring[op->seq & (m->ring_cap - 1)] = NULL;
	if (op->named)
		m->nnamed--;
	if (op->returned && !op->held)
		settled_by_stability(op);
	if (op->done && op->entered) {
		m->nlog--;
		m->log_bytes -= op->saved && op->saved != op->inlined ? op->saved_cap : 0;
	}
	op->forgotten = true;
	art__op_reset(op);
	art__op_deactivate(op);
	if (op->released || !op->entered)
		recycle(op);
}

void art__op_release(struct art_core *core, struct art_op *op)
{
	(void)core;
	assert(op->done && !op->released);
	op->released = true;
	op->comm->unreleased--;
	op->comm->coll->dirty = true;
	if (op->forgotten)
		recycle(op);
}

/* The rank ends: also the ops that callers still look at. */
void art__op_free_all(struct art_ops *c)
{
	while (c->all_ops) {
		struct art_op *op = c->all_ops;

		c->all_ops = op->all_next;
		if (!op->recycled) {
			op->comm = &c->nowhere;
			art__op_reset(op);
			recycle(op);
		}
		art__env_free(c->env, op);
	}
	c->free_ops = NULL;
}

/* ---- memory that outlives the call (rule R2) ---- */

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

static bool carries_payload(const struct art_op *op)
{
	return op->call.kind == ART_C_BCAST || op->call.kind == ART_C_ALLREDUCE;
}

/* What must be kept of a finished op until it is stable: 0 nothing, 1 the input, 2 the result. */
static int keeps(const struct art_op *op)
{
	if (!op->bytes || op->code || op->seq <= op->comm->stable || op->comm->npart <= 1)
		return 0;
	if (op->call.kind == ART_C_REDUCE && op->root != op->comm->coll->cfg.slot)
		return 1;
	return carries_payload(op) ? 2 : 0;
}

/* ---- messages out ---- */

uint16_t art__op_lag(const struct art_op *op)
{
	uint64_t lag = op->seq - op->low;

	return lag < ART_LAG_UNKNOWN ? (uint16_t)lag : ART_LAG_UNKNOWN;
}

void art__op_low(struct art_op *op, uint64_t seq, uint16_t lag)
{
	uint64_t low = lag == ART_LAG_UNKNOWN || lag > seq ? op->comm->stable : seq - lag;

	if (low < op->low)
		op->low = low;
}

static void header(const struct art_op *op, struct art_hdr *h, uint8_t kind, uint8_t phase,
		   uint64_t off)
{
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->phase = phase;
	h->lag = art__op_lag(op);
	h->epoch = op->epoch;
	h->comm = op->comm->id;
	h->seq = op->seq;
	h->off = off;
	h->sig = op->sig;
}

int art__op_send(struct art_op *op, int slot, uint8_t phase, uint64_t off, const void *body,
		 size_t len)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;
	int room;

	header(op, &h, ART_K_DATA, phase, off);
	room = c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, body, len);
	if (!room)
		c->blocked[slot] = true;
	return room;
}

void art__op_credit(struct art_op *op, int slot, uint8_t phase, uint64_t upto)
{
	struct art_ops *c = op->comm->coll;
	struct art_hdr h;

	header(op, &h, ART_K_CREDIT, phase, upto);
	if (!c->port->send(c->port->self, ART_CHAN_DATA, slot, &h, NULL, 0))
		c->blocked[slot] = true;
}

static size_t segment(const struct art_op *op)
{
	if (op->bytes <= ART_EAGER)
		return op->bytes;
	return op->elsize ? ART_SEGMENT / op->elsize * op->elsize : ART_SEGMENT;
}

void art__tx_init(const struct art_op *op, struct art_tx *tx, int slot, uint8_t phase)
{
	tx->slot = slot;
	tx->phase = phase;
	tx->opened = false;
	tx->sent = 0;
	tx->granted = segment(op);
}

bool art__tx_push(struct art_op *op, struct art_tx *tx, const uint8_t *base, uint64_t upto)
{
	const bool *blocked = op->comm->coll->blocked;
	size_t seg = segment(op);

	if (!op->bytes && !tx->opened && !blocked[tx->slot]) {
		tx->opened = true;
		art__op_send(op, tx->slot, tx->phase, 0, NULL, 0);
	}
	while (tx->sent < upto && tx->sent < tx->granted && !blocked[tx->slot]) {
		size_t n = upto - tx->sent < seg ? upto - tx->sent : seg;

		if (n < seg && upto < op->bytes)
			break; /* wait for a whole segment */
		art__op_send(op, tx->slot, tx->phase, tx->sent, base + tx->sent, n);
		tx->opened = true;
		tx->sent += n;
	}
	return tx->sent >= upto && (op->bytes || tx->opened);
}

/* ---- running ---- */

bool art__op_is_frozen(const struct art_op *op)
{
	const struct art_ops *c = op->comm->coll;

	return c->frozen || art__ft_op_frozen(c->ft, op->comm->id, op->seq);
}

static void reset_scratch(struct art_op *op)
{
	art__pool_put(&op->comm->coll->pool, op->scratch);
	op->scratch = NULL;
}

/* Ends the present attempt: nothing of it is used again. */
void art__op_reset(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	art__work_abandon(op);
	art__tree_end(op);
	art__early_drop(c, &op->early);
	if (!ART_COLL_MUTANT(c, 8)) {
		op->acc = NULL;
		reset_scratch(op);
	}
	op->idle = true;
	op->pull_told = false;
	op->pulled = 0;
}

static void lost_root(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_set s;

	art__set_init(&s, (uint32_t)c->cfg.size);
	art__set_add(&s, (uint32_t)op->root);
	op->alone = true;
	art__op_fail(op, ART_ERR_ROOT_LOST, c->ft->lost_epoch[op->root],
		     art__comm_keep_set(op->comm, c->ft->lost_epoch[op->root], true, &s));
}

static void alone(struct art_op *op)
{
	if (op->call.recvbuf && op->input && op->bytes && op->call.recvbuf != (void *)op->input)
		memcpy(op->call.recvbuf, op->input, op->bytes);
	op->idle = true;
	art__op_hold(op);
}

static bool small_allreduce(const struct art_op *op)
{
	switch (op->call.kind) {
	case ART_C_BCAST:
	case ART_C_REDUCE:
		return false;
	case ART_C_ALLREDUCE:
		return op->bytes <= op->comm->coll->cfg.small_max ||
		       (op->comm->npart == 2 && op->bytes <= ART_EAGER);
	default:
		return true;
	}
}

/* Starts an attempt in op->epoch: the first, or a rerun. */
void art__op_begin(struct art_op *op)
{
	struct art_comm *m = op->comm;

	art__comm_parts(m);
	op->state = ART_OP_RUNNING;
	op->idle = false;
	op->low = op->call.kind == ART_C_BCAST ? m->stable : art__stable_low(m);
	art__op_activate(op);
	if (op->root >= 0 && !art__set_has(&m->coll->ft->view.members, (uint32_t)op->root)) {
		lost_root(op);
		return;
	}
	if (m->npart == 1) {
		alone(op);
		return;
	}
	if (!ART_COLL_MUTANT(m->coll, 8) || !op->acc)
		op->acc = op->input;
	if (!art__comm_contributors(m, op->epoch) ||
	    (!small_allreduce(op) && !art__tree_begin(op))) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, m->coll->cfg.slot, -1);
		return;
	}
	if (!op->tree)
		art__rd_begin(op);
	art__op_step(op);
	if (m->early)
		art__early_claim(op);
}

/* Calls may be far ahead of what the others have called; what is sent is not, so that they need
 * not keep too much of it. */
static bool too_far_ahead(const struct art_op *op)
{
	const struct art_comm *m = op->comm;

	return op->seq > m->stable + 4 * m->coll->cfg.log_ops;
}

/* An entered op that nothing holds up: what was decided of it, or the first attempt. */
void art__op_go(struct art_op *op)
{
	if (op->foreseen == ART_RES_DELIVER) {
		art__change_deliver(op);
	} else if (too_far_ahead(op)) {
		op->state = ART_OP_FROZEN; /* until more is stable */
		art__op_activate(op);
	} else {
		art__op_begin(op);
	}
}

void art__op_step(struct art_op *op)
{
	if (op->state != ART_OP_RUNNING || op->work || op->idle)
		return;
	if (op->tree)
		art__tree_step(op);
	else
		art__rd_step(op);
	if (op->idle)
		art__op_settle(op);
}

static enum art_take offer(struct art_op *op, int from, const struct art_hdr *h,
			   const uint8_t *body)
{
	if (op->state != ART_OP_RUNNING || op->idle)
		return ART_IGNORED;
	return op->tree ? art__tree_data(op, from, h, body) : art__rd_data(op, from, h, body);
}

/* Messages that had to wait for an earlier one. */
void art__op_retry(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_early **p = &op->early;

	while (*p && !op->work) {
		struct art_early *e = *p;
		enum art_take take;

		*p = e->next; /* out of the list: taking it may end the op, and the list */
		take = offer(op, e->from, &e->hdr, e->body);
		if (take == ART_NOT_YET) {
			e->next = *p;
			*p = e;
			p = &e->next;
			continue;
		}
		art__early_free(c, e);
		if (take == ART_TAKEN) {
			art__op_step(op);
			p = &op->early;
		}
	}
}

/* A message of this op and of its epoch. */
void art__op_dispatch(struct art_op *op, int from, const struct art_hdr *h, const uint8_t *body)
{
	enum art_take take;

	if (h->kind == ART_K_CREDIT) {
		if (op->tree && op->state == ART_OP_RUNNING)
			art__tree_credit(op, from, h);
		art__op_step(op);
		if (op->early)
			art__op_retry(op);
		return;
	}
	take = op->work ? ART_NOT_YET : offer(op, from, h, body);
	if (take == ART_NOT_YET) {
		art__early_keep(op->comm->coll, &op->early, ART_CHAN_DATA, from, h, body);
	} else if (take == ART_TAKEN) {
		art__op_step(op);
		if (op->early)
			art__op_retry(op);
	}
}

/* A user function has put its result into w->inout. */
void art__op_computed(struct art_op *op, struct art_work *w)
{
	if (op->tree)
		art__tree_computed(op, w);
	else
		art__rd_computed(op, w);
	art__op_step(op);
	if (op->early)
		art__op_retry(op);
}

/* ---- outcomes ---- */

static void lacks_memory(struct art_op *op)
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
	if (!op->asked)
		lacks_memory(op);
}

/* Time has come for what lacked memory. */
void art__op_again(struct art_op *op)
{
	op->again_ns = 0;
	if (op->plea.code && !op->held)
		art__op_ask(op, op->plea.code, op->plea.a, op->plea.b);
	else
		art__op_settle(op);
}

/* Another rank called something else under this number. */
void art__op_mismatch(struct art_op *op, int with)
{
	int me = op->comm->coll->cfg.slot;

	if (!op->code)
		art__op_ask(op, ART_ERR_MISMATCH, me < with ? me : with, me < with ? with : me);
}

static void take_effect(struct art_op *op)
{
	struct art_comm *m = op->comm;

	switch (op->call.kind) {
	case ART_C_DUP:
		op->child = art__comm_find(m->coll, art__comm_child_id(m->id, op->seq, 0));
		assert(op->child && !op->child->made); /* since the call (coll.c) */
		art__comm_make(op->child, m->slots, m->policy);
		art__early_retry(m->coll, op->child);
		break;
	case ART_C_SETLOSS:
		m->policy = op->call.loss;
		break;
	case ART_C_FINALIZE:
		art__stable_bye(op);
		break;
	case ART_C_FREE:
		art__stable_urge(m, op->seq);
		break;
	default:
		break;
	}
}

/* The outcome is here: success, computed in op->epoch by its participants. */
void art__op_hold(struct art_op *op)
{
	if (op->held)
		return;
	op->held = true;
	op->out_epoch = op->epoch;
	op->out_replays = op->replays;
	op->contributors = art__comm_contributors(op->comm, op->epoch);
	take_effect(op);
	if (op->idle)
		art__op_settle(op);
	if (op->comm->npart > 1)
		art__stable_learn(op->comm, op->low); /* the attempt has heard of all marks */
	art__stable_done(op);
}

/* An outcome brought by its holder (deliver.c has filled it in). */
void art__op_delivered(struct art_op *op)
{
	op->held = true;
	op->idle = true;
	op->pulled_late = false;
	op->state = ART_OP_OVER;
	take_effect(op);
	if (op->returned)
		note_odd(op);
	art__op_settle(op);
	art__stable_done(op);
}

static void drop_child(const struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_comm *child = art__comm_find(c, art__comm_child_id(op->comm->id, op->seq, 0));

	if (!child || child->made)
		return;
	child->unmade = true; /* ends at the end of the event */
	c->dirty = true;
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
	note_odd(op);
	if (op->call.kind == ART_C_DUP)
		drop_child(op);
	art__op_settle(op);
	if (op->entered)
		art__stable_done(op);
}

void art__op_return_early(struct art_op *op)
{
	op->returned = true;
	op->told_epoch = op->epoch;
	op->told_replays = op->replays;
	op->contributors = art__comm_contributors(op->comm, op->epoch);
	op->idle = true;
	art__op_settle(op);
	art__stable_done(op);
}

static bool log_has_room(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const struct art_core_cfg *cfg = &m->coll->cfg;

	if (m->npart <= 1 || op->seq <= m->stable || op->code || op->nofail)
		return true;
	return m->nlog < cfg->log_ops && m->log_bytes + op->bytes <= cfg->log_bytes;
}

/* Keep what others may still need; false: not now. */
static bool retain(struct art_op *op)
{
	int what = keeps(op);
	bool ok = log_has_room(op);

	if (ok && what == 1)
		ok = op->saved_is_input || art__op_save(op, op->input, false);
	else if (ok && what == 2 && !op->saved_is_result)
		ok = art__op_save(op, op->call.recvbuf, true);
	if (!ok) {
		if (log_has_room(op))
			lacks_memory(op);
		ART_MARK(op->comm->coll->env, ART_M_LOG_FULL);
		art__stable_urge(op->comm, op->seq);
	}
	return ok;
}

/* Tell the caller, unless the log is full, a function still runs, or something is unsent. */
void art__op_settle(struct art_op *op)
{
	struct art_comm *m = op->comm;

	if (op->done || !op->entered || !(op->held || op->returned) || !op->idle || op->work ||
	    op->nstale)
		goto out;
	if (!retain(op))
		return;
	op->done = true;
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

	for (const struct art_odd *o = m->odds; o && (out->code || out->pending); o = o->next)
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
	/* as it was told; or stable by now, and never touched by a view change */
	out->contributors = contributors_of(m, out->epoch);
	if (out->contributors)
		out->pending = false;
}
