/* SPDX-License-Identifier: MIT
 *
 * Numbers of up to eight bytes in little-endian order, for messages that are rare: handshakes. Headers
 * of messages have a faster way of their own (wire/wire.c).
 */
#ifndef ART_BASE_LE_H
#define ART_BASE_LE_H

#include <stdint.h>

static inline void art__le_put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t art__le_get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

#endif
