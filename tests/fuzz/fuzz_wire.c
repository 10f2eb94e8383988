/* SPDX-License-Identifier: MIT
 *
 * Description: whatever 64 bytes come, the header decoder neither reads past them nor believes
 * what encode() would not have written; body readers stay inside their body.
 *
 * With clang and --enable-fuzz libFuzzer drives it. Otherwise the main below does:
 *     fuzz_wire SEED RUNS [CORPUS_FILE...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "fuzz_wire: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* An accepted header is exactly what encode() makes of its fields. */
static void check_header(const uint8_t *data)
{
	uint8_t *in = malloc(ART_HDR_BYTES), again[ART_HDR_BYTES];
	struct art_hdr h;

	REQUIRE(in);
	memcpy(in, data, ART_HDR_BYTES); /* exactly as long: ASan sees one byte more being read */
	bool good = art__wire_decode(in, &h);
	REQUIRE(art__wire_body_len(in) == (good ? (int64_t)h.len : -1));
	if (good) {
		REQUIRE(h.len <= ART_BODY_MAX);
		art__wire_encode(&h, again);
		REQUIRE(memcmp(again, in, ART_HDR_BYTES) == 0);
	}
	free(in);
}

/* The same bytes as a header with its checksum repaired: gets past the checksum, as a hostile
 * peer would. Its other fields must survive. */
static void check_forged(const uint8_t *data)
{
	struct art_hdr h, out;
	uint8_t wire[ART_HDR_BYTES];

	memcpy(&h, data, sizeof(h));
	h.kind = ART_K_DATA + h.kind % (ART_K_OUTCOME - ART_K_DATA + 1);
	h.len %= ART_BODY_MAX + 1;
	art__wire_encode(&h, wire);
	REQUIRE(art__wire_decode(wire, &out));
	h.version = out.version;
	h.magic = out.magic;
	h.check = out.check;
	REQUIRE(memcmp(&h, &out, sizeof(h)) == 0);
}

/* The bytes say what to read from themselves. */
static void check_body(const uint8_t *data, size_t size)
{
	uint8_t *body = malloc(size ? size : 1);
	struct art_rbuf r = { .p = body, .len = size };

	REQUIRE(body);
	memcpy(body, data, size);
	for (size_t step = 0; step < size + 16; step++) {
		size_t before = r.at, n = art__r_u8(&r);
		const uint8_t *p;

		switch (n % 5) {
		case 0: art__r_u16(&r); break;
		case 1: art__r_u32(&r); break;
		case 2: art__r_u64(&r); break;
		case 3:
			n = art__r_u16(&r);
			p = art__r_bytes(&r, n);
			REQUIRE(!p || (p >= body && p + n <= body + size));
			break;
		case 4:
			REQUIRE(!art__r_bytes(&r, SIZE_MAX - n));
			REQUIRE(r.bad);
			break;
		}
		REQUIRE(r.at <= r.len && r.at >= before);
	}
	REQUIRE(r.bad);
	free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= ART_HDR_BYTES) {
		check_header(data);
		check_forged(data);
		check_body(data + ART_HDR_BYTES, size - ART_HDR_BYTES);
	} else {
		check_body(data, size);
	}
	return 0;
}

#ifndef ART_FUZZ_LIBFUZZER
#define INPUT_MAX 512

static uint64_t rng;

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* A few bit flips, byte changes, cuts and growths of an input. */
static size_t mutate(uint8_t *p, size_t len)
{
	for (uint64_t n = next() % 6; n > 0; n--) {
		switch (next() % 4) {
		case 0:
			if (len)
				p[next() % len] ^= (uint8_t)(1u << next() % 8);
			break;
		case 1:
			if (len)
				p[next() % len] = (uint8_t)next();
			break;
		case 2:
			len = next() % (len + 1);
			break;
		case 3:
			for (uint64_t more = next() % 80; more > 0 && len < INPUT_MAX; more--)
				p[len++] = (uint8_t)next();
			break;
		}
	}
	return len;
}

static size_t load(const char *path, uint8_t buf[INPUT_MAX])
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		fprintf(stderr, "fuzz_wire: cannot read %s\n", path);
		exit(1);
	}
	n = fread(buf, 1, INPUT_MAX, f);
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t seed_input[64][INPUT_MAX];
	static size_t seed_len[64];
	int files = argc > 3 ? argc - 3 : 0;

	if (argc < 3 || files > 64) {
		fprintf(stderr, "usage: fuzz_wire SEED RUNS [CORPUS_FILE...]\n");
		return 1;
	}
	rng = strtoull(argv[1], NULL, 0) | UINT64_C(1) << 63;
	for (int i = 0; i < files; i++) {
		seed_len[i] = load(argv[i + 3], seed_input[i]);
		LLVMFuzzerTestOneInput(seed_input[i], seed_len[i]);
	}
	for (unsigned long run = strtoul(argv[2], NULL, 0); run > 0; run--) {
		uint8_t input[INPUT_MAX] = { 0 };
		size_t pick = next() % 64, len = seed_len[pick];

		memcpy(input, seed_input[pick], len);
		len = mutate(input, len);
		LLVMFuzzerTestOneInput(input, len);
	}
	printf("fuzz_wire: seed %s, %s runs, %d corpus files: nothing found\n", argv[1], argv[2],
	       files);
	return 0;
}
#endif
