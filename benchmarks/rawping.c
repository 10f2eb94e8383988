/* SPDX-License-Identifier: MIT
 *
 * The yardstick: what the same kind of socket (TCP over loopback, no delay, non-blocking, both
 * sides spinning) costs between ranks 0 and 1 without ART. Its own sockets; ART only carries the
 * port number. A host other than rank 0's cannot be reached over loopback: then there is no
 * yardstick.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

struct rawping {
	int rank, fd;
	char *buf;
	size_t room;
};

static int open_listener(uint64_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static int connect_to(uint64_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Rank 0 knows from the greeting that it is rank 1 of this job that came, not somebody else. */
static bool greet(int rank, int fd, uint64_t token)
{
	uint64_t got = 0;

	if (rank == 1)
		return send(fd, &token, sizeof(token), MSG_NOSIGNAL) == sizeof(token);
	return recv(fd, &got, sizeof(got), MSG_WAITALL) == sizeof(got) && got == token;
}

struct rawping *rawping_open(int rank, int size)
{
	struct rawping *p = calloc(1, sizeof(*p));
	struct timeval patience = { .tv_sec = 5 };
	uint64_t say[2] = { 0, 0 }; /* port, token */
	int64_t works = 1;
	int lfd = -1, one = 1;

	if (!p || size < 2) {
		free(p);
		return NULL;
	}
	*p = (struct rawping){ .rank = rank, .fd = -1 };
	if (rank == 0) {
		lfd = open_listener(&say[0]);
		say[1] = (uint64_t)(bench_now() * 1e9) * UINT64_C(0x9e3779b97f4a7c15);
	}
	bench_must(art_bcast(say, 2, ART_UINT64, 0, ART_COMM_WORLD), "raw ping-pong");
	if (rank == 0 && lfd >= 0) {
		setsockopt(lfd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		p->fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	} else if (rank == 1 && say[0] != 0) {
		p->fd = connect_to(say[0]);
	}
	if (p->fd >= 0)
		setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (rank < 2)
		works = p->fd >= 0 && greet(rank, p->fd, say[1]) &&
			setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0;
	if (lfd >= 0)
		close(lfd);
	bench_must(art_allreduce(ART_IN_PLACE, &works, 1, ART_INT64, ART_MIN, ART_COMM_WORLD),
		   "raw ping-pong");
	if (!works) {
		rawping_close(p);
		return NULL;
	}
	return p;
}

void rawping_close(struct rawping *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p->buf);
	free(p);
}

/* On a machine of our own a message comes long before this. On a busy one the other side may
 * wait for our core: let it have it, instead of a whole time slice of nothing. */
static void spin(int *turns)
{
	if (++*turns % 10000 == 0)
		sched_yield();
}

static void spin_send(int fd, const char *at, size_t left)
{
	int turns = 0;

	for (; left > 0; spin(&turns)) {
		ssize_t n = send(fd, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			bench_fail("raw ping-pong: send: %s", strerror(errno));
		if (n > 0) {
			at += n;
			left -= (size_t)n;
		}
	}
}

static void spin_recv(int fd, char *at, size_t left)
{
	int turns = 0;

	for (; left > 0; spin(&turns)) {
		ssize_t n = recv(fd, at, left, MSG_DONTWAIT);

		if (n == 0)
			bench_fail("raw ping-pong: the other side is gone");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			bench_fail("raw ping-pong: recv: %s", strerror(errno));
		if (n > 0) {
			at += n;
			left -= (size_t)n;
		}
	}
}

static void grow(struct rawping *p, size_t bytes)
{
	if (bytes <= p->room)
		return;
	free(p->buf);
	p->buf = calloc(1, bytes);
	if (!p->buf)
		bench_fail("raw ping-pong: out of memory");
	p->room = bytes;
}

bool rawping_run(struct rawping *p, size_t bytes, long n, double *s)
{
	long warm = n / 10 + 1;

	if (!p)
		return false;
	if (p->rank > 1)
		return true;
	if (bytes == 0)
		bytes = 1;
	grow(p, bytes);
	for (long i = -warm; i < n; i++) {
		double t = bench_now();

		if (p->rank == 0)
			spin_send(p->fd, p->buf, bytes);
		spin_recv(p->fd, p->buf, bytes);
		if (p->rank == 1)
			spin_send(p->fd, p->buf, bytes);
		else if (i >= 0)
			s[i] = (bench_now() - t) / 2;
	}
	return true;
}

/* Sends and receives @bytes, as far as either goes. */
static void spin_swap(struct rawping *p, char *in, size_t bytes)
{
	size_t out = bytes, left = bytes;
	int turns = 0;

	for (; out > 0 || left > 0; spin(&turns)) {
		ssize_t n = out > 0 ? send(p->fd, p->buf + (bytes - out), out,
					   MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			bench_fail("raw exchange: send: %s", strerror(errno));
		out -= n > 0 ? (size_t)n : 0;
		n = left > 0 ? recv(p->fd, in + (bytes - left), left, MSG_DONTWAIT) : -1;
		if (n == 0)
			bench_fail("raw exchange: the other side is gone");
		if (left > 0 && n < 0 && errno != EAGAIN && errno != EINTR)
			bench_fail("raw exchange: recv: %s", strerror(errno));
		left -= n > 0 ? (size_t)n : 0;
	}
}

void rawping_swap(struct rawping *p, size_t bytes, long n, double *s)
{
	long warm = n / 10 + 1;

	memset(s, 0, (size_t)n * sizeof(*s));
	if (!p || p->rank > 1)
		return;
	if (bytes == 0)
		bytes = 1;
	grow(p, 2 * bytes);
	for (long i = -warm; i < n; i++) {
		double t = bench_now();

		spin_swap(p, p->buf + bytes, bytes);
		if (i >= 0)
			s[i] = bench_now() - t;
	}
}
