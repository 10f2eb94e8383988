/* SPDX-License-Identifier: MIT
 *
 * Description: heartbeats between real processes. Each process is one rank on a "host" of its own:
 * none has another's pid, so nothing but datagrams and connections tells who lives. Shown:
 *
 *	load      no false verdict with the fast profile while every processor is loaded 16-fold and
 *	          one rank computes without calling the library (ART_SOAK_SECONDS, default 10); where
 *	          some process gets no processor for most of the bound it is tried again, and otherwise once
 *	stop      SIGSTOP: the others finish their operation within the bound, and when it goes on it
 *	          is told that it was evicted
 *	kill      SIGKILL of a rank that nobody can certify: silence is all there is, and is enough
 *	forged    datagrams that are old, damaged or of another job change nothing
 */
#include <art/status.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coll/combine.h"
#include "core/core.h"
#include "engine/beat.h"
#include "engine/engine.h"

#define RANKS 5
#define MS ART_NS_PER_MS
#define BOUND_MS 100 /* the fast profile */
#define WAIT_S 60
#define SOAKS 4

struct shared {
	char addr[RANKS][3][ART_TP_ADDR_MAX];
	pid_t pid[RANKS];
	_Atomic int ready;
	_Atomic int failed;
	_Atomic int phase;             /* what the ranks do */
	_Atomic uint64_t stopped_ns;   /* when the victim was */
	_Atomic uint64_t ops[RANKS];
	_Atomic uint64_t done_ns[RANKS]; /* first operation that ended without the victim */
	_Atomic int fate[RANKS];
	_Atomic uint32_t epoch[RANKS];
	_Atomic uint64_t ran_ns[RANKS];   /* when a thread of it that wanted to run last did */
	_Atomic uint64_t stood_ns[RANKS]; /* the longest that it did not */
	_Atomic int over;
};
static struct shared *sh;

enum { TOGETHER, COMPUTE };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * ART_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void give_way(void)
{
	sched_yield();
}

static void fail(const char *what)
{
	printf("FAIL silent_host: %s\n", what);
	fflush(stdout);
	atomic_store(&sh->failed, 1);
}

/* ---- a rank ---- */

struct rank {
	int slot;
	char name[24];
	struct art_env env;
	struct art_engine *engine;
	struct art_port port;
	struct art_core *core;
	int hosts[RANKS];
};

static void open_engine(struct rank *r)
{
	struct art_engine_cfg cfg = { .env = &r->env, .transport = "tcp", .slot = r->slot,
				      .size = RANKS, .job = 77, .incarnation = 100u + (unsigned)r->slot,
				      .cores = 1 };
	char (*addr)[ART_TP_ADDR_MAX] = sh->addr[r->slot];

	memset(cfg.key, 7, sizeof(cfg.key));
	snprintf(r->name, sizeof(r->name), "silent_host %d", r->slot);
	art__env_posix(&r->env, r->name, ART_LOG_INFO); /* says on what evidence who was evicted */
	if (art__engine_open(&cfg, addr, &r->engine) || art__engine_beats_open(r->engine, addr[2]))
		_exit(3);
	sh->pid[r->slot] = getpid();
}

static void join(struct rank *r)
{
	struct art_core_cfg cfg;
	pid_t none[RANKS] = { 0 };

	atomic_fetch_add(&sh->ready, 1);
	while (atomic_load(&sh->ready) < RANKS)
		give_way();
	for (int i = 0; i < RANKS; i++) {
		r->hosts[i] = i;
		if (i != r->slot &&
		    (art__engine_peer(r->engine, i, false, sh->addr[i][0], sh->addr[i][1]) ||
		     art__engine_beats_peer(r->engine, i, sh->addr[i][2], 100u + (unsigned)i)))
			_exit(3);
	}
	art__core_defaults(&cfg);
	cfg.slot = r->slot;
	cfg.size = RANKS;
	cfg.hosts = r->hosts;
	cfg.job = 77;
	cfg.heartbeat_ns = BOUND_MS / 5 * MS;
	cfg.bound_ns = BOUND_MS * MS;
	art__engine_port(r->engine, &r->port);
	if (art__core_create(&r->env, &r->port, &cfg, &r->core) ||
	    art__engine_start(r->engine, art__core_machine(r->core), none))
		_exit(3);
}

static bool op_done(void *arg)
{
	return art__op_done(arg);
}

/* One allreduce of one number. Its code; *members: who is in it. */
static int allreduce(struct rank *r, int *members)
{
	uint64_t in = UINT64_C(1) << 8 * r->slot, out = 0;
	struct art_call c = { .kind = ART_C_ALLREDUCE, .sendbuf = &in, .recvbuf = &out, .count = 1,
			      .type = ART_T_UINT64, .op = ART_O_SUM, .root = -1 };
	struct art_outcome o;
	struct art_op *op;
	int rc;

	art__engine_enter(r->engine);
	rc = art__core_start(r->core, art__core_world(r->core), &c, ART_NEVER, &op);
	if (rc) {
		art__engine_leave(r->engine);
		return rc;
	}
	art__engine_wait(r->engine, op_done, op);
	art__op_outcome(op, &o);
	*members = o.contributors ? (int)art__set_count(o.contributors) : 0;
	art__op_release(r->core, op);
	atomic_store(&sh->epoch[r->slot], art__core_epoch(r->core));
	art__engine_leave(r->engine);
	return o.code;
}

static void compute_until(uint64_t end)
{
	while (now_ns() < end && !atomic_load(&sh->over))
		;
}

/* What the machine lets a thread wait for that sleeps as the service thread does. */
static void *notice_standstill(void *arg)
{
	const struct rank *r = arg;
	_Atomic uint64_t *ran = &sh->ran_ns[r->slot], *stood = &sh->stood_ns[r->slot];

	for (;;) {
		uint64_t now = now_ns(), last = atomic_exchange(ran, now);

		if (last && now - last > atomic_load(stood))
			atomic_store(stood, now - last);
		poll(NULL, 0, 2);
	}
	return NULL;
}

static int rank_main(int slot)
{
	pthread_t witness;
	struct rank r = { .slot = slot };
	int members = RANKS, rc = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pthread_create(&witness, NULL, notice_standstill, &r))
		return 3;
	open_engine(&r);
	join(&r);
	while (!atomic_load(&sh->over)) {
		rc = allreduce(&r, &members);
		if (rc)
			break;
		atomic_fetch_add(&sh->ops[slot], 1);
		if (members < RANKS && !atomic_load(&sh->done_ns[slot]))
			atomic_store(&sh->done_ns[slot], now_ns());
		if (atomic_load(&sh->phase) == COMPUTE && slot == 1)
			compute_until(now_ns() + 3 * ART_NS_PER_S);
	}
	atomic_store(&sh->fate[slot], rc);
	return 0; /* without a word, like a crash: nobody is left who cares */
}

/* ---- the test ---- */

static void start(void)
{
	memset(sh, 0, sizeof(*sh));
	for (int i = 0; i < RANKS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			exit(3);
		if (pid == 0)
			_exit(rank_main(i));
		sh->pid[i] = pid;
	}
}

static void stop(void)
{
	for (int i = 0; i < RANKS; i++) {
		kill(sh->pid[i], SIGKILL);
		waitpid(sh->pid[i], NULL, 0);
	}
}

/* Until @cond, or a minute has passed: then it fails with @what. */
static bool await(bool (*cond)(void), const char *what)
{
	uint64_t end = now_ns() + WAIT_S * ART_NS_PER_S;

	while (!cond()) {
		if (now_ns() > end) {
			fail(what);
			return false;
		}
		poll(NULL, 0, 1);
	}
	return true;
}

static bool all_work(void)
{
	for (int i = 0; i < RANKS; i++)
		if (atomic_load(&sh->ops[i]) < 20)
			return false;
	return true;
}

static const int victim = 3;

static bool survivors_done(void)
{
	for (int i = 0; i < RANKS; i++)
		if (i != victim && !atomic_load(&sh->done_ns[i]))
			return false;
	return true;
}

static bool victim_evicted(void)
{
	return atomic_load(&sh->fate[victim]) == ART_ERR_EVICTED;
}

static uint64_t slowest_ms(uint64_t from)
{
	uint64_t last = 0;

	for (int i = 0; i < RANKS; i++)
		if (i != victim && atomic_load(&sh->done_ns[i]) > last)
			last = atomic_load(&sh->done_ns[i]);
	return (last - from) / MS;
}

/* The bound, the change, and what a loaded machine adds. */
static void end_of_victim(int sig)
{
	uint64_t at;

	start();
	if (await(all_work, "the job does not begin")) {
		at = now_ns();
		kill(sh->pid[victim], sig);
		if (await(survivors_done, "the others wait for a silent rank for ever"))
			printf("signal %d to the last survivor's next operation: %llu ms (bound %d ms)\n",
			       sig, (unsigned long long)slowest_ms(at), BOUND_MS);
		if (sig == SIGSTOP) {
			kill(sh->pid[victim], SIGCONT);
			await(victim_evicted, "an evicted rank was not told so");
		}
	}
	stop();
}

static pid_t burners[16 * 64];

static int load(bool on)
{
	static int n;
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

	for (; on && n < 16 * cpus && n < (int)(sizeof(burners) / sizeof(burners[0])); n++) {
		burners[n] = fork();
		if (burners[n] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				;
		}
		if (burners[n] < 0)
			break;
	}
	for (; !on && n > 0; n--) {
		kill(burners[n - 1], SIGKILL);
		waitpid(burners[n - 1], NULL, 0);
	}
	return n;
}

static uint64_t soak_end;

static bool soaked(void)
{
	for (int i = 0; i < RANKS; i++)
		if (atomic_load(&sh->epoch[i]) || atomic_load(&sh->fate[i]))
			return true;
	return now_ns() >= soak_end;
}

static uint64_t longest_standstill_ms(void)
{
	uint64_t ns = 0;

	for (int i = 0; i < RANKS; i++) {
		uint64_t ran = atomic_load(&sh->ran_ns[i]), stood = atomic_load(&sh->stood_ns[i]);
		uint64_t stands = now_ns() - ran; /* and may do so yet */

		stands = stands > stood ? stands : stood;
		ns = stands > ns ? stands : ns;
	}
	return ns / MS;
}

/* False: somebody left, but some rank had not run for most of the bound, which is reason enough. Or for the first
 * time without that being seen: a rank is silent, too, while its computing thread has the engine and waits for a
 * processor and then the service thread does, and neither is the witness. What happens twice is no chance. */
static bool judge_soak(void)
{
	static int unexplained;
	bool evicted = false, changed = false;

	for (int i = 0; i < RANKS; i++) {
		evicted |= atomic_load(&sh->fate[i]) != 0;
		changed |= atomic_load(&sh->epoch[i]) != 0;
	}
	if (!evicted && !changed)
		return true;
	if (longest_standstill_ms() >= BOUND_MS * 3 / 4 || unexplained++ == 0)
		return false;
	fail(evicted ? "a rank was evicted, and nothing had happened, again" :
		       "a link broke, or another rank was evicted, and nothing had happened, again");
	return true;
}

/* False: nothing is shown, because this machine let a rank stand still. */
static bool soak(void)
{
	const char *text = getenv("ART_SOAK_SECONDS");
	uint64_t seconds = text ? strtoull(text, NULL, 10) : 10, ops = 0;
	bool shown = true;
	int n;

	start();
	if (!await(all_work, "the job does not begin"))
		goto out;
	for (int i = 0; i < RANKS; i++)
		atomic_store(&sh->stood_ns[i], 0);
	n = load(true);
	atomic_store(&sh->phase, COMPUTE);
	soak_end = now_ns() + seconds * ART_NS_PER_S;
	while (!soaked())
		poll(NULL, 0, 10);
	for (int i = 0; i < RANKS; i++)
		ops += atomic_load(&sh->ops[i]);
	shown = judge_soak();
	printf("%llu s with %d busy processes: %llu operations, a rank stood still for %llu ms%s\n",
	       (unsigned long long)seconds, n, (unsigned long long)ops,
	       (unsigned long long)longest_standstill_ms(),
	       !shown ? ", and was given up" : atomic_load(&sh->failed) ? "" : ", nobody evicted");
out:
	load(false);
	stop();
	return shown;
}

/* ---- forged datagrams ---- */

static int taken;

static void take(void *self, int from, const uint8_t *p, size_t len)
{
	(void)self;
	(void)from;
	(void)p;
	(void)len;
	taken++;
}

static void forged(void)
{
	struct art_tp_self me[3] = { { .slot = 0, .size = 2, .job = 5, .incarnation = 9 },
				     { .slot = 1, .size = 2, .job = 5, .incarnation = 8 },
				     { .slot = 1, .size = 2, .job = 5, .incarnation = 8 } };
	struct art_beats b[3];
	struct art_env env;
	char addr[3][ART_TP_ADDR_MAX];
	struct pollfd fd;

	art__env_posix(&env, "silent_host", ART_LOG_ERROR);
	memset(me[2].key, 1, sizeof(me[2].key)); /* another key */
	for (int i = 0; i < 3; i++)
		if (art__beats_open(&b[i], &env, &me[i], "127.0.0.1:1", addr[i]))
			exit(3);
	art__beats_peer(&b[0], 1, addr[1], 8);
	art__beats_peer(&b[1], 0, addr[0], 9);
	art__beats_peer(&b[2], 0, addr[0], 9);
	art__beats_send(&b[1], 0, "good", 4);
	b[1].number--; /* the same number again: a replay */
	art__beats_send(&b[1], 0, "good", 4);
	b[1].incarnation++;
	art__beats_send(&b[1], 0, "bad", 3);
	b[1].incarnation--;
	b[1].job++;
	art__beats_send(&b[1], 0, "bad", 3);
	b[1].job--;
	art__beats_send(&b[2], 0, "bad", 3);
	if (sendto(b[1].fd, "short", 5, 0, (struct sockaddr *)&b[1].peer[0].at,
		   b[1].peer[0].at_len) != 5)
		exit(3);
	art__beats_send(&b[1], 0, "good", 4);
	fd = (struct pollfd){ .fd = b[0].fd, .events = POLLIN };
	for (int looks = 0; taken + (int)b[0].refused < 7 && looks < 1000; looks++) {
		poll(&fd, 1, 100);
		art__beats_poll(&b[0], 16, take, NULL);
	}
	if (taken != 2 || b[0].refused != 5)
		fail("forged, replayed or foreign datagrams were taken, or good ones were not");
	for (int i = 0; i < 3; i++)
		art__beats_close(&b[i]);
}

int main(void)
{
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 3;
	int failed = 0;

	forged();
	failed |= atomic_load(&sh->failed);
	end_of_victim(SIGSTOP);
	failed |= atomic_load(&sh->failed);
	end_of_victim(SIGKILL);
	failed |= atomic_load(&sh->failed);
	bool shown = false;

	for (int i = 0; i < SOAKS && !shown; i++)
		shown = soak();
	failed |= atomic_load(&sh->failed);
	if (shown || failed)
		return failed;
	puts("this machine lets processes wait for most of the bound: no verdict can be called false");
	return 77;
}
