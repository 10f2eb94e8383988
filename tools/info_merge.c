/* SPDX-License-Identifier: MIT
 *
 * Puts what the ranks say into one picture of each job: which op waits, who has entered it, and for
 * everybody who has not, why. A rank that has called a later op of the same communicator has
 * entered this one; of ranks that could not be asked the others' roll calls tell.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/info.h"

/* What is known of a job; indexed by rank. */
struct job {
	const char *id;
	int size;
	const json_t *found[ART_MAX_RANKS];  /* as info_ranks() has it, or NULL */
	const json_t *answer[ART_MAX_RANKS]; /* likewise */
	struct art_set lost;
	int64_t epoch;
};

static int64_t integer(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "?";
}

void info_set_read(const json_t *ranges, struct art_set *s)
{
	size_t i;
	json_t *r;

	json_array_foreach(ranges, i, r) {
		int64_t first = json_integer_value(json_array_get(r, 0));
		int64_t last = json_integer_value(json_array_get(r, 1));

		for (; first >= 0 && first <= last && first < (int64_t)s->n; first++)
			art__set_add(s, (uint32_t)first);
	}
}

json_t *info_set_json(const struct art_set *s)
{
	json_t *out = info_must(json_array());
	uint32_t i = art__set_next(s, 0);

	while (i < s->n) {
		uint32_t last = i;

		while (last + 1 < s->n && art__set_has(s, last + 1))
			last++;
		json_array_append_new(out, info_must(json_pack("[i,i]", (int)i, (int)last)));
		i = art__set_next(s, last + 1);
	}
	return out;
}

static const json_t *comm_of(const json_t *answer, const char *id)
{
	size_t i;
	json_t *c;

	json_array_foreach(json_object_get(answer, "comms"), i, c)
		if (strcmp(text(c, "id"), id) == 0)
			return c;
	return NULL;
}

static const char *comm_name(const json_t *comm, const char *id, char buf[32])
{
	if (json_is_true(json_object_get(comm, "world")))
		return "world";
	snprintf(buf, 32, "comm %.8s", id);
	return buf;
}

/* Members of the newest view anybody knows; everybody else, and the certified dead, are lost. */
static void find_lost(struct job *j)
{
	struct art_set members, dead;
	const json_t *newest = NULL;

	art__set_init(&j->lost, (uint32_t)j->size);
	art__set_init(&members, (uint32_t)j->size);
	art__set_init(&dead, (uint32_t)j->size);
	j->epoch = -1;
	for (int r = 0; r < j->size; r++) {
		if (!j->answer[r] || !json_object_get(j->answer[r], "members"))
			continue;
		if (integer(j->answer[r], "epoch") > j->epoch) {
			j->epoch = integer(j->answer[r], "epoch");
			newest = j->answer[r];
		}
		info_set_read(json_object_get(j->answer[r], "dead"), &dead);
	}
	if (!newest)
		return;
	art__set_fill(&j->lost, (uint32_t)j->size);
	info_set_read(json_object_get(newest, "members"), &members);
	art__set_minus(&j->lost, &members);
	art__set_or(&j->lost, &dead);
}

/* The op a rank is in, "" if none. */
static void where(const json_t *answer, char *out, size_t size)
{
	const json_t *op = json_array_get(json_object_get(answer, "ops"), 0);
	char buf[32];

	out[0] = '\0';
	if (op)
		snprintf(out, size, "%s %lld on %s", text(op, "op"), (long long)integer(op, "seq"),
			 comm_name(comm_of(answer, text(op, "comm")), text(op, "comm"), buf));
}

static json_t *why(const struct job *j, int r, bool called_out)
{
	const json_t *a = j->answer[r];
	char line[160], place[96];

	if (art__set_has(&j->lost, (uint32_t)r))
		snprintf(line, sizeof(line), "lost");
	else if (a && json_is_true(json_object_get(a, "in_call"))) {
		where(a, place, sizeof(place));
		snprintf(line, sizeof(line), "waits in %s", place[0] ? place : "another call of ART");
	} else if (a)
		snprintf(line, sizeof(line), "outside ART since %.1f s (computing?)",
			 number(a, "quiet_s"));
	else if (j->found[r])
		snprintf(line, sizeof(line), "does not answer%s",
			 json_is_true(json_object_get(j->found[r], "stopped")) ?
				 ": its process is stopped" : "");
	else
		snprintf(line, sizeof(line), "could not be asked%s",
			 called_out ? "; it has told others that it has not entered" : "");
	return info_must(json_pack("{s:i, s:s}", "rank", r, "why", line));
}

static void who_has_entered(const struct job *j, const char *comm, int64_t seq,
			    struct art_set *entered)
{
	for (int r = 0; r < j->size; r++) {
		const json_t *c = comm_of(j->answer[r], comm);

		if (c && integer(c, "entered") >= seq)
			art__set_add(entered, (uint32_t)r);
	}
}

/* One open op, seen by @r first. */
static json_t *picture(const struct job *j, int r, const json_t *op)
{
	const char *id = text(op, "comm");
	const json_t *comm = comm_of(j->answer[r], id);
	struct art_set ranks, entered, silent;
	json_t *missing = info_must(json_array());
	int64_t seq = integer(op, "seq");
	char buf[32];

	art__set_init(&ranks, (uint32_t)j->size);
	art__set_init(&entered, (uint32_t)j->size);
	art__set_init(&silent, (uint32_t)j->size);
	info_set_read(json_object_get(comm, "ranks"), &ranks);
	info_set_read(json_object_get(op, "entered"), &entered);
	info_set_read(json_object_get(op, "missing"), &silent);
	who_has_entered(j, id, seq, &entered);
	art__set_and(&entered, &ranks);
	ART_SET_EACH(i, &ranks)
		if (!art__set_has(&entered, i))
			json_array_append_new(missing, why(j, (int)i, art__set_has(&silent, i)));
	return info_must(json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:f, s:i, s:i, s:o, s:o}", "comm",
				   comm_name(comm, id, buf), "comm_id", id, "op", text(op, "op"),
				   "seq", (json_int_t)seq, "state", text(op, "state"), "bytes",
				   (json_int_t)integer(op, "bytes"), "since_s", number(op, "since_s"),
				   "size", (int)art__set_count(&ranks), "entered_count",
				   (int)art__set_count(&entered), "entered", info_set_json(&entered),
				   "missing", missing));
}

static json_t *same_op(json_t *waiting, const json_t *op)
{
	size_t i;
	json_t *w;

	json_array_foreach(waiting, i, w)
		if (integer(w, "seq") == integer(op, "seq") &&
		    strcmp(text(w, "comm_id"), text(op, "comm")) == 0)
			return w;
	return NULL;
}

static json_t *waiting_ops(const struct job *j)
{
	json_t *waiting = info_must(json_array()), *op, *w;
	size_t i;

	for (int r = 0; r < j->size; r++) {
		json_array_foreach(json_object_get(j->answer[r], "ops"), i, op) {
			w = same_op(waiting, op);
			if (!w)
				json_array_append_new(waiting, picture(j, r, op));
			else if (number(op, "since_s") > number(w, "since_s"))
				json_object_set_new(w, "since_s",
						    json_real(number(op, "since_s")));
		}
	}
	return waiting;
}

static json_t *picture_of_job(const struct job *j)
{
	json_t *ranks = info_must(json_array()), *out;
	const char *program = "?";
	int answered = 0, found = 0;

	for (int r = 0; r < j->size; r++) {
		if (!j->found[r])
			continue;
		found++;
		answered += j->answer[r] != NULL;
		program = text(j->found[r], "program");
		json_array_append(ranks, (json_t *)(uintptr_t)j->found[r]);
	}
	out = info_must(json_pack("{s:s, s:s, s:i, s:i, s:i, s:I}", "job", j->id, "program", program,
				  "size", j->size, "found", found, "answered", answered, "epoch",
				  (json_int_t)j->epoch));
	json_object_set_new(out, "lost", info_set_json(&j->lost));
	json_object_set_new(out, "waiting", waiting_ops(j));
	json_object_set_new(out, "ranks", ranks);
	return out;
}

static void gather(struct job *j, const json_t *ranks)
{
	size_t i;
	json_t *r;

	json_array_foreach(ranks, i, r) {
		int64_t k = integer(r, "rank"), size;

		if (strcmp(text(r, "job"), j->id) || k < 0 || k >= (int64_t)ART_MAX_RANKS)
			continue;
		j->found[k] = r;
		j->answer[k] = json_object_get(r, "answer");
		size = integer(j->answer[k], "size");
		if (size > j->size)
			j->size = size < (int64_t)ART_MAX_RANKS ? (int)size : (int)ART_MAX_RANKS;
		if (k >= j->size)
			j->size = (int)k + 1;
	}
	find_lost(j);
}

json_t *info_jobs(const json_t *ranks)
{
	json_t *jobs = info_must(json_array()), *r, *seen = info_must(json_object());
	struct job *j;
	size_t i;

	json_array_foreach(ranks, i, r) {
		const char *id = text(r, "job");

		if (json_object_get(seen, id))
			continue;
		json_object_set_new(seen, id, json_true());
		j = calloc(1, sizeof(*j));
		if (!j)
			info_die("out of memory");
		j->id = id;
		gather(j, ranks);
		json_array_append_new(jobs, picture_of_job(j));
		free(j);
	}
	json_decref(seen);
	return jobs;
}
