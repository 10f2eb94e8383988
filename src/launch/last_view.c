/* SPDX-License-Identifier: MIT
 *
 * See last_view.h.
 */
#include "launch/last_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* First in a rank's page. */
struct place {
	_Atomic uint32_t holds; /* 1 + which of the two; 0: nothing noted yet */
	uint32_t zero;
	struct art_last_view note[2];
};

_Static_assert(sizeof(struct place) <= 4096, "fits into the smallest page");

static const struct art_last_view nothing;

static uint32_t words_of(int ranks)
{
	return ((uint32_t)ranks + 63) / 64;
}

bool art__last_view_read(const void *data, size_t len, int ranks, struct art_last_view *out)
{
	uint32_t over = (uint32_t)ranks % 64;

	*out = nothing;
	if (len < ART_LAST_VIEW_MIN || len > sizeof(*out))
		return false;
	memcpy(out, data, len);
	if (out->words == (out->epoch ? words_of(ranks) : 0) && len == art__last_view_bytes(out) &&
	    (!out->words || !over || !(out->w[out->words - 1] >> over)))
		return true;
	*out = nothing;
	return false;
}

void art__last_view_merge(struct art_last_view *into, const struct art_last_view *v)
{
	if (v->epoch > into->epoch)
		*into = *v;
	else if (v->epoch == into->epoch)
		for (uint32_t i = 0; i < into->words; i++)
			into->w[i] &= v->w[i];
}

int art__views_make(int ranks)
{
	size_t bytes = (size_t)ranks * (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("art-views", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Nobody can cut it off under us. */
static bool good(int fd, size_t bytes)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK && fstat(fd, &st) == 0 && st.st_size == (off_t)bytes;
}

bool art__views_map(struct art_views *v, int fd, int ranks, int own)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)ranks * page;
	void *all, *mine = NULL;

	*v = (struct art_views){ 0 };
	if (!good(fd, bytes)) {
		errno = EINVAL;
		return false;
	}
	all = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (all == MAP_FAILED)
		return false;
	if (own >= 0)
		mine = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    (off_t)((size_t)own * page));
	if (mine == MAP_FAILED) {
		munmap(all, bytes);
		return false;
	}
	*v = (struct art_views){ .all = all, .own = mine, .page = page, .bytes = bytes, .ranks = ranks };
	return true;
}

void art__views_unmap(struct art_views *v)
{
	if (v->all)
		munmap((void *)(uintptr_t)v->all, v->bytes);
	if (v->own)
		munmap(v->own, v->page);
	*v = (struct art_views){ 0 };
}

void art__views_note(struct art_views *v, uint32_t epoch, const struct art_set *members)
{
	struct place *p = (struct place *)(void *)v->own;
	uint32_t next;

	if (!p)
		return;
	next = atomic_load_explicit(&p->holds, memory_order_relaxed) == 1;
	p->note[next].epoch = epoch;
	p->note[next].words = members->words;
	memcpy(p->note[next].w, members->w, members->words * sizeof(members->w[0]));
	atomic_store_explicit(&p->holds, 1 + next, memory_order_release);
}

void art__views_last(const struct art_views *v, int rank, struct art_last_view *out)
{
	const struct place *p;
	const struct art_last_view *n;
	uint32_t holds, words;

	*out = nothing;
	if (!v->all || rank < 0 || rank >= v->ranks)
		return;
	p = (const struct place *)(const void *)(v->all + (size_t)rank * v->page);
	holds = atomic_load_explicit(&p->holds, memory_order_acquire);
	if (holds < 1 || holds > 2)
		return;
	n = &p->note[holds - 1];
	words = n->words;
	if (words <= ART_MAX_RANKS / 64)
		art__last_view_read(n, ART_LAST_VIEW_MIN + words * sizeof(n->w[0]), v->ranks, out);
}
