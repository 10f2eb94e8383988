/* SPDX-License-Identifier: MIT
 *
 * Reads cpu.max of the process's control group and of every group above it. Without cgroup v2
 * there is no quota to see; what to do with one is left to locality*.c.
 */
#include "topo/quota.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* "max 100000" or "<quota> <period>", in microseconds. */
static int read_cpu_max(const char *fsroot, const char *group)
{
	char path[PATH_MAX];
	long long quota, period;

	int n = snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s/cpu.max", fsroot, group);
	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	n = fscanf(f, "%lld %lld", &quota, &period);
	fclose(f);
	if (n != 2 || quota < 1 || period < 1)
		return 0;
	long long cpus = quota / period + (quota % period != 0);
	return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* The line "0::/path" of /proc/self/cgroup is version 2's. */
static int read_group(const char *fsroot, char *group, size_t size)
{
	char path[PATH_MAX], line[PATH_MAX];
	int found = 0;

	int n = snprintf(path, sizeof(path), "%s/proc/self/cgroup", fsroot);
	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "0::/", 4) == 0 && strlen(line + 3) < size;
	}
	fclose(f);
	if (found)
		strcpy(group, line + 3);
	return found;
}

int art__topo_quota(const char *fsroot)
{
	char group[PATH_MAX];
	int tightest = 0;

	if (!read_group(fsroot, group, sizeof(group)))
		return 0;
	for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
		*end = '\0';
		int cpus = read_cpu_max(fsroot, group);
		if (cpus && (!tightest || cpus < tightest))
			tightest = cpus;
	}
	return tightest;
}

void art__topo_quota_limit(struct art_locality *l, int quota)
{
	if (quota && quota < l->cores)
		l->cores = quota;
	if (quota && quota < l->pus)
		l->pus = quota;
}
