/* SPDX-License-Identifier: MIT
 *
 * Description: sets, the pool, the log line, the real environment, texts of codes and marks.
 */
#include <art/art.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/marks.h"
#include "base/pool.h"
#include "base/set.h"
#include "tests/lib/unit.h"

/* An environment whose memory runs out on request and that keeps its last line. */
struct fake {
	struct art_env env;
	int allocs_left;
	int live;
	int lines;
	char line[1024];
};

static void *fake_alloc(void *self, size_t bytes)
{
	struct fake *f = self;
	void *p;

	if (f->allocs_left == 0 || bytes > 1u << 30)
		return NULL;
	f->allocs_left--;
	p = malloc(bytes);
	if (p) {
		memset(p, 0xee, bytes);
		f->live++;
	}
	return p;
}

static void fake_free(void *self, void *p)
{
	((struct fake *)self)->live--;
	free(p);
}

static void fake_log(void *self, enum art_log_level level, const char *line)
{
	struct fake *f = self;

	(void)level;
	f->lines++;
	snprintf(f->line, sizeof(f->line), "%s", line);
}

static void fake_init(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->allocs_left = 1 << 20;
	f->env.self = f;
	f->env.alloc = fake_alloc;
	f->env.free = fake_free;
	f->env.log = fake_log;
	f->env.log_level = ART_LOG_INFO;
}

static void pool_reuses_what_came_back(void)
{
	struct fake f;
	struct art_pool pool;

	fake_init(&f);
	art__pool_init(&pool, &f.env);
	void *a = art__pool_get(&pool, 100);
	size_t held = art__pool_bytes(&pool);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_EQUAL((uintptr_t)a % 16, 0);
	CU_ASSERT_EQUAL(held, 128 + 16);
	art__pool_put(&pool, a);
	f.allocs_left = 0; /* the steady state: memory is not asked any more */
	CU_ASSERT_PTR_EQUAL(art__pool_get(&pool, 65), a);
	CU_ASSERT_PTR_NULL(art__pool_get(&pool, 129));
	CU_ASSERT_EQUAL(art__pool_bytes(&pool), held);
	art__pool_put(&pool, a);
	art__pool_put(&pool, NULL);
	art__pool_fini(&pool);
	CU_ASSERT_EQUAL(f.live, 0);
}

static void pool_gives_room_for_every_size(void)
{
	static const size_t size[] = { 0,    1,    16,    31,    32,    33,    64,     4095,
				       4096, 4097, 65535, 65536, 65537, 70000, 1 << 20 };
	enum { N = sizeof(size) / sizeof(size[0]) };
	struct fake f;
	struct art_pool pool;
	uint8_t *p[N];

	fake_init(&f);
	art__pool_init(&pool, &f.env);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			p[i] = art__pool_get(&pool, size[i]);
			CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
			CU_ASSERT_EQUAL((uintptr_t)p[i] % 16, 0);
			memset(p[i], i, size[i]);
		}
		for (int i = 0; i < N; i++) {
			for (size_t k = 0; k < size[i]; k++)
				if (p[i][k] != (uint8_t)i)
					CU_FAIL_FATAL("blocks overlap");
			art__pool_put(&pool, p[i]);
		}
	}
	/* Large blocks are not kept. */
	CU_ASSERT_TRUE(art__pool_bytes(&pool) < 2 * 65536 + 3 * 8192 + 1024);
	art__pool_fini(&pool);
	CU_ASSERT_EQUAL(art__pool_bytes(&pool), 0);
	CU_ASSERT_EQUAL(f.live, 0);
}

static void pool_survives_no_memory(void)
{
	struct fake f;
	struct art_pool pool;

	fake_init(&f);
	f.allocs_left = 0;
	art__pool_init(&pool, &f.env);
	CU_ASSERT_PTR_NULL(art__pool_get(&pool, 1));
	CU_ASSERT_PTR_NULL(art__pool_get(&pool, 1 << 20));
	CU_ASSERT_PTR_NULL(art__pool_get(&pool, SIZE_MAX));
	CU_ASSERT_PTR_NULL(art__pool_get(&pool, SIZE_MAX - 15));
	CU_ASSERT_EQUAL(art__pool_bytes(&pool), 0);
	art__pool_fini(&pool);
}

static void zalloc_clears(void)
{
	struct fake f;

	fake_init(&f);
	uint8_t *p = art__env_zalloc(&f.env, 100);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(p[i], 0);
	art__env_free(&f.env, p);
	art__env_free(&f.env, NULL);
	CU_ASSERT_EQUAL(f.live, 0);
	f.allocs_left = 0;
	CU_ASSERT_PTR_NULL(art__env_zalloc(&f.env, 1));
}

static void log_obeys_its_level_and_its_bound(void)
{
	struct fake f;
	char big[2000];

	fake_init(&f);
	art__env_log(&f.env, ART_LOG_DEBUG, "not %s", "this");
	CU_ASSERT_EQUAL(f.lines, 0);
	art__env_log(&f.env, ART_LOG_INFO, "rank %d has %s", 7, "come");
	CU_ASSERT_EQUAL(f.lines, 1);
	CU_ASSERT_STRING_EQUAL(f.line, "rank 7 has come");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	art__env_log(&f.env, ART_LOG_ERROR, "%s", big);
	CU_ASSERT_EQUAL(strlen(f.line), 511);
}

static void mark_counts(void *self, enum art_mark mark)
{
	((struct fake *)self)->lines += mark == ART_M_NACKED;
}

static void marks_are_optional(void)
{
	struct fake f;

	fake_init(&f);
	ART_MARK(&f.env, ART_M_NACKED);
	f.env.mark = mark_counts;
	ART_MARK(&f.env, ART_M_NACKED);
	CU_ASSERT_EQUAL(f.lines, 1);
}

static void marks_have_names(void)
{
	CU_ASSERT_STRING_EQUAL(art__mark_name(art__mark_resolution(0, 3, 0)),
			       "DELIVER_ALLREDUCE_EXCLUDE");
	CU_ASSERT_STRING_EQUAL(art__mark_name(art__mark_resolution(1, 0, 1)),
			       "RERUN_BARRIER_ERROR");
	CU_ASSERT_STRING_EQUAL(art__mark_name(art__mark_resolution(2, 2, 0)),
			       "FAIL_REDUCE_EXCLUDE");
	CU_ASSERT_STRING_EQUAL(art__mark_name(ART_M_SELF_EVICTED), "SELF_EVICTED");
	CU_ASSERT_STRING_EQUAL(art__mark_name(ART_M_COUNT), "?");
}

static void status_has_text(void)
{
	CU_ASSERT_STRING_EQUAL(art_strerror(ART_SUCCESS), "success");
	CU_ASSERT_STRING_EQUAL(art_strerror(ART_ERR_EVICTED), "this rank was evicted from the job");
	CU_ASSERT_STRING_EQUAL(art_strerror(1), "unknown status code");
	CU_ASSERT_STRING_EQUAL(art_strerror(-1000), "unknown status code");
	for (int code = ART_ERR_INTERNAL; code <= 0; code++)
		CU_ASSERT_STRING_NOT_EQUAL(art_strerror(code), "unknown status code");
}

static void posix_time_and_randomness(void)
{
	struct art_env a, b;

	art__env_posix(&a, "rank 1", ART_LOG_WARN);
	art__env_posix(&b, NULL, ART_LOG_WARN);
	uint64_t t0 = art__env_now(&a), t1 = art__env_now(&b);
	CU_ASSERT_TRUE(t0 > 0 && t0 <= t1);
	/* Equal by accident once in 2^64 runs. */
	CU_ASSERT_NOT_EQUAL(a.random(a.self), a.random(a.self));
	CU_ASSERT_NOT_EQUAL(a.random(a.self), b.random(b.self));
	uint64_t ones = 0, any = 0;
	for (int i = 0; i < 64; i++) {
		uint64_t r = a.random(a.self);
		ones += (uint64_t)__builtin_popcountll(r);
		any |= r;
	}
	CU_ASSERT_EQUAL(any, UINT64_MAX);
	CU_ASSERT_TRUE(ones > 1700 && ones < 2400); /* 2048 +- 11 sigma */
}

/* What log writes to stderr, into out[]. */
static void capture(struct art_env *e, const char *text, char *out, size_t cap)
{
	int pipe_fd[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	CU_ASSERT_TRUE_FATAL(saved >= 0 && pipe2(pipe_fd, O_CLOEXEC) == 0);
	dup2(pipe_fd[1], STDERR_FILENO);
	art__env_log(e, ART_LOG_WARN, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fd[1]);
	n = read(pipe_fd[0], out, cap - 1);
	out[n > 0 ? n : 0] = '\0';
	close(pipe_fd[0]);
}

static void posix_log_line(void)
{
	struct art_env e;
	char out[1024], big[700];

	art__env_posix(&e, "rank 3", ART_LOG_WARN);
	capture(&e, "link lost", out, sizeof(out));
	CU_ASSERT_STRING_EQUAL(out, "art: [rank 3] warn: link lost\n");
	art__env_posix(&e, NULL, ART_LOG_WARN);
	capture(&e, "link lost", out, sizeof(out));
	CU_ASSERT_STRING_EQUAL(out, "art: warn: link lost\n");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	capture(&e, big, out, sizeof(out));
	CU_ASSERT_TRUE(strlen(out) > 500);
	CU_ASSERT_EQUAL(out[strlen(out) - 1], '\n');
}

static void set_members(void)
{
	struct art_set s, t;

	art__set_init(&s, 130);
	CU_ASSERT_TRUE(art__set_empty(&s));
	CU_ASSERT_EQUAL(art__set_next(&s, 0), 130);
	art__set_add(&s, 0);
	art__set_add(&s, 64);
	art__set_add(&s, 129);
	CU_ASSERT_EQUAL(art__set_count(&s), 3);
	CU_ASSERT_TRUE(art__set_has(&s, 129));
	CU_ASSERT_FALSE(art__set_has(&s, 130));
	CU_ASSERT_EQUAL(art__set_next(&s, 1), 64);
	CU_ASSERT_EQUAL(art__set_next(&s, 65), 129);
	uint32_t sum = 0;
	ART_SET_EACH (i, &s)
		sum += i;
	CU_ASSERT_EQUAL(sum, 193);
	art__set_copy(&t, &s);
	CU_ASSERT_TRUE(art__set_equal(&s, &t));
	art__set_del(&t, 64);
	CU_ASSERT_FALSE(art__set_equal(&s, &t));
	CU_ASSERT_TRUE(art__set_subset(&t, &s));
	CU_ASSERT_FALSE(art__set_subset(&s, &t));
	CU_ASSERT_TRUE(art__set_meets(&s, &t));
}

static void set_algebra(void)
{
	struct art_set a, b;

	art__set_fill(&a, 4096);
	CU_ASSERT_EQUAL(art__set_count(&a), 4096);
	CU_ASSERT_EQUAL(art__set_next(&a, 4095), 4095);
	CU_ASSERT_EQUAL(art__set_next(&a, 4096), 4096);
	art__set_init(&b, 4096);
	art__set_add(&b, 4095);
	art__set_minus(&a, &b);
	CU_ASSERT_EQUAL(art__set_count(&a), 4095);
	CU_ASSERT_FALSE(art__set_meets(&a, &b));
	art__set_or(&a, &b);
	CU_ASSERT_EQUAL(art__set_count(&a), 4096);
	art__set_and(&a, &b);
	CU_ASSERT_TRUE(art__set_equal(&a, &b));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "pool reuses what came back", pool_reuses_what_came_back },
		{ "pool gives room for every size", pool_gives_room_for_every_size },
		{ "pool survives no memory", pool_survives_no_memory },
		{ "zalloc clears", zalloc_clears },
		{ "log obeys its level and its bound", log_obeys_its_level_and_its_bound },
		{ "marks are optional", marks_are_optional },
		{ "marks have names", marks_have_names },
		{ "status has text", status_has_text },
		{ "posix time and randomness", posix_time_and_randomness },
		{ "posix log line", posix_log_line },
		{ "set members", set_members },
		{ "set algebra", set_algebra },
		CU_TEST_INFO_NULL,
	};

	return unit_run("base", tests);
}
