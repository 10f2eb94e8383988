/* SPDX-License-Identifier: MIT
 *
 * Encoding and checked decoding of headers, and bounded access to bodies (wire.h). Fields are
 * stored one by one in little-endian order; on a little-endian machine, where the order of the
 * struct is that of the wire, compilers turn this into plain copies.
 */
#include "wire/wire.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC 0x5241 /* "AR" */

/* Where a field lies on the wire: where it lies in the struct, by definition of version 1. */
#define AT(field) offsetof(struct art_hdr, field)

_Static_assert(AT(kind) == 1 && AT(flags) == 3 && AT(lag) == 4 && AT(magic) == 6, "layout");
_Static_assert(AT(epoch) == 8 && AT(src) == 12 && AT(comm) == 16 && AT(seq) == 24, "layout");
_Static_assert(AT(off) == 32 && AT(sig) == 40 && AT(len) == 44 && AT(link_seq) == 48, "layout");
_Static_assert(AT(check) == 52 && AT(mac) == 56, "layout");

static inline void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Of the header's bytes as they are on the wire, the field itself zero. */
static inline uint32_t checksum(const uint8_t head[ART_HDR_BYTES])
{
	return (uint32_t)XXH3_64bits(head, ART_HDR_BYTES);
}

static inline bool kind_known(uint8_t kind)
{
	return (kind >= ART_K_DATA && kind <= ART_K_NUDGE) ||
	       (kind >= ART_K_REQUEST && kind < ART_K_LAST);
}

void art__wire_encode(const struct art_hdr *h, uint8_t out[ART_HDR_BYTES])
{
	assert(kind_known(h->kind) && h->len <= ART_BODY_MAX);
	out[AT(version)] = ART_WIRE_VERSION;
	out[AT(kind)] = h->kind;
	out[AT(phase)] = h->phase;
	out[AT(flags)] = h->flags;
	put16(out + AT(lag), h->lag);
	put16(out + AT(magic), MAGIC);
	put32(out + AT(epoch), h->epoch);
	put32(out + AT(src), h->src);
	put64(out + AT(comm), h->comm);
	put64(out + AT(seq), h->seq);
	put64(out + AT(off), h->off);
	put32(out + AT(sig), h->sig);
	put32(out + AT(len), h->len);
	put32(out + AT(link_seq), h->link_seq);
	put32(out + AT(check), 0);
	put64(out + AT(mac), h->mac);
	put32(out + AT(check), checksum(out));
}

void art__wire_read(const uint8_t in[ART_HDR_BYTES], struct art_hdr *h)
{
	h->version = in[AT(version)];
	h->kind = in[AT(kind)];
	h->phase = in[AT(phase)];
	h->flags = in[AT(flags)];
	h->lag = get16(in + AT(lag));
	h->magic = get16(in + AT(magic));
	h->epoch = get32(in + AT(epoch));
	h->src = get32(in + AT(src));
	h->comm = get64(in + AT(comm));
	h->seq = get64(in + AT(seq));
	h->off = get64(in + AT(off));
	h->sig = get32(in + AT(sig));
	h->len = get32(in + AT(len));
	h->link_seq = get32(in + AT(link_seq));
	h->check = get32(in + AT(check));
	h->mac = get64(in + AT(mac));
}

static bool check_good(const uint8_t in[ART_HDR_BYTES], uint32_t check)
{
	uint8_t copy[ART_HDR_BYTES];

	memcpy(copy, in, sizeof(copy));
	put32(copy + AT(check), 0);
	return checksum(copy) == check;
}

bool art__wire_decode(const uint8_t in[ART_HDR_BYTES], struct art_hdr *h)
{
	art__wire_read(in, h);
	return h->magic == MAGIC && h->version == ART_WIRE_VERSION && kind_known(h->kind) &&
	       h->len <= ART_BODY_MAX && check_good(in, h->check);
}

int64_t art__wire_body_len(const uint8_t head[ART_HDR_BYTES])
{
	struct art_hdr h;

	return art__wire_decode(head, &h) ? (int64_t)h.len : -1;
}

/* The next n bytes to write, or NULL and bad. */
static inline uint8_t *room(struct art_wbuf *b, size_t n)
{
	uint8_t *at;

	if (b->bad || n > b->cap - b->len) {
		b->bad = true;
		return NULL;
	}
	at = b->p + b->len;
	b->len += n;
	return at;
}

void art__w_u8(struct art_wbuf *b, uint8_t v)
{
	uint8_t *p = room(b, sizeof(v));

	if (p)
		*p = v;
}

void art__w_u16(struct art_wbuf *b, uint16_t v)
{
	uint8_t *p = room(b, sizeof(v));

	if (p)
		put16(p, v);
}

void art__w_u32(struct art_wbuf *b, uint32_t v)
{
	uint8_t *p = room(b, sizeof(v));

	if (p)
		put32(p, v);
}

void art__w_u64(struct art_wbuf *b, uint64_t v)
{
	uint8_t *p = room(b, sizeof(v));

	if (p)
		put64(p, v);
}

void art__w_bytes(struct art_wbuf *b, const void *src, size_t n)
{
	uint8_t *p = room(b, n);

	if (p && n)
		memcpy(p, src, n);
}

const uint8_t *art__r_bytes(struct art_rbuf *b, size_t n)
{
	const uint8_t *at;

	if (b->bad || n > b->len - b->at) {
		b->bad = true;
		return NULL;
	}
	at = b->p + b->at;
	b->at += n;
	return at;
}

uint8_t art__r_u8(struct art_rbuf *b)
{
	const uint8_t *p = art__r_bytes(b, 1);

	return p ? *p : 0;
}

uint16_t art__r_u16(struct art_rbuf *b)
{
	const uint8_t *p = art__r_bytes(b, 2);

	return p ? get16(p) : 0;
}

uint32_t art__r_u32(struct art_rbuf *b)
{
	const uint8_t *p = art__r_bytes(b, 4);

	return p ? get32(p) : 0;
}

uint64_t art__r_u64(struct art_rbuf *b)
{
	const uint8_t *p = art__r_bytes(b, 8);

	return p ? get64(p) : 0;
}

const char *art__wire_kind_name(uint8_t kind)
{
	switch (kind) {
	case ART_K_DATA: return "data";
	case ART_K_CREDIT: return "credit";
	case ART_K_PULL: return "pull";
	case ART_K_OUTCOME: return "outcome";
	case ART_K_REQUEST: return "request";
	case ART_K_PREPARE: return "prepare";
	case ART_K_PROMISE: return "promise";
	case ART_K_NACK: return "nack";
	case ART_K_ACCEPT: return "accept";
	case ART_K_ACCEPTED: return "accepted";
	case ART_K_DECIDED: return "decided";
	case ART_K_EVICTED: return "evicted";
	case ART_K_GONE: return "gone";
	case ART_K_FAN: return "fan";
	case ART_K_GATHER: return "gather";
	case ART_K_WMARK: return "wmark";
	case ART_K_STABLE: return "stable";
	case ART_K_BYE: return "bye";
	case ART_K_NUDGE: return "nudge";
	case ART_K_WHO: return "who";
	case ART_K_WHO_REPLY: return "who-reply";
	case ART_K_ASK_CERT: return "ask-certificate";
	case ART_K_CERT: return "certificate";
	case ART_K_RELAY: return "relay";
	case ART_K_RELAY_NO: return "relay-no";
	case ART_K_RELAY_BEAT: return "relay-beat";
	}
	return "unknown";
}
