/* SPDX-License-Identifier: MIT
 *
 * What a benchmark is to the driver: it describes itself, runs one operation and says what its
 * result must be. Warm-up, timing, statistics (driver.c), inputs and expected results (data.c),
 * command line (options.c) and output (print.c) are shared.
 */
#ifndef ART_BENCH_H
#define ART_BENCH_H

#include <art/art.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_type {
	const char *name;
	art_type_t type;
	size_t bytes;
	char of; /* 'i' signed, 'u' unsigned integer, 'f' floating point */
};

struct bench_operator {
	const char *name;
	art_op_t op;
	bool integers; /* not for floating point */
};

struct bench { /* one size of one operation, at one rank */
	int rank, size;
	const struct bench_type *type;
	const struct bench_operator *op;
	size_t count;      /* elements; 0 for operations without data */
	uint64_t iter;     /* counts the operations, so that every input is another */
	void *in, *out;
};

struct bench_op {
	const char *name;
	const char *what;   /* one line for --help */
	bool sized;         /* has a payload */
	bool reduces;       /* has an operator */
	bool apart;         /* not among `all` */
	bool synchronises;  /* no rank can finish it before all have entered: may run back to back */
	void (*fill)(struct bench *b);
	int (*run)(struct bench *b);
	bool (*check)(const struct bench *b);
};

extern const struct bench_op bench_allreduce, bench_bcast, bench_reduce, bench_barrier,
	bench_agree, bench_shrink;
extern const struct bench_op *const bench_ops[]; /* ends with NULL */

#define BENCH_OPS_MAX 16

struct bench_options {
	const struct bench_op *op[BENCH_OPS_MAX]; /* to be run, in this order */
	int nop;
	const char *special;       /* "recover", "detect", "idle", "overlap", "tune", or NULL */
	const struct bench_type *type;
	const struct bench_operator *operator;
	size_t size_min, size_max; /* bytes */
	long iters;                /* 0: by size */
	int mode;                  /* 0: the operation's own, 's' separated, 'b' back to back */
	bool no_raw;               /* without the yardsticks */
	int kills;
	size_t bytes;              /* of the allreduces of recover and detect */
	uint64_t seed;
	double seconds;
	double work;               /* of overlap: the computation takes as many operations' time */
	bool tune;
	const char *file;          /* of tune; NULL: standard output */
	double budget;             /* seconds for all of tune */
	bool json;
};

struct bench_row { /* of one size; seconds */
	size_t bytes;
	long iters;
	double median, p90, p99, max;
	double raw_median, raw_p99; /* one way; 0: no yardstick */
	double swap_median;         /* bare exchange, the slower side */
};

/* Special programs with the signature of a whole run; 0 or an exit code. */
int bench_recover(const struct bench_options *o, int rank, int size); /* recover.c; detect, too */
int bench_idle(const struct bench_options *o, int rank, int size);    /* idle.c */
int bench_overlap(const struct bench_options *o, int rank, int size); /* overlap.c */
int bench_tune(const struct bench_options *o, int rank, int size);    /* tune.c */

/* Raw ping-pong over a TCP connection of its own between ranks 0 and 1, both spinning, with
 * nothing of ART in between (rawping.c). Collective over the world; does nothing on one rank. */
struct rawping;
struct rawping *rawping_open(int rank, int size);
void rawping_close(struct rawping *p);
/* Writes @n one-way times (half a round trip) of messages of @bytes to @s at rank 0; the others
 * return at once. False if there is no connection. */
bool rawping_run(struct rawping *p, size_t bytes, long n, double *s);
/* The same for an exchange, what an allreduce of two ranks does: both send, then both receive. Each
 * of ranks 0 and 1 writes its @n times, all others zeros. */
void rawping_swap(struct rawping *p, size_t bytes, long n, double *s);

/* driver.c */
void bench_must(int code, const char *what); /* ends the job on an error */
void bench_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Seconds that one checked operation takes at this rank; @separated: after a barrier. */
double bench_one(const struct bench_op *op, struct bench *b, bool separated);
double bench_now(void); /* seconds, CLOCK_MONOTONIC */
/* Value @fraction of the way up in the sorted order of @v, which it sorts. */
double bench_quantile(double *v, size_t n, double fraction);

/* options.c: reads the command line, or ends the program with a sentence (code 2) or a help text (0). */
void bench_read_options(int argc, char **argv, struct bench_options *o);

/* print.c: rank 0 only. */
void bench_print_begin(const struct bench_options *o);
void bench_print_head(const struct bench_options *o, const struct bench_op *op, int size,
		      bool separated, bool first);
void bench_print_row(const struct bench_options *o, const struct bench_row *r, bool first);
void bench_print_tail(const struct bench_options *o);
void bench_print_end(const struct bench_options *o);

/* data.c */
const struct bench_type *bench_type_find(const char *name);
const struct bench_operator *bench_operator_find(const char *name);
extern const struct bench_type bench_types[];          /* end with a NULL name */
extern const struct bench_operator bench_operators[];  /* likewise */

/* Input of @rank: element @i in operation @iter. Linear in the rank, so that sums have a closed
 * form and a lost or doubled contribution shows. */
static inline uint64_t bench_value(uint64_t iter, int rank, size_t i)
{
	uint64_t mix = iter * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);

	return ((uint64_t)rank + 1) * (mix | 1) + i;
}

void bench_fill(struct bench *b);               /* in := this rank's input */
bool bench_check_reduced(const struct bench *b); /* out is the reduction of all ranks' inputs */
bool bench_check_copy(const struct bench *b, int rank); /* in is that rank's input */

#endif
