/* SPDX-License-Identifier: MIT
 *
 * The arbiter of exact halves (rule R7): one more acceptor, which is no member. Its vote makes a quorum
 * of exactly half the members and of nothing else; where there is none, such a half stops. It keeps
 * one epoch, the highest it was asked about: whoever asks about an earlier one is behind a decision
 * and gets no vote.
 *
 * Pure: a question in, an answer out. Bodies of both, integers little-endian:
 *
 *   question  kind PREPARE | epoch | ballot           kind ACCEPT | epoch | ballot | value
 *   answer    kind PROMISE | epoch | ballot | accepted ballot | its value
 *             kind ACCEPTED | epoch | ballot          kind NACK | epoch | ballot promised
 */
#ifndef ART_FT_ARBITER_H
#define ART_FT_ARBITER_H

#include "ft/ft.h"

#define ART_VOTE_MAX (60u << 10) /* of a question or an answer: a longer value is not arbitrated */
#define ART_VOTE_HEAD 13u        /* of the longest answer but for the value */

struct art_arbiter {
	const struct art_env *env;
	uint64_t mutant;
	uint32_t epoch; /* 0: never asked */
	struct art_acceptor acc;
};

void art__arbiter_init(struct art_arbiter *a, const struct art_env *env, uint64_t mutant);
void art__arbiter_fini(struct art_arbiter *a);
/* Answers @from. False: no answer (not a question, of an earlier epoch, or no memory). */
bool art__arbiter_ask(struct art_arbiter *a, const uint8_t *p, size_t len, struct art_wbuf *answer);

#endif
