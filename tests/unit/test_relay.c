/* SPDX-License-Identifier: MIT
 *
 * Messages that go through a third rank (src/core/relay.c), seen from one rank whose transport is this
 * test: what it carries and for whom, what it refuses, what it hands to itself; and that an envelope
 * which is not what it should be changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "core/core.h"
#include "core/relay.h"
#include "tests/lib/unit.h"

#define RANKS 4
#define ME 1
#define ENVELOPE (12 + ART_HDR_BYTES)
#define BODY 24

/* ---- the world of the one rank ---- */

static int blocks;
static int sent, sent_to;
static struct art_hdr sent_h;
static uint8_t sent_body[ART_BODY_MAX];

static uint64_t env_now(void *self)
{
	(void)self;
	return 1000;
}

static uint64_t env_random(void *self)
{
	(void)self;
	return 4;
}

static void *env_alloc(void *self, size_t bytes)
{
	void *p = malloc(bytes);

	(void)self;
	blocks += p != NULL;
	return p;
}

static void env_free(void *self, void *p)
{
	(void)self;
	blocks--;
	free(p);
}

static void env_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	(void)line;
}

static int port_send(void *self, enum art_chan chan, int to, const struct art_hdr *h, const void *body,
		     size_t len)
{
	(void)self;
	CU_ASSERT(chan == ART_CHAN_CTL);
	sent++;
	sent_to = to;
	sent_h = *h;
	sent_h.len = (uint32_t)len;
	if (len)
		memcpy(sent_body, body, len);
	return 1;
}

static void port_slot(void *self, int slot)
{
	(void)self;
	(void)slot;
}

static const struct art_env env = {.now_ns = env_now, .random = env_random, .alloc = env_alloc,
				   .free = env_free, .log = env_log, .log_level = ART_LOG_ERROR};
static const struct art_port port = {.send = port_send, .fence = port_slot, .relink = port_slot};

/* Four ranks on hosts of their own; this is rank 1. */
static struct art_core *rank_one(void)
{
	static const int hosts[RANKS] = {0, 1, 2, 3};
	struct art_core_cfg cfg;
	struct art_core *c = NULL;

	art__core_defaults(&cfg);
	cfg.size = RANKS;
	cfg.slot = ME;
	cfg.hosts = hosts;
	blocks = 0;
	CU_ASSERT_FATAL(art__core_create(&env, &port, &cfg, &c) == 0);
	sent = 0;
	return c;
}

static void gone(struct art_core *c)
{
	art__core_destroy(c);
	CU_ASSERT(blocks == 0);
}

static void arrives(struct art_core *c, int from, const struct art_hdr *h, const void *body)
{
	struct art_machine *m = art__core_machine(c);
	struct art_hdr in = *h;

	in.src = (uint32_t)from;
	m->ops->frame(m, ART_CHAN_CTL, from, &in, body);
}

/* ---- envelopes ---- */

struct envelope {
	uint32_t to, from, chan;
	struct art_hdr h; /* src and len as they should be, unless the test says otherwise */
	uint32_t extra;   /* bytes more than the header says */
};

static struct envelope good(uint32_t to, uint32_t from)
{
	return (struct envelope){.to = to, .from = from, .chan = ART_CHAN_CTL,
				 .h = {.kind = ART_K_RELAY_BEAT, .src = from, .len = BODY}};
}

static size_t write_envelope(const struct envelope *e, uint8_t *out)
{
	struct art_wbuf w = {.p = out, .cap = ENVELOPE};

	art__w_u32(&w, e->to);
	art__w_u32(&w, e->from);
	art__w_u32(&w, e->chan);
	art__wire_encode(&e->h, out + w.len);
	memset(out + ENVELOPE, 0x5a, BODY + e->extra);
	return ENVELOPE + BODY + e->extra;
}

static void comes_in(struct art_core *c, int by, const struct envelope *e)
{
	uint8_t b[ENVELOPE + BODY + 64];
	size_t len = write_envelope(e, b);
	struct art_hdr h = {.kind = ART_K_RELAY, .seq = len, .len = (uint32_t)len};

	arrives(c, by, &h, b);
}

/* ---- tests ---- */

static void what_is_for_another_is_sent_on_unchanged(void)
{
	struct art_core *c = rank_one();
	struct envelope e = good(3, 0);
	uint8_t b[ENVELOPE + BODY];

	comes_in(c, 0, &e);
	CU_ASSERT(sent == 1 && sent_to == 3 && sent_h.kind == ART_K_RELAY);
	CU_ASSERT(sent_h.len == write_envelope(&e, b) && memcmp(sent_body, b, sizeof(b)) == 0);
	gone(c);
}

static void who_has_no_way_either_says_so(void)
{
	struct art_core *c = rank_one();
	struct art_hdr no = {.kind = ART_K_RELAY_NO, .seq = 3};
	struct envelope e = good(3, 0);

	arrives(c, 3, &no, NULL); /* rank 3 does not hear us: the way to it is dead */
	sent = 0;
	comes_in(c, 0, &e);
	CU_ASSERT(sent == 1 && sent_to == 0 && sent_h.kind == no.kind && sent_h.seq == no.seq);
	gone(c);
}

/* Nothing but the fields of one envelope that is carried otherwise. */
static void what_is_wrong_goes_nowhere(void)
{
	struct envelope bad[] = {good(RANKS, 0), good(UINT32_MAX, 0), good(3, RANKS), good(3, 3),
				 good(3, 0), good(3, 0), good(3, 0), good(3, 0), good(3, 0), good(3, 2),
				 good(0, 0)};
	struct art_core *c = rank_one();

	bad[4].chan = ART_CHAN_CTL + 1;
	bad[5].h.src = 2;             /* says another sender inside */
	bad[6].extra = 1;             /* longer than its header says */
	bad[7].h.len = BODY + 1;      /* shorter */
	bad[8].h.kind = ART_K_RELAY;  /* an envelope in an envelope */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) /* bad[9]: it would be the third hop */
		comes_in(c, 0, &bad[i]);
	CU_ASSERT(sent == 0);
	gone(c);
}

/* The pieces of an envelope are kept by who sent it; those of the message in it by whose it is. They must
 * not be the same, or the second message is read from memory that its first piece has given back. */
static void nobody_wraps_what_it_could_have_sent(void)
{
	struct art_core *c = rank_one();
	struct envelope e = good(ME, 2);
	uint8_t b[ENVELOPE + BODY];
	struct art_hdr h = {.kind = ART_K_RELAY};
	int before = blocks;

	e.h.kind = ART_K_REQUEST;
	e.h.seq = 2 * BODY; /* the first half of a decision's message */
	h.seq = write_envelope(&e, b);
	h.len = ENVELOPE;
	arrives(c, 2, &h, b);
	CU_ASSERT(blocks > before);
	h.off = ENVELOPE;
	h.len = BODY;
	arrives(c, 2, &h, b + ENVELOPE);
	CU_ASSERT(blocks == before);
	gone(c);
}

/* A carrier dies, and the rank whose answer the change of the view waits for hears of it from nobody else. */
static void who_leaves_with_the_ballot_carries_no_answer(void)
{
	struct art_set members, next, suspect;
	struct art_hdr h = {.kind = ART_K_PROMISE};
	const struct art_port *out;
	struct art_relay r;
	struct art_ctl ctl;

	art__set_init(&members, RANKS);
	art__set_init(&suspect, RANKS);
	art__set_fill(&members, RANKS);
	art__set_init(&next, RANKS);
	blocks = sent = 0;
	art__ctl_init(&ctl, &env, &port);
	art__relay_init(&r, &env, &port, &ctl, ME, RANKS, (const int[]){0, 1, 2, 3},
			500 * ART_NS_PER_MS);
	art__relay_watch(&r, &members, &suspect);
	CU_ASSERT(art__relay_edge(&r, 3, true));
	CU_ASSERT(sent == 1 && sent_to == 0); /* the other end is told, round */
	art__set_add(&next, ME);
	art__set_add(&next, 2);
	art__set_add(&next, 3);
	art__relay_promised(&r, &next);
	out = art__relay_port(&r);
	out->send(out->self, ART_CHAN_CTL, 3, &h, NULL, 0);
	CU_ASSERT(sent == 2 && sent_to == 2);
	art__relay_fini(&r);
	CU_ASSERT(blocks == 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "what is for another is sent on unchanged", what_is_for_another_is_sent_on_unchanged },
		{ "who has no way either says so", who_has_no_way_either_says_so },
		{ "what is wrong goes nowhere", what_is_wrong_goes_nowhere },
		{ "who leaves with the ballot carries no answer", who_leaves_with_the_ballot_carries_no_answer },
		{ "nobody wraps what it could have sent", nobody_wraps_what_it_could_have_sent },
		CU_TEST_INFO_NULL,
	};

	return unit_run("relay", tests);
}
