/* SPDX-License-Identifier: MIT */
/* PCI functions from sysfs. */
#include "kernel-params/machine/pci.h"

#include <ctype.h>
#include <string.h>

/* Hexadecimal digits, min to max of them, no sign, no prefix. */
static bool hex(const char **p, size_t min, size_t max, uint64_t *ret)
{
	size_t n = strspn(*p, "0123456789abcdefABCDEF");
	char buf[17] = "";

	if (n < min || n > max)
		return false;
	memcpy(buf, *p, n);
	*ret = strtoull(buf, NULL, 16);
	*p += n;
	return true;
}

int pst_host_pci_addr_parse(const char *text, struct pst_host_pci_addr *ret)
{
	uint64_t v[4] = {0};
	const char *p = text;

	if (strchr(p, ':') != strrchr(p, ':')) {
		if (!hex(&p, 4, 8, &v[0]) || *p++ != ':')
			return -EINVAL;
	}
	if (!hex(&p, 1, 2, &v[1]) || *p++ != ':' || !hex(&p, 1, 2, &v[2]) ||
	    *p++ != '.' || !hex(&p, 1, 1, &v[3]) || *p || v[2] > 31 || v[3] > 7)
		return -EINVAL;
	*ret = (struct pst_host_pci_addr){
		.domain = (uint32_t)v[0],
		.bus = (uint8_t)v[1],
		.dev = (uint8_t)v[2],
		.fn = (uint8_t)v[3],
	};
	return 0;
}

const char *pst_host_pci_addr_format(const struct pst_host_pci_addr *a,
				     char buf[PST_HOST_PCI_ADDR_LEN])
{
	snprintf(buf, PST_HOST_PCI_ADDR_LEN, "%04x:%02x:%02x.%x", a->domain,
		 a->bus, a->dev, a->fn);
	return buf;
}

int pst_host_pci_addr_cmp(const struct pst_host_pci_addr *a,
			  const struct pst_host_pci_addr *b)
{
	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->fn < b->fn ? -1 : a->fn > b->fn;
}

/* "0x0123": one number of a `resource` line, and what separates it. */
static bool resource_number(const char **p, char end, uint64_t *ret)
{
	if ((*p)[0] != '0' || (*p)[1] != 'x')
		return false;
	*p += 2;
	if (!hex(p, 1, 16, ret))
		return false;
	while (**p == ' ')
		(*p)++;
	if (end == '\n' && !**p)
		return true;
	return end == ' ' || *(*p)++ == end;
}

int pst_host_pci_resource_parse(const char *text,
				struct pst_host_pci_bar ret[PST_HOST_PCI_BARS])
{
	struct pst_host_pci_bar bar[PST_HOST_PCI_BARS] = {0};
	const char *p = text;
	size_t i;

	/* Bridge windows and SR-IOV follow; they are nobody's concern here. */
	for (i = 0; i < PST_HOST_PCI_BARS && *p; i++) {
		if (!resource_number(&p, ' ', &bar[i].start) ||
		    !resource_number(&p, ' ', &bar[i].end) ||
		    !resource_number(&p, '\n', &bar[i].flags) ||
		    bar[i].end < bar[i].start)
			return -EPROTO;
	}
	memcpy(ret, bar, sizeof(bar));
	return 0;
}

struct reader {
	const struct pst_host_root *root;
	struct pst_host_pci_dev *dev;
};

static int attr_path(const struct reader *r, const char *attr, char *path)
{
	return pst_host_path(path, "%s/%s", r->dev->path, attr);
}

/* A number of the device; ret keeps its value when it is not there. */
static void attr_u64(const struct reader *r, const char *attr,
		     unsigned int base, uint64_t max, uint64_t *ret,
		     unsigned int bad)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t v;
	int rc = attr_path(r, attr, path);

	if (rc == 0)
		rc = pst_host_root_read_u64(r->root, path, base, &v);
	if (rc == 0 && v <= max)
		*ret = v;
	else if (rc != -ENOENT)
		r->dev->bad |= bad;
}

static int attr_text(const struct reader *r, const char *attr, char *buf,
		     size_t size)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	int rc = attr_path(r, attr, path);

	if (rc == 0)
		rc = pst_host_root_read_text(r->root, path, buf, size);
	if (rc < 0)
		*buf = '\0';
	return rc;
}

static int attr_link(const struct reader *r, const char *attr, char *buf,
		     size_t size)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	int rc = attr_path(r, attr, path);

	if (rc == 0)
		rc = pst_host_root_link_name(r->root, path, buf, size);
	if (rc < 0)
		*buf = '\0';
	return rc;
}

static bool attr_exists(const struct reader *r, const char *attr)
{
	char path[PST_HOST_ROOT_PATH_MAX];

	return attr_path(r, attr, path) == 0 &&
	       pst_host_root_exists(r->root, path);
}

static void read_ids(const struct reader *r)
{
	struct pst_host_pci_dev *d = r->dev;
	uint64_t vendor = UINT64_MAX, device = UINT64_MAX, class = UINT64_MAX;
	uint64_t sub_vendor = 0, sub_device = 0, revision = 0;

	attr_u64(r, "vendor", 16, 0xffff, &vendor, PST_HOST_PCI_BAD_IDS);
	attr_u64(r, "device", 16, 0xffff, &device, PST_HOST_PCI_BAD_IDS);
	attr_u64(r, "class", 16, 0xffffff, &class, PST_HOST_PCI_BAD_IDS);
	if (vendor == UINT64_MAX || device == UINT64_MAX || class == UINT64_MAX)
		d->bad |= PST_HOST_PCI_BAD_IDS;
	attr_u64(r, "subsystem_vendor", 16, 0xffff, &sub_vendor, 0);
	attr_u64(r, "subsystem_device", 16, 0xffff, &sub_device, 0);
	attr_u64(r, "revision", 16, 0xff, &revision, 0);
	d->vendor = vendor == UINT64_MAX ? 0 : (uint16_t)vendor;
	d->device = device == UINT64_MAX ? 0 : (uint16_t)device;
	d->class = class == UINT64_MAX ? 0 : (uint32_t) class;
	d->sub_vendor = (uint16_t)sub_vendor;
	d->sub_device = (uint16_t)sub_device;
	d->revision = (uint8_t)revision;
}

/* numa_node is signed; -1 is the kernel's "none". */
static void read_numa(const struct reader *r)
{
	char buf[16];
	uint64_t v;
	int rc = attr_text(r, "numa_node", buf, sizeof(buf));

	r->dev->numa_node = -1;
	if (rc == -ENOENT || (rc > 0 && strcmp(buf, "-1") == 0))
		return;
	if (rc > 0 && pst_parse_u64(buf, 0, 65535, &v) == 0)
		r->dev->numa_node = (int)v;
	else
		r->dev->bad |= PST_HOST_PCI_BAD_NUMA;
}

/* The link may be lost in a copied tree; the line of uevent is not. */
static void driver_of_uevent(const struct reader *r)
{
	static const char key[] = "DRIVER=";
	struct pst_host_pci_dev *d = r->dev;
	char text[2048], *p, *save;

	if (attr_text(r, "uevent", text, sizeof(text)) < 0)
		return;
	for (p = strtok_r(text, "\n", &save); p;
	     p = strtok_r(NULL, "\n", &save))
		if (strncmp(p, key, strlen(key)) == 0 &&
		    strlen(p + strlen(key)) < sizeof(d->driver))
			strcpy(d->driver, p + strlen(key));
}

/* It gets into configuration files, where it must not mean anything else. */
static void clean_driver(struct pst_host_pci_dev *d)
{
	char *p;

	for (p = d->driver; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.+", *p)) {
			*p = '?';
			d->bad |= PST_HOST_PCI_BAD_DRIVER;
		}
}

static void read_links(const struct reader *r)
{
	struct pst_host_pci_dev *d = r->dev;
	char buf[16];
	uint64_t v;
	int rc = attr_link(r, "driver", d->driver, sizeof(d->driver));

	if (rc == -ENOENT)
		driver_of_uevent(r);
	else if (rc < 0)
		d->bad |= PST_HOST_PCI_BAD_DRIVER;
	clean_driver(d);
	rc = attr_link(r, "physfn", buf, sizeof(buf));
	/* A copy may have the directory itself in the link's place. */
	d->is_vf = rc >= 0 || rc == -EINVAL;
	d->iommu_group = -1;
	rc = attr_link(r, "iommu_group", buf, sizeof(buf));
	if (rc > 0 && pst_parse_u64(buf, 0, INT32_MAX, &v) == 0)
		d->iommu_group = (int)v;
	else if (rc != -ENOENT)
		d->bad |= PST_HOST_PCI_BAD_GROUP;
}

static void read_rest(const struct reader *r)
{
	struct pst_host_pci_dev *d = r->dev;
	char text[4096];
	uint64_t boot_vga = 0, enabled = 0, mask = 0;
	int rc;

	attr_text(r, "driver_override", d->driver_override,
		  sizeof(d->driver_override));
	if (strcmp(d->driver_override, "(null)") == 0)
		*d->driver_override = '\0';
	attr_u64(r, "boot_vga", 10, 1, &boot_vga, 0);
	attr_u64(r, "enable", 10, UINT32_MAX, &enabled, 0);
	attr_u64(r, "dma_mask_bits", 10, 64, &mask, 0);
	d->boot_vga = boot_vga;
	d->enabled = enabled;
	d->dma_mask_bits = (unsigned int)mask;
	d->has_reset = attr_exists(r, "reset");
	rc = attr_text(r, "reset_method", d->reset_method,
		       sizeof(d->reset_method));
	d->knows_reset_method = rc >= 0;
	if (rc < 0 && rc != -ENOENT)
		d->bad |= PST_HOST_PCI_BAD_RESET;
	rc = attr_text(r, "resource", text, sizeof(text));
	if (rc >= 0)
		rc = pst_host_pci_resource_parse(text, d->bar);
	if (rc < 0 && rc != -ENOENT)
		d->bad |= PST_HOST_PCI_BAD_RESOURCE;
}

/* Reads the function that an entry of the directory names. */
static int read_dev(const struct pst_host_root *root, const char *entry,
		    struct pst_host_pci_dev *ret)
{
	struct reader r = {root, ret};
	char path[PST_HOST_ROOT_PATH_MAX];
	int rc;

	*ret = (struct pst_host_pci_dev){0};
	if (pst_host_pci_addr_parse(entry, &ret->addr) < 0)
		return -EINVAL;
	pst_host_pci_addr_format(&ret->addr, ret->name);
	if (strcmp(ret->name, entry) != 0)
		return -EINVAL;
	rc = pst_host_path(path, "sys/bus/pci/devices/%s", entry);
	if (rc == 0)
		rc = pst_host_root_dir(root, path, ret->path,
				       sizeof(ret->path));
	if (rc < 0)
		return rc;
	read_ids(&r);
	read_numa(&r);
	read_links(&r);
	read_rest(&r);
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	const struct pst_host_pci_dev *x = a, *y = b;

	return pst_host_pci_addr_cmp(&x->addr, &y->addr);
}

int pst_host_pci_scan(const struct pst_host_root *root,
		      struct pst_host_pci *ret, struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	struct pst_host_pci pci = {0};
	size_t i;
	int r = pst_host_root_list(root, "sys/bus/pci/devices", &names);

	*ret = pci;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pst_error_set_errno(err, -r,
					   "cannot list sys/bus/pci/devices");
	pci.dev = calloc(names.n ? names.n : 1, sizeof(*pci.dev));
	if (!pci.dev)
		return pst_oom(err);
	for (i = 0; i < names.n; i++) {
		if (read_dev(root, names.name[i], &pci.dev[pci.n]) == 0)
			pci.n++;
		else
			pci.n_skipped++;
	}
	qsort(pci.dev, pci.n, sizeof(*pci.dev), by_addr);
	*ret = pci;
	return 0;
}

void pst_host_pci_done(struct pst_host_pci *pci)
{
	free(pci->dev);
	*pci = (struct pst_host_pci){0};
}
