/* SPDX-License-Identifier: MIT
 *
 * The kernel may leave ranks that share cores five on one and three on the other for as long as a job runs: none of
 * them ever sleeps for long, and all wait for those on the fuller one. So each says now and then on which CPU it runs,
 * beside the others' in shared memory, and looks at theirs: if its own has two ranks more than another one that it
 * may run on, the lowest of those there goes over. It asks the kernel for that CPU alone, which moves it at once, and
 * then for all that it had before: nobody is bound, and the kernel may move anybody again. If it does - for other
 * programs run there, which nobody here sees - this rank looks less and less often.
 */
#include "engine/even.h"

#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "engine/arena.h"
#include "engine/dying.h"

#define TURNS 256u      /* a few milliseconds of waiting */
#define TURNS_MAX (64 * TURNS)

/* Who sleeps is on no core, nor is another who has died, whatever its part still says. Whether this one lives is not
 * asked: its service thread may just be making the word that tells. */
static int cpu_of(const struct art_shared *s, int slot)
{
	const struct art_arena_part *p = s->part[slot];

	if (!p || atomic_load_explicit(&p->doze, memory_order_relaxed) & 1 ||
	    (slot != s->slot && art__dying_seen(p->life)))
		return -1;
	return (int)atomic_load_explicit(&p->cpu, memory_order_relaxed) - 1;
}

static void count(const struct art_shared *s, int size, int ranks[CPU_SETSIZE], int mine, bool *first)
{
	*first = true;
	for (int i = 0; i < size; i++) {
		int cpu = cpu_of(s, i);

		if (cpu < 0 || cpu >= CPU_SETSIZE)
			continue;
		ranks[cpu]++;
		if (cpu == mine && i < s->slot)
			*first = false;
	}
}

static int emptiest(const int ranks[CPU_SETSIZE], const cpu_set_t *may)
{
	int best = -1;

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, may) && (best < 0 || ranks[i] < ranks[best]))
			best = i;
	return best;
}

/* True: it is there now. */
static bool go(int cpu, const cpu_set_t *before)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return false;
	if (sched_setaffinity(0, sizeof(*before), before) == 0)
		return true;
	/* All that was allowed is so no more: whatever is. */
	memset(&one, 0xff, sizeof(one));
	sched_setaffinity(0, sizeof(one), &one);
	return true;
}

static void say(struct art_shared *s, int cpu)
{
	atomic_store_explicit(&s->arena.mine->cpu, (uint32_t)cpu + 1, memory_order_relaxed);
}

void art__even_look(struct art_even *e, struct art_shared *s, int size)
{
	int ranks[CPU_SETSIZE] = { 0 }, mine = sched_getcpu(), to;
	cpu_set_t may;
	bool first;

	if (!e->every)
		e->every = TURNS;
	e->turns = e->every;
	if (!s->arena.mine || mine < 0 || mine >= CPU_SETSIZE)
		return;
	say(s, mine);
	count(s, size, ranks, mine, &first);
	if (sched_getaffinity(0, sizeof(may), &may))
		return;
	to = emptiest(ranks, &may);
	if (to < 0 || ranks[mine] < ranks[to] + 2) {
		e->every = e->every > TURNS ? e->every - e->every / 4 : TURNS;
		return;
	}
	if (!first)
		return;
	if (go(to, &may))
		say(s, to);
	e->every = e->every < TURNS_MAX ? 2 * e->every : TURNS_MAX;
}
