/* SPDX-License-Identifier: MIT
 *
 * Between combine.c and the kernels: the layout of pairs and one table. Callers use combine.h.
 */
#ifndef ART_COLL_COMBINE_KERNELS_H
#define ART_COLL_COMBINE_KERNELS_H

#include <stdint.h>

#include "coll/combine.h"

struct art__float_int32 {
	float value;
	int32_t index;
};

struct art__double_int32 {
	double value;
	int32_t index;
};

struct art__int32_int32 {
	int32_t value;
	int32_t index;
};

struct art__int64_int64 {
	int64_t value;
	int64_t index;
};

typedef void art__combine_fn(const void *left, const void *right, void *out, size_t count);

/* NULL where the operator is not defined for the type. */
extern art__combine_fn *const art__combine_kernels[ART_T_COUNT][ART_O_COUNT];

#endif
