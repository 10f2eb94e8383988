/* SPDX-License-Identifier: MIT
 *
 * Datagrams between the ranks of a job: one UDP socket, on the interface of the transports. A
 * datagram may be lost, and nothing waits for one; what it says is the detector's business
 * (ft/detector.h). Each carries a keyed checksum over its contents, sender, receiver, job,
 * incarnation and number; what does not fit, or has been there, is dropped and counted.
 */
#ifndef ART_ENGINE_BEAT_H
#define ART_ENGINE_BEAT_H

#include <sys/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "transport/transport.h"

#define ART_BEAT_MAX 64 /* bytes of contents */

struct art_beat_peer {
	struct sockaddr_storage at;
	socklen_t at_len;      /* 0: not known */
	uint64_t incarnation;
	uint64_t seen;         /* number of the last one from it */
};

struct art_beats {
	int fd; /* -1: closed */
	int slot, size;
	uint64_t job, incarnation, number;
	uint8_t key[32];
	struct art_beat_peer *peer; /* [size] */
	uint64_t refused;           /* datagrams that were none of ours, or old */
};

/* @beside: the printable address of a transport of this rank, whose interface is taken. Writes the
 * address for others. 0 or ART_ERR_*. */
int art__beats_open(struct art_beats *b, const struct art_env *env, const struct art_tp_self *self,
		    const char *beside, char addr[ART_TP_ADDR_MAX]);
int art__beats_peer(struct art_beats *b, int slot, const char *addr, uint64_t incarnation);
void art__beats_send(struct art_beats *b, int to, const void *p, size_t len);
/* At most @budget datagrams; how many were read, good or bad. */
int art__beats_poll(struct art_beats *b, int budget,
		    void (*fn)(void *self, int from, const uint8_t *p, size_t len), void *self);
void art__beats_close(struct art_beats *b);

#endif
