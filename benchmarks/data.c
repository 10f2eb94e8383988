/* SPDX-License-Identifier: MIT
 *
 * Inputs and expected results of every type and operator. Integers are taken modulo their width, as
 * the library's are, so any bits will do. Floating-point inputs are small whole numbers, whose sums
 * and products are exact: the expected result is one value, whatever the order.
 */
#include <string.h>

#include "bench.h"

const struct bench_type bench_types[] = {
	{ "int8", ART_INT8, 1, 'i' },     { "int16", ART_INT16, 2, 'i' },
	{ "int32", ART_INT32, 4, 'i' },   { "int64", ART_INT64, 8, 'i' },
	{ "uint8", ART_UINT8, 1, 'u' },   { "uint16", ART_UINT16, 2, 'u' },
	{ "uint32", ART_UINT32, 4, 'u' }, { "uint64", ART_UINT64, 8, 'u' },
	{ "float", ART_FLOAT, 4, 'f' },   { "double", ART_DOUBLE, 8, 'f' },
	{ NULL, ART_TYPE_NULL, 0, 0 },
};

const struct bench_operator bench_operators[] = {
	{ "sum", ART_SUM, false }, { "prod", ART_PROD, false }, { "min", ART_MIN, false },
	{ "max", ART_MAX, false }, { "land", ART_LAND, true },  { "lor", ART_LOR, true },
	{ "lxor", ART_LXOR, true }, { "band", ART_BAND, true }, { "bor", ART_BOR, true },
	{ "bxor", ART_BXOR, true }, { NULL, ART_OP_NULL, false },
};

const struct bench_type *bench_type_find(const char *name)
{
	const struct bench_type *t = bench_types;

	while (t->name && strcmp(t->name, name))
		t++;
	return t->name ? t : NULL;
}

const struct bench_operator *bench_operator_find(const char *name)
{
	const struct bench_operator *o = bench_operators;

	while (o->name && strcmp(o->name, name))
		o++;
	return o->name ? o : NULL;
}

/* ---- integers: 64 bits, cut to the width of the type ---- */

static int64_t narrow(const struct bench_type *t, uint64_t v)
{
	unsigned spare = 64 - 8 * (unsigned)t->bytes;

	return t->of == 'i' ? (int64_t)(v << spare) >> spare : (int64_t)(v << spare >> spare);
}

static int64_t integer_of(const struct bench *b, int rank, size_t i)
{
	uint64_t v = bench_value(b->iter, rank, i);

	if (b->op->op == ART_LAND || b->op->op == ART_LOR || b->op->op == ART_LXOR)
		v = v >> 7 & 1;
	return narrow(b->type, v);
}

static int64_t combine(const struct bench *b, int64_t x, int64_t y)
{
	art_op_t op = b->op->op;
	bool less = b->type->of == 'i' ? x < y : (uint64_t)x < (uint64_t)y;

	if (op == ART_SUM)
		return (int64_t)((uint64_t)x + (uint64_t)y);
	if (op == ART_PROD)
		return (int64_t)((uint64_t)x * (uint64_t)y);
	if (op == ART_MIN)
		return less ? x : y;
	if (op == ART_MAX)
		return less ? y : x;
	if (op == ART_BAND || op == ART_LAND)
		return x & y;
	if (op == ART_BOR || op == ART_LOR)
		return x | y;
	return x ^ y;
}

/* A sum has a closed form: no loop over the ranks. */
static int64_t integer_result(const struct bench *b, size_t i)
{
	uint64_t n = (uint64_t)b->size, ranks = n * (n + 1) / 2;
	int64_t v = integer_of(b, 0, i);

	if (b->op->op == ART_SUM)
		return narrow(b->type, ranks * (bench_value(b->iter, 0, i) - i) + n * i);
	for (int r = 1; r < b->size; r++)
		v = combine(b, v, integer_of(b, r, i));
	return narrow(b->type, (uint64_t)v);
}

static void store(const struct bench_type *t, void *to, size_t i, int64_t v)
{
	switch (t->bytes) {
	case 1: ((uint8_t *)to)[i] = (uint8_t)v; break;
	case 2: ((uint16_t *)to)[i] = (uint16_t)v; break;
	case 4: ((uint32_t *)to)[i] = (uint32_t)v; break;
	default: ((uint64_t *)to)[i] = (uint64_t)v; break;
	}
}

static int64_t load(const struct bench_type *t, const void *from, size_t i)
{
	switch (t->bytes) {
	case 1: return narrow(t, ((const uint8_t *)from)[i]);
	case 2: return narrow(t, ((const uint16_t *)from)[i]);
	case 4: return narrow(t, ((const uint32_t *)from)[i]);
	default: return narrow(t, ((const uint64_t *)from)[i]);
	}
}

/* ---- floating point ---- */

/* Products: mostly 1, now and then 2. */
static double real_of(const struct bench *b, int rank, size_t i)
{
	uint64_t v = bench_value(b->iter, rank, i) >> 20;

	return b->op->op == ART_PROD ? (double)(1 + (v % 16 == 0)) : (double)(v % 512);
}

static double real_result(const struct bench *b, size_t i)
{
	double v = real_of(b, 0, i);

	for (int r = 1; r < b->size; r++) {
		double x = real_of(b, r, i);

		if (b->op->op == ART_SUM)
			v += x;
		else if (b->op->op == ART_PROD)
			v *= x;
		else if (b->op->op == ART_MIN ? x < v : x > v)
			v = x;
	}
	return v;
}

static void store_real(const struct bench_type *t, void *to, size_t i, double v)
{
	if (t->bytes == sizeof(float))
		((float *)to)[i] = (float)v;
	else
		((double *)to)[i] = v;
}

static double load_real(const struct bench_type *t, const void *from, size_t i)
{
	return t->bytes == sizeof(float) ? (double)((const float *)from)[i] :
					   ((const double *)from)[i];
}

/* ---- what benchmarks use ---- */

void bench_fill(struct bench *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->type->of == 'f')
			store_real(b->type, b->in, i, real_of(b, b->rank, i));
		else
			store(b->type, b->in, i, integer_of(b, b->rank, i));
}

bool bench_check_reduced(const struct bench *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->type->of == 'f' ? load_real(b->type, b->out, i) != real_result(b, i) :
					 load(b->type, b->out, i) != integer_result(b, i))
			return false;
	return true;
}

bool bench_check_copy(const struct bench *b, int rank)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->type->of == 'f' ? load_real(b->type, b->in, i) != real_of(b, rank, i) :
					 load(b->type, b->in, i) != integer_of(b, rank, i))
			return false;
	return true;
}
