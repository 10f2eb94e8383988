/* SPDX-License-Identifier: MIT
 *
 * What a benchmark is to the driver: it describes itself, fills its input, runs one operation and
 * checks the result. Warm-up, timing, statistics and output belong to driver.c.
 */
#ifndef ART_BENCH_H
#define ART_BENCH_H

#include <art/art.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench { /* one size of one operation, at one rank */
	int rank, size;
	size_t count;      /* elements of 8 bytes; 0 for operations without data */
	uint64_t iter;     /* counts the operations, so that every input is another */
	uint64_t *in, *out;
};

struct bench_op {
	const char *name;
	const char *what;   /* one line for --help */
	bool sized;         /* has a payload */
	bool synchronises;  /* no rank can finish it before all have entered: may run back to back */
	void (*fill)(struct bench *b);
	int (*run)(struct bench *b);
	bool (*check)(const struct bench *b);
};

extern const struct bench_op bench_allreduce, bench_bcast, bench_reduce, bench_barrier;

struct bench_options {
	size_t size_min, size_max; /* bytes */
	long iters;                /* 0: by size */
	int mode;                  /* 0: the operation's own, 's' separated, 'b' back to back */
	int kills;
	uint64_t seed;
	double seconds;
	bool json;
};

/* Special programs with the signature of a whole run; 0 or an exit code. */
int bench_recover(const struct bench_options *o, int rank, int size); /* recover.c */
int bench_idle(const struct bench_options *o, int rank, int size);    /* idle.c */

/* Raw ping-pong over a TCP connection of its own between ranks 0 and 1, both spinning, with
 * nothing of ART in between (rawping.c). Collective over the world; does nothing on one rank. */
struct rawping;
struct rawping *rawping_open(int rank, int size);
void rawping_close(struct rawping *p);
/* Writes @n one-way times (half a round trip) of messages of @bytes to @s at rank 0; the others
 * return at once. False if there is no connection. */
bool rawping_run(struct rawping *p, size_t bytes, long n, double *s);

/* driver.c */
void bench_must(int code, const char *what); /* ends the job on an error */
void bench_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
double bench_now(void); /* seconds, CLOCK_MONOTONIC */
/* Value @fraction of the way up in the sorted order of @v, which it sorts. */
double bench_quantile(double *v, size_t n, double fraction);

/* Input of @rank: element @i in operation @iter. Linear in the rank, so that sums have a closed
 * form and a lost or doubled contribution shows. */
static inline uint64_t bench_value(uint64_t iter, int rank, size_t i)
{
	uint64_t mix = iter * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);

	return ((uint64_t)rank + 1) * (mix | 1) + i;
}

void bench_fill(struct bench *b);            /* in[i] = bench_value(iter, rank, i) */
bool bench_check_sum(const struct bench *b); /* out[i] = sum over all ranks */

#endif
