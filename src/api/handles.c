/* SPDX-License-Identifier: MIT
 *
 * The handle tables: one per kind, chunks of slots that never move. Freed slots are reused with
 * the next generation, oldest first, so that a stale handle stays stale for long.
 */
#include "api/handles.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 512u
#define CHUNKS 4096u
#define GEN_MAX UINT32_MAX

struct slot {
	_Atomic uint64_t live; /* the handle that finds it, 0: none */
	uint32_t gen;
	uint32_t next;         /* in the list of free slots, 0: last */
	union {
		struct art_comm_obj comm;
		struct art_op_obj op;
		struct art_request_obj request;
	} u;
};

struct table {
	pthread_mutex_t lock; /* of all but `live` and `chunk` */
	struct slot *_Atomic chunk[CHUNKS];
	uint32_t made;        /* slots ever used; index 0 never is */
	uint32_t free_first, free_last;
};

static struct table tables[5] = {
	[ART_H_COMM] = {.lock = PTHREAD_MUTEX_INITIALIZER},
	[ART_H_OP] = {.lock = PTHREAD_MUTEX_INITIALIZER},
	[ART_H_REQUEST] = {.lock = PTHREAD_MUTEX_INITIALIZER},
};

static uint32_t index_of(uint64_t handle)
{
	return (uint32_t)(handle & 0xffffff);
}

static struct slot *slot_at(struct table *t, uint32_t index)
{
	struct slot *chunk;

	if (index / CHUNK >= CHUNKS)
		return NULL;
	chunk = atomic_load_explicit(&t->chunk[index / CHUNK], memory_order_acquire);
	return chunk ? &chunk[index % CHUNK] : NULL;
}

/* Index of a slot nobody uses, 0: no memory. */
static uint32_t take_slot(struct table *t)
{
	uint32_t index = t->free_first;
	struct slot *chunk;

	if (index) {
		t->free_first = slot_at(t, index)->next;
		if (!t->free_first)
			t->free_last = 0;
		return index;
	}
	index = t->made + 1;
	if (index / CHUNK >= CHUNKS)
		return 0;
	if (!slot_at(t, index)) {
		chunk = calloc(CHUNK, sizeof(*chunk));
		if (!chunk)
			return 0;
		atomic_store_explicit(&t->chunk[index / CHUNK], chunk, memory_order_release);
	}
	t->made = index;
	return index;
}

void *art__handle_new(enum art_handle_kind kind, uint64_t *out)
{
	struct table *t = &tables[kind];
	struct slot *s = NULL;
	uint32_t index;

	pthread_mutex_lock(&t->lock);
	index = take_slot(t);
	if (index) {
		s = slot_at(t, index);
		s->gen++;
		memset(&s->u, 0, sizeof(s->u));
		*out = (uint64_t)kind << 56 | (uint64_t)s->gen << 24 | index;
	}
	pthread_mutex_unlock(&t->lock);
	return s ? &s->u : NULL;
}

void art__handle_publish(uint64_t handle)
{
	struct slot *s = slot_at(&tables[handle >> 56], index_of(handle));

	assert(s && !atomic_load(&s->live));
	atomic_store_explicit(&s->live, handle, memory_order_release);
}

void *art__handle_find(enum art_handle_kind kind, uint64_t handle)
{
	struct slot *s;

	if (handle >> 56 != kind)
		return NULL;
	s = slot_at(&tables[kind], index_of(handle));
	if (!s || atomic_load_explicit(&s->live, memory_order_acquire) != handle)
		return NULL;
	return &s->u;
}

void art__handle_free(uint64_t handle)
{
	struct table *t = &tables[handle >> 56];
	uint32_t index = index_of(handle);
	struct slot *s = slot_at(t, index);

	pthread_mutex_lock(&t->lock);
	assert(s->gen == (uint32_t)(handle >> 24));
	atomic_store(&s->live, 0);
	s->next = 0;
	if (s->gen == GEN_MAX) {
		/* Its generations are used up: it rests for ever. */
	} else if (t->free_last) {
		slot_at(t, t->free_last)->next = index;
		t->free_last = index;
	} else {
		t->free_first = t->free_last = index;
	}
	pthread_mutex_unlock(&t->lock);
}

void art__handle_clear(enum art_handle_kind kind)
{
	struct table *t = &tables[kind];

	for (uint32_t i = 1; i <= t->made; i++) {
		uint64_t live = atomic_load(&slot_at(t, i)->live);

		if (live)
			art__handle_free(live);
	}
}
