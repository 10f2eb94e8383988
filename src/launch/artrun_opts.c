/* SPDX-License-Identifier: MIT
 *
 * artrun's command line. Everything from the program's name on belongs to the program.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/set.h"
#include "launch/artrun.h"

/* libc looks for it, whatever else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version =
	"artrun (ART) " ART_RELEASE;

enum { OPT_TAG = 256, OPT_TIMEOUT, OPT_BIND, OPT_MAP, OPT_RSH, OPT_REMOTE, OPT_WDIR, OPT_AGENT, OPT_TRACE };

static const struct argp_option options[] = {
	{ "ranks", 'n', "N", 0, "Start N ranks (default: the cores this process may use)", 0 },
	{ "hosts", 'H', "FILE|LIST", 0,
	  "Run on these hosts, reached by ssh: a file with a host a line, or \"node1:4,node[02-16]\" "
	  "(default for N: their slots, or cores)", 0 },
	{ "map-by", OPT_MAP, "slot|host", 0,
	  "Fill the slots of a host first (default), or go from host to host", 0 },
	{ "bind-to", OPT_BIND, "share|core|none", 0,
	  "Bind each rank to its share of the cores (default) or one of them, where there is one for "
	  "every rank of the host", 0 },
	{ "export", 'x', "VAR[=VALUE]", 0,
	  "Ranks on other hosts get this variable, besides all that begin with ART_", 0 },
	{ "wdir", OPT_WDIR, "DIRECTORY", 0, "Where ranks start (default: here)", 0 },
	{ "rsh", OPT_RSH, "COMMAND", 0, "How to reach a host (default: $ART_RSH, or ssh)", 0 },
	{ "remote-artrun", OPT_REMOTE, "PATH", 0,
	  "artrun on the other hosts (default: where it is on this one)", 0 },
	{ "agent", OPT_AGENT, NULL, OPTION_HIDDEN, NULL, 0 },
	{ "tag-output", OPT_TAG, NULL, 0, "Put \"[rank] \" in front of every line of output", 0 },
	{ "trace", OPT_TRACE, "FILE", 0,
	  "Write what every rank did, and when, into FILE (JSON for chrome://tracing and Perfetto)", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0,
	  "End the job after SECONDS, with exit code 124", 0 },
	{ "verbose", 'v', NULL, 0, "Say when ranks start and end", 0 },
	{ 0 },
};

static const char doc[] =
	"Start N ranks of PROGRAM on this host, or on several, as one ART job.\v"
	"Lines of output stay whole, standard input goes to rank 0. The exit code is 0 if at least "
	"one rank finalized and all that did returned 0; programs that are not ART programs keep "
	"their plain exit codes (the highest). 125: artrun failed; 126, 127: PROGRAM cannot be "
	"run, was not found. See artrun(1).";

int art__run_usable_cores(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	return CPU_COUNT(&cpus);
}

static int parse_ranks(const struct argp_state *state, const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > (long)ART_MAX_RANKS)
		argp_failure(state, RUN_EXIT_SELF, 0,
			     "the number of ranks must be 1 to %u, not '%s'", ART_MAX_RANKS, text);
	return (int)n;
}

static double parse_timeout(const struct argp_state *state, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !isfinite(s) || s <= 0 || s > 1e9)
		argp_failure(state, RUN_EXIT_SELF, 0,
			     "the timeout must be a number of seconds above 0, not '%s'", text);
	return s;
}

static enum run_bind parse_bind(const struct argp_state *state, const char *text)
{
	static const char *const words[] = { "none", "share", "core" };

	for (int i = 0; i < 3; i++)
		if (strcmp(text, words[i]) == 0)
			return (enum run_bind)i;
	argp_failure(state, RUN_EXIT_SELF, 0, "ranks are bound to 'share', 'core' or 'none', not '%s'",
		     text);
	return RUN_BIND_NONE;
}

static enum art_map parse_map(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "slot") && strcmp(text, "host"))
		argp_failure(state, RUN_EXIT_SELF, 0, "ranks are placed by 'slot' or by 'host', not '%s'",
			     text);
	return strcmp(text, "host") ? ART_MAP_SLOT : ART_MAP_HOST;
}

/* What the agents set is "NAME=value"; a variable that is not set here is left alone there. */
static void add_export(const struct argp_state *state, struct run_opts *o, const char *text)
{
	const char *value = strchr(text, '=') ? NULL : getenv(text);
	char **grown = realloc(o->export, ((size_t)o->exports + 2) * sizeof(*grown));
	char *set = NULL;
	bool made = true;

	if (text[0] == '\0' || text[0] == '=')
		argp_failure(state, RUN_EXIT_SELF, 0, "'%s' is no name of a variable", text);
	if (strchr(text, '='))
		made = (set = strdup(text)) != NULL;
	else if (value)
		made = asprintf(&set, "%s=%s", text, value) > 0;
	if (!grown || !made)
		argp_failure(state, RUN_EXIT_SELF, 0, "out of memory");
	o->export = grown;
	if (set)
		o->export[o->exports++] = set;
	o->export[o->exports] = NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_opts *o = state->input;

	switch (key) {
	case 'n':
		o->ranks = parse_ranks(state, arg);
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case OPT_TAG:
		o->tag = true;
		return 0;
	case 'H':
		o->hosts = arg;
		return 0;
	case 'x':
		add_export(state, o, arg);
		return 0;
	case OPT_MAP:
		o->map = parse_map(state, arg);
		return 0;
	case OPT_RSH:
		o->rsh = arg;
		return 0;
	case OPT_REMOTE:
		o->remote = arg;
		return 0;
	case OPT_WDIR:
		o->directory = arg;
		return 0;
	case OPT_AGENT:
		o->agent = true;
		return 0;
	case OPT_BIND:
		o->bind = parse_bind(state, arg);
		return 0;
	case OPT_TRACE:
		o->trace = arg;
		return 0;
	case OPT_TIMEOUT:
		o->timeout = parse_timeout(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		o->argv = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (o->agent)
			return 0;
		argp_failure(state, RUN_EXIT_SELF, 0,
			     "no program was named; try 'artrun --help'");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void art__run_options(struct run_opts *o, int argc, char **argv)
{
	static const struct argp argp = { options, parse, "PROGRAM [ARGS...]", doc, NULL, NULL,
					  NULL };

	*o = (struct run_opts){ .bind = RUN_BIND_SHARE, .cores = art__run_usable_cores() };
	o->rsh = getenv("ART_RSH");
	argp_err_exit_status = RUN_EXIT_SELF;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, o);
	if (!o->ranks && !o->hosts)
		o->ranks = o->cores;
	if (!o->rsh || !*o->rsh)
		o->rsh = NULL;
}
