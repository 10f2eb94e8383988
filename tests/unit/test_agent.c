/* SPDX-License-Identifier: MIT
 *
 * What artrun and its agents say to each other: each kind has its lengths and no other, what login
 * scripts print is skipped, and a START is taken apart as it was put together, or refused. Everything
 * is read from memory of exactly its size (sanitizers).
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <stdlib.h>
#include <string.h>

#include "base/set.h"
#include "launch/agent_wire.h"

#define HEAD sizeof(struct art_agent_head)

static ssize_t whole(const uint8_t *data, size_t have)
{
	uint8_t *copy = calloc(1, have ? have : 1);
	ssize_t n;

	memcpy(copy, data, have);
	n = art__agent_whole(copy, have);
	free(copy);
	return n;
}

/* ---- lengths ---- */
static const struct kind {
	enum art_agent_kind kind;
	size_t least, most; /* of the body, as they are documented in agent_wire.h */
} kinds[] = {
	{ ART_AGENT_HELLO, 208, 208 },
	{ ART_AGENT_STARTED, 4, 4 },
	{ ART_AGENT_UNSTARTED, 8, 8 },
	{ ART_AGENT_JOINED, 8, 8 },
	{ ART_AGENT_CARD, 3 * ART_TP_ADDR_MAX + 24, 3 * ART_TP_ADDR_MAX + 24 },
	{ ART_AGENT_DONE, 0, 0 },
	{ ART_AGENT_ABORT, 4, 4 },
	{ ART_AGENT_CLOSED, 0, 0 },
	{ ART_AGENT_EXIT, 16 + 8, 16 + 520 },
	{ ART_AGENT_MEMBER_GONE, 8, 520 },
	{ ART_AGENT_OUTPUT, 4, 4 + ART_AGENT_PIECE },
	{ ART_AGENT_STATES, 0, 8 * ART_MAX_RANKS },
	{ ART_AGENT_TOOK, 4, 4 },
	{ ART_AGENT_SAY, 0, ART_AGENT_TEXT_MAX },
	{ ART_AGENT_VOTE, 0, 60 << 10 },
	{ ART_AGENT_VOTED, 0, 60 << 10 },
	{ ART_AGENT_START, 32 + ART_TP_KEY_BYTES, ART_AGENT_LEN_MAX },
	{ ART_AGENT_TABLE, 8, 8 + ART_AGENT_TABLE_CARDS * (3 * ART_TP_ADDR_MAX + 24) },
	{ ART_AGENT_NEVER, 0, 0 },
	{ ART_AGENT_DEAD, 8 + 8, 8 + 520 },
	{ ART_AGENT_SIGNAL, 4, 4 },
	{ ART_AGENT_LOOK, 0, 0 },
	{ ART_AGENT_INPUT, 0, ART_AGENT_PIECE },
	{ ART_AGENT_CREDIT, 4, 4 },
	{ ART_AGENT_SHUT, 4, 4 },
};

/* What is said when only the head of a message of @body bytes has come. */
static ssize_t announced(enum art_agent_kind kind, size_t body)
{
	struct art_agent_head h = art__agent_head(kind, -1, body);

	return whole((const uint8_t *)&h, sizeof(h));
}

static void has_lengths_for_each_kind(void)
{
	CU_ASSERT_EQUAL(sizeof(kinds) / sizeof(*kinds), ART_AGENT_KINDS - 1);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *k = &kinds[i];

		CU_ASSERT_EQUAL(announced(k->kind, k->least), k->least ? 0 : (ssize_t)HEAD);
		CU_ASSERT_EQUAL(announced(k->kind, k->most), k->most ? 0 : (ssize_t)HEAD);
		CU_ASSERT_EQUAL(announced(k->kind, k->most + 1), ART_AGENT_GARBAGE);
		if (k->least)
			CU_ASSERT_EQUAL(announced(k->kind, k->least - 1), ART_AGENT_GARBAGE);
	}
}

/* No length wraps to one that is allowed. */
static void refuses_impossible_lengths(void)
{
	static const uint32_t lengths[] = { 0, 1, HEAD - 1, INT32_MAX, 0x80000000u, UINT32_MAX - HEAD,
					    UINT32_MAX };

	for (int kind = 1; kind < ART_AGENT_KINDS; kind++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			struct art_agent_head h = art__agent_head((enum art_agent_kind)kind, -1, 0);

			h.len = lengths[i];
			CU_ASSERT_EQUAL(whole((const uint8_t *)&h, sizeof(h)), ART_AGENT_GARBAGE);
		}
}

static ssize_t with(void (*change)(struct art_agent_head *h, int64_t to), int64_t to)
{
	struct art_agent_head h = art__agent_head(ART_AGENT_DONE, 0, 0);

	change(&h, to);
	return whole((const uint8_t *)&h, sizeof(h));
}

static void magic(struct art_agent_head *h, int64_t to) { h->magic = (uint32_t)to; }
static void version(struct art_agent_head *h, int64_t to) { h->version = (uint16_t)to; }
static void kind(struct art_agent_head *h, int64_t to) { h->kind = (uint16_t)to; }
static void rank(struct art_agent_head *h, int64_t to) { h->rank = (int32_t)to; }

static void looks_at_every_field(void)
{
	CU_ASSERT_EQUAL(with(magic, ART_AGENT_MAGIC), (ssize_t)HEAD);
	CU_ASSERT_EQUAL(with(magic, ART_AGENT_MAGIC ^ 1), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(version, ART_AGENT_VERSION - 1), ART_AGENT_OTHER_VERSION);
	CU_ASSERT_EQUAL(with(version, ART_AGENT_VERSION + 1), ART_AGENT_OTHER_VERSION);
	CU_ASSERT_EQUAL(with(kind, 0), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(kind, ART_AGENT_KINDS), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(kind, UINT16_MAX), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(rank, -1), (ssize_t)HEAD);
	CU_ASSERT_EQUAL(with(rank, ART_MAX_RANKS - 1), (ssize_t)HEAD);
	CU_ASSERT_EQUAL(with(rank, -2), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(rank, ART_MAX_RANKS), ART_AGENT_GARBAGE);
	CU_ASSERT_EQUAL(with(rank, INT32_MIN), ART_AGENT_GARBAGE);
}

static void waits_for_all_of_a_message(void)
{
	struct {
		struct art_agent_head head;
		struct art_agent_exit body;
		uint32_t view[2];
	} m = { art__agent_head(ART_AGENT_EXIT, 3, sizeof(m.body) + sizeof(m.view)), { 9, 0, 12345 },
		{ 0, 0 } };
	uint8_t two[2 * sizeof(m)];

	for (size_t have = 0; have < sizeof(m); have++)
		CU_ASSERT_EQUAL(whole((const uint8_t *)&m, have), 0);
	memcpy(two, &m, sizeof(m));
	memcpy(two + sizeof(m), &m, sizeof(m));
	for (size_t have = sizeof(m); have <= sizeof(two); have++)
		CU_ASSERT_EQUAL(whole(two, have), (ssize_t)sizeof(m));
}

/* ---- what comes before the first message ---- */
static size_t find(const char *text)
{
	size_t len = strlen(text), at;
	uint8_t *copy = calloc(1, len ? len : 1);

	memcpy(copy, text, len);
	at = art__agent_find(copy, len);
	free(copy);
	return at;
}

static void skips_what_login_scripts_print(void)
{
	CU_ASSERT_EQUAL(find(""), 0);
	CU_ASSERT_EQUAL(find("ATRA"), 0);
	CU_ASSERT_EQUAL(find("Welcome, A!\nATRA"), 12);
	CU_ASSERT_EQUAL(find("nothing"), 7);
	CU_ASSERT_EQUAL(find("perhaps AT"), 8); /* the rest may follow */
	CU_ASSERT_EQUAL(find("ATRATRA"), 0);
	CU_ASSERT_EQUAL(find("ATATRA"), 2);
}

/* ---- START ---- */
struct draft {
	struct art_agent_start s;
	uint32_t ranks[8];
	const char *strings; /* with NULs between them */
	size_t strings_len;
};

#define STRINGS "/home/me\0" "10.0.0.2\0" "\0" "./prog\0" "-x\0" "A=1\0"
static const struct draft good = { .s = { .job = 7, .size = 4, .mine = 2, .argc = 2, .envc = 1 },
				   .ranks = { 1, 3 }, .strings = STRINGS,
				   .strings_len = sizeof(STRINGS) - 1 };

/* The message, of *len bytes. */
static uint8_t *write_start(const struct draft *d, size_t *len)
{
	size_t ranks = d->s.mine < 8 ? d->s.mine * sizeof(d->ranks[0]) : 0;
	struct art_agent_head h = art__agent_head(ART_AGENT_START, -1,
						  sizeof(d->s) + ranks + d->strings_len);
	uint8_t *m = malloc(h.len), *at = m;

	memcpy(at, &h, sizeof(h));
	memcpy(at += sizeof(h), &d->s, sizeof(d->s));
	memcpy(at += sizeof(d->s), d->ranks, ranks);
	memcpy(at + ranks, d->strings, d->strings_len);
	*len = h.len;
	return m;
}

static int take_apart(const struct draft *d)
{
	struct art_agent_job job;
	size_t len;
	uint8_t *m = write_start(d, &len);
	int err = art__agent_start(m, len, &job);

	free(m);
	return err;
}

static void takes_a_start_apart(void)
{
	struct art_agent_job job;
	uint32_t ranks[2];
	const char *s;
	size_t len;
	uint8_t *m = write_start(&good, &len);

	CU_ASSERT_EQUAL(art__agent_whole(m, len), (ssize_t)len);
	CU_ASSERT_EQUAL_FATAL(art__agent_start(m, len, &job), 0);
	CU_ASSERT(memcmp(&job.start, &good.s, sizeof(job.start)) == 0);
	memcpy(ranks, job.ranks, sizeof(ranks));
	CU_ASSERT(ranks[0] == 1 && ranks[1] == 3);
	CU_ASSERT_STRING_EQUAL(job.directory, "/home/me");
	CU_ASSERT_STRING_EQUAL(job.iface, "10.0.0.2");
	CU_ASSERT_STRING_EQUAL(job.toward, "");
	CU_ASSERT_STRING_EQUAL(s = job.strings, "./prog");
	CU_ASSERT_STRING_EQUAL(s = art__agent_next(s), "-x");
	CU_ASSERT_STRING_EQUAL(s = art__agent_next(s), "A=1");
	CU_ASSERT_PTR_EQUAL(art__agent_next(s), (const char *)m + len);
	free(m);
}

static void refuses_a_start_that_was_cut(void)
{
	size_t len;
	uint8_t *m = write_start(&good, &len);

	for (size_t have = 0; have < len; have++) {
		uint8_t *cut = calloc(1, have ? have : 1);
		struct art_agent_job job;

		memcpy(cut, m, have);
		CU_ASSERT_EQUAL(art__agent_start(cut, have, &job), ART_ERR_ARG);
		free(cut);
	}
	free(m);
}

static int counted(uint32_t size, uint32_t mine, uint32_t argc, uint32_t envc)
{
	struct draft d = good;

	d.s.size = size;
	d.s.mine = mine;
	d.s.argc = argc;
	d.s.envc = envc;
	return take_apart(&d);
}

static void refuses_wrong_counts(void)
{
	CU_ASSERT_EQUAL(counted(4, 2, 2, 1), 0);
	CU_ASSERT_EQUAL(counted(0, 2, 2, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(1, 2, 2, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(ART_MAX_RANKS, 2, 2, 1), 0);
	CU_ASSERT_EQUAL(counted(ART_MAX_RANKS + 1, 2, 2, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(UINT32_MAX, UINT32_MAX, 2, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(ART_MAX_RANKS, ART_MAX_RANKS, 2, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(4, 2, 0, 3), ART_ERR_ARG); /* no program */
	CU_ASSERT_EQUAL(counted(4, 2, 3, 0), 0);
	CU_ASSERT_EQUAL(counted(4, 2, 2, 0), ART_ERR_ARG); /* a string too many */
	CU_ASSERT_EQUAL(counted(4, 2, 2, 2), ART_ERR_ARG); /* one too few */
	CU_ASSERT_EQUAL(counted(4, 2, UINT32_MAX, 1), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(4, 2, UINT32_MAX, UINT32_MAX), ART_ERR_ARG);
	CU_ASSERT_EQUAL(counted(4, 2, 1u << 31, (1u << 31) + 3), ART_ERR_ARG);
}

static void refuses_wrong_ranks(void)
{
	static const struct {
		uint32_t first, second;
		int want;
	} pairs[] = { { 0, 1, 0 }, { 2, 3, 0 }, { 1, 1, ART_ERR_ARG }, { 3, 1, ART_ERR_ARG },
		      { 1, 4, ART_ERR_ARG }, { 1, UINT32_MAX, ART_ERR_ARG } };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct draft d = good;

		d.ranks[0] = pairs[i].first;
		d.ranks[1] = pairs[i].second;
		CU_ASSERT_EQUAL(take_apart(&d), pairs[i].want);
	}
}

static void refuses_a_string_without_end(void)
{
	struct draft d = good;

	d.strings_len--;
	CU_ASSERT_EQUAL(take_apart(&d), ART_ERR_ARG);
	d.s.mine = 0; /* a host may have no rank */
	d.strings_len++;
	CU_ASSERT_EQUAL(take_apart(&d), 0);
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	CU_initialize_registry();
	s = CU_add_suite("agent", NULL, NULL);
	CU_add_test(s, "has lengths for each kind", has_lengths_for_each_kind);
	CU_add_test(s, "refuses impossible lengths", refuses_impossible_lengths);
	CU_add_test(s, "looks at every field", looks_at_every_field);
	CU_add_test(s, "waits for all of a message", waits_for_all_of_a_message);
	CU_add_test(s, "skips what login scripts print", skips_what_login_scripts_print);
	CU_add_test(s, "takes a START apart", takes_a_start_apart);
	CU_add_test(s, "refuses a START that was cut", refuses_a_start_that_was_cut);
	CU_add_test(s, "refuses wrong counts", refuses_wrong_counts);
	CU_add_test(s, "refuses wrong ranks", refuses_wrong_ranks);
	CU_add_test(s, "refuses a string without end", refuses_a_string_without_end);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed != 0;
}
