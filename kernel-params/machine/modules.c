/* SPDX-License-Identifier: MIT */
/* Reads the kernel's lists of modules. */
#include "kernel-params/machine/modules.h"

#include <string.h>

#include "kernel-params/syntax/cmdline.h"

/* modules.dep of a distribution's kernel has about 1 MiB. */
#define LIST_MAX (16U << 20)

static char *read_list(const struct pst_host_root *root, const char *release,
		       const char *name)
{
	static const char *const dirs[] = {
		"lib/modules", "usr/lib/modules",
		"run/booted-system/kernel-modules/lib/modules"};
	char path[PST_HOST_ROOT_PATH_MAX], *text;
	size_t i, len;

	if (!*release || strchr(release, '/'))
		return NULL;
	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		if (pst_host_path(path, "%s/%s/%s", dirs[i], release, name) ==
			    0 &&
		    pst_host_root_read(root, path, LIST_MAX, &text, &len) == 0)
			return text;
	return NULL;
}

void pst_host_modules_scan(const struct pst_host_root *root,
			   const char *release, struct pst_host_modules *ret)
{
	struct pst_host_modules m = {0};
	size_t len;

	if (pst_host_root_read(root, "proc/modules", PST_HOST_ROOT_TEXT_MAX,
			       &m.loaded, &len) < 0)
		m.loaded = NULL;
	m.has_sys = pst_host_root_list(root, "sys/module", &m.sys) == 0;
	m.builtin = read_list(root, release, "modules.builtin");
	m.dep = read_list(root, release, "modules.dep");
	*ret = m;
}

void pst_host_modules_done(struct pst_host_modules *m)
{
	free(m->loaded);
	free(m->builtin);
	free(m->dep);
	pst_host_names_done(&m->sys);
	*m = (struct pst_host_modules){0};
}

/* Whether the first n bytes of text are the module's name. */
static bool is_name(const char *text, size_t n, const char *name)
{
	char buf[64];

	if (n >= sizeof(buf))
		return false;
	memcpy(buf, text, n);
	buf[n] = '\0';
	return pst_host_param_name_eq(buf, name);
}

/* Whether a line begins with the name as a word (proc/modules). */
static bool in_lines(const char *text, const char *name)
{
	for (; text && *text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (is_name(text, strcspn(text, " \t\n"), name))
			return true;
	}
	return false;
}

/* Whether a line is a path to NAME.ko, up to a colon (modules.dep). */
static bool in_paths(const char *text, const char *name)
{
	for (; text && *text; text = strchr(text, '\n')) {
		size_t n, dot;
		const char *base;

		text += *text == '\n';
		n = strcspn(text, ":\n");
		base = memrchr(text, '/', n);
		base = base ? base + 1 : text;
		dot = strcspn(base, ".:\n");
		if (strncmp(base + dot, ".ko", 3) == 0 &&
		    is_name(base, dot, name))
			return true;
	}
	return false;
}

static bool in_sys(const struct pst_host_modules *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->sys.n; i++)
		if (pst_host_param_name_eq(m->sys.name[i], name))
			return true;
	return false;
}

enum pst_host_module_state
pst_host_module_state(const struct pst_host_modules *m, const char *name)
{
	if (in_lines(m->loaded, name))
		return PST_HOST_MODULE_LOADED;
	if (in_paths(m->builtin, name))
		return PST_HOST_MODULE_BUILTIN;
	/* Of what is built in, only what has parameters is in sys/module. */
	if (in_sys(m, name))
		return m->loaded ? PST_HOST_MODULE_BUILTIN
				 : PST_HOST_MODULE_LOADED;
	if (in_paths(m->dep, name))
		return PST_HOST_MODULE_AVAILABLE;
	if (m->dep && m->builtin)
		return PST_HOST_MODULE_ABSENT;
	return m->loaded || m->has_sys ? PST_HOST_MODULE_OUT
				       : PST_HOST_MODULE_UNKNOWN;
}

bool pst_host_module_is_listed_builtin(const struct pst_host_modules *m,
				       const char *name)
{
	return in_paths(m->builtin, name);
}

/* Whether one of the words of text, up to end, is the module or PATH/NAME.ko of
 * it. */
static bool has_module(const char *text, const char *end, const char *name)
{
	while (text < end) {
		size_t n = strcspn(text, " \t,\n"), dot;
		const char *base = memrchr(text, '/', n);

		base = base ? base + 1 : text;
		dot = strcspn(base, "., \t\n");
		if (is_name(base, dot, name))
			return true;
		text += n + 1;
	}
	return false;
}

bool pst_host_module_needs(const struct pst_host_modules *m, const char *name,
			   const char *dep)
{
	const char *line;

	/* "kernel/a/nouveau.ko: kernel/b/drm.ko" */
	for (line = m->dep; line && *line;
	     line = strchrnul(line, '\n'), line += *line == '\n') {
		const char *colon = line + strcspn(line, ":\n");

		if (*colon == ':' && has_module(line, colon, name))
			return has_module(colon + 1, strchrnul(colon, '\n'),
					  dep);
	}
	/* "drm 16384 2 nouveau,ttm, Live 0x0" */
	for (line = m->loaded; line && *line;
	     line = strchrnul(line, '\n'), line += *line == '\n') {
		const char *end = strchrnul(line, '\n');

		if (is_name(line, strcspn(line, " \t\n"), dep))
			return has_module(line, end, name);
	}
	return false;
}

bool pst_host_module_is_in(const struct pst_host_modules *m, const char *name)
{
	enum pst_host_module_state s = pst_host_module_state(m, name);

	return s == PST_HOST_MODULE_LOADED || s == PST_HOST_MODULE_BUILTIN;
}

const char *pst_host_module_state_text(enum pst_host_module_state s)
{
	switch (s) {
	case PST_HOST_MODULE_UNKNOWN:
		break;
	case PST_HOST_MODULE_ABSENT:
		return "not there";
	case PST_HOST_MODULE_OUT:
	case PST_HOST_MODULE_AVAILABLE:
		return "not loaded";
	case PST_HOST_MODULE_BUILTIN:
		return "built in";
	case PST_HOST_MODULE_LOADED:
		return "loaded";
	}
	return "not seen";
}
