/* SPDX-License-Identifier: MIT
 *
 * ART_LOSS_MIRROR: before a rank's contribution goes up, and before its call may return, a buddy - or
 * several - has a whole copy of it, and has said so. From then on it counts, whatever becomes of the
 * rank, as long as one of those who keep it lives.
 *
 *   entered --DEPOSIT...--> (buddy) --KEPT--> running, as under any policy
 *
 *   buddy: --DEPOSIT, off 0--> filling --all bytes--> whole --op is stable--> (forgotten)
 *
 * Buddies are the owner's choice and nobody else's business: who keeps what is said in a PROMISE, one line
 * for each input whose owner is no member of the proposed view, and the decision names, for every rerun,
 * the lost slots that count and who has their inputs (ft/resolve.c). So a rank whose buddies have died
 * with it, or before its deposit was whole, is left out as under ART_LOSS_EXCLUDE, alike everywhere.
 * A deposit is of an op, not of an attempt: what a buddy has said once stays true in later epochs, and
 * only if it leaves does the owner look for another.
 */
#include <art/status.h>

#include "coll/coll.h"

#define RECORD_BYTES 16 /* length of the input, root, kind: before the bytes at offset 0 */
#define CHUNK (ART_SEGMENT - RECORD_BYTES)

static int me(const struct art_op *op)
{
	return op->comm->coll->cfg.slot;
}

static bool get_mirror(struct art_op *op)
{
	if (!op->mirror) {
		op->mirror = art__pool_get(&op->comm->coll->pool, sizeof(*op->mirror));
		if (op->mirror)
			memset(op->mirror, 0, sizeof(*op->mirror));
	}
	return op->mirror != NULL;
}

/* ---- the buddy's side ---- */

static struct art_deposit *deposit_of(const struct art_op *op, int owner)
{
	struct art_deposit *d = op && op->mirror ? op->mirror->deposits : NULL;

	while (d && d->owner != owner)
		d = d->next;
	return d;
}

const struct art_deposit *art__mirror_find(const struct art_op *op, int owner)
{
	const struct art_deposit *d = deposit_of(op, owner);

	return d && d->whole ? d : NULL;
}

static void answer(struct art_ops *c, int to, const struct art_hdr *asked, uint8_t kind,
		   uint8_t phase, uint64_t off)
{
	struct art_hdr h = { .kind = kind, .phase = phase, .lag = ART_LAG_UNKNOWN,
			     .epoch = asked->epoch, .comm = asked->comm, .seq = asked->seq,
			     .off = off, .sig = asked->sig };

	if (!c->port->send(c->port->self, ART_CHAN_DATA, to, &h, NULL, 0))
		c->blocked[to] = true;
}

/* The call there goes on without; it counts as under EXCLUDE. */
static void decline(struct art_comm *m, int from, const struct art_hdr *h)
{
	art__env_log(m->coll->env, ART_LOG_WARN, "no memory to keep the input of rank %d for op %llu",
		     m->rank_of[from], (unsigned long long)h->seq);
	answer(m->coll, from, h, ART_K_DATA, ART_PH_KEPT, 0);
}

static struct art_deposit *new_deposit(struct art_comm *m, struct art_op *op, int from,
				       const struct art_hdr *h, const struct art_deposit *like)
{
	struct art_pool *pool = &m->coll->pool;
	struct art_deposit *d = deposit_of(op, from);

	if (!get_mirror(op))
		return NULL;
	if (!d) {
		d = art__pool_get(pool, sizeof(*d));
		if (!d)
			return NULL;
		memset(d, 0, sizeof(*d));
		d->owner = from;
		d->next = op->mirror->deposits;
		op->mirror->deposits = d;
	} else {
		m->log_bytes -= d->data ? d->bytes : 0;
		art__pool_put(pool, d->data); /* begun in an epoch that is over */
		d->data = NULL;
	}
	d->epoch = h->epoch;
	d->sig = h->sig;
	d->root = like->root;
	d->kind = like->kind;
	d->bytes = like->bytes;
	d->got = 0;
	d->data = art__pool_get(pool, like->bytes ? like->bytes : 1);
	if (!d->data)
		return NULL;
	m->log_bytes += d->bytes;
	d->granted = CHUNK;
	return d;
}

/* The record at its head; false: this is none. */
static bool read_record(const struct art_ops *c, const struct art_hdr *h, const uint8_t *body,
			struct art_deposit *out)
{
	struct art_rbuf r = { .p = body, .len = h->len };

	memset(out, 0, sizeof(*out));
	out->bytes = art__r_u64(&r);
	out->root = (int32_t)art__r_u32(&r);
	out->kind = art__r_u8(&r);
	return !r.bad && h->len >= RECORD_BYTES && h->len - RECORD_BYTES <= out->bytes &&
	       out->bytes < SIZE_MAX / 2 && out->root >= -1 && out->root < c->cfg.size;
}

/* Deposits count as the log does; of an op that was called here there has to be room. */
static bool has_room(const struct art_comm *m, const struct art_op *op, uint64_t bytes)
{
	return (op && op->entered) || m->log_bytes + bytes <= m->coll->cfg.log_bytes;
}

static void take_bytes(struct art_comm *m, struct art_deposit *d, const struct art_hdr *h,
		       const uint8_t *p, size_t n)
{
	if (n)
		memcpy(d->data + d->got, p, n);
	d->got += n;
	d->whole = d->got == d->bytes;
	if (d->whole) {
		answer(m->coll, d->owner, h, ART_K_DATA, ART_PH_KEPT, 1);
	} else if (d->granted - d->got <= ART_WINDOW / 2) {
		d->granted = d->bytes - d->got < ART_WINDOW ? d->bytes : d->got + ART_WINDOW;
		answer(m->coll, d->owner, h, ART_K_CREDIT, ART_PH_DEPOSIT, d->granted);
	}
}

static void begin_deposit(struct art_comm *m, struct art_op *op, int from, const struct art_hdr *h,
			  const uint8_t *body)
{
	struct art_deposit like, *d = NULL;

	if (!read_record(m->coll, h, body, &like))
		return;
	if (!has_room(m, op, like.bytes)) {
		art__early_comm(m, ART_CHAN_DATA, from, h, body); /* until it is called here */
		return;
	}
	if (!op)
		op = art__op_make(m, h->seq);
	if (op)
		d = new_deposit(m, op, from, h, &like);
	if (d)
		take_bytes(m, d, h, body + RECORD_BYTES, h->len - RECORD_BYTES);
	else
		decline(m, from, h);
}

void art__mirror_on_deposit(struct art_comm *m, int from, const struct art_hdr *h,
			    const uint8_t *body)
{
	struct art_ops *c = m->coll;
	struct art_op *op = art__op_find(m, h->seq);
	struct art_deposit *d = deposit_of(op, from);

	if (!m->made || art__ft_op_frozen(c->ft, m->id, h->seq)) {
		art__early_comm(m, ART_CHAN_DATA, from, h, body);
		return;
	}
	if (h->epoch != c->ft->view.base || m->rank_of[from] < 0)
		return;
	if (d && d->whole) {
		if (!h->off) /* asked again: the answer was lost with its epoch */
			answer(c, from, h, ART_K_DATA, ART_PH_KEPT, 1);
	} else if (!h->off) {
		if (!d || !d->data || d->epoch != h->epoch)
			begin_deposit(m, op, from, h, body);
	} else if (d && d->data && d->epoch == h->epoch && h->off == d->got &&
		   h->len <= d->bytes - d->got) {
		take_bytes(m, d, h, body, h->len);
	}
}

static void free_deposits(struct art_op *op)
{
	struct art_pool *pool = &op->comm->coll->pool;

	while (op->mirror->deposits) {
		struct art_deposit *d = op->mirror->deposits;

		op->mirror->deposits = d->next;
		op->comm->log_bytes -= d->data ? d->bytes : 0;
		art__pool_put(pool, d->data);
		art__pool_put(pool, d);
	}
}

/* The op is stable, or its communicator has ended. */
void art__mirror_free(struct art_op *op)
{
	free_deposits(op);
	art__star_end(op);
	art__env_free(op->comm->coll->env, op->mirror->stand);
	art__pool_put(&op->comm->coll->pool, op->mirror);
	op->mirror = NULL;
}

/* ---- decisions ---- */

bool art__mirror_report(const struct art_op *op, const struct art_set *proposed,
			struct art_flush *out)
{
	for (const struct art_deposit *d = op->mirror->deposits; d; d = d->next) {
		struct art_line l = { .comm = op->comm->id, .seq = op->seq, .sig = d->sig,
				      .root = d->root, .kind = d->kind, .policy = ART_P_MIRROR,
				      .flags = ART_L_DEPOSIT, .owner = (uint32_t)d->owner };

		if (d->whole && !art__set_has(proposed, l.owner) &&
		    !art__flush_add(op->comm->coll->env, out, &l))
			return false;
	}
	return true;
}

bool art__mirror_decided(struct art_op *op, const struct art_stand *stand, uint32_t n)
{
	const struct art_env *env = op->comm->coll->env;

	if (op->mirror && ART_COLL_MUTANT(op->comm->coll, 16))
		free_deposits(op);
	if (op->mirror) {
		art__env_free(env, op->mirror->stand);
		op->mirror->stand = NULL;
		op->mirror->nstand = 0;
	}
	if (!n)
		return true;
	if (!get_mirror(op))
		return false;
	op->mirror->stand = art__env_alloc(env, n * sizeof(*stand));
	if (!op->mirror->stand)
		return false;
	memcpy(op->mirror->stand, stand, n * sizeof(*stand));
	op->mirror->nstand = n;
	return true;
}

bool art__mirror_stands(const struct art_op *op, int slot)
{
	for (uint32_t i = 0; i < op->mirror->nstand; i++)
		if (op->mirror->stand[i].slot == (uint32_t)slot)
			return true;
	return false;
}

/* Of this attempt: the live ranks and those that members stand in for. */
const struct art_set *art__mirror_contributors(struct art_op *op)
{
	struct art_set s;

	if (!op->mirror->nstand)
		return art__comm_contributors(op->comm, op->epoch);
	art__comm_live(op->comm, &s);
	for (uint32_t i = 0; i < op->mirror->nstand; i++)
		art__set_add(&s, op->mirror->stand[i].slot);
	/* kept with the sets of no epoch: other ops of this one have other contributors */
	return art__comm_keep_set(op->comm, op->epoch, true, &s);
}

/* ---- the owner's side ---- */

static bool gives(const struct art_op *op)
{
	return op->call.kind == ART_C_REDUCE || op->call.kind == ART_C_ALLREDUCE ||
	       (op->call.kind == ART_C_BCAST && op->root == me(op));
}

static bool is_buddy(const struct art_buddy *b, int n, int slot)
{
	while (n-- > 0)
		if (b[n].slot == slot)
			return true;
	return false;
}

/* The first after this rank's own host's, as if hosts came one after the other, and then on: so
 * everybody is a buddy of about as many. @far: only ranks of other hosts. */
static int pick(const struct art_op *op, const struct art_buddy *b, int n, bool far)
{
	const struct art_comm *m = op->comm;
	const int *host = m->coll->cfg.hosts;
	int here = 0;

	for (int i = 0; host && i < m->npart; i++)
		here += host[m->part[i]] == host[me(op)];
	for (int i = 0; i < m->npart; i++) {
		int slot = m->part[(m->mypos + (far ? here : 1) + i) % m->npart];

		if (slot != me(op) && !is_buddy(b, n, slot) &&
		    !(far && host[slot] == host[me(op)]))
			return slot;
	}
	return -1;
}

/* Those of an earlier attempt that have it already stay. */
static void choose(struct art_op *op)
{
	struct art_mirror *mi = op->mirror;
	const struct art_core_cfg *cfg = &op->comm->coll->cfg;
	int n = 0;

	for (int i = 0; i < mi->nbuddy; i++)
		if (mi->buddy[i].kept && art__set_has(&op->comm->coll->ft->view.members,
						      (uint32_t)mi->buddy[i].slot))
			mi->buddy[n++] = mi->buddy[i];
	while (n < cfg->buddies) {
		int slot = cfg->hosts ? pick(op, mi->buddy, n, true) : -1;

		if (slot < 0)
			slot = pick(op, mi->buddy, n, false);
		if (slot < 0)
			break;
		mi->buddy[n++] = (struct art_buddy){ .slot = slot, .granted = CHUNK };
	}
	mi->nbuddy = n;
}

static void send_chunk(struct art_op *op, struct art_buddy *b, uint8_t *first)
{
	struct art_wbuf w = { .p = first, .cap = ART_SEGMENT };
	size_t n = op->bytes - b->sent < CHUNK ? op->bytes - b->sent : CHUNK;

	if (b->opened) {
		art__op_send(op, b->slot, ART_PH_DEPOSIT, b->sent, op->input + b->sent, n);
	} else {
		art__w_u64(&w, op->bytes);
		art__w_u32(&w, (uint32_t)op->root);
		art__w_u8(&w, (uint8_t)op->call.kind);
		art__w_u8(&w, 0);
		art__w_u16(&w, 0);
		art__w_bytes(&w, op->input, n);
		art__op_send(op, b->slot, ART_PH_DEPOSIT, 0, first, w.len);
	}
	b->opened = true;
	b->sent += n;
}

static bool push(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;
	struct art_mirror *mi = op->mirror;
	uint8_t *first = NULL;

	for (int i = 0; i < mi->nbuddy; i++) {
		struct art_buddy *b = &mi->buddy[i];

		while (!b->kept && !b->cannot && !c->blocked[b->slot] &&
		       (!b->opened || (b->sent < op->bytes && b->sent < b->granted))) {
			if (!b->opened && !first)
				first = art__pool_get(&c->pool, RECORD_BYTES +
						      (op->bytes < CHUNK ? op->bytes : CHUNK));
			if (!b->opened && !first)
				return false;
			send_chunk(op, b, first);
		}
	}
	art__pool_put(&c->pool, first);
	return true;
}

static bool all_kept(const struct art_op *op)
{
	const struct art_mirror *mi = op->mirror;

	for (int i = 0; i < mi->nbuddy; i++)
		if (!mi->buddy[i].kept && !mi->buddy[i].cannot)
			return false;
	return true;
}

/* The input is safe: now it may go where it is to go. */
static void go_on(struct art_op *op)
{
	if (!op->mirror->nstand) {
		op->state = ART_OP_RUNNING;
		art__op_run(op);
	} else if (!art__star_begin(op)) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, me(op), -1);
		return;
	} else {
		art__star_step(op);
		if (op->comm->early)
			art__early_claim(op);
	}
	if (op->early)
		art__op_retry(op);
}

bool art__mirror_begin(struct art_op *op)
{
	bool give = gives(op) && op->comm->npart > 1;

	if (give && !get_mirror(op)) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, me(op), -1);
		return true;
	}
	if (give)
		choose(op);
	else if (op->mirror)
		op->mirror->nbuddy = 0;
	if (!op->mirror || (!op->mirror->nbuddy && !op->mirror->nstand))
		return false;
	if (all_kept(op) && !op->mirror->nstand)
		return false;
	op->state = ART_OP_MIRRORED;
	art__mirror_step(op);
	/* among them inputs that had to wait for room until this op was called */
	if (op->state == ART_OP_MIRRORED && op->comm->early)
		art__early_claim(op);
	return true;
}

void art__mirror_step(struct art_op *op)
{
	if (op->mirror->star) {
		art__star_step(op);
		return;
	}
	if (!push(op)) {
		op->idle = true;
		art__op_ask(op, ART_ERR_NOMEM, me(op), -1);
		return;
	}
	if (all_kept(op) || ART_COLL_MUTANT(op->comm->coll, 14))
		go_on(op);
}

void art__op_keepers(const struct art_op *op, struct art_set *out)
{
	const struct art_mirror *mi = op->mirror;

	art__set_init(out, (uint32_t)op->comm->coll->cfg.size);
	if (op->forgotten)
		art__comm_live(op->comm, out);
	for (int i = 0; mi && i < mi->nbuddy; i++)
		if (mi->buddy[i].kept)
			art__set_add(out, (uint32_t)mi->buddy[i].slot);
}

static enum art_take kept(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_mirror *mi = op->mirror;

	for (int i = 0; i < mi->nbuddy; i++)
		if (mi->buddy[i].slot == from && mi->buddy[i].opened) {
			mi->buddy[i].kept = h->off == 1;
			mi->buddy[i].cannot = h->off != 1;
			return ART_TAKEN;
		}
	return ART_IGNORED;
}

enum art_take art__mirror_data(struct art_op *op, int from, const struct art_hdr *h,
			       const uint8_t *body)
{
	if (op->mirror->star)
		return art__star_data(op, from, h, body);
	return h->phase == ART_PH_KEPT ? kept(op, from, h) : ART_NOT_YET;
}

enum art_take art__mirror_credit(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_mirror *mi = op->mirror;

	if (mi->star)
		art__star_credit(op, from, h);
	else if (h->phase != ART_PH_DEPOSIT)
		return ART_NOT_YET;
	for (int i = 0; i < mi->nbuddy; i++)
		if (h->phase == ART_PH_DEPOSIT && mi->buddy[i].slot == from &&
		    h->off > mi->buddy[i].granted)
			mi->buddy[i].granted = h->off;
	return ART_TAKEN;
}
