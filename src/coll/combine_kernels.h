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

/* NULL where the operator is not defined for the type. The wider ones are there on x86-64 only. */
typedef art__combine_fn *const art__combine_table[ART_T_COUNT][ART_O_COUNT];
extern art__combine_table art__combine_kernels, art__combine_kernels_avx2, art__combine_kernels_avx512;

/* Widths that this processor has, narrowest first: 1 to ART_WIDTHS. */
#define ART_WIDTHS 3
int art__combine_widths(void);
/* NULL if the width is not among these; its name in @name. */
art__combine_table *art__combine_width(int width, const char **name);

#endif
