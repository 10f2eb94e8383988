/* SPDX-License-Identifier: MIT
 *
 * Description: the end of a process is seen in memory that it shares: when it is killed, when it calls exit()
 * or exec(); not when it lets go first, nor while it lives, is stopped or has forked.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "engine/dying.h"
#include "tests/lib/unit.h"

enum end { LIVES, KILLED, EXITS, EXECS, LETS_GO };

static void *life;
static int said[2]; /* a pipe: it holds its life */

static void *hold(void *arg)
{
	art__dying_hold(life);
	if (write(said[1], "", 1) != 1)
		_exit(2);
	if (*(enum end *)arg == LETS_GO) {
		art__dying_let_go(life);
		return NULL;
	}
	for (;;)
		pause();
}

static void child(enum end end)
{
	static char *argv[] = { "true", NULL };
	pthread_t thread;
	char c;

	if (!art__dying_init() || pthread_create(&thread, NULL, hold, &end))
		_exit(2);
	if (end == LETS_GO) {
		pthread_join(thread, NULL);
		_exit(0);
	}
	while (end != LIVES && end != KILLED && read(said[0], &c, 1) != 1)
		;
	if (end == EXITS)
		exit(0);
	if (end == EXECS)
		execvp(*argv, argv);
	for (;;)
		pause();
}

static pid_t start(enum end end)
{
	pid_t pid;
	char c;

	life = mmap(NULL, ART_ARENA_LIFE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(life != MAP_FAILED && pipe(said) == 0);
	CU_ASSERT_FALSE(art__dying_seen(life));
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		child(end);
	if (end == LIVES || end == KILLED)
		CU_ASSERT(read(said[0], &c, 1) == 1);
	return pid;
}

static void finish(pid_t pid)
{
	waitpid(pid, NULL, 0);
	close(said[0]);
	close(said[1]);
	munmap(life, ART_ARENA_LIFE);
}

static void it_is_seen(enum end end)
{
	pid_t pid = start(end);

	CU_ASSERT(art__dying_init());
	if (end == KILLED)
		kill(pid, SIGKILL);
	while (!art__dying_seen(life)) /* ends with the test's time at the latest */
		sched_yield();
	CU_ASSERT(art__dying_sure());
	finish(pid);
}

static void killed(void) { it_is_seen(KILLED); }
static void exits(void) { it_is_seen(EXITS); }
static void executes_another(void) { it_is_seen(EXECS); }

static void who_lets_go_is_not_dying(void)
{
	pid_t pid = start(LETS_GO);

	waitpid(pid, NULL, 0);
	CU_ASSERT_FALSE(art__dying_seen(life));
	finish(pid);
}

static void nor_who_is_stopped(void)
{
	pid_t pid = start(LIVES);

	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	CU_ASSERT_FALSE(art__dying_seen(life));
	kill(pid, SIGCONT);
	kill(pid, SIGKILL);
	finish(pid);
}

/* The child of one that holds has no share in it. */
static void nor_the_child_of_one(void)
{
	static enum end end = LIVES;
	pthread_t thread;
	char c;
	pid_t pid;

	life = mmap(NULL, ART_ARENA_LIFE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(life != MAP_FAILED && pipe(said) == 0);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, hold, &end) == 0);
	CU_ASSERT(read(said[0], &c, 1) == 1);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	CU_ASSERT_FALSE(art__dying_seen(life));
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	CU_ASSERT(art__dying_seen(life)); /* it was looked for in the right place */
	munmap(life, ART_ARENA_LIFE);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "killed", killed },
		{ "exits", exits },
		{ "executes another program", executes_another },
		{ "who lets go is not dying", who_lets_go_is_not_dying },
		{ "nor who is stopped", nor_who_is_stopped },
		{ "nor the child of one that holds", nor_the_child_of_one },
		CU_TEST_INFO_NULL,
	};

	if (!art__dying_init()) {
		puts("no membarrier(2), or another C library: deaths are not seen early");
		return 77;
	}
	return unit_run("dying", tests);
}
