/* SPDX-License-Identifier: MIT
 *
 * Description: what is set for an operation decides who sends how much: each rank's messages are those of the
 * shape that was asked for.
 */
#include <art/art.h>
#include <stdio.h>

#include "coll/combine.h"
#include "core/core.h"
#include "tests/lib/cluster.h"
#include "topo/topo.h"

#define MAX_RANKS 20
#define SEGMENT 5 /* elements */
#define LONG 45

struct setting {
	enum art_coll kind;
	uint8_t algo;
	const int *hosts;
	bool crowded;
};

static void set_one(struct art_core_cfg *core, int rank, void *arg)
{
	const struct setting *s = arg;

	(void)rank;
	core->algo[s->kind] = s->algo;
	core->crowded = s->crowded;
	core->ring_segment = SEGMENT * sizeof(uint64_t);
	core->twotree_min = LONG * sizeof(uint64_t);
}

static bool all_have_returned(struct cluster *c, void *unused)
{
	(void)unused;
	for (int r = 0; r < cluster_n(c); r++) {
		struct cluster_result res;

		cluster_result(c, r, 0, &res);
		if (!res.returned)
			return false;
	}
	return true;
}

/* One call; then what each rank has sent by it is in sent[], and all goes on to its end. */
static unsigned run(int n, const struct cluster_call *call, struct setting *s, uint64_t *sent)
{
	struct cluster_item rest = { .verb = CLUSTER_SLEEP, .ns = 200 * ART_NS_PER_MS };
	struct cluster_call end = { .kind = ART_C_FINALIZE };
	struct cluster_cfg cfg;
	struct cluster *c;
	unsigned bad;

	cluster_defaults(&cfg, n, 1);
	cfg.tune = set_one;
	cfg.tune_arg = s;
	cfg.hosts = s->hosts;
	cfg.name = "algorithms";
	c = cluster_create(&cfg);
	cluster_call(c, CLUSTER_ALL, call);
	cluster_program(c, CLUSTER_ALL, &rest, 1);
	cluster_call(c, CLUSTER_ALL, &end);
	cluster_until(c, all_have_returned, NULL, 100 * ART_NS_PER_MS);
	for (int r = 0; r < n; r++)
		sent[r] = cluster_sent(c, r, ART_CHAN_DATA);
	cluster_run(c);
	bad = cluster_violations(c);
	if (bad)
		cluster_print(c, stdout);
	return bad + cluster_destroy(c);
}

/* A short bcast: one message to each child in a tree of that radix. */
static unsigned radix_is_heeded(int n, int root, int radix)
{
	struct cluster_call call = { .kind = ART_C_BCAST, .count = 3, .type = ART_T_UINT64, .root = root };
	struct setting s = { .kind = ART_C_BCAST, .algo = art__algo_tree(radix) };
	uint64_t sent[MAX_RANKS];
	unsigned bad = run(n, &call, &s, sent);

	for (int r = 0; r < n; r++) {
		int child[MAX_RANKS + 1];
		struct art_tree t = { .child = child, .cap = MAX_RANKS + 1 };

		art__topo_knomial(n, root, radix, r, &t);
		if (sent[r] == (uint64_t)t.nchild)
			continue;
		printf("FAIL tree:%d, %d ranks, root %d: rank %d sent %llu messages to %d\n", radix, n, root, r,
		       (unsigned long long)sent[r], t.nchild);
		bad++;
	}
	return bad;
}

/* Segments of a half of the vector. */
static uint64_t segments(size_t count, int which)
{
	size_t elements = which ? count - count / 2 : count / 2;

	return (elements + SEGMENT - 1) / SEGMENT;
}

/* A bcast along two trees: each half to the children there, and for each that is longer than what comes unasked
 * credit. So nobody but the root sends more than both halves once. False: some rank sent something else. */
static bool along_two_trees(int n, int root, size_t count, struct setting *s, unsigned *bad)
{
	struct cluster_call call = { .kind = ART_C_BCAST, .count = count, .type = ART_T_UINT64, .root = root };
	uint64_t sent[MAX_RANKS];
	bool are = true;

	*bad += run(n, &call, s, sent);
	for (int r = 0; r < n; r++) {
		uint64_t want = 0;

		for (int which = 0; which < 2; which++) {
			struct art_tree t = { .child = (int[2]){ 0 }, .cap = 2 };

			art__topo_twotree(n, root, which, r, &t);
			want += (uint64_t)t.nchild * segments(count, which);
			want += r != root && segments(count, which) > 1;
		}
		are = are && sent[r] == want;
	}
	return are;
}

static unsigned expect(bool want, int n, int root, size_t count, struct setting *s)
{
	unsigned bad = 0;

	if (along_two_trees(n, root, count, s, &bad) == want)
		return bad;
	printf("FAIL %d ranks, root %d, %zu elements, %d set: %s\n", n, root, count, s->algo,
	       want ? "not along two trees" : "along two trees");
	return bad + 1;
}

static unsigned two_trees_if_set(int n)
{
	struct setting s = { .kind = ART_C_BCAST, .algo = ART_ALGO_TWOTREE };
	unsigned bad = 0;

	for (size_t count = (size_t)n; count < 80; count = count * 2 + 1)
		bad += expect(true, n, (int)count % n, count, &s);
	return bad;
}

/* If each has a host of its own, from some size on. */
static unsigned two_trees_by_itself(int n)
{
	static const enum art_algo set[] = { ART_ALGO_AUTO, ART_ALGO_TREE };
	unsigned bad = 0;
	int hosts[MAX_RANKS];

	for (int k = 0; k < 2; k++) {
		struct setting s = { .kind = ART_C_BCAST, .algo = (uint8_t)set[k], .hosts = hosts };

		for (int r = 0; r < n; r++)
			hosts[r] = (r * 7 + 3) % n; /* all of them, since n is no multiple of 7 */
		bad += expect(!k, n, n / 2, LONG, &s);
		bad += expect(false, n, n / 2, LONG - 1, &s);
		hosts[n - 1] = hosts[0];
		bad += expect(false, n, n / 2, LONG, &s);
	}
	return bad;
}

/* Short sums of ranks that share cores: rank 0 answers all, who have sent it theirs. */
static unsigned star_where_cores_are_shared(int n)
{
	struct cluster_call call = { .kind = ART_C_ALLREDUCE, .count = 3, .type = ART_T_UINT64, .op = ART_O_SUM };
	struct setting s = { .kind = ART_C_ALLREDUCE, .crowded = true };
	uint64_t sent[MAX_RANKS];
	unsigned bad = run(n, &call, &s, sent);

	for (int r = 0; r < n; r++) {
		if (sent[r] == (uint64_t)(r ? 1 : n - 1))
			continue;
		printf("FAIL star, %d ranks: rank %d sent %llu messages\n", n, r, (unsigned long long)sent[r]);
		bad++;
	}
	return bad;
}

int main(void)
{
	unsigned bad = 0;

	for (int n = 3; n <= MAX_RANKS; n++)
		for (int radix = 2; radix <= ART_RADIX_MAX; radix++)
			bad += radix_is_heeded(n, radix % n, radix);
	for (int n = 3; n <= MAX_RANKS; n++) {
		bad += two_trees_if_set(n);
		bad += n <= ART_RADIX_MAX ? star_where_cores_are_shared(n) : 0;
		bad += n % 7 ? two_trees_by_itself(n) : 0;
	}
	if (!bad)
		printf("every rank sends what the shape that is set says\n");
	return bad != 0;
}
