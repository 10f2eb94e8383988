/* SPDX-License-Identifier: MIT
 *
 * Socket addresses of both families as text: what ranks tell each other about where they listen
 * ("10.0.0.1:4711", "[fd00::1]:4711", or both with a comma between), and what people write.
 * Numbers only: no name is ever looked up, and the wildcard address is no address.
 */
#include "transport/tcp/tcp.h"

#include <arpa/inet.h>
#include <art/status.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool art__tcp_number(const char *s, unsigned long max, unsigned long *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtoul(s, &end, 10);
	return errno == 0 && *end == '\0' && *out <= max;
}

bool art__tcp_unicast(const union art_tcp_addr *a)
{
	if (a->sa.sa_family == AF_INET) {
		in_addr_t ip = ntohl(a->v4.sin_addr.s_addr);
		return ip != INADDR_ANY && !IN_MULTICAST(ip) && ip != INADDR_BROADCAST;
	}
	return !IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) &&
	       !IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr) && !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

bool art__tcp_link_local(const union art_tcp_addr *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr);
}

socklen_t art__tcp_addr_len(const union art_tcp_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

/* An interface by name or by number; 0: there is none. */
static uint32_t scope_of(const char *s)
{
	unsigned long n;

	return art__tcp_number(s, UINT32_MAX, &n) ? (uint32_t)n : if_nametoindex(s);
}

bool art__tcp_ip(const char *s, size_t len, union art_tcp_addr *out)
{
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	union art_tcp_addr a = { 0 };
	char *scope;

	if (len >= sizeof(host))
		return false;
	memcpy(host, s, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		*out = a;
		return true;
	}
	a = (union art_tcp_addr){ .v6.sin6_family = AF_INET6 };
	scope = strchr(host, '%');
	if (scope) {
		*scope = '\0';
		a.v6.sin6_scope_id = scope_of(scope + 1);
		if (!a.v6.sin6_scope_id)
			return false;
	}
	if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1 || (scope && !art__tcp_link_local(&a)))
		return false;
	*out = a;
	return true;
}

/* "a.b.c.d:port" or "[v6]:port", @len bytes of it. */
static bool parse_one(const char *s, size_t len, union art_tcp_addr *out)
{
	bool v6 = len > 0 && s[0] == '[';
	const char *colon = memchr(s, v6 ? ']' : ':', len);
	unsigned long port;
	char number[8];

	if (!colon)
		return false;
	if (!art__tcp_ip(s + v6, (size_t)(colon - s) - v6, out) || !art__tcp_unicast(out) ||
	    (out->sa.sa_family == AF_INET6) != v6)
		return false;
	colon += v6; /* from the bracket to what must be the colon */
	if (colon >= s + len || *colon != ':' || s + len - colon > (ptrdiff_t)sizeof(number))
		return false;
	memcpy(number, colon + 1, (size_t)(s + len - colon - 1));
	number[s + len - colon - 1] = '\0';
	if (!art__tcp_number(number, 65535, &port) || port == 0)
		return false;
	if (v6)
		out->v6.sin6_port = htons((uint16_t)port);
	else
		out->v4.sin_port = htons((uint16_t)port);
	return true;
}

int art__tcp_parse(const char *s, struct art_tcp_addrs *out)
{
	struct art_tcp_addrs a = { 0 };

	while (s && a.n < ART_TCP_ADDRS) {
		size_t len = strcspn(s, ",");

		if (!parse_one(s, len, &a.at[a.n++]))
			return ART_ERR_ARG;
		if (s[len] == '\0') {
			*out = a;
			return 0;
		}
		s += len + 1;
	}
	return ART_ERR_ARG;
}

void art__tcp_print_ip(const union art_tcp_addr *a, char out[ART_TCP_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?", name[IF_NAMESIZE];

	if (a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
	if (art__tcp_link_local(a) && a->v6.sin6_scope_id &&
	    if_indextoname(a->v6.sin6_scope_id, name))
		snprintf(out, ART_TCP_ADDR_TEXT, "%s%%%s", ip, name);
	else
		snprintf(out, ART_TCP_ADDR_TEXT, "%s", ip);
}

void art__tcp_print(const union art_tcp_addr *a, char out[ART_TCP_ADDR_TEXT])
{
	union art_tcp_addr bare = *a;
	char ip[ART_TCP_ADDR_TEXT];

	/* An interface has another number at the other end; whoever dials puts in its own. */
	if (a->sa.sa_family == AF_INET6)
		bare.v6.sin6_scope_id = 0;
	art__tcp_print_ip(&bare, ip);
	if (a->sa.sa_family == AF_INET)
		snprintf(out, ART_TCP_ADDR_TEXT, "%.15s:%u", ip, ntohs(a->v4.sin_port));
	else
		snprintf(out, ART_TCP_ADDR_TEXT, "[%.46s]:%u", ip, ntohs(a->v6.sin6_port));
}
