/* SPDX-License-Identifier: MIT
 *
 * artrun's command line. Everything from the program's name on belongs to the program.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/set.h"
#include "launch/artrun.h"

/* As art_get_version() has it. libc looks for it, whatever else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version = "artrun (ART) 0.1.0";

enum { OPT_TAG = 256, OPT_TIMEOUT, OPT_BIND };

static const struct argp_option options[] = {
	{ "ranks", 'n', "N", 0, "Start N ranks (default: the cores this process may use)", 0 },
	{ "bind-to", OPT_BIND, "share|none", 0,
	  "Bind each rank to its share of the cores (default, where there is one for every rank)", 0 },
	{ "tag-output", OPT_TAG, NULL, 0, "Put \"[rank] \" in front of every line of output", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0,
	  "End the job after SECONDS, with exit code 124", 0 },
	{ "verbose", 'v', NULL, 0, "Say when ranks start and end", 0 },
	{ 0 },
};

static const char doc[] =
	"Start N ranks of PROGRAM on this host, as one ART job.\v"
	"Lines of output stay whole, standard input goes to rank 0. The exit code is 0 if at least "
	"one rank finalized and all that did returned 0; programs that are not ART programs keep "
	"their plain exit codes (the highest). 125: artrun failed; 126, 127: PROGRAM cannot be "
	"run, was not found. See artrun(1).";

static int usable_cores(void)
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

static bool parse_bind(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "share") && strcmp(text, "none"))
		argp_failure(state, RUN_EXIT_SELF, 0, "ranks are bound to 'share' or 'none', not '%s'",
			     text);
	return strcmp(text, "none") != 0;
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
	case OPT_BIND:
		o->bind = parse_bind(state, arg);
		return 0;
	case OPT_TIMEOUT:
		o->timeout = parse_timeout(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		o->argv = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
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

	*o = (struct run_opts){ .bind = true, .cores = usable_cores() };
	o->ranks = o->cores;
	argp_err_exit_status = RUN_EXIT_SELF;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, o);
}
