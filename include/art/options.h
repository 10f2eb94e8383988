/* SPDX-License-Identifier: MIT
 *
 * Settings given by the program. Every setting has one field here, one ART_* variable (ART_FT for
 * ft) and one key in a configuration file (ft); `art-info --all` lists them with their meaning.
 * What the program gives wins over the environment, that over ART's configuration files, those over
 * the default. Values are text, written as in the environment, e.g. {.ft = "off", .stall = "30"}.
 */
#ifndef ART_OPTIONS_H
#define ART_OPTIONS_H

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begin with art_options_none(). New fields are added at the end, and @size says how many of them
 * the program knows. Strings are read during art_init_with() only. */
typedef struct art_options {
	size_t size;             /* sizeof(art_options_t) where the program was compiled */
	const char *transport;   /* NULL, here and below: not given */
	const char *iface;
	const char *security;
	const char *ft;
	const char *log;
	const char *errors;
	const char *quorum_wait;
	const char *stall;
	const char *status;
	const char *profile;
	const char *bound;
	const char *heartbeat;
	const char *join_wait;
	const char *connect_wait;
	const char *buddies;
	const char *arena;
	const char *tie_break;
	const char *rdma_device;
	const char *coll_bcast;
	const char *coll_reduce;
	const char *coll_allreduce;
	const char *tuning;
	const char *rdma_large;
	const char *workers;
	const char *rdma_srq;
} art_options_t;

/* Options of which none is given. */
static inline art_options_t art_options_none(void)
{
	art_options_t o;

	memset(&o, 0, sizeof(o));
	o.size = sizeof(o);
	return o;
}

#ifdef __cplusplus
}
#endif

#endif
