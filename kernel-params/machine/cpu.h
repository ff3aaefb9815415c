/* SPDX-License-Identifier: MIT */
/* A host's processors: virtualisation, address width, topology. */
#ifndef PST_KERNEL_PARAMS_MACHINE_CPU_H
#define PST_KERNEL_PARAMS_MACHINE_CPU_H

#include "kernel-params/root/root.h"

#define PST_HOST_CPU_MAX 4096

/* A set of CPU numbers, or of NUMA nodes. */
struct pst_host_cpuset {
	uint64_t bits[PST_HOST_CPU_MAX / 64];
};

/* Parses "0-3,8"; "" is the empty set. 0, or -EINVAL (also: above the max). */
PST_MUST_USE int pst_host_cpuset_parse(const char *text,
				       struct pst_host_cpuset *ret);
bool pst_host_cpuset_has(const struct pst_host_cpuset *s, unsigned int cpu);
void pst_host_cpuset_add(struct pst_host_cpuset *s, unsigned int cpu);
unsigned int pst_host_cpuset_count(const struct pst_host_cpuset *s);

/* Writes "0-3,8", cut off where buf ends, and returns buf. */
const char *pst_host_cpuset_format(const struct pst_host_cpuset *s, char *buf,
				   size_t size);

enum pst_host_cpu_vendor {
	PST_HOST_CPU_UNKNOWN,
	PST_HOST_CPU_INTEL,
	PST_HOST_CPU_AMD, /* Hygon too */
};

/* One hardware thread. */
struct pst_host_cpu_thread {
	unsigned int cpu;
	int node, package, core; /* -1: unknown */
	int first_sibling;       /* lowest CPU of its core; itself if unknown */
};

struct pst_host_cpu {
	bool has_cpuinfo; /* proc/cpuinfo was read */
	enum pst_host_cpu_vendor vendor;
	char model[96];
	bool vmx, svm;
	bool hypervisor;        /* it is a VM itself */
	unsigned int phys_bits; /* 0: unknown */
	struct pst_host_cpuset online;
	struct pst_host_cpuset nodes;       /* NUMA nodes that are online */
	struct pst_host_cpu_thread *thread; /* those online, in order */
	size_t n_threads;
};

/*
 * Reads proc/cpuinfo and sys/devices/system/{cpu,node}; what is missing stays
 * unknown. 0 (to be ended with pst_host_cpu_done()) or -ENOMEM with a sentence.
 */
PST_MUST_USE int pst_host_cpu_scan(const struct pst_host_root *root,
				   struct pst_host_cpu *ret,
				   struct pst_error *err);
void pst_host_cpu_done(struct pst_host_cpu *cpu);

#endif
