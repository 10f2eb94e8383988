/* SPDX-License-Identifier: MIT
 *
 * The handshake's four messages: what they say, how they are checked, and that nothing else of a
 * stranger is looked at. Which connection survives is decided in tcp_conn.c.
 *
 *   dialler  -> hello      magic version type 0 0 | channel from to | job incarnation | nonce
 *   acceptor -> challenge  the same words of its own | proof
 *   dialler  -> proof      magic version type 0 0 | proof
 *   acceptor -> welcome    magic version type 0 0
 *
 * A proof is BLAKE2b, keyed with the job key, over (role, hello, challenge's words): it covers
 * version, channel, job, both slots, both incarnations and both nonces, and the role keeps one
 * side's proof from being sent back as the other's.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { HELLO = 1, CHALLENGE, PROOF, WELCOME };

#define VERSION 1
#define PREFIX 8
#define NONCE_AT 36
#define NONCE_BYTES 16

_Static_assert(NONCE_AT + NONCE_BYTES == ART_TCP_HELLO_BYTES, "hello ends with the nonce");
_Static_assert(ART_TCP_HELLO_BYTES + ART_TCP_MAC_BYTES == ART_TCP_CHALLENGE_BYTES, "challenge");
_Static_assert(PREFIX + ART_TCP_MAC_BYTES == ART_TCP_PROOF_BYTES, "proof");
_Static_assert(ART_TCP_HELLO_BYTES + ART_TCP_PROOF_BYTES <= 128, "little is read of a stranger");

struct words {
	uint32_t channel, from, to;
	uint64_t job, incarnation;
};

static const char *const reasons[ART_TCP_N_LAST] = {
	[ART_TCP_N_GARBAGE] = "it does not speak our handshake",
	[ART_TCP_N_CHANNEL] = "it is of another channel",
	[ART_TCP_N_JOB] = "it is of another job",
	[ART_TCP_N_SLOT] = "it claims or wants a wrong slot",
	[ART_TCP_N_DROPPED] = "its slot was dropped",
	[ART_TCP_N_STALE] = "it is of an older incarnation",
	[ART_TCP_N_KEY] = "it does not know the job key",
	[ART_TCP_N_SLOW] = "no complete handshake came in time",
	[ART_TCP_N_CROWD] = "too many strangers at once",
	[ART_TCP_N_LEFT] = "it closed during the handshake",
};

void art__tcp_refuse(struct art_tcp *t, struct art_tcp_conn *c, enum art_tcp_count why)
{
	char who[ART_TCP_ADDR_TEXT];

	assert(reasons[why]);
	t->n[why]++;
	if (t->logged & 1u << why)
		return;
	t->logged |= 1u << why;
	art__tcp_print(&c->from, who);
	/* A rank that gives up a dial because both dialled leaves too. */
	enum art_log_level level = why == ART_TCP_N_LEFT ? ART_LOG_DEBUG : ART_LOG_INFO;
	art__env_log(t->env, level, "connection with %s refused: %s (logged once)", who,
		     reasons[why]);
}

static void put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void put_prefix(uint8_t *p, int type)
{
	const uint8_t prefix[PREFIX] = { 'A', 'R', 'T', 'h', VERSION, (uint8_t)type, 0, 0 };

	memcpy(p, prefix, PREFIX);
}

static void put_words(struct art_tcp *t, uint8_t *p, int type, int to)
{
	put_prefix(p, type);
	put(p + 8, t->self.channel, 4);
	put(p + 12, (uint64_t)t->self.slot, 4);
	put(p + 16, (uint64_t)to, 4);
	put(p + 20, t->self.job, 8);
	put(p + 28, t->self.incarnation, 8);
	/* Not env->random: that one may be reproducible. */
	randombytes_buf(p + NONCE_AT, NONCE_BYTES);
}

static struct words get_words(const uint8_t *p)
{
	return (struct words){
		.channel = (uint32_t)get(p + 8, 4),
		.from = (uint32_t)get(p + 12, 4),
		.to = (uint32_t)get(p + 16, 4),
		.job = get(p + 20, 8),
		.incarnation = get(p + 28, 8),
	};
}

static void make_proof(const struct art_tcp *t, const struct art_tcp_conn *c, int role,
		       uint8_t mac[ART_TCP_MAC_BYTES])
{
	uint8_t said[1 + sizeof(c->script)];

	said[0] = (uint8_t)role;
	memcpy(said + 1, c->script, sizeof(c->script));
	int r = crypto_generichash(mac, ART_TCP_MAC_BYTES, said, sizeof(said), t->self.key,
				   ART_TP_KEY_BYTES);
	assert(r == 0);
	(void)r;
}

static bool proof_good(const struct art_tcp *t, const struct art_tcp_conn *c, int role,
		       const uint8_t *mac)
{
	uint8_t want[ART_TCP_MAC_BYTES];

	make_proof(t, c, role, want);
	return sodium_memcmp(want, mac, sizeof(want)) == 0;
}

int art__tcp_hello_flush(struct art_tcp *t, struct art_tcp_conn *c)
{
	while (c->out_at < c->out_len) {
		struct iovec v = { c->out + c->out_at, c->out_len - c->out_at };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
		ssize_t n = t->sys.sendmsg(t->sys.self, c->fd, &m, MSG_NOSIGNAL);
		t->n[ART_TCP_N_SENDMSG]++;
		if (n >= 0)
			c->out_at += (size_t)n;
		else if (art__tcp_later(errno))
			return 0;
		else if (errno != EINTR)
			return -1;
	}
	return 1;
}

static void lost(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (c->state >= ART_TCP_HEARD)
		art__tcp_kill(t, c);
	else
		art__tcp_retry(t, c);
}

static void refuse(struct art_tcp *t, struct art_tcp_conn *c, enum art_tcp_count why)
{
	art__tcp_refuse(t, c, why);
	lost(t, c);
}

/* Writes a new handshake message, as far as it goes, in state @next. */
static void say(struct art_tcp *t, struct art_tcp_conn *c, size_t len, enum art_tcp_state next)
{
	assert(c->out_at == c->out_len && len <= sizeof(c->out));
	c->out_at = 0;
	c->out_len = len;
	c->in_len = 0;
	art__tcp_set_state(t, c, next);
	if (art__tcp_hello_flush(t, c) < 0 || !art__tcp_watch(t, c))
		lost(t, c);
}

void art__tcp_hello_start(struct art_tcp *t, struct art_tcp_conn *c)
{
	c->out_at = c->out_len = 0;
	c->deadline_ns = art__env_now(t->env) + ART_TCP_HELLO_NS;
	put_words(t, c->out, HELLO, c->peer);
	memcpy(c->script, c->out, ART_TCP_HELLO_BYTES);
	say(t, c, ART_TCP_HELLO_BYTES, ART_TCP_HELLO);
}

void art__tcp_hello_welcome(struct art_tcp *t, struct art_tcp_conn *c)
{
	(void)t;
	assert(c->out_at == c->out_len);
	put_prefix(c->out, WELCOME);
	c->out_at = 0;
	c->out_len = ART_TCP_WELCOME_BYTES;
}

/* What is wrong with the words of a stranger, or ART_TCP_N_LAST. */
static enum art_tcp_count check_words(const struct art_tcp *t, const struct words *w)
{
	if (w->job != t->self.job)
		return ART_TCP_N_JOB;
	if (w->channel != t->self.channel)
		return ART_TCP_N_CHANNEL;
	if (w->to != (uint32_t)t->self.slot || w->from == (uint32_t)t->self.slot ||
	    w->from >= (uint32_t)t->self.size)
		return ART_TCP_N_SLOT;
	if (t->peer[w->from].dropped)
		return ART_TCP_N_DROPPED;
	if (w->incarnation < t->peer[w->from].incarnation)
		return ART_TCP_N_STALE;
	return ART_TCP_N_LAST;
}

static void on_hello(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct words w = get_words(c->in);
	enum art_tcp_count wrong = check_words(t, &w);

	if (wrong != ART_TCP_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->peer = (int)w.from;
	c->incarnation = w.incarnation;
	put_words(t, c->out, CHALLENGE, c->peer);
	memcpy(c->script, c->in, ART_TCP_HELLO_BYTES);
	memcpy(c->script + ART_TCP_HELLO_BYTES, c->out, ART_TCP_HELLO_BYTES);
	make_proof(t, c, CHALLENGE, c->out + ART_TCP_HELLO_BYTES);
	say(t, c, ART_TCP_CHALLENGE_BYTES, ART_TCP_ASKED);
}

static void on_challenge(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct words w = get_words(c->in);
	enum art_tcp_count wrong = check_words(t, &w);

	if (wrong == ART_TCP_N_LAST && w.from != (uint32_t)c->peer)
		wrong = ART_TCP_N_SLOT;
	memcpy(c->script + ART_TCP_HELLO_BYTES, c->in, ART_TCP_HELLO_BYTES);
	if (wrong == ART_TCP_N_LAST &&
	    !proof_good(t, c, CHALLENGE, c->in + ART_TCP_HELLO_BYTES))
		wrong = ART_TCP_N_KEY;
	if (wrong != ART_TCP_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->incarnation = w.incarnation;
	put_prefix(c->out, PROOF);
	make_proof(t, c, PROOF, c->out + PREFIX);
	say(t, c, ART_TCP_PROOF_BYTES, ART_TCP_PROVE);
}

static void on_proof(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (!proof_good(t, c, PROOF, c->in + PREFIX)) {
		refuse(t, c, ART_TCP_N_KEY);
		return;
	}
	art__tcp_claim(t, c);
}

static const struct step {
	int type;
	size_t bytes;
	void (*on)(struct art_tcp *t, struct art_tcp_conn *c);
} steps[] = {
	[ART_TCP_HELLO] = { CHALLENGE, ART_TCP_CHALLENGE_BYTES, on_challenge },
	[ART_TCP_PROVE] = { WELCOME, ART_TCP_WELCOME_BYTES, art__tcp_welcomed },
	[ART_TCP_HEARD] = { HELLO, ART_TCP_HELLO_BYTES, on_hello },
	[ART_TCP_ASKED] = { PROOF, ART_TCP_PROOF_BYTES, on_proof },
};

/* Reads what is missing of the expected message and not a byte more. 1: whole, 0: not yet,
 * -1: the peer is gone. */
static int hear(struct art_tcp *t, struct art_tcp_conn *c, size_t bytes)
{
	while (c->in_len < bytes) {
		ssize_t n = t->sys.recv(t->sys.self, c->fd, c->in + c->in_len, bytes - c->in_len, 0);
		t->n[ART_TCP_N_RECV]++;
		if (n > 0)
			c->in_len += (size_t)n;
		else if (n < 0 && art__tcp_later(errno))
			return 0;
		else if (n == 0 || errno != EINTR)
			return -1;
	}
	return 1;
}

void art__tcp_hello_step(struct art_tcp *t, struct art_tcp_conn *c)
{
	const struct step *s = &steps[c->state];
	uint8_t prefix[PREFIX];

	assert(c->state >= ART_TCP_HELLO && c->state <= ART_TCP_ASKED);
	if (art__tcp_hello_flush(t, c) < 0) {
		lost(t, c);
		return;
	}
	int r = hear(t, c, s->bytes);
	put_prefix(prefix, s->type);
	if (memcmp(c->in, prefix, c->in_len < PREFIX ? c->in_len : PREFIX) != 0)
		refuse(t, c, ART_TCP_N_GARBAGE);
	else if (r < 0)
		refuse(t, c, ART_TCP_N_LEFT);
	else if (r > 0 && c->out_at == c->out_len)
		s->on(t, c);
	else if (r > 0)
		refuse(t, c, ART_TCP_N_GARBAGE); /* answered what we have not said yet */
	else if (!art__tcp_watch(t, c))
		lost(t, c);
}
