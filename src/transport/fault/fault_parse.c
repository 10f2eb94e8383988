/* SPDX-License-Identifier: MIT
 *
 * Fault rules from text (fault.h has the grammar).
 */
#include <stdlib.h>
#include <string.h>

#include <art/status.h>

#include "transport/fault/fault.h"

static const struct {
	const char *word;
	enum art_fault_action action;
} actions[] = {
	{ "drop", ART_FAULT_DROP }, { "dup", ART_FAULT_DUP }, { "delay", ART_FAULT_DELAY },
	{ "cut", ART_FAULT_CUT }, { "kill", ART_FAULT_KILL },
};

#define SEPARATORS "; \t\n"

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static bool parse_number(const char *s, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	if (!len || len > 18)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return true;
}

static bool parse_slot(const char *s, size_t len, int *out)
{
	uint64_t v;

	if (!parse_number(s, len, &v) || v > INT32_MAX)
		return false;
	*out = (int)v;
	return true;
}

static bool parse_probability(const char *s, size_t len, double *out)
{
	char text[32], *end;

	if (!len || len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	*out = strtod(text, &end);
	return *end == 0 && *out >= 0 && *out <= 1;
}

static bool parse_delay(const char *s, size_t len, uint64_t unit, uint64_t *out)
{
	uint64_t v;

	if (!parse_number(s, len, &v) || v > UINT64_MAX / 1000000000u / 1000)
		return false;
	*out = v * unit;
	return true;
}

static bool parse_chan(const char *s, size_t len, int *out)
{
	*out = is_word(s, len, "data") ? 0 : 1;
	return *out == 0 || is_word(s, len, "ctl");
}

/* One key=value. */
static bool parse_key(const char *s, size_t len, struct art_fault_rule *r)
{
	const char *eq = memchr(s, '=', len);
	size_t klen = eq ? (size_t)(eq - s) : 0;
	const char *v = eq ? eq + 1 : NULL;
	size_t vlen = eq ? len - klen - 1 : 0;

	if (!eq)
		return false;
	if (is_word(v, vlen, "*"))
		return is_word(s, klen, "rank") || is_word(s, klen, "peer") ||
		       is_word(s, klen, "chan") || is_word(s, klen, "msg");
	if (is_word(s, klen, "rank"))
		return parse_slot(v, vlen, &r->rank);
	if (is_word(s, klen, "peer"))
		return parse_slot(v, vlen, &r->peer);
	if (is_word(s, klen, "chan"))
		return parse_chan(v, vlen, &r->chan);
	if (is_word(s, klen, "msg"))
		return parse_number(v, vlen, &r->msg) && r->msg > 0;
	if (is_word(s, klen, "times"))
		return parse_number(v, vlen, &r->times) && r->times > 0;
	if (is_word(s, klen, "p"))
		return parse_probability(v, vlen, &r->p);
	if (is_word(s, klen, "ms"))
		return parse_delay(v, vlen, ART_NS_PER_MS, &r->delay_ns);
	if (is_word(s, klen, "us"))
		return parse_delay(v, vlen, 1000, &r->delay_ns);
	return false;
}

static bool parse_action(const char *s, size_t len, struct art_fault_rule *r)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (!is_word(s, len, actions[i].word))
			continue;
		r->action = actions[i].action;
		return true;
	}
	return false;
}

/* One rule of @len bytes. NULL, or what is wrong. */
static const char *parse_rule(const char *s, size_t len, struct art_fault_rule *r)
{
	const char *end = s + len;
	size_t word = strcspn(s, ":" SEPARATORS);

	*r = (struct art_fault_rule){ .rank = -1, .peer = -1, .chan = -1, .p = 1 };
	if (word > len || !parse_action(s, word, r))
		return s;
	s += word;
	while (s < end) {
		s++; /* the ':' or ',' */
		word = strcspn(s, "," SEPARATORS);
		if (!parse_key(s, word, r))
			return s;
		s += word;
	}
	return r->action == ART_FAULT_DELAY && !r->delay_ns ? end - len : NULL;
}

int art__fault_parse(const char *text, struct art_fault_opts *opts, const char **where)
{
	int n = opts->nrules;

	for (const char *s = text; *s; ) {
		size_t len = strcspn(s, SEPARATORS);
		const char *bad = NULL;

		if (len)
			bad = n < ART_FAULT_RULES ? parse_rule(s, len, &opts->rule[n++]) : s;
		if (bad && where)
			*where = bad;
		if (bad)
			return ART_ERR_ARG;
		s += len + (s[len] != 0);
	}
	opts->nrules = n;
	return 0;
}
