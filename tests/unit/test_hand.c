/* SPDX-License-Identifier: MIT
 *
 * What ranks started by hand say to rank 0: variables, messages, keys, words. Every byte of every
 * message counts: whatever is altered is refused, without a read beyond the message (sanitizers).
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/set.h"
#include "launch/hand_wire.h"

static const uint8_t key[ART_TP_KEY_BYTES] = { 1, 2, 3 }, other[ART_TP_KEY_BYTES] = { 1, 2, 4 };
static const uint8_t job_nonce[ART_HAND_JOB_NONCE] = { 5 }, nonce[16] = { 6 };
static struct art_hand_session session; /* of hello and challenge, as both sides have it */
static uint8_t hello[ART_HAND_HELLO], challenge[ART_HAND_CHALLENGE];

static int begin(void)
{
	art__hand_hello_put(hello, 3, 4, nonce);
	art__hand_challenge_put(challenge, key, hello, job_nonce, nonce, &session);
	return 0;
}

static void reads_numbers(void)
{
	static const char *const bad[] = { "", "-1", "+1", "4", " 1", "1 ", "1x", "0x1", "9999999999" };
	int n = 7;

	CU_ASSERT(art__hand_number_parse("0", 0, 3, &n) && n == 0);
	CU_ASSERT(art__hand_number_parse("03", 0, 3, &n) && n == 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_FALSE(art__hand_number_parse(bad[i], 0, 3, &n));
	CU_ASSERT_EQUAL(n, 3);
}

static void reads_roots(void)
{
	static const char *const bad[] = {
		"", ":", ":7", "10.1.0.4", "10.1.0.4:", "10.1.0.4:0", "10.1.0.4:65536", "10.1.0.4:7x",
		"::1:7000", "fd00::4:7000", "[::1]", "[::1]:", "[::1]7000", "[::1:7000", "[]:7000",
	};
	char host[ART_TP_ADDR_MAX], port[6], text[300];

	CU_ASSERT(art__hand_root_parse("10.1.0.4:7000", host, port));
	CU_ASSERT_STRING_EQUAL(host, "10.1.0.4");
	CU_ASSERT_STRING_EQUAL(port, "7000");
	CU_ASSERT(art__hand_root_parse("[fe80::1%eth0]:65535", host, port));
	CU_ASSERT_STRING_EQUAL(host, "fe80::1%eth0");
	CU_ASSERT_STRING_EQUAL(port, "65535");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_FALSE(art__hand_root_parse(bad[i], host, port));
	memset(text, 'a', sizeof(text));
	snprintf(text + ART_TP_ADDR_MAX, 10, ":7000"); /* one byte too long for its place */
	CU_ASSERT_FALSE(art__hand_root_parse(text, host, port));
	CU_ASSERT(art__hand_root_parse(text + 1, host, port));
}

static void greets(void)
{
	int rank, size;

	CU_ASSERT_EQUAL(art__hand_prefix_check(hello, 8, ART_HAND_K_HELLO), ART_HAND_OK);
	CU_ASSERT(art__hand_hello_get(hello, &rank, &size) && rank == 3 && size == 4);
	for (int r = -1; r < 1026; r += 5) { /* rank 0 does not say hello to itself */
		uint8_t b[ART_HAND_HELLO];
		bool good = art__hand_hello_get((art__hand_hello_put(b, r, 1024, nonce), b), &rank, &size);

		CU_ASSERT_EQUAL(good, r > 0 && r < 1024);
	}
	art__hand_hello_put(hello, 1, ART_MAX_RANKS + 1, nonce);
	CU_ASSERT_FALSE(art__hand_hello_get(hello, &rank, &size));
	begin();
}

static void tells_noise_from_another_version(void)
{
	uint8_t b[ART_HAND_HELLO];

	memcpy(b, hello, sizeof(b));
	for (size_t have = 0; have <= sizeof(b); have++)
		CU_ASSERT_EQUAL(art__hand_prefix_check(b, have, ART_HAND_K_HELLO), ART_HAND_OK);
	CU_ASSERT_EQUAL(art__hand_prefix_check(b, 8, ART_HAND_K_PROOF), ART_HAND_GARBAGE);
	b[4]++;
	CU_ASSERT_EQUAL(art__hand_prefix_check(b, 4, ART_HAND_K_HELLO), ART_HAND_OK);
	CU_ASSERT_EQUAL(art__hand_prefix_check(b, 5, ART_HAND_K_HELLO), ART_HAND_VERSION);
	b[0] = 'G';
	CU_ASSERT_EQUAL(art__hand_prefix_check(b, 1, ART_HAND_K_HELLO), ART_HAND_GARBAGE);
}

static void proves_the_key_both_ways(void)
{
	uint8_t got[ART_HAND_JOB_NONCE], proof[ART_HAND_PROOF];
	struct art_hand_session mine, wrong;

	CU_ASSERT_EQUAL(art__hand_challenge_get(challenge, key, hello, got, &mine), ART_HAND_OK);
	CU_ASSERT(memcmp(got, job_nonce, sizeof(got)) == 0);
	CU_ASSERT(memcmp(&mine, &session, sizeof(mine)) == 0);
	CU_ASSERT_EQUAL(art__hand_challenge_get(challenge, other, hello, got, &wrong), ART_HAND_KEY);
	art__hand_proof_put(proof, &mine);
	CU_ASSERT_EQUAL(art__hand_proof_get(proof, &session), ART_HAND_OK);
	CU_ASSERT_EQUAL(art__hand_proof_get(proof, &wrong), ART_HAND_KEY);
}

/* A proof that was heard on one connection is of no use on another, to the same rank 0. */
static void refuses_a_replay(void)
{
	uint8_t again[ART_HAND_CHALLENGE], proof[ART_HAND_PROOF];
	static const uint8_t fresh[16] = { 7 };
	struct art_hand_session second;

	art__hand_proof_put(proof, &session);
	art__hand_challenge_put(again, key, hello, job_nonce, fresh, &second);
	CU_ASSERT_EQUAL(art__hand_proof_get(proof, &second), ART_HAND_KEY);
}

/* @get of @b, in memory of exactly its size, with each bit of it turned once. */
static void alter(const uint8_t *b, size_t len, enum art_hand_check (*get)(const uint8_t *b))
{
	uint8_t *copy = malloc(len);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		memcpy(copy, b, len);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (get(copy) == ART_HAND_OK)
			CU_FAIL("an altered message is believed");
	}
	memcpy(copy, b, len);
	CU_ASSERT_EQUAL(get(copy), ART_HAND_OK);
	free(copy);
}

static enum art_hand_check get_challenge(const uint8_t *b)
{
	uint8_t got[ART_HAND_JOB_NONCE];
	struct art_hand_session s;

	return art__hand_challenge_get(b, key, hello, got, &s);
}

static enum art_hand_check get_proof(const uint8_t *b)
{
	return art__hand_proof_get(b, &session);
}

static enum art_hand_check get_welcome(const uint8_t *b)
{
	enum art_hand_verdict v;
	int size;

	return art__hand_welcome_get(b, &session, &v, &size);
}

static struct art_hand_member member;

static enum art_hand_check get_card(const uint8_t *b)
{
	return art__hand_card_get(b, &session, &member);
}

static struct art_boot_card all[3];

static enum art_hand_check get_table(const uint8_t *b)
{
	return art__hand_table_get(b, &session, all, 3);
}

static char words[ART_HAND_TEXT];

static enum art_hand_check get_failed(const uint8_t *b)
{
	return art__hand_failed_get(b, &session, words);
}

static struct art_boot_card card_of(int rank)
{
	struct art_boot_card c = { .incarnation = UINT64_MAX - (unsigned)rank, .pid = 100 + rank,
				   .host = rank / 2, .cores = 1000 + (unsigned)rank };

	for (int i = 0; i < 3; i++)
		snprintf(c.addr[i], sizeof(c.addr[i]), "address %d of %d", i, rank);
	return c;
}

static void put_table(uint8_t *b, const struct art_boot_card *cards)
{
	art__hand_table_put(b, cards, 3);
	art__hand_table_mac(b, 3, &session, b + ART_HAND_TABLE(3) - ART_HAND_MAC);
}

static void refuses_what_is_altered(void)
{
	struct art_boot_card cards[3] = { card_of(0), card_of(1), card_of(2) };
	struct art_hand_member m = { .card = card_of(1), .id = { .pid_space = 9, .boot = "boot" } };
	uint8_t b[ART_HAND_TABLE(3)];

	alter(challenge, sizeof(challenge), get_challenge);
	art__hand_proof_put(b, &session);
	alter(b, ART_HAND_PROOF, get_proof);
	art__hand_welcome_put(b, &session, ART_HAND_SIZE, 4);
	alter(b, ART_HAND_WELCOME, get_welcome);
	m.card.host = 0;
	art__hand_card_put(b, &session, &m);
	alter(b, ART_HAND_CARD, get_card);
	CU_ASSERT(memcmp(&m, &member, sizeof(m)) == 0);
	put_table(b, cards);
	alter(b, ART_HAND_TABLE(3), get_table);
	CU_ASSERT(memcmp(cards, all, sizeof(all)) == 0);
	art__hand_failed_put(b, &session, "rank\t1");
	alter(b, ART_HAND_FAILED, get_failed);
	CU_ASSERT_STRING_EQUAL(words, "rank?1");
}

/* Who has the key is believed who he is, not that he makes no mistakes. */
static void refuses_values_that_cannot_be(void)
{
	struct art_boot_card cards[3] = { card_of(0), card_of(1), card_of(2) };
	struct art_hand_member m = { .card = card_of(1), .id = { .boot = "boot" } };
	uint8_t b[ART_HAND_TABLE(3)];

	m.card.host = 0;
	memset(m.card.addr[2], 'x', sizeof(m.card.addr[2]));
	art__hand_card_put(b, &session, &m);
	CU_ASSERT_EQUAL(get_card(b), ART_HAND_GARBAGE);
	m.card = card_of(0);
	m.card.pid = 0;
	art__hand_card_put(b, &session, &m);
	CU_ASSERT_EQUAL(get_card(b), ART_HAND_GARBAGE);
	m.card = card_of(0);
	memset(m.id.boot, 'x', sizeof(m.id.boot));
	art__hand_card_put(b, &session, &m);
	CU_ASSERT_EQUAL(get_card(b), ART_HAND_GARBAGE);
	cards[1].host = 3;
	put_table(b, cards);
	CU_ASSERT_EQUAL(get_table(b), ART_HAND_GARBAGE);
	art__hand_welcome_put(b, &session, (enum art_hand_verdict)3, 4);
	CU_ASSERT_EQUAL(get_welcome(b), ART_HAND_GARBAGE);
	art__hand_welcome_put(b, &session, ART_HAND_GOOD, 0);
	CU_ASSERT_EQUAL(get_welcome(b), ART_HAND_GARBAGE);
}

static void derives_the_job(void)
{
	static const uint8_t later[ART_HAND_JOB_NONCE] = { 8 };
	uint8_t a[ART_TP_KEY_BYTES], b[ART_TP_KEY_BYTES];
	uint64_t ja, jb;

	art__hand_job(key, job_nonce, &ja, a);
	art__hand_job(key, job_nonce, &jb, b);
	CU_ASSERT(ja == jb && memcmp(a, b, sizeof(a)) == 0);
	CU_ASSERT(memcmp(a, key, sizeof(a)) != 0);
	art__hand_job(key, later, &jb, b);
	CU_ASSERT(ja != jb && memcmp(a, b, sizeof(a)) != 0);
	art__hand_job(other, job_nonce, &jb, b);
	CU_ASSERT(ja != jb && memcmp(a, b, sizeof(a)) != 0);
}

static const char *missing(const char *come, size_t room)
{
	static char text[100];
	bool here[40];
	int n = (int)strlen(come);

	for (int i = 0; i < n; i++)
		here[i] = come[i] == '+';
	art__hand_missing(here, n, text, room);
	return text;
}

static void names_the_missing(void)
{
	CU_ASSERT_STRING_EQUAL(missing("+-", 100), "rank 1");
	CU_ASSERT_STRING_EQUAL(missing("+-+---", 100), "ranks 1, 3-5");
	CU_ASSERT_STRING_EQUAL(missing("+--+-+", 100), "ranks 1-2, 4");
	for (size_t room = 16; room < 40; room++) {
		const char *t = missing("+-+-+-+-+-+-+-+-+-+-+-+-", room);

		CU_ASSERT(strlen(t) < room && strstr(t, ", ...") && t[strlen(t) - 1] == '.');
	}
}

static void numbers_hosts(void)
{
	const struct art_host_id id[] = {
		{ 1, "a" }, { 1, "b" }, { 2, "a" }, { 1, "a" }, { 2, "a" }, { 1, "b" },
	};
	static const int want[] = { 0, 1, 2, 0, 2, 1 };
	struct art_host_id me, again;
	int number[6];

	CU_ASSERT_EQUAL(art__host_id_number(id, 6, number), 3);
	CU_ASSERT(memcmp(number, want, sizeof(want)) == 0);
	art__host_id_read(&me);
	art__host_id_read(&again);
	CU_ASSERT(memcmp(&me, &again, sizeof(me)) == 0 || strncmp(me.boot, "unknown-", 8) == 0);
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	CU_initialize_registry();
	s = CU_add_suite("hand", begin, NULL);
	CU_add_test(s, "reads numbers", reads_numbers);
	CU_add_test(s, "reads roots", reads_roots);
	CU_add_test(s, "greets", greets);
	CU_add_test(s, "tells noise from another version", tells_noise_from_another_version);
	CU_add_test(s, "proves the key both ways", proves_the_key_both_ways);
	CU_add_test(s, "refuses a replay", refuses_a_replay);
	CU_add_test(s, "refuses what is altered", refuses_what_is_altered);
	CU_add_test(s, "refuses values that cannot be", refuses_values_that_cannot_be);
	CU_add_test(s, "derives the job", derives_the_job);
	CU_add_test(s, "names the missing", names_the_missing);
	CU_add_test(s, "numbers hosts", numbers_hosts);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed != 0;
}
