/* SPDX-License-Identifier: MIT */
/* The reply of an inference: JSON, and behind it the binary outputs. */
#include <string.h>

#include "host-client/gateway/oip/elements.h"
#include "host-client/gateway/oip/infer.h"

/* Bytes of an output that are taken at a time: to be JSON, and as they are. */
#define PIECE  (8U << 10)
#define PIECES (1ULL << 20)

/* Takes n bytes of an output, once: the guest could change what lies in the
 * region, and the loss of a session empties it. */
static int take(struct pst_gw_infer *i, const struct pst_io *o, void *to,
		uint64_t n, struct pst_error *err)
{
	const uint8_t *from = o->data;

	if (pst_take(i->link->c, to, from + i->at_byte, n) < 0)
		return pst_error_set(err, -ECONNRESET,
				     "the agent went away during the "
				     "operation");
	i->at_byte += n;
	return 0;
}

/* ---- JSON ---- */

static void add_head(struct pst_gw_infer *i, struct pst_gw_text *t)
{
	pst_gw_text_add(t, "{\"model_name\":");
	pst_gw_text_json(t, i->name);
	pst_gw_text_add(t, ",\"model_version\":\"" PST_GW_VERSION "\"");
	if (i->call->has_id) {
		pst_gw_text_add(t, ",\"id\":");
		pst_gw_text_json(t, i->call->id);
	}
	pst_gw_text_add(t, ",\"outputs\":[");
}

static void begin_output(struct pst_gw_infer *i, uint32_t k,
			 struct pst_gw_text *t)
{
	const struct pst_io *o = &i->out[k];
	uint32_t d;

	pst_gw_text_add(t, k ? ",{\"name\":" : "{\"name\":");
	pst_gw_text_json(t, o->name);
	pst_gw_text_format(t, ",\"datatype\":\"%s\",\"shape\":[",
			   pst_gw_dtype_name(o->dtype));
	for (d = 0; d < o->rank; d++)
		pst_gw_text_format(t, "%s%lld", d ? "," : "",
				   (long long)o->dim[d]);
	pst_gw_text_add(t, "]");
	if (i->binary[k])
		pst_gw_text_format(t,
				   ",\"parameters\":{\"binary_data_size\":"
				   "%llu}",
				   (unsigned long long)o->bytes);
	else
		pst_gw_text_add(t, ",\"data\":[");
}

/* Some elements. Returns 0 after the last one, or as a step. */
static int add_elements(struct pst_gw_infer *i, const struct pst_io *o,
			struct pst_gw_text *t, struct pst_error *err)
{
	const uint32_t size = pst_gw_dtype_size(o->dtype);
	const uint64_t all = size ? o->bytes / size * size : 0;
	uint8_t piece[PIECE];
	uint64_t n = pst_min_u64(all - i->at_byte, sizeof(piece));
	int r;

	if (n == 0)
		return 0;
	if (i->at_byte > 0)
		pst_gw_text_add(t, ",");
	r = take(i, o, piece, n, err);
	if (r < 0)
		return r;
	if (!pst_gw_elements_write(t, o->dtype, piece, n / size))
		return pst_error_set(err, -EINVAL,
				     "output %.120s has numbers that JSON has "
				     "not: ask for it with binary_data",
				     o->name);
	return i->at_byte < all ? -EAGAIN : 0;
}

/* ---- Step by step ---- */

static int add_json(struct pst_gw_infer *i, struct pst_gw_text *t,
		    struct pst_error *err)
{
	const uint32_t k = i->at_out;
	int r = 0;

	if (t->n == 0)
		add_head(i, t);
	if (k < i->n_out) {
		if (i->at_byte == 0)
			begin_output(i, k, t);
		if (!i->binary[k])
			r = add_elements(i, &i->out[k], t, err);
		if (r < 0)
			return r;
		pst_gw_text_add(t, i->binary[k] ? "}" : "]}");
		i->at_byte = 0;
		i->at_out++;
		return -EAGAIN;
	}
	pst_gw_text_add(t, "]}\n");
	i->json_n = t->n;
	i->at_out = 0;
	return -EAGAIN;
}

static int add_binary(struct pst_gw_infer *i, struct pst_gw_text *t,
		      struct pst_error *err)
{
	const struct pst_io *o = &i->out[i->at_out];
	const uint64_t n = pst_min_u64(PIECES, o->bytes - i->at_byte);
	char *to;
	int r;

	if (!i->binary[i->at_out] || n == 0) {
		i->at_byte = 0;
		i->at_out++;
		return -EAGAIN;
	}
	to = pst_gw_text_room(t, n);
	if (!to)
		return pst_oom(err);
	r = take(i, o, to, n, err);
	if (r < 0)
		return r;
	t->n += n;
	return -EAGAIN;
}

static int step(struct pst_gw_infer *i, struct pst_error *err)
{
	if (i->reply.failed)
		return pst_oom(err);
	if (i->json_n == 0)
		return add_json(i, &i->reply, err);
	return i->at_out < i->n_out ? add_binary(i, &i->reply, err) : 0;
}

void pst_gw_infer_answer(struct pst_gw_infer *i)
{
	uint64_t work = 0;
	bool binary = false;
	char length[24];
	uint32_t k;

	for (k = 0; k < i->n_out; k++) {
		binary = binary || i->binary[k];
		/* Bytes that are only copied are as good as none. */
		work += i->binary[k] ? i->out[k].bytes / 64 : i->out[k].bytes;
	}
	if (!pst_gw_convert(i, step, work))
		return;
	snprintf(length, sizeof(length), "%zu", i->json_n);
	pst_gw_reply(i->request, 200,
		     binary ? "application/octet-stream" : "application/json",
		     &i->reply);
	if (binary)
		pst_gw_reply_header(i->request,
				    "Inference-Header-Content-Length", length);
}
