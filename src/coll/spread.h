/* SPDX-License-Identifier: MIT
 *
 * Large copies and combinations, cut into slices for the threads that help (port->spread). Each element is combined
 * by the same kernel out of the same operands, whoever does it: the bytes are the same. Nothing of a payload is
 * looked at by two threads at a time but to read.
 */
#ifndef ART_COLL_SPREAD_H
#define ART_COLL_SPREAD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/machine.h"

/* Below so much nobody asks whether there is help. */
#define ART_SPREAD_LEAST 128u

/* Threads that could take part in something of an op of @bytes, this one included. */
unsigned art__spread_hands(const struct art_port *port, uint64_t bytes);
void art__spread_copy(const struct art_port *port, void *to, const void *from, size_t bytes);
/* As art__combine(). */
void art__spread_combine(const struct art_port *port, int op, int type, const void *left, const void *right,
			 void *out, size_t count);

#endif
