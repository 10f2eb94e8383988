/* SPDX-License-Identifier: MIT
 *
 * What a rank's protocol goes by where nothing is set.
 */
#include <string.h>

#include "coll/coll.h"
#include "core/core.h"
#include "ft/ft.h"

void art__core_defaults(struct art_core_cfg *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->size = 1;
	cfg->heartbeat_ns = 100 * ART_NS_PER_MS;
	cfg->bound_ns = 500 * ART_NS_PER_MS;
	cfg->quorum_wait_ns = 60 * ART_NS_PER_S;
	cfg->stall_ns = 10 * ART_NS_PER_S;
	cfg->retry_ns = 20 * ART_NS_PER_MS;
	cfg->log_ops = 64;
	cfg->log_bytes = 8u << 20;
	cfg->early_bytes = 64u << 20;
	cfg->hope[0] = ART_EAGER + 1;
	cfg->hope[1] = 1 << 20;
	cfg->small_max = 16 * 1024;
	cfg->halving_min = 1 << 20;
	cfg->twotree_min = 512 * 1024;
	cfg->radix = 2;
	cfg->ring_segment = ART_SEGMENT;
	cfg->buddies = 1;
	cfg->star_max = ART_FT_STAR_MAX;
}
