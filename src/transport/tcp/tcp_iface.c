/* SPDX-License-Identifier: MIT
 *
 * Chooses where to listen. What people write (ART_IFACE) is a list with commas between:
 *
 *	eth0            an interface        10.1.0.0/16, fd00::/8   a network
 *	10.1.2.3, ::1, fe80::1%eth0         an address              !docker0, ^10.8.0.0/16   never this
 *
 * The first entry that this host has decides; nothing that is excluded is ever taken. Only
 * exclusions: the one interface that is left beside loopback, or among several the one that the
 * default route uses. Where that decides nothing it is an error that says what the host has:
 * a job that runs over the wrong network is worse than one that does not start.
 *
 * An interface gives its IPv4 address and, beside it, an IPv6 address; a network or an address
 * gives one. Link-local addresses are taken where there is nothing better, or when asked for.
 */
#include "transport/tcp/tcp.h"

#include <art/status.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ITEMS 32
#define ITEM_MAX 80

struct item {
	bool not;
	bool whole;  /* an address, not a network */
	unsigned bits;
	union art_tcp_addr net; /* sa_family 0: an interface by name */
	char text[ITEM_MAX];
};

struct wish {
	struct item item[ITEMS];
	int n, positive;
};

/* ---- reading the list ---- */

static const uint8_t *ip_bytes(const union art_tcp_addr *a)
{
	return a->sa.sa_family == AF_INET ? (const uint8_t *)&a->v4.sin_addr
					  : (const uint8_t *)&a->v6.sin6_addr;
}

static bool inside(const union art_tcp_addr *a, const union art_tcp_addr *net, unsigned bits)
{
	const uint8_t *x = ip_bytes(a), *y = ip_bytes(net);
	unsigned rest = bits % 8;

	if (a->sa.sa_family != net->sa.sa_family || memcmp(x, y, bits / 8) != 0)
		return false;
	return rest == 0 || ((x[bits / 8] ^ y[bits / 8]) >> (8 - rest)) == 0;
}

/* NULL, or what is wrong. */
static const char *read_item(struct item *i)
{
	const char *s = i->text, *slash = strchr(s, '/');
	unsigned long bits;
	unsigned max;

	if (*s == '\0')
		return "an entry is empty";
	if (slash) {
		if (!art__tcp_ip(s, (size_t)(slash - s), &i->net))
			return "it is no network";
		max = i->net.sa.sa_family == AF_INET ? 32 : 128;
		if (!art__tcp_number(slash + 1, max, &bits))
			return "the length of a network's prefix is wrong";
		i->bits = (unsigned)bits;
		return NULL;
	}
	if (art__tcp_ip(s, strlen(s), &i->net)) {
		i->whole = true;
		i->bits = i->net.sa.sa_family == AF_INET ? 32 : 128;
		if (!i->not && !art__tcp_unicast(&i->net))
			return "it is not the address of one interface";
		return NULL;
	}
	i->net.sa.sa_family = 0;
	return strlen(s) < IF_NAMESIZE && !strpbrk(s, " :") ? NULL
		: "it is neither an interface nor an address nor a network";
}

static bool take_item(struct wish *w, const char *s, size_t len, const char **wrong)
{
	struct item *i = &w->item[w->n];

	while (len > 0 && isspace((unsigned char)*s))
		s++, len--;
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	memset(i, 0, sizeof(*i));
	if (len > 0 && (*s == '!' || *s == '^')) {
		i->not = true;
		s++, len--;
	}
	*wrong = "an entry is too long";
	if (len >= sizeof(i->text))
		return false;
	memcpy(i->text, s, len);
	*wrong = read_item(i);
	w->n++;
	w->positive += !i->not;
	return *wrong == NULL;
}

static bool read_wish(const struct art_env *env, const char *text, struct wish *w)
{
	const char *s = text, *wrong;

	w->n = w->positive = 0;
	for (;;) {
		size_t len = strcspn(s, ",");

		wrong = "it has too many entries";
		if (w->n == ITEMS || !take_item(w, s, len, &wrong))
			break;
		if (s[len] == '\0')
			return true;
		s += len + 1;
	}
	art__env_log(env, ART_LOG_ERROR, "cannot listen on \"%s\": %s; wanted is a list of interfaces, "
		     "addresses and networks, those with a leading ! excluded", text, wrong);
	return false;
}

/* ---- what the host has ---- */

static bool usable(const struct ifaddrs *i, union art_tcp_addr *a)
{
	if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
		return false;
	if (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)
		return false;
	memset(a, 0, sizeof(*a));
	memcpy(a, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6));
	return art__tcp_unicast(a);
}

static bool covers(const struct item *i, const char *name, const union art_tcp_addr *a)
{
	if (i->net.sa.sa_family == 0)
		return strcmp(i->text, name) == 0;
	return inside(a, &i->net, i->bits) &&
	       (!i->whole || !art__tcp_link_local(a) || !i->net.v6.sin6_scope_id ||
		i->net.v6.sin6_scope_id == a->v6.sin6_scope_id);
}

static bool excluded(const struct wish *w, const char *name, const union art_tcp_addr *a)
{
	for (int k = 0; k < w->n; k++)
		if (w->item[k].not && covers(&w->item[k], name, a))
			return true;
	return false;
}

static bool has(const struct art_tcp_addrs *o, sa_family_t family)
{
	for (int k = 0; k < o->n; k++)
		if (o->at[k].sa.sa_family == family)
			return true;
	return false;
}

static void add(struct art_tcp_addrs *o, const union art_tcp_addr *a)
{
	if (o->n < ART_TCP_ADDRS && !has(o, a->sa.sa_family))
		o->at[o->n++] = *a;
}

/* The addresses of interface @name that may be taken: IPv4, IPv6, link-local, in this order.
 * @want narrows them to a network, NULL does not. */
static void gather(const struct ifaddrs *all, const struct wish *w, const struct item *want,
		   const char *name, struct art_tcp_addrs *out)
{
	union art_tcp_addr a;

	out->n = 0;
	for (int pass = 0; pass < 3 && !(pass == 2 && out->n > 0); pass++) {
		for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
			if (strcmp(i->ifa_name, name) != 0 || !usable(i, &a) ||
			    (want && !covers(want, name, &a)) || excluded(w, name, &a))
				continue;
			if ((a.sa.sa_family == AF_INET6) + art__tcp_link_local(&a) == pass)
				add(out, &a);
		}
	}
}

/* Once per interface, at its first entry in the list. */
static bool first_entry(const struct ifaddrs *all, const struct ifaddrs *i)
{
	for (; all != i; all = all->ifa_next)
		if (strcmp(all->ifa_name, i->ifa_name) == 0)
			return false;
	return true;
}

static void list_host(const struct ifaddrs *all, char *out, size_t size)
{
	char ip[ART_TCP_ADDR_TEXT];
	union art_tcp_addr a;
	size_t at = 0;

	out[0] = '\0';
	for (const struct ifaddrs *i = all; i && at < size; i = i->ifa_next) {
		if (!usable(i, &a))
			continue;
		art__tcp_print_ip(&a, ip);
		at += (size_t)snprintf(out + at, size - at, "%s%s %s", at ? ", " : "", i->ifa_name, ip);
	}
}

static int complain(const struct art_env *env, const char *text, const struct ifaddrs *all,
		    const char *why)
{
	char have[600];

	list_host(all, have, sizeof(have));
	art__env_log(env, ART_LOG_ERROR, "cannot listen on \"%s\": %s; this host has: %s", text, why,
		     have[0] ? have : "no interface that is up");
	return ART_ERR_ARG;
}

/* ---- choosing ---- */

/* An address is ours if the system lets us bind to it: it need not be in the list, as all of
 * 127.0.0.0/8 shows. */
static bool is_own(const union art_tcp_addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, &a->sa, art__tcp_addr_len(a)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void choose_item(const struct ifaddrs *all, const struct wish *w, const struct item *want,
			struct art_tcp_addrs *out)
{
	out->n = 0;
	for (const struct ifaddrs *i = all; i && out->n == 0; i = i->ifa_next)
		if (first_entry(all, i))
			gather(all, w, want, i->ifa_name, out);
	if (out->n == 0 && want->whole && !excluded(w, "", &want->net) && is_own(&want->net))
		add(out, &want->net);
}

/* Only exclusions were given. NULL, or why nothing could be chosen. */
static const char *choose_rest(const struct ifaddrs *all, const struct wish *w,
			       struct art_tcp_addrs *out)
{
	struct art_tcp_addrs one, routed = { 0 };
	char way[ART_TP_ADDR_MAX];
	union art_tcp_addr def;
	int left = 0;

	bool route = art__transport_towards("192.0.2.1", way) == 0 ||
		     art__transport_towards("2001:db8::1", way) == 0;
	route = route && art__tcp_ip(way, strlen(way), &def);
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!first_entry(all, i) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		gather(all, w, NULL, i->ifa_name, &one);
		left += one.n > 0;
		if (one.n > 0)
			*out = one;
		for (int k = 0; route && k < one.n; k++)
			if (inside(&one.at[k], &def, one.at[k].sa.sa_family == AF_INET ? 32 : 128))
				routed = one;
	}
	if (left > 1)
		*out = routed;
	if (left == 0)
		return "nothing is left";
	return out->n ? NULL : "several interfaces are left and no default route decides: name one";
}

static const char *choose(const struct ifaddrs *all, const struct wish *w,
			  struct art_tcp_addrs *out)
{
	if (w->positive == 0)
		return choose_rest(all, w, out);
	for (int k = 0; k < w->n; k++) {
		if (w->item[k].not)
			continue;
		choose_item(all, w, &w->item[k], out);
		if (out->n > 0)
			return NULL;
	}
	return "nothing of it is up here";
}

int art__tcp_iface(const struct art_env *env, const char *text, struct art_tcp_addrs *out)
{
	struct art_tcp_addrs o = { 0 };
	struct ifaddrs *all;
	struct wish w;
	const char *why;
	int r = 0;

	if (!text) {
		o.n = 1;
		o.at[0].v4.sin_family = AF_INET;
		o.at[0].v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*out = o;
		return 0;
	}
	if (!read_wish(env, text, &w))
		return ART_ERR_ARG;
	if (getifaddrs(&all) < 0) {
		art__env_log(env, ART_LOG_ERROR, "cannot list the network interfaces: %s",
			     strerror(errno));
		return ART_ERR_TRANSPORT;
	}
	why = choose(all, &w, &o);
	if (why)
		r = complain(env, text, all, why);
	else
		*out = o;
	freeifaddrs(all);
	return r;
}
