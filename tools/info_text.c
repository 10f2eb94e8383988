/* SPDX-License-Identifier: MIT
 *
 * art-info's output for people, made of the JSON values.
 */
#include <string.h>

#include "tools/info.h"

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "?";
}

static long long integer(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void print_ranges(FILE *out, const json_t *ranges)
{
	const char *comma = "";
	size_t i;
	json_t *r;

	json_array_foreach(ranges, i, r) {
		long long first = (long long)json_integer_value(json_array_get(r, 0));
		long long last = (long long)json_integer_value(json_array_get(r, 1));

		fprintf(out, first == last ? "%s%lld" : "%s%lld-%lld", comma, first, last);
		comma = ",";
	}
}

/* ---- version, build, topology, settings ---- */

static void print_pairs(FILE *out, const char *title, const json_t *object)
{
	const char *key;
	json_t *v;

	fprintf(out, "%s\n", title);
	json_object_foreach((json_t *)(uintptr_t)object, key, v) {
		if (json_is_string(v))
			fprintf(out, "  %-18s %s\n", key, json_string_value(v));
		else if (json_is_integer(v))
			fprintf(out, "  %-18s %lld\n", key, (long long)json_integer_value(v));
		else if (json_is_null(v))
			fprintf(out, "  %-18s none\n", key);
	}
}

static void print_settings(FILE *out, const json_t *settings)
{
	size_t i;
	json_t *s;

	fputs("settings (key in art.conf, value, where it comes from)\n", out);
	json_array_foreach(settings, i, s) {
		const char *value = text(s, "value");

		fprintf(out, "  %s = %s  [%s]\n      %s\n      %s; %s; default '%s'\n", text(s, "key"),
			*value ? value : "(empty)", text(s, "origin"), text(s, "help"),
			text(s, "variable"), text(s, "wants"), text(s, "default"));
	}
}

void info_print_host(FILE *out, const json_t *host)
{
	const json_t *settings = json_object_get(host, "settings");

	fprintf(out, "ART %s\n", text(host, "version"));
	print_pairs(out, "build", json_object_get(host, "build"));
	print_pairs(out, "this host", json_object_get(host, "topology"));
	if (settings)
		print_settings(out, settings);
}

/* ---- jobs ---- */

static void print_waiting(FILE *out, const json_t *w)
{
	const json_t *missing = json_object_get(w, "missing");
	size_t i;
	json_t *m;

	fprintf(out, "  %s %lld on %s: %lld of %lld have entered, for %.1f s", text(w, "op"),
		integer(w, "seq"), text(w, "comm"), integer(w, "entered_count"), integer(w, "size"),
		json_number_value(json_object_get(w, "since_s")));
	if (json_array_size(missing) == 0)
		fprintf(out, " (%s)", text(w, "state"));
	fputs(json_array_size(missing) ? ", missing:\n" : "\n", out);
	json_array_foreach(missing, i, m) {
		if (i == 32) {
			fprintf(out, "    and %zu more\n", json_array_size(missing) - i);
			break;
		}
		fprintf(out, "    rank %lld: %s\n", integer(m, "rank"), text(m, "why"));
	}
}

/* What was refused at a rank's ports, by reason. */
static void print_refused(FILE *out, const char *channel, const json_t *chan)
{
	json_t *counts = json_object_get(chan, "counts"), *n;
	const char *what;

	json_object_foreach(counts, what, n)
		if (strstr(what, "refused") && json_integer_value(n) > 0)
			fprintf(out, "    %s connections %s: %lld\n", channel, what,
				(long long)json_integer_value(n));
}

/* Through which of several transports a rank reaches the others: connections made so far. */
static void print_ways(FILE *out, const json_t *chan)
{
	json_t *counts = json_object_get(chan, "counts");
	long long shm = json_integer_value(json_object_get(counts, "shm-up"));
	long long tcp = json_integer_value(json_object_get(counts, "up"));

	if (!json_object_get(counts, "shm-up"))
		return;
	fputs("    data connections made:", out);
	if (shm || !tcp)
		fprintf(out, " %lld shm", shm);
	if (tcp)
		fprintf(out, " %lld tcp", tcp);
	fputc('\n', out);
}

/* What a rank has pinned for RDMA, and what became of it. */
static void print_rdma(FILE *out, const json_t *chan)
{
	json_t *counts = json_object_get(chan, "counts");

	if (!json_object_get(counts, "rdma-up"))
		return;
	fprintf(out, "    RDMA: %lld pairs, %lld broken; %lld bytes registered; %lld messages sent, "
		"%lld waited for space, %lld sent again over TCP; %lld offers refused, %lld pairs without "
		"memory\n",
		integer(counts, "rdma-up"), integer(counts, "rdma-broken"),
		integer(counts, "rdma-bytes-registered"), integer(counts, "rdma-sent"),
		integer(counts, "rdma-queued"), integer(counts, "rdma-resent"),
		integer(counts, "rdma-refused-offers"), integer(counts, "rdma-no-memory"));
	if (integer(counts, "rdma-lent") || integer(counts, "rdma-pulled"))
		fprintf(out, "    of the program's memory: %lld messages lent, %lld read from others; %lld bytes "
			"registered now, %lld times\n",
			integer(counts, "rdma-lent"), integer(counts, "rdma-pulled"),
			integer(counts, "rdma-user-bytes-registered"),
			integer(counts, "rdma-user-registrations"));
	if (integer(counts, "rdma-shared-receives"))
		fprintf(out, "    its pairs share %lld receives; busy ones got more %lld times, idle ones gave back %lld "
			"times\n", integer(counts, "rdma-shared-receives"), integer(counts, "rdma-grants-grown"),
			integer(counts, "rdma-grants-given-back"));
	if (integer(counts, "rdma-chose-write") || integer(counts, "rdma-chose-read"))
		fprintf(out, "    long messages are %s: that was faster on this device\n",
			integer(counts, "rdma-chose-read") ? "read out of it by the others" : "written out of it");
}

/* Members who give no sign of life, as this rank sees it: they are given up at the bound. */
static void print_quiet(FILE *out, const json_t *detector, const char *what, const char *for_s)
{
	const json_t *ranks = json_object_get(detector, what);

	if (json_array_size(ranks) == 0)
		return;
	fprintf(out, "    finds %s, for %.1f s of %.1f s: rank ", what,
		json_number_value(json_object_get(detector, for_s)),
		json_number_value(json_object_get(detector, "bound_s")));
	print_ranges(out, ranks);
	fputc('\n', out);
}

/* Hosts that do not reach each other, as the view says, and what could not go round. */
static void print_edges(FILE *out, const json_t *a)
{
	const json_t *edges = json_object_get(a, "edges"), *e;
	size_t i;

	json_array_foreach(edges, i, e)
		fprintf(out, "%s the hosts of ranks %lld and %lld", i ? "," : "    operations go round dead edges:",
			(long long)json_integer_value(json_array_get(e, 0)),
			(long long)json_integer_value(json_array_get(e, 1)));
	if (json_array_size(edges))
		fputc('\n', out);
	if (integer(a, "relayed") > 0)
		fprintf(out, "    messages of operations sent through another rank: %lld\n",
			integer(a, "relayed"));
}

static void print_rank(FILE *out, const json_t *r)
{
	const json_t *a = json_object_get(r, "answer"), *t = json_object_get(a, "transport");
	size_t i, log_ops = 0, log_bytes = 0;
	json_t *c;

	if (!a) {
		fprintf(out, "  rank %lld, process %lld: no answer%s\n", integer(r, "rank"),
			integer(r, "pid"),
			json_is_true(json_object_get(r, "stopped")) ? " (stopped)" : "");
		return;
	}
	json_array_foreach(json_object_get(a, "comms"), i, c) {
		log_ops += (size_t)integer(c, "log_ops");
		log_bytes += (size_t)integer(c, "log_bytes");
	}
	fprintf(out, "  rank %lld, process %lld: epoch %lld, %s ART, %lld open; log %zu ops %zu bytes, "
		"%lld bytes in all, %lld shared; %s: %lld connections, %lld messages %lld bytes sent, "
		"%lld %lld received\n",
		integer(r, "rank"), integer(r, "pid"), integer(a, "epoch"),
		json_is_true(json_object_get(a, "in_call")) ? "inside" : "outside",
		integer(a, "ops_all"), log_ops, log_bytes, integer(a, "memory_bytes"),
		integer(a, "shared_bytes"),
		text(t, "name"), integer(json_object_get(t, "data"), "connections"),
		integer(json_object_get(t, "data"), "sent_messages"),
		integer(json_object_get(t, "data"), "sent_bytes"),
		integer(json_object_get(t, "data"), "received_messages"),
		integer(json_object_get(t, "data"), "received_bytes"));
	print_ways(out, json_object_get(t, "data"));
	print_rdma(out, json_object_get(t, "data"));
	print_refused(out, "data", json_object_get(t, "data"));
	print_refused(out, "control", json_object_get(t, "control"));
	if (json_is_string(json_object_get(a, "fate")))
		fprintf(out, "    can do no more: %s\n", text(a, "fate"));
	if (json_is_true(json_object_get(a, "changing")))
		fputs("    a decision about the members is under way\n", out);
	if (json_array_size(json_object_get(a, "indirect"))) {
		fputs("    reached through another rank only, the way there is dead: ", out);
		print_ranges(out, json_object_get(a, "indirect"));
		fputc('\n', out);
	}
	print_edges(out, a);
	print_quiet(out, json_object_get(a, "detector"), "silent", "silent_s");
	print_quiet(out, json_object_get(a, "detector"), "stopped", "stopped_s");
}

static void print_job(FILE *out, const json_t *j, bool details)
{
	const json_t *lost = json_object_get(j, "lost"), *waiting = json_object_get(j, "waiting");
	size_t i;
	json_t *e;

	fprintf(out, "job %s: %s, %lld ranks, %lld found here, %lld answered", text(j, "job"),
		text(j, "program"), integer(j, "size"), integer(j, "found"), integer(j, "answered"));
	if (integer(j, "epoch") >= 0)
		fprintf(out, ", epoch %lld", integer(j, "epoch"));
	if (json_array_size(lost)) {
		fputs(", lost: ", out);
		print_ranges(out, lost);
	}
	fputc('\n', out);
	json_array_foreach(waiting, i, e)
		print_waiting(out, e);
	if (json_array_size(waiting) == 0)
		fputs("  nobody waits\n", out);
	json_array_foreach(json_object_get(j, "ranks"), i, e)
		if (details || !json_object_get(e, "answer"))
			print_rank(out, e);
}

void info_print_jobs(FILE *out, const json_t *jobs, bool details)
{
	size_t i;
	json_t *j;

	json_array_foreach(jobs, i, j)
		print_job(out, j, details);
}
