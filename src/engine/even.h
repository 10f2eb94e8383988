/* SPDX-License-Identifier: MIT
 *
 * Where ranks share cores: as many on each.
 */
#ifndef ART_ENGINE_EVEN_H
#define ART_ENGINE_EVEN_H

#include <stdint.h>

struct art_shared;

struct art_even {
	uint32_t turns; /* until the next look */
	uint32_t every; /* turns between two; 0: not begun */
};

/* Called each time that the thread which waits has handed its core over. @size: ranks of the job. */
void art__even_look(struct art_even *e, struct art_shared *s, int size);
static inline void art__even_turn(struct art_even *e, struct art_shared *s, int size)
{
	if (e->turns)
		e->turns--;
	else
		art__even_look(e, s, size);
}

#endif
