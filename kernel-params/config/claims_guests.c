/* SPDX-License-Identifier: MIT */
/* Reads the guests of libvirt and Proxmox that run or start by themselves. */
#include <string.h>

#include "kernel-params/config/claims.h"
#include "kernel-params/syntax/xml_text.h"

/* libvirt takes no longer XML. */
#define XML_MAX    (4U << 20)
#define MAX_GUESTS 256

struct guest {
	char name[48], unit[16];
	uint64_t memory, page; /* page 0: the default size, if huge */
	bool huge, has_card, locks, iommufd;
	const struct pst_host_pci_dev *gpu;
};

static void add(struct pst_host_claims *c, const struct guest *g,
		uint64_t default_page)
{
	const uint64_t page = !g->huge ? 0 : g->page ? g->page : default_page;
	struct pst_host_claim *one = &c->claim[c->n];

	if (g->has_card || !g->memory)
		return;
	/* The last one stands for all that have no room. */
	if (c->n == PST_HOST_CLAIMS) {
		one--;
		if (page > PST_HOST_HUGE_2M)
			return;
		snprintf(one->what, sizeof(one->what), "further guests");
		one->locks |= g->locks;
		if (pst_add_overflow(one->bytes, g->memory, &one->bytes))
			one->bytes = UINT64_MAX;
		return;
	}
	*one = (struct pst_host_claim){
		.is_guest = true,
		.node = -1,
		.bytes = g->memory,
		.page_size = page,
		.locks = g->locks,
		.iommufd = g->iommufd,
	};
	snprintf(one->what, sizeof(one->what), "guest %s", g->name);
	c->n++;
}

/* ---- libvirt ------------------------------------------------------------ */

/* A number with libvirt's unit; KiB if there is none. */
static uint64_t bytes_of(const char *number, const char *unit)
{
	char both[48];
	uint64_t v;

	if (strcmp(unit, "b") == 0 || strcmp(unit, "bytes") == 0)
		unit = "";
	else if (!*unit)
		unit = "KiB";
	snprintf(both, sizeof(both), "%.24s%.15s", number, unit);
	return pst_parse_size(both, &v) == 0 ? v : 0;
}

static bool hex_attr(const struct pst_host_xml *s, const char *name,
		     uint32_t want)
{
	char text[16] = "";
	unsigned int v;

	return pst_host_xml_attr(s, name, text, sizeof(text)) &&
	       sscanf(text, "%x", &v) == 1 && v == want;
}

static bool has_attr(const struct pst_host_xml *s, const char *name,
		     const char *want)
{
	char text[16] = "";

	return pst_host_xml_attr(s, name, text, sizeof(text)) &&
	       strcmp(text, want) == 0;
}

static void take_start(const struct pst_host_xml *s, const char *path,
		       struct guest *g)
{
	char size[24] = "", unit[16] = "";

	if (strcmp(path, "/domain/memory") == 0) {
		(void)pst_host_xml_attr(s, "unit", g->unit, sizeof(g->unit));
	} else if (strcmp(path, "/domain/memoryBacking/hugepages") == 0) {
		g->huge = true;
	} else if (strcmp(path, "/domain/memoryBacking/hugepages/page") == 0) {
		(void)pst_host_xml_attr(s, "unit", unit, sizeof(unit));
		if (!g->page &&
		    pst_host_xml_attr(s, "size", size, sizeof(size)))
			g->page = bytes_of(size, unit);
	} else if (strcmp(path, "/domain/memoryBacking/locked") == 0) {
		g->locks = true;
	} else if (strcmp(path, "/domain/devices/hostdev") == 0) {
		/* VFIO keeps all memory where it is. */
		g->locks |= has_attr(s, "type", "pci") ||
			    has_attr(s, "type", "mdev");
	} else if (strcmp(path, "/domain/devices/hostdev/driver") == 0 ||
		   strcmp(path, "/domain/iommufd") == 0) {
		g->iommufd |= has_attr(s, "iommufd", "yes") ||
			      has_attr(s, "enabled", "yes");
	} else if (strcmp(path, "/domain/devices/hostdev/source/address") ==
		   0) {
		g->has_card =
			g->has_card ||
			(g->gpu && hex_attr(s, "domain", g->gpu->addr.domain) &&
			 hex_attr(s, "bus", g->gpu->addr.bus) &&
			 hex_attr(s, "slot", g->gpu->addr.dev));
	}
}

static void take_text(const struct pst_host_xml *s, const char *path,
		      struct guest *g)
{
	char text[48];
	const char *p = s->begin + strspn(s->begin, " \t\r\n");
	size_t n = p < s->end ? strcspn(p, " \t\r\n<") : 0;

	snprintf(text, sizeof(text), "%.*s", (int)(n < 47 ? n : 47), p);
	if (strcmp(path, "/domain/name") == 0)
		snprintf(g->name, sizeof(g->name), "%s", text);
	else if (strcmp(path, "/domain/memory") == 0)
		g->memory = bytes_of(text, g->unit);
}

/* Elements deeper than the path is long are none that count. */
static void read_domain(const char *xml, struct guest *g)
{
	struct pst_host_xml s = {.end = xml};
	size_t len = 0, deeper = 0;
	char path[128] = "";

	for (pst_host_xml_next(&s);
	     s.kind != PST_HOST_XML_DONE && s.kind != PST_HOST_XML_BAD;
	     pst_host_xml_next(&s)) {
		if (s.kind == PST_HOST_XML_START) {
			if (deeper || len + s.name_len + 2 > sizeof(path)) {
				deeper++;
			} else {
				path[len] = '/';
				memcpy(path + len + 1, s.name, s.name_len);
				len += s.name_len + 1;
				path[len] = '\0';
				take_start(&s, path, g);
			}
		}
		if (s.kind == PST_HOST_XML_TEXT && !deeper)
			take_text(&s, path, g);
		if (s.kind != PST_HOST_XML_END && !s.empty)
			continue;
		if (deeper) {
			deeper--;
			continue;
		}
		while (len && path[len - 1] != '/')
			len--;
		len -= len > 0;
		path[len] = '\0';
	}
}

static bool is_there(const struct pst_host_root *root, const char *dir,
		     const char *name)
{
	char path[PST_HOST_ROOT_PATH_MAX];

	return pst_host_path(path, "%s/%s", dir, name) == 0 &&
	       (pst_host_root_exists(root, path) ||
		pst_host_root_is_link(root, path));
}

static void read_libvirt(const struct pst_host_root *root,
			 uint64_t default_page,
			 const struct pst_host_pci_dev *gpu,
			 struct pst_host_claims *c)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len;

	if (pst_host_root_list(root, "etc/libvirt/qemu", &names) < 0)
		return;
	for (i = 0; i < names.n && i < MAX_GUESTS; i++) {
		PST_CLEANUP_FREE char *xml = NULL;
		const char *const name = names.name[i];
		struct guest g = {.gpu = gpu};

		len = strlen(name);
		if (len < 5 || strcmp(name + len - 4, ".xml") != 0 ||
		    (!is_there(root, "etc/libvirt/qemu/autostart", name) &&
		     !is_there(root, "run/libvirt/qemu", name)) ||
		    pst_host_path(path, "etc/libvirt/qemu/%s", name) < 0 ||
		    pst_host_root_read(root, path, XML_MAX, &xml, &len) < 0)
			continue;
		read_domain(xml, &g);
		add(c, &g, default_page);
	}
}

/* ---- Proxmox ------------------------------------------------------------ */

/* "0000:01:00.0" or "01:00" in "hostpci0: 01:00,pcie=1". */
static bool is_card(const struct pst_host_pci_dev *gpu, const char *value)
{
	struct pst_host_pci_addr a;
	char text[PST_HOST_PCI_ADDR_LEN];
	size_t n = strcspn(value, ",;");

	if (!gpu || n >= sizeof(text) - 2)
		return false;
	snprintf(text, sizeof(text), "%.*s%s", (int)n, value,
		 memchr(value, '.', n) ? "" : ".0");
	return pst_host_pci_addr_parse(text, &a) == 0 &&
	       a.domain == gpu->addr.domain && a.bus == gpu->addr.bus &&
	       a.dev == gpu->addr.dev;
}

/* What follows the first [section] is a snapshot. Returns whether it starts by
 * itself. */
static bool read_pve(char *text, struct guest *g)
{
	char *line, *save, *value;
	bool onboot = false;
	uint64_t v;

	for (line = strtok_r(text, "\n", &save); line && *line != '[';
	     line = strtok_r(NULL, "\n", &save)) {
		value = strstr(line, ": ");
		if (!value || *line == '#')
			continue;
		*value = '\0';
		value += 2;
		value[strcspn(value, " \t\r")] = '\0';
		if (strcmp(line, "onboot") == 0)
			onboot = *value == '1';
		else if (strcmp(line, "name") == 0)
			snprintf(g->name, sizeof(g->name), "%s", value);
		else if (strcmp(line, "memory") == 0 &&
			 pst_parse_u64(value, 0, 1ULL << 40, &v) == 0)
			g->memory = v << 20;
		else if (strcmp(line, "hugepages") == 0) {
			g->huge = true;
			if (pst_parse_u64(value, 1, 1ULL << 20, &v) == 0)
				g->page = v << 20;
		} else if (strncmp(line, "hostpci", 7) == 0) {
			g->locks = true;
			g->has_card = g->has_card || is_card(g->gpu, value);
		}
	}
	return onboot;
}

static void read_proxmox(const struct pst_host_root *root,
			 uint64_t default_page,
			 const struct pst_host_pci_dev *gpu,
			 struct pst_host_claims *c)
{
	static const char dir[] = "etc/pve/qemu-server";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], pid[64];
	size_t i, len;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < MAX_GUESTS; i++) {
		PST_CLEANUP_FREE char *text = NULL;
		/* Proxmox's default. */
		struct guest g = {.gpu = gpu, .memory = 512ULL << 20};
		const size_t n = strcspn(names.name[i], ".");

		if (strcmp(names.name[i] + n, ".conf") != 0 || n > 32 ||
		    pst_host_path(path, "%s/%s", dir, names.name[i]) < 0 ||
		    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX,
				       &text, &len) < 0)
			continue;
		snprintf(g.name, sizeof(g.name), "%.*s", (int)n, names.name[i]);
		snprintf(pid, sizeof(pid), "%.*s.pid", (int)n, names.name[i]);
		if (read_pve(text, &g) ||
		    is_there(root, "run/qemu-server", pid))
			add(c, &g, default_page);
	}
}

void pst_host_claims_guests(const struct pst_host_root *root,
			    uint64_t default_page,
			    const struct pst_host_pci_dev *gpu,
			    struct pst_host_claims *c)
{
	read_libvirt(root, default_page, gpu, c);
	read_proxmox(root, default_page, gpu, c);
}
