/* SPDX-License-Identifier: MIT
 *
 * What the files of art-info share. Everything is a JSON value first; the text for people is made of
 * that, so the two cannot differ.
 */
#ifndef ART_TOOLS_INFO_H
#define ART_TOOLS_INFO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/set.h"

/* Ends the program: code 1, one sentence. */
void info_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* @value, or the end if it is NULL (no memory). */
json_t *info_must(json_t *value);

/* ---- info_host.c ---- */
json_t *info_version(void);
json_t *info_build(void);
json_t *info_topology(void);
json_t *info_settings(void);

/* ---- info_find.c ---- */
/* The ranks on this host that may be asked: {job, rank, pid, uid, program, stopped} and, from those
 * that answered within @wait_s, {answer}. @which: NULL for all, the beginning of a job's identity, or
 * the process of a rank. */
json_t *info_ranks(const char *which, double wait_s);
/* As above from another host, by ssh. */
json_t *info_ranks_of(const char *host, const char *which, double wait_s);

/* ---- info_merge.c ---- */
/* One picture of each job that @ranks are of. */
json_t *info_jobs(const json_t *ranks);
/* Arrays of [first, last], and sets of at most ART_MAX_RANKS. What is out of bounds is left out. */
void info_set_read(const json_t *ranges, struct art_set *s);
json_t *info_set_json(const struct art_set *s);

/* ---- info_text.c ---- */
void info_print_host(FILE *out, const json_t *host);
void info_print_jobs(FILE *out, const json_t *jobs, bool details);

#endif
