/* SPDX-License-Identifier: MIT
 *
 * Which way long messages go where nobody has said (ART_RDMA_LARGE=auto): the first ones in turn by write
 * and by read, then all of this rank's as they went faster. A device's answer holds for all its peers.
 *
 *   turn of writes --TURN_BYTES are back--> turn of reads --> ... --TURNS are over--> chosen
 *
 * Counted is the time in which something was out: what an application does between its operations is nobody's
 * fault. What is still out of the turn before when one begins is waited for, uncounted.
 */
#include "transport/rdma/rdma.h"

#define TURN_BYTES (4u << 20)
#define TURNS 6
#define BETTER 1.05 /* a read asks for a record of its own first: it must be worth that */

bool art__rdma_reads(const struct art_rdma *t, const struct art_rdma_conn *c)
{
	if (!c->reads)
		return false;
	if (t->dev.sges < 3) /* a device that cannot gather is read from */
		return true;
	return t->large == ART_RDMA_READ || (t->large == ART_RDMA_AUTO && t->trial.turns % 2 != 0);
}

static double speed(const struct art_rdma_trial *r, bool reads)
{
	return r->ns[reads] ? (double)r->bytes[reads] / (double)r->ns[reads] : 0;
}

static void choose(struct art_rdma *t)
{
	double writes = speed(&t->trial, false), reads = speed(&t->trial, true);

	t->large = reads > writes * BETTER ? ART_RDMA_READ : ART_RDMA_WRITE;
	t->n[t->large == ART_RDMA_READ ? ART_RDMA_N_CHOSE_READ : ART_RDMA_N_CHOSE_WRITE] = 1;
	art__env_log(t->env, ART_LOG_INFO, "RDMA device %s: long messages are %s: %.0f MB/s written, %.0f read",
		     t->dev.name, t->large == ART_RDMA_READ ? "read" : "written", writes * 1e3, reads * 1e3);
}

void art__rdma_trial_out(struct art_rdma *t, const struct art_rdma_conn *c, struct art_rdma_loan *loan,
			 size_t len)
{
	struct art_rdma_trial *r = &t->trial;

	/* Who cannot be asked for reads says nothing about them. */
	if (t->large != ART_RDMA_AUTO || !c->reads || t->dev.sges < 3)
		return;
	loan->turn = r->turns + 1;
	loan->bytes = len;
	if (r->out++ == 0)
		r->since = art__env_now(t->env);
}

/* The clock of a turn starts when nothing of another one is out. */
void art__rdma_trial_back(struct art_rdma *t, const struct art_rdma_loan *loan)
{
	struct art_rdma_trial *r = &t->trial;
	bool reads = r->turns % 2 != 0;
	uint64_t now;

	if (!loan->turn)
		return;
	r->out--;
	if (t->large != ART_RDMA_AUTO)
		return;
	now = art__env_now(t->env);
	if (loan->turn == r->turns + 1) {
		r->bytes[reads] += loan->bytes;
		r->ns[reads] += now - r->since;
		r->turn_bytes += loan->bytes;
	}
	r->since = now;
	if (r->turn_bytes < TURN_BYTES)
		return;
	r->turn_bytes = 0;
	if (++r->turns == TURNS)
		choose(t);
}
