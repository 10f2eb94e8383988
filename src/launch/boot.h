/* SPDX-License-Identifier: MIT
 *
 * How a rank learns who it is and how to reach the others: the rank's side of a launcher. One
 * small table of bootstraps outside the protocol; here artrun's (an inherited socket), or none
 * (a job of one).
 */
#ifndef ART_LAUNCH_BOOT_H
#define ART_LAUNCH_BOOT_H

#include <stdint.h>
#include <sys/types.h>

#include "transport/transport.h"

struct art_boot {
	int rank, size;
	uint64_t job;
	uint8_t key[ART_TP_KEY_BYTES];
	int fd; /* to the launcher, -1 for a job of one */
};

struct art_boot_card { /* what a rank tells the others about itself */
	char addr[3][ART_TP_ADDR_MAX]; /* data, control, datagrams (may be empty) */
	uint64_t incarnation;
	int32_t pid;
	int32_t host; /* number of the host, filled by the launcher */
};

/* Reads ART_LAUNCH_FD (and closes nothing else); without it a job of one with a random key. Job key
 * and numbers come over the socket, never by argument or environment. The descriptor becomes
 * CLOEXEC and the variable is unset, so that children do not inherit the place. 0 or negative. */
int art__boot_open(struct art_boot *b);
/* Gives @mine, gets everyone's (@all holds b->size cards, @all[rank] included). Blocks until all
 * ranks have come; returns ART_ERR_PROC_FAILED if the launcher says that one never will, and
 * ART_ERR_TRANSPORT if the launcher is gone. */
int art__boot_exchange(struct art_boot *b, const struct art_boot_card *mine,
		       struct art_boot_card *all);
/* A certificate of the launcher: the next rank of another host whose death was seen there, and
 * its incarnation. -1: none now; -2: none any more. Never blocks; b->fd is readable when there may be
 * one. One thread may ask while others call the functions below. */
int art__boot_dead(const struct art_boot *b, uint64_t *incarnation);
/* This rank has finalized: its exit is no loss. */
int art__boot_finalized(struct art_boot *b);
/* Ask the launcher to end the job with @code. */
int art__boot_abort(struct art_boot *b, int code);
void art__boot_close(struct art_boot *b);

#endif
