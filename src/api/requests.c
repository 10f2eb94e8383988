/* SPDX-License-Identifier: MIT
 *
 * Requests: the handles of nonblocking calls. A request is waited for by one thread at a time;
 * whoever finds it done frees it.
 */
#include "api/api.h"

#include <string.h>

/* A null request is done, and of no operation. */
static int none(art_status_t *status)
{
	if (status)
		memset(status, 0, sizeof(*status));
	return 0;
}

/* Takes the engine. On an error it is not held. */
static int open_request(struct art_here *h, const char *name, art_request_t req,
			struct art_request_obj **out)
{
	struct art_request_obj *r;
	bool taken;

	h->ctx = atomic_load_explicit(&art__api_job, memory_order_acquire);
	h->name = name;
	if (!h->ctx)
		return art__api_error(NULL, ART_ERR_COMM, name,
				      "called before art_init() or after art_finalize()");
	art__engine_enter(h->ctx->engine);
	r = art__handle_find(ART_H_REQUEST, art__api_value(req));
	taken = r && r->waited;
	if (r && !taken) {
		*out = r;
		return 0;
	}
	art__engine_leave(h->ctx->engine);
	if (taken)
		return art__api_error(h->ctx, ART_ERR_ARG, name,
				      "another thread is waiting for this request");
	return art__api_error(h->ctx, ART_ERR_ARG, name, "%#llx is no request, or was freed",
			      (unsigned long long)art__api_value(req));
}

/* The request is done: its outcome, and its end. Gives the engine back. */
static int close_request(struct art_here *h, struct art_request_obj *r, art_request_t *req,
			 art_status_t *status)
{
	const char *name = r->name;
	char why[ART_WHY_MAX];
	int rc = art__api_finish(h->ctx, r->comm, r->op, status, false, why);

	art__handle_free(art__api_value(*req));
	art__engine_leave(h->ctx->engine);
	*req = ART_REQUEST_NULL;
	return rc ? art__api_error(h->ctx, rc, name, "%s", why) : 0;
}

static int wait_one(const char *name, art_request_t *req, art_status_t *status)
{
	struct art_request_obj *r = NULL;
	struct art_here h;
	int rc;

	if (*req == ART_REQUEST_NULL)
		return none(status);
	rc = open_request(&h, name, *req, &r);
	if (rc)
		return rc;
	r->waited = true;
	art__engine_wait(h.ctx->engine, art__api_op_done, r->op);
	return close_request(&h, r, req, status);
}

static int null_request(const char *name)
{
	return art__api_error(atomic_load(&art__api_job), ART_ERR_ARG, name,
			      "the pointer to the request is null");
}

int art_wait(art_request_t *req, art_status_t *status)
{
	return req ? wait_one("art_wait", req, status) : null_request("art_wait");
}

int art_test(art_request_t *req, int *done, art_status_t *status)
{
	struct art_request_obj *r;
	struct art_here h;
	bool yes;
	int rc;

	if (!req)
		return null_request("art_test");
	if (!done)
		return art__api_error(atomic_load(&art__api_job), ART_ERR_ARG, "art_test",
				      "the pointer for the result is null");
	if (*req == ART_REQUEST_NULL) {
		*done = 1;
		return none(status);
	}
	rc = open_request(&h, "art_test", *req, &r);
	if (rc)
		return rc;
	r->waited = true; /* a user function may run now, and another thread come in */
	yes = art__engine_test(h.ctx->engine, art__api_op_done, r->op);
	r->waited = false;
	*done = yes;
	if (yes)
		return close_request(&h, r, req, status);
	art__engine_leave(h.ctx->engine);
	return 0;
}

/* Waits for all, also after an error; the first error is returned. */
int art_waitall(int n, art_request_t reqs[], art_status_t statuses[])
{
	int first = 0;

	if (n < 0)
		return art__api_error(atomic_load(&art__api_job), ART_ERR_COUNT, "art_waitall",
				      "%d requests", n);
	if (n > 0 && !reqs)
		return null_request("art_waitall");
	for (int i = 0; i < n; i++) {
		int rc = wait_one("art_waitall", &reqs[i], statuses ? &statuses[i] : NULL);

		if (rc && !first)
			first = rc;
	}
	return first;
}
