/* SPDX-License-Identifier: MIT
 *
 * Messages in a ring that the peer writes by RDMA: how a record lies in memory and how it is told
 * from what lay there before. No verbs here.
 *
 *   record, at a multiple of 64 bytes:
 *     word (8)  position in lines (32 bits) | length of the body (32 bits)
 *     head (56) what a head has but its last 8 bytes, which are 0 on arrival
 *     body      padded to a multiple of 8
 *     seal (8)  over word and head, by a key of the connection
 *
 * Sender and receiver compute the same positions, which only grow; a record that would begin in the
 * ring and end behind it does so, in memory behind the ring that nothing else uses, and the next
 * one begins at the start. So no record is cut in two, and none is moved.
 *
 * The seal is SipHash-2-4 where heads are authenticated, as on the carrier; else the key, bound
 * to the position. Either way what is left of an earlier lap is no record.
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
#define ART_RDMA_RECORD_MAX (ART_RDMA_LINE + ART_TP_BODY_MAX + ART_RDMA_SEAL)
/* Behind the ring, for a record that begins in its last line. */
#define ART_RDMA_SPILL ART_RDMA_RECORD_MAX
#define ART_RDMA_KEY_BYTES 16

struct art_rdma_key {
	uint8_t key[ART_RDMA_KEY_BYTES];
	bool mac;
};

struct art_rdma_tx {
	uint8_t *copy;    /* of the peer's ring, as we have written it */
	size_t bytes;     /* of the ring, a power of two */
	uint64_t at;      /* of the next record */
	uint64_t acked;   /* read by the peer */
	uint32_t records, records_acked; /* counted */
	uint32_t window;  /* so many may be under way */
};

struct art_rdma_rx {
	const uint8_t *ring;
	size_t bytes;
	uint64_t at;      /* of the next record */
	uint32_t records; /* read */
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

/* Writes a record into the copy; its bytes. The caller has looked whether there is space. */
size_t art__rdma_put(struct art_rdma_tx *tx, const struct art_rdma_key *key,
		     const struct iovec *iov, int niov, size_t body);

/* The record at rx->at: its head is copied, *body points into the ring. False: there is none, or
 * not this one. */
bool art__rdma_get(const struct art_rdma_rx *rx, const struct art_rdma_key *key,
		   uint8_t head[ART_TP_HEAD], const uint8_t **body, size_t *len);

/* The record that we wrote at @at ourselves. */
void art__rdma_written(const struct art_rdma_tx *tx, uint64_t at, uint8_t head[ART_TP_HEAD],
		       const uint8_t **body, size_t *len);

/* The peer has read up to @lines and @records, both cut to 15 bits. False: it cannot have. */
bool art__rdma_credit(struct art_rdma_tx *tx, unsigned lines, unsigned records);

/* Whether @at is a place where a record of ours that is not acknowledged begins, or the next. */
bool art__rdma_is_boundary(const struct art_rdma_tx *tx, uint64_t at);

#endif
