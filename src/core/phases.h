/* SPDX-License-Identifier: MIT
 *
 * When the phases of a view change began, for art_last_change() and the trace.
 */
#ifndef ART_CORE_PHASES_H
#define ART_CORE_PHASES_H

#include "base/env.h"
#include "core/core.h"

struct art_phases {
	uint64_t sign_ns;   /* of the change under way: its first sign, 0: none */
	uint64_t frozen_ns; /* and since when nothing moves */
	struct art_change_times last;
};

void art__phases_decided(struct art_phases *p, uint32_t epoch, uint64_t now);
/* The last change, into the trace. */
void art__phases_trace(const struct art_phases *p, const struct art_env *env, uint32_t members);

#endif
