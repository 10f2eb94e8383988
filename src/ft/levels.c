/* SPDX-License-Identifier: MIT
 *
 * A change of the view in two levels: a proposer of many members hands what it says to the first of
 * each group of about sqrt(n), who passes it on, gathers the answers and sends them together. Nobody
 * then has more than about sqrt(n) messages a phase to send or to take.
 *
 *   proposer --FAN(message, group)--> relay --FAN(message)--> each of the group
 *   proposer <--GATHER(answers)------ relay <--GATHER(answer)- each of the group
 *                                      |  all of them have answered, or a quarter of a retry is over;
 *                                      |  who comes later is sent on at once
 *
 * A relay carries bytes and decides nothing: what it hands on means what it would have meant from its
 * origin, late or twice or not at all, and of control messages the protocol bears all of that. Whom the
 * proposer has not heard within a retry it speaks to itself for the rest of the ballot (propose.c), and
 * whoever was spoken to through a relay and hears no more asks the proposer (change.c): a relay that dies,
 * is slow, leaves or does not reach somebody costs time and no more.
 */
#include <assert.h>

#include "base/marks.h"
#include "ft/ft.h"

#define FAN_HEAD (4 * sizeof(uint32_t) + 1)
#define GATHER_HEAD sizeof(uint32_t)
#define ENTRY_HEAD (3 * sizeof(uint32_t) + 1)
/* An answer more and it would be on its way: a relay keeps no more than this and one answer. */
#define GATHER_MAX 16384u
#define GROUP_MAX 64u /* of ART_MAX_RANKS */

static void close_gather(struct art_ft *ft)
{
	ft->gather.to = -1;
	art__env_free(ft->env, ft->gather.w.p);
	ft->gather.w = (struct art_wbuf){ 0 };
}

void art__ft_levels_init(struct art_ft *ft)
{
	ft->via = ft->gather.to = -1;
	ft->star_max = ART_FT_STAR_MAX;
}

void art__ft_levels_stop(struct art_ft *ft)
{
	close_gather(ft);
}

/* ---- down ---- */

static void post_fan(struct art_ft *ft, int to, uint32_t origin, const uint32_t *group, uint32_t n,
		     const struct art_ft_said *m)
{
	struct art_wbuf w = { 0 };

	if (art__ft_room(ft->env, &w, FAN_HEAD + n * sizeof(*group) + m->len)) {
		art__w_u32(&w, origin);
		art__w_u8(&w, m->kind);
		art__w_u32(&w, m->epoch);
		art__w_u32(&w, n);
		for (uint32_t i = 0; i < n; i++)
			art__w_u32(&w, group[i]);
		art__w_bytes(&w, m->body, m->len);
		ft->client.ctl(ft->client.self, to, ART_K_FAN, m->epoch, w.p, w.len);
	}
	art__env_free(ft->env, w.p);
}

static void tell_each(struct art_ft *ft, const struct art_set *to, const struct art_ft_said *m)
{
	ART_SET_EACH(i, to)
		ft->client.ctl(ft->client.self, (int)i, m->kind, m->epoch, m->body, m->len);
}

/* To another one of the group each ballot: the one before may have been why it came to nothing. */
static void tell_group(struct art_ft *ft, uint32_t *group, uint32_t n, const struct art_ft_said *m)
{
	uint32_t turn = (ft->prop.ballot - 1) / ft->size % n, relay = group[turn];

	group[turn] = group[n - 1];
	ART_MARK(ft->env, ART_M_TWO_LEVELS);
	post_fan(ft, (int)relay, (uint32_t)ft->slot, group, n - 1, m);
}

/* Neighbours are a group: most likely they share a host or a switch. */
static void tell_groups(struct art_ft *ft, const struct art_set *to, const struct art_ft_said *m)
{
	uint32_t group[GROUP_MAX], n = 0, width = 1, count = art__set_count(to);

	while (width * width < count)
		width++;
	assert(width <= GROUP_MAX);
	ART_SET_EACH(i, to) {
		group[n++] = i;
		if (n < width)
			continue;
		tell_group(ft, group, n, m);
		n = 0;
	}
	if (n)
		tell_group(ft, group, n, m);
}

void art__ft_tell(struct art_ft *ft, const struct art_set *to, const struct art_ft_said *m)
{
	struct art_set with, alone;

	art__set_copy(&with, to);
	art__set_copy(&alone, to);
	art__set_and(&with, &ft->prop.members);
	art__set_minus(&with, &ft->suspect);
	art__set_minus(&with, &ft->prop.alone);
	if (art__set_count(&with) > ft->star_max) {
		art__set_minus(&alone, &with);
		tell_groups(ft, &with, m);
	}
	tell_each(ft, &alone, m);
}

/* ---- up ---- */

static bool put_entry(struct art_ft *ft, struct art_wbuf *w, int to, uint32_t from, const struct art_ft_said *m)
{
	if (!art__ft_room(ft->env, w, GATHER_HEAD + ENTRY_HEAD + m->len))
		return false;
	if (!w->len)
		art__w_u32(w, (uint32_t)to);
	art__w_u32(w, from);
	art__w_u8(w, m->kind);
	art__w_u32(w, m->epoch);
	art__w_u32(w, (uint32_t)m->len);
	art__w_bytes(w, m->body, m->len);
	return true;
}

static void post_entry(struct art_ft *ft, int hop, int to, uint32_t from, const struct art_ft_said *m)
{
	struct art_wbuf w = { 0 };

	if (put_entry(ft, &w, to, from, m))
		ft->client.ctl(ft->client.self, hop, ART_K_GATHER, m->epoch, w.p, w.len);
	art__env_free(ft->env, w.p);
}

static void send_gathered(struct art_ft *ft)
{
	struct art_gather *g = &ft->gather;

	if (g->to >= 0 && g->w.len)
		ft->client.ctl(ft->client.self, g->to, ART_K_GATHER, g->epoch, g->w.p, g->w.len);
	g->w.len = 0;
}

/* An answer for @to, of this rank or of one of the group. */
static void gather(struct art_ft *ft, int to, uint32_t from, const struct art_ft_said *m)
{
	struct art_gather *g = &ft->gather;

	if (g->to != to || g->epoch != m->epoch || g->kind != m->kind ||
	    !art__set_has(&g->pending, from) || !put_entry(ft, &g->w, to, from, m)) {
		post_entry(ft, to, to, from, m);
		return;
	}
	art__set_del(&g->pending, from);
	if (ART_FT_MUTANT(ft, 25) && (int)from == ft->slot) {
		ART_SET_EACH(i, &g->pending)
			put_entry(ft, &g->w, to, i, m);
	}
	if (!art__set_empty(&g->pending) && g->w.len < GATHER_MAX)
		return;
	send_gathered(ft);
	if (art__set_empty(&g->pending))
		close_gather(ft);
}

/* Nobody needs to answer a decision; the answers to an earlier message of the same proposer are there. */
static void open_gather(struct art_ft *ft, int to, uint8_t kind, uint32_t epoch,
			const struct art_set *group)
{
	struct art_gather *g = &ft->gather;

	if (g->to != to)
		send_gathered(ft);
	close_gather(ft);
	if (kind == ART_K_DECIDED)
		return;
	g->to = to;
	g->kind = kind == ART_K_PREPARE ? ART_K_PROMISE : ART_K_ACCEPTED;
	g->epoch = epoch;
	art__set_copy(&g->pending, group);
	art__set_add(&g->pending, (uint32_t)ft->slot);
	g->due_ns = art__env_now(ft->env) + ft->retry_ns / 4;
}

void art__ft_answer(struct art_ft *ft, int to, uint8_t kind, uint32_t epoch, const void *body, size_t len)
{
	struct art_ft_said m = { .kind = kind, .epoch = epoch, .body = body, .len = len };

	if (ft->via < 0)
		ft->client.ctl(ft->client.self, to, kind, epoch, body, len);
	else if (ft->via == ft->slot)
		gather(ft, to, (uint32_t)ft->slot, &m);
	else
		post_entry(ft, ft->via, to, (uint32_t)ft->slot, &m);
}

/* ---- what comes ---- */

static bool speaks(const struct art_ft *ft, uint32_t origin)
{
	return art__set_has(&ft->view.members, origin) && !art__set_has(&ft->dead, origin);
}

/* Whom a message is to be passed on to. */
static bool read_group(const struct art_ft *ft, uint32_t origin, struct art_rbuf *r, struct art_set *group)
{
	uint32_t n = art__r_u32(r);

	art__set_init(group, ft->size);
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		uint32_t who = art__r_u32(r);

		if (who >= ft->size || who == origin || who == (uint32_t)ft->slot)
			r->bad = true;
		else
			art__set_add(group, who);
	}
	return !r->bad;
}

/* First on, then to this rank itself: what it says may end here what it is about. */
static void pass_on(struct art_ft *ft, uint32_t origin, const struct art_set *group,
		    const struct art_ft_said *m)
{
	open_gather(ft, (int)origin, m->kind, m->epoch, group);
	ART_SET_EACH(i, group)
		post_fan(ft, (int)i, origin, NULL, 0, m);
	ft->client.step(ft->client.self, "passed on");
}

void art__ft_on_fan(struct art_ft *ft, int from, struct art_rbuf *r)
{
	struct art_ft_said m = { 0 };
	uint32_t origin = art__r_u32(r);
	struct art_set group;

	m.kind = art__r_u8(r);
	m.epoch = art__r_u32(r);
	if (!read_group(ft, origin, r, &group) || origin >= ft->size || origin == (uint32_t)ft->slot ||
	    (m.kind != ART_K_PREPARE && m.kind != ART_K_ACCEPT && m.kind != ART_K_DECIDED))
		return;
	if ((int)origin != from && !art__set_empty(&group))
		return; /* two levels and no more */
	m.body = r->p + r->at;
	m.len = r->len - r->at;
	if ((int)origin == from && speaks(ft, origin))
		pass_on(ft, origin, &group, &m);
	ft->via = (int)origin == from ? ft->slot : from;
	art__ft_message(ft, (int)origin, m.kind, m.epoch, m.body, m.len);
	ft->via = -1;
}

static bool read_entry(const struct art_ft *ft, struct art_rbuf *r, uint32_t *from, struct art_ft_said *m)
{
	*from = art__r_u32(r);
	m->kind = art__r_u8(r);
	m->epoch = art__r_u32(r);
	m->len = art__r_u32(r);
	m->body = art__r_bytes(r, m->len);
	return !r->bad && *from < ft->size && *from != (uint32_t)ft->slot &&
	       (m->kind == ART_K_PROMISE || m->kind == ART_K_ACCEPTED);
}

void art__ft_on_gather(struct art_ft *ft, int from, struct art_rbuf *r)
{
	uint32_t to = art__r_u32(r), who;
	struct art_ft_said m;

	if (r->bad || to >= ft->size)
		return;
	if (to != (uint32_t)ft->slot) {
		if (read_entry(ft, r, &who, &m) && (int)who == from && who != to && speaks(ft, to))
			gather(ft, (int)to, who, &m);
		return;
	}
	while (r->at < r->len && read_entry(ft, r, &who, &m) && !ft->fate)
		art__ft_message(ft, (int)who, m.kind, m.epoch, m.body, m.len);
}

/* ---- time ---- */

void art__ft_levels_tick(struct art_ft *ft, uint64_t now)
{
	if (ft->gather.to < 0 || now < ft->gather.due_ns)
		return;
	send_gathered(ft);
	close_gather(ft);
}

uint64_t art__ft_levels_wake(const struct art_ft *ft)
{
	return ft->gather.to < 0 ? ART_NEVER : ft->gather.due_ns;
}
