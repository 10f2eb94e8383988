/* SPDX-License-Identifier: MIT
 *
 * Runs what schedule.c has drawn: hands calls and faults to the cluster, counts what happened,
 * prints what went wrong with the line that repeats it.
 */
#include "tests/lib/scenario.h"

#include <string.h>

#include <art/art.h>

#include "coll/combine.h"

uint64_t scenario_next(struct scenario_rng *r)
{
	uint64_t x = r->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t scenario_below(struct scenario_rng *r, uint64_t bound)
{
	return scenario_next(r) % bound;
}

bool scenario_chance(struct scenario_rng *r, unsigned percent)
{
	return scenario_below(r, 100) < percent;
}

/* ---- names ---- */

static const char *const profile_names[SCENARIO_PROFILES] = {
	[SCENARIO_MIXED] = "mixed", [SCENARIO_SPLIT] = "split", [SCENARIO_LATE] = "late",
	[SCENARIO_BALLOT] = "ballot", [SCENARIO_OLD] = "old", [SCENARIO_RERUN] = "rerun",
	[SCENARIO_ODD] = "odd",
	[SCENARIO_POLICY] = "policy",
	[SCENARIO_HALVES] = "halves", [SCENARIO_LEVELS] = "levels",
	[SCENARIO_EDGES] = "edges", [SCENARIO_COMMS] = "comms",
};

const char *scenario_profile_name(enum scenario_profile p)
{
	return profile_names[p];
}

bool scenario_profile_parse(const char *name, enum scenario_profile *out)
{
	for (int i = 0; i < SCENARIO_PROFILES; i++) {
		if (strcmp(name, profile_names[i]) == 0) {
			*out = (enum scenario_profile)i;
			return true;
		}
	}
	return false;
}

const char *scenario_class_text(enum scenario_class c)
{
	static const char *const text[SCENARIO_CLASSES] = {
#define SCENARIO_CLASS_TEXT(name, words) words,
		SCENARIO_CLASS_LIST(SCENARIO_CLASS_TEXT)
#undef SCENARIO_CLASS_TEXT
	};
	return text[c];
}

const char *scenario_coll_name(enum art_coll kind)
{
	static const char *const names[] = {
		[ART_C_BARRIER] = "barrier", [ART_C_BCAST] = "bcast", [ART_C_REDUCE] = "reduce",
		[ART_C_ALLREDUCE] = "allreduce", [ART_C_DUP] = "dup", [ART_C_SETLOSS] = "set_loss",
		[ART_C_FREE] = "free", [ART_C_FINALIZE] = "finalize",
		[ART_C_SPLIT] = "split", [ART_C_CREATE] = "create",
		[ART_C_AGREE] = "agree", [ART_C_SHRINK] = "shrink",
		[ART_C_SETFLAGS] = "set_flags",
	};
	return names[kind];
}

/* ---- faults happen ---- */

/* What a fault's callback needs; lives as long as the cluster. */
struct armed {
	struct scenario *s;
	struct scenario_fault *f;
};

static void count(struct scenario *s, enum scenario_class c, uint32_t times)
{
	s->classes[c] += times;
}

/* An epoch is being installed: some are ahead of others. */
static bool recovering(struct cluster *c)
{
	uint32_t epoch = 0, e;

	for (int r = 0; r < cluster_n(c); r++) {
		if (!cluster_alive(c, r))
			continue;
		e = cluster_epoch(c, r);
		if (epoch && e != epoch)
			return true;
		epoch = e;
	}
	return false;
}

static void count_kills(struct cluster *c, struct scenario *s, uint32_t live)
{
	uint32_t n = (uint32_t)__builtin_popcount(live), total = 0;

	for (int r = 0; r < s->n; r++)
		total += cluster_alive(c, r);
	count(s, SCENARIO_C_KILL, n);
	if (s->cfg.evidence != CLUSTER_PROVEN)
		count(s, SCENARIO_C_UNPROVEN, n);
	if (n > 1)
		count(s, SCENARIO_C_TOGETHER, 1);
	if (n + 1 == total && s->n > 2)
		count(s, SCENARIO_C_ALL_BUT_ONE, 1);
	count(s, SCENARIO_C_RECOVERY, recovering(c));
}

static void do_kill(struct cluster *c, struct scenario *s, const struct scenario_fault *f)
{
	uint32_t live = 0;

	for (int r = 0; r < s->n; r++) {
		if (f->set >> r & 1 && cluster_alive(c, r))
			live |= 1u << r;
	}
	count_kills(c, s, live);
	for (int r = 0; r < s->n; r++) {
		if (live >> r & 1)
			cluster_kill(c, r);
	}
}

static void do_suspect(struct cluster *c, struct scenario *s, const struct scenario_fault *f)
{
	for (int r = 0; r < s->n; r++) {
		if (!(f->set >> r & 1) || r == f->rank)
			continue;
		cluster_suspect(c, f->rank < 0 ? CLUSTER_ALL : f->rank, r, 0);
		count(s, SCENARIO_C_SUSPECT, cluster_alive(c, r));
	}
}

static void do_partition(struct cluster *c, struct scenario *s, const struct scenario_fault *f)
{
	int group[SCENARIO_RANKS], lowest = 0;
	int with = __builtin_popcount(f->set);

	for (int r = 0; r < s->n; r++)
		group[r] = f->set >> r & 1;
	while (lowest < s->n - 1 && !cluster_alive(c, lowest))
		lowest++;
	cluster_partition(c, group, f->on);
	count(s, SCENARIO_C_PARTITION, 1);
	count(s, SCENARIO_C_TIE_BREAK, s->lowest_half && with * 2 == s->n);
	count(s, SCENARIO_C_ARBITER, s->cfg.arbiter && with * 2 == s->n);
	if ((group[lowest] ? with : s->n - with) * 2 < s->n)
		count(s, SCENARIO_C_MINORITY, 1);
}

static void do_edge(struct cluster *c, struct scenario *s, const struct scenario_fault *f)
{
	for (int i = 0; i < s->n; i++)
		for (int k = 0; k < s->n; k++) {
			if (s->hosts[i] != s->hosts[f->rank] || s->hosts[k] != s->hosts[f->peer])
				continue;
			if (f->how & 1)
				cluster_cut(c, i, k, ART_SIM_STALL);
			if (f->how & 2)
				cluster_cut(c, k, i, ART_SIM_STALL);
		}
	count(s, SCENARIO_C_EDGE, 1);
}

static void do_hold(struct cluster *c, struct scenario *s, const struct scenario_fault *f)
{
	for (int r = 0; r < s->n; r++) {
		if (f->set >> r & 1 && r != f->rank)
			cluster_hold(c, f->how, f->rank, r, f->ns, f->epochs);
	}
	count(s, SCENARIO_C_HOLD, f->epochs > 0);
}

/* No kernel loses bytes of a connection that lives on: what has vanished ends it. */
static void undo(struct cluster *c, void *arg)
{
	const struct armed *a = arg;
	const struct scenario_fault *f = a->f;

	if (f->kind == SCENARIO_F_PAUSE) {
		cluster_pause(c, f->rank, false);
		return;
	}
	cluster_heal(c);
	count(a->s, SCENARIO_C_HEAL, 1);
	if (f->kind != SCENARIO_F_CUT || f->how != ART_SIM_VANISH)
		return;
	for (int chan = 0; chan < ART_SIM_CHANNELS; chan++)
		cluster_break(c, chan, f->rank, f->peer);
}

static void do_fault(struct cluster *c, void *arg)
{
	struct armed *a = arg;
	struct scenario *s = a->s;
	struct scenario_fault *f = a->f;

	if (f->hit)
		return;
	f->hit = true;
	switch (f->kind) {
	case SCENARIO_F_KILL: do_kill(c, s, f); break;
	case SCENARIO_F_SUSPECT: do_suspect(c, s, f); break;
	case SCENARIO_F_PARTITION: do_partition(c, s, f); break;
	case SCENARIO_F_HOLD: do_hold(c, s, f); break;
	case SCENARIO_F_EDGE: do_edge(c, s, f); break;
	case SCENARIO_F_CUT:
		cluster_cut(c, f->rank, f->peer, (enum art_sim_cut)f->how);
		count(s, SCENARIO_C_ONE_WAY, 1);
		break;
	case SCENARIO_F_PAUSE:
		cluster_pause(c, f->rank, true);
		count(s, SCENARIO_C_PAUSE, 1);
		break;
	case SCENARIO_F_BREAK:
		cluster_break(c, f->how, f->rank, f->peer);
		count(s, SCENARIO_C_BREAK, 1);
		break;
	}
	if (f->undo_ns)
		cluster_after(c, f->undo_ns, undo, a);
}

void scenario_draw_arbiter(struct scenario *s)
{
	unsigned how;

	s->cfg.arbiter = s->profile == SCENARIO_HALVES && !s->lowest_half && scenario_chance(&s->rng, 85);
	if (!s->cfg.arbiter)
		return;
	how = (unsigned)scenario_below(&s->rng, 10);
	if (how < 2)
		s->cfg.arbiter_cut = (uint32_t)scenario_next(&s->rng) & ((1u << s->n) - 1);
	else if (how == 2)
		s->cfg.arbiter_dies_ns = UINT64_C(1000000000) + scenario_below(&s->rng, 3000000);
}

/* It dies, holds back what it says to two others, or does not reach one of them. */
void scenario_draw_relay(struct scenario *s, struct scenario_fault *f)
{
	int relay = (int)scenario_below(&s->rng, (uint64_t)s->n);
	int peer = (relay + 1 + (int)scenario_below(&s->rng, (uint64_t)s->n - 1)) % s->n;
	uint64_t ns = 50000 + scenario_below(&s->rng, scenario_chance(&s->rng, 30) ? 60000000 : 2000000);

	f->rank = relay;
	f->planned = true;
	f->at = (struct cluster_at){
		.rank = relay, .op = -1, .step = scenario_below(&s->rng, 60), .attempt = 1,
	};
	switch (scenario_below(&s->rng, 3)) {
	case 0:
		f->set = 1u << relay;
		break;
	case 1:
		f->kind = SCENARIO_F_HOLD;
		f->how = 1;
		f->set = (1u << peer | 1u << (peer + 1) % s->n) & ~(1u << relay);
		f->ns = ns;
		break;
	default:
		f->kind = SCENARIO_F_CUT;
		f->peer = peer;
		f->how = scenario_chance(&s->rng, 50) ? ART_SIM_STALL : ART_SIM_VANISH;
		f->undo_ns = ns;
	}
}

static struct scenario_fault *edge(struct scenario *s, int rank, int peer)
{
	struct scenario_fault *f = &s->fault[s->nfaults++];

	memset(f, 0, sizeof(*f));
	f->kind = SCENARIO_F_EDGE;
	f->rank = rank;
	f->peer = peer;
	f->how = 1 + (int)scenario_below(&s->rng, 3);
	f->after_ns = scenario_below(&s->rng, 3 * ART_NS_PER_MS);
	if (scenario_chance(&s->rng, 20))
		f->undo_ns = 10 * ART_NS_PER_MS + scenario_below(&s->rng, 30 * ART_NS_PER_MS);
	return f;
}

/* Somebody dies near to some step that follows the first fault: of the change that takes the edge down, of
 * what it runs again, or of any other. */
static void death_beside(struct scenario *s)
{
	struct scenario_fault *f = &s->fault[s->nfaults++];
	int rank = (int)scenario_below(&s->rng, (uint64_t)s->n);

	memset(f, 0, sizeof(*f));
	f->set = 1u << rank;
	f->planned = true;
	f->at = (struct cluster_at){
		.rank = rank, .op = -1, .step = scenario_below(&s->rng, 200), .attempt = 1,
	};
}

void scenario_draw_edges(struct scenario *s)
{
	int per_host = s->n > 5 && scenario_chance(&s->rng, 40) ? 2 : 1;
	int a = (int)scenario_below(&s->rng, (uint64_t)s->n);
	int b = (a + per_host + (int)scenario_below(&s->rng, (uint64_t)(s->n - 2 * per_host + 1))) % s->n;

	for (int r = 0; r < s->n; r++)
		s->hosts[r] = r / per_host;
	s->cfg.detector = true;
	s->cfg.evidence = CLUSTER_LOCAL;
	s->cfg.arena = false;
	while (s->hosts[a] == s->hosts[b])
		b = (b + 1) % s->n;
	edge(s, a, b);
	if (scenario_chance(&s->rng, 50))
		death_beside(s);
	else if (s->hosts[s->n - 1] > 3) /* it has two at most, and others to carry for it */
		edge(s, b, (b + 2 * per_host) % s->n);
}

static void arm_faults(struct cluster *c, struct scenario *s, struct armed *armed)
{
	for (int i = 0; i < s->nfaults; i++) {
		struct scenario_fault *f = &s->fault[i];
		armed[i] = (struct armed){ .s = s, .f = f };
		f->hit = false;
		if (f->planned)
			cluster_do_at(c, &f->at, do_fault, &armed[i]);
		else
			cluster_after(c, f->after_ns, do_fault, &armed[i]);
	}
}

/* ---- a run ---- */

static void sum_up(struct cluster *c, struct scenario *s, struct scenario_totals *t,
		   const uint64_t *marks_before)
{
	uint32_t epoch = 0, replays = 0;

	for (int r = 0; r < s->n; r++) {
		if (cluster_epoch(c, r) > epoch)
			epoch = cluster_epoch(c, r);
	}
	for (int k = 0; k < s->ncalls; k++) {
		struct cluster_result res;
		uint32_t most = 0;
		for (int r = 0; r < s->n; r++) {
			cluster_result(c, r, k, &res);
			if (res.known && res.replays > most)
				most = res.replays;
		}
		replays += most;
	}
	t->seeds++;
	t->view_changes += epoch;
	t->replays += replays;
	t->events += cluster_events(c);
	t->messages += cluster_messages(c, 0) + cluster_messages(c, 1);
	for (int i = 0; i < SCENARIO_CLASSES; i++)
		t->classes[i] += s->classes[i];
	for (int i = 0; i < ART_M_COUNT; i++)
		t->marks[i] += cluster_marks[i] - marks_before[i];
}

unsigned scenario_run(struct scenario *s, struct scenario_totals *t, const char *command, FILE *out,
		      bool detail)
{
	uint64_t before[ART_M_COUNT];
	struct armed armed[SCENARIO_FAULTS];
	struct cluster *c;
	unsigned bad, total;

	for (int i = 0; i < ART_M_COUNT; i++)
		before[i] = cluster_marks[i];
	s->cfg.mutant = s->mutant;
	s->cfg.verbose = s->verbose;
	s->cfg.name = command;
	c = cluster_create(&s->cfg);
	if (!c)
		return 1;
	for (int r = 0; r < s->n; r++)
		cluster_program(c, r, s->item[r], s->nitems);
	arm_faults(c, s, armed);
	cluster_run(c);
	bad = cluster_violations(c);
	if (bad && out)
		fprintf(out, "FAIL %s --profile %s --seed %llu: %s\n", command,
			profile_names[s->profile], (unsigned long long)s->seed,
			cluster_violation(c, 0));
	if (bad && out && detail)
		cluster_print(c, out);
	if (t)
		sum_up(c, s, t, before);
	total = cluster_destroy(c);
	if (total > bad && out)
		fprintf(out, "FAIL %s --profile %s --seed %llu: memory not given back\n", command,
			profile_names[s->profile], (unsigned long long)s->seed);
	if (t)
		t->bad += total > 0;
	return total;
}

/* ---- in words ---- */

static void print_item(const struct cluster_item *it, FILE *out)
{
	const struct cluster_call *call = &it->call;

	switch (it->verb) {
	case CLUSTER_WAIT: fprintf(out, "wait for %d", it->item); return;
	case CLUSTER_WAITALL: fprintf(out, "wait for all"); return;
	case CLUSTER_SLEEP: fprintf(out, "sleep %llu ns", (unsigned long long)it->ns); return;
	case CLUSTER_EXIT: fprintf(out, "exit"); return;
	case CLUSTER_CALL: break;
	}
	if (call->refuse) {
		fprintf(out, "refused call (%d) on %d", call->refuse, call->comm);
		return;
	}
	fprintf(out, "%s%s on %d", call->flags & CLUSTER_NONBLOCK ? "i" : "",
		scenario_coll_name(call->kind), call->comm);
	if (call->child)
		fprintf(out, " -> %d", call->child);
	if (call->kind == ART_C_SETFLAGS)
		fprintf(out, ", flags %d", call->loss);
	if (call->kind == ART_C_SPLIT)
		fprintf(out, ", colour %d, key %d", call->colour, call->key);
	if (call->kind == ART_C_CREATE)
		fprintf(out, ", slots %#x", call->list);
	if (call->kind > ART_C_BARRIER && call->kind <= ART_C_ALLREDUCE)
		fprintf(out, ", %zu x %s%s%s, flags %#x, root %d", call->count,
			art__type_name(call->type), call->op ? " " : "",
			call->op ? art__op_name(call->op) : "", call->flags, call->root);
	if (call->deadline_ns)
		fprintf(out, ", deadline %llu ns", (unsigned long long)call->deadline_ns);
}

static void print_fault(const struct scenario_fault *f, FILE *out)
{
	static const char *const words[] = {
		"kill", "suspect", "partition", "cut", "hold", "pause", "break", "edge",
	};

	fprintf(out, "  %s", words[f->kind]);
	if (f->planned && f->at.op < 0)
		fprintf(out, " at %d:*:%llu:%d", f->at.rank, (unsigned long long)f->at.step,
			f->at.attempt);
	else if (f->planned)
		fprintf(out, " at %d:%d:%llu:%d", f->at.rank, f->at.op,
			(unsigned long long)f->at.step, f->at.attempt);
	else
		fprintf(out, " after %llu ns", (unsigned long long)f->after_ns);
	fprintf(out, ": rank %d, peer %d, set %#x, how %d, verdicts %s, %llu ns, epochs %d, "
		"undone after %llu ns%s\n", f->rank, f->peer, f->set, f->how, f->on ? "yes" : "no",
		(unsigned long long)f->ns, f->epochs, (unsigned long long)f->undo_ns,
		f->hit ? " (happened)" : "");
}

/* Items differ between ranks in a few places only: those are shown per rank. */
static void print_program(const struct scenario *s, FILE *out)
{
	for (int i = 0; i < s->nitems; i++) {
		fprintf(out, "  %2d ", i);
		print_item(&s->item[0][i], out);
		for (int r = 1; r < s->n; r++) {
			if (memcmp(&s->item[r][i], &s->item[0][i], sizeof(s->item[0][i])) == 0)
				continue;
			fprintf(out, "; rank %d: ", r);
			print_item(&s->item[r][i], out);
		}
		fprintf(out, "\n");
	}
}

void scenario_print(const struct scenario *s, FILE *out)
{
	fprintf(out, "seed %llu, profile %s: %d ranks, hosts", (unsigned long long)s->seed,
		profile_names[s->profile], s->n);
	for (int r = 0; r < s->n; r++)
		fprintf(out, " %d", s->hosts[r]);
	fprintf(out, ", evidence %d, small_max %zu, log_ops %u, radix %d\n", s->cfg.evidence,
		s->small_max, s->log_ops, s->radix);
	print_program(s, out);
	fprintf(out, "faults (coordinates are rank:op:step:attempt)\n");
	for (int i = 0; i < s->nfaults; i++)
		print_fault(&s->fault[i], out);
}

/* ---- what its ranks are started with ---- */

/* Of the seed alone: kept schedules draw the same numbers as ever. Half of them choose by size. */
static void tune_algorithms(const struct scenario *s, struct art_core_cfg *core)
{
	static const uint8_t rooted[] = { ART_ALGO_TREE, ART_ALGO_CHAIN, ART_ALGO_HALVING };
	static const uint8_t down[] = { ART_ALGO_TREE, ART_ALGO_CHAIN, ART_ALGO_SCATTER, ART_ALGO_SCATTER };
	static const uint8_t sum[] = { ART_ALGO_TREE, ART_ALGO_CHAIN, ART_ALGO_DOUBLING,
				       ART_ALGO_RING, ART_ALGO_HALVING, ART_ALGO_HALVING };
	uint64_t x = (s->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 33;

	if (x >> 15 & 1)
		core->halving_min = core->twotree_min = 2048;
	if (x >> 20 & 1 && s->hosts[s->n - 1] != s->hosts[0]) {
		memset(core->algo, ART_ALGO_LEADERS, sizeof(core->algo));
		return;
	}
	if (x & 1)
		return;
	core->algo[ART_C_BCAST] = down[x >> 13 & 3];
	core->algo[ART_C_REDUCE] = rooted[x >> 16 & 3 ? x >> 2 & 1 : 2];
	core->algo[ART_C_ALLREDUCE] = sum[(x >> 3) % (sizeof(sum) / sizeof(sum[0]))];
	if (x >> 12 & 1)
		core->ring_segment = 256;
	for (int kind = ART_C_BCAST; kind <= ART_C_ALLREDUCE; kind++)
		if (core->algo[kind] == ART_ALGO_TREE && x >> 18 & 1)
			core->algo[kind] = art__algo_tree(2 + (int)((x >> (19 + kind)) % 15));
	for (int kind = ART_C_BCAST; kind <= ART_C_ALLREDUCE && x % 7 == 3; kind++)
		core->algo[kind] = ART_ALGO_TWOTREE;
}

void scenario_tune(struct art_core_cfg *core, int rank, void *arg)
{
	const struct scenario *s = arg;

	(void)rank;
	core->small_max = s->small_max;
	core->log_ops = s->log_ops;
	if (s->seed % 5 == 2 && s->profile == SCENARIO_MIXED)
		core->log_bytes = 128; /* longer inputs and results cannot be kept */
	core->radix = s->radix;
	core->crowded = s->seed % 4 == 1;
	core->rings = s->seed % 5 < 2 ? ART_RINGS_NONE : ART_RINGS_ALL;
	if (s->seed % 3 == 1)
		core->hope[0] = core->hope[1] = 16;
	core->buddies = 1 + (s->seed % 4 == 3);
	core->lowest_half = s->lowest_half;
	if (s->profile == SCENARIO_EDGES) { /* calls take less than the usual bound */
		core->heartbeat_ns = ART_NS_PER_MS / 2;
		core->bound_ns = 5 * ART_NS_PER_MS / 2;
		core->star_max = s->seed % 3 ? core->star_max : 2;
	}
	if (s->profile == SCENARIO_LEVELS)
		core->star_max = 1 + (uint32_t)(s->seed % 3);
	tune_algorithms(s, core);
}
