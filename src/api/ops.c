/* SPDX-License-Identifier: MIT
 *
 * User operators: a function, its context and its flags behind a handle (rule R11). An op copies
 * all three when it starts, so a handle may be freed while ops that use it are open.
 */
#include "api/api.h"

int art_op_create(art_op_fn *fn, int flags, void *ctx, art_op_t *op)
{
	const int known = ART_OP_COMMUTATIVE | ART_OP_ELEMENTWISE | ART_OP_THREAD_SAFE;
	struct art_ctx *job = atomic_load(&art__api_job);
	struct art_op_obj *o;
	uint64_t value;

	if (!fn || !op)
		return art__api_error(job, ART_ERR_ARG, "art_op_create", "the %s is null",
				      fn ? "pointer for the operator" : "function");
	if (flags & ~known)
		return art__api_error(job, ART_ERR_ARG, "art_op_create", "unknown flags %#x",
				      (unsigned)(flags & ~known));
	o = art__handle_new(ART_H_OP, &value);
	if (!o)
		return art__api_error(job, ART_ERR_NOMEM, "art_op_create", "no memory");
	o->fn = (void (*)(void))fn;
	o->ctx = ctx;
	o->flags = flags;
	art__handle_publish(value);
	*op = (art_op_t)(uintptr_t)value;
	return 0;
}

int art_op_free(art_op_t *op)
{
	struct art_ctx *job = atomic_load(&art__api_job);
	uint64_t value;

	if (!op)
		return art__api_error(job, ART_ERR_ARG, "art_op_free", "the pointer is null");
	value = art__api_value(*op);
	if (!art__handle_find(ART_H_OP, value))
		return art__api_error(job, ART_ERR_OP, "art_op_free",
				      "%#llx is no operator of yours, or was freed",
				      (unsigned long long)value);
	art__handle_free(value);
	*op = ART_OP_NULL;
	return 0;
}
