/* SPDX-License-Identifier: MIT
 *
 * Names and sizes of types and operators, and the way to the right kernel. The arithmetic is in
 * combine_kernels.c; handles, user operators and their checks are left to api.
 */
#include "coll/combine.h"

#include <assert.h>
#include <complex.h>

#include "coll/combine_kernels.h"

/* Elements from which on the wider kernels are asked for. */
#define ART_WIDE_FROM 16

const uint8_t art__type_sizes[ART_T_COUNT] = {
	[ART_T_BYTE] = 1,
	[ART_T_INT8] = 1,
	[ART_T_INT16] = 2,
	[ART_T_INT32] = 4,
	[ART_T_INT64] = 8,
	[ART_T_UINT8] = 1,
	[ART_T_UINT16] = 2,
	[ART_T_UINT32] = 4,
	[ART_T_UINT64] = 8,
	[ART_T_FLOAT16] = 2,
	[ART_T_BFLOAT16] = 2,
	[ART_T_FLOAT] = sizeof(float),
	[ART_T_DOUBLE] = sizeof(double),
	[ART_T_LONG_DOUBLE] = sizeof(long double),
	[ART_T_FLOAT_COMPLEX] = sizeof(float complex),
	[ART_T_DOUBLE_COMPLEX] = sizeof(double complex),
	[ART_T_FLOAT_INT32] = sizeof(struct art__float_int32),
	[ART_T_DOUBLE_INT32] = sizeof(struct art__double_int32),
	[ART_T_INT32_INT32] = sizeof(struct art__int32_int32),
	[ART_T_INT64_INT64] = sizeof(struct art__int64_int64),
};

static const char *const types[ART_T_COUNT] = {
	[ART_T_BYTE] = "byte",
	[ART_T_INT8] = "int8",
	[ART_T_INT16] = "int16",
	[ART_T_INT32] = "int32",
	[ART_T_INT64] = "int64",
	[ART_T_UINT8] = "uint8",
	[ART_T_UINT16] = "uint16",
	[ART_T_UINT32] = "uint32",
	[ART_T_UINT64] = "uint64",
	[ART_T_FLOAT16] = "float16",
	[ART_T_BFLOAT16] = "bfloat16",
	[ART_T_FLOAT] = "float",
	[ART_T_DOUBLE] = "double",
	[ART_T_LONG_DOUBLE] = "long_double",
	[ART_T_FLOAT_COMPLEX] = "float_complex",
	[ART_T_DOUBLE_COMPLEX] = "double_complex",
	[ART_T_FLOAT_INT32] = "float_int32",
	[ART_T_DOUBLE_INT32] = "double_int32",
	[ART_T_INT32_INT32] = "int32_int32",
	[ART_T_INT64_INT64] = "int64_int64",
};

static const char *const ops[ART_O_COUNT] = {
	[ART_O_SUM] = "sum",
	[ART_O_PROD] = "prod",
	[ART_O_MIN] = "min",
	[ART_O_MAX] = "max",
	[ART_O_LAND] = "land",
	[ART_O_LOR] = "lor",
	[ART_O_LXOR] = "lxor",
	[ART_O_BAND] = "band",
	[ART_O_BOR] = "bor",
	[ART_O_BXOR] = "bxor",
	[ART_O_MINLOC] = "minloc",
	[ART_O_MAXLOC] = "maxloc",
};

static bool type_exists(int type)
{
	return type > 0 && type < ART_T_COUNT;
}

static bool op_exists(int op)
{
	return op > 0 && op < ART_O_COUNT;
}

const char *art__type_name(int type)
{
	return type_exists(type) ? types[type] : "unknown";
}

const char *art__op_name(int op)
{
	return op_exists(op) ? ops[op] : "unknown";
}

bool art__op_defined(int op, int type)
{
	return op_exists(op) && type_exists(type) && art__combine_kernels[type][op];
}

int art__combine_widths(void)
{
#ifdef ART_WIDE_KERNELS
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512vl"))
		return 3;
	if (__builtin_cpu_supports("avx2"))
		return 2;
#endif
	return 1;
}

art__combine_table *art__combine_width(int width, const char **name)
{
	static const struct {
		const char *name;
		art__combine_table *table;
	} widths[ART_WIDTHS] = {
		{ "16 bytes", &art__combine_kernels },
#ifdef ART_WIDE_KERNELS
		{ "avx2", &art__combine_kernels_avx2 },
		{ "avx512", &art__combine_kernels_avx512 },
#endif
	};

	if (width < 1 || width > art__combine_widths())
		return NULL;
	*name = widths[width - 1].name;
	return widths[width - 1].table;
}

/* Asks the processor only where it may pay: three loads from one line. */
void art__combine(int op, int type, const void *left, const void *right, void *out, size_t count)
{
	art__combine_table *table = &art__combine_kernels;
	const char *name;

	assert(art__op_defined(op, type));
	if (count >= ART_WIDE_FROM)
		table = art__combine_width(art__combine_widths(), &name);
	(*table)[type][op](left, right, out, count);
}
