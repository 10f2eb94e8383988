/* SPDX-License-Identifier: MIT
 *
 * Description: whatever 64 bytes come, the header decoder neither reads past them nor believes
 * what encode() would not have written; body readers stay inside their body.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/wire.h"

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

const struct fuzz_target fuzz_target = { .name = "fuzz_wire" };
