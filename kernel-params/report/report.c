/* SPDX-License-Identifier: MIT */
/* What is asked of a root while checks run, written as a tar. */
#include "kernel-params/report/report.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-params/check/check.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/report/reduce.h"
#include "kernel-params/report/tar.h"

/* As many links as the kernel follows in one path (path_resolution(7)). */
#define MAX_LINKS 40
/* No check reads more of a file; of packages it may. */
#define MAX_FILE    PST_HOST_ROOT_TEXT_MAX
#define MAX_STATUS  (64U << 20)
#define STATUS_FILE "var/lib/dpkg/status"

struct asked {
	char *path;
	bool read, linked, listed;
};

struct report {
	struct pst_host_root *root;
	FILE *f;
	struct pst_host_report *ret;
	struct pst_host_mask mask;
	struct asked *asked;
	size_t n, cap;
	void *done; /* paths that are in the tar, a tree of tsearch(3) */
	bool no_memory;
};

/* ---- What is asked for ----------------------------------------------------
 */

static void note(void *ctx, const char *path, enum pst_host_root_use use)
{
	struct report *r = ctx;
	struct asked *more;
	char *copy = strdup(path + strspn(path, "/"));

	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 1024;
		more = reallocarray(r->asked, r->cap, sizeof(*more));
		if (more)
			r->asked = more;
		r->no_memory |= !more;
	}
	if (!copy || r->no_memory) {
		r->no_memory = true;
		free(copy);
		return;
	}
	r->asked[r->n++] = (struct asked){copy, use == PST_HOST_ROOT_READ,
					  use == PST_HOST_ROOT_LINK,
					  use == PST_HOST_ROOT_LIST};
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct asked *)a)->path,
		      ((const struct asked *)b)->path);
}

/* One of each path, with all that was asked of it. */
static void sort_asked(struct report *r)
{
	size_t i, n = 0;

	if (r->n)
		qsort(r->asked, r->n, sizeof(*r->asked), by_path);
	for (i = 0; i < r->n; i++) {
		struct asked *a = &r->asked[i];

		if (n > 0 && strcmp(r->asked[n - 1].path, a->path) == 0) {
			r->asked[n - 1].read |= a->read;
			r->asked[n - 1].linked |= a->linked;
			r->asked[n - 1].listed |= a->listed;
			free(a->path);
		} else {
			r->asked[n++] = *a;
		}
	}
	r->n = n;
}

/* The checks and a plan for one card, which may well refuse. */
static int look_at(struct report *r, const char *gpu, struct pst_host *h,
		   struct pst_error *err)
{
	const struct pst_host_request request = {.gpu = gpu};
	const struct pst_host_plan_request wish = {.gpu = gpu, .i_know = true};
	const struct pst_host_journal none = {.root = r->root, .lock = -1};
	struct pst_host_findings *fs = calloc(1, sizeof(*fs));
	struct pst_host_plan *p = calloc(1, sizeof(*p));
	struct pst_error refused;
	int rc = fs && p ? pst_host_scan(r->root, &request, h, err)
			 : pst_oom(err);

	if (rc == 0) {
		pst_host_checks_run(h, fs);
		pst_host_findings_done(fs);
		if (pst_host_plan_make(p, h, &none, &wish, &refused) == 0)
			pst_host_plan_done(p);
	}
	free(fs);
	free(p);
	return rc;
}

static int look(struct report *r, struct pst_error *err)
{
	struct pst_host *all = calloc(1, sizeof(*all));
	struct pst_host *h = calloc(1, sizeof(*h));
	int rc = all && h ? look_at(r, NULL, all, err) : pst_oom(err);
	size_t i;

	for (i = 0; rc == 0 && i < all->pci.n; i++) {
		if (!pst_host_pci_is_display(&all->pci.dev[i]))
			continue;
		rc = look_at(r, all->pci.dev[i].name, h, err);
		if (rc == 0)
			pst_host_done(h);
		r->ret->n_cards += rc == 0;
	}
	if (all && all->root)
		pst_host_done(all);
	free(all);
	free(h);
	return rc;
}

/* ---- What is written ------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Whether the path is new; it is not, then. */
static bool is_new(struct report *r, const char *path)
{
	char *copy;

	if (tfind(path, &r->done, by_text))
		return false;
	copy = strdup(path);
	if (copy && tsearch(copy, &r->done, by_text))
		return true;
	free(copy);
	r->no_memory = true;
	return false;
}

static char *masked(struct report *r, const char *text)
{
	size_t len;
	char *got = pst_host_mask_text(&r->mask, text, strlen(text), &len);

	r->no_memory |= !got;
	return got;
}

static void put_dir(struct report *r, const char *path)
{
	PST_CLEANUP_FREE char *name = masked(r, path);

	if (name && *path && is_new(r, path))
		pst_host_tar_dir(r->f, name);
}

static void put_file(struct report *r, const char *path, const char *data,
		     size_t len)
{
	PST_CLEANUP_FREE char *name = masked(r, path);
	PST_CLEANUP_FREE char *text = NULL;

	if (!name || !is_new(r, path))
		return;
	text = pst_host_mask_text(&r->mask, data, len, &len);
	r->no_memory |= !text;
	if (text)
		pst_host_tar_file(r->f, name, text, len);
}

static void put_link(struct report *r, const char *path, const char *target)
{
	PST_CLEANUP_FREE char *name = masked(r, path);
	PST_CLEANUP_FREE char *to = masked(r, target);

	if (name && to && is_new(r, path))
		pst_host_tar_link(r->f, name, to);
}

/*
 * Follows a path to where it leads, with folders and links on its way put into
 * the tar. ret holds no link then. 0 or -errno.
 */
static int follow(struct report *r, const char *path,
		  char ret[PST_HOST_ROOT_PATH_MAX])
{
	char rest[PST_HOST_ROOT_PATH_MAX], next[PST_HOST_ROOT_PATH_MAX];
	char link[PST_HOST_ROOT_PATH_MAX], more[PST_HOST_ROOT_PATH_MAX];
	unsigned int links = 0;
	struct stat st;
	size_t n;
	int rc = pst_host_path(rest, "%s", path);

	*ret = '\0';
	while (rc == 0 && *rest) {
		char *p = rest + strspn(rest, "/");
		char *slash;

		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			slash = strrchr(ret, '/');
			*(slash ? slash : ret) = '\0';
		} else if (n > 0 && !(n == 1 && *p == '.')) {
			rc = pst_host_path(next, "%s%s%.*s", ret,
					   *ret ? "/" : "", (int)n, p);
			if (rc == 0 && pst_host_root_is_link(r->root, next)) {
				if (++links > MAX_LINKS)
					return -ELOOP;
				rc = pst_host_root_readlink(r->root, next, link,
							    sizeof(link));
				if (rc < 0)
					return rc;
				put_link(r, next, link);
				if (*link == '/')
					*ret = '\0';
				rc = pst_host_path(more, "%s/%s", link, p + n);
				if (rc == 0)
					rc = pst_host_path(rest, "%s", more);
				continue;
			}
			if (rc == 0)
				rc = pst_host_root_stat(r->root, next, &st);
			if (rc == 0 && S_ISDIR(st.st_mode))
				put_dir(r, next);
			if (rc == 0)
				strcpy(ret, next);
		}
		memmove(rest, p + n, strlen(p + n) + 1);
	}
	return rc;
}

/* The names that matter where only names are looked at. */
static bool is_kept_name(const char *dir, const char *name)
{
	static const char *const begins[] = {"libvirt", "qemu", "edk2", "ovmf"};
	size_t i;

	if (strncmp(dir, "usr/lib", 7) != 0 &&
	    strcmp(dir, "var/lib/pacman/local") != 0)
		return true;
	for (i = 0; i < PST_ARRAY_SIZE(begins); i++)
		if (strncmp(name, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static void put_list(struct report *r, const char *dir)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], link[PST_HOST_ROOT_PATH_MAX];
	struct stat st;
	size_t i;

	if (pst_host_root_list(r->root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n; i++) {
		if (!is_kept_name(dir, names.name[i]) ||
		    pst_host_path(path, "%s%s%s", dir, *dir ? "/" : "",
				  names.name[i]) < 0)
			continue;
		if (pst_host_root_is_link(r->root, path)) {
			if (pst_host_root_readlink(r->root, path, link,
						   sizeof(link)) > 0)
				put_link(r, path, link);
		} else if (pst_host_root_stat(r->root, path, &st) == 0 &&
			   S_ISDIR(st.st_mode)) {
			put_dir(r, path);
		} else {
			put_file(r, path, "", 0);
		}
	}
}

/* Of all packages those that a check asks for. */
static void keep_packages(char *text, size_t *len)
{
	static const char begin[] = "Package: ";
	char *from, *to = text, *end;

	for (from = text; *from; from = end) {
		end = strstr(from, "\n\n");
		end = end ? end + 2 : from + strlen(from);
		if (strncmp(from, begin, strlen(begin)) != 0 ||
		    (strncmp(from + strlen(begin), "seabios", 7) != 0 &&
		     !is_kept_name("usr/lib", from + strlen(begin))))
			continue;
		memmove(to, from, (size_t)(end - from));
		to += end - from;
	}
	*to = '\0';
	*len = (size_t)(to - text);
}

/* The next hops and networks of /proc/net/route: zero or not is what counts. */
static void hide_routes(char *text)
{
	char *p;
	unsigned int column = 0;

	for (p = text; *p; p++) {
		if (*p == '\n')
			column = 0;
		else if (*p == '\t')
			column++;
		else if ((column == 1 || column == 2) && p > text &&
			 p[-1] == '\t' && strspn(p, "0123456789ABCDEF") == 8 &&
			 strspn(p, "0") < 8)
			memcpy(p, "01010101", 8);
	}
}

/* The serial number of PCI Express' extended capability 3. */
static void hide_pci_serial(unsigned char *config, size_t len)
{
	size_t at = 0x100, steps;

	for (steps = 0; at >= 0x100 && at + 12 <= len && steps < 256; steps++) {
		unsigned int id = config[at] | config[at + 1] << 8;

		if (id == 3)
			memset(config + at + 4, 0, 8);
		at = (config[at + 2] >> 4 | config[at + 3] << 4) & 0xffc;
	}
}

static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);

	return n >= k && strcmp(path + n - k, end) == 0;
}

static void put_content(struct report *r, const char *path)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	bool status = strcmp(path, STATUS_FILE) == 0;

	/* The firmware's entries have serial numbers of disks. */
	if (ends_with(path, "/vpd") || strstr(path, "/efivars/Boot") ||
	    pst_host_root_read(r->root, path, status ? MAX_STATUS : MAX_FILE,
			       &text, &len) < 0) {
		put_file(r, path, "", 0);
		return;
	}
	if (status)
		keep_packages(text, &len);
	else if (ends_with(path, "net/route"))
		hide_routes(text);
	else if (ends_with(path, "/config"))
		hide_pci_serial((unsigned char *)text, len);
	pst_host_report_reduce(path, text, &len);
	r->ret->n_files++;
	put_file(r, path, text, len);
}

/* What was asked for: contents before mere names. */
static void put_asked(struct report *r, bool contents)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct asked *a = &r->asked[i];

		if (contents != (a->read || a->linked) ||
		    follow(r, a->path, path) < 0 ||
		    pst_host_root_stat(r->root, path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && a->listed)
			put_list(r, path);
		else if (S_ISREG(st.st_mode) &&
			 (a->read ||
			  (a->linked && st.st_size < PST_HOST_ROOT_PATH_MAX)))
			put_content(r, path);
		else if (!S_ISDIR(st.st_mode))
			put_file(r, path, "", 0);
	}
}

/* What a copy of the files cannot tell. */
static void put_extra(struct report *r, const struct pst_host *h)
{
	const struct {
		const char *name;
		uint64_t value;
	} live[] = {
		{"kvm_error", (uint64_t)h->live.kvm_error},
		{"kvm_api", (uint64_t)h->live.kvm_api},
		{"vhost_error", (uint64_t)h->live.vhost_error},
		{"memlock", h->live.memlock},
	};
	char path[PST_HOST_ROOT_PATH_MAX], number[32];
	PST_CLEANUP_FREE char *entry = NULL;
	struct pst_host_text regions = {0};
	size_t i;

	put_dir(r, PST_HOST_REPORT_DIR);
	for (i = 0; h->live.tested && i < PST_ARRAY_SIZE(live); i++) {
		snprintf(number, sizeof(number), "%" PRIu64 "\n",
			 live[i].value);
		if (pst_host_path(path, PST_HOST_REPORT_DIR "/%s",
				  live[i].name) == 0)
			put_file(r, path, number, strlen(number));
	}
	for (i = 0; i < h->files.n_regions; i++) {
		const struct pst_host_region_entry *e = &h->files.region[i];

		pst_host_text_add(&regions, "%" PRIu64 " %o %u %u %s\n",
				  e->size, e->mode, e->uid, e->gid, e->path);
	}
	put_file(r, PST_HOST_REPORT_DIR "/regions", regions.buf,
		 strlen(regions.buf));
	entry = pst_host_boot_entry_format(&h->boot.entry);
	if (entry && *h->boot.entry.name)
		put_file(r, PST_HOST_REPORT_DIR "/firmware", entry,
			 strlen(entry));
	r->no_memory |= !entry;
}

static int write_all(struct report *r, struct pst_error *err)
{
	const struct pst_host_request request = {0};
	struct pst_host *h = calloc(1, sizeof(*h));
	int rc = h ? pst_host_scan(r->root, &request, h, err) : pst_oom(err);

	if (rc == 0) {
		put_extra(r, h);
		pst_host_done(h);
		put_asked(r, true);
		put_asked(r, false);
		pst_host_tar_end(r->f);
	}
	free(h);
	if (rc == 0 && (r->no_memory || r->mask.no_memory))
		rc = pst_oom(err);
	if (rc == 0 && (fflush(r->f) || ferror(r->f)))
		rc = pst_error_set_errno(err, errno ? errno : EIO,
					 "cannot write the report");
	return rc;
}

int pst_host_report_write(struct pst_host_root *root, FILE *f,
			  struct pst_host_report *ret, struct pst_error *err)
{
	struct report r = {.root = root, .f = f, .ret = ret};
	size_t i;
	int rc;

	*ret = (struct pst_host_report){0};
	root->asked = note;
	root->asked_ctx = &r;
	rc = look(&r, err);
	root->asked = NULL;
	if (rc == 0 && r.no_memory)
		rc = pst_oom(err);
	if (rc == 0) {
		sort_asked(&r);
		pst_host_mask_init(&r.mask, root);
		rc = write_all(&r, err);
		ret->kept = r.mask.kept;
		r.mask.kept = (struct pst_host_names){0};
		pst_host_mask_done(&r.mask);
	}
	for (i = 0; i < r.n; i++)
		free(r.asked[i].path);
	free(r.asked);
	tdestroy(r.done, free);
	if (rc < 0)
		pst_host_report_done(ret);
	return rc;
}

void pst_host_report_done(struct pst_host_report *r)
{
	pst_host_names_done(&r->kept);
}
