/* SPDX-License-Identifier: MIT
 *
 * A rank that may be refused memory, descriptors or threads at any moment (tests/lib/failnth.c):
 * joins, calls every collective, blocking and not, short and long, on the world and on a copy of
 * it, and leaves. What comes out must be right, or an error:
 *
 *   rank 1: done            it went to the end, every result was right
 *   rank 1: CALL: TEXT      CALL returned an error of its own (exit 3, without art_finalize)
 *   rank 1: WAITS: CALL     it came to no end: nobody can reach it, which it says on stderr (exit 3)
 *   rank 1: WRONG ...       a result was wrong, or something was left behind (exit 1)
 *
 * The loss of another rank is no reason to end: results then count whoever is in them.
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "tests/process/check.h"

#define LONG 40000 /* elements, in segments on the wire */

static int descriptors_before;

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void __attribute__((noreturn)) end(int code, const char *call, const char *text)
{
	printf("rank %s: %s: %s\n", getenv("ART_RANK"), call, text);
	fflush(stdout);
	exit(code);
}

static const char *calling = "art_init";

static void on_alarm(int sig)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "rank %d: WAITS: %s\n", my_rank, calling);

	(void)sig;
	if (write(1, line, (size_t)n) == n)
		_exit(3);
	_exit(4);
}

/* True: there is a result. False: another rank's loss took it, here as everywhere. */
static bool came(const char *call, int rc)
{
	if (rc == ART_ERR_PROC_FAILED || rc == ART_ERR_ROOT_LOST)
		return false;
	if (rc)
		end(3, call, art_strerror(rc));
	return true;
}

#define CAME(name, ...) (calling = #name, came(#name, name(__VA_ARGS__)))

static void check(bool right, const char *what)
{
	if (!right)
		end(1, "WRONG", what);
}

/* ---- what a result must be ---- */
static int64_t input(int rank, int i)
{
	return ((int64_t)1 << (8 * rank)) + i;
}

/* The sum of those whom the status names. */
static int64_t sum_of(const art_status_t *s, int i)
{
	int64_t sum = 0;

	for (int r = 0; r < my_size; r++) {
		int in = 0;

		check(!art_status_contributed(s, r, &in), "contributors of a result are unknown");
		check(in || r != my_rank, "a result is without its receiver's part");
		sum += in ? input(r, i) : 0;
	}
	return sum;
}

static void check_sum(const art_status_t *s, const int64_t *got, int n)
{
	for (int i = 0; i < n; i += n > 8 ? 997 : 1)
		check(got[i] == sum_of(s, i), "a sum");
}

static void add(const void *in, void *inout, size_t n, art_type_t type, void *ctx)
{
	const int64_t *a = in;
	int64_t *b = inout;

	(void)type;
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		b[i] += a[i];
}

/* ---- the collectives ---- */
static int64_t mine[LONG], other[LONG];

static void blocking(art_comm_t comm, int n, art_op_t op)
{
	art_status_t s;

	CAME(art_barrier, comm);
	if (CAME(art_allreduce, mine, other, (size_t)n, ART_INT64, op, comm)) {
		check(!art_last_status(comm, &s), "an allreduce has no status");
		check_sum(&s, other, n);
	}
	for (int root = 0; root < my_size; root++) {
		if (CAME(art_reduce, mine, other, (size_t)n, ART_INT64, op, root, comm) &&
		    my_rank == root) {
			check(!art_last_status(comm, &s), "a reduce has no status at its root");
			check_sum(&s, other, n);
		}
		memcpy(other, mine, (size_t)n * sizeof(*mine));
		if (CAME(art_bcast, other, (size_t)n, ART_INT64, root, comm))
			check(other[0] == input(root, 0) && other[n - 1] == input(root, n - 1),
			      "a broadcast");
	}
}

static void nonblocking(art_comm_t comm)
{
	static int64_t sum[8], down[8], up[8];
	art_request_t req[4];
	art_status_t s[4];

	memcpy(down, mine, sizeof(down));
	came("art_ibarrier", art_ibarrier(comm, &req[0]));
	came("art_iallreduce", art_iallreduce(mine, sum, 8, ART_INT64, ART_SUM, comm, &req[1]));
	came("art_ibcast", art_ibcast(down, 8, ART_INT64, 0, comm, &req[2]));
	came("art_ireduce", art_ireduce(mine, up, 8, ART_INT64, ART_SUM, 0, comm, &req[3]));
	CAME(art_wait, &req[0], &s[0]);
	if (CAME(art_wait, &req[1], &s[1]))
		check_sum(&s[1], sum, 8);
	if (CAME(art_wait, &req[2], &s[2]))
		check(down[7] == input(0, 7), "a nonblocking broadcast");
	if (CAME(art_wait, &req[3], &s[3]) && my_rank == 0)
		check_sum(&s[3], up, 8);
}

static void all_of(art_comm_t comm)
{
	art_op_t op;

	blocking(comm, 1, ART_SUM);
	blocking(comm, LONG, ART_SUM);
	nonblocking(comm);
	came("art_op_create", art_op_create(add, ART_OP_COMMUTATIVE, NULL, &op));
	blocking(comm, 3, op);
	came("art_op_free", art_op_free(&op));
}

int main(int argc, char **argv)
{
	art_comm_t copy;
	int rc;

	my_rank = atoi(getenv("ART_RANK"));
	signal(SIGALRM, on_alarm);
	alarm(argc > 1 ? (unsigned)atoi(argv[1]) : 60);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	descriptors_before = descriptors();
	rc = art_init(NULL, NULL);
	if (rc) {
		check(descriptors() <= descriptors_before, "descriptors are left of a failed art_init");
		end(3, "art_init", art_strerror(rc));
	}
	art_comm_rank(ART_COMM_WORLD, &my_rank);
	art_comm_size(ART_COMM_WORLD, &my_size);
	for (int i = 0; i < LONG; i++)
		mine[i] = input(my_rank, i);
	all_of(ART_COMM_WORLD);
	if (CAME(art_comm_dup, ART_COMM_WORLD, &copy)) {
		all_of(copy);
		came("art_comm_free", art_comm_free(&copy));
	}
	CAME(art_finalize);
	/* One less: the launcher's was open before. */
	check(descriptors() < descriptors_before, "descriptors are left after art_finalize");
	printf("rank %d: done\n", my_rank);
	return 0;
}
