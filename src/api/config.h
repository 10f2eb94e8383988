/* SPDX-License-Identifier: MIT
 *
 * Settings: one table with the name, the default and the meaning of every ART_* variable. Read
 * once, by art_init(); art-info lists the table.
 */
#ifndef ART_API_CONFIG_H
#define ART_API_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"

enum art_errors_mode { ART_ERRORS_WARN, ART_ERRORS_RETURN, ART_ERRORS_ABORT };

struct art_config {
	const char *transport;
	const char *iface; /* NULL: loopback only */
	int security;      /* enum art_tp_security */
	bool ft;
	enum art_log_level log;
	enum art_errors_mode errors;
	uint64_t quorum_wait_ns;
	uint64_t stall_ns;
};

struct art_setting {
	const char *name;
	const char *preset; /* the default, as one would write it */
	const char *help;
	/* Reads @text into its field. False if it cannot be read. */
	bool (*read)(const char *text, struct art_config *c);
	const char *wants; /* what can be read: "one of ..." */
};

extern const struct art_setting art__settings[];
extern const size_t art__settings_count;

/* Reads the environment. 0, or ART_ERR_ARG with a sentence in @why. */
int art__config_read(struct art_config *c, char *why, size_t why_size);

#endif
