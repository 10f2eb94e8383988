/* SPDX-License-Identifier: MIT
 *
 * Every built-in operator on every type it is defined for, with every width of vectors that this
 * processor has, against a plain reference that takes one element at a time: random values with
 * all the awkward ones among them, every way in which out may be an operand, buffers of any
 * alignment, vectors and their remainders.
 *
 *   test_combine                                        everything
 *   test_combine WIDTH OP TYPE COUNT ALIAS SHIFT SEED   one coordinate, as a failure prints it
 *
 * WIDTH: 0 as the library chooses, else the number of a table of kernels.
 */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>
#include <art/art.h>

#include "coll/combine_kernels.h"

#define MAX_COUNT 300
#define MAX_ELEMENT 32
#define GUARD 64
#define ROOM (MAX_COUNT * MAX_ELEMENT + 3 * GUARD)
#define SEEDS 6

enum kind { BYTES, SIGNED, UNSIGNED, REAL, COMPLEX, PAIR };

/* @part: bytes of a real or imaginary part, or of a pair's value; @index: of a pair's index. */
static const struct {
	enum kind kind;
	size_t size, part, index;
} types[ART_T_COUNT] = {
	[ART_T_BYTE] = { BYTES, 1, 1, 0 },
	[ART_T_INT8] = { SIGNED, sizeof(int8_t), 1, 0 },
	[ART_T_INT16] = { SIGNED, sizeof(int16_t), 2, 0 },
	[ART_T_INT32] = { SIGNED, sizeof(int32_t), 4, 0 },
	[ART_T_INT64] = { SIGNED, sizeof(int64_t), 8, 0 },
	[ART_T_UINT8] = { UNSIGNED, sizeof(uint8_t), 1, 0 },
	[ART_T_UINT16] = { UNSIGNED, sizeof(uint16_t), 2, 0 },
	[ART_T_UINT32] = { UNSIGNED, sizeof(uint32_t), 4, 0 },
	[ART_T_UINT64] = { UNSIGNED, sizeof(uint64_t), 8, 0 },
	[ART_T_FLOAT16] = { REAL, 2, 2, 0 },
	[ART_T_BFLOAT16] = { REAL, 2, 2, 0 },
	[ART_T_FLOAT] = { REAL, sizeof(float), sizeof(float), 0 },
	[ART_T_DOUBLE] = { REAL, sizeof(double), sizeof(double), 0 },
	[ART_T_LONG_DOUBLE] = { REAL, sizeof(long double), sizeof(long double), 0 },
	[ART_T_FLOAT_COMPLEX] = { COMPLEX, sizeof(float _Complex), sizeof(float), 0 },
	[ART_T_DOUBLE_COMPLEX] = { COMPLEX, sizeof(double _Complex), sizeof(double), 0 },
	[ART_T_FLOAT_INT32] = { PAIR, sizeof(struct { float v; int32_t i; }), 4, 4 },
	[ART_T_DOUBLE_INT32] = { PAIR, sizeof(struct { double v; int32_t i; }), 8, 4 },
	[ART_T_INT32_INT32] = { PAIR, sizeof(struct { int32_t v; int32_t i; }), 4, 4 },
	[ART_T_INT64_INT64] = { PAIR, sizeof(struct { int64_t v; int64_t i; }), 8, 8 },
};

/* ---- random values ---- */

static uint64_t rng_state;

static uint64_t rng(void)
{
	rng_state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = rng_state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The low @size bytes of @bits as an integer in memory, and back. */
static void put_bits(void *to, size_t size, uint64_t bits)
{
	uint8_t b8 = (uint8_t)bits;
	uint16_t b16 = (uint16_t)bits;
	uint32_t b32 = (uint32_t)bits;
	const void *from[] = { [1] = &b8, [2] = &b16, [4] = &b32, [8] = &bits };

	memcpy(to, from[size], size);
}

static uint64_t get_bits(const void *from, size_t size)
{
	uint8_t b8;
	uint16_t b16;
	uint32_t b32;
	uint64_t b64;

	switch (size) {
	case 1: memcpy(&b8, from, size); return b8;
	case 2: memcpy(&b16, from, size); return b16;
	case 4: memcpy(&b32, from, size); return b32;
	default: memcpy(&b64, from, size); return b64;
	}
}

static int64_t get_signed(const void *from, size_t size)
{
	uint64_t sign = UINT64_C(1) << (8 * size - 1);

	return (int64_t)((get_bits(from, size) ^ sign) - sign);
}

static void random_integer(void *to, size_t size)
{
	uint64_t top = UINT64_C(1) << (8 * size - 1);
	const uint64_t special[] = { 0, 1, 2, UINT64_MAX, top, top - 1, top + 1, top >> 1 };

	put_bits(to, size, rng() % 3 ? rng() : special[rng() % 8]);
}

static const uint64_t special_double[] = {
	UINT64_C(0x0000000000000000), UINT64_C(0x8000000000000000), /* 0, -0 */
	UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000), /* infinities */
	UINT64_C(0x7ff8000000000001), UINT64_C(0xfff8000000000002), /* NaN, -NaN */
	UINT64_C(0x7ff0000000000003), UINT64_C(0x0000000000000001), /* signalling NaN, least */
	UINT64_C(0x7fefffffffffffff), UINT64_C(0xffefffffffffffff), /* most */
	UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), /* 1, -1 */
};
static const uint64_t special_float[] = {
	0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 0xffc00002,
	0x7f800003, 0x00000001, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000,
};
#define NSPECIAL (sizeof(special_float) / sizeof(special_float[0]))

/* @digits after the point, of an exponent with a bias of @bias. */
static uint64_t random_half_bits(int digits, uint64_t bias)
{
	const uint64_t one = UINT64_C(1) << digits, inf = 0x8000 - one;
	const uint64_t special[] = { 0, 1, one - 1, one, inf - 1, inf, inf + 1, inf + one / 2 + 3,
				     bias << digits };
	uint64_t bits = rng(), exponent = bias - 3 + rng() % 6;

	switch (rng() % 4) {
	case 0:
		return special[bits % 9] | (bits >> 8 & 0x8000);
	case 1:
		return bits & 0xffff;
	default:
		return (bits & (0x8000 | (one - 1))) | exponent << digits;
	}
}

/* Numbers of similar magnitude, so that rounding matters, and any bits at all. */
static uint64_t random_real_bits(size_t size)
{
	float f = (float)((double)(int64_t)rng() * 0x1p-60);
	double d = (double)(int64_t)rng() * 0x1p-60;

	switch (rng() % 4) {
	case 0:
		return (size == 4 ? special_float : special_double)[rng() % NSPECIAL];
	case 1:
		return rng();
	default:
		return size == 4 ? get_bits(&f, 4) : get_bits(&d, 8);
	}
}

/* Made by arithmetic: most bit patterns are no long double. Padding is garbage. */
static void random_long_double(void *to)
{
	const long double special[] = {
		0.0L, -0.0L, 1.0L, -1.0L, HUGE_VALL, -HUGE_VALL,
		__builtin_nanl("1"), -__builtin_nanl("2"), /* the builtin needs no libm */
		LDBL_MAX, -LDBL_MAX, LDBL_MIN, LDBL_MIN * LDBL_EPSILON,
	};
	long double v = (long double)(int64_t)rng() * 0x1p-60L +
			(long double)(int64_t)rng() * 0x1p-124L;
	size_t value = LDBL_MANT_DIG == 64 ? 10 : sizeof(v);

	if (rng() % 4 == 0)
		v = special[rng() % (sizeof(special) / sizeof(special[0]))];
	memset(to, (int)(rng() & 0xff), sizeof(v));
	memcpy(to, &v, value);
}

static bool is_float_type(int type)
{
	return types[type].kind == REAL || types[type].kind == COMPLEX ||
	       type == ART_T_FLOAT_INT32 || type == ART_T_DOUBLE_INT32;
}

static void random_part(int type, void *to)
{
	if (type == ART_T_LONG_DOUBLE)
		random_long_double(to);
	else if (type == ART_T_FLOAT16)
		put_bits(to, 2, random_half_bits(10, 15));
	else if (type == ART_T_BFLOAT16)
		put_bits(to, 2, random_half_bits(7, 127));
	else if (is_float_type(type))
		put_bits(to, types[type].part, random_real_bits(types[type].part));
	else
		random_integer(to, types[type].part);
}

static void random_element(int type, unsigned char *to)
{
	size_t part = types[type].part, index = types[type].index;

	memset(to, (int)(rng() & 0xff), types[type].size);
	random_part(type, to);
	if (types[type].kind == COMPLEX)
		random_part(type, to + part);
	if (types[type].kind == PAIR && rng() % 2)
		put_bits(to + part, index, rng() % 3 - 1);
	else if (types[type].kind == PAIR)
		random_integer(to + part, index);
}

/* Every third element of the right side ties with the left one, in its value at least. */
static void random_operands(int type, unsigned char *l, unsigned char *r, size_t count)
{
	size_t size = types[type].size;

	for (size_t i = 0; i < count; i++) {
		random_element(type, l + i * size);
		random_element(type, r + i * size);
		if (rng() % 3 == 0)
			memcpy(r + i * size, l + i * size, types[type].part);
	}
}

/* ---- the reference ---- */

static void want_integer(int op, int type, const void *l, const void *r, void *want)
{
	size_t size = types[type].size;
	uint64_t a = get_bits(l, size), b = get_bits(r, size), v = 0;
	bool less = a < b; /* a is smaller */

	if (types[type].kind == SIGNED)
		less = get_signed(l, size) < get_signed(r, size);
	switch (op) {
	case ART_O_SUM: v = a + b; break;
	case ART_O_PROD: v = a * b; break;
	case ART_O_MIN: v = less ? a : b; break;
	case ART_O_MAX: v = less ? b : a; break;
	case ART_O_LAND: v = a && b; break;
	case ART_O_LOR: v = a || b; break;
	case ART_O_LXOR: v = !a != !b; break;
	case ART_O_BAND: v = a & b; break;
	case ART_O_BOR: v = a | b; break;
	case ART_O_BXOR: v = a ^ b; break;
	default: abort();
	}
	put_bits(want, size, v);
}

static long double half_value(int type, uint64_t bits)
{
	uint64_t e = bits >> 10 & 31, m = bits & 1023;
	uint32_t wide = (uint32_t)bits << 16;
	long double v = (long double)(e ? m + 1024 : m) * 0x1p-24L;
	float f;

	memcpy(&f, &wide, sizeof(f));
	if (type == ART_T_BFLOAT16)
		return f;
	if (e == 31)
		return m ? __builtin_nanl("") : bits & 0x8000 ? -HUGE_VALL : HUGE_VALL;
	for (; e > 1; e--)
		v *= 2;
	return bits & 0x8000 ? -v : v;
}

/* The nearest of all there are, or the even one of two: found, not computed. */
static uint64_t half_nearest(int type, long double x)
{
	const uint64_t inf = type == ART_T_FLOAT16 ? 0x7c00 : 0x7f80;
	const long double beyond = type == ART_T_FLOAT16 ? 0x1p16L : 0x1p128L; /* if it went on */
	uint64_t sign = signbit(x) ? 0x8000 : 0, low = 0, high = inf;
	long double v = sign ? -x : x, below, above;

	if (v >= beyond)
		return sign | inf;
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;

		if (half_value(type, middle) <= v)
			low = middle;
		else
			high = middle;
	}
	below = v - half_value(type, low);
	above = (high == inf ? beyond : half_value(type, high)) - v;
	return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

/* Exact for every type. */
static long double real_value(int type, const void *p)
{
	float f;
	double d;
	long double l;

	switch (type == ART_T_LONG_DOUBLE ? 0 : types[type].part) {
	case 2: return half_value(type, get_bits(p, 2));
	case 4: memcpy(&f, p, sizeof(f)); return f;
	case 8: memcpy(&d, p, sizeof(d)); return d;
	default: memcpy(&l, p, sizeof(l)); return l;
	}
}

/* volatile: each step is rounded, whatever the compiler would like to fuse. */
#define ARITHMETIC(T, l, r, to) do { \
		volatile T a, b, v; \
		T x; \
		memcpy(&x, (l), sizeof(x)), a = x; \
		memcpy(&x, (r), sizeof(x)), b = x; \
		v = op == '+' ? a + b : op == '-' ? a - b : a * b; \
		x = v, memcpy((to), &x, sizeof(x)); \
	} while (0)

/* Long double NaNs are made quiet from the start. */
static void copy_quiet(int type, const void *from, void *to)
{
	if (type == ART_T_LONG_DOUBLE)
		memcpy(to, from, types[type].part);
	else if (types[type].part == 2)
		put_bits(to, 2, get_bits(from, 2) | (type == ART_T_FLOAT16 ? 0x200 : 0x40));
	else if (types[type].part == 4)
		put_bits(to, 4, get_bits(from, 4) | 0x00400000);
	else
		put_bits(to, 8, get_bits(from, 8) | UINT64_C(0x0008000000000000));
}

/* Infinity minus itself and the like: the processor's own NaN, cut to 16 bits. */
static void half_step(char op, int type, const void *l, const void *r, void *to)
{
	long double a = real_value(type, l), b = real_value(type, r);
	volatile float x = (float)a, y = (float)b, nan;
	float f;
	uint32_t bits;

	if (!isnan(op == '+' ? a + b : a * b)) {
		put_bits(to, 2, half_nearest(type, op == '+' ? a + b : a * b));
		return;
	}
	nan = op == '+' ? x + y : x * y;
	f = nan;
	memcpy(&bits, &f, sizeof(bits));
	put_bits(to, 2, type == ART_T_BFLOAT16 ? bits >> 16 : (bits >> 16 & 0x8000) | 0x7e00);
}

/* One rounded operation on two parts, with the rule for NaN. */
static void real_step(char op, int type, const void *l, const void *r, void *to)
{
	size_t size = types[type].part;

	if (isnan(real_value(type, l)))
		copy_quiet(type, l, to);
	else if (isnan(real_value(type, r)))
		copy_quiet(type, r, to);
	else if (size == 2)
		half_step(op, type, l, r, to);
	else if (type == ART_T_LONG_DOUBLE)
		ARITHMETIC(long double, l, r, to);
	else if (size == 4)
		ARITHMETIC(float, l, r, to);
	else
		ARITHMETIC(double, l, r, to);
}

static void want_real(int op, int type, const void *l, const void *r, void *want)
{
	long double a = real_value(type, l), b = real_value(type, r);
	bool right = op == ART_O_MIN ? b < a : b > a;

	if (op == ART_O_SUM || op == ART_O_PROD || isnan(a) || isnan(b))
		real_step(op == ART_O_SUM ? '+' : '*', type, l, r, want);
	else
		memcpy(want, right ? r : l, types[type].size);
	if (type == ART_T_LONG_DOUBLE && LDBL_MANT_DIG == 64)
		memset((char *)want + 10, 0, sizeof(long double) - 10);
}

static void want_complex(int op, int type, const void *l, const void *r, void *want)
{
	size_t n = types[type].part;
	const char *a = l, *b = a + n, *c = r, *d = c + n;
	char *re = want, *im = re + n, ac[16], bd[16], ad[16], bc[16];

	if (op == ART_O_SUM) {
		real_step('+', type, a, c, re);
		real_step('+', type, b, d, im);
		return;
	}
	real_step('*', type, a, c, ac);
	real_step('*', type, b, d, bd);
	real_step('*', type, a, d, ad);
	real_step('*', type, b, c, bc);
	real_step('-', type, ac, bd, re);
	real_step('+', type, ad, bc, im);
}

/* -1: the left value is better, 1: the right one, 0: they tie. */
static int better_value(int op, int type, const void *l, const void *r)
{
	size_t n = types[type].part;
	int less, more; /* right than left */

	if (is_float_type(type)) {
		long double a = real_value(type, l), b = real_value(type, r);

		if (isnan(a) || isnan(b))
			return isnan(a) ? -1 : 1;
		less = b < a, more = b > a;
	} else {
		less = get_signed(r, n) < get_signed(l, n);
		more = get_signed(r, n) > get_signed(l, n);
	}
	return op == ART_O_MINLOC ? less - more : more - less;
}

static void want_pair(int op, int type, const void *l, const void *r, void *want)
{
	size_t n = types[type].part, index = types[type].index;
	int better = better_value(op, type, l, r);
	int64_t li = get_signed((const char *)l + n, index);
	int64_t ri = get_signed((const char *)r + n, index);

	memset(want, 0, types[type].size);
	memcpy(want, better > 0 || (better == 0 && ri < li) ? r : l, n + index);
}

static void want_element(int op, int type, const void *l, const void *r, void *want)
{
	switch (types[type].kind) {
	case REAL: want_real(op, type, l, r, want); break;
	case COMPLEX: want_complex(op, type, l, r, want); break;
	case PAIR: want_pair(op, type, l, r, want); break;
	default: want_integer(op, type, l, r, want); break;
	}
}

/* ---- one coordinate ---- */

enum alias { APART, OUT_IS_LEFT, OUT_IS_RIGHT, ALL_ONE, ALIASES };

/* By how many bytes left, right and out are off the alignment of any type. */
static const size_t shifts[][3] = {
	{ 0, 0, 0 }, { 1, 1, 1 }, { 1, 2, 3 }, { 0, 4, 8 }, { 8, 0, 5 },
};
#define NSHIFTS (sizeof(shifts) / sizeof(shifts[0]))

struct coordinate {
	int width, op, type;
	size_t count;
	int alias, shift;
	uint64_t seed;
};

static _Alignas(64) unsigned char left_room[ROOM], right_room[ROOM], out_room[ROOM];
static unsigned char left_copy[ROOM], right_copy[ROOM], want[MAX_COUNT * MAX_ELEMENT];

static bool guards_whole(const unsigned char *buf, size_t bytes)
{
	for (size_t i = 0; i < GUARD; i++)
		if (buf[(ptrdiff_t)i - GUARD] != 0xa5 || buf[bytes + i] != 0xa5)
			return false;
	return true;
}

static unsigned char *place(unsigned char *room, size_t shift)
{
	memset(room, 0xa5, ROOM);
	return room + GUARD + shift;
}

static void combine(const struct coordinate *c, const void *left, const void *right, void *out)
{
	const char *name;

	if (c->width)
		(*art__combine_width(c->width, &name))[c->type][c->op](left, right, out, c->count);
	else
		art__combine(c->op, c->type, left, right, out, c->count);
}

static const char *compare(const struct coordinate *c, unsigned char *left, unsigned char *right,
			   unsigned char *out)
{
	size_t bytes = c->count * types[c->type].size;

	memcpy(left_copy, left, bytes);
	memcpy(right_copy, right, bytes);
	combine(c, left, right, out);
	if (memcmp(out, want, bytes))
		return "wrong result";
	if (left != out && memcmp(left, left_copy, bytes))
		return "left was changed";
	if (right != out && memcmp(right, right_copy, bytes))
		return "right was changed";
	if (!guards_whole(left, bytes) || !guards_whole(right, bytes) || !guards_whole(out, bytes))
		return "written outside of the buffer";
	return NULL;
}

static bool check(struct coordinate c)
{
	size_t size = types[c.type].size;
	unsigned char *left = place(left_room, shifts[c.shift][0]);
	unsigned char *right = place(right_room, shifts[c.shift][1]);
	unsigned char *out = place(out_room, shifts[c.shift][2]);

	rng_state = c.seed;
	random_operands(c.type, left, right, c.count);
	if (c.alias == ALL_ONE)
		right = left;
	if (c.alias == OUT_IS_LEFT || c.alias == ALL_ONE)
		out = left;
	else if (c.alias == OUT_IS_RIGHT)
		out = right;
	for (size_t i = 0; i < c.count; i++)
		want_element(c.op, c.type, left + i * size, right + i * size, want + i * size);
	const char *wrong = compare(&c, left, right, out);
	if (wrong)
		printf("\n    %s (%s of %s): test_combine %d %d %d %zu %d %d %llu\n", wrong,
		       art__op_name(c.op), art__type_name(c.type), c.width, c.op, c.type, c.count,
		       c.alias, c.shift, (unsigned long long)c.seed);
	return !wrong;
}

/* ---- tests ---- */

static int check_layouts(int op, int type, size_t count, uint64_t seed)
{
	int bad = 0;

	for (int width = 0; width <= art__combine_widths(); width++)
		for (int alias = 0; alias < ALIASES; alias++)
			for (int shift = 0; shift < (int)NSHIFTS; shift++)
				bad += !check((struct coordinate){ width, op, type, count, alias,
								   shift, seed });
	return bad;
}

static void test_kernels(void)
{
	static const size_t counts[] = { 0, 1, 2, 3, 7, 16, 31, 64, 129, 257 };

	for (int type = 1; type < ART_T_COUNT; type++)
		for (int op = 1; op < ART_O_COUNT; op++) {
			int bad = 0;

			if (!art__op_defined(op, type))
				continue;
			for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++)
				for (uint64_t seed = 1; seed <= SEEDS && !bad; seed++)
					bad += check_layouts(op, type, counts[n], seed);
			CU_ASSERT_EQUAL(bad, 0);
		}
}

/* Every count of a few vectors and their remainders; layouts take turns. */
static void test_every_count(void)
{
	for (int type = 1; type < ART_T_COUNT; type++)
		for (int op = 1; op < ART_O_COUNT; op++) {
			int bad = 0;

			for (size_t n = 0; art__op_defined(op, type) && n <= 67 && !bad; n++)
				for (int width = 0; width <= art__combine_widths(); width++)
					bad += !check((struct coordinate){ width, op, type, n,
							(int)((n + n / 4) % ALIASES), (int)(n % NSHIFTS), n + 1 });
			CU_ASSERT_EQUAL(bad, 0);
		}
}

/* Every pair of 8-bit operands. */
static void test_all_bytes(void)
{
	static unsigned char l[65536], r[65536], out[65536];
	int wrong = 0;

	for (int i = 0; i < 65536; i++)
		l[i] = (unsigned char)(i >> 8), r[i] = (unsigned char)i;
	for (int k = 0; k < 3; k++) {
		int type = (int[]){ ART_T_BYTE, ART_T_INT8, ART_T_UINT8 }[k];

		for (int op = 1; op < ART_O_COUNT; op++) {
			if (!art__op_defined(op, type))
				continue;
			art__combine(op, type, l, r, out, sizeof(out));
			for (int i = 0; i < 65536; i++) {
				want_element(op, type, &l[i], &r[i], want);
				wrong += out[i] != want[0];
			}
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Every pair of 16-bit reals of which one is a multiple of a prime: all roundings are among them. */
static void test_all_halves(void)
{
	static uint16_t l[65536], r[65536], out[65536];
	int wrong = 0;

	for (uint32_t i = 0; i < 65536; i++)
		l[i] = (uint16_t)i;
	for (int type = ART_T_FLOAT16; type <= ART_T_BFLOAT16; type++)
		for (uint32_t k = 0; k < 65536; k += 4099) {
			for (int i = 0; i < 65536; i++)
				r[i] = (uint16_t)k;
			art__combine(ART_O_SUM, type, l, r, out, 65536);
			for (int i = 0; i < 65536; i++) {
				want_element(ART_O_SUM, type, &l[i], &r[i], want);
				wrong += memcmp(&out[i], want, 2) != 0;
			}
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* The documented examples with their results written down, no reference in between. */
static void test_by_hand(void)
{
	double l[4] = { 0.0, -0.0, NAN, 3.0 }, r[4] = { -0.0, 0.0, 1.0, NAN }, d[4];
	int8_t a = INT8_MAX, b = 1, c;
	uint16_t u = 65535, v;
	double x[2] = { 1.0, 2.0 }, y[2] = { 3.0, 4.0 }, z[2];
	struct { double value; int32_t index; } p, q, m;

	art__combine(ART_O_MIN, ART_T_DOUBLE, l, r, d, 4);
	CU_ASSERT(d[0] == 0.0 && !signbit(d[0]) && d[1] == 0.0 && signbit(d[1]));
	CU_ASSERT(isnan(d[2]) && isnan(d[3]));
	art__combine(ART_O_SUM, ART_T_INT8, &a, &b, &c, 1);
	CU_ASSERT_EQUAL(c, INT8_MIN);
	art__combine(ART_O_PROD, ART_T_UINT16, &u, &u, &v, 1);
	CU_ASSERT_EQUAL(v, 1);
	art__combine(ART_O_PROD, ART_T_DOUBLE_COMPLEX, x, y, z, 1);
	CU_ASSERT(z[0] == -5.0 && z[1] == 10.0);
	a = 4, b = 2;
	art__combine(ART_O_LAND, ART_T_INT8, &a, &b, &c, 1);
	CU_ASSERT_EQUAL(c, 1);
	memset(&p, 0xff, sizeof(p)), memset(&q, 0xee, sizeof(q));
	p.value = q.value = 7.0, p.index = 9, q.index = -2;
	art__combine(ART_O_MAXLOC, ART_T_DOUBLE_INT32, &p, &q, &m, 1);
	CU_ASSERT(m.value == 7.0 && m.index == -2);
	p.value = -0.0, q.value = 0.0, p.index = q.index = 3; /* a full tie keeps left */
	art__combine(ART_O_MINLOC, ART_T_DOUBLE_INT32, &p, &q, &m, 1);
	CU_ASSERT(signbit(m.value) && m.index == 3);
}

/* As the comment at art__op_defined() groups them. */
static bool should_be_defined(int op, enum kind kind)
{
	switch (op) {
	case ART_O_SUM: case ART_O_PROD:
		return kind != BYTES && kind != PAIR;
	case ART_O_MIN: case ART_O_MAX:
		return kind == SIGNED || kind == UNSIGNED || kind == REAL;
	case ART_O_LAND: case ART_O_LOR: case ART_O_LXOR:
		return kind == SIGNED || kind == UNSIGNED;
	case ART_O_BAND: case ART_O_BOR: case ART_O_BXOR:
		return kind == SIGNED || kind == UNSIGNED || kind == BYTES;
	default:
		return kind == PAIR;
	}
}

static const int no_such[] = { 0, -1, INT_MIN, INT_MAX, 64, 65536 };
#define NNO_SUCH (sizeof(no_such) / sizeof(no_such[0]))

static void test_defined(void)
{
	int ndefined = 0;

	for (int type = 1; type < ART_T_COUNT; type++)
		for (int op = 1; op < ART_O_COUNT; op++) {
			CU_ASSERT_EQUAL(art__op_defined(op, type),
					should_be_defined(op, types[type].kind));
			ndefined += art__op_defined(op, type);
		}
	CU_ASSERT_EQUAL(ndefined, 3 + 8 * 10 + 5 * 4 + 2 * 2 + 4 * 2);
	for (size_t k = 0; k < NNO_SUCH; k++) {
		CU_ASSERT_FALSE(art__op_defined(no_such[k], ART_T_INT32));
		CU_ASSERT_FALSE(art__op_defined(ART_O_SUM, no_such[k]));
	}
	CU_ASSERT_FALSE(art__op_defined(ART_O_SUM, ART_T_COUNT));
	CU_ASSERT_FALSE(art__op_defined(ART_O_COUNT, ART_T_INT32));
}

static void check_names(const char *(*name)(int), int count)
{
	for (int i = 1; i < count; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(name(i));
		CU_ASSERT_STRING_NOT_EQUAL(name(i), "unknown");
		for (int k = 1; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(name(i), name(k));
	}
	CU_ASSERT_STRING_EQUAL(name(count), "unknown");
	for (size_t k = 0; k < NNO_SUCH; k++)
		CU_ASSERT_STRING_EQUAL(name(no_such[k]), "unknown");
}

static void test_tables(void)
{
	for (int type = 1; type < ART_T_COUNT; type++)
		CU_ASSERT_EQUAL(art__type_size(type), types[type].size);
	CU_ASSERT_EQUAL(art__type_size(ART_T_COUNT), 0);
	for (size_t k = 0; k < NNO_SUCH; k++)
		CU_ASSERT_EQUAL(art__type_size(no_such[k]), 0);
	check_names(art__type_name, ART_T_COUNT);
	check_names(art__op_name, ART_O_COUNT);
}

/* The public constants carry the codes in their low 16 bits. */
static void test_handles(void)
{
#define SAME(name, code) CU_ASSERT_EQUAL((uintptr_t)ART_##name & 0xffff, code##name)
#define SAME_TYPE(name) SAME(name, ART_T_)
#define SAME_OP(name) SAME(name, ART_O_)
	SAME_TYPE(BYTE);
	SAME_TYPE(INT8);
	SAME_TYPE(INT16);
	SAME_TYPE(INT32);
	SAME_TYPE(INT64);
	SAME_TYPE(UINT8);
	SAME_TYPE(UINT16);
	SAME_TYPE(UINT32);
	SAME_TYPE(UINT64);
	SAME_TYPE(FLOAT);
	SAME_TYPE(DOUBLE);
	SAME_TYPE(LONG_DOUBLE);
	SAME_TYPE(FLOAT16);
	SAME_TYPE(BFLOAT16);
	SAME_TYPE(FLOAT_COMPLEX);
	SAME_TYPE(DOUBLE_COMPLEX);
	SAME_TYPE(FLOAT_INT32);
	SAME_TYPE(DOUBLE_INT32);
	SAME_TYPE(INT32_INT32);
	SAME_TYPE(INT64_INT64);
	SAME_OP(SUM);
	SAME_OP(PROD);
	SAME_OP(MIN);
	SAME_OP(MAX);
	SAME_OP(LAND);
	SAME_OP(LOR);
	SAME_OP(LXOR);
	SAME_OP(BAND);
	SAME_OP(BOR);
	SAME_OP(BXOR);
	SAME_OP(MINLOC);
	SAME_OP(MAXLOC);
}

static int replay(char **argv)
{
	struct coordinate c = { atoi(argv[1]), atoi(argv[2]), atoi(argv[3]),
				strtoul(argv[4], NULL, 0), atoi(argv[5]), atoi(argv[6]),
				strtoull(argv[7], NULL, 0) };

	if (c.width < 0 || c.width > art__combine_widths() || !art__op_defined(c.op, c.type) || c.count > MAX_COUNT || c.alias < 0 ||
	    c.alias >= ALIASES || c.shift < 0 || c.shift >= (int)NSHIFTS) {
		fprintf(stderr, "no such coordinate\n");
		return 1;
	}
	bool ok = check(c);
	printf("%s\n", ok ? "ok" : "failed");
	return !ok;
}

int main(int argc, char **argv)
{
	if (argc == 8)
		return replay(argv);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite s = CU_add_suite("combine", NULL, NULL);
	if (!s || !CU_add_test(s, "every type and operator", test_kernels) ||
	    !CU_add_test(s, "every count up to 67", test_every_count) ||
	    !CU_add_test(s, "all pairs of bytes", test_all_bytes) ||
	    !CU_add_test(s, "16-bit reals", test_all_halves) ||
	    !CU_add_test(s, "examples by hand", test_by_hand) ||
	    !CU_add_test(s, "what is defined for what", test_defined) ||
	    !CU_add_test(s, "sizes and names", test_tables) ||
	    !CU_add_test(s, "public handles", test_handles))
		return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	int bad = CU_get_number_of_failures() != 0;
	CU_cleanup_registry();
	return bad;
}
