/* SPDX-License-Identifier: MIT
 *
 * Description: large operations while threads help: a hash of all results of a rank, for a script to compare with
 * that of another run. How many threads help, that none does before something large has come, and that they do not
 * run while the rank waits or computes.
 *
 *   t_workers N|any [apart]     as many threads as that; any: not checked. apart: each has a CPU of its own
 */
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/process/check.h"

#define BYTES (((size_t)4 << 20) + 96) /* whole elements of all types, whole pages of none */
#define TURNS 2
#define PATIENCE_MS 20000
#define IDLE_MS 300
#define IDLE_NS 30000000ULL

static uint64_t hash = 14695981039346656037u;
static uint8_t *in, *out;

static void add(const void *p, size_t bytes)
{
	const uint64_t *w = p;

	for (size_t i = 0; i < bytes / sizeof(*w); i++)
		hash = (hash ^ w[i]) * 1099511628211u;
}

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 11;
}

/* Of many magnitudes, so that each order of adding them gives other bits. */
static void fill_doubles(uint64_t turn)
{
	uint64_t state = turn * 1000 + (uint64_t)my_rank;
	double *v = (double *)in;

	for (size_t i = 0; i < BYTES / sizeof(*v); i++)
		v[i] = ((double)next(&state) - 4e15) / (double)(1u << (next(&state) % 20));
}

static void fill_floats(uint64_t turn)
{
	uint64_t state = turn * 1000 + (uint64_t)my_rank;
	float *v = (float *)in;

	for (size_t i = 0; i < BYTES / sizeof(*v); i++)
		v[i] = 0.5f + (float)(next(&state) % 1000) / 999.0f;
}

static void fill_pairs(uint64_t turn)
{
	struct { double value; int32_t index; } *v = (void *)in;
	uint64_t state = turn * 1000 + (uint64_t)my_rank;

	memset(in, 0, BYTES);
	for (size_t i = 0; i < BYTES / sizeof(*v); i++) {
		v[i].value = (double)(next(&state) % 3);
		v[i].index = (int32_t)(next(&state) % 100);
	}
}

static void all_kinds(uint64_t turn, art_comm_t self, art_comm_t fixed)
{
	art_request_t req;

	fill_doubles(turn);
	OK(art_allreduce(in, out, BYTES / 8, ART_DOUBLE, ART_SUM, ART_COMM_WORLD));
	add(out, BYTES);
	OK(art_allreduce(in, out, BYTES / 8, ART_DOUBLE, ART_SUM, fixed));
	add(out, BYTES);
	memcpy(out, in, BYTES);
	OK(art_allreduce(ART_IN_PLACE, out, BYTES / 8, ART_DOUBLE, ART_MIN, ART_COMM_WORLD));
	add(out, BYTES);
	OK(art_iallreduce(in, out, BYTES / 8, ART_INT64, ART_BXOR, ART_COMM_WORLD, &req));
	add(in, BYTES); /* a computation */
	OK(art_wait(&req, NULL));
	add(out, BYTES);
	OK(art_allreduce(in, out, BYTES / 8, ART_DOUBLE, ART_SUM, self));
	CHECK(memcmp(out, in, BYTES) == 0);
	fill_floats(turn);
	OK(art_reduce(in, out, BYTES / 4, ART_FLOAT, ART_PROD, my_size - 1, ART_COMM_WORLD));
	if (my_rank == my_size - 1)
		add(out, BYTES);
	fill_pairs(turn);
	OK(art_allreduce(in, out, BYTES / 16, ART_DOUBLE_INT32, ART_MAXLOC, ART_COMM_WORLD));
	add(out, BYTES);
}

/* ---- the threads, as the system sees them ---- */

static bool read_line(const char *thread, const char *file, char *line, int size)
{
	char path[300];
	bool there;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", thread, file);
	f = fopen(path, "re");
	there = f && fgets(line, size, f);
	if (f)
		fclose(f);
	return there;
}

/* One CPU, that nobody in @taken has. */
static void has_its_own(const char *thread, cpu_set_t *taken)
{
	cpu_set_t mine, both;

	CHECK(sched_getaffinity((pid_t)atol(thread), sizeof(mine), &mine) == 0);
	CPU_AND(&both, &mine, taken);
	CHECK(CPU_COUNT(&mine) == 1 && CPU_COUNT(&both) == 0);
	CPU_OR(taken, taken, &mine);
}

/* How many help, and how long they have run. @taken: each where no other is. */
static int helpers(unsigned long long *ns, cpu_set_t *taken)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	int n = 0;

	CHECK(dir);
	*ns = 0;
	while ((d = readdir(dir))) {
		unsigned long long ran = 0;
		char line[128];

		if (!read_line(d->d_name, "comm", line, sizeof(line)) || strncmp(line, "art-worker-", 11))
			continue;
		n++;
		if (taken)
			has_its_own(d->d_name, taken);
		if (read_line(d->d_name, "schedstat", line, sizeof(line)) && sscanf(line, "%llu", &ran) == 1)
			*ns += ran;
	}
	closedir(dir);
	return n;
}

static void pause_ms(int ms)
{
	CHECK(poll(NULL, 0, ms) == 0);
}

static void all_come(int want)
{
	unsigned long long ns;

	for (int ms = 0; helpers(&ns, NULL) != want && ms < PATIENCE_MS; ms++)
		pause_ms(1);
	CHECK(helpers(&ns, NULL) == want);
}

/* While one rank is out and the others wait for it. */
static void they_rest(void)
{
	unsigned long long before, after;

	OK(art_barrier(ART_COMM_WORLD));
	helpers(&before, NULL);
	if (my_rank == 0)
		pause_ms(IDLE_MS);
	OK(art_barrier(ART_COMM_WORLD));
	helpers(&after, NULL);
	CHECK(after - before < IDLE_NS);
}

int main(int argc, char **argv)
{
	int want = argc > 1 && strcmp(argv[1], "any") ? atoi(argv[1]) : -1;
	cpu_set_t taken;
	unsigned long long ns;
	art_comm_t self, fixed;

	if (argc < 2)
		return 2;
	CPU_ZERO(&taken);
	begin();
	in = malloc(BYTES);
	out = malloc(BYTES);
	CHECK(in && out);
	OK(art_comm_split(ART_COMM_WORLD, my_rank, 0, &self));
	OK(art_comm_dup(ART_COMM_WORLD, &fixed));
	OK(art_comm_set_flags(fixed, ART_REPRODUCIBLE));
	for (int i = 0; i < 50; i++)
		check_works(ART_COMM_WORLD);
	CHECK(helpers(&ns, NULL) == 0);
	all_kinds(0, self, fixed); /* when they come is not known; what they do must not show */
	if (want >= 0)
		all_come(want);
	for (uint64_t turn = 1; turn <= TURNS; turn++)
		all_kinds(turn, self, fixed);
	helpers(&ns, argc > 2 ? &taken : NULL);
	CHECK(want <= 0 || ns > 0);
	they_rest();
	printf("rank %d has %016llx\n", my_rank, (unsigned long long)hash);
	OK(art_comm_free(&self));
	OK(art_comm_free(&fixed));
	free(in);
	free(out);
	return finish();
}
