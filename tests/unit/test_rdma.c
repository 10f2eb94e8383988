/* SPDX-License-Identifier: MIT
 *
 * The rdma transport on a double of libibverbs: what two ends do when a device fails them in ways that
 * software devices do not.
 */
#include "tests/lib/rdma_ends.h"

static void traffic(int n)
{
	for (int i = 0; i < n; i++) {
		send_one(0, draw(3000));
		send_one(1, draw(8) ? 8 : ART_TP_BODY_MAX);
		if (i % 7 == 0)
			turn();
	}
}

/* The way breaks in the middle of traffic: all comes, in order, once, and nobody is told of an end. */
static void broken_and_nothing_lost(enum ibv_wc_status status, long at)
{
	begin(false);
	move_to_rings();
	verbs_double.fail_with = status;
	verbs_double.fail_at = (long)verbs_double.wrs + at;
	traffic(60);
	UNTIL(all_came());
	CU_ASSERT(!ends[0].disorder && !ends[1].disorder);
	CU_ASSERT(ends[0].downs == 0 && ends[1].downs == 0 && ends[0].ups == 1);
	CU_ASSERT(count(0, ART_RDMA_N_BROKEN) == 1 && count(1, ART_RDMA_N_BROKEN) == 1);
	CU_ASSERT(warnings == 2 && strstr(warned, "going on over tcp")); /* once an end */
	CU_ASSERT(count(0, ART_RDMA_N_BYTES) == 0 && verbs_double.open_qps == 0);
	finish();
}

static void a_way_breaks_anywhere(void)
{
	for (long at = 1; at < 40; at++) {
		verbs_double_reset();
		verbs_double.late = at % 2;
		verbs_double.backwards = at % 3 == 0;
		broken_and_nothing_lost(at % 2 ? IBV_WC_RETRY_EXC_ERR : IBV_WC_RNR_RETRY_EXC_ERR, at);
	}
}

static void a_port_goes_down(void)
{
	begin(false);
	move_to_rings();
	traffic(10);
	verbs_double_event(IBV_EVENT_PORT_ERR);
	traffic(30);
	UNTIL(all_came());
	CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
	UNTIL(count(0, ART_RDMA_N_BROKEN) == 1 && count(1, ART_RDMA_N_BROKEN) == 1);
	finish();
}

static void a_device_is_removed(void)
{
	begin(false);
	move_to_rings();
	verbs_double_event(IBV_EVENT_DEVICE_FATAL);
	traffic(30);
	UNTIL(all_came());
	CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
	finish();
}

/* Without a position that was told, a write that is late must land nowhere. */
static void a_late_write_lands_nowhere(void)
{
	begin(false);
	move_to_rings();
	verbs_double.held = true;
	send_one(0, 4000);
	ends[1].tp->ops->drop(ends[1].tp, 0);
	verbs_double.held = false;
	verbs_double_run();
	CU_ASSERT(verbs_double.rejected == 1);
	UNTIL(ends[0].downs == 1);
	CU_ASSERT(ends[1].downs == 0 && ends[1].got + 1 == ends[0].sent);
	finish();
}

/* Small messages are taken as soon as they are there; credit waits for the receives, which wait for the
 * completions: never has the sender more under way than there are receives. */
static void small_messages_come_before_their_completions(void)
{
	uint64_t early, got;

	begin(false);
	move_to_rings();
	early = count(1, ART_RDMA_N_EARLY);
	got = ends[1].got;
	verbs_double.mute = true;
	for (int i = 0; i < 1000; i++) {
		send_one(0, draw(ART_RDMA_SMALL_BODY));
		turn();
	}
	CU_ASSERT(ends[1].got >= got + 64 && ends[1].got < ends[0].sent);
	CU_ASSERT(count(1, ART_RDMA_N_EARLY) - early == ends[1].got - got);
	verbs_double.mute = false;
	UNTIL(all_came());
	for (int i = 0; i < 1000; i++) {
		send_one(0, 8);
		send_one(1, draw(400));
		verbs_double.mute = draw(3);
		turn();
	}
	verbs_double.mute = false;
	UNTIL(all_came());
	CU_ASSERT(verbs_double.not_ready == 0 && !ends[0].disorder && !ends[1].disorder);
	CU_ASSERT(count(0, ART_RDMA_N_BROKEN) == 0 && ends[0].downs + ends[1].downs == 0);
	finish();
}

/* What nobody was told of is read, or sent again: never both. */
static void a_way_breaks_before_completions_come(void)
{
	for (int i = 0; i < 30; i++) {
		begin(false);
		move_to_rings();
		verbs_double.mute = true;
		for (int k = 0; k < i; k++) {
			send_one(k % 2, draw(2) ? 8 : 1000);
			if (draw(2))
				turn();
		}
		verbs_double_event(IBV_EVENT_PORT_ERR);
		verbs_double.mute = i % 3 == 0;
		send_one(0, 8);
		turn();
		verbs_double.mute = false;
		UNTIL(all_came());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		finish();
	}
}

/* What had come of somebody who is gone is delivered, and may be answered: into a ring that is fenced. Shared
 * receives are not flushed, and nothing tells of that but the fence. */
static void who_is_gone_is_answered(void)
{
	for (int i = 0; i < 8; i++) {
		const struct art_rdma_peer *p;

		shares = i % 2 ? ART_RDMA_SHARE_ON : ART_RDMA_SHARE_OFF;
		begin(false);
		move_to_rings();
		p = &((struct art_rdma *)(void *)ends[1].tp)->peer[0];
		for (int k = 0; k < 60; k++)
			send_one(0, 3000);
		ends[0].tp->ops->close(ends[0].tp);
		ends[0].tp = NULL;
		answers = verbs_double.held = true; /* a device takes a while to find that nobody is there */
		for (int k = 0; k < 50 && !p->ending; k++) {
			ends[1].tp->ops->arm(ends[1].tp); /* then the carrier is asked at once */
			ends[1].tp->ops->poll(ends[1].tp, i < 4 ? 1 : 64);
		}
		CU_ASSERT(i >= 4 || (p->ending && ends[1].got < ends[0].sent));
		UNTIL(ends[1].downs == 1);
		CU_ASSERT(ends[1].got == ends[0].sent && !ends[1].disorder);
		verbs_double.held = false;
		finish();
	}
	shares = ART_RDMA_SHARE_AUTO;
}

static void no_memory_to_register(void)
{
	verbs_double.refuse_mr = 1;
	begin(false);
	traffic(20);
	UNTIL(all_came());
	CU_ASSERT(warnings == 2 && (strstr(warned, "KiB are needed") || strstr(warned, "refuses")));
	CU_ASSERT(count(0, ART_RDMA_N_UP) == 0 && ends[0].downs + ends[1].downs == 0);
	finish();
}

static void garbage_in_a_ring_ends_the_connection(void)
{
	begin(false);
	move_to_rings();
	verbs_double.late = true;
	verbs_double.backwards = true;
	send_one(0, 100);
	verbs_double_run(); /* half of it is there, and is not looked at */
	turn();
	CU_ASSERT(ends[1].downs == 0);
	UNTIL(all_came());
	verbs_double.late = verbs_double.backwards = false;
	send_one(0, 100);
	verbs_double_scribble(0, 0x5a, 65536);
	UNTIL(ends[1].downs == 1 && ends[1].why == ART_TP_GARBAGE);
	finish();
}

static void alone_it_ends_with_its_way(void)
{
	begin(true);
	send_one(0, 10);
	send_one(1, 10);
	UNTIL(all_came());
	verbs_double_event(IBV_EVENT_PORT_ERR);
	UNTIL(ends[0].downs == 1 && ends[1].downs == 1);
	CU_ASSERT(ends[0].why == ART_TP_RESET || ends[0].why == ART_TP_CLOSED);
	finish();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "small messages come before their completions",
		  small_messages_come_before_their_completions },
		{ "a way breaks before completions come", a_way_breaks_before_completions_come },
		{ "a way breaks anywhere", a_way_breaks_anywhere },
		{ "a port goes down", a_port_goes_down },
		{ "a device is removed", a_device_is_removed },
		{ "a late write lands nowhere", a_late_write_lands_nowhere },
		{ "who is gone is answered", who_is_gone_is_answered },
		{ "no memory to register", no_memory_to_register },
		{ "garbage in a ring ends the connection", garbage_in_a_ring_ends_the_connection },
		{ "alone it ends with its way", alone_it_ends_with_its_way },
		CU_TEST_INFO_NULL,
	};

	verbs_double_reset();
	return unit_run("rdma", tests);
}
