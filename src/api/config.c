/* SPDX-License-Identifier: MIT
 *
 * The table of settings, and who gives each. A value that is not understood is an error that names
 * where it stands, the value and what it may be; it is never replaced by the default in silence.
 */
#include "api/config.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

/* The position of @text in a list that ends with NULL, or -1. */
static int word(const char *text, const char *const words[])
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

/* Seconds, 1 ns <= s <= 10^9, in nanoseconds. With a point, whatever the program's locale. */
static bool seconds(const char *text, uint64_t *ns)
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	char *end;
	double s;

	if (!plain)
		return false;
	errno = 0;
	s = strtod_l(text, &end, plain);
	freelocale(plain);
	if (errno || end == text || *end || !isfinite(s) || s < 1e-9 || s > 1e9)
		return false;
	*ns = (uint64_t)(s * 1e9);
	return *ns > 0;
}

/* A list without repeats; which of them a pair of ranks uses is not a matter of its order. */
static bool read_transport(const char *text, struct art_config *c)
{
	static const char *const words[] = {"tcp", "shm", "rdma"};
	unsigned seen = 0;

	c->transport = text;
	for (;;) {
		size_t len = strcspn(text, ",");
		unsigned i = 0;

		while (i < 3 && (strlen(words[i]) != len || memcmp(words[i], text, len) != 0))
			i++;
		if (i == 3 || seen & 1u << i)
			return false;
		seen |= 1u << i;
		text += len;
		if (!*text)
			return true;
		text++;
	}
}

static bool read_rdma_device(const char *text, struct art_config *c)
{
	c->rdma_device = *text ? text : NULL;
	return true;
}

static bool read_rdma_large(const char *text, struct art_config *c)
{
	static const char *const words[] = {"auto", "write", "read", "copy", NULL};
	int i = word(text, words);

	c->rdma_large = i >= 0 ? words[i] : NULL;
	return i >= 0;
}

static bool read_rdma_srq(const char *text, struct art_config *c)
{
	static const char *const words[] = {"auto", "on", "off", NULL};
	int i = word(text, words);

	c->rdma_srq = i >= 0 ? words[i] : NULL;
	return i >= 0;
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

static bool on_off(const char *text, bool *on)
{
	static const char *const words[] = {"off", "on", NULL};
	int i = word(text, words);

	*on = i == 1;
	return i >= 0;
}

static bool read_ft(const char *text, struct art_config *c)
{
	return on_off(text, &c->ft);
}

static bool read_status(const char *text, struct art_config *c)
{
	return on_off(text, &c->status);
}

static bool read_arena(const char *text, struct art_config *c)
{
	return on_off(text, &c->arena);
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

/* How soon a silence is judged; the two settings below it in the table can say so singly. */
static bool read_profile(const char *text, struct art_config *c)
{
	static const char *const words[] = {"fast", "default", "cautious", NULL};
	static const uint64_t ms[][2] = {{20, 100}, {100, 500}, {1000, 5000}};
	int i = word(text, words);

	if (i < 0)
		return false;
	c->heartbeat_ns = ms[i][0] * ART_NS_PER_MS;
	c->bound_ns = ms[i][1] * ART_NS_PER_MS;
	return true;
}

/* Not below what a busy machine's scheduling takes anyway. */
static bool read_bound(const char *text, struct art_config *c)
{
	if (!*text)
		return true;
	if (!seconds(text, &c->bound_ns) || c->bound_ns < 30 * ART_NS_PER_MS)
		return false;
	c->heartbeat_ns = c->bound_ns / 5;
	return true;
}

/* Two have to fit into the bound, or one lost datagram looks like a death. */
static bool read_heartbeat(const char *text, struct art_config *c)
{
	if (!*text)
		return true;
	return seconds(text, &c->heartbeat_ns) && c->heartbeat_ns >= ART_NS_PER_MS &&
	       c->heartbeat_ns <= c->bound_ns / 2;
}

static bool read_quorum_wait(const char *text, struct art_config *c)
{
	return seconds(text, &c->quorum_wait_ns);
}

static bool read_tie_break(const char *text, struct art_config *c)
{
	static const char *const words[] = {"stop", "lowest", "arbiter", NULL};
	int i = word(text, words);

	c->lowest_half = i == 1;
	c->arbiter = i == 2;
	return i >= 0;
}

static bool read_stall(const char *text, struct art_config *c)
{
	return seconds(text, &c->stall_ns);
}

static bool read_join_wait(const char *text, struct art_config *c)
{
	return seconds(text, &c->join_wait_ns);
}

/* Less is no bound but a failure wherever a host is busy. */
static bool read_connect_wait(const char *text, struct art_config *c)
{
	return seconds(text, &c->connect_wait_ns) && c->connect_wait_ns >= 100 * ART_NS_PER_MS;
}

static bool read_buddies(const char *text, struct art_config *c)
{
	c->buddies = text[0] - '0';
	return text[0] >= '1' && text[0] <= '3' && !text[1];
}

static bool read_workers(const char *text, struct art_config *c)
{
	char *end;
	long n = strtol(text, &end, 10);

	c->workers = ART_WORKERS_AUTO;
	if (strcmp(text, "auto") == 0)
		return true;
	c->workers = (int)n;
	return *text >= '0' && *text <= '9' && !*end && n >= 0 && n <= ART_WORKERS_MAX;
}

static bool read_coll_bcast(const char *text, struct art_config *c)
{
	return art__tuning_algo(ART_C_BCAST, text, &c->coll_bcast);
}

static bool read_coll_reduce(const char *text, struct art_config *c)
{
	return art__tuning_algo(ART_C_REDUCE, text, &c->coll_reduce);
}

static bool read_coll_allreduce(const char *text, struct art_config *c)
{
	return art__tuning_algo(ART_C_ALLREDUCE, text, &c->coll_allreduce);
}

/* The file itself is read when all settings are known. */
static bool read_tuning(const char *text, struct art_config *c)
{
	c->tuning_file = *text ? text : NULL;
	return true;
}

/* Variable, field (its name is the key), default, help, reader, what can be read. */
#define SETTING(variable, name_, preset_, help_, read_, wants_) \
	{ .name = variable, .key = #name_, .field = offsetof(art_options_t, name_), \
	  .preset = preset_, .help = help_, .read = read_, .wants = wants_ }

const struct art_setting art__settings[] = {
	SETTING("ART_TRANSPORT", transport, "shm,tcp",
		"transports that data may use: shm between ranks of one host, rdma, tcp",
		read_transport, "a list of: shm, tcp, rdma"),
	SETTING("ART_IFACE", iface, "",
		"interfaces, addresses, networks to listen on, the first there is; a leading ! "
		"excludes; empty: loopback only", read_iface,
		"a list of interface names, addresses and CIDRs, those with a leading ! excluded"),
	SETTING("ART_SECURITY", security, "mac",
		"what protects data between ranks: none, mac (headers authenticated), encrypt (all "
		"of it)", read_security, "one of: none, mac, encrypt"),
	SETTING("ART_FT", ft, "on", "off: the loss of a rank ends the job", read_ft,
		"one of: on, off"),
	SETTING("ART_LOG", log, "warn", "what is logged to standard error", read_log,
		"one of: error, warn, info, debug"),
	SETTING("ART_ERRORS", errors, "warn",
		"an error of a call: one line and return, return only, end the job", read_errors,
		"one of: warn, return, abort"),
	SETTING("ART_PROFILE", profile, "default",
		"how soon a silent host or a stopped rank is given up: fast 0.1 s, default 0.5 s, "
		"cautious 5 s", read_profile, "one of: fast, default, cautious"),
	SETTING("ART_BOUND", bound, "", "seconds of silence until then; empty: as the profile",
		read_bound, "seconds, 0.03 or more"),
	SETTING("ART_HEARTBEAT", heartbeat, "",
		"seconds between two heartbeats of a host; empty: a fifth of the bound", read_heartbeat,
		"seconds, at least 0.001 and at most half of ART_BOUND"),
	SETTING("ART_QUORUM_WAIT", quorum_wait, "60",
		"seconds without a quorum until calls end with ART_ERR_NO_QUORUM", read_quorum_wait,
		"seconds, above 0"),
	SETTING("ART_TIE_BREAK", tie_break, "arbiter",
		"which of exact halves goes on: that which artrun votes for, that with the lowest rank, none",
		read_tie_break, "one of: stop, lowest, arbiter"),
	SETTING("ART_STALL", stall, "10",
		"seconds after which an open operation names the ranks that have not come", read_stall,
		"seconds, above 0"),
	SETTING("ART_JOIN_WAIT", join_wait, "60",
		"seconds that ranks started by hand wait for each other", read_join_wait,
		"seconds, above 0"),
	SETTING("ART_CONNECT_WAIT", connect_wait, "10",
		"seconds that making a connection between two ranks may take", read_connect_wait,
		"seconds, 0.1 or more"),
	SETTING("ART_BUDDIES", buddies, "1",
		"ranks that keep each contribution under ART_LOSS_MIRROR", read_buddies, "1, 2 or 3"),
	SETTING("ART_RDMA_DEVICE", rdma_device, "",
		"device[:port[:gid index]] that rdma uses; empty: the one with the address that "
		"ranks listen on, else the first active one", read_rdma_device,
		"a device, as device[:port[:gid index]]"),
	SETTING("ART_RDMA_LARGE", rdma_large, "auto",
		"what rdma does with long messages: writes them out of the program's memory, has them read "
		"there, copies them; auto: the first of which is faster", read_rdma_large,
		"one of: auto, write, read, copy"),
	SETTING("ART_RDMA_SRQ", rdma_srq, "auto",
		"whether all pairs of a rank share the receives of rdma; auto: in large jobs", read_rdma_srq,
		"one of: auto, on, off"),
	SETTING("ART_STATUS", status, "on", "answer art-info --job through a local socket",
		read_status, "one of: on, off"),
	SETTING("ART_ARENA", arena, "on",
		"operations of all ranks of one host go through shared memory, without messages", read_arena,
		"one of: on, off"),
	SETTING("ART_WORKERS", workers, "auto",
		"threads of a rank that help with large reductions and copies; auto: on cores that no rank needs, "
		"up to 4", read_workers, "auto, or a number up to 16"),
	SETTING("ART_COLL_BCAST", coll_bcast, "auto",
		"how broadcasts go from rank to rank by messages; the same at every rank",
		read_coll_bcast, "one of: auto, tree, tree:2 to tree:16, chain, scatter, doubletree, leaders"),
	SETTING("ART_COLL_REDUCE", coll_reduce, "auto",
		"how reductions to a root go by messages; the same at every rank",
		read_coll_reduce, "one of: auto, tree, tree:2 to tree:16, chain, rabenseifner, doubletree, leaders"),
	SETTING("ART_COLL_ALLREDUCE", coll_allreduce, "auto",
		"how allreduces go by messages; the same at every rank", read_coll_allreduce,
		"one of: auto, tree, tree:2 to tree:16, chain, doubling, ring, rabenseifner, doubletree, leaders"),
	SETTING("ART_TUNING", tuning, "",
		"file of algorithms by size, as art-bench --tune writes it; the same at every rank; "
		"empty: none", read_tuning, "a file's name"),
};
const size_t art__settings_count = sizeof(art__settings) / sizeof(art__settings[0]);
_Static_assert(sizeof(art__settings) / sizeof(art__settings[0]) <= ART_SETTINGS_MAX, "settings");

/* ---- who gives what ---- */

static int give(struct art_config *c, size_t i, enum art_origin origin, const char *text,
		const char *name, char *why, size_t why_size)
{
	if (strlen(text) >= ART_SETTING_TEXT_MAX) {
		snprintf(why, why_size, "the value of %s is longer than %d bytes", name,
			 ART_SETTING_TEXT_MAX - 1);
		return ART_ERR_ARG;
	}
	c->given[i].origin = origin;
	memcpy(c->given[i].text, text, strlen(text) + 1);
	return 0;
}

static int take_environment(struct art_config *c, char *why, size_t why_size)
{
	int rc = 0;

	for (size_t i = 0; i < art__settings_count && !rc; i++) {
		const char *text = getenv(art__settings[i].name);

		if (text)
			rc = give(c, i, ART_FROM_ENVIRONMENT, text, art__settings[i].name, why,
				  why_size);
	}
	return rc;
}

/* Of a program compiled with a newer header only what this library knows may be given. */
static int check_options(const art_options_t *o, char *why, size_t why_size)
{
	const unsigned char *bytes = (const unsigned char *)o;

	if (o->size < sizeof(o->size) || o->size > 4096) {
		snprintf(why, why_size, "options.size is %zu; begin with art_options_none()", o->size);
		return ART_ERR_ARG;
	}
	for (size_t i = sizeof(*o); i < o->size; i++) {
		if (!bytes[i])
			continue;
		snprintf(why, why_size, "the options give a setting that this library does not know");
		return ART_ERR_ARG;
	}
	return 0;
}

static int take_options(struct art_config *c, const art_options_t *o, char *why, size_t why_size)
{
	int rc = check_options(o, why, why_size);

	for (size_t i = 0; i < art__settings_count && !rc; i++) {
		const struct art_setting *s = &art__settings[i];
		char name[64];
		const char *text;

		if (s->field + sizeof(text) > o->size)
			continue;
		memcpy(&text, (const char *)o + s->field, sizeof(text));
		snprintf(name, sizeof(name), "options.%s", s->key);
		if (text)
			rc = give(c, i, ART_FROM_OPTIONS, text, name, why, why_size);
	}
	return rc;
}

void art__config_origin(const struct art_config *c, size_t setting, char *out, size_t size)
{
	static const char *const words[] = {"default", "file", "environment", "options"};
	const struct art_given *g = &c->given[setting];

	assert(setting < art__settings_count);
	if (g->origin == ART_FROM_FILE)
		snprintf(out, size, "%s:%d", c->file[g->file], g->line);
	else
		snprintf(out, size, "%s", words[g->origin]);
}

static void say_unread(const struct art_config *c, size_t i, char *why, size_t why_size)
{
	const struct art_setting *s = &art__settings[i];
	const struct art_given *g = &c->given[i];

	switch (g->origin) {
	case ART_FROM_FILE:
		snprintf(why, why_size, "%s:%d: %s = %s is not %s", c->file[g->file], g->line, s->key,
			 g->text, s->wants);
		break;
	case ART_FROM_OPTIONS:
		snprintf(why, why_size, "options.%s=%s is not %s", s->key, g->text, s->wants);
		break;
	default:
		snprintf(why, why_size, "%s=%s is not %s", s->name, g->text, s->wants);
	}
}

int art__config_read(struct art_config *c, const art_options_t *options, char *why,
		     size_t why_size)
{
	int rc = 0;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < art__settings_count && !rc; i++)
		rc = give(c, i, ART_FROM_DEFAULT, art__settings[i].preset, "default", why, why_size);
	if (!rc)
		rc = art__config_files(c, why, why_size);
	if (!rc)
		rc = take_environment(c, why, why_size);
	if (!rc && options)
		rc = take_options(c, options, why, why_size);
	for (size_t i = 0; i < art__settings_count && !rc; i++) {
		if (art__settings[i].read(c->given[i].text, c))
			continue;
		say_unread(c, i, why, why_size);
		rc = ART_ERR_ARG;
	}
	if (!rc && c->tuning_file)
		rc = art__tuning_read(c->tuning_file, &c->tuning, why, why_size);
	return rc;
}
