/* SPDX-License-Identifier: MIT
 *
 * Communicators: rank and size, those made of others, free, loss policy, deadline and algorithms.
 * What makes, frees or changes one is an op of it like any collective (rules R8, R10).
 */
#include "api/api.h"

#include <math.h>

_Static_assert(ART_UNDEFINED == -1, "as art__comm_rank_of() says it");

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
int art__api_make(struct art_here *h, const struct art_call *c, art_comm_t *out)
{
	struct art_comm *child = NULL;
	struct art_comm_obj *obj;
	uint64_t value;
	int rc;

	if (!out)
		return art__api_refuse(h, ART_ERR_ARG, "the pointer for the result is null");
	obj = art__handle_new(ART_H_COMM, &value);
	if (!obj)
		return art__api_refuse(h, ART_ERR_NOMEM, "no memory for a communicator");
	obj->deadline_s = h->obj->deadline_s;
	rc = art__api_run_dup(h, c, &child);
	if (rc || !child) {
		art__handle_free(value);
		if (!rc)
			*out = ART_COMM_NULL;
		return rc;
	}
	obj->core = child;
	obj->rank = art__comm_rank(child); /* these two never change */
	obj->size = art__comm_size(child);
	art__handle_publish(value);
	*out = (art_comm_t)(uintptr_t)value;
	return 0;
}

int art_comm_dup(art_comm_t comm, art_comm_t *out)
{
	struct art_call c = {.kind = ART_C_DUP, .root = -1};
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_dup", comm);

	return rc ? rc : art__api_make(&h, &c, out);
}

int art_comm_split(art_comm_t comm, int color, int key, art_comm_t *out)
{
	struct art_call c = {.kind = ART_C_SPLIT, .root = -1, .colour = color, .key = key};
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_split", comm);

	return rc ? rc : art__api_make(&h, &c, out);
}

/* 0, or what is wrong with the list has been said and the call refused. */
static int check_list(struct art_here *h, int n, const int ranks[])
{
	struct art_set seen;

	if (n < 0)
		return art__api_refuse(h, ART_ERR_ARG, "%d is no number of ranks", n);
	if (n > 0 && !ranks)
		return art__api_refuse(h, ART_ERR_ARG, "the list of ranks is null");
	art__set_init(&seen, (uint32_t)h->obj->size);
	for (int i = 0; i < n; i++) {
		if (ranks[i] < 0 || ranks[i] >= h->obj->size)
			return art__api_refuse(h, ART_ERR_ARG,
					       "%d in the list is not a rank of this communicator (size %d)",
					       ranks[i], h->obj->size);
		if (art__set_has(&seen, (uint32_t)ranks[i]))
			return art__api_refuse(h, ART_ERR_ARG, "rank %d is in the list twice",
					       ranks[i]);
		art__set_add(&seen, (uint32_t)ranks[i]);
	}
	return 0;
}

int art_comm_create(art_comm_t comm, int n, const int ranks[], art_comm_t *out)
{
	struct art_call c = {.kind = ART_C_CREATE, .root = -1, .ranks = ranks};
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_create", comm);

	if (!rc)
		rc = check_list(&h, n, ranks);
	if (rc)
		return rc;
	c.count = (size_t)n;
	return art__api_make(&h, &c, out);
}

int art_comm_translate(art_comm_t from, int rank, art_comm_t to, int *out)
{
	struct art_here h, t;
	int rc = art__api_find(&h, "art_comm_translate", from), slot;

	if (!rc)
		rc = art__api_find(&t, "art_comm_translate", to);
	if (rc)
		return rc;
	if (!out)
		return null_out(&h);
	if (rank < 0 || rank >= h.obj->size)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name,
				      "%d is not a rank of this communicator (size %d)", rank,
				      h.obj->size);
	rc = art__api_enter(&h, "art_comm_translate", from);
	if (rc)
		return rc;
	slot = art__comm_slot(h.obj->core, rank);
	rc = t.obj->core ? 0 : ART_ERR_COMM;
	if (!rc)
		*out = art__comm_rank_of(t.obj->core, slot); /* ART_UNDEFINED is -1 */
	art__api_leave(&h);
	return rc ? art__api_error(h.ctx, rc, h.name, "the communicator was freed") : 0;
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
	if (policy != ART_LOSS_EXCLUDE && policy != ART_LOSS_ERROR && policy != ART_LOSS_MIRROR)
		return art__api_refuse(&h, ART_ERR_ARG, "%d is no loss policy", (int)policy);
	return art__api_run(&h, &c);
}

int art_comm_set_flags(art_comm_t comm, int flags)
{
	struct art_call c = {.kind = ART_C_SETFLAGS, .root = -1, .loss = flags};
	struct art_here h;
	int rc = art__api_enter(&h, "art_comm_set_flags", comm);

	_Static_assert((int)ART_REPRODUCIBLE == (int)ART_F_REPRODUCIBLE &&
		       (int)ART_UNIFORM == (int)ART_F_UNIFORM &&
		       (int)ART_ROOT_SUCCESSOR == (int)ART_F_SUCCESSOR, "one set of flags");
	if (rc)
		return rc;
	if (flags & ~ART_F_ALL)
		return art__api_refuse(&h, ART_ERR_ARG, "%#x has bits that are no flag", (unsigned)flags);
	return art__api_run(&h, &c);
}

int art_comm_set_algorithm(art_comm_t comm, const char *op, const char *algorithm)
{
	struct art_here h;
	enum art_coll kind = op ? art__tuning_op(op) : 0;
	uint8_t algo = ART_ALGO_AUTO;
	bool known = kind && algorithm && art__tuning_algo(kind, algorithm, &algo);
	int rc = art__api_enter(&h, "art_comm_set_algorithm", comm);

	if (rc)
		return rc;
	if (known)
		art__comm_set_algo(h.obj->core, kind, algo);
	art__api_leave(&h);
	if (known)
		return 0;
	if (!op || !algorithm)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name, "a name is null");
	if (!kind)
		return art__api_error(h.ctx, ART_ERR_ARG, h.name,
				      "'%.64s' is not one of: bcast, reduce, allreduce", op);
	return art__api_error(h.ctx, ART_ERR_ARG, h.name, "'%.64s' is not %s", algorithm,
			      art__tuning_algos(kind));
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
