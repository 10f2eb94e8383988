/* SPDX-License-Identifier: MIT
 *
 * The view in which a rank acts, noted where it outlives the rank, so that whoever sees its death
 * knows in which it acted last (rule R7). One piece of memory per host, made by whoever starts the
 * ranks there; each rank has a page of it that nobody else can write. A rank that is killed in the
 * middle of noting leaves the note before whole: there are two, and a word that says which holds.
 *
 * Who reads knows that the writer is dead. Nothing here waits.
 */
#ifndef ART_LAUNCH_LAST_VIEW_H
#define ART_LAUNCH_LAST_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/set.h"

/* As it travels, too: then @w is cut off behind @words. */
struct art_last_view {
	uint32_t epoch; /* 0: nothing was noted, words is 0 as well */
	uint32_t words;
	uint64_t w[ART_MAX_RANKS / 64]; /* a bit per rank */
};

#define ART_LAST_VIEW_MIN 8u
#define ART_LAST_VIEW_MAX sizeof(struct art_last_view)

_Static_assert(offsetof(struct art_last_view, w) == ART_LAST_VIEW_MIN, "no holes");

static inline size_t art__last_view_bytes(const struct art_last_view *v)
{
	return ART_LAST_VIEW_MIN + v->words * sizeof(v->w[0]);
}

/* Takes one apart that came from somewhere: @len bytes, of a job of @ranks. False: it is none. */
bool art__last_view_read(const void *data, size_t len, int ranks, struct art_last_view *out);
/* One more that a rank now dead had: the later one stays, of two of one epoch who is in both. */
void art__last_view_merge(struct art_last_view *into, const struct art_last_view *v);

struct art_views {
	const uint8_t *all; /* NULL: there is none */
	uint8_t *own;       /* a rank's own page, or NULL */
	size_t page, bytes;
	int ranks;
};

/* Memory for the ranks of a host: a descriptor (CLOEXEC), or -1 with errno. */
int art__views_make(int ranks);
/* Maps it, with the page of @own to be written (-1: none is). The descriptor stays the caller's. False,
 * with errno: it is not what art__views_make() makes, or there is no memory. */
bool art__views_map(struct art_views *v, int fd, int ranks, int own);
void art__views_unmap(struct art_views *v);

void art__views_note(struct art_views *v, uint32_t epoch, const struct art_set *members);
/* What a dead rank of this host had noted. */
void art__views_last(const struct art_views *v, int rank, struct art_last_view *out);

#endif
