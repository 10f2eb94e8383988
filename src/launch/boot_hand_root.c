/* SPDX-License-Identifier: MIT
 *
 * Starting by hand, at rank 0: waits for the other ranks, tells strangers from them, makes the table.
 *
 *   accepted --> heard --HELLO, CHALLENGE--> asked --PROOF, WELCOME--> member --CARD--> came
 *       `------------`------------------------`--> dropped                `----- end: the job fails
 *
 * A stranger has 2 s and is not read beyond HELLO and PROOF. When all places for strangers are taken
 * a newcomer gets that of the one who has had his longest, if that is long enough for a rank; so who
 * opens connections and says nothing delays ranks, but keeps none out. Strangers are counted, never
 * named: they may be many.
 *
 * Whoever has proven to have the key is believed.
 */
#include <art/status.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/set.h"
#include "launch/boot_hand.h"

#define STRANGERS 64
#define STRANGER_NS (2 * ART_NS_PER_S)
#define CROWD_NS (100 * ART_NS_PER_MS) /* nobody has to leave earlier */
#define FULL_NS (50 * ART_NS_PER_MS)   /* without descriptors or memory: then try again */
#define DELIVER_NS (10 * ART_NS_PER_S)

enum state { HEARD, ASKED, MEMBER, CAME };

struct guest {
	int fd; /* -1: none */
	enum state state;
	int rank, size;     /* as it says */
	uint64_t since_ns;
	uint8_t hello[ART_HAND_HELLO];
	struct art_hand_session session;
	uint8_t in[ART_HAND_CARD];
	size_t have;
	size_t sent;        /* of the table */
};

struct meeting {
	struct art_boot *b;
	struct art_hand *h;
	struct guest stranger[STRANGERS];
	struct guest *member;         /* [size] */
	struct art_hand_member *said; /* [size] */
	bool *come;                   /* [size] */
	struct pollfd *poll;          /* [1 + STRANGERS + size] */
	int cards;
	int never;                    /* a rank that came and went, or -1 */
	int odd, odd_size, taken;     /* ranks refused for another ART_SIZE, or a place that is taken */
	uint64_t accept_ns;           /* not before then */
	int accept_errno;
};

static void leave(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	explicit_bzero(&g->session, sizeof(g->session));
}

static void drop(struct meeting *m, struct guest *g)
{
	m->b->strangers++;
	leave(g);
}

/* A short answer always finds room in a connection on which nothing has been sent before. */
static bool answer(const struct guest *g, const uint8_t *msg, size_t len)
{
	return send(g->fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

/* ---- strangers ---- */
static bool on_hello(struct meeting *m, struct guest *g)
{
	uint8_t challenge[ART_HAND_CHALLENGE], nonce[16];

	if (!art__hand_hello_get(g->in, &g->rank, &g->size) ||
	    art__boot_random(nonce, sizeof(nonce)))
		return false;
	memcpy(g->hello, g->in, sizeof(g->hello));
	art__hand_challenge_put(challenge, m->h->key, g->hello, m->h->nonce, nonce, &g->session);
	g->state = ASKED;
	g->have = 0;
	return answer(g, challenge, sizeof(challenge));
}

static enum art_hand_verdict judge(struct meeting *m, const struct guest *g)
{
	if (g->size != m->b->size) {
		m->odd = g->rank;
		m->odd_size = g->size;
		return ART_HAND_SIZE;
	}
	if (m->member[g->rank].fd >= 0) {
		m->taken = g->rank;
		return ART_HAND_TAKEN;
	}
	return ART_HAND_GOOD;
}

static void on_proof(struct meeting *m, struct guest *g)
{
	uint8_t welcome[ART_HAND_WELCOME];
	enum art_hand_verdict verdict;

	if (art__hand_proof_get(g->in, &g->session) != ART_HAND_OK) {
		drop(m, g);
		return;
	}
	verdict = judge(m, g);
	art__hand_welcome_put(welcome, &g->session, verdict, m->b->size);
	if (!answer(g, welcome, sizeof(welcome)) || verdict != ART_HAND_GOOD) {
		leave(g);
		return;
	}
	g->state = MEMBER;
	g->have = 0;
	m->member[g->rank] = *g;
	g->fd = -1;
}

/* What has come is looked at as it comes, so that noise ends at its first byte. */
static void hear(struct meeting *m, struct guest *g)
{
	enum art_hand_kind kind = g->state == HEARD ? ART_HAND_K_HELLO : ART_HAND_K_PROOF;
	size_t need = g->state == HEARD ? ART_HAND_HELLO : ART_HAND_PROOF;
	int r = art__hand_fill(g->fd, g->in, &g->have, need);

	if (r < 0 || art__hand_prefix_check(g->in, g->have, kind) != ART_HAND_OK)
		drop(m, g);
	else if (r > 0 && g->state == ASKED)
		on_proof(m, g);
	else if (r > 0 && !on_hello(m, g))
		drop(m, g);
}

static struct guest *oldest(struct meeting *m)
{
	struct guest *o = NULL;

	for (int i = 0; i < STRANGERS; i++)
		if (m->stranger[i].fd >= 0 && (!o || m->stranger[i].since_ns < o->since_ns))
			o = &m->stranger[i];
	return o;
}

/* A free place, or that of one who has had his long enough, or NULL and accept_ns says when. */
static struct guest *place(struct meeting *m, uint64_t now_ns)
{
	struct guest *g = NULL;

	for (int i = 0; i < STRANGERS && !g; i++)
		if (m->stranger[i].fd < 0)
			g = &m->stranger[i];
	if (g)
		return g;
	g = oldest(m);
	if (now_ns < g->since_ns + CROWD_NS) {
		m->accept_ns = g->since_ns + CROWD_NS;
		return NULL;
	}
	drop(m, g);
	return g;
}

static void let_in(struct meeting *m, uint64_t now_ns)
{
	for (int i = 0; i < STRANGERS; i++) { /* and then look at those who are in */
		struct guest *g = place(m, now_ns);
		int fd, one = 1;

		if (!g)
			return;
		fd = accept4(m->h->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			       errno == ENOMEM)) {
			m->accept_errno = errno;
			m->accept_ns = now_ns + FULL_NS;
		}
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		*g = (struct guest){ .fd = fd, .state = HEARD, .since_ns = now_ns };
	}
}

/* ---- members ---- */
static void on_card(struct meeting *m, struct guest *g)
{
	struct art_hand_member *said = &m->said[g->rank];

	if (art__hand_card_get(g->in, &g->session, said) != ART_HAND_OK) {
		m->never = g->rank; /* altered on its way: there is no telling by whom */
		return;
	}
	g->state = CAME;
	m->come[g->rank] = true;
	m->cards++;
}

static void listen_to(struct meeting *m, struct guest *g)
{
	uint8_t more;
	size_t none = 0;

	if (g->state == CAME) { /* it has nothing more to say */
		if (art__hand_fill(g->fd, &more, &none, 1) != 0)
			m->never = g->rank;
		return;
	}
	switch (art__hand_fill(g->fd, g->in, &g->have, sizeof(g->in))) {
	case 1:
		on_card(m, g);
		break;
	case -1:
		m->never = g->rank;
		break;
	}
}

/* ---- the meeting ---- */
static void watch(struct pollfd *p, const struct guest *g, uint64_t *wake_ns)
{
	*p = (struct pollfd){ .fd = g->fd, .events = POLLIN };
	if (g->fd >= 0 && g->state < MEMBER && g->since_ns + STRANGER_NS < *wake_ns)
		*wake_ns = g->since_ns + STRANGER_NS;
}

static void await_news(struct meeting *m)
{
	uint64_t wake_ns = m->h->deadline_ns;
	bool may_accept = art__hand_now() >= m->accept_ns;
	struct pollfd *p = m->poll;

	*p++ = (struct pollfd){ .fd = may_accept ? m->h->fd : -1, .events = POLLIN };
	if (!may_accept && m->accept_ns < wake_ns)
		wake_ns = m->accept_ns;
	for (int i = 0; i < STRANGERS; i++)
		watch(p++, &m->stranger[i], &wake_ns);
	for (int i = 0; i < m->b->size; i++)
		watch(p++, &m->member[i], &wake_ns);
	if (poll(m->poll, (nfds_t)(p - m->poll), art__hand_ms_until(wake_ns)) < 0)
		for (p = m->poll; p <= &m->poll[STRANGERS + m->b->size]; p++)
			p->revents = 0;
}

/* Members first: a stranger may become one meanwhile, whom this poll() knows nothing about. */
static void handle_news(struct meeting *m)
{
	const struct pollfd *stranger = &m->poll[1], *member = &m->poll[1 + STRANGERS];
	uint64_t now_ns = art__hand_now();

	for (int i = 0; i < m->b->size && m->never < 0; i++)
		if (member[i].revents)
			listen_to(m, &m->member[i]);
	for (int i = 0; i < STRANGERS; i++) {
		struct guest *g = &m->stranger[i];

		if (g->fd >= 0 && stranger[i].revents)
			hear(m, g);
		if (g->fd >= 0 && now_ns >= g->since_ns + STRANGER_NS)
			drop(m, g);
	}
	if (m->poll[0].revents)
		let_in(m, now_ns);
}

/* Tells everyone who has come, and says it here. */
static int fail(struct meeting *m, const char *text)
{
	uint8_t msg[ART_HAND_FAILED];

	for (int i = 0; i < m->b->size; i++) {
		if (m->member[i].fd < 0)
			continue;
		art__hand_failed_put(msg, &m->member[i].session, text);
		answer(&m->member[i], msg, sizeof(msg));
	}
	return art__boot_fail(m->b, ART_ERR_PROC_FAILED, "%s", text);
}

/* Names the ranks, and whatever was seen that may explain their absence. */
static int give_up(struct meeting *m)
{
	char who[60], hint[120] = "", text[ART_HAND_TEXT];

	if (m->odd >= 0)
		snprintf(hint, sizeof(hint), "; a rank %d was refused because its ART_SIZE is %d, "
			 "not %d", m->odd, m->odd_size, m->b->size);
	else if (m->taken >= 0)
		snprintf(hint, sizeof(hint), "; a second rank %d was refused", m->taken);
	else if (m->accept_errno)
		snprintf(hint, sizeof(hint), "; rank 0: %s", strerror(m->accept_errno));
	else if (m->b->strangers)
		snprintf(hint, sizeof(hint), "; %llu connections did not prove to have the key",
			 (unsigned long long)m->b->strangers);
	art__hand_missing(m->come, m->b->size, who, sizeof(who));
	snprintf(text, sizeof(text), "%s of %d did not come to rank 0 within %g s%s", who, m->b->size,
		 (double)m->b->wait_ns / 1e9, hint);
	return fail(m, text);
}

static int gather(struct meeting *m)
{
	char text[ART_HAND_TEXT];

	while (m->cards < m->b->size) {
		await_news(m);
		handle_news(m);
		if (m->never >= 0) {
			snprintf(text, sizeof(text), "rank %d ended before all ranks had come",
				 m->never);
			return fail(m, text);
		}
		if (m->cards < m->b->size && art__hand_now() >= m->h->deadline_ns)
			return give_up(m);
	}
	return 0;
}

static int fill_table(struct meeting *m, struct art_boot_card *all)
{
	int size = m->b->size, *number = calloc((size_t)size, sizeof(*number));
	struct art_host_id *id = calloc((size_t)size, sizeof(*id));

	if (number && id) {
		for (int i = 0; i < size; i++) {
			id[i] = m->said[i].id;
			all[i] = m->said[i].card;
		}
		art__host_id_number(id, (size_t)size, number);
		for (int i = 0; i < size; i++)
			all[i].host = number[i];
	}
	free(id);
	free(number);
	return number && id ? 0 : fail(m, "rank 0 is out of memory");
}

/* As much of the table, and of the MAC behind it, as the connection takes. True: no more to do. The
 * MAC is made when its turn has come: it costs a look at the whole table for each member. */
static bool send_table(const struct meeting *m, struct guest *g, const uint8_t *t)
{
	size_t len = ART_HAND_TABLE(m->b->size) - ART_HAND_MAC;
	uint8_t mac[ART_HAND_MAC];

	while (g->sent < len + ART_HAND_MAC) {
		size_t at = g->sent;
		ssize_t n;

		if (at < len) {
			n = send(g->fd, t + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
		} else {
			art__hand_table_mac(t, m->b->size, &g->session, mac);
			n = send(g->fd, mac + (at - len), len + ART_HAND_MAC - at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		if (n > 0)
			g->sent += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		else if (errno != EINTR)
			return true; /* it is lost, which the job that begins will find out */
	}
	return true;
}

static void deliver(struct meeting *m, const uint8_t *t)
{
	uint64_t until_ns = art__hand_now() + DELIVER_NS;
	int left;

	do {
		left = 0;
		for (int i = 0; i < m->b->size; i++) {
			struct guest *g = &m->member[i];

			m->poll[i] = (struct pollfd){ .fd = -1 };
			if (g->fd < 0)
				continue;
			if (send_table(m, g, t)) {
				leave(g);
				continue;
			}
			m->poll[i] = (struct pollfd){ .fd = g->fd, .events = POLLOUT };
			left++;
		}
		if (left)
			poll(m->poll, (nfds_t)m->b->size, art__hand_ms_until(until_ns));
	} while (left && art__hand_now() < until_ns);
}

static int hold(struct meeting *m, const struct art_hand_member *mine, struct art_boot_card *all)
{
	uint8_t *t = malloc(ART_HAND_TABLE(m->b->size));
	int err;

	if (!t)
		return fail(m, "rank 0 is out of memory");
	m->said[0] = *mine;
	m->come[0] = true;
	m->cards = 1;
	err = gather(m);
	if (m->h->fd >= 0)
		close(m->h->fd);
	m->h->fd = -1;
	if (!err)
		err = fill_table(m, all);
	if (!err) {
		art__hand_table_put(t, all, m->b->size);
		deliver(m, t);
	}
	free(t);
	return err;
}

int art__hand_root_exchange(struct art_boot *b, struct art_hand *h,
			    const struct art_hand_member *mine, struct art_boot_card *all)
{
	struct meeting *m = calloc(1, sizeof(*m));
	size_t n = (size_t)b->size;
	int err = ART_ERR_NOMEM;

	if (!m)
		return art__boot_fail(b, err, "out of memory");
	m->b = b;
	m->h = h;
	m->never = m->odd = m->taken = -1;
	m->member = calloc(n, sizeof(*m->member));
	m->said = calloc(n, sizeof(*m->said));
	m->come = calloc(n, sizeof(*m->come));
	m->poll = calloc(1 + STRANGERS + n, sizeof(*m->poll));
	for (int i = 0; i < STRANGERS; i++)
		m->stranger[i].fd = -1;
	for (size_t i = 0; i < n && m->member; i++)
		m->member[i].fd = -1;
	if (m->member && m->said && m->come && m->poll)
		err = hold(m, mine, all);
	else
		art__boot_fail(b, err, "out of memory");
	for (int i = 0; i < STRANGERS; i++)
		leave(&m->stranger[i]);
	for (size_t i = 0; i < n && m->member; i++)
		leave(&m->member[i]);
	free(m->poll);
	free(m->come);
	free(m->said);
	free(m->member);
	free(m);
	return err;
}

int art__hand_root_open(struct art_boot *b, struct art_hand *h)
{
	int one = 1, fd;

	if (art__boot_random(h->nonce, sizeof(h->nonce)))
		return art__boot_fail(b, ART_ERR_INTERNAL, "the system gives no random numbers");
	if (b->size == 1)
		return 0;
	h->fd = fd = socket(h->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&h->at, h->at_len) || listen(fd, SOMAXCONN))
		return art__boot_fail(b, ART_ERR_TRANSPORT, "rank 0 cannot wait for the others at "
				      "ART_ROOT=%s: %s", h->root, strerror(errno));
	return 0;
}
