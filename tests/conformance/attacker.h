/* SPDX-License-Identifier: MIT
 *
 * Somebody who plays rank 2 among three at a TCP listener. It speaks the handshake by its own
 * description of the bytes, so that a change of the format or of a key shows in the tests.
 */
#ifndef ART_TESTS_ATTACKER_H
#define ART_TESTS_ATTACKER_H

#include "tests/conformance/conformance.h"
#include "transport/tcp/tcp.h"

#define WORDS 84
#define HELLO 100 /* and challenge */
#define PROOF 24  /* and welcome */
#define LIMIT_NS (60 * ART_NS_PER_S)

struct raw {
	int fd;
	bool dialled;
	uint8_t hello[HELLO], challenge[HELLO], proof[PROOF], welcome[PROOF];
	uint8_t secret[32];
	uint8_t confirm[32], tx[32], tx_head[16]; /* after agree() */
	uint64_t sent;
};

struct words {
	uint8_t version, type, security, carried;
	uint32_t channel, from, to;
	uint64_t job, incarnation;
};

enum { T_HELLO = 1, T_CHALLENGE, T_PROOF, T_WELCOME, T_REFUSED };

extern const struct words good;

struct conf_node *node(struct conf *c, int slot);
uint64_t count(struct conf *c, int slot, enum art_tcp_count what);
/* One round of everybody's poll; waits for a descriptor, or a moment. */
void step(struct conf *c);
#define WAIT(c, cond) \
	do { \
		conf_mark(c); \
		while (!(cond)) \
			step(c); \
	} while (0)
/* The good ranks 0 and 1 talk, on the connection they always had. */
void traffic(struct conf *c);
/* Three slots: 0 and 1 are real, 2 is whom the attacker plays. */
void begin(struct conf *c);

struct raw knock(struct conf *c);
void say(struct conf *c, struct raw *r, const void *p, size_t len);
/* Bytes from the other side: 1 all are there, 0 not yet, -1 it has closed. */
int hear(struct raw *r, void *p, size_t len);
bool closed(struct raw *r);
void put(uint8_t *p, uint64_t v, int bytes);
void put_prefix(uint8_t *p, const struct words *w, uint8_t type);
/* Words of @w with the ephemeral key of r->secret, made anew. */
void put_words(struct raw *r, uint8_t *p, const struct words *w);
void hello_mac(uint8_t hello[HELLO], uint8_t key_byte);
/* Keys from the two hellos in @r. */
void agree(struct raw *r, uint8_t key_byte);
void confirm(const struct raw *r, uint8_t role, uint8_t mac[16]);
/* Says hello and hears the challenge, which must prove that the acceptor knows the key. */
struct raw greet(struct conf *c, const struct words *w);
/* Gives the proof, made with another key if @spoil. */
void answer(struct conf *c, struct raw *r, bool spoil);
/* A whole good handshake: the attacker is the real rank @w->from for once. */
struct raw enter(struct conf *c, const struct words *w);
/* Sends a message of ours, sealed as security level mac or encrypt wants it. */
void say_message(struct conf *c, struct raw *r, const uint8_t head[ART_TP_HEAD],
		 const uint8_t *body, size_t len);

#endif
