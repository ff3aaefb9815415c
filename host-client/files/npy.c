/* SPDX-License-Identifier: MIT */
/* Reads and writes the header of a .npy file of one matrix or one tensor: pure
 * functions over bytes. */
#include "host-client/files/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* NEP 1: magic, version, then a length of 2 or 4 bytes. */
static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* More dimensions than numpy has. */
#define MAX_DIMS 64
/* A Python string in the dictionary: key or element type. */
#define MAX_WORD 32

/* The dictionary's text and how far it was read. */
struct text {
	const char *p;
	const char *end;
	struct pst_error *err;
};

struct fields {
	bool have_descr, have_order, have_shape;
	char descr[MAX_WORD];
	bool fortran;
	unsigned int n_dims;
	uint64_t dims[PST_MAX_RANK]; /* the first ones */
};

static int malformed(struct text *t, const char *what)
{
	return pst_error_set(t->err, -EINVAL, "malformed .npy header: %s",
			     what);
}

static void skip_space(struct text *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' ||
				 *t->p == '\n' || *t->p == '\r'))
		t->p++;
}

/* Takes c, after space, if it comes next. */
static bool take(struct text *t, char c)
{
	skip_space(t);
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static bool take_word(struct text *t, const char *word)
{
	size_t n = strlen(word);

	skip_space(t);
	if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
		return false;
	t->p += n;
	return true;
}

/* A quoted string of printable ASCII without escapes. */
static int take_string(struct text *t, char ret[MAX_WORD])
{
	size_t n = 0;
	char quote;

	if (take(t, '\''))
		quote = '\'';
	else if (take(t, '"'))
		quote = '"';
	else
		return malformed(t, "a quoted word is expected");
	for (; t->p < t->end && *t->p != quote; t->p++) {
		if (*t->p < ' ' || *t->p > '~' || *t->p == '\\' ||
		    n == MAX_WORD - 1)
			return malformed(t, "a word that cannot be right");
		ret[n++] = *t->p;
	}
	if (t->p == t->end)
		return malformed(t, "a word without its closing quote");
	t->p++;
	ret[n] = '\0';
	return 0;
}

/* A decimal integer as Python writes it; Python 2 put an L behind. */
static int take_dim(struct text *t, uint64_t *ret)
{
	const char *start;
	uint64_t v = 0;

	skip_space(t);
	start = t->p;
	for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++) {
		if (pst_mul_overflow(v, 10, &v) ||
		    pst_add_overflow(v, (uint64_t)(*t->p - '0'), &v))
			return pst_error_set(t->err, -EOVERFLOW,
					     "a dimension does not fit in 64 "
					     "bits");
	}
	if (t->p == start || (*start == '0' && t->p - start > 1))
		return malformed(t, "the shape holds something that is no "
				    "whole number");
	if (t->p < t->end && *t->p == 'L')
		t->p++;
	*ret = v;
	return 0;
}

static int take_shape(struct text *t, struct fields *f)
{
	uint64_t v = 0;
	int r;

	if (!take(t, '('))
		return malformed(t, "the shape is no tuple");
	while (!take(t, ')')) {
		r = take_dim(t, &v);
		if (r < 0)
			return r;
		if (f->n_dims < PST_ARRAY_SIZE(f->dims))
			f->dims[f->n_dims] = v;
		if (++f->n_dims > MAX_DIMS)
			return malformed(t, "too many dimensions");
		if (take(t, ','))
			continue;
		/* Python reads (3) as a number, not as a tuple. */
		if (f->n_dims == 1 || !take(t, ')'))
			return malformed(t, "the shape is no tuple");
		break;
	}
	return 0;
}

static int take_descr(struct text *t, struct fields *f)
{
	skip_space(t);
	if (t->p < t->end && *t->p == '[')
		return pst_error_set(t->err, -EOPNOTSUPP,
				     "a structured element type; only float32 "
				     "and float64 can be multiplied");
	return take_string(t, f->descr);
}

static int take_order(struct text *t, struct fields *f)
{
	if (take_word(t, "True"))
		f->fortran = true;
	else if (!take_word(t, "False"))
		return malformed(t, "fortran_order is neither True nor False");
	return 0;
}

static int take_item(struct text *t, struct fields *f)
{
	char key[MAX_WORD];
	bool *have;
	int r;

	r = take_string(t, key);
	if (r < 0)
		return r;
	if (strcmp(key, "descr") == 0)
		have = &f->have_descr;
	else if (strcmp(key, "fortran_order") == 0)
		have = &f->have_order;
	else if (strcmp(key, "shape") == 0)
		have = &f->have_shape;
	else
		return malformed(t, "an unknown key");
	if (*have)
		return malformed(t, "a key comes twice");
	*have = true;
	if (!take(t, ':'))
		return malformed(t, "a key without its colon");
	if (have == &f->have_descr)
		return take_descr(t, f);
	if (have == &f->have_order)
		return take_order(t, f);
	return take_shape(t, f);
}

/* The whole dictionary, and nothing but space behind it. */
static int take_dict(struct text *t, struct fields *f)
{
	int r;

	if (!take(t, '{'))
		return malformed(t, "it does not begin with a brace");
	while (!take(t, '}')) {
		r = take_item(t, f);
		if (r < 0)
			return r;
		if (take(t, ','))
			continue;
		if (!take(t, '}'))
			return malformed(t, "a comma or brace is expected");
		break;
	}
	skip_space(t);
	if (t->p != t->end)
		return malformed(t, "something follows its dictionary");
	if (!f->have_descr || !f->have_order || !f->have_shape)
		return malformed(t, "descr, fortran_order or shape is missing");
	return 0;
}

/* The element types there are. */
static const struct element {
	const char *name; /* as numpy writes it, without the byte order */
	char letter;      /* what numpy reads as well, with a byte order */
	const char *word; /* and without one */
	uint32_t dtype;
	unsigned int size;
} elements[] = {
	{"f4", 'f', "float32", PST_F32, 4},
	{"f8", 'd', "float64", PST_F64, 8},
	{"f2", 'e', "float16", PST_F16, 2},
	{"i1", 'b', "int8", PST_I8, 1},
	{"i4", 'i', "int32", PST_I32, 4},
	/* Of tensors only. */
	{"i8", 'l', "int64", PST_I64, 8},
	{"u1", 'B', "uint8", PST_U8, 1},
	{"b1", '?', "bool", PST_BOOL, 1},
	{"i2", 'h', "int16", PST_I16, 2},
	{"u2", 'H', "uint16", PST_U16, 2},
	{"u4", 'I', "uint32", PST_U32, 4},
	{"u8", 'L', "uint64", PST_U64, 8},
};
#define OF_MATRICES 5U

static bool is_element(const struct element *e, const char *code)
{
	return strcmp(code, e->name) == 0 ||
	       (code[0] == e->letter && code[1] == '\0');
}

/* As numpy.dtype() reads it: "=" and "|" and none mean the machine's own byte
 * order, and what has a single byte has none. One of the first n elements, or
 * NULL. */
static const struct element *find_element(const char *d, size_t n)
{
	const bool order = *d && strchr("<>=|", *d);
	size_t i;

	for (i = 0; i < n; i++)
		if (is_element(&elements[i], d + order) ||
		    (!order && strcmp(d, elements[i].word) == 0))
			return &elements[i];
	return NULL;
}

static bool is_object(const char *d)
{
	return strcmp(*d && strchr("<>=|", *d) ? d + 1 : d, "O") == 0;
}

static int read_descr(const struct fields *f, struct pst_npy *ret,
		      struct pst_error *err)
{
	const struct element *e = find_element(f->descr, OF_MATRICES);

	if (is_object(f->descr))
		return pst_error_set(err, -EOPNOTSUPP,
				     "Python objects as elements; only numbers "
				     "can be multiplied");
	if (!e)
		return pst_error_set(
			err, -EOPNOTSUPP,
			"elements of type '%s'; only float16, float32, "
			"float64, int8 and int32 are known",
			f->descr);
	ret->big_endian = f->descr[0] == '>' && e->size > 1;
	ret->dtype = e->dtype;
	ret->elem_size = e->size;
	return 0;
}

static int read_shape(const struct fields *f, struct pst_npy *ret,
		      struct pst_error *err)
{
	uint64_t elems, end;

	if (f->n_dims != 2)
		return pst_error_set(err, -EOPNOTSUPP,
				     "%u dimension%s; a matrix has 2 (numpy's "
				     "reshape() makes a row or a column of a "
				     "vector)",
				     f->n_dims, f->n_dims == 1 ? "" : "s");
	ret->rows = f->dims[0];
	ret->cols = f->dims[1];
	ret->fortran = f->fortran;
	if (pst_mul_overflow(ret->rows, ret->cols, &elems) ||
	    pst_mul_overflow(elems, ret->elem_size, &ret->data_size) ||
	    pst_add_overflow(ret->data_off, ret->data_size, &end) ||
	    end > INT64_MAX)
		return pst_error_set(err, -EOVERFLOW,
				     "a shape of %" PRIu64 " x %" PRIu64
				     " overflows the size of any file",
				     ret->rows, ret->cols);
	return 0;
}

/* Finds the dictionary. Returns 0 and t, ret->data_off. */
static int read_frame(const uint8_t *b, size_t n, struct text *t,
		      struct pst_npy *ret)
{
	uint64_t length;
	unsigned int start;

	if (n < sizeof(magic) || memcmp(b, magic, sizeof(magic)) != 0)
		return pst_error_set(t->err, -EINVAL,
				     "not a .npy file: it does not begin with "
				     "\\x93NUMPY");
	start = n > 6 && b[6] > 1 ? 12 : 10;
	if (n < start)
		return pst_error_set(t->err, -ENODATA,
				     "truncated in its .npy header");
	if (b[6] < 1 || b[6] > 3 || b[7] != 0)
		return pst_error_set(t->err, -EOPNOTSUPP,
				     ".npy version %u.%u; 1.0, 2.0 and 3.0 "
				     "can be read",
				     b[6], b[7]);
	length = b[8] | (uint64_t)b[9] << 8;
	if (b[6] > 1)
		length |= (uint64_t)b[10] << 16 | (uint64_t)b[11] << 24;
	if (start + length > PST_NPY_MAX_HEADER)
		return pst_error_set(t->err, -EMSGSIZE,
				     "a .npy header of %" PRIu64
				     " bytes; at most %u are read",
				     start + length, PST_NPY_MAX_HEADER);
	if (start + length > n)
		return pst_error_set(t->err, -ENODATA,
				     "truncated in its .npy header");
	ret->data_off = start + length;
	t->p = (const char *)b + start;
	t->end = t->p + length;
	return 0;
}

static int read_tensor(const struct fields *f, struct pst_npy_tensor *ret,
		       struct pst_error *err)
{
	const struct element *e =
		find_element(f->descr, PST_ARRAY_SIZE(elements));
	uint64_t size, end;
	uint32_t i;

	if (!e)
		return pst_error_set(err, -EOPNOTSUPP,
				     "elements of type '%s'; numbers of up to "
				     "8 bytes and bool are known",
				     f->descr);
	if (f->n_dims > PST_MAX_RANK)
		return pst_error_set(err, -EOPNOTSUPP,
				     "%u dimensions; tensors have up to %u",
				     f->n_dims, PST_MAX_RANK);
	ret->dtype = e->dtype;
	ret->elem_size = e->size;
	ret->big_endian = f->descr[0] == '>' && e->size > 1;
	ret->fortran = f->fortran;
	ret->rank = f->n_dims;
	size = e->size;
	for (i = 0; i < f->n_dims; i++) {
		if (f->dims[i] > INT64_MAX ||
		    pst_mul_overflow(size, f->dims[i], &size))
			break;
		ret->dim[i] = (int64_t)f->dims[i];
	}
	if (i < f->n_dims || pst_add_overflow(ret->data_off, size, &end) ||
	    end > INT64_MAX)
		return pst_error_set(err, -EOVERFLOW,
				     "a shape that overflows the size of any "
				     "file");
	ret->data_size = size;
	return 0;
}

int pst_npy_parse_tensor(const void *buf, size_t n, struct pst_npy_tensor *ret,
			 struct pst_error *err)
{
	struct pst_npy_tensor tensor = {0};
	struct text t = {.err = err};
	struct fields f = {0};
	struct pst_npy npy = {0};
	int r;

	if ((r = read_frame(buf, n, &t, &npy)) < 0 ||
	    (r = take_dict(&t, &f)) < 0)
		return r;
	tensor.data_off = npy.data_off;
	r = read_tensor(&f, &tensor, err);
	if (r == 0)
		*ret = tensor;
	return r;
}

int pst_npy_parse(const void *buf, size_t n, struct pst_npy *ret,
		  struct pst_error *err)
{
	struct text t = {.err = err};
	struct fields f = {0};
	struct pst_npy npy = {0};
	int r;

	r = read_frame(buf, n, &t, &npy);
	if (r < 0)
		return r;
	r = take_dict(&t, &f);
	if (r < 0)
		return r;
	r = read_descr(&f, &npy, err);
	if (r < 0)
		return r;
	r = read_shape(&f, &npy, err);
	if (r < 0)
		return r;
	*ret = npy;
	return 0;
}

static const struct element *element_of(uint32_t dtype)
{
	const struct element *e = &elements[0];

	while (e->dtype != dtype && e < elements + PST_ARRAY_SIZE(elements) - 1)
		e++;
	return e;
}

/* All of a header but its dictionary's end: size is a multiple of 64. */
static char *format_head(uint8_t *ret, unsigned int size, uint32_t dtype,
			 bool fortran)
{
	static const unsigned int start = 10;
	const struct element *e = element_of(dtype);
	char *dict = (char *)ret + start;
	int n;

	memcpy(ret, magic, sizeof(magic));
	ret[6] = 1;
	ret[7] = 0;
	ret[8] = (uint8_t)(size - start);
	ret[9] = 0;
	memset(dict, ' ', size - start);
	ret[size - 1] = '\n';
	n = sprintf(dict, "{'descr': '%c%s', 'fortran_order': %s, 'shape': (",
		    e->size == 1 ? '|' : '<', e->name,
		    fortran ? "True" : "False");
	return dict + n;
}

/* In the place of the NUL that printf() has left. */
static void format_tail(char *p)
{
	memcpy(p, "), }", 4);
}

void pst_npy_format(uint32_t dtype, bool fortran, uint64_t rows, uint64_t cols,
		    uint8_t ret[PST_NPY_HEADER])
{
	char *p = format_head(ret, PST_NPY_HEADER, dtype, fortran);

	/* 65 characters and two numbers of at most 20 digits: it fits. */
	format_tail(p + sprintf(p, "%" PRIu64 ", %" PRIu64, rows, cols));
}

void pst_npy_format_tensor(uint32_t dtype, uint32_t rank, const int64_t *dim,
			   uint8_t ret[PST_NPY_TENSOR])
{
	char *p = format_head(ret, PST_NPY_TENSOR,
			      dtype == PST_BF16 ? PST_U16 : dtype, false);
	uint32_t i;

	/* 65 characters and eight numbers of at most 19 digits. */
	for (i = 0; i < rank; i++)
		p += sprintf(p, "%" PRId64 "%s", dim[i],
			     i + 1 < rank ? ", "
			     : rank == 1  ? ","
					  : "");
	format_tail(p);
}

void pst_npy_swap(void *data, uint64_t n, unsigned int elem_size)
{
	uint16_t *h = data;
	uint32_t *w = data;
	uint64_t *d = data;
	uint64_t i;

	if (elem_size == 2)
		for (i = 0; i < n; i++)
			h[i] = __builtin_bswap16(h[i]);
	else if (elem_size == 4)
		for (i = 0; i < n; i++)
			w[i] = __builtin_bswap32(w[i]);
	else
		for (i = 0; i < n; i++)
			d[i] = __builtin_bswap64(d[i]);
}
