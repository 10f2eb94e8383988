/* SPDX-License-Identifier: MIT
 *
 * The applications: each executes its program, makes and takes back buffers, runs user functions
 * on its own thread, and notes what every call came to. Whether that is right is decided in
 * cluster_check.c.
 *
 *	ready --call, wait--> blocked --done--> ready --sleep, think--> asleep --> ready ... over
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "tests/lib/cluster_impl.h"

#define GUARD_BYTE 0x5c
#define FIRST_SEQ 1

static void *grow(void *p, int *cap, int need, size_t size)
{
	int n = *cap ? *cap : 16;

	while (n < need)
		n *= 2;
	if (n == *cap)
		return p;
	p = realloc(p, (size_t)n * size);
	if (!p)
		abort();
	*cap = n;
	return p;
}

void cluster_program(struct cluster *c, int rank, const struct cluster_item *items, int nitems)
{
	for (int k = 0; k < c->n; k++) {
		struct crank *r = &c->rank[k];
		int cap = r->nitems;

		if ((rank != CLUSTER_ALL && rank != k) || r->dead)
			continue;
		r->items = grow(r->items, &cap, r->nitems + nitems, sizeof(*items));
		memcpy(r->items + r->nitems, items, (size_t)nitems * sizeof(*items));
		r->nitems += nitems;
		if (r->app == APP_OVER) {
			r->app = APP_READY;
			cluster__app_run(r);
		}
	}
}

void cluster_call(struct cluster *c, int rank, const struct cluster_call *call)
{
	struct cluster_item item = { .verb = CLUSTER_CALL, .call = *call };

	cluster_program(c, rank, &item, 1);
}

/* ---- records ---- */

struct op_rec *cluster__op_rec(struct cluster *c, int comm, uint64_t seq)
{
	struct comm_rec *cr = &c->comms[comm];

	if (seq >= cr->nop) {
		uint64_t n = seq + 16;

		cr->op = realloc(cr->op, n * sizeof(*cr->op));
		if (!cr->op)
			abort();
		memset(cr->op + cr->nop, 0, (n - cr->nop) * sizeof(*cr->op));
		cr->nop = n;
	}
	if (!cr->op[seq].by_rank) {
		cr->op[seq].by_rank = calloc((size_t)c->n, sizeof(struct call *));
		if (!cr->op[seq].by_rank)
			abort();
	}
	return &cr->op[seq];
}

static struct call *new_call(struct crank *r, const struct cluster_call *what)
{
	struct call *q = calloc(1, sizeof(*q));

	if (!q)
		abort();
	q->what = *what;
	if (what->kind == ART_C_AGREE) { /* as art_agree() calls it */
		q->what.count = 1;
		q->what.type = ART_T_INT32;
		q->what.op = ART_O_BAND;
	}
	q->cluster = r->cluster;
	q->rank = r->slot;
	q->item = r->pc;
	q->index = r->ncalls;
	r->calls = grow(r->calls, &r->capcalls, r->ncalls + 1, sizeof(struct call *));
	r->calls[r->ncalls++] = q;
	return q;
}

/* ---- buffers ---- */

static uint8_t *new_buffer(size_t bytes)
{
	uint8_t *p = malloc(bytes + GUARD);

	if (!p)
		abort();
	memset(p, 0xd1, bytes);
	memset(p + bytes, GUARD_BYTE, GUARD);
	return p;
}

static void end_buffer(struct call *q, void **buf, const char *what)
{
	uint8_t *p = *buf;

	if (!p)
		return;
	for (int i = 0; i < GUARD; i++) {
		if (p[q->bytes + (size_t)i] == GUARD_BYTE)
			continue;
		cluster_fail(q->cluster, "rank %d call %d: wrote behind the %s buffer", q->rank,
			     q->index, what);
		break;
	}
	free(p);
	*buf = NULL;
}

static bool is_reduction(enum art_coll kind)
{
	return kind == ART_C_REDUCE || kind == ART_C_ALLREDUCE || kind == ART_C_AGREE;
}

/* The ranks of a create: slots from the highest down, so that rank and slot differ. */
static void fill_list(struct call *q, struct art_call *out)
{
	out->ranks = q->list;
	out->count = 0;
	for (int s = 31; s >= 0; s--)
		if (q->what.list >> s & 1 && art__comm_rank_of(q->comm, s) >= 0)
			q->list[out->count++] = art__comm_rank_of(q->comm, s);
}

/* Makes the buffers of a call as a caller would: null where that is allowed, input in place. */
static void fill_call(struct crank *r, struct call *q, uint64_t seq, struct art_call *out)
{
	const struct cluster_call *k = &q->what;
	bool root = k->kind != ART_C_REDUCE && is_reduction(k->kind);

	bool in_place;

	root |= r->slot == k->root;
	root |= k->kind == ART_C_REDUCE && q->cflags & ART_F_SUCCESSOR;
	in_place = (k->flags & CLUSTER_IN_PLACE) && root && is_reduction(k->kind) &&
		   (k->kind != ART_C_REDUCE || r->slot == k->root);
	*out = (struct art_call){ .kind = k->kind, .count = k->count, .type = k->type, .op = k->op,
				  .root = -1, .loss = k->loss };
	q->bytes = k->count * cluster__elem(k);
	if (k->kind == ART_C_BCAST || k->kind == ART_C_REDUCE)
		out->root = art__comm_rank_of(q->comm, k->root);
	out->colour = k->colour;
	out->key = k->key;
	if (k->kind == ART_C_CREATE)
		fill_list(q, out);
	if (k->kind == ART_C_BCAST || (is_reduction(k->kind) && root))
		q->recv = q->bytes ? new_buffer(q->bytes) : NULL;
	if (is_reduction(k->kind) && !in_place && q->bytes)
		q->send = new_buffer(q->bytes);
	if (q->send)
		cluster__input(r->cluster, k, seq, r->slot, q->send);
	else if (q->recv && (in_place || (k->kind == ART_C_BCAST && root)))
		cluster__input(r->cluster, k, seq, r->slot, q->recv);
	q->send_digest = q->send ? cluster__digest(k, q->send) : 0;
	out->sendbuf = in_place ? q->recv : q->send;
	out->recvbuf = q->recv;
	if (!(k->flags & (CLUSTER_USER | CLUSTER_USER_AFFINE)))
		return;
	out->fn = cluster__user_fn;
	out->ctx = q;
	out->op = 0;
	out->type_handle = (struct art_type_s *)(uintptr_t)k->type;
	out->flags = (k->flags & CLUSTER_USER ? ART_OP_COMMUTATIVE : 0) |
		     (k->flags & CLUSTER_USER_ELEM ? ART_OP_ELEMENTWISE : 0);
}

/* ---- outcomes ---- */

static uint64_t *copy_set(const struct cluster *c, const struct art_set *s)
{
	uint64_t *w;

	if (!s)
		return NULL;
	w = calloc((size_t)c->words, sizeof(*w));
	if (!w)
		abort();
	memcpy(w, s->w, (size_t)(s->words < (uint32_t)c->words ? s->words : (uint32_t)c->words) *
	       sizeof(*w));
	return w;
}

static void keep_outcome(struct cluster *c, struct call *q)
{
	free(q->contributors);
	free(q->blamed);
	q->contributors = copy_set(c, q->out.contributors);
	q->blamed = copy_set(c, q->out.blamed);
	q->known = !q->out.pending;
}

void cluster__app_refresh(struct crank *r, struct call *q)
{
	if (!q->done || q->refused || !q->comm || r->dead) {
		q->known = q->known || q->refused;
		return;
	}
	if (q->known || q->what.kind == ART_C_FREE || !r->comm[q->what.comm]) {
		q->known = true; /* as far as it ever will be */
		return;
	}
	if (q->op)
		art__op_outcome(q->op, &q->out);
	else
		art__comm_outcome(q->comm, q->seq, &q->out);
	keep_outcome(r->cluster, q);
	if (q->known)
		cluster__check_done(r, q);
}

static void hear_late(struct crank *r, int comm, const struct art_news *news)
{
	for (int k = 0; k < r->ncalls; k++) {
		struct call *q = r->calls[k];

		if (!q->started || q->what.comm != comm || q->seq != news->seq)
			continue;
		if (q->told_late || !news->out.code || (q->done && q->returned_code))
			cluster_fail(r->cluster, "rank %d call %d: told that it failed later (%d)%s",
				     r->slot, k, news->out.code, q->told_late ? ", again" : "");
		q->told_late = true;
		return;
	}
	cluster_fail(r->cluster, "rank %d: told of operation %llu, which it has not called", r->slot,
		     (unsigned long long)news->seq);
}

/* On the application's thread. */
static void hear(void *arg, const struct art_news *news)
{
	struct heard *h = arg;
	struct crank *r = h->rank;
	uint32_t bit = 1u << (news->slot & 31);

	if (news->kind == ART_NEWS_LATE) {
		hear_late(r, h->comm, news);
		return;
	}
	if (h->lost & bit)
		cluster_fail(r->cluster, "rank %d: told twice that rank %d is lost", r->slot,
			     news->slot);
	if (art__set_has(art__core_members(r->core), (uint32_t)news->slot) ||
	    !cluster__member(r->cluster, h->comm, news->slot))
		cluster_fail(r->cluster, "rank %d: told that rank %d is lost, and it is not", r->slot,
			     news->slot);
	h->lost |= bit;
}

void cluster__app_listen(struct crank *r, int comm)
{
	if (!r->cluster->cfg.notify || r->cluster->n > 32)
		return;
	r->heard[comm] = (struct heard){ .rank = r, .comm = comm };
	art__core_notify(r->core, r->comm[comm], hear, &r->heard[comm]);
}

uint32_t cluster_heard_lost(const struct cluster *c, int rank, int comm)
{
	return c->rank[rank].heard[comm].lost;
}

bool cluster_heard_late(const struct cluster *c, int rank, int call)
{
	return call < c->rank[rank].ncalls && c->rank[rank].calls[call]->told_late;
}

static void note_keepers(struct call *q)
{
	struct art_set s;

	art__op_keepers(q->op, &s);
	q->keepers |= s.w[0];
}

void cluster__app_keepers(struct crank *r)
{
	for (int k = 0; k < r->ncalls; k++)
		if (r->calls[k]->mirror && r->calls[k]->op)
			note_keepers(r->calls[k]);
}

static void end_call(struct crank *r, struct call *q)
{
	struct cluster *c = r->cluster;

	q->done = true;
	art__op_outcome(q->op, &q->out);
	q->returned_code = q->out.code;
	if (q->mirror)
		note_keepers(q);
	q->was_pending = q->out.pending;
	q->returned_ns = cluster_now(c);
	q->done_view = art__core_members(r->core)->w[0];
	keep_outcome(c, q);
	if (q->send && cluster__digest(&q->what, q->send) != q->send_digest)
		cluster_fail(c, "rank %d call %d: the send buffer was changed", r->slot, q->index);
	if (q->recv && !q->out.code) {
		q->digest = cluster__digest(&q->what, q->recv);
		q->has_digest = true;
	}
	end_buffer(q, &q->send, "send");
	end_buffer(q, &q->recv, "receive");
	cluster__log(c, r->slot, "call %d (seq %llu of comm %d) done: code %d epoch %u replays %u%s",
		     q->index, (unsigned long long)q->seq, q->what.comm, q->out.code,
		     (unsigned)q->out.epoch, (unsigned)q->out.replays,
		     q->out.pending ? ", pending" : "");
	if (q->what.kind == ART_C_SETFLAGS && !q->out.code)
		r->flags[q->what.comm] = q->what.loss;
	if (q->what.kind == ART_C_SETLOSS && !q->out.code)
		r->policy[q->what.comm] = q->what.loss;
	if (q->what.child && !q->out.code && art__op_child(q->op)) {
		r->policy[q->what.child] = r->policy[q->what.comm];
		r->comm[q->what.child] = art__op_child(q->op);
		r->flags[q->what.child] = q->cflags;
		cluster__app_listen(r, q->what.child);
		c->comms[q->what.child].strict |= c->comms[q->what.comm].strict;
	}
	cluster__check_child(r, q);
	cluster__check_done(r, q);
}

/* The application has seen the end: it will not look at the op again. */
static void give_back(struct crank *r, struct call *q)
{
	q->returned = true;
	if (!q->op)
		return;
	if (!cluster__enter(r))
		return;
	art__op_release(r->core, q->op);
	q->op = NULL;
	q->released = true;
	cluster__leave(r);
}

/* Others may go on without a rank that has evidently left: it must not go on itself. */
void cluster__app_done(struct crank *r, struct art_op *op)
{
	struct art_outcome out;

	for (int k = r->ncalls - 1; k >= 0; k--) {
		struct call *q = r->calls[k];

		if (q->op != op)
			continue;
		if (q->signalled)
			cluster_fail(r->cluster, "rank %d call %d: done twice", r->slot, k);
		art__op_outcome(op, &out);
		if (art__core_fate(r->core) && !out.code)
			cluster_fail(r->cluster, "rank %d call %d: success after it has given up",
				     r->slot, k);
		q->signalled = true;
		return;
	}
	/* before art__core_start() has returned it: noticed there */
}

void cluster__app_harvest(struct crank *r)
{
	for (int k = r->first_undone; k < r->ncalls; k++) {
		struct call *q = r->calls[k];

		if (q->done && k == r->first_undone)
			r->first_undone++;
		if (!q->op || q->done)
			continue;
		if (!art__op_done(q->op)) {
			if (q->signalled)
				cluster_fail(r->cluster, "rank %d call %d: told to be done and is not",
					     r->slot, k);
			q->signalled = false;
			continue;
		}
		if (!q->signalled)
			cluster_fail(r->cluster, "rank %d call %d: done and nobody was woken", r->slot,
				     k);
		end_call(r, q);
	}
}

/* ---- calls ---- */

static void no_start(struct crank *r, struct call *q, int code)
{
	q->refused = q->done = q->returned = q->known = true;
	q->returned_code = code;
	q->returned_ns = cluster_now(r->cluster);
	end_buffer(q, &q->send, "send");
	end_buffer(q, &q->recv, "receive");
}

/* The next sequence number of a communicator at this rank. */
static uint64_t next_seq(const struct crank *r, int comm)
{
	for (int k = r->ncalls - 1; k >= 0; k--)
		if (r->calls[k]->started && r->calls[k]->what.comm == comm)
			return r->calls[k]->seq + 1;
	return FIRST_SEQ;
}

static void took_number(struct crank *r, struct call *q, uint64_t seq)
{
	q->started = true;
	q->seq = q->key = seq;
	cluster__op_rec(r->cluster, q->what.comm, seq)->by_rank[r->slot] = q;
	r->ops_started++;
	r->epoch_at_op = art__core_epoch(r->core);
	r->attempt = 0;
	r->since = 0;
}

/* The call was not started, or counts as refused by this rank and keeps its number. */
static void not_started(struct crank *r, struct call *q)
{
	q->started = art__comm_next_seq(q->comm) != q->seq;
	if (!q->started)
		cluster__op_rec(r->cluster, q->what.comm, q->seq)->by_rank[r->slot] = NULL;
}

static void learn_members(struct crank *r, const struct art_comm *comm, struct comm_rec *cr)
{
	cr->nslot = art__comm_size(comm);
	cr->slot = calloc((size_t)cr->nslot, sizeof(*cr->slot));
	if (!cr->slot)
		abort();
	for (int i = 0; i < cr->nslot; i++)
		cr->slot[i] = art__comm_slot(comm, i);
	if (art__comm_slot(comm, art__comm_rank(comm)) != r->slot)
		cluster_fail(r->cluster, "rank %d has another one's rank in a communicator", r->slot);
}

bool cluster__member(const struct cluster *c, int comm, int slot)
{
	const struct comm_rec *cr = &c->comms[comm];

	for (int i = 0; i < cr->nslot; i++)
		if (cr->slot[i] == slot)
			return true;
	return !cr->known;
}

static void check_comm(struct crank *r, struct call *q)
{
	struct comm_rec *cr = &r->cluster->comms[q->what.comm];
	uint64_t id = art__comm_id(q->comm);

	if (cr->known && cr->id != id)
		cluster_fail(r->cluster, "rank %d: communicator %d is %llx, elsewhere %llx", r->slot,
			     q->what.comm, (unsigned long long)id, (unsigned long long)cr->id);
	if (!cr->known)
		learn_members(r, q->comm, cr);
	cr->known = true;
	cr->id = id;
}

static void refuse(struct crank *r, struct call *q)
{
	uint64_t seq = next_seq(r, q->what.comm);
	int rc;

	if (!cluster__enter(r))
		return;
	took_number(r, q, seq);
	rc = art__core_refuse(r->core, q->comm, q->what.refuse);
	no_start(r, q, rc < 0 ? rc : q->what.refuse);
	cluster__leave(r);
}

static void start(struct crank *r, struct call *q)
{
	struct cluster *c = r->cluster;
	const struct cluster_call *k = &q->what;
	uint64_t seq = next_seq(r, k->comm);
	struct art_op *op = NULL;
	struct art_call call;
	int rc;

	fill_call(r, q, seq, &call);
	if (!cluster__enter(r))
		return;
	took_number(r, q, seq); /* its effects count from here */
	c->comms[k->comm].strict |= k->kind == ART_C_SETLOSS && k->loss == ART_LOSS_ERROR;
	rc = art__core_start(r->core, q->comm, &call,
			     k->deadline_ns ? cluster_now(c) + k->deadline_ns : 0, &op);
	if (r->dead)
		return;
	if (rc < 0) {
		not_started(r, q);
		no_start(r, q, rc);
		cluster__log(c, r->slot, "call %d: not started, code %d", q->index, rc);
	} else {
		q->op = op;
		q->signalled = art__op_done(op);
		if (art__op_seq(op) != seq)
			cluster_fail(c, "rank %d call %d: has number %llu, expected %llu", r->slot,
				     q->index, (unsigned long long)art__op_seq(op),
				     (unsigned long long)seq);
		if (k->kind == ART_C_FREE)
			r->comm[k->comm] = NULL;
	}
	cluster__leave(r);
}

static void do_call(struct crank *r, const struct cluster_item *it)
{
	struct call *q = new_call(r, &it->call);

	q->comm = r->comm[it->call.comm];
	q->cflags = r->flags[it->call.comm];
	q->mirror = r->policy[it->call.comm] == ART_LOSS_MIRROR;
	if (q->cflags & ART_F_REPRODUCIBLE &&
	    (q->what.kind == ART_C_REDUCE || q->what.kind == ART_C_ALLREDUCE))
		q->what.flags |= CLUSTER_ROUGH;
	if (!q->comm) { /* its making failed, alike everywhere; or this rank is not in it */
		no_start(r, q, ART_ERR_COMM);
		return;
	}
	check_comm(r, q);
	if (art__comm_rank_of(q->comm, q->what.root) < 0)
		q->what.root = art__comm_slot(q->comm, q->what.root % art__comm_size(q->comm));
	r->app = APP_BLOCKED; /* inside the library: user functions may run */
	r->wait_call = q->index;
	if (it->call.refuse)
		refuse(r, q);
	else
		start(r, q);
	if (it->call.flags & CLUSTER_NONBLOCK)
		r->app = APP_READY;
}

/* ---- the program ---- */

static bool waits(const struct call *q)
{
	return q->op && !q->done;
}

/* Has what the application waits for come? Takes it. */
static bool unblock(struct crank *r)
{
	int from = r->wait_call < 0 ? r->first_back : r->wait_call;
	int to = r->wait_call < 0 ? r->ncalls : r->wait_call + 1;

	if (r->job_run)
		return false; /* its thread is still in the user function */
	for (int k = from; k < to; k++)
		if (waits(r->calls[k]))
			return false;
	r->app = APP_READY;
	for (int k = from; k < to && !r->dead; k++)
		if (r->calls[k]->done && !r->calls[k]->returned)
			give_back(r, r->calls[k]);
	while (r->first_back < r->ncalls && r->calls[r->first_back]->returned)
		r->first_back++;
	return true;
}

static void wake(struct crank *r, uint64_t word)
{
	(void)word;
	if (r->app == APP_ASLEEP)
		r->app = APP_READY;
	cluster__app_run(r);
}

static void fall_asleep(struct crank *r, uint64_t ns)
{
	r->app = APP_ASLEEP;
	cluster__at(r, ns, wake, 0);
}

static void take_job(struct crank *r);

static void block_on(struct crank *r, int call)
{
	r->app = APP_BLOCKED;
	r->wait_call = call;
	take_job(r);
}

static int call_of_item(const struct crank *r, int item)
{
	for (int k = 0; k < r->ncalls; k++)
		if (r->calls[k]->item == item)
			return k;
	return -2;
}

/* Executes one item. */
static void next_item(struct crank *r)
{
	const struct cluster_item *it = &r->items[r->pc];
	int call;

	switch (it->verb) {
	case CLUSTER_CALL:
		do_call(r, it);
		break;
	case CLUSTER_WAIT:
		call = call_of_item(r, it->item);
		if (call >= 0)
			block_on(r, call);
		break;
	case CLUSTER_WAITALL:
		block_on(r, -1);
		break;
	case CLUSTER_SLEEP:
		fall_asleep(r, it->ns);
		break;
	case CLUSTER_EXIT:
		cluster__log(r->cluster, r->slot, "exits");
		cluster_kill(r->cluster, r->slot);
		break;
	}
	r->pc++;
}

/* The end waits for whatever was not waited for. */
static void at_end(struct crank *r)
{
	for (int k = r->first_back; k < r->ncalls; k++) {
		if (r->calls[k]->returned)
			continue;
		block_on(r, -1);
		return;
	}
	r->app = APP_OVER;
}

static void think(struct crank *r)
{
	uint64_t max = r->cluster->cfg.think_max_ns;

	if (max && r->app == APP_READY)
		fall_asleep(r, cluster__below(r->cluster, max + 1));
}

void cluster__app_run(struct crank *r)
{
	if (r->inside || r->running || r->dead || r->paused)
		return;
	r->running = true;
	for (;;) {
		if (r->app == APP_BLOCKED && !unblock(r))
			break;
		if (r->dead || r->app != APP_READY)
			break;
		if (r->pc < r->nitems) {
			next_item(r);
			if (!r->dead)
				think(r);
		} else {
			at_end(r);
		}
	}
	r->running = false;
	if (!r->dead && r->app == APP_BLOCKED)
		take_job(r);
}

/* ---- user functions, on the application's thread ---- */

static void job_over(struct crank *r, uint64_t word)
{
	struct art_job *job = r->job;

	(void)word;
	r->job = NULL;
	r->job_run = false;
	if (!cluster__enter(r))
		return;
	r->machine->ops->computed(r->machine, job);
	cluster__leave(r);
}

static void job_begin(struct crank *r, uint64_t word)
{
	(void)word;
	if (r->app != APP_BLOCKED) { /* it has left the library meanwhile */
		r->job->next = r->jobs;
		if (!r->jobs)
			r->jobs_tail = &r->job->next;
		r->jobs = r->job;
		r->job = NULL;
		return;
	}
	r->job_run = true;
	r->job->run(r->job);
	cluster__at(r, cluster__below(r->cluster, r->cluster->cfg.compute_max_ns / 2 + 1), job_over, 0);
}

static void take_job(struct crank *r)
{
	if (r->job || !r->jobs)
		return;
	r->job = r->jobs;
	r->jobs = r->job->next;
	if (!r->jobs)
		r->jobs_tail = &r->jobs;
	cluster__at(r, cluster__below(r->cluster, r->cluster->cfg.compute_max_ns / 2 + 1), job_begin,
		    0);
}

void cluster__app_compute(struct crank *r, struct art_job *job)
{
	job->next = NULL;
	*r->jobs_tail = job;
	r->jobs_tail = &job->next;
	if (r->app == APP_BLOCKED)
		take_job(r);
}

void cluster__app_end(struct crank *r)
{
	for (int k = 0; k < r->ncalls; k++) {
		struct call *q = r->calls[k];

		free(q->send);
		free(q->recv);
		free(q->contributors);
		free(q->blamed);
		free(q);
	}
	free(r->calls);
	free(r->items);
}

/* ---- looking ---- */

struct art_comm *cluster_comm(struct cluster *c, int rank, int comm)
{
	return c->rank[rank].comm[comm];
}

void cluster_result(struct cluster *c, int rank, int call, struct cluster_result *out)
{
	const struct crank *r = &c->rank[rank];
	const struct call *q = call < r->ncalls ? r->calls[call] : NULL;

	memset(out, 0, sizeof(*out));
	if (!q)
		return;
	out->started = q->started;
	out->returned = q->returned;
	out->known = q->known && q->done && !q->refused;
	out->lapsed = q->out.lapsed;
	out->returned_code = q->returned_code;
	out->returned_ns = q->returned_ns;
	out->code = q->out.code;
	out->epoch = q->out.epoch;
	out->replays = q->out.replays;
	for (int k = 0; q->contributors && k < c->words; k++)
		out->contributors += __builtin_popcountll(q->contributors[k]);
}

bool cluster_contributed(struct cluster *c, int rank, int call, int slot)
{
	const struct crank *r = &c->rank[rank];

	return call < r->ncalls && r->calls[call]->contributors &&
	       word_has(r->calls[call]->contributors, slot);
}

bool cluster_blamed(struct cluster *c, int rank, int call, int slot)
{
	const struct crank *r = &c->rank[rank];

	return call < r->ncalls && r->calls[call]->blamed && word_has(r->calls[call]->blamed, slot);
}
