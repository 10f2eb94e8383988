/* SPDX-License-Identifier: MIT
 *
 * Programs of which one rank's part is wrong, or a few ranks': too late, another call, none at all. What the
 * others do is drawn by schedule.c.
 */
#include <art/art.h>

#include "coll/combine.h"
#include "tests/lib/scenario.h"

#define US UINT64_C(1000)

static void draw_deadline(struct scenario *s, int item)
{
	int late = (int)scenario_below(&s->rng, (uint64_t)s->n);
	uint64_t ns = 100 * US + scenario_below(&s->rng, 900 * US);

	for (int r = 0; r < s->n; r++)
		s->item[r][item].call.deadline_ns = ns;
	s->classes[SCENARIO_C_DEADLINE]++;
	/* half of the time somebody comes too late for it */
	if (scenario_chance(&s->rng, 50))
		s->item[late][item - 1].ns = 2 * ns;
}

static void draw_mismatch(struct scenario *s, int item)
{
	struct cluster_call *c = &s->item[scenario_below(&s->rng, (uint64_t)s->n)][item].call;

	s->classes[SCENARIO_C_MISMATCH]++;
	if (c->kind == ART_C_BARRIER) {
		c->kind = ART_C_ALLREDUCE;
		c->count = 1;
		c->type = ART_T_UINT64;
		c->op = ART_O_SUM;
	} else if (scenario_chance(&s->rng, 50) || c->kind == ART_C_ALLREDUCE) {
		c->count++;
	} else {
		c->root = (c->root + 1) % s->n;
	}
}

static void draw_refusal(struct scenario *s, int item)
{
	s->item[scenario_below(&s->rng, (uint64_t)s->n)][item].call.refuse = ART_ERR_COUNT;
	s->classes[SCENARIO_C_REFUSED]++;
}

void scenario_draw_oddities(struct scenario *s, int item)
{
	unsigned which = (unsigned)scenario_below(&s->rng, 100);

	if (which >= 20)
		return;
	if (which < 12) {
		draw_deadline(s, item);
	} else if (which < 15) {
		draw_mismatch(s, item);
	} else if (which < 18) {
		draw_refusal(s, item);
	} else {
		s->item[scenario_below(&s->rng, (uint64_t)s->n)][item].verb = CLUSTER_EXIT;
		s->classes[SCENARIO_C_EXIT]++;
	}
}

/* Some ranks have another count than the rest, alike among themselves, and come when they like. */
void scenario_draw_odd_ranks(struct scenario *s, int item)
{
	uint32_t odd = (uint32_t)scenario_next(&s->rng);

	for (int r = 0; r < s->n; r++) {
		struct cluster_call *c = &s->item[r][item].call;

		s->item[r][item - 1].ns = scenario_below(&s->rng, 400 * US);
		if (!(odd >> r & 1) || r == c->root)
			continue;
		c->kind = c->kind == ART_C_BARRIER ? ART_C_ALLREDUCE : c->kind;
		c->type = c->type ? c->type : ART_T_UINT64;
		c->op = c->op || c->kind == ART_C_BCAST || c->flags & CLUSTER_USER_AFFINE ||
			c->flags & CLUSTER_USER ? c->op : ART_O_SUM;
		c->count++;
	}
	s->classes[SCENARIO_C_MISMATCH]++;
}
