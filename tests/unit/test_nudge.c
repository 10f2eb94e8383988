/* SPDX-License-Identifier: MIT
 *
 * Description: nudges arrive and are forgotten; a full pipe wakes as well; one who is gone takes nobody with
 * him; another process' descriptor is not written to; descriptors are given back.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/nudge.h"
#include "tests/lib/unit.h"

static struct art_arena_part *part; /* of rank 1 */
static struct art_nudges mine, theirs;

static void open_both(void)
{
	static struct art_arena_part none;

	memset(part, 0, sizeof(*part));
	art__nudges_open(&mine, &none, 2);
	art__nudges_open(&theirs, part, 2);
	CU_ASSERT_FATAL(mine.in >= 0 && theirs.in >= 0 && part->nudge_pipe != 0);
}

static void close_both(void)
{
	art__nudges_close(&mine);
	art__nudges_close(&theirs);
}

static bool comes(const struct art_nudges *n)
{
	struct pollfd fd = { .fd = n->in, .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void a_nudge_comes(void)
{
	int before = unit_open_fds();

	open_both();
	CU_ASSERT_FALSE(comes(&theirs));
	for (int i = 0; i < 3; i++) {
		CU_ASSERT(art__nudge(&mine, 1, getpid(), part));
		CU_ASSERT(comes(&theirs));
		art__nudges_take(&theirs);
		CU_ASSERT_FALSE(comes(&theirs));
	}
	CU_ASSERT_FALSE(comes(&mine));
	close_both();
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void a_full_pipe_wakes(void)
{
	open_both();
	for (int i = 0; i < 100000; i++)
		if (!art__nudge(&mine, 1, getpid(), part)) {
			CU_FAIL("a nudge is lost");
			break;
		}
	CU_ASSERT(comes(&theirs));
	close_both();
}

static void who_is_gone_takes_nobody_along(void)
{
	open_both();
	CU_ASSERT(art__nudge(&mine, 1, getpid(), part));
	art__nudges_close(&theirs);
	signal(SIGPIPE, SIG_DFL);
	CU_ASSERT(art__nudge(&mine, 1, getpid(), part));
	art__nudges_close(&mine);
}

/* The number of a process or descriptor is another's meanwhile. */
static void others_are_not_written_to(void)
{
	char c;
	int fd[2];

	open_both();
	CU_ASSERT_FATAL(pipe2(fd, O_NONBLOCK) == 0);
	part->nudge_fd = fd[1];
	CU_ASSERT_FALSE(art__nudge(&mine, 1, getpid(), part));
	CU_ASSERT(read(fd[0], &c, 1) < 0);
	CU_ASSERT_FALSE(art__nudge(&mine, 1, getpid(), part)); /* nor is it tried again */
	CU_ASSERT_FALSE(art__nudge(&mine, 0, getpid(), NULL));
	CU_ASSERT_FALSE(art__nudge(&mine, 0, 0, part));
	part->nudge_fd = 9999;
	CU_ASSERT_FALSE(art__nudge(&mine, 0, getpid(), part));
	close(fd[0]);
	close(fd[1]);
	close_both();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a nudge comes", a_nudge_comes },
		{ "a full pipe wakes", a_full_pipe_wakes },
		{ "who is gone takes nobody along", who_is_gone_takes_nobody_along },
		{ "others are not written to", others_are_not_written_to },
		CU_TEST_INFO_NULL,
	};

	part = aligned_alloc(_Alignof(struct art_arena_part), sizeof(*part));
	if (!part)
		return 1;
	return unit_run("nudge", tests);
}
