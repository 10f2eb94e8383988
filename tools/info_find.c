/* SPDX-License-Identifier: MIT
 *
 * Finds ranks by the names of their status sockets in /proc/net/unix and asks them, all at once.
 * A rank whose process is stopped, or which has no time, does not answer: that is worth telling.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/status.h"
#include "tools/info.h"

struct ask { /* one rank */
	json_t *about;
	struct sockaddr_un addr;
	socklen_t len;
	uid_t uid;
	int fd;      /* -1: over, or not connected yet */
	bool over;
	char *text;
	size_t n;
};

struct asks {
	struct ask *a;
	size_t n;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The first line of /proc/PID/NAME; false if the process is gone. */
static bool read_proc(int pid, const char *name, char *out, size_t size)
{
	char path[64];
	FILE *f;
	bool good;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	good = f && fgets(out, (int)size, f);
	if (f)
		fclose(f);
	if (good)
		out[strcspn(out, "\n")] = '\0';
	return good;
}

static bool is_stopped(int pid)
{
	char text[512], *rest;

	if (!read_proc(pid, "stat", text, sizeof(text)))
		return false;
	rest = strrchr(text, ')');
	return rest && (rest[1] == ' ') && (rest[2] == 'T' || rest[2] == 't');
}

struct name { /* of a status socket */
	unsigned uid;
	unsigned long long job;
	int rank, pid;
	char text[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static bool wanted(const char *which, const struct name *n)
{
	char id[17];

	snprintf(id, sizeof(id), "%016llx", n->job);
	return !which || (strlen(which) >= 4 && strncmp(id, which, strlen(which)) == 0);
}

static void add(struct asks *all, const struct name *n)
{
	char program[64] = "?", id[17];
	struct ask *a;

	all->a = realloc(all->a, (all->n + 1) * sizeof(*all->a));
	if (!all->a)
		info_die("out of memory");
	a = &all->a[all->n++];
	memset(a, 0, sizeof(*a));
	a->fd = -1;
	a->uid = n->uid;
	a->addr.sun_family = AF_UNIX;
	memcpy(a->addr.sun_path + 1, n->text, strlen(n->text));
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(n->text));
	read_proc(n->pid, "comm", program, sizeof(program));
	snprintf(id, sizeof(id), "%016llx", n->job);
	a->about = info_must(json_pack("{s:s, s:i, s:i, s:i, s:s}", "job", id, "rank", n->rank, "pid",
				       n->pid, "uid", (int)n->uid, "program", program));
}

/* Lines end with the name, "@" for the NUL; connections of a listener carry its name, too. */
static bool read_name(char *line, struct name *n)
{
	char *at = strstr(line, " @art-status/");
	unsigned flags;

	if (!at || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & 0x10000))
		return false; /* 0x10000: it listens */
	at[strcspn(at, "\n")] = '\0';
	at += 2;
	if (strlen(at) >= sizeof(n->text) - 1 ||
	    sscanf(at, ART_STATUS_NAME_SCAN, &n->uid, &n->job, &n->rank, &n->pid) != 4)
		return false;
	memcpy(n->text, at, strlen(at) + 1);
	return n->rank >= 0 && n->rank < (int)ART_MAX_RANKS && n->pid > 0 &&
	       (geteuid() == 0 || n->uid == geteuid());
}

static void each_name(void (*tell)(void *self, const struct name *n), void *self)
{
	FILE *f = fopen("/proc/net/unix", "re");
	struct name n;
	char line[512];

	if (!f)
		info_die("/proc/net/unix cannot be read: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (read_name(line, &n))
			tell(self, &n);
	fclose(f);
}

struct search {
	struct asks *all;
	const char *which;
	char job[17]; /* of the process @which, if it is one */
};

static void look_for_process(void *self, const struct name *n)
{
	struct search *s = self;
	char number[16];

	snprintf(number, sizeof(number), "%d", n->pid);
	if (strcmp(s->which, number) == 0)
		snprintf(s->job, sizeof(s->job), "%016llx", n->job);
}

static void look_for_job(void *self, const struct name *n)
{
	struct search *s = self;

	if (wanted(s->which, n))
		add(s->all, n);
}

static void find(struct asks *all, const char *which)
{
	struct search s = {all, which, ""};

	if (which)
		each_name(look_for_process, &s);
	if (s.job[0])
		s.which = s.job;
	each_name(look_for_job, &s);
}

static void finish(struct ask *a)
{
	json_t *answer = a->n ? json_loadb(a->text, a->n, 0, NULL) : NULL;

	if (json_is_object(answer))
		json_object_set(a->about, "answer", answer);
	json_decref(answer);
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->over = true;
}

/* Whoever listens there must be whom the name says. */
static bool is_right(const struct ask *a)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == a->uid || who.uid == 0);
}

/* A full backlog (EAGAIN) is tried again in the next turn. */
static void dial(struct ask *a)
{
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0)
		info_die("cannot make a socket: %s", strerror(errno));
	if (connect(a->fd, (struct sockaddr *)&a->addr, a->len) == 0 && is_right(a))
		return;
	a->over = errno != EAGAIN;
	close(a->fd);
	a->fd = -1;
}

static void take(struct ask *a)
{
	ssize_t n;

	if (!a->text)
		a->text = malloc(ART_STATUS_TEXT_MAX);
	if (!a->text)
		info_die("out of memory");
	n = read(a->fd, a->text + a->n, ART_STATUS_TEXT_MAX - a->n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		finish(a);
	else
		a->n += (size_t)n;
}

static int open_asks(struct asks *all, struct pollfd *fd)
{
	int open = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct ask *a = &all->a[i];

		if (!a->over && a->fd < 0)
			dial(a);
		fd[i] = (struct pollfd){.fd = a->fd, .events = POLLIN};
		open += !a->over;
	}
	return open;
}

static void ask_all(struct asks *all, double wait_s)
{
	struct pollfd *fd = calloc(all->n ? all->n : 1, sizeof(*fd));
	double end = now_s() + wait_s;

	if (!fd)
		info_die("out of memory");
	while (open_asks(all, fd) > 0 && now_s() < end) {
		if (poll(fd, (nfds_t)all->n, 20) <= 0)
			continue;
		for (size_t i = 0; i < all->n; i++)
			if (fd[i].fd >= 0 && fd[i].revents)
				take(&all->a[i]);
	}
	free(fd);
}

json_t *info_ranks(const char *which, double wait_s)
{
	struct asks all = {NULL, 0};
	json_t *out = info_must(json_array());

	find(&all, which);
	ask_all(&all, wait_s);
	for (size_t i = 0; i < all.n; i++) {
		struct ask *a = &all.a[i];

		a->n = a->over ? a->n : 0;
		if (!a->over)
			finish(a);
		if (!json_object_get(a->about, "answer"))
			json_object_set_new(a->about, "stopped",
					    json_boolean(is_stopped((int)json_integer_value(
						    json_object_get(a->about, "pid")))));
		json_array_append_new(out, a->about);
		free(a->text);
	}
	free(all.a);
	return out;
}

/* ---- other hosts ---- */

#define WORDS_MAX 64

/* exec 'this program' with its options, for whatever shell is there: ART is at the same place on
 * all hosts, as artrun takes it to be. */
static bool remote_command(const char *which, double wait_s, char *out, size_t size)
{
	char own[2048];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	int k;

	own[n > 0 ? n : 0] = '\0';
	if (n <= 0 || strchr(own, '\'') || (which && which[strspn(which, "0123456789abcdef")]))
		return false;
	k = snprintf(out, size, "exec '%s' --raw --wait %g --job %s", own, wait_s,
		     which ? which : "all");
	return k > 0 && (size_t)k < size;
}

/* Never a question, and an end if the host falls silent meanwhile. */
static const char ssh_command[] = "ssh -T -x -a -oBatchMode=yes -oConnectTimeout=5 "
				  "-oServerAliveInterval=2 -oServerAliveCountMax=2";

static void __attribute__((noreturn)) ask_there(const char *host, char *remote, int out)
{
	const char *given = getenv("ART_RSH");
	char *words = strdup(given && *given ? given : ssh_command);
	char *argv[WORDS_MAX], *save = NULL;
	int null = open("/dev/null", O_RDONLY), n = 0;

	for (char *w = words ? strtok_r(words, " \t", &save) : NULL; w && n < WORDS_MAX - 3;
	     w = strtok_r(NULL, " \t", &save))
		argv[n++] = w;
	argv[n++] = (char *)(uintptr_t)host;
	argv[n++] = remote;
	argv[n] = NULL;
	if (null >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1)
		execvp(argv[0], argv);
	_exit(127);
}

static pid_t start(const char *host, const char *which, double wait_s, int *out)
{
	char remote[4096];
	int p[2];
	pid_t pid;

	if (!remote_command(which, wait_s, remote, sizeof(remote)))
		info_die("'%s' is not the beginning of a job's identity", which ? which : "");
	if (pipe2(p, O_CLOEXEC))
		info_die("cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		info_die("cannot start a process: %s", strerror(errno));
	if (pid == 0)
		ask_there(host, remote, p[1]);
	close(p[1]);
	*out = p[0];
	return pid;
}

json_t *info_ranks_of(const char *host, const char *which, double wait_s)
{
	int fd, status;
	pid_t pid;
	json_t *ranks;

	if (host[0] == '-' || !host[0])
		info_die("'%s' is no name of a host", host);
	pid = start(host, which, wait_s, &fd);
	ranks = json_loadfd(fd, 0, NULL);
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (json_is_array(ranks))
		return ranks;
	fprintf(stderr, "art-info: %s cannot be asked; is ART installed there as it is here?\n", host);
	json_decref(ranks);
	return info_must(json_array());
}
