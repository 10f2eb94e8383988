/* SPDX-License-Identifier: MIT
 *
 * Description: a job that a script holds up by a FIFO, to do something to it meanwhile.
 *
 *   t_gate late WHO FIFO    rank WHO comes to an allreduce only after a byte came through FIFO
 *   t_gate later WHO FIFO   likewise, to a long bcast of rank 0, for which no other waits
 *   t_gate busy FIFO        all ranks do allreduces until a byte came through FIFO to rank 0
 *   t_gate pairs FIFO       likewise, each two neighbours on a communicator of their own, and now and then on the world
 *   t_gate lossy FIFO       the same as busy, and ranks may be lost meanwhile
 *   t_gate told FIFO        as lossy, and each rank says how many contribute when that changes, and with
 *                           which error its calls end
 *   t_gate abort WHO CODE   rank WHO calls art_abort, the others do allreduces until they have lost it
 *
 * Each rank says which process it is, and checks every result. Where ranks may be lost, rank 0 says
 * so as soon as a result lacks one: "without 2 3".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "tests/process/check.h"

static int usage(void)
{
	fputs("usage: t_gate late|later WHO FIFO | t_gate busy|pairs|lossy|told FIFO | t_gate abort WHO CODE\n", stderr);
	return 2;
}

static void wait_for_byte(const char *fifo)
{
	char byte;
	int fd = open(fifo, O_RDONLY | O_CLOEXEC); /* blocks until somebody writes */

	CHECK(fd >= 0);
	CHECK(read(fd, &byte, 1) == 1);
	close(fd);
}

static void late(int who, const char *fifo)
{
	if (my_rank == who)
		wait_for_byte(fifo);
	check_works(ART_COMM_WORLD);
}

static void later(int who, const char *fifo)
{
	static int data[1 << 16];

	for (int i = 0; i < 1 << 16; i++)
		data[i] = my_rank ? 0 : i;
	if (my_rank == who)
		wait_for_byte(fifo);
	OK(art_bcast(data, 1 << 16, ART_INT32, 0, ART_COMM_WORLD));
	for (int i = 0; i < 1 << 16; i++)
		CHECK(data[i] == i);
}

static bool byte_came(int fd)
{
	char byte;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, &byte, 1);
	CHECK(n >= 0 || errno == EAGAIN);
	return n == 1;
}

/* Of those whose contributions are in the last result. */
static int sum_of_contributors(void)
{
	art_status_t status;
	int sum = 0, yes;

	OK(art_last_status(ART_COMM_WORLD, &status));
	for (int r = 0; r < my_size; r++) {
		OK(art_status_contributed(&status, r, &yes));
		sum += yes ? r + 1 : 0;
	}
	return sum;
}

static void say_missing(void)
{
	art_status_t status;
	int yes;

	OK(art_last_status(ART_COMM_WORLD, &status));
	printf("without");
	for (int r = 0; r < my_size; r++) {
		OK(art_status_contributed(&status, r, &yes));
		if (!yes)
			printf(" %d", r);
	}
	printf("\n");
	fflush(stdout);
}

static void busy(const char *fifo, bool lossy)
{
	int fd = my_rank == 0 ? open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	long rounds = 0;
	int in[2], out[2], last = sum_of_ranks();

	CHECK(my_rank != 0 || fd >= 0);
	do {
		in[0] = my_rank + 1;
		in[1] = byte_came(fd);
		OK(art_allreduce(in, out, 2, ART_INT32, ART_SUM, ART_COMM_WORLD));
		CHECK(out[0] == (lossy ? sum_of_contributors() : sum_of_ranks()));
		rounds++;
		if (my_rank == 0 && out[0] != last)
			say_missing();
		last = out[0];
	} while (!out[1]);
	if (my_rank == 0) {
		close(fd);
		printf("%ld rounds\n", rounds);
	}
}

static void pairs(const char *fifo)
{
	int fd = my_rank == 0 ? open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	int in = my_rank + 1, out, pair, rank, size, stop, over;
	art_comm_t two;
	long rounds = 0;

	CHECK(my_rank != 0 || fd >= 0);
	OK(art_comm_split(ART_COMM_WORLD, my_rank / 2, 0, &two));
	OK(art_comm_rank(two, &rank));
	OK(art_comm_size(two, &size));
	pair = size == 1 ? in : rank ? 2 * in - 1 : 2 * in + 1;
	do {
		for (int i = 0; i < 500; i++, rounds++) {
			OK(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, two));
			CHECK(out == pair);
		}
		if (my_rank == 0 && rounds == 2000)
			printf("2000 done\n");
		fflush(stdout);
		stop = byte_came(fd);
		OK(art_allreduce(&stop, &over, 1, ART_INT32, ART_SUM, ART_COMM_WORLD));
	} while (!over);
	OK(art_comm_free(&two));
	if (my_rank == 0) {
		close(fd);
		printf("%ld rounds\n", rounds);
	}
}

static void say_count(void)
{
	static int last;
	art_status_t status;
	int n;

	OK(art_last_status(ART_COMM_WORLD, &status));
	OK(art_status_contributors(&status, &n));
	if (n == last)
		return;
	last = n;
	printf("rank %d counts %d\n", my_rank, n);
	fflush(stdout);
}

/* An error is the end of this process, not of the test: it says so, and goes. */
static void told(const char *fifo)
{
	int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* by all: rank 0 may be lost */
	int in[2], out[2], rc;
	long rounds = 0;

	CHECK(fd >= 0);
	do {
		in[0] = my_rank + 1;
		in[1] = byte_came(fd);
		rc = art_allreduce(in, out, 2, ART_INT32, ART_SUM, ART_COMM_WORLD);
		if (rc) {
			printf("rank %d ended: %s\n", my_rank, art_strerror(rc));
			fflush(stdout);
			_exit(0);
		}
		CHECK(out[0] == sum_of_contributors());
		say_count();
		rounds++;
	} while (!out[1]);
	close(fd);
	printf("rank %d: %ld rounds\n", my_rank, rounds);
}

static void abort_one(int who, int code)
{
	int in = my_rank + 1, out;

	check_works(ART_COMM_WORLD);
	if (my_rank == who)
		art_abort(ART_COMM_WORLD, code);
	do {
		OK(art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, ART_COMM_WORLD));
		CHECK(out == sum_of_contributors());
	} while (out == sum_of_ranks());
	CHECK(out == sum_of_ranks() - (who + 1));
}

int main(int argc, char **argv)
{
	begin();
	printf("rank %d is process %d\n", my_rank, (int)getpid());
	fflush(stdout);
	if (argc == 4 && strcmp(argv[1], "late") == 0)
		late(atoi(argv[2]), argv[3]);
	else if (argc == 4 && strcmp(argv[1], "later") == 0)
		later(atoi(argv[2]), argv[3]);
	else if (argc == 3 && strcmp(argv[1], "busy") == 0)
		busy(argv[2], false);
	else if (argc == 3 && strcmp(argv[1], "pairs") == 0)
		pairs(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "lossy") == 0)
		busy(argv[2], true);
	else if (argc == 3 && strcmp(argv[1], "told") == 0)
		told(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "abort") == 0)
		abort_one(atoi(argv[2]), atoi(argv[3]));
	else
		return usage();
	return finish();
}
