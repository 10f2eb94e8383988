/* SPDX-License-Identifier: MIT
 *
 * Memory that is asked for again and again on the hot path: free lists by power-of-two size over
 * the environment's memory, which after a warm-up is not asked any more. One pool has one user
 * at a time (no lock); blocks of one pool go back to the same pool.
 */
#ifndef ART_BASE_POOL_H
#define ART_BASE_POOL_H

#include <stddef.h>

#include "base/env.h"

/* Larger blocks are the environment's own: kept for nobody. */
#define ART_POOL_MAX (64u * 1024)
#define ART_POOL_CLASSES 12 /* 32 bytes .. ART_POOL_MAX */

struct art_pool_block;

struct art_pool {
	const struct art_env *env;
	struct art_pool_block *free[ART_POOL_CLASSES];
	uint32_t kept[ART_POOL_CLASSES]; /* length of each list */
	size_t bytes; /* held from the environment, lent out or not */
	size_t lent;  /* blocks lent out */
};

void art__pool_init(struct art_pool *pool, const struct art_env *env);
/* 16-aligned, not cleared; NULL when out of memory. */
void *art__pool_get(struct art_pool *pool, size_t bytes);
/* @p from art__pool_get() of this pool, or NULL. */
void art__pool_put(struct art_pool *pool, void *p);
/* Returns everything to the environment; all blocks must be back. */
void art__pool_fini(struct art_pool *pool);
/* Bytes now held from the environment, headers and free blocks included. */
size_t art__pool_bytes(const struct art_pool *pool);

#endif
