/* SPDX-License-Identifier: MIT
 *
 * Names the concrete transports; the only file that knows them all. Which of them a pair of
 * ranks uses is decided elsewhere.
 */
#include "transport/transport.h"

#include <string.h>

#include "transport/fault/fault.h"
#include "transport/sim/sim.h"
#include "transport/tcp/tcp.h"

const struct art_tp_ops *art__transport_find(const char *name)
{
	static const struct art_tp_ops *const all[] = {
		&art__tcp_ops,
		&art__sim_ops,
		&art__fault_ops,
	};
	for (size_t i = 0; name && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

bool art__transport_count(const struct art_tp *tp, unsigned i, const char **what, uint64_t *n)
{
	if (tp->ops == &art__fault_ops)
		tp = art__fault_inner(tp);
	if (tp->ops != &art__tcp_ops || i >= ART_TCP_N_LAST)
		return false;
	*what = art__tcp_count_name((enum art_tcp_count)i);
	*n = art__tcp_counters(tp)[i];
	return true;
}
