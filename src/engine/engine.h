/* SPDX-License-Identifier: MIT
 *
 * One rank's engine: it gives the machine (machine.h) threads, descriptors and time. Whoever
 * *owns* the engine - a thread of the application inside an ART call, or the service thread - may
 * call the machine and both transports; ownership is one compare-and-swap and a store (rule R5).
 * It knows machines only: what is said over the wire is their business.
 *
 * fork(): every descriptor is CLOEXEC, so a child that calls exec() inherits nothing. A child that
 * does not exec() has no service thread and shares the parent's sockets: it must not call ART.
 */
#ifndef ART_ENGINE_ENGINE_H
#define ART_ENGINE_ENGINE_H

#include <sched.h>
#include <sys/types.h>

#include "engine/machine.h"
#include "engine/workers.h"
#include "transport/transport.h"

struct art_engine;

struct art_engine_cfg {
	const struct art_env *env;  /* outlives the engine */
	const char *transport;      /* of data, as art__transport_open() takes it; control: tcp */
	bool arena;                 /* the ranks of this host may share memory, the transport allowing */
	const char *iface;          /* as art_tp_opts.iface */
	const char *rdma_device;    /* as art_tp_opts.rdma_device */
	const char *rdma_large;     /* as art_tp_opts.rdma_large */
	const char *rdma_srq;       /* as art_tp_opts.rdma_srq */
	uint64_t connect_ns;        /* bound of making a connection, 0: 10 s */
	enum art_tp_security security; /* of the data channel; control is always encrypted */
	int slot, size;             /* size 1: no transport is opened */
	uint64_t job, incarnation;
	uint8_t key[ART_TP_KEY_BYTES];
	int cores;                  /* that this process may run on */
	bool apart;                 /* the service thread has CPUs that are not the caller's: */
	cpu_set_t service_cpus;     /* these */
	bool status;                /* have a status socket (status.h) */
	/* Asked before machine->dead(), owning the engine: true if the loss was dealt with and the machine is
	 * not to know. May be NULL. */
	bool (*lost)(void *self, int slot);
	void *lost_self;
	/* Where this rank's view is noted for after its death, and what a dead rank had noted; @local: this
	 * thread has seen its death itself. False: nothing is known. The owner calls them; NULL: nowhere. */
	void (*note)(void *self, uint32_t epoch, const struct art_set *members);
	bool (*last)(void *self, int slot, bool local, uint32_t *epoch, struct art_set *members);
	/* The arbiter of exact halves, NULL: none. A question, by the owner; the next answer, asked for after
	 * witness() by the service thread, owning the engine: NULL if there is none. */
	void (*vote)(void *self, const void *p, size_t len);
	const uint8_t *(*voted)(void *self, size_t *len);
	void *note_self;
	/* A witness of deaths on other hosts, NULL: none. When witness_fd is readable the service
	 * thread asks, not owning the engine: the next slot that is certified dead, -1 if there is
	 * none now, -2 if there will be none any more. */
	int (*witness)(void *self);
	void *witness_self;
	int witness_fd;
};

/* Opens the transports and starts to listen; @addr is what others dial, per channel. ART_ERR_ARG
 * for an unknown transport; on any error nothing is left behind and *out is not written. */
int art__engine_open(const struct art_engine_cfg *cfg, char addr[2][ART_TP_ADDR_MAX],
		     struct art_engine **out);
/* How many ranks this host has, this one included: where each has a core, waits spin for a while
 * before they sleep; where cores are shared, they hand the core over for a while. Until told, neither. */
void art__engine_locals(struct art_engine *e, int ranks);
/* @most threads at most may help with large operations, where @where says; before art__engine_port(), which
 * offers them. */
void art__engine_workers(struct art_engine *e, int most, art_workers_where_fn *where, void *self);
/* The effects to make the machine with; valid until art__engine_close(). */
void art__engine_port(struct art_engine *e, struct art_port *port);
/* How to reach @slot; before art__engine_start(). Only with ranks of @this_host memory is shared. */
int art__engine_peer(struct art_engine *e, int slot, bool this_host, const char *data,
		     const char *ctl);
/* Share memory with the process @pid, @slot of this host; then, for all, that those were all. Before
 * art__engine_start(), and before art__engine_port() offers it. Where it cannot be, the machine does without,
 * and with it those of the others. */
void art__engine_share(struct art_engine *e, int slot, pid_t pid, uint64_t incarnation);
void art__engine_share_done(struct art_engine *e);
/* Datagrams for the detector, beside the control channel; before art__engine_port(), which offers them
 * to the machine if they are there. A rank that has no far peer needs none. @addr: for others. */
int art__engine_beats_open(struct art_engine *e, char addr[ART_TP_ADDR_MAX]);
int art__engine_beats_peer(struct art_engine *e, int slot, const char *addr, uint64_t incarnation);
void art__engine_beats_close(struct art_engine *e);
/* Starts the service thread. @pids[slot] is the process of a slot of this host, 0 for slots of
 * other hosts (and this one); a process that is gone already counts as dead. Negative when a
 * thread or descriptor cannot be had: then only art__engine_close() is left to call. */
int art__engine_start(struct art_engine *e, struct art_machine *m, const pid_t *pids);
/* Ends the service thread, gives what is queued at most a second to leave, closes the
 * transports. No other thread is inside the engine. The machine is not called afterwards. */
void art__engine_stop(struct art_engine *e);
/* Frees the engine; stops it first if need be. */
void art__engine_close(struct art_engine *e);

/* What a channel's transport has counted (art__transport_count()); by the owner. */
bool art__engine_count(const struct art_engine *e, enum art_chan chan, unsigned i,
		       const char **what, uint64_t *n);

/* Takes the engine for the calling application thread; not recursive. */
void art__engine_enter(struct art_engine *e);
void art__engine_leave(struct art_engine *e);
/* The same of a caller that has not made the machine wait for anything since it came; what others did while it gave
 * the engine up is seen to. */
void art__engine_leave_quietly(struct art_engine *e);

/* Both are called by the owner and return to the owner; they give the engine up in between.
 * @done is called by whoever owns the engine, also in other threads, and reads only.
 * wait: until done(arg). test: one look at the network, and one queued user function; done(arg). */
void art__engine_wait(struct art_engine *e, bool (*done)(void *arg), void *arg);
/* Before one waits: @peek, which costs next to nothing, as often as takes less than to begin waiting, as long as
 * nobody else has a use for the engine; where cores are shared that is given up in between, for the others' turns.
 * What it returned last. */
bool art__engine_try(struct art_engine *e, bool (*peek)(void *arg), void *arg);
bool art__engine_test(struct art_engine *e, bool (*done)(void *arg), void *arg);
/* Runs what is queued of compute(), as a waiting call does. */
void art__engine_jobs(struct art_engine *e);

#endif
