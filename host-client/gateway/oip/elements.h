/* SPDX-License-Identifier: MIT */
/* Types of elements by the protocol's names, and their numbers as JSON. */
#ifndef PST_HOST_CLIENT_GATEWAY_OIP_ELEMENTS_H
#define PST_HOST_CLIENT_GATEWAY_OIP_ELEMENTS_H

#include "host-client/gateway/http/text.h"
#include "host-client/gateway/oip/json.h"

/* enum pst_dtype of "FP32" and its like; 0: none that is known. */
uint32_t pst_gw_dtype_find(const char *name);
const char *pst_gw_dtype_name(uint32_t dtype);
/* Bytes of an element; 0: no such type. */
uint32_t pst_gw_dtype_size(uint32_t dtype);

/* Bytes of a tensor; 0 and *ret, or -EOVERFLOW. */
PST_MUST_USE int pst_gw_tensor_bytes(uint32_t dtype, uint32_t rank,
				     const int64_t *dim, uint64_t *ret);

/*
 * Writes the elements of a JSON array, flat or nested as its shape is, to to:
 * pst_gw_tensor_bytes() of it, no fewer and no more. Each is written once, and
 * nothing is read there. Returns NULL, or what is wrong.
 */
const char *pst_gw_elements_read(struct pst_gw_span data, uint32_t dtype,
				 uint32_t rank, const int64_t *dim, void *to);

/* Appends n elements with commas between them. Returns false if one is none of
 * JSON's: not a number, or infinite. */
bool pst_gw_elements_write(struct pst_gw_text *t, uint32_t dtype,
			   const void *from, uint64_t n);

#endif
