/* SPDX-License-Identifier: MIT
 *
 * Description: every rank is killed at every one of its steps, in every collective under every
 * loss policy, on 2 to 9 ranks: alone; together with its parent, the root, the leader, or all but
 * one; then again with a second death at every step of the recovery, and with a death during the
 * rerun. Small jobs exhaustively, larger ones at a stride that is part of the coordinate.
 *
 *	kill_every_step [--jobs J]
 *	kill_every_step --case COLL:N:ROOT:POLICY:SIZE [--verbose]
 *	                --kill R:OP:STEP:ATTEMPT [--with WHOM] [--second R:OP:STEP:ATTEMPT]
 *
 * COLL barrier, bcast, reduce, allreduce, split (odd and even, backwards; then an allreduce on what it
 * made), create (all but slot 1, likewise), agree, shrink (then an allreduce among those left), with size shared freed
 * after that, and another one made and used;
 * POLICY exclude, error, mirror (with the parent, then, dies the buddy); SIZE none, small, medium, large, user (an operator
 * that does not commute), shared (in memory that all share), ring, chain, pieces (shared, more than there is room
 * for), levels (small, and the view changes in two levels), steps (halving, scatter), twotree, hosts (two, in each of which
 * parts go through memory that is shared there), streams (likewise, more than there is room for); WHOM alone, parent,
 * root, leader, all.
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "tests/lib/scenario.h"
#include "topo/topo.h"

#define MAX_RANKS 9
#define MAX_STEPS 4000 /* no rank takes as many in these programs */
#define MAX_SHOWN 5

enum size { SIZE_NONE, SIZE_SMALL, SIZE_MEDIUM, SIZE_LARGE, SIZE_USER, SIZE_SHARED,
	    SIZE_RING, SIZE_CHAIN, SIZE_PIECES, SIZE_LEVELS, SIZE_STEPS, SIZE_TWO, SIZE_HOSTS, SIZE_STREAMS,
	    SIZES };
static const char *const size_names[SIZES] = { "none", "small", "medium", "large", "user",
						"shared", "ring", "chain", "pieces", "levels", "steps",
						"twotree", "hosts", "streams" };
/* elements of 8 bytes (user: of 16): one message; above the limit of recursive doubling; several
 * segments of a stream; more than has room beside a flag; chunks of two or three segments each;
 * several segments down a chain; more than there is room for in memory that all share; one message, and
 * the view changes in two levels; hops of one to four segments each; four
 * segments for each of two trees; beside a flag; more than a ring holds */
static const size_t size_counts[SIZES] = { 0, 5, 700, 20000, 40, 40, 40, 20000, 600, 5, 40,
					   40, 40, 600 };

static const char *const loss_names[] = { "exclude", "error", "mirror" };

enum whom { WHOM_ALONE, WHOM_PARENT, WHOM_ROOT, WHOM_LEADER, WHOM_ALL, WHOMS };
static const char *const whom_names[WHOMS] = { "alone", "parent", "root", "leader", "all" };

struct what {
	enum art_coll coll;
	int n, root;
	int loss;
	enum size size;
};

/* One run. */
struct run {
	struct what what;
	struct cluster_at kill, second;
	bool has_second;
	enum whom whom;
	bool verbose;
};

struct tally {
	uint64_t runs, kills, bad;
	uint64_t marks[ART_M_COUNT];
};

/* Shared by the workers. */
struct sweep {
	_Atomic uint64_t next; /* case that nobody has taken */
	struct tally tally[SCENARIO_JOBS];
};

/* ---- one run ---- */

static bool on_hosts(enum size size)
{
	return size == SIZE_HOSTS || size == SIZE_STREAMS;
}

static bool is_shared(enum size size)
{
	return size == SIZE_SHARED || size == SIZE_PIECES || on_hosts(size);
}

static void small_rings(struct art_core_cfg *core, int rank, void *arg)
{
	enum size size = *(enum size *)arg;

	(void)rank;
	core->small_max = 2048;
	core->ring_segment = 40;
	if (size == SIZE_RING)
		core->algo[ART_C_ALLREDUCE] = ART_ALGO_RING;
	if (size == SIZE_LEVELS)
		core->star_max = 1;
	if (on_hosts(size))
		memset(core->algo, ART_ALGO_LEADERS, sizeof(core->algo));
	if (size == SIZE_STEPS) {
		core->algo[ART_C_REDUCE] = core->algo[ART_C_ALLREDUCE] = ART_ALGO_HALVING;
		core->algo[ART_C_BCAST] = ART_ALGO_SCATTER;
	}
	for (int kind = ART_C_BCAST; kind <= ART_C_ALLREDUCE && size == SIZE_TWO; kind++)
		core->algo[kind] = ART_ALGO_TWOTREE;
	if (size == SIZE_CHAIN)
		core->algo[ART_C_BCAST] = core->algo[ART_C_REDUCE] = ART_ALGO_CHAIN;
}

/* How many calls a rank has started when it is in the one under test. */
static int op_call(const struct what *w)
{
	return w->loss ? 2 : 1;
}

static struct cluster_call the_call(const struct what *w)
{
	struct cluster_call c = { .kind = w->coll, .root = w->root };

	if (w->coll == ART_C_CREATE)
		c.list = ~2u & ((1u << w->n) - 1);
	if (w->coll == ART_C_BARRIER || w->coll > ART_C_ALLREDUCE)
		return c;
	c.count = size_counts[w->size];
	c.type = ART_T_UINT64;
	if (w->size == SIZE_USER) {
		c.type = ART_T_INT64_INT64;
		c.flags = CLUSTER_USER_AFFINE;
	} else if (w->coll != ART_C_BCAST) {
		c.op = ART_O_SUM;
	}
	return c;
}

/* Which has the memory that the first one had, when that is stable. */
static void make_another(struct cluster *c, int rank, int child, const struct cluster_call *call)
{
	struct cluster_call end = { .kind = ART_C_FREE, .comm = child };
	struct cluster_call dup = { .kind = ART_C_DUP, .child = MAX_RANKS };
	struct cluster_call use = *call;
	struct cluster_item rest = { .verb = CLUSTER_SLEEP, .ns = ART_NS_PER_MS };

	cluster_call(c, rank, &end);
	cluster_program(c, rank, &rest, 1);
	cluster_call(c, rank, &dup);
	use.comm = MAX_RANKS;
	cluster_call(c, rank, &use);
}

/* The policy, the call under test, an allreduce that shows that life goes on, the end. */
static void set_program(struct cluster *c, const struct what *w)
{
	struct cluster_call loss = { .kind = ART_C_SETLOSS, .loss = w->loss };
	struct cluster_call under_test = the_call(w);
	struct cluster_call next = {
		.kind = ART_C_ALLREDUCE, .count = 3, .type = ART_T_UINT64, .op = ART_O_SUM,
	};
	struct cluster_call end = { .kind = ART_C_FINALIZE };

	if (w->loss)
		cluster_call(c, CLUSTER_ALL, &loss);
	for (int r = 0; r < w->n; r++) {
		int child = w->coll == ART_C_SPLIT ? 1 + r % 2 :
			    w->coll == ART_C_CREATE || w->coll == ART_C_SHRINK ? 1 : 0;

		under_test.colour = r % 2;
		under_test.key = -r;
		under_test.child = child;
		cluster_call(c, r, &under_test);
		next.comm = child;
		cluster_call(c, r, &next);
		next.comm = 0;
		if (child)
			cluster_call(c, r, &next);
		if (child && is_shared(w->size))
			make_another(c, r, child, &next);
		cluster_call(c, r, &end);
	}
}

static int parent_of(const struct what *w, int rank)
{
	int child[MAX_RANKS + 1];
	struct art_tree t = { .child = child, .cap = MAX_RANKS + 1 };

	art__topo_knomial(w->n, w->root, 2, rank, &t);
	return t.parent < 0 ? (rank + 1) % w->n : t.parent;
}

/* Who dies with the victim at its coordinate. */
static uint32_t companions(const struct run *r)
{
	const struct what *w = &r->what;
	int v = r->kill.rank;

	switch (r->whom) {
	case WHOM_PARENT: return 1u << (w->loss == ART_LOSS_MIRROR ? (v + 1) % w->n : parent_of(w, v));
	case WHOM_ROOT: return 1u << w->root;
	case WHOM_LEADER: return 1u;
	case WHOM_ALL: return ((1u << w->n) - 1) & ~(1u << (v + 1) % w->n);
	default: return 0;
	}
}

struct hit {
	const struct run *run;
	bool happened;
};

static void kill_group(struct cluster *c, void *arg)
{
	struct hit *h = arg;
	uint32_t set = companions(h->run) | 1u << h->run->kill.rank;

	h->happened = true;
	if (set == (1u << h->run->what.n) - 1)
		set = 1u << h->run->kill.rank;
	for (int i = 0; i < h->run->what.n; i++) {
		if (set >> i & 1 && cluster_alive(c, i))
			cluster_kill(c, i);
	}
}

static void name_at(const struct cluster_at *at, char *out, size_t len)
{
	if (at->op < 0)
		snprintf(out, len, "%d:*:%llu:%d", at->rank, (unsigned long long)at->step,
			 at->attempt);
	else
		snprintf(out, len, "%d:%d:%llu:%d", at->rank, at->op, (unsigned long long)at->step,
			 at->attempt);
}

static void name_run(const struct run *r, char *out, size_t len)
{
	const struct what *w = &r->what;
	char kill[64], second[64];

	name_at(&r->kill, kill, sizeof(kill));
	name_at(&r->second, second, sizeof(second));
	snprintf(out, len, "kill_every_step --case %s:%d:%d:%s:%s --kill %s --with %s%s%s",
		 scenario_coll_name(w->coll), w->n, w->root, loss_names[w->loss],
		 size_names[w->size], kill, whom_names[r->whom], r->has_second ? " --second " : "",
		 r->has_second ? second : "");
}

/* Ends the cluster, too. */
static void report(struct cluster *c, const char *name, bool ended, struct tally *t)
{
	unsigned bad, total;

	if (!ended && !cluster_violations(c))
		cluster_fail(c, "survivors did not finish");
	bad = cluster_violations(c);
	if (bad && t->bad < MAX_SHOWN) {
		printf("FAIL %s\n", name);
		cluster_print(c, stdout);
	}
	total = cluster_destroy(c);
	if (total > bad && t->bad < MAX_SHOWN)
		printf("FAIL %s: memory not given back\n", name);
	t->bad += total > 0;
}

/* Runs it. False: the last of its coordinates was never reached, the sweep is past the end. */
static bool run(const struct run *r, struct tally *t)
{
	uint64_t before[ART_M_COUNT];
	struct hit hit = { .run = r };
	struct cluster_cfg cfg;
	struct cluster *c;
	enum size size = r->what.size;
	int hosts[MAX_RANKS];
	char name[256];
	bool ended;

	for (int i = 0; i < ART_M_COUNT; i++)
		before[i] = cluster_marks[i];
	name_run(r, name, sizeof(name));
	scenario_crash_line("%s", name);
	cluster_defaults(&cfg, r->what.n, 1 + r->what.size + 16u * (unsigned)r->what.root);
	cfg.tune = small_rings;
	cfg.tune_arg = &size;
	cfg.arena = is_shared(r->what.size);
	for (int i = 0; i < r->what.n; i++)
		hosts[i] = i >= (r->what.n + 1) / 2;
	cfg.hosts = on_hosts(size) ? hosts : NULL;
	cfg.early = cfg.arena; /* who waits there sees the end of a rank by itself */
	cfg.lends = r->what.n % 2; /* of what is long: each call and policy is swept with and without */
	cfg.verbose = r->verbose;
	cfg.name = name;
	c = cluster_create(&cfg);
	if (!c)
		return false;
	set_program(c, &r->what);
	cluster_do_at(c, &r->kill, kill_group, &hit);
	if (r->has_second)
		cluster_kill_at(c, &r->second);
	ended = cluster_run(c);
	hit.happened = hit.happened && cluster_kills_hit(c) == r->has_second;
	t->runs++;
	t->kills += hit.happened;
	for (int i = 0; i < ART_M_COUNT; i++)
		t->marks[i] += cluster_marks[i] - before[i];
	report(c, name, ended, t);
	return hit.happened;
}

/* ---- sweeps ---- */

static void sweep_single(const struct what *w, enum whom whom, uint64_t stride, struct tally *t)
{
	struct run r = { .what = *w, .whom = whom };

	for (int v = 0; v < w->n; v++) {
		for (uint64_t s = (uint64_t)v % stride; s < MAX_STEPS; s += stride) {
			r.kill = (struct cluster_at){ .rank = v, .op = -1, .step = s };
			if (!run(&r, t))
				break;
		}
	}
}

/* With the first death given, a second at every step (at a stride) of every other rank: @op < 0: of
 * the recovery; otherwise within that call, one epoch on: the rerun. False: there was none. */
static bool sweep_others(struct run *r, int op, uint64_t stride, struct tally *t)
{
	bool any = false;

	for (int u = 0; u < r->what.n; u++) {
		uint64_t k = (r->kill.step + (uint64_t)u) % stride;
		if (u == r->kill.rank)
			continue;
		for (; k < MAX_STEPS; k += stride) {
			r->second = (struct cluster_at){ .rank = u, .op = op, .step = k,
							 .attempt = 1 };
			if (!run(r, t))
				break;
			any = true;
		}
	}
	return any;
}

static void sweep_second(const struct what *w, int op, uint64_t first, uint64_t stride,
			 struct tally *t)
{
	struct run r = { .what = *w, .has_second = true };

	for (int v = 0; v < w->n; v++) {
		for (uint64_t s = (uint64_t)v % first; s < 40 * first; s += first) {
			r.kill = (struct cluster_at){ .rank = v, .op = -1, .step = s };
			if (!sweep_others(&r, op, stride, t))
				break;
		}
	}
}

/* ---- all of it ---- */

static bool sensible(const struct what *w)
{
	if (w->coll == ART_C_BARRIER || w->coll > ART_C_ALLREDUCE)
		return (w->size == SIZE_NONE || (w->size == SIZE_SHARED && w->coll != ART_C_AGREE) ||
			(w->size == SIZE_HOSTS && w->coll == ART_C_BARRIER && w->n > 2)) &&
		       w->root == 0 && w->loss != ART_LOSS_MIRROR;
	if (w->size == SIZE_NONE)
		return false;
	if (on_hosts(w->size) && w->n < 3)
		return false;
	if ((w->size == SIZE_PIECES || w->size == SIZE_STREAMS) && w->n > 7)
		return false;
	if (is_shared(w->size))
		return w->loss != ART_LOSS_MIRROR && (w->coll != ART_C_ALLREDUCE || w->root == 0);
	if (w->size == SIZE_RING)
		return w->coll == ART_C_ALLREDUCE && w->root == 0 && w->n > 2;
	if (w->size == SIZE_LEVELS)
		return w->coll == ART_C_ALLREDUCE && w->root == 0 && w->n > 4 && w->n < 8 && !w->loss;
	if (w->size == SIZE_STEPS || w->size == SIZE_TWO)
		return w->root < 2 && w->n > 2 && (w->coll != ART_C_ALLREDUCE || w->root == 0);
	if (w->size == SIZE_CHAIN)
		return w->coll != ART_C_ALLREDUCE && w->root < 2 && w->n > 2 && w->n < 6;
	if (w->coll == ART_C_BCAST)
		return w->size != SIZE_USER && w->size != SIZE_MEDIUM;
	return w->coll == ART_C_REDUCE || w->root == 0;
}

/* Exhaustive up to five ranks. */
static uint64_t stride_of(const struct what *w)
{
	static const uint64_t strides[MAX_RANKS + 1] = { 1, 1, 1, 1, 1, 1, 3, 5, 7, 11 };

	if (w->size == SIZE_LARGE || w->size == SIZE_CHAIN)
		return strides[w->n] * 7;
	return strides[w->n] * (w->size >= SIZE_PIECES ? 3 : 1);
}

static void sweep_case(const struct what *w, struct tally *t)
{
	uint64_t stride = stride_of(w);

	sweep_single(w, WHOM_ALONE, stride, t);
	if (w->n < 3)
		return;
	for (int whom = WHOM_PARENT; whom < WHOMS; whom++)
		sweep_single(w, (enum whom)whom, w->n < 5 ? stride : 3 * stride, t);
	if (w->n > 6)
		return;
	stride = w->n == 5 ? 3 * stride : stride;
	sweep_second(w, -1, 5 * stride, 5 * stride, t);
	sweep_second(w, op_call(w), 7 * stride, 3 * stride, t);
}

static enum art_coll after(enum art_coll coll)
{
	switch (coll) {
	case ART_C_ALLREDUCE: return ART_C_SPLIT;
	case ART_C_SPLIT: return ART_C_CREATE;
	case ART_C_CREATE: return ART_C_AGREE;
	case ART_C_SHRINK: return ART_C_BARRIER;
	default: return (enum art_coll)(coll + 1);
	}
}

/* Counts through all cases: roots (three of them on five ranks or more), then policies, sizes,
 * collectives, ranks. False after the last. */
static bool next_case(struct what *w)
{
	w->root += w->root >= 0 && w->n > 4 ? w->n / 2 : 1;
	if (w->root < w->n)
		return true;
	w->root = 0;
	w->loss = (w->loss + 1) % 3;
	if (w->loss)
		return true;
	w->size = (enum size)((w->size + 1) % SIZES);
	if (w->size)
		return true;
	w->coll = after(w->coll);
	if (w->coll == ART_C_BARRIER)
		w->n++;
	return w->n <= MAX_RANKS;
}

/* Every worker takes the next case that nobody has, because some take many times as long as others.
 * One that crashed is not tried again. */
static int sweep_share(void *arg, int worker)
{
	struct what w = { .coll = ART_C_BARRIER, .n = 2, .root = -1 };
	struct sweep *sw = arg;
	uint64_t k = 0, mine = atomic_fetch_add(&sw->next, 1);

	while (next_case(&w)) {
		if (!sensible(&w) || k++ != mine)
			continue;
		sweep_case(&w, &sw->tally[worker]);
		mine = atomic_fetch_add(&sw->next, 1);
	}
	return 0;
}

static int sweep_all(int jobs)
{
	struct sweep *sw = scenario_shared(sizeof(*sw));
	struct tally sum = { 0 };
	bool good;

	if (!sw)
		return 77;
	good = scenario_parallel(jobs, sweep_share, sw);
	for (int i = 0; i < jobs; i++) {
		sum.runs += sw->tally[i].runs;
		sum.kills += sw->tally[i].kills;
		sum.bad += sw->tally[i].bad;
		for (int m = 0; m < ART_M_COUNT; m++)
			sum.marks[m] += sw->tally[i].marks[m];
	}
	printf("%llu runs, %llu with every planned death, %llu failed\n",
	       (unsigned long long)sum.runs, (unsigned long long)sum.kills,
	       (unsigned long long)sum.bad);
	for (int m = 0; m < ART_M_COUNT; m++)
		printf("%12llu %s\n", (unsigned long long)sum.marks[m],
		       art__mark_name((enum art_mark)m));
	if (!sum.kills)
		printf("FAIL no kill ever happened\n");
	return good && sum.kills && !sum.bad ? 0 : 1;
}

/* ---- command line ---- */

static int find_name(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

static bool parse_what(const char *text, struct what *w)
{
	char coll[16], loss[16], size[16];
	int s;

	if (sscanf(text, "%15[a-z]:%d:%d:%15[a-z]:%15[a-z]", coll, &w->n, &w->root, loss,
		   size) != 5)
		return false;
	w->coll = ART_C_BARRIER;
	while (strcmp(coll, scenario_coll_name(w->coll)) != 0) {
		w->coll = after(w->coll);
		if (w->coll == ART_C_BARRIER)
			return false;
	}
	s = find_name(size, size_names, SIZES);
	w->size = s < 0 ? SIZE_NONE : (enum size)s;
	w->loss = find_name(loss, loss_names, 3);
	return s >= 0 && w->loss >= 0 && w->n >= 2 && w->n <= MAX_RANKS &&
	       w->root >= 0 && w->root < w->n;
}

/* 0: everything; 1: one run; -1: wrong arguments. */
static int parse(int argc, char **argv, struct run *r, int *jobs)
{
	static const struct option options[] = {
		{ "case", required_argument, NULL, 'c' },
		{ "kill", required_argument, NULL, 'k' },
		{ "with", required_argument, NULL, 'w' },
		{ "second", required_argument, NULL, '2' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool what = false, kill = false;
	int o, i;

	while ((o = getopt_long(argc, argv, "j:v", options, NULL)) != -1) {
		if (o == 'c') {
			what = parse_what(optarg, &r->what);
		} else if (o == 'k') {
			kill = cluster_at_parse(optarg, &r->kill);
		} else if (o == '2') {
			r->has_second = cluster_at_parse(optarg, &r->second);
		} else if (o == 'w') {
			i = find_name(optarg, whom_names, WHOMS);
			if (i < 0)
				return -1;
			r->whom = (enum whom)i;
		} else if (o == 'j') {
			*jobs = atoi(optarg);
		} else if (o == 'v') {
			r->verbose = true;
		} else {
			return -1;
		}
	}
	if (optind != argc || what != kill || *jobs < 1 || *jobs > SCENARIO_JOBS)
		return -1;
	return what;
}

int main(int argc, char **argv)
{
	struct run r = { .whom = WHOM_ALONE };
	struct tally t = { 0 };
	int jobs = scenario_cpus();
	int mode;

	mode = parse(argc, argv, &r, &jobs);
	if (mode < 0) {
		fprintf(stderr, "usage: kill_every_step [--jobs J]\n"
			"       kill_every_step --case COLL:N:ROOT:POLICY:SIZE --kill R:OP:STEP:ATT\n"
			"           [--with WHOM] [--second R:OP:STEP:ATT] [--verbose]\n");
		return 2;
	}
	if (mode == 0)
		return sweep_all(jobs);
	if (!run(&r, &t))
		printf("the coordinate was not reached\n");
	return t.bad ? 1 : 0;
}
