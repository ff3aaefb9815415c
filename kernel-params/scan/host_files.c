/* SPDX-License-Identifier: MIT */
/* Reads single files of a host. */
#include <inttypes.h>
#include <string.h>

#include "kernel-params/scan/host.h"

/* Size, mode and owner of a region as a report has them, since its copy of the
 * file is empty. */
static void recall_region(const struct pst_host_root *root,
			  struct pst_host_region_entry *e)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_region_entry got;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, PST_HOST_REPORT_DIR "/regions",
			       PST_HOST_ROOT_CONF_MAX, &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%20" SCNu64 " %o %u %u %255[^\n]", &got.size,
			   &got.mode, &got.uid, &got.gid, got.path) == 5 &&
		    strcmp(got.path, e->path) == 0) {
			got.conf_size = e->conf_size;
			*e = got;
			return;
		}
}

/* Regular files in a directory whose names begin so. */
static void add_regions(const struct pst_host_root *root, const char *dir,
			const char *prefix, struct pst_host_files *f)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	struct stat st;
	size_t i;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && f->n_regions < PST_HOST_REGIONS; i++) {
		struct pst_host_region_entry *e = &f->region[f->n_regions];

		if (names.name[i][0] == '.' ||
		    strncmp(names.name[i], prefix, strlen(prefix)) != 0 ||
		    pst_host_path(path, "%s/%s", dir, names.name[i]) < 0 ||
		    pst_host_root_stat(root, path, &st) < 0 ||
		    !S_ISREG(st.st_mode) || strlen(path) >= sizeof(e->path))
			continue;
		strcpy(e->path, path);
		e->size = (uint64_t)st.st_size;
		e->mode = st.st_mode & 07777;
		e->uid = st.st_uid;
		e->gid = st.st_gid;
		if (!root->live)
			recall_region(root, e);
		f->n_regions++;
	}
}

/* SIZE= of a file that penstock-region@.service reads; 0: none. */
static uint64_t conf_size(const struct pst_host_root *root, const char *path)
{
	PST_CLEANUP_FREE char *text = NULL;
	const struct pst_host_param *p;
	struct pst_host_cmdline vars;
	uint64_t size = 0;
	size_t len;

	if (pst_host_root_read(root, path, 4096, &text, &len) < 0 ||
	    pst_host_cmdline_parse(text, len, &vars) < 0)
		return 0;
	p = pst_host_cmdline_get(&vars, "SIZE");
	if (!p || !p->value || pst_parse_size(p->value, &size) < 0)
		size = 0;
	pst_host_cmdline_done(&vars);
	return size;
}

static struct pst_host_region_entry *find_region(struct pst_host_files *f,
						 const char *name, size_t n)
{
	static const char prefix[] = "penstock-";
	size_t i, k = strlen(prefix);

	for (i = 0; i < f->n_regions; i++) {
		const char *base = strrchr(f->region[i].path, '/');

		if (base && strncmp(base + 1, prefix, k) == 0 &&
		    strlen(base + 1) == k + n &&
		    memcmp(base + 1 + k, name, n) == 0)
			return &f->region[i];
	}
	return NULL;
}

/* What etc/penstock/regions.d says of them. */
static void read_region_confs(const struct pst_host_root *root,
			      struct pst_host_files *f)
{
	static const char dir[] = "etc/penstock/regions.d", ext[] = ".conf";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		const char *name = names.name[i];
		struct pst_host_region_entry *e;
		size_t n = strlen(name);

		if (n <= strlen(ext) ||
		    strcmp(name + n - strlen(ext), ext) != 0 ||
		    pst_host_path(path, "%s/%s", dir, name) < 0)
			continue;
		n -= strlen(ext);
		e = find_region(f, name, n);
		if (e)
			e->conf_size = conf_size(root, path);
		else if (!*f->no_region && n < sizeof(f->no_region))
			memcpy(f->no_region, name, n);
	}
}

/* Whatever lies at the top of the mounts, and ours in /dev/shm. */
static void read_regions(const struct pst_host_root *root,
			 struct pst_host_files *f)
{
	size_t m;

	for (m = 0; m < f->mounts.n; m++)
		add_regions(root, f->mounts.mount[m].path, "", f);
	add_regions(root, "dev/shm", "penstock-", f);
	read_region_confs(root, f);
}

/* "none [integrity] confidentiality": the word in brackets. */
static void read_lockdown(const struct pst_host_root *root,
			  struct pst_host_files *f)
{
	char text[128], *open, *close;

	if (pst_host_root_read_text(root, "sys/kernel/security/lockdown", text,
				    sizeof(text)) <= 0)
		return;
	open = strchr(text, '[');
	close = open ? strchr(open, ']') : NULL;
	if (!close)
		return;
	*close = '\0';
	snprintf(f->lockdown, sizeof(f->lockdown), "%.31s", open + 1);
}

/* Four bytes of attributes, then 1 or 0 (UEFI specification, 3.3). */
static void read_secure_boot(const struct pst_host_root *root,
			     struct pst_host_files *f)
{
	PST_CLEANUP_FREE char *var = NULL;
	size_t len;

	f->secure_boot = -1;
	if (pst_host_root_read(root,
			       "sys/firmware/efi/efivars/SecureBoot-"
			       "8be4df61-93ca-11d2-aa0d-00e098032b8c",
			       64, &var, &len) == 0 &&
	    len == 5)
		f->secure_boot = var[4] == 1;
}

/* The first line of a file that has both words outside of comments. */
static bool line_with(const struct pst_host_root *root, const char *path,
		      const char *word, const char *other, char *ret,
		      size_t size)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		for (len = strlen(line);
		     len > 0 && strchr(" \t\r", line[len - 1]);)
			line[--len] = '\0';
		if (*line == '#' || *line == ';' || !strstr(line, word) ||
		    !strstr(line, other))
			continue;
		snprintf(ret, size, "%s: %s", path, line);
		return true;
	}
	return false;
}

/* The same in a file, or any file of a directory. */
static void find_line(const struct pst_host_root *root, const char *file,
		      const char *dir, const char *word, const char *other,
		      char *ret, size_t size)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (line_with(root, file, word, other, ret, size) ||
	    pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) == 0 &&
		    line_with(root, path, word, other, ret, size))
			return;
}

/* "Y" or "1" of a module's parameter, or set for its next loading. */
static bool param_on(const struct pst_host_root *root, const struct pst_host *h,
		     const char *module, const char *name)
{
	PST_CLEANUP_FREE char *option = NULL;
	const struct pst_host_param *p =
		pst_host_cmdline_module(&h->cmdline, module, name);
	char path[PST_HOST_ROOT_PATH_MAX], text[16] = "";

	if (pst_host_path(path, "sys/module/%s/parameters/%s", module, name) ==
		    0 &&
	    pst_host_root_read_text(root, path, text, sizeof(text)) > 0)
		return strchr("Yy1", *text) != NULL;
	if (p)
		return !p->value || strchr("Yy1", *p->value);
	option = pst_host_modconf_option(&h->modconf, module, name);
	return option && strchr("Yy1", *option);
}

/* "DMA Size:  47 bits" of the host's NVIDIA driver. */
static unsigned int nvidia_dma(const struct pst_host_root *root,
			       const struct pst_host_pci_dev *gpu)
{
	PST_CLEANUP_FREE char *text = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	unsigned int bits;
	const char *p;
	size_t len;

	if (!gpu ||
	    pst_host_path(path, "proc/driver/nvidia/gpus/%s/information",
			  gpu->name) < 0 ||
	    pst_host_root_read(root, path, 4096, &text, &len) < 0)
		return 0;
	p = strstr(text, "DMA Size:");
	if (!p || sscanf(p, "DMA Size: %2u bits", &bits) != 1 || bits < 32 ||
	    bits > 64)
		return 0;
	return bits;
}

static unsigned int find_unseen(const struct pst_host_root *root,
				const struct pst_host *h)
{
	static const struct {
		const char *path;
		enum pst_host_unseen bit;
	} places[] = {
		{"proc/mounts", PST_HOST_UNSEEN_MOUNTS},
		{"proc/net/route", PST_HOST_UNSEEN_ROUTES},
		{"sys/devices/system/node", PST_HOST_UNSEEN_NODES},
		{"sys/kernel/mm/hugepages", PST_HOST_UNSEEN_POOLS},
	};
	unsigned int unseen = h->cmdline_rc < 0 ? PST_HOST_UNSEEN_CMDLINE : 0;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++)
		if (!pst_host_root_exists(root, places[i].path))
			unseen |= places[i].bit;
	/* A kernel without NUMA, or without hugepages, has no such folder. */
	if (root->live)
		unseen &= ~(PST_HOST_UNSEEN_NODES | PST_HOST_UNSEEN_POOLS);
	/* Only VGA controllers have the attribute. */
	if (h->gpu && h->gpu->class >> 8 == 0x0300 &&
	    pst_host_path(path, "sys/bus/pci/devices/%s/boot_vga",
			  h->gpu->name) == 0 &&
	    !pst_host_root_exists(root, path))
		unseen |= PST_HOST_UNSEEN_BOOT_VGA;
	return unseen;
}

const char *const pst_host_line_files[PST_HOST_LINE_FILES] = {
	"etc/default/grub",       "etc/kernel/cmdline",
	"etc/default/limine",     "etc/sdboot-manage.conf",
	"boot/refind_linux.conf", "etc/kernelstub/configuration"};

static void read_line_files(const struct pst_host_root *root,
			    struct pst_host_files *f)
{
	size_t i, len;

	for (i = 0; i < PST_HOST_LINE_FILES; i++)
		if (pst_host_root_read(root, pst_host_line_files[i],
				       PST_HOST_ROOT_CONF_MAX, &f->line_file[i],
				       &len) < 0)
			f->line_file[i] = NULL;
}

void pst_host_scan_files(const struct pst_host_root *root, struct pst_host *h)
{
	static const struct {
		const char *file, *dir;
	} pages[] = {
		{"etc/sysctl.conf", "etc/sysctl.d"},
		{"etc/rc.local", "etc/tmpfiles.d"},
		{"etc/nixos/configuration.nix", "etc/nixos"},
	};
	struct pst_host_files *f = &h->files;
	uint64_t v;
	size_t i;

	f->unseen = find_unseen(root, h);
	f->has_sys = pst_host_root_exists(root, "sys/kernel");
	f->has_dev = pst_host_root_exists(root, "dev");
	f->has_acpi = pst_host_root_exists(root, "sys/firmware/acpi/tables");
	f->dev_kvm = pst_host_root_exists(root, "dev/kvm");
	f->dev_vfio = pst_host_root_exists(root, "dev/vfio/vfio");
	f->dev_vhost_vsock = pst_host_root_exists(root, "dev/vhost-vsock");
	f->grub = pst_host_root_exists(root, "etc/default/grub");
	f->loader = pst_host_root_exists(root, "boot/loader/entries")  ? "boot"
		    : pst_host_root_exists(root, "efi/loader/entries") ? "efi"
		    : pst_host_root_exists(root, "boot/efi/loader/entries")
			    ? "boot/efi"
			    : NULL;
	f->kernelstub =
		pst_host_root_exists(root, "etc/kernelstub/configuration");
	f->kernel_cmdline = pst_host_root_exists(root, "etc/kernel/cmdline");
	read_line_files(root, f);
	pst_host_mounts_read(root, h->memory.default_hugepage, &f->mounts);
	read_regions(root, f);
	read_lockdown(root, f);
	read_secure_boot(root, f);
	f->io_uring_disabled = -1;
	if (pst_host_root_read_u64(root, "proc/sys/kernel/io_uring_disabled",
				   10, &v) == 0 &&
	    v <= 2)
		f->io_uring_disabled = (int)v;
	pst_host_memlock_scan(root, &f->memlock);
	for (i = 0; i < PST_ARRAY_SIZE(pages) && !*f->nr_hugepages; i++)
		find_line(root, pages[i].file, pages[i].dir, "nr_hugepages", "",
			  f->nr_hugepages, sizeof(f->nr_hugepages));
	f->unsafe_interrupts = param_on(root, h, "vfio_iommu_type1",
					"allow_unsafe_interrupts");
	f->idle_d3_off = param_on(root, h, "vfio_pci", "disable_idle_d3");
	f->noiommu = param_on(root, h, "vfio", "enable_unsafe_noiommu_mode");
	f->nvidia_dma_bits = nvidia_dma(root, h->gpu);
}
