/* SPDX-License-Identifier: MIT
 *
 * Everything that may knock at a TCP listener or answer at a dialled address: garbage, other
 * protocols, half handshakes, wrong keys, replays, stolen names, altered messages, crowds; and
 * memory that runs out. Each time what is wrong must be counted, and traffic between the good ranks
 * must flow on with its connection untouched.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <art/status.h>

#include "tests/conformance/attacker.h"

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
	refuse_bytes(c, "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 11, ART_TCP_N_GARBAGE); /* TLS */
	refuse_bytes(c, "SSH-2.0-OpenSSH_9.2\r\n", 21, ART_TCP_N_GARBAGE);
	refuse_bytes(c, "ARTh\2\3\1\0", 8, ART_TCP_N_GARBAGE); /* a proof of nothing */
	refuse_bytes(c, "ARTh\2\5\1\0", 8, ART_TCP_N_GARBAGE); /* refuses what it was not asked */
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
	struct raw r;

	put_words(&r, r.hello, &w);
	hello_mac(r.hello, CONF_KEY_BYTE);
	refuse_bytes(c, (const char *)r.hello, HELLO, what);
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
	struct raw r, model;

	begin(c);
	put_words(&model, model.hello, &good);
	hello_mac(model.hello, CONF_KEY_BYTE);
	for (size_t len = 0; len < HELLO; len += 3) {
		left = count(c, 0, ART_TCP_N_LEFT);
		r = knock(c);
		if (len)
			say(c, &r, model.hello, len);
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
	r.dialled = true;
	put_words(&r, r.hello, &good);
	hello_mac(r.hello, CONF_KEY_BYTE);
	for (size_t i = 0; i < HELLO; i++) {
		say(c, &r, r.hello + i, 1);
		step(c);
	}
	WAIT(c, (got = hear(&r, r.challenge, HELLO)) != 0);
	CHECK(c, got == 1);
	agree(&r, CONF_KEY_BYTE);
	answer(c, &r, false);
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
	as_one.from = 1; /* a rank that is connected */
	before = count(c, 0, ART_TCP_N_KEY);
	r = knock(c); /* a hello of another key costs the acceptor a hash, and gets no answer */
	put_words(&r, r.hello, &good);
	hello_mac(r.hello, CONF_KEY_BYTE + 1);
	say(c, &r, r.hello, HELLO);
	must_be_refused(c, &r, ART_TCP_N_KEY, before++);

	r = greet(c, &good);
	answer(c, &r, true);
	must_be_refused(c, &r, ART_TCP_N_KEY, before++);
	r = greet(c, &as_one);
	answer(c, &r, true);
	must_be_refused(c, &r, ART_TCP_N_KEY, before++);

	r = greet(c, &good); /* the acceptor's own proof sent back */
	put_prefix(r.proof, &good, T_PROOF);
	memcpy(r.proof + 8, r.challenge + WORDS, 16);
	say(c, &r, r.proof, PROOF);
	must_be_refused(c, &r, ART_TCP_N_KEY, before++);
	CHECK(c, node(c, 0)->peer[2].ups == 0);
	conf_end(c);
}

/* Ephemeral keys with which the secret would be the same whatever the other side's is. */
static void weak_ephemerals(struct conf *c)
{
	uint64_t before;
	struct raw r;

	begin(c);
	for (int k = 0; k < 2; k++) {
		before = count(c, 0, ART_TCP_N_KEY);
		r = knock(c);
		put_words(&r, r.hello, &good);
		memset(r.hello + 52, 0, 32);
		r.hello[52] = (uint8_t)k;
		hello_mac(r.hello, CONF_KEY_BYTE);
		say(c, &r, r.hello, HELLO);
		must_be_refused(c, &r, ART_TCP_N_KEY, before);
	}
	conf_end(c);
}

/* A rank of another version or level is told so, and both sides have it in words. */
static void other_version_or_level(struct conf *c)
{
	struct words w;
	uint8_t told[8];
	struct raw r;

	begin(c);
	for (int k = 0; k < 3; k++) {
		enum art_tcp_count what = k == 2 ? ART_TCP_N_SECURITY : ART_TCP_N_VERSION;
		uint64_t before = count(c, 0, what);
		int got = 0;

		w = good;
		if (k == 0)
			w.version++;
		else if (k == 1)
			w.carried++;
		else
			w.security = ART_TP_PLAIN;
		r = knock(c);
		put_words(&r, r.hello, &w);
		hello_mac(r.hello, CONF_KEY_BYTE);
		say(c, &r, r.hello, HELLO);
		WAIT(c, (got = hear(&r, told, sizeof(told))) != 0);
		CHECK(c, got == 1 && memcmp(told, "ARTh\2\5\1\0", 8) == 0);
		must_be_refused(c, &r, what, before);
	}
	conf_end(c);
}

/* The acceptor's ephemeral key is that of the first time, too: its nonce must do. */
static void replayed(struct conf *c)
{
	uint8_t head[ART_TP_HEAD] = "CONF";
	uint64_t before;
	struct raw old, r;

	begin(c);
	old = enter(c, &good);
	WAIT(c, node(c, 0)->peer[2].ups == 1);
	close(old.fd);
	WAIT(c, node(c, 0)->peer[2].downs == 1);
	before = count(c, 0, ART_TCP_N_KEY);
	r = knock(c); /* the same hello, proof and message, byte for byte */
	say(c, &r, old.hello, HELLO);
	WAIT(c, hear(&r, r.challenge, HELLO) == 1);
	CHECK(c, memcmp(r.challenge + 52, old.challenge + 52, 32) == 0);
	CHECK(c, memcmp(r.challenge + 36, old.challenge + 36, 16) != 0);
	CHECK(c, memcmp(r.challenge + WORDS, old.challenge + WORDS, HELLO - WORDS) != 0);
	say(c, &r, old.proof, PROOF);
	say(c, &r, head, sizeof(head));
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
	put_prefix(r.proof, &good, T_PROOF);
	confirm(&r, T_PROOF, r.proof + 8);
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
	uint8_t welcome[PROOF];
	uint64_t slow;
	struct raw r;

	begin(c);
	as_one.from = 1;
	r = greet(c, &as_one);
	answer(c, &r, false);
	WAIT(c, count(c, 0, ART_TCP_N_PARKED) == 1);
	traffic(c); /* the first one stands */
	CHECK(c, hear(&r, welcome, PROOF) == 0);
	slow = count(c, 0, ART_TCP_N_SLOW);
	conf_reset(node(c, 0), 1); /* and when it ends, the second takes its place at once */
	CHECK(c, conf_readable(node(c, 0)));
	WAIT(c, hear(&r, welcome, PROOF) == 1);
	CHECK(c, node(c, 0)->peer[1].ups == 2);
	CHECK(c, count(c, 0, ART_TCP_N_SLOW) == slow);
	close(r.fd);
	WAIT(c, node(c, 0)->peer[1].downs == 1);
	conf_end(c);
}

static void newer_incarnation_replaces_the_older(struct conf *c)
{
	struct words w = good;
	uint8_t welcome[PROOF];
	uint64_t stale;
	struct raw first, second;

	begin(c);
	w.incarnation = 5;
	first = enter(c, &w);
	w.incarnation = 6;
	second = greet(c, &w);
	answer(c, &second, false);
	WAIT(c, hear(&second, welcome, PROOF) == 1);
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

/* The conformance message number @number from rank 2 to 0, without a body. */
static void make_head(uint8_t head[ART_TP_HEAD], uint64_t number)
{
	memset(head, 0, ART_TP_HEAD);
	memcpy(head, "CONF", 4);
	put(head + 8, number, 8);
	put(head + 16, 2, 4);
	for (unsigned i = 0; i < ART_TP_HEAD - 32; i++)
		head[24 + i] = (uint8_t)(number * 131 + 2 * 17 + i);
}

/* A message that was altered, repeated, left out or made up ends the connection, undelivered. */
static void forged_messages(struct conf *c, struct words w)
{
	struct conf_seen *s = &c->node[0].peer[2];
	uint8_t head[ART_TP_HEAD];
	uint64_t before;
	struct raw r;

	begin(c);
	for (unsigned how = 0; how < 4; how++) {
		r = enter(c, &w);
		before = count(c, 0, ART_TCP_N_FORGED);
		s->received = 0;
		make_head(head, 0);
		say_message(c, &r, head, NULL, 0); /* a good one first */
		WAIT(c, s->got == how + 1);
		make_head(head, 1);
		if (how == 0)
			r.sent--; /* a repeated number */
		else if (how == 1)
			r.sent++; /* one is missing */
		else if (how == 2)
			r.tx[5] ^= 1, r.tx_head[5] ^= 1;
		else
			memset(head, 0, sizeof(head)), r.sent = 0, memset(r.tx_head, 0, 16);
		say_message(c, &r, head, NULL, 0);
		WAIT(c, s->downs == how + 1);
		CHECK(c, s->why == ART_TP_GARBAGE && s->got == how + 1);
		CHECK(c, count(c, 0, ART_TCP_N_FORGED) == before + 1);
		WAIT(c, closed(&r));
		close(r.fd);
		traffic(c);
	}
	conf_end(c);
}

static void forged_heads(struct conf *c)
{
	forged_messages(c, good);
}

static void forged_ciphertexts(struct conf *c)
{
	struct words w = good;

	w.security = ART_TP_ENCRYPT;
	c->rig = conf_rig_find("tcp-encrypt");
	forged_messages(c, w);
}

static void huge_ciphertexts(struct conf *c)
{
	static const uint32_t lens[] = { ART_TP_BODY_MAX + 1, 0x7fffffff, 0xffffffff };
	struct conf_seen *s = &c->node[0].peer[2];
	struct words w = good;
	uint8_t record[100] = { 0 };

	w.security = ART_TP_ENCRYPT;
	c->rig = conf_rig_find("tcp-encrypt");
	begin(c);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct raw r = enter(c, &w);

		put(record, lens[i], 4);
		say(c, &r, record, sizeof(record));
		WAIT(c, s->downs == i + 1);
		CHECK(c, s->why == ART_TP_GARBAGE && s->got == 0);
		close(r.fd);
		traffic(c);
	}
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
		say_message(c, &r, head, NULL, 0);
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
		if (round == 1)
			say(c, &r, head, 30);
		else
			say_message(c, &r, head, NULL, 0);
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

enum lie { NOISE, ECHO, WRONG_SLOT, WRONG_KEY, OTHER_VERSION, HANG_UP };

static void lie(struct conf *c, int lfd, enum lie how)
{
	struct words w = { .version = 2, .type = T_CHALLENGE, .security = ART_TP_MAC,
			   .from = how == WRONG_SLOT ? 1 : 2, .to = 0, .job = CONF_JOB,
			   .incarnation = CONF_INCARNATION };
	struct raw r = { .fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC) };
	int got = 0;

	if (r.fd < 0)
		return;
	WAIT(c, (got = hear(&r, r.hello, HELLO)) != 0);
	put_words(&r, r.challenge, &w);
	agree(&r, how == WRONG_KEY ? 1 : CONF_KEY_BYTE);
	confirm(&r, T_CHALLENGE, r.challenge + WORDS);
	if (how == NOISE)
		memset(r.challenge, 'x', HELLO);
	if (how == ECHO)
		memcpy(r.challenge, r.hello, HELLO);
	if (how == OTHER_VERSION)
		memcpy(r.challenge, "ARTh\3\5\1\0", 8);
	if (got == 1 && how != HANG_UP)
		send(r.fd, r.challenge, how == OTHER_VERSION ? 8 : HELLO, MSG_NOSIGNAL);
	if (how != HANG_UP)
		WAIT(c, closed(&r)); /* not even a proof is given to a liar */
	close(r.fd);
}

static void dial_once(struct conf *c, int lfd, enum lie how)
{
	unsigned downs = node(c, 0)->peer[2].downs;

	CHECK(c, conf_send(node(c, 0), 2, 100, 1) == 1);
	while (node(c, 0)->peer[2].downs == downs) {
		lie(c, lfd, how);
		step(c);
	}
	CHECK(c, node(c, 0)->peer[2].why == ART_TP_REFUSED);
	CHECK(c, node(c, 0)->peer[2].ups == 0);
}

static void dial_liars(struct conf *c)
{
	static const enum art_tcp_count what[] = {
		[NOISE] = ART_TCP_N_GARBAGE, [ECHO] = ART_TCP_N_GARBAGE,
		[WRONG_SLOT] = ART_TCP_N_SLOT, [WRONG_KEY] = ART_TCP_N_KEY,
		[OTHER_VERSION] = ART_TCP_N_VERSION,
		[HANG_UP] = ART_TCP_N_LEFT,
	};
	char addr[ART_TP_ADDR_MAX];

	c->opts.connect_ns = 300 * ART_NS_PER_MS;
	begin(c);
	int lfd = false_listener(c, addr);
	CHECK(c, c->ops->peer(node(c, 0)->tp, 2, addr) == 0);
	for (unsigned how = NOISE; how <= HANG_UP; how++) {
		uint64_t before = count(c, 0, what[how]);

		do { /* again, where no lie came in time */
			dial_once(c, lfd, (enum lie)how);
		} while (count(c, 0, what[how]) == before);
		traffic(c);
	}
	close(lfd);
	conf_end(c);
}

/* ---- our own system ---- */

/* accept() fails so often, then works; negative: for ever. */
static int failures_left;

static int failing_accept(void *self, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	(void)self;
	if (failures_left == 0)
		return accept4(fd, sa, len, flags);
	if (failures_left > 0)
		failures_left--;
	errno = EMFILE;
	return -1;
}

/* Who dials is told that nobody answers. Only who cannot accept knows why, and has to say so: but not
 * for a moment without descriptors, nor while nobody comes. */
static void deaf_for_as_long_as_dialling_may_take(struct conf *c)
{
	c->opts.connect_ns = ART_NS_PER_S; /* longer than this process ever waits for a processor */
	conf_begin(c, 2);
	art__tcp_sys(node(c, 1)->tp)->accept = failing_accept;
	failures_left = 2;
	CHECK(c, conf_send(node(c, 0), 1, 100, 1) == 1);
	WAIT(c, conf_came(c, 0, 1));
	CHECK(c, failures_left == 0 && node(c, 1)->deaf == 0);

	failures_left = -1;
	node(c, 0)->tp->ops->reset(node(c, 0)->tp, 1);
	node(c, 0)->peer[1].up = false;
	while (!node(c, 1)->deaf) {
		unsigned downs = node(c, 0)->peer[1].downs;

		CHECK(c, conf_send(node(c, 0), 1, 100, 1) == 1);
		WAIT(c, node(c, 0)->peer[1].downs > downs || node(c, 1)->deaf);
		CHECK(c, node(c, 1)->deaf || node(c, 0)->peer[1].why == ART_TP_REFUSED);
	}
	CHECK(c, count(c, 1, ART_TCP_N_ACCEPT_FAIL) > 2);
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

/* No packet of others is on the way, and a timer that spreads ours is not wanted. */
static void no_pacing_within_a_host(struct conf *c)
{
	int connected = 0;

	begin(c);
	for (int fd = 0; fd < 256; fd++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer), size = 16;
		char name[16] = "";

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 || peer.sin_family != AF_INET)
			continue;
		CHECK(c, getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0);
		CHECK(c, strcmp(name, "reno") == 0);
		connected++;
	}
	CHECK(c, connected >= 2); /* both ends */
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
	{ "weak_ephemerals", weak_ephemerals },
	{ "other_version_or_level", other_version_or_level },
	{ "replayed", replayed },
	{ "speaks_before_welcome", speaks_before_welcome },
	{ "second_connection_waits_for_the_first", second_connection_waits_for_the_first },
	{ "newer_incarnation_replaces_the_older", newer_incarnation_replaces_the_older },
	{ "forged_heads", forged_heads },
	{ "forged_ciphertexts", forged_ciphertexts },
	{ "huge_frames", huge_frames },
	{ "huge_ciphertexts", huge_ciphertexts },
	{ "cut_in_the_middle_of_a_frame", cut_in_the_middle_of_a_frame },
	{ "knock_and_run", knock_and_run },
	{ "crowd_of_silent_strangers", crowd_of_silent_strangers },
	{ "dial_liars", dial_liars },
	{ "deaf_for_as_long_as_dialling_may_take", deaf_for_as_long_as_dialling_may_take },
	{ "one_call_and_no_memory_per_small_message", one_call_and_no_memory_per_small_message },
	{ "no_pacing_within_a_host", no_pacing_within_a_host },
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
