/* SPDX-License-Identifier: MIT
 *
 * artrun: starts the ranks of a job on this host and stays with them. This file has the loop and
 * decides when the job is over; artrun.h says what the other files decide.
 *
 *   running --last rank dead--> draining --all output read and written--> over
 *      `--asked to end--> SIGKILL --a rank outlives it by 5 s--> over, saying so
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun.h"

uint64_t art__run_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ART_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void art__run_die(const char *fmt, ...)
{
	va_list ap;

	fputs("artrun: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(RUN_EXIT_SELF);
}

void art__run_epoll(struct run_job *j, int op, int fd, uint32_t events, enum run_event ev, int rank)
{
	struct epoll_event e = { .events = events,
				 .data.u64 = (uint64_t)ev << 32 | (uint32_t)rank };

	if (epoll_ctl(j->epoll, op, fd, &e))
		art__run_die("cannot watch a descriptor: %s", strerror(errno));
}

/* So that no descriptor of ours lands on 0, 1 or 2. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd < 0)
		art__run_die("cannot open /dev/null: %s", strerror(errno));
	close(fd);
}

void art__run_ranks(struct run_job *j, int n)
{
	j->rank = calloc((size_t)n, sizeof(*j->rank));
	j->card = calloc((size_t)n, sizeof(*j->card));
	j->death = calloc((size_t)n, sizeof(*j->death));
	if (!j->rank || !j->card || !j->death)
		art__run_die("cannot prepare the job: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct run_rank *r = &j->rank[i];

		r->pidfd = r->member_pidfd = r->boot_fd = -1;
		r->dead = true;
		for (int k = 0; k < 2; k++)
			r->out[k] = (struct run_stream){ .fd = -1, .rank = i,
							 .sink = k ? j->err : j->out };
	}
	j->n = n;
}

void art__run_open(struct run_job *j)
{
	open_standard_files();
	j->never = j->end_code = -1;
	j->feed.tty = j->feed.pipe = j->views_fd = -1;
	j->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (j->epoll < 0)
		art__run_die("cannot prepare the job: %s", strerror(errno));
	if (j->opts.timeout > 0)
		j->timeout_at = art__run_now() + (uint64_t)(j->opts.timeout * 1e9);
	art__run_raise_files(j);
	art__run_sinks_open(j);
	art__run_signals_open(j);
}

static void make_key(struct run_job *j)
{
	if (getrandom(&j->id, sizeof(j->id), 0) != sizeof(j->id) ||
	    getrandom(j->key, sizeof(j->key), 0) != sizeof(j->key))
		art__run_die("no random numbers for the job key: %s", strerror(errno));
}

/* Reaping comes last: until here the pids of the job belonged to it. */
void art__run_close(struct run_job *j)
{
	for (int i = 0; i < j->n; i++) {
		struct run_rank *r = &j->rank[i];

		if (r->pid > 0 && r->here)
			waitpid(r->pid, NULL, WNOHANG);
		art__run_boot_close(r);
		for (int k = 0; k < 2; k++)
			art__run_stream_close(j, &r->out[k]);
		if (r->pidfd >= 0)
			close(r->pidfd);
		if (r->member_pidfd >= 0)
			close(r->member_pidfd);
		free(r->view);
	}
	art__views_unmap(&j->views);
	if (j->views_fd >= 0)
		close(j->views_fd);
	art__run_feed_close(j);
	art__run_sinks_close(j);
	close(j->signals);
	close(j->epoll);
	explicit_bzero(j->key, sizeof(j->key));
	art__hosts_free(j);
	free(j->rank);
	free(j->card);
	free(j->death);
}

static void dispatch(struct run_job *j, const struct epoll_event *e)
{
	enum run_event ev = (enum run_event)(e->data.u64 >> 32);
	uint32_t which = (uint32_t)e->data.u64;
	struct run_rank *r = j->rank && which < (uint32_t)j->n ? &j->rank[which] : NULL;

	switch (ev) {
	case RUN_EV_SIGNAL:
		art__run_signals_read(j);
		break;
	case RUN_EV_BOOT:
		art__run_boot_readable(j, r);
		if (r->boot_full)
			art__run_boot_room(j, r);
		break;
	case RUN_EV_CHILD:
		art__run_child_died(j, r);
		break;
	case RUN_EV_MEMBER:
		art__run_member_died(j, r);
		break;
	case RUN_EV_OUT:
		art__run_stream_readable(j, &r->out[0]);
		break;
	case RUN_EV_ERR:
		art__run_stream_readable(j, &r->out[1]);
		break;
	case RUN_EV_SINK:
		break; /* there is room: every round of the loop flushes */
	case RUN_EV_TTY:
		art__run_feed_readable(j);
		break;
	case RUN_EV_FEED:
		art__run_feed_room(j);
		break;
	case RUN_EV_LAUNCHER:
		art__agent_readable(j);
		break;
	case RUN_EV_HOST_SAYS:
	case RUN_EV_HOST_ROOM:
	case RUN_EV_HOST_WORDS:
	case RUN_EV_HOST_END:
		art__hosts_event(j, ev, which);
		break;
	}
}

static int sleep_ms(const struct run_job *j)
{
	const uint64_t at[] = { j->timeout_at, j->kill_at, j->tick_at, j->ask_at,
				j->alive ? j->give_up_at : j->flush_by };
	uint64_t now = art__run_now(), first = UINT64_MAX, ms;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (at[i] && at[i] < first)
			first = at[i];
	if (first == UINT64_MAX)
		return -1;
	ms = first > now ? (first - now + ART_NS_PER_MS - 1) / ART_NS_PER_MS : 0;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

void art__run_round(struct run_job *j)
{
	struct epoll_event ev[64];
	int n;

	n = epoll_wait(j->epoll, ev, 64, sleep_ms(j));
	if (n < 0 && errno != EINTR)
		art__run_die("cannot wait for events: %s", strerror(errno));
	for (int i = 0; i < n; i++)
		dispatch(j, &ev[i]);
	art__run_deadlines(j);
	art__run_sinks_flush(j);
	art__run_streams_resume(j);
	art__hosts_flush(j);
}

bool art__run_passed(uint64_t at)
{
	return at && art__run_now() >= at;
}

/* All ranks are dead: ends what they left behind in their groups, then reads what is still in the
 * pipes. Descendants may hold those open, so empty is as good as ended. */
void art__run_finish_output(struct run_job *j)
{
	for (int i = 0; i < j->n; i++)
		art__run_signal_rank(j, &j->rank[i], SIGKILL);
	for (;;) {
		bool open = false;

		for (int i = 0; i < 2 * j->n; i++) {
			struct run_stream *s = &j->rank[i / 2].out[i % 2];

			art__run_stream_drain(j, s, true);
			open = open || s->fd >= 0;
		}
		art__run_sinks_flush(j);
		if ((!open && art__run_sinks_empty(j)) || art__run_passed(j->flush_by))
			return;
		art__run_round(j);
	}
}

static void say_undying(struct run_job *j)
{
	for (int i = 0; i < j->n; i++)
		if (!j->rank[i].dead)
			art__run_say(j, "rank %d (%spid %d) does not die; leaving it", i,
				     art__hosts_name(j, &j->rank[i]), (int)j->rank[i].pid);
}

static void start(struct run_job *j)
{
	make_key(j);
	if (j->opts.hosts) {
		art__hosts_open(j);
		return;
	}
	art__run_ranks(j, j->opts.ranks);
	j->heres = j->n;
	for (int i = 0; i < j->n; i++) {
		j->rank[i].here = true;
		j->rank[i].nth = i;
	}
	art__run_spawn_all(j);
	for (int i = 0; j->opts.verbose && i < j->n; i++)
		art__run_say(j, "rank %d has pid %d", i, (int)j->rank[i].pid);
}

int main(int argc, char **argv)
{
	static struct run_job j;
	int code;

	art__run_options(&j.opts, argc, argv);
	if (j.opts.agent)
		return art__agent_main(&j);
	art__run_open(&j);
	art__run_trace_open(&j);
	start(&j);
	while ((j.alive > 0 || art__hosts_awaited(&j)) && !art__run_passed(j.give_up_at))
		art__run_round(&j);
	say_undying(&j);
	art__hosts_close(&j);
	art__run_trace_close(&j);
	art__run_finish_output(&j);
	code = art__run_exit_code(&j);
	art__run_finish_output(&j); /* of what that had to say */
	art__run_close(&j);
	return code;
}
