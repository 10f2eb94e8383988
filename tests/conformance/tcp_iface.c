/* SPDX-License-Identifier: MIT
 *
 * Description: where tcp listens, by what was asked for: names, addresses, networks, lists,
 * exclusions. What this host has is asked of the system; what it does not have is refused in one
 * line that lists what it has.
 */
#include "tests/conformance/conformance.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <art/status.h>

#include "transport/tcp/tcp.h"

static char line[2000]; /* last logged */

static void keep_line(void *self, enum art_log_level level, const char *text)
{
	struct conf *c = self;

	CHECK(c, level == ART_LOG_ERROR);
	c->lines++;
	snprintf(line, sizeof(line), "%s", text);
}

/* The addresses chosen for @wish as text, "a,b"; "" if it was refused. */
static const char *choice(struct conf *c, const char *wish)
{
	static char text[2 * ART_TCP_ADDR_TEXT];
	char one[ART_TCP_ADDR_TEXT];
	struct art_tcp_addrs a;
	unsigned before = c->lines;

	text[0] = '\0';
	if (art__tcp_iface(&c->env, wish, &a) < 0) {
		CHECK(c, c->lines == before + 1);
		return text;
	}
	CHECK(c, c->lines == before && a.n > 0);
	for (int i = 0; i < a.n; i++) {
		CHECK(c, art__tcp_unicast(&a.at[i]));
		art__tcp_print_ip(&a.at[i], one);
		if (i > 0)
			strcat(text, ",");
		strcat(text, one);
	}
	return text;
}

static void refused(struct conf *c, const char *wish)
{
	CHECK(c, choice(c, wish)[0] == '\0');
	CHECK(c, strstr(line, wish));
}

static bool is(struct conf *c, const char *wish, const char *want)
{
	const char *got = choice(c, wish);

	if (strcmp(got, want) != 0)
		fprintf(stderr, "\"%s\": \"%s\" instead of \"%s\" (%s)\n", wish, got, want, line);
	return strcmp(got, want) == 0;
}

static void good(struct conf *c)
{
	CHECK(c, is(c, "127.0.0.1", "127.0.0.1"));
	CHECK(c, is(c, "127.0.0.0/8", "127.0.0.1"));
	CHECK(c, is(c, "127.0.0.2", "127.0.0.2")); /* not in any list, and ours */
	CHECK(c, strncmp(choice(c, "lo"), "127.0.0.1", 9) == 0);
	CHECK(c, is(c, "lo,!::/0", "127.0.0.1"));
	CHECK(c, is(c, "nosuch0, 240.0.0.0/8 ,127.0.0.3", "127.0.0.3")); /* the first that is there */
	CHECK(c, is(c, "!nosuch0,127.0.0.1", "127.0.0.1"));
	CHECK(c, is(c, "^127.0.0.2,127.0.0.2,127.0.0.1", "127.0.0.1"));
}

static void bad(struct conf *c)
{
	static const char *const wrong[] = {
		"", ",", "lo,", "!", "nosuch0", "0.0.0.0", "0.0.0.0:1", "::", "224.0.0.1", "ff02::1",
		"::ffff:127.0.0.1", "240.0.0.1", "240.0.0.0/8", "127.0.0.0/33", "127.0.0.0/", "/8",
		"127.0.0.0/x", "::1/129", "::1%lo", "fe80::1%nosuch0", "2001:db8::/32", "a b",
		"a-name-far-too-long-for-an-interface", "lo,!lo", "!127.0.0.0/8,127.0.0.1",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(c, wrong[i]);
	refused(c, "nosuch0");
	CHECK(c, strstr(line, "this host has: ") && strstr(line, "lo 127.0.0.1"));
}

/* Everything but loopback: nothing, or an interface that is not loopback. */
static void only_exclusions(struct conf *c)
{
	struct ifaddrs *all;
	char wish[800] = "!lo";
	const char *got = choice(c, wish);

	CHECK(c, strncmp(got, "127.", 4) != 0 && strcmp(got, "::1") != 0);
	CHECK(c, got[0] || strstr(line, "nothing is left") || strstr(line, "name one"));
	CHECK(c, getifaddrs(&all) == 0);
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET && strlen(wish) < 700) {
			strcat(wish, ",!");
			strcat(wish, i->ifa_name);
		}
	freeifaddrs(all);
	if (strlen(wish) < 700)
		refused(c, wish); /* each is excluded: none is left */
}

/* Every address that the host lists can be asked for by itself, and in its interface's name. */
static void everything_there(struct conf *c)
{
	char ip[ART_TCP_ADDR_TEXT], wish[ART_TCP_ADDR_TEXT + 4];
	struct ifaddrs *all;
	union art_tcp_addr a;

	CHECK(c, getifaddrs(&all) == 0);
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		sa_family_t family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		if ((family != AF_INET && family != AF_INET6) || !(i->ifa_flags & IFF_UP))
			continue;
		memset(&a, 0, sizeof(a));
		memcpy(&a, i->ifa_addr, family == AF_INET ? sizeof(a.v4) : sizeof(a.v6));
		art__tcp_print_ip(&a, ip);
		CHECK(c, is(c, ip, ip));
		CHECK(c, choice(c, i->ifa_name)[0]);
		snprintf(wish, sizeof(wish), "%s,!%s", i->ifa_name, i->ifa_name);
		refused(c, wish);
	}
	freeifaddrs(all);
}

static void towards(struct conf *c)
{
	char out[ART_TP_ADDR_MAX];

	CHECK(c, art__transport_towards("127.0.0.1", out) == 0 && strcmp(out, "127.0.0.1") == 0);
	CHECK(c, art__transport_towards("localhost", out) == ART_ERR_ARG);
	CHECK(c, art__transport_towards("", out) == ART_ERR_ARG);
	CHECK(c, art__transport_towards(NULL, out) == ART_ERR_ARG);
}

/* What listen() gives out is what peer() takes, and a scope never travels. */
static void texts(struct conf *c)
{
	static const char *const same[] = { "10.1.2.3:4711", "[fd00::17]:1", "[fe80::1]:65535",
					    "10.1.2.3:4711,[fd00::17]:1" };
	char text[2 * ART_TCP_ADDR_TEXT], one[ART_TCP_ADDR_TEXT];
	struct art_tcp_addrs a;

	for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++) {
		CHECK(c, art__tcp_parse(same[k], &a) == 0);
		text[0] = '\0';
		for (int i = 0; i < a.n; i++) {
			art__tcp_print(&a.at[i], one);
			strcat(strcat(text, i ? "," : ""), one);
		}
		CHECK(c, strcmp(text, same[k]) == 0);
	}
	CHECK(c, art__tcp_parse("[fe80::1%lo]:7", &a) == 0 && a.at[0].v6.sin6_scope_id > 0);
	art__tcp_print(&a.at[0], one);
	CHECK(c, strcmp(one, "[fe80::1]:7") == 0);
}

int main(void)
{
	struct conf c = { .rig = conf_rig_find("tcp"), .name = "iface" };

	c.env = (struct art_env){ .self = &c, .log = keep_line };
	good(&c);
	bad(&c);
	only_exclusions(&c);
	everything_there(&c);
	towards(&c);
	texts(&c);
	puts("tcp: iface: ok");
	return 0;
}
