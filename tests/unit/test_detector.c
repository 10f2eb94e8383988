/* SPDX-License-Identifier: MIT
 *
 * The detector alone: a few of them in virtual time, one per rank, with a network between them that
 * this file draws: delays, loss, cuts. No protocol above: a verdict is noted, and ends the rank it
 * is about. Properties: nobody who speaks is condemned; whoever falls silent is, within the bound
 * and a heartbeat; two of three observers are needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "base/marks.h"
#include "ft/detector.h"

#define MS ART_NS_PER_MS
#define ETA (100 * MS)
#define BOUND (500 * MS)
#define STEP (MS / 2)
#define MAX_RANKS 24
#define MAX_FLYING 4096

struct datagram {
	bool used;
	int from, to;
	uint64_t at;
	uint8_t bytes[ART_DET_BYTES];
};

struct rank {
	struct world *w;
	int slot;
	struct art_env env;
	struct art_det det;
	struct art_set suspect;
	bool silent;            /* neither sends nor runs */
	uint64_t asleep_until;  /* does not run, but will */
	uint64_t verdict_at[MAX_RANKS];
	int looks[MAX_RANKS];
	uint64_t sent;
	int asked_view, told_evicted;
};

struct world {
	int n, hosts[MAX_RANKS];
	uint64_t now, rng, jitter;
	unsigned loss;          /* percent */
	bool cut[MAX_RANKS][MAX_RANKS];
	bool stopped[MAX_RANKS]; /* as the kernel would say */
	bool open;
	struct art_set members;
	uint32_t epoch;
	struct rank rank[MAX_RANKS];
	struct datagram fly[MAX_FLYING];
	unsigned marks[ART_M_COUNT];
};

static uint64_t draw(struct world *w, uint64_t bound)
{
	uint64_t z = w->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return bound ? (z ^ (z >> 31)) % bound : 0;
}

static uint64_t env_now(void *self)
{
	return ((struct rank *)self)->w->now;
}

static uint64_t env_random(void *self)
{
	return draw(((struct rank *)self)->w, UINT64_MAX);
}

static void *env_alloc(void *self, size_t n)
{
	(void)self;
	return malloc(n);
}

static void env_free(void *self, void *p)
{
	(void)self;
	free(p);
}

static void env_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	(void)level;
	(void)line;
}

static void env_mark(void *self, enum art_mark mark)
{
	((struct rank *)self)->w->marks[mark]++;
}

static void on_send(void *self, int to, const void *p, size_t len)
{
	struct rank *r = self;
	struct world *w = r->w;
	struct datagram *d = w->fly;

	r->sent++;
	CU_ASSERT_FATAL(len == ART_DET_BYTES && to >= 0 && to < w->n && to != r->slot);
	if (w->cut[r->slot][to] || draw(w, 100) < w->loss)
		return;
	while (d < w->fly + MAX_FLYING && d->used)
		d++;
	CU_ASSERT_FATAL(d < w->fly + MAX_FLYING);
	*d = (struct datagram){ .used = true, .from = r->slot, .to = to,
				.at = w->now + MS / 10 + draw(w, w->jitter + 1) };
	memcpy(d->bytes, p, len);
}

static void on_look(void *self, int slot)
{
	((struct rank *)self)->looks[slot]++;
}

static void on_verdict(void *self, const struct art_set *slots)
{
	struct rank *r = self;

	ART_SET_EACH(i, slots) {
		CU_ASSERT((int)i != r->slot);
		if (!r->verdict_at[i])
			r->verdict_at[i] = r->w->now;
	}
	art__set_or(&r->suspect, slots);
}

static void on_tell(void *self, int to)
{
	(void)to;
	((struct rank *)self)->told_evicted++;
}

static void on_ask(void *self, int to)
{
	(void)to;
	((struct rank *)self)->asked_view++;
}

/* @per ranks on each host. */
static struct world *make(int n, int per, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	CU_ASSERT_FATAL(w && n <= MAX_RANKS);
	w->n = n;
	w->rng = seed;
	w->now = 1000 * MS;
	w->jitter = 2 * MS;
	art__set_fill(&w->members, (uint32_t)n);
	for (int i = 0; i < n; i++)
		w->hosts[i] = i / per;
	for (int i = 0; i < n; i++) {
		struct rank *r = &w->rank[i];
		struct art_det_client c = { .self = r, .send = on_send, .look = on_look,
					    .verdict = on_verdict, .tell_evicted = on_tell,
					    .ask_view = on_ask };

		r->w = w;
		r->slot = i;
		r->env = (struct art_env){ .self = r, .now_ns = env_now, .random = env_random,
					   .alloc = env_alloc, .free = env_free, .log = env_log,
					   .mark = env_mark };
		art__set_init(&r->suspect, (uint32_t)n);
		CU_ASSERT_FATAL(art__det_init(&r->det, &r->env, &c, i, n, w->hosts, ETA, BOUND) == 0);
		art__det_watch(&r->det, &w->members, &r->suspect, &w->epoch);
	}
	return w;
}

static void unmake(struct world *w)
{
	for (int i = 0; i < w->n; i++)
		art__det_fini(&w->rank[i].det);
	free(w);
}

static bool runs(const struct world *w, int slot)
{
	return !w->rank[slot].silent && w->rank[slot].asleep_until <= w->now;
}

static void deliver(struct world *w)
{
	for (struct datagram *d = w->fly; d < w->fly + MAX_FLYING; d++) {
		if (!d->used || d->at > w->now)
			continue;
		if (w->rank[d->to].silent || w->cut[d->from][d->to]) {
			d->used = false;
		} else if (runs(w, d->to)) {
			d->used = false;
			art__det_beat(&w->rank[d->to].det, d->from, d->bytes, sizeof(d->bytes));
		}
	}
}

static void answer_looks(struct rank *r)
{
	for (int i = 0; i < r->w->n; i++)
		for (; r->looks[i]; r->looks[i]--)
			art__det_looked(&r->det, i,
					r->w->stopped[i] ? ART_LOOK_STOPPED : ART_LOOK_RUNS);
}

static void run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end; w->now += STEP) {
		deliver(w);
		for (int i = 0; i < w->n; i++) {
			if (!runs(w, i))
				continue;
			art__det_tick(&w->rank[i].det, w->open);
			answer_looks(&w->rank[i]);
		}
	}
}

static int condemned(const struct world *w, int slot)
{
	int by = 0;

	for (int i = 0; i < w->n; i++)
		by += w->rank[i].verdict_at[slot] != 0;
	return by;
}

static uint64_t first_verdict(const struct world *w, int slot)
{
	uint64_t first = ART_NEVER;

	for (int i = 0; i < w->n; i++)
		if (w->rank[i].verdict_at[slot] && w->rank[i].verdict_at[slot] < first)
			first = w->rank[i].verdict_at[slot];
	return first;
}

static int all_condemned(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < w->n; i++)
		n += condemned(w, i) > 0;
	return n;
}

/* ---- nobody who speaks ---- */

static void test_no_false_verdict(void)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		int per = 1 + (int)(seed % 3);
		struct world *w = make(per * (2 + (int)(seed % 7)), per, seed);

		w->jitter = BOUND / 8;
		w->loss = (unsigned)(seed % 16);
		for (int k = 0; k < 30; k++) {
			/* somebody does not get the processor for a while */
			w->rank[draw(w, (uint64_t)w->n)].asleep_until = w->now + draw(w, BOUND / 3);
			run(w, BOUND / 2);
		}
		if (all_condemned(w))
			printf("\n    seed %llu: %d condemned", (unsigned long long)seed,
			       all_condemned(w));
		CU_ASSERT(all_condemned(w) == 0);
		unmake(w);
	}
}

/* A rank that hardly gets the processor makes its own judgement slower, not others dead. */
static void test_own_lag(void)
{
	struct world *w = make(6, 1, 3);

	run(w, 2 * BOUND);
	for (int k = 0; k < 20; k++) {
		w->rank[0].asleep_until = w->now + BOUND * 8 / 10;
		run(w, BOUND);
	}
	for (int i = 1; i < w->n; i++)
		CU_ASSERT(w->rank[0].verdict_at[i] == 0);
	CU_ASSERT(w->marks[ART_M_LAG_FORGIVEN] > 0);
	CU_ASSERT(w->rank[0].det.lag > 0);
	run(w, 20 * BOUND);
	CU_ASSERT(w->rank[0].det.lag == 0);
	unmake(w);
}

/* ---- whoever is silent ---- */

static void test_silence_is_found_in_time(void)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		int per = 1 + (int)(seed % 3), hosts = 2 + (int)(seed % 7);
		struct world *w = make(per * hosts, per, seed);
		int host = (int)draw(w, (uint64_t)hosts);
		uint64_t at, took;

		run(w, 2 * BOUND + draw(w, ETA));
		at = w->now;
		for (int i = 0; i < per; i++)
			w->rank[host * per + i].silent = true;
		run(w, 3 * BOUND);
		took = first_verdict(w, host * per) - at;
		if (took > BOUND + 50 * MS || took < BOUND - ETA - 10 * MS)
			printf("\n    seed %llu: after %llu ms", (unsigned long long)seed,
			       (unsigned long long)(took / MS));
		CU_ASSERT(took <= BOUND + 50 * MS);
		CU_ASSERT(took >= BOUND - ETA - 10 * MS);
		CU_ASSERT(all_condemned(w) == per);
		unmake(w);
	}
}

/* Hosts that fall silent at one moment come in one verdict. */
static void test_deaths_of_one_moment(void)
{
	struct world *w = make(9, 1, 5);
	int same = 0;

	run(w, 2 * BOUND);
	w->rank[3].silent = w->rank[4].silent = true;
	run(w, 2 * BOUND);
	for (int i = 0; i < 9; i++)
		same += w->rank[i].verdict_at[3] && w->rank[i].verdict_at[3] == w->rank[i].verdict_at[4];
	CU_ASSERT(same > 0);
	CU_ASSERT(w->marks[ART_M_VERDICTS_BATCHED] > 0);
	unmake(w);
}

/* ---- two of three ---- */

/* 8 hosts; host 4 is observed by 3, 2 and 0. */
static void test_one_observer_is_not_enough(void)
{
	struct world *w = make(8, 1, 9);

	run(w, 2 * BOUND);
	w->cut[4][3] = true;
	run(w, 6 * BOUND);
	CU_ASSERT(all_condemned(w) == 0);
	CU_ASSERT(w->marks[ART_M_OUTVOTED] > 0);
	unmake(w);
}

static void test_two_observers_are(void)
{
	struct world *w = make(8, 1, 9);

	run(w, 2 * BOUND);
	w->cut[4][3] = w->cut[4][2] = true;
	run(w, 3 * BOUND);
	CU_ASSERT(condemned(w, 4) > 0);
	CU_ASSERT(w->rank[3].verdict_at[4] || w->rank[2].verdict_at[4]);
	unmake(w);
}

/* An observer that is itself gone has no say. */
static bool has_vote(const struct art_det *d, int about, int by)
{
	for (int i = 0; i < ART_DET_OBSERVERS; i++)
		if (d->host[about].vote[i].host == by)
			return true;
	return false;
}

/* The observers change with the view: who observed before must not take up the room for ever. */
static void test_old_votes_make_room(void)
{
	struct world *w = make(8, 1, 31);
	struct art_det *d = &w->rank[0].det;

	run(w, 2 * ETA);
	for (int by = 2; by < 5; by++)
		art__det_take_vote(d, by, 1, false, w->now);
	CU_ASSERT(has_vote(d, 1, 2) && has_vote(d, 1, 3) && has_vote(d, 1, 4));
	art__det_take_vote(d, 5, 1, true, w->now);
	CU_ASSERT_FALSE(has_vote(d, 1, 5));
	art__det_take_vote(d, 4, 1, false, w->now + 2 * BOUND);
	art__det_take_vote(d, 5, 1, true, w->now + 2 * BOUND);
	CU_ASSERT(has_vote(d, 1, 4) && has_vote(d, 1, 5));
	unmake(w);
}

static void test_silent_observers_do_not_count(void)
{
	struct world *w = make(8, 1, 9);

	run(w, 2 * BOUND);
	w->rank[3].silent = w->rank[2].silent = w->rank[4].silent = true;
	run(w, 3 * BOUND);
	CU_ASSERT(w->rank[0].verdict_at[4] != 0);
	unmake(w);
}

/* It hears everyone and nobody hears it, or the other way round: both ends know. */
static void test_one_way(void)
{
	for (int deaf = 0; deaf < 2; deaf++) {
		struct world *w = make(8, 1, 11);

		run(w, 2 * BOUND);
		for (int i = 0; i < 8; i++)
			w->cut[deaf ? i : 4][deaf ? 4 : i] = true;
		run(w, 4 * BOUND);
		for (int i = 0; i < 8; i++)
			CU_ASSERT(i == 4 || !condemned(w, i) || w->rank[4].verdict_at[i]);
		CU_ASSERT(condemned(w, 4) > 0);
		unmake(w);
	}
}

/* Whoever hears nobody condemns all, at once. */
static void test_isolated(void)
{
	struct world *w = make(10, 1, 13);

	run(w, 2 * BOUND);
	for (int i = 0; i < 10; i++)
		w->cut[4][i] = w->cut[i][4] = true;
	run(w, 2 * BOUND);
	for (int i = 0; i < 10; i++)
		CU_ASSERT(i == 4 || w->rank[4].verdict_at[i] != 0);
	CU_ASSERT(w->marks[ART_M_ISOLATED] > 0);
	unmake(w);
}

/* ---- who speaks for a host ---- */

static void test_the_next_rank_takes_over(void)
{
	struct world *w = make(12, 3, 15);

	run(w, 2 * BOUND);
	CU_ASSERT(w->rank[3].det.acting && !w->rank[4].det.acting);
	w->rank[3].silent = true;
	run(w, BOUND / 2);
	CU_ASSERT(w->rank[4].det.acting);
	run(w, 6 * BOUND);
	CU_ASSERT(all_condemned(w) == 0);
	w->rank[3].silent = false;
	run(w, 2 * BOUND);
	CU_ASSERT(!w->rank[4].det.acting);
	CU_ASSERT(all_condemned(w) == 0);
	unmake(w);
}

/* Two of three stop: the third is found by the probes. */
static void test_the_last_rank_answers(void)
{
	struct world *w = make(12, 3, 17);

	run(w, 2 * BOUND);
	w->rank[3].silent = w->rank[4].silent = true;
	run(w, 6 * BOUND);
	CU_ASSERT(all_condemned(w) == 0);
	CU_ASSERT(w->rank[5].det.acting);
	unmake(w);
}

/* ---- itself silent ---- */

static void test_sleeper_asks_first(void)
{
	struct world *w = make(6, 1, 19);

	run(w, 2 * BOUND);
	w->rank[2].asleep_until = w->now + 3 * BOUND;
	run(w, 3 * BOUND + 2 * MS);
	CU_ASSERT(w->marks[ART_M_DOUBT] > 0);
	run(w, BOUND);
	CU_ASSERT(w->rank[2].det.doubt_ns == 0);
	CU_ASSERT(w->marks[ART_M_DOUBT_CLEARED] > 0);
	for (int i = 0; i < 6; i++)
		CU_ASSERT(w->rank[2].verdict_at[i] == 0);
	unmake(w);
}

static void test_evicted_is_told(void)
{
	struct world *w = make(6, 1, 21);

	run(w, 2 * BOUND);
	art__set_del(&w->members, 2);
	w->epoch++;
	run(w, BOUND);
	CU_ASSERT(w->rank[1].told_evicted + w->rank[3].told_evicted > 0);
	unmake(w);
}

/* ---- processes ---- */

static void test_stopped_process(void)
{
	struct world *w = make(8, 8, 23);
	uint64_t at;

	w->open = true;
	run(w, BOUND);
	at = w->now;
	w->stopped[5] = w->rank[5].silent = true;
	run(w, 2 * BOUND);
	CU_ASSERT(condemned(w, 5) > 0 && all_condemned(w) == 1);
	CU_ASSERT(first_verdict(w, 5) - at >= BOUND);
	CU_ASSERT(first_verdict(w, 5) - at <= BOUND + 50 * MS);
	for (int i = 0; i < 8; i++)
		CU_ASSERT(w->rank[i].sent == 0); /* one host: no heartbeats */
	unmake(w);
}

/* One change of the view, whoever looks first. */
static void test_stopped_together(void)
{
	struct world *w = make(8, 8, 24);
	uint64_t at;
	int by = 0;

	w->open = true;
	run(w, BOUND);
	at = w->now;
	for (int i = 3; i < 6; i++)
		w->stopped[i] = w->rank[i].silent = true;
	run(w, 2 * BOUND);
	CU_ASSERT(all_condemned(w) == 3);
	for (int i = 0; i < 8; i++)
		if (w->rank[i].verdict_at[3] == first_verdict(w, 3))
			by = i;
	CU_ASSERT(w->rank[by].verdict_at[3] == w->rank[by].verdict_at[5]);
	CU_ASSERT(first_verdict(w, 5) - at <= BOUND + 50 * MS);
	unmake(w);
}

static void test_stopped_for_less(void)
{
	struct world *w = make(4, 4, 25);

	w->open = true;
	for (int k = 0; k < 10; k++) {
		w->stopped[2] = w->rank[2].silent = true;
		run(w, BOUND * 9 / 10);
		w->stopped[2] = w->rank[2].silent = false;
		run(w, BOUND / 4);
	}
	CU_ASSERT(all_condemned(w) == 0);
	unmake(w);
}

static void test_nothing_open_no_looks(void)
{
	struct world *w = make(4, 4, 27);

	w->stopped[2] = w->rank[2].silent = true;
	run(w, 4 * BOUND);
	CU_ASSERT(all_condemned(w) == 0);
	for (int i = 0; i < 4; i++)
		CU_ASSERT(i == 2 || art__det_wake(&w->rank[i].det, false) == ART_NEVER);
	unmake(w);
}

/* ---- what it costs ---- */

static void test_cost_does_not_grow(void)
{
	for (int hosts = 8; hosts <= 24; hosts += 8) {
		struct world *w = make(hosts, 1, 29);

		run(w, 10 * ETA);
		for (int i = 0; i < hosts; i++)
			CU_ASSERT(w->rank[i].sent <= 11 * ART_DET_NEAR);
		unmake(w);
	}
}

static void test_garbage(void)
{
	struct world *w = make(6, 1, 31);
	uint8_t b[ART_DET_BYTES + 8];

	for (int k = 0; k < 20000; k++) {
		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = (uint8_t)draw(w, 256);
		b[0] = (uint8_t)draw(w, 7);
		b[8] = (uint8_t)draw(w, 8);
		b[9] = b[10] = b[11] = 0;
		art__det_beat(&w->rank[0].det, 1 + (int)draw(w, 5), b, draw(w, sizeof(b)) + 1);
		art__det_beat(&w->rank[0].det, 1 + (int)draw(w, 5), b, ART_DET_BYTES);
	}
	run(w, BOUND);
	unmake(w);
}

int main(void)
{
	CU_pSuite s;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite("detector", NULL, NULL);
	CU_add_test(s, "nobody who speaks is condemned", test_no_false_verdict);
	CU_add_test(s, "own lag slows judgement", test_own_lag);
	CU_add_test(s, "silence is found in time", test_silence_is_found_in_time);
	CU_add_test(s, "deaths of one moment", test_deaths_of_one_moment);
	CU_add_test(s, "one observer is not enough", test_one_observer_is_not_enough);
	CU_add_test(s, "two observers are", test_two_observers_are);
	CU_add_test(s, "old votes make room", test_old_votes_make_room);
	CU_add_test(s, "silent observers do not count", test_silent_observers_do_not_count);
	CU_add_test(s, "one-way cuts", test_one_way);
	CU_add_test(s, "isolated", test_isolated);
	CU_add_test(s, "the next rank takes over", test_the_next_rank_takes_over);
	CU_add_test(s, "the last rank answers", test_the_last_rank_answers);
	CU_add_test(s, "a sleeper asks first", test_sleeper_asks_first);
	CU_add_test(s, "an evicted rank is told", test_evicted_is_told);
	CU_add_test(s, "a stopped process", test_stopped_process);
	CU_add_test(s, "stopped together", test_stopped_together);
	CU_add_test(s, "stopped for less than the bound", test_stopped_for_less);
	CU_add_test(s, "nothing open, no looks", test_nothing_open_no_looks);
	CU_add_test(s, "cost does not grow with the job", test_cost_does_not_grow);
	CU_add_test(s, "garbage", test_garbage);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	return CU_get_number_of_failures() > 0 || CU_get_error() != CUE_SUCCESS;
}
