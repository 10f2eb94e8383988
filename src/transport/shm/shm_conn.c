/* SPDX-License-Identifier: MIT
 *
 * The states of a connection (drawn in shm.h): dialling and its retries, accepting, which of two
 * connections to one peer survives, timers, and the end. What is said in a handshake is
 * shm_hello.c's.
 */
#include "transport/shm/shm.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_BURST 16
#define ACCEPT_PAUSE_NS (100 * ART_NS_PER_MS)
#define BACKOFF_MIN_NS ART_NS_PER_MS
#define BACKOFF_MAX_NS (64 * ART_NS_PER_MS)

#define BIT(s) (1u << (s))

static const unsigned may_follow[] = {
	[ART_SHM_WAIT] = BIT(ART_SHM_HELLO) | BIT(ART_SHM_WAIT) | BIT(ART_SHM_DEAD),
	[ART_SHM_HELLO] = BIT(ART_SHM_PROVE) | BIT(ART_SHM_WAIT) | BIT(ART_SHM_DEAD),
	[ART_SHM_PROVE] = BIT(ART_SHM_UP) | BIT(ART_SHM_WAIT) | BIT(ART_SHM_DEAD),
	[ART_SHM_HEARD] = BIT(ART_SHM_ASKED) | BIT(ART_SHM_DEAD),
	[ART_SHM_ASKED] = BIT(ART_SHM_PARKED) | BIT(ART_SHM_UP) | BIT(ART_SHM_DEAD),
	[ART_SHM_PARKED] = BIT(ART_SHM_UP) | BIT(ART_SHM_DEAD),
	[ART_SHM_UP] = BIT(ART_SHM_DEAD),
	[ART_SHM_DEAD] = 0,
};

/* NULL: those up are in t->ups. */
static struct art_shm_list *list_of(struct art_shm *t, enum art_shm_state state)
{
	switch (state) {
	case ART_SHM_WAIT:
	case ART_SHM_HELLO:
	case ART_SHM_PROVE:
		return &t->dials;
	case ART_SHM_HEARD:
	case ART_SHM_ASKED:
		return &t->pending;
	case ART_SHM_PARKED:
		return &t->parked;
	case ART_SHM_UP:
		return NULL;
	case ART_SHM_DEAD:
		break;
	}
	return &t->dead;
}

/* No message is being delivered: poll() does that after all that can bring a connection up. */
static void sweep(struct art_shm *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_up; i++)
		if (t->ups[i]->state == ART_SHM_UP)
			t->ups[n++] = t->ups[i];
	t->n_up = n;
	t->buried = false;
	assert(n < (unsigned)t->self.size);
}

static void enter(struct art_shm *t, struct art_shm_conn *c, struct art_shm_list *l)
{
	if (!l) {
		if (t->n_up == (unsigned)t->self.size)
			sweep(t);
		t->ups[t->n_up++] = c;
		return;
	}
	TAILQ_INSERT_TAIL(l, c, list);
	t->n_pending += l == &t->pending;
}

void art__shm_set_state(struct art_shm *t, struct art_shm_conn *c, enum art_shm_state state)
{
	struct art_shm_list *from = list_of(t, c->state), *to = list_of(t, state);

	assert(may_follow[c->state] & BIT(state));
	c->state = state;
	if (from == to && from)
		return; /* its place in the order of arrival stays */
	if (from) {
		TAILQ_REMOVE(from, c, list);
		t->n_pending -= from == &t->pending;
	} else {
		t->buried = true; /* leaves ups[] in art__shm_reap() */
	}
	enter(t, c, to);
}

static struct art_shm_conn *conn_new(struct art_shm *t, enum art_shm_state state, int fd, int peer)
{
	struct art_shm_conn *c = art__env_zalloc(t->env, sizeof(*c));

	if (!c)
		return NULL;
	c->state = state;
	c->fd = fd;
	c->peer = peer;
	c->bell = c->got[0] = c->got[1] = -1;
	c->deadline_ns = c->bound_ns = ART_NEVER;
	enter(t, c, list_of(t, state));
	return c;
}

static bool watch(struct art_shm *t, struct art_shm_conn *c)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	return epoll_ctl(t->ep, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* It leaves epoll by itself only if no child of the application has inherited it. */
static void close_socket(struct art_shm *t, struct art_shm_conn *c)
{
	if (c->fd >= 0)
		(void)epoll_ctl(t->ep, EPOLL_CTL_DEL, c->fd, NULL);
	close_fd(&c->fd);
}

/* Of one attempt: another one begins with nothing. */
static void release(struct art_shm *t, struct art_shm_conn *c)
{
	close_socket(t, c);
	close_fd(&c->got[0]);
	close_fd(&c->got[1]);
	close_fd(&c->bell);
	art__shm_segment_unmap(&c->tx, &c->rx);
}

void art__shm_reap(struct art_shm *t)
{
	struct art_shm_conn *c;

	if (t->buried)
		sweep(t);
	while ((c = TAILQ_FIRST(&t->dead))) {
		TAILQ_REMOVE(&t->dead, c, list);
		release(t, c); /* a body that was being read may have been in its ring */
		art__env_free(t->env, c);
	}
}

void art__shm_kill(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = c->peer >= 0 ? &t->peer[c->peer] : NULL;

	close_socket(t, c);
	if (c->state == ART_SHM_UP)
		t->n_ended -= c->ended;
	if (p && p->conn == c) {
		t->n_queues -= p->queued > 0;
		p->conn = NULL;
	}
	if (p && p->dial == c)
		p->dial = NULL;
	art__shm_set_state(t, c, ART_SHM_DEAD);
	t->nudge |= !TAILQ_EMPTY(&t->parked);
	if (!t->polling)
		art__shm_reap(t);
}

void art__shm_finish(struct art_shm *t, struct art_shm_conn *c, enum art_tp_why why)
{
	int peer = c->peer;

	assert(t->polling && (t->peer[peer].conn == c || t->peer[peer].dial == c));
	art__shm_kill(t, c);
	art__shm_forget_queue(t, &t->peer[peer]);
	t->upcalls++;
	t->up.down(t->up.self, peer, why);
}

void art__shm_end(struct art_shm *t, struct art_shm_conn *c, enum art_tp_why why)
{
	if (c->ended)
		return;
	c->ended = true;
	c->why = why;
	if (c->state == ART_SHM_UP)
		t->n_ended++;
	else
		c->bound_ns = 0;
	close_socket(t, c); /* the peer learns of it at once */
}

/* ---- dialling ---- */

void art__shm_retry(struct art_shm *t, struct art_shm_conn *c)
{
	release(t, c);
	c->backoff_ns = c->backoff_ns ? 2 * c->backoff_ns : BACKOFF_MIN_NS;
	if (c->backoff_ns > BACKOFF_MAX_NS)
		c->backoff_ns = BACKOFF_MAX_NS;
	c->deadline_ns = art__env_now(t->env) + c->backoff_ns;
	art__shm_set_state(t, c, ART_SHM_WAIT);
	t->nudge |= !TAILQ_EMPTY(&t->parked);
}

/* poll() says so: this may be inside send(). */
void art__shm_refused(struct art_shm *t, struct art_shm_conn *c)
{
	release(t, c);
	c->bound_ns = c->deadline_ns = 0;
	art__shm_set_state(t, c, ART_SHM_WAIT);
	t->nudge |= !TAILQ_EMPTY(&t->parked);
}

/* Whoever listens has done so since before its name was told: nobody there is an answer. */
static void attempt(struct art_shm *t, struct art_shm_conn *c)
{
	const char *name = t->peer[c->peer].name;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(name);

	assert(c->state == ART_SHM_WAIT && c->fd < 0 && len > 0 && len < ART_SHM_NAME_MAX);
	memcpy(a.sun_path + 1, name, len);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) { /* for want of descriptors, say: then there is none for a segment, either */
		art__shm_refused(t, c);
		return;
	}
	len += offsetof(struct sockaddr_un, sun_path) + 1;
	if (connect(c->fd, (const struct sockaddr *)&a, (socklen_t)len) == 0 && watch(t, c))
		art__shm_hello_start(t, c);
	else if (errno == ECONNREFUSED || errno == ENOENT || errno == EACCES || errno == EPERM)
		art__shm_refused(t, c);
	else
		art__shm_retry(t, c);
}

int art__shm_dial(struct art_shm *t, int peer)
{
	struct art_shm_peer *p = &t->peer[peer];
	struct art_shm_conn *c;

	assert(!p->conn && !p->dial && !p->dropped);
	if (!*p->name)
		return ART_ERR_TRANSPORT;
	c = conn_new(t, ART_SHM_WAIT, -1, peer);
	if (!c)
		return ART_ERR_NOMEM;
	c->bound_ns = art__env_now(t->env) + t->connect_ns;
	p->dial = c;
	attempt(t, c);
	return 0;
}

/* ---- accepting ---- */

static bool same_user(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static void admit(struct art_shm *t, int fd)
{
	struct art_shm_conn stranger = {.peer = -1};
	struct art_shm_conn *c;

	t->n[ART_SHM_N_ACCEPTED]++;
	if (!same_user(fd)) {
		art__shm_count_refusal(t, &stranger, ART_SHM_N_USER);
		close(fd);
		return;
	}
	c = conn_new(t, ART_SHM_HEARD, fd, -1);
	if (!c) {
		close(fd);
		return;
	}
	c->deadline_ns = art__env_now(t->env) + ART_SHM_HELLO_NS;
	if (!watch(t, c)) {
		art__shm_kill(t, c);
		return;
	}
	if (t->n_pending > ART_SHM_PENDING_MAX) {
		art__shm_count_refusal(t, TAILQ_FIRST(&t->pending), ART_SHM_N_CROWD);
		art__shm_kill(t, TAILQ_FIRST(&t->pending));
	}
	art__shm_hello_step(t, c); /* its hello is often there already */
}

static void watch_listener(struct art_shm *t, bool on)
{
	struct epoll_event e = {.events = on ? (uint32_t)EPOLLIN : 0, .data.ptr = &t->lfd};

	if (epoll_ctl(t->ep, EPOLL_CTL_MOD, t->lfd, &e) < 0)
		art__env_log(t->env, ART_LOG_WARN, "epoll refuses the local listener: %s",
			     strerror(errno));
}

/* Out of descriptors or memory: the callers stay in the backlog for a while. A listener that is
 * watched meanwhile would show them again and again, and nobody could sleep. */
static void pause_accept(struct art_shm *t, int err)
{
	if (!(t->logged & BIT(ART_SHM_N_ACCEPT_FAIL)))
		art__env_log(t->env, ART_LOG_WARN,
			     "cannot accept local connections: %s; trying again (logged once)",
			     strerror(err));
	t->logged |= BIT(ART_SHM_N_ACCEPT_FAIL);
	t->n[ART_SHM_N_ACCEPT_FAIL]++;
	t->accept_ns = art__env_now(t->env) + ACCEPT_PAUSE_NS;
	watch_listener(t, false);
}

void art__shm_accept(struct art_shm *t)
{
	for (int i = 0; i < ACCEPT_BURST && !t->accept_ns; i++) {
		int fd = accept4(t->lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			admit(t, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR && errno != ECONNABORTED)
			pause_accept(t, errno);
	}
}

/* ---- one connection per peer ---- */

static void come_up(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = &t->peer[c->peer];

	assert(!p->conn && !p->dial && !p->dropped && c->tx.page && c->rx.page && c->bell >= 0);
	p->incarnation = c->incarnation;
	p->conn = c;
	c->deadline_ns = c->bound_ns = ART_NEVER;
	art__shm_set_state(t, c, ART_SHM_UP);
	t->n_queues += p->queued > 0;
	t->n[ART_SHM_N_UP]++;
	t->upcalls++;
	t->up.up(t->up.self, c->peer);
	if (c->state == ART_SHM_UP)
		art__shm_flush(t, c);
}

void art__shm_welcomed(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = &t->peer[c->peer];

	assert(p->dial == c && !p->conn);
	if (c->incarnation < p->incarnation) { /* overtaken while it was on its way */
		art__shm_count_refusal(t, c, ART_SHM_N_STALE);
		art__shm_retry(t, c);
		return;
	}
	p->dial = NULL;
	come_up(t, c);
}

/* Whether an accepted connection may become the one: our own dial yields unless we are the
 * lower slot and the peer may already be saying yes to it. */
static bool place_free(const struct art_shm *t, const struct art_shm_conn *c)
{
	const struct art_shm_peer *p = &t->peer[c->peer];

	if (p->conn)
		return false;
	if (!p->dial || p->dial->ended)
		return !p->dial;
	return t->self.slot > c->peer || p->dial->state == ART_SHM_WAIT;
}

/* The dialler says nothing after its proof: whatever can be read is its end. */
static bool gone(struct art_shm_conn *c)
{
	uint8_t b;
	ssize_t n;

	do {
		n = recv(c->fd, &b, 1, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	return n >= 0 || errno != EAGAIN;
}

void art__shm_forget_parked(struct art_shm *t, int peer)
{
	struct art_shm_conn *c;

	TAILQ_FOREACH(c, &t->parked, list)
		if (c->peer == peer)
			break;
	if (c)
		art__shm_kill(t, c);
}

static void park(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = &t->peer[c->peer];

	t->n[ART_SHM_N_PARKED]++;
	c->deadline_ns = art__env_now(t->env) + ART_SHM_HELLO_NS;
	if (c->state != ART_SHM_PARKED)
		art__shm_set_state(t, c, ART_SHM_PARKED);
	/* The process at the other end of the old connection is no more. */
	if (p->conn && c->incarnation > p->incarnation)
		art__shm_end(t, p->conn, ART_TP_RESET);
}

static enum art_shm_count wrong_claim(struct art_shm *t, struct art_shm_conn *c)
{
	const struct art_shm_peer *p = &t->peer[c->peer];

	if (p->dropped)
		return ART_SHM_N_DROPPED;
	if (c->incarnation < p->incarnation)
		return ART_SHM_N_STALE;
	return gone(c) ? ART_SHM_N_LEFT : ART_SHM_N_LAST;
}

void art__shm_claim(struct art_shm *t, struct art_shm_conn *c)
{
	struct art_shm_peer *p = &t->peer[c->peer];
	enum art_shm_count wrong;

	if (c->state != ART_SHM_PARKED)
		art__shm_forget_parked(t, c->peer); /* the newer one is meant */
	wrong = wrong_claim(t, c);
	if (wrong == ART_SHM_N_LAST && !place_free(t, c)) {
		park(t, c);
		return;
	}
	if (wrong == ART_SHM_N_LAST && !art__shm_hello_welcome(t, c))
		wrong = ART_SHM_N_SEGMENT;
	if (wrong != ART_SHM_N_LAST) {
		art__shm_count_refusal(t, c, wrong);
		art__shm_hello_refuse(t, c);
		art__shm_kill(t, c);
		return;
	}
	if (p->dial)
		art__shm_kill(t, p->dial); /* the queue moves over */
	come_up(t, c);
}

/* ---- time ---- */

static uint64_t due_ns(const struct art_shm_conn *c)
{
	return c->deadline_ns < c->bound_ns ? c->deadline_ns : c->bound_ns;
}

static struct art_shm_conn *first_due(struct art_shm_list *l, uint64_t now)
{
	struct art_shm_conn *c;

	TAILQ_FOREACH(c, l, list)
		if (now >= due_ns(c))
			break;
	return c;
}

static void dial_due(struct art_shm *t, struct art_shm_conn *c, uint64_t now)
{
	if (now >= c->bound_ns) {
		art__shm_finish(t, c, c->ended ? c->why : ART_TP_REFUSED);
	} else if (c->state == ART_SHM_WAIT) {
		attempt(t, c);
	} else {
		art__shm_count_refusal(t, c, ART_SHM_N_SLOW);
		art__shm_retry(t, c);
	}
}

static void stranger_due(struct art_shm *t, struct art_shm_conn *c)
{
	art__shm_count_refusal(t, c, ART_SHM_N_SLOW);
	art__shm_kill(t, c);
}

static void claim_parked(struct art_shm *t)
{
	struct art_shm_conn *c;

	t->nudge = false;
	do {
		TAILQ_FOREACH(c, &t->parked, list)
			if (place_free(t, c))
				break;
		if (c)
			art__shm_claim(t, c); /* takes the place or dies */
	} while (c);
}

/* Upcalls may change every list, so each search starts anew. */
void art__shm_timers(struct art_shm *t)
{
	struct art_shm_conn *c;
	uint64_t now;

	if (t->nudge)
		claim_parked(t);
	if (!t->accept_ns && TAILQ_EMPTY(&t->pending) && TAILQ_EMPTY(&t->parked) &&
	    TAILQ_EMPTY(&t->dials))
		return;
	now = art__env_now(t->env);
	if (t->accept_ns && now >= t->accept_ns) {
		t->accept_ns = 0;
		watch_listener(t, true);
	}
	while ((c = first_due(&t->pending, now)))
		stranger_due(t, c);
	while ((c = first_due(&t->parked, now)))
		stranger_due(t, c);
	while ((c = first_due(&t->dials, now)))
		dial_due(t, c, now);
}

static uint64_t earliest(const struct art_shm_list *l, uint64_t ns)
{
	struct art_shm_conn *c;

	TAILQ_FOREACH(c, l, list)
		if (due_ns(c) < ns)
			ns = due_ns(c);
	return ns;
}

uint64_t art__shm_next_timer(const struct art_shm *t)
{
	uint64_t ns = t->accept_ns ? t->accept_ns : ART_NEVER;

	if (t->nudge)
		return 0;
	ns = earliest(&t->pending, ns);
	ns = earliest(&t->parked, ns);
	return earliest(&t->dials, ns);
}
