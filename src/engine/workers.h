/* SPDX-License-Identifier: MIT
 *
 * Threads that help the owner of the engine with large pieces of work: a piece is cut into slices, whoever is free
 * takes the next, the owner too. They decide nothing and know nothing of engine or machine.
 *
 *   none --hands(), first time--> starting: one thread asks where they may be, and makes the others
 *   starting --> ready                     nobody may help: --> gone, the owner does everything itself
 *   a worker: spins a while after its last slice, if it has a core of its own --> sleeps --spread()--> looks
 *
 * The owner never waits for a thread that has not begun: it takes what is left itself, and waits at the end for
 * slices under way, one a worker at most (rule R5). One thread calls hands() and spread() at a time.
 */
#ifndef ART_ENGINE_WORKERS_H
#define ART_ENGINE_WORKERS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/machine.h"

#define ART_WORKERS_MAX 16

struct art_worker_place {
	cpu_set_t cpus; /* where it may run */
	bool own;       /* nobody else is meant to be there */
};
/* Where up to @most workers may be. Returns how many, 0: none. Called once, by the first worker. */
typedef int art_workers_where_fn(void *self, int most, struct art_worker_place *where);

struct art_workers {
	const struct art_env *env;
	art_workers_where_fn *where;
	void *self;
	int most;        /* 0: none, ever */
	bool tried;      /* the first was made, or could not be */
	bool begun;      /* it was */
	int made;        /* threads, by the first until it ends */
	struct art_worker {
		struct art_workers *all;
		pthread_t thread;
		struct art_worker_place place;
	} worker[ART_WORKERS_MAX];
	unsigned shun;             /* so many times the owner is told that there are none: some were late */
	unsigned shun_next;        /* when they are late again; 0: the least */
	unsigned reliable;         /* pieces since then */
	_Atomic unsigned ready;    /* that may take slices */
	_Atomic bool stopping;

	/* The piece of work; whoever has taken a slice may read it. */
	art_slice_fn *run;
	void *arg;
	unsigned n;
	_Alignas(128) _Atomic unsigned left;    /* slices that nobody has taken */
	_Alignas(128) _Atomic unsigned pending; /* slices that are not over */
	_Alignas(128) _Atomic unsigned asleep;
	_Atomic uint32_t bell;                  /* a futex */
};

/* Makes nothing yet. @most: threads at most, up to ART_WORKERS_MAX. */
void art__workers_init(struct art_workers *w, const struct art_env *env, int most, art_workers_where_fn *where,
		       void *self);
/* How many may take slices now, the caller included. Asked before each piece. */
unsigned art__workers_hands(struct art_workers *w);
/* Calls @run(@arg, i, hand) once for each i < @n. All are over when it returns. */
void art__workers_spread(struct art_workers *w, art_slice_fn *run, void *arg, unsigned n);
/* Ends the threads; nobody calls hands() or spread() any more. */
void art__workers_stop(struct art_workers *w);

#endif
