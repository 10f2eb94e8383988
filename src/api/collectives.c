/* SPDX-License-Identifier: MIT
 *
 * The collectives: arguments are checked here (rules R4, R12), the rest is start and wait. A call
 * refused on a usable communicator counts as an op that fails at every member, so the ranks
 * stay in step.
 */
#include "api/api.h"

#include <stdint.h>

#include "coll/combine.h"

/* ---- checks: each refuses the call and returns its code, or returns 0 ---- */
static int check_type(struct art_here *h, art_type_t type, size_t count, struct art_call *c)
{
	int code = art__handle_predefined(ART_H_TYPE, art__api_value(type));
	size_t size = code < ART_T_COUNT ? art__type_size(code) : 0;

	if (!size)
		return art__api_refuse(h, ART_ERR_TYPE, "%#llx is no type",
				       (unsigned long long)art__api_value(type));
	if (count > (size_t)PTRDIFF_MAX / size)
		return art__api_refuse(h, ART_ERR_COUNT, "%zu elements of %zu bytes are too many",
				       count, size);
	c->type = code;
	c->type_handle = type;
	c->count = count;
	return 0;
}

static int check_op(struct art_here *h, art_op_t op, struct art_call *c)
{
	uint64_t value = art__api_value(op);
	int code = art__handle_predefined(ART_H_OP, value);
	const struct art_op_obj *user;

	if (code > 0 && code < ART_O_COUNT) {
		if (!art__op_defined(code, c->type))
			return art__api_refuse(h, ART_ERR_OP, "operator %s is not defined for type %s",
					       art__op_name(code), art__type_name(c->type));
		c->op = code;
		return 0;
	}
	user = art__handle_find(ART_H_OP, value);
	if (!user)
		return art__api_refuse(h, ART_ERR_OP, "%#llx is no operator, or was freed",
				       (unsigned long long)value);
	c->fn = (art__user_fn *)user->fn;
	c->ctx = user->ctx;
	c->flags = user->flags;
	return 0;
}

static int check_root(struct art_here *h, int root, struct art_call *c)
{
	if (root < 0 || root >= h->obj->size)
		return art__api_refuse(h, ART_ERR_ROOT,
				       "root %d is not a rank of this communicator (size %d)", root,
				       h->obj->size);
	c->root = root;
	return 0;
}

static bool overlap(const void *a, const void *b, size_t bytes)
{
	uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;

	return x < y ? y - x < bytes : x - y < bytes;
}

/* Where input and result both are: distinct, or in place. */
static int check_pair(struct art_here *h, const void *sendbuf, void *recvbuf, struct art_call *c)
{
	size_t bytes = c->count * art__type_size(c->type);

	if (recvbuf == ART_IN_PLACE)
		return art__api_refuse(h, ART_ERR_ARG, "recvbuf is ART_IN_PLACE, sendbuf may be");
	if (bytes && (!sendbuf || !recvbuf))
		return art__api_refuse(h, ART_ERR_ARG, "%s is null and count is %zu",
				       sendbuf ? "recvbuf" : "sendbuf", c->count);
	if (bytes && sendbuf != ART_IN_PLACE && overlap(sendbuf, recvbuf, bytes))
		return art__api_refuse(h, ART_ERR_ARG,
				       "sendbuf and recvbuf overlap (pass ART_IN_PLACE as sendbuf)");
	c->sendbuf = sendbuf == ART_IN_PLACE ? recvbuf : sendbuf;
	c->recvbuf = recvbuf;
	return 0;
}

static int check_input(struct art_here *h, const void *sendbuf, struct art_call *c)
{
	if (sendbuf == ART_IN_PLACE)
		return art__api_refuse(h, ART_ERR_ARG, "sendbuf is ART_IN_PLACE off the root");
	if (!sendbuf && c->count)
		return art__api_refuse(h, ART_ERR_ARG, "sendbuf is null and count is %zu", c->count);
	c->sendbuf = sendbuf;
	return 0;
}

/* ---- preparation: enters and fills the call; on an error the engine is not held ---- */
static int prepare(struct art_here *h, const char *name, art_comm_t comm, enum art_coll kind,
		   struct art_call *c)
{
	*c = (struct art_call){.kind = kind, .root = -1};
	return art__api_enter(h, name, comm);
}

static int prepare_bcast(struct art_here *h, const char *name, void *buf, size_t count,
			 art_type_t type, int root, art_comm_t comm, struct art_call *c)
{
	int rc = prepare(h, name, comm, ART_C_BCAST, c);

	if (!rc)
		rc = check_type(h, type, count, c);
	if (!rc)
		rc = check_root(h, root, c);
	if (rc)
		return rc;
	if (buf == ART_IN_PLACE)
		return art__api_refuse(h, ART_ERR_ARG, "the buffer is ART_IN_PLACE");
	if (!buf && count)
		return art__api_refuse(h, ART_ERR_ARG, "the buffer is null and count is %zu", count);
	c->recvbuf = buf;
	return 0;
}

static int prepare_reduce(struct art_here *h, const char *name, const void *sendbuf, void *recvbuf,
			  size_t count, art_type_t type, art_op_t op, int root, art_comm_t comm,
			  struct art_call *c)
{
	int rc = prepare(h, name, comm, ART_C_REDUCE, c);

	if (!rc)
		rc = check_type(h, type, count, c);
	if (!rc)
		rc = check_op(h, op, c);
	if (!rc)
		rc = check_root(h, root, c);
	if (rc)
		return rc;
	if (root == h->obj->rank)
		return check_pair(h, sendbuf, recvbuf, c);
	if (art__comm_flags(h->obj->core) & ART_F_SUCCESSOR && sendbuf != ART_IN_PLACE)
		return check_pair(h, sendbuf, recvbuf, c); /* any rank may come to be the root */
	return check_input(h, sendbuf, c);
}

static int prepare_allreduce(struct art_here *h, const char *name, const void *sendbuf,
			     void *recvbuf, size_t count, art_type_t type, art_op_t op,
			     art_comm_t comm, struct art_call *c)
{
	int rc = prepare(h, name, comm, ART_C_ALLREDUCE, c);

	if (!rc)
		rc = check_type(h, type, count, c);
	if (!rc)
		rc = check_op(h, op, c);
	return rc ? rc : check_pair(h, sendbuf, recvbuf, c);
}

/* ---- the calls ---- */
int art_barrier(art_comm_t comm)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare(&h, "art_barrier", comm, ART_C_BARRIER, &c);

	return rc ? rc : art__api_run(&h, &c);
}

int art_ibarrier(art_comm_t comm, art_request_t *req)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare(&h, "art_ibarrier", comm, ART_C_BARRIER, &c);

	return rc ? rc : art__api_start(&h, &c, req);
}

int art_bcast(void *buf, size_t count, art_type_t type, int root, art_comm_t comm)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_bcast(&h, "art_bcast", buf, count, type, root, comm, &c);

	return rc ? rc : art__api_run(&h, &c);
}

int art_ibcast(void *buf, size_t count, art_type_t type, int root, art_comm_t comm,
	       art_request_t *req)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_bcast(&h, "art_ibcast", buf, count, type, root, comm, &c);

	return rc ? rc : art__api_start(&h, &c, req);
}

int art_reduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
	       int root, art_comm_t comm)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_reduce(&h, "art_reduce", sendbuf, recvbuf, count, type, op, root, comm, &c);

	return rc ? rc : art__api_run(&h, &c);
}

int art_ireduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
		int root, art_comm_t comm, art_request_t *req)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_reduce(&h, "art_ireduce", sendbuf, recvbuf, count, type, op, root, comm, &c);

	return rc ? rc : art__api_start(&h, &c, req);
}

int art_allreduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
		  art_comm_t comm)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_allreduce(&h, "art_allreduce", sendbuf, recvbuf, count, type, op, comm, &c);

	return rc ? rc : art__api_run(&h, &c);
}

int art_iallreduce(const void *sendbuf, void *recvbuf, size_t count, art_type_t type, art_op_t op,
		   art_comm_t comm, art_request_t *req)
{
	struct art_here h;
	struct art_call c;
	int rc = prepare_allreduce(&h, "art_iallreduce", sendbuf, recvbuf, count, type, op, comm, &c);

	return rc ? rc : art__api_start(&h, &c, req);
}
