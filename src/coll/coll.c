/* SPDX-License-Identifier: MIT
 *
 * The ops of one rank as a whole: start, dispatch of messages, time. What a message means is
 * decided by the op's machine; here only whether it may have any meaning at all.
 */
#include <art/status.h>

#include "base/marks.h"
#include "coll/coll.h"

int art__coll_init(struct art_ops *c, const struct art_env *env, const struct art_port *port,
		   const struct art_core_cfg *cfg, struct art_ft *ft)
{
	int *slots;

	memset(c, 0, sizeof(*c));
	c->nowhere.coll = c;
	c->env = env;
	c->port = port;
	c->cfg = *cfg;
	c->ft = ft;
	art__pool_init(&c->pool, env);
	art__set_init(&c->unanswered, (uint32_t)cfg->size);
	c->blocked = art__env_zalloc(env, (size_t)cfg->size * sizeof(*c->blocked));
	c->early_bytes = art__env_zalloc(env, (size_t)cfg->size * sizeof(*c->early_bytes));
	slots = art__env_alloc(env, (size_t)cfg->size * sizeof(*slots));
	c->world = art__comm_new(c, art__comm_child_id(cfg->job, 0, 0), cfg->size);
	for (int i = 0; slots && i < cfg->size; i++)
		slots[i] = i;
	if (slots && c->world)
		art__comm_make(c->world, slots, 0);
	art__env_free(env, slots);
	return art__arena_init(c) && c->blocked && c->early_bytes && slots && c->world ? 0 : ART_ERR_NOMEM;
}

void art__coll_fini(struct art_ops *c)
{
	art__coll_recall(c);
	art__deliver_drop(c, NULL);
	art__early_drop(c, &c->parked);
	while (c->comms)
		art__comm_end(c->comms);
	art__op_free_all(c);
	art__work_free_all(c);
	art__arena_fini(c);
	art__env_free(c->env, c->blocked);
	art__env_free(c->env, c->early_bytes);
	art__pool_put(&c->pool, c->room);
	art__pool_fini(&c->pool);
}

/* ---- starting ---- */

/* The list of a create is part of the call: all have to give the same. */
static uint64_t list_hash(const struct art_call *call)
{
	uint64_t x = call->count;

	for (size_t i = 0; i < call->count; i++)
		x = (x ^ x >> 29 ^ (uint64_t)(uint32_t)call->ranks[i]) *
		    UINT64_C(0x9e3779b97f4a7c15);
	return x;
}

uint32_t art__coll_signature(const struct art_call *call)
{
	uint64_t x = (uint64_t)call->kind | (uint64_t)(uint8_t)call->type << 8 |
		     (uint64_t)(uint8_t)call->op << 16 | (uint64_t)(call->fn != NULL) << 24 |
		     (uint64_t)(uint8_t)call->flags << 32 | (uint64_t)(uint8_t)call->loss << 40;

	x = (x ^ (uint64_t)(uint32_t)(call->root + 1) << 28) * UINT64_C(0x9e3779b97f4a7c15);
	if (call->kind == ART_C_CREATE)
		x ^= list_hash(call);
	x = (x ^ x >> 32 ^ call->count) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(x >> 32 ^ x);
}

static struct art_op *next_op(struct art_comm *m)
{
	struct art_op *op = art__op_find(m, m->next_seq);

	if (!op && m->next_seq - m->forgot >= ART_RING_MAX)
		return NULL; /* too many: the caller may wait for some and call again */
	if (!op)
		op = art__op_make(m, m->next_seq);
	if (!op) {
		/* without its number the call cannot even be refused */
		art__ft_give_up(m->coll->ft, ART_ERR_NOMEM);
		return NULL;
	}
	m->next_seq++;
	m->unreleased++;
	op->entered = true;
	op->policy = (uint8_t)m->policy;
	return op;
}

static enum art_coll way_of(enum art_coll kind)
{
	if (kind == ART_C_SPLIT || kind == ART_C_AGREE || kind == ART_C_DUP || kind == ART_C_CREATE ||
	    kind == ART_C_SHRINK)
		return ART_C_ALLREDUCE;
	return kind <= ART_C_ALLREDUCE ? kind : ART_C_BARRIER;
}

static bool no_loss_fails(enum art_coll kind)
{
	return kind == ART_C_FREE || kind == ART_C_FINALIZE || kind == ART_C_AGREE ||
	       kind == ART_C_SHRINK;
}

/* What the communicator's flags make of a call. A reduce that survives its root is an allreduce: every
 * rank then holds what whoever comes after the root has to get. Where the shape is fixed nobody may
 * leave it, so a user function's ranks stay until none of them can be needed again. */
static void heed_flags(struct art_op *op)
{
	int f = op->comm->flags;
	enum art_coll kind = op->call.kind;
	bool reduction = kind == ART_C_REDUCE || kind == ART_C_ALLREDUCE;

	op->uniform = kind == ART_C_AGREE || kind == ART_C_SHRINK;
	if (!f || kind == ART_C_FREE || kind == ART_C_FINALIZE)
		return;
	op->uniform |= f & (ART_F_UNIFORM | ART_F_SUCCESSOR);
	op->ordered = f & ART_F_REPRODUCIBLE && reduction && !ART_COLL_MUTANT(op->comm->coll, 13);
	op->uniform |= op->ordered && op->call.fn && kind == ART_C_REDUCE;
	if (f & ART_F_SUCCESSOR && kind == ART_C_REDUCE) {
		op->way = ART_C_ALLREDUCE;
		op->root = -1;
	}
}

/* An in-place input is saved before anything may write over it (rule R4). */
static bool take_input(struct art_op *op, const struct art_call *call)
{
	bool in_place = call->sendbuf && call->sendbuf == call->recvbuf &&
			call->kind != ART_C_BCAST;

	op->call = *call;
	op->way = way_of(call->kind);
	op->elsize = art__type_size(call->type);
	op->bytes = call->count * op->elsize;
	op->sig = art__coll_signature(call);
	op->root = call->root >= 0 ? op->comm->slots[call->root] : -1;
	op->input = call->kind == ART_C_BCAST ? call->recvbuf : call->sendbuf;
	heed_flags(op);
	if (op->comm->chosen)
		art__choose_set(op);
	if (!op->bytes)
		op->input = op->call.recvbuf = op->inlined;
	return !in_place || op->comm->nrank == 1 || art__op_save(op, call->sendbuf, false);
}

static void enter(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (op->stands && art__change_be_odd(op))
		return;
	if (op->held) {
		art__op_settle(op);
		art__stable_done(op);
	} else if (c->frozen || art__ft_op_frozen(c->ft, op->comm->id, op->seq)) {
		op->state = ART_OP_FROZEN;
		art__op_activate(op);
	} else {
		art__op_go(op);
	}
}

/* Entered and refused at once: the number is taken, the others are told. */
static void refuse(struct art_op *op, int code)
{
	struct art_comm *m = op->comm;

	m->unreleased--;
	op->released = op->refused = op->idle = op->done = true;
	m->nlog++;
	if (op->held) {
		art__stable_done(op); /* had failed already */
		if (art__op_failed_by_policy(op)) /* but not for those whose call no loss fails */
			art__op_ask(op, code, m->coll->cfg.slot, -1);
	} else if (!art__change_be_odd(op)) {
		art__op_activate(op);
		art__op_ask(op, code, m->coll->cfg.slot, -1);
	}
	art__coll_tidy(m->coll);
}

int art__coll_start(struct art_ops *c, struct art_comm *m, const struct art_call *call,
		    uint64_t deadline_ns, struct art_op **out)
{
	struct art_op *op;

	if (c->ft->fate)
		return c->ft->fate;
	op = next_op(m);
	if (!op)
		return ART_ERR_NOMEM;
	op->deadline_ns = deadline_ns;
	op->nofail = no_loss_fails(call->kind);
	if (op->nofail)
		art__op_spare(op);
	if (!take_input(op, call) || (art__comm_op(op) && !art__comm_op_expect(op, call))) {
		refuse(op, ART_ERR_NOMEM);
		return ART_ERR_NOMEM;
	}
	if (call->kind == ART_C_FINALIZE)
		c->ft->finalizing = true;
	if (call->kind == ART_C_FREE) {
		m->freed = true;
		art__notify_set(m, NULL, NULL);
		op->done = true; /* for the caller; the barrier goes on */
		m->nlog++;
	}
	*out = op;
	if (c->env->trace && !op->done)
		art__explain_call(op, false);
	enter(op);
	art__coll_tidy(c);
	return 0;
}

int art__coll_refuse(struct art_ops *c, struct art_comm *m, int code)
{
	struct art_op *op;

	if (c->ft->fate)
		return c->ft->fate;
	op = next_op(m);
	if (!op)
		return ART_ERR_NOMEM;
	op->call.root = -1;
	refuse(op, code);
	return 0;
}

/* ---- messages ---- */

void art__coll_data(struct art_ops *c, int from, const struct art_hdr *h, const uint8_t *body)
{
	struct art_comm *m;
	struct art_op *op;

	if (h->kind == ART_K_NUDGE) {
		art__arena_nudged(c);
		return;
	}
	if (c->frozen) {
		if (h->epoch > c->ft->view.epoch)
			ART_MARK(c->env, ART_M_FUTURE_PARKED);
		art__early_keep(c, &c->parked, ART_CHAN_DATA, from, h, body);
		return;
	}
	if (h->kind == ART_K_PULL) {
		art__deliver_on_pull(c, from, h);
		return;
	}
	if (h->kind == ART_K_OUTCOME) {
		art__deliver_on_outcome(c, from, h, body);
		return;
	}
	if (h->kind >= ART_K_WMARK) {
		art__coll_ctl(c, from, h);
		return;
	}
	m = art__comm_find(c, h->comm);
	if (!m || h->seq <= m->stable)
		return;
	if (h->kind == ART_K_BYE) {
		art__stable_on_bye(m, h);
		return;
	}
	if (h->epoch < c->ft->view.base && !ART_COLL_MUTANT(c, 4)) {
		ART_MARK(c->env, ART_M_OLD_EPOCH_DROPPED);
		return;
	}
	if (h->phase == ART_PH_DEPOSIT && h->kind == ART_K_DATA) {
		art__mirror_on_deposit(m, from, h, body);
		return;
	}
	op = art__op_find(m, h->seq);
	if (!op || !op->entered || op->state == ART_OP_FROZEN || !m->made ||
	    art__ft_op_frozen(c->ft, m->id, h->seq)) {
		art__early_comm(m, ART_CHAN_DATA, from, h, body);
		return;
	}
	if (op->refused || op->code)
		return;
	if (h->sig != op->sig) {
		art__op_mismatch(op, from);
	} else if (h->epoch == op->epoch || ART_COLL_MUTANT(c, 4)) {
		art__op_dispatch(op, from, h, body);
	} else {
		ART_MARK(c->env, ART_M_OLD_EPOCH_DROPPED);
	}
}

void art__coll_ctl(struct art_ops *c, int from, const struct art_hdr *h)
{
	struct art_comm *m;

	if (h->kind == ART_K_WHO) {
		art__who_on_who(c, from, h);
		return;
	}
	if (h->kind == ART_K_WHO_REPLY) {
		art__who_on_reply(c, from, h);
		return;
	}
	m = art__comm_find(c, h->comm);
	if (!m) {
		if (h->kind == ART_K_WMARK)
			art__stable_tell_gone(c, from, h);
		return;
	}
	if (c->frozen || c->ft->nfrozen_named) {
		art__early_comm(m, ART_CHAN_CTL, from, h, NULL); /* looked at after the decision */
		return;
	}
	if (h->kind == ART_K_WMARK)
		art__stable_on_wmark(m, from, h);
	else if (h->kind == ART_K_STABLE)
		art__stable_on_stable(m, from, h);
}

void art__coll_room(struct art_ops *c, int to)
{
	struct art_op *next;

	c->blocked[to] = false;
	art__deliver_step(c);
	if (c->frozen)
		return;
	for (struct art_op *op = c->active; op; op = next) {
		next = op->next;
		if (art__op_is_frozen(op))
			continue;
		art__op_step(op);
		if (op->early)
			art__op_retry(op);
	}
}

/* ---- time ---- */

/* A decided DELIVER is an answer to a deadline too. What was asked in vain is asked again later. */
static bool expires(const struct art_op *op)
{
	return op->deadline_ns && (!op->held || art__op_gives(op)) && !op->asked &&
	       op->foreseen != ART_RES_DELIVER && !(op->plea.code && !op->held && op->again_ns);
}

void art__coll_tick(struct art_ops *c, uint64_t now)
{
	struct art_op *next;

	for (struct art_op *op = c->active; op; op = next) {
		next = op->next;
		if (op->again_ns && now >= op->again_ns)
			art__op_again(op);
		else if (expires(op) && now >= op->deadline_ns)
			art__op_ask(op, ART_ERR_TIMEOUT, -1, -1);
		else
			art__who_tick(op, now);
	}
}

/* Deadlines, and a look at waiting ops now and then. */
uint64_t art__coll_wake(struct art_ops *c)
{
	uint64_t t = ART_NEVER;

	for (struct art_op *op = c->active; op; op = op->next) {
		uint64_t stall;

		if (op->again_ns && op->again_ns < t)
			t = op->again_ns;
		if (!art__op_waits(op))
			continue;
		if (!op->started_ns)
			op->started_ns = art__env_now(c->env);
		stall = art__who_wake(op);
		if (expires(op) && op->deadline_ns < t)
			t = op->deadline_ns;
		if (stall < t)
			t = stall;
	}
	return t;
}

/* This rank can do no more: every call ends with @code. */
void art__coll_fate(struct art_ops *c, int code)
{
	/* The others may still be reading what this rank lent, and mean it: their reads fail first. */
	for (int i = 0; i < c->cfg.size; i++)
		if (i != c->cfg.slot && art__coll_lends(c))
			c->port->fence(c->port->self, i);
	art__coll_recall(c);
	for (struct art_comm *m = c->comms; m; m = m->next)
		for (uint64_t s = m->forgot + 1; m->ring_cap && s <= m->top_seq; s++) {
			struct art_op *op = m->ring[s & (m->ring_cap - 1)]; /* also one that is stable */

			if (op && op->entered && !op->done) {
				op->held = false;
				art__op_fail(op, code, c->ft->view.epoch, NULL);
			}
		}
}

/* Freed, and nobody needs anything of it. */
static bool over(const struct art_comm *m)
{
	return m->freed && m->made && m != m->coll->world && !m->unreleased &&
	       !(m->notify && m->notify->out) &&
	       m->stable >= m->next_seq - 1 && m->forgot >= m->stable;
}

/* At the end of every event: let go what is stable. Only communicators of which something has
 * finished are looked at, however many there are. */
void art__coll_tidy(struct art_ops *c)
{
	while (c->dirty) {
		struct art_comm *m = c->dirty;

		c->dirty = m->dirty_next;
		m->dirty = false;
		if (m->made)
			art__stable_tidy(m);
		if (!m->unmade && !over(m))
			continue;
		if (m->made)
			art__channel_end(m);
		art__comm_end(m);
	}
}
