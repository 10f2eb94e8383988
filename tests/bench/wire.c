/* SPDX-License-Identifier: MIT
 *
 * Two processes and one transport between them, nothing of ART above it: what a message costs there.
 *
 *   wire TRANSPORTS ADDRESS ADDRESS ping|stream|lent BYTES COUNT
 *
 * TRANSPORTS as in ART_TRANSPORT; each process listens at its ADDRESS. ping: a message of BYTES goes
 * there and one comes back, COUNT times; printed is the median time of one way, in microseconds. stream:
 * COUNT messages of BYTES go one way; MiB/s. lent: likewise, and the transport may take
 * them out of the sender's memory (ART_RDMA_LARGE=auto|write|read|copy). All print whether they went over rdma.
 * Both processes spin, but for who waits for a stream.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "transport/transport.h"

#define SETTLE 200 /* messages there and back before anything is measured: ways are proved meanwhile */
#define LOOKS 256  /* that find nothing before the processor is offered to others */
#define BUDGET 16
#define NAP_MS 10

struct wire {
	struct art_env env;
	struct art_tp *tp;
	int slot;
	size_t bytes;
	uint8_t *body;
	uint64_t got;
	bool full, ended;
	bool lends;
	uint64_t lent;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "wire: %s\n", what);
	exit(1);
}

static int64_t body_len(void *self, const uint8_t head[ART_TP_HEAD])
{
	uint32_t n;

	(void)self;
	memcpy(&n, head + 8, sizeof(n));
	return n;
}

static void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct wire *w = self;

	(void)peer;
	(void)head;
	if (body != w->body)
		memcpy(w->body, body, len);
	w->got++;
}

static void on_room(void *self, int peer)
{
	(void)peer;
	((struct wire *)self)->full = false;
}

static void on_returned(void *self, void *token)
{
	(void)token;
	((struct wire *)self)->lent--;
}

/* All go to the same place. */
static bool on_place(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out)
{
	struct wire *w = self;

	(void)peer;
	(void)head;
	(void)len;
	*out = (struct art_tp_place){w, w->body, ART_TP_BODY_MAX, w->body};
	return true;
}

static void on_up(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static void on_down(void *self, int peer, enum art_tp_why why)
{
	(void)peer;
	(void)why;
	((struct wire *)self)->ended = true;
}

static void look(struct wire *w)
{
	static unsigned empty;

	if (w->tp->ops->poll(w->tp, BUDGET) > 0)
		empty = 0;
	else if (++empty % LOOKS == 0)
		sched_yield();
	if (w->ended)
		die("the connection ended");
}

static void until(struct wire *w, uint64_t got)
{
	while (w->got < got)
		look(w);
}

/* Looks, and then sleeps, as a rank does that has nothing to do: a processor of an emulated machine that
 * spins takes time from the others.
 */
static void until_asleep(struct wire *w, uint64_t got)
{
	struct pollfd p = {.fd = w->tp->ops->fd(w->tp), .events = POLLIN};

	while (w->got < got) {
		for (int i = 0; i < LOOKS && w->got < got; i++)
			look(w);
		if (w->got >= got)
			return;
		art__transport_arm(w->tp);
		(void)poll(&p, 1, NAP_MS);
	}
}

static void give(struct wire *w, size_t bytes)
{
	uint8_t head[ART_TP_HEAD] = "wire";
	uint32_t n = (uint32_t)bytes;
	struct iovec v[2] = {{head, sizeof(head)}, {w->body, bytes}};
	int r;

	memcpy(head + 8, &n, sizeof(n));
	if (w->lends && bytes && w->tp->ops->lend) {
		struct art_tp_loan loan = {w, w->body, bytes};
		bool lent;

		r = w->tp->ops->lend(w->tp, 1 - w->slot, v, &loan, &lent);
		w->lent += lent;
	} else {
		r = w->tp->ops->send(w->tp, 1 - w->slot, v, bytes ? 2 : 1);
	}
	if (r < 0)
		die("send");
	w->full = r == 0;
	while (w->full)
		look(w);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nanoseconds of one way, median. */
static uint64_t ping(struct wire *w, long n)
{
	uint64_t *t = calloc((size_t)n, sizeof(*t)), start, median;

	if (!t)
		die("no memory");
	for (long i = 0; i < n; i++) {
		uint64_t want = w->got + 1;

		start = art__env_now(&w->env);
		if (w->slot == 0)
			give(w, w->bytes);
		until(w, want);
		if (w->slot == 1)
			give(w, w->bytes);
		t[i] = (art__env_now(&w->env) - start) / 2;
	}
	qsort(t, (size_t)n, sizeof(*t), by_value);
	median = t[n / 2];
	free(t);
	return median;
}

static uint64_t stream(struct wire *w, long n)
{
	uint64_t start = art__env_now(&w->env);

	if (w->slot == 0) {
		for (long i = 0; i < n; i++)
			give(w, w->bytes);
		until(w, w->got + 1);
	} else {
		until_asleep(w, w->got + (uint64_t)n);
		give(w, 0);
	}
	return art__env_now(&w->env) - start;
}

static uint64_t count(struct wire *w, const char *name)
{
	const char *what;
	uint64_t n;

	for (unsigned i = 0; art__transport_count(w->tp, i, &what, &n); i++)
		if (what && strcmp(what, name) == 0)
			return n;
	return 0;
}

static void print_counts(struct wire *w)
{
	const char *what;
	uint64_t n;

	for (unsigned i = 0; art__transport_count(w->tp, i, &what, &n); i++)
		if (what && n && strncmp(what, "rdma", 4) == 0)
			fprintf(stderr, "  %d %s %llu\n", w->slot, what, (unsigned long long)n);
}

static void open_wire(struct wire *w, const char *names, char *address[], int slot, int link)
{
	struct art_tp_self self = {.slot = slot, .size = 2, .job = 1, .incarnation = 1};
	struct art_tp_opts opts = {.iface = address[slot], .security = ART_TP_MAC,
				   .rdma_large = getenv("ART_RDMA_LARGE"), .rdma_srq = getenv("ART_RDMA_SRQ")};
	struct art_tp_up up = {w, body_len, on_message, on_room, on_up, on_down, NULL,
				on_returned, on_place};
	char own[ART_TP_ADDR_MAX] = "", other[ART_TP_ADDR_MAX];

	art__env_posix(&w->env, address[slot], ART_LOG_WARN);
	w->slot = slot;
	if (art__transport_open(names, &w->env, &self, &opts, &up, &w->tp))
		die("the transport does not open");
	if (w->tp->ops->listen(w->tp, own) || write(link, own, sizeof(own)) != sizeof(own) ||
	    recv(link, other, sizeof(other), MSG_WAITALL) != sizeof(other) ||
	    w->tp->ops->peer(w->tp, 1 - slot, other))
		die("no way to the other");
}

static void run(struct wire *w, bool pings, bool lends, long n)
{
	uint64_t before, ns;

	(void)ping(w, SETTLE);
	(void)stream(w, 1);
	before = count(w, "rdma-sent");
	w->lends = lends;
	ns = pings ? ping(w, n) : stream(w, n);
	if (w->slot == 0)
		printf("%.2f %s%s\n", pings ? (double)ns / 1e3 : (double)w->bytes * (double)n / 1048576 /
						(double)ns * 1e9,
		       pings ? "us" : "MiB/s", count(w, "rdma-sent") > before ? " rdma" : "");
	if (getenv("WIRE_COUNTS"))
		print_counts(w);
	w->lends = false;
	(void)stream(w, 1); /* who ends first would end the other */
	while (w->tp->ops->pending(w->tp) > 0 || w->lent > 0)
		look(w);
	if (w->tp->ops->lent_over)
		w->tp->ops->lent_over(w->tp, w);
}

int main(int argc, char **argv)
{
	struct wire w = {0};
	int pair[2], slot, status = 0;
	long n;
	pid_t child;

	if (argc != 7 || (strcmp(argv[4], "ping") && strcmp(argv[4], "stream") && strcmp(argv[4], "lent")) ||
	    (w.bytes = strtoul(argv[5], NULL, 10)) > ART_TP_BODY_MAX || (n = atol(argv[6])) < 1) {
		fprintf(stderr, "usage: wire TRANSPORTS ADDRESS ADDRESS ping|stream|lent BYTES COUNT\n");
		return 2;
	}
	w.body = calloc(1, ART_TP_BODY_MAX);
	if (!w.body || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die(strerror(errno));
	child = fork();
	if (child < 0)
		die(strerror(errno));
	slot = child == 0;
	close(pair[!slot]);
	if (slot)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_wire(&w, argv[1], argv + 2, slot, pair[slot]);
	run(&w, strcmp(argv[4], "ping") == 0, strcmp(argv[4], "lent") == 0, n);
	if (slot == 0) {
		w.tp->ops->close(w.tp);
		close(pair[0]);
		if (waitpid(child, &status, 0) != child || status)
			die("the other process failed");
	} else {
		char c;

		(void)!read(pair[1], &c, 1); /* until it has closed */
		w.tp->ops->close(w.tp);
	}
	free(w.body);
	return 0;
}
