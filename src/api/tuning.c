/* SPDX-License-Identifier: MIT
 *
 * Tables of algorithms by size, as art-bench --tune writes them, and the names of algorithms. A table is
 * text, "#" begins a comment:
 *
 *	ranks 8                      begins a section: what follows was measured with so many ranks,
 *	hosts 2                      on so many hosts,
 *	transport shm,tcp            with this ART_TRANSPORT (both may be left out)
 *	allreduce 16384 doubling     up to so many bytes, from the last line's on, this algorithm
 *	allreduce max ring           and this one for all that is longer
 *	bcast 4096 tree:8            a tree of that radix
 *
 * What is wrong is an error that names file and line: a table that is read in part would give ranks
 * different choices.
 */
#include <art/status.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"

#define LINE_MAX_BYTES 256

struct named {
	const char *name;
	enum art_algo algo;
};

static const struct named bcast[] = {
	{"auto", ART_ALGO_AUTO}, {"tree", ART_ALGO_TREE}, {"chain", ART_ALGO_CHAIN},
	{"scatter", ART_ALGO_SCATTER}, {"doubletree", ART_ALGO_TWOTREE},
	{"leaders", ART_ALGO_LEADERS}, {NULL, 0},
};
static const struct named reduce[] = {
	{"auto", ART_ALGO_AUTO}, {"tree", ART_ALGO_TREE}, {"chain", ART_ALGO_CHAIN},
	{"rabenseifner", ART_ALGO_HALVING}, {"doubletree", ART_ALGO_TWOTREE},
	{"leaders", ART_ALGO_LEADERS}, {NULL, 0},
};
static const struct named allreduce[] = {
	{"auto", ART_ALGO_AUTO}, {"tree", ART_ALGO_TREE}, {"chain", ART_ALGO_CHAIN},
	{"doubling", ART_ALGO_DOUBLING}, {"ring", ART_ALGO_RING}, {"rabenseifner", ART_ALGO_HALVING},
	{"doubletree", ART_ALGO_TWOTREE},
	{"leaders", ART_ALGO_LEADERS}, {NULL, 0},
};

static const struct {
	const char *name;
	const struct named *algos;
	const char *words;
} ops[ART_C_ALLREDUCE + 1] = {
	[ART_C_BCAST] = {"bcast", bcast,
			 "one of: auto, tree, tree:2 to tree:16, chain, scatter, doubletree, leaders"},
	[ART_C_REDUCE] = {"reduce", reduce,
			  "one of: auto, tree, tree:2 to tree:16, chain, rabenseifner, doubletree, leaders"},
	[ART_C_ALLREDUCE] = {"allreduce", allreduce,
			     "one of: auto, tree, tree:2 to tree:16, chain, doubling, ring, rabenseifner, "
			     "doubletree, leaders"},
};

enum art_coll art__tuning_op(const char *name)
{
	for (int op = ART_C_BCAST; op <= ART_C_ALLREDUCE; op++)
		if (!strcmp(ops[op].name, name))
			return (enum art_coll)op;
	return 0;
}

const char *art__tuning_algos(enum art_coll op)
{
	return ops[op].words;
}

/* A whole number from 1 to @most. */
static bool whole(const char *text, uint64_t most, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && !*end && *out >= 1 && *out <= most;
}

bool art__tuning_algo(enum art_coll op, const char *name, uint8_t *out)
{
	uint64_t radix;

	if (!strncmp(name, "tree:", 5) && whole(name + 5, ART_RADIX_MAX, &radix) && radix > 1) {
		*out = art__algo_tree((int)radix);
		return true;
	}
	for (const struct named *n = ops[op].algos; n->name; n++) {
		if (strcmp(n->name, name))
			continue;
		*out = (uint8_t)n->algo;
		return true;
	}
	return false;
}

/* ---- a file ---- */

struct reader {
	const char *path;
	int line;
	struct art_tuning *t;
	char *why;
	size_t why_size;
};

static int complain(struct reader *r, const char *what, const char *about)
{
	snprintf(r->why, r->why_size, "%s:%d: %s%.64s", r->path, r->line, what, about);
	return ART_ERR_ARG;
}

static struct art_tuned *section(struct reader *r)
{
	return r->t->nsection ? &r->t->section[r->t->nsection - 1] : NULL;
}

static int begin_section(struct reader *r, const char *text)
{
	uint64_t n;

	if (!whole(text, 1 << 24, &n))
		return complain(r, "this is no number of ranks: ", text);
	for (int i = 0; i < r->t->nsection; i++)
		if (r->t->section[i].ranks == (int)n)
			return complain(r, "a second section for as many ranks: ", text);
	if (r->t->nsection == ART_TUNED_SECTIONS)
		return complain(r, "more sections than a table may have", "");
	r->t->section[r->t->nsection++].ranks = (int)n;
	return 0;
}

static int take_hosts(struct reader *r, const char *text)
{
	uint64_t n;

	if (!whole(text, 1 << 24, &n))
		return complain(r, "this is no number of hosts: ", text);
	section(r)->hosts = (int)n;
	return 0;
}

static int take_transport(struct reader *r, const char *text)
{
	struct art_tuned *s = section(r);

	if (strlen(text) >= sizeof(s->transport))
		return complain(r, "this is no list of transports: ", text);
	memcpy(s->transport, text, strlen(text) + 1);
	return 0;
}

static int take_line(struct reader *r, enum art_coll op, const char *upto, const char *algo)
{
	struct art_tuned *s = section(r);
	struct art_tuned_line *line = &s->line[op][s->nline[op]];
	char what[128];

	if (s->nline[op] == ART_TUNED_LINES)
		return complain(r, "more lines than a section may have for ", ops[op].name);
	if (!strcmp(upto, "max"))
		line->upto = UINT64_MAX;
	else if (!whole(upto, UINT64_MAX - 1, &line->upto))
		return complain(r, "this is no number of bytes: ", upto);
	if (s->nline[op] && line->upto <= line[-1].upto)
		return complain(r, "not above the last line's bytes: ", upto);
	if (!art__tuning_algo(op, algo, &line->algo)) {
		snprintf(what, sizeof(what), "of %s, not %s: ", ops[op].name, ops[op].words);
		return complain(r, what, algo);
	}
	s->nline[op]++;
	return 0;
}

static int take_words(struct reader *r, char *const word[], int n)
{
	enum art_coll op = art__tuning_op(word[0]);

	bool ranks = !strcmp(word[0], "ranks");

	if (!op && !ranks && strcmp(word[0], "hosts") && strcmp(word[0], "transport"))
		return complain(r, "no line of a table begins with ", word[0]);
	if (n != (op ? 3 : 2))
		return complain(r, op ? "this is not 'operation bytes algorithm': " :
					"what follows is not one word: ", word[0]);
	if (ranks)
		return begin_section(r, word[1]);
	if (!section(r))
		return complain(r, "before the first 'ranks': ", word[0]);
	if (op)
		return take_line(r, op, word[1], word[2]);
	return word[0][0] == 'h' ? take_hosts(r, word[1]) : take_transport(r, word[1]);
}

/* @text holds @n bytes, the newline included. */
static int one_line(struct reader *r, char *text, size_t n)
{
	char *word[4], *rest = NULL, *w;
	int words = 0;

	if (strlen(text) != n)
		return complain(r, "this is no text", "");
	if (n == LINE_MAX_BYTES - 1 && text[n - 1] != '\n' && text[0] != '#')
		return complain(r, "the line is too long", "");
	text[strcspn(text, "#")] = '\0';
	for (w = strtok_r(text, " \t\r\n", &rest); w; w = strtok_r(NULL, " \t\r\n", &rest)) {
		if (words == 4)
			return complain(r, "too many words: ", w);
		word[words++] = w;
	}
	return words ? take_words(r, word, words) : 0;
}

static int read_lines(struct reader *r, FILE *in)
{
	char text[LINE_MAX_BYTES];
	int rc = 0, ch = 0;

	for (r->line = 1; !rc && ch != EOF; r->line++) {
		size_t n = 0;

		while ((ch = getc(in)) != EOF) {
			if (n < sizeof(text) - 1)
				text[n++] = (char)ch;
			if (ch == '\n')
				break;
		}
		text[n] = '\0';
		if (n)
			rc = one_line(r, text, n);
	}
	if (!rc && ferror(in)) {
		snprintf(r->why, r->why_size, "%s cannot be read: %s", r->path, strerror(errno));
		rc = ART_ERR_ARG;
	}
	if (!rc && !r->t->nsection) {
		snprintf(r->why, r->why_size, "%s is no table of algorithms: it has no line 'ranks N'",
			 r->path);
		rc = ART_ERR_ARG;
	}
	return rc;
}

int art__tuning_read(const char *path, struct art_tuning *t, char *why, size_t why_size)
{
	struct reader r = {.path = path, .t = t, .why = why, .why_size = why_size};
	FILE *in = fopen(path, "re");
	int rc;

	memset(t, 0, sizeof(*t));
	if (!in) {
		snprintf(why, why_size, "ART_TUNING: %s cannot be read: %s", path, strerror(errno));
		return ART_ERR_ARG;
	}
	rc = read_lines(&r, in);
	fclose(in);
	return rc;
}
