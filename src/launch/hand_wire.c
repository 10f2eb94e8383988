/* SPDX-License-Identifier: MIT
 *
 * See hand_wire.h. Nothing here believes a length: each message has the one of its kind, which the
 * caller has read in full.
 */
#include "launch/hand_wire.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/set.h"
#include "launch/boot_wire.h"

#define MAGIC "ARTb"
#define MAGIC_BYTES 4
#define VERSION 1

/* ---- the variables ---- */
bool art__hand_number_parse(const char *text, long min, long max, int *out)
{
	size_t n = strspn(text, "0123456789");
	long v;

	if (n < 1 || n > 9 || text[n] != '\0')
		return false;
	v = strtol(text, NULL, 10);
	if (v < min || v > max)
		return false;
	*out = (int)v;
	return true;
}

bool art__hand_root_parse(const char *text, char host[ART_TP_ADDR_MAX], char port[6])
{
	const char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
	size_t skip = *text == '[' ? 1 : 0, len = end ? (size_t)(end - text) - skip : 0;
	int number;

	if (len < 1 || len >= ART_TP_ADDR_MAX)
		return false;
	if (end[skip] != ':' || !art__hand_number_parse(end + skip + 1, 1, 65535, &number))
		return false;
	memcpy(host, text + skip, len);
	host[len] = '\0';
	snprintf(port, 6, "%d", number);
	return true;
}

/* ---- keys ---- */
static void session_key(struct art_hand_session *s, const uint8_t *key, const uint8_t *hello,
			const uint8_t *challenge)
{
	static const uint8_t label[] = "ART by hand: session";
	crypto_generichash_state h;

	crypto_generichash_init(&h, key, ART_TP_KEY_BYTES, sizeof(s->key));
	crypto_generichash_update(&h, label, sizeof(label));
	crypto_generichash_update(&h, hello, ART_HAND_HELLO);
	crypto_generichash_update(&h, challenge, ART_HAND_CHALLENGE - ART_HAND_MAC);
	crypto_generichash_final(&h, s->key, sizeof(s->key));
}

static void labelled(uint8_t out[32], const char *label, const uint8_t *key,
		     const uint8_t nonce[ART_HAND_JOB_NONCE])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, key, ART_TP_KEY_BYTES, 32);
	crypto_generichash_update(&h, (const uint8_t *)label, strlen(label) + 1);
	crypto_generichash_update(&h, nonce, ART_HAND_JOB_NONCE);
	crypto_generichash_final(&h, out, 32);
}

void art__hand_job(const uint8_t *key, const uint8_t nonce[ART_HAND_JOB_NONCE], uint64_t *job,
		   uint8_t job_key[ART_TP_KEY_BYTES])
{
	uint8_t number[32];

	labelled(number, "ART by hand: job", key, nonce);
	*job = art__le_get(number, 8);
	labelled(job_key, "ART by hand: job key", key, nonce);
}

/* The MAC of a message of @len bytes, the last of which are for it. */
static void mac_of(const struct art_hand_session *s, const uint8_t *b, size_t len,
		   uint8_t mac[ART_HAND_MAC])
{
	crypto_generichash(mac, ART_HAND_MAC, b, len - ART_HAND_MAC, s->key, sizeof(s->key));
}

static void seal(const struct art_hand_session *s, uint8_t *b, size_t len)
{
	mac_of(s, b, len, b + len - ART_HAND_MAC);
}

static enum art_hand_check sealed(const struct art_hand_session *s, const uint8_t *b, size_t len,
				  enum art_hand_kind kind)
{
	enum art_hand_check c = art__hand_prefix_check(b, ART_HAND_PREFIX, kind);
	uint8_t want[ART_HAND_MAC];

	if (c != ART_HAND_OK)
		return c;
	mac_of(s, b, len, want);
	return sodium_memcmp(want, b + len - ART_HAND_MAC, sizeof(want)) ? ART_HAND_KEY :
									    ART_HAND_OK;
}

/* ---- messages ---- */
static void put_prefix(uint8_t *b, enum art_hand_kind kind)
{
	memcpy(b, MAGIC, MAGIC_BYTES);
	b[4] = VERSION;
	b[5] = (uint8_t)kind;
	b[6] = b[7] = 0;
}

enum art_hand_check art__hand_prefix_check(const uint8_t *b, size_t have, enum art_hand_kind kind)
{
	if (memcmp(b, MAGIC, have < MAGIC_BYTES ? have : MAGIC_BYTES) != 0)
		return ART_HAND_GARBAGE;
	if (have > 4 && b[4] != VERSION)
		return ART_HAND_VERSION;
	if (have >= ART_HAND_PREFIX && (b[5] != (uint8_t)kind || b[6] || b[7]))
		return ART_HAND_GARBAGE;
	return ART_HAND_OK;
}

void art__hand_hello_put(uint8_t b[ART_HAND_HELLO], int rank, int size, const uint8_t nonce[16])
{
	put_prefix(b, ART_HAND_K_HELLO);
	art__le_put(b + 8, (uint64_t)rank, 4);
	art__le_put(b + 12, (uint64_t)size, 4);
	memcpy(b + 16, nonce, 16);
}

bool art__hand_hello_get(const uint8_t b[ART_HAND_HELLO], int *rank, int *size)
{
	uint64_t r = art__le_get(b + 8, 4), n = art__le_get(b + 12, 4);

	if (n < 2 || n > ART_MAX_RANKS || r < 1 || r >= n)
		return false;
	*rank = (int)r;
	*size = (int)n;
	return true;
}

void art__hand_challenge_put(uint8_t b[ART_HAND_CHALLENGE], const uint8_t *key,
			     const uint8_t hello[ART_HAND_HELLO],
			     const uint8_t job[ART_HAND_JOB_NONCE], const uint8_t nonce[16],
			     struct art_hand_session *s)
{
	put_prefix(b, ART_HAND_K_CHALLENGE);
	memcpy(b + 8, job, ART_HAND_JOB_NONCE);
	memcpy(b + 8 + ART_HAND_JOB_NONCE, nonce, 16);
	session_key(s, key, hello, b);
	seal(s, b, ART_HAND_CHALLENGE);
}

enum art_hand_check art__hand_challenge_get(const uint8_t b[ART_HAND_CHALLENGE], const uint8_t *key,
					    const uint8_t hello[ART_HAND_HELLO],
					    uint8_t job[ART_HAND_JOB_NONCE],
					    struct art_hand_session *s)
{
	session_key(s, key, hello, b);
	memcpy(job, b + 8, ART_HAND_JOB_NONCE);
	return sealed(s, b, ART_HAND_CHALLENGE, ART_HAND_K_CHALLENGE);
}

void art__hand_proof_put(uint8_t b[ART_HAND_PROOF], const struct art_hand_session *s)
{
	put_prefix(b, ART_HAND_K_PROOF);
	seal(s, b, ART_HAND_PROOF);
}

enum art_hand_check art__hand_proof_get(const uint8_t b[ART_HAND_PROOF],
					const struct art_hand_session *s)
{
	return sealed(s, b, ART_HAND_PROOF, ART_HAND_K_PROOF);
}

void art__hand_welcome_put(uint8_t b[ART_HAND_WELCOME], const struct art_hand_session *s,
			   enum art_hand_verdict verdict, int size)
{
	put_prefix(b, ART_HAND_K_WELCOME);
	art__le_put(b + 8, verdict, 4);
	art__le_put(b + 12, (uint64_t)size, 4);
	seal(s, b, ART_HAND_WELCOME);
}

enum art_hand_check art__hand_welcome_get(const uint8_t b[ART_HAND_WELCOME],
					  const struct art_hand_session *s,
					  enum art_hand_verdict *verdict, int *size)
{
	enum art_hand_check c = sealed(s, b, ART_HAND_WELCOME, ART_HAND_K_WELCOME);
	uint64_t v = art__le_get(b + 8, 4), n = art__le_get(b + 12, 4);

	if (c != ART_HAND_OK)
		return c;
	if (v > ART_HAND_TAKEN || n < 1 || n > ART_MAX_RANKS)
		return ART_HAND_GARBAGE;
	*verdict = (enum art_hand_verdict)v;
	*size = (int)n;
	return ART_HAND_OK;
}

static void put_place(uint8_t *b, const struct art_boot_card *c)
{
	memcpy(b, c->addr, sizeof(c->addr));
	b += sizeof(c->addr);
	art__le_put(b, c->incarnation, 8);
	art__le_put(b + 8, (uint32_t)c->pid, 4);
	art__le_put(b + 12, (uint32_t)c->host, 4);
	art__le_put(b + 16, c->cores, 8);
}

/* False: an address does not end, or a number cannot be one. */
static bool get_place(const uint8_t *b, struct art_boot_card *c, int hosts)
{
	memcpy(c->addr, b, sizeof(c->addr));
	b += sizeof(c->addr);
	c->incarnation = art__le_get(b, 8);
	c->pid = (int32_t)art__le_get(b + 8, 4);
	c->host = (int32_t)art__le_get(b + 12, 4);
	c->cores = art__le_get(b + 16, 8);
	return art__boot_card_good(c) && c->pid > 0 && c->host >= 0 && c->host < hosts;
}

void art__hand_card_put(uint8_t b[ART_HAND_CARD], const struct art_hand_session *s,
			const struct art_hand_member *m)
{
	uint8_t *p = b + ART_HAND_PREFIX + ART_HAND_PLACE;

	put_prefix(b, ART_HAND_K_CARD);
	put_place(b + ART_HAND_PREFIX, &m->card);
	art__le_put(p, m->id.pid_space, 8);
	memcpy(p + 8, m->id.boot, sizeof(m->id.boot));
	seal(s, b, ART_HAND_CARD);
}

enum art_hand_check art__hand_card_get(const uint8_t b[ART_HAND_CARD],
				       const struct art_hand_session *s, struct art_hand_member *m)
{
	const uint8_t *p = b + ART_HAND_PREFIX + ART_HAND_PLACE;
	enum art_hand_check c = sealed(s, b, ART_HAND_CARD, ART_HAND_K_CARD);

	if (c != ART_HAND_OK)
		return c;
	if (!get_place(b + ART_HAND_PREFIX, &m->card, 1))
		return ART_HAND_GARBAGE;
	m->id.pid_space = art__le_get(p, 8);
	memcpy(m->id.boot, p + 8, sizeof(m->id.boot));
	return memchr(m->id.boot, 0, sizeof(m->id.boot)) ? ART_HAND_OK : ART_HAND_GARBAGE;
}

void art__hand_table_put(uint8_t *b, const struct art_boot_card *all, int size)
{
	put_prefix(b, ART_HAND_K_TABLE);
	for (int i = 0; i < size; i++)
		put_place(b + ART_HAND_PREFIX + (size_t)i * ART_HAND_PLACE, &all[i]);
}

void art__hand_table_mac(const uint8_t *b, int size, const struct art_hand_session *s,
			 uint8_t mac[ART_HAND_MAC])
{
	mac_of(s, b, ART_HAND_TABLE(size), mac);
}

enum art_hand_check art__hand_table_get(const uint8_t *b, const struct art_hand_session *s,
					struct art_boot_card *all, int size)
{
	enum art_hand_check c = sealed(s, b, ART_HAND_TABLE(size), ART_HAND_K_TABLE);

	for (int i = 0; i < size && c == ART_HAND_OK; i++)
		if (!get_place(b + ART_HAND_PREFIX + (size_t)i * ART_HAND_PLACE, &all[i], size))
			c = ART_HAND_GARBAGE;
	return c;
}

void art__hand_failed_put(uint8_t b[ART_HAND_FAILED], const struct art_hand_session *s,
			  const char *text)
{
	size_t n = strnlen(text, ART_HAND_TEXT - 1);

	put_prefix(b, ART_HAND_K_FAILED);
	memset(b + ART_HAND_PREFIX, 0, ART_HAND_TEXT);
	memcpy(b + ART_HAND_PREFIX, text, n);
	seal(s, b, ART_HAND_FAILED);
}

enum art_hand_check art__hand_failed_get(const uint8_t b[ART_HAND_FAILED],
					 const struct art_hand_session *s, char text[ART_HAND_TEXT])
{
	enum art_hand_check c = sealed(s, b, ART_HAND_FAILED, ART_HAND_K_FAILED);

	if (c != ART_HAND_OK)
		return c;
	memcpy(text, b + ART_HAND_PREFIX, ART_HAND_TEXT);
	text[ART_HAND_TEXT - 1] = '\0';
	for (char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return ART_HAND_OK;
}

/* ---- words ---- */
void art__hand_missing(const bool *come, int size, char *out, size_t out_size)
{
	int missing = 0, last;
	size_t len;

	for (int i = 0; i < size; i++)
		missing += !come[i];
	len = (size_t)snprintf(out, out_size, missing == 1 ? "rank" : "ranks");
	for (int i = 0, nth = 0; i < size; i = last + 1) {
		char one[32];

		for (last = i; !come[i] && last + 1 < size && !come[last + 1];)
			last++;
		if (come[i])
			continue;
		if (last > i)
			snprintf(one, sizeof(one), "%s %d-%d", nth ? "," : "", i, last);
		else
			snprintf(one, sizeof(one), "%s %d", nth ? "," : "", i);
		nth++;
		if (len + strlen(one) + sizeof(", ...") > out_size) {
			snprintf(out + len, out_size - len, ", ...");
			return;
		}
		len += (size_t)snprintf(out + len, out_size - len, "%s", one);
	}
}
