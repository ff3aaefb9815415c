/* SPDX-License-Identifier: MIT */
/* Control frames: encode, decode and check, as pure functions over bytes. */
#ifndef PST_TRANSPORT_FRAME_H
#define PST_TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/run.h"
#include "transport/wire.h"

/* A decoded frame; payload points into the caller's bytes. */
struct pst_frame {
	uint16_t type; /* without PST_WIRE_REPLY */
	bool reply;
	uint32_t seq;
	uint32_t status;
	const uint8_t *payload;
	uint32_t length;
};

/* Which end is reading: decides which frames may arrive. */
enum pst_frame_reader { PST_READER_AGENT, PST_READER_CLIENT };

/*
 * Decodes the frame at the start of [buf, +n). Returns the bytes it takes, 0
 * when more are needed, -EPROTO (magic, reserved fields, a type this reader
 * must not get, a payload of the wrong size for its type), -EMSGSIZE (length
 * above PST_WIRE_MAX_PAYLOAD), -EPROTONOSUPPORT (version; not for
 * CHALLENGE, HELLO and ERROR, whose own fields negotiate).
 */
int64_t pst_frame_decode(const uint8_t *buf, size_t n,
			 enum pst_frame_reader reader, struct pst_frame *ret,
			 struct pst_error *err);

/*
 * Encodes header and payload into [buf, +size). f->payload may be NULL when
 * length is 0. Returns the bytes written or -EMSGSIZE.
 */
int64_t pst_frame_encode(const struct pst_frame *f, uint8_t *buf, size_t size);

/*
 * Fixed payloads, copied out and checked for ranges: offsets and sizes that
 * are multiples of units, text that is NUL-terminated printable ASCII,
 * reserved fields zero. Each returns 0 or -EPROTO, also for a frame that is
 * too short for it. A CHALLENGE that offers no version 1 and a HELLO of
 * another version are checked for their versions only: refuse them.
 */
int pst_frame_challenge(const struct pst_frame *f,
			struct pst_wire_challenge *ret, struct pst_error *err);
int pst_frame_hello(const struct pst_frame *f, struct pst_wire_hello *ret,
		    struct pst_error *err);
int pst_frame_welcome(const struct pst_frame *f, struct pst_wire_welcome *ret,
		      struct pst_error *err);
int pst_frame_lease(const struct pst_frame *f, struct pst_wire_lease *ret,
		    struct pst_error *err);
int pst_frame_cancel(const struct pst_frame *f, struct pst_wire_cancel *ret,
		     struct pst_error *err);
/* LANES either way. The number asked for is the agent's to refuse; a reply
 * lists different lanes below PST_WIRE_MAX_LANES. */
int pst_frame_lanes(const struct pst_frame *f, struct pst_wire_lanes *ret,
		    struct pst_error *err);
/* TENSOR_CREATE and MODEL_STAGE either way, and the requests of
 * TENSOR_DESTROY, TENSOR_LIST and MODEL_UNSTAGE. */
int pst_frame_tensor(const struct pst_frame *f, struct pst_wire_tensor *ret,
		     struct pst_error *err);

/*
 * The tensors of TENSOR_LIST's reply, at most PST_WIRE_LIST_MAX: in ret, with
 * handles that grow and are larger than after. Returns their number, -EPROTO.
 */
int pst_frame_tensor_list(const struct pst_frame *f, uint64_t after,
			  struct pst_wire_tensor ret[PST_WIRE_LIST_MAX],
			  struct pst_error *err);

/* MODEL_LOAD's request. */
int pst_frame_model_load(const struct pst_frame *f,
			 struct pst_wire_model_load *ret,
			 struct pst_error *err);
/* The requests of MODEL_OPEN, MODEL_UNLOAD and MODEL_DESCRIBE, which have a
 * name only, and the replies of MODEL_LOAD and MODEL_OPEN. */
int pst_frame_model(const struct pst_frame *f, struct pst_wire_model *ret,
		    struct pst_error *err);

/* MODEL_FILL's request. The file and its end are the agent's to check. */
int pst_frame_model_fill(const struct pst_frame *f,
			 struct pst_wire_model_fill *ret,
			 struct pst_error *err);

/* MODEL_LOAD_FILES' request: one file is the model itself, and no two have
 * one name or one handle. */
int pst_frame_model_files(const struct pst_frame *f,
			  struct pst_wire_model_files *ret,
			  struct pst_error *err);

/* What is said of a model. */
struct pst_model_info {
	struct pst_wire_model_info head;
	struct pst_run_model shape;
	char meta[PST_WIRE_MODEL_META + 1]; /* text, NUL-terminated */
};

/* The reply of MODEL_LOAD_FILES and MODEL_DESCRIBE, checked throughout: what
 * pst_run_model_check() asks, texts, numbers that are none of ours. */
int pst_frame_model_info(const struct pst_frame *f, struct pst_model_info *ret,
			 struct pst_error *err);

/* Its payload, of at most PST_WIRE_MAX_PAYLOAD bytes in buf. The counts in
 * head are taken from shape and meta. Returns its bytes. */
size_t pst_frame_model_info_encode(const struct pst_model_info *info,
				   uint8_t *buf);

/* Whether a model can have this name: 1 to PST_WIRE_MODEL_NAME - 1 characters
 * of A-Z a-z 0-9 . _ - */
bool pst_model_name_is_valid(const char *name);

/* Copies text of a peer (a sentence) to buf, cut to size and NUL-terminated;
 * what is not printable ASCII becomes '?'. Returns its length. */
size_t pst_frame_text(const struct pst_frame *f, char *buf, size_t size);

/*
 * Turns a reply with a status other than OK into err: the peer's sentence
 * (printable characters of it, cut to fit) and the errno of its status.
 * Returns that errno; 0 when the status is OK.
 */
int pst_frame_failure(const struct pst_frame *f, struct pst_error *err);

/* A type's name for logs: "HELLO", "?" for an unknown one. */
const char *pst_frame_name(uint16_t type);

#endif
