/* SPDX-License-Identifier: MIT */
/* safetensors headers: what the format allows is read, all else refused. */
#include <errno.h>

#include "guest-agent/model/safetensors.h"
#include "tests/fixtures/st_file.h"
#include "tests/fixtures/unit.h"
#include "transport/wire.h"

static uint8_t file[PST_AGENT_SAFETENSORS_MAX_HEADER + 64];
static char json[PST_AGENT_SAFETENSORS_MAX_JSON + 64];
static struct pst_agent_safetensors st;
static struct pst_error err;

static int parse_bytes(size_t n, uint64_t data_size)
{
	memset(&err, 0, sizeof(err));
	return pst_agent_safetensors_parse(file, n, data_size, &st, &err);
}

static int parse(const char *text, uint64_t data_size)
{
	return parse_bytes(st_header(file, text), data_size);
}

/* Refused with that code and these words in the sentence. */
static void refused(const char *text, uint64_t data_size, int code,
		    const char *words)
{
	ck_assert_int_eq(parse(text, data_size), code);
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
}

#define T(dtype, shape, begin, end)                                            \
	"{\"dtype\":\"" dtype "\",\"shape\":" shape                            \
	",\"data_offsets\":[" #begin "," #end "]}"

START_TEST(tensors_and_metadata_are_found)
{
	const struct pst_agent_safetensor *t;

	ck_assert_int_eq(
		parse("{\"__metadata__\":{\"a\":\"b\"},"
		      "\"w\":" T("F32", "[2,3]", 4,
				 28) ","
				     "\"h\":" T("BF16", "[2]", 0, 4) "}   ",
		      28),
		0);
	ck_assert_uint_eq(st.n_tensors, 2);
	t = pst_agent_safetensors_find(&st, "w");
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->dtype, PST_WIRE_F32);
	ck_assert_uint_eq(t->rank, 2);
	ck_assert_uint_eq(t->shape[0], 2);
	ck_assert_uint_eq(t->shape[1], 3);
	ck_assert_uint_eq(t->off, 4);
	ck_assert_uint_eq(t->size, 24);
	t = pst_agent_safetensors_find(&st, "h");
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->dtype, PST_WIRE_BF16);
	ck_assert_ptr_null(pst_agent_safetensors_find(&st, "__metadata__"));
	ck_assert_ptr_null(pst_agent_safetensors_find(&st, "x"));
	ck_assert_str_eq(pst_agent_safetensors_metadata(&st, "a"), "b");
	ck_assert_ptr_null(pst_agent_safetensors_metadata(&st, "b"));
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(a_file_without_tensors_is_read)
{
	ck_assert_int_eq(parse("{}", 0), 0);
	ck_assert_uint_eq(st.n_tensors, 0);
	ck_assert_ptr_null(pst_agent_safetensors_metadata(&st, "a"));
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(scalars_and_empty_tensors_are_allowed)
{
	ck_assert_int_eq(
		parse("{\"s\":" T("F32", "[]", 0,
				  4) ","
				     "\"e\":" T("F32", "[0,7]", 4,
						4) ","
						   "\"f\":" T("F32", "[1]", 4,
							      8) "}",
		      8),
		0);
	ck_assert_uint_eq(pst_agent_safetensors_find(&st, "s")->size, 4);
	ck_assert_uint_eq(pst_agent_safetensors_find(&st, "e")->size, 0);
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(every_cut_of_a_header_is_refused)
{
	const char *text = "{\"w\":" T("F32", "[2]", 0, 8) "}";
	const size_t n = st_header(file, text);
	size_t i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(parse_bytes(i, 8), -ENODATA);
	ck_assert_int_eq(parse_bytes(n + 1, 8), -EINVAL);
	ck_assert_int_eq(parse_bytes(n, 8), 0);
	pst_agent_safetensors_done(&st);
	/* And each shorter text that says its own length. */
	for (i = 0; i < strlen(text); i++) {
		memcpy(json, text, i);
		json[i] = '\0';
		ck_assert_int_eq(parse(json, 8), -EINVAL);
	}
}
END_TEST

START_TEST(a_huge_header_is_refused)
{
	const uint64_t lengths[] = {PST_AGENT_SAFETENSORS_MAX_JSON + 1,
				    1ULL << 32, UINT64_MAX, UINT64_MAX - 7};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lengths); i++) {
		memcpy(file, &lengths[i], 8);
		ck_assert_int_eq(parse_bytes(sizeof(file), 8), -EMSGSIZE);
	}
	/* The longest one is read. */
	memset(json, ' ', PST_AGENT_SAFETENSORS_MAX_JSON);
	json[0] = '{';
	json[1] = '}';
	json[PST_AGENT_SAFETENSORS_MAX_JSON] = '\0';
	ck_assert_int_eq(parse(json, 0), 0);
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(duplicate_keys_are_refused)
{
	refused("{\"w\":" T("F32", "[1]", 0, 4) ",\"w\":" T("F32", "[1]", 4,
							    8) "}",
		8, -EINVAL, "no JSON");
	refused("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],"
		"\"data_offsets\":[0,4]}}",
		4, -EINVAL, "no JSON");
	refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, -EINVAL,
		"no JSON");
	/* The same name, written with an escape. */
	refused("{\"w\":" T("F32", "[1]", 0, 4) ",\"\\u0077\":" T("F32", "[1]",
								  4, 8) "}",
		8, -EINVAL, "no JSON");
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
	refused("", 0, -EINVAL, "begin with '{'");
	refused(" {}", 0, -EINVAL, "begin with '{'");
	refused("[]", 0, -EINVAL, "begin with '{'");
	refused("{", 0, -EINVAL, "no JSON");
	refused("{}{}", 0, -EINVAL, "no JSON");
	refused("{} x", 0, -EINVAL, "no JSON");
	refused("{\"\xff\":1}", 0, -EINVAL, "no JSON");
	refused("{\"a\\u0000b\":1}", 0, -EINVAL, "no JSON");
	st_header(file, "{}x");
	file[10] = 0;
	ck_assert_int_eq(parse_bytes(11, 0), -EINVAL);
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
	const size_t deep = 8000;
	size_t n;

	n = (size_t)sprintf(json, "{\"w\":");
	memset(json + n, '[', deep);
	memset(json + n + deep, ']', deep);
	json[n + 2 * deep] = '}';
	json[n + 2 * deep + 1] = '\0';
	refused(json, 0, -EINVAL, "no JSON");
}
END_TEST

START_TEST(numbers_are_integers_of_at_least_0)
{
	refused("{\"w\":" T("F32", "[1.0]", 0, 4) "}", 4, -EINVAL, "dimension");
	refused("{\"w\":" T("F32", "[1e0]", 0, 4) "}", 4, -EINVAL, "dimension");
	refused("{\"w\":" T("F32", "[-1]", 0, 4) "}", 4, -EINVAL, "dimension");
	refused("{\"w\":" T("F32", "[true]", 0, 4) "}", 4, -EINVAL,
		"dimension");
	refused("{\"w\":" T("F32", "[\"1\"]", 0, 4) "}", 4, -EINVAL,
		"dimension");
	refused("{\"w\":" T("F32", "[1]", 0, 4.0) "}", 4, -EINVAL,
		"data_offsets");
	refused("{\"w\":" T("F32", "[1]", -4, 0) "}", 4, -EINVAL,
		"data_offsets");
	refused("{\"w\":" T("F32", "[99999999999999999999]", 0, 4) "}", 4,
		-EINVAL, "no JSON");
}
END_TEST

START_TEST(a_shape_that_overflows_is_refused)
{
	refused("{\"w\":" T("F32", "[4294967296,4294967296]", 0, 0) "}", 0,
		-EOVERFLOW, "overflows");
	refused("{\"w\":" T("U8", "[4294967296,4294967296]", 0, 0) "}", 0,
		-EOVERFLOW, "overflows");
	refused("{\"w\":" T("F64", "[4611686018427387904]", 0, 0) "}", 0,
		-EOVERFLOW, "overflows");
	/* A 0 somewhere does not hide it. */
	refused("{\"w\":" T("F32", "[4294967296,4294967296,0]", 0, 0) "}", 0,
		-EOVERFLOW, "overflows");
	refused("{\"w\":" T("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4,
		-EMSGSIZE, "9 dimensions");
}
END_TEST

START_TEST(offsets_lie_in_the_data_and_fit_the_shape)
{
	refused("{\"w\":" T("F32", "[2]", 0, 8) "}", 7, -EINVAL, "cut short");
	refused("{\"w\":" T("F32", "[2]", 0, 4) "}", 4, -EINVAL,
		"span 4 bytes, its shape and dtype need 8");
	refused("{\"w\":" T("F32", "[2]", 8, 0) "}", 8, -EINVAL,
		"data_offsets");
	refused("{\"w\":" T("F32", "[1]", 0, 9223372036854775807) "}", 4,
		-EINVAL, "ends at byte");
	refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":"
		"[0,2,4]}}",
		4, -EINVAL, "data_offsets");
	refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":"
		"{}}}",
		4, -EINVAL, "data_offsets");
}
END_TEST

START_TEST(tensors_cover_the_data_once)
{
	refused("{\"v\":" T("F32", "[2]", 0, 8) ",\"w\":" T("F32", "[2]", 4,
							    12) "}",
		12, -EINVAL, "\"w\" overlaps tensor \"v\"");
	refused("{\"v\":" T("F32", "[2]", 0, 8) ",\"w\":" T("F32", "[2]", 0,
							    8) "}",
		8, -EINVAL, "overlaps");
	refused("{\"v\":" T("F32", "[1]", 0, 4) ",\"w\":" T("F32", "[1]", 8,
							    12) "}",
		12, -EINVAL, "4 bytes before tensor \"w\"");
	refused("{\"w\":" T("F32", "[1]", 4, 8) "}", 8, -EINVAL,
		"4 bytes before");
	refused("{\"w\":" T("F32", "[1]", 0, 4) "}", 5, -EINVAL,
		"1 bytes at the end");
	refused("{}", 1, -EINVAL, "1 bytes at the end");
	refused("{\"e\":" T("F32", "[0]", 4, 4) ","
						"\"w\":" T("F32", "[2]", 0,
							   8) "}",
		8, -EINVAL, "overlaps");
}
END_TEST

START_TEST(entries_have_the_three_keys_of_the_format)
{
	refused("{\"w\":1}", 0, -EINVAL, "not an object");
	refused("{\"w\":{}}", 0, -EINVAL, "dtype is missing");
	refused("{\"w\":{\"dtype\":\"F32\"}}", 0, -EINVAL, "shape is missing");
	refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, -EINVAL,
		"data_offsets");
	refused("{\"w\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,0]}}", 0,
		-EINVAL, "dtype is missing");
	refused("{\"w\":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,0]}}",
		0, -EINVAL, "dtype is missing");
	refused("{\"w\":{\"dtype\":\"F\\n\",\"shape\":[],\"data_offsets\":[0,"
		"0]}}",
		0, -EINVAL, "dtype is missing");
	refused("{\"w\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,"
		"0]}}",
		0, -EINVAL, "shape is missing");
	refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,"
		"4],\"x\":1}}",
		4, -EINVAL, "keys beside");
	refused("{\"a\\nb\":" T("F32", "[1]", 0, 4) "}", 4, -EINVAL,
		"control characters");
}
END_TEST

/* Elements, and the bytes of so many. */
static const struct {
	const char *name;
	unsigned int n, bytes;
} types[] = {
	{"BOOL", 3, 3},    {"F4", 4, 2},          {"F6_E2M3", 4, 3},
	{"F6_E3M2", 8, 6}, {"U8", 3, 3},          {"I8", 3, 3},
	{"F8_E5M2", 3, 3}, {"F8_E4M3", 3, 3},     {"F8_E8M0", 3, 3},
	{"U16", 3, 6},     {"F8_E5M2FNUZ", 3, 3}, {"I16", 3, 6},
	{"F16", 3, 6},     {"F8_E4M3FNUZ", 3, 3}, {"BF16", 3, 6},
	{"U32", 3, 12},    {"I32", 3, 12},        {"F32", 3, 12},
	{"U64", 3, 24},    {"I64", 3, 24},        {"F64", 3, 24},
	{"C64", 3, 24},
};

START_TEST(every_type_of_the_format_is_read_with_its_size)
{
	snprintf(json, sizeof(json),
		 "{\"w\":{\"dtype\":\"%s\",\"shape\":[%u],\"data_offsets\":"
		 "[0,%u]}}",
		 types[_i].name, types[_i].n, types[_i].bytes);
	ck_assert_int_eq(parse(json, types[_i].bytes), 0);
	ck_assert_str_eq(st.tensors[0].dtype_name, types[_i].name);
	pst_agent_safetensors_done(&st);
	/* And no other size. */
	snprintf(json, sizeof(json),
		 "{\"w\":{\"dtype\":\"%s\",\"shape\":[%u],\"data_offsets\":"
		 "[0,%u]}}",
		 types[_i].name, types[_i].n, types[_i].bytes + 1);
	refused(json, types[_i].bytes + 1, -EINVAL, "span");
}
END_TEST

START_TEST(small_elements_fill_whole_bytes)
{
	refused("{\"w\":" T("F4", "[3]", 0, 1) "}", 1, -EINVAL, "whole bytes");
	refused("{\"w\":" T("F6_E2M3", "[2]", 0, 2) "}", 2, -EINVAL,
		"whole bytes");
	refused("{\"w\":" T("F4", "[4611686018427387904,2]", 0, 0) "}", 0,
		-EOVERFLOW, "overflows");
}
END_TEST

START_TEST(a_type_that_is_not_known_yet_takes_the_bytes_of_its_offsets)
{
	ck_assert_int_eq(
		parse("{\"q\":" T("F2_E1M0", "[3,5]", 0,
				  7) ",\"w\":" T("F32", "[1]", 7, 11) "}",
		      11),
		0);
	ck_assert_uint_eq(pst_agent_safetensors_find(&st, "q")->size, 7);
	ck_assert_uint_eq(pst_agent_safetensors_find(&st, "q")->dtype, 0);
	pst_agent_safetensors_done(&st);
	/* They still cover the data once. */
	refused("{\"q\":" T("F2_E1M0", "[3]", 0, 7) ",\"w\":" T("F32", "[1]", 6,
								10) "}",
		10, -EINVAL, "overlaps");
}
END_TEST

START_TEST(the_format_asks_for_no_alignment)
{
	ck_assert_int_eq(parse("{\"b\":" T("U8", "[1]", 0, 1) ",\"w\":" T(
				       "F32", "[1]", 1, 5) "}",
			       5),
			 0);
	ck_assert_uint_eq(pst_agent_safetensors_find(&st, "w")->off, 1);
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(metadata_is_a_map_of_texts)
{
	refused("{\"__metadata__\":[]}", 0, -EINVAL, "not an object");
	refused("{\"__metadata__\":{\"a\":1}}", 0, -EINVAL, "no text");
	refused("{\"__metadata__\":{\"a\":{}}}", 0, -EINVAL, "no text");
}
END_TEST

START_TEST(too_many_tensors_are_refused)
{
	size_t n = 1;
	unsigned int i;

	json[0] = '{';
	for (i = 0; i <= PST_AGENT_SAFETENSORS_MAX_TENSORS; i++)
		n += (size_t)sprintf(json + n,
				     "%s\"%u\":" T("F32", "[0]", 0, 0),
				     i ? "," : "", i);
	strcpy(json + n, "}");
	refused(json, 0, -EMSGSIZE, "more than 1024");
}
END_TEST

START_TEST(a_header_that_takes_long_to_read_is_refused)
{
	size_t n = (size_t)sprintf(json, "{\"w\":[");
	unsigned int i;

	for (i = 0; i < PST_AGENT_SAFETENSORS_MAX_TOKENS / 2; i++)
		n += (size_t)sprintf(json + n, "[],");
	strcpy(json + n, "1]}");
	refused(json, 0, -EMSGSIZE, "brackets");
	/* The same in keys. */
	n = (size_t)sprintf(json, "{\"__metadata__\":{");
	for (i = 0; i < PST_AGENT_SAFETENSORS_MAX_TOKENS / 2; i++)
		n += (size_t)sprintf(json + n, "\"%u\":\"\",", i);
	strcpy(json + n, "\"\":\"\"}}");
	refused(json, 0, -EMSGSIZE, "brackets");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, tensors_and_metadata_are_found);
	tcase_add_test(tc, a_file_without_tensors_is_read);
	tcase_add_test(tc, scalars_and_empty_tensors_are_allowed);
	tcase_add_test(tc, every_cut_of_a_header_is_refused);
	tcase_add_test(tc, a_huge_header_is_refused);
	tcase_add_test(tc, duplicate_keys_are_refused);
	tcase_add_test(tc, what_is_no_json_is_refused);
	tcase_add_test(tc, deep_nesting_is_refused);
	tcase_add_test(tc, numbers_are_integers_of_at_least_0);
	tcase_add_test(tc, a_shape_that_overflows_is_refused);
	tcase_add_test(tc, offsets_lie_in_the_data_and_fit_the_shape);
	tcase_add_test(tc, tensors_cover_the_data_once);
	tcase_add_test(tc, entries_have_the_three_keys_of_the_format);
	tcase_add_loop_test(tc, every_type_of_the_format_is_read_with_its_size,
			    0, PST_ARRAY_SIZE(types));
	tcase_add_test(tc, small_elements_fill_whole_bytes);
	tcase_add_test(
		tc,
		a_type_that_is_not_known_yet_takes_the_bytes_of_its_offsets);
	tcase_add_test(tc, the_format_asks_for_no_alignment);
	tcase_add_test(tc, metadata_is_a_map_of_texts);
	tcase_add_test(tc, too_many_tensors_are_refused);
	tcase_add_test(tc, a_header_that_takes_long_to_read_is_refused);
}

int main(void)
{
	return pst_unit_run("safetensors", add, 60);
}
