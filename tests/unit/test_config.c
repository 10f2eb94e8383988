/* SPDX-License-Identifier: MIT
 *
 * Settings: who wins, what is refused and in which words, and names that are nearly right.
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/config.h"

static char dir[] = "/tmp/art-config.XXXXXX";
static struct art_config c;
static char why[ART_CONFIG_WHY_MAX];

static void write_file(const char *name, const char *text, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CU_ASSERT_FATAL(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

static int read_with(const char *text, const art_options_t *o)
{
	write_file("art.conf", text, strlen(text));
	why[0] = '\0';
	return art__config_read(&c, o, why, sizeof(why));
}

static size_t index_of(const char *key)
{
	size_t i = 0;

	while (i < art__settings_count && strcmp(art__settings[i].key, key))
		i++;
	CU_ASSERT_FATAL(i < art__settings_count);
	return i;
}

static bool from(const char *key, const char *origin)
{
	char text[PATH_MAX + 16];

	art__config_origin(&c, index_of(key), text, sizeof(text));
	return strstr(text, origin) != NULL;
}

static void clean(void)
{
	for (size_t i = 0; i < art__settings_count; i++)
		unsetenv(art__settings[i].name);
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("ART_CONFIG");
}

static void test_precedence(void)
{
	art_options_t o = art_options_none();

	clean();
	CU_ASSERT(read_with("", NULL) == 0 && c.ft && c.stall_ns == 10 * ART_NS_PER_S);
	CU_ASSERT(from("ft", "default"));
	CU_ASSERT(read_with("# mine\n\n stall =  3 # seconds\nft=off", NULL) == 0);
	CU_ASSERT(!c.ft && c.stall_ns == 3 * ART_NS_PER_S);
	CU_ASSERT(from("stall", "/art.conf:3") && from("ft", "/art.conf:4"));
	setenv("ART_STALL", "4", 1);
	CU_ASSERT(read_with("stall = 3\n", NULL) == 0 && c.stall_ns == 4 * ART_NS_PER_S);
	CU_ASSERT(from("stall", "environment"));
	o.stall = "5";
	CU_ASSERT(read_with("stall = 3\n", &o) == 0 && c.stall_ns == 5 * ART_NS_PER_S);
	CU_ASSERT(from("stall", "options"));
}

static void test_every_setting_three_ways(void)
{
	clean();
	for (size_t i = 0; i < art__settings_count; i++) {
		const struct art_setting *s = &art__settings[i];
		art_options_t o = art_options_none();
		char line[ART_SETTING_TEXT_MAX + 64];

		snprintf(line, sizeof(line), "%s = %s\n", s->key, s->preset);
		CU_ASSERT(read_with(line, NULL) == 0 && from(s->key, "/art.conf:1"));
		setenv(s->name, s->preset, 1);
		CU_ASSERT(read_with(line, NULL) == 0 && from(s->key, "environment"));
		memcpy((char *)&o + s->field, &s->preset, sizeof(s->preset));
		CU_ASSERT(read_with(line, &o) == 0 && from(s->key, "options"));
	}
}

static void refused(const char *text, const char *sentence)
{
	CU_ASSERT(read_with(text, NULL) == ART_ERR_ARG);
	if (!strstr(why, sentence))
		fprintf(stderr, "expected '%s', got '%s'\n", sentence, why);
	CU_ASSERT(strstr(why, sentence) != NULL);
}

/* Nothing that is read as no time at all: it would mean "never" or "at once". */
static void test_shortest_times(void)
{
	clean();
	refused("stall = 0\n", "/art.conf:1: stall = 0 is not seconds");
	refused("quorum_wait = 1e-10\n", "/art.conf:1: quorum_wait = 1e-10 is not seconds");
	refused("stall = 2e9\n", "/art.conf:1: stall = 2e9 is not seconds");
	refused("bound = 0.02\n", "/art.conf:1: bound = 0.02 is not seconds");
	CU_ASSERT(read_with("bound = 0.25\n", NULL) == 0);
	CU_ASSERT(c.bound_ns == 250 * ART_NS_PER_MS && c.heartbeat_ns == 50 * ART_NS_PER_MS);
}

/* A program may have set a locale in which numbers have a comma; where this machine has one. */
static void test_other_locale(void)
{
	static const char *const with_comma[] = { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR" };
	size_t i = 0;

	clean();
	while (i < sizeof(with_comma) / sizeof(*with_comma) && !setlocale(LC_ALL, with_comma[i]))
		i++;
	CU_ASSERT(read_with("stall = 2.5\n", NULL) == 0 && c.stall_ns == 2500 * ART_NS_PER_MS);
	setlocale(LC_ALL, "C");
}

static void test_bad_files(void)
{
	char longest[3000];

	clean();
	refused("\nft = perhaps\n", "/art.conf:2: ft = perhaps is not one of: on, off");
	refused("fx = on\n", "/art.conf:1: there is no setting 'fx'; did you mean 'ft'?");
	refused("whatever = 1\n", "/art.conf:1: there is no setting 'whatever'");
	refused("ft on\n", "/art.conf:1: this is not 'key = value': ft on");
	refused("ft = on\nft = on\n", "/art.conf:2: the same setting again: ft");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	refused(longest, "/art.conf:1: the line is too long");
	memcpy(longest, "log = ", 6);
	longest[600] = '\0';
	refused(longest, "/art.conf:1: the value is too long: log");
	write_file("art.conf", "ft = on\0\n", 9);
	CU_ASSERT(art__config_read(&c, NULL, why, sizeof(why)) == ART_ERR_ARG);
	CU_ASSERT(strstr(why, "art.conf:1: this is no text") != NULL);
	setenv("ART_CONFIG", "/nowhere/at/all", 1);
	CU_ASSERT(art__config_read(&c, NULL, why, sizeof(why)) == ART_ERR_ARG);
	CU_ASSERT(strstr(why, "/nowhere/at/all cannot be read: ") != NULL);
	setenv("ART_CONFIG", "", 1);
	CU_ASSERT(art__config_read(&c, NULL, why, sizeof(why)) == 0);
}

static void test_bad_options(void)
{
	struct {
		art_options_t known;
		const char *unknown;
	} o = {art_options_none(), NULL};

	clean();
	o.known.size = sizeof(o);
	CU_ASSERT(read_with("", &o.known) == 0);
	o.unknown = "x";
	CU_ASSERT(read_with("", &o.known) == ART_ERR_ARG && strstr(why, "does not know"));
	o.known.size = offsetof(art_options_t, stall); /* an older program */
	o.known.stall = "not looked at";
	CU_ASSERT(read_with("", &o.known) == 0);
	o.known.size = 0;
	CU_ASSERT(read_with("", &o.known) == ART_ERR_ARG && strstr(why, "art_options_none()"));
	o.known = art_options_none();
	o.known.errors = "loud";
	CU_ASSERT(read_with("", &o.known) == ART_ERR_ARG);
	CU_ASSERT(strstr(why, "options.errors=loud is not one of") != NULL);
}

/* ---- tables of algorithms ---- */

static int tuned_with(const char *table)
{
	char path[64];

	write_file("table", table, strlen(table));
	snprintf(path, sizeof(path), "%s/table", dir);
	setenv("ART_TUNING", path, 1);
	return read_with("", NULL);
}

static void table_refused(const char *table, const char *sentence)
{
	CU_ASSERT(tuned_with(table) == ART_ERR_ARG);
	if (!strstr(why, sentence))
		fprintf(stderr, "expected '%s', got '%s'\n", sentence, why);
	CU_ASSERT(strstr(why, sentence) != NULL);
}

static void test_table(void)
{
	const struct art_tuned *t;

	clean();
	CU_ASSERT(tuned_with("# mine\nranks 8\nhosts 2 # of ours\ntransport tcp\n\n"
			     "allreduce 16384 doubling\n\tallreduce max ring\nbcast 100 chain\n"
			     "ranks 3\nreduce max chain\nbcast 8 tree:2\nbcast max tree:16\n") == 0);
	CU_ASSERT_FATAL(c.tuning_file && c.tuning.nsection == 2);
	t = &c.tuning.section[0];
	CU_ASSERT(t->ranks == 8 && t->hosts == 2 && !strcmp(t->transport, "tcp"));
	CU_ASSERT(t->nline[ART_C_ALLREDUCE] == 2 && t->nline[ART_C_BCAST] == 1);
	CU_ASSERT(t->nline[ART_C_REDUCE] == 0);
	CU_ASSERT(t->line[ART_C_ALLREDUCE][0].upto == 16384);
	CU_ASSERT(t->line[ART_C_ALLREDUCE][0].algo == ART_ALGO_DOUBLING);
	CU_ASSERT(t->line[ART_C_ALLREDUCE][1].upto == UINT64_MAX);
	CU_ASSERT(t[1].ranks == 3 && t[1].line[ART_C_REDUCE][0].algo == ART_ALGO_CHAIN);
	CU_ASSERT(art__algo_of(t[1].line[ART_C_BCAST][0].algo) == ART_ALGO_TREE);
	CU_ASSERT(art__algo_radix(t[1].line[ART_C_BCAST][0].algo) == 2);
	CU_ASSERT(art__algo_radix(t[1].line[ART_C_BCAST][1].algo) == 16);
	CU_ASSERT(art__algo_radix(t[1].line[ART_C_REDUCE][0].algo) == 0);
	CU_ASSERT(art__choose_tuned(&c.tuning, 8) == t && art__choose_tuned(&c.tuning, 16) == t);
	CU_ASSERT(art__choose_tuned(&c.tuning, 17) == NULL && art__choose_tuned(&c.tuning, 1) == NULL);
	CU_ASSERT(art__choose_tuned(&c.tuning, 4) == t + 1 && art__choose_tuned(NULL, 4) == NULL);
}

static void test_bad_tables(void)
{
	char longest[700] = "ranks 8\n";

	clean();
	table_refused("", "/table is no table of algorithms");
	table_refused("# nothing\n", "/table is no table of algorithms");
	table_refused("ranks 0\n", "/table:1: this is no number of ranks: 0");
	table_refused("ranks\n", "/table:1: what follows is not one word: ranks");
	table_refused("ranks 8 9\n", "/table:1: what follows is not one word: ranks");
	table_refused("ranks 8\nranks 8\n", "/table:2: a second section for as many ranks: 8");
	table_refused("bcast 8 tree\n", "/table:1: before the first 'ranks': bcast");
	table_refused("ranks 8\nhosts x\n", "/table:2: this is no number of hosts: x");
	table_refused("ranks 8\ngather 8 tree\n", "/table:2: no line of a table begins with gather");
	table_refused("ranks 8\nbcast 8\n", "/table:2: this is not 'operation bytes algorithm': bcast");
	table_refused("ranks 8\nbcast 8 tree fast\n", "/table:2: this is not 'operation bytes");
	table_refused("ranks 8\nbcast 8 tree a b\n", "/table:2: too many words: b");
	table_refused("ranks 8\nbcast -8 tree\n", "/table:2: this is no number of bytes: -8");
	table_refused("ranks 8\nbcast 8k tree\n", "/table:2: this is no number of bytes: 8k");
	table_refused("ranks 8\nbcast 99999999999999999999 tree\n", "/table:2: this is no number of bytes");
	table_refused("ranks 8\nbcast 8 tree\n\nbcast 8 chain\n", "/table:4: not above the last line's bytes: 8");
	table_refused("ranks 8\nbcast max tree\nbcast 8 chain\n", "/table:3: not above the last line's");
	table_refused("ranks 8\nbcast 8 ring\n",
		      "/table:2: of bcast, not one of: auto, tree, tree:2 to tree:16, chain, scatter, doubletree, leaders: ring");
	table_refused("ranks 8\nbcast 8 tree:1\n", "doubletree, leaders: tree:1");
	table_refused("ranks 8\nbcast 8 tree:17\n", "doubletree, leaders: tree:17");
	table_refused("ranks 8\nbcast 8 tree:\n", "doubletree, leaders: tree:");
	table_refused("ranks 8\nbcast 8 tree:4x\n", "doubletree, leaders: tree:4x");
	for (int i = 8; i < 600; i++)
		longest[i] = 'x';
	table_refused(longest, "/table:2: the line is too long");
	strcpy(longest, "ranks 8\n");
	for (int i = 1; i <= ART_TUNED_LINES + 1; i++)
		sprintf(longest + strlen(longest), "bcast %d tree\n", i);
	table_refused(longest, "/table:34: more lines than a section may have for bcast");
	for (int i = *longest = 0; i <= ART_TUNED_SECTIONS; i++)
		sprintf(longest + strlen(longest), "ranks %d\n", i + 1);
	table_refused(longest, "/table:17: more sections than a table may have");
	setenv("ART_TUNING", "/nowhere/at/all", 1);
	CU_ASSERT(read_with("", NULL) == ART_ERR_ARG);
	CU_ASSERT(strstr(why, "ART_TUNING: /nowhere/at/all cannot be read: No such file") != NULL);
	setenv("ART_TUNING", dir, 1);
	CU_ASSERT(read_with("", NULL) == ART_ERR_ARG && strstr(why, " cannot be read: Is a directory"));
	clean();
}

static void count_line(void *self, const char *line)
{
	strncat(self, line, 900);
	strncat(self, "\n", 2);
}

static void test_misspelt(void)
{
	char *const wrong[] = {"ART_STAL=3", "ART_LOGLEVEL=debug", "PATH=/bin", NULL};
	char *const right[] = {"ART_STALL=3", "ART_RANK=1", "ART_SIZE=3", "ART_LAUNCH_FD=4",
			       "ART_BUILD=x", "ART_SRCDIR=x", "ART_FUZZ_RUNS=1", "ART_JOB=1", NULL};
	char said[1024] = "";

	art__config_misspelt(right, count_line, said);
	CU_ASSERT_STRING_EQUAL(said, "");
	art__config_misspelt(wrong, count_line, said);
	CU_ASSERT_STRING_EQUAL(said,
		"ART_STAL is no setting and has no effect; did you mean ART_STALL?\n"
		"ART_LOGLEVEL is no setting and has no effect; did you mean ART_LOG?\n");
}

int main(void)
{
	char path[64];
	int bad = 1;
	CU_pSuite s;

	if (!mkdtemp(dir) || CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite("config", NULL, NULL);
	if (s && CU_add_test(s, "who wins", test_precedence) &&
	    CU_add_test(s, "every setting, three ways", test_every_setting_three_ways) &&
	    CU_add_test(s, "shortest times", test_shortest_times) &&
	    CU_add_test(s, "another locale", test_other_locale) &&
	    CU_add_test(s, "bad files", test_bad_files) &&
	    CU_add_test(s, "bad options", test_bad_options) &&
	    CU_add_test(s, "tables of algorithms", test_table) &&
	    CU_add_test(s, "bad tables of algorithms", test_bad_tables) &&
	    CU_add_test(s, "misspelt variables", test_misspelt)) {
		CU_basic_set_mode(CU_BRM_VERBOSE);
		CU_basic_run_tests();
		bad = CU_get_number_of_failures() != 0;
	}
	CU_cleanup_registry();
	snprintf(path, sizeof(path), "%s/art.conf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/table", dir);
	unlink(path);
	rmdir(dir);
	return bad;
}
