/* SPDX-License-Identifier: MIT
 *
 * The handshake's four messages: what they say, how they are checked, and that nothing else of a
 * stranger is looked at. Which connection survives is decided in tcp_conn.c.
 *
 *   dialler  -> hello      prefix | channel from to | job incarnation | nonce ephemeral | MAC(job)
 *   acceptor -> challenge  the same words of its own                                    | MAC
 *   dialler  -> proof      prefix                                                       | MAC
 *   acceptor -> welcome    prefix                                                       | MAC
 *   prefix = "ARTh", version of the handshake, type, security level, version of what is carried
 *
 * The hello's MAC is keyed with the job key, so that strangers cost no public-key operation. The
 * others are keyed with what both sides make of the job key, the two ephemerals and the words of
 * both (tcp_secure.c): they cover versions, level, channel, job, slots, incarnations and nonces,
 * and a byte for the role keeps one side's MAC from being sent back as the other's.
 *
 * The prefix alone is believed, for a word in the log: a rank of another version or level is told
 * so with a prefix of type REFUSED.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "transport/words.h"

enum { HELLO = 1, CHALLENGE, PROOF, WELCOME, REFUSED };

#define VERSION 2
#define PREFIX 8
#define MAGIC "ARTh"
#define MAGIC_BYTES 4
#define EPHEMERAL_AT (PREFIX + ART_TP_WORDS_BYTES)

_Static_assert(EPHEMERAL_AT + ART_TCP_SECRET_BYTES == ART_TCP_WORDS_BYTES, "words");
_Static_assert(PREFIX + ART_TCP_MAC_BYTES == ART_TCP_PROOF_BYTES, "proof");
_Static_assert(ART_TCP_HELLO_BYTES + ART_TCP_PROOF_BYTES <= 128, "little is read of a stranger");

static const char *const reasons[ART_TCP_N_LAST] = {
	[ART_TCP_N_GARBAGE] = "it does not speak our handshake",
	[ART_TCP_N_VERSION] = "it is of another version of ART",
	[ART_TCP_N_SECURITY] = "its ART_SECURITY is another",
	[ART_TCP_N_CHANNEL] = "it is of another channel",
	[ART_TCP_N_JOB] = "it is of another job",
	[ART_TCP_N_SLOT] = "it claims or wants a wrong slot",
	[ART_TCP_N_DROPPED] = "its slot was dropped",
	[ART_TCP_N_STALE] = "it is of an older incarnation",
	[ART_TCP_N_KEY] = "it does not know the job key",
	[ART_TCP_N_SLOW] = "no complete handshake came in time",
	[ART_TCP_N_CROWD] = "too many strangers at once",
	[ART_TCP_N_ACCEPT_FAIL] = "there is no memory for it",
	[ART_TCP_N_FORGED] = "a message on it was altered, or is not the peer's",
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
	if (why == ART_TCP_N_VERSION || why == ART_TCP_N_SECURITY || why == ART_TCP_N_FORGED)
		level = ART_LOG_WARN; /* most likely somebody's mistake */
	art__env_log(t->env, level, "connection with %s refused: %s (logged once)", who,
		     reasons[why]);
}

static void put_prefix(const struct art_tcp *t, uint8_t *p, int type)
{
	memcpy(p, MAGIC, MAGIC_BYTES);
	p[4] = VERSION;
	p[5] = (uint8_t)type;
	p[6] = (uint8_t)t->security;
	p[7] = t->self.version;
}

static void put_words(struct art_tcp *t, struct art_tcp_conn *c, int type)
{
	uint8_t *p = c->out;

	put_prefix(t, p, type);
	art__words_put(p + PREFIX, &t->self, c->peer);
	memcpy(p + EPHEMERAL_AT, t->public, ART_TCP_SECRET_BYTES);
}

/* Shows that the dialler knows the job key, before anything costly is done for it. */
static void hello_mac(const struct art_tcp *t, const uint8_t *words, uint8_t mac[ART_TCP_MAC_BYTES])
{
	crypto_generichash(mac, ART_TCP_MAC_BYTES, words, ART_TCP_WORDS_BYTES, t->self.key,
			   ART_TP_KEY_BYTES);
}

static bool confirmed(const struct art_tcp_conn *c, int role, const uint8_t *mac)
{
	uint8_t want[ART_TCP_MAC_BYTES];

	art__tcp_confirm(c, role, want);
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
	put_words(t, c, HELLO);
	memcpy(c->script, c->out, ART_TCP_WORDS_BYTES);
	hello_mac(t, c->out, c->out + ART_TCP_WORDS_BYTES);
	say(t, c, ART_TCP_HELLO_BYTES, ART_TCP_HELLO);
}

void art__tcp_hello_welcome(struct art_tcp *t, struct art_tcp_conn *c)
{
	assert(c->out_at == c->out_len);
	put_prefix(t, c->out, WELCOME);
	art__tcp_confirm(c, WELCOME, c->out + PREFIX);
	c->out_at = 0;
	c->out_len = ART_TCP_PROOF_BYTES;
}

/* What is wrong with the words of a stranger, or ART_TCP_N_LAST. */
static enum art_tcp_count check_words(const struct art_tcp *t, const struct art_tp_words *w)
{
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

static enum art_tcp_count check_hello(const struct art_tcp *t, const struct art_tcp_conn *c,
				      const struct art_tp_words *w)
{
	uint8_t want[ART_TCP_MAC_BYTES];

	if (w->job != t->self.job)
		return ART_TCP_N_JOB;
	hello_mac(t, c->in, want);
	if (sodium_memcmp(want, c->in + ART_TCP_WORDS_BYTES, sizeof(want)) != 0)
		return ART_TCP_N_KEY;
	return check_words(t, w);
}

static void on_hello(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tp_words w = art__words_get(c->in + PREFIX);
	enum art_tcp_count wrong = check_hello(t, c, &w);

	if (wrong != ART_TCP_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->peer = (int)w.from;
	c->incarnation = w.incarnation;
	put_words(t, c, CHALLENGE);
	memcpy(c->script, c->in, ART_TCP_WORDS_BYTES);
	memcpy(c->script + ART_TCP_WORDS_BYTES, c->out, ART_TCP_WORDS_BYTES);
	if (!art__tcp_agree(t, c, false, c->in + EPHEMERAL_AT)) {
		refuse(t, c, ART_TCP_N_KEY);
		return;
	}
	art__tcp_confirm(c, CHALLENGE, c->out + ART_TCP_WORDS_BYTES);
	say(t, c, ART_TCP_HELLO_BYTES, ART_TCP_ASKED);
}

static void on_challenge(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tp_words w = art__words_get(c->in + PREFIX);
	enum art_tcp_count wrong = ART_TCP_N_LAST;

	memcpy(c->script + ART_TCP_WORDS_BYTES, c->in, ART_TCP_WORDS_BYTES);
	if (w.job != t->self.job)
		wrong = ART_TCP_N_JOB;
	else if (!art__tcp_agree(t, c, true, c->in + EPHEMERAL_AT) ||
		 !confirmed(c, CHALLENGE, c->in + ART_TCP_WORDS_BYTES))
		wrong = ART_TCP_N_KEY;
	else
		wrong = check_words(t, &w);
	if (wrong == ART_TCP_N_LAST && w.from != (uint32_t)c->peer)
		wrong = ART_TCP_N_SLOT;
	if (wrong != ART_TCP_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->incarnation = w.incarnation;
	put_prefix(t, c->out, PROOF);
	art__tcp_confirm(c, PROOF, c->out + PREFIX);
	say(t, c, ART_TCP_PROOF_BYTES, ART_TCP_PROVE);
}

static void on_proof(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (confirmed(c, PROOF, c->in + PREFIX))
		art__tcp_claim(t, c);
	else
		refuse(t, c, ART_TCP_N_KEY);
}

static void on_welcome(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (confirmed(c, WELCOME, c->in + PREFIX))
		art__tcp_welcomed(t, c);
	else
		refuse(t, c, ART_TCP_N_KEY);
}

static const struct step {
	int type;
	size_t bytes;
	void (*on)(struct art_tcp *t, struct art_tcp_conn *c);
} steps[] = {
	[ART_TCP_HELLO] = { CHALLENGE, ART_TCP_HELLO_BYTES, on_challenge },
	[ART_TCP_PROVE] = { WELCOME, ART_TCP_PROOF_BYTES, on_welcome },
	[ART_TCP_HEARD] = { HELLO, ART_TCP_HELLO_BYTES, on_hello },
	[ART_TCP_ASKED] = { PROOF, ART_TCP_PROOF_BYTES, on_proof },
};

/* What is wrong with as much of a prefix as has come, or ART_TCP_N_LAST. */
static enum art_tcp_count check_prefix(const struct art_tcp *t, const struct art_tcp_conn *c,
				       int type)
{
	size_t have = c->in_len < MAGIC_BYTES ? c->in_len : MAGIC_BYTES;

	if (memcmp(c->in, MAGIC, have) != 0)
		return ART_TCP_N_GARBAGE;
	if (c->in_len < PREFIX)
		return ART_TCP_N_LAST;
	if (c->in[4] != VERSION || c->in[7] != t->self.version)
		return ART_TCP_N_VERSION;
	if (c->in[6] != (uint8_t)t->security)
		return ART_TCP_N_SECURITY;
	return c->in[5] == type ? ART_TCP_N_LAST : ART_TCP_N_GARBAGE;
}

/* Says why, as far as one call goes: the rank at the other end may be a well-meaning one. */
static void explain(struct art_tcp *t, struct art_tcp_conn *c)
{
	uint8_t prefix[PREFIX];
	struct iovec v = { prefix, sizeof(prefix) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	put_prefix(t, prefix, REFUSED);
	(void)t->sys.sendmsg(t->sys.self, c->fd, &m, MSG_NOSIGNAL);
}

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
	enum art_tcp_count wrong;

	assert(c->state >= ART_TCP_HELLO && c->state <= ART_TCP_ASKED);
	if (art__tcp_hello_flush(t, c) < 0) {
		lost(t, c);
		return;
	}
	int r = hear(t, c, s->bytes);
	wrong = check_prefix(t, c, s->type);
	if (wrong == ART_TCP_N_LAST && r < 0)
		wrong = ART_TCP_N_LEFT;
	if (wrong == ART_TCP_N_LAST && r > 0 && c->out_at < c->out_len)
		wrong = ART_TCP_N_GARBAGE; /* answered what we have not said yet */
	if (c->state == ART_TCP_HEARD &&
	    (wrong == ART_TCP_N_VERSION || wrong == ART_TCP_N_SECURITY))
		explain(t, c);
	if (wrong != ART_TCP_N_LAST)
		refuse(t, c, wrong);
	else if (r > 0)
		s->on(t, c);
	else if (!art__tcp_watch(t, c))
		lost(t, c);
}
