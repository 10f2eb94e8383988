/* SPDX-License-Identifier: MIT
 *
 * A double of libibverbs for tests in one process: a program that links it has two ends of each
 * queue pair in its own memory and no device. It is strict where devices are (keys, bounds, states,
 * posted receives, room in queues) and does on demand what a software device never does: bytes
 * of a write placed in another order, receivers that are not ready, retries that run out, a port
 * that goes down, a device that is removed, memory that cannot be registered, writes that arrive
 * late.
 */
#ifndef ART_TESTS_VERBS_DOUBLE_H
#define ART_TESTS_VERBS_DOUBLE_H

#include <infiniband/verbs.h>
#include <stdbool.h>

struct verbs_double {
	/* The device; to be set before it is opened. */
	bool none;            /* there is none */
	bool infiniband;      /* LIDs; else RoCE */
	bool inactive;        /* its port is down from the start */
	unsigned max_inline;  /* of a queue pair, bytes */
	int max_cqe;
	int max_srq_wr;       /* receives that queue pairs share; 0: none do */
	int max_sge;          /* pieces of memory that a work request is gathered from */
	uint8_t max_reads;    /* at once, of a queue pair */
	bool fork_hazard;     /* a child may get the pages that the device uses */
	bool on_demand;       /* it can do with memory that is not pinned */
	bool refuse_on_demand; /* so it says, and then will not register any */
	/* What happens to work requests. */
	bool late;            /* nothing is placed when it is posted, all at the next look at a queue */
	bool backwards;       /* and then the last bytes first, the completion one look later */
	bool mute;            /* bytes are placed at once, but no completion comes until this is false */
	bool held;            /* nothing happens to them until this is false again */
	long fail_at;         /* the work request of this number (1..) fails; 0: none */
	bool fail_on;         /* and all behind it */
	long fail_every;      /* every so many-th */
	uint32_t imm_flip;    /* these bits of immediate data arrive wrong */
	bool reads_held;      /* no read happens, nor what was posted behind it */
	long fail_read;       /* every so many-th read fails half way */
	enum ibv_wc_status fail_with;
	/* What is refused, at the n-th time (1..) and from then on; 0: never. */
	long refuse_mr, refuse_qp, refuse_post, refuse_modify, refuse_srq, refuse_srq_recv;
	bool stuck;           /* queue pairs stay as they are, whatever is asked for */
	bool ends_late;       /* when one ends, what was held has happened meanwhile */
	bool loses_receives;  /* a queue pair that ends takes a shared receive with it */
	/* Counted. */
	unsigned long wrs, mrs, qps, posts, modifies, srqs, srq_posts, srq_recvs, reads, reads_done;
	unsigned long rejected; /* writes that met no key, no bounds or no queue pair */
	unsigned long not_ready; /* that met no receive */
	unsigned on_demand_mrs; /* made so */
	size_t registered;    /* bytes, now */
	unsigned open_mrs, open_qps, open_cqs, open_srqs, open_contexts;
	size_t receives;      /* posted now, all queues */
};

extern struct verbs_double verbs_double;

/* As a new program has it. Nothing may be open. */
void verbs_double_reset(void);
/* All contexts hear of it; the port's state follows, and without it writes fail. */
void verbs_double_event(enum ibv_event_type what);
/* Ends the queue pairs that stayed. */
void verbs_double_bury(void);
/* Lets what was held or late happen. */
void verbs_double_run(void);
/* Overwrites @n bytes at @offset of every registered region of @bytes or more. */
void verbs_double_scribble(size_t offset, int byte, size_t n);

/* Regions that may only be read have another key from now on, as it were. */
void verbs_double_forget_users(void);

#endif
