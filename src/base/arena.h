/* SPDX-License-Identifier: MIT
 *
 * Memory that the ranks of a host share: one part a rank, written by that rank only and read by the
 * others (who cannot write to it). Here is how a part is laid out; who makes and maps it is the engine's
 * business (engine/arena.c) or the simulator's, what is put there is coll's (coll/arena.c, bulk.c).
 *
 *   part   state      have I mapped the parts of all ranks of this host, or can I not?
 *          doze       odd: I do not look at the slots, and want a message when something comes
 *          life       the kernel marks it as this rank ends (engine/dying.h)
 *          world      where the world's ops go (below)
 *          channel[]  other communicators', one each at a time (coll/channel.c); their memory, but for the marks,
 *                     is there from the first time on that this rank has given it to one
 *
 *   each   alone      (epoch, seq): the last call of mine that may be over before anybody answers
 *          done       ops of the communicator up to here are over for me: I read nobody's slots of them again
 *          sure       (epoch, seq): and as a member of that epoch I have them done, as a message would say
 *          state      a channel: can the communicator that this rank has given it to use it?
 *          bulk       (epoch, seq): for which op what lies in `in` and `out` is
 *          slot[]     what I have put into op seq: slot[seq % slots]
 *          big        payloads that have no room in a slot, one place for each slot
 *          large      those that have no room there, or are many, in fewer places; behind each (epoch, seq), for
 *                     which attempt it was used last
 *          whole      likewise, results for all
 *          in, out    pieces of payloads that have no room there either, and of results
 *
 *   slot   flag = (epoch, seq): what lies here is for that attempt of that op. 0 while it is written.
 *          given = flag: the result for it is here, too, for whoever has not come so far (coll/given.c)
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

#define ART_ARENA_RANKS 64 /* of the largest communicator that uses one */
#define ART_ARENA_SLOTS 64u /* at most; of a channel: */
#define ART_ARENA_CHANNEL_SLOTS 16u
#define ART_ARENA_CHANNELS 8u
#define ART_ARENA_SHARED 8u /* slots to one place for a large payload */
#define ART_ARENA_SMALL 224u /* bytes of payload beside the flag: on its line, and on those behind it, which
			      * come along */
#define ART_ARENA_IDENT 16u
#define ART_ARENA_LIFE 128u

enum art_arena_state { ART_ARENA_UNKNOWN, ART_ARENA_READY, ART_ARENA_NONE };

struct art_arena_slot {
	_Alignas(64) _Atomic uint64_t flag;
	uint64_t comm;
	uint32_t sig;
	uint16_t lag;
	uint16_t lag_all; /* with `given`: that of all whose inputs are in it */
	_Atomic uint64_t given;
	union {
		uint8_t small[ART_ARENA_SMALL];
		struct {
			_Atomic uint64_t put, made, got;
		};
	};
};
_Static_assert(sizeof(struct art_arena_slot) == 256, "a slot is four cache lines");

/* Words that change at different times are two lines apart: neighbours are fetched in pairs. */
struct art_arena_marks {
	_Alignas(128) _Atomic uint64_t alone;
	_Alignas(128) _Atomic uint64_t done;
	_Atomic uint64_t sure;
	_Alignas(128) _Atomic uint64_t bulk;
	_Atomic uint32_t state;
};

struct art_arena_part {
	uint8_t ident[ART_ARENA_IDENT]; /* whose it is: a MAC, see engine/arena.c */
	uint64_t nudge_pipe; /* 0: messages wake it (engine/nudge.h); set before others map this */
	int32_t nudge_fd;
	_Alignas(128) _Atomic uint32_t state;
	_Atomic uint32_t cpu; /* 1 + where it ran when it said so last (engine/even.c); 0: it never has */
	_Alignas(128) _Atomic uint32_t doze;
	struct art_arena_marks world;
	_Alignas(128) uint8_t life[ART_ARENA_LIFE];
	_Alignas(128) struct art_arena_slot slot[ART_ARENA_SLOTS];
	struct art_arena_marks channel[ART_ARENA_CHANNELS];
	uint8_t big[]; /* [slots][max + 64]: not all in the same places of a cache; then
			* large[slots / ART_ARENA_SHARED][large + 64], whole likewise, in[bulk], out[bulk / 2]; of each
			* channel slots, big, large, whole, in[narrow], out[narrow / 2] */
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
	size_t max; /* bytes of the largest payload that has a place for each slot; a multiple of 64 */
	size_t large; /* and of the largest that is there as a whole; likewise */
	unsigned slots; /* that are used: a power of two */
	size_t piece; /* bytes of a stream that are told of at one time; bulk is a multiple */
	size_t hope;  /* payloads from here on are mostly stable before they could be copied */
	unsigned patience; /* looks in vain before one who has gone off is asked to go on; 0: at each look */
	size_t bulk;  /* bytes of the part of larger payloads that is there at one time; a multiple of 4 * max */
	size_t narrow; /* and of those on a channel */
	unsigned channels, channel_slots; /* that are used */
	/* Memory for a channel of the own part. False: there is none. NULL: it is there. */
	bool (*room)(void *self, unsigned channel);
	struct art_arena_part *mine;
	const struct art_arena_part *const *part; /* [job size]; NULL: not of this host, or out of reach */
	/* Asked before each access; false: this rank is no more, do nothing. NULL outside tests. */
	bool (*touch)(void *self, enum art_arena_touch what);
	void *self;
};

/* Where in any part what belongs to one communicator lies: bytes from its beginning. */
struct art_arena_room {
	size_t marks, slot, big, large, whole, in, out;
	size_t bulk;    /* bytes of `in` */
	unsigned slots; /* 0: it has none */
};

/* Of the payloads that have no room in @slots slots. */
static inline size_t art__arena_big_bytes(const struct art_arena *a, size_t slots)
{
	return slots * (a->max + 64);
}

static inline size_t art__arena_large_bytes(const struct art_arena *a, size_t slots)
{
	return slots / ART_ARENA_SHARED * (a->large + 64);
}

static inline size_t art__arena_channel_bytes(const struct art_arena *a)
{
	return ART_ARENA_CHANNEL_SLOTS * sizeof(struct art_arena_slot) +
	       art__arena_big_bytes(a, ART_ARENA_CHANNEL_SLOTS) +
	       2 * art__arena_large_bytes(a, ART_ARENA_CHANNEL_SLOTS) + a->narrow + a->narrow / 2;
}

static inline size_t art__arena_world_bytes(const struct art_arena *a)
{
	return sizeof(struct art_arena_part) + art__arena_big_bytes(a, ART_ARENA_SLOTS) +
	       2 * art__arena_large_bytes(a, ART_ARENA_SLOTS) + a->bulk + a->bulk / 2;
}

static inline size_t art__arena_bytes(const struct art_arena *a)
{
	return art__arena_world_bytes(a) + ART_ARENA_CHANNELS * art__arena_channel_bytes(a);
}

static inline struct art_arena_room art__arena_world(const struct art_arena *a)
{
	size_t big = sizeof(struct art_arena_part);
	size_t large = big + art__arena_big_bytes(a, ART_ARENA_SLOTS);
	size_t whole = large + art__arena_large_bytes(a, ART_ARENA_SLOTS);
	size_t in = whole + art__arena_large_bytes(a, ART_ARENA_SLOTS);

	return (struct art_arena_room){ .marks = offsetof(struct art_arena_part, world),
					.slot = offsetof(struct art_arena_part, slot), .big = big,
					.large = large, .whole = whole, .in = in, .out = in + a->bulk,
					.bulk = a->bulk, .slots = a->slots };
}

static inline struct art_arena_room art__arena_channel(const struct art_arena *a, unsigned channel)
{
	size_t slot = art__arena_world_bytes(a) + channel * art__arena_channel_bytes(a);
	size_t big = slot + ART_ARENA_CHANNEL_SLOTS * sizeof(struct art_arena_slot);
	size_t large = big + art__arena_big_bytes(a, ART_ARENA_CHANNEL_SLOTS);
	size_t whole = large + art__arena_large_bytes(a, ART_ARENA_CHANNEL_SLOTS);
	size_t in = whole + art__arena_large_bytes(a, ART_ARENA_CHANNEL_SLOTS);

	return (struct art_arena_room){ .marks = offsetof(struct art_arena_part, channel) +
						 channel * sizeof(struct art_arena_marks),
					.slot = slot, .big = big, .large = large, .whole = whole, .in = in,
					.out = in + a->narrow, .bulk = a->narrow, .slots = a->channel_slots };
}

static inline const struct art_arena_marks *art__arena_marks(const struct art_arena_part *p,
							     const struct art_arena_room *r)
{
	return (const struct art_arena_marks *)((const uint8_t *)p + r->marks);
}

/* What this rank writes itself. */
static inline struct art_arena_marks *art__arena_my_marks(const struct art_arena *a,
							  const struct art_arena_room *r)
{
	return (struct art_arena_marks *)((uint8_t *)a->mine + r->marks);
}

static inline struct art_arena_slot *art__arena_my_slots(const struct art_arena *a,
							 const struct art_arena_room *r)
{
	return (struct art_arena_slot *)((uint8_t *)a->mine + r->slot);
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
