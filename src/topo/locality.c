/* SPDX-License-Identifier: MIT
 *
 * Counts what this process may run on, with hwloc. The only file that knows hwloc; built instead
 * of locality_none.c where hwloc is there. What follows from the numbers is the callers' choice.
 */
#include "topo/topo.h"

#include <art/status.h>
#include <hwloc.h>

#include "topo/quota.h"
#include "topo/spare.h"

/* Caches, devices and the like cost time to find and are not asked for. */
static int keep_what_counts(hwloc_topology_t topology)
{
	if (hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE))
		return -1;
	if (hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL))
		return -1;
	return hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PACKAGE,
					      HWLOC_TYPE_FILTER_KEEP_ALL);
}

/* Objects of @type that have a hardware thread in @set. */
static int count_in(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_const_cpuset_t set)
{
	int n = 0;

	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, type, o));)
		n += hwloc_bitmap_intersects(o->cpuset, set) != 0;
	return n;
}

/* What the machine does not report (a guest without cores or packages) counts as one package, one
 * node, and a core per thread. */
static int count_all(hwloc_topology_t topology, hwloc_const_cpuset_t set, struct art_locality *out)
{
	struct art_locality l = {
		.cores = count_in(topology, HWLOC_OBJ_CORE, set),
		.pus = count_in(topology, HWLOC_OBJ_PU, set),
		.numa_nodes = count_in(topology, HWLOC_OBJ_NUMANODE, set),
		.packages = count_in(topology, HWLOC_OBJ_PACKAGE, set),
	};

	if (l.pus < 1)
		return ART_ERR_INTERNAL;
	if (l.cores < 1)
		l.cores = l.pus;
	if (l.numa_nodes < 1)
		l.numa_nodes = 1;
	if (l.packages < 1)
		l.packages = 1;
	*out = l;
	return ART_SUCCESS;
}

/* hwloc leaves out what the cpuset cgroup forbids; the binding of the process is asked here. */
static int count_bound(hwloc_topology_t topology, struct art_locality *out)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();

	if (!set)
		return ART_ERR_NOMEM;
	if (hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS))
		hwloc_bitmap_fill(set);
	int rc = count_all(topology, set, out);
	hwloc_bitmap_free(set);
	return rc;
}

int art__topo_locality(struct art_locality *out)
{
	hwloc_topology_t topology;
	int rc = ART_ERR_INTERNAL;

	if (hwloc_topology_init(&topology))
		return ART_ERR_NOMEM;
	/* It would hop over all CPUs to ask each, for what the kernel tells too; only slower
	 * where it cannot be left out. */
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	if (keep_what_counts(topology) == 0 && hwloc_topology_load(topology) == 0)
		rc = count_bound(topology, out);
	hwloc_topology_destroy(topology);
	if (rc == ART_SUCCESS)
		art__topo_quota_limit(out, art__topo_quota("/"));
	return rc;
}

static int number_cores(hwloc_topology_t topology, hwloc_const_cpuset_t set, int *core, int cpus)
{
	int n = 0, cpu;

	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, o));) {
		if (!hwloc_bitmap_intersects(o->cpuset, set))
			continue;
		hwloc_bitmap_foreach_begin(cpu, o->cpuset)
			if (cpu < cpus && hwloc_bitmap_isset(set, (unsigned)cpu))
				core[cpu] = n;
		hwloc_bitmap_foreach_end();
		n++;
	}
	return n;
}

/* A machine that does not report cores has one per thread. */
static int number_threads(hwloc_const_cpuset_t set, int *core, int cpus)
{
	int n = 0;

	for (int cpu = 0; cpu < cpus; cpu++)
		if (hwloc_bitmap_isset(set, (unsigned)cpu))
			core[cpu] = n++;
	return n;
}

int art__topo_cores(int *core, int cpus)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	hwloc_topology_t topology;
	int n = ART_ERR_INTERNAL;

	for (int cpu = 0; cpu < cpus; cpu++)
		core[cpu] = -1;
	if (!set || hwloc_topology_init(&topology)) {
		hwloc_bitmap_free(set);
		return ART_ERR_NOMEM;
	}
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	if (keep_what_counts(topology) == 0 && hwloc_topology_load(topology) == 0 &&
	    hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0) {
		n = number_cores(topology, set, core, cpus);
		if (n == 0)
			n = number_threads(set, core, cpus);
	}
	hwloc_topology_destroy(topology);
	hwloc_bitmap_free(set);
	return n;
}

/* Core and node of one hardware thread, numbered from 0 in the machine's order. */
static struct art_pu describe(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
	int node = hwloc_bitmap_first(pu->nodeset);

	return (struct art_pu){ .cpu = (int)pu->os_index, .node = node < 0 ? 0 : node,
				.core = (int)(core ? core : pu)->logical_index };
}

int art__topo_pus(const char *synthetic, const cpu_set_t *within, struct art_pu *out, int most)
{
	hwloc_topology_t topology;
	int n = 0;

	if (hwloc_topology_init(&topology))
		return ART_ERR_NOMEM;
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	if (keep_what_counts(topology) ||
	    (synthetic && hwloc_topology_set_synthetic(topology, synthetic)) ||
	    hwloc_topology_load(topology)) {
		hwloc_topology_destroy(topology);
		return ART_ERR_INTERNAL;
	}
	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, o)) && n < most;)
		if (o->os_index < CPU_SETSIZE && CPU_ISSET(o->os_index, within))
			out[n++] = describe(topology, o);
	hwloc_topology_destroy(topology);
	return n;
}

/* Levels are told by what caches serve one hardware thread. */
int art__topo_caches(struct art_caches *out)
{
	static const hwloc_obj_type_t type[] = { HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE,
						 HWLOC_OBJ_L3CACHE };
	size_t bytes[3] = { 0, 0, 0 };
	hwloc_topology_t topology;
	int rc = ART_ERR_INTERNAL;

	if (hwloc_topology_init(&topology))
		return ART_ERR_NOMEM;
	if (hwloc_topology_load(topology) == 0) {
		rc = ART_SUCCESS;
		for (int i = 0; i < 3; i++) {
			hwloc_obj_t o = hwloc_get_next_obj_by_type(topology, type[i], NULL);

			bytes[i] = o ? (size_t)o->attr->cache.size : 0;
		}
	}
	hwloc_topology_destroy(topology);
	*out = (struct art_caches){ bytes[0], bytes[1], bytes[2] };
	return rc;
}

int art__topo_locality_xml(const char *path, struct art_locality *out)
{
	hwloc_topology_t topology;
	int rc = ART_ERR_INTERNAL;

	if (hwloc_topology_init(&topology))
		return ART_ERR_NOMEM;
	if (keep_what_counts(topology) == 0 && hwloc_topology_set_xml(topology, path) == 0 &&
	    hwloc_topology_load(topology) == 0)
		rc = count_all(topology, hwloc_topology_get_allowed_cpuset(topology), out);
	hwloc_topology_destroy(topology);
	return rc;
}
