/* SPDX-License-Identifier: MIT */
/* Fuzz target: the JSON of an inference request as the gateway reads it, beside
 * jansson, and its elements, there and back.
 *
 * An input that begins with a type (1 to 13) has a rank and dimensions of a
 * byte each, then elements; any other one is a request. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "host-client/gateway/oip/call.h"
#include "host-client/gateway/oip/elements.h"
#include "tests/fuzz/fuzz.h"
#include "transport/base/text.h"

#define MAX_BYTES 65536U

/* Jansson refuses what is larger than its numbers; we refuse a NUL, which it
 * takes in a string, and behind a number. */
static bool is_jansson_wrong(const json_error_t *e)
{
	const int code = json_error_code(e);

	return code == json_error_numeric_overflow ||
	       code == json_error_invalid_utf8 ||
	       code == json_error_null_character ||
	       code == json_error_null_byte_in_key;
}

/* Both take the same arrays and objects, except that ours knows no depth
 * without end, and does not look whether a string that nobody wants is UTF-8.
 */
static void check_grammar(const char *text, size_t n)
{
	struct pst_gw_json j;
	struct pst_gw_span all;
	json_error_t e;
	json_t *v = json_loadb(text, n, JSON_ALLOW_NUL, &e);
	bool ours;

	pst_gw_json_init(&j, text, n);
	all = pst_gw_json_skip(&j);
	ours = pst_gw_json_done(&j);
	FUZZ_CHECK(j.at >= text && j.at <= text + n);
	FUZZ_CHECK(ours == !j.wrong);
	if (ours && (*all.at == '[' || *all.at == '{')) {
		FUZZ_CHECK(all.at >= text && all.at + all.n <= text + n);
		FUZZ_CHECK(v || is_jansson_wrong(&e));
	} else if (v && !memmem(text, n, "\\u0000", 6) && !memchr(text, 0, n)) {
		FUZZ_CHECK(j.depth > PST_GW_JSON_DEPTH);
	}
	json_decref(v);
}

/* What was read is written and read again. */
static void check_back(const void *data, uint32_t dtype, uint64_t n,
		       uint64_t bytes)
{
	const int64_t dim = (int64_t)n;
	struct pst_gw_text t = {0};
	struct pst_gw_span span;
	void *again = malloc(bytes ? bytes : 1);

	FUZZ_CHECK(again);
	pst_gw_text_add(&t, "[");
	if (pst_gw_elements_write(&t, dtype, data, n)) {
		pst_gw_text_add(&t, "]");
		span = (struct pst_gw_span){t.at, t.n};
		FUZZ_CHECK(!t.failed);
		FUZZ_CHECK(!pst_gw_elements_read(span, dtype, 1, &dim, again));
		FUZZ_CHECK(memcmp(data, again, bytes) == 0);
	}
	pst_gw_text_done(&t);
	free(again);
}

/* The room has exactly the tensor's bytes. */
static void check_elements(struct pst_gw_span span, uint32_t dtype,
			   uint32_t rank, const int64_t *dim)
{
	uint64_t bytes;
	void *to;

	if (pst_gw_tensor_bytes(dtype, rank, dim, &bytes) < 0 ||
	    bytes > MAX_BYTES)
		return;
	to = malloc(bytes ? bytes : 1);
	FUZZ_CHECK(to);
	if (!pst_gw_elements_read(span, dtype, rank, dim, to))
		check_back(to, dtype, bytes / pst_gw_dtype_size(dtype), bytes);
	free(to);
}

static void check_input(const struct pst_gw_call *c, uint32_t i,
			const char *text, size_t n)
{
	const struct pst_gw_input *in = &c->in[i];
	uint64_t bytes;
	uint32_t k;

	FUZZ_CHECK(in->name[0] && memchr(in->name, 0, sizeof(in->name)));
	FUZZ_CHECK(pst_gw_dtype_find(pst_gw_dtype_name(in->dtype)) ==
		   in->dtype);
	FUZZ_CHECK(in->rank <= PST_MAX_RANK);
	for (k = 0; k < in->rank; k++)
		FUZZ_CHECK(in->dim[k] >= 0);
	FUZZ_CHECK(pst_gw_tensor_bytes(in->dtype, in->rank, in->dim, &bytes) ==
		   0);
	FUZZ_CHECK(in->bytes == bytes);
	if (in->is_binary)
		return;
	FUZZ_CHECK(in->data.at >= text && in->data.at + in->data.n <= text + n);
	check_elements(in->data, in->dtype, in->rank, in->dim);
}

static void check_call(const char *text, size_t n)
{
	static struct pst_gw_call c;
	struct pst_error err = {0};
	uint64_t bytes = 0;
	uint32_t i;
	int r = pst_gw_call_read(&c, text, n, &err);

	if (r != 0) {
		FUZZ_CHECK(r == -EINVAL && err.text[0]);
		return;
	}
	FUZZ_CHECK(c.n_in <= PST_GW_MAX_IO && c.n_out <= PST_GW_MAX_IO);
	FUZZ_CHECK(!c.has_id || memchr(c.id, 0, sizeof(c.id)));
	FUZZ_CHECK(isfinite(c.alpha));
	for (i = 0; i < c.n_in; i++) {
		check_input(&c, i, text, n);
		if (c.in[i].is_binary)
			FUZZ_CHECK(!pst_add_overflow(bytes, c.in[i].bytes,
						     &bytes));
	}
	FUZZ_CHECK(bytes == c.binary_bytes);
	for (i = 0; i < c.n_out; i++)
		FUZZ_CHECK(c.out[i].name[0] &&
			   memchr(c.out[i].name, 0, sizeof(c.out[i].name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint32_t rank = n > 1 ? data[1] % (PST_MAX_RANK + 1) : 0;
	int64_t dim[PST_MAX_RANK] = {0};
	uint32_t i;

	if (n < 2U + rank || data[0] == 0 || data[0] > PST_U64) {
		check_grammar((const char *)data, n);
		check_call((const char *)data, n);
		return 0;
	}
	for (i = 0; i < rank; i++)
		dim[i] = data[2 + i];
	check_elements((struct pst_gw_span){(const char *)data + 2 + rank,
					    n - 2 - rank},
		       data[0], rank, dim);
	return 0;
}
