/* SPDX-License-Identifier: MIT
 *
 * Wakes a rank of this host that waits for something in shared memory and does not look: a pipe of that
 * rank's, whose end to write the others open by way of its process. A connection of the data channel would do it,
 * too, but the first message to a rank would have to make one, in the middle of a recovery for example.
 *
 * Who can be nudged is written into its part of the arena: which descriptor to open, and what will be found
 * there, as a process may be gone and its number another's.
 */
#ifndef ART_ENGINE_NUDGE_H
#define ART_ENGINE_NUDGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"

struct art_nudges {
	int in, out; /* the own pipe; -1: none */
	int *to;     /* [size] ends of others' pipes; see nudge.c */
	int size;
};

/* Makes the own pipe and says so in @mine. Without one, others send messages. */
void art__nudges_open(struct art_nudges *n, struct art_arena_part *mine, int size);
void art__nudges_close(struct art_nudges *n);
/* False: it cannot be nudged in this way. */
bool art__nudge(struct art_nudges *n, int slot, pid_t pid, const struct art_arena_part *part);
/* Forgets the nudges that came; whoever calls it looks afterwards. False: there were none. */
bool art__nudges_take(struct art_nudges *n);

#endif
