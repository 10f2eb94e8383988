/* SPDX-License-Identifier: MIT
 *
 * Several hosts: who is named, who has come, which rank sits where, and what agents say and are
 * told. What follows for the job is decided where it is decided for ranks of this host. The end of
 * an agent or of the connection to it proves nothing about its ranks (rule R7): artrun says so and
 * stays for the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/set.h"
#include "launch/artrun_hosts.h"
#include "launch/boot_wire.h"

#define FILE_MAX (4u << 20)
#define END_NS (8 * ART_NS_PER_S)

extern char **environ;

/* ---- the table of hosts ---- */
static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text = NULL;

	if (!f || fstat(fileno(f), &st))
		art__run_die("cannot read the host file '%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		art__run_die("the host file '%s' is a directory", path);
	text = malloc(FILE_MAX);
	if (!text)
		art__run_die("out of memory");
	*len = fread(text, 1, FILE_MAX, f);
	if (ferror(f) || *len == FILE_MAX)
		art__run_die("cannot read the host file '%s', or it is too long", path);
	fclose(f);
	return text;
}

/* What is there as a file, or looks like the name of one, is a file. */
static void read_table(struct run_job *j, struct art_hosts *table)
{
	const char *arg = j->opts.hosts;
	bool file = strchr(arg, '/') || access(arg, F_OK) == 0;
	size_t len = strlen(arg);
	char *text = file ? read_file(arg, &len) : NULL;
	char why[200];

	table->max = ART_HOSTS_MAX;
	table->host = calloc(table->max, sizeof(*table->host));
	if (!table->host)
		art__run_die("out of memory");
	if (file ? art__hosts_parse(text, len, table, why, sizeof(why)) :
	    art__hosts_parse_list(arg, len, table, why, sizeof(why)))
		art__run_die("%s '%s': %s", file ? "host file" : "--hosts", arg, why);
	free(text);
}

static void start_some(struct run_job *j)
{
	struct run_hosts *t = j->hosts;

	while (t->next < t->table.n && t->starting < RUN_STARTING_MAX && !t->closing) {
		struct run_host *h = &t->host[t->next++];

		h->state = RUN_H_STARTING;
		t->starting++;
		art__rsh_start(j, h);
	}
}

void art__hosts_open(struct run_job *j)
{
	struct run_hosts *t = calloc(1, sizeof(*t));

	if (!t)
		art__run_die("out of memory");
	j->hosts = t;
	read_table(j, &t->table);
	t->host = calloc(t->table.n, sizeof(*t->host));
	if (!t->host)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++) {
		struct run_host *h = &t->host[i];

		h->name = t->table.host[i].name;
		h->slots = t->table.host[i].slots;
		h->pidfd = h->to = h->from = h->words = -1;
	}
	start_some(j);
}

bool art__hosts_awaited(const struct run_job *j)
{
	return j->hosts && !j->hosts->placed && j->end_code < 0;
}

const char *art__hosts_name(const struct run_job *j, const struct run_rank *r)
{
	static char text[ART_HOST_NAME_MAX + 8];

	if (!j->hosts)
		return "";
	snprintf(text, sizeof(text), "host %s, ", j->hosts->host[r->host].name);
	return text;
}

/* ---- to an agent ---- */
static void host_flush(struct run_job *j, struct run_host *h)
{
	bool more;

	while (h->to >= 0 && h->out.head < h->out.tail) {
		ssize_t n = write(h->to, h->out.data + h->out.head, h->out.tail - h->out.head);

		if (n >= 0)
			h->out.head += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			h->out.head = h->out.tail; /* nobody reads it; the process's end says more */
	}
	more = h->to >= 0 && h->out.head < h->out.tail;
	if (more != h->room && h->to >= 0)
		art__run_epoll(j, more ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, h->to, EPOLLOUT,
			       RUN_EV_HOST_ROOM, (int)(h - j->hosts->host));
	h->room = more;
}

static void tell(struct run_host *h, enum art_agent_kind kind, int rank, const void *body, size_t len)
{
	struct art_agent_head head = art__agent_head(kind, rank, len);

	if (h->to < 0 || h->state != RUN_H_RUNNING)
		return;
	art__run_buf_add(&h->out, (const char *)&head, sizeof(head));
	if (len)
		art__run_buf_add(&h->out, body, len);
}

static void tell_all(struct run_job *j, enum art_agent_kind kind, int rank, const void *body,
		     size_t len)
{
	for (size_t i = 0; i < j->hosts->table.n; i++)
		tell(&j->hosts->host[i], kind, rank, body, len);
}

static struct run_host *host_of(const struct run_job *j, const struct run_rank *r)
{
	return &j->hosts->host[r->host];
}

void art__hosts_signal(struct run_job *j, const struct run_rank *r, int sig)
{
	struct art_agent_number body = { sig };

	if (j->hosts)
		tell(host_of(j, r), ART_AGENT_SIGNAL, art__run_index(j, r), &body, sizeof(body));
}

void art__hosts_look(struct run_job *j)
{
	if (j->hosts)
		tell_all(j, ART_AGENT_LOOK, -1, NULL, 0);
}

void art__hosts_input(struct run_job *j, const char *data, size_t len)
{
	tell(host_of(j, &j->rank[0]), ART_AGENT_INPUT, 0, data, len);
}

void art__hosts_shut(struct run_job *j, int which)
{
	struct art_agent_number body = { which };

	if (j->hosts)
		tell_all(j, ART_AGENT_SHUT, -1, &body, sizeof(body));
}

void art__hosts_never(struct run_job *j)
{
	tell_all(j, ART_AGENT_NEVER, j->never, NULL, 0);
}

static void tell_death(struct run_job *j, int rank)
{
	struct art_agent_dead body = { j->card[rank].incarnation };

	for (size_t i = 0; i < j->hosts->table.n; i++)
		if (i != j->rank[rank].host)
			tell(&j->hosts->host[i], ART_AGENT_DEAD, rank, &body, sizeof(body));
}

void art__hosts_table(struct run_job *j)
{
	uint8_t body[sizeof(struct art_agent_table) +
		     ART_AGENT_TABLE_CARDS * sizeof(struct art_boot_card)];

	for (uint32_t first = 0; first < (uint32_t)j->n; first += ART_AGENT_TABLE_CARDS) {
		uint32_t left = (uint32_t)j->n - first;
		struct art_agent_table t = { first, left < ART_AGENT_TABLE_CARDS ? left :
					     ART_AGENT_TABLE_CARDS };
		size_t len = t.count * sizeof(struct art_boot_card);

		memcpy(body, &t, sizeof(t));
		memcpy(body + sizeof(t), &j->card[first], len);
		tell_all(j, ART_AGENT_TABLE, -1, body, sizeof(t) + len);
	}
	j->hosts->tabled = true;
	for (int i = 0; i < j->n; i++)
		if (j->rank[i].certified)
			tell_death(j, i);
}

void art__hosts_certify(struct run_job *j, struct run_rank *r)
{
	if (r->certified)
		return;
	r->certified = true;
	if (j->hosts->tabled)
		tell_death(j, art__run_index(j, r));
	for (size_t i = 0; i < j->hosts->table.n; i++)
		host_flush(j, &j->hosts->host[i]);
}

void art__hosts_flush(struct run_job *j)
{
	for (size_t i = 0; j->hosts && i < j->hosts->table.n; i++) {
		struct run_host *h = &j->hosts->host[i];
		struct art_agent_number body = { (int32_t)h->owed };

		if (h->owed && !art__run_sink_full(j->out) && !art__run_sink_full(j->err)) {
			tell(h, ART_AGENT_CREDIT, -1, &body, sizeof(body));
			h->owed = 0;
		}
		host_flush(j, h);
	}
}

/* ---- START ---- */
static void add_string(struct run_buf *b, const char *s)
{
	art__run_buf_add(b, s, strlen(s) + 1);
}

/* What the user has said for ART, and by name. What is artrun's own to say is not passed on. */
static bool passed_on(const char *variable)
{
	static const char *const own[] = { "ART_LAUNCH_FD=", "ART_RANK=", "ART_SIZE=", "ART_CORES=",
					   "ART_ROOT=", "ART_KEY_FILE=", "ART_RSH=" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(variable, own[i], strlen(own[i])) == 0)
			return false;
	return strncmp(variable, "ART_", 4) == 0;
}

static bool is_loopback(const char *address)
{
	return address[0] == '\0' || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* The address others reach @h at: the one artrun came in by; here, the one that another host saw
 * artrun come from; else the agent looks which of its addresses leads to another host. */
static void choose_interface(const struct run_job *j, const struct run_host *h, const char **iface,
			     const char **toward)
{
	const struct run_hosts *t = j->hosts;

	*iface = *toward = "";
	if (t->local)
		return;
	if (!is_loopback(h->hello.server)) {
		*iface = h->hello.server;
		return;
	}
	for (size_t i = 0; i < t->table.n; i++) {
		const struct run_host *o = &t->host[i];
		const char *at = strrchr(o->name, '@');

		if (o->number == h->number)
			continue;
		if (art__rsh_is_here(h->name) && !is_loopback(o->hello.client))
			*iface = o->hello.client;
		else
			*toward = at ? at + 1 : o->name;
		return;
	}
}

static void send_start(struct run_job *j, struct run_host *h, const char *directory)
{
	struct art_agent_start s = { .job = j->id, .size = (uint32_t)j->n,
				     .bind = (uint32_t)j->opts.bind, .verbose = j->opts.verbose };
	uint32_t me = (uint32_t)(h - j->hosts->host);
	const char *iface, *toward;
	struct art_agent_head head;
	struct run_buf b = { 0 };

	choose_interface(j, h, &iface, &toward);
	memcpy(s.key, j->key, sizeof(s.key));
	for (uint32_t i = 0; i < (uint32_t)j->n; i++)
		if (j->rank[i].host == me) {
			art__run_buf_add(&b, (const char *)&i, sizeof(i));
			j->rank[i].nth = (int)s.mine++;
			j->rank[i].dead = false;
			j->alive++;
		}
	add_string(&b, directory);
	add_string(&b, getenv("ART_IFACE") ? "" : iface);
	add_string(&b, getenv("ART_IFACE") ? "" : toward);
	for (char **a = j->opts.argv; *a; a++, s.argc++)
		add_string(&b, *a);
	for (char **e = environ; *e; e++)
		if (passed_on(*e)) {
			add_string(&b, *e);
			s.envc++;
		}
	for (int i = 0; i < j->opts.exports; i++, s.envc++)
		add_string(&b, j->opts.export[i]);
	if (sizeof(s) + b.tail > ART_AGENT_LEN_MAX)
		art__run_die("the arguments and variables of the program are too long");
	h->state = RUN_H_RUNNING;
	head = art__agent_head(ART_AGENT_START, -1, sizeof(s) + b.tail);
	art__run_buf_add(&h->out, (const char *)&head, sizeof(head));
	art__run_buf_add(&h->out, (const char *)&s, sizeof(s));
	art__run_buf_add(&h->out, b.data, b.tail);
	explicit_bzero(&s, sizeof(s));
	art__run_buf_free(&b);
}

/* Names that lead to one host get one number. */
static void number_hosts(struct run_hosts *t)
{
	struct art_host_id *id = calloc(t->table.n, sizeof(*id));
	int *number = calloc(t->table.n, sizeof(*number));

	if (!id || !number)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++)
		id[i] = t->host[i].hello.id;
	t->local = art__host_id_number(id, t->table.n, number) == 1;
	for (size_t i = 0; i < t->table.n; i++)
		t->host[i].number = number[i];
	free(number);
	free(id);
}

static void place(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	uint32_t *slots = calloc(t->table.n, sizeof(*slots)), *at;
	uint64_t sum = 0;

	if (!slots)
		art__run_die("out of memory");
	for (size_t i = 0; i < t->table.n; i++) {
		slots[i] = t->host[i].slots ? t->host[i].slots : t->host[i].hello.cores;
		slots[i] = slots[i] ? slots[i] : 1;
		sum += slots[i];
	}
	if (!j->opts.ranks && sum > ART_MAX_RANKS)
		art__run_die("the hosts have %llu slots, a job has at most %u ranks; -n says how many",
			     (unsigned long long)sum, ART_MAX_RANKS);
	art__run_ranks(j, j->opts.ranks ? j->opts.ranks : (int)sum);
	at = calloc((size_t)j->n, sizeof(*at));
	if (!at)
		art__run_die("out of memory");
	art__hosts_place(slots, t->table.n, j->opts.map, (uint32_t)j->n, at);
	for (int i = 0; i < j->n; i++)
		j->rank[i].host = at[i];
	free(at);
	free(slots);
}

static void start_ranks(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	char *here = j->opts.directory ? realpath(j->opts.directory, NULL) : getcwd(NULL, 0);
	const char *directory = here ? here : j->opts.directory ? j->opts.directory : "/";

	number_hosts(t);
	place(j);
	t->placed = true;
	for (size_t i = 0; i < t->table.n; i++)
		send_start(j, &t->host[i], directory);
	free(here);
	art__run_feed_remote(j);
}

/* ---- what agents say ---- */
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
	start_some(j);
	if (t->greeted == t->table.n && j->end_code < 0)
		start_ranks(j);
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
	snprintf(where, sizeof(where), "host %s: ", host_of(j, r)->name);
	art__run_say_unstarted(j, art__run_index(j, r), u.err,
			       u.fault <= ART_AGENT_F_DIRECTORY ? (enum art_agent_fault)u.fault :
			       ART_AGENT_F_SPAWN, where);
}

static void on_exit_of(struct run_job *j, struct run_rank *r, const uint8_t *body)
{
	struct art_agent_exit e;

	memcpy(&e, body, sizeof(e));
	if (r->dead)
		return;
	r->dead = true;
	r->sig = e.sig;
	r->code = e.sig ? 128 + e.sig : e.code & 255;
	j->alive--;
	if (r->card)
		art__hosts_certify(j, r);
	if (j->opts.verbose)
		art__run_say(j, "host %s certifies the end of rank %d, seen at %llu ns",
			     host_of(j, r)->name, art__run_index(j, r), (unsigned long long)e.seen_ns);
	art__run_judge(j, r);
}

static void on_states(struct run_job *j, const struct run_host *h, const uint8_t *body, size_t len)
{
	struct art_agent_state s;

	for (size_t i = 0; i + sizeof(s) <= len; i += sizeof(s)) {
		memcpy(&s, body + i, sizeof(s));
		if (s.rank >= 0 && s.rank < j->n && host_of(j, &j->rank[s.rank]) == h)
			j->rank[s.rank].state = (char)s.letter;
	}
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

	if (len >= sizeof(number))
		memcpy(&number, body, sizeof(number));
	switch (kind) {
	case ART_AGENT_UNSTARTED:
		on_unstarted(j, r, body);
		return true;
	case ART_AGENT_JOINED:
		j->hellos += !r->hello;
		r->hello = true;
		r->member = number.n;
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
		on_exit_of(j, r, body);
		return true;
	case ART_AGENT_MEMBER_GONE:
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
		return head.rank >= 0 && head.rank < j->n && host_of(j, &j->rank[head.rank]) == h &&
		       on_rank(j, h, &j->rank[head.rank], head.kind, body, len);
	}
}

/* ---- the end of an agent ---- */
static void shut_input(struct run_host *h)
{
	if (h->to >= 0)
		close(h->to);
	h->to = -1;
	h->room = false;
	art__run_buf_free(&h->out);
}

static bool is_left(const struct run_job *j, const struct run_host *h, int rank)
{
	return host_of(j, &j->rank[rank]) == h && !j->rank[rank].dead;
}

/* Their ends were seen on their own host, if not by the agent: that proves them. */
static void certify_ranks(struct run_job *j, struct run_host *h)
{
	for (int i = 0; i < j->n; i++) {
		struct run_rank *r = &j->rank[i];

		if (!is_left(j, h, i))
			continue;
		r->dead = true;
		r->sig = SIGKILL;
		r->code = 128 + SIGKILL;
		j->alive--;
		if (r->card)
			art__hosts_certify(j, r);
		art__run_judge(j, r);
	}
}

/* Nobody can tell: it may be the connection that was lost. */
static void lose_ranks(struct run_job *j, struct run_host *h, const char *why)
{
	char list[120] = "";
	size_t len = 0;
	int lost = 0;

	for (int i = 0; i < j->n; i++) {
		if (!is_left(j, h, i))
			continue;
		lost++;
		if (len + 16 < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, " %d", i);
	}
	if (lost && j->end_code < 0)
		art__run_say(j, "lost the agent on host %s: %s; nobody here can tell what became of "
			     "rank%s%s%s, the others go on if they are a quorum", h->name, why,
			     lost == 1 ? "" : "s", list, len + 16 < sizeof(list) ? "" : " ...");
	for (int i = 0; i < j->n; i++) {
		if (!is_left(j, h, i))
			continue;
		j->rank[i].dead = true;
		j->rank[i].lost = true;
		j->alive--;
		art__run_boot_gone(j, &j->rank[i]);
	}
}

static void host_gone(struct run_job *j, struct run_host *h, const char *why, bool witnessed)
{
	enum run_host_state was = h->state;

	if (was == RUN_H_GONE)
		return;
	shut_input(h);
	if (h->from >= 0)
		close(h->from);
	if (h->words >= 0)
		close(h->words);
	if (h->pidfd >= 0)
		close(h->pidfd);
	h->from = h->words = h->pidfd = -1;
	h->state = RUN_H_GONE;
	j->hosts->gone++;
	j->hosts->starting -= was == RUN_H_STARTING;
	if (j->hosts->placed && witnessed) {
		if (j->end_code < 0)
			art__run_say(j, "the agent on host %s is gone, and its ranks with it: %s", h->name,
				     why);
		certify_ranks(j, h);
		return;
	}
	if (j->hosts->placed) {
		lose_ranks(j, h, why);
		return;
	}
	if (j->end_code >= 0 || j->hosts->closing)
		return;
	art__run_say(j, "host %s: %s; nothing was started", h->name, why);
	art__run_end(j, RUN_EXIT_SELF, SIGKILL, 0);
}

/* Reads and acts on all that is there. False at the end of it. */
static bool host_read(struct run_job *j, struct run_host *h)
{
	static char piece[64u << 10];
	ssize_t n = h->from < 0 ? 0 : read(h->from, piece, sizeof(piece)), whole;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	art__run_buf_add(&h->in, piece, (size_t)n);
	if (!h->skipped)
		h->in.head += art__agent_find((const uint8_t *)h->in.data + h->in.head,
					      h->in.tail - h->in.head);
	while ((whole = art__agent_whole((const uint8_t *)h->in.data + h->in.head,
					 h->in.tail - h->in.head)) != 0) {
		h->skipped = true;
		if (whole == ART_AGENT_OTHER_VERSION) {
			kill(h->pid, SIGTERM);
			host_gone(j, h, "its artrun is of another version; all hosts need the same", false);
			return false;
		}
		if (whole < 0 || !on_message(j, h, (const uint8_t *)h->in.data + h->in.head)) {
			kill(h->pid, SIGTERM);
			host_gone(j, h, "what its agent sent is no message of an artrun", false);
			return false;
		}
		h->in.head += (size_t)whole;
	}
	return true;
}

/* What it had written comes first. */
static void on_end(struct run_job *j, struct run_host *h)
{
	char why[400];
	bool witnessed;

	while (h->state != RUN_H_GONE && h->from >= 0) {
		struct pollfd p = { .fd = h->from, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0 || !host_read(j, h))
			break;
	}
	if (h->state == RUN_H_GONE)
		return;
	witnessed = art__rsh_ended(j, h, why, sizeof(why));
	host_gone(j, h, why, witnessed);
}

void art__hosts_event(struct run_job *j, enum run_event ev, uint32_t host)
{
	struct run_host *h = j->hosts ? &j->hosts->host[host] : NULL;

	if (!h || h->state == RUN_H_GONE)
		return;
	switch (ev) {
	case RUN_EV_HOST_SAYS:
		/* At its end the process will follow, which says why. */
		if (h->from >= 0 && !host_read(j, h) && h->from >= 0) {
			close(h->from);
			h->from = -1;
			shut_input(h);
		}
		break;
	case RUN_EV_HOST_ROOM:
		host_flush(j, h);
		break;
	case RUN_EV_HOST_WORDS:
		art__rsh_words(j, h);
		break;
	default:
		on_end(j, h);
		break;
	}
}

void art__hosts_close(struct run_job *j)
{
	struct run_hosts *t = j->hosts;
	uint64_t end = art__run_now() + END_NS;

	if (!t)
		return;
	t->closing = true;
	art__run_feed_close(j);
	for (size_t i = 0; i < t->table.n; i++) {
		host_flush(j, &t->host[i]);
		shut_input(&t->host[i]);
		if (t->host[i].state == RUN_H_STARTING) /* it may wait for a network that is not there */
			kill(t->host[i].pid, SIGTERM);
	}
	t->gone += t->table.n - t->next; /* never started */
	j->tick_at = end;
	while (t->gone < t->table.n && art__run_now() < end && !art__run_passed(j->flush_by)) {
		j->tick_at = end;
		art__run_round(j);
	}
	for (size_t i = 0; i < t->table.n; i++)
		if (t->host[i].pid > 0 && t->host[i].state != RUN_H_GONE) {
			art__run_say(j, "the agent on host %s does not end; leaving it", t->host[i].name);
			kill(t->host[i].pid, SIGKILL);
		}
	for (int i = 0; i < 2 * j->n; i++)
		art__run_stream_end(j, &j->rank[i / 2].out[i % 2]);
}

void art__hosts_free(struct run_job *j)
{
	struct run_hosts *t = j->hosts;

	for (size_t i = 0; t && i < t->table.n; i++) {
		if (t->host[i].pid > 0)
			waitpid(t->host[i].pid, NULL, WNOHANG);
		art__run_buf_free(&t->host[i].in);
		art__run_buf_free(&t->host[i].out);
		art__run_buf_free(&t->host[i].said);
	}
	if (t) {
		free(t->host);
		free(t->table.host);
	}
	free(t);
	j->hosts = NULL;
}
