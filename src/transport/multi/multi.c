/* SPDX-License-Identifier: MIT
 *
 * Which of two transports a pair of ranks uses (multi.h). It adds nothing to a message: what is
 * sent goes to one of the two, what comes is passed on.
 */
#include "transport/multi/multi.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#define QUEUE_HIGH (256u * 1024)
#define QUEUE_MAX (64u * 1024 * 1024)
#define FAR_TURNS 1024u /* every so many polls far is looked at, even if no pair uses it */

struct held { /* a message sent before there was a near connection */
	STAILQ_ENTRY(held) next;
	size_t len;
	uint8_t data[];
};

STAILQ_HEAD(held_queue, held);

struct pair {
	bool near_known; /* near is open and the peer has an address there */
	bool far_known;
	bool far;        /* the choice */
	bool dialled;    /* near, and not up yet for the first time */
	bool up;         /* near: there is a connection */
	bool dropped;
	struct held_queue held;
	size_t bytes;
};

struct multi {
	struct art_tp tp;
	const struct art_env *env;
	struct art_tp_self self;
	struct art_tp_up up;
	struct art_tp *near, *far; /* near may be NULL */
	size_t queue_high, queue_max;
	int ep;
	bool armed;
	unsigned turn;
	int far_pairs; /* that use far */
	int upcalls;   /* of our own, in the present poll() */
	size_t bytes;  /* held */
	struct pair *pair; /* [size] */
};

static struct multi *multi(struct art_tp *tp)
{
	assert(tp->ops == &art__multi_ops);
	return (struct multi *)tp;
}

struct art_tp *art__multi_inner(const struct art_tp *tp, int i)
{
	const struct multi *m = (const struct multi *)tp; /* as multi() */

	return i ? m->far : m->near;
}

static struct art_tp *way(const struct multi *m, const struct pair *p)
{
	return p->far ? m->far : m->near;
}

/* ---- held messages ---- */

static void forget(struct multi *m, struct pair *p)
{
	struct held *h;

	while ((h = STAILQ_FIRST(&p->held))) {
		STAILQ_REMOVE_HEAD(&p->held, next);
		art__env_free(m->env, h);
	}
	m->bytes -= p->bytes;
	p->bytes = 0;
}

static int hold(struct multi *m, struct pair *p, const struct iovec *iov, int niov)
{
	struct held *h;
	size_t len = 0, at = 0;

	for (int i = 0; i < niov; i++)
		len += iov[i].iov_len;
	if (p->bytes + len > m->queue_max)
		return ART_ERR_NOMEM;
	h = art__env_alloc(m->env, sizeof(*h) + len);
	if (!h)
		return ART_ERR_NOMEM;
	for (int i = 0; i < niov; i++) {
		if (iov[i].iov_len)
			memcpy(h->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	h->len = len;
	STAILQ_INSERT_TAIL(&p->held, h, next);
	p->bytes += len;
	m->bytes += len;
	return p->bytes <= m->queue_high;
}

/* The choice is made: what was held flows, and who was told to wait need not any more, unless the
 * transport says so anew. False: a message is lost. */
static bool flow(struct multi *m, int peer)
{
	struct pair *p = &m->pair[peer];
	struct art_tp *tp = way(m, p);
	bool waits = p->bytes > m->queue_high;
	struct held *h;
	int r = 1;

	while (r >= 0 && (h = STAILQ_FIRST(&p->held))) {
		struct iovec v[2] = {{h->data, ART_TP_HEAD},
				     {h->data + ART_TP_HEAD, h->len - ART_TP_HEAD}};

		STAILQ_REMOVE_HEAD(&p->held, next);
		p->bytes -= h->len;
		m->bytes -= h->len;
		r = tp->ops->send(tp, peer, v, 2);
		art__env_free(m->env, h);
	}
	if (r < 0)
		forget(m, p);
	else if (r > 0 && waits) {
		m->upcalls++;
		m->up.room(m->up.self, peer);
	}
	return r >= 0;
}

/* ---- the choice ---- */

/* Near refuses the peer from now on, so that it follows. */
static void set_far(struct multi *m, int peer)
{
	struct pair *p = &m->pair[peer];

	assert(!p->far);
	p->far = true;
	p->dialled = p->up = false;
	m->far_pairs++;
	if (m->near)
		m->near->ops->drop(m->near, peer);
}

static void choose_far(struct multi *m, int peer)
{
	set_far(m, peer);
	art__env_log(m->env, ART_LOG_INFO, "rank %d cannot be reached over %s: over %s instead", peer,
		     m->near->ops->name, m->far->ops->name);
}

static void tell_down(struct multi *m, int peer, enum art_tp_why why)
{
	m->upcalls++;
	m->up.down(m->up.self, peer, why);
}

static void on_near_up(void *self, int peer)
{
	struct multi *m = self;
	struct pair *p = &m->pair[peer];

	assert(!p->far);
	p->up = true;
	p->dialled = false;
	if (flow(m, peer)) { /* before whatever is sent in up() */
		m->up.up(m->up.self, peer);
		return;
	}
	p->up = false;
	m->near->ops->reset(m->near, peer);
	tell_down(m, peer, ART_TP_RESET);
}

static void on_near_down(void *self, int peer, enum art_tp_why why)
{
	struct multi *m = self;
	struct pair *p = &m->pair[peer];
	bool first = p->dialled;

	p->up = p->dialled = false;
	if (why == ART_TP_REFUSED && p->far_known) {
		choose_far(m, peer);
		if (first && flow(m, peer))
			return; /* nothing was lost, nothing has ended */
	}
	forget(m, p);
	m->up.down(m->up.self, peer, why);
}

/* The peer has gone far: so do we. */
static void on_far_up(void *self, int peer)
{
	struct multi *m = self;
	struct pair *p = &m->pair[peer];
	bool was_up = p->up;

	if (!p->far && p->near_known)
		choose_far(m, peer);
	else if (!p->far) /* somebody of whom we were not told yet */
		set_far(m, peer);
	if (was_up)
		tell_down(m, peer, ART_TP_RESET);
	if (flow(m, peer)) {
		m->up.up(m->up.self, peer);
		return;
	}
	m->far->ops->reset(m->far, peer);
	tell_down(m, peer, ART_TP_RESET);
}

static void on_far_deaf(void *self)
{
	struct multi *m = self;

	if (m->up.deaf)
		m->up.deaf(m->up.self);
}

static void on_far_down(void *self, int peer, enum art_tp_why why)
{
	struct multi *m = self;

	m->up.down(m->up.self, peer, why);
}

static int64_t on_head(void *self, const uint8_t *head)
{
	struct multi *m = self;

	return m->up.body_len(m->up.self, head);
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct multi *m = self;

	m->up.message(m->up.self, peer, head, body, len);
}

static void on_returned(void *self, void *token)
{
	struct multi *m = self;

	m->up.returned(m->up.self, token);
}

static bool on_place(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out)
{
	struct multi *m = self;

	return m->up.place(m->up.self, peer, head, len, out);
}

static void on_room(void *self, int peer)
{
	struct multi *m = self;

	m->up.room(m->up.self, peer);
}

/* ---- opening ---- */

static void close_inner(struct multi *m)
{
	if (m->near)
		m->near->ops->close(m->near);
	if (m->far)
		m->far->ops->close(m->far);
	m->near = m->far = NULL;
}

static int watch(struct multi *m, struct art_tp *tp)
{
	struct epoll_event e = {.events = EPOLLIN};

	if (!tp || epoll_ctl(m->ep, EPOLL_CTL_ADD, tp->ops->fd(tp), &e) == 0)
		return 0;
	art__env_log(m->env, ART_LOG_ERROR, "cannot watch %s: %s", tp->ops->name, strerror(errno));
	return ART_ERR_TRANSPORT;
}

/* Near may be refused by the system: then there is far alone. */
static int open_inner(struct multi *m, const struct art_multi_opts *mo,
		      const struct art_tp_opts *opts)
{
	struct art_tp_up up = {m,	  on_head,     on_message, on_room,
			       on_far_up, on_far_down, on_far_deaf, NULL, NULL};
	struct art_tp_opts inner = *opts;
	int rc;

	up.returned = m->up.returned ? on_returned : NULL;
	up.place = m->up.place ? on_place : NULL;
	inner.world = mo->far_world;
	rc = mo->far->open(m->env, &m->self, &inner, &up, &m->far);
	if (rc)
		return rc;
	up.up = on_near_up;
	up.down = on_near_down;
	inner.world = NULL;
	up.deaf = NULL; /* whoever cannot come near goes far */
	rc = mo->near->open(m->env, &m->self, &inner, &up, &m->near);
	if (rc && rc != ART_ERR_TRANSPORT)
		return rc;
	if (rc)
		m->near = NULL;
	m->ep = epoll_create1(EPOLL_CLOEXEC);
	if (m->ep < 0)
		return ART_ERR_TRANSPORT;
	rc = watch(m, m->near);
	return rc ? rc : watch(m, m->far);
}

static int multi_open(const struct art_env *env, const struct art_tp_self *self,
		      const struct art_tp_opts *opts, const struct art_tp_up *up,
		      struct art_tp **out)
{
	const struct art_multi_opts *mo = opts->world;
	struct multi *m;
	int rc;

	if (!mo || !mo->near || !mo->far)
		return ART_ERR_ARG;
	m = art__env_zalloc(env, sizeof(*m));
	if (!m)
		return ART_ERR_NOMEM;
	m->pair = art__env_zalloc(env, (size_t)self->size * sizeof(*m->pair));
	m->tp.ops = &art__multi_ops;
	m->env = env;
	m->self = *self;
	m->up = *up;
	m->ep = -1;
	m->queue_high = opts->queue_high ? opts->queue_high : QUEUE_HIGH;
	m->queue_max = opts->queue_max ? opts->queue_max : QUEUE_MAX;
	for (int i = 0; m->pair && i < self->size; i++)
		STAILQ_INIT(&m->pair[i].held);
	rc = m->pair ? open_inner(m, mo, opts) : ART_ERR_NOMEM;
	if (rc) {
		close_inner(m);
		if (m->ep >= 0)
			close(m->ep);
		art__env_free(env, m->pair);
		explicit_bzero(m, sizeof(*m)); /* the job key */
		art__env_free(env, m);
		return rc;
	}
	*out = &m->tp;
	return 0;
}

static void without_near(struct multi *m)
{
	m->near->ops->close(m->near); /* its descriptor leaves epoll */
	m->near = NULL;
}

/* "near;far", or "far" alone. */
static int multi_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct multi *m = multi(tp);
	char near[ART_TP_ADDR_MAX], far[ART_TP_ADDR_MAX];
	int rc = m->far->ops->listen(m->far, far);

	if (rc)
		return rc;
	if (m->near && m->near->ops->listen(m->near, near))
		without_near(m);
	if (m->near && strlen(near) + 1 + strlen(far) >= ART_TP_ADDR_MAX)
		without_near(m);
	if (m->near)
		snprintf(addr, ART_TP_ADDR_MAX, "%.30s;%.64s", near, far);
	else
		memcpy(addr, far, sizeof(far));
	return 0;
}

static int multi_peer(struct art_tp *tp, int peer, const char *addr)
{
	struct multi *m = multi(tp);
	const char *far = art__transport_far_part(addr);
	char near[ART_TP_ADDR_MAX];
	struct pair *p;

	if (peer < 0 || peer >= m->self.size || peer == m->self.slot ||
	    strlen(addr) >= ART_TP_ADDR_MAX)
		return ART_ERR_ARG;
	p = &m->pair[peer];
	snprintf(near, sizeof(near), "%.*s", far > addr ? (int)(far - addr - 1) : 0, addr);
	if (m->far->ops->peer(m->far, peer, far))
		return ART_ERR_ARG;
	p->far_known = true;
	if (*near && m->near && m->near->ops->peer(m->near, peer, near))
		return ART_ERR_ARG;
	p->near_known = *near && m->near;
	if (!p->near_known && !p->far)
		set_far(m, peer);
	return 0;
}

/* Near answers by an upcall. Negative: not now, and not far either. */
static int dial_near(struct multi *m, int peer)
{
	struct pair *p = &m->pair[peer];
	int rc = p->dialled ? 0 : m->near->ops->connect(m->near, peer);

	p->dialled |= rc == 0;
	return rc;
}

static int multi_connect(struct art_tp *tp, int peer)
{
	struct multi *m = multi(tp);
	struct pair *p;

	if (peer < 0 || peer >= m->self.size || peer == m->self.slot)
		return ART_ERR_ARG;
	p = &m->pair[peer];
	if (p->dropped || (!p->far && !p->near_known))
		return ART_ERR_TRANSPORT;
	if (p->far)
		return m->far->ops->connect(m->far, peer);
	return p->up ? 0 : dial_near(m, peer);
}

static int multi_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	struct multi *m = multi(tp);
	struct pair *p = &m->pair[peer];
	int rc;

	assert(peer >= 0 && peer < m->self.size);
	if (p->up)
		return m->near->ops->send(m->near, peer, iov, niov);
	if (p->far)
		return m->far->ops->send(m->far, peer, iov, niov);
	rc = multi_connect(tp, peer);
	return rc < 0 ? rc : hold(m, p, iov, niov);
}

static int multi_send_run(struct art_tp *tp, int peer, struct art_tp_run *run)
{
	struct multi *m = multi(tp);
	struct pair *p = &m->pair[peer];

	assert(peer >= 0 && peer < m->self.size);
	if (p->up || p->far)
		return art__transport_send_run(p->up ? m->near : m->far, peer, run);
	return art__transport_send_each(tp, peer, run);
}

/* Memory is lent to far alone: near copies it once, and less is more work. */
static bool multi_lends(const struct art_tp *tp, int peer)
{
	const struct multi *m = (const struct multi *)tp;

	return !m->pair[peer].up && m->pair[peer].far && art__transport_lends(m->far, peer);
}

static int multi_lend(struct art_tp *tp, int peer, const struct iovec iov[2],
		      const struct art_tp_loan *loan, bool *lent)
{
	struct multi *m = multi(tp);

	*lent = false;
	if (!m->pair[peer].up && m->pair[peer].far && m->far->ops->lend)
		return m->far->ops->lend(m->far, peer, iov, loan, lent);
	return multi_send(tp, peer, iov, 2);
}

static void multi_lent_over(struct art_tp *tp, const void *token)
{
	struct multi *m = multi(tp);

	if (m->far->ops->lent_over)
		m->far->ops->lent_over(m->far, token);
}

static void multi_unplace(struct art_tp *tp, const void *token)
{
	struct multi *m = multi(tp);

	if (m->far->ops->unplace)
		m->far->ops->unplace(m->far, token);
}

/* ---- polling ---- */

static int look(struct art_tp *tp, int budget)
{
	return tp && budget > 0 ? tp->ops->poll(tp, budget) : 0;
}

/* Far costs a system call: where no pair uses it, it is looked at now and then. */
static int multi_poll(struct art_tp *tp, int budget)
{
	struct multi *m = multi(tp);
	bool far = m->armed || m->far_pairs > 0 || ++m->turn % FAR_TURNS == 0;
	int n = 0;

	m->armed = false;
	m->upcalls = 0;
	if (far)
		n = look(m->far, m->near ? (budget + 1) / 2 : budget);
	n += look(m->near, budget - n);
	return n + m->upcalls;
}

static int multi_fd(struct art_tp *tp)
{
	return multi(tp)->ep;
}

static void multi_arm(struct art_tp *tp)
{
	struct multi *m = multi(tp);

	m->armed = true;
	if (m->near)
		art__transport_arm(m->near);
	art__transport_arm(m->far);
}

static uint64_t multi_wake_ns(struct art_tp *tp)
{
	struct multi *m = multi(tp);
	uint64_t near = m->near ? m->near->ops->wake_ns(m->near) : ART_NEVER;
	uint64_t far = m->far->ops->wake_ns(m->far);

	return near < far ? near : far;
}

/* ---- ending ---- */

static void multi_reset(struct art_tp *tp, int peer)
{
	struct multi *m = multi(tp);
	struct pair *p = &m->pair[peer];

	p->up = p->dialled = false;
	forget(m, p);
	if (m->near)
		m->near->ops->reset(m->near, peer);
	m->far->ops->reset(m->far, peer);
}

static void multi_drop(struct art_tp *tp, int peer)
{
	struct multi *m = multi(tp);
	struct pair *p = &m->pair[peer];

	p->dropped = true;
	p->up = p->dialled = false;
	forget(m, p);
	if (m->near)
		m->near->ops->drop(m->near, peer);
	m->far->ops->drop(m->far, peer);
}

static size_t multi_pending(struct art_tp *tp)
{
	struct multi *m = multi(tp);

	return m->bytes + m->far->ops->pending(m->far) +
	       (m->near ? m->near->ops->pending(m->near) : 0);
}

static unsigned multi_caps(struct art_tp *tp)
{
	struct multi *m = multi(tp);
	unsigned far = m->far->ops->caps(m->far);

	if (!m->near)
		return far;
	return (far & m->near->ops->caps(m->near)) |
	       (m->near->ops->caps(m->near) & ART_TP_CAP_CHEAP_POLL);
}

static void multi_close(struct art_tp *tp)
{
	struct multi *m = multi(tp);
	const struct art_env *env = m->env;

	for (int i = 0; i < m->self.size; i++)
		forget(m, &m->pair[i]);
	assert(m->bytes == 0);
	close_inner(m);
	close(m->ep);
	art__env_free(env, m->pair);
	explicit_bzero(m, sizeof(*m)); /* the job key */
	art__env_free(env, m);
}

const struct art_tp_ops art__multi_ops = {
	.name = "multi",
	.open = multi_open,
	.listen = multi_listen,
	.peer = multi_peer,
	.connect = multi_connect,
	.send = multi_send,
	.send_run = multi_send_run,
	.lends = multi_lends,
	.lend = multi_lend,
	.lent_over = multi_lent_over,
	.unplace = multi_unplace,
	.poll = multi_poll,
	.fd = multi_fd,
	.arm = multi_arm,
	.wake_ns = multi_wake_ns,
	.drop = multi_drop,
	.reset = multi_reset,
	.pending = multi_pending,
	.caps = multi_caps,
	.close = multi_close,
};
