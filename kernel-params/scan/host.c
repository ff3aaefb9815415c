/* SPDX-License-Identifier: MIT */
/* Reads a whole host. */
#include "kernel-params/scan/host.h"

#include <string.h>

/*
 * The upstream version behind a distribution's release: Debian's proc/version
 * ends in "Debian 6.1.55-1", Ubuntu's version_signature in it. True if found.
 */
static bool read_upstream(const struct pst_host_root *root, struct pst_host *h)
{
	static const char mark[] = " Debian ";
	char text[512];
	const char *p = NULL;

	if (pst_host_root_read_text(root, "proc/version_signature", text,
				    sizeof(text)) > 0)
		p = strrchr(text, ' ');
	else if (pst_host_root_read_text(root, "proc/version", text,
					 sizeof(text)) > 0) {
		/* The compiler's version has such a word too; the last counts.
		 */
		const char *next = text;

		while ((next = strstr(next, mark))) {
			p = next + strlen(mark) - 1;
			next = p;
		}
	}
	return p && pst_host_kernel_version_parse(p + 1, &h->version) == 0;
}

/* osrelease, or the third word of proc/version. */
static void read_release(const struct pst_host_root *root, struct pst_host *h)
{
	static const char prefix[] = "Linux version ";
	char text[512];

	if (pst_host_root_read_text(root, "proc/sys/kernel/osrelease",
				    h->release, sizeof(h->release)) <= 0)
		*h->release = '\0';
	if (!*h->release &&
	    pst_host_root_read_text(root, "proc/version", text, sizeof(text)) >
		    0 &&
	    strncmp(text, prefix, strlen(prefix)) == 0) {
		text[strlen(prefix) + strcspn(text + strlen(prefix), " ")] = 0;
		snprintf(h->release, sizeof(h->release), "%.90s",
			 text + strlen(prefix));
	}
	h->has_version =
		read_upstream(root, h) ||
		pst_host_kernel_version_parse(h->release, &h->version) == 0;
}

static int scan_devices(const struct pst_host_root *root, struct pst_host *h,
			struct pst_error *err)
{
	int r = pst_host_pci_scan(root, &h->pci, err);

	if (r == 0)
		r = pst_host_iommu_scan(root, &h->pci, &h->iommu, err);
	if (r == 0)
		r = pst_host_cpu_scan(root, &h->cpu, err);
	if (r == 0)
		r = pst_host_memory_scan(root, &h->memory, err);
	return r;
}

/* Splits it, and keeps it whole. */
static int read_cmdline(const struct pst_host_root *root, struct pst_host *h)
{
	size_t len;
	int r = pst_host_root_read(root, "proc/cmdline", PST_HOST_CMDLINE_MAX,
				   &h->cmdline_text, &len);

	if (r == 0)
		r = pst_host_cmdline_parse(h->cmdline_text, len, &h->cmdline);
	else
		h->cmdline_text = strdup("");
	return r;
}

static int scan_configuration(const struct pst_host_root *root,
			      struct pst_host *h, struct pst_error *err)
{
	int r;

	h->cmdline_rc = read_cmdline(root, h);
	r = h->cmdline_text ? 0 : -ENOMEM;
	if (r == 0)
		r = pst_host_modconf_read(root, &h->modconf);
	if (r == 0)
		r = pst_host_early_scan(root, &h->early);
	if (r == 0)
		r = pst_host_vfio_conf_scan(root, &h->cmdline, &h->modconf,
					    &h->early, &h->vfio);
	if (r < 0)
		return pst_error_set_errno(err, -r,
					   "cannot take in the configuration");
	pst_host_modules_scan(root, h->release, &h->modules);
	pst_host_boot_scan(root, &h->boot);
	pst_host_display_scan(root, &h->display);
	pst_host_software_scan(root, &h->software);
	return 0;
}

int pst_host_scan(const struct pst_host_root *root,
		  const struct pst_host_request *request, struct pst_host *ret,
		  struct pst_error *err)
{
	struct pst_host *h = ret;
	int r;

	memset(h, 0, sizeof(*h));
	h->root = root;
	h->request = *request;
	if (!pst_host_root_exists(root, "proc") &&
	    !pst_host_root_exists(root, "sys"))
		return pst_error_set(err, -ENOENT,
				     "neither proc nor sys is there: this is "
				     "no host's root");
	pst_host_os_read(root, h->os_id);
	read_release(root, h);
	r = scan_devices(root, h, err);
	if (r == 0)
		r = scan_configuration(root, h, err);
	if (r < 0) {
		pst_host_done(h);
		return r;
	}
	if (pst_host_pci_select_gpu(&h->pci, request->gpu, &h->gpu,
				    &h->gpu_err) == 0) {
		h->arch =
			pst_host_gpu_arch_find(h->gpu->vendor, h->gpu->device);
		pst_host_card_use_find(root, &h->pci, &h->display, h->gpu,
				       &h->use);
		pst_host_card_state_read(root, &h->pci, h->gpu, &h->state);
	}
	pst_host_scan_files(root, h);
	pst_host_claims_scan(root, &h->memory, h->gpu, &h->claims);
	pst_host_claims_cmdline(&h->claims, h->cmdline_text,
				pst_host_knows_pool_nodes(h));
	if (root->live)
		pst_host_scan_live(&h->live);
	else
		pst_host_read_live(root, &h->live);
	return 0;
}

bool pst_host_knows_pool_nodes(const struct pst_host *h)
{
	static const struct pst_host_kernel_version first = {5, 16, 0};

	return !h->has_version ||
	       pst_host_kernel_version_cmp(&h->version, &first) >= 0;
}

void pst_host_done(struct pst_host *h)
{
	size_t i;

	for (i = 0; i < PST_HOST_LINE_FILES; i++) {
		free(h->files.line_file[i]);
		h->files.line_file[i] = NULL;
	}
	pst_host_pci_done(&h->pci);
	pst_host_iommu_done(&h->iommu);
	pst_host_cpu_done(&h->cpu);
	pst_host_memory_done(&h->memory);
	pst_host_cmdline_done(&h->cmdline);
	free(h->cmdline_text);
	h->cmdline_text = NULL;
	pst_host_modconf_done(&h->modconf);
	pst_host_modules_done(&h->modules);
	pst_host_early_done(&h->early);
	pst_host_vfio_conf_done(&h->vfio);
}
