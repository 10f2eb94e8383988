/* SPDX-License-Identifier: MIT
 *
 * Signals of the application are none of our threads' business: they inherit a mask, which the thread that makes them
 * puts on meanwhile. Faults are not in it: the program's own handler may make memory accessible that it is touched in,
 * as collectors do; blocked, they would end the process.
 */
#ifndef ART_ENGINE_MASKED_H
#define ART_ENGINE_MASKED_H

#include <pthread.h>
#include <signal.h>

static inline void art__mask_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

static inline void art__unmask_signals(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
