/* SPDX-License-Identifier: MIT
 *
 * What the engine's files share. Everything in struct art_engine belongs to the owner of the
 * engine, unless its comment says otherwise.
 *
 *   own.c      who owns the engine
 *   wait.c     waiting calls: spin, sleep on a doorbell, run user functions
 *   service.c  the service thread: control channel, deaths, time, data while nobody is inside
 *   dying.c    sees the end of a rank of this host early
 *   nudge.c    wakes one that sleeps over shared memory
 *   workers.c  threads that help the owner
 *   arena.c    the memory that the ranks of a host share
 *   status.c   tells art-info what this rank is doing
 *   engine.c   making and ending all of it; the port
 */
#ifndef ART_ENGINE_INTERNAL_H
#define ART_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/set.h"
#include "engine/arena.h"
#include "engine/beat.h"
#include "engine/engine.h"
#include "engine/even.h"
#include "engine/link.h"
#include "engine/status.h"
#include "engine/workers.h"

/* ---- ownership ---- */
enum { ART_OWN_FREE, ART_OWN_CALLER, ART_OWN_SERVICE };

struct art_owner {
	_Alignas(64) _Atomic uint32_t word; /* ART_OWN_*; a futex */
	/* 1: the service thread waits for the word; no caller takes it before. A futex, too. */
	_Atomic uint32_t service_wants;
	_Atomic uint32_t callers_want;      /* callers waiting for the word */
};

void art__own_enter_slow(struct art_owner *o);
void art__own_enter_service(struct art_owner *o);
void art__own_wake(struct art_owner *o);
/* Gives the engine to whoever wants it, and takes it again afterwards. */
void art__own_yield(struct art_owner *o);

static inline bool art__own_try(struct art_owner *o, uint32_t who)
{
	uint32_t none = ART_OWN_FREE;

	return atomic_compare_exchange_strong(&o->word, &none, who);
}

static inline void art__own_enter(struct art_owner *o)
{
	if (!atomic_load_explicit(&o->service_wants, memory_order_relaxed) &&
	    art__own_try(o, ART_OWN_CALLER))
		return;
	art__own_enter_slow(o);
}

static inline bool art__own_wanted(const struct art_owner *o)
{
	return atomic_load(&o->service_wants) || atomic_load(&o->callers_want);
}

/* The store and the loads are sequentially consistent: a waiter announces itself before it looks
 * at the word, so one of the two sees the other. */
static inline void art__own_leave(struct art_owner *o)
{
	atomic_store(&o->word, ART_OWN_FREE);
	if (art__own_wanted(o))
		art__own_wake(o);
}

/* ---- waiting ---- */
struct art_waiter {
	bool (*done)(void *arg);
	void *arg;
	int bell;    /* eventfd, its doorbell; -1: none was to be had, looks every millisecond */
	bool asleep; /* sleeps, or is about to */
	bool rung;   /* and its doorbell was rung */
	bool away;   /* runs a user function */
	struct art_waiter *next;
};

#define ART_BELLS 8

struct art_engine {
	struct art_owner own; /* atomic */
	const struct art_env *env;
	struct art_engine_cfg cfg;
	struct art_link link;
	bool linked;          /* link was initialised */
	struct art_tp *tp[2]; /* by channel; NULL in a job of one */
	struct art_machine *machine;
	struct art_workers workers; /* atomic; by the owner */
	struct art_spread spread;   /* what the machine sees of them */
	struct art_shared shared; /* memory of the ranks of this host; fd -1: none */

	struct art_waiter *waiters;
	struct art_waiter *driver; /* the one waiter that polls the data channel and sleeps on it */
	struct art_job *jobs, **jobs_end;
	unsigned computing;        /* user functions now running */
	bool news;                 /* an op ended since the waiters were last looked at */
	uint64_t entries;          /* how often callers came in */
	uint64_t spin_max, spin_ns; /* bound of spinning, present bound (adapts) */
	bool spin_shared;           /* by several ranks: cores, */
	unsigned crowd;             /* by so many; at least 1 */
	struct art_even even;
	unsigned spin_looks;        /* between two looks at the clock */
	uint64_t meet_ns;           /* when new connections are looked for again */
	bool stirred;               /* something was sent since the service thread was told what changed */
	bool nudged;                /* somebody was, and may need this core now */
	int bell[ART_BELLS], bells; /* spare doorbells */

	/* The service thread. epfd and wake_fd may be used by any thread. */
	pthread_t thread;
	bool started;
	int epfd, wake_fd;
	int *pidfd;                /* [size], -1: none; service thread only */
	pid_t *probe;              /* [size] processes without a pidfd, or NULL; service thread only */
	unsigned probes;           /* how many */
	uint64_t probe_at;
	struct art_set exited;     /* processes that are gone; service thread only, then drain() */
	struct art_beats beats;    /* fd -1: not open */
	char beside[ART_TP_ADDR_MAX]; /* address of the control channel */
	pid_t *pids;               /* [size] processes of this host, 0: others; set once */
	struct art_set to_look;    /* processes to be looked at, in the service thread */
	struct art_set dying;      /* seen dead, machine not told yet; service thread only */
	struct art_set told;       /* of whose death the machine knows; by the owner */
	int watched;               /* slot whose end was looked for last, by a driver */
	bool watches;              /* it is looked for (dying.h) */
	uint64_t service_wake;     /* when it wakes by itself */
	uint64_t seen, look;       /* entries when it last looked; when it looks again */
	uint64_t quiet_entries, quiet_ns; /* no caller has come in since then (status.c) */
	bool parked;               /* a driver watches the data channel: tell it when that ends */
	_Atomic bool armed;        /* it watches the data channel; cleared by it without owning */
	_Atomic bool stopping;

	/* The status socket; service thread only. */
	int status_fd;             /* -1: none */
	int client[ART_STATUS_CLIENTS], nclient; /* connections to be answered */
	uint64_t answers_cut;
};

/* What the owner sees to before giving the engine back: rings whose op ended, finds a thread for
 * queued user functions and somebody to watch the data channel. */
void art__engine_settle(struct art_engine *e);
int art__engine_poll(struct art_engine *e, enum art_chan chan, int budget);
/* How to wait, with @ranks on this host. */
void art__wait_locals(struct art_engine *e, int ranks, uint64_t spin_ns);

int art__service_start(struct art_engine *e, const pid_t *pids);
void art__service_stop(struct art_engine *e);  /* ends the thread */
void art__service_close(struct art_engine *e); /* and its descriptors */
/* By the owner, who has seen it before the service thread could: @slot, of this host, is dead. */
void art__service_death(struct art_engine *e, int slot);
/* Called by an owning caller: the service thread learns what changed for it. */
void art__service_notify(struct art_engine *e);

#endif
