/* SPDX-License-Identifier: MIT
 *
 * The rdma transport on a double of libibverbs: one rank, the hub, and many others, whose pairs with it share
 * receives. Whatever they do, and whether the hub looks or not, each write of theirs must meet one.
 */
#include "tests/lib/rdma_ends.h"

#define RANKS 72

struct rank {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	uint64_t sent[RANKS], got[RANKS]; /* to and from */
	unsigned downs;
	bool disorder;
};

static struct rank ranks[RANKS];
static int size;
static enum art_rdma_sharing sharing;
static bool hub_looks;

static void many_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct rank *r = self;
	uint64_t number;

	memcpy(&number, head + 8, sizeof(number));
	r->disorder |= number != r->got[peer];
	for (size_t i = 0; i < len; i++)
		r->disorder |= body[i] != (uint8_t)(number + i);
	r->got[peer] = number + 1;
}

static void many_down(void *self, int peer, enum art_tp_why why)
{
	(void)peer;
	(void)why;
	((struct rank *)self)->downs++;
}

static void many_ignore(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static void open_ranks(int n)
{
	static struct art_rdma_opts ro;
	struct art_tp_opts opts = {.security = ART_TP_MAC, .connect_ns = 20 * ART_NS_PER_S, .world = &ro};

	ro = (struct art_rdma_opts){.carrier = &art__tcp_ops, .large = ART_RDMA_WRITE, .sharing = sharing};
	memset(ranks, 0, sizeof(ranks));
	warnings = 0;
	hub_looks = true;
	size = n;
	for (int i = 0; i < n; i++) {
		struct art_tp_self self = {.slot = i, .size = n, .job = 1, .incarnation = 1};
		struct art_tp_up up = {&ranks[i], body_len, many_message, many_ignore, many_ignore, many_down, NULL,
				       NULL, NULL};

		CU_ASSERT_FATAL(art__rdma_ops.open(&env, &self, &opts, &up, &ranks[i].tp) == 0);
		CU_ASSERT_FATAL(art__rdma_ops.listen(ranks[i].tp, ranks[i].addr) == 0);
	}
	for (int i = 1; i < n; i++) {
		CU_ASSERT_FATAL(art__rdma_ops.peer(ranks[0].tp, i, ranks[i].addr) == 0);
		CU_ASSERT_FATAL(art__rdma_ops.peer(ranks[i].tp, 0, ranks[0].addr) == 0);
	}
}

static void close_ranks(void)
{
	for (int i = 0; i < size; i++)
		ranks[i].tp->ops->close(ranks[i].tp);
	CU_ASSERT(verbs_double.registered == 0 && verbs_double.receives == 0);
	verbs_double_reset();
}

static void send_to(int from, int to, size_t len)
{
	static uint8_t body[ART_TP_BODY_MAX];
	struct rank *r = &ranks[from];
	uint8_t head[ART_TP_HEAD] = "message";
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	uint32_t n = (uint32_t)len;

	memcpy(head + 8, &r->sent[to], sizeof(r->sent[to]));
	memcpy(head + 16, &n, sizeof(n));
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(r->sent[to] + i);
	CU_ASSERT_FATAL(r->tp->ops->send(r->tp, to, v, 2) >= 0);
	r->sent[to]++;
}

static void look(int from, int below)
{
	for (int i = from; i < below; i++)
		if (i > 0 || hub_looks)
			ranks[i].tp->ops->poll(ranks[i].tp, 64);
}

static bool all_is_there(void)
{
	for (int i = 1; i < size; i++)
		if (ranks[0].got[i] != ranks[i].sent[0] || ranks[i].got[0] != ranks[0].sent[i])
			return false;
	return true;
}

static bool in_order(void)
{
	for (int i = 0; i < size; i++)
		if (ranks[i].disorder || ranks[i].downs)
			return false;
	return true;
}

static void settle(void)
{
	uint64_t start = now(NULL);

	while (!all_is_there() && now(NULL) - start < 60 * ART_NS_PER_S)
		look(0, size);
	CU_ASSERT_FATAL(all_is_there());
}

static uint64_t of_rank(int rank, enum art_rdma_count what)
{
	uint64_t n = 0;

	(void)art__rdma_count(ranks[rank].tp, what, &n);
	return n;
}

static uint64_t of_hub(enum art_rdma_count what)
{
	return of_rank(0, what);
}

/* All pairs of the hub write to each other's rings. */
static void begin_many(int n, enum art_rdma_sharing how)
{
	sharing = how;
	open_ranks(n);
	for (int k = 0; k < 1000 && of_hub(ART_RDMA_N_UP) < (uint64_t)n - 1; k++) {
		for (int i = 1; i < n; i++) {
			send_to(0, i, 40);
			send_to(i, 0, 40);
		}
		settle();
	}
	for (int i = 1; i < n; i++)
		send_to(i, 0, 40);
	settle();
	CU_ASSERT_FATAL(of_hub(ART_RDMA_N_UP) == (uint64_t)n - 1);
}

/* As much as they may, to one who does not look. */
static void all_write_at_once(int from, int below, int each)
{
	hub_looks = false;
	for (int k = 0; k < each; k++)
		for (int i = from; i < below; i++)
			send_to(i, 0, k % 9 ? 8 : 3000);
	look(1, size);
	hub_looks = true;
	settle();
}

/* Two of three receives are enough in a job of 72, even with all of them busy at once. */
static void many_share_receives(void)
{
	size_t own = 0, shared = 0;

	for (int how = 0; how < 2; how++) {
		begin_many(RANKS, how ? ART_RDMA_SHARE_AUTO : ART_RDMA_SHARE_OFF);
		verbs_double.late = true;
		for (int k = 0; k < 8; k++) {
			all_write_at_once(1, RANKS, 100);
			for (int i = 0; i < 500; i++)
				send_to(0, 1 + (int)draw(RANKS - 1), draw(3000));
			settle();
		}
		CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
		CU_ASSERT((of_hub(ART_RDMA_N_SHARED) > 0) == how);
		if (how)
			shared = of_hub(ART_RDMA_N_SHARED);
		else
			own = verbs_double.receives / 2; /* half of them are the others' */
		close_ranks();
	}
	CU_ASSERT(own > 3300 && own <= 3408 && shared == 2088);
}

/* In small jobs each pair has its own, unless told otherwise. */
static void few_have_their_own(void)
{
	for (int how = 0; how < 3; how++) {
		begin_many(4, (enum art_rdma_sharing)how);
		CU_ASSERT((of_hub(ART_RDMA_N_SHARED) > 0) == (how == ART_RDMA_SHARE_ON));
		all_write_at_once(1, 4, 300);
		CU_ASSERT(verbs_double.not_ready == 0 && in_order());
		close_ranks();
	}
}

/* To how many of them the hub grants 60 messages at once. */
static int with_a_window(int from, int below)
{
	uint64_t before[RANKS];
	int n = 0;

	for (int i = from; i < below; i++)
		before[i] = of_rank(i, ART_RDMA_N_QUEUED);
	all_write_at_once(from, below, 60);
	for (int i = from; i < below; i++)
		n += of_rank(i, ART_RDMA_N_QUEUED) == before[i];
	return n;
}

/* Those who are busy get the windows that others had, who give back what they have not used. */
static void the_busy_get_more(void)
{
	uint64_t given;

	begin_many(50, ART_RDMA_SHARE_ON);
	for (int from = 1; from + 16 <= 49; from += 16) {
		for (int k = 0; k < 12; k++)
			all_write_at_once(from, from + 16, 100);
		CU_ASSERT(with_a_window(from, from + 16) >= 14);
		CU_ASSERT(with_a_window(1, 50) <= 17);
	}
	CU_ASSERT(of_hub(ART_RDMA_N_GIVEN) >= 24 && of_hub(ART_RDMA_N_GROWN) >= 40);
	given = of_hub(ART_RDMA_N_GIVEN);
	for (int k = 0; k < 100; k++) /* all are busy: nobody takes from the others */
		all_write_at_once(1, 50, 8);
	CU_ASSERT(of_hub(ART_RDMA_N_GIVEN) - given < 8);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

/* One that is asked and does not look keeps what it has, and disturbs nobody. */
static void who_is_stopped_is_asked_in_vain(void)
{
	uint64_t given;

	begin_many(50, ART_RDMA_SHARE_ON);
	for (int k = 0; k < 12; k++)
		all_write_at_once(1, 17, 100); /* they have it all */
	given = of_hub(ART_RDMA_N_GIVEN);
	for (int k = 0; k < 2000; k++) {
		for (int i = 17; i < 50; i++)
			send_to(i, 0, 8);
		look(0, 1);
		look(17, 50);
	}
	CU_ASSERT(of_hub(ART_RDMA_N_GIVEN) == given && ranks[0].got[20] > 1500);
	for (int i = 1; i < 17; i++) /* of what they have, before they hear of it */
		for (int k = 0; k < 40; k++)
			send_to(i, 0, 8);
	for (int k = 0; k < 20; k++)
		look(0, 1);
	settle();
	for (int k = 0; k < 12; k++)
		all_write_at_once(1, 50, 200);
	CU_ASSERT(of_hub(ART_RDMA_N_GIVEN) > given);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

/* Of the hub with this one. */
static struct art_rdma_conn *pair_with(int who)
{
	return ((struct art_rdma *)(void *)ranks[0].tp)->peer[who].conn;
}

/* What the peer sends while it is asked, and what it gives back then, leave it with less than it may have: it is
 * told of what was read meanwhile, though that alone would not have been worth a credit. */
static void who_has_given_back_is_told(void)
{
	struct art_rdma_conn *c;
	uint64_t queued;

	begin_many(20, ART_RDMA_SHARE_ON);
	for (int k = 0; k < 4; k++)
		all_write_at_once(1, 2, 100);
	c = pair_with(1);
	CU_ASSERT_FATAL(c->grant == 128);
	for (int k = 0; k < 500 && c->rx.records != c->told_records; k++) {
		send_to(1, 0, 8);
		settle();
	}
	CU_ASSERT_FATAL(c->rx.records == c->told_records);
	c->asked = art__rdma_post_ask((struct art_rdma *)(void *)ranks[0].tp, c, c->announced + 32 - 128);
	CU_ASSERT_FATAL(c->asked);
	for (int k = 0; k < 25; k++)
		send_to(1, 0, 8);
	for (int k = 0; k < 3; k++)
		look(0, 1);
	CU_ASSERT_FATAL(ranks[0].got[1] == ranks[1].sent[0] && c->asked);
	for (int k = 0; k < 3; k++)
		look(0, 2);
	CU_ASSERT(!c->asked && c->grant == 32);
	queued = of_rank(1, ART_RDMA_N_QUEUED);
	for (int k = 0; k < 32; k++)
		send_to(1, 0, 8);
	CU_ASSERT(of_rank(1, ART_RDMA_N_QUEUED) == queued);
	settle();
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

static void reset_by(int from, int to)
{
	ranks[from].tp->ops->reset(ranks[from].tp, to);
}

/* A connection has ended, and with it the way. */
static void begin_anew(int who, uint64_t ups)
{
	while (!ranks[0].downs && !ranks[who].downs)
		look(0, size);
	ranks[0].downs = ranks[who].downs = 0;
	for (int k = 0; k < 1000 && of_hub(ART_RDMA_N_UP) == ups; k++) {
		send_to(0, who, 8);
		send_to(who, 0, 8);
		settle();
	}
	CU_ASSERT_FATAL(of_hub(ART_RDMA_N_UP) == ups + 1);
}

/* By one of both. */
static void end_and_begin_anew(int who)
{
	uint64_t ups = of_hub(ART_RDMA_N_UP);

	if (draw(3) == 0)
		reset_by(0, who);
	else
		reset_by(who, 0);
	begin_anew(who, ups);
}

/* Ways that end, each with a receive of the others: in the end there are as many as before. */
static void ways_end_and_take_receives(void)
{
	begin_many(4, ART_RDMA_SHARE_ON);
	verbs_double.loses_receives = true;
	for (int k = 0; k < 300; k++)
		end_and_begin_anew(1 + (int)draw(3));
	for (int k = 0; k < 20; k++)
		all_write_at_once(1, 4, 300);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

/* Ways that end and take none with them: the queue is full of spare ones in the end. That what has come meanwhile
 * has no room in it any more is no reason to end them all; that the device takes no more than those is one. */
static void ways_end_and_take_none(void)
{
	begin_many(4, ART_RDMA_SHARE_ON);
	for (int k = 0; k < 100; k++)
		end_and_begin_anew(1);
	for (int k = 0; k < 20; k++) {
		uint64_t ups = of_hub(ART_RDMA_N_UP);

		verbs_double.held = verbs_double.ends_late = true;
		for (int i = 0; i < 100; i++) {
			send_to(2, 0, 8);
			send_to(3, 0, 8);
		}
		reset_by(0, 1);
		CU_ASSERT_FATAL(!verbs_double.held);
		verbs_double.ends_late = false;
		begin_anew(1, ups);
	}
	all_write_at_once(1, 4, 300);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	verbs_double.refuse_srq_recv = 1;
	for (int k = 0; k < 3; k++)
		all_write_at_once(1, 4, 300);
	for (int k = 0; k < 3000; k++)
		look(0, 4);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 3 && in_order());
	close_ranks();
}

/* Whose way has ended is not looked at any more to find out whose a receive was, though the numbers of queue pairs
 * are near each other. */
static void who_has_left_is_forgotten(void)
{
	struct art_rdma *hub;
	uint32_t stays, number = 0;

	begin_many(4, ART_RDMA_SHARE_ON);
	hub = (struct art_rdma *)(void *)ranks[0].tp;
	stays = pair_with(1)->qp->qp_num % ART_RDMA_BUCKETS;
	for (int k = 0; k < 2000 && number != stays; k++) {
		end_and_begin_anew(2 + (int)draw(2));
		number = pair_with(2)->qp->qp_num % ART_RDMA_BUCKETS;
	}
	CU_ASSERT_FATAL(number == stays && hub->by_qpn[stays] == pair_with(2));
	end_and_begin_anew(2);
	CU_ASSERT_FATAL(hub->by_qpn[stays] == pair_with(1));
	all_write_at_once(1, 4, 300);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

/* Ways that end while they have a window: it is for others then. */
static void windows_of_ways_that_end(void)
{
	begin_many(20, ART_RDMA_SHARE_ON);
	for (int k = 0; k < 60; k++) {
		int who = 1 + (int)draw(19);

		all_write_at_once(who, who + 1, 100);
		end_and_begin_anew(who);
	}
	for (int k = 0; k < 4; k++)
		all_write_at_once(1, 9, 100);
	CU_ASSERT(with_a_window(1, 9) == 8);
	CU_ASSERT(verbs_double.not_ready == 0 && of_hub(ART_RDMA_N_BROKEN) == 0 && in_order());
	close_ranks();
}

/* The way of one breaks while all have messages under way: the others' receives are theirs as before. */
static void one_way_breaks(void)
{
	for (long at = 1; at < 60; at++) {
		begin_many(8, ART_RDMA_SHARE_ON);
		verbs_double.late = at % 2;
		verbs_double.loses_receives = at % 3;
		verbs_double.fail_at = (long)verbs_double.wrs + 7 * at;
		all_write_at_once(1, 8, 100);
		for (int i = 1; i < 8; i++)
			send_to(0, i, 8);
		settle();
		all_write_at_once(1, 8, 300);
		CU_ASSERT(of_hub(ART_RDMA_N_BROKEN) == 1 && verbs_double.open_qps == 12);
		CU_ASSERT(verbs_double.not_ready == 0 && in_order());
		close_ranks();
	}
}

/* Nothing that the device says of receives, or of the end of a queue pair, ends a way - but that they are lost. */
static void events_of_shared_receives(void)
{
	begin_many(6, ART_RDMA_SHARE_ON);
	verbs_double_event(IBV_EVENT_SRQ_LIMIT_REACHED);
	verbs_double_event(IBV_EVENT_QP_LAST_WQE_REACHED);
	all_write_at_once(1, 6, 100);
	CU_ASSERT(of_hub(ART_RDMA_N_BROKEN) == 0);
	verbs_double_event(IBV_EVENT_SRQ_ERR);
	all_write_at_once(1, 6, 100);
	for (int k = 0; k < 3000; k++) /* the carrier is asked now and then */
		look(0, 6);
	CU_ASSERT(of_hub(ART_RDMA_N_BROKEN) == 5 && in_order());
	all_write_at_once(1, 6, 100);
	CU_ASSERT(verbs_double.open_qps == 0 && in_order());
	close_ranks();
}

/* Where a device has none, too few, or will not take them, each pair has its own; if it does so later, nothing is
 * lost. */
static void a_device_refuses(void)
{
	for (int how = 0; how < 4; how++) {
		verbs_double.max_srq_wr = how == 0 ? 0 : how == 1 ? 500 : 32768;
		verbs_double.refuse_srq = how == 2;
		verbs_double.refuse_srq_recv = how == 3;
		begin_many(6, ART_RDMA_SHARE_ON);
		CU_ASSERT(of_hub(ART_RDMA_N_SHARED) == 0 && warnings == 6);
		CU_ASSERT(strstr(warned, "no receives to share") != NULL);
		all_write_at_once(1, 6, 300);
		CU_ASSERT(verbs_double.not_ready == 0 && in_order());
		close_ranks();
	}
	begin_many(6, ART_RDMA_SHARE_ON);
	verbs_double.refuse_srq_recv = (long)verbs_double.srq_posts + 40;
	all_write_at_once(1, 6, 300);
	for (int i = 1; i < 6; i++)
		send_to(0, i, 8);
	settle();
	for (int k = 0; k < 3000; k++)
		look(0, 6);
	CU_ASSERT(of_hub(ART_RDMA_N_BROKEN) == 5 && verbs_double.not_ready == 0 && in_order());
	for (int k = 0; k < 2; k++) { /* one of the two ends may not have tried before */
		end_and_begin_anew(1);
		all_write_at_once(1, 6, 300);
	}
	CU_ASSERT(verbs_double.not_ready == 0 && verbs_double.open_qps == 2 && in_order());
	close_ranks();
}

/* Few completions: some pairs share, the others stay on the carrier. */
static void too_few_completions_for_all(void)
{
	verbs_double.max_cqe = 3000;
	sharing = ART_RDMA_SHARE_ON;
	open_ranks(40);
	for (int k = 0; k < 20; k++) {
		for (int i = 1; i < 40; i++)
			send_to(i, 0, 8);
		settle();
	}
	CU_ASSERT(of_hub(ART_RDMA_N_BYTES) > 0);
	all_write_at_once(1, 40, 100);
	CU_ASSERT(verbs_double.not_ready == 0 && in_order());
	close_ranks();
}

static int sharers(void)
{
	int n = 0;

	for (int i = 1; i < size; i++)
		n += pair_with(i) && pair_with(i)->shared;
	return n;
}

/* Few receives: so many pairs share them as there are enough for, though there would be completions for more. Who
 * leaves makes room for another. */
static void too_few_receives_for_all(void)
{
	int who = 1;

	verbs_double.max_cqe = 8000;
	verbs_double.max_srq_wr = 16 * 96 + 64 + 24 * (32 + 40); /* beside the windows and spares, for 24 */
	sharing = ART_RDMA_SHARE_ON;
	open_ranks(50);
	for (int k = 0; k < 60; k++) { /* till each has tried */
		for (int i = 1; i < 50; i++) {
			send_to(i, 0, 8);
			send_to(0, i, 8);
		}
		settle();
	}
	CU_ASSERT(sharers() == 24);
	while (who < 49 && !(pair_with(who) && pair_with(who)->shared))
		who++;
	for (int k = 0; k < 3; k++)
		end_and_begin_anew(who);
	CU_ASSERT(sharers() == 24);
	all_write_at_once(1, 50, 100);
	CU_ASSERT(verbs_double.not_ready == 0 && in_order());
	close_ranks();
}

/* Who asks for what it never gave, gives back what it has not, keeps more than it may, or gives unasked, is believed
 * in nothing: its way ends. */
static void lies_about_credit(void)
{
	for (int i = 0; i < 4; i++) {
		struct art_rdma_conn *c;
		uint32_t to;

		begin_many(20, ART_RDMA_SHARE_ON);
		for (int k = 0; k < 4; k++)
			all_write_at_once(1, 3, 100);
		c = pair_with(1);
		CU_ASSERT(c->told_records + c->tx.window - c->announced > 32); /* a quarter */
		c->asked = i < 3;
		to = i < 2 ? c->told_records - 200 : i < 3 ? c->told_records : c->announced + 32 - c->tx.window;
		verbs_double.imm_flip = (i == 0 ? 0x40000000u : 0x20000000u) | (to & 0x7fff);
		send_to(1, 0, i < 3 ? 600 : 8); /* 0 becomes the number */
		look(0, 1);
		verbs_double.imm_flip = 0;
		settle();
		for (int k = 0; k < 3000; k++)
			look(0, 20);
		CU_ASSERT(of_hub(ART_RDMA_N_BROKEN) == 1);
		CU_ASSERT(in_order());
		close_ranks();
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "many share receives", many_share_receives },
		{ "few have their own", few_have_their_own },
		{ "the busy get more", the_busy_get_more },
		{ "who is stopped is asked in vain", who_is_stopped_is_asked_in_vain },
		{ "who has given back is told", who_has_given_back_is_told },
		{ "ways end and take receives", ways_end_and_take_receives },
		{ "ways end and take none", ways_end_and_take_none },
		{ "who has left is forgotten", who_has_left_is_forgotten },
		{ "windows of ways that end", windows_of_ways_that_end },
		{ "one way breaks", one_way_breaks },
		{ "events of shared receives", events_of_shared_receives },
		{ "a device refuses", a_device_refuses },
		{ "too few completions for all", too_few_completions_for_all },
		{ "too few receives for all", too_few_receives_for_all },
		{ "lies about credit", lies_about_credit },
		CU_TEST_INFO_NULL,
	};

	verbs_double_reset();
	return unit_run("rdma many", tests);
}
