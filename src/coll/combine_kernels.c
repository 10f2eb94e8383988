/* SPDX-License-Identifier: MIT
 *
 * Decides what out = left o right is, element by element, for every built-in type and operator.
 * The bytes of a result depend on the bytes of the two elements alone: not on the order in which
 * a compiler puts the operands of a + b (that picks the NaN), not on where in the buffer an
 * element is, not on padding. Which operand is left is decided by the machines.
 *
 * Most kernels use the compiler's vectors: of 16 bytes here, which become SSE2, NEON or plain code;
 * combine_avx2.c and combine_avx512.c compile this file again with wider ones, and every width
 * gives the same bytes. Vectors are loaded and stored with memcpy, so buffers may have any
 * alignment; an element is read whole before it is written, so out may be an operand. The last
 * elements go one at a time through the same code. Build with -ffp-contract=off: a fused
 * multiply-add rounds differently.
 */
#include "coll/combine_kernels.h"

#include <float.h>
#include <string.h>

/* clang 14 takes the conversion for one of its own types and compares that lane by lane. */
#if defined(__AVX512F__) && !defined(__clang__)
#define CONVERTS_HALVES
#include <immintrin.h>
#endif

#ifdef __FAST_MATH__
#error "NaN and -0 have defined results here: do not build with -ffast-math"
#endif

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#define KERNELS art__combine_kernels
#endif
#define VECTOR(type) type __attribute__((vector_size(VECTOR_BYTES)))

typedef VECTOR(int8_t) vi8;
typedef VECTOR(int16_t) vi16;
typedef VECTOR(int32_t) vi32;
typedef VECTOR(int64_t) vi64;
typedef VECTOR(uint8_t) vu8;
typedef VECTOR(uint16_t) vu16;
typedef VECTOR(uint32_t) vu32;
typedef VECTOR(uint64_t) vu64;
typedef VECTOR(float) vfloat;
typedef VECTOR(double) vdouble;

/* One step over @bytes of the operands: @expr sees them as vectors a (left) and b (right). */
#define STEP(V, bytes, expr) do { \
		V a = { 0 }, b = { 0 }; \
		memcpy(&a, l, (bytes)); \
		memcpy(&b, r, (bytes)); \
		V result = (V)(expr); \
		memcpy(o, &result, (bytes)); \
		l += (bytes), r += (bytes), o += (bytes); \
	} while (0)

/* @per: how many vector lanes make an element (2 for complex, else 1). */
#define VECTOR_KERNEL(name, V, per, expr) \
static void name(const void *left, const void *right, void *out, size_t count) \
{ \
	const unsigned char *l = left, *r = right; \
	unsigned char *o = out; \
	const size_t lane = sizeof(((V){ 0 })[0]), lanes = VECTOR_BYTES / lane; \
\
	for (count *= (per); count >= lanes; count -= lanes) \
		STEP(V, VECTOR_BYTES, expr); \
	for (; count; count--) \
		STEP(V, lane, expr); \
}

/* Lanes of x where the mask m (an M, all ones or all zeros a lane) is set, else of y. */
#define SELECT(M, m, x, y) (((M)(m) & (M)(x)) | (~(M)(m) & (M)(y)))

/* Sums and products wrap, so signed and unsigned are the same bits; only unsigned is computed. */
#define INTEGER_KERNELS(bits) \
	VECTOR_KERNEL(sum_##bits, vu##bits, 1, a + b) \
	VECTOR_KERNEL(prod_##bits, vu##bits, 1, a * b) \
	VECTOR_KERNEL(land_##bits, vu##bits, 1, (a != 0) & (b != 0) & 1) \
	VECTOR_KERNEL(lor_##bits, vu##bits, 1, ((a | b) != 0) & 1) \
	VECTOR_KERNEL(lxor_##bits, vu##bits, 1, ((a != 0) ^ (b != 0)) & 1) \
	VECTOR_KERNEL(min_i##bits, vi##bits, 1, SELECT(vi##bits, b < a, b, a)) \
	VECTOR_KERNEL(max_i##bits, vi##bits, 1, SELECT(vi##bits, b > a, b, a)) \
	VECTOR_KERNEL(min_u##bits, vu##bits, 1, SELECT(vu##bits, b < a, b, a)) \
	VECTOR_KERNEL(max_u##bits, vu##bits, 1, SELECT(vu##bits, b > a, b, a)) \
	VECTOR_KERNEL(band_##bits, vu##bits, 1, a & b) \
	VECTOR_KERNEL(bor_##bits, vu##bits, 1, a | b) \
	VECTOR_KERNEL(bxor_##bits, vu##bits, 1, a ^ b)

INTEGER_KERNELS(8)
INTEGER_KERNELS(16)
INTEGER_KERNELS(32)
INTEGER_KERNELS(64)

/* The left NaN if left is one, else the right one if right is, else @expr. @q is the bit that makes
 * a NaN quiet: arithmetic sets it, a mere choice does not, and compilers swap one for the other. */
#define NAN_OR(M, q, expr) SELECT(M, a != a, (M)a | (q), SELECT(M, b != b, (M)b | (q), expr))

#define REAL_KERNELS(T, M, q) \
	VECTOR_KERNEL(sum_##T, v##T, 1, NAN_OR(M, q, a + b)) \
	VECTOR_KERNEL(difference_##T, v##T, 1, NAN_OR(M, q, a - b)) \
	VECTOR_KERNEL(prod_##T, v##T, 1, NAN_OR(M, q, a * b)) \
	VECTOR_KERNEL(min_##T, v##T, 1, NAN_OR(M, q, SELECT(M, b < a, b, a))) \
	VECTOR_KERNEL(max_##T, v##T, 1, NAN_OR(M, q, SELECT(M, b > a, b, a))) \
	VECTOR_KERNEL(sum_##T##_complex, v##T, 2, NAN_OR(M, q, a + b))

REAL_KERNELS(float, vi32, INT32_C(1) << 22)
REAL_KERNELS(double, vi64, INT64_C(1) << 51)

/* (a + bi)(c + di) = (ac - bd) + (ad + bc)i as it stands: unlike C's operator it does not turn
 * NaN + NaN i back into an infinity. A NaN in an operand makes both parts NaN, and then (rare)
 * every step is done again with a defined choice between two NaNs. */
#define COMPLEX_PROD(T) \
struct T##_complex { \
	T re, im; \
}; \
\
static struct T##_complex T##_complex_nan(struct T##_complex x, struct T##_complex y) \
{ \
	T ac, bd, ad, bc; \
	struct T##_complex z; \
\
	prod_##T(&x.re, &y.re, &ac, 1); \
	prod_##T(&x.im, &y.im, &bd, 1); \
	prod_##T(&x.re, &y.im, &ad, 1); \
	prod_##T(&x.im, &y.re, &bc, 1); \
	difference_##T(&ac, &bd, &z.re, 1); \
	sum_##T(&ad, &bc, &z.im, 1); \
	return z; \
} \
\
static void prod_##T##_complex(const void *left, const void *right, void *out, size_t count) \
{ \
	const unsigned char *l = left, *r = right; \
	unsigned char *o = out; \
	struct T##_complex x, y; \
\
	for (; count; count--, l += sizeof(x), r += sizeof(x), o += sizeof(x)) { \
		memcpy(&x, l, sizeof(x)); \
		memcpy(&y, r, sizeof(x)); \
		struct T##_complex z = { x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re }; \
		if (z.re != z.re || z.im != z.im) \
			z = T##_complex_nan(x, y); \
		memcpy(o, &z, sizeof(z)); \
	} \
}

COMPLEX_PROD(float)
COMPLEX_PROD(double)

/* Reals of 16 bits are computed as floats and rounded once, to even: a float has more than twice
 * their digits and two, so that is what rounding the exact result gives. Conversions are integer
 * arithmetic but for subnormals, which no float is on the way. */
typedef uint16_t vhalf __attribute__((vector_size(VECTOR_BYTES / 2)));

#ifdef CONVERTS_HALVES /* the processor does the same in one instruction each */
static inline vfloat float16_load(vhalf h)
{
	return (vfloat)_mm512_cvtph_ps((__m256i)h);
}

static inline vhalf float16_store(vu32 x)
{
	return (vhalf)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT);
}
#else
static inline vfloat float16_load(vhalf h)
{
	vu32 x = __builtin_convertvector(h, vu32), m = (x & 0x7fff) << 13, e = x & 0x7c00;
	vu32 least = (vu32)((vfloat)(m + (113u << 23)) - 0x1p-14f);

	m = SELECT(vu32, e == 0, least, SELECT(vu32, e == 0x7c00, m | 0x7f800000, m + (112u << 23)));
	return (vfloat)(m | (x & 0x8000) << 16);
}

static inline vhalf float16_store(vu32 x)
{
	vu32 m = x & 0x7fffffff;
	vu32 nan = 0x7e00 | (m >> 13 & 0x3ff);
	vu32 least = (vu32)((vfloat)m + 0.5f) - (126u << 23);
	vu32 normal = (m - (112u << 23) + 0xfff + (m >> 13 & 1)) >> 13;

	normal = SELECT(vu32, (vi32)m < 113 << 23, least, normal);
	normal = SELECT(vu32, (vi32)m >= 143 << 23, (m & 0) | 0x7c00, normal); /* 65536 and more */
	normal = SELECT(vu32, (vi32)m > 0x7f800000, nan, normal);
	return __builtin_convertvector(normal | (x >> 16 & 0x8000), vhalf);
}
#endif

static inline vfloat bfloat16_load(vhalf h)
{
	return (vfloat)(__builtin_convertvector(h, vu32) << 16);
}

static inline vhalf bfloat16_store(vu32 x)
{
	vu32 rounded = x + 0x7fff + (x >> 16 & 1);

	rounded = SELECT(vu32, (vi32)(x & 0x7fffffff) > 0x7f800000, x, rounded);
	return __builtin_convertvector(rounded >> 16, vhalf);
}

#define HALF_STEP(T, bytes, expr) do { \
		vhalf x = { 0 }, y = { 0 }; \
		memcpy(&x, l, (bytes)); \
		memcpy(&y, r, (bytes)); \
		vfloat a = T##_load(x), b = T##_load(y); \
		x = T##_store((vu32)(expr)); \
		memcpy(o, &x, (bytes)); \
		l += (bytes), r += (bytes), o += (bytes); \
	} while (0)

#define HALF_KERNEL(name, T, expr) \
static void name##_##T(const void *left, const void *right, void *out, size_t count) \
{ \
	const unsigned char *l = left, *r = right; \
	unsigned char *o = out; \
\
	for (; count >= sizeof(vhalf) / 2; count -= sizeof(vhalf) / 2) \
		HALF_STEP(T, sizeof(vhalf), expr); \
	for (; count; count--) \
		HALF_STEP(T, 2, expr); \
}

#define HALF_KERNELS(T) \
	HALF_KERNEL(sum, T, NAN_OR(vi32, INT32_C(1) << 22, a + b)) \
	HALF_KERNEL(prod, T, NAN_OR(vi32, INT32_C(1) << 22, a * b)) \
	HALF_KERNEL(min, T, NAN_OR(vi32, INT32_C(1) << 22, SELECT(vi32, b < a, b, a))) \
	HALF_KERNEL(max, T, NAN_OR(vi32, INT32_C(1) << 22, SELECT(vi32, b > a, b, a)))

HALF_KERNELS(float16)
HALF_KERNELS(bfloat16)

/* x87's long double has 10 bytes of value, the rest is padding and becomes 0. Adding a NaN to
 * itself makes it quiet. */
enum { LONG_DOUBLE_VALUE = LDBL_MANT_DIG == 64 ? 10 : sizeof(long double) };

#define LONG_DOUBLE_KERNEL(name, expr) \
static void name(const void *left, const void *right, void *out, size_t count) \
{ \
	const unsigned char *l = left, *r = right; \
	unsigned char *o = out; \
	long double a, b; \
\
	for (; count; count--, l += sizeof(a), r += sizeof(a), o += sizeof(a)) { \
		memcpy(&a, l, sizeof(a)); \
		memcpy(&b, r, sizeof(a)); \
		a = a != a ? a + a : b != b ? b + b : (expr); \
		memcpy(o, &a, LONG_DOUBLE_VALUE); \
		memset(o + LONG_DOUBLE_VALUE, 0, sizeof(a) - LONG_DOUBLE_VALUE); \
	} \
}

LONG_DOUBLE_KERNEL(sum_long_double, a + b)
LONG_DOUBLE_KERNEL(prod_long_double, a * b)
LONG_DOUBLE_KERNEL(min_long_double, b < a ? b : a)
LONG_DOUBLE_KERNEL(max_long_double, b > a ? b : a)

/* Pairs: all of a pair comes from one side, what follows the index is padding and becomes 0.
 * Equal values take the smaller index; a NaN wins over any number, the left one over the right. */
#define PAIR_KERNEL(name, S, takes_right) \
static void name(const void *left, const void *right, void *out, size_t count) \
{ \
	const unsigned char *l = left, *r = right; \
	unsigned char *o = out; \
	struct S a, b; \
	const size_t used = sizeof(a.value) + sizeof(a.index); \
\
	for (; count; count--, l += sizeof(a), r += sizeof(a), o += sizeof(a)) { \
		memcpy(&a, l, sizeof(a)); \
		memcpy(&b, r, sizeof(a)); \
		memcpy(o, (takes_right) ? &b : &a, used); \
		memset(o + used, 0, sizeof(a) - used); \
	} \
}

#define BETTER(order) \
	(b.value order a.value || (b.value == a.value && b.index < a.index))
#define BETTER_OR_NAN(order) (BETTER(order) || (b.value != b.value && a.value == a.value))

#define PAIR_KERNELS(S, better) \
_Static_assert(offsetof(struct art__##S, index) == sizeof(((struct art__##S *)0)->value), \
	       "a gap before the index"); \
PAIR_KERNEL(minloc_##S, art__##S, better(<)) \
PAIR_KERNEL(maxloc_##S, art__##S, better(>))

PAIR_KERNELS(float_int32, BETTER_OR_NAN)
PAIR_KERNELS(double_int32, BETTER_OR_NAN)
PAIR_KERNELS(int32_int32, BETTER)
PAIR_KERNELS(int64_int64, BETTER)

#define INTEGER_ROW(sign, bits) { \
		[ART_O_SUM] = sum_##bits, \
		[ART_O_PROD] = prod_##bits, \
		[ART_O_MIN] = min_##sign##bits, \
		[ART_O_MAX] = max_##sign##bits, \
		[ART_O_LAND] = land_##bits, \
		[ART_O_LOR] = lor_##bits, \
		[ART_O_LXOR] = lxor_##bits, \
		[ART_O_BAND] = band_##bits, \
		[ART_O_BOR] = bor_##bits, \
		[ART_O_BXOR] = bxor_##bits, \
	}
#define REAL_ROW(T) { \
		[ART_O_SUM] = sum_##T, \
		[ART_O_PROD] = prod_##T, \
		[ART_O_MIN] = min_##T, \
		[ART_O_MAX] = max_##T, \
	}
#define COMPLEX_ROW(T) { \
		[ART_O_SUM] = sum_##T##_complex, \
		[ART_O_PROD] = prod_##T##_complex, \
	}
#define PAIR_ROW(S) { \
		[ART_O_MINLOC] = minloc_##S, \
		[ART_O_MAXLOC] = maxloc_##S, \
	}

art__combine_fn *const KERNELS[ART_T_COUNT][ART_O_COUNT] = {
	[ART_T_BYTE] = {
		[ART_O_BAND] = band_8,
		[ART_O_BOR] = bor_8,
		[ART_O_BXOR] = bxor_8,
	},
	[ART_T_INT8] = INTEGER_ROW(i, 8),
	[ART_T_INT16] = INTEGER_ROW(i, 16),
	[ART_T_INT32] = INTEGER_ROW(i, 32),
	[ART_T_INT64] = INTEGER_ROW(i, 64),
	[ART_T_UINT8] = INTEGER_ROW(u, 8),
	[ART_T_UINT16] = INTEGER_ROW(u, 16),
	[ART_T_UINT32] = INTEGER_ROW(u, 32),
	[ART_T_UINT64] = INTEGER_ROW(u, 64),
	[ART_T_FLOAT16] = REAL_ROW(float16),
	[ART_T_BFLOAT16] = REAL_ROW(bfloat16),
	[ART_T_FLOAT] = REAL_ROW(float),
	[ART_T_DOUBLE] = REAL_ROW(double),
	[ART_T_LONG_DOUBLE] = REAL_ROW(long_double),
	[ART_T_FLOAT_COMPLEX] = COMPLEX_ROW(float),
	[ART_T_DOUBLE_COMPLEX] = COMPLEX_ROW(double),
	[ART_T_FLOAT_INT32] = PAIR_ROW(float_int32),
	[ART_T_DOUBLE_INT32] = PAIR_ROW(double_int32),
	[ART_T_INT32_INT32] = PAIR_ROW(int32_int32),
	[ART_T_INT64_INT64] = PAIR_ROW(int64_int64),
};
