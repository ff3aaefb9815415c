/* SPDX-License-Identifier: MIT */
/* Inference requests: their JSON, and elements of tensors to and fro. */
#include <math.h>
#include <string.h>

#include "host-client/gateway/oip/call.h"
#include "host-client/gateway/oip/elements.h"
#include "tests/fixtures/unit.h"

static struct pst_gw_call call;
static struct pst_error err;

/* The text lies in memory of its size: what reads on is seen. */
static int read_text(const char *text)
{
	const size_t n = strlen(text);
	char *exact = malloc(n ? n : 1);
	int r;

	memcpy(exact, text, n);
	err.text[0] = '\0';
	r = pst_gw_call_read(&call, exact, n, &err);
	free(exact);
	return r;
}

static void refused(const char *text, const char *words)
{
	ck_assert_msg(read_text(text) == -EINVAL, "%s", text);
	ck_assert_msg(strstr(err.text, words), "%s: %s", text, err.text);
}

#define X "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2]"

START_TEST(a_request_says_what_it_means)
{
	ck_assert_int_eq(
		read_text("{\"id\":\"a\\u00e9\\n\",\"parameters\":{\"p\":[{}],"
			  "\"binary_data_output\":true,\"alpha\":-2.5e1,"
			  "\"transb\":true},\"more\":{\"a\":[1,\"\",null]},"
			  "\"inputs\":[" X ",\"parameters\":"
			  "{\"binary_data_size\":8}},"
			  "{\"shape\":[],\"data\":[7],\"datatype\":\"INT8\","
			  "\"name\":\"y\"}],\"outputs\":[{\"name\":\"o\"},"
			  "{\"name\":\"q\",\"parameters\":{\"binary_data\":"
			  "false}}]} "),
		0);
	ck_assert_str_eq(call.id, "a\xc3\xa9\n");
	ck_assert(call.binary_output && call.transb && !call.transa);
	ck_assert(call.alpha == -25);
	ck_assert_uint_eq(call.n_in, 2);
	ck_assert_uint_eq(call.binary_bytes, 8);
	ck_assert_str_eq(call.in[0].name, "x");
	ck_assert_uint_eq(call.in[0].dtype, PST_F32);
	ck_assert_uint_eq(call.in[0].rank, 1);
	ck_assert(call.in[0].is_binary && !call.in[1].is_binary);
	ck_assert_uint_eq(call.in[1].rank, 0);
	ck_assert_uint_eq(call.in[1].bytes, 1);
	ck_assert_uint_eq(call.n_out, 2);
	ck_assert(call.out[0].is_binary && !call.out[1].is_binary);
}
END_TEST

START_TEST(what_is_null_is_not_there)
{
	ck_assert_int_eq(read_text("{\"id\":null,\"parameters\":null,"
				   "\"outputs\":null,\"inputs\":[" X
				   ",\"data\":[1,2],\"parameters\":null}]}"),
			 0);
	ck_assert(!call.has_id);
	ck_assert_uint_eq(call.n_out, 0);
}
END_TEST

START_TEST(malformed_requests_are_refused)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"inputs\":[]}x",
		"{\"inputs\":[]",
		"{\"inputs\":[],}",
		"{\"inputs\":[,]}",
		"{\"inputs\" []}",
		"{inputs:[]}",
		"{\"inputs\":{}}",
		"{\"inputs\":[1]}",
		"{\"inputs\":[],\"id\":1}",
		"{\"inputs\":[],\"id\":\"\\ud800\"}",
		"{\"inputs\":[],\"id\":\"\\u0000\"}",
		"{\"inputs\":[],\"id\":\"\\x\"}",
		"{\"inputs\":[],\"id\":\"\n\"}",
		"{\"inputs\":[],\"id\":\"a",
		"{\"inputs\":[],\"id\":\"\\",
		"{\"inputs\":[],\"id\":\"\\u00",
		"{\"inputs\":[],\"x\":01}",
		"{\"inputs\":[],\"x\":1.}",
		"{\"inputs\":[],\"x\":.5}",
		"{\"inputs\":[],\"x\":+5}",
		"{\"inputs\":[],\"x\":1e}",
		"{\"inputs\":[],\"x\":-}",
		"{\"inputs\":[],\"x\":NaN}",
		"{\"inputs\":[],\"x\":nul}",
		"{\"inputs\":[],\"x\":'a'}",
		"{\"inputs\":[],\"parameters\":{\"alpha\":0x1",
		"{\"inputs\":[],\"parameters\":{\"alpha\":1",
		"{\"inputs\":[],\"parameters\":{\"alpha\":\"1\"}}",
		"{\"inputs\":[],\"parameters\":{\"transa\":1}}",
		"{\"inputs\":[" X ",\"data\":[1,2]}],\"inputs\":[]}",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		refused(bad[i], "malformed");
}
END_TEST

START_TEST(what_does_not_fit_together_is_refused)
{
	char deep[256] = "{\"x\":";

	refused("{\"inputs\":[" X "}]}", "needs data");
	refused("{\"inputs\":[" X
		",\"data\":[],\"parameters\":{\"binary_data_size\":8}}]}",
		"not both");
	refused("{\"inputs\":[" X ",\"parameters\":{\"binary_data_size\":9}}]}",
		"has 9 bytes of data; its shape takes 8");
	refused("{\"inputs\":[" X ",\"parameters\":{\"binary_data_size\":"
		"-1}}]}",
		"whole number");
	refused("{\"inputs\":[" X ",\"parameters\":{\"shared_memory_region\":"
		"\"a\"}}]}",
		"shared memory");
	refused("{\"inputs\":[],\"outputs\":[{\"name\":\"o\",\"parameters\":"
		"{\"shared_memory_offset\":0}}]}",
		"shared memory");
	refused("{\"inputs\":[" X ",\"data\":[1,2]}," X ",\"data\":[1,2]}]}",
		"twice");
	refused("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\","
		"\"shape\":[1],\"data\":[\"a\"]}]}",
		"datatype");
	refused("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":"
		"[4294967296,4294967296],\"data\":[]}]}",
		"too large");
	refused("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":"
		"[1,1,1,1,1,1,1,1,1],\"data\":[1]}]}",
		"8 dimensions");
	refused("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":"
		"[9223372036854775808],\"data\":[1]}]}",
		"too large");
	refused("{\"inputs\":[" X ",\"data\":[1,2],\"name\":\"y\"}]}",
		"a key is there twice");
	refused("{\"inputs\":[" X ",\"\\u0073hape\":[1],\"data\":[1]}]}",
		"a key is there twice");
	refused("{\"inputs\":[" X ",\"parameters\":{\"binary_data_size\":8,"
		"\"binary_data_size\":8}}]}",
		"a key is there twice");
	refused("{\"inputs\":[],\"inputs\":[]}", "a key is there twice");
	refused("{\"inputs\":[],\"outputs\":[{\"name\":\"o\",\"name\":"
		"\"o\"}]}",
		"a key is there twice");
	refused("{\"inputs\":[],\"parameters\":{\"alpha\":1,\"alpha\":2}}",
		"a key is there twice");
	memset(deep + 5, '[', 200);
	refused(deep, "too deeply");
}
END_TEST

/* ---- Elements ---- */

static const char *elements(const char *text, uint32_t dtype, uint32_t rank,
			    const int64_t *dim, void *to)
{
	const size_t n = strlen(text);
	char *exact = malloc(n ? n : 1);
	const char *wrong;

	memcpy(exact, text, n);
	wrong = pst_gw_elements_read((struct pst_gw_span){exact, n}, dtype,
				     rank, dim, to);
	free(exact);
	return wrong;
}

static uint64_t one(const char *text, uint32_t dtype)
{
	const int64_t dim[] = {1};
	uint64_t v = 0;

	ck_assert_msg(!elements(text, dtype, 1, dim, &v), "%s", text);
	return v;
}

static bool is_bad(const char *text, uint32_t dtype)
{
	const int64_t dim[] = {1};
	uint64_t v;

	return elements(text, dtype, 1, dim, &v) != NULL;
}

START_TEST(whole_numbers_have_the_range_of_their_type)
{
	ck_assert_uint_eq(one("[ 255 ]", PST_U8), 255);
	ck_assert_uint_eq(one("[-128]", PST_I8), 0x80);
	ck_assert_uint_eq(one("[-0]", PST_U8), 0);
	ck_assert_uint_eq(one("[65535]", PST_U16), 65535);
	ck_assert_uint_eq(one("[-32768]", PST_I16), 0x8000);
	ck_assert_uint_eq(one("[4294967295]", PST_U32), UINT32_MAX);
	ck_assert_uint_eq(one("[-2147483648]", PST_I32), 0x80000000);
	ck_assert_uint_eq(one("[18446744073709551615]", PST_U64), UINT64_MAX);
	ck_assert_uint_eq(one("[9007199254740993]", PST_I64), 9007199254740993);
	ck_assert_uint_eq(one("[-9223372036854775808]", PST_I64), 1ULL << 63);
	ck_assert_uint_eq(one("[true]", PST_BOOL), 1);
	ck_assert_uint_eq(one("[0]", PST_BOOL), 0);
	ck_assert(is_bad("[256]", PST_U8) && is_bad("[-1]", PST_U8));
	ck_assert(is_bad("[128]", PST_I8) && is_bad("[-129]", PST_I8));
	ck_assert(is_bad("[9223372036854775808]", PST_I64));
	ck_assert(is_bad("[18446744073709551616]", PST_U64));
	ck_assert(is_bad("[2]", PST_BOOL) && is_bad("[true]", PST_U8));
	ck_assert(is_bad("[1.0]", PST_I32) && is_bad("[1e2]", PST_I32));
	ck_assert(is_bad("[\"1\"]", PST_I32) && is_bad("[null]", PST_I32));
	ck_assert(is_bad("[false]", PST_F32));
}
END_TEST

START_TEST(floats_are_the_nearest_of_their_type)
{
	ck_assert_uint_eq(one("[0.1]", PST_F32), 0x3dcccccd);
	ck_assert_uint_eq(one("[0.1]", PST_F64), 0x3fb999999999999a);
	ck_assert_uint_eq(one("[1]", PST_F16), 0x3c00);
	ck_assert_uint_eq(one("[-0.0]", PST_F16), 0x8000);
	ck_assert_uint_eq(one("[65504]", PST_F16), 0x7bff);
	ck_assert_uint_eq(one("[65519.99]", PST_F16), 0x7bff);
	ck_assert_uint_eq(one("[1.00048828125]", PST_F16), 0x3c00);
	ck_assert_uint_eq(one("[1.000488281250001]", PST_F16), 0x3c01);
	ck_assert_uint_eq(one("[5.9604645e-8]", PST_F16), 1);
	ck_assert_uint_eq(one("[1e-300]", PST_F16), 0);
	ck_assert_uint_eq(one("[1.0]", PST_BF16), 0x3f80);
	ck_assert_uint_eq(one("[3.3895313892515355e38]", PST_BF16), 0x7f7f);
	/* The exponent counts, however far behind it stands. */
	ck_assert_uint_eq(one("[10000000000000000000000000000000000000000000000"
			      "0000000000000000000000000000000000000e-83]",
			      PST_F16),
			  0x3c00);
	ck_assert(is_bad("[65520]", PST_F16) && is_bad("[1e39]", PST_F32));
	ck_assert(is_bad("[3.4e38]", PST_BF16) && is_bad("[-1e309]", PST_F64));
	ck_assert(is_bad("[1e999999999999]", PST_F16));
	ck_assert(is_bad("[0x1]", PST_F32) && is_bad("[Infinity]", PST_F32));
}
END_TEST

START_TEST(arrays_are_flat_or_nested_as_their_shape)
{
	const int64_t dim[] = {2, 3}, none[] = {2, 0}, scalar[] = {0};
	const int64_t huge[] = {INT64_MAX, INT64_MAX};
	uint8_t v[6], want[6] = {1, 2, 3, 4, 5, 6};
	static const char *const bad[] = {
		"[1,2,3,4,5]",
		"[1,2,3,4,5,6,7]",
		"[[1,2,3],[4,5]]",
		"[[1,2],[3,4],[5,6]]",
		"[[1,2,3],[4,5,6],[]]",
		"[[1,2,3],4,5,6]",
		"[1,2,3,[4,5,6]]",
		"[[[1,2,3]],[[4,5,6]]]",
		"[1,2,3,4,5,6",
		"[1,2,3,4,5,6]]",
		"[1,2,3,4,5,6,]",
		"1",
		"",
		"{}",
	};
	size_t i;

	ck_assert(!elements("[1,2,3,4,5,6]", PST_U8, 2, dim, v));
	ck_assert_mem_eq(v, want, 6);
	memset(v, 0, sizeof(v));
	ck_assert(!elements("[[1,2,3],\n[4, 5,6]]", PST_U8, 2, dim, v));
	ck_assert_mem_eq(v, want, 6);
	ck_assert(!elements("[]", PST_U8, 2, none, v));
	ck_assert(!elements("[[],[]]", PST_U8, 2, none, v));
	ck_assert(!elements("[9]", PST_U8, 0, scalar, v));
	ck_assert_uint_eq(v[0], 9);
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(elements(bad[i], PST_U8, 2, dim, v), "%s",
			      bad[i]);
	ck_assert(elements("[]", PST_U8, 2, huge, v));
	ck_assert(elements("[]", 99, 2, dim, v));
}
END_TEST

static bool round_trip(uint32_t dtype, const void *from, uint64_t n)
{
	const int64_t dim[] = {(int64_t)n};
	uint8_t back[64];
	struct pst_gw_text t = {0};
	bool ok;

	pst_gw_text_add(&t, "[");
	ok = pst_gw_elements_write(&t, dtype, from, n);
	pst_gw_text_add(&t, "]");
	if (ok) {
		PST_MUST(!pst_gw_elements_read((struct pst_gw_span){t.at, t.n},
					       dtype, 1, dim, back));
		PST_MUST(memcmp(back, from, n * pst_gw_dtype_size(dtype)) == 0);
	}
	pst_gw_text_done(&t);
	return ok;
}

START_TEST(what_is_written_reads_as_the_same)
{
	const float f[] = {0.1F, -3.4e38F, 1e-45F, 16777217.0F};
	const double d[] = {0.1, 1.7e308, 5e-324, -1.0 / 3};
	const uint64_t u[] = {0, UINT64_MAX, 1ULL << 63, 5};
	const float bad[] = {NAN, INFINITY};
	uint32_t type;

	ck_assert(round_trip(PST_F32, f, 4) && round_trip(PST_F64, d, 4));
	for (type = PST_I8; type <= PST_U64; type++)
		if (type != PST_BOOL)
			ck_assert(round_trip(type, u, 4));
	ck_assert(round_trip(PST_BOOL, "\1\0\1", 3));
	ck_assert(round_trip(PST_U8, "", 0));
	ck_assert(!round_trip(PST_F32, &bad[0], 1));
	ck_assert(!round_trip(PST_F32, &bad[1], 1));
}
END_TEST

START_TEST(halves_read_as_they_were_written_all)
{
	uint32_t i;
	uint16_t h;

	for (i = 0; i < 65536; i++) {
		h = (uint16_t)i;
		PST_MUST(round_trip(PST_F16, &h, 1) ==
			 ((i & 0x7c00) != 0x7c00));
		PST_MUST(round_trip(PST_BF16, &h, 1) ==
			 ((i & 0x7f80) != 0x7f80));
	}
}
END_TEST

START_TEST(types_have_the_names_of_the_protocol)
{
	uint32_t i;

	for (i = PST_F32; i <= PST_U64; i++) {
		ck_assert_uint_eq(pst_gw_dtype_find(pst_gw_dtype_name(i)), i);
		ck_assert_uint_ne(pst_gw_dtype_size(i), 0);
	}
	ck_assert_uint_eq(pst_gw_dtype_find("BYTES"), 0);
	ck_assert_uint_eq(pst_gw_dtype_find(""), 0);
	ck_assert_uint_eq(pst_gw_dtype_size(99), 0);
	ck_assert_uint_eq(pst_gw_dtype_size(0), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_request_says_what_it_means);
	tcase_add_test(tc, what_is_null_is_not_there);
	tcase_add_test(tc, malformed_requests_are_refused);
	tcase_add_test(tc, what_does_not_fit_together_is_refused);
	tcase_add_test(tc, whole_numbers_have_the_range_of_their_type);
	tcase_add_test(tc, floats_are_the_nearest_of_their_type);
	tcase_add_test(tc, arrays_are_flat_or_nested_as_their_shape);
	tcase_add_test(tc, what_is_written_reads_as_the_same);
	tcase_add_test(tc, halves_read_as_they_were_written_all);
	tcase_add_test(tc, types_have_the_names_of_the_protocol);
}

int main(void)
{
	return pst_unit_run("gateway_call", add, 20);
}
