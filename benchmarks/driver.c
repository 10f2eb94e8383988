/* SPDX-License-Identifier: MIT
 *
 * art-bench: every collective and the fault latencies in one binary, started by artrun (or alone,
 * as a job of one). The driver owns warm-up, timing, checks, statistics and the output; a benchmark
 * is one file that describes itself (bench.h).
 *
 * What is measured: each rank times each operation; the time of an operation is that of its
 * slowest rank; printed are median and 99th percentile over the operations of one size. Filling
 * inputs and checking results happens between the timed parts, and every result is checked.
 *
 * Separated or back to back: an operation that no rank can finish before all have entered
 * (allreduce, barrier) keeps the ranks together by itself, so it runs back to back; a barrier in
 * between would add the skew with which its ranks leave. In bcast and reduce some ranks may run
 * ahead, and back to back would measure a pipeline: they are separated by a barrier.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct bench_op *const ops[] = {
	&bench_allreduce, &bench_bcast, &bench_reduce, &bench_barrier,
};

enum { RAW_PINGS = 1000 };

struct row { /* seconds */
	size_t bytes;
	long iters;
	double median, p99;
	double raw_median, raw_p99; /* one way; 0: no yardstick */
};

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

void bench_fill(struct bench *b)
{
	for (size_t i = 0; i < b->count; i++)
		b->in[i] = bench_value(b->iter, b->rank, i);
}

bool bench_check_sum(const struct bench *b)
{
	uint64_t n = (uint64_t)b->size, ranks = n * (n + 1) / 2;

	for (size_t i = 0; i < b->count; i++) {
		uint64_t one = bench_value(b->iter, 0, i) - i;

		if (b->out[i] != ranks * one + n * i)
			return false;
	}
	return true;
}

/* ---- one size ---- */

/* Enough operations for a steady median, but not more than about 128 MiB of them. */
static long default_iters(size_t bytes)
{
	size_t n = ((size_t)128 << 20) / (bytes + 1);

	return n > 10000 ? 10000 : n < 50 ? 50 : (long)n;
}

static double one_op(const struct bench_op *op, struct bench *b, bool separated)
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
		bench_fail("%s of %zu bytes: wrong result at rank %d in operation %llu", op->name,
			   b->count * sizeof(*b->in), b->rank, (unsigned long long)b->iter);
	return t;
}

static void measure(const struct bench_op *op, struct bench *b, struct rawping *raw, bool separated,
		    struct row *row)
{
	double ping[RAW_PINGS];
	size_t n = (size_t)row->iters;
	double *t = calloc(n, sizeof(*t));
	long warm = row->iters / 10 + 1;
	bool pinged;

	if (!t)
		bench_fail("out of memory");
	pinged = rawping_run(raw, row->bytes, RAW_PINGS / 2, ping); /* half before, half after */
	for (long i = -warm; i < row->iters; i++) {
		double s = one_op(op, b, separated);

		if (i >= 0)
			t[i] = s;
	}
	rawping_run(raw, row->bytes, RAW_PINGS / 2, ping + RAW_PINGS / 2);
	bench_must(art_allreduce(ART_IN_PLACE, t, n, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	row->median = bench_quantile(t, n, 0.5);
	row->p99 = bench_quantile(t, n, 0.99);
	if (pinged) {
		row->raw_median = bench_quantile(ping, RAW_PINGS, 0.5);
		row->raw_p99 = bench_quantile(ping, RAW_PINGS, 0.99);
	}
	free(t);
}

/* ---- output: rank 0 only ---- */

static void print_head(const struct bench_op *op, int size, bool separated, bool json)
{
	const char *mode = separated ? "separated" : "back-to-back";

	if (json)
		printf("{\"op\": \"%s\", \"ranks\": %d, \"mode\": \"%s\", \"unit\": \"us\", "
		       "\"sizes\": [", op->name, size, mode);
	else
		printf("# art-bench %s, %d ranks, %s; times in us, of the slowest rank; raw: TCP "
		       "ping-pong, one way\n#%9s %8s %10s %10s %10s %10s %7s\n", op->name, size,
		       mode, "bytes", "iters", "median", "p99", "raw", "raw p99", "ratio");
}

static void print_row(const struct row *r, bool json, bool first)
{
	double us = 1e6, ratio = r->raw_median > 0 ? r->median / r->raw_median : 0;

	if (json) {
		printf("%s\n  {\"bytes\": %zu, \"iters\": %ld, \"median\": %.3f, \"p99\": %.3f, ",
		       first ? "" : ",", r->bytes, r->iters, r->median * us, r->p99 * us);
		if (ratio > 0)
			printf("\"raw_median\": %.3f, \"raw_p99\": %.3f, \"ratio\": %.3f}",
			       r->raw_median * us, r->raw_p99 * us, ratio);
		else
			printf("\"raw_median\": null, \"raw_p99\": null, \"ratio\": null}");
	} else {
		printf("%10zu %8ld %10.2f %10.2f ", r->bytes, r->iters, r->median * us,
		       r->p99 * us);
		if (ratio > 0)
			printf("%10.2f %10.2f %7.2f\n", r->raw_median * us, r->raw_p99 * us, ratio);
		else
			printf("%10s %10s %7s\n", "-", "-", "-");
	}
	fflush(stdout);
}

static int run_op(const struct bench_op *op, const struct bench_options *o, int rank, int size)
{
	struct bench b = { .rank = rank, .size = size };
	size_t from = op->sized ? o->size_min : 0, to = op->sized ? o->size_max : 0;
	bool separated = o->mode ? o->mode == 's' : !op->synchronises;
	struct rawping *raw = rawping_open(rank, size);

	b.in = calloc(to / sizeof(*b.in) + 1, sizeof(*b.in));
	b.out = calloc(to / sizeof(*b.out) + 1, sizeof(*b.out));
	if (!b.in || !b.out)
		bench_fail("out of memory");
	if (rank == 0)
		print_head(op, size, separated, o->json);
	for (size_t bytes = from; bytes <= to; bytes = bytes ? bytes * 2 : 1) {
		struct row row = { .bytes = bytes };

		row.iters = o->iters > 0 ? o->iters : default_iters(bytes);
		b.count = bytes / sizeof(*b.in);
		measure(op, &b, raw, separated, &row);
		if (rank == 0)
			print_row(&row, o->json, bytes == from);
		if (to == 0)
			break;
	}
	if (rank == 0 && o->json)
		printf("\n]}\n");
	free(b.in);
	free(b.out);
	rawping_close(raw);
	return 0;
}

/* ---- command line ---- */

static void usage(FILE *to)
{
	fputs("usage: art-bench OP [--sizes A:B] [--iters N] [--json] [--separate|--back-to-back]\n"
	      "       art-bench recover [--kills K] [--seed S] [--json]\n"
	      "       art-bench idle [--seconds T] [--json]\n", to);
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		fprintf(to, "  %-10s %s%s\n", ops[i]->name, ops[i]->what,
			ops[i]->synchronises ? " (default: back to back)" :
					       " (default: separated by a barrier)");
	fputs("  recover    SIGKILL of a rank to the next completed 8-byte allreduce\n"
	      "  idle       CPU use of ranks blocked in a barrier\n"
	      "Sizes are bytes, multiples of 8, with k or M as 1024 or 1024^2; each is twice the\n"
	      "one before. Start it with: artrun -n 2 art-bench allreduce --sizes 8:1M\n", to);
}

static bool read_size(const char *s, const char **end, size_t *out)
{
	char *e;
	unsigned long long v = strtoull(s, &e, 10);
	unsigned shift = *e == 'k' ? 10 : *e == 'M' ? 20 : 0;

	*end = e + (shift != 0);
	*out = (size_t)v << shift;
	return e != s && *s != '-' && v <= (1ull << 34) >> shift && v > 0 && *out % 8 == 0;
}

static bool read_sizes(const char *s, struct bench_options *o)
{
	if (!read_size(s, &s, &o->size_min))
		return false;
	o->size_max = o->size_min;
	if (*s == ':' && !read_size(s + 1, &s, &o->size_max))
		return false;
	return *s == '\0' && o->size_min <= o->size_max;
}

static bool read_number(const char *s, double low, double high, double *out)
{
	char *end;

	*out = strtod(s, &end);
	return end != s && *end == '\0' && *out >= low && *out <= high;
}

static bool read_options(int argc, char **argv, struct bench_options *o)
{
	static const struct option known[] = {
		{ "sizes", required_argument, NULL, 'z' },  { "iters", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },         { "separate", no_argument, NULL, 's' },
		{ "back-to-back", no_argument, NULL, 'b' }, { "kills", required_argument, NULL, 'k' },
		{ "seed", required_argument, NULL, 'e' },   { "seconds", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	double v = 0;
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'z': good = read_sizes(optarg, o); break;
		case 'n': good = read_number(optarg, 1, 1e8, &v); o->iters = (long)v; break;
		case 'k': good = read_number(optarg, 1, 1e6, &v); o->kills = (int)v; break;
		case 'e': good = read_number(optarg, 0, 9e15, &v); o->seed = (uint64_t)v; break;
		case 't': good = read_number(optarg, 0.01, 1e4, &o->seconds); break;
		case 'j': o->json = true; break;
		case 's': case 'b': o->mode = c; break;
		case 'h': usage(stdout); exit(0);
		default: return false;
		}
	}
	return good && optind == argc - 1;
}

static int dispatch(const char *name, const struct bench_options *o)
{
	int rank, size;

	bench_must(art_comm_rank(ART_COMM_WORLD, &rank), "rank");
	bench_must(art_comm_size(ART_COMM_WORLD, &size), "size");
	if (strcmp(name, "recover") == 0)
		return bench_recover(o, rank, size);
	if (strcmp(name, "idle") == 0)
		return bench_idle(o, rank, size);
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (strcmp(name, ops[i]->name) == 0)
			return run_op(ops[i], o, rank, size);
	if (rank == 0)
		fprintf(stderr, "art-bench: there is no benchmark '%s'\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	struct bench_options o = {
		.size_min = 8, .size_max = 1 << 20, .kills = 1, .seconds = 2,
		.seed = (uint64_t)time(NULL) ^ (uint64_t)getpid(),
	};
	int err, code;

	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	err = art_init(&argc, &argv);
	if (err != ART_SUCCESS) {
		fprintf(stderr, "art-bench: cannot join the job: %s\n", art_strerror(err));
		return 1;
	}
	code = dispatch(argv[optind], &o);
	err = art_finalize();
	if (err != ART_SUCCESS)
		fprintf(stderr, "art-bench: leaving the job: %s\n", art_strerror(err));
	return code ? code : err != ART_SUCCESS;
}
