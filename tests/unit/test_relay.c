/* SPDX-License-Identifier: MIT
 *
 * Messages that go through a third rank (src/core/relay.c), seen from one rank whose transport is this
 * test: what it carries and for whom, what it refuses, what it hands to itself; that an envelope
 * which is not what it should be changes nothing; and what it says of dead edges, to whom that matters, and how.
 */
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "core/core.h"
#include "core/relay.h"
#include "ft/ft.h"
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

static uint64_t now = 1000;

static uint64_t env_now(void *self)
{
	(void)self;
	return now;
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

/* ---- memory that bodies are put into ---- */

static struct art_op *taken_away;

static void port_unplace(void *self, struct art_op *op)
{
	(void)self;
	taken_away = op;
}

/* An attempt that had such memory before an edge died ends after it. */
static void memory_is_taken_away_once_an_edge_is_dead(void)
{
	struct art_port world = port;
	struct art_op *op = (struct art_op *)&world;
	struct art_set members, suspect;
	const struct art_port *out;
	struct art_relay r;
	struct art_ctl ctl;

	world.unplace = port_unplace;
	art__set_init(&members, RANKS);
	art__set_init(&suspect, RANKS);
	art__set_fill(&members, RANKS);
	blocks = 0;
	art__ctl_init(&ctl, &env, &world);
	art__relay_init(&r, &env, &world, &ctl, ME, RANKS, (const int[]){0, 1, 2, 3}, ART_NS_PER_S);
	art__relay_watch(&r, &members, &suspect);
	out = art__relay_port(&r);
	for (int dead = 0; dead < 2; dead++) {
		taken_away = NULL;
		CU_ASSERT_FATAL(out->unplace != NULL);
		out->unplace(out->self, op);
		CU_ASSERT(taken_away == op);
		CU_ASSERT(dead || art__relay_edge(&r, 3, true));
	}
	art__relay_fini(&r);
	CU_ASSERT(blocks == 0);
}

/* ---- what views know of it ---- */

/* Six ranks on three hosts; this is rank 1, of the host of 0. */
static struct art_relay edges_of;
static struct art_ctl edges_ctl;
static struct art_set all, nobody;

static void six_ranks(void)
{
	static const int hosts[6] = {7, 7, 3, 3, 5, 5};

	art__set_init(&nobody, 6);
	art__set_fill(&all, 6);
	blocks = 0;
	now = 1000;
	art__ctl_init(&edges_ctl, &env, &port);
	art__relay_init(&edges_of, &env, &port, &edges_ctl, 1, 6, hosts, ART_NS_PER_S);
	art__relay_watch(&edges_of, &all, &nobody);
}

static bool reports(uint32_t n)
{
	struct art_edges e = {0};

	art__relay_report(&edges_of, &all, &e);
	return e.n == n;
}

static void an_edge_is_told_by_the_lowest_slots(void)
{
	struct art_edges e = {0};
	struct art_set some;

	six_ranks();
	CU_ASSERT(reports(0));
	art__relay_edge(&edges_of, 5, true);
	art__relay_edge(&edges_of, 4, true);
	art__relay_report(&edges_of, &all, &e);
	CU_ASSERT(e.n == 1 && e.e[0].a == 0 && e.e[0].b == 4);
	CU_ASSERT(art__edges_has(&e, 4, 0) && !art__edges_has(&e, 0, 2));
	art__set_copy(&some, &all);
	art__set_del(&some, 4);
	art__set_del(&some, 5);
	e.n = 0;
	art__relay_report(&edges_of, &some, &e); /* of those only who are to be members */
	CU_ASSERT(e.n == 0);
	art__relay_installed(&edges_of, &e);
	art__relay_edge(&edges_of, 5, false); /* healed: no more */
	CU_ASSERT(reports(1));
	art__relay_edge(&edges_of, 4, false);
	CU_ASSERT(reports(0));
	art__relay_fini(&edges_of);
	CU_ASSERT(blocks == 0);
}

/* Not at once, ever later, and only as long as it helps. */
static void who_is_not_heard_asks_again(void)
{
	struct art_edges known = {0};
	uint64_t first;

	six_ranks();
	art__relay_installed(&edges_of, &known);
	CU_ASSERT(edges_of.again_ns == ART_NEVER);
	art__relay_edge(&edges_of, 4, true);
	CU_ASSERT(!art__relay_ask(&edges_of, &known, now)); /* a change is under way for it */
	art__relay_installed(&edges_of, &known);
	first = edges_of.again_ns - now;
	CU_ASSERT(first > ART_NS_PER_S && !art__relay_ask(&edges_of, &known, now + first - 1));
	CU_ASSERT(art__relay_ask(&edges_of, &known, now + first));
	CU_ASSERT(!art__relay_ask(&edges_of, &known, now + first));
	art__relay_installed(&edges_of, &known);
	CU_ASSERT(edges_of.again_ns - now == 2 * first);
	art__edges_add(&known, 4, 0);
	CU_ASSERT(!art__relay_ask(&edges_of, &known, now + 2 * first));
	art__relay_installed(&edges_of, &known);
	CU_ASSERT(edges_of.again_ns == ART_NEVER);
	known.n = 0;
	for (uint32_t i = 0; i < ART_EDGES_MAX; i++)
		art__edges_add(&known, 100, i); /* no room */
	art__relay_installed(&edges_of, &known);
	CU_ASSERT(known.n == ART_EDGES_MAX && edges_of.again_ns == ART_NEVER);
	art__relay_fini(&edges_of);
	CU_ASSERT(blocks == 0);
}

/* @e as it is on the wire with @n for its number is taken. */
static bool taken(const struct art_edges *e, uint32_t n, uint32_t size)
{
	struct art_wbuf w = {0};
	struct art_rbuf r;
	struct art_edges out;
	bool ok;

	CU_ASSERT_FATAL(art__edges_encode(&env, e, &w));
	r = (struct art_rbuf){.p = w.p, .len = w.len};
	w.len = 0;
	art__w_u32(&w, n);
	art__edges_decode(&r, size, &out);
	ok = !r.bad && r.at == r.len;
	CU_ASSERT(!ok || (out.n == e->n && memcmp(out.e, e->e, out.n * sizeof(out.e[0])) == 0));
	art__env_free(&env, w.p);
	return ok;
}

static void edges_are_checked(void)
{
	struct art_edges e = {0}, odd;

	for (uint32_t i = ART_EDGES_MAX + 9; i > 0; i--)
		art__edges_add(&e, i - 1, 90);
	CU_ASSERT(e.n == ART_EDGES_MAX);
	art__edges_add(&e, 90, e.e[5].a);
	CU_ASSERT(e.n == ART_EDGES_MAX);
	CU_ASSERT(taken(&e, e.n, 91));
	CU_ASSERT(!taken(&e, e.n, 90)); /* no such slot */
	CU_ASSERT(!taken(&e, e.n + 1, 91) && !taken(&e, UINT32_MAX, 91) && !taken(&e, e.n - 1, 91));
	odd = e;
	odd.e[3] = odd.e[4]; /* twice */
	CU_ASSERT(!taken(&odd, odd.n, 91));
	odd.e[3] = (struct art_edge){9, 9};
	odd.n = 4;
	CU_ASSERT(!taken(&odd, odd.n, 91));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "an edge is told by the lowest slots of its hosts", an_edge_is_told_by_the_lowest_slots },
		{ "who is not heard asks again", who_is_not_heard_asks_again },
		{ "edges are checked", edges_are_checked },
		{ "what is for another is sent on unchanged", what_is_for_another_is_sent_on_unchanged },
		{ "who has no way either says so", who_has_no_way_either_says_so },
		{ "what is wrong goes nowhere", what_is_wrong_goes_nowhere },
		{ "who leaves with the ballot carries no answer", who_leaves_with_the_ballot_carries_no_answer },
		{ "nobody wraps what it could have sent", nobody_wraps_what_it_could_have_sent },
		{ "memory is taken away once an edge is dead", memory_is_taken_away_once_an_edge_is_dead },
		CU_TEST_INFO_NULL,
	};

	return unit_run("relay", tests);
}
