/* SPDX-License-Identifier: MIT */
/* Chooses the two CPUs of a benchmark, and pins to them. */
#include "bench/cpus.h"

#include <errno.h>
#include <stdio.h>

/* A number below /sys/devices/system/cpu/cpuN, or -1. */
static int topology(int cpu, const char *what)
{
	char path[128];
	int v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/%s", cpu,
		 what);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

/* How unwelcome b is as a's partner: less is better. */
static int distance(int a, int b)
{
	int package = topology(a, "topology/physical_package_id");
	int core = topology(a, "topology/core_id");
	bool same_package =
		package == topology(b, "topology/physical_package_id");

	if (!same_package)
		return 1;
	return core >= 0 && core == topology(b, "topology/core_id") ? 2 : 0;
}

int pst_bench_cpus_choose(struct pst_bench_cpus *ret)
{
	int cpu, d, best = 3;

	*ret = (struct pst_bench_cpus){.client = -1, .peer = -1};
	if (sched_getaffinity(0, sizeof(ret->allowed), &ret->allowed) < 0)
		return -errno;
	ret->n_allowed = CPU_COUNT(&ret->allowed);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &ret->allowed))
			continue;
		if (ret->client < 0) {
			ret->client = ret->peer = cpu;
			continue;
		}
		d = distance(ret->client, cpu);
		if (d < best) {
			best = d;
			ret->peer = cpu;
		}
		if (best == 0)
			break;
	}
	return 0;
}

int pst_bench_cpus_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int pst_bench_cpus_unpin(const struct pst_bench_cpus *c)
{
	return sched_setaffinity(0, sizeof(c->allowed), &c->allowed) < 0
		       ? -errno
		       : 0;
}
