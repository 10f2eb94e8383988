/* SPDX-License-Identifier: MIT
 *
 * Everything that may knock at a TCP listener or answer at a dialled address: garbage, other
 * protocols, half handshakes, wrong keys, replays, stolen names, crowds; and memory that runs
 * out. Each time what is wrong must be counted, and traffic between the good ranks must flow on
 * with its connection untouched. The attacker speaks the handshake by its own description of the
 * bytes, so that a change of the format shows here.
 */
#include "tests/conformance/conformance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <art/status.h>

#include "transport/tcp/tcp.h"

#define HELLO 52
#define CHALLENGE 84
#define PROOF 40
#define WELCOME 8
#define LIMIT_NS (60 * ART_NS_PER_S)

struct raw {
	int fd;
	uint8_t hello[HELLO], challenge[CHALLENGE], proof[PROOF];
};

struct words {
	uint8_t version, type;
	uint32_t channel, from, to;
	uint64_t job, incarnation;
};

static const struct words good = {
	.version = 1, .type = 1, .from = 2, .to = 0, .job = CONF_JOB,
	.incarnation = CONF_INCARNATION,
};

static struct conf_node *node(struct conf *c, int slot)
{
	return &c->node[slot];
}

static uint64_t count(struct conf *c, int slot, enum art_tcp_count what)
{
	return art__tcp_counters(node(c, slot)->tp)[what];
}

/* One round of everybody's poll; waits for a descriptor, or a moment. */
static void step(struct conf *c)
{
	struct pollfd p[CONF_NODES];
	nfds_t n = 0;

	CHECK(c, c->rig->now_ns(c) - c->start_ns < LIMIT_NS);
	for (int i = 0; i < c->size; i++) {
		if (!node(c, i)->tp)
			continue;
		conf_poll(node(c, i), 16);
		p[n++] = (struct pollfd){ .fd = c->ops->fd(node(c, i)->tp), .events = POLLIN };
	}
	CHECK(c, poll(p, n, 5) >= 0 || errno == EINTR);
}

#define WAIT(c, cond) \
	do { \
		conf_mark(c); \
		while (!(cond)) \
			step(c); \
	} while (0)

/* The good ranks 0 and 1 talk, on the connection they always had. */
static void traffic(struct conf *c)
{
	for (int i = 0; i < 3; i++) {
		CHECK(c, conf_send(node(c, 0), 1, 3000, 2) == 1);
		CHECK(c, conf_send(node(c, 1), 0, 5, 1) == 1);
	}
	WAIT(c, conf_came(c, 0, 1) && conf_came(c, 1, 0));
	CHECK(c, node(c, 0)->peer[1].ups == 1 && node(c, 1)->peer[0].ups == 1);
	CHECK(c, node(c, 0)->peer[1].downs == 0 && node(c, 1)->peer[0].downs == 0);
}

/* Three slots: 0 and 1 are real, 2 is whom the attacker plays. */
static void begin(struct conf *c)
{
	conf_begin(c, 3);
	conf_close(c, 2);
	traffic(c);
}

/* ---- the attacker ---- */

static struct raw knock(struct conf *c)
{
	struct art_tcp_addrs a;
	struct raw r;

	CHECK(c, art__tcp_parse(node(c, 0)->addr, &a) == 0);
	r.fd = socket(a.at[0].sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(c, r.fd >= 0);
	CHECK(c, connect(r.fd, &a.at[0].sa, art__tcp_addr_len(&a.at[0])) == 0);
	return r;
}

static void say(struct conf *c, struct raw *r, const void *p, size_t len)
{
	CHECK(c, send(r->fd, p, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Bytes from the other side: 1 all are there, 0 not yet, -1 it has closed. */
static int hear(struct raw *r, void *p, size_t len)
{
	uint8_t *at = p;
	ssize_t n = recv(r->fd, at, len, MSG_DONTWAIT | MSG_PEEK);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -1;
	return n == (ssize_t)len && recv(r->fd, at, len, 0) == (ssize_t)len;
}

static bool closed(struct raw *r)
{
	uint8_t b[256];

	return hear(r, b, sizeof(b)) < 0 && recv(r->fd, b, 1, MSG_DONTWAIT) <= 0;
}

static void put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put_words(uint8_t *p, const struct words *w)
{
	memcpy(p, "ARTh", 4);
	put(p + 4, w->version, 1);
	put(p + 5, w->type, 1);
	put(p + 6, 0, 2);
	put(p + 8, w->channel, 4);
	put(p + 12, w->from, 4);
	put(p + 16, w->to, 4);
	put(p + 20, w->job, 8);
	put(p + 28, w->incarnation, 8);
	memset(p + 36, 0x77, 16); /* no nonce at all */
}

static void prove(uint8_t role, const struct raw *r, uint8_t key_byte, uint8_t mac[32])
{
	uint8_t said[1 + 2 * HELLO], key[32];

	said[0] = role;
	memcpy(said + 1, r->hello, HELLO);
	memcpy(said + 1 + HELLO, r->challenge, HELLO);
	memset(key, key_byte, sizeof(key));
	crypto_generichash(mac, 32, said, sizeof(said), key, sizeof(key));
}

/* Says hello and hears the challenge, which must prove that the acceptor knows the key. */
static struct raw greet(struct conf *c, const struct words *w)
{
	struct raw r = knock(c);
	uint8_t mac[32];
	int got = 0;

	put_words(r.hello, w);
	say(c, &r, r.hello, HELLO);
	WAIT(c, (got = hear(&r, r.challenge, CHALLENGE)) != 0);
	CHECK(c, got == 1);
	prove(2, &r, CONF_KEY_BYTE, mac);
	CHECK(c, memcmp(mac, r.challenge + HELLO, 32) == 0);
	return r;
}

static void answer(struct conf *c, struct raw *r, uint8_t key_byte)
{
	memcpy(r->proof, "ARTh\1\3\0\0", 8);
	prove(3, r, key_byte, r->proof + 8);
	say(c, r, r->proof, PROOF);
}

/* A whole good handshake: the attacker is the real rank @w->from for once. */
static struct raw enter(struct conf *c, const struct words *w)
{
	struct raw r = greet(c, w);
	uint8_t welcome[WELCOME];
	int got = 0;

	answer(c, &r, CONF_KEY_BYTE);
	WAIT(c, (got = hear(&r, welcome, WELCOME)) != 0);
	CHECK(c, got == 1 && memcmp(welcome, "ARTh\1\4\0\0", 8) == 0);
	return r;
}

/* The other side closes, counts it as @what, and nobody else notices. */
static void must_be_refused(struct conf *c, struct raw *r, enum art_tcp_count what, uint64_t before)
{
	WAIT(c, closed(r));
	close(r->fd);
	CHECK(c, count(c, 0, what) == before + 1);
	CHECK(c, node(c, 0)->peer[2].got == 0);
	traffic(c);
}

/* ---- strangers ---- */

static void refuse_bytes(struct conf *c, const char *bytes, size_t len, enum art_tcp_count what)
{
	uint64_t before = count(c, 0, what);
	struct raw r = knock(c);

	say(c, &r, bytes, len);
	must_be_refused(c, &r, what, before);
}

static void other_protocols(struct conf *c)
{
	static const char http[] = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
	uint64_t seed = 1;
	char noise[700];

	begin(c);
	refuse_bytes(c, http, sizeof(http) - 1, ART_TCP_N_GARBAGE);
	refuse_bytes(c, "\0", 1, ART_TCP_N_GARBAGE);
	refuse_bytes(c, "ARTh\2\1\0\0", 8, ART_TCP_N_GARBAGE); /* a later version */
	refuse_bytes(c, "ARTh\1\3\0\0", 8, ART_TCP_N_GARBAGE); /* a proof of nothing */
	for (int round = 0; round < 30; round++) {
		for (size_t i = 0; i < sizeof(noise); i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1;
			noise[i] = (char)(seed >> 56);
		}
		noise[0] = 'B';
		refuse_bytes(c, noise, sizeof(noise), ART_TCP_N_GARBAGE);
	}
	CHECK(c, node(c, 0)->peer[2].ups == 0);
	conf_end(c);
}

static void refuse_words(struct conf *c, struct words w, enum art_tcp_count what)
{
	uint8_t hello[HELLO];

	put_words(hello, &w);
	refuse_bytes(c, (const char *)hello, HELLO, what);
}

static void wrong_words(struct conf *c)
{
	struct words w;

	begin(c);
	w = good, w.job++;
	refuse_words(c, w, ART_TCP_N_JOB);
	w = good, w.channel = 1;
	refuse_words(c, w, ART_TCP_N_CHANNEL);
	w = good, w.from = 0; /* our own */
	refuse_words(c, w, ART_TCP_N_SLOT);
	w = good, w.from = 3;
	refuse_words(c, w, ART_TCP_N_SLOT);
	w = good, w.from = UINT32_MAX;
	refuse_words(c, w, ART_TCP_N_SLOT);
	w = good, w.to = 1; /* another's listener */
	refuse_words(c, w, ART_TCP_N_SLOT);
	conf_drop(node(c, 0), 2);
	refuse_words(c, good, ART_TCP_N_DROPPED);
	conf_end(c);
}

static void half_handshakes(struct conf *c)
{
	uint64_t left, slow;
	uint8_t hello[HELLO];
	struct raw r;

	begin(c);
	put_words(hello, &good);
	for (size_t len = 0; len < HELLO; len += 3) {
		left = count(c, 0, ART_TCP_N_LEFT);
		r = knock(c);
		if (len)
			say(c, &r, hello, len);
		close(r.fd);
		WAIT(c, count(c, 0, ART_TCP_N_LEFT) == left + 1);
		traffic(c);
	}
	left = count(c, 0, ART_TCP_N_LEFT);
	r = greet(c, &good);
	close(r.fd);
	WAIT(c, count(c, 0, ART_TCP_N_LEFT) == left + 1);
	slow = count(c, 0, ART_TCP_N_SLOW);
	r = greet(c, &good);
	must_be_refused(c, &r, ART_TCP_N_SLOW, slow); /* the only thing that takes its 2 s */
	conf_end(c);
}

static void one_byte_at_a_time(struct conf *c)
{
	struct raw r = { .fd = -1 };
	int got = 0;

	begin(c);
	r = knock(c);
	put_words(r.hello, &good);
	for (size_t i = 0; i < HELLO; i++) {
		say(c, &r, r.hello + i, 1);
		step(c);
	}
	WAIT(c, (got = hear(&r, r.challenge, CHALLENGE)) != 0);
	CHECK(c, got == 1);
	answer(c, &r, CONF_KEY_BYTE);
	WAIT(c, node(c, 0)->peer[2].ups == 1);
	close(r.fd);
	WAIT(c, node(c, 0)->peer[2].downs == 1);
	traffic(c);
	conf_end(c);
}

static void without_the_key(struct conf *c)
{
	struct words as_one = good;
	uint64_t before;
	struct raw r;

	begin(c);
	before = count(c, 0, ART_TCP_N_KEY);
	r = greet(c, &good);
	answer(c, &r, CONF_KEY_BYTE + 1);
	must_be_refused(c, &r, ART_TCP_N_KEY, before);

	as_one.from = 1; /* a rank that is connected */
	r = greet(c, &as_one);
	answer(c, &r, 0);
	must_be_refused(c, &r, ART_TCP_N_KEY, before + 1);

	r = greet(c, &good); /* the acceptor's own proof sent back */
	memcpy(r.proof, "ARTh\1\3\0\0", 8);
	memcpy(r.proof + 8, r.challenge + HELLO, 32);
	say(c, &r, r.proof, PROOF);
	must_be_refused(c, &r, ART_TCP_N_KEY, before + 2);
	CHECK(c, node(c, 0)->peer[2].ups == 0);
	conf_end(c);
}

static void replayed(struct conf *c)
{
	uint64_t before;
	struct raw old, r;

	begin(c);
	old = enter(c, &good);
	WAIT(c, node(c, 0)->peer[2].ups == 1);
	close(old.fd);
	WAIT(c, node(c, 0)->peer[2].downs == 1);
	before = count(c, 0, ART_TCP_N_KEY);
	r = greet(c, &good); /* the same hello, byte for byte */
	CHECK(c, memcmp(r.hello, old.hello, HELLO) == 0);
	CHECK(c, memcmp(r.challenge, old.challenge, CHALLENGE) != 0);
	say(c, &r, old.proof, PROOF);
	must_be_refused(c, &r, ART_TCP_N_KEY, before);
	CHECK(c, node(c, 0)->peer[2].ups == 1);
	conf_end(c);
}

static void speaks_before_welcome(struct conf *c)
{
	uint64_t before;
	struct raw r;

	begin(c);
	before = count(c, 0, ART_TCP_N_LEFT);
	r = greet(c, &good);
	memcpy(r.proof, "ARTh\1\3\0\0", 8);
	prove(3, &r, CONF_KEY_BYTE, r.proof + 8);
	uint8_t both[PROOF + 64] = { 0 };
	memcpy(both, r.proof, PROOF);
	say(c, &r, both, sizeof(both));
	must_be_refused(c, &r, ART_TCP_N_LEFT, before);
	CHECK(c, node(c, 0)->peer[2].ups == 0);
	conf_end(c);
}

/* ---- with the key ---- */

static void second_connection_waits_for_the_first(struct conf *c)
{
	struct words as_one = good;
	uint8_t welcome[WELCOME];
	uint64_t slow;
	struct raw r;

	begin(c);
	as_one.from = 1;
	r = greet(c, &as_one);
	answer(c, &r, CONF_KEY_BYTE);
	WAIT(c, count(c, 0, ART_TCP_N_PARKED) == 1);
	traffic(c); /* the first one stands */
	CHECK(c, hear(&r, welcome, WELCOME) == 0);
	slow = count(c, 0, ART_TCP_N_SLOW);
	conf_reset(node(c, 0), 1); /* and when it ends, the second takes its place at once */
	CHECK(c, conf_readable(node(c, 0)));
	WAIT(c, hear(&r, welcome, WELCOME) == 1);
	CHECK(c, node(c, 0)->peer[1].ups == 2);
	CHECK(c, count(c, 0, ART_TCP_N_SLOW) == slow);
	close(r.fd);
	WAIT(c, node(c, 0)->peer[1].downs == 1);
	conf_end(c);
}

static void newer_incarnation_replaces_the_older(struct conf *c)
{
	struct words w = good;
	uint8_t welcome[WELCOME];
	uint64_t stale;
	struct raw first, second;

	begin(c);
	w.incarnation = 5;
	first = enter(c, &w);
	w.incarnation = 6;
	second = greet(c, &w);
	answer(c, &second, CONF_KEY_BYTE);
	WAIT(c, hear(&second, welcome, WELCOME) == 1);
	WAIT(c, closed(&first));
	CHECK(c, node(c, 0)->peer[2].ups == 2 && node(c, 0)->peer[2].downs == 1);
	close(first.fd);
	traffic(c);
	stale = count(c, 0, ART_TCP_N_STALE);
	w.incarnation = 5;
	refuse_words(c, w, ART_TCP_N_STALE);
	CHECK(c, count(c, 0, ART_TCP_N_STALE) == stale + 1);
	CHECK(c, node(c, 0)->peer[2].up);
	close(second.fd);
	conf_end(c);
}

static void huge_frames(struct conf *c)
{
	static const uint32_t lens[] = { ART_TP_BODY_MAX + 1, 0x7fffffff, 0xffffffff };
	struct conf_seen *s = &c->node[0].peer[2];
	uint8_t head[ART_TP_HEAD] = "CONF";
	struct raw r;

	begin(c);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		r = enter(c, &good);
		put(head + 4, lens[i], 4);
		say(c, &r, head, sizeof(head));
		WAIT(c, s->downs == i + 1);
		CHECK(c, s->why == ART_TP_GARBAGE && s->got == 0);
		WAIT(c, closed(&r));
		close(r.fd);
		traffic(c);
	}
	conf_end(c);
}

static void cut_in_the_middle_of_a_frame(struct conf *c)
{
	struct conf_seen *s = &c->node[0].peer[2];
	uint8_t head[ART_TP_HEAD] = "CONF";
	struct raw r;

	begin(c);
	put(head + 4, 1000, 4);
	for (unsigned round = 1; round <= 2; round++) {
		r = enter(c, &good);
		say(c, &r, head, round == 1 ? 30 : sizeof(head));
		close(r.fd);
		WAIT(c, s->downs == round);
		CHECK(c, s->got == 0);
		traffic(c);
	}
	conf_end(c);
}

/* ---- crowds ---- */

static void knock_and_run(struct conf *c)
{
	begin(c);
	uint64_t left = count(c, 0, ART_TCP_N_LEFT);
	for (int i = 0; i < 200; i++) {
		struct raw r = knock(c);
		close(r.fd);
		if (i % 10 == 0)
			traffic(c);
	}
	WAIT(c, count(c, 0, ART_TCP_N_LEFT) == left + 200);
	traffic(c);
	CHECK(c, c->lines < 40); /* said once, not 200 times */
	conf_end(c);
}

static void crowd_of_silent_strangers(struct conf *c)
{
	enum { CROWD = 150 };
	struct raw r[CROWD];
	uint64_t pushed;

	begin(c);
	for (int i = 0; i < CROWD; i++)
		r[i] = knock(c);
	WAIT(c, count(c, 0, ART_TCP_N_CROWD) + count(c, 0, ART_TCP_N_SLOW) >=
			CROWD - ART_TCP_PENDING_MAX);
	pushed = count(c, 0, ART_TCP_N_CROWD);
	CHECK(c, pushed > 0 && pushed <= CROWD);
	traffic(c);
	struct raw in = enter(c, &good); /* a good rank still comes through */
	close(in.fd);
	for (int i = 0; i < CROWD; i++)
		close(r[i].fd);
	traffic(c);
	conf_end(c);
}

/* ---- who answers where we dial ---- */

static int false_listener(struct conf *c, char addr[ART_TP_ADDR_MAX])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(c, fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0);
	CHECK(c, listen(fd, 64) == 0);
	CHECK(c, getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(addr, ART_TP_ADDR_MAX, "127.0.0.1:%u", ntohs(a.sin_port));
	return fd;
}

enum lie { NOISE, ECHO, WRONG_SLOT, WRONG_KEY, HANG_UP };

static void lie(struct conf *c, int lfd, enum lie how)
{
	struct words w = { .version = 1, .type = 2, .from = how == WRONG_SLOT ? 1 : 2, .to = 0,
			   .job = CONF_JOB, .incarnation = CONF_INCARNATION };
	struct raw r = { .fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC) };
	int got = 0;

	if (r.fd < 0)
		return;
	WAIT(c, (got = hear(&r, r.hello, HELLO)) != 0);
	put_words(r.challenge, &w);
	prove(2, &r, how == WRONG_KEY ? 1 : CONF_KEY_BYTE, r.challenge + HELLO);
	if (how == NOISE)
		memset(r.challenge, 'x', CHALLENGE);
	if (how == ECHO)
		memcpy(r.challenge, r.hello, HELLO);
	if (got == 1 && how != HANG_UP)
		send(r.fd, r.challenge, CHALLENGE, MSG_NOSIGNAL);
	if (how != HANG_UP)
		WAIT(c, closed(&r)); /* not even a proof is given to a liar */
	close(r.fd);
}

static void dial_liars(struct conf *c)
{
	static const enum art_tcp_count what[] = {
		[NOISE] = ART_TCP_N_GARBAGE, [ECHO] = ART_TCP_N_GARBAGE,
		[WRONG_SLOT] = ART_TCP_N_SLOT, [WRONG_KEY] = ART_TCP_N_KEY,
		[HANG_UP] = ART_TCP_N_LEFT,
	};
	char addr[ART_TP_ADDR_MAX];

	c->opts.connect_ns = 300 * ART_NS_PER_MS;
	begin(c);
	int lfd = false_listener(c, addr);
	CHECK(c, c->ops->peer(node(c, 0)->tp, 2, addr) == 0);
	for (unsigned how = NOISE; how <= HANG_UP; how++) {
		uint64_t before = count(c, 0, what[how]);
		unsigned downs = node(c, 0)->peer[2].downs;

		CHECK(c, conf_send(node(c, 0), 2, 100, 1) == 1);
		while (node(c, 0)->peer[2].downs == downs) {
			lie(c, lfd, (enum lie)how);
			step(c);
		}
		CHECK(c, node(c, 0)->peer[2].why == ART_TP_REFUSED);
		CHECK(c, node(c, 0)->peer[2].ups == 0);
		CHECK(c, count(c, 0, what[how]) > before);
		traffic(c);
	}
	close(lfd);
	conf_end(c);
}

/* ---- cost, memory, addresses ---- */

static void one_call_and_no_memory_per_small_message(struct conf *c)
{
	begin(c);
	for (int i = 0; i < 100; i++) {
		uint64_t calls = count(c, 0, ART_TCP_N_SENDMSG);
		long allocs = c->allocs;

		CHECK(c, conf_send(node(c, 0), 1, 8, 1) == 1);
		CHECK(c, count(c, 0, ART_TCP_N_SENDMSG) == calls + 1);
		CHECK(c, c->allocs == allocs);
		WAIT(c, conf_came(c, 0, 1));
	}
	conf_end(c);
}

/* The @n-th allocation from here on fails. True if there was one. */
static bool once_without_memory(struct conf *c, long n)
{
	struct conf_seen *from = &c->node[0].peer[1], *to = &c->node[1].peer[0];
	bool failed;

	c->opts.queue_high = 16 * 1024;
	conf_begin(c, 2);
	c->fail_at = c->allocs + n;
	unsigned downs = 0;
	for (int i = 0; i < 40; i++) {
		int r = conf_send(node(c, 0), 1, 60000, 1);
		CHECK(c, r >= 0 || r == ART_ERR_NOMEM);
		conf_poll(node(c, 0), 1);
	}
	do { /* what is lost is lost with a connection; a later message comes through */
		WAIT(c, conf_came(c, 0, 1) || from->downs + to->downs > downs);
		downs = from->downs + to->downs;
		if (!conf_came(c, 0, 1))
			conf_send(node(c, 0), 1, 10, 1);
	} while (!conf_came(c, 0, 1));
	failed = c->allocs >= c->fail_at;
	c->fail_at = 0;
	conf_end(c);
	return failed;
}

static void every_allocation_fails_in_turn(struct conf *c)
{
	struct art_tp_self self = { .size = 4, .job = 1 };
	struct art_tp_up up = { 0 };
	struct art_tp *tp;
	long n = 1;

	while (once_without_memory(c, n))
		n++;
	CHECK(c, n > 5);
	conf_begin(c, 1);
	for (n = 1; n <= 2; n++) {
		c->fail_at = c->allocs + n;
		CHECK(c, c->ops->open(&c->env, &self, &c->opts, &up, &tp) == ART_ERR_NOMEM);
	}
	conf_end(c);
}

/* A program started by the application inherits nothing of ours. */
static void descriptors_close_on_exec(struct conf *c)
{
	bool open_before[256];

	for (int fd = 0; fd < 256; fd++)
		open_before[fd] = fcntl(fd, F_GETFD) >= 0;
	begin(c);
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);
		CHECK(c, open_before[fd] || flags < 0 || (flags & FD_CLOEXEC));
	}
	conf_end(c);
	for (int fd = 0; fd < 256; fd++)
		CHECK(c, open_before[fd] || fcntl(fd, F_GETFD) < 0); /* and all are closed */
}

static const struct conf_case cases[] = {
	{ "other_protocols", other_protocols },
	{ "wrong_words", wrong_words },
	{ "half_handshakes", half_handshakes },
	{ "one_byte_at_a_time", one_byte_at_a_time },
	{ "without_the_key", without_the_key },
	{ "replayed", replayed },
	{ "speaks_before_welcome", speaks_before_welcome },
	{ "second_connection_waits_for_the_first", second_connection_waits_for_the_first },
	{ "newer_incarnation_replaces_the_older", newer_incarnation_replaces_the_older },
	{ "huge_frames", huge_frames },
	{ "cut_in_the_middle_of_a_frame", cut_in_the_middle_of_a_frame },
	{ "knock_and_run", knock_and_run },
	{ "crowd_of_silent_strangers", crowd_of_silent_strangers },
	{ "dial_liars", dial_liars },
	{ "one_call_and_no_memory_per_small_message", one_call_and_no_memory_per_small_message },
	{ "every_allocation_fails_in_turn", every_allocation_fails_in_turn },
	{ "descriptors_close_on_exec", descriptors_close_on_exec },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf c = { .rig = conf_rig_find("tcp"), .name = cases[i].name };
		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		cases[i].run(&c);
		printf("tcp: %s: ok\n", cases[i].name);
		fflush(stdout);
	}
	return 0;
}
