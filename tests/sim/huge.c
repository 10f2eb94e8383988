/* SPDX-License-Identifier: MIT
 *
 * Description: more than 2^31 elements in one call: bcast, reduce and allreduce of bytes between
 * two cores in one process. The vectors are windows on one small piece of memory, mapped again
 * and again, so that only the last one costs what it holds: what repeats is checked in that
 * piece, what must not be cut off in a tail of its own, and the bytes sent are counted.
 *
 *	huge [bcast|reduce|allreduce]     which; without: a bcast, and an allreduce, which is a reduce, too
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <art/art.h>

#include "base/marks.h"
#include "coll/combine.h"
#include "tests/lib/scenario.h"

#define WINDOW (UINT64_C(1) << 21)
#define WHOLE (UINT64_C(1) << 31)
#define TAIL UINT64_C(70001)
#define COUNT (WHOLE + TAIL)
#define NEEDED_BYTES (UINT64_C(7) << 30) /* copies that the cores may keep until all is stable */
#define STEPS_MAX UINT64_C(50000000)

/* ---- vectors ---- */

static uint8_t *map_vector(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC);
	uint64_t span = WHOLE + WINDOW;
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, 2 * (off_t)WINDOW) != 0)
		return NULL;
	p = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	for (uint64_t at = 0; at < span; at += WINDOW) {
		off_t from = at < WHOLE ? 0 : (off_t)WINDOW;
		void *q = mmap(p + at, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			       from);
		if (q == MAP_FAILED)
			return NULL;
	}
	close(fd);
	return p;
}

static uint8_t value_at(uint64_t i, int salt)
{
	return (uint8_t)((i * 2654435761u >> 7) * (uint64_t)(2 * salt + 1) >> 3);
}

static void fill(uint8_t *v, int salt)
{
	for (uint64_t i = 0; i < WINDOW; i++)
		v[i] = value_at(i, salt);
	for (uint64_t i = 0; i < TAIL; i++)
		v[WHOLE + i] = value_at(i + 3, salt);
}

/* The or of the inputs of @salts (bits). */
static bool right(const uint8_t *v, int salts)
{
	for (uint64_t i = 0; i < WINDOW + TAIL; i++) {
		uint64_t k = i < WINDOW ? i : i - WINDOW + 3;
		uint8_t want = 0;
		for (int s = 0; s < 2; s++)
			want |= salts >> s & 1 ? value_at(k, s) : 0;
		if (v[i < WINDOW ? i : WHOLE + i - WINDOW] != want)
			return false;
	}
	return true;
}

/* ---- two cores, joined by a queue ---- */

struct message {
	struct message *next;
	enum art_chan chan;
	int to;
	struct art_hdr hdr;
	uint8_t body[];
};

struct pair {
	struct side {
		struct pair *pair;
		int slot;
		struct art_env env;
		struct art_port port;
		struct art_core *core;
		struct art_machine *machine;
		uint64_t payload; /* bytes of streams sent */
	} side[2];
	struct message *first, **last;
	uint64_t now;
	bool broken;
};

static uint64_t now_ns(void *self)
{
	return ((struct side *)self)->pair->now;
}

static uint64_t fixed_random(void *self)
{
	(void)self;
	return 4;
}

static void *take(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes);
}

static void give(void *self, void *p)
{
	(void)self;
	free(p);
}

static void say(void *self, enum art_log_level level, const char *line)
{
	(void)level;
	fprintf(stderr, "rank %d: %s\n", ((struct side *)self)->slot, line);
}

static int send_message(void *self, enum art_chan chan, int to, const struct art_hdr *h,
			const void *body, size_t len)
{
	struct side *s = self;
	struct message *m = malloc(sizeof(*m) + len);

	if (!m) {
		s->pair->broken = true;
		return 1;
	}
	m->next = NULL;
	m->chan = chan;
	m->to = to;
	m->hdr = *h;
	m->hdr.src = (uint32_t)s->slot;
	m->hdr.len = (uint32_t)len;
	if (len)
		memcpy(m->body, body, len);
	if (chan == ART_CHAN_DATA)
		s->payload += len;
	*s->pair->last = m;
	s->pair->last = &m->next;
	return 1;
}

static void no_slot(void *self, int slot)
{
	(void)slot;
	((struct side *)self)->pair->broken = true; /* nobody fails here */
}

static void no_done(void *self, struct art_op *op)
{
	(void)self;
	(void)op;
}

static void no_compute(void *self, struct art_job *job)
{
	(void)job;
	((struct side *)self)->pair->broken = true;
}

static bool pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->last = &p->first;
	p->now = ART_NS_PER_S;
	for (int i = 0; i < 2; i++) {
		struct side *s = &p->side[i];
		struct art_core_cfg cfg;
		s->pair = p;
		s->slot = i;
		s->env = (struct art_env){ .self = s, .now_ns = now_ns, .random = fixed_random,
			.alloc = take, .free = give, .log = say, .log_level = ART_LOG_WARN };
		s->port = (struct art_port){ .self = s, .send = send_message, .fence = no_slot,
			.relink = no_slot, .done = no_done, .compute = no_compute };
		art__core_defaults(&cfg);
		cfg.slot = i;
		cfg.size = 2;
		cfg.job = 1;
		if (art__core_create(&s->env, &s->port, &cfg, &s->core) != 0)
			return false;
		s->machine = art__core_machine(s->core);
	}
	return true;
}

static bool deliver(struct pair *p)
{
	struct message *m = p->first;
	struct art_machine *to;

	if (!m)
		return false;
	p->first = m->next;
	if (!p->first)
		p->last = &p->first;
	to = p->side[m->to].machine;
	to->ops->frame(to, m->chan, 1 - m->to, &m->hdr, m->body);
	free(m);
	return true;
}

/* Nothing is under way: time passes until somebody wants it. */
static bool wait_for_timer(struct pair *p)
{
	uint64_t at = ART_NEVER;

	for (int i = 0; i < 2; i++) {
		uint64_t w = p->side[i].machine->ops->wake_ns(p->side[i].machine);
		at = w < at ? w : at;
	}
	if (at == ART_NEVER)
		return false;
	p->now = at > p->now ? at : p->now + 1;
	for (int i = 0; i < 2; i++)
		p->side[i].machine->ops->tick(p->side[i].machine);
	return true;
}

static bool run_until_done(struct pair *p, struct art_op *const op[2])
{
	for (uint64_t i = 0; i < STEPS_MAX && !p->broken; i++) {
		if (art__op_done(op[0]) && art__op_done(op[1]))
			return true;
		if (!deliver(p) && !wait_for_timer(p))
			return false;
	}
	return false;
}

static bool call_both(struct pair *p, const struct art_call call[2])
{
	struct art_op *op[2];
	struct art_outcome out;
	bool good;

	for (int i = 0; i < 2; i++) {
		struct side *s = &p->side[i];
		if (art__core_start(s->core, art__core_world(s->core), &call[i], 0, &op[i]) < 0)
			return false;
	}
	good = run_until_done(p, op);
	for (int i = 0; i < 2 && good; i++) {
		art__op_outcome(op[i], &out);
		good = out.code == 0;
		art__op_release(p->side[i].core, op[i]);
	}
	return good;
}

static void pair_end(struct pair *p)
{
	const struct art_call end[2] = { { .kind = ART_C_FINALIZE, .root = -1 },
					 { .kind = ART_C_FINALIZE, .root = -1 } };

	if (!p->broken && !call_both(p, end))
		p->broken = true;
	while (p->first) {
		struct message *m = p->first;
		p->first = m->next;
		free(m);
	}
	for (int i = 0; i < 2; i++)
		art__core_destroy(p->side[i].core);
}

/* ---- the tests ---- */

static bool try(enum art_coll kind, uint8_t *in[2], uint8_t *out[2])
{
	struct art_call call[2];
	struct pair p;
	bool good;

	if (!pair_init(&p))
		return false;
	for (int i = 0; i < 2; i++) {
		memset(out[i], 0, WINDOW);
		memset(out[i] + WHOLE, 0, TAIL);
		call[i] = (struct art_call){
			.kind = kind, .count = COUNT, .type = ART_T_BYTE,
			.root = kind == ART_C_ALLREDUCE ? -1 : 0,
			.op = kind == ART_C_BCAST ? 0 : ART_O_BOR,
			.sendbuf = in[i], .recvbuf = out[i],
		};
	}
	if (kind == ART_C_BCAST) {
		call[0].sendbuf = call[0].recvbuf = in[0];
		call[1].sendbuf = NULL;
	}
	if (kind == ART_C_REDUCE)
		call[1].recvbuf = NULL;
	good = call_both(&p, call);
	if (kind == ART_C_BCAST)
		good = good && right(out[1], 1);
	else
		good = good && right(out[0], 3) && (kind == ART_C_REDUCE || right(out[1], 3));
	pair_end(&p);
	printf("%s of %llu bytes: %s, %llu and %llu bytes sent\n", scenario_coll_name(kind),
	       (unsigned long long)COUNT, good && !p.broken ? "right" : "WRONG",
	       (unsigned long long)p.side[0].payload, (unsigned long long)p.side[1].payload);
	return good && !p.broken && p.side[0].payload + p.side[1].payload >= COUNT;
}

int main(int argc, char **argv)
{
	static const enum art_coll kinds[] = { ART_C_BCAST, ART_C_REDUCE, ART_C_ALLREDUCE };
	uint8_t *in[2], *out[2];
	struct sysinfo si;
	int failed = 0;

	if (sysinfo(&si) != 0 || (uint64_t)si.freeram * si.mem_unit < NEEDED_BYTES) {
		printf("SKIP less than %llu MiB of memory are free\n",
		       (unsigned long long)(NEEDED_BYTES >> 20));
		return 77;
	}
	for (int i = 0; i < 2; i++) {
		in[i] = map_vector();
		out[i] = map_vector();
		if (!in[i] || !out[i]) {
			printf("SKIP the vectors cannot be mapped\n");
			return 77;
		}
		fill(in[i], i);
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		const char *name = scenario_coll_name(kinds[k]);

		if (argc > 1 ? strcmp(argv[1], name) != 0 : kinds[k] == ART_C_REDUCE)
			continue;
		scenario_crash_line("huge %s", name);
		if (!try(kinds[k], in, out)) {
			printf("FAIL huge %s\n", name);
			failed = 1;
		}
	}
	return failed;
}
