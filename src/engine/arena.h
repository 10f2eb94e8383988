/* SPDX-License-Identifier: MIT
 *
 * This rank's part of the memory that the ranks of a host share (base/arena.h), and the others' as far
 * as they can be had.
 */
#ifndef ART_ENGINE_ARENA_H
#define ART_ENGINE_ARENA_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/env.h"
#include "engine/nudge.h"
#include "transport/transport.h"

#define ART_ARENA_MAX 4096u /* bytes of the largest payload that has a place for each slot, */
#define ART_ARENA_LARGE (32u * 1024) /* and of the largest that is there as a whole */
#define ART_ARENA_BULK (1024u * 1024) /* and of larger ones at one time, */
#define ART_ARENA_NARROW (256u * 1024) /* likewise, on a channel */
#define ART_ARENA_PIECE (32u * 1024)  /* and of a stream of them in one go */
#define ART_ARENA_HOPE (32u * 1024)
#define ART_ARENA_PATIENCE 64u /* looks: some microseconds */

struct art_shared {
	struct art_arena arena; /* .mine NULL: there is none */
	int fd, slot, size;
	uint32_t channels; /* that there is memory for */
	const struct art_arena_part **part; /* [size] */
	bool missing;                       /* a part could not be had */
	struct art_nudges nudges;
};

/* Makes the own part. Without the memory for it there is none, and one line says so. */
void art__shared_open(struct art_shared *s, const struct art_env *env, const struct art_tp_self *self);
/* Maps the part of another rank of this host. */
void art__shared_peer(struct art_shared *s, const struct art_env *env, const struct art_tp_self *self,
		      int slot, pid_t pid, uint64_t incarnation);
/* Every rank of this host was told: says to them whether this rank has all their parts. If there is no other, or
 * there are more than ART_ARENA_RANKS in all, the own part is given back. */
void art__shared_ready(struct art_shared *s);
void art__shared_close(struct art_shared *s);
size_t art__shared_bytes(const struct art_shared *s); /* of the own part, 0: there is none */

#endif
