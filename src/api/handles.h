/* SPDX-License-Identifier: MIT
 *
 * Handles: 64-bit values (kind, generation, index) looked up in tables, never dereferenced. A null,
 * freed or foreign handle is not found, nothing worse. Looking up takes no lock; slots live in
 * memory that is never given back while the library is loaded, so even a program that frees a
 * handle in one thread and uses it in another gets an error and no crash.
 */
#ifndef ART_API_HANDLES_H
#define ART_API_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum art_handle_kind { ART_H_COMM = 1, ART_H_TYPE = 2, ART_H_OP = 3, ART_H_REQUEST = 4 };

struct art_comm;
struct art_op;

struct art_comm_obj {
	struct art_comm *core; /* owner of the engine only; NULL once freed */
	double deadline_s;     /* likewise; <= 0: none */
	void (*notify)(void);  /* likewise; an art_notify_fn, or NULL */
	void *notify_ctx;
	int rank, size;        /* constant while the handle lives */
};
struct art_op_obj {
	void (*fn)(void);    /* an art_op_fn */
	void *ctx;
	int flags;
};
struct art_request_obj {
	struct art_op *op;
	uint64_t comm;       /* handle it was started on */
	const char *name;    /* of the call */
	bool waited;         /* some thread waits for it: nobody else may */
};

/* The object of a new handle, with the handle in *out; NULL: no memory. All bytes zero. The handle
 * is found by art__handle_find() only after art__handle_publish(). */
void *art__handle_new(enum art_handle_kind kind, uint64_t *out);
void art__handle_publish(uint64_t handle);
/* The object behind @handle, if it is a live handle of that kind, else NULL. */
void *art__handle_find(enum art_handle_kind kind, uint64_t handle);
/* Live or not published yet. */
void art__handle_free(uint64_t handle);
/* Every handle of the kind becomes invalid (the end of the job). */
void art__handle_clear(enum art_handle_kind kind);

/* The number of a predefined type or operator, 0 if @handle is none. */
static inline int art__handle_predefined(enum art_handle_kind kind, uint64_t handle)
{
	uint64_t number = handle ^ (uint64_t)kind << 56;

	return number < 0x10000 ? (int)number : 0;
}

/* Predefined handles have generation 0 and do not come from art__handle_new(): the object of
 * ART_COMM_WORLD. */
#define ART_H_WORLD ((uint64_t)ART_H_COMM << 56 | 1)

#endif
