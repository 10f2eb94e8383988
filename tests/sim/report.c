/* SPDX-License-Identifier: MIT
 *
 * Description: what a rank reports of itself (engine/report.h, for art-info) is so: who is waited
 * for, who was lost, whom the detector finds silent or stopped. And asking changes nothing.
 *
 *	report [SCENARIO] [--verbose]
 */
#include <art/art.h>

#include "engine/report.h"
#include "tests/sim/words.h"

#define BOUND (20 * MS)

/* Rank @r says about itself. */
static void asks(struct cluster *c, int r, struct art_report *out)
{
	struct art_machine *m = art__core_machine(cluster_core(c, r));

	memset(out, 0xff, sizeof(*out)); /* what is not filled in is wrong */
	m->ops->describe(m, out);
}

static void is_set(struct cluster *c, const char *what, const struct art_set *s, uint32_t want)
{
	for (uint32_t i = 0; i < (uint32_t)cluster_n(c); i++)
		if (art__set_has(s, i) != (want >> i & 1))
			cluster_fail(c, "%s %s rank %u", what, want >> i & 1 ? "lacks" : "has", i);
}

static void is(struct cluster *c, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		cluster_fail(c, "%s is %llu, not %llu", what, (unsigned long long)got,
			     (unsigned long long)want);
}

static void tune(struct art_core_cfg *core, int rank, void *unused)
{
	(void)rank;
	(void)unused;
	core->heartbeat_ns = BOUND / 5;
	core->bound_ns = BOUND;
}

static struct cluster *watched_job(int ranks, const int *hosts, const char *name)
{
	struct cluster_cfg cfg;

	cluster_defaults(&cfg, ranks, 7);
	cfg.hosts = hosts;
	cfg.detector = true;
	cfg.evidence = CLUSTER_LOCAL;
	cfg.tune = tune;
	return job_with(&cfg, name);
}

/* ---- scenarios ---- */

static unsigned an_open_operation_names_who_is_missing(const char *name)
{
	struct cluster *c = job_of(4, name);
	struct art_report r;

	sleeps(c, 2, 20000 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_until(c, cluster_all_finished, NULL, 11000 * MS); /* asked around after 10 s */
	asks(c, 0, &r);
	is(c, "slot", (uint64_t)r.slot, 0);
	is(c, "size", (uint64_t)r.size, 4);
	is(c, "open ops", (uint64_t)r.nop, 1);
	is(c, "all open ops", (uint64_t)r.nop_all, 1);
	is(c, "communicators", (uint64_t)r.ncomm, 1);
	is(c, "op", strcmp(r.op[0].kind, "allreduce"), 0);
	is(c, "its number", r.op[0].seq, 1);
	is(c, "its bytes", r.op[0].bytes, 4 * sizeof(uint64_t));
	is(c, "asked around", r.op[0].asked, true);
	is_set(c, "entered", &r.op[0].entered, 0xb);
	is_set(c, "missing", &r.op[0].missing, 0x4);
	is(c, "the world is told", r.comm[0].world && r.comm[0].id == r.op[0].comm, true);
	is(c, "calls", r.comm[0].entered, 1);
	asks(c, 2, &r);
	is(c, "open ops of one outside", (uint64_t)r.nop, 0);
	is(c, "calls of one outside", r.comm[0].entered, 0);
	cluster_until(c, cluster_all_finished, NULL, 20000 * MS);
	runs(c);
	return ends(c);
}

static unsigned a_loss_is_in_the_view(const char *name)
{
	struct cluster *c = job_of(4, name);
	struct art_report r;
	int victim = 1;

	sleeps(c, 2, 100 * MS);
	sleeps(c, victim, 200 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, kill_it, &victim);
	cluster_until(c, cluster_all_finished, NULL, 50 * MS);
	asks(c, 3, &r);
	is(c, "epoch", r.epoch, 1);
	is_set(c, "members", &r.members, 0xd);
	is_set(c, "dead of the members", &r.dead, 0);
	is(c, "changing", r.changing, false);
	is(c, "open ops", (uint64_t)r.nop, 1);
	is(c, "its runs besides the first", r.op[0].replays, 1);
	is(c, "fate", r.fate == NULL, true);
	runs(c);
	return ends(c);
}

static bool finds_silent(struct cluster *c, void *report)
{
	asks(c, 0, report);
	return !art__set_empty(&((struct art_report *)report)->silent);
}

static void cut_off(struct cluster *c, void *rank)
{
	for (int k = 0; k < cluster_n(c); k++) {
		if (k == *(int *)rank)
			continue;
		cluster_cut(c, k, *(int *)rank, ART_SIM_STALL);
		cluster_cut(c, *(int *)rank, k, ART_SIM_STALL);
	}
}

static unsigned a_silent_host_is_told_until_it_is_given_up(const char *name)
{
	struct cluster *c = watched_job(5, own_hosts, name);
	struct art_report r;
	int victim = 3;

	sleeps(c, victim, 60 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, cut_off, &victim);
	if (!cluster_until(c, finds_silent, &r, 200 * MS))
		cluster_fail(c, "nobody was ever told to be silent");
	is(c, "heartbeat", r.heartbeat_ns, BOUND / 5);
	is(c, "bound", r.bound_ns, BOUND);
	is(c, "hosts watched", (uint64_t)r.hosts_watched, 4);
	is_set(c, "silent", &r.silent, 1u << victim);
	is(c, "silent for half the bound, not yet for all", r.silent_ns >= BOUND / 2 &&
	   r.silent_ns < BOUND, true);
	is_set(c, "stopped", &r.stopped, 0);
	runs(c);
	asks(c, 0, &r);
	is_set(c, "silent, once out", &r.silent, 0);
	is_set(c, "members", &r.members, 0x1f & ~(1u << victim));
	return ends(c);
}

static bool finds_stopped(struct cluster *c, void *report)
{
	asks(c, 0, report);
	return !art__set_empty(&((struct art_report *)report)->stopped);
}

static void stop_it(struct cluster *c, void *rank)
{
	cluster_pause(c, *(int *)rank, true);
}

static unsigned a_stopped_rank_is_told(const char *name)
{
	struct cluster *c = watched_job(3, NULL, name);
	struct art_report r;
	int victim = 1;

	sleeps(c, victim, 60 * MS);
	sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, stop_it, &victim);
	if (!cluster_until(c, finds_stopped, &r, 200 * MS))
		cluster_fail(c, "nobody was ever told to be stopped");
	is_set(c, "stopped", &r.stopped, 1u << victim);
	is(c, "stopped for less than the bound", r.stopped_ns < BOUND, true);
	is_set(c, "silent", &r.silent, 0);
	is(c, "hosts watched", (uint64_t)r.hosts_watched, 0);
	cluster_until(c, cluster_all_finished, NULL, 10 * BOUND);
	asks(c, 0, &r);
	is_set(c, "stopped, once out", &r.stopped, 0);
	is_set(c, "members", &r.members, 0x5);
	cluster_pause(c, victim, false);
	runs(c);
	return ends(c);
}

/* ---- a dead edge ---- */

static bool both_go_round(struct cluster *c, void *report)
{
	struct art_report *r = report;

	asks(c, 0, r);
	if (!art__set_has(&r->indirect, 2))
		return false;
	asks(c, 2, r);
	return art__set_has(&r->indirect, 0);
}

static bool nobody_goes_round(struct cluster *c, void *report)
{
	struct art_report *r = report;

	asks(c, 0, r);
	if (!art__set_empty(&r->indirect))
		return false;
	asks(c, 2, r);
	return art__set_empty(&r->indirect);
}

/* Dead in these directions (1: from 0 to 2, 2: from 2 to 0), and healed; the change of the view that a
 * death brings then puts the messages back on their way. */
static unsigned a_dead_edge(const char *name, unsigned ways)
{
	struct cluster *c = watched_job(5, own_hosts, name);
	struct art_report r;

	for (int i = 0; i < 40; i++) {
		sums(c, ALL);
		sleeps(c, ALL, 10 * MS);
	}
	finalizes(c, ALL);
	if (ways & 1)
		cluster_cut(c, 0, 2, ART_SIM_STALL);
	if (ways & 2)
		cluster_cut(c, 2, 0, ART_SIM_STALL);
	if (!cluster_until(c, both_go_round, &r, 3000 * MS))
		cluster_fail(c, "0 and 2 do not both have their messages carried");
	is_set(c, "members", &r.members, 0x1f);
	cluster_heal(c);
	cluster_until(c, cluster_all_finished, NULL, 5 * BOUND);
	cluster_kill(c, 4);
	if (!cluster_until(c, nobody_goes_round, &r, 20 * BOUND))
		cluster_fail(c, "messages go round for ever");
	is_set(c, "members", &r.members, 0xf);
	runs(c);
	return ends(c);
}

static unsigned an_edge_is_dead_and_heals(const char *name)
{
	return a_dead_edge(name, 3);
}

static unsigned an_edge_is_dead_one_way_and_heals(const char *name)
{
	return a_dead_edge(name, 1) + a_dead_edge(name, 2);
}

/* The same job, asked by everybody about everything after every event, or not at all. */
static uint64_t events_of_a_job(const char *name, bool ask, unsigned *bad)
{
	struct cluster *c = watched_job(6, own_hosts, name);
	struct art_report r;
	int victim = 4;
	uint64_t events;

	sleeps(c, victim, 60 * MS);
	for (int i = 0; i < 4; i++)
		sums(c, ALL);
	finalizes(c, ALL);
	cluster_after(c, 10 * MS, cut_off, &victim);
	while (ask && !cluster_all_finished(c, NULL) && cluster_step(c))
		for (int k = 0; k < cluster_n(c); k++)
			asks(c, k, &r);
	runs(c);
	events = cluster_events(c);
	*bad += ends(c);
	return events;
}

static unsigned asking_changes_nothing(const char *name)
{
	unsigned bad = 0;
	uint64_t asked = events_of_a_job(name, true, &bad), quiet = events_of_a_job(name, false, &bad);

	if (asked != quiet)
		printf("%llu events with questions, %llu without\n", (unsigned long long)asked,
		       (unsigned long long)quiet);
	return bad + (asked != quiet);
}

static const struct word_scenario scenarios[] = {
	SCENARIO(an_open_operation_names_who_is_missing),
	SCENARIO(a_loss_is_in_the_view),
	SCENARIO(a_silent_host_is_told_until_it_is_given_up),
	SCENARIO(a_stopped_rank_is_told),
	SCENARIO(an_edge_is_dead_and_heals),
	SCENARIO(an_edge_is_dead_one_way_and_heals),
	SCENARIO(asking_changes_nothing),
};

int main(int argc, char **argv)
{
	return scenarios_main(argc, argv, "report", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
