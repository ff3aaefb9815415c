/* SPDX-License-Identifier: MIT */
/* A line on the terminal for what takes more than two seconds. */
#ifndef PST_HOST_CLIENT_CLI_CMD_PROGRESS_H
#define PST_HOST_CLIENT_CLI_CMD_PROGRESS_H

#include "host-client/cli/cmd.h"

/*
 * Says what the command does from now on, "reading a.npy". Where stderr is a
 * terminal, a line with that and the seconds since the first such call appears
 * after two of them, and is replaced until the next call. NULL: nothing more,
 * and the line is gone when this returns. Messages and the end of a command
 * call it with NULL themselves. From one thread only.
 */
void pst_cmd_progress(const struct pst_cmd_ctx *ctx, const char *what);

/* Takes the line away before somebody else writes to stderr; it comes back. */
void pst_cmd_progress_hide(void);

#endif
