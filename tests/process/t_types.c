/* SPDX-License-Identifier: MIT
 *
 * Description: every operator on every type it is defined for, against a plain loop over the
 * ranks' inputs in rank order, by allreduce, reduce to every root, in place, and from one element
 * up to more than one message holds; bcast of every type; zero counts.
 */
#include <complex.h>
#include <stdint.h>
#include <string.h>

#include "tests/process/check.h"

#define RANKS_MAX 64
#define BIG 20000

/* The input of a rank: small, so that products stay exact, and different everywhere. */
static int input(int rank, size_t i)
{
	return (int)((unsigned)rank * 7 + i * 3) % 5 + 1;
}

static const size_t counts[] = {0, 1, 3, 1000, BIG};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* Runs one operator on one type all ways; @in and @want are filled, buffers hold BIG elements. */
static void all_ways(art_type_t type, size_t size, art_op_t op, const void *in, const void *want,
		     void *out)
{
	for (size_t k = 0; k < COUNTS; k++) {
		size_t n = counts[k], bytes = n * size;
		int root = (int)(k % (size_t)my_size);

		memset(out, 0x5a, BIG * size);
		OK(art_allreduce(in, out, n, type, op, ART_COMM_WORLD));
		CHECK(memcmp(out, want, bytes) == 0);
		memcpy(out, in, bytes);
		OK(art_allreduce(ART_IN_PLACE, out, n, type, op, ART_COMM_WORLD));
		CHECK(memcmp(out, want, bytes) == 0);
		memset(out, 0x5a, BIG * size);
		OK(art_reduce(in, my_rank == root ? out : NULL, n, type, op, root, ART_COMM_WORLD));
		CHECK(my_rank != root || memcmp(out, want, bytes) == 0);
		if (my_rank == root)
			memcpy(out, in, bytes);
		OK(art_reduce(my_rank == root ? ART_IN_PLACE : in, my_rank == root ? out : NULL, n, type,
			      op, root, ART_COMM_WORLD));
		CHECK(my_rank != root || memcmp(out, want, bytes) == 0);
		memcpy(out, my_rank == root ? want : in, bytes);
		OK(art_bcast(out, n, type, root, ART_COMM_WORLD));
		CHECK(memcmp(out, want, bytes) == 0);
	}
}

/* Partial results are combined in tree order: these inputs are exact in any order. */
#define TEST(name, ctype, handle, op, combine) \
	static void name(void) \
	{ \
		static ctype in[BIG], want[BIG], out[BIG]; \
		memset(in, 0, sizeof(in)); \
		memset(want, 0, sizeof(want)); \
		for (size_t i = 0; i < BIG; i++) { \
			in[i] = (ctype)input(my_rank, i); \
			want[i] = (ctype)input(0, i); \
			for (int r = 1; r < my_size; r++) { \
				ctype x = want[i], y = (ctype)input(r, i); \
				want[i] = (ctype)(combine); \
			} \
		} \
		all_ways(handle, sizeof(ctype), op, in, want, out); \
	}

#define INTEGERS(T, ctype, handle) \
	TEST(T##_sum, ctype, handle, ART_SUM, (uint64_t)x + (uint64_t)y) \
	TEST(T##_prod, ctype, handle, ART_PROD, (uint64_t)x * (uint64_t)y) \
	TEST(T##_min, ctype, handle, ART_MIN, x < y ? x : y) \
	TEST(T##_max, ctype, handle, ART_MAX, x > y ? x : y) \
	TEST(T##_land, ctype, handle, ART_LAND, x && y) \
	TEST(T##_lor, ctype, handle, ART_LOR, x || y) \
	TEST(T##_lxor, ctype, handle, ART_LXOR, !x != !y) \
	TEST(T##_band, ctype, handle, ART_BAND, x & y) \
	TEST(T##_bor, ctype, handle, ART_BOR, x | y) \
	TEST(T##_bxor, ctype, handle, ART_BXOR, x ^ y) \
	static void T##_all(void) \
	{ \
		T##_sum(); \
		T##_prod(); \
		T##_min(); \
		T##_max(); \
		T##_band(); \
		T##_bor(); \
		T##_bxor(); \
		if (my_size > 1) { /* alone, the input is the result, not 0 or 1 */ \
			T##_land(); \
			T##_lor(); \
			T##_lxor(); \
		} \
	}

#define REALS(T, ctype, handle) \
	TEST(T##_sum, ctype, handle, ART_SUM, x + y) \
	TEST(T##_min, ctype, handle, ART_MIN, x < y ? x : y) \
	TEST(T##_max, ctype, handle, ART_MAX, x > y ? x : y) \
	static void T##_all(void) \
	{ \
		T##_sum(); \
		T##_min(); \
		T##_max(); \
	}

INTEGERS(i8, int8_t, ART_INT8)
INTEGERS(i16, int16_t, ART_INT16)
INTEGERS(i32, int32_t, ART_INT32)
INTEGERS(i64, int64_t, ART_INT64)
INTEGERS(u8, uint8_t, ART_UINT8)
INTEGERS(u16, uint16_t, ART_UINT16)
INTEGERS(u32, uint32_t, ART_UINT32)
INTEGERS(u64, uint64_t, ART_UINT64)
REALS(f, float, ART_FLOAT)
REALS(d, double, ART_DOUBLE)
TEST(c_sum, float complex, ART_FLOAT_COMPLEX, ART_SUM, x + y)
TEST(z_sum, double complex, ART_DOUBLE_COMPLEX, ART_SUM, x + y)
TEST(byte_bxor, unsigned char, ART_BYTE, ART_BXOR, x ^ y)

/* Its padding is nobody's business: compared by value. */
static void long_double_sum(void)
{
	long double in[2] = {my_rank + 1, 0.5L}, out[2];

	OK(art_allreduce(in, out, 2, ART_LONG_DOUBLE, ART_SUM, ART_COMM_WORLD));
	CHECK(out[0] == sum_of_ranks() && out[1] == 0.5L * my_size);
}

/* Halves and small integers: exact in both. */
static void halves(void)
{
	uint16_t f16[2] = { 0x3800, (uint16_t)(my_rank == 0 ? 0x4200 : 0x3c00) }; /* 0.5; 3, others 1 */
	uint16_t bf16[2] = { 0x3f00, (uint16_t)(my_rank == 0 ? 0x4040 : 0x3f80) };
	static const uint16_t sums[8] = { 0, 0x3800, 0x3c00, 0x3e00, 0x4000, 0x4100, 0x4200, 0x4300 };

	OK(art_allreduce(ART_IN_PLACE, f16, 2, ART_FLOAT16, my_size < 8 ? ART_SUM : ART_MAX,
			 ART_COMM_WORLD));
	CHECK(my_size >= 8 || f16[0] == sums[my_size]);
	OK(art_allreduce(ART_IN_PLACE, bf16, 2, ART_BFLOAT16, ART_MAX, ART_COMM_WORLD));
	CHECK(bf16[0] == 0x3f00 && bf16[1] == 0x4040);
}

#define PAIR(name, vtype, itype, handle) \
	static void name(void) \
	{ \
		struct { \
			vtype value; \
			itype index; \
		} in[2], out[2]; \
		memset(in, 0, sizeof(in)); \
		in[0].value = (vtype)(100 - my_rank); \
		in[1].value = 5; \
		in[0].index = in[1].index = (itype)(my_rank + 10); \
		OK(art_allreduce(in, out, 2, handle, ART_MINLOC, ART_COMM_WORLD)); \
		CHECK(out[0].value == (vtype)(101 - my_size)); \
		CHECK(out[0].index == (itype)(my_size + 9)); \
		CHECK(out[1].value == 5 && out[1].index == 10); /* a tie: the smaller index */ \
		OK(art_allreduce(in, out, 2, handle, ART_MAXLOC, ART_COMM_WORLD)); \
		CHECK(out[0].value == 100 && out[0].index == 10); \
		CHECK(out[1].value == 5 && out[1].index == 10); \
	}

PAIR(float_int, float, int32_t, ART_FLOAT_INT32)
PAIR(double_int, double, int32_t, ART_DOUBLE_INT32)
PAIR(int_int, int32_t, int32_t, ART_INT32_INT32)
PAIR(long_long, int64_t, int64_t, ART_INT64_INT64)

/* Unsigned sums and products wrap alike everywhere. */
static void wrapping(void)
{
	uint64_t in = UINT64_MAX - (uint64_t)my_rank, out, want = UINT64_MAX;
	int8_t s = 100, t;

	for (int r = 1; r < my_size; r++)
		want += UINT64_MAX - (uint64_t)r;
	OK(art_allreduce(&in, &out, 1, ART_UINT64, ART_SUM, ART_COMM_WORLD));
	CHECK(out == want);
	OK(art_allreduce(&s, &t, 1, ART_INT8, ART_SUM, ART_COMM_WORLD));
	CHECK(t == (int8_t)(uint8_t)(100u * (unsigned)my_size));
}

int main(void)
{
	begin();
	CHECK(my_size <= RANKS_MAX);
	i8_all();
	i16_all();
	i32_all();
	i64_all();
	u8_all();
	u16_all();
	u32_all();
	u64_all();
	f_all();
	d_all();
	c_sum();
	z_sum();
	byte_bxor();
	long_double_sum();
	halves();
	float_int();
	double_int();
	int_int();
	long_long();
	wrapping();
	return finish();
}
