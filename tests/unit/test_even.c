/* SPDX-License-Identifier: MIT
 *
 * Description: where ranks share cores the lowest of a fuller one goes to the emptiest that it may run on, is
 * bound to nothing afterwards, also when the system refuses, and tries less often if that does not last; who sleeps or
 * has died does not count. Needs two CPUs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/arena.h"
#include "engine/dying.h"
#include "engine/even.h"
#include "tests/lib/unit.h"

enum { RANKS = 6, ME = 2 };

static struct art_arena_part *memory[RANKS];
static const struct art_arena_part *part[RANKS];
static cpu_set_t all;
static int here, other; /* CPUs: this process is on the one, and may run on the other */

static int refused = INT_MAX; /* so many calls from now the system refuses one */

/* Stands before the C library's. */
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *cpus)
{
	int (*real)(pid_t, size_t, const cpu_set_t *);

	*(void **)&real = dlsym(RTLD_NEXT, "sched_setaffinity");
	if (refused-- != 0)
		return real(pid, size, cpus);
	errno = EINVAL;
	return -1;
}

static void be_at(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void put(int rank, int cpu)
{
	atomic_store(&memory[rank]->cpu, (uint32_t)cpu + 1);
	atomic_store(&memory[rank]->doze, 0);
}

/* This rank is bound to `here`: it may go nowhere. Rank @first and those above it run there, too. */
static struct art_shared crowd_from(int first)
{
	struct art_shared s = { .slot = ME, .size = RANKS, .part = part };

	s.arena.mine = memory[ME];
	be_at(here);
	for (int i = 0; i < RANKS; i++) {
		memset(memory[i]->life, 0, sizeof(memory[i]->life));
		put(i, i < first ? other : here);
	}
	return s;
}

/* One look, by a thread that may run anywhere and is at `here`. The CPU that it says then; its mask is as before. */
static int looks(struct art_even *e, struct art_shared *s)
{
	cpu_set_t after;

	/* Between the two the kernel may move it: then it is tried again. */
	do {
		be_at(here);
		CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(all), &all), 0);
	} while (sched_getcpu() != here);
	art__even_look(e, s, RANKS);
	CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof(after), &after), 0);
	CU_ASSERT(CPU_EQUAL(&after, &all));
	return (int)atomic_load(&memory[ME]->cpu) - 1;
}

static void the_lowest_goes_over(void)
{
	struct art_shared s = crowd_from(ME); /* 2 there, 4 here */
	struct art_even e = { 0 };

	CU_ASSERT_EQUAL(looks(&e, &s), other);
}

static void nobody_else_does(void)
{
	struct art_shared s = crowd_from(ME - 1); /* 1 there, 5 here, but another is lower */
	struct art_even e = { 0 };

	CU_ASSERT_EQUAL(looks(&e, &s), here);
}

static void one_more_is_even(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };

	atomic_store(&memory[RANKS - 1]->cpu, 0); /* has not said anything yet: 2 there, 3 here */
	CU_ASSERT_EQUAL(looks(&e, &s), here);
}

static void who_sleeps_does_not_count(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };

	atomic_store(&memory[RANKS - 1]->doze, 3);
	CU_ASSERT_EQUAL(looks(&e, &s), here);
}

/* As the kernel marks it. */
static void dies(int rank)
{
	uint32_t died = FUTEX_OWNER_DIED;

	memcpy(memory[rank]->life, &died, sizeof(died));
	CU_ASSERT_FATAL(art__dying_seen(memory[rank]->life));
}

static void nor_does_who_has_died(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };

	dies(RANKS - 1);
	CU_ASSERT_EQUAL(looks(&e, &s), here);
}

/* Its service thread writes it while this one looks. */
static void its_own_word_does_not_count(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };

	dies(ME);
	CU_ASSERT_EQUAL(looks(&e, &s), other);
}

/* Refused the one CPU it stays; refused what it had, it may run wherever the system lets it. */
static void refusals(void)
{
	for (int i = 0; i < 2; i++) {
		struct art_shared s = crowd_from(ME);
		struct art_even e = { 0 };
		cpu_set_t after;

		do {
			be_at(here);
			CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(all), &all), 0);
		} while (sched_getcpu() != here);
		refused = i;
		art__even_look(&e, &s, RANKS);
		CU_ASSERT(refused < 0);
		refused = INT_MAX;
		CU_ASSERT_EQUAL(atomic_load(&memory[ME]->cpu), (uint32_t)(i ? other : here) + 1);
		CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof(after), &after), 0);
		CU_ASSERT(CPU_ISSET(here, &after) && CPU_ISSET(other, &after));
	}
}

static void who_is_bound_stays(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };
	cpu_set_t after;

	be_at(here);
	art__even_look(&e, &s, RANKS);
	CU_ASSERT_EQUAL(atomic_load(&memory[ME]->cpu), (uint32_t)here + 1);
	CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof(after), &after), 0);
	CU_ASSERT(CPU_COUNT(&after) == 1 && CPU_ISSET(here, &after));
}

static void in_vain_less_often(void)
{
	struct art_shared s = crowd_from(ME);
	struct art_even e = { 0 };
	uint32_t first, last = 0;

	looks(&e, &s);
	first = e.every;
	for (int i = 0; i < 20; i++) {
		looks(&e, &s);
		CU_ASSERT(e.every >= last);
		last = e.every;
	}
	CU_ASSERT(last >= 16 * first);
	put(0, here);
	put(1, here);
	for (int i = ME; i < RANKS; i++)
		put(i, other);
	for (int i = 0; i < 40; i++) /* 3 here now, 3 there */
		looks(&e, &s);
	CU_ASSERT(e.every <= first);
}

static void turns_are_counted(void)
{
	struct art_shared s = crowd_from(RANKS); /* nobody says `here` */
	struct art_even e = { 0 };
	unsigned said = 0;

	be_at(here);
	for (int i = 0; i < 1000; i++) {
		atomic_store(&memory[ME]->cpu, 0);
		art__even_turn(&e, &s, RANKS);
		said += atomic_load(&memory[ME]->cpu) != 0;
	}
	CU_ASSERT(said >= 2 && said <= 10);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the lowest goes over", the_lowest_goes_over },
		{ "nobody else does", nobody_else_does },
		{ "one more is even", one_more_is_even },
		{ "who sleeps does not count", who_sleeps_does_not_count },
		{ "nor does who has died", nor_does_who_has_died },
		{ "its own word does not count", its_own_word_does_not_count },
		{ "refusals", refusals },
		{ "who is bound stays", who_is_bound_stays },
		{ "in vain, less often", in_vain_less_often },
		{ "turns are counted", turns_are_counted },
		CU_TEST_INFO_NULL,
	};

	if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < 2) {
		puts("needs two CPUs");
		return 77;
	}
	for (int i = CPU_SETSIZE - 1; i >= 0; i--) {
		if (!CPU_ISSET(i, &all))
			continue;
		other = here;
		here = i;
	}
	CPU_ZERO(&all);
	CPU_SET(here, &all);
	CPU_SET(other, &all);
	for (int i = 0; i < RANKS; i++) {
		memory[i] = aligned_alloc(128, (sizeof(*memory[i]) + 127) / 128 * 128);
		if (!memory[i])
			return 1;
		memset(memory[i], 0, sizeof(*memory[i]));
		part[i] = memory[i];
	}
	return unit_run("even", tests);
}
