/* SPDX-License-Identifier: MIT */
/* Finds framebuffers of the firmware, and displays in use. */
#include "kernel-params/machine/display.h"

#include <ctype.h>
#include <string.h>

#define IOMEM_MAX (4U << 20)

/* Whether a name of proc/fb or sysfs is a firmware framebuffer's driver. */
static bool is_firmware_fb(const char *name)
{
	/* Of proc/fb, graphics/fbN/name, and resources in proc/iomem. */
	static const char *const names[] = {
		"EFI VGA",   "EFI FB", "efifb",    "VESA VGA",
		"vesafb",    "simple", "simplefb", "BOOTFB",
		"simpledrm", "efidrm", "vesadrm",  "simple-framebuffer",
		"VGA16 VGA", "ofdrm",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	/* DRM's emulation adds "drmfb" to the driver's name. */
	return strcmp(name, "simpledrmdrmfb") == 0 ||
	       strcmp(name, "efidrmdrmfb") == 0 ||
	       strcmp(name, "vesadrmdrmfb") == 0;
}

static void add_name(char *list, size_t size, const char *name)
{
	size_t len = strlen(list);

	if (strstr(list, name) || len + strlen(name) + 3 > size)
		return;
	snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

/* "  e0000000-e02fffff : BOOTFB": true, and where its name begins. */
static bool iomem_line(const char *line, uint64_t *start, uint64_t *end,
		       const char **name)
{
	char *p;

	line += strspn(line, " ");
	if (!isxdigit((unsigned char)*line))
		return false;
	*start = strtoull(line, &p, 16);
	if (*p != '-' || !isxdigit((unsigned char)p[1]))
		return false;
	*end = strtoull(p + 1, &p, 16);
	if (strncmp(p, " : ", 3) != 0)
		return false;
	*name = p + 3;
	return *end >= *start;
}

/* The PCI device that the line just above with less indentation names, and so
 * on: a range lies in those. */
struct parents {
	size_t indent[8];
	struct pst_host_pci_addr addr[8];
	size_t n;
};

static void take_line(const char *line, struct parents *up,
		      struct pst_host_display *d, bool *any)
{
	struct pst_host_fb_range r = {0};
	size_t indent = strspn(line, " ");
	const char *name;

	if (!iomem_line(line, &r.start, &r.end, &name))
		return;
	*any = true;
	d->hidden = d->hidden && !r.end;
	while (up->n && up->indent[up->n - 1] >= indent)
		up->n--;
	if (up->n < PST_ARRAY_SIZE(up->addr) &&
	    pst_host_pci_addr_parse(name, &up->addr[up->n]) == 0)
		up->indent[up->n++] = indent;
	if (!is_firmware_fb(name) || d->n_ranges == PST_HOST_FB_RANGES)
		return;
	snprintf(r.name, sizeof(r.name), "%s", name);
	r.owned = up->n > 0;
	if (r.owned)
		r.owner = up->addr[up->n - 1];
	d->range[d->n_ranges++] = r;
}

void pst_host_display_parse_iomem(const char *text, struct pst_host_display *d)
{
	struct parents up = {0};
	bool any = false;

	d->hidden = true;
	while (*text) {
		size_t n = strcspn(text, "\n");
		char line[256], *end;

		if (n < sizeof(line)) {
			memcpy(line, text, n);
			line[n] = '\0';
			for (end = line + n; end > line && end[-1] == ' ';)
				*--end = '\0';
			take_line(line, &up, d, &any);
		}
		text += n;
		text += *text == '\n';
	}
	d->seen = d->seen || (any && !d->hidden);
}

/* proc/fb: "0 EFI VGA". */
static void read_proc_fb(const struct pst_host_root *root,
			 struct pst_host_display *d)
{
	char text[1024], *p, *save;
	int r;

	r = pst_host_root_read_text(root, "proc/fb", text, sizeof(text));
	d->seen = d->seen || r >= 0;
	if (r <= 0)
		return;
	for (p = strtok_r(text, "\n", &save); p;
	     p = strtok_r(NULL, "\n", &save)) {
		p += strspn(p, "0123456789");
		p += strspn(p, " ");
		if (is_firmware_fb(p))
			add_name(d->fb, sizeof(d->fb), p);
	}
}

static void read_graphics(const struct pst_host_root *root,
			  struct pst_host_display *d)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], dir[PST_HOST_ROOT_PATH_MAX],
		text[64];
	size_t i;

	if (pst_host_root_list(root, "sys/class/graphics", &names) < 0)
		return;
	d->seen = true;
	for (i = 0; i < names.n; i++) {
		if (pst_host_path(path, "sys/class/graphics/%s",
				  names.name[i]) < 0 ||
		    pst_host_root_dir(root, path, dir, sizeof(dir)) < 0 ||
		    pst_host_path(path, "%s/name", dir) < 0 ||
		    pst_host_root_read_text(root, path, text, sizeof(text)) <=
			    0)
			continue;
		if (is_firmware_fb(text))
			add_name(d->fb, sizeof(d->fb), text);
	}
}

/* sysfb's devices in a directory; a GPU driver that takes over removes them. */
static void add_platform(const struct pst_host_root *root, const char *dir,
			 struct pst_host_display *d)
{
	static const char *const prefixes[] = {
		"simple-framebuffer.", "efi-framebuffer.", "vesa-framebuffer."};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, k;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	d->seen = true;
	for (i = 0; i < names.n; i++)
		for (k = 0; k < PST_ARRAY_SIZE(prefixes); k++)
			if (strncmp(names.name[i], prefixes[k],
				    strlen(prefixes[k])) == 0)
				add_name(d->platform, sizeof(d->platform),
					 names.name[i]);
}

/* A copied tree may have any one of these. */
static void read_platform(const struct pst_host_root *root,
			  struct pst_host_display *d)
{
	static const char *const dirs[] = {
		"sys/bus/platform/devices",
		"sys/devices/platform",
		"sys/bus/platform/drivers/simple-framebuffer",
		"sys/bus/platform/drivers/efi-framebuffer",
		"sys/bus/platform/drivers/vesa-framebuffer",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		add_platform(root, dirs[i], d);
}

static bool attr_is(const struct pst_host_root *root, const char *dir,
		    const char *attr, const char *value)
{
	char path[PST_HOST_ROOT_PATH_MAX], text[32];

	return pst_host_path(path, "%s/%s", dir, attr) == 0 &&
	       pst_host_root_read_text(root, path, text, sizeof(text)) > 0 &&
	       strcmp(text, value) == 0;
}

/* The PCI address in a path like .../0000:01:00.0/drm/card0/card0-DP-1. */
static bool addr_in_path(const char *path, struct pst_host_pci_addr *ret)
{
	char copy[PST_HOST_ROOT_PATH_MAX], *p, *save;
	bool found = false;

	snprintf(copy, sizeof(copy), "%s", path);
	for (p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save))
		if (strlen(p) >= 12 && pst_host_pci_addr_parse(p, ret) == 0)
			found = true;
	return found;
}

static void read_connectors(const struct pst_host_root *root,
			    struct pst_host_display *d)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], dir[PST_HOST_ROOT_PATH_MAX];
	char addr[PST_HOST_PCI_ADDR_LEN];
	size_t i;

	if (pst_host_root_list(root, "sys/class/drm", &names) < 0)
		return;
	for (i = 0; i < names.n && !*d->connected; i++) {
		if (!strchr(names.name[i], '-') ||
		    pst_host_path(path, "sys/class/drm/%s", names.name[i]) <
			    0 ||
		    pst_host_root_dir(root, path, dir, sizeof(dir)) < 0 ||
		    !attr_is(root, dir, "status", "connected") ||
		    !attr_is(root, dir, "enabled", "enabled") ||
		    !addr_in_path(dir, &d->connected_addr))
			continue;
		snprintf(d->connected, sizeof(d->connected), "%.60s of %s",
			 names.name[i],
			 pst_host_pci_addr_format(&d->connected_addr, addr));
	}
}

void pst_host_display_scan(const struct pst_host_root *root,
			   struct pst_host_display *ret)
{
	PST_CLEANUP_FREE char *iomem = NULL;
	struct pst_host_display d = {.hidden = true};
	size_t len;

	if (pst_host_root_read(root, "proc/iomem", IOMEM_MAX, &iomem, &len) ==
	    0)
		pst_host_display_parse_iomem(iomem, &d);
	read_proc_fb(root, &d);
	read_graphics(root, &d);
	read_platform(root, &d);
	read_connectors(root, &d);
	*ret = d;
}

const struct pst_host_fb_range *
pst_host_display_in_bar(const struct pst_host_display *d,
			const struct pst_host_pci_dev *dev,
			unsigned int *ret_bar)
{
	unsigned int b;
	size_t i;

	for (i = 0; i < d->n_ranges; i++) {
		const struct pst_host_fb_range *r = &d->range[i];

		for (b = 0; b < PST_HOST_PCI_BARS; b++) {
			const struct pst_host_pci_bar *bar = &dev->bar[b];

			if (!bar->start || r->end < bar->start ||
			    r->start > bar->end)
				continue;
			*ret_bar = b;
			return r;
		}
		if (r->owned &&
		    pst_host_pci_addr_cmp(&r->owner, &dev->addr) == 0) {
			*ret_bar = PST_HOST_PCI_BARS;
			return r;
		}
	}
	return NULL;
}
