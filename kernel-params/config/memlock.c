/* SPDX-License-Identifier: MIT */
/* Reads the limits of locked memory. */
#include "kernel-params/config/memlock.h"

#include <stdio.h>
#include <string.h>

#include "kernel-params/config/conf_lines.h"
#include "transport/base/util.h"

/* Users and groups with a limit of their own. */
#define MAX_DOMAINS 32

/* A file, then the *.conf of a folder by their names. */
static void each_file(const struct pst_host_root *root, const char *file,
		      const char *dir, pst_host_take_line *take, void *ctx)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	pst_host_conf_lines(root, file, take, ctx);
	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_conf_is_name(names.name[i]) &&
		    pst_host_path(path, "%s/%s", dir, names.name[i]) == 0)
			pst_host_conf_lines(root, path, take, ctx);
}

static void set(struct pst_host_memlock_limit *l, const char *path,
		const char *line, uint64_t bytes)
{
	snprintf(l->line, sizeof(l->line), "%.80s: %.70s", path, line);
	l->bytes = bytes;
}

/* ---- pam_limits ---------------------------------------------------------- */

struct logins {
	struct {
		char name[40];
		struct pst_host_memlock_limit limit;
	} domain[MAX_DOMAINS];
	size_t n;
};

/* "@kvm - memlock unlimited": whose, of which type, what, how much in KiB. */
static void take_login(void *ctx, const char *path, char *line)
{
	struct logins *l = ctx;
	char who[40], type[8], item[16], value[24];
	uint64_t kib;
	size_t i;

	if (sscanf(line, "%39s %7s %15s %23s", who, type, item, value) != 4 ||
	    strcmp(item, "memlock") != 0 || strcmp(type, "hard") == 0)
		return;
	for (i = 0; i < l->n && strcmp(l->domain[i].name, who) != 0; i++)
		;
	if (i == MAX_DOMAINS)
		return;
	l->n += i == l->n;
	strcpy(l->domain[i].name, who);
	if (strcmp(value, "unlimited") == 0 || strcmp(value, "infinity") == 0 ||
	    strcmp(value, "-1") == 0)
		set(&l->domain[i].limit, path, line, UINT64_MAX);
	else if (pst_parse_u64(value, 0, UINT64_MAX >> 11, &kib) == 0)
		set(&l->domain[i].limit, path, line, kib << 10);
}

/* ---- systemd ------------------------------------------------------------- */

struct unit {
	const char *key;
	struct pst_host_memlock_limit limit;
};

/* "LimitMEMLOCK=8G:16G": the former is what a process begins with. */
static void take_unit(void *ctx, const char *path, char *line)
{
	struct unit *u = ctx;
	size_t n = strlen(u->key);
	char value[24];
	uint64_t bytes;

	if (strncmp(line, u->key, n) != 0)
		return;
	line[n + strcspn(line + n, "=")] = '=';
	snprintf(value, sizeof(value), "%s",
		 line + n + strspn(line + n, "= \t"));
	value[strcspn(value, ":")] = '\0';
	if (strcmp(value, "infinity") == 0)
		set(&u->limit, path, line, UINT64_MAX);
	else if (pst_parse_size(value, &bytes) == 0)
		set(&u->limit, path, line, bytes);
}

static void look_at_units(const struct pst_host_root *root,
			  struct pst_host_memlock_limit *ret)
{
	static const struct {
		const char *key, *file, *dir;
	} places[] = {
		{"DefaultLimitMEMLOCK", "etc/systemd/system.conf",
		 "etc/systemd/system.conf.d"},
		{"DefaultLimitMEMLOCK", "etc/systemd/user.conf",
		 "etc/systemd/user.conf.d"},
		{"LimitMEMLOCK", "etc/systemd/system/libvirtd.service",
		 "etc/systemd/system/libvirtd.service.d"},
		{"LimitMEMLOCK", "etc/systemd/system/virtqemud.service",
		 "etc/systemd/system/virtqemud.service.d"},
		{"LimitMEMLOCK", "etc/systemd/system/user@.service",
		 "etc/systemd/system/user@.service.d"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++) {
		struct unit u = {.key = places[i].key};

		each_file(root, places[i].file, places[i].dir, take_unit, &u);
		if (*u.limit.line && u.limit.bytes >= ret->bytes)
			*ret = u.limit;
	}
}

void pst_host_memlock_scan(const struct pst_host_root *root,
			   struct pst_host_memlock *ret)
{
	struct logins l = {0};
	size_t i;

	*ret = (struct pst_host_memlock){0};
	each_file(root, "etc/security/limits.conf", "etc/security/limits.d",
		  take_login, &l);
	for (i = 0; i < l.n; i++)
		if (l.domain[i].limit.bytes >= ret->login.bytes)
			ret->login = l.domain[i].limit;
	look_at_units(root, &ret->service);
}
