/* SPDX-License-Identifier: MIT
 *
 * Size classes and free lists (pool.h). Every block carries 16 bytes in front that say what it
 * is, so that put() needs no size and a block put twice is noticed.
 *
 *     | state | class | bytes | 16-aligned memory of the user ... |
 */
#include "base/pool.h"

#include <assert.h>
#include <sanitizer/asan_interface.h> /* empty macros unless built with ASan */
#include <stdint.h>
#include <string.h>

#define SMALLEST_SHIFT 5
#define CLASS_NONE ART_POOL_CLASSES

#define STATE_LENT 0x4c454e54u
#define STATE_FREE 0x46524545u

/* Free blocks of a class beyond these go back: a burst does not stay for ever. */
#define KEEP_BLOCKS 2
#define KEEP_BYTES 4096

struct art_pool_block {
	uint32_t state;
	uint32_t class;
	union {
		size_t bytes;                /* lent: of the user's part */
		struct art_pool_block *next; /* free */
	};
};

_Static_assert(sizeof(struct art_pool_block) == 16, "the user's part stays 16-aligned");
_Static_assert(1u << (SMALLEST_SHIFT + ART_POOL_CLASSES - 1) == ART_POOL_MAX, "classes fit");

static inline size_t class_bytes(uint32_t class)
{
	return (size_t)1 << (SMALLEST_SHIFT + class);
}

static inline uint32_t class_of(size_t bytes)
{
	if (bytes <= (size_t)1 << SMALLEST_SHIFT)
		return 0;
	if (bytes > ART_POOL_MAX)
		return CLASS_NONE;
	return (uint32_t)(64 - __builtin_clzll(bytes - 1)) - SMALLEST_SHIFT;
}

void art__pool_init(struct art_pool *pool, const struct art_env *env)
{
	memset(pool, 0, sizeof(*pool));
	pool->env = env;
}

static struct art_pool_block *block_new(struct art_pool *pool, uint32_t class, size_t bytes)
{
	struct art_pool_block *b;

	if (bytes > SIZE_MAX - sizeof(*b))
		return NULL;
	b = art__env_alloc(pool->env, sizeof(*b) + bytes);
	if (!b)
		return NULL;
	b->class = class;
	b->bytes = bytes;
	pool->bytes += sizeof(*b) + bytes;
	return b;
}

static void block_release(struct art_pool *pool, struct art_pool_block *b, size_t bytes)
{
	assert(pool->bytes >= sizeof(*b) + bytes);
	pool->bytes -= sizeof(*b) + bytes;
	art__env_free(pool->env, b);
}

void *art__pool_get(struct art_pool *pool, size_t bytes)
{
	uint32_t class = class_of(bytes);
	struct art_pool_block *b = class == CLASS_NONE ? NULL : pool->free[class];

	if (b) {
		assert(b->state == STATE_FREE && b->class == class);
		pool->free[class] = b->next;
		pool->kept[class]--;
		b->bytes = class_bytes(class);
		ASAN_UNPOISON_MEMORY_REGION(b + 1, b->bytes);
	} else {
		b = block_new(pool, class, class == CLASS_NONE ? bytes : class_bytes(class));
		if (!b)
			return NULL;
	}
	b->state = STATE_LENT;
	pool->lent++;
	return b + 1;
}

void art__pool_put(struct art_pool *pool, void *p)
{
	struct art_pool_block *b;

	if (!p)
		return;
	b = (struct art_pool_block *)p - 1;
	assert(b->state == STATE_LENT && "put twice, or no block of a pool");
	assert(pool->lent > 0);
	pool->lent--;
	if (b->class == CLASS_NONE) {
		block_release(pool, b, b->bytes);
		return;
	}
	if (pool->kept[b->class] >= KEEP_BLOCKS &&
	    pool->kept[b->class] * class_bytes(b->class) >= KEEP_BYTES) {
		block_release(pool, b, class_bytes(b->class));
		return;
	}
	pool->kept[b->class]++;
	b->state = STATE_FREE;
	b->next = pool->free[b->class];
	pool->free[b->class] = b;
	ASAN_POISON_MEMORY_REGION(b + 1, class_bytes(b->class));
}

void art__pool_fini(struct art_pool *pool)
{
	assert(pool->lent == 0 && "blocks are still out");
	for (uint32_t class = 0; class < ART_POOL_CLASSES; class++) {
		struct art_pool_block *b, *next;

		for (b = pool->free[class]; b; b = next) {
			next = b->next;
			ASAN_UNPOISON_MEMORY_REGION(b + 1, class_bytes(class));
			block_release(pool, b, class_bytes(class));
		}
		pool->free[class] = NULL;
	}
	assert(pool->bytes == 0);
}

size_t art__pool_bytes(const struct art_pool *pool)
{
	return pool->bytes;
}
