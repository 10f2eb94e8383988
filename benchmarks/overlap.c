/* SPDX-License-Identifier: MIT
 *
 * How much of a nonblocking allreduce passes while rank 0 computes and all others sit in art_wait.
 * Three times are measured in turn, so that what else the machine does meets all three: the
 * operation by itself, the computation by itself, and both at once. What the operation adds to the
 * computation is what did not overlap:
 *
 *	overlap = 1 - (both - computation) / operation
 *
 * The computation is a fixed amount of work, --work times as long as the operation, and not a fixed
 * time: whatever takes the core away from it shows. Of two ranks on two cores the other one has to do
 * both ranks' part of the operation meanwhile, which alone takes about twice the operation's time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define UNITS_MAX 1000000L

struct overlap {
	struct bench b;
	art_request_t request;
	long units; /* of computation */
};

static double above(double x, double least)
{
	return x > least ? x : least;
}

static void compute(long units)
{
	volatile uint64_t x = 1;

	for (long i = 0; i < units; i++)
		for (int k = 0; k < 100; k++)
			x = x * UINT64_C(6364136223846793005) + 1;
}

static void begin(struct overlap *v)
{
	v->b.iter++;
	bench_fill(&v->b);
	bench_must(art_barrier(ART_COMM_WORLD), "barrier");
}

static void start(struct overlap *v)
{
	bench_must(art_iallreduce(v->b.in, v->b.out, v->b.count, v->b.type->type, v->b.op->op,
				  ART_COMM_WORLD, &v->request), "iallreduce");
}

static void end(struct overlap *v)
{
	bench_must(art_wait(&v->request, NULL), "wait");
}

static void check(const struct overlap *v)
{
	if (!bench_check_reduced(&v->b))
		bench_fail("overlap of %zu bytes: wrong result at rank %d in operation %llu",
			   v->b.count * v->b.type->bytes, v->b.rank, (unsigned long long)v->b.iter);
}

static double time_operation(struct overlap *v)
{
	double t;

	begin(v);
	t = bench_now();
	start(v);
	end(v);
	t = bench_now() - t;
	check(v);
	return t;
}

/* The others are in a barrier meanwhile, as they are in the operation of time_both(). */
static double time_computation(struct overlap *v)
{
	double t;

	begin(v);
	t = bench_now();
	if (v->b.rank == 0)
		compute(v->units);
	t = bench_now() - t;
	bench_must(art_barrier(ART_COMM_WORLD), "barrier");
	return t;
}

static double time_both(struct overlap *v)
{
	double t;

	begin(v);
	t = bench_now();
	start(v);
	if (v->b.rank == 0)
		compute(v->units);
	end(v);
	t = bench_now() - t;
	check(v);
	return t;
}

/* As much computation as takes @work times the operation's time; rank 0 decides. What little computation
 * takes says not much of what more will take, so it is done twice. */
static void calibrate(struct overlap *v, double work)
{
	enum { TRIES = 15, ROUNDS = 2 };
	double operation[TRIES], computation[TRIES], units;

	v->units = 100;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < TRIES; i++) {
			operation[i] = time_operation(v);
			computation[i] = time_computation(v);
			time_both(v); /* what comes after it is slower */
		}
		units = 1 + work * (double)v->units * bench_quantile(operation, TRIES, 0.5) /
			    above(bench_quantile(computation, TRIES, 0.5), 1e-9);
		v->units = units < (double)UNITS_MAX ? (long)units : UNITS_MAX;
		bench_must(art_bcast(&v->units, sizeof(v->units), ART_BYTE, 0, ART_COMM_WORLD), "bcast");
	}
}

static void print(const struct bench_options *o, size_t bytes, int size, double operation,
		  double computation, double both)
{
	double us = 1e6, share = 100 * (1 - above(both - computation, 0) / operation);

	if (o->json)
		printf("{\"op\": \"overlap\", \"ranks\": %d, \"unit\": \"us\", \"bytes\": %zu, \"operation\": "
		       "%.3f, \"computation\": %.3f, \"both\": %.3f, \"percent\": %.1f}\n", size, bytes,
		       operation * us, computation * us, both * us, share);
	else
		printf("%10zu %12.2f %12.2f %12.2f %9.1f\n", bytes, operation * us, computation * us,
		       both * us, share);
	fflush(stdout);
}

static void run_size(const struct bench_options *o, struct overlap *v, size_t bytes)
{
	long n = o->iters > 0 ? o->iters : 50;
	double *t = calloc(3 * (size_t)n, sizeof(*t)), median[3];

	if (!t)
		bench_fail("out of memory");
	v->b.count = bytes / v->b.type->bytes;
	calibrate(v, o->work);
	for (long i = 0; i < n; i++) {
		t[i] = time_operation(v);
		t[n + i] = time_computation(v);
		t[2 * n + i] = time_both(v);
	}
	for (int i = 0; i < 3; i++)
		median[i] = bench_quantile(t + i * n, (size_t)n, 0.5);
	if (v->b.rank == 0)
		print(o, bytes, v->b.size, median[0], median[1], median[2]);
	free(t);
}

int bench_overlap(const struct bench_options *o, int rank, int size)
{
	struct overlap v = { .b = { .rank = rank, .size = size, .type = o->type, .op = o->operator } };

	v.b.in = calloc(1, o->size_max);
	v.b.out = calloc(1, o->size_max);
	if (!v.b.in || !v.b.out)
		bench_fail("out of memory");
	if (rank == 0 && !o->json)
		printf("# art-bench overlap, iallreduce, %s of %s, %d ranks; medians in us, of rank 0\n#%9s %12s "
		       "%12s %12s %9s\n", o->operator->name, o->type->name, size, "bytes", "operation",
		       "computation", "both", "overlap %");
	for (size_t bytes = o->size_min; bytes <= o->size_max; bytes *= 2)
		run_size(o, &v, bytes);
	free(v.b.in);
	free(v.b.out);
	return 0;
}
