/* SPDX-License-Identifier: MIT
 *
 * Description: what a rank that spins only looks at and leaves in the socket (tcp_recv.c) is delivered once,
 * whole and in order, whatever comes with it, behind it or instead of it: short reads, no memory in the
 * system, sleep, long messages, the end of the connection. And it is looked at when it should be, and only
 * then.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "tests/lib/unit.h"
#include "transport/tcp/tcp.h"

#define RANKS 3
#define LONGEST 30000
#define POLLS 200000

struct rank {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	unsigned sent[RANKS], got[RANKS];
	int downs;
	bool wrong;
	unsigned looks, takes; /* reads that brought something */
	size_t took;           /* by the last of these */
};

static struct art_env env;
static struct rank ranks[RANKS];
static bool rough; /* reads come short, or not at all */
static unsigned draws;

static unsigned draw(unsigned below)
{
	draws = draws * 1103515245u + 12345u;
	return (draws >> 8) % below;
}

static uint8_t byte_of(unsigned number, size_t i)
{
	return (uint8_t)(number * 31 + i * 7 + i / 256);
}

static void send_to(int from, int to, size_t len)
{
	static uint8_t body[LONGEST];
	uint8_t head[ART_TP_HEAD] = { 'm' };
	struct iovec v[2] = { { head, sizeof(head) }, { body, len } };
	uint32_t n = (uint32_t)len, number = ranks[from].sent[to]++;

	memcpy(head + 4, &n, sizeof(n));
	memcpy(head + 8, &number, sizeof(number));
	for (size_t i = 0; i < len; i++)
		body[i] = byte_of(number, i);
	CU_ASSERT(ranks[from].tp->ops->send(ranks[from].tp, to, v, 2) >= 0);
}

static int64_t body_len(void *self, const uint8_t *head)
{
	uint32_t n;

	(void)self;
	memcpy(&n, head + 4, sizeof(n));
	return head[0] == 'm' && n <= LONGEST ? (int64_t)n : -1;
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	static const uint8_t none[ART_TP_HEAD_MAC];
	struct rank *r = self;
	uint32_t number;

	memcpy(&number, head + 8, sizeof(number));
	r->wrong |= number != r->got[peer];
	r->wrong |= memcmp(head + ART_TP_HEAD - ART_TP_HEAD_MAC, none, sizeof(none)) != 0;
	for (size_t i = 0; i < len; i++)
		r->wrong |= body[i] != byte_of(number, i);
	r->got[peer]++;
}

static void ignore(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	struct rank *r = self;

	(void)peer;
	r->downs++;
	r->wrong |= why == ART_TP_GARBAGE;
}

static ssize_t watched_recv(void *self, int fd, void *buf, size_t len, int flags)
{
	struct rank *r = self;
	ssize_t n;

	if (rough && draw(5) == 0) {
		errno = draw(2) ? EINTR : ENOBUFS;
		return -1;
	}
	n = recv(fd, buf, rough && draw(3) == 0 && len > 1 ? 1 + draw((unsigned)len - 1) : len, flags);
	if (n > 0 && flags & MSG_PEEK)
		r->looks++;
	else if (n > 0)
		r->takes++;
	if (n > 0)
		r->took = (size_t)n;
	return n;
}

static void look(int rank)
{
	ranks[rank].tp->ops->poll(ranks[rank].tp, 64);
}

static bool all_there(int from, int to)
{
	return ranks[to].got[from] == ranks[from].sent[to];
}

/* Looks until all that was sent to it is there, and once more so that nothing else is under way. */
static void get(int from, int to)
{
	for (int k = 0; k < POLLS && !all_there(from, to); k++)
		look(to);
	CU_ASSERT_FATAL(all_there(from, to));
}

static void begin(enum art_tp_security security, uint32_t channel)
{
	struct art_tp_opts opts = { .security = security };

	memset(ranks, 0, sizeof(ranks));
	rough = false;
	for (int i = 0; i < RANKS; i++) {
		struct art_tp_self self = { .slot = i, .size = RANKS, .job = 7, .channel = channel };
		struct art_tp_up up = { .self = &ranks[i], .body_len = body_len, .message = on_message,
					.room = ignore, .up = ignore, .down = on_down };
		struct art_tcp_sys *sys;

		CU_ASSERT_FATAL(art__tcp_ops.open(&env, &self, &opts, &up, &ranks[i].tp) == 0);
		CU_ASSERT_FATAL(art__tcp_ops.listen(ranks[i].tp, ranks[i].addr) == 0);
		sys = art__tcp_sys(ranks[i].tp);
		sys->self = &ranks[i];
		sys->recv = watched_recv;
	}
	for (int i = 0; i < RANKS; i++)
		for (int k = 0; k < RANKS; k++)
			CU_ASSERT_FATAL(i == k || art__tcp_ops.peer(ranks[i].tp, k, ranks[k].addr) == 0);
	send_to(0, 1, 8);
	for (int k = 0; k < POLLS && !all_there(0, 1); k++) {
		look(0);
		look(1);
	}
	send_to(1, 0, 8);
	get(1, 0);
	/* Found by epoll, these were; from here on both read without it. */
	ranks[0].looks = ranks[1].looks = 0;
}

static void end(void)
{
	for (int i = 0; i < RANKS; i++) {
		CU_ASSERT_FALSE(ranks[i].wrong);
		if (ranks[i].tp)
			ranks[i].tp->ops->close(ranks[i].tp);
	}
}

static bool readable(int rank)
{
	struct pollfd p = { art__tcp_ops.fd(ranks[rank].tp), POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static void each_way(void (*body)(enum art_tp_security))
{
	body(ART_TP_PLAIN);
	body(ART_TP_MAC);
	body(ART_TP_ENCRYPT);
}

/* As in a bcast after a barrier: the second of two is looked at, and taken with what comes next. */
static void second_of_two(enum art_tp_security security)
{
	size_t extra = security == ART_TP_ENCRYPT ? ART_TCP_SEAL_BYTES : 0;

	begin(security, 0);
	for (int k = 0; k < 3; k++) {
		send_to(0, 1, 0);
		get(0, 1);
		CU_ASSERT_EQUAL(ranks[1].looks, (unsigned)k);
		send_to(0, 1, 100);
		get(0, 1);
		CU_ASSERT_EQUAL(ranks[1].looks, (unsigned)k + 1);
		CU_ASSERT_EQUAL(ranks[1].took, ART_TP_HEAD + 100 + extra);
		send_to(1, 0, 0);
		get(1, 0);
	}
	send_to(0, 1, 10);
	get(0, 1);
	CU_ASSERT_EQUAL(ranks[1].took, 2 * ART_TP_HEAD + 110 + 2 * extra);
	CU_ASSERT_EQUAL(ranks[1].looks, 3);
	CU_ASSERT_EQUAL(ranks[0].looks, 0);
	end();
}

/* The second message from rank 0 is known to rank 1, and in its socket still. */
static void begin_with_a_look(enum art_tp_security security)
{
	begin(security, 0);
	send_to(0, 1, 0);
	get(0, 1);
	send_to(0, 1, 100);
	get(0, 1);
	CU_ASSERT_FATAL(ranks[1].looks == 1);
}

/* Who is going to sleep must not be woken by what it knows. */
static void sleep_after_it(enum art_tp_security security)
{
	begin_with_a_look(security);
	CU_ASSERT(readable(1));
	art__transport_arm(ranks[1].tp);
	CU_ASSERT_FALSE(readable(1));
	send_to(0, 1, 200);
	CU_ASSERT(readable(1));
	get(0, 1);
	end();
}

/* Its bytes are known, what follows them is the end. */
static void the_end_after_it(enum art_tp_security security)
{
	begin_with_a_look(security);
	ranks[0].tp->ops->close(ranks[0].tp);
	ranks[0].tp = NULL;
	for (int k = 0; k < POLLS && !ranks[1].downs; k++)
		look(1);
	CU_ASSERT_EQUAL(ranks[1].downs, 1);
	end();
}

/* So many that some are in the sender's part of the system still, and none is queued before that. */
static void send_plenty(int from, int to)
{
	struct art_tp *tp = ranks[from].tp;

	while (tp->ops->pending(tp) == 0)
		send_to(from, to, LONGEST);
	for (int k = 0; k < POLLS && tp->ops->pending(tp) > 0; k++) {
		tp->ops->poll(ranks[to].tp, 1);
		look(from);
	}
	CU_ASSERT_FATAL(tp->ops->pending(tp) == 0 && !all_there(from, to));
}

/* Closing a socket over what was only looked at would throw away what its owner sent last. */
static void its_own_end_after_it(enum art_tp_security security)
{
	begin(security, 0);
	send_to(1, 0, 0);
	get(1, 0);
	send_plenty(1, 0);
	send_to(0, 1, 0);
	get(0, 1);
	send_to(0, 1, 100);
	get(0, 1);
	CU_ASSERT_FATAL(ranks[1].looks == 1 && !all_there(1, 0));
	ranks[1].tp->ops->close(ranks[1].tp);
	ranks[1].tp = NULL;
	for (int k = 0; k < POLLS && !ranks[0].downs; k++)
		look(0);
	CU_ASSERT(all_there(1, 0) && ranks[0].downs == 1);
	end();
}

/* What has come before a reset is delivered, and then the end. */
static void a_reset_after_it(enum art_tp_security security)
{
	begin_with_a_look(security);
	for (int k = 0; k < 5; k++)
		send_to(1, 0, 1000);
	ranks[1].tp->ops->reset(ranks[1].tp, 0);
	for (int k = 0; k < POLLS && !ranks[0].downs; k++)
		look(0);
	CU_ASSERT(all_there(1, 0) && ranks[0].downs == 1);
	send_to(1, 0, 8); /* by a new connection, of which nothing is known */
	for (int k = 0; k < POLLS && !all_there(1, 0); k++) {
		look(0);
		look(1);
	}
	send_to(0, 1, 300);
	get(0, 1);
	CU_ASSERT(all_there(1, 0) && ranks[1].downs == 0);
	end();
}

/* Where what follows is long it would be copied twice: it is not looked at again for some time. */
static void long_ones(enum art_tp_security security)
{
	begin(security, 0);
	for (int k = 0; k < 4; k++) {
		send_to(0, 1, 0);
		get(0, 1);
		send_to(0, 1, LONGEST);
		get(0, 1);
		send_to(1, 0, 0);
		get(1, 0);
	}
	CU_ASSERT_EQUAL(ranks[1].looks, 1);
	end();
}

/* The owner of the control channel sleeps without arm(). */
static void not_on_control(enum art_tp_security security)
{
	begin(security, 1);
	for (int k = 0; k < 3; k++) {
		send_to(0, 1, 0);
		get(0, 1);
	}
	CU_ASSERT_EQUAL(ranks[1].looks, 0);
	CU_ASSERT_FALSE(readable(1));
	end();
}

/* Who asks epoll, as several are busy, would be told of it again and again. */
static void not_of_several(enum art_tp_security security)
{
	begin(security, 0);
	send_to(2, 1, 0);
	for (int k = 0; k < POLLS && !all_there(2, 1); k++) {
		look(2);
		look(1);
	}
	for (int k = 0; k < 3; k++) {
		send_to(0, 1, 0);
		get(0, 1);
	}
	CU_ASSERT_EQUAL(ranks[1].looks, 0);
	end();
}

/* And who asks it as something waits to be written. */
static void not_while_others_wait(enum art_tp_security security)
{
	begin(security, 0);
	send_to(1, 2, 0);
	for (int k = 0; k < POLLS && !all_there(1, 2); k++) {
		look(1);
		look(2);
	}
	while (ranks[1].tp->ops->pending(ranks[1].tp) == 0)
		send_to(1, 2, LONGEST);
	for (int k = 0; k < 3; k++) {
		send_to(0, 1, 0);
		get(0, 1);
	}
	CU_ASSERT_EQUAL(ranks[1].looks, 0);
	end();
}

/* Two short ones for each that is long, either way, read as badly as can be. */
static void in_the_rough(enum art_tp_security security)
{
	unsigned looks = 0;

	for (unsigned seed = 1; seed <= 30; seed++) {
		begin(security, 0);
		draws = seed;
		rough = true;
		for (int k = 0; k < 300; k++) {
			int from = draw(3) == 0;

			send_to(from, !from, draw(3) ? draw(200) : draw(LONGEST));
			for (unsigned n = draw(4); n > 0; n--)
				look(!from);
			if (draw(8) == 0)
				art__transport_arm(ranks[draw(2)].tp);
		}
		for (int k = 0; k < POLLS && !(all_there(0, 1) && all_there(1, 0)); k++) {
			look(0);
			look(1);
		}
		CU_ASSERT(all_there(0, 1) && all_there(1, 0) && !ranks[0].downs && !ranks[1].downs);
		looks += ranks[0].looks + ranks[1].looks;
		rough = false;
		end();
	}
	CU_ASSERT(looks > 300);
}

static void the_second_of_two(void) { each_way(second_of_two); }
static void who_sleeps_then(void) { each_way(sleep_after_it); }
static void the_connection_ends(void) { each_way(the_end_after_it); }
static void its_owner_closes(void) { each_way(its_own_end_after_it); }
static void its_owner_resets(void) { each_way(a_reset_after_it); }
static void what_is_long(void) { each_way(long_ones); }
static void the_control_channel(void) { each_way(not_on_control); }
static void several_that_are_busy(void) { each_way(not_of_several); }
static void others_that_wait(void) { each_way(not_while_others_wait); }
static void anything_in_the_rough(void) { each_way(in_the_rough); }

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the second of two", the_second_of_two },
		{ "who sleeps then", who_sleeps_then },
		{ "the connection ends", the_connection_ends },
		{ "its owner closes", its_owner_closes },
		{ "its owner resets", its_owner_resets },
		{ "what is long", what_is_long },
		{ "the control channel", the_control_channel },
		{ "several that are busy", several_that_are_busy },
		{ "others that wait", others_that_wait },
		{ "anything, in the rough", anything_in_the_rough },
		CU_TEST_INFO_NULL,
	};

	art__env_posix(&env, NULL, ART_LOG_ERROR);
	return unit_run("tcp_look", tests);
}
