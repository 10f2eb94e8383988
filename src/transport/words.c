/* SPDX-License-Identifier: MIT
 *
 * See words.h.
 */
#include "transport/words.h"

#include <sodium.h>

#include "base/le.h"

#define NONCE_AT 28

void art__words_put(uint8_t p[ART_TP_WORDS_BYTES], const struct art_tp_self *self, int peer)
{
	art__le_put(p, self->channel, 4);
	art__le_put(p + 4, (uint64_t)self->slot, 4);
	art__le_put(p + 8, (uint64_t)peer, 4);
	art__le_put(p + 12, self->job, 8);
	art__le_put(p + 20, self->incarnation, 8);
	/* Not env->random: that one may be reproducible. */
	randombytes_buf(p + NONCE_AT, ART_TP_WORDS_BYTES - NONCE_AT);
}

struct art_tp_words art__words_get(const uint8_t p[ART_TP_WORDS_BYTES])
{
	return (struct art_tp_words){
		.channel = (uint32_t)art__le_get(p, 4),
		.from = (uint32_t)art__le_get(p + 4, 4),
		.to = (uint32_t)art__le_get(p + 8, 4),
		.job = art__le_get(p + 12, 8),
		.incarnation = art__le_get(p + 20, 8),
	};
}
