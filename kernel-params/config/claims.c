/* SPDX-License-Identifier: MIT */
/* What of a host's memory others take. */
#include "kernel-params/config/claims.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "kernel-params/config/conf_lines.h"
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/syntax/cmdline.h"

/* More pages are no setting but a typing error. */
#define MAX_PAGES (1ULL << 40)

static uint64_t times(uint64_t n, uint64_t size)
{
	uint64_t bytes;

	return pst_mul_overflow(n, size, &bytes) ? UINT64_MAX : bytes;
}

static void add_to(uint64_t *sum, uint64_t bytes)
{
	if (pst_add_overflow(*sum, bytes, sum))
		*sum = UINT64_MAX;
}

/* A pool of that size and node is at least as large. */
static void claim_pool(struct pst_host_claims *c, uint64_t size, int node,
		       uint64_t pages)
{
	struct pst_host_claim *p = c->claim, *end = c->claim + c->n;

	if (!pages || !size || size == PST_HOST_HUGE_2M)
		return;
	while (p < end &&
	       (p->is_guest || p->page_size != size || p->node != node))
		p++;
	if (p == end) {
		if (c->n == PST_HOST_CLAIMS)
			return;
		c->n++;
		*p = (struct pst_host_claim){.page_size = size, .node = node};
	}
	if (times(pages, size) <= p->bytes)
		return;
	p->bytes = times(pages, size);
	snprintf(p->what, sizeof(p->what),
		 "%" PRIu64 " pages of %" PRIu64 " %s", pages,
		 size >= PST_HOST_HUGE_1G ? size >> 30 : size >> 10,
		 size >= PST_HOST_HUGE_1G ? "GiB" : "KiB");
}

/* ---- Command lines ------------------------------------------------------ */

/* Sizes on one command line; x86 has two, arm64 four. */
#define MAX_SIZES 8

void pst_host_claims_cmdline(struct pst_host_claims *c, const char *text,
			     bool by_node)
{
	struct pst_host_pool_count count[PST_HOST_POOL_COUNTS];
	uint64_t seen[MAX_SIZES];
	struct pst_host_pool_reader reader;
	const struct pst_host_param *p;
	struct pst_host_cmdline line;
	size_t n_seen = 0, i, k;
	int n;

	if (pst_host_cmdline_parse(text, strlen(text), &line) < 0)
		return;
	p = pst_host_cmdline_get(&line, "default_hugepagesz");
	pst_host_pool_begin(&reader, p ? p->value : NULL);
	for (i = 0; i < line.n; i++) {
		p = &line.param[i];
		(void)pst_host_pool_next(&reader, p->name, p->value);
		if (strcmp(p->name, "hugepages") != 0 || !p->value)
			continue;
		for (k = 0; k < n_seen && seen[k] != reader.size; k++)
			;
		if (k < n_seen || n_seen == MAX_SIZES)
			continue;
		seen[n_seen++] = reader.size;
		n = pst_host_pool_counts(p->value, by_node, count);
		while (n-- > 0)
			claim_pool(c, reader.size, count[n].node,
				   count[n].pages);
	}
	pst_host_cmdline_done(&line);
}

void pst_host_claims_file(struct pst_host_claims *c, const char *text,
			  bool by_node)
{
	PST_CLEANUP_FREE char *copy = strdup(text);
	char *line, *save, *p;

	for (line = copy ? strtok_r(copy, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (*line == '#' || !strstr(line, "hugepages="))
			continue;
		for (p = line; (p = strpbrk(p, "\"'()\r"));)
			*p = ' ';
		pst_host_claims_cmdline(c, line, by_node);
	}
}

/* ---- Settings ----------------------------------------------------------- */

static void claim_setting(struct pst_host_claims *c, uint64_t size, int node,
			  uint64_t pages, const char *path, const char *line)
{
	if (size != PST_HOST_HUGE_2M) {
		claim_pool(c, size, node, pages);
		return;
	}
	if (node >= 0)
		return;
	c->later_pages = pages;
	snprintf(c->later, sizeof(c->later), "%.80s: %.70s", path, line);
}

/* "vm.nr_hugepages = 8", with "/" for "." and "-" before it. */
static void take_sysctl(struct pst_host_claims *c, uint64_t default_page,
			const char *path, const char *line)
{
	const char *p = line + (*line == '-');
	char value[24];
	uint64_t pages;

	if (strncmp(p, "vm", 2) != 0 || (p[2] != '.' && p[2] != '/') ||
	    strncmp(p + 3, "nr_hugepages", 12) != 0)
		return;
	p += 15;
	p += strspn(p, " \t");
	if (*p++ != '=')
		return;
	p += strspn(p, " \t");
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, " \t\r"), p);
	if (pst_parse_u64(value, 0, MAX_PAGES, &pages) == 0)
		claim_setting(c, default_page, -1, pages, path, line);
}

/* "w /sys/.../hugepages-1048576kB/nr_hugepages - - - - 8". */
static void take_tmpfiles(struct pst_host_claims *c, const char *path,
			  const char *line)
{
	const char *at = strstr(line, "/hugepages-"), *node;
	const char *last = strrchr(line, ' '), *tab = strrchr(line, '\t');
	unsigned long long kib;
	uint64_t pages;
	int end = 0, n = -1;

	last = tab && tab > last ? tab : last;
	if (*line != 'w' || !at || !last ||
	    sscanf(at, "/hugepages-%10llukB/nr_hugepages%n", &kib, &end) != 1 ||
	    !end || pst_parse_u64(last + 1, 0, MAX_PAGES, &pages) < 0)
		return;
	node = strstr(line, "/node/node");
	if (node && sscanf(node, "/node/node%4d", &n) != 1)
		return;
	claim_setting(c, (uint64_t)kib << 10, n, pages, path, line);
}

/* "w /proc/sys/vm/nr_hugepages - - - - 8" of tmpfiles.d, and of a script "echo
 * 8 >/proc/sys/vm/nr_hugepages" or "sysctl -w vm.nr_hugepages=8". */
static void take_default(struct pst_host_claims *c, uint64_t default_page,
			 const char *path, const char *line)
{
	static const char pool[] = "/proc/sys/vm/nr_hugepages";
	static const char echo[] = "echo ", sysctl[] = " vm.nr_hugepages=";
	const char *last = line + strlen(line);
	const char *p = strstr(line, sysctl), *run = strstr(line, "sysctl ");
	char value[24];
	uint64_t pages;

	while (last > line && !isblank((unsigned char)last[-1]))
		last--;
	if (*line == '#')
		return;
	if (p && run && run < p)
		p += strlen(sysctl);
	else if (!strstr(line, pool))
		return;
	else if (strncmp(line, echo, strlen(echo)) == 0)
		p = line + strlen(echo);
	else
		p = *line == 'w' ? last : "";
	snprintf(value, sizeof(value), "%.*s", (int)strspn(p, "0123456789"), p);
	if (pst_parse_u64(value, 0, MAX_PAGES, &pages) == 0)
		claim_setting(c, default_page, -1, pages, path, line);
}

struct settings {
	uint64_t default_page;
	struct pst_host_claims *claims;
};

static void take_line(void *ctx, const char *path, char *line)
{
	const struct settings *s = ctx;

	take_sysctl(s->claims, s->default_page, path, line);
	take_tmpfiles(s->claims, path, line);
	take_default(s->claims, s->default_page, path, line);
}

/* The *.conf of sysctl.d or tmpfiles.d in the order of their names, as both
 * programs read them; of those with one name the first place's. Ours is what
 * the plan writes. */
static void read_dirs(const struct pst_host_root *root, const char *what,
		      struct settings *s)
{
	static const char *const places[] = {"etc", "run", "usr/local/lib",
					     "usr/lib"};
	struct pst_host_names dir[PST_ARRAY_SIZE(places)] = {0};
	size_t at[PST_ARRAY_SIZE(places)] = {0}, d, first, n;
	char path[PST_HOST_ROOT_PATH_MAX];
	const char *name;

	for (d = 0; d < PST_ARRAY_SIZE(places); d++)
		if (pst_host_path(path, "%s/%s", places[d], what) < 0 ||
		    pst_host_root_list(root, path, &dir[d]) < 0)
			dir[d] = (struct pst_host_names){0};
	for (n = 0; n < PST_HOST_ROOT_CONF_FILES; n++) {
		name = NULL;
		first = 0;
		for (d = 0; d < PST_ARRAY_SIZE(places); d++)
			if (at[d] < dir[d].n &&
			    (!name || strcmp(dir[d].name[at[d]], name) < 0)) {
				name = dir[d].name[at[d]];
				first = d;
			}
		if (!name)
			break;
		for (d = 0; d < PST_ARRAY_SIZE(places); d++)
			at[d] += at[d] < dir[d].n &&
				 strcmp(dir[d].name[at[d]], name) == 0;
		if (pst_host_conf_is_name(name) && !strstr(name, "penstock") &&
		    pst_host_path(path, "%s/%s/%s", places[first], what,
				  name) == 0)
			pst_host_conf_lines(root, path, take_line, s);
	}
	for (d = 0; d < PST_ARRAY_SIZE(places); d++)
		pst_host_names_done(&dir[d]);
}

static void read_settings(const struct pst_host_root *root,
			  uint64_t default_page, struct pst_host_claims *c)
{
	struct settings s = {default_page, c};

	read_dirs(root, "sysctl.d", &s);
	pst_host_conf_lines(root, "etc/sysctl.conf", take_line, &s);
	read_dirs(root, "tmpfiles.d", &s);
	pst_host_conf_lines(root, "etc/rc.local", take_line, &s);
}

/* Pools that are there, and that nothing read so far explains. */
static void read_pools(const struct pst_host_memory *m,
		       struct pst_host_claims *c)
{
	size_t i, k;

	for (i = 0; i < m->n_pools; i++) {
		const struct pst_host_hugepool *p = &m->pool[i];
		uint64_t known = 0;

		if (p->node >= 0)
			continue;
		for (k = 0; k < c->n; k++)
			if (!c->claim[k].is_guest && c->claim[k].node >= 0 &&
			    c->claim[k].page_size == p->page_size)
				add_to(&known, c->claim[k].bytes);
		if (known < times(p->nr, p->page_size))
			claim_pool(c, p->page_size, -1,
				   p->nr - known / p->page_size);
	}
}

void pst_host_claims_scan(const struct pst_host_root *root,
			  const struct pst_host_memory *m,
			  const struct pst_host_pci_dev *gpu,
			  struct pst_host_claims *ret)
{
	const uint64_t page =
		m->default_hugepage ? m->default_hugepage : PST_HOST_HUGE_2M;

	*ret = (struct pst_host_claims){0};
	read_settings(root, page, ret);
	read_pools(m, ret);
	pst_host_claims_guests(root, page, gpu, ret);
}

/* ---- Sums --------------------------------------------------------------- */

uint64_t pst_host_claims_locked(const struct pst_host_claims *c, bool by_user,
				char text[PST_HOST_CLAIM_TEXT])
{
	uint64_t sum = 0;
	size_t i, len = 0;

	*text = '\0';
	for (i = 0; i < c->n; i++) {
		const struct pst_host_claim *one = &c->claim[i];

		if (!one->locks || (by_user && !one->iommufd))
			continue;
		add_to(&sum, one->bytes);
		if (len < PST_HOST_CLAIM_TEXT - PST_HOST_CLAIM_WHAT - 40)
			len += (size_t)snprintf(
				text + len, PST_HOST_CLAIM_TEXT - len,
				"%s%s: %" PRIu64 " MiB", len ? ", " : "",
				one->what, one->bytes >> 20);
	}
	return sum;
}

uint64_t pst_host_claims_small(const struct pst_host_claims *c)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->claim[i].is_guest &&
		    c->claim[i].page_size == PST_HOST_HUGE_2M)
			add_to(&sum, c->claim[i].bytes);
	return sum;
}

uint64_t pst_host_claims_others(const struct pst_host_claims *c, int node,
				unsigned int n_nodes,
				char text[PST_HOST_CLAIM_TEXT])
{
	uint64_t sum = 0, bytes;
	size_t i, len = 0;

	*text = '\0';
	for (i = 0; i < c->n; i++) {
		const struct pst_host_claim *one = &c->claim[i];

		/* A guest of large pages takes those of their pool. */
		if (one->is_guest &&
		    (node >= 0 || one->page_size > PST_HOST_HUGE_2M))
			continue;
		if (node >= 0 && one->node >= 0 && one->node != node)
			continue;
		bytes = node >= 0 && one->node < 0 && n_nodes
				? one->bytes / n_nodes
				: one->bytes;
		add_to(&sum, bytes);
		if (len < PST_HOST_CLAIM_TEXT - PST_HOST_CLAIM_WHAT - 40)
			len += (size_t)snprintf(
				text + len, PST_HOST_CLAIM_TEXT - len,
				"%s%s: %" PRIu64 " MiB", len ? ", " : "",
				one->what, bytes >> 20);
		else if (text[len - 1] != '.')
			len += (size_t)snprintf(
				text + len, PST_HOST_CLAIM_TEXT - len, ", ...");
	}
	return sum;
}
