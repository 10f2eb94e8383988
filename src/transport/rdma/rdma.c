/* SPDX-License-Identifier: MIT
 *
 * RDMA as a transport of the contract in transport.h: opening, closing, the one loop that asks
 * the completion queue and the carrier, and messages on their way up. The states of a pair are
 * rdma_pair.c's, records rdma_ring.c's.
 *
 *   awake --arm(): completions ring the channel, all looked at once more--> armed --poll()--> awake
 */
#include "transport/rdma/rdma.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
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
#define PREFIX "rdma;"
#define SPINS 1024u /* every so many polls the carrier is asked although no pair is on it */
#define LOOKS 16 /* rings looked into at a time */
#define REAP_TURNS 8u

/* Few pairs can have much under way each; many need memory. */
#define RANKS_MANY 64
#define RING_BYTES (512u * 1024)
#define WINDOW 128u
#define WINDOW_MANY 32u

static struct art_rdma *rdma(struct art_tp *tp)
{
	assert(tp->ops == &art__rdma_ops);
	return (struct art_rdma *)tp;
}

static struct art_rdma_peer *peer_of(struct art_rdma *t, int peer)
{
	if (peer < 0 || peer >= t->self.size || peer == t->self.slot)
		return NULL;
	return &t->peer[peer];
}

/* ---- messages ---- */

/* What the peer may write again is given back a quarter of a ring, or of the window, at a time; for
 * what it has lent, when nothing more is at hand. */
static bool is_worth_telling(const struct art_rdma_conn *c, uint32_t records)
{
	return art__rdma_tellable(c, records) - c->told_records >= c->grant / 4 ||
	       c->rx.at - c->told_at >= c->rx.bytes / 4 || (c->owed && art__rdma_ahead(c) >= 0);
}

/* Records count once their receives are posted again, which may be after they were read. */
static void tell_read(struct art_rdma *t, struct art_rdma_conn *c)
{
	if (!is_worth_telling(c, c->rx.records)) {
		c->credit_owed = false;
		return;
	}
	if (art__rdma_ahead(c) > 0)
		(void)art__rdma_reap(t);
	c->credit_owed = c->asked || !is_worth_telling(c, art__rdma_receivable(c));
	if (c->credit_owed)
		return; /* a completion brings us back */
	if (c->shared)
		art__rdma_srq_grow(t, c);
	if (!art__rdma_post_credit(t, c) && !c->failed)
		art__rdma_cannot_post(t, c);
}

/* Delivers what is in the ring of @peer. False: some of it is left for want of budget. */
static bool deliver(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	struct art_rdma_conn *c = p->conn;
	uint8_t head[ART_TP_HEAD];
	const uint8_t *body;
	size_t len;

	if (!c || !p->in_ring || (t->alone && !p->told_up))
		return true;
	while (art__rdma_ahead(c) < 0 || art__rdma_may_be_small(&c->rx)) {
		bool due = art__rdma_ahead(c) < 0, whole;
		enum art_rdma_pulled pulled = ART_RDMA_PULL_NONE;

		if (t->budget <= 0)
			return false;
		if (due)
			pulled = art__rdma_pulled(c, head, &body, &len);
		if (pulled == ART_RDMA_PULL_WAITS)
			return true; /* its completion brings us back */
		whole = pulled == ART_RDMA_PULL_THERE ||
			art__rdma_get(&c->rx, &c->rx_key, head, &body, &len);
		if (!whole && !due)
			return true; /* not yet, or not all of it */
		if (!whole || t->up.body_len(t->up.self, head) != (int64_t)len) {
			art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
			return true;
		}
		art__rdma_took(&c->rx, head, len);
		if (pulled == ART_RDMA_PULL_THERE)
			art__rdma_pull_done(t, c);
		c->owed |= pulled == ART_RDMA_PULL_THERE || c->rx.owed;
		c->rx.owed = false;
		t->n[ART_RDMA_N_EARLY] += !due;
		t->budget--;
		t->upcalls++;
		t->up.message(t->up.self, peer, head, body, len);
		if (p->conn != c)
			return true;
		if (c->qp)
			tell_read(t, c);
	}
	return true;
}

static void on_ended(struct art_rdma *t, int peer)
{
	art__rdma_pair_end(t, peer, t->peer[peer].why);
}

/* Whatever a completion or an upcall left to be done for @peer. */
static void see_to(struct art_rdma *t, int peer)
{
	struct art_rdma_peer *p = &t->peer[peer];
	struct art_rdma_conn *c;

	if (p->may_offer && !p->ending)
		art__rdma_pair_offer(t, peer);
	c = p->conn;
	if (c && c->probed && !c->failed) {
		c->probed = false;
		art__rdma_pair_proved(t, peer);
	}
	if (c && c->qp && c->failed)
		art__rdma_pair_break(t, peer, c->failed);
	if (!deliver(t, peer)) {
		art__rdma_todo(t, peer);
		return;
	}
	if (p->ending) {
		on_ended(t, peer);
		return;
	}
	if (p->state == ART_RDMA_FENCED)
		art__rdma_pair_drained(t, peer);
	c = p->conn;
	if (c && c->qp && c->give_owed && !art__rdma_post_given(t, c) && !c->failed)
		art__rdma_cannot_post(t, c);
	if (c && c->qp && c->credit_owed)
		tell_read(t, c);
	if (c)
		art__rdma_pull(t, c); /* those for which there was no room */
	if (p->queued > 0 || p->full)
		art__rdma_flush(t, peer);
}

/* Small messages are found before their completions. With many peers some are looked at each time: the
 * completions tell of the others. */
static bool look_into_rings(struct art_rdma *t)
{
	bool any = false;

	for (int n = t->n_in < LOOKS ? t->n_in : LOOKS; n > 0; n--) {
		int peer = t->in[t->next_in = t->next_in + 1 < t->n_in ? t->next_in + 1 : 0];

		if (!art__rdma_may_be_small(&t->peer[peer].conn->rx))
			continue;
		art__rdma_todo(t, peer);
		any = true;
	}
	return any;
}

/* Those who are added now are for the next time. */
static void see_to_all(struct art_rdma *t)
{
	struct art_rdma_peer *p, *last = TAILQ_LAST(&t->todo, art_rdma_todo);

	while (last && t->budget > 0 && (p = TAILQ_FIRST(&t->todo))) {
		int peer = (int)(p - t->peer);

		if (p == last)
			last = NULL;
		art__rdma_todo_not(t, peer);
		see_to(t, peer);
		if (last && !last->in_todo)
			last = NULL; /* an upcall has cut it */
	}
}

/* ---- the carrier tells ---- */

static int64_t on_head(void *self, const uint8_t *head)
{
	struct art_rdma *t = self;

	return art__rdma_is_word(head) ? 0 : t->up.body_len(t->up.self, head);
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct art_rdma *t = self;

	if (art__rdma_is_word(head)) {
		art__rdma_pair_hear(t, peer, head);
	} else if (t->alone || t->peer[peer].in_ring) { /* they have said that there is no more */
		art__rdma_pair_end(t, peer, ART_TP_GARBAGE);
	} else {
		t->budget--;
		t->upcalls++;
		t->up.message(t->up.self, peer, head, body, len);
	}
}

static void on_room(void *self, int peer)
{
	struct art_rdma *t = self;

	t->peer[peer].carrier_full = false;
	art__rdma_flush(t, peer);
}

static void finish(struct art_rdma *t, int peer, enum art_tp_why why)
{
	art__rdma_pair_clear(t, peer);
	t->upcalls++;
	t->up.down(t->up.self, peer, why);
}

static void on_up(void *self, int peer)
{
	struct art_rdma *t = self;
	struct art_rdma_peer *p = &t->peer[peer];

	if (p->ending) { /* of an earlier connection, and something of it is left in the ring */
		if (p->conn && t->budget < (int)p->conn->tx.window)
			t->budget = (int)p->conn->tx.window; /* more cannot have come */
		(void)deliver(t, peer);
		if (p->ending)
			finish(t, peer, p->why);
	}
	art__rdma_pair_up(t, peer);
}

/* What the peer wrote before its end is delivered before ours; what is sent to it meanwhile is lost with it. */
static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct art_rdma *t = self;
	struct art_rdma_peer *p = &t->peer[peer];

	p->link = p->dialled = false;
	p->ending = true;
	p->why = why;
	if (p->conn)
		art__rdma_conn_fence(t, p->conn);
	if (!p->conn || !p->in_ring || deliver(t, peer)) {
		if (!p->dropped)
			finish(t, peer, why);
		return;
	}
	art__rdma_todo(t, peer);
}

static void on_deaf(void *self)
{
	struct art_rdma *t = self;

	if (t->up.deaf)
		t->up.deaf(t->up.self);
}

/* ---- opening ---- */

/* Credits that may be under way to one who does not look: each is for a quarter of the window or of the ring,
 * or for a lent message. A few more do no harm. */
static unsigned extra_of(size_t ring_bytes)
{
	return 4 + (unsigned)(ring_bytes / ART_RDMA_LEND_MIN) + 4;
}

static void set_up(struct art_rdma *t, const struct art_env *env, const struct art_tp_self *self,
		   const struct art_tp_opts *opts, const struct art_tp_up *up)
{
	const struct art_rdma_opts *ro = opts->world;
	bool many = self->size >= RANKS_MANY;

	t->tp.ops = &art__rdma_ops;
	t->env = env;
	t->self = *self;
	t->up = *up;
	t->alone = ro->alone;
	t->sharing = ro->sharing;
	t->large = up->returned ? ro->large : ART_RDMA_COPY;
	t->mac = opts->security != ART_TP_PLAIN;
	t->queue_high = opts->queue_high ? opts->queue_high : QUEUE_HIGH;
	t->queue_max = opts->queue_max ? opts->queue_max : QUEUE_MAX;
	t->connect_ns = opts->connect_ns ? opts->connect_ns : CONNECT_NS;
	t->ring_bytes = many ? ART_RDMA_RING_MIN : RING_BYTES;
	t->window = many ? WINDOW_MANY : WINDOW;
	t->extra = extra_of(t->ring_bytes);
	t->ep = t->kick = -1;
	snprintf(t->wanted, sizeof(t->wanted), "%s", ro->device ? ro->device : "");
	TAILQ_INIT(&t->todo);
	TAILQ_INIT(&t->dead);
	TAILQ_INIT(&t->regs);
	STAILQ_INIT(&t->returned);
	for (int i = 0; i < self->size; i++)
		STAILQ_INIT(&t->peer[i].queue);
}

static int open_carrier(struct art_rdma *t, const struct art_tp_opts *opts)
{
	const struct art_rdma_opts *ro = opts->world;
	struct art_tp_up up = {t, on_head, on_message, on_room, on_up, on_down, on_deaf, NULL, NULL};
	struct art_tp_opts inner = *opts;

	inner.world = ro->carrier_world;
	return ro->carrier->open(t->env, &t->self, &inner, &up, &t->carrier);
}

static int open_descriptors(struct art_rdma *t)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = &t->kick};

	t->ep = epoll_create1(EPOLL_CLOEXEC);
	t->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->ep < 0 || t->kick < 0 || epoll_ctl(t->ep, EPOLL_CTL_ADD, t->kick, &e) < 0)
		return ART_ERR_TRANSPORT;
	e.data.ptr = t->carrier;
	if (epoll_ctl(t->ep, EPOLL_CTL_ADD, t->carrier->ops->fd(t->carrier), &e) < 0)
		return ART_ERR_TRANSPORT;
	return 0;
}

static void release(struct art_rdma *t)
{
	const struct art_env *env = t->env;

	if (t->carrier)
		t->carrier->ops->close(t->carrier);
	art__rdma_dev_close(t);
	if (t->kick >= 0)
		close(t->kick);
	if (t->ep >= 0)
		close(t->ep);
	art__env_free(env, t->in);
	art__env_free(env, t->peer);
	sodium_memzero(t, sizeof(*t)); /* the job key */
	art__env_free(env, t);
}

/* Whether this process can do RDMA at all, by what can be known before it listens. */
static bool possible(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts)
{
	const struct art_rdma_opts *ro = opts->world;
	const char *why;

	if (opts->security == ART_TP_ENCRYPT)
		why = "RDMA does not encrypt, and ART_SECURITY=encrypt wants it";
	else if (art__rdma_dev_any(&why))
		return true;
	art__env_log(env, ro->alone ? ART_LOG_ERROR : self->slot ? ART_LOG_INFO : ART_LOG_WARN,
		     "no RDMA: %s%s", why, ro->alone ? "" : "; going on without");
	return false;
}

static int rdma_open(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts, const struct art_tp_up *up,
		     struct art_tp **out)
{
	const struct art_rdma_opts *ro = opts->world;
	struct art_rdma *t;
	int rc;

	if (!ro || !ro->carrier || self->size < 1 || self->size > (int)ART_MAX_RANKS ||
	    self->slot < 0 || self->slot >= self->size)
		return ART_ERR_ARG;
	if (sodium_init() < 0)
		return ART_ERR_INTERNAL;
	if (!possible(env, self, opts))
		return ART_ERR_TRANSPORT;
	t = art__env_zalloc(env, sizeof(*t));
	if (!t)
		return ART_ERR_NOMEM;
	t->peer = art__env_zalloc(env, (size_t)self->size * sizeof(*t->peer));
	t->in = art__env_zalloc(env, (size_t)self->size * sizeof(*t->in));
	if (!t->peer || !t->in) {
		art__env_free(env, t->in);
		art__env_free(env, t->peer);
		art__env_free(env, t);
		return ART_ERR_NOMEM;
	}
	set_up(t, env, self, opts, up);
	rc = open_carrier(t, opts);
	if (!rc)
		rc = open_descriptors(t);
	if (rc) {
		release(t);
		return rc;
	}
	*out = &t->tp;
	return 0;
}

/* Where there is no device after all, the carrier goes on alone, under its own address. */
static int rdma_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct art_rdma *t = rdma(tp);
	char own[ART_TP_ADDR_MAX];
	unsigned pairs = t->self.size > 1 ? (unsigned)t->self.size - 1 : 1;
	int rc = t->carrier->ops->listen(t->carrier, own);
	bool ok;

	if (rc)
		return rc;
	ok = art__rdma_dev_open(t, own, t->wanted, pairs);
	if (!ok && t->alone)
		return ART_ERR_TRANSPORT;
	if (!ok || strlen(own) + sizeof(PREFIX) > ART_TP_ADDR_MAX)
		memcpy(addr, own, sizeof(own));
	else
		snprintf(addr, ART_TP_ADDR_MAX, PREFIX "%.*s",
			 (int)(ART_TP_ADDR_MAX - sizeof(PREFIX)), own);
	return 0;
}

static int rdma_peer(struct art_tp *tp, int peer, const char *addr)
{
	struct art_rdma *t = rdma(tp);
	struct art_rdma_peer *p = peer_of(t, peer);
	bool speaks = strncmp(addr, PREFIX, sizeof(PREFIX) - 1) == 0;
	int rc;

	if (!p)
		return ART_ERR_ARG;
	rc = t->carrier->ops->peer(t->carrier, peer, addr + (speaks ? sizeof(PREFIX) - 1 : 0));
	if (!rc)
		p->speaks = speaks && t->dev.ctx;
	return rc;
}

static int rdma_connect(struct art_tp *tp, int peer)
{
	struct art_rdma *t = rdma(tp);
	struct art_rdma_peer *p = peer_of(t, peer);
	int rc;

	if (!p)
		return ART_ERR_ARG;
	if (p->dropped)
		return ART_ERR_TRANSPORT;
	if (p->link || p->dialled)
		return 0;
	rc = t->carrier->ops->connect(t->carrier, peer);
	p->dialled = rc == 0;
	art__rdma_count_carrier(t);
	return rc;
}

/* ---- polling ---- */

static void break_all(struct art_rdma *t, const char *what)
{
	for (int i = 0; i < t->self.size; i++)
		if (t->peer[i].conn && t->peer[i].state < ART_RDMA_FENCED)
			art__rdma_pair_break(t, i, what);
}

static void ask_device(struct art_rdma *t)
{
	const char *what;

	if (t->dev.ctx && art__rdma_dev_events(t, &what))
		break_all(t, what);
}

static void read_channel(struct art_rdma *t)
{
	struct ibv_cq *cq;
	void *context;

	while (ibv_get_cq_event(t->dev.channel, &cq, &context) == 0)
		if (++t->dev.events == ART_RDMA_EVENTS_MAX) {
			ibv_ack_cq_events(t->dev.cq, t->dev.events);
			t->dev.events = 0;
		}
}

static void awake(struct art_rdma *t)
{
	uint64_t n;

	t->armed = false;
	if (t->kicked && read(t->kick, &n, sizeof(n)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
	t->kicked = false;
}

/* Pairs that the user wants on RDMA or not at all, and that do not get there. */
static void look_at_bounds(struct art_rdma *t)
{
	uint64_t now = t->n_bounds ? art__env_now(t->env) : 0;

	for (int i = 0; t->n_bounds > 0 && i < t->self.size; i++)
		if (t->peer[i].bound_ns && t->peer[i].bound_ns <= now)
			art__rdma_pair_end(t, i, ART_TP_REFUSED);
}

static void reap_dead(struct art_rdma *t)
{
	struct art_rdma_conn *c;

	while ((c = TAILQ_FIRST(&t->dead))) {
		TAILQ_REMOVE(&t->dead, c, dead);
		art__rdma_conn_free(t, c);
	}
}

static bool is_carrier_due(struct art_rdma *t, bool was_armed)
{
	return ++t->turn % SPINS == 0 || was_armed || t->n_carrier > 0 ||
	       t->carrier->ops->pending(t->carrier) > 0;
}

static void ask_carrier(struct art_rdma *t)
{
	ask_device(t);
	(void)t->carrier->ops->poll(t->carrier, t->budget);
	look_at_bounds(t);
}

/* Rings and carrier take turns in being first: neither may starve the other. */
static int rdma_poll(struct art_tp *tp, int budget)
{
	struct art_rdma *t = rdma(tp);
	bool was_armed = t->armed, due;

	assert(!t->polling);
	t->polling = true;
	t->may_offer = true;
	t->budget = budget > 0 ? budget : 0;
	t->upcalls = 0;
	if (was_armed)
		awake(t);
	/* A queue is emptied now and then even while there is always something in memory. */
	if (t->dev.ctx && (!look_into_rings(t) || t->turn % REAP_TURNS == 0))
		(void)art__rdma_reap(t);
	due = is_carrier_due(t, was_armed);
	if (due && t->turn % 2)
		ask_carrier(t);
	see_to_all(t);
	if (due && t->turn % 2 == 0 && t->budget > 0)
		ask_carrier(t);
	art__rdma_tell_returned(t);
	t->polling = false;
	reap_dead(t);
	return t->upcalls;
}

static int rdma_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	return art__rdma_send(rdma(tp), peer, iov, niov, NULL, NULL);
}

static int rdma_lend(struct art_tp *tp, int peer, const struct iovec iov[2],
		     const struct art_tp_loan *loan, bool *lent)
{
	*lent = false;
	return art__rdma_send(rdma(tp), peer, iov, 2, loan, lent);
}

static void rdma_unplace(struct art_tp *tp, const void *token)
{
	art__rdma_unplace(rdma(tp), token);
}

static void rdma_lent_over(struct art_tp *tp, const void *token)
{
	art__rdma_lent_over(rdma(tp), token);
}

static int rdma_fd(struct art_tp *tp)
{
	return rdma(tp)->ep;
}

static void rdma_arm(struct art_tp *tp)
{
	struct art_rdma *t = rdma(tp);

	assert(!t->polling);
	if (t->armed)
		return;
	t->armed = true;
	if (t->dev.ctx) {
		if (t->dev.notified) /* and rung since, maybe while we were awake */
			read_channel(t);
		t->dev.notified = true;
		if (ibv_req_notify_cq(t->dev.cq, 0))
			art__rdma_kick(t); /* then nobody sleeps */
		if (art__rdma_reap(t))
			art__rdma_kick(t);
	}
	if (!TAILQ_EMPTY(&t->todo) || !STAILQ_EMPTY(&t->returned))
		art__rdma_kick(t);
	art__transport_arm(t->carrier);
}

static uint64_t rdma_wake_ns(struct art_tp *tp)
{
	struct art_rdma *t = rdma(tp);
	uint64_t ns = t->carrier->ops->wake_ns(t->carrier);

	for (int i = 0; t->n_bounds > 0 && i < t->self.size; i++)
		if (t->peer[i].bound_ns && t->peer[i].bound_ns < ns)
			ns = t->peer[i].bound_ns;
	return ns;
}

/* ---- ending ---- */

static void rdma_reset(struct art_tp *tp, int peer)
{
	struct art_rdma *t = rdma(tp);

	assert(peer_of(t, peer));
	art__rdma_pair_clear(t, peer);
	t->carrier->ops->reset(t->carrier, peer);
}

static void rdma_drop(struct art_tp *tp, int peer)
{
	struct art_rdma *t = rdma(tp);
	struct art_rdma_peer *p = peer_of(t, peer);

	assert(p);
	p->dropped = true;
	art__rdma_pair_clear(t, peer);
	t->carrier->ops->drop(t->carrier, peer);
}

static size_t rdma_pending(struct art_tp *tp)
{
	struct art_rdma *t = rdma(tp);

	return t->queued + t->carrier->ops->pending(t->carrier);
}

static unsigned rdma_caps(struct art_tp *tp)
{
	struct art_rdma *t = rdma(tp);

	return t->carrier->ops->caps(t->carrier) | (t->dev.ctx ? ART_TP_CAP_CHEAP_POLL : 0);
}

static void rdma_close(struct art_tp *tp)
{
	struct art_rdma *t = rdma(tp);

	assert(!t->polling);
	if (t->dev.ctx)
		art__rdma_linger(t);
	for (int i = 0; i < t->self.size; i++)
		art__rdma_pair_clear(t, i);
	art__rdma_forget_loans(t);
	assert(t->queued == 0 && TAILQ_EMPTY(&t->dead) && t->n[ART_RDMA_N_BYTES] == 0);
	release(t);
}

const char *art__rdma_count(const struct art_tp *tp, unsigned i, uint64_t *n)
{
	static const char *const names[ART_RDMA_N_LAST] = {
		[ART_RDMA_N_UP] = "rdma-up",
		[ART_RDMA_N_BROKEN] = "rdma-broken",
		[ART_RDMA_N_BYTES] = "rdma-bytes-registered",
		[ART_RDMA_N_REFUSED] = "rdma-refused-offers",
		[ART_RDMA_N_NO_MEMORY] = "rdma-no-memory",
		[ART_RDMA_N_SENT] = "rdma-sent",
		[ART_RDMA_N_EARLY] = "rdma-read-early",
		[ART_RDMA_N_QUEUED] = "rdma-queued",
		[ART_RDMA_N_RESENT] = "rdma-resent",
		[ART_RDMA_N_LENT] = "rdma-lent",
		[ART_RDMA_N_PULLED] = "rdma-pulled",
		[ART_RDMA_N_PLACED] = "rdma-placed",
		[ART_RDMA_N_USER_BYTES] = "rdma-user-bytes-registered",
		[ART_RDMA_N_REGISTERED] = "rdma-user-registrations",
		[ART_RDMA_N_CHOSE_WRITE] = "rdma-chose-write",
		[ART_RDMA_N_CHOSE_READ] = "rdma-chose-read",
		[ART_RDMA_N_SHARED] = "rdma-shared-receives",
		[ART_RDMA_N_GROWN] = "rdma-grants-grown",
		[ART_RDMA_N_GIVEN] = "rdma-grants-given-back",
	};

	if (i >= ART_RDMA_N_LAST)
		return NULL;
	*n = ((const struct art_rdma *)tp)->n[i];
	return names[i];
}

struct art_tp *art__rdma_carrier(const struct art_tp *tp)
{
	return ((const struct art_rdma *)tp)->carrier;
}

const struct art_tp_ops art__rdma_ops = {
	.name = "rdma",
	.open = rdma_open,
	.listen = rdma_listen,
	.peer = rdma_peer,
	.connect = rdma_connect,
	.send = rdma_send,
	.lend = rdma_lend,
	.lent_over = rdma_lent_over,
	.unplace = rdma_unplace,
	.poll = rdma_poll,
	.fd = rdma_fd,
	.arm = rdma_arm,
	.wake_ns = rdma_wake_ns,
	.drop = rdma_drop,
	.reset = rdma_reset,
	.pending = rdma_pending,
	.caps = rdma_caps,
	.close = rdma_close,
};
