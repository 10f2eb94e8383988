/* SPDX-License-Identifier: MIT
 *
 * Records in a ring: written into the sender's copy, read from the receiver's memory.
 */
#include "transport/rdma/rdma_ring.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define HEAD_SENT ART_RDMA_HEAD_SENT
#define COUNT_MASK 0x7fffu

_Static_assert(HEAD_SENT + sizeof(uint64_t) == ART_RDMA_LINE, "word and head are one line");
_Static_assert((ART_RDMA_COMPACT_BITS & (ART_RDMA_MARKS | (2 * ART_TP_BODY_MAX - 1))) == 0,
	       "marks and length have bits of their own");
_Static_assert(ART_RDMA_KEY_BYTES == crypto_shorthash_KEYBYTES &&
	       ART_RDMA_SEAL == crypto_shorthash_BYTES, "a seal is SipHash's");
_Static_assert(ART_RDMA_RECORD_MAX + ART_RDMA_RING_MIN / 4 + ART_RDMA_LINE <= ART_RDMA_RING_MIN,
	       "the longest record goes into a ring of which a quarter was not yet given back");
_Static_assert(ART_RDMA_RING_MAX / ART_RDMA_LINE <= COUNT_MASK / 2 + 1, "lines are told apart");

/* Of the first @bytes of a record, a multiple of 8. */
static uint64_t seal_of(const struct art_rdma_key *key, const uint8_t *rec, size_t bytes)
{
	uint64_t seal, word;

	if (key->mac) {
		crypto_shorthash((uint8_t *)&seal, rec, bytes, key->key);
		return seal;
	}
	memcpy(&seal, key->key, sizeof(seal));
	for (size_t i = 0; i < bytes; i += sizeof(word)) {
		memcpy(&word, rec + i, sizeof(word));
		seal = (seal ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		seal ^= seal >> 32;
	}
	return seal;
}

static size_t sealed_bytes(size_t body)
{
	return body <= ART_RDMA_SMALL_BODY ? art__rdma_record_bytes(body) - ART_RDMA_SEAL
					   : ART_RDMA_LINE;
}

/* The record at tx->at is in the copy. */
static void written(struct art_rdma_tx *tx, const uint8_t head[ART_TP_HEAD], size_t body)
{
	memcpy(tx->head, head, HEAD_SENT);
	tx->at = art__rdma_next(tx->bytes, tx->at, body);
	tx->records++;
}

/* Where the body of a record ends; it is padded. */
static uint8_t *put_body(uint8_t *to, const struct iovec *iov, int niov, size_t body)
{
	uint8_t *end = to + body;

	to = art__transport_flatten(to, iov + 1, niov - 1);
	assert(to == end);
	memset(to, 0, (size_t)-body & 7);
	return to + ((size_t)-body & 7);
}

size_t art__rdma_put(struct art_rdma_tx *tx, const struct art_rdma_key *key,
		     const struct iovec *iov, int niov, size_t body)
{
	uint8_t *rec = tx->copy + (tx->at & (tx->bytes - 1)), *end;
	uint64_t word = art__rdma_word_of(tx->at, body), seal;

	assert(art__rdma_has_space(tx, body) && iov[0].iov_len == ART_TP_HEAD);
	memcpy(rec, &word, sizeof(word));
	memcpy(rec + sizeof(word), iov[0].iov_base, HEAD_SENT);
	end = put_body(rec + ART_RDMA_LINE, iov, niov, body);
	seal = seal_of(key, rec, sealed_bytes(body));
	memcpy(end, &seal, sizeof(seal));
	written(tx, iov[0].iov_base, body);
	return art__rdma_record_bytes(body);
}

/* The copy is what may be sent again: it needs no seal. */
size_t art__rdma_put_compact(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			     const struct iovec *iov, int niov, size_t body,
			     uint8_t out[ART_RDMA_SMALL])
{
	uint8_t *rec = tx->copy + (tx->at & (tx->bytes - 1)), *to = out + sizeof(uint64_t);
	uint64_t word = art__rdma_word_of(tx->at, body), seal;
	size_t padded = (body + 7) & ~(size_t)7;

	assert(art__rdma_has_space(tx, body) && body <= ART_RDMA_SMALL_BODY);
	memcpy(rec, &word, sizeof(word));
	memcpy(rec + sizeof(word), iov[0].iov_base, HEAD_SENT);
	(void)put_body(rec + ART_RDMA_LINE, iov, niov, body);
	word |= ART_RDMA_COMPACT;
	for (unsigned i = 0; i < ART_RDMA_HEAD_WORDS; i++) {
		const uint8_t *of = rec + sizeof(word) + (size_t)8 * i;

		if (memcmp(of, tx->head + (size_t)8 * i, 8) == 0)
			continue;
		memcpy(to, of, 8);
		to += 8;
		word |= UINT64_C(1) << (ART_RDMA_DIFFERS_SHIFT + i);
	}
	memcpy(to, rec + ART_RDMA_LINE, padded);
	to += padded;
	memcpy(out, &word, sizeof(word));
	seal = seal_of(key, out, (size_t)(to - out));
	memcpy(to, &seal, sizeof(seal));
	written(tx, iov[0].iov_base, body);
	return (size_t)(to - out) + sizeof(seal);
}

size_t art__rdma_put_ends(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			  const uint8_t head[ART_TP_HEAD], size_t body)
{
	uint8_t *rec = tx->copy + (tx->at & (tx->bytes - 1)), *to = rec + ART_RDMA_LINE + body;
	size_t bytes = art__rdma_record_bytes(body);
	uint64_t word = art__rdma_word_of(tx->at, body) | ART_RDMA_OWED, seal;

	assert(art__rdma_has_space(tx, body) && body > ART_RDMA_SMALL_BODY);
	memcpy(rec, &word, sizeof(word));
	memcpy(rec + sizeof(word), head, HEAD_SENT);
	memset(to, 0, (size_t)(rec + bytes - ART_RDMA_SEAL - to));
	seal = seal_of(key, rec, ART_RDMA_LINE);
	memcpy(rec + bytes - ART_RDMA_SEAL, &seal, sizeof(seal));
	written(tx, head, body);
	return bytes;
}

size_t art__rdma_put_lent(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			  const uint8_t head[ART_TP_HEAD], size_t body,
			  const struct art_rdma_source *from)
{
	uint8_t *rec = tx->copy + (tx->at & (tx->bytes - 1));
	uint64_t word = art__rdma_word_of(tx->at, body) | ART_RDMA_LENT, seal;

	assert(art__rdma_has_space(tx, body) && body > ART_RDMA_SMALL_BODY);
	memcpy(rec, &word, sizeof(word));
	memcpy(rec + sizeof(word), head, HEAD_SENT);
	memset(rec + ART_RDMA_LINE, 0, ART_RDMA_SOURCE);
	memcpy(rec + ART_RDMA_LINE, &from->addr, sizeof(from->addr));
	memcpy(rec + ART_RDMA_LINE + sizeof(from->addr), &from->rkey, sizeof(from->rkey));
	seal = seal_of(key, rec, ART_RDMA_LINE + ART_RDMA_SOURCE);
	memcpy(rec + ART_RDMA_LINE + ART_RDMA_SOURCE, &seal, sizeof(seal));
	written(tx, head, body);
	return ART_RDMA_LINE + ART_RDMA_SOURCE + ART_RDMA_SEAL;
}

bool art__rdma_peek(const struct art_rdma_rx *rx, uint64_t at, size_t *len, bool *lent)
{
	uint64_t word;

	memcpy(&word, rx->ring + (at & (rx->bytes - 1)), sizeof(word));
	*lent = (word & ART_RDMA_LENT) != 0;
	word &= ~(ART_RDMA_MARKS | (word & ART_RDMA_COMPACT ? ART_RDMA_COMPACT_BITS : 0));
	*len = (uint32_t)word;
	return *len <= ART_TP_BODY_MAX && word == art__rdma_word_of(at, *len) &&
	       (!*lent || *len > ART_RDMA_SMALL_BODY);
}

bool art__rdma_get_lent(const struct art_rdma_rx *rx, const struct art_rdma_key *key, uint64_t at,
			size_t len, uint8_t head[ART_TP_HEAD], struct art_rdma_source *from)
{
	_Alignas(16) uint8_t copy[ART_RDMA_LINE + ART_RDMA_SOURCE + ART_RDMA_SEAL];
	uint64_t word = art__rdma_word_of(at, len) | ART_RDMA_LENT, seal;

	memcpy(copy, rx->ring + (at & (rx->bytes - 1)), sizeof(copy));
	memcpy(&seal, copy + ART_RDMA_LINE + ART_RDMA_SOURCE, sizeof(seal));
	if (memcmp(copy, &word, sizeof(word)) != 0 ||
	    seal != seal_of(key, copy, ART_RDMA_LINE + ART_RDMA_SOURCE))
		return false;
	memcpy(head, copy + sizeof(word), HEAD_SENT);
	memset(head + HEAD_SENT, 0, ART_TP_HEAD_MAC);
	memcpy(&from->addr, copy + ART_RDMA_LINE, sizeof(from->addr));
	memcpy(&from->rkey, copy + ART_RDMA_LINE + sizeof(from->addr), sizeof(from->rkey));
	return true;
}

static unsigned bits_set(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

/* @word is what a compact record begins with: the head is that of the last one, but for what has come. */
static bool get_compact(struct art_rdma_rx *rx, const struct art_rdma_key *key, uint64_t word,
			uint8_t head[ART_TP_HEAD], const uint8_t **body, size_t *len)
{
	const uint8_t *rec = rx->ring + (rx->at & (rx->bytes - 1));
	uint64_t differs = word & (ART_RDMA_COMPACT_BITS & ~(uint64_t)ART_RDMA_COMPACT), seal;
	size_t n = (uint32_t)(word & ~(uint64_t)ART_RDMA_COMPACT_BITS), sealed;
	uint8_t *at = rx->small + sizeof(word);

	if (n > ART_RDMA_SMALL_BODY || (word & ~(uint64_t)ART_RDMA_COMPACT_BITS) != art__rdma_word_of(rx->at, n))
		return false;
	sealed = sizeof(word) + (size_t)8 * bits_set(differs) + ((n + 7) & ~(size_t)7);
	memcpy(rx->small, rec, sealed);
	memcpy(&seal, rec + sealed, sizeof(seal));
	if (memcmp(rx->small, &word, sizeof(word)) != 0 || seal != seal_of(key, rx->small, sealed))
		return false;
	memcpy(head, rx->head, HEAD_SENT);
	memset(head + HEAD_SENT, 0, ART_TP_HEAD_MAC);
	for (unsigned i = 0; i < ART_RDMA_HEAD_WORDS; i++) {
		if (!(differs >> (ART_RDMA_DIFFERS_SHIFT + i) & 1))
			continue;
		memcpy(head + (size_t)8 * i, at, 8);
		at += 8;
	}
	rx->owed = false;
	*body = at;
	*len = n;
	return true;
}

/* The peer can still write here: everything is read once, and what was checked is what is used. */
bool art__rdma_get(struct art_rdma_rx *rx, const struct art_rdma_key *key,
		   uint8_t head[ART_TP_HEAD], const uint8_t **body, size_t *len)
{
	const uint8_t *rec = rx->ring + (rx->at & (rx->bytes - 1));
	uint8_t *copy = rx->small;
	uint64_t word, seal;
	size_t n;

	memcpy(&word, rec, sizeof(word));
	if (word & ART_RDMA_COMPACT)
		return get_compact(rx, key, word, head, body, len);
	n = (uint32_t)(word & ~(uint64_t)ART_RDMA_OWED);
	if (n > ART_TP_BODY_MAX || (word & ~(uint64_t)ART_RDMA_OWED) != art__rdma_word_of(rx->at, n))
		return false;
	memcpy(copy, rec, sealed_bytes(n));
	memcpy(&seal, rec + art__rdma_record_bytes(n) - ART_RDMA_SEAL, sizeof(seal));
	if (memcmp(copy, &word, sizeof(word)) != 0 || seal != seal_of(key, copy, sealed_bytes(n)))
		return false;
	memcpy(head, copy + sizeof(word), HEAD_SENT);
	memset(head + HEAD_SENT, 0, ART_TP_HEAD_MAC);
	rx->owed = (word & ART_RDMA_OWED) != 0;
	*body = (n <= ART_RDMA_SMALL_BODY ? copy : rec) + ART_RDMA_LINE;
	*len = n;
	return true;
}

void art__rdma_took(struct art_rdma_rx *rx, const uint8_t head[ART_TP_HEAD], size_t body)
{
	memcpy(rx->head, head, HEAD_SENT);
	rx->at = art__rdma_next(rx->bytes, rx->at, body);
	rx->records++;
}

void art__rdma_written(const struct art_rdma_tx *tx, uint64_t at, uint8_t head[ART_TP_HEAD],
		       const uint8_t **body, size_t *len)
{
	const uint8_t *rec = tx->copy + (at & (tx->bytes - 1));
	uint64_t word;

	memcpy(&word, rec, sizeof(word));
	*body = rec + ART_RDMA_LINE;
	word &= ~ART_RDMA_MARKS;
	*len = (uint32_t)word;
	assert(word == art__rdma_word_of(at, *len) && *len <= ART_TP_BODY_MAX);
	memcpy(head, rec + sizeof(word), HEAD_SENT);
	memset(head + HEAD_SENT, 0, ART_TP_HEAD_MAC);
}

bool art__rdma_credit(struct art_rdma_tx *tx, unsigned lines, unsigned records)
{
	uint64_t more = (lines - (unsigned)(tx->acked / ART_RDMA_LINE)) & COUNT_MASK;
	uint32_t more_records = (records - tx->records_acked) & COUNT_MASK;

	if (more * ART_RDMA_LINE > tx->at - tx->acked ||
	    more_records > tx->records - tx->records_acked)
		return false;
	tx->acked += more * ART_RDMA_LINE;
	tx->records_acked += more_records;
	return true;
}

bool art__rdma_give(struct art_rdma_tx *tx, unsigned records)
{
	uint32_t back = (tx->records_acked - records) & COUNT_MASK;
	uint32_t unused = tx->window - (tx->records - tx->records_acked);

	if (back > tx->window)
		return false;
	tx->records_acked -= back < unused ? back : unused;
	return true;
}

bool art__rdma_is_boundary(const struct art_rdma_tx *tx, uint64_t at)
{
	uint8_t head[ART_TP_HEAD];
	const uint8_t *body;
	uint64_t i = tx->acked;
	size_t len;

	while (i != at && i < tx->at) {
		art__rdma_written(tx, i, head, &body, &len);
		i = art__rdma_next(tx->bytes, i, len);
	}
	return i == at;
}
