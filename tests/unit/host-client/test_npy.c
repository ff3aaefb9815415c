/* SPDX-License-Identifier: MIT */
/* .npy headers: what numpy writes is read, all else is refused. */
#include <errno.h>
#include <string.h>

#include "host-client/files/npy.h"
#include "host-client/penstock.h"
#include "tests/fixtures/unit.h"

static uint8_t file[PST_NPY_MAX_HEADER + 64];
static struct pst_error err;
static struct pst_npy npy;

/* Puts a file's beginning together; returns its length. */
static size_t make(unsigned int major, const char *dict)
{
	size_t start = major == 1 ? 10 : 12;
	size_t n = strlen(dict);

	memcpy(file, "\x93NUMPY", 6);
	file[6] = (uint8_t)major;
	file[7] = 0;
	memset(file + 8, 0, 4);
	file[8] = (uint8_t)n;
	file[9] = (uint8_t)(n >> 8);
	memcpy(file + start, dict, n);
	return start + n;
}

static int parse(size_t n)
{
	memset(&err, 0, sizeof(err));
	memset(&npy, 0xee, sizeof(npy));
	return pst_npy_parse(file, n, &npy, &err);
}

static int parse_dict(const char *dict)
{
	int r = parse(make(1, dict));

	if (r < 0)
		ck_assert_str_ne(err.text, "");
	return r;
}

#define DICT(descr, order, shape)                                              \
	"{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape     \
	", }      \n"

START_TEST(numpys_own_header_is_read)
{
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False", "(3, 5)")), 0);
	ck_assert_uint_eq(npy.dtype, PST_F32);
	ck_assert_uint_eq(npy.elem_size, 4);
	ck_assert(!npy.big_endian);
	ck_assert(!npy.fortran);
	ck_assert_uint_eq(npy.rows, 3);
	ck_assert_uint_eq(npy.cols, 5);
	ck_assert_uint_eq(npy.data_size, 60);
	ck_assert_uint_eq(npy.data_off,
			  10 + strlen(DICT("'<f4'", "False", "(3, 5)")));
}
END_TEST

START_TEST(big_endian_doubles_in_fortran_order_are_seen_as_that)
{
	ck_assert_int_eq(parse_dict(DICT("'>f8'", "True", "(7, 1)")), 0);
	ck_assert_uint_eq(npy.dtype, PST_F64);
	ck_assert_uint_eq(npy.elem_size, 8);
	ck_assert(npy.big_endian);
	ck_assert(npy.fortran);
	ck_assert_uint_eq(npy.data_size, 56);
}
END_TEST

START_TEST(versions_2_and_3_have_a_length_of_4_bytes)
{
	ck_assert_int_eq(parse(make(2, DICT("'<f4'", "False", "(2, 2)"))), 0);
	ck_assert_uint_eq(npy.data_off,
			  12 + strlen(DICT("'<f4'", "False", "(2, 2)")));
	ck_assert_int_eq(parse(make(3, DICT("'<f4'", "False", "(2, 2)"))), 0);
	ck_assert_int_eq(parse(make(4, DICT("'<f4'", "False", "(2, 2)"))),
			 -EOPNOTSUPP);
	ck_assert_int_eq(parse(make(0, DICT("'<f4'", "False", "(2, 2)"))),
			 -EOPNOTSUPP);
}
END_TEST

START_TEST(other_ways_to_write_the_same_dictionary_are_read)
{
	ck_assert_int_eq(parse_dict("{\"shape\":(10L,2L),\"descr\":\"<f8\","
				    "\"fortran_order\":True}"),
			 0);
	ck_assert_uint_eq(npy.rows, 10);
	ck_assert_uint_eq(npy.cols, 2);
	ck_assert(npy.fortran);
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False", "(0, 4,)")), 0);
	ck_assert_uint_eq(npy.rows, 0);
	ck_assert_uint_eq(npy.data_size, 0);
}
END_TEST

START_TEST(every_type_that_can_be_multiplied_is_read_as_it_is_written)
{
	static const struct {
		const char *dict;
		uint32_t dtype;
		unsigned int size;
	} types[] = {
		{DICT("'<f2'", "False", "(2, 3)"), PST_F16, 2},
		{DICT("'<f4'", "False", "(2, 3)"), PST_F32, 4},
		{DICT("'<f8'", "False", "(2, 3)"), PST_F64, 8},
		{DICT("'|i1'", "False", "(2, 3)"), PST_I8, 1},
		{DICT("'<i4'", "False", "(2, 3)"), PST_I32, 4},
	};
	uint8_t header[PST_NPY_HEADER];
	struct pst_npy back;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ck_assert_int_eq(parse_dict(types[i].dict), 0);
		ck_assert_uint_eq(npy.dtype, types[i].dtype);
		ck_assert_uint_eq(npy.elem_size, types[i].size);
		pst_npy_format(types[i].dtype, true, 5, 6, header);
		ck_assert_int_eq(
			pst_npy_parse(header, sizeof(header), &back, &err), 0);
		ck_assert_uint_eq(back.dtype, types[i].dtype);
		ck_assert_uint_eq(back.data_size, 30 * types[i].size);
	}
	ck_assert_int_eq(parse_dict(DICT("'>f2'", "False", "(2, 3)")), 0);
	ck_assert(npy.big_endian);
}
END_TEST

/* What numpy.dtype() takes, too; all that it makes of a single byte is "|i1".
 */
static const struct {
	const char *descr;
	uint32_t dtype;
	bool big_endian;
} spellings[] = {
	{"=f4", PST_F32, false},   {"f4", PST_F32, false},
	{"|f4", PST_F32, false},   {"float32", PST_F32, false},
	{"f", PST_F32, false},     {">f", PST_F32, true},
	{"=f8", PST_F64, false},   {"float64", PST_F64, false},
	{">d", PST_F64, true},     {"float16", PST_F16, false},
	{"<e", PST_F16, false},    {"=i4", PST_I32, false},
	{"int32", PST_I32, false}, {"i", PST_I32, false},
	{"int8", PST_I8, false},   {"<i1", PST_I8, false},
	{">i1", PST_I8, false},    {"i1", PST_I8, false},
	{"b", PST_I8, false},
};

START_TEST(a_type_is_read_in_each_of_numpys_spellings)
{
	char dict[128];

	snprintf(dict, sizeof(dict), DICT("'%s'", "False", "(2, 3)"),
		 spellings[_i].descr);
	ck_assert_int_eq(parse_dict(dict), 0);
	ck_assert_uint_eq(npy.dtype, spellings[_i].dtype);
	ck_assert(npy.big_endian == spellings[_i].big_endian);
}
END_TEST

static const char *const no_spellings[] = {
	"<float32", "=float64", "Float32", "F4",  "<",   "=",    "<f4 ",
	" f4",      "<<f4",     "f48",     "<f ", "d8",  "bool", "|b1",
	"<i8",      "=u4",      "l",       "<O1", "|V4", "<U4",  "<M8[ns]",
};

START_TEST(what_numpy_would_read_as_another_type_or_not_at_all_is_refused)
{
	char dict[128];

	snprintf(dict, sizeof(dict), DICT("'%s'", "False", "(2, 3)"),
		 no_spellings[_i]);
	ck_assert_int_eq(parse_dict(dict), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, no_spellings[_i]));
}
END_TEST

START_TEST(what_cannot_be_multiplied_is_refused_by_name)
{
	ck_assert_int_eq(parse_dict(DICT("'|O'", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "objects"));
	ck_assert_int_eq(parse_dict(DICT("[('x', '<f4')]", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "structured"));
	ck_assert_int_eq(parse_dict(DICT("'<i8'", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "<i8"));
	ck_assert_int_eq(parse_dict(DICT("'|u1'", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_int_eq(parse_dict(DICT("'<c8'", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_int_eq(parse_dict(DICT("'<f48'", "False", "(2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_int_eq(parse_dict(DICT("''", "False", "(2, 2)")),
			 -EOPNOTSUPP);
}
END_TEST

START_TEST(only_two_dimensions_make_a_matrix)
{
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False", "()")), -EOPNOTSUPP);
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False", "(9,)")),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "reshape"));
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False", "(2, 2, 2)")),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "3 dimensions"));
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False",
					 "(4611686018427387904, "
					 "4611686018427387904)")),
			 -EOVERFLOW);
	/* The elements fit in 64 bits, their bytes do not. */
	ck_assert_int_eq(
		parse_dict(DICT("'<f8'", "False", "(4611686018427387904, 1)")),
		-EOVERFLOW);
	/* The bytes fit in 64 bits, but no file has so many. */
	ck_assert_int_eq(
		parse_dict(DICT("'<f8'", "False", "(1152921504606846975, 1)")),
		-EOVERFLOW);
	ck_assert_int_eq(
		parse_dict(DICT("'<f4'", "False", "(18446744073709551616, 1)")),
		-EOVERFLOW);
	ck_assert_int_eq(parse_dict(DICT("'<f4'", "False",
					 "(99999999999999999999999999, 1)")),
			 -EOVERFLOW);
	/* 0 rows: nothing is read, however long a row would be. */
	ck_assert_int_eq(
		parse_dict(DICT("'<f4'", "False", "(0, 18446744073709551615)")),
		0);
}
END_TEST

static const char *const broken[] = {
	"",
	" ",
	"{",
	"{}",
	"{'descr'",
	"{'descr'}",
	"{'descr':}",
	"{'descr': '<f4",
	DICT("<f4", "False", "(2, 2)"),
	DICT("'<f4'", "false", "(2, 2)"),
	DICT("'<f4'", "0", "(2, 2)"),
	DICT("'<f4'", "Falsehood", "(2, 2)"),
	DICT("'<f4'", "False", "[2, 2]"),
	DICT("'<f4'", "False", "2, 2"),
	DICT("'<f4'", "False", "(2 2)"),
	DICT("'<f4'", "False", "(2)"),
	DICT("'<f4'", "False", "(2, 2"),
	DICT("'<f4'", "False", "(,)"),
	DICT("'<f4'", "False", "(2,, 2)"),
	DICT("'<f4'", "False", "(-2, 2)"),
	DICT("'<f4'", "False", "(+2, 2)"),
	DICT("'<f4'", "False", "(0x2, 2)"),
	DICT("'<f4'", "False", "(02, 2)"),
	DICT("'<f4'", "False", "(2.0, 2)"),
	DICT("'<f4'", "False", "(2LL, 2)"),
	DICT("'<\\x664'", "False", "(2, 2)"),
	DICT("'<f4'", "False", "(2, 2), 'more': 1"),
	DICT("'<f4'", "False", "(2, 2), 'shape': (3, 3)"),
	DICT("'<f4'", "False", "(2, 2)") "x",
	DICT("'<f4'", "False", "(2, 2)") "{}",
	"{'descr': '<f4', 'fortran_order': False}",
	"{'descr': '<f4', 'shape': (2, 2)}",
	"{'fortran_order': False, 'shape': (2, 2)}",
	"{'descr' '<f4', 'fortran_order': False, 'shape': (2, 2)}",
	"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 2)}",
	"{'a key that is far longer than any that numpy has': 1}",
};

START_TEST(a_malformed_header_is_refused)
{
	ck_assert_int_eq(parse_dict(broken[_i]), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "malformed"));
}
END_TEST

START_TEST(too_many_dimensions_end_the_reading)
{
	char shape[1024] = "{'shape': (";
	int i;

	for (i = 0; i < 65; i++)
		strcat(shape, "1, ");
	strcat(shape, ")}");
	ck_assert_int_eq(parse_dict(shape), -EINVAL);
}
END_TEST

START_TEST(a_file_of_another_kind_is_not_one)
{
	size_t n = make(1, DICT("'<f4'", "False", "(2, 2)"));

	ck_assert_int_eq(parse(0), -EINVAL);
	ck_assert_int_eq(parse(5), -EINVAL);
	file[0] = 'P';
	ck_assert_int_eq(parse(n), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "not a .npy file"));
}
END_TEST

START_TEST(no_part_of_a_header_passes_for_the_whole)
{
	size_t n = make(1, DICT("'<f4'", "False", "(2, 2)"));
	size_t i;

	for (i = 6; i < n; i++)
		ck_assert_int_eq(parse(i), -ENODATA);
	ck_assert_int_eq(parse(n), 0);
}
END_TEST

START_TEST(a_header_that_claims_gigabytes_is_refused)
{
	size_t n = make(2, DICT("'<f4'", "False", "(2, 2)"));

	file[11] = 0xff;
	ck_assert_int_eq(parse(n), -EMSGSIZE);
	file[11] = 0;
	file[10] = 1;
	ck_assert_int_eq(parse(n), -EMSGSIZE);
}
END_TEST

START_TEST(what_is_written_reads_back_the_same)
{
	static const uint64_t dims[] = {0, 1, 1024, 4294967295, 1ULL << 58};
	unsigned int i;

	for (i = 0; i < 2 * PST_ARRAY_SIZE(dims); i++) {
		uint32_t dtype = i % 2 ? PST_F32 : PST_F64;
		uint64_t rows = dims[i / 2];

		memset(file, 0xff, sizeof(file));
		pst_npy_format(dtype, i % 2, rows, 3, file);
		ck_assert_int_eq(parse(PST_NPY_HEADER), 0);
		ck_assert_uint_eq(npy.data_off, PST_NPY_HEADER);
		ck_assert_uint_eq(npy.dtype, dtype);
		ck_assert_uint_eq(npy.fortran, i % 2);
		ck_assert_uint_eq(npy.rows, rows);
		ck_assert_uint_eq(npy.cols, 3);
		ck_assert_uint_eq(file[PST_NPY_HEADER - 1], '\n');
	}
	pst_npy_format(PST_F64, true, UINT64_MAX, UINT64_MAX, file);
	ck_assert_uint_eq(file[PST_NPY_HEADER - 1], '\n');
	ck_assert_int_eq(parse(PST_NPY_HEADER), -EOVERFLOW);
}
END_TEST

START_TEST(swapping_reverses_each_element)
{
	uint32_t w[3] = {0x01020304, 0xa0b0c0d0, 7};
	uint64_t d[2] = {0x0102030405060708, 9};

	pst_npy_swap(w, 2, 4);
	ck_assert_uint_eq(w[0], 0x04030201);
	ck_assert_uint_eq(w[1], 0xd0c0b0a0);
	ck_assert_uint_eq(w[2], 7);
	pst_npy_swap(d, 1, 8);
	ck_assert_uint_eq(d[0], 0x0807060504030201);
	ck_assert_uint_eq(d[1], 9);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, numpys_own_header_is_read);
	tcase_add_test(tc,
		       big_endian_doubles_in_fortran_order_are_seen_as_that);
	tcase_add_test(tc, versions_2_and_3_have_a_length_of_4_bytes);
	tcase_add_test(tc, other_ways_to_write_the_same_dictionary_are_read);
	tcase_add_test(
		tc, every_type_that_can_be_multiplied_is_read_as_it_is_written);
	tcase_add_loop_test(tc, a_type_is_read_in_each_of_numpys_spellings, 0,
			    PST_ARRAY_SIZE(spellings));
	tcase_add_loop_test(
		tc,
		what_numpy_would_read_as_another_type_or_not_at_all_is_refused,
		0, PST_ARRAY_SIZE(no_spellings));
	tcase_add_test(tc, what_cannot_be_multiplied_is_refused_by_name);
	tcase_add_test(tc, only_two_dimensions_make_a_matrix);
	tcase_add_test(tc, sizes_that_overflow_are_refused);
	tcase_add_loop_test(tc, a_malformed_header_is_refused, 0,
			    PST_ARRAY_SIZE(broken));
	tcase_add_test(tc, too_many_dimensions_end_the_reading);
	tcase_add_test(tc, a_file_of_another_kind_is_not_one);
	tcase_add_test(tc, no_part_of_a_header_passes_for_the_whole);
	tcase_add_test(tc, a_header_that_claims_gigabytes_is_refused);
	tcase_add_test(tc, what_is_written_reads_back_the_same);
	tcase_add_test(tc, swapping_reverses_each_element);
}

int main(void)
{
	return pst_unit_run("npy", add, 10);
}
