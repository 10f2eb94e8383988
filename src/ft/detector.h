/* SPDX-License-Identifier: MIT
 *
 * The failure detector: who is silent, who else says so, and when that is a verdict. Hosts watch
 * hosts; on its own host a rank watches processes. (ARCHITECTURE.md, "How a silence is judged".)
 *
 * Pure: datagrams, looks at processes and ticks in; datagrams, questions and verdicts out. What it
 * says is advice to ft: a wrong verdict costs a member, never agreement.
 */
#ifndef ART_FT_DETECTOR_H
#define ART_FT_DETECTOR_H

#include "base/env.h"
#include "base/set.h"
#include "engine/machine.h"

#define ART_DET_BYTES 32 /* of every datagram */
#define ART_DET_OBSERVERS 3
#define ART_DET_NEAR (2 * ART_DET_OBSERVERS)

struct art_det_client {
	void *self;
	/* One datagram; may be lost, doubled or late. NULL: there is no such channel, hosts are not
	 * watched. */
	void (*send)(void *self, int to, const void *p, size_t len);
	/* Have the process of a slot of this host looked at; art__det_looked() answers later. NULL:
	 * cannot be done, processes are not watched. */
	void (*look)(void *self, int slot);
	/* These must leave. Returns to a machine that may have changed its view. */
	void (*verdict)(void *self, const struct art_set *slots);
	/* A host that others hear and this rank does not (@dead; said anew each bound), or does again: its
	 * first slot. NULL: not asked for. */
	void (*edge)(void *self, int slot, bool dead);
	/* As send(), over another rank: to a host that is not reached. NULL if there is no edge(). */
	void (*send_round)(void *self, int to, const void *p, size_t len);
	/* @to speaks as a member and is none: let it know. */
	void (*tell_evicted)(void *self, int to);
	/* @to knows a later view: ask for it. */
	void (*ask_view)(void *self, int to);
};

struct art_det_vote {
	int host;          /* who says so; -1: unused */
	bool silent;
	uint64_t at_ns;
};

/* One host. Times are of the env's clock, moved on by this rank's own lags. */
struct art_det_host {
	int first, count;      /* its slots: det->order[first..] */
	int place;             /* among the hosts of the view, -1: has no member */
	bool near;             /* on the graph: both beat to each other */
	bool spoke;            /* at least once */
	bool fresh;            /* a message came from it since the last tick */
	bool accused;          /* my own vote is out, */
	uint64_t accused_ns;   /* since then */
	bool edge;             /* others hear it all the same: the way to it is dead */
	uint64_t edge_ns;      /* when that was said last */
	bool answered;         /* and since then it has answered a question of ours */
	uint8_t lag;           /* its own score, as it said last */
	int agent;             /* who spoke for it last, -1 */
	unsigned attempts;     /* questions sent to it */
	uint64_t wanted_ns;    /* watched until then because somebody waits for it */
	uint64_t heard_ns;     /* last sign of life, or since when it is watched */
	uint64_t life_ns;      /* last sign of life, without any benefit of a doubt */
	uint64_t told_ns;      /* when it said last how long it has not heard us, 0: never */
	uint64_t told_age_ns;
	uint64_t asked_ns;     /* silent for half the bound: since when it is probed; 0: not */
	uint64_t probed_ns;
	uint64_t condemned_ns; /* enough agree; waits for others of the same moment; 0: no */
	uint64_t warned_ns;    /* when one of it was last told that it is evicted */
	struct art_det_vote vote[ART_DET_OBSERVERS];
};

struct art_det {
	const struct art_env *env;
	struct art_det_client client;
	const struct art_set *members, *suspect; /* ft's */
	const uint32_t *epoch;                   /* ft's */
	int slot, size;
	uint64_t eta_ns, bound_ns;
	int nhost, me;             /* hosts, and which is this rank's */
	int *host_of, *order;      /* [size] */
	struct art_det_host *host; /* [nhost] */
	int *ring, live;           /* [nhost] hosts with a member, in order; how many */
	uint32_t ring_epoch;       /* for which the ring was made */

	bool acting;               /* this rank speaks for its host */
	uint64_t lower_ns;         /* when a lower rank of this host spoke last */
	uint64_t called_ns;        /* acting until then because we were probed */
	uint64_t start_ns;
	uint64_t beat_ns, any_ns;  /* next heartbeat; last sign of life of any other host */
	uint64_t tick_ns;          /* of the last tick */
	uint64_t next_ns;          /* when the next is wanted, looks at processes aside */
	uint64_t deaf_ns;          /* what others say of hearing us is not believed until then */
	uint64_t doubt_ns;         /* silent ourselves too long: nonce of the question; 0: no doubt */
	uint8_t lag;               /* own score */
	uint64_t lagged_ns;        /* last time it grew or shrank */
	uint64_t progress;         /* messages of all kinds received */

	/* processes of this host */
	uint64_t look_ns;          /* next look, 0: not planned */
	uint64_t look_progress;
	unsigned looks;
	int turn;                  /* whose it was last to be looked at besides the next */
	uint64_t ripe_ns;          /* since when somebody has been stopped for the bound; 0: nobody */
	uint64_t *stopped_ns;      /* [ranks of this host] since when seen stopped, 0: not */
};

/* @hosts: [size] or NULL (one host). @eta_ns 0: nothing is watched. 0 or ART_ERR_NOMEM. */
int art__det_init(struct art_det *d, const struct art_env *env, const struct art_det_client *client,
		  int slot, int size, const int *hosts, uint64_t eta_ns, uint64_t bound_ns);
/* Whose view it looks at; before anything else. */
void art__det_watch(struct art_det *d, const struct art_set *members, const struct art_set *suspect,
		    const uint32_t *epoch);
void art__det_fini(struct art_det *d);
size_t art__det_bytes(const struct art_det *d);

/* Any message at all came from @slot: life. On the path of every message, hence inline. */
static inline void art__det_heard(struct art_det *d, int slot)
{
	d->progress++;
	if (d->nhost > 1)
		d->host[d->host_of[slot]].fresh = true;
}

void art__det_beat(struct art_det *d, int from, const uint8_t *p, size_t len);
/* A datagram that came round: an opinion, no sign that there is a way. */
void art__det_beat_round(struct art_det *d, int from, const uint8_t *p, size_t len);
/* The connection to a slot ended: do not wait for half the bound before asking. */
void art__det_hint(struct art_det *d, int slot);
/* Somebody here waits for these: watch their hosts for a while. */
void art__det_want(struct art_det *d, const struct art_set *slots);
void art__det_looked(struct art_det *d, int slot, enum art_look look);
/* The view, or who is suspected, has changed. */
void art__det_stir(struct art_det *d);
/* @open: something here waits for others. */
void art__det_tick(struct art_det *d, bool open);
uint64_t art__det_wake(struct art_det *d, bool open);
/* det_describe.c: the fields of the detector in @r. */
struct art_report;
void art__det_describe(const struct art_det *d, struct art_report *r);

/* Inside the detector. */
enum art_det_kind { ART_DET_BEAT = 1, ART_DET_PROBE, ART_DET_ALIVE, ART_DET_ASK, ART_DET_VOTE };
void art__det_say(struct art_det *d, int to, enum art_det_kind kind, int about, bool silent,
		  uint64_t nonce);
int art__det_agent(const struct art_det *d, const struct art_det_host *h);
bool art__det_alive(const struct art_det *d, int slot);
bool art__det_watches(const struct art_det *d, const struct art_det_host *h, uint64_t now);
uint64_t art__det_effective(const struct art_det *d, const struct art_det_host *h);
uint64_t art__det_silence(const struct art_det *d, const struct art_det_host *h, uint64_t now);
bool art__det_all_suspect(const struct art_det *d, const struct art_det_host *h);
void art__det_judge(struct art_det *d, uint64_t now);
void art__det_calm(struct art_det *d, struct art_det_host *h);
uint64_t art__det_deadline(const struct art_det *d, const struct art_det_host *h, uint64_t now);
void art__det_take_vote(struct art_det *d, int by, int about, bool silent, uint64_t now);
void art__det_local_tick(struct art_det *d, bool open, uint64_t now);

#endif
