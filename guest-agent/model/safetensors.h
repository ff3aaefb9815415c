/* SPDX-License-Identifier: MIT */
/* Reads the header of a safetensors file: strict, pure functions over bytes. */
#ifndef PST_GUEST_AGENT_MODEL_SAFETENSORS_H
#define PST_GUEST_AGENT_MODEL_SAFETENSORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/wire.h"

/*
 * The format is that of the README of github.com/huggingface/safetensors,
 * section "Format": 8 bytes of little-endian length N, N bytes of JSON that
 * begin with '{' and may end in spaces, and the data section, to whose start
 * all offsets count. Keys are unique, the data section is covered by tensors
 * without overlap or hole, tensors are packed and row-major, a dimension may
 * be 0, a shape may be empty. Stricter here: the bounds below, and an entry has
 * no keys but the three of the format. Not stricter: a tensor need not be
 * aligned, and a dtype that is not known yet takes the bytes that its offsets
 * span; whoever uses a tensor asks for its dtype and alignment.
 */

/* JSON of at most this, where the format allows 100 MB: the agent parses it in
 * its serving thread. 256 layers need 80 KiB. */
#define PST_AGENT_SAFETENSORS_MAX_JSON (256U << 10)
/* Of commas, colons and opening brackets in a JSON text: what it takes time and
 * memory for, which its length alone would bound badly. */
#define PST_AGENT_SAFETENSORS_MAX_TOKENS 16384U
/* The same with the 8 bytes of length before it. */
#define PST_AGENT_SAFETENSORS_MAX_HEADER  PST_WIRE_MODEL_HEADER
#define PST_AGENT_SAFETENSORS_MAX_TENSORS 1024U
#define PST_AGENT_SAFETENSORS_MAX_RANK    8U

static_assert(PST_AGENT_SAFETENSORS_MAX_HEADER ==
		      PST_AGENT_SAFETENSORS_MAX_JSON + 8,
	      "");

struct pst_agent_safetensor {
	const char *name; /* without control characters, may be empty */
	const char
		*dtype_name; /* as in the file, "BF16"; no control characters */
	uint32_t dtype;      /* enum pst_wire_dtype; 0: none of them */
	unsigned int elem_bits; /* 0: the dtype is not known */
	unsigned int rank;
	uint64_t shape[PST_AGENT_SAFETENSORS_MAX_RANK];
	uint64_t off; /* into the data section */
	uint64_t size;
};

/* A header after all checks. */
struct pst_agent_safetensors {
	json_t *root; /* owns the strings */
	uint64_t data_size;
	unsigned int n_tensors;
	struct pst_agent_safetensor *tensors; /* by offset */
};

/*
 * Reads [buf, +n): a file's header, the 8 bytes of length and exactly the JSON
 * behind them. data_size: bytes of the data section. The caller ends *ret with
 * pst_agent_safetensors_done(); on failure there is nothing to end.
 *
 * Returns 0, -EINVAL (malformed, or against a rule above; the sentence names
 * the tensor), -ENODATA (cut short), -EMSGSIZE (above a bound), -EOVERFLOW (a
 * shape's size wraps), -ENOMEM.
 */
PST_MUST_USE int pst_agent_safetensors_parse(const uint8_t *buf, size_t n,
					     uint64_t data_size,
					     struct pst_agent_safetensors *ret,
					     struct pst_error *err);

/* Whether a JSON text has no more than PST_AGENT_SAFETENSORS_MAX_TOKENS. */
bool pst_agent_json_is_small(const char *text, size_t n);

/* Does nothing for a zeroed one. */
void pst_agent_safetensors_done(struct pst_agent_safetensors *st);

/* The tensor of that name, or NULL. */
const struct pst_agent_safetensor *
pst_agent_safetensors_find(const struct pst_agent_safetensors *st,
			   const char *name);

/* The string at a key of "__metadata__", or NULL. */
const char *
pst_agent_safetensors_metadata(const struct pst_agent_safetensors *st,
			       const char *key);

#endif
