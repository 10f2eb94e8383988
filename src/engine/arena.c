/* SPDX-License-Identifier: MIT
 *
 * The memory behind base/arena.h. Each part is a memfd of the rank that writes it, without a name that
 * would outlive it; the others open it by way of its process, /proc/PID/fd, which the system lets
 * only the same user do, and map it read-only. It carries a MAC over (job, slot, incarnation), keyed with
 * the job key, so that nothing else is taken for it. It cannot shrink under a reader (sealed), and
 * nobody but its maker, who mapped it before, can map it for writing.
 *
 * Who cannot have a part of another - no /proc, other process namespaces, a process that may not be looked
 * at, a rank that is not to share memory - says so in its own, and nobody uses any of them.
 */
#include "engine/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "art-arena"
/* Of jobs up to this size, the slots are mapped page by page at the start: else each first use of one takes a
 * fault at every rank, and where ranks share a core the others wait for those. What larger ones would pay grows
 * with the square. Room for larger payloads is mapped as it is used: a process that is killed unmaps page by
 * page before anybody is told, and keeps the core meanwhile. */
#define POPULATE_RANKS 16
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static const struct art_arena sizes = {
	.max = ART_ARENA_MAX,
	.large = ART_ARENA_LARGE,
	.slots = ART_ARENA_SLOTS,
	.bulk = ART_ARENA_BULK,
	.narrow = ART_ARENA_NARROW,
	.channels = ART_ARENA_CHANNELS,
	.channel_slots = ART_ARENA_CHANNEL_SLOTS,
	.patience = ART_ARENA_PATIENCE,
	.piece = ART_ARENA_PIECE,
	.hope = ART_ARENA_HOPE,
};

static size_t bytes(void)
{
	return art__arena_bytes(&sizes);
}

/* Without the channels: what there is memory for from the start. */
static size_t first_bytes(void)
{
	return art__arena_world_bytes(&sizes);
}

static void make_ident(const struct art_tp_self *self, int slot, uint64_t incarnation,
		       uint8_t out[ART_ARENA_IDENT])
{
	static const char what[8] = "arena 1";
	uint64_t words[3] = { self->job, (uint64_t)slot, incarnation };
	crypto_generichash_state s;

	crypto_generichash_init(&s, self->key, ART_TP_KEY_BYTES, ART_ARENA_IDENT);
	crypto_generichash_update(&s, (const uint8_t *)what, sizeof(what));
	crypto_generichash_update(&s, (const uint8_t *)words, sizeof(words));
	crypto_generichash_final(&s, out, ART_ARENA_IDENT);
	sodium_memzero(&s, sizeof(s));
}

/* Beyond the limit on the size of files the system would send a signal. */
static bool within_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_FSIZE, &l) < 0 || l.rlim_cur == RLIM_INFINITY || bytes() <= l.rlim_cur)
		return true;
	errno = EFBIG;
	return false;
}

static size_t slot_bytes(void)
{
	return sizeof(struct art_arena_part);
}

/* Where it fails, pages are mapped as they are used. */
static void populate(void *p, size_t len)
{
#ifdef MADV_POPULATE_READ
	if (madvise(p, len, MADV_POPULATE_READ))
		errno = 0;
#else
	(void)p;
	(void)len;
#endif
}

/* All of its pages but those of channels, which room() gets, are there from the start: no store into it can fail.
 * Seals that old kernels do not know are done without. */
static struct art_arena_part *make_part(int fd)
{
	void *p;

	if (!within_limit() || ftruncate(fd, (off_t)bytes()) || fallocate(fd, 0, 0, (off_t)first_bytes()))
		return NULL;
	p = mmap(NULL, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	populate(p, slot_bytes());
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		munmap(p, bytes());
		return NULL;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		errno = 0;
	return p;
}

static bool room(void *self, unsigned channel)
{
	struct art_shared *s = self;
	size_t n = art__arena_channel_bytes(&sizes);

	if (!(s->channels >> channel & 1) &&
	    fallocate(s->fd, 0, (off_t)(first_bytes() + channel * n), (off_t)n))
		return false;
	s->channels |= 1u << channel;
	return true;
}

void art__shared_open(struct art_shared *s, const struct art_env *env, const struct art_tp_self *self)
{
	*s = (struct art_shared){ .arena = sizes, .fd = -1, .slot = self->slot, .size = self->size,
				  .nudges = { .in = -1, .out = -1 } };
	s->part = calloc((size_t)s->size, sizeof(*s->part));
	s->fd = s->part ? memfd_create(NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
	if (s->fd >= 0)
		s->arena.mine = make_part(s->fd);
	if (!s->arena.mine) {
		art__env_log(env, ART_LOG_INFO, "no arena in shared memory: %s",
			     strerror(s->part ? errno : ENOMEM));
		art__shared_close(s);
		return;
	}
	art__nudges_open(&s->nudges, s->arena.mine, s->size);
	make_ident(self, self->slot, self->incarnation, s->arena.mine->ident);
	s->arena.room = room;
	s->arena.self = s;
	s->arena.part = s->part;
	s->part[s->slot] = s->arena.mine;
}

/* The next descriptor of the process that looks like a part, opened here; -1: no more. */
static int find(pid_t pid, DIR *dir)
{
	struct dirent *d;
	char path[64], target[64];

	while ((d = readdir(dir))) {
		struct stat st;
		ssize_t n;
		int fd;

		if (d->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, d->d_name) >= (int)sizeof(path))
			continue;
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strncmp(target, "/memfd:" NAME, strlen("/memfd:" NAME)) != 0)
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_size == (off_t)bytes() &&
		    fcntl(fd, F_GET_SEALS) >= 0 && fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK)
			return fd;
		close(fd);
	}
	return -1;
}

static const struct art_arena_part *map_part(int fd, const uint8_t want[ART_ARENA_IDENT], bool all_slots)
{
	struct art_arena_part *p = mmap(NULL, bytes(), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (all_slots)
		populate(p, slot_bytes());
	if (sodium_memcmp(p->ident, want, ART_ARENA_IDENT) == 0)
		return p;
	munmap(p, bytes());
	return NULL;
}

void art__shared_peer(struct art_shared *s, const struct art_env *env, const struct art_tp_self *self,
		      int slot, pid_t pid, uint64_t incarnation)
{
	uint8_t want[ART_ARENA_IDENT];
	char path[32];
	DIR *dir;
	int fd;

	if (!s->arena.mine || s->missing || s->part[slot])
		return;
	make_ident(self, slot, incarnation, want);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && !s->part[slot] && (fd = find(pid, dir)) >= 0) {
		s->part[slot] = map_part(fd, want, s->size <= POPULATE_RANKS);
		close(fd);
	}
	if (dir)
		closedir(dir);
	if (s->part[slot])
		return;
	s->missing = true;
	art__env_log(env, ART_LOG_INFO, "no arena in shared memory: that of rank %d cannot be had", slot);
}

static int parts(const struct art_shared *s)
{
	int n = 0;

	for (int i = 0; i < s->size; i++)
		n += s->part[i] != NULL;
	return n;
}

void art__shared_ready(struct art_shared *s)
{
	int n = s->arena.mine ? parts(s) : 0;

	if (!s->arena.mine)
		return;
	if (n > ART_ARENA_RANKS || (n == 1 && !s->missing))
		art__shared_close(s);
	else
		atomic_store(&s->arena.mine->state, s->missing ? ART_ARENA_NONE : ART_ARENA_READY);
}

void art__shared_close(struct art_shared *s)
{
	for (int i = 0; s->part && i < s->size; i++)
		if (s->part[i])
			munmap((void *)(uintptr_t)s->part[i], bytes());
	if (s->fd >= 0)
		close(s->fd);
	free(s->part);
	art__nudges_close(&s->nudges);
	*s = (struct art_shared){ .fd = -1, .nudges = { .in = -1, .out = -1 } };
}

size_t art__shared_bytes(const struct art_shared *s)
{
	return s->arena.mine ? first_bytes() + (size_t)__builtin_popcount(s->channels) *
			       art__arena_channel_bytes(&sizes) : 0;
}
