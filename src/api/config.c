/* SPDX-License-Identifier: MIT
 *
 * Reads settings. A value that is not understood is an error that names the variable, the value
 * and what it may be; it is never replaced by the default in silence.
 */
#include "api/config.h"

#include <art/status.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The position of @text in a list that ends with NULL, or -1. */
static int word(const char *text, const char *const words[])
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

/* Seconds, 0 < s <= 10^9, in nanoseconds. */
static bool seconds(const char *text, uint64_t *ns)
{
	char *end;
	double s;

	errno = 0;
	s = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(s) || s <= 0 || s > 1e9)
		return false;
	*ns = (uint64_t)(s * 1e9);
	return true;
}

/* The API knows one transport by now; the table of transports is below it. */
static bool read_transport(const char *text, struct art_config *c)
{
	static const char *const words[] = {"tcp", NULL};

	c->transport = text;
	return word(text, words) >= 0;
}

static bool read_iface(const char *text, struct art_config *c)
{
	c->iface = *text ? text : NULL;
	return true;
}

/* In the order of enum art_tp_security. */
static bool read_security(const char *text, struct art_config *c)
{
	static const char *const words[] = {"none", "mac", "encrypt", NULL};

	c->security = word(text, words);
	return c->security >= 0;
}

static bool read_ft(const char *text, struct art_config *c)
{
	static const char *const words[] = {"off", "on", NULL};
	int i = word(text, words);

	c->ft = i == 1;
	return i >= 0;
}

static bool read_log(const char *text, struct art_config *c)
{
	static const char *const words[] = {"error", "warn", "info", "debug", NULL};
	int i = word(text, words);

	c->log = (enum art_log_level)i;
	return i >= 0;
}

static bool read_errors(const char *text, struct art_config *c)
{
	static const char *const words[] = {"warn", "return", "abort", NULL};
	int i = word(text, words);

	c->errors = (enum art_errors_mode)i;
	return i >= 0;
}

static bool read_quorum_wait(const char *text, struct art_config *c)
{
	return seconds(text, &c->quorum_wait_ns);
}

static bool read_stall(const char *text, struct art_config *c)
{
	return seconds(text, &c->stall_ns);
}

const struct art_setting art__settings[] = {
	{"ART_TRANSPORT", "tcp", "transports that may be used", read_transport, "one of: tcp"},
	{"ART_IFACE", "", "interfaces, addresses, networks to listen on, the first there is; a leading "
	 "! excludes; empty: loopback only", read_iface,
	 "a list of interface names, addresses and CIDRs, those with a leading ! excluded"},
	{"ART_SECURITY", "mac", "what protects data between ranks: none, mac (headers authenticated), "
	 "encrypt (all of it)", read_security, "one of: none, mac, encrypt"},
	{"ART_FT", "on", "off: the loss of a rank ends the job", read_ft, "one of: on, off"},
	{"ART_LOG", "warn", "what is logged to standard error", read_log,
	 "one of: error, warn, info, debug"},
	{"ART_ERRORS", "warn", "an error of a call: one line and return, return only, end the job",
	 read_errors, "one of: warn, return, abort"},
	{"ART_QUORUM_WAIT", "60", "seconds without a quorum until calls end with ART_ERR_NO_QUORUM",
	 read_quorum_wait, "seconds, above 0"},
	{"ART_STALL", "10", "seconds after which an open operation names the ranks that have not come",
	 read_stall, "seconds, above 0"},
};
const size_t art__settings_count = sizeof(art__settings) / sizeof(art__settings[0]);

int art__config_read(struct art_config *c, char *why, size_t why_size)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < art__settings_count; i++) {
		const struct art_setting *s = &art__settings[i];
		const char *text = getenv(s->name);

		if (s->read(text ? text : s->preset, c))
			continue;
		snprintf(why, why_size, "%s=%s is not %s", s->name, text, s->wants);
		return ART_ERR_ARG;
	}
	return 0;
}
