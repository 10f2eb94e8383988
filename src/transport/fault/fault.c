/* SPDX-License-Identifier: MIT
 *
 * The decorator: looks at each message on its way out and does what the first matching rule says.
 * Everything else goes straight through. It holds messages that are to be delayed, and nothing
 * of what comes in.
 */
#include <assert.h>
#include <string.h>

#include <art/status.h>

#include "transport/fault/fault.h"

#define QUEUE_HIGH (256u * 1024) /* of held bytes, where the opener names no bound */

struct held {
	struct held *next;
	uint64_t due;
	size_t len; /* head and body */
	uint8_t data[];
};

struct fault_peer {
	uint64_t sent; /* messages so far: the coordinate */
	struct held *head, **tail;
	size_t bytes;
	bool want_room;
	bool down; /* a cut to be reported */
	bool dropped;
};

struct fault {
	struct art_tp tp;
	struct art_tp *inner;
	struct art_env env;
	struct art_tp_self self;
	struct art_tp_up up;
	struct art_fault_opts opts;
	uint64_t done[ART_FAULT_RULES]; /* times each rule was used here */
	uint64_t rng;
	size_t queue_high;
	int busy; /* peers with held messages or a cut to report: what poll() must look at */
	struct fault_peer *peer; /* [size] */
};

static struct fault *fault_of(struct art_tp *tp)
{
	return (struct fault *)tp;
}

struct art_tp *art__fault_inner(const struct art_tp *tp)
{
	return ((const struct fault *)tp)->inner;
}

static uint64_t rng_next(struct fault *f)
{
	uint64_t z = f->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool busy(const struct fault_peer *p)
{
	return p->head || p->down || p->want_room;
}

/* Runs around each change of a peer, so that f->busy stays true. */
static void recount(struct fault *f, const struct fault_peer *p, bool was)
{
	f->busy += busy(p) - was;
	assert(f->busy >= 0);
}

/* ---- rules ---- */

static bool matches(struct fault *f, const struct art_fault_rule *r, int k, int peer, uint64_t msg)
{
	if ((r->rank >= 0 && r->rank != f->self.slot) || (r->peer >= 0 && r->peer != peer) ||
	    (r->chan >= 0 && (uint32_t)r->chan != f->self.channel) || (r->msg && r->msg != msg) ||
	    (r->times && f->done[k] >= r->times))
		return false;
	return r->p >= 1 || (double)(rng_next(f) >> 11) < r->p * (double)(UINT64_C(1) << 53);
}

static const struct art_fault_rule *rule_for(struct fault *f, int peer)
{
	uint64_t msg = ++f->peer[peer].sent;

	for (int k = 0; k < f->opts.nrules; k++) {
		if (!matches(f, &f->opts.rule[k], k, peer, msg))
			continue;
		f->done[k]++;
		if (f->opts.hits)
			__atomic_fetch_add(&f->opts.hits[k], 1, __ATOMIC_RELAXED);
		return &f->opts.rule[k];
	}
	return NULL;
}

/* ---- held messages ---- */

static void forget(struct fault *f, int peer)
{
	struct fault_peer *p = &f->peer[peer];
	bool was = busy(p);
	struct held *h;

	while ((h = p->head)) {
		p->head = h->next;
		art__env_free(&f->env, h);
	}
	p->tail = &p->head;
	p->bytes = 0;
	p->want_room = p->down = false;
	recount(f, p, was);
}

static int hold(struct fault *f, int peer, const struct iovec *iov, int niov, uint64_t delay)
{
	struct fault_peer *p = &f->peer[peer];
	bool was = busy(p);
	size_t len = 0, at = 0;
	struct held *h;

	for (int k = 0; k < niov; k++)
		len += iov[k].iov_len;
	h = art__env_alloc(&f->env, sizeof(*h) + len);
	if (!h)
		return ART_ERR_NOMEM;
	for (int k = 0; k < niov; k++) {
		if (iov[k].iov_len)
			memcpy(h->data + at, iov[k].iov_base, iov[k].iov_len);
		at += iov[k].iov_len;
	}
	h->next = NULL;
	h->len = len;
	h->due = art__env_now(&f->env) + delay;
	*p->tail = h;
	p->tail = &h->next;
	p->bytes += len;
	p->want_room |= p->bytes > f->queue_high;
	recount(f, p, was);
	return !p->want_room;
}

/* Messages never overtake: one that is not yet due holds back all behind it. */
static int send_due(struct fault *f, int peer)
{
	struct fault_peer *p = &f->peer[peer];
	uint64_t now = art__env_now(&f->env);
	bool was = busy(p);
	int rc = 1;

	while (rc >= 0 && p->head && p->head->due <= now) {
		struct held *h = p->head;
		struct iovec iov[2] = { { h->data, ART_TP_HEAD },
					{ h->data + ART_TP_HEAD, h->len - ART_TP_HEAD } };

		p->head = h->next;
		if (!p->head)
			p->tail = &p->head;
		p->bytes -= h->len;
		rc = f->inner->ops->send(f->inner, peer, iov, h->len > ART_TP_HEAD ? 2 : 1);
		art__env_free(&f->env, h);
	}
	recount(f, p, was);
	return rc;
}

/* A message that was taken is lost: that ends the connection. */
static void give_up(struct fault *f, int peer)
{
	forget(f, peer);
	f->inner->ops->reset(f->inner, peer);
	f->up.down(f->up.self, peer, ART_TP_RESET);
}

/* Upcalls made for this peer. */
static int serve(struct fault *f, int peer)
{
	struct fault_peer *p = &f->peer[peer];
	int rc;

	if (p->down) {
		give_up(f, peer);
		return 1;
	}
	rc = send_due(f, peer);
	if (rc < 0) {
		give_up(f, peer);
		return 1;
	}
	if (!p->want_room || p->bytes > f->queue_high / 2)
		return 0;
	p->want_room = false;
	recount(f, p, true);
	if (rc == 0)
		return 0; /* the inner queue is full: its room() comes */
	f->up.room(f->up.self, peer);
	return 1;
}

/* ---- on the way out ---- */

static int forward(struct fault *f, int peer, const struct iovec *iov, int niov, uint64_t delay)
{
	if (delay || f->peer[peer].head)
		return hold(f, peer, iov, niov, delay);
	return f->inner->ops->send(f->inner, peer, iov, niov);
}

static int cut(struct fault *f, int peer)
{
	bool was;

	f->inner->ops->reset(f->inner, peer);
	forget(f, peer);
	was = busy(&f->peer[peer]);
	f->peer[peer].down = true;
	recount(f, &f->peer[peer], was);
	return 1;
}

static int fault_send(struct art_tp *tp, int peer, const struct iovec *iov, int niov)
{
	struct fault *f = fault_of(tp);
	const struct art_fault_rule *r;
	int rc;

	assert(peer >= 0 && peer < f->self.size);
	if (f->peer[peer].dropped)
		return ART_ERR_TRANSPORT;
	if (f->peer[peer].down)
		return 1; /* lost with the connection, as down() will tell */
	r = rule_for(f, peer);
	if (!r)
		return forward(f, peer, iov, niov, 0);
	switch (r->action) {
	case ART_FAULT_DROP:
		return 1;
	case ART_FAULT_DUP:
		rc = forward(f, peer, iov, niov, 0);
		return rc < 0 ? rc : forward(f, peer, iov, niov, 0);
	case ART_FAULT_DELAY:
		return forward(f, peer, iov, niov, r->delay_ns);
	case ART_FAULT_CUT:
		return cut(f, peer);
	case ART_FAULT_KILL:
		if (f->opts.kill)
			f->opts.kill(f->opts.self, f->self.slot);
		return 1;
	}
	return 1;
}

/* ---- on the way in: passed on ---- */

static int64_t on_head(void *self, const uint8_t *head)
{
	struct fault *f = self;

	return f->up.body_len(f->up.self, head);
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct fault *f = self;

	if (!f->peer[peer].down) /* of a connection that was cut */
		f->up.message(f->up.self, peer, head, body, len);
}

static void on_room(void *self, int peer)
{
	struct fault *f = self;

	if (!f->peer[peer].want_room)
		f->up.room(f->up.self, peer);
}

static void on_up(void *self, int peer)
{
	struct fault *f = self;

	if (f->peer[peer].down) /* its end comes first */
		serve(f, peer);
	else
		f->up.up(f->up.self, peer);
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct fault *f = self;

	forget(f, peer);
	f->up.down(f->up.self, peer, why);
}

static void on_deaf(void *self)
{
	struct fault *f = self;

	if (f->up.deaf)
		f->up.deaf(f->up.self);
}

/* ---- the rest of the contract ---- */

static int fault_open(const struct art_env *env, const struct art_tp_self *self,
		      const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out)
{
	const struct art_fault_opts *fo = opts->world;
	struct art_tp_opts inner = *opts;
	struct art_tp_up mine = *up;
	struct fault *f;
	int rc;

	if (!fo || !fo->inner || fo->nrules < 0 || fo->nrules > ART_FAULT_RULES)
		return ART_ERR_ARG;
	f = art__env_zalloc(env, sizeof(*f));
	if (!f)
		return ART_ERR_NOMEM;
	f->peer = art__env_zalloc(env, (size_t)self->size * sizeof(*f->peer));
	if (!f->peer) {
		art__env_free(env, f);
		return ART_ERR_NOMEM;
	}
	for (int k = 0; k < self->size; k++)
		f->peer[k].tail = &f->peer[k].head;
	f->tp.ops = &art__fault_ops;
	f->env = *env;
	f->self = *self;
	f->up = *up;
	f->opts = *fo;
	f->rng = fo->seed ^ ((uint64_t)self->slot << 32 | self->channel);
	f->queue_high = opts->queue_high ? opts->queue_high : QUEUE_HIGH;
	inner.world = fo->inner_world;
	mine.self = f;
	mine.body_len = on_head;
	mine.message = on_message;
	mine.room = on_room;
	mine.up = on_up;
	mine.down = on_down;
	mine.deaf = on_deaf;
	rc = fo->inner->open(env, self, &inner, &mine, &f->inner);
	if (rc < 0) {
		art__env_free(env, f->peer);
		art__env_free(env, f);
		return rc;
	}
	*out = &f->tp;
	return 0;
}

static int fault_listen(struct art_tp *tp, char addr[ART_TP_ADDR_MAX])
{
	struct fault *f = fault_of(tp);

	return f->inner->ops->listen(f->inner, addr);
}

static int fault_peer_addr(struct art_tp *tp, int peer, const char *addr)
{
	struct fault *f = fault_of(tp);

	return f->inner->ops->peer(f->inner, peer, addr);
}

static int fault_connect(struct art_tp *tp, int peer)
{
	struct fault *f = fault_of(tp);

	return f->inner->ops->connect(f->inner, peer);
}

static int fault_poll(struct art_tp *tp, int budget)
{
	struct fault *f = fault_of(tp);
	int calls = 0;

	for (int k = 0; f->busy && k < f->self.size && calls < budget; k++)
		if (busy(&f->peer[k]))
			calls += serve(f, k);
	if (calls < budget)
		calls += f->inner->ops->poll(f->inner, budget - calls);
	return calls;
}

static int fault_fd(struct art_tp *tp)
{
	struct fault *f = fault_of(tp);

	return f->inner->ops->fd(f->inner);
}

static void fault_arm(struct art_tp *tp)
{
	art__transport_arm(fault_of(tp)->inner);
}

static uint64_t fault_wake(struct art_tp *tp)
{
	struct fault *f = fault_of(tp);
	uint64_t at = f->inner->ops->wake_ns(f->inner);

	for (int k = 0; f->busy && k < f->self.size; k++) {
		const struct fault_peer *p = &f->peer[k];

		if (p->down || (p->want_room && p->bytes <= f->queue_high / 2))
			return art__env_now(&f->env);
		if (p->head && p->head->due < at)
			at = p->head->due;
	}
	return at;
}

static void fault_drop(struct art_tp *tp, int peer)
{
	struct fault *f = fault_of(tp);

	forget(f, peer);
	f->peer[peer].dropped = true;
	f->inner->ops->drop(f->inner, peer);
}

static void fault_reset(struct art_tp *tp, int peer)
{
	struct fault *f = fault_of(tp);

	forget(f, peer);
	f->inner->ops->reset(f->inner, peer);
}

static size_t fault_pending(struct art_tp *tp)
{
	struct fault *f = fault_of(tp);
	size_t n = f->inner->ops->pending(f->inner);

	for (int k = 0; f->busy && k < f->self.size; k++)
		n += f->peer[k].bytes;
	return n;
}

static unsigned fault_caps(struct art_tp *tp)
{
	struct fault *f = fault_of(tp);

	return f->inner->ops->caps(f->inner);
}

static void fault_close(struct art_tp *tp)
{
	struct fault *f = fault_of(tp);
	struct art_env env = f->env;

	f->inner->ops->close(f->inner);
	for (int k = 0; k < f->self.size; k++)
		forget(f, k);
	art__env_free(&env, f->peer);
	art__env_free(&env, f);
}

const struct art_tp_ops art__fault_ops = {
	.name = "fault",
	.open = fault_open,
	.listen = fault_listen,
	.peer = fault_peer_addr,
	.connect = fault_connect,
	.send = fault_send,
	.poll = fault_poll,
	.fd = fault_fd,
	.arm = fault_arm,
	.wake_ns = fault_wake,
	.drop = fault_drop,
	.reset = fault_reset,
	.pending = fault_pending,
	.caps = fault_caps,
	.close = fault_close,
};
