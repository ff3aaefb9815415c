/* SPDX-License-Identifier: MIT */
/* Common to the subcommands that use models. */
#ifndef PST_HOST_CLIENT_CLI_CMD_MODEL_H
#define PST_HOST_CLIENT_CLI_CMD_MODEL_H

#include "host-client/cli/cmd.h"

/* Loads a model and shows on a terminal how far it is. Returns PST_EXIT_OK, or
 * another exit code with the sentence printed. */
int pst_cmd_model_load(const struct pst_cmd_ctx *ctx, struct pst *c,
		       const struct pst_load_args *l, uint64_t timeout_ns,
		       struct pst_model *ret);

/* ---- cmd_model_warm.c ---- */

/* Runs a model once, its inputs having shapes, "NAME=2x128,...", where those
 * say so, else 1 for each dimension of any size. Returns as above. */
int pst_cmd_model_warm(const struct pst_cmd_ctx *ctx, struct pst *c,
		       const char *name, const char *shapes,
		       uint64_t timeout_ns);

/* ---- cmd_model_show.c ---- */

/* What a model takes and gives, as lines, and as an object. */
void pst_cmd_model_print(const struct pst_model_spec *m);
json_t *pst_cmd_model_object(const struct pst_cmd_ctx *ctx,
			     const struct pst_model_spec *m);

#endif
