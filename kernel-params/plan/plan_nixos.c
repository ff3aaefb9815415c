/* SPDX-License-Identifier: MIT */
/* Writes the whole plan as a NixOS module. */
#include <string.h>

#include "kernel-params/edit/dropins.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/syntax/cmdline.h"

#define NIXOS_FILE "/etc/nixos/penstock.nix"

/* Whether a device that stays with the host needs a module. */
static bool stays(const struct pst_host_plan *p, const char *module)
{
	size_t i, k;

	for (i = 0; i < p->host->pci.n; i++) {
		const struct pst_host_pci_dev *d = &p->host->pci.dev[i];

		for (k = 0; k < p->n_fn && p->fn[k] != d; k++)
			;
		if (k < p->n_fn)
			continue;
		if (*d->driver && pst_host_param_name_eq(d->driver, module))
			return true;
		/* Another card of the vendor may need any of its modules, and
		 * sound and USB are everywhere. */
		if (d->vendor == p->host->gpu->vendor &&
		    pst_host_pci_is_display(d))
			return true;
	}
	return strcmp(module, "snd_hda_intel") == 0 ||
	       strcmp(module, "xhci_pci") == 0;
}

/* The words of the command line, as a list. */
static int param_words(struct pst_host_plan *p, struct pst_host_lines *ret,
		       struct pst_error *err)
{
	struct pst_host_params_part part = {.text = strdup("")};
	char *word, *rest;
	int r = -ENOMEM;

	if (part.text)
		r = pst_host_params_merge(&part, 1, 0, &p->params, err);
	for (word = part.text; r == 0 && (word = strtok_r(word, " ", &rest));
	     word = NULL)
		r = pst_host_lines_add(ret, "%s", word);
	free(part.text);
	return r;
}

int pst_host_plan_nixos(struct pst_host_plan *p,
			const struct pst_host_journal *j, struct pst_error *err)
{
	struct pst_host_lines words = {0}, blacklist = {0};
	struct pst_host_nixos want = {
		.ids = p->by_address ? NULL : p->ids,
		.softdeps = pst_host_lines_list(&p->modules),
		.rules = pst_host_lines_list(&p->card_rules),
		.pool_pages = pst_host_params_have_pool(&p->params)
				      ? 0
				      : p->params.pool_pages,
		.pool_node = p->params.pool_node,
	};
	char *text = NULL;
	size_t i;
	int r;

	if (!(p->targets & PST_HOST_TARGET_NIXOS))
		return 0;
	r = param_words(p, &words, err);
	for (i = 0; r == 0 && i < p->modules.n; i++)
		if (!stays(p, p->modules.line[i]))
			r = pst_host_lines_add(&blacklist, "%s",
					       p->modules.line[i]);
	if (r == 0) {
		want.params = pst_host_lines_list(&words);
		want.blacklist = pst_host_lines_list(&blacklist);
		want.addresses = p->by_address
					 ? pst_host_lines_list(&p->addresses)
					 : NULL;
		text = pst_host_dropin_nixos(&want);
		r = text ? 0 : -ENOMEM;
	}
	pst_host_lines_done(&words);
	pst_host_lines_done(&blacklist);
	if (r < 0)
		return pst_oom(err);
	if (pst_host_plan_note(
		    p, err, "%s",
		    pst_host_root_exists(p->host->root, "etc/nixos/flake.nix")
			    ? "NixOS by a flake: put ./penstock.nix among the "
			      "modules in /etc/nixos/flake.nix, or into the "
			      "imports of a file named there, and git add "
			      "penstock.nix, since a flake does not see what "
			      "git does not know"
			    : "NixOS: have configuration.nix import the "
			      "module: imports = [ ./penstock.nix ];") < 0) {
		free(text);
		return -ENOMEM;
	}
	return pst_host_plan_file(p, j, PST_HOST_TARGET_NIXOS, NIXOS_FILE, text,
				  0644, true, err);
}
