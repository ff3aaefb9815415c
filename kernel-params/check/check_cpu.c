/* SPDX-License-Identifier: MIT */
/* Checks of the processor and of KVM. */
#include <linux/kvm.h>
#include <string.h>

#include "kernel-params/check/check_int.h"

PST_HOST_CHECK(cpu)
{
	const struct pst_host_cpu *c = &h->cpu;

	if (c->vmx || c->svm)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s, %s%s",
				     c->vmx ? "VT-x" : "AMD-V", c->model,
				     c->hypervisor ? ", itself in a VM" : "");
	else if (h->live.tested && !h->live.kvm_error)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "no flag of it, but KVM answers");
	else if (h->live.tested &&
		 (h->live.kvm_error == EACCES || h->live.kvm_error == EPERM))
		pst_host_finding_add(out, PST_HOST_WARN, "run it as root",
				     "no flag of it; KVM may not be asked");
	else if (!c->has_cpuinfo)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"look for vmx or svm in /proc/cpuinfo there",
			"proc/cpuinfo was not seen");
	else if (c->vendor == PST_HOST_CPU_UNKNOWN)
		pst_host_finding_add(
			out, PST_HOST_WARN, "see whether /dev/kvm is there",
			"a processor of a kind that shows no flag");
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			c->hypervisor
				? "turn on nested virtualisation on the machine "
				  "that runs this VM"
				: "turn on VT-x (Intel) or SVM (AMD) in the "
				  "firmware's setup",
			"neither vmx nor svm in the flags of %s%s", c->model,
			c->hypervisor ? ", which is in a VM" : "");
}

static void kvm_live(const struct pst_host *h, struct pst_host_findings *out)
{
	const struct pst_host_live *l = &h->live;

	if (!l->kvm_error && l->kvm_api == KVM_API_VERSION)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "/dev/kvm opens, API version %d",
				     l->kvm_api);
	else if (!l->kvm_error)
		pst_host_finding_add(
			out, PST_HOST_FAIL, "use a kernel with KVM's API 12",
			"/dev/kvm answers API version %d", l->kvm_api);
	else if (l->kvm_error == ENOENT)
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"modprobe kvm_intel or kvm_amd; dmesg says why "
			"it refuses",
			"there is no /dev/kvm");
	else if (l->kvm_error == EACCES || l->kvm_error == EPERM)
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "add yourself to the group kvm and log in "
				     "again, or run this as root",
				     "/dev/kvm does not open: %s",
				     strerror(l->kvm_error));
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"dmesg says why; another hypervisor may hold "
			"the processor",
			"/dev/kvm does not answer: %s", strerror(l->kvm_error));
}

PST_HOST_CHECK(kvm)
{
	bool in = pst_host_module_is_in(&h->modules, "kvm_intel") ||
		  pst_host_module_is_in(&h->modules, "kvm_amd") ||
		  pst_host_module_is_in(&h->modules, "kvm");

	if (h->live.tested)
		kvm_live(h, out);
	else if (h->files.dev_kvm || in)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "run penstock host check on that machine",
				     "%s; it cannot be opened from here",
				     h->files.dev_kvm
					     ? "dev/kvm is in the tree"
					     : "KVM's module is loaded");
	else if (h->files.has_dev && (h->modules.loaded || h->modules.has_sys))
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"modprobe kvm_intel or kvm_amd on that machine",
			"neither dev/kvm nor a module of KVM");
	else
		pst_host_finding_add(out, PST_HOST_WARN,
				     "run penstock host check on that machine",
				     "dev/kvm was not seen in this tree");
}
