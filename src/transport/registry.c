/* SPDX-License-Identifier: MIT
 *
 * Names the concrete transports; the only file that knows them all. Which of them a pair of
 * ranks uses is decided elsewhere.
 */
#include "transport/transport.h"

#include <art/status.h>
#include <string.h>

#include "transport/fault/fault.h"
#include "transport/multi/multi.h"
#include "transport/rdma/open.h"
#include "transport/shm/shm.h"
#include "transport/sim/sim.h"
#include "transport/tcp/tcp.h"

const struct art_tp_ops *art__transport_find(const char *name)
{
	static const struct art_tp_ops *const all[] = {
		&art__tcp_ops,
		&art__shm_ops,
		&art__sim_ops,
		&art__fault_ops,
	};
	for (size_t i = 0; name && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

static bool listed(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = names; (at = strstr(at, name)); at += len)
		if ((at == names || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

/* Between hosts: rdma over tcp, or tcp where there is no rdma and it need not be. */
static int open_far(const char *names, const struct art_env *env, const struct art_tp_self *self,
		    const struct art_tp_opts *opts, const struct art_tp_up *up, struct art_tp **out)
{
	struct art_rdma_opts ro = {
		.carrier = &art__tcp_ops,
		.alone = !listed(names, "tcp"),
		.device = opts->rdma_device,
		.large = art__rdma_large(opts->rdma_large),
		.sharing = art__rdma_sharing(opts->rdma_srq),
	};
	struct art_multi_opts both = {&art__shm_ops, &art__rdma_ops, &ro};
	struct art_tp_opts with = *opts;

	with.world = &ro;
	if (!listed(names, "shm"))
		return art__rdma_ops.open(env, self, &with, up, out);
	with.world = &both;
	return art__multi_ops.open(env, self, &with, up, out);
}

int art__transport_open(const char *names, const struct art_env *env,
			const struct art_tp_self *self, const struct art_tp_opts *opts,
			const struct art_tp_up *up, struct art_tp **out)
{
	struct art_multi_opts both = {.near = &art__shm_ops, .far = &art__tcp_ops};
	struct art_tp_opts wrapped = *opts;
	const struct art_tp_ops *one;
	int rc;

	if (!names)
		return ART_ERR_ARG;
	if (listed(names, "rdma")) {
		rc = open_far(names, env, self, opts, up, out);
		if (rc != ART_ERR_TRANSPORT || !listed(names, "tcp"))
			return rc;
		names = listed(names, "shm") ? "shm,tcp" : "tcp";
	}
	one = art__transport_find(names);
	if (one)
		return one->open(env, self, opts, up, out);
	if (!listed(names, "shm") || !listed(names, "tcp"))
		return ART_ERR_ARG;
	wrapped.world = &both;
	return art__multi_ops.open(env, self, &wrapped, up, out);
}

const char *art__transport_far_part(const char *addr)
{
	const char *far = strchr(addr, ';');

	if (strncmp(addr, "shm:", 4) != 0)
		return addr;
	return far ? far + 1 : addr + strlen(addr);
}

/* How many there are of @tp alone. */
static unsigned count_own(const struct art_tp *tp, unsigned i, const char **what, uint64_t *n)
{
	if (tp->ops == &art__shm_ops && i < ART_SHM_N_LAST) {
		*what = art__shm_count_name((enum art_shm_count)i);
		*n = art__shm_counters(tp)[i];
	} else if (tp->ops == &art__tcp_ops && i < ART_TCP_N_LAST) {
		*what = art__tcp_count_name((enum art_tcp_count)i);
		*n = art__tcp_counters(tp)[i];
	}
	if (tp->ops == &art__shm_ops)
		return ART_SHM_N_LAST;
	return tp->ops == &art__tcp_ops ? ART_TCP_N_LAST : 0;
}

/* The counters of a transport, then those of the one that is inside, or behind it. */
bool art__transport_count(const struct art_tp *tp, unsigned i, const char **what, uint64_t *n)
{
	const struct art_tp *near;

	if (tp->ops == &art__fault_ops)
		tp = art__fault_inner(tp);
	if (tp->ops == &art__multi_ops) {
		near = art__multi_inner(tp, 0);
		if (near && i < ART_SHM_N_LAST)
			return count_own(near, i, what, n) > i;
		i -= near ? ART_SHM_N_LAST : 0;
		tp = art__multi_inner(tp, 1);
	}
	if (tp->ops == &art__rdma_ops) {
		*what = art__rdma_count(tp, i, n);
		if (*what)
			return true;
		i -= ART_RDMA_N_LAST;
		tp = art__rdma_carrier(tp);
	}
	return count_own(tp, i, what, n) > i;
}
