/* SPDX-License-Identifier: MIT
 *
 * Description: short answers to messages that came together are held for a moment (tcp_hold.c). They leave with the
 * same look at the sockets, though nothing else happens after it: also when the connection ends that the messages
 * came of, when the look ends before they are all delivered, when there are more peers than places; and who is
 * reset or gone costs the others nothing.
 */
#include <string.h>

#include "base/env.h"
#include "tests/lib/unit.h"
#include "transport/tcp/tcp.h"

#define RANKS 8
#define ASKER 0
#define MIDDLE 1
#define OTHERS 2   /* from here on */
#define POLLS 5000000 /* the system may be late with what it was given */

struct rank {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	int got[RANKS], downs, heard;
	bool wrong;
};

static struct art_env env;
static struct rank ranks[RANKS];
static int to_each;            /* what is asked for by each message: an answer to so many others */
static int resets, reset_at;   /* with the message of this number this rank is cut; -1: none */

static void send_to(int from, int to)
{
	uint8_t head[ART_TP_HEAD] = "message";
	struct iovec v = { head, sizeof(head) };

	head[8] = (uint8_t)from;
	CU_ASSERT(ranks[from].tp->ops->send(ranks[from].tp, to, &v, 1) == 1);
}

static int64_t no_body(void *self, const uint8_t *head)
{
	(void)self;
	return memcmp(head, "message", 8) ? -1 : 0;
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct rank *r = self;

	(void)body;
	r->got[peer]++;
	r->wrong |= head[8] != peer || len != 0;
	if (r != &ranks[MIDDLE] || peer != ASKER)
		return;
	for (int i = 0; i < to_each; i++)
		send_to(MIDDLE, OTHERS + i);
	if (r->heard++ == reset_at)
		r->tp->ops->reset(r->tp, resets);
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

static void look(int rank, int budget)
{
	ranks[rank].tp->ops->poll(ranks[rank].tp, budget);
}

static bool all_got(int from, int below, int n)
{
	for (int i = from; i < below; i++)
		if (ranks[i].tp && ranks[i].got[MIDDLE] != n)
			return false;
	return true;
}

/* All others look, the one in the middle does not. */
static void others_get(int from, int below, int n)
{
	for (int k = 0; k < POLLS && !all_got(from, below, n); k++)
		for (int i = from; i < below; i++)
			if (ranks[i].tp)
				look(i, 64);
	CU_ASSERT(all_got(from, below, n));
}

/* The one in the middle is connected with all. */
static void begin(enum art_tp_security security)
{
	struct art_tp_opts opts = { .security = security };

	memset(ranks, 0, sizeof(ranks));
	to_each = 0;
	reset_at = -1;
	for (int i = 0; i < RANKS; i++) {
		struct art_tp_self self = { .slot = i, .size = RANKS, .job = 7 };
		struct art_tp_up up = { &ranks[i], no_body, on_message, ignore, ignore, on_down, NULL, NULL, NULL };

		CU_ASSERT_FATAL(art__tcp_ops.open(&env, &self, &opts, &up, &ranks[i].tp) == 0);
		CU_ASSERT_FATAL(art__tcp_ops.listen(ranks[i].tp, ranks[i].addr) == 0);
	}
	for (int i = 0; i < RANKS; i++)
		for (int k = 0; k < RANKS; k++)
			CU_ASSERT_FATAL(i == k || art__tcp_ops.peer(ranks[i].tp, k, ranks[k].addr) == 0);
	for (int i = 0; i < RANKS; i++)
		if (i != MIDDLE)
			send_to(MIDDLE, i);
	for (int k = 0; k < POLLS && !(all_got(ASKER, MIDDLE, 1) && all_got(OTHERS, RANKS, 1)); k++)
		for (int i = 0; i < RANKS; i++)
			look(i, 64);
	CU_ASSERT_FATAL(all_got(ASKER, MIDDLE, 1) && all_got(OTHERS, RANKS, 1));
}

static void leave(int rank)
{
	ranks[rank].tp->ops->close(ranks[rank].tp);
	ranks[rank].tp = NULL;
}

static void end(void)
{
	for (int i = 0; i < RANKS; i++) {
		CU_ASSERT_FALSE(ranks[i].wrong);
		if (ranks[i].tp)
			leave(i);
	}
}

/* @n messages that come together, unless the system takes its time, and no look behind that in which the one of
 * number @upto was delivered. */
static void ask(int n, int budget, int upto)
{
	for (int i = 0; i < n; i++)
		send_to(ASKER, MIDDLE);
	for (int k = 0; k < POLLS && ranks[MIDDLE].heard < upto; k++)
		look(MIDDLE, budget);
	CU_ASSERT(ranks[MIDDLE].heard >= upto);
}

static void each_way(void (*body)(enum art_tp_security))
{
	body(ART_TP_PLAIN);
	body(ART_TP_MAC);
	body(ART_TP_ENCRYPT);
}

static void to_more_than_are_held(enum art_tp_security security)
{
	begin(security);
	to_each = RANKS - OTHERS;
	CU_ASSERT(to_each > ART_TCP_HOLDS);
	ask(5, 64, 5);
	others_get(OTHERS, RANKS, 6);
	end();
}

static void more_than_a_look_delivers(enum art_tp_security security)
{
	begin(security);
	to_each = 2;
	ask(5, 2, 2);
	others_get(OTHERS, OTHERS + 2, 1 + ranks[MIDDLE].heard);
	end();
}

static void who_asked_is_cut(enum art_tp_security security)
{
	begin(security);
	to_each = 2;
	reset_at = 1;
	resets = ASKER;
	ask(5, 64, 2);
	CU_ASSERT_EQUAL(ranks[MIDDLE].heard, 2);
	others_get(OTHERS, OTHERS + 2, 3);
	end();
}

/* What was held for one that is cut is lost with its connection; what is sent to it then takes a new one. */
static void who_is_answered_is_cut(enum art_tp_security security)
{
	begin(security);
	to_each = 3;
	reset_at = 1;
	resets = OTHERS + 1;
	ask(5, 64, 5);
	others_get(OTHERS, OTHERS + 1, 6);
	others_get(OTHERS + 2, OTHERS + 3, 6);
	for (int k = 0; k < POLLS && ranks[OTHERS + 1].got[MIDDLE] < 4; k++) {
		look(MIDDLE, 64);
		look(OTHERS + 1, 64);
	}
	CU_ASSERT(ranks[OTHERS + 1].got[MIDDLE] >= 4 && ranks[OTHERS + 1].downs == 1);
	end();
}

static void who_is_answered_is_gone(enum art_tp_security security)
{
	begin(security);
	to_each = 3;
	leave(OTHERS);
	for (int k = 0; k < 3; k++) {
		ranks[MIDDLE].heard = 0;
		ask(4, 64, 4);
		others_get(OTHERS + 1, OTHERS + 3, 5 + 4 * k);
	}
	for (int k = 0; k < POLLS && !ranks[MIDDLE].downs; k++)
		look(MIDDLE, 64);
	CU_ASSERT(ranks[MIDDLE].downs > 0);
	end();
}

static void more_peers_than_places(void) { each_way(to_more_than_are_held); }
static void a_look_that_ends_before(void) { each_way(more_than_a_look_delivers); }
static void the_asker_is_cut(void) { each_way(who_asked_is_cut); }
static void one_of_the_answered_is_cut(void) { each_way(who_is_answered_is_cut); }
static void one_of_the_answered_is_gone(void) { each_way(who_is_answered_is_gone); }

int main(void)
{
	CU_TestInfo tests[] = {
		{ "more peers than places", more_peers_than_places },
		{ "a look that ends before", a_look_that_ends_before },
		{ "the asker is cut", the_asker_is_cut },
		{ "one of the answered is cut", one_of_the_answered_is_cut },
		{ "one of the answered is gone", one_of_the_answered_is_gone },
		CU_TEST_INFO_NULL,
	};

	art__env_posix(&env, NULL, ART_LOG_ERROR);
	return unit_run("tcp_hold", tests);
}
