/* SPDX-License-Identifier: MIT
 *
 * Reads host files and lists of hosts, and places ranks on hosts. See hosts.h for the words.
 */
#include "launch/hosts.h"

#include <art/status.h>
#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 999999999u

struct reader {
	struct art_hosts *out;
	const char *what; /* "line" or "entry" */
	unsigned where;
	char *why;
	size_t why_size;
};

struct span {
	const char *at, *end;
};

static int __attribute__((format(printf, 2, 3))) refuse(struct reader *r, const char *fmt, ...)
{
	int n = snprintf(r->why, r->why_size, "%s %u: ", r->what, r->where);
	va_list ap;

	if (n > 0 && (size_t)n < r->why_size) {
		va_start(ap, fmt);
		vsnprintf(r->why + n, r->why_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	for (char *c = r->why; r->why_size > 0 && *c; c++) /* it may go to a terminal */
		if (*c < ' ' || *c > '~')
			*c = '?';
	return ART_ERR_ARG;
}

/* For messages: a beginning of what was read. */
static int shown(struct span s)
{
	size_t len = (size_t)(s.end - s.at);

	return (int)(len < 60 ? len : 60);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* All of @s is a number of at most @max. */
static bool read_number(struct span s, uint32_t max, uint32_t *out)
{
	uint32_t n = 0;

	if (s.at == s.end || s.end - s.at > 9)
		return false;
	for (; s.at < s.end; s.at++) {
		if (!is_digit(*s.at))
			return false;
		n = n * 10 + (uint32_t)(*s.at - '0');
	}
	*out = n;
	return n <= max;
}

/* A leading hyphen would make the name an option of ssh. */
static bool good_name(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._-@:%";

	return name[0] != '\0' && name[0] != '-' && name[strspn(name, good)] == '\0';
}

static int add_host(struct reader *r, const char *name, uint32_t slots)
{
	struct art_hosts *o = r->out;

	if (!good_name(name))
		return refuse(r, "'%.60s' is no name of a host", name);
	for (size_t i = 0; i < o->n; i++) {
		uint32_t *have = &o->host[i].slots;

		if (strcmp(o->host[i].name, name) != 0)
			continue;
		*have = (*have ? *have : 1) + (slots ? slots : 1);
		if (*have > ART_HOST_SLOTS_MAX)
			return refuse(r, "more than %u slots on '%.60s'", ART_HOST_SLOTS_MAX, name);
		return 0;
	}
	if (o->n == o->max)
		return refuse(r, "more than %zu hosts", o->max);
	memcpy(o->host[o->n].name, name, strlen(name) + 1);
	o->host[o->n++].slots = slots;
	return 0;
}

static int expand(struct reader *r, char *name, size_t len, struct span rest, uint32_t slots);

/* Each number of @item ("7" or "01-16") in turn behind the name so far. */
static int expand_item(struct reader *r, char *name, size_t len, struct span item,
		       struct span rest, uint32_t slots)
{
	const char *dash = memchr(item.at, '-', (size_t)(item.end - item.at));
	struct span low = { item.at, dash ? dash : item.end };
	struct span high = { dash ? dash + 1 : item.at, item.end };
	int width = (int)(low.end - low.at);
	uint32_t from, to;

	if (!read_number(low, NUMBER_MAX, &from) || !read_number(high, NUMBER_MAX, &to))
		return refuse(r, "'%.*s' is no number and no range of numbers", shown(item), item.at);
	if (to < from || to - from >= ART_HOSTS_MAX)
		return refuse(r, "the range '%.*s' is empty or too long", shown(item), item.at);
	for (uint32_t i = from; i <= to; i++) {
		int n = snprintf(name + len, ART_HOST_NAME_MAX - len, "%0*u",
				 *low.at == '0' ? width : 1, i);
		int err;

		if (len + (size_t)n >= ART_HOST_NAME_MAX)
			return refuse(r, "the name of a host is too long");
		err = expand(r, name, len + (size_t)n, rest, slots);
		if (err)
			return err;
	}
	return 0;
}

/* @name has @len bytes of a host's name; @rest is what follows, brackets included. Every bracket
 * adds a byte to the name at least, so the depth is bounded by its length. */
static int expand(struct reader *r, char *name, size_t len, struct span rest, uint32_t slots)
{
	const char *open = memchr(rest.at, '[', (size_t)(rest.end - rest.at));
	size_t plain = (size_t)((open ? open : rest.end) - rest.at);
	const char *close;
	struct span item;

	if (len + plain >= ART_HOST_NAME_MAX)
		return refuse(r, "the name of a host is too long");
	memcpy(name + len, rest.at, plain);
	len += plain;
	name[len] = '\0';
	if (!open)
		return add_host(r, name, slots);
	close = memchr(open, ']', (size_t)(rest.end - open));
	if (!close)
		return refuse(r, "'[' without ']' in '%.*s'", shown(rest), rest.at);
	item.at = open + 1;
	while (item.at <= close) {
		struct span behind = { close + 1, rest.end };
		int err;

		item.end = memchr(item.at, ',', (size_t)(close - item.at));
		if (!item.end)
			item.end = close;
		err = expand_item(r, name, len, item, behind, slots);
		if (err)
			return err;
		item.at = item.end + 1;
	}
	return 0;
}

/* NAME[:SLOTS]; two colons or more are an IPv6 address. @slots: said elsewhere on the line, 0 no. */
static int read_host(struct reader *r, struct span s, uint32_t slots)
{
	size_t len = (size_t)(s.end - s.at);
	const char *colon = memchr(s.at, ':', len);
	char name[ART_HOST_NAME_MAX];

	if (memchr(s.at, '\0', len))
		return refuse(r, "a byte of value 0");
	if (colon && memchr(colon + 1, ':', (size_t)(s.end - colon - 1)))
		colon = NULL;
	if (colon) {
		struct span number = { colon + 1, s.end };

		if (slots || !read_number(number, ART_HOST_SLOTS_MAX, &slots) || slots == 0)
			return refuse(r, "'%.*s' is no number of slots, 1 to %u, or not the only one",
				      shown(number), number.at, ART_HOST_SLOTS_MAX);
		s.end = colon;
	}
	return expand(r, name, 0, s, slots);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of *line, which begins behind it afterwards. False if there is none. */
static bool next_word(struct span *line, struct span *word)
{
	while (line->at < line->end && is_blank(*line->at))
		line->at++;
	word->at = line->at;
	while (line->at < line->end && !is_blank(*line->at))
		line->at++;
	word->end = line->at;
	return word->at < word->end;
}

static int read_line(struct reader *r, struct span line)
{
	static const char key[] = "slots=";
	const char *comment = memchr(line.at, '#', (size_t)(line.end - line.at));
	struct span host, word;
	uint32_t slots = 0;

	if (comment)
		line.end = comment;
	if (!next_word(&line, &host))
		return 0;
	while (next_word(&line, &word)) {
		struct span number = { word.at + sizeof(key) - 1, word.end };

		if (word.end - word.at < (long)sizeof(key) || memcmp(word.at, key, sizeof(key) - 1) ||
		    slots || !read_number(number, ART_HOST_SLOTS_MAX, &slots) || slots == 0)
			return refuse(r, "'%.*s' is not slots=N, N from 1 to %u, said once",
				      shown(word), word.at, ART_HOST_SLOTS_MAX);
	}
	return read_host(r, host, slots);
}

static int no_host(struct reader *r)
{
	if (r->out->n > 0)
		return 0;
	snprintf(r->why, r->why_size, "no host is named");
	return ART_ERR_ARG;
}

int art__hosts_parse(const char *text, size_t len, struct art_hosts *out, char *why,
		     size_t why_size)
{
	struct reader r = { out, "line", 0, why, why_size };
	const char *end = text + len;

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		struct span line = { text, nl ? nl : end };
		int err;

		r.where++;
		err = read_line(&r, line);
		if (err)
			return err;
		text = nl ? nl + 1 : end;
	}
	return no_host(&r);
}

int art__hosts_parse_list(const char *text, size_t len, struct art_hosts *out, char *why,
			  size_t why_size)
{
	struct reader r = { out, "entry", 0, why, why_size };
	const char *end = text + len, *at = text;

	while (at <= end && len > 0) {
		struct span s = { at, at };
		bool inside = false;
		int err;

		for (; s.end < end && (inside || *s.end != ','); s.end++)
			inside = *s.end == '[' || (inside && *s.end != ']');
		r.where++;
		if (s.at == s.end)
			return refuse(&r, "nothing between two commas");
		err = read_host(&r, s, 0);
		if (err)
			return err;
		at = s.end + 1;
	}
	return no_host(&r);
}

void art__hosts_place(const uint32_t *slots, size_t n, enum art_map map, uint32_t ranks,
		      uint32_t *place)
{
	uint32_t placed = 0, most = 0;

	assert(n > 0);
	for (size_t h = 0; h < n; h++)
		most = slots[h] > most ? slots[h] : most;
	while (placed < ranks && map == ART_MAP_SLOT)
		for (size_t h = 0; h < n; h++)
			for (uint32_t k = 0; k < slots[h] && placed < ranks; k++)
				place[placed++] = (uint32_t)h;
	while (placed < ranks)
		for (uint32_t k = 0; k < most; k++)
			for (size_t h = 0; h < n && placed < ranks; h++)
				if (k < slots[h])
					place[placed++] = (uint32_t)h;
}
