/* SPDX-License-Identifier: MIT
 *
 * Configuration files: lines "key = value", "#" begins a comment, at the start of a line or after a
 * blank. Read are /etc/art.conf, then $XDG_CONFIG_HOME/art.conf (or ~/.config/art.conf), whose
 * lines win; ART_CONFIG names one file in place of both, or none if it is empty. What is wrong is
 * an error that names file and line.
 */
#include "api/config.h"

#include <art/status.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

static void cut_comment(char *s)
{
	for (char *p = s; *p; p++) {
		if (*p == '#' && (p == s || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static int complain(char *why, size_t size, const char *path, int line, const char *what,
		    const char *about)
{
	snprintf(why, size, "%s:%d: %s%s", path, line, what, about);
	return ART_ERR_ARG;
}

static int unknown_key(const char *key, const char *path, int line, char *why, size_t why_size)
{
	const struct art_setting *near = art__config_nearest(key, true);

	snprintf(why, why_size, "%s:%d: there is no setting '%.64s'%s%s%s", path, line, key,
		 near ? "; did you mean '" : "", near ? near->key : "", near ? "'?" : "");
	return ART_ERR_ARG;
}

static int take(struct art_config *c, int file, int line, const char *key, const char *value,
		char *why, size_t why_size)
{
	const char *path = c->file[file];
	struct art_given *g;
	size_t i = 0;

	while (i < art__settings_count && strcmp(art__settings[i].key, key))
		i++;
	if (i == art__settings_count)
		return unknown_key(key, path, line, why, why_size);
	g = &c->given[i];
	if (g->origin == ART_FROM_FILE && g->file == file)
		return complain(why, why_size, path, line, "the same setting again: ", key);
	if (strlen(value) >= sizeof(g->text))
		return complain(why, why_size, path, line, "the value is too long: ", key);
	g->origin = ART_FROM_FILE;
	g->file = file;
	g->line = line;
	memcpy(g->text, value, strlen(value) + 1);
	return 0;
}

/* @text holds @n bytes, the newline included. */
static int one_line(struct art_config *c, int file, int line, char *text, size_t n, char *why,
		    size_t why_size)
{
	char *key, *equals;

	if (strlen(text) != n)
		return complain(why, why_size, c->file[file], line, "this is no text", "");
	if (n == LINE_MAX_BYTES - 1 && text[n - 1] != '\n')
		return complain(why, why_size, c->file[file], line, "the line is too long", "");
	cut_comment(text);
	key = trim(text);
	if (!*key)
		return 0;
	equals = strchr(key, '=');
	if (!equals)
		return complain(why, why_size, c->file[file], line,
				"this is not 'key = value': ", key);
	*equals = '\0';
	return take(c, file, line, trim(key), trim(equals + 1), why, why_size);
}

static int read_lines(struct art_config *c, int file, FILE *in, char *why, size_t why_size)
{
	char text[LINE_MAX_BYTES];
	int rc = 0;

	for (int line = 1; !rc; line++) {
		size_t n = 0;
		int ch = 0;

		while (n < sizeof(text) - 1 && (ch = getc(in)) != EOF) {
			text[n++] = (char)ch;
			if (ch == '\n')
				break;
		}
		text[n] = '\0';
		if (n)
			rc = one_line(c, file, line, text, n, why, why_size);
		if (ch == EOF)
			break;
	}
	if (!rc && ferror(in)) {
		snprintf(why, why_size, "%s cannot be read: %s", c->file[file], strerror(errno));
		rc = ART_ERR_ARG;
	}
	return rc;
}

int art__config_file(struct art_config *c, int file, const char *path, bool must, char *why,
		     size_t why_size)
{
	FILE *in = fopen(path, "re");
	int rc;

	if (!in && !must && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!in || strlen(path) >= sizeof(c->file[file])) {
		snprintf(why, why_size, "%s cannot be read: %s", path,
			 in ? "its name is too long" : strerror(errno));
		if (in)
			fclose(in);
		return ART_ERR_ARG;
	}
	memcpy(c->file[file], path, strlen(path) + 1);
	rc = read_lines(c, file, in, why, why_size);
	fclose(in);
	return rc;
}

/* False: the user has no place for it. */
static bool user_path(char path[PATH_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = 0;

	if (xdg && *xdg == '/')
		n = snprintf(path, PATH_MAX, "%s/art.conf", xdg);
	else if (home && *home == '/')
		n = snprintf(path, PATH_MAX, "%s/.config/art.conf", home);
	return n > 0 && n < PATH_MAX;
}

int art__config_files(struct art_config *c, char *why, size_t why_size)
{
	const char *named = getenv("ART_CONFIG");
	char path[PATH_MAX];
	int rc;

	if (named && !*named)
		return 0;
	if (named)
		return art__config_file(c, 0, named, true, why, why_size);
	rc = art__config_file(c, 0, ART_CONFIG_SYSTEM, false, why, why_size);
	if (!rc && user_path(path))
		rc = art__config_file(c, 1, path, false, why, why_size);
	return rc;
}
