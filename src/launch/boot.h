/* SPDX-License-Identifier: MIT
 *
 * How a rank learns who it is and how to reach the others: outside the protocol, before it. Each way
 * is a bootstrap; the first whose variables are set is taken:
 *
 *   artrun    a socket that artrun left to the rank (boot_artrun.c)
 *   by hand   four variables and a key file; the ranks meet at rank 0 (boot_hand.c)
 *   alone     a job of one
 *
 * Decides nothing about transports: cards are carried, not read.
 */
#ifndef ART_LAUNCH_BOOT_H
#define ART_LAUNCH_BOOT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch/last_view.h"
#include "transport/transport.h"

#define ART_BOOT_WHY_MAX 400
#define ART_BOOT_VOTE_MAX (60u << 10)

struct art_boot_ops;

struct art_boot {
	const struct art_boot_ops *ops; /* NULL: not open */
	int rank, size;
	uint64_t job;
	uint8_t key[ART_TP_KEY_BYTES];
	int fd; /* to the launcher, -1 if there is none */
	/* Where a rank listens that was not told: an address of this host, "": on loopback only. */
	char iface[ART_TP_ADDR_MAX];
	/* The launcher has bound this rank to one CPU; these are the others that it has itself. Empty: not so. */
	cpu_set_t others;
	uint64_t wait_ns;   /* set before opening: so long ranks started by hand wait for each other */
	uint64_t strangers; /* connections that did not prove to be ranks */
	void *own;          /* of the bootstrap */
	struct art_views views;    /* where views are noted; none without a launcher */
	bool lowest_half;   /* set before opening: this rank takes the lowest of exact halves for a quorum */
	uint8_t *answer;    /* of the arbiter, not taken yet */
	size_t answer_len;
	struct art_last_view told; /* the last that certificates of the launcher have named */
	char why[ART_BOOT_WHY_MAX]; /* after an error: what is wrong, in words */
};

struct art_boot_card { /* what a rank tells the others about itself */
	char addr[3][ART_TP_ADDR_MAX]; /* data, control, datagrams (may be empty) */
	uint64_t incarnation;
	int32_t pid;
	int32_t host; /* number of the host, filled by whoever makes the table */
	uint64_t cores; /* that all ranks of its host share */
};

/* Finds the way this process was started, and its place: rank, size, job, key, iface. Job key and
 * numbers never come by argument or, the key, by environment. The variables of the place are unset
 * (and a launcher's descriptor becomes CLOEXEC), so that children do not inherit it. By hand it
 * blocks until rank 0 is there, at most b->wait_ns. Of *b only wait_ns and lowest_half are read. 0, or negative
 * with b->why and nothing left open. */
int art__boot_open(struct art_boot *b);
/* Gives @mine, gets everyone's (@all holds b->size cards, @all[rank] included). Blocks until all
 * ranks have come; returns ART_ERR_PROC_FAILED if one never will, ART_ERR_TRANSPORT if whoever
 * makes the table is gone; b->why has more. */
int art__boot_exchange(struct art_boot *b, const struct art_boot_card *mine,
		       struct art_boot_card *all);
/* From now on this rank acts in this view; seen after its death. */
void art__boot_note(struct art_boot *b, uint32_t epoch, const struct art_set *members);
/* In which view a rank whose death is certain has acted last; of one on another host, what certificates
 * of the launcher have named last. False: nothing is known of it. @local: its death was seen here. */
bool art__boot_last(const struct art_boot *b, int rank, bool local, uint32_t *epoch,
		    struct art_set *members);
/* A certificate of the launcher: the next rank of another host whose death was seen there, and
 * its incarnation. -1: none now; -2: none any more. Never blocks; b->fd is readable when there may be
 * one. One thread may ask while others call the functions below. Not without a launcher. */
int art__boot_dead(struct art_boot *b, uint64_t *incarnation);
/* A question for the arbiter of exact halves, which is with the launcher. Never blocks; it may be lost. */
void art__boot_vote(struct art_boot *b, const void *p, size_t len);
/* The last answer that art__boot_dead() has come across, once; valid until that is called again. NULL: none. */
const uint8_t *art__boot_voted(struct art_boot *b, size_t *len);
/* This rank has finalized: its exit is no loss. */
int art__boot_finalized(struct art_boot *b);
/* Asks the launcher to end the job with @code. False: there is none that could. */
bool art__boot_abort(struct art_boot *b, int code);
/* May be called in any state, also twice. */
void art__boot_close(struct art_boot *b);

#endif
