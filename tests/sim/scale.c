/* SPDX-License-Identifier: MIT
 *
 * Description: 1,024 simulated ranks reduce, broadcast, lose one of them and go on; none of them
 * ever keeps 64 KiB of protocol state, and the change of the view, in two levels, costs no rank more than
 * some 4 sqrt(n) control messages. Of 512, a star, it costs the middle a few a member and everybody else a
 * handful. Who is not reached by the member that should pass it on is asked directly, in time. And the
 * simulator repeats itself: the same seed gives the same run, step by step.
 *
 *	scale [--ranks N]
 *	scale --replay SEED      this seed twice, and the two traces compared
 */
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "ft/ft.h"
#include "tests/lib/scenario.h"

#define RANKS 1024
#define STAR_RANKS 512
#define MUTE_RANKS 100
#define STATE_MAX (64u * 1024)
#define REPLAYS 40
#define VICTIM(n) ((n) / 2 + 1)
/* Control messages of one change of the view: of the middle of the star to each member, of a member. */
#define MIDDLE_MAX 4
#define MEMBER_MAX 16
/* And in two levels, of anybody, each way: so many times the square root of all. */
#define LEVELS_MAX 4

/* ---- many ranks ---- */

struct watch {
	size_t most;
	int rank;
	uint64_t looks;
};

static void look(struct cluster *c, struct watch *w)
{
	w->looks++;
	for (int r = 0; r < cluster_n(c); r++) {
		size_t bytes;
		if (!cluster_alive(c, r))
			continue;
		bytes = art__core_bytes(cluster_core(c, r));
		if (bytes > w->most) {
			w->most = bytes;
			w->rank = r;
		}
	}
}

/* Looks at every rank's memory again and again while the job runs. */
static void look_again(struct cluster *c, void *arg)
{
	look(c, arg);
	if (!cluster_all_finished(c, NULL))
		cluster_after(c, 20 * UINT64_C(1000), look_again, arg);
}

static void call_of_all(struct cluster *c, enum art_coll kind, size_t count, int root)
{
	struct cluster_call call = { .kind = kind, .count = count, .root = root };

	if (count) {
		call.type = ART_T_UINT64;
		call.op = kind == ART_C_BCAST ? 0 : ART_O_SUM;
	}
	cluster_call(c, CLUSTER_ALL, &call);
}

static void check_result(struct cluster *c, int call, int contributors)
{
	struct cluster_result r;

	for (int i = 0; i < cluster_n(c); i++) {
		if (!cluster_alive(c, i))
			continue;
		cluster_result(c, i, call, &r);
		if (!r.known || r.code || r.contributors < contributors)
			cluster_fail(c, "rank %d: call %d ended with %d, %d contributors", i, call,
				     r.code, r.contributors);
	}
}

/* The star as it was: a middle that asked everybody and nobody else who did more than answer. */
static void check_star(struct cluster *c)
{
	uint64_t most = 0, second = 0, all = cluster_messages(c, ART_CHAN_CTL), n = (uint64_t)cluster_n(c);
	int middle = -1;

	for (int r = 0; r < cluster_n(c); r++) {
		uint64_t sent = cluster_sent(c, r, ART_CHAN_CTL);

		if (sent > most) {
			second = most;
			most = sent;
			middle = r;
		} else if (sent > second) {
			second = sent;
		}
	}
	printf("control messages: %llu in all, %llu of rank %d, at most %llu of any other\n",
	       (unsigned long long)all, (unsigned long long)most, middle, (unsigned long long)second);
	if (most < n - 2)
		cluster_fail(c, "rank %d sent only %llu control messages: is there a star?", middle,
			     (unsigned long long)most);
	if (most > MIDDLE_MAX * n)
		cluster_fail(c, "rank %d sent %llu control messages", middle, (unsigned long long)most);
	if (second > MEMBER_MAX)
		cluster_fail(c, "some rank sent %llu control messages", (unsigned long long)second);
}

static uint64_t most_messages(struct cluster *c, uint64_t (*of)(const struct cluster *, int, int),
			      int *rank)
{
	uint64_t most = 0;

	for (int r = 0; r < cluster_n(c); r++) {
		uint64_t n = of(c, r, ART_CHAN_CTL);

		if (n < most)
			continue;
		most = n;
		*rank = r;
	}
	return most;
}

static void check_levels(struct cluster *c)
{
	int sender = -1, receiver = -1;
	uint64_t sent = most_messages(c, cluster_sent, &sender), got = most_messages(c, cluster_got, &receiver);
	uint64_t root = 1, all = cluster_messages(c, ART_CHAN_CTL), n = (uint64_t)cluster_n(c);

	while (root * root < n)
		root++;
	printf("control messages: %llu in all, at most %llu sent (rank %d) and %llu taken (rank %d)\n",
	       (unsigned long long)all, (unsigned long long)sent, sender, (unsigned long long)got, receiver);
	if (all < 3 * n)
		cluster_fail(c, "%llu control messages: was the view changed?", (unsigned long long)all);
	if (sent > LEVELS_MAX * root)
		cluster_fail(c, "rank %d sent %llu control messages", sender, (unsigned long long)sent);
	if (got > LEVELS_MAX * root)
		cluster_fail(c, "rank %d took %llu control messages", receiver, (unsigned long long)got);
}

static int thousand(int n)
{
	struct watch w = { 0 };
	struct cluster_cfg cfg;
	struct cluster *c;
	uint64_t messages;
	unsigned bad;

	cluster_defaults(&cfg, n, 11);
	cfg.name = "scale";
	scenario_crash_line("scale --ranks %d", n);
	c = cluster_create(&cfg);
	if (!c) {
		printf("SKIP not enough memory for %d ranks\n", n);
		return 77;
	}
	call_of_all(c, ART_C_ALLREDUCE, 2, 0);
	call_of_all(c, ART_C_BCAST, 4, n / 3);
	call_of_all(c, ART_C_REDUCE, 4, n - 1);
	call_of_all(c, ART_C_ALLREDUCE, 2, 0);
	call_of_all(c, ART_C_BARRIER, 0, 0);
	call_of_all(c, ART_C_FINALIZE, 0, 0);
	cluster_kill_at(c, &(struct cluster_at){ .rank = VICTIM(n), .op = 4, .step = 3 });
	cluster_after(c, 0, look_again, &w);
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "the survivors did not finish");
	look(c, &w);
	check_result(c, 0, n - 1);
	check_result(c, 3, n - 1);
	if (cluster_kills_hit(c) != 1)
		cluster_fail(c, "nobody died");
	if (w.most >= STATE_MAX)
		cluster_fail(c, "rank %d kept %zu bytes of state", w.rank, w.most);
	if (n - 2 > (int)ART_FT_STAR_MAX)
		check_levels(c);
	else
		check_star(c);
	messages = cluster_messages(c, 0) + cluster_messages(c, 1);
	printf("%d ranks, one lost: %llu messages, %llu steps; most state %zu bytes (rank %d, "
	       "%llu looks)\n", n, (unsigned long long)messages,
	       (unsigned long long)cluster_events(c), w.most, w.rank,
	       (unsigned long long)w.looks);
	if (cluster_violations(c)) {
		printf("FAIL scale --ranks %d\n", n);
		cluster_print(c, stdout);
	}
	bad = cluster_destroy(c);
	return bad ? 1 : 0;
}

/* ---- one who does not pass on ---- */

static void two_levels(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	core->star_max = 8;
	*(uint64_t *)arg = core->retry_ns;
}

struct mute {
	int lost, relay, member; /* -1: nobody */
	uint64_t begun_ns;
};

static void lose(struct cluster *c, void *arg)
{
	struct mute *m = arg;

	m->begun_ns = cluster_now(c);
	if (m->relay >= 0)
		cluster_hold(c, ART_CHAN_CTL, m->relay, m->member, ART_NS_PER_S, 0);
	cluster_kill(c, m->lost);
}

/* How long after a death the last member is out of the next call, when what @relay passes on to @member is
 * held. The first of each ten passes on in the first ballot of rank 0, its neighbours are its group. */
static int reached(int relay, int member, uint64_t retries)
{
	struct mute m = { .lost = MUTE_RANKS - 2, .relay = relay, .member = member };
	struct cluster_result r;
	struct cluster_cfg cfg;
	struct cluster *c;
	uint64_t retry_ns = 0, last = 0;
	int bad;

	cluster_defaults(&cfg, MUTE_RANKS, 5);
	cfg.name = "scale";
	cfg.tune = two_levels;
	cfg.tune_arg = &retry_ns;
	scenario_crash_line("scale");
	c = cluster_create(&cfg);
	if (!c)
		return 77;
	call_of_all(c, ART_C_ALLREDUCE, 2, 0);
	call_of_all(c, ART_C_ALLREDUCE, 2, 0);
	call_of_all(c, ART_C_FINALIZE, 0, 0);
	cluster_do_at(c, &(struct cluster_at){ .rank = m.lost, .op = 2, .step = 0 }, lose, &m);
	if (!cluster_run(c) && !cluster_violations(c))
		cluster_fail(c, "the survivors did not finish");
	check_result(c, 1, MUTE_RANKS - 1);
	for (int i = 0; i < MUTE_RANKS; i++) {
		cluster_result(c, i, 1, &r);
		if (cluster_alive(c, i) && r.returned_ns > last)
			last = r.returned_ns;
	}
	last = last > m.begun_ns ? last - m.begun_ns : UINT64_MAX / 2;
	printf("rank %d passes on nothing to rank %d: all are out after %.3f ms\n", relay, member,
	       (double)last / 1e6);
	if (!m.begun_ns || last > retries * retry_ns + retry_ns / 2)
		cluster_fail(c, "it took %llu us, more than %llu retries", (unsigned long long)last / 1000,
			     (unsigned long long)retries);
	if (cluster_violations(c)) {
		printf("FAIL scale: %d, %d\n", relay, member);
		cluster_print(c, stdout);
	}
	bad = cluster_destroy(c) ? 1 : 0;
	return bad;
}

/* ---- the same seed, the same run ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * UINT64_C(0x100000001b3);
}

/* After every event: when it was and where each rank stands. */
static uint64_t trace(uint64_t seed)
{
	static struct scenario s; /* large */
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct cluster *c;

	scenario_draw(&s, seed, SCENARIO_MIXED);
	c = cluster_create(&s.cfg);
	if (!c)
		return 0;
	for (int r = 0; r < s.n; r++)
		cluster_program(c, r, s.item[r], s.nitems);
	cluster_kill_at(c, &(struct cluster_at){ .rank = s.n - 1, .op = 2, .step = seed % 9 });
	for (int i = 0; i < 200000 && !cluster_all_finished(c, NULL) && cluster_step(c); i++) {
		h = mix(h, cluster_now(c));
		for (int r = 0; r < s.n; r++)
			h = mix(h, cluster_steps(c, r) << 8 | (cluster_epoch(c, r) & 0xff));
	}
	h = mix(h, cluster_messages(c, 0) << 32 | cluster_messages(c, 1));
	cluster_destroy(c);
	return h;
}

static int replay(uint64_t first, uint64_t last)
{
	uint64_t previous = 0;
	int failed = 0;

	for (uint64_t seed = first; seed < last; seed++) {
		uint64_t a, b;
		scenario_crash_line("scale --replay %llu", (unsigned long long)seed);
		a = trace(seed);
		b = trace(seed);
		if (a != b || a == previous) {
			printf("FAIL scale --replay %llu: traces %016llx and %016llx%s\n",
			       (unsigned long long)seed, (unsigned long long)a,
			       (unsigned long long)b, a == previous ? " (as the seed before)" : "");
			failed = 1;
		}
		previous = a;
	}
	printf("%llu seeds replayed\n", (unsigned long long)(last - first));
	return failed;
}

int main(int argc, char **argv)
{
	int ranks = RANKS, same;

	if (argc == 3 && strcmp(argv[1], "--replay") == 0) {
		uint64_t seed = strtoull(argv[2], NULL, 0);
		return replay(seed, seed + 1);
	}
	if (argc == 3 && strcmp(argv[1], "--ranks") == 0)
		ranks = atoi(argv[2]);
	else if (argc != 1)
		ranks = 0;
	if (ranks < 4 || ranks > (int)ART_MAX_RANKS) {
		fprintf(stderr, "usage: scale [--ranks N | --replay SEED]\n");
		return 2;
	}
	if (ranks != RANKS)
		return thousand(ranks);
	same = replay(1, 1 + REPLAYS);
	if (reached(-1, -1, 0) || reached(1, 5, 1) || thousand(STAR_RANKS))
		return 1;
	return same ? same : thousand(RANKS);
}
