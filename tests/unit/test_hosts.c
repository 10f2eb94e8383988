/* SPDX-License-Identifier: MIT
 *
 * Host files and lists: what they may say, what is refused and in which words, and who sits where.
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/hosts.h"

static struct art_host room[64];
static struct art_hosts hosts;
static char why[200], text[2000];

/* The table as text: "name:slots name:slots". */
static const char *show(int err)
{
	size_t len = 0;

	if (err)
		return why;
	text[0] = '\0';
	for (size_t i = 0; i < hosts.n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:%u", i ? " " : "",
					hosts.host[i].name, hosts.host[i].slots);
	return text;
}

/* From memory of exactly that size, so that a sanitizer sees reads beyond it. */
static const char *parse(const char *s, int (*how)(const char *, size_t, struct art_hosts *, char *,
						   size_t))
{
	char *copy = malloc(strlen(s) + 1);
	const char *result;

	hosts = (struct art_hosts){ room, 64, 0 };
	memcpy(copy, s, strlen(s));
	result = show(how(copy, strlen(s), &hosts, why, sizeof(why)));
	free(copy);
	return result;
}

#define FILE_IS(s, want) CU_ASSERT_STRING_EQUAL(parse(s, art__hosts_parse), want)
#define LIST_IS(s, want) CU_ASSERT_STRING_EQUAL(parse(s, art__hosts_parse_list), want)

static void reads_files(void)
{
	FILE_IS("node1 slots=4\nnode2\n", "node1:4 node2:0");
	FILE_IS("# all\n\n  node1\t slots=4 # four\r\nnode2:3", "node1:4 node2:3");
	FILE_IS("a\nb\na\na slots=3\n", "a:5 b:0");
	FILE_IS("me@a.b-c:1\nfe80::1 slots=2\n", "me@a.b-c:1 fe80::1:2");
}

static void expands_wildcards(void)
{
	LIST_IS("node[08-11]", "node08:0 node09:0 node10:0 node11:0");
	LIST_IS("n[1-2,7]:2,m", "n1:2 n2:2 n7:2 m:0");
	LIST_IS("r[1-2]n[0-1]x", "r1n0x:0 r1n1x:0 r2n0x:0 r2n1x:0");
	FILE_IS("[1-2]a slots=9\n", "1a:9 2a:9");
	LIST_IS("n[9-11]", "n9:0 n10:0 n11:0");
}

static void refuses_in_words(void)
{
	FILE_IS("", "no host is named");
	FILE_IS("# nothing\n", "no host is named");
	FILE_IS("a\nb slot=3\n", "line 2: 'slot=3' is not slots=N, N from 1 to 4096, said once");
	FILE_IS("a slots=0", "line 1: 'slots=0' is not slots=N, N from 1 to 4096, said once");
	FILE_IS("a slots=", "line 1: 'slots=' is not slots=N, N from 1 to 4096, said once");
	FILE_IS("a slots=2 slots=2",
		"line 1: 'slots=2' is not slots=N, N from 1 to 4096, said once");
	FILE_IS("a:2 slots=2", "line 1: '2' is no number of slots, 1 to 4096, or not the only one");
	LIST_IS("a:", "entry 1: '' is no number of slots, 1 to 4096, or not the only one");
	LIST_IS("a:99999", "entry 1: '99999' is no number of slots, 1 to 4096, or not the only one");
	LIST_IS("a,,b", "entry 2: nothing between two commas");
	LIST_IS("a,", "entry 2: nothing between two commas");
	LIST_IS("", "no host is named");
	LIST_IS("a,-oProxyCommand=x", "entry 2: '-oProxyCommand=x' is no name of a host");
	LIST_IS("a b", "entry 1: 'a b' is no name of a host");
	LIST_IS("a[1-", "entry 1: '[' without ']' in 'a[1-'");
	LIST_IS("a[]", "entry 1: '' is no number and no range of numbers");
	LIST_IS("a[x-2]", "entry 1: 'x-2' is no number and no range of numbers");
	LIST_IS("a[2-1]", "entry 1: the range '2-1' is empty or too long");
	LIST_IS("a[1-999999999]", "entry 1: the range '1-999999999' is empty or too long");
	LIST_IS("a[1-65]", "entry 1: more than 64 hosts");
}

static void refuses_long_names(void)
{
	char s[600];

	memset(s, 'a', sizeof(s));
	s[255] = '\0';
	parse(s, art__hosts_parse_list);
	CU_ASSERT_EQUAL(hosts.n, 1);
	s[255] = 'a';
	s[256] = '\0';
	LIST_IS(s, "entry 1: the name of a host is too long");
	memcpy(s + 251, "[10000-10001]", 14);
	LIST_IS(s, "entry 1: the name of a host is too long");
}

static const char *place(const uint32_t *slots, size_t n, enum art_map map, uint32_t ranks)
{
	uint32_t at[32];

	art__hosts_place(slots, n, map, ranks, at);
	for (uint32_t i = 0; i < ranks; i++)
		text[i] = (char)('a' + at[i]);
	text[ranks] = '\0';
	return text;
}

static void places_ranks(void)
{
	static const uint32_t slots[] = { 2, 3, 1 };

	CU_ASSERT_STRING_EQUAL(place(slots, 3, ART_MAP_SLOT, 6), "aabbbc");
	CU_ASSERT_STRING_EQUAL(place(slots, 3, ART_MAP_HOST, 6), "abcabb");
	CU_ASSERT_STRING_EQUAL(place(slots, 3, ART_MAP_SLOT, 3), "aab");
	CU_ASSERT_STRING_EQUAL(place(slots, 3, ART_MAP_SLOT, 9), "aabbbcaab");
	CU_ASSERT_STRING_EQUAL(place(slots, 3, ART_MAP_HOST, 8), "abcabbab");
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	CU_initialize_registry();
	s = CU_add_suite("hosts", NULL, NULL);
	CU_add_test(s, "reads host files", reads_files);
	CU_add_test(s, "expands wildcards", expands_wildcards);
	CU_add_test(s, "refuses in words", refuses_in_words);
	CU_add_test(s, "refuses long names", refuses_long_names);
	CU_add_test(s, "places ranks", places_ranks);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed != 0;
}
