/* SPDX-License-Identifier: MIT
 *
 * The cases: each one paragraph of the contract in src/transport/transport.h.
 */
#include <string.h>

#include "tests/conformance/conformance.h"

static struct conf_node *node(struct conf *c, int slot)
{
	return &c->node[slot];
}

static struct conf_seen *seen(struct conf *c, int slot, int peer)
{
	return &c->node[slot].peer[peer];
}

static bool all_came(struct conf *c)
{
	for (int i = 0; i < c->size; i++)
		for (int k = 0; k < c->size; k++)
			if (i != k && !conf_came(c, i, k))
				return false;
	return true;
}

/* Both have a connection and nothing is under way. */
static void connect_pair(struct conf *c, int a, int b)
{
	CHECK(c, conf_send(node(c, a), b, 10, 1) >= 0);
	CHECK(c, conf_send(node(c, b), a, 10, 1) >= 0);
	UNTIL(c, conf_came(c, a, b) && conf_came(c, b, a));
}

static bool has_fd(struct conf *c)
{
	return c->ops->caps(node(c, 0)->tp) & ART_TP_CAP_FD;
}

/* @slot hands everything to its system; nobody else polls. */
static void drain(struct conf *c, int slot)
{
	struct conf_node *n = node(c, slot);

	for (conf_mark(c); n->tp->ops->pending(n->tp) > 0;)
		if (conf_poll(n, 1) == 0)
			conf_advance(c);
}

static void whole_once_in_order(struct conf *c)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 65535, 65536 };

	conf_begin(c, 2);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (int pieces = sizes[i] ? 1 : 0; pieces < 8; pieces += 1 + round) {
				CHECK(c, conf_send(node(c, 0), 1, sizes[i], pieces) >= 0);
				CHECK(c, conf_send(node(c, 1), 0, sizes[i], pieces) >= 0);
			}
	UNTIL(c, all_came(c));
	CHECK(c, seen(c, 0, 1)->ups == 1 && seen(c, 1, 0)->ups == 1);
	CHECK(c, seen(c, 0, 1)->downs == 0 && seen(c, 1, 0)->downs == 0);
	conf_end(c);
}

static void back_pressure_and_room(struct conf *c)
{
	c->opts.queue_high = 64 * 1024;
	conf_begin(c, 2);
	for (int round = 0; round < 3; round++) {
		unsigned rooms = seen(c, 0, 1)->rooms;
		int sent = 0, r;

		do {
			r = conf_send(node(c, 0), 1, 4000, 2);
			CHECK(c, r >= 0 && ++sent < 10000);
		} while (r == 1);
		CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) > 0);
		CHECK(c, conf_send(node(c, 0), 1, 1, 1) == 0); /* still taken, still full */
		UNTIL(c, seen(c, 0, 1)->rooms == rooms + 1);
		CHECK(c, conf_send(node(c, 0), 1, 1, 1) == 1);
		UNTIL(c, conf_came(c, 0, 1));
	}
	CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) == 0);
	CHECK(c, seen(c, 0, 1)->downs == 0 && seen(c, 1, 0)->downs == 0);
	conf_end(c);
}

/* Of what a run leaves behind nothing may be lost, doubled or torn, wherever the system stops. */
static void runs_go_as_far_as_there_is_room(struct conf *c)
{
	bool stays = strncmp(c->rig->name, "tcp", 3) == 0 && c->rig->security != ART_TP_ENCRYPT, room;
	struct conf_node *n;
	unsigned stops = 0;

	conf_begin(c, 2);
	n = node(c, 0);
	CHECK(c, conf_send_run(n, 1, 3, 1000, 7, &room) == 3); /* before there is a connection */
	UNTIL(c, conf_came(c, 0, 1));
	for (int i = 0; i < 60 || stops < 3; i++) {
		unsigned rooms = seen(c, 0, 1)->rooms;
		int all = 1 + i * 7 % ART_TP_RUN_MAX, taken;
		size_t each = i % 5 ? 30000 + (size_t)i : 64 + (size_t)i;

		CHECK(c, i < 10000);
		taken = conf_send_run(n, 1, all, each, 1 + (size_t)i % each, &room);
		CHECK(c, taken >= 0);
		/* What the system takes none of stays with the caller. */
		CHECK(c, !stays || taken == 0 || taken == all ||
			 n->tp->ops->pending(n->tp) <= each + ART_TP_HEAD);
		if (i % 9 == 4)
			CHECK(c, conf_send(n, 1, 50, 1) >= 0); /* between two runs, full or not */
		if (room)
			continue;
		stops++;
		UNTIL(c, seen(c, 0, 1)->rooms > rooms);
	}
	UNTIL(c, conf_came(c, 0, 1));
	CHECK(c, seen(c, 0, 1)->downs == 0 && seen(c, 1, 0)->downs == 0);
	conf_end(c);
}

static void too_much_ends_the_connection(struct conf *c)
{
	c->opts.queue_high = 64 * 1024;
	c->opts.queue_max = 512 * 1024;
	conf_begin(c, 2);
	connect_pair(c, 0, 1);
	conf_mark(c);
	for (int i = 0; seen(c, 0, 1)->downs == 0; i++) { /* the receiver does not poll */
		CHECK(c, i < 4000);
		CHECK(c, conf_send(node(c, 0), 1, 32768, 1) >= 0);
		if (!has_fd(c) || conf_readable(node(c, 0))) /* the descriptor tells of it */
			conf_poll(node(c, 0), 16);
	}
	CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) == 0); /* forgotten */
	UNTIL(c, seen(c, 1, 0)->downs == 1); /* after a prefix, in order: checked on arrival */
	connect_pair(c, 0, 1); /* a later send dials anew */
	CHECK(c, seen(c, 0, 1)->ups == 2 && seen(c, 1, 0)->ups == 2);
	conf_end(c);
}

/* One side's dial starts @lead polls before the other's. */
static void dial_both(struct conf *c, int first, int lead)
{
	CHECK(c, conf_send(node(c, first), 1 - first, 100, 1) == 1);
	for (int i = 0; i < lead; i++)
		conf_poll(node(c, i % 2 ? first : 1 - first), 16);
	CHECK(c, conf_send(node(c, 1 - first), first, 100, 1) == 1);
	for (int i = 0; i < 2; i++) {
		CHECK(c, conf_send(node(c, 0), 1, 5000, 3) == 1);
		CHECK(c, conf_send(node(c, 1), 0, 7, 1) == 1);
	}
	UNTIL(c, all_came(c));
}

static void both_dial_at_once(struct conf *c)
{
	conf_begin(c, 2);
	for (int round = 0; round < 200; round++) {
		dial_both(c, round % 2, round % 23);
		CHECK(c, seen(c, 0, 1)->up && seen(c, 1, 0)->up);
		conf_reset(node(c, 0), 1);
		conf_reset(node(c, 1), 0);
		seen(c, 0, 1)->gap = seen(c, 1, 0)->gap = false; /* nothing was under way */
	}
	CHECK(c, seen(c, 0, 1)->ups == 200 && seen(c, 1, 0)->ups == 200);
	CHECK(c, seen(c, 0, 1)->downs == 0 && seen(c, 1, 0)->downs == 0);
	conf_end(c);
}

static void what_arrived_comes_before_the_end(struct conf *c)
{
	conf_begin(c, 2);
	connect_pair(c, 0, 1);
	for (int i = 0; i < 40; i++)
		CHECK(c, conf_send(node(c, 0), 1, 5000, 1) == 1);
	CHECK(c, conf_send(node(c, 1), 0, 1000, 1) == 1); /* unread when 0 closes */
	drain(c, 1);
	drain(c, 0);
	c->rig->settle(c);
	conf_close(c, 0);
	UNTIL(c, seen(c, 1, 0)->downs == 1);
	CHECK(c, conf_came(c, 0, 1));
	CHECK(c, seen(c, 1, 0)->why == ART_TP_CLOSED || seen(c, 1, 0)->why == ART_TP_RESET);
	conf_end(c);
}

static void closed_and_opened_again(struct conf *c)
{
	conf_begin(c, 2);
	for (int round = 0; round < 5; round++) {
		connect_pair(c, 0, 1);
		uint64_t sent = seen(c, 1, 0)->sent, received = seen(c, 1, 0)->received;
		unsigned downs = seen(c, 1, 0)->downs;

		conf_close(c, 0);
		UNTIL(c, seen(c, 1, 0)->downs == downs + 1);
		conf_open(c, 0);
		conf_introduce(c, 0, 1);
		conf_introduce(c, 1, 0);
		seen(c, 0, 1)->sent = received;
		seen(c, 0, 1)->received = sent;
	}
	conf_end(c);
}

static void reset_and_connect_again(struct conf *c)
{
	conf_begin(c, 2);
	for (int round = 0; round < 50; round++) {
		unsigned downs = seen(c, 1, 0)->downs;

		connect_pair(c, 0, 1);
		if (round % 2)
			CHECK(c, conf_send(node(c, 0), 1, 2000, 1) == 1); /* may be lost */
		conf_reset(node(c, 0), 1);
		CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) == 0);
		if (round % 3)
			UNTIL(c, seen(c, 1, 0)->downs == downs + 1);
		CHECK(c, conf_send(node(c, 0), 1, 30, 1) == 1);
		UNTIL(c, conf_came(c, 0, 1));
		CHECK(c, seen(c, 1, 0)->downs == downs + 1);
		CHECK(c, seen(c, 0, 1)->downs == 0); /* no upcall where reset() was called */
	}
	CHECK(c, seen(c, 1, 0)->ups == 51 && seen(c, 0, 1)->ups == 51);
	conf_end(c);
}

static void dropped_for_ever(struct conf *c)
{
	c->opts.connect_ns = ART_NS_PER_S; /* longer than this process ever waits for a processor */
	conf_begin(c, 3);
	connect_pair(c, 0, 1);
	connect_pair(c, 0, 2);
	CHECK(c, conf_send(node(c, 1), 0, 5000, 1) == 1); /* must not be delivered */
	conf_drop(node(c, 0), 1);
	CHECK(c, conf_send(node(c, 0), 1, 1, 1) < 0);
	CHECK(c, node(c, 0)->tp->ops->connect(node(c, 0)->tp, 1) < 0);
	UNTIL(c, seen(c, 1, 0)->downs == 1);
	CHECK(c, conf_send(node(c, 1), 0, 64, 1) >= 0);
	UNTIL(c, seen(c, 1, 0)->downs == 2);
	CHECK(c, seen(c, 1, 0)->why == ART_TP_REFUSED);
	CHECK(c, !seen(c, 1, 0)->up && seen(c, 1, 0)->ups == 1);
	connect_pair(c, 0, 2); /* nobody else is disturbed */
	CHECK(c, seen(c, 2, 0)->downs == 0 && seen(c, 0, 2)->downs == 0);
	conf_end(c);
}

/* The descriptor is readable while poll() would find something. */
static void descriptor_tells_of_messages(struct conf *c)
{
	conf_begin(c, 2);
	connect_pair(c, 0, 1);
	if (!(c->ops->caps(node(c, 0)->tp) & ART_TP_CAP_FD)) {
		CHECK(c, c->ops->fd(node(c, 0)->tp) == -1);
		conf_end(c);
		return;
	}
	for (int i = 0; i < 100; i++) /* both come to rest */
		CHECK(c, conf_poll(node(c, 0), 16) + conf_poll(node(c, 1), 16) == 0);
	CHECK(c, !conf_readable(node(c, 0)) && !conf_readable(node(c, 1)));
	for (int i = 0; i < 20; i++)
		CHECK(c, conf_send(node(c, 0), 1, 200, 1) == 1);
	drain(c, 0);
	while (!conf_came(c, 0, 1)) { /* one message at a time, asking the descriptor before each */
		while (!conf_readable(node(c, 1)))
			if (conf_poll(node(c, 0), 1) == 0) /* its way may have failed, which only it finds out */
				conf_advance(c);
		CHECK(c, conf_poll(node(c, 1), 1) <= 1);
	}
	conf_end(c);
}

static void budget_is_kept(struct conf *c)
{
	conf_begin(c, 2);
	connect_pair(c, 0, 1);
	for (int i = 0; i < 30; i++)
		CHECK(c, conf_send(node(c, 0), 1, 100, 1) == 1);
	drain(c, 0);
	for (conf_mark(c); !conf_came(c, 0, 1);) {
		unsigned before = seen(c, 1, 0)->got;
		int calls = conf_poll(node(c, 1), 3);

		CHECK(c, seen(c, 1, 0)->got <= before + 3);
		CHECK(c, calls >= (int)(seen(c, 1, 0)->got - before));
		if (!calls)
			conf_advance(c);
	}
	conf_end(c);
}

static void nobody_listens(struct conf *c)
{
	c->opts.connect_ns = 200 * ART_NS_PER_MS;
	conf_begin(c, 2);
	conf_close(c, 1); /* its address stays known, and nobody is there */
	for (unsigned round = 1; round <= 3; round++) {
		uint64_t start = c->rig->now_ns(c);

		CHECK(c, conf_send(node(c, 0), 1, 1000, 1) == 1);
		CHECK(c, conf_send(node(c, 0), 1, 1000, 1) == 1);
		UNTIL(c, seen(c, 0, 1)->downs == round);
		CHECK(c, seen(c, 0, 1)->why == ART_TP_REFUSED);
		CHECK(c, seen(c, 0, 1)->ups == 0);
		CHECK(c, node(c, 0)->tp->ops->pending(node(c, 0)->tp) == 0);
		CHECK(c, c->rig->now_ns(c) - start < 60 * ART_NS_PER_S);
	}
	CHECK(c, node(c, 0)->tp->ops->wake_ns(node(c, 0)->tp) == ART_NEVER);
	conf_end(c);
}

static void connect_without_a_message(struct conf *c)
{
	conf_begin(c, 2);
	CHECK(c, node(c, 0)->tp->ops->connect(node(c, 0)->tp, 1) == 0);
	CHECK(c, node(c, 0)->tp->ops->connect(node(c, 0)->tp, 1) == 0);
	UNTIL(c, seen(c, 0, 1)->up && seen(c, 1, 0)->up);
	CHECK(c, node(c, 0)->tp->ops->connect(node(c, 0)->tp, 1) == 0);
	connect_pair(c, 0, 1);
	CHECK(c, seen(c, 0, 1)->ups == 1 && seen(c, 1, 0)->ups == 1);
	conf_end(c);
}

static void all_pairs(struct conf *c)
{
	conf_begin(c, CONF_NODES);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < c->size; i++)
			for (int k = 0; k < c->size; k++)
				if (i != k)
					CHECK(c, conf_send(node(c, i), k, 700, 2) >= 0);
		if (round % 5 == 0)
			conf_turn(c);
	}
	UNTIL(c, all_came(c));
	for (int i = 0; i < c->size; i++)
		for (int k = 0; k < c->size; k++)
			CHECK(c, i == k || (seen(c, i, k)->ups == 1 && !seen(c, i, k)->downs));
	conf_end(c);
}

static void garbage_ends_only_its_connection(struct conf *c)
{
	conf_begin(c, 3);
	connect_pair(c, 0, 1);
	connect_pair(c, 2, 1);
	for (int i = 0; i < 5; i++)
		CHECK(c, conf_send(node(c, 0), 1, 300, 1) == 1);
	conf_send_garbage(node(c, 0), 1);
	CHECK(c, conf_send(node(c, 0), 1, 300, 1) >= 0); /* behind it: never delivered */
	UNTIL(c, seen(c, 1, 0)->downs == 1 && seen(c, 0, 1)->downs == 1);
	CHECK(c, seen(c, 1, 0)->why == ART_TP_GARBAGE);
	CHECK(c, seen(c, 1, 0)->got == 6); /* one from connecting, five before it */
	connect_pair(c, 2, 1);
	CHECK(c, seen(c, 1, 2)->downs == 0 && seen(c, 2, 1)->downs == 0);
	connect_pair(c, 0, 1);
	conf_end(c);
}

static void echo(struct conf_node *n, int peer)
{
	if (n->peer[peer].sent < 50)
		CHECK(n->c, conf_send(n, peer, 10 + n->peer[peer].sent * 40, 1) == 1);
}

static void redial(struct conf_node *n, int peer)
{
	CHECK(n->c, conf_send(n, peer, 20, 1) == 1);
}

static void reset_other(struct conf_node *n, int peer)
{
	n->on_message = NULL;
	conf_reset(n, peer == 0 ? 2 : 0);
	conf_reset(n, peer);
}

static void drop_sender(struct conf_node *n, int peer)
{
	n->on_message = NULL;
	conf_drop(n, peer);
}

static void upcalls_may_call_back(struct conf *c)
{
	conf_begin(c, 3);
	node(c, 0)->on_message = node(c, 1)->on_message = echo;
	CHECK(c, conf_send(node(c, 0), 1, 1, 1) == 1);
	UNTIL(c, seen(c, 0, 1)->sent == 50 && seen(c, 1, 0)->sent == 50 && all_came(c));
	node(c, 0)->on_message = node(c, 1)->on_message = NULL;

	connect_pair(c, 1, 2);
	node(c, 0)->on_down = node(c, 2)->on_down = redial; /* when 1 resets them */
	node(c, 1)->on_message = reset_other;
	CHECK(c, conf_send(node(c, 0), 1, 9, 1) == 1);
	UNTIL(c, seen(c, 0, 1)->downs == 1 && seen(c, 2, 1)->downs == 1 && conf_came(c, 0, 1) &&
		 conf_came(c, 2, 1));
	node(c, 0)->on_down = node(c, 2)->on_down = NULL;

	node(c, 1)->on_message = drop_sender;
	for (int i = 0; i < 10; i++)
		CHECK(c, conf_send(node(c, 0), 1, 9, 1) == 1);
	UNTIL(c, seen(c, 0, 1)->downs == 2);
	CHECK(c, seen(c, 1, 0)->silent);
	connect_pair(c, 1, 2);
	conf_end(c);
}

static void bad_addresses(struct conf *c)
{
	static const char *const bad[] = { "", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":80",
					   "127.0.0.1:70000", "shm:", "shm:0123",
					   "shm:0123456789abcdeg", "shm:0123456789abcdef0", "0.0.0.0:80", "127.0.0.1:0",
					   "300.1.1.1:80", "127.0.0.1:80 ", "sim:99/0", "sim:",
					   "::1:80", "[::1]", "[::1]:", "[::1]80", "[::1:80",
					   "[::]:80", "[::1]:0", "[ff02::1]:80", "[127.0.0.1]:80",
					   "[::ffff:127.0.0.1]:80", "[::1%lo]:80", "[::1]:80,",
					   ",[::1]:80", "[fe80::1%nosuch0]:80",
					   "1.1.1.1:1,1.1.1.2:1,1.1.1.3:1" };

	conf_begin(c, 2);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(c, c->ops->peer(node(c, 0)->tp, 1, bad[i]) < 0);
	connect_pair(c, 0, 1); /* the good one was kept */
	conf_end(c);
}

static void no_address_no_send(struct conf *c)
{
	conf_begin(c, 2);
	conf_close(c, 0);
	conf_open(c, 0); /* told nothing about 1 */
	CHECK(c, conf_send(node(c, 0), 1, 1, 1) < 0);
	CHECK(c, c->ops->connect(node(c, 0)->tp, 1) < 0);
	conf_end(c);
}

static void closing_with_work_left(struct conf *c)
{
	c->opts.queue_high = 16 * 1024;
	conf_begin(c, 4);
	connect_pair(c, 0, 1);
	for (int i = 0; i < 300; i++)
		CHECK(c, conf_send(node(c, 0), 1, 60000, 1) >= 0); /* queued on a connection */
	CHECK(c, conf_send(node(c, 0), 2, 60000, 1) >= 0); /* queued on a dial */
	CHECK(c, conf_send(node(c, 3), 0, 10, 1) >= 0);
	conf_poll(node(c, 1), 1); /* messages left for want of budget */
	conf_poll(node(c, 0), 16);
	conf_end(c); /* frees all, checked there */
}

const struct conf_case conf_cases[] = {
	{ "whole_once_in_order", whole_once_in_order },
	{ "back_pressure_and_room", back_pressure_and_room },
	{ "too_much_ends_the_connection", too_much_ends_the_connection },
	{ "both_dial_at_once", both_dial_at_once },
	{ "what_arrived_comes_before_the_end", what_arrived_comes_before_the_end },
	{ "closed_and_opened_again", closed_and_opened_again },
	{ "reset_and_connect_again", reset_and_connect_again },
	{ "dropped_for_ever", dropped_for_ever },
	{ "descriptor_tells_of_messages", descriptor_tells_of_messages },
	{ "budget_is_kept", budget_is_kept },
	{ "nobody_listens", nobody_listens },
	{ "connect_without_a_message", connect_without_a_message },
	{ "all_pairs", all_pairs },
	{ "garbage_ends_only_its_connection", garbage_ends_only_its_connection },
	{ "upcalls_may_call_back", upcalls_may_call_back },
	{ "bad_addresses", bad_addresses },
	{ "no_address_no_send", no_address_no_send },
	{ "closing_with_work_left", closing_with_work_left },
	{ "runs_go_as_far_as_there_is_room", runs_go_as_far_as_there_is_room },
	{ NULL, NULL },
};
