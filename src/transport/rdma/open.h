/* SPDX-License-Identifier: MIT
 *
 * What the registry has to know of the rdma transport; no header of libibverbs, which a build may
 * be without (rdma_none.c).
 */
#ifndef ART_TRANSPORT_RDMA_OPEN_H
#define ART_TRANSPORT_RDMA_OPEN_H

#include "transport/transport.h"

/* What happened, counted. */
enum art_rdma_count {
	ART_RDMA_N_UP,       /* pairs of ranks that moved to RDMA */
	ART_RDMA_N_BROKEN,   /* that moved back */
	ART_RDMA_N_BYTES,    /* registered now */
	ART_RDMA_N_REFUSED,  /* offers that could not be used */
	ART_RDMA_N_NO_MEMORY, /* pairs for which there was no memory to register */
	ART_RDMA_N_SENT,     /* messages written to rings */
	ART_RDMA_N_EARLY,    /* messages found in memory, before a completion told of them */
	ART_RDMA_N_QUEUED,   /* messages that found no space in one */
	ART_RDMA_N_RESENT,   /* messages sent again over the carrier */
	ART_RDMA_N_LAST
};

/* opts.world of art__rdma_ops. */
struct art_rdma_opts {
	const struct art_tp_ops *carrier; /* connects the pairs, and carries what RDMA does not */
	void *carrier_world;
	bool alone;         /* the user wants no message on the carrier: without RDMA no connection */
	const char *device; /* "device[:port[:gid index]]", or NULL: chosen */
};

extern const struct art_tp_ops art__rdma_ops;

/* Counters and a word for each; NULL past the last one. */
const char *art__rdma_count(const struct art_tp *tp, unsigned i, uint64_t *n);
struct art_tp *art__rdma_carrier(const struct art_tp *tp);

#endif
