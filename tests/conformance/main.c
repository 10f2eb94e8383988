/* SPDX-License-Identifier: MIT
 *
 * conformance TRANSPORT [CASE]: runs all cases, or one, on tcp (IPv4), tcp-plain, tcp-encrypt (by
 * security level; tcp itself: mac), tcp6, tcp-dual (an address of each family), tcp-badsys (tcp
 * whose system calls do less than asked or fail for a moment), shm, multi (shm and tcp), multi-split (some ranks have no
 * shm), multi-lost (shm that finds nobody), rdma (over tcp, on the first
 * device of this host), rdma-alone (no message on tcp), multi-rdma (all three), sim, or with "fault+" before tcp,
 * tcp6, tcp-badsys, shm or sim through the fault decorator.
 * Exit 0: passed; 1: failed (one line says where); 2: wrong usage; 77: no IPv6, no RDMA. CONF_SEED seeds the simulator
 * and the failing calls, CONF_LOG shows what transports log.
 */
#include "tests/conformance/conformance.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_ipv6_loopback(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

static bool has_rdma(void)
{
	struct dirent **names;
	int n = scandir("/sys/class/infiniband", &names, NULL, NULL);

	for (int i = 0; i < n; i++)
		free(names[i]);
	if (n > 0)
		free(names);
	return n > 2 && CONF_HAS_RDMA;
}

int main(int argc, char **argv)
{
	const struct conf_rig *rig = argc > 1 ? conf_rig_find(argv[1]) : NULL;

	if (!rig) {
		fprintf(stderr, "usage: %s [fault+]tcp|tcp6|tcp-badsys[-mac]|shm|sim, tcp-plain|-encrypt|-dual, multi[-split|-lost|-rdma], [fault+]rdma, rdma-alone [case]\n", argv[0]);
		return 2;
	}
	if ((strstr(rig->name, "tcp6") || strstr(rig->name, "dual")) && !has_ipv6_loopback()) {
		puts("this host has no IPv6 loopback");
		return 77;
	}
	if (strstr(rig->name, "rdma") && !has_rdma()) {
		puts("this host has no RDMA device, or this build no libibverbs");
		return 77;
	}
	return conf_run(rig, argc > 2 ? argv[2] : NULL);
}
