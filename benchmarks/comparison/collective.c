/* SPDX-License-Identifier: MIT
 *
 * What benchmarks/compare runs: the same source for ART and for MPI (collective.h). It times collectives
 * of doubles and prints a line each, "OP BYTES OPERATIONS MICROSECONDS":
 *
 *	collective OP,OP... BYTES,BYTES... MILLISECONDS      (about so long per line)
 *
 * Each rank times each operation; an operation's time is that of its slowest rank, and the line has
 * the median over the operations. Allreduce and barrier, which nobody can leave before all have entered,
 * run back to back; before each bcast and reduce there is a barrier, not timed, so that no rank runs ahead.
 *
 * Three elements, the first, the last and one in between, are others in each operation and are
 * checked after each; all of them are, before and after the timed operations. A vector that is written anew
 * each time would be another benchmark: of caches.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "benchmarks/comparison/collective.h"

enum { WARM = 3, ITERS_MIN = 5, ITERS_MAX = 20000 };

static int rank, size;
static double *in, *out, *times;

static void __attribute__((noreturn)) fail(const char *op, const char *what)
{
	fprintf(stderr, "collective: %s: %s at rank %d\n", op, what, rank);
	lib_abort();
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Whole numbers, so that every order of adding them gives the same. */
static double input(int of_rank, long iter, size_t i)
{
	return (of_rank + 1) * (double)((size_t)iter * 7 % 1009 + i % 1013);
}

static double summed(long iter, size_t i)
{
	return input(0, iter, i) * size * (size + 1) / 2;
}

static bool is(const char *op, const char *name)
{
	return strcmp(op, name) == 0;
}

/* Which elements operation @iter has anew: @k = 0, 1, 2. */
static size_t place(long iter, size_t count, int k)
{
	return k == 0 ? 0 : k == 1 ? count - 1 : (size_t)iter * 61 % count;
}

static void run(const char *op, size_t count)
{
	int err = is(op, "bcast")     ? lib_bcast(in, count) :
		  is(op, "reduce")    ? lib_reduce(in, out, count) :
		  is(op, "allreduce") ? lib_allreduce(in, out, count) :
					lib_barrier();

	if (err)
		fail(op, "failed");
}

/* Element @i of operation @iter's input, or of what stands in a buffer that will be overwritten. */
static void fill_one(const char *op, long iter, size_t i)
{
	in[i] = is(op, "bcast") && rank != 0 ? -1 : input(rank, iter, i);
	out[i] = -1;
}

static void check_one(const char *op, long iter, size_t i)
{
	bool reduced = is(op, "allreduce") || (is(op, "reduce") && rank == 0);

	if ((is(op, "bcast") && in[i] != input(0, iter, i)) || (reduced && out[i] != summed(iter, i)))
		fail(op, "wrong result");
}

/* One operation whose elements are all new, not timed. */
static void run_whole(const char *op, size_t count, long iter)
{
	for (size_t i = 0; i < count; i++)
		fill_one(op, iter, i);
	run(op, count);
	for (size_t i = 0; i < count; i++)
		check_one(op, iter, i);
}

static double run_timed(const char *op, size_t count, long iter)
{
	bool separate = is(op, "bcast") || is(op, "reduce");
	double t;

	for (int k = 0; count && k < 3; k++)
		fill_one(op, iter, place(iter, count, k));
	if (separate && lib_barrier())
		fail("barrier", "failed");
	t = now_us();
	run(op, count);
	t = now_us() - t;
	for (int k = 0; count && k < 3; k++)
		check_one(op, iter, place(iter, count, k));
	return t;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* @n operations, and the median of their slowest ranks, the same at all ranks. */
static double median_of(const char *op, size_t count, long n)
{
	for (long i = 0; i < n; i++)
		times[i] = run_timed(op, count, i + 1);
	if (lib_slowest(times, n))
		fail(op, "collecting times failed");
	qsort(times, (size_t)n, sizeof(*times), by_value);
	return n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2;
}

/* All ranks come to the same number of operations: it follows from times that all have. */
static void measure(const char *op, size_t bytes, double budget_us)
{
	size_t count = bytes / sizeof(double);
	double us = 0, n;
	long more;

	run_whole(op, count, 0);
	us = median_of(op, count, WARM);
	n = budget_us / (us > 0.02 ? us : 0.02) / (is(op, "bcast") || is(op, "reduce") ? 2 : 1);
	more = n < ITERS_MIN ? ITERS_MIN : n > ITERS_MAX ? ITERS_MAX : (long)n;
	median_of(op, count, more / 4 + 1); /* warm */
	us = median_of(op, count, more);
	run_whole(op, count, more + 1);
	if (rank == 0) {
		printf("%s %zu %ld %.4f\n", op, bytes, more, us);
		fflush(stdout);
	}
}

static size_t largest(const char *sizes)
{
	size_t max = sizeof(double);

	for (const char *s = sizes; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
		if ((size_t)atol(s) > max)
			max = (size_t)atol(s);
	return max;
}

static void measure_all(char *ops, const char *sizes, double budget_us)
{
	for (const char *op = strtok(ops, ","); op; op = strtok(NULL, ",")) {
		if (is(op, "barrier")) {
			measure(op, 0, budget_us);
			continue;
		}
		for (const char *s = sizes; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
			measure(op, (size_t)atol(s), budget_us);
	}
}

int main(int argc, char **argv)
{
	if (lib_init(&argc, &argv))
		return 1;
	if (argc != 4 || lib_rank(&rank) || lib_size(&size)) {
		fputs("usage: collective OP,... BYTES,... MILLISECONDS\n", stderr);
		return 2;
	}
	in = malloc(largest(argv[2]));
	out = malloc(largest(argv[2]));
	times = malloc(ITERS_MAX * sizeof(*times));
	if (!in || !out || !times)
		fail("start", "out of memory");
	measure_all(argv[1], argv[2], atof(argv[3]) * 1000);
	free(in);
	free(out);
	free(times);
	return lib_finalize() != 0;
}
