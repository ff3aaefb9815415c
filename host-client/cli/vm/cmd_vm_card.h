/* SPDX-License-Identifier: MIT */
/* Records a domain's card when it starts, and compares when it has ended. */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_CARD_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_CARD_H

#include "host-client/cli/vm/cmd_vm.h"

/* Records the functions that are passed through, if any, of the host below
 * root. Prints a note where that fails, or where one does not answer. */
void pst_cmd_vm_card_keep(const struct pst_cmd_ctx *ctx, const char *root,
			  const struct pst_vm_info *info);

/*
 * What became of them: {"back", "seen"}, with a line on stdout where something
 * is different and no JSON is wanted; NULL: no record of name, or out of
 * memory.
 */
json_t *pst_cmd_vm_card_compare(const struct pst_cmd_ctx *ctx, const char *root,
				const char *name);

#endif
