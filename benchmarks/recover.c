/* SPDX-License-Identifier: MIT
 *
 * How long a loss interrupts a job: all ranks run 8-byte allreduces in a loop; at a random instant
 * one of them writes the time into a page that all share and kills itself with SIGKILL. Each
 * survivor takes the time when its first allreduce without the victim is done; the figure is the
 * one of the slowest survivor. Every sum is checked against its contributor set.
 *
 * Needs all ranks on one machine: the page is memory, and the clocks must be the same one. Where they
 * do not see each other's processes (benchmarks/hosts.sh), ART_BENCH_PAGE names a file of zeros that
 * all of them can open.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { KILLS_MAX = 512 };

struct page { /* shared by all ranks, lives as long as one of them has it */
	_Atomic uint64_t killed_ns[KILLS_MAX];
};

struct shot { /* one planned kill, at the victim */
	struct page *page;
	int index;
	struct timespec wait;
};

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A memory file of rank 0, opened by the others through /proc: no name, nothing to clean up. */
static struct page *share_page(int rank, uint64_t *seed)
{
	uint64_t say[3] = { 0, 0, *seed }; /* pid, fd, seed */
	const char *file = getenv("ART_BENCH_PAGE");
	int64_t works;
	struct page *p = MAP_FAILED;
	char path[64];
	int fd = -1;

	if (file) {
		fd = open(file, O_RDWR | O_CLOEXEC);
		if (fd < 0 || ftruncate(fd, sizeof(*p)) != 0)
			bench_fail("%s: %s", file, strerror(errno));
	} else if (rank == 0) {
		fd = memfd_create("art-bench", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, sizeof(*p)) != 0)
			bench_fail("shared page: %s", strerror(errno));
		say[0] = (uint64_t)getpid();
		say[1] = (uint64_t)fd;
	}
	bench_must(art_bcast(say, 3, ART_UINT64, 0, ART_COMM_WORLD), "shared page");
	*seed = say[2];
	if (rank != 0 && !file) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)say[0], (int)say[1]);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd >= 0)
		p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	works = p != MAP_FAILED;
	bench_must(art_allreduce(ART_IN_PLACE, &works, 1, ART_INT64, ART_MIN, ART_COMM_WORLD),
		   "shared page");
	if (!works)
		bench_fail("recover needs all ranks on one host and /proc");
	close(fd);
	return p;
}

static void *fire(void *arg)
{
	struct shot *s = arg;

	nanosleep(&s->wait, NULL);
	atomic_store(&s->page->killed_ns[s->index], now_ns());
	kill(getpid(), SIGKILL);
	return NULL;
}

/* One 8-byte allreduce; @live becomes its contributor set, the sum must be that of exactly them. */
static int checked_allreduce(struct bench *b, bool *live, art_status_t *status)
{
	uint64_t want = 0;
	int n = 0;

	b->iter++;
	*(uint64_t *)b->in = bench_value(b->iter, b->rank, 0);
	bench_must(art_allreduce(b->in, b->out, 1, ART_UINT64, ART_SUM, ART_COMM_WORLD),
		   "allreduce");
	bench_must(art_last_status(ART_COMM_WORLD, status), "status");
	for (int r = 0; r < b->size; r++) {
		int yes;

		bench_must(art_status_contributed(status, r, &yes), "status");
		live[r] = yes;
		n += yes;
		if (yes)
			want += bench_value(b->iter, r, 0);
	}
	if (*(uint64_t *)b->out != want || !live[b->rank])
		bench_fail("recover: wrong sum at rank %d in operation %llu", b->rank,
			   (unsigned long long)b->iter);
	return n;
}

static int choose(const bool *live, int n, uint64_t random)
{
	int k = (int)(random % (uint64_t)n), r = 0;

	for (; !live[r] || k > 0; r++)
		k -= live[r];
	return r;
}

/* Returns the seconds from the kill to the slowest survivor's first result without the victim. */
static double one_kill(struct bench *b, bool *live, struct page *page, int index, int victim,
		       uint64_t wait_us, double *replays)
{
	struct shot shot = { page, index, { .tv_nsec = (long)(wait_us * 1000) } };
	double out[2] = { 0, 0 };
	art_status_t status;
	pthread_t thread;
	int r;

	if (b->rank == victim && pthread_create(&thread, NULL, fire, &shot) != 0)
		bench_fail("recover: cannot start a thread");
	while (live[victim])
		checked_allreduce(b, live, &status);
	out[0] = (double)(now_ns() - atomic_load(&page->killed_ns[index])) * 1e-9;
	bench_must(art_status_replays(&status, &r), "status");
	out[1] = r;
	bench_must(art_allreduce(ART_IN_PLACE, out, 2, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	*replays = out[1];
	return out[0];
}

int bench_recover(const struct bench_options *o, int rank, int size)
{
	struct bench b = { .rank = rank, .size = size };
	uint64_t seed = o->seed, shared, in, out;
	struct page *page;
	art_status_t status;
	bool *live = calloc((size_t)size, sizeof(*live));
	int n, lowest;

	if (!live)
		bench_fail("out of memory");
	if (o->kills >= size || o->kills > KILLS_MAX)
		bench_fail("recover: --kills must leave one of the %d ranks", size);
	page = share_page(rank, &seed);
	shared = seed;
	b.in = &in;
	b.out = &out;
	n = checked_allreduce(&b, live, &status);
	for (int k = 0; k < o->kills; k++) {
		int victim = choose(live, n, next_random(&seed));
		uint64_t wait_us = 2000 + next_random(&seed) % 50000;
		double replays, s = one_kill(&b, live, page, k, victim, wait_us, &replays);

		n = checked_allreduce(&b, live, &status);
		for (lowest = 0; !live[lowest]; lowest++)
			;
		if (rank != lowest)
			continue;
		printf(o->json ? "{\"op\": \"recover\", \"ranks\": %d, \"victim\": %d, \"ms\": "
				 "%.3f, \"replays\": %.0f, \"seed\": %llu, \"killed_ns\": %llu}\n" :
				 "recover: %d ranks, rank %d killed, %.3f ms to the next result at "
				 "the slowest survivor, %.0f replays, seed %llu, at %llu ns\n",
		       n + 1, victim, s * 1e3, replays, (unsigned long long)shared,
		       (unsigned long long)atomic_load(&page->killed_ns[k]));
		fflush(stdout);
	}
	munmap(page, sizeof(*page));
	free(live);
	return 0;
}
