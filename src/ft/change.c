/* SPDX-License-Identifier: MIT
 *
 * The acceptor's half of a view change, and everything that starts one.
 *
 *   running --PREPARE b--> frozen(b) --ACCEPT b--> accepted(b) --DECIDED b--> installed = running
 *                            ^  |                     |
 *                            +--+--PREPARE b' > b-----+        (frozen is sticky: only an
 *                                                               install ends it)
 *
 * Two points that look like details and are not: the deaths D are fixed when a ballot is
 * prepared, and nothing that a rank said before its certified death counts any more once the
 * certificate is known here - a PREPARE brings the certificates that its quorum rests on. So a
 * late DECIDED of a quorum that has died since cannot meet the decision of its survivors.
 * (ARCHITECTURE.md, "DECIDED and promises".)
 */
#include <art/status.h>

#include "base/marks.h"
#include "ft/ft.h"

int art__ft_init(struct art_ft *ft, const struct art_env *env, const struct art_ft_client *client,
		 int slot, uint32_t size, uint64_t retry_ns, uint64_t quorum_wait_ns,
		 uint64_t mutant)
{
	memset(ft, 0, sizeof(*ft));
	ft->env = env;
	ft->client = *client;
	ft->slot = slot;
	ft->size = size;
	ft->mutant = mutant;
	ft->retry_ns = retry_ns;
	ft->quorum_wait_ns = quorum_wait_ns;
	ft->takeover_ns = ft->request_ns = ART_NEVER;
	art__ft_levels_init(ft);
	art__set_fill(&ft->view.members, size);
	art__set_init(&ft->dead, size);
	art__set_init(&ft->suspect, size);
	ft->lost_epoch = art__env_zalloc(env, size * sizeof(*ft->lost_epoch));
	return ft->lost_epoch ? 0 : ART_ERR_NOMEM;
}

void art__ft_fini(struct art_ft *ft)
{
	art__ft_prop_stop(ft);
	art__ft_levels_stop(ft);
	art__acceptor_reset(ft->env, &ft->acc);
	art__blob_free(ft->env, &ft->last);
	art__env_free(ft->env, ft->frozen_named);
	art__env_free(ft->env, ft->wanted);
	art__env_free(ft->env, ft->lost_epoch);
}

size_t art__ft_bytes(const struct art_ft *ft)
{
	return ft->size * sizeof(*ft->lost_epoch) + ft->acc.value.len + ft->last.len +
	       ft->prop.best.len + ft->gather.w.cap + (ft->nfrozen_named + ft->nwanted) * sizeof(struct art_named) +
	       ft->prop.flush.cap_line * sizeof(struct art_line) +
	       ft->prop.flush.nline * sizeof(struct art_set) +
	       ft->prop.flush.cap_cline * sizeof(struct art_cline) +
	       (ft->prop.flush.by_line.cap + ft->prop.flush.by_comm.cap) * sizeof(uint32_t);
}

static bool suspects_members(const struct art_ft *ft)
{
	return art__set_meets(&ft->suspect, &ft->view.members);
}

bool art__ft_needed(const struct art_ft *ft)
{
	return suspects_members(ft) || ft->relink || ft->nwanted || ft->acc.promised;
}

/* The lowest member that nobody told us to distrust. */
int art__ft_leader(const struct art_ft *ft)
{
	ART_SET_EACH(i, &ft->view.members)
		if (!art__set_has(&ft->suspect, i))
			return (int)i;
	return ft->slot;
}

bool art__ft_named_frozen(const struct art_ft *ft, uint64_t comm, uint64_t seq)
{
	for (uint32_t i = 0; i < ft->nfrozen_named; i++)
		if (ft->frozen_named[i].comm == comm && ft->frozen_named[i].seq == seq)
			return true;
	return false;
}

void art__ft_give_up(struct art_ft *ft, int code)
{
	if (ft->fate)
		return;
	ft->fate = code;
	art__ft_prop_stop(ft);
	art__ft_levels_stop(ft);
	ft->takeover_ns = ft->request_ns = ART_NEVER;
	ART_MARK(ft->env, code == ART_ERR_EVICTED ? ART_M_SELF_EVICTED : ART_M_NO_QUORUM);
	ft->client.fate(ft->client.self, code);
}

/* What was asked of this rank could not be done for lack of memory. Others try again, and wait for
 * this rank: not for ever. */
void art__ft_shortage(struct art_ft *ft)
{
	if (++ft->shortages >= ART_SHORTAGES_MAX)
		art__ft_give_up(ft, ART_ERR_NOMEM);
}

/* ---- asking for a change ---- */

/* To a suspect without our suspicions: where there is no quorum nobody else is to adopt them. */
static void send_request(struct art_ft *ft, int to)
{
	struct art_wbuf w = { 0 };
	struct art_set none;

	art__set_init(&none, ft->size);
	if (art__ft_room(ft->env, &w, 8 + ft->view.members.words * 16 + art__ft_acted_bytes(ft))) {
		art__w_u8(&w, ft->relink);
		art__w_set(&w, art__set_has(&ft->suspect, (uint32_t)to) ? &none : &ft->suspect);
		art__w_set(&w, &ft->dead);
		art__ft_acted_write(ft, &w);
		art__w_u32(&w, ft->nwanted);
		for (uint32_t i = 0; i < ft->nwanted; i++)
			art__named_encode(ft->env, &ft->wanted[i], &w);
		if (!w.bad)
			ft->client.ctl(ft->client.self, to, ART_K_REQUEST, ft->view.epoch, w.p,
				       w.len);
	}
	art__env_free(ft->env, w.p);
}

void art__ft_ask_view(struct art_ft *ft, int to)
{
	if (!ft->fate)
		send_request(ft, to);
}

/* Without a quorum there is nothing to propose. Our side is told why; those we suspect are asked
 * again and again, so that after a healed partition we learn what was decided without us. */
static bool stuck(struct art_ft *ft, uint64_t now)
{
	struct art_set m;
	bool quorum, arbiter;

	art__set_copy(&m, &ft->view.members);
	art__set_minus(&m, &ft->suspect);
	quorum = art__ft_enough(ft, &m, &ft->dead);
	arbiter = art__ft_arbiter_counts(ft, &m); /* which may not answer */
	if (quorum && !ft->trusted)
		ft->stuck_ns = 0;
	else if (!quorum && !ft->stuck_ns)
		ft->stuck_ns = now ? now : 1;
	if (ft->stuck_ns && now - ft->stuck_ns >= ft->quorum_wait_ns) {
		art__ft_give_up(ft, ART_ERR_NO_QUORUM);
		return true;
	}
	if (quorum || (arbiter && !ft->trusted))
		return false;
	if (ft->request_ns == ART_NEVER || now >= ft->request_ns) {
		ART_SET_EACH(i, &ft->view.members)
			if ((int)i != ft->slot && !art__set_has(&ft->dead, i))
				send_request(ft, (int)i);
		ft->request_ns = now + 8 * ft->retry_ns;
	}
	if (arbiter) /* it waits for those who may be heard again, and asks them */
		return false;
	ft->takeover_ns = ft->request_ns;
	if (ft->stuck_ns + ft->quorum_wait_ns < ft->takeover_ns)
		ft->takeover_ns = ft->stuck_ns + ft->quorum_wait_ns;
	return true;
}

/* How long this rank leaves a change to others: longer the higher its number, with some chance,
 * so that two do not keep meeting. */
static uint64_t patience(const struct art_ft *ft)
{
	uint64_t below = 0;

	ART_SET_EACH(i, &ft->view.members)
		if ((int)i < ft->slot && !art__set_has(&ft->suspect, i) && below < 16)
			below++;
	return ft->retry_ns * (4 + 2 * below) + ft->env->random(ft->env->self) % ft->retry_ns;
}

/* Somebody else's ballot is under way, and that somebody is not known to be gone. */
static bool others_at_it(const struct art_ft *ft)
{
	int by;

	if (!ft->acc.promised)
		return false;
	by = (int)((ft->acc.promised - 1) % ft->size);
	return by != ft->slot && !art__set_has(&ft->suspect, (uint32_t)by);
}

/* The ballot under way here already says all we know. */
static bool up_to_date(const struct art_ft *ft)
{
	struct art_set m;

	if (!ft->prop.active)
		return false;
	art__set_copy(&m, &ft->view.members);
	art__set_minus(&m, &ft->suspect);
	return art__set_equal(&m, &ft->prop.members) &&
	       art__set_subset(&ft->dead, &ft->prop.dead);
}

/* At once if there is news for it; what it must know already it is told if nothing comes of it. */
static void ask_leader(struct art_ft *ft, uint64_t now)
{
	int leader = art__ft_leader(ft);

	if (ft->request_ns == ART_NEVER && !ft->relink && !ft->nwanted &&
	    ft->client.knows(ft->client.self, leader)) {
		ft->request_ns = now + ft->retry_ns / 4;
		return;
	}
	if (ft->request_ns != ART_NEVER && now < ft->request_ns)
		return;
	send_request(ft, leader);
	ft->request_ns = now + 2 * ft->retry_ns;
}

void art__ft_consider(struct art_ft *ft)
{
	uint64_t now;

	if (ft->fate || ft->installing)
		return;
	if (!art__ft_needed(ft)) {
		ft->takeover_ns = ft->request_ns = ART_NEVER;
		ft->stuck_ns = 0;
		return;
	}
	now = art__env_now(ft->env);
	if (stuck(ft, now))
		return;
	if (ft->finalizing && !ft->acc.promised && ft->takeover_ns == ART_NEVER) {
		/* whoever left may have finalized: its goodbye may still be on the way */
		ft->takeover_ns = now + (art__ft_leader(ft) == ft->slot ? ft->retry_ns / 2 :
									   patience(ft));
		return;
	}
	if (up_to_date(ft))
		return;
	if (art__ft_leader(ft) == ft->slot && !others_at_it(ft) && !ft->finalizing) {
		art__ft_propose(ft);
		return;
	}
	if (art__ft_leader(ft) != ft->slot)
		ask_leader(ft, now);
	if (ft->takeover_ns == ART_NEVER)
		ft->takeover_ns = now + patience(ft);
}

void art__ft_suspect(struct art_ft *ft, int slot)
{
	if (slot == ft->slot || art__set_has(&ft->suspect, (uint32_t)slot))
		return;
	art__set_add(&ft->suspect, (uint32_t)slot);
	if (!art__set_has(&ft->view.members, (uint32_t)slot))
		return;
	ft->request_ns = ART_NEVER;
	art__ft_consider(ft);
}

void art__ft_suspect_all(struct art_ft *ft, const struct art_set *slots)
{
	struct art_set news;

	art__set_copy(&news, slots);
	art__set_minus(&news, &ft->suspect);
	art__set_del(&news, (uint32_t)ft->slot);
	art__set_or(&ft->suspect, &news);
	if (!art__set_meets(&news, &ft->view.members))
		return;
	ft->request_ns = ART_NEVER;
	art__ft_consider(ft);
}

/* On the arbiter alone, which may never answer; a ballot under way may yet be decided, or the next has
 * more members. */
static bool hangs(const struct art_ft *ft)
{
	struct art_set m;

	art__set_copy(&m, &ft->view.members);
	art__set_minus(&m, &ft->suspect);
	return art__ft_arbiter_counts(ft, &m) && !art__ft_enough(ft, &m, &ft->dead);
}

/* No quorum without it, and it speaks: the network has healed before anything was decided. Others
 * will be heard, too; a change waits for them a little. */
static bool trust(struct art_ft *ft, int slot)
{
	if (!ft->stuck_ns || (ft->frozen && !hangs(ft)) || !art__set_has(&ft->suspect, (uint32_t)slot) ||
	    art__set_has(&ft->dead, (uint32_t)slot))
		return false;
	ART_MARK(ft->env, ART_M_TRUST_AGAIN);
	art__env_log(ft->env, ART_LOG_INFO, "rank %d is heard again before anything was decided", slot);
	art__set_del(&ft->suspect, (uint32_t)slot);
	if (!ft->trusted || ft->takeover_ns == ART_NEVER)
		ft->takeover_ns = art__env_now(ft->env) + 10 * ft->retry_ns;
	ft->trusted = true;
	return true;
}

bool art__ft_awaited(const struct art_ft *ft, struct art_set *out)
{
	const struct art_proposal *p = &ft->prop;

	if (ft->fate || !art__ft_needed(ft))
		return false;
	art__set_init(out, ft->size);
	if (p->active) {
		art__set_copy(out, &p->members);
		art__set_minus(out, p->accepting ? &p->accepted : &p->promised);
	} else {
		art__set_add(out, (uint32_t)art__ft_leader(ft));
	}
	art__set_minus(out, &ft->suspect);
	art__set_del(out, (uint32_t)ft->slot);
	return !art__set_empty(out);
}

void art__ft_relink(struct art_ft *ft)
{
	if (ft->relink)
		return;
	ft->relink = true;
	ft->request_ns = ART_NEVER;
	art__ft_consider(ft);
}

static bool add_wanted(struct art_ft *ft, const struct art_named *n)
{
	struct art_named *p;

	for (uint32_t i = 0; i < ft->nwanted; i++)
		if (ft->wanted[i].comm == n->comm && ft->wanted[i].seq == n->seq)
			return true;
	if (ft->nwanted == ART_NAMED_MAX)
		return false; /* it will be asked for again */
	p = art__env_alloc(ft->env, (ft->nwanted + 1) * sizeof(*p));
	if (!p)
		return false;
	if (ft->nwanted)
		memcpy(p, ft->wanted, ft->nwanted * sizeof(*p));
	art__env_free(ft->env, ft->wanted);
	ft->wanted = p;
	ft->wanted[ft->nwanted++] = *n;
	return true;
}

bool art__ft_decide(struct art_ft *ft, const struct art_named *n)
{
	if (ft->fate)
		return true;
	if (!add_wanted(ft, n))
		return false;
	ft->request_ns = ART_NEVER;
	art__ft_consider(ft);
	return true;
}

/* A named decision is the answer to every request about the ops it froze, whatever it says. */
static void drop_answered(struct art_ft *ft)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ft->nwanted; i++)
		if (!art__ft_op_frozen(ft, ft->wanted[i].comm, ft->wanted[i].seq))
			ft->wanted[n++] = ft->wanted[i];
	ft->nwanted = n;
}

static void prune_wanted(struct art_ft *ft)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ft->nwanted; i++)
		if (ft->client.wanted(ft->client.self, &ft->wanted[i]))
			ft->wanted[n++] = ft->wanted[i];
	ft->nwanted = n;
}

/* ---- messages ---- */

void art__ft_send_decided(struct art_ft *ft, int to)
{
	struct art_wbuf w = { 0 };

	if (ft->last.p && art__ft_room(ft->env, &w, 4 + ft->last.len)) {
		art__w_u32(&w, ft->last_ballot);
		art__w_bytes(&w, ft->last.p, ft->last.len);
		ft->client.ctl(ft->client.self, to, ART_K_DECIDED, ft->view.epoch, w.p, w.len);
	}
	art__env_free(ft->env, w.p);
}

static void on_request(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	bool relink = art__r_u8(r);
	struct art_set suspect, dead;
	struct art_acted acted;
	struct art_named n;
	uint32_t count;

	art__r_set(r, ft->size, &suspect);
	art__r_set(r, ft->size, &dead);
	art__ft_acted_read(ft, r, &acted);
	count = art__r_u32(r);
	if (r->bad)
		return;
	art__ft_acted(ft, acted.epoch, &acted.members);
	if (ft->fate)
		return;
	if (epoch < ft->view.epoch)
		art__ft_send_decided(ft, from);
	else if (trust(ft, from))
		return;
	art__set_del(&suspect, (uint32_t)ft->slot);
	art__set_del(&dead, (uint32_t)ft->slot);
	art__set_or(&ft->dead, &dead);
	if (epoch == ft->view.epoch)
		art__set_or(&ft->suspect, &suspect); /* of another view: they may be stale */
	art__set_or(&ft->suspect, &dead);
	if (relink && epoch == ft->view.epoch)
		ft->relink = true;
	for (uint32_t i = 0; i < count && !r->bad; i++) {
		art__named_decode(r, ft->size, &n);
		if (!r->bad && ft->client.wanted(ft->client.self, &n))
			add_wanted(ft, &n);
	}
	art__ft_consider(ft);
}

static void send_nack(struct art_ft *ft, int to)
{
	uint8_t b[8];
	struct art_wbuf w = { .p = b, .cap = sizeof(b) };

	art__w_u32(&w, ft->acc.promised);
	ft->client.ctl(ft->client.self, to, ART_K_NACK, ft->view.epoch, b, w.len);
}

static void send_promise(struct art_ft *ft, int to, uint32_t ballot, uint32_t epoch,
			 const struct art_set *m)
{
	struct art_wbuf w = { 0 };
	struct art_flush f = { 0 };
	bool installed = epoch == ft->view.epoch;
	const struct art_blob *v = installed ? &ft->last : &ft->acc.value;
	bool ok = true;

	if (!installed)
		ok = ft->client.report(ft->client.self, ft->frozen, m, ft->frozen_named,
				       ft->nfrozen_named, &f);
	ok = ok && art__ft_room(ft->env, &w, 32 + v->len);
	if (ok) {
		art__w_u32(&w, ballot);
		art__w_u32(&w, installed ? UINT32_MAX : ft->acc.accepted);
		art__w_u32(&w, (uint32_t)v->len);
		art__w_bytes(&w, v->p, v->len);
		art__w_u32(&w, f.nline);
		art__w_u32(&w, f.ncline);
	}
	for (uint32_t i = 0; i < f.nline && ok; i++)
		ok = art__line_encode(ft->env, &f.line[i], &w);
	for (uint32_t i = 0; i < f.ncline && ok; i++)
		ok = art__cline_encode(ft->env, &f.cline[i], &w);
	if (ok && art__edges_encode(ft->env, &f.edges, &w))
		art__ft_answer(ft, to, ART_K_PROMISE, epoch, w.p, w.len);
	else
		art__ft_shortage(ft);
	art__flush_free(ft->env, &f);
	art__env_free(ft->env, w.p);
}

/* Freeze for a ballot; sticky, and a full freeze is not narrowed by a named one. */
static void freeze(struct art_ft *ft, bool full, struct art_named *named, uint32_t n)
{
	if (full)
		ft->frozen = true;
	if (n) {
		uint32_t keep = ft->nfrozen_named;
		struct art_named *p = NULL;

		if (keep + n <= 4 * ART_NAMED_MAX)
			p = art__env_alloc(ft->env, (keep + n) * sizeof(*p));

		if (!p) {
			ft->frozen = true; /* more than asked for, and always safe */
			n = 0;
		} else {
			if (keep)
				memcpy(p, ft->frozen_named, keep * sizeof(*p));
			for (uint32_t i = 0; i < n; i++)
				if (!art__ft_op_frozen(ft, named[i].comm, named[i].seq))
					p[keep++] = named[i];
			art__env_free(ft->env, ft->frozen_named);
			ft->frozen_named = p;
			ft->nfrozen_named = keep;
		}
	}
	if (ft->frozen && !ART_FT_MUTANT(ft, 3))
		ft->client.freeze(ft->client.self);
}

static struct art_named *read_named(struct art_ft *ft, struct art_rbuf *r, uint32_t *n)
{
	struct art_named *p = NULL;

	*n = art__r_u32(r);
	if (r->bad || *n > ART_NAMED_MAX)
		r->bad = true;
	else if (*n)
		p = art__env_alloc(ft->env, *n * sizeof(*p));
	if (*n && !p)
		r->bad = true;
	for (uint32_t i = 0; i < *n && !r->bad; i++)
		art__named_decode(r, ft->size, &p[i]);
	return p;
}

/* Own side of a ballot, the proposer's included: fence who leaves, freeze. */
static void promise(struct art_ft *ft, uint32_t ballot, bool full, const struct art_set *m,
		    struct art_named *named, uint32_t n)
{
	art__acceptor_promise(&ft->acc, ballot);
	if (ballot > ft->ballot_seen)
		ft->ballot_seen = ballot;
	ART_SET_EACH(i, &ft->view.members)
		if (!art__set_has(m, i))
			ft->client.fence(ft->client.self, (int)i, false);
	freeze(ft, full, named, n);
	ft->client.step(ft->client.self, "frozen");
}

/* Ballots are handed out in turn: 1 to slot 0, 2 to slot 1, ... and none is so high that it could
 * not be topped. */
static bool ballot_of(const struct art_ft *ft, uint32_t ballot, int from)
{
	return ballot && ballot < ART_BALLOT_MAX && (int)((ballot - 1) % ft->size) == from;
}

/* Who would bring what comes next may be lost. So much sooner than the takeover the proposer is asked: it
 * may have decided since. */
static void ask_again(struct art_ft *ft, uint32_t retries)
{
	uint64_t at = art__env_now(ft->env) + retries * ft->retry_ns;

	if (ft->via >= 0 && at < ft->request_ns)
		ft->request_ns = at;
}

/* A ballot is under way that counts on somebody who, we know, must leave. */
static void object(struct art_ft *ft, int to, const struct art_set *m)
{
	struct art_set left;

	if (!art__set_meets(m, &ft->suspect))
		return;
	art__set_copy(&left, &ft->view.members);
	art__set_minus(&left, &ft->suspect);
	if (art__ft_may_be_enough(ft, &left, &ft->dead))
		send_request(ft, to);
}

static void on_prepare(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	uint32_t ballot = art__r_u32(r), n = 0;
	bool full = art__r_u8(r);
	struct art_set m, d;
	struct art_acted acted;
	struct art_named *named;

	art__r_set(r, ft->size, &m);
	art__r_set(r, ft->size, &d);
	art__ft_acted_read(ft, r, &acted);
	named = read_named(ft, r, &n);
	if (r->bad || !ballot_of(ft, ballot, from) || art__set_has(&d, (uint32_t)ft->slot) ||
	    !art__set_has(&m, (uint32_t)ft->slot))
		goto out;
	art__ft_acted(ft, acted.epoch, &acted.members);
	if (ft->fate)
		goto out;
	art__set_or(&ft->dead, &d);
	art__set_or(&ft->suspect, &d);
	if (epoch == ft->view.epoch) {
		send_promise(ft, from, ballot, epoch, &m);
	} else if (epoch > ft->view.epoch + 1 || ballot < ft->acc.promised) {
		send_nack(ft, from);
	} else if (epoch == ft->view.epoch + 1) {
		if (ft->prop.active && ballot > ft->prop.ballot)
			art__ft_prop_stop(ft);
		promise(ft, ballot, full, &m, named, n);
		send_promise(ft, from, ballot, epoch, &m);
		object(ft, from, &m);
		ft->takeover_ns = art__env_now(ft->env) + patience(ft);
		ft->request_ns = ft->takeover_ns;
		ask_again(ft, 8);
	}
out:
	art__env_free(ft->env, named);
}

void art__ft_prepare_self(struct art_ft *ft)
{
	struct art_proposal *p = &ft->prop;

	promise(ft, p->ballot, p->full, &p->members, p->named, p->nnamed);
}

static void on_nack(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	uint32_t promised = art__r_u32(r);

	if (r->bad)
		return;
	if (epoch < ft->view.epoch) {
		art__ft_send_decided(ft, from);
		return;
	}
	if (epoch == ft->view.epoch && ft->prop.active)
		art__ft_outbid(ft, promised);
}

void art__ft_outbid(struct art_ft *ft, uint32_t promised)
{
	if (promised <= ft->prop.ballot)
		return;
	ART_MARK(ft->env, ART_M_NACKED);
	if (promised > ft->ballot_seen && promised < ART_BALLOT_MAX)
		ft->ballot_seen = promised;
	art__ft_prop_stop(ft);
	ft->takeover_ns = art__env_now(ft->env) + patience(ft);
}

static void on_accept(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	uint32_t ballot = art__r_u32(r);
	uint8_t b[4];
	struct art_wbuf w = { .p = b, .cap = sizeof(b) };
	struct art_value v;

	if (r->bad || !ballot_of(ft, ballot, from))
		return;
	if (epoch == ft->view.epoch + 1) {
		if (ballot < ft->acc.promised) {
			send_nack(ft, from);
			return;
		}
		if (!art__ft_read_value(ft, r->p + r->at, r->len - r->at, &v))
			return;
		art__value_free(ft->env, &v);
		if (ft->prop.active && ballot > ft->prop.ballot)
			art__ft_prop_stop(ft);
		if (!art__acceptor_accept(ft->env, &ft->acc, ballot, r->p + r->at, r->len - r->at))
			return;
		if (ballot > ft->ballot_seen)
			ft->ballot_seen = ballot;
		ft->takeover_ns = art__env_now(ft->env) + patience(ft);
		ask_again(ft, 2);
		ft->client.step(ft->client.self, "accepted");
	} else if (epoch != ft->view.epoch) {
		return;
	}
	art__w_u32(&w, ballot);
	art__ft_answer(ft, from, ART_K_ACCEPTED, epoch, b, w.len);
}

/* Whatever was promised since: the sender is not certified dead, so that any other quorum of this
 * epoch has asked it, or a majority that holds the same value. */
static void on_decided(struct art_ft *ft, uint32_t epoch, struct art_rbuf *r)
{
	uint32_t ballot = art__r_u32(r);

	if (r->bad || epoch != ft->view.epoch + 1)
		return;
	art__ft_install(ft, ballot, r->p + r->at, r->len - r->at);
}

/* The ballots of the old epoch are over. */
static void thaw(struct art_ft *ft, bool full)
{
	art__acceptor_reset(ft->env, &ft->acc);
	ft->ballot_seen = 0;
	ft->trusted = false;
	if (!hangs(ft)) /* whoever keeps suspecting half of each view gives up in the end */
		ft->stuck_ns = 0;
	ft->frozen = false;
	if (!full)
		drop_answered(ft);
	art__env_free(ft->env, ft->frozen_named);
	ft->frozen_named = NULL;
	ft->nfrozen_named = 0;
	art__ft_prop_stop(ft);
	ft->takeover_ns = ft->request_ns = ART_NEVER;
}

static void leave_view(struct art_ft *ft, const struct art_set *members, uint32_t epoch)
{
	ART_SET_EACH(i, &ft->view.members)
		if (!art__set_has(members, i)) {
			ft->lost_epoch[i] = epoch;
			art__set_add(&ft->suspect, i);
			ft->client.fence(ft->client.self, (int)i, true);
		}
}

/* The next epoch, fewer members or, if it is about named ops, the same. */
bool art__ft_read_value(const struct art_ft *ft, const uint8_t *p, size_t len,
			struct art_value *v)
{
	if (!art__value_decode(ft->env, p, len, ft->size, v))
		return false;
	if (v->epoch == ft->view.epoch + 1 && art__set_subset(&v->members, &ft->view.members) &&
	    (v->full || art__set_equal(&v->members, &ft->view.members)))
		return true;
	art__value_free(ft->env, v);
	return false;
}

/* The one door through which the view changes. */
void art__ft_install(struct art_ft *ft, uint32_t ballot, const uint8_t *p, size_t len)
{
	struct art_value v;

	if (!art__ft_read_value(ft, p, len, &v)) {
		art__env_log(ft->env, ART_LOG_ERROR, "epoch %u: decided value cannot be read",
			     ft->view.epoch + 1);
		art__ft_shortage(ft); /* the takeover timer asks again */
		return;
	}
	if (!art__set_has(&v.members, (uint32_t)ft->slot)) {
		art__ft_give_up(ft, ART_ERR_EVICTED);
		goto out;
	}
	if (!art__blob_set(ft->env, &ft->last, p, len)) {
		art__ft_shortage(ft);
		goto out;
	}
	ft->client.step(ft->client.self, "install");
	leave_view(ft, &v.members, v.epoch);
	ft->last_ballot = ballot;
	ft->view.epoch = v.epoch;
	ft->shortages = 0;
	if (v.full) {
		ft->view.base = v.epoch;
		ft->relink = false;
		ft->view.edges = v.edges;
	}
	art__set_copy(&ft->view.members, &v.members);
	thaw(ft, v.full);
	ft->installing = true;
	ft->client.install(ft->client.self, &v);
	ft->installing = false;
	prune_wanted(ft);
	art__ft_consider(ft);
out:
	art__value_free(ft->env, &v);
}

static void on_evicted(struct art_ft *ft, uint32_t epoch)
{
	if (epoch > ft->view.epoch)
		art__ft_give_up(ft, ART_ERR_EVICTED);
}

void art__ft_message(struct art_ft *ft, int from, uint8_t kind, uint32_t epoch, const uint8_t *body,
		     size_t len)
{
	struct art_rbuf r = { .p = body, .len = len };

	if (ft->fate)
		return;
	if (kind == ART_K_EVICTED) {
		on_evicted(ft, epoch);
		return;
	}
	if (art__set_has(&ft->dead, (uint32_t)from))
		return; /* said before its death */
	if (kind == ART_K_GONE) {
		art__ft_on_gone(ft, from, epoch, &r);
		return;
	}
	if (!art__set_has(&ft->view.members, (uint32_t)from)) {
		ART_MARK(ft->env, ART_M_EVICTED_TOLD);
		ft->client.ctl(ft->client.self, from, ART_K_EVICTED, ft->view.epoch, NULL, 0);
		return;
	}
	switch (kind) {
	case ART_K_REQUEST: on_request(ft, from, epoch, &r); break;
	case ART_K_PREPARE: on_prepare(ft, from, epoch, &r); break;
	case ART_K_PROMISE: art__ft_on_promise(ft, from, epoch, &r); break;
	case ART_K_NACK: on_nack(ft, from, epoch, &r); break;
	case ART_K_ACCEPT: on_accept(ft, from, epoch, &r); break;
	case ART_K_ACCEPTED: art__ft_on_accepted(ft, from, epoch, &r); break;
	case ART_K_DECIDED: on_decided(ft, epoch, &r); break;
	case ART_K_FAN: art__ft_on_fan(ft, from, &r); break;
	case ART_K_GATHER: art__ft_on_gather(ft, from, &r); break;
	default: break;
	}
}

void art__ft_tick(struct art_ft *ft)
{
	uint64_t now;

	if (ft->fate || art__ft_wake(ft) == ART_NEVER)
		return;
	now = art__env_now(ft->env);
	art__ft_levels_tick(ft, now);
	if (ft->prop.active && ft->stuck_ns && now - ft->stuck_ns >= ft->quorum_wait_ns && stuck(ft, now))
		return; /* the arbiter does not answer */
	art__ft_prop_tick(ft, now);
	if (ft->takeover_ns != ART_NEVER && now >= ft->takeover_ns) {
		ft->takeover_ns = ART_NEVER;
		if (!art__ft_needed(ft) || stuck(ft, now))
			return;
		ART_MARK(ft->env, ART_M_PROPOSER_TAKEOVER);
		art__ft_propose(ft);
	} else if (ft->request_ns != ART_NEVER && now >= ft->request_ns) {
		art__ft_consider(ft);
		/* Nobody to ask, it waits for a ballot or the takeover: what stays due would be all it does. */
		if (ft->request_ns <= now && !ART_FT_MUTANT(ft, 22))
			ft->request_ns = ART_NEVER;
	}
}

uint64_t art__ft_wake(const struct art_ft *ft)
{
	uint64_t t = ft->takeover_ns < ft->request_ns ? ft->takeover_ns : ft->request_ns;
	uint64_t g = art__ft_levels_wake(ft);

	if (ft->fate)
		return ART_NEVER;
	t = g < t ? g : t;
	return ft->prop.active && ft->prop.resend_ns < t ? ft->prop.resend_ns : t;
}
