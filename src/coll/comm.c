/* SPDX-License-Identifier: MIT
 *
 * Communicators: identity, ranks and slots, live participants of the present epoch, and the
 * sets of contributors that outcomes point to (kept until the communicator ends, rule R9).
 */
#include <art/status.h>

#include "coll/coll.h"
#include "topo/topo.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Everyone computes the same identity; 0 is never one. */
uint64_t art__comm_child_id(uint64_t parent, uint64_t seq, uint64_t colour)
{
	uint64_t id = mix(mix(mix(parent) + seq) + colour);

	return id ? id : 1;
}

struct art_comm *art__comm_find(struct art_ops *c, uint64_t id)
{
	for (struct art_comm *m = c->comms; m; m = m->next)
		if (m->id == id)
			return m;
	return NULL;
}

const struct art_gone *art__comm_gone(const struct art_ops *c, uint64_t id)
{
	uint32_t n = c->ngone < ART_GONE ? c->ngone : ART_GONE;

	for (uint32_t i = 0; i < n; i++)
		if (c->gone[i].id == id)
			return &c->gone[i];
	return NULL;
}

static void free_comm(struct art_comm *m)
{
	const struct art_env *env = m->coll->env;

	art__env_free(env, m->ring);
	art__env_free(env, m->slots);
	art__env_free(env, m->part);
	art__env_free(env, m->rank_of);
	art__env_free(env, m->notify);
	art__env_free(env, m);
}

/* All memory of a communicator that is about to be made: no one can have it, and speak of it,
 * before every rank has called for it, so what others say always finds it. */
struct art_comm *art__comm_new(struct art_ops *c, uint64_t id, int nrank)
{
	struct art_comm *m = art__env_zalloc(c->env, sizeof(*m));

	if (!m)
		return NULL;
	m->coll = c;
	m->id = id;
	m->next_seq = 1;
	m->nrank = nrank;
	memcpy(m->algo, c->cfg.algo, sizeof(m->algo));
	m->slots = art__env_alloc(c->env, (size_t)nrank * sizeof(int));
	m->part = art__env_alloc(c->env, 2 * (size_t)nrank * sizeof(int));
	m->rank_of = art__env_alloc(c->env, (size_t)c->cfg.size * sizeof(int));
	if (!m->slots || !m->part || !m->rank_of) {
		free_comm(m);
		return NULL;
	}
	m->next = c->comms;
	c->comms = m;
	return m;
}

void art__comm_make(struct art_comm *m, const int *slots, int policy)
{
	struct art_ops *c = m->coll;

	for (int i = 0; i < c->cfg.size; i++)
		m->rank_of[i] = -1;
	for (int r = 0; r < m->nrank; r++) {
		m->slots[r] = slots[r];
		m->rank_of[slots[r]] = r;
	}
	m->me = m->rank_of[c->cfg.slot];
	m->policy = policy;
	m->tuned = art__choose_tuned(c->cfg.tuning, m->nrank);
	m->chosen = art__choose_any(m);
	m->made = true;
	art__comm_parts(m);
}

void art__comm_end(struct art_comm *m)
{
	struct art_ops *c = m->coll;
	struct art_comm **p = &c->comms, **d = &c->dirty;

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	while (m->dirty && *d != m)
		d = &(*d)->dirty_next;
	if (m->dirty)
		*d = m->dirty_next;
	if (m->made)
		c->gone[c->ngone++ % ART_GONE] = (struct art_gone){ m->id, m->stable };
	for (uint64_t s = m->stable + 1; s <= m->top_seq; s++) {
		struct art_op *op = art__op_find(m, s);
		if (op)
			art__op_forget(op);
	}
	art__early_drop(c, &m->early);
	while (m->csets) {
		struct art_cset *s = m->csets;
		m->csets = s->next;
		art__env_free(c->env, s);
	}
	while (m->odds) {
		struct art_odd *o = m->odds;
		m->odds = o->next;
		art__env_free(c->env, o);
	}
	free_comm(m);
}

/* Of participants. They are found by a table behind these: of slots. */
static int count_hosts(const struct art_comm *m)
{
	const int *hosts = m->coll->cfg.hosts;
	int p = m->npart, n = 0, *table = m->part + m->nrank;

	for (int i = 0; i < p; i++)
		table[i] = -1;
	for (int i = 0; hosts && i < p; i++) {
		int slot = m->part[i], k = (int)((unsigned)hosts[slot] % (unsigned)p);

		while (table[k] >= 0 && hosts[table[k]] != hosts[slot])
			k = k + 1 < p ? k + 1 : 0;
		n += table[k] < 0;
		table[k] = slot;
	}
	return hosts ? n : 1;
}

/* The live ranks of the present epoch, and the tree along which stability is told. */
void art__comm_count_parts(struct art_comm *m)
{
	const struct art_view *v = &m->coll->ft->view;
	struct art_tree t = { 0 };
	int child[ART_WM_KIDS];

	m->npart = 0;
	m->mypos = -1;
	for (int r = 0; r < m->nrank; r++) {
		if (!art__set_has(&v->members, (uint32_t)m->slots[r]))
			continue;
		if (r == m->me)
			m->mypos = m->npart;
		m->part[m->npart++] = m->slots[r];
	}
	m->torn = art__shape_torn(m);
	m->nhost = count_hosts(m);
	m->arena_state = m->near_state = ART_ARENA_UNKNOWN;
	m->part_epoch = v->base;
	m->part_valid = true;
	t.child = child;
	t.cap = ART_WM_KIDS;
	art__topo_knomial(m->npart, 0, 2, m->mypos, &t);
	m->wm_parent = t.parent < 0 ? -1 : m->part[t.parent];
	m->wm_nkid = t.nchild;
	for (int i = 0; i < t.nchild; i++) {
		m->wm_kid[i] = m->part[child[i]];
		m->wm_val[i] = m->wm_told[i] = 0;
	}
	m->wm_reported = m->wm_common;
	m->wm_hurry = m->wm_said = m->wm_above = 0;
}

void art__comm_live(const struct art_comm *m, struct art_set *out)
{
	const struct art_set *members = &m->coll->ft->view.members;

	art__set_init(out, members->n);
	for (int r = 0; r < m->nrank; r++)
		if (art__set_has(members, (uint32_t)m->slots[r]))
			art__set_add(out, (uint32_t)m->slots[r]);
}

const struct art_set *art__comm_keep_set(struct art_comm *m, uint32_t epoch, bool blame,
					 const struct art_set *s)
{
	struct art_cset *e;

	/* many ops may fail, each in an epoch of its own, and all for the same ranks */
	for (e = m->csets; e; e = e->next)
		if ((blame || e->epoch == epoch) && e->blame == blame && art__set_equal(&e->set, s))
			return &e->set;
	e = art__env_alloc(m->coll->env, sizeof(*e));
	if (!e && blame)
		art__ft_give_up(m->coll->ft, ART_ERR_NOMEM); /* it would tell something else */
	if (!e)
		return NULL;
	e->epoch = epoch;
	e->blame = blame;
	art__set_copy(&e->set, s);
	e->next = m->csets;
	m->csets = e;
	return &e->set;
}

/* The contributors of whatever this communicator computes in the present epoch. */
const struct art_set *art__comm_contributors_new(struct art_comm *m, uint32_t epoch)
{
	struct art_set s;

	art__comm_live(m, &s);
	return art__comm_keep_set(m, epoch, false, &s);
}

/* ---- what the API asks ---- */

int art__comm_rank(const struct art_comm *m)
{
	return m->me;
}

int art__comm_size(const struct art_comm *m)
{
	return m->nrank;
}

int art__comm_slot(const struct art_comm *m, int rank)
{
	return rank >= 0 && rank < m->nrank ? m->slots[rank] : -1;
}

int art__comm_rank_of(const struct art_comm *m, int slot)
{
	return slot >= 0 && slot < m->coll->cfg.size ? m->rank_of[slot] : -1;
}

int art__comm_flags(const struct art_comm *m)
{
	return m->flags;
}

uint64_t art__comm_id(const struct art_comm *m)
{
	return m->id;
}

uint64_t art__comm_next_seq(const struct art_comm *m)
{
	return m->next_seq;
}
