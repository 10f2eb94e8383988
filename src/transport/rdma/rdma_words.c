/* SPDX-License-Identifier: MIT
 *
 * The words of rdma_words.h as bytes, little endian.
 *
 *   0 magic (4) | kind (1) | mtu (1) | ring log2 (1) | window log2, grant log2 (4 bits each)
 *   8 lid (2) | flags (1) | reads (1)
 *   12 qpn (4) | 16 psn (4) | 20 rkey (4) | 24 addr, or position (8) | 32 nonce (8) | 40 gid (16)
 */
#include "transport/rdma/rdma_words.h"

#include <string.h>

#include "base/le.h"
#include "transport/rdma/rdma_ring.h"

#define BIT24 0xffffffu
#define INFINIBAND 1u
#define WINDOW_LOG2_MIN 3
#define WINDOW_LOG2_MAX 12

static const uint8_t magic[4] = {0x00, 'R', 'D', 'M'};

_Static_assert(40 + ART_RDMA_GID_BYTES <= ART_TP_HEAD - ART_TP_HEAD_MAC, "an offer is one head");

bool art__rdma_is_word(const uint8_t head[ART_TP_HEAD])
{
	return memcmp(head, magic, sizeof(magic)) == 0;
}

enum art_rdma_say art__rdma_word_kind(const uint8_t head[ART_TP_HEAD])
{
	return art__rdma_is_word(head) && head[4] < ART_RDMA_SAY_LAST ? (enum art_rdma_say)head[4]
								      : 0;
}

void art__rdma_word(uint8_t head[ART_TP_HEAD], enum art_rdma_say say, uint64_t position)
{
	memset(head, 0, ART_TP_HEAD);
	memcpy(head, magic, sizeof(magic));
	head[4] = (uint8_t)say;
	art__le_put(head + 24, position, 8);
}

uint64_t art__rdma_word_position(const uint8_t head[ART_TP_HEAD])
{
	return art__le_get(head + 24, 8);
}

void art__rdma_put_offer(uint8_t head[ART_TP_HEAD], const struct art_rdma_offer *o)
{
	art__rdma_word(head, ART_RDMA_SAY_OFFER, o->addr);
	head[5] = o->mtu;
	head[6] = o->ring_log2;
	head[7] = (uint8_t)(o->window_log2 | o->grant_log2 << 4);
	art__le_put(head + 8, o->lid, 2);
	head[10] = o->infiniband ? INFINIBAND : 0;
	head[11] = o->reads;
	art__le_put(head + 12, o->qpn, 4);
	art__le_put(head + 16, o->psn, 4);
	art__le_put(head + 20, o->rkey, 4);
	art__le_put(head + 32, o->nonce, 8);
	memcpy(head + 40, o->gid, sizeof(o->gid));
}

bool art__rdma_get_offer(const uint8_t head[ART_TP_HEAD], struct art_rdma_offer *o)
{
	*o = (struct art_rdma_offer){
		.mtu = head[5],
		.ring_log2 = head[6],
		.window_log2 = head[7] & 15,
		.grant_log2 = head[7] >> 4,
		.lid = (uint16_t)art__le_get(head + 8, 2),
		.infiniband = (head[10] & INFINIBAND) != 0,
		.reads = head[11],
		.qpn = (uint32_t)art__le_get(head + 12, 4),
		.psn = (uint32_t)art__le_get(head + 16, 4),
		.rkey = (uint32_t)art__le_get(head + 20, 4),
		.addr = art__le_get(head + 24, 8),
		.nonce = art__le_get(head + 32, 8),
	};
	memcpy(o->gid, head + 40, sizeof(o->gid));
	return o->mtu >= 1 && o->mtu <= 5 && o->ring_log2 < 32 && o->reads <= ART_RDMA_READS &&
	       (1u << o->ring_log2) >= ART_RDMA_RING_MIN && (1u << o->ring_log2) <= ART_RDMA_RING_MAX &&
	       o->window_log2 >= WINDOW_LOG2_MIN && o->window_log2 <= WINDOW_LOG2_MAX &&
	       o->grant_log2 >= WINDOW_LOG2_MIN && o->grant_log2 <= o->window_log2 &&
	       o->qpn <= BIT24 && o->psn <= BIT24 && o->addr && o->addr % ART_RDMA_LINE == 0 &&
	       o->addr + (1u << o->ring_log2) + ART_RDMA_SPILL > o->addr &&
	       (o->lid || !o->infiniband || o->gid[0]);
}
