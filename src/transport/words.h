/* SPDX-License-Identifier: MIT
 *
 * Who speaks and whom it wants, as the handshakes of all transports say it:
 *
 *   channel (4) from (4) to (4) job (8) incarnation (8) nonce (16)
 *
 * What else a handshake says, and how it is proved, is its transport's.
 */
#ifndef ART_TRANSPORT_WORDS_H
#define ART_TRANSPORT_WORDS_H

#include "transport/transport.h"

#define ART_TP_WORDS_BYTES 44

struct art_tp_words {
	uint32_t channel, from, to;
	uint64_t job, incarnation;
};

/* To @peer, with a new nonce. */
void art__words_put(uint8_t p[ART_TP_WORDS_BYTES], const struct art_tp_self *self, int peer);
struct art_tp_words art__words_get(const uint8_t p[ART_TP_WORDS_BYTES]);

#endif
