/* SPDX-License-Identifier: MIT
 *
 * Waiting calls. Several threads of the application may wait at once, each for its own ops; one
 * of them, the driver, polls the data channel for all, the others sleep on their doorbells and
 * are rung when their op ended, by whoever owned the engine then.
 *
 *   wait --not done--> drive: poll the data channel ... spin bound --> asleep on data fd + doorbell
 *          every rank has a core: the core is offered to others at each look at the clock
 *          cores are shared:      it is handed over after a look or two that found nothing
 *          the view changes:      asleep at once, the service thread has the engine and the core
 *          another drives --> asleep on the doorbell --rung--> done? return : drive or sleep again
 *   a user function is queued --> run it, not owning the engine --> computed() --> look again
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/dying.h"
#include "engine/internal.h"

/* Messages per look at the data channel: the time until a wanted engine is given up. */
#define DATA_BUDGET 4
/* Empty looks before the core is handed over where cores are shared: whoever is waited for may be
 * waiting for this very core, and a process that was woken does not displace one that spins for some
 * milliseconds. Handing it from one to the next costs about a microsecond, sleeping and being woken
 * many. */
#define SPIN_SHARED 1
/* Empty looks before sleeping as long as it is not known how cores are shared. */
#define SPIN_FEW 2
/* And where each rank has one, between two looks at the clock, at which the core is offered to others:
 * some 10 us. Whoever else wants it may keep it for milliseconds, so it is not offered in the time
 * that an answer takes. */
#define SPIN_CLOCK 16
#define SPIN_CLOCK_CHEAP 512
/* The least that is spun where every rank has a core, however often it was in vain: well above the
 * round trip of two ranks that both sleep and are woken, or they would never find out again. */
#define SPIN_MIN_NS UINT64_C(100000)
/* Ranks that are looked at in a look in vain, whether they are dying. */
#define WATCHED 8
/* Between two looks for new connections while spinning in vain, of the ranks of a core together: each costs
 * a few system calls, and 32 ranks on 2 cores spent a fifth of a small allreduce on them. */
#define MEET_NS UINT64_C(50000)

struct spin {
	unsigned empty; /* looks that found nothing, in a row */
	unsigned peeks; /* those at shared memory */
	bool peeked;    /* the last one was no more than that */
	uint64_t until; /* 0: the clock was not read yet */
};

/* Looks at what may come any moment, before anybody is listed as waiting: a microsecond or two. */
#define TRIES 400
/* And where cores are shared: turns of the others. */
#define TURNS 200
#define TURNS_CLOCK 8 /* between two looks at the clock */
#define TURNS_NS UINT64_C(500000)

/* Looks at shared memory for one at the data channel, where something is waited for there. */
#define PEEKS 16

/* @on: nobody looks, so a message is to come for whatever is put into shared memory, and what might have become
 * stable is kept. True: there was something just now. */
static bool doze(struct art_engine *e, bool on)
{
	return (on || e->shared.arena.mine) && e->machine->ops->doze && e->machine->ops->doze(e->machine, on);
}

static void ring(struct art_waiter *w)
{
	uint64_t one = 1;

	if (!w->asleep || w->rung)
		return;
	w->rung = true;
	/* An eventfd takes 2^64-2 of these, and is read each time: this cannot block or fail. */
	if (w->bell >= 0 && write(w->bell, &one, sizeof(one)) != (ssize_t)sizeof(one))
		assert(!"doorbell");
}

static void ring_done(struct art_engine *e)
{
	e->news = false;
	for (struct art_waiter *w = e->waiters; w; w = w->next)
		if (w->asleep && w->done(w->arg))
			ring(w);
}

/* Somebody has to come: nothing to do if anybody is awake, it looks around before it goes. */
static void ring_one(struct art_engine *e)
{
	struct art_waiter *sleeper = e->driver;

	for (struct art_waiter *w = e->waiters; w; w = w->next) {
		if (w->away)
			continue;
		if (!w->asleep || w->rung)
			return;
		if (!sleeper)
			sleeper = w;
	}
	if (sleeper)
		ring(sleeper);
}

/* Whoever sleeps on the data channel can rely on its descriptor, whoever polled it meanwhile. */
static void arm_data(struct art_engine *e)
{
	if (e->driver ? e->driver->asleep : atomic_load_explicit(&e->armed, memory_order_relaxed))
		art__transport_arm(e->tp[ART_CHAN_DATA]);
}

void art__wait_locals(struct art_engine *e, int ranks, uint64_t spin_ns)
{
	struct art_tp *tp = e->tp[ART_CHAN_DATA];
	bool cheap = tp && tp->ops->caps(tp) & ART_TP_CAP_CHEAP_POLL;

	e->spin_max = e->spin_ns = spin_ns;
	e->spin_shared = ranks > e->cfg.cores;
	e->crowd = ranks > e->cfg.cores && e->cfg.cores > 0 ? (unsigned)(ranks / e->cfg.cores) : 1;
	if (e->spin_shared)
		e->spin_looks = SPIN_SHARED;
	else
		e->spin_looks = cheap ? SPIN_CLOCK_CHEAP : SPIN_CLOCK;
}

void art__engine_settle(struct art_engine *e)
{
	if (e->news)
		ring_done(e);
	if (e->waiters && (e->jobs || !e->driver))
		ring_one(e);
	if (e->tp[ART_CHAN_DATA])
		arm_data(e);
}

void art__engine_leave_quietly(struct art_engine *e)
{
	/* Where it was given up meanwhile others may have begun something and left that to this one. */
	if (e->stirred || e->waiters || e->jobs || e->parked ||
	    (e->spin_shared && e->machine->ops->busy(e->machine))) {
		art__engine_leave(e);
		return;
	}
	e->news = false; /* nobody waits to hear it */
	art__own_leave(&e->own);
}

void art__engine_enter(struct art_engine *e)
{
	art__own_enter(&e->own);
	e->entries++;
}

void art__engine_leave(struct art_engine *e)
{
	art__engine_settle(e);
	art__service_notify(e);
	art__own_leave(&e->own);
}

/* Runs the next queued user function, if any, without owning the engine (rule R5). */
static bool run_job(struct art_engine *e)
{
	struct art_job *job = e->jobs;

	if (!job)
		return false;
	e->jobs = job->next;
	if (!e->jobs)
		e->jobs_end = &e->jobs;
	job->next = NULL;
	e->computing++;
	art__engine_leave(e);
	job->run(job);
	art__engine_enter(e);
	e->computing--;
	e->machine->ops->computed(e->machine, job);
	return true;
}

/* A driver gives up its office while it computes. */
static bool waiter_job(struct art_engine *e, struct art_waiter *w)
{
	bool ran;

	if (!e->jobs)
		return false;
	if (e->driver == w)
		e->driver = NULL;
	w->away = true;
	ran = run_job(e);
	w->away = false;
	return ran;
}

static int take_bell(struct art_engine *e)
{
	if (e->bells > 0)
		return e->bell[--e->bells];
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void give_bell(struct art_engine *e, int fd)
{
	if (fd < 0)
		return;
	if (e->bells < ART_BELLS)
		e->bell[e->bells++] = fd;
	else
		close(fd);
}

static int data_fd(struct art_engine *e)
{
	struct art_tp *tp = e->tp[ART_CHAN_DATA];

	return tp ? tp->ops->fd(tp) : -1;
}

/* poll(2) ignores negative descriptors. Whatever wakes it, the caller looks again. */
static void sleep_on(struct art_engine *e, struct art_waiter *w)
{
	struct pollfd fd[3] = {
		{.fd = w->bell, .events = POLLIN},
		{.fd = e->driver == w ? data_fd(e) : -1, .events = POLLIN},
		{.fd = e->driver == w ? e->shared.nudges.in : -1, .events = POLLIN},
	};
	bool watches = e->driver == w;
	uint64_t rings;

	if (watches && doze(e, true))
		return;
	w->asleep = true;
	w->rung = false;
	art__engine_leave(e);
	poll(fd, 3, w->bell < 0 ? 1 : -1);
	art__engine_enter(e);
	/* Read while owning the engine: nobody rings between this and asleep = false. */
	if (w->rung && w->bell >= 0 && read(w->bell, &rings, sizeof(rings)) < 0)
		assert(errno == EAGAIN);
	w->asleep = false;
	w->rung = false;
	if (fd[2].revents)
		art__nudges_take(&e->shared.nudges);
	if (watches && e->driver == w)
		doze(e, false);
}

static bool look(struct art_engine *e, struct spin *s)
{
	struct art_machine *m = e->machine;
	int found = -1;

	if (e->shared.arena.mine)
		for (int i = e->spin_shared ? 1 : PEEKS; i && (found = m->ops->peek(m)) == 0; i--)
			;
	/* What is waited for in shared memory comes from a rank that wants this core. */
	s->peeked = e->spin_shared && !found;
	if (s->peeked && ++s->peeks % PEEKS)
		return false;
	return found > 0 || art__engine_poll(e, ART_CHAN_DATA, DATA_BUDGET) > 0;
}

static bool is_dying(struct art_engine *e, int slot)
{
	const struct art_arena_part *part = e->shared.part[slot];

	return part && slot != e->cfg.slot && art__dying_seen(part->life) && !art__set_has(&e->told, (uint32_t)slot) &&
	       art__dying_sure();
}

/* Whoever waits in vain looks whether one it may wait for is no more: at some others each time. */
static bool watch_some(struct art_engine *e)
{
	for (int i = 0; i < WATCHED; i++) {
		e->watched = e->watched + 1 < e->cfg.size ? e->watched + 1 : 0;
		if (is_dying(e, e->watched)) {
			art__service_death(e, e->watched);
			return true;
		}
	}
	return false;
}

/* Polling finds what comes by connections that are there; who wants to make one is seen now and then. */
static void meet(struct art_engine *e, uint64_t now)
{
	if (now < e->meet_ns || !e->tp[ART_CHAN_DATA])
		return;
	e->meet_ns = now + MEET_NS * e->crowd;
	art__transport_arm(e->tp[ART_CHAN_DATA]);
	art__engine_poll(e, ART_CHAN_DATA, DATA_BUDGET);
}

static void hand_over(struct art_engine *e)
{
	art__own_leave(&e->own);
	sched_yield();
	art__own_enter(&e->own);
	if (e->spin_shared)
		art__even_turn(&e->even, &e->shared, e->cfg.size);
}

/* One look at what may have come. False: it is time to sleep. */
static bool drive(struct art_engine *e, struct spin *s)
{
	bool found = look(e, s) || (e->watches && watch_some(e));
	uint64_t now;

	if (e->news)
		ring_done(e);
	if (found)
		*s = (struct spin){0};
	if (art__own_wanted(&e->own)) {
		art__own_yield(&e->own);
		return true;
	}
	if (found)
		return true;
	if (e->machine->ops->held_up(e->machine))
		return false;
	s->empty++;
	if (!e->spin_max)
		return s->empty < SPIN_FEW;
	if (s->empty % e->spin_looks && !s->peeked && !e->nudged)
		return true;
	e->nudged = false;
	/* Two ranks that wait for each other may have met on one core: then let the other run. As both
	 * stay runnable, the kernel parts them. */
	hand_over(e);
	if (!e->shared.arena.mine && e->machine->ops->peek)
		e->machine->ops->peek(e->machine); /* its time may be over */
	now = art__env_now(e->env);
	if (!s->until)
		s->until = now + e->spin_ns;
	meet(e, now);
	return now < s->until;
}

/* Spinning that ended in sleep was in vain: spin less next time. One that did not: more. */
static void adapt(struct art_engine *e, bool slept)
{
	if (slept)
		e->spin_ns = e->spin_ns / 2 > SPIN_MIN_NS ? e->spin_ns / 2 : SPIN_MIN_NS;
	else
		e->spin_ns *= 2;
	if (e->spin_ns > e->spin_max)
		e->spin_ns = e->spin_max;
}

static void unlist(struct art_engine *e, struct art_waiter *w)
{
	struct art_waiter **at = &e->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (e->driver == w)
		e->driver = NULL;
}

void art__engine_wait(struct art_engine *e, bool (*done)(void *arg), void *arg)
{
	struct art_waiter w = {.done = done, .arg = arg, .bell = -1, .next = e->waiters};
	struct spin s = {0};
	bool slept = false;

	assert(atomic_load(&e->own.word) == ART_OWN_CALLER);
	if (done(arg))
		return;
	e->waiters = &w;
	do {
		if (waiter_job(e, &w))
			continue;
		if (!e->driver) {
			e->driver = &w;
			doze(e, false);
		}
		if (e->driver == &w && drive(e, &s))
			continue;
		if (e->jobs || done(arg)) /* they may have come while drive() gave way */
			continue;
		if (w.bell < 0)
			w.bell = take_bell(e);
		sleep_on(e, &w);
		s = (struct spin){0};
		slept = true;
	} while (!done(arg));
	unlist(e, &w);
	give_bell(e, w.bell);
	adapt(e, slept);
}

static bool others_wait(const struct art_engine *e)
{
	return e->waiters || e->jobs || art__own_wanted(&e->own);
}

/* Where cores are shared a look in vain is one too many: it has been looked just now. Not for long: meanwhile
 * nobody looks at the data channel, nor has the service thread been told when the op's time is over. */
static bool try_in_turns(struct art_engine *e, bool (*peek)(void *arg), void *arg)
{
	uint64_t until = 0;

	for (unsigned i = 0; i < TURNS && !others_wait(e); i++) {
		if (e->watches && watch_some(e))
			return false;
		hand_over(e);
		if (peek(arg))
			return true;
		if (i % TURNS_CLOCK != TURNS_CLOCK - 1)
			continue;
		if (until && art__env_now(e->env) > until)
			return false;
		until = until ? until : art__env_now(e->env) + TURNS_NS;
	}
	return false;
}

bool art__engine_try(struct art_engine *e, bool (*peek)(void *arg), void *arg)
{
	if (!e->spin_max)
		return false;
	if (e->spin_shared)
		return try_in_turns(e, peek, arg);
	for (unsigned i = 0; i < TRIES && !others_wait(e); i++)
		if (peek(arg))
			return true;
	return false;
}

void art__engine_jobs(struct art_engine *e)
{
	while (run_job(e))
		;
}

bool art__engine_test(struct art_engine *e, bool (*done)(void *arg), void *arg)
{
	assert(atomic_load(&e->own.word) == ART_OWN_CALLER);
	if (done(arg))
		return true;
	if (e->shared.arena.mine)
		e->machine->ops->peek(e->machine);
	art__engine_poll(e, ART_CHAN_DATA, DATA_BUDGET);
	run_job(e);
	return done(arg);
}
