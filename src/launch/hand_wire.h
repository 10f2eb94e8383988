/* SPDX-License-Identifier: MIT
 *
 * What the ranks of a job started by hand say to rank 0 before the job begins, over TCP: layouts,
 * keys and checks. Pure: bytes in, values out. Integers are little-endian, every message has a
 * length known beforehand, and every one but the first carries a proof of the key.
 *
 *   rank                          rank 0
 *   HELLO      ->                             number, size, nonce
 *              <-  CHALLENGE                  nonce of the job, nonce of the connection | MAC
 *   PROOF      ->                             | MAC
 *              <-  WELCOME                    or what is wrong with the place | MAC
 *   CARD       ->                             where it listens, on which host | MAC
 *              <-  TABLE                      everyone's cards | MAC
 *               or FAILED                     what the job lacks, in words | MAC
 *
 * MACs are keyed with a session key: the key of the file over HELLO and CHALLENGE. So both sides know
 * that the other has the key, nothing said on another connection is of use on this one, and since each
 * kind comes once and in one direction only, no MAC can be sent back or twice.
 *
 * Job number and job key are the key of the file over the nonce of the job: a key file may be used
 * again, and what an earlier job said is of no use to a later one.
 */
#ifndef ART_LAUNCH_HAND_WIRE_H
#define ART_LAUNCH_HAND_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launch/boot.h"
#include "launch/host_id.h"

#define ART_HAND_PREFIX 8 /* "ARTb", version, kind, two zeros */
#define ART_HAND_MAC 16
#define ART_HAND_HELLO (ART_HAND_PREFIX + 4 + 4 + 16)
#define ART_HAND_CHALLENGE (ART_HAND_PREFIX + ART_HAND_JOB_NONCE + 16 + ART_HAND_MAC)
#define ART_HAND_PROOF (ART_HAND_PREFIX + ART_HAND_MAC)
#define ART_HAND_WELCOME (ART_HAND_PREFIX + 4 + 4 + ART_HAND_MAC)
#define ART_HAND_PLACE (3 * ART_TP_ADDR_MAX + 8 + 4 + 4 + 8) /* a card in the table */
#define ART_HAND_CARD (ART_HAND_PREFIX + ART_HAND_PLACE + 8 + ART_HOST_BOOT_MAX + ART_HAND_MAC)
#define ART_HAND_TEXT 240 /* with the final NUL */
#define ART_HAND_FAILED (ART_HAND_PREFIX + ART_HAND_TEXT + ART_HAND_MAC)
#define ART_HAND_TABLE(size) (ART_HAND_PREFIX + (size_t)(size) * ART_HAND_PLACE + ART_HAND_MAC)
#define ART_HAND_JOB_NONCE 32

_Static_assert(ART_HAND_HELLO + ART_HAND_PROOF <= 128, "little is read of a stranger");

enum art_hand_kind {
	ART_HAND_K_HELLO = 1,
	ART_HAND_K_CHALLENGE,
	ART_HAND_K_PROOF,
	ART_HAND_K_WELCOME,
	ART_HAND_K_CARD,
	ART_HAND_K_TABLE,
	ART_HAND_K_FAILED,
};

enum art_hand_verdict { ART_HAND_GOOD, ART_HAND_SIZE, ART_HAND_TAKEN };

/* What a message, or as much as came of it, is. */
enum art_hand_check {
	ART_HAND_OK,
	ART_HAND_GARBAGE, /* not of this protocol, or altered */
	ART_HAND_VERSION, /* of another version */
	ART_HAND_KEY,     /* its MAC is not of our key */
};

struct art_hand_session {
	uint8_t key[32];
};

struct art_hand_member { /* of a CARD */
	struct art_boot_card card;
	struct art_host_id id;
};

/* ---- the variables ---- */
/* "address:port" or "[address]:port", the form ART_ROOT has; the address is not looked at, beyond
 * that it has no colon without brackets. False: it is something else, or the port is none. */
bool art__hand_root_parse(const char *text, char host[ART_TP_ADDR_MAX], char port[6]);
/* A whole number, digits only, from @min to @max. */
bool art__hand_number_parse(const char *text, long min, long max, int *out);

/* ---- messages; @b is exactly as long as its kind says ---- */
/* The prefix, or as much as came of it. */
enum art_hand_check art__hand_prefix_check(const uint8_t *b, size_t have, enum art_hand_kind kind);
void art__hand_hello_put(uint8_t b[ART_HAND_HELLO], int rank, int size, const uint8_t nonce[16]);
/* False: no rank of a job of that size. */
bool art__hand_hello_get(const uint8_t b[ART_HAND_HELLO], int *rank, int *size);
/* Makes the session, too. */
void art__hand_challenge_put(uint8_t b[ART_HAND_CHALLENGE], const uint8_t *key,
			     const uint8_t hello[ART_HAND_HELLO],
			     const uint8_t job[ART_HAND_JOB_NONCE], const uint8_t nonce[16],
			     struct art_hand_session *s);
enum art_hand_check art__hand_challenge_get(const uint8_t b[ART_HAND_CHALLENGE], const uint8_t *key,
					    const uint8_t hello[ART_HAND_HELLO],
					    uint8_t job[ART_HAND_JOB_NONCE],
					    struct art_hand_session *s);
void art__hand_proof_put(uint8_t b[ART_HAND_PROOF], const struct art_hand_session *s);
enum art_hand_check art__hand_proof_get(const uint8_t b[ART_HAND_PROOF],
					const struct art_hand_session *s);
/* @size is that of rank 0. */
void art__hand_welcome_put(uint8_t b[ART_HAND_WELCOME], const struct art_hand_session *s,
			   enum art_hand_verdict verdict, int size);
enum art_hand_check art__hand_welcome_get(const uint8_t b[ART_HAND_WELCOME],
					  const struct art_hand_session *s,
					  enum art_hand_verdict *verdict, int *size);
void art__hand_card_put(uint8_t b[ART_HAND_CARD], const struct art_hand_session *s,
			const struct art_hand_member *m);
enum art_hand_check art__hand_card_get(const uint8_t b[ART_HAND_CARD],
				       const struct art_hand_session *s, struct art_hand_member *m);
/* The table without its MAC, which is another for each rank: ART_HAND_TABLE(size) - ART_HAND_MAC
 * bytes. */
void art__hand_table_put(uint8_t *b, const struct art_boot_card *all, int size);
void art__hand_table_mac(const uint8_t *b, int size, const struct art_hand_session *s,
			 uint8_t mac[ART_HAND_MAC]);
enum art_hand_check art__hand_table_get(const uint8_t *b, const struct art_hand_session *s,
					struct art_boot_card *all, int size);
void art__hand_failed_put(uint8_t b[ART_HAND_FAILED], const struct art_hand_session *s,
			  const char *text);
/* Characters of the text that do not print become '?'. */
enum art_hand_check art__hand_failed_get(const uint8_t b[ART_HAND_FAILED],
					 const struct art_hand_session *s, char text[ART_HAND_TEXT]);

/* ---- what follows from the nonce of the job ---- */
void art__hand_job(const uint8_t *key, const uint8_t nonce[ART_HAND_JOB_NONCE], uint64_t *job,
		   uint8_t job_key[ART_TP_KEY_BYTES]);

/* ---- words ---- */
/* The ranks of which come[] is false: "rank 3" or "ranks 1, 4-6"; the last ones may be left out,
 * with "..." instead. */
void art__hand_missing(const bool *come, int size, char *out, size_t out_size);

#endif
