/* SPDX-License-Identifier: MIT
 *
 * See workers.h. Slices are taken by counting @left down with a compare-and-swap, so a thread that was late
 * takes one of the present piece or none: which piece it is, is read afterwards. It can be no other then, as that
 * waits for @pending.
 */
#include "engine/workers.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/masked.h"

/* A worker with a core of its own looks so long for more before it sleeps. Pieces of one operation come within
 * some ten microseconds; to be woken takes as long. */
#define SPIN_NS UINT64_C(50000)
#define SPIN_CLOCK 64  /* looks between two at the clock */
/* The owner's looks before it offers its core to whoever is in the middle of a slice: some tens of microseconds,
 * a slice takes less than ten. */
#define WAIT_LOOKS 2000
/* Who needs longer has lost its core to somebody, for milliseconds maybe: a program's own threads. So many times the
 * owner then does without help; each time it is late again, twice as many. */
#define SHUN_MIN 32u
#define SHUN_MAX 8192u
#define RELIABLE 256u /* pieces in a row that nobody was late with */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- slices ---- */

/* Takes slices until none is left. How many it did. */
static unsigned work(struct art_workers *w, unsigned hand)
{
	unsigned left = atomic_load_explicit(&w->left, memory_order_relaxed), did = 0;

	while (left) {
		if (!atomic_compare_exchange_weak_explicit(&w->left, &left, left - 1, memory_order_acquire,
							   memory_order_relaxed))
			continue;
		w->run(w->arg, w->n - left, hand);
		did++;
		if (hand) /* at once: when the last is over the next piece may be there */
			atomic_fetch_sub_explicit(&w->pending, 1, memory_order_release);
		left = atomic_load_explicit(&w->left, memory_order_relaxed);
	}
	return did;
}

static void ring(struct art_workers *w, unsigned n)
{
	atomic_fetch_add(&w->bell, 1);
	syscall(SYS_futex, &w->bell, FUTEX_WAKE_PRIVATE, n < INT_MAX ? (int)n : INT_MAX, NULL, NULL, 0);
}

/* For @n slices beside the owner's. Who is about to sleep counts itself before it looks for the last time, so
 * one of both sees the other. */
static void wake(struct art_workers *w, unsigned n)
{
	unsigned asleep = atomic_load(&w->asleep), ready = atomic_load_explicit(&w->ready, memory_order_relaxed);
	unsigned awake = ready > asleep ? ready - asleep : 0;

	if (asleep && awake < n)
		ring(w, n - awake);
}

/* True: too long. */
static bool wait_for_others(struct art_workers *w)
{
	unsigned looks = 0;

	while (atomic_load_explicit(&w->pending, memory_order_acquire)) {
		if (++looks % WAIT_LOOKS)
			relax();
		else
			sched_yield();
	}
	return looks >= 2 * WAIT_LOOKS;
}

static void judge(struct art_workers *w, bool late)
{
	if (late) {
		w->shun = w->shun_next = w->shun_next < SHUN_MIN ? SHUN_MIN :
					 w->shun_next < SHUN_MAX ? 2 * w->shun_next : SHUN_MAX;
		w->reliable = 0;
	} else if (++w->reliable == RELIABLE) {
		w->shun_next = 0;
	}
}

void art__workers_spread(struct art_workers *w, art_slice_fn *run, void *arg, unsigned n)
{
	unsigned did;

	assert(!atomic_load_explicit(&w->pending, memory_order_relaxed));
	if (n < 2 || !atomic_load_explicit(&w->ready, memory_order_acquire)) {
		for (unsigned i = 0; i < n; i++)
			run(arg, i, 0);
		return;
	}
	w->run = run;
	w->arg = arg;
	w->n = n;
	atomic_store_explicit(&w->pending, n, memory_order_relaxed);
	atomic_store(&w->left, n);
	wake(w, n - 1);
	did = work(w, 0);
	if (did)
		atomic_fetch_sub_explicit(&w->pending, did, memory_order_relaxed);
	judge(w, wait_for_others(w));
}

/* ---- a worker ---- */

static void doze(struct art_workers *w)
{
	uint32_t bell = atomic_load(&w->bell);

	atomic_fetch_add(&w->asleep, 1);
	if (!atomic_load(&w->left) && !atomic_load(&w->stopping))
		syscall(SYS_futex, &w->bell, FUTEX_WAIT_PRIVATE, bell, NULL, NULL, 0);
	atomic_fetch_sub(&w->asleep, 1);
}

/* False: nothing came. */
static bool spin(struct art_workers *w)
{
	uint64_t until = art__env_now(w->env) + SPIN_NS;
	unsigned looks = 0;

	while (!atomic_load_explicit(&w->left, memory_order_relaxed)) {
		relax();
		if (++looks % SPIN_CLOCK == 0 && art__env_now(w->env) > until)
			return false;
	}
	return true;
}

/* Where the owner's core is meant to be another. */
static bool settle_down(struct art_worker *me)
{
	char name[] = "art-worker-0";
	int i = (int)(me - me->all->worker);

	name[sizeof(name) - 2] = (char)(i < 10 ? '0' + i : 'a' + i - 10);
	pthread_setname_np(pthread_self(), name);
	/* They may have been taken from this job meanwhile. */
	if (pthread_setaffinity_np(pthread_self(), sizeof(me->place.cpus), &me->place.cpus))
		return false;
	return me->place.own;
}

static void *help(void *arg)
{
	struct art_worker *me = arg;
	struct art_workers *w = me->all;
	unsigned hand = (unsigned)(me - w->worker) + 1;
	bool own = settle_down(me), more = own;

	atomic_fetch_add_explicit(&w->ready, 1, memory_order_release);
	while (!atomic_load(&w->stopping)) {
		if (work(w, hand) || more) {
			more = own && spin(w);
		} else {
			doze(w);
			more = own;
		}
	}
	return NULL;
}

/* ---- making them ---- */

static void complain(const struct art_workers *w, int err)
{
	errno = err;
	art__env_log(w->env, ART_LOG_WARN, "cannot start a thread that would help with large operations, "
		     "which go on without it: %m");
}

/* To find out where threads may be takes a look at the machine, milliseconds that the owner has no time for. */
static void *first(void *arg)
{
	struct art_worker *me = arg;
	struct art_workers *w = me->all;
	struct art_worker_place where[ART_WORKERS_MAX];
	int n, err = 0;

	memset(where, 0, sizeof(where));
	n = w->where(w->self, w->most, where);
	assert(n <= w->most);
	for (int i = 0; i < n; i++)
		w->worker[i].place = where[i];
	while (w->made < n && !err) {
		struct art_worker *next = &w->worker[w->made];

		err = pthread_create(&next->thread, NULL, help, next);
		w->made += !err;
	}
	if (err)
		complain(w, err);
	return n > 0 ? help(me) : NULL;
}

/* No signal of the application is ever handled in our threads: those that they make inherit the mask. */
static void begin(struct art_workers *w)
{
	sigset_t old;
	int err;

	w->tried = true;
	w->made = 1;
	art__mask_signals(&old);
	err = pthread_create(&w->worker[0].thread, NULL, first, &w->worker[0]);
	art__unmask_signals(&old);
	w->begun = !err;
	if (err)
		complain(w, err);
}

unsigned art__workers_hands(struct art_workers *w)
{
	if (!w->tried && w->most > 0)
		begin(w);
	if (w->shun) {
		w->shun--;
		return 1;
	}
	return 1 + atomic_load_explicit(&w->ready, memory_order_acquire);
}

void art__workers_init(struct art_workers *w, const struct art_env *env, int most, art_workers_where_fn *where,
		       void *self)
{
	assert(most >= 0 && most <= ART_WORKERS_MAX);
	memset(w, 0, sizeof(*w));
	w->env = env;
	w->most = most;
	w->where = where;
	w->self = self;
	for (int i = 0; i < ART_WORKERS_MAX; i++)
		w->worker[i].all = w;
}

void art__workers_stop(struct art_workers *w)
{
	if (!w->begun)
		return;
	atomic_store(&w->stopping, true);
	ring(w, INT_MAX);
	pthread_join(w->worker[0].thread, NULL);
	for (int i = 1; i < w->made; i++) /* none is made any more */
		pthread_join(w->worker[i].thread, NULL);
	w->begun = false;
	w->most = 0;
	atomic_store(&w->ready, 0);
}
