/* SPDX-License-Identifier: MIT
 *
 * The attacker's side of the handshake, and what its victims do meanwhile.
 */
#include "tests/conformance/attacker.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const struct words good = {
	.version = 2, .type = T_HELLO, .security = ART_TP_MAC, .from = 2, .to = 0, .job = CONF_JOB,
	.incarnation = CONF_INCARNATION,
};

struct conf_node *node(struct conf *c, int slot)
{
	return &c->node[slot];
}

uint64_t count(struct conf *c, int slot, enum art_tcp_count what)
{
	return art__tcp_counters(node(c, slot)->tp)[what];
}

void step(struct conf *c)
{
	struct pollfd p[CONF_NODES];
	nfds_t n = 0;

	CHECK(c, c->rig->now_ns(c) - c->start_ns < LIMIT_NS);
	for (int i = 0; i < c->size; i++) {
		if (!node(c, i)->tp)
			continue;
		conf_poll(node(c, i), 16);
		art__transport_arm(node(c, i)->tp);
		p[n++] = (struct pollfd){ .fd = c->ops->fd(node(c, i)->tp), .events = POLLIN };
	}
	CHECK(c, poll(p, n, 5) >= 0 || errno == EINTR);
}

void traffic(struct conf *c)
{
	for (int i = 0; i < 3; i++) {
		CHECK(c, conf_send(node(c, 0), 1, 3000, 2) == 1);
		CHECK(c, conf_send(node(c, 1), 0, 5, 1) == 1);
	}
	WAIT(c, conf_came(c, 0, 1) && conf_came(c, 1, 0));
	CHECK(c, node(c, 0)->peer[1].ups == 1 && node(c, 1)->peer[0].ups == 1);
	CHECK(c, node(c, 0)->peer[1].downs == 0 && node(c, 1)->peer[0].downs == 0);
}

void begin(struct conf *c)
{
	conf_begin(c, 3);
	conf_close(c, 2);
	traffic(c);
}

/* ---- the attacker ---- */

struct raw knock(struct conf *c)
{
	struct art_tcp_addrs a;
	struct raw r = { 0 };

	CHECK(c, art__tcp_parse(node(c, 0)->addr, &a) == 0);
	r.fd = socket(a.at[0].sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(c, r.fd >= 0);
	CHECK(c, connect(r.fd, &a.at[0].sa, art__tcp_addr_len(&a.at[0])) == 0);
	return r;
}

void say(struct conf *c, struct raw *r, const void *p, size_t len)
{
	CHECK(c, send(r->fd, p, len, MSG_NOSIGNAL) == (ssize_t)len);
}

int hear(struct raw *r, void *p, size_t len)
{
	uint8_t *at = p;
	ssize_t n = recv(r->fd, at, len, MSG_DONTWAIT | MSG_PEEK);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -1;
	return n == (ssize_t)len && recv(r->fd, at, len, 0) == (ssize_t)len;
}

bool closed(struct raw *r)
{
	uint8_t b[256];

	return hear(r, b, sizeof(b)) < 0 && recv(r->fd, b, 1, MSG_DONTWAIT) <= 0;
}

void put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void put_prefix(uint8_t *p, const struct words *w, uint8_t type)
{
	memcpy(p, "ARTh", 4);
	p[4] = w->version;
	p[5] = type;
	p[6] = w->security;
	p[7] = w->carried;
}

void put_words(struct raw *r, uint8_t *p, const struct words *w)
{
	put_prefix(p, w, w->type);
	put(p + 8, w->channel, 4);
	put(p + 12, w->from, 4);
	put(p + 16, w->to, 4);
	put(p + 20, w->job, 8);
	put(p + 28, w->incarnation, 8);
	memset(p + 36, 0x77, 16); /* no nonce at all */
	randombytes_buf(r->secret, sizeof(r->secret));
	crypto_scalarmult_base(p + 52, r->secret);
}

void hello_mac(uint8_t hello[HELLO], uint8_t key_byte)
{
	uint8_t key[32];

	memset(key, key_byte, sizeof(key));
	crypto_generichash(hello + WORDS, 16, hello, WORDS, key, sizeof(key));
}

void agree(struct raw *r, uint8_t key_byte)
{
	uint8_t all[32 + 2 * WORDS], key[32], k[32];

	memset(key, key_byte, sizeof(key));
	if (crypto_scalarmult(all, r->secret, (r->dialled ? r->challenge : r->hello) + 52) != 0)
		memset(all, 0, 32);
	memcpy(all + 32, r->hello, WORDS);
	memcpy(all + 32 + WORDS, r->challenge, WORDS);
	crypto_generichash(k, sizeof(k), all, sizeof(all), key, sizeof(key));
	crypto_kdf_derive_from_key(r->confirm, 32, 1, "ARTlink2", k);
	crypto_kdf_derive_from_key(r->tx, 32, r->dialled ? 2 : 3, "ARTlink2", k);
	crypto_kdf_derive_from_key(r->tx_head, 16, r->dialled ? 4 : 5, "ARTlink2", k);
}

void confirm(const struct raw *r, uint8_t role, uint8_t mac[16])
{
	uint8_t said[1 + 2 * WORDS];

	said[0] = role;
	memcpy(said + 1, r->hello, WORDS);
	memcpy(said + 1 + WORDS, r->challenge, WORDS);
	crypto_generichash(mac, 16, said, sizeof(said), r->confirm, sizeof(r->confirm));
}

struct raw greet(struct conf *c, const struct words *w)
{
	struct raw r = knock(c);
	uint8_t mac[16];
	int got = 0;

	r.dialled = true;
	put_words(&r, r.hello, w);
	hello_mac(r.hello, CONF_KEY_BYTE);
	say(c, &r, r.hello, HELLO);
	WAIT(c, (got = hear(&r, r.challenge, HELLO)) != 0);
	CHECK(c, got == 1);
	agree(&r, CONF_KEY_BYTE);
	confirm(&r, T_CHALLENGE, mac);
	CHECK(c, memcmp(mac, r.challenge + WORDS, 16) == 0);
	return r;
}

void answer(struct conf *c, struct raw *r, bool spoil)
{
	put_prefix(r->proof, &good, T_PROOF);
	r->proof[6] = r->hello[6];
	confirm(r, T_PROOF, r->proof + 8);
	r->proof[8] ^= spoil;
	say(c, r, r->proof, PROOF);
}

struct raw enter(struct conf *c, const struct words *w)
{
	struct raw r = greet(c, w);
	uint8_t mac[16];
	int got = 0;

	answer(c, &r, false);
	WAIT(c, (got = hear(&r, r.welcome, PROOF)) != 0);
	confirm(&r, T_WELCOME, mac);
	CHECK(c, got == 1 && r.welcome[5] == T_WELCOME && memcmp(mac, r.welcome + 8, 16) == 0);
	return r;
}

void say_message(struct conf *c, struct raw *r, const uint8_t head[ART_TP_HEAD],
		 const uint8_t *body, size_t len)
{
	uint8_t record[4 + ART_TP_HEAD + 4096 + 16], nonce[12] = { 0 };
	size_t n = ART_TP_HEAD + len;

	CHECK(c, len <= 4096);
	memcpy(record + 4, head, ART_TP_HEAD);
	if (len)
		memcpy(record + 4 + ART_TP_HEAD, body, len);
	if (r->hello[6] == ART_TP_ENCRYPT) {
		put(record, len, 4);
		put(nonce + 4, r->sent++, 8);
		crypto_aead_chacha20poly1305_ietf_encrypt(record + 4, NULL, record + 4, n, record, 4,
							  NULL, nonce, r->tx);
		say(c, r, record, 4 + n + 16);
		return;
	}
	put(record + 4 + 56, r->sent++, 8);
	uint8_t tag[8];
	crypto_shorthash(tag, record + 4, ART_TP_HEAD, r->tx_head);
	memcpy(record + 4 + 56, tag, 8);
	say(c, r, record + 4, n);
}
