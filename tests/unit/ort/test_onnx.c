/* SPDX-License-Identifier: MIT */
/* The walk over an ONNX file: what it wants of other files is found, wherever
 * it says so, and what is not understood is refused. */
#include <stdarg.h>
#include <string.h>

#include "guest-agent/runner/onnx.h"
#include "tests/fixtures/unit.h"

/* A message under construction. */
struct msg {
	uint8_t data[4096];
	size_t n;
};

static const struct pst_onnx_file files[] = {{"weights.bin", 100}, {"b", 8}};
static struct pst_error err;

static void put_varint(struct msg *m, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		m->data[m->n++] = (uint8_t)(v | 0x80);
	m->data[m->n++] = (uint8_t)v;
}

static void put_number(struct msg *m, uint32_t field, uint64_t v)
{
	put_varint(m, field << 3);
	put_varint(m, v);
}

static void put_bytes(struct msg *m, uint32_t field, const void *data, size_t n)
{
	put_varint(m, field << 3 | 2);
	put_varint(m, n);
	memcpy(m->data + m->n, data, n);
	m->n += n;
}

static void put_text(struct msg *m, uint32_t field, const char *text)
{
	put_bytes(m, field, text, strlen(text));
}

/* The message in a field of another one, and so on: fields from the inside to
 * the outside, then 0. */
static struct msg wrap(const struct msg *inner, ...)
{
	struct msg m = *inner;
	va_list ap;
	int field;

	va_start(ap, inner);
	while ((field = va_arg(ap, int)) != 0) {
		struct msg outer = {.n = 0};

		put_bytes(&outer, (uint32_t)field, m.data, m.n);
		m = outer;
	}
	va_end(ap);
	return m;
}

static void put_entry(struct msg *tensor, const char *key, const char *value)
{
	struct msg entry = {.n = 0};

	put_text(&entry, 1, key);
	put_text(&entry, 2, value);
	put_bytes(tensor, 13, entry.data, entry.n);
}

/* A TensorProto whose data lies in a file; NULL leaves an entry out. */
static struct msg tensor(const char *location, const char *off,
			 const char *length)
{
	struct msg t = {.n = 0};

	put_number(&t, 2, 1);
	if (location)
		put_entry(&t, "location", location);
	if (off)
		put_entry(&t, "offset", off);
	if (length)
		put_entry(&t, "length", length);
	put_number(&t, 14, 1);
	return t;
}

static int walk(const struct msg *m)
{
	memset(&err, 0, sizeof(err));
	return pst_onnx_walk(m->data, m->n, files, PST_ARRAY_SIZE(files), &err);
}

static void refused(const struct msg *m, int code, const char *words)
{
	ck_assert_int_eq(walk(m), code);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
}

START_TEST(a_model_without_files_passes)
{
	struct msg t = {.n = 0}, m;

	put_number(&t, 2, 1);
	put_text(&t, 9, "raw data");
	m = wrap(&t, 5, 7, 0);
	put_number(&m, 1, 8);
	put_text(&m, 2, "a producer");
	ck_assert_int_eq(walk(&m), 0);
}
END_TEST

START_TEST(a_tensor_within_a_given_file_passes)
{
	struct msg t = tensor("weights.bin", "60", "40"), m;

	m = wrap(&t, 5, 7, 0);
	ck_assert_int_eq(walk(&m), 0);
	t = tensor("b", NULL, NULL);
	m = wrap(&t, 5, 7, 0);
	ck_assert_int_eq(walk(&m), 0);
}
END_TEST

/* Every way from the model to a TensorProto (onnx.proto). */
START_TEST(a_foreign_file_is_found_wherever_a_tensor_lies)
{
	const struct msg t = tensor("/etc/passwd", NULL, NULL);
	const struct msg places[] = {
		wrap(&t, 5, 7, 0),           /* initializer */
		wrap(&t, 1, 15, 7, 0),       /* sparse: values */
		wrap(&t, 2, 15, 7, 0),       /* sparse: indices */
		wrap(&t, 5, 5, 1, 7, 0),     /* attribute t */
		wrap(&t, 10, 5, 1, 7, 0),    /* attribute tensors */
		wrap(&t, 1, 22, 5, 1, 7, 0), /* attribute sparse_tensor */
		wrap(&t, 2, 23, 5, 1, 7, 0), /* attribute sparse_tensors */
		wrap(&t, 5, 6, 5, 1, 7, 0),  /* subgraph g */
		wrap(&t, 5, 11, 5, 1, 7, 0), /* subgraphs */
		wrap(&t, 5, 6, 5, 1, 6, 5, 1, 7, 0),
		wrap(&t, 5, 5, 7, 25, 0), /* function: node */
		wrap(&t, 5, 11, 25, 0),   /* function: attribute */
		wrap(&t, 5, 1, 20, 0),    /* training: initialization */
		wrap(&t, 5, 2, 20, 0),    /* training: algorithm */
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++)
		refused(&places[i], -EPERM,
			"\"/etc/passwd\", which was not given");
}
END_TEST

START_TEST(a_name_is_equal_or_foreign)
{
	static const char *const names[] = {"",
					    ".",
					    "weights.bi",
					    "weights.binx",
					    "./weights.bin",
					    "WEIGHTS.BIN",
					    "../b",
					    "/proc/self/mem"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names); i++) {
		const struct msg t = tensor(names[i], NULL, NULL);
		const struct msg m = wrap(&t, 5, 7, 0);

		refused(&m, -EPERM, "which was not given");
	}
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
	static const char *const spans[][2] = {
		{"0", "101"},
		{"100", "1"},
		{"101", NULL},
		{"9223372036854775807", "9223372036854775807"}};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(spans); i++) {
		const struct msg t =
			tensor("weights.bin", spans[i][0], spans[i][1]);
		const struct msg m = wrap(&t, 5, 7, 0);

		refused(&m, -EPERM, "of weights.bin, which has 100");
	}
}
END_TEST

START_TEST(numbers_are_numbers)
{
	static const char *const bad[] = {
		"", "-1", "0x10", "1e3", " 1", "1 ", "18446744073709551616"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		struct msg t = tensor("b", bad[i], NULL);
		struct msg m = wrap(&t, 5, 7, 0);

		refused(&m, -EINVAL, "is no number");
		t = tensor("b", NULL, bad[i]);
		m = wrap(&t, 5, 7, 0);
		refused(&m, -EINVAL, "is no number");
	}
}
END_TEST

/* Readers merge messages that come twice, each in its own way. */
START_TEST(what_was_said_once_is_not_taken_back)
{
	struct msg t = tensor("/etc/passwd", NULL, NULL), m;

	put_number(&t, 14, 0);
	put_entry(&t, "location", "b");
	m = wrap(&t, 5, 7, 0);
	refused(&m, -EPERM, "\"/etc/passwd\"");
	t = tensor(NULL, NULL, NULL);
	put_number(&t, 14, 0);
	m = wrap(&t, 5, 7, 0);
	refused(&m, -EPERM, "without a name");
	t = (struct msg){.n = 0};
	put_number(&t, 14, 2);
	m = wrap(&t, 5, 7, 0);
	refused(&m, -EINVAL, "lies nowhere");
	t.n = 0;
	put_number(&t, 14, (1ULL << 32) + 1);
	m = wrap(&t, 5, 7, 0);
	refused(&m, -EINVAL, "lies nowhere");
}
END_TEST

START_TEST(a_compiled_context_is_refused)
{
	struct msg node = {.n = 0}, m;

	put_text(&node, 4, "EPContext");
	m = wrap(&node, 1, 7, 0);
	refused(&m, -ENOTSUP, "compiled for another machine");
}
END_TEST

START_TEST(nesting_has_a_bound)
{
	struct msg m = {.n = 0}, deep;
	unsigned int i;

	put_text(&m, 2, "g");
	/* A graph in an attribute of a node is three deeper. */
	for (i = 0; i < 21; i++)
		m = wrap(&m, 6, 5, 1, 0);
	deep = wrap(&m, 7, 0);
	ck_assert_int_eq(walk(&deep), 0);
	m = wrap(&m, 6, 5, 1, 7, 0);
	refused(&m, -EINVAL, "nested more than 64 deep");
}
END_TEST

START_TEST(every_cut_is_refused_or_says_less)
{
	const struct msg t = tensor("b", "0", "8");
	struct msg m = wrap(&t, 5, 7, 0);
	size_t n;

	put_number(&m, 1, 8);
	ck_assert_int_eq(walk(&m), 0);
	for (n = 1; n < m.n; n++) {
		uint8_t *copy = malloc(n);
		int r;

		memcpy(copy, m.data, n);
		r = pst_onnx_walk(copy, n, files, 2, &err);
		ck_assert_msg(r == -EINVAL || (r == 0 && n == m.n - 2),
			      "%zu bytes: %d", n, r);
		free(copy);
	}
	m.n = 0;
	refused(&m, -EINVAL, "it is empty");
}
END_TEST

START_TEST(what_a_reader_may_see_otherwise_is_refused)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x3b\x3c", 2},                 /* a group of field 7 */
		{"\x38\x01", 2},                 /* field 7 as a number */
		{"\x00\x01", 2},                 /* field 0 */
		{"\xba\x80\x80\x80\x10\x00", 6}, /* key above 32 bits */
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
		{"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_onnx_walk((const uint8_t *)bad[i].bytes,
					    bad[i].n, files, 2,
					    &err) == -EINVAL,
			      "case %zu", i);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_model_without_files_passes);
	tcase_add_test(tc, a_tensor_within_a_given_file_passes);
	tcase_add_test(tc, a_foreign_file_is_found_wherever_a_tensor_lies);
	tcase_add_test(tc, a_name_is_equal_or_foreign);
	tcase_add_test(tc, bytes_behind_the_end_are_refused);
	tcase_add_test(tc, numbers_are_numbers);
	tcase_add_test(tc, what_was_said_once_is_not_taken_back);
	tcase_add_test(tc, a_compiled_context_is_refused);
	tcase_add_test(tc, nesting_has_a_bound);
	tcase_add_test(tc, every_cut_is_refused_or_says_less);
	tcase_add_test(tc, what_a_reader_may_see_otherwise_is_refused);
}

int main(void)
{
	return pst_unit_run("onnx", add, 60);
}
