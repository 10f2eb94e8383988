/* SPDX-License-Identifier: MIT
 *
 * Names that are nearly a setting's: a misspelt variable would otherwise have no effect and nobody
 * would know.
 */
#include "api/config.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 48

/* Of the launcher, of the tests and of art-info: no settings. */
static const char *const known[] = {
	"ART_LAUNCH_FD", "ART_RANK", "ART_SIZE", "ART_CORES", "ART_CPU", "ART_CONFIG", "ART_TRACE", "ART_JOB",
	"ART_RSH", "ART_ROOT", "ART_KEY_FILE",
};

static int least(int a, int b, int c)
{
	int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that make @a into @b. */
static int distance(const char *a, const char *b)
{
	int na = (int)strlen(a), nb = (int)strlen(b);
	int d[NAME_MAX_BYTES + 1][NAME_MAX_BYTES + 1];

	if (na > NAME_MAX_BYTES || nb > NAME_MAX_BYTES)
		return NAME_MAX_BYTES;
	for (int i = 0; i <= na; i++) {
		for (int j = 0; j <= nb; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1,
					d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[na][nb];
}

/* "ART_LOG" and "log" are compared by "LOG" and "log". */
static const char *tail(const char *name)
{
	return strncmp(name, "ART_", 4) ? name : name + 4;
}

const struct art_setting *art__config_nearest(const char *text, bool key)
{
	const struct art_setting *best = NULL;
	int nearest = NAME_MAX_BYTES;

	for (size_t i = 0; i < art__settings_count; i++) {
		const struct art_setting *s = &art__settings[i];
		const char *name = key ? s->key : tail(s->name);
		int d = distance(tail(text), name), may = strlen(name) > 4 ? 2 : 1;

		/* ART_LOGLEVEL for ART_LOG, ART_FTMODE for ART_FT */
		if (strlen(name) > 1 && !strncmp(tail(text), name, strlen(name)))
			d = d < 1 ? d : 1;
		if (d <= may && d < nearest) {
			nearest = d;
			best = s;
		}
	}
	return best;
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i], name))
			return true;
	for (size_t i = 0; i < art__settings_count; i++)
		if (!strcmp(art__settings[i].name, name))
			return true;
	return false;
}

void art__config_misspelt(char *const *environment, void (*say)(void *self, const char *line),
			  void *self)
{
	for (; *environment; environment++) {
		const struct art_setting *near;
		char name[NAME_MAX_BYTES + 1], line[160];
		size_t n = strcspn(*environment, "=");

		if (strncmp(*environment, "ART_", 4) || n >= sizeof(name))
			continue;
		memcpy(name, *environment, n);
		name[n] = '\0';
		near = is_known(name) ? NULL : art__config_nearest(name, false);
		if (!near)
			continue;
		snprintf(line, sizeof(line), "%s is no setting and has no effect; did you mean %s?",
			 name, near->name);
		say(self, line);
	}
}
