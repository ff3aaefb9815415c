/* SPDX-License-Identifier: MIT */
/* penstock vm define: the domain, its region's unit, its endpoint. */
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_files.h"

extern const struct pst_cmd pst_cmd_vm_define;

enum { OPT_CONF_DIR = PST_OPT_VM_END };

/* Texts of the two files. */
#define TEXT_SIZE 16384

struct install {
	const struct pst_cmd_ctx *ctx;
	const char *dir;
	const struct pst_vm_config *c;
	bool failed; /* something that has to be done by hand */
};

/* Writes one file, or says what to paste. */
static void write_conf(struct install *d, const char *sub, const char *text)
{
	struct pst_error err;

	if (pst_vm_files_write(d->dir, sub, d->c->name, text, &err) == 0)
		return;
	d->failed = true;
	pst_cmd_fail(d->ctx, "%s; %s/%s/%s.conf has to hold:", err.text, d->dir,
		     sub, d->c->name);
	fputs(text, stderr);
}

/* Of a former definition whose region could have one. */
static void remove_unit(struct install *d)
{
	char had[PATH_MAX];
	struct pst_error err;

	pst_vm_files_left(d->dir, d->c->name, had);
	if (!had[0])
		return;
	if (pst_vm_files_remove(d->dir, "regions.d", d->c->name, &err) < 0 ||
	    pst_vm_files_systemctl(d->dir, "disable", d->c->name, &err) < 0) {
		d->failed = true;
		pst_cmd_fail(d->ctx, "%s", err.text);
	}
}

/* The unit makes the region before libvirtd starts domains by itself. */
static void install_unit(struct install *d)
{
	char text[TEXT_SIZE];
	struct pst_error err;
	int rc;

	if (!pst_vm_files_unit_fits(d->c->name, &d->c->region)) {
		fprintf(stderr,
			"%s: note: penstock-region@%s cannot make %s, which is "
			"not called penstock-%s: after a boot, vm start makes "
			"it, and autostart fails\n",
			d->ctx->path, d->c->name, d->c->region.path,
			d->c->name);
		remove_unit(d);
		return;
	}
	if (pst_vm_files_region(&d->c->region, text, sizeof(text), &err) < 0) {
		d->failed = true;
		pst_cmd_fail(d->ctx, "%s", err.text);
		return;
	}
	write_conf(d, "regions.d", text);
	if (strncmp(d->c->region.path, "/dev/", 5) != 0)
		fprintf(stderr,
			"%s: note: the unit may write below /dev only; "
			"systemctl edit penstock-region@%s, and there, in "
			"[Service]: ReadWritePaths=%.*s\n",
			d->ctx->path, d->c->name,
			(int)(strrchr(d->c->region.path, '/') -
			      d->c->region.path),
			d->c->region.path);
	rc = pst_vm_files_systemctl(d->dir, "enable", d->c->name, &err);
	if (rc == 0)
		return;
	if (rc < 0) {
		d->failed = true;
		pst_cmd_fail(d->ctx, "%s", err.text);
	}
	fprintf(stderr,
		"%s: note: the region's unit is not enabled: systemctl enable "
		"penstock-region@%s\n",
		d->ctx->path, d->c->name);
}

static void say_apparmor(const struct install *d)
{
	const bool needed = d->c->region.via == PST_VM_VIA_IVSHMEM;

	fprintf(stderr,
		"%s: note: AppArmor%s\n"
		"  \"%s\" rw,\n"
		"in /etc/apparmor.d/local/abstractions/libvirt-qemu%s\n",
		d->ctx->path,
		needed ? ", where it confines QEMU, wants the line"
		       : ": libvirt writes this rule by itself; an old one "
			 "needs it",
		d->c->region.path,
		needed ? " (libvirt does not see the region)" : "");
}

bool pst_cmd_vm_install(const struct pst_cmd_ctx *ctx, const char *dir,
			const struct pst_vm_config *c)
{
	struct install d = {.ctx = ctx, .dir = dir, .c = c};
	char uri[2 * PATH_MAX], text[TEXT_SIZE];
	struct pst_error err;
	int rc;

	rc = pst_vm_config_endpoint(c, uri, sizeof(uri), &err);
	if (rc == 0)
		rc = pst_vm_files_endpoint(uri, text, sizeof(text), &err);
	if (rc) {
		pst_cmd_fail(ctx, "%s", err.text);
		return false;
	}
	install_unit(&d);
	write_conf(&d, "endpoints.d", text);
	say_apparmor(&d);
	return !d.failed;
}

static int report(const struct pst_cmd_ctx *ctx, const struct pst_vm_config *c,
		  bool complete, bool json)
{
	char uri[2 * PATH_MAX] = "", cid[32] = "";
	struct pst_error err;

	/* A vsock daemon has one of its own. */
	if (!c->vsock_socket)
		snprintf(cid, sizeof(cid), "CID %u, ", c->cid);
	if (!json) {
		printf("%s is defined: %sregion %s (%llu MiB, %s)\n"
		       "penstock vm start --wait %s, then penstock -e %s info\n",
		       c->name, cid, c->region.path,
		       (unsigned long long)(c->region.size >> 20),
		       pst_vm_via_name(c->region.via), c->name, c->name);
	} else if (pst_vm_config_endpoint(c, uri, sizeof(uri), &err) < 0 ||
		   pst_cmd_print_json(
			   ctx,
			   json_pack("{s:s, s:I, s:s, s:{s:o, s:I, s:s}, s:b}",
				     "name", c->name, "cid", (json_int_t)c->cid,
				     "endpoint", uri, "region", "path",
				     pst_cmd_text(c->region.path), "size",
				     (json_int_t)c->region.size, "via",
				     pst_vm_via_name(c->region.via), "complete",
				     complete))) {
		return PST_EXIT_FAILED;
	}
	return complete ? PST_EXIT_OK : PST_EXIT_FAILED;
}

/* The region of the definition that was replaced, when the domain has another
 * one now: it would hold its hugepages, or be of a size that QEMU refuses. */
static void drop_old_region(const struct pst_cmd_ctx *ctx,
			    const struct pst_cmd_vm_plan *p,
			    const struct pst_vm_region *old)
{
	enum pst_virt_state state;
	struct pst_error err;

	if (!old->path[0] || (strcmp(old->path, p->config.region.path) == 0 &&
			      old->size == p->config.region.size))
		return;
	if (p->api->virt_state(p->virt, p->config.name, &state, &err) ||
	    state != PST_VIRT_OFF)
		fprintf(stderr,
			"%s: note: %s has its old region while it runs; then "
			"rm %s\n",
			ctx->path, p->config.name, old->path);
	else if (pst_vm_files_remove_region(old->path, &err))
		fprintf(stderr, "%s: note: %s\n", ctx->path, err.text);
}

static int define(const struct pst_cmd_ctx *ctx,
		  const struct pst_cmd_vm_plan *p, const char *dir, bool json)
{
	PST_CLEANUP_FREE struct pst_vm_info *old = calloc(1, sizeof(*old));
	PST_CLEANUP_FREE char *xml = NULL;
	struct pst_error err;
	int rc;

	if (!old)
		return pst_cmd_fail(ctx, "out of memory");
	rc = pst_cmd_vm_domain(ctx, p, &xml);
	if (rc)
		return rc;
	if (p->api->virt_info(p->virt, p->config.name, false, old, NULL))
		old->region.path[0] = '\0';
	rc = p->api->virt_define(p->virt, xml, false, &err);
	if (rc)
		return pst_cmd_fail(ctx, "%s", err.text);
	drop_old_region(ctx, p, &old->region);
	return report(ctx, &p->config, pst_cmd_vm_install(ctx, dir, &p->config),
		      json);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst_cmd_vm_ask ask = PST_CMD_VM_ASK;
	PST_CLEANUP_FREE struct pst_cmd_vm_plan *p = calloc(1, sizeof(*p));
	const char *dir = PST_VM_CONF_DIR;
	bool json = false;
	int opt, rc;

	if (!p)
		return pst_cmd_fail(ctx, "out of memory");
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_CONF_DIR)
			dir = optarg;
		else if (opt == PST_OPT_JSON)
			json = true;
		else if (!pst_cmd_vm_opt(ctx, opt, &ask))
			return PST_EXIT_USAGE;
	}
	ask.q.name = argv[optind];
	ask.q.is_final = true;
	ask.defines = true;
	rc = pst_cmd_vm_plan(ctx, &ask, p);
	if (rc == PST_EXIT_OK)
		rc = define(ctx, p, dir, json);
	pst_cmd_vm_unplan(p);
	return rc;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPTS,
	{OPT_CONF_DIR, "conf-dir", "DIR",
	 "where endpoint and region are written [/etc/penstock]"},
	PST_CMD_OPT_JSON,
	{0, NULL, NULL, NULL},
};

const struct pst_cmd pst_cmd_vm_define = {
	.name = "define",
	.args = "NAME --memory S --vcpus N --disk PATH [--gpu ADDR]",
	.summary = "Define that domain, its region's unit and its endpoint",
	.help = "What vm xml prints, defined with libvirt. A domain of that "
		"name is replaced when\nPenstock made it, and never "
		"otherwise.\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
