/* SPDX-License-Identifier: MIT
 *
 * Everything that a process of this host may do to a rank that shares memory with it: knock with
 * garbage, lie about who it is, hand over descriptors that are no memory or no bell, write what it
 * likes into the memory that the rank reads, and die in any store. Each time what is wrong must be
 * counted, no descriptor may be left, and traffic between the good ranks must flow on with its
 * connection untouched. The handshake and the records are spoken by this file's own description.
 */
#include <art/status.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/attacker.h"
#include "transport/shm/shm.h"

#define SHM_WORDS 52
#define SHM_HELLO 68 /* and challenge */
#define SHM_PROOF 24 /* and welcome */
#define RING (128u * 1024)
#define ARMED_AT 128 /* in the page */
#define FDS_MAX 8

/* Who plays rank 2. */
struct thief {
	int fd;
	uint8_t script[2 * SHM_WORDS]; /* dialler's words, acceptor's words */
	uint8_t *mem;                  /* its own segment: page, ring */
	uint64_t at;                   /* of its next record */
	int got[2];                    /* what came with the welcome */
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t tally(struct conf *c, enum art_shm_count what)
{
	return art__shm_counters(node(c, 0)->tp)[what];
}

static struct conf_seen *seen(struct conf *c)
{
	return &node(c, 0)->peer[2];
}

static int open_fds(struct conf *c)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	CHECK(c, d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the handshake ---- */

static void mac(const uint8_t *script, size_t len, uint8_t role, uint8_t key_byte, uint8_t out[16])
{
	uint8_t said[1 + 2 * SHM_WORDS], key[32];

	memset(key, key_byte, sizeof(key));
	said[0] = role;
	memcpy(said + 1, script, len);
	crypto_generichash(out, 16, said, 1 + len, key, sizeof(key));
}

static void prefix(uint8_t *p, uint8_t type)
{
	memcpy(p, "ARTs\1", 5);
	p[5] = type;
	p[6] = p[7] = 0;
}

static void shm_words(uint8_t *p, const struct words *w)
{
	prefix(p, w->type);
	p[4] = w->version;
	put(p + 8, w->channel, 4);
	put(p + 12, w->from, 4);
	put(p + 16, w->to, 4);
	put(p + 20, w->job, 8);
	put(p + 28, w->incarnation, 8);
	memset(p + 36, 0x77, 16); /* no nonce at all */
}

static struct words fair(void)
{
	struct words w = good;

	w.version = 1;
	return w;
}

static void call(struct conf *c, struct thief *t)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "art-shm-%s",
			 node(c, 0)->addr + strlen("shm:"));

	CHECK(c, connect(t->fd, (const struct sockaddr *)&a,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0);
}

static struct thief thief_at_the_door(struct conf *c)
{
	struct thief t = {.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), .got = {-1, -1}};

	CHECK(c, t.fd >= 0);
	call(c, &t);
	return t;
}

/* One packet with @n descriptors. */
static void give(struct conf *c, struct thief *t, const void *p, size_t len, const int *fds, int n)
{
	struct iovec v = {(void *)(uintptr_t)p, len};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl = {.room = {0}};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (n > 0) {
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, (size_t)n * sizeof(int));
	}
	CHECK(c, sendmsg(t->fd, &m, MSG_NOSIGNAL) == (ssize_t)len);
}

/* A packet: its length, 0: not yet, -1: the end. Two descriptors, if any, to t->got. */
static ssize_t listen_to(struct conf *c, struct thief *t, void *p, size_t size)
{
	struct iovec v = {p, size};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} ctl;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &ctl,
			   .msg_controllen = sizeof(ctl)};
	ssize_t n = recvmsg(t->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (CMSG_FIRSTHDR(&m)) {
		CHECK(c, CMSG_FIRSTHDR(&m)->cmsg_len == CMSG_LEN(2 * sizeof(int)));
		memcpy(t->got, CMSG_DATA(CMSG_FIRSTHDR(&m)), 2 * sizeof(int));
	}
	return n > 0 ? n : -1;
}

/* Whatever is still said, the other side has closed. */
static bool shut(struct conf *c, struct thief *t)
{
	uint8_t b[SHM_HELLO];

	return listen_to(c, t, b, sizeof(b)) < 0;
}

static void hello(struct conf *c, struct thief *t, const struct words *w, uint8_t key_byte)
{
	uint8_t p[SHM_HELLO];

	shm_words(p, w);
	memcpy(t->script, p, SHM_WORDS);
	mac(p, SHM_WORDS, T_HELLO, key_byte, p + SHM_WORDS);
	give(c, t, p, sizeof(p), NULL, 0);
}

/* Hears the challenge, which must prove that the acceptor knows the key. */
static struct thief challenged(struct conf *c, const struct words *w)
{
	struct thief t = thief_at_the_door(c);
	uint8_t p[SHM_HELLO], want[16];
	ssize_t n = 0;

	hello(c, &t, w, CONF_KEY_BYTE);
	WAIT(c, (n = listen_to(c, &t, p, sizeof(p))) != 0);
	CHECK(c, n == SHM_HELLO && p[5] == T_CHALLENGE);
	memcpy(t.script + SHM_WORDS, p, SHM_WORDS);
	mac(t.script, sizeof(t.script), T_CHALLENGE, CONF_KEY_BYTE, want);
	CHECK(c, memcmp(want, p + SHM_WORDS, 16) == 0);
	CHECK(c, t.got[0] < 0); /* and no memory before we have proved anything */
	return t;
}

static void prove(struct conf *c, struct thief *t, uint8_t key_byte, const int *fds, int n)
{
	uint8_t p[SHM_PROOF];

	prefix(p, T_PROOF);
	mac(t->script, sizeof(t->script), T_PROOF, key_byte, p + 8);
	give(c, t, p, sizeof(p), fds, n);
}

static int memory(struct conf *c, size_t bytes, int seals)
{
	int fd = memfd_create("thief", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(c, fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	CHECK(c, !seals || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static int own_segment(struct conf *c)
{
	return memory(c, page_bytes() + RING, F_SEAL_SHRINK);
}

static int bell(struct conf *c)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	CHECK(c, fd >= 0);
	return fd;
}

/* A whole good handshake. */
static struct thief admitted(struct conf *c, const struct words *w)
{
	struct thief t = challenged(c, w);
	int fds[2] = {own_segment(c), bell(c)};
	uint8_t p[SHM_PROOF], want[16];
	ssize_t n = 0;

	t.mem = mmap(NULL, page_bytes() + RING, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	CHECK(c, t.mem != MAP_FAILED);
	prove(c, &t, CONF_KEY_BYTE, fds, 2);
	close(fds[0]);
	close(fds[1]);
	WAIT(c, (n = listen_to(c, &t, p, sizeof(p))) != 0);
	mac(t.script, sizeof(t.script), T_WELCOME, CONF_KEY_BYTE, want);
	CHECK(c, n == SHM_PROOF && p[5] == T_WELCOME && memcmp(want, p + 8, 16) == 0);
	CHECK(c, t.got[0] >= 0 && t.got[1] >= 0);
	seen(c)->received = 0;
	return t;
}

static void go(struct thief *t)
{
	close(t->fd);
	for (int i = 0; i < 2; i++)
		if (t->got[i] >= 0)
			close(t->got[i]);
	if (t->mem)
		munmap(t->mem, page_bytes() + RING);
}

/* ---- records ---- */

static _Atomic uint64_t *word_at(struct thief *t, uint64_t at)
{
	return (_Atomic uint64_t *)(void *)(t->mem + page_bytes() + (at & (RING - 1)));
}

static uint64_t word_of(uint64_t at, uint64_t len)
{
	return (at / 64) << 32 | UINT64_C(1) << 31 | len;
}

/* The conformance message number @number from rank 2 to 0, without a body, that says it has one of
 * @len bytes. */
static void write_head(struct thief *t, uint64_t number, uint32_t len)
{
	uint8_t head[ART_TP_HEAD] = "CONF";

	put(head + 4, len, 4);
	put(head + 8, number, 8);
	put(head + 16, 2, 4);
	for (unsigned i = 0; i < ART_TP_HEAD - 32; i++)
		head[24 + i] = (uint8_t)(number * 131 + 2 * 17 + i);
	memcpy((uint8_t *)word_at(t, t->at) + 8, head, ART_TP_HEAD - ART_TP_HEAD_MAC);
}

static void write_record(struct thief *t, uint64_t number)
{
	write_head(t, number, 0);
	atomic_store(word_at(t, t->at + 64), 0);
	atomic_store(word_at(t, t->at), word_of(t->at, 0));
	t->at += 64;
}

/* ---- strangers ---- */

/* The other side closes, counts it as @what, keeps nothing of it, and nobody else notices. */
static void refused(struct conf *c, struct thief *t, enum art_shm_count what, uint64_t before,
		    int fds)
{
	WAIT(c, shut(c, t));
	CHECK(c, t->got[0] < 0 && t->got[1] < 0);
	go(t);
	CHECK(c, tally(c, what) == before + 1);
	CHECK(c, seen(c)->got == 0);
	CHECK(c, open_fds(c) == fds);
	traffic(c);
}

static void refuse_packet(struct conf *c, const void *p, size_t len, enum art_shm_count what)
{
	int fds = open_fds(c), extra[2] = {1, 2};
	uint64_t before = tally(c, what);
	struct thief t = thief_at_the_door(c);

	give(c, &t, p, len, extra, 2); /* nobody has asked for descriptors */
	refused(c, &t, what, before, fds);
}

static void noise(struct conf *c)
{
	uint8_t p[2000];

	begin(c);
	memset(p, 0x5a, sizeof(p));
	refuse_packet(c, "GET / HTTP/1.1\r\n\r\n", 18, ART_SHM_N_GARBAGE);
	refuse_packet(c, "A", 1, ART_SHM_N_GARBAGE);
	refuse_packet(c, "ARTs\1\1\0\0", 8, ART_SHM_N_GARBAGE);
	refuse_packet(c, "ARTs\2\1\0\0", 8, ART_SHM_N_VERSION);
	refuse_packet(c, "ARTs\1\1\0\1", 8, ART_SHM_N_VERSION);
	refuse_packet(c, p, SHM_HELLO, ART_SHM_N_GARBAGE);
	refuse_packet(c, p, sizeof(p), ART_SHM_N_LEFT); /* more than a packet of ours */
	refuse_packet(c, p, 0, ART_SHM_N_LEFT);
	conf_end(c);
}

static void refuse_words(struct conf *c, const struct words *w, uint8_t key_byte,
			 enum art_shm_count what)
{
	uint64_t before = tally(c, what);
	int fds = open_fds(c);
	struct thief t = thief_at_the_door(c);

	hello(c, &t, w, key_byte);
	refused(c, &t, what, before, fds);
}

static void wrong_words(struct conf *c)
{
	struct words w;

	begin(c);
	w = fair(), w.channel = 1;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_CHANNEL);
	w = fair(), w.job++;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_JOB);
	w = fair(), w.from = 0;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_SLOT);
	w = fair(), w.from = 3;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_SLOT);
	w = fair(), w.from = 0xffffffff;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_SLOT);
	w = fair(), w.to = 1;
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_SLOT);
	w = fair();
	refuse_words(c, &w, CONF_KEY_BYTE ^ 1, ART_SHM_N_KEY);
	conf_drop(node(c, 0), 2);
	refuse_words(c, &w, CONF_KEY_BYTE, ART_SHM_N_DROPPED);
	conf_end(c);
}

static void no_proof(struct conf *c)
{
	struct words w = fair();
	int fds, own[2];
	uint64_t before;
	struct thief t;

	begin(c);
	before = tally(c, ART_SHM_N_KEY);
	fds = open_fds(c);
	t = challenged(c, &w);
	own[0] = own_segment(c);
	own[1] = bell(c);
	prove(c, &t, CONF_KEY_BYTE ^ 1, own, 2);
	close(own[0]);
	close(own[1]);
	refused(c, &t, ART_SHM_N_KEY, before, fds);
	conf_end(c);
}

/* More of them than there are places, and all silent. */
static void crowd(struct conf *c)
{
	struct thief t[ART_SHM_PENDING_MAX + 4];
	int n = sizeof(t) / sizeof(t[0]), fds;
	uint64_t left;

	begin(c);
	fds = open_fds(c);
	left = tally(c, ART_SHM_N_LEFT);
	for (int i = 0; i < n; i++)
		t[i] = thief_at_the_door(c);
	WAIT(c, tally(c, ART_SHM_N_CROWD) == 4);
	traffic(c);
	for (int i = 0; i < n; i++)
		go(&t[i]);
	WAIT(c, tally(c, ART_SHM_N_LEFT) + tally(c, ART_SHM_N_SLOW) == left + ART_SHM_PENDING_MAX);
	CHECK(c, open_fds(c) == fds);
	conf_end(c);
}

/* ---- descriptors ---- */

/* Hands over @fds, which are closed here, after an honest handshake. */
static void refuse_fds(struct conf *c, int *fds, int n)
{
	uint64_t before = tally(c, ART_SHM_N_SEGMENT);
	int left = open_fds(c) - n;
	struct words w = fair();
	struct thief t = challenged(c, &w);

	prove(c, &t, CONF_KEY_BYTE, fds, n);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	refused(c, &t, ART_SHM_N_SEGMENT, before, left);
}

static void refuse_segment(struct conf *c, int segment)
{
	CHECK(c, segment >= 0);
	refuse_fds(c, (int[]){segment, bell(c)}, 2);
}

static void bad_segments(struct conf *c)
{
	size_t page = page_bytes();

	begin(c);
	refuse_fds(c, NULL, 0);
	refuse_fds(c, (int[]){own_segment(c)}, 1);
	refuse_segment(c, memory(c, page + RING, 0)); /* could be cut while we read it */
	refuse_segment(c, memory(c, page + RING, F_SEAL_GROW));
	refuse_segment(c, memory(c, 0, F_SEAL_SHRINK));
	refuse_segment(c, memory(c, page, F_SEAL_SHRINK));
	refuse_segment(c, memory(c, page + RING / 2, F_SEAL_SHRINK));
	refuse_segment(c, memory(c, page + RING - 1, F_SEAL_SHRINK));
	refuse_segment(c, memory(c, page + RING + 64, F_SEAL_SHRINK)); /* no power of two */
	refuse_segment(c, memory(c, page + 3 * RING, F_SEAL_SHRINK));
	refuse_segment(c, memory(c, page + 16 * RING, F_SEAL_SHRINK));
	refuse_segment(c, open("/dev/zero", O_RDWR | O_CLOEXEC));
	refuse_segment(c, open(".", O_RDONLY | O_CLOEXEC));
	refuse_segment(c, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	conf_end(c);
}

/* Into these a write would wait for ever, or end the process. */
static void bad_bells(struct conf *c)
{
	int p[2];

	begin(c);
	refuse_fds(c, (int[]){own_segment(c), eventfd(0, EFD_CLOEXEC)}, 2);
	CHECK(c, pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	close(p[0]);
	refuse_fds(c, (int[]){own_segment(c), p[1]}, 2);
	CHECK(c, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) == 0);
	close(p[0]);
	refuse_fds(c, (int[]){own_segment(c), p[1]}, 2);
	conf_end(c);
}

static void too_many_descriptors(struct conf *c)
{
	struct words w = fair();
	int fds[FDS_MAX], left;
	struct thief t;

	begin(c);
	left = open_fds(c);
	t = challenged(c, &w);
	fds[0] = own_segment(c);
	for (int i = 1; i < FDS_MAX; i++)
		fds[i] = bell(c);
	prove(c, &t, CONF_KEY_BYTE, fds, FDS_MAX);
	for (int i = 0; i < FDS_MAX; i++)
		close(fds[i]);
	WAIT(c, seen(c)->up); /* two of them will do */
	go(&t);
	WAIT(c, !seen(c)->up);
	/* The welcome, its descriptors with it, was never read. */
	CHECK(c, open_fds(c) == left);
	traffic(c);
	conf_end(c);
}

/* ---- memory ---- */

/* The connection ends as garbage after the @got messages that were before it. */
static void ends(struct conf *c, struct thief *t, unsigned got, unsigned downs)
{
	WAIT(c, seen(c)->downs == downs + 1);
	CHECK(c, seen(c)->why == ART_TP_GARBAGE && seen(c)->got == got);
	WAIT(c, shut(c, t));
	go(t);
	traffic(c);
}

static void garbage_records(struct conf *c)
{
	static const uint64_t bad[] = {
		UINT64_C(1) << 31 | (ART_TP_BODY_MAX + 1), /* longer than any message */
		UINT64_C(1) << 31 | 0x7fffffff,
		UINT64_C(1) << 31 | 64,   /* its head says another length */
		UINT64_C(2) << 32 | UINT64_C(1) << 31, /* of another place in the ring */
		UINT64_MAX, 1, UINT64_C(1) << 63,
	};
	struct words w = fair();
	int fds;

	begin(c);
	fds = open_fds(c);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct thief t = admitted(c, &w);

		write_record(&t, 0); /* a good one first */
		WAIT(c, seen(c)->got == i + 1);
		write_head(&t, 1, 0);
		atomic_store(word_at(&t, t.at), bad[i] + (bad[i] >> 31 == 1 ? UINT64_C(1) << 32 : 0));
		ends(c, &t, i + 1, i);
	}
	CHECK(c, open_fds(c) == fds);
	conf_end(c);
}

static void garbage_heads(struct conf *c)
{
	static const uint32_t lens[] = {1, 64, ART_TP_BODY_MAX + 1, 0x7fffffff, 0xffffffff};
	struct words w = fair();

	begin(c);
	for (unsigned i = 0; i <= sizeof(lens) / sizeof(lens[0]); i++) {
		struct thief t = admitted(c, &w);

		if (i < sizeof(lens) / sizeof(lens[0]))
			write_head(&t, 0, lens[i]); /* but its record has none */
		atomic_store(word_at(&t, 0), word_of(0, 0));
		ends(c, &t, 0, i);
	}
	conf_end(c);
}

/* While a message is being read its record becomes another one. */
static void spoil_record(struct conf_node *n, int peer)
{
	struct thief *t = n->arg;

	if (peer != 2)
		return;
	write_head(&(struct thief){.mem = t->mem, .at = 0}, 7, 0xffffffff);
	atomic_store(word_at(t, 0), UINT64_MAX);
}

static void changed_while_read(struct conf *c)
{
	struct words w = fair();
	struct thief t;

	begin(c);
	t = admitted(c, &w);
	node(c, 0)->arg = &t;
	node(c, 0)->on_message = spoil_record;
	for (uint64_t i = 0; i < 3; i++)
		write_record(&t, i);
	WAIT(c, seen(c)->got == 3);
	node(c, 0)->on_message = NULL;
	go(&t);
	WAIT(c, !seen(c)->up);
	CHECK(c, seen(c)->why == ART_TP_CLOSED);
	traffic(c);
	conf_end(c);
}

/* What it says it has read, and whether it sleeps, is nonsense: nothing is written where it must not
 * be, no call waits, and what is queued stays bounded. */
static void nonsense_in_the_page(struct conf *c)
{
	static const uint64_t read_so_far[] = {1, 64, 63 * 64, RING, UINT64_MAX, UINT64_C(1) << 63};
	struct words w = fair();
	struct thief t;
	uint64_t bells;
	int r = 1;

	begin(c);
	t = admitted(c, &w);
	bells = tally(c, ART_SHM_N_BELLS);
	for (unsigned i = 0; r > 0; i++) {
		atomic_store((_Atomic uint64_t *)(void *)t.mem,
			     read_so_far[i % (sizeof(read_so_far) / sizeof(read_so_far[0]))]);
		atomic_store((_Atomic uint32_t *)(void *)(t.mem + ARMED_AT), i);
		r = conf_send(node(c, 0), 2, 1000, 2);
		CHECK(c, r >= 0 && i < 100000);
		conf_poll(node(c, 0), 4);
	}
	CHECK(c, tally(c, ART_SHM_N_BELLS) > bells);
	CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) > 0);
	traffic(c);
	go(&t);
	WAIT(c, !seen(c)->up);
	conf_end(c);
}

/* All that was written before the end arrives, and what was half written never was. */
static void dies_in_a_store(struct conf *c)
{
	struct words w = fair();
	struct thief t;

	begin(c);
	for (unsigned i = 0; i < 3; i++) {
		t = admitted(c, &w);
		for (uint64_t k = 0; k < 5; k++)
			write_record(&t, k);
		if (i == 1)
			write_head(&t, 5, 100);
		if (i == 2)
			memset((uint8_t *)word_at(&t, t.at) + 8, 0xff, 60000);
		go(&t);
		WAIT(c, seen(c)->downs == i + 1);
		CHECK(c, seen(c)->got == 5 * (i + 1) && seen(c)->why == ART_TP_CLOSED);
		traffic(c);
	}
	conf_end(c);
}

/* ---- who answers where we dial ---- */

enum lie { NOISE, ECHO, WRONG_SLOT, WRONG_KEY, OTHER_VERSION, SAYS_NO, HANGS_UP, NO_MEMORY, LIES };

static int false_listener(struct conf *c, const char *hex)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "art-shm-%s", hex);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(c, fd >= 0 && bind(fd, (const struct sockaddr *)&a,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0);
	CHECK(c, listen(fd, 64) == 0);
	return fd;
}

/* Our answer to the hello in t->script. Its length. */
static size_t false_challenge(struct thief *t, uint8_t p[SHM_HELLO], enum lie how)
{
	struct words w = fair();

	w.type = T_CHALLENGE;
	w.to = 0;
	w.from = how == WRONG_SLOT ? 1 : 2;
	shm_words(p, &w);
	memcpy(t->script + SHM_WORDS, p, SHM_WORDS);
	mac(t->script, sizeof(t->script), T_CHALLENGE,
	    how == WRONG_KEY ? CONF_KEY_BYTE ^ 1 : CONF_KEY_BYTE, p + SHM_WORDS);
	if (how == NOISE)
		memset(p, 'x', SHM_HELLO);
	if (how != OTHER_VERSION && how != SAYS_NO)
		return SHM_HELLO;
	p[4] += how == OTHER_VERSION;
	p[5] = T_REFUSED;
	return 8;
}

static void lie(struct conf *c, int lfd, enum lie how)
{
	struct thief t = {.fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC), .got = {-1, -1}};
	uint8_t in[SHM_HELLO], p[SHM_HELLO];
	ssize_t n = 0;

	if (t.fd < 0)
		return;
	WAIT(c, (n = listen_to(c, &t, in, sizeof(in))) != 0);
	if (n == SHM_HELLO && how != HANGS_UP) {
		memcpy(t.script, in, SHM_WORDS);
		give(c, &t, how == ECHO ? in : p, false_challenge(&t, p, how), NULL, 0);
		WAIT(c, (n = listen_to(c, &t, in, sizeof(in))) != 0);
		/* To a liar not even a proof is given, let alone memory. */
		CHECK(c, how == NO_MEMORY ? n == SHM_PROOF && t.got[0] >= 0 : n < 0);
	}
	if (how == NO_MEMORY) {
		prefix(p, T_WELCOME);
		mac(t.script, sizeof(t.script), T_WELCOME, CONF_KEY_BYTE, p + 8);
		give(c, &t, p, SHM_PROOF, NULL, 0);
		WAIT(c, shut(c, &t));
	}
	go(&t);
}

static void dial_once(struct conf *c, int lfd, enum lie how)
{
	unsigned downs = seen(c)->downs;

	CHECK(c, conf_send(node(c, 0), 2, 100, 1) == 1);
	while (seen(c)->downs == downs) {
		lie(c, lfd, how);
		step(c);
	}
	CHECK(c, seen(c)->why == ART_TP_REFUSED && seen(c)->ups == 0);
}

static void dial_liars(struct conf *c)
{
	static const enum art_shm_count what[LIES] = {
		[NOISE] = ART_SHM_N_GARBAGE,	 [ECHO] = ART_SHM_N_GARBAGE,
		[WRONG_SLOT] = ART_SHM_N_SLOT,	 [WRONG_KEY] = ART_SHM_N_KEY,
		[HANGS_UP] = ART_SHM_N_LEFT,	 [NO_MEMORY] = ART_SHM_N_SEGMENT,
	};
	char addr[ART_TP_ADDR_MAX], mine[17];
	int lfd, fds;

	c->opts.connect_ns = 300 * ART_NS_PER_MS;
	begin(c);
	snprintf(mine, sizeof(mine), "%08xdeadbeef", (unsigned)getpid());
	snprintf(addr, sizeof(addr), "shm:%s", mine);
	lfd = false_listener(c, mine);
	CHECK(c, c->ops->peer(node(c, 0)->tp, 2, addr) == 0);
	fds = open_fds(c);
	for (unsigned how = NOISE; how < LIES; how++) {
		uint64_t before = tally(c, what[how]);

		do { /* again, where no lie came in time */
			dial_once(c, lfd, (enum lie)how);
		} while (what[how] && tally(c, what[how]) == before);
		CHECK(c, open_fds(c) == fds);
		traffic(c);
	}
	close(lfd);
	conf_end(c);
}

/* ---- the system ---- */

/* Somebody knocks while there is no descriptor for him: he waits, and nobody spins meanwhile. */
static void no_descriptors(struct conf *c)
{
	struct thief t = {.got = {-1, -1}};
	struct rlimit before, now;
	uint64_t accepted;

	begin(c);
	accepted = tally(c, ART_SHM_N_ACCEPTED);
	t.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(c, t.fd >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	now = before;
	now.rlim_cur = (rlim_t)dup(t.fd); /* the lowest that is free */
	CHECK(c, close((int)now.rlim_cur) == 0 && setrlimit(RLIMIT_NOFILE, &now) == 0);
	call(c, &t);
	WAIT(c, tally(c, ART_SHM_N_ACCEPT_FAIL) == 1);
	CHECK(c, node(c, 0)->tp->ops->wake_ns(node(c, 0)->tp) != ART_NEVER);
	WAIT(c, !conf_readable(node(c, 0)));
	traffic(c);
	WAIT(c, tally(c, ART_SHM_N_ACCEPT_FAIL) == 3);
	CHECK(c, tally(c, ART_SHM_N_ACCEPTED) == accepted);
	CHECK(c, setrlimit(RLIMIT_NOFILE, &before) == 0);
	WAIT(c, tally(c, ART_SHM_N_ACCEPTED) == accepted + 1);
	go(&t);
	conf_end(c);
}

/* Whoever may write only small files gets no memory to share, and no signal. */
static void small_files_only(struct conf *c)
{
	struct art_tp_self self = {.size = 2, .job = CONF_JOB};
	struct art_tp_up up = {0};
	struct rlimit before, now;
	struct art_tp *tp;
	struct thief t;
	uint64_t segments;
	struct words w = fair();
	int fds[2];

	begin(c);
	t = challenged(c, &w);
	fds[0] = own_segment(c);
	fds[1] = bell(c);
	CHECK(c, getrlimit(RLIMIT_FSIZE, &before) == 0);
	now = before;
	now.rlim_cur = RING;
	CHECK(c, setrlimit(RLIMIT_FSIZE, &now) == 0);
	CHECK(c, c->ops->open(&c->env, &self, &c->opts, &up, &tp) == ART_ERR_TRANSPORT);
	segments = tally(c, ART_SHM_N_SEGMENT);
	prove(c, &t, CONF_KEY_BYTE, fds, 2);
	WAIT(c, shut(c, &t));
	CHECK(c, tally(c, ART_SHM_N_SEGMENT) == segments + 1);
	close(fds[0]);
	close(fds[1]);
	go(&t);
	traffic(c);
	CHECK(c, setrlimit(RLIMIT_FSIZE, &before) == 0);
	conf_end(c);
}

/* A child of the application has inherited our end of a connection: its fate is none of ours. */
static void inherited_by_a_child(struct conf *c)
{
	struct words w = fair();
	struct thief t;
	int life[2];
	char b = 0;
	pid_t pid;

	begin(c);
	t = admitted(c, &w);
	CHECK(c, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life) == 0);
	pid = fork();
	CHECK(c, pid >= 0);
	if (pid == 0) {
		close(life[0]);
		go(&t); /* the other end is not its own */
		if (write(life[1], &b, 1) == 1)
			(void)!read(life[1], &b, 1); /* until its parent is gone, or done */
		_exit(0);
	}
	close(life[1]);
	CHECK(c, read(life[0], &b, 1) == 1);
	WAIT(c, seen(c)->up);
	conf_reset(node(c, 0), 2);
	go(&t); /* shows at our end, which the child has */
	traffic(c);
	WAIT(c, !conf_readable(node(c, 0)));
	close(life[0]);
	CHECK(c, waitpid(pid, NULL, 0) == pid);
	conf_end(c);
}

static const struct conf_case cases[] = {
	{"noise", noise},
	{"wrong_words", wrong_words},
	{"no_proof", no_proof},
	{"crowd", crowd},
	{"bad_segments", bad_segments},
	{"bad_bells", bad_bells},
	{"too_many_descriptors", too_many_descriptors},
	{"garbage_records", garbage_records},
	{"garbage_heads", garbage_heads},
	{"changed_while_read", changed_while_read},
	{"nonsense_in_the_page", nonsense_in_the_page},
	{"dies_in_a_store", dies_in_a_store},
	{"dial_liars", dial_liars},
	{"no_descriptors", no_descriptors},
	{"small_files_only", small_files_only},
	{"inherited_by_a_child", inherited_by_a_child},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf c = {.rig = conf_rig_find("shm"), .name = cases[i].name};

		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		cases[i].run(&c);
		printf("shm: %s: ok\n", cases[i].name);
		fflush(stdout);
	}
	return 0;
}
