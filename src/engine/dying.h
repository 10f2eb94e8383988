/* SPDX-License-Identifier: MIT
 *
 * A rank's end, as the other ranks of its host see it before the system tells of it. A pidfd becomes
 * readable when a process has given all of its memory and descriptors back, which takes a good part of a
 * millisecond; its threads end first. One of them holds a robust lock in memory that the others look at,
 * and as that thread ends the kernel marks the lock.
 *
 *   free --hold()--> held --let_go()--> free       the rank leaves by itself, or its thread is stopped
 *                     |
 *                     '--the kernel ends the thread--> marked: seen()
 *
 * The thread runs no code of others, and ends by itself only after let_go(). So a marked lock means that the
 * whole process is being ended (by a signal, exit() or exec()), and a signal that none survives was sent to
 * each of its threads before. One of these may still run on another core, for the microsecond that it takes to
 * interrupt that: see sure().
 */
#ifndef ART_ENGINE_DYING_H
#define ART_ENGINE_DYING_H

#include <stdbool.h>

/* In both processes: false where the system has not what this takes; then nobody sees anything. Once,
 * and best before there are threads. */
bool art__dying_init(void);
/* @life: ART_ARENA_LIFE bytes of zeros, in memory that the other processes map. By the thread whose end
 * it is to be. */
void art__dying_hold(void *life);
void art__dying_let_go(void *life); /* by the same thread */
bool art__dying_seen(const void *life);
/* After it was seen: returns when no thread of that process will run code of its own any more; what one of
 * them was in the middle of having done by the kernel, a message being sent say, may still come. False: that
 * cannot be said. */
bool art__dying_sure(void);

#endif
