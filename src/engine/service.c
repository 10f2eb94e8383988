/* SPDX-License-Identifier: MIT
 *
 * The service thread: it answers control messages, learns of deaths and keeps time, whatever the
 * application does. It runs no user function. It sleeps in epoll_wait() on
 *
 *   wake_fd     somebody changed what it waits for, or it is to end
 *   control     always
 *   datagrams   heartbeats of other hosts, if there are any
 *   pidfds      of the other ranks of this host; read after everything they sent (rule R7)
 *   witness     certificates of deaths on other hosts
 *   status      somebody asks what this rank is doing (status.h)
 *   nudges      with the data channel: something was put into shared memory
 *   data        one-shot, and only while nobody inside looks at it:
 *
 *     unarmed --caller leaves, ops go on or bytes are queued--> armed --readable--> unarmed
 *     unarmed --no caller for AWAY_NS--> armed          (a peer may want to connect, say)
 *     parked: a caller drives; no timer runs, its last one out rings
 *
 * So a blocking call that ends with nothing left to do costs no system call for any of this.
 */
#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/dying.h"
#include "engine/internal.h"
#include "engine/masked.h"

#define AWAY_NS (20 * ART_NS_PER_MS)
#define CTL_BUDGET 32
#define DATA_BUDGET 16
#define BEAT_BUDGET 256
/* Looks at a channel before a death is told: what a dead rank's sockets hold is far less. */
#define DRAIN_LOOKS 1024
#define EVENTS 16
#define PROBE_NS (5 * ART_NS_PER_MS)

enum { TAG_WAKE, TAG_CTL, TAG_DATA, TAG_BEAT, TAG_NUDGE, TAG_PID, TAG_WITNESS, TAG_STATUS };

struct ready {
	bool ctl, data, beat, nudge, status, other;
};

static uint64_t tag(unsigned kind, int slot)
{
	return (uint64_t)kind << 32 | (uint32_t)slot;
}

static int watch(struct art_engine *e, int op, int fd, uint32_t events, uint64_t t)
{
	struct epoll_event ev = {.events = events, .data.u64 = t};

	return epoll_ctl(e->epfd, op, fd, &ev);
}

static void ring_service(struct art_engine *e)
{
	uint64_t one = 1;

	if (write(e->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		assert(!"the service thread's doorbell");
}

static void arm(struct art_engine *e)
{
	struct art_tp *tp = e->tp[ART_CHAN_DATA];

	/* A driver that was awake has found what it was told of without reading that: it is no news any more,
	 * and would wake this thread at once. Whoever arms looks again. */
	if (art__nudges_take(&e->shared.nudges))
		e->machine->ops->doze(e->machine, false);
	/* Before epoll_ctl(): it may fire, and be cleared, at once. */
	atomic_store(&e->armed, true);
	art__transport_arm(tp);
	if (watch(e, EPOLL_CTL_MOD, tp->ops->fd(tp), EPOLLIN | EPOLLONESHOT, tag(TAG_DATA, 0)) ||
	    (e->shared.nudges.in >= 0 &&
	     watch(e, EPOLL_CTL_MOD, e->shared.nudges.in, EPOLLIN | EPOLLONESHOT, tag(TAG_NUDGE, 0))))
		assert(!"modifying a registered descriptor");
}

/* Something would go on if the data channel were looked at. */
static bool data_wanted(struct art_engine *e)
{
	struct art_tp *tp = e->tp[ART_CHAN_DATA];

	if (e->computing)
		return false; /* back soon; if not, AWAY_NS */
	return e->machine->ops->busy(e->machine) || tp->ops->pending(tp) > 0;
}

/* At once if a send failed: the link tells the machine at the next look. */
static uint64_t channel_wake(struct art_engine *e, int chan)
{
	struct art_tp *tp = e->tp[chan];

	if (!tp)
		return ART_NEVER;
	return e->link.chan[chan].lost ? 0 : tp->ops->wake_ns(tp);
}

static uint64_t next_wake(struct art_engine *e)
{
	uint64_t wake = e->machine->ops->wake_ns(e->machine);

	for (int c = 0; c < 2; c++) {
		uint64_t t = channel_wake(e, c);

		wake = t < wake ? t : wake;
	}
	return wake;
}

/* While nobody looks: a message shall come for whatever is put into shared memory. True: it was there
 * already. */
static bool doze(struct art_engine *e)
{
	return e->machine->ops->doze && e->machine->ops->doze(e->machine, true);
}

/* The last caller leaves and ops go on: from now on a message wakes the service thread. What could be done
 * at once is left to that where it has a core of its own, so that the caller gets to its computation; or else
 * is done here, as it would take the same core. */
static void hand_over(struct art_engine *e)
{
	bool moved = false;

	if (!atomic_load(&e->armed))
		arm(e);
	if (e->cfg.apart && e->shared.arena.mine && e->machine->ops->rest(e->machine))
		return;
	while (!art__own_wanted(&e->own) && doze(e)) /* or who wants it goes on */
		moved = true;
	if (moved)
		art__engine_settle(e);
}

void art__service_notify(struct art_engine *e)
{
	bool must_ring = false;
	uint64_t wake;

	e->stirred = false;
	if (!e->driver && e->tp[ART_CHAN_DATA]) {
		if (data_wanted(e))
			hand_over(e);
		must_ring = e->parked;
		e->parked = false;
	}
	wake = next_wake(e);
	if (wake < e->service_wake) {
		e->service_wake = wake;
		must_ring = true;
	}
	if (must_ring)
		ring_service(e);
}

/* Who sees to the data channel from now on, if it is not armed? Callers that come and go do;
 * whether they still do is looked at every AWAY_NS, not at every turn: a parked or armed channel
 * costs the next call something. Until when to sleep at most. */
static uint64_t plan_data(struct art_engine *e)
{
	uint64_t now;

	if (!e->driver && data_wanted(e)) {
		arm(e);
		while (doze(e) && !atomic_load(&e->own.callers_want))
			; /* a caller goes on with it */
		return ART_NEVER;
	}
	now = art__env_now(e->env);
	if (e->look <= now && e->seen == e->entries) {
		if (e->quiet_entries != e->entries || !e->quiet_ns) {
			e->quiet_entries = e->entries;
			e->quiet_ns = e->look ? e->look - AWAY_NS : now;
		}
		if (e->driver) {
			e->parked = true;
			return ART_NEVER;
		}
		arm(e);
		while (doze(e) && !atomic_load(&e->own.callers_want))
			; /* what waits while a user function computes, say */
		return ART_NEVER;
	}
	if (e->look <= now) {
		e->seen = e->entries;
		e->look = now + AWAY_NS;
	}
	return e->look;
}

/* Decides what to sleep for; until when. */
static uint64_t plan(struct art_engine *e)
{
	uint64_t wake = next_wake(e), look = ART_NEVER;

	e->parked = false;
	/* What has begun in this turn waits for messages, too, as nobody inside looks. */
	if (e->driver ? e->driver->asleep : atomic_load(&e->armed))
		while (doze(e) && (e->driver || !atomic_load(&e->own.callers_want)))
			; /* a caller goes on with it, or hands it over again as it leaves */
	if (e->tp[ART_CHAN_DATA] && !atomic_load(&e->armed))
		look = plan_data(e);
	if (e->probes && e->probe_at < look)
		look = e->probe_at;
	return look < wake ? look : wake;
}

/* What /proc says of a process. False: nothing. */
static bool read_stat(pid_t pid, char *state, long *threads)
{
	char path[40], text[512], *rest;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* pid (name) state, 16 numbers, threads; the name may hold anything */
	rest = strrchr(text, ')');
	return rest &&
	       sscanf(rest + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld",
		      state, threads) == 2;
}

/* Reaped, or a zombie of which no thread is left. */
static bool is_gone(pid_t pid)
{
	long threads = 0;
	char state = 0;

	if (kill(pid, 0))
		return errno == ESRCH;
	return read_stat(pid, &state, &threads) && (state == 'Z' || state == 'X') && threads <= 1;
}

/* Where the system gives no pidfds (old kernels, valgrind) processes are asked for now and then. */
static void probe(struct art_engine *e)
{
	uint64_t now;

	if (!e->probes)
		return;
	now = art__env_now(e->env);
	if (now < e->probe_at)
		return;
	e->probe_at = now + PROBE_NS;
	for (int slot = 0; slot < e->cfg.size; slot++) {
		if (!e->probe[slot] || !is_gone(e->probe[slot]))
			continue;
		e->probe[slot] = 0;
		e->probes--;
		art__set_add(&e->dying, (uint32_t)slot);
		art__set_add(&e->exited, (uint32_t)slot);
	}
}

/* ---- under way, owning the engine ---- */
static void drain(struct art_engine *e, enum art_chan chan)
{
	for (int i = 0; i < DRAIN_LOOKS; i++)
		if (art__engine_poll(e, chan, CTL_BUDGET) <= 0)
			return;
}

static void certify(struct art_engine *e, int slot, bool early)
{
	struct art_set members;
	uint32_t epoch = 0;
	bool known = e->cfg.last && e->cfg.last(e->cfg.note_self, slot, e->pids[slot] > 0, &epoch,
						&members);

	e->machine->ops->dead(e->machine, slot, epoch, known ? &members : NULL, early);
}

static void tell_death(struct art_engine *e, int slot, bool early)
{
	art__set_add(&e->told, (uint32_t)slot);
	if (!e->cfg.lost || !e->cfg.lost(e->cfg.lost_self, slot))
		certify(e, slot, early);
}

/* What the dead sent before their end comes first, a goodbye above all. */
static void on_deaths(struct art_engine *e)
{
	drain(e, ART_CHAN_CTL);
	drain(e, ART_CHAN_DATA);
	ART_SET_EACH(slot, &e->dying) {
		art__set_del(&e->dying, slot);
		tell_death(e, (int)slot, false);
	}
}

void art__service_death(struct art_engine *e, int slot)
{
	drain(e, ART_CHAN_CTL);
	drain(e, ART_CHAN_DATA);
	tell_death(e, slot, true);
	art__service_notify(e);
}

static void on_beat(void *self, int from, const uint8_t *p, size_t len)
{
	struct art_engine *e = self;

	e->machine->ops->beat(e->machine, from, p, len);
}

/* Stopped by a signal is T; held by a debugger is t, and runs as far as we are concerned. */
static void look(struct art_engine *e)
{
	ART_SET_EACH(slot, &e->to_look) {
		char state = 0;
		long threads;
		bool known = e->pids[slot] > 0 && read_stat(e->pids[slot], &state, &threads);

		art__set_del(&e->to_look, slot);
		e->machine->ops->looked(e->machine, (int)slot,
					known && state == 'T' ? ART_LOOK_STOPPED : ART_LOOK_RUNS);
	}
}

/* Transports and machine whose time has come. */
static void on_time(struct art_engine *e)
{
	uint64_t now = art__env_now(e->env);

	for (int c = 0; c < 2; c++)
		if (channel_wake(e, c) <= now)
			art__engine_poll(e, (enum art_chan)c, CTL_BUDGET);
	if (e->machine->ops->wake_ns(e->machine) <= now)
		e->machine->ops->tick(e->machine);
}

static void hear_vote(struct art_engine *e)
{
	size_t len;
	const uint8_t *p = e->cfg.voted(e->cfg.note_self, &len);

	if (p && e->machine->ops->voted)
		e->machine->ops->voted(e->machine, p, len);
}

/* Whatever comes from now on is told of again. A driver is woken by the same pipe, unless it is empty when it
 * comes to look. */
static void take_nudges(struct art_engine *e)
{
	if (e->driver)
		return;
	art__nudges_take(&e->shared.nudges);
	e->machine->ops->doze(e->machine, false);
	e->machine->ops->peek(e->machine);
}

/* A driver has its own eye on the data channel. */
static void on_ready(struct art_engine *e, const struct ready *r)
{
	art__set_minus(&e->dying, &e->told);
	if (!art__set_empty(&e->dying))
		on_deaths(e);
	else if (r->ctl)
		art__engine_poll(e, ART_CHAN_CTL, CTL_BUDGET);
	if (r->beat)
		art__beats_poll(&e->beats, BEAT_BUDGET, on_beat, e);
	if (r->nudge)
		take_nudges(e);
	if (r->data && !e->driver)
		art__engine_poll(e, ART_CHAN_DATA, DATA_BUDGET);
	on_time(e);
	look(e);
	if (e->cfg.voted)
		hear_vote(e);
}

/* ---- the thread ---- */
static void close_pidfd(struct art_engine *e, int slot)
{
	if (e->pidfd[slot] < 0)
		return;
	/* Closing ends the watch only if no child of the application has inherited it. */
	watch(e, EPOLL_CTL_DEL, e->pidfd[slot], 0, 0);
	close(e->pidfd[slot]);
	e->pidfd[slot] = -1;
}

static void hear_witness(struct art_engine *e)
{
	int slot;

	while ((slot = e->cfg.witness(e->cfg.witness_self)) >= 0) {
		assert(slot < e->cfg.size);
		art__set_add(&e->dying, (uint32_t)slot);
		art__set_add(&e->exited, (uint32_t)slot);
	}
	if (slot < -1)
		watch(e, EPOLL_CTL_DEL, e->cfg.witness_fd, 0, 0);
}

static void gather(struct art_engine *e, const struct epoll_event *ev, int n, struct ready *r)
{
	uint64_t count;

	for (int i = 0; i < n; i++) {
		int slot = (int)(uint32_t)ev[i].data.u64;

		switch (ev[i].data.u64 >> 32) {
		case TAG_WAKE:
			if (read(e->wake_fd, &count, sizeof(count)) < 0)
				assert(errno == EAGAIN || errno == EINTR);
			r->other = true;
			break;
		case TAG_CTL:
			r->ctl = true;
			break;
		case TAG_BEAT:
			r->beat = true;
			break;
		case TAG_DATA:
			atomic_store(&e->armed, false);
			r->data = true;
			break;
		case TAG_NUDGE:
			atomic_store(&e->armed, false);
			r->nudge = r->data = true;
			break;
		case TAG_STATUS:
			r->status = art__status_accept(e);
			break;
		case TAG_PID:
			close_pidfd(e, slot);
			art__set_add(&e->dying, (uint32_t)slot);
			art__set_add(&e->exited, (uint32_t)slot);
			r->other = true;
			break;
		case TAG_WITNESS:
			hear_witness(e);
			r->other = true;
			break;
		}
	}
}

/* Milliseconds to sleep for epoll_wait, rounded up; -1 for ever. */
static int timeout_ms(struct art_engine *e, uint64_t wake)
{
	uint64_t now, ms;

	if (wake == ART_NEVER)
		return -1;
	now = art__env_now(e->env);
	if (wake <= now)
		return 0;
	ms = (wake - now + ART_NS_PER_MS - 1) / ART_NS_PER_MS;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* One turn of the thread, owning the engine. Until when to sleep; @wake: as decided last time. */
static uint64_t turn(struct art_engine *e, const struct ready *r, uint64_t wake)
{
	bool only_data = r->data && !r->ctl && !r->beat && !r->other && !r->status;
	struct art_snapshot *told = NULL;

	if (!only_data) {
		art__own_enter_service(&e->own);
	} else if (!art__own_try(&e->own, ART_OWN_SERVICE)) {
		/* A caller is in and sees to it; look whether it still is in a while. */
		uint64_t look = art__env_now(e->env) + AWAY_NS;

		return look < wake ? look : wake;
	}
	probe(e);
	on_ready(e, r);
	wake = e->service_wake = plan(e);
	if (r->status)
		told = art__status_take(e);
	art__engine_settle(e);
	art__own_leave(&e->own);
	if (r->status)
		art__status_answer(e, told);
	return wake;
}

static void *service_main(void *arg)
{
	struct art_engine *e = arg;
	struct epoll_event ev[EVENTS];
	struct ready ready = {.other = true};
	uint64_t wake = ART_NEVER;
	void *volatile memory;

	if (e->shared.arena.mine)
		art__dying_hold(e->shared.arena.mine->life);
	memory = malloc(1); /* the allocator sets up an arena now, not in the middle of a recovery */
	free(memory);
	while (!atomic_load(&e->stopping)) {
		int n;

		wake = turn(e, &ready, wake);
		n = epoll_wait(e->epfd, ev, EVENTS, timeout_ms(e, wake));
		assert(n >= 0 || errno == EINTR);
		ready = (struct ready){.other = n <= 0};
		gather(e, ev, n, &ready);
	}
	if (e->shared.arena.mine)
		art__dying_let_go(e->shared.arena.mine->life);
	return NULL;
}

/* ---- start and stop ---- */
static int add_probe(struct art_engine *e, int slot, pid_t pid)
{
	if (!e->probe)
		e->probe = calloc((size_t)e->cfg.size, sizeof(*e->probe));
	if (!e->probe)
		return ART_ERR_NOMEM;
	e->probe[slot] = pid;
	e->probes++;
	return 0;
}

static int open_pidfd(struct art_engine *e, int slot, pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 && errno == ESRCH) {
		art__set_add(&e->dying, (uint32_t)slot);
		return 0;
	}
	if (fd < 0 && errno == ENOSYS)
		return add_probe(e, slot, pid);
	if (fd < 0 || watch(e, EPOLL_CTL_ADD, fd, EPOLLIN, tag(TAG_PID, slot))) {
		art__env_log(e->env, ART_LOG_ERROR, "cannot watch process %d of rank %d: %m", (int)pid,
			     slot);
		if (fd >= 0)
			close(fd);
		return ART_ERR_INTERNAL;
	}
	e->pidfd[slot] = fd; /* pidfd_open() sets CLOEXEC */
	return 0;
}

static int open_descriptors(struct art_engine *e, const pid_t *pids)
{
	struct art_tp *data = e->tp[ART_CHAN_DATA], *ctl = e->tp[ART_CHAN_CTL];
	int err = 0;

	e->epfd = epoll_create1(EPOLL_CLOEXEC);
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->epfd < 0 || e->wake_fd < 0)
		goto fail;
	if (watch(e, EPOLL_CTL_ADD, e->wake_fd, EPOLLIN, tag(TAG_WAKE, 0)))
		goto fail;
	if (ctl && watch(e, EPOLL_CTL_ADD, ctl->ops->fd(ctl), EPOLLIN, tag(TAG_CTL, 0)))
		goto fail;
	if (data && watch(e, EPOLL_CTL_ADD, data->ops->fd(data), 0, tag(TAG_DATA, 0)))
		goto fail;
	if (e->cfg.witness && watch(e, EPOLL_CTL_ADD, e->cfg.witness_fd, EPOLLIN, tag(TAG_WITNESS, 0)))
		goto fail;
	if (e->shared.nudges.in >= 0 && watch(e, EPOLL_CTL_ADD, e->shared.nudges.in, 0, tag(TAG_NUDGE, 0)))
		goto fail;
	art__status_open(e);
	if (e->status_fd >= 0 &&
	    watch(e, EPOLL_CTL_ADD, e->status_fd, EPOLLIN | EPOLLET, tag(TAG_STATUS, 0)))
		goto fail;
	if (e->beats.fd >= 0 && watch(e, EPOLL_CTL_ADD, e->beats.fd, EPOLLIN, tag(TAG_BEAT, 0)))
		goto fail;
	for (int i = 0; i < e->cfg.size && !err; i++)
		if (pids[i] > 0 && i != e->cfg.slot)
			err = open_pidfd(e, i, pids[i]);
	return err;
fail:
	art__env_log(e->env, ART_LOG_ERROR, "cannot set up the service thread: %m");
	return ART_ERR_INTERNAL;
}

static void close_descriptors(struct art_engine *e)
{
	for (int i = 0; i < e->cfg.size; i++)
		close_pidfd(e, i);
	art__status_close(e);
	free(e->probe);
	e->probe = NULL;
	e->probes = 0;
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	if (e->epfd >= 0)
		close(e->epfd);
	e->wake_fd = e->epfd = -1;
}

static int create_thread(struct art_engine *e)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	if (e->cfg.apart)
		err = pthread_attr_setaffinity_np(&attr, sizeof(e->cfg.service_cpus), &e->cfg.service_cpus);
	if (!err)
		err = pthread_create(&e->thread, &attr, service_main, e);
	pthread_attr_destroy(&attr);
	if (err && e->cfg.apart) { /* they may have been taken from this job meanwhile */
		e->cfg.apart = false;
		return create_thread(e);
	}
	return err;
}

static int start_thread(struct art_engine *e)
{
	sigset_t old;
	int err;

	art__mask_signals(&old);
	err = create_thread(e);
	art__unmask_signals(&old);
	if (err) {
		errno = err;
		art__env_log(e->env, ART_LOG_ERROR, "cannot start the service thread: %m");
		return err == EAGAIN ? ART_ERR_NOMEM : ART_ERR_INTERNAL;
	}
	pthread_setname_np(e->thread, "art-service");
	return 0;
}

int art__service_start(struct art_engine *e, const pid_t *pids)
{
	int err;

	e->service_wake = ART_NEVER;
	e->pids = malloc((size_t)e->cfg.size * sizeof(*e->pids));
	if (!e->pids)
		return ART_ERR_NOMEM;
	memcpy(e->pids, pids, (size_t)e->cfg.size * sizeof(*e->pids));
	art__set_init(&e->dying, (uint32_t)e->cfg.size);
	art__set_init(&e->exited, (uint32_t)e->cfg.size);
	art__set_init(&e->told, (uint32_t)e->cfg.size);
	err = open_descriptors(e, pids);
	if (!err)
		err = start_thread(e);
	if (err)
		close_descriptors(e);
	e->started = !err;
	return err;
}

void art__service_stop(struct art_engine *e)
{
	if (!e->started)
		return;
	atomic_store(&e->stopping, true);
	ring_service(e);
	pthread_join(e->thread, NULL);
	e->started = false;
}

void art__service_close(struct art_engine *e)
{
	if (!e->started && e->pidfd)
		close_descriptors(e);
}
