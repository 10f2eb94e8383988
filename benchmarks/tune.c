/* SPDX-License-Identifier: MIT
 *
 * Which algorithm is best at which size, on this machine and with so many ranks: a table that
 * ART_TUNING gives to the library. The algorithms take turns: a round has a few operations of each,
 * so that whatever else the machine does meets all of them, and each round begins with another one. A
 * size has rounds until its share of the budget is used up, at least ROUNDS_MIN.
 *
 * The first is what ART takes by itself (`auto`). Another one takes its place in the table if its median
 * is at least a tenth less and it was ahead in two rounds of three; so where nothing is gained, or what is
 * measured does not go by messages, the table says auto.
 * The measurements are comments between the lines.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { ROUNDS_MIN = 5, ROUNDS_MAX = 400, ALGOS_MAX = 12, SIZES_MAX = 40 };

struct algo {
	const char *name;
	size_t from, upto; /* bytes it is for; 0: any number */
	int above;         /* so many ranks */
};

/* Of as many ranks as its radix, or fewer, a tree is a star, as that of the next smaller radix would be. */
#define WIDE_TREES \
	{ "tree:4", 0, 256 << 10, 3 }, { "tree:8", 0, 256 << 10, 4 }, { "tree:16", 0, 64 << 10, 8 }

static const struct algo to_all[] = {
	{ "auto", 0, 0, 2 }, { "tree", 0, 0, 2 }, WIDE_TREES, { "chain", 0, 0, 2 }, { "scatter", 256, 0, 2 },
	{ "doubletree", 4096, 0, 2 }, { "leaders", 0, 0, 2 },
	{ NULL, 0, 0, 0 },
};
static const struct algo to_one[] = {
	{ "auto", 0, 0, 2 }, { "tree", 0, 0, 2 }, WIDE_TREES, { "chain", 0, 0, 2 }, { "rabenseifner", 256, 0, 2 },
	{ "doubletree", 4096, 0, 2 }, { "leaders", 0, 0, 2 },
	{ NULL, 0, 0, 0 },
};
static const struct algo to_each[] = {
	{ "auto", 0, 0, 2 }, { "doubling", 0, 64 << 10, 2 }, { "tree", 0, 0, 2 }, WIDE_TREES,
	{ "chain", 0, 0, 2 }, { "ring", 256, 0, 2 }, { "rabenseifner", 256, 0, 2 }, { "doubletree", 4096, 0, 2 },
	{ "leaders", 0, 0, 2 }, { NULL, 0, 0, 0 },
};

struct cell { /* one size */
	size_t bytes;
	int n;
	const struct algo *algo[ALGOS_MAX];
	double *t[ALGOS_MAX]; /* [ROUNDS_MAX] of a round's operations, the slowest rank's median */
	int rounds;
	const char *best;
};

struct tune {
	const struct bench_options *o;
	int rank, size;
	FILE *out;               /* rank 0's */
	char path[PATH_MAX];     /* being written; renamed at the end */
	double begun;
	int done, all;           /* sizes */
};

static bool fits(const struct algo *a, size_t bytes, int size)
{
	return bytes >= a->from && (!a->upto || bytes <= a->upto) && size > a->above;
}

static void choose_algos(const struct bench_op *op, struct cell *c, int size)
{
	const struct algo *a = op == &bench_allreduce ? to_each :
			       op == &bench_bcast     ? to_all :
							to_one;

	for (; a->name; a++)
		if (fits(a, c->bytes, size))
			c->algo[c->n++] = a;
}

/* A round's operations with one algorithm; the median over them of the slowest rank's time. */
static double run_batch(const struct bench_op *op, struct bench *b, const char *algo, int n)
{
	double t[16];

	bench_must(art_comm_set_algorithm(ART_COMM_WORLD, op->name, algo), algo);
	for (int i = 0; i < n; i++)
		t[i] = bench_one(op, b, !op->synchronises);
	bench_must(art_comm_set_algorithm(ART_COMM_WORLD, op->name, "auto"), "auto");
	bench_must(art_allreduce(ART_IN_PLACE, t, (size_t)n, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	return bench_quantile(t, (size_t)n, 0.5);
}

/* Rank 0's clock decides for all. */
static bool time_is_left(double until)
{
	int left = bench_now() < until;

	bench_must(art_bcast(&left, 1, ART_INT32, 0, ART_COMM_WORLD), "bcast");
	return left;
}

static void measure(const struct tune *u, const struct bench_op *op, struct bench *b, struct cell *c)
{
	double now = bench_now(), left = u->begun + u->o->budget - now;
	double until = now + left / (u->all - u->done);
	int batch = c->bytes <= 4096 ? 15 : c->bytes <= 128 << 10 ? 5 : 1;

	for (int i = 0; i < c->n; i++) /* warm up */
		run_batch(op, b, c->algo[i]->name, 1);
	do {
		for (int k = 0; k < c->n; k++) {
			int i = (k + c->rounds) % c->n;

			c->t[i][c->rounds] = run_batch(op, b, c->algo[i]->name, batch);
		}
		c->rounds++;
	} while (c->rounds < ROUNDS_MAX && (time_is_left(until) || c->rounds < ROUNDS_MIN));
}

static double median(const double *t, int n)
{
	double copy[ROUNDS_MAX];

	memcpy(copy, t, (size_t)n * sizeof(*t));
	return bench_quantile(copy, (size_t)n, 0.5);
}

static bool ahead(const struct cell *c, int i)
{
	int wins = 0;

	for (int r = 0; r < c->rounds; r++)
		wins += c->t[i][r] < c->t[0][r];
	return wins * 3 >= c->rounds * 2 &&
	       median(c->t[i], c->rounds) * 10 <= median(c->t[0], c->rounds) * 9;
}

static void decide(const struct tune *u, const struct bench_op *op, struct cell *c)
{
	double least = median(c->t[0], c->rounds);

	c->best = "auto";
	for (int i = 1; i < c->n; i++) {
		double m = median(c->t[i], c->rounds);

		if (m >= least || !ahead(c, i))
			continue;
		least = m;
		c->best = c->algo[i]->name;
	}
	fprintf(u->out, "# %s %zu:", op->name, c->bytes);
	for (int i = 0; i < c->n; i++)
		fprintf(u->out, " %s %.1f", c->algo[i]->name, median(c->t[i], c->rounds) * 1e6);
	fprintf(u->out, "; %d rounds; %s\n", c->rounds, c->best);
	fflush(u->out);
}

/* One line for sizes that follow each other with the same algorithm; what was found at 1 MiB or more
 * holds for all that is longer. */
static void write_lines(const struct tune *u, const struct bench_op *op, const struct cell *c, int n)
{
	for (int i = 0; i < n; i++) {
		if (i + 1 < n && strcmp(c[i].best, c[i + 1].best) == 0)
			continue;
		if (i + 1 == n && c[i].bytes >= 1 << 20)
			fprintf(u->out, "%s max %s\n", op->name, c[i].best);
		else
			fprintf(u->out, "%s %zu %s\n", op->name, c[i].bytes, c[i].best);
	}
	fflush(u->out);
}

static void progress(const struct tune *u, const char *name)
{
	static const char full[] = "##############################";
	int part = u->done * (int)(sizeof(full) - 1) / u->all;

	if (u->rank == 0 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%-10s [%-30.*s] %3d %%%s", name, part, full,
			u->done * 100 / u->all, u->done == u->all ? "\n" : "");
}

static void tune_op(struct tune *u, const struct bench_op *op, struct bench *b, double *times)
{
	struct cell cell[SIZES_MAX];
	int n = 0;

	for (size_t bytes = u->o->size_min; bytes <= u->o->size_max; bytes *= 2, n++) {
		struct cell *c = &cell[n];

		memset(c, 0, sizeof(*c));
		c->bytes = bytes;
		b->count = bytes / b->type->bytes;
		for (int i = 0; i < ALGOS_MAX; i++)
			c->t[i] = times + i * ROUNDS_MAX;
		choose_algos(op, c, u->size);
		progress(u, op->name);
		measure(u, op, b, c);
		u->done++;
		if (u->rank == 0)
			decide(u, op, c);
	}
	progress(u, op->name);
	if (u->rank == 0)
		write_lines(u, op, cell, n);
}

/* How many hosts, by their names. */
static int count_hosts(const struct tune *u)
{
	uint64_t *hash = calloc((size_t)u->size, sizeof(*hash));
	char name[256] = "";
	int n = 0;

	if (!hash)
		bench_fail("out of memory");
	gethostname(name, sizeof(name) - 1);
	for (const char *p = name; *p; p++)
		hash[u->rank] = (hash[u->rank] ^ (unsigned char)*p) * UINT64_C(0x100000001b3) + 1;
	bench_must(art_allreduce(ART_IN_PLACE, hash, (size_t)u->size, ART_UINT64, ART_SUM,
				 ART_COMM_WORLD), "counting hosts");
	for (int i = 0; i < u->size; i++) {
		int k = 0;

		while (hash[k] != hash[i])
			k++;
		n += k == i;
	}
	free(hash);
	return n;
}

/* To a file of its own until all is measured. What cannot be written is said before that. */
static void open_table(struct tune *u)
{
	u->out = stdout;
	if (!u->o->file || u->rank != 0)
		return;
	if (snprintf(u->path, sizeof(u->path), "%s.part", u->o->file) >= (int)sizeof(u->path))
		bench_fail("%s: %s", u->o->file, strerror(ENAMETOOLONG));
	u->out = fopen(u->path, "we");
	if (!u->out)
		bench_fail("%s: %s", u->path, strerror(errno));
}

static void write_head(const struct tune *u, int hosts)
{
	const char *transport = getenv("ART_TRANSPORT");

	fprintf(u->out, "# Measured by art-bench --tune; ART_TUNING=FILE gives it to the library, see art(7).\n"
			"# %s; medians of the slowest rank in us\nranks %d\nhosts %d\n",
		u->o->type->name, u->size, hosts);
	if (transport && *transport)
		fprintf(u->out, "transport %s\n", transport);
	fflush(u->out);
}

static void close_table(const struct tune *u)
{
	if (u->rank != 0 || u->out == stdout)
		return;
	if (ferror(u->out) | fclose(u->out) || rename(u->path, u->o->file)) {
		int err = errno;

		unlink(u->path);
		bench_fail("%s: %s", u->o->file, strerror(err));
	}
}

int bench_tune(const struct bench_options *o, int rank, int size)
{
	struct tune u = { .o = o, .rank = rank, .size = size, .begun = bench_now() };
	struct bench b = { .rank = rank, .size = size, .type = o->type, .op = o->operator };
	double *times = calloc((size_t)ALGOS_MAX * ROUNDS_MAX, sizeof(*times));
	int hosts;

	if (size < 3) {
		if (rank == 0)
			fprintf(stderr, "art-bench: fewer than 3 ranks have nothing to choose from\n");
		free(times);
		return 1;
	}
	for (size_t bytes = o->size_min; bytes <= o->size_max; bytes *= 2)
		u.all += o->nop;
	b.in = calloc(1, o->size_max);
	b.out = calloc(1, o->size_max);
	if (!times || !b.in || !b.out)
		bench_fail("out of memory");
	open_table(&u);
	hosts = count_hosts(&u);
	if (rank == 0)
		write_head(&u, hosts);
	for (int i = 0; i < o->nop; i++)
		tune_op(&u, o->op[i], &b, times);
	close_table(&u);
	free(times);
	free(b.in);
	free(b.out);
	return 0;
}
