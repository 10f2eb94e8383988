/* SPDX-License-Identifier: MIT
 *
 * Description: what every fuzz target has in common. With clang and --enable-fuzz libFuzzer drives
 * it; otherwise main.c does, with seeded inputs: TARGET SEED RUNS|TIMEs|=RUN [CORPUS_FILE...]
 */
#ifndef ART_TESTS_FUZZ_FUZZ_H
#define ART_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* What main.c must know about a target. */
struct fuzz_target {
	const char *name;
	/* After many inputs, or NULL: whether they got anywhere, corpus or not. */
	void (*end)(int corpus_files);
};
extern const struct fuzz_target fuzz_target;

/* One input, DATA[0..SIZE). Returns 0; what is wrong aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
