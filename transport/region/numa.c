/* SPDX-License-Identifier: MIT */
/* NUMA placement of memory and threads, through libnuma. */
#include "transport/region/numa.h"

#include <dirent.h>
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>

#include "transport/base/util.h"

bool pst_numa_available(void)
{
	return numa_available() >= 0;
}

int pst_numa_nodes(void)
{
	return pst_numa_available() ? numa_num_configured_nodes() : 1;
}

static int check_node(int node, struct pst_error *err)
{
	if (!pst_numa_available())
		return pst_error_set(err, -EOPNOTSUPP,
				     "this kernel has no NUMA policies");
	if (node < 0 || node > numa_max_node() ||
	    !numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned int)node))
		return pst_error_set(err, -EINVAL,
				     "there is no NUMA node %d, or it is not "
				     "allowed here (number of nodes: %d)",
				     node, pst_numa_nodes());
	return 0;
}

int pst_numa_bind_memory(void *addr, uint64_t size, int node,
			 struct pst_error *err)
{
	struct bitmask *mask;
	int r;

	r = check_node(node, err);
	if (r < 0)
		return r;
	mask = numa_allocate_nodemask();
	if (!mask)
		return pst_error_set(err, -ENOMEM, "no memory");
	numa_bitmask_setbit(mask, (unsigned int)node);
	/* The kernel takes one bit fewer than maxnode says. */
	r = mbind(addr, size, MPOL_BIND, mask->maskp, mask->size + 1, 0) < 0
		    ? pst_error_set_errno(err, errno,
					  "cannot bind memory to node %d", node)
		    : 0;
	numa_free_nodemask(mask);
	return r;
}

int pst_numa_policy_bind(int node, struct pst_numa_policy *ret_before,
			 struct pst_error *err)
{
	struct bitmask *mask;
	int r;

	*ret_before = (struct pst_numa_policy){0};
	r = check_node(node, err);
	if (r < 0)
		return r;
	mask = numa_allocate_nodemask();
	ret_before->mask = numa_allocate_nodemask();
	if (!mask || !ret_before->mask) {
		r = pst_error_set(err, -ENOMEM, "no memory");
		goto out;
	}
	numa_bitmask_setbit(mask, (unsigned int)node);
	if (get_mempolicy(&ret_before->mode, ret_before->mask->maskp,
			  ret_before->mask->size + 1, NULL, 0) < 0 ||
	    set_mempolicy(MPOL_BIND, mask->maskp, mask->size + 1) < 0)
		r = pst_error_set_errno(err, errno,
					"cannot bind memory to node %d", node);
out:
	if (mask)
		numa_free_nodemask(mask);
	if (r < 0 && ret_before->mask) {
		numa_free_nodemask(ret_before->mask);
		ret_before->mask = NULL;
	}
	return r;
}

void pst_numa_policy_restore(struct pst_numa_policy *before)
{
	if (!before->mask)
		return;
	/* What was in force a moment ago is taken again. */
	(void)set_mempolicy(before->mode, before->mask->maskp,
			    before->mask->size + 1);
	numa_free_nodemask(before->mask);
	before->mask = NULL;
}

/* Removes CPUs of other nodes from allowed. Returns whether any are left. */
static int restrict_to_node(struct bitmask *allowed, int node,
			    struct pst_error *err)
{
	struct bitmask *cpus = numa_allocate_cpumask();
	unsigned int i;
	int r = 0;

	if (!cpus)
		return pst_error_set(err, -ENOMEM, "no memory");
	if (numa_node_to_cpus(node, cpus) < 0)
		r = pst_error_set_errno(
			err, errno, "cannot list the CPUs of node %d", node);
	for (i = 0; i < allowed->size; i++)
		if (i >= cpus->size || !numa_bitmask_isbitset(cpus, i))
			numa_bitmask_clearbit(allowed, i);
	numa_free_cpumask(cpus);
	if (r == 0 && numa_bitmask_weight(allowed) == 0)
		r = pst_error_set(err, -EINVAL,
				  "node %d has no CPUs that may be used here",
				  node);
	return r;
}

int pst_numa_bind_thread(pid_t tid, int node, struct pst_error *err)
{
	struct bitmask *cpus;
	int r;

	r = check_node(node, err);
	if (r < 0)
		return r;
	cpus = numa_allocate_cpumask();
	if (!cpus)
		return pst_error_set(err, -ENOMEM, "no memory");
	if (numa_sched_getaffinity(tid, cpus) < 0)
		r = pst_error_set_errno(err, errno,
					"cannot ask for a thread's CPUs");
	else
		r = restrict_to_node(cpus, node, err);
	if (r == 0 && numa_sched_setaffinity(tid, cpus) < 0)
		r = pst_error_set_errno(
			err, errno, "cannot run on the CPUs of node %d", node);
	numa_free_cpumask(cpus);
	return r;
}

int pst_numa_bind_threads(int node, struct pst_error *err)
{
	struct dirent *de;
	uint64_t tid;
	int r = 0;
	DIR *dir;

	dir = opendir("/proc/self/task");
	if (!dir)
		return pst_error_set_errno(err, errno, "/proc/self/task");
	while (r == 0 && (de = readdir(dir))) {
		if (pst_parse_u64(de->d_name, 1, INT32_MAX, &tid) < 0)
			continue;
		r = pst_numa_bind_thread((pid_t)tid, node, err);
		/* One that has ended meanwhile. */
		if (r == -ESRCH)
			r = 0;
	}
	closedir(dir);
	return r;
}
