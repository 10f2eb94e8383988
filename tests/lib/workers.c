/* SPDX-License-Identifier: MIT
 *
 * A campaign's worker processes. They share counters only; an assertion or a crash in one of them
 * ends that worker, not the others, and leaves the coordinate of what it was running.
 */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/scenario.h"

/* Seconds of processor time one scenario may take: only an endless loop comes near. */
#define SCENARIO_CPU_S 120

#define RESTARTS 20 /* after as many crashes the rest is left alone */

static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGVTALRM };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))
static struct sigaction before[SIGNALS];
static char crash_line[512];

/* Says the coordinate, then leaves the signal to whoever had it before: the default action, or a
 * sanitizer's report. */
static void on_crash(int sig)
{
	const char *why = sig == SIGVTALRM ? "endless loop: " : "crash: ";
	ssize_t n = write(STDERR_FILENO, why, strlen(why));

	n += write(STDERR_FILENO, crash_line, strlen(crash_line));
	(void)n;
	for (size_t i = 0; i < SIGNALS; i++) {
		if (signals[i] == sig)
			sigaction(sig, &before[i], NULL);
	}
	raise(sig);
}

void scenario_crash_line(const char *fmt, ...)
{
	static const struct itimerval bound = { .it_value = { .tv_sec = SCENARIO_CPU_S } };
	static const struct sigaction ours = { .sa_handler = on_crash };
	static bool installed;
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(crash_line, sizeof(crash_line) - 1, fmt, ap);
	va_end(ap);
	len = strlen(crash_line);
	crash_line[len] = '\n';
	crash_line[len + 1] = '\0';
	setitimer(ITIMER_VIRTUAL, &bound, NULL);
	for (size_t i = 0; i < SIGNALS && !installed; i++)
		sigaction(signals[i], &ours, &before[i]);
	installed = true;
}

void *scenario_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static pid_t start_worker(int (*fn)(void *arg, int worker), void *arg, int worker)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	setvbuf(stdout, NULL, _IOLBF, 0);
	worker = fn(arg, worker);
	fflush(NULL);
	_exit(worker);
}

static int worker_of(const pid_t *pid, int jobs, pid_t ended)
{
	for (int i = 0; i < jobs; i++) {
		if (pid[i] == ended)
			return i;
	}
	return -1;
}

bool scenario_parallel(int jobs, int (*fn)(void *arg, int worker), void *arg)
{
	pid_t pid[SCENARIO_JOBS];
	int running = 0, restarts = 0;
	bool good = true;

	for (int i = 0; i < jobs; i++) {
		pid[i] = start_worker(fn, arg, i);
		running += pid[i] > 0;
		good = good && pid[i] > 0;
	}
	while (running > 0) {
		int status = 0, worker;
		pid_t ended = wait(&status);
		if (ended < 0)
			return false;
		running--;
		if (status == 0)
			continue;
		good = false;
		worker = worker_of(pid, jobs, ended);
		if (worker < 0 || restarts++ >= RESTARTS)
			continue;
		pid[worker] = start_worker(fn, arg, worker);
		running += pid[worker] > 0;
	}
	return good;
}

int scenario_cpus(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	n = CPU_COUNT(&set);
	return n < SCENARIO_JOBS ? n : SCENARIO_JOBS;
}
