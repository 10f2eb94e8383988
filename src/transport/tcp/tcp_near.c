/* SPDX-License-Identifier: MIT
 *
 * What is done otherwise where both ends of a connection are on this host: nobody else's packets are on
 * the way, so there is no congestion to be controlled.
 */
#include "transport/tcp/tcp.h"

#include <netinet/tcp.h>
#include <string.h>

static bool same_ip(const union art_tcp_addr *a, const union art_tcp_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr) && a->v6.sin6_scope_id != b->v6.sin6_scope_id)
		return false; /* another host may have it on another link */
	return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

bool art__tcp_loopback(const union art_tcp_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

bool art__tcp_near(const struct art_tcp *t, const union art_tcp_addr *a)
{
	for (int i = 0; i < t->own.n; i++)
		if (same_ip(a, &t->own.at[i]))
			return true;
	return art__tcp_loopback(a);
}

/* The plainest one costs least a message, and does not spread them over time as bbr does. A listener gives it
 * to those it accepts, which keep bbr's timer if they get it later. */
void art__tcp_tune_near(int fd)
{
	static const char plain[] = "reno";

	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plain, sizeof(plain) - 1);
}
