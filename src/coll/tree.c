/* SPDX-License-Identifier: MIT
 *
 * Reductions up a tree, broadcasts down a tree, long allreduces as both in one pipeline, and
 * the long exchange of two ranks. A payload of at most ART_EAGER bytes is one message an edge;
 * a longer one is a stream of segments, of which the first is sent unasked and the rest against
 * credit, so that a child or parent that has not called yet need not keep more than that.
 *
 *   up:   for each block: parts of the kids and the own one, in rank order --> sent to the parent
 *                                                           (top: into the receive buffer)
 *   down: bytes from the parent --> receive buffer --> on to the kids
 *
 * Partial results go to library scratch or to the receive buffer, never over the input: an
 * attempt can be thrown away at any moment. A slot for each kid, never a counter (DESIGN 4).
 * Who is whose kid is said in shape.c.
 */
#include <art/status.h>

#include "base/marks.h"
#include "coll/coll.h"
#include "coll/leaders.h"

static int me(const struct art_op *op)
{
	return op->comm->coll->cfg.slot;
}

/* ---- begin and end ---- */

static bool at_top(const struct art_op *op)
{
	return op->tree->parent < 0;
}

/* Does the result of the whole reduction end up in this rank's receive buffer? */
static bool result_here(const struct art_op *op)
{
	return at_top(op) && op->tree->fwd_to < 0;
}

static bool long_payload(const struct art_op *op)
{
	return op->bytes > ART_EAGER;
}

/* A user function gets its whole vector at once; built-in operators take block after block. */
static bool whole_vector(const struct art_op *op)
{
	return op->call.fn != NULL;
}

static uint64_t kid_grant(const struct art_op *op, int slot, uint64_t at)
{
	uint64_t g = whole_vector(op) ? op->bytes : at + art__op_window(op, slot, ART_WINDOW);

	return g < op->bytes ? g : op->bytes;
}

/* Both ranks of an exchange send and receive at once: what is under way fits into a ring of shared
 * memory, or the rest would be copied into a queue first. */
static uint64_t swap_window(const struct art_op *op)
{
	return art__op_window(op, op->tree->down_rx.slot, ART_SWAP_WINDOW);
}

static void swap_credit(struct art_op *op)
{
	struct art_rx *rx = &op->tree->down_rx;
	uint64_t g = whole_vector(op) ? op->bytes : rx->got + swap_window(op);

	rx->granted = g < op->bytes ? g : op->bytes;
	art__op_credit(op, rx->slot, ART_PH_SWAP, rx->granted);
}

/* Tell everyone who streams to this rank that it is here. */
static void open_streams(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (!long_payload(op))
		return;
	for (int i = t->nnear; t->up && i < t->nkid; i++) {
		t->kid[i].granted = kid_grant(op, t->kid[i].slot, 0);
		art__op_credit(op, t->kid[i].slot, ART_PH_UP, t->kid[i].granted);
	}
	if (t->swap)
		swap_credit(op);
	else if (t->fwd_wait)
		art__op_credit(op, t->down_rx.slot, ART_PH_FWD, op->bytes);
	else if (t->down && !at_top(op) && !t->near_parent)
		art__op_credit(op, t->parent, ART_PH_DOWN, op->bytes);
}

static bool up_memory(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	struct art_pool *pool = &op->comm->coll->pool;

	/* A leaf has nothing to wait for: its whole input may leave, as far as there is credit. */
	t->block = whole_vector(op) || !long_payload(op) || !t->nkid ?
			   op->bytes : ART_SEGMENT / op->elsize * op->elsize;
	if (whole_vector(op) && long_payload(op))
		for (int i = 0; i < t->nkid; i++)
			if (!(t->kid[i].whole = art__pool_get(pool, op->bytes)))
				return false;
	if (!t->nkid || !t->block || result_here(op) || op->way == ART_C_ALLREDUCE)
		return true;
	t->out = art__pool_get(pool, t->block);
	t->out_mine = true;
	return t->out != NULL;
}

static bool begin_swap(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	int other = op->comm->part[1 - op->comm->mypos];

	t->swap = true;
	t->parent = -1;
	t->down_rx.slot = other;
	if (whole_vector(op) && !(t->down_rx.whole =
					  art__pool_get(&op->comm->coll->pool, op->bytes)))
		return false;
	art__tx_init(op, &t->up_tx, other, ART_PH_SWAP);
	return true;
}

bool art__tree_begin(struct art_op *op)
{
	struct art_treeop *t = art__pool_get(&op->comm->coll->pool, sizeof(*t));
	bool bcast = op->call.kind == ART_C_BCAST, ok;

	if (!t)
		return false;
	memset(t, 0, sizeof(*t));
	op->tree = t;
	t->kid = t->inline_kid;
	t->down_tx = t->inline_tx;
	t->fwd_to = -1;
	t->up = !bcast;
	t->ack = op->way == ART_C_REDUCE && op->uniform && !ART_COLL_MUTANT(op->comm->coll, 12);
	t->down = op->way != ART_C_REDUCE;
	if (op->way == ART_C_ALLREDUCE && op->comm->npart == 2)
		ok = begin_swap(op);
	else
		ok = art__tree_shape(op) && (!t->up || up_memory(op));
	if (!ok) {
		art__tree_end(op);
		return false;
	}
	if (!t->swap && op->comm->leaders)
		art__leaders_begin(op);
	if (!t->swap && !at_top(op))
		art__tx_init(op, &t->up_tx, t->parent, ART_PH_UP);
	else if (t->fwd_to >= 0)
		art__tx_init(op, &t->up_tx, t->fwd_to, ART_PH_FWD);
	for (int i = 0; i < t->nkid; i++)
		art__tx_init(op, &t->down_tx[i], t->kid[i].slot, ART_PH_DOWN);
	open_streams(op);
	if (bcast && at_top(op)) {
		t->final = op->bytes;
		t->down_begun = true;
		art__op_hold(op); /* the root holds from entry (rule R1) */
	}
	return true;
}

void art__tree_end(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	struct art_pool *pool = &op->comm->coll->pool;

	if (!t)
		return;
	if (t->placed > t->final) { /* the receive buffer is somebody else's from now on */
		ART_MARK(op->comm->coll->env, ART_M_UNPLACED);
		op->comm->coll->port->unplace(op->comm->coll->port->self, op);
	}
	for (int i = 0; i < t->nkid; i++)
		art__pool_put(pool, t->kid[i].whole);
	art__pool_put(pool, t->down_rx.whole);
	if (t->kid != t->inline_kid)
		art__pool_put(pool, t->kid);
	if (t->down_tx != t->inline_tx)
		art__pool_put(pool, t->down_tx);
	if (t->out_mine)
		art__pool_put(pool, t->out);
	art__pool_put(pool, t);
	op->tree = NULL;
}

/* ---- up ---- */

static uint64_t block_len(const struct art_op *op)
{
	const struct art_treeop *t = op->tree;
	uint64_t left = op->bytes - t->at;

	return left < t->block ? left : t->block;
}

/* Where the block is put together. */
static uint8_t *block_out(const struct art_op *op)
{
	const struct art_treeop *t = op->tree;

	return t->out_mine ? t->out : (uint8_t *)op->call.recvbuf + t->at;
}

static void next_item(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (++t->item > t->nkid)
		t->ready = true;
}

/* One more part of the present block, right of what is there. */
static bool add_part(struct art_op *op, const uint8_t *part, bool own)
{
	struct art_treeop *t = op->tree;
	uint64_t n = block_len(op);
	enum art_work_now now;

	if (t->item == 0 && own) {
		t->cur = part;
	} else if (t->item == 0) {
		if (n)
			memcpy(block_out(op), part, n);
		t->cur = block_out(op);
	} else if (op->way == ART_C_BARRIER) {
		t->cur = part;
	} else {
		now = art__work_combine(op, t->cur, part, block_out(op), n);
		if (now == ART_WORK_NOMEM)
			return false;
		if (now == ART_WORK_LATER)
			return true; /* next_item when it has been computed */
		if (n)
			t->cur = block_out(op);
	}
	next_item(op);
	return true;
}

void art__tree_computed(struct art_op *op, struct art_work *w)
{
	struct art_treeop *t = op->tree;

	if (t->swap) {
		memcpy(op->call.recvbuf, w->inout, op->bytes);
		t->up_over = true;
		return;
	}
	memcpy(block_out(op), w->inout, w->bytes);
	t->cur = block_out(op);
	next_item(op);
}

static void next_block(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	t->at += block_len(op);
	t->item = 0;
	t->ready = false;
	t->cur = NULL;
	t->up_over = t->at >= op->bytes;
}

/* The combined block leaves: to the parent, to the root, or it is the result. */
static bool block_leaves(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	uint64_t n = block_len(op);

	if (t->near_parent)
		return art__leaders_up(op);
	if (!result_here(op))
		return art__tx_push(op, &t->up_tx, t->cur - t->at, t->at + n);
	if (n && op->call.recvbuf && t->cur != (uint8_t *)op->call.recvbuf + t->at)
		memcpy((uint8_t *)op->call.recvbuf + t->at, t->cur, n);
	t->final = t->at + n;
	return true;
}

/* Kids whose window has half run dry get more. */
static void more_credit(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (!long_payload(op) || whole_vector(op))
		return;
	for (int i = t->nnear; i < t->nkid; i++) {
		struct art_rx *k = &t->kid[i];

		if (k->granted >= op->bytes ||
		    k->granted > t->at + art__op_window(op, k->slot, ART_WINDOW) / 2)
			continue;
		k->granted = kid_grant(op, k->slot, t->at);
		art__op_credit(op, k->slot, ART_PH_UP, k->granted);
	}
}

static struct art_rx *wanted_kid(const struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (t->ready || t->up_over || t->item == t->nleft)
		return NULL;
	return &t->kid[t->item < t->nleft ? t->item : t->item - 1];
}

/* What comes in memory that is shared. Apart, for few ops have any. */
static __attribute__((noinline)) bool take_near(struct art_op *op, struct art_rx *k)
{
	struct art_treeop *t = op->tree;
	const uint8_t *part;

	if (t->pieces) { /* those of all such kids */
		if (!art__leaders_combine(op, block_out(op), block_len(op)))
			return false;
		t->cur = block_out(op);
		t->item = t->nnear;
		next_item(op);
		return true;
	}
	part = art__leaders_part(op, k);
	return part && add_part(op, part, false) && art__leaders_intact(op, k->slot);
}

static void step_up(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	while (!t->up_over && !op->work && !t->torn) {
		struct art_rx *k = wanted_kid(op);

		if (t->ready) {
			if (!block_leaves(op))
				return;
			next_block(op);
			more_credit(op);
		} else if (!k) {
			if (!add_part(op, op->input + t->at, true))
				return;
		} else if (k->whole && k->got == op->bytes) {
			if (!add_part(op, k->whole, false))
				return;
		} else if (k->near) {
			if (!take_near(op, k))
				return;
		} else {
			return;
		}
	}
}

/* Each place once in an attempt, in order: what was placed is delivered before anything behind it. */
uint8_t *art__tree_place(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_treeop *t = op->tree;
	uint64_t at = t->placed > t->final ? t->placed : t->final;

	if (h->phase != ART_PH_DOWN || !t->down || from != t->parent || h->off != at ||
	    h->len > op->bytes - at)
		return NULL;
	t->placed = at + h->len;
	return (uint8_t *)op->call.recvbuf + at;
}

static enum art_take data_up(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body)
{
	struct art_treeop *t = op->tree;
	struct art_rx *want = wanted_kid(op), *k = NULL;

	for (int i = 0; i < t->nkid; i++)
		if (t->kid[i].slot == from)
			k = &t->kid[i];
	if (!k || k->near || !t->up || h->off < k->got)
		return ART_IGNORED;
	if (k->whole) {
		if (h->off != k->got || h->len > op->bytes - k->got)
			return ART_IGNORED;
		memcpy(k->whole + k->got, body, h->len);
		k->got += h->len;
		art__op_low(op, h->seq, h->lag);
		return ART_TAKEN;
	}
	if (h->off && h->off >= k->granted)
		return ART_IGNORED;
	if (k != want || h->off != t->at)
		return ART_NOT_YET;
	if (h->len != block_len(op))
		return ART_IGNORED;
	if (!add_part(op, body, false))
		return ART_NOT_YET;
	k->got = h->off + h->len;
	if (!op->bytes)
		k->got = 1; /* an empty part, once */
	art__op_low(op, h->seq, h->lag);
	return ART_TAKEN;
}

/* ---- down ---- */

static bool step_down(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	const uint8_t *src = op->call.kind == ART_C_BCAST && at_top(op) ? op->input :
									  op->call.recvbuf;
	bool all = true;

	if (!t->down_begun)
		return false;
	if (t->nnear && !art__leaders_give(op, src))
		all = false;
	for (int i = t->nnear; i < t->nkid; i++)
		if (!art__tx_push(op, &t->down_tx[i], src, t->final))
			all = false;
	return all && t->final >= op->bytes;
}

/* From the parent, or (fwd) the whole result from the top to the root. */
static enum art_take data_down(struct art_op *op, const struct art_hdr *h, const uint8_t *body)
{
	struct art_treeop *t = op->tree;

	if (h->off != t->final || h->len > op->bytes - t->final || (!op->bytes && t->down_begun))
		return ART_IGNORED;
	if (h->len && body != (uint8_t *)op->call.recvbuf + h->off)
		memcpy((uint8_t *)op->call.recvbuf + h->off, body, h->len);
	t->final += h->len;
	t->down_begun = true;
	if (op->call.kind == ART_C_BCAST)
		art__op_low_from_root(op, h);
	else
		art__op_low(op, h->seq, h->lag);
	return ART_TAKEN;
}

/* ---- two ranks, long vectors ---- */

static enum art_take data_swap(struct art_op *op, const struct art_hdr *h, const uint8_t *body)
{
	struct art_treeop *t = op->tree;
	struct art_rx *rx = &t->down_rx;
	bool left = op->comm->mypos == 0;
	const uint8_t *mine = op->input + h->off;

	if (h->off != rx->got || h->len > op->bytes - rx->got || h->len % op->elsize ||
	    (h->off && h->off >= rx->granted))
		return ART_IGNORED;
	art__op_low(op, h->seq, h->lag);
	rx->got += h->len;
	if (rx->whole)
		memcpy(rx->whole + h->off, body, h->len);
	else
		art__work_combine(op, left ? mine : body, left ? body : mine,
				  (uint8_t *)op->call.recvbuf + h->off, h->len);
	if (rx->granted < op->bytes && rx->granted <= rx->got + swap_window(op) / 2)
		swap_credit(op);
	return ART_TAKEN;
}

static bool step_swap(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	struct art_rx *rx = &t->down_rx;
	bool sent = art__tx_push(op, &t->up_tx, op->input, op->bytes);
	bool left = op->comm->mypos == 0;

	if (rx->whole && rx->got == op->bytes && !t->up_over && !op->work)
		art__work_combine(op, left ? op->input : rx->whole, left ? rx->whole : op->input,
				  NULL, op->bytes);
	return sent && rx->got == op->bytes && (!rx->whole || t->up_over);
}

/* ---- up only: the end ---- */

static void ack(struct art_op *op, int slot)
{
	art__op_send(op, slot, ART_PH_ACK, 0, NULL, 0);
}

/* From the root, which need not be the top, and from there down. */
static enum art_take data_ack(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_treeop *t = op->tree;

	if (!t->ack || t->acked || !t->up_over || (from != t->parent && from != op->root))
		return ART_IGNORED;
	t->acked = true;
	if (h->lag != ART_LAG_UNKNOWN && h->lag <= h->seq)
		op->low = h->seq - h->lag; /* the root has heard of everybody's */
	return ART_TAKEN;
}

static void tell_kids(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	for (int i = 0; i < t->nkid; i++)
		if (t->kid[i].slot != op->root)
			ack(op, t->kid[i].slot);
}

/* This rank's part is out, or (the root) the result is here. */
static void step_end(struct art_op *op)
{
	struct art_treeop *t = op->tree;

	if (op->root != me(op) && !t->ack) {
		art__op_return_early(op);
		return;
	}
	if (op->root != me(op) && !t->acked)
		return;
	if (t->ack)
		tell_kids(op);
	if (t->ack && t->fwd_wait)
		ack(op, t->down_rx.slot);
	op->idle = true;
	art__op_hold(op);
}

/* ---- all of it ---- */

void art__tree_step(struct art_op *op)
{
	struct art_treeop *t = op->tree;
	bool over;

	if (t->swap) {
		if (step_swap(op)) {
			op->idle = true;
			art__op_hold(op);
		}
		return;
	}
	if (t->up) {
		step_up(op);
		if (t->up_over && result_here(op))
			t->down_begun = true;
	}
	if (!t->down) {
		over = t->fwd_wait ? t->up_over && t->down_begun && t->final >= op->bytes :
				     t->up_over;
		if (over)
			step_end(op);
		return;
	}
	if (t->near_parent && (!t->down_begun || t->final < op->bytes))
		art__leaders_get(op);
	over = step_down(op);
	if (t->down_begun && t->final >= op->bytes && (!t->up || t->up_over)) {
		op->idle = over;
		art__op_hold(op);
	}
}

enum art_take art__tree_data(struct art_op *op, int from, const struct art_hdr *h,
			     const uint8_t *body)
{
	struct art_treeop *t = op->tree;

	switch (h->phase) {
	case ART_PH_UP:
		return data_up(op, from, h, body);
	case ART_PH_DOWN:
		return t->down && !t->near_parent && from == t->parent ? data_down(op, h, body) : ART_IGNORED;
	case ART_PH_FWD:
		return t->fwd_wait && from == t->down_rx.slot ? data_down(op, h, body) :
								ART_IGNORED;
	case ART_PH_ACK:
		return data_ack(op, from, h);
	case ART_PH_SWAP:
		return t->swap && from == t->down_rx.slot ? data_swap(op, h, body) : ART_IGNORED;
	default:
		return ART_IGNORED;
	}
}

static void grant(struct art_tx *tx, int from, const struct art_hdr *h)
{
	if (tx->slot == from && tx->phase == h->phase && h->off > tx->granted)
		tx->granted = h->off;
}

void art__tree_credit(struct art_op *op, int from, const struct art_hdr *h)
{
	struct art_treeop *t = op->tree;

	grant(&t->up_tx, from, h);
	for (int i = 0; i < t->nkid; i++)
		grant(&t->down_tx[i], from, h);
}
