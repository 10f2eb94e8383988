/* SPDX-License-Identifier: MIT
 *
 * Which connections are opened ahead (src/core/links.c): in a small job every pair once, by one of the
 * two; in a larger one control to the proposers; none twice, none to who is no member, no clock needed.
 * Between two that have each other's part of the arena, control only.
 */
#include <string.h>

#include <CUnit/Basic.h>

#include "base/arena.h"
#include "core/links.h"

#define RANKS 80

static int opened[2][RANKS][RANKS]; /* [channel][by][to] */
static int by;

static void count(void *self, enum art_chan chan, int to)
{
	(void)self;
	opened[chan][by][to]++;
}

static struct art_port port = {.open = count};

/* Every rank's turn, until it wants no more. The last time that one was wanted. */
static uint64_t run(int size, const struct art_set *members, bool again)
{
	uint64_t last = 0;

	memset(opened, 0, sizeof(opened));
	for (by = 0; by < size; by++) {
		struct art_links l;

		if (!art__set_has(members, (uint32_t)by))
			continue;
		art__links_init(&l, &port, by, size, 1000);
		if (again) {
			l.at_ns = ART_NEVER;
			art__links_again(&l, 1000);
		}
		while (l.at_ns != ART_NEVER) {
			last = l.at_ns > last ? l.at_ns : last;
			art__links_tick(&l, members, l.at_ns - 1); /* too early: nothing */
			art__links_tick(&l, members, l.at_ns);
		}
	}
	return last;
}

static void every_pair_once(void)
{
	struct art_set all;

	for (int n = 1; n <= ART_LINKS_ALL; n++) {
		memset(&all, 0, sizeof(all));
		art__set_fill(&all, (uint32_t)n);
		CU_ASSERT(run(n, &all, false) < 40 * ART_NS_PER_MS);
		for (int c = 0; c < 2; c++)
			for (int a = 0; a < n; a++)
				for (int b = 0; b < n; b++)
					CU_ASSERT_EQUAL(opened[c][a][b] + opened[c][b][a], a != b);
	}
}

/* Of four: 0 and 1 have all parts, 2 cannot have them, 3 has not said yet. @far: or it is elsewhere. */
static void none_for_what_is_shared_by(bool far)
{
	const int n = 4;
	static const uint32_t state[] = {ART_ARENA_READY, ART_ARENA_READY, ART_ARENA_NONE, ART_ARENA_UNKNOWN};
	static struct art_arena_part memory[4];
	const struct art_arena_part *part[4];
	struct art_arena arena = {.part = part};
	struct art_set all;

	memset(&all, 0, sizeof(all));
	art__set_fill(&all, (uint32_t)n);
	for (int i = 0; i < n; i++) {
		atomic_store(&memory[i].state, state[i]);
		part[i] = i == 3 && far ? NULL : &memory[i];
	}
	port.arena = &arena;
	memset(opened, 0, sizeof(opened));
	for (by = 0; by < n; by++) {
		struct art_links l;

		arena.mine = &memory[by];
		for (art__links_init(&l, &port, by, n, 0); l.at_ns != ART_NEVER;)
			art__links_tick(&l, &all, l.at_ns);
	}
	port.arena = NULL;
	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++) {
			bool shared = a < 2 && b < 2 && !far;

			CU_ASSERT_EQUAL(opened[ART_CHAN_CTL][a][b] + opened[ART_CHAN_CTL][b][a], a != b);
			CU_ASSERT_EQUAL(opened[ART_CHAN_DATA][a][b] + opened[ART_CHAN_DATA][b][a],
					a != b && !shared);
		}
}

static void none_for_what_is_shared(void)
{
	none_for_what_is_shared_by(false);
	none_for_what_is_shared_by(true);
}

static void the_star(void)
{
	const int n = ART_LINKS_STAR;
	struct art_set some;

	memset(&some, 0, sizeof(some));
	art__set_fill(&some, (uint32_t)n);
	art__set_del(&some, 0);
	art__set_del(&some, 2);
	for (int again = 0; again < 2; again++) {
		run(n, &some, again);
		for (int a = 0; a < n; a++)
			for (int b = 0; b < n; b++) {
				bool proposes = b == 1 || b == 3 || b == 4;
				bool wants = proposes && b < a && a != 2;

				CU_ASSERT_EQUAL(opened[ART_CHAN_CTL][a][b], wants);
				CU_ASSERT_EQUAL(opened[ART_CHAN_DATA][a][b], 0);
			}
	}
}

static void none(void)
{
	static const struct art_port poor;
	struct art_links l;

	art__links_init(&l, &port, 3, ART_LINKS_STAR + 1, 0);
	CU_ASSERT_EQUAL(l.at_ns, ART_NEVER);
	art__links_again(&l, 0);
	CU_ASSERT_EQUAL(l.at_ns, ART_NEVER);
	art__links_init(&l, &poor, 1, 4, 0);
	CU_ASSERT_EQUAL(l.at_ns, ART_NEVER);
	art__links_init(&l, &port, 0, 1, 0);
	CU_ASSERT_EQUAL(l.at_ns, ART_NEVER);
}

int main(void)
{
	CU_pSuite s;
	int bad;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite("links", NULL, NULL);
	if (!s || !CU_add_test(s, "a small job: every pair once", every_pair_once) ||
	    !CU_add_test(s, "what is shared needs no data", none_for_what_is_shared) ||
	    !CU_add_test(s, "a larger one: control to the proposers", the_star) ||
	    !CU_add_test(s, "a large one, or no way to open: none", none))
		return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	bad = CU_get_number_of_failures() != 0;
	CU_cleanup_registry();
	return bad;
}
