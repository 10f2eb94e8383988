/* SPDX-License-Identifier: MIT
 *
 * Description: the page where ranks note their views: what is read back after a death, also one in the
 * middle of noting; that a rank can write its own page only; which bytes are no view.
 */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/last_view.h"

#define RANKS 100

static void set_of(struct art_set *s, uint32_t first, uint32_t step)
{
	art__set_init(s, RANKS);
	for (uint32_t i = first; i < RANKS; i += step)
		art__set_add(s, i);
}

static bool is(const struct art_last_view *v, uint32_t epoch, const struct art_set *s)
{
	return v->epoch == epoch && v->words == s->words && !memcmp(v->w, s->w, s->words * 8);
}

static void the_last_note_is_read(void)
{
	int fd = art__views_make(RANKS);
	struct art_views all, mine;
	struct art_last_view v;
	struct art_set odd, even;

	CU_ASSERT_FATAL(fd >= 0 && art__views_map(&all, fd, RANKS, -1) &&
			art__views_map(&mine, fd, RANKS, 99));
	set_of(&odd, 1, 2);
	set_of(&even, 0, 2);
	art__views_last(&all, 99, &v);
	CU_ASSERT(v.epoch == 0 && v.words == 0);
	for (uint32_t e = 1; e < 6; e++) {
		art__views_note(&mine, e, e % 2 ? &odd : &even);
		art__views_last(&all, 99, &v);
		CU_ASSERT(is(&v, e, e % 2 ? &odd : &even));
	}
	art__views_last(&all, 98, &v);
	CU_ASSERT(v.epoch == 0);
	art__views_last(&all, RANKS, &v);
	CU_ASSERT(v.epoch == 0);
	art__views_last(&all, -1, &v);
	CU_ASSERT(v.epoch == 0);
	art__views_note(&all, 9, &odd); /* has no page of its own: nothing happens */
	art__views_unmap(&mine);
	art__views_last(&all, 99, &v);
	CU_ASSERT(is(&v, 5, &odd));
	art__views_unmap(&all);
	art__views_last(&all, 99, &v);
	CU_ASSERT(v.epoch == 0);
	close(fd);
}

/* Notes one view after the other until it is killed: whole ones are found, whenever that is. */
static void whoever_is_killed_leaves_a_whole_note(void)
{
	int fd = art__views_make(RANKS);
	struct art_views all;
	struct art_set odd, even;

	CU_ASSERT_FATAL(fd >= 0 && art__views_map(&all, fd, RANKS, -1));
	set_of(&odd, 1, 2);
	set_of(&even, 0, 2);
	for (int round = 0; round < 20; round++) {
		int up[2];
		char byte;
		pid_t pid;
		struct art_last_view v;

		CU_ASSERT_FATAL(pipe(up) == 0);
		pid = fork();
		if (pid == 0) {
			struct art_views mine;

			if (!art__views_map(&mine, fd, RANKS, round) || write(up[1], "", 1) != 1)
				_exit(1);
			for (uint32_t e = 1;; e++)
				art__views_note(&mine, e, e % 2 ? &odd : &even);
		}
		CU_ASSERT_FATAL(pid > 0 && read(up[0], &byte, 1) == 1);
		do /* what is read of the living may be torn, the count only grows */
			art__views_last(&all, round, &v);
		while (v.epoch < 100);
		kill(pid, SIGKILL);
		CU_ASSERT(waitpid(pid, NULL, 0) == pid);
		art__views_last(&all, round, &v);
		CU_ASSERT(v.epoch >= 100 && is(&v, v.epoch, v.epoch % 2 ? &odd : &even));
		close(up[0]);
		close(up[1]);
	}
	art__views_unmap(&all);
	close(fd);
}

static void other_memory_is_refused(void)
{
	struct art_views v;
	int fd = art__views_make(RANKS), plain = memfd_create("plain", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0 && plain >= 0);
	CU_ASSERT(ftruncate(plain, (off_t)RANKS * sysconf(_SC_PAGESIZE)) == 0);
	CU_ASSERT(!art__views_map(&v, plain, RANKS, 0)); /* could be cut off later */
	CU_ASSERT(!art__views_map(&v, fd, RANKS + 1, 0));
	CU_ASSERT(!art__views_map(&v, -1, RANKS, 0));
	CU_ASSERT(v.all == NULL && v.own == NULL);
	CU_ASSERT(ftruncate(fd, 0) < 0);
	close(plain);
	close(fd);
}

static void lengths_and_bits_are_checked(void)
{
	struct art_last_view v = { .epoch = 3, .words = 2, .w = { 5, 6 } }, out;
	uint8_t *exact = malloc(24);

	CU_ASSERT_FATAL(exact != NULL);
	memcpy(exact, &v, 24); /* so that a sanitizer sees reads beyond it */
	CU_ASSERT(art__last_view_read(exact, 24, RANKS, &out) && out.epoch == 3 && out.w[1] == 6);
	free(exact);
	for (size_t len = 0; len < sizeof(v); len++)
		CU_ASSERT(art__last_view_read(&v, len, RANKS, &out) == (len == 24));
	CU_ASSERT(!art__last_view_read(&v, 24, 64, &out));  /* a word too many */
	CU_ASSERT(!art__last_view_read(&v, 24, 200, &out)); /* too few */
	v.w[1] = UINT64_C(1) << 36; /* rank 100 */
	CU_ASSERT(!art__last_view_read(&v, 24, RANKS, &out));
	CU_ASSERT(out.epoch == 0 && out.words == 0);
	v.words = UINT32_MAX;
	CU_ASSERT(!art__last_view_read(&v, 24, RANKS, &out));
	v = (struct art_last_view){ 0 };
	CU_ASSERT(art__last_view_read(&v, 8, RANKS, &out) && out.epoch == 0);
	v.words = 2;
	CU_ASSERT(!art__last_view_read(&v, 24, RANKS, &out));
}

static void the_later_one_stays(void)
{
	struct art_last_view a = { .epoch = 3, .words = 1, .w = { 7 } }, b = { .epoch = 3, .words = 1, .w = { 13 } },
			     c = { .epoch = 2, .words = 1, .w = { 1 } }, d = { .epoch = 4, .words = 1, .w = { 2 } },
			     none = { 0 };

	art__last_view_merge(&a, &b);
	CU_ASSERT(a.epoch == 3 && a.w[0] == 5);
	art__last_view_merge(&a, &c);
	CU_ASSERT(a.epoch == 3 && a.w[0] == 5);
	art__last_view_merge(&a, &none);
	CU_ASSERT(a.epoch == 3 && a.w[0] == 5);
	art__last_view_merge(&a, &d);
	CU_ASSERT(a.epoch == 4 && a.w[0] == 2);
	art__last_view_merge(&none, &b);
	CU_ASSERT(none.epoch == 3 && none.w[0] == 13);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the last note is read", the_last_note_is_read },
		{ "whoever is killed leaves a whole note", whoever_is_killed_leaves_a_whole_note },
		{ "other memory is refused", other_memory_is_refused },
		{ "lengths and bits are checked", lengths_and_bits_are_checked },
		{ "the later one stays", the_later_one_stays },
		CU_TEST_INFO_NULL
	};
	CU_SuiteInfo suites[] = { { "last view", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
		return 1;
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed > 0;
}
