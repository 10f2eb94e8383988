/* SPDX-License-Identifier: MIT
 *
 * What a bootstrap is made of; for the files boot*.c.
 */
#ifndef ART_LAUNCH_BOOT_IMPL_H
#define ART_LAUNCH_BOOT_IMPL_H

#include <stddef.h>

#include "launch/boot.h"

struct art_boot_ops {
	/* Was this process started this way? */
	bool (*present)(void);
	/* As in boot.h; errors go through art__boot_fail(). After an error close() is called. */
	int (*open)(struct art_boot *b);
	int (*exchange)(struct art_boot *b, const struct art_boot_card *mine,
			struct art_boot_card *all);
	/* The last three are NULL where there is nobody to tell and nothing to close. */
	int (*finalized)(struct art_boot *b);
	int (*abort)(struct art_boot *b, int code);
	void (*close)(struct art_boot *b);
};

extern const struct art_boot_ops art__boot_artrun, art__boot_hand;

/* Puts a sentence into b->why; returns @err. */
int art__boot_fail(struct art_boot *b, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* From the kernel. 0, or ART_ERR_INTERNAL. */
int art__boot_random(void *buf, size_t len);

#endif
