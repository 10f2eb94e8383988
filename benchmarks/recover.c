/* SPDX-License-Identifier: MIT
 *
 * How long a loss interrupts a job: all ranks run allreduces, of 8 bytes by default, in a loop; at a
 * random instant one of them writes the time into a page that all share and kills itself with SIGKILL. Each
 * survivor takes the time when its first allreduce without the victim is done; the figure is the
 * one of the slowest survivor. Beside it stands what such an allreduce takes in the same job while nothing
 * fails: less than that no recovery can take. Every sum is checked against its contributor set.
 *
 * As "detect" the victim is stopped (SIGSTOP) or killed in turn, and the figure is how long it took until
 * the survivors knew: the first and the last of them.
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

enum { KILLS_MAX = 512, FREE_WARM = 4, FREE_OPS = 21 };

struct page { /* shared by all ranks, lives as long as one of them has it */
	_Atomic uint64_t killed_ns[KILLS_MAX];
	_Atomic int pid[KILLS_MAX]; /* of the victim */
};

struct shot { /* one planned kill, at the victim */
	struct page *page;
	int index, sig;
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
	atomic_store(&s->page->pid[s->index], (int)getpid());
	atomic_store(&s->page->killed_ns[s->index], now_ns());
	kill(getpid(), s->sig);
	return NULL;
}

struct timing { /* of one allreduce at this rank */
	uint64_t began_ns, ended_ns;
};

/* One allreduce; @live becomes its contributor set, the sum must be that of exactly them. */
static int checked_allreduce(struct bench *b, bool *live, art_status_t *status, struct timing *t)
{
	uint64_t *in = b->in, *out = b->out, ranks = 0;
	int n = 0;

	b->iter++;
	for (size_t i = 0; i < b->count; i++)
		in[i] = bench_value(b->iter, b->rank, i);
	t->began_ns = now_ns();
	bench_must(art_allreduce(in, out, b->count, ART_UINT64, ART_SUM, ART_COMM_WORLD), "allreduce");
	t->ended_ns = now_ns();
	bench_must(art_last_status(ART_COMM_WORLD, status), "status");
	for (int r = 0; r < b->size; r++) {
		int yes;

		bench_must(art_status_contributed(status, r, &yes), "status");
		live[r] = yes;
		n += yes;
		if (yes)
			ranks += (uint64_t)r + 1;
	}
	/* A value is rank + 1 times what depends on the place only, plus the place. */
	for (size_t i = 0; i < b->count; i++) {
		uint64_t unit = bench_value(b->iter, 0, i) - i;

		if (out[i] != ranks * unit + (uint64_t)n * i || !live[b->rank])
			bench_fail("recover: wrong sum at rank %d in operation %llu, element %zu", b->rank,
				   (unsigned long long)b->iter, i);
	}
	return n;
}

/* What one takes while nothing fails, in ms: the median, at the rank where that is longest. */
static double time_without_loss(struct bench *b, bool *live)
{
	double ms[FREE_OPS], slowest;
	struct timing t;
	art_status_t status;

	for (int i = -FREE_WARM; i < FREE_OPS; i++) {
		checked_allreduce(b, live, &status, &t);
		if (i >= 0)
			ms[i] = (double)(t.ended_ns - t.began_ns) * 1e-6;
	}
	slowest = bench_quantile(ms, FREE_OPS, 0.5);
	bench_must(art_allreduce(ART_IN_PLACE, &slowest, 1, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	return slowest;
}

static int choose(const bool *live, int n, uint64_t random)
{
	int k = (int)(random % (uint64_t)n), r = 0;

	for (; !live[r] || k > 0; r++)
		k -= live[r];
	return r;
}

/* The phases of a recovery, at one survivor: they add up to the last. */
enum { DETECTION, FREEZE, DECISION, INSTALL, REPLAY, TOTAL, PHASES };
static const char *const phase_name[PHASES] = {
	"detection", "freeze", "decision", "install", "replay", "total",
};

struct recovery {
	double ms[PHASES]; /* of the slowest survivor */
	double first_ms, last_ms; /* detection, over the survivors */
	double free_ms; /* without a loss */
	int slowest, replays;
};

static double ms_between(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) * 1e-6 : 0;
}

/* This rank's phases, from @killed on. A rank that had the result before it had to freeze has no
 * others than the total. */
static void own_phases(uint64_t killed, uint64_t done, double *ms)
{
	art_change_t c;

	bench_must(art_last_change(&c), "art_last_change");
	for (int i = 0; i < PHASES; i++)
		ms[i] = 0;
	ms[TOTAL] = ms_between(killed, done);
	if (c.frozen_ns < killed || c.installed_ns > done)
		return;
	if (c.sign_ns < killed)
		c.sign_ns = killed;
	ms[DETECTION] = ms_between(killed, c.sign_ns);
	ms[FREEZE] = ms_between(c.sign_ns, c.frozen_ns);
	ms[DECISION] = ms_between(c.frozen_ns, c.decided_ns);
	ms[INSTALL] = ms_between(c.decided_ns, c.installed_ns);
	ms[REPLAY] = ms_between(c.installed_ns, done);
}

/* All survivors get the phases of the slowest. */
static void share_phases(struct bench *b, const double *ms, int replays, struct recovery *out)
{
	struct { double value; int32_t rank; } slowest = { ms[TOTAL], b->rank };
	double all[PHASES + 1] = { 0 };

	bench_must(art_allreduce(ART_IN_PLACE, &slowest, 1, ART_DOUBLE_INT32, ART_MAXLOC, ART_COMM_WORLD),
		   "collecting times");
	if (slowest.rank == b->rank)
		for (int i = 0; i < PHASES; i++)
			all[i] = ms[i];
	bench_must(art_allreduce(ART_IN_PLACE, all, PHASES, ART_DOUBLE, ART_SUM, ART_COMM_WORLD),
		   "collecting times");
	for (int i = 0; i < PHASES; i++)
		out->ms[i] = all[i];
	all[PHASES] = replays;
	bench_must(art_allreduce(ART_IN_PLACE, &all[PHASES], 1, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
	out->replays = (int)all[PHASES];
	out->slowest = slowest.rank;
	out->first_ms = out->last_ms = ms[DETECTION];
	bench_must(art_allreduce(ART_IN_PLACE, &out->first_ms, 1, ART_DOUBLE, ART_MIN, ART_COMM_WORLD),
		   "collecting times");
	bench_must(art_allreduce(ART_IN_PLACE, &out->last_ms, 1, ART_DOUBLE, ART_MAX, ART_COMM_WORLD),
		   "collecting times");
}

/* From the kill to this rank's first result without the victim. */
static void one_kill(struct bench *b, bool *live, struct page *page, int index, int victim, int sig,
		     uint64_t wait_us, struct recovery *out)
{
	struct shot shot = { page, index, sig, { .tv_nsec = (long)(wait_us * 1000) } };
	double ms[PHASES];
	art_status_t status;
	struct timing t;
	pthread_t thread;
	int r;

	out->free_ms = time_without_loss(b, live);

	if (b->rank == victim && pthread_create(&thread, NULL, fire, &shot) != 0)
		bench_fail("recover: cannot start a thread");
	while (live[victim])
		checked_allreduce(b, live, &status, &t);
	own_phases(atomic_load(&page->killed_ns[index]), t.ended_ns, ms);
	bench_must(art_status_replays(&status, &r), "status");
	share_phases(b, ms, r, out);
}

static void print_recovery(const struct bench_options *o, const struct recovery *r, int ranks, int victim,
			   uint64_t seed, uint64_t killed)
{
	unsigned long long s = seed, at = killed;

	if (o->json)
		printf("{\"op\": \"recover\", \"ranks\": %d, \"bytes\": %zu, \"victim\": %d, \"ms\": %.3f, "
		       "\"slowest\": %d, \"phases_ms\": {", ranks, o->bytes, victim, r->ms[TOTAL],
		       r->slowest);
	else
		printf("recover: %d ranks, %zu bytes, rank %d killed, %.3f ms to the next result at the "
		       "slowest survivor, rank %d (", ranks, o->bytes, victim, r->ms[TOTAL], r->slowest);
	for (int i = 0; i < TOTAL; i++)
		printf(o->json ? "%s\"%s\": %.3f" : "%s%s %.3f", i ? ", " : "", phase_name[i], r->ms[i]);
	printf(o->json ? "}, \"without_loss_ms\": %.3f, \"more_ms\": %.3f, \"replays\": %d, "
			 "\"seed\": %llu, \"killed_ns\": %llu}\n" :
			 "); without a loss %.3f ms, so %.3f ms more; %d replays, seed %llu, at %llu ns\n",
	       r->free_ms, r->ms[TOTAL] - r->free_ms, r->replays, s, at);
	fflush(stdout);
}

static void print_detection(const struct bench_options *o, const struct recovery *r, int ranks, int victim,
			    int sig, uint64_t seed)
{
	printf(o->json ? "{\"op\": \"detect\", \"ranks\": %d, \"victim\": %d, \"signal\": \"%s\", "
			 "\"first_ms\": %.3f, \"last_ms\": %.3f, \"result_ms\": %.3f, \"seed\": %llu}\n" :
			 "detect: %d ranks, rank %d got %s: known after %.3f ms at the first survivor, %.3f ms "
			 "at the last; result after %.3f ms, seed %llu\n",
	       ranks, victim, sig == SIGSTOP ? "SIGSTOP" : "SIGKILL", r->first_ms, r->last_ms, r->ms[TOTAL],
	       (unsigned long long)seed);
	fflush(stdout);
}

int bench_recover(const struct bench_options *o, int rank, int size)
{
	bool detect = strcmp(o->special, "detect") == 0;
	int shots = detect ? 2 * o->kills : o->kills;
	struct bench b = { .rank = rank, .size = size, .count = o->bytes / sizeof(uint64_t) };
	uint64_t seed = o->seed, shared;
	struct page *page;
	art_status_t status;
	struct timing t;
	bool *live = calloc((size_t)size, sizeof(*live));
	int n, lowest;

	b.in = calloc(b.count, sizeof(uint64_t));
	b.out = calloc(b.count, sizeof(uint64_t));
	if (!live || !b.in || !b.out)
		bench_fail("out of memory");
	if (shots >= size || shots > KILLS_MAX)
		bench_fail("%s: --kills must leave one of the %d ranks", o->special, size);
	page = share_page(rank, &seed);
	shared = seed;
	n = checked_allreduce(&b, live, &status, &t);
	for (int k = 0; k < shots; k++) {
		int sig = detect && k % 2 == 0 ? SIGSTOP : SIGKILL;
		int victim = choose(live, n, next_random(&seed));
		/* A running job: its first moments, in which connections are made, are another matter. */
		uint64_t wait_us = 50000 + next_random(&seed) % 50000;
		struct recovery r;

		one_kill(&b, live, page, k, victim, sig, wait_us, &r);
		n = checked_allreduce(&b, live, &status, &t);
		for (lowest = 0; !live[lowest]; lowest++)
			;
		if (rank == lowest && sig == SIGSTOP)
			kill(atomic_load(&page->pid[k]), SIGKILL); /* it is no member any more */
		if (rank == lowest && detect)
			print_detection(o, &r, n + 1, victim, sig, shared);
		else if (rank == lowest)
			print_recovery(o, &r, n + 1, victim, shared, atomic_load(&page->killed_ns[k]));
	}
	munmap(page, sizeof(*page));
	free(b.in);
	free(b.out);
	free(live);
	return 0;
}
