/* SPDX-License-Identifier: MIT
 *
 * What protects a connection: the keys that its handshake agreed on, and the seal of each message.
 * Everything that knows ciphers is here and in tcp_hello.c; the rest of tcp moves records.
 *
 *   none     record = head body                      as it was given
 *   mac      record = head body                      the head's last 8 bytes hold SipHash-2-4 over
 *                                                    the rest of the head and the message's number
 *   encrypt  record = length(4) E(head body) tag(16) ChaCha20-Poly1305, the number as nonce, the
 *                                                    length of the body as associated data
 *
 * Numbers count the messages of one connection and direction from 0, and each direction has keys
 * of its own: nothing can be replayed, reordered, left out or sent back. `mac` keeps out whoever
 * cannot see the connection; who can see and alter it can still change a body.
 *
 * Keys: K = BLAKE2b, keyed with the job key, over (X25519 of the two ephemerals, words of both
 * sides); all others are derived from K. The words hold a fresh nonce of each side, so every
 * connection has keys of its own, and a hello or challenge that is sent again is of no use.
 *
 * The ephemeral pair is made once per instance, and what X25519 makes of it and a peer's is kept:
 * after a death all survivors connect anew at once, and four such operations (35 us each) per
 * connection are then most of what a handshake costs. Both live in memory alone and are wiped when
 * the instance closes. So a job key that leaks opens no recorded traffic, during the job or after
 * it; the memory of a running rank opens all that this rank has sent and received since its start,
 * not only what its present connections carry.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <endian.h>
#include <sodium.h>
#include <string.h>

#define LENGTH_BYTES 4
#define TAG_BYTES crypto_aead_chacha20poly1305_IETF_ABYTES
#define MAC_AT (ART_TP_HEAD - ART_TP_HEAD_MAC)
#define CONTEXT "ARTlink2"

_Static_assert(ART_TP_HEAD_MAC == crypto_shorthash_siphash24_BYTES, "a tag fits in its place");
_Static_assert(crypto_shorthash_siphash24_KEYBYTES == ART_TCP_SIP_BYTES, "key size");
_Static_assert(crypto_aead_chacha20poly1305_IETF_KEYBYTES == ART_TCP_SECRET_BYTES, "key size");
_Static_assert(crypto_scalarmult_BYTES == ART_TCP_SECRET_BYTES, "key size");
_Static_assert(crypto_kdf_KEYBYTES == ART_TCP_SECRET_BYTES, "key size");
_Static_assert(LENGTH_BYTES + TAG_BYTES == ART_TCP_SEAL_BYTES, "what a seal adds");

enum { K_CONFIRM = 1, K_DIALLER, K_ACCEPTOR, K_DIALLER_HEAD, K_ACCEPTOR_HEAD };

void art__tcp_ephemeral(struct art_tcp *t)
{
	/* Not env->random: that one may be reproducible. */
	randombytes_buf(t->secret, sizeof(t->secret));
	crypto_scalarmult_base(t->public, t->secret);
}

/* NULL: a point that gives the same secret with everybody. */
static const uint8_t *shared_with(struct art_tcp *t, struct art_tcp_peer *p,
				  const uint8_t theirs[ART_TCP_SECRET_BYTES])
{
	if (p->agreed && memcmp(p->theirs, theirs, sizeof(p->theirs)) == 0)
		return p->shared;
	p->agreed = crypto_scalarmult(p->shared, t->secret, theirs) == 0;
	memcpy(p->theirs, theirs, sizeof(p->theirs));
	return p->agreed ? p->shared : NULL;
}

bool art__tcp_agree(struct art_tcp *t, struct art_tcp_conn *c, bool dialler,
		    const uint8_t theirs[ART_TCP_SECRET_BYTES])
{
	const uint8_t *shared = shared_with(t, &t->peer[c->peer], theirs);
	struct art_tcp_keys *k = &c->keys;
	uint8_t in[ART_TCP_SECRET_BYTES + sizeof(c->script)], key[ART_TCP_SECRET_BYTES];

	if (!shared)
		return false;
	memcpy(in, shared, ART_TCP_SECRET_BYTES);
	memcpy(in + ART_TCP_SECRET_BYTES, c->script, sizeof(c->script));
	crypto_generichash(key, sizeof(key), in, sizeof(in), t->self.key, ART_TP_KEY_BYTES);
	crypto_kdf_derive_from_key(k->confirm, sizeof(k->confirm), K_CONFIRM, CONTEXT, key);
	crypto_kdf_derive_from_key(dialler ? k->tx : k->rx, sizeof(k->tx), K_DIALLER, CONTEXT, key);
	crypto_kdf_derive_from_key(dialler ? k->rx : k->tx, sizeof(k->rx), K_ACCEPTOR, CONTEXT, key);
	crypto_kdf_derive_from_key(dialler ? k->tx_head : k->rx_head, sizeof(k->tx_head),
				   K_DIALLER_HEAD, CONTEXT, key);
	crypto_kdf_derive_from_key(dialler ? k->rx_head : k->tx_head, sizeof(k->rx_head),
				   K_ACCEPTOR_HEAD, CONTEXT, key);
	k->tx_number = k->rx_number = 0;
	sodium_memzero(in, sizeof(in));
	sodium_memzero(key, sizeof(key));
	return true;
}

void art__tcp_confirm(const struct art_tcp_conn *c, int role, uint8_t mac[ART_TCP_MAC_BYTES])
{
	uint8_t said[1 + sizeof(c->script)];

	said[0] = (uint8_t)role;
	memcpy(said + 1, c->script, sizeof(c->script));
	crypto_generichash(mac, ART_TCP_MAC_BYTES, said, sizeof(said), c->keys.confirm,
			   sizeof(c->keys.confirm));
}

void art__tcp_forget_keys(struct art_tcp_conn *c)
{
	sodium_memzero(&c->keys, sizeof(c->keys));
}

/* ---- mac ---- */

/* The tag of a head, computed in its place. */
static void head_tag(uint8_t head[ART_TP_HEAD], uint64_t number, const uint8_t *key,
		     uint8_t tag[ART_TP_HEAD_MAC])
{
	number = htole64(number);
	memcpy(head + MAC_AT, &number, sizeof(number));
	crypto_shorthash_siphash24(tag, head, ART_TP_HEAD, key);
}

/* Leaves zeros where the tag was. */
static bool head_genuine(struct art_tcp_conn *c, uint8_t head[ART_TP_HEAD])
{
	uint8_t tag[ART_TP_HEAD_MAC], came[ART_TP_HEAD_MAC];

	memcpy(came, head + MAC_AT, sizeof(came));
	head_tag(head, c->keys.rx_number, c->keys.rx_head, tag);
	memset(head + MAC_AT, 0, ART_TP_HEAD_MAC);
	if (sodium_memcmp(tag, came, sizeof(tag)) != 0)
		return false;
	c->keys.rx_number++;
	return true;
}

/* ---- encrypt ---- */

static void make_nonce(uint64_t number, uint8_t nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES])
{
	memset(nonce, 0, 4);
	number = htole64(number);
	memcpy(nonce + 4, &number, sizeof(number));
}

/* @record holds head and body behind the place of the length. */
static void encrypt(struct art_tcp_conn *c, uint8_t *record, size_t body)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES], *text = record + LENGTH_BYTES;
	uint32_t len = htole32((uint32_t)body);

	memcpy(record, &len, sizeof(len));
	make_nonce(c->keys.tx_number++, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(
		text, text + ART_TP_HEAD + body, NULL, text, ART_TP_HEAD + body, record,
		LENGTH_BYTES, NULL, nonce, c->keys.tx);
}

static bool decrypt(struct art_tcp_conn *c, uint8_t *record, size_t body)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES], *text = record + LENGTH_BYTES;

	make_nonce(c->keys.rx_number++, nonce);
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(
		       text, NULL, text, ART_TP_HEAD + body, text + ART_TP_HEAD + body, record,
		       LENGTH_BYTES, nonce, c->keys.rx) == 0;
}

/* ---- on the way out ---- */

size_t art__tcp_sealed_len(const struct art_tcp *t, size_t len)
{
	return len + (t->security == ART_TP_ENCRYPT ? ART_TCP_SEAL_BYTES : 0);
}

static size_t copy_message(uint8_t *to, const struct iovec *iov, int niov)
{
	size_t n = 0;

	for (int i = 0; i < niov; i++) {
		if (iov[i].iov_len)
			memcpy(to + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	return n;
}

void art__tcp_seal(struct art_tcp *t, struct art_tcp_conn *c, const struct iovec **iov, int *niov,
		   struct iovec *one)
{
	uint8_t tag[ART_TP_HEAD_MAC], *head = (*iov)[0].iov_base;
	size_t len;

	switch (t->security) {
	case ART_TP_PLAIN:
		break;
	case ART_TP_MAC:
		head_tag(head, c->keys.tx_number++, c->keys.tx_head, tag);
		memcpy(head + MAC_AT, tag, sizeof(tag));
		break;
	case ART_TP_ENCRYPT:
		len = copy_message(t->scratch + LENGTH_BYTES, *iov, *niov);
		encrypt(c, t->scratch, len - ART_TP_HEAD);
		*one = (struct iovec){ t->scratch, art__tcp_sealed_len(t, len) };
		*iov = one;
		*niov = 1;
		break;
	}
}

void art__tcp_unsend(struct art_tcp *t, struct art_tcp_conn *c)
{
	if (t->security != ART_TP_PLAIN)
		c->keys.tx_number--;
}

void art__tcp_store(const struct art_tcp *t, uint8_t *record, const struct iovec *iov, int niov)
{
	copy_message(record + (t->security == ART_TP_ENCRYPT ? LENGTH_BYTES : 0), iov, niov);
}

void art__tcp_seal_queue(struct art_tcp *t, struct art_tcp_conn *c)
{
	uint8_t tag[ART_TP_HEAD_MAC];
	struct art_tcp_chunk *k;

	TAILQ_FOREACH(k, &t->peer[c->peer].queue, next) {
		assert(k->at == 0 && k->end == k->cap);
		if (t->security == ART_TP_ENCRYPT) {
			encrypt(c, k->data, k->end - ART_TCP_SEAL_BYTES - ART_TP_HEAD);
		} else if (t->security == ART_TP_MAC) {
			head_tag(k->data, c->keys.tx_number++, c->keys.tx_head, tag);
			memcpy(k->data + MAC_AT, tag, sizeof(tag));
		}
	}
}

/* ---- on the way in ---- */

int art__tcp_measure(struct art_tcp *t, struct art_tcp_conn *c)
{
	uint8_t *at = c->rx + c->at;
	size_t have = c->end - c->at;
	uint32_t sealed;
	int64_t len;

	if (t->security == ART_TP_ENCRYPT) {
		if (have < LENGTH_BYTES)
			return 0;
		memcpy(&sealed, at, sizeof(sealed));
		len = (int64_t)le32toh(sealed);
	} else {
		if (have < ART_TP_HEAD)
			return 0;
		if (t->security == ART_TP_MAC && !head_genuine(c, at))
			goto forged;
		len = t->up.body_len(t->up.self, at);
	}
	if (len < 0 || len > (int64_t)ART_TP_BODY_MAX)
		return -1;
	c->need = art__tcp_sealed_len(t, ART_TP_HEAD + (size_t)len);
	return 1;

forged:
	art__tcp_refuse(t, c, ART_TCP_N_FORGED);
	return -1;
}

const uint8_t *art__tcp_open_seal(struct art_tcp *t, struct art_tcp_conn *c, uint8_t *record,
				  size_t *body)
{
	if (t->security != ART_TP_ENCRYPT) {
		*body = c->need - ART_TP_HEAD;
		return record;
	}
	*body = c->need - ART_TCP_SEAL_BYTES - ART_TP_HEAD;
	if (!decrypt(c, record, *body)) {
		art__tcp_refuse(t, c, ART_TCP_N_FORGED);
		return NULL;
	}
	return t->up.body_len(t->up.self, record + LENGTH_BYTES) == (int64_t)*body
		       ? record + LENGTH_BYTES
		       : NULL;
}
