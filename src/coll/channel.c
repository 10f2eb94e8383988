/* SPDX-License-Identifier: MIT
 *
 * Which part of the memory that ranks of a host share a communicator has (base/arena.h): one of a few
 * channels, the same at all of its ranks, or none, and then its ops go by messages. The op that makes it is an
 * allreduce whose payload says which channels some rank has not to give; so all who get its outcome know alike.
 *
 *   free --offered with the call of one op at a time--> offered --its outcome: the lowest that all offer--> taken
 *    ^ ^------the outcome: another one, or none; failed------'                                               |
 *    '--wiped: the communicator is freed and all of it stable <---------------------------------------------'
 *
 * A channel of this rank's part is written by this rank only, so it is this rank alone that must know when it
 * may go to another communicator: when no live participant of the old one will read it any more. All have
 * everything done then, free included, as stable means just that. One that is no participant any more, stopped
 * and evicted, may still read: it looks for an epoch that is over, in which nothing was put down for the new one.
 * A rank that knows later that all is stable may still look at marks here, and finds 0, or those of the new
 * communicator: what it could learn from these of the old one, that it is stable, is true. But nobody may have to:
 * free is told to be stable by the wave alone (art__arena_learn()).
 *
 * What lay there must be wiped before the channel is offered, since flags are (epoch, seq) of any communicator:
 * an old one might be right for the new one while this rank is just writing, and old marks would say that
 * ops are over which have not begun. Wiped is before offered, offered before the outcome, and that before anybody
 * looks there for the new one.
 */
#include <assert.h>

#include "base/marks.h"
#include "coll/coll.h"

/* What is offered is this op's until its outcome is known: two at a time might be given the same. */
uint64_t art__channel_busy(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (!op->child)
		return 0; /* none of this rank's is needed */
	if (!c->arena || c->offer)
		return UINT64_MAX;
	c->offer = op;
	return UINT64_MAX << c->arena->channels | c->channels;
}

void art__channel_unoffer(struct art_op *op)
{
	struct art_ops *c = op->comm->coll;

	if (c->offer == op)
		c->offer = NULL;
}

static bool on_one_host(const struct art_comm *m)
{
	const int *hosts = m->coll->cfg.hosts;

	for (int r = 1; hosts && r < m->nrank; r++)
		if (hosts[m->slots[r]] != hosts[m->slots[0]])
			return false;
	return m->nrank > 1 && m->nrank <= ART_ARENA_RANKS;
}

static bool is_wiped(const struct art_arena *a, const struct art_arena_room *r)
{
	const struct art_arena_marks *mine = art__arena_my_marks(a, r);

	for (unsigned i = 0; i < r->slots; i++)
		if (art__arena_my_slots(a, r)[i].flag)
			return false;
	return !mine->state && !mine->bulk && !mine->sure && !mine->done && !mine->alone;
}

/* Every rank of the child does the same, from the same words. A rank that then has no memory for it says so where
 * the others look before they use it. */
void art__channel_give(struct art_op *op, uint64_t busy)
{
	struct art_comm *child = op->child;
	struct art_ops *c = child->coll;
	const struct art_arena *a = c->arena;
	unsigned k;
	bool good;

	art__channel_unoffer(op);
	if (!on_one_host(child) || !~busy || !a) {
		if (a && !~busy)
			ART_MARK(c->env, ART_M_CHANNEL_NONE);
		return;
	}
	k = (unsigned)__builtin_ctzll(~busy);
	if (k >= a->channels || c->channels >> k & 1) {
		art__ft_give_up(c->ft, ART_ERR_INTERNAL); /* it had not been offered: somebody lied */
		return;
	}
	good = !a->room || a->room(a->self, k);
	if (!art__arena_touch(a, ART_ARENA_DONE))
		return;
	ART_MARK(c->env, c->channels_had >> k & 1 ? ART_M_CHANNEL_AGAIN : ART_M_CHANNEL_TAKEN);
	c->channels |= 1u << k;
	c->channels_had |= 1u << k;
	child->channel = (int)k;
	child->room = art__arena_channel(a, k);
	assert(!good || is_wiped(a, &child->room)); /* without memory for it there is nothing to look at */
	atomic_store_explicit(&art__arena_my_marks(a, &child->room)->state,
			      good ? ART_ARENA_READY : ART_ARENA_NONE, memory_order_release);
}

/* What @part's rank says of the channel; it has given it to this communicator, or is about to. */
enum art_arena_state art__channel_state(const struct art_comm *m, const struct art_arena_part *part)
{
	uint32_t state = atomic_load_explicit(&art__arena_marks(part, &m->room)->state, memory_order_acquire);

	return state <= ART_ARENA_NONE ? (enum art_arena_state)state : ART_ARENA_NONE;
}

/* The communicator is freed, and all of it stable. */
void art__channel_end(struct art_comm *m)
{
	struct art_ops *c = m->coll;
	const struct art_arena *a = c->arena;
	struct art_arena_marks *mine;

	if (m == c->world || !m->room.slots || !(c->channels >> m->channel & 1) ||
	    !art__arena_touch(a, ART_ARENA_DONE))
		return;
	mine = art__arena_my_marks(a, &m->room);
	atomic_store_explicit(&mine->state, ART_ARENA_UNKNOWN, memory_order_relaxed);
	atomic_store_explicit(&mine->bulk, 0, memory_order_relaxed);
	atomic_store_explicit(&mine->sure, 0, memory_order_relaxed);
	atomic_store_explicit(&mine->done, 0, memory_order_relaxed);
	atomic_store_explicit(&mine->alone, 0, memory_order_relaxed);
	for (unsigned i = 0; i < m->room.slots; i++)
		atomic_store_explicit(&art__arena_my_slots(a, &m->room)[i].flag, 0, memory_order_relaxed);
	art__arena_fence(memory_order_seq_cst);
	c->channels &= ~(1u << m->channel);
}
