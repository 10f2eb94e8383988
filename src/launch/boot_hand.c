/* SPDX-License-Identifier: MIT
 *
 * The bootstrap of a rank that was started by hand, and what the ranks but 0 do in it:
 *
 *   dial --HELLO--> asked --PROOF--> proven --WELCOME--> (art_init goes on) --CARD--> wait for TABLE
 *     ^----- nobody there yet, or cut off before WELCOME -----|
 *
 * Until WELCOME everything is tried again, since rank 0 may begin late or be busy with strangers; an
 * answer that cannot become right (another key, another size) ends it at once, in words.
 */
#include "launch/boot_hand.h"

#include <art/status.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AGAIN 1
#define PAUSE_MS 50
#define ATTEMPT_NS (5 * ART_NS_PER_S)
/* Rank 0 may have begun to wait later than we, and says so itself when it gives up. */
#define GRACE_NS (5 * ART_NS_PER_S)

uint64_t art__hand_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * ART_NS_PER_S + (uint64_t)t.tv_nsec;
}

int art__hand_ms_until(uint64_t ns)
{
	uint64_t now = art__hand_now(), ms;

	if (ns <= now)
		return 0;
	ms = (ns - now) / ART_NS_PER_MS + 1;
	return ms > 1000 ? 1000 : (int)ms; /* everybody looks at the time afterwards */
}

int art__hand_fill(int fd, uint8_t *b, size_t *have, size_t need)
{
	while (*have < need) {
		ssize_t n = recv(fd, b + *have, need - *have, MSG_DONTWAIT);

		if (n > 0)
			*have += (size_t)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
	}
	return 1;
}

/* True: @fd has what was asked for (or is broken); false: the time is over. */
static bool await(int fd, short events, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, art__hand_ms_until(until_ns));

		if (n > 0)
			return true;
		if ((n == 0 || errno == EINTR) && art__hand_now() < until_ns)
			continue;
		return false;
	}
}

/* As art__hand_fill, but waits. */
static int read_whole(int fd, uint8_t *b, size_t *have, size_t need, uint64_t until_ns)
{
	int r = art__hand_fill(fd, b, have, need);

	while (r == 0) {
		if (!await(fd, POLLIN, until_ns))
			return 0;
		r = art__hand_fill(fd, b, have, need);
	}
	return r;
}

static bool write_whole(int fd, const uint8_t *b, size_t len, uint64_t until_ns)
{
	while (len > 0) {
		ssize_t n = send(fd, b, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			b += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!await(fd, POLLOUT, until_ns))
				return false;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

static int again(struct art_hand *h, const char *why)
{
	h->last = why;
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	return AGAIN;
}

/* A port of ours that happens to be that of rank 0, before rank 0 listens on it: TCP connects a
 * socket to itself. */
static bool is_self(int fd)
{
	struct sockaddr_storage a, b;
	socklen_t na = sizeof(a), nb = sizeof(b);

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	return getsockname(fd, (struct sockaddr *)&a, &na) == 0 &&
	       getpeername(fd, (struct sockaddr *)&b, &nb) == 0 && na == nb &&
	       memcmp(&a, &b, na) == 0;
}

static int dial(struct art_hand *h, uint64_t until_ns)
{
	int one = 1, err = 0;
	socklen_t len = sizeof(err);

	h->fd = socket(h->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->fd < 0)
		return again(h, strerror(errno));
	if (connect(h->fd, (struct sockaddr *)&h->at, h->at_len) && errno != EINPROGRESS)
		return again(h, strerror(errno));
	if (!await(h->fd, POLLOUT, until_ns))
		return again(h, "no connection comes about");
	if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &len) || err)
		return again(h, strerror(err));
	if (is_self(h->fd))
		return again(h, "nobody listens");
	setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

/* What came from rank 0 is not what must come: says what that means, for good. */
static int refuse(struct art_boot *b, const struct art_hand *h, enum art_hand_check c)
{
	switch (c) {
	case ART_HAND_VERSION:
		return art__boot_fail(b, ART_ERR_TRANSPORT, "rank 0 at ART_ROOT=%s is of another "
				      "release of ART", h->root);
	case ART_HAND_KEY:
		return art__boot_fail(b, ART_ERR_TRANSPORT, "rank 0 at ART_ROOT=%s has another key "
				      "than ART_KEY_FILE=%s", h->root, h->key_file);
	default:
		return art__boot_fail(b, ART_ERR_TRANSPORT, "what answers at ART_ROOT=%s is no rank 0 "
				      "of an ART job", h->root);
	}
}

/* One message of @need bytes in answer to @ask. 0, AGAIN, or negative. */
static int ask(struct art_boot *b, struct art_hand *h, const uint8_t *question, size_t len,
	       uint8_t *answer, size_t need, enum art_hand_kind kind, uint64_t until_ns)
{
	size_t have = 0;
	enum art_hand_check c;
	int r;

	if (!write_whole(h->fd, question, len, until_ns))
		return again(h, "the connection broke");
	r = read_whole(h->fd, answer, &have, need, until_ns);
	c = art__hand_prefix_check(answer, have, kind);
	if (c != ART_HAND_OK)
		return refuse(b, h, c);
	if (r <= 0)
		return again(h, r ? "it closed the connection" : "it says nothing");
	return 0;
}

static int prove(struct art_boot *b, struct art_hand *h, uint64_t until_ns)
{
	uint8_t hello[ART_HAND_HELLO], challenge[ART_HAND_CHALLENGE], nonce[16];
	enum art_hand_check c;
	int r;

	if (art__boot_random(nonce, sizeof(nonce)))
		return art__boot_fail(b, ART_ERR_INTERNAL, "the system gives no random numbers");
	art__hand_hello_put(hello, b->rank, b->size, nonce);
	r = ask(b, h, hello, sizeof(hello), challenge, sizeof(challenge), ART_HAND_K_CHALLENGE,
		until_ns);
	if (r)
		return r;
	c = art__hand_challenge_get(challenge, h->key, hello, h->nonce, &h->session);
	return c == ART_HAND_OK ? 0 : refuse(b, h, c);
}

static int be_welcomed(struct art_boot *b, struct art_hand *h, uint64_t until_ns)
{
	uint8_t proof[ART_HAND_PROOF], welcome[ART_HAND_WELCOME];
	enum art_hand_verdict verdict = ART_HAND_GOOD;
	enum art_hand_check c;
	int size = 0, r;

	art__hand_proof_put(proof, &h->session);
	r = ask(b, h, proof, sizeof(proof), welcome, sizeof(welcome), ART_HAND_K_WELCOME, until_ns);
	if (r)
		return r;
	c = art__hand_welcome_get(welcome, &h->session, &verdict, &size);
	if (c != ART_HAND_OK)
		return refuse(b, h, c);
	if (verdict == ART_HAND_SIZE)
		return art__boot_fail(b, ART_ERR_ARG, "ART_SIZE is %d at rank %d and %d at rank 0",
				      b->size, b->rank, size);
	if (verdict == ART_HAND_TAKEN)
		return art__boot_fail(b, ART_ERR_ARG, "ART_RANK=%d is taken: another process with it "
				      "has come before", b->rank);
	return 0;
}

static int attempt(struct art_boot *b, struct art_hand *h)
{
	uint64_t until_ns = art__hand_now() + ATTEMPT_NS;
	int r;

	if (until_ns > h->deadline_ns)
		until_ns = h->deadline_ns;
	r = dial(h, until_ns);
	if (!r)
		r = prove(b, h, until_ns);
	return r ? r : be_welcomed(b, h, until_ns);
}

static int join(struct art_boot *b, struct art_hand *h)
{
	for (;;) {
		int r = attempt(b, h);

		if (r <= 0)
			return r;
		if (art__hand_now() >= h->deadline_ns)
			return art__boot_fail(b, ART_ERR_TRANSPORT, "rank 0 has not come to "
					      "ART_ROOT=%s within %g s (%s)", h->root,
					      (double)b->wait_ns / 1e9, h->last);
		poll(NULL, 0, PAUSE_MS);
	}
}

static void hand_close(struct art_boot *b)
{
	struct art_hand *h = b->own;

	if (!h)
		return;
	if (h->fd >= 0)
		close(h->fd);
	explicit_bzero(h, sizeof(*h));
	free(h);
	b->own = NULL;
}

static int hand_open(struct art_boot *b)
{
	struct art_hand *h = calloc(1, sizeof(*h));
	int err;

	b->own = h;
	if (!h)
		return art__boot_fail(b, ART_ERR_NOMEM, "out of memory");
	h->fd = -1;
	h->last = "";
	if (sodium_init() < 0)
		return art__boot_fail(b, ART_ERR_INTERNAL, "libsodium cannot be used");
	err = art__hand_variables(b, h);
	if (err)
		return err;
	h->deadline_ns = art__hand_now() + b->wait_ns;
	err = b->rank == 0 ? art__hand_root_open(b, h) : join(b, h);
	if (err)
		return err;
	art__hand_job(h->key, h->nonce, &b->job, b->key);
	h->deadline_ns = art__hand_now() + b->wait_ns + (b->rank == 0 ? 0 : GRACE_NS);
	return 0;
}

/* TABLE or FAILED, into @t, which has room for either. */
static int take_table(struct art_boot *b, struct art_hand *h, uint8_t *t, struct art_boot_card *all)
{
	size_t have = 0, need = ART_HAND_TABLE(b->size);
	char text[ART_HAND_TEXT];
	enum art_hand_check c;
	int r = read_whole(h->fd, t, &have, ART_HAND_PREFIX, h->deadline_ns);
	bool failed = r > 0 && art__hand_prefix_check(t, have, ART_HAND_K_FAILED) == ART_HAND_OK;

	if (r > 0)
		r = read_whole(h->fd, t, &have, failed ? ART_HAND_FAILED : need, h->deadline_ns);
	if (r == 0)
		return art__boot_fail(b, ART_ERR_TRANSPORT, "rank 0 at ART_ROOT=%s does not say who "
				      "the others are", h->root);
	if (r < 0)
		return art__boot_fail(b, ART_ERR_PROC_FAILED, "rank 0 ended before all ranks had "
				      "come");
	c = failed ? art__hand_failed_get(t, &h->session, text) :
		     art__hand_table_get(t, &h->session, all, b->size);
	if (c != ART_HAND_OK)
		return refuse(b, h, c);
	return failed ? art__boot_fail(b, ART_ERR_PROC_FAILED, "%s", text) : 0;
}

static int meet(struct art_boot *b, struct art_hand *h, const struct art_hand_member *mine,
		struct art_boot_card *all)
{
	size_t room = ART_HAND_TABLE(b->size);
	uint8_t card[ART_HAND_CARD], *t = malloc(room < ART_HAND_FAILED ? ART_HAND_FAILED : room);
	int err;

	if (!t)
		return art__boot_fail(b, ART_ERR_NOMEM, "out of memory");
	art__hand_card_put(card, &h->session, mine);
	/* A write that fails says less than what rank 0 may have sent before. */
	write_whole(h->fd, card, sizeof(card), h->deadline_ns);
	err = take_table(b, h, t, all);
	free(t);
	return err;
}

static int hand_exchange(struct art_boot *b, const struct art_boot_card *mine,
			 struct art_boot_card *all)
{
	struct art_hand *h = b->own;
	struct art_hand_member me = { .card = *mine };
	int err;

	art__host_id_read(&me.id);
	err = b->rank == 0 ? art__hand_root_exchange(b, h, &me, all) : meet(b, h, &me, all);
	hand_close(b);
	return err;
}

const struct art_boot_ops art__boot_hand = {
	.present = art__hand_wanted, .open = hand_open, .exchange = hand_exchange,
	.close = hand_close,
};
