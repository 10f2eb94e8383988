/* SPDX-License-Identifier: MIT
 *
 * What a rank and its launcher say to each other: message kinds and layouts, nothing else. One
 * SOCK_SEQPACKET pair per rank, so a message arrives whole or not at all; both ends are on one
 * host, so numbers are in its byte order. Every message starts with a head that carries its own
 * length, and both sides check it before they look further.
 *
 *   rank        launcher
 *   HELLO   ->            art_init has begun
 *           <-  WELCOME   rank, size, job and key, and a descriptor: last_view.h; or REFUSED: the
 *                         place is taken
 *   CARD    ->            where this rank listens
 *           <-  TABLE ... everyone's cards, in order, some per message; or FAILED: one never comes
 *           <-  DEAD      certificate: a rank of another host has died there, which acted last in...
 *   VOTE    ->            a question for the arbiter of exact halves (ft/arbiter.h)
 *           <-  VOTED     its answer
 *   DONE    ->            finalized: its exit is no loss
 *   ABORT   ->            end the job with a code
 */
#ifndef ART_LAUNCH_BOOT_WIRE_H
#define ART_LAUNCH_BOOT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "launch/boot.h"
#include "launch/last_view.h"

#define ART_BOOT_MAGIC UINT32_C(0x41525442)
#define ART_BOOT_VERSION 4
#define ART_BOOT_FD_VAR "ART_LAUNCH_FD"
#define ART_BOOT_CPU_VAR "ART_CPU" /* the one CPU that this rank is bound to, if it is */

enum art_boot_kind {
	ART_BOOT_HELLO = 1,
	ART_BOOT_WELCOME,
	ART_BOOT_REFUSED,
	ART_BOOT_CARD,
	ART_BOOT_TABLE,
	ART_BOOT_FAILED,
	ART_BOOT_DONE,
	ART_BOOT_ABORT,
	ART_BOOT_DEAD,
	ART_BOOT_VOTE,
	ART_BOOT_VOTED,
};

struct art_boot_head {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t len; /* of the whole message */
	int32_t arg;  /* HELLO: 1 if the lowest of exact halves is to go on; ABORT: the code; FAILED: the rank
		       * that never comes; DEAD: the rank */
};

struct art_boot_welcome {
	struct art_boot_head head;
	uint32_t rank, size;
	uint64_t job;
	uint8_t key[ART_TP_KEY_BYTES];
};

struct art_boot_card_msg {
	struct art_boot_head head;
	struct art_boot_card card;
};

struct art_boot_dead {
	struct art_boot_head head; /* len tells how much of the view there is */
	uint64_t incarnation;
	struct art_last_view view;
};

struct art_boot_vote {
	struct art_boot_head head; /* len tells how many bytes there are */
	uint8_t bytes[ART_BOOT_VOTE_MAX];
};

#define ART_BOOT_TABLE_CARDS 64u

struct art_boot_table {
	struct art_boot_head head; /* len tells how much of card[] there is */
	uint32_t first, count;
	struct art_boot_card card[ART_BOOT_TABLE_CARDS];
};

_Static_assert(sizeof(struct art_boot_head) == 16, "head has no holes");
_Static_assert(sizeof(struct art_boot_welcome) == 16 + 16 + ART_TP_KEY_BYTES, "no holes");
_Static_assert(sizeof(struct art_boot_dead) == 24 + ART_LAST_VIEW_MAX, "no holes");
_Static_assert(sizeof(struct art_boot_card) == 3 * ART_TP_ADDR_MAX + 24, "a card has no holes");
_Static_assert(sizeof(struct art_boot_card_msg) == 16 + sizeof(struct art_boot_card), "no holes");
_Static_assert(sizeof(struct art_boot_table) ==
	       24 + ART_BOOT_TABLE_CARDS * sizeof(struct art_boot_card), "no holes");

static inline struct art_boot_head art__boot_head(enum art_boot_kind kind, size_t len, int32_t arg)
{
	return (struct art_boot_head){ .magic = ART_BOOT_MAGIC, .version = ART_BOOT_VERSION,
				       .kind = (uint16_t)kind, .len = (uint32_t)len, .arg = arg };
}

/* Is this a message of ours, of the length that was received? */
static inline bool art__boot_head_good(const struct art_boot_head *h, size_t got)
{
	return got >= sizeof(*h) && h->magic == ART_BOOT_MAGIC &&
	       h->version == ART_BOOT_VERSION && h->len == got;
}

/* Its addresses end within their field. */
static inline bool art__boot_card_good(const struct art_boot_card *c)
{
	return memchr(c->addr[0], 0, sizeof(c->addr[0])) &&
	       memchr(c->addr[1], 0, sizeof(c->addr[1])) &&
	       memchr(c->addr[2], 0, sizeof(c->addr[2]));
}

#endif
