/* SPDX-License-Identifier: MIT
 *
 * An in-memory transport in virtual time. A world holds the clock, the seed, the queue of
 * events and the state of every link; transport instances (art__sim_ops, opts.world = the
 * world) live in it under (slot, channel). The same seed and the same calls give the same
 * schedule, to the nanosecond. Nothing here knows what a message means.
 *
 * A driver steps the world, and after each step polls the instances that ready() named:
 *
 *	art__sim_step(): event -> ... -> ready(slot, channel)    then    poll() -> upcalls
 *
 * One thread drives a world and everything in it.
 */
#ifndef ART_TRANSPORT_SIM_H
#define ART_TRANSPORT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "transport/transport.h"

struct art_sim_world;

#define ART_SIM_CHANNELS 2

/* What a message costs: it leaves when the sender's previous one to this peer has, after
 * overhead + bytes / rate, at least gap apart, and arrives latency + 0..jitter later, never before
 * the one ahead of it. One message in 2^spike_log2 takes spike_ns more (0: none does). */
struct art_sim_model {
	uint64_t latency_ns;
	uint64_t jitter_ns;
	uint64_t overhead_ns;
	uint64_t gap_ns;
	uint64_t bytes_per_s;
	uint64_t spike_ns;
	int spike_log2;
};

struct art_sim_cfg {
	int size;                  /* slots */
	uint64_t seed;
	const int *hosts;          /* [size], copied; NULL: all on one host */
	struct art_sim_model near; /* pairs on one host */
	struct art_sim_model far;  /* pairs on two hosts */
	uint64_t end_ns;           /* upper bound of the delay until a side sees a connection's end */
	uint64_t cut_ns;           /* a connection over a cut link ends after this long */
	size_t window;             /* bytes a receiver that does not poll takes before its sender queues */
	/* poll() with nothing to deliver steps the world by itself: for users that know no world. */
	bool autostep;
	bool lends;                /* lend() leaves bodies with the sender */
	/* Instance (slot, channel) has something for poll() now. Called from inside step(), upcalls
	 * and the calls below, so it only takes note. May be NULL. */
	void (*ready)(void *self, int slot, uint32_t channel);
	void *self;
};
void art__sim_defaults(struct art_sim_cfg *cfg, int size, uint64_t seed);

/* @env gives memory only. 0 or ART_ERR_NOMEM. Instances must be closed before destroy. */
int art__sim_create(const struct art_env *env, const struct art_sim_cfg *cfg,
		    struct art_sim_world **out);
void art__sim_destroy(struct art_sim_world *w);

/* Virtual time. It moves only in step(). Starts at 1 s, so that 0 is never a time. */
uint64_t art__sim_now(const struct art_sim_world *w);
/* Time of the next event, ART_NEVER if there is none. */
uint64_t art__sim_next(const struct art_sim_world *w);
/* Runs the next event. False: there was none. */
bool art__sim_step(struct art_sim_world *w);
/* The next number of the world's generator; and one in 0..bound-1 (bound > 0). */
uint64_t art__sim_random(struct art_sim_world *w);
uint64_t art__sim_below(struct art_sim_world *w, uint64_t bound);
/* Runs @fn at @when_ns (now, if that is past). Events of one time run in the order of these calls.
 * 0 or ART_ERR_NOMEM. */
int art__sim_at(struct art_sim_world *w, uint64_t when_ns,
		void (*fn)(void *self, uint64_t word), void *self, uint64_t word);
/* True if instance (slot, channel) has something for poll(). */
bool art__sim_pollable(const struct art_sim_world *w, int slot, uint32_t channel);
/* Messages sent and not yet handed to a receiver's poll(), held ones included. */
uint64_t art__sim_flying(const struct art_sim_world *w);

/* --- what can go wrong. All take effect at once, none makes an upcall. --- */

/* Ends the connection of a pair on one channel, as a reset would: of what is in flight each side
 * still gets a seeded prefix, then down(). A later send dials anew. */
void art__sim_break(struct art_sim_world *w, uint32_t channel, int a, int b);

/* How a cut direction behaves. */
enum art_sim_cut {
	ART_SIM_OPEN,   /* not cut */
	ART_SIM_STALL,  /* nothing arrives; healed in time, all of it does, late */
	ART_SIM_VANISH, /* messages are lost one by one; a connection that lost one ends within end_ns
			 * of the heal, after its receiver has perhaps seen the gap */
};
/* Cuts or heals one direction on all channels. Connections over a pair cut in any direction end
 * at both sides after cfg.cut_ns, unless healed before. */
void art__sim_cut(struct art_sim_world *w, int from, int to, enum art_sim_cut how);
/* Slots of different group numbers are cut from each other (stall), equal ones healed. */
void art__sim_partition(struct art_sim_world *w, const int *group);
void art__sim_heal_all(struct art_sim_world *w);

/* Holds what flies from @from to @to on @channel until released: nothing is lost, and the
 * connection does not end by itself. Frames so held are the late ones of an old epoch. */
void art__sim_hold(struct art_sim_world *w, uint32_t channel, int from, int to, bool on);

/* The process of @slot is gone. Of what it had sent a seeded prefix may still arrive, then its
 * peers see down(), unless the link is cut. Its instances must not be used but for close(). */
void art__sim_kill(struct art_sim_world *w, int slot);

/* A stopped process: poll() finds nothing, what comes for it waits. */
void art__sim_pause(struct art_sim_world *w, int slot, bool on);

extern const struct art_tp_ops art__sim_ops;

#endif
