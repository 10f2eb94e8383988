/* SPDX-License-Identifier: MIT
 *
 * Many messages in one system call: each call costs more than it sends of a segment, since on one host
 * the receiver's half of the system runs inside it. What the system does not take stays where
 * it is, but for the rest of a message that is half out, which goes into the peer's queue.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>

/* Seals all of it, and lists what is to be sent. */
static size_t gather(struct art_tcp *t, struct art_tcp_conn *c, const struct art_tp_run *run,
		     struct iovec *iov)
{
	const struct iovec *head;
	struct iovec none;
	int one;

	assert(t->security != ART_TP_ENCRYPT);
	for (int i = 0; i < run->n; i++) {
		iov[2 * i] = (struct iovec){ run->head[i], ART_TP_HEAD };
		iov[2 * i + 1] = (struct iovec){
			(void *)(uintptr_t)(run->body + (size_t)i * run->each),
			art__transport_run_body(run, i),
		};
		head = &iov[2 * i];
		one = 1;
		art__tcp_seal(t, c, &head, &one, &none);
	}
	return run->len + (size_t)run->n * ART_TP_HEAD;
}

/* How many messages @n bytes reach into; *rest: how much of the last one they are. */
static int reached(const struct art_tp_run *run, size_t n, size_t *rest)
{
	size_t whole = run->each + ART_TP_HEAD;

	*rest = n % whole;
	return (int)(n / whole) + (*rest > 0);
}

static void refuse(struct art_tcp_peer *p, struct art_tp_run *run)
{
	p->full = true;
	run->room = false;
}

/* The system has taken @sent bytes, and no more. */
static int taken_of(struct art_tcp *t, struct art_tcp_conn *c, struct art_tp_run *run,
		    const struct iovec *iov, size_t sent)
{
	size_t begun;
	int n = reached(run, sent, &begun);

	for (int i = n; i < run->n; i++)
		art__tcp_unsend(t, c);
	if (begun)
		art__tcp_send_rest(t, c, iov + 2 * (n - 1), 2, begun,
				   ART_TP_HEAD + art__transport_run_body(run, n - 1));
	else
		art__tcp_wait_writable(t, c);
	refuse(&t->peer[c->peer], run);
	return n;
}

int art__tcp_send_run(struct art_tcp *t, int peer, struct art_tp_run *run)
{
	struct iovec iov[2 * ART_TP_RUN_MAX];
	struct art_tcp_conn *c;
	size_t len;
	ssize_t sent;

	assert(peer >= 0 && peer < t->self.size && peer != t->self.slot);
	c = t->peer[peer].conn;
	if (!c || t->security == ART_TP_ENCRYPT) /* they are copied anyway */
		return art__transport_send_each(&t->tp, peer, run);
	run->room = true;
	if (t->holding)
		art__tcp_hold_leaves(t, c);
	if (c->broken) /* lost with the connection; its down() is on the way */
		return run->n;
	if (c->blocked) {
		refuse(&t->peer[peer], run);
		return 0;
	}
	len = gather(t, c, run, iov);
	sent = art__tcp_send_now(t, c, iov, 2 * run->n);
	if (sent == (ssize_t)len)
		return run->n;
	if (sent < 0) {
		art__tcp_break(t, c, ART_TP_RESET);
		return run->n;
	}
	return taken_of(t, c, run, iov, (size_t)sent);
}
