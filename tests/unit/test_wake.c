/* SPDX-License-Identifier: MIT
 *
 * Description: what the engine does with memory that ranks share, beside looking at it: a caller that waits
 * learns of a death from the mark in the dead rank's part, though no pidfd tells; and a rank that does not
 * look is woken by the pipe of its part, with no message and so no connection, be it asleep in a
 * call or outside. A small machine stands in place of the protocol. Every wait is for a condition.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "engine/dying.h"
#include "engine/internal.h"
#include "tests/lib/unit.h"

#define RANKS 2
#define LIMIT_S 60 /* what is not noticed is waited for in vain */

struct node {
	struct art_machine m; /* first */
	struct art_env env;
	struct art_port port;
	struct art_engine *e;
	_Atomic uint64_t put;   /* by whoever puts something into shared memory, for this rank to find */
	uint64_t taken;         /* of it; by the owner */
	bool deaf;              /* it does not look by itself: it was not woken yet */
	bool dead, early;       /* the other one; by the owner */
	atomic_uint found, messages, dozes;
	atomic_bool busy;
};

static struct node *node_of(struct art_machine *m)
{
	return (struct node *)m;
}

static void on_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	(void)chan;
	(void)from;
	(void)h;
	(void)body;
	atomic_fetch_add(&node_of(m)->messages, 1);
}

static void on_peer(struct art_machine *m, int peer)
{
	(void)m;
	(void)peer;
}

static void on_down(struct art_machine *m, enum art_chan chan, int peer)
{
	(void)m;
	(void)chan;
	(void)peer;
}

static void on_dead(struct art_machine *m, int slot, uint32_t epoch, const struct art_set *members, bool early)
{
	struct node *n = node_of(m);

	(void)epoch;
	(void)members;
	n->dead = slot == 1;
	n->early = early;
	n->port.done(n->port.self, NULL);
}

static void on_computed(struct art_machine *m, struct art_job *job)
{
	(void)m;
	(void)job;
}

static void on_tick(struct art_machine *m)
{
	(void)m;
}

static uint64_t on_wake_ns(struct art_machine *m)
{
	(void)m;
	return ART_NEVER;
}

static bool on_busy(struct art_machine *m)
{
	return atomic_load(&node_of(m)->busy);
}

static bool on_held_up(struct art_machine *m)
{
	(void)m;
	return false;
}

static int on_peek(struct art_machine *m)
{
	struct node *n = node_of(m);
	uint64_t put = atomic_load(&n->put);

	if (n->deaf || put == n->taken)
		return 0;
	n->taken = put;
	atomic_fetch_add(&n->found, 1);
	n->port.done(n->port.self, NULL);
	return 1;
}

/* After it has said that it does not look any more, it looks when it is woken. */
static bool on_doze(struct art_machine *m, bool on)
{
	struct node *n = node_of(m);

	if (on)
		atomic_fetch_add(&n->dozes, 1);
	n->deaf = on;
	return false;
}

static const struct art_machine_ops machine_ops = {
	.frame = on_frame, .room = on_peer, .link_down = on_down, .dead = on_dead, .suspect = on_peer,
	.computed = on_computed, .tick = on_tick, .wake_ns = on_wake_ns, .busy = on_busy,
	.held_up = on_held_up, .peek = on_peek, .doze = on_doze,
};

static void open_node(struct node *n, int slot, char addr[2][ART_TP_ADDR_MAX])
{
	struct art_engine_cfg cfg = {
		.env = &n->env, .transport = "shm", .arena = true, .slot = slot, .size = RANKS, .job = 78,
		.incarnation = 1 + (uint64_t)slot, .cores = 64, .key = { 1, 2, 3 },
	};

	memset(n, 0, sizeof(*n));
	art__env_posix(&n->env, "test", ART_LOG_ERROR);
	n->m.ops = &machine_ops;
	CU_ASSERT_FATAL(art__engine_open(&cfg, addr, &n->e) == 0);
	CU_ASSERT_FATAL(n->e->shared.arena.mine != NULL);
}

/* Both ranks are in this process, which no pidfd says to have ended. @locals 99: waits do not spin. */
static void open_pair(struct node n[RANKS], int locals)
{
	char addr[RANKS][2][ART_TP_ADDR_MAX];
	pid_t pids[RANKS] = { getpid(), getpid() };

	for (int i = 0; i < RANKS; i++)
		open_node(&n[i], i, addr[i]);
	for (int i = 0; i < RANKS; i++) {
		art__engine_locals(n[i].e, locals);
		CU_ASSERT_FATAL(art__engine_peer(n[i].e, !i, true, addr[!i][0], addr[!i][1]) == 0);
		art__engine_share(n[i].e, !i, getpid(), 1 + (uint64_t)!i);
		art__engine_share_done(n[i].e);
		CU_ASSERT_FATAL(n[i].e->shared.part[!i] != NULL);
		art__engine_port(n[i].e, &n[i].port);
	}
	for (int i = 0; i < RANKS; i++)
		CU_ASSERT_FATAL(art__engine_start(n[i].e, &n[i].m, pids) == 0);
}

static void close_pair(struct node n[RANKS])
{
	for (int i = 0; i < RANKS; i++)
		art__engine_close(n[i].e);
}

/* ---- a death ---- */

static bool knows_death(void *arg)
{
	return ((struct node *)arg)->dead;
}

static void *hold_and_end(void *life)
{
	art__dying_hold(life);
	return NULL;
}

static void a_death_is_seen_by_who_waits(void)
{
	struct art_arena_part *part = aligned_alloc(_Alignof(struct art_arena_part), sizeof(*part));
	const struct art_arena_part *kept;
	struct node n[RANKS];
	pthread_t thread;

	CU_ASSERT_FATAL(part != NULL);
	open_pair(n, 1);
	memset(part, 0, sizeof(*part));
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, hold_and_end, part->life) == 0);
	pthread_join(thread, NULL);
	art__engine_enter(n[0].e);
	kept = n[0].e->shared.part[1];
	n[0].e->shared.part[1] = part;
	art__engine_wait(n[0].e, knows_death, &n[0]);
	CU_ASSERT(n[0].early);
	n[0].e->shared.part[1] = kept;
	art__engine_leave(n[0].e);
	close_pair(n);
	free(part);
}

/* ---- nudges ---- */

static bool has_found(void *arg)
{
	return atomic_load(&((struct node *)arg)->found) > 0;
}

static void *wait_to_find(void *arg)
{
	struct node *n = arg;

	art__engine_enter(n->e);
	art__engine_wait(n->e, has_found, n);
	art__engine_leave(n->e);
	return NULL;
}

/* Something is put down for rank 0, and the other rank tells it. */
static void put_and_nudge(struct node n[RANKS])
{
	struct art_hdr h = { .kind = ART_K_NUDGE };

	atomic_fetch_add(&n[0].put, 1);
	art__engine_enter(n[1].e);
	n[1].port.send(n[1].port.self, ART_CHAN_DATA, 0, &h, NULL, 0);
	art__engine_leave(n[1].e);
}

static void until_it_dozes(struct node *n)
{
	while (!atomic_load(&n->dozes))
		poll(NULL, 0, 1);
}

/* Not a message: that would come over a connection, which these two have not made. */
static void a_sleeper_is_woken(void)
{
	struct node n[RANKS];
	pthread_t thread;

	open_pair(n, 99);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, wait_to_find, &n[0]) == 0);
	until_it_dozes(&n[0]);
	put_and_nudge(n);
	pthread_join(thread, NULL);
	CU_ASSERT(atomic_load(&n[0].messages) == 0);
	close_pair(n);
}

static void who_is_outside_is_woken(void)
{
	struct node n[RANKS];

	open_pair(n, 99);
	atomic_store(&n[0].busy, true);
	art__engine_enter(n[0].e);
	art__engine_leave(n[0].e);
	until_it_dozes(&n[0]);
	put_and_nudge(n);
	while (!has_found(&n[0]))
		poll(NULL, 0, 1);
	CU_ASSERT(atomic_load(&n[0].messages) == 0);
	close_pair(n);
}

/* What a rank has found without having been woken by it wakes nobody later: the pipe is empty when it is
 * watched. */
static void what_is_known_wakes_nobody(void)
{
	struct node n[RANKS];
	struct pollfd fd;

	open_pair(n, 99);
	art__engine_enter(n[0].e);
	atomic_store(&n[0].e->armed, false); /* as after a wake-up */
	CU_ASSERT(art__nudge(&n[1].e->shared.nudges, 0, getpid(), n[1].e->shared.part[0]));
	fd = (struct pollfd){ .fd = n[0].e->shared.nudges.in, .events = POLLIN };
	CU_ASSERT(poll(&fd, 1, 0) == 1);
	atomic_store(&n[0].busy, true);
	art__service_notify(n[0].e); /* as a caller that leaves; the service thread cannot come in */
	CU_ASSERT(poll(&fd, 1, 0) == 0);
	art__engine_leave(n[0].e);
	close_pair(n);
}

/* True: the service thread wanted the engine before it was left, and goes on with what there is. */
static bool leave_with_something_begun(struct node *n)
{
	bool wanted;

	art__engine_enter(n->e);
	atomic_store(&n->busy, true);
	n->e->stirred = n->e->parked = false;
	atomic_store(&n->e->armed, true);
	atomic_store(&n->dozes, 0);
	wanted = art__own_wanted(&n->e->own);
	art__engine_leave_quietly(n->e);
	return wanted;
}

/* Another caller began something while this one gave way, and left it to this one to hand on. Not where the
 * service thread wants the engine just then; if it comes to that after it was asked, it will not twice. */
static void what_others_began_is_handed_on(void)
{
	struct node n[RANKS];
	int missed = 0;

	open_pair(n, 99);
	while (missed < 2) {
		bool wanted = leave_with_something_begun(&n[0]);

		if (!wanted && atomic_load(&n[0].dozes) > 0)
			break;
		missed += !wanted;
	}
	CU_ASSERT(missed < 2);
	close_pair(n);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a death is seen by who waits", a_death_is_seen_by_who_waits },
		{ "a sleeper is woken", a_sleeper_is_woken },
		{ "who is outside is woken", who_is_outside_is_woken },
		{ "what is known wakes nobody", what_is_known_wakes_nobody },
		{ "what others began is handed on", what_others_began_is_handed_on },
		CU_TEST_INFO_NULL,
	};

	if (!art__dying_init())
		tests[0] = tests[1]; /* no membarrier(2), or another C library: deaths are not seen early */
	alarm(LIMIT_S);
	return unit_run("wake", tests);
}
