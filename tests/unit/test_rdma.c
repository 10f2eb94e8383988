/* SPDX-License-Identifier: MIT
 *
 * The rdma transport on a double of libibverbs: what two ends do when a device fails them in ways that
 * software devices do not.
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/verbs_double.h"
#include "transport/rdma/rdma.h"
#include "transport/tcp/tcp.h"

static uint64_t luck = 1;

static unsigned draw(unsigned bound)
{
	luck = luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(luck >> 33) % bound;
}

/* ---- two ends ---- */

struct end {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	uint64_t sent, got; /* messages, numbered */
	unsigned ups, downs;
	enum art_tp_why why;
	bool disorder;
	unsigned lent, returned; /* counted */
	uint8_t *buf;            /* [SLOTS] bodies that are lent */
	uint8_t *in;             /* [SLOTS] where bodies may be put */
	unsigned in_place;       /* so many came there */
};

#define SLOTS 24
#define BUF_BYTES (SLOTS * (size_t)ART_TP_BODY_MAX)

static struct end ends[2];
static bool places; /* bodies may be put where they go */
static unsigned warnings;
static char warned[256];

static uint64_t now(void *self)
{
	struct timespec ts;

	(void)self;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ART_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void *get_memory(void *self, size_t n)
{
	(void)self;
	return malloc(n);
}

static void give_back(void *self, void *p)
{
	(void)self;
	free(p);
}

static void on_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	if (level > ART_LOG_WARN)
		return;
	warnings++;
	strncpy(warned, line, sizeof(warned) - 1);
}

static const struct art_env env = {.now_ns = now, .alloc = get_memory, .free = give_back,
				   .log = on_log, .log_level = ART_LOG_WARN};

static int64_t body_len(void *self, const uint8_t *head)
{
	uint32_t len;

	(void)self;
	memcpy(&len, head + 16, sizeof(len));
	return len;
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct end *e = self;
	uint64_t number;

	(void)peer;
	memcpy(&number, head + 8, sizeof(number));
	e->in_place += body == e->in + number % SLOTS * (size_t)ART_TP_BODY_MAX;
	e->disorder |= number != e->got;
	for (size_t i = 0; i < len; i++)
		e->disorder |= body[i] != (uint8_t)(number + i);
	e->got = number + 1;
}

static void on_room(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static void on_up(void *self, int peer)
{
	(void)peer;
	((struct end *)self)->ups++;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	(void)peer;
	((struct end *)self)->downs++;
	((struct end *)self)->why = why;
}

/* Most of them. */
static bool on_place(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out)
{
	struct end *e = self;
	uint64_t number;

	(void)peer;
	CU_ASSERT(len <= ART_TP_BODY_MAX && e->tp);
	memcpy(&number, head + 8, sizeof(number));
	*out = (struct art_tp_place){e->in, e->in, BUF_BYTES, e->in + number % SLOTS * (size_t)ART_TP_BODY_MAX};
	return places && number % 5;
}

static void on_returned(void *self, void *token)
{
	struct end *e = self;

	CU_ASSERT(token == e->buf && e->returned < e->lent);
	e->returned++;
}

static void fill_head(struct end *e, uint8_t head[ART_TP_HEAD], size_t len)
{
	uint32_t n = (uint32_t)len;

	memset(head, 0, ART_TP_HEAD);
	memcpy(head, "message", 7);
	memcpy(head + 8, &e->sent, sizeof(e->sent));
	memcpy(head + 16, &n, sizeof(n));
}

static void send_one(int from, size_t len)
{
	static uint8_t body[ART_TP_BODY_MAX];
	uint8_t head[ART_TP_HEAD];
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	struct end *e = &ends[from];

	fill_head(e, head, len);
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(e->sent + i);
	CU_ASSERT_FATAL(e->tp->ops->send(e->tp, 1 - from, v, 2) >= 0);
	e->sent++;
}

static void turn(void)
{
	for (int i = 0; i < 2; i++)
		if (ends[i].tp)
			ends[i].tp->ops->poll(ends[i].tp, 16);
}

/* Lends a part of the end's buffer; the slot of the one before the last ones is free again, or waited for. */
static bool lend_one(int from, size_t len)
{
	struct end *e = &ends[from];
	struct art_tp_loan loan = {e->buf, e->buf, BUF_BYTES};
	uint8_t head[ART_TP_HEAD], *body = e->buf + e->lent % SLOTS * (size_t)ART_TP_BODY_MAX;
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	bool lent = false;

	for (long i = 0; e->lent - e->returned >= SLOTS && i < 1000000; i++)
		turn();
	CU_ASSERT_FATAL(e->lent - e->returned < SLOTS);
	fill_head(e, head, len);
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(e->sent + i);
	e->lent++; /* on_returned() may come before this call is over, for another one */
	CU_ASSERT_FATAL(e->tp->ops->lend(e->tp, 1 - from, v, &loan, &lent) >= 0);
	e->lent -= !lent;
	e->sent++;
	return lent;
}

static bool all_back(void)
{
	return ends[0].lent == ends[0].returned && ends[1].lent == ends[1].returned;
}

#define UNTIL(cond) \
	do { \
		uint64_t start_ = now(NULL); \
		while (!(cond) && now(NULL) - start_ < 30 * ART_NS_PER_S) \
			turn(); \
		CU_ASSERT_FATAL(cond); \
	} while (0)

static bool all_came(void)
{
	return ends[0].got == ends[1].sent && ends[1].got == ends[0].sent;
}

static uint64_t count(int end, enum art_rdma_count what)
{
	uint64_t n = 0;

	(void)art__rdma_count(ends[end].tp, what, &n);
	return n;
}

static enum art_rdma_large large; /* of what is opened next */

static void begin(bool alone)
{
	static struct art_rdma_opts ro;
	struct art_tp_opts opts = {.security = ART_TP_MAC, .connect_ns = 2 * ART_NS_PER_S, .world = &ro};

	ro = (struct art_rdma_opts){.carrier = &art__tcp_ops, .alone = alone, .large = large};
	memset(ends, 0, sizeof(ends));
	warnings = 0;
	for (int i = 0; i < 2; i++) {
		struct art_tp_self self = {.slot = i, .size = 2, .job = 1, .incarnation = 1};
		struct art_tp_up up = {&ends[i], body_len, on_message, on_room, on_up, on_down, NULL,
				       on_returned, on_place};

		ends[i].buf = malloc(BUF_BYTES);
		ends[i].in = malloc(BUF_BYTES);
		CU_ASSERT_FATAL(art__rdma_ops.open(&env, &self, &opts, &up, &ends[i].tp) == 0);
		CU_ASSERT_FATAL(art__rdma_ops.listen(ends[i].tp, ends[i].addr) == 0);
	}
	for (int i = 0; i < 2; i++)
		CU_ASSERT_FATAL(art__rdma_ops.peer(ends[i].tp, 1 - i, ends[1 - i].addr) == 0);
}

/* Both write to each other's ring. */
static void move_to_rings(void)
{
	for (int i = 0; i < 1000 && !(count(0, ART_RDMA_N_UP) && count(1, ART_RDMA_N_UP)); i++) {
		send_one(0, 40);
		send_one(1, 40);
		UNTIL(all_came());
	}
	CU_ASSERT_FATAL(count(0, ART_RDMA_N_UP) == 1 && count(1, ART_RDMA_N_UP) == 1);
	send_one(0, 40);
	send_one(1, 40);
	UNTIL(all_came());
}

static void finish(void)
{
	for (int i = 0; i < 2; i++) {
		if (ends[i].tp)
			ends[i].tp->ops->close(ends[i].tp);
		free(ends[i].buf);
		free(ends[i].in);
	}
	places = false;
	CU_ASSERT(verbs_double.registered == 0);
	verbs_double_reset(); /* nothing is open any more */
}

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

/* ---- bodies that are read out of the sender's memory ---- */

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
		large = i & 4 ? ART_RDMA_READ : ART_RDMA_WRITE;
		verbs_double.max_sge = i & 8 ? 4 : 16; /* several records a write, or one */
		begin(false);
		move_to_rings();
		verbs_double.late = i & 1;
		verbs_double.backwards = i & 2;
		lent_traffic(300);
		UNTIL(all_came() && all_back());
		CU_ASSERT(!ends[0].disorder && !ends[1].disorder && ends[0].downs + ends[1].downs == 0);
		CU_ASSERT(count(0, ART_RDMA_N_LENT) > 50 && count(0, ART_RDMA_N_LENT) == ends[0].lent);
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
		large = ART_RDMA_READ;
		places = true;
		begin(false);
		move_to_rings();
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

/* The receiver wants its memory back while reads to it are under way: from then on nothing comes there. Reads
 * that end in time leave the way as it is; one that does not ends with the way, and its body comes again. */
static void no_read_goes_on_to_what_was_taken_away(void)
{
	for (int i = 0; i < 12; i++) {
		bool stuck = i % 2, unplaced = i % 3;
		static uint8_t was[BUF_BYTES];

		large = ART_RDMA_READ;
		places = true;
		begin(false);
		move_to_rings();
		verbs_double.late = true;
		for (int k = 0; k < 6; k++)
			CU_ASSERT(lend_one(0, 50000));
		verbs_double_run();
		verbs_double.reads_held = true;
		ends[1].tp->ops->poll(ends[1].tp, 16);
		CU_ASSERT(verbs_double.reads == 6 && count(1, ART_RDMA_N_PLACED) >= 4);
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

/* Records that have waited for credit go as few writes, each of which is told of once. */
static void what_waits_goes_together(void)
{
	unsigned long posts;

	large = ART_RDMA_WRITE;
	begin(false);
	move_to_rings();
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

/* Who says that more has come than there is room for says nothing that is believed. */
static void too_much_is_announced(void)
{
	for (unsigned flip = 1; flip < 64; flip *= 2) {
		large = ART_RDMA_WRITE;
		begin(false);
		move_to_rings();
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
		large = at >= 60 || at % 4 == 0 ? ART_RDMA_READ : ART_RDMA_WRITE;
		places = at % 3;
		begin(false);
		move_to_rings();
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
		large = i < 20 ? ART_RDMA_READ : ART_RDMA_WRITE;
		places = i < 10;
		begin(false);
		move_to_rings();
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

			large = ART_RDMA_READ;
			places = n >= 4;
			begin(false);
			move_to_rings();
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
		large = i < 10 ? ART_RDMA_READ : ART_RDMA_WRITE;
		places = i % 2;
		begin(false);
		move_to_rings();
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

		large = ART_RDMA_READ;
		begin(false);
		move_to_rings();
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
	large = ART_RDMA_READ;
	begin(false);
	move_to_rings();
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

	large = ART_RDMA_WRITE;
	begin(false);
	move_to_rings();
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

/* A peer that says where a body is, and lies. */
static void a_source_that_is_none_breaks_the_way(void)
{
	large = ART_RDMA_READ;
	begin(false);
	move_to_rings();
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
	CU_pSuite s;
	int failed;

	verbs_double_reset();
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite("rdma", NULL, NULL);
	CU_add_test(s, "small messages come before their completions",
		    small_messages_come_before_their_completions);
	CU_add_test(s, "a way breaks before completions come", a_way_breaks_before_completions_come);
	CU_add_test(s, "a way breaks anywhere", a_way_breaks_anywhere);
	CU_add_test(s, "a port goes down", a_port_goes_down);
	CU_add_test(s, "a device is removed", a_device_is_removed);
	CU_add_test(s, "a late write lands nowhere", a_late_write_lands_nowhere);
	CU_add_test(s, "no memory to register", no_memory_to_register);
	CU_add_test(s, "garbage in a ring ends the connection", garbage_in_a_ring_ends_the_connection);
	CU_add_test(s, "alone it ends with its way", alone_it_ends_with_its_way);
	CU_add_test(s, "lent messages are read where they lie", lent_messages_are_read_where_they_lie);
	CU_add_test(s, "bodies are read to where they go", bodies_are_read_to_where_they_go);
	CU_add_test(s, "no read goes on to what was taken away", no_read_goes_on_to_what_was_taken_away);
	CU_add_test(s, "what waits goes together", what_waits_goes_together);
	CU_add_test(s, "too much is announced", too_much_is_announced);
	CU_add_test(s, "a way breaks while it lends", a_way_breaks_while_it_lends);
	CU_add_test(s, "events while it lends", events_while_it_lends);
	CU_add_test(s, "dropped in every phase", dropped_in_every_phase);
	CU_add_test(s, "reset while it lends", reset_while_it_lends);
	CU_add_test(s, "memory is taken back", memory_is_taken_back);
	CU_add_test(s, "mmap, munmap and fork", mmap_munmap_and_fork);
	CU_add_test(s, "registered memory is bounded", registered_memory_is_bounded);
	CU_add_test(s, "nothing is lent where it cannot be", nothing_is_lent_where_it_cannot_be);
	CU_add_test(s, "a source that is none breaks the way", a_source_that_is_none_breaks_the_way);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = (int)CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
