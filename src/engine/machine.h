/* SPDX-License-Identifier: MIT
 *
 * The border between protocol and world. Protocol code (coll, ft, core) is one machine per
 * rank: events go in through art_machine_ops, effects go out through art_port. The engine
 * drives it in a process, tests/sim drives the same object code in virtual time.
 *
 * The port is not re-entrant: no port entry calls the machine. Effects happen in the order in
 * which they are asked for. All calls to one machine come from whoever owns the engine.
 */
#ifndef ART_ENGINE_MACHINE_H
#define ART_ENGINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/set.h"
#include "wire/wire.h"

struct art_op;
struct art_arena;  /* base/arena.h */
struct art_report; /* engine/report.h */

enum art_chan { ART_CHAN_DATA, ART_CHAN_CTL };

/* Work for a thread of the application: run a user function outside the machine (rule R5). */
struct art_job {
	struct art_op *op;       /* NULL: it is not about one */
	uint64_t token;          /* handed back unchanged */
	void (*run)(struct art_job *job); /* does the work; touches nothing but *job */
	void *arg[4];
	size_t count;
	struct art_job *next;    /* for whoever queues it */
};

/* What a look at a process of this host found. */
enum art_look { ART_LOOK_RUNS, ART_LOOK_STOPPED };

/* What a body that may be lent is a part of. */
struct art_lending {
	struct art_op *op;
	const void *base;
	size_t bytes;
};

/* Slice @slice of a piece of work; whoever does others at the same time has another @hand, the owner 0. */
typedef void art_slice_fn(void *arg, unsigned slice, unsigned hand);

/* Threads that help the owner with large pieces of work. */
struct art_spread {
	void *self;
	size_t slice;  /* bytes that are worth another thread's while */
	unsigned most; /* hands at most */
	/* How many there are now, the owner included; the first to ask may have others made. */
	unsigned (*hands)(void *self);
	/* Calls @slice(@arg, i, hand) once for each i < @n, in any order; all are over when it returns. */
	void (*run)(void *self, art_slice_fn *slice, void *arg, unsigned n);
};

/* Effects. */
struct art_port {
	void *self;
	/* Sends one message; @h->src, link_seq and len are filled by the engine. The body is the
	 * caller's again on return. 1: room for more, 0: wait for room() before sending bulk again
	 * (this message was taken). Never fails: a broken link shows as link_down(). */
	int (*send)(void *self, enum art_chan chan, int to, const struct art_hdr *h, const void *body,
		    size_t len);
	/* Sends a body of a stream over the data channel as messages of @each bytes, the last one maybe of
	 * less, with @h->off growing: as much as there is room for, *room as send() would say. Returns
	 * the bytes taken. NULL: send() each. */
	size_t (*send_run)(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
			   size_t each, bool *room);
	/* lend() to @to may leave a body: what is to go there is not sent as a run. NULL where lend() is. */
	bool (*lends)(void *self, int to);
	/* As send() on the data channel, but if *lent is true on return, the body is not the caller's before
	 * returned() for @op. It lies in @base[bytes], of which more messages of @op may be sent so.
	 * NULL: everything is copied. */
	int (*lend)(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
		    const struct art_lending *from, bool *lent);
	/* The caller of @op is about to have the memory again, or what was sent of the op means nothing to any
	 * member any more. No returned() follows. Not NULL where lend() is not. */
	void (*lent_over)(void *self, struct art_op *op);
	/* What place() has answered for @op is over: nothing is put there any more, from the return on. Bodies
	 * that were to come there come as anything. NULL: place() is never asked. */
	void (*unplace)(void *self, struct art_op *op);
	/* Fence a leaving slot: data connection closed, nothing more accepted from it. */
	void (*fence)(void *self, int slot);
	/* End the data connection to a member; the next send makes a new one. */
	void (*relink)(void *self, int slot);
	/* Have a connection to a member ready, without saying anything on it. NULL: not possible. */
	void (*open)(void *self, enum art_chan chan, int to);
	/* @op reached its end for the caller: wake whoever waits for it. */
	void (*done)(void *self, struct art_op *op);
	/* Run @job on a thread that is inside an ART call of this rank, not holding the engine, then
	 * call computed(). @job stays valid until then. */
	void (*compute)(void *self, struct art_job *job);
	/* Sends one datagram to a rank of another host or of this one: it may get lost or come late, and
	 * never waits for anything. NULL: there are none, and nobody is judged by silence. */
	void (*beat)(void *self, int to, const void *p, size_t len);
	/* Look at the process of a rank of this host, then call looked(), later. NULL: not possible. */
	void (*look)(void *self, int slot);
	/* Memory shared with the other ranks of this host; NULL: none. */
	const struct art_arena *arena;
	/* NULL: nobody helps. */
	const struct art_spread *spread;
	/* From now on this rank acts in this view: to be noted where its host finds it after this rank's death,
	 * before anything else is done. NULL: there is no such place. */
	void (*view)(void *self, uint32_t epoch, const struct art_set *members);
	/* A question for the arbiter of exact halves, outside the job; its answer comes by voted(), or does
	 * not. NULL: there is none. */
	void (*vote)(void *self, const void *p, size_t len);
	/* A named protocol step is being taken: a crash point for tests. May be NULL. */
	void (*step)(void *self, const char *name);
};

struct art_machine;

/* Events. */
struct art_machine_ops {
	/* A message from @from (a slot of the job, not this one). */
	void (*frame)(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		      const uint8_t *body);
	/* Bulk may be sent to @to again. */
	void (*room)(struct art_machine *m, int to);
	/* The connection to @peer ended, or a message on it was lost: frames may be missing. */
	void (*link_down)(struct art_machine *m, enum art_chan chan, int peer);
	/* For as long as connecting may take, this rank's own system had no descriptor or memory for a
	 * connection to @peer on which something waits to be sent; -1: for those that come in. May be
	 * NULL. */
	void (*starved)(struct art_machine *m, int peer);
	/* Proven: the process of @slot is dead. What it had noted with view(); @members NULL: nothing is
	 * known of that. @early: the others of its host may be told much later. */
	void (*dead)(struct art_machine *m, int slot, uint32_t epoch, const struct art_set *members, bool early);
	/* The detector's verdict that @slot must leave (unproven). */
	void (*suspect)(struct art_machine *m, int slot);
	/* A datagram from @from (authentic; any bytes). */
	void (*beat)(struct art_machine *m, int from, const uint8_t *p, size_t len);
	void (*looked)(struct art_machine *m, int slot, enum art_look look);
	/* The arbiter has answered. May be NULL. */
	void (*voted)(struct art_machine *m, const uint8_t *p, size_t len);
	/* What one lend() of @op had left in use is the caller's again. NULL: nothing is lent. */
	void (*returned)(struct art_machine *m, struct art_op *op);
	/* Where the body of a data message that may come soon from @from is to go, if that is known and nobody
	 * looks there before: it may be put there, and frame() then has it as its body. @in: the memory it lies
	 * in, and whose that is. NULL: it comes with frame(). May be NULL, too. */
	uint8_t *(*place)(struct art_machine *m, int from, const struct art_hdr *h, struct art_lending *in);
	/* The user function of @job has returned. */
	void (*computed)(struct art_machine *m, struct art_job *job);
	/* Time passed. Called at or after wake_ns(). */
	void (*tick)(struct art_machine *m);
	/* When tick() is wanted next (env clock), ART_NEVER if not. */
	uint64_t (*wake_ns)(struct art_machine *m);
	/* Some op of this rank could go on if a frame came: the data channel wants polling even
	 * while the application is outside the library. */
	bool (*busy)(struct art_machine *m);
	/* A change of the view holds everything up; what ends that comes on the control channel. */
	bool (*held_up)(struct art_machine *m);
	/* A look at the shared memory, for a port that has some, and at what waits only for a little time to
	 * pass. 1: some op got on, 0: none, -1: none waits for anything there. */
	int (*peek)(struct art_machine *m);
	/* @on: nobody is going to look for a while, others are to send a message when they have put something
	 * there, and none waits for a little time to pass. True: some op got on just now: call it again. Off:
	 * somebody looks. In any state. peek and doze: NULL in machines that have no such ops. */
	bool (*doze)(struct art_machine *m, bool on);
	/* Instead of doze(on) where messages are seen to on another core than the caller's: true if all that this
	 * rank could do at once may wait until another asks for it by a message, and one that needs it would. False:
	 * doze. */
	bool (*rest)(struct art_machine *m);
	/* What is going on, for people. No side effects. May be NULL. */
	void (*describe)(struct art_machine *m, struct art_report *out);
};

struct art_machine {
	const struct art_machine_ops *ops;
};

#endif
