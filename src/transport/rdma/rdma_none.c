/* SPDX-License-Identifier: MIT
 *
 * In place of the rdma transport where ART is built without libibverbs.
 */
#include <art/status.h>

#include "transport/rdma/open.h"

static int none_open(const struct art_env *env, const struct art_tp_self *self,
		     const struct art_tp_opts *opts, const struct art_tp_up *up,
		     struct art_tp **out)
{
	const struct art_rdma_opts *ro = opts->world;

	(void)up;
	(void)out;
	art__env_log(env, ro->alone ? ART_LOG_ERROR : self->slot ? ART_LOG_INFO : ART_LOG_WARN,
		     "this build of ART has no RDMA (configure found no libibverbs)%s",
		     ro->alone ? "" : ": going on without");
	return ART_ERR_TRANSPORT;
}

const char *art__rdma_count(const struct art_tp *tp, unsigned i, uint64_t *n)
{
	(void)tp;
	(void)i;
	(void)n;
	return NULL;
}

struct art_tp *art__rdma_carrier(const struct art_tp *tp)
{
	(void)tp;
	return NULL;
}

const struct art_tp_ops art__rdma_ops = {
	.name = "rdma",
	.open = none_open,
};
