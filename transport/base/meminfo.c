/* SPDX-License-Identifier: MIT */
/* Reads from the kernel how much memory is available. */
#include "transport/base/meminfo.h"

#include <limits.h>
#include <string.h>

/* meminfo has 1.5 KiB, memory.stat 1 KiB, status 1.5 KiB. */
#define TEXT_MAX 8192U
/* The most nested groups that are read. */
#define MAX_DEPTH 32U

/* Reads root + path, cut to the buffer. Returns 0, -errno. */
static int read_file(const char *root, const char *path, char text[TEXT_MAX])
{
	char name[PATH_MAX];
	PST_CLEANUP_FILE FILE *f = NULL;
	size_t n;

	if (snprintf(name, sizeof(name), "%s%s", root, path) >=
	    (int)sizeof(name))
		return -EINVAL;
	f = fopen(name, "re");
	if (!f)
		return -errno;
	n = fread(text, 1, TEXT_MAX - 1, f);
	text[n] = '\0';
	return ferror(f) ? -EIO : 0;
}

/* The number behind name at a line's start. Returns 0, -EINVAL. */
static int find_number(const char *text, const char *name, uint64_t *ret)
{
	const size_t n = strlen(name);
	const char *line = text;
	unsigned long long v;

	while (line) {
		if (strncmp(line, name, n) == 0 &&
		    sscanf(line + n, " %llu", &v) == 1) {
			*ret = v;
			return 0;
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return -EINVAL;
}

static int find_kib(const char *root, const char *path, const char *name,
		    uint64_t *ret)
{
	char text[TEXT_MAX];
	uint64_t kib;
	int r = read_file(root, path, text);

	if (r < 0)
		return r;
	r = find_number(text, name, &kib);
	if (r < 0 || pst_mul_overflow(kib, 1024, ret))
		return -EINVAL;
	return 0;
}

/* The bytes that one group's limit leaves; UINT64_MAX without a limit. */
static uint64_t group_room(const char *root, const char *group)
{
	uint64_t max, used, inactive = 0, active = 0;
	char path[PATH_MAX + 64], text[TEXT_MAX];

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
	if (read_file(root, path, text) < 0 || find_number(text, "", &max) < 0)
		return UINT64_MAX;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
	if (read_file(root, path, text) < 0 || find_number(text, "", &used) < 0)
		return UINT64_MAX;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", group);
	if (read_file(root, path, text) == 0) {
		/* Page cache is given up before anybody is killed. */
		(void)find_number(text, "inactive_file ", &inactive);
		(void)find_number(text, "active_file ", &active);
	}
	used -= inactive + active < used ? inactive + active : used;
	return max > used ? max - used : 0;
}

/* This process's group in the v2 hierarchy, "" for its root or for none. */
static void own_group(const char *root, char ret[PATH_MAX])
{
	char text[TEXT_MAX];
	char *group;

	ret[0] = '\0';
	if (read_file(root, "/proc/self/cgroup", text) < 0)
		return;
	group = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!group)
		return;
	group = strchr(group, '/');
	if (!group)
		return;
	group[strcspn(group, "\n")] = '\0';
	if (strcmp(group, "/") != 0)
		snprintf(ret, PATH_MAX, "%s", group);
}

static uint64_t groups_room(const char *root)
{
	uint64_t room = UINT64_MAX, one;
	char group[PATH_MAX];
	unsigned int i;

	own_group(root, group);
	for (i = 0; i < MAX_DEPTH; i++) {
		one = group_room(root, group);
		if (one < room)
			room = one;
		if (!group[0])
			break;
		*strrchr(group, '/') = '\0';
	}
	return room;
}

int pst_meminfo_available(const char *root, uint64_t *ret)
{
	uint64_t room;
	int r = find_kib(root, "/proc/meminfo", "MemAvailable:", ret);

	if (r < 0)
		return r;
	room = groups_room(root);
	if (room < *ret)
		*ret = room;
	return 0;
}

int pst_meminfo_resident(const char *root, uint64_t *ret)
{
	return find_kib(root, "/proc/self/status", "RssAnon:", ret);
}
