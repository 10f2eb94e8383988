/* SPDX-License-Identifier: MIT
 *
 * The wire format: a 64-byte little-endian header before every message (rule R12), and
 * bounded readers and writers for the bodies of control messages. What a body means is
 * decided by its kind's owner (coll for data, ft for control); this layer makes sure that
 * no byte is read outside a body and no header is believed that was damaged.
 */
#ifndef ART_WIRE_WIRE_H
#define ART_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ART_WIRE_VERSION 1
#define ART_HDR_BYTES 64
/* The largest body of one message; longer control values travel in fragments (off, total). */
#define ART_BODY_MAX (64u * 1024)

enum art_kind {
	/* data channel */
	ART_K_DATA = 1, /* bytes [off, off+len) of one edge's stream, for phase `phase` of an op */
	ART_K_CREDIT,   /* off = bytes of the edge's stream that the receiver has room for */
	ART_K_PULL,     /* send me the outcome of this op */
	ART_K_OUTCOME,  /* status of a held op, then its payload as a stream */
	ART_K_BYE,      /* finalize is held: everyone has entered it */
	ART_K_NUDGE,    /* look at the memory that we share */
	/* control channel */
	ART_K_REQUEST = 32, /* ft: please decide (suspicions, named ops) */
	ART_K_PREPARE,
	ART_K_PROMISE,
	ART_K_NACK,
	ART_K_ACCEPT,
	ART_K_ACCEPTED,
	ART_K_DECIDED,
	ART_K_EVICTED, /* you are not in the view */
	ART_K_GONE,    /* I have given up for ever: as good as a certified death */
	ART_K_FAN,     /* ft: what a proposer says, through a member who may have to pass it on */
	ART_K_GATHER,  /* ft: answers to it, through the same member */
	ART_K_WMARK,  /* coll: everything up to seq is done in my subtree */
	ART_K_STABLE, /* coll: everything up to seq is stable */
	ART_K_WHO,    /* coll: have you entered this op, and with which signature? */
	ART_K_WHO_REPLY,
	ART_K_ASK_CERT, /* core: my connection to slot seq, of your host, ended: is it dead? */
	ART_K_CERT,     /* core: slot seq of my host is dead, its kernel says so */
	ART_K_RELAY,    /* core: an envelope, relay.c */
	ART_K_RELAY_NO, /* core: I do not reach slot seq, either (my own: I do not hear you;
			 * flags 1: I do again) */
	ART_K_RELAY_BEAT, /* core: a datagram of the detector, in an envelope */
	ART_K_LAST
};

/* The header in host order. */
struct art_hdr {
	uint8_t version;
	uint8_t kind;
	uint8_t phase;     /* round or direction within an op */
	uint8_t flags;
	uint16_t lag;      /* seq - (highest op done everywhere the sender knows); 0xffff: unknown */
	uint16_t magic;    /* filled by encode, checked by decode */
	uint32_t epoch;    /* the epoch the op runs in; for control messages the target epoch */
	uint32_t src;      /* sender's slot */
	uint64_t comm;     /* communicator identity */
	uint64_t seq;      /* op of that communicator */
	uint64_t off;      /* byte offset of the body in its stream */
	uint32_t sig;      /* call signature: kind, type, operator, count, root */
	uint32_t len;      /* bytes of the body that follows */
	uint32_t link_seq; /* counts messages of one connection, one direction */
	uint32_t check;    /* checksum of the header with this field zero */
	uint64_t mac;      /* 0 here; the transport's under way (ART_TP_HEAD_MAC) */
};

/* Writes the header with magic, version and checksum. */
void art__wire_encode(const struct art_hdr *h, uint8_t out[ART_HDR_BYTES]);

/* Reads a header from any 64 bytes. False, and *h undefined, unless magic, version, checksum,
 * kind and length are all good. */
bool art__wire_decode(const uint8_t in[ART_HDR_BYTES], struct art_hdr *h);

/* The same of 64 bytes that art__wire_body_len() has taken for a header already: no second look. */
void art__wire_read(const uint8_t in[ART_HDR_BYTES], struct art_hdr *h);

/* For transports, which know messages only as a head and a body: the length of the body
 * behind @head, or -1 if these 64 bytes are not a header of ours. */
int64_t art__wire_body_len(const uint8_t head[ART_HDR_BYTES]);

/* Bodies: append to a bounded buffer. After an overflow `bad` is set and nothing is written. */
struct art_wbuf {
	uint8_t *p;
	size_t len, cap;
	bool bad;
};
void art__w_u8(struct art_wbuf *b, uint8_t v);
void art__w_u16(struct art_wbuf *b, uint16_t v);
void art__w_u32(struct art_wbuf *b, uint32_t v);
void art__w_u64(struct art_wbuf *b, uint64_t v);
void art__w_bytes(struct art_wbuf *b, const void *p, size_t n);

/* Bodies: read from a bounded buffer. Past the end `bad` is set and zeros are returned. */
struct art_rbuf {
	const uint8_t *p;
	size_t len, at;
	bool bad;
};
uint8_t art__r_u8(struct art_rbuf *b);
uint16_t art__r_u16(struct art_rbuf *b);
uint32_t art__r_u32(struct art_rbuf *b);
uint64_t art__r_u64(struct art_rbuf *b);
/* A pointer to the next n bytes inside the buffer, or NULL. */
const uint8_t *art__r_bytes(struct art_rbuf *b, size_t n);

/* Human word for a kind, for log lines. */
const char *art__wire_kind_name(uint8_t kind);

_Static_assert(sizeof(struct art_hdr) == ART_HDR_BYTES, "the header is 64 bytes");

#endif
