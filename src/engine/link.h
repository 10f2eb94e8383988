/* SPDX-License-Identifier: MIT
 *
 * Between a machine and its two transports (data, control): encodes and decodes headers, checks
 * who a message claims to be from, and counts messages per connection, so that a lost or doubled
 * message is noticed (a gap ends the connection, a repeat is dropped). No threads, no clock:
 * the same code runs in a process and in the simulator.
 */
#ifndef ART_ENGINE_LINK_H
#define ART_ENGINE_LINK_H

#include "engine/machine.h"
#include "transport/transport.h"

struct art_link_peer {
	uint32_t tx_seq; /* messages given to the present connection, or to the one being made */
	uint32_t rx_seq; /* messages received on it */
	bool up;         /* there is a connection */
	bool fenced;     /* for ever */
	bool lost;       /* send() could not take a message: link_down() is due */
};

struct art_link {
	const struct art_env *env;
	struct art_machine *machine;
	int slot, size;
	struct art_link_chan {
		struct art_link *link;
		enum art_chan chan;
		struct art_tp *tp;
		struct art_link_peer *peer; /* [size] */
		int lost;                   /* peers with lost set */
		uint64_t tx_messages, tx_bytes, rx_messages, rx_bytes; /* of bodies */
	} chan[2];
	uint64_t garbage; /* messages refused: wrong source, damaged header */
	uint64_t gaps;    /* messages that showed that one before them is missing */
	uint64_t repeats; /* messages dropped because they had been there */
};

/* 0 or ART_ERR_NOMEM. Transports are attached with art__link_up() / art__link_attach(). */
int art__link_init(struct art_link *l, const struct art_env *env, int slot, int size);
void art__link_fini(struct art_link *l);

/* The upcalls to open a transport with, for one channel. */
void art__link_up(struct art_link *l, enum art_chan chan, struct art_tp_up *up);
void art__link_attach(struct art_link *l, enum art_chan chan, struct art_tp *tp);

/* The transport's poll(), and link_down() for what send() could not take. Use this one. */
int art__link_poll(struct art_link *l, enum art_chan chan, int budget);

/* Fills the header's src, link_seq, len and sends: art_port.send for one thread. */
int art__link_send(struct art_link *l, enum art_chan chan, int to, const struct art_hdr *h,
		   const void *body, size_t len);
/* art_port.send_run, the same. */
size_t art__link_send_run(struct art_link *l, int to, const struct art_hdr *h, const void *body,
			  size_t len, size_t each, bool *room);
/* art_port.lends, lend, lent_over and unplace. */
bool art__link_lends(const struct art_link *l, int to);
int art__link_lend(struct art_link *l, int to, const struct art_hdr *h, const void *body, size_t len,
		   const struct art_lending *from, bool *lent);
void art__link_lent_over(struct art_link *l, struct art_op *op);
void art__link_unplace(struct art_link *l, struct art_op *op);
void art__link_fence(struct art_link *l, int slot);
void art__link_relink(struct art_link *l, int slot);
/* A connection, for later. If it cannot be had nobody misses it now. */
void art__link_open(struct art_link *l, enum art_chan chan, int to);

#endif
