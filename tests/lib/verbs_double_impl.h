/* SPDX-License-Identifier: MIT
 *
 * What the two halves of the double of libibverbs share: verbs_double.c has devices, memory and completion queues,
 * verbs_double_qp.c queue pairs, what they receive with, and what a device does with their work requests.
 */
#ifndef ART_TESTS_VERBS_DOUBLE_IMPL_H
#define ART_TESTS_VERBS_DOUBLE_IMPL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/verbs_double.h"

#define MRS 4096
#define GIDS 4
#define LID 77
#define REQUIRE(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "verbs double: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

struct mr {
	struct ibv_mr v;
	int access;
};

extern struct mr *verbs_double_mr[MRS]; /* by key */
extern bool verbs_double_port_down;
extern const uint8_t verbs_double_gid[GIDS][16];

/* Counts, and says no from the @from-th time on. */
bool verbs_double_refused(unsigned long *count, long from);
bool verbs_double_within(const struct ibv_mr *m, uint64_t addr, size_t len);
void verbs_double_complete(struct ibv_cq *cq, const struct ibv_wc *wc);

/* For the table of a context. */
int verbs_double_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int verbs_double_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
int verbs_double_post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);

#endif
