/* SPDX-License-Identifier: MIT
 *
 * What the ends of ranks mean: which are losses, which ranks are leftovers, and with what code
 * artrun exits (rule R14). Life of a rank:
 *
 *   started --HELLO--> member --DONE--> finalized --exit--> ended
 *      |                  `--exit, signal--> lost
 *      `--exit--> ended (a plain program)
 *
 * A dead child is looked at with WNOWAIT and stays an unreaped zombie until the end of the job:
 * so its pid is not given to another process while ranks open pidfds by the pids of the table.
 * (The pid of a member that is not the child itself is beyond our power.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun.h"

#define LEFTOVER_NS ART_NS_PER_S
#define WATCH_NS (100 * ART_NS_PER_MS)

int art__run_index(const struct run_job *j, const struct run_rank *r)
{
	return (int)(r - j->rank);
}

static pid_t shown_pid(const struct run_rank *r)
{
	return r->member ? r->member : r->pid;
}

static void say_others(const struct run_job *j, char text[48])
{
	int n = 0;

	for (int i = 0; i < j->n; i++)
		n += !j->rank[i].dead && !j->rank[i].lost;
	if (n == 0)
		snprintf(text, 48, "%s", j->dones ? "the others had finished" : "no rank is left");
	else
		snprintf(text, 48, "%d rank%s on", n, n == 1 ? " goes" : "s go");
}

static void say_how(const struct run_rank *r, char text[96])
{
	if (!r->dead)
		snprintf(text, 96, "ended without art_finalize");
	else if (r->sig)
		snprintf(text, 96, "was killed by signal %d (%s)", r->sig, strsignal(r->sig));
	else
		snprintf(text, 96, "exited with code %d without art_finalize", r->code);
}

void art__run_lose(struct run_job *j, struct run_rank *r)
{
	char others[48], how[96];

	if (r->lost)
		return;
	r->lost = true;
	art__run_boot_gone(j, r);
	if (j->up || j->end_code >= 0 || r->swept)
		return;
	say_others(j, others);
	say_how(r, how);
	art__run_say(j, "rank %d (%spid %d) %s; %s", art__run_index(j, r), art__hosts_name(j, r),
		     (int)shown_pid(r), how, others);
}

static void say_plain_end(struct run_job *j, const struct run_rank *r)
{
	if (j->up || j->end_code >= 0 || r->swept)
		return;
	if (r->sig && (r->sig != SIGPIPE || j->opts.verbose))
		art__run_say(j, "rank %d (%spid %d) was killed by signal %d (%s)",
			     art__run_index(j, r), art__hosts_name(j, r), (int)r->pid, r->sig,
			     strsignal(r->sig));
	else if (j->opts.verbose)
		art__run_say(j, "rank %d (%spid %d) exited with code %d",
			     art__run_index(j, r), art__hosts_name(j, r), (int)r->pid, r->code);
}

static bool look(struct run_rank *r)
{
	siginfo_t si = { 0 };

	if (waitid(P_PIDFD, (id_t)r->pidfd, &si, WEXITED | WNOHANG | WNOWAIT))
		art__run_die("cannot wait for process %d: %s", (int)r->pid, strerror(errno));
	if (si.si_pid == 0)
		return false;
	r->dead = true;
	r->sig = si.si_code == CLD_EXITED ? 0 : si.si_status;
	r->code = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	return true;
}

static const struct art_last_view nothing;

const struct art_last_view *art__run_view(const struct run_rank *r)
{
	return r->view ? r->view : &nothing;
}

static void keep_view(struct run_rank *r, const struct art_last_view *v)
{
	if (!v->epoch)
		return;
	if (!r->view)
		r->view = calloc(1, sizeof(*r->view));
	if (!r->view)
		art__run_die("out of memory");
	*r->view = *v;
}

void art__run_view_look(struct run_job *j, struct run_rank *r)
{
	struct art_last_view v;

	art__views_last(&j->views, art__run_index(j, r), &v);
	keep_view(r, &v);
}

bool art__run_view_told(struct run_job *j, struct run_rank *r, const void *data, size_t len)
{
	struct art_last_view v;

	if (!art__last_view_read(data, len, j->n, &v))
		return false;
	keep_view(r, &v);
	return true;
}

void art__run_judge(struct run_job *j, struct run_rank *r)
{
	if (r->hello && !r->done) {
		art__run_lose(j, r);
		art__run_signal_rank(j, r, SIGKILL); /* a member under it is lost with it */
	} else {
		say_plain_end(j, r);
		art__run_boot_gone(j, r);
	}
}

/* An end, with the view that @r had acted in last behind the @len bytes of @body. */
static void report_end(struct run_job *j, enum art_agent_kind kind, struct run_rank *r, const void *body,
		       size_t len)
{
	uint8_t m[sizeof(struct art_agent_exit) + ART_LAST_VIEW_MAX];
	const struct art_last_view *v;

	art__run_view_look(j, r);
	v = art__run_view(r);
	if (len)
		memcpy(m, body, len);
	memcpy(m + len, v, art__last_view_bytes(v));
	art__agent_report(j, kind, r, m, len + art__last_view_bytes(v));
	art__run_sinks_flush(j);
}

void art__run_child_died(struct run_job *j, struct run_rank *r)
{
	if (r->pidfd < 0 || !look(r))
		return;
	close(r->pidfd);
	r->pidfd = -1;
	j->alive--;
	/* What it said and wrote before its end comes first: DONE, for one. */
	art__run_boot_readable(j, r);
	if (j->up)
		report_end(j, ART_AGENT_EXIT, r,
			   &(struct art_agent_exit){ r->sig, r->code, art__run_now() },
			   sizeof(struct art_agent_exit));
	for (int k = 0; k < 2; k++)
		art__run_stream_drain(j, &r->out[k], false);
	art__run_judge(j, r);
}

void art__run_member_died(struct run_job *j, struct run_rank *r)
{
	if (r->member_pidfd >= 0)
		close(r->member_pidfd);
	r->member_pidfd = -1;
	art__run_boot_readable(j, r);
	if (j->up)
		report_end(j, ART_AGENT_MEMBER_GONE, r, NULL, 0);
	if (!r->done)
		art__run_lose(j, r);
}

/* The state letter of a process as /proc has it, 0 if it cannot be read. */
static char state_of(pid_t pid)
{
	char path[32], text[512];
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	end = strrchr(text, ')'); /* the name before it may hold anything */
	return end && end[1] == ' ' ? end[2] : 0;
}

char art__run_state(const struct run_rank *r)
{
	return r->here ? state_of(shown_pid(r)) : r->state;
}

/* Who may take its time after the last finalize: a finalized rank that runs on (it may have
 * results to write), one that a debugger holds, and one of which nothing is known. */
static bool at_work(const struct run_job *j, const struct run_rank *r)
{
	char state = art__run_state(r);

	return state == 't' || (r->done && state != 'T') || (!r->here && !art__hosts_seen(j, r));
}

static void sweep(struct run_job *j)
{
	for (int i = 0; i < j->n; i++) {
		struct run_rank *r = &j->rank[i];

		if (r->dead)
			continue;
		if (!r->swept)
			art__run_say(j, "rank %d (%spid %d) %s 1 s after all others had ended; killed", i,
				     art__hosts_name(j, r), (int)shown_pid(r),
				     art__run_state(r) == 'T' ? "was still stopped" :
				     "still ran, not finalized,");
		r->swept = true;
		art__run_signal_rank(j, r, SIGKILL);
	}
}

void art__run_watch_leftovers(struct run_job *j)
{
	uint64_t now = art__run_now();
	bool work = false;

	j->tick_at = 0;
	if (j->up || j->dones == 0 || j->alive == 0 || j->end_code >= 0)
		return;
	j->tick_at = now + WATCH_NS;
	art__hosts_look(j);
	for (int i = 0; i < j->n && !work; i++)
		work = !j->rank[i].dead && at_work(j, &j->rank[i]);
	if (work)
		j->idle_since = 0;
	else if (j->idle_since == 0)
		j->idle_since = now;
	else if (now - j->idle_since >= LEFTOVER_NS)
		sweep(j);
}

/* Programs without art_init: the highest code. */
static int highest_code(const struct run_job *j)
{
	int code = 0;

	for (int i = 0; i < j->n; i++)
		if (j->rank[i].code > code)
			code = j->rank[i].code;
	return code;
}

/* Finalized ranks: the first code that is not 0, by rank. */
static int first_code(const struct run_job *j)
{
	for (int i = 0; i < j->n; i++)
		if (j->rank[i].done && !j->rank[i].swept && j->rank[i].code)
			return j->rank[i].code;
	return 0;
}

int art__run_exit_code(struct run_job *j)
{
	int code;

	if (j->end_code >= 0)
		return j->end_code;
	if (j->hellos == 0) {
		code = highest_code(j);
	} else if (j->dones > 0) {
		code = first_code(j);
	} else {
		art__run_say(j, "all ranks were lost: none reached art_finalize");
		code = highest_code(j);
		code = code ? code : 1;
	}
	return j->out_failed ? RUN_EXIT_SELF : code;
}
