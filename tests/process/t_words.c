/* SPDX-License-Identifier: MIT
 *
 * Description: what an error looks like to a user: one line on standard error that names rank, call
 * and argument; nothing with ART_ERRORS=return; an outcome that comes late reads as pending, and
 * one that was let go is an error.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "tests/process/check.h"

static int real_stderr = -1;
static char said[4096];

static void listen_to_stderr(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	unlink(path);
	real_stderr = dup(STDERR_FILENO);
	CHECK(real_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

/* What was said since the last time. */
static const char *heard(void)
{
	ssize_t n = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	if (ftruncate(STDERR_FILENO, 0) || lseek(STDERR_FILENO, 0, SEEK_SET))
		exit(1);
	return said;
}

static void expect(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void expect(const char *fmt, ...)
{
	char want[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	if (strcmp(heard(), want) == 0)
		return;
	dprintf(real_stderr, "rank %d: heard: %snot: %s", my_rank, said, want);
	exit(1);
}

static void refusals(void)
{
	int a[2], b[2];
	double x;

	art_reduce(a, b, 1, ART_INT32, ART_SUM, my_size + 1, ART_COMM_WORLD);
	expect("art: rank %d: art_reduce: root %d is not a rank of this communicator (size %d)\n",
	       my_rank, my_size + 1, my_size);
	art_barrier(ART_COMM_NULL);
	expect("art: rank %d: art_barrier: the communicator is ART_COMM_NULL\n", my_rank);
	art_allreduce(&x, &x + 1, 1, ART_DOUBLE, ART_BAND, ART_COMM_WORLD);
	expect("art: rank %d: art_allreduce: operator band is not defined for type double\n", my_rank);
	art_allreduce(a, a, 1, ART_INT32, ART_SUM, ART_COMM_WORLD);
	expect("art: rank %d: art_allreduce: sendbuf and recvbuf overlap "
	       "(pass ART_IN_PLACE as sendbuf)\n", my_rank);
	art_bcast(NULL, 3, ART_INT32, 0, ART_COMM_WORLD);
	expect("art: rank %d: art_bcast: the buffer is null and count is 3\n", my_rank);
	art_bcast(a, (size_t)-1, ART_INT32, 0, ART_COMM_WORLD);
	expect("art: rank %d: art_bcast: %zu elements of 4 bytes are too many\n", my_rank, (size_t)-1);
	check_works(ART_COMM_WORLD);
	expect("%s", "");
}

/* One rank's mistake: the others are told whose. */
static void outcomes(void)
{
	int a[2] = {0}, b[2];
	char want[100];

	if (my_size == 1)
		return;
	art_allreduce(a, b, 1, my_rank == 1 ? ART_TYPE_NULL : ART_INT32, ART_SUM, ART_COMM_WORLD);
	if (my_rank == 1) {
		expect("art: rank 1: art_allreduce: 0 is no type\n");
	} else {
		snprintf(want, sizeof(want), "art: rank %d: art_allreduce: %s (operation ", my_rank,
			 art_strerror(ART_ERR_TYPE));
		CHECK(strncmp(heard(), want, strlen(want)) == 0);
		CHECK(strstr(said, ", rank 1)\n"));
	}
	check_works(ART_COMM_WORLD);
}

/* Off the root a reduce may return before it is known who is in it; it is known in the end. */
static void pending(void)
{
	int a = 1, b = 0, n = -1, rc = ART_ERR_PENDING;
	art_status_t st;

	OK(art_reduce(&a, &b, 1, ART_INT32, ART_SUM, 0, ART_COMM_WORLD));
	OK(art_last_status(ART_COMM_WORLD, &st));
	OK(art_status_error(&st, &n));
	CHECK(n == ART_SUCCESS);
	for (int i = 0; i < 1000; i++) {
		if (rc == ART_ERR_PENDING)
			rc = art_status_contributors(&st, &n);
		CHECK(rc == ART_SUCCESS || rc == ART_ERR_PENDING);
		OK(art_barrier(ART_COMM_WORLD));
	}
	OK(rc);
	CHECK(n == my_size);
	expect("%s", ""); /* pending is an answer, no error */
}

/* Of reduces that fail after this rank has returned only the newest are remembered. The barrier on
 * another communicator lets the others return first. */
static void forgotten(void)
{
	int a = 1, b = 0, n = -1, rc;
	art_comm_t other;
	art_status_t first;

	if (my_size == 1)
		return;
	OK(art_comm_dup(ART_COMM_WORLD, &other));
	for (int i = 0; i < 300; i++) {
		if (my_rank == 0)
			OK(art_barrier(other));
		rc = art_reduce(&a, &b, 1, my_rank ? ART_INT32 : ART_TYPE_NULL, ART_SUM, 0,
				ART_COMM_WORLD);
		CHECK(rc == (my_rank ? ART_SUCCESS : ART_ERR_TYPE));
		if (my_rank && i == 0)
			OK(art_last_status(ART_COMM_WORLD, &first));
		if (my_rank)
			OK(art_barrier(other));
		OK(art_barrier(ART_COMM_WORLD)); /* the failure has come */
		heard();
	}
	if (my_rank) {
		CHECK(art_status_contributors(&first, &n) == ART_ERR_ARG);
		expect("art: rank %d: art_status_contributors: the outcome of this operation is no "
		       "longer kept: ask sooner\n", my_rank);
	}
	OK(art_comm_free(&other));
}

int main(void)
{
	char path[64];

	setenv("ART_ERRORS", "warn", 1);
	begin();
	snprintf(path, sizeof(path), "t_words.%d.tmp", (int)getpid());
	listen_to_stderr(path);
	refusals();
	outcomes();
	pending();
	forgotten();
	OK(art_finalize());
	heard();
	art_barrier(ART_COMM_WORLD);
	expect("art: art_barrier: called before art_init() or after art_finalize()\n");
	return 0;
}
