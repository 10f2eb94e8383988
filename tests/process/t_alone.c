/* SPDX-License-Identifier: MIT
 *
 * Description: a job of one, started by nobody: every call works, init and finalize nest, and what
 * is called too early or too late is refused.
 */
#include <string.h>

#include "tests/process/check.h"

static void too_early_or_too_late(void)
{
	art_request_t req = (art_request_t)1;
	art_status_t st;
	int n;

	CHECK_RC(art_barrier(ART_COMM_WORLD), ART_ERR_COMM);
	CHECK_RC(art_allreduce(&n, &n + 1, 1, ART_INT32, ART_SUM, ART_COMM_WORLD), ART_ERR_COMM);
	CHECK_RC(art_comm_rank(ART_COMM_WORLD, &n), ART_ERR_COMM);
	CHECK_RC(art_last_status(ART_COMM_WORLD, &st), ART_ERR_COMM);
	CHECK_RC(art_wait(&req, NULL), ART_ERR_COMM);
	CHECK_RC(art_finalize(), ART_ERR_COMM);
}

static void double_it(const void *in, void *inout, size_t count, art_type_t type, void *ctx)
{
	(void)in;
	(void)inout;
	(void)type;
	*(size_t *)ctx += count;
}

static void collectives(void)
{
	size_t calls = 0;
	double in[3] = {1, 2, 3}, out[3] = {0};
	art_request_t req[3];
	art_comm_t c;
	art_op_t op;
	int n;

	OK(art_barrier(ART_COMM_WORLD));
	OK(art_bcast(in, 3, ART_DOUBLE, 0, ART_COMM_WORLD));
	OK(art_reduce(in, out, 3, ART_DOUBLE, ART_PROD, 0, ART_COMM_WORLD));
	CHECK(memcmp(in, out, sizeof(in)) == 0);
	memset(out, 0, sizeof(out));
	OK(art_allreduce(in, out, 3, ART_DOUBLE, ART_MAX, ART_COMM_WORLD));
	CHECK(memcmp(in, out, sizeof(in)) == 0);
	OK(art_allreduce(ART_IN_PLACE, out, 3, ART_DOUBLE, ART_SUM, ART_COMM_WORLD));
	CHECK(memcmp(in, out, sizeof(in)) == 0);
	OK(art_op_create(double_it, 0, &calls, &op));
	OK(art_allreduce(in, out, 3, ART_DOUBLE, op, ART_COMM_WORLD));
	CHECK(calls == 0); /* nothing to combine with */
	OK(art_op_free(&op));
	OK(art_comm_dup(ART_COMM_WORLD, &c));
	OK(art_ibarrier(c, &req[0]));
	OK(art_ibcast(in, 3, ART_DOUBLE, 0, c, &req[1]));
	OK(art_ireduce(in, out, 3, ART_DOUBLE, ART_SUM, 0, ART_COMM_WORLD, &req[2]));
	OK(art_waitall(3, req, NULL));
	OK(art_alive_count(c, &n));
	CHECK(n == 1);
	OK(art_comm_free(&c));
}

int main(int argc, char **argv)
{
	int major = -1, minor = -1, patch = -1;

	unsetenv("ART_LAUNCH_FD");
	setenv("ART_ERRORS", "return", 1);
	too_early_or_too_late();
	OK(art_init(&argc, &argv));
	OK(art_init(NULL, NULL));
	begin_quietly();
	CHECK(my_size == 1 && my_rank == 0);
	collectives();
	OK(art_finalize());
	check_works(ART_COMM_WORLD);
	OK(art_finalize());
	check_works(ART_COMM_WORLD);
	OK(art_finalize());
	too_early_or_too_late();
	CHECK_RC(art_init(NULL, NULL), ART_ERR_ARG);
	OK(art_get_version(&major, &minor, &patch));
	CHECK(major >= 0 && minor >= 0 && patch >= 0);
	CHECK(art_strerror(ART_ERR_MISMATCH) && art_strerror(12345));
	return 0;
}
