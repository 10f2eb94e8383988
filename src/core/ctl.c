/* SPDX-License-Identifier: MIT
 *
 * See ctl.h. The header's seq holds the length of the value, off the place of the fragment.
 */
#include <string.h>

#include "core/ctl.h"

void art__ctl_init(struct art_ctl *c, const struct art_env *env, const struct art_port *port)
{
	c->env = env;
	c->port = port;
	c->rx = NULL;
}

void art__ctl_fini(struct art_ctl *c)
{
	while (c->rx)
		art__ctl_reset(c, c->rx->from);
}

void art__ctl_reset(struct art_ctl *c, int from)
{
	struct art_ctl_rx **p = &c->rx, *rx;

	while (*p && (*p)->from != from)
		p = &(*p)->next;
	rx = *p;
	if (!rx)
		return;
	*p = rx->next;
	art__env_free(c->env, rx->bytes);
	art__env_free(c->env, rx);
}

void art__ctl_send(struct art_ctl *c, int to, uint8_t kind, uint32_t epoch, const void *body,
		   size_t len)
{
	struct art_hdr h = { .kind = kind, .epoch = epoch, .seq = len };
	const uint8_t *p = body;

	do {
		size_t n = len - h.off < ART_BODY_MAX ? len - h.off : ART_BODY_MAX;

		c->port->send(c->port->self, ART_CHAN_CTL, to, &h, n ? p + h.off : NULL, n);
		h.off += n;
	} while (h.off < len);
}

/* The first fragment of a long value. */
static struct art_ctl_rx *begin(struct art_ctl *c, int from, const struct art_hdr *h)
{
	struct art_ctl_rx *rx;

	art__ctl_reset(c, from);
	if (h->seq > ART_CTL_MAX || h->len > h->seq)
		return NULL;
	rx = art__env_zalloc(c->env, sizeof(*rx));
	if (!rx)
		return NULL;
	rx->from = from;
	rx->kind = h->kind;
	rx->total = h->seq;
	rx->next = c->rx;
	return c->rx = rx;
}

static struct art_ctl_rx *find(const struct art_ctl *c, int from)
{
	struct art_ctl_rx *rx = c->rx;

	while (rx && rx->from != from)
		rx = rx->next;
	return rx;
}

/* Room for what is there, not for what is announced. */
static bool room(struct art_ctl *c, struct art_ctl_rx *rx, uint64_t len)
{
	uint64_t cap = rx->cap ? 2 * rx->cap : 2 * ART_BODY_MAX;
	uint8_t *p;

	if (rx->got + len <= rx->cap)
		return true;
	p = art__env_alloc(c->env, cap);
	if (!p)
		return false;
	if (rx->got)
		memcpy(p, rx->bytes, rx->got);
	art__env_free(c->env, rx->bytes);
	rx->bytes = p;
	rx->cap = cap;
	return true;
}

bool art__ctl_take(struct art_ctl *c, int from, const struct art_hdr *h, const uint8_t *body,
		   const uint8_t **out, size_t *len)
{
	struct art_ctl_rx *rx;

	*out = body;
	*len = h->len;
	if (h->seq == h->len && h->off == 0)
		return true;
	rx = h->off ? find(c, from) : begin(c, from, h);
	if (!rx || h->kind != rx->kind || h->off != rx->got || h->seq != rx->total ||
	    h->len > rx->total - rx->got || !h->len || !room(c, rx, h->len))
		return false;
	memcpy(rx->bytes + rx->got, body, h->len);
	rx->got += h->len;
	*out = rx->bytes;
	*len = rx->total;
	return rx->got == rx->total;
}
