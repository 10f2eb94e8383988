/* SPDX-License-Identifier: MIT
 *
 * Description: whatever is said to a rank that is started by hand: a message without the proof of
 * the key is refused, whatever else is in it; one with it is refused, or has numbers in their ranges and
 * strings that end, and reads as what would be written. The variables read the same way.
 *
 * An input is a byte of flags, then the message; what is missing of it is zeros:
 *     1 right prefix  2 right MAC  the rest: which kind, or text of the variables
 */
#include <sodium.h>
#include <string.h>

#include "base/set.h"
#include "launch/boot_wire.h"
#include "launch/hand_wire.h"
#include "tests/fuzz/fuzz.h"

#define SIZE 2 /* of the job: its table, with two cards, is the longest message */

enum { PREFIX = 1, MAC = 2 };

static const uint8_t key[ART_TP_KEY_BYTES] = { 1 }, nonce[16] = { 2 },
		     job_nonce[ART_HAND_JOB_NONCE] = { 3 };
static struct art_hand_session session;
static uint8_t hello[ART_HAND_HELLO];
static unsigned long accepted;

static void open_session(void)
{
	uint8_t challenge[ART_HAND_CHALLENGE];

	REQUIRE(sodium_init() >= 0);
	art__hand_hello_put(hello, 1, SIZE, nonce);
	art__hand_challenge_put(challenge, key, hello, job_nonce, nonce, &session);
}

static size_t length_of(enum art_hand_kind kind)
{
	switch (kind) {
	case ART_HAND_K_HELLO: return ART_HAND_HELLO;
	case ART_HAND_K_CHALLENGE: return ART_HAND_CHALLENGE;
	case ART_HAND_K_PROOF: return ART_HAND_PROOF;
	case ART_HAND_K_WELCOME: return ART_HAND_WELCOME;
	case ART_HAND_K_CARD: return ART_HAND_CARD;
	case ART_HAND_K_TABLE: return ART_HAND_TABLE(SIZE);
	case ART_HAND_K_FAILED: return ART_HAND_FAILED;
	}
	return 0;
}

/* The MAC that a peer with the key would have written: of everything before it. */
static void mac_of(const uint8_t *b, size_t len, uint8_t mac[ART_HAND_MAC])
{
	crypto_generichash(mac, ART_HAND_MAC, b, len - ART_HAND_MAC, session.key, sizeof(session.key));
}

static void right_prefix(uint8_t *b, enum art_hand_kind kind)
{
	uint8_t proof[ART_HAND_PROOF];

	art__hand_proof_put(proof, &session);
	memcpy(b, proof, ART_HAND_PREFIX);
	b[5] = (uint8_t)kind;
}

static bool good_string(const char *s, size_t size)
{
	return memchr(s, 0, size);
}

static void check_card(const struct art_boot_card *c, int hosts)
{
	for (int i = 0; i < 3; i++)
		REQUIRE(good_string(c->addr[i], sizeof(c->addr[i])));
	REQUIRE(c->pid > 0 && c->host >= 0 && c->host < hosts);
}

static enum art_hand_check get_card(const uint8_t *b, uint8_t *again)
{
	struct art_hand_member m;
	enum art_hand_check c = art__hand_card_get(b, &session, &m);

	if (c == ART_HAND_OK) {
		check_card(&m.card, 1);
		REQUIRE(good_string(m.id.boot, sizeof(m.id.boot)));
		art__hand_card_put(again, &session, &m);
	}
	return c;
}

static enum art_hand_check get_table(const uint8_t *b, uint8_t *again)
{
	struct art_boot_card all[SIZE];
	enum art_hand_check c = art__hand_table_get(b, &session, all, SIZE);

	if (c == ART_HAND_OK) {
		for (int i = 0; i < SIZE; i++)
			check_card(&all[i], SIZE);
		art__hand_table_put(again, all, SIZE);
		art__hand_table_mac(again, SIZE, &session, again + ART_HAND_TABLE(SIZE) - ART_HAND_MAC);
	}
	return c;
}

static enum art_hand_check get_welcome(const uint8_t *b, uint8_t *again)
{
	enum art_hand_verdict verdict;
	int size;
	enum art_hand_check c = art__hand_welcome_get(b, &session, &verdict, &size);

	if (c == ART_HAND_OK) {
		REQUIRE(size >= 1 && size <= (int)ART_MAX_RANKS && verdict <= ART_HAND_TAKEN);
		art__hand_welcome_put(again, &session, verdict, size);
	}
	return c;
}

static enum art_hand_check get_hello(const uint8_t *b, uint8_t *again)
{
	int rank, size;

	if (art__hand_prefix_check(b, ART_HAND_PREFIX, ART_HAND_K_HELLO) ||
	    !art__hand_hello_get(b, &rank, &size))
		return ART_HAND_GARBAGE;
	REQUIRE(rank > 0 && rank < size && size <= (int)ART_MAX_RANKS);
	art__hand_hello_put(again, rank, size, b + ART_HAND_HELLO - 16);
	return ART_HAND_OK;
}

/* Nothing can be written again of words: those that do not print were replaced. */
static enum art_hand_check get_failed(const uint8_t *b, uint8_t *again)
{
	char text[ART_HAND_TEXT];
	enum art_hand_check c = art__hand_failed_get(b, &session, text);

	if (c == ART_HAND_OK) {
		REQUIRE(good_string(text, sizeof(text)));
		for (const char *p = text; *p; p++)
			REQUIRE(*p >= ' ' && *p <= '~');
		memcpy(again, b, ART_HAND_FAILED);
	}
	return c;
}

/* Its MAC is of another session: the one it makes. */
static enum art_hand_check get_challenge(const uint8_t *b, uint8_t *again)
{
	uint8_t job[ART_HAND_JOB_NONCE];
	struct art_hand_session made;
	enum art_hand_check c = art__hand_challenge_get(b, key, hello, job, &made);
	const uint8_t *own = b + ART_HAND_PREFIX + ART_HAND_JOB_NONCE;

	if (c == ART_HAND_OK)
		art__hand_challenge_put(again, key, hello, job, own, &made);
	return c;
}

static enum art_hand_check get_of(enum art_hand_kind kind, const uint8_t *b, uint8_t *again)
{
	switch (kind) {
	case ART_HAND_K_HELLO: return get_hello(b, again);
	case ART_HAND_K_CHALLENGE: return get_challenge(b, again);
	case ART_HAND_K_PROOF: art__hand_proof_put(again, &session); return art__hand_proof_get(b, &session);
	case ART_HAND_K_WELCOME: return get_welcome(b, again);
	case ART_HAND_K_CARD: return get_card(b, again);
	case ART_HAND_K_TABLE: return get_table(b, again);
	case ART_HAND_K_FAILED: return get_failed(b, again);
	}
	return ART_HAND_GARBAGE;
}

static void check_message(unsigned flags, enum art_hand_kind kind, const uint8_t *data, size_t size)
{
	size_t len = length_of(kind);
	uint8_t *b = calloc(1, len), *again = calloc(1, len), mac[ART_HAND_MAC];
	enum art_hand_check c;

	REQUIRE(b && again);
	memcpy(b, data, size < len ? size : len);
	if (flags & PREFIX)
		right_prefix(b, kind);
	mac_of(b, len, mac);
	if (flags & MAC && kind != ART_HAND_K_HELLO)
		memcpy(b + len - ART_HAND_MAC, mac, ART_HAND_MAC);
	c = get_of(kind, b, again);
	if (c == ART_HAND_OK) {
		accepted++;
		REQUIRE(memcmp(b, again, len) == 0);
		REQUIRE(kind <= ART_HAND_K_CHALLENGE || memcmp(b + len - ART_HAND_MAC, mac, sizeof(mac)) == 0);
	}
	free(again);
	free(b);
}

static void check_variables(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), host[ART_TP_ADDR_MAX], port[6], again[ART_TP_ADDR_MAX + 16];
	int n;

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (art__hand_root_parse(text, host, port)) {
		REQUIRE(good_string(host, sizeof(host)) && *host && good_string(port, sizeof(port)));
		REQUIRE(art__hand_number_parse(port, 1, 65535, &n));
		snprintf(again, sizeof(again), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
		REQUIRE(art__hand_root_parse(again, host, port));
	}
	if (art__hand_number_parse(text, 5, 5000, &n))
		REQUIRE(n >= 5 && n <= 5000);
	free(text);
}

static void check_words(const uint8_t *data, size_t size)
{
	bool *come = calloc(size + 1, sizeof(*come));
	char *words;
	size_t room = 16 + (size ? data[0] : 0);

	REQUIRE(come);
	for (size_t i = 0; i < size; i++)
		come[i] = data[i] & 1;
	words = malloc(room);
	REQUIRE(words);
	art__hand_missing(come, (int)size, words, room);
	REQUIRE(good_string(words, room));
	free(words);
	free(come);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool opened;
	unsigned which;

	if (!opened)
		open_session();
	opened = true;
	if (size < 1)
		return 0;
	which = (*data >> 2) % (ART_HAND_K_FAILED + 2);
	if (which == 0)
		check_variables(data + 1, size - 1);
	else if (which > ART_HAND_K_FAILED)
		check_words(data + 1, size - 1);
	else
		check_message(*data, (enum art_hand_kind)which, data + 1, size - 1);
	return 0;
}

static void end(int corpus_files)
{
	REQUIRE(corpus_files == 0 || accepted > 0);
}

const struct fuzz_target fuzz_target = { .name = "fuzz_hand", .end = end };
