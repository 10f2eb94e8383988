/* SPDX-License-Identifier: MIT
 *
 * Two transports as one: each pair of ranks uses the near one where it can, else the far one.
 * Which it is shows to nobody above; an address names both ways ("shm:0123456789abcdef;1.2.3.4:5",
 * or either part alone).
 *
 *   near, untried --first send or connect--> near, dialled --up--> near
 *        |                                        | refused: what was sent moves over
 *        '--the peer comes over far---------------'-----------> far, for ever
 *
 * Nothing is lost on the way from near to far, as messages are held here until the first
 * connection is up. Both ends come to the same choice: who goes far refuses near from then on, and
 * who is reached over far follows.
 */
#ifndef ART_TRANSPORT_MULTI_MULTI_H
#define ART_TRANSPORT_MULTI_MULTI_H

#include "transport/transport.h"

/* opts.world of art__multi_ops. */
struct art_multi_opts {
	const struct art_tp_ops *near, *far; /* near that cannot be opened is done without */
	void *far_world;                     /* opts.world of far */
};

extern const struct art_tp_ops art__multi_ops;

/* @i = 0: the near transport or NULL, 1: the far one. */
struct art_tp *art__multi_inner(const struct art_tp *tp, int i);

#endif
