/* SPDX-License-Identifier: MIT
 *
 * Signals that come in and signals that go out, and the deadlines of ending a job: asked to end
 * (a signal, the timeout), ranks get the signal and 2 s; a second signal or the end of the 2 s
 * brings SIGKILL. Ctrl-Z stops the ranks, then artrun; SIGCONT goes the other way.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun.h"

#define GRACE_NS (2 * ART_NS_PER_S)
#define GIVE_UP_NS (5 * ART_NS_PER_S)
#define FLUSH_NS (4 * ART_NS_PER_S)

static const int enders[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int others[] = { SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* nohup and a shell's `&` have signals ignored; that stays so, for us and for the ranks. */
static void catch_unless_ignored(struct run_job *j, int sig)
{
	struct sigaction old;

	if (sigaction(sig, NULL, &old))
		art__run_die("cannot read the handling of signal %d: %s", sig, strerror(errno));
	if (old.sa_handler == SIG_IGN)
		sigaddset(&j->ignored, sig);
	else
		sigaddset(&j->caught, sig);
}

void art__run_signals_open(struct run_job *j)
{
	sigemptyset(&j->caught);
	sigemptyset(&j->ignored);
	for (size_t i = 0; i < COUNT(enders); i++)
		catch_unless_ignored(j, enders[i]);
	for (size_t i = 0; i < COUNT(others); i++)
		sigaddset(&j->caught, others[i]);
	/* With SIGCHLD ignored, the kernel would reap our zombies. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &j->caught, NULL))
		art__run_die("cannot set up signals: %s", strerror(errno));
	j->signals = signalfd(-1, &j->caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (j->signals < 0)
		art__run_die("cannot set up signals: %s", strerror(errno));
	art__run_epoll(j, EPOLL_CTL_ADD, j->signals, EPOLLIN, RUN_EV_SIGNAL, 0);
}

void art__run_signal_rank(struct run_job *j, const struct run_rank *r, int sig)
{
	if (!r->here) {
		art__hosts_signal(j, r, sig);
		return;
	}
	if (r->pid <= 0)
		return;
	/* Our zombies keep their pids and groups taken, so neither can hit a stranger. The group is
	 * asked first: only what has left it needs a word of its own. */
	if (kill(-r->pid, sig) && !r->dead)
		kill(r->pid, sig);
	if (sig == SIGKILL && r->member_pidfd >= 0)
		pidfd_send_signal(r->member_pidfd, sig, NULL, 0);
}

static void signal_all(struct run_job *j, int sig)
{
	for (int i = 0; i < j->n; i++)
		art__run_signal_rank(j, &j->rank[i], sig);
}

static void kill_all(struct run_job *j)
{
	j->kill_at = 0;
	if (j->give_up_at == 0)
		j->give_up_at = art__run_now() + GIVE_UP_NS;
	signal_all(j, SIGKILL);
}

void art__run_end(struct run_job *j, int code, int sig, uint64_t grace_ns)
{
	if (j->end_code >= 0 || sig == SIGKILL) {
		j->end_code = j->end_code >= 0 ? j->end_code : code;
		kill_all(j);
		return;
	}
	j->end_code = code;
	j->kill_at = art__run_now() + grace_ns;
	signal_all(j, sig);
}

/* Asked to end from outside: then a reader of our output that has stopped reading must not keep
 * us. The second time it is urgent. */
static void end_from_outside(struct run_job *j, int code, int sig)
{
	j->flush_by = art__run_now() + (j->flush_by ? 0 : FLUSH_NS);
	art__run_end(j, code, sig, GRACE_NS);
}

static void stop(struct run_job *j)
{
	signal_all(j, SIGTSTP);
	art__hosts_flush(j);
	raise(SIGSTOP); /* we go on here when somebody sends SIGCONT, which is then read as well */
}

static void on_signal(struct run_job *j, int sig)
{
	for (size_t i = 0; i < COUNT(enders); i++)
		if (sig == enders[i]) {
			end_from_outside(j, 128 + sig, sig);
			return;
		}
	if (sig == SIGTSTP) {
		stop(j);
		return;
	}
	signal_all(j, sig);
	if (sig == SIGCONT) {
		j->idle_since = 0;
		art__run_feed_resume(j);
	}
}

void art__run_signals_read(struct run_job *j)
{
	struct signalfd_siginfo si;

	while (read(j->signals, &si, sizeof(si)) == sizeof(si))
		on_signal(j, (int)si.ssi_signo);
}

static bool due(uint64_t at, uint64_t now)
{
	return at != 0 && now >= at;
}

void art__run_deadlines(struct run_job *j)
{
	uint64_t now = art__run_now();

	if (due(j->timeout_at, now)) {
		j->timeout_at = 0;
		if (j->end_code < 0) {
			art__run_say(j, "the job did not end within %g s; ending it",
				     j->opts.timeout);
			end_from_outside(j, RUN_EXIT_TIMEOUT, SIGTERM);
		}
	}
	if (due(j->kill_at, now))
		kill_all(j);
	if (due(j->ask_at, now))
		art__hosts_ask(j);
	if (j->tick_at == 0 || due(j->tick_at, now))
		art__run_watch_leftovers(j);
}
