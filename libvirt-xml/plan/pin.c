/* SPDX-License-Identifier: MIT */
/* Chooses the host CPUs of vCPUs and of QEMU's own threads. */
#include "libvirt-xml/plan/pin.h"

#include <ctype.h>
#include <string.h>

static int by_core(const void *a, const void *b)
{
	const struct pst_host_cpu_thread *x = a, *y = b;

	if (x->first_sibling != y->first_sibling)
		return x->first_sibling < y->first_sibling ? -1 : 1;
	return (x->cpu > y->cpu) - (x->cpu < y->cpu);
}

/* The CPUs of a node, core by core. Owned by the caller; NULL: no memory. */
static struct pst_host_cpu_thread *
of_node(const struct pst_host_cpu_thread *cpus, size_t n, int node,
	size_t *ret_n)
{
	struct pst_host_cpu_thread *v = calloc(n ? n : 1, sizeof(*v));
	size_t i;

	*ret_n = 0;
	for (i = 0; v && i < n; i++)
		if (node < 0 || cpus[i].node == node)
			v[(*ret_n)++] = cpus[i];
	if (v)
		qsort(v, *ret_n, sizeof(*v), by_core);
	return v;
}

/* CPUs of the core that begins at v[i]. */
static size_t core_size(const struct pst_host_cpu_thread *v, size_t n, size_t i)
{
	size_t k = 1;

	while (i + k < n && v[i].first_sibling == v[i + k].first_sibling)
		k++;
	return k;
}

/* What v has besides the vCPUs' own; theirs when that is nothing. */
static void set_emulator(struct pst_vm_pin *pin,
			 const struct pst_host_cpu_thread *v, size_t n)
{
	struct pst_host_cpuset own = {0};
	size_t i;

	for (i = 0; i < pin->n; i++)
		pst_host_cpuset_add(&own, pin->cpu[i]);
	for (i = 0; i < n; i++)
		if (!pst_host_cpuset_has(&own, v[i].cpu))
			pst_host_cpuset_add(&pin->emulator, v[i].cpu);
	if (pst_host_cpuset_count(&pin->emulator) == 0)
		pin->emulator = own;
}

static int check_args(const struct pst_host_cpu_thread *cpus, size_t n,
		      uint32_t vcpus, struct pst_error *err)
{
	size_t i;

	if (vcpus < 1 || vcpus > PST_VM_MAX_VCPUS)
		return pst_error_set(err, -EINVAL, "%u vCPUs cannot be pinned",
				     vcpus);
	for (i = 0; i < n; i++)
		if (cpus[i].cpu >= PST_HOST_CPU_MAX)
			return pst_error_set(err, -EINVAL,
					     "CPU %u is beyond what can be "
					     "pinned",
					     cpus[i].cpu);
	return 0;
}

/* Threads of a guest's core: those of the host's, when all used ones have as
 * many and the vCPUs fill whole cores. */
static uint32_t guest_threads(const struct pst_host_cpu_thread *v, size_t n,
			      size_t first, uint32_t vcpus)
{
	size_t size = core_size(v, n, first), i;

	if (vcpus % size)
		return 1;
	for (i = first; i < first + vcpus && i < n; i += size)
		if (core_size(v, n, i) != size)
			return 1;
	return (uint32_t)size;
}

int pst_vm_pin_choose(const struct pst_host_cpu_thread *cpus, size_t n,
		      int node, uint32_t vcpus, struct pst_vm_pin *ret,
		      struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_host_cpu_thread *v = NULL;
	size_t n_v, left, i;
	int r;

	r = check_args(cpus, n, vcpus, err);
	if (r)
		return r;
	v = of_node(cpus, n, node, &n_v);
	if (!v)
		return pst_oom(err);
	if (n_v == 0)
		return pst_error_set(err, -ENOENT,
				     "no CPU is online on NUMA node %d", node);
	/* The node's first core stays the host's. */
	left = core_size(v, n_v, 0);
	if (left + vcpus > n_v)
		return pst_error_set(
			err, -ENOSPC,
			"%u vCPUs do not fit on NUMA node %d: it has %zu CPUs, "
			"and %zu of them (a core) stay the host's; fewer "
			"vCPUs, --pin none or a list",
			vcpus, node < 0 ? 0 : node, n_v, left);
	memset(ret, 0, sizeof(*ret));
	ret->n = vcpus;
	for (i = 0; i < vcpus; i++)
		ret->cpu[i] = (uint16_t)v[left + i].cpu;
	ret->threads = guest_threads(v, n_v, left, vcpus);
	set_emulator(ret, v, n_v);
	return 0;
}

/* ---- Lists -------------------------------------------------------------- */

static bool number(const char **p, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)**p))
		return false;
	errno = 0;
	*ret = strtoul(*p, &end, 10);
	*p = end;
	return !errno && *ret < PST_HOST_CPU_MAX;
}

static const struct pst_host_cpu_thread *
find(const struct pst_host_cpu_thread *cpus, size_t n, unsigned long id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (cpus[i].cpu == id)
			return &cpus[i];
	return NULL;
}

/* Neighbours in the list that are siblings, when all of it is in such groups of
 * one size: the guest's scheduler then knows what shares a core. */
static uint32_t listed_threads(const struct pst_host_cpu_thread *cpus, size_t n,
			       const struct pst_vm_pin *pin)
{
	uint32_t size = 1, i;

	for (i = 1; i < pin->n; i++) {
		bool same = find(cpus, n, pin->cpu[i])->first_sibling ==
			    find(cpus, n, pin->cpu[i - 1])->first_sibling;

		if (same && i == size)
			size++;
		else if (same != (i % size != 0))
			return 1;
	}
	return pin->n % size ? 1 : size;
}

/* One more CPU of the list. */
static int take(const struct pst_host_cpu_thread *cpus, size_t n,
		unsigned long id, uint32_t vcpus, struct pst_host_cpuset *seen,
		struct pst_vm_pin *ret, struct pst_error *err)
{
	if (!find(cpus, n, id))
		return pst_error_set(err, -ENOENT,
				     "--pin: CPU %lu is not online here", id);
	if (pst_host_cpuset_has(seen, (unsigned int)id))
		return pst_error_set(err, -EINVAL, "--pin names CPU %lu twice",
				     id);
	pst_host_cpuset_add(seen, (unsigned int)id);
	if (ret->n < vcpus)
		ret->cpu[ret->n++] = (uint16_t)id;
	return 0;
}

int pst_vm_pin_list(const struct pst_host_cpu_thread *cpus, size_t n,
		    const char *list, uint32_t vcpus, struct pst_vm_pin *ret,
		    struct pst_error *err)
{
	unsigned long from = 0, to;
	const char *p = list;
	struct pst_host_cpuset seen = {0};
	bool good;
	int r;

	r = check_args(cpus, n, vcpus, err);
	if (r)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->threads = 1;
	for (;;) {
		good = number(&p, &from);
		to = from;
		if (good && *p == '-') {
			p++;
			good = number(&p, &to) && to >= from;
		}
		if (!good)
			break;
		for (; from <= to && r == 0; from++)
			r = take(cpus, n, from, vcpus, &seen, ret, err);
		if (r)
			return r;
		if (*p != ',')
			break;
		p++;
	}
	if (*p || !good)
		return pst_error_set(err, -EINVAL,
				     "--pin: \"%s\" is neither auto, none nor "
				     "a list like 2-5,8",
				     list);
	if (ret->n < vcpus)
		return pst_error_set(err, -EINVAL,
				     "--pin names %u CPUs for %u vCPUs", ret->n,
				     vcpus);
	ret->threads = listed_threads(cpus, n, ret);
	set_emulator(ret, cpus, n);
	return 0;
}
