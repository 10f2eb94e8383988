/* SPDX-License-Identifier: MIT
 *
 * Communicators: rank and size, dup and free, loss policy and deadline, who is alive. dup, free and
 * set_loss are ops of the communicator like any collective (rules R8, R10).
 */
#include "api/api.h"

#include <math.h>

static int null_out(const struct art_here *h)
{
	return art__api_error(h->ctx, ART_ERR_ARG, h->name, "the pointer for the result is null");
}

int art_comm_rank(art_comm_t comm, int *rank)
{
	struct art_here h;
	int rc = art__api_find(&h, "art_comm_rank", comm);

	if (rc)
		return rc;
	if (!rank)
		return null_out(&h);
	*rank = h.obj->rank;
	return 0;
}

int art_comm_size(art_comm_t comm, int *size)
{
	struct art_here h;
	int rc = art__api_find(&h, "art_comm_size", comm);

	if (rc)
		return rc;
	if (!size)
		return null_out(&h);
	*size = h.obj->size;
	return 0;
}

/* The handle is made first: nothing may fail at one rank once all have agreed. */
int art_comm_dup(art_comm_t comm, art_comm_t *out)
{
	struct art_call c = {.kind = ART_C_DUP, .root = -1};
	struct art_comm *child = NULL;
	struct art_comm_obj *obj;
	struct art_here h;
	uint64_t value;
	int rc = art__api_enter(&h, "art_comm_dup", comm);

	if (rc)
		return rc;
	if (!out)
		return art__api_refuse(&h, ART_ERR_ARG, "the pointer for the result is null");
	obj = art__handle_new(ART_H_COMM, &value);
	if (!obj)
		return art__api_refuse(&h, ART_ERR_NOMEM, "no memory for a communicator");
	obj->rank = h.obj->rank;
	obj->size = h.obj->size;
	obj->deadline_s = h.obj->deadline_s;
	rc = art__api_run_dup(&h, &c, &child);
	if (rc) {
		art__handle_free(value);
		return rc;
	}
	obj->core = child;
	art__handle_publish(value);
	*out = (art_comm_t)(uintptr_t)value;
	return 0;
}

int art_comm_free(art_comm_t *comm)
{
	struct art_call c = {.kind = ART_C_FREE, .root = -1};
	struct art_here h;
	struct art_op *op;
	int rc;

	if (!comm)
		return art__api_error(atomic_load(&art__api_job), ART_ERR_ARG, "art_comm_free",
				      "the pointer is null");
	rc = art__api_enter(&h, "art_comm_free", *comm);
	if (rc)
		return rc;
	if (*comm == ART_COMM_WORLD) {
		art__api_leave(&h);
		return art__api_error(h.ctx, ART_ERR_COMM, h.name,
				      "ART_COMM_WORLD ends with art_finalize()");
	}
	rc = art__core_start(h.ctx->core, h.obj->core, &c, ART_NEVER, &op);
	if (!rc) {
		if (!art__op_done(op))
			art__engine_wait(h.ctx->engine, art__api_op_done, op);
		art__op_release(h.ctx->core, op);
		h.obj->core = NULL;
		art__handle_free(art__api_value(*comm));
	}
	art__api_leave(&h);
	if (rc)
		return art__api_error(h.ctx, rc, h.name, "%s", art_strerror(rc));
	*comm = ART_COMM_NULL;
	return 0;
}

int art_comm_set_loss(art_comm_t comm, art_loss_t policy)
{
	struct art_call c = {.kind = ART_C_SETLOSS, .root = -1, .loss = (int)policy};
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_set_loss", comm);

	if (rc)
		return rc;
	if (policy != ART_LOSS_EXCLUDE && policy != ART_LOSS_ERROR)
		return art__api_refuse(&h, ART_ERR_ARG, "%d is no loss policy", (int)policy);
	return art__api_run(&h, &c);
}

/* Ten years are for ever, and fit into nanoseconds. */
#define DEADLINE_MAX_S 3e8

int art_comm_set_deadline(art_comm_t comm, double seconds)
{
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_set_deadline", comm);

	if (rc)
		return rc;
	if (!isnan(seconds))
		h.obj->deadline_s = seconds < DEADLINE_MAX_S ? seconds : 0;
	art__api_leave(&h);
	if (isnan(seconds))
		return art__api_error(h.ctx, ART_ERR_ARG, h.name, "the deadline is not a number");
	return 0;
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
	*yes = art__set_has(art__core_members(h.ctx->core),
			    (uint32_t)art__comm_slot(h.obj->core, rank));
	art__api_leave(&h);
	return 0;
}

int art_alive_count(art_comm_t comm, int *count)
{
	const struct art_set *members;
	struct art_here h;
	int rc = art__api_find(&h, "art_alive_count", comm);

	if (rc)
		return rc;
	if (!count)
		return null_out(&h);
	rc = art__api_enter(&h, "art_alive_count", comm);
	if (rc)
		return rc;
	members = art__core_members(h.ctx->core);
	*count = 0;
	for (int i = 0; i < h.obj->size; i++)
		*count += art__set_has(members, (uint32_t)art__comm_slot(h.obj->core, i));
	art__api_leave(&h);
	return 0;
}
