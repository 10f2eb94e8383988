/* SPDX-License-Identifier: MIT
 *
 * A stream over TCP of whose run the system takes some bytes and no more, and the next segment by itself, as one
 * that may be lent goes: it stands behind the half message, not in front of it and not in its middle, and
 * takes the next number. On real sockets, with the system's answers chosen: after each number of bytes of three
 * messages that may make a difference. And the other way round: what answers messages that came together leaves
 * together, in order, however long it is and however much of it the system takes.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <art/status.h>

#include "base/env.h"
#include "engine/link.h"
#include "tests/lib/unit.h"
#include "transport/tcp/tcp.h"

#define EACH 1000
#define SEGMENTS 6
#define RUN 3
#define SHORT 6 /* messages that come together */
#define WHOLE (EACH + ART_HDR_BYTES)
#define POLLS 2000000

struct node {
	struct art_machine machine;
	struct art_link link;
	struct art_tp *tp;
	uint64_t next;  /* place of the stream that is to come */
	bool answers;   /* each message, by as many bytes of the stream as answer[] says */
	int answered;
	uint64_t answer_at;
	bool wrong;
	unsigned rooms, downs;
};

static struct art_env env;
static uint8_t stream[SEGMENTS * EACH];
static ssize_t takes; /* bytes that the system takes, then as many as `then`; -1: all */
static ssize_t then;

static ssize_t some_sendmsg(void *self, int fd, const struct msghdr *m, int flags)
{
	struct iovec v[2 * ART_TP_RUN_MAX];
	struct msghdr part = { .msg_iov = v };
	size_t left = (size_t)takes;

	(void)self;
	if (takes < 0)
		return sendmsg(fd, m, flags);
	takes = then;
	for (size_t i = 0; i < m->msg_iovlen && left; i++) {
		v[i] = m->msg_iov[i];
		v[i].iov_len = v[i].iov_len < left ? v[i].iov_len : left;
		left -= v[i].iov_len;
		part.msg_iovlen++;
	}
	if (part.msg_iovlen)
		return sendmsg(fd, &part, flags);
	errno = EAGAIN;
	return -1;
}

static const size_t answer[SHORT] = { 0, 40, 40, 600, 0, 400 };

static void answer_one(struct node *n, enum art_chan chan, int to)
{
	struct art_hdr h = { .kind = ART_K_DATA, .off = n->answer_at };
	size_t len = answer[n->answered++];

	CU_ASSERT_EQUAL(art__link_send(&n->link, chan, to, &h, stream + h.off, len), 1);
	n->answer_at += len;
}

static void on_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	struct node *n = (struct node *)m;

	if (n->answers)
		answer_one(n, chan, from);
	n->wrong |= h->off != n->next || h->off + h->len > sizeof(stream) ||
		    memcmp(body, stream + h->off, h->len) != 0;
	n->next += h->len;
}

static void on_room(struct art_machine *m, int to)
{
	(void)to;
	((struct node *)m)->rooms++;
}

static void on_link_down(struct art_machine *m, enum art_chan chan, int peer)
{
	(void)chan;
	(void)peer;
	((struct node *)m)->downs++;
}

static const struct art_machine_ops note_ops = {
	.frame = on_frame, .room = on_room, .link_down = on_link_down,
};

static void open_node(struct node *n, int slot, enum art_tp_security security, char addr[ART_TP_ADDR_MAX])
{
	struct art_tp_self self = { .slot = slot, .size = 2, .job = 7 };
	struct art_tp_opts opts = { .security = security };
	struct art_tp_up up;

	memset(n, 0, sizeof(*n));
	n->machine.ops = &note_ops;
	CU_ASSERT_EQUAL_FATAL(art__link_init(&n->link, &env, slot, 2), 0);
	n->link.machine = &n->machine;
	art__link_up(&n->link, ART_CHAN_DATA, &up);
	CU_ASSERT_EQUAL_FATAL(art__tcp_ops.open(&env, &self, &opts, &up, &n->tp), 0);
	art__link_attach(&n->link, ART_CHAN_DATA, n->tp);
	CU_ASSERT_EQUAL_FATAL(n->tp->ops->listen(n->tp, addr), 0);
}

static void close_node(struct node *n)
{
	n->tp->ops->close(n->tp);
	art__link_fini(&n->link);
}

/* Until the other one has got @upto bytes. */
static void flow(struct node n[2], uint64_t upto)
{
	for (int i = 0; i < POLLS && n[1].next < upto; i++)
		art__link_poll(&n[i % 2].link, ART_CHAN_DATA, 4);
	CU_ASSERT_EQUAL(n[1].next, upto);
}

static size_t run(struct node *n, uint64_t from, size_t len, bool *room)
{
	struct art_hdr h = { .kind = ART_K_DATA, .off = from };

	return art__link_send_run(&n->link, 1, &h, stream + from, len, EACH, room);
}

static void lend(struct node *n, uint64_t from)
{
	struct art_hdr h = { .kind = ART_K_DATA, .off = from };
	struct art_lending of = { .base = stream, .bytes = sizeof(stream) };
	uint8_t body[EACH];
	bool lent;

	memcpy(body, stream + from, EACH);
	CU_ASSERT_TRUE(art__link_lend(&n->link, 1, &h, body, EACH, &of, &lent) >= 0);
	CU_ASSERT_FALSE(lent);
	memset(body, 0xee, EACH); /* it is ours again */
}

/* The first message makes the connection, the next three are the run. */
static void stop_after(enum art_tp_security security, size_t bytes)
{
	char addr[2][ART_TP_ADDR_MAX];
	size_t begun = (bytes + WHOLE - 1) / WHOLE, taken;
	struct node n[2];
	bool room;

	takes = -1;
	open_node(&n[0], 0, security, addr[0]);
	open_node(&n[1], 1, security, addr[1]);
	CU_ASSERT_EQUAL(n[0].tp->ops->peer(n[0].tp, 1, addr[1]), 0);
	art__tcp_sys(n[0].tp)->sendmsg = some_sendmsg;
	lend(&n[0], 0);
	flow(n, EACH);

	takes = (ssize_t)bytes;
	taken = run(&n[0], EACH, RUN * EACH, &room);
	CU_ASSERT_EQUAL(taken, begun * EACH);
	CU_ASSERT_EQUAL(room, bytes == RUN * WHOLE);
	lend(&n[0], EACH + taken); /* the system takes nothing of this one */
	CU_ASSERT_EQUAL(n[0].tp->ops->pending(n[0].tp), (begun + 1) * WHOLE - bytes);
	CU_ASSERT_EQUAL(n[0].rooms, 0);
	takes = -1;
	flow(n, 2 * EACH + taken);
	CU_ASSERT_EQUAL(n[0].rooms, !room);
	taken = run(&n[0], n[1].next, sizeof(stream) - n[1].next, &room);
	flow(n, sizeof(stream));
	CU_ASSERT_FALSE(n[1].wrong || n[0].downs || n[1].downs);
	CU_ASSERT_EQUAL(n[1].link.gaps + n[1].link.repeats + n[1].link.garbage, 0);
	close_node(&n[0]);
	close_node(&n[1]);
}

static void stop_anywhere(enum art_tp_security security)
{
	static const size_t at[] = { 0, 1, ART_HDR_BYTES - 1, ART_HDR_BYTES, ART_HDR_BYTES + 1, WHOLE - 1 };

	for (size_t k = 0; k < RUN; k++)
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
			stop_after(security, k * WHOLE + at[i]);
	stop_after(security, RUN * WHOLE);
}

static uint64_t calls(const struct node *n)
{
	return ((const struct art_tcp *)n->tp)->n[ART_TCP_N_SENDMSG];
}

/* Three calls: those before the one that is too long to be copied, that one, those behind it. */
static void answers_leave_together(enum art_tp_security security, ssize_t bytes, ssize_t more)
{
	char addr[2][ART_TP_ADDR_MAX];
	struct node n[2];
	uint64_t before;
	bool room;

	takes = -1;
	open_node(&n[0], 0, security, addr[0]);
	open_node(&n[1], 1, security, addr[1]);
	CU_ASSERT_EQUAL(n[0].tp->ops->peer(n[0].tp, 1, addr[1]), 0);
	lend(&n[0], 0);
	flow(n, EACH);
	n[1].answers = true;
	art__tcp_sys(n[1].tp)->sendmsg = some_sendmsg;
	CU_ASSERT_EQUAL(art__link_send_run(&n[0].link, 1, &(struct art_hdr){ .kind = ART_K_DATA, .off = EACH },
					   stream + EACH, SHORT * 10, 10, &room), SHORT * 10);
	before = calls(&n[1]);
	takes = bytes;
	then = more;
	for (int i = 0; i < POLLS && n[1].answered < SHORT; i++)
		art__link_poll(&n[1].link, ART_CHAN_DATA, 64);
	CU_ASSERT(bytes >= 0 || calls(&n[1]) == before + 3);
	takes = -1;
	then = 0;
	for (int i = 0; i < POLLS && n[0].next < n[1].answer_at; i++)
		art__link_poll(&n[i % 2].link, ART_CHAN_DATA, 4);
	CU_ASSERT_EQUAL_FATAL(n[0].next, 1080);
	CU_ASSERT_FALSE(n[0].wrong || n[1].wrong || n[0].downs || n[1].downs);
	CU_ASSERT_EQUAL(n[0].link.gaps + n[0].link.repeats + n[0].link.garbage, 0);
	close_node(&n[0]);
	close_node(&n[1]);
}

static void what_answers_together(void)
{
	for (ssize_t bytes = -1; bytes < 2000; bytes += bytes < 300 ? 1 : 37)
		for (ssize_t more = -1; more <= 0; more++) { /* the next thing that is sent would go at once, or not */
			answers_leave_together(ART_TP_PLAIN, bytes, more);
			answers_leave_together(ART_TP_MAC, bytes, more);
			answers_leave_together(ART_TP_ENCRYPT, bytes, more);
		}
}

static void behind_a_run_that_is_half_out(void)
{
	stop_anywhere(ART_TP_PLAIN);
}

static void and_with_numbered_heads(void)
{
	stop_anywhere(ART_TP_MAC);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a lent segment behind a run that is half out", behind_a_run_that_is_half_out },
		{ "and with heads that are numbered and sealed", and_with_numbered_heads },
		{ "answers to what came together leave together", what_answers_together },
		CU_TEST_INFO_NULL,
	};

	art__env_posix(&env, NULL, ART_LOG_ERROR);
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)(i * 131 >> 3);
	return unit_run("tcp_run", tests);
}
