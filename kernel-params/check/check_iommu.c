/* SPDX-License-Identifier: MIT */
/* Checks of the IOMMU and of the card's group. */
#include <string.h>

#include "kernel-params/check/check_int.h"

/* Members of a group that are named one by one; struct pst_host_text holds
 * them. */
#define MAX_NAMED 60

PST_HOST_CHECK(iommu_firmware)
{
	const struct pst_host_iommu *i = &h->iommu;

	if (i->has_dmar || i->has_ivrs)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "table %s%s%s",
				     i->has_dmar ? "DMAR" : "",
				     i->has_dmar && i->has_ivrs ? " and " : "",
				     i->has_ivrs ? "IVRS" : "");
	else if (i->n_groups)
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL,
			"no DMAR or IVRS, but the kernel drives an "
			"IOMMU");
	else if (!h->files.has_acpi)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"look into /sys/firmware/acpi/tables there",
			"the firmware's tables were not seen");
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			h->cpu.vendor == PST_HOST_CPU_AMD
				? "turn on IOMMU (AMD-Vi) in the firmware's "
				  "setup; Auto may mean off"
				: "turn on VT-d in the firmware's setup",
			"neither DMAR nor IVRS among the firmware's tables");
}

static bool asked_for(const struct pst_host *h)
{
	return pst_host_cmdline_has(&h->cmdline, "intel_iommu", "on");
}

static bool is_off(const struct pst_host *h)
{
	return pst_host_cmdline_has(&h->cmdline, "iommu", "off") ||
	       pst_host_cmdline_has(&h->cmdline, "intel_iommu", "off") ||
	       pst_host_cmdline_has(&h->cmdline, "amd_iommu", "off");
}

/* What turns the IOMMU on, where the command line does not turn it off. */
static void fix_off(const struct pst_host *h, struct pst_host_text *fix)
{
	const struct pst_host_iommu *i = &h->iommu;
	bool intel = h->cpu.vendor == PST_HOST_CPU_INTEL || i->has_dmar;
	bool amd = h->cpu.vendor == PST_HOST_CPU_AMD || i->has_ivrs;

	if (!i->has_dmar && !i->has_ivrs && h->files.has_acpi)
		pst_host_text_add(fix,
				  "turn it on in the firmware's setup first "
				  "(iommu.firmware)%s",
				  intel && !asked_for(h) ? ", then " : "");
	else if (intel && asked_for(h))
		pst_host_text_add(fix, "look for DMAR in dmesg: the kernel was "
				       "asked for it and has none");
	else if (amd && !intel)
		pst_host_text_add(fix,
				  "AMD's comes on by itself: look for AMD-Vi "
				  "in dmesg");
	else if (!intel)
		pst_host_text_add(fix,
				  "AMD's comes on by itself, Intel's when it "
				  "is asked for: ");
	if (!asked_for(h) && (intel || !amd))
		pst_host_fix_cmdline(h, "intel_iommu=on iommu=pt", "", fix);
}

static void report_off(const struct pst_host *h, struct pst_host_findings *out)
{
	const struct pst_host_iommu *i = &h->iommu;
	bool intel = h->cpu.vendor == PST_HOST_CPU_INTEL || i->has_dmar;
	struct pst_host_text seen = {0}, fix = {0};

	pst_host_text_add(&seen, i->n_groups ? "no IOMMU drives the groups"
					     : "no IOMMU groups");
	if (is_off(h))
		pst_host_text_add(&seen, ": the command line turns it off");
	else if (intel && !asked_for(h))
		pst_host_text_add(&seen,
				  ": no intel_iommu=on on the command line");
	if (h->files.noiommu)
		pst_host_text_add(&seen, "; vfio's mode without IOMMU is no "
					 "replacement");
	if (is_off(h))
		pst_host_text_add(&fix, "take iommu=off, intel_iommu=off and "
					"amd_iommu=off off the command line");
	else
		fix_off(h, &fix);
	pst_host_finding_add(out, PST_HOST_FAIL, fix.buf, "%s", seen.buf);
}

PST_HOST_CHECK(iommu_enabled)
{
	const struct pst_host_iommu *i = &h->iommu;

	if (h->boot.dom0)
		pst_host_finding_add(out, PST_HOST_FAIL, PST_HOST_DOM0_FIX,
				     "%s", PST_HOST_DOM0);
	/* Groups that vfio makes up itself isolate nothing. */
	else if (i->n_groups && (i->n_units || !h->files.noiommu))
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s, %zu groups",
				     i->n_units
					     ? pst_host_iommu_kind_name(i->kind)
					     : "IOMMU",
				     i->n_groups);
	else if (!h->files.has_sys)
		pst_host_finding_add(out, PST_HOST_WARN, "copy sys/kernel too",
				     "sys/kernel was not seen in this tree");
	else
		report_off(h, out);
}

/* Of iommu=pt, iommu=nopt and iommu.passthrough= the last one counts. */
static bool passes_through(const struct pst_host_cmdline *c)
{
	const struct pst_host_param *q;
	const char *v;
	bool pt = false;
	size_t i;

	for (i = 0; i < c->n; i++) {
		q = &c->param[i];
		if (!q->value || !*q->value)
			continue;
		if (pst_host_param_name_eq(q->name, "iommu.passthrough")) {
			pt = strchr("1yYtT", *q->value) ||
			     strncasecmp(q->value, "on", 2) == 0;
			continue;
		}
		if (strcmp(q->name, "iommu") != 0)
			continue;
		for (v = q->value; *v; v += *v == ',') {
			if (strncmp(v, "pt", 2) == 0)
				pt = true;
			else if (strncmp(v, "nopt", 4) == 0)
				pt = false;
			v += strcspn(v, ",");
		}
	}
	return pt;
}

PST_HOST_CHECK(iommu_mode)
{
	bool pt = passes_through(&h->cmdline);
	struct pst_host_text fix = {0};
	size_t i, identity = 0;

	if (!h->iommu.n_groups)
		return;
	for (i = 0; i < h->iommu.n_groups; i++)
		identity += strcmp(h->iommu.group[i].type, "identity") == 0;
	if (pt || identity) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     pt ? "iommu=pt"
					: "groups of type identity");
		return;
	}
	pst_host_fix_cmdline(h, "iommu=pt", "", &fix);
	pst_host_finding_add(out, PST_HOST_WARN, fix.buf,
			     "no iommu=pt on the command line%s",
			     pst_host_cmdline_has(&h->cmdline, "iommu", "pt")
				     ? " that a later word does not take back"
				     : "");
}

PST_HOST_CHECK(iommu_acs)
{
	const struct pst_host_param *p =
		pst_host_cmdline_get(&h->cmdline, "pcie_acs_override");

	if (!p)
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL,
			"no pcie_acs_override on the command line");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"put the card into a slot of a root port of its "
			"own and take the parameter off; else trust no "
			"guest with what shares the bridge",
			"pcie_acs_override=%s: devices of one bridge "
			"can reach each other around the IOMMU",
			p->value ? p->value : "");
}

PST_HOST_CHECK(iommu_interrupts)
{
	if (!h->iommu.n_groups)
		return;
	if (pst_host_cmdline_has(&h->cmdline, "intremap", "off") ||
	    pst_host_cmdline_get(&h->cmdline, "nointremap"))
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"take intremap=off off the command line",
			"interrupt remapping is off by the command "
			"line");
	else if (h->files.unsafe_interrupts)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"take allow_unsafe_interrupts off unless the "
			"board cannot remap",
			"vfio_iommu_type1 allows unsafe interrupts");
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "not turned off");
}

/* What the host has no longer when a member goes. */
static const char *loss(const struct pst_host_pci_dev *d)
{
	static const struct {
		const char *kind, *loss;
	} losses[] = {
		{"NVMe", "its disks"},      {"SATA", "its disks"},
		{"SAS", "its disks"},       {"RAID", "its disks"},
		{"SCSI", "its disks"},      {"IDE", "its disks"},
		{"network", "its network"}, {"USB", "its USB ports"},
		{"VGA", "its screens"},     {"3D", "its GPU"},
		{"display", "its screens"}, {"audio", "its sound"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(losses); i++)
		if (strcmp(losses[i].kind, pst_host_pci_kind(d)) == 0)
			return losses[i].loss;
	return "it";
}

struct group_sum {
	struct pst_host_text others, bridges;
	size_t n_others, n_bridges;
};

static void add_member(const struct pst_host_pci_dev *d, struct group_sum *s)
{
	if (pst_host_pci_is_bridge(d)) {
		if (s->n_bridges++ < MAX_NAMED)
			pst_host_text_add(&s->bridges, "%s%s",
					  s->n_bridges > 1 ? " " : "", d->name);
		return;
	}
	if (s->n_others++ < MAX_NAMED)
		pst_host_text_add(&s->others, "%s%s %s (%s): the host loses %s",
				  s->n_others > 1 ? ", " : "", d->name,
				  pst_host_pci_kind(d),
				  *d->driver ? d->driver : "-", loss(d));
}

static void report_group(const struct pst_host *h,
			 struct pst_host_findings *out,
			 const struct pst_host_group *g,
			 const struct group_sum *s)
{
	struct pst_host_text seen = {0}, fix = {0};

	pst_host_text_add(&seen, "group %d", h->gpu->iommu_group);
	if (s->n_others)
		pst_host_text_add(&seen, " also has %s", s->others.buf);
	else
		pst_host_text_add(&seen, " has the card alone");
	if (s->n_others > MAX_NAMED)
		pst_host_text_add(&seen, " and %zu more",
				  s->n_others - MAX_NAMED);
	if (s->n_bridges)
		pst_host_text_add(&seen, "; bridges, which stay: %s",
				  s->bridges.buf);
	pst_host_text_add(
		&fix,
		"put the card into another slot, or do without these: "
		"penstock host apply --gpu %s gives them to vfio-pci",
		h->gpu->name);
	if (g->state == PST_HOST_GROUP_ALONE)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
	else if (g->state == PST_HOST_GROUP_VITAL)
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "put the card into another slot", "%s",
				     seen.buf);
	else if (g->state == PST_HOST_GROUP_HELD)
		pst_host_finding_add(out, PST_HOST_FAIL, fix.buf, "%s",
				     seen.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"nobody holds them; they can be used by this "
			"guest or by nobody",
			"%s", seen.buf);
}

PST_HOST_CHECK(iommu_group)
{
	struct group_sum s = {0};
	struct pst_host_group g;
	size_t i;

	pst_host_group_judge(h, &g);
	if (g.state == PST_HOST_GROUP_OFF && !h->files.has_sys) {
		pst_host_finding_add(out, PST_HOST_WARN, "copy sys/kernel too",
				     "the group of %s was not seen",
				     h->gpu->name);
		return;
	}
	if (g.state == PST_HOST_GROUP_OFF) {
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "turn the IOMMU on first",
				     "%s is in no IOMMU group, there are none",
				     h->gpu->name);
		return;
	}
	if (g.state == PST_HOST_GROUP_NONE) {
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"the IOMMU does not cover this device: try "
			"another slot",
			"%s is in no IOMMU group", g.fn->name);
		return;
	}
	for (i = 0; i < g.n; i++)
		if (!pst_host_pci_same_card(g.member[i], h->gpu))
			add_member(g.member[i], &s);
	report_group(h, out, &g, &s);
}
