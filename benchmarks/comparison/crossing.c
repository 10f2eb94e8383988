/* SPDX-License-Identifier: MIT
 *
 * How long a cache line takes from one core to another: two threads, bound to the first two CPUs of this process,
 * answer each other by words on lines of their own. Prints nanoseconds one way, the median of some rounds.
 *
 * A virtual machine may be given two threads of one core now and two distant cores a second later, which
 * makes four times as much, and all that small operations in shared memory take goes with it: times of two
 * runs can be compared only if this is about the same in both.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 21, TURNS = 4000 };

static struct {
	_Alignas(128) atomic_int word;
} to, from;
static int cpu[2];

static void bind_to(int number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(number, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void *answer(void *arg)
{
	bind_to(cpu[1]);
	for (int i = 1; i <= ROUNDS * TURNS; i++) {
		while (atomic_load_explicit(&to.word, memory_order_acquire) != i)
			;
		atomic_store_explicit(&from.word, i, memory_order_release);
	}
	return arg;
}

static double ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	double took[ROUNDS];
	cpu_set_t all;
	pthread_t other;
	int n = 0;

	sched_getaffinity(0, sizeof(all), &all);
	for (int c = 0; c < CPU_SETSIZE && n < 2; c++)
		if (CPU_ISSET(c, &all))
			cpu[n++] = c;
	if (n < 2 || pthread_create(&other, NULL, answer, NULL))
		return 1;
	bind_to(cpu[0]);
	for (int r = 0, i = 0; r < ROUNDS; r++) {
		double begin = ns();

		for (int k = 0; k < TURNS; k++) {
			atomic_store_explicit(&to.word, ++i, memory_order_release);
			while (atomic_load_explicit(&from.word, memory_order_acquire) != i)
				;
		}
		took[r] = (ns() - begin) / TURNS / 2;
	}
	pthread_join(other, NULL);
	qsort(took, ROUNDS, sizeof(*took), by_size);
	printf("%.0f\n", took[ROUNDS / 2]);
	return 0;
}
