/* SPDX-License-Identifier: MIT
 *
 * What the files of the simulated transport share: the event queue (sim_world.c), connections
 * and what happens to them (sim_net.c), instances (sim.c).
 */
#ifndef ART_TRANSPORT_SIM_IMPL_H
#define ART_TRANSPORT_SIM_IMPL_H

#include "transport/sim/sim.h"

struct sim_conn;
struct sim_inst;
struct sim_loan;

enum sim_what {
	SIM_SYN,  /* I should like to talk to you */
	SIM_ACK,  /* and I to you */
	SIM_MSG,
	SIM_FIN,  /* the end of this direction; also put into an inbox by the world itself */
	SIM_ROOM, /* local: the queue to the peer has shrunk */
	SIM_BACK, /* local: what was lent was read */
};

/* Anything that travels, or waits in an inbox to be polled. */
struct sim_item {
	struct sim_item *next;
	struct sim_conn *conn; /* counted; NULL while it waits for a connection */
	int side;              /* sent by conn->end[side]; SIM_ROOM: the peer */
	enum sim_what what;
	enum art_tp_why why;   /* SIM_FIN */
	struct sim_loan *loan; /* its body is still at the sender's; SIM_BACK: this one is over */
	uint8_t *place;        /* where the receiver has it put, before it looks; NULL: not */
	void *place_token;
	bool asked;            /* whether there is a place */
	bool spoilt;           /* it had one, which was taken away */
	uint64_t depart, arrive;
	size_t len;            /* body */
	size_t cap;            /* bytes of data[] */
	uint8_t data[];        /* head and body */
};

struct sim_list {
	struct sim_item *head, *tail;
};

/* One direction of a connection: what flies, oldest first. */
struct sim_dir {
	struct sim_list fly;
	struct sim_item *undeparted; /* the first that has not left the sender */
	size_t waiting;              /* bytes not departed */
	size_t unread;               /* bytes flying or in the receiver's inbox */
	uint64_t tx_free;            /* when the sender's wire is free */
	uint64_t last_arrive;
	bool scheduled;              /* an event for the head is in the queue */
	bool ended;                  /* its FIN was sent: nothing may follow */
	bool gap;                    /* a message of it vanished: it cannot go on for long */
};

/* end[0] dialled, end[1] accepts. dir[i] goes out from end[i].
 *
 *   SYN ---> accepted (up) ---ACK---> established (up)
 *
 * closed[i]: end[i] takes nothing more from it. Freed when nobody refers to it. */
struct sim_conn {
	struct art_sim_world *world;
	struct sim_conn *next, **prev;
	int refs;
	uint32_t chan;
	int end[2];
	bool closed[2];
	struct sim_dir dir[2];
};

/* What an instance knows of one peer. At most one of conn and dial is set. */
struct sim_peer {
	bool dropped;
	bool want_room;
	struct sim_conn *conn; /* counted */
	struct sim_conn *dial; /* counted: ours, not answered yet */
	struct sim_list queue; /* waits for the connection */
	size_t queued;         /* its bytes */
};

struct sim_inst {
	struct art_tp tp;
	struct art_sim_world *world;
	struct art_env env;
	struct art_tp_self self;
	struct art_tp_opts opts;
	struct art_tp_up up;
	bool listening, dead, paused, polling;
	struct sim_list inbox;
	bool *known;            /* [size] its address was given */
	struct sim_peer **peer; /* [size], made when first used */
};

enum sim_event_kind {
	SIM_EV_HEAD, SIM_EV_ROOM, SIM_EV_DIAL, SIM_EV_END, SIM_EV_CUT, SIM_EV_FN,
};

struct sim_event {
	uint64_t when, order;
	enum sim_event_kind kind;
	int side;
	uint64_t word;
	void *self; /* a counted connection, or the caller's */
	void (*fn)(void *self, uint64_t word);
};

/* One direction between two slots. */
struct sim_path {
	uint8_t cut; /* enum art_sim_cut */
	bool hold[ART_SIM_CHANNELS];
	uint32_t generation; /* of the cut */
};

#define SIM_SMALL 256 /* bytes of data[] in an item of the free list */

struct art_sim_world {
	struct art_env env; /* memory only */
	struct art_sim_cfg cfg;
	int *hosts;
	uint64_t now, order, rng;
	struct sim_event *heap;
	size_t nheap, cap;
	struct sim_conn *conns;
	struct sim_path *path;    /* [size * size], made when the first link is cut or held */
	struct sim_inst **inst;   /* [size * ART_SIM_CHANNELS] */
	bool *dead, *paused;      /* [size] */
	struct sim_item *spare;
	struct sim_loan *loans;
	uint64_t flying;
};

/* ---- sim_world.c ---- */
void art__sim_push(struct art_sim_world *w, const struct sim_event *ev);
struct sim_item *art__sim_item_new(struct art_sim_world *w, enum sim_what what, size_t body);
void art__sim_item_free(struct art_sim_world *w, struct sim_item *it);
void art__sim_list_put(struct sim_list *l, struct sim_item *it);
struct sim_item *art__sim_list_take(struct sim_list *l);
struct sim_inst **art__sim_slot(struct art_sim_world *w, int slot, uint32_t chan);
void art__sim_announce(struct art_sim_world *w, int slot, uint32_t chan);

/* ---- sim_net.c ---- */
struct sim_conn *art__sim_conn_new(struct art_sim_world *w, uint32_t chan, int from, int to);
void art__sim_conn_ref(struct sim_conn *c);
void art__sim_conn_unref(struct sim_conn *c);
/* Sends an item out of end[side]; owns it from now on. */
void art__sim_conn_push(struct sim_conn *c, int side, struct sim_item *it);
/* end[side] ends it: takes nothing more, the other end gets a prefix and then FIN. */
void art__sim_conn_close(struct sim_conn *c, int side, enum art_tp_why why);
/* Tells end[side] of the end, without the network. */
void art__sim_conn_tell(struct sim_conn *c, int side, enum art_tp_why why);
/* A message of end[side] was taken by the receiver. */
void art__sim_conn_read(struct sim_conn *c, int side, size_t bytes);
/* Bytes out of end[side] that its peer's system has not taken. */
size_t art__sim_conn_backlog(struct sim_conn *c, int side);
/* Something came to a closed end: its system answers with a reset. */
void art__sim_conn_refuse(struct sim_conn *c, int side, enum art_tp_why why);
void art__sim_on_head(struct sim_conn *c, int side);
void art__sim_on_end(struct sim_conn *c);
void art__sim_on_cut(struct art_sim_world *w, uint64_t word, uint32_t generation);

/* ---- sim_lend.c ---- */
/* The body of @it is @body, which is read when it is looked at. False: no memory. */
bool art__sim_lend(struct sim_inst *i, struct sim_item *it, const uint8_t *body, void *token);
/* Fetches it. False: it cannot be read any more. */
bool art__sim_read_lent(struct art_sim_world *w, struct sim_item *it);
/* What waits for @i and is lent may be put where it goes, from now on: until it is read there is rubbish. */
void art__sim_place(struct sim_inst *i);
void art__sim_unplace(struct sim_inst *i, const void *token);
/* It is over, or lost; its owner will hear of it. */
void art__sim_loan_back(struct art_sim_world *w, struct sim_loan *l);
/* A SIM_BACK: number of upcalls. */
int art__sim_tell_back(struct sim_inst *i, struct sim_item *it);
void art__sim_lent_over(struct sim_inst *i, const void *token);
void art__sim_loans_free(struct art_sim_world *w);

/* ---- sim.c ---- */
void art__sim_on_dial(struct sim_conn *c);
void art__sim_inst_put(struct sim_inst *i, struct sim_item *it);
/* The queue from (slot, channel) to @peer may have shrunk. */
void art__sim_inst_room(struct art_sim_world *w, int slot, uint32_t chan, int peer);
/* What waits for a dead process will never be read. */
void art__sim_inst_die(struct sim_inst *i);

#endif
