/* SPDX-License-Identifier: MIT */
/* What may stand next on a command line, for the shells' completion. */
#ifndef PST_HOST_CLIENT_CLI_CMD_COMPLETE_H
#define PST_HOST_CLIENT_CLI_CMD_COMPLETE_H

#include "host-client/cli/cmd.h"

/*
 * Prints what may be put in place of the last of n words, which may be a part
 * of it; those before are what stands behind "penstock". One candidate a line,
 * with a tab before what it is, if that is said. Nothing: a file, or anything.
 */
void pst_cmd_complete(const struct pst_cmd_ctx *ctx, int n, char **words);

#endif
