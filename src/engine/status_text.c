/* SPDX-License-Identifier: MIT
 *
 * A snapshot as JSON, into a buffer of fixed size. All texts are our own words, so nothing needs
 * escaping. Sets of ranks are arrays of [first, last].
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/status.h"

struct out {
	char *at, *end;
};

static void __attribute__((format(printf, 2, 3))) put(struct out *o, const char *fmt, ...)
{
	size_t room = (size_t)(o->end - o->at);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->at, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->at += (size_t)n < room ? (size_t)n : room - 1;
}

static void put_set(struct out *o, const char *name, const struct art_set *s)
{
	uint32_t i = art__set_next(s, 0);
	const char *comma = "";

	put(o, "\"%s\":[", name);
	while (i < s->n) {
		uint32_t last = i;

		while (last + 1 < s->n && art__set_has(s, last + 1))
			last++;
		put(o, "%s[%" PRIu32 ",%" PRIu32 "]", comma, i, last);
		comma = ",";
		i = art__set_next(s, last + 1);
	}
	put(o, "]");
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) * 1e-9 : 0;
}

static void put_comm(struct out *o, const struct art_report_comm *c)
{
	put(o, "{\"id\":\"%016" PRIx64 "\",\"world\":%s,\"rank\":%d,\"size\":%d,", c->id,
	    c->world ? "true" : "false", c->rank, c->size);
	put(o, "\"entered\":%" PRIu64 ",\"stable\":%" PRIu64 ",\"log_ops\":%" PRIu32
	    ",\"log_bytes\":%zu,\"loss\":\"%s\",", c->entered, c->stable, c->log_ops, c->log_bytes,
	    c->policy);
	put_set(o, "ranks", &c->slots);
	put(o, "}");
}

static void put_op(struct out *o, const struct art_report_op *p, uint64_t now)
{
	put(o, "{\"comm\":\"%016" PRIx64 "\",\"op\":\"%s\",\"seq\":%" PRIu64 ",\"state\":\"%s\",",
	    p->comm, p->kind, p->seq, p->state);
	put(o, "\"bytes\":%zu,\"epoch\":%" PRIu32 ",\"replays\":%" PRIu32, p->bytes, p->epoch,
	    p->replays);
	if (p->root >= 0)
		put(o, ",\"root\":%d", p->root);
	if (p->started_ns)
		put(o, ",\"since_s\":%.3f", seconds(p->started_ns, now));
	if (p->asked) {
		put(o, ",");
		put_set(o, "entered", &p->entered);
		put(o, ",");
		put_set(o, "missing", &p->missing);
	}
	put(o, "}");
}

static void put_chan(struct out *o, const char *name, const struct art_snapshot_chan *c)
{
	put(o, "\"%s\":{\"connections\":%d,\"sent_messages\":%" PRIu64 ",\"sent_bytes\":%" PRIu64
	    ",\"received_messages\":%" PRIu64 ",\"received_bytes\":%" PRIu64
	    ",\"queued_bytes\":%zu,\"counts\":{", name, c->up, c->tx_messages, c->tx_bytes,
	    c->rx_messages, c->rx_bytes, c->pending);
	for (unsigned i = 0; i < c->ncount; i++)
		put(o, "%s\"%s\":%" PRIu64, i ? "," : "", c->count[i].what, c->count[i].n);
	put(o, "}},");
}

static void put_detector(struct out *o, const struct art_report *r)
{
	put(o, ",\"detector\":{\"heartbeat_s\":%.3f,\"bound_s\":%.3f,\"hosts_watched\":%d,",
	    seconds(0, r->heartbeat_ns), seconds(0, r->bound_ns), r->hosts_watched);
	put_set(o, "silent", &r->silent);
	put(o, ",\"silent_s\":%.3f,", seconds(0, r->silent_ns));
	put_set(o, "stopped", &r->stopped);
	put(o, ",\"stopped_s\":%.3f}", seconds(0, r->stopped_ns));
}

static void put_machine(struct out *o, const struct art_report *r, uint64_t now)
{
	put(o, ",\"epoch\":%" PRIu32 ",\"base\":%" PRIu32 ",\"changing\":%s,\"fate\":", r->epoch,
	    r->base, r->changing ? "true" : "false");
	put(o, r->fate ? "\"%s\"," : "null,", r->fate);
	put_set(o, "members", &r->members);
	put(o, ",");
	put_set(o, "dead", &r->dead);
	put(o, ",");
	put_set(o, "suspect", &r->suspect);
	put(o, ",");
	put_set(o, "indirect", &r->indirect);
	put(o, ",\"relayed\":%" PRIu64 ",\"edges\":[", r->relayed);
	for (uint32_t i = 0; i < r->edges.n; i++)
		put(o, "%s[%" PRIu32 ",%" PRIu32 "]", i ? "," : "", r->edges.e[i].a, r->edges.e[i].b);
	put(o, "]");
	put_detector(o, r);
	put(o, ",\"memory_bytes\":%zu,\"shared_bytes\":%zu,\"comms_all\":%d,\"comms\":[", r->memory_bytes,
	    r->shared_bytes, r->ncomm_all);
	for (int i = 0; i < r->ncomm; i++) {
		put(o, "%s", i ? "," : "");
		put_comm(o, &r->comm[i]);
	}
	put(o, "],\"ops_all\":%d,\"ops\":[", r->nop_all);
	for (int i = 0; i < r->nop; i++) {
		put(o, "%s", i ? "," : "");
		put_op(o, &r->op[i], now);
	}
	put(o, "]");
}

size_t art__status_text(const struct art_snapshot *s, const struct art_status_id *id, char *out,
			size_t size)
{
	struct out o = {out, out + size};

	put(&o, "{\"format\":1,\"job\":\"%016" PRIx64 "\",\"rank\":%d,\"size\":%d,\"pid\":%d,", id->job,
	    s->report.slot, s->report.size, id->pid);
	put(&o, "\"in_call\":%s", s->in_call ? "true" : "false");
	if (s->quiet_ns)
		put(&o, ",\"quiet_s\":%.3f", seconds(s->quiet_ns, s->now_ns));
	if (s->described)
		put_machine(&o, &s->report, s->now_ns);
	put(&o, ",\"transport\":{\"name\":\"%s\",", s->transport);
	put_chan(&o, "data", &s->chan[0]);
	put_chan(&o, "control", &s->chan[1]);
	put(&o, "\"garbage\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"repeats\":%" PRIu64
	    "},\"answers_cut\":%" PRIu64 "}\n", s->garbage, s->gaps, s->repeats, id->garbled);
	return (size_t)(o.at - out);
}
