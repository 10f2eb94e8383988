/* SPDX-License-Identifier: MIT
 *
 * Shared memory as a transport of the contract in transport.h: opening, closing, and the one loop
 * that looks at everybody's ring. Connections are shm_conn.c's, messages ring.c's and shm_send.c's.
 *
 *   awake --arm(): words set, all rings looked at--> armed (peers ring, fd() tells) --poll()--> awake
 */
#include "transport/shm/shm.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/set.h"

#define QUEUE_HIGH (256u * 1024)
#define QUEUE_MAX (64u * 1024 * 1024)
#define CONNECT_NS (5 * ART_NS_PER_S)
#define BACKLOG 512
#define EVENTS 64
#define SPINS 1024u /* every so many polls the system is asked even if nobody rang */
#define PREFIX "shm:"
#define NAME "art-shm-"
#define NAME_RANDOM 8 /* bytes */

/* A fast pair needs several of the longest messages under way; many ranks need memory. */
#define RING_BYTES (256u * 1024)
#define RING_MANY 64 /* ranks in the job from which rings are small */

static struct art_shm *shm(struct art_tp *tp)
{
	assert(tp->ops == &art__shm_ops);
	return (struct art_shm *)tp;
}

static struct art_shm_peer *peer_of(struct art_shm *t, int peer)
{
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot)
		return NULL;
	return &t->peer[peer];
}

/* ---- opening ---- */

static void set_up(struct art_shm *t, const struct art_env *env, const struct art_tp_self *self,
		   const struct art_tp_opts *opts, const struct art_tp_up *up)
{
	t->tp.ops = &art__shm_ops;
	t->env = env;
	t->self = *self;
	t->up = *up;
	t->queue_high = opts->queue_high ? opts->queue_high : QUEUE_HIGH;
	t->queue_max = opts->queue_max ? opts->queue_max : QUEUE_MAX;
	t->connect_ns = opts->connect_ns ? opts->connect_ns : CONNECT_NS;
	t->ring_bytes = self->size < RING_MANY ? RING_BYTES : ART_SHM_RING_MIN;
	t->ep = t->bell = t->lfd = -1;
	TAILQ_INIT(&t->dials);
	TAILQ_INIT(&t->pending);
	TAILQ_INIT(&t->parked);
	TAILQ_INIT(&t->dead);
	for (int i = 0; i < self->size; i++)
		STAILQ_INIT(&t->peer[i].queue);
}

/* Whether this process may share memory at all: better known now than when somebody calls. */
static bool probe(void)
{
	struct art_shm_tx tx = {0};
	struct art_shm_rx rx = {0};
	int fd = art__shm_segment_make(&tx, ART_SHM_RING_MIN);

	if (fd < 0)
		return false;
	art__shm_segment_unmap(&tx, &rx);
	close(fd);
	return true;
}

/* Edge-triggered: a ring of the bell shows once and nobody has to read it. */
static bool open_descriptors(struct art_shm *t)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &t->bell};

	t->ep = epoll_create1(EPOLL_CLOEXEC);
	t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return t->ep >= 0 && t->bell >= 0 && epoll_ctl(t->ep, EPOLL_CTL_ADD, t->bell, &e) == 0 &&
	       probe();
}

static void close_descriptors(struct art_shm *t)
{
	if (t->lfd >= 0)
		close(t->lfd);
	if (t->bell >= 0)
		close(t->bell);
	if (t->ep >= 0)
		close(t->ep);
}

static int shm_open_(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts, const struct art_tp_up *up,
		     struct art_tp **out)
{
	struct art_shm *t;

	if (self->size < 1 || self->size > (int)ART_MAX_RANKS || self->slot < 0 ||
	    self->slot >= self->size)
		return ART_ERR_ARG;
	if (sodium_init() < 0)
		return ART_ERR_INTERNAL;
	t = art__env_zalloc(env, sizeof(*t));
	if (!t)
		return ART_ERR_NOMEM;
	t->peer = art__env_zalloc(env, (size_t)self->size * sizeof(*t->peer));
	if (!t->peer)
		goto err_free;
	t->ups = art__env_zalloc(env, (size_t)self->size * sizeof(struct art_shm_conn *));
	if (!t->ups)
		goto err_peers;
	set_up(t, env, self, opts, up);
	if (!open_descriptors(t)) {
		art__env_log(env, ART_LOG_INFO, "no shared memory: %s", strerror(errno));
		close_descriptors(t);
		art__env_free(env, t->ups);
		art__env_free(env, t->peer);
		sodium_memzero(t, sizeof(*t));
		art__env_free(env, t);
		return ART_ERR_TRANSPORT;
	}
	*out = &t->tp;
	return 0;

err_peers:
	art__env_free(env, t->peer);
err_free:
	art__env_free(env, t);
	return ART_ERR_NOMEM;
}

/* A name that nobody else of this host will think of. Abstract: it lives no longer than we do. */
static int shm_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct art_shm *t = shm(tp);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = &t->lfd};
	uint8_t random[NAME_RANDOM];
	char hex[2 * NAME_RANDOM + 1];
	int len;

	if (t->lfd >= 0)
		return ART_ERR_ARG;
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
	len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, NAME "%s", hex);
	assert(len < ART_SHM_NAME_MAX);
	t->lfd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->lfd < 0 ||
	    bind(t->lfd, (const struct sockaddr *)&a,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) < 0 ||
	    listen(t->lfd, BACKLOG) < 0 || epoll_ctl(t->ep, EPOLL_CTL_ADD, t->lfd, &e) < 0) {
		art__env_log(t->env, ART_LOG_INFO, "no local socket to share memory by: %s",
			     strerror(errno));
		if (t->lfd >= 0)
			close(t->lfd);
		t->lfd = -1;
		return ART_ERR_TRANSPORT;
	}
	snprintf(addr, ART_TP_ADDR_MAX, PREFIX "%s", hex);
	return 0;
}

static int shm_peer(struct art_tp *tp, int peer, const char *addr)
{
	struct art_shm_peer *p = peer_of(shm(tp), peer);
	size_t digits = strspn(addr + (strncmp(addr, PREFIX, 4) ? strlen(addr) : 4),
			       "0123456789abcdef");

	if (!p || digits != 2 * NAME_RANDOM || addr[4 + digits])
		return ART_ERR_ARG;
	snprintf(p->name, sizeof(p->name), NAME "%s", addr + 4);
	return 0;
}

static int shm_connect(struct art_tp *tp, int peer)
{
	struct art_shm *t = shm(tp);
	struct art_shm_peer *p = peer_of(t, peer);

	if (!p)
		return ART_ERR_ARG;
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (p->conn || p->dial)
		return 0;
	return art__shm_dial(t, peer);
}

/* ---- polling ---- */

/* The page says how far we have read, an eighth of a ring at a time: who waits for space waits for
 * more than that. */
static void tell_read(struct art_shm *t, struct art_shm_conn *c)
{
	if (c->rx.at - c->rx.told < c->rx.bytes / 8)
		return;
	c->rx.told = c->rx.at;
	atomic_store(&c->tx.page->acked, c->rx.at);
	if (atomic_load(&c->rx.page->blocked))
		art__shm_wake_if_asleep(t, c);
}

/* Delivers from @c what there is, as the budget allows. */
static void receive(struct art_shm *t, struct art_shm_conn *c)
{
	uint8_t head[ART_TP_HEAD];
	const uint8_t *body;
	size_t len;

	while (t->budget > 0) {
		int r = art__shm_get(&c->rx, head, &body, &len);

		if (r == 0)
			break;
		if (r < 0 || t->up.body_len(t->up.self, head) != (int64_t)len) {
			art__shm_finish(t, c, ART_TP_GARBAGE);
			return;
		}
		c->rx.at += art__shm_record_bytes(len);
		t->budget--;
		t->upcalls++;
		t->up.message(t->up.self, c->peer, head, body, len);
		if (c->state != ART_SHM_UP)
			return;
		tell_read(t, c);
	}
	if (c->ended && !art__shm_waits(&c->rx))
		art__shm_finish(t, c, c->why);
}

static void on_event(struct art_shm *t, struct art_shm_conn *c, uint32_t events)
{
	switch (c->state) {
	case ART_SHM_HELLO:
	case ART_SHM_PROVE:
	case ART_SHM_HEARD:
	case ART_SHM_ASKED:
		art__shm_hello_step(t, c);
		break;
	case ART_SHM_PARKED: /* has nothing to say: this is its end */
		art__shm_count_refusal(t, c, ART_SHM_N_LEFT);
		art__shm_kill(t, c);
		break;
	case ART_SHM_UP: /* nor has this one */
		art__shm_end(t, c, events & EPOLLERR ? ART_TP_RESET : ART_TP_CLOSED);
		break;
	case ART_SHM_WAIT:
	case ART_SHM_DEAD:
		break;
	}
}

static void ask_system(struct art_shm *t)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(t->ep, e, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr == &t->lfd)
			art__shm_accept(t);
		else if (e[i].data.ptr != &t->bell)
			on_event(t, e[i].data.ptr, e[i].events);
	}
}

static bool shaking_hands(const struct art_shm *t)
{
	return t->nudge || !TAILQ_EMPTY(&t->dials) || !TAILQ_EMPTY(&t->pending) ||
	       !TAILQ_EMPTY(&t->parked);
}

static void set_armed(struct art_shm *t, bool armed)
{
	t->armed = armed;
	t->armings++;
	assert((t->armings & 1) == armed);
	for (unsigned i = 0; i < t->n_up; i++)
		atomic_store(&t->ups[i]->tx.page->armed, t->armings);
}

/* Those who have much to say take turns in being first. */
static void receive_all(struct art_shm *t)
{
	unsigned n = t->n_up;

	if (++t->turn >= n)
		t->turn = 0;
	for (unsigned i = 0; i < n && t->budget > 0; i++) {
		struct art_shm_conn *c = t->ups[t->turn + i < n ? t->turn + i : t->turn + i - n];

		if (c->state == ART_SHM_UP)
			receive(t, c);
	}
}

static void flush_all(struct art_shm *t)
{
	for (unsigned i = 0; i < t->n_up; i++) {
		struct art_shm_conn *c = t->ups[i];

		if (c->state == ART_SHM_UP && (t->peer[c->peer].queued || t->peer[c->peer].full))
			art__shm_flush(t, c);
	}
}

static int shm_poll(struct art_tp *tp, int budget)
{
	struct art_shm *t = shm(tp);

	assert(!t->polling);
	t->polling = true;
	t->budget = budget > 0 ? budget : 0;
	t->upcalls = 0;
	if (t->armed || ++t->spins % SPINS == 0 || shaking_hands(t)) {
		if (t->armed)
			set_armed(t, false);
		art__shm_timers(t);
		ask_system(t);
	}
	receive_all(t);
	if (t->n_queues)
		flush_all(t);
	t->polling = false;
	if (t->buried || !TAILQ_EMPTY(&t->dead))
		art__shm_reap(t);
	return t->upcalls;
}

/* What poll() would find that nobody rings for any more. */
static bool found_something(struct art_shm *t)
{
	if (t->n_ended)
		return true;
	for (unsigned i = 0; i < t->n_up; i++) {
		struct art_shm_conn *c = t->ups[i];
		struct art_shm_peer *p = &t->peer[c->peer];

		if (art__shm_waits(&c->rx))
			return true;
		if (p->queued &&
		    art__shm_has_space(&c->tx, c->rx.page,
				       STAILQ_FIRST(&p->queue)->len - ART_TP_HEAD))
			return true;
	}
	return false;
}

static void shm_arm(struct art_tp *tp)
{
	struct art_shm *t = shm(tp);

	assert(!t->polling);
	if (t->armed)
		return;
	set_armed(t, true);
	if (found_something(t))
		art__shm_kick(t);
}

static int shm_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	return art__shm_send(shm(tp), peer, iov, niov);
}

static int shm_fd(struct art_tp *tp)
{
	return shm(tp)->ep;
}

static uint64_t shm_wake_ns(struct art_tp *tp)
{
	return art__shm_next_timer(shm(tp));
}

/* ---- ending ---- */

static void cut(struct art_shm *t, struct art_shm_peer *p)
{
	art__shm_forget_queue(t, p);
	if (p->conn)
		art__shm_kill(t, p->conn);
	if (p->dial)
		art__shm_kill(t, p->dial);
}

static void shm_reset(struct art_tp *tp, int peer)
{
	struct art_shm_peer *p = peer_of(shm(tp), peer);

	assert(p);
	cut(shm(tp), p);
}

static void shm_drop(struct art_tp *tp, int peer)
{
	struct art_shm *t = shm(tp);
	struct art_shm_peer *p = peer_of(t, peer);

	assert(p);
	p->dropped = true;
	art__shm_forget_parked(t, peer);
	cut(t, p);
}

static size_t shm_pending(struct art_tp *tp)
{
	return shm(tp)->queued;
}

static unsigned shm_caps(struct art_tp *tp)
{
	(void)tp;
	return ART_TP_CAP_ORDERED | ART_TP_CAP_FD | ART_TP_CAP_PEER_DEATH | ART_TP_CAP_CHEAP_POLL;
}

static void kill_all(struct art_shm *t, struct art_shm_list *l)
{
	while (!TAILQ_EMPTY(l))
		art__shm_kill(t, TAILQ_FIRST(l));
}

static void shm_close(struct art_tp *tp)
{
	struct art_shm *t = shm(tp);
	const struct art_env *env = t->env;

	assert(!t->polling);
	for (int i = 0; i < t->self.size; i++)
		cut(t, &t->peer[i]);
	kill_all(t, &t->pending);
	kill_all(t, &t->parked);
	assert(t->queued == 0 && t->n_up == 0 && t->n_ended == 0 && t->n_queues == 0);
	close_descriptors(t);
	art__env_free(env, t->ups);
	art__env_free(env, t->peer);
	sodium_memzero(t, sizeof(*t)); /* the job key */
	art__env_free(env, t);
}

const uint64_t *art__shm_counters(const struct art_tp *tp)
{
	return ((const struct art_shm *)tp)->n;
}

const char *art__shm_count_name(enum art_shm_count what)
{
	static const char *const names[ART_SHM_N_LAST] = {
		[ART_SHM_N_ACCEPTED] = "shm-accepted",
		[ART_SHM_N_UP] = "shm-up",
		[ART_SHM_N_USER] = "shm-refused-user",
		[ART_SHM_N_GARBAGE] = "shm-refused-garbage",
		[ART_SHM_N_VERSION] = "shm-refused-version",
		[ART_SHM_N_CHANNEL] = "shm-refused-channel",
		[ART_SHM_N_JOB] = "shm-refused-job",
		[ART_SHM_N_SLOT] = "shm-refused-slot",
		[ART_SHM_N_DROPPED] = "shm-refused-dropped",
		[ART_SHM_N_STALE] = "shm-refused-stale",
		[ART_SHM_N_KEY] = "shm-refused-key",
		[ART_SHM_N_SLOW] = "shm-refused-slow",
		[ART_SHM_N_CROWD] = "shm-refused-crowd",
		[ART_SHM_N_SEGMENT] = "shm-refused-segment",
		[ART_SHM_N_LEFT] = "shm-left",
		[ART_SHM_N_PARKED] = "shm-parked",
		[ART_SHM_N_ACCEPT_FAIL] = "shm-accept-failed",
		[ART_SHM_N_BELLS] = "shm-bells",
		[ART_SHM_N_QUEUED] = "shm-queued",
	};

	return what < ART_SHM_N_LAST ? names[what] : "?";
}

const struct art_tp_ops art__shm_ops = {
	.name = "shm",
	.open = shm_open_,
	.listen = shm_listen,
	.peer = shm_peer,
	.connect = shm_connect,
	.send = shm_send,
	.poll = shm_poll,
	.fd = shm_fd,
	.arm = shm_arm,
	.wake_ns = shm_wake_ns,
	.drop = shm_drop,
	.reset = shm_reset,
	.pending = shm_pending,
	.caps = shm_caps,
	.close = shm_close,
};
