/* SPDX-License-Identifier: MIT
 *
 * See phases.h.
 */
#include "core/phases.h"

#include "base/trace.h"

/* Who only heard of the change from its proposer saw the first sign when it froze. */
void art__phases_decided(struct art_phases *p, uint32_t epoch, uint64_t now)
{
	uint64_t frozen = p->frozen_ns ? p->frozen_ns : now;

	p->last = (struct art_change_times){
		.epoch = epoch,
		.sign_ns = p->sign_ns && p->sign_ns < frozen ? p->sign_ns : frozen,
		.frozen_ns = frozen,
		.decided_ns = now,
	};
}

void art__phases_trace(const struct art_phases *p, const struct art_env *env, uint32_t members)
{
	const uint64_t at[] = { p->last.sign_ns, p->last.frozen_ns, p->last.decided_ns,
				p->last.installed_ns };
	static const char *const name[] = { "freeze", "decision", "install" };

	for (int i = 0; i < 3; i++) {
		struct art_trace t = {
			.kind = ART_TRACE_CHANGE,
			.rank = -1,
			.begin_ns = at[i],
			.t_ns = at[i + 1],
			.epoch = p->last.epoch,
			.n = members,
		};
		art__trace_put(env, &t, name[i]);
	}
}
