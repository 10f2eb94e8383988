/* SPDX-License-Identifier: MIT
 *
 * Nodes, and what each of them checks on every upcall; turns; memory that is counted. Cases are
 * in cases.c, the worlds of the transports in rigs.c.
 */
#include "tests/conformance/conformance.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_NS (120 * ART_NS_PER_S)
#define IDLE_MAX 100000 /* turns that find nothing although time was let pass */
#define BUDGET 16

/* A head: "CONF", length, number, from, to; the rest is a pattern. */
struct head {
	uint32_t magic, len;
	uint64_t number;
	uint32_t from, to;
	uint8_t rest[ART_TP_HEAD - ART_TP_HEAD_MAC - 24];
	uint64_t mac; /* the transport's */
};
_Static_assert(sizeof(struct head) == ART_TP_HEAD, "a head is 64 bytes");
#define MAGIC 0x464e4f43u

void conf_fail(const struct conf *c, const char *file, int line, const char *what)
{
	fprintf(stderr, "%s: %s: FAILED at %s:%d: %s\n", c->rig->name, c->name, file, line, what);
	exit(1);
}

/* ---- environment ---- */

static void *env_alloc(void *self, size_t bytes)
{
	struct conf *c = self;
	void *p = NULL;

	if (++c->allocs != c->fail_at)
		p = malloc(bytes ? bytes : 1);
	if (p) {
		c->live++;
		memset(p, 0xa5, bytes);
	}
	return p;
}

static void env_free(void *self, void *p)
{
	struct conf *c = self;

	c->live--;
	free(p);
}

static uint64_t env_random(void *self)
{
	(void)self;
	return 4; /* nothing in a transport may lean on it */
}

static void env_log(void *self, enum art_log_level level, const char *line)
{
	struct conf *c = self;

	(void)level;
	c->lines++;
	if (getenv("CONF_LOG"))
		fprintf(stderr, "%s: %s: %s\n", c->rig->name, c->name, line);
}

/* ---- messages ---- */

static uint8_t pattern(uint64_t number, int from, int to, size_t i)
{
	return (uint8_t)(number * 131 + (unsigned)from * 17 + (unsigned)to * 29 + i + (i >> 8) * 7);
}

static int64_t body_len(void *self, const uint8_t *p)
{
	struct head h;

	(void)self;
	memcpy(&h, p, sizeof(h));
	return h.magic == MAGIC ? (int64_t)h.len : -1;
}

static void on_message(void *self, int peer, const uint8_t *p, const uint8_t *body, size_t len)
{
	struct conf_node *n = self;
	struct conf *c = n->c;
	struct conf_seen *s = &n->peer[peer];
	struct head h;

	memcpy(&h, p, sizeof(h));
	CHECK(c, n->polling && !s->silent);
	CHECK(c, s->up);
	CHECK(c, h.magic == MAGIC && h.len == len && h.mac == 0);
	CHECK(c, (int)h.from == peer && (int)h.to == n->slot);
	CHECK(c, h.number == s->received || (s->gap && h.number > s->received));
	for (size_t i = 0; i < sizeof(h.rest); i++)
		CHECK(c, h.rest[i] == pattern(h.number, peer, n->slot, i));
	for (size_t i = 0; i < len; i++)
		CHECK(c, body[i] == pattern(h.number, peer, n->slot, i));
	s->gap = false;
	s->received = h.number + 1;
	s->got++;
	s->got_bytes += len;
	if (n->on_message)
		n->on_message(n, peer);
}

static void on_room(void *self, int peer)
{
	struct conf_node *n = self;

	CHECK(n->c, n->polling && !n->peer[peer].silent);
	n->peer[peer].rooms++;
}

static void on_up(void *self, int peer)
{
	struct conf_node *n = self;
	struct conf_seen *s = &n->peer[peer];

	CHECK(n->c, n->polling && !s->silent);
	CHECK(n->c, !s->up);
	s->up = true;
	s->ups++;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct conf_node *n = self;
	struct conf_seen *s = &n->peer[peer];

	CHECK(n->c, n->polling && !s->silent);
	CHECK(n->c, s->up || why == ART_TP_REFUSED || why == ART_TP_RESET);
	s->up = false;
	s->gap = true;
	s->downs++;
	s->why = why;
	if (n->on_down)
		n->on_down(n, peer);
}

static void on_deaf(void *self)
{
	struct conf_node *n = self;

	CHECK(n->c, n->polling);
	n->deaf++;
}

static void fill(struct conf_node *n, int peer, struct head *h, uint8_t *body, size_t len)
{
	uint64_t number = n->peer[peer].sent;

	*h = (struct head){
		.magic = MAGIC,
		.len = (uint32_t)len,
		.number = number,
		.from = (uint32_t)n->slot,
		.to = (uint32_t)peer,
	};
	for (size_t i = 0; i < sizeof(h->rest); i++)
		h->rest[i] = pattern(number, n->slot, peer, i);
	for (size_t i = 0; i < len; i++)
		body[i] = pattern(number, n->slot, peer, i);
}

int conf_send(struct conf_node *n, int peer, size_t len, int pieces)
{
	static uint8_t body[ART_TP_BODY_MAX];
	struct iovec iov[16];
	struct head h;
	size_t at = 0;
	int r;

	CHECK(n->c, pieces < 16 && len <= sizeof(body));
	fill(n, peer, &h, body, len);
	iov[0] = (struct iovec){ &h, sizeof(h) };
	for (int i = 1; i <= pieces; i++) {
		size_t part = i == pieces ? len - at : len / (size_t)pieces;
		iov[i] = (struct iovec){ body + at, part };
		at += part;
	}
	r = n->tp->ops->send(n->tp, peer, iov, pieces + 1);
	/* The caller's memory is its own again. */
	memset(&h, 0xee, sizeof(h));
	memset(body, 0xee, len);
	if (r >= 0)
		n->peer[peer].sent++;
	return r;
}

int conf_send_run(struct conf_node *n, int peer, int messages, size_t each, size_t last, bool *room)
{
	static uint8_t body[ART_TP_RUN_MAX * ART_TP_BODY_MAX], head[ART_TP_RUN_MAX][ART_TP_HEAD];
	struct conf_seen *s = &n->peer[peer];
	struct art_tp_run run = { .head = head, .n = messages, .body = body, .each = each };
	uint64_t first = s->sent;
	int taken;

	run.len = (size_t)(messages - 1) * each + last;
	CHECK(n->c, messages <= ART_TP_RUN_MAX && last <= each && each <= ART_TP_BODY_MAX);
	for (int i = 0; i < messages; i++, s->sent++) {
		struct head h;

		fill(n, peer, &h, body + (size_t)i * each, i + 1 < messages ? each : last);
		memcpy(head[i], &h, sizeof(h));
	}
	taken = art__transport_send_run(n->tp, peer, &run);
	/* The caller's memory is its own again. */
	memset(head, 0xee, sizeof(head));
	memset(body, 0xee, run.len);
	CHECK(n->c, taken <= messages && (taken == messages || taken < 0 || !run.room));
	s->sent = first + (uint64_t)(taken > 0 ? taken : 0);
	*room = run.room;
	return taken;
}

void conf_send_garbage(struct conf_node *n, int peer)
{
	uint8_t junk[ART_TP_HEAD] = "GET / HTTP/1.1\r\n";
	struct iovec iov = { junk, sizeof(junk) };

	CHECK(n->c, n->tp->ops->send(n->tp, peer, &iov, 1) >= 0);
}

/* ---- nodes ---- */

void conf_open(struct conf *c, int slot)
{
	struct conf_node *n = &c->node[slot];
	struct art_tp_self self = {
		.slot = slot,
		.size = c->size,
		.job = CONF_JOB,
		.incarnation = CONF_INCARNATION,
	};
	struct art_tp_up up = { n, body_len, on_message, on_room, on_up, on_down, on_deaf,
				NULL, NULL };

	memset(self.key, CONF_KEY_BYTE, sizeof(self.key));
	*n = (struct conf_node){ .c = c, .slot = slot };
	CHECK(c, c->ops->open(&c->env, &self, &c->opts, &up, &n->tp) == 0);
	CHECK(c, n->tp->ops == c->ops);
	if (c->rig->opened)
		c->rig->opened(n);
	CHECK(c, c->ops->listen(n->tp, n->addr) == 0);
	CHECK(c, memchr(n->addr, 0, sizeof(n->addr)) && n->addr[0]);
	CHECK(c, !strstr(n->addr, "0.0.0.0") && !strstr(n->addr, "[::]"));
}

void conf_close(struct conf *c, int slot)
{
	struct conf_node *n = &c->node[slot];

	n->tp->ops->close(n->tp);
	n->tp = NULL;
}

void conf_introduce(struct conf *c, int slot, int peer)
{
	struct conf_node *n = &c->node[slot];

	CHECK(c, c->ops->peer(n->tp, peer, c->node[peer].addr) == 0);
}

void conf_begin(struct conf *c, int n)
{
	c->size = n;
	c->live = c->allocs = c->fail_at = 0;
	c->env = (struct art_env){
		.self = c,
		.now_ns = c->rig->now_ns,
		.random = env_random,
		.alloc = env_alloc,
		.free = env_free,
		.log = env_log,
		.log_level = ART_LOG_DEBUG,
	};
	if (c->rig->iface)
		c->opts.iface = c->rig->iface;
	c->opts.security = c->rig->security;
	c->rig->make(c);
	for (int i = 0; i < n; i++)
		conf_open(c, i);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			if (i != k)
				conf_introduce(c, i, k);
	conf_mark(c);
}

void conf_end(struct conf *c)
{
	for (int i = 0; i < c->size; i++)
		if (c->node[i].tp)
			conf_close(c, i);
	c->rig->unmake(c);
	CHECK(c, c->live == 0); /* every allocation was freed */
}

void conf_mark(struct conf *c)
{
	c->start_ns = c->rig->now_ns(c);
	c->idle = 0;
}

int conf_poll(struct conf_node *n, int budget)
{
	int r;

	n->polling = true;
	r = n->tp->ops->poll(n->tp, budget);
	n->polling = false;
	CHECK(n->c, r >= 0);
	return r;
}

/* Nobody found anything to do. */
void conf_advance(struct conf *c)
{
	CHECK(c, ++c->idle < IDLE_MAX);
	CHECK(c, c->rig->now_ns(c) - c->start_ns < LIMIT_NS);
	CHECK(c, c->rig->advance(c)); /* or nothing would ever happen again */
}

void conf_turn(struct conf *c)
{
	int calls = 0;

	for (int i = 0; i < c->size; i++)
		if (c->node[i].tp)
			calls += conf_poll(&c->node[i], BUDGET);
	if (calls)
		c->idle = 0;
	else
		conf_advance(c);
}

void conf_reset(struct conf_node *n, int peer)
{
	n->tp->ops->reset(n->tp, peer);
	n->peer[peer].up = false;
	n->peer[peer].gap = true;
}

void conf_drop(struct conf_node *n, int peer)
{
	n->tp->ops->drop(n->tp, peer);
	n->peer[peer].up = false;
	n->peer[peer].silent = true;
}

bool conf_came(struct conf *c, int n, int peer)
{
	return c->node[peer].peer[n].received == c->node[n].peer[peer].sent;
}

bool conf_readable(struct conf_node *n)
{
	struct pollfd p = { .fd = n->tp->ops->fd(n->tp), .events = POLLIN };

	art__transport_arm(n->tp);
	return poll(&p, 1, 0) > 0;
}

int conf_run(const struct conf_rig *rig, const char *only)
{
	int ran = 0;

	for (const struct conf_case *k = conf_cases; k->name; k++) {
		struct conf c = { .rig = rig, .name = k->name };

		if (only && strcmp(only, k->name) != 0)
			continue;
		k->run(&c);
		printf("%s: %s: ok\n", rig->name, k->name);
		fflush(stdout);
		ran++;
	}
	if (!ran)
		fprintf(stderr, "no case \"%s\"\n", only);
	return ran ? 0 : 2;
}
