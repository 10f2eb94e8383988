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
	ART_RDMA_N_LENT,     /* messages whose bodies stay in the user's memory */
	ART_RDMA_N_PULLED,   /* bodies read out of a peer's */
	ART_RDMA_N_PLACED,   /* of these, to where the user wants them */
	ART_RDMA_N_USER_BYTES, /* of the user's memory, registered now */
	ART_RDMA_N_REGISTERED, /* times that some of it was */
	ART_RDMA_N_CHOSE_WRITE, /* 1: so the long messages go, it was the faster way */
	ART_RDMA_N_CHOSE_READ,
	ART_RDMA_N_SHARED, /* receives that all pairs share */
	ART_RDMA_N_GROWN,  /* times that a busy pair got more of them */
	ART_RDMA_N_GIVEN,  /* and that an idle one gave some back */
	ART_RDMA_N_LAST
};

/* What becomes of a long message that may be lent. Ends need not agree. */
enum art_rdma_large {
	ART_RDMA_AUTO,  /* written or read, as is found to be faster (default) */
	ART_RDMA_WRITE, /* our device writes it to the peer's ring, out of the user's memory */
	ART_RDMA_READ,  /* the peer reads it there */
	ART_RDMA_COPY,  /* it is copied, as all others, and nothing of the user's is registered */
};

/* Whether all pairs of a rank share receives. Ends need not agree. */
enum art_rdma_sharing {
	ART_RDMA_SHARE_AUTO, /* in large jobs, where the device can (default) */
	ART_RDMA_SHARE_ON,   /* where the device can */
	ART_RDMA_SHARE_OFF,
};

/* opts.world of art__rdma_ops. */
struct art_rdma_opts {
	const struct art_tp_ops *carrier; /* connects the pairs, and carries what RDMA does not */
	void *carrier_world;
	bool alone;         /* the user wants no message on the carrier: without RDMA no connection */
	const char *device; /* "device[:port[:gid index]]", or NULL: chosen */
	enum art_rdma_large large;
	enum art_rdma_sharing sharing;
};

extern const struct art_tp_ops art__rdma_ops;

/* By its name: "write", "read", "copy"; NULL, or anything else: AUTO. */
static inline enum art_rdma_large art__rdma_large(const char *name)
{
	switch (name ? name[0] : 'a') {
	case 'w':
		return ART_RDMA_WRITE;
	case 'r':
		return ART_RDMA_READ;
	case 'c':
		return ART_RDMA_COPY;
	default:
		return ART_RDMA_AUTO;
	}
}

/* By its name: "on", "off"; NULL, or anything else: AUTO. */
static inline enum art_rdma_sharing art__rdma_sharing(const char *name)
{
	if (!name || name[0] != 'o')
		return ART_RDMA_SHARE_AUTO;
	return name[1] == 'n' ? ART_RDMA_SHARE_ON : ART_RDMA_SHARE_OFF;
}

/* Counters and a word for each; NULL past the last one. */
const char *art__rdma_count(const struct art_tp *tp, unsigned i, uint64_t *n);
struct art_tp *art__rdma_carrier(const struct art_tp *tp);

#endif
