/* SPDX-License-Identifier: MIT
 *
 * Description: the engine with a small machine in place of the protocol, over TCP on loopback:
 * ownership, freezes, doorbells, user functions, deaths, starting and stopping. Every wait is for a
 * condition and bounded; TSan runs the same program.
 */
#include <CUnit/Basic.h>
#include <art/status.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "engine/internal.h"
#include "tests/lib/unit.h"

#define RANKS 2
#define OPS 32
#define PATIENCE_MS 20000

static const char *program;
static bool quiet;     /* errors are expected */
static bool no_pidfds; /* this process runs without_pidfds() only */

/* ---- a machine with three things to do: answer pings, answer freezes, run user functions ---- */
enum { PING, PONG, NOTE };

struct art_op {
	uint64_t seq;
	bool done;
	struct art_op *next;
};

struct node {
	struct art_machine m; /* first */
	struct art_port port;
	struct art_env env;
	struct art_engine *e;
	int slot;
	/* owner of the engine */
	uint64_t seq;
	struct art_op *ops;
	uint64_t wake;
	unsigned counted;
	/* any thread reads */
	atomic_bool busy, held_up;
	atomic_uint pings, notes, bytes, freezes, promises, goodbyes, ticks, downs;
	atomic_int died;             /* slot, -1: nobody */
	atomic_uint notes_at_death, goodbyes_at_death;
};

static struct node *node_of(struct art_machine *m)
{
	return (struct node *)m;
}

static void finish(struct node *n, uint64_t seq)
{
	for (struct art_op *op = n->ops; op; op = op->next)
		if (op->seq == seq && !op->done) {
			op->done = true;
			n->port.done(n->port.self, op);
		}
}

static void say(struct node *n, enum art_chan chan, int to, uint8_t kind, uint8_t phase,
		uint64_t seq, size_t len)
{
	static const uint8_t body[ART_BODY_MAX];
	struct art_hdr h = {.kind = kind, .phase = phase, .seq = seq};

	n->port.send(n->port.self, chan, to, &h, body, len);
}

static void on_frame(struct art_machine *m, enum art_chan chan, int from, const struct art_hdr *h,
		     const uint8_t *body)
{
	struct node *n = node_of(m);

	(void)body;
	if (h->kind == ART_K_DATA && h->phase == PING) {
		atomic_fetch_add(&n->pings, 1);
		say(n, chan, from, ART_K_DATA, PONG, h->seq, 0);
	} else if (h->kind == ART_K_DATA && h->phase == PONG) {
		finish(n, h->seq);
	} else if (h->kind == ART_K_DATA) {
		atomic_fetch_add(&n->bytes, h->len);
		atomic_fetch_add(&n->notes, 1);
	} else if (h->kind == ART_K_PREPARE) {
		atomic_fetch_add(&n->freezes, 1);
		say(n, chan, from, ART_K_PROMISE, 0, h->seq, 0);
	} else if (h->kind == ART_K_PROMISE) {
		atomic_fetch_add(&n->promises, 1);
		finish(n, h->seq);
	} else if (h->kind == ART_K_BYE) {
		atomic_fetch_add(&n->goodbyes, 1);
	}
}

static void on_room(struct art_machine *m, int to)
{
	(void)m;
	(void)to;
}

static void on_down(struct art_machine *m, enum art_chan chan, int peer)
{
	(void)chan;
	(void)peer;
	atomic_fetch_add(&node_of(m)->downs, 1);
}

static void on_dead(struct art_machine *m, int slot, uint32_t epoch, const struct art_set *members, bool early)
{
	struct node *n = node_of(m);

	(void)epoch;
	(void)members;
	(void)early;
	atomic_store(&n->notes_at_death, atomic_load(&n->notes));
	atomic_store(&n->goodbyes_at_death, atomic_load(&n->goodbyes));
	atomic_store(&n->died, slot);
}

static void on_computed(struct art_machine *m, struct art_job *job)
{
	finish(node_of(m), job->token);
}

static void on_tick(struct art_machine *m)
{
	struct node *n = node_of(m);

	n->counted++;
	n->wake = ART_NEVER;
	atomic_fetch_add(&n->ticks, 1);
}

static uint64_t on_wake_ns(struct art_machine *m)
{
	return node_of(m)->wake;
}

static bool on_busy(struct art_machine *m)
{
	return atomic_load(&node_of(m)->busy);
}

static bool on_held_up(struct art_machine *m)
{
	return atomic_load(&node_of(m)->held_up);
}

static const struct art_machine_ops machine_ops = {
	.frame = on_frame, .room = on_room, .link_down = on_down, .dead = on_dead,
	.suspect = on_room, .computed = on_computed, .tick = on_tick, .wake_ns = on_wake_ns,
	.busy = on_busy, .held_up = on_held_up,
};

/* ---- nodes ---- */
static int open_node(struct node *n, int slot, int size, char addr[2][ART_TP_ADDR_MAX])
{
	struct art_engine_cfg cfg = {
		.env = &n->env, .transport = "tcp", .slot = slot, .size = size, .job = 77,
		.incarnation = 1 + (uint64_t)slot, .cores = 64, .key = {1, 2, 3},
	};
	int rc;

	memset(n, 0, sizeof(*n));
	art__env_posix(&n->env, "test", ART_LOG_ERROR);
	if (quiet)
		n->env.log = NULL;
	n->m.ops = &machine_ops;
	n->slot = slot;
	n->wake = ART_NEVER;
	n->died = -1;
	rc = art__engine_open(&cfg, addr, &n->e);
	if (!rc)
		art__engine_port(n->e, &n->port);
	return rc;
}

static const pid_t no_pids[RANKS];

/* Two ranks in this process. @locals > 64: waits do not spin. */
static void open_pair(struct node n[RANKS], int locals)
{
	char addr[RANKS][2][ART_TP_ADDR_MAX];

	for (int i = 0; i < RANKS; i++)
		CU_ASSERT_FATAL(open_node(&n[i], i, RANKS, addr[i]) == 0);
	for (int i = 0; i < RANKS; i++) {
		art__engine_locals(n[i].e, locals);
		CU_ASSERT_FATAL(art__engine_peer(n[i].e, !i, true, addr[!i][0], addr[!i][1]) == 0);
	}
	for (int i = 0; i < RANKS; i++)
		CU_ASSERT_FATAL(art__engine_start(n[i].e, &n[i].m, no_pids) == 0);
}

static void close_pair(struct node n[RANKS])
{
	for (int i = 0; i < RANKS; i++)
		art__engine_close(n[i].e);
}

static void open_alone(struct node *n)
{
	char addr[2][ART_TP_ADDR_MAX];

	CU_ASSERT_FATAL(open_node(n, 0, 1, addr) == 0);
	CU_ASSERT_FATAL(art__engine_start(n->e, &n->m, no_pids) == 0);
}

static bool is_done(void *arg)
{
	return ((struct art_op *)arg)->done;
}

static void begin(struct node *n, struct art_op *op)
{
	*op = (struct art_op){.seq = ++n->seq, .next = n->ops};
	n->ops = op;
}

static void end(struct node *n, struct art_op *op)
{
	struct art_op **at = &n->ops;

	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
}

static void ask(struct node *n, enum art_chan chan, uint8_t kind)
{
	struct art_op op;

	art__engine_enter(n->e);
	begin(n, &op);
	say(n, chan, !n->slot, kind, PING, op.seq, 0);
	art__engine_wait(n->e, is_done, &op);
	end(n, &op);
	art__engine_leave(n->e);
}

static void ping(struct node *n)
{
	ask(n, ART_CHAN_DATA, ART_K_DATA);
}

static void freeze(struct node *n)
{
	ask(n, ART_CHAN_CTL, ART_K_PREPARE);
}

/* Waits for @value >= @least; false when patience ends. */
static bool until(atomic_uint *value, unsigned least)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (atomic_load(value) >= least)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CU_ASSERT_FATAL(pthread_create(&t, NULL, fn, arg) == 0);
	return t;
}

/* ---- ownership ---- */
#define TURNS 4000
#define THREADS 4

static void *count_turns(void *arg)
{
	struct node *n = arg;

	for (int i = 0; i < TURNS; i++) {
		art__engine_enter(n->e);
		n->counted++; /* no atomic: the engine is what keeps it whole */
		n->wake = 0;  /* and the service thread wants in, too */
		art__engine_leave(n->e);
	}
	return NULL;
}

static void one_owner_at_a_time(void)
{
	struct node n;
	pthread_t t[THREADS];

	open_alone(&n);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(count_turns, &n);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT(until(&n.ticks, 1));
	art__engine_stop(n.e);
	CU_ASSERT(n.counted == THREADS * TURNS + atomic_load(&n.ticks));
	CU_ASSERT(atomic_load(&n.ticks) > 0);
	art__engine_close(n.e);
}

/* ---- answers while nobody is inside ---- */
static void absent_ranks_answer(void)
{
	struct node n[RANKS];

	open_pair(n, 99);
	freeze(&n[0]);
	CU_ASSERT(atomic_load(&n[1].freezes) == 1);
	ping(&n[0]); /* not busy: it takes a look now and then, or no peer could ever connect */
	atomic_store(&n[1].busy, true);
	for (int i = 0; i < 50; i++)
		ping(&n[0]);
	CU_ASSERT(atomic_load(&n[1].pings) == 51);
	close_pair(n);
}

/* ---- freezes ---- */
struct guest {
	struct node *n;
	struct art_op op;
	struct art_job job;
	atomic_uint inside, stop;
	bool on_service;
};

static void *wait_for_op(void *arg)
{
	struct guest *g = arg;

	art__engine_enter(g->n->e);
	begin(g->n, &g->op);
	atomic_store(&g->inside, 1);
	art__engine_wait(g->n->e, is_done, &g->op);
	end(g->n, &g->op);
	art__engine_leave(g->n->e);
	return NULL;
}

static void release(struct guest *g)
{
	art__engine_enter(g->n->e);
	finish(g->n, g->op.seq);
	art__engine_leave(g->n->e);
}

static void freeze_waiting(int locals, bool held_up)
{
	struct node n[RANKS];
	struct guest g = {.n = &n[1]};
	pthread_t t;

	open_pair(n, locals);
	atomic_store(&n[1].held_up, held_up);
	t = spawn(wait_for_op, &g);
	CU_ASSERT(until(&g.inside, 1));
	for (int i = 0; i < 100; i++)
		freeze(&n[0]);
	CU_ASSERT(atomic_load(&n[1].freezes) == 100);
	release(&g);
	pthread_join(t, NULL);
	close_pair(n);
}

/* Blocked, spinning, or asleep because the view changes. */
static void a_waiting_caller_is_frozen(void)
{
	freeze_waiting(99, false);
	freeze_waiting(1, false);
	freeze_waiting(1, true);
}

static void *test_for_ever(void *arg)
{
	struct guest *g = arg;

	while (!atomic_load(&g->stop)) {
		art__engine_enter(g->n->e);
		if (!atomic_load(&g->inside)) {
			begin(g->n, &g->op);
			atomic_store(&g->inside, 1);
		}
		art__engine_test(g->n->e, is_done, &g->op);
		art__engine_leave(g->n->e);
	}
	return NULL;
}

static void a_testing_caller_is_frozen(void)
{
	struct node n[RANKS];
	struct guest g = {.n = &n[1]};
	pthread_t t;

	open_pair(n, 1);
	t = spawn(test_for_ever, &g);
	CU_ASSERT(until(&g.inside, 1));
	for (int i = 0; i < 100; i++)
		freeze(&n[0]);
	CU_ASSERT(atomic_load(&n[1].freezes) == 100);
	atomic_store(&g.stop, 1);
	pthread_join(t, NULL);
	close_pair(n);
}

/* A user function that ends only after the freeze it must not delay. */
static void compute_until_stopped(struct art_job *job)
{
	struct guest *g = job->arg[0];
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	g->on_service = strcmp(name, "art-service") == 0;
	atomic_store(&g->inside, 1);
	if (!until(&g->stop, 1))
		g->on_service = true;
}

static void *compute(void *arg)
{
	struct guest *g = arg;

	art__engine_enter(g->n->e);
	begin(g->n, &g->op);
	g->job = (struct art_job){
		.token = g->op.seq, .run = compute_until_stopped, .arg = {g},
	};
	g->n->port.compute(g->n->port.self, &g->job);
	art__engine_wait(g->n->e, is_done, &g->op);
	end(g->n, &g->op);
	art__engine_leave(g->n->e);
	return NULL;
}

static void a_computing_caller_is_frozen(void)
{
	struct node n[RANKS];
	struct guest g = {.n = &n[1]};
	pthread_t t;

	open_pair(n, 99);
	t = spawn(compute, &g);
	CU_ASSERT(until(&g.inside, 1));
	freeze(&n[0]);
	CU_ASSERT(atomic_load(&n[1].freezes) == 1);
	ping(&n[0]); /* the data channel is seen to as well */
	atomic_store(&g.stop, 1);
	pthread_join(t, NULL);
	CU_ASSERT(!g.on_service);
	close_pair(n);
}

/* ---- user functions ---- */
/* Queued by the service thread, as it steps the machine: a sleeping waiter has to come and run it. */
static void *bring_job(void *arg)
{
	struct guest *g = arg;

	art__engine_enter(g->n->e);
	g->job = (struct art_job){
		.token = g->op.seq, .run = compute_until_stopped, .arg = {g},
	};
	g->n->port.compute(g->n->port.self, &g->job);
	art__engine_leave(g->n->e);
	return NULL;
}

static void a_sleeper_runs_the_job(void)
{
	struct node n;
	struct guest sleeper = {.n = &n}, worker = {.n = &n};
	pthread_t t;

	open_alone(&n);
	atomic_store(&worker.stop, 1);
	t = spawn(wait_for_op, &sleeper);
	CU_ASSERT(until(&sleeper.inside, 1));
	worker.op.seq = 1; /* the sleeper's op ends when the function has run */
	bring_job(&worker);
	pthread_join(t, NULL);
	CU_ASSERT(atomic_load(&worker.inside) == 1 && !worker.on_service);
	art__engine_close(n.e);
}

/* While one thread computes, the other drives, and is rung for its own op. */
static void others_go_on_while_one_computes(void)
{
	struct node n[RANKS];
	struct guest g = {.n = &n[0]};
	pthread_t t;

	open_pair(n, 99);
	atomic_store(&n[1].busy, true);
	t = spawn(compute, &g);
	CU_ASSERT(until(&g.inside, 1));
	for (int i = 0; i < 50; i++)
		ping(&n[0]);
	atomic_store(&g.stop, 1);
	pthread_join(t, NULL);
	close_pair(n);
}

/* ---- doorbells ---- */
static void each_sleeper_has_its_own_doorbell(void)
{
	enum { SLEEPERS = 12 }; /* more than spare doorbells are kept */
	struct node n;
	static struct guest g[SLEEPERS];
	pthread_t t[SLEEPERS];

	open_alone(&n);
	for (int i = 0; i < SLEEPERS; i++) {
		g[i] = (struct guest){.n = &n};
		t[i] = spawn(wait_for_op, &g[i]);
	}
	for (int i = 0; i < SLEEPERS; i++)
		CU_ASSERT(until(&g[i].inside, 1));
	for (int i = 0; i < SLEEPERS; i++) {
		int k = i * 5 % SLEEPERS; /* in no particular order; the driver among them */

		release(&g[k]);
		pthread_join(t[k], NULL);
	}
	art__engine_close(n.e);
}

/* A rank that slept long enough for the service thread to rely on it tells it when it leaves. */
static void who_leaves_hands_the_watch_over(void)
{
	struct node n[RANKS];
	struct guest g = {.n = &n[1]};
	bool parked = false;
	pthread_t t;

	open_pair(n, 99);
	t = spawn(wait_for_op, &g);
	for (int i = 0; i < PATIENCE_MS && !parked; i++) {
		art__own_enter(&n[1].e->own); /* unlike a caller, who would count as activity */
		parked = n[1].e->parked;
		art__own_leave(&n[1].e->own);
		if (atomic_load(&n[1].e->armed))
			ping(&n[0]); /* it had begun to watch before the sleeper came */
		poll(NULL, 0, 1);
	}
	CU_ASSERT(parked);
	release(&g);
	pthread_join(t, NULL);
	ping(&n[0]);
	close_pair(n);
}

/* ---- stress ---- */
#define PINGS 1500

static void *ping_often(void *arg)
{
	for (int i = 0; i < PINGS; i++)
		ping(arg);
	return NULL;
}

static void *freeze_often(void *arg)
{
	for (int i = 0; i < PINGS / 10; i++)
		freeze(arg);
	return NULL;
}

static void stress(int locals)
{
	struct node n[RANKS];
	pthread_t t[8];

	open_pair(n, locals);
	for (int i = 0; i < 6; i++)
		t[i] = spawn(ping_often, &n[i % 2]);
	for (int i = 6; i < 8; i++)
		t[i] = spawn(freeze_often, &n[i % 2]);
	/* Both sides wait and both answer: one lost wake-up and this does not end (the alarm says
	 * so). Ranks whose threads are through must go on answering. */
	atomic_store(&n[0].busy, true);
	atomic_store(&n[1].busy, true);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < RANKS; i++) {
		CU_ASSERT(atomic_load(&n[i].pings) == 3 * PINGS);
		CU_ASSERT(atomic_load(&n[i].freezes) == PINGS / 10);
		CU_ASSERT(atomic_load(&n[i].downs) == 0);
	}
	close_pair(n);
}

static void no_wake_up_is_lost_blocking(void)
{
	stress(99);
}

static void no_wake_up_is_lost_spinning(void)
{
	stress(1);
}

/* ---- deaths ---- */
#define NOTES 40

/* The other process: connects, stops until it is let go, says a lot, says goodbye, dies. */
static int victim(char **argv)
{
	static struct node n;
	char addr[2][ART_TP_ADDR_MAX];

	alarm(60);
	if (open_node(&n, 1, RANKS, addr) || art__engine_peer(n.e, 0, true, argv[0], argv[1]) ||
	    art__engine_start(n.e, &n.m, no_pids))
		return 3;
	ping(&n);
	freeze(&n); /* both connections are there */
	raise(SIGSTOP);
	art__engine_enter(n.e);
	for (int i = 0; i < NOTES; i++)
		say(&n, ART_CHAN_DATA, 0, ART_K_DATA, NOTE, 0, 256);
	say(&n, ART_CHAN_CTL, 0, ART_K_BYE, 0, 0, 0);
	raise(SIGKILL);
	return 4;
}

static pid_t start_victim(char addr[2][ART_TP_ADDR_MAX])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	execlp(program, program, "--victim", addr[0], addr[1], (char *)NULL);
	_exit(5);
}

static void last_words_come_before_death(void)
{
	char addr[2][ART_TP_ADDR_MAX];
	struct node n;
	pid_t pids[RANKS] = {0};
	siginfo_t info;
	int status;

	CU_ASSERT_FATAL(open_node(&n, 0, RANKS, addr) == 0);
	pids[1] = start_victim(addr);
	CU_ASSERT_FATAL(pids[1] > 0);
	CU_ASSERT_FATAL(art__engine_start(n.e, &n.m, pids) == 0);
	CU_ASSERT(waitpid(pids[1], &status, WUNTRACED) == pids[1] && WIFSTOPPED(status));
	/* While we are inside nothing is read: then words and death are there at once. */
	art__engine_enter(n.e);
	kill(pids[1], SIGCONT);
	CU_ASSERT(waitid(P_PID, (id_t)pids[1], &info, WEXITED | WNOWAIT) == 0);
	art__engine_leave(n.e);
	for (int i = 0; i < PATIENCE_MS && atomic_load(&n.died) < 0; i++)
		poll(NULL, 0, 1);
	CU_ASSERT(atomic_load(&n.died) == 1);
	CU_ASSERT(atomic_load(&n.notes_at_death) == NOTES);
	CU_ASSERT(atomic_load(&n.goodbyes_at_death) == 1);
	CU_ASSERT(waitpid(pids[1], &status, 0) == pids[1]);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	art__engine_close(n.e);
}

/* The same where the system has no pidfds: in a process of its own, for a filter cannot be taken
 * off again. */
static void without_pidfds(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		exit(77);
	last_words_come_before_death();
}

static void deaths_are_seen_without_pidfds(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execlp(program, program, "--no-pidfds", (char *)NULL);
		_exit(5);
	}
	CU_ASSERT_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		puts("(no seccomp here: not tested)");
	else
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void who_is_gone_at_the_start_is_dead(void)
{
	char addr[2][ART_TP_ADDR_MAX];
	struct node n;
	pid_t pids[RANKS] = {0};

	CU_ASSERT_FATAL(open_node(&n, 0, RANKS, addr) == 0);
	pids[1] = fork();
	if (pids[1] == 0)
		_exit(0);
	CU_ASSERT_FATAL(pids[1] > 0 && waitpid(pids[1], NULL, 0) == pids[1]);
	CU_ASSERT_FATAL(art__engine_start(n.e, &n.m, pids) == 0);
	for (int i = 0; i < PATIENCE_MS && atomic_load(&n.died) < 0; i++)
		poll(NULL, 0, 1);
	CU_ASSERT(atomic_load(&n.died) == 1);
	art__engine_close(n.e);
}

/* ---- start and stop ---- */
static void everything_is_cloexec(void)
{
	bool ours[256] = {false};
	struct node n[RANKS];
	DIR *d;

	for (int i = 0; i < 256; i++)
		ours[i] = fcntl(i, F_GETFD) < 0; /* not inherited from whoever runs the test */
	open_pair(n, 99);
	atomic_store(&n[1].busy, true);
	ping(&n[0]);
	d = opendir("/proc/self/fdinfo");
	CU_ASSERT_FATAL(d != NULL);
	for (struct dirent *f; (f = readdir(d));) {
		char path[300], line[100];
		FILE *info;

		if (f->d_name[0] == '.' || !ours[atoi(f->d_name) & 255])
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", f->d_name);
		info = fopen(path, "re");
		while (info && fgets(line, sizeof(line), info))
			if (strncmp(line, "flags:", 6) == 0)
				CU_ASSERT(strtol(line + 6, NULL, 8) & 02000000);
		if (info)
			fclose(info);
	}
	closedir(d);
	close_pair(n);
}

/* Opens and starts with room for only so many descriptors. */
static int start_with_fds(rlim_t limit)
{
	char addr[2][ART_TP_ADDR_MAX];
	pid_t pids[RANKS] = {0, getppid()};
	struct rlimit old, few;
	struct node n;
	int rc;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = limit;
	setrlimit(RLIMIT_NOFILE, &few);
	rc = open_node(&n, 0, RANKS, addr);
	if (rc == 0) {
		rc = art__engine_start(n.e, &n.m, pids);
		art__engine_close(n.e);
	}
	setrlimit(RLIMIT_NOFILE, &old);
	return rc;
}

static void no_descriptors_no_engine_no_leak(void)
{
	int before = unit_open_fds(), rc = -1;
	rlim_t limit = 4;
	int refused = 0;

	quiet = true;
	while (rc && limit < (rlim_t)before + 60) {
		rc = start_with_fds(limit++);
		CU_ASSERT(rc <= 0);
		refused += rc < 0;
		CU_ASSERT(unit_open_fds() == before);
	}
	quiet = false;
	CU_ASSERT(rc == 0);
	CU_ASSERT(refused > 1);
}

static void unknown_transport(void)
{
	struct node n;
	struct art_engine_cfg cfg = {.env = &n.env, .transport = "pigeon", .size = RANKS};
	char addr[2][ART_TP_ADDR_MAX];
	struct art_engine *e = NULL;

	art__env_posix(&n.env, "test", ART_LOG_ERROR);
	CU_ASSERT(art__engine_open(&cfg, addr, &e) == ART_ERR_ARG);
	CU_ASSERT(e == NULL);
}

#define BULK 200 /* times 64 KiB: more than sockets hold */

static void stop_lets_everything_out(void)
{
	struct node n[RANKS];

	open_pair(n, 99);
	atomic_store(&n[1].busy, true);
	ping(&n[0]);
	art__engine_enter(n[0].e);
	for (int i = 0; i < BULK; i++)
		say(&n[0], ART_CHAN_DATA, 1, ART_K_DATA, NOTE, 0, ART_BODY_MAX);
	art__engine_leave(n[0].e);
	art__engine_stop(n[0].e);
	CU_ASSERT(until(&n[1].notes, BULK));
	CU_ASSERT(atomic_load(&n[1].bytes) == BULK * ART_BODY_MAX);
	close_pair(n);
}

int main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{ "one owner at a time", one_owner_at_a_time },
		{ "absent ranks answer", absent_ranks_answer },
		{ "a waiting caller is frozen", a_waiting_caller_is_frozen },
		{ "a testing caller is frozen", a_testing_caller_is_frozen },
		{ "a computing caller is frozen", a_computing_caller_is_frozen },
		{ "a sleeper runs the job", a_sleeper_runs_the_job },
		{ "others go on while one computes", others_go_on_while_one_computes },
		{ "each sleeper has its own doorbell", each_sleeper_has_its_own_doorbell },
		{ "who leaves hands the watch over", who_leaves_hands_the_watch_over },
		{ "no wake-up is lost, blocking", no_wake_up_is_lost_blocking },
		{ "no wake-up is lost, spinning", no_wake_up_is_lost_spinning },
		{ "last words come before death", last_words_come_before_death },
		{ "deaths are seen without pidfds", deaths_are_seen_without_pidfds },
		{ "who is gone at the start is dead", who_is_gone_at_the_start_is_dead },
		{ "everything is CLOEXEC", everything_is_cloexec },
		{ "no descriptors, no engine, no leak", no_descriptors_no_engine_no_leak },
		{ "unknown transport", unknown_transport },
		{ "stop lets everything out", stop_lets_everything_out },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo only[] = {
		{ "without pidfds", without_pidfds },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "engine", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	if (argc == 4 && strcmp(argv[1], "--victim") == 0)
		return victim(argv + 2);
	program = argv[0]; /* not /proc/self/exe: under valgrind that is another program */
	alarm(120); /* a lost wake-up ends the program, not the patience of who runs it */
	if (argc == 2 && strcmp(argv[1], "--no-pidfds") == 0) {
		no_pidfds = true;
		suites[0].pTests = only;
	}
	if (CU_initialize_registry() || CU_register_suites(suites))
		return 1;
	CU_basic_set_mode(no_pidfds ? CU_BRM_SILENT : CU_BRM_NORMAL);
	CU_basic_run_tests();
	unsigned failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
