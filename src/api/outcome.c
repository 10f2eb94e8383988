/* SPDX-License-Identifier: MIT
 *
 * Outcomes as the caller sees them (rule R9): the 64 opaque bytes of a status, the questions about
 * them, and each thread's last status on each communicator. The sets of ranks that a status names
 * belong to its communicator and are looked at only while that lives; a checksum keeps bytes
 * that are no status of this job from being taken for one.
 */
#include "api/api.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_OP = 1, STATUS_PENDING = 2 };

struct record {
	uint64_t comm; /* handle */
	uint64_t seq;
	int32_t code;
	uint32_t flags; /* STATUS_*; 0: the status of no operation */
	uint32_t epoch;
	uint32_t replays;
	uint64_t contributors, blamed; /* const struct art_set *, of the communicator */
	uint64_t reserved;
	uint64_t check;
};
_Static_assert(sizeof(struct record) == sizeof(art_status_t), "a status is 64 bytes for ever");

/* Of all words but itself, and of the job. */
static uint64_t checksum(const struct art_ctx *ctx, const struct record *r)
{
	uint64_t word[sizeof(*r) / sizeof(uint64_t)], sum = ctx->boot.job;

	memcpy(word, r, sizeof(*r));
	for (size_t i = 0; i + 1 < sizeof(word) / sizeof(word[0]); i++) {
		sum = (sum ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	return sum;
}

static void hand_out(const struct art_ctx *ctx, const struct record *r, art_status_t *status)
{
	struct record out = *r;

	out.check = checksum(ctx, r);
	memcpy(status, &out, sizeof(out));
}

/* ---- the last statuses of a thread ---- */
/* Few are ever asked for: their `check` is the job, and is computed when they are handed out. */
struct last {
	struct record *rec;
	int n, cap;
	bool keyed; /* will be freed when the thread ends */
};
/* Found without a call: all of it fits into what the system keeps for libraries that come later. */
static __thread struct last last __attribute__((tls_model("initial-exec")));
static pthread_key_t last_key;
static pthread_once_t last_once = PTHREAD_ONCE_INIT;

static void free_last(void *p)
{
	struct last *l = p;

	free(l->rec);
	memset(l, 0, sizeof(*l));
}

static void make_last_key(void)
{
	/* Without a key the memory of ended threads is not given back; nothing else is lost. */
	if (pthread_key_create(&last_key, free_last))
		last_key = (pthread_key_t)-1;
}

static bool grow_last(void)
{
	int cap = last.cap ? 2 * last.cap : 4;
	struct record *rec = realloc(last.rec, (size_t)cap * sizeof(*rec));

	if (!rec)
		return false;
	last.rec = rec;
	last.cap = cap;
	pthread_once(&last_once, make_last_key);
	if (!last.keyed && last_key != (pthread_key_t)-1)
		last.keyed = pthread_setspecific(last_key, &last) == 0;
	return true;
}

static struct record *find_last(uint64_t comm)
{
	for (int i = 0; i < last.n; i++)
		if (last.rec[i].comm == comm)
			return &last.rec[i];
	return NULL;
}

/* Room is made by lines of freed communicators first: nobody can ask for them any more. */
static void compact_last(void)
{
	int kept = 0;

	for (int i = 0; i < last.n; i++)
		if (last.rec[i].comm == ART_H_WORLD || art__handle_find(ART_H_COMM, last.rec[i].comm))
			last.rec[kept++] = last.rec[i];
	last.n = kept;
}

/* Without memory for a new communicator's line its last status stays unknown. */
static void keep_last(const struct art_ctx *ctx, const struct record *r)
{
	struct record *at = find_last(r->comm);

	if (!at && last.n == last.cap)
		compact_last();
	if (!at && (last.n < last.cap || grow_last()))
		at = &last.rec[last.n++];
	if (!at)
		return;
	*at = *r;
	at->check = ctx->boot.job;
}

void art__api_forget_statuses(void)
{
	last.n = 0;
}

/* ---- the end of an op ---- */
static void list_ranks(const struct art_comm *comm, const struct art_set *slots, char *out,
		       size_t size)
{
	size_t len = 0;
	int shown = 0;

	ART_SET_EACH(slot, slots) {
		int n;

		if (shown++ == 8) {
			snprintf(out + len, size - len, ", ...");
			return;
		}
		n = snprintf(out + len, size - len, "%s%d", shown > 1 ? ", " : "",
			     art__comm_rank_of(comm, (int)slot));
		len += (size_t)n;
	}
}

static void say_why(struct art_op *op, const struct art_outcome *o, char why[ART_WHY_MAX])
{
	unsigned long long seq = art__op_seq(op);
	char ranks[ART_WHY_MAX / 2] = "";

	if (o->blamed && !art__set_empty(o->blamed))
		list_ranks(art__op_comm(op), o->blamed, ranks, sizeof(ranks));
	if (ranks[0])
		snprintf(why, ART_WHY_MAX, "%s (operation %llu, rank %s)", art_strerror(o->code), seq,
			 ranks);
	else
		snprintf(why, ART_WHY_MAX, "%s (operation %llu)", art_strerror(o->code), seq);
}

static struct record record_of(uint64_t comm, uint64_t seq, const struct art_outcome *o)
{
	return (struct record){
		.comm = comm,
		.seq = seq,
		.code = o->code,
		.flags = STATUS_OP | (o->pending ? STATUS_PENDING : 0),
		.epoch = o->epoch,
		.replays = o->replays,
		.contributors = (uintptr_t)o->contributors,
		.blamed = (uintptr_t)o->blamed,
	};
}

void art__api_status_of(const struct art_ctx *ctx, uint64_t comm, uint64_t seq,
			const struct art_outcome *o, art_status_t *status)
{
	struct record r = record_of(comm, seq, o);

	hand_out(ctx, &r, status);
}

int art__api_finish(struct art_ctx *ctx, uint64_t comm, struct art_op *op, art_status_t *status,
		    bool keep, char why[ART_WHY_MAX])
{
	struct art_outcome o;
	struct record r;

	art__op_outcome(op, &o);
	assert(o.code <= 0);
	r = record_of(comm, art__op_seq(op), &o);
	why[0] = '\0';
	if (o.code)
		say_why(op, &o, why);
	art__op_release(ctx->core, op);
	if (status)
		hand_out(ctx, &r, status);
	if (keep)
		keep_last(ctx, &r);
	return o.code;
}

int art_last_status(art_comm_t comm, art_status_t *status)
{
	struct art_here h;
	struct record *r;
	int rc = art__api_find(&h, "art_last_status", comm);

	if (rc)
		return rc;
	if (!status)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name, "the status is null");
	r = find_last(art__api_value(comm));
	if (!r || r->check != h.ctx->boot.job)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name,
				      "this thread has finished no operation on this communicator");
	hand_out(h.ctx, r, status);
	return 0;
}

/* ---- questions ---- */
static int get_record(const art_status_t *status, const void *out, const char *name,
		      struct record *r)
{
	struct art_ctx *ctx = atomic_load(&art__api_job);

	if (!status || !out)
		return art__api_error(ctx, ART_ERR_ARG, name, "the %s is null",
				      status ? "result" : "status");
	memcpy(r, status, sizeof(*r));
	if (!(r->flags & STATUS_OP))
		return art__api_error(ctx, ART_ERR_ARG, name, "the status is of no operation");
	if (!ctx)
		return art__api_error(NULL, ART_ERR_COMM, name,
				      "called before art_init() or after art_finalize()");
	if (r->check != checksum(ctx, r))
		return art__api_error(ctx, ART_ERR_ARG, name, "this is no status of this job");
	return 0;
}

/* Asks the communicator; on success the engine is held until art__api_leave(). */
static int ask(struct art_here *h, const struct record *r, const char *name, struct art_outcome *o)
{
	int rc = art__api_enter(h, name, (art_comm_t)(uintptr_t)r->comm);

	if (rc)
		return rc;
	*o = (struct art_outcome){
		.code = r->code,
		.pending = r->flags & STATUS_PENDING,
		.epoch = r->epoch,
		.replays = r->replays,
		.contributors = (const struct art_set *)(uintptr_t)r->contributors,
		.blamed = (const struct art_set *)(uintptr_t)r->blamed,
	};
	art__comm_outcome(h->obj->core, r->seq, o);
	return 0;
}

static int lapsed(struct art_here *h)
{
	art__api_leave(h);
	return art__api_error(h->ctx, ART_ERR_ARG, h->name,
			      "the outcome of this operation is no longer kept: ask sooner");
}

/* Like ask(), and the answer is final. ART_ERR_PENDING is an answer, no error: nothing is said. */
static int ask_final(struct art_here *h, const art_status_t *status, const void *out,
		     const char *name, struct art_outcome *o)
{
	struct record r;
	int rc = get_record(status, out, name, &r);

	if (!rc)
		rc = ask(h, &r, name, o);
	if (rc || !o->pending)
		return rc;
	if (o->lapsed)
		return lapsed(h);
	art__api_leave(h);
	return ART_ERR_PENDING;
}

int art_status_contributors(const art_status_t *status, int *count)
{
	struct art_outcome o;
	struct art_here h;
	int rc = ask_final(&h, status, count, "art_status_contributors", &o);

	if (rc)
		return rc;
	*count = o.contributors ? (int)art__set_count(o.contributors) : 0;
	art__api_leave(&h);
	return 0;
}

static int in_set(struct art_here *h, const struct art_set *slots, int rank, int *yes)
{
	bool good = rank >= 0 && rank < h->obj->size;

	if (good)
		*yes = slots && art__set_has(slots, (uint32_t)art__comm_slot(h->obj->core, rank));
	art__api_leave(h);
	if (good)
		return 0;
	return art__api_error(h->ctx, ART_ERR_ARG, h->name,
			      "%d is not a rank of this communicator (size %d)", rank, h->obj->size);
}

int art_status_contributed(const art_status_t *status, int rank, int *yes)
{
	struct art_outcome o;
	struct art_here h;
	int rc = ask_final(&h, status, yes, "art_status_contributed", &o);

	return rc ? rc : in_set(&h, o.contributors, rank, yes);
}

int art_status_blamed(const art_status_t *status, int rank, int *yes)
{
	struct art_outcome o;
	struct art_here h;
	struct record r;
	int rc = get_record(status, yes, "art_status_blamed", &r);

	if (!rc)
		rc = ask(&h, &r, "art_status_blamed", &o);
	if (!rc && o.lapsed)
		return lapsed(&h);
	return rc ? rc : in_set(&h, o.blamed, rank, yes);
}

int art_status_replays(const art_status_t *status, int *replays)
{
	struct art_outcome o;
	struct art_here h;
	int rc = ask_final(&h, status, replays, "art_status_replays", &o);

	if (rc)
		return rc;
	*replays = (int)o.replays;
	art__api_leave(&h);
	return 0;
}

int art_status_epoch(const art_status_t *status, uint64_t *epoch)
{
	struct art_outcome o;
	struct art_here h;
	int rc = ask_final(&h, status, epoch, "art_status_epoch", &o);

	if (rc)
		return rc;
	*epoch = o.epoch;
	art__api_leave(&h);
	return 0;
}

int art_status_error(const art_status_t *status, int *code)
{
	struct record r;
	int rc = get_record(status, code, "art_status_error", &r);

	if (rc)
		return rc;
	*code = r.code;
	return 0;
}
