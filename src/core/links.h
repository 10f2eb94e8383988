/* SPDX-License-Identifier: MIT
 *
 * Connections that a view change will want. Making one costs a handshake with a public-key operation at
 * both ends; in the middle of a recovery there is no time for that, before it there is plenty. So in a
 * small job every pair of ranks connects a little after the start, one after the other; in a larger one
 * everybody connects to those who would propose. Two that share memory (base/arena.h) open no data.
 * What is opened here carries nothing until it is needed, and nobody waits for it. (ARCHITECTURE.md,
 * "How one failure travels".)
 */
#ifndef ART_CORE_LINKS_H
#define ART_CORE_LINKS_H

#include "base/set.h"
#include "engine/machine.h"

#define ART_LINKS_ALL 16  /* ranks: up to here every pair, data and control */
#define ART_LINKS_STAR 64 /* up to here control to the lowest members */

struct art_links {
	const struct art_port *port;
	int slot, size;
	int step;       /* the next one to be opened */
	uint64_t at_ns; /* when; ART_NEVER: all there */
};

/* @now: of the env. Does nothing where the port cannot open. */
void art__links_init(struct art_links *l, const struct art_port *port, int slot, int size, uint64_t now);
/* Opens the next one if it is time. @members: of the present view. */
void art__links_tick(struct art_links *l, const struct art_set *members, uint64_t now);
/* The view has changed: others may propose from now on. */
void art__links_again(struct art_links *l, uint64_t now);

#endif
