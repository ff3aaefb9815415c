/* SPDX-License-Identifier: MIT */
/* The directory of models that an agent loads at its start. */
#ifndef PST_GUEST_AGENT_SERVE_ONNX_DIR_H
#define PST_GUEST_AGENT_SERVE_ONNX_DIR_H

struct pst_agent;

/*
 * Loads each NAME.onnx of a directory, and each NAME/ with a model.onnx and the
 * files that this names. Links are not followed. What cannot be loaded is
 * logged.
 */
void pst_agent_onnx_dir_load(struct pst_agent *a, const char *path);

#endif
