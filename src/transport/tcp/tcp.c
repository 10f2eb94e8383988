/* SPDX-License-Identifier: MIT
 *
 * TCP as a transport of the contract in transport.h: opening, closing, and the one loop that
 * asks who has something. Connections are tcp_conn.c's, messages tcp_send.c's and tcp_recv.c's.
 */
#include "transport/tcp/tcp.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/set.h"

#define QUEUE_HIGH (256u * 1024)
#define QUEUE_MAX (64u * 1024 * 1024)
#define CONNECT_NS (5 * ART_NS_PER_S)
#define BACKLOG 512
#define EVENTS 64
#define SPINS 8 /* every so many polls epoll is asked even if connections are hot, */
#define SPINS_ALL 64 /* and if there are no others, so that it can only tell of new ones */
#define DATA 0 /* the channel whose owner calls arm() before it sleeps */
#define DRAIN_CALLS 64
#define SCRATCH (ART_TP_HEAD + ART_TP_BODY_MAX + ART_TCP_SEAL_BYTES)
#define DRAIN_BYTES (16u * 1024)

static struct art_tcp *tcp(struct art_tp *tp)
{
	assert(tp->ops == &art__tcp_ops);
	return (struct art_tcp *)tp;
}

static struct art_tcp_peer *peer_of(struct art_tcp *t, int peer)
{
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot)
		return NULL;
	return &t->peer[peer];
}

/* ---- system calls ---- */

static ssize_t sys_recv(void *self, int fd, void *buf, size_t len, int flags)
{
	(void)self;
	return recv(fd, buf, len, flags);
}

/* For a small message the system's reading of a gather list costs more than this copy does. */
static ssize_t sys_sendmsg(void *self, int fd, const struct msghdr *m, int flags)
{
	uint8_t small[256];
	size_t n = 0;

	(void)self;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if (m->msg_iov[i].iov_len > sizeof(small) - n)
			return sendmsg(fd, m, flags);
		if (m->msg_iov[i].iov_len)
			memcpy(small + n, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
		n += m->msg_iov[i].iov_len;
	}
	return send(fd, small, n, flags);
}

static int sys_accept(void *self, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	(void)self;
	return accept4(fd, sa, len, flags);
}

static int sys_connect(void *self, int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)self;
	return connect(fd, sa, len);
}

/* ---- opening ---- */

static bool watch_own(struct art_tcp *t, int *fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = fd };

	return epoll_ctl(t->ep, EPOLL_CTL_ADD, *fd, &e) == 0;
}

static void set_up(struct art_tcp *t, const struct art_env *env, const struct art_tp_self *self,
		   const struct art_tp_opts *opts, const struct art_tp_up *up)
{
	t->tp.ops = &art__tcp_ops;
	t->env = env;
	t->self = *self;
	t->up = *up;
	t->queue_high = opts->queue_high ? opts->queue_high : QUEUE_HIGH;
	t->queue_max = opts->queue_max ? opts->queue_max : QUEUE_MAX;
	t->security = opts->security;
	t->connect_ns = opts->connect_ns ? opts->connect_ns : CONNECT_NS;
	for (int i = 0; i < ART_TCP_ADDRS; i++)
		t->lfd[i] = -1;
	TAILQ_INIT(&t->spare);
	TAILQ_INIT(&t->dials);
	TAILQ_INIT(&t->pending);
	TAILQ_INIT(&t->parked);
	TAILQ_INIT(&t->ups);
	TAILQ_INIT(&t->todo);
	TAILQ_INIT(&t->dead);
	for (int i = 0; i < self->size; i++)
		TAILQ_INIT(&t->peer[i].queue);
	t->sys = (struct art_tcp_sys){
		.recv = sys_recv,
		.sendmsg = sys_sendmsg,
		.accept = sys_accept,
		.connect = sys_connect,
	};
}

static int tcp_open(const struct art_env *env, const struct art_tp_self *self,
		    const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out)
{
	struct art_tcp_addrs own;
	struct art_tcp *t;
	int r;

	if (self->size < 1 || self->size > (int)ART_MAX_RANKS || self->slot < 0 ||
	    self->slot >= self->size)
		return ART_ERR_ARG;
	if (sodium_init() < 0)
		return ART_ERR_INTERNAL;
	r = art__tcp_iface(env, opts->iface, &own);
	if (r < 0)
		return r;
	r = ART_ERR_NOMEM;
	t = art__env_zalloc(env, sizeof(*t));
	if (!t)
		return r;
	t->peer = art__env_zalloc(env, (size_t)self->size * sizeof(*t->peer));
	if (!t->peer)
		goto err_free;
	if (opts->security == ART_TP_ENCRYPT) {
		t->scratch = art__env_alloc(env, SCRATCH);
		if (!t->scratch)
			goto err_peers;
	}
	set_up(t, env, self, opts, up);
	t->own = own;
	art__tcp_ephemeral(t);
	r = ART_ERR_TRANSPORT;
	t->ep = epoll_create1(EPOLL_CLOEXEC);
	if (t->ep < 0)
		goto err_log;
	t->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->kick < 0)
		goto err_ep;
	if (!watch_own(t, &t->kick))
		goto err_kick;
	*out = &t->tp;
	return 0;

err_kick:
	close(t->kick);
err_ep:
	close(t->ep);
err_log:
	art__env_log(env, ART_LOG_ERROR, "cannot open tcp: %s", strerror(errno));
	art__env_free(env, t->scratch);
err_peers:
	art__env_free(env, t->peer);
err_free:
	sodium_memzero(t, sizeof(*t));
	art__env_free(env, t);
	return r;
}

/* Writes the port that the system chose into *a. */
static bool listen_on(struct art_tcp *t, int *lfd, union art_tcp_addr *a)
{
	socklen_t len = art__tcp_addr_len(a);
	char ip[ART_TCP_ADDR_TEXT];
	int on = 1;

	assert(art__tcp_unicast(a));
	*lfd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*lfd < 0)
		goto err_log;
	if (a->sa.sa_family == AF_INET6 &&
	    setsockopt(*lfd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		goto err_close;
	if (art__tcp_loopback(a))
		art__tcp_tune_near(*lfd);
	if (bind(*lfd, &a->sa, len) < 0 || listen(*lfd, BACKLOG) < 0 ||
	    getsockname(*lfd, &a->sa, &len) < 0 || !watch_own(t, lfd))
		goto err_close;
	return true;

err_close:
	close(*lfd);
	*lfd = -1;
err_log:
	art__tcp_print_ip(a, ip);
	art__env_log(t->env, ART_LOG_ERROR, "cannot listen on %s: %s", ip, strerror(errno));
	return false;
}

static int tcp_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct art_tcp *t = tcp(tp);
	char one[ART_TCP_ADDR_TEXT], text[2 * ART_TCP_ADDR_TEXT];
	int len = 0;

	if (!art__tcp_make_spares(t))
		return ART_ERR_NOMEM;
	for (int i = 0; i < t->own.n; i++) {
		if (t->lfd[i] >= 0)
			return ART_ERR_ARG;
		if (!listen_on(t, &t->lfd[i], &t->own.at[i]))
			continue; /* the other family will do */
		art__tcp_print(&t->own.at[i], one);
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s", len ? "," : "", one);
	}
	if (len == 0)
		return ART_ERR_TRANSPORT;
	assert(len < ART_TP_ADDR_MAX);
	memcpy(addr, text, (size_t)len + 1);
	art__env_log(t->env, ART_LOG_DEBUG, "listening on %s", addr);
	return 0;
}

static int tcp_peer(struct art_tp *tp, int peer, const char *addr)
{
	struct art_tcp *t = tcp(tp);
	struct art_tcp_peer *p = peer_of(t, peer);
	const char *own = strrchr(addr, ';'); /* other ways to this rank are before it */

	return p ? art__tcp_parse(own ? own + 1 : addr, &p->addr) : ART_ERR_ARG;
}

static int tcp_connect(struct art_tp *tp, int peer)
{
	struct art_tcp *t = tcp(tp);
	struct art_tcp_peer *p = peer_of(t, peer);

	if (!p)
		return ART_ERR_ARG;
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (p->conn || p->dial)
		return 0;
	return art__tcp_dial(t, peer);
}

/* ---- polling ---- */

/* What an earlier poll() left for want of budget, and what send() found broken. */
static void poll_todo(struct art_tcp *t)
{
	struct art_tcp_conn *c = TAILQ_LAST(&t->todo, art_tcp_list), *last = c;

	while (last && t->budget > 0 && (c = TAILQ_FIRST(&t->todo))) {
		TAILQ_REMOVE(&t->todo, c, todo);
		c->in_todo = false;
		if (c == last)
			last = NULL; /* what is added now is for the next time */
		if (c->state == ART_TCP_UP)
			art__tcp_recv(t, c);
		else
			art__tcp_finish(t, c, c->why);
		if (last && last->state == ART_TCP_DEAD)
			last = NULL;
	}
}

/* Some have something to write or are on their way: only epoll tells of them. */
static bool others_wait(const struct art_tcp *t)
{
	return t->n_blocked > 0 || t->n_pending > 0 || !TAILQ_EMPTY(&t->dials);
}

/* Few busy connections are read straight away: a read costs less than asking and reading.
 * True if that will do for this time. */
static bool poll_hot(struct art_tcp *t)
{
	struct art_tcp_conn *hot[ART_TCP_HOT_MAX], *c;
	unsigned every;
	int n = 0;

	if (t->n_hot > ART_TCP_HOT_MAX)
		return false;
	for (c = TAILQ_FIRST(&t->ups); c && c->hot; c = TAILQ_NEXT(c, list))
		hot[n++] = c;
	every = c ? SPINS : SPINS_ALL;
	t->spinning = t->self.channel == DATA && !others_wait(t);
	for (int i = 0; i < n; i++) {
		if (hot[i]->state == ART_TCP_UP && !art__tcp_recv(t, hot[i]))
			art__tcp_set_hot(t, hot[i], hot[i]->hot - 1);
	}
	t->spinning = false;
	if (n == 0 || others_wait(t))
		return false;
	return ++t->spins % every != 0;
}

static void on_event(struct art_tcp *t, struct art_tcp_conn *c, uint32_t events)
{
	switch (c->state) {
	case ART_TCP_CONNECT:
		art__tcp_on_connect(t, c);
		break;
	case ART_TCP_HELLO:
	case ART_TCP_PROVE:
	case ART_TCP_HEARD:
	case ART_TCP_ASKED:
		art__tcp_hello_step(t, c);
		break;
	case ART_TCP_PARKED: /* has nothing to say: this is its end */
		art__tcp_refuse(t, c, ART_TCP_N_LEFT);
		art__tcp_kill(t, c);
		break;
	case ART_TCP_UP:
		if (events & EPOLLOUT)
			art__tcp_flush(t, c);
		if (c->state == ART_TCP_UP && events & ~(uint32_t)EPOLLOUT)
			art__tcp_recv(t, c);
		break;
	case ART_TCP_WAIT:
	case ART_TCP_DEAD:
		break;
	}
}

static void poll_epoll(struct art_tcp *t)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(t->ep, e, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		int *lfd = e[i].data.ptr;

		if (lfd >= t->lfd && lfd < t->lfd + ART_TCP_ADDRS)
			art__tcp_accept(t, *lfd);
		else if (lfd != &t->kick)
			on_event(t, e[i].data.ptr, e[i].events);
	}
}

/* The descriptor is readable while there is work that no socket shows. */
static void sync_kick(struct art_tcp *t)
{
	bool want = t->nudge || !TAILQ_EMPTY(&t->todo);
	uint64_t one = 1;
	ssize_t n;

	if (want == t->kicked)
		return;
	n = want ? write(t->kick, &one, sizeof(one)) : read(t->kick, &one, sizeof(one));
	assert(n == sizeof(one));
	(void)n;
	t->kicked = want;
}

static int tcp_poll(struct art_tp *tp, int budget)
{
	struct art_tcp *t = tcp(tp);

	assert(!t->polling);
	t->polling = true;
	t->budget = budget > 0 ? budget : 0;
	t->upcalls = 0;
	art__tcp_timers(t);
	poll_todo(t);
	if (!poll_hot(t))
		poll_epoll(t);
	t->polling = false;
	art__tcp_reap(t);
	sync_kick(t);
	return t->upcalls;
}

static int tcp_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	struct art_tcp *t = tcp(tp);
	int r = art__tcp_send(t, peer, iov, niov);

	if (!t->polling)
		sync_kick(t);
	return r;
}

static int tcp_send_run(struct art_tp *tp, int peer, struct art_tp_run *run)
{
	struct art_tcp *t = tcp(tp);
	int r = art__tcp_send_run(t, peer, run);

	if (!t->polling)
		sync_kick(t);
	return r;
}

static int tcp_fd(struct art_tp *tp)
{
	return tcp(tp)->ep;
}

/* What was looked at and is still in its socket would end the sleep at once. */
static void tcp_arm(struct art_tp *tp)
{
	struct art_tcp *t = tcp(tp);
	struct art_tcp_conn *c;

	for (c = TAILQ_FIRST(&t->ups); c && c->hot; c = TAILQ_NEXT(c, list))
		art__tcp_settle(t, c);
}

static uint64_t tcp_wake_ns(struct art_tp *tp)
{
	return art__tcp_next_timer(tcp(tp));
}

/* ---- ending ---- */

static void cut(struct art_tcp *t, struct art_tcp_peer *p)
{
	if (p->conn)
		art__tcp_kill(t, p->conn);
	if (p->dial)
		art__tcp_kill(t, p->dial);
	art__tcp_forget_queue(t, p);
	if (!t->polling)
		sync_kick(t);
}

static void tcp_reset(struct art_tp *tp, int peer)
{
	struct art_tcp *t = tcp(tp);
	struct art_tcp_peer *p = peer_of(t, peer);

	assert(p);
	cut(t, p);
}

static void tcp_drop(struct art_tp *tp, int peer)
{
	struct art_tcp *t = tcp(tp);
	struct art_tcp_peer *p = peer_of(t, peer);

	assert(p);
	p->dropped = true;
	art__tcp_forget_parked(t, peer);
	cut(t, p);
}

static size_t tcp_pending(struct art_tp *tp)
{
	return tcp(tp)->queued;
}

static unsigned tcp_caps(struct art_tp *tp)
{
	(void)tp;
	return ART_TP_CAP_ORDERED | ART_TP_CAP_FD | ART_TP_CAP_PEER_DEATH;
}

/* Closing a socket with unread bytes resets it, and the peer might lose what we sent last. */
static void farewell(struct art_tcp_conn *c)
{
	uint8_t unread[DRAIN_BYTES];

	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < DRAIN_CALLS; i++)
		if (recv(c->fd, unread, sizeof(unread), 0) <= 0)
			return;
}

static void kill_all(struct art_tcp *t, struct art_tcp_list *l)
{
	struct art_tcp_conn *c;

	while ((c = TAILQ_FIRST(l)))
		art__tcp_kill(t, c);
}

static void tcp_close(struct art_tp *tp)
{
	struct art_tcp *t = tcp(tp);
	const struct art_env *env = t->env;
	struct art_tcp_conn *c;

	assert(!t->polling);
	TAILQ_FOREACH(c, &t->ups, list)
		farewell(c);
	kill_all(t, &t->ups);
	kill_all(t, &t->dials);
	kill_all(t, &t->pending);
	kill_all(t, &t->parked);
	for (int i = 0; i < t->self.size; i++)
		art__tcp_forget_queue(t, &t->peer[i]);
	assert(t->queued == 0 && t->n_hot == 0 && t->n_blocked == 0 && t->n_pending == 0);
	for (int i = 0; i < ART_TCP_ADDRS; i++)
		if (t->lfd[i] >= 0)
			close(t->lfd[i]);
	close(t->kick);
	close(t->ep);
	art__tcp_free_spares(t);
	art__env_free(env, t->scratch);
	sodium_memzero(t->peer, (size_t)t->self.size * sizeof(*t->peer)); /* shared secrets */
	art__env_free(env, t->peer);
	sodium_memzero(t, sizeof(*t)); /* the job key, the ephemeral */
	art__env_free(env, t);
}

const uint64_t *art__tcp_counters(const struct art_tp *tp)
{
	return ((const struct art_tcp *)tp)->n;
}

const char *art__tcp_count_name(enum art_tcp_count what)
{
	static const char *const names[ART_TCP_N_LAST] = {
		[ART_TCP_N_ACCEPTED] = "accepted",
		[ART_TCP_N_UP] = "up",
		[ART_TCP_N_GARBAGE] = "refused-garbage",
		[ART_TCP_N_VERSION] = "refused-version",
		[ART_TCP_N_SECURITY] = "refused-security",
		[ART_TCP_N_CHANNEL] = "refused-channel",
		[ART_TCP_N_JOB] = "refused-job",
		[ART_TCP_N_SLOT] = "refused-slot",
		[ART_TCP_N_DROPPED] = "refused-dropped",
		[ART_TCP_N_STALE] = "refused-stale",
		[ART_TCP_N_KEY] = "refused-key",
		[ART_TCP_N_SLOW] = "refused-slow",
		[ART_TCP_N_CROWD] = "refused-crowd",
		[ART_TCP_N_FORGED] = "ended-forged",
		[ART_TCP_N_LEFT] = "left",
		[ART_TCP_N_PARKED] = "parked",
		[ART_TCP_N_ACCEPT_FAIL] = "accept-failed",
		[ART_TCP_N_SENDMSG] = "send-calls",
		[ART_TCP_N_RECV] = "receive-calls",
	};

	return what < ART_TCP_N_LAST ? names[what] : "?";
}

struct art_tcp_sys *art__tcp_sys(struct art_tp *tp)
{
	return &tcp(tp)->sys;
}

const struct art_tp_ops art__tcp_ops = {
	.name = "tcp",
	.open = tcp_open,
	.listen = tcp_listen,
	.peer = tcp_peer,
	.connect = tcp_connect,
	.send = tcp_send,
	.send_run = tcp_send_run,
	.poll = tcp_poll,
	.fd = tcp_fd,
	.arm = tcp_arm,
	.wake_ns = tcp_wake_ns,
	.drop = tcp_drop,
	.reset = tcp_reset,
	.pending = tcp_pending,
	.caps = tcp_caps,
	.close = tcp_close,
};
