/* SPDX-License-Identifier: MIT
 *
 * Ownership under contention (rule R5). The word is taken by compare-and-swap; who does not get it
 * announces itself and sleeps on a futex. The service thread goes first: while it waits, no caller
 * takes the word, and every wait loop gives it up at its next turn.
 *
 * Two futexes: the word (service thread: bit SERVICE, callers: bit CALLERS, so that a wake-up
 * reaches the right one), and service_wants, where callers stand back for the service thread.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/internal.h"

enum { BIT_SERVICE = 1, BIT_CALLERS = 2 };

/* Turns a waiting call lets pass for another caller before it goes on by itself. */
#define YIELD_MAX 200

/* Sleeps while *@word == @seen. Wakes up for no reason now and then; every user looks again. */
static void futex_wait(_Atomic uint32_t *word, uint32_t seen, uint32_t bits)
{
	long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen, NULL, NULL,
			  bits);

	assert(rc == 0 || errno == EAGAIN || errno == EINTR);
	(void)rc;
}

static void futex_wake(_Atomic uint32_t *word, int count, uint32_t bits)
{
	syscall(SYS_futex, word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, count, NULL, NULL, bits);
}

/* Callers want it: one is woken, and when it leaves it wakes the next. */
void art__own_wake(struct art_owner *o)
{
	if (atomic_load(&o->service_wants))
		futex_wake(&o->word, 1, BIT_SERVICE);
	else
		futex_wake(&o->word, 1, BIT_CALLERS);
}

void art__own_enter_slow(struct art_owner *o)
{
	uint32_t seen;

	atomic_fetch_add(&o->callers_want, 1);
	for (;;) {
		if (atomic_load(&o->service_wants)) {
			futex_wait(&o->service_wants, 1, BIT_CALLERS);
			continue;
		}
		if (art__own_try(o, ART_OWN_CALLER))
			break;
		seen = atomic_load(&o->word);
		if (seen != ART_OWN_FREE)
			futex_wait(&o->word, seen, BIT_CALLERS);
	}
	atomic_fetch_sub(&o->callers_want, 1);
}

void art__own_enter_service(struct art_owner *o)
{
	if (art__own_try(o, ART_OWN_SERVICE))
		return;
	atomic_store(&o->service_wants, 1);
	while (!art__own_try(o, ART_OWN_SERVICE))
		futex_wait(&o->word, ART_OWN_CALLER, BIT_SERVICE);
	atomic_store(&o->service_wants, 0);
	if (atomic_load(&o->callers_want))
		futex_wake(&o->service_wants, INT_MAX, BIT_CALLERS);
}

void art__own_yield(struct art_owner *o)
{
	assert(atomic_load(&o->word) == ART_OWN_CALLER);
	art__own_leave(o);
	/* The service thread goes first by itself. A caller has to be let in: without this, the
	 * thread that polls would mostly win against one that was just woken. */
	for (int i = 0; i < YIELD_MAX && atomic_load(&o->callers_want) &&
			atomic_load(&o->word) == ART_OWN_FREE; i++)
		sched_yield();
	art__own_enter(o);
}
