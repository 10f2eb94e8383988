/* SPDX-License-Identifier: MIT
 *
 * See beat.h. A datagram, little-endian:
 *
 *   magic 4 | length 2 | 0 2 | from 4 | to 4 | job 8 | incarnation 8 | number 8 | contents | tag 16
 *
 * The tag is BLAKE2b over all before it, keyed by a key made from the job's. Numbers of one sender
 * grow; a lower or equal one than the last is a repeat, or so late that it says nothing new.
 */
#include "engine/beat.h"

#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/wire.h"

#define MAGIC UINT32_C(0x31425241) /* "ARB1" */
#define HEAD 40
#define TAG 16
#define WHOLE (HEAD + ART_BEAT_MAX + TAG)

_Static_assert(TAG >= crypto_generichash_BYTES_MIN, "a tag that the library can make");

/* "a.b.c.d:port" or "[a:b::c]:port", as transports print them. Nothing is looked up. */
static bool parse(const char *text, struct sockaddr_storage *at, socklen_t *len)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;
	char host[ART_TP_ADDR_MAX];
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (n > 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		n -= 2;
	}
	if (!n || n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &found))
		return false;
	memcpy(at, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static bool print(const struct sockaddr_storage *at, socklen_t len, char addr[ART_TP_ADDR_MAX])
{
	bool v6 = at->ss_family == AF_INET6;
	char host[ART_TP_ADDR_MAX], port[8];
	int n;

	if (getnameinfo((const struct sockaddr *)at, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV | NI_DGRAM))
		return false;
	n = snprintf(addr, ART_TP_ADDR_MAX, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
	return n > 0 && n < ART_TP_ADDR_MAX;
}

static void set_port_zero(struct sockaddr_storage *at)
{
	if (at->ss_family == AF_INET6)
		((struct sockaddr_in6 *)at)->sin6_port = 0;
	else
		((struct sockaddr_in *)at)->sin_port = 0;
}

static int make_key(struct art_beats *b, const uint8_t job_key[ART_TP_KEY_BYTES])
{
	static const uint8_t purpose[] = "art heartbeats, version 1";

	if (sodium_init() < 0)
		return ART_ERR_INTERNAL;
	return crypto_generichash(b->key, sizeof(b->key), purpose, sizeof(purpose), job_key,
				  ART_TP_KEY_BYTES) ? ART_ERR_INTERNAL : 0;
}

static int bind_beside(struct art_beats *b, const char *beside, char addr[ART_TP_ADDR_MAX])
{
	struct sockaddr_storage a;
	socklen_t len;

	if (!parse(beside, &a, &len))
		return ART_ERR_ARG;
	set_port_zero(&a);
	b->fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->fd < 0 || bind(b->fd, (const struct sockaddr *)&a, len) ||
	    getsockname(b->fd, (struct sockaddr *)&a, &len))
		return ART_ERR_TRANSPORT;
	return print(&a, len, addr) ? 0 : ART_ERR_INTERNAL;
}

int art__beats_open(struct art_beats *b, const struct art_env *env, const struct art_tp_self *self,
		    const char *beside, char addr[ART_TP_ADDR_MAX])
{
	int rc;

	memset(b, 0, sizeof(*b));
	b->fd = -1;
	b->slot = self->slot;
	b->size = self->size;
	b->job = self->job;
	b->incarnation = self->incarnation;
	b->peer = calloc((size_t)self->size, sizeof(*b->peer));
	rc = b->peer ? make_key(b, self->key) : ART_ERR_NOMEM;
	if (!rc)
		rc = bind_beside(b, beside, addr);
	if (!rc)
		return 0;
	art__env_log(env, ART_LOG_ERROR, "cannot open a socket for heartbeats beside %s: %s", beside,
		     rc == ART_ERR_TRANSPORT ? strerror(errno) : "no address, or no memory");
	art__beats_close(b);
	return rc;
}

int art__beats_peer(struct art_beats *b, int slot, const char *addr, uint64_t incarnation)
{
	assert(slot >= 0 && slot < b->size);
	b->peer[slot].incarnation = incarnation;
	if (!*addr) /* it has none */
		return 0;
	return parse(addr, &b->peer[slot].at, &b->peer[slot].at_len) ? 0 : ART_ERR_ARG;
}

void art__beats_close(struct art_beats *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	free(b->peer);
	b->peer = NULL;
	explicit_bzero(b->key, sizeof(b->key));
}

static bool make_tag(const struct art_beats *b, const uint8_t *p, size_t len, uint8_t tag[TAG])
{
	return crypto_generichash(tag, TAG, p, len, b->key, sizeof(b->key)) == 0;
}

/* A full buffer, an unreachable host, a port nobody listens on: lost, like any other. */
void art__beats_send(struct art_beats *b, int to, const void *p, size_t len)
{
	uint8_t out[WHOLE];
	struct art_wbuf w = { .p = out, .cap = sizeof(out) };
	const struct art_beat_peer *peer = &b->peer[to];

	assert(to >= 0 && to < b->size && to != b->slot && len <= ART_BEAT_MAX);
	if (!peer->at_len)
		return;
	art__w_u32(&w, MAGIC);
	art__w_u16(&w, (uint16_t)len);
	art__w_u16(&w, 0);
	art__w_u32(&w, (uint32_t)b->slot);
	art__w_u32(&w, (uint32_t)to);
	art__w_u64(&w, b->job);
	art__w_u64(&w, b->incarnation);
	art__w_u64(&w, ++b->number);
	art__w_bytes(&w, p, len);
	if (w.bad || !make_tag(b, out, w.len, out + w.len))
		return;
	if (sendto(b->fd, out, w.len + TAG, MSG_NOSIGNAL | MSG_DONTWAIT,
		   (const struct sockaddr *)&peer->at, peer->at_len) < 0)
		errno = 0;
}

/* Whose it is, or -1; *p and *len are then its contents. */
static int accept_one(struct art_beats *b, const uint8_t *in, size_t got, const uint8_t **p,
		      size_t *len)
{
	struct art_rbuf r = { .p = in, .len = got };
	struct art_beat_peer *peer;
	uint64_t job, incarnation, number;
	uint32_t from, to;
	uint8_t tag[TAG];

	if (art__r_u32(&r) != MAGIC)
		return -1;
	*len = art__r_u16(&r);
	art__r_u16(&r);
	from = art__r_u32(&r);
	to = art__r_u32(&r);
	job = art__r_u64(&r);
	incarnation = art__r_u64(&r);
	number = art__r_u64(&r);
	*p = art__r_bytes(&r, *len);
	if (r.bad || got != r.at + TAG || from >= (uint32_t)b->size || to != (uint32_t)b->slot ||
	    from == to || job != b->job)
		return -1;
	peer = &b->peer[from];
	if (!make_tag(b, in, r.at, tag) || sodium_memcmp(tag, in + r.at, TAG) ||
	    incarnation != peer->incarnation || number <= peer->seen)
		return -1;
	peer->seen = number;
	return (int)from;
}

int art__beats_poll(struct art_beats *b, int budget,
		    void (*fn)(void *self, int from, const uint8_t *p, size_t len), void *self)
{
	int n = 0;

	while (n < budget) {
		uint8_t in[WHOLE + 1]; /* one more: a longer one is none of ours */
		const uint8_t *p;
		size_t len;
		ssize_t got = recv(b->fd, in, sizeof(in), MSG_DONTWAIT);
		int from;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ECONNREFUSED)
			break; /* nothing more; an error of the socket is silence, and is judged as such */
		n++;
		from = got > 0 ? accept_one(b, in, (size_t)got, &p, &len) : -1;
		if (from < 0)
			b->refused++;
		else
			fn(self, from, p, len);
	}
	return n;
}
