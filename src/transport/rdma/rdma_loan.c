/* SPDX-License-Identifier: MIT
 *
 * Memory of the user that peers read: registered, lent message by message, given back.
 *
 * Registering takes a system call and pins pages, so what is registered is not a message but the buffer
 * it is a part of, in pieces; it stays so while the operation goes on that owns the buffer, and no longer
 * (lent_over()): till then the user may not unmap it, afterwards nobody would tell us. The pieces that
 * nothing is lent of now are let go, the oldest first, when there are too many.
 *
 * A peer can read what is registered, and cannot write to it; memory that our own device is to read to is
 * registered apart, and no peer has a key for it. Pinned pages are copied for a child at
 * fork() by systems that say so; on others nothing is lent, because parent and device could part. A device
 * that pages on demand follows the page tables: nothing is pinned then, nor counted as locked.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PIECE ((size_t)4 << 20)
#define BYTES_MAX ((size_t)64 << 20) /* of all that is registered */

static bool covers(const struct art_rdma_reg *r, const void *token, bool place, const uint8_t *body,
		   size_t len)
{
	return r->token == token && r->place == place && body >= r->base && len <= r->bytes &&
	       (size_t)(body - r->base) <= r->bytes - len;
}

static void let_go(struct art_rdma *t, struct art_rdma_reg *r)
{
	assert(r->loans == 0);
	if (ibv_dereg_mr(r->mr))
		art__env_log(t->env, ART_LOG_WARN, "%zu bytes of an operation stay registered: %s",
			     r->bytes, strerror(errno));
	TAILQ_REMOVE(&t->regs, r, next);
	t->reg_bytes -= r->bytes;
	t->n[ART_RDMA_N_USER_BYTES] = t->reg_bytes;
	art__env_free(t->env, r);
}

static bool make_room(struct art_rdma *t, size_t bytes)
{
	struct art_rdma_reg *r, *next;

	for (r = TAILQ_FIRST(&t->regs); r && t->reg_bytes + bytes > BYTES_MAX; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->loans == 0)
			let_go(t, r);
	}
	return t->reg_bytes + bytes <= BYTES_MAX;
}

/* @access: beside on demand, which a device may offer and refuse. */
static struct ibv_mr *register_user(struct art_rdma *t, const struct art_rdma_reg *r, int access)
{
	void *base = (void *)(uintptr_t)r->base;
	struct ibv_mr *mr;

	if (t->dev.on_demand) {
		mr = ibv_reg_mr(t->dev.pd, base, r->bytes, access | IBV_ACCESS_ON_DEMAND);
		if (mr)
			return mr;
		t->dev.on_demand = false;
		t->dev.lends = ibv_is_fork_initialized() == IBV_FORK_UNNEEDED;
		t->dev.places &= t->dev.lends;
	}
	return t->dev.lends ? ibv_reg_mr(t->dev.pd, base, r->bytes, access) : NULL;
}

/* The piece of the buffer in which @body begins, and what a message can reach beyond. */
static struct art_rdma_reg *enter(struct art_rdma *t, const struct art_tp_loan *l, bool place,
				  const uint8_t *body)
{
	const uint8_t *base = l->base;
	size_t at = (size_t)(body - base) / PIECE * PIECE;
	size_t bytes = l->bytes - at < PIECE + ART_TP_BODY_MAX ? l->bytes - at
							       : PIECE + ART_TP_BODY_MAX;
	struct art_rdma_reg *r = make_room(t, bytes) ? art__env_zalloc(t->env, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->token = l->token;
	r->place = place;
	r->base = base + at;
	r->bytes = bytes;
	errno = 0;
	r->mr = register_user(t, r, place ? IBV_ACCESS_LOCAL_WRITE : IBV_ACCESS_REMOTE_READ);
	if (!r->mr) {
		art__env_log(t->env, ART_LOG_INFO,
			     "RDMA device %s registers no memory of the program (%s): it is copied",
			     t->dev.name, strerror(errno));
		if (place) /* what has failed once costs time each time */
			t->dev.places = false;
		else
			t->large = ART_RDMA_COPY;
		art__env_free(t->env, r);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->regs, r, next);
	t->reg_bytes += bytes;
	t->n[ART_RDMA_N_USER_BYTES] = t->reg_bytes;
	t->n[ART_RDMA_N_REGISTERED]++;
	return r;
}

static struct art_rdma_reg *find(struct art_rdma *t, const struct art_tp_loan *l, bool place,
				 const uint8_t *body, size_t len)
{
	struct art_rdma_reg *r;

	TAILQ_FOREACH_REVERSE(r, &t->regs, art_rdma_regs, next)
		if (covers(r, l->token, place, body, len))
			break;
	if (!r)
		return enter(t, l, place, body);
	if (r == TAILQ_LAST(&t->regs, art_rdma_regs))
		return r;
	TAILQ_REMOVE(&t->regs, r, next);
	TAILQ_INSERT_TAIL(&t->regs, r, next);
	return r;
}

struct art_rdma_reg *art__rdma_place(struct art_rdma *t, const struct art_tp_place *p, size_t len)
{
	struct art_tp_loan all = {p->token, p->base, p->bytes};
	struct art_rdma_reg *r = t->dev.places ? find(t, &all, true, p->at, len) : NULL;

	if (r)
		r->loans++;
	return r;
}

void art__rdma_let_go(struct art_rdma_reg *r)
{
	r->token = NULL;
}

void art__rdma_release(struct art_rdma *t, struct art_rdma_reg *r)
{
	if (--r->loans == 0 && !r->token)
		let_go(t, r);
}

struct art_rdma_loan *art__rdma_loan(struct art_rdma *t, const struct art_tp_loan *l,
				     const uint8_t *body, size_t len)
{
	struct art_rdma_loan *loan = art__env_zalloc(t->env, sizeof(*loan));

	assert(body >= (const uint8_t *)l->base && (size_t)(body - (const uint8_t *)l->base) <= l->bytes &&
	       len <= l->bytes - (size_t)(body - (const uint8_t *)l->base));
	if (!loan)
		return NULL;
	loan->token = l->token;
	loan->body = body;
	loan->reg = find(t, l, false, body, len);
	if (!loan->reg) {
		art__env_free(t->env, loan);
		return NULL;
	}
	loan->reg->loans++;
	return loan;
}

void art__rdma_loan_over(struct art_rdma *t, struct art_rdma_loan *loan)
{
	struct art_rdma_reg *r = loan->reg;

	loan->reg = NULL;
	art__rdma_trial_back(t, loan);
	art__rdma_release(t, r);
	if (!loan->token) {
		art__env_free(t->env, loan);
		return;
	}
	STAILQ_INSERT_TAIL(&t->returned, loan, next);
	art__rdma_kick(t);
}

void art__rdma_loans_over(struct art_rdma *t, struct art_rdma_loans *loans, uint64_t upto)
{
	struct art_rdma_loan *loan;

	while ((loan = STAILQ_FIRST(loans)) && loan->end <= upto) {
		STAILQ_REMOVE_HEAD(loans, next);
		art__rdma_loan_over(t, loan);
	}
}

/* Whoever hears of it may lend again. */
void art__rdma_tell_returned(struct art_rdma *t)
{
	struct art_rdma_loan *loan;

	assert(t->polling);
	while ((loan = STAILQ_FIRST(&t->returned))) {
		void *token = loan->token;

		STAILQ_REMOVE_HEAD(&t->returned, next);
		art__env_free(t->env, loan);
		t->upcalls++;
		t->up.returned(t->up.self, token);
	}
}

/* What our processor would read if it had to send the message again; the device may go on reading the
 * pages, which are pinned as long as they are registered. */
static void cut_loans(struct art_rdma *t, int peer, const void *token)
{
	struct art_rdma_conn *c = t->peer[peer].conn;
	struct art_rdma_loan *loan;

	if (c)
		STAILQ_FOREACH(loan, &c->loans, next)
			if (loan->token == token)
				loan->token = NULL; /* zeros go in its place (art__rdma_resend) */
	art__rdma_queue_unlend(t, peer, token);
}

static void cut_returned(struct art_rdma *t, const void *token)
{
	struct art_rdma_loans kept = STAILQ_HEAD_INITIALIZER(kept);
	struct art_rdma_loan *loan;

	while ((loan = STAILQ_FIRST(&t->returned))) {
		STAILQ_REMOVE_HEAD(&t->returned, next);
		if (loan->token == token)
			art__env_free(t->env, loan);
		else
			STAILQ_INSERT_TAIL(&kept, loan, next);
	}
	STAILQ_CONCAT(&t->returned, &kept);
}

static bool is_out(const struct art_rdma *t, const void *token)
{
	const struct art_rdma_reg *r;

	TAILQ_FOREACH(r, &t->regs, next)
		if (r->token == token && r->loans > 0)
			return true;
	return false;
}

/* Registered memory that a peer may still be reading stays so until it has: else its read would fail, and
 * the way break, for a message that means nothing. */
void art__rdma_lent_over(struct art_rdma *t, const void *token)
{
	struct art_rdma_reg *r, *next;

	art__rdma_unplace(t, token);
	for (int i = 0; is_out(t, token) && i < t->self.size; i++)
		cut_loans(t, i, token);
	cut_returned(t, token);
	for (r = TAILQ_FIRST(&t->regs); r; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->token != token)
			continue;
		r->token = NULL;
		if (r->loans == 0)
			let_go(t, r);
	}
}

void art__rdma_forget_loans(struct art_rdma *t)
{
	struct art_rdma_loan *loan;

	while ((loan = STAILQ_FIRST(&t->returned))) {
		STAILQ_REMOVE_HEAD(&t->returned, next);
		art__env_free(t->env, loan);
	}
	while (!TAILQ_EMPTY(&t->regs))
		let_go(t, TAILQ_FIRST(&t->regs));
}
