/* SPDX-License-Identifier: MIT
 *
 * Certificates of deaths, and what they say besides: in which view the dead acted last (rule R7).
 * A view is noted where it outlives its rank before the rank acts in it, so whoever proves the death
 * can say what was decided by members who are all dead. Without that a rank which they had left out
 * and which was cut off meanwhile would find that it is all that is left, and go on beside them.
 *
 *   certificate, epoch not above ours     -> dead, nothing else
 *   certificate, epoch above, we are in   -> dead; whoever hears of it from us hears of that view
 *   certificate, epoch above, without us  -> evicted: this rank gives up
 *
 * Whoever has given up says so itself (GONE), with its view, and still has the decision that made it:
 * a member who lacks that decision gets it before it counts the other as dead.
 */
#include <art/status.h>

#include "base/marks.h"
#include "ft/ft.h"

void art__ft_acted(struct art_ft *ft, uint32_t epoch, const struct art_set *members)
{
	struct art_acted *a = &ft->acted;

	if (ft->fate || epoch <= ft->view.epoch || ART_FT_MUTANT(ft, 18))
		return;
	if (!art__set_has(members, (uint32_t)ft->slot)) {
		ART_MARK(ft->env, ART_M_EVICTED_BY_DEAD);
		art__env_log(ft->env, ART_LOG_INFO, "a rank now dead acted in epoch %u, which was decided "
			     "without this rank", (unsigned)epoch);
		art__ft_give_up(ft, ART_ERR_EVICTED);
		return;
	}
	if (epoch > a->epoch) {
		a->epoch = epoch;
		art__set_copy(&a->members, members);
	} else if (epoch == a->epoch) {
		art__set_and(&a->members, members);
	}
}

void art__ft_dead(struct art_ft *ft, int slot, uint32_t epoch, const struct art_set *members)
{
	bool known = art__set_has(&ft->suspect, (uint32_t)slot);

	if (slot == ft->slot || art__set_has(&ft->dead, (uint32_t)slot))
		return;
	if (members)
		art__ft_acted(ft, epoch, members);
	art__set_add(&ft->dead, (uint32_t)slot);
	if (!known) {
		art__ft_suspect(ft, slot);
		return;
	}
	ft->request_ns = ART_NEVER; /* the leader may lack just this certificate */
	if (art__set_has(&ft->view.members, (uint32_t)slot))
		art__ft_consider(ft);
}

/* ---- on the wire: an epoch, and if it is not 0 who was in ---- */

size_t art__ft_acted_bytes(const struct art_ft *ft)
{
	return 4 + 8 * (size_t)ft->view.members.words;
}

void art__ft_acted_write(const struct art_ft *ft, struct art_wbuf *w)
{
	bool news = ft->acted.epoch > ft->view.epoch;

	art__w_u32(w, news ? ft->acted.epoch : 0);
	if (news)
		art__w_set(w, &ft->acted.members);
}

void art__ft_acted_read(const struct art_ft *ft, struct art_rbuf *r, struct art_acted *a)
{
	a->epoch = art__r_u32(r);
	if (a->epoch)
		art__r_set(r, ft->size, &a->members);
	else
		art__set_init(&a->members, ft->size);
}

/* ---- whoever has given up ---- */

void art__ft_say_gone(struct art_ft *ft, int to, bool asked, uint32_t epoch)
{
	uint8_t body[sizeof(ft->view.members.w)]; /* there may be no memory: why it has given up */
	struct art_wbuf w = { .p = body, .cap = sizeof(body) };

	if (asked && epoch < ft->view.epoch)
		art__ft_send_decided(ft, to);
	art__w_set(&w, &ft->view.members);
	ft->client.ctl(ft->client.self, to, ART_K_GONE, ft->view.epoch, w.p, w.len);
}

void art__ft_on_gone(struct art_ft *ft, int from, uint32_t epoch, struct art_rbuf *r)
{
	uint64_t now = art__env_now(ft->env);
	struct art_set members;

	art__r_set(r, ft->size, &members);
	if (r->bad)
		return;
	if (epoch == ft->view.epoch + 1 && art__set_has(&members, (uint32_t)ft->slot) &&
	    art__set_has(&ft->view.members, (uint32_t)from)) {
		/* answered by the decision, then by this again; not at once if it has no memory for that */
		if (now < ft->asked_ns)
			return;
		ft->asked_ns = now + ft->retry_ns;
		art__ft_ask_view(ft, from);
	} else {
		art__ft_dead(ft, from, epoch, &members);
	}
}
