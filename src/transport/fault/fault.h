/* SPDX-License-Identifier: MIT
 *
 * A decorator over any transport: delays, drops, doubles messages, cuts connections and calls for
 * a kill, at coordinates (the n-th message from this slot to that peer on that channel) or with a
 * seeded probability. Without rules it is transparent. Open art__fault_ops with opts.world
 * pointing to a struct art_fault_opts.
 *
 * Rules as text, separated by ';' or white space:
 *
 *	action[:key=value,...]
 *
 *	drop     the message is not sent (the receiver sees a gap)
 *	dup      it is sent twice
 *	delay    it, and with it everything behind it to this peer, is sent ms= or us= later
 *	cut      the connection ends before it, at both sides; it is lost
 *	kill     the user's kill() is called before it; it is lost
 *
 *	rank=N   only at this slot        peer=N   only to this peer      chan=data|ctl
 *	msg=N    only the N-th message (1..) to the peer on the channel, over all connections
 *	p=X      with probability X       times=N  at most N times, over all peers of an instance
 *
 * A key not given, or given as *, matches everything: "drop:peer=3,msg=17 delay:p=0.1,ms=5". The
 * first rule that matches a message decides.
 */
#ifndef ART_TRANSPORT_FAULT_H
#define ART_TRANSPORT_FAULT_H

#include <stdint.h>

#include "transport/transport.h"

enum art_fault_action {
	ART_FAULT_DROP, ART_FAULT_DUP, ART_FAULT_DELAY, ART_FAULT_CUT, ART_FAULT_KILL,
};

struct art_fault_rule {
	enum art_fault_action action;
	int rank, peer, chan; /* -1: any */
	uint64_t msg;         /* 1.., 0: any */
	uint64_t times;       /* 0: no bound */
	uint64_t delay_ns;
	double p;             /* 1: always */
};

#define ART_FAULT_RULES 16

struct art_fault_opts {
	const struct art_tp_ops *inner;
	void *inner_world; /* opts.world of the inner transport */
	struct art_fault_rule rule[ART_FAULT_RULES]; /* copied by open */
	int nrules;
	uint64_t seed;
	/* For kill: may not come back, or mark the rank as dead. */
	void (*kill)(void *self, int slot);
	void *self;
	uint64_t *hits; /* [ART_FAULT_RULES] counted up atomically, or NULL */
};

/* Reads rules and appends them to @opts. 0, or ART_ERR_ARG and *where points at what was not
 * understood (@where may be NULL). */
int art__fault_parse(const char *text, struct art_fault_opts *opts, const char **where);

/* The instance that @tp, one of art__fault_ops, decorates; for tests. */
struct art_tp *art__fault_inner(const struct art_tp *tp);

extern const struct art_tp_ops art__fault_ops;

#endif
