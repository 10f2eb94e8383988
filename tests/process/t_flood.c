/* SPDX-License-Identifier: MIT
 *
 * Description: hostile connections in number, for a script that has a job running.
 *
 *   t_flood COUNT SECONDS PORT...
 *
 * Makes COUNT connections to the ports of this host in turn, of eight kinds (see say()), and
 * leaves most of them with a reset. Stops after SECONDS at the latest. Prints how many it made;
 * exit 0 if there were any.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define HELD 40 /* silent ones, at any time */
#define KINDS 8

static uint64_t rng = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A full backlog lets no one in: then the next port is tried. */
static int knock(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct timeval patience = { .tv_usec = 20000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void noise(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next();
}

static void say(int fd, unsigned kind)
{
	uint8_t b[200];
	size_t len = 0;

	noise(b, sizeof(b));
	switch (kind) {
	case 0: /* a port scan: reset at once */
	case 7: /* silent, and stays */
		return;
	case 1:
		len = (size_t)snprintf((char *)b, sizeof(b), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		break;
	case 2: /* TLS */
		memcpy(b, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
		len = sizeof(b);
		break;
	case 3:
		len = 1 + next() % sizeof(b);
		break;
	case 4: /* a whole hello of another job */
		memcpy(b, "ARTh\2\1\1\1", 8);
		len = 100;
		break;
	case 5: /* half of one, at either security level */
		memcpy(b, "ARTh\2\1\2\1", 8);
		len = 1 + next() % 99;
		break;
	case 6: /* wherever a length is, it is huge */
		memset(b, 0xff, sizeof(b));
		memcpy(b, "ARTh\2\1\1\1", 8);
		len = 128;
		break;
	}
	(void)!send(fd, b, len, MSG_NOSIGNAL | MSG_DONTWAIT); /* it may have been cut off already */
}

static void leave(int fd, unsigned kind, int held[HELD])
{
	static unsigned at;

	if (kind != 7) {
		close(fd);
		return;
	}
	if (held[at] >= 0)
		close(held[at]);
	held[at] = fd;
	at = (at + 1) % HELD;
}

int main(int argc, char **argv)
{
	long count = argc > 3 ? atol(argv[1]) : 0, made = 0, missed = 0;
	double start = now(), end = start + (argc > 3 ? atof(argv[2]) : 0);
	int held[HELD];

	if (argc < 4) {
		fputs("usage: t_flood COUNT SECONDS PORT...\n", stderr);
		return 2;
	}
	for (int i = 0; i < HELD; i++)
		held[i] = -1;
	while (made < count && now() < end) {
		unsigned kind = (unsigned)(made % KINDS);
		int fd = knock(atoi(argv[3 + (made + missed) % (argc - 3)]));

		if (fd < 0) {
			missed++;
			continue;
		}
		say(fd, kind);
		leave(fd, kind, held);
		made++;
	}
	for (int i = 0; i < HELD; i++)
		if (held[i] >= 0)
			close(held[i]);
	printf("%ld of %ld hostile connections in %.1f s, %ld found the door shut\n", made, count,
	       now() - start, missed);
	return made > 0 ? 0 : 1;
}
