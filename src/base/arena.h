/* SPDX-License-Identifier: MIT
 *
 * Memory that the ranks of a host share: one part a rank, written by that rank only and read by the
 * others (who cannot write to it). Here is how a part is laid out; who makes and maps it is the engine's
 * business (engine/arena.c) or the simulator's, what is put there is coll's (coll/arena.c, bulk.c).
 *
 *   part   state      have I mapped the parts of all ranks of this host, or can I not?
 *          doze       odd: I do not look at the slots, and want a message when something comes
 *          alone      (epoch, seq): the last call of mine that may be over before anybody answers
 *          done       ops of the world up to here are over for me: I read nobody's slots of them again
 *          sure       (epoch, seq): and as a member of that epoch I have them done, as a message would say
 *          slot[]     what I have put into op seq of the world: slot[seq % slots]
 *          life       the kernel marks it as this rank ends (engine/dying.h)
 *          bulk       (epoch, seq): for which op what lies in `in` and `out` is
 *          big        the payloads that have no room in a slot
 *          in, out    pieces of payloads that have no room there either, and of results
 *
 *   slot   flag = (epoch, seq): what lies here is for that attempt of that op. 0 while it is written.
 *          put, made, got: how many pieces of it I have put into `in`, combined into `out`, read
 *
 * No lock, no counter that two ranks write, no length: how much lies in a slot follows from the call
 * whose signature it carries. Who dies half way through writing leaves a flag of 0, which means what it
 * meant before: not there. Who is stopped, evicted and wakes up writes into its own part, which no
 * member of a later view looks at (rule R6).
 */
#ifndef ART_BASE_ARENA_H
#define ART_BASE_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ART_ARENA_RANKS 64 /* the largest job that uses one */
#define ART_ARENA_SLOTS 64u /* at most */
#define ART_ARENA_SMALL 232u /* bytes of payload beside the flag: on its line, and on those behind it, which
			      * come along */
#define ART_ARENA_IDENT 16u
#define ART_ARENA_LIFE 128u

enum art_arena_state { ART_ARENA_UNKNOWN, ART_ARENA_READY, ART_ARENA_NONE };

struct art_arena_slot {
	_Alignas(64) _Atomic uint64_t flag;
	uint64_t comm;
	uint32_t sig;
	uint16_t lag;
	uint16_t spare;
	union {
		uint8_t small[ART_ARENA_SMALL];
		struct {
			_Atomic uint64_t put, made, got;
		};
	};
};
_Static_assert(sizeof(struct art_arena_slot) == 256, "a slot is four cache lines");

/* Words that change at different times are two lines apart: neighbours are fetched in pairs. */
struct art_arena_part {
	uint8_t ident[ART_ARENA_IDENT]; /* whose it is: a MAC, see engine/arena.c */
	uint64_t nudge_pipe; /* 0: messages wake it (engine/nudge.h); set before others map this */
	int32_t nudge_fd;
	_Alignas(128) _Atomic uint32_t state;
	_Alignas(128) _Atomic uint32_t doze;
	_Alignas(128) _Atomic uint64_t alone;
	_Alignas(128) _Atomic uint64_t done;
	_Atomic uint64_t sure;
	_Alignas(128) _Atomic uint64_t bulk;
	_Alignas(128) uint8_t life[ART_ARENA_LIFE];
	_Alignas(128) struct art_arena_slot slot[ART_ARENA_SLOTS];
	uint8_t big[]; /* [ART_ARENA_SLOTS][max + 64]: not all in the same places of a cache; then in[bulk],
			* out[bulk / 2] */
};

/* What is about to happen, for the simulator. */
enum art_arena_touch {
	ART_ARENA_WRITE, /* words and payload of a slot are written */
	ART_ARENA_FLAG,  /* its flag, or how many pieces: they can be seen */
	ART_ARENA_TAKE,  /* others' payloads are read */
	ART_ARENA_DOZE,  /* this rank's own doze changes */
	ART_ARENA_DONE,  /* its own done mark does */
};

struct art_arena {
	size_t max; /* bytes of the largest payload that is there as a whole; a multiple of 64 */
	unsigned slots; /* that are used: a power of two */
	size_t piece; /* bytes of a stream that are told of at one time; bulk is a multiple */
	size_t hope;  /* payloads from here on are mostly stable before they could be copied */
	unsigned patience; /* looks in vain before one who has gone off is asked to go on; 0: at each look */
	size_t bulk;  /* bytes of the part of larger payloads that is there at one time; a multiple of 4 * max */
	struct art_arena_part *mine;
	const struct art_arena_part *const *part; /* [job size]; NULL: not of this host, or out of reach */
	/* Asked before each access; false: this rank is no more, do nothing. NULL outside tests. */
	bool (*touch)(void *self, enum art_arena_touch what);
	void *self;
};

static inline size_t art__arena_bytes(size_t max, size_t bulk)
{
	return sizeof(struct art_arena_part) + ART_ARENA_SLOTS * (max + 64) + bulk + bulk / 2;
}

/* Where in its part a rank puts pieces of its payload, and behind that those of a result. */
static inline const uint8_t *art__arena_in(const struct art_arena *a, const struct art_arena_part *p)
{
	return p->big + ART_ARENA_SLOTS * (a->max + 64);
}

static inline const uint8_t *art__arena_out(const struct art_arena *a, const struct art_arena_part *p)
{
	return art__arena_in(a, p) + a->bulk;
}

/* ThreadSanitizer knows no fences; it does not see other processes, either. */
static inline void art__arena_fence(memory_order order)
{
#ifdef __SANITIZE_THREAD__
	(void)order;
#else
	atomic_thread_fence(order);
#endif
}

#endif
