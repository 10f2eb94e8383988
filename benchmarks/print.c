/* SPDX-License-Identifier: MIT
 *
 * art-bench's output: a table for people, or JSON: one object for one operation, an array of them for
 * several. Times are microseconds.
 */
#include <stdio.h>

#include "bench.h"

void bench_print_begin(const struct bench_options *o)
{
	if (o->json && o->nop > 1)
		printf("[");
}

void bench_print_end(const struct bench_options *o)
{
	if (o->json && o->nop > 1)
		printf("]\n");
	fflush(stdout);
}

void bench_print_head(const struct bench_options *o, const struct bench_op *op, int size,
		      bool separated, bool first)
{
	const char *mode = separated ? "separated" : "back-to-back";

	if (o->json) {
		printf("%s{\"op\": \"%s\", \"ranks\": %d, \"mode\": \"%s\", \"unit\": \"us\", ",
		       first ? "" : ",\n", op->name, size, mode);
		if (op->sized)
			printf("\"type\": \"%s\", ", o->type->name);
		if (op->reduces)
			printf("\"operator\": \"%s\", ", o->operator->name);
		printf("\"sizes\": [");
		return;
	}
	printf("%s# art-bench %s", first ? "" : "\n", op->name);
	if (op->reduces)
		printf(", %s", o->operator->name);
	if (op->sized)
		printf(" of %s", o->type->name);
	printf(", %d ranks, %s; times in us, of the slowest rank; raw: TCP ping-pong, one way;\n"
	       "# swap: both send, then both receive; ratio: median / raw\n"
	       "#%9s %8s %10s %10s %10s %10s %10s %10s %10s %10s %7s\n", size, mode, "bytes", "iters",
	       "median", "p90", "p99", "max", "MB/s", "raw", "raw p99", "swap", "ratio");
	fflush(stdout);
}

void bench_print_row(const struct bench_options *o, const struct bench_row *r, bool first)
{
	double us = 1e6, ratio = r->raw_median > 0 ? r->median / r->raw_median : 0;
	double rate = r->median > 0 ? (double)r->bytes / r->median : 0;

	if (o->json) {
		printf("%s\n  {\"bytes\": %zu, \"iters\": %ld, \"median\": %.3f, \"p90\": %.3f, "
		       "\"p99\": %.3f, \"max\": %.3f, \"bytes_per_s\": %.0f, ", first ? "" : ",",
		       r->bytes, r->iters, r->median * us, r->p90 * us, r->p99 * us, r->max * us, rate);
		if (ratio > 0)
			printf("\"raw_median\": %.3f, \"raw_p99\": %.3f, \"swap_median\": %.3f, "
			       "\"ratio\": %.3f}", r->raw_median * us, r->raw_p99 * us,
			       r->swap_median * us, ratio);
		else
			printf("\"raw_median\": null, \"raw_p99\": null, \"swap_median\": null, "
			       "\"ratio\": null}");
	} else {
		printf("%10zu %8ld %10.2f %10.2f %10.2f %10.2f %10.1f ", r->bytes, r->iters,
		       r->median * us, r->p90 * us, r->p99 * us, r->max * us, rate * 1e-6);
		if (ratio > 0)
			printf("%10.2f %10.2f %10.2f %7.2f\n", r->raw_median * us, r->raw_p99 * us,
			       r->swap_median * us, ratio);
		else
			printf("%10s %10s %10s %7s\n", "-", "-", "-", "-");
	}
	fflush(stdout);
}

void bench_print_tail(const struct bench_options *o)
{
	if (o->json)
		printf("\n]}\n");
	fflush(stdout);
}
