/* SPDX-License-Identifier: MIT */
/* What a command has said until now, and how it is ended. */
#ifndef PST_HOST_CLIENT_CLI_CMD_SAY_H
#define PST_HOST_CLIENT_CLI_CMD_SAY_H

#include "host-client/cli/cmd.h"

struct pst_cmd_said {
	char text[PST_CMD_TEXT]; /* the first failure's sentence, "": none */
	json_t *result;          /* of pst_cmd_print_json(), or NULL */
};

/*
 * Prints the one JSON object of a command that ends with r, if it has one: the
 * schema, its result, and with --json the error that it failed with. Returns r,
 * or PST_EXIT_FAILED when that could not be printed.
 */
int pst_cmd_said_end(const struct pst_cmd_ctx *ctx, int r);

#endif
