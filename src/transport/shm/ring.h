/* SPDX-License-Identifier: MIT
 *
 * One segment: a page of words and a ring of messages, one writer. Decides how a message lies in
 * memory and when it is there; who talks to whom is decided elsewhere.
 *
 *   record, at a multiple of 64 bytes:
 *     word (8)  position (32 bits) | 1 | length of the body (31 bits); 0: not there yet
 *     head (56) what a head has but its last 8 bytes, which are 0 on arrival
 *     body      padded to a multiple of 64
 *
 * The word is stored last and makes the record visible; the word of the record behind it is
 * cleared before, so a reader waits for one word and finds the head on the same line. The ring is
 * mapped twice, one behind the other: no record is ever cut in two.
 *
 * A reader that has read is seen by `acked` on its own page, an eighth of a ring at a time.
 */
#ifndef ART_TRANSPORT_SHM_RING_H
#define ART_TRANSPORT_SHM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/transport.h"

#define ART_SHM_LINE 64u
#define ART_SHM_RING_MIN (128u * 1024)
#define ART_SHM_RING_MAX (1024u * 1024)

/* First in a segment. Two lines apart, as neighbours are fetched in pairs. */
struct art_shm_page {
	_Alignas(128) _Atomic uint64_t acked; /* bytes read of the other's ring */
	_Alignas(128) _Atomic uint32_t armed; /* odd: I sleep until my bell is rung */
	_Atomic uint32_t blocked;             /* I wait for space in my ring */
};

struct art_shm_tx { /* ours */
	struct art_shm_page *page; /* NULL: none */
	uint8_t *ring;
	size_t bytes; /* of the ring, a power of two */
	uint64_t at;  /* of the next record */
	uint64_t acked; /* as last seen */
};

struct art_shm_rx { /* the peer's, read-only */
	const struct art_shm_page *page; /* NULL: none */
	const uint8_t *ring;
	size_t bytes;
	uint64_t at;    /* of the next record */
	uint64_t told;  /* what our page says of it */
};

/* Makes a segment of our own. Its descriptor, or -1 with errno. */
int art__shm_segment_make(struct art_shm_tx *tx, size_t ring_bytes);
/* Maps a peer's segment, after checks; the descriptor stays the caller's. False: unusable. */
bool art__shm_segment_map(struct art_shm_rx *rx, int fd);
void art__shm_segment_unmap(struct art_shm_tx *tx, struct art_shm_rx *rx);

static inline size_t art__shm_record_bytes(size_t body)
{
	return ART_SHM_LINE + ((body + ART_SHM_LINE - 1) & ~(size_t)(ART_SHM_LINE - 1));
}

static inline _Atomic uint64_t *art__shm_word(const uint8_t *ring, size_t bytes, uint64_t at)
{
	return (_Atomic uint64_t *)(uintptr_t)(ring + (at & (bytes - 1)));
}

static inline uint64_t art__shm_word_of(uint64_t at, size_t body)
{
	return (uint64_t)(uint32_t)(at / ART_SHM_LINE) << 32 | UINT64_C(1) << 31 | body;
}

/* Space for a record of @body bytes and for the cleared word behind it. @page: the reader's. */
static inline bool art__shm_has_space(struct art_shm_tx *tx, const struct art_shm_page *reader,
				      size_t body)
{
	uint64_t end = tx->at + art__shm_record_bytes(body) + ART_SHM_LINE;

	if (end - tx->acked <= tx->bytes)
		return true;
	uint64_t acked = atomic_load(&reader->acked);
	/* Nobody can have read what was not written: then the old value will do. */
	if (acked - tx->acked <= tx->at - tx->acked)
		tx->acked = acked;
	return end - tx->acked <= tx->bytes;
}

/* Is there a record? */
static inline bool art__shm_waits(const struct art_shm_rx *rx)
{
	return atomic_load(art__shm_word(rx->ring, rx->bytes, rx->at)) != 0;
}

/* Writes a record whose space is there, head in iov[0], and makes it visible. */
void art__shm_put(struct art_shm_tx *tx, const struct iovec *iov, int niov, size_t body);

/* The next record: its head is copied to @head, *body points into the ring. 1: there is one, 0:
 * none, -1: what is there cannot be a record. */
int art__shm_get(struct art_shm_rx *rx, uint8_t head[ART_TP_HEAD], const uint8_t **body,
		 size_t *len);

#endif
