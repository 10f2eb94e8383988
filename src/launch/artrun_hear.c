/* SPDX-License-Identifier: MIT
 *
 * What agents say: greetings, and whatever happens to their ranks. What follows for the job is
 * decided where it is decided for ranks of this host.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "launch/artrun_hosts.h"
#include "launch/boot_wire.h"

static bool on_hello(struct run_job *j, struct run_host *h, const uint8_t *body)
{
	struct run_hosts *t = j->hosts;

	if (h->state != RUN_H_STARTING)
		return false;
	memcpy(&h->hello, body, sizeof(h->hello));
	h->hello.id.boot[sizeof(h->hello.id.boot) - 1] = '\0';
	h->hello.release[sizeof(h->hello.release) - 1] = '\0';
	h->hello.server[sizeof(h->hello.server) - 1] = '\0';
	h->hello.client[sizeof(h->hello.client) - 1] = '\0';
	h->state = RUN_H_GREETED;
	t->starting--;
	t->greeted++;
	if (j->opts.verbose)
		art__run_say(j, "host %s: agent %u, %u cores, artrun %s", h->name, h->hello.pid,
			     h->hello.cores, h->hello.release);
	art__hosts_more(j);
	if (t->greeted == t->table.n && j->end_code < 0)
		art__hosts_start(j);
	return true;
}

static void on_unstarted(struct run_job *j, struct run_rank *r, const uint8_t *body)
{
	struct art_agent_unstarted u;
	char where[ART_HOST_NAME_MAX + 8];

	memcpy(&u, body, sizeof(u));
	if (r->dead)
		return;
	r->dead = true;
	j->alive--;
	if (u.fault == ART_AGENT_F_SILENT || j->end_code >= 0)
		return;
	snprintf(where, sizeof(where), "host %s: ", art__hosts_host(j, r)->name);
	art__run_say_unstarted(j, art__run_index(j, r), u.err,
			       u.fault <= ART_AGENT_F_DIRECTORY ? (enum art_agent_fault)u.fault :
			       ART_AGENT_F_SPAWN, where);
}

static bool on_exit_of(struct run_job *j, struct run_rank *r, const uint8_t *body, size_t len)
{
	struct art_agent_exit e;

	memcpy(&e, body, sizeof(e));
	if (!art__run_view_told(j, r, body + sizeof(e), len - sizeof(e)))
		return false;
	if (r->dead)
		return true;
	r->dead = true;
	r->sig = e.sig;
	r->code = e.sig ? 128 + e.sig : e.code & 255;
	j->alive--;
	if (r->card)
		art__hosts_certify(j, r);
	if (j->opts.verbose)
		art__run_say(j, "host %s certifies the end of rank %d, seen at %llu ns",
			     art__hosts_host(j, r)->name, art__run_index(j, r), (unsigned long long)e.seen_ns);
	art__run_judge(j, r);
	return true;
}

static void on_states(struct run_job *j, struct run_host *h, const uint8_t *body, size_t len)
{
	struct art_agent_state s;

	h->states_at = art__run_now();
	for (size_t i = 0; i + sizeof(s) <= len; i += sizeof(s)) {
		memcpy(&s, body + i, sizeof(s));
		if (s.rank >= 0 && s.rank < j->n && art__hosts_host(j, &j->rank[s.rank]) == h)
			j->rank[s.rank].state = (char)s.letter;
	}
}

bool art__hosts_seen(const struct run_job *j, const struct run_rank *r)
{
	uint64_t at = art__hosts_host(j, r)->states_at;

	return at && art__run_now() - at < ART_NS_PER_S;
}

static bool on_output(struct run_job *j, struct run_host *h, struct run_rank *r, const uint8_t *body,
		      size_t len)
{
	struct art_agent_number which;

	memcpy(&which, body, sizeof(which));
	if (which.n < 0 || which.n > 1)
		return false;
	len -= sizeof(which);
	h->owed += (uint32_t)len;
	if (len)
		art__run_stream_text(j, &r->out[which.n], (const char *)body + sizeof(which), len);
	return true;
}

static bool on_card(struct run_job *j, struct run_host *h, struct run_rank *r, const uint8_t *body)
{
	struct art_boot_card card;

	memcpy(&card, body, sizeof(card));
	if (r->card || !art__boot_card_good(&card))
		return false;
	card.host = h->number;
	art__run_boot_card(j, r, &card);
	return true;
}

/* What is about a rank of this host. */
static bool on_rank(struct run_job *j, struct run_host *h, struct run_rank *r, unsigned kind,
		    const uint8_t *body, size_t len)
{
	struct art_agent_number number = { 0 };
	struct art_agent_joined joined;

	if (len >= sizeof(number))
		memcpy(&number, body, sizeof(number));
	switch (kind) {
	case ART_AGENT_STARTED:
		r->pid = number.n;
		if (j->opts.verbose)
			art__run_say(j, "rank %d has pid %d on host %s", art__run_index(j, r), number.n,
				     h->name);
		return true;
	case ART_AGENT_UNSTARTED:
		on_unstarted(j, r, body);
		return true;
	case ART_AGENT_JOINED:
		memcpy(&joined, body, sizeof(joined));
		j->hellos += !r->hello;
		r->hello = true;
		r->member = joined.pid;
		j->lowest_half |= joined.lowest_half;
		return true;
	case ART_AGENT_VOTE:
		art__run_vote(j, r, body, len);
		return true;
	case ART_AGENT_CARD:
		return on_card(j, h, r, body);
	case ART_AGENT_DONE:
		j->dones += !r->done;
		r->done = true;
		return true;
	case ART_AGENT_ABORT:
		art__run_boot_abort(j, r, number.n);
		return true;
	case ART_AGENT_CLOSED:
		art__run_boot_gone(j, r);
		return true;
	case ART_AGENT_EXIT:
		return on_exit_of(j, r, body, len);
	case ART_AGENT_MEMBER_GONE:
		if (!art__run_view_told(j, r, body, len))
			return false;
		if (r->card)
			art__hosts_certify(j, r);
		if (!r->done)
			art__run_lose(j, r);
		return true;
	case ART_AGENT_OUTPUT:
		return on_output(j, h, r, body, len);
	case ART_AGENT_TOOK:
		art__run_feed_took(j, number.n < 0);
		return true;
	default:
		return false;
	}
}

static bool on_message(struct run_job *j, struct run_host *h, const uint8_t *data)
{
	struct art_agent_head head;
	const uint8_t *body = data + sizeof(head);
	size_t len;

	memcpy(&head, data, sizeof(head));
	len = head.len - sizeof(head);
	switch (head.kind) {
	case ART_AGENT_HELLO:
		return on_hello(j, h, body);
	case ART_AGENT_SAY:
		art__run_say(j, "host %s: %.*s", h->name, (int)len, (const char *)body);
		return true;
	case ART_AGENT_STATES:
		on_states(j, h, body, len);
		return true;
	default:
		return head.rank >= 0 && head.rank < j->n && art__hosts_host(j, &j->rank[head.rank]) == h &&
		       on_rank(j, h, &j->rank[head.rank], head.kind, body, len);
	}
}

/* Reads and acts on all that is there. False at the end of it. */
bool art__hosts_read(struct run_job *j, struct run_host *h)
{
	static char piece[64u << 10];
	ssize_t n = h->from < 0 ? 0 : read(h->from, piece, sizeof(piece)), whole;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	h->heard = true;
	if (h->state == RUN_H_RUNNING)
		h->patience = RUN_ASKS_WORKING;
	art__run_buf_add(&h->in, piece, (size_t)n);
	if (!h->skipped)
		h->in.head += art__agent_find((const uint8_t *)h->in.data + h->in.head,
					      h->in.tail - h->in.head);
	while ((whole = art__agent_whole((const uint8_t *)h->in.data + h->in.head,
					 h->in.tail - h->in.head)) != 0) {
		h->skipped = true;
		if (whole == ART_AGENT_OTHER_VERSION) {
			kill(h->pid, SIGTERM);
			art__hosts_gone(j, h, "its artrun is of another version; all hosts need the same", false);
			return false;
		}
		if (whole < 0 || !on_message(j, h, (const uint8_t *)h->in.data + h->in.head)) {
			kill(h->pid, SIGTERM);
			art__hosts_gone(j, h, "what its agent sent is no message of an artrun", false);
			return false;
		}
		h->in.head += (size_t)whole;
	}
	return true;
}
