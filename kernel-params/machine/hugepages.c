/* SPDX-License-Identifier: MIT */
/* Reads hugepage pools and meminfo. */
#include "kernel-params/machine/hugepages.h"

#include <inttypes.h>
#include <string.h>

#include "kernel-params/machine/cpu.h"

/* The most nodes and pools that are read; no machine has as many. */
#define MAX_NODES 1024
#define MAX_POOLS 4096
/* Sizes of pages of one node; x86 has two, arm64 up to four. */
#define MAX_SIZES 32
/* Of one pool: more would be more bytes than 2^63 with pages of 2 MiB. */
#define MAX_PAGES (1ULL << 40)

static uint64_t count(const struct pst_host_root *root, const char *dir,
		      const char *attr)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t v;

	if (pst_host_path(path, "%s/%s", dir, attr) < 0 ||
	    pst_host_root_read_u64(root, path, 10, &v) < 0 || v > MAX_PAGES)
		return UINT64_MAX;
	return v;
}

static uint64_t or_zero(uint64_t v)
{
	return v == UINT64_MAX ? 0 : v;
}

/* "hugepages-2048kB" in bytes, 0 for another name. */
static uint64_t size_of_name(const char *name)
{
	static const char prefix[] = "hugepages-";
	char digits[16] = "";
	uint64_t kib;
	size_t n;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return 0;
	name += strlen(prefix);
	n = strspn(name, "0123456789");
	if (n == 0 || n >= sizeof(digits) || strcmp(name + n, "kB") != 0)
		return 0;
	memcpy(digits, name, n);
	/* At most 1 TiB a page. */
	if (pst_parse_u64(digits, 1, 1ULL << 30, &kib) < 0)
		return 0;
	return kib << 10;
}

static int read_pools(const struct pst_host_root *root, const char *dir,
		      int node, struct pst_host_memory *m)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	struct pst_host_hugepool *more;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (pst_host_root_list(root, dir, &names) < 0)
		return 0;
	more = realloc(m->pool, (m->n_pools + MAX_SIZES) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->pool = more;
	for (i = 0; i < names.n && i < MAX_SIZES && m->n_pools < MAX_POOLS;
	     i++) {
		struct pst_host_hugepool p = {
			.page_size = size_of_name(names.name[i]),
			.node = node,
		};

		if (!p.page_size ||
		    pst_host_path(path, "%s/%s", dir, names.name[i]) < 0)
			continue;
		p.nr = count(root, path, "nr_hugepages");
		p.free = count(root, path, "free_hugepages");
		if (p.nr == UINT64_MAX || p.free == UINT64_MAX)
			continue;
		p.surplus = or_zero(count(root, path, "surplus_hugepages"));
		p.resv = or_zero(count(root, path, "resv_hugepages"));
		m->pool[m->n_pools++] = p;
	}
	return 0;
}

/* "MemTotal:  123 kB" in bytes; 0 when the line is not there. */
static uint64_t meminfo(const char *text, const char *key)
{
	size_t n = strlen(key);
	const char *p = text;
	uint64_t kib;

	while (p && *p) {
		if (strncmp(p, key, n) == 0 && p[n] == ':') {
			p += n + 1;
			p += strspn(p, " \t");
			if (sscanf(p, "%15" SCNu64, &kib) != 1)
				return 0;
			return kib << 10;
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return 0;
}

static int read_node_total(const struct pst_host_root *root, int node,
			   struct pst_host_memory *m)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_node_memory *more;
	char path[PST_HOST_ROOT_PATH_MAX], key[32];
	uint64_t total;
	size_t len;

	if (pst_host_path(path, "sys/devices/system/node/node%d/meminfo",
			  node) < 0 ||
	    pst_host_root_read(root, path, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return 0;
	snprintf(key, sizeof(key), "Node %d MemTotal", node);
	total = meminfo(text, key);
	if (!total)
		return 0;
	more = realloc(m->node, (m->n_nodes + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->node = more;
	m->node[m->n_nodes++] =
		(struct pst_host_node_memory){.node = node, .total = total};
	return 0;
}

static int read_nodes(const struct pst_host_root *root,
		      struct pst_host_memory *m)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t node;
	size_t i;
	int r = 0;

	if (pst_host_root_list(root, "sys/devices/system/node", &names) < 0)
		return 0;
	for (i = 0; i < names.n && i < MAX_NODES && r == 0; i++) {
		if (strncmp(names.name[i], "node", 4) != 0 ||
		    pst_parse_u64(names.name[i] + 4, 0, PST_HOST_CPU_MAX - 1,
				  &node) < 0 ||
		    pst_host_path(path, "sys/devices/system/node/%s/hugepages",
				  names.name[i]) < 0)
			continue;
		r = read_pools(root, path, (int)node, m);
		if (r == 0)
			r = read_node_total(root, (int)node, m);
	}
	return r;
}

int pst_host_memory_scan(const struct pst_host_root *root,
			 struct pst_host_memory *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_memory m = {0};
	size_t len;
	int r;

	if (pst_host_root_read(root, "proc/meminfo", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) == 0) {
		m.total = meminfo(text, "MemTotal");
		m.default_hugepage = meminfo(text, "Hugepagesize");
	}
	r = read_pools(root, "sys/kernel/mm/hugepages", -1, &m);
	if (r == 0)
		r = read_nodes(root, &m);
	if (r < 0) {
		pst_host_memory_done(&m);
		return pst_oom(err);
	}
	*ret = m;
	return 0;
}

void pst_host_memory_done(struct pst_host_memory *m)
{
	free(m->pool);
	free(m->node);
	*m = (struct pst_host_memory){0};
}

const struct pst_host_hugepool *
pst_host_memory_pool(const struct pst_host_memory *m, uint64_t page_size,
		     int node)
{
	size_t i;

	for (i = 0; i < m->n_pools; i++)
		if (m->pool[i].page_size == page_size &&
		    m->pool[i].node == node)
			return &m->pool[i];
	return NULL;
}

uint64_t pst_host_memory_of_node(const struct pst_host_memory *m, int node)
{
	size_t i;

	for (i = 0; i < m->n_nodes; i++)
		if (m->node[i].node == node)
			return m->node[i].total;
	return 0;
}

static uint64_t times(uint64_t n, uint64_t page_size)
{
	uint64_t bytes;

	return pst_mul_overflow(n, page_size, &bytes) ? UINT64_MAX : bytes;
}

uint64_t pst_host_hugepool_unused(const struct pst_host_hugepool *p)
{
	if (!p || p->free <= p->resv)
		return 0;
	return times(p->free - p->resv, p->page_size);
}

uint64_t pst_host_hugepool_size(const struct pst_host_hugepool *p)
{
	return p ? times(p->nr, p->page_size) : 0;
}
