/* SPDX-License-Identifier: MIT
 *
 * Counts what this process may run on, without hwloc: built instead of locality.c where hwloc is
 * not wanted. The kernel's affinity mask tells hardware threads; each is taken for a core, and
 * the machine for one package with one memory node.
 */
#include "topo/topo.h"

#include <sched.h>

#include <art/status.h>

#include "topo/quota.h"
#include "topo/spare.h"

#define MAX_CPUS 65536

int art__topo_locality(struct art_locality *out)
{
	cpu_set_t set[MAX_CPUS / CPU_SETSIZE];

	/* Fails only for a kernel with more CPUs than the set has room for. */
	if (sched_getaffinity(0, sizeof(set), set))
		return ART_ERR_INTERNAL;
	int n = CPU_COUNT_S(sizeof(set), set);
	*out = (struct art_locality){ .cores = n, .pus = n, .numa_nodes = 1, .packages = 1 };
	art__topo_quota_limit(out, art__topo_quota("/"));
	return ART_SUCCESS;
}

/* Nobody here knows. */
int art__topo_caches(struct art_caches *out)
{
	*out = (struct art_caches){ 0, 0, 0 };
	return ART_SUCCESS;
}

int art__topo_locality_xml(const char *path, struct art_locality *out)
{
	(void)path;
	(void)out;
	return ART_ERR_ARG;
}

int art__topo_pus(const char *synthetic, const cpu_set_t *within, struct art_pu *out, int most)
{
	int n = 0;

	if (synthetic)
		return ART_ERR_ARG;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < most; cpu++)
		if (CPU_ISSET(cpu, within))
			out[n++] = (struct art_pu){ .cpu = cpu, .core = cpu, .node = 0 };
	return n;
}

int art__topo_cores(int *core, int cpus)
{
	cpu_set_t set[MAX_CPUS / CPU_SETSIZE];
	int n = 0;

	for (int cpu = 0; cpu < cpus; cpu++)
		core[cpu] = -1;
	if (sched_getaffinity(0, sizeof(set), set))
		return ART_ERR_INTERNAL;
	for (int cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++)
		if (CPU_ISSET_S((unsigned)cpu, sizeof(set), set))
			core[cpu] = n++;
	return n;
}
