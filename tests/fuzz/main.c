/* SPDX-License-Identifier: MIT
 *
 * Description: drives a fuzz target where libFuzzer does not:
 *     TARGET SEED RUNS [CORPUS_FILE...]     every file, then runs 0..RUNS-1
 *     TARGET SEED TIMEs [CORPUS_FILE...]    every file, then runs for TIME seconds
 *     TARGET SEED =RUN [CORPUS_FILE...]     every file, then that run alone
 * A run's input depends on the seed, its number and the corpus only. The input that fails, or takes
 * longer than twice RUN_S seconds, is written to a file of the present directory, and the command
 * printed that repeats it.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 512
#define FILES_MAX 64
#define RUN_S 20
#define ENOUGH 1000 /* runs that must have got somewhere */

struct seed_input {
	uint8_t data[INPUT_MAX];
	size_t len;
};

static struct seed_input corpus[FILES_MAX];
static int files;
static uint64_t rng;
static const char *program;
static char here[4096]; /* the present directory */
static const char *file;   /* being run, or NULL: run number now_run of now_seed */
static const uint8_t *now_data;
static size_t now_len;
static uint64_t now_seed, now_run;
static volatile unsigned long fed; /* inputs so far */

/* A sanitizer that found something ends the process by SIGABRT too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

/* False: not all of it could be written. */
static bool keep_input(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool good = fd >= 0 && write(fd, now_data, now_len) == (ssize_t)now_len;

	if (fd >= 0)
		close(fd);
	return good;
}

/* The process is single-threaded, and inputs print nothing: stdio may be used here. */
static void failed(int sig)
{
	char path[4200];

	if (file) {
		snprintf(path, sizeof(path), "%s", file);
		fprintf(stderr, "%s: failed at corpus file %s\n", fuzz_target.name, file);
	} else {
		snprintf(path, sizeof(path), "%s/%s-%llu-%llu.input", here, fuzz_target.name,
			 (unsigned long long)now_seed, (unsigned long long)now_run);
		fprintf(stderr, "%s: failed at run %llu of seed %llu (with the corpus: %llu =%llu)\n",
			fuzz_target.name, (unsigned long long)now_run, (unsigned long long)now_seed,
			(unsigned long long)now_seed, (unsigned long long)now_run);
	}
	if (file || keep_input(path))
		fprintf(stderr, "to repeat it: %s 1 0 %s\n", program, path);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Every RUN_S seconds: the same input as last time has taken them all. */
static void watch(int sig)
{
	static unsigned long last;

	if (last == fed)
		failed(sig);
	last = fed;
}

static void begin_watch(void)
{
	static const int ends[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	struct itimerval every = { { RUN_S, 0 }, { RUN_S, 0 } };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct sigaction old;

		/* Where a sanitizer has the signal, it reports first, and aborts. */
		REQUIRE(sigaction(ends[i], NULL, &old) == 0);
		if (ends[i] == SIGABRT || old.sa_handler == SIG_DFL)
			signal(ends[i], failed);
	}
	signal(SIGALRM, watch);
	REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng >> 11;
}

static void begin(uint64_t seed, uint64_t run)
{
	rng = (seed * UINT64_C(0x9e3779b97f4a7c15) + run) * UINT64_C(0xd6e8feb86659fd93) | 1;
	for (int i = 0; i < 4; i++)
		next();
}

/* A few bit flips, byte changes, cuts and growths of an input. */
static size_t mutate(uint8_t *p, size_t len)
{
	for (uint64_t n = next() % 6; n > 0; n--) {
		switch (next() % 5) {
		case 0:
			if (len)
				p[next() % len] ^= (uint8_t)(1u << next() % 8);
			break;
		case 1:
			if (len)
				p[next() % len] = (uint8_t)next();
			break;
		case 2:
			if (len)
				p[0] = (uint8_t)next(); /* often what says how to read the rest */
			break;
		case 3:
			len = next() % (len + 1);
			break;
		case 4:
			for (uint64_t more = next() % 80; more > 0 && len < INPUT_MAX; more--)
				p[len++] = (uint8_t)next();
			break;
		}
	}
	return len;
}

/* One of the corpus, changed; one in eight, and all where there is no corpus, nothing but noise. */
static size_t compose(uint8_t *p)
{
	size_t len;

	if (files > 0 && next() % 8 != 0) {
		const struct seed_input *from = &corpus[next() % (uint64_t)files];

		memcpy(p, from->data, from->len);
		return mutate(p, from->len);
	}
	len = 16 + next() % (INPUT_MAX - 16);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next();
	return len;
}

/* In memory exactly as long: ASan sees one byte more being read. */
static void feed(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	REQUIRE(exact);
	memcpy(exact, data, len);
	fed++;
	now_data = exact;
	now_len = len;
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static void load(const char *path)
{
	struct seed_input *in = &corpus[files++];
	FILE *f = fopen(path, "rb");

	if (!f) {
		fprintf(stderr, "%s: cannot read %s\n", fuzz_target.name, path);
		exit(1);
	}
	in->len = fread(in->data, 1, INPUT_MAX, f);
	fclose(f);
	file = path;
	feed(in->data, in->len);
	file = NULL;
}

static uint64_t now_s(void)
{
	struct timespec t;

	REQUIRE(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (uint64_t)t.tv_sec;
}

/* What @how says: "=RUN", "RUNS" or "TIMEs". Leaves the number of runs done in now_run. */
static void run(const char *how)
{
	bool one = *how == '=';
	char *unit;
	uint64_t n = strtoull(how + one, &unit, 0), end = now_s() + n;
	bool timed = *unit == 's';

	for (now_run = one ? n : 0; timed || now_run < n + one; now_run++) {
		uint8_t input[INPUT_MAX];

		if (timed && (now_run & 63) == 0 && now_s() >= end)
			break;
		begin(now_seed, now_run);
		feed(input, compose(input));
	}
}

int main(int argc, char **argv)
{
	program = argv[0];
	REQUIRE(getcwd(here, sizeof(here)));
	if (argc < 3 || argc - 3 > FILES_MAX) {
		fprintf(stderr, "usage: %s SEED RUNS|TIMEs|=RUN [CORPUS_FILE... (at most %d)]\n",
			fuzz_target.name, FILES_MAX);
		return 1;
	}
	begin_watch();
	for (int i = 3; i < argc; i++)
		load(argv[i]);
	now_seed = strtoull(argv[1], NULL, 0);
	run(argv[2]);
	if (fuzz_target.end && now_run >= ENOUGH && *argv[2] != '=')
		fuzz_target.end(files);
	printf("%s: seed %s, runs up to %llu, %d corpus files: nothing found\n", fuzz_target.name,
	       argv[1], (unsigned long long)now_run, files);
	return 0;
}
