/* SPDX-License-Identifier: MIT
 *
 * Which host a process is on, for those who count hosts: artrun by what its agents say, rank 0 of a
 * job started by hand by what the ranks say. One host is one boot of one kernel and one space of
 * process numbers in it, so that processes of one host can watch each other.
 */
#ifndef ART_LAUNCH_HOST_ID_H
#define ART_LAUNCH_HOST_ID_H

#include <stddef.h>
#include <stdint.h>

#define ART_HOST_BOOT_MAX 40 /* bytes, with the final NUL */

struct art_host_id {
	uint64_t pid_space;
	char boot[ART_HOST_BOOT_MAX];
};

_Static_assert(sizeof(struct art_host_id) == 8 + ART_HOST_BOOT_MAX, "no holes");

/* Ours. Where the kernel does not say it is one that no other process has: to be taken for another
 * host costs a witness, to be taken for the same one would be a false one. */
void art__host_id_read(struct art_host_id *id);
/* Numbers the hosts of id[0..n) from 0 on, in order of their first appearance. How many. */
int art__host_id_number(const struct art_host_id *id, size_t n, int *number);

#endif
