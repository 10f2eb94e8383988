/* SPDX-License-Identifier: MIT
 *
 * The rdma transport on a double of libibverbs: what its parts make of hostile input, and what two
 * ends do when a device fails them in ways that software devices do not.
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/verbs_double.h"
#include "transport/rdma/rdma.h"
#include "transport/tcp/tcp.h"

/* ---- parts ---- */

static uint64_t luck = 1;

static unsigned draw(unsigned bound)
{
	luck = luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(luck >> 33) % bound;
}

static struct art_rdma_offer good_offer(void)
{
	return (struct art_rdma_offer){.mtu = 3, .ring_log2 = 17, .window_log2 = 7, .lid = 9,
				       .qpn = 0x123456, .psn = 0xabcdef, .rkey = 0x11223344,
				       .addr = 0x7f0000001000, .nonce = 42, .gid = {1, 2, 3}};
}

static void offers_travel_and_are_checked(void)
{
	struct art_rdma_offer o = good_offer(), got;
	uint8_t head[ART_TP_HEAD], bad[ART_TP_HEAD];

	art__rdma_put_offer(head, &o);
	CU_ASSERT(art__rdma_is_word(head) && art__rdma_word_kind(head) == ART_RDMA_SAY_OFFER);
	CU_ASSERT(art__rdma_get_offer(head, &got));
	CU_ASSERT(got.qpn == o.qpn && got.psn == o.psn && got.rkey == o.rkey && got.addr == o.addr &&
		  got.nonce == o.nonce && got.lid == o.lid && got.mtu == o.mtu &&
		  memcmp(got.gid, o.gid, sizeof(o.gid)) == 0);
	for (int i = 0; i < 20000; i++) {
		memcpy(bad, head, sizeof(bad));
		for (unsigned k = 1 + draw(4); k > 0; k--)
			bad[4 + draw(ART_TP_HEAD - 4)] = (uint8_t)draw(256);
		if (!art__rdma_get_offer(bad, &got))
			continue;
		CU_ASSERT_FATAL(got.ring_log2 >= 17 && got.ring_log2 <= 20 && got.qpn <= 0xffffff &&
				got.psn <= 0xffffff && got.mtu >= 1 && got.mtu <= 5 &&
				got.window_log2 <= 12 && got.addr % 64 == 0);
	}
}

#define RING ART_RDMA_RING_MIN

static void rings_hold_what_was_put(void)
{
	uint8_t *mem = calloc(1, RING + ART_RDMA_SPILL), head[ART_TP_HEAD], got[ART_TP_HEAD];
	static uint8_t body[ART_TP_BODY_MAX];
	struct art_rdma_key key = {.key = "0123456789abcde", .mac = true};
	struct art_rdma_tx tx = {.copy = mem, .bytes = RING, .window = 32};
	struct art_rdma_rx rx = {.ring = mem, .bytes = RING};
	const uint8_t *in;
	size_t len;

	for (int i = 0; i < 3000; i++) {
		size_t n = draw(8) ? draw(300) : draw(ART_TP_BODY_MAX + 1);
		struct iovec v[2] = {{head, sizeof(head)}, {body, n}};

		memset(head, i, sizeof(head));
		memset(body, i * 7, n);
		CU_ASSERT_FATAL(art__rdma_has_space(&tx, n));
		CU_ASSERT_FATAL(!art__rdma_get(&rx, &key, got, &in, &len)); /* of an older lap */
		art__rdma_put(&tx, &key, v, 2, n);
		CU_ASSERT_FATAL(art__rdma_get(&rx, &key, got, &in, &len) && len == n);
		CU_ASSERT_FATAL(memcmp(got, head, ART_TP_HEAD - ART_TP_HEAD_MAC) == 0);
		CU_ASSERT_FATAL(n == 0 || memcmp(in, body, n) == 0);
		rx.at = art__rdma_next(RING, rx.at, n);
		rx.records++;
		CU_ASSERT_FATAL(rx.at == tx.at);
		CU_ASSERT_FATAL(art__rdma_credit(&tx, (unsigned)(rx.at / ART_RDMA_LINE) & 0x7fff,
						 rx.records & 0x7fff));
		CU_ASSERT_FATAL(tx.acked == tx.at && tx.records_acked == tx.records);
	}
	free(mem);
}

/* Whatever a peer writes: nothing beyond the memory is looked at (the sanitizers say), and a record
 * of which one bit is wrong in what is sealed is none. */
static void rings_may_hold_anything(void)
{
	uint8_t *mem = malloc(RING + ART_RDMA_SPILL), head[ART_TP_HEAD] = "x", got[ART_TP_HEAD];
	struct art_rdma_key key = {.key = "0123456789abcde", .mac = true};
	struct art_rdma_tx tx = {.copy = mem, .bytes = RING, .window = 32};
	struct art_rdma_rx rx = {.ring = mem, .bytes = RING};
	struct iovec v = {head, sizeof(head)};
	const uint8_t *in;
	size_t len;

	memset(mem, 0, RING + ART_RDMA_SPILL);
	art__rdma_put(&tx, &key, &v, 1, 0);
	for (unsigned i = 0; i < 8 * (ART_RDMA_LINE + ART_RDMA_SEAL); i++) {
		mem[i / 8] ^= (uint8_t)(1u << i % 8);
		CU_ASSERT(!art__rdma_get(&rx, &key, got, &in, &len));
		mem[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	CU_ASSERT(art__rdma_get(&rx, &key, got, &in, &len));
	for (size_t i = 0; i < RING + ART_RDMA_SPILL; i++)
		mem[i] = (uint8_t)draw(256);
	for (int i = 0; i < 20000; i++) {
		uint64_t word;

		rx.at = (uint64_t)draw(RING / ART_RDMA_LINE) * ART_RDMA_LINE;
		word = art__rdma_word_of(rx.at, draw(i % 2 ? 0x11000 : 0x7fffffff));
		memcpy(mem + rx.at, &word, sizeof(word));
		CU_ASSERT(!art__rdma_get(&rx, &key, got, &in, &len));
	}
	free(mem);
}

/* A small record is there once its seal is right: no byte of it may be missing. */
static void a_seal_covers_all_of_a_small_record(void)
{
	uint8_t *mem = calloc(1, RING + ART_RDMA_SPILL), head[ART_TP_HEAD] = "x", got[ART_TP_HEAD];
	static uint8_t body[ART_RDMA_SMALL_BODY + 1];
	struct iovec v[2] = {{head, sizeof(head)}, {body, 0}};
	const uint8_t *in;
	size_t len;

	CU_ASSERT(!art__rdma_may_be_small(&(struct art_rdma_rx){.ring = mem, .bytes = RING}));
	for (size_t n = 0; n <= ART_RDMA_SMALL_BODY + 1; n++) {
		struct art_rdma_key key = {.key = "0123456789abcde", .mac = n % 2};
		struct art_rdma_tx tx = {.copy = mem, .bytes = RING, .window = 32};
		struct art_rdma_rx rx = {.ring = mem, .bytes = RING};
		size_t bytes = art__rdma_record_bytes(n), whole = 0;

		memset(body, 0xa5, sizeof(body));
		v[1].iov_len = n;
		CU_ASSERT(art__rdma_put(&tx, &key, v, 2, n) == bytes);
		CU_ASSERT(art__rdma_may_be_small(&rx) == (n <= ART_RDMA_SMALL_BODY));
		for (size_t i = 0; i < bytes; i++) {
			mem[i] ^= 1;
			whole += art__rdma_get(&rx, &key, got, &in, &len);
			mem[i] ^= 1;
		}
		CU_ASSERT(whole == (n <= ART_RDMA_SMALL_BODY ? 0 : bytes - ART_RDMA_LINE - ART_RDMA_SEAL));
		CU_ASSERT(art__rdma_get(&rx, &key, got, &in, &len) && len == n && !memcmp(in, body, n));
	}
	free(mem);
}

static void credit_for_what_was_not_sent_is_none(void)
{
	uint8_t *mem = calloc(1, RING + ART_RDMA_SPILL), head[ART_TP_HEAD] = "x";
	struct art_rdma_key key = {.mac = false};
	struct art_rdma_tx tx = {.copy = mem, .bytes = RING, .window = 32};
	struct iovec v = {head, sizeof(head)};

	art__rdma_put(&tx, &key, &v, 1, 0);
	CU_ASSERT(!art__rdma_credit(&tx, 3, 1) && !art__rdma_credit(&tx, 2, 2));
	CU_ASSERT(!art__rdma_credit(&tx, 0x7fff, 0) && tx.acked == 0);
	CU_ASSERT(!art__rdma_is_boundary(&tx, 64) && art__rdma_is_boundary(&tx, 128));
	CU_ASSERT(!art__rdma_is_boundary(&tx, 192));
	CU_ASSERT(art__rdma_credit(&tx, 2, 1) && tx.acked == 128);
	free(mem);
}

/* ---- two ends ---- */

struct end {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	uint64_t sent, got; /* messages, numbered */
	unsigned ups, downs;
	enum art_tp_why why;
	bool disorder;
};

static struct end ends[2];
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

static void send_one(int from, size_t len)
{
	static uint8_t body[ART_TP_BODY_MAX];
	uint8_t head[ART_TP_HEAD] = "message";
	uint32_t n = (uint32_t)len;
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	struct end *e = &ends[from];

	memcpy(head + 8, &e->sent, sizeof(e->sent));
	memcpy(head + 16, &n, sizeof(n));
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

static void begin(bool alone)
{
	static struct art_rdma_opts ro;
	struct art_tp_opts opts = {.security = ART_TP_MAC, .connect_ns = 2 * ART_NS_PER_S, .world = &ro};

	ro = (struct art_rdma_opts){.carrier = &art__tcp_ops, .alone = alone};
	memset(ends, 0, sizeof(ends));
	warnings = 0;
	for (int i = 0; i < 2; i++) {
		struct art_tp_self self = {.slot = i, .size = 2, .job = 1, .incarnation = 1};
		struct art_tp_up up = {&ends[i], body_len, on_message, on_room, on_up, on_down, NULL,
				       NULL};

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
	for (int i = 0; i < 2; i++)
		if (ends[i].tp)
			ends[i].tp->ops->close(ends[i].tp);
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

int main(void)
{
	CU_pSuite s;
	int failed;

	verbs_double_reset();
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite("rdma", NULL, NULL);
	CU_add_test(s, "offers travel and are checked", offers_travel_and_are_checked);
	CU_add_test(s, "rings hold what was put", rings_hold_what_was_put);
	CU_add_test(s, "rings may hold anything", rings_may_hold_anything);
	CU_add_test(s, "credit for what was not sent is none", credit_for_what_was_not_sent_is_none);
	CU_add_test(s, "a seal covers all of a small record", a_seal_covers_all_of_a_small_record);
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
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = (int)CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
