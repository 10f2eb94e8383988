/* SPDX-License-Identifier: MIT
 *
 * The status socket of a rank: an abstract Unix socket (nothing in the file system) on which the
 * service thread tells whoever may ask - the same user, or root - what this rank is doing, as one
 * JSON text, and closes. Nothing is read from the asker, so there is nothing to wait for.
 */
#ifndef ART_ENGINE_STATUS_H
#define ART_ENGINE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/machine.h"
#include "engine/report.h"

/* Its name behind the leading NUL: uid, job, rank, pid. art-info looks for these. */
#define ART_STATUS_NAME "art-status/%u/%016llx/%d/%d"
#define ART_STATUS_NAME_SCAN "art-status/%u/%16llx/%d/%d"
#define ART_STATUS_TEXT_MAX (96u * 1024)
#define ART_STATUS_COUNTS 64
#define ART_STATUS_CLIENTS 8 /* answered at a time; others wait in the backlog */

struct art_engine;

/* What is taken while owning the engine; the text is made of it afterwards. */
struct art_snapshot {
	struct art_report report;
	uint64_t now_ns, quiet_ns;  /* no call came or went since; 0: not known */
	bool described, in_call;
	const char *transport;
	uint64_t garbage, gaps, repeats;
	struct art_snapshot_chan {
		int up;             /* connections */
		uint64_t tx_messages, tx_bytes, rx_messages, rx_bytes;
		size_t pending;     /* bytes queued */
		unsigned ncount;    /* what the transport counts: connections made, refused and why */
		struct {
			const char *what; /* static storage; letters and hyphens */
			uint64_t n;
		} count[ART_STATUS_COUNTS];
	} chan[2];
};

/* Listens; on an error the job goes on without, and a line says so. */
void art__status_open(struct art_engine *e);
void art__status_close(struct art_engine *e);
/* The descriptor to watch, -1: none. */
int art__status_fd(const struct art_engine *e);
/* Takes in who may ask; true if anybody is there. Not owning the engine. */
bool art__status_accept(struct art_engine *e);
/* Owning the engine: what is to be told. NULL: no memory. */
struct art_snapshot *art__status_take(struct art_engine *e);
/* Tells it (nothing, if @s is NULL), and frees it. Not owning the engine; never blocks. */
void art__status_answer(struct art_engine *e, struct art_snapshot *s);

/* status_text.c: @s as JSON. Bytes written, always less than @size; a text that does not fit is cut,
 * and so is no JSON. */
struct art_status_id {
	uint64_t job;
	int pid;
	uint64_t garbled; /* answers that a client could not be given whole */
};
size_t art__status_text(const struct art_snapshot *s, const struct art_status_id *id, char *out,
			size_t size);

#endif
