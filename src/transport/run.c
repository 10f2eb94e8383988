/* SPDX-License-Identifier: MIT
 *
 * A run of messages, also through a transport that has no better way than one after the other.
 */
#include "transport/transport.h"

#include <assert.h>

int art__transport_send_each(struct art_tp *tp, int peer, struct art_tp_run *run)
{
	int taken = 0;

	run->room = true;
	while (run->room && taken < run->n) {
		struct iovec iov[2] = {
			{ run->head[taken], ART_TP_HEAD },
			{ (void *)(uintptr_t)(run->body + (size_t)taken * run->each),
			  art__transport_run_body(run, taken) },
		};
		int rc = tp->ops->send(tp, peer, iov, 2);

		if (rc < 0)
			return rc; /* its user ends the connection, and what was taken is lost with it */
		run->room = rc > 0;
		taken++;
	}
	return taken;
}

int art__transport_send_run(struct art_tp *tp, int peer, struct art_tp_run *run)
{
	assert(run->n >= 1 && run->n <= ART_TP_RUN_MAX && run->each > 0 &&
	       run->len > (size_t)(run->n - 1) * run->each &&
	       run->len <= (size_t)run->n * run->each);
	return tp->ops->send_run ? tp->ops->send_run(tp, peer, run) :
				   art__transport_send_each(tp, peer, run);
}
