/* SPDX-License-Identifier: MIT
 *
 * Ranks that send streams in runs: every other one, so that there are also those that are killed between
 * two messages of what would be a run. And those that lend instead (cluster_lend.c), and are helped
 * (cluster_spread.c).
 */
#include "tests/lib/cluster_impl.h"

static size_t port_send_run(void *self, int to, const struct art_hdr *h, const void *body, size_t len,
			    size_t each, bool *room)
{
	struct crank *r = self;
	size_t messages = (len + each - 1) / each;

	*room = true;
	if (!cluster__step(r))
		return len;
	r->cluster->messages[ART_CHAN_DATA] += messages;
	r->sent[ART_CHAN_DATA] += messages;
	return art__link_send_run(&r->link, to, h, body, len, each, room);
}

void cluster__run_port(struct crank *r)
{
	r->port.send_run = r->slot % 2 ? port_send_run : NULL;
	cluster__lend_port(r);
	cluster__spread_port(r);
}
