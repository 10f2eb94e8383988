/* SPDX-License-Identifier: MIT
 *
 * The arbiter of exact halves: artrun has the one vote more that half of the members lack (rule R7). It
 * knows nothing of members and views; what it promises and accepts is decided in ft/arbiter.c. An
 * agent passes on what its ranks ask, and the answers.
 *
 * Where some rank takes the lowest of exact halves for a quorum by itself there is no vote for the other.
 */
#include <string.h>

#include "base/env.h"
#include "ft/arbiter.h"
#include "launch/artrun.h"

_Static_assert(ART_VOTE_MAX <= ART_BOOT_VOTE_MAX, "every answer fits");

static struct art_env env;
static struct art_arbiter arbiter;

void art__run_vote(struct run_job *j, struct run_rank *r, const uint8_t *p, size_t len)
{
	struct art_wbuf answer = { 0 };
	uint32_t epoch = arbiter.epoch;

	if (j->up) {
		art__agent_report(j, ART_AGENT_VOTE, r, p, len);
		art__run_sinks_flush(j);
		return;
	}
	if (j->lowest_half || j->cards < j->n)
		return;
	if (!arbiter.env) {
		art__env_posix(&env, "artrun", ART_LOG_ERROR);
		art__arbiter_init(&arbiter, &env, 0);
	}
	if (art__arbiter_ask(&arbiter, p, len, &answer))
		art__run_voted(j, r, answer.p, answer.len);
	if (arbiter.epoch != epoch && j->opts.verbose)
		art__run_say(j, "rank %d and exactly half of the members ask for a vote on view %u",
			     art__run_index(j, r), (unsigned)arbiter.epoch);
	art__env_free(&env, answer.p);
}
