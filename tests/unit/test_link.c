/* SPDX-License-Identifier: MIT
 *
 * The link between a machine and its transports, over the simulated transport and with faults in
 * between: what a machine sees of lost, doubled, delayed and foreign messages, of ends and
 * restarts of connections, in virtual time.
 */
#include <stdlib.h>
#include <string.h>

#include <art/status.h>

#include "base/env.h"
#include "engine/link.h"
#include "tests/lib/unit.h"
#include "transport/fault/fault.h"
#include "transport/sim/sim.h"

#define N 3
#define STEPS 100000

/* A machine that takes notes: the numbers (hdr.seq) of what it got from each slot. */
struct node {
	struct art_machine machine;
	struct art_link link;
	struct art_tp *tp[2];
	uint64_t got[N][512];
	int ngot[N];
	int downs[N], ctl_downs[N], rooms[N];
	bool body_ok;
	bool fence_on_frame;
};

struct bench {
	struct art_env env;
	struct art_sim_world *world;
	struct node node[N];
	struct art_fault_opts fault;
	uint64_t hits[ART_FAULT_RULES];
};

static void fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed * 131 + i * 7);
}

static void on_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	struct node *n = (struct node *)m;
	uint8_t *want = malloc(h->len + 1);

	(void)chan;
	CU_ASSERT_EQUAL(h->src, (uint32_t)from);
	fill(want, h->len, h->seq);
	n->body_ok &= !h->len || memcmp(want, body, h->len) == 0;
	free(want);
	if (n->ngot[from] < 512)
		n->got[from][n->ngot[from]++] = h->seq;
	if (n->fence_on_frame)
		art__link_fence(&n->link, from);
}

static void on_room(struct art_machine *m, int to)
{
	((struct node *)m)->rooms[to]++;
}

static void on_link_down(struct art_machine *m, enum art_chan chan, int peer)
{
	struct node *n = (struct node *)m;

	if (chan == ART_CHAN_DATA)
		n->downs[peer]++;
	else
		n->ctl_downs[peer]++;
}

static const struct art_machine_ops note_ops = {
	.frame = on_frame, .room = on_room, .link_down = on_link_down,
};

static uint64_t world_now(void *self)
{
	return art__sim_now(((struct bench *)self)->world);
}

static void *world_alloc(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes);
}

static void world_free(void *self, void *p)
{
	(void)self;
	free(p);
}

static void world_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	(void)line;
}

static uint64_t world_random(void *self)
{
	return art__sim_random(((struct bench *)self)->world);
}

static int open_chan(struct bench *b, int slot, enum art_chan chan, const char *rules)
{
	struct art_tp_self self = { .slot = slot, .size = N, .channel = (uint32_t)chan, .job = 7 };
	struct art_tp_opts opts = { .queue_high = 32 * 1024, .queue_max = 1 << 20,
				    .connect_ns = 50 * ART_NS_PER_MS, .world = &b->fault };
	struct node *n = &b->node[slot];
	struct art_tp_up up;
	char addr[ART_TP_ADDR_MAX];
	int rc;

	memset(&b->fault, 0, sizeof(b->fault));
	b->fault.inner = &art__sim_ops;
	b->fault.inner_world = b->world;
	b->fault.seed = 11;
	b->fault.hits = b->hits;
	rc = art__fault_parse(rules, &b->fault, NULL);
	art__link_up(&n->link, chan, &up);
	rc = rc ? rc : art__fault_ops.open(&b->env, &self, &opts, &up, &n->tp[chan]);
	if (rc)
		return rc;
	art__link_attach(&n->link, chan, n->tp[chan]);
	return n->tp[chan]->ops->listen(n->tp[chan], addr);
}

static struct bench *bench_open(uint64_t seed, const char *rules)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct art_sim_cfg cfg;
	char addr[ART_TP_ADDR_MAX];

	b->env = (struct art_env){ .self = b, .now_ns = world_now, .random = world_random,
				   .alloc = world_alloc, .free = world_free, .log = world_log };
	art__sim_defaults(&cfg, N, seed);
	CU_ASSERT_EQUAL_FATAL(art__sim_create(&b->env, &cfg, &b->world), 0);
	for (int s = 0; s < N; s++) {
		b->node[s].machine.ops = &note_ops;
		b->node[s].body_ok = true;
		CU_ASSERT_EQUAL_FATAL(art__link_init(&b->node[s].link, &b->env, s, N), 0);
		b->node[s].link.machine = &b->node[s].machine;
		CU_ASSERT_EQUAL_FATAL(open_chan(b, s, ART_CHAN_DATA, rules), 0);
		CU_ASSERT_EQUAL_FATAL(open_chan(b, s, ART_CHAN_CTL, rules), 0);
	}
	for (int s = 0; s < N; s++) {
		for (int k = 0; k < 2 * N; k++) {
			struct art_tp *tp = b->node[s].tp[k % 2];

			snprintf(addr, sizeof(addr), "sim:%d/%d", k / 2, k % 2);
			if (k / 2 != s)
				CU_ASSERT_EQUAL(tp->ops->peer(tp, k / 2, addr), 0);
		}
	}
	return b;
}

static void bench_close(struct bench *b)
{
	for (int s = 0; s < N; s++) {
		b->node[s].tp[0]->ops->close(b->node[s].tp[0]);
		b->node[s].tp[1]->ops->close(b->node[s].tp[1]);
		art__link_fini(&b->node[s].link);
	}
	art__sim_destroy(b->world);
	free(b);
}

static void nothing(void *self, uint64_t word)
{
	(void)self;
	(void)word;
}

/* Serves every instance; makes sure that time reaches what they wait for. */
static int serve(struct bench *b)
{
	uint64_t wake = ART_NEVER;
	int calls = 0;

	for (int k = 0; k < 2 * N; k++) {
		struct node *n = &b->node[k / 2];
		struct art_tp *tp = n->tp[k % 2];
		uint64_t at;

		calls += art__link_poll(&n->link, (enum art_chan)(k % 2), 4);
		at = tp->ops->wake_ns(tp);
		wake = at < wake ? at : wake;
	}
	if (wake != ART_NEVER && wake > art__sim_now(b->world) && art__sim_next(b->world) > wake)
		art__sim_at(b->world, wake, nothing, NULL, 0);
	return calls;
}

/* Until nothing moves any more. */
static void settle(struct bench *b)
{
	for (int k = 0; k < STEPS; k++)
		if (!serve(b) && !art__sim_step(b->world))
			return;
	CU_FAIL("the world does not come to rest");
}

/* One event of the near future, not the end of some far-off bound. */
static void step_near(struct bench *b)
{
	if (art__sim_next(b->world) < art__sim_now(b->world) + ART_NS_PER_MS)
		art__sim_step(b->world);
}

static int send_one(struct bench *b, int from, int to, enum art_chan chan, uint64_t number,
		    size_t len)
{
	struct art_hdr h = { .kind = chan == ART_CHAN_DATA ? ART_K_DATA : ART_K_REQUEST,
			     .seq = number };
	uint8_t *body = malloc(len + 1);
	int rc;

	fill(body, len, number);
	rc = art__link_send(&b->node[from].link, chan, to, &h, body, len);
	memset(body, 0xee, len);
	free(body);
	return rc;
}

static bool in_order(const struct node *n, int from, uint64_t first, int count)
{
	if (n->ngot[from] != count)
		return false;
	for (int i = 0; i < count; i++)
		if (n->got[from][i] != first + (uint64_t)i)
			return false;
	return n->body_ok;
}

static void messages_arrive_in_order(void)
{
	struct bench *b = bench_open(1, "");

	for (uint64_t i = 0; i < 100; i++) {
		send_one(b, 0, 1, ART_CHAN_DATA, i, (size_t)i * 37 % 4000);
		send_one(b, 1, 0, ART_CHAN_CTL, i, (size_t)i % 3);
	}
	settle(b);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 100));
	CU_ASSERT_TRUE(in_order(&b->node[0], 1, 0, 100));
	CU_ASSERT_EQUAL(b->node[0].downs[1] + b->node[1].downs[0], 0);
	bench_close(b);
}

static void both_dial_and_one_connection_stands(void)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct bench *b = bench_open(seed, "");

		for (uint64_t i = 0; i < 5; i++) {
			send_one(b, 0, 1, ART_CHAN_DATA, i, 10);
			send_one(b, 1, 0, ART_CHAN_DATA, i, 10);
			if (seed % 3)
				step_near(b);
			if (seed % 5 == 0)
				serve(b);
		}
		settle(b);
		CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 5));
		CU_ASSERT_TRUE(in_order(&b->node[0], 1, 0, 5));
		CU_ASSERT_EQUAL(b->node[0].downs[1] + b->node[1].downs[0], 0);
		bench_close(b);
	}
}

static void a_lost_message_ends_the_connection(void)
{
	struct bench *b = bench_open(2, "drop:rank=0,peer=1,chan=data,msg=3");

	for (uint64_t i = 0; i < 6; i++)
		send_one(b, 0, 1, ART_CHAN_DATA, i, 8);
	settle(b);
	CU_ASSERT_EQUAL(b->hits[0], 1);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 2)); /* nothing behind the gap */
	CU_ASSERT_EQUAL(b->node[1].link.gaps, 1);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 1);
	send_one(b, 0, 1, ART_CHAN_DATA, 2, 8);
	send_one(b, 1, 0, ART_CHAN_DATA, 0, 8);
	settle(b);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 3)); /* and a new one counts from 0 */
	CU_ASSERT_TRUE(in_order(&b->node[0], 1, 0, 1));
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	bench_close(b);
}

static void a_lost_last_message_shows_with_the_next(void)
{
	struct bench *b = bench_open(3, "drop:rank=0,peer=1,msg=2");

	send_one(b, 0, 1, ART_CHAN_CTL, 0, 8);
	send_one(b, 0, 1, ART_CHAN_CTL, 1, 8);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].ctl_downs[0], 0);
	send_one(b, 0, 1, ART_CHAN_CTL, 2, 8);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].ctl_downs[0], 1);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 0); /* channels fail alone */
	bench_close(b);
}

static void a_doubled_message_arrives_once(void)
{
	struct bench *b = bench_open(4, "dup:p=0.5");

	for (uint64_t i = 0; i < 50; i++)
		send_one(b, 2, 0, ART_CHAN_DATA, i, 100);
	settle(b);
	CU_ASSERT_TRUE(b->hits[0] > 5);
	CU_ASSERT_TRUE(in_order(&b->node[0], 2, 0, 50));
	CU_ASSERT_EQUAL(b->node[0].link.repeats, b->hits[0]);
	CU_ASSERT_EQUAL(b->node[0].downs[2], 0);
	bench_close(b);
}

static void delayed_messages_keep_their_order(void)
{
	struct bench *b = bench_open(5, "delay:p=0.3,us=700");
	uint64_t start = art__sim_now(b->world);

	for (uint64_t i = 0; i < 50; i++)
		send_one(b, 0, 2, ART_CHAN_DATA, i, 10);
	settle(b);
	CU_ASSERT_TRUE(b->hits[0] > 0);
	CU_ASSERT_TRUE(in_order(&b->node[2], 0, 0, 50));
	CU_ASSERT_TRUE(art__sim_now(b->world) >= start + 700000);
	bench_close(b);
}

static void a_cut_is_told_at_both_sides(void)
{
	struct bench *b = bench_open(6, "cut:rank=1,peer=0,msg=4");

	for (uint64_t i = 0; i < 3; i++)
		send_one(b, 1, 0, ART_CHAN_DATA, i, 10);
	settle(b);
	send_one(b, 1, 0, ART_CHAN_DATA, 3, 10);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 0); /* never from inside send */
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 1);
	send_one(b, 1, 0, ART_CHAN_DATA, 3, 10);
	settle(b);
	CU_ASSERT_TRUE(in_order(&b->node[0], 1, 0, 4));
	bench_close(b);
}

/* Whatever ends when, a receiver sees runs of consecutive numbers, each begun by a new connection,
 * and both sides agree on the count: nothing after the last end goes missing. */
static void counters_agree_over_any_ends(void)
{
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct bench *b = bench_open(seed, "");
		uint64_t n = 0;

		for (int k = 0; k < 120; k++) {
			switch (art__sim_below(b->world, 12)) {
			case 0: art__sim_break(b->world, 0, 0, 1); break;
			case 1: art__link_relink(&b->node[0].link, 1); break;
			case 2: art__link_relink(&b->node[1].link, 0); break;
			case 3: art__sim_hold(b->world, 0, 0, 1, k % 2 == 0); break;
			case 4: art__sim_pause(b->world, 1, k % 2 == 0); break;
			case 5: case 6: send_one(b, 1, 0, ART_CHAN_DATA, n, 5); break;
			default: send_one(b, 0, 1, ART_CHAN_DATA, n++, 5); break;
			}
			if (art__sim_below(b->world, 2))
				serve(b);
			art__sim_step(b->world);
		}
		art__sim_pause(b->world, 1, false);
		art__sim_heal_all(b->world);
		settle(b);
		for (int i = 1; i < b->node[1].ngot[0]; i++)
			CU_ASSERT_TRUE(b->node[1].got[0][i] > b->node[1].got[0][i - 1]);
		CU_ASSERT_EQUAL(b->node[0].link.gaps + b->node[1].link.gaps, 0);
		CU_ASSERT_EQUAL(b->node[0].link.garbage + b->node[1].link.garbage, 0);
		b->node[1].ngot[0] = b->node[0].ngot[1] = 0;
		for (uint64_t i = 0; i < 4; i++) {
			send_one(b, 0, 1, ART_CHAN_DATA, i, 5);
			send_one(b, 1, 0, ART_CHAN_DATA, i, 5);
		}
		settle(b);
		CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 4));
		CU_ASSERT_TRUE(in_order(&b->node[0], 1, 0, 4));
		bench_close(b);
	}
}

static void vanished_messages_show_as_a_gap(void)
{
	struct bench *b = bench_open(7, "");

	send_one(b, 0, 1, ART_CHAN_DATA, 0, 5);
	settle(b);
	art__sim_cut(b->world, 0, 1, ART_SIM_VANISH);
	send_one(b, 0, 1, ART_CHAN_DATA, 1, 5);
	step_near(b);
	CU_ASSERT_EQUAL(art__sim_flying(b->world), 0);
	art__sim_cut(b->world, 0, 1, ART_SIM_OPEN);
	send_one(b, 0, 1, ART_CHAN_DATA, 2, 5);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].link.gaps, 1);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 1));
	bench_close(b);
}

static void a_connection_that_lost_something_ends(void)
{
	struct bench *b = bench_open(7, "");

	send_one(b, 0, 1, ART_CHAN_DATA, 0, 5);
	settle(b);
	art__sim_cut(b->world, 0, 1, ART_SIM_VANISH);
	send_one(b, 0, 1, ART_CHAN_DATA, 1, 5);
	step_near(b);
	art__sim_cut(b->world, 0, 1, ART_SIM_OPEN);
	settle(b); /* and nothing more is sent */
	CU_ASSERT_EQUAL(b->node[1].link.gaps, 0);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 1);
	bench_close(b);
}

static void a_long_cut_ends_connections(void)
{
	struct bench *b = bench_open(8, "");

	send_one(b, 0, 1, ART_CHAN_DATA, 0, 5);
	settle(b);
	art__sim_cut(b->world, 0, 1, ART_SIM_STALL);
	send_one(b, 0, 1, ART_CHAN_DATA, 1, 5);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 1);
	send_one(b, 0, 1, ART_CHAN_DATA, 1, 5); /* cannot be made: told after the connect bound */
	settle(b);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 2);
	art__sim_heal_all(b->world);
	send_one(b, 0, 1, ART_CHAN_DATA, 1, 5);
	settle(b);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, 2));
	bench_close(b);
}

static void a_killed_rank_leaves_a_prefix(void)
{
	int some = 0, all = 0;

	for (uint64_t seed = 0; seed < 60; seed++) {
		struct bench *b = bench_open(seed, "");
		int n;

		send_one(b, 0, 1, ART_CHAN_DATA, 0, 5);
		settle(b);
		for (uint64_t i = 1; i < 10; i++)
			send_one(b, 0, 1, ART_CHAN_DATA, i, 5);
		for (int k = 0; k < 4; k++)
			step_near(b);
		art__sim_kill(b->world, 0);
		settle(b);
		n = b->node[1].ngot[0];
		CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, n));
		CU_ASSERT_EQUAL(b->node[1].downs[0], 1);
		some += n > 1 && n < 10;
		all += n == 10;
		send_one(b, 1, 0, ART_CHAN_DATA, 0, 5); /* nobody there */
		settle(b);
		CU_ASSERT_EQUAL(b->node[1].downs[0], 2);
		bench_close(b);
	}
	CU_ASSERT_TRUE(some > 0);
	CU_ASSERT_TRUE(all < 60);
}

static void a_fenced_rank_is_heard_no_more(void)
{
	struct bench *b = bench_open(9, "");

	b->node[1].fence_on_frame = true; /* from inside the first frame */
	for (uint64_t i = 0; i < 5; i++)
		send_one(b, 0, 1, ART_CHAN_DATA, i, 5);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].ngot[0], 1);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 0);
	CU_ASSERT_EQUAL(send_one(b, 1, 0, ART_CHAN_DATA, 0, 5), 1); /* swallowed */
	b->node[1].fence_on_frame = false;
	send_one(b, 0, 1, ART_CHAN_CTL, 0, 5); /* control still speaks */
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].ngot[0], 2);
	CU_ASSERT_EQUAL(b->node[0].ngot[1], 0);
	bench_close(b);
}

static void room_comes_after_pressure(void)
{
	struct bench *b = bench_open(10, "");
	int rc = 1, sent = 0;

	while (rc == 1 && sent < 100)
		rc = send_one(b, 0, 1, ART_CHAN_DATA, (uint64_t)sent++, 16000);
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_TRUE(sent > 1 && sent < 10);
	CU_ASSERT_EQUAL(b->node[0].rooms[1], 0);
	settle(b);
	CU_ASSERT_EQUAL(b->node[0].rooms[1], 1);
	CU_ASSERT_TRUE(in_order(&b->node[1], 0, 0, sent));
	bench_close(b);
}

static void too_much_ends_the_connection(void)
{
	struct bench *b = bench_open(11, "");

	for (uint64_t i = 0; i < 40; i++)
		send_one(b, 0, 1, ART_CHAN_DATA, i, 60000);
	settle(b);
	CU_ASSERT_EQUAL(b->node[0].downs[1], 1);
	CU_ASSERT_TRUE(b->node[1].ngot[0] < 40);
	bench_close(b);
}

/* A peer that claims to be another, and a head that was damaged behind the transport's back. */
static void foreign_messages_are_refused(void)
{
	struct bench *b = bench_open(12, "");
	struct art_hdr h = { .kind = ART_K_DATA, .src = 2 };
	uint8_t head[ART_HDR_BYTES];
	struct iovec iov = { head, sizeof(head) };
	struct art_tp *tp = b->node[0].tp[0];

	art__wire_encode(&h, head);
	CU_ASSERT_EQUAL(tp->ops->send(tp, 1, &iov, 1), 1);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].link.garbage, 1);
	CU_ASSERT_EQUAL(b->node[1].ngot[0] + b->node[1].ngot[2], 0);
	head[20] ^= 1;
	CU_ASSERT_EQUAL(tp->ops->send(tp, 1, &iov, 1), 1);
	settle(b);
	CU_ASSERT_EQUAL(b->node[1].ngot[0], 0);
	CU_ASSERT_EQUAL(b->node[1].downs[0], 1); /* no such head: the transport ended it */
	bench_close(b);
}

static void unsendable_is_told_by_poll(void)
{
	struct bench *b = bench_open(13, "");
	struct art_tp *tp = b->node[0].tp[1];

	tp->ops->drop(tp, 2); /* behind the link's back: send() will refuse */
	CU_ASSERT_EQUAL(send_one(b, 0, 2, ART_CHAN_CTL, 0, 5), 1);
	CU_ASSERT_EQUAL(b->node[0].ctl_downs[2], 0);
	CU_ASSERT_EQUAL(art__link_poll(&b->node[0].link, ART_CHAN_CTL, 1), 1);
	CU_ASSERT_EQUAL(b->node[0].ctl_downs[2], 1);
	bench_close(b);
}

static uint64_t run_digest(uint64_t seed)
{
	struct bench *b = bench_open(seed, "dup:p=0.1 delay:p=0.1,us=50 drop:p=0.02");
	uint64_t digest = 0;

	for (uint64_t i = 0; i < 200; i++) {
		send_one(b, (int)(i % N), (int)((i + 1 + i / 7 % 2) % N), ART_CHAN_DATA, i, i % 90);
		serve(b);
		art__sim_step(b->world);
	}
	settle(b);
	for (int s = 0; s < N; s++)
		for (int f = 0; f < N; f++)
			digest = digest * 1000003 + (uint64_t)b->node[s].ngot[f] * 31 +
				 (uint64_t)b->node[s].downs[f];
	digest = digest * 1000003 + art__sim_now(b->world);
	bench_close(b);
	return digest;
}

static void a_seed_is_a_schedule(void)
{
	CU_ASSERT_EQUAL(run_digest(1), run_digest(1));
	CU_ASSERT_EQUAL(run_digest(77), run_digest(77));
	CU_ASSERT_NOT_EQUAL(run_digest(1), run_digest(2));
}

static void rules_are_parsed_or_refused(void)
{
	static const char *const bad[] = { "lose", "drop:", "drop:peer", "drop:peer=", "drop:peer=x",
		"drop:msg=0", "delay:peer=1", "drop:p=2", "drop:p=", "drop:foo=1", "dup:chan=both",
		"drop:peer=1,", "drop;;kil", "drop:p=*", "drop:ms=99999999999999999999" };
	struct art_fault_opts o = { .nrules = 0 };
	const char *where = NULL;

	CU_ASSERT_EQUAL(art__fault_parse("drop:peer=3,msg=17; delay:peer=*,p=0.1,ms=5", &o, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(o.nrules, 2);
	CU_ASSERT_EQUAL(o.rule[0].action, ART_FAULT_DROP);
	CU_ASSERT_EQUAL(o.rule[0].peer, 3);
	CU_ASSERT_EQUAL(o.rule[0].msg, 17);
	CU_ASSERT_EQUAL(o.rule[0].rank, -1);
	CU_ASSERT_EQUAL(o.rule[1].action, ART_FAULT_DELAY);
	CU_ASSERT_EQUAL(o.rule[1].peer, -1);
	CU_ASSERT_EQUAL(o.rule[1].delay_ns, 5 * ART_NS_PER_MS);
	CU_ASSERT_DOUBLE_EQUAL(o.rule[1].p, 0.1, 1e-9);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.nrules = 0;
		CU_ASSERT_EQUAL(art__fault_parse(bad[i], &o, &where), ART_ERR_ARG);
		CU_ASSERT_TRUE(where >= bad[i] && where <= bad[i] + strlen(bad[i]));
		CU_ASSERT_EQUAL(o.nrules, 0);
	}
	CU_ASSERT_EQUAL(art__fault_parse("", &o, NULL), 0);
	CU_ASSERT_EQUAL(o.nrules, 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "messages arrive in order", messages_arrive_in_order },
		{ "both dial and one connection stands", both_dial_and_one_connection_stands },
		{ "a lost message ends the connection", a_lost_message_ends_the_connection },
		{ "a lost last message shows with the next", a_lost_last_message_shows_with_the_next },
		{ "a doubled message arrives once", a_doubled_message_arrives_once },
		{ "delayed messages keep their order", delayed_messages_keep_their_order },
		{ "a cut is told at both sides", a_cut_is_told_at_both_sides },
		{ "counters agree over any ends", counters_agree_over_any_ends },
		{ "vanished messages show as a gap", vanished_messages_show_as_a_gap },
		{ "a connection that lost something ends", a_connection_that_lost_something_ends },
		{ "a long cut ends connections", a_long_cut_ends_connections },
		{ "a killed rank leaves a prefix", a_killed_rank_leaves_a_prefix },
		{ "a fenced rank is heard no more", a_fenced_rank_is_heard_no_more },
		{ "room comes after pressure", room_comes_after_pressure },
		{ "too much ends the connection", too_much_ends_the_connection },
		{ "foreign messages are refused", foreign_messages_are_refused },
		{ "unsendable is told by poll", unsendable_is_told_by_poll },
		{ "a seed is a schedule", a_seed_is_a_schedule },
		{ "rules are parsed or refused", rules_are_parsed_or_refused },
		CU_TEST_INFO_NULL,
	};

	return unit_run("link", tests);
}
