/* SPDX-License-Identifier: MIT */
/* Reads cpuinfo and the topology below sys/devices/system. */
#include "kernel-params/machine/cpu.h"

#include <string.h>

/* 4096 processors of 4 KiB each would be 16 MiB; the first one is enough. */
#define CPUINFO_MAX (64U << 20)

bool pst_host_cpuset_has(const struct pst_host_cpuset *s, unsigned int cpu)
{
	return cpu < PST_HOST_CPU_MAX && (s->bits[cpu / 64] >> (cpu % 64) & 1);
}

void pst_host_cpuset_add(struct pst_host_cpuset *s, unsigned int cpu)
{
	if (cpu < PST_HOST_CPU_MAX)
		s->bits[cpu / 64] |= 1ULL << (cpu % 64);
}

unsigned int pst_host_cpuset_count(const struct pst_host_cpuset *s)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(s->bits); i++)
		n += (unsigned int)__builtin_popcountll(s->bits[i]);
	return n;
}

static bool number(const char **p, unsigned int *ret)
{
	size_t n = strspn(*p, "0123456789");

	if (n == 0 || n > 5)
		return false;
	*ret = (unsigned int)strtoul(*p, NULL, 10);
	*p += n;
	return *ret < PST_HOST_CPU_MAX;
}

int pst_host_cpuset_parse(const char *text, struct pst_host_cpuset *ret)
{
	struct pst_host_cpuset s = {0};
	unsigned int from, to;

	while (*text) {
		if (!number(&text, &from))
			return -EINVAL;
		to = from;
		if (*text == '-') {
			text++;
			if (!number(&text, &to) || to < from)
				return -EINVAL;
		}
		for (; from <= to; from++)
			pst_host_cpuset_add(&s, from);
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	*ret = s;
	return 0;
}

const char *pst_host_cpuset_format(const struct pst_host_cpuset *s, char *buf,
				   size_t size)
{
	size_t len = 0;
	unsigned int i, to;

	if (size)
		*buf = '\0';
	for (i = 0; i < PST_HOST_CPU_MAX && len < size; i = to + 1) {
		to = i;
		if (!pst_host_cpuset_has(s, i))
			continue;
		while (pst_host_cpuset_has(s, to + 1))
			to++;
		len += (size_t)snprintf(buf + len, size - len,
					to > i ? "%s%u-%u" : "%s%u",
					len ? "," : "", i, to);
	}
	return buf;
}

/* Whether word is one of the blanks-separated words. */
static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	const char *p = words;

	while ((p = strstr(p, word))) {
		if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
		p += n;
	}
	return false;
}

static void cpuinfo_line(struct pst_host_cpu *cpu, const char *key,
			 const char *val)
{
	uint64_t bits;
	char buf[8] = "";
	size_t n;

	if (strcmp(key, "vendor_id") == 0) {
		if (strcmp(val, "GenuineIntel") == 0)
			cpu->vendor = PST_HOST_CPU_INTEL;
		else if (strcmp(val, "AuthenticAMD") == 0 ||
			 strcmp(val, "HygonGenuine") == 0)
			cpu->vendor = PST_HOST_CPU_AMD;
	} else if (strcmp(key, "model name") == 0) {
		snprintf(cpu->model, sizeof(cpu->model), "%s", val);
	} else if (strcmp(key, "flags") == 0) {
		cpu->vmx = has_word(val, "vmx");
		cpu->svm = has_word(val, "svm");
		cpu->hypervisor = has_word(val, "hypervisor");
	} else if (strcmp(key, "address sizes") == 0) {
		n = strspn(val, "0123456789");
		if (n == 0 || n > 3)
			return;
		memcpy(buf, val, n);
		if (pst_parse_u64(buf, 32, 64, &bits) == 0)
			cpu->phys_bits = (unsigned int)bits;
	}
}

/* The first processor's block; the others say the same. */
static void parse_cpuinfo(struct pst_host_cpu *cpu, char *text)
{
	char *line, *next, *colon, *end;

	for (line = text; *line && *line != '\n'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		colon = strchr(line, ':');
		if (!colon)
			continue;
		for (end = colon; end > line && strchr(" \t", end[-1]);)
			end--;
		*end = '\0';
		colon++;
		colon += strspn(colon, " \t");
		cpuinfo_line(cpu, line, colon);
	}
}

static int topology(const struct pst_host_root *root, unsigned int cpu,
		    const char *attr)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t v;

	if (pst_host_path(path, "sys/devices/system/cpu/cpu%u/topology/%s", cpu,
			  attr) < 0 ||
	    pst_host_root_read_u64(root, path, 10, &v) < 0 || v > INT32_MAX)
		return -1;
	return (int)v;
}

static int first_sibling(const struct pst_host_root *root, unsigned int cpu)
{
	char path[PST_HOST_ROOT_PATH_MAX], text[512];
	struct pst_host_cpuset s;
	unsigned int i;

	if (pst_host_path(path,
			  "sys/devices/system/cpu/cpu%u/topology/"
			  "thread_siblings_list",
			  cpu) < 0 ||
	    pst_host_root_read_text(root, path, text, sizeof(text)) <= 0 ||
	    pst_host_cpuset_parse(text, &s) < 0)
		return (int)cpu;
	for (i = 0; i < cpu; i++)
		if (pst_host_cpuset_has(&s, i))
			return (int)i;
	return (int)cpu;
}

static bool read_set(const struct pst_host_root *root, const char *path,
		     struct pst_host_cpuset *ret)
{
	char text[4096];

	return pst_host_root_read_text(root, path, text, sizeof(text)) > 0 &&
	       pst_host_cpuset_parse(text, ret) == 0;
}

static void read_nodes(const struct pst_host_root *root,
		       struct pst_host_cpu *cpu)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	struct pst_host_cpuset set;
	unsigned int node;
	size_t i;

	if (!read_set(root, "sys/devices/system/node/online", &cpu->nodes))
		return;
	for (node = 0; node < PST_HOST_CPU_MAX; node++) {
		if (!pst_host_cpuset_has(&cpu->nodes, node) ||
		    pst_host_path(path,
				  "sys/devices/system/node/node%u/cpulist",
				  node) < 0 ||
		    !read_set(root, path, &set))
			continue;
		for (i = 0; i < cpu->n_threads; i++)
			if (pst_host_cpuset_has(&set, cpu->thread[i].cpu))
				cpu->thread[i].node = (int)node;
	}
}

static int read_threads(const struct pst_host_root *root,
			struct pst_host_cpu *cpu)
{
	unsigned int i, n = pst_host_cpuset_count(&cpu->online);

	cpu->thread = calloc(n + 1, sizeof(*cpu->thread));
	if (!cpu->thread)
		return -ENOMEM;
	for (i = 0; i < PST_HOST_CPU_MAX; i++) {
		if (!pst_host_cpuset_has(&cpu->online, i))
			continue;
		cpu->thread[cpu->n_threads++] = (struct pst_host_cpu_thread){
			.cpu = i,
			.node = -1,
			.package = topology(root, i, "physical_package_id"),
			.core = topology(root, i, "core_id"),
			.first_sibling = first_sibling(root, i),
		};
	}
	return 0;
}

int pst_host_cpu_scan(const struct pst_host_root *root,
		      struct pst_host_cpu *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_cpu cpu = {0};
	size_t len;

	if (pst_host_root_read(root, "proc/cpuinfo", CPUINFO_MAX, &text,
			       &len) == 0) {
		cpu.has_cpuinfo = true;
		parse_cpuinfo(&cpu, text);
	}
	if (!read_set(root, "sys/devices/system/cpu/online", &cpu.online))
		cpu.online = (struct pst_host_cpuset){0};
	if (read_threads(root, &cpu) < 0)
		return pst_oom(err);
	read_nodes(root, &cpu);
	*ret = cpu;
	return 0;
}

void pst_host_cpu_done(struct pst_host_cpu *cpu)
{
	free(cpu->thread);
	*cpu = (struct pst_host_cpu){0};
}
