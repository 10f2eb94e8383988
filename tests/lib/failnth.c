/* SPDX-License-Identifier: MIT
 *
 * A module to preload into a job (LD_PRELOAD) that lets the n-th request for something fail, as
 * if the system had no more of it. Counted are the requests of ART itself: calls whose return
 * address lies in libart.so or in one of its commands, not what libc or a test asks for.
 *
 *   FAILNTH=WHO:KIND:N[:MODE]
 *     WHO   artrun, or rank0, rank1, ...
 *     KIND  alloc, fd, watch, thread, mmap, fork, memfd: the N-th fails (MODE once, the default), or all
 *           from the N-th on (MODE from)
 *           byte: stream sockets and pipes carry one byte a call, but for each N-th
 *           eintr: of N calls that may wait only one is not interrupted
 *   FAILNTH_REPORT=FILE   gets the line "fired" when something fails for the first time, and at
 *                         exit "count C": how many requests of KIND there were
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { NONE, ALLOC, FD, WATCH, THREAD, MMAP, FORK, MEMFD, BYTE, EINTR_STORM };
static const char *const kind_name[] = {
	[ALLOC] = "alloc", [FD] = "fd", [WATCH] = "watch", [THREAD] = "thread", [MMAP] = "mmap",
	[FORK] = "fork", [MEMFD] = "memfd", [BYTE] = "byte", [EINTR_STORM] = "eintr",
};
#define KINDS (sizeof(kind_name) / sizeof(kind_name[0]))

/* Set once, before main(). */
static enum kind kind; /* NONE: this process is not meant */
static uint64_t nth;
static bool from;
static const char *report;
static struct { uintptr_t begin, end; } ours[2]; /* libart.so, the command */
static int n_ours;

static _Atomic uint64_t asked;
static _Atomic bool fired;

/* What libc has behind the names that this file takes. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REAL(name) \
	({ \
		static __typeof__(&name) real_; \
		if (!real_) \
			real_ = NEXT(name); \
		real_; \
	})
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void say(const char *line)
{
	int fd;

	if (!report)
		return;
	fd = REAL(open)(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (REAL(write)(fd, line, strlen(line)) < 0)
		abort(); /* a report that is lost would pass for success */
	close(fd);
}

/* ---- who is asking ---- */
static bool is_command(const char *name)
{
	static const char *const command[] = {"artrun", "art-bench", "art-info"};

	for (size_t i = 0; i < sizeof(command) / sizeof(command[0]); i++)
		if (!strcmp(name, command[i]))
			return true;
	return false;
}

static int note_object(struct dl_phdr_info *o, size_t size, void *arg)
{
	const char *slash = strrchr(o->dlpi_name, '/');
	const char *name = slash ? slash + 1 : o->dlpi_name;

	(void)size;
	(void)arg;
	if (o->dlpi_name[0] ? strncmp(name, "libart.so", 9) != 0 :
	    !is_command(program_invocation_short_name))
		return 0;
	for (int i = 0; i < o->dlpi_phnum && n_ours < 2; i++)
		if (o->dlpi_phdr[i].p_type == PT_LOAD && o->dlpi_phdr[i].p_flags & PF_X) {
			ours[n_ours].begin = o->dlpi_addr + o->dlpi_phdr[i].p_vaddr;
			ours[n_ours].end = ours[n_ours].begin + o->dlpi_phdr[i].p_memsz;
			n_ours++;
		}
	return 0;
}

static bool is_ours(const void *caller)
{
	for (int i = 0; i < n_ours; i++)
		if ((uintptr_t)caller >= ours[i].begin && (uintptr_t)caller < ours[i].end)
			return true;
	return false;
}

static bool is_me(const char *who)
{
	const char *rank = getenv("ART_RANK");

	if (strncmp(who, "rank", 4))
		return !rank && !strcmp(who, program_invocation_short_name);
	return rank && !strcmp(who + 4, rank) && n_ours > 0;
}

static void __attribute__((constructor)) begin(void)
{
	char who[16], what[16], mode[16] = "once";
	unsigned long long n;
	const char *text = getenv("FAILNTH");

	if (!text)
		return;
	if (sscanf(text, "%15[^:]:%15[^:]:%llu:%15s", who, what, &n, mode) < 3 || n < 1)
		abort();
	dl_iterate_phdr(note_object, NULL);
	if (!is_me(who))
		return;
	report = getenv("FAILNTH_REPORT");
	nth = n;
	from = !strcmp(mode, "from");
	for (size_t i = 1; i < KINDS; i++)
		if (!strcmp(what, kind_name[i]))
			kind = (enum kind)i;
	if (kind == NONE)
		abort();
}

static void __attribute__((destructor)) end(void)
{
	char line[40];

	if (kind == NONE)
		return;
	snprintf(line, sizeof(line), "count %llu\n", (unsigned long long)asked);
	say(line);
}

/* Is this request, of @k, the one that fails (BYTE, EINTR: is it hampered)? */
static bool fails(enum kind k, const void *caller)
{
	uint64_t n;

	if (k != kind || !is_ours(caller))
		return false;
	n = atomic_fetch_add(&asked, 1) + 1;
	if (k == EINTR_STORM || k == BYTE ? n % nth == 0 : from ? n < nth : n != nth)
		return false;
	if (!atomic_exchange(&fired, true))
		say("fired\n");
	return true;
}

#define FAIL_IF(k, error, value) \
	do { \
		if (fails(k, __builtin_return_address(0))) { \
			errno = (error); \
			return value; \
		} \
	} while (0)

/* ---- memory ---- */
void *malloc(size_t n)
{
	FAIL_IF(ALLOC, ENOMEM, NULL);
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	FAIL_IF(ALLOC, ENOMEM, NULL);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	FAIL_IF(ALLOC, ENOMEM, NULL);
	return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	FAIL_IF(ALLOC, ENOMEM, NULL);
	return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	if (fails(ALLOC, __builtin_return_address(0)))
		return ENOMEM;
	*out = __libc_memalign(align, n);
	return *out ? 0 : ENOMEM;
}

char *strdup(const char *s)
{
	char *copy;

	FAIL_IF(ALLOC, ENOMEM, NULL);
	copy = __libc_malloc(strlen(s) + 1);
	return copy ? strcpy(copy, s) : NULL;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	FAIL_IF(MMAP, ENOMEM, MAP_FAILED);
	return REAL(mmap)(at, n, prot, flags, fd, off);
}

/* ---- descriptors, threads, processes ---- */
#define PASS(k, error, value, type, name, params, args) \
	type name params \
	{ \
		FAIL_IF(k, error, value); \
		return REAL(name) args; \
	}

PASS(FD, EMFILE, -1, int, socket, (int d, int t, int p), (d, t, p))
PASS(FD, EMFILE, -1, int, socketpair, (int d, int t, int p, int v[2]), (d, t, p, v))
PASS(FD, EMFILE, -1, int, pipe2, (int v[2], int flags), (v, flags))
PASS(FD, EMFILE, -1, int, epoll_create1, (int flags), (flags))
PASS(FD, EMFILE, -1, int, eventfd, (unsigned n, int flags), (n, flags))
PASS(FD, EMFILE, -1, int, signalfd, (int fd, const sigset_t *m, int flags), (fd, m, flags))
PASS(FD, EMFILE, -1, int, shm_open, (const char *name, int flags, mode_t m), (name, flags, m))
PASS(FD, EMFILE, NULL, FILE *, fopen, (const char *path, const char *how), (path, how))
PASS(FD, EMFILE, -1, int, getifaddrs, (struct ifaddrs **all), (all))
PASS(FORK, EAGAIN, -1, pid_t, fork, (void), ())

int memfd_create(const char *name, unsigned flags)
{
	FAIL_IF(FD, EMFILE, -1);
	FAIL_IF(MEMFD, EPERM, -1);
	return REAL(memfd_create)(name, flags);
}

int pidfd_open(pid_t pid, unsigned flags)
{
	static __typeof__(&pidfd_open) real;

	FAIL_IF(FD, EMFILE, -1);
	if (!real)
		real = (__typeof__(&pidfd_open))dlsym(RTLD_NEXT, "pidfd_open");
	return real(pid, flags);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	FAIL_IF(FD, EMFILE, -1);
	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return REAL(open)(path, flags, mode);
}

long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	if (number == SYS_pidfd_open)
		FAIL_IF(FD, EMFILE, -1);
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	if (op == EPOLL_CTL_ADD)
		FAIL_IF(WATCH, ENOSPC, -1);
	return REAL(epoll_ctl)(ep, op, fd, ev);
}

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg)
{
	if (fails(THREAD, __builtin_return_address(0)))
		return EAGAIN;
	return REAL(pthread_create)(t, a, run, arg);
}

/* ---- calls that may be interrupted, or move less than they were asked for ---- */
/* Whether the kernel may cut this transfer short: a stream socket; a pipe only if it was asked for
 * more than a number (a number is written at once, so it is there at once). */
static bool may_cut(int fd, size_t len)
{
	int type = 0;
	socklen_t size = sizeof(type);
	struct stat st;

	if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size))
		return type == SOCK_STREAM;
	return len > sizeof(uint64_t) && !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

/* What does not wait is never interrupted. */
static bool waits(int fd, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* Writing is cut short only where it does not wait for room. */
static bool may_cut_writing(int fd, size_t len, int flags)
{
	return !waits(fd, flags) && may_cut(fd, len);
}

#define INTERRUPT_IF(may_wait) \
	do { \
		if (kind == EINTR_STORM && (may_wait)) \
			FAIL_IF(EINTR_STORM, EINTR, -1); \
	} while (0)

static size_t cut(bool may, size_t len, const void *caller)
{
	return kind == BYTE && len > 1 && may && fails(BYTE, caller) ? 1 : len;
}

#define CUT(may, len) cut(kind == BYTE && (may), len, __builtin_return_address(0))

ssize_t read(int fd, void *b, size_t n)
{
	INTERRUPT_IF(waits(fd, 0));
	return REAL(read)(fd, b, CUT(may_cut(fd, n), n));
}

ssize_t write(int fd, const void *b, size_t n)
{
	INTERRUPT_IF(waits(fd, 0));
	return REAL(write)(fd, b, CUT(may_cut_writing(fd, n, 0), n));
}

ssize_t recv(int fd, void *b, size_t n, int flags)
{
	INTERRUPT_IF(waits(fd, flags));
	return REAL(recv)(fd, b, CUT(may_cut(fd, n), n), flags);
}

ssize_t send(int fd, const void *b, size_t n, int flags)
{
	INTERRUPT_IF(waits(fd, flags));
	return REAL(send)(fd, b, CUT(may_cut_writing(fd, n, flags), n), flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	INTERRUPT_IF(waits(fd, flags));
	return REAL(recvmsg)(fd, m, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	size_t i = 0;

	INTERRUPT_IF(waits(fd, flags));
	while (i < m->msg_iovlen && !m->msg_iov[i].iov_len)
		i++;
	if (i < m->msg_iovlen && CUT(may_cut_writing(fd, 2, flags), 2) == 1)
		return REAL(send)(fd, m->msg_iov[i].iov_base, 1, flags);
	return REAL(sendmsg)(fd, m, flags);
}

int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	INTERRUPT_IF(waits(fd, 0));
	FAIL_IF(FD, EMFILE, -1);
	return REAL(accept4)(fd, sa, len, flags);
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
	INTERRUPT_IF(true);
	return REAL(poll)(p, n, ms);
}

int epoll_wait(int fd, struct epoll_event *ev, int n, int ms)
{
	INTERRUPT_IF(ms != 0);
	return REAL(epoll_wait)(fd, ev, n, ms);
}
