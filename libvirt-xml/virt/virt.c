/* SPDX-License-Identifier: MIT */
/* The connection to libvirt, and its queries. */
#include "libvirt-xml/virt/virt.h"

#include <stdarg.h>
#include <string.h>

#include "libvirt-xml/virt/virt_int.h"

/* A peer that answers nothing for 5 times 6 s is dead. */
#define KEEPALIVE_S 6
#define KEEPALIVE_N 5

static const char *const state_names[] = {
	[PST_VM_VIRT_OFF] = "off",
	[PST_VM_VIRT_RUNNING] = "running",
	[PST_VM_VIRT_PAUSED] = "paused",
	[PST_VM_VIRT_ENDING] = "shutting down",
	[PST_VM_VIRT_CRASHED] = "crashed",
};

const char *pst_vm_virt_state_name(enum pst_vm_virt_state s)
{
	return state_names[s];
}

/* ---- Errors ------------------------------------------------------------- */

/* libvirt prints errors on stderr if no handler takes them. */
static void drop_error(void *arg, virErrorPtr e)
{
}

static int errno_of(const virError *e)
{
	switch (e ? e->code : VIR_ERR_OK) {
	case VIR_ERR_NO_DOMAIN:
		return -ENOENT;
	case VIR_ERR_NO_CONNECT:
	case VIR_ERR_INVALID_CONN:
		return -ECONNREFUSED;
	case VIR_ERR_AUTH_FAILED:
	case VIR_ERR_AUTH_CANCELLED:
	case VIR_ERR_AUTH_UNAVAILABLE:
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_OPERATION_DENIED:
		return -EACCES;
	case VIR_ERR_NO_MEMORY:
		return -ENOMEM;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_OPERATION_UNSUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

int pst_vm_virt_error(struct pst_error *err, const char *fmt, ...)
{
	const virError *e = virGetLastError();
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return pst_error_set(err, errno_of(e), "%s: %s", what,
			     e && e->message ? e->message
					     : "libvirt gave no reason");
}

/* ---- The connection ----------------------------------------------------- */

static void on_tick(int timer, void *arg)
{
	struct pst_vm_virt *v = arg;

	v->ticks++;
}

int pst_vm_virt_tick(struct pst_vm_virt *v, struct pst_error *err)
{
	if (virEventRunDefaultImpl() < 0)
		return pst_vm_virt_error(err, "libvirt's event loop failed");
	if (virConnectIsAlive(v->conn) == 1)
		return 0;
	return pst_error_set(err, -ECONNREFUSED,
			     "the connection to libvirt has ended");
}

static int register_loop(void)
{
	static bool done;

	if (done)
		return 0;
	virSetErrorFunc(NULL, drop_error);
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return -ENOMEM;
	done = true;
	return 0;
}

/* Names the users that may, if this one may not. */
static void open_error(const char *uri, struct pst_error *err)
{
	const virError *e = virGetLastError();
	const char *text = e && e->message ? e->message : "no reason given";
	bool denied = errno_of(e) == -EACCES ||
		      strstr(text, strerror(EACCES)) != NULL;

	pst_error_set(err, -ECONNREFUSED, "cannot reach libvirt at %s: %s%s",
		      uri, text,
		      denied ? " (root may, and members of the group libvirt)"
			     : "");
}

int pst_vm_virt_open(const char *uri, struct pst_vm_virt **ret,
		     struct pst_error *err)
{
	struct pst_vm_virt *v;

	*ret = NULL;
	if (register_loop() < 0)
		return pst_vm_virt_error(err, "libvirt cannot be initialised");
	v = calloc(1, sizeof(*v));
	if (!v)
		return pst_oom(err);
	v->timer = -1;
	v->conn = virConnectOpen(uri ? uri : PST_VM_VIRT_URI);
	if (!v->conn) {
		free(v);
		open_error(uri ? uri : PST_VM_VIRT_URI, err);
		return -ECONNREFUSED;
	}
	v->timer = virEventAddTimeout(PST_VM_VIRT_TICK_MS, on_tick, v, NULL);
	/* Local drivers have none, and need none. */
	virConnectSetKeepAlive(v->conn, KEEPALIVE_S, KEEPALIVE_N);
	*ret = v;
	return 0;
}

void pst_vm_virt_close(struct pst_vm_virt *v)
{
	if (!v)
		return;
	if (v->timer >= 0)
		virEventRemoveTimeout(v->timer);
	virConnectClose(v->conn);
	free(v);
}

unsigned long pst_vm_virt_version(struct pst_vm_virt *v)
{
	unsigned long version = 0;

	if (virConnectGetLibVersion(v->conn, &version) < 0)
		return 0;
	return version;
}

unsigned long pst_vm_virt_library_version(void)
{
	unsigned long version = 0;

	return virGetVersion(&version, NULL, NULL) < 0 ? 0 : version;
}

/* ---- Questions ---------------------------------------------------------- */

int pst_vm_virt_find(struct pst_vm_virt *v, const char *name, virDomainPtr *ret,
		     struct pst_error *err)
{
	int r;

	*ret = virDomainLookupByName(v->conn, name);
	if (*ret)
		return 0;
	r = pst_vm_virt_error(err, "domain %s", name);
	if (r == -ENOENT)
		pst_error_set(err, r, "there is no domain \"%s\"", name);
	return r;
}

static char *xml_of(virDomainPtr dom, enum pst_vm_virt_text which)
{
	static const unsigned int flags[] = {
		[PST_VM_VIRT_DEFINED] = VIR_DOMAIN_XML_INACTIVE,
		[PST_VM_VIRT_SECRETS] =
			VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE,
		[PST_VM_VIRT_LIVE] = 0,
	};

	return virDomainGetXMLDesc(dom, flags[which]);
}

int pst_vm_virt_xml(struct pst_vm_virt *v, const char *name,
		    enum pst_vm_virt_text which, char **ret,
		    struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	*ret = NULL;
	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	*ret = xml_of(dom, which);
	return *ret ? 0 : pst_vm_virt_error(err, "the XML of %s", name);
}

int pst_vm_virt_info(struct pst_vm_virt *v, const char *name, bool live,
		     struct pst_vm_info *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE char *xml = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = pst_vm_virt_xml(v, name,
			    live ? PST_VM_VIRT_LIVE : PST_VM_VIRT_DEFINED, &xml,
			    err);
	return r ? r : pst_vm_info_parse(xml, ret, err);
}

static int read_state(virDomainPtr dom, enum pst_vm_virt_state *ret)
{
	int state, reason;

	if (virDomainGetState(dom, &state, &reason, 0) < 0)
		return -EIO;
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
	case VIR_DOMAIN_NOSTATE:
		*ret = PST_VM_VIRT_RUNNING;
		break;
	case VIR_DOMAIN_PAUSED:
		*ret = PST_VM_VIRT_PAUSED;
		break;
	case VIR_DOMAIN_SHUTDOWN:
		*ret = PST_VM_VIRT_ENDING;
		break;
	case VIR_DOMAIN_SHUTOFF:
		*ret = PST_VM_VIRT_OFF;
		break;
	default:
		*ret = PST_VM_VIRT_CRASHED;
		break;
	}
	return 0;
}

int pst_vm_virt_state(struct pst_vm_virt *v, const char *name,
		      enum pst_vm_virt_state *ret, struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (read_state(dom, ret) < 0)
		return pst_vm_virt_error(err, "the state of %s", name);
	return 0;
}

/* A domain may go while the list is made: then it is left out. */
static bool fill_entry(virDomainPtr dom, struct pst_vm_virt_entry *e,
		       struct pst_vm_info *info)
{
	PST_CLEANUP_FREE char *xml = xml_of(dom, PST_VM_VIRT_DEFINED);
	int autostart = 0;

	if (!xml || read_state(dom, &e->state) < 0)
		return false;
	snprintf(e->name, sizeof(e->name), "%s", virDomainGetName(dom));
	/* Damaged settings are still ours. */
	if (pst_vm_info_parse(xml, info, NULL) == 0 || info->ours) {
		e->ours = info->ours;
		e->cid = info->cid;
		strcpy(e->region, info->region.path);
	}
	e->persistent = virDomainIsPersistent(dom) == 1;
	e->autostart = virDomainGetAutostart(dom, &autostart) == 0 && autostart;
	return true;
}

int pst_vm_virt_list(struct pst_vm_virt *v, struct pst_vm_virt_entry **ret,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	struct pst_vm_virt_entry *list = NULL;
	virDomainPtr *doms = NULL;
	int n, i, used = 0;

	*ret = NULL;
	n = virConnectListAllDomains(v->conn, &doms, 0);
	if (n < 0)
		return pst_vm_virt_error(err, "cannot list the domains");
	list = calloc((size_t)n + 1, sizeof(*list));
	for (i = 0; i < n; i++) {
		if (list && info && fill_entry(doms[i], &list[used], info))
			used++;
		virDomainFree(doms[i]);
	}
	free(doms);
	if (!list || !info) {
		free(list);
		return pst_oom(err);
	}
	*ret = list;
	return used;
}

int pst_vm_virt_get_autostart(struct pst_vm_virt *v, const char *name,
			      bool *ret, struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r, on = 0;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainGetAutostart(dom, &on) < 0)
		return pst_vm_virt_error(err, "autostart of %s", name);
	*ret = on != 0;
	return 0;
}
