/* SPDX-License-Identifier: MIT */
/* An inference from its JSON to its reply, in steps that never block. */
#ifndef PST_HOST_CLIENT_GATEWAY_OIP_INFER_H
#define PST_HOST_CLIENT_GATEWAY_OIP_INFER_H

#include "host-client/gateway/oip/call.h"
#include "host-client/gateway/oip/oip.h"

struct pst_gw_infer {
	struct pst_gw_op op; /* first */
	struct pst_gw_request
		*request; /* NULL: it is gone, the operation not */
	struct pst_gw_engines *engines;
	const char *name; /* of the model */
	struct pst_gw_lookup at;
	struct pst_gw_waiter waiter;
	struct pst_gw_job why; /* asks why it failed */
	/* The JSON, as it came. */
	char *text;
	uint64_t text_size, text_room, text_n;
	struct pst_gw_call *call; /* NULL: it is not complete */
	bool parsed;
	/* What is converted just now, here or in the converter; NULL: nothing.
	 */
	struct pst_gw_job convert;
	int (*step)(struct pst_gw_infer *i, struct pst_error *err);
	/* Where it is computed. */
	struct pst_gw_link *link;
	bool checked; /* the call fits the model */
	/* Its tensors in the region: inputs, then outputs. */
	struct pst_gw_piece *piece;
	bool placed,
		read;   /* they have their places; JSON's elements are there */
	uint32_t at_in; /* the input whose elements are read next */
	struct pst_gw_upload upload;
	uint32_t n_out;
	/* The body that is received: bytes of an input. */
	uint32_t filling;
	uint64_t filled;
	/* The operation, and whose it is. */
	struct pst_gw_peer *peer;
	bool running, ended, grown, renewed, answering;
	uint64_t start_ns;
	struct pst_completion end;
	/* The reply, as far as it is: json_n is 0 until the JSON is complete.
	 */
	struct pst_gw_text reply;
	uint64_t reply_held;
	size_t json_n;
	uint32_t at_out; /* the output that comes next, and its byte */
	uint64_t at_byte;
	/* Its tensors. binary: outputs that follow the JSON. */
	struct pst_io in[PST_GW_MAX_IO], out[PST_GW_MAX_IO];
	bool binary[PST_GW_MAX_IO];
};

/* infer_gemm.c: checks a product and describes its C; submits it. */
int pst_gw_gemm_check(struct pst_gw_infer *i, struct pst_error *err);
int pst_gw_gemm_submit(struct pst_gw_infer *i, struct pst_error *err);

/* infer_check.c: checks that the call fits its model, and describes the
 * outputs. */
int pst_gw_infer_check(struct pst_gw_infer *i, struct pst_error *err);

/*
 * infer_convert.c: calls step until it returns no more -EAGAIN: at once if
 * there are few bytes to convert, else in the converter while the request
 * waits, whose route has to call this again then. Returns true after a step's
 * 0; false: the request waits, or was answered that step failed. A step may
 * neither answer nor wait, and ends soon.
 */
bool pst_gw_convert(struct pst_gw_infer *i,
		    int (*step)(struct pst_gw_infer *i, struct pst_error *err),
		    uint64_t bytes);

/* infer_reply.c: the reply of a call that succeeded. May wait, and is called
 * again. */
void pst_gw_infer_answer(struct pst_gw_infer *i);

#endif
