/* SPDX-License-Identifier: MIT
 *
 * Ops that make communicators or change one (rule R10): dup, split, create, shrink, set_loss,
 * set_flags, free, finalize. They run as collectives like any other - those that make one as an allreduce, by bitwise
 * or, of a table: which channels of shared memory ranks have not to give (channel.c) and, of a split, their
 * colours and keys; the rest as barriers - so that a loss in the middle is resolved like
 * any other, and every survivor makes the same communicator or none.
 *
 *   called: memory for the child --held--> made: found by its messages
 *                                \-failed-> dropped
 */
#include <assert.h>
#include <stdlib.h>

#include <art/status.h>

#include "coll/coll.h"

/* A word of the table: never 0 for whoever contributed, and in the order of keys. */
static uint64_t word_of(int colour, int key)
{
	uint64_t c = colour < 0 ? UINT32_MAX : (uint32_t)colour + 1;

	return c << 32 | ((uint32_t)key ^ UINT32_C(0x80000000));
}

static bool makes_child(const struct art_op *op)
{
	return op->call.kind == ART_C_DUP || op->call.kind == ART_C_SPLIT || op->call.kind == ART_C_CREATE ||
	       op->call.kind == ART_C_SHRINK;
}

/* The words of the table: of a split colours and keys, then channels, each one a rank; else channels, one for all. */
static size_t words(const struct art_op *op)
{
	return op->call.kind == ART_C_SPLIT ? 2 * (size_t)op->comm->nrank : 1;
}

static void say_busy(struct art_op *op)
{
	size_t at = op->call.kind == ART_C_SPLIT ? (size_t)(op->comm->nrank + op->comm->me) : 0;

	op->table[at] = art__channel_busy(op);
}

/* Channels that some rank of the child has not to give. */
static uint64_t busy(const struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const uint64_t *all = op->table + words(op);
	uint64_t sum = 0;

	if (op->call.kind != ART_C_SPLIT)
		return all[0];
	for (int i = 0; i < op->child->nrank; i++)
		sum |= all[m->nrank + m->rank_of[op->child->slots[i]]];
	return sum;
}

/* The payload is the library's: input, result and room to sort in. */
static bool expect_table(struct art_op *op)
{
	struct art_comm *m = op->comm;
	size_t n = words(op);

	op->table = art__pool_get(&m->coll->pool, 3 * n * sizeof(*op->table));
	if (!op->table)
		return false;
	memset(op->table, 0, 3 * n * sizeof(*op->table));
	if (op->call.kind == ART_C_SPLIT)
		op->table[m->me] = word_of(op->call.colour, op->call.key);
	op->call.sendbuf = op->table;
	op->call.recvbuf = op->table + n;
	op->call.count = n;
	op->call.type = ART_T_UINT64;
	op->call.op = ART_O_BOR;
	op->elsize = sizeof(*op->table);
	op->bytes = n * op->elsize;
	op->input = op->call.sendbuf;
	return true;
}

/* Identity and size of what the op makes for this rank; false: nothing. */
static bool wants_child(const struct art_comm *m, const struct art_call *call, uint64_t *colour,
			int *nrank)
{
	*colour = 0;
	*nrank = m->nrank; /* a split: at most */
	switch (call->kind) {
	case ART_C_DUP:
	case ART_C_SHRINK: /* at most */
		return true;
	case ART_C_SPLIT:
		*colour = (uint64_t)call->colour;
		return call->colour >= 0;
	case ART_C_CREATE:
		*nrank = (int)call->count;
		for (size_t i = 0; i < call->count; i++)
			if (call->ranks[i] == m->me)
				return true;
		return false;
	default:
		return false;
	}
}

/* Memory for all that the op will make is taken before anyone can rely on it. */
bool art__comm_op_expect(struct art_op *op, const struct art_call *call)
{
	struct art_comm *m = op->comm;
	uint64_t colour;
	int nrank;

	if (op->held)
		return true;
	if (makes_child(op) && !expect_table(op))
		return false;
	op->call.ranks = NULL; /* the caller's, who will have it back */
	if (!wants_child(m, call, &colour, &nrank))
		return true;
	op->child = art__comm_new(m->coll, art__comm_child_id(m->id, op->seq, colour), nrank);
	if (!op->child)
		return false;
	memcpy(op->child->algo, m->algo, sizeof(m->algo));
	for (int i = 0; call->kind != ART_C_SPLIT && i < nrank; i++)
		op->child->slots[i] = m->slots[call->kind == ART_C_CREATE ? call->ranks[i] : i];
	say_busy(op);
	return true;
}

static int by_key(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* Who contributed this rank's colour, in order of key, then of rank in the parent. */
static void pick_members(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	const uint64_t *all = op->table + words(op);
	uint64_t *pick = op->table + 2 * words(op);
	size_t n = 0;

	assert(all[m->me] == word_of(op->call.colour, op->call.key));
	for (int r = 0; r < m->nrank; r++)
		if (all[r] >> 32 == all[m->me] >> 32)
			pick[n++] = all[r] << 32 | (uint32_t)r;
	qsort(pick, n, sizeof(*pick), by_key);
	for (size_t i = 0; i < n; i++)
		op->child->slots[i] = m->slots[(uint32_t)pick[i]];
	op->child->nrank = (int)n;
}

/* The contributors, in order of rank in the parent. */
static void keep_contributors(struct art_op *op)
{
	const struct art_comm *m = op->comm;
	int n = 0;

	for (int r = 0; r < m->nrank; r++)
		if (art__set_has(op->contributors, (uint32_t)m->slots[r]))
			op->child->slots[n++] = m->slots[r];
	op->child->nrank = n;
}

static void make_child(struct art_op *op)
{
	struct art_comm *child = op->child;

	if (!child)
		return; /* this rank is in none */
	assert(!child->made);
	if (op->call.kind == ART_C_SPLIT)
		pick_members(op);
	if (op->call.kind == ART_C_SHRINK && !op->contributors) {
		art__ft_give_up(op->comm->coll->ft, ART_ERR_NOMEM); /* the others know who is in it */
		return;
	}
	if (op->call.kind == ART_C_SHRINK)
		keep_contributors(op);
	child->flags = op->comm->flags;
	art__comm_make(child, child->slots, op->comm->policy);
	art__channel_give(op, busy(op));
	art__early_retry(op->comm->coll, child);
}

void art__comm_op_effect(struct art_op *op)
{
	switch (op->call.kind) {
	case ART_C_DUP:
	case ART_C_SPLIT:
	case ART_C_CREATE:
	case ART_C_SHRINK:
		make_child(op);
		break;
	case ART_C_SETLOSS:
		op->comm->policy = op->call.loss;
		break;
	case ART_C_SETFLAGS:
		op->comm->flags = op->call.loss;
		break;
	case ART_C_FINALIZE:
		art__stable_bye(op);
		break;
	case ART_C_FREE:
		if (ART_COLL_MUTANT(op->comm->coll, 30))
			art__channel_end(op->comm);
		art__stable_urge(op->comm, op->seq);
		break;
	default:
		break;
	}
}

void art__comm_op_drop(struct art_op *op)
{
	struct art_comm *child = op->child;

	art__channel_unoffer(op);
	op->child = NULL;
	if (!child || child->made)
		return;
	child->unmade = true; /* ends at the end of the event */
	art__comm_soil(child);
}

void art__comm_op_free(struct art_op *op)
{
	art__pool_put(&op->comm->coll->pool, op->table);
	op->table = NULL;
}
