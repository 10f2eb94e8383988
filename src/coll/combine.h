/* SPDX-License-Identifier: MIT
 *
 * Types and operators: sizes, which operator is defined for which type, and the kernels.
 * Pure; elements are contiguous and naturally aligned or not (kernels use memcpy where the
 * alignment of a buffer is unknown).
 */
#ifndef ART_COLL_COMBINE_H
#define ART_COLL_COMBINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers behind the public handles ART_BYTE.. and ART_SUM..; art.h's constants carry them in
 * their low 16 bits. 0 is the null handle. */
enum art_type_code {
	ART_T_BYTE = 1, ART_T_INT8, ART_T_INT16, ART_T_INT32, ART_T_INT64,
	ART_T_UINT8, ART_T_UINT16, ART_T_UINT32, ART_T_UINT64,
	ART_T_FLOAT, ART_T_DOUBLE, ART_T_LONG_DOUBLE, ART_T_FLOAT_COMPLEX, ART_T_DOUBLE_COMPLEX,
	ART_T_FLOAT_INT32, ART_T_DOUBLE_INT32, ART_T_INT32_INT32, ART_T_INT64_INT64,
	ART_T_FLOAT16, ART_T_BFLOAT16,
	ART_T_COUNT
};
enum art_op_code {
	ART_O_SUM = 1, ART_O_PROD, ART_O_MIN, ART_O_MAX, ART_O_LAND, ART_O_LOR, ART_O_LXOR,
	ART_O_BAND, ART_O_BOR, ART_O_BXOR, ART_O_MINLOC, ART_O_MAXLOC,
	ART_O_COUNT
};

/* Bytes of one element, 0 if there is no such type. */
extern const uint8_t art__type_sizes[ART_T_COUNT];
static inline size_t art__type_size(int type)
{
	return (unsigned)type < ART_T_COUNT ? art__type_sizes[type] : 0;
}
const char *art__type_name(int type);
const char *art__op_name(int op);

/* sum, prod: all but BYTE and pairs. min, max: integers and reals, not complex, not BYTE. Logical:
 * integers (result 0 or 1). Bitwise: integers and BYTE. minloc, maxloc: the value-index pairs. */
bool art__op_defined(int op, int type);

/* out[i] = left[i] o right[i]; out may be left or right, and no other overlap. The lower rank is
 * left, always: so NaN, -0 and ties give the same bytes at every rank. Integer sum and prod wrap
 * (computed unsigned). Reals, every op: if either is NaN the result is the left NaN if left is one,
 * else the right, made quiet. min/max: equal values (0 and -0) keep left. minloc/maxloc: ties take
 * the smaller index, a NaN value wins likewise (as it is). Complex prod is (ac - bd, ad + bc) as it
 * stands, without C's rescue of infinities. The two reals of 16 bits are computed as float and rounded
 * to even. Padding of results (pairs, long double) is 0.
 * @op must be defined for @type. */
void art__combine(int op, int type, const void *left, const void *right, void *out, size_t count);

#endif
