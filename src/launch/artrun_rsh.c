/* SPDX-License-Identifier: MIT
 *
 * How an agent comes to a host: ssh, or what the user named instead, with artrun's own path; on
 * this host without any. Its words on standard error are passed on, and its end is explained.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/artrun_hosts.h"

#define WORDS_MAX 64 /* of a command */

/* Never a question, which nobody could answer; and a host that vanished ends the connection. */
static const char ssh_command[] = "ssh -T -x -a -o BatchMode=yes -o ConnectTimeout=10 "
				  "-o ServerAliveInterval=5 -o ServerAliveCountMax=3";

bool art__rsh_is_here(const char *name)
{
	char own[256];
	size_t shorter;

	if (strcmp(name, "localhost") == 0)
		return true;
	if (gethostname(own, sizeof(own)))
		return false;
	own[sizeof(own) - 1] = '\0';
	shorter = strcspn(own, ".");
	return strcmp(name, own) == 0 ||
	       (strlen(name) == shorter && strncmp(name, own, shorter) == 0);
}

/* exec 'path' --agent, for whatever shell is there. */
static bool remote_command(const struct run_job *j, char *text, size_t size)
{
	char own[4096];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	const char *path = j->opts.remote;
	size_t at = 0;

	own[n > 0 ? n : 0] = '\0';
	path = path ? path : own;
	at += (size_t)snprintf(text, size, "exec '");
	for (; *path && at + 16 < size; path++)
		at += *path == '\'' ? (size_t)snprintf(text + at, size - at, "'\\''") :
		      (size_t)snprintf(text + at, size - at, "%c", *path);
	snprintf(text + at, size - at, "' --agent");
	return *path == '\0';
}

static void fill_command(const struct run_job *j, const struct run_host *h, char *words, char *remote,
			 char **argv)
{
	char *save = NULL;
	int n = 0;

	if (art__rsh_is_here(h->name)) {
		argv[n++] = (char *)(uintptr_t)"/proc/self/exe";
		argv[n++] = (char *)(uintptr_t)"--agent";
		argv[n] = NULL;
		return;
	}
	for (char *w = strtok_r(words, " \t", &save); w && n < WORDS_MAX - 3;
	     w = strtok_r(NULL, " \t", &save))
		argv[n++] = w;
	argv[n++] = (char *)(uintptr_t)h->name;
	argv[n++] = remote;
	argv[n] = NULL;
	(void)j;
}

/* In a session of its own: the terminal's Ctrl-C is for artrun, which passes it on. */
static void __attribute__((noreturn)) child(const int in[2], const int out[2], const int err[2],
					    pid_t parent, char **argv)
{
	sigset_t none;

	sigemptyset(&none);
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent && dup2(in[0], 0) == 0 &&
	    dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2 && close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		execvp(argv[0], argv);
	dprintf(2, "cannot run '%s': %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		art__run_die("cannot prepare a pipe: %s", strerror(errno));
}

static int index_of(const struct run_job *j, const struct run_host *h)
{
	return (int)(h - j->hosts->host);
}

static void adopt(struct run_job *j, struct run_host *h, pid_t pid, int to, int from, int words)
{
	h->pid = pid;
	h->to = to;
	h->from = from;
	h->words = words;
	h->pidfd = pidfd_open(pid, 0);
	if (h->pidfd < 0)
		art__run_die("cannot watch a process: %s", strerror(errno));
	nonblocking(to);
	nonblocking(from);
	nonblocking(words);
	art__run_epoll(j, EPOLL_CTL_ADD, from, EPOLLIN, RUN_EV_HOST_SAYS, index_of(j, h));
	art__run_epoll(j, EPOLL_CTL_ADD, words, EPOLLIN, RUN_EV_HOST_WORDS, index_of(j, h));
	art__run_epoll(j, EPOLL_CTL_ADD, h->pidfd, EPOLLIN, RUN_EV_HOST_END, index_of(j, h));
}

bool art__rsh_start(struct run_job *j, struct run_host *h)
{
	char words[1024], remote[5000], *argv[WORDS_MAX];
	int in[2], out[2], err[2];
	pid_t pid, self = getpid();

	if (!remote_command(j, remote, sizeof(remote)) ||
	    (size_t)snprintf(words, sizeof(words), "%s", j->opts.rsh ? j->opts.rsh : ssh_command) >=
	    sizeof(words))
		art__run_die("the command that reaches a host is too long");
	fill_command(j, h, words, remote, argv);
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		art__run_die("cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		art__run_die("cannot start a process: %s", strerror(errno));
	if (pid == 0)
		child(in, out, err, self, argv);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	adopt(j, h, pid, in[1], out[0], err[0]);
	return true;
}

static void say_line(struct run_job *j, struct run_host *h, const char *line, size_t len)
{
	while (len > 0 && line[len - 1] == '\r')
		len--;
	snprintf(h->last, sizeof(h->last), "%.*s", (int)(len < 190 ? len : 190), line);
	if (h->state >= RUN_H_GREETED && len > 0)
		art__run_say(j, "%s: %.*s", h->name, (int)(len < 400 ? len : 400), line);
}

void art__rsh_words(struct run_job *j, struct run_host *h)
{
	char text[4096];
	const char *nl;
	ssize_t n;

	if (h->words < 0)
		return;
	n = read(h->words, text, sizeof(text));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		art__run_buf_add(&h->said, text, (size_t)n);
	while ((nl = h->said.head < h->said.tail ?
		     memchr(h->said.data + h->said.head, '\n', h->said.tail - h->said.head) : NULL)) {
		const char *line = h->said.data + h->said.head;

		say_line(j, h, line, (size_t)(nl - line));
		h->said.head += (size_t)(nl - line) + 1;
	}
	if (h->said.tail - h->said.head > 4096)
		h->said.head = h->said.tail; /* no line of words for people */
	if (n <= 0) {
		if (h->said.head < h->said.tail)
			say_line(j, h, h->said.data + h->said.head, h->said.tail - h->said.head);
		close(h->words);
		h->words = -1;
	}
}

bool art__rsh_ended(struct run_job *j, struct run_host *h, char *text, size_t size)
{
	int status = 0, code;
	const char *how = art__rsh_is_here(h->name) ? "artrun" : j->opts.rsh ? j->opts.rsh : "ssh";

	for (int i = 0; i < 64 && h->words >= 0; i++)
		art__rsh_words(j, h);
	waitpid(h->pid, &status, WNOHANG);
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (code == ART_AGENT_WITNESSED)
		snprintf(text, size, "it was killed");
	else if (code == 255)
		snprintf(text, size, "it cannot be reached by %s", how);
	else if (code == 127 || code == 126)
		snprintf(text, size, "there is no artrun at this path on it; --remote-artrun names "
			 "another");
	else if (WIFSIGNALED(status))
		snprintf(text, size, "%s was killed by signal %d", how, WTERMSIG(status));
	else
		snprintf(text, size, "%s ended with code %d", how, code);
	if (h->last[0] && h->state < RUN_H_GREETED) {
		size_t len = strlen(text);

		snprintf(text + len, size - len, " (%s)", h->last);
	}
	return code == ART_AGENT_WITNESSED;
}
