/* SPDX-License-Identifier: MIT */
/* What the JSON of an inference request says. */
#include "host-client/gateway/oip/call.h"

#include <string.h>

#include "host-client/gateway/oip/elements.h"

#define KEY_SIZE 32U

/* Reads a key into key[KEY_SIZE]; seen is 0 at the begin of an object. Of two
 * values of one key, some programs take the first and others the last, so they
 * would not agree on what was asked. */
static void read_key(struct pst_gw_json *j, char *key, unsigned int *seen)
{
	static const char *const known[] = {
		"id",
		"inputs",
		"outputs",
		"parameters",
		"name",
		"datatype",
		"shape",
		"data",
		"binary_data_size",
		"binary_data",
		"binary_data_output",
		"transa",
		"transb",
		"alpha",
	};
	size_t i;

	pst_gw_json_key(j, key, KEY_SIZE);
	for (i = 0; i < PST_ARRAY_SIZE(known); i++) {
		if (strcmp(key, known[i]) != 0)
			continue;
		if (*seen & 1U << i)
			pst_gw_json_fail(j, "a key is there twice");
		*seen |= 1U << i;
	}
}

/* A parameter that names memory of the client. */
static bool is_shared_memory(const char *key)
{
	return strncmp(key, "shared_memory_", 14) == 0;
}

static void refuse_shared_memory(struct pst_gw_json *j)
{
	pst_gw_json_fail(j, "shared memory that a client names is refused");
}

static void read_shape(struct pst_gw_json *j, struct pst_gw_input *in)
{
	uint64_t n;

	in->rank = 0;
	for (pst_gw_json_open(j, '['); pst_gw_json_more(j, ']');) {
		n = pst_gw_json_u64(j);
		if (in->rank == PST_MAX_RANK)
			pst_gw_json_fail(j, "a shape has more than 8 "
					    "dimensions");
		else if (n > INT64_MAX)
			pst_gw_json_fail(j, "a dimension is too large");
		else
			in->dim[in->rank++] = (int64_t)n;
	}
}

static void read_input_parameters(struct pst_gw_json *j,
				  struct pst_gw_input *in)
{
	unsigned int seen = 0;
	char key[KEY_SIZE];

	if (pst_gw_json_null(j))
		return;
	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "binary_data_size") == 0) {
			in->is_binary = true;
			in->bytes = pst_gw_json_u64(j);
		} else if (is_shared_memory(key)) {
			refuse_shared_memory(j);
		} else {
			(void)pst_gw_json_skip(j);
		}
	}
}

static void read_dtype(struct pst_gw_json *j, struct pst_gw_input *in)
{
	char name[KEY_SIZE];

	pst_gw_json_string(j, name, sizeof(name));
	in->dtype = pst_gw_dtype_find(name);
	if (!in->dtype)
		pst_gw_json_fail(j, "a datatype is none of BOOL, UINT8 to "
				    "UINT64, INT8 to INT64, FP16, BF16, FP32 "
				    "and FP64");
}

static void read_input(struct pst_gw_json *j, struct pst_gw_input *in)
{
	bool has_shape = false;
	unsigned int seen = 0;
	char key[KEY_SIZE];

	memset(in, 0, sizeof(*in));
	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "name") == 0) {
			pst_gw_json_string(j, in->name, sizeof(in->name));
		} else if (strcmp(key, "datatype") == 0) {
			read_dtype(j, in);
		} else if (strcmp(key, "shape") == 0) {
			read_shape(j, in);
			has_shape = true;
		} else if (strcmp(key, "data") == 0) {
			if (!pst_gw_json_null(j))
				in->data = pst_gw_json_skip(j);
		} else if (strcmp(key, "parameters") == 0) {
			read_input_parameters(j, in);
		} else {
			(void)pst_gw_json_skip(j);
		}
	}
	if (!in->name[0] || !in->dtype || !has_shape)
		pst_gw_json_fail(j, "an input needs name, datatype and shape");
	if (in->is_binary == (in->data.n > 0))
		pst_gw_json_fail(j, "an input needs data or binary_data_size, "
				    "and not both");
}

static void read_output_parameters(struct pst_gw_json *j,
				   struct pst_gw_output *o)
{
	unsigned int seen = 0;
	char key[KEY_SIZE];

	if (pst_gw_json_null(j))
		return;
	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "binary_data") == 0) {
			o->is_binary = pst_gw_json_bool(j);
			o->is_said = true;
		} else if (strcmp(key, "classification") == 0) {
			pst_gw_json_fail(j, "classification is not served");
		} else if (is_shared_memory(key)) {
			refuse_shared_memory(j);
		} else {
			(void)pst_gw_json_skip(j);
		}
	}
}

static void read_output(struct pst_gw_json *j, struct pst_gw_output *o)
{
	unsigned int seen = 0;
	char key[KEY_SIZE];

	memset(o, 0, sizeof(*o));
	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "name") == 0)
			pst_gw_json_string(j, o->name, sizeof(o->name));
		else if (strcmp(key, "parameters") == 0)
			read_output_parameters(j, o);
		else
			(void)pst_gw_json_skip(j);
	}
	if (!o->name[0])
		pst_gw_json_fail(j, "an output needs a name");
}

static void read_parameters(struct pst_gw_json *j, struct pst_gw_call *c)
{
	struct pst_gw_span number;
	unsigned int seen = 0;
	char key[KEY_SIZE];

	if (pst_gw_json_null(j))
		return;
	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "binary_data_output") == 0) {
			c->binary_output = pst_gw_json_bool(j);
		} else if (strcmp(key, "transa") == 0) {
			c->transa = pst_gw_json_bool(j);
		} else if (strcmp(key, "transb") == 0) {
			c->transb = pst_gw_json_bool(j);
		} else if (strcmp(key, "alpha") == 0) {
			number = pst_gw_json_number(j);
			if (number.n)
				c->alpha = strtod(number.at, NULL);
		} else {
			(void)pst_gw_json_skip(j);
		}
	}
}

static void read_inputs(struct pst_gw_json *j, struct pst_gw_call *c)
{
	for (pst_gw_json_open(j, '['); pst_gw_json_more(j, ']');) {
		if (c->n_in == PST_GW_MAX_IO)
			pst_gw_json_fail(j, "there are more than 64 inputs");
		else
			read_input(j, &c->in[c->n_in++]);
	}
}

static void read_outputs(struct pst_gw_json *j, struct pst_gw_call *c)
{
	if (pst_gw_json_null(j))
		return;
	for (pst_gw_json_open(j, '['); pst_gw_json_more(j, ']');) {
		if (c->n_out == PST_GW_MAX_IO)
			pst_gw_json_fail(j, "there are more than 64 outputs");
		else
			read_output(j, &c->out[c->n_out++]);
	}
}

/* An input's bytes are what its shape takes; those of binary ones add up. */
static int add_up(struct pst_gw_call *c, uint32_t i, struct pst_error *err)
{
	struct pst_gw_input *in = &c->in[i];
	uint64_t bytes;
	uint32_t k;

	for (k = 0; k < i; k++)
		if (strcmp(in->name, c->in[k].name) == 0)
			return pst_error_set(err, -EINVAL,
					     "input %.120s is there twice",
					     in->name);
	if (pst_gw_tensor_bytes(in->dtype, in->rank, in->dim, &bytes) < 0)
		return pst_error_set(err, -EINVAL,
				     "the shape of input %.120s is too large",
				     in->name);
	if (in->is_binary && in->bytes != bytes)
		return pst_error_set(err, -EINVAL,
				     "input %.120s has %llu bytes of data; its "
				     "shape takes %llu",
				     in->name, (unsigned long long)in->bytes,
				     (unsigned long long)bytes);
	in->bytes = bytes;
	if (in->is_binary &&
	    pst_add_overflow(c->binary_bytes, bytes, &c->binary_bytes))
		return pst_error_set(err, -EINVAL, "the inputs are too large");
	return 0;
}

static void read_call(struct pst_gw_json *j, struct pst_gw_call *c)
{
	bool has_inputs = false;
	unsigned int seen = 0;
	char key[KEY_SIZE];

	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		read_key(j, key, &seen);
		if (strcmp(key, "id") == 0) {
			if (!pst_gw_json_null(j))
				c->has_id = pst_gw_json_string(j, c->id,
							       sizeof(c->id));
		} else if (strcmp(key, "inputs") == 0) {
			read_inputs(j, c);
			has_inputs = true;
		} else if (strcmp(key, "outputs") == 0) {
			read_outputs(j, c);
		} else if (strcmp(key, "parameters") == 0) {
			read_parameters(j, c);
		} else {
			(void)pst_gw_json_skip(j);
		}
	}
	if (!has_inputs)
		pst_gw_json_fail(j, "inputs are missing");
}

int pst_gw_call_read(struct pst_gw_call *c, const char *text, size_t n,
		     struct pst_error *err)
{
	struct pst_gw_json j;
	uint32_t i;
	int r = 0;

	c->has_id = c->binary_output = c->transa = c->transb = false;
	c->n_in = c->n_out = 0;
	c->binary_bytes = 0;
	c->alpha = 1;
	pst_gw_json_init(&j, text, n);
	read_call(&j, c);
	if (!pst_gw_json_done(&j))
		return pst_error_set(err, -EINVAL,
				     "the request is malformed at byte %zu: %s",
				     (size_t)(j.at - text), j.wrong);
	for (i = 0; i < c->n_out; i++)
		if (!c->out[i].is_said)
			c->out[i].is_binary = c->binary_output;
	for (i = 0; r == 0 && i < c->n_in; i++)
		r = add_up(c, i, err);
	return r;
}
