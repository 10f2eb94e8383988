/* SPDX-License-Identifier: MIT
 *
 * The bootstrap of a rank that artrun has started: an inherited socket, over which it hears who it
 * is and where the others are, and says that it has finalized or that the job is to end. The
 * messages are those of boot_wire.h.
 */
#include "launch/boot_impl.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/set.h"
#include "launch/boot_wire.h"

static int send_whole(int fd, const void *msg, size_t len)
{
	ssize_t n;

	do
		n = send(fd, msg, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : ART_ERR_TRANSPORT;
}

static int send_head(const struct art_boot *b, enum art_boot_kind kind, int32_t arg)
{
	struct art_boot_head h = art__boot_head(kind, sizeof(h), arg);

	return send_whole(b->fd, &h, sizeof(h));
}

/* One message of at most @max bytes, its head checked. Its length, or ART_ERR_TRANSPORT (the
 * launcher is gone, or what came is none of its messages). */
static ssize_t recv_whole(int fd, void *msg, size_t max)
{
	struct art_boot_head h;
	ssize_t n;

	do
		n = recv(fd, msg, max, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(h) || (size_t)n > max)
		return ART_ERR_TRANSPORT;
	memcpy(&h, msg, sizeof(h));
	return art__boot_head_good(&h, (size_t)n) ? n : ART_ERR_TRANSPORT;
}

/* The descriptor that @text names, if it is a socket as a launcher makes them; else -1. */
static int launch_fd(const char *text)
{
	char *end;
	long fd;
	int type = 0;
	socklen_t len = sizeof(type);

	errno = 0;
	fd = strtol(text, &end, 10);
	if (errno || end == text || *end || fd < 0 || fd > INT_MAX)
		return -1;
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET)
		return -1;
	return (int)fd;
}

/* As recv_whole(), with the one descriptor that may have come along: *@passed, or -1. */
static ssize_t recv_passed(int fd, void *msg, size_t max, int *passed)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { msg, max };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	struct cmsghdr *c;
	struct art_boot_head head;
	ssize_t n;

	*passed = -1;
	do
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed, CMSG_DATA(c), sizeof(int));
	if (n < (ssize_t)sizeof(head) || (size_t)n > max)
		return ART_ERR_TRANSPORT;
	memcpy(&head, msg, sizeof(head));
	return art__boot_head_good(&head, (size_t)n) ? n : ART_ERR_TRANSPORT;
}

static int take_place(struct art_boot *b, struct art_boot_welcome *w, ssize_t n)
{
	if (n < 0)
		return (int)n;
	if (w->head.kind == ART_BOOT_REFUSED)
		return ART_ERR_EVICTED;
	if (w->head.kind != ART_BOOT_WELCOME || n != sizeof(*w))
		return ART_ERR_TRANSPORT;
	if (w->size < 1 || w->size > ART_MAX_RANKS || w->rank >= w->size)
		return ART_ERR_TRANSPORT;
	b->rank = (int)w->rank;
	b->size = (int)w->size;
	b->job = w->job;
	memcpy(b->key, w->key, sizeof(b->key));
	return 0;
}

static int take_welcome(struct art_boot *b)
{
	struct art_boot_welcome w;
	int views, err = take_place(b, &w, recv_passed(b->fd, &w, sizeof(w), &views));

	explicit_bzero(&w, sizeof(w));
	if (!err && !art__views_map(&b->views, views, b->size, b->rank))
		err = errno == ENOMEM ? ART_ERR_NOMEM : ART_ERR_TRANSPORT;
	if (views >= 0)
		close(views);
	return err;
}

static bool artrun_present(void)
{
	return getenv(ART_BOOT_FD_VAR) != NULL;
}

/* Not if whoever was started in between has bound this process otherwise: that is meant. */
static void find_others(struct art_boot *b)
{
	const char *text = getenv(ART_BOOT_CPU_VAR);
	int cpu = text ? atoi(text) : -1;
	struct ucred launcher;
	socklen_t len = sizeof(launcher);
	cpu_set_t mine;

	unsetenv(ART_BOOT_CPU_VAR);
	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(mine), &mine) ||
	    CPU_COUNT(&mine) != 1 || !CPU_ISSET(cpu, &mine))
		return;
	if (getsockopt(b->fd, SOL_SOCKET, SO_PEERCRED, &launcher, &len) || launcher.pid <= 0)
		return;
	if (sched_getaffinity(launcher.pid, sizeof(b->others), &b->others))
		CPU_ZERO(&b->others);
	CPU_CLR(cpu, &b->others);
}

static int artrun_open(struct art_boot *b)
{
	int err = ART_ERR_TRANSPORT;

	b->fd = launch_fd(getenv(ART_BOOT_FD_VAR));
	unsetenv(ART_BOOT_FD_VAR);
	if (b->fd >= 0 && fcntl(b->fd, F_SETFD, FD_CLOEXEC) == 0)
		err = send_head(b, ART_BOOT_HELLO, b->lowest_half);
	if (b->fd >= 0 && !err)
		err = take_welcome(b);
	if (!err)
		find_others(b);
	if (err == ART_ERR_EVICTED)
		return art__boot_fail(b, err, "another process has taken this rank's place");
	if (err == ART_ERR_NOMEM)
		return art__boot_fail(b, err, "there is no memory for the page where views are noted");
	return err ? art__boot_fail(b, err, "the launcher cannot be reached") : 0;
}

/* The next part of the table, which must start at card @have. Number of cards, or negative. */
static int take_table(struct art_boot *b, struct art_boot_card *all, unsigned have)
{
	struct art_boot_table t;
	ssize_t n = recv_whole(b->fd, &t, sizeof(t));

	if (n < 0)
		return (int)n;
	if (t.head.kind == ART_BOOT_FAILED)
		return ART_ERR_PROC_FAILED;
	if (t.head.kind != ART_BOOT_TABLE || (size_t)n < offsetof(struct art_boot_table, card))
		return ART_ERR_TRANSPORT;
	if (t.first != have || t.count < 1 || t.count > ART_BOOT_TABLE_CARDS ||
	    t.count > (unsigned)b->size - have ||
	    (size_t)n != offsetof(struct art_boot_table, card) + t.count * sizeof(t.card[0]))
		return ART_ERR_TRANSPORT;
	for (unsigned i = 0; i < t.count; i++)
		if (!art__boot_card_good(&t.card[i]))
			return ART_ERR_TRANSPORT;
	memcpy(&all[have], t.card, t.count * sizeof(t.card[0]));
	return (int)t.count;
}

static int take_tables(struct art_boot *b, struct art_boot_card *all)
{
	for (unsigned have = 0; have < (unsigned)b->size;) {
		int n = take_table(b, all, have);

		if (n < 0)
			return n;
		have += (unsigned)n;
	}
	return 0;
}

static int artrun_exchange(struct art_boot *b, const struct art_boot_card *mine,
			   struct art_boot_card *all)
{
	struct art_boot_card_msg m;
	int err;

	m.head = art__boot_head(ART_BOOT_CARD, sizeof(m), 0);
	m.card = *mine;
	err = send_whole(b->fd, &m, sizeof(m));
	if (!err)
		err = take_tables(b, all);
	if (err == ART_ERR_PROC_FAILED)
		return art__boot_fail(b, err, "a rank of the job ended before it had called "
					      "art_init()");
	return err ? art__boot_fail(b, err, "the launcher is gone") : 0;
}

void art__boot_vote(struct art_boot *b, const void *p, size_t len)
{
	struct art_boot_head h = art__boot_head(ART_BOOT_VOTE, sizeof(h) + len, 0);
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)p, len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	if (b->fd >= 0 && len <= ART_BOOT_VOTE_MAX)
		sendmsg(b->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const uint8_t *art__boot_voted(struct art_boot *b, size_t *len)
{
	*len = b->answer_len;
	b->answer_len = 0;
	return *len ? b->answer : NULL;
}

/* Only the last is of use: a question is asked again until it was answered. */
static void take_answer(struct art_boot *b, const uint8_t *p, size_t len)
{
	if (!b->answer)
		b->answer = malloc(ART_BOOT_VOTE_MAX);
	if (!b->answer || len > ART_BOOT_VOTE_MAX)
		return;
	memcpy(b->answer, p, len);
	b->answer_len = len;
}

int art__boot_dead(struct art_boot *b, uint64_t *incarnation)
{
	union {
		struct art_boot_head head;
		struct art_boot_dead dead;
		struct art_boot_vote vote;
	} m;
	struct art_boot_dead d;
	struct art_last_view v;
	ssize_t n;

	do {
		n = recv(b->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);
		if (n < (ssize_t)sizeof(m.head) || n > (ssize_t)sizeof(m) ||
		    !art__boot_head_good(&m.head, (size_t)n) || m.head.kind != ART_BOOT_VOTED)
			continue;
		take_answer(b, m.vote.bytes, (size_t)n - sizeof(m.head));
		n = -1;
		errno = EINTR; /* what is behind it */
	} while (n < 0 && errno == EINTR);
	d = m.dead;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (n < (ssize_t)offsetof(struct art_boot_dead, view) || n > (ssize_t)sizeof(d) ||
	    !art__boot_head_good(&d.head, (size_t)n) || d.head.kind != ART_BOOT_DEAD ||
	    d.head.arg < 0 || d.head.arg >= b->size ||
	    !art__last_view_read(&d.view, (size_t)n - offsetof(struct art_boot_dead, view), b->size, &v))
		return -2;
	art__last_view_merge(&b->told, &v);
	*incarnation = d.incarnation;
	return d.head.arg;
}

static int artrun_finalized(struct art_boot *b)
{
	return send_head(b, ART_BOOT_DONE, 0);
}

static int artrun_abort(struct art_boot *b, int code)
{
	return send_head(b, ART_BOOT_ABORT, code);
}

static void artrun_close(struct art_boot *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	art__views_unmap(&b->views);
	free(b->answer);
	b->answer = NULL;
}

const struct art_boot_ops art__boot_artrun = {
	.present = artrun_present, .open = artrun_open, .exchange = artrun_exchange,
	.finalized = artrun_finalized, .abort = artrun_abort, .close = artrun_close,
};
