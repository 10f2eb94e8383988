/* SPDX-License-Identifier: MIT
 *
 * The rdma transport on a double of libibverbs: long messages whose bodies stay in the sender's memory, and are
 * put where the receiver wants them, when a device fails, a peer is dropped, or memory is taken away.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/rdma_ends.h"

static uint64_t user_bytes(int end)
{
	return count(end, ART_RDMA_N_USER_BYTES);
}

static void take_back(int end)
{
	ends[end].tp->ops->lent_over(ends[end].tp, ends[end].buf);
	ends[end].returned = ends[end].lent;
}

static void lent_traffic(int n)
{
	for (int i = 0; i < n; i++) {
		unsigned what = draw(4);

		if (what == 0)
			send_one((int)draw(2), draw(3000));
		else
			(void)lend_one(what & 1, draw(5) ? 16384 + draw(49153) : draw(16384));
		if (draw(7) == 0)
			turn();
	}
}

/* Whole, once, in order with those that are copied; registered is what is lent, and only so long. */
static void lent_messages_are_read_where_they_lie(void)
{
	for (unsigned i = 0; i < 16; i++) {
		verbs_double.max_sge = i & 8 ? 4 : 16; /* several records a write, or one */
		begin_by(i & 4 ? ART_RDMA_READ : ART_RDMA_WRITE);
		verbs_double.late = i & 1;
		verbs_double.backwards = i & 2;
		lent_traffic(300);
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		CU_ASSERT(count(0, ART_RDMA_N_LENT) > 30 && count(0, ART_RDMA_N_LENT) == ends[0].lent);
		CU_ASSERT(count(1, ART_RDMA_N_PULLED) == (i & 4 ? ends[0].lent : 0));
		CU_ASSERT(verbs_double.not_ready == 0);
		CU_ASSERT(user_bytes(0) == BUF_BYTES && count(0, ART_RDMA_N_REGISTERED) == 1);
		take_back(0);
		take_back(1);
		CU_ASSERT(user_bytes(0) + user_bytes(1) == 0 && verbs_double.open_mrs == 2);
		finish();
	}
}

/* Where the receiver wants them, whole, in order with those it wants nowhere. */
static void bodies_are_read_to_where_they_go(void)
{
	for (unsigned i = 0; i < 4; i++) {
		places = true;
		begin_by(ART_RDMA_READ);
		verbs_double.late = i & 1;
		verbs_double.backwards = i & 2;
		lent_traffic(300);
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		CU_ASSERT(ends[1].in_place > 40 && ends[1].in_place == count(1, ART_RDMA_N_PLACED));
		CU_ASSERT(count(1, ART_RDMA_N_PULLED) > ends[1].in_place);
		take_back(0);
		take_back(1);
		CU_ASSERT(user_bytes(0) == BUF_BYTES); /* for what is put there */
		for (int k = 0; k < 2; k++)
			ends[k].tp->ops->lent_over(ends[k].tp, ends[k].in);
		CU_ASSERT(user_bytes(0) + user_bytes(1) == 0 && verbs_double.open_mrs == 2);
		finish();
	}
}

/* Most of them straight to where they go. */
static void six_reads_under_way(void)
{
	places = true;
	begin_by(ART_RDMA_READ);
	verbs_double.late = true;
	for (int k = 0; k < 6; k++)
		CU_ASSERT(lend_one(0, 50000));
	verbs_double_run();
	verbs_double.reads_held = true;
	ends[1].tp->ops->poll(ends[1].tp, 16);
	CU_ASSERT(verbs_double.reads == 6 && count(1, ART_RDMA_N_PLACED) >= 4);
}

/* The receiver wants its memory back while reads to it are under way: from then on nothing comes there. Reads
 * that end in time leave the way as it is; one that does not ends with the way, and its body comes again. */
static void no_read_goes_on_to_what_was_taken_away(void)
{
	for (int i = 0; i < 12; i++) {
		bool stuck = i % 2, unplaced = i % 3;
		static uint8_t was[BUF_BYTES];

		six_reads_under_way();
		verbs_double.reads_held = stuck;
		if (unplaced)
			ends[1].tp->ops->unplace(ends[1].tp, ends[1].in);
		else
			ends[1].tp->ops->lent_over(ends[1].tp, ends[1].in);
		memset(ends[1].in, 0x77, BUF_BYTES);
		memset(was, 0x77, BUF_BYTES);
		verbs_double.reads_held = places = false;
		verbs_double_run();
		CU_ASSERT(count(1, ART_RDMA_N_BROKEN) == stuck);
		UNTIL(all_came() && all_back() && count(0, ART_RDMA_N_BROKEN) == stuck);
		CU_ASSERT(memcmp(ends[1].in, was, BUF_BYTES) == 0);
		CU_ASSERT(ends[1].disorder == !stuck); /* they came as anything, in time */
		ends[1].tp->ops->lent_over(ends[1].tp, ends[1].in);
		CU_ASSERT(user_bytes(1) == 0 && ends[0].downs + ends[1].downs == 0);
		finish();
	}
}

/* Nor by a device that does not end a queue pair: it finds the memory registered no more. */
static void a_queue_pair_that_stays_reads_nothing(void)
{
	for (int i = 0; i < 3; i++) {
		static uint8_t was[BUF_BYTES];

		six_reads_under_way();
		verbs_double.stuck = true;
		if (i < 2)
			ends[1].tp->ops->unplace(ends[1].tp, ends[1].in);
		if (i > 0)
			ends[1].tp->ops->drop(ends[1].tp, 0);
		CU_ASSERT(user_bytes(1) == 0);
		memset(ends[1].in, 0x77, BUF_BYTES);
		memset(was, 0x77, BUF_BYTES);
		verbs_double.reads_held = places = false;
		verbs_double_run();
		CU_ASSERT(memcmp(ends[1].in, was, BUF_BYTES) == 0);
		verbs_double_bury();
		UNTIL(i > 0 || (all_came() && all_back()));
		finish();
	}
}

/* Writes and reads in turn, then what took less time; what passes while nothing is out does not count. */
static void the_faster_way_is_chosen(void)
{
	for (int i = 0; i < 4; i++) {
		unsigned costs[2] = {i & 1 ? 1000 : 1200, i & 1 ? 1200 : 1000};
		uint64_t pulled;

		begin_by(ART_RDMA_AUTO);
		clock_stands = now(NULL);
		verbs_double.late = true;
		for (int k = 0; k < 6 * 64 + 1; k++) {
			pulled = count(1, ART_RDMA_N_PULLED);
			CU_ASSERT(lend_one(0, ART_TP_BODY_MAX));
			clock_stands += costs[k / 64 % 2];
			while (!all_back())
				turn();
			CU_ASSERT(k >= 384 || count(1, ART_RDMA_N_PULLED) - pulled == (uint64_t)(k / 64 % 2));
			clock_stands += i & 2 ? costs[1 - k / 64 % 2] * 5 : 0; /* the others are idle */
		}
		clock_stands = 0;
		CU_ASSERT(count(0, ART_RDMA_N_CHOSE_READ) == !(i & 1) && count(0, ART_RDMA_N_CHOSE_WRITE) == (i & 1));
		CU_ASSERT((count(1, ART_RDMA_N_PULLED) > pulled) == !(i & 1));
		CU_ASSERT(!ends[1].disorder && ends[0].downs == 0);
		finish();
	}
}

/* Records that have waited for credit go as few writes, each of which is told of once. */
static void what_waits_goes_together(void)
{
	unsigned long posts;

	begin_by(ART_RDMA_WRITE);
	verbs_double.held = true;
	for (int k = 0; k < 15; k++) /* seven find room */
		CU_ASSERT(lend_one(0, ART_TP_BODY_MAX));
	posts = verbs_double.posts;
	verbs_double.held = false;
	while (!(all_came() && all_back()))
		turn();
	CU_ASSERT(!ends[1].disorder && ends[0].downs + ends[1].downs == 0 && verbs_double.not_ready == 0);
	CU_ASSERT(count(0, ART_RDMA_N_QUEUED) >= 6);
	posts = verbs_double.posts - posts; /* of both: records, and credit for them */
	CU_ASSERT(posts < 8 + 4); /* three or four of a record each are two of several */
	take_back(0);
	finish();
}

/* As many messages as may be under way come to one who does not look, and beside them credit for each of as many
 * lent ones as its own ring holds: there is a receive for all of them. */
static void there_is_a_receive_for_whatever_may_come(void)
{
	begin_by(ART_RDMA_WRITE);
	for (int k = 0; k < SLOTS; k++) {
		CU_ASSERT(lend_one(0, 16384));
		verbs_double_run();
		ends[1].tp->ops->poll(ends[1].tp, 16);
	}
	CU_ASSERT(all_came());
	for (int k = 0; k < 140; k++)
		send_one(1, 300);
	CU_ASSERT(verbs_double.not_ready == 0);
	UNTIL(all_came() && all_back());
	CU_ASSERT(count(0, ART_RDMA_N_BROKEN) == 0 && !ends[0].disorder && !ends[1].disorder);
	finish();
}

/* Who says that more has come than there is room for says nothing that is believed. */
static void too_much_is_announced(void)
{
	for (unsigned flip = 1; flip < 64; flip *= 2) {
		begin_by(ART_RDMA_WRITE);
		verbs_double.imm_flip = flip;
		CU_ASSERT(lend_one(0, 60000));
		ends[1].tp->ops->poll(ends[1].tp, 16);
		verbs_double.imm_flip = 0;
		if (flip < ART_RDMA_GATHERED) { /* what was not written is no record */
			UNTIL(ends[1].downs == 1 && ends[1].why == ART_TP_GARBAGE);
		} else {
			UNTIL(all_came() && count(1, ART_RDMA_N_BROKEN) == 1);
			CU_ASSERT(ends[1].downs == 0 && !ends[1].disorder);
		}
		UNTIL(all_back());
		finish();
	}
}

/* A way breaks at any work request, a read among them, or half way through one: what was not delivered comes
 * over the carrier out of the same memory, and all of that comes back. */
static void a_way_breaks_while_it_lends(void)
{
	for (long at = 1; at < 120; at++) {
		places = at % 3;
		begin_by(at >= 60 || at % 4 == 0 ? ART_RDMA_READ : ART_RDMA_WRITE);
		verbs_double.late = at % 2;
		verbs_double.backwards = at % 3 == 0;
		verbs_double.fail_with = at % 5 ? IBV_WC_RETRY_EXC_ERR : IBV_WC_REM_ACCESS_ERR;
		if (at % 4 == 0)
			verbs_double.fail_read = 1 + at / 8;
		else
			verbs_double.fail_at = (long)verbs_double.wrs + at % 60;
		lent_traffic(80);
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		CU_ASSERT(count(0, ART_RDMA_N_BROKEN) == 1 && count(1, ART_RDMA_N_BROKEN) == 1);
		CU_ASSERT(!lend_one(0, 65536)); /* over the carrier it is copied */
		UNTIL(all_came());
		take_back(0);
		take_back(1);
		for (int k = 0; k < 2; k++)
			ends[k].tp->ops->lent_over(ends[k].tp, ends[k].in);
		CU_ASSERT(verbs_double.open_mrs == 0 && verbs_double.open_qps == 0);
		finish();
	}
}

/* A device that is removed, or a port that is lost, in the middle of reads. */
static void events_while_it_lends(void)
{
	for (int i = 0; i < 40; i++) {
		places = i < 10;
		begin_by(i < 20 ? ART_RDMA_READ : ART_RDMA_WRITE);
		lent_traffic((int)draw(20));
		verbs_double.reads_held = true;
		lent_traffic((int)draw(10));
		verbs_double_event(i % 2 ? IBV_EVENT_DEVICE_FATAL : IBV_EVENT_PORT_ERR);
		verbs_double.reads_held = i % 4 < 2;
		lent_traffic(10);
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		finish();
	}
}

/* The fence, in each phase: told of, being read, read and not delivered, delivered and not told. Nobody
 * who was dropped reads on, nothing is read into a ring that was, and what was lent comes back. */
static void dropped_in_every_phase(void)
{
	for (int n = 0, phase = 0; n < 8; n++, phase = n % 4) {
		for (int who = 0; who < 2; who++) { /* the lender drops, or the reader */
			unsigned long reads;

			places = n >= 4;
			begin_by(ART_RDMA_READ);
			verbs_double.late = true;
			verbs_double.reads_held = phase == 1;
			for (int k = 0; k < 5; k++)
				CU_ASSERT(lend_one(0, 40000));
			for (int k = 0; k < phase; k++) {
				verbs_double_run();
				if (phase > 1 || k == 0)
					ends[1].tp->ops->poll(ends[1].tp, phase == 2 ? 0 : 2);
			}
			reads = verbs_double.reads_done;
			ends[who].tp->ops->drop(ends[who].tp, 1 - who);
			verbs_double.reads_held = false;
			verbs_double_run();
			CU_ASSERT(verbs_double.reads_done == reads);
			UNTIL(ends[1 - who].downs == 1 && all_back());
			CU_ASSERT(ends[who].downs == 0 && !ends[1].disorder);
			take_back(0);
			CU_ASSERT(user_bytes(0) == 0);
			finish();
		}
	}
}

/* A reset by the lender: what is lent next goes over a new connection, from memory that is still there. */
static void reset_while_it_lends(void)
{
	for (int i = 0; i < 20; i++) {
		places = i % 2;
		begin_by(i < 10 ? ART_RDMA_READ : ART_RDMA_WRITE);
		verbs_double.reads_held = true;
		verbs_double.held = large == ART_RDMA_WRITE;
		lent_traffic(3 + i);
		ends[i % 2].tp->ops->reset(ends[i % 2].tp, 1 - i % 2);
		verbs_double.reads_held = verbs_double.held = false;
		UNTIL(ends[1 - i % 2].downs == 1 && all_back());
		for (int k = 0; k < 2; k++)
			ends[1 - k].got = ends[k].sent; /* those that were under way are lost */
		lent_traffic(20);
		UNTIL(all_came() && all_back());
		finish();
	}
}

/* Memory that its owner has again while the peer may still be reading: nobody hears of it, the peer is not
 * disturbed, and our processor looks at none of it, be it unmapped. */
static void memory_is_taken_back(void)
{
	for (int breaks = 0; breaks < 2; breaks++) {
		uint8_t *own, *mapped = mmap(NULL, BUF_BYTES, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		begin_by(ART_RDMA_READ);
		own = ends[0].buf;
		ends[0].buf = mapped;
		verbs_double.reads_held = true;
		for (int k = 0; k < SLOTS; k++) /* some find no room, and wait */
			CU_ASSERT(lend_one(0, 60000));
		take_back(0);
		CU_ASSERT(user_bytes(0) == BUF_BYTES); /* pinned, until it was read */
		if (breaks) {
			munmap(mapped, BUF_BYTES);
			verbs_double_event(IBV_EVENT_PORT_ERR);
		}
		verbs_double.reads_held = false;
		UNTIL(all_came());
		CU_ASSERT(ends[0].downs + ends[1].downs == 0 && ends[1].disorder == true);
		UNTIL(user_bytes(0) == 0);
		if (!breaks)
			munmap(mapped, BUF_BYTES);
		ends[0].buf = own;
		ends[1].disorder = false;
		ends[0].lent = ends[0].returned = 0;
		CU_ASSERT(lend_one(0, 60000) == !breaks);
		UNTIL(all_came() && all_back() && !ends[1].disorder);
		finish();
	}
}

/* Operations whose buffers are mapped, lent and unmapped, mostly at the same addresses, with children that write
 * to their copies: what arrives is what was in the buffer, and nothing stays registered. */
static void mmap_munmap_and_fork(void)
{
	begin_by(ART_RDMA_READ);
	for (int i = 0; i < 200; i++) {
		struct end *e = &ends[draw(2)];
		int from = (int)(e - ends);
		uint8_t *own = e->buf;
		pid_t child = -1;

		e->buf = mmap(NULL, BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CU_ASSERT_FATAL(e->buf != MAP_FAILED);
		for (unsigned k = 1 + draw(6); k > 0; k--) {
			(void)lend_one(from, 16384 + draw(49153));
			if (k == 1 && i % 8 == 0 && (child = fork()) == 0) {
				memset(e->buf, 0x11, BUF_BYTES);
				_exit(0);
			}
		}
		UNTIL(all_came() && all_back());
		e->tp->ops->lent_over(e->tp, e->buf);
		CU_ASSERT(user_bytes(from) == 0 && verbs_double.open_mrs == 2);
		munmap(e->buf, BUF_BYTES);
		e->buf = own;
		if (child > 0)
			CU_ASSERT(waitpid(child, NULL, 0) == child);
	}
	CU_ASSERT(!ends[0].disorder && !ends[1].disorder && count(0, ART_RDMA_N_PULLED) > 100);
	finish();
}

/* Not more is registered than there may be: what is not lent now goes first. */
static void registered_memory_is_bounded(void)
{
	size_t big = (size_t)100 << 20, most = 0;
	uint8_t *mem = mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct art_tp_loan loan = {mem, mem, big};
	uint8_t head[ART_TP_HEAD];
	bool lent;

	begin_by(ART_RDMA_WRITE);
	free(ends[0].buf);
	ends[0].buf = mem;
	for (size_t at = 0; at + 65536 <= big; at += 3 << 20) {
		struct iovec v[2] = {{head, sizeof(head)}, {mem + at, 65536}};

		fill_head(&ends[0], head, 65536);
		for (size_t i = 0; i < 65536; i++)
			mem[at + i] = (uint8_t)(ends[0].sent + i);
		ends[0].lent++;
		CU_ASSERT(ends[0].tp->ops->lend(ends[0].tp, 1, v, &loan, &lent) >= 0 && lent);
		ends[0].sent++;
		UNTIL(all_came() && all_back());
		most = user_bytes(0) > most ? user_bytes(0) : most;
	}
	CU_ASSERT(most > (size_t)32 << 20 && most <= (size_t)64 << 20 && !ends[1].disorder);
	take_back(0);
	CU_ASSERT(user_bytes(0) == 0);
	munmap(mem, big);
	ends[0].buf = NULL;
	finish();
}

/* Devices and systems that cannot: everything is copied. */
static void nothing_is_lent_where_it_cannot_be(void)
{
	for (int i = 0; i < 4; i++) {
		large = i == 3 ? ART_RDMA_COPY : ART_RDMA_READ;
		verbs_double.fork_hazard = i == 0;
		verbs_double.max_reads = i == 1 ? 0 : 8;
		verbs_double.max_sge = i == 1 ? 1 : 4;
		verbs_double.refuse_mr = i == 2 ? (long)verbs_double.mrs + 3 : 0; /* the rings are made */
		begin(false);
		move_to_rings();
		for (int k = 0; k < 20; k++)
			CU_ASSERT(!lend_one(0, 65536));
		UNTIL(all_came());
		CU_ASSERT(!ends[1].disorder && verbs_double.reads == 0 && ends[0].downs == 0);
		CU_ASSERT(count(0, ART_RDMA_N_SENT) > 20 && user_bytes(0) == 0);
		finish();
	}
}

/* Nothing of the user's is pinned where the device can do without, and then a child cannot part it from its
 * pages. Where it then will not, memory is pinned if that is safe. */
static void pages_on_demand(void)
{
	for (int i = 0; i < 4; i++) {
		bool refuses = i & 1, hazard = i & 2;

		verbs_double.on_demand = true;
		verbs_double.refuse_on_demand = refuses;
		verbs_double.fork_hazard = hazard;
		places = true;
		begin_by(ART_RDMA_READ);
		for (int k = 0; k < 40; k++)
			CU_ASSERT(lend_one(0, 60000) == !(refuses && hazard));
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		CU_ASSERT(verbs_double.on_demand_mrs == (refuses ? 0 : 2)); /* what is lent; where it goes */
		CU_ASSERT((count(1, ART_RDMA_N_PLACED) > 0) == !(refuses && hazard));
		finish();
	}
}

/* A peer that says where a body is, and lies. */
static void a_source_that_is_none_breaks_the_way(void)
{
	begin_by(ART_RDMA_READ);
	verbs_double.reads_held = true;
	CU_ASSERT(lend_one(0, 50000));
	turn();
	verbs_double_forget_users(); /* as if its key had been a wrong one */
	verbs_double.reads_held = false;
	UNTIL(all_came() && all_back());
	CU_ASSERT(count(1, ART_RDMA_N_BROKEN) == 1 && verbs_double.rejected > 0 && !ends[1].disorder);
	finish();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "lent messages are read where they lie", lent_messages_are_read_where_they_lie },
		{ "bodies are read to where they go", bodies_are_read_to_where_they_go },
		{ "no read goes on to what was taken away", no_read_goes_on_to_what_was_taken_away },
		{ "a queue pair that stays reads nothing", a_queue_pair_that_stays_reads_nothing },
		{ "the faster way is chosen", the_faster_way_is_chosen },
		{ "what waits goes together", what_waits_goes_together },
		{ "there is a receive for whatever may come", there_is_a_receive_for_whatever_may_come },
		{ "too much is announced", too_much_is_announced },
		{ "a way breaks while it lends", a_way_breaks_while_it_lends },
		{ "events while it lends", events_while_it_lends },
		{ "dropped in every phase", dropped_in_every_phase },
		{ "reset while it lends", reset_while_it_lends },
		{ "memory is taken back", memory_is_taken_back },
		{ "mmap, munmap and fork", mmap_munmap_and_fork },
		{ "registered memory is bounded", registered_memory_is_bounded },
		{ "pages on demand", pages_on_demand },
		{ "nothing is lent where it cannot be", nothing_is_lent_where_it_cannot_be },
		{ "a source that is none breaks the way", a_source_that_is_none_breaks_the_way },
		CU_TEST_INFO_NULL,
	};

	verbs_double_reset();
	return unit_run("rdma lent", tests);
}
