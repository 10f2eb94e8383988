/* SPDX-License-Identifier: MIT
 *
 * Settings: one table with name, key, field of the options struct, default and meaning. Read once,
 * by art_init(); art-info lists the table. Who gives a setting wins in this order: the program's
 * art_options_t, the environment, the user's file, the system's file, the default.
 */
#ifndef ART_API_CONFIG_H
#define ART_API_CONFIG_H

#include <art/options.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "core/core.h"
#include "engine/workers.h"

#define ART_SETTINGS_MAX 32
#define ART_SETTING_TEXT_MAX 256 /* bytes of a value, with the final NUL */
#define ART_CONFIG_FILES 2       /* the system's, the user's */
#define ART_CONFIG_SYSTEM "/etc/art.conf"
/* Bytes of a sentence about what is wrong; it may quote a path and a value. */
#define ART_CONFIG_WHY_MAX (PATH_MAX + 2 * ART_SETTING_TEXT_MAX + 128)

enum art_errors_mode { ART_ERRORS_WARN, ART_ERRORS_RETURN, ART_ERRORS_ABORT };
#define ART_WORKERS_AUTO (-1)
enum art_origin { ART_FROM_DEFAULT, ART_FROM_FILE, ART_FROM_ENVIRONMENT, ART_FROM_OPTIONS };

/* A value and where it comes from. */
struct art_given {
	enum art_origin origin;
	int file, line; /* ART_FROM_FILE: index into art_config.file */
	char text[ART_SETTING_TEXT_MAX];
};

/* Not to be copied: fields point into it. */
struct art_config {
	const char *transport;
	const char *iface; /* NULL: loopback only */
	const char *rdma_device; /* NULL: chosen */
	const char *rdma_large;
	const char *rdma_srq;
	int security;      /* enum art_tp_security */
	bool ft;
	bool status;
	bool arena;
	enum art_log_level log;
	enum art_errors_mode errors;
	uint64_t heartbeat_ns;
	uint64_t bound_ns;
	uint64_t quorum_wait_ns;
	bool lowest_half, arbiter;
	uint64_t stall_ns;
	uint64_t join_wait_ns;
	uint64_t connect_wait_ns;
	int buddies;
	int workers; /* threads, or ART_WORKERS_AUTO */
	uint8_t coll_bcast, coll_reduce, coll_allreduce; /* as art_core_cfg.algo */
	const char *tuning_file;  /* NULL: none */
	struct art_tuning tuning; /* what it says */

	struct art_given given[ART_SETTINGS_MAX]; /* in the order of the table */
	char file[ART_CONFIG_FILES][PATH_MAX];    /* read; "": there is none */
};

struct art_setting {
	const char *name;   /* of the variable */
	const char *key;    /* in a file; also the name of the field */
	size_t field;       /* offset in art_options_t */
	const char *preset; /* the default, as one would write it */
	const char *help;
	/* Reads @text, which lives as long as *c, into its field. False if it cannot be read. */
	bool (*read)(const char *text, struct art_config *c);
	const char *wants; /* what can be read: "one of ..." */
};

extern const struct art_setting art__settings[];
extern const size_t art__settings_count;

/* Reads it all; @options may be NULL. 0, or ART_ERR_ARG with a sentence in @why. */
int art__config_read(struct art_config *c, const art_options_t *options, char *why,
		     size_t why_size);
/* Where a value comes from, in words: "default", "/etc/art.conf:3", "environment", "options". */
void art__config_origin(const struct art_config *c, size_t setting, char *out, size_t size);

/* ---- config_file.c ---- */
/* Finds and reads the configuration files into c->given and c->file. */
int art__config_files(struct art_config *c, char *why, size_t why_size);
/* One file, as number @file. A file that is not there is an error only if it @must be. */
int art__config_file(struct art_config *c, int file, const char *path, bool must, char *why,
		     size_t why_size);

/* ---- tuning.c ---- */
/* The op (BCAST .. ALLREDUCE) of that name, 0 if there is none. */
enum art_coll art__tuning_op(const char *name);
/* The algorithm of that name for @op into *out; false if there is none. */
bool art__tuning_algo(enum art_coll op, const char *name, uint8_t *out);
/* "one of: auto, tree ..." */
const char *art__tuning_algos(enum art_coll op);
/* A table of measured algorithms. 0, or ART_ERR_ARG with a sentence in @why. */
int art__tuning_read(const char *path, struct art_tuning *t, char *why, size_t why_size);

/* ---- config_names.c ---- */
/* The setting whose name, or key if @key, is nearest to @text; NULL if none is near. */
const struct art_setting *art__config_nearest(const char *text, bool key);
/* Calls @say with a sentence for each variable of @environ that looks like a misspelt setting. */
void art__config_misspelt(char *const *environment, void (*say)(void *self, const char *line),
			  void *self);

#endif
