/* SPDX-License-Identifier: MIT
 *
 * The environment of a real process: the only file of the library that asks the system for
 * time, randomness and memory. Every entry may be called by several threads at once.
 */
#include "base/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char *const level_name[] = {
	[ART_LOG_ERROR] = "error",
	[ART_LOG_WARN] = "warn",
	[ART_LOG_INFO] = "info",
	[ART_LOG_DEBUG] = "debug",
};

static uint64_t posix_now_ns(void *self)
{
	struct timespec ts;

	(void)self;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ART_NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t art__env_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)ART_NS_PER_S + ts.tv_nsec;
}

/* A bijection of 64 bits that spreads every input bit over the whole word (splitmix64). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The n-th value of the stream that the seed names: no lock, one shared counter. For jitter and
 * identities only; keys come from libsodium. */
static uint64_t posix_random(void *self)
{
	struct art_env *e = self;
	uint64_t n = __atomic_add_fetch(&e->own.drawn, 1, __ATOMIC_RELAXED);

	return mix(e->own.seed + n * UINT64_C(0x9e3779b97f4a7c15));
}

static void *posix_alloc(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes ? bytes : 1);
}

static void posix_free(void *self, void *p)
{
	(void)self;
	free(p);
}

/* One write() a line, so that lines of several processes do not mix. */
static void posix_log(void *self, enum art_log_level level, const char *line)
{
	const struct art_env *e = self;
	const char *prefix = e->own.prefix;
	char out[640];
	int n;

	n = snprintf(out, sizeof(out), "art: %s%s%s%s: %s\n", prefix[0] ? "[" : "", prefix,
		     prefix[0] ? "] " : "", level_name[level], line);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(out)) {
		n = (int)sizeof(out) - 1;
		out[n - 1] = '\n';
	}
	/* A log line that cannot be written has nowhere to be reported. */
	ssize_t written = write(STDERR_FILENO, out, (size_t)n);
	(void)written;
}

static uint64_t fresh_seed(const void *salt)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
		return seed;
	/* Early in boot the kernel has no entropy yet: distinct per process is enough here. */
	return mix(posix_now_ns(NULL)) ^ mix((uint64_t)getpid()) ^ mix((uintptr_t)salt);
}

void art__env_posix(struct art_env *e, const char *prefix, enum art_log_level level)
{
	memset(e, 0, sizeof(*e));
	e->self = e;
	e->now_ns = posix_now_ns;
	e->random = posix_random;
	e->alloc = posix_alloc;
	e->free = posix_free;
	e->log = posix_log;
	e->log_level = level;
	e->own.seed = fresh_seed(e);
	snprintf(e->own.prefix, sizeof(e->own.prefix), "%s", prefix ? prefix : "");
}
