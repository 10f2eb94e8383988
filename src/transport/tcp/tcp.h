/* SPDX-License-Identifier: MIT
 *
 * Inside of the tcp transport: one bidirectional connection per pair of ranks and channel,
 * dialled by whoever sends first. The rest of the library sees only art__tcp_ops and, through the
 * registry, the counters; the table of system calls at the end is for tests.
 *
 *   dialler:  wait --timer--> connect --connected--> hello --challenge--> prove --welcome--> up
 *               ^---refused, closed, slow (until the connect bound)---'------'
 *   acceptor: accept--> heard --hello--> asked --proof--> up
 *                                           '--place taken--> parked --place free--> up
 *
 * Both ends know before the first message that this connection is the one: the dialler sends
 * nothing after its proof until the acceptor's welcome, and the acceptor gives a welcome only
 * when it has no other connection to that peer. When both dial, the lower slot's connection
 * wins: the higher slot takes it and abandons its own dial, the lower slot parks the other's
 * until its own has come to an end. So no message is ever sent on a connection that loses.
 */
#ifndef ART_TRANSPORT_TCP_TCP_H
#define ART_TRANSPORT_TCP_TCP_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "transport/transport.h"

#define ART_TCP_WORDS_BYTES 84     /* who I am, whom I want, a nonce, an ephemeral key */
#define ART_TCP_MAC_BYTES 16
#define ART_TCP_HELLO_BYTES (ART_TCP_WORDS_BYTES + ART_TCP_MAC_BYTES) /* hello and challenge */
#define ART_TCP_PROOF_BYTES (8 + ART_TCP_MAC_BYTES)                   /* proof and welcome */
#define ART_TCP_SECRET_BYTES 32
#define ART_TCP_SIP_BYTES 16
#define ART_TCP_SEAL_BYTES 20      /* what encryption adds to a message */
#define ART_TCP_HELLO_NS (2 * ART_NS_PER_S)
#define ART_TCP_PENDING_MAX 64     /* accepted and not yet authenticated */
#define ART_TCP_ADDRS 2            /* of one rank: one per family */
#define ART_TCP_ADDR_TEXT 80       /* bytes of one address as text */
#define ART_TCP_HOT_MAX 1          /* so many busy connections are read without asking epoll */

enum art_tcp_state {
	ART_TCP_WAIT,    /* dial: no socket, next attempt at deadline_ns */
	ART_TCP_CONNECT, /* dial: connect() in progress */
	ART_TCP_HELLO,   /* dial: hello sent, waiting for the challenge */
	ART_TCP_PROVE,   /* dial: proof sent, waiting for the welcome: the peer may say yes */
	ART_TCP_HEARD,   /* accepted, waiting for a hello; the peer is a stranger */
	ART_TCP_ASKED,   /* accepted, challenge sent, waiting for the proof; still a stranger */
	ART_TCP_PARKED,  /* accepted and proven, waiting until the place is free */
	ART_TCP_UP,      /* messages flow */
	ART_TCP_DEAD,    /* closed; memory is kept until no one can look at it */
};

/* What happened, counted; refusals are logged once per kind. */
enum art_tcp_count {
	ART_TCP_N_ACCEPTED,    /* sockets accepted */
	ART_TCP_N_UP,          /* connections that completed their handshake */
	ART_TCP_N_GARBAGE,     /* refused: not our handshake at all */
	ART_TCP_N_VERSION,     /* refused: of another version of the library */
	ART_TCP_N_SECURITY,    /* refused: of another security level */
	ART_TCP_N_CHANNEL,     /* refused: of the other channel */
	ART_TCP_N_JOB,         /* refused: of another job */
	ART_TCP_N_SLOT,        /* refused: claims our own slot, one out of range, or wants another */
	ART_TCP_N_DROPPED,     /* refused: from a slot that was dropped */
	ART_TCP_N_STALE,       /* refused: of an incarnation older than one seen */
	ART_TCP_N_KEY,         /* refused: does not know the job key */
	ART_TCP_N_SLOW,        /* refused: no complete handshake within the bound */
	ART_TCP_N_CROWD,       /* refused: the oldest of too many strangers */
	ART_TCP_N_FORGED,      /* ended: a message was altered, or is not the peer's */
	ART_TCP_N_LEFT,        /* the peer closed before the handshake was complete */
	ART_TCP_N_PARKED,      /* had to wait for another connection to end */
	ART_TCP_N_ACCEPT_FAIL, /* accept() or what follows it failed for want of resources */
	ART_TCP_N_DIAL_FAIL,   /* no socket to dial with, or it cannot be watched, for want of resources */
	ART_TCP_N_SENDMSG,     /* system calls to send */
	ART_TCP_N_RECV,        /* system calls to receive */
	ART_TCP_N_LAST
};

/* System calls that can fail in ways a test wants to choose. */
struct art_tcp_sys {
	void *self;
	ssize_t (*recv)(void *self, int fd, void *buf, size_t len, int flags);
	ssize_t (*sendmsg)(void *self, int fd, const struct msghdr *m, int flags);
	int (*accept)(void *self, int fd, struct sockaddr *sa, socklen_t *len, int flags);
	int (*connect)(void *self, int fd, const struct sockaddr *sa, socklen_t len);
};

union art_tcp_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct art_tcp_addrs {
	union art_tcp_addr at[ART_TCP_ADDRS];
	int n;
};

/* Of one connection, once both ephemerals are known. */
struct art_tcp_keys {
	uint8_t confirm[ART_TCP_SECRET_BYTES];
	uint8_t tx[ART_TCP_SECRET_BYTES], rx[ART_TCP_SECRET_BYTES];       /* encrypt */
	uint8_t tx_head[ART_TCP_SIP_BYTES], rx_head[ART_TCP_SIP_BYTES];   /* mac */
	uint64_t tx_number, rx_number; /* of the next message */
};

struct art_tcp_conn {
	TAILQ_ENTRY(art_tcp_conn) list; /* of its state */
	TAILQ_ENTRY(art_tcp_conn) todo;
	enum art_tcp_state state;
	int fd;
	int peer; /* -1 while unknown */
	uint32_t events; /* what epoll watches; 0: not in epoll */
	bool in_todo;
	bool blocked; /* send() must not write past what is waiting, or must not write at all */
	bool broken;  /* ended by us or found dead in send(); poll() reports it */
	bool spare;   /* of the slots for strangers, goes back there */
	bool ended;   /* nothing more will be read; what was read is delivered first */
	enum art_tp_why why;
	uint32_t hot; /* so often recv() is tried without asking epoll */
	bool near;    /* the other end is on this host */
	bool heard;   /* something short came after what was sent last */
	uint8_t lengthy; /* what follows that has been long: reads until this may be another time */
	size_t left;  /* so many of the last bytes before rx[end] are still in the socket */
	/* Receiving: whole messages are delivered from rx[at..end). */
	uint8_t *rx;
	size_t cap, at, end;
	size_t need; /* bytes of the message at rx[at], 0: head not seen yet */
	/* Handshake. */
	uint64_t deadline_ns; /* of this state */
	uint64_t bound_ns;    /* dial: of all attempts together */
	uint64_t backoff_ns;
	unsigned tries;       /* dial: attempts so far */
	int err;              /* dial: why the last one failed, an errno */
	bool starved;         /* dial: our own system has refused it, not the other side */
	uint64_t incarnation; /* of the peer */
	union art_tcp_addr from; /* the other end */
	struct art_tcp_keys keys;
	uint8_t script[2 * ART_TCP_WORDS_BYTES]; /* dialler's words, acceptor's words */
	uint8_t in[ART_TCP_HELLO_BYTES];
	uint8_t out[ART_TCP_HELLO_BYTES];
	size_t in_len, out_at, out_len;
};

TAILQ_HEAD(art_tcp_list, art_tcp_conn);

struct art_tcp_chunk {
	TAILQ_ENTRY(art_tcp_chunk) next;
	size_t at, end, cap;
	uint8_t data[];
};

TAILQ_HEAD(art_tcp_queue, art_tcp_chunk);

struct art_tcp_peer {
	struct art_tcp_addrs addr; /* none: not known */
	bool dropped;
	bool said;    /* that no connection can be made; once between two that can */
	bool full;    /* room() is owed */
	struct art_tcp_conn *conn; /* up */
	struct art_tcp_conn *dial;
	struct art_tcp_queue queue;
	size_t queued;
	uint64_t incarnation; /* highest that proved itself */
	bool agreed; /* what X25519 makes of our ephemeral and this one of its: */
	uint8_t theirs[ART_TCP_SECRET_BYTES], shared[ART_TCP_SECRET_BYTES];
};

/* Short messages to one peer that are to leave together (tcp_hold.c). */
#define ART_TCP_HOLDS 4
struct art_tcp_hold {
	struct art_tcp_conn *conn;
	size_t len;
	uint8_t data[2048];
};

struct art_tcp {
	struct art_tp tp;
	const struct art_env *env;
	struct art_tp_self self;
	struct art_tp_up up;
	enum art_tp_security security;
	uint8_t *scratch; /* a sealed message, if messages are encrypted */
	size_t queue_high, queue_max;
	uint64_t connect_ns;
	struct art_tcp_addrs own; /* where we listen */
	uint8_t secret[ART_TCP_SECRET_BYTES], public[ART_TCP_SECRET_BYTES]; /* our ephemeral */
	int ep, kick;
	int lfd[ART_TCP_ADDRS];   /* one per address, -1: none */
	bool kicked;  /* the eventfd is readable */
	bool polling; /* inside poll(): nothing is freed */
	bool nudge;   /* a parked connection may have got its place */
	uint64_t accept_ns; /* accept() again at this time; 0: it is being watched */
	uint64_t deaf_ns, deaf_last_ns; /* our system has refused connections since, and at last; 0: no */
	bool deaf;          /* that for connect_ns: to be told */
	int budget, upcalls; /* of the present poll() */
	bool spinning; /* reading without asking epoll, which the present poll() does but now and then */
	bool holding; /* more was read than is delivered: what is sent now is held */
	int nhold;
	struct art_tcp_hold hold[ART_TCP_HOLDS];
	unsigned spins;
	unsigned n_hot, n_pending, n_blocked;
	struct art_tcp_list dials, pending, parked, ups, todo, dead;
	struct art_tcp_list spare; /* memory for strangers, had before they come */
	size_t queued;
	uint32_t logged; /* bit per enum art_tcp_count */
	uint64_t n[ART_TCP_N_LAST];
	struct art_tcp_sys sys;
	struct art_tcp_peer *peer; /* [size] */
};

/* The system has nothing now, or no memory now: the same call may do later. */
static inline bool art__tcp_later(int err)
{
	return err == EAGAIN || err == ENOBUFS || err == ENOMEM;
}

/* tcp_conn.c: connections and their states */
/* Memory for the strangers of one moment. False: there is none. */
bool art__tcp_make_spares(struct art_tcp *t);
void art__tcp_free_spares(struct art_tcp *t);
int art__tcp_dial(struct art_tcp *t, int peer);
void art__tcp_accept(struct art_tcp *t, int lfd);
void art__tcp_set_state(struct art_tcp *t, struct art_tcp_conn *c, enum art_tcp_state state);
/* Epoll watches what the state of @c needs. False if the system refuses. */
bool art__tcp_watch(struct art_tcp *t, struct art_tcp_conn *c);
/* Closes the socket and leaves every list; the peer's queue stays. */
void art__tcp_kill(struct art_tcp *t, struct art_tcp_conn *c);
/* The connection or dial is over: kill, forget the queue, tell the user. Only in poll(). */
void art__tcp_finish(struct art_tcp *t, struct art_tcp_conn *c, enum art_tp_why why);
/* The connection is over, poll() will say so. */
void art__tcp_break(struct art_tcp *t, struct art_tcp_conn *c, enum art_tp_why why);
/* This attempt of a dial failed; there will be another one. */
void art__tcp_retry(struct art_tcp *t, struct art_tcp_conn *c);
void art__tcp_on_connect(struct art_tcp *t, struct art_tcp_conn *c);
/* @c proved itself: make it the connection, park it, or close it. */
void art__tcp_claim(struct art_tcp *t, struct art_tcp_conn *c);
/* The acceptor said welcome to our dial. */
void art__tcp_welcomed(struct art_tcp *t, struct art_tcp_conn *c);
/* Ends a proven connection of @peer that waits for its place, if there is one. */
void art__tcp_forget_parked(struct art_tcp *t, int peer);
void art__tcp_timers(struct art_tcp *t);
uint64_t art__tcp_next_timer(const struct art_tcp *t);
void art__tcp_todo(struct art_tcp *t, struct art_tcp_conn *c);
void art__tcp_reap(struct art_tcp *t);

/* tcp_hold.c: replies that leave together */
/* While t->holding: takes a message to be sent later. False: it has to go now, and may, as what was held for @c has
 * left. */
bool art__tcp_hold(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov, size_t len);
void art__tcp_hold_leaves(struct art_tcp *t, struct art_tcp_conn *c);
void art__tcp_hold_ends(struct art_tcp *t);

/* tcp_hello.c: the handshake's messages */
void art__tcp_hello_start(struct art_tcp *t, struct art_tcp_conn *c);
/* The socket of @c, in a handshake, is readable or writable. */
void art__tcp_hello_step(struct art_tcp *t, struct art_tcp_conn *c);
/* Queues the welcome, before any message. */
void art__tcp_hello_welcome(struct art_tcp *t, struct art_tcp_conn *c);
/* Writes what is left of handshake bytes. 1: all written, 0: not yet, -1: connection lost. */
int art__tcp_hello_flush(struct art_tcp *t, struct art_tcp_conn *c);
/* Counts, and logs the first of its kind. */
void art__tcp_refuse(struct art_tcp *t, struct art_tcp_conn *c, enum art_tcp_count why);

/* tcp_secure.c */
/* Makes the ephemeral key pair of this instance. */
void art__tcp_ephemeral(struct art_tcp *t);
/* Makes the keys of @c from the script and the other side's ephemeral key. False: a bad one. */
bool art__tcp_agree(struct art_tcp *t, struct art_tcp_conn *c, bool dialler,
		    const uint8_t theirs[ART_TCP_SECRET_BYTES]);
/* What proves that @role has the keys and has heard the same script. */
void art__tcp_confirm(const struct art_tcp_conn *c, int role, uint8_t mac[ART_TCP_MAC_BYTES]);
void art__tcp_forget_keys(struct art_tcp_conn *c);
/* Bytes of a sealed message of @len bytes, head included. */
size_t art__tcp_sealed_len(const struct art_tcp *t, size_t len);
/* Seals the next message of @c: in place, or *iov then names *one, good until the next call. */
void art__tcp_seal(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec **iov, int *niov,
		   struct iovec *one);
/* The message just sealed is not sent, no byte of it. */
void art__tcp_unsend(struct art_tcp *t, struct art_tcp_conn *c);
/* Messages that wait for a connection have a chunk each and no seal: store() puts one into
 * sealed_len() bytes, seal_queue() seals them all when the connection is there. */
void art__tcp_store(const struct art_tcp *t, uint8_t *record, const struct iovec *iov, int niov);
void art__tcp_seal_queue(struct art_tcp *t, struct art_tcp_conn *c);
/* Sets c->need from what is at rx[at]. 1: known, 0: too little has come, -1: no message of ours. */
int art__tcp_measure(struct art_tcp *t, struct art_tcp_conn *c);
/* Opens the whole message of c->need bytes. Its head, the body behind it; NULL: not genuine. */
const uint8_t *art__tcp_open_seal(struct art_tcp *t, struct art_tcp_conn *c, uint8_t *record,
				  size_t *body);

/* tcp_send.c */
int art__tcp_send(struct art_tcp *t, int peer, const struct iovec *iov, int niov);
void art__tcp_flush(struct art_tcp *t, struct art_tcp_conn *c);
/* What the system takes of it at once; -1 if the connection is dead. */
ssize_t art__tcp_send_now(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov);
/* Takes into the queue what is left, behind @skip bytes, of a sealed message of @len; as send(). */
int art__tcp_send_rest(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec *iov, int niov,
		       size_t skip, size_t len);
/* The system takes nothing more now: poll() is to go on. */
void art__tcp_wait_writable(struct art_tcp *t, struct art_tcp_conn *c);
void art__tcp_set_blocked(struct art_tcp *t, struct art_tcp_conn *c, bool blocked);
/* The connection became busy, or stopped being so. */
void art__tcp_turn_hot(struct art_tcp *t, struct art_tcp_conn *c, bool hot);
static inline void art__tcp_set_hot(struct art_tcp *t, struct art_tcp_conn *c, uint32_t hot)
{
	if (!c->hot != !hot)
		art__tcp_turn_hot(t, c, hot != 0);
	c->hot = hot;
}
void art__tcp_forget_queue(struct art_tcp *t, struct art_tcp_peer *p);

/* tcp_near.c: within one host */
/* @a is an address of this host, port or not. */
bool art__tcp_near(const struct art_tcp *t, const union art_tcp_addr *a);
bool art__tcp_loopback(const union art_tcp_addr *a);
/* Before it connects or listens, or as early as can be. */
void art__tcp_tune_near(int fd);

/* tcp_run.c */
int art__tcp_send_run(struct art_tcp *t, int peer, struct art_tp_run *run);

/* tcp_recv.c */
/* Delivers from @c what there is. True if anything at all was read or delivered. */
bool art__tcp_recv(struct art_tcp *t, struct art_tcp_conn *c);
/* Takes from the socket what was only looked at: it is not readable any more for that. False: not now. */
bool art__tcp_settle(struct art_tcp *t, struct art_tcp_conn *c);

/* tcp_addr.c */
/* What peers give out: one or two of "a.b.c.d:port" and "[v6]:port", with a comma between. 0 or
 * ART_ERR_ARG, and nothing written. */
int art__tcp_parse(const char *s, struct art_tcp_addrs *out);
/* An address without port from @len bytes of @s; "%interface" may follow a link-local one. */
bool art__tcp_ip(const char *s, size_t len, union art_tcp_addr *out);
bool art__tcp_unicast(const union art_tcp_addr *a);
bool art__tcp_link_local(const union art_tcp_addr *a);
socklen_t art__tcp_addr_len(const union art_tcp_addr *a);
/* With the port, in the form that art__tcp_parse() reads; without it, for people. */
void art__tcp_print(const union art_tcp_addr *a, char out[ART_TCP_ADDR_TEXT]);
void art__tcp_print_ip(const union art_tcp_addr *a, char out[ART_TCP_ADDR_TEXT]);
/* A decimal number, from @s to its end, of at most @max. */
bool art__tcp_number(const char *s, unsigned long max, unsigned long *out);

/* tcp_iface.c */
/* The addresses to listen on for @text (see art_tp_opts). 0 or ART_ERR_ARG, logged. */
int art__tcp_iface(const struct art_env *env, const char *text, struct art_tcp_addrs *out);

/* Counters indexed by enum art_tcp_count, and a word for each. */
const uint64_t *art__tcp_counters(const struct art_tp *tp);
const char *art__tcp_count_name(enum art_tcp_count what);
/* For tests: the system calls of this instance. */
struct art_tcp_sys *art__tcp_sys(struct art_tp *tp);

extern const struct art_tp_ops art__tcp_ops;

#endif
