/* SPDX-License-Identifier: MIT
 *
 * The kernels once more, for processors with AVX2; compiled with the options that this takes.
 */
#define VECTOR_BYTES 32
#define KERNELS art__combine_kernels_avx2
#include "coll/combine_kernels.c"
