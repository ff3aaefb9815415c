/* SPDX-License-Identifier: MIT */
/* Checks of memory: hugepages, their mount, region files, the lock limit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel-params/check/check_int.h"

/* libvirt adds as much to a domain's limit for what QEMU itself locks. */
#define LOCK_EXTRA (1ULL << 30)

/* Short where sizes were asked for, else only worth a word. */
static enum pst_host_finding_status short_of(const struct pst_host *h)
{
	return h->request.sizes_given ? PST_HOST_FAIL : PST_HOST_WARN;
}

static void wanted_text(const struct pst_host *h, struct pst_host_text *t)
{
	pst_host_text_add(t, "%.4g GiB for the guest and %.4g for the region",
			  pst_host_gib(h->request.vm_memory),
			  pst_host_gib(h->request.region));
}

/* The node that has to have the pages, as the plan does it; -1: any. */
static int pool_node(const struct pst_host *h)
{
	return pst_host_cpuset_count(&h->cpu.nodes) > 1 && h->gpu
		       ? h->gpu->numa_node
		       : -1;
}

/* What has to come out of the memory beside the pools that others have: the
 * guest can have pages of 1 GiB. */
static uint64_t small_bytes(const struct pst_host *h)
{
	return pst_host_hugepool_size(pst_host_memory_pool(
		       &h->memory, PST_HOST_HUGE_1G, -1)) >=
			       h->request.vm_memory
		       ? h->request.region
		       : pst_host_wanted_bytes(h);
}

PST_HOST_CHECK(memory_total)
{
	struct pst_host_text t = {0};
	struct pst_host_room room;

	wanted_text(h, &t);
	pst_host_room_judge(h, &h->claims, pool_node(h), small_bytes(h), &room);
	if (*room.why)
		pst_host_text_add(&t, " beside what others take (%s)",
				  room.why);
	if (!h->memory.total)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "look into /proc/meminfo there",
				     "proc/meminfo was not seen");
	else if (room.state == PST_HOST_ROOM_NONE)
		pst_host_finding_add(out, short_of(h), "give the guest less",
				     "%s has %.4g GiB, %s are wanted",
				     room.where, pst_host_gib(room.total),
				     t.buf);
	else if (room.state == PST_HOST_ROOM_LITTLE)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "leave the host an eighth of the memory",
				     "%s has %.4g GiB, %s leave little",
				     room.where, pst_host_gib(room.total),
				     t.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%.4g GiB",
				     pst_host_gib(h->memory.total));
}

/* Whether pools of a node (-1: all) hold guest and region; by free or by size.
 */
static bool pools_hold(const struct pst_host *h, int node,
		       uint64_t (*bytes)(const struct pst_host_hugepool *))
{
	uint64_t small =
		bytes(pst_host_memory_pool(&h->memory, PST_HOST_HUGE_2M, node));
	uint64_t large =
		bytes(pst_host_memory_pool(&h->memory, PST_HOST_HUGE_1G, node));

	/* The region cannot use pages of 1 GiB, the guest can. */
	return small >= pst_host_wanted_bytes(h) ||
	       (small >= h->request.region && large >= h->request.vm_memory);
}

static void pools_text(const struct pst_host *h, int node,
		       struct pst_host_text *t)
{
	size_t i;

	for (i = 0; i < h->memory.n_pools; i++) {
		const struct pst_host_hugepool *p = &h->memory.pool[i];

		if (p->node != node ||
		    (!p->nr && p->page_size != PST_HOST_HUGE_2M))
			continue;
		pst_host_text_add(t,
				  "%s%" PRIu64 " pages of %" PRIu64
				  " MiB, %" PRIu64 " free",
				  t->len ? "; " : "", p->nr, p->page_size >> 20,
				  p->free);
	}
	if (!t->len)
		pst_host_text_add(t, "no pool of hugepages");
}

static void fix_pages(const struct pst_host *h, int node,
		      struct pst_host_text *fix)
{
	uint64_t pages = pst_host_wanted_bytes(h) / PST_HOST_HUGE_2M;
	char params[PST_HOST_POOL_TEXT_LEN], plan[96];

	if (node >= 0) {
		pst_host_text_add(
			fix,
			"write %" PRIu64
			" to /sys/devices/system/node/node%d/hugepages/"
			"hugepages-2048kB/nr_hugepages",
			pages, node);
		if (pst_host_knows_pool_nodes(h))
			pst_host_text_add(fix,
					  ", or at boot hugepages=%d:%" PRIu64,
					  node, pages);
		return;
	}
	/* The older kernels know no nodes. */
	if (pst_host_knows_pool_nodes(h))
		node = pool_node(h);
	pst_host_pool_text(node, pages, params);
	snprintf(plan, sizeof(plan),
		 " --region %" PRIu64 "M --vm-memory %" PRIu64 "M",
		 h->request.region >> 20, h->request.vm_memory >> 20);
	pst_host_fix_cmdline(h, params, plan, fix);
}

PST_HOST_CHECK(hugepages_pool)
{
	const struct pst_host_hugepool *p =
		pst_host_memory_pool(&h->memory, PST_HOST_HUGE_2M, -1);
	struct pst_host_text seen = {0}, want = {0}, fix = {0};

	pools_text(h, -1, &seen);
	wanted_text(h, &want);
	fix_pages(h, -1, &fix);
	if (!h->memory.n_pools && h->files.unseen & PST_HOST_UNSEEN_POOLS)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "copy sys/kernel/mm too",
				     "sys/kernel/mm was not seen in this tree");
	else if (pst_host_hugepool_size(p) < h->request.region)
		pst_host_finding_add(
			out, PST_HOST_FAIL, fix.buf,
			"%s; the region alone takes %.4g GiB in pages "
			"of 2 MiB",
			seen.buf, pst_host_gib(h->request.region));
	else if (!pools_hold(h, -1, pst_host_hugepool_size))
		pst_host_finding_add(out, short_of(h), fix.buf,
				     "%s; %s would want "
				     "more",
				     seen.buf, want.buf);
	else if (!pools_hold(h, -1, pst_host_hugepool_unused))
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"see who holds them (grep -l hugepages "
			"/proc/*/maps); a region that is there counts",
			"%s; %s are wanted", seen.buf, want.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
}

PST_HOST_CHECK(hugepages_node)
{
	int node = h->gpu->numa_node;
	struct pst_host_text seen = {0}, want = {0}, fix = {0};

	if (pst_host_cpuset_count(&h->cpu.nodes) < 2) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "one NUMA node");
		return;
	}
	if (node < 0) {
		pst_host_finding_add(out, PST_HOST_WARN,
				     "see the board's manual for the slot's "
				     "processor",
				     "the host has nodes, but %s tells none",
				     h->gpu->name);
		return;
	}
	pools_text(h, node, &seen);
	wanted_text(h, &want);
	fix_pages(h, node, &fix);
	if (pools_hold(h, node, pst_host_hugepool_size))
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "node %d: %s",
				     node, seen.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"node %d, where the card is: %s; %s are wanted", node,
			seen.buf, want.buf);
}

/* Pages that a value of hugepages= gives. */
static uint64_t pages_of(const struct pst_host *h, const char *value)
{
	struct pst_host_pool_count count[PST_HOST_POOL_COUNTS];
	int n = pst_host_pool_counts(value, pst_host_knows_pool_nodes(h),
				     count),
	    i;
	uint64_t sum = 0;

	for (i = 0; i < n; i++)
		if (pst_add_overflow(sum, count[i].pages, &sum))
			return UINT64_MAX;
	return sum;
}

/* Pages of 2 MiB that the command line asks for. */
static uint64_t pages_of_cmdline(const struct pst_host *h)
{
	const struct pst_host_param *p =
		pst_host_cmdline_get(&h->cmdline, "default_hugepagesz");
	struct pst_host_pool_reader reader;
	size_t i;

	pst_host_pool_begin(&reader, p ? p->value : NULL);
	for (i = 0; i < h->cmdline.n; i++) {
		p = &h->cmdline.param[i];
		if (pst_host_pool_next(&reader, p->name, p->value))
			return pages_of(h, p->value);
	}
	return 0;
}

static void add_to(uint64_t *sum, uint64_t bytes)
{
	if (pst_add_overflow(*sum, bytes, sum))
		*sum = UINT64_MAX;
}

/* What all guests and the region take from the pools of the next boot. */
struct boot_need {
	uint64_t small, large; /* bytes in pages of 2 MiB, and of larger ones */
	uint64_t has_large;    /* bytes of those larger pools */
	struct pst_host_text who; /* takes the small ones */
};

static void sum_need(const struct pst_host *h, struct boot_need *n)
{
	struct pst_host_claims c = h->claims;
	size_t i;

	*n = (struct boot_need){.small = h->request.region};
	pst_host_text_add(&n->who, "the region");
	pst_host_claims_cmdline(&c, h->cmdline_text,
				pst_host_knows_pool_nodes(h));
	for (i = 0; i < c.n; i++) {
		const struct pst_host_claim *one = &c.claim[i];

		if (one->page_size == PST_HOST_HUGE_2M && one->is_guest) {
			add_to(&n->small, one->bytes);
			pst_host_text_add(&n->who, ", %s", one->what);
		} else if (one->page_size > PST_HOST_HUGE_2M) {
			add_to(one->is_guest ? &n->large : &n->has_large,
			       one->bytes);
		}
	}
	/* This guest can have large pages that the others leave. */
	if (!h->request.sizes_given ||
	    (n->has_large > n->large &&
	     n->has_large - n->large >= h->request.vm_memory))
		return;
	add_to(&n->small, h->request.vm_memory);
	pst_host_text_add(&n->who, ", this guest");
}

/* Pages of 2 MiB of "FILE: ... nr_hugepages ... 8": its last number. */
static uint64_t pages_of_line(const char *line)
{
	const char *end = line + strlen(line), *p;
	uint64_t pages;

	if (strstr(line, "/hugepages-") && !strstr(line, "/hugepages-2048kB"))
		return 0;
	while (end > line && !strchr("0123456789", end[-1]))
		end--;
	for (p = end; p > line && strchr("0123456789", p[-1]);)
		p--;
	return sscanf(p, "%12" SCNu64, &pages) == 1 ? pages : 0;
}

/* "the region alone takes", or all of them. */
static void need_text(const struct boot_need *n, struct pst_host_text *t)
{
	uint64_t pages = n->small / PST_HOST_HUGE_2M;

	pst_host_text_add(t, "%s %s %" PRIu64 " pages of 2 MiB", n->who.buf,
			  strchr(n->who.buf, ',') ? "take together"
						  : "alone takes",
			  pages);
}

PST_HOST_CHECK(hugepages_boot)
{
	const struct pst_host_param *p =
		pst_host_cmdline_get(&h->cmdline, "hugepages");
	const struct pst_host_hugepool *pool =
		pst_host_memory_pool(&h->memory, PST_HOST_HUGE_2M, -1);
	uint64_t pages = pages_of_cmdline(h), small;
	struct pst_host_text fix = {0}, need = {0};
	struct boot_need n;

	sum_need(h, &n);
	small = n.small / PST_HOST_HUGE_2M;
	need_text(&n, &need);
	if (n.large > n.has_large) {
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"give the other guests pages of 2 MiB, or set more of "
			"1 GiB aside",
			"other guests take %.4g GiB in pages larger than 2 "
			"MiB, of which %.4g GiB are set aside",
			pst_host_gib(n.large), pst_host_gib(n.has_large));
		return;
	}
	if (*h->claims.later && h->claims.later_pages < small) {
		pst_host_finding_add(out, PST_HOST_WARN,
				     "take the line out, or write the number "
				     "of pages there",
				     "%s comes after the command line, and %s",
				     h->claims.later, need.buf);
		return;
	}
	if (p && pages >= small) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%" PRIu64
				     " pages of 2 MiB by the command "
				     "line",
				     pages);
		return;
	}
	if (*h->claims.later || pages_of_line(h->files.nr_hugepages) >= small) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s",
				     *h->claims.later ? h->claims.later
						      : h->files.nr_hugepages);
		return;
	}
	if (*h->files.nr_hugepages) {
		pst_host_finding_add(out, PST_HOST_WARN,
				     "write the number of pages of 2 MiB there",
				     "%s; %s", h->files.nr_hugepages, need.buf);
		return;
	}
	fix_pages(h, -1, &fix);
	if (p)
		pst_host_finding_add(out, PST_HOST_WARN, fix.buf,
				     "the command line sets %" PRIu64
				     " pages of 2 MiB aside, %s",
				     pages, need.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			pool && pool->nr
				? "nothing sets the pages aside at boot: those "
				  "of now are gone then"
				: "nothing sets hugepages aside at boot");
}

PST_HOST_CHECK(hugetlbfs)
{
	const struct pst_host_mounts *m = &h->files.mounts;
	const struct pst_host_hugetlbfs *at = pst_host_mounts_2m(m);
	static const char fix[] =
		PST_HOST_MOUNT_2M " (systemd: dev-hugepages.mount)";

	if (at)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s, pages of 2 MiB", at->path);
	else if (!m->seen)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "look into /proc/mounts there",
				     "proc/mounts was not seen");
	else if (m->n)
		pst_host_finding_add(out, PST_HOST_FAIL, fix,
				     "%s has pages of %" PRIu64
				     " MiB, which the region cannot use",
				     m->mount[0].path,
				     m->mount[0].page_size >> 20);
	else
		pst_host_finding_add(out, PST_HOST_FAIL, fix,
				     "no hugetlbfs is mounted");
}

/* What is wrong with a region's file; NULL: nothing. */
static const char *region_fault(const struct pst_host *h,
				const struct pst_host_region_entry *e,
				enum pst_host_finding_status *ret)
{
	*ret = PST_HOST_FAIL;
	if (e->mode & 02)
		return "chmod o-w: whoever writes it can change every matrix";
	if (e->conf_size && e->conf_size != e->size)
		return "its SIZE in /etc/penstock/regions.d is another: stop the "
		       "guest, and penstock host region create NAME --replace";
	*ret = PST_HOST_WARN;
	if (h->request.sizes_given && e->size != h->request.region &&
	    strstr(e->path, "/penstock-"))
		return "if it is this guest's: penstock host region create NAME "
		       "--replace";
	*ret = PST_HOST_PASS;
	return NULL;
}

PST_HOST_CHECK(region_file)
{
	const struct pst_host_files *f = &h->files;
	enum pst_host_finding_status status = PST_HOST_PASS, one;
	struct pst_host_text seen = {0};
	const char *fix = NULL, *fault;
	size_t i;

	for (i = 0; i < f->n_regions; i++) {
		const struct pst_host_region_entry *e = &f->region[i];

		pst_host_text_add(&seen,
				  "%s%s: %.4g GiB, mode %04o, owner %u:%u",
				  i ? ", " : "", e->path, pst_host_gib(e->size),
				  e->mode, e->uid, e->gid);
		fault = region_fault(h, e, &one);
		if (one > status) {
			status = one;
			fix = fault;
		}
	}
	if (*f->no_region)
		pst_host_text_add(&seen,
				  "%s%s of /etc/penstock/regions.d has no file",
				  seen.len ? "; " : "", f->no_region);
	if (*f->no_region && status == PST_HOST_PASS)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"systemctl enable --now penstock-region@NAME", "%s",
			seen.buf);
	else if (!f->n_regions)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"penstock host region create NAME --size 4G, or "
			"the unit penstock-region@NAME",
			"no region file in %s",
			f->mounts.n ? f->mounts.mount[0].path
				    : "any hugetlbfs");
	else
		pst_host_finding_add(out, status, fix, "%s", seen.buf);
}

/* The limits that settings give, "" for none. */
static void limits_text(const struct pst_host_memlock *m,
			struct pst_host_text *t)
{
	pst_host_text_add(t, "%s%s%s", m->login.line,
			  *m->login.line && *m->service.line ? "; " : "",
			  m->service.line);
	if (!t->len)
		pst_host_text_add(t, "no limit was seen in this tree");
}

PST_HOST_CHECK(memlock)
{
	static const char fix[] =
		"penstock vm xml writes a hard_limit, by which libvirt raises "
		"it; for QEMU by hand: LimitMEMLOCK=infinity or ulimit -l "
		"unlimited";
	const struct pst_host_memlock *m = &h->files.memlock;
	char all_text[PST_HOST_CLAIM_TEXT], user_text[PST_HOST_CLAIM_TEXT];
	struct pst_host_text seen = {0};
	uint64_t want, all;

	limits_text(m, &seen);
	if (pst_add_overflow(pst_host_wanted_bytes(h), LOCK_EXTRA, &want))
		want = UINT64_MAX;
	all = pst_host_claims_locked(&h->claims, false, all_text);
	add_to(&all, pst_host_wanted_bytes(h));
	add_to(&want, pst_host_claims_locked(&h->claims, true, user_text));
	if (*all_text && h->memory.total && all > h->memory.total) {
		pst_host_finding_add(
			out, short_of(h),
			"start fewer of them, or give them less",
			"this guest and the region would lock %.4g GiB with "
			"other guests (%s), and there are %.4g",
			pst_host_gib(all), all_text,
			pst_host_gib(h->memory.total));
		return;
	}
	if (*user_text)
		pst_host_text_add(&seen,
				  "; iommufd counts the guests of a user "
				  "together (%s)",
				  user_text);
	if (!h->live.tested)
		pst_host_finding_add(out,
				     m->login.bytes >= want ||
						     m->service.bytes >= want
					     ? PST_HOST_PASS
					     : PST_HOST_WARN,
				     fix, "%s", seen.buf);
	else if (h->live.memlock == UINT64_MAX)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "unlimited");
	else if (h->live.memlock >= want)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%" PRIu64 " MiB", h->live.memlock >> 20);
	else
		pst_host_finding_add(out, PST_HOST_WARN, fix,
				     "%" PRIu64
				     " KiB for this process, %.4g GiB are "
				     "needed",
				     h->live.memlock >> 10, pst_host_gib(want));
}
