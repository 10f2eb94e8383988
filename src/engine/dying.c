/* SPDX-License-Identifier: MIT
 *
 * See dying.h. The lock is a robust mutex, which the C library puts into the list that the kernel goes
 * through as a thread ends (get_robust_list(2)). Who may only read the memory looks at the mutex' word, whose
 * place in it and whose mark, FUTEX_OWNER_DIED, are part of the interface of kernel and C library.
 */
#include "engine/dying.h"

#include <assert.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"

_Static_assert(sizeof(pthread_mutex_t) <= ART_ARENA_LIFE, "a mutex has room");
_Static_assert(_Alignof(pthread_mutex_t) <= 64, "and is aligned");

#if defined(__GLIBC__) && defined(SYS_membarrier)

static bool membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool art__dying_init(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

void art__dying_hold(void *life)
{
	pthread_mutexattr_t attr;
	int err = pthread_mutexattr_init(&attr);

	if (err)
		return;
	err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!err)
		err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!err)
		err = pthread_mutex_init(life, &attr);
	if (!err)
		err = pthread_mutex_lock(life);
	assert(!err);
	pthread_mutexattr_destroy(&attr);
}

void art__dying_let_go(void *life)
{
	if (pthread_mutex_unlock(life) == 0)
		pthread_mutex_destroy(life);
}

bool art__dying_seen(const void *life)
{
	const pthread_mutex_t *m = life;

	return __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) & FUTEX_OWNER_DIED;
}

/* It interrupts every core on which a thread of a process runs that has registered. Whoever returns from
 * that to code of its own finds the signal. */
bool art__dying_sure(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

#else

bool art__dying_init(void)
{
	return false;
}

void art__dying_hold(void *life)
{
	(void)life;
}

void art__dying_let_go(void *life)
{
	(void)life;
}

bool art__dying_seen(const void *life)
{
	(void)life;
	return false;
}

bool art__dying_sure(void)
{
	return false;
}

#endif
