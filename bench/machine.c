/* SPDX-License-Identifier: MIT */
/* Describes the machine that a result was measured on. */
#include "bench/machine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/revision.h"

#define PATH_SIZE 256
/* Readings of the clock in one batch. */
#define CLOCK_READS   1000U
#define CLOCK_BATCHES 16U

const char *pst_bench_revision(void)
{
	return PST_BENCH_REVISION;
}

/* The first line of a file without its end, or "unknown". */
static void read_line(const char *root, const char *path, char *buf, int size)
{
	char full[PATH_SIZE];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "re");
	if (!f || !fgets(buf, size, f))
		snprintf(buf, (size_t)size, "unknown");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
}

static uint64_t read_number(const char *root, const char *path)
{
	char text[32];

	read_line(root, path, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* What stands behind "key ... :" in a file of such lines. */
static bool read_key(const char *root, const char *path, const char *key,
		     char *buf, size_t size)
{
	char full[PATH_SIZE], line[4096], *value;
	bool found = false;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (!value || strncmp(line, key, strlen(key)) != 0)
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = '\0';
		snprintf(buf, size, "%s", value);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* Entries of a folder whose names are prefix and a number. */
static int count_entries(const char *root, const char *path, const char *prefix)
{
	char full[PATH_SIZE];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(full, sizeof(full), "%s%s", root, path);
	d = opendir(full);
	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
		    e->d_name[strlen(prefix)] >= '0' &&
		    e->d_name[strlen(prefix)] <= '9')
			n++;
	if (d)
		closedir(d);
	return n;
}

static void read_pools(struct pst_bench_machine *m, const char *root)
{
	static const char dir[] = "/sys/kernel/mm/hugepages";
	char full[PATH_SIZE], path[PATH_SIZE];
	struct pst_bench_machine_pool *pool;
	struct dirent *e;
	uint64_t kb;
	DIR *d;

	snprintf(full, sizeof(full), "%s%s", root, dir);
	d = opendir(full);
	while (d && m->n_pools < PST_BENCH_MACHINE_POOLS && (e = readdir(d))) {
		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		pool = &m->pools[m->n_pools++];
		pool->page = kb << 10;
		snprintf(path, sizeof(path), "%s/%.64s/nr_hugepages", dir,
			 e->d_name);
		pool->total = read_number(root, path);
		snprintf(path, sizeof(path), "%s/%.64s/free_hugepages", dir,
			 e->d_name);
		pool->free = read_number(root, path);
	}
	if (d)
		closedir(d);
}

/* "always [madvise] never": the one in brackets. */
static void read_thp(struct pst_bench_machine *m, const char *root)
{
	char text[64], *open, *close;

	snprintf(m->thp, sizeof(m->thp), "unknown");
	read_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", text,
		  sizeof(text));
	open = strchr(text, '[');
	close = open ? strchr(open, ']') : NULL;
	if (!close)
		return;
	*close = '\0';
	snprintf(m->thp, sizeof(m->thp), "%.31s", open + 1);
}

static void read_cpu(struct pst_bench_machine *m, const char *root,
		     const struct pst_bench_cpus *cpus)
{
	char flags[4096], path[PATH_SIZE];

	snprintf(m->cpu, sizeof(m->cpu), "unknown");
	read_key(root, "/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	flags[0] = '\0';
	read_key(root, "/proc/cpuinfo", "flags", flags, sizeof(flags));
	m->virtual = strstr(flags, "hypervisor") != NULL;
	snprintf(path, sizeof(path),
		 "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
		 cpus->client < 0 ? 0 : cpus->client);
	read_line(root, path, m->governor, sizeof(m->governor));
}

/* The time that reading the clock takes: the best of some batches. */
static double read_cost(void)
{
	uint64_t start, now = 0, best = UINT64_MAX;
	unsigned int i, j;

	for (i = 0; i < CLOCK_BATCHES; i++) {
		start = pst_bench_now_ns();
		for (j = 0; j < CLOCK_READS; j++)
			now = pst_bench_now_ns();
		if (now - start < best)
			best = now - start;
	}
	return (double)best / CLOCK_READS;
}

void pst_bench_machine_read(struct pst_bench_machine *m, const char *root,
			    const struct pst_bench_cpus *cpus)
{
	time_t now = time(NULL);
	struct utsname uts;
	char text[64];
	struct tm tm;

	*m = (struct pst_bench_machine){0};
	gmtime_r(&now, &tm);
	strftime(m->date, sizeof(m->date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	uname(&uts);
	snprintf(m->kernel, sizeof(m->kernel), "%.80s %.32s", uts.release,
		 uts.machine);
	read_cpu(m, root, cpus);
	m->n_online = (int)sysconf(_SC_NPROCESSORS_ONLN);
	m->n_allowed = cpus->n_allowed;
	m->n_nodes = count_entries(root, "/sys/devices/system/node", "node");
	if (m->n_nodes == 0)
		m->n_nodes = 1;
	m->page = (uint64_t)sysconf(_SC_PAGESIZE);
	if (read_key(root, "/proc/meminfo", "MemTotal", text, sizeof(text)))
		m->memory = strtoull(text, NULL, 10) << 10;
	read_line(root, "/proc/loadavg", text, sizeof(text));
	m->load = strtod(text, NULL);
	read_thp(m, root);
	read_pools(m, root);
	read_line(root,
		  "/sys/devices/system/clocksource/clocksource0/"
		  "current_clocksource",
		  m->clock, sizeof(m->clock));
	m->clock_ns = read_cost();
}
