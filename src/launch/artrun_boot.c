/* SPDX-License-Identifier: MIT
 *
 * The launcher's side of boot_wire.h: hands out places, gathers cards, sends the table when the
 * last card has come, or tells everyone who waits that one never will. What a rank's end means
 * for the job is decided in artrun_job.c.
 *
 * A place is taken once: the process that said HELLO (the kernel tells its pid with every
 * message) is the member, and nobody else's messages count.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch/artrun.h"
#include "launch/boot_wire.h"

union message {
	struct art_boot_head head;
	struct art_boot_card_msg card;
	struct art_boot_vote vote; /* the longest that a rank sends */
};

static bool boot_send(struct run_rank *r, const void *msg, size_t len)
{
	return send(r->boot_fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

/* Likewise, with a descriptor. */
static void boot_pass(struct run_rank *r, void *msg, size_t len, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .room = { 0 } };
	struct iovec iov = { msg, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	sendmsg(r->boot_fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Small answers always find room: a rank waits for each before it sends more. */
static void answer(struct run_rank *r, enum art_boot_kind kind, int arg)
{
	struct art_boot_head h = art__boot_head(kind, sizeof(h), arg);

	boot_send(r, &h, sizeof(h));
}

void art__run_boot_close(struct run_rank *r)
{
	if (r->boot_fd >= 0)
		close(r->boot_fd); /* which takes it out of epoll */
	r->boot_fd = -1;
}

static void on_hello(struct run_job *j, struct run_rank *r, pid_t pid, bool lowest_half)
{
	struct art_boot_welcome w = {
		.head = art__boot_head(ART_BOOT_WELCOME, sizeof(w), 0),
		.rank = (uint32_t)art__run_index(j, r), .size = (uint32_t)j->n, .job = j->id,
	};

	if (r->hello) {
		art__run_say(j, "rank %u: process %d called art_init, but process %d has this "
			     "place; refused", w.rank, (int)pid, (int)r->member);
		answer(r, ART_BOOT_REFUSED, 0);
		return;
	}
	r->hello = true;
	r->member = pid;
	j->hellos++;
	j->lowest_half |= lowest_half;
	if (j->up)
		art__agent_report(j, ART_AGENT_JOINED, r,
				  &(struct art_agent_joined){ pid, lowest_half },
				  sizeof(struct art_agent_joined));
	if (pid != r->pid)
		r->member_pidfd = pidfd_open(pid, 0);
	memcpy(w.key, j->key, sizeof(w.key));
	boot_pass(r, &w, sizeof(w), j->views_fd);
	explicit_bzero(&w, sizeof(w));
	if (r->member_pidfd >= 0)
		art__run_epoll(j, EPOLL_CTL_ADD, r->member_pidfd, EPOLLIN, RUN_EV_MEMBER,
			       art__run_index(j, r));
	else if (pid != r->pid)
		art__run_member_died(j, r);
}

/* The next part of the table. False: no room now. */
static bool send_cards(struct run_job *j, struct run_rank *r)
{
	unsigned left = (unsigned)j->n - r->table_next;
	unsigned count = left < ART_BOOT_TABLE_CARDS ? left : ART_BOOT_TABLE_CARDS;
	struct art_boot_table t;
	size_t len = offsetof(struct art_boot_table, card) + count * sizeof(t.card[0]);

	t.head = art__boot_head(ART_BOOT_TABLE, len, 0);
	t.first = r->table_next;
	t.count = count;
	memcpy(t.card, &j->card[t.first], count * sizeof(t.card[0]));
	if (!boot_send(r, &t, len))
		return false;
	r->table_next += count;
	return true;
}

static bool send_death(struct run_job *j, struct run_rank *r)
{
	int dead = j->death[r->deaths_next];
	const struct art_last_view *v = art__run_view(&j->rank[dead]);
	size_t len = offsetof(struct art_boot_dead, view) + art__last_view_bytes(v);
	struct art_boot_dead d = {
		.head = art__boot_head(ART_BOOT_DEAD, len, dead),
		.incarnation = j->card[dead].incarnation,
		.view = *v,
	};

	if (!boot_send(r, &d, len))
		return false;
	r->deaths_next++;
	return true;
}

/* Sends as much of the table, and of the deaths behind it, as the socket takes. */
void art__run_boot_room(struct run_job *j, struct run_rank *r)
{
	bool room = true;

	while (r->boot_fd >= 0 && room && r->table_next < (unsigned)j->n)
		room = send_cards(j, r);
	while (r->boot_fd >= 0 && room && r->deaths_next < j->deaths)
		room = send_death(j, r);
	if (!room && errno != EAGAIN) { /* it is dead, which its pidfd will tell */
		r->table_next = (unsigned)j->n;
		r->deaths_next = j->n;
		room = true;
	}
	if (r->boot_fd >= 0 && r->boot_full == room) {
		art__run_epoll(j, EPOLL_CTL_MOD, r->boot_fd, room ? EPOLLIN : EPOLLIN | EPOLLOUT,
			       RUN_EV_BOOT, art__run_index(j, r));
		r->boot_full = !room;
	}
}

/* Without room it is lost, and the rank asks again. */
void art__run_voted(struct run_job *j, struct run_rank *r, const void *p, size_t len)
{
	struct art_boot_vote m = { .head = art__boot_head(ART_BOOT_VOTED, sizeof(m.head) + len, 0) };

	if (!r->here) {
		art__hosts_voted(j, r, p, len);
		return;
	}
	memcpy(m.bytes, p, len);
	if (r->boot_fd >= 0)
		boot_send(r, &m, sizeof(m.head) + len);
}

static void say_never(struct run_job *j)
{
	if (j->end_code < 0 && !j->told)
		art__run_say(j, "rank %d ended or closed its place before its art_init was "
			     "complete; art_init of the others fails", j->never);
	j->told = true;
}

/* @r waits for the table, which cannot be: tells it, and the user the first time. */
static void tell_failed(struct run_job *j, struct run_rank *r)
{
	if (!r->card || r->told)
		return;
	r->told = true;
	if (r->boot_fd >= 0)
		answer(r, ART_BOOT_FAILED, j->never);
	if (!j->up)
		say_never(j);
}

static void send_table(struct run_job *j)
{
	if (j->hosts)
		art__hosts_table(j);
	else
		art__run_boot_news(j);
}

void art__run_boot_news(struct run_job *j)
{
	for (int i = 0; i < j->n; i++) {
		struct run_rank *r = &j->rank[i];

		if (r->boot_fd < 0 || !r->card)
			continue;
		if (j->never >= 0)
			tell_failed(j, r);
		else if (j->cards == j->n)
			art__run_boot_room(j, r);
	}
}

/* At an agent cards are counted as the table comes: it has those of the others, too. */
void art__run_boot_card(struct run_job *j, struct run_rank *r, const struct art_boot_card *card)
{
	r->card = true;
	if (j->up) {
		struct art_boot_card mine = *card;

		mine.pid = (int32_t)r->member;
		art__agent_report(j, ART_AGENT_CARD, r, &mine, sizeof(mine));
		art__run_boot_news(j);
		return;
	}
	j->card[art__run_index(j, r)] = *card;
	j->cards++;
	if (j->never >= 0)
		tell_failed(j, r);
	else if (j->cards == j->n)
		send_table(j);
}

static void on_card(struct run_job *j, struct run_rank *r, const struct art_boot_card *card)
{
	struct art_boot_card mine = *card;

	mine.host = 0;
	mine.pid = (int32_t)r->member;
	art__run_boot_card(j, r, &mine);
}

void art__run_boot_gone(struct run_job *j, struct run_rank *r)
{
	if (r->card || j->never >= 0)
		return;
	if (j->up) {
		art__agent_report(j, ART_AGENT_CLOSED, r, NULL, 0);
		return;
	}
	j->never = art__run_index(j, r);
	if (j->hosts)
		art__hosts_never(j);
	for (int i = 0; i < j->n; i++)
		tell_failed(j, &j->rank[i]);
}

void art__run_boot_abort(struct run_job *j, struct run_rank *r, int code)
{
	if (j->up) {
		art__agent_number(j, ART_AGENT_ABORT, r, code);
		return;
	}
	if (j->end_code >= 0)
		return;
	art__run_say(j, "rank %d (%spid %d) called art_abort with code %d; the job ends",
		     art__run_index(j, r), art__hosts_name(j, r), (int)r->member, code);
	/* 256 would read as success to whoever started us */
	art__run_end(j, code != 0 && (code & 255) == 0 ? 1 : code & 255, SIGKILL, 0);
}

static bool on_message(struct run_job *j, struct run_rank *r, const union message *m, size_t len,
		       pid_t pid)
{
	if (!art__boot_head_good(&m->head, len))
		return false;
	if (m->head.kind == ART_BOOT_HELLO) {
		on_hello(j, r, pid, m->head.arg == 1);
		return len == sizeof(m->head);
	}
	if (!r->hello || pid != r->member)
		return true; /* a child of the member that kept the socket: not its place */
	switch (m->head.kind) {
	case ART_BOOT_CARD:
		if (len != sizeof(m->card) || r->card || !art__boot_card_good(&m->card.card))
			return false;
		on_card(j, r, &m->card.card);
		return true;
	case ART_BOOT_DONE:
		if (j->up && !r->done)
			art__agent_report(j, ART_AGENT_DONE, r, NULL, 0);
		j->dones += !r->done;
		r->done = true;
		return true;
	case ART_BOOT_VOTE:
		art__run_vote(j, r, m->vote.bytes, len - sizeof(m->head));
		return true;
	case ART_BOOT_ABORT:
		art__run_boot_abort(j, r, m->head.arg);
		return true;
	default:
		return false;
	}
}

/* One message: its length, 0 at the end of the socket, negative if there is none now. */
static ssize_t receive(int fd, union message *m, pid_t *pid)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	struct ucred who;

	*pid = 0;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
	    c->cmsg_len == CMSG_LEN(sizeof(who))) {
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		*pid = who.pid;
	}
	return n;
}

void art__run_boot_readable(struct run_job *j, struct run_rank *r)
{
	union message m;
	pid_t pid;
	ssize_t n;

	while (r->boot_fd >= 0) {
		n = receive(r->boot_fd, &m, &pid);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n > 0 && (size_t)n <= sizeof(m) && pid > 0 &&
		    on_message(j, r, &m, (size_t)n, pid))
			continue;
		if (n > 0)
			art__run_say(j, "rank %d sent what is no message of art_init; not "
				     "listening to it any more", art__run_index(j, r));
		art__run_boot_close(r);
		art__run_boot_gone(j, r); /* nobody is left who could send the card */
	}
}
