/* SPDX-License-Identifier: MIT
 *
 * What a rank that was started by hand is told: four variables and a file. Everything that is wrong
 * with them is said with the variable's name.
 */
#include <arpa/inet.h>
#include <art/status.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/set.h"
#include "launch/boot_hand.h"

enum { RANK, SIZE, ROOT, KEY_FILE, VARS };

static const char *const names[VARS] = { "ART_RANK", "ART_SIZE", "ART_ROOT", "ART_KEY_FILE" };

/* artrun sets ART_RANK and ART_SIZE, too, and then ART_CORES: a program that one of its ranks
 * starts is a job of one. Without that they are somebody's who has forgotten the rest, and would get
 * as many jobs of one as ranks. */
bool art__hand_wanted(void)
{
	if (getenv(names[ROOT]) || getenv(names[KEY_FILE]))
		return true;
	return (getenv(names[RANK]) || getenv(names[SIZE])) && !getenv("ART_CORES");
}

static int take_place(struct art_boot *b, const char *const text[VARS])
{
	if (!art__hand_number_parse(text[SIZE], 1, ART_MAX_RANKS, &b->size))
		return art__boot_fail(b, ART_ERR_ARG, "ART_SIZE=%.40s is no number from 1 to %u",
				      text[SIZE], ART_MAX_RANKS);
	if (!art__hand_number_parse(text[RANK], 0, b->size - 1, &b->rank))
		return art__boot_fail(b, ART_ERR_ARG,
				      "ART_RANK=%.40s is no number from 0 to %d (ART_SIZE is %d)",
				      text[RANK], b->size - 1, b->size);
	return 0;
}

static bool is_any(const struct sockaddr_storage *at)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)at;

	return at->ss_family == AF_INET ? v4->sin_addr.s_addr == htonl(INADDR_ANY) :
					  IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static bool is_loopback(const struct sockaddr_storage *at)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)at;

	return at->ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127 :
					  IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Who is not told where to listen does so where rank 0 is reached from. */
static int choose_interface(struct art_boot *b, const struct art_hand *h, const char *host)
{
	if (is_loopback(&h->at))
		return 0;
	if (art__transport_towards(host, b->iface))
		return art__boot_fail(b, ART_ERR_TRANSPORT, "there is no way from here to ART_ROOT=%s",
				      h->root);
	return 0;
}

static int take_root(struct art_boot *b, struct art_hand *h, const char *text)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	char host[ART_TP_ADDR_MAX], port[6];
	struct addrinfo *at;

	if (!art__hand_root_parse(text, host, port) || getaddrinfo(host, port, &hints, &at) != 0)
		return art__boot_fail(b, ART_ERR_ARG, "ART_ROOT=%.100s is not an address and a port "
				      "(10.1.0.4:7000, [fd00::4]:7000)", text);
	memcpy(&h->at, at->ai_addr, at->ai_addrlen);
	h->at_len = at->ai_addrlen;
	freeaddrinfo(at);
	snprintf(h->root, sizeof(h->root), "%s", text);
	if (is_any(&h->at))
		return art__boot_fail(b, ART_ERR_ARG, "ART_ROOT=%s is not one address: give that at "
				      "which the other ranks reach rank 0", h->root);
	return choose_interface(b, h, host);
}

/* Whoever can read the key can play any rank, so nobody else may be able to. */
static int check_key(struct art_boot *b, const struct art_hand *h, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s: %s", h->key_file,
				      strerror(errno));
	if (!S_ISREG(st.st_mode))
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s is not a regular file",
				      h->key_file);
	if (st.st_uid != geteuid())
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s belongs to another user",
				      h->key_file);
	if (st.st_mode & 077)
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s can be used by others (mode "
				      "%04o); chmod 600 it", h->key_file,
				      (unsigned)st.st_mode & 07777);
	if (st.st_size != ART_TP_KEY_BYTES)
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s has %lld bytes instead of %d",
				      h->key_file, (long long)st.st_size, ART_TP_KEY_BYTES);
	return 0;
}

static int take_key(struct art_boot *b, struct art_hand *h, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;
	ssize_t n;

	snprintf(h->key_file, sizeof(h->key_file), "%s", path);
	if (fd < 0)
		return art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s: %s", h->key_file,
				      strerror(errno));
	err = check_key(b, h, fd);
	if (!err) {
		do
			n = read(fd, h->key, sizeof(h->key));
		while (n < 0 && errno == EINTR);
		if (n != sizeof(h->key))
			err = art__boot_fail(b, ART_ERR_ARG, "ART_KEY_FILE=%s cannot be read",
					     h->key_file);
	}
	close(fd);
	return err;
}

int art__hand_variables(struct art_boot *b, struct art_hand *h)
{
	const char *text[VARS];
	int err = 0;

	for (int i = 0; i < VARS && !err; i++) {
		text[i] = getenv(names[i]);
		if (!text[i] || !*text[i])
			err = art__boot_fail(b, ART_ERR_ARG, "%s is not set; a rank started by hand "
					     "needs ART_RANK, ART_SIZE, ART_ROOT and ART_KEY_FILE",
					     names[i]);
	}
	if (!err)
		err = take_place(b, text);
	if (!err)
		err = take_root(b, h, text[ROOT]);
	if (!err)
		err = take_key(b, h, text[KEY_FILE]);
	for (int i = 0; i < VARS; i++)
		unsetenv(names[i]);
	return err;
}
