/* SPDX-License-Identifier: MIT
 *
 * Description: of many pieces each slice is done once, whoever does it, and is over when the owner goes on; a piece
 * before the threads are there, on none, with one slice; who is late is left out for a while; no signal reaches a
 * worker but faults; threads that nobody makes work do not run; they end while they sleep, spin or are not made yet; where
 * there is no place, or no thread to be had, the owner does everything.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/workers.h"
#include "tests/lib/unit.h"

#define PAGE 4096
#define SLICES_MAX 300
#define BOUND_NS (20 * ART_NS_PER_S)

static struct art_env env;
static struct art_workers w;
static int logged;
static _Atomic int may_create = INT_MAX; /* so many threads; then the system has no more */

/* Stands before the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return atomic_fetch_sub(&may_create, 1) > 0 ? real(thread, attr, body, arg) : EAGAIN;
}

static void count_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	(void)line;
	logged++;
}

/* Where this process may run; one of two has its core for itself. */
static int anywhere(void *self, int most, struct art_worker_place *where)
{
	int *few = self;

	for (int i = 0; i < most; i++) {
		CU_ASSERT(sched_getaffinity(0, sizeof(where[i].cpus), &where[i].cpus) == 0);
		where[i].own = i % 2;
	}
	return few ? *few : most;
}

static void begin(int most, int *few)
{
	art__env_posix(&env, "test", ART_LOG_DEBUG);
	env.log = count_log;
	logged = 0;
	art__workers_init(&w, &env, most, anywhere, few);
}

static bool in_time(uint64_t begun)
{
	return art__env_now(&env) - begun < BOUND_NS;
}

static void all_there(unsigned hands)
{
	uint64_t begun = art__env_now(&env);

	while (art__workers_hands(&w) < hands && in_time(begun))
		sched_yield();
	CU_ASSERT_EQUAL_FATAL(art__workers_hands(&w), hands);
}

struct piece {
	unsigned n, most;
	unsigned done[SLICES_MAX]; /* not atomic: spread() orders them */
	_Atomic unsigned busy[ART_WORKERS_MAX + 1], by[ART_WORKERS_MAX + 1];
	bool wrong;
};

static void slice(void *arg, unsigned i, unsigned hand)
{
	struct piece *p = arg;

	if (i >= p->n || hand > p->most || atomic_fetch_add(&p->busy[hand], 1)) {
		p->wrong = true;
		return;
	}
	p->done[i]++;
	atomic_fetch_add(&p->by[hand], 1);
	atomic_fetch_sub(&p->busy[hand], 1);
}

/* As many as threads as it takes; also with slices that take a while. */
static void pieces(unsigned most, int rounds)
{
	static struct piece p;

	memset(&p, 0, sizeof(p));
	p.most = most;
	for (int round = 1; round <= rounds; round++) {
		p.n = (unsigned)(round * 7) % SLICES_MAX;
		memset(p.done, 0, sizeof(p.done));
		art__workers_spread(&w, slice, &p, p.n);
		for (unsigned i = 0; i < SLICES_MAX; i++)
			p.wrong |= p.done[i] != (i < p.n);
	}
	CU_ASSERT_FALSE(p.wrong);
}

static void each_slice_is_done_once(void)
{
	for (int most = 1; most <= ART_WORKERS_MAX; most *= 2) {
		begin(most, NULL);
		pieces((unsigned)most, 3); /* before and while they come */
		all_there((unsigned)most + 1);
		pieces((unsigned)most, 2000);
		art__workers_stop(&w);
		CU_ASSERT_EQUAL(art__workers_hands(&w), 1);
		pieces(0, 3);
	}
	CU_ASSERT_EQUAL(logged, 0);
}

/* A slice that ends only when somebody else has begun one. */
static void wait_for_another(void *arg, unsigned i, unsigned hand)
{
	_Atomic unsigned *begun = arg;
	uint64_t since = art__env_now(&env);

	(void)i;
	(void)hand;
	atomic_fetch_add(begun, 1);
	while (atomic_load(begun) < 2 && in_time(since))
		sched_yield();
}

static void they_do_help(void)
{
	begin(1, NULL);
	all_there(2);
	for (int k = 0; k < 20; k++) {
		_Atomic unsigned begun = 0;

		art__workers_spread(&w, wait_for_another, &begun, 2);
		CU_ASSERT_EQUAL(atomic_load(&begun), 2);
		/* Asleep, then spinning: both are found. */
		for (uint64_t since = art__env_now(&env); k % 2 && !atomic_load(&w.asleep) && in_time(since);)
			sched_yield();
	}
	art__workers_stop(&w);
}

static uint64_t cpu_ns(pthread_t thread)
{
	struct timespec t = { 0, 0 };
	clockid_t clock;

	CU_ASSERT(pthread_getcpuclockid(thread, &clock) == 0 && clock_gettime(clock, &t) == 0);
	return (uint64_t)t.tv_sec * ART_NS_PER_S + (uint64_t)t.tv_nsec;
}

static pthread_t owner;

/* The owner's slices are short, all others wait until it has been in vain for a while, of its own time: on a
 * busy core it may be long before it looks at all. */
static void be_late(void *arg, unsigned i, unsigned hand)
{
	_Atomic unsigned *others = arg;
	uint64_t since = art__env_now(&env), used = cpu_ns(owner);

	(void)i;
	if (hand)
		atomic_fetch_add(others, 1);
	while ((hand ? cpu_ns(owner) - used < 50 * ART_NS_PER_MS : !atomic_load(others)) && in_time(since))
		sched_yield();
}

static unsigned asked_in_vain(void)
{
	unsigned n = 0;

	while (art__workers_hands(&w) == 1)
		n++;
	return n;
}

/* Each time it takes longer until they are asked again, but it is not for ever. */
static void who_is_late_is_left_out(void)
{
	unsigned before = 0, times;

	owner = pthread_self();
	begin(1, NULL);
	all_there(2);
	for (int k = 0; k < 4; k++) {
		_Atomic unsigned others = 0;

		CU_ASSERT_EQUAL(art__workers_hands(&w), 2);
		art__workers_spread(&w, be_late, &others, 2);
		times = asked_in_vain();
		CU_ASSERT(times > before && times < 10000);
		before = times;
	}
	art__workers_stop(&w);
}

static void look_at_mask(void *arg, unsigned i, unsigned hand)
{
	_Atomic unsigned *masked = arg;
	sigset_t now;

	(void)i;
	if (!hand || pthread_sigmask(SIG_BLOCK, NULL, &now))
		return;
	atomic_fetch_add(masked, sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGTERM) == 1 ? 1u : 1000u);
}

static void no_signal_reaches_them(void)
{
	_Atomic unsigned masked = 0;
	uint64_t since;
	sigset_t mine;

	begin(2, NULL);
	all_there(3);
	since = art__env_now(&env);
	while (!atomic_load(&masked) && in_time(since))
		art__workers_spread(&w, look_at_mask, &masked, SLICES_MAX);
	CU_ASSERT(atomic_load(&masked) > 0 && atomic_load(&masked) < 1000);
	CU_ASSERT(pthread_sigmask(SIG_BLOCK, NULL, &mine) == 0 && !sigismember(&mine, SIGUSR1));
	art__workers_stop(&w);
}

/* Memory that cannot be touched until a handler has been called on the thread that does. */
static void *guarded;
static _Atomic unsigned faults;

static void make_accessible(int sig)
{
	(void)sig;
	atomic_fetch_add(&faults, 1);
	if (mprotect(guarded, PAGE, PROT_READ | PROT_WRITE))
		_exit(3);
}

static void touch_if_another(void *arg, unsigned i, unsigned hand)
{
	wait_for_another(arg, i, hand);
	if (hand)
		*(volatile char *)guarded = 1;
}

static void faults_are_the_programs(void)
{
	struct sigaction mine = { .sa_handler = make_accessible }, before;
	const char *preload = getenv("LD_PRELOAD");
	_Atomic unsigned begun = 0;

	if (preload && strstr(preload, "vgpreload"))
		return; /* valgrind counts each fault as an error */
	guarded = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(guarded != MAP_FAILED);
	CU_ASSERT_EQUAL(sigaction(SIGSEGV, &mine, &before), 0);
	begin(1, NULL);
	all_there(2);
	art__workers_spread(&w, touch_if_another, &begun, 2);
	CU_ASSERT_EQUAL(atomic_load(&faults), 1);
	art__workers_stop(&w);
	CU_ASSERT_EQUAL(sigaction(SIGSEGV, &before, NULL), 0);
	munmap(guarded, PAGE);
}

/* Nothing to wait for tells that nothing happens: it is looked for a while, on the owner's core. */
static void who_has_nothing_to_do_sleeps(void)
{
	uint64_t since, before[4], used = 0;

	begin(4, NULL);
	all_there(5);
	pieces(4, 100);
	since = art__env_now(&env);
	while (atomic_load(&w.asleep) < 4 && in_time(since))
		sched_yield();
	CU_ASSERT_EQUAL(atomic_load(&w.asleep), 4);
	for (int i = 0; i < 4; i++)
		before[i] = cpu_ns(w.worker[i].thread);
	since = art__env_now(&env);
	while (art__env_now(&env) - since < 200 * ART_NS_PER_MS)
		sched_yield();
	for (int i = 0; i < 4; i++)
		used += cpu_ns(w.worker[i].thread) - before[i];
	CU_ASSERT(used < 5 * ART_NS_PER_MS);
	art__workers_stop(&w);
}

/* In every state, and again and again: none is lost, none is left. */
static void they_end(void)
{
	for (int k = 0; k < 50; k++) {
		begin(3, NULL);
		art__workers_hands(&w);
		if (k % 3)
			pieces(3, k);
		art__workers_stop(&w);
		art__workers_stop(&w);
	}
	begin(3, NULL);
	art__workers_stop(&w); /* nobody has asked for any */
	CU_ASSERT_EQUAL(logged, 0);
}

static void without_a_place_there_are_none(void)
{
	int none = 0, one = 1;
	uint64_t since;

	begin(3, &none);
	pieces(0, 50);
	since = art__env_now(&env);
	while (art__workers_hands(&w) == 1 && art__env_now(&env) - since < 20 * ART_NS_PER_MS)
		sched_yield();
	pieces(0, 50);
	CU_ASSERT_EQUAL(art__workers_hands(&w), 1);
	art__workers_stop(&w);

	begin(3, &one);
	all_there(2);
	pieces(1, 500);
	all_there(2);
	art__workers_stop(&w);

	begin(0, NULL);
	pieces(0, 50);
	CU_ASSERT(art__workers_hands(&w) == 1 && !w.tried);
	art__workers_stop(&w);
}

/* Of three one, or none; it is said once. */
static void without_threads_all_goes_on(void)
{
	for (int there = 0; there < 2; there++) {
		begin(3, NULL);
		atomic_store(&may_create, there);
		art__workers_hands(&w);
		pieces((unsigned)there, 50);
		all_there(1 + (unsigned)there);
		pieces((unsigned)there, 50);
		art__workers_stop(&w);
		atomic_store(&may_create, INT_MAX);
		CU_ASSERT_EQUAL(logged, 1);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "each slice is done once", each_slice_is_done_once },
		{ "they do help", they_do_help },
		{ "who is late is left out", who_is_late_is_left_out },
		{ "no signal reaches them", no_signal_reaches_them },
		{ "faults are the program's", faults_are_the_programs },
		{ "who has nothing to do sleeps", who_has_nothing_to_do_sleeps },
		{ "they end", they_end },
		{ "without a place there are none", without_a_place_there_are_none },
		{ "without threads all goes on", without_threads_all_goes_on },
		CU_TEST_INFO_NULL,
	};

	return unit_run("workers", tests);
}
