/* SPDX-License-Identifier: MIT
 *
 * What every environment shares: cleared memory and formatted log lines. Where memory comes
 * from and where lines go is decided by whoever filled the struct.
 */
#include "base/env.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longer lines are cut: a log call must neither allocate nor fail. */
#define LINE_MAX_BYTES 512

void *art__env_zalloc(const struct art_env *e, size_t bytes)
{
	void *p = art__env_alloc(e, bytes);

	if (p)
		memset(p, 0, bytes);
	return p;
}

void art__env_log(const struct art_env *e, enum art_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (level > e->log_level || !e->log)
		return;
	va_start(ap, fmt);
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		line[0] = '\0';
	va_end(ap);
	e->log(e->self, level, line);
}
