/* SPDX-License-Identifier: MIT
 *
 * Description: which cores no rank needs and who may use them, on machines that hwloc describes in a line: several
 * packages, hardware threads, a control group's share, quotas, ranks bound in several ways, more ranks than cores,
 * one core. No core goes to two, and all is dealt out.
 */
#include <art/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"
#include "topo/spare.h"

#define RANKS 16
#define MOST 4

/* Threads 2k and 2k+1 are core k's. */
#define TWO_PACKAGES "package:2 [numa] core:4 pu:2"
#define FLAT "package:1 [numa] core:8 pu:1"

static struct art_pu pu[CPU_SETSIZE];
static cpu_set_t rank[RANKS];
static struct art_spare s;
static bool without_hwloc;

static void set_of(cpu_set_t *set, int from, int to)
{
	CPU_ZERO(set);
	for (int cpu = from; cpu <= to; cpu++)
		CPU_SET(cpu, set);
}

/* Of @what only CPUs from @from to @to may be used, by @ranks that may run on all of these. */
static void machine(const char *what, int from, int to, int ranks)
{
	cpu_set_t all;

	set_of(&all, from, to);
	s = (struct art_spare){ .pu = pu, .npu = art__topo_pus(what, &all, pu, CPU_SETSIZE), .rank = rank,
				.ranks = ranks };
	CU_ASSERT_FATAL(s.npu > 0 && ranks <= RANKS);
	for (int r = 0; r < ranks; r++)
		rank[r] = all;
}

/* "1: 4 6" and so on, of all ranks, in @text. */
static const char *dealt(int most, bool siblings)
{
	static char text[512];
	int at = 0, cpu[CPU_SETSIZE];

	for (s.me = 0; s.me < s.ranks; s.me++) {
		int n = art__topo_spare(&s, most, siblings, cpu);

		CU_ASSERT(n >= 0 && n <= most);
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%d:", s.me ? ", " : "", s.me);
		for (int i = 0; i < n; i++)
			at += snprintf(text + at, sizeof(text) - (size_t)at, " %d", cpu[i]);
	}
	return text;
}

static void is(int most, bool siblings, const char *want)
{
	const char *got = dealt(most, siblings);

	if (strcmp(got, want))
		printf("\n    got \"%s\", not \"%s\"\n", got, want);
	CU_ASSERT(strcmp(got, want) == 0);
}

static void machines_are_understood(void)
{
	cpu_set_t all;

	set_of(&all, 0, 63);
	CU_ASSERT_EQUAL_FATAL(art__topo_pus(TWO_PACKAGES, &all, pu, CPU_SETSIZE), 16);
	for (int i = 0; i < 16; i++)
		CU_ASSERT(pu[i].cpu == i && pu[i].core == i / 2 && pu[i].node == i / 8);
	CU_ASSERT_EQUAL(art__topo_pus(TWO_PACKAGES, &all, pu, 3), 3);
	set_of(&all, 6, 9);
	CU_ASSERT_EQUAL(art__topo_pus(TWO_PACKAGES, &all, pu, CPU_SETSIZE), 4);
	CU_ASSERT(pu[0].core == 3 && pu[0].node == 0 && pu[3].core == 4 && pu[3].node == 1);
	CU_ASSERT_EQUAL(art__topo_pus("this is no machine", &all, pu, CPU_SETSIZE), ART_ERR_INTERNAL);
}

/* The one that the test runs on. */
static void this_machine_is_understood(void)
{
	cpu_set_t mine;
	int n;

	CU_ASSERT_FATAL(sched_getaffinity(0, sizeof(mine), &mine) == 0);
	n = art__topo_pus(NULL, &mine, pu, CPU_SETSIZE);
	CU_ASSERT_EQUAL(n, CPU_COUNT(&mine));
	for (int i = 0; i < n; i++)
		CU_ASSERT(CPU_ISSET(pu[i].cpu, &mine));
}

static void what_is_left_is_dealt_out(void)
{
	machine(FLAT, 0, 7, 1);
	is(MOST, false, "0: 1 2 3 4");
	is(16, false, "0: 1 2 3 4 5 6 7");
	is(1, false, "0: 1");
	machine(FLAT, 0, 7, 3);
	is(MOST, false, "0: 3 6, 1: 4 7, 2: 5");
	machine(FLAT, 0, 7, 7);
	is(MOST, false, "0: 7, 1:, 2:, 3:, 4:, 5:, 6:");
}

static void nothing_is_left(void)
{
	machine(FLAT, 0, 7, 8);
	is(MOST, false, "0:, 1:, 2:, 3:, 4:, 5:, 6:, 7:");
	machine(FLAT, 0, 3, 6);
	is(MOST, false, "0:, 1:, 2:, 3:, 4:, 5:");
	machine(FLAT, 5, 5, 1);
	is(MOST, false, "0:");
	machine("package:1 [numa] core:1 pu:2", 0, 1, 1);
	is(MOST, false, "0:");
}

/* The ranks' cores are 0 to 3, as long as nobody has said otherwise. */
static void near_ones_come_first(void)
{
	machine(TWO_PACKAGES, 0, 15, 2);
	is(MOST, false, "0: 4 8 12, 1: 6 10 14");
	for (int r = 0; r < 2; r++) /* one in each package */
		set_of(&rank[r], 8 * r, 8 * r + 7);
	is(MOST, false, "0: 2 4 6, 1: 10 12 14");
	set_of(&rank[0], 0, 15); /* that of the first stays its node */
	is(MOST, false, "0: 2 4 6, 1: 10 12 14");
}

static void other_hardware_threads_come_last(void)
{
	machine(TWO_PACKAGES, 0, 3, 1);
	is(MOST, false, "0: 2");
	is(MOST, true, "0: 2 1 3");
	machine(TWO_PACKAGES, 0, 3, 2);
	is(MOST, true, "0: 1, 1: 3");
}

static void a_control_group_is_respected(void)
{
	machine(TWO_PACKAGES, 6, 11, 2);
	is(MOST, false, "0:, 1: 10");
	machine(FLAT, 0, 7, 2);
	s.cores = 4;
	is(MOST, false, "0: 2, 1: 3");
	s.cores = 2;
	is(MOST, false, "0:, 1:");
	s.cores = 1;
	is(MOST, false, "0:, 1:");
}

static void who_is_bound_to_a_core(void)
{
	machine(FLAT, 0, 7, 3);
	for (int r = 0; r < 3; r++)
		set_of(&rank[r], 2 * r + 1, 2 * r + 1);
	is(MOST, false, "0: 0 6, 1: 2 7, 2: 4");
	set_of(&rank[2], 4, 7); /* and one to a share, which is its own */
	is(MOST, false, "0: 0, 1: 2, 2: 5 6 7");
}

static void who_has_a_share_keeps_to_it(void)
{
	machine(FLAT, 0, 7, 2);
	set_of(&rank[0], 0, 3);
	set_of(&rank[1], 4, 7);
	is(MOST, false, "0: 1 2 3, 1: 5 6 7");
	CPU_ZERO(&rank[1]); /* not known: it has some core, and no more */
	is(MOST, false, "0: 2 3, 1:");
	set_of(&rank[1], 0, 3);
	CPU_ZERO(&rank[0]);
	is(MOST, false, "0:, 1: 2 3");
}

/* Two on one core, of whom one has no place at all. */
static void two_on_one_core(void)
{
	machine(FLAT, 0, 3, 2);
	set_of(&rank[0], 1, 1);
	set_of(&rank[1], 1, 1);
	is(MOST, false, "0: 0 2 3, 1:");
}

/* Whatever the binding: at most once each, never a core that a rank is bound to. */
static void no_core_goes_to_two(void)
{
	for (unsigned seed = 1; seed <= 300; seed++) {
		cpu_set_t given, bound;
		int cpu[MOST];

		srand(seed);
		machine(seed % 2 ? TWO_PACKAGES : FLAT, 0, seed % 2 ? 15 : 7, 1 + rand() % RANKS);
		CPU_ZERO(&given);
		CPU_ZERO(&bound);
		for (int r = 0; r < s.ranks; r++) {
			int from = rand() % 8, len = rand() % 3 ? rand() % 8 : 0;

			set_of(&rank[r], from, from + len < 8 ? from + len : 7);
			if (CPU_COUNT(&rank[r]) == 1)
				CPU_OR(&bound, &bound, &rank[r]);
		}
		for (s.me = 0; s.me < s.ranks; s.me++)
			for (int n = art__topo_spare(&s, MOST, false, cpu); n > 0; n--) {
				CU_ASSERT(!CPU_ISSET(cpu[n - 1], &given) && !CPU_ISSET(cpu[n - 1], &bound));
				CPU_SET(cpu[n - 1], &given);
			}
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "machines are understood", machines_are_understood },
		{ "this machine is understood", this_machine_is_understood },
		{ "what is left is dealt out", what_is_left_is_dealt_out },
		{ "nothing is left", nothing_is_left },
		{ "near ones come first", near_ones_come_first },
		{ "other hardware threads come last", other_hardware_threads_come_last },
		{ "a control group is respected", a_control_group_is_respected },
		{ "who is bound to a core", who_is_bound_to_a_core },
		{ "who has a share keeps to it", who_has_a_share_keeps_to_it },
		{ "two on one core", two_on_one_core },
		{ "no core goes to two", no_core_goes_to_two },
		CU_TEST_INFO_NULL,
	};
	cpu_set_t all;

	set_of(&all, 0, 7);
	without_hwloc = art__topo_pus(FLAT, &all, pu, CPU_SETSIZE) == ART_ERR_ARG;
	if (without_hwloc) {
		printf("built without hwloc: there are no machines to try\n");
		return 77;
	}
	return unit_run("spare", tests);
}
