/* SPDX-License-Identifier: MIT */
/* Writes a model's files to the directory of models, on a thread of its own. */
#ifndef PST_GUEST_AGENT_SERVE_ONNX_INSTALL_H
#define PST_GUEST_AGENT_SERVE_ONNX_INSTALL_H

#include <stdint.h>

#include "guest-agent/ort/ort.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

struct pst_agent_install;

/* Whether such files can be installed: each name can be one of a file of a
 * directory, and is not hidden. Returns 0, -EINVAL with a sentence. */
PST_MUST_USE int pst_agent_install_check(const struct pst_ort_file *files,
					 uint32_t n, struct pst_error *err);

/* What the file that is the model itself is called there. format: enum
 * pst_wire_format. */
const char *pst_agent_install_name(uint32_t format);

/*
 * Begins to write n files, which are read by descriptors of its own, to
 * DIR/NAME, in the place of what is there. They are seen all at once or not at
 * all. dir is borrowed. Returns 0, -errno with a sentence.
 */
PST_MUST_USE int
pst_agent_install_begin(const char *dir, const char *name, uint32_t format,
			const struct pst_ort_file *files, uint32_t n,
			struct pst_agent_install **ret, struct pst_error *err);

/* Readable when it has ended. */
int pst_agent_install_fd(const struct pst_agent_install *i);

/* Waits for its end. Returns 0, -errno with a sentence. */
int pst_agent_install_end(struct pst_agent_install *i, struct pst_error *err);

#endif
