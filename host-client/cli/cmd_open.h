/* SPDX-License-Identifier: MIT */
/* Common to the subcommands that talk to an agent. */
#ifndef PST_HOST_CLIENT_CLI_CMD_OPEN_H
#define PST_HOST_CLIENT_CLI_CMD_OPEN_H

#include <stddef.h>

#include "host-client/cli/cmd.h"

/* The endpoint of -e or $PENSTOCK_ENDPOINT; NULL when neither is set. */
const char *pst_cmd_endpoint(const struct pst_cmd_ctx *ctx);

/* Whether there is one, and it is well-formed: PST_EXIT_OK, or PST_EXIT_USAGE
 * and a sentence in text. */
int pst_cmd_endpoint_check(const struct pst_cmd_ctx *ctx, char *text,
			   size_t size);

/*
 * Connects. flags: PST_OPEN_*. Returns PST_EXIT_OK and *ret, or another exit
 * code, *ret NULL and a sentence in text.
 */
int pst_cmd_connect(const struct pst_cmd_ctx *ctx, uint32_t flags,
		    struct pst **ret, char *text, size_t size);

/* The same; prints the sentence itself. */
int pst_cmd_open(const struct pst_cmd_ctx *ctx, uint32_t flags,
		 struct pst **ret);

/* The exit code for an error of a call: PST_EXIT_UNREACHABLE when there is
 * nobody, else PST_EXIT_FAILED. */
int pst_cmd_exit_of(int err);

/* Prints the sentence of c's last call, which returned err. Returns
 * PST_EXIT_UNREACHABLE when the agent went away, else PST_EXIT_FAILED. */
int pst_cmd_fail_call(const struct pst_cmd_ctx *ctx, struct pst *c, int err);

/* The same for a call on what the user named, a model or a file: that there is
 * none (ENOENT) fails, and says nothing of the agent. */
int pst_cmd_fail_named(const struct pst_cmd_ctx *ctx, struct pst *c, int err);

/* Asks the agent. Returns PST_EXIT_OK and an object that the caller releases
 * with json_decref(), or prints why not. */
int pst_cmd_query(const struct pst_cmd_ctx *ctx, struct pst *c,
		  enum pst_topic what, json_t **ret);

/* Prints an object as lines of "key.key   value", a list of words as one value.
 * Control characters in it come out as '?'. */
void pst_cmd_print_object(json_t *object);

#endif
