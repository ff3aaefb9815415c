/* SPDX-License-Identifier: MIT */
/* What the JSON of an inference request says. */
#ifndef PST_HOST_CLIENT_GATEWAY_OIP_CALL_H
#define PST_HOST_CLIENT_GATEWAY_OIP_CALL_H

#include "host-client/gateway/oip/json.h"
#include "host-client/penstock.h"
#include "transport/base/error.h"

#define PST_GW_MAX_IO  64U
#define PST_GW_IO_NAME 256U

struct pst_gw_input {
	char name[PST_GW_IO_NAME];
	uint32_t dtype, rank;
	int64_t dim[PST_MAX_RANK];
	uint64_t bytes;
	bool is_binary;          /* its bytes follow the JSON */
	struct pst_gw_span data; /* else */
};

struct pst_gw_output {
	char name[PST_GW_IO_NAME];
	bool is_binary, is_said; /* said: by its own parameters */
};

/* Spans point into the text that was read. Of in and out, n_in and n_out are
 * filled in. */
struct pst_gw_call {
	char id[PST_GW_IO_NAME];
	bool has_id;
	uint32_t n_in, n_out;  /* n_out 0: all outputs */
	bool binary_output;    /* of outputs that are not named */
	uint64_t binary_bytes; /* of all inputs */
	/* Parameters of the model gemm. */
	bool transa, transb;
	double alpha;
	struct pst_gw_input in[PST_GW_MAX_IO];
	struct pst_gw_output out[PST_GW_MAX_IO];
};

/*
 * Reads n bytes of JSON and adds up what the inputs declare, before any of
 * their bytes is read. Returns 0 or -EINVAL with a sentence.
 */
int pst_gw_call_read(struct pst_gw_call *c, const char *text, size_t n,
		     struct pst_error *err);

#endif
