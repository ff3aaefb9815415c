/* SPDX-License-Identifier: MIT */
/* Derives what a plan wants: kernel parameters, modules in order, the pool. */
#include <inttypes.h>
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/rivals.h"
#include "kernel-params/syntax/cmdline.h"
#include "transport/base/region_size.h"

static int no_memory(struct pst_error *err)
{
	return pst_oom(err);
}

/* ---- Modules --------------------------------------------------------------
 */

/* Modules that may take a function, and the one that has it. */
static int add_modules(struct pst_host_lines *l,
		       const struct pst_host_pci_dev *dev)
{
	const struct pst_host_rival *m = NULL;
	char buf[64];
	int r = 0;

	while (r == 0 && (m = pst_host_rival_next(dev, m)))
		r = pst_host_lines_add(l, "%s", m->module);
	if (r == 0 && *dev->driver && !(dev->bad & PST_HOST_PCI_BAD_DRIVER) &&
	    !pst_host_pci_on_vfio(dev))
		r = pst_host_lines_add(
			l, "%s",
			pst_host_module_of(dev->driver, buf, sizeof(buf)));
	return r;
}

static int want_modules(struct pst_host_plan *p)
{
	size_t i, size;
	char id[16];
	FILE *f = open_memstream(&p->ids, &size);
	int r = 0;

	if (!f)
		return -ENOMEM;
	for (i = 0; r == 0 && i < p->n_fn; i++) {
		fflush(f);
		snprintf(id, sizeof(id), "%04x:%04x", p->fn[i]->vendor,
			 p->fn[i]->device);
		if (!pst_host_list_has(p->ids, id))
			fprintf(f, "%s%s", *p->ids ? "," : "", id);
		r = pst_host_lines_add(&p->addresses, "%s", p->fn[i]->name);
		if (r == 0)
			r = add_modules(&p->modules, p->fn[i]);
	}
	return fclose(f) ? -ENOMEM : r;
}

/* ---- The pool -------------------------------------------------------------
 */

/* Guests of others that start by themselves take from the same pool. */
static int want_for_guests(struct pst_host_plan *p, struct pst_error *err)
{
	const uint64_t bytes = pst_host_claims_small(&p->host->claims);

	if (!bytes)
		return 0;
	if (bytes > 1ULL << 60)
		return pst_error_set(err, -EINVAL,
				     "other guests want more than 2^60 bytes "
				     "of hugepages: see their XML");
	p->params.pool_pages +=
		pst_round_up(bytes, PST_HOST_HUGE_2M) / PST_HOST_HUGE_2M;
	return pst_host_plan_note(p, err,
				  "other guests that start by themselves take "
				  "%" PRIu64 " MiB of the pool of 2 MiB: it "
				  "becomes larger by that",
				  bytes >> 20);
}

static int want_pool(struct pst_host_plan *p, struct pst_error *err)
{
	const struct pst_host_plan_request *r = &p->request;
	uint64_t bytes;
	unsigned int nodes = pst_host_cpuset_count(&p->host->cpu.nodes);

	p->params.n_nodes = nodes ? nodes : 1;
	p->params.pool_node = nodes > 1 ? p->host->gpu->numa_node : -1;
	if (r->region && pst_region_check_size(r->region, err) < 0)
		return -EINVAL;
	if (r->vm_memory > 1ULL << 60)
		return pst_error_set(err, -EINVAL,
				     "a pool of more than 2^60 bytes is not "
				     "possible: take less --vm-memory");
	bytes = r->region + pst_round_up(r->vm_memory, PST_HOST_HUGE_2M);
	p->params.pool_pages = bytes / PST_HOST_HUGE_2M;
	p->params.plain_pool = !pst_host_knows_pool_nodes(p->host);
	if (!bytes)
		return pst_host_plan_note(p, err,
					  "no --region and no --vm-memory: no "
					  "hugepages are reserved");
	if (nodes > 1 && p->params.pool_node < 0 &&
	    pst_host_plan_note(p, err,
			       "the card's NUMA node is not known: the pool is "
			       "spread over all %u nodes",
			       nodes) < 0)
		return -ENOMEM;
	return want_for_guests(p, err);
}

/* ---- Kernel parameters ----------------------------------------------------
 */

static int want_iommu(struct pst_host_plan *p, struct pst_error *err)
{
	bool intel = p->host->iommu.has_dmar;
	int r = 0;

	if (!p->host->iommu.has_dmar && !p->host->iommu.has_ivrs) {
		if (p->host->cpu.vendor != PST_HOST_CPU_INTEL &&
		    p->host->cpu.vendor != PST_HOST_CPU_AMD &&
		    !p->request.compare_only)
			return pst_error_set(err, -ENODEV,
					     "the processor is neither "
					     "Intel's nor AMD's: its IOMMU is "
					     "unknown");
		intel = p->host->cpu.vendor == PST_HOST_CPU_INTEL;
		r = pst_host_plan_note(
			p, err,
			"the firmware reports no IOMMU: turn on %s in its "
			"setup",
			intel ? "VT-d" : "IOMMU (AMD-Vi)");
	}
	/* AMD's is on by itself; amd_iommu=on does not exist. */
	if (r == 0)
		r = pst_host_params_add(&p->params, "%s",
					intel ? "intel_iommu=on"
					      : "amd_iommu=");
	if (r == 0)
		r = pst_host_params_add(&p->params, "iommu=pt");
	return r;
}

static int want_isolation(struct pst_host_plan *p, struct pst_error *err)
{
	const char *list = p->request.isolate_cpus;
	struct pst_host_cpuset set;
	unsigned int cpu, left = 0;
	int r;

	if (!list)
		return 0;
	if (pst_host_cpuset_parse(list, &set) < 0 ||
	    pst_host_cpuset_count(&set) == 0)
		return pst_error_set(err, -EINVAL,
				     "--isolate-cpus %s is no list of CPUs "
				     "like 2-5,8",
				     list);
	for (cpu = 0; cpu < PST_HOST_CPU_MAX; cpu++) {
		bool online = pst_host_cpuset_has(&p->host->cpu.online, cpu);

		if (pst_host_cpuset_has(&set, cpu) && !online &&
		    pst_host_cpuset_count(&p->host->cpu.online))
			return pst_error_set(err, -EINVAL,
					     "--isolate-cpus: there is no CPU "
					     "%u here",
					     cpu);
		left += online && !pst_host_cpuset_has(&set, cpu);
	}
	if (!left && pst_host_cpuset_count(&p->host->cpu.online))
		return pst_error_set(err, -EINVAL,
				     "--isolate-cpus leaves no CPU to the "
				     "host");
	r = pst_host_params_add(&p->params, "isolcpus=%s", list);
	if (r == 0)
		r = pst_host_params_add(&p->params, "nohz_full=%s", list);
	if (r == 0)
		r = pst_host_params_add(&p->params, "rcu_nocbs=%s", list);
	return r;
}

int pst_host_plan_want(struct pst_host_plan *p, struct pst_error *err)
{
	int r = want_modules(p);

	if (r < 0)
		return no_memory(err);
	p->targets = p->request.targets ? p->request.targets : p->has;
	if (p->targets & PST_HOST_TARGET_UDEV)
		p->by_address = true;
	else if (p->by_address && !p->request.targets &&
		 !(p->has & PST_HOST_TARGET_NIXOS))
		p->targets |= PST_HOST_TARGET_UDEV;
	r = want_pool(p, err);
	if (r == 0)
		r = want_iommu(p, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_DRACUT)
		r = pst_host_params_add(&p->params, "rd.driver.pre=vfio-pci");
	/* Modprobe's options do not reach what is built in, and those of the
	 * command line come after them. */
	if (r == 0 && !p->by_address &&
	    (pst_host_module_state(&p->host->modules, "vfio-pci") ==
		     PST_HOST_MODULE_BUILTIN ||
	     p->host->vfio.cmdline_ids))
		r = pst_host_params_add(&p->params, "vfio-pci.ids=%s", p->ids);
	if (r == 0)
		r = want_isolation(p, err);
	return r == -ENOMEM || r == -EOVERFLOW ? no_memory(err) : r;
}
