/* SPDX-License-Identifier: MIT */
/* IOMMU units, groups and widths. */
#include "kernel-params/machine/iommu.h"

#include <string.h>

/* Of an ACPI table that is read at most; real ones have a few KiB. */
#define TABLE_MAX (256U << 10)
/* The most members of all groups that are read. */
#define MAX_MEMBERS 65536
/* Both tables begin with the 36 bytes of every ACPI table. */
#define TABLE_INFO_OFF 36

unsigned int pst_host_iommu_intel_width(uint64_t cap)
{
	unsigned int mgaw = (unsigned int)(cap >> 16 & 0x3f) + 1;
	unsigned int sagaw = (unsigned int)(cap >> 8 & 0x1f), level = 0;

	/* Bit 1: 39 bits by three levels, 2: 48 by four, 3: 57 by five. */
	if (sagaw & 8)
		level = 57;
	else if (sagaw & 4)
		level = 48;
	else if (sagaw & 2)
		level = 39;
	if (!level || mgaw < 2)
		return 0;
	return mgaw < level ? mgaw : level;
}

unsigned int pst_host_iommu_amd_width(uint64_t efr)
{
	/* HATS: four, five or six levels of host page tables. */
	static const unsigned int bits[] = {48, 57, 64, 0};

	return bits[efr >> 10 & 3];
}

static bool table_is(const void *table, size_t len, const char *name)
{
	return len >= TABLE_INFO_OFF + 4 && memcmp(table, name, 4) == 0;
}

unsigned int pst_host_iommu_dmar_width(const void *table, size_t len)
{
	const uint8_t *t = table;

	return table_is(t, len, "DMAR") ? t[TABLE_INFO_OFF] + 1U : 0;
}

unsigned int pst_host_iommu_ivrs_width(const void *table, size_t len)
{
	const uint8_t *t = table;

	/* Bits 14:8 of a little-endian word. */
	return table_is(t, len, "IVRS") ? t[TABLE_INFO_OFF + 1] & 0x7fU : 0;
}

/* Whether the table is there; its width when it can be read. */
static bool read_table(const struct pst_host_root *root, const char *path,
		       unsigned int (*width)(const void *, size_t),
		       struct pst_host_iommu *iommu)
{
	PST_CLEANUP_FREE char *table = NULL;
	size_t len;
	unsigned int bits;

	if (!pst_host_root_exists(root, path))
		return false;
	if (pst_host_root_read(root, path, TABLE_MAX, &table, &len) < 0) {
		iommu->table_unreadable = true;
		return true;
	}
	bits = width(table, len);
	/* No machine has fewer than 32 or more than 64. */
	if (bits >= 32 && bits <= 64)
		iommu->table_bits = bits;
	return true;
}

/* EFR is "efr" or, since Linux 5.12, "efr:efr2", without 0x. */
static unsigned int unit_width(const struct pst_host_root *root,
			       const char *unit, enum pst_host_iommu_kind kind)
{
	const char *attr = kind == PST_HOST_IOMMU_INTEL ? "intel-iommu/cap"
							: "amd-iommu/features";
	char path[PST_HOST_ROOT_PATH_MAX], dir[PST_HOST_ROOT_PATH_MAX],
		text[64], *end;
	uint64_t v;

	if (kind == PST_HOST_IOMMU_OTHER ||
	    pst_host_path(path, "sys/class/iommu/%s", unit) < 0 ||
	    pst_host_root_dir(root, path, dir, sizeof(dir)) < 0 ||
	    pst_host_path(path, "%s/%s", dir, attr) < 0 ||
	    pst_host_root_read_text(root, path, text, sizeof(text)) <= 0)
		return 0;
	errno = 0;
	v = strtoull(text, &end, 16);
	if (errno || end == text || (*end && *end != ':'))
		return 0;
	return kind == PST_HOST_IOMMU_INTEL ? pst_host_iommu_intel_width(v)
					    : pst_host_iommu_amd_width(v);
}

static void read_units(const struct pst_host_root *root,
		       struct pst_host_iommu *iommu)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i;

	if (pst_host_root_list(root, "sys/class/iommu", &names) < 0)
		return;
	for (i = 0; i < names.n; i++) {
		const char *name = names.name[i];
		enum pst_host_iommu_kind kind = PST_HOST_IOMMU_OTHER;
		unsigned int bits;

		if (*name == '.')
			continue;
		if (strncmp(name, "dmar", 4) == 0)
			kind = PST_HOST_IOMMU_INTEL;
		else if (strncmp(name, "ivhd", 4) == 0)
			kind = PST_HOST_IOMMU_AMD;
		bits = unit_width(root, name, kind);
		if (bits && (!iommu->width_bits || bits < iommu->width_bits))
			iommu->width_bits = bits;
		iommu->kind = kind;
		iommu->n_units++;
	}
}

static int by_addr(const void *key, const void *member)
{
	const struct pst_host_pci_dev *d = member;

	return pst_host_pci_addr_cmp(key, &d->addr);
}

static struct pst_host_pci_dev *find_by_name(struct pst_host_pci *pci,
					     const char *name)
{
	struct pst_host_pci_addr a;

	if (pst_host_pci_addr_parse(name, &a) < 0)
		return NULL;
	return bsearch(&a, pci->dev, pci->n, sizeof(*pci->dev), by_addr);
}

/* Returns how many members there are. */
static size_t read_group(const struct pst_host_root *root, const char *name,
			 struct pst_host_pci *pci,
			 struct pst_host_iommu_group *g)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (pst_host_path(path, "sys/kernel/iommu_groups/%s/type", name) < 0 ||
	    pst_host_root_read_text(root, path, g->type, sizeof(g->type)) < 0)
		*g->type = '\0';
	if (pst_host_path(path, "sys/kernel/iommu_groups/%s/devices", name) <
		    0 ||
	    pst_host_root_list(root, path, &names) < 0)
		return 0;
	for (i = 0; i < names.n; i++) {
		struct pst_host_pci_dev *d = find_by_name(pci, names.name[i]);

		if (!d)
			g->n_others += names.name[i][0] != '.';
		else if (d->iommu_group < 0)
			d->iommu_group = g->id;
	}
	return names.n;
}

static int by_id(const void *a, const void *b)
{
	const struct pst_host_iommu_group *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Groups that only the functions' own links tell of. */
static void add_linked(const struct pst_host_pci *pci,
		       struct pst_host_iommu *iommu)
{
	size_t i, k, listed = iommu->n_groups;

	for (i = 0; i < pci->n; i++) {
		int id = pci->dev[i].iommu_group;

		for (k = 0; k < iommu->n_groups; k++)
			if (iommu->group[k].id == id)
				break;
		if (id >= 0 && k == iommu->n_groups &&
		    iommu->n_groups - listed < pci->n)
			iommu->group[iommu->n_groups++].id = id;
	}
}

static int read_groups(const struct pst_host_root *root,
		       struct pst_host_pci *pci, struct pst_host_iommu *iommu)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, members = 0;
	uint64_t id;

	if (pst_host_root_list(root, "sys/kernel/iommu_groups", &names) < 0)
		names = (struct pst_host_names){0};
	iommu->group = calloc(names.n + pci->n + 1, sizeof(*iommu->group));
	if (!iommu->group)
		return -ENOMEM;
	for (i = 0; i < names.n && members < MAX_MEMBERS; i++) {
		if (pst_parse_u64(names.name[i], 0, INT32_MAX, &id) < 0)
			continue;
		iommu->group[iommu->n_groups].id = (int)id;
		members += read_group(root, names.name[i], pci,
				      &iommu->group[iommu->n_groups++]);
	}
	add_linked(pci, iommu);
	qsort(iommu->group, iommu->n_groups, sizeof(*iommu->group), by_id);
	return 0;
}

int pst_host_iommu_scan(const struct pst_host_root *root,
			struct pst_host_pci *pci, struct pst_host_iommu *ret,
			struct pst_error *err)
{
	struct pst_host_iommu iommu = {0};
	int r;

	iommu.has_dmar = read_table(root, "sys/firmware/acpi/tables/DMAR",
				    pst_host_iommu_dmar_width, &iommu);
	iommu.has_ivrs = read_table(root, "sys/firmware/acpi/tables/IVRS",
				    pst_host_iommu_ivrs_width, &iommu);
	read_units(root, &iommu);
	r = read_groups(root, pci, &iommu);
	if (r < 0)
		return pst_oom(err);
	*ret = iommu;
	return 0;
}

void pst_host_iommu_done(struct pst_host_iommu *iommu)
{
	free(iommu->group);
	*iommu = (struct pst_host_iommu){0};
}

const char *pst_host_iommu_kind_name(enum pst_host_iommu_kind kind)
{
	switch (kind) {
	case PST_HOST_IOMMU_NONE:
		break;
	case PST_HOST_IOMMU_INTEL:
		return "Intel VT-d";
	case PST_HOST_IOMMU_AMD:
		return "AMD-Vi";
	case PST_HOST_IOMMU_OTHER:
		return "IOMMU";
	}
	return "none";
}

size_t pst_host_iommu_closure(const struct pst_host_pci *pci,
			      const struct pst_host_pci_dev *dev,
			      const struct pst_host_pci_dev **ret, size_t max)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n_fn = pst_host_pci_card(pci, dev, fn), i, k, n = 0;

	for (i = 0; i < pci->n; i++) {
		const struct pst_host_pci_dev *d = &pci->dev[i];
		bool in = pst_host_pci_same_card(d, dev);

		for (k = 0; k < n_fn && !in; k++)
			in = d->iommu_group >= 0 &&
			     d->iommu_group == fn[k]->iommu_group;
		if (!in)
			continue;
		if (n < max)
			ret[n] = d;
		n++;
	}
	return n;
}
