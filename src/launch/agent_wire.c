/* SPDX-License-Identifier: MIT
 *
 * The checks of what comes over the pipe between artrun and an agent: no length is believed before
 * it was compared with what the kind allows and with what is there.
 */
#include "launch/agent_wire.h"

#include <art/status.h>
#include <string.h>

#include "base/set.h"

struct bounds {
	size_t least, most; /* of the body */
};

#define EXACTLY(type) { sizeof(type), sizeof(type) }
#define AND_VIEW(bytes) { (bytes) + ART_LAST_VIEW_MIN, (bytes) + ART_LAST_VIEW_MAX }

static const struct bounds bounds[ART_AGENT_KINDS] = {
	[ART_AGENT_HELLO] = EXACTLY(struct art_agent_hello),
	[ART_AGENT_STARTED] = EXACTLY(struct art_agent_number),
	[ART_AGENT_UNSTARTED] = EXACTLY(struct art_agent_unstarted),
	[ART_AGENT_JOINED] = EXACTLY(struct art_agent_joined),
	[ART_AGENT_CARD] = EXACTLY(struct art_boot_card),
	[ART_AGENT_DONE] = { 0, 0 },
	[ART_AGENT_ABORT] = EXACTLY(struct art_agent_number),
	[ART_AGENT_CLOSED] = { 0, 0 },
	[ART_AGENT_EXIT] = AND_VIEW(sizeof(struct art_agent_exit)),
	[ART_AGENT_MEMBER_GONE] = AND_VIEW(0),
	[ART_AGENT_OUTPUT] = { sizeof(struct art_agent_number),
			       sizeof(struct art_agent_number) + ART_AGENT_PIECE },
	[ART_AGENT_STATES] = { 0, ART_MAX_RANKS * sizeof(struct art_agent_state) },
	[ART_AGENT_TOOK] = EXACTLY(struct art_agent_number),
	[ART_AGENT_SAY] = { 0, ART_AGENT_TEXT_MAX },
	[ART_AGENT_VOTE] = { 0, ART_BOOT_VOTE_MAX },
	[ART_AGENT_VOTED] = { 0, ART_BOOT_VOTE_MAX },
	[ART_AGENT_START] = { sizeof(struct art_agent_start), ART_AGENT_LEN_MAX },
	[ART_AGENT_TABLE] = { sizeof(struct art_agent_table),
			      sizeof(struct art_agent_table) +
			      ART_AGENT_TABLE_CARDS * sizeof(struct art_boot_card) },
	[ART_AGENT_NEVER] = { 0, 0 },
	[ART_AGENT_DEAD] = AND_VIEW(sizeof(struct art_agent_dead)),
	[ART_AGENT_SIGNAL] = EXACTLY(struct art_agent_number),
	[ART_AGENT_LOOK] = { 0, 0 },
	[ART_AGENT_INPUT] = { 0, ART_AGENT_PIECE },
	[ART_AGENT_CREDIT] = EXACTLY(struct art_agent_number),
	[ART_AGENT_SHUT] = EXACTLY(struct art_agent_number),
};

ssize_t art__agent_whole(const uint8_t *data, size_t have)
{
	struct art_agent_head h;
	const struct bounds *b;
	size_t body;

	if (have < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	if (h.magic != ART_AGENT_MAGIC)
		return ART_AGENT_GARBAGE;
	if (h.version != ART_AGENT_VERSION)
		return ART_AGENT_OTHER_VERSION;
	if (h.kind < 1 || h.kind >= ART_AGENT_KINDS || h.len < sizeof(h))
		return ART_AGENT_GARBAGE;
	b = &bounds[h.kind];
	body = h.len - sizeof(h);
	if (body < b->least || body > b->most || h.rank < -1 || h.rank >= (int32_t)ART_MAX_RANKS)
		return ART_AGENT_GARBAGE;
	return have < h.len ? 0 : (ssize_t)h.len;
}

size_t art__agent_find(const uint8_t *data, size_t have)
{
	const uint32_t magic = ART_AGENT_MAGIC;

	for (size_t i = 0; i < have; i++) {
		size_t left = have - i;

		if (memcmp(data + i, &magic, left < sizeof(magic) ? left : sizeof(magic)) == 0)
			return i;
	}
	return have;
}

const char *art__agent_next(const char *s)
{
	return s + strlen(s) + 1;
}

/* Are there @count strings from @s on, the last one ending at @end? */
static int strings_end(const char *s, const char *end, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const char *nul = memchr(s, '\0', (size_t)(end - s));

		if (!nul)
			return ART_ERR_ARG;
		s = nul + 1;
	}
	return s == end ? 0 : ART_ERR_ARG;
}

static int ranks_ascend(const uint8_t *ranks, uint32_t count, uint32_t size)
{
	int64_t before = -1;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t r;

		memcpy(&r, ranks + i * sizeof(r), sizeof(r));
		if (r <= before || r >= size)
			return ART_ERR_ARG;
		before = r;
	}
	return 0;
}

int art__agent_start(const uint8_t *data, size_t len, struct art_agent_job *out)
{
	const char *end = (const char *)data + len;
	struct art_agent_start *s = &out->start;
	size_t head = sizeof(struct art_agent_head) + sizeof(*s);

	if (len < head)
		return ART_ERR_ARG;
	memcpy(s, data + sizeof(struct art_agent_head), sizeof(*s));
	if (s->size < 1 || s->size > ART_MAX_RANKS || s->mine > s->size || s->argc < 1 ||
	    s->mine > (len - head) / sizeof(uint32_t))
		return ART_ERR_ARG;
	out->ranks = data + head;
	out->directory = (const char *)out->ranks + s->mine * sizeof(uint32_t);
	if (strings_end(out->directory, end, 3 + (uint64_t)s->argc + s->envc) ||
	    ranks_ascend(out->ranks, s->mine, s->size))
		return ART_ERR_ARG;
	out->iface = art__agent_next(out->directory);
	out->toward = art__agent_next(out->iface);
	out->strings = art__agent_next(out->toward);
	return 0;
}
