/* SPDX-License-Identifier: MIT
 *
 * Two ends of an rdma transport in one program, on the double of libibverbs (verbs_double.h), with numbered
 * messages that are checked as they come. What the unit tests of that transport share.
 */
#ifndef ART_TESTS_LIB_RDMA_ENDS_H
#define ART_TESTS_LIB_RDMA_ENDS_H

#include <art/status.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/unit.h"
#include "tests/lib/verbs_double.h"
#include "transport/rdma/rdma.h"
#include "transport/tcp/tcp.h"

static uint64_t luck = 1;

static inline unsigned draw(unsigned bound)
{
	luck = luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(luck >> 33) % bound;
}

struct end {
	struct art_tp *tp;
	char addr[ART_TP_ADDR_MAX];
	uint64_t sent, got; /* messages, numbered */
	unsigned ups, downs;
	enum art_tp_why why;
	bool disorder;
	unsigned lent, returned; /* counted */
	uint8_t *buf;            /* [SLOTS] bodies that are lent */
	uint8_t *in;             /* [SLOTS] where bodies may be put */
	unsigned in_place;       /* so many came there */
};

#define SLOTS 24
#define BUF_BYTES (SLOTS * (size_t)ART_TP_BODY_MAX)

static struct end ends[2];
static bool places; /* bodies may be put where they go */
static unsigned warnings;
static uint64_t clock_stands; /* if not 0 */
static char warned[256];

static inline uint64_t now(void *self)
{
	struct timespec ts;

	(void)self;
	if (clock_stands)
		return clock_stands;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ART_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline void *get_memory(void *self, size_t n)
{
	(void)self;
	return malloc(n);
}

static inline void give_back(void *self, void *p)
{
	(void)self;
	free(p);
}

static inline void on_log(void *self, enum art_log_level level, const char *line)
{
	(void)self;
	if (level > ART_LOG_WARN)
		return;
	warnings++;
	strncpy(warned, line, sizeof(warned) - 1);
}

static const struct art_env env = {.now_ns = now, .alloc = get_memory, .free = give_back,
				   .log = on_log, .log_level = ART_LOG_WARN};

static inline int64_t body_len(void *self, const uint8_t *head)
{
	uint32_t len;

	(void)self;
	memcpy(&len, head + 16, sizeof(len));
	return len;
}

static bool answers; /* each message is answered at once */
static inline void send_one(int from, size_t len);

static inline void on_message(void *self, int peer, const uint8_t *head, const uint8_t *body, size_t len)
{
	struct end *e = self;
	uint64_t number;

	if (answers)
		send_one(1 - peer, 8);
	memcpy(&number, head + 8, sizeof(number));
	e->in_place += body == e->in + number % SLOTS * (size_t)ART_TP_BODY_MAX;
	e->disorder |= number != e->got;
	for (size_t i = 0; i < len; i++)
		e->disorder |= body[i] != (uint8_t)(number + i);
	e->got = number + 1;
}

static inline void on_room(void *self, int peer)
{
	(void)self;
	(void)peer;
}

static inline void on_up(void *self, int peer)
{
	(void)peer;
	((struct end *)self)->ups++;
}

static inline void on_down(void *self, int peer, enum art_tp_why why)
{
	(void)peer;
	((struct end *)self)->downs++;
	((struct end *)self)->why = why;
}

/* Most of them. */
static inline bool on_place(void *self, int peer, const uint8_t *head, size_t len, struct art_tp_place *out)
{
	struct end *e = self;
	uint64_t number;

	(void)peer;
	CU_ASSERT(len <= ART_TP_BODY_MAX && e->tp);
	memcpy(&number, head + 8, sizeof(number));
	*out = (struct art_tp_place){e->in, e->in, BUF_BYTES, e->in + number % SLOTS * (size_t)ART_TP_BODY_MAX};
	return places && number % 5;
}

static inline void on_returned(void *self, void *token)
{
	struct end *e = self;

	CU_ASSERT(token == e->buf && e->returned < e->lent);
	e->returned++;
}

static inline void fill_head(struct end *e, uint8_t head[ART_TP_HEAD], size_t len)
{
	uint32_t n = (uint32_t)len;

	memset(head, 0, ART_TP_HEAD);
	memcpy(head, "message", 7);
	memcpy(head + 8, &e->sent, sizeof(e->sent));
	memcpy(head + 16, &n, sizeof(n));
}

static inline void send_one(int from, size_t len)
{
	static uint8_t body[ART_TP_BODY_MAX + 1];
	uint8_t head[ART_TP_HEAD];
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	struct end *e = &ends[from];

	fill_head(e, head, len);
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(e->sent + i);
	CU_ASSERT_FATAL(e->tp->ops->send(e->tp, 1 - from, v, 2) >= 0);
	e->sent++;
}

static inline void turn(void)
{
	for (int i = 0; i < 2; i++)
		if (ends[i].tp)
			ends[i].tp->ops->poll(ends[i].tp, 16);
}

/* Lends a part of the end's buffer; the slot of the one before the last ones is free again, or waited for. */
static inline bool lend_one(int from, size_t len)
{
	struct end *e = &ends[from];
	struct art_tp_loan loan = {e->buf, e->buf, BUF_BYTES};
	uint8_t head[ART_TP_HEAD], *body = e->buf + e->lent % SLOTS * (size_t)ART_TP_BODY_MAX;
	struct iovec v[2] = {{head, sizeof(head)}, {body, len}};
	bool lent = false;

	for (long i = 0; e->lent - e->returned >= SLOTS && i < 1000000; i++)
		turn();
	CU_ASSERT_FATAL(e->lent - e->returned < SLOTS);
	fill_head(e, head, len);
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(e->sent + i);
	e->lent++; /* on_returned() may come before this call is over, for another one */
	CU_ASSERT_FATAL(e->tp->ops->lend(e->tp, 1 - from, v, &loan, &lent) >= 0);
	e->lent -= !lent;
	e->sent++;
	return lent;
}

static inline bool all_back(void)
{
	return ends[0].lent == ends[0].returned && ends[1].lent == ends[1].returned;
}

#define UNTIL(cond) \
	do { \
		uint64_t start_ = now(NULL); \
		while (!(cond) && now(NULL) - start_ < 30 * ART_NS_PER_S) \
			turn(); \
		CU_ASSERT_FATAL(cond); \
	} while (0)

static inline bool all_came(void)
{
	return ends[0].got == ends[1].sent && ends[1].got == ends[0].sent;
}

static inline uint64_t count(int end, enum art_rdma_count what)
{
	uint64_t n = 0;

	(void)art__rdma_count(ends[end].tp, what, &n);
	return n;
}

static enum art_rdma_large large = ART_RDMA_WRITE; /* of what is opened next */
static enum art_rdma_sharing shares;

static inline void begin(bool alone)
{
	static struct art_rdma_opts ro;
	struct art_tp_opts opts = {.security = ART_TP_MAC, .connect_ns = 2 * ART_NS_PER_S, .world = &ro};

	ro = (struct art_rdma_opts){.carrier = &art__tcp_ops, .alone = alone, .large = large, .sharing = shares};
	memset(ends, 0, sizeof(ends));
	warnings = 0;
	for (int i = 0; i < 2; i++) {
		struct art_tp_self self = {.slot = i, .size = 2, .job = 1, .incarnation = 1};
		struct art_tp_up up = {&ends[i], body_len, on_message, on_room, on_up, on_down, NULL,
				       on_returned, on_place};

		ends[i].buf = malloc(BUF_BYTES);
		ends[i].in = malloc(BUF_BYTES);
		CU_ASSERT_FATAL(art__rdma_ops.open(&env, &self, &opts, &up, &ends[i].tp) == 0);
		CU_ASSERT_FATAL(art__rdma_ops.listen(ends[i].tp, ends[i].addr) == 0);
	}
	for (int i = 0; i < 2; i++)
		CU_ASSERT_FATAL(art__rdma_ops.peer(ends[i].tp, 1 - i, ends[1 - i].addr) == 0);
}

/* Both write to each other's ring. */
static inline void move_to_rings(void)
{
	for (int i = 0; i < 1000 && !(count(0, ART_RDMA_N_UP) && count(1, ART_RDMA_N_UP)); i++) {
		send_one(0, 40);
		send_one(1, 40);
		UNTIL(all_came());
	}
	CU_ASSERT_FATAL(count(0, ART_RDMA_N_UP) == 1 && count(1, ART_RDMA_N_UP) == 1);
	send_one(0, 40);
	send_one(1, 40);
	UNTIL(all_came());
}

static inline void finish(void)
{
	for (int i = 0; i < 2; i++) {
		if (ends[i].tp)
			ends[i].tp->ops->close(ends[i].tp);
		free(ends[i].buf);
		free(ends[i].in);
	}
	places = answers = false;
	CU_ASSERT(verbs_double.registered == 0);
	verbs_double_reset(); /* nothing is open any more */
}

/* With this way for long messages, up to where each writes to the other's ring. */
static inline void begin_by(enum art_rdma_large way)
{
	large = way;
	begin(false);
	move_to_rings();
}

#endif
