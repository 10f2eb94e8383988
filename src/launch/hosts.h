/* SPDX-License-Identifier: MIT
 *
 * Which hosts a job runs on and which rank sits where: reads host files and lists, places ranks.
 * Pure: text in, table out; no files, no names looked up.
 *
 * A host file has a host a line, a list has commas between them:
 *
 *   node1 slots=4          # comments end with the line
 *   node2:4                the same, and what fits into a list
 *   node[01-16,20]-ib:2    seventeen hosts
 *   me@node3
 *
 * A name that comes again adds to its slots (a line per slot is what batch systems write).
 */
#ifndef ART_LAUNCH_HOSTS_H
#define ART_LAUNCH_HOSTS_H

#include <stddef.h>
#include <stdint.h>

#define ART_HOST_NAME_MAX 256 /* with the final NUL */
#define ART_HOSTS_MAX 4096u
#define ART_HOST_SLOTS_MAX 4096u

struct art_host {
	char name[ART_HOST_NAME_MAX];
	uint32_t slots; /* 0: not said */
};

struct art_hosts {
	struct art_host *host; /* the caller's, room for max */
	size_t max, n;
};

/* Both append to @out; 0, or ART_ERR_ARG with a sentence in @why that names the place. @text need
 * not end with NUL. No host at all is an error. */
int art__hosts_parse(const char *text, size_t len, struct art_hosts *out, char *why,
		     size_t why_size);
int art__hosts_parse_list(const char *text, size_t len, struct art_hosts *out, char *why,
			  size_t why_size);

enum art_map { ART_MAP_SLOT, ART_MAP_HOST };

/* Places @ranks on @n hosts of @slots[] each (none 0): slot fills a host before it goes on to the
 * next, host deals them out in turn to those that have slots left. When all slots are taken it
 * begins anew. place[rank] becomes the position of the host. */
void art__hosts_place(const uint32_t *slots, size_t n, enum art_map map, uint32_t ranks,
		      uint32_t *place);

#endif
