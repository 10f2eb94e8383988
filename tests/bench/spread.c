/* SPDX-License-Identifier: MIT
 *
 * Two threads that combine, each on a core of its own, beside one: the pool of threads alone (engine/workers.h).
 *
 *   spread BYTES PIECE SLICE ROUNDS
 *
 * Two vectors of BYTES are added into a third, PIECE by PIECE, each cut into slices of SLICE. Printed are the
 * medians of ROUNDS with one thread and with two, in turn, in microseconds. Run it with two cores.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coll/combine.h"
#include "engine/workers.h"

struct vectors {
	double *left, *right, *out;
	size_t count, each;
};

static cpu_set_t second;

static void add_slice(void *arg, unsigned slice, unsigned hand)
{
	const struct vectors *v = arg;
	size_t at = slice * v->each, n = v->count - at < v->each ? v->count - at : v->each;

	(void)hand;
	art__combine(ART_O_SUM, ART_T_DOUBLE, v->left + at, v->right + at, v->out + at, n);
}

static int where(void *self, int most, struct art_worker_place *place)
{
	(void)self;
	place->cpus = second;
	place->own = true;
	return most;
}

/* The first CPU that this process may run on is this thread's, the next the other's. */
static bool take_cores(void)
{
	cpu_set_t all, first;
	int found = 0;

	CPU_ZERO(&first);
	CPU_ZERO(&second);
	if (sched_getaffinity(0, sizeof(all), &all))
		return false;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, found++ ? &second : &first);
	return found == 2 && sched_setaffinity(0, sizeof(first), &first) == 0;
}

static double add_all(struct art_workers *w, const struct vectors *all, size_t piece, size_t slice)
{
	uint64_t begun = art__env_now(w->env);

	for (size_t at = 0; at < all->count; at += piece) {
		struct vectors v = { all->left + at, all->right + at, all->out + at,
				     all->count - at < piece ? all->count - at : piece, slice };

		art__workers_spread(w, add_slice, &v, (unsigned)((v.count + slice - 1) / slice));
	}
	return (double)(art__env_now(w->env) - begun) / 1000;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double *vector(size_t bytes)
{
	double *v = malloc(bytes);

	if (v)
		memset(v, 1, bytes);
	return v;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 5 ? strtoul(argv[1], NULL, 10) : 0, piece = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	size_t slice = argc == 5 ? strtoul(argv[3], NULL, 10) : 0, rounds = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
	struct vectors v = { vector(bytes), vector(bytes), vector(bytes), bytes / sizeof(double), 0 };
	double *one = calloc(rounds + 1, sizeof(*one)), *two = calloc(rounds + 1, sizeof(*two));
	struct art_workers alone, helped;
	struct art_env env;

	if (!bytes || piece < sizeof(double) || slice < sizeof(double) || !rounds || !v.left || !v.right || !v.out ||
	    !one || !two || !take_cores()) {
		fputs("usage: spread BYTES PIECE SLICE ROUNDS, with two cores\n", stderr);
		return 2;
	}
	art__env_posix(&env, "spread", ART_LOG_WARN);
	art__workers_init(&alone, &env, 0, where, NULL);
	art__workers_init(&helped, &env, 1, where, NULL);
	while (art__workers_hands(&helped) < 2)
		sched_yield();
	for (size_t i = 0; i < rounds; i++) {
		one[i] = add_all(&alone, &v, piece / sizeof(double), slice / sizeof(double));
		two[i] = add_all(&helped, &v, piece / sizeof(double), slice / sizeof(double));
	}
	art__workers_stop(&helped);
	qsort(one, rounds, sizeof(*one), by_size);
	qsort(two, rounds, sizeof(*two), by_size);
	printf("%zu in pieces of %zu, slices of %zu: one %.1f us, two %.1f us, ratio %.2f\n", bytes, piece, slice,
	       one[rounds / 2], two[rounds / 2], two[rounds / 2] / one[rounds / 2]);
	free(v.left);
	free(v.right);
	free(v.out);
	free(one);
	free(two);
	return 0;
}
