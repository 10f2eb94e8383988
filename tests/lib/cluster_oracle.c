/* SPDX-License-Identifier: MIT
 *
 * Inputs and right results. An input is a function of (seed, communicator, op, slot, element), and
 * no two are alike, so that the result itself shows a contribution that is missing or counted
 * twice. Real numbers are drawn such that every sum and product is exact: any order gives the
 * same bits - but on reproducible communicators, where every order but the right one gives others. The
 * expected result folds the inputs of the reported contributors in rank order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <art/art.h>

#include "coll/combine.h"
#include "tests/lib/cluster_impl.h"

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

size_t cluster__elem(const struct cluster_call *k)
{
	return k->type ? art__type_size(k->type) : 0;
}

/* ---- elements ---- */

/* Integers: sums and products wrap, so all bits may be random; odd factors keep a product from
 * vanishing, and logical operators want zeros, too. */
static uint64_t integer(uint64_t h, int op)
{
	if (op == ART_O_PROD)
		return h | 1;
	if (op == ART_O_LAND || op == ART_O_LOR || op == ART_O_LXOR)
		return h & 1 ? h : 0;
	return h;
}

/* A whole number so small that n of them add up exactly in @bits of mantissa, or a power of 2. */
static double real(uint64_t h, int op, int bits, int n)
{
	int room = bits;

	if (op == ART_O_PROD)
		return (h & 8 ? -1.0 : 1.0) * (double)(1u << (h % 3));
	for (int k = n; k > 0; k /= 2)
		room--;
	return (double)(int64_t)(h >> (65 - room)) * (h & 1 ? -1.0 : 1.0);
}

/* Of many sizes, with all bits of the mantissa: no two ways to add several of them agree. */
static double rough(uint64_t h, int op)
{
	int e = (int)(h >> 54 & 63) - 32;

	if (op == ART_O_PROD)
		e /= 8;
	return ldexp((double)(int64_t)(h << 10 >> 11 | 1), e - 53) * (h & 1 ? -1.0 : 1.0);
}

static double number(const struct cluster_call *k, uint64_t h, int bits, int n)
{
	return k->flags & CLUSTER_ROUGH ? rough(h, k->op) : real(h, k->op, bits, n);
}

struct affine {
	int64_t a, b; /* x -> a x + b, modulo 2^64 */
};

static void element(const struct cluster_call *k, uint64_t h, int slot, int n, uint8_t *p)
{
	uint64_t v = integer(h, k->op);

	switch (k->type) {
	case ART_T_FLOAT: {
		float x = (float)number(k, h, 24, n);

		memcpy(p, &x, sizeof(x));
		return;
	}
	case ART_T_DOUBLE: {
		double x = number(k, h, 48, n);

		memcpy(p, &x, sizeof(x));
		return;
	}
	case ART_T_LONG_DOUBLE: {
		long double x = (long double)number(k, h, 48, n);

		memcpy(p, &x, sizeof(x));
		return;
	}
	case ART_T_FLOAT_COMPLEX: {
		float x[2] = { (float)number(k, h, 24, n), (float)number(k, mix(h), 24, n) };

		if (k->op == ART_O_PROD)
			x[h >> 5 & 1] = 0; /* a power of i times a power of 2 */
		memcpy(p, x, sizeof(x));
		return;
	}
	case ART_T_DOUBLE_COMPLEX: {
		double x[2] = { number(k, h, 48, n), number(k, mix(h), 48, n) };

		if (k->op == ART_O_PROD)
			x[h >> 5 & 1] = 0;
		memcpy(p, x, sizeof(x));
		return;
	}
	case ART_T_FLOAT_INT32: {
		struct { float v; int32_t i; } x = { (float)(h % 16), slot };

		memcpy(p, &x, sizeof(x));
		return;
	}
	case ART_T_DOUBLE_INT32: {
		double d = (double)(h % 16);
		int32_t i = slot;

		memcpy(p, &d, sizeof(d));
		memcpy(p + sizeof(d), &i, sizeof(i));
		return;
	}
	case ART_T_INT32_INT32: {
		struct { int32_t v, i; } x = { (int32_t)(h % 16), slot };

		memcpy(p, &x, sizeof(x));
		return;
	}
	case ART_T_INT64_INT64: {
		struct affine x = { (int64_t)(h % 16), slot };

		if (k->flags & CLUSTER_USER_AFFINE)
			x = (struct affine){ (int64_t)(h | 1), (int64_t)mix(h) };
		memcpy(p, &x, sizeof(x));
		return;
	}
	default:
		memcpy(p, &v, cluster__elem(k));
		return;
	}
}

void cluster__input(const struct cluster *c, const struct cluster_call *k, uint64_t seq, int slot,
		    void *out)
{
	uint64_t h = mix(c->cfg.seed ^ mix((uint64_t)k->comm << 32 ^ seq << 12 ^ (uint64_t)slot));
	size_t size = cluster__elem(k);

	memset(out, 0, size * k->count); /* padding */
	for (size_t i = 0; i < k->count; i++)
		element(k, mix(h + i), slot, c->n, (uint8_t *)out + i * size);
}

/* ---- digests ---- */

/* Bytes of an element that carry its value, in order; the rest is padding. */
static size_t meaning(int type, size_t size)
{
	if (type == ART_T_LONG_DOUBLE)
		return size < 10 ? size : 10;
	if (type == ART_T_DOUBLE_INT32)
		return 12;
	return size;
}

/* The sign of a zero in a complex product depends on who was multiplied first. */
static uint64_t unsign_zero(const struct cluster_call *k, uint64_t w)
{
	if (k->op != ART_O_PROD)
		return w;
	if (k->type == ART_T_DOUBLE_COMPLEX)
		return w << 1 ? w : 0;
	if (k->type != ART_T_FLOAT_COMPLEX)
		return w;
	if (!(w & UINT64_C(0x7fffffff)))
		w &= UINT64_C(0xffffffff00000000);
	return w >> 32 & 0x7fffffff ? w : w & 0xffffffff;
}

uint64_t cluster__digest(const struct cluster_call *k, const void *p)
{
	size_t size = cluster__elem(k), used = meaning(k->type, size);
	const uint8_t *b = p;
	uint64_t d = k->count;

	for (size_t i = 0; i < k->count; i++, b += size) {
		for (size_t at = 0; at < used; at += 8) {
			uint64_t w = 0;

			memcpy(&w, b + at, used - at < 8 ? used - at : 8);
			d = (d ^ unsign_zero(k, w)) * UINT64_C(0x9fb21c651e98df25);
			d ^= d >> 32;
		}
	}
	return d;
}

/* ---- reductions ---- */

static void user_fold(const struct cluster_call *k, const void *in, void *inout, size_t count)
{
	const uint64_t *x = in;
	uint64_t *y = inout;

	if (k->flags & CLUSTER_USER) {
		bool mean = k->flags & CLUSTER_ROUGH; /* commutes, and is not associative */

		for (size_t i = 0; i < count; i++)
			y[i] = mean ? (x[i] >> 1) + (y[i] >> 1) : y[i] + x[i];
		return;
	}
	for (size_t i = 0; i < count; i++) { /* first x, then y: y.a (x.a t + x.b) + y.b */
		uint64_t a = x[2 * i], b = x[2 * i + 1], *e = &y[2 * i];

		e[1] += e[0] * b;
		e[0] *= a;
	}
}

/* What the application hands to the library; ctx is the call. */
void cluster__user_fn(const void *in, void *inout, size_t count, struct art_type_s *type, void *ctx)
{
	struct call *q = ctx;

	if (type != (struct art_type_s *)(uintptr_t)q->what.type)
		cluster_fail(q->cluster, "rank %d call %d: user function got another type", q->rank,
			     q->index);
	if (count != q->what.count && (!(q->what.flags & CLUSTER_USER_ELEM) || count > q->what.count))
		cluster_fail(q->cluster, "rank %d call %d: user function called with %zu of %zu elements",
			     q->rank, q->index, count, q->what.count);
	if (q->returned && !q->used_late) {
		q->used_late = true;
		cluster_fail(q->cluster, "rank %d call %d: user function called after the return",
			     q->rank, q->index);
	}
	user_fold(&q->what, in, inout, count);
}

/* A rank's input was made for its own count of the calls. */
static uint64_t key_of(struct cluster *c, const struct call *q, int slot)
{
	const struct call *own = cluster__op_rec(c, q->what.comm, q->seq)->by_rank[slot];

	return own ? own->key : q->seq;
}

/* The fixed shape: the largest power of two that leaves something first, then the rest. */
static bool fold_in_shape(struct cluster *c, const struct call *q, const int *slot, int n, void *out)
{
	const struct cluster_call *k = &q->what;
	int half = 1;
	void *x;
	bool ok;

	if (n == 1) {
		cluster__input(c, k, key_of(c, q, slot[0]), slot[0], out);
		return true;
	}
	while (2 * half < n)
		half *= 2;
	x = malloc(q->bytes + 1);
	ok = x && fold_in_shape(c, q, slot, half, out) &&
	     fold_in_shape(c, q, slot + half, n - half, x);
	if (ok && k->flags & (CLUSTER_USER | CLUSTER_USER_AFFINE)) {
		user_fold(k, out, x, k->count);
		memcpy(out, x, q->bytes);
	} else if (ok) {
		art__combine(k->op, k->type, out, x, out, k->count);
	}
	free(x);
	return ok;
}

static bool expected_shape(struct cluster *c, const struct call *q, const uint64_t *set, void *out)
{
	const struct comm_rec *cr = &c->comms[q->what.comm];
	int *slot = malloc((size_t)c->n * sizeof(*slot)), n = 0;
	bool ok;

	for (int r = 0; slot && r < cr->nslot; r++)
		if (word_has(set, cr->slot[r]))
			slot[n++] = cr->slot[r];
	ok = n > 0 && fold_in_shape(c, q, slot, n, out);
	free(slot);
	return ok;
}

bool cluster__expected(struct cluster *c, const struct call *q, const uint64_t *set, void *out)
{
	const struct cluster_call *k = &q->what;
	const struct comm_rec *cr = &c->comms[k->comm];
	void *x;
	bool first = true;

	if (k->flags & CLUSTER_ROUGH)
		return expected_shape(c, q, set, out);
	x = malloc(q->bytes + 1);
	if (!x)
		return false;
	for (int r = 0; r < cr->nslot; r++) { /* in order of rank */
		int s = cr->slot[r];

		if (k->kind == ART_C_BCAST ? s != k->root : !word_has(set, s))
			continue;
		cluster__input(c, k, key_of(c, q, s), s, first ? out : x);
		if (first) {
			first = false;
		} else if (k->flags & (CLUSTER_USER | CLUSTER_USER_AFFINE)) {
			user_fold(k, out, x, k->count);
			memcpy(out, x, q->bytes);
		} else {
			art__combine(k->op, k->type, out, x, out, k->count);
		}
	}
	free(x);
	return true;
}
