/* SPDX-License-Identifier: MIT */
/* Reads the header of a safetensors file: strict, pure functions over bytes. */
#include "guest-agent/model/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "transport/wire.h"

#define METADATA "__metadata__"
#define LENGTH   sizeof(uint64_t)
/* Of a name in a sentence. */
#define SHOWN 64

/* Those whose size is known; others may come. */
static const struct {
	const char *name;
	unsigned int bits;
	uint32_t dtype;
} dtypes[] = {
	{"BOOL", 8, 0},
	{"F4", 4, 0},
	{"F6_E2M3", 6, 0},
	{"F6_E3M2", 6, 0},
	{"U8", 8, 0},
	{"I8", 8, PST_WIRE_I8},
	{"F8_E5M2", 8, 0},
	{"F8_E4M3", 8, 0},
	{"F8_E8M0", 8, 0},
	{"F8_E5M2FNUZ", 8, 0},
	{"F8_E4M3FNUZ", 8, 0},
	{"U16", 16, 0},
	{"I16", 16, 0},
	{"F16", 16, PST_WIRE_F16},
	{"BF16", 16, PST_WIRE_BF16},
	{"U32", 32, 0},
	{"I32", 32, PST_WIRE_I32},
	{"F32", 32, PST_WIRE_F32},
	{"U64", 64, 0},
	{"I64", 64, 0},
	{"F64", 64, PST_WIRE_F64},
	{"C64", 64, 0},
};

static int bad(struct pst_error *err, const char *tensor, const char *what)
{
	return pst_error_set(err, -EINVAL, "tensor \"%.*s\": %s", SHOWN, tensor,
			     what);
}

/* Text that may be shown and compared: no control characters. */
static bool is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

static int check_metadata(json_t *map, struct pst_error *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(map))
		return pst_error_set(err, -EINVAL,
				     METADATA " is not an object");
	json_object_foreach(map, key, value)
	{
		if (!is_plain(key) || !json_is_string(value))
			return pst_error_set(err, -EINVAL,
					     METADATA
					     " has a \"%.*s\" that is no text",
					     SHOWN, key);
	}
	return 0;
}

static int parse_dtype(json_t *value, struct pst_agent_safetensor *t,
		       struct pst_error *err)
{
	const char *name = json_string_value(value);
	size_t i;

	if (!name || !*name || !is_plain(name))
		return bad(err, t->name, "its dtype is missing or no text");
	t->dtype_name = name;
	for (i = 0; i < PST_ARRAY_SIZE(dtypes); i++) {
		if (strcmp(dtypes[i].name, name) != 0)
			continue;
		t->dtype = dtypes[i].dtype;
		t->elem_bits = dtypes[i].bits;
	}
	return 0;
}

/* A number that is an integer in the JSON, too, and not below 0. */
static bool get_size(json_t *value, uint64_t *ret)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

static int parse_shape(json_t *value, struct pst_agent_safetensor *t,
		       struct pst_error *err)
{
	const size_t rank = json_array_size(value);
	uint64_t bits = t->elem_bits;
	bool overflow = false, empty = false;
	unsigned int i;

	if (!json_is_array(value))
		return bad(err, t->name, "its shape is missing or no list");
	if (rank > PST_AGENT_SAFETENSORS_MAX_RANK)
		return pst_error_set(
			err, -EMSGSIZE,
			"tensor \"%.*s\": %zu dimensions, above %u", SHOWN,
			t->name, rank, PST_AGENT_SAFETENSORS_MAX_RANK);
	t->rank = (unsigned int)rank;
	for (i = 0; i < t->rank; i++) {
		if (!get_size(json_array_get(value, i), &t->shape[i]))
			return bad(err, t->name,
				   "a dimension is no integer of at least 0");
		empty = empty || t->shape[i] == 0;
		/* A product that wraps is none, also if a 0 comes later. */
		overflow = overflow ||
			   pst_mul_overflow(bits, t->shape[i] ? t->shape[i] : 1,
					    &bits);
	}
	if (overflow)
		return pst_error_set(err, -EOVERFLOW,
				     "tensor \"%.*s\": its size overflows",
				     SHOWN, t->name);
	if (!empty && bits % 8)
		return bad(err, t->name, "its elements fill no whole bytes");
	t->size = empty ? 0 : bits / 8;
	return 0;
}

static int parse_offsets(json_t *value, uint64_t data_size,
			 struct pst_agent_safetensor *t, struct pst_error *err)
{
	uint64_t end;

	if (!json_is_array(value) || json_array_size(value) != 2 ||
	    !get_size(json_array_get(value, 0), &t->off) ||
	    !get_size(json_array_get(value, 1), &end) || end < t->off)
		return bad(
			err, t->name,
			"its data_offsets are no pair of a begin and an end");
	if (end > data_size)
		return pst_error_set(err, -EINVAL,
				     "tensor \"%.*s\" ends at byte %" PRIu64
				     " of the data, which "
				     "has %" PRIu64 " (is the file cut short?)",
				     SHOWN, t->name, end, data_size);
	if (!t->elem_bits)
		t->size = end - t->off;
	if (end - t->off != t->size)
		return pst_error_set(
			err, -EINVAL,
			"tensor \"%.*s\": its offsets span %" PRIu64
			" bytes, its "
			"shape and dtype need %" PRIu64,
			SHOWN, t->name, end - t->off, t->size);
	return 0;
}

static int parse_tensor(const char *name, json_t *entry, uint64_t data_size,
			struct pst_agent_safetensor *t, struct pst_error *err)
{
	int r;

	*t = (struct pst_agent_safetensor){.name = name};
	if (!is_plain(name))
		return bad(err, name, "its name has control characters");
	if (!json_is_object(entry))
		return bad(err, name, "its entry is not an object");
	if ((r = parse_dtype(json_object_get(entry, "dtype"), t, err)) < 0 ||
	    (r = parse_shape(json_object_get(entry, "shape"), t, err)) < 0 ||
	    (r = parse_offsets(json_object_get(entry, "data_offsets"),
			       data_size, t, err)) < 0)
		return r;
	if (json_object_size(entry) != 3)
		return bad(err, name,
			   "it has keys beside dtype, shape and data_offsets");
	return 0;
}

/* By offset; empty ones before the one that begins there. */
static int compare(const void *a, const void *b)
{
	const struct pst_agent_safetensor *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size);
}

/* Sorted tensors: each begins where the one before it ends. */
static int check_cover(const struct pst_agent_safetensors *st,
		       struct pst_error *err)
{
	const struct pst_agent_safetensor *t;
	uint64_t end = 0;
	unsigned int i;

	for (i = 0; i < st->n_tensors; i++) {
		t = &st->tensors[i];
		if (t->off < end)
			return pst_error_set(
				err, -EINVAL,
				"tensor \"%.*s\" overlaps tensor \"%.*s\"",
				SHOWN, t->name, SHOWN, t[-1].name);
		if (t->off > end)
			return pst_error_set(
				err, -EINVAL,
				"%" PRIu64
				" bytes before tensor \"%.*s\" belong to "
				"none",
				t->off - end, SHOWN, t->name);
		end = t->off + t->size;
	}
	if (end != st->data_size)
		return pst_error_set(
			err, -EINVAL,
			"%" PRIu64
			" bytes at the end of the data belong to no tensor",
			st->data_size - end);
	return 0;
}

static int parse_tensors(struct pst_agent_safetensors *st,
			 struct pst_error *err)
{
	const char *key;
	json_t *value;
	int r;

	if (json_object_size(st->root) > PST_AGENT_SAFETENSORS_MAX_TENSORS)
		return pst_error_set(err, -EMSGSIZE, "more than %u tensors",
				     PST_AGENT_SAFETENSORS_MAX_TENSORS);
	st->tensors =
		calloc(json_object_size(st->root) + 1, sizeof(*st->tensors));
	if (!st->tensors)
		return pst_oom(err);
	json_object_foreach(st->root, key, value)
	{
		if (strcmp(key, METADATA) == 0)
			r = check_metadata(value, err);
		else
			r = parse_tensor(key, value, st->data_size,
					 &st->tensors[st->n_tensors++], err);
		if (r < 0)
			return r;
	}
	qsort(st->tensors, st->n_tensors, sizeof(*st->tensors), compare);
	return check_cover(st, err);
}

bool pst_agent_json_is_small(const char *text, size_t n)
{
	unsigned int tokens = 0;
	size_t i;

	/* Those within strings count, too: it is a bound. */
	for (i = 0; i < n && tokens <= PST_AGENT_SAFETENSORS_MAX_TOKENS; i++)
		tokens += text[i] == ',' || text[i] == ':' || text[i] == '{' ||
			  text[i] == '[';
	return tokens <= PST_AGENT_SAFETENSORS_MAX_TOKENS;
}

/* The JSON's bytes as the length before them says. */
static int check_length(const uint8_t *buf, size_t n, struct pst_error *err)
{
	uint64_t length;

	if (n < LENGTH)
		return pst_error_set(err, -ENODATA,
				     "no safetensors file: it has %zu bytes",
				     n);
	memcpy(&length, buf, sizeof(length));
	if (length > PST_AGENT_SAFETENSORS_MAX_JSON)
		return pst_error_set(
			err, -EMSGSIZE,
			"no safetensors file, or a header of %" PRIu64
			" bytes, above "
			"%u",
			length, PST_AGENT_SAFETENSORS_MAX_JSON);
	if (length > n - LENGTH)
		return pst_error_set(err, -ENODATA,
				     "cut short: the header has %" PRIu64
				     " bytes, %zu are there",
				     length, n - LENGTH);
	if (length < n - LENGTH)
		return pst_error_set(
			err, -EINVAL,
			"%zu bytes were given as the header, it has %" PRIu64,
			n - LENGTH, length);
	if (length == 0 || buf[LENGTH] != '{')
		return pst_error_set(err, -EINVAL,
				     "no safetensors file: its header does not "
				     "begin with '{'");
	return 0;
}

int pst_agent_safetensors_parse(const uint8_t *buf, size_t n,
				uint64_t data_size,
				struct pst_agent_safetensors *ret,
				struct pst_error *err)
{
	struct pst_agent_safetensors st = {.data_size = data_size};
	json_error_t why;
	int r;

	r = check_length(buf, n, err);
	if (r < 0)
		return r;
	if (!pst_agent_json_is_small((const char *)buf + LENGTH, n - LENGTH))
		return pst_error_set(err, -EMSGSIZE,
				     "the header has more than %u commas, "
				     "colons and brackets",
				     PST_AGENT_SAFETENSORS_MAX_TOKENS);
	st.root = json_loadb((const char *)buf + LENGTH, n - LENGTH,
			     JSON_REJECT_DUPLICATES, &why);
	if (!st.root)
		return pst_error_set(err,
				     json_error_code(&why) ==
						     json_error_out_of_memory
					     ? -ENOMEM
					     : -EINVAL,
				     "the header is no JSON: %s (byte %d)",
				     why.text, why.position);
	r = parse_tensors(&st, err);
	if (r < 0) {
		pst_agent_safetensors_done(&st);
		return r;
	}
	*ret = st;
	return 0;
}

void pst_agent_safetensors_done(struct pst_agent_safetensors *st)
{
	json_decref(st->root);
	free(st->tensors);
	*st = (struct pst_agent_safetensors){0};
}

const struct pst_agent_safetensor *
pst_agent_safetensors_find(const struct pst_agent_safetensors *st,
			   const char *name)
{
	unsigned int i;

	for (i = 0; i < st->n_tensors; i++)
		if (strcmp(st->tensors[i].name, name) == 0)
			return &st->tensors[i];
	return NULL;
}

const char *
pst_agent_safetensors_metadata(const struct pst_agent_safetensors *st,
			       const char *key)
{
	json_t *map = json_object_get(st->root, METADATA);

	return json_string_value(json_object_get(map, key));
}
