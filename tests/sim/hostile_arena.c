/* SPDX-License-Identifier: MIT
 *
 * Description: whatever a rank writes into the memory that it shares - flags of calls to come and of
 * calls long past, signatures, marks, states, all of it at random moments - the others neither crash nor
 * read beyond it; and when it is gone, they end their calls, and what they call from then on is right.
 *
 *	hostile_arena                 seeds 1..400
 *	hostile_arena --seed A[:B]
 */
#include <stdlib.h>
#include <string.h>

#include "coll/combine.h"
#include "tests/lib/cluster.h"

#define CALLS 31 /* the first makes a communicator */
#define AFTER 6 /* calls when the liar is gone */

struct liar {
	uint64_t rng;
	int rank;
};

static uint64_t below(struct liar *l, uint64_t n)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return (l->rng >> 11) % n;
}

/* Mostly values that are nearly right: others are soon seen to be none. */
static uint64_t flag(struct liar *l)
{
	uint64_t epoch = below(l, 3), seq = below(l, CALLS + 10);

	return below(l, 8) ? epoch << 40 | seq : below(l, UINT64_MAX);
}

static void lie(struct cluster *c, void *arg)
{
	struct liar *l = arg;
	struct art_arena_part *p = cluster_part(c, l->rank);
	bool dup = below(l, 2) && atomic_load(&p->channel[0].state); /* where the dup's ops go, or the world's */
	struct art_arena_marks *m = dup ? &p->channel[0] : &p->world;
	struct art_arena_slot *s = dup ? cluster_slot(c, l->rank, 0, (unsigned)below(l, 2)) :
				   &p->slot[below(l, 4)];

	if (!cluster_alive(c, l->rank))
		return;
	switch (below(l, 14)) {
	case 0: atomic_store(&p->state, (uint32_t)below(l, 5)); break;
	case 10: atomic_store(&m->state, (uint32_t)below(l, 5)); break;
	case 1: atomic_store(&p->doze, (uint32_t)below(l, UINT32_MAX)); break;
	case 2: atomic_store(&m->done, below(l, 2) ? below(l, CALLS) : below(l, UINT64_MAX)); break;
	case 3: atomic_store(&s->flag, flag(l)); break;
	case 4: s->sig = (uint32_t)below(l, UINT32_MAX); break;
	case 5: s->lag = (uint16_t)below(l, below(l, 2) ? 4 : UINT16_MAX + 1); break;
	case 6: atomic_store(&m->sure, flag(l)); break;
	case 8: atomic_store(below(l, 2) ? &s->put : below(l, 2) ? &s->made : &s->got,
			     below(l, 2) ? below(l, 6) : below(l, UINT64_MAX)); break;
	case 9: atomic_store(&m->bulk, flag(l)); break;
	case 11: atomic_store(&m->alone, flag(l)); break;
	case 12: atomic_store(&s->given, below(l, 2) ? atomic_load(&s->flag) : flag(l)); break;
	case 13: s->lag_all = (uint16_t)below(l, below(l, 2) ? 4 : UINT16_MAX + 1); break;
	default:
		for (size_t i = 0; i < sizeof(*s); i++)
			((uint8_t *)s)[i] = (uint8_t)below(l, 256);
	}
	cluster_after(c, 1 + below(l, 20000), lie, l);
}

static void die(struct cluster *c, void *arg)
{
	const struct liar *l = arg;

	cluster_kill(c, l->rank);
}

/* On the world, and on a communicator that has a channel. */
static void call_some(struct cluster *c, struct liar *l, int n)
{
	for (int i = 0; i < n; i++) {
		struct cluster_call call = { .kind = below(l, 3) ? ART_C_ALLREDUCE : ART_C_BARRIER,
					     .comm = (int)below(l, 2),
					     .flags = below(l, 2) ? CLUSTER_NONBLOCK : 0 };

		if (call.kind == ART_C_ALLREDUCE) {
			call.count = below(l, 2) ? 1 : below(l, 2) ? 1 + below(l, 70) : 1 + below(l, 1500);
			call.type = ART_T_UINT64;
			call.op = ART_O_SUM;
		}
		cluster_call(c, CLUSTER_ALL, &call);
	}
}

static bool survivors_ended(struct cluster *c, void *arg)
{
	const struct liar *l = arg;

	for (int r = 0; r < cluster_n(c); r++)
		if (r != l->rank && !cluster_finished(c, r))
			return false;
	return true;
}

/* The liar may have had others believe that it had called something else. */
static bool has_dup(struct cluster *c, int rank)
{
	struct cluster_result got;

	cluster_result(c, rank, 0, &got);
	return got.known && !got.code;
}

/* What was computed with the liar may be anything; later calls of the others are as ever. */
static bool right_afterwards(struct cluster *c, const struct liar *l)
{
	for (int r = 0; r < cluster_n(c); r++)
		for (int i = CALLS; r != l->rank && i < CALLS + AFTER; i++) {
			struct cluster_result got;

			cluster_result(c, r, i, &got);
			if (!got.known && !has_dup(c, r))
				continue;
			if (!got.known || got.code || got.contributors != cluster_n(c) - 1)
				return false;
		}
	return true;
}

/* On several hosts: in each the world's ops go through what its ranks share. */
static void by_leaders(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	memset(core->algo, ART_ALGO_LEADERS, sizeof(core->algo));
	core->log_ops = 4;
}

/* One combines for all, and says how far all have come. */
static void crowd(struct art_core_cfg *core, int rank, void *arg)
{
	(void)rank;
	(void)arg;
	core->crowded = true;
}

static bool run(uint64_t seed)
{
	struct liar l = { .rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
	struct cluster_item wait = { .verb = CLUSTER_WAITALL };
	struct cluster_item rest = { .verb = CLUSTER_SLEEP, .ns = 20 * ART_NS_PER_MS };
	struct cluster_call dup = { .kind = ART_C_DUP, .child = 1 };
	static const int hosts[6] = { 0, 0, 0, 1, 1, 1 };
	struct cluster_cfg cfg;
	struct cluster *c;
	bool good;

	cluster_defaults(&cfg, 2 + (int)(seed % 5), seed);
	cfg.name = "hostile_arena";
	cfg.arena = true;
	if (seed % 2 && cfg.n > 3) {
		cfg.hosts = hosts;
		cfg.tune = by_leaders;
	} else if (seed % 4 < 2) {
		cfg.tune = crowd;
	}
	c = cluster_create(&cfg);
	if (!c)
		return false;
	l.rank = (int)below(&l, (uint64_t)cluster_n(c));
	cluster_call(c, CLUSTER_ALL, &dup);
	call_some(c, &l, CALLS - 1);
	cluster_program(c, CLUSTER_ALL, &wait, 1);
	cluster_after(c, 1 + below(&l, 20000), lie, &l);
	cluster_after(c, 1 + below(&l, 3000000), die, &l);
	good = cluster_until(c, survivors_ended, &l, 20 * ART_NS_PER_S);
	if (!good)
		printf("FAIL hostile_arena --seed %llu: calls do not end\n", (unsigned long long)seed);
	if (good && cluster_alive(c, l.rank))
		cluster_kill(c, l.rank);
	if (good && cluster_n(c) > 1) {
		cluster_program(c, CLUSTER_ALL, &rest, 1); /* until it has left the view, too */
		call_some(c, &l, AFTER);
		cluster_program(c, CLUSTER_ALL, &wait, 1);
		good = cluster_until(c, survivors_ended, &l, 20 * ART_NS_PER_S) && right_afterwards(c, &l);
		if (!good)
			printf("FAIL hostile_arena --seed %llu: wrong when the liar is gone\n",
			       (unsigned long long)seed);
	}
	cluster_destroy(c);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 401, bad = 0;
	char *end;

	if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
		first = strtoull(argv[2], &end, 0);
		last = *end == ':' ? strtoull(end + 1, NULL, 0) : first + 1;
	} else if (argc != 1) {
		fprintf(stderr, "usage: hostile_arena [--seed A[:B]]\n");
		return 2;
	}
	for (uint64_t s = first; s < last; s++)
		bad += !run(s);
	printf("%llu seeds, %llu failed\n", (unsigned long long)(last - first), (unsigned long long)bad);
	return bad ? 1 : 0;
}
