/* SPDX-License-Identifier: MIT
 *
 * Parts of the rdma transport without a device: offers and records, and what is made of hostile ones.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"
#include "transport/rdma/rdma_ring.h"
#include "transport/rdma/rdma_words.h"

static uint64_t luck = 1;

static unsigned draw(unsigned bound)
{
	luck = luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(luck >> 33) % bound;
}

static struct art_rdma_offer good_offer(void)
{
	return (struct art_rdma_offer){.mtu = 3, .ring_log2 = 17, .window_log2 = 7, .grant_log2 = 3, .lid = 9,
				       .qpn = 0x123456, .psn = 0xabcdef, .rkey = 0x11223344,
				       .addr = 0x7f0000001000, .nonce = 42, .reads = 16, .gid = {1, 2, 3}};
}

static void offers_travel_and_are_checked(void)
{
	struct art_rdma_offer o = good_offer(), got;
	uint8_t head[ART_TP_HEAD], bad[ART_TP_HEAD];

	art__rdma_put_offer(head, &o);
	CU_ASSERT(art__rdma_is_word(head) && art__rdma_word_kind(head) == ART_RDMA_SAY_OFFER);
	CU_ASSERT(art__rdma_get_offer(head, &got));
	CU_ASSERT(got.qpn == o.qpn && got.psn == o.psn && got.rkey == o.rkey && got.addr == o.addr &&
		  got.nonce == o.nonce && got.lid == o.lid && got.reads == o.reads && got.mtu == o.mtu &&
		  got.window_log2 == o.window_log2 && got.grant_log2 == o.grant_log2 &&
		  memcmp(got.gid, o.gid, sizeof(o.gid)) == 0);
	for (int i = 0; i < 20000; i++) {
		memcpy(bad, head, sizeof(bad));
		for (unsigned k = 1 + draw(4); k > 0; k--)
			bad[4 + draw(ART_TP_HEAD - 4)] = (uint8_t)draw(256);
		if (!art__rdma_get_offer(bad, &got))
			continue;
		CU_ASSERT_FATAL(got.reads <= ART_RDMA_READS);
		CU_ASSERT_FATAL(got.ring_log2 >= 17 && got.ring_log2 <= 20 && got.qpn <= 0xffffff &&
				got.psn <= 0xffffff && got.mtu >= 1 && got.mtu <= 5 &&
				got.window_log2 <= 12 && got.grant_log2 >= 3 &&
				got.grant_log2 <= got.window_log2 && got.addr % 64 == 0);
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
		art__rdma_took(&rx, got, n);
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
		word |= i % 3 ? 0 : ART_RDMA_COMPACT | draw(128) << ART_RDMA_DIFFERS_SHIFT;
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

/* Compact and whole records in turn, with heads that differ in some words: what is taken is what was put,
 * so is what would be sent again, the bytes are as few as they can be, and not one may be missing. */
static void compact_records_say_what_differs(void)
{
	uint8_t *ring = calloc(1, RING + ART_RDMA_SPILL), *copy = calloc(1, RING + ART_RDMA_SPILL);
	uint8_t head[ART_TP_HEAD] = "x", got[ART_TP_HEAD], out[ART_RDMA_SMALL];
	static uint8_t body[ART_RDMA_SMALL_BODY];
	struct art_rdma_key key = {.key = "0123456789abcde", .mac = true};
	struct art_rdma_tx tx = {.copy = copy, .bytes = RING, .window = 32};
	struct art_rdma_rx rx = {.ring = ring, .bytes = RING};
	const uint8_t *in;
	bool lent;
	size_t len;

	for (int i = 0; i < 3000; i++) {
		size_t n = draw(2) ? 8 : draw(sizeof(body) + 1), bytes;
		struct iovec v[2] = {{head, sizeof(head)}, {body, n}};
		unsigned changes = i ? draw(4) : 1; /* at most so many words, from one on */
		uint64_t at = tx.at;

		memset(body, i, sizeof(body));
		for (unsigned k = 0, word = draw(5); k < changes; k++)
			head[8 * (word + k) + draw(8)]++;
		if (draw(4) == 0) {
			bytes = art__rdma_put(&tx, &key, v, 2, n);
			memcpy(ring + (at & (RING - 1)), copy + (at & (RING - 1)), bytes);
		} else {
			bytes = art__rdma_put_compact(&tx, &key, v, 2, n, out);
			CU_ASSERT_FATAL(i == 0 || bytes == 16 + 8 * changes + ((n + 7) & ~(size_t)7));
			memcpy(ring + (at & (RING - 1)), out, bytes);
			for (size_t k = 0; k < bytes && i < 200; k++) {
				ring[(at & (RING - 1)) + k] ^= 0x40;
				CU_ASSERT(!art__rdma_get(&rx, &key, got, &in, &len));
				ring[(at & (RING - 1)) + k] ^= 0x40;
			}
		}
		CU_ASSERT_FATAL(art__rdma_may_be_small(&rx));
		CU_ASSERT_FATAL(art__rdma_peek(&rx, rx.at, &len, &lent) && len == n && !lent);
		CU_ASSERT_FATAL(art__rdma_get(&rx, &key, got, &in, &len) && len == n);
		CU_ASSERT_FATAL(!memcmp(got, head, ART_RDMA_HEAD_SENT) && !memcmp(in, body, n));
		art__rdma_took(&rx, got, n);
		CU_ASSERT_FATAL(rx.at == tx.at && tx.at == art__rdma_next(RING, at, n));
		art__rdma_written(&tx, at, got, &in, &len);
		CU_ASSERT_FATAL(len == n && !memcmp(got, head, ART_RDMA_HEAD_SENT) && !memcmp(in, body, n));
		tx.acked = tx.at;
		tx.records_acked = tx.records;
	}
	free(ring);
	free(copy);
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

/* Of what was granted and not used, as much as is asked for; nothing that is under way. */
static void credit_is_given_back(void)
{
	for (uint32_t acked = 0; acked < 80000; acked += 9973) /* the numbers are cut */
		for (uint32_t out = 0; out <= 32; out++)
			for (uint32_t back = 0; back <= 40; back++) {
				struct art_rdma_tx tx = {.window = 32, .records = acked + out, .records_acked = acked};
				uint32_t can = 32 - out < back ? 32 - out : back;

				CU_ASSERT_FATAL(art__rdma_give(&tx, (acked - back) & 0x7fff) == (back <= 32));
				CU_ASSERT_FATAL(tx.records_acked == acked - (back <= 32 ? can : 0));
			}
}

/* Where a body is to be read is sealed, and no record of another kind is taken for it. */
static void a_lent_record_is_sealed(void)
{
	uint8_t *mem = calloc(1, RING + ART_RDMA_SPILL), head[ART_TP_HEAD] = "x", got[ART_TP_HEAD];
	struct art_rdma_key key = {.key = "0123456789abcde", .mac = true};
	struct art_rdma_tx tx = {.copy = mem, .bytes = RING, .window = 32};
	struct art_rdma_rx rx = {.ring = mem, .bytes = RING};
	struct art_rdma_source from = {UINT64_C(0x123456789abc), 0x55aa}, source;
	const uint8_t *in;
	bool lent;
	size_t len, bytes = art__rdma_put_lent(&tx, &key, head, 40000, &from);

	CU_ASSERT(bytes == ART_RDMA_LINE + ART_RDMA_SOURCE + ART_RDMA_SEAL);
	CU_ASSERT(art__rdma_peek(&rx, 0, &len, &lent) && lent && len == 40000);
	CU_ASSERT(!art__rdma_may_be_small(&rx) && !art__rdma_get(&rx, &key, got, &in, &len));
	for (unsigned i = 0; i < 8 * bytes; i++) {
		mem[i / 8] ^= (uint8_t)(1u << i % 8);
		CU_ASSERT(!art__rdma_get_lent(&rx, &key, 0, 40000, got, &source));
		mem[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	CU_ASSERT(art__rdma_get_lent(&rx, &key, 0, 40000, got, &source) && source.addr == from.addr &&
		  source.rkey == from.rkey && memcmp(got, head, ART_TP_HEAD - ART_TP_HEAD_MAC) == 0);
	art__rdma_written(&tx, 0, got, &in, &len);
	CU_ASSERT(len == 40000 && tx.at == art__rdma_next(RING, 0, 40000));
	free(mem);
}

/* Around a body that is written out of other memory: head and seal as if it had been copied. */
static void ends_of_a_record_are_those_of_a_copied_one(void)
{
	static uint8_t body[5000];
	uint8_t *copied = calloc(1, RING + ART_RDMA_SPILL), *ends = calloc(1, RING + ART_RDMA_SPILL);
	uint8_t head[ART_TP_HEAD] = "x", got[ART_TP_HEAD];
	const uint8_t *in;
	size_t len;

	for (size_t n = ART_RDMA_SMALL_BODY + 1; n < sizeof(body); n += 97) {
		struct art_rdma_key key = {.key = "0123456789abcde", .mac = n % 2};
		struct art_rdma_tx a = {.copy = copied, .bytes = RING, .window = 32};
		struct art_rdma_tx b = {.copy = ends, .bytes = RING, .window = 32};
		struct art_rdma_rx rx = {.ring = ends, .bytes = RING};
		struct iovec v[2] = {{head, sizeof(head)}, {body, n}};
		size_t bytes = art__rdma_put(&a, &key, v, 2, n);

		memset(ends, 0xff, sizeof(body) + 2 * ART_RDMA_LINE);
		CU_ASSERT(art__rdma_put_ends(&b, &key, head, n) == bytes && a.at == b.at);
		CU_ASSERT(memcmp(copied + 8, ends + 8, ART_RDMA_LINE - 8) == 0); /* the first word differs: OWED */
		memcpy(ends + ART_RDMA_LINE, body, n);
		CU_ASSERT(art__rdma_get(&rx, &key, got, &in, &len) && len == n && rx.owed);
	}
	free(copied);
	free(ends);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "offers travel and are checked", offers_travel_and_are_checked },
		{ "rings hold what was put", rings_hold_what_was_put },
		{ "rings may hold anything", rings_may_hold_anything },
		{ "credit for what was not sent is none", credit_for_what_was_not_sent_is_none },
		{ "credit is given back", credit_is_given_back },
		{ "a seal covers all of a small record", a_seal_covers_all_of_a_small_record },
		{ "compact records say what differs", compact_records_say_what_differs },
		{ "a lent record is sealed", a_lent_record_is_sealed },
		{ "ends of a record are those of a copied one",
		  ends_of_a_record_are_those_of_a_copied_one },
		CU_TEST_INFO_NULL,
	};

	return unit_run("rdma parts", tests);
}
