/* SPDX-License-Identifier: MIT */
/* Finds the settings that bind a function to vfio-pci. */
#include "kernel-params/config/vfio_ids.h"

#include <string.h>

#include "kernel-params/config/udev_rules.h"
#include "kernel-params/config/vfio_faults.h"

#define RULES_MAX (1U << 20)

/* Hexadecimal number up to ':' or the end of n bytes; false: none. */
static bool field(const char **p, const char *end, unsigned long *ret)
{
	char buf[12] = "", *stop;
	const char *colon;
	size_t n;

	if (*p >= end)
		return false;
	colon = memchr(*p, ':', (size_t)(end - *p));
	n = (size_t)((colon ? colon : end) - *p);
	if (n == 0 || n >= sizeof(buf))
		return false;
	memcpy(buf, *p, n);
	*ret = strtoul(buf, &stop, 16);
	*p = colon ? colon + 1 : end;
	return !*stop;
}

/* PCI_ANY_ID stands for all. */
static bool is_one(unsigned long want, unsigned long have)
{
	return want == 0xffffffff || want == have;
}

static bool id_covers(const char *p, const char *end,
		      const struct pst_host_pci_dev *dev)
{
	unsigned long v[6] = {0};
	int n = 0;

	while (n < 6 && field(&p, end, &v[n]))
		n++;
	if (n < 2 || p != end || !is_one(v[0], dev->vendor) ||
	    !is_one(v[1], dev->device))
		return false;
	if (n > 2 && !is_one(v[2], dev->sub_vendor))
		return false;
	if (n > 3 && !is_one(v[3], dev->sub_device))
		return false;
	return n < 6 || ((v[4] ^ dev->class) & v[5]) == 0;
}

bool pst_host_vfio_ids_cover(const char *ids,
			     const struct pst_host_pci_dev *dev)
{
	while (*ids) {
		size_t n = strcspn(ids, ",");

		if (id_covers(ids, ids + n, dev))
			return true;
		ids += n;
		ids += *ids == ',';
	}
	return false;
}

static int append(char **text, const char *more, size_t n)
{
	size_t len = *text ? strlen(*text) : 0;
	char *p;

	if (len + n > RULES_MAX)
		return 0;
	p = realloc(*text, len + n + 2);
	if (!p)
		return -ENOMEM;
	memcpy(p + len, more, n);
	p[len + n] = '\n';
	p[len + n + 1] = '\0';
	*text = p;
	return 0;
}

/* Lines of a file that mentions vfio-pci. */
static int add_file(const struct pst_host_root *root, const char *path,
		    char **to)
{
	PST_CLEANUP_FREE char *text = NULL;
	const char *p;
	size_t len;
	int r = 0;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0 ||
	    (!strstr(text, "vfio-pci") && !strstr(text, "vfio_pci")))
		return 0;
	for (p = text; *p && r == 0;) {
		size_t n = strcspn(p, "\n");

		if (p[strspn(p, " \t")] != '#')
			r = append(to, p, n);
		p += n;
		p += *p == '\n';
	}
	return r;
}

static int add_dir(const struct pst_host_root *root, const char *dir,
		   bool name_is_address, struct pst_host_vfio_conf *c)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], text[64];
	size_t i;
	int r = 0;

	if (pst_host_root_list(root, dir, &names) < 0)
		return 0;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && r == 0;
	     i++) {
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) < 0)
			continue;
		if (!name_is_address)
			r = add_file(root, path, &c->rules);
		else if (pst_host_root_read_text(root, path, text,
						 sizeof(text)) > 0 &&
			 strcmp(text, "vfio-pci") == 0)
			r = append(&c->rules, names.name[i],
				   strlen(names.name[i]));
	}
	return r;
}

/* A file of rules, if it is about drivers. */
static int add_rules(const struct pst_host_root *root,
		     const struct pst_host_early *early, const char *dir,
		     const char *name, struct pst_host_vfio_conf *c)
{
	static const char ext[] = ".rules";
	char path[PST_HOST_ROOT_PATH_MAX], *text = NULL;
	struct pst_host_vfio_rules *more;
	size_t n = strlen(name), len;

	if (n < sizeof(ext) || strcmp(name + n - strlen(ext), ext) != 0 ||
	    pst_host_path(path, "%s/%s", dir, name) < 0 ||
	    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return 0;
	if (!strstr(text, "driver_override") && !strstr(text, "vfio")) {
		free(text);
		return 0;
	}
	more = reallocarray(c->udev, c->n_udev + 1, sizeof(*more));
	if (!more) {
		free(text);
		return -ENOMEM;
	}
	c->udev = more;
	more[c->n_udev++] = (struct pst_host_vfio_rules){
		.text = text,
		.late = !pst_host_early_has_rule(early, root, path),
	};
	return 0;
}

/* The files that udev reads at the next boot, in the order of their names; of
 * two with one name the former directory's counts (udev(7)). What is in run is
 * this boot's. */
static int add_udev(const struct pst_host_root *root,
		    const struct pst_host_early *early,
		    struct pst_host_vfio_conf *c)
{
	static const char *const dirs[] = {
		"etc/udev/rules.d", "usr/local/lib/udev/rules.d",
		"usr/lib/udev/rules.d", "lib/udev/rules.d"};
	struct pst_host_names names[PST_ARRAY_SIZE(dirs)] = {0};
	size_t at[PST_ARRAY_SIZE(dirs)] = {0}, i, k;
	int r = 0;

	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		if (pst_host_root_list(root, dirs[i], &names[i]) < 0)
			names[i].n = 0;
	while (r == 0 && c->n_udev < PST_HOST_ROOT_CONF_FILES) {
		const char *name = NULL;

		for (i = k = 0; i < PST_ARRAY_SIZE(dirs); i++)
			if (at[i] < names[i].n &&
			    (!name || strcmp(names[i].name[at[i]], name) < 0)) {
				name = names[i].name[at[i]];
				k = i;
			}
		if (!name)
			break;
		r = add_rules(root, early, dirs[k], name, c);
		for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
			at[i] += at[i] < names[i].n &&
				 strcmp(names[i].name[at[i]], name) == 0;
	}
	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		pst_host_names_done(&names[i]);
	return r;
}

/* Whether udev gives dev to vfio-pci, by all rules or those alone that are in
 * the initramfs. */
static bool udev_gives(const struct pst_host_vfio_conf *c,
		       const struct pst_host_pci_dev *dev, bool early)
{
	bool gives = false;
	size_t i;

	for (i = 0; i < c->n_udev; i++)
		if (!early || !c->udev[i].late)
			gives = pst_host_udev_gives(c->udev[i].text, dev,
						    gives);
	return gives;
}

/* Scripts that an install line runs usually name the addresses. */
static int add_install(const struct pst_host_root *root,
		       const struct pst_host_modconf *modconf,
		       struct pst_host_vfio_conf *c)
{
	size_t i, n;
	int r = 0;

	for (i = 0; i < modconf->n && r == 0; i++) {
		const struct pst_host_modconf_line *l = &modconf->line[i];
		char path[PST_HOST_ROOT_PATH_MAX];

		if (l->kind != PST_HOST_MODCONF_INSTALL ||
		    !pst_host_param_name_eq(l->module, "vfio-pci"))
			continue;
		n = strcspn(l->text, " \t;");
		if (n < sizeof(path)) {
			memcpy(path, l->text, n);
			path[n] = '\0';
			r = add_file(root, path, &c->rules);
		}
	}
	return r;
}

int pst_host_vfio_conf_scan(const struct pst_host_root *root,
			    const struct pst_host_cmdline *cmdline,
			    const struct pst_host_modconf *modconf,
			    const struct pst_host_early *early,
			    struct pst_host_vfio_conf *ret)
{
	const struct pst_host_param *p =
		pst_host_cmdline_module(cmdline, "vfio-pci", "ids");
	struct pst_host_vfio_conf c = {0};
	int r = 0;

	if (p && p->value) {
		c.cmdline_ids = strdup(p->value);
		r = c.cmdline_ids ? 0 : -ENOMEM;
	}
	c.modprobe_ids = pst_host_modconf_option(modconf, "vfio-pci", "ids");
	if (r == 0 && early->ids) {
		c.early_ids = strdup(early->ids);
		r = c.early_ids ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = pst_host_vfio_faults(root, cmdline, modconf, &c.faults);
	if (r == 0)
		r = add_udev(root, early, &c);
	if (r == 0)
		r = add_dir(root, "etc/driverctl.d", true, &c);
	if (r == 0)
		r = add_dir(root, "etc/nixos", false, &c);
	if (r == 0)
		r = add_install(root, modconf, &c);
	if (r < 0)
		pst_host_vfio_conf_done(&c);
	else
		*ret = c;
	return r;
}

void pst_host_vfio_conf_done(struct pst_host_vfio_conf *c)
{
	free(c->cmdline_ids);
	free(c->modprobe_ids);
	free(c->early_ids);
	free(c->faults);
	free(c->rules);
	while (c->n_udev > 0)
		free(c->udev[--c->n_udev].text);
	free(c->udev);
	*c = (struct pst_host_vfio_conf){0};
}

enum pst_host_vfio_how
pst_host_vfio_conf_how(const struct pst_host_vfio_conf *c,
		       const struct pst_host_pci_dev *dev)
{
	char id[16];

	if (c->cmdline_ids && pst_host_vfio_ids_cover(c->cmdline_ids, dev))
		return PST_HOST_VFIO_IDS_CMDLINE;
	if (c->early_ids && pst_host_vfio_ids_cover(c->early_ids, dev))
		return PST_HOST_VFIO_IDS_INITRAMFS;
	/* modprobe puts the command line's words behind its own, and the last
	 * ids= is the one that the module has. */
	if (!c->cmdline_ids && c->modprobe_ids &&
	    pst_host_vfio_ids_cover(c->modprobe_ids, dev))
		return PST_HOST_VFIO_IDS_MODPROBE;
	if ((c->rules && strstr(c->rules, dev->name)) ||
	    udev_gives(c, dev, false))
		return PST_HOST_VFIO_OVERRIDE;
	if (!c->rules)
		return PST_HOST_VFIO_NO;
	snprintf(id, sizeof(id), "%04x:%04x", dev->vendor, dev->device);
	return strstr(c->rules, id) ? PST_HOST_VFIO_IDS_MODPROBE
				    : PST_HOST_VFIO_NO;
}

bool pst_host_vfio_conf_is_late(const struct pst_host_vfio_conf *c,
				const struct pst_host_pci_dev *dev)
{
	return pst_host_vfio_conf_how(c, dev) == PST_HOST_VFIO_OVERRIDE &&
	       !(c->rules && strstr(c->rules, dev->name)) &&
	       !udev_gives(c, dev, true);
}
