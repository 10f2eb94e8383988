/* SPDX-License-Identifier: MIT
 *
 * Description: whatever is said in a handshake, to the side that accepted or to the side that
 * dialled: no connection comes up without the right proof, at most 128 bytes are read before it,
 * no message is delivered that was not sealed with its keys, and nothing is left behind.
 *
 * An input is a byte of flags, then what is said. To get past the first check of each kind, flags
 * have the harness put right what the input would get wrong:
 *     1 dialled  2 right prefix  4 right words  8 right MAC  16 right proof or welcome  32 in pieces
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/conformance/attacker.h"
#include "tests/fuzz/fuzz.h"

enum { DIALLED = 1, PREFIX = 2, WORDS_RIGHT = 4, MAC_RIGHT = 8, PROOF_RIGHT = 16, PIECES = 32 };

struct bench {
	struct art_env env;
	struct art_tp *tp;
	int theirs;  /* the other end of the connection being dialled */
	bool up, down;
	int peer; /* that was up last */
	size_t heard; /* bytes read before up() */
};

static uint64_t now(void *self)
{
	(void)self;
	return 1; /* nothing is ever late */
}

static void *get(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes ? bytes : 1);
}

static void give_back(void *self, void *p)
{
	(void)self;
	free(p);
}

static void no_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	(void)line;
}

static int64_t body_len(void *self, const uint8_t *head)
{
	(void)self;
	return head[0];
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	(void)self;
	(void)peer;
	(void)head;
	(void)body;
	(void)len;
	REQUIRE(!"a message that nobody has sealed");
}

static void on_room(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static void on_up(void *self, int peer)
{
	struct bench *b = self;

	REQUIRE(peer > 0 && peer < 3 && !b->up); /* who has the key may be any rank but this one */
	b->up = true;
	b->peer = peer;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct bench *b = self;

	(void)why;
	REQUIRE(peer == 2 || peer == b->peer); /* 2 is dialled, and may not be reached */
	b->up = false;
	b->down = true;
}

static ssize_t counted_recv(void *self, int fd, void *buf, size_t len, int flags)
{
	struct bench *b = self;
	ssize_t n = recv(fd, buf, len, flags);

	if (n > 0 && !b->up && !(flags & MSG_PEEK))
		b->heard += (size_t)n;
	return n;
}

static void make_pair(int fd[2])
{
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
}

/* The socket becomes one end of a pair; the other is ours. */
static int pair_connect(void *self, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct bench *b = self;
	int pair[2];

	(void)sa;
	(void)len;
	make_pair(pair);
	REQUIRE(dup3(pair[0], fd, O_CLOEXEC) == fd);
	close(pair[0]);
	if (b->theirs >= 0)
		close(b->theirs);
	b->theirs = pair[1];
	return 0;
}

static int offered; /* what accept() gives next, -1: nothing */

static int pair_accept(void *self, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int got = offered;

	(void)self;
	(void)fd;
	(void)sa;
	(void)len;
	(void)flags;
	offered = -1;
	errno = EAGAIN;
	return got;
}

static struct bench *the_bench(void)
{
	static struct bench b;
	struct art_tp_self self = { .slot = 0, .size = 3, .job = CONF_JOB,
				    .incarnation = CONF_INCARNATION };
	struct art_tp_opts opts = { .security = ART_TP_MAC };
	struct art_tp_up up = { &b, body_len, on_message, on_room, on_up, on_down, NULL, NULL, NULL };
	char addr[ART_TP_ADDR_MAX];

	if (b.tp)
		return &b;
	b.env = (struct art_env){ .now_ns = now, .alloc = get, .free = give_back, .log = no_log };
	b.theirs = offered = -1;
	memset(self.key, CONF_KEY_BYTE, sizeof(self.key));
	REQUIRE(art__tcp_ops.open(&b.env, &self, &opts, &up, &b.tp) == 0);
	REQUIRE(b.tp->ops->listen(b.tp, addr) == 0);
	REQUIRE(b.tp->ops->peer(b.tp, 2, "127.0.0.1:9") == 0);
	struct art_tcp_sys *sys = art__tcp_sys(b.tp);
	sys->self = &b;
	sys->recv = counted_recv;
	sys->accept = pair_accept;
	sys->connect = pair_connect;
	return &b;
}

static void turn(struct bench *b)
{
	for (int i = 0; i < 4; i++)
		b->tp->ops->poll(b->tp, 16);
}

static void speak(struct bench *b, int fd, const uint8_t *p, size_t len, unsigned flags)
{
	size_t half = flags & PIECES ? len / 3 : len;

	(void)!send(fd, p, half, MSG_NOSIGNAL);
	turn(b);
	if (half < len)
		(void)!send(fd, p + half, len - half, MSG_NOSIGNAL);
	turn(b);
}

/* What is said first in place of @w: the input's bytes, put right as the flags say. */
static void first_words(struct raw *r, uint8_t out[HELLO], const struct words *w, unsigned flags,
			const uint8_t *data, size_t size)
{
	uint8_t right[HELLO];

	put_words(r, right, w);
	memcpy(out, right, HELLO);
	if (!(flags & WORDS_RIGHT))
		memcpy(out, data, size < WORDS ? size : WORDS);
	if (flags & PREFIX)
		memcpy(out, right, 8);
	if (size > WORDS)
		memcpy(out + WORDS, data + WORDS, (size < HELLO ? size : HELLO) - WORDS);
}

/* The last word of the handshake, and what is said behind it. */
static void last_words(struct bench *b, const struct raw *r, int fd, uint8_t type, unsigned flags,
		       const uint8_t *data, size_t size)
{
	uint8_t out[PROOF + ART_TP_HEAD + 16] = { 0 };
	size_t len = PROOF + (size < ART_TP_HEAD ? size : ART_TP_HEAD);

	put_prefix(out, &good, type);
	if (size)
		memcpy(out + PROOF, data, len - PROOF);
	if (flags & PROOF_RIGHT)
		confirm(r, type, out + 8);
	else if (size)
		memcpy(out + 8, data, size < 16 ? size : 16);
	/* A dialler that goes on before its welcome is refused, so it waits for it. */
	speak(b, fd, out, PROOF, flags);
	if (len > PROOF)
		speak(b, fd, out + PROOF, len - PROOF, flags);
}

static void to_acceptor(struct bench *b, unsigned flags, const uint8_t *data, size_t size)
{
	struct raw r = { .dialled = true };
	int pair[2];

	make_pair(pair);
	offered = pair[0];
	art__tcp_accept((struct art_tcp *)b->tp, pair[0]);
	REQUIRE(offered == -1);
	first_words(&r, r.hello, &good, flags, data, size);
	if (flags & MAC_RIGHT)
		hello_mac(r.hello, CONF_KEY_BYTE);
	speak(b, pair[1], r.hello, HELLO, flags);
	if (recv(pair[1], r.challenge, HELLO, 0) == HELLO) {
		agree(&r, CONF_KEY_BYTE);
		last_words(b, &r, pair[1], T_PROOF, flags, data, size);
	}
	close(pair[1]);
}

static void to_dialler(struct bench *b, unsigned flags, const uint8_t *data, size_t size)
{
	struct words w = good;
	struct raw r = { 0 };

	w.type = T_CHALLENGE;
	REQUIRE(b->tp->ops->connect(b->tp, 2) == 0);
	REQUIRE(recv(b->theirs, r.hello, HELLO, 0) == HELLO);
	first_words(&r, r.challenge, &w, flags, data, size);
	agree(&r, CONF_KEY_BYTE);
	if (flags & MAC_RIGHT)
		confirm(&r, T_CHALLENGE, r.challenge + WORDS);
	speak(b, b->theirs, r.challenge, HELLO, flags);
	if (recv(b->theirs, r.proof, PROOF, 0) == PROOF)
		last_words(b, &r, b->theirs, T_WELCOME, flags, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench *b = the_bench();
	const struct art_tcp *t = (const struct art_tcp *)b->tp;
	unsigned flags = size ? data[0] : 0;
	uint64_t ups = t->n[ART_TCP_N_UP];

	b->up = b->down = false;
	b->heard = 0;
	data += size > 0;
	size -= size > 0;
	if (flags & DIALLED)
		to_dialler(b, flags, data, size);
	else
		to_acceptor(b, flags, data, size);
	turn(b);
	if (t->n[ART_TCP_N_UP] > ups)
		REQUIRE(flags & PROOF_RIGHT && flags & MAC_RIGHT);
	else
		REQUIRE(b->heard <= 128);
	b->tp->ops->reset(b->tp, 2);
	b->tp->ops->reset(b->tp, 1);
	turn(b);
	REQUIRE(t->n_pending == 0 && TAILQ_EMPTY(&t->ups) && TAILQ_EMPTY(&t->parked));
	REQUIRE(TAILQ_EMPTY(&t->dials) && t->queued == 0);
	return 0;
}

static void end(int corpus_files)
{
	struct bench *b = the_bench();

	/* Or the inputs would not get far. */
	REQUIRE(corpus_files == 0 || art__tcp_counters(b->tp)[ART_TCP_N_UP] > 0);
	b->tp->ops->close(b->tp);
}

const struct fuzz_target fuzz_target = { .name = "fuzz_hello", .end = end };
