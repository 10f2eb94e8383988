/* SPDX-License-Identifier: MIT
 *
 * Standard input of rank 0. A pipe or file is simply handed to it: end of file, seeking and
 * what stays unread are then as without artrun. A terminal cannot be handed over: ranks are in
 * process groups of their own (artrun_spawn.c), and reading it from there stops the reader. So
 * artrun reads the terminal, while it is in its foreground, and carries the bytes over.
 *
 * With hosts everything is carried, a piece at a time: the next is read when the agent of rank 0 has
 * written the one before into its pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "launch/artrun.h"

static bool is_closed(const struct run_feed *f)
{
	return f->pipe < 0 && !f->remote;
}

int art__run_feed_open(struct run_job *j)
{
	int p[2];
	int flags;

	if (!j->up && !isatty(0))
		return 0;
	if (pipe2(p, O_CLOEXEC))
		art__run_die("cannot make a pipe: %s", strerror(errno));
	flags = fcntl(p[1], F_GETFL);
	if (flags < 0 || fcntl(p[1], F_SETFL, flags | O_NONBLOCK))
		art__run_die("cannot prepare a pipe: %s", strerror(errno));
	j->feed.pipe = p[1];
	if (!j->up) {
		j->feed.tty = 0;
		art__run_feed_resume(j);
	}
	return p[0];
}

void art__run_feed_remote(struct run_job *j)
{
	struct epoll_event e = { .events = 0, .data.u64 = (uint64_t)RUN_EV_TTY << 32 };

	j->feed.remote = true;
	j->feed.tty = 0;
	j->feed.always = epoll_ctl(j->epoll, EPOLL_CTL_ADD, 0, &e) != 0;
	if (!j->feed.always)
		art__run_epoll(j, EPOLL_CTL_DEL, 0, 0, RUN_EV_TTY, 0);
	art__run_feed_resume(j);
}

static void read_tty(struct run_job *j, bool on)
{
	struct run_feed *f = &j->feed;

	if (f->reading != on && !f->always)
		art__run_epoll(j, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, f->tty, EPOLLIN, RUN_EV_TTY,
			       0);
	f->reading = on;
}

static void read_piece(struct run_job *j)
{
	struct run_feed *f = &j->feed;
	ssize_t n = read(f->tty, f->data, sizeof(f->data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		if (f->remote)
			art__hosts_input(j, NULL, 0);
		art__run_feed_close(j);
		return;
	}
	f->off = 0;
	f->len = (size_t)n;
	read_tty(j, false);
	if (f->remote)
		art__hosts_input(j, f->data, f->len);
	else
		art__run_epoll(j, EPOLL_CTL_ADD, f->pipe, EPOLLOUT, RUN_EV_FEED, 0);
}

void art__run_feed_resume(struct run_job *j)
{
	struct run_feed *f = &j->feed;
	pid_t front;

	if (f->tty < 0 || is_closed(f) || f->off < f->len)
		return;
	front = tcgetpgrp(f->tty);
	read_tty(j, front < 0 || front == getpgrp()); /* < 0: not our terminal, no job control */
	if (f->always)
		read_piece(j);
}

void art__run_feed_close(struct run_job *j)
{
	struct run_feed *f = &j->feed;

	if (is_closed(f))
		return;
	if (f->tty >= 0)
		read_tty(j, false);
	if (f->pipe >= 0)
		close(f->pipe);
	f->pipe = -1;
	f->remote = false;
}

void art__run_feed_readable(struct run_job *j)
{
	struct run_feed *f = &j->feed;

	if (is_closed(f) || !f->reading)
		return;
	art__run_feed_resume(j); /* we may have been put in the background since */
	if (f->reading && !f->always)
		read_piece(j);
}

void art__run_feed_took(struct run_job *j, bool closed)
{
	struct run_feed *f = &j->feed;

	f->off = f->len = 0;
	if (closed)
		art__run_feed_close(j);
	else
		art__run_feed_resume(j);
}

void art__run_feed_piece(struct run_job *j, const uint8_t *data, size_t len)
{
	struct run_feed *f = &j->feed;

	if (f->pipe < 0 || f->off < f->len)
		return;
	if (len == 0) {
		art__run_feed_close(j);
		return;
	}
	memcpy(f->data, data, len);
	f->off = 0;
	f->len = len;
	art__run_epoll(j, EPOLL_CTL_ADD, f->pipe, EPOLLOUT, RUN_EV_FEED, 0);
}

void art__run_feed_room(struct run_job *j)
{
	struct run_feed *f = &j->feed;
	ssize_t n;

	if (f->pipe < 0)
		return;
	n = write(f->pipe, f->data + f->off, f->len - f->off);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* rank 0 is dead or has closed its input */
		art__run_feed_close(j);
		if (j->up)
			art__agent_number(j, ART_AGENT_TOOK, &j->rank[0], -1);
		return;
	}
	f->off += (size_t)n;
	if (f->off < f->len)
		return;
	art__run_epoll(j, EPOLL_CTL_DEL, f->pipe, 0, RUN_EV_FEED, 0);
	if (j->up)
		art__agent_number(j, ART_AGENT_TOOK, &j->rank[0], (int)f->len);
	else
		art__run_feed_resume(j);
}
