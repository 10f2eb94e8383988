/* SPDX-License-Identifier: MIT
 *
 * The world of a simulation: clock, generator, the queue of events ordered by (time, order of
 * creation), memory for what travels. What an event does is decided in sim_net.c and sim.c.
 */
#include <assert.h>
#include <string.h>

#include <art/status.h>

#include "transport/sim/sim_impl.h"

#define SIM_START (1 * ART_NS_PER_S)
#define SIM_FIRST_HEAP 256

void art__sim_defaults(struct art_sim_cfg *cfg, int size, uint64_t seed)
{
	static const struct art_sim_model near = {
		.latency_ns = 5000, .jitter_ns = 5000, .overhead_ns = 500, .gap_ns = 200,
		.bytes_per_s = UINT64_C(4000000000),
	};
	static const struct art_sim_model far = {
		.latency_ns = 20000, .jitter_ns = 10000, .overhead_ns = 1000, .gap_ns = 500,
		.bytes_per_s = UINT64_C(1250000000),
	};

	memset(cfg, 0, sizeof(*cfg));
	cfg->size = size;
	cfg->seed = seed;
	cfg->near = near;
	cfg->far = far;
	cfg->end_ns = 200000;
	cfg->cut_ns = 500 * ART_NS_PER_MS;
	cfg->window = 256 * 1024;
}

int art__sim_create(const struct art_env *env, const struct art_sim_cfg *cfg,
		    struct art_sim_world **out)
{
	size_t n = (size_t)cfg->size;
	struct art_sim_world *w = art__env_zalloc(env, sizeof(*w));

	assert(cfg->size > 0);
	if (!w)
		return ART_ERR_NOMEM;
	w->env = *env;
	w->cfg = *cfg;
	w->now = SIM_START;
	w->rng = cfg->seed;
	w->hosts = art__env_zalloc(env, n * sizeof(*w->hosts));
	w->inst = art__env_zalloc(env, n * ART_SIM_CHANNELS * sizeof(struct sim_inst *));
	w->dead = art__env_zalloc(env, n * sizeof(*w->dead));
	w->paused = art__env_zalloc(env, n * sizeof(*w->paused));
	w->heap = art__env_zalloc(env, SIM_FIRST_HEAP * sizeof(*w->heap));
	w->cap = SIM_FIRST_HEAP;
	if (!w->hosts || !w->inst || !w->dead || !w->paused || !w->heap) {
		art__sim_destroy(w);
		return ART_ERR_NOMEM;
	}
	if (cfg->hosts)
		memcpy(w->hosts, cfg->hosts, n * sizeof(*w->hosts));
	*out = w;
	return 0;
}

/* Events and items refer to connections; the last reference frees one. */
void art__sim_destroy(struct art_sim_world *w)
{
	struct art_env env = w->env;

	for (size_t i = 0; i < w->nheap; i++)
		if (w->heap[i].kind != SIM_EV_FN && w->heap[i].kind != SIM_EV_CUT)
			art__sim_conn_unref(w->heap[i].self);
	for (struct sim_conn *c = w->conns, *next; c; c = next) {
		next = c->next;
		art__sim_conn_ref(c); /* outlives the items on it */
		for (int side = 0; side < 2; side++)
			while (c->dir[side].fly.head)
				art__sim_item_free(w, art__sim_list_take(&c->dir[side].fly));
		art__sim_conn_unref(c);
	}
	assert(!w->conns);
	while (w->spare) {
		struct sim_item *it = w->spare;

		w->spare = it->next;
		art__env_free(&env, it);
	}
	art__sim_loans_free(w);
	art__env_free(&env, w->path);
	art__env_free(&env, w->heap);
	art__env_free(&env, w->paused);
	art__env_free(&env, w->dead);
	art__env_free(&env, w->inst);
	art__env_free(&env, w->hosts);
	art__env_free(&env, w);
}

uint64_t art__sim_now(const struct art_sim_world *w)
{
	return w->now;
}

uint64_t art__sim_next(const struct art_sim_world *w)
{
	return w->nheap ? w->heap[0].when : ART_NEVER;
}

/* splitmix64: one addition and a finaliser, every seed as good as any other. */
uint64_t art__sim_random(struct art_sim_world *w)
{
	uint64_t z = w->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t art__sim_below(struct art_sim_world *w, uint64_t bound)
{
	assert(bound > 0);
	return art__sim_random(w) % bound;
}

uint64_t art__sim_flying(const struct art_sim_world *w)
{
	return w->flying;
}

/* ---- the heap ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->when < b->when || (a->when == b->when && a->order < b->order);
}

static bool heap_room(struct art_sim_world *w)
{
	struct sim_event *p;

	if (w->nheap < w->cap)
		return true;
	p = art__env_alloc(&w->env, 2 * w->cap * sizeof(*p));
	if (!p)
		return false;
	memcpy(p, w->heap, w->nheap * sizeof(*p));
	art__env_free(&w->env, w->heap);
	w->heap = p;
	w->cap *= 2;
	return true;
}

static bool heap_put(struct art_sim_world *w, const struct sim_event *ev)
{
	size_t i;

	if (!heap_room(w))
		return false;
	for (i = w->nheap++; i > 0 && before(ev, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = *ev;
	return true;
}

static void heap_take(struct art_sim_world *w, struct sim_event *out)
{
	struct sim_event last = w->heap[--w->nheap];
	size_t i = 0, kid;

	*out = w->heap[0];
	for (; (kid = 2 * i + 1) < w->nheap; i = kid) {
		if (kid + 1 < w->nheap && before(&w->heap[kid + 1], &w->heap[kid]))
			kid++;
		if (!before(&w->heap[kid], &last))
			break;
		w->heap[i] = w->heap[kid];
	}
	w->heap[i] = last;
}

/* An event of the world itself, about a connection: counted while it waits. A simulation that has
 * no memory for its clock cannot go on. */
void art__sim_push(struct art_sim_world *w, const struct sim_event *ev)
{
	struct sim_event e = *ev;
	bool put;

	e.order = w->order++;
	if (e.when < w->now)
		e.when = w->now;
	if (e.kind != SIM_EV_FN && e.kind != SIM_EV_CUT)
		art__sim_conn_ref(e.self);
	put = heap_put(w, &e);
	assert(put);
	(void)put;
}

int art__sim_at(struct art_sim_world *w, uint64_t when_ns,
		void (*fn)(void *self, uint64_t word), void *self, uint64_t word)
{
	struct sim_event e = { .kind = SIM_EV_FN, .when = when_ns < w->now ? w->now : when_ns,
			       .order = w->order++, .self = self, .fn = fn, .word = word };

	return heap_put(w, &e) ? 0 : ART_ERR_NOMEM;
}

static void on_room(const struct sim_conn *c, int side)
{
	art__sim_inst_room(c->world, c->end[side], c->chan, c->end[1 - side]);
}

bool art__sim_step(struct art_sim_world *w)
{
	struct sim_event e;

	if (!w->nheap)
		return false;
	heap_take(w, &e);
	assert(e.when >= w->now);
	w->now = e.when;
	switch (e.kind) {
	case SIM_EV_HEAD:
		art__sim_on_head(e.self, e.side);
		break;
	case SIM_EV_ROOM:
		on_room(e.self, e.side);
		break;
	case SIM_EV_DIAL:
		art__sim_on_dial(e.self);
		break;
	case SIM_EV_END:
		art__sim_on_end(e.self);
		break;
	case SIM_EV_CUT:
		art__sim_on_cut(w, e.word, (uint32_t)e.side);
		return true;
	case SIM_EV_FN:
		e.fn(e.self, e.word);
		return true;
	}
	art__sim_conn_unref(e.self);
	return true;
}

/* ---- items ---- */

struct sim_item *art__sim_item_new(struct art_sim_world *w, enum sim_what what, size_t body)
{
	size_t need = what == SIM_MSG ? ART_TP_HEAD + body : 0;
	size_t cap = need <= SIM_SMALL ? SIM_SMALL : need;
	struct sim_item *it = w->spare;

	if (cap == SIM_SMALL && it)
		w->spare = it->next;
	else
		it = art__env_alloc(&w->env, sizeof(*it) + cap);
	if (!it)
		return NULL;
	memset(it, 0, sizeof(*it));
	it->what = what;
	it->len = body;
	it->cap = cap;
	w->flying += what == SIM_MSG;
	return it;
}

void art__sim_item_free(struct art_sim_world *w, struct sim_item *it)
{
	w->flying -= it->what == SIM_MSG;
	if (it->loan)
		art__sim_loan_back(w, it->loan);
	if (it->conn)
		art__sim_conn_unref(it->conn);
	if (it->cap != SIM_SMALL) {
		art__env_free(&w->env, it);
		return;
	}
	it->next = w->spare;
	w->spare = it;
}

void art__sim_list_put(struct sim_list *l, struct sim_item *it)
{
	it->next = NULL;
	if (l->tail)
		l->tail->next = it;
	else
		l->head = it;
	l->tail = it;
}

struct sim_item *art__sim_list_take(struct sim_list *l)
{
	struct sim_item *it = l->head;

	if (!it)
		return NULL;
	l->head = it->next;
	if (!l->head)
		l->tail = NULL;
	it->next = NULL;
	return it;
}

/* ---- instances ---- */

struct sim_inst **art__sim_slot(struct art_sim_world *w, int slot, uint32_t chan)
{
	assert(slot >= 0 && slot < w->cfg.size && chan < ART_SIM_CHANNELS);
	return &w->inst[(size_t)slot * ART_SIM_CHANNELS + chan];
}

bool art__sim_pollable(const struct art_sim_world *w, int slot, uint32_t chan)
{
	const struct sim_inst *i = w->inst[(size_t)slot * ART_SIM_CHANNELS + chan];

	return i && !i->dead && !i->paused && i->inbox.head;
}

void art__sim_announce(struct art_sim_world *w, int slot, uint32_t chan)
{
	if (w->cfg.ready && art__sim_pollable(w, slot, chan))
		w->cfg.ready(w->cfg.self, slot, chan);
}
