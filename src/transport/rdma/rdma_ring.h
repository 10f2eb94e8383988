/* SPDX-License-Identifier: MIT
 *
 * Messages in a ring that the peer writes by RDMA: how a record lies in memory and how it is told
 * from what lay there before. No verbs here.
 *
 *   record, at a multiple of 64 bytes:
 *     word (8)  position in lines (32 bits) | length of the body (32 bits)
 *     head (56) what a head has but its last 8 bytes, which are 0 on arrival
 *     body      padded to a multiple of 8
 *     seal (8)  by a key of the connection, over all before it where the record is small, else over
 *               word and head
 *
 *   compact record, of a small one that is sent inline: the length has the bit COMPACT, and a bit for each of
 *     the seven words of the head that differs from that of the record before. Only these come, then body and
 *     seal: heads of one stream have most in common, and an 8-byte message has few other bytes. It takes the
 *     room in the ring that it would have had whole, and lies whole in the sender's copy.
 *   The length of a record whose body stays in its owner's memory until there is credit has the bit OWED.
 *   lent record: likewise with the bit LENT; the room of the body begins with where the body is to be read
 *     (address 8 | key 4 | 0 4), behind which comes a seal over all that. The reader puts the body over it.
 *
 * Sender and receiver compute the same positions, which only grow; a record that would begin in the
 * ring and end behind it does so, in memory behind the ring that nothing else uses, and the next
 * one begins at the start. So no record is cut in two, and none is moved.
 *
 * The seal is SipHash-2-4 where heads are authenticated, as on the carrier; else a sum that the key and
 * the position go into. Either way what is left of an earlier lap is no record. And a small record is
 * there once its seal is right, whatever order a device places bytes in: whoever looks at memory need
 * not wait for a completion. Of a larger one only the completion says that.
 */
#ifndef ART_TRANSPORT_RDMA_RDMA_RING_H
#define ART_TRANSPORT_RDMA_RDMA_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/transport.h"

#define ART_RDMA_LINE 64u
#define ART_RDMA_RING_MIN (128u * 1024)
#define ART_RDMA_RING_MAX (1024u * 1024)
#define ART_RDMA_SEAL 8u
#define ART_RDMA_SMALL 256u /* bytes of a small record, at most: what is sent inline */
#define ART_RDMA_SMALL_BODY (ART_RDMA_SMALL - ART_RDMA_LINE - ART_RDMA_SEAL)
#define ART_RDMA_RECORD_MAX (ART_RDMA_LINE + ART_TP_BODY_MAX + ART_RDMA_SEAL)
/* Behind the ring, for a record that begins in its last line. */
#define ART_RDMA_SPILL ART_RDMA_RECORD_MAX
#define ART_RDMA_KEY_BYTES 16

#define ART_RDMA_LENT 0x80000000u /* in the length of a record */
#define ART_RDMA_OWED 0x40000000u /* likewise: its sender waits for credit for it */
#define ART_RDMA_COMPACT 0x20000000u /* likewise: of its head comes what differs: */
#define ART_RDMA_DIFFERS_SHIFT 20   /* a bit for each word of it, from here on */
#define ART_RDMA_HEAD_SENT (ART_TP_HEAD - ART_TP_HEAD_MAC)
#define ART_RDMA_HEAD_WORDS (ART_RDMA_HEAD_SENT / 8u)
#define ART_RDMA_COMPACT_BITS \
	(ART_RDMA_COMPACT | ((UINT64_C(1) << ART_RDMA_HEAD_WORDS) - 1) << ART_RDMA_DIFFERS_SHIFT)
#define ART_RDMA_MARKS ((uint64_t)ART_RDMA_LENT | ART_RDMA_OWED)
#define ART_RDMA_SOURCE 16u

struct art_rdma_source { /* memory of the sender's user */
	uint64_t addr;
	uint32_t rkey;
};

struct art_rdma_key {
	uint8_t key[ART_RDMA_KEY_BYTES];
	bool mac;
};

struct art_rdma_tx {
	uint8_t *copy;    /* of the peer's ring, as we have written it */
	size_t bytes;     /* of the ring, a power of two */
	uint64_t at;      /* of the next record */
	uint64_t acked;   /* read by the peer */
	uint32_t records, records_acked; /* counted; a peer that grants less than a window tells of fewer */
	uint32_t window;  /* so many may be under way */
	_Alignas(8) uint8_t head[ART_RDMA_HEAD_SENT]; /* of the last record */
};

struct art_rdma_rx {
	const uint8_t *ring;
	size_t bytes;
	uint64_t at;      /* of the next record */
	uint32_t records; /* read */
	bool owed;        /* credit for the last one is waited for */
	_Alignas(8) uint8_t head[ART_RDMA_HEAD_SENT]; /* of the last one that was taken */
	_Alignas(16) uint8_t small[ART_RDMA_SMALL]; /* a copy of the one that is read */
};

static inline size_t art__rdma_record_bytes(size_t body)
{
	return ART_RDMA_LINE + ((body + 7) & ~(size_t)7) + ART_RDMA_SEAL;
}

/* Where the record behind one at @at begins. */
static inline uint64_t art__rdma_next(size_t bytes, uint64_t at, size_t body)
{
	size_t lines = (art__rdma_record_bytes(body) + ART_RDMA_LINE - 1) / ART_RDMA_LINE;
	uint64_t end = (at & (bytes - 1)) + lines * ART_RDMA_LINE;

	return end >= bytes ? (at | (bytes - 1)) + 1 : at + lines * ART_RDMA_LINE;
}

static inline bool art__rdma_has_space(const struct art_rdma_tx *tx, size_t body)
{
	return art__rdma_next(tx->bytes, tx->at, body) - tx->acked <= tx->bytes &&
	       tx->records - tx->records_acked < tx->window;
}

#define ART_RDMA_PAST_MAX (ART_RDMA_SEAL + 7) /* bytes of a record behind its body */

/* Writes a record into the copy; its bytes. The caller has looked whether there is space. */
size_t art__rdma_put(struct art_rdma_tx *tx, const struct art_rdma_key *key,
		     const struct iovec *iov, int niov, size_t body);

/* As put, of a small record that goes out of @out, compact; its bytes, not more than it has whole. */
size_t art__rdma_put_compact(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			     const struct iovec *iov, int niov, size_t body,
			     uint8_t out[ART_RDMA_SMALL]);

/* As put, of a record of which the body is left out. */
size_t art__rdma_put_ends(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			  const uint8_t head[ART_TP_HEAD], size_t body);
/* As put, of a record whose body is at @from: the bytes that are to be written. */
size_t art__rdma_put_lent(struct art_rdma_tx *tx, const struct art_rdma_key *key,
			  const uint8_t head[ART_TP_HEAD], size_t body,
			  const struct art_rdma_source *from);

/* What a record at @at with @body bytes begins with: never 0, as a ring begins. */
static inline uint64_t art__rdma_word_of(uint64_t at, size_t body)
{
	return (at / ART_RDMA_LINE + 1) << 32 | (uint32_t)body;
}

/* Whether there may be a small record at rx->at, whole or in part: one look at memory. */
static inline bool art__rdma_may_be_small(const struct art_rdma_rx *rx)
{
	const uint64_t *word = (const uint64_t *)(const void *)(rx->ring + (rx->at & (rx->bytes - 1)));

	return ((__atomic_load_n(word, __ATOMIC_ACQUIRE) ^ art__rdma_word_of(rx->at, 0)) &
		~(uint64_t)ART_RDMA_COMPACT_BITS) <= ART_RDMA_SMALL_BODY;
}

/* The record at rx->at: its head is copied, *body points into the ring, or rx->small. False: there is
 * none, or not this one. Unless it is small it must have been announced. */
bool art__rdma_get(struct art_rdma_rx *rx, const struct art_rdma_key *key,
		   uint8_t head[ART_TP_HEAD], const uint8_t **body, size_t *len);

/* The record at rx->at, with @head and @body bytes, is read: the next one is behind it. */
void art__rdma_took(struct art_rdma_rx *rx, const uint8_t head[ART_TP_HEAD], size_t body);

/* Whether a record at @at begins there, by its first word: its length, and whether it is a lent one. */
bool art__rdma_peek(const struct art_rdma_rx *rx, uint64_t at, size_t *len, bool *lent);
/* Head and source of the lent record at @at, of @len bytes, which has been announced. False: it is none. */
bool art__rdma_get_lent(const struct art_rdma_rx *rx, const struct art_rdma_key *key, uint64_t at,
			size_t len, uint8_t head[ART_TP_HEAD], struct art_rdma_source *from);

/* The record that we wrote at @at ourselves; the body of a lent one is with its loan. */
void art__rdma_written(const struct art_rdma_tx *tx, uint64_t at, uint8_t head[ART_TP_HEAD],
		       const uint8_t **body, size_t *len);

/* The peer has read up to @lines and @records, both cut to 15 bits. False: it cannot have. */
bool art__rdma_credit(struct art_rdma_tx *tx, unsigned lines, unsigned records);

/* The peer wants back what was not used of its credit, down to @records, cut to 15 bits: as much as can be.
 * False: it has not given as much. */
bool art__rdma_give(struct art_rdma_tx *tx, unsigned records);

/* Whether @at is a place where a record of ours that is not acknowledged begins, or the next. */
bool art__rdma_is_boundary(const struct art_rdma_tx *tx, uint64_t at);

#endif
