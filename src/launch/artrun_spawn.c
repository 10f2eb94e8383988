/* SPDX-License-Identifier: MIT
 *
 * How a rank starts. Decides what it inherits: descriptors 0, 1, 2 and the launch socket, default
 * signals, the environment and four variables more, and its share of the cores.
 *
 * Every rank leads a process group of its own. So Ctrl-C reaches artrun alone, which passes it on
 * once, whoever sent it; a signal to a rank also reaches what the rank has started (a shell's
 * children); and a rank that signals its group hits neither artrun nor the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/artrun.h"
#include "launch/boot_wire.h"

/* What the parent and the child of one fork share, until the child runs its program. */
struct spawn {
	int rank, in;
	int boot[2], out[2], err[2], report[2]; /* [0] is the parent's end */
	pid_t parent, pid; /* pid: 0, not forked */
};

/* artrun needs five descriptors per rank; a rank may need several per peer, but gets no more than
 * that, for programs that still count descriptors. */
void art__run_raise_files(struct run_job *j)
{
	rlim_t want = 256 + 8 * (rlim_t)(j->n ? j->n : j->opts.ranks);
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		art__run_die("cannot read the limit of open files: %s", strerror(errno));
	j->files = l;
	if (j->files.rlim_cur < want)
		j->files.rlim_cur = want < l.rlim_max ? want : l.rlim_max;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l))
		art__run_die("cannot raise the limit of open files: %s", strerror(errno));
}

static void close_pair(int p[2])
{
	for (int i = 0; i < 2; i++)
		if (p[i] >= 0)
			close(p[i]);
}

static void close_all(struct spawn *s)
{
	close_pair(s->boot);
	close_pair(s->out);
	close_pair(s->err);
	close_pair(s->report);
}

static int open_all(struct spawn *s)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->boot) ||
	    pipe2(s->out, O_CLOEXEC) || pipe2(s->err, O_CLOEXEC) || pipe2(s->report, O_CLOEXEC))
		return -1;
	/* The kernel then says which process sent a message. */
	return setsockopt(s->boot[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
}

static void default_signals(const struct run_job *j)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&j->ignored, sig) != 1)
			signal(sig, SIG_DFL); /* fails for the few that cannot be changed */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A rank that has one CPU only is told so: its service thread then uses the job's others. */
static int tell_cpu(const cpu_set_t *mine)
{
	char number[16];
	int cpu = 0;

	if (CPU_COUNT(mine) != 1)
		return 0;
	while (!CPU_ISSET(cpu, mine))
		cpu++;
	snprintf(number, sizeof(number), "%d", cpu);
	return setenv(ART_BOOT_CPU_VAR, number, 1);
}

/* With a core for every rank each gets its share of them: two ranks that wait for each other then
 * never meet on one core, and a rank's threads keep to its own. Or one core, whole. */
static int bind_rank(const struct run_job *j, int rank)
{
	int cores = j->opts.cores, ranks = j->heres, nth = 0, me = j->rank[rank].nth;
	cpu_set_t all, mine;

	if (j->opts.bind == RUN_BIND_NONE || ranks > cores ||
	    (j->opts.bind == RUN_BIND_SHARE && ranks < 2) || sched_getaffinity(0, sizeof(all), &all))
		return 0;
	CPU_ZERO(&mine);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		if (j->opts.bind == RUN_BIND_CORE ? j->core[cpu] == me :
		    (long)nth * ranks / cores == me)
			CPU_SET(cpu, &mine);
		nth++;
	}
	if (CPU_COUNT(&mine) == 0)
		return 0;
	return sched_setaffinity(0, sizeof(mine), &mine) ? -1 : tell_cpu(&mine);
}

static int child_environment(const struct run_job *j, const struct spawn *s)
{
	char number[16];

	unsetenv(ART_BOOT_CPU_VAR);
	snprintf(number, sizeof(number), "%d", s->boot[1]);
	if (setenv(ART_BOOT_FD_VAR, number, 1))
		return -1;
	snprintf(number, sizeof(number), "%d", s->rank);
	if (setenv("ART_RANK", number, 1))
		return -1;
	snprintf(number, sizeof(number), "%d", j->opts.cores);
	if (setenv("ART_CORES", number, 1))
		return -1;
	snprintf(number, sizeof(number), "%d", j->n);
	return setenv("ART_SIZE", number, 1);
}

static int child_files(const struct run_job *j, const struct spawn *s)
{
	if (dup2(s->in, 0) < 0 || dup2(s->out[1], 1) < 0 || dup2(s->err[1], 2) < 0)
		return -1;
	if (s->in == 0 && fcntl(0, F_SETFD, 0))
		return -1;
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) || fcntl(s->boot[1], F_SETFD, 0))
		return -1;
	return setrlimit(RLIMIT_NOFILE, &j->files);
}

static void __attribute__((noreturn)) child(const struct run_job *j, const struct spawn *s)
{
	int err;

	/* If artrun dies, so does every rank; it may have died before we could say so. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == s->parent &&
	    setpgid(0, 0) == 0 && child_files(j, s) == 0 && child_environment(j, s) == 0 &&
	    bind_rank(j, s->rank) == 0) {
		default_signals(j);
		execvp(j->opts.argv[0], j->opts.argv);
	}
	err = errno;
	while (write(s->report[1], &err, sizeof(err)) < 0 && errno == EINTR)
		;
	_exit(RUN_EXIT_NOENT);
}

/* 0 once the child runs its program, else the error number of what failed in it. */
static int await_exec(struct spawn *s)
{
	int err = 0;
	ssize_t n;

	do
		n = read(s->report[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	return n == sizeof(err) ? err : 0;
}

static void adopt(struct run_job *j, struct spawn *s, pid_t pid, int pidfd)
{
	struct run_rank *r = &j->rank[s->rank];

	r->pid = pid;
	r->pidfd = pidfd;
	r->member_pidfd = -1;
	r->boot_fd = s->boot[0];
	r->dead = false;
	j->alive++;
	if (j->up)
		art__agent_number(j, ART_AGENT_STARTED, r, (int)pid);
	art__run_stream_open(j, s->rank, 0, s->out[0]);
	art__run_stream_open(j, s->rank, 1, s->err[0]);
	s->boot[0] = s->out[0] = s->err[0] = -1;
	art__run_epoll(j, EPOLL_CTL_ADD, r->boot_fd, EPOLLIN, RUN_EV_BOOT, s->rank);
	art__run_epoll(j, EPOLL_CTL_ADD, r->pidfd, EPOLLIN, RUN_EV_CHILD, s->rank);
}

/* Forks rank s->rank. What is the child's alone is closed here at once: no later child is to hold it.
 * 0, or a positive error number. */
static int fork_one(struct run_job *j, struct spawn *s)
{
	if (open_all(s))
		return errno;
	s->pid = fork();
	if (s->pid < 0)
		return errno;
	if (s->pid == 0)
		child(j, s);
	setpgid(s->pid, s->pid); /* also here: true at once, whoever of us comes first */
	close(s->boot[1]);
	close(s->out[1]);
	close(s->err[1]);
	close(s->report[1]);
	s->boot[1] = s->out[1] = s->err[1] = s->report[1] = -1;
	return 0;
}

/* The child runs its program from here on, or is no more. 0, or a positive error number; *@exec tells
 * whether the program itself was at fault. */
static int settle_one(struct run_job *j, struct spawn *s, bool *exec)
{
	int err = await_exec(s), pidfd;

	*exec = err != 0;
	pidfd = err ? -1 : pidfd_open(s->pid, 0);
	if (pidfd < 0) {
		err = err ? err : errno;
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		return err;
	}
	adopt(j, s, s->pid, pidfd);
	return 0;
}

static enum art_agent_fault fault_of(const struct run_job *j, int err, bool exec)
{
	const char *name = j->opts.argv[0];

	if (!exec)
		return ART_AGENT_F_SPAWN;
	return err == ENOENT && strchr(name, '/') && access(name, F_OK) == 0 ? ART_AGENT_F_SCRIPT :
	       ART_AGENT_F_EXEC;
}

void art__run_say_unstarted(struct run_job *j, int rank, int err, enum art_agent_fault fault,
			    const char *where)
{
	const char *name = j->opts.argv[0];
	bool exec = fault == ART_AGENT_F_EXEC || fault == ART_AGENT_F_SCRIPT;

	if (fault == ART_AGENT_F_SPAWN)
		art__run_say(j, "%scannot start rank %d: %s", where, rank, strerror(err));
	else if (fault == ART_AGENT_F_DIRECTORY && j->opts.directory)
		art__run_say(j, "%scannot start rank %d in '%s': %s", where, rank, j->opts.directory,
			     strerror(err));
	else if (fault == ART_AGENT_F_DIRECTORY)
		art__run_say(j, "%scannot start rank %d in this directory: %s; --wdir names another",
			     where, rank, strerror(err));
	else if (fault == ART_AGENT_F_SCRIPT)
		art__run_say(j, "%scannot run '%s': its interpreter was not found", where, name);
	else if (err == ENOENT)
		art__run_say(j, "%sprogram '%s' was not found", where, name);
	else
		art__run_say(j, "%scannot run '%s': %s", where, name, strerror(err));
	art__run_end(j, !exec ? RUN_EXIT_SELF : err == ENOENT ? RUN_EXIT_NOENT : RUN_EXIT_NOEXEC,
		     SIGKILL, 0);
}

/* An agent says it for every rank of its that will not come, the first time with the reason. */
static void not_started(struct run_job *j, int rank, int err, enum art_agent_fault fault)
{
	struct art_agent_unstarted u = { err, fault };

	if (!j->up) {
		art__run_say_unstarted(j, rank, err, fault, "");
		return;
	}
	for (int i = rank; i < j->n; i++) {
		if (!j->rank[i].here)
			continue;
		art__agent_report(j, ART_AGENT_UNSTARTED, &j->rank[i], &u, sizeof(u));
		u.fault = ART_AGENT_F_SILENT;
	}
	art__run_end(j, RUN_EXIT_SELF, SIGKILL, 0);
}

static int next_here(const struct run_job *j)
{
	int i = 0;

	while (i < j->n - 1 && !j->rank[i].here)
		i++;
	return i;
}

static int enter_directory(struct run_job *j)
{
	return j->opts.directory && chdir(j->opts.directory) ? errno : 0;
}

/* All are forked before the first is waited for: they come up side by side. */
static void fork_all(struct run_job *j, struct spawn *s, int in, int null)
{
	int err = 0;

	for (int i = 0; i < j->n && !err; i++) {
		s[i] = (struct spawn){ i, i ? null : in, { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 },
				       getpid(), 0 };
		if (!j->rank[i].here)
			continue;
		err = fork_one(j, &s[i]);
		if (err) {
			s[i].pid = 0;
			close_all(&s[i]);
			not_started(j, i, err, ART_AGENT_F_SPAWN);
		}
	}
}

/* After a failure the rest is ended, and not said to have failed. */
static void settle_all(struct run_job *j, struct spawn *s)
{
	bool exec, failed = j->end_code >= 0;

	for (int i = 0; i < j->n; i++) {
		int err;

		if (s[i].pid <= 0)
			continue;
		if (failed)
			kill(s[i].pid, SIGKILL);
		err = settle_one(j, &s[i], &exec);
		close_all(&s[i]);
		if (err && !failed)
			not_started(j, i, err, fault_of(j, err, exec));
		failed = failed || err;
	}
	if (failed)
		art__run_end(j, RUN_EXIT_SELF, SIGKILL, 0); /* those that were settled since */
}

void art__run_spawn_all(struct run_job *j)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int in = j->rank[0].here ? art__run_feed_open(j) : -1;
	struct spawn *s = calloc((size_t)j->n, sizeof(*s));
	int moved = enter_directory(j);

	j->views_fd = art__views_make(j->n);
	if (null < 0 || !s || j->views_fd < 0 || !art__views_map(&j->views, j->views_fd, j->n, -1))
		art__run_die("cannot prepare the start of ranks: %s", strerror(errno));
	if (moved)
		not_started(j, next_here(j), moved, ART_AGENT_F_DIRECTORY);
	else
		fork_all(j, s, in, null);
	if (in > 0)
		close(in);
	close(null);
	settle_all(j, s);
	free(s);
}
