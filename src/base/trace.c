/* SPDX-License-Identifier: MIT
 *
 * The writer of a trace file (trace.h): a store into mapped memory per event and no system call.
 */
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <art/status.h>

struct file {
	struct art_trace_head *head;
	struct art_trace *ring;
	size_t bytes;
};

void art__trace_put(const struct art_env *e, struct art_trace *t, const char *name)
{
	if (!t->t_ns)
		t->t_ns = art__env_now(e);
	snprintf(t->name, sizeof(t->name), "%s", name);
	e->trace(e->self, t);
}

/* The count comes last: an event that was not finished when its rank was killed is not one. */
static void put(void *self, const struct art_trace *t)
{
	struct art_env *e = self;
	struct file *f = e->own.trace;
	uint64_t n = f->head->count;

	f->ring[n % f->head->capacity] = *t;
	__atomic_store_n(&f->head->count, n + 1, __ATOMIC_RELEASE);
}

static uint32_t capacity(int size)
{
	uint32_t share = ART_TRACE_EVENTS_JOB / (uint32_t)size;

	return share < ART_TRACE_EVENTS ? share : ART_TRACE_EVENTS;
}

static bool map(struct file *f, int fd, uint32_t events)
{
	f->bytes = sizeof(*f->head) + events * sizeof(*f->ring);
	/* Reserved, because a full file system would otherwise end the rank at a store. */
	errno = posix_fallocate(fd, 0, (off_t)f->bytes);
	if (errno)
		return false;
	f->head = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (f->head == MAP_FAILED)
		return false;
	f->ring = (struct art_trace *)(f->head + 1);
	return true;
}

static void fill_head(const struct art_env *e, struct art_trace_head *h, int rank, int size)
{
	*h = (struct art_trace_head){
		.version = ART_TRACE_VERSION,
		.event_bytes = sizeof(struct art_trace),
		.rank = rank,
		.size = size,
		.pid = getpid(),
		.capacity = capacity(size),
		.wall_ns = art__env_wall_ns() - (int64_t)art__env_now(e),
	};
	gethostname(h->host, sizeof(h->host) - 1);
	memcpy(h->magic, ART_TRACE_MAGIC, sizeof(h->magic));
}

int art__trace_open(struct art_env *e, const char *directory, int rank, int size, const char **why)
{
	struct file *f = malloc(sizeof(*f));
	char path[4096];
	int fd = -1, n;

	n = snprintf(path, sizeof(path), "%s/%d.%d.trace", directory, rank, (int)getpid());
	if (f && n > 0 && (size_t)n < sizeof(path))
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !map(f, fd, capacity(size))) {
		*why = f ? strerror(errno) : "out of memory";
		if (fd >= 0)
			close(fd);
		free(f);
		return ART_ERR_INTERNAL;
	}
	close(fd);
	fill_head(e, f->head, rank, size);
	e->own.trace = f;
	e->trace = put;
	return 0;
}

void art__trace_close(struct art_env *e)
{
	struct file *f = e->own.trace;

	if (!f)
		return;
	e->trace = NULL;
	e->own.trace = NULL;
	munmap(f->head, f->bytes);
	free(f);
}
