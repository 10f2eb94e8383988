/* SPDX-License-Identifier: MIT
 *
 * Everything that protocol code may ask of the outside: time, randomness, memory, log,
 * coverage marks. env_posix.c fills it for a real process, tests/lib for a simulated one;
 * they differ nowhere else. None of the entries may call back into the library.
 */
#ifndef ART_BASE_ENV_H
#define ART_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

enum art_log_level { ART_LOG_ERROR, ART_LOG_WARN, ART_LOG_INFO, ART_LOG_DEBUG };

/* Rare branches have names; a test asserts that each was hit (base/marks.h). */
enum art_mark;
struct art_trace; /* base/trace.h */

struct art_env {
	void *self;
	/* Monotonic time in nanoseconds. */
	uint64_t (*now_ns)(void *self);
	uint64_t (*random)(void *self);
	/* Memory is not cleared; alloc returns NULL when there is none, and callers handle it. */
	void *(*alloc)(void *self, size_t bytes);
	void (*free)(void *self, void *p);
	/* One line, without a newline. Only called for level <= log_level. */
	void (*log)(void *self, enum art_log_level level, const char *line);
	/* May be NULL. */
	void (*mark)(void *self, enum art_mark mark);
	/* An event for the trace (base/trace.h). NULL: nobody wants one. */
	void (*trace)(void *self, const struct art_trace *t);
	enum art_log_level log_level;
	/* Room for whoever fills the table; env_posix.c keeps its generator and prefix here. */
	struct {
		uint64_t seed, drawn;
		char prefix[48];
		void *trace;
	} own;
};

static inline uint64_t art__env_now(const struct art_env *e)
{
	return e->now_ns(e->self);
}

static inline void *art__env_alloc(const struct art_env *e, size_t bytes)
{
	return e->alloc(e->self, bytes);
}

static inline void art__env_free(const struct art_env *e, void *p)
{
	if (p)
		e->free(e->self, p);
}

/* Cleared memory, or NULL. */
void *art__env_zalloc(const struct art_env *e, size_t bytes);

/* printf to the log: lower case, the exact cause, where it is first known. */
void art__env_log(const struct art_env *e, enum art_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define ART_MARK(env, m) \
	do { \
		if ((env)->mark) \
			(env)->mark((env)->self, (m)); \
	} while (0)

/* The environment of a real process (env_posix.c), good for any number of threads. Log lines go
 * to stderr as "art: [@prefix] warn: ..."; NULL or "" leaves the brackets out. The prefix is
 * copied; *e must stay where it is. */
void art__env_posix(struct art_env *e, const char *prefix, enum art_log_level level);

/* Nanoseconds since 1970 (env_posix.c). */
int64_t art__env_wall_ns(void);

#define ART_NS_PER_MS UINT64_C(1000000)
#define ART_NS_PER_S UINT64_C(1000000000)
#define ART_NEVER UINT64_MAX

#endif
