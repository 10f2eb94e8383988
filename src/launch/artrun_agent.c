/* SPDX-License-Identifier: MIT
 *
 * The agent of one host: starts the ranks that artrun names, passes on what they write, say and
 * are told, and witnesses their ends. It decides nothing about the job. Its standard input ends
 * when artrun does, or the connection to it: then its ranks end, and it with them.
 *
 * The agent runs below a guard: whatever ranks leave behind becomes the guard's, which therefore
 * knows, when the agent was killed, that none of them is left.
 *
 *   greeting --START--> running --end of input, output gone, signal--> ending --all dead--> over
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun.h"
#include "launch/boot_wire.h"
#include "topo/topo.h"

struct run_agent {
	struct run_buf in;
	bool started, ended;
};

void art__agent_report(struct run_job *j, enum art_agent_kind kind, const struct run_rank *r,
		       const void *body, size_t len)
{
	struct art_agent_head h = art__agent_head(kind, r ? art__run_index(j, r) : -1, len);

	if (j->out->dead)
		return;
	art__run_buf_add(&j->out->queue, (const char *)&h, sizeof(h));
	if (len)
		art__run_buf_add(&j->out->queue, body, len);
}

void art__agent_number(struct run_job *j, enum art_agent_kind kind, const struct run_rank *r, int n)
{
	struct art_agent_number body = { n };

	art__agent_report(j, kind, r, &body, sizeof(body));
}

void art__agent_output(struct run_job *j, const struct run_stream *s, const char *text, size_t len)
{
	const struct run_rank *r = &j->rank[s->rank];
	struct art_agent_head h;
	struct art_agent_number which = { s == &r->out[1] };

	if (j->out->dead)
		return;
	h = art__agent_head(ART_AGENT_OUTPUT, s->rank, sizeof(which) + len);
	art__run_buf_add(&j->out->queue, (const char *)&h, sizeof(h));
	art__run_buf_add(&j->out->queue, (const char *)&which, sizeof(which));
	art__run_buf_add(&j->out->queue, text, len);
	if (!j->up->ended)
		j->out->ahead += (uint32_t)len;
}

/* Nothing is waited for any more, so what ranks still have written may leave without credit. */
static void end_agent(struct run_job *j)
{
	struct run_agent *a = j->up;

	if (a->ended)
		return;
	a->ended = true;
	j->out->ahead = 0;
	if (a->started)
		art__run_end(j, 0, SIGKILL, 0);
	art__run_epoll(j, EPOLL_CTL_DEL, 0, 0, RUN_EV_LAUNCHER, 0);
}

void art__agent_cut(struct run_job *j)
{
	end_agent(j);
}

/* ---- greeting ---- */
static void greet(struct run_job *j)
{
	struct art_agent_hello hello = { .cores = (uint32_t)j->opts.cores, .pid = (uint32_t)getpid() };
	const char *connection = getenv("SSH_CONNECTION"); /* client, its port, server, its port */

	art__host_id_read(&hello.id);
	snprintf(hello.release, sizeof(hello.release), "%s", ART_RELEASE);
	if (connection && sscanf(connection, "%63s %*s %63s", hello.client, hello.server) != 2)
		hello.client[0] = hello.server[0] = '\0';
	art__agent_report(j, ART_AGENT_HELLO, NULL, &hello, sizeof(hello));
}

/* ---- START ---- */
/* Our address on the way to @name: the one that host reaches us at. No packet is sent. */
static bool address_toward(const char *name, char text[INET6_ADDRSTRLEN])
{
	struct addrinfo want = { .ai_socktype = SOCK_DGRAM }, *found = NULL;
	bool good = false;

	if (getaddrinfo(name, "9", &want, &found))
		return false;
	for (struct addrinfo *a = found; a && !good; a = a->ai_next) {
		struct sockaddr_storage own;
		socklen_t len = sizeof(own);
		int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		good = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0 &&
		       getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
		       getnameinfo((struct sockaddr *)&own, len, text, INET6_ADDRSTRLEN, NULL, 0,
				   NI_NUMERICHOST) == 0;
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(found);
	return good;
}

static void set_environment(const char *strings, uint32_t count)
{
	for (; count > 0; count--, strings = art__agent_next(strings))
		putenv((char *)(uintptr_t)strings);
}

static void set_interface(struct run_job *j, const struct art_agent_job *job)
{
	char text[INET6_ADDRSTRLEN];

	if (*job->iface)
		setenv("ART_IFACE", job->iface, 1);
	else if (*job->toward && address_toward(job->toward, text))
		setenv("ART_IFACE", text, 1);
	else if (*job->toward)
		art__run_say(j, "found no address that %s may reach this host at; ART_IFACE can name "
			     "one", job->toward);
}

static void place_ranks(struct run_job *j, const struct art_agent_job *job)
{
	art__run_ranks(j, (int)job->start.size);
	for (uint32_t i = 0; i < job->start.mine; i++) {
		uint32_t rank;

		memcpy(&rank, job->ranks + i * sizeof(rank), sizeof(rank));
		j->rank[rank].here = true;
		j->rank[rank].nth = (int)i;
	}
	j->heres = (int)job->start.mine;
}

static void start(struct run_job *j, const struct art_agent_job *job)
{
	uint32_t argc = job->start.argc;
	const char *s = job->strings;
	char **argv = calloc((size_t)argc + 1, sizeof(*argv));

	if (!argv)
		art__run_die("out of memory");
	for (uint32_t i = 0; i < argc; i++, s = art__agent_next(s))
		argv[i] = (char *)(uintptr_t)s;
	j->opts.argv = argv;
	j->opts.directory = job->directory;
	j->opts.bind = job->start.bind <= RUN_BIND_CORE ? (enum run_bind)job->start.bind :
		       RUN_BIND_NONE;
	j->opts.verbose = job->start.verbose;
	j->id = job->start.job;
	memcpy(j->key, job->start.key, sizeof(j->key));
	place_ranks(j, job);
	art__run_raise_files(j);
	set_environment(s, job->start.envc);
	set_interface(j, job);
	if (j->opts.bind == RUN_BIND_CORE && art__topo_cores(j->core, CPU_SETSIZE) < 0)
		j->opts.bind = RUN_BIND_NONE;
	j->up->started = true;
	art__run_spawn_all(j);
}

/* The strings stay where they are for as long as the agent lives. */
static bool on_start(struct run_job *j, const uint8_t *data, size_t len)
{
	struct art_agent_job job;
	uint8_t *copy;

	if (j->up->started)
		return false;
	copy = malloc(len);
	if (!copy)
		art__run_die("out of memory");
	memcpy(copy, data, len);
	if (art__agent_start(copy, len, &job)) {
		free(copy);
		return false;
	}
	start(j, &job);
	explicit_bzero(copy + sizeof(struct art_agent_head), sizeof(struct art_agent_start));
	return true;
}

/* ---- what artrun says later ---- */
static bool on_table(struct run_job *j, const uint8_t *body, size_t len)
{
	struct art_agent_table t;

	memcpy(&t, body, sizeof(t));
	if (t.first != (uint32_t)j->cards || t.count > (uint32_t)(j->n - j->cards) ||
	    len != sizeof(t) + t.count * sizeof(struct art_boot_card))
		return false;
	memcpy(&j->card[t.first], body + sizeof(t), t.count * sizeof(struct art_boot_card));
	for (uint32_t i = t.first; i < t.first + t.count; i++)
		if (!art__boot_card_good(&j->card[i]))
			return false;
	j->cards += (int)t.count;
	art__run_boot_news(j);
	return true;
}

static bool on_dead(struct run_job *j, int rank, const uint8_t *body, size_t len)
{
	struct art_agent_dead d;

	memcpy(&d, body, sizeof(d));
	if (rank < 0 || rank >= j->n || j->cards < j->n || j->rank[rank].here ||
	    !art__run_view_told(j, &j->rank[rank], body + sizeof(d), len - sizeof(d)))
		return false;
	if (j->rank[rank].certified || j->card[rank].incarnation != d.incarnation)
		return true;
	j->rank[rank].certified = true;
	j->death[j->deaths++] = rank;
	art__run_boot_news(j);
	return true;
}

static void on_look(struct run_job *j)
{
	struct art_agent_state *state = calloc((size_t)j->heres + 1, sizeof(*state));
	size_t n = 0;

	if (!state)
		return;
	for (int i = 0; i < j->n; i++)
		if (j->rank[i].here && !j->rank[i].dead)
			state[n++] = (struct art_agent_state){ i, (uint8_t)art__run_state(&j->rank[i]) };
	art__agent_report(j, ART_AGENT_STATES, NULL, state, n * sizeof(*state));
	free(state);
}

static void on_signal(struct run_job *j, int rank, int sig)
{
	for (int i = 0; i < j->n; i++)
		if (j->rank[i].here && (rank < 0 || rank == i) && sig > 0 && sig < NSIG)
			art__run_signal_rank(j, &j->rank[i], sig);
}

static void on_shut(struct run_job *j, int which)
{
	for (int i = 0; i < j->n; i++)
		for (int k = 0; k < 2; k++)
			if (which & 1 << k)
				art__run_stream_close(j, &j->rank[i].out[k]);
}

static bool on_message(struct run_job *j, const uint8_t *data, size_t len)
{
	struct art_agent_head h;
	struct art_agent_number number = { 0 };
	const uint8_t *body = data + sizeof(h);

	memcpy(&h, data, sizeof(h));
	len -= sizeof(h);
	if (len >= sizeof(number))
		memcpy(&number, body, sizeof(number));
	if (!j->up->started && h.kind != ART_AGENT_START)
		return false;
	switch (h.kind) {
	case ART_AGENT_START:
		return on_start(j, data, h.len);
	case ART_AGENT_TABLE:
		return on_table(j, body, len);
	case ART_AGENT_NEVER:
		j->never = h.rank;
		art__run_boot_news(j);
		return true;
	case ART_AGENT_DEAD:
		return on_dead(j, h.rank, body, len);
	case ART_AGENT_VOTED:
		if (h.rank < 0 || h.rank >= j->n || !j->rank[h.rank].here)
			return false;
		art__run_voted(j, &j->rank[h.rank], body, len);
		return true;
	case ART_AGENT_SIGNAL:
		on_signal(j, h.rank, number.n);
		return true;
	case ART_AGENT_LOOK:
		on_look(j);
		return true;
	case ART_AGENT_INPUT:
		art__run_feed_piece(j, body, len);
		return true;
	case ART_AGENT_CREDIT:
		j->out->ahead -= (uint32_t)number.n < j->out->ahead ? (uint32_t)number.n :
				 j->out->ahead;
		return true;
	case ART_AGENT_SHUT:
		on_shut(j, number.n);
		return true;
	default:
		return false;
	}
}

void art__agent_readable(struct run_job *j)
{
	static char piece[64u << 10];
	struct run_buf *in = &j->up->in;
	ssize_t n = read(0, piece, sizeof(piece)), whole;

	if (j->up->ended || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (n <= 0) {
		end_agent(j);
		return;
	}
	art__run_buf_add(in, piece, (size_t)n);
	explicit_bzero(piece, (size_t)n); /* the key may be in there */
	while ((whole = art__agent_whole((const uint8_t *)in->data + in->head,
					 in->tail - in->head)) != 0) {
		if (whole < 0 || !on_message(j, (const uint8_t *)in->data + in->head, (size_t)whole))
			art__run_die("what came is no message of an artrun of this version");
		explicit_bzero(in->data + in->head, (size_t)whole);
		in->head += (size_t)whole;
	}
}

/* Until its input ends it stays, also when all its ranks are dead: artrun says when it is over. */
static bool over(const struct run_job *j)
{
	if (j->up->ended || j->end_code >= 0)
		return j->alive == 0 || art__run_passed(j->give_up_at);
	return false;
}

/* Sends SIGKILL to every child; what they leave behind become children in turn. */
static void kill_children(void)
{
	char path[64];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

/* Waits for the agent; then for all that is left of the ranks. */
static void __attribute__((noreturn)) guard(pid_t agent)
{
	static const int ignored[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE };
	int status, code = ART_AGENT_WITNESSED;
	bool over_now = false;
	pid_t pid;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	close(0);
	close(1);
	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
		if (pid == agent) {
			over_now = true;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				code = 0;
		}
		if (over_now)
			kill_children();
	}
	_exit(code);
}

static void start_guarded(void)
{
	pid_t self = getpid(), agent;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		art__run_die("cannot become the parent of orphans: %s", strerror(errno));
	agent = fork();
	if (agent < 0)
		art__run_die("cannot start a process: %s", strerror(errno));
	if (agent > 0)
		guard(agent);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != self)
		_exit(RUN_EXIT_SELF);
}

int art__agent_main(struct run_job *j)
{
	static struct run_agent agent;

	start_guarded();
	j->up = &agent;
	art__run_open(j);
	art__run_epoll(j, EPOLL_CTL_ADD, 0, EPOLLIN, RUN_EV_LAUNCHER, 0);
	greet(j);
	art__run_sinks_flush(j);
	while (!over(j) && !(agent.ended && !agent.started))
		art__run_round(j);
	if (!agent.ended)
		end_agent(j);
	j->flush_by = art__run_now() + 5 * ART_NS_PER_S;
	art__run_finish_output(j);
	art__run_close(j);
	free(agent.in.data);
	return 0;
}
