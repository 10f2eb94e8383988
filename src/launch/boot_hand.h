/* SPDX-License-Identifier: MIT
 *
 * Starting by hand: what the files boot_hand*.c share. The messages are those of hand_wire.h.
 *
 *   boot_hand_vars.c   the variables, the key file
 *   boot_hand.c        the other ranks' side
 *   boot_hand_root.c   rank 0's side: it waits for the others, strangers come, too
 *
 * After the exchange all sockets are closed: nobody is left who could end the job or certify a
 * death on another host.
 */
#ifndef ART_LAUNCH_BOOT_HAND_H
#define ART_LAUNCH_BOOT_HAND_H

#include <sys/socket.h>

#include "launch/boot_impl.h"
#include "launch/hand_wire.h"

struct art_hand {
	char root[ART_TP_ADDR_MAX + 10]; /* ART_ROOT, for words */
	char key_file[160];              /* ART_KEY_FILE, for words, maybe cut */
	struct sockaddr_storage at;      /* where rank 0 waits */
	socklen_t at_len;
	uint8_t key[ART_TP_KEY_BYTES];   /* of the file */
	uint8_t nonce[ART_HAND_JOB_NONCE];
	uint64_t deadline_ns;
	int fd; /* rank 0: listening; others: to rank 0 */
	struct art_hand_session session; /* not at rank 0 */
	const char *last;                /* why the last attempt came to nothing */
};

/* Variables are there that only a rank started by hand has. */
bool art__hand_wanted(void);
/* Reads them and unsets them. Fills b->rank, size and iface, and in *h root, at and key. */
int art__hand_variables(struct art_boot *b, struct art_hand *h);

int art__hand_root_open(struct art_boot *b, struct art_hand *h);
int art__hand_root_exchange(struct art_boot *b, struct art_hand *h,
			    const struct art_hand_member *mine, struct art_boot_card *all);

/* ---- boot_hand.c ---- */
uint64_t art__hand_now(void);
/* For poll(): milliseconds until @ns, rounded up; 0 if that has passed. */
int art__hand_ms_until(uint64_t ns);
/* Reads what is missing of @need bytes. 1: all there; 0: not now; -1: the end. Never blocks. */
int art__hand_fill(int fd, uint8_t *b, size_t *have, size_t need);

#endif
