/* SPDX-License-Identifier: MIT
 *
 * art-bench: every collective and the fault latencies in one binary, started by artrun (or alone,
 * as a job of one). The driver owns warm-up, timing, checks, statistics and the output; a benchmark
 * is one file that describes itself (bench.h).
 *
 * What is measured: each rank times each operation; the time of an operation is that of its
 * slowest rank; printed are percentiles over the operations of one size. Filling
 * inputs and checking results happens between the timed parts, and every result is checked.
 *
 * Separated or back to back: an operation that no rank can finish before all have entered
 * (allreduce, barrier) keeps the ranks together by itself, so it runs back to back; a barrier in
 * between would add the skew with which its ranks leave. In bcast and reduce some ranks may run
 * ahead, and back to back would measure a pipeline: they are separated by a barrier.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { RAW_PINGS = 1000 };

void bench_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("art-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	art_abort(ART_COMM_WORLD, 1);
	_exit(1);
}

void bench_must(int code, const char *what)
{
	if (code != ART_SUCCESS)
		bench_fail("%s: %s", what, art_strerror(code));
}

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *v, size_t n, double fraction)
{
	size_t k = (size_t)(fraction * (double)n);

	qsort(v, n, sizeof(*v), by_value);
	return v[k < n ? k : n - 1];
}

/* ---- one size ---- */

/* Enough operations for a steady median, but not more than about 128 MiB of them. */
static long default_iters(size_t bytes)
{
	size_t n = ((size_t)128 << 20) / (bytes + 1);

	return n > 10000 ? 10000 : n < 50 ? 50 : (long)n;
}

/* A benchmark of fewer ranks than were started would be another one. */
static void __attribute__((noreturn)) wrong(const struct bench_op *op, const struct bench *b)
{
	int alive;

	if (art_alive_count(ART_COMM_WORLD, &alive) == ART_SUCCESS && alive < b->size)
		bench_fail("%s: a rank was lost, the benchmark ends", op->name);
	bench_fail("%s of %zu bytes: wrong result at rank %d in operation %llu", op->name,
		   b->count * b->type->bytes, b->rank, (unsigned long long)b->iter);
}

double bench_one(const struct bench_op *op, struct bench *b, bool separated)
{
	double t;

	b->iter++;
	op->fill(b);
	if (separated)
		bench_must(art_barrier(ART_COMM_WORLD), "barrier");
	t = bench_now();
	bench_must(op->run(b), op->name);
	t = bench_now() - t;
	if (!op->check(b))
		wrong(op, b);
	return t;
}

/* Both yardsticks, over @n messages: @ping at rank 0, @swap (the slower side) at all. */
static bool yardsticks(struct rawping *raw, size_t bytes, long n, double *ping, double *swap)
{
	bool pinged = rawping_run(raw, bytes, n, ping);

	if (!raw) /* at any rank */
		return false;
	rawping_swap(raw, bytes, n, swap);
	bench_must(art_allreduce(ART_IN_PLACE, swap, (size_t)n, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	return pinged;
}

static void measure(const struct bench_op *op, struct bench *b, struct rawping *raw, bool separated,
		    struct bench_row *row)
{
	double ping[RAW_PINGS], swap[RAW_PINGS];
	size_t n = (size_t)row->iters;
	double *t = calloc(n, sizeof(*t));
	long warm = row->iters / 10 + 1;
	long pings = row->iters < RAW_PINGS / 2 ? row->iters : RAW_PINGS / 2;
	bool pinged;

	if (!t)
		bench_fail("out of memory");
	pinged = yardsticks(raw, row->bytes, pings, ping, swap); /* half before, half after */
	for (long i = -warm; i < row->iters; i++) {
		double s = bench_one(op, b, separated);

		if (i >= 0)
			t[i] = s;
	}
	yardsticks(raw, row->bytes, pings, ping + pings, swap + pings);
	bench_must(art_allreduce(ART_IN_PLACE, t, n, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	row->median = bench_quantile(t, n, 0.5);
	row->p90 = bench_quantile(t, n, 0.9);
	row->p99 = bench_quantile(t, n, 0.99);
	row->max = bench_quantile(t, n, 1);
	if (pinged) {
		row->raw_median = bench_quantile(ping, (size_t)(2 * pings), 0.5);
		row->raw_p99 = bench_quantile(ping, (size_t)(2 * pings), 0.99);
		row->swap_median = bench_quantile(swap, (size_t)(2 * pings), 0.5);
	}
	free(t);
}

static void run_sizes(const struct bench_options *o, const struct bench_op *op, struct bench *b,
		      struct rawping *raw, bool separated)
{
	size_t from = op->sized ? o->size_min : 0, to = op->sized ? o->size_max : 0;

	for (size_t bytes = from; bytes <= to; bytes *= 2) {
		struct bench_row row = { .bytes = bytes };

		row.iters = o->iters > 0 ? o->iters : default_iters(bytes);
		b->count = bytes / b->type->bytes;
		measure(op, b, raw, separated, &row);
		if (b->rank == 0)
			bench_print_row(o, &row, bytes == from);
		if (to == 0)
			break;
	}
}

static void run_op(const struct bench_options *o, const struct bench_op *op, int rank, int size,
		   bool first)
{
	struct bench b = { .rank = rank, .size = size, .type = o->type, .op = o->operator };
	bool separated = o->mode ? o->mode == 's' : !op->synchronises;
	struct rawping *raw = o->no_raw ? NULL : rawping_open(rank, size);
	size_t room = op->sized ? o->size_max : 8;

	b.in = calloc(1, room);
	b.out = calloc(1, room);
	if (!b.in || !b.out)
		bench_fail("out of memory");
	if (rank == 0)
		bench_print_head(o, op, size, separated, first);
	run_sizes(o, op, &b, raw, separated);
	if (rank == 0)
		bench_print_tail(o);
	free(b.in);
	free(b.out);
	rawping_close(raw);
}

static int dispatch(const struct bench_options *o)
{
	int rank, size;

	bench_must(art_comm_rank(ART_COMM_WORLD, &rank), "rank");
	bench_must(art_comm_size(ART_COMM_WORLD, &size), "size");
	if (o->special && strcmp(o->special, "idle") == 0)
		return bench_idle(o, rank, size);
	if (o->special && strcmp(o->special, "overlap") == 0)
		return bench_overlap(o, rank, size);
	if (o->special && strcmp(o->special, "tune") == 0)
		return bench_tune(o, rank, size);
	if (o->special)
		return bench_recover(o, rank, size);
	if (rank == 0)
		bench_print_begin(o);
	for (int i = 0; i < o->nop; i++)
		run_op(o, o->op[i], rank, size, i == 0);
	if (rank == 0)
		bench_print_end(o);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench_options o;
	int err, code;

	bench_read_options(argc, argv, &o);
	err = art_init(&argc, &argv);
	if (err != ART_SUCCESS) {
		fprintf(stderr, "art-bench: cannot join the job: %s\n", art_strerror(err));
		return 1;
	}
	code = dispatch(&o);
	err = art_finalize();
	if (err != ART_SUCCESS)
		fprintf(stderr, "art-bench: leaving the job: %s\n", art_strerror(err));
	return code ? code : err != ART_SUCCESS;
}
