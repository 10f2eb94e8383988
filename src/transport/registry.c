/* SPDX-License-Identifier: MIT
 *
 * Names the concrete transports; the only file that knows them all. Which of them a pair of
 * ranks uses is decided elsewhere.
 */
#include "transport/transport.h"

#include <string.h>

extern const struct art_tp_ops art__tcp_ops, art__sim_ops, art__fault_ops;

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
