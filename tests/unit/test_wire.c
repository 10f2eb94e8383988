/* SPDX-License-Identifier: MIT
 *
 * Description: headers survive a round trip and nothing else does; bodies are never read or
 * written past their end.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/unit.h"
#include "wire/wire.h"

/* Every byte of every field different, so that a swapped or shortened field shows. */
static struct art_hdr sample(void)
{
	return (struct art_hdr){
		.kind = ART_K_DATA,
		.phase = 0x12,
		.flags = 0x13,
		.lag = 0x2021,
		.epoch = 0x30313233,
		.src = 0x40414243,
		.comm = UINT64_C(0x5051525354555657),
		.seq = UINT64_C(0x6061626364656667),
		.off = UINT64_C(0x7071727374757677),
		.sig = 0x80818283,
		.len = 0x8485,
		.link_seq = 0x90919293,
		.mac = UINT64_C(0xa0a1a2a3a4a5a6a7),
	};
}

static void round_trip(void)
{
	struct art_hdr in = sample(), out;
	uint8_t wire[ART_HDR_BYTES];

	memset(wire, 0xee, sizeof(wire));
	art__wire_encode(&in, wire);
	CU_ASSERT_TRUE_FATAL(art__wire_decode(wire, &out));
	CU_ASSERT_EQUAL(out.version, ART_WIRE_VERSION);
	in.version = out.version;
	in.magic = out.magic;
	in.check = out.check;
	CU_ASSERT_EQUAL(memcmp(&in, &out, sizeof(in)), 0);
	CU_ASSERT_EQUAL(art__wire_body_len(wire), 0x8485);
}

/* Programs of another byte order or compiler must agree: the bytes are written down here. */
static void bytes_are_fixed(void)
{
	static const uint8_t want[ART_HDR_BYTES] = {
		0x01, 0x01, 0x12, 0x13, 0x21, 0x20, 'A',  'R',  0x33, 0x32, 0x31, 0x30, 0x43,
		0x42, 0x41, 0x40, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, 0x50, 0x67, 0x66,
		0x65, 0x64, 0x63, 0x62, 0x61, 0x60, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71,
		0x70, 0x83, 0x82, 0x81, 0x80, 0x85, 0x84, 0x00, 0x00, 0x93, 0x92, 0x91, 0x90,
		0x09, 0x2a, 0x80, 0x7b, 0xa7, 0xa6, 0xa5, 0xa4, 0xa3, 0xa2, 0xa1, 0xa0,
	};
	struct art_hdr h = sample();
	uint8_t wire[ART_HDR_BYTES];

	art__wire_encode(&h, wire);
	for (size_t i = 0; i < sizeof(wire); i++)
		if (wire[i] != want[i])
			printf("byte %zu is %02x, not %02x\n", i, wire[i], want[i]);
	CU_ASSERT_EQUAL(memcmp(wire, want, sizeof(want)), 0);
}

static void any_flipped_bit_is_noticed(void)
{
	struct art_hdr h = sample(), out;
	uint8_t wire[ART_HDR_BYTES];

	art__wire_encode(&h, wire);
	for (unsigned bit = 0; bit < ART_HDR_BYTES * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(art__wire_decode(wire, &out));
		CU_ASSERT_EQUAL(art__wire_body_len(wire), -1);
		wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CU_ASSERT_TRUE(art__wire_decode(wire, &out));
}

static bool kind_passes(uint8_t kind)
{
	struct art_hdr h = { .kind = kind }, out;
	uint8_t wire[ART_HDR_BYTES];

	art__wire_encode(&h, wire);
	return art__wire_decode(wire, &out) && out.kind == kind;
}

static void every_kind_passes_and_has_a_name(void)
{
	for (uint8_t k = ART_K_DATA; k <= ART_K_OUTCOME; k++) {
		CU_ASSERT_TRUE(kind_passes(k));
		CU_ASSERT_STRING_NOT_EQUAL(art__wire_kind_name(k), "unknown");
	}
	for (uint8_t k = ART_K_REQUEST; k < ART_K_LAST; k++) {
		CU_ASSERT_TRUE(kind_passes(k));
		CU_ASSERT_STRING_NOT_EQUAL(art__wire_kind_name(k), "unknown");
	}
	CU_ASSERT_STRING_EQUAL(art__wire_kind_name(0), "unknown");
	CU_ASSERT_STRING_EQUAL(art__wire_kind_name(ART_K_LAST), "unknown");
	CU_ASSERT_STRING_EQUAL(art__wire_kind_name(255), "unknown");
}

static void longest_body_passes(void)
{
	struct art_hdr h = { .kind = ART_K_DATA, .len = ART_BODY_MAX }, out;
	uint8_t wire[ART_HDR_BYTES];

	art__wire_encode(&h, wire);
	CU_ASSERT_TRUE(art__wire_decode(wire, &out));
	CU_ASSERT_EQUAL(art__wire_body_len(wire), ART_BODY_MAX);
}

static void body_round_trip(void)
{
	uint8_t mem[18];
	struct art_wbuf w = { .p = mem, .cap = sizeof(mem) };

	art__w_u8(&w, 0x01);
	art__w_u16(&w, 0x0203);
	art__w_u32(&w, 0x04050607);
	art__w_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	art__w_bytes(&w, "abc", 3);
	CU_ASSERT_FALSE(w.bad);
	CU_ASSERT_EQUAL(w.len, sizeof(mem));
	CU_ASSERT_EQUAL(mem[1], 0x03);

	struct art_rbuf r = { .p = mem, .len = w.len };
	CU_ASSERT_EQUAL(art__r_u8(&r), 0x01);
	CU_ASSERT_EQUAL(art__r_u16(&r), 0x0203);
	CU_ASSERT_EQUAL(art__r_u32(&r), 0x04050607);
	CU_ASSERT_EQUAL(art__r_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	CU_ASSERT_EQUAL(memcmp(art__r_bytes(&r, 3), "abc", 3), 0);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(r.at, r.len);
}

static void overflow_writes_nothing_and_stays_bad(void)
{
	uint8_t mem[8];
	struct art_wbuf w = { .p = mem, .cap = 4 };

	memset(mem, 0xee, sizeof(mem));
	art__w_u16(&w, 1);
	art__w_u32(&w, 2);
	CU_ASSERT_TRUE(w.bad);
	CU_ASSERT_EQUAL(w.len, 2);
	CU_ASSERT_EQUAL(mem[2], 0xee);
	art__w_u8(&w, 3); /* would fit, but the body is spoilt */
	CU_ASSERT_TRUE(w.bad);
	CU_ASSERT_EQUAL(w.len, 2);
	CU_ASSERT_EQUAL(mem[2], 0xee);

	w = (struct art_wbuf){ .p = mem, .cap = 4 };
	art__w_bytes(&w, mem, SIZE_MAX);
	CU_ASSERT_TRUE(w.bad);
}

static void short_body_reads_zero_and_stays_bad(void)
{
	static const uint8_t mem[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct art_rbuf r = { .p = mem, .len = 3 };

	CU_ASSERT_EQUAL(art__r_u16(&r), 0x0101);
	CU_ASSERT_EQUAL(art__r_u64(&r), 0);
	CU_ASSERT_TRUE(r.bad);
	CU_ASSERT_EQUAL(art__r_u8(&r), 0);
	CU_ASSERT_EQUAL(r.at, 2);

	r = (struct art_rbuf){ .p = mem, .len = 8 };
	CU_ASSERT_PTR_NULL(art__r_bytes(&r, SIZE_MAX));
	CU_ASSERT_TRUE(r.bad);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "round trip", round_trip },
		{ "bytes are fixed", bytes_are_fixed },
		{ "any flipped bit is noticed", any_flipped_bit_is_noticed },
		{ "every kind passes and has a name", every_kind_passes_and_has_a_name },
		{ "longest body passes", longest_body_passes },
		{ "body round trip", body_round_trip },
		{ "overflow writes nothing", overflow_writes_nothing_and_stays_bad },
		{ "short body reads zero", short_body_reads_zero_and_stays_bad },
		CU_TEST_INFO_NULL,
	};

	return unit_run("wire", tests);
}
