/* SPDX-License-Identifier: MIT
 *
 * Description: whatever comes over the pipe between artrun and an agent, no length in it is believed
 * beyond what has come and what its kind allows, whether it comes at once or in pieces; and a START
 * that is accepted has its ranks and strings inside it.
 *
 * An input is a byte of flags, then the bytes:
 *     1 the rest is the body of a START, its head is put right
 *     2 otherwise: each message found in the bytes gets the right magic number and version
 */
#include <art/status.h>
#include <string.h>

#include "launch/agent_wire.h"
#include "base/set.h"
#include "tests/fuzz/fuzz.h"

enum { START = 1, REPAIR = 2 };

static unsigned long starts, messages;

static bool inside(const void *p, const uint8_t *data, size_t len)
{
	return (const uint8_t *)p >= data && (const uint8_t *)p < data + len;
}

/* Every string that the message promises is there, and the last one ends it. */
static void check_start(const uint8_t *data, size_t len)
{
	struct art_agent_job job;
	const char *s;
	int64_t before = -1;

	memset(&job, 0xff, sizeof(job));
	if (art__agent_start(data, len, &job))
		return;
	starts++;
	REQUIRE(job.start.size >= 1 && job.start.size <= ART_MAX_RANKS && job.start.argc >= 1);
	for (uint32_t i = 0; i < job.start.mine; i++) {
		uint32_t rank;

		REQUIRE(inside(job.ranks + i * sizeof(rank) + sizeof(rank) - 1, data, len));
		memcpy(&rank, job.ranks + i * sizeof(rank), sizeof(rank));
		REQUIRE(rank < job.start.size && (int64_t)rank > before);
		before = rank;
	}
	REQUIRE(inside(job.directory, data, len) && inside(job.iface, data, len) &&
		inside(job.toward, data, len));
	s = job.strings;
	for (uint64_t n = (uint64_t)job.start.argc + job.start.envc; n > 0; n--) {
		REQUIRE(inside(s, data, len));
		s = art__agent_next(s);
	}
	REQUIRE((const uint8_t *)s == data + len);
}

static void one_start(const uint8_t *body, size_t len)
{
	struct art_agent_head h = art__agent_head(ART_AGENT_START, -1, len);
	uint8_t *data = malloc(sizeof(h) + len);

	REQUIRE(data);
	memcpy(data, &h, sizeof(h));
	if (len)
		memcpy(data + sizeof(h), body, len);
	if (len >= sizeof(struct art_agent_start))
		REQUIRE(art__agent_whole(data, sizeof(h) + len) == (ssize_t)(sizeof(h) + len));
	check_start(data, sizeof(h) + len);
	free(data);
}

/* What art__agent_whole() says of the first @have bytes, in memory of that size. */
static ssize_t whole(const uint8_t *data, size_t have)
{
	uint8_t *copy = malloc(have ? have : 1);
	ssize_t n;

	REQUIRE(copy);
	memcpy(copy, data, have);
	n = art__agent_whole(copy, have);
	REQUIRE(art__agent_find(copy, have) <= have);
	if (n > (ssize_t)sizeof(struct art_agent_head) && copy[6] == ART_AGENT_START && copy[7] == 0)
		check_start(copy, (size_t)n);
	free(copy);
	return n;
}

static void repair(uint8_t *data, size_t len)
{
	struct art_agent_head h = { 0 }, right = art__agent_head(ART_AGENT_LOOK, -1, 0);

	if (len < sizeof(h))
		return;
	memcpy(&h, data, sizeof(h));
	h.magic = right.magic;
	h.version = right.version;
	h.kind %= ART_AGENT_KINDS + 1;
	memcpy(data, &h, sizeof(h));
}

/* As artrun and the agent read: what is whole is taken off, the first that is wrong ends it. */
static void stream(uint8_t *data, size_t len, bool put_right)
{
	size_t at = art__agent_find(data, len);

	REQUIRE(at <= len);
	for (;;) {
		ssize_t n;

		if (put_right)
			repair(data + at, len - at);
		n = whole(data + at, len - at);
		if (n <= 0) {
			REQUIRE(n == 0 || n == ART_AGENT_GARBAGE || n == ART_AGENT_OTHER_VERSION);
			return;
		}
		REQUIRE((size_t)n >= sizeof(struct art_agent_head) && (size_t)n <= len - at);
		/* Of less than all of it the same is said, or that more must come. */
		for (size_t have = 0; have < (size_t)n; have++)
			REQUIRE(whole(data + at, have) == 0);
		messages++;
		at += (size_t)n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1)
		return 0;
	if (*data & START) {
		one_start(data + 1, size - 1);
		return 0;
	}
	copy = malloc(size);
	REQUIRE(copy);
	memcpy(copy, data + 1, size - 1);
	stream(copy, size - 1, *data & REPAIR);
	free(copy);
	return 0;
}

static void end(int corpus_files)
{
	REQUIRE(corpus_files == 0 || (starts > 0 && messages > 0));
}

const struct fuzz_target fuzz_target = { .name = "fuzz_agent", .end = end };
