/* SPDX-License-Identifier: MIT
 *
 * What apart.sh runs: where the service thread may run, and that it carries large nonblocking operations
 * while its rank computes. Rank 0 starts each and then calls nothing of ART until rank 1, which waits for
 * it, has got it and says so through the FIFO that is named.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "tests/process/check.h"

enum { ROUNDS = 6 };

static const size_t sizes[] = { 1, 1000, 20000, 131072, 400000 };

/* The thread of this process that is called so; 0: none. */
static pid_t find_thread(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	pid_t found = 0;

	CHECK(dir != NULL);
	while (!found && (d = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
		f = d->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (f && fgets(comm, sizeof(comm), f))
			found = strcspn(comm, "\n") == strlen(name) && strncmp(comm, name, strlen(name)) == 0 ?
				atoi(d->d_name) : 0;
		if (f)
			fclose(f);
	}
	closedir(dir);
	return found;
}

/* Bound to one CPU by artrun: on the others. Else where the rank is. */
static void check_cpus(bool bound)
{
	pid_t service = find_thread("art-service");
	cpu_set_t mine, its, both;

	CHECK(service > 0);
	CHECK(sched_getaffinity(0, sizeof(mine), &mine) == 0);
	CHECK(sched_getaffinity(service, sizeof(its), &its) == 0);
	CPU_AND(&both, &mine, &its);
	if (my_rank == 0)
		puts(bound ? "apart" : "together");
	if (!bound) {
		CHECK(CPU_EQUAL(&mine, &its));
		return;
	}
	CHECK(CPU_COUNT(&mine) == 1);
	CHECK(CPU_COUNT(&its) > 0 && CPU_COUNT(&both) == 0);
}

static void start(int round, int64_t *in, int64_t *out, size_t n, art_request_t *request)
{
	for (size_t i = 0; i < n; i++) {
		in[i] = (int64_t)i + my_rank + round;
		out[i] = round % 3 == 2 && my_rank == 0 ? in[i] : -1;
	}
	if (round % 3 == 0)
		OK(art_iallreduce(in, out, n, ART_INT64, ART_SUM, ART_COMM_WORLD, request));
	else if (round % 3 == 1)
		OK(art_ireduce(in, out, n, ART_INT64, ART_SUM, 0, ART_COMM_WORLD, request));
	else
		OK(art_ibcast(out, n, ART_INT64, 0, ART_COMM_WORLD, request));
}

static void check_result(int round, const int64_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t sum = (int64_t)my_size * ((int64_t)i + round) + sum_of_ranks() - my_size;

		if (round % 3 == 2)
			CHECK(out[i] == (int64_t)i + round);
		else if (round % 3 == 0 || my_rank == 0)
			CHECK(out[i] == sum);
	}
}

/* A computation that ends when rank 1 has got what it waits for. */
static void compute_until_told(int fifo)
{
	char byte;

	while (read(fifo, &byte, 1) != 1)
		CHECK(errno == EAGAIN);
}

static void run(int round, size_t n, int fifo)
{
	int64_t *in = malloc(n * sizeof(*in)), *out = malloc(n * sizeof(*out));
	art_request_t request;

	CHECK(in && out);
	if (round & 1)
		OK(art_barrier(ART_COMM_WORLD));
	start(round, in, out, n, &request);
	if (my_rank == 0)
		compute_until_told(fifo);
	OK(art_wait(&request, NULL));
	if (my_rank == 1)
		CHECK(write(fifo, "x", 1) == 1);
	check_result(round, out, n);
	free(in);
	free(out);
}

int main(int argc, char **argv)
{
	bool bound = getenv("ART_CPU") != NULL; /* art_init() takes it away */
	int fifo;

	begin();
	CHECK(argc == 2 && my_size > 1);
	fifo = open(argv[1], O_RDWR | O_NONBLOCK);
	CHECK(fifo >= 0);
	check_cpus(bound);
	OK(art_barrier(ART_COMM_WORLD));
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int round = 0; round < ROUNDS; round++)
			run(round, sizes[s], fifo);
	return finish();
}
