/* SPDX-License-Identifier: MIT
 *
 * Letter pairs and words of text files, counted by all ranks together - and counted exactly, also
 * when ranks are killed on the way.
 *
 *     artrun -n 8 ./bigrams --repeat 50 *.txt
 *
 * How it works, in four steps:
 *
 *  1. The files are cut into blocks of 64 KiB, numbered from 0. The numbers follow from the file
 *     sizes alone, so every rank has the same list of work without talking to the others.
 *  2. In each round every live rank counts the next few blocks; who takes which is computed from
 *     the list and the set of live ranks, again without a message.
 *  3. One art_allreduce() adds up what the ranks counted in this round. If a rank dies, the call
 *     still completes on the survivors, and its *contributor set* says whose counts are in the sum,
 *     the same set at every survivor.
 *  4. So a block is done if and only if its rank is in that set; otherwise it goes back on the list
 *     and a survivor counts it. Nothing is lost and nothing is counted twice.
 *
 * Steps 2 to 4 are deal(), update_live() and count_round(). There is no other code for failures.
 */
#include <art/art.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK = 64 * 1024, /* bytes of one piece of work */
	PER_ROUND = 4,     /* blocks that a rank counts between two allreduces */
	OTHER = 26,        /* the class of every byte that is not a letter */
	CLASSES = 27,
	PAIRS = CLASSES * CLASSES,
};

struct file {
	const char *name;
	int fd;
	int64_t bytes;
	uint64_t blocks;
};

struct piece { /* one block in one round */
	uint64_t number;
	int owner;
};

struct job {
	int rank, size; /* who we are, and how many ranks the job started with */
	bool quiet, check, pids;
	const char *out;
	uint64_t repeat; /* count everything so often */

	struct file *files;
	int nfiles;
	uint8_t class_of[256];

	/* The list of work, the same at every rank, always: first `redo`, then `next` to `total`. */
	uint64_t next, total, done;
	uint64_t *redo, nredo;

	struct piece *round;   /* who counts what in this round */
	bool *live;            /* [size] contributors of the last round */
	uint64_t *sum, *mine;  /* [PAIRS + size]: pair counts, then the blocks each rank counted */
	int64_t *lost_round;   /* [size] the round that went on without this rank, or -1 */
	double *recovery_s;    /* [size] how long that round's allreduce took here */
};

/* An error that the program cannot repair ends the whole job, with one line that says why. */
static void die(const char *what, const char *why)
{
	fprintf(stderr, "bigrams: %s: %s\n", what, why);
	art_abort(ART_COMM_WORLD, 1);
	_exit(1);
}

static void must(int code, const char *what)
{
	if (code != ART_SUCCESS)
		die(what, art_strerror(code));
}

static void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("memory", strerror(ENOMEM));
	return p;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- 1. the list of work ---- */

static void open_files(struct job *j, char **names)
{
	for (int i = 0; i < j->nfiles; i++) {
		struct file *f = &j->files[i];
		struct stat st;

		f->name = names[i];
		f->fd = open(names[i], O_RDONLY | O_CLOEXEC);
		if (f->fd < 0 || fstat(f->fd, &st) != 0)
			die(names[i], strerror(errno));
		if (!S_ISREG(st.st_mode))
			die(names[i], "not a regular file");
		f->bytes = st.st_size;
		f->blocks = (uint64_t)(st.st_size + BLOCK - 1) / BLOCK;
		j->total += f->blocks * j->repeat;
	}
}

/* Everything rests on all ranks having the same list, so make sure of it: the largest and, by
 * negation, the smallest of each file's sizes must be our own. */
static void compare_sizes(struct job *j)
{
	size_t n = (size_t)j->nfiles;
	int64_t *sizes = must_alloc(2 * n, sizeof(*sizes));

	for (size_t i = 0; i < n; i++) {
		sizes[i] = j->files[i].bytes;
		sizes[n + i] = -j->files[i].bytes;
	}
	must(art_allreduce(ART_IN_PLACE, sizes, 2 * n, ART_INT64, ART_MAX, ART_COMM_WORLD),
	     "comparing file sizes");
	for (size_t i = 0; i < n; i++)
		if (sizes[i] != -sizes[n + i])
			die(j->files[i].name, "not the same size at every rank");
	free(sizes);
}

/* ---- 2. counting ---- */

/* A pair belongs to the block that holds its second letter, a word to the block that holds its
 * first one. So a block needs one byte more than its own, the one before it, and a pair or word
 * across two blocks is still counted exactly once. */
static void count_block(struct job *j, uint64_t number)
{
	static uint8_t text[BLOCK + 1];
	const struct file *f = j->files;
	int before = OTHER;

	for (number %= j->total / j->repeat; number >= f->blocks; f++)
		number -= f->blocks;

	int64_t start = (int64_t)number * BLOCK, end = start + BLOCK, from = start ? start - 1 : 0;
	size_t want = (size_t)((end < f->bytes ? end : f->bytes) - from), i = 0;

	for (size_t got = 0; got < want;) {
		ssize_t n = pread(f->fd, text + got, want - got, from + (int64_t)got);

		if (n == 0 || (n < 0 && errno != EINTR))
			die(f->name, n ? strerror(errno) : "has become shorter");
		got += n > 0 ? (size_t)n : 0;
	}
	if (from < start)
		before = j->class_of[text[i++]];
	for (; i < want; i++) {
		int class = j->class_of[text[i]];

		j->mine[before * CLASSES + class]++;
		before = class;
	}
	j->mine[PAIRS + j->rank]++;
}

/* The next pieces of work, PER_ROUND for each rank that was live after the last round. */
static size_t deal(struct job *j)
{
	size_t n = 0;

	for (int r = 0; r < j->size; r++)
		for (int k = 0; j->live[r] && k < PER_ROUND; k++)
			if (j->nredo > 0 || j->next < j->total)
				j->round[n++] = (struct piece){
					.number = j->nredo > 0 ? j->redo[--j->nredo] : j->next++,
					.owner = r,
				};
	return n;
}

/* ---- 3. and 4. one round ---- */

/* Learns from the last allreduce who is still with us. */
static void update_live(struct job *j, int64_t round, double took_s)
{
	art_status_t status;

	must(art_last_status(ART_COMM_WORLD, &status), "status");
	for (int r = 0; r < j->size; r++) {
		int yes;

		must(art_status_contributed(&status, r, &yes), "status");
		if (j->live[r] && !yes) {
			j->lost_round[r] = round;
			j->recovery_s[r] = took_s;
		}
		j->live[r] = yes;
	}
}

static void count_round(struct job *j, int64_t round)
{
	size_t width = (size_t)PAIRS + (size_t)j->size, n = deal(j);
	double t;

	memset(j->mine, 0, width * sizeof(*j->mine));
	for (size_t i = 0; i < n; i++)
		if (j->round[i].owner == j->rank)
			count_block(j, j->round[i].number);
	t = now_s();
	must(art_allreduce(ART_IN_PLACE, j->mine, width, ART_UINT64, ART_SUM, ART_COMM_WORLD),
	     "adding up a round");
	update_live(j, round, now_s() - t);
	for (size_t i = 0; i < width; i++)
		j->sum[i] += j->mine[i];
	for (size_t i = 0; i < n; i++) {
		if (j->live[j->round[i].owner])
			j->done++; /* its counts are in the sum we just got */
		else
			j->redo[j->nredo++] = j->round[i].number;
	}
}

/* ---- telling the user ---- */

static int lowest_live(const struct job *j)
{
	int r = 0;

	while (r < j->rank && !j->live[r])
		r++; /* at the latest it is us */
	return r;
}

static void progress(const struct job *j, int64_t round, int *said)
{
	int percent = j->total ? (int)(j->done * 100 / j->total) : 100, live = 0;
	bool tty = isatty(STDERR_FILENO);

	if (j->quiet || j->rank != lowest_live(j))
		return;
	for (int r = 0; r < j->size; r++)
		live += j->live[r];
	for (int r = 0; r < j->size; r++)
		if (j->lost_round[r] == round)
			fprintf(stderr, "bigrams: lost rank %d in round %lld, %d ranks go on\n", r,
				(long long)round, live);
	if (percent / 5 != *said / 5 || (tty && percent != *said))
		fprintf(stderr, "%sbigrams: %d%% of %llu blocks, %d ranks%s", tty ? "\r" : "",
			percent, (unsigned long long)j->total, live,
			tty && percent < 100 ? " " : "\n");
	*said = percent;
}

/* The whole table: what --out writes, and what --check makes a number of. */
static char *table(const struct job *j)
{
	char *text = must_alloc(PAIRS + 1, 40), *at = text;
	uint64_t words = 0;

	for (int c = 0; c < OTHER; c++)
		words += j->sum[OTHER * CLASSES + c];
	at += sprintf(at, "words %llu\n", (unsigned long long)words);
	for (int a = 0; a < OTHER; a++)
		for (int b = 0; b < OTHER; b++)
			at += sprintf(at, "%c%c %llu\n", 'a' + a, 'a' + b,
				      (unsigned long long)j->sum[a * CLASSES + b]);
	return text;
}

static void print_top(const struct job *j, int n)
{
	bool shown[PAIRS] = { false };

	while (n-- > 0) {
		int best = 0;

		for (int p = 0; p < OTHER * CLASSES; p++)
			if (p % CLASSES != OTHER && !shown[p] &&
			    (shown[best] || j->sum[p] > j->sum[best]))
				best = p;
		shown[best] = true;
		printf("  %c%c %llu\n", 'a' + best / CLASSES, 'a' + best % CLASSES,
		       (unsigned long long)j->sum[best]);
	}
}

/* Written beside the file and renamed: there is a whole file or none, also if we die here. */
static void write_out(const struct job *j, const char *text)
{
	char *tmp = must_alloc(strlen(j->out) + 6, 1);
	FILE *f = fopen(strcat(strcpy(tmp, j->out), ".part"), "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(tmp, j->out) != 0)
		die(j->out, strerror(errno));
	free(tmp);
}

static void report(const struct job *j)
{
	char *text = table(j);
	uint64_t digest = UINT64_C(14695981039346656037); /* FNV-1a */

	printf("%.*s in %d files, each counted %llu times; most frequent pairs:\n",
	       (int)strcspn(text, "\n"), text, j->nfiles, (unsigned long long)j->repeat);
	print_top(j, 10);
	for (const char *p = text; *p; p++)
		digest = (digest ^ (uint8_t)*p) * UINT64_C(1099511628211);
	if (j->check)
		printf("digest %016llx\n", (unsigned long long)digest);
	for (int r = 0; r < j->size; r++) {
		printf("rank %d counted %llu blocks", r, (unsigned long long)j->sum[PAIRS + r]);
		if (j->lost_round[r] >= 0)
			printf(", lost in round %lld: that sum took %.1f ms at the slowest survivor",
			       (long long)j->lost_round[r], j->recovery_s[r] * 1e3);
		putchar('\n');
	}
	if (fflush(stdout) != 0)
		die("standard output", strerror(errno));
	if (j->out)
		write_out(j, text);
	free(text);
}

/* The lowest live rank reports. It may die before it has: then the allreduce shows that nobody
 * did, and the next lowest tries. */
static void report_once(struct job *j, int64_t round)
{
	int64_t reported = 0;

	must(art_allreduce(ART_IN_PLACE, j->recovery_s, (size_t)j->size, ART_DOUBLE, ART_MAX,
			   ART_COMM_WORLD), "comparing recovery times");
	while (!reported) {
		if (j->rank == lowest_live(j)) {
			report(j);
			reported = 1;
		}
		must(art_allreduce(ART_IN_PLACE, &reported, 1, ART_INT64, ART_MAX, ART_COMM_WORLD),
		     "reporting");
		update_live(j, round, 0);
	}
}

/* ---- the program ---- */

static const char usage[] =
	"usage: bigrams [--repeat N] [--out FILE] [--check] [--pids] [--quiet] FILE...\n"
	"  --repeat N   count everything N times (a longer job)\n"
	"  --out FILE   write the whole table to FILE\n"
	"  --check      print a digest of the table\n"
	"  --pids       each rank says which process it is\n"
	"  --quiet      no progress lines\n";

/* Returns the index of the first file name, or -1. */
static int options(struct job *j, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--check") == 0)
			j->check = true;
		else if (strcmp(argv[i], "--pids") == 0)
			j->pids = true;
		else if (strcmp(argv[i], "--quiet") == 0)
			j->quiet = true;
		else if (strcmp(argv[i], "--out") == 0 && i + 1 < argc)
			j->out = argv[++i];
		else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc)
			j->repeat = strtoull(argv[++i], NULL, 10);
		else
			return -1;
	}
	return i < argc && j->repeat > 0 && j->repeat <= 1000000000 ? i : -1;
}

static void set_up(struct job *j)
{
	size_t n = (size_t)j->size;

	j->files = must_alloc((size_t)j->nfiles, sizeof(*j->files));
	j->round = must_alloc(n * PER_ROUND, sizeof(*j->round));
	j->redo = must_alloc(n * PER_ROUND, sizeof(*j->redo));
	j->sum = must_alloc(PAIRS + n, sizeof(*j->sum));
	j->mine = must_alloc(PAIRS + n, sizeof(*j->mine));
	j->live = must_alloc(n, sizeof(*j->live));
	j->lost_round = must_alloc(n, sizeof(*j->lost_round));
	j->recovery_s = must_alloc(n, sizeof(*j->recovery_s));
	memset(j->live, true, n);
	memset(j->lost_round, -1, n * sizeof(*j->lost_round));
	memset(j->class_of, OTHER, sizeof(j->class_of));
	for (int c = 0; c < OTHER; c++)
		j->class_of['a' + c] = j->class_of['A' + c] = (uint8_t)c;
}

static void tear_down(struct job *j)
{
	void *all[] = { j->files, j->round, j->redo, j->sum, j->mine, j->live, j->lost_round,
			j->recovery_s };

	for (int i = 0; i < j->nfiles; i++)
		close(j->files[i].fd);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		free(all[i]);
}

int main(int argc, char **argv)
{
	struct job j = { .repeat = 1 };
	int said = 0, first = options(&j, argc, argv), err;
	int64_t round;

	if (first < 0) {
		fputs(usage, stderr);
		return 2;
	}
	err = art_init(&argc, &argv);
	if (err != ART_SUCCESS) {
		fprintf(stderr, "bigrams: cannot join the job: %s\n", art_strerror(err));
		return 1;
	}
	must(art_comm_rank(ART_COMM_WORLD, &j.rank), "rank");
	must(art_comm_size(ART_COMM_WORLD, &j.size), "size");
	if (j.pids)
		fprintf(stderr, "bigrams: rank %d is process %d\n", j.rank, (int)getpid());

	j.nfiles = argc - first;
	set_up(&j);
	open_files(&j, argv + first);
	compare_sizes(&j);
	update_live(&j, 0, 0);
	for (round = 1; j.done < j.total; round++) {
		count_round(&j, round);
		progress(&j, round, &said);
	}
	report_once(&j, round);
	tear_down(&j);
	err = art_finalize();
	if (err != ART_SUCCESS)
		fprintf(stderr, "bigrams: leaving the job: %s\n", art_strerror(err));
	return err != ART_SUCCESS;
}
