/* SPDX-License-Identifier: MIT
 *
 * Our own stdout and stderr as queues. Writing never blocks, so that a slow reader of our output
 * does not keep us from a rank's death or from Ctrl-C; and nothing is lost: when a queue is long,
 * artrun_io.c stops to read from the ranks, whose own writes then wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/artrun.h"

#define SINK_HIGH (1u << 20) /* bytes queued above which ranks are not read */

void art__run_buf_add(struct run_buf *b, const char *data, size_t len)
{
	if (b->head == b->tail)
		b->head = b->tail = 0;
	if (b->cap - b->tail < len && b->head > 0) {
		memmove(b->data, b->data + b->head, b->tail - b->head);
		b->tail -= b->head;
		b->head = 0;
	}
	if (b->cap - b->tail < len) {
		size_t cap = b->cap ? b->cap : 4096;

		while (cap - b->tail < len)
			cap *= 2;
		b->data = realloc(b->data, cap);
		if (!b->data)
			art__run_die("out of memory for the output of the ranks");
		b->cap = cap;
	}
	memcpy(b->data + b->tail, data, len);
	b->tail += len;
}

void art__run_buf_free(struct run_buf *b)
{
	free(b->data);
	*b = (struct run_buf){ 0 };
}

/* O_NONBLOCK belongs to the open file, which we share with whoever started us; so pipes and
 * terminals are opened anew. Where that is not possible, writes are small and follow a poll(). */
static void sink_open(struct run_sink *s, int fd, const struct stat *st)
{
	char path[32];
	int own;

	*s = (struct run_sink){ .fd = fd, .how = SINK_WRITE };
	if (S_ISSOCK(st->st_mode))
		s->how = SINK_SEND;
	if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (own < 0) {
		s->how = SINK_POLLED;
		return;
	}
	s->fd = own;
	s->own_fd = true;
}

void art__run_sinks_open(struct run_job *j)
{
	struct stat st[2];

	if (fstat(1, &st[0]) || fstat(2, &st[1]))
		art__run_die("standard output or standard error is not open");
	sink_open(&j->sink[0], 1, &st[0]);
	j->out = j->err = &j->sink[0];
	j->sink[1].fd = -1;
	if (j->opts.agent)
		return; /* its standard error has words for people, and only if nothing else works */
	/* One queue for both if they are one file: their lines must not cut each other. */
	if (st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino)
		return;
	sink_open(&j->sink[1], 2, &st[1]);
	j->err = &j->sink[1];
}

void art__run_sinks_close(struct run_job *j)
{
	for (int i = 0; i < 2; i++) {
		if (j->sink[i].own_fd)
			close(j->sink[i].fd);
		art__run_buf_free(&j->sink[i].queue);
	}
}

bool art__run_sink_full(const struct run_sink *s)
{
	return s->queue.tail - s->queue.head >= SINK_HIGH || s->ahead >= ART_AGENT_WINDOW;
}

bool art__run_sinks_empty(const struct run_job *j)
{
	return j->out->queue.head == j->out->queue.tail && j->err->queue.head == j->err->queue.tail;
}

static ssize_t sink_write(const struct run_sink *s, const char *data, size_t len)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (s->how == SINK_SEND)
		return send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (s->how == SINK_POLLED) {
		if (poll(&p, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		len = len < PIPE_BUF ? len : PIPE_BUF;
	}
	return write(s->fd, data, len);
}

static void sink_disarm(struct run_job *j, struct run_sink *s)
{
	if (s->armed)
		art__run_epoll(j, EPOLL_CTL_DEL, s->fd, 0, RUN_EV_SINK, 0);
	s->armed = false;
}

/* Nobody takes what is written here. Ranks find their own output closed, and whoever goes on
 * writing gets SIGPIPE, as in any pipeline: `artrun yes | head` ends. */
static void sink_die(struct run_job *j, struct run_sink *s, int err)
{
	sink_disarm(j, s);
	s->dead = true;
	art__run_buf_free(&s->queue);
	for (int i = 0; i < j->n; i++)
		for (int k = 0; k < 2; k++)
			if (j->rank[i].out[k].sink == s)
				art__run_stream_close(j, &j->rank[i].out[k]);
	if (j->up) {
		art__agent_cut(j);
		return;
	}
	art__hosts_shut(j, (s == j->out ? 1 : 0) | (s == j->err ? 2 : 0));
	if (err == EPIPE && !j->opts.verbose)
		return;
	j->out_failed = j->out_failed || err != EPIPE;
	if (s != j->err)
		art__run_say(j, "cannot write to standard output: %s", strerror(err));
}

static void sink_flush(struct run_job *j, struct run_sink *s)
{
	while (!s->dead && s->queue.head < s->queue.tail) {
		ssize_t n = sink_write(s, s->queue.data + s->queue.head,
				       s->queue.tail - s->queue.head);

		if (n >= 0) {
			s->queue.head += (size_t)n;
		} else if (errno == EAGAIN) {
			if (!s->armed)
				art__run_epoll(j, EPOLL_CTL_ADD, s->fd, EPOLLOUT, RUN_EV_SINK, 0);
			s->armed = true;
			return;
		} else if (errno != EINTR) {
			sink_die(j, s, errno);
			return;
		}
	}
	sink_disarm(j, s);
}

void art__run_sinks_flush(struct run_job *j)
{
	sink_flush(j, j->out);
	if (j->err != j->out)
		sink_flush(j, j->err);
}
