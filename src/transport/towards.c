/* SPDX-License-Identifier: MIT
 *
 * Which address of this host leads to another: asked of the system's routing table, by a
 * datagram socket that is connected and never written to. No packet leaves the host.
 */
#include "transport/transport.h"

#include <art/status.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int art__transport_towards(const char *ip, char out[ART_TP_ADDR_MAX])
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	struct addrinfo *to;
	int r = ART_ERR_TRANSPORT;

	if (!ip || getaddrinfo(ip, "9", &hints, &to) != 0)
		return ART_ERR_ARG;
	int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
	    getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&own, len, out, ART_TP_ADDR_MAX, NULL, 0,
			NI_NUMERICHOST) == 0)
		r = 0;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(to);
	return r;
}
