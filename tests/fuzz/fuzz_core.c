/* SPDX-License-Identifier: MIT
 *
 * Description: whatever messages an authenticated peer sends, in whatever order with deaths, ticks
 * and failing allocations, a rank's protocol neither crashes nor asserts, leaks, loops or grows
 * without bound. Three to five cores run against each other; the input is a script that starts
 * calls, passes on their messages whole, damaged, twice or never, and forges others. Nothing is
 * said here about results: those who lie may spoil them.
 */
#include <stdlib.h>
#include <string.h>

#include <art/status.h>

#include "coll/combine.h"
#include "core/core.h"
#include "tests/fuzz/fuzz.h"

#define MAX_RANKS 5
#define MAX_OPS 48     /* of one rank and run */
#define MAX_COMMS 4
#define MAX_QUEUE 512  /* messages under way */
#define MAX_STEPS 600
#define MAX_FRAMES 4000
#define ONE_ALLOC (4u << 20)   /* more at once is never needed here */
#define BASE_BYTES (8u << 20)  /* of a rank, besides what it was sent */
#define BODY_LONG 40000

struct msg {
	int from, to;
	enum art_chan chan;
	struct art_hdr h;
	uint8_t *body;
};

struct call {
	struct art_op *op;  /* NULL: over */
	enum art_coll kind;
	uint8_t *send, *recv;
	struct art_comm *comm;
};

struct rank {
	struct fuzz *f;
	int slot;
	struct art_env env;
	struct art_port port;
	struct art_core *core;
	struct art_machine *m;
	bool dead;
	uint32_t epoch;      /* what it has noted for after its death */
	struct art_set view;
	uint32_t ballot;     /* that it asked the arbiter about last */
	struct art_comm *comm[MAX_COMMS];
	int ncomm;
	struct call call[MAX_OPS];
	int ncall;
	struct art_job *jobs;
	uint64_t rng, blocks, bytes, fed;
	int fail_in;         /* allocations until one fails, 0: none */
};

/* The script. */
struct input {
	const uint8_t *p;
	size_t len, at;
};

struct fuzz {
	struct input in;
	int n;
	uint64_t now;
	struct rank rank[MAX_RANKS];
	struct msg *queue[MAX_QUEUE];
	int nqueue;
	int frames;
};

static uint8_t u8(struct fuzz *f)
{
	return f->in.at < f->in.len ? f->in.p[f->in.at++] : 0;
}

static uint32_t u16(struct fuzz *f)
{
	uint32_t v = u8(f);

	return v | (uint32_t)u8(f) << 8;
}

static uint64_t u64(struct fuzz *f)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | u8(f);
	return v;
}

/* Numbers that programs stumble over; near @near where there is such a thing. */
static uint64_t odd_number(struct fuzz *f, uint64_t near)
{
	switch (u8(f) % 12) {
	case 0: return 0;
	case 1: return 1;
	case 2: return near + 1;
	case 3: return near - 1;
	case 4: return near + u8(f);
	case 5: return UINT32_MAX;
	case 6: return UINT64_MAX;
	case 7: return UINT64_C(1) << u8(f) % 64;
	case 8: return UINT32_MAX - u8(f);
	case 9: return u16(f);
	case 10: return u64(f);
	default: return near;
	}
}

/* ---- environment ---- */

static uint64_t env_now(void *self)
{
	return ((struct rank *)self)->f->now;
}

static uint64_t env_random(void *self)
{
	struct rank *r = self;

	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng;
}

static void *env_alloc(void *self, size_t bytes)
{
	struct rank *r = self;
	size_t *p;

	REQUIRE(bytes <= ONE_ALLOC);
	if (r->fail_in && --r->fail_in == 0)
		return NULL;
	p = malloc(16 + bytes);
	REQUIRE(p);
	*p = bytes;
	r->blocks++;
	r->bytes += bytes;
	return p + 2;
}

static void env_free(void *self, void *p)
{
	struct rank *r = self;
	size_t *q = (size_t *)p - 2;

	r->blocks--;
	r->bytes -= *q;
	free(q);
}

static void env_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	REQUIRE(strlen(line) < 1000);
}

/* ---- effects ---- */

static void enqueue(struct fuzz *f, int from, int to, enum art_chan chan, const struct art_hdr *h,
		    const void *body, size_t len)
{
	struct msg *m;

	if (f->nqueue == MAX_QUEUE)
		return;
	m = malloc(sizeof(*m));
	REQUIRE(m);
	*m = (struct msg){ .from = from, .to = to, .chan = chan, .h = *h };
	m->h.len = (uint32_t)len;
	m->h.src = (uint32_t)from;
	m->body = malloc(len);
	REQUIRE(m->body || !len);
	if (len)
		memcpy(m->body, body, len);
	f->queue[f->nqueue++] = m;
}

static int port_send(void *self, enum art_chan chan, int to, const struct art_hdr *h,
		     const void *body, size_t len)
{
	struct rank *r = self;
	uint8_t wire[ART_HDR_BYTES];
	struct art_hdr out = *h;

	REQUIRE(to >= 0 && to < r->f->n && to != r->slot && len <= ART_BODY_MAX);
	out.len = (uint32_t)len;
	art__wire_encode(&out, wire);
	enqueue(r->f, r->slot, to, chan, h, body, len);
	return env_random(self) % 16 != 0;
}

static void port_slot(void *self, int slot)
{
	struct rank *r = self;

	REQUIRE(slot >= 0 && slot < r->f->n && slot != r->slot);
}

static void port_done(void *self, struct art_op *op)
{
	(void)self;
	REQUIRE(art__op_done(op));
}

static void port_compute(void *self, struct art_job *job)
{
	struct rank *r = self;

	job->next = r->jobs;
	r->jobs = job;
}

/* ---- calls ---- */

static void add_u64(const void *in, void *inout, size_t count, struct art_type_s *type, void *ctx)
{
	(void)type;
	(void)ctx;
	for (size_t i = 0; i < count; i++) {
		uint64_t a, b;

		memcpy(&a, (const uint8_t *)in + 8 * i, 8);
		memcpy(&b, (uint8_t *)inout + 8 * i, 8);
		b += a;
		memcpy((uint8_t *)inout + 8 * i, &b, 8);
	}
}

static uint8_t *buffer(size_t bytes)
{
	uint8_t *p = malloc(bytes);

	REQUIRE(p || !bytes);
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)i;
	return p;
}

static void free_buffers(struct call *k)
{
	if (k->recv != k->send)
		free(k->recv);
	free(k->send);
	k->send = k->recv = NULL;
}

static size_t count_of(uint8_t b)
{
	static const size_t list[] = { 0, 1, 3, 33, 700, 2500, 9000, 20000 };

	return list[b % 8];
}

static void forget_comm(struct rank *r, struct art_comm *m)
{
	for (int i = 0; i < r->ncomm; i++)
		if (r->comm[i] == m)
			r->comm[i--] = r->comm[--r->ncomm];
}

/* What the API promises the core about a call. */
static void start(struct rank *r, uint8_t what, uint8_t how, uint8_t size)
{
	struct art_call call = { .kind = (enum art_coll)(1 + what % 8), .root = -1 };
	struct art_comm *m = r->ncomm ? r->comm[(how >> 5) % r->ncomm] : NULL;
	struct call *k = &r->call[r->ncall];
	bool reduces = call.kind == ART_C_REDUCE || call.kind == ART_C_ALLREDUCE, in_place;
	uint64_t deadline = how & 8 ? r->f->now + 5 * ART_NS_PER_MS : 0;
	size_t bytes;

	if (!m || r->ncall == MAX_OPS || art__core_fate(r->core))
		return;
	if (what % 32 == 31) {
		art__core_refuse(r->core, m, ART_ERR_COUNT);
		return;
	}
	if ((call.kind == ART_C_FREE && m == art__core_world(r->core)) ||
	    (call.kind == ART_C_FINALIZE && m != art__core_world(r->core)))
		return;
	if (call.kind == ART_C_SETLOSS)
		call.loss = how & 1;
	if (call.kind == ART_C_BCAST || call.kind == ART_C_REDUCE)
		call.root = (how & 3) % art__comm_size(m);
	if (call.kind == ART_C_BCAST || reduces) {
		call.type = ART_T_UINT64;
		call.count = count_of(size);
	}
	if (reduces && how & 4) {
		call.fn = add_u64;
		call.flags = how & 16 ? 1 : 0;
	} else if (reduces) {
		call.op = ART_O_SUM;
	}
	bytes = call.count * 8;
	in_place = call.kind == ART_C_ALLREDUCE && size & 64;
	*k = (struct call){ .kind = call.kind, .comm = m };
	if (call.kind == ART_C_BCAST) {
		call.recvbuf = k->recv = buffer(bytes);
	} else if (reduces) {
		call.sendbuf = k->send = buffer(bytes);
		if (in_place)
			call.recvbuf = k->recv = k->send;
		else if (call.kind == ART_C_ALLREDUCE || call.root == art__comm_rank(m))
			call.recvbuf = k->recv = buffer(bytes);
	}
	if (art__core_start(r->core, m, &call, deadline, &k->op) < 0) {
		k->op = NULL;
		free_buffers(k);
		return;
	}
	r->ncall++;
	if (call.kind == ART_C_FREE || call.kind == ART_C_FINALIZE)
		forget_comm(r, m);
}

/* Callers look at what is done, and their memory is their own again. */
static void collect(struct rank *r)
{
	for (int i = 0; i < r->ncall; i++) {
		struct call *k = &r->call[i];
		struct art_outcome out;
		struct art_comm *child;

		if (!k->op || !art__op_done(k->op))
			continue;
		art__op_outcome(k->op, &out);
		REQUIRE(out.code <= 0 && out.code >= ART_ERR_INTERNAL);
		child = art__op_child(k->op);
		if (k->kind == ART_C_DUP && !out.code && child && r->ncomm < MAX_COMMS)
			r->comm[r->ncomm++] = child;
		art__op_release(r->core, k->op);
		k->op = NULL;
		free_buffers(k);
	}
}

static void work(struct rank *r)
{
	struct art_job *job = r->jobs;

	if (!job)
		return;
	r->jobs = job->next;
	job->run(job);
	r->m->ops->computed(r->m, job);
}

/* ---- messages ---- */

static void feed(struct fuzz *f, const struct msg *msg)
{
	struct rank *r = &f->rank[msg->to];

	if (r->dead || f->frames >= MAX_FRAMES)
		return;
	f->frames++;
	r->fed += 1000 + msg->h.len;
	r->m->ops->frame(r->m, msg->chan, msg->from, &msg->h, msg->body);
}

static void drop(struct msg *m)
{
	free(m->body);
	free(m);
}

static void resize(struct msg *m, size_t len, uint8_t fill)
{
	uint8_t *p = malloc(len);
	size_t keep = len < m->h.len ? len : m->h.len;

	REQUIRE(p || !len);
	if (len)
		memset(p, fill, len);
	if (keep)
		memcpy(p, m->body, keep);
	free(m->body);
	m->body = p;
	m->h.len = (uint32_t)len;
}

static void damage_header(struct fuzz *f, struct art_hdr *h)
{
	switch (u8(f) % 9) {
	case 0: h->kind = (uint8_t)(ART_K_DATA + u8(f) % ART_K_BYE); break;
	case 1: h->kind = (uint8_t)(ART_K_REQUEST + u8(f) % (ART_K_LAST - ART_K_REQUEST)); break;
	case 2: h->phase = (uint8_t)odd_number(f, h->phase); break;
	case 3: h->lag = (uint16_t)odd_number(f, h->lag); break;
	case 4: h->epoch = (uint32_t)odd_number(f, h->epoch); break;
	case 5: h->comm = odd_number(f, h->comm); break;
	case 6: h->seq = odd_number(f, h->seq); break;
	case 7: h->off = odd_number(f, h->off); break;
	case 8: h->sig ^= u8(f); break;
	}
}

static void damage_body(struct fuzz *f, struct msg *m)
{
	uint64_t v;
	size_t at;

	switch (u8(f) % 8) {
	default: /* a number of four or eight bytes */
		at = u8(f) % (m->h.len < 255 ? m->h.len + 1 : 256);
		v = odd_number(f, at + 4 <= m->h.len ? m->body[at] : 0);
		if (at + 8 <= m->h.len)
			memcpy(m->body + at, &v, u8(f) % 2 ? 8 : 4);
		break;
	case 1: /* a byte */
		at = u16(f);
		if (at < m->h.len)
			m->body[at] = u8(f);
		break;
	case 2: /* shorter */
		resize(m, u16(f) % (m->h.len + 1), 0);
		break;
	case 3: /* longer */
		resize(m, m->h.len + u8(f) <= ART_BODY_MAX ? m->h.len + u8(f) % 64 : m->h.len, u8(f));
		break;
	}
	if (m->chan == ART_CHAN_CTL && u8(f) % 8)
		m->h.seq = m->h.off + m->h.len;
}

/* The first message from @which on that is about a decision, or just @which. */
static uint32_t of_decision(const struct fuzz *f, uint32_t which)
{
	for (int i = 0; i < f->nqueue; i++) {
		uint32_t k = (which + (uint32_t)i) % (uint32_t)f->nqueue;

		if (f->queue[k]->h.kind >= ART_K_REQUEST && f->queue[k]->h.kind <= ART_K_DECIDED &&
		    f->queue[k]->h.len)
			return k;
	}
	return which;
}

/* One of the messages under way: 0 as it is, 1 and kept, 2 damaged, 3 damaged and kept; 4 with
 * these: about a decision. */
static void pass(struct fuzz *f, uint32_t which, int how)
{
	struct msg *m, copy;

	if (!f->nqueue)
		return;
	which %= (uint32_t)f->nqueue;
	if (how & 4)
		which = of_decision(f, which);
	m = f->queue[which];
	copy = *m;
	copy.body = malloc(m->h.len);
	REQUIRE(copy.body || !m->h.len);
	if (m->h.len)
		memcpy(copy.body, m->body, m->h.len);
	if (!(how & 1)) {
		memmove(&f->queue[which], &f->queue[which + 1],
			(size_t)(f->nqueue - (int)which - 1) * sizeof(f->queue[0]));
		f->nqueue--;
		drop(m);
	}
	for (int i = how & 2 ? 1 + u8(f) % 2 : 0; i > 0; i--) {
		if (!(how & 4) && u8(f) % 2)
			damage_header(f, &copy.h);
		else
			damage_body(f, &copy);
	}
	feed(f, &copy);
	free(copy.body);
}

/* A message out of nothing. */
static void forge(struct fuzz *f)
{
	uint8_t who = u8(f), kind = u8(f);
	int to = who % f->n, from = who / 8 % f->n;
	struct rank *r = &f->rank[to];
	struct art_comm *m = r->ncomm ? r->comm[who / 64 % r->ncomm] : art__core_world(r->core);
	struct msg msg = { .from = from, .to = to };
	uint64_t near = (uint64_t)r->ncall;

	if (from == to || r->dead)
		return;
	msg.chan = kind % 2 ? ART_CHAN_CTL : ART_CHAN_DATA;
	if (kind % 16 == 0) /* on the wrong channel */
		msg.chan = ART_CHAN_CTL;
	msg.h.kind = (uint8_t)(kind % 2 ? ART_K_REQUEST + kind / 2 % (ART_K_LAST - ART_K_REQUEST) :
					  ART_K_DATA + kind / 2 % ART_K_BYE);
	msg.h.version = ART_WIRE_VERSION;
	msg.h.src = (uint32_t)from;
	msg.h.phase = u8(f) % 64;
	msg.h.lag = (uint16_t)odd_number(f, 1);
	msg.h.epoch = (uint32_t)odd_number(f, art__core_epoch(r->core));
	msg.h.comm = u8(f) % 8 ? art__comm_id(m) : u64(f);
	msg.h.seq = odd_number(f, near);
	msg.h.off = odd_number(f, 0);
	msg.h.sig = u16(f);
	resize(&msg, u8(f) % 16 ? u8(f) : u16(f) % BODY_LONG, u8(f));
	for (uint32_t i = 0; i < msg.h.len && i < 64; i++)
		msg.body[i] = u8(f);
	if (msg.chan == ART_CHAN_CTL && u8(f) % 4) {
		msg.h.seq = msg.h.len;
		msg.h.off = 0;
	}
	feed(f, &msg);
	free(msg.body);
}

/* A flood of one kind of message with growing numbers: what a rank keeps of it is bounded. */
static void flood(struct fuzz *f)
{
	uint8_t who = u8(f), kind = u8(f), what = u8(f);
	int to = who % f->n, from = who / 8 % f->n;
	struct rank *r = &f->rank[to];
	struct msg msg = { .from = from, .to = to, .chan = kind % 2 ? ART_CHAN_CTL : ART_CHAN_DATA };

	if (from == to || r->dead)
		return;
	msg.h.kind = (uint8_t)(kind % 2 ? ART_K_WMARK + kind / 2 % 4 : ART_K_DATA + kind / 2 % ART_K_BYE);
	msg.h.epoch = (uint32_t)odd_number(f, art__core_epoch(r->core));
	msg.h.comm = art__comm_id(art__core_world(r->core));
	msg.h.seq = (uint64_t)r->ncall;
	msg.h.phase = u8(f) % 64;
	resize(&msg, kind % 2 ? 0 : what & 8 ? 20000 : 8, 1);
	for (int i = 0; i < 1500; i++) {
		msg.h.seq += what & 1;
		msg.h.off += what & 2 ? msg.h.len : 0;
		msg.h.comm += what & 4 ? 1 : 0;
		f->frames--; /* counted as one */
		feed(f, &msg);
		r->fed -= 1000 + msg.h.len;
	}
	r->fed += 1000 + msg.h.len;
	f->frames++;
	free(msg.body);
}

/* Somebody says that it does not hear another, or that it does. */
static void tear(struct fuzz *f, int to, uint8_t how)
{
	int from = how % f->n;
	struct msg msg = { .from = from, .to = to, .chan = ART_CHAN_CTL };

	if (from == to || f->rank[to].dead)
		return;
	msg.h.kind = ART_K_RELAY_NO;
	msg.h.seq = (uint64_t)from;
	msg.h.flags = how >> 7;
	feed(f, &msg);
}

/* ---- the script ---- */

static void pass_many(struct fuzz *f, int n)
{
	while (n-- > 0 && f->nqueue) {
		pass(f, 0, 0);
		for (int k = 0; k < f->n; k++)
			work(&f->rank[k]);
	}
}

static void tick(struct fuzz *f, uint64_t ns)
{
	f->now += ns;
	for (int k = 0; k < f->n; k++) {
		struct rank *r = &f->rank[k];

		if (!r->dead && r->m->ops->wake_ns(r->m) <= f->now)
			r->m->ops->tick(r->m);
	}
}

static void die(struct fuzz *f, int who, bool told_all, bool proven)
{
	f->rank[who].dead = true;
	for (int k = 0; k < f->n; k++) {
		struct rank *r = &f->rank[k];

		if (r->dead || (!told_all && k % 2))
			continue;
		if (proven)
			r->m->ops->dead(r->m, who, f->rank[who].epoch, &f->rank[who].view, k % 2);
		else
			r->m->ops->suspect(r->m, who);
	}
}

/* In the arbiter's name: any bytes, but for what decides whether they are looked at. */
static void arbitrate(struct fuzz *f, struct rank *r, uint8_t how)
{
	uint8_t p[64];
	struct art_wbuf w = { .p = p, .cap = sizeof(p) };

	art__w_u8(&w, how & 1 ? ART_K_PROMISE : how & 2 ? ART_K_ACCEPTED : ART_K_NACK);
	art__w_u32(&w, art__core_epoch(r->core) + 1);
	art__w_u32(&w, how & 4 ? r->ballot : (uint32_t)odd_number(f, r->ballot));
	for (int n = how / 16; n > 0; n--)
		art__w_u8(&w, u8(f));
	r->m->ops->voted(r->m, p, w.len);
}

static void verdict(struct fuzz *f, uint8_t b)
{
	struct rank *r = &f->rank[b % f->n];
	int slot = b / 8 % f->n;

	if (r->dead || slot == r->slot)
		return;
	switch (b / 64) {
	case 0: r->m->ops->suspect(r->m, slot); break;
	case 1: r->m->ops->dead(r->m, slot, f->rank[slot].epoch, &f->rank[slot].view, b % 2); break;
	case 2: r->m->ops->link_down(r->m, ART_CHAN_DATA, slot); break;
	default: r->m->ops->link_down(r->m, ART_CHAN_CTL, slot); break;
	}
	if (r->ballot)
		arbitrate(f, r, b);
}

static void step(struct fuzz *f)
{
	uint8_t b = u8(f), c;
	struct rank *r = &f->rank[b / 16 % f->n];

	switch (b % 16) {
	case 0:
		if (!r->dead)
			start(r, u8(f), u8(f), u8(f));
		break;
	case 1: case 2: { /* all alike */
		uint8_t what = u8(f), how = u8(f), size = u8(f);

		for (int k = 0; k < f->n; k++)
			if (!f->rank[k].dead)
				start(&f->rank[k], what, how, size);
		break;
	}
	case 3: pass_many(f, u8(f)); break;
	case 4: pass_many(f, 1 + u8(f) % 8); break;
	case 5: pass(f, u16(f), 0); break;
	case 6: pass(f, u16(f), 1); break;
	case 7: pass(f, u16(f), 2); break;
	case 8: pass(f, u16(f), 6); break;
	case 9: pass(f, u16(f), b & 16 ? 3 : 7); break;
	case 10: forge(f); break;
	case 11: tick(f, (b & 16 ? ART_NS_PER_MS : 100 * ART_NS_PER_MS) * (1 + u8(f))); break;
	case 12: verdict(f, u8(f)); break;
	case 13:
		c = u8(f);
		if (c & 1)
			die(f, b / 16 % f->n, c & 2, c & 4);
		else if (c & 8)
			r->fail_in = 1 + u8(f) % 8;
		else if (!r->dead && c / 16 % f->n != r->slot)
			r->m->ops->room(r->m, c / 16 % f->n);
		break;
	case 14:
		if (b & 16)
			tear(f, r->slot, u8(f));
		work(r);
		break;
	case 15:
		c = u8(f);
		if (c % 4 == 0)
			flood(f);
		else if (c % 4 == 1)
			die(f, c / 16 % f->n, true, true);
		else if (!r->dead)
			start(r, c & 4 ? 31 : 2, c, 1);
		break;
	}
}

static void port_view(void *self, uint32_t epoch, const struct art_set *members)
{
	struct rank *r = self;

	r->epoch = epoch;
	art__set_copy(&r->view, members);
}

static void port_vote(void *self, const void *p, size_t len)
{
	struct art_rbuf b = { .p = p, .len = len };

	art__r_u8(&b);
	art__r_u32(&b);
	((struct rank *)self)->ballot = art__r_u32(&b);
	REQUIRE(!b.bad && len <= ART_BODY_MAX);
}

static void open_rank(struct fuzz *f, int slot)
{
	static const int hosts[MAX_RANKS] = { 0, 1, 2, 3, 3 };
	struct rank *r = &f->rank[slot];
	struct art_core_cfg cfg;

	r->f = f;
	r->slot = slot;
	r->rng = 88172645463325252u + (uint64_t)slot;
	r->env = (struct art_env){ .self = r, .now_ns = env_now, .random = env_random,
				   .alloc = env_alloc, .free = env_free, .log = env_log,
				   .log_level = ART_LOG_DEBUG };
	r->port = (struct art_port){ .self = r, .send = port_send, .fence = port_slot,
				     .relink = port_slot, .done = port_done,
				     .compute = port_compute, .view = port_view, .vote = port_vote };
	art__set_fill(&r->view, (uint32_t)f->n);
	art__core_defaults(&cfg);
	cfg.slot = slot;
	cfg.size = f->n;
	cfg.job = 7;
	cfg.log_ops = 8;
	cfg.early_bytes = 1u << 20;
	cfg.small_max = 4096;
	if (f->n == MAX_RANKS)
		cfg.star_max = 1;
	if (f->n > 3)
		cfg.hosts = hosts;
	REQUIRE(art__core_create(&r->env, &r->port, &cfg, &r->core) == 0);
	r->m = art__core_machine(r->core);
	r->comm[r->ncomm++] = art__core_world(r->core);
}

static void close_rank(struct rank *r)
{
	r->fail_in = 0;
	collect(r);
	art__core_destroy(r->core);
	REQUIRE(r->blocks == 0);
	for (int i = 0; i < r->ncall; i++)
		free_buffers(&r->call[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	memset(&f, 0, sizeof(f));
	f.in = (struct input){ data, size, 0 };
	f.now = 1000;
	f.n = 3 + u8(&f) % 3;
	for (int k = 0; k < f.n; k++)
		open_rank(&f, k);
	for (int i = 0; i < MAX_STEPS && f.in.at < f.in.len; i++) {
		step(&f);
		for (int k = 0; k < f.n; k++) {
			struct rank *r = &f.rank[k];

			if (!r->dead)
				collect(r);
			REQUIRE(r->bytes <= BASE_BYTES + 16 * r->fed);
		}
	}
	pass_many(&f, 200);
	tick(&f, ART_NS_PER_S);
	for (int k = 0; k < f.n; k++)
		close_rank(&f.rank[k]);
	while (f.nqueue)
		drop(f.queue[--f.nqueue]);
	return 0;
}

const struct fuzz_target fuzz_target = { .name = "fuzz_core" };
