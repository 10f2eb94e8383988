/* SPDX-License-Identifier: MIT
 *
 * The kernels once more, for processors with AVX-512; compiled with the options that this takes.
 */
#define VECTOR_BYTES 64
#define KERNELS art__combine_kernels_avx512
#include "coll/combine_kernels.c"
