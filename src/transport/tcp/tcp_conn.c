/* SPDX-License-Identifier: MIT
 *
 * The states of a connection (drawn in tcp.h): dialling and its retries, accepting, which of two
 * connections to one peer survives, timers, and the end. What is said in a handshake is
 * tcp_hello.c's.
 */
#include "transport/tcp/tcp.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPT_BURST 16
#define ACCEPT_PAUSE_NS (100 * ART_NS_PER_MS)
#define BACKOFF_MIN_NS ART_NS_PER_MS
#define BACKOFF_MAX_NS (64 * ART_NS_PER_MS)

#define BIT(s) (1u << (s))

static const unsigned may_follow[] = {
	[ART_TCP_WAIT] = BIT(ART_TCP_CONNECT) | BIT(ART_TCP_WAIT) | BIT(ART_TCP_DEAD),
	[ART_TCP_CONNECT] = BIT(ART_TCP_HELLO) | BIT(ART_TCP_WAIT) | BIT(ART_TCP_DEAD),
	[ART_TCP_HELLO] = BIT(ART_TCP_PROVE) | BIT(ART_TCP_WAIT) | BIT(ART_TCP_DEAD),
	[ART_TCP_PROVE] = BIT(ART_TCP_UP) | BIT(ART_TCP_WAIT) | BIT(ART_TCP_DEAD),
	[ART_TCP_HEARD] = BIT(ART_TCP_ASKED) | BIT(ART_TCP_DEAD),
	[ART_TCP_ASKED] = BIT(ART_TCP_PARKED) | BIT(ART_TCP_UP) | BIT(ART_TCP_DEAD),
	[ART_TCP_PARKED] = BIT(ART_TCP_UP) | BIT(ART_TCP_DEAD),
	[ART_TCP_UP] = BIT(ART_TCP_DEAD),
	[ART_TCP_DEAD] = 0,
};

static struct art_tcp_list *list_of(struct art_tcp *t, enum art_tcp_state state)
{
	switch (state) {
	case ART_TCP_WAIT:
	case ART_TCP_CONNECT:
	case ART_TCP_HELLO:
	case ART_TCP_PROVE:
		return &t->dials;
	case ART_TCP_HEARD:
	case ART_TCP_ASKED:
		return &t->pending;
	case ART_TCP_PARKED:
		return &t->parked;
	case ART_TCP_UP:
		return &t->ups;
	case ART_TCP_DEAD:
		break;
	}
	return &t->dead;
}

static void count_in(struct art_tcp *t, const struct art_tcp_list *l, unsigned by)
{
	if (l == &t->pending)
		t->n_pending += by;
}

/* Those that are busy stand in front of those that are not: a poll looks at no others. */
void art__tcp_turn_hot(struct art_tcp *t, struct art_tcp_conn *c, bool hot)
{
	assert(c->state == ART_TCP_UP);
	TAILQ_REMOVE(&t->ups, c, list);
	if (hot) {
		TAILQ_INSERT_HEAD(&t->ups, c, list);
		t->n_hot++;
	} else {
		TAILQ_INSERT_TAIL(&t->ups, c, list);
		t->n_hot--;
	}
}

void art__tcp_set_state(struct art_tcp *t, struct art_tcp_conn *c, enum art_tcp_state state)
{
	struct art_tcp_list *from = list_of(t, c->state), *to = list_of(t, state);

	assert(may_follow[c->state] & BIT(state));
	c->state = state;
	if (from == to)
		return; /* its place in the order of arrival stays */
	TAILQ_REMOVE(from, c, list);
	TAILQ_INSERT_TAIL(to, c, list);
	count_in(t, from, -1u);
	count_in(t, to, 1);
}

/* ---- memory ---- */

#define SPARES (ART_TCP_PENDING_MAX + ACCEPT_BURST)

static bool add_spare(struct art_tcp *t)
{
	struct art_tcp_conn *c = art__env_zalloc(t->env, sizeof(*c));

	if (!c)
		return false;
	c->spare = true;
	TAILQ_INSERT_TAIL(&t->spare, c, list);
	return true;
}

bool art__tcp_make_spares(struct art_tcp *t)
{
	for (int i = 0; i < SPARES && TAILQ_EMPTY(&t->pending); i++)
		if (!add_spare(t))
			return false;
	return true;
}

void art__tcp_free_spares(struct art_tcp *t)
{
	struct art_tcp_conn *c;

	while ((c = TAILQ_FIRST(&t->spare))) {
		TAILQ_REMOVE(&t->spare, c, list);
		art__env_free(t->env, c);
	}
}

/* @c is no stranger any more: it leaves the slots for strangers, and another takes its place. */
static bool keep(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (c->spare && !add_spare(t))
		return false;
	c->spare = false;
	return true;
}

/* A stranger gets memory that is there already; NULL: all of it is in use. */
static struct art_tcp_conn *conn_new(struct art_tcp *t, enum art_tcp_state state, int fd, int peer)
{
	struct art_tcp_conn *c;

	if (state == ART_TCP_HEARD) {
		c = TAILQ_FIRST(&t->spare);
		if (c)
			TAILQ_REMOVE(&t->spare, c, list);
	} else {
		c = art__env_zalloc(t->env, sizeof(*c));
	}
	if (!c)
		return NULL;
	c->state = state;
	c->fd = fd;
	c->peer = peer;
	c->deadline_ns = c->bound_ns = ART_NEVER;
	TAILQ_INSERT_TAIL(list_of(t, state), c, list);
	count_in(t, list_of(t, state), 1);
	return c;
}

static uint32_t wanted_events(const struct art_tcp_conn *c)
{
	if (c->state == ART_TCP_CONNECT)
		return EPOLLOUT;
	if (c->state == ART_TCP_UP)
		return EPOLLIN | (c->blocked && !c->broken ? (uint32_t)EPOLLOUT : 0);
	return EPOLLIN | (c->out_at < c->out_len ? (uint32_t)EPOLLOUT : 0);
}

static void log_unwatched(struct art_tcp *t, const struct art_tcp_conn *c)
{
	char who[32] = "that has come in";

	if (c->peer >= 0)
		snprintf(who, sizeof(who), "with rank %d", c->peer);
	art__env_log(t->env, ART_LOG_WARN, "epoll refuses a connection %s: %s; trying again (logged "
		     "once)", who, strerror(c->err));
}

/* Whoever comes tries again at least this often, and so do we. */
#define DEAF_PAUSE_NS (2 * (ACCEPT_PAUSE_NS + BACKOFF_MAX_NS))

/* Our own system refuses a connection. One refusal is nothing; without end they leave the others
 * waiting for somebody who does not know of it. */
static void note_refusal(struct art_tcp *t)
{
	uint64_t now = art__env_now(t->env);

	if (!t->deaf_ns || now - t->deaf_last_ns > t->connect_ns + DEAF_PAUSE_NS)
		t->deaf_ns = now;
	t->deaf_last_ns = now;
	t->deaf = now - t->deaf_ns >= t->connect_ns;
}

bool art__tcp_watch(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct epoll_event e = { .events = wanted_events(c), .data.ptr = c };
	unsigned counter = c->peer < 0 ? ART_TCP_N_ACCEPT_FAIL : ART_TCP_N_DIAL_FAIL;

	assert(c->fd >= 0);
	if (e.events == c->events)
		return true;
	if (epoll_ctl(t->ep, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) < 0) {
		c->err = errno;
		c->starved = true;
		if (!(t->logged & BIT(counter)))
			log_unwatched(t, c);
		t->logged |= BIT(counter);
		t->n[counter]++;
		note_refusal(t);
		return false;
	}
	if (!c->events)
		t->deaf_ns = 0;
	c->events = e.events;
	return true;
}

/* It leaves epoll by itself only if no child of the application has inherited it. */
static void close_socket(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (c->events)
		(void)epoll_ctl(t->ep, EPOLL_CTL_DEL, c->fd, NULL);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->events = 0;
}

void art__tcp_todo(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (c->in_todo)
		return;
	c->in_todo = true;
	TAILQ_INSERT_TAIL(&t->todo, c, todo);
}

void art__tcp_reap(struct art_tcp *t)
{
	struct art_tcp_conn *c;

	while ((c = TAILQ_FIRST(&t->dead))) {
		TAILQ_REMOVE(&t->dead, c, list);
		art__env_free(t->env, c->rx);
		if (c->spare) {
			*c = (struct art_tcp_conn){ .spare = true };
			TAILQ_INSERT_TAIL(&t->spare, c, list);
		} else {
			art__env_free(t->env, c);
		}
	}
}

void art__tcp_kill(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = c->peer >= 0 ? &t->peer[c->peer] : NULL;

	close_socket(t, c);
	art__tcp_forget_keys(c);
	if (c->in_todo)
		TAILQ_REMOVE(&t->todo, c, todo);
	c->in_todo = false;
	art__tcp_set_blocked(t, c, false);
	art__tcp_set_hot(t, c, 0);
	if (p && p->conn == c)
		p->conn = NULL;
	if (p && p->dial == c)
		p->dial = NULL;
	art__tcp_set_state(t, c, ART_TCP_DEAD);
	t->nudge |= !TAILQ_EMPTY(&t->parked);
	if (!t->polling)
		art__tcp_reap(t);
}

void art__tcp_finish(struct art_tcp *t, struct art_tcp_conn *c, enum art_tp_why why)
{
	int peer = c->peer;

	assert(t->polling && (t->peer[peer].conn == c || t->peer[peer].dial == c));
	art__tcp_kill(t, c);
	art__tcp_forget_queue(t, &t->peer[peer]);
	t->upcalls++;
	t->up.down(t->up.self, peer, why);
}

void art__tcp_break(struct art_tcp *t, struct art_tcp_conn *c, enum art_tp_why why)
{
	if (c->broken)
		return;
	c->broken = true;
	c->why = why;
	art__tcp_set_blocked(t, c, true);
	art__tcp_todo(t, c);
	/* What has arrived can still be read; the peer learns of the end at once. */
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_RDWR);
}

/* ---- dialling ---- */

/* A link that is cut while nothing is under way shows after 10 s: the kernel of the other host
 * answers keepalives whether its process reads or not. TCP_USER_TIMEOUT is left alone, because it
 * also ends the connection to a live peer that does not read for so long; a link that is cut while
 * bytes are under way is therefore noticed by heartbeats, or by the kernel after some 15 minutes.
 * Socket buffers are left to the kernel, too, which sizes them by use. Failing here costs latency
 * or evidence, not the connection. */
static void tune(int fd, bool near)
{
	int on = 1, idle_s = 5, pause_s = 1, probes = 5;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause_s, sizeof(pause_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	if (near)
		art__tcp_tune_near(fd);
}

/* The first time all addresses of a peer are tried at once, later with pauses. */
void art__tcp_retry(struct art_tcp *t, struct art_tcp_conn *c)
{
	bool more = c->tries < (unsigned)t->peer[c->peer].addr.n;

	close_socket(t, c);
	c->backoff_ns = c->backoff_ns ? 2 * c->backoff_ns : BACKOFF_MIN_NS;
	if (c->backoff_ns > BACKOFF_MAX_NS)
		c->backoff_ns = BACKOFF_MAX_NS;
	c->deadline_ns = art__env_now(t->env) + (more ? 0 : c->backoff_ns);
	art__tcp_set_state(t, c, ART_TCP_WAIT);
	t->nudge |= !TAILQ_EMPTY(&t->parked);
}

/* Where the next attempt goes, kept in c->from. */
static union art_tcp_addr *next_address(struct art_tcp *t, struct art_tcp_conn *c)
{
	const struct art_tcp_addrs *to = &t->peer[c->peer].addr;

	c->from = to->at[c->tries++ % (unsigned)to->n];
	/* A link-local address means something on our own link only. */
	for (int i = 0; i < t->own.n && art__tcp_link_local(&c->from); i++)
		if (t->own.at[i].sa.sa_family == AF_INET6 && !c->from.v6.sin6_scope_id)
			c->from.v6.sin6_scope_id = t->own.at[i].v6.sin6_scope_id;
	return &c->from;
}

/* Within a host a connection is there when connect() returns, though it says "in progress": asking
 * once more saves a round through epoll. */
static bool connected(struct art_tcp *t, int fd, const union art_tcp_addr *a)
{
	socklen_t len = art__tcp_addr_len(a);

	return t->sys.connect(t->sys.self, fd, &a->sa, len) == 0 ||
	       (errno == EINPROGRESS && t->sys.connect(t->sys.self, fd, &a->sa, len) == 0);
}

static void attempt(struct art_tcp *t, struct art_tcp_conn *c)
{
	union art_tcp_addr *a = next_address(t, c);

	assert(c->state == ART_TCP_WAIT && c->fd < 0);
	c->fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->starved = c->fd < 0;
	if (c->fd < 0) {
		c->err = errno;
		if (!(t->logged & BIT(ART_TCP_N_DIAL_FAIL)))
			art__env_log(t->env, ART_LOG_WARN, "no socket to reach rank %d: %s; "
				     "trying again (logged once)", c->peer, strerror(errno));
		t->logged |= BIT(ART_TCP_N_DIAL_FAIL);
		t->n[ART_TCP_N_DIAL_FAIL]++;
		art__tcp_retry(t, c);
		return;
	}
	c->near = art__tcp_near(t, a);
	tune(c->fd, c->near);
	art__tcp_set_state(t, c, ART_TCP_CONNECT);
	/* An address that swallows everything leaves time for the other one. */
	c->deadline_ns = art__env_now(t->env) + t->connect_ns / (uint64_t)t->peer[c->peer].addr.n;
	if (connected(t, c->fd, a)) {
		art__tcp_hello_start(t, c);
		return;
	}
	c->err = errno;
	/* An interrupted connect() goes on by itself. */
	if ((errno != EINPROGRESS && errno != EALREADY && errno != EINTR) || !art__tcp_watch(t, c))
		art__tcp_retry(t, c);
}

int art__tcp_dial(struct art_tcp *t, int peer)
{
	struct art_tcp_peer *p = &t->peer[peer];
	struct art_tcp_conn *c;

	assert(!p->conn && !p->dial && !p->dropped);
	if (p->addr.n == 0)
		return ART_ERR_TRANSPORT;
	c = conn_new(t, ART_TCP_WAIT, -1, peer);
	if (!c)
		return ART_ERR_NOMEM;
	c->bound_ns = art__env_now(t->env) + t->connect_ns;
	p->dial = c;
	attempt(t, c);
	return 0;
}

void art__tcp_on_connect(struct art_tcp *t, struct art_tcp_conn *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0) {
		c->err = err;
		art__tcp_retry(t, c);
	} else {
		art__tcp_hello_start(t, c);
	}
}

/* ---- accepting ---- */

static void watch_listeners(struct art_tcp *t, bool on)
{
	for (int i = 0; i < ART_TCP_ADDRS; i++) {
		struct epoll_event e = { .events = on ? (uint32_t)EPOLLIN : 0,
					 .data.ptr = &t->lfd[i] };

		if (t->lfd[i] >= 0 && epoll_ctl(t->ep, EPOLL_CTL_MOD, t->lfd[i], &e) < 0)
			art__env_log(t->env, ART_LOG_WARN, "epoll refuses the listener: %s",
				     strerror(errno));
	}
}

/* Out of descriptors or memory: leave the callers in the backlog for a while. */
static void pause_accept(struct art_tcp *t, int err)
{
	if (!(t->logged & BIT(ART_TCP_N_ACCEPT_FAIL)))
		art__env_log(t->env, ART_LOG_WARN,
			     "cannot accept connections: %s; trying again (logged once)",
			     strerror(err));
	t->logged |= BIT(ART_TCP_N_ACCEPT_FAIL);
	t->n[ART_TCP_N_ACCEPT_FAIL]++;
	t->accept_ns = art__env_now(t->env) + ACCEPT_PAUSE_NS;
	watch_listeners(t, false);
	note_refusal(t);
}

static void admit(struct art_tcp *t, int fd, const union art_tcp_addr *from)
{
	struct art_tcp_conn *c = conn_new(t, ART_TCP_HEARD, fd, -1);

	assert(c);
	t->n[ART_TCP_N_ACCEPTED]++;
	c->from = *from;
	c->deadline_ns = art__env_now(t->env) + ART_TCP_HELLO_NS;
	c->near = art__tcp_near(t, from);
	tune(fd, c->near);
	if (t->n_pending > ART_TCP_PENDING_MAX) {
		struct art_tcp_conn *oldest = TAILQ_FIRST(&t->pending);

		art__tcp_refuse(t, oldest, ART_TCP_N_CROWD);
		art__tcp_kill(t, oldest);
	}
	art__tcp_hello_step(t, c); /* its hello is often there already */
}

/* Errors of the one connection that was to be accepted; the next may be fine. */
static bool passing(int err)
{
	return err == EINTR || err == ECONNABORTED || err == EPROTO || err == ENETDOWN ||
	       err == ENETUNREACH || err == EHOSTUNREACH || err == EHOSTDOWN || err == ENONET ||
	       err == ENOPROTOOPT || err == EOPNOTSUPP || err == EPERM;
}

void art__tcp_accept(struct art_tcp *t, int lfd)
{
	/* The slots of those who were refused in this poll() come back at its end. */
	for (int i = 0; i < ACCEPT_BURST && !t->accept_ns && !TAILQ_EMPTY(&t->spare); i++) {
		union art_tcp_addr from = { .v4.sin_family = AF_INET };
		socklen_t len = sizeof(from);
		int fd = t->sys.accept(t->sys.self, lfd, &from.sa, &len,
				       SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			admit(t, fd, &from);
		else if (errno == EAGAIN)
			return;
		else if (!passing(errno))
			pause_accept(t, errno);
	}
}

/* ---- one connection per peer ---- */

static void come_up(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];

	assert(!p->conn && !p->dial && !p->dropped);
	assert(c->incarnation >= p->incarnation);
	p->incarnation = c->incarnation;
	p->said = false;
	p->conn = c;
	c->deadline_ns = c->bound_ns = ART_NEVER;
	art__tcp_set_state(t, c, ART_TCP_UP);
	art__tcp_set_blocked(t, c, c->out_at < c->out_len || p->queued > 0);
	art__tcp_seal_queue(t, c);
	t->n[ART_TCP_N_UP]++;
	t->upcalls++;
	t->up.up(t->up.self, c->peer);
	if (c->state == ART_TCP_UP)
		art__tcp_flush(t, c);
}

void art__tcp_welcomed(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];

	assert(p->dial == c && !p->conn);
	if (c->incarnation < p->incarnation) { /* overtaken while it was on its way */
		art__tcp_refuse(t, c, ART_TCP_N_STALE);
		art__tcp_retry(t, c);
		return;
	}
	p->dial = NULL;
	come_up(t, c);
}

/* Whether an accepted connection may become the one: our own dial yields unless we are the
 * lower slot and the peer may already be saying yes to it. */
static bool place_free(const struct art_tcp *t, const struct art_tcp_conn *c)
{
	const struct art_tcp_peer *p = &t->peer[c->peer];

	if (p->conn)
		return false;
	if (!p->dial || p->dial->broken)
		return !p->dial;
	return t->self.slot > c->peer ||
	       (p->dial->state != ART_TCP_HELLO && p->dial->state != ART_TCP_PROVE);
}

/* The dialler says nothing after its proof: whatever can be read is its end. Without this look
 * we might say yes to a dial that was abandoned for another connection. */
static bool gone(struct art_tcp *t, struct art_tcp_conn *c)
{
	uint8_t b;
	ssize_t n;

	do {
		n = t->sys.recv(t->sys.self, c->fd, &b, 1, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	return n >= 0 || !art__tcp_later(errno);
}

static struct art_tcp_conn *find_parked(struct art_tcp *t, int peer)
{
	struct art_tcp_conn *c;

	TAILQ_FOREACH(c, &t->parked, list)
		if (c->peer == peer)
			break;
	return c;
}

void art__tcp_forget_parked(struct art_tcp *t, int peer)
{
	struct art_tcp_conn *c = find_parked(t, peer);

	if (c)
		art__tcp_kill(t, c);
}

static void park(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];

	t->n[ART_TCP_N_PARKED]++;
	c->deadline_ns = art__env_now(t->env) + ART_TCP_HELLO_NS;
	art__tcp_set_state(t, c, ART_TCP_PARKED);
	if (!art__tcp_watch(t, c)) {
		art__tcp_kill(t, c);
		return;
	}
	/* The process at the other end of the old connection is no more. */
	if (p->conn && c->incarnation > p->incarnation)
		art__tcp_break(t, p->conn, ART_TP_RESET);
}

void art__tcp_claim(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];
	enum art_tcp_count wrong = ART_TCP_N_LAST;

	if (c->state != ART_TCP_PARKED)
		art__tcp_forget_parked(t, c->peer); /* the newer one is meant */
	if (p->dropped)
		wrong = ART_TCP_N_DROPPED;
	else if (c->incarnation < p->incarnation)
		wrong = ART_TCP_N_STALE;
	else if (gone(t, c))
		wrong = ART_TCP_N_LEFT;
	else if (!keep(t, c))
		wrong = ART_TCP_N_ACCEPT_FAIL;
	if (wrong != ART_TCP_N_LAST) {
		art__tcp_refuse(t, c, wrong);
		art__tcp_kill(t, c);
		return;
	}
	if (!place_free(t, c)) {
		park(t, c);
		return;
	}
	if (p->dial)
		art__tcp_kill(t, p->dial); /* the queue moves over */
	art__tcp_hello_welcome(t, c);
	come_up(t, c);
}

/* ---- time ---- */

static uint64_t due_ns(const struct art_tcp_conn *c)
{
	return c->deadline_ns < c->bound_ns ? c->deadline_ns : c->bound_ns;
}

static struct art_tcp_conn *first_due(struct art_tcp_list *l, uint64_t now)
{
	struct art_tcp_conn *c;

	TAILQ_FOREACH(c, l, list)
		if (now >= due_ns(c))
			break;
	return c;
}

/* The bound is over. A later send() dials anew, so this may be the first of many times. */
static void say_unreached(struct art_tcp *t, const struct art_tcp_conn *c)
{
	struct art_tcp_peer *p = &t->peer[c->peer];
	char at[ART_TCP_ADDR_TEXT];

	if (p->said)
		return;
	p->said = true;
	art__tcp_print(&c->from, at);
	art__env_log(t->env, ART_LOG_WARN, "no connection with rank %d, which listens at %s, within "
		     "%g s (%s)%s", c->peer, at, (double)t->connect_ns / 1e9,
		     c->err ? strerror(c->err) : "it does not answer",
		     c->starved ? "" : "; trying again");
}

static void dial_due(struct art_tcp *t, struct art_tcp_conn *c, uint64_t now)
{
	if (now >= c->bound_ns && c->broken) {
		art__tcp_finish(t, c, c->why);
	} else if (now >= c->bound_ns) {
		say_unreached(t, c);
		art__tcp_finish(t, c, c->starved ? ART_TP_STARVED : ART_TP_REFUSED);
	} else if (c->state == ART_TCP_WAIT) {
		attempt(t, c);
	} else {
		art__tcp_refuse(t, c, ART_TCP_N_SLOW);
		c->err = 0;
		art__tcp_retry(t, c);
	}
}

static void stranger_due(struct art_tcp *t, struct art_tcp_conn *c)
{
	art__tcp_refuse(t, c, ART_TCP_N_SLOW);
	art__tcp_kill(t, c);
}

static void claim_parked(struct art_tcp *t)
{
	struct art_tcp_conn *c;

	t->nudge = false;
	do {
		TAILQ_FOREACH(c, &t->parked, list)
			if (place_free(t, c))
				break;
		if (c)
			art__tcp_claim(t, c); /* takes the place or dies */
	} while (c);
}

static void tell_deaf(struct art_tcp *t)
{
	t->deaf = false;
	if (!t->up.deaf)
		return;
	t->upcalls++;
	t->up.deaf(t->up.self);
}

/* Upcalls may change every list, so each search starts anew. */
void art__tcp_timers(struct art_tcp *t)
{
	struct art_tcp_conn *c;
	uint64_t now;

	if (t->nudge)
		claim_parked(t);
	if (t->deaf)
		tell_deaf(t);
	if (!t->accept_ns && TAILQ_EMPTY(&t->pending) && TAILQ_EMPTY(&t->parked) &&
	    TAILQ_EMPTY(&t->dials))
		return;
	now = art__env_now(t->env);
	if (t->accept_ns && now >= t->accept_ns) {
		t->accept_ns = 0;
		watch_listeners(t, true);
	}
	while ((c = first_due(&t->pending, now)))
		stranger_due(t, c);
	while ((c = first_due(&t->parked, now)))
		stranger_due(t, c);
	while ((c = first_due(&t->dials, now)))
		dial_due(t, c, now);
}

static uint64_t earliest(const struct art_tcp_list *l, uint64_t ns)
{
	struct art_tcp_conn *c;

	TAILQ_FOREACH(c, l, list)
		if (due_ns(c) < ns)
			ns = due_ns(c);
	return ns;
}

uint64_t art__tcp_next_timer(const struct art_tcp *t)
{
	uint64_t ns = t->accept_ns ? t->accept_ns : ART_NEVER;

	ns = earliest(&t->pending, ns);
	ns = earliest(&t->parked, ns);
	return earliest(&t->dials, ns);
}
