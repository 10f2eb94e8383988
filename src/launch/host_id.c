/* SPDX-License-Identifier: MIT
 *
 * See host_id.h.
 */
#include "launch/host_id.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static void read_boot(char boot[ART_HOST_BOOT_MAX])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	uint64_t drawn = (uint64_t)getpid();

	if (!f || !fgets(boot, ART_HOST_BOOT_MAX, f)) {
		if (getrandom(&drawn, sizeof(drawn), 0) < 0)
			drawn = (uint64_t)getpid();
		snprintf(boot, ART_HOST_BOOT_MAX, "unknown-%016llx", (unsigned long long)drawn);
	}
	boot[strcspn(boot, "\n")] = '\0';
	if (f)
		fclose(f);
}

void art__host_id_read(struct art_host_id *id)
{
	struct stat st;

	memset(id, 0, sizeof(*id));
	if (stat("/proc/self/ns/pid", &st) == 0)
		id->pid_space = st.st_ino;
	read_boot(id->boot);
}

int art__host_id_number(const struct art_host_id *id, size_t n, int *number)
{
	int next = 0;

	for (size_t i = 0; i < n; i++) {
		number[i] = -1;
		for (size_t k = 0; k < i && number[i] < 0; k++)
			if (id[k].pid_space == id[i].pid_space &&
			    strncmp(id[k].boot, id[i].boot, ART_HOST_BOOT_MAX) == 0)
				number[i] = number[k];
		if (number[i] < 0)
			number[i] = next++;
	}
	return next;
}
