/* SPDX-License-Identifier: MIT */
/* Types of elements by the protocol's names, and their numbers as JSON. */
#include "host-client/gateway/oip/elements.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "host-client/penstock.h"

/* Bytes of an element as text, at most, with its comma. */
#define TEXT_SIZE 32U

static const struct {
	const char *name;
	uint32_t size;
	int64_t min;
	uint64_t max;
} types[] = {
	[PST_F32] = {"FP32", 4, 0, 0},
	[PST_F64] = {"FP64", 8, 0, 0},
	[PST_F16] = {"FP16", 2, 0, 0},
	[PST_BF16] = {"BF16", 2, 0, 0},
	[PST_I8] = {"INT8", 1, INT8_MIN, INT8_MAX},
	[PST_I32] = {"INT32", 4, INT32_MIN, INT32_MAX},
	[PST_I64] = {"INT64", 8, INT64_MIN, INT64_MAX},
	[PST_U8] = {"UINT8", 1, 0, UINT8_MAX},
	[PST_BOOL] = {"BOOL", 1, 0, 1},
	[PST_I16] = {"INT16", 2, INT16_MIN, INT16_MAX},
	[PST_U16] = {"UINT16", 2, 0, UINT16_MAX},
	[PST_U32] = {"UINT32", 4, 0, UINT32_MAX},
	[PST_U64] = {"UINT64", 8, 0, UINT64_MAX},
};

uint32_t pst_gw_dtype_find(const char *name)
{
	uint32_t i;

	for (i = 1; i < PST_ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return i;
	return 0;
}

const char *pst_gw_dtype_name(uint32_t dtype)
{
	return dtype > 0 && dtype < PST_ARRAY_SIZE(types) ? types[dtype].name
							  : "BYTES";
}

uint32_t pst_gw_dtype_size(uint32_t dtype)
{
	return dtype < PST_ARRAY_SIZE(types) ? types[dtype].size : 0;
}

int pst_gw_tensor_bytes(uint32_t dtype, uint32_t rank, const int64_t *dim,
			uint64_t *ret)
{
	uint64_t n = pst_gw_dtype_size(dtype);
	bool empty = false;
	uint32_t i;

	for (i = 0; i < rank; i++) {
		empty = empty || dim[i] == 0;
		if (dim[i] > 0 && pst_mul_overflow(n, (uint64_t)dim[i], &n))
			return -EOVERFLOW;
	}
	*ret = empty ? 0 : n;
	return 0;
}

/* ---- 16 bits ---- */

/* Bits of the fraction, and the least exponent of a normal number. */
struct half {
	int bits, least;
};

static struct half half_of(uint32_t dtype)
{
	return dtype == PST_F16 ? (struct half){10, -14}
				: (struct half){7, -126};
}

/* The nearest one, ties to even; what is too large becomes infinite. */
static uint16_t to_half(uint32_t dtype, double d)
{
	const struct half h = half_of(dtype);
	const uint32_t infinite = (0x8000U >> h.bits) - 1;
	const uint32_t sign = signbit(d) ? 0x8000 : 0;
	const int e = d == 0 || ilogb(d) < h.least ? h.least : ilogb(d);
	uint32_t u;

	if (e > 1 - h.least)
		return (uint16_t)(sign | infinite << h.bits);
	/* A fraction that is rounded up to 2 carries into the exponent. */
	u = (uint32_t)(e - h.least) << h.bits;
	u += (uint32_t)nearbyint(ldexp(fabs(d), h.bits - e));
	return (uint16_t)(sign | u);
}

static double from_half(uint32_t dtype, uint16_t u)
{
	const struct half h = half_of(dtype);
	const int infinite = (0x8000 >> h.bits) - 1;
	const int e = (u & 0x7fff) >> h.bits;
	const int fraction = u & ((1 << h.bits) - 1);
	double d;

	if (e == infinite)
		d = fraction ? NAN : INFINITY;
	else if (e == 0)
		d = ldexp(fraction, h.least - h.bits);
	else
		d = ldexp(fraction + (1 << h.bits), e - 1 + h.least - h.bits);
	return u & 0x8000 ? -d : d;
}

/* ---- Read ---- */

/* Where elements go, and how many more. */
struct sink {
	struct pst_gw_json *j;
	uint32_t dtype, size;
	uint8_t *to;
	uint64_t left;
};

static void read_float(struct sink *s, struct pst_gw_span n)
{
	double d = 0;
	float f = 0;
	uint16_t h = 0;

	if (n.n == 0)
		return;
	if (s->dtype == PST_F32) {
		f = strtof(n.at, NULL);
		d = (double)f;
		memcpy(s->to, &f, sizeof(f));
	} else {
		d = strtod(n.at, NULL);
		h = s->dtype == PST_F64 ? 0 : to_half(s->dtype, d);
		if (s->dtype == PST_F64) {
			memcpy(s->to, &d, sizeof(d));
		} else {
			d = from_half(s->dtype, h);
			memcpy(s->to, &h, sizeof(h));
		}
	}
	if (isinf(d))
		pst_gw_json_fail(s->j, "a number is too large for its type");
}

static void read_whole(struct sink *s, struct pst_gw_span n)
{
	const bool minus = n.n > 0 && n.at[0] == '-';
	uint64_t v = 0, max = types[s->dtype].max;
	size_t i;

	if (minus)
		max = 0 - (uint64_t)types[s->dtype].min;
	for (i = minus; i < n.n; i++)
		if (n.at[i] < '0' || n.at[i] > '9' ||
		    pst_mul_overflow(v, 10, &v) ||
		    pst_add_overflow(v, (uint64_t)(n.at[i] - '0'), &v) ||
		    v > max) {
			pst_gw_json_fail(s->j, "a number is no whole one, or "
					       "too large for its type");
			return;
		}
	v = minus ? 0 - v : v;
	/* Little-endian, as everything that Penstock runs on. */
	memcpy(s->to, &v, s->size);
}

static void read_element(struct sink *s)
{
	const char c = pst_gw_json_peek(s->j);

	if (s->left == 0) {
		pst_gw_json_fail(s->j, "it has more elements than its shape");
		return;
	}
	if (s->dtype == PST_BOOL && (c == 't' || c == 'f'))
		*s->to = pst_gw_json_bool(s->j);
	else if (types[s->dtype].max)
		read_whole(s, pst_gw_json_number(s->j));
	else
		read_float(s, pst_gw_json_number(s->j));
	s->to += s->size;
	s->left--;
}

/* Nested as the shape is: each array has the elements of its dimension. */
static void read_nested(struct sink *s, uint32_t rank, const int64_t *dim)
{
	int64_t n = 0;

	if (rank == 0) {
		read_element(s);
		return;
	}
	for (pst_gw_json_open(s->j, '['); pst_gw_json_more(s->j, ']'); n++)
		read_nested(s, rank - 1, dim + 1);
	if (n != dim[0])
		pst_gw_json_fail(s->j, "an array is not as long as its "
				       "dimension");
}

const char *pst_gw_elements_read(struct pst_gw_span data, uint32_t dtype,
				 uint32_t rank, const int64_t *dim, void *to)
{
	struct pst_gw_json j, look;
	struct sink s = {.j = &j, .dtype = dtype, .to = to};
	uint64_t bytes;

	s.size = pst_gw_dtype_size(dtype);
	if (s.size == 0 || pst_gw_tensor_bytes(dtype, rank, dim, &bytes) < 0)
		return "its type is unknown, or its shape too large";
	s.left = bytes / s.size;
	pst_gw_json_init(&j, data.at, data.n);
	look = j;
	pst_gw_json_open(&look, '[');
	if (rank > 1 && pst_gw_json_peek(&look) == '[')
		read_nested(&s, rank, dim);
	else
		for (pst_gw_json_open(&j, '['); pst_gw_json_more(&j, ']');)
			read_element(&s);
	if (s.left > 0)
		pst_gw_json_fail(&j, "it has fewer elements than its shape");
	pst_gw_json_done(&j);
	return j.wrong;
}

/* ---- Write ---- */

static int write_element(char *to, uint32_t dtype, const uint8_t *from)
{
	int64_t i = 0;
	uint64_t u = 0;
	uint16_t h;
	double d;
	float f;

	switch (dtype) {
	case PST_F32:
		memcpy(&f, from, sizeof(f));
		return isfinite(f) ? snprintf(to, TEXT_SIZE, "%.9g", (double)f)
				   : -1;
	case PST_F64:
		memcpy(&d, from, sizeof(d));
		return isfinite(d) ? snprintf(to, TEXT_SIZE, "%.17g", d) : -1;
	case PST_F16:
	case PST_BF16:
		memcpy(&h, from, sizeof(h));
		d = from_half(dtype, h);
		return isfinite(d) ? snprintf(to, TEXT_SIZE, "%.9g", d) : -1;
	case PST_BOOL:
		return snprintf(to, TEXT_SIZE, *from ? "true" : "false");
	default:
		break;
	}
	memcpy(&u, from, types[dtype].size);
	if (!types[dtype].min)
		return snprintf(to, TEXT_SIZE, "%" PRIu64, u);
	/* The sign's bit is the topmost of the element. */
	i = (int64_t)(u << (64 - 8 * types[dtype].size)) >>
	    (64 - 8 * types[dtype].size);
	return snprintf(to, TEXT_SIZE, "%" PRId64, i);
}

bool pst_gw_elements_write(struct pst_gw_text *t, uint32_t dtype,
			   const void *from, uint64_t n)
{
	const uint32_t size = pst_gw_dtype_size(dtype);
	const uint8_t *at = from;
	uint64_t i;
	char *to;
	int k;

	for (i = 0; i < n; i++, at += size) {
		to = pst_gw_text_room(t, TEXT_SIZE + 1);
		if (!to)
			return true;
		if (i > 0)
			*to++ = ',';
		k = write_element(to, dtype, at);
		if (k < 0)
			return false;
		t->n += (size_t)k + (i > 0);
	}
	return true;
}
