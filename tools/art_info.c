/* SPDX-License-Identifier: MIT
 *
 * art-info: what this ART is, what this host is, what the settings are, and what the jobs of this
 * host are doing - also while they hang.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/info.h"

enum { OPT_JSON = 256, OPT_WAIT, OPT_WATCH, OPT_HOSTS, OPT_RAW };

struct options {
	bool all, jobs, json, raw, details;
	const char *which; /* job or process, NULL: all */
	const char *hosts;
	double wait_s, watch_s;
};

static const struct argp_option known[] = {
	{ "all", 'a', NULL, 0, "Every setting, its value, where that comes from, and its meaning", 0 },
	{ "job", 'j', NULL, 0,
	  "Who waits in which operation for whom, in the jobs of this host: all of yours, or JOB (at "
	  "least 4 characters of its identity, or the process of one of its ranks)", 0 },
	{ "details", 'd', NULL, 0, "With --job: a line for every rank", 0 },
	{ "json", OPT_JSON, NULL, 0, "JSON instead of text", 0 },
	{ "watch", OPT_WATCH, "SECONDS", 0, "With --job: again every SECONDS, until Ctrl-C", 0 },
	{ "wait", OPT_WAIT, "SECONDS", 0, "How long ranks may take to answer (2)", 0 },
	{ "hosts", OPT_HOSTS, "LIST", 0,
	  "With --job: ask these hosts, too (names with commas between), through ssh or $ART_RSH", 0 },
	{ "raw", OPT_RAW, NULL, 0, "With --job: the ranks' answers as they came, as JSON", 0 },
	{ 0 },
};

void info_die(const char *fmt, ...)
{
	va_list ap;

	fputs("art-info: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

json_t *info_must(json_t *value)
{
	if (!value)
		info_die("out of memory");
	return value;
}

static double parse_seconds(const struct argp_state *state, const char *what, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !isfinite(s) || s <= 0 || s > 1e6)
		argp_failure(state, 2, 0, "%s must be a number of seconds above 0, not '%s'", what,
			     text);
	return s;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'a': o->all = true; return 0;
	case 'j': o->jobs = true; return 0;
	case 'd': o->details = true; return 0;
	case OPT_JSON: o->json = true; return 0;
	case OPT_RAW: o->raw = true; return 0;
	case OPT_WATCH: o->watch_s = parse_seconds(state, "--watch", arg); return 0;
	case OPT_WAIT: o->wait_s = parse_seconds(state, "--wait", arg); return 0;
	case OPT_HOSTS: o->hosts = arg; return 0;
	case ARGP_KEY_ARG:
		if (!o->jobs || o->which)
			argp_failure(state, 2, 0, "'%s' is not expected; try 'art-info --help'", arg);
		o->which = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->jobs && (o->raw || o->details || o->hosts || o->watch_s > 0))
			argp_failure(state, 2, 0,
				     "--raw, --details, --hosts and --watch belong to --job");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "art-info (ART) %s\n", json_string_value(info_version()));
}

static int dump(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) || putchar('\n') < 0)
		info_die("cannot write: %s", strerror(errno));
	return 0;
}

static int tell_host(const struct options *o)
{
	json_t *host = info_must(json_object());

	json_object_set_new(host, "version", info_version());
	json_object_set_new(host, "build", info_build());
	json_object_set_new(host, "topology", info_topology());
	if (o->all)
		json_object_set_new(host, "settings", info_settings());
	if (o->json)
		dump(host);
	else
		info_print_host(stdout, host);
	json_decref(host);
	return 0;
}

static json_t *ask(const struct options *o)
{
	json_t *ranks = info_ranks(o->which, o->wait_s);
	const char *job = json_string_value(json_object_get(json_array_get(ranks, 0), "job"));
	const char *which = o->which && job ? job : o->which; /* a process is of this host only */
	char *list = o->hosts ? strdup(o->hosts) : NULL, *save = NULL;

	if (o->hosts && !list)
		info_die("out of memory");
	for (char *h = list ? strtok_r(list, ",", &save) : NULL; h; h = strtok_r(NULL, ",", &save)) {
		json_t *more = info_ranks_of(h, which, o->wait_s);

		json_array_extend(ranks, more);
		json_decref(more);
	}
	free(list);
	return ranks;
}

static int tell_jobs(const struct options *o)
{
	json_t *ranks = ask(o), *jobs = o->raw ? NULL : info_jobs(ranks);
	int code = 0;

	if (o->raw) {
		dump(ranks);
	} else if (o->json) {
		dump(jobs);
		code = json_array_size(jobs) == 0;
	} else if (json_array_size(jobs) == 0) {
		fprintf(stderr, o->which ? "art-info: no rank of '%s' was found on this host\n" :
					   "art-info: there is no job of yours on this host\n", o->which);
		code = 1;
	} else {
		info_print_jobs(stdout, jobs, o->details);
	}
	fflush(stdout);
	json_decref(jobs);
	json_decref(ranks);
	return code;
}

/* Ends when the jobs have. */
static int watch(const struct options *o)
{
	int code;

	while ((code = tell_jobs(o)) == 0 && !ferror(stdout))
		poll(NULL, 0, (int)(o->watch_s * 1000));
	return code;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { known, parse, "[JOB]",
		"Tell about this ART, this host, the settings, or running jobs.\v"
		"Exit code 1: no such job, or what was asked for cannot be told. See art-info(1).",
		NULL, NULL, NULL };
	struct options o = { .wait_s = 2 };

	argp_program_version_hook = print_version;
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.which && strcmp(o.which, "all") == 0)
		o.which = NULL;
	if (!o.jobs)
		return tell_host(&o);
	return o.watch_s > 0 ? watch(&o) : tell_jobs(&o);
}
