/* SPDX-License-Identifier: MIT
 *
 * From a seed to calls and faults: what the campaign's ranks do and what is done to them. Every
 * choice comes from the scenario's own generator, none from the run, so that a seed means the
 * same schedule whatever the protocol does with it. Running it is scenario.c's business.
 */
#include <assert.h>
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "tests/lib/scenario.h"

#define SPAN_NS (3 * ART_NS_PER_MS) /* faults that come by time come within this */
#define US UINT64_C(1000)
#define STEPS_MAX 400000 /* many times what any schedule needs: a run that never rests */

/* Anything may happen; the other profiles are aimed. */
static bool mixed(const struct scenario *s)
{
	return s->profile == SCENARIO_MIXED || s->profile == SCENARIO_POLICY || s->profile >= SCENARIO_LEVELS;
}

/* ---- programs ---- */

/* While a program is drawn: what its communicators are worth. */
struct draft {
	struct scenario *s;
	/* a family: the world, or what one call made of another; ranks may be in different ones of it */
	bool open[CLUSTER_COMMS];
	bool strict[CLUSTER_COMMS]; /* it has another policy than EXCLUDE */
	int number[CLUSTER_COMMS][SCENARIO_RANKS]; /* of the communicator a rank has */
	int ncomms;
	int numbers;                /* given out */
	int wait[SCENARIO_ITEMS];   /* items not waited for yet */
	int nwait;
	uint32_t used;              /* communicators with nonblocking calls since the last wait */
	int odd;                    /* item that one rank may get wrong, a pause before it */
};

static struct cluster_item *append(struct draft *d, enum cluster_verb verb)
{
	struct scenario *s = d->s;

	assert(s->nitems < SCENARIO_ITEMS);
	for (int r = 0; r < s->n; r++) {
		memset(&s->item[r][s->nitems], 0, sizeof(struct cluster_item));
		s->item[r][s->nitems].verb = verb;
	}
	return &s->item[0][s->nitems++];
}

/* The item just appended at rank 0 is every rank's. */
static void same_for_all(struct draft *d)
{
	struct scenario *s = d->s;
	int i = s->nitems - 1;

	for (int r = 1; r < s->n; r++)
		s->item[r][i] = s->item[0][i];
	if (s->item[0][i].verb == CLUSTER_CALL)
		s->ncalls++;
}

/* A rank that is in none of a family calls on this one, which nobody has. */
#define NOWHERE (CLUSTER_COMMS - 1)

/* The call just appended, each rank on its own communicator of the family. */
static void call_for_all(struct draft *d, int family)
{
	struct scenario *s = d->s;

	same_for_all(d);
	for (int r = 0; r < s->n; r++)
		s->item[r][s->nitems - 1].call.comm = d->number[family][r];
}

static void add_call(struct draft *d, enum art_coll kind, int family, int loss)
{
	struct cluster_item *it = append(d, CLUSTER_CALL);

	it->call = (struct cluster_call){ .kind = kind, .loss = loss };
	call_for_all(d, family);
}

static size_t draw_count(struct scenario *s)
{
	switch (scenario_below(&s->rng, 16)) {
	case 0: return 0;
	case 1: case 2: return 1;
	case 3: return 100 + scenario_below(&s->rng, 400);
	case 4: return scenario_chance(&s->rng, 20) ? 9000 + scenario_below(&s->rng, 9000) : 600;
	default: return 1 + scenario_below(&s->rng, 24);
	}
}

/* Types that came later are not drawn: seeds keep their meaning. */
#define DRAWN_TYPES ART_T_INT64_INT64

static void draw_operator(struct scenario *s, struct cluster_call *c)
{
	switch (scenario_below(&s->rng, 8)) {
	case 0:
		c->flags |= CLUSTER_USER;
		c->type = ART_T_UINT64;
		break;
	case 1:
		c->flags |= CLUSTER_USER_AFFINE;
		c->type = ART_T_INT64_INT64;
		break;
	default:
		do {
			c->type = 1 + (int)scenario_below(&s->rng, DRAWN_TYPES);
			c->op = 1 + (int)scenario_below(&s->rng, ART_O_COUNT - 1);
			/* half of all are the sums that show everything */
			if (scenario_chance(&s->rng, 50))
				c->op = ART_O_SUM;
		} while (!art__op_defined(c->op, c->type));
		return;
	}
	if (scenario_chance(&s->rng, 50))
		c->flags |= CLUSTER_USER_ELEM;
}

static void draw_collective(struct scenario *s, struct cluster_call *c)
{
	static const enum art_coll kinds[8] = {
		ART_C_BARRIER, ART_C_BCAST, ART_C_BCAST, ART_C_REDUCE, ART_C_REDUCE,
		ART_C_ALLREDUCE, ART_C_ALLREDUCE, ART_C_ALLREDUCE,
	};

	c->kind = kinds[scenario_below(&s->rng, 8)];
	if (s->profile == SCENARIO_POLICY && scenario_chance(&s->rng, 12)) {
		c->kind = ART_C_AGREE;
		s->classes[SCENARIO_C_AGREE]++;
		return;
	}
	if (c->kind == ART_C_BARRIER)
		return;
	c->count = draw_count(s);
	c->root = (int)scenario_below(&s->rng, (uint64_t)s->n);
	if (c->kind == ART_C_BCAST) {
		c->type = 1 + (int)scenario_below(&s->rng, DRAWN_TYPES);
		return;
	}
	draw_operator(s, c);
	if (scenario_chance(&s->rng, 25))
		c->flags |= CLUSTER_IN_PLACE;
	if (c->kind == ART_C_ALLREDUCE)
		c->root = 0;
}

static int draw_comm(struct draft *d)
{
	for (;;) {
		int k = (int)scenario_below(&d->s->rng, (uint64_t)d->ncomms);
		if (d->open[k])
			return k;
	}
}

static void draw_wait(struct draft *d)
{
	int k = (int)scenario_below(&d->s->rng, (uint64_t)d->nwait);

	append(d, CLUSTER_WAIT)->item = d->wait[k];
	same_for_all(d);
	d->wait[k] = d->wait[--d->nwait];
}

static void wait_all(struct draft *d)
{
	if (__builtin_popcount(d->used) > 1)
		d->s->classes[SCENARIO_C_COMMS] = 1;
	append(d, CLUSTER_WAITALL);
	same_for_all(d);
	d->nwait = 0;
	d->used = 0;
}

static void draw_call(struct draft *d)
{
	struct scenario *s = d->s;
	int comm = draw_comm(d);
	struct cluster_item *it = append(d, CLUSTER_CALL);

	draw_collective(s, &it->call);
	if (scenario_chance(&s->rng, 60)) {
		it->call.flags |= CLUSTER_NONBLOCK;
		d->wait[d->nwait++] = s->nitems - 1;
		d->used |= 1u << comm;
	}
	call_for_all(d, comm);
}

/* Every rank pauses for a time of its own, most not at all. */
static void draw_sleep(struct draft *d)
{
	struct scenario *s = d->s;

	append(d, CLUSTER_SLEEP);
	same_for_all(d);
	for (int r = 0; r < s->n; r++) {
		if (scenario_chance(&s->rng, 40))
			s->item[r][s->nitems - 1].ns = scenario_below(&s->rng, 300 * US);
	}
}

static void set_loss(struct draft *d, int comm)
{
	bool mirror = d->s->profile == SCENARIO_POLICY && scenario_chance(&d->s->rng, 60);

	add_call(d, ART_C_SETLOSS, comm, mirror ? ART_LOSS_MIRROR : ART_LOSS_ERROR);
	d->strict[comm] = true;
	d->s->classes[mirror ? SCENARIO_C_MIRROR : SCENARIO_C_ERROR] = 1;
}

static void set_flags(struct draft *d, int comm)
{
	int flags = 1 + (int)scenario_below(&d->s->rng, ART_F_ALL);

	add_call(d, ART_C_SETFLAGS, comm, flags);
	d->s->classes[SCENARIO_C_REPRODUCIBLE] += (flags & ART_F_REPRODUCIBLE) != 0;
	d->s->classes[SCENARIO_C_UNIFORM] += (flags & ART_F_UNIFORM) != 0;
	d->s->classes[SCENARIO_C_SUCCESSOR] += (flags & ART_F_SUCCESSOR) != 0;
}

/* A number for what a call makes of @parent for those of this colour. */
static int number_of(struct draft *d, int *of, int parent, int colour)
{
	int *n = &of[parent * 4 + colour];

	if (!*n && d->numbers < NOWHERE - 1)
		*n = ++d->numbers;
	return *n;
}

/* Up to three colours and none, keys that change the order now and then. */
static void draw_colours(struct draft *d, int parent, int child)
{
	struct scenario *s = d->s;
	int colours = 1 + (int)scenario_below(&s->rng, 3), of[CLUSTER_COMMS * 4] = { 0 };
	bool mixed_keys = scenario_chance(&s->rng, 50);

	add_call(d, ART_C_SPLIT, parent, 0);
	for (int r = 0; r < s->n; r++) {
		struct cluster_call *c = &s->item[r][s->nitems - 1].call;

		c->colour = (int)scenario_below(&s->rng, (uint64_t)colours);
		c->key = mixed_keys ? 3 - (int)scenario_below(&s->rng, 7) : 0;
		if (c->comm != NOWHERE)
			c->child = number_of(d, of, c->comm, c->colour);
		if (!c->child || scenario_chance(&s->rng, 10)) {
			c->child = 0;
			c->colour = -1;
		}
		d->number[child][r] = c->child ? c->child : NOWHERE;
	}
	s->classes[SCENARIO_C_SPLIT] = 1;
}

static void draw_dup(struct draft *d, int parent, int child)
{
	struct scenario *s = d->s;
	bool create = scenario_chance(&s->rng, 40);
	uint32_t list = (uint32_t)scenario_next(&s->rng) | 1u << scenario_below(&s->rng, (uint64_t)s->n);
	int of[CLUSTER_COMMS * 4] = { 0 };

	add_call(d, create ? ART_C_CREATE : ART_C_DUP, parent, 0);
	for (int r = 0; r < s->n; r++) {
		struct cluster_call *c = &s->item[r][s->nitems - 1].call;

		if (create)
			c->list = list & ((1u << s->n) - 1);
		if (c->comm != NOWHERE && (!create || list >> r & 1))
			c->child = number_of(d, of, c->comm, 0);
		d->number[child][r] = c->child ? c->child : NOWHERE;
	}
	s->classes[SCENARIO_C_CREATE] |= create;
}

static void draw_shrink(struct draft *d, int parent, int child)
{
	struct scenario *s = d->s;
	int of[CLUSTER_COMMS * 4] = { 0 };

	add_call(d, ART_C_SHRINK, parent, 0);
	for (int r = 0; r < s->n; r++) {
		struct cluster_call *c = &s->item[r][s->nitems - 1].call;

		if (c->comm != NOWHERE)
			c->child = number_of(d, of, c->comm, 0);
		d->number[child][r] = c->child ? c->child : NOWHERE;
	}
	s->classes[SCENARIO_C_SHRINK] = 1;
}

static void draw_comms(struct draft *d)
{
	struct scenario *s = d->s;
	int made = (int)scenario_below(&s->rng, 4);

	d->open[0] = true;
	d->ncomms = 1;
	if (scenario_chance(&s->rng, 35))
		set_loss(d, 0);
	if (s->profile == SCENARIO_POLICY && scenario_chance(&s->rng, 50))
		set_flags(d, 0);
	for (int i = 0; i < made && d->numbers + 4 < NOWHERE; i++) {
		int parent = draw_comm(d), child = d->ncomms++;

		if (s->profile == SCENARIO_POLICY && scenario_chance(&s->rng, 40))
			draw_shrink(d, parent, child);
		else if (scenario_chance(&s->rng, 50))
			draw_colours(d, parent, child);
		else
			draw_dup(d, parent, child);
		d->open[child] = true;
		d->strict[child] = d->strict[parent];
		if (!d->strict[child] && scenario_chance(&s->rng, 35))
			set_loss(d, child);
		if (s->profile == SCENARIO_POLICY && scenario_chance(&s->rng, 40))
			set_flags(d, child);
	}
}

/* Frees one family in the middle, now and then with operations of it still in flight. */
static void draw_free(struct draft *d)
{
	int comm = draw_comm(d);

	if (comm == 0)
		return;
	add_call(d, ART_C_FREE, comm, 0);
	d->open[comm] = false;
}

/* A call that one rank may get wrong, each after a pause of its own. */
static void draw_odd(struct draft *d)
{
	append(d, CLUSTER_SLEEP);
	same_for_all(d);
	d->odd = d->s->nitems;
	draw_call(d);
}

static void draw_body(struct draft *d)
{
	struct scenario *s = d->s;
	int calls = 3 + (int)scenario_below(&s->rng, 10);
	int odd = (int)scenario_below(&s->rng, (uint64_t)calls);
	bool freed = false;

	for (int i = 0; i < calls; i++) {
		i == odd ? draw_odd(d) : draw_call(d);
		if (d->nwait && scenario_chance(&s->rng, 20))
			draw_wait(d);
		if (scenario_chance(&s->rng, 12))
			wait_all(d);
		if (scenario_chance(&s->rng, 15))
			draw_sleep(d);
		if (!freed && i > calls / 2 && scenario_chance(&s->rng, 20)) {
			draw_free(d);
			freed = true;
		}
	}
	wait_all(d);
}

/* Communicators that are made, used and freed, again and again, now and then with calls in flight; whoever has
 * freed one may be several calls ahead of the others when it makes the next. */
static void draw_cycles(struct draft *d)
{
	struct scenario *s = d->s;
	int odd = (int)scenario_below(&s->rng, 4), rounds = 0;

	d->open[0] = true;
	d->ncomms = 1;
	while (d->numbers + 4 < NOWHERE && d->ncomms < CLUSTER_COMMS && s->nitems < SCENARIO_ITEMS - 16) {
		int parent = scenario_chance(&s->rng, 70) ? 0 : draw_comm(d), child = d->ncomms++;

		scenario_chance(&s->rng, 40) ? draw_colours(d, parent, child) : draw_dup(d, parent, child);
		d->open[child] = true;
		for (int n = 1 + (int)scenario_below(&s->rng, 4); n > 0; n--)
			draw_call(d);
		if (rounds++ == odd)
			draw_odd(d);
		if (scenario_chance(&s->rng, 40))
			draw_sleep(d);
		for (int n = (int)scenario_below(&s->rng, 3); n > 0; n--)
			draw_free(d);
		if (d->nwait && scenario_chance(&s->rng, 30))
			draw_wait(d);
		if (scenario_chance(&s->rng, 25))
			wait_all(d);
	}
	wait_all(d);
}

static void draw_program(struct scenario *s)
{
	struct draft d = { .s = s };

	if (s->profile == SCENARIO_COMMS) {
		draw_cycles(&d);
	} else {
		draw_comms(&d);
		draw_body(&d);
	}
	if (mixed(s))
		scenario_draw_oddities(s, d.odd);
	if (s->profile == SCENARIO_ODD)
		scenario_draw_odd_ranks(s, d.odd);
	add_call(&d, ART_C_FINALIZE, 0, 0);
}

/* ---- faults ---- */

static int draw_rank(struct scenario *s)
{
	return (int)scenario_below(&s->rng, (uint64_t)s->n);
}

static uint32_t everyone(const struct scenario *s)
{
	return (1u << s->n) - 1;
}

static struct scenario_fault *add_fault(struct scenario *s, enum scenario_fault_kind kind)
{
	struct scenario_fault *f;

	assert(s->nfaults < SCENARIO_FAULTS);
	f = &s->fault[s->nfaults++];
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	return f;
}

/* Some step of some rank's program: counted from the beginning, or within a call. */
static void at_step(struct scenario *s, struct scenario_fault *f, int rank)
{
	f->planned = true;
	f->at = (struct cluster_at){ .rank = rank, .op = -1 };
	if (scenario_chance(&s->rng, 60)) {
		f->at.step = scenario_below(&s->rng, 12 * (uint64_t)s->ncalls);
		return;
	}
	f->at.op = 1 + (int)scenario_below(&s->rng, (uint64_t)s->ncalls);
	f->at.step = scenario_below(&s->rng, 6);
}

/* Some step of @rank after the fault number @nth (1..). */
static void after_fault(struct scenario *s, struct scenario_fault *f, int rank, int nth)
{
	f->planned = true;
	f->at = (struct cluster_at){
		.rank = rank, .op = -1, .step = scenario_below(&s->rng, 60), .attempt = nth,
	};
}

/* Anywhere: by program, by time, or close behind an earlier fault. */
static void anywhere(struct scenario *s, struct scenario_fault *f, int rank)
{
	unsigned how = (unsigned)scenario_below(&s->rng, 10);

	if (s->nfaults > 1 && how < 4)
		after_fault(s, f, rank, s->nfaults - 1);
	else if (how < 8)
		at_step(s, f, rank);
	else
		f->after_ns = scenario_below(&s->rng, SPAN_NS);
}

static void draw_kill(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_KILL);
	int rank = draw_rank(s);
	unsigned how = (unsigned)scenario_below(&s->rng, 20);

	f->set = 1u << rank;
	if (how < 3)
		f->set |= 1u << ((rank - 1) / 2) | 1u; /* with its parent and the leader */
	else if (how < 5)
		f->set |= (uint32_t)scenario_next(&s->rng) & everyone(s);
	else if (how == 5)
		f->set = everyone(s) & ~(1u << rank);
	if (f->set == everyone(s))
		f->set &= ~(1u << draw_rank(s));
	anywhere(s, f, rank);
}

static void draw_suspect(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_SUSPECT);
	int rank = draw_rank(s);

	f->rank = scenario_chance(&s->rng, 30) ? -1 : draw_rank(s);
	if (f->rank == rank)
		f->rank = -1;
	f->set = 1u << rank;
	anywhere(s, f, f->rank < 0 ? draw_rank(s) : f->rank);
}

static void draw_partition(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_PARTITION);
	bool verdicts = scenario_chance(&s->rng, 75);

	do
		f->set = (uint32_t)scenario_next(&s->rng) & everyone(s);
	while (f->set == 0 || f->set == everyone(s));
	f->on = verdicts;
	anywhere(s, f, draw_rank(s));
	if (!verdicts || scenario_chance(&s->rng, 60))
		f->undo_ns = 100 * US + scenario_below(&s->rng, verdicts ? 5 * SPAN_NS : SPAN_NS);
}

static void draw_cut(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_CUT);

	f->rank = draw_rank(s);
	do
		f->peer = draw_rank(s);
	while (f->peer == f->rank);
	f->how = scenario_chance(&s->rng, 50) ? ART_SIM_STALL : ART_SIM_VANISH;
	anywhere(s, f, f->rank);
	f->undo_ns = 50 * US + scenario_below(&s->rng, SPAN_NS);
}

static void draw_break(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_BREAK);

	f->rank = draw_rank(s);
	do
		f->peer = draw_rank(s);
	while (f->peer == f->rank);
	f->how = scenario_chance(&s->rng, 75) ? 0 : 1;
	anywhere(s, f, scenario_chance(&s->rng, 50) ? f->rank : f->peer);
}

/* Holds data from one rank to some; a change of view begins meanwhile. */
static void draw_hold(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_HOLD);
	int from = draw_rank(s);

	f->rank = from;
	f->set = (uint32_t)scenario_next(&s->rng);
	f->set |= 1u << draw_rank(s);
	f->set &= everyone(s) & ~(1u << from);
	if (!f->set)
		f->set = 1u << (from + 1) % s->n;
	f->how = scenario_chance(&s->rng, 80) ? 0 : 1;
	f->ns = 20 * US + scenario_below(&s->rng, 1000 * US);
	f->epochs = (int)scenario_below(&s->rng, 2);
	anywhere(s, f, from);
	if (f->epochs == 0)
		return;
	f = add_fault(s, scenario_chance(&s->rng, 50) ? SCENARIO_F_SUSPECT : SCENARIO_F_KILL);
	f->rank = -1;
	f->set = 1u << draw_rank(s);
	after_fault(s, f, draw_rank(s), s->nfaults - 1);
}

static void draw_pause(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_PAUSE), *g;
	int rank = draw_rank(s), nth = s->nfaults;

	f->rank = rank;
	f->undo_ns = 50 * US + scenario_below(&s->rng, 2 * SPAN_NS);
	anywhere(s, f, rank);
	if (scenario_chance(&s->rng, 50)) {
		g = add_fault(s, SCENARIO_F_SUSPECT);
		g->rank = -1;
		g->set = 1u << rank;
		after_fault(s, g, (rank + 1) % s->n, nth);
	}
}

static void draw_any_fault(struct scenario *s)
{
	unsigned k = (unsigned)scenario_below(&s->rng, 100);

	if (k < 46)
		draw_kill(s);
	else if (k < 58)
		draw_suspect(s);
	else if (k < 69)
		draw_partition(s);
	else if (k < 75)
		draw_cut(s);
	else if (k < 84)
		draw_hold(s);
	else if (k < 90)
		draw_pause(s);
	else
		draw_break(s);
}

static void draw_mixed(struct scenario *s)
{
	static const int many[10] = { 0, 1, 1, 1, 2, 2, 2, 3, 3, 4 };
	int n = many[scenario_below(&s->rng, 10)];

	for (int i = 0; i < n; i++)
		draw_any_fault(s);
}

/* ---- aimed schedules ---- */

static uint32_t draw_subset(struct scenario *s, uint32_t of, int size)
{
	uint32_t set = 0;

	assert(__builtin_popcount(of) >= size);
	while (__builtin_popcount(set) < size)
		set |= 1u << draw_rank(s) & of;
	return set;
}

/* The larger side goes on; then members of it die for certain, known on both sides. Whoever counts
 * the dead as votes, or out of the denominator, lets the smaller side go on too. */
static void draw_split(struct scenario *s)
{
	int major = s->n / 2 + 1;
	uint32_t side = draw_subset(s, everyone(s), major);
	struct scenario_fault *f = add_fault(s, SCENARIO_F_PARTITION);

	f->set = side;
	f->on = true;
	at_step(s, f, draw_rank(s));
	f = add_fault(s, SCENARIO_F_KILL);
	f->set = draw_subset(s, side, 1 + (int)scenario_below(&s->rng, (uint64_t)major - 1));
	if (scenario_chance(&s->rng, 50))
		f->after_ns = SPAN_NS + scenario_below(&s->rng, 10 * SPAN_NS);
	else
		after_fault(s, f, draw_rank(s), 1);
	if (scenario_chance(&s->rng, 30))
		s->fault[0].undo_ns = SPAN_NS + scenario_below(&s->rng, 20 * SPAN_NS);
}

static struct scenario_fault *hold(struct scenario *s, int channel, int from, uint32_t to,
				   uint64_t ns, int epochs)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_HOLD);

	f->how = channel;
	f->rank = from;
	f->set = to & ~(1u << from);
	f->ns = ns;
	f->epochs = epochs;
	return f;
}

/* Exact halves, of all or of those who are left after an even number of deaths, perhaps while these are
 * being decided; then a member may die, of the half that went on or of the other, and the network may heal. */
static void draw_halves(struct scenario *s)
{
	uint32_t live = everyone(s), dead = 0;
	struct scenario_fault *f;
	int first = draw_rank(s);

	if (s->n > 4 && scenario_chance(&s->rng, 30)) {
		dead = draw_subset(s, live, 2);
		f = add_fault(s, SCENARIO_F_KILL);
		f->set = dead;
		at_step(s, f, first);
	}
	live &= ~dead;
	f = add_fault(s, SCENARIO_F_PARTITION);
	f->set = draw_subset(s, live, __builtin_popcount(live) / 2);
	f->on = true;
	dead ? after_fault(s, f, draw_rank(s), 1) : at_step(s, f, first);
	if (scenario_chance(&s->rng, 40))
		f->undo_ns = 100 * US + scenario_below(&s->rng, 20 * SPAN_NS);
	if (scenario_chance(&s->rng, 50)) {
		f = add_fault(s, SCENARIO_F_KILL);
		f->set = draw_subset(s, live, 1);
		after_fault(s, f, draw_rank(s), 1);
	}
}

/* One member's last data come late, and so do the control messages that should stop it. */
static void draw_late(struct scenario *s)
{
	int late = draw_rank(s), at = 1 + (int)scenario_below(&s->rng, (uint64_t)s->ncalls);
	uint64_t step = scenario_below(&s->rng, 12);
	uint64_t ns = 50 * US + scenario_below(&s->rng, 800 * US);
	bool silent = scenario_chance(&s->rng, 60);
	struct scenario_fault *f;

	for (int i = 0; i < 3; i++) {
		int from = draw_rank(s);
		uint32_t to = 1u << late | (scenario_chance(&s->rng, 50) ? 1u << draw_rank(s) : 0);
		f = hold(s, 0, from, to, ns, 0);
		f->planned = true;
		f->at = (struct cluster_at){ .rank = from, .op = at, .step = step };
	}
	for (int from = 0; silent && from < 2; from++) {
		f = hold(s, 1, from, 1u << late, ns + scenario_below(&s->rng, ns), 0);
		f->planned = true;
		f->at = (struct cluster_at){ .rank = from, .op = at, .step = step };
	}
	f = add_fault(s, scenario_chance(&s->rng, 50) ? SCENARIO_F_SUSPECT : SCENARIO_F_KILL);
	f->rank = -1;
	f->set = draw_subset(s, everyone(s) & ~(1u << late), 1);
	after_fault(s, f, draw_rank(s), 1);
}

/* A change begins, its proposer dies or falls silent between two of its steps. */
static void draw_ballot(struct scenario *s)
{
	struct scenario_fault *f = add_fault(s, SCENARIO_F_KILL);
	int first = 1 + (int)scenario_below(&s->rng, (uint64_t)s->n - 1);
	int rounds = 1 + (int)scenario_below(&s->rng, 3);

	f->set = 1u << first;
	at_step(s, f, first);
	if (scenario_chance(&s->rng, 50))
		hold(s, 0, draw_rank(s), everyone(s), 100 * US, 0);
	for (int i = 0; i < rounds && i < s->n - 2; i++) {
		int proposer = i; /* the lowest live one comes first */
		if (scenario_chance(&s->rng, 30)) {
			uint64_t ns = 50 * US + scenario_below(&s->rng, 2000 * US);
			f = hold(s, 1, proposer, draw_subset(s, everyone(s), 2), ns, 0);
			after_fault(s, f, proposer, 1);
			f = add_fault(s, SCENARIO_F_SUSPECT);
			f->rank = -1;
		} else {
			f = add_fault(s, SCENARIO_F_KILL);
		}
		f->set = 1u << proposer;
		after_fault(s, f, proposer, 1 + i);
	}
}

/* Data frames of several links wait until the next view is there, others are merely slow, so that
 * the operation is still running again when the old frames come. */
static void draw_old(struct scenario *s)
{
	int at = 1 + (int)scenario_below(&s->rng, (uint64_t)s->ncalls);
	uint64_t step = scenario_below(&s->rng, 16);
	struct scenario_fault *f;

	for (int i = 0; i < 4; i++) {
		int from = draw_rank(s);
		uint64_t ns = 20 * US + scenario_below(&s->rng, 400 * US);
		uint32_t to = (uint32_t)scenario_next(&s->rng) & everyone(s);
		f = hold(s, 0, from, to, ns, i < 3);
		f->planned = true;
		f->at = (struct cluster_at){ .rank = from, .op = at, .step = step };
	}
	f = add_fault(s, scenario_chance(&s->rng, 50) ? SCENARIO_F_SUSPECT : SCENARIO_F_KILL);
	f->rank = -1;
	f->set = 1u << draw_rank(s);
	after_fault(s, f, draw_rank(s), 1);
}

static void draw_reruns(struct scenario *s)
{
	int kills = 1 + (int)scenario_below(&s->rng, (uint64_t)s->n - 1);

	for (int i = 0; i < kills; i++) {
		struct scenario_fault *f = add_fault(s, SCENARIO_F_KILL);
		int rank = draw_rank(s);
		f->set = 1u << rank;
		if (i && scenario_chance(&s->rng, 70))
			after_fault(s, f, rank, i);
		else
			at_step(s, f, rank);
	}
}

static void draw_levels(struct scenario *s)
{
	static void (*const how[])(struct scenario *) = { draw_ballot, draw_late, draw_reruns, draw_mixed };

	how[scenario_below(&s->rng, 4)](s);
	if (s->nfaults && s->nfaults < SCENARIO_FAULTS)
		scenario_draw_relay(s, add_fault(s, SCENARIO_F_KILL));
}

static void draw_faults(struct scenario *s)
{
	switch (s->profile) {
	case SCENARIO_SPLIT: draw_split(s); break;
	case SCENARIO_HALVES: draw_halves(s); break;
	case SCENARIO_LATE: draw_late(s); break;
	case SCENARIO_BALLOT: draw_ballot(s); break;
	case SCENARIO_OLD: draw_old(s); break;
	case SCENARIO_RERUN: draw_reruns(s); break;
	case SCENARIO_LEVELS: draw_levels(s); break;
	case SCENARIO_EDGES: scenario_draw_edges(s); break;
	default: draw_mixed(s); break;
	}
}

/* ---- the cluster ---- */

static int draw_size(struct scenario *s)
{
	static const int sizes[20] = { 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 9 };
	int n = sizes[scenario_below(&s->rng, 20)];
	int least = s->profile == SCENARIO_SPLIT || s->profile >= SCENARIO_LEVELS ? 5 : mixed(s) ? 2 : 4;

	return s->profile == SCENARIO_HALVES ? n & ~1 : n < least ? least : n;
}

static void draw_hosts(struct scenario *s)
{
	unsigned k = (unsigned)scenario_below(&s->rng, 10);
	int per_host = k < 4 ? s->n : k < 7 ? 1 : k < 9 ? 2 : 3;

	for (int r = 0; r < s->n; r++)
		s->hosts[r] = r / per_host;
	s->cfg.hosts = s->hosts;
	s->cfg.evidence = CLUSTER_PROVEN;
	if (per_host < s->n && mixed(s)) {
		k = (unsigned)scenario_below(&s->rng, 10);
		s->cfg.evidence = k < 6 ? CLUSTER_BY_HOST :
				  k < 8 ? CLUSTER_SUSPECT : CLUSTER_PROVEN;
	}
}

void scenario_draw(struct scenario *s, uint64_t seed, enum scenario_profile profile)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->profile = profile;
	/* not in steps of the generator: neighbours would be shifted copies of each other */
	s->rng.state = (seed << 3 | ((uint64_t)profile & 7)) ^ (profile > 7 ? UINT64_MAX : 0);
	s->rng.state = scenario_next(&s->rng);
	s->n = draw_size(s);
	cluster_defaults(&s->cfg, s->n, seed);
	draw_hosts(s);
	s->cfg.arena = seed % 4 != 0;
	s->cfg.lends = seed % 3 == 1;
	s->small_max = scenario_chance(&s->rng, 50) ? 2048 : 64;
	s->log_ops = scenario_chance(&s->rng, 60) ? 64 : 2 + (uint32_t)scenario_below(&s->rng, 4);
	s->radix = 2 + (int)scenario_below(&s->rng, 3);
	s->cfg.max_steps = STEPS_MAX;
	s->cfg.tune = scenario_tune;
	s->cfg.tune_arg = s;
	s->cfg.notify = profile == SCENARIO_POLICY;
	s->cfg.start_max_ns = scenario_chance(&s->rng, 50) ? 200 * US : 10 * US;
	s->cfg.think_max_ns = scenario_chance(&s->rng, 50) ? 30 * US : 0;
	if (scenario_chance(&s->rng, 30))
		s->cfg.cut_ns = 1000 * US; /* cut connections end before anybody is suspected */
	if (s->n >= 5)
		s->classes[SCENARIO_C_FIVE] = 1;
	draw_program(s);
	draw_faults(s);
	s->lowest_half = profile == SCENARIO_HALVES ? scenario_chance(&s->rng, 70) :
						     profile == SCENARIO_POLICY && seed % 2;
	scenario_draw_arbiter(s);
}
