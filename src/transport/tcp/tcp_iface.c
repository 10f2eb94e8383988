/* SPDX-License-Identifier: MIT
 *
 * Chooses the IPv4 address to listen on from an interface name, an address or a network in
 * CIDR form, and reads the addresses that peers give out. Never the wildcard address.
 */
#include "transport/tcp/tcp.h"

#include <arpa/inet.h>
#include <art/status.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pick {
	const char *name; /* or NULL: by network */
	in_addr_t net, mask;
};

static bool unicast(in_addr_t host_order)
{
	return host_order != INADDR_ANY && !IN_MULTICAST(host_order) &&
	       host_order != INADDR_BROADCAST;
}

/* A decimal number from @s to its end. */
static bool parse_number(const char *s, unsigned long max, unsigned long *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtoul(s, &end, 10);
	return errno == 0 && *end == '\0' && *out <= max;
}

/* Splits @s at @sep into an address and a number. */
static bool parse_pair(const char *s, char sep, unsigned long max, struct in_addr *ip,
		       unsigned long *number)
{
	char host[INET_ADDRSTRLEN];
	const char *at = strchr(s, sep);

	if (!at || (size_t)(at - s) >= sizeof(host))
		return false;
	memcpy(host, s, (size_t)(at - s));
	host[at - s] = '\0';
	return inet_pton(AF_INET, host, ip) == 1 && parse_number(at + 1, max, number);
}

int art__tcp_parse(const char *s, struct sockaddr_in *out)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	unsigned long port;

	if (!s || !parse_pair(s, ':', 65535, &a.sin_addr, &port) || port == 0)
		return ART_ERR_ARG;
	if (!unicast(ntohl(a.sin_addr.s_addr)))
		return ART_ERR_ARG;
	a.sin_port = htons((uint16_t)port);
	*out = a;
	return 0;
}

static bool matches(const struct ifaddrs *i, const struct pick *pick)
{
	if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP))
		return false;
	if (pick->name)
		return strcmp(i->ifa_name, pick->name) == 0;
	const struct sockaddr_in *a = (const void *)i->ifa_addr;
	return (ntohl(a->sin_addr.s_addr) & pick->mask) == pick->net;
}

static int find(const struct art_env *env, const char *iface, const struct pick *pick,
		struct in_addr *out)
{
	struct ifaddrs *all;
	int r = ART_ERR_ARG;

	if (getifaddrs(&all) < 0) {
		art__env_log(env, ART_LOG_ERROR, "cannot list the network interfaces: %s",
			     strerror(errno));
		return ART_ERR_TRANSPORT;
	}
	for (struct ifaddrs *i = all; i && r != 0; i = i->ifa_next) {
		if (matches(i, pick)) {
			*out = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
			r = 0;
		}
	}
	freeifaddrs(all);
	if (r != 0)
		art__env_log(env, ART_LOG_ERROR, pick->name
			     ? "no interface \"%s\" with an IPv4 address is up on this host"
			     : "no interface of this host has an address in %s", iface);
	return r;
}

/* An address is ours if the system lets us bind to it. */
static int check_own(const struct art_env *env, const char *iface, struct in_addr ip)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = ip };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		art__env_log(env, ART_LOG_ERROR, "cannot use the address %s on this host: %s",
			     iface, strerror(errno));
		r = ART_ERR_ARG;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int art__tcp_iface(const struct art_env *env, const char *iface, struct in_addr *out)
{
	struct pick pick = { .name = iface };
	unsigned long bits;
	struct in_addr ip;

	if (!iface) {
		out->s_addr = htonl(INADDR_LOOPBACK);
		return 0;
	}
	if (inet_pton(AF_INET, iface, &ip) == 1) {
		if (!unicast(ntohl(ip.s_addr))) {
			art__env_log(env, ART_LOG_ERROR,
				     "will not listen on %s: one interface's address is needed",
				     iface);
			return ART_ERR_ARG;
		}
		*out = ip;
		return check_own(env, iface, ip);
	}
	if (strchr(iface, '/')) {
		if (!parse_pair(iface, '/', 32, &ip, &bits)) {
			art__env_log(env, ART_LOG_ERROR, "\"%s\" is not an IPv4 network", iface);
			return ART_ERR_ARG;
		}
		pick.name = NULL;
		pick.mask = bits == 0 ? 0 : ~UINT32_C(0) << (32 - bits);
		pick.net = ntohl(ip.s_addr) & pick.mask;
	}
	return find(env, iface, &pick, out);
}
