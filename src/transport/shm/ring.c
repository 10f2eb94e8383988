/* SPDX-License-Identifier: MIT
 *
 * Segments: made, sealed, mapped; and records in them.
 */
#include "transport/shm/ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_SENT (ART_TP_HEAD - ART_TP_HEAD_MAC)

_Static_assert(HEAD_SENT + sizeof(uint64_t) == ART_SHM_LINE, "word and head are one line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	       "atomics between processes have no locks");
_Static_assert(ART_SHM_RING_MIN >= ART_TP_BODY_MAX + ART_SHM_RING_MIN / 8 + 2 * ART_SHM_LINE,
	       "the longest message goes into a ring of which an eighth was not yet given back");

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t span_of(size_t ring)
{
	return page_bytes() + 2 * ring;
}

/* Page, ring, and the ring once more. NULL with errno. */
static uint8_t *map(int fd, size_t ring, int prot)
{
	size_t page = page_bytes();
	uint8_t *p = mmap(NULL, span_of(ring), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mmap(p, page + ring, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED ||
	    mmap(p + page + ring, ring, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)page) == MAP_FAILED) {
		int err = errno;

		munmap(p, span_of(ring));
		errno = err;
		return NULL;
	}
	return p;
}

/* Beyond the limit on the size of files the system would send SIGXFSZ. */
static bool within_limit(size_t bytes)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_FSIZE, &l) < 0 || l.rlim_cur == RLIM_INFINITY || bytes <= l.rlim_cur)
		return true;
	errno = EFBIG;
	return false;
}

/* All its memory is had now: later there is nobody whom a lack of it could be told. */
int art__shm_segment_make(struct art_shm_tx *tx, size_t ring_bytes)
{
	size_t bytes = page_bytes() + ring_bytes;
	uint8_t *p = NULL;
	int fd, err;

	assert(ring_bytes >= ART_SHM_RING_MIN && ring_bytes <= ART_SHM_RING_MAX &&
	       (ring_bytes & (ring_bytes - 1)) == 0);
	if (!within_limit(bytes))
		return -1;
	fd = memfd_create("art", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes) == 0 && fallocate(fd, 0, 0, (off_t)bytes) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		p = map(fd, ring_bytes, PROT_READ | PROT_WRITE);
	if (!p) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	*tx = (struct art_shm_tx){
		.page = (struct art_shm_page *)(void *)p,
		.ring = p + page_bytes(),
		.bytes = ring_bytes,
	};
	return fd;
}

/* A descriptor of a peer may be anything. */
bool art__shm_segment_map(struct art_shm_rx *rx, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	size_t ring;
	uint8_t *p;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0)
		return false;
	if (st.st_size < (off_t)(page_bytes() + ART_SHM_RING_MIN) ||
	    st.st_size > (off_t)(page_bytes() + ART_SHM_RING_MAX))
		return false;
	ring = (size_t)st.st_size - page_bytes();
	if (ring & (ring - 1))
		return false;
	p = map(fd, ring, PROT_READ);
	if (!p)
		return false;
	*rx = (struct art_shm_rx){
		.page = (const struct art_shm_page *)(void *)p,
		.ring = p + page_bytes(),
		.bytes = ring,
	};
	return true;
}

void art__shm_segment_unmap(struct art_shm_tx *tx, struct art_shm_rx *rx)
{
	if (tx->page)
		munmap(tx->page, span_of(tx->bytes));
	if (rx->page)
		munmap((void *)(uintptr_t)rx->page, span_of(rx->bytes));
	tx->page = NULL;
	rx->page = NULL;
}

void art__shm_put(struct art_shm_tx *tx, const struct iovec *iov, int niov, size_t body)
{
	uint8_t *rec = tx->ring + (tx->at & (tx->bytes - 1)), *to = rec + ART_SHM_LINE;
	uint64_t next = tx->at + art__shm_record_bytes(body);

	assert(iov[0].iov_len == ART_TP_HEAD && next + ART_SHM_LINE - tx->acked <= tx->bytes);
	memcpy(rec + sizeof(uint64_t), iov[0].iov_base, HEAD_SENT);
	for (int i = 1; i < niov; i++) {
		if (iov[i].iov_len)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	assert(to == rec + ART_SHM_LINE + body);
	atomic_store_explicit(art__shm_word(tx->ring, tx->bytes, next), 0, memory_order_relaxed);
	/* Ordered before the look at whether the reader sleeps, as well as after all the above. */
	atomic_store(art__shm_word(tx->ring, tx->bytes, tx->at), art__shm_word_of(tx->at, body));
	tx->at = next;
	/* The next small record finds its lines owned: but the first, for which the reader looks. */
	rec = tx->ring + (next & (tx->bytes - 1));
	__builtin_prefetch(rec + ART_SHM_LINE, 1);
	__builtin_prefetch(rec + 2 * ART_SHM_LINE, 1);
}

int art__shm_get(struct art_shm_rx *rx, uint8_t head[ART_TP_HEAD], const uint8_t **body,
		 size_t *len)
{
	const uint8_t *rec = rx->ring + (rx->at & (rx->bytes - 1));
	uint64_t word = atomic_load_explicit(art__shm_word(rx->ring, rx->bytes, rx->at),
					     memory_order_acquire);
	size_t n = (size_t)(word & 0x7fffffffu);

	if (word == 0)
		return 0;
	__builtin_prefetch(rec + ART_SHM_LINE);
	if (n > ART_TP_BODY_MAX || word != art__shm_word_of(rx->at, n))
		return -1;
	memcpy(head, rec + sizeof(uint64_t), HEAD_SENT);
	memset(head + HEAD_SENT, 0, ART_TP_HEAD_MAC);
	*body = rec + ART_SHM_LINE;
	*len = n;
	return 1;
}
