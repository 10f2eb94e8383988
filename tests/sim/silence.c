/* SPDX-License-Identifier: MIT
 *
 * Description: the failure detector in a whole job: hosts that vanish, freeze and wake, networks cut
 * in one or both directions, healed or not, slow and lossy links, agents that die or stop, several of
 * these at once. Nobody is told of anything but local deaths: verdicts are the detector's.
 * Checked: whoever nothing happened to is never evicted, and finishes in time; a healed network
 * converges; the cluster's invariants, of which one is that there are never two views.
 *
 *	silence                        a number of seeds of every profile (SILENCE_SEEDS=N: so many)
 *	silence --profile NAME [--seed A[:B]] [--verbose]
 */
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "base/marks.h"
#include "coll/combine.h"
#include "engine/report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/scenario.h"

#define MS ART_NS_PER_MS
#define ETA (4 * MS)
#define BOUND (20 * MS)
#define QUORUM_WAIT (600 * MS)
#define RANKS 24
#define HOSTS 9
#define CALLS 14
#define CALLS_AROUND 60
#define SETTLED (50 * MS) /* what a change of the view has run again or given to whoever lacked it is over */
#define SEEDS 120

enum profile { QUIET, SLOW, LOST, RACK, STOPPED, FROZEN, AGENT, NAP, SPLIT, HEALED, NONE_QUORATE,
	       MUTE, DEAF, EDGE, LINKS, CERTIFIED, MANY, DEAD_EDGE, DEAD_EDGES, AROUND, PROFILES };

static const char *const names[PROFILES] = {
	"quiet", "slow", "lost", "rack", "stopped", "frozen", "agent", "nap", "split", "healed",
	"none-quorate", "mute", "deaf", "edge", "links", "certified", "many",
	"dead-edge", "dead-edges", "around",
};

struct run {
	struct scenario_rng rng;
	enum profile profile;
	struct cluster_cfg cfg;
	struct cluster *c;
	int n, nhost, hosts[RANKS], calls;
	bool hit[HOSTS];     /* something happens to this host */
	bool nobody_leaves;
	bool must_finish;    /* all those of hosts that were not hit */
	uint64_t fault_ns, worst_ns;
	/* AROUND: since when views know all dead edges, and what had gone through thirds soon after */
	uint64_t known_ns, relayed;
	uint32_t known_epoch;
	bool settled;
};

/* What a callback does to whom. */
struct act {
	struct run *r;
	int what, host, to;
	uint32_t set;
};
enum { VANISH, STOP_HOST, WAKE_HOST, STOP_RANK, WAKE_RANK, KILL_RANK, CUT_OUT, CUT_IN, CUT_EDGE,
       GROUPS, HEAL, NAP_RANK, BREAK, HOLD, LOOK };

static struct act acts[512];
static int nacts;

static int first_rank(const struct run *r, int host)
{
	int k = 0;

	while (r->hosts[k] != host)
		k++;
	return k;
}

static void each_rank(struct run *r, int host, void (*fn)(struct run *r, int rank, int arg), int arg)
{
	for (int k = 0; k < r->n; k++)
		if (r->hosts[k] == host)
			fn(r, k, arg);
}

static void cut_out(struct run *r, int rank, int unused)
{
	(void)unused;
	for (int k = 0; k < r->n; k++)
		if (r->hosts[k] != r->hosts[rank])
			cluster_cut(r->c, rank, k, ART_SIM_STALL);
}

static void cut_in(struct run *r, int rank, int unused)
{
	(void)unused;
	for (int k = 0; k < r->n; k++)
		if (r->hosts[k] != r->hosts[rank])
			cluster_cut(r->c, k, rank, ART_SIM_STALL);
}

static void die(struct run *r, int rank, int unused)
{
	(void)unused;
	cluster_kill(r->c, rank);
}

static void stop(struct run *r, int rank, int on)
{
	if (cluster_alive(r->c, rank))
		cluster_pause(r->c, rank, on);
}

/* Those that were cut are disturbed; the others are not to pay for it. */
static void innocents_stay(struct run *r)
{
	(void)r; /* cluster_cut() has marked both ends: which of them leave is the detector's choice */
}

static void groups(struct run *r, uint32_t set)
{
	int group[RANKS];

	for (int k = 0; k < r->n; k++)
		group[k] = (int)(set >> 2 * r->hosts[k] & 3);
	cluster_partition(r->c, group, false);
}

/* Has every rank that lives a view that knows all edges which any of them goes round? */
static bool all_known(struct run *r, uint32_t *epoch, uint64_t *relayed)
{
	static struct art_report report;
	bool known = true;

	*epoch = 0;
	*relayed = 0;
	for (int k = 0; k < r->n; k++) {
		struct art_machine *m;

		if (!cluster_alive(r->c, k) || cluster_fate(r->c, k))
			continue;
		m = art__core_machine(cluster_core(r->c, k));
		m->ops->describe(m, &report);
		*relayed += report.relayed;
		known = known && report.edges.n && (!*epoch || report.epoch == *epoch);
		*epoch = report.epoch;
		ART_SET_EACH(i, &report.indirect)
			known = known && art__edges_has(&report.edges,
							(uint32_t)first_rank(r, r->hosts[k]),
							(uint32_t)first_rank(r, r->hosts[i]));
	}
	return known;
}

static bool anyone_finalizes(const struct run *r)
{
	struct cluster_result last;

	for (int k = 0; k < r->n; k++) {
		cluster_result(r->c, k, r->calls + 1, &last);
		if (last.started)
			return true;
	}
	return false;
}

/* Once views know the edges and what they ran again is over, nothing of an op goes through a third. */
static void look(struct run *r)
{
	uint64_t relayed, now = cluster_now(r->c);
	uint32_t epoch;

	if (!all_known(r, &epoch, &relayed) || epoch != r->known_epoch) {
		r->known_ns = now;
		r->known_epoch = epoch;
	}
	if (now - r->known_ns < SETTLED)
		r->relayed = relayed;
	else
		r->settled = true;
	if (relayed != r->relayed)
		cluster_fail(r->c, "%llu us: %llu messages went through a third, and trees go round",
			     (unsigned long long)(now / 1000),
			     (unsigned long long)(relayed - r->relayed));
	r->relayed = relayed;
}

static void act(struct cluster *c, void *arg)
{
	struct act *a = arg;
	struct run *r = a->r;

	if (a->what == LOOK) {
		if (anyone_finalizes(r))
			return;
		look(r);
		cluster_after(c, MS, act, a);
		return;
	}
	if (!r->fault_ns)
		r->fault_ns = cluster_now(c);
	switch (a->what) {
	case VANISH:
		each_rank(r, a->host, cut_out, 0);
		each_rank(r, a->host, cut_in, 0);
		each_rank(r, a->host, die, 0);
		break;
	case STOP_HOST: each_rank(r, a->host, stop, 1); break;
	case WAKE_HOST: each_rank(r, a->host, stop, 0); break;
	case STOP_RANK: stop(r, a->to, 1); break;
	case WAKE_RANK: stop(r, a->to, 0); break;
	case KILL_RANK: die(r, a->to, 0); break;
	case CUT_OUT: each_rank(r, a->host, cut_out, 0); break;
	case CUT_IN: each_rank(r, a->host, cut_in, 0); break;
	case CUT_EDGE: cluster_cut(c, a->host, a->to, ART_SIM_STALL); break;
	case GROUPS: groups(r, a->set); break;
	case HEAL: cluster_heal(c); break;
	case NAP_RANK: cluster_nap(c, a->to, BOUND * 6 / 10); break;
	case BREAK: cluster_break(c, 0, a->host, a->to); break;
	case HOLD: cluster_hold(c, 1, a->host, a->to, 3 * BOUND, 0); break;
	}
	innocents_stay(r);
}

static struct act *plan(struct run *r, uint64_t ns, int what, int host)
{
	struct act *a = &acts[nacts++];

	*a = (struct act){ .r = r, .what = what, .host = host };
	cluster_after(r->c, ns, act, a);
	return a;
}

static uint64_t below(struct run *r, uint64_t n)
{
	return scenario_below(&r->rng, n);
}

/* ---- the job ---- */

static void tune(struct art_core_cfg *core, int rank, void *arg)
{
	const struct run *r = arg;

	(void)rank;
	if (r->cfg.seed % 2)
		core->star_max = 2; /* the view changes in two levels */
	if (r->profile == AROUND && r->cfg.seed % 4 == 1)
		core->algo[ART_C_BCAST] = core->algo[ART_C_REDUCE] = core->algo[ART_C_ALLREDUCE] =
			ART_ALGO_TWOTREE;
	core->heartbeat_ns = ETA;
	core->bound_ns = BOUND;
	core->quorum_wait_ns = QUORUM_WAIT;
}

static void draw_job(struct run *r, uint64_t seed)
{
	int per = 1 + (int)below(r, 3), least = 3;

	if (r->profile == STOPPED || r->profile == AGENT || r->profile == NAP || r->profile == CERTIFIED)
		per = 2 + (int)below(r, 2);
	if (r->profile == RACK || r->profile == MANY || r->profile == NONE_QUORATE)
		least = 6;
	if (r->profile == DEAD_EDGES || r->profile == AROUND)
		least = 5;
	r->calls = r->profile == AROUND ? CALLS_AROUND : CALLS;
	r->nhost = least + (int)below(r, (uint64_t)(HOSTS - least) + 1);
	if (r->profile == STOPPED && below(r, 2))
		r->nhost = 1, per = 2 + (int)below(r, 7);
	while (r->nhost * per > RANKS)
		r->nhost--;
	r->n = r->nhost * per;
	for (int k = 0; k < r->n; k++)
		r->hosts[k] = k / per;
	cluster_defaults(&r->cfg, r->n, seed);
	r->cfg.hosts = r->hosts;
	r->cfg.detector = true;
	r->cfg.evidence = CLUSTER_LOCAL;
	r->cfg.tune = tune;
	r->cfg.tune_arg = r;
	r->cfg.cut_ns = below(r, 2) ? 500 * MS : 5 * MS;
	r->cfg.start_max_ns = MS;
	r->cfg.name = "silence";
}

/* Calls of all kinds, with pauses between them, so that faults come between and within. */
static void draw_program(struct run *r)
{
	static const enum art_coll kinds[] = { ART_C_ALLREDUCE, ART_C_BARRIER, ART_C_REDUCE,
					       ART_C_BCAST, ART_C_ALLREDUCE };
	struct cluster_item nap = { .verb = CLUSTER_SLEEP, .ns = 4 * MS };
	struct cluster_call c;

	for (int i = 0; i < r->calls; i++) {
		c = (struct cluster_call){ .kind = kinds[below(r, 5)], .root = -1 };
		if (c.kind != ART_C_BARRIER) {
			c.count = 1 + below(r, 300);
			c.type = ART_T_UINT64;
			c.op = c.kind == ART_C_BCAST ? 0 : ART_O_SUM;
			if (c.kind == ART_C_BCAST || c.kind == ART_C_REDUCE)
				c.root = (int)below(r, (uint64_t)r->n);
		}
		cluster_call(r->c, CLUSTER_ALL, &c);
		cluster_program(r->c, CLUSTER_ALL, &nap, 1);
	}
	/* the last are for all to wait in */
	c = (struct cluster_call){ .kind = ART_C_BARRIER, .root = -1 };
	cluster_call(r->c, CLUSTER_ALL, &c);
	c.kind = ART_C_FINALIZE;
	cluster_call(r->c, CLUSTER_ALL, &c);
}

/* ---- what happens ---- */

static int some_host(struct run *r)
{
	int h;

	do
		h = (int)below(r, (uint64_t)r->nhost);
	while (r->hit[h]);
	r->hit[h] = true;
	return h;
}

static uint64_t when(struct run *r)
{
	return 5 * MS + below(r, 40 * MS);
}

/* How many hosts may go, so that the rest is a quorum. */
static int few(const struct run *r)
{
	return (r->nhost - 1) / 2;
}

static void lose_hosts(struct run *r, int hosts)
{
	uint64_t at = when(r);

	for (int i = 0; i < hosts; i++)
		plan(r, at + below(r, MS), VANISH, some_host(r));
}

static void freeze_and_wake(struct run *r)
{
	uint64_t at = when(r);
	int h = some_host(r);

	plan(r, at, STOP_HOST, h);
	plan(r, at + 2 * BOUND + below(r, 10 * BOUND), WAKE_HOST, h);
}

static void stop_and_wake(struct run *r)
{
	uint64_t at = when(r);
	int k = (int)below(r, (uint64_t)r->n);

	r->hit[r->hosts[k]] = true;
	plan(r, at, STOP_RANK, 0)->to = k;
	plan(r, at + 4 * BOUND + below(r, 4 * BOUND), WAKE_RANK, 0)->to = k;
}

static uint32_t minority(struct run *r)
{
	uint32_t set = 0;
	int most = 1 + (int)below(r, (uint64_t)few(r));

	for (int i = 0; i < most; i++)
		set |= 1u << 2 * some_host(r);
	return set;
}

static void split(struct run *r, uint64_t heal_after)
{
	uint64_t at = when(r);

	plan(r, at, GROUPS, 0)->set = minority(r);
	if (heal_after)
		plan(r, at + heal_after, HEAL, 0);
}

static void three_groups(struct run *r)
{
	uint64_t at = when(r);
	uint32_t set = 0;

	for (int h = 0; h < r->nhost; h++)
		set |= (uint32_t)(h % 3) << 2 * h;
	plan(r, at, GROUPS, 0)->set = set;
	plan(r, at + 2 * BOUND + below(r, 10 * BOUND), HEAL, 0);
}

static void agents_end(struct run *r)
{
	for (int i = 0; i < 2 && i < r->nhost; i++)
		plan(r, when(r), KILL_RANK, 0)->to = first_rank(r, some_host(r));
}

static void agents_nap(struct run *r)
{
	for (int i = 0; i < 2 && i < r->nhost; i++)
		plan(r, when(r), NAP_RANK, 0)->to = first_rank(r, some_host(r));
}

/* One edge, one way, healed after a while: nobody is to leave for it. */
static void one_edge(struct run *r)
{
	uint64_t at = when(r);
	struct act *a = plan(r, at, CUT_EDGE, (int)below(r, (uint64_t)r->n));

	do
		a->to = (int)below(r, (uint64_t)r->n);
	while (r->hosts[a->to] == r->hosts[a->host]);
	plan(r, at + 3 * BOUND, HEAL, 0);
}

/* Two hosts that do not reach each other any more, in one direction or both. */
static void cut_for_good(struct run *r, uint64_t at, int a, int b)
{
	unsigned ways = 1 + (unsigned)below(r, 3);

	for (int i = 0; i < r->n; i++)
		for (int k = 0; k < r->n; k++)
			if ((ways & 1 && r->hosts[i] == a && r->hosts[k] == b) ||
			    (ways & 2 && r->hosts[i] == b && r->hosts[k] == a))
				plan(r, at, CUT_EDGE, i)->to = k;
}

/* Healed late or never. */
static void cut_hosts(struct run *r, uint64_t at, int a, int b)
{
	cut_for_good(r, at, a, b);
	if (below(r, 3) == 0)
		plan(r, at + 3 * BOUND + below(r, 300 * MS), HEAL, 0);
}

static void dead_edge(struct run *r)
{
	int a = (int)below(r, (uint64_t)r->nhost);

	cut_hosts(r, when(r), a, (a + 1 + (int)below(r, (uint64_t)r->nhost - 1)) % r->nhost);
}

/* One host with two dead edges, one of them to the neighbour that would carry for it: it may have to
 * leave, if both are its observers; all others stay. Somebody may die, too. */
static void dead_edges(struct run *r)
{
	int a = some_host(r), step = 1 + (int)below(r, (uint64_t)r->nhost - 2);
	uint64_t at = when(r);

	cut_hosts(r, at, a, (a + step) % r->nhost);
	cut_hosts(r, at + below(r, 5 * BOUND), a, (a + step + 1) % r->nhost);
	if (below(r, 2))
		plan(r, when(r) + below(r, 10 * BOUND), KILL_RANK, 0)->to = first_rank(r, some_host(r));
}

/* A change of the view that takes long, because some hear of it late. */
static void slow_change(struct run *r, uint64_t at)
{
	plan(r, at, BREAK, 0)->to = r->n - 1;
	for (int k = 1; k < r->n; k += 2)
		plan(r, at, HOLD, 0)->to = k;
}

/* One or two dead edges for good, without a host in common. The first may be found while a change of the
 * view is under way, when the promises are out. */
static void around(struct run *r)
{
	int a = some_host(r), b = some_host(r);
	uint64_t at = when(r);

	cut_for_good(r, at, a, b);
	plan(r, at, LOOK, 0);
	if (below(r, 2)) {
		a = some_host(r);
		cut_for_good(r, at + below(r, 5 * BOUND), a, some_host(r));
	} else if (below(r, 2)) {
		slow_change(r, at + BOUND / 2);
	}
}

static void links_break(struct run *r)
{
	for (int i = 0; i < 3; i++) {
		struct act *a = plan(r, when(r), BREAK, (int)below(r, (uint64_t)r->n));

		do
			a->to = (int)below(r, (uint64_t)r->n);
		while (a->to == a->host);
	}
}

static void weather(struct run *r)
{
	r->cfg.beat_loss = (unsigned)below(r, 25);
	r->cfg.far.spike_ns = 3 * MS;
	r->cfg.far.spike_log2 = 3;
}

static void many(struct run *r)
{
	lose_hosts(r, 1);
	freeze_and_wake(r);
	if (below(r, 2))
		agents_nap(r);
	if (below(r, 2))
		links_break(r);
}

static void draw_faults(struct run *r)
{
	r->must_finish = true;
	switch (r->profile) {
	case QUIET: case SLOW: r->nobody_leaves = true; break;
	case LOST: lose_hosts(r, 1); break;
	case RACK: lose_hosts(r, few(r)); break;
	case STOPPED: stop_and_wake(r); break;
	case FROZEN: freeze_and_wake(r); break;
	case AGENT: agents_end(r); break;
	case NAP: agents_nap(r); r->nobody_leaves = true; break;
	case SPLIT: split(r, 0); break;
	case HEALED: split(r, 3 * BOUND + below(r, 40 * BOUND)); break;
	case NONE_QUORATE: three_groups(r); r->must_finish = false; break;
	case MUTE: plan(r, when(r), CUT_OUT, some_host(r)); break;
	case DEAF: plan(r, when(r), CUT_IN, some_host(r)); break;
	case EDGE: one_edge(r); r->nobody_leaves = true; break;
	case LINKS: links_break(r); r->nobody_leaves = true; break;
	case CERTIFIED: agents_end(r); links_break(r); break;
	case MANY: many(r); break;
	case DEAD_EDGE: dead_edge(r); r->nobody_leaves = true; break;
	case DEAD_EDGES: dead_edges(r); break;
	case AROUND: around(r); r->nobody_leaves = true; break;
	case PROFILES: break;
	}
}

/* ---- what must be ---- */

static void check_innocent(struct run *r, int k)
{
	struct cluster_result last;

	if (cluster_fate(r->c, k))
		cluster_fail(r->c, "rank %d has fate %d, and nothing happened to its host", k,
			     cluster_fate(r->c, k));
	if (!cluster_finished(r->c, k))
		cluster_fail(r->c, "rank %d has not finished", k);
	cluster_result(r->c, k, r->calls, &last);
	if (last.returned && last.returned_ns - r->fault_ns > r->worst_ns && r->fault_ns)
		r->worst_ns = last.returned_ns - r->fault_ns;
}

static void check(struct run *r)
{
	int gone = 0;

	for (int k = 0; k < r->n; k++) {
		gone += !cluster_alive(r->c, k) || cluster_fate(r->c, k);
		if (r->nobody_leaves && (cluster_fate(r->c, k) || !cluster_finished(r->c, k)))
			cluster_fail(r->c, "rank %d: fate %d, finished %d, and nobody had to leave", k,
				     cluster_fate(r->c, k), cluster_finished(r->c, k));
		else if (r->must_finish && !r->hit[r->hosts[k]])
			check_innocent(r, k);
	}
	if (r->profile == NONE_QUORATE && gone == r->n)
		cluster_fail(r->c, "the network healed in time, and nobody goes on");
}

static uint64_t worst[PROFILES], settled;

static unsigned run(enum profile profile, uint64_t seed, bool verbose)
{
	struct run r = { .rng = { seed * 32 + profile }, .profile = profile };
	unsigned bad;

	draw_job(&r, seed);
	if (profile == SLOW || profile == MANY || below(&r, 4) == 0)
		weather(&r);
	r.cfg.verbose = verbose;
	nacts = 0;
	r.c = cluster_create(&r.cfg);
	if (!r.c)
		return 1;
	draw_program(&r);
	draw_faults(&r);
	cluster_run(r.c);
	check(&r);
	settled += r.settled;
	if (r.worst_ns > worst[profile])
		worst[profile] = r.worst_ns;
	bad = cluster_violations(r.c);
	if (bad) {
		printf("FAIL silence --profile %s --seed %llu\n", names[profile],
		       (unsigned long long)seed);
		cluster_print(r.c, stdout);
	}
	return bad + cluster_destroy(r.c);
}

static unsigned run_seeds(enum profile p, uint64_t first, uint64_t last, bool verbose)
{
	unsigned failed = 0;

	for (uint64_t seed = first; seed < last && failed < 3; seed++)
		failed += run(p, seed, verbose) != 0;
	printf("%-14s %4llu seeds, %u failed; fault to the end of the last call at most %llu ms\n",
	       names[p], (unsigned long long)(last - first), failed,
	       (unsigned long long)(worst[p] / MS));
	if (p == AROUND) {
		printf("               views of %llu knew all dead edges for long\n",
		       (unsigned long long)settled);
		failed += last - first > 9 && 2 * settled < last - first;
	}
	return failed;
}

static unsigned check_marks(void)
{
	unsigned missing = 0;

	for (int i = (int)ART_M_DETECTOR; i < (int)ART_M_COUNT; i++) {
		printf("%10llu %s\n", (unsigned long long)cluster_marks[i],
		       art__mark_name((enum art_mark)i));
		if (cluster_marks[i])
			continue;
		printf("FAIL mark %s was never hit\n", art__mark_name((enum art_mark)i));
		missing++;
	}
	return missing;
}

/* Of every profile; SILENCE_SEEDS asks for fewer, of which not all marks can be expected. */
static uint64_t seeds_wanted(void)
{
	const char *wanted = getenv("SILENCE_SEEDS");
	uint64_t n = wanted ? strtoull(wanted, NULL, 10) : SEEDS;

	return n > 0 ? n : SEEDS;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 1 + seeds_wanted();
	bool verbose = false, all = true;
	enum profile only = PROFILES;
	unsigned failed = 0;
	char *rest;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
		} else if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc) {
			for (i++, only = 0; only < PROFILES && strcmp(names[only], argv[i]); only++)
				;
			all = false;
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			first = strtoull(argv[++i], &rest, 10);
			last = *rest == ':' ? strtoull(rest + 1, NULL, 10) : first + 1;
			all = false;
		} else {
			only = PROFILES;
			all = false;
			first = last = 0;
		}
	}
	if (!all && first == last) {
		fprintf(stderr, "usage: silence [--profile NAME] [--seed A[:B]] [--verbose]\n");
		return 2;
	}
	for (enum profile p = 0; p < PROFILES; p++)
		if (only == PROFILES || only == p)
			failed += run_seeds(p, first, last, verbose);
	if (all && last > SEEDS)
		failed += check_marks();
	return failed != 0;
}
