/* SPDX-License-Identifier: MIT
 *
 * Views and decisions. One single-decree Paxos per epoch over the members of the current view;
 * its phase 1 is the flush of virtual synchrony: every member of the proposed view freezes and
 * tells what it knows of every unstable op. The value decided names the next members and one
 * resolution for each of those ops. (ARCHITECTURE.md, "How one failure travels".)
 *
 * Two kinds of decision share the one chain of epochs: *full* ones change the members (or keep
 * them after a broken link) and resolve every unstable op; *named* ones keep the members and
 * resolve only the ops they name (deadlines, refused calls, mismatches: rule R3).
 *
 * Pure: messages, verdicts and ticks in, control messages and an install() out.
 */
#ifndef ART_FT_FT_H
#define ART_FT_FT_H

#include "base/edges.h"
#include "base/env.h"
#include "base/set.h"
#include "wire/wire.h"

/* ---- views ---- */

struct art_view {
	uint32_t epoch; /* decisions installed so far */
	uint32_t base;  /* epoch of the last full decision: ops that nobody named run in it */
	struct art_set members;
	struct art_edges edges; /* of `base`: hosts between which trees need not go, if they can help it */
};

/* Rule "Quorum": @q is a majority of @v, or holds every member of @v that is not in @d, the deaths
 * certified when the ballot was prepared. Never a smaller denominator, never a dead yes-vote. */
bool art__ft_quorum(const struct art_set *q, const struct art_set *v, const struct art_set *d,
		    uint64_t mutant);

/* ---- what a PROMISE says ---- */

enum {
	ART_L_ENTERED = 1,
	ART_L_HOLDS = 2,
	ART_L_RETURNED = 4,
	ART_L_LOST = 8,    /* the communicator has a rank of the old view outside the proposed one */
	ART_L_REFUSED = 16,
	ART_L_SETTLED = 32, /* it is stable, or its failure is decided already */
	ART_L_NOFAIL = 64,  /* runs as EXCLUDE whatever the policy (free, finalize) */
	ART_L_DEPOSIT = 128, /* not an op here, but the input of a slot that is no member of the proposed
			      * view, whole: `owner` (coll/mirror.c) */
	ART_L_STANDS = 256,  /* runs with the kept input of its root, who has left */
	ART_L_ALONE = 512,   /* has failed: that its root is lost its rank has found out by itself, and told */
};

/* One unstable op at one member, self-sufficient: the proposer need not know the communicator. */
struct art_line {
	uint64_t comm, seq;
	uint32_t sig;
	int32_t root;     /* slot, -1 for none */
	uint32_t epoch;   /* the op runs in it, or was held in it */
	uint32_t replays;
	uint8_t kind, policy;
	uint16_t flags;   /* ART_L_* */
	uint32_t owner;   /* DEPOSIT: slot whose input it is */
	uint32_t from;    /* who says so, the lowest of them (filled on receipt) */
	struct art_set *who; /* the proposer's tally: all who say just this; not on the wire */
};

/* One communicator at one member. */
struct art_cline {
	uint64_t comm;
	uint64_t stable;  /* every op up to here is stable */
	uint64_t entered; /* highest seq entered */
	uint8_t policy;
	uint16_t flags;   /* ART_L_LOST */
};

/* ---- what a value says ---- */

/* SETTLED answers a question about one op: some member knows that all have it done, so there is nothing to
 * decide. */
enum art_res { ART_RES_DELIVER = 1, ART_RES_RERUN, ART_RES_FAIL, ART_RES_SETTLED };

/* A rerun counts the input of a slot that has left, as a member kept it. */
struct art_stand {
	uint32_t slot, by;
};

struct art_resolution {
	uint64_t comm, seq;
	uint8_t res;       /* enum art_res */
	uint8_t kind, policy;
	int32_t code;      /* FAIL: ART_ERR_* */
	uint32_t holder;   /* DELIVER: slot */
	uint32_t sig;      /* of the holder's call (DELIVER) or of the first that entered */
	uint32_t epoch;    /* DELIVER: in which the outcome was computed */
	int32_t root;      /* DELIVER: slot, of the holder's call; -1: it has none */
	uint32_t replays;
	struct art_set *blamed;   /* FAIL: slots, or NULL: nobody */
	struct art_set *returned; /* RERUN: members that have returned and must be leaves, or NULL */
	uint32_t nstand;          /* RERUN: lost slots that count, in order of slot, */
	struct art_stand *stand;  /* and who has their inputs */
};

struct art_value {
	uint32_t epoch;
	bool full;
	struct art_set members;
	uint32_t ncomm;
	struct art_cline *comm; /* comm and stable only */
	uint32_t nres;
	struct art_resolution *res;
	struct art_edges edges; /* a full one: what its members have said in their PROMISEs */
};

/* Ops that a named decision is about, and why: at most so many at a time. */
#define ART_NAMED_MAX 1024u

struct art_named {
	uint64_t comm, seq;
	int32_t code;          /* the failure asked for, unless someone holds the op */
	int32_t a, b;          /* slots to blame, -1 for none */
	struct art_set ranks;  /* slots of the communicator: who may be missing */
};

/* A block of bytes from the env; len may be 0. */
struct art_blob {
	uint8_t *p;
	size_t len;
};
void art__blob_free(const struct art_env *env, struct art_blob *b);
bool art__blob_set(const struct art_env *env, struct art_blob *b, const void *p, size_t len);

/* A writer that grows: make room for n more bytes before art__w_*(). False: out of memory. */
bool art__ft_room(const struct art_env *env, struct art_wbuf *w, size_t n);
void art__w_set(struct art_wbuf *w, const struct art_set *s);
void art__r_set(struct art_rbuf *r, uint32_t n, struct art_set *s);

bool art__value_encode(const struct art_env *env, const struct art_value *v, struct art_wbuf *w);
/* False on any malformed byte or lack of memory; *v is then empty. */
bool art__value_decode(const struct art_env *env, const uint8_t *p, size_t len, uint32_t size,
		       struct art_value *v);
void art__value_free(const struct art_env *env, struct art_value *v);

bool art__line_encode(const struct art_env *env, const struct art_line *l, struct art_wbuf *w);
void art__line_decode(struct art_rbuf *r, uint32_t size, struct art_line *l);
bool art__cline_encode(const struct art_env *env, const struct art_cline *l, struct art_wbuf *w);
void art__cline_decode(struct art_rbuf *r, struct art_cline *l);
bool art__named_encode(const struct art_env *env, const struct art_named *n, struct art_wbuf *w);
void art__named_decode(struct art_rbuf *r, uint32_t size, struct art_named *n);
bool art__edges_encode(const struct art_env *env, const struct art_edges *e, struct art_wbuf *w);
void art__edges_decode(struct art_rbuf *r, uint32_t size, struct art_edges *e);

/* Where lines that say the same are found: open addressing, place + 1 of the line, 0: free. */
struct art_index {
	uint32_t *at;
	uint32_t cap; /* a power of two, or 0 */
};

/* The flushed state of the members of a proposal. */
struct art_flush {
	struct art_line *line;
	uint32_t nline, cap_line;
	struct art_cline *cline;
	uint32_t ncline, cap_cline;
	struct art_edges edges; /* dead ones, of those who said so */
	struct art_index by_line, by_comm; /* tally.c; void once the lines are sorted (resolve.c) */
};
bool art__flush_add(const struct art_env *env, struct art_flush *f, const struct art_line *l);
bool art__flush_add_comm(const struct art_env *env, struct art_flush *f, const struct art_cline *l);
/* As above from member @from, joined with what others said alike: the tally of a thousand members
 * is hardly longer than what one of them says. */
bool art__flush_tally(const struct art_env *env, struct art_flush *f, const struct art_line *l,
		      uint32_t from, uint32_t size);
bool art__flush_tally_comm(const struct art_env *env, struct art_flush *f,
			   const struct art_cline *l);
void art__flush_free(const struct art_env *env, struct art_flush *f);

/* The decision (resolve.c): fills ncomm.. and nres.. of @v, whose epoch, full and members are set.
 * Pure. @old: members of the view that ends. False: out of memory. */
bool art__ft_resolve(const struct art_env *env, const struct art_set *old, struct art_flush *f,
		     const struct art_named *named, uint32_t nnamed, struct art_value *v);

/* ---- the machine ---- */

/* What the machine needs of the ops (coll). */
struct art_ft_client {
	void *self;
	/* Stop everything: nothing is merged, sent or completed until install(). Of the ops of a named
	 * ballot the same is true as soon as art__ft_op_frozen() says so. */
	void (*freeze)(void *self);
	/* Append what a PROMISE for these proposed members says. False: out of memory. */
	bool (*report)(void *self, bool full, const struct art_set *proposed,
		       const struct art_named *named, uint32_t n, struct art_flush *out);
	/* Is a named decision about this op still wanted? */
	bool (*wanted)(void *self, const struct art_named *n);
	/* The value is decided; the view has changed already. */
	void (*install)(void *self, const struct art_value *v);
	/* This rank can do no more: ART_ERR_EVICTED, _NO_QUORUM, _NOMEM or _TRANSPORT. */
	void (*fate)(void *self, int code);
	/* Control message to a member (whole; fragments are the caller's business). */
	void (*ctl)(void *self, int to, uint8_t kind, uint32_t epoch, const void *body, size_t len);
	/* End the data connection to a slot: before a PROMISE (may be made anew) or for ever. */
	void (*fence)(void *self, int slot, bool for_ever);
	/* Does this member know by itself, and as soon as we do, why a change is needed? */
	bool (*knows)(void *self, int slot);
	/* A question for the arbiter; may get lost. Its answer goes to art__ft_voted(). NULL: there is none. */
	void (*vote)(void *self, const void *p, size_t len);
	/* A named protocol step: crash point for tests. */
	void (*step)(void *self, const char *name);
};

#define ART_BALLOT_MAX (1u << 30)
/* A proposer speaks to so many members itself; to more in two levels (levels.c). */
#define ART_FT_STAR_MAX 1000u

/* The newest view above our own in which a rank that is dead now has acted, as certificates say; of two
 * with one epoch what both have. This rank is in it, or it would have given up. */
struct art_acted {
	uint32_t epoch; /* 0: none */
	struct art_set members;
};

/* What an acceptor knows of the one epoch that it votes about. */
struct art_acceptor {
	uint32_t promised; /* ballot, 0: none: running */
	uint32_t accepted;
	struct art_blob value; /* of the accepted ballot */
};
/* False: a higher ballot has its promise. */
bool art__acceptor_promise(struct art_acceptor *a, uint32_t ballot);
/* False: likewise, or there is no memory. */
bool art__acceptor_accept(const struct art_env *env, struct art_acceptor *a, uint32_t ballot,
			  const uint8_t *value, size_t len);
void art__acceptor_reset(const struct art_env *env, struct art_acceptor *a);

struct art_proposal {
	bool active, accepting;
	uint32_t ballot;
	bool full;
	struct art_set members, dead, promised, accepted;
	struct art_set alone; /* through others it was not heard: it is told directly */
	struct art_named *named;
	uint32_t nnamed;
	bool arbiter_promised, arbiter_accepted;
	uint32_t best_ballot; /* of the adopted value; UINT32_MAX: some member has installed it */
	struct art_blob best;
	struct art_flush flush;
	uint64_t resend_ns;
};

/* What is said to several. */
struct art_ft_said {
	uint8_t kind;
	uint32_t epoch;
	const uint8_t *body;
	size_t len;
};

/* Answers that this rank gathers for a proposer who has had it pass something on. */
struct art_gather {
	int to; /* -1: none */
	uint8_t kind;
	uint32_t epoch;
	struct art_set pending; /* who has not answered */
	struct art_wbuf w;      /* the answers that are here */
	uint64_t due_ns;        /* when they go, whoever is missing */
};

struct art_ft {
	const struct art_env *env;
	struct art_ft_client client;
	int slot;
	uint32_t size;
	uint64_t mutant;
	uint64_t retry_ns, quorum_wait_ns;

	struct art_view view;
	struct art_set dead;    /* certified */
	struct art_acted acted;
	struct art_set suspect; /* must leave: dead, or the detector's verdict */
	uint32_t *lost_epoch;   /* [size] epoch in which a slot left the view, 0: a member */
	bool lowest_half;       /* of exact halves the one with the lowest member is a quorum */
	bool relink;            /* a link between members broke: a full change with the same members */
	bool finalizing;
	bool installing;        /* what is asked for meanwhile has to wait */
	int fate;

	struct art_acceptor acc; /* for epoch view.epoch + 1 */
	bool frozen;            /* full freeze */
	struct art_named *frozen_named;
	uint32_t nfrozen_named;

	struct art_blob last;   /* the value of view.epoch, for whoever missed it */
	uint32_t last_ballot;

	struct art_named *wanted; /* named requests of this rank and of those who asked it */
	uint32_t nwanted;
	uint32_t shortages;     /* times that memory was missing since the last install */

	struct art_proposal prop;
	uint32_t star_max;
	int via;                /* through whom the message under way came; itself: it passes on; -1: directly */
	struct art_gather gather;
	uint32_t ballot_seen;
	uint64_t takeover_ns;   /* when to propose if nobody else got it done; ART_NEVER: no need */
	uint64_t asked_ns;      /* one that has given up may be asked again for its decision */
	uint64_t request_ns;    /* when to repeat a request to the leader */
	uint64_t stuck_ns;      /* since when a change that needs a quorum is open; 0: none */
	bool trusted;           /* a suspicion was taken back since: the time goes on */
};

int art__ft_init(struct art_ft *ft, const struct art_env *env, const struct art_ft_client *client,
		 int slot, uint32_t size, uint64_t retry_ns, uint64_t quorum_wait_ns,
		 uint64_t mutant);
void art__ft_fini(struct art_ft *ft);

void art__ft_message(struct art_ft *ft, int from, uint8_t kind, uint32_t epoch, const uint8_t *body,
		     size_t len);
/* Certified, with the view in which the dead acted last; @members NULL: nothing is known of that. */
void art__ft_dead(struct art_ft *ft, int slot, uint32_t epoch, const struct art_set *members);
/* A rank that is dead has acted in this view. */
void art__ft_acted(struct art_ft *ft, uint32_t epoch, const struct art_set *members);
/* What certificates have said so, for others: at most so many bytes. */
size_t art__ft_acted_bytes(const struct art_ft *ft);
void art__ft_acted_write(const struct art_ft *ft, struct art_wbuf *w);
void art__ft_acted_read(const struct art_ft *ft, struct art_rbuf *r, struct art_acted *a);
/* This rank has given up: tells @to, who @asked in that epoch. */
void art__ft_say_gone(struct art_ft *ft, int to, bool asked, uint32_t epoch);
void art__ft_suspect(struct art_ft *ft, int slot);
/* Several at once: one change. */
void art__ft_suspect_all(struct art_ft *ft, const struct art_set *slots);
/* Whose answers a change under way here waits for. False: there is none. */
bool art__ft_awaited(const struct art_ft *ft, struct art_set *out);
/* Ask @to for the view that it has. */
void art__ft_ask_view(struct art_ft *ft, int to);
/* The data connection to a member broke while ops were open: resolve them all anew. */
void art__ft_relink(struct art_ft *ft);
/* Ask for a named decision. False: out of memory. */
bool art__ft_decide(struct art_ft *ft, const struct art_named *n);
/* The arbiter has answered; any bytes. */
void art__ft_voted(struct art_ft *ft, const uint8_t *body, size_t len);
void art__ft_tick(struct art_ft *ft);
uint64_t art__ft_wake(const struct art_ft *ft);
/* This rank can do no more: its calls end with @code. Unless it was evicted the others hear of it. */
void art__ft_give_up(struct art_ft *ft, int code);
/* It lacked memory for something that is tried again after retry_ns: not for ever. */
#define ART_SHORTAGES_MAX 100
void art__ft_shortage(struct art_ft *ft);
/* Is this op frozen by a named ballot? Asked of every message, and hardly ever is any. */
bool art__ft_named_frozen(const struct art_ft *ft, uint64_t comm, uint64_t seq);
static inline bool art__ft_op_frozen(const struct art_ft *ft, uint64_t comm, uint64_t seq)
{
	return ft->nfrozen_named && art__ft_named_frozen(ft, comm, seq);
}
size_t art__ft_bytes(const struct art_ft *ft);

/* Inside ft. */
/* Is @q a quorum of the view, by the rule above or as the lowest of exact halves? */
bool art__ft_enough(const struct art_ft *ft, const struct art_set *q, const struct art_set *d);
bool art__ft_needed(const struct art_ft *ft);
int art__ft_leader(const struct art_ft *ft);
void art__ft_consider(struct art_ft *ft);
void art__ft_propose(struct art_ft *ft);
/* Is @q exactly half of the view, so that the arbiter's vote makes it a quorum? */
bool art__ft_arbiter_counts(const struct art_ft *ft, const struct art_set *q);
/* A quorum, with the arbiter if need be. */
bool art__ft_may_be_enough(const struct art_ft *ft, const struct art_set *q, const struct art_set *d);
/* Asks it, if the ballot under way needs it and has not its vote. */
void art__ft_ask_arbiter(struct art_ft *ft);
void art__ft_choose_when_flushed(struct art_ft *ft);
void art__ft_decide_when_accepted(struct art_ft *ft);
void art__ft_try_later(struct art_ft *ft);
/* Somebody has promised this ballot, which may be higher than ours. */
void art__ft_outbid(struct art_ft *ft, uint32_t promised);
void art__ft_prop_stop(struct art_ft *ft);
void art__ft_send_decided(struct art_ft *ft, int to);
void art__ft_on_gone(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r);
void art__ft_on_promise(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r);
void art__ft_on_accepted(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r);
void art__ft_prop_tick(struct art_ft *ft, uint64_t now);
void art__ft_prepare_self(struct art_ft *ft);
void art__ft_install(struct art_ft *ft, uint32_t ballot, const uint8_t *p, size_t len);
/* Reads a value that may become the next view; false: it cannot, or there is no memory. */
bool art__ft_read_value(const struct art_ft *ft, const uint8_t *p, size_t len,
			struct art_value *v);
/* levels.c: to each of @to; through others if there are many. */
void art__ft_tell(struct art_ft *ft, const struct art_set *to, const struct art_ft_said *m);
/* To the proposer, the way that its message came. */
void art__ft_answer(struct art_ft *ft, int to, uint8_t kind, uint32_t epoch, const void *body, size_t len);
void art__ft_on_fan(struct art_ft *ft, int from, struct art_rbuf *r);
void art__ft_on_gather(struct art_ft *ft, int from, struct art_rbuf *r);
void art__ft_levels_init(struct art_ft *ft);
void art__ft_levels_stop(struct art_ft *ft);
void art__ft_levels_tick(struct art_ft *ft, uint64_t now);
uint64_t art__ft_levels_wake(const struct art_ft *ft);

#ifdef ART_TEST_MUTANTS
#define ART_FT_MUTANT(ft, n) ((ft)->mutant >> (n) & 1)
#else
#define ART_FT_MUTANT(ft, n) 0
#endif

#endif
