/* SPDX-License-Identifier: MIT
 *
 * What goes wrong, and when: kills, suspicions, cuts and pauses at once, after a time, or at a
 * coordinate, and who is told of them. Every fault adds its word to the coordinate line.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/report.h"
#include "tests/lib/cluster_impl.h"

#define HOLD_LOOKS 20 /* times a hold looks for its epoch per planned duration */

/* ---- the coordinate line ---- */

void cluster__note(struct cluster *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (c->coord_len + 1 >= sizeof(c->coord))
		return;
	va_start(ap, fmt);
	n = vsnprintf(c->coord + c->coord_len, sizeof(c->coord) - c->coord_len, fmt, ap);
	va_end(ap);
	if (n > 0)
		c->coord_len += (size_t)n;
	if (c->coord_len >= sizeof(c->coord))
		c->coord_len = sizeof(c->coord) - 1;
}

static void count_fault(struct cluster *c)
{
	if (c->faults < MAX_FAULTS)
		for (int k = 0; k < c->n; k++)
			c->rank[k].fault_base[c->faults] = c->rank[k].steps;
	c->faults++;
	c->last_fault_ns = cluster_now(c);
}

/* ---- coordinates ---- */

/* Where @r is, in the words of its plan. */
static bool is_at(const struct crank *r, const struct cluster_at *at)
{
	const struct cluster *c = r->cluster;

	if (at->op >= 0)
		return r->ops_started == at->op && r->attempt == at->attempt && r->since == at->step;
	if (at->attempt <= 0)
		return r->steps == at->step;
	if ((uint64_t)at->attempt > c->faults || at->attempt > MAX_FAULTS)
		return false;
	return r->steps - r->fault_base[at->attempt - 1] == at->step;
}

static void note_at(struct cluster *c, const char *what, const struct crank *r)
{
	cluster__note(c, " %s=%d:%d:%llu:%d", what, r->slot, r->ops_started,
		      (unsigned long long)r->since, r->attempt);
}

static void fire_plans(struct crank *r)
{
	struct cluster *c = r->cluster;

	for (int k = 0; k < c->nplans; k++) {
		struct plan *p = &c->plan[k];

		if (p->hit || p->at.rank != r->slot || !is_at(r, &p->at))
			continue;
		p->hit = true;
		if (p->kill) {
			c->kills_hit++;
			cluster_kill(c, r->slot);
		} else {
			note_at(c, "at", r);
			p->fn(c, p->arg);
		}
		if (r->dead)
			return;
	}
}

/* The counters of (op, attempt) begin anew when either has moved. */
static void follow(struct crank *r)
{
	uint32_t e = r->core ? art__core_epoch(r->core) : r->epoch;
	int attempt = (int)(e - r->epoch_at_op);

	if (attempt == r->attempt)
		return;
	r->attempt = attempt;
	r->since = 0;
}

bool cluster__step(struct crank *r)
{
	if (r->dead)
		return false;
	follow(r);
	if (r->cluster->nplans)
		fire_plans(r);
	if (r->dead)
		return false;
	r->steps++;
	r->since++;
	return true;
}

static void add_plan(struct cluster *c, const struct cluster_at *at, bool kill,
		     void (*fn)(struct cluster *c, void *arg), void *arg)
{
	assert(c->nplans < MAX_PLANS && at->rank >= 0 && at->rank < c->n);
	c->plan[c->nplans++] = (struct plan){ .at = *at, .kill = kill, .fn = fn, .arg = arg };
}

void cluster_kill_at(struct cluster *c, const struct cluster_at *at)
{
	add_plan(c, at, true, NULL, NULL);
}

void cluster_do_at(struct cluster *c, const struct cluster_at *at,
		   void (*fn)(struct cluster *c, void *arg), void *arg)
{
	add_plan(c, at, false, fn, arg);
}

int cluster_kills_hit(const struct cluster *c)
{
	return c->kills_hit;
}

static bool parse_field(const char **s, char end, uint64_t *out)
{
	char *e;

	if (**s < '0' || **s > '9')
		return false;
	*out = strtoull(*s, &e, 10);
	if (*e != end)
		return false;
	*s = e + (end != 0);
	return true;
}

bool cluster_at_parse(const char *text, struct cluster_at *at)
{
	uint64_t rank, op = 0, step, attempt;
	bool star;

	if (!parse_field(&text, ':', &rank))
		return false;
	star = text[0] == '*' && text[1] == ':';
	if (star)
		text += 2;
	else if (!parse_field(&text, ':', &op))
		return false;
	if (!parse_field(&text, ':', &step) || !parse_field(&text, 0, &attempt) ||
	    rank > INT32_MAX || op > INT32_MAX || attempt > INT32_MAX)
		return false;
	*at = (struct cluster_at){ .rank = (int)rank, .op = star ? -1 : (int)op, .step = step,
				   .attempt = (int)attempt };
	return true;
}

/* ---- verdicts ---- */

#define VERDICT_DEAD (UINT64_C(1) << 32)
#define VERDICT_IF_CUT (UINT64_C(1) << 33)
#define VERDICT_ANEW (UINT64_C(1) << 34) /* for whoever has heard it since, late, and trusts it again */

/* Is it a member, and nobody that @r waits to see go? */
static bool trusts(const struct crank *r, int slot)
{
	struct art_report *report = calloc(1, sizeof(*report));
	bool yes = false;

	if (report && r->machine && !r->dead) {
		r->machine->ops->describe(r->machine, report);
		yes = art__set_has(&report->members, (uint32_t)slot) &&
		      !art__set_has(&report->suspect, (uint32_t)slot);
	}
	free(report);
	return yes;
}

static void deliver_verdict(struct crank *r, uint64_t word)
{
	struct cluster *c = r->cluster;
	int slot = (int)(uint32_t)word;
	bool dead = word & VERDICT_DEAD;

	if ((word & VERDICT_IF_CUT) && !c->cut[r->slot * c->n + slot])
		return;
	if ((word & VERDICT_ANEW) && !trusts(r, slot))
		return;
	if (!cluster__enter(r))
		return;
	word_add(c->accused, slot);
	cluster__log(c, r->slot, "told that rank %d is %s", slot, dead ? "dead" : "suspect");
	if (dead)
		r->machine->ops->dead(r->machine, slot, c->rank[slot].noted.epoch,
				      &c->rank[slot].noted.members, c->cfg.early);
	else
		r->machine->ops->suspect(r->machine, slot);
	cluster__leave(r);
}

static void tell(struct cluster *c, int observer, uint64_t word, uint64_t ns)
{
	int slot = (int)(uint32_t)word;

	for (int k = 0; k < c->n; k++)
		if (k != slot && (observer == CLUSTER_ALL || observer == k) && !c->rank[k].dead)
			cluster__at(&c->rank[k], ns, deliver_verdict, word);
}

void cluster_dead(struct cluster *c, int observer, int rank, uint64_t after_ns)
{
	assert(c->rank[rank].dead);
	tell(c, observer, (uint64_t)rank | VERDICT_DEAD, after_ns);
}

void cluster_suspect(struct cluster *c, int observer, int rank, uint64_t after_ns)
{
	count_fault(c);
	cluster__note(c, " suspect=%d:%d@%llu", observer, rank,
		      (unsigned long long)(cluster_now(c) + after_ns));
	tell(c, observer, (uint64_t)rank, after_ns);
}

static uint64_t between(struct cluster *c, uint64_t min, uint64_t max)
{
	return min + (max > min ? cluster__below(c, max - min + 1) : 0);
}

static bool host_lives(const struct cluster *c, int rank)
{
	for (int k = 0; k < c->n; k++)
		if (!c->rank[k].dead && (!c->cfg.hosts || c->cfg.hosts[k] == c->cfg.hosts[rank]))
			return true;
	return false;
}

static void announce(struct cluster *c, int rank)
{
	const struct cluster_cfg *f = &c->cfg;
	bool proven = f->evidence == CLUSTER_PROVEN ||
		      (f->evidence == CLUSTER_BY_HOST && host_lives(c, rank));

	if (f->evidence == CLUSTER_SILENT)
		return;
	for (int k = 0; k < c->n; k++) {
		if (k == rank || c->rank[k].dead)
			continue;
		if (f->evidence == CLUSTER_LOCAL) {
			if (!f->hosts || f->hosts[k] == f->hosts[rank])
				cluster_dead(c, k, rank, between(c, f->dead_min_ns, f->dead_max_ns));
			continue;
		}
		if (proven)
			cluster_dead(c, k, rank, between(c, f->dead_min_ns, f->dead_max_ns));
		else
			tell(c, k, (uint64_t)rank,
			     between(c, f->suspect_min_ns, f->suspect_max_ns));
	}
}

/* ---- faults ---- */

void cluster_kill(struct cluster *c, int rank)
{
	struct crank *r = &c->rank[rank];

	if (r->dead)
		return;
	note_at(c, "kill", r);
	cluster__log(c, rank, "killed");
	cluster__app_keepers(r);
	count_fault(c);
	r->dead = true;
	word_add(c->was_killed, rank);
	art__sim_kill(c->world, rank);
	announce(c, rank);
}

static void set_cut(struct cluster *c, int a, int b, bool on)
{
	c->cut[a * c->n + b] = on;
}

void cluster_cut(struct cluster *c, int from, int to, enum art_sim_cut how)
{
	count_fault(c);
	cluster__note(c, " cut=%d>%d:%d@%llu", from, to, (int)how, (unsigned long long)cluster_now(c));
	set_cut(c, from, to, how != ART_SIM_OPEN);
	if (c->cfg.detector && how != ART_SIM_OPEN) {
		word_add(c->accused, from);
		word_add(c->accused, to);
	}
	art__sim_cut(c->world, from, to, how);
}

void cluster_break(struct cluster *c, int channel, int a, int b)
{
	count_fault(c);
	cluster__note(c, " break=%d:%d-%d@%llu", channel, a, b, (unsigned long long)cluster_now(c));
	art__sim_break(c->world, (uint32_t)channel, a, b);
}

void cluster_partition(struct cluster *c, const int *group, bool verdicts)
{
	const struct cluster_cfg *f = &c->cfg;

	count_fault(c);
	cluster__note(c, " partition=");
	for (int k = 0; k < c->n; k++)
		cluster__note(c, "%d", group[k]);
	cluster__note(c, "%s@%llu", verdicts ? "v" : "", (unsigned long long)cluster_now(c));
	art__sim_partition(c->world, group);
	for (int a = 0; a < c->n; a++) {
		for (int b = 0; b < c->n; b++) {
			set_cut(c, a, b, group[a] != group[b]);
			if (c->cfg.detector && group[a] != group[b])
				word_add(c->accused, a);
			if (verdicts && group[a] != group[b])
				tell(c, a, (uint64_t)b | VERDICT_IF_CUT,
				     between(c, f->suspect_min_ns, f->suspect_max_ns));
		}
	}
}

/* Whoever was silent and is heard again is silent again if what came had only been on its way. */
static void suspect_anew(struct cluster *c, int rank)
{
	const struct cluster_cfg *f = &c->cfg;
	bool proven = f->evidence == CLUSTER_PROVEN ||
		      (f->evidence == CLUSTER_BY_HOST && host_lives(c, rank));

	if (!proven && f->evidence != CLUSTER_SILENT && f->evidence != CLUSTER_LOCAL)
		tell(c, CLUSTER_ALL, (uint64_t)rank | VERDICT_ANEW, f->suspect_max_ns);
}

void cluster_heal(struct cluster *c)
{
	cluster__note(c, " heal@%llu", (unsigned long long)cluster_now(c));
	cluster__log(c, -1, "healed");
	c->last_fault_ns = cluster_now(c);
	memset(c->cut, 0, (size_t)c->n * (size_t)c->n * sizeof(*c->cut));
	art__sim_heal_all(c->world);
	for (int k = 0; k < c->n; k++) {
		if (c->rank[k].paused)
			cluster_pause(c, k, false);
		if (c->rank[k].dead)
			suspect_anew(c, k);
	}
}

/* What the application did not see while it was stopped. */
static void go_on(struct crank *r, uint64_t word)
{
	(void)word;
	cluster__app_run(r);
}

static void set_paused(struct cluster *c, int rank, bool on)
{
	c->last_fault_ns = cluster_now(c);
	c->rank[rank].paused = on;
	art__sim_pause(c->world, rank, on);
	if (!on && !c->rank[rank].dead)
		cluster__at(&c->rank[rank], 0, go_on, 0);
}

void cluster_pause(struct cluster *c, int rank, bool on)
{
	cluster__note(c, " %s=%d@%llu", on ? "pause" : "resume", rank,
		      (unsigned long long)cluster_now(c));
	if (on)
		count_fault(c);
	if (on && c->cfg.detector)
		word_add(c->accused, rank);
	set_paused(c, rank, on);
}

void cluster_may_leave(struct cluster *c, int rank)
{
	word_add(c->accused, rank);
}

/* ---- later ---- */

static struct timed *new_timed(struct cluster *c)
{
	struct timed *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->cluster = c;
	t->next = c->timed;
	c->timed = t;
	return t;
}

static void run_timed(void *self, uint64_t word)
{
	struct timed *t = self;

	(void)word;
	if (t->fn)
		t->fn(t->cluster, t->arg);
}

static void start_timed(struct timed *t, uint64_t ns)
{
	if (art__sim_at(t->cluster->world, cluster_now(t->cluster) + ns, run_timed, t, 0) < 0)
		abort();
}

void cluster_after(struct cluster *c, uint64_t ns, void (*fn)(struct cluster *c, void *arg),
		   void *arg)
{
	struct timed *t = new_timed(c);

	t->fn = fn;
	t->arg = arg;
	start_timed(t, ns);
}

static void nap_ends(struct cluster *c, void *arg)
{
	set_paused(c, ((struct timed *)arg)->to, false);
}

void cluster_nap(struct cluster *c, int rank, uint64_t ns)
{
	struct timed *t = new_timed(c);

	t->fn = nap_ends;
	t->arg = t;
	t->to = rank;
	set_paused(c, rank, true);
	start_timed(t, ns);
}

static void look_at_hold(struct cluster *c, void *arg)
{
	struct timed *t = arg;
	const struct crank *r = &c->rank[t->to];

	if (!r->dead && t->epochs && r->epoch < t->epoch + (uint32_t)t->epochs &&
	    cluster_now(c) < t->until) {
		start_timed(t, t->step);
		return;
	}
	cluster__log(c, -1, "frames from %d to %d go on", t->from, t->to);
	c->last_fault_ns = cluster_now(c);
	art__sim_hold(c->world, (uint32_t)t->channel, t->from, t->to, false);
}

void cluster_hold(struct cluster *c, int channel, int from, int to, uint64_t ns, int epochs)
{
	struct timed *t = new_timed(c);

	count_fault(c);
	cluster__note(c, " hold=%d:%d>%d:%llu:%d@%llu", channel, from, to, (unsigned long long)ns, epochs,
		      (unsigned long long)cluster_now(c));
	art__sim_hold(c->world, (uint32_t)channel, from, to, true);
	t->fn = look_at_hold;
	t->arg = t;
	t->channel = channel;
	t->from = from;
	t->to = to;
	t->epochs = epochs;
	t->epoch = c->rank[to].epoch;
	t->until = cluster_now(c) + 10 * ns;
	t->step = ns / HOLD_LOOKS + 1;
	start_timed(t, ns);
}
