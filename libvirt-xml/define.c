/* SPDX-License-Identifier: MIT */
/* Turns a user's request into a defined domain with its files. */
#include "libvirt-xml/define.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>

#include "libvirt-xml/config/vm_files.h"
#include "libvirt-xml/virt/cid.h"
#include "libvirt-xml/xml/schema.h"

/* How long another definition may take. */
#define LOCK_NS (30 * PST_NS_PER_S)
#define POLL_NS (100 * PST_NS_PER_MS)

/* ---- Words -------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void
note(const struct pst_vm_talk *t, const char *fmt, ...)
{
	PST_CLEANUP_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		t->note(t->arg, text);
}

__attribute__((format(printf, 2, 3))) static void
fail(const struct pst_vm_talk *t, const char *fmt, ...)
{
	PST_CLEANUP_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	t->fail(t->arg, text ? text : "out of memory");
}

/* ---- The draft ---------------------------------------------------------- */

int pst_vm_lock(const char *path, const struct pst_vm_talk *talk)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	uint64_t deadline = pst_now_ns() + LOCK_NS;
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -1 : 0;

	while (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || pst_now_ns() >= deadline)
			r = -1;
		else
			nanosleep(&pause, NULL);
	}
	if (r)
		note(talk,
		     "cannot lock %s: %s; another definition at the same time "
		     "may choose the same CID",
		     path, strerror(errno));
	return fd;
}

/* Two domains with one region would write over each other. */
static int check_region(const struct pst_vm_request *q,
			const struct pst_vm_virt_entry *list, int n,
			struct pst_error *err)
{
	int i;

	for (i = 0; i < n && q->region_path; i++)
		if (strcmp(list[i].name, q->name) != 0 &&
		    strcmp(list[i].region, q->region_path) == 0)
			return pst_error_set(err, -EEXIST,
					     "the region %s already belongs "
					     "to domain %s",
					     q->region_path, list[i].name);
	return 0;
}

static int choose_cid(struct pst_vm_ask *ask,
		      const struct pst_vm_virt_entry *list, int n,
		      struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	struct pst_vm_request *q = &ask->q;

	/* The daemon of such a device has the CID. */
	if (q->vsock_socket)
		return 0;
	if (strcmp(ask->root, "/") == 0)
		fd = pst_vm_cid_open();
	return pst_vm_cid_choose(fd, q->cid, q->name, list, n, &q->cid, err);
}

static int ask_libvirt(struct pst_vm_draft *d, struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_virt_entry *list = NULL;
	const struct pst_vm_api *api = d->ask.api;
	int n = 0, r;

	if (d->ask.virt) {
		d->libvirt_version = api->virt_version(d->ask.virt);
		n = api->virt_list(d->ask.virt, &list, err);
		if (n < 0)
			return n;
	} else if (api && api->has_libvirt) {
		d->libvirt_version = api->virt_library_version();
	}
	r = check_region(&d->ask.q, list, n, err);
	return r ? r : choose_cid(&d->ask, list, n, err);
}

/* A guest can write anything into a raw disk: one that is defined already keeps
 * its format. */
static void reuse_format(struct pst_vm_draft *d)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = calloc(1, sizeof(*info));
	struct pst_vm_request *q = &d->ask.q;

	if (!info || !d->ask.virt || !q->disk ||
	    d->ask.api->virt_info(d->ask.virt, q->name, false, info, NULL) ||
	    !info->ours || strcmp(info->disk, q->disk) != 0 ||
	    !info->disk_format[0])
		return;
	strcpy(d->disk_format, info->disk_format);
	q->known_disk_format = d->disk_format;
}

static int plan(struct pst_vm_draft *d, struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_notes *notes = calloc(1, sizeof(*notes));
	size_t i;
	int r;

	if (!notes)
		return pst_oom(err);
	r = pst_vm_plan(&d->ask.q, d->host, &d->config, notes, err);
	/* Wrong by itself: then notes on the host only distract. */
	for (i = 0; r != -EINVAL && i < notes->n; i++)
		note(&d->ask.talk, "%s", notes->text[i]);
	return r;
}

static int read_host(struct pst_vm_draft *d, struct pst_error *err)
{
	const struct pst_host_request request = {.gpu = d->ask.q.gpu};
	struct pst_host *h;
	int r = pst_host_root_open(d->ask.root, &d->root, err);

	if (r)
		return r;
	h = calloc(1, sizeof(*h));
	r = h ? pst_host_scan(&d->root, &request, h, err) : pst_oom(err);
	if (r == 0) {
		d->host = h;
		return 0;
	}
	free(h);
	/* The files of another host. */
	if (strcmp(d->ask.root, "/") != 0)
		pst_error_prefix(err, d->ask.root);
	return r;
}

int pst_vm_draft_make(const struct pst_vm_ask *ask, struct pst_vm_draft *ret,
		      struct pst_error *err)
{
	struct pst_vm_draft *d = ret;
	int r;

	memset(d, 0, sizeof(*d));
	d->ask = *ask;
	d->root.fd = -1;
	r = read_host(d, err);
	if (r == 0)
		r = ask_libvirt(d, err);
	if (r == 0) {
		reuse_format(d);
		r = plan(d, err);
	}
	if (r)
		pst_vm_draft_done(d);
	return r;
}

void pst_vm_draft_done(struct pst_vm_draft *d)
{
	if (d->host)
		pst_host_done(d->host);
	free(d->host);
	pst_host_root_close(&d->root);
}

int pst_vm_draft_xml(const struct pst_vm_draft *d, char **ret,
		     struct pst_error *err)
{
	const struct pst_vm_api *api = d->ask.api;
	struct pst_error limit;
	int r;

	if (d->libvirt_version &&
	    api->domain_limits(&d->config, d->libvirt_version, &limit))
		note(&d->ask.talk, "%s", limit.text);
	r = api->domain_xml(&d->config, d->libvirt_version, ret, err);
	if (r)
		return r;
	r = api->schema_check(*ret, PST_VM_SCHEMA, err);
	if (r == 0 || r == -ENOENT)
		return 0;
	free(*ret);
	*ret = NULL;
	return r;
}

/* ---- Endpoint, region, unit --------------------------------------------- */

struct install {
	const struct pst_vm_talk *talk;
	const char *dir;
	const struct pst_vm_config *c;
	bool failed; /* something has to be done by hand */
};

/* Writes one file, or says what to paste. */
static void write_conf(struct install *in, const char *sub, const char *text)
{
	struct pst_error err;

	if (pst_vm_files_write(in->dir, sub, in->c->name, text, &err) == 0)
		return;
	in->failed = true;
	fail(in->talk, "%s; %s/%s/%s.conf has to hold:\n%.*s", err.text,
	     in->dir, sub, in->c->name, (int)(strlen(text) - 1), text);
}

/* Of a former definition whose region could have one. */
static void remove_unit(struct install *in)
{
	char had[PATH_MAX];
	struct pst_error err;

	pst_vm_files_left(in->dir, in->c->name, had);
	if (!had[0])
		return;
	if (pst_vm_files_remove_unit(in->dir, in->c->name, &err) < 0) {
		in->failed = true;
		fail(in->talk, "%s", err.text);
	}
}

static void enable_unit(struct install *in)
{
	const char *name = in->c->name;
	struct pst_error err;
	int r = pst_vm_files_systemctl(in->dir, "enable", name, &err);

	if (r == 0)
		return;
	if (r < 0) {
		in->failed = true;
		fail(in->talk, "%s", err.text);
	}
	note(in->talk,
	     "the region's unit is not enabled: systemctl enable "
	     "penstock-region@%s",
	     name);
}

/* The unit makes the region before libvirtd starts domains by itself. */
static void install_unit(struct install *in)
{
	const struct pst_vm_region *r = &in->c->region;
	const char *name = in->c->name;
	char text[PST_VM_FILE_MAX];
	struct pst_error err;

	if (!pst_vm_files_unit_fits(name, r)) {
		note(in->talk,
		     "penstock-region@%s cannot make %s, which is not called "
		     "penstock-%s: after a boot, vm start makes it, and "
		     "autostart fails",
		     name, r->path, name);
		remove_unit(in);
		return;
	}
	if (pst_vm_files_region(r, text, sizeof(text), &err) < 0) {
		in->failed = true;
		fail(in->talk, "%s", err.text);
		return;
	}
	write_conf(in, "regions.d", text);
	if (strncmp(r->path, "/dev/", 5) != 0)
		note(in->talk,
		     "the unit may write below /dev only; systemctl edit "
		     "penstock-region@%s, and there, in [Service]: "
		     "ReadWritePaths=%.*s",
		     name, (int)(strrchr(r->path, '/') - r->path), r->path);
	enable_unit(in);
}

static void say_apparmor(const struct install *in)
{
	const bool needed = in->c->region.via == PST_VM_VIA_IVSHMEM;

	note(in->talk,
	     "AppArmor%s\n"
	     "  \"%s\" rw,\n"
	     "in /etc/apparmor.d/local/abstractions/libvirt-qemu%s",
	     needed ? ", where it confines QEMU, wants the line"
		    : ": libvirt writes this rule by itself; an old one needs "
		      "it",
	     in->c->region.path,
	     needed ? " (libvirt does not see the region)" : "");
}

/* Whether nothing is left to be done by hand. */
static bool install(const struct pst_vm_draft *d, const char *dir)
{
	struct install in = {
		.talk = &d->ask.talk,
		.dir = dir,
		.c = &d->config,
	};
	char uri[2 * PATH_MAX], text[PST_VM_FILE_MAX];
	struct pst_error err;
	int r;

	r = pst_vm_config_endpoint(&d->config, uri, sizeof(uri), &err);
	if (r == 0)
		r = pst_vm_files_endpoint(uri, text, sizeof(text), &err);
	if (r) {
		fail(in.talk, "%s", err.text);
		return false;
	}
	install_unit(&in);
	write_conf(&in, "endpoints.d", text);
	say_apparmor(&in);
	return !in.failed;
}

/* ---- The definition ----------------------------------------------------- */

/* The region that the domain had, when it has another one now: the old file
 * would hold its hugepages, or be of a size that QEMU refuses. */
static void find_old_region(const struct pst_vm_draft *d,
			    const struct pst_vm_region *old,
			    struct pst_vm_defined *ret)
{
	const struct pst_vm_api *api = d->ask.api;
	const struct pst_vm_region *now = &d->config.region;
	enum pst_vm_virt_state state;

	if (!old->path[0] ||
	    (strcmp(old->path, now->path) == 0 && old->size == now->size))
		return;
	if (api->virt_state(d->ask.virt, d->config.name, &state, NULL) ||
	    state != PST_VM_VIRT_OFF)
		note(&d->ask.talk,
		     "%s runs with its old region: once it is off, rm %s",
		     d->config.name, old->path);
	else
		strcpy(ret->old_region, old->path);
}

int pst_vm_define(const struct pst_vm_draft *d, const char *conf_dir,
		  struct pst_vm_defined *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *old = calloc(1, sizeof(*old));
	const struct pst_vm_api *api = d->ask.api;
	PST_CLEANUP_FREE char *xml = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!old)
		return pst_oom(err);
	r = pst_vm_draft_xml(d, &xml, err);
	if (r)
		return r;
	if (api->virt_info(d->ask.virt, d->config.name, false, old, NULL))
		old->region.path[0] = '\0';
	r = api->virt_define(d->ask.virt, xml, false, err);
	if (r)
		return r;
	find_old_region(d, &old->region, ret);
	ret->complete = install(d, conf_dir);
	return 0;
}

int pst_vm_define_patch(const struct pst_vm_draft *d, const char *conf_dir,
			struct pst_vm_defined *ret, struct pst_error *err)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = {0};
	PST_CLEANUP_FREE char *xml = NULL;
	const struct pst_vm_api *api = d->ask.api;
	int r;

	memset(ret, 0, sizeof(*ret));
	/* What was shown has no passwords (of a VNC display), which what is
	 * defined has to keep. */
	r = api->virt_xml(d->ask.virt, d->config.name, PST_VM_VIRT_SECRETS,
			  &xml, err);
	if (r == 0)
		r = api->patch(xml, &d->config, &p, err);
	if (r == 0)
		r = api->virt_define(d->ask.virt, p.after, true, err);
	if (r)
		return r;
	ret->complete = install(d, conf_dir);
	return 0;
}
