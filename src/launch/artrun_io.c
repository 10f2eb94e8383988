/* SPDX-License-Identifier: MIT
 *
 * The ranks' output in whole lines: what a rank writes is held back until its newline is there,
 * then passed on at once, so lines of two ranks never mix. With one rank there is nothing to mix
 * with, and every byte is passed on as it comes (prompts show).
 *
 * A line longer than LINE_MAX_HELD is passed on in pieces rather than held. It stays whole
 * unless another rank has a line for the same place meanwhile: then a newline parts the two.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "launch/artrun.h"

#define LINE_MAX_HELD (1u << 20)
#define READ_BYTES (64u << 10)
#define DRAIN_READS 32 /* more than any pipe holds */

static enum run_event stream_event(const struct run_job *j, const struct run_stream *s)
{
	return s == &j->rank[s->rank].out[0] ? RUN_EV_OUT : RUN_EV_ERR;
}

static void stream_arm(struct run_job *j, struct run_stream *s, bool on)
{
	if (s->fd < 0 || s->armed == on)
		return;
	art__run_epoll(j, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s->fd, EPOLLIN, stream_event(j, s),
		       s->rank);
	s->armed = on;
}

void art__run_stream_open(struct run_job *j, int rank, int which, int fd)
{
	struct run_stream *s = &j->rank[rank].out[which];
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		art__run_die("cannot prepare a pipe: %s", strerror(errno));
	*s = (struct run_stream){ .fd = fd, .rank = rank, .sink = which ? j->err : j->out };
	if (s->sink->dead)
		art__run_stream_close(j, s);
	else
		stream_arm(j, s, true);
}

/* Text of @from (NULL: our own) to its place; @text is one or more whole lines, or the beginning
 * or middle of one. */
static void put(struct run_sink *sink, const struct run_stream *from, bool tag, const char *text,
		size_t len)
{
	char head[32];

	if (sink->dead || len == 0)
		return;
	if (sink->mid && (!from || sink->mid->rank != from->rank)) {
		art__run_buf_add(&sink->queue, "\n", 1);
		sink->mid = NULL;
	}
	if (tag && !sink->mid)
		art__run_buf_add(&sink->queue, head,
				 (size_t)snprintf(head, sizeof(head), "[%d] ", from->rank));
	art__run_buf_add(&sink->queue, text, len);
	sink->mid = text[len - 1] == '\n' ? NULL : from;
}

static void put_lines(const struct run_job *j, struct run_stream *s, const char *text, size_t len)
{
	const char *end = text + len;

	assert(text[len - 1] == '\n');
	if (!j->opts.tag) {
		put(s->sink, s, false, text, len);
		return;
	}
	while (text < end) {
		const char *next = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;

		put(s->sink, s, true, text, (size_t)(next - text));
		text = next;
	}
}

/* New bytes of a rank: passes on up to the last newline, holds the rest. */
void art__run_stream_text(struct run_job *j, struct run_stream *s, const char *text, size_t len)
{
	const char *nl = memrchr(text, '\n', len);
	size_t whole = nl ? (size_t)(nl - text) + 1 : 0;

	if (j->n == 1 && !j->opts.tag) {
		put(s->sink, s, false, text, len);
		return;
	}
	if (nl && s->line.head < s->line.tail) { /* the held beginning gets its end */
		size_t first = (size_t)((const char *)memchr(text, '\n', len) - text) + 1;

		art__run_buf_add(&s->line, text, first);
		put_lines(j, s, s->line.data + s->line.head, s->line.tail - s->line.head);
		s->line.head = s->line.tail = 0;
		text += first;
		len -= first;
		whole -= first;
	}
	if (whole)
		put_lines(j, s, text, whole);
	if (len > whole)
		art__run_buf_add(&s->line, text + whole, len - whole);
	if (s->line.tail - s->line.head > LINE_MAX_HELD) {
		put(s->sink, s, j->opts.tag, s->line.data + s->line.head,
		    s->line.tail - s->line.head);
		s->line.head = s->line.tail = 0;
	}
}

/* Passes on the last line even if its newline never came. */
void art__run_stream_end(struct run_job *j, struct run_stream *s)
{
	if (s->line.head < s->line.tail) {
		art__run_buf_add(&s->line, "\n", 1);
		put_lines(j, s, s->line.data + s->line.head, s->line.tail - s->line.head);
	} else if (s->sink->mid == s && j->n > 1) {
		put(s->sink, s, false, "\n", 1);
	}
	art__run_stream_close(j, s);
}

void art__run_stream_close(struct run_job *j, struct run_stream *s)
{
	stream_arm(j, s, false);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	art__run_buf_free(&s->line);
}

/* One read. False if there is nothing more now: at the end, empty, or no room in the sink. */
static bool stream_read(struct run_job *j, struct run_stream *s, bool last)
{
	char buf[READ_BYTES];
	ssize_t n;

	if (s->fd < 0)
		return false;
	if (art__run_sink_full(s->sink)) {
		art__run_sinks_flush(j);
		if (s->fd < 0)
			return false; /* flushing found the sink dead, which closed us */
	}
	stream_arm(j, s, !art__run_sink_full(s->sink));
	if (!s->armed)
		return false;
	n = read(s->fd, buf, sizeof(buf));
	if (n > 0) {
		if (j->up)
			art__agent_output(j, s, buf, (size_t)n);
		else
			art__run_stream_text(j, s, buf, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0 || errno != EAGAIN || last)
		art__run_stream_end(j, s);
	return false;
}

void art__run_stream_readable(struct run_job *j, struct run_stream *s)
{
	stream_read(j, s, false);
}

void art__run_stream_drain(struct run_job *j, struct run_stream *s, bool last)
{
	/* Bounded: a descendant of the rank may still hold the pipe and write for ever. */
	for (int i = 0; i < DRAIN_READS && stream_read(j, s, last); i++)
		s->last_reads += last;
	if (s->fd >= 0 && s->last_reads >= DRAIN_READS)
		art__run_stream_end(j, s);
}

void art__run_streams_resume(struct run_job *j)
{
	for (int i = 0; i < j->n; i++)
		for (int k = 0; k < 2; k++)
			if (!art__run_sink_full(j->rank[i].out[k].sink))
				stream_arm(j, &j->rank[i].out[k], true);
}

void art__run_say(struct run_job *j, const char *fmt, ...)
{
	char line[512];
	size_t len = (size_t)snprintf(line, sizeof(line), "artrun: ");
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	if (j->up) {
		size_t name = strlen("artrun: ");

		art__agent_report(j, ART_AGENT_SAY, NULL, line + name, len - name);
		return;
	}
	line[len++] = '\n';
	put(j->err, NULL, false, line, len);
}
