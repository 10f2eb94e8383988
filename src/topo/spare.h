/* SPDX-License-Identifier: MIT
 *
 * Which cores of a host no rank needs, and whose threads may use them: a pure function of the machine and of where
 * ranks may run. All ranks of a host find the same, each for itself, and no two the same core.
 */
#ifndef ART_TOPO_SPARE_H
#define ART_TOPO_SPARE_H

#include <sched.h>
#include <stdbool.h>

/* A hardware thread, numbered as the kernel does, its core and its memory node. */
struct art_pu {
	int cpu, core, node;
};

/* Those of this machine that are in @within, in the machine's order: neighbours are near each other. Of a machine
 * that hwloc describes in a line if @synthetic is not NULL (for tests; ART_ERR_ARG where hwloc is not built in).
 * How many, at most @most, or negative. */
int art__topo_pus(const char *synthetic, const cpu_set_t *within, struct art_pu *out, int most);

struct art_spare {
	const struct art_pu *pu; /* what may be used at all */
	int npu;
	const cpu_set_t *rank;   /* [ranks] where each rank of this host may run; empty: not known */
	int ranks, me;
	int cores;               /* so many together at most, a quota; 0: no bound */
};

/* CPUs for threads of rank @me, at most @most: one of each core that no rank needs, those near the rank first.
 * @siblings: then other hardware threads of these cores and its own. How many. */
int art__topo_spare(const struct art_spare *s, int most, bool siblings, int *cpu);

#endif
