/* SPDX-License-Identifier: MIT
 *
 * art-bench's command line. What is wrong is said in one sentence, once a job: artrun starts many of
 * these with the same arguments.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define SIZE_LIMIT ((size_t)1 << 34)

const struct bench_op *const bench_ops[] = {
	&bench_allreduce, &bench_bcast, &bench_reduce, &bench_barrier, &bench_agree,
	&bench_shrink, NULL,
};

static bool speaks(void)
{
	const char *rank = getenv("ART_RANK");

	return !rank || strcmp(rank, "0") == 0;
}

static void __attribute__((noreturn, format(printf, 1, 2))) refuse(const char *fmt, ...)
{
	va_list ap;

	if (speaks()) {
		fputs("art-bench: ", stderr);
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputs("; see art-bench --help\n", stderr);
	}
	exit(2);
}

static void help(void)
{
	puts("usage: art-bench OP... [--sizes A[:B]] [--type T] [--operator O] [--iters N] [--json]\n"
	     "                       [--separate|--back-to-back] [--no-raw]\n"
	     "       art-bench recover|detect [--bytes N] [--kills K] [--seed S] [--json]\n"
	     "       art-bench idle [--seconds T] [--json]\n"
	     "       art-bench overlap [--sizes A[:B]] [--type T] [--operator O] [--iters N] [--work W]\n"
	     "                       [--json]\n"
	     "       art-bench --tune[=FILE] [OP...] [--sizes A[:B]] [--type T] [--budget S]\n"
	     "Operations:");
	for (int i = 0; bench_ops[i]; i++)
		printf("  %-10s %s%s\n", bench_ops[i]->name, bench_ops[i]->what,
		       bench_ops[i]->synchronises ? " (default: back to back)" :
						    " (default: separated by a barrier)");
	puts("  all        all of these but agree and shrink, one after the other\n"
	     "  recover    SIGKILL of a rank to the next completed allreduce (--bytes, default 8),\n"
	     "             beside the time of one while nothing fails\n"
	     "  detect     SIGSTOP, and SIGKILL, of a rank until the others know\n"
	     "  idle       CPU use of ranks blocked in a barrier\n"
	     "  overlap    how much of an iallreduce passes while rank 0 computes (default: 1M),\n"
	     "             which takes --work times the operation (default: 3)\n"
	     "  --tune     which algorithm is best for bcast, reduce and allreduce (or those named) at\n"
	     "             each size (default: 8:4M), in about --budget seconds (default: 60): a table for\n"
	     "             ART_TUNING, to FILE or standard output");
	fputs("Types (default: uint64):", stdout);
	for (const struct bench_type *t = bench_types; t->name; t++)
		printf(" %s", t->name);
	fputs("\nOperators (default: sum):", stdout);
	for (const struct bench_operator *o = bench_operators; o->name; o++)
		printf(" %s", o->name);
	puts("\nSizes are bytes, with K, M or G as powers of 1024; each is twice the one before\n"
	     "(default: 8:1M). Printed are, per size, median, 90th and 99th percentile and the\n"
	     "longest of the slowest rank's times, and bytes per second. Every result is checked.\n"
	     "Start it with: artrun -n 2 art-bench allreduce --sizes 8:1M");
}

static size_t read_size(const char *s, const char **end)
{
	char *e;
	unsigned long long v = strtoull(s, &e, 10);
	const char *unit = strchr("kKmMgG", *e ? *e : '?');
	unsigned shift = unit ? 10 * (1 + (unsigned)(unit - strchr("kKmMgG", 'k')) / 2) : 0;

	if (e == s || *s == '-' || !v || v > SIZE_LIMIT >> shift)
		refuse("'%s' is no size from 1 to 16G", s);
	*end = e + (unit != NULL);
	return (size_t)v << shift;
}

static size_t read_bytes(const char *text)
{
	const char *s = text;
	size_t bytes = read_size(s, &s);

	if (*s)
		refuse("'%s' is no size from 1 to 16G", text);
	return bytes;
}

static void read_sizes(const char *text, struct bench_options *o)
{
	const char *s = text;

	o->size_max = o->size_min = read_size(s, &s);
	if (*s == ':')
		o->size_max = read_size(s + 1, &s);
	if (*s)
		refuse("'%s' is no range of sizes, such as 8:1M", text);
	if (o->size_min > o->size_max)
		refuse("the first of the sizes %s is above the last", text);
}

static double read_number(const char *name, const char *s, double low, double high)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !(v >= low && v <= high))
		refuse("--%s wants a number from %g to %g, not '%s'", name, low, high, s);
	return v;
}

static void add(struct bench_options *o, const struct bench_op *op)
{
	if (o->nop == BENCH_OPS_MAX)
		refuse("more than %d operations at once", BENCH_OPS_MAX);
	o->op[o->nop++] = op;
}

static void read_op(const char *name, struct bench_options *o)
{
	int i = 0;

	if (strcmp(name, "recover") == 0 || strcmp(name, "detect") == 0 ||
	    strcmp(name, "idle") == 0 || strcmp(name, "overlap") == 0) {
		o->special = name;
		return;
	}
	if (strcmp(name, "all") == 0) {
		for (; bench_ops[i]; i++)
			if (!bench_ops[i]->apart)
				add(o, bench_ops[i]);
		return;
	}
	while (bench_ops[i] && strcmp(bench_ops[i]->name, name))
		i++;
	if (!bench_ops[i])
		refuse("there is no benchmark '%s'", name);
	add(o, bench_ops[i]);
}

static void check_tune(struct bench_options *o)
{
	static const struct bench_op *const tuned[] = { &bench_bcast, &bench_reduce, &bench_allreduce };

	if (o->json)
		refuse("--tune writes a table, not JSON");
	for (int i = 0; i < o->nop; i++)
		if (!o->op[i]->sized)
			refuse("%s has no algorithms to choose from", o->op[i]->name);
	for (int i = 0; i < 3 && o->nop == i; i++)
		add(o, tuned[i]);
}

static void check(const struct bench_options *o, int names)
{
	if (names == 0 && !o->tune)
		refuse("no operation was named");
	if (o->special && (names > 1 || o->tune))
		refuse("'%s' runs alone", o->special);
	if (o->size_min % o->type->bytes)
		refuse("%zu bytes are no whole number of %s", o->size_min, o->type->name);
	if (o->bytes % sizeof(uint64_t))
		refuse("%zu bytes are no whole number of uint64", o->bytes);
	if (o->operator->integers && o->type->of == 'f')
		refuse("the operator %s is not defined for %s", o->operator->name, o->type->name);
}

static void read_option(int c, struct bench_options *o)
{
	switch (c) {
	case 'z': read_sizes(optarg, o); break;
	case 'n': o->iters = (long)read_number("iters", optarg, 1, 1e8); break;
	case 'B': o->bytes = read_bytes(optarg); break;
	case 'k': o->kills = (int)read_number("kills", optarg, 1, 1e6); break;
	case 'e': o->seed = (uint64_t)read_number("seed", optarg, 0, 9e15); break;
	case 't': o->seconds = read_number("seconds", optarg, 0.01, 1e4); break;
	case 'W': o->work = read_number("work", optarg, 0.1, 1e3); break;
	case 'y':
		o->type = bench_type_find(optarg);
		if (!o->type)
			refuse("there is no type '%s'", optarg);
		break;
	case 'o':
		o->operator = bench_operator_find(optarg);
		if (!o->operator)
			refuse("there is no operator '%s'", optarg);
		break;
	case 'T':
		o->tune = true;
		o->file = optarg;
		break;
	case 'g': o->budget = read_number("budget", optarg, 1, 1e5); break;
	case 'j': o->json = true; break;
	case 's': case 'b': o->mode = c; break;
	case 'w': o->no_raw = true; break;
	}
}

static void tell_version(void)
{
	int major, minor, patch;

	art_get_version(&major, &minor, &patch);
	printf("art-bench (ART) %d.%d.%d\n", major, minor, patch);
}

void bench_read_options(int argc, char **argv, struct bench_options *o)
{
	static const struct option known[] = {
		{ "sizes", required_argument, NULL, 'z' },  { "iters", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },         { "separate", no_argument, NULL, 's' },
		{ "back-to-back", no_argument, NULL, 'b' }, { "kills", required_argument, NULL, 'k' },
		{ "seed", required_argument, NULL, 'e' },   { "seconds", required_argument, NULL, 't' },
		{ "type", required_argument, NULL, 'y' },   { "operator", required_argument, NULL, 'o' },
		{ "bytes", required_argument, NULL, 'B' },  { "tune", optional_argument, NULL, 'T' },
		{ "budget", required_argument, NULL, 'g' }, { "no-raw", no_argument, NULL, 'w' },
		{ "work", required_argument, NULL, 'W' },
		{ "help", no_argument, NULL, 'h' },         { "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*o = (struct bench_options){
		.kills = 1, .bytes = 8, .seconds = 2, .budget = 60, .work = 3, /* and sizes by what is run */
		.seed = (uint64_t)time(NULL) ^ (uint64_t)getpid(),
		.type = bench_type_find("uint64"), .operator = bench_operator_find("sum"),
	};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == '?')
			refuse("'%s' is not understood", argv[optind - 1]);
		if (c == 'h' || c == 'V') {
			if (speaks())
				c == 'h' ? help() : tell_version();
			exit(0);
		}
		read_option(c, o);
	}
	for (int i = optind; i < argc; i++)
		read_op(argv[i], o);
	check(o, argc - optind);
	if (o->tune) {
		check_tune(o);
		o->special = "tune";
	}
	if (!o->size_max) {
		o->size_min = o->special && !o->tune ? 1 << 20 : 8;
		o->size_max = o->tune ? 4 << 20 : 1 << 20;
	}
}
