/* SPDX-License-Identifier: MIT
 *
 * The handshake's four messages: what they say and how they are checked. Each is one packet of a
 * local socket. Which connection survives is decided in shm_conn.c.
 *
 *   dialler  -> hello      prefix | channel from to | job incarnation | nonce | MAC(its words)
 *   acceptor -> challenge  the same words of its own                          | MAC(both's words)
 *   dialler  -> proof      prefix                                             | MAC(both's words)
 *   acceptor -> welcome    prefix                                             | MAC(both's words)
 *   prefix = "ARTs", version of the handshake, type, 0, version of what is carried
 *
 * All MACs are keyed with the job key. Nobody sits between the two ends of a local socket, so
 * there are no keys to agree on; who listens under a rank's name without knowing the job key gets
 * no segment, as a dialler wants a challenge first. Proof and welcome carry two descriptors: the
 * sender's segment, and the eventfd that wakes it.
 */
#include "transport/shm/shm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/words.h"

enum { HELLO = 1, CHALLENGE, PROOF, WELCOME, REFUSED };

#define VERSION 1
#define PREFIX 8
#define MAGIC "ARTs"
#define MAGIC_BYTES 4

_Static_assert(PREFIX + ART_TP_WORDS_BYTES == ART_SHM_WORDS_BYTES, "words");
_Static_assert(PREFIX + ART_SHM_MAC_BYTES == ART_SHM_PROOF_BYTES, "proof");

static const char *const reasons[ART_SHM_N_LAST] = {
	[ART_SHM_N_USER] = "it is of another user",
	[ART_SHM_N_GARBAGE] = "it does not speak our handshake",
	[ART_SHM_N_VERSION] = "it is of another version of ART",
	[ART_SHM_N_CHANNEL] = "it is of another channel",
	[ART_SHM_N_JOB] = "it is of another job",
	[ART_SHM_N_SLOT] = "it claims or wants a wrong slot",
	[ART_SHM_N_DROPPED] = "its slot was dropped",
	[ART_SHM_N_STALE] = "it is of an older incarnation",
	[ART_SHM_N_KEY] = "it does not know the job key",
	[ART_SHM_N_SLOW] = "no complete handshake came in time",
	[ART_SHM_N_CROWD] = "too many strangers at once",
	[ART_SHM_N_SEGMENT] = "there is no shared memory for it",
	[ART_SHM_N_LEFT] = "it closed during the handshake",
};

void art__shm_count_refusal(struct art_shm *t, const struct art_shm_conn *c,
			    enum art_shm_count why)
{
	enum art_log_level level = ART_LOG_INFO;
	char who[24] = "a stranger";

	assert(reasons[why]);
	t->n[why]++;
	if (t->logged & 1u << why)
		return;
	t->logged |= 1u << why;
	if (why == ART_SHM_N_LEFT) /* also who gives up a dial because both dialled */
		level = ART_LOG_DEBUG;
	else if (why == ART_SHM_N_VERSION)
		level = ART_LOG_WARN;
	if (c->peer >= 0)
		snprintf(who, sizeof(who), "rank %d", c->peer);
	art__env_log(t->env, level, "shared memory with %s refused: %s (logged once)", who,
		     reasons[why]);
}

static void put_prefix(const struct art_shm *t, uint8_t *p, int type)
{
	memcpy(p, MAGIC, MAGIC_BYTES);
	p[4] = VERSION;
	p[5] = (uint8_t)type;
	p[6] = 0;
	p[7] = t->self.version;
}

static void put_words(struct art_shm *t, struct art_shm_conn *c, uint8_t *p, int type)
{
	put_prefix(t, p, type);
	art__words_put(p + PREFIX, &t->self, c->peer);
}

/* Over the first @len bytes of the script: the dialler's words, then the acceptor's. */
static void make_mac(const struct art_shm *t, const struct art_shm_conn *c, int type, size_t len,
		     uint8_t mac[ART_SHM_MAC_BYTES])
{
	crypto_generichash_state s;
	uint8_t role = (uint8_t)type;

	crypto_generichash_init(&s, t->self.key, ART_TP_KEY_BYTES, ART_SHM_MAC_BYTES);
	crypto_generichash_update(&s, &role, 1);
	crypto_generichash_update(&s, c->script, len);
	crypto_generichash_final(&s, mac, ART_SHM_MAC_BYTES);
	sodium_memzero(&s, sizeof(s));
}

static bool mac_is(const struct art_shm *t, const struct art_shm_conn *c, int type, size_t len,
		   const uint8_t *mac)
{
	uint8_t want[ART_SHM_MAC_BYTES];

	make_mac(t, c, type, len, want);
	return sodium_memcmp(want, mac, sizeof(want)) == 0;
}

/* ---- packets ---- */

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

/* @fds: two to go along, or NULL. */
static bool say(struct art_shm_conn *c, const uint8_t *p, size_t len, const int *fds)
{
	struct iovec v = {(void *)(uintptr_t)p, len};
	union control ctl;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t n;

	if (fds) {
		memset(&ctl, 0, sizeof(ctl));
		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, 2 * sizeof(int));
	}
	do {
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* All descriptors of a packet; those we have no use for are closed. */
static void take_fds(struct art_shm_conn *c, struct msghdr *m)
{
	int n = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t have = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < have; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (n < 2 && c->got[n] < 0)
				c->got[n++] = fd;
			else
				close(fd);
		}
	}
}

/* One packet. Its length, 0: not yet, -1: the peer is gone. Descriptors are taken from nobody
 * from whom none are expected: the system then drops them. */
static ssize_t hear(struct art_shm_conn *c, uint8_t *p, size_t size, bool with_fds)
{
	struct iovec v = {p, size};
	union control ctl;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t n;

	if (with_fds) {
		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
	}
	do {
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n >= 0 && with_fds)
		take_fds(c, &m);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	return n > 0 && !(m.msg_flags & MSG_TRUNC) ? n : -1;
}

static void lost(struct art_shm *t, struct art_shm_conn *c)
{
	if (c->state >= ART_SHM_HEARD)
		art__shm_kill(t, c);
	else
		art__shm_retry(t, c);
}

void art__shm_hello_refuse(struct art_shm *t, struct art_shm_conn *c)
{
	uint8_t prefix[PREFIX];

	put_prefix(t, prefix, REFUSED);
	(void)say(c, prefix, sizeof(prefix), NULL);
}

/* Who has proved itself or could be a well-meaning rank is told; it need not try again. */
static void refuse(struct art_shm *t, struct art_shm_conn *c, enum art_shm_count why)
{
	art__shm_count_refusal(t, c, why);
	if (c->state >= ART_SHM_HEARD) {
		art__shm_hello_refuse(t, c);
		art__shm_kill(t, c);
	} else {
		art__shm_refused(t, c);
	}
}

/* ---- steps ---- */

void art__shm_hello_start(struct art_shm *t, struct art_shm_conn *c)
{
	uint8_t p[ART_SHM_HELLO_BYTES];

	c->deadline_ns = art__env_now(t->env) + ART_SHM_HELLO_NS;
	put_words(t, c, p, HELLO);
	memcpy(c->script, p, ART_SHM_WORDS_BYTES);
	make_mac(t, c, HELLO, ART_SHM_WORDS_BYTES, p + ART_SHM_WORDS_BYTES);
	art__shm_set_state(t, c, ART_SHM_HELLO);
	if (!say(c, p, sizeof(p), NULL))
		lost(t, c);
}

/* What is wrong with the words of the other side, or ART_SHM_N_LAST. */
static enum art_shm_count check_words(const struct art_shm *t, const struct art_tp_words *w)
{
	if (w->channel != t->self.channel)
		return ART_SHM_N_CHANNEL;
	if (w->to != (uint32_t)t->self.slot || w->from == (uint32_t)t->self.slot ||
	    w->from >= (uint32_t)t->self.size)
		return ART_SHM_N_SLOT;
	if (t->peer[w->from].dropped)
		return ART_SHM_N_DROPPED;
	if (w->incarnation < t->peer[w->from].incarnation)
		return ART_SHM_N_STALE;
	return ART_SHM_N_LAST;
}

static void on_hello(struct art_shm *t, struct art_shm_conn *c, const uint8_t *in)
{
	struct art_tp_words w = art__words_get(in + PREFIX);
	uint8_t p[ART_SHM_HELLO_BYTES];
	enum art_shm_count wrong;

	memcpy(c->script, in, ART_SHM_WORDS_BYTES);
	if (w.job != t->self.job)
		wrong = ART_SHM_N_JOB;
	else if (!mac_is(t, c, HELLO, ART_SHM_WORDS_BYTES, in + ART_SHM_WORDS_BYTES))
		wrong = ART_SHM_N_KEY;
	else
		wrong = check_words(t, &w);
	if (wrong != ART_SHM_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->peer = (int)w.from;
	c->incarnation = w.incarnation;
	put_words(t, c, p, CHALLENGE);
	memcpy(c->script + ART_SHM_WORDS_BYTES, p, ART_SHM_WORDS_BYTES);
	make_mac(t, c, CHALLENGE, sizeof(c->script), p + ART_SHM_WORDS_BYTES);
	art__shm_set_state(t, c, ART_SHM_ASKED);
	if (!say(c, p, sizeof(p), NULL))
		lost(t, c);
}

/* Says @type with our segment. False: there is none, or the peer is gone. */
static bool say_segment(struct art_shm *t, struct art_shm_conn *c, int type)
{
	uint8_t p[ART_SHM_PROOF_BYTES];
	int fds[2] = {-1, t->bell};
	bool said;

	assert(!c->tx.page);
	fds[0] = art__shm_segment_make(&c->tx, t->ring_bytes);
	if (fds[0] < 0) {
		art__env_log(t->env, ART_LOG_INFO, "no memory to share with rank %d: %s", c->peer,
			     strerror(errno));
		return false;
	}
	/* A connection that comes up under our sleeping feet has to ring. */
	atomic_store(&c->tx.page->armed, t->armings);
	put_prefix(t, p, type);
	make_mac(t, c, type, sizeof(c->script), p + PREFIX);
	said = say(c, p, sizeof(p), fds);
	close(fds[0]); /* mapped */
	return said;
}

bool art__shm_hello_welcome(struct art_shm *t, struct art_shm_conn *c)
{
	return say_segment(t, c, WELCOME);
}

/* Writing into it neither blocks nor, as into a pipe that nobody reads, ends this process. */
static bool bell_good(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && (flags & O_NONBLOCK) && fstat(fd, &st) == 0 &&
	       !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISCHR(st.st_mode);
}

/* The peer's segment and bell, from c->got. */
static bool take_segment(struct art_shm_conn *c)
{
	bool ok = c->got[0] >= 0 && c->got[1] >= 0 && bell_good(c->got[1]) &&
		  art__shm_segment_map(&c->rx, c->got[0]);

	if (c->got[0] >= 0)
		close(c->got[0]);
	c->bell = c->got[1];
	c->got[0] = c->got[1] = -1;
	return ok;
}

static void on_challenge(struct art_shm *t, struct art_shm_conn *c, const uint8_t *in)
{
	struct art_tp_words w = art__words_get(in + PREFIX);
	enum art_shm_count wrong;

	memcpy(c->script + ART_SHM_WORDS_BYTES, in, ART_SHM_WORDS_BYTES);
	if (w.job != t->self.job)
		wrong = ART_SHM_N_JOB;
	else if (!mac_is(t, c, CHALLENGE, sizeof(c->script), in + ART_SHM_WORDS_BYTES))
		wrong = ART_SHM_N_KEY;
	else
		wrong = check_words(t, &w);
	if (wrong == ART_SHM_N_LAST && w.from != (uint32_t)c->peer)
		wrong = ART_SHM_N_SLOT;
	if (wrong != ART_SHM_N_LAST) {
		refuse(t, c, wrong);
		return;
	}
	c->incarnation = w.incarnation;
	art__shm_set_state(t, c, ART_SHM_PROVE);
	if (say_segment(t, c, PROOF))
		return;
	if (c->tx.page)
		lost(t, c);
	else
		refuse(t, c, ART_SHM_N_SEGMENT);
}

static void on_proof(struct art_shm *t, struct art_shm_conn *c, const uint8_t *in)
{
	if (!mac_is(t, c, PROOF, sizeof(c->script), in + PREFIX))
		refuse(t, c, ART_SHM_N_KEY);
	else if (!take_segment(c))
		refuse(t, c, ART_SHM_N_SEGMENT);
	else
		art__shm_claim(t, c);
}

static void on_welcome(struct art_shm *t, struct art_shm_conn *c, const uint8_t *in)
{
	if (!mac_is(t, c, WELCOME, sizeof(c->script), in + PREFIX))
		refuse(t, c, ART_SHM_N_KEY);
	else if (!take_segment(c))
		refuse(t, c, ART_SHM_N_SEGMENT);
	else
		art__shm_welcomed(t, c);
}

static const struct step {
	int type;
	size_t bytes;
	bool fds;
	void (*on)(struct art_shm *t, struct art_shm_conn *c, const uint8_t *in);
} steps[] = {
	[ART_SHM_HELLO] = {CHALLENGE, ART_SHM_HELLO_BYTES, false, on_challenge},
	[ART_SHM_PROVE] = {WELCOME, ART_SHM_PROOF_BYTES, true, on_welcome},
	[ART_SHM_HEARD] = {HELLO, ART_SHM_HELLO_BYTES, false, on_hello},
	[ART_SHM_ASKED] = {PROOF, ART_SHM_PROOF_BYTES, true, on_proof},
};

/* What is wrong with a packet of @len bytes, or ART_SHM_N_LAST. */
static enum art_shm_count check_prefix(const struct art_shm *t, const struct step *s,
				       const uint8_t *in, size_t len)
{
	if (len < PREFIX || memcmp(in, MAGIC, MAGIC_BYTES) != 0)
		return ART_SHM_N_GARBAGE;
	if (in[4] != VERSION || in[7] != t->self.version)
		return ART_SHM_N_VERSION;
	return in[5] == s->type && len == s->bytes ? ART_SHM_N_LAST : ART_SHM_N_GARBAGE;
}

void art__shm_hello_step(struct art_shm *t, struct art_shm_conn *c)
{
	const struct step *s = &steps[c->state];
	uint8_t in[ART_SHM_HELLO_BYTES];
	enum art_shm_count wrong;
	ssize_t n;

	assert(c->state >= ART_SHM_HELLO && c->state <= ART_SHM_ASKED);
	n = hear(c, in, sizeof(in), s->fds);
	if (n == 0)
		return;
	if (n < 0) {
		art__shm_count_refusal(t, c, ART_SHM_N_LEFT);
		lost(t, c);
		return;
	}
	wrong = check_prefix(t, s, in, (size_t)n);
	if (c->state < ART_SHM_HEARD && n == PREFIX && in[5] == REFUSED)
		art__shm_refused(t, c);
	else if (wrong != ART_SHM_N_LAST)
		refuse(t, c, wrong);
	else
		s->on(t, c, in);
}
