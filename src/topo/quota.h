/* SPDX-License-Identifier: MIT
 *
 * The CPU time that control groups leave to this process: a container with a quota of two CPUs
 * sees all 64 of its machine in every mask, and is stopped when it uses them.
 */
#ifndef ART_TOPO_QUOTA_H
#define ART_TOPO_QUOTA_H

#include "topo/topo.h"

/* CPUs that the tightest cpu.max (cgroup v2) from this process's group up to the top allows,
 * rounded up; 0: none is set, or cannot be read. @fsroot: "/", or a copy of /proc and /sys. */
int art__topo_quota(const char *fsroot);

/* Lowers cores and pus to @quota, if there is one. */
void art__topo_quota_limit(struct art_locality *l, int quota);

#endif
