/* SPDX-License-Identifier: MIT
 *
 * Losses as programs meet them: who is alive and who failed, news by callback, and the two
 * operations with which survivors come to terms, agree and shrink.
 */
#include "api/api.h"

#include <assert.h>
#include <string.h>

#include "coll/combine.h"

static int null_out(const struct art_here *h)
{
	return art__api_error(h->ctx, ART_ERR_ARG, h->name, "the pointer for the result is null");
}

/* ---- who is there ---- */

static bool is_member(const struct art_here *h, int rank)
{
	return art__set_has(art__core_members(h->ctx->core),
			    (uint32_t)art__comm_slot(h->obj->core, rank));
}

int art_alive(art_comm_t comm, int rank, int *yes)
{
	struct art_here h;
	int rc = art__api_find(&h, "art_alive", comm);

	if (rc)
		return rc;
	if (!yes)
		return null_out(&h);
	if (rank < 0 || rank >= h.obj->size)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name,
				      "%d is not a rank of this communicator (size %d)", rank,
				      h.obj->size);
	rc = art__api_enter(&h, "art_alive", comm);
	if (rc)
		return rc;
	*yes = is_member(&h, rank);
	art__api_leave(&h);
	return 0;
}

int art_alive_count(art_comm_t comm, int *count)
{
	struct art_here h;
	int rc = art__api_find(&h, "art_alive_count", comm);

	if (rc)
		return rc;
	if (!count)
		return null_out(&h);
	rc = art__api_enter(&h, "art_alive_count", comm);
	if (rc)
		return rc;
	*count = 0;
	for (int i = 0; i < h.obj->size; i++)
		*count += is_member(&h, i);
	art__api_leave(&h);
	return 0;
}

int art_failed(art_comm_t comm, int max, int ranks[], int *count)
{
	struct art_here h;
	int rc = art__api_find(&h, "art_failed", comm), n = 0;

	if (rc)
		return rc;
	if (!count)
		return null_out(&h);
	if (max < 0)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name, "%d is no length of a list", max);
	if (max > 0 && !ranks)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name, "the list for the ranks is null");
	rc = art__api_enter(&h, "art_failed", comm);
	if (rc)
		return rc;
	for (int i = 0; i < h.obj->size; i++) {
		if (is_member(&h, i))
			continue;
		if (n < max)
			ranks[n] = i;
		n++;
	}
	art__api_leave(&h);
	*count = n;
	return 0;
}

/* ---- news ---- */

static art_notice_t notice_of(const struct art_ctx *ctx, uint64_t comm, const struct art_comm_obj *o,
			      const struct art_news *news)
{
	art_notice_t n = { .what = ART_NOTICE_LOST, .rank = -1, .code = ART_ERR_PROC_FAILED,
			   .epoch = news->epoch };

	if (news->kind == ART_NEWS_LOST) {
		n.rank = art__comm_rank_of(o->core, news->slot);
		return n;
	}
	n.what = ART_NOTICE_FAILED;
	n.code = news->out.code;
	n.operation = news->seq;
	art__api_status_of(ctx, comm, news->seq, &news->out, &n.status);
	return n;
}

/* A job: inside an ART call of some thread, not owning the engine. The handle may have been freed or
 * its callback taken away since the job was queued. */
static void tell(void *arg, const struct art_news *news)
{
	struct art_ctx *ctx = atomic_load(&art__api_job);
	uint64_t comm = (uint64_t)(uintptr_t)arg;
	struct art_comm_obj *o;
	art_notify_fn *fn = NULL;
	art_notice_t notice;
	void *fn_ctx;

	if (!ctx)
		return;
	art__engine_enter(ctx->engine);
	o = comm == ART_H_WORLD ? &ctx->world : art__handle_find(ART_H_COMM, comm);
	if (o && o->core && o->notify) {
		fn = (art_notify_fn *)o->notify;
		fn_ctx = o->notify_ctx;
		notice = notice_of(ctx, comm, o, news);
	}
	art__engine_leave(ctx->engine);
	if (fn)
		fn((art_comm_t)(uintptr_t)comm, &notice, fn_ctx);
}

int art_comm_set_notify(art_comm_t comm, art_notify_fn *fn, void *ctx)
{
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_set_notify", comm);
	bool ok;

	if (rc)
		return rc;
	ok = art__core_notify(h.ctx->core, h.obj->core, fn ? tell : NULL,
			      (void *)(uintptr_t)art__api_value(comm));
	if (ok) {
		h.obj->notify = (void (*)(void))fn;
		h.obj->notify_ctx = ctx;
		h.ctx->notifies |= fn != NULL;
	}
	art__api_leave(&h);
	return ok ? 0 : art__api_error(h.ctx, ART_ERR_NOMEM, h.name, "no memory for a callback");
}

/* ---- operations ---- */

int art_agree(art_comm_t comm, int *flag)
{
	struct art_call c = { .kind = ART_C_AGREE, .root = -1, .count = 1, .type = ART_T_INT32,
			      .op = ART_O_BAND };
	struct art_here h;
	int32_t mine, all = 0;
	int rc = art__api_enter(&h, "art_agree", comm);

	_Static_assert(sizeof(int) == sizeof(int32_t), "flags travel as INT32");
	if (rc)
		return rc;
	if (!flag)
		return art__api_refuse(&h, ART_ERR_ARG, "the pointer to the flag is null");
	mine = *flag;
	c.sendbuf = &mine;
	c.recvbuf = &all; /* read until the call ends only: what others may ask for is in the log */
	rc = art__api_run(&h, &c);
	if (!rc)
		*flag = all;
	return rc;
}

int art_comm_shrink(art_comm_t comm, art_comm_t *out)
{
	struct art_call c = { .kind = ART_C_SHRINK, .root = -1 };
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_shrink", comm);

	return rc ? rc : art__api_make(&h, &c, out);
}

int art_last_change(art_change_t *change)
{
	const struct art_change_times *t;
	struct art_here h;
	int rc = art__api_find(&h, "art_last_change", ART_COMM_WORLD);

	if (rc)
		return rc;
	if (!change)
		return null_out(&h);
	rc = art__api_enter(&h, "art_last_change", ART_COMM_WORLD);
	if (rc)
		return rc;
	t = art__core_last_change(h.ctx->core);
	*change = (art_change_t){
		.epoch = t->epoch,
		.sign_ns = t->sign_ns,
		.frozen_ns = t->frozen_ns,
		.decided_ns = t->decided_ns,
		.installed_ns = t->installed_ns,
	};
	art__api_leave(&h);
	return 0;
}
