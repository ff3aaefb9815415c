/* SPDX-License-Identifier: MIT */
/* The reply of an inference: JSON, and behind it the binary outputs. */
#include <string.h>

#include "host-client/gateway/oip/elements.h"
#include "host-client/gateway/oip/infer.h"

/* Of all but the elements. */
#define ROOM 1024U

/* Copies an output to t, once: the guest could change what lies in the region,
 * and the loss of a session empties it. NULL: the request was answered. */
static void *take(struct pst_gw_infer *i, const struct pst_io *o,
		  struct pst_gw_text *t)
{
	char *to = pst_gw_text_room(t, o->bytes ? o->bytes : 1);

	if (!to) {
		pst_gw_reply_error(i->request, 503, "out of memory");
		return NULL;
	}
	if (o->bytes && pst_take(i->link->c, to, o->data, o->bytes) < 0) {
		pst_gw_reply_error(i->request, 503,
				   "the agent went away during the operation");
		return NULL;
	}
	return to;
}

/* The elements as JSON. */
static bool add_data(struct pst_gw_infer *i, const struct pst_io *o,
		     struct pst_gw_text *t)
{
	const uint32_t size = pst_gw_dtype_size(o->dtype);
	struct pst_gw_text copy = {0};
	const void *data = take(i, o, &copy);
	bool ok = data != NULL;

	pst_gw_text_add(t, ",\"data\":");
	if (ok && !pst_gw_elements_write(t, o->dtype, data,
					 size ? o->bytes / size : 0)) {
		ok = false;
		pst_gw_reply_error(i->request, 400,
				   "output %.120s has numbers that JSON has "
				   "not: ask for it with binary_data",
				   o->name);
	}
	pst_gw_text_done(&copy);
	return ok;
}

static bool add_output(struct pst_gw_infer *i, uint32_t k,
		       struct pst_gw_text *t)
{
	const struct pst_io *o = &i->out[k];
	bool ok = true;
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
		ok = add_data(i, o, t);
	pst_gw_text_add(t, "}");
	return ok;
}

static bool add_json(struct pst_gw_infer *i, struct pst_gw_text *t)
{
	uint32_t k;

	pst_gw_text_add(t, "{\"model_name\":");
	pst_gw_text_json(t, i->name);
	pst_gw_text_add(t, ",\"model_version\":\"" PST_GW_VERSION "\"");
	if (i->call->has_id) {
		pst_gw_text_add(t, ",\"id\":");
		pst_gw_text_json(t, i->call->id);
	}
	pst_gw_text_add(t, ",\"outputs\":[");
	for (k = 0; k < i->n_out; k++)
		if (!add_output(i, k, t))
			return false;
	pst_gw_text_add(t, "]}\n");
	return true;
}

void pst_gw_infer_answer(struct pst_gw_infer *i)
{
	struct pst_gw_text t = {0};
	uint64_t bytes = ROOM;
	bool binary = false;
	char length[24];
	uint32_t k;

	for (k = 0; k < i->n_out; k++) {
		binary = binary || i->binary[k];
		bytes += i->binary[k] ? i->out[k].bytes : 0;
	}
	(void)pst_gw_text_room(&t, bytes);
	if (!add_json(i, &t)) {
		pst_gw_text_done(&t);
		return;
	}
	snprintf(length, sizeof(length), "%zu", t.n);
	for (k = 0; k < i->n_out; k++) {
		if (!i->binary[k])
			continue;
		if (!take(i, &i->out[k], &t)) {
			pst_gw_text_done(&t);
			return;
		}
		t.n += i->out[k].bytes;
	}
	pst_gw_reply(i->request, 200,
		     binary ? "application/octet-stream" : "application/json",
		     &t);
	if (binary)
		pst_gw_reply_header(i->request,
				    "Inference-Header-Content-Length", length);
}
