/* SPDX-License-Identifier: MIT
 *
 * Inside of the shm transport: ranks of one host write messages into memory that the other maps.
 * One connection per pair of ranks and channel: a local socket and two segments. The socket is
 * how they meet and prove who they are, carries the segments' descriptors, and its end is the end
 * of the connection: the system closes it for who dies. Messages never touch it.
 *
 *   segment (one writer: its owner; the other maps it read-only)
 *     page: how far I have read yours | am I asleep, do I wait for space in mine
 *     ring: my messages to you (ring.h)
 *
 *   dialler:  wait --> hello --challenge--> prove --welcome + segment--> up
 *               ^---busy, closed (until the connect bound)----'
 *   acceptor: accept--> heard --hello--> asked --proof + segment--> up
 *                                           '--place taken--> parked --place free--> up
 *
 * As in tcp both ends know before the first message that this connection is the one: the acceptor
 * says welcome only when it has no other one to that peer; when both dial, the lower slot's wins.
 *
 * No names: sockets are abstract (gone with the process), segments are memfds. No locks: every
 * word has one writer, and nobody waits for a rank to finish a store; a message is there when its
 * first word is. Who dies half way through leaves a message that never was.
 *
 * Trust: the peer has proved the job key, and yet its memory may change under our eyes or hold
 * anything (it may be about to be evicted, or broken). A head is copied once and checked then;
 * lengths are checked against the ring; segments cannot shrink (sealed). A body is read by others
 * straight from the ring: to them it is data.
 */
#ifndef ART_TRANSPORT_SHM_SHM_H
#define ART_TRANSPORT_SHM_SHM_H

#include <sys/queue.h>

#include "transport/shm/ring.h"
#include "transport/transport.h"

#define ART_SHM_NAME_MAX 32        /* of an abstract socket, without the leading NUL */
#define ART_SHM_WORDS_BYTES 52     /* who I am, whom I want, a nonce */
#define ART_SHM_MAC_BYTES 16
#define ART_SHM_HELLO_BYTES (ART_SHM_WORDS_BYTES + ART_SHM_MAC_BYTES)
#define ART_SHM_PROOF_BYTES (8 + ART_SHM_MAC_BYTES)
#define ART_SHM_HELLO_NS (2 * ART_NS_PER_S)
#define ART_SHM_PENDING_MAX 64     /* accepted and not yet authenticated */

enum art_shm_state {
	ART_SHM_WAIT,   /* dial: no socket, next attempt at deadline_ns */
	ART_SHM_HELLO,  /* dial: hello sent, waiting for the challenge */
	ART_SHM_PROVE,  /* dial: proof sent, waiting for the welcome: the peer may say yes */
	ART_SHM_HEARD,  /* accepted, waiting for a hello; of our user, and still a stranger */
	ART_SHM_ASKED,  /* accepted, challenge sent, waiting for the proof; still a stranger */
	ART_SHM_PARKED, /* accepted and proven, waiting until the place is free */
	ART_SHM_UP,     /* messages flow */
	ART_SHM_DEAD,   /* closed; memory is kept until no one can look at it */
};

/* What happened, counted; refusals are logged once per kind. */
enum art_shm_count {
	ART_SHM_N_ACCEPTED,
	ART_SHM_N_UP,
	ART_SHM_N_USER,        /* refused: of another user */
	ART_SHM_N_GARBAGE,     /* refused: not our handshake */
	ART_SHM_N_VERSION,
	ART_SHM_N_CHANNEL,
	ART_SHM_N_JOB,
	ART_SHM_N_SLOT,
	ART_SHM_N_DROPPED,
	ART_SHM_N_STALE,       /* refused: of an incarnation older than one seen */
	ART_SHM_N_KEY,
	ART_SHM_N_SLOW,
	ART_SHM_N_CROWD,
	ART_SHM_N_SEGMENT,     /* refused: its segment, or ours, cannot be used */
	ART_SHM_N_LEFT,        /* the peer closed before the handshake was complete */
	ART_SHM_N_PARKED,
	ART_SHM_N_ACCEPT_FAIL, /* accept() failed for want of resources */
	ART_SHM_N_BELLS,       /* sleeping peers rung */
	ART_SHM_N_QUEUED,      /* messages that found no space in a ring */
	ART_SHM_N_LAST
};

struct art_shm_conn {
	TAILQ_ENTRY(art_shm_conn) list; /* dials, pending or parked; up and dead: in none */
	enum art_shm_state state;
	int fd;
	int peer; /* -1 while unknown */
	bool ended; /* nothing more will be written by the peer, or we ended it; down() is due */
	enum art_tp_why why;
	/* Up. */
	struct art_shm_tx tx;
	struct art_shm_rx rx;
	int bell;           /* the peer's, when it sleeps */
	uint32_t rung;      /* its `armed` when we rang last */
	/* Handshake. */
	uint64_t deadline_ns; /* of this state */
	uint64_t bound_ns;    /* dial: of all attempts together */
	uint64_t backoff_ns;
	uint64_t incarnation; /* of the peer */
	int got[2];           /* descriptors that came with a proof: segment, bell; -1: none */
	uint8_t script[2 * ART_SHM_WORDS_BYTES]; /* dialler's words, acceptor's words */
};

TAILQ_HEAD(art_shm_list, art_shm_conn);

struct art_shm_chunk { /* one message that waits for space, or for a connection */
	STAILQ_ENTRY(art_shm_chunk) next;
	size_t len; /* head included */
	uint8_t data[];
};

STAILQ_HEAD(art_shm_queue, art_shm_chunk);

struct art_shm_peer {
	char name[ART_SHM_NAME_MAX]; /* "": not known */
	bool dropped;
	bool full; /* room() is owed */
	struct art_shm_conn *conn; /* up */
	struct art_shm_conn *dial;
	struct art_shm_queue queue;
	size_t queued;
	uint64_t incarnation; /* highest that proved itself */
};

struct art_shm {
	struct art_tp tp;
	const struct art_env *env;
	struct art_tp_self self;
	struct art_tp_up up;
	size_t queue_high, queue_max, ring_bytes;
	uint64_t connect_ns;
	int ep, bell, lfd;
	bool armed;     /* ours sleeps on fd() */
	uint32_t armings; /* odd while armed: what peers see */
	bool polling;   /* inside poll(): nothing is freed */
	bool nudge;     /* a parked connection may have got its place */
	bool buried;    /* some of ups[] are dead */
	uint64_t accept_ns; /* accept() again at this time; 0: the listener is watched */
	int budget, upcalls; /* of the present poll() */
	unsigned spins, turn;
	unsigned n_up, n_pending, n_ended, n_queues; /* n_ended, n_queues: of ups[] */
	struct art_shm_conn **ups; /* [n_up] of [self.size]; dead ones leave at the end of poll() */
	struct art_shm_list dials, pending, parked, dead;
	size_t queued;
	uint32_t logged; /* bit per enum art_shm_count */
	uint64_t n[ART_SHM_N_LAST];
	struct art_shm_peer *peer; /* [size] */
};

/* shm_conn.c: connections and their states */
int art__shm_dial(struct art_shm *t, int peer);
void art__shm_accept(struct art_shm *t);
void art__shm_set_state(struct art_shm *t, struct art_shm_conn *c, enum art_shm_state state);
/* Closes the socket and leaves every list; the peer's queue stays. */
void art__shm_kill(struct art_shm *t, struct art_shm_conn *c);
/* The connection or dial is over: kill, forget the queue, tell the user. Only in poll(). */
void art__shm_finish(struct art_shm *t, struct art_shm_conn *c, enum art_tp_why why);
/* The connection is over; poll() delivers what has come and says so. */
void art__shm_end(struct art_shm *t, struct art_shm_conn *c, enum art_tp_why why);
/* This attempt of a dial failed; there will be another one. */
void art__shm_retry(struct art_shm *t, struct art_shm_conn *c);
/* The peer says no, or is not there: the dial is over. */
void art__shm_refused(struct art_shm *t, struct art_shm_conn *c);
/* @c proved itself: make it the connection, park it, or close it. */
void art__shm_claim(struct art_shm *t, struct art_shm_conn *c);
/* The acceptor said welcome to our dial. */
void art__shm_welcomed(struct art_shm *t, struct art_shm_conn *c);
void art__shm_forget_parked(struct art_shm *t, int peer);
void art__shm_timers(struct art_shm *t);
uint64_t art__shm_next_timer(const struct art_shm *t);
void art__shm_reap(struct art_shm *t);

/* shm_hello.c: the handshake's messages */
void art__shm_hello_start(struct art_shm *t, struct art_shm_conn *c);
/* The socket of @c, in a handshake, is readable. */
void art__shm_hello_step(struct art_shm *t, struct art_shm_conn *c);
/* Sends the welcome, with our segment and bell. False: the connection is lost. */
bool art__shm_hello_welcome(struct art_shm *t, struct art_shm_conn *c);
/* Tells a dialler that it need not try again. */
void art__shm_hello_refuse(struct art_shm *t, struct art_shm_conn *c);
/* Counts, and logs the first of its kind. */
void art__shm_count_refusal(struct art_shm *t, const struct art_shm_conn *c,
			    enum art_shm_count why);

/* shm_send.c */
int art__shm_send(struct art_shm *t, int peer, const struct iovec *iov, int niov);
/* Moves from the queue into the ring what has space; rings, tells of room. Only in poll(). */
void art__shm_flush(struct art_shm *t, struct art_shm_conn *c);
void art__shm_forget_queue(struct art_shm *t, struct art_shm_peer *p);
/* The peer sleeps: it is rung if it was not since it fell asleep. */
void art__shm_wake(struct art_shm *t, struct art_shm_conn *c, uint32_t armed);

/* After something was stored for the peer (sequentially consistent, as its falling asleep is). */
static inline void art__shm_wake_if_asleep(struct art_shm *t, struct art_shm_conn *c)
{
	uint32_t armed = atomic_load(&c->rx.page->armed);

	if (armed & 1)
		art__shm_wake(t, c, armed);
}
/* Makes our own descriptor readable. */
void art__shm_kick(struct art_shm *t);

/* For the registry and art-info. */
const uint64_t *art__shm_counters(const struct art_tp *tp);
const char *art__shm_count_name(enum art_shm_count what);

extern const struct art_tp_ops art__shm_ops;

#endif
