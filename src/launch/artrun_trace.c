/* SPDX-License-Identifier: MIT
 *
 * artrun --trace FILE: a directory beside FILE in which every rank leaves its events (base/trace.h), and
 * when the job is over one FILE of them, in the JSON that chrome://tracing and Perfetto read. A rank is a
 * process there, by its number; the clocks of several hosts are put together by their time of day.
 *
 *   thread 1 operations: asynchronous events b and e, because nonblocking ones overlap
 *   thread 2 the members: freeze, decision and install as X; steps and resolutions as i
 *   thread 3 the evidence against others, as i
 *
 * What lies in the directory was written by ranks that may have been killed at any instant: nothing in it
 * is believed before it was checked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <art/art.h>

#include "base/set.h"
#include "base/trace.h"
#include "launch/artrun.h"

struct part { /* one rank's file */
	struct art_trace_head head;   /* a copy: the rank may still be writing */
	const struct art_trace *ring;
	void *map;
	size_t bytes;
};

struct item { /* one event, to be put in order */
	uint64_t at_ns; /* since 1970 */
	uint32_t part, event;
};

struct merge {
	struct part *part;
	uint32_t parts;
	struct item *item;
	size_t items;
	FILE *out;
	bool comma;
};

/* Before any rank starts: a FILE that cannot be written is an error now, not after the job. */
void art__run_trace_open(struct run_job *j)
{
	char directory[PATH_MAX], full[PATH_MAX];
	FILE *f;

	if (!j->opts.trace)
		return;
	f = fopen(j->opts.trace, "we");
	if (!f)
		art__run_die("cannot write the trace to %s: %s", j->opts.trace, strerror(errno));
	fclose(f);
	if (snprintf(directory, sizeof(directory), "%s.XXXXXX", j->opts.trace) >= (int)sizeof(directory))
		art__run_die("the name of the trace is too long: %s", j->opts.trace);
	if (!mkdtemp(directory) || !realpath(directory, full) || setenv("ART_TRACE", full, 1))
		art__run_die("cannot make a directory for the trace beside %s: %s", j->opts.trace,
			     strerror(errno));
	j->trace_dir = strdup(full);
	if (!j->trace_dir)
		art__run_die("out of memory");
}

/* ---- reading ---- */

static bool is_sound(const struct art_trace_head *h, size_t bytes)
{
	return bytes >= sizeof(*h) && !memcmp(h->magic, ART_TRACE_MAGIC, sizeof(h->magic)) &&
	       h->version == ART_TRACE_VERSION && h->event_bytes == sizeof(struct art_trace) &&
	       h->capacity && h->capacity <= ART_TRACE_EVENTS && h->rank >= 0 && h->size > h->rank &&
	       h->size <= (int)ART_MAX_RANKS &&
	       bytes >= sizeof(*h) + (size_t)h->capacity * sizeof(struct art_trace);
}

static bool read_part(struct merge *m, int directory, const char *name)
{
	struct part p, *grown;
	struct stat st;
	void *at;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(p.head)) {
		if (fd >= 0)
			close(fd);
		return fd >= 0; /* a rank that was killed before its first event */
	}
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return false;
	p = (struct part){.map = at, .bytes = (size_t)st.st_size};
	memcpy(&p.head, at, sizeof(p.head));
	p.ring = (const struct art_trace *)((const struct art_trace_head *)at + 1);
	grown = is_sound(&p.head, p.bytes) ? realloc(m->part, (m->parts + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		munmap(at, p.bytes);
		return true;
	}
	m->part = grown;
	m->part[m->parts++] = p;
	return true;
}

static bool read_parts(struct merge *m, const char *path)
{
	DIR *d = opendir(path);
	bool ok = d != NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strstr(e->d_name, ".trace"))
			ok &= read_part(m, dirfd(d), e->d_name);
	if (d)
		closedir(d);
	return ok;
}

/* Of a ring that is full the oldest may just have been written over. */
static uint32_t events_of(const struct art_trace_head *h, uint64_t *first)
{
	uint64_t n = h->count < h->capacity ? h->count : h->capacity - 1;

	*first = h->count - n;
	return (uint32_t)n;
}

static int by_time(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->event > y->event) - (x->event < y->event);
}

/* An event is where it begins. */
static uint64_t at_ns(const struct art_trace_head *h, const struct art_trace *t)
{
	uint64_t at = t->kind == ART_TRACE_CHANGE ? t->begin_ns : t->t_ns;

	return at + (uint64_t)h->wall_ns;
}

static bool put_in_order(struct merge *m)
{
	size_t all = 0;
	uint64_t first;

	for (uint32_t i = 0; i < m->parts; i++)
		all += events_of(&m->part[i].head, &first);
	m->item = malloc((all + 1) * sizeof(*m->item));
	if (!m->item)
		return false;
	for (uint32_t i = 0; i < m->parts; i++) {
		const struct art_trace_head *h = &m->part[i].head;
		uint32_t n = events_of(h, &first);

		for (uint32_t k = 0; k < n && m->items < all; k++) {
			uint32_t at = (uint32_t)((first + k) % h->capacity);

			m->item[m->items++] = (struct item){at_ns(h, &m->part[i].ring[at]), i, at};
		}
	}
	qsort(m->item, m->items, sizeof(*m->item), by_time);
	return true;
}

/* ---- writing ---- */

/* As JSON: printable characters that need no escape. */
static void put_text(FILE *f, const char *text, size_t size)
{
	fputc('"', f);
	for (size_t i = 0; i < size && text[i]; i++)
		fputc(text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\' ? text[i] : '?', f);
	fputc('"', f);
}

static void begin_event(struct merge *m, const char *ph, int rank, int thread)
{
	fprintf(m->out, "%s\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%d", m->comma ? "," : "", ph, rank, thread);
	m->comma = true;
}

static void name_rank(struct merge *m, const struct art_trace_head *h)
{
	static const char *const thread[] = {"operations", "members", "evidence"};
	char text[160];

	begin_event(m, "M", h->rank, 0);
	snprintf(text, sizeof(text), "rank %d (%.64s, pid %d)", h->rank, h->host, h->pid);
	fputs(",\"name\":\"process_name\",\"args\":{\"name\":", m->out);
	put_text(m->out, text, sizeof(text));
	fprintf(m->out, ",\"events\":%" PRIu64 ",\"kept\":%u}}", h->count, events_of(h, &(uint64_t){0}));
	begin_event(m, "M", h->rank, 0);
	fprintf(m->out, ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}", h->rank);
	for (int i = 0; i < 3; i++) {
		begin_event(m, "M", h->rank, i + 1);
		fprintf(m->out, ",\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}}", thread[i]);
	}
}

static void put_op(struct merge *m, const struct art_trace *t, int rank, const char *ph)
{
	begin_event(m, ph, rank, 1);
	fprintf(m->out, ",\"cat\":\"op\",\"id\":\"%016" PRIx64 ".%" PRIu64 "\"", t->comm, t->seq);
	fputs(",\"name\":", m->out);
	put_text(m->out, t->name, sizeof(t->name));
}

static void put_details(struct merge *m, const struct art_trace *t)
{
	FILE *f = m->out;

	switch (t->kind) {
	case ART_TRACE_ENTER:
		fprintf(f, "\"comm\":\"%016" PRIx64 "\",\"seq\":%" PRIu64 ",\"bytes\":%" PRIu64, t->comm, t->seq,
			t->bytes);
		break;
	case ART_TRACE_LEAVE:
		fprintf(f, "\"epoch\":%u,\"replays\":%u,\"outcome\":", t->epoch, t->n);
		put_text(f, t->code ? art_strerror(t->code) : "success", 80);
		break;
	case ART_TRACE_CHANGE:
		fprintf(f, "\"epoch\":%u,\"members\":%u", t->epoch, t->n);
		break;
	case ART_TRACE_RESOLVED:
		fprintf(f, "\"comm\":\"%016" PRIx64 "\",\"seq\":%" PRIu64 ",\"epoch\":%u", t->comm, t->seq, t->epoch);
		if (t->rank >= 0)
			fprintf(f, ",\"holder\":%d", t->rank);
		if (t->code) {
			fputs(",\"outcome\":", f);
			put_text(f, art_strerror(t->code), 80);
		}
		break;
	case ART_TRACE_SIGN:
	case ART_TRACE_LEFT:
		fprintf(f, "\"rank\":%d,\"epoch\":%u,\"evidence\":", t->rank, t->epoch);
		put_text(f, t->name, sizeof(t->name));
		break;
	default:
		fprintf(f, "\"epoch\":%u", t->epoch);
		break;
	}
}

static void put_event(struct merge *m, const struct item *i, uint64_t zero)
{
	const struct art_trace *t = &m->part[i->part].ring[i->event];
	int rank = m->part[i->part].head.rank;

	switch (t->kind) {
	case ART_TRACE_ENTER:
	case ART_TRACE_LEAVE:
		put_op(m, t, rank, t->kind == ART_TRACE_ENTER ? "b" : "e");
		break;
	case ART_TRACE_CHANGE:
		begin_event(m, "X", rank, 2);
		fprintf(m->out, ",\"cat\":\"members\",\"dur\":%.3f,\"name\":",
			t->t_ns > t->begin_ns ? (double)(t->t_ns - t->begin_ns) * 1e-3 : 0.0);
		put_text(m->out, t->name, sizeof(t->name));
		break;
	case ART_TRACE_STEP:
	case ART_TRACE_RESOLVED:
		begin_event(m, "i", rank, 2);
		fputs(",\"s\":\"t\",\"cat\":\"members\",\"name\":", m->out);
		put_text(m->out, t->name, sizeof(t->name));
		break;
	case ART_TRACE_SIGN:
	case ART_TRACE_LEFT:
		begin_event(m, "i", rank, 3);
		fprintf(m->out, ",\"s\":\"p\",\"cat\":\"evidence\",\"name\":\"rank %d %s\"", t->rank,
			t->kind == ART_TRACE_SIGN ? "must leave" : "has left");
		break;
	default:
		return;
	}
	fprintf(m->out, ",\"ts\":%.3f,\"args\":{", (double)(i->at_ns - zero) * 1e-3);
	put_details(m, t);
	fputs("}}", m->out);
}

static bool write_all(struct merge *m, const char *path)
{
	m->out = fopen(path, "we");
	if (!m->out)
		return false;
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", m->out);
	for (uint32_t i = 0; i < m->parts; i++)
		name_rank(m, &m->part[i].head);
	for (size_t i = 0; i < m->items; i++)
		put_event(m, &m->item[i], m->item[0].at_ns);
	fputs("\n]}\n", m->out);
	/* Both are tried: an error that shows at the end counts, too. */
	bool written = !ferror(m->out);

	return fclose(m->out) == 0 && written;
}

static void remove_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strstr(e->d_name, ".trace"))
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

void art__run_trace_close(struct run_job *j)
{
	struct merge m = {0};

	if (!j->trace_dir)
		return;
	if (!read_parts(&m, j->trace_dir) || !put_in_order(&m) || !write_all(&m, j->opts.trace))
		art__run_say(j, "cannot write the trace to %s: %s; what the ranks wrote is in %s",
			     j->opts.trace, strerror(errno), j->trace_dir);
	else
		remove_directory(j->trace_dir);
	for (uint32_t i = 0; i < m.parts; i++)
		munmap(m.part[i].map, m.part[i].bytes);
	free(m.part);
	free(m.item);
	free(j->trace_dir);
	j->trace_dir = NULL;
}
