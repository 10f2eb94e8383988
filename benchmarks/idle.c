/* SPDX-License-Identifier: MIT
 *
 * What waiting costs: rank 0 computes for some seconds while all others are blocked in a barrier;
 * the CPU time that each of them used is shown in per cent of one core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench.h"

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u); /* all threads of this process */
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void compute(double seconds)
{
	double until = bench_now() + seconds;
	volatile uint64_t x = 1;

	while (bench_now() < until)
		for (int i = 0; i < 10000; i++)
			x = x * UINT64_C(6364136223846793005) + 1;
}

static void print(const double *percent, int size, double seconds, bool json)
{
	double all = 0, most = 0;

	for (int r = 1; r < size; r++) {
		all += percent[r];
		most = percent[r] > most ? percent[r] : most;
	}
	printf(json ? "{\"op\": \"idle\", \"ranks\": %d, \"seconds\": %g, \"blocked_max\": %.3f, "
		      "\"blocked_sum\": %.3f, \"percent\": [" :
		      "# art-bench idle, %d ranks, %g s; CPU in per cent of one core: at most "
		      "%.3f per blocked rank, %.3f together\n",
	       size, seconds, most, all);
	for (int r = 0; r < size; r++)
		if (json)
			printf("%s%.3f", r ? ", " : "", percent[r]);
		else
			printf("rank %3d %8.3f %%%s\n", r, percent[r], r ? "" : "  (computes)");
	if (json)
		printf("]}\n");
}

int bench_idle(const struct bench_options *o, int rank, int size)
{
	double *percent = calloc((size_t)size, sizeof(*percent)), cpu, wall;

	if (!percent)
		bench_fail("out of memory");
	bench_must(art_barrier(ART_COMM_WORLD), "barrier");
	wall = bench_now();
	cpu = cpu_s();
	if (rank == 0)
		compute(o->seconds);
	bench_must(art_barrier(ART_COMM_WORLD), "barrier");
	percent[rank] = 100 * (cpu_s() - cpu) / (bench_now() - wall);
	bench_must(art_allreduce(ART_IN_PLACE, percent, (size_t)size, ART_DOUBLE, ART_SUM,
				 ART_COMM_WORLD), "collecting times");
	if (rank == 0)
		print(percent, size, o->seconds, o->json);
	free(percent);
	return 0;
}
