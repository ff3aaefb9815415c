/* SPDX-License-Identifier: MIT */
/* Records a domain's card when it starts, and compares when it has ended. */
#include "host-client/cli/vm/cmd_vm_card.h"

#include "kernel-params/device/keep.h"
#include "transport/base/text.h"

/* VFIO resets the card before the domain is off; a link trains in less. */
#define BACK_NS (2 * PST_NS_PER_S)

static int keep(const char *dir, const struct pst_vm_info *info,
		struct pst_host_text *seen, struct pst_error *err)
{
	struct pst_host_root root;
	int r = pst_host_root_open(dir, &root, err);

	if (r < 0)
		return r;
	r = pst_host_keep(&root, info->name, info->hostdev, info->n_hostdevs,
			  seen, err);
	pst_host_root_close(&root);
	return r;
}

void pst_cmd_vm_card_keep(const struct pst_cmd_ctx *ctx, const char *root,
			  const struct pst_vm_info *info)
{
	struct pst_host_text seen = {0};
	struct pst_error err;

	if (!info->n_hostdevs || !pst_name_is_good(info->name))
		return;
	if (keep(root, info, &seen, &err) < 0)
		fprintf(stderr,
			"%s: note: vm stop will not compare the card: %s\n",
			ctx->path, err.text);
	if (seen.len)
		fprintf(stderr, "%s: note: %s: see penstock host check\n",
			ctx->path, seen.buf);
}

json_t *pst_cmd_vm_card_compare(const struct pst_cmd_ctx *ctx, const char *dir,
				const char *name)
{
	char addr[PST_HOST_PCI_ADDR_LEN];
	struct pst_host_text seen = {0};
	struct pst_host_root root;
	struct pst_error err;
	bool back = true;
	int r;

	if (!pst_name_is_good(name) || pst_host_root_open(dir, &root, &err) < 0)
		return NULL;
	r = pst_host_recall(&root, name, BACK_NS, &back, &seen, addr, &err);
	pst_host_root_close(&root);
	if (r == -ENOENT)
		return NULL;
	if (r < 0) {
		fprintf(stderr, "%s: note: %s\n", ctx->path, err.text);
		return NULL;
	}
	if (seen.len && !ctx->json)
		printf("the card is %s: %s; %s%s\n",
		       back ? "different" : "not back", seen.buf,
		       back ? "see penstock host check --gpu "
			    : "penstock host gpu reset ",
		       addr);
	return json_pack("{s:b, s:o}", "back", back, "seen",
			 pst_cmd_text(seen.buf));
}
