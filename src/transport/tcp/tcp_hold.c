/* SPDX-License-Identifier: MIT
 *
 * Short messages that answer several which came at once, gathered: each system call costs more than what a
 * short message holds. While messages are delivered and others lie behind them in the same buffer, what is
 * sent in reply to each peer is put together here, and leaves in one call when the buffer is through, or before
 * something that is not held goes the same way. Of one message alone nothing is held: what it brings
 * about leaves at once.
 *
 * A message here is sealed, has its number, and counts as sent; it can only leave or be lost with its
 * connection. Nothing stays here between two calls of poll().
 */
#include "transport/tcp/tcp.h"

#include <string.h>

#define HOLD_LONGEST 512 /* bytes; a longer one is not copied */

static struct art_tcp_hold *find(struct art_tcp *t, const struct art_tcp_conn *c)
{
	for (int i = 0; i < t->nhold; i++)
		if (t->hold[i].conn == c)
			return &t->hold[i];
	return NULL;
}

static void leave(struct art_tcp *t, struct art_tcp_hold *h)
{
	struct iovec all = { h->data, h->len };
	struct art_tcp_conn *c = h->conn;
	ssize_t n;

	h->len = 0;
	if (!all.iov_len || c->state != ART_TCP_UP || c->broken)
		return;
	n = art__tcp_send_now(t, c, &all, 1);
	if (n == (ssize_t)all.iov_len)
		return;
	if (n < 0 || art__tcp_send_rest(t, c, &all, 1, (size_t)n, all.iov_len) < 0)
		art__tcp_break(t, c, ART_TP_RESET);
}

void art__tcp_hold_leaves(struct art_tcp *t, struct art_tcp_conn *c)
{
	struct art_tcp_hold *h = find(t, c);

	if (h)
		leave(t, h);
}

void art__tcp_hold_ends(struct art_tcp *t)
{
	for (int i = 0; i < t->nhold; i++)
		leave(t, &t->hold[i]);
	t->nhold = 0;
	t->holding = false;
}

bool art__tcp_hold(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov, size_t len)
{
	size_t sealed = art__tcp_sealed_len(t, len);
	struct art_tcp_hold *h = find(t, c);
	struct iovec one;

	if (h && (sealed > HOLD_LONGEST || h->len + sealed > sizeof(h->data)))
		leave(t, h);
	if (sealed > HOLD_LONGEST || c->blocked || (!h && t->nhold == ART_TCP_HOLDS))
		return false;
	if (!h) {
		h = &t->hold[t->nhold++];
		h->conn = c;
		h->len = 0;
	}
	art__tcp_seal(t, c, &iov, &niov, &one);
	for (int i = 0; i < niov; i++) {
		memcpy(h->data + h->len, iov[i].iov_base, iov[i].iov_len);
		h->len += iov[i].iov_len;
	}
	return true;
}
