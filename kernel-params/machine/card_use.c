/* SPDX-License-Identifier: MIT */
/* Finds out what a host itself uses a card for. */
#include "kernel-params/machine/card_use.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel-params/machine/pci.h"

/* Disks, or interfaces, that are made of others. */
#define MAX_DEPTH 8
#define NAME_SIZE 64
#define SYS_BLOCK "sys/class/block"
#define SYS_NET   "sys/class/net"
/* RTF_UP, linux/route.h; RTF_REJECT of a route that leads nowhere. */
#define ROUTE_UP     0x0001U
#define ROUTE_REJECT 0x0200U

struct search {
	const struct pst_host_root *root;
	const struct pst_host_pci_dev
		*fn[PST_HOST_PCI_MAX_FN]; /* that the host holds */
	size_t n;
	struct pst_host_card_use *use;
};

static void found(const struct search *s, enum pst_host_card_use_kind kind,
		  const struct pst_host_pci_dev *fn, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The first reason counts. */
static void found(const struct search *s, enum pst_host_card_use_kind kind,
		  const struct pst_host_pci_dev *fn, const char *fmt, ...)
{
	va_list ap;

	if (s->use->kind != PST_HOST_CARD_FREE)
		return;
	s->use->kind = kind;
	s->use->fn = fn;
	va_start(ap, fmt);
	vsnprintf(s->use->why, sizeof(s->use->why), fmt, ap);
	va_end(ap);
}

/* The function of the card below which a directory lies, or NULL. */
static const struct pst_host_pci_dev *above(const struct search *s,
					    const char *dir)
{
	const char *p;
	size_t i, len;

	for (i = 0; i < s->n; i++) {
		len = strlen(s->fn[i]->name);
		for (p = dir; (p = strstr(p, s->fn[i]->name)); p += len)
			if ((p == dir || p[-1] == '/') &&
			    (p[len] == '/' || p[len] == '\0'))
				return s->fn[i];
	}
	return NULL;
}

/* A name of /dev or of an interface, which becomes part of a path. */
static bool is_name(const char *name)
{
	return *name && strlen(name) < NAME_SIZE && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* ---- Displays ----------------------------------------------------------- */

/* A connector that this function's DRM driver lights. */
static bool is_lit(const struct pst_host_root *root,
		   const struct pst_host_pci_dev *fn, char ret[NAME_SIZE])
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names cards = {0};
	char dir[PST_HOST_ROOT_PATH_MAX], path[PST_HOST_ROOT_PATH_MAX],
		text[32];
	bool lit = false;
	size_t i, k;

	if (pst_host_path(dir, "%s/drm", fn->path) < 0 ||
	    pst_host_root_list(root, dir, &cards) < 0)
		return false;
	for (i = 0; i < cards.n && !lit; i++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names parts = {0};

		if (strncmp(cards.name[i], "card", 4) != 0 ||
		    pst_host_path(path, "%s/%s", dir, cards.name[i]) < 0 ||
		    pst_host_root_list(root, path, &parts) < 0)
			continue;
		for (k = 0; k < parts.n && !lit; k++) {
			lit = pst_host_path(path, "%s/%s/%s/enabled", dir,
					    cards.name[i],
					    parts.name[k]) == 0 &&
			      pst_host_root_read_text(root, path, text,
						      sizeof(text)) > 0 &&
			      strcmp(text, "enabled") == 0;
			if (lit)
				snprintf(ret, NAME_SIZE, "%s", parts.name[k]);
		}
	}
	return lit;
}

static void find_display(const struct search *s,
			 const struct pst_host_display *d)
{
	const struct pst_host_pci_dev *fn;
	char name[NAME_SIZE];
	size_t i;

	for (i = 0; i < s->n; i++) {
		fn = s->fn[i];
		if (is_lit(s->root, fn, name))
			found(s, PST_HOST_CARD_DISPLAY, fn, "it lights %s",
			      name);
		else if (*d->connected &&
			 pst_host_pci_addr_cmp(&fn->addr, &d->connected_addr) ==
				 0)
			found(s, PST_HOST_CARD_DISPLAY, fn, "it lights %s",
			      d->connected);
		else if (fn->boot_vga)
			found(s, PST_HOST_CARD_DISPLAY, fn,
			      "the firmware shows its picture there");
	}
}

/* ---- Disks -------------------------------------------------------------- */

static void follow_disk(const struct search *s, const char *name,
			const char *what, int depth);
static void find_any_interface(const struct search *s, const char *what);

/* Of NVMe with several paths the controllers, else nothing. */
static void follow_paths(const struct search *s, const char *dir,
			 const char *what, const char *name)
{
	const char *sub = strstr(dir, "/nvme-subsys");
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], to[PST_HOST_ROOT_PATH_MAX];
	const struct pst_host_pci_dev *fn;
	size_t i;

	if (!sub || pst_host_path(path, "%.*s", (int)(strrchr(dir, '/') - dir),
				  dir) < 0)
		return;
	if (pst_host_root_list(s->root, path, &names) < 0)
		return;
	for (i = 0; i < names.n; i++) {
		if (strncmp(names.name[i], "nvme", 4) != 0 ||
		    pst_host_path(path, "%.*s/%s",
				  (int)(strrchr(dir, '/') - dir), dir,
				  names.name[i]) < 0 ||
		    pst_host_root_dir(s->root, path, to, sizeof(to)) < 0)
			continue;
		fn = above(s, to);
		if (fn)
			found(s, PST_HOST_CARD_DISK, fn, "%s on %s", what,
			      name);
	}
}

/* What a disk, a partition or a made-up disk consists of. */
static void follow_parts(const struct search *s, const char *name,
			 const char *what, int depth)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (pst_host_path(path, SYS_BLOCK "/%s/slaves", name) < 0 ||
	    pst_host_root_list(s->root, path, &names) < 0)
		return;
	for (i = 0; i < names.n; i++)
		follow_disk(s, names.name[i], what, depth + 1);
}

/* Whether a disk comes over the network: iSCSI, NVMe over TCP, nbd, Ceph. */
static bool is_remote(const char *name, const char *dir)
{
	return strstr(dir, "/session") || strstr(dir, "/nvme-fabrics/") ||
	       strncmp(name, "nbd", 3) == 0 || strncmp(name, "rbd", 3) == 0;
}

static void follow_disk(const struct search *s, const char *name,
			const char *what, int depth)
{
	char path[PST_HOST_ROOT_PATH_MAX], dir[PST_HOST_ROOT_PATH_MAX], *end;
	const struct pst_host_pci_dev *fn;

	if (depth > MAX_DEPTH || !is_name(name) ||
	    pst_host_path(path, SYS_BLOCK "/%s", name) < 0 ||
	    pst_host_root_dir(s->root, path, dir, sizeof(dir)) < 0)
		return;
	fn = above(s, dir);
	if (fn) {
		found(s, PST_HOST_CARD_DISK, fn, "%s on %s", what, name);
		return;
	}
	if (is_remote(name, dir))
		find_any_interface(s, what);
	follow_parts(s, name, what, depth);
	/* A partition's directory lies in its disk's. */
	end = strrchr(dir, '/');
	if (end &&
	    pst_host_path(path, "%.*s/slaves", (int)(end - dir), dir) == 0 &&
	    pst_host_root_exists(s->root, path)) {
		*end = '\0';
		end = strrchr(dir, '/');
		follow_parts(s, end ? end + 1 : dir, what, depth);
		follow_paths(s, dir, what, name);
		return;
	}
	follow_paths(s, dir, what, name);
}

/* The disk of /dev/mapper/NAME, where the tree has no link there. */
static void follow_mapper(const struct search *s, const char *name,
			  const char *what)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], text[256];
	size_t i;

	if (pst_host_root_list(s->root, SYS_BLOCK, &names) < 0)
		return;
	for (i = 0; i < names.n; i++)
		if (strncmp(names.name[i], "dm-", 3) == 0 &&
		    pst_host_path(path, SYS_BLOCK "/%s/dm/name",
				  names.name[i]) == 0 &&
		    pst_host_root_read_text(s->root, path, text, sizeof(text)) >
			    0 &&
		    strcmp(text, name) == 0)
			follow_disk(s, names.name[i], what, 0);
}

/* A source of a mount table, "/dev/sda1". */
static void follow_source(const struct search *s, const char *source,
			  const char *what)
{
	char name[256], path[PST_HOST_ROOT_PATH_MAX];
	struct stat st;

	if (strncmp(source, "/dev/", 5) != 0)
		return;
	/* What the kernel mounted itself has a name that is nowhere. */
	if (strcmp(source, "/dev/root") == 0 && s->root->live &&
	    pst_host_root_stat(s->root, what, &st) == 0 &&
	    pst_host_path(path, "sys/dev/block/%u:%u", major(st.st_dev),
			  minor(st.st_dev)) == 0 &&
	    pst_host_root_link_name(s->root, path, name, sizeof(name)) > 0) {
		follow_disk(s, name, what, 0);
		return;
	}
	if (strncmp(source, "/dev/mapper/", 12) == 0)
		follow_mapper(s, source + 12, what);
	/* /dev/disk/by-uuid/..., /dev/vg/lv, /dev/root. */
	if (pst_host_root_link_name(s->root, source, name, sizeof(name)) > 0)
		follow_disk(s, name, what, 0);
	else
		follow_disk(s, source + 5, what, 0);
}

/* Further disks of a btrfs, of which the mount table names one. */
static void find_btrfs(const struct search *s)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names fs = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, k;

	if (pst_host_root_list(s->root, "sys/fs/btrfs", &fs) < 0)
		return;
	for (i = 0; i < fs.n; i++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names disks = {0};

		if (pst_host_path(path, "sys/fs/btrfs/%s/devices", fs.name[i]) <
			    0 ||
		    pst_host_root_list(s->root, path, &disks) < 0)
			continue;
		for (k = 0; k < disks.n; k++)
			follow_disk(s, disks.name[k], "a mounted btrfs", 0);
	}
}

/* Any disk of the card, for pools whose members are not shown. */
static void find_any_disk(const struct search *s, const char *what)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i;

	if (pst_host_root_list(s->root, SYS_BLOCK, &names) < 0)
		return;
	for (i = 0; i < names.n; i++)
		follow_disk(s, names.name[i], what, MAX_DEPTH);
}

/* Disks of one file system, with colons between (bcachefs). */
static void follow_sources(const struct search *s, char *sources,
			   const char *what)
{
	char *one, *rest = sources;

	while ((one = strsep(&rest, ":")))
		follow_source(s, one, what);
}

static bool is_network(const char *type)
{
	return strcmp(type, "nfs") == 0 || strcmp(type, "nfs4") == 0 ||
	       strcmp(type, "cifs") == 0 || strcmp(type, "smb3") == 0 ||
	       strcmp(type, "ceph") == 0;
}

static void find_mounts(const struct search *s)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save, source[512], where[100], type[32], what[120];
	size_t len;

	if (pst_host_root_read(s->root, "proc/mounts", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%511s %99s %31s", source, where, type) != 3)
			continue;
		snprintf(what, sizeof(what), "%s", where);
		if (strcmp(type, "zfs") == 0)
			find_any_disk(s, "perhaps a ZFS pool");
		else if (is_network(type))
			find_any_interface(s, what);
		else if (strcmp(type, "bcachefs") == 0)
			follow_sources(s, source, what);
		else
			follow_source(s, source, what);
	}
}

static void find_swaps(const struct search *s)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save, source[512];
	size_t len;

	if (pst_host_root_read(s->root, "proc/swaps", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%511s", source) == 1)
			follow_source(s, source, "swap");
}

/* ---- Routes ------------------------------------------------------------- */

static void follow_interface(const struct search *s, const char *name,
			     const char *what, int depth)
{
	char path[PST_HOST_ROOT_PATH_MAX], dir[PST_HOST_ROOT_PATH_MAX];
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	const struct pst_host_pci_dev *fn;
	size_t i;

	if (depth > MAX_DEPTH || !is_name(name))
		return;
	if (pst_host_path(path, SYS_NET "/%s", name) == 0 &&
	    pst_host_root_dir(s->root, path, dir, sizeof(dir)) == 0) {
		fn = above(s, dir);
		if (fn)
			found(s, PST_HOST_CARD_NETWORK, fn, "%s by %s", what,
			      name);
	}
	/* Of a tree whose interfaces are no links. */
	if (pst_host_path(path, SYS_NET "/%s/device", name) == 0 &&
	    pst_host_root_dir(s->root, path, dir, sizeof(dir)) == 0) {
		fn = above(s, dir);
		if (fn)
			found(s, PST_HOST_CARD_NETWORK, fn, "%s by %s", what,
			      name);
	}
	if (pst_host_path(path, SYS_NET "/%s", name) < 0 ||
	    pst_host_root_list(s->root, path, &names) < 0)
		return;
	for (i = 0; i < names.n; i++)
		if (strncmp(names.name[i], "lower_", 6) == 0)
			follow_interface(s, names.name[i] + 6, what, depth + 1);
}

/* Any interface that is up, by which what is mounted may come. */
static void find_any_interface(const struct search *s, const char *what)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], state[32], text[160];
	size_t i;

	snprintf(text, sizeof(text), "perhaps %s, over the network,", what);
	if (pst_host_root_list(s->root, SYS_NET, &names) < 0)
		return;
	for (i = 0; i < names.n; i++)
		if (pst_host_path(path, SYS_NET "/%s/operstate",
				  names.name[i]) < 0 ||
		    pst_host_root_read_text(s->root, path, state,
					    sizeof(state)) <= 0 ||
		    strcmp(state, "down") != 0)
			follow_interface(s, names.name[i], text, 0);
}

/* proc/net/route: interface, destination, gateway, flags in hexadecimal. */
static void find_route4(const struct search *s)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save, name[NAME_SIZE];
	unsigned int flags;
	uint32_t to, mask;
	size_t len;

	if (pst_host_root_read(s->root, "proc/net/route",
			       PST_HOST_ROOT_TEXT_MAX, &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%63s %" SCNx32 " %*x %x %*d %*d %*d %" SCNx32,
			   name, &to, &flags, &mask) == 4 &&
		    to == 0 && mask == 0 && flags & ROUTE_UP &&
		    !(flags & ROUTE_REJECT))
			follow_interface(s, name, "the default route (IPv4)",
					 0);
}

/* proc/net/ipv6_route: destination, its length, source, its length, next hop,
 * metric, two counters, flags, interface. */
static void find_route6(const struct search *s)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save, name[NAME_SIZE], to[40];
	unsigned int bits, flags;
	size_t len;

	if (pst_host_root_read(s->root, "proc/net/ipv6_route",
			       PST_HOST_ROOT_TEXT_MAX, &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%39s %x %*s %*x %*s %*x %*x %*x %x %63s", to,
			   &bits, &flags, name) == 4 &&
		    strspn(to, "0") == strlen(to) && bits == 0 &&
		    flags & ROUTE_UP && !(flags & ROUTE_REJECT))
			follow_interface(s, name, "the default route (IPv6)",
					 0);
}

/* ---- All of it ---------------------------------------------------------- */

static bool is_gpu(const struct pst_host_pci_dev *fn)
{
	/* PCI Code and ID Assignment specification, section 1: display
	 * controllers, processing accelerators. */
	return pst_host_pci_is_display(fn) || fn->class >> 16 == 0x12;
}

void pst_host_card_use_find(const struct pst_host_root *root,
			    const struct pst_host_pci *pci,
			    const struct pst_host_display *display,
			    const struct pst_host_pci_dev *dev,
			    struct pst_host_card_use *ret)
{
	const struct pst_host_pci_dev *card[PST_HOST_PCI_MAX_FN];
	struct search s = {.root = root, .use = ret};
	const size_t n = pst_host_pci_card(pci, dev, card);
	bool gpu = false;
	size_t i;

	*ret = (struct pst_host_card_use){.kind = PST_HOST_CARD_FREE};
	for (i = 0; i < n; i++) {
		gpu |= is_gpu(card[i]);
		if (!pst_host_pci_is_given(card[i]))
			s.fn[s.n++] = card[i];
	}
	find_mounts(&s);
	find_btrfs(&s);
	find_swaps(&s);
	find_route4(&s);
	find_route6(&s);
	find_display(&s, display);
	if (!gpu)
		found(&s, PST_HOST_CARD_NO_GPU, dev,
		      "its kind is %s (class %06x)", pst_host_pci_kind(dev),
		      (unsigned int)dev->class);
}
