/* SPDX-License-Identifier: MIT */
/* Chooses the UEFI firmware of a q35 domain. */
#include "libvirt-xml/plan/firmware.h"

#include <fnmatch.h>
#include <jansson.h>
#include <string.h>

#define ETC_DIR        "/etc/qemu/firmware"
#define USR_DIR        "/usr/share/qemu/firmware"
#define DESCRIPTOR_MAX (64U << 10)
/* The most descriptors that are read, of all directories together. */
#define MAX_FILES 256

/* ---- One descriptor ----------------------------------------------------- */

static bool has_word(json_t *array, const char *word)
{
	json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
	{
		const char *s = json_string_value(v);

		if (s && strcmp(s, word) == 0)
			return true;
	}
	return false;
}

/* Whether a target is x86-64 with a machine that q35 is one of. */
static bool is_q35(json_t *target)
{
	const char *arch =
		json_string_value(json_object_get(target, "architecture"));
	json_t *v;
	size_t i;

	if (!arch || strcmp(arch, "x86_64") != 0)
		return false;
	json_array_foreach(json_object_get(target, "machines"), i, v)
	{
		const char *pattern = json_string_value(v);

		/* A machine with a version, as QEMU names the newest one. */
		if (pattern && (fnmatch(pattern, "q35", 0) == 0 ||
				fnmatch(pattern, "pc-q35-9.0", 0) == 0))
			return true;
	}
	return false;
}

static bool has_q35(json_t *targets)
{
	json_t *v;
	size_t i;

	json_array_foreach(targets, i, v)
	{
		if (is_q35(v))
			return true;
	}
	return false;
}

static const char *file_of(json_t *mapping, const char *part, const char *key)
{
	return json_string_value(
		json_object_get(json_object_get(mapping, part), key));
}

/* An absolute path of the descriptor, or nothing. */
static bool take_path(const char *path, char ret[PATH_MAX])
{
	size_t n = path ? strlen(path) : 0;

	if (n == 0 || n >= PATH_MAX || path[0] != '/')
		return false;
	memcpy(ret, path, n + 1);
	return true;
}

static bool fits(json_t *d)
{
	static const char *const unwanted[] = {"secure-boot", "enrolled-keys",
					       "requires-smm"};
	json_t *features = json_object_get(d, "features");
	json_t *mapping = json_object_get(d, "mapping");
	const char *device =
		json_string_value(json_object_get(mapping, "device"));
	const char *mode = json_string_value(json_object_get(mapping, "mode"));
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(unwanted); i++)
		if (has_word(features, unwanted[i]))
			return false;
	return has_word(json_object_get(d, "interface-types"), "uefi") &&
	       has_q35(json_object_get(d, "targets")) && device &&
	       strcmp(device, "flash") == 0 &&
	       (!mode || strcmp(mode, "split") == 0);
}

int pst_vm_firmware_parse(const char *text, size_t n,
			  struct pst_vm_firmware *ret, struct pst_error *err)
{
	const char *format;
	json_error_t why;
	json_t *d, *mapping;
	int r = 0;

	d = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(d)) {
		json_decref(d);
		return pst_error_set(err, -EPROTO,
				     "not a firmware descriptor: %s",
				     d ? "no object" : why.text);
	}
	mapping = json_object_get(d, "mapping");
	format = file_of(mapping, "executable", "format");
	memset(ret, 0, sizeof(*ret));
	if (fits(d) &&
	    take_path(file_of(mapping, "executable", "filename"), ret->code) &&
	    take_path(file_of(mapping, "nvram-template", "filename"),
		      ret->vars_template)) {
		ret->uefi = true;
		snprintf(ret->format, sizeof(ret->format), "%s",
			 format ? format : "raw");
		r = 1;
	}
	json_decref(d);
	return r;
}

/* ---- All of a host ------------------------------------------------------ */

struct entry {
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t name; /* where the file's name begins */
};

struct files {
	struct entry *v;
	size_t n;
};

static bool is_hidden(const struct files *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->v[i].path + f->v[i].name, name) == 0)
			return true;
	return false;
}

static void add_dir(const struct pst_host_root *root, const char *dir,
		    struct files *f)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	struct entry *e;
	const char *dot;
	size_t i;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && f->n < MAX_FILES; i++) {
		dot = strrchr(names.name[i], '.');
		e = &f->v[f->n];
		if (!dot || strcmp(dot, ".json") != 0 ||
		    is_hidden(f, names.name[i]) ||
		    pst_host_path(e->path, "%s/%s", dir, names.name[i]) < 0)
			continue;
		e->name = (size_t)(strrchr(e->path, '/') + 1 - e->path);
		f->n++;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->path + x->name, y->path + y->name);
}

/* 1: this one it is. An empty file hides others and is nothing itself. */
static int try_file(const struct pst_host_root *root, const char *path,
		    struct pst_vm_firmware *ret)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t n;

	if (pst_host_root_read(root, path, DESCRIPTOR_MAX, &text, &n) < 0)
		return 0;
	return pst_vm_firmware_parse(text, n, ret, NULL) == 1 &&
	       pst_host_root_exists(root, ret->code) &&
	       pst_host_root_exists(root, ret->vars_template);
}

/* Where distributions put the plain variant. */
static int try_places(const struct pst_host_root *root,
		      struct pst_vm_firmware *ret)
{
	static const char *const places[][2] = {
		/* Arch */
		{"/usr/share/edk2/x64/OVMF_CODE.4m.fd",
		 "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
		{"/usr/share/edk2/x64/OVMF_CODE.fd",
		 "/usr/share/edk2/x64/OVMF_VARS.fd"},
		{"/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
		 "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"},
		/* Debian */
		{"/usr/share/OVMF/OVMF_CODE_4M.fd",
		 "/usr/share/OVMF/OVMF_VARS_4M.fd"},
		{"/usr/share/OVMF/OVMF_CODE.fd",
		 "/usr/share/OVMF/OVMF_VARS.fd"},
		/* NixOS */
		{"/run/libvirt/nix-ovmf/OVMF_CODE.fd",
		 "/run/libvirt/nix-ovmf/OVMF_VARS.fd"},
		/* Fedora */
		{"/usr/share/edk2/ovmf/OVMF_CODE.fd",
		 "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++) {
		if (!pst_host_root_exists(root, places[i][0]) ||
		    !pst_host_root_exists(root, places[i][1]))
			continue;
		strcpy(ret->code, places[i][0]);
		strcpy(ret->vars_template, places[i][1]);
		strcpy(ret->format, "raw");
		return 1;
	}
	return 0;
}

int pst_vm_firmware_find(const struct pst_host_root *root,
			 const char *config_dir, struct pst_vm_firmware *ret,
			 struct pst_error *err)
{
	PST_CLEANUP_FREE struct entry *v = calloc(MAX_FILES, sizeof(*v));
	struct files f = {.v = v};
	char user[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (!v)
		return pst_oom(err);
	if (config_dir &&
	    pst_host_path(user, "%s/qemu/firmware", config_dir) == 0)
		add_dir(root, user, &f);
	add_dir(root, ETC_DIR, &f);
	add_dir(root, USR_DIR, &f);
	qsort(f.v, f.n, sizeof(*f.v), by_name);
	for (i = 0; i < f.n; i++)
		if (try_file(root, f.v[i].path, ret))
			return 0;
	memset(ret, 0, sizeof(*ret));
	ret->uefi = true;
	if (try_places(root, ret))
		return 0;
	ret->by_libvirt = true;
	return 1;
}
