/* SPDX-License-Identifier: MIT
 *
 * The table of bootstraps, and the one that needs nobody: a job of one.
 */
#include "launch/boot.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "launch/boot_impl.h"
#include "launch/boot_wire.h"

int art__boot_fail(struct art_boot *b, int err, const char *fmt, ...)
{
	va_list ap;

	assert(err < 0);
	va_start(ap, fmt);
	vsnprintf(b->why, sizeof(b->why), fmt, ap);
	va_end(ap);
	return err;
}

int art__boot_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ART_ERR_INTERNAL;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool alone_present(void)
{
	return true;
}

static int alone_open(struct art_boot *b)
{
	b->rank = 0;
	b->size = 1;
	if (art__boot_random(&b->job, sizeof(b->job)) || art__boot_random(b->key, sizeof(b->key)))
		return art__boot_fail(b, ART_ERR_INTERNAL, "the system gives no random numbers");
	return 0;
}

static int alone_exchange(struct art_boot *b, const struct art_boot_card *mine,
			  struct art_boot_card *all)
{
	assert(b->size == 1);
	all[0] = *mine;
	all[0].host = 0;
	return 0;
}

static const struct art_boot_ops alone = {
	.present = alone_present, .open = alone_open, .exchange = alone_exchange,
};

/* In the order in which they are asked. */
static const struct art_boot_ops *const bootstraps[] = {
	&art__boot_artrun, &art__boot_hand, &alone,
};

int art__boot_open(struct art_boot *b)
{
	uint64_t wait_ns = b->wait_ns;
	bool lowest_half = b->lowest_half;
	size_t i = 0;
	int err;

	memset(b, 0, sizeof(*b));
	b->fd = -1;
	b->wait_ns = wait_ns;
	b->lowest_half = lowest_half;
	while (!bootstraps[i]->present())
		i++;
	b->ops = bootstraps[i];
	err = b->ops->open(b);
	if (err)
		art__boot_close(b);
	assert(err || (b->size >= 1 && b->rank >= 0 && b->rank < b->size));
	return err;
}

int art__boot_exchange(struct art_boot *b, const struct art_boot_card *mine,
		       struct art_boot_card *all)
{
	assert(art__boot_card_good(mine));
	return b->ops->exchange(b, mine, all);
}

int art__boot_finalized(struct art_boot *b)
{
	return b->ops->finalized ? b->ops->finalized(b) : 0;
}

void art__boot_note(struct art_boot *b, uint32_t epoch, const struct art_set *members)
{
	art__views_note(&b->views, epoch, members);
}

bool art__boot_last(const struct art_boot *b, int rank, bool local, uint32_t *epoch,
		    struct art_set *members)
{
	struct art_last_view v = b->told;

	if (local)
		art__views_last(&b->views, rank, &v);
	if (!v.epoch)
		return false;
	*epoch = v.epoch;
	art__set_init(members, (uint32_t)b->size);
	memcpy(members->w, v.w, v.words * sizeof(v.w[0]));
	return true;
}

bool art__boot_abort(struct art_boot *b, int code)
{
	return b->ops && b->ops->abort && b->ops->abort(b, code) == 0;
}

void art__boot_close(struct art_boot *b)
{
	if (b->ops && b->ops->close)
		b->ops->close(b);
	b->ops = NULL;
	explicit_bzero(b->key, sizeof(b->key));
}
