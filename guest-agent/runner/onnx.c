/* SPDX-License-Identifier: MIT */
/* Walks the protobuf messages of an ONNX file. */
#include "guest-agent/runner/onnx.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define MAX_DEPTH 64U

/* Wire types of protobuf (protobuf.dev, Encoding). */
enum {
	WIRE_VARINT = 0,
	WIRE_I64 = 1,
	WIRE_LEN = 2,
	WIRE_I32 = 5,
};

struct span {
	const uint8_t *p;
	size_t n;
};

struct field {
	uint32_t number;
	uint32_t type;
	uint64_t varint;  /* WIRE_VARINT */
	struct span body; /* WIRE_LEN */
};

struct walk {
	const struct pst_onnx_file *files;
	uint32_t n_files;
	struct pst_error *err;
};

static int malformed(struct walk *w, const char *why)
{
	return pst_error_set(w->err, -EINVAL, "the file is no ONNX model: %s",
			     why);
}

static int take_varint(struct span *s, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < 10 && i < s->n; i++) {
		v |= (uint64_t)(s->p[i] & 0x7f) << (7 * i);
		if (!(s->p[i] & 0x80)) {
			s->p += i + 1;
			s->n -= i + 1;
			*ret = v;
			return 0;
		}
	}
	return -EINVAL;
}

static int take_bytes(struct span *s, uint64_t n, struct span *ret)
{
	if (n > s->n)
		return -EINVAL;
	*ret = (struct span){s->p, (size_t)n};
	s->p += n;
	s->n -= (size_t)n;
	return 0;
}

/* Takes the next field of a message. Returns 1, 0 at the end, -EINVAL. */
static int next(struct walk *w, struct span *s, struct field *ret)
{
	uint64_t key, n;
	int r;

	if (s->n == 0)
		return 0;
	if (take_varint(s, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
		return malformed(w, "a field has no number");
	*ret = (struct field){.number = (uint32_t)(key >> 3),
			      .type = (uint32_t)(key & 7)};
	switch (ret->type) {
	case WIRE_VARINT:
		r = take_varint(s, &ret->varint);
		break;
	case WIRE_I64:
		r = take_bytes(s, 8, &ret->body);
		break;
	case WIRE_I32:
		r = take_bytes(s, 4, &ret->body);
		break;
	case WIRE_LEN:
		r = take_varint(s, &n);
		if (r == 0)
			r = take_bytes(s, n, &ret->body);
		break;
	default:
		return malformed(w, "a field has an unknown form");
	}
	return r ? malformed(w, "it ends within a field") : 1;
}

static bool is(const struct span *s, const char *text)
{
	return s->n == strlen(text) && memcmp(s->p, text, s->n) == 0;
}

/* StringStringEntryProto: key 1, value 2. */
static int read_entry(struct walk *w, struct span s, struct span *key,
		      struct span *value)
{
	struct field f;
	int r;

	*key = *value = (struct span){(const uint8_t *)"", 0};
	while ((r = next(w, &s, &f)) > 0) {
		if (f.number > 2)
			continue;
		if (f.type != WIRE_LEN)
			return malformed(w, "an entry is no text");
		*(f.number == 1 ? key : value) = f.body;
	}
	return r;
}

static int read_number(const struct span *s, uint64_t *ret)
{
	char text[24];

	if (s->n == 0 || s->n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s->p, s->n);
	text[s->n] = '\0';
	return pst_parse_u64(text, 0, INT64_MAX, ret);
}

/* What a tensor says of the place of its data. */
struct place {
	bool elsewhere, named;
	const struct pst_onnx_file *file;
	uint64_t off, length;
};

static int check_entry(struct walk *w, struct span s, struct place *p)
{
	struct span key, value;
	uint32_t i;
	int r;

	r = read_entry(w, s, &key, &value);
	if (r < 0)
		return r;
	p->elsewhere = true;
	if (is(&key, "offset") || is(&key, "length")) {
		if (read_number(&value,
				is(&key, "offset") ? &p->off : &p->length))
			return malformed(w, "an external tensor's offset or "
					    "length is no number");
		return 0;
	}
	if (!is(&key, "location"))
		return 0;
	for (i = 0; i < w->n_files; i++) {
		if (*w->files[i].name && is(&value, w->files[i].name)) {
			p->named = true;
			p->file = &w->files[i];
			return 0;
		}
	}
	return pst_error_set(w->err, -EPERM,
			     "the model wants the file \"%.*s\", which was "
			     "not given with it",
			     (int)(value.n < 128 ? value.n : 128),
			     (const char *)value.p);
}

/* TensorProto: external_data 13, data_location 14. */
static int walk_tensor(struct walk *w, struct span s)
{
	struct place p = {0};
	struct field f;
	uint64_t end;
	int r;

	while ((r = next(w, &s, &f)) > 0) {
		if (f.number == 14) {
			if (f.type != WIRE_VARINT || f.varint > 1)
				return malformed(w, "a tensor lies nowhere");
			/* A later 0 takes nothing back: who merges two
			 * messages may read it first. */
			p.elsewhere |= f.varint == 1;
		} else if (f.number == 13) {
			if (f.type != WIRE_LEN)
				return malformed(w, "an entry is no message");
			r = check_entry(w, f.body, &p);
			if (r < 0)
				return r;
		}
	}
	if (r < 0)
		return r;
	if (p.elsewhere && !p.named)
		return pst_error_set(w->err, -EPERM,
				     "a tensor of the model lies in a file "
				     "without a name");
	if (p.named &&
	    (pst_add_overflow(p.off, p.length, &end) || end > p.file->size))
		return pst_error_set(w->err, -EPERM,
				     "a tensor of the model ends at byte "
				     "%" PRIu64 " of %s, which has %" PRIu64,
				     p.off + p.length, p.file->name,
				     p.file->size);
	return 0;
}

struct message;

struct child {
	uint32_t number;
	const struct message *of; /* NULL: a tensor */
};

struct message {
	const struct child *children;
	uint32_t n_children;
	bool is_node;
};

/* Fields that hold messages with tensors in them (onnx.proto). */
static const struct message graph, node, attribute, sparse, function, training,
	model;
static const struct child graph_children[] = {
	{1, &node}, {5, NULL}, {15, &sparse}};
static const struct child node_children[] = {{5, &attribute}};
static const struct child attribute_children[] = {{5, NULL},     {6, &graph},
						  {10, NULL},    {11, &graph},
						  {22, &sparse}, {23, &sparse}};
static const struct child sparse_children[] = {{1, NULL}, {2, NULL}};
static const struct child function_children[] = {{7, &node}, {11, &attribute}};
static const struct child training_children[] = {{1, &graph}, {2, &graph}};
static const struct child model_children[] = {
	{7, &graph}, {20, &training}, {25, &function}};
#define MESSAGE(name, node_)                                                   \
	static const struct message name = {                                   \
		name##_children, PST_ARRAY_SIZE(name##_children), node_}
MESSAGE(graph, false);
MESSAGE(node, true);
MESSAGE(attribute, false);
MESSAGE(sparse, false);
MESSAGE(function, false);
MESSAGE(training, false);
MESSAGE(model, false);

static int walk_message(struct walk *w, const struct message *m, struct span s,
			unsigned int depth);

static int walk_field(struct walk *w, const struct message *m,
		      const struct field *f, unsigned int depth)
{
	uint32_t i;

	for (i = 0; i < m->n_children; i++) {
		if (m->children[i].number != f->number)
			continue;
		if (f->type != WIRE_LEN)
			return malformed(w, "a field is no message");
		return m->children[i].of ? walk_message(w, m->children[i].of,
							f->body, depth + 1)
					 : walk_tensor(w, f->body);
	}
	if (m->is_node && f->number == 4 && f->type == WIRE_LEN &&
	    is(&f->body, "EPContext"))
		return pst_error_set(w->err, -ENOTSUP,
				     "the model is compiled for another "
				     "machine (EPContext); give the ONNX file "
				     "that it was made of");
	return 0;
}

static int walk_message(struct walk *w, const struct message *m, struct span s,
			unsigned int depth)
{
	struct field f;
	int r;

	if (depth > MAX_DEPTH)
		return malformed(w, "its graphs are nested more than 64 deep");
	while ((r = next(w, &s, &f)) > 0) {
		r = walk_field(w, m, &f, depth);
		if (r < 0)
			return r;
	}
	return r;
}

int pst_onnx_walk(const uint8_t *data, size_t n,
		  const struct pst_onnx_file *files, uint32_t n_files,
		  struct pst_error *err)
{
	struct walk w = {.files = files, .n_files = n_files, .err = err};

	if (n == 0)
		return malformed(&w, "it is empty");
	return walk_message(&w, &model, (struct span){data, n}, 0);
}
