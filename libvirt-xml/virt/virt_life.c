/* SPDX-License-Identifier: MIT */
/* A domain's definition and life through libvirt, and its events. */
#include <inttypes.h>
#include <string.h>

#include "libvirt-xml/virt/virt.h"
#include "libvirt-xml/virt/virt_int.h"
#include "libvirt-xml/xml/xml.h"

/* ---- Definition --------------------------------------------------------- */

/* The text with <uuid> in it: of a domain that keeps its identity. */
static int set_uuid(const char *xml, const char *uuid, char **ret,
		    struct pst_error *err)
{
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = NULL;
	xmlNode *domain, *node;
	int r;

	r = pst_vm_xml_parse(xml, strlen(xml), &doc, err);
	if (r)
		return r;
	domain = xmlDocGetRootElement(doc);
	node = pst_vm_xml_child(domain, "uuid");
	if (node)
		xmlNodeSetContent(node, BAD_CAST uuid);
	else
		node = pst_vm_xml_text(domain, "uuid", "%s", uuid);
	*ret = node ? pst_vm_xml_dump(doc) : NULL;
	return *ret ? 0 : pst_oom(err);
}

/* Whether xml may take the place of what is there. *ret_uuid: its UUID, empty
 * when nothing is there. */
static int may_replace(struct pst_vm_virt *v, const char *name, bool any,
		       char ret_uuid[40], struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	int r;

	ret_uuid[0] = '\0';
	if (!info)
		return pst_oom(err);
	r = pst_vm_virt_info(v, name, false, info, err);
	if (r == -ENOENT)
		return 0;
	if (r && !info->ours)
		return r;
	if (!info->ours && !any)
		return pst_error_set(err, -EEXIST,
				     "the domain \"%s\" exists and is not "
				     "Penstock's: it was not changed; choose "
				     "another name, or see penstock vm patch",
				     name);
	snprintf(ret_uuid, 40, "%s", info->uuid);
	return 0;
}

int pst_vm_virt_define(struct pst_vm_virt *v, const char *xml, bool any,
		       struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	PST_CLEANUP_FREE char *text = NULL;
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	char uuid[40];
	int r;

	if (!info)
		return pst_oom(err);
	r = pst_vm_info_parse(xml, info, err);
	if (r == 0)
		r = may_replace(v, info->name, any, uuid, err);
	if (r)
		return r;
	if (uuid[0]) {
		r = set_uuid(xml, uuid, &text, err);
		if (r)
			return r;
		xml = text;
	}
	dom = virDomainDefineXMLFlags(v->conn, xml, VIR_DOMAIN_DEFINE_VALIDATE);
	if (!dom && virGetLastErrorCode() == VIR_ERR_NO_SUPPORT)
		dom = virDomainDefineXML(v->conn, xml);
	if (!dom)
		return pst_vm_virt_error(err, "libvirt refused to define %s",
					 info->name);
	return 0;
}

int pst_vm_virt_undefine(struct pst_vm_virt *v, const char *name,
			 bool with_nvram, struct pst_error *err)
{
	unsigned int flags = with_nvram ? VIR_DOMAIN_UNDEFINE_NVRAM
					: VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	if (!info)
		return pst_oom(err);
	r = pst_vm_virt_info(v, name, false, info, err);
	if (r && !info->ours)
		return r;
	if (!info->ours)
		return pst_error_set(err, -EPERM,
				     "the domain \"%s\" is not Penstock's: it "
				     "was not changed; virsh undefine %s",
				     name, name);
	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainIsActive(dom) == 1)
		return pst_error_set(err, -EBUSY,
				     "%s runs: penstock vm stop %s first", name,
				     name);
	/* An image of virsh managedsave is of no use without the domain. */
	if (virDomainUndefineFlags(dom, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
						(info->nvram[0] ? flags : 0)) <
	    0)
		return pst_vm_virt_error(err, "cannot undefine %s", name);
	return 0;
}

int pst_vm_virt_set_autostart(struct pst_vm_virt *v, const char *name, bool on,
			      struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainSetAutostart(dom, on) < 0)
		return pst_vm_virt_error(err, "autostart of %s", name);
	return 0;
}

/* ---- Life --------------------------------------------------------------- */

int pst_vm_virt_start(struct pst_vm_virt *v, const char *name,
		      struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainIsActive(dom) == 1)
		return pst_error_set(err, -EALREADY, "%s runs already", name);
	if (virDomainCreate(dom) < 0)
		return pst_vm_virt_error(err, "%s does not start", name);
	return 0;
}

static int not_running(const char *name, struct pst_error *err)
{
	return pst_error_set(err, -EALREADY, "%s does not run", name);
}

/* A call failed: since the domain has ended just now, or with libvirt's reason,
 * which the next question to libvirt would wipe out. */
static int failed(virDomainPtr dom, const char *what, const char *name,
		  struct pst_error *err)
{
	int r = pst_vm_virt_error(err, "cannot %s %s", what, name);

	return virDomainIsActive(dom) == 0 ? not_running(name, err) : r;
}

int pst_vm_virt_shutdown(struct pst_vm_virt *v, const char *name,
			 enum pst_vm_virt_how *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	enum pst_vm_virt_state state;
	int r;

	if (!info)
		return pst_oom(err);
	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainIsActive(dom) != 1)
		return not_running(name, err);
	if (pst_vm_virt_state(v, name, &state, err) == 0 &&
	    state == PST_VM_VIRT_PAUSED)
		return pst_error_set(err, -EBUSY,
				     "%s is paused and cannot react: virsh "
				     "resume %s",
				     name, name);
	*ret = PST_VM_VIRT_BY_AGENT;
	if (pst_vm_virt_info(v, name, true, info, NULL) == 0 &&
	    info->agent_connected &&
	    virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == 0)
		return 0;
	*ret = PST_VM_VIRT_BY_ACPI;
	if (virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) ==
		    0 ||
	    virDomainShutdown(dom) == 0)
		return 0;
	return failed(dom, "shut down", name, err);
}

int pst_vm_virt_destroy(struct pst_vm_virt *v, const char *name,
			struct pst_error *err)
{
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainDestroy(dom) == 0)
		return 0;
	return failed(dom, "end", name, err);
}

/* ---- Events ------------------------------------------------------------- */

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event,
			int detail, void *arg)
{
	bool *ended = arg;

	if (event == VIR_DOMAIN_EVENT_STOPPED ||
	    event == VIR_DOMAIN_EVENT_CRASHED)
		*ended = true;
	return 0;
}

int pst_vm_virt_wait_off(struct pst_vm_virt *v, const char *name,
			 uint64_t timeout_ns, bool (*stop)(void *arg),
			 void *arg, struct pst_error *err)
{
	uint64_t deadline = pst_now_ns() + timeout_ns;
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	bool ended = false;
	int r, id;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	/* Registered before the look: what comes in between is an event. */
	id = virConnectDomainEventRegisterAny(
		v->conn, dom, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), &ended, NULL);
	if (virDomainIsActive(dom) == 0)
		ended = true;
	while (r == 0 && !ended) {
		if (stop && stop(arg))
			r = -ECANCELED;
		else if (pst_now_ns() >= deadline)
			r = pst_error_set(err, -ETIMEDOUT,
					  "%s did not end in %" PRIu64 " s",
					  name, timeout_ns / PST_NS_PER_S);
		else
			r = pst_vm_virt_tick(v, err);
		/* A driver without events is asked instead. */
		if (r == 0 && id < 0 && virDomainIsActive(dom) == 0)
			ended = true;
	}
	if (id >= 0)
		virConnectDomainEventDeregisterAny(v->conn, id);
	return r;
}
