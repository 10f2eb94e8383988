/* SPDX-License-Identifier: MIT
 *
 * Description: the parts of the arena find each other, and nothing else is taken for one: not what has
 * another key, place or life, not what only looks like one. Where one cannot be had its reader says so.
 * Nobody can write into another's; no descriptor is left behind.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "engine/arena.h"
#include "tests/lib/unit.h"

static struct art_env env;

static const struct art_arena sizes = { .max = ART_ARENA_MAX, .large = ART_ARENA_LARGE, .bulk = ART_ARENA_BULK,
					.narrow = ART_ARENA_NARROW };

static struct art_tp_self self_of(int slot, uint64_t incarnation)
{
	struct art_tp_self s = { .job = 7, .slot = slot, .size = 2, .incarnation = incarnation };

	memset(s.key, 0x5a, sizeof(s.key));
	return s;
}

static uint32_t state_of(const struct art_arena_part *p)
{
	return atomic_load(&p->state);
}

/* Both ranks are this process: each finds the right one of two. */
static void they_find_each_other(void)
{
	struct art_tp_self a = self_of(0, 11), b = self_of(1, 12);
	struct art_shared s, t;
	int before = unit_open_fds();

	art__shared_open(&s, &env, &a);
	art__shared_open(&t, &env, &b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.mine);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.arena.mine);
	CU_ASSERT_EQUAL(state_of(s.arena.mine), ART_ARENA_UNKNOWN);
	art__shared_peer(&s, &env, &a, 1, getpid(), 12);
	art__shared_peer(&t, &env, &b, 0, getpid(), 11);
	art__shared_ready(&s);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.part[1]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.arena.part[0]);
	CU_ASSERT_EQUAL(state_of(t.arena.part[0]), ART_ARENA_READY);
	CU_ASSERT_EQUAL(state_of(s.arena.part[1]), ART_ARENA_UNKNOWN);
	atomic_store(&t.arena.mine->slot[3].flag, 99);
	CU_ASSERT_EQUAL(atomic_load(&s.arena.part[1]->slot[3].flag), 99);
	CU_ASSERT_EQUAL(mprotect((void *)(uintptr_t)s.arena.part[1], 4096, PROT_READ | PROT_WRITE), -1);
	art__shared_close(&t);
	CU_ASSERT_EQUAL(atomic_load(&s.arena.part[1]->slot[3].flag), 99); /* as after a death */
	art__shared_close(&s);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void a_stranger_is_none(struct art_tp_self *other, int slot, uint64_t incarnation, pid_t pid)
{
	struct art_tp_self a = self_of(0, 11);
	struct art_shared s, t;
	int before = unit_open_fds();

	art__shared_open(&t, &env, other);
	art__shared_open(&s, &env, &a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.mine);
	art__shared_peer(&s, &env, &a, slot, pid, incarnation);
	art__shared_ready(&s);
	CU_ASSERT_PTR_NULL(s.arena.part[slot]);
	CU_ASSERT_EQUAL(state_of(s.arena.mine), ART_ARENA_NONE);
	art__shared_close(&s);
	art__shared_close(&t);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void strangers(void)
{
	struct art_tp_self b = self_of(1, 12);

	a_stranger_is_none(&b, 1, 13, getpid()); /* another life of the slot */
	a_stranger_is_none(&b, 1, 12, getppid()); /* not that process */
	b.key[5] ^= 1;
	a_stranger_is_none(&b, 1, 12, getpid());
	b = self_of(1, 12);
	b.job++;
	a_stranger_is_none(&b, 1, 12, getpid());
}

/* Memory under the right name: unsealed, of another size, empty, and a file that is none. */
static void look_alikes(void)
{
	struct art_tp_self a = self_of(0, 11), b = self_of(1, 12);
	size_t bytes = art__arena_bytes(&sizes);
	struct art_shared s, t;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = memfd_create("art-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CU_ASSERT(fd[i] >= 0);
		CU_ASSERT_EQUAL(ftruncate(fd[i], (off_t)(i == 1 ? bytes - 64 : bytes)), 0);
		if (i)
			CU_ASSERT_EQUAL(fcntl(fd[i], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	}
	art__shared_open(&s, &env, &a);
	art__shared_open(&t, &env, &b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.arena.mine);
	art__shared_peer(&s, &env, &a, 1, getpid(), 12);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.part[1]);
	CU_ASSERT_EQUAL(memcmp(s.arena.part[1]->ident, t.arena.mine->ident, ART_ARENA_IDENT), 0);
	art__shared_close(&s);
	art__shared_close(&t);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* The system would kill who writes a larger file. */
static void a_limit_on_files(void)
{
	struct art_tp_self a = self_of(0, 11);
	struct rlimit old, small;
	struct art_shared s;
	int before = unit_open_fds();

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	art__shared_open(&s, &env, &a);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	CU_ASSERT_PTR_NULL(s.arena.mine);
	art__shared_peer(&s, &env, &a, 1, getpid(), 12); /* nothing to do */
	art__shared_ready(&s);
	art__shared_close(&s);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

/* Ranks of one host share it, wherever others are; who is alone does not keep what nobody uses. */
static void none_that_nobody_uses(void)
{
	struct art_tp_self a = self_of(0, 11), b = self_of(1, 12);
	struct art_shared s, t;
	int before = unit_open_fds();

	a.size = b.size = 3; /* the third is elsewhere */
	art__shared_open(&s, &env, &a);
	art__shared_open(&t, &env, &b);
	art__shared_peer(&s, &env, &a, 1, getpid(), 12);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.part[1]);
	art__shared_ready(&s);
	CU_ASSERT_EQUAL(state_of(s.arena.mine), ART_ARENA_READY);
	CU_ASSERT_PTR_NULL(s.arena.part[2]);
	art__shared_ready(&t); /* was told of nobody */
	CU_ASSERT_PTR_NULL(t.arena.mine);
	art__shared_close(&t); /* does no harm */
	art__shared_close(&s);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static size_t blocks(const struct art_shared *s)
{
	struct stat st;

	CU_ASSERT_EQUAL(fstat(s->fd, &st), 0);
	return (size_t)st.st_blocks * 512;
}

/* Memory for a channel is there once it is wanted, not before, and then all of it. */
static void channels_have_memory_when_used(void)
{
	struct art_tp_self a = self_of(0, 11);
	size_t each = art__arena_channel_bytes(&sizes), page = 4096, none, first;
	struct art_arena_room room;
	struct art_shared s;

	art__shared_open(&s, &env, &a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.arena.mine);
	none = blocks(&s);
	first = art__shared_bytes(&s);
	CU_ASSERT(none <= first + page);
	for (unsigned k = 0; k < ART_ARENA_CHANNELS; k++) {
		room = art__arena_channel(&s.arena, k);
		CU_ASSERT(s.arena.room(s.arena.self, k));
		CU_ASSERT(s.arena.room(s.arena.self, k)); /* again: it is there */
		CU_ASSERT(blocks(&s) + page >= none + (k + 1) * each);
		CU_ASSERT_EQUAL(art__shared_bytes(&s), first + (k + 1) * each);
		CU_ASSERT_EQUAL(room.out + room.bulk / 2 - room.slot, each);
		memset((uint8_t *)s.arena.mine + room.slot, 1, each);
	}
	CU_ASSERT_EQUAL(room.slot + each, art__arena_bytes(&sizes));
	art__shared_close(&s);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "they find each other", they_find_each_other },
		{ "strangers", strangers },
		{ "look-alikes", look_alikes },
		{ "a limit on files", a_limit_on_files },
		{ "none that nobody uses", none_that_nobody_uses },
		{ "channels have memory when used", channels_have_memory_when_used },
		CU_TEST_INFO_NULL,
	};

	art__env_posix(&env, "test_arena", ART_LOG_ERROR);
	return unit_run("arena", tests);
}
