/* SPDX-License-Identifier: MIT
 *
 * Description: whatever is in a host file or a list of hosts, the readers stay inside it, and either
 * refuse it in words that can be printed, or make a table of hosts that ssh may be given; written
 * as a file, that table reads as itself, and ranks find places on it.
 *
 * An input is a byte (odd: a list), then the text.
 */
#include <art/status.h>
#include <string.h>

#include "base/set.h"
#include "launch/hosts.h"
#include "tests/fuzz/fuzz.h"

#define ROOM 40 /* hosts: few, so that a wildcard that makes too many is cheap */

static struct art_host read_hosts[ROOM], again_hosts[ROOM];
static unsigned long tables;

static void check_words(const char *why, size_t size)
{
	REQUIRE(memchr(why, 0, size) && *why);
	for (; *why; why++)
		REQUIRE(*why >= ' ' && *why <= '~');
}

static void check_table(const struct art_hosts *t)
{
	REQUIRE(t->n >= 1 && t->n <= t->max);
	for (size_t i = 0; i < t->n; i++) {
		const char *name = t->host[i].name;

		REQUIRE(memchr(name, 0, sizeof(t->host[i].name)) && *name && *name != '-');
		for (const char *c = name; *c; c++)
			REQUIRE(*c > ' ' && *c <= '~' && !strchr("[],;'\"\\$`&|<>(){}#=", *c));
		REQUIRE(t->host[i].slots <= ART_HOST_SLOTS_MAX);
		for (size_t k = 0; k < i; k++)
			REQUIRE(strcmp(name, t->host[k].name) != 0);
	}
}

/* A line for each host. A name with one colon would read as one with slots. */
static void check_again(const struct art_hosts *t)
{
	static char text[ROOM * (ART_HOST_NAME_MAX + 16)];
	struct art_hosts again = { again_hosts, ROOM, 0 };
	char why[200];
	size_t len = 0;

	for (size_t i = 0; i < t->n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", t->host[i].name);
		if (t->host[i].slots)
			len += (size_t)snprintf(text + len, sizeof(text) - len, " slots=%u",
						t->host[i].slots);
		text[len++] = '\n';
	}
	REQUIRE(art__hosts_parse(text, len, &again, why, sizeof(why)) == 0);
	REQUIRE(again.n == t->n);
	for (size_t i = 0; i < t->n; i++)
		REQUIRE(strcmp(again.host[i].name, t->host[i].name) == 0 &&
			again.host[i].slots == t->host[i].slots);
}

static void check_places(const struct art_hosts *t, enum art_map map)
{
	uint32_t slots[ROOM], place[ART_MAX_RANKS];

	for (size_t i = 0; i < t->n; i++)
		slots[i] = t->host[i].slots ? t->host[i].slots : 1;
	memset(place, 0xff, sizeof(place));
	art__hosts_place(slots, t->n, map, ART_MAX_RANKS, place);
	for (size_t i = 0; i < ART_MAX_RANKS; i++)
		REQUIRE(place[i] < t->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct art_hosts t = { read_hosts, ROOM, 0 };
	char *text, why[200] = "";
	int err;

	if (size < 1)
		return 0;
	text = malloc(size); /* exactly as long: ASan sees one byte more being read */
	REQUIRE(text);
	memcpy(text, data + 1, size - 1);
	err = (*data & 1 ? art__hosts_parse_list : art__hosts_parse)(text, size - 1, &t, why, sizeof(why));
	free(text);
	if (err) {
		REQUIRE(err == ART_ERR_ARG);
		check_words(why, sizeof(why));
		return 0;
	}
	tables++;
	check_table(&t);
	check_again(&t);
	check_places(&t, *data & 2 ? ART_MAP_HOST : ART_MAP_SLOT);
	return 0;
}

static void end(int corpus_files)
{
	REQUIRE(corpus_files == 0 || tables > 0);
}

const struct fuzz_target fuzz_target = { .name = "fuzz_hosts", .end = end };
