/* SPDX-License-Identifier: MIT
 *
 * Control values longer than one message: cut into fragments, put together again. A value is
 * (kind, epoch, bytes); of each sender at most one is being put together at a time, since a
 * connection keeps order.
 */
#ifndef ART_CORE_CTL_H
#define ART_CORE_CTL_H

#include "engine/machine.h"

#define ART_CTL_MAX (64u * 1024 * 1024)

struct art_ctl_rx {
	struct art_ctl_rx *next;
	int from;
	uint8_t kind;
	uint64_t total, got, cap;
	uint8_t *bytes;
};

struct art_ctl {
	const struct art_env *env;
	const struct art_port *port;
	struct art_ctl_rx *rx; /* values that are not whole yet */
};

void art__ctl_init(struct art_ctl *c, const struct art_env *env, const struct art_port *port);
void art__ctl_fini(struct art_ctl *c);
void art__ctl_send(struct art_ctl *c, int to, uint8_t kind, uint32_t epoch, const void *body,
		   size_t len);
/* A fragment came. True: @out (*len bytes, valid until art__ctl_reset() of @from) is a
 * whole value. */
bool art__ctl_take(struct art_ctl *c, int from, const struct art_hdr *h, const uint8_t *body,
		   const uint8_t **out, size_t *len);
/* The connection from @from ended: what was half there is void. */
void art__ctl_reset(struct art_ctl *c, int from);

#endif
