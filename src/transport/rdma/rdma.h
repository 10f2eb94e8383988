/* SPDX-License-Identifier: MIT
 *
 * Inside of the rdma transport: a second way beside the connection of another transport (the
 * carrier: tcp). A pair of ranks is connected when its carrier is; over that authenticated
 * connection the two exchange what a queue pair needs, and when a first write has come through,
 * messages move from the carrier to a ring in the receiver's memory. If the way breaks, what the
 * receiver did not get is sent again over the carrier: nothing is lost, and nobody is suspected.
 *
 *   none --carrier up: offer sent--> offered --their offer: RTS, ready sent--> ready
 *     ready --their ready: a probe is written--> probing --it came through--> proved
 *     proved --there is a message to send: switch sent--> up
 *     any of these --error, port down, their break--> fenced: no queue pair, no memory region
 *     fenced --all that had come is delivered: break(position) sent--> broken
 *     broken --their break(position) heard: the rest is sent again--> carrier, until that ends
 *
 * Each direction moves by itself: we write to their ring from the state up on, and read ours once
 * their switch has come, behind which nothing more of theirs is on the carrier. Nothing is said there
 * that somebody did not wait for: who has closed the carrier would answer it with a reset, and what it
 * sent last could be lost on the way.
 *
 * A message is one RDMA write with immediate data. A small one is there once its seal is right
 * (rdma_ring.h): who polls looks at the memory where it would be, and takes it before its completion
 * comes. The completion says that a larger one is there whole, on every device, in whatever order
 * the bytes were placed, and wakes a sleeper through the completion channel. With it the receive is
 * posted again, and only then credit for it is given: credits keep the sender from having more messages
 * under way than there are receives, so a slow receiver is never "not ready".
 *
 * Memory: one region per pair, [ring in which the peer writes | copy of what we wrote to theirs].
 * The copy is what the device reads and what is sent again.
 *
 * A long message that is lent (transport.h) is not copied here: either our device gathers the record out
 * of the copy, which has its ends, and the user's memory; or the record says where its body is, and the
 * receiver reads it from there into the room that the body would have had in the ring. Either way credit
 * for the record says that the loan is over, too, and a way that breaks sends it again from where it is.
 * Memory of the user is registered for reading only, and for as long as an operation lends of it
 * (rdma_loan.c). Nobody writes to it.
 */
#ifndef ART_TRANSPORT_RDMA_RDMA_H
#define ART_TRANSPORT_RDMA_RDMA_H

#include <infiniband/verbs.h>
#include <sys/queue.h>

#include "transport/rdma/open.h"
#include "transport/rdma/rdma_ring.h"
#include "transport/rdma/rdma_words.h"
#include "transport/transport.h"

#define ART_RDMA_EVENTS_MAX 1024 /* acknowledged together: that takes a lock */
#define ART_RDMA_LEND_MIN (16u * 1024) /* less is copied sooner than a round trip is made */
#define ART_RDMA_BUCKETS 256u /* of queue pairs by their numbers */
#define ART_RDMA_SHARED_WR (UINT64_C(4) << 56) /* wr_id of receives that pairs share (rdma_post.c) */
#define ART_RDMA_BREAKS_MAX 3 /* so often a pair tries again, each time with a new connection */

/* From what FAULTS and the drivers have taught: larger values may mean "for ever". */
#define ART_RDMA_TIMEOUT 14     /* 4.096 us x 2^14 = 67 ms for an acknowledgement */
#define ART_RDMA_RETRY_CNT 6    /* so often again: an error after half a second */
#define ART_RDMA_RNR_RETRY 6
#define ART_RDMA_MIN_RNR_TIMER 12 /* 0.64 ms */

struct art_rdma_reg { /* memory of the user that peers may read */
	TAILQ_ENTRY(art_rdma_reg) next;
	const void *token; /* NULL: its owner has it again */
	bool place;        /* our device may write to it, and no peer may read */
	const uint8_t *base;
	size_t bytes;
	struct ibv_mr *mr;
	unsigned loans;
};

struct art_rdma_loan { /* of a message */
	STAILQ_ENTRY(art_rdma_loan) next;
	void *token;  /* NULL: nobody is to be told, and the body may be gone */
	const uint8_t *body;
	struct art_rdma_reg *reg;
	uint64_t at;  /* of its record */
	uint64_t end; /* where the record behind its own begins */
	unsigned turn;  /* of the trial, from 1 on; 0: none (rdma_trial.c) */
	size_t bytes;
};

STAILQ_HEAD(art_rdma_loans, art_rdma_loan);
TAILQ_HEAD(art_rdma_regs, art_rdma_reg);

struct art_rdma_pull { /* a lent message whose body is being read */
	uint64_t at;
	size_t len;
	uint8_t *to;        /* into the ring, or where the user wants it: */
	const void *token;  /* whose memory that is; NULL: it is the ring's, or nobody's any more */
	struct art_rdma_reg *reg;
	uint8_t head[ART_TP_HEAD];
};

struct art_rdma_trial { /* of writes and reads in turn (rdma_trial.c) */
	unsigned turns;     /* that are over; reads have the odd ones */
	size_t turn_bytes;  /* of the present one, that are back */
	unsigned out;       /* messages */
	uint64_t since;     /* something is out, and the last came back */
	uint64_t bytes[2], ns[2]; /* of writes, of reads */
};

#define ART_RDMA_GATHERED 4 /* records of one write, at most */
#define ART_RDMA_SGES (2 * ART_RDMA_GATHERED + 1)  /* a body is the user's, what is between ours */

struct art_rdma_gather { /* records that one write brings, which lie one behind the other */
	uint64_t at;  /* of the first */
	size_t bytes; /* up to the end of the last */
	unsigned records;
	int n;
	struct ibv_sge sge[ART_RDMA_SGES];
};

enum art_rdma_state {
	ART_RDMA_NONE,
	ART_RDMA_OFFERED, /* queue pair made, receives posted */
	ART_RDMA_READY,   /* it can be written to, and can write */
	ART_RDMA_PROBING, /* so can theirs; an empty write is under way */
	ART_RDMA_PROVED,  /* it came through: the next message goes to their ring */
	ART_RDMA_UP,      /* what is sent goes to their ring */
	ART_RDMA_FENCED,  /* nothing reaches our ring any more; some of it may not be delivered yet */
	ART_RDMA_BROKEN,  /* our break is out: all is on the carrier, once theirs is heard */
};

/* The way of one pair, from the offer on. */
struct art_rdma_conn {
	TAILQ_ENTRY(art_rdma_conn) dead; /* memory is kept until no one can look at it */
	int peer;
	uint16_t gen;         /* tells completions of this one from those of an earlier one */
	struct ibv_qp *qp;    /* NULL: fenced */
	struct ibv_mr *mr;
	uint8_t *mem;
	size_t mem_bytes;
	unsigned cqes;        /* completions it may have */
	struct art_rdma_key tx_key, rx_key;
	uint64_t nonce;       /* ours */
	uint32_t psn;
	/* Out. */
	struct art_rdma_tx tx;
	uint64_t remote;      /* address of their ring */
	uint32_t rkey;
	uint32_t inline_bytes;
	uint32_t sq_posted, sq_done; /* work requests, counted */
	uint32_t sq_signalled;       /* the last one that will say so */
	bool credit_owed;
	bool probed;
	const char *failed;   /* why this way is over, once it is */
	bool stuck;           /* the device does not give up its queue pair */
	struct art_rdma_loans loans; /* in order */
	unsigned reads;       /* that may be under way each way */
	/* In. */
	struct art_rdma_rx rx;
	uint32_t announced;   /* records that completions have told of; small ones are read before that */
	uint32_t told_records;
	uint64_t told_at;
	bool owed;            /* a loan is over, and the lender was not told */
	uint32_t grant;       /* records that may be under way to us */
	bool shared;          /* its receives are the device's (rdma_srq.c): */
	bool asked;           /* to give back what it has not used */
	bool give_owed;       /* it has asked us */
	uint32_t busy_at;     /* rx.records when it was looked whether it is busy */
	unsigned stamp;       /* srq_clock when it was that last */
	struct art_rdma_conn *next_qpn; /* in its bucket */
	uint64_t look_at;     /* of the record that is looked at next: is it a lent one? */
	uint32_t looked;      /* records, as rx.records */
	uint32_t pulls, pulls_done, pulls_read; /* counted */
	struct art_rdma_pull pull[ART_RDMA_READS];
};

struct art_rdma_chunk { /* a message that waits for space */
	STAILQ_ENTRY(art_rdma_chunk) next;
	size_t len; /* head included */
	struct art_rdma_loan *loan; /* then data is the head alone, and the body is at: */
	const uint8_t *body;
	uint8_t data[];
};

STAILQ_HEAD(art_rdma_queue, art_rdma_chunk);

struct art_rdma_peer {
	TAILQ_ENTRY(art_rdma_peer) todo;
	bool in_todo;
	bool speaks;     /* its address says that it knows what an offer is */
	bool dropped;
	bool dialled;    /* of the carrier: a connection was asked for */
	bool link;       /* of the carrier: there is a connection */
	bool told_up;    /* up() was called */
	bool ending;     /* the connection has ended; what had come is delivered first */
	bool may_offer;  /* our end of a way is still to be made */
	bool offered;    /* and theirs is known: */
	struct art_rdma_offer theirs;
	enum art_tp_why why;
	enum art_rdma_state state;
	bool in_ring;    /* their switch was heard */
	bool held;       /* nothing may be sent until their break says from where */
	bool heard_break;
	uint64_t their_at; /* that position */
	bool said_break;
	bool switched;     /* their switch came when it was too late */
	uint64_t our_at;   /* what ours says */
	bool full;       /* room() is owed */
	bool carrier_full; /* by the carrier to us */
	bool said;       /* that the way broke; once a pair */
	unsigned breaks;
	uint64_t bound_ns; /* alone: RDMA must be up by then */
	struct art_rdma_conn *conn;
	struct art_rdma_queue queue;
	size_t queued;
};

struct art_rdma_dev {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	unsigned cq_room;     /* entries not yet promised to a pair */
	struct ibv_srq *srq;  /* NULL: each queue pair has receives of its own; else of its receives: */
	unsigned srq_base;    /* what each pair may have under way at least, without credits */
	unsigned srq_pairs;   /* so many may join */
	unsigned srq_free;    /* for those that are busy, beside what each pair has */
	unsigned srq_used;    /* to be posted again, */
	bool srq_lost;        /* which cannot be done */
	unsigned srq_spares;  /* posted in place of those that may have been lost */
	unsigned srq_clock;   /* times that a pair was busy */
	bool notified;        /* the next completion rings the channel, or has */
	unsigned events;      /* of the channel, to be acknowledged */
	char name[64];
	uint8_t port;
	bool infiniband;      /* addresses are LIDs; else GIDs */
	uint8_t gid_index;
	union ibv_gid gid;
	uint16_t lid;
	uint8_t mtu;
	uint8_t reads;        /* at once, each way; 0: none */
	bool lends;           /* memory of the user may be registered */
	bool places;          /* likewise, for our device to write to */
	bool on_demand;       /* of that nothing need be pinned: the device follows the page tables */
	unsigned sges;        /* pieces that a write gathers */
	bool down;            /* the port is; nothing new is tried */
};

TAILQ_HEAD(art_rdma_todo, art_rdma_peer);
TAILQ_HEAD(art_rdma_dead, art_rdma_conn);

struct art_rdma {
	struct art_tp tp;
	const struct art_env *env;
	struct art_tp_self self;
	struct art_tp_up up;
	struct art_tp *carrier;
	bool alone;           /* the carrier carries no message of the user's */
	bool mac;             /* heads are authenticated */
	size_t queue_high, queue_max, ring_bytes;
	unsigned window;      /* messages under way to a peer */
	unsigned extra;       /* receives and work requests beside those of messages: credits */
	uint64_t connect_ns;
	struct art_rdma_dev dev;
	enum art_rdma_sharing sharing;
	struct art_rdma_conn *by_qpn[ART_RDMA_BUCKETS]; /* those that share receives */
	char wanted[96];      /* ART_RDMA_DEVICE */
	int ep, kick;
	bool armed, kicked, polling;
	int budget, upcalls;  /* of the present poll() */
	bool may_offer;       /* in it */
	enum art_rdma_large large; /* AUTO: on trial */
	struct art_rdma_trial trial;
	struct art_rdma_regs regs; /* the one that was used last is the last */
	size_t reg_bytes;
	struct art_rdma_loans returned; /* their owners are to be told */
	unsigned turn;
	int *in;              /* [size] ranks whose messages are looked for in memory */
	int n_in, next_in;
	unsigned n_carrier;   /* pairs for which the carrier must be looked at each time */
	unsigned n_bounds;    /* pairs with a bound_ns */
	size_t queued;
	uint16_t gen;
	struct art_rdma_todo todo; /* messages to deliver, breakage to see to, credits owed, queues */
	struct art_rdma_dead dead;
	bool said_memlock;
	uint64_t n[ART_RDMA_N_LAST];
	struct art_rdma_peer *peer; /* [size] */
};

/* rdma_dev.c: the device, its port and address, the completion queue */
/* Whether there is any device; *why says what is wrong. */
bool art__rdma_dev_any(const char **why);
/* Opens the device that has the address @own, or the first whose port is active. @want: "", or
 * "device[:port[:gid index]]". False: there is none, logged. */
bool art__rdma_dev_open(struct art_rdma *t, const char *own, const char *want, unsigned pairs);
void art__rdma_dev_close(struct art_rdma *t);
/* Reads async events. True: the port was lost; all pairs break. */
bool art__rdma_dev_events(struct art_rdma *t, const char **what);

/* rdma_qp.c: the queue pair and memory of one way */
/* NULL: cannot be had, logged. */
struct art_rdma_conn *art__rdma_conn_make(struct art_rdma *t, int peer);
void art__rdma_conn_offer(const struct art_rdma *t, const struct art_rdma_conn *c,
			  struct art_rdma_offer *o);
/* Takes @o, which was checked, and goes to RTS. False: the device refuses. */
bool art__rdma_conn_connect(struct art_rdma *t, struct art_rdma_conn *c,
			    const struct art_rdma_offer *o);
/* Queue pair to error, then destroyed; memory deregistered: from now on nothing is written or
 * read by a device. What is in the ring stays readable until art__rdma_conn_free(). */
void art__rdma_conn_fence(struct art_rdma *t, struct art_rdma_conn *c);
void art__rdma_conn_free(struct art_rdma *t, struct art_rdma_conn *c);

/* rdma_loan.c: memory of the user, registered and lent */
/* A loan of [@body, +@len), a part of @l, with the memory registered; NULL: it is to be copied. */
struct art_rdma_loan *art__rdma_loan(struct art_rdma *t, const struct art_tp_loan *l,
				     const uint8_t *body, size_t len);
/* Those whose records end at @upto or before, which the peer is through with. */
void art__rdma_loans_over(struct art_rdma *t, struct art_rdma_loans *loans, uint64_t upto);
void art__rdma_loan_over(struct art_rdma *t, struct art_rdma_loan *loan);
/* Tells the owners. Only in poll(). */
void art__rdma_tell_returned(struct art_rdma *t);
void art__rdma_lent_over(struct art_rdma *t, const void *token);
/* Memory of the user that a body is going to be read to; NULL: cannot be had. It is in use until release. */
struct art_rdma_reg *art__rdma_place(struct art_rdma *t, const struct art_tp_place *p, size_t len);
void art__rdma_release(struct art_rdma *t, struct art_rdma_reg *r);
/* It is registered no longer than what is under way now: no later loan is of it. */
void art__rdma_let_go(struct art_rdma_reg *r);
/* All of it; only before the end. */
void art__rdma_forget_loans(struct art_rdma *t);

/* rdma_trial.c: whether long messages are written or read */
/* Whether the next one to go out over @c is to be read by the peer. */
bool art__rdma_reads(const struct art_rdma *t, const struct art_rdma_conn *c);
/* A message of @len goes out; it is back. */
void art__rdma_trial_out(struct art_rdma *t, const struct art_rdma_conn *c, struct art_rdma_loan *loan,
			 size_t len);
void art__rdma_trial_back(struct art_rdma *t, const struct art_rdma_loan *loan);

/* rdma_pull.c: bodies that are read out of a peer's memory */
/* Looks for lent records among what has been announced, and starts to read. */
void art__rdma_pull(struct art_rdma *t, struct art_rdma_conn *c);
/* The read that was next is delivered now. */
void art__rdma_pull_done(struct art_rdma *t, struct art_rdma_conn *c);
/* Of a way that is fenced. */
void art__rdma_forget_pulls(struct art_rdma *t, struct art_rdma_conn *c);
/* Nothing is read to memory of @token any more. */
void art__rdma_unplace(struct art_rdma *t, const void *token);
/* What the next record is. PULL_NONE: none that is lent. */
enum art_rdma_pulled { ART_RDMA_PULL_NONE, ART_RDMA_PULL_WAITS, ART_RDMA_PULL_THERE };
enum art_rdma_pulled art__rdma_pulled(const struct art_rdma_conn *c, uint8_t head[ART_TP_HEAD],
				      const uint8_t **body, size_t *len);

/* rdma_srq.c: receives that all pairs share */
/* The most completions there can be of it, for up to @pairs pairs and a queue of @cqe_max; 0: there is none. */
unsigned art__rdma_srq_make(struct art_rdma *t, const struct ibv_device_attr *attr, unsigned pairs,
			    unsigned cqe_max);
void art__rdma_srq_close(struct art_rdma *t);
/* Posts again what was used. False: the device refuses. */
bool art__rdma_srq_refill(struct art_rdma *t);
/* Sets c->shared, c->grant: before the queue pair is made. Enters it, once it is. */
void art__rdma_srq_join(struct art_rdma *t, struct art_rdma_conn *c);
void art__rdma_srq_enter(struct art_rdma *t, struct art_rdma_conn *c);
/* Before the queue pair is destroyed; and when it is. */
void art__rdma_srq_forget(struct art_rdma *t, struct art_rdma_conn *c);
void art__rdma_srq_leave(struct art_rdma *t, struct art_rdma_conn *c);
/* NULL: of none, or of one that is fenced. */
struct art_rdma_conn *art__rdma_of_qpn(struct art_rdma *t, uint32_t qpn);
/* The peer is about to be told of credit: a busy one gets more, if there is. */
void art__rdma_srq_grow(struct art_rdma *t, struct art_rdma_conn *c);
/* It gives back so many. False: it was not asked, cannot have so many, or has more left than it may. */
bool art__rdma_srq_given(struct art_rdma *t, struct art_rdma_conn *c, uint32_t back);

/* rdma_post.c: work requests and completions */
bool art__rdma_post_receives(struct art_rdma *t, struct art_rdma_conn *c, unsigned n);
bool art__rdma_sq_room(const struct art_rdma *t, const struct art_rdma_conn *c);
/* Writes the record at @at, of @len bytes; it has a slot. False: the way is broken. */
bool art__rdma_post_record(struct art_rdma *t, struct art_rdma_conn *c, uint64_t at, size_t len);
/* As post_record, of one whose bytes are at @out, to be taken inline. */
bool art__rdma_post_compact(struct art_rdma *t, struct art_rdma_conn *c, uint64_t at, const uint8_t *out,
			    size_t len);
/* Adds the record at @at, of @len bytes, whose body is @loan's, to what one write is going to bring. */
void art__rdma_gather(struct art_rdma_conn *c, struct art_rdma_gather *g, uint64_t at, size_t len,
		      const struct art_rdma_loan *loan, size_t body);
/* As post_record, of all of them. */
bool art__rdma_post_gather(struct art_rdma *t, struct art_rdma_conn *c, struct art_rdma_gather *g);
/* Reads the body of the lent record @p from @from. */
bool art__rdma_post_pull(struct art_rdma *t, struct art_rdma_conn *c, const struct art_rdma_pull *p,
			 const struct art_rdma_source *from);
bool art__rdma_post_credit(struct art_rdma *t, struct art_rdma_conn *c);
/* Asks the peer to give back what it has not used of its credit, down to @records. False: not now. */
bool art__rdma_post_ask(struct art_rdma *t, struct art_rdma_conn *c, uint32_t records);
/* Says what is given back; without room it stays owed. */
bool art__rdma_post_given(struct art_rdma *t, struct art_rdma_conn *c);
bool art__rdma_post_probe(struct art_rdma *t, struct art_rdma_conn *c);
/* Takes what the completion queue has. No upcalls. True if there was anything. */
bool art__rdma_reap(struct art_rdma *t);
/* Waits, not long, until all that was posted has arrived or failed. Only before the end. */
void art__rdma_linger(struct art_rdma *t);

/* rdma_pair.c: states of a pair, and what is said on the carrier */
void art__rdma_pair_up(struct art_rdma *t, int peer);
/* Makes our end of a way and offers it, unless another was made in this poll(): then at the next. It
 * takes milliseconds, in which other connections are being made that have a bound. Only in poll(). */
void art__rdma_pair_offer(struct art_rdma *t, int peer);
/* A control head of @peer. Only in poll(). */
void art__rdma_pair_hear(struct art_rdma *t, int peer, const uint8_t head[ART_TP_HEAD]);
/* The probe came through. */
void art__rdma_pair_proved(struct art_rdma *t, int peer);
/* From now on messages go to the ring. False: not so, the connection is about to end. */
bool art__rdma_pair_switch(struct art_rdma *t, int peer);
/* The way is of no use any more, for @what. */
void art__rdma_pair_break(struct art_rdma *t, int peer, const char *what);
/* All that had come is delivered. */
void art__rdma_pair_drained(struct art_rdma *t, int peer);
/* Forgets all of the present connection. */
void art__rdma_pair_clear(struct art_rdma *t, int peer);
void art__rdma_todo(struct art_rdma *t, int peer);
void art__rdma_todo_not(struct art_rdma *t, int peer);
/* Ends the connection and tells the user; only in poll(). */
void art__rdma_pair_end(struct art_rdma *t, int peer, enum art_tp_why why);
/* Sets for which pairs the carrier has to be looked at each time, and which have rings to look into. */
void art__rdma_count_carrier(struct art_rdma *t);
/* Records that were read before a completion told of them; negative: there are some to be read. */
static inline int32_t art__rdma_ahead(const struct art_rdma_conn *c)
{
	return (int32_t)(c->rx.records - c->announced);
}
/* Those that were read and whose receives are posted again. */
static inline uint32_t art__rdma_receivable(const struct art_rdma_conn *c)
{
	return art__rdma_ahead(c) > 0 ? c->announced : c->rx.records;
}
/* What the peer may be told of when @records are read: it may write a window beyond. A grant may have become
 * smaller; nothing that was told is taken back so. */
static inline uint32_t art__rdma_tellable(const struct art_rdma_conn *c, uint32_t records)
{
	uint32_t to = records - (c->tx.window - c->grant);

	return (int32_t)(to - c->told_records) > 0 ? to : c->told_records;
}
static inline bool art__rdma_on_carrier(const struct art_rdma_peer *p)
{
	return p->dialled || (p->link && !(p->state == ART_RDMA_UP && p->in_ring));
}

/* rdma_send.c */
/* @l: the body may be lent, and *lent says whether it was; NULL: not. */
int art__rdma_send(struct art_rdma *t, int peer, const struct iovec *iov, int niov,
		   const struct art_tp_loan *l, bool *lent);
/* Moves what waits to where it goes now. Only in poll(). */
void art__rdma_flush(struct art_rdma *t, int peer);
/* What was written and not received goes out over the carrier. False: it does not take it. */
bool art__rdma_resend(struct art_rdma *t, struct art_rdma_conn *c, uint64_t from);
void art__rdma_forget_queue(struct art_rdma *t, struct art_rdma_peer *p);
/* Messages that wait, lent for @token, get a body of their own. */
void art__rdma_queue_unlend(struct art_rdma *t, int peer, const void *token);
void art__rdma_room(struct art_rdma *t, int peer);
/* The way breaks at the next poll(). */
void art__rdma_cannot_post(struct art_rdma *t, struct art_rdma_conn *c);
void art__rdma_kick(struct art_rdma *t);

#endif
