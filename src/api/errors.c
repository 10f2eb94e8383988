/* SPDX-License-Identifier: MIT
 *
 * Errors in words. A line names rank, call and what is wrong with which argument, e.g.
 * "art: rank 2: art_reduce: root 9 is not a rank of this communicator (size 8)".
 */
#include "api/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

/* One write(), so that lines of several processes do not mix. */
void art__api_say(const struct art_ctx *ctx, const char *line)
{
	char out[LINE_MAX_BYTES + ART_PREFIX_MAX + 8];
	int n;

	if (ctx)
		n = snprintf(out, sizeof(out), "art: rank %d: %s\n", ctx->rank, line);
	else
		n = snprintf(out, sizeof(out), "art: %s\n", line);
	if (write(STDERR_FILENO, out, (size_t)n) < 0)
		return; /* nowhere left to say it */
}

/* Before art_init() there are only files and environment; a bad setting is art_init()'s to name. */
static enum art_errors_mode mode_of(const struct art_ctx *ctx)
{
	struct art_config c;
	char why[ART_CONFIG_WHY_MAX];

	if (ctx)
		return ctx->config.errors;
	return art__config_read(&c, NULL, why, sizeof(why)) ? ART_ERRORS_WARN : c.errors;
}

static int report(struct art_ctx *ctx, int code, const char *name, const char *fmt, va_list ap)
{
	enum art_errors_mode mode = mode_of(ctx);
	char line[LINE_MAX_BYTES];
	int n;

	if (mode == ART_ERRORS_RETURN)
		return code;
	n = snprintf(line, sizeof(line), "%s: ", name);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	art__api_say(ctx, line);
	if (mode == ART_ERRORS_ABORT)
		art__api_abort(ctx, -code);
	return code;
}

int art__api_error(struct art_ctx *ctx, int code, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(ctx, code, name, fmt, ap);
	va_end(ap);
	return code;
}

int art__api_refuse(struct art_here *h, int code, const char *fmt, ...)
{
	va_list ap;

	/* If even this fails there is no memory: the others see a rank that has not come. */
	art__core_refuse(h->ctx->core, h->obj->core, code);
	art__api_leave(h);
	va_start(ap, fmt);
	report(h->ctx, code, h->name, fmt, ap);
	va_end(ap);
	return code;
}
