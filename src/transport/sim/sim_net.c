/* SPDX-License-Identifier: MIT
 *
 * The simulated network: when what is sent arrives, what of it is lost when a connection ends,
 * and the faults of links. Who dials whom and what a receiver makes of it is decided in sim.c.
 *
 * One event per direction waits in the queue, for the oldest item; so order holds by itself, and
 * a stalled direction costs nothing: it has no event until it is healed.
 */
#include <assert.h>

#include "transport/sim/sim_impl.h"

/* ---- connections ---- */

struct sim_conn *art__sim_conn_new(struct art_sim_world *w, uint32_t chan, int from, int to)
{
	struct sim_conn *c = art__env_zalloc(&w->env, sizeof(*c));

	if (!c)
		return NULL;
	c->world = w;
	c->chan = chan;
	c->end[0] = from;
	c->end[1] = to;
	c->refs = 1;
	c->next = w->conns;
	c->prev = &w->conns;
	if (c->next)
		c->next->prev = &c->next;
	w->conns = c;
	return c;
}

void art__sim_conn_ref(struct sim_conn *c)
{
	c->refs++;
}

void art__sim_conn_unref(struct sim_conn *c)
{
	assert(c->refs > 0);
	if (--c->refs)
		return;
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	art__env_free(&c->world->env, c);
}

static size_t bytes_of(const struct sim_item *it)
{
	return it->what == SIM_MSG ? ART_TP_HEAD + it->len : 0;
}

/* What has left the sender by now. */
static void settle(struct sim_dir *d, uint64_t now)
{
	while (d->undeparted && d->undeparted->depart <= now) {
		d->waiting -= bytes_of(d->undeparted);
		d->undeparted = d->undeparted->next;
	}
}

static void schedule(struct sim_conn *c, int side)
{
	struct sim_dir *d = &c->dir[side];
	struct sim_event e = { .kind = SIM_EV_HEAD, .self = c, .side = side };

	if (d->scheduled || !d->fly.head)
		return;
	d->scheduled = true;
	e.when = d->fly.head->arrive;
	art__sim_push(c->world, &e);
}

static uint64_t travel(struct art_sim_world *w, const struct art_sim_model *m)
{
	uint64_t t = m->latency_ns;

	if (m->jitter_ns)
		t += art__sim_below(w, m->jitter_ns + 1);
	if (m->spike_log2 && !art__sim_below(w, UINT64_C(1) << m->spike_log2))
		t += m->spike_ns;
	return t;
}

static void transmit(struct sim_conn *c, int side, struct sim_item *it, uint64_t extra)
{
	struct art_sim_world *w = c->world;
	struct sim_dir *d = &c->dir[side];
	const struct art_sim_model *m =
		w->hosts[c->end[0]] == w->hosts[c->end[1]] ? &w->cfg.near : &w->cfg.far;
	uint64_t start = d->tx_free > w->now ? d->tx_free : w->now;

	if (it->conn != c) {
		assert(!it->conn);
		it->conn = c;
		art__sim_conn_ref(c);
	}
	it->side = side;
	if (d->ended) {
		art__sim_item_free(w, it);
		return;
	}
	settle(d, w->now);
	it->depart = start + m->overhead_ns;
	if (m->bytes_per_s)
		it->depart += bytes_of(it) * ART_NS_PER_S / m->bytes_per_s;
	d->tx_free = it->depart + m->gap_ns;
	it->arrive = it->depart + travel(w, m) + extra;
	if (it->arrive < d->last_arrive)
		it->arrive = d->last_arrive;
	d->last_arrive = it->arrive;
	d->waiting += bytes_of(it);
	d->unread += bytes_of(it);
	d->ended = it->what == SIM_FIN;
	art__sim_list_put(&d->fly, it);
	if (!d->undeparted)
		d->undeparted = it;
	schedule(c, side);
}

void art__sim_conn_push(struct sim_conn *c, int side, struct sim_item *it)
{
	transmit(c, side, it, 0);
}

size_t art__sim_conn_backlog(struct sim_conn *c, int side)
{
	struct sim_dir *d = &c->dir[side];
	size_t window = c->world->cfg.window;
	size_t over = d->unread > window ? d->unread - window : 0;

	settle(d, c->world->now);
	return d->waiting > over ? d->waiting : over;
}

void art__sim_conn_read(struct sim_conn *c, int side, size_t bytes)
{
	struct sim_dir *d = &c->dir[side];

	assert(d->unread >= bytes);
	d->unread -= bytes;
	art__sim_inst_room(c->world, c->end[side], c->chan, c->end[1 - side]);
}

static void lose(struct sim_conn *c, int side, struct sim_item *it)
{
	size_t bytes = bytes_of(it);

	art__sim_conn_ref(c);
	art__sim_item_free(c->world, it);
	art__sim_conn_read(c, side, bytes);
	art__sim_conn_unref(c);
}

/* The sender is gone: of what it had handed to its system, a seeded prefix still arrives. */
static void truncate(struct sim_conn *c, int side)
{
	struct art_sim_world *w = c->world;
	struct sim_dir *d = &c->dir[side];
	struct sim_list all = d->fly;
	struct sim_item *it;
	uint64_t left = 0, keep;

	settle(d, w->now);
	for (it = all.head; it != d->undeparted; it = it->next)
		left++;
	keep = art__sim_below(w, left + 1);
	d->fly = (struct sim_list){ NULL, NULL };
	d->undeparted = NULL;
	d->waiting = 0;
	d->last_arrive = d->tx_free = w->now;
	while ((it = art__sim_list_take(&all))) {
		if (!keep) {
			lose(c, side, it);
			continue;
		}
		keep--;
		d->last_arrive = it->arrive > w->now ? it->arrive : w->now;
		art__sim_list_put(&d->fly, it);
	}
}

/* Out of end[side] nothing more comes than a prefix and the news of the end. */
static void end_direction(struct sim_conn *c, int side, enum art_tp_why why)
{
	struct art_sim_world *w = c->world;
	struct sim_item *fin;

	if (c->dir[side].ended)
		return;
	art__sim_conn_ref(c);
	truncate(c, side);
	fin = art__sim_item_new(w, SIM_FIN, 0);
	assert(fin);
	fin->why = why;
	transmit(c, side, fin, w->cfg.end_ns ? art__sim_below(w, w->cfg.end_ns + 1) : 0);
	art__sim_conn_unref(c);
}

void art__sim_conn_close(struct sim_conn *c, int side, enum art_tp_why why)
{
	if (c->closed[side])
		return;
	c->closed[side] = true;
	end_direction(c, side, why);
}

void art__sim_conn_refuse(struct sim_conn *c, int side, enum art_tp_why why)
{
	struct sim_item *fin;

	if (c->closed[1 - side] || c->dir[side].ended)
		return;
	fin = art__sim_item_new(c->world, SIM_FIN, 0);
	assert(fin);
	fin->why = why;
	transmit(c, side, fin, 0);
}

void art__sim_conn_tell(struct sim_conn *c, int side, enum art_tp_why why)
{
	struct art_sim_world *w = c->world;
	struct sim_inst *i = *art__sim_slot(w, c->end[side], c->chan);
	struct sim_item *fin;

	if (c->closed[side] || !i || i->dead)
		return;
	fin = art__sim_item_new(w, SIM_FIN, 0);
	assert(fin);
	fin->why = why;
	fin->conn = c;
	fin->side = 1 - side;
	art__sim_conn_ref(c);
	art__sim_inst_put(i, fin);
}

/* ---- arrival ---- */

static const struct sim_path open_path;

static const struct sim_path *path_of(const struct art_sim_world *w, int from, int to)
{
	return w->path ? &w->path[(size_t)from * (size_t)w->cfg.size + (size_t)to] : &open_path;
}

static void arrive(struct sim_conn *c, int side, struct sim_item *it)
{
	struct art_sim_world *w = c->world;
	int to = c->end[1 - side];
	struct sim_inst *i = *art__sim_slot(w, to, c->chan);

	if (!c->closed[1 - side] && i && !w->dead[to]) {
		art__sim_inst_put(i, it);
		return;
	}
	if (it->what == SIM_SYN)
		c->closed[1 - side] = true; /* nobody there */
	if (it->what == SIM_SYN || it->what == SIM_MSG)
		art__sim_conn_refuse(c, 1 - side, ART_TP_REFUSED);
	lose(c, side, it);
}

void art__sim_on_head(struct sim_conn *c, int side)
{
	struct art_sim_world *w = c->world;
	struct sim_dir *d = &c->dir[side];
	const struct sim_path *p = path_of(w, c->end[side], c->end[1 - side]);
	struct sim_item *it = d->fly.head;

	d->scheduled = false;
	if (!it || p->cut == ART_SIM_STALL || p->hold[c->chan])
		return;
	if (it->arrive > w->now) {
		schedule(c, side);
		return;
	}
	settle(d, w->now);
	assert(d->undeparted != it);
	art__sim_list_take(&d->fly);
	if (p->cut == ART_SIM_VANISH) {
		d->ended &= it->what != SIM_FIN; /* not known there: may be sent again */
		d->gap |= it->what == SIM_MSG;
		lose(c, side, it);
	} else {
		arrive(c, side, it);
	}
	schedule(c, side);
}

/* ---- faults of links ---- */

static bool joins(const struct sim_conn *c, int a, int b)
{
	return (c->end[0] == a && c->end[1] == b) || (c->end[0] == b && c->end[1] == a);
}

void art__sim_break(struct art_sim_world *w, uint32_t channel, int a, int b)
{
	for (struct sim_conn *c = w->conns, *next; c; c = next) {
		art__sim_conn_ref(c);
		if (c->chan == channel && joins(c, a, b)) {
			end_direction(c, 0, ART_TP_RESET);
			end_direction(c, 1, ART_TP_RESET);
		}
		next = c->next;
		art__sim_conn_unref(c);
	}
}

static struct sim_path *path_make(struct art_sim_world *w, int from, int to)
{
	size_t n = (size_t)w->cfg.size;

	assert(from >= 0 && to >= 0 && from < w->cfg.size && to < w->cfg.size);
	if (!w->path) {
		w->path = art__env_zalloc(&w->env, n * n * sizeof(*w->path));
		assert(w->path);
	}
	return &w->path[(size_t)from * n + (size_t)to];
}

/* The end of a connection that has lost a message: its receiver may have seen the gap first. */
void art__sim_on_end(struct sim_conn *c)
{
	art__sim_conn_tell(c, 0, ART_TP_RESET);
	art__sim_conn_tell(c, 1, ART_TP_RESET);
}

/* What a path had stalled goes on; a connection over it that has lost something ends soon. */
static void resume(struct art_sim_world *w, int from, int to)
{
	for (struct sim_conn *c = w->conns; c; c = c->next) {
		struct sim_event e = { .kind = SIM_EV_END, .self = c };
		int side = c->end[0] == from ? 0 : 1;

		if (!joins(c, from, to))
			continue;
		schedule(c, side);
		if (!c->dir[side].gap)
			continue;
		c->dir[side].gap = false;
		e.when = w->now + (w->cfg.end_ns ? art__sim_below(w, w->cfg.end_ns + 1) : 0);
		art__sim_push(w, &e);
	}
}

void art__sim_cut(struct art_sim_world *w, int from, int to, enum art_sim_cut how)
{
	struct sim_path *p = path_make(w, from, to);
	struct sim_event e = { .kind = SIM_EV_CUT, .when = w->now + w->cfg.cut_ns };

	if (p->cut == how)
		return;
	p->cut = (uint8_t)how;
	p->generation++;
	e.word = (uint64_t)from * (uint64_t)w->cfg.size + (uint64_t)to;
	e.side = (int)p->generation;
	if (how == ART_SIM_OPEN)
		resume(w, from, to);
	else
		art__sim_push(w, &e);
}

/* Cut for too long: both systems give the connections up. */
void art__sim_on_cut(struct art_sim_world *w, uint64_t word, uint32_t generation)
{
	int from = (int)(word / (uint64_t)w->cfg.size), to = (int)(word % (uint64_t)w->cfg.size);
	struct sim_path *p = path_make(w, from, to);

	if (p->cut == ART_SIM_OPEN || p->generation != generation)
		return;
	for (struct sim_conn *c = w->conns, *next; c; c = next) {
		next = c->next;
		if (!joins(c, from, to))
			continue;
		art__sim_conn_tell(c, 0, ART_TP_RESET);
		art__sim_conn_tell(c, 1, ART_TP_RESET);
	}
}

void art__sim_partition(struct art_sim_world *w, const int *group)
{
	for (int a = 0; a < w->cfg.size; a++)
		for (int b = 0; b < w->cfg.size; b++)
			if (a != b)
				art__sim_cut(w, a, b, group[a] == group[b] ? ART_SIM_OPEN
									   : ART_SIM_STALL);
}

void art__sim_heal_all(struct art_sim_world *w)
{
	if (!w->path)
		return;
	for (int a = 0; a < w->cfg.size; a++) {
		for (int b = 0; b < w->cfg.size; b++) {
			for (uint32_t chan = 0; chan < ART_SIM_CHANNELS; chan++)
				art__sim_hold(w, chan, a, b, false);
			art__sim_cut(w, a, b, ART_SIM_OPEN);
		}
	}
}

void art__sim_hold(struct art_sim_world *w, uint32_t channel, int from, int to, bool on)
{
	struct sim_path *p = path_make(w, from, to);

	if (p->hold[channel] == on)
		return;
	p->hold[channel] = on;
	if (!on)
		resume(w, from, to);
}

/* ---- faults of processes ---- */

void art__sim_kill(struct art_sim_world *w, int slot)
{
	if (w->dead[slot])
		return;
	w->dead[slot] = true;
	for (struct sim_conn *c = w->conns, *next; c; c = next) {
		art__sim_conn_ref(c);
		for (int side = 0; side < 2; side++)
			if (c->end[side] == slot)
				art__sim_conn_close(c, side, art__sim_below(w, 2) ? ART_TP_RESET
										  : ART_TP_CLOSED);
		next = c->next;
		art__sim_conn_unref(c);
	}
	for (uint32_t chan = 0; chan < ART_SIM_CHANNELS; chan++) {
		struct sim_inst *i = *art__sim_slot(w, slot, chan);

		if (i)
			art__sim_inst_die(i);
	}
}

void art__sim_pause(struct art_sim_world *w, int slot, bool on)
{
	w->paused[slot] = on;
	for (uint32_t chan = 0; chan < ART_SIM_CHANNELS; chan++) {
		struct sim_inst *i = *art__sim_slot(w, slot, chan);

		if (!i)
			continue;
		i->paused = on;
		if (!on)
			art__sim_announce(w, slot, chan);
	}
}
