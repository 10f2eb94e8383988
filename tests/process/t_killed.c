/* SPDX-License-Identifier: MIT
 *
 * Description: one rank of a job in which ranks are killed (campaign_kill.sh starts it). All ranks
 * draw the same operations from the seed - barrier, bcast, reduce, allreduce, of several sizes,
 * split and free - on communicators that overlap: the world, a dup, odd and even ranks backwards,
 * splits of the dup, a list. Inputs differ per rank, operation and element, and every byte of every
 * result is checked against its contributor set. What the survivors of a communicator must agree
 * on goes into a history, compared at the end.
 *
 *   t_killed --seed S --ops N [--max-count C] [--dir DIR] [--kill WHO:PHASE:USEC]...
 *
 * WHO is a rank, PHASE run or finalize; with PHASE init it is the WHO-th process to start, which is
 * counted in a file in DIR. USEC after the phase began a timer of the kernel kills the process, at
 * whatever instruction it then is; a victim that reaches the end of its phase dies there.
 *
 * Exit: 0 right, 1 wrong, 2 usage, 3 art_init said that a member was lost.
 */
#include <art/art.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { RANKS_MAX = 64, KILLS_MAX = RANKS_MAX, COMMS = 5 };
enum phase { INIT, RUN, FINALIZE };
enum kind { BARRIER, BCAST, REDUCE, ALLREDUCE, KINDS, SPLIT = KINDS };

/* A communicator, and who has which rank there. */
struct group {
	art_comm_t comm;               /* ART_COMM_NULL: this rank is not in it */
	int rank, size;
	int world[RANKS_MAX];          /* rank in the world of each rank */
	bool live[RANKS_MAX];          /* contributors of the last op that told */
	uint64_t epoch, history;
};

struct kill {
	int who;
	enum phase phase;
	struct itimerspec timer; /* once */
};

struct test {
	uint64_t seed;
	long ops;
	size_t max_count;
	const char *dir;
	struct kill kills[KILLS_MAX];
	int nkills;

	int rank, size;
	struct group groups[COMMS];
	bool must_be_lost[RANKS_MAX]; /* someone was told so, by rank in the world */
	uint64_t *in, *out;
};

struct call { /* one operation, drawn from the seed */
	uint64_t id;
	enum kind kind;
	int comm, root; /* the root is a rank of its group */
	size_t count;
	struct group *g;
};

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

__attribute__((noreturn, format(printf, 3, 4)))
static void fail(const struct test *t, const struct call *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "FAIL t_killed: seed %llu rank %d", (unsigned long long)t->seed, t->rank);
	if (c)
		fprintf(stderr, " op %llu (kind %d comm %d root %d count %zu)",
			(unsigned long long)c->id, c->kind, c->comm, c->root, c->count);
	fputs(": ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

/* ---- kills ---- */

static struct kill *planned(struct test *t, enum phase phase, int who)
{
	for (int i = 0; i < t->nkills; i++)
		if (t->kills[i].phase == phase && t->kills[i].who == who)
			return &t->kills[i];
	return NULL;
}

static void begin_phase(struct test *t, enum phase phase, int who)
{
	struct kill *k = planned(t, phase, who);
	struct sigevent death = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	timer_t timer;

	if (!k)
		return;
	if (timer_create(CLOCK_MONOTONIC, &death, &timer) != 0 ||
	    timer_settime(timer, 0, &k->timer, NULL) != 0)
		fail(t, NULL, "cannot set a timer: %s", strerror(errno));
}

static void end_phase(struct test *t, enum phase phase, int who)
{
	if (planned(t, phase, who))
		kill(getpid(), SIGKILL);
}

/* Which of the processes of this job are we, in the order of starting? Known before art_init(). */
static int ticket(const struct test *t)
{
	char path[4096];
	_Atomic int *counter;
	int fd, mine;

	if (!t->dir)
		return -1;
	snprintf(path, sizeof(path), "%s/ticket", t->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*counter)) != 0)
		fail(t, NULL, "%s: %s", path, strerror(errno));
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		fail(t, NULL, "%s: %s", path, strerror(errno));
	close(fd);
	mine = __atomic_fetch_add((int *)counter, 1, __ATOMIC_SEQ_CST);
	munmap((void *)counter, sizeof(*counter));
	return mine;
}

/* ---- one operation ---- */

static struct call draw(struct test *t, long i)
{
	uint64_t r = mix(t->seed ^ mix((uint64_t)i));
	static const size_t counts[] = { 1, 1, 2, 0, 17, 300, 1024, 5000 };
	struct call c = { .id = (uint64_t)i };

	c.kind = (enum kind)(r % KINDS);
	c.comm = (int)((r >> 8 & 0xff) % COMMS);
	c.g = &t->groups[c.comm];
	if (c.g->comm == ART_COMM_NULL)
		return c; /* not for this rank */
	c.root = (int)((r >> 16 & 0xff) % (uint64_t)c.g->size);
	if ((r >> 48 & 15) == 0) {
		c.kind = SPLIT;
		return c;
	}
	c.count = c.kind == BARRIER ? 0 : counts[r >> 32 & 7];
	if (t->max_count > 0 && (r >> 40 & 7) == 0 && c.kind != BARRIER)
		c.count = t->max_count;
	return c;
}

static uint64_t value(const struct test *t, const struct call *c, int rank, size_t i)
{
	return mix(mix(t->seed ^ (c->id * 1021 + (uint64_t)rank)) ^ i);
}

static int do_call(struct test *t, const struct call *c)
{
	art_comm_t comm = c->g->comm;

	for (size_t i = 0; i < c->count; i++) {
		t->in[i] = value(t, c, t->rank, i);
		t->out[i] = ~t->in[i];
	}
	switch (c->kind) {
	case BARRIER:
		return art_barrier(comm);
	case BCAST:
		if (c->g->rank == c->root)
			memcpy(t->out, t->in, c->count * sizeof(*t->out));
		return art_bcast(t->out, c->count, ART_UINT64, c->root, comm);
	case REDUCE:
		return art_reduce(t->in, c->g->rank == c->root ? t->out : NULL, c->count, ART_UINT64,
				  ART_SUM, c->root, comm);
	default:
		return art_allreduce(t->in, t->out, c->count, ART_UINT64, ART_SUM, comm);
	}
}

static void check_payload(const struct test *t, const struct call *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (t->out[i] != value(t, c, c->g->world[c->root], i))
			fail(t, c, "element %zu of the payload is wrong", i);
}

static void check_sum(const struct test *t, const struct call *c, const bool *in_it)
{
	for (size_t i = 0; i < c->count; i++) {
		uint64_t want = 0;

		for (int r = 0; r < c->g->size; r++)
			want += in_it[r] ? value(t, c, c->g->world[r], i) : 0;
		if (t->out[i] != want)
			fail(t, c, "element %zu of the sum is not that of its contributors", i);
	}
}

/* Reads the contributor set and checks it: we are in it, nobody comes back from the dead, and
 * nobody whom an outcome declared lost. */
static void read_contributors(struct test *t, const struct call *c, const art_status_t *s)
{
	bool *live = c->g->live;
	int n, counted = 0;

	if (art_status_contributors(s, &n) != ART_SUCCESS)
		fail(t, c, "no contributors in the status");
	for (int r = 0; r < c->g->size; r++) {
		int yes;

		if (art_status_contributed(s, r, &yes) != ART_SUCCESS)
			fail(t, c, "no contributors in the status");
		if (yes && !live[r])
			fail(t, c, "lost rank %d contributed again", r);
		if (yes && t->must_be_lost[c->g->world[r]])
			fail(t, c, "rank %d was called lost, but contributed", r);
		live[r] = yes;
		counted += yes;
	}
	if (!live[c->g->rank] || counted != n)
		fail(t, c, "contributor set without this rank, or of the wrong size");
}

/* What every survivor must have seen alike: contributors, epoch, replays, bytes. */
static void remember(struct group *g, uint64_t what)
{
	g->history = mix(g->history ^ what);
}

static void remember_outcome(struct test *t, const struct call *c, const art_status_t *s)
{
	uint64_t epoch;
	int replays;

	if (art_status_epoch(s, &epoch) != ART_SUCCESS ||
	    art_status_replays(s, &replays) != ART_SUCCESS)
		fail(t, c, "no epoch or replays in the status");
	if (epoch < c->g->epoch)
		fail(t, c, "the epoch went back");
	c->g->epoch = epoch;
	remember(c->g, epoch * 1000 + (uint64_t)replays);
	for (int r = 0; r < c->g->size; r++)
		remember(c->g, c->g->live[r]);
	for (size_t i = 0; c->kind == ALLREDUCE && i < c->count; i++)
		remember(c->g, t->out[i]);
}

static void check_outcome(struct test *t, const struct call *c, int err)
{
	bool rooted = c->kind == BCAST || c->kind == REDUCE;
	art_status_t s;

	if (err != ART_SUCCESS && !(rooted && err == ART_ERR_ROOT_LOST && c->root != c->g->rank))
		fail(t, c, "returned %s", art_strerror(err));
	if (c->kind == BCAST)
		remember(c->g, (uint64_t)(int64_t)err);
	if (err != ART_SUCCESS) {
		t->must_be_lost[c->g->world[c->root]] = true;
		return;
	}
	if (c->kind == BCAST)
		check_payload(t, c);
	if (c->kind == BCAST || (c->kind == REDUCE && c->g->rank != c->root))
		return; /* its contributors may not be known yet */
	if (art_last_status(c->g->comm, &s) != ART_SUCCESS)
		fail(t, c, "no status");
	read_contributors(t, c, &s);
	if (c->kind != BARRIER)
		check_sum(t, c, c->g->live);
	if (c->kind != REDUCE)
		remember_outcome(t, c, &s);
}

/* ---- communicators ---- */

static void learn_group(const struct test *t, struct group *g)
{
	if (g->comm == ART_COMM_NULL)
		return;
	if (art_comm_rank(g->comm, &g->rank) != ART_SUCCESS ||
	    art_comm_size(g->comm, &g->size) != ART_SUCCESS)
		fail(t, NULL, "a communicator without rank or size");
	for (int r = 0; r < g->size; r++)
		if (art_comm_translate(g->comm, r, ART_COMM_WORLD, &g->world[r]) != ART_SUCCESS ||
		    g->world[r] < 0)
			fail(t, NULL, "rank %d of a communicator is nobody", r);
	if (g->world[g->rank] != t->rank)
		fail(t, NULL, "another one's rank in a communicator");
	memset(g->live, true, sizeof(g->live));
}

/* Three colours, one of them none, the order turned round: whoever contributed is in, nobody else;
 * and the new one works. */
static void split(struct test *t, const struct call *c)
{
	int colour = (int)((uint64_t)(c->g->rank + t->rank) % 3) - 1, want = 0, at = 0;
	struct group child = { 0 };
	uint64_t one = 1, n = 0;
	art_status_t s;

	if (art_comm_split(c->g->comm, colour, -c->g->rank, &child.comm) != ART_SUCCESS ||
	    art_last_status(c->g->comm, &s) != ART_SUCCESS)
		fail(t, c, "split failed");
	read_contributors(t, c, &s);
	remember_outcome(t, c, &s);
	if ((child.comm == ART_COMM_NULL) != (colour < 0))
		fail(t, c, "a communicator without a colour, or the other way round");
	if (colour < 0)
		return;
	learn_group(t, &child);
	for (int r = c->g->size - 1; r >= 0; r--) {
		if (!c->g->live[r] || (r + c->g->world[r]) % 3 - 1 != colour)
			continue;
		want++;
		if (at >= child.size || child.world[at++] != c->g->world[r])
			fail(t, c, "rank %d is not in the right place of the new communicator", r);
	}
	if (want != child.size)
		fail(t, c, "%d ranks in the new communicator, not %d", child.size, want);
	if (art_allreduce(&one, &n, 1, ART_UINT64, ART_SUM, child.comm) != ART_SUCCESS || n < 1 ||
	    n > (uint64_t)child.size)
		fail(t, c, "the new communicator does not work");
	if (art_comm_free(&child.comm) != ART_SUCCESS)
		fail(t, c, "the new communicator cannot be freed");
}

/* ---- the job ---- */

/* The survivors of each communicator have the same history: largest and smallest (as the largest
 * complement) agree. */
static void compare_histories(struct test *t)
{
	for (int k = 0; k < COMMS; k++) {
		struct group *g = &t->groups[k];
		uint64_t both[2] = { g->history, ~g->history };
		int err;

		if (g->comm == ART_COMM_NULL)
			continue;
		err = art_allreduce(ART_IN_PLACE, both, 2, ART_UINT64, ART_MAX, g->comm);
		if (err != ART_SUCCESS)
			fail(t, NULL, "comparing histories: %s", art_strerror(err));
		if (both[0] != g->history || both[1] != ~g->history)
			fail(t, NULL, "survivors saw different outcomes on communicator %d", k);
	}
}

static void run(struct test *t)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	begin_phase(t, RUN, t->rank);
	for (long i = 0; i < t->ops; i++) {
		struct call c = draw(t, i);

		if (c.g->comm == ART_COMM_NULL)
			continue;
		if (c.kind == SPLIT)
			split(t, &c);
		else
			check_outcome(t, &c, do_call(t, &c));
	}
	end_phase(t, RUN, t->rank);
	compare_histories(t);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("rank %d ran %lld us\n", t->rank, (long long)(to.tv_sec - from.tv_sec) * 1000000 +
	       (to.tv_nsec - from.tv_nsec) / 1000);
}

static void make_groups(struct test *t)
{
	struct group *g = t->groups;
	int list[RANKS_MAX], n = 0;

	for (int r = t->size - 1; r > 0; r -= 1 + r % 2)
		list[n++] = r;
	g[0].comm = ART_COMM_WORLD;
	if (art_comm_dup(ART_COMM_WORLD, &g[1].comm) != ART_SUCCESS ||
	    art_comm_split(ART_COMM_WORLD, t->rank % 2, -t->rank, &g[2].comm) != ART_SUCCESS ||
	    art_comm_split(g[1].comm, t->rank / 3, 0, &g[3].comm) != ART_SUCCESS ||
	    art_comm_create(ART_COMM_WORLD, n, list, &g[4].comm) != ART_SUCCESS)
		fail(t, NULL, "a communicator cannot be made");
	for (int k = 0; k < COMMS; k++)
		learn_group(t, &g[k]);
}

static void set_up(struct test *t)
{
	size_t count = t->max_count > 5000 ? t->max_count : 5000;

	art_comm_rank(ART_COMM_WORLD, &t->rank);
	art_comm_size(ART_COMM_WORLD, &t->size);
	if (t->size > RANKS_MAX)
		fail(t, NULL, "at most %d ranks", RANKS_MAX);
	t->in = calloc(count, sizeof(*t->in));
	t->out = calloc(count, sizeof(*t->out));
	if (!t->in || !t->out)
		fail(t, NULL, "out of memory");
	make_groups(t);
}

static void tear_down(struct test *t)
{
	int err = ART_SUCCESS;

	begin_phase(t, FINALIZE, t->rank);
	for (int k = 1; k < COMMS && err == ART_SUCCESS; k++)
		if (t->groups[k].comm != ART_COMM_NULL)
			err = art_comm_free(&t->groups[k].comm);
	if (err == ART_SUCCESS)
		err = art_finalize();
	if (err != ART_SUCCESS)
		fail(t, NULL, "free or finalize: %s", art_strerror(err));
	end_phase(t, FINALIZE, t->rank);
	printf("rank %d survived, history %016llx\n", t->rank, (unsigned long long)t->groups[0].history);
	free(t->in);
	free(t->out);
}

static bool add_kill(struct test *t, const char *s)
{
	static const char *const names[] = { [INIT] = "init", [RUN] = "run", [FINALIZE] = "finalize" };
	char name[16];
	int who, n = 0;
	long usec;

	if (t->nkills == KILLS_MAX || sscanf(s, "%d:%15[a-z]:%ld%n", &who, name, &usec, &n) != 3 ||
	    s[n] != '\0' || usec < 0)
		return false;
	for (int p = INIT; p <= FINALIZE; p++) {
		if (strcmp(name, names[p]) != 0)
			continue;
		t->kills[t->nkills++] = (struct kill){
			.who = who, .phase = (enum phase)p,
			/* nought would disarm it */
			.timer.it_value = { usec / 1000000, usec % 1000000 * 1000 + 1 },
		};
		return true;
	}
	return false;
}

static bool read_options(struct test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *v = argv[i + 1];

		if (!v)
			return false;
		if (strcmp(argv[i], "--seed") == 0)
			t->seed = strtoull(v, NULL, 10);
		else if (strcmp(argv[i], "--ops") == 0)
			t->ops = strtol(v, NULL, 10);
		else if (strcmp(argv[i], "--max-count") == 0)
			t->max_count = strtoull(v, NULL, 10);
		else if (strcmp(argv[i], "--dir") == 0)
			t->dir = v;
		else if (strcmp(argv[i], "--kill") != 0 || !add_kill(t, v))
			return false;
	}
	return t->ops > 0 && t->max_count < (size_t)1 << 28;
}

int main(int argc, char **argv)
{
	static struct test t = { .rank = -1 };
	int err, mine;

	if (!read_options(&t, argc, argv)) {
		fprintf(stderr, "usage: t_killed --seed S --ops N [--max-count C] [--dir DIR] "
				"[--kill WHO:init|run|finalize:USEC]...\n");
		return 2;
	}
	mine = ticket(&t);
	begin_phase(&t, INIT, mine);
	err = art_init(&argc, &argv);
	end_phase(&t, INIT, mine);
	if (err == ART_ERR_PROC_FAILED)
		return 3;
	if (err != ART_SUCCESS)
		fail(&t, NULL, "art_init: %s", art_strerror(err));
	set_up(&t);
	run(&t);
	tear_down(&t);
	return 0;
}
