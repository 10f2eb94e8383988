/* SPDX-License-Identifier: MIT
 *
 * What two ends of a pair say to each other on the carrier about their RDMA way: heads without a
 * body, authenticated as every head there. Pure; every number is checked before anything else
 * sees it.
 */
#ifndef ART_TRANSPORT_RDMA_RDMA_WORDS_H
#define ART_TRANSPORT_RDMA_RDMA_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

enum art_rdma_say {
	ART_RDMA_SAY_OFFER = 1, /* struct art_rdma_offer */
	ART_RDMA_SAY_READY,     /* you can write to me */
	ART_RDMA_SAY_SWITCH,    /* what comes next is in your ring */
	ART_RDMA_SAY_BREAK,     /* I have read up to this position, and will read no more */
	ART_RDMA_SAY_LAST
};

#define ART_RDMA_GID_BYTES 16
#define ART_RDMA_READS 16 /* at most */

struct art_rdma_offer {
	uint8_t mtu;        /* enum ibv_mtu */
	bool infiniband;
	uint8_t ring_log2;  /* of the ring behind rkey and addr */
	uint8_t window_log2; /* messages that may be under way, */
	uint8_t grant_log2;  /* and before more is granted */
	uint8_t reads;      /* that may be under way each way at once; 0: none */
	uint16_t lid;
	uint32_t qpn, psn;  /* 24 bits each */
	uint8_t gid[ART_RDMA_GID_BYTES];
	uint32_t rkey;
	uint64_t addr;
	uint64_t nonce;
};

/* Whether it is one of these heads; any 64 bytes may be asked about. */
bool art__rdma_is_word(const uint8_t head[ART_TP_HEAD]);
/* 0: none that is known. */
enum art_rdma_say art__rdma_word_kind(const uint8_t head[ART_TP_HEAD]);
void art__rdma_word(uint8_t head[ART_TP_HEAD], enum art_rdma_say say, uint64_t position);
uint64_t art__rdma_word_position(const uint8_t head[ART_TP_HEAD]);
void art__rdma_put_offer(uint8_t head[ART_TP_HEAD], const struct art_rdma_offer *o);
/* False: something in it cannot be. */
bool art__rdma_get_offer(const uint8_t head[ART_TP_HEAD], struct art_rdma_offer *o);

#endif
