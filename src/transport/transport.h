/* SPDX-License-Identifier: MIT
 *
 * The contract between ART and anything that carries messages between two ranks. A transport
 * carries *messages*: a head of 64 bytes that it does not interpret and a body of 0..64 KiB.
 * Between two ranks and as long as a connection lives, messages arrive whole, once, in order.
 * When a connection ends, what arrived before the end is delivered first, then `down` is
 * called; messages sent and not delivered by then are lost, and nobody says which.
 *
 * Threads and locks: an instance is used by one thread at a time; whoever owns the engine (data)
 * or the service thread (control) calls it. No entry takes a lock another thread could hold.
 * Blocking: no entry blocks; sleeping is done by the caller on fd(), after arm().
 * Reentrancy: upcalls happen only inside poll(). An upcall may call send(), lend(), drop() and reset(),
 * never poll() or close().
 * Time: now comes from the env; a transport arms no timers of its own, it says with wake_ns()
 * when it wants poll() next.
 */
#ifndef ART_TRANSPORT_TRANSPORT_H
#define ART_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "base/env.h"

#define ART_TP_HEAD 64
#define ART_TP_HEAD_MAC 8 /* its last bytes are the transport's: 0 when given and when delivered */
#define ART_TP_BODY_MAX (64u * 1024)
#define ART_TP_ADDR_MAX 96 /* bytes of a printable address, with the final NUL */
#define ART_TP_KEY_BYTES 32
#define ART_TP_RUN_MAX 16 /* messages of one run */

struct art_tp;

/* Why a connection ended. Evidence, never proof of a death (rule R7). */
enum art_tp_why {
	ART_TP_CLOSED,    /* orderly end by the peer's kernel or process */
	ART_TP_RESET,     /* reset or an error from the system */
	ART_TP_REFUSED,   /* could not be made within the connect bound */
	ART_TP_STARVED,   /* nor even be tried: our own system had no descriptor or memory for it */
	ART_TP_GARBAGE,   /* what came is no message of ours, or was altered under way */
};

/* Memory that lend() may leave in use. */
struct art_tp_loan {
	void *token;      /* whose it is: given back by returned() */
	const void *base; /* the body lies in these bytes, of which more is going to be lent: */
	size_t bytes;     /* they are registered together */
};

/* Memory that the body of a message may be put into, by a device, before message() is called. */
struct art_tp_place {
	void *token;   /* whose it is: unplace() */
	void *base;    /* it lies in these bytes, of which more are going to be used so: */
	size_t bytes;  /* they are registered together */
	uint8_t *at;
};

/* What a transport tells its user. */
struct art_tp_up {
	void *self;
	/* Length of the body behind a head, -1 for garbage (the connection is then ended). A
	 * transport above another one has heads of its own there: they begin with four bytes that
	 * no user's head may begin with, 00 52 44 4d (rdma/). */
	int64_t (*body_len)(void *self, const uint8_t head[ART_TP_HEAD]);
	/* One whole message, whose head body_len() has taken and whose body is as long as it said.
	 * @head and @body are valid during the call only. */
	void (*message)(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len);
	/* send() to @peer had answered 0; there is room again. */
	void (*room)(void *self, int peer);
	/* A connection to @peer is there (dialled or accepted), queued messages will flow. */
	void (*up)(void *self, int peer);
	/* The connection to @peer ended, or could not be made; queued messages are gone. A later
	 * send() dials anew. Not called after drop(). */
	void (*down)(void *self, int peer, enum art_tp_why why);
	/* For as long as making a connection may take our own system has had no descriptor, memory or
	 * watch for those that come in, and they still come. May be NULL. */
	void (*deaf)(void *self);
	/* What one lend() for @token had left in use is its owner's again: it was read, or will not be. Comes
	 * after drop() and reset(), too. NULL: nothing is lent. */
	void (*returned)(void *self, void *token);
	/* The body of a message that may come soon, after others, can be put at out->at: nobody else looks at
	 * that before message() is called, with this as its @body, or the connection has ended, or unplace(). Its
	 * own device reads it to there; no peer writes. False, or NULL: it comes like others. */
	bool (*place)(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out);
};

/* Who we are; the handshake of every connection is bound to it. */
struct art_tp_self {
	int slot;             /* 0..size-1 */
	int size;
	uint32_t channel;     /* 0 data, 1 control: connections never cross channels */
	uint8_t version;      /* of what is carried; both ends must have the same */
	uint64_t job;         /* random per job */
	uint64_t incarnation;
	uint8_t key[ART_TP_KEY_BYTES];
};

/* What protects messages under way, beyond the handshake that every connection starts with. Both
 * ends must have the same. A transport that leaves no host or has no wire ignores it. */
enum art_tp_security {
	ART_TP_PLAIN,   /* nothing */
	ART_TP_MAC,     /* heads are authenticated, numbered and bound to their connection */
	ART_TP_ENCRYPT, /* heads and bodies are encrypted and authenticated */
};

struct art_tp_opts {
	const char *iface;       /* list of interfaces, addresses, networks; NULL: loopback only */
	const char *rdma_device; /* "device[:port[:gid index]]" for rdma; NULL: chosen */
	const char *rdma_large;  /* "auto", "write", "read" or "copy" for rdma; NULL: auto */
	const char *rdma_srq;    /* "auto", "on" or "off" for rdma; NULL: auto */
	size_t queue_high;       /* bytes queued to a peer above which send() answers 0 */
	size_t queue_max;        /* bytes queued to a peer above which the connection is ended */
	enum art_tp_security security;
	uint64_t connect_ns;     /* bound of connect and handshake together */
	void *world;             /* sim and fault: what they need beyond this */
};

enum art_tp_cap {
	ART_TP_CAP_ORDERED = 1,     /* messages of a connection never overtake each other */
	ART_TP_CAP_FD = 2,          /* fd() is a descriptor to sleep on */
	ART_TP_CAP_PEER_DEATH = 4,  /* the end of a peer's process ends its connections promptly */
	ART_TP_CAP_PUT = 8,         /* one-sided put */
	ART_TP_CAP_CHEAP_POLL = 16, /* a poll() that finds nothing costs no system call */
};

/* Several messages to one peer, whose bodies lie one behind the other. */
struct art_tp_run {
	uint8_t (*head)[ART_TP_HEAD]; /* [n]; the last bytes of each may be written, sent or not */
	int n;                        /* 1..ART_TP_RUN_MAX */
	const uint8_t *body;
	size_t len, each; /* of all bodies; of every body but the last, which may be shorter; not 0 */
	bool room;        /* answered: there is room for more, else room() will be called */
};

struct art_tp_ops {
	const char *name;
	/* Makes an instance. @opts and *@up are copied. 0 and *@out, or negative and nothing made. */
	int (*open)(const struct art_env *env, const struct art_tp_self *self,
		    const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out);
	/* Starts to accept; writes the printable address others dial (no wildcard, ever). */
	int (*listen)(struct art_tp *tp, char addr[ART_TP_ADDR_MAX]);
	/* Remembers how to reach @peer; no I/O. ART_ERR_ARG for an address that does not parse. */
	int (*peer)(struct art_tp *tp, int peer, const char *addr);
	/* Starts a connection if there is none; send() does it by itself. */
	int (*connect)(struct art_tp *tp, int peer);
	/* Takes a whole message, head in iov[0] (64 bytes), body gathered from the rest. On return the
	 * caller's memory is its own again (what the peer could not take at once was copied); the
	 * last ART_TP_HEAD_MAC bytes of the head may have been written.
	 * 1: taken, there is room for more; 0: taken, but the queue to this peer is above queue_high,
	 * room() will be called; negative: not taken (ART_ERR_TRANSPORT: dropped peer or no address,
	 * ART_ERR_NOMEM). Breakage found here is reported by poll(), never by an upcall from send(). */
	int (*send)(struct art_tp *tp, int peer, const struct iovec *iov, int niov);
	/* As many messages of a run as the peer takes now, with fewer calls and copies than send() of
	 * each: number of those taken, negative: none, as send(). NULL: there is no better way. */
	int (*send_run)(struct art_tp *tp, int peer, struct art_tp_run *run);
	/* lend() to @peer may leave a body with its owner now; a hint. NULL: to any, if there is a lend(). */
	bool (*lends)(const struct art_tp *tp, int peer);
	/* As send(), head and body alone. But if *lent is true on return, the transport, or the peer's device,
	 * goes on reading the body until returned() is called: till then it must stay as it is, unless nobody
	 * is going to look at what is read. False: as after send(). NULL: everything is copied. */
	int (*lend)(struct art_tp *tp, int peer, const struct iovec iov[2], const struct art_tp_loan *loan,
		    bool *lent);
	/* The memory that was lent for @token is used for nothing else from now on, and no returned() follows.
	 * To be called before its owner may unmap it. What has not been returned was sent to peers that are
	 * not going to look at the bodies any more: they get anything in their place. */
	void (*lent_over)(struct art_tp *tp, const void *token);
	/* Nothing is put into memory of @token any more, from the return on: a device that would is waited for, not
	 * for long, or made to end. Of what was to come there the bodies are not looked at. NULL: nothing is
	 * ever put there. */
	void (*unplace)(struct art_tp *tp, const void *token);
	/* Delivers what has arrived and writes what is queued. At most @budget messages. Number of
	 * upcalls made; 0: there was nothing to do. */
	int (*poll)(struct art_tp *tp, int budget);
	/* A descriptor that is readable whenever poll() would find something, or -1. Where there is
	 * arm(), it tells only between that and the next poll(). */
	int (*fd)(struct art_tp *tp);
	/* To be called before sleeping on fd(), by the owner; what is there already shows at once.
	 * Called again before the next poll() it costs nothing. NULL: fd() always tells. */
	void (*arm)(struct art_tp *tp);
	/* Time (env clock) at which poll() wants to be called even if fd() stays quiet. */
	uint64_t (*wake_ns)(struct art_tp *tp);
	/* Fence: ends the connection to @peer without delivering anything more from it, forgets its
	 * queue, refuses it for ever. No upcall follows. */
	void (*drop)(struct art_tp *tp, int peer);
	/* Ends the connection to @peer, if any, and forgets its queue; a new one may be made. The
	 * other side sees down(). No upcall here. */
	void (*reset)(struct art_tp *tp, int peer);
	/* Bytes accepted by send() and not yet handed to the system, over all peers. */
	size_t (*pending)(struct art_tp *tp);
	/* Bit set of enum art_tp_cap. */
	unsigned (*caps)(struct art_tp *tp);
	/* Ends everything and frees the instance. Queued bytes are lost: drain with pending() first. */
	void (*close)(struct art_tp *tp);
};

/* Every transport starts with this. */
struct art_tp {
	const struct art_tp_ops *ops;
};

/* One behind the other; returns where they end. */
static inline uint8_t *art__transport_flatten(uint8_t *to, const struct iovec *iov, int niov)
{
	for (int i = 0; i < niov; i++) {
		if (iov[i].iov_len)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	return to;
}

static inline void art__transport_arm(struct art_tp *tp)
{
	if (tp->ops->arm)
		tp->ops->arm(tp);
}

/* The transport of that name, or NULL (registry.c, the only file that knows them all). */
const struct art_tp_ops *art__transport_find(const char *name);

/* Opens what @names lists ("tcp", "shm", "shm,tcp", "rdma,tcp,shm"): one transport, or several as one
 * of which each pair of ranks uses the best it can (multi/; rdma moves from tcp and back by itself).
 * Without a device rdma is done without, if tcp is in the list. As ops->open; ART_ERR_ARG for an
 * unknown name. */
int art__transport_open(const char *names, const struct art_env *env,
			const struct art_tp_self *self, const struct art_tp_opts *opts,
			const struct art_tp_up *up, struct art_tp **out);

/* An address is a list of parts with ';' between: "shm:...;rdma;a.b.c.d:port", the first one or two of
 * which may be missing; whoever knows tcp only uses the last. Returned is the part that another host,
 * or a rank without shm, can use; may be "". */
const char *art__transport_far_part(const char *addr);

/* Message @i of a run. */
static inline size_t art__transport_run_body(const struct art_tp_run *run, int i)
{
	return i + 1 < run->n ? run->each : run->len - (size_t)i * run->each;
}

/* As ops->send_run, whether @tp has one or not; and by one send() after the other. */
int art__transport_send_run(struct art_tp *tp, int peer, struct art_tp_run *run);
int art__transport_send_each(struct art_tp *tp, int peer, struct art_tp_run *run);

/* As ops->lends, whether @tp has one or not. */
static inline bool art__transport_lends(const struct art_tp *tp, int peer)
{
	return tp->ops->lends ? tp->ops->lends(tp, peer) : tp->ops->lend != NULL;
}

/* What @tp has counted, @i = 0, 1, ...: connections made and refused, by reason. False past the
 * last one. Called by whoever uses @tp. */
bool art__transport_count(const struct art_tp *tp, unsigned i, const char **what, uint64_t *n);

/* Writes the address of this host that it would use towards @ip, an IPv4 or IPv6 address as
 * text; "%interface" follows a link-local one. Nothing is sent. 0, ART_ERR_ARG if @ip is no
 * address, ART_ERR_TRANSPORT if there is no way to it. Any thread. */
int art__transport_towards(const char *ip, char out[ART_TP_ADDR_MAX]);

#endif
