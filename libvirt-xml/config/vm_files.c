/* SPDX-License-Identifier: MIT */
/* The files of a domain in Penstock's configuration, and its region's unit. */
#include "libvirt-xml/config/vm_files.h"

#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "kernel-params/root/hostfile.h"
#include "transport/base/text.h"

extern char **environ;

/* The first line of a file that is ours. */
#define MARK                                                                   \
	"# Written by penstock vm define; penstock vm undefine removes it.\n"

/* ---- Texts -------------------------------------------------------------- */

static int fits(int n, size_t size, struct pst_error *err)
{
	if (n >= 0 && (size_t)n < size)
		return 0;
	return pst_error_set(err, -EMSGSIZE, "the settings are too long");
}

int pst_vm_files_endpoint(const char *uri, char *ret, size_t size,
			  struct pst_error *err)
{
	return fits(snprintf(ret, size, MARK "endpoint = %s\n", uri), size,
		    err);
}

bool pst_vm_files_unit_fits(const char *name, const struct pst_vm_region *r)
{
	const char *slash = strrchr(r->path, '/');
	const char prefix[] = "/penstock-";

	/* systemd takes words apart at white space and quotes. */
	return slash && slash != r->path &&
	       strncmp(slash, prefix, sizeof(prefix) - 1) == 0 &&
	       strcmp(slash + sizeof(prefix) - 1, name) == 0 &&
	       !strpbrk(r->path, " \t\"'\\$%");
}

int pst_vm_files_region(const struct pst_vm_region *r, char *ret, size_t size,
			struct pst_error *err)
{
	const char *slash = strrchr(r->path, '/');
	char node[16] = "any";
	int n;

	if (r->node >= 0)
		snprintf(node, sizeof(node), "%d", r->node);
	n = snprintf(ret, size,
		     MARK "SIZE=%" PRIu64 "M\nNODE=%s\nGROUP=%s\nMODE=0660\n"
			  "ARGS=--path %.*s\n",
		     r->size >> 20, node, r->group[0] ? r->group : "root",
		     (int)(slash - r->path), r->path);
	return fits(n, size, err);
}

/* ---- Files -------------------------------------------------------------- */

static bool is_ours(const char *text)
{
	return strncmp(text, MARK, strlen(MARK)) == 0;
}

static int path_of(const char *sub, const char *name, char *ret, size_t size,
		   struct pst_error *err)
{
	return fits(snprintf(ret, size, "/%s/%s.conf", sub, name), size, err);
}

/* Its text, NULL: there is none. One that is too long is not ours. */
static int read_file(const struct pst_host_root *root, const char *path,
		     char **ret, struct pst_error *err)
{
	size_t n;
	int r = pst_host_root_read(root, path, PST_VM_FILE_MAX - 1, ret, &n);

	if (r == 0)
		return 0;
	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (r == -EMSGSIZE)
		*ret = strdup("");
	if (*ret)
		return 0;
	return pst_error_set_errno(err, -r, "cannot read %s", path);
}

static int write_text(const struct pst_host_root *root, const char *path,
		      const char *text, struct pst_error *err)
{
	struct pst_host_file f;
	int r;

	r = pst_host_file_open(root, path, &f, err);
	if (r)
		return r;
	r = pst_host_file_write(&f, text, 0644, err);
	if (r == 0)
		r = pst_host_file_commit(&f, err);
	pst_host_file_close(&f);
	return r;
}

static int write_below(const struct pst_host_root *root, const char *sub,
		       const char *path, const char *text,
		       struct pst_error *err)
{
	PST_CLEANUP_FREE char *have = NULL;
	int r;

	r = pst_host_file_mkdir(root, sub, err);
	if (r == 0)
		r = read_file(root, path, &have, err);
	if (r || (have && strcmp(have, text) == 0))
		return r;
	if (have && !is_ours(have))
		return pst_error_set(err, -EEXIST,
				     "%s is not Penstock's and is left as it "
				     "is",
				     path);
	return write_text(root, path, text, err);
}

int pst_vm_files_write(const char *dir, const char *sub, const char *name,
		       const char *text, struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	struct pst_host_root root;
	int r;

	r = path_of(sub, name, path, sizeof(path), err);
	if (r)
		return r;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return pst_error_set_errno(err, errno, "cannot make %s", dir);
	r = pst_host_root_open(dir, &root, err);
	if (r)
		return r;
	r = write_below(&root, sub, path, text, err);
	pst_host_root_close(&root);
	return r;
}

static int remove_below(const struct pst_host_root *root, const char *path,
			struct pst_error *err)
{
	PST_CLEANUP_FREE char *have = NULL;
	struct pst_host_file f;
	int r;

	r = read_file(root, path, &have, err);
	if (r || !have)
		return r;
	if (!is_ours(have))
		return 1;
	r = pst_host_file_open(root, path, &f, err);
	if (r)
		return r;
	r = pst_host_file_remove(&f, err);
	pst_host_file_close(&f);
	return r;
}

int pst_vm_files_remove(const char *dir, const char *sub, const char *name,
			struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	struct pst_host_root root;
	int r;

	r = path_of(sub, name, path, sizeof(path), err);
	if (r)
		return r;
	r = pst_host_root_open(dir, &root, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = remove_below(&root, path, err);
	pst_host_root_close(&root);
	return r;
}

/* Where the settings of the unit say that it makes the region. */
static void region_of_unit(const char *text, const char *name, char *ret,
			   size_t size)
{
	static const char key[] = "\nARGS=--path ";
	const char *dir = strstr(text, key);

	if (!dir)
		return;
	dir += sizeof(key) - 1;
	snprintf(ret, size, "%.*s/penstock-%s", (int)strcspn(dir, "\n"), dir,
		 name);
}

int pst_vm_files_left(const char *dir, const char *name,
		      char ret_region[PATH_MAX])
{
	static const char *const subs[] = {"regions.d", "endpoints.d"};
	char path[PST_HOST_ROOT_PATH_MAX];
	struct pst_host_root root;
	size_t i;
	int n = 0;

	*ret_region = '\0';
	if (pst_host_root_open(dir, &root, NULL))
		return 0;
	for (i = 0; i < PST_ARRAY_SIZE(subs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		if (path_of(subs[i], name, path, sizeof(path), NULL) ||
		    read_file(&root, path, &text, NULL) || !text ||
		    !is_ours(text))
			continue;
		n++;
		if (i == 0)
			region_of_unit(text, name, ret_region, PATH_MAX);
	}
	pst_host_root_close(&root);
	return n;
}

/* ---- The unit ----------------------------------------------------------- */

int pst_vm_files_systemctl(const char *dir, const char *verb, const char *name,
			   struct pst_error *err)
{
	char unit[PST_NAME_MAX + 64];
	char *argv[] = {(char *)"systemctl",
			(char *)"--quiet",
			(char *)verb,
			unit,
			NULL,
			NULL};
	int status, r;
	pid_t pid;

	if (strcmp(dir, PST_VM_CONF_DIR) != 0 ||
	    access("/run/systemd/system", F_OK) < 0)
		return 1;
	snprintf(unit, sizeof(unit), "penstock-region@%s.service", name);
	/* It stays active after it made the region. */
	if (strcmp(verb, "disable") == 0)
		argv[4] = (char *)"--now";
	r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r)
		return pst_error_set_errno(err, r, "cannot run systemctl");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return pst_error_set_errno(err, errno, "systemctl");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return pst_error_set(err, -EIO, "systemctl %s %s failed", verb, unit);
}

int pst_vm_files_remove_unit(const char *dir, const char *name,
			     struct pst_error *err)
{
	int r = pst_vm_files_systemctl(dir, "disable", name, err);

	return r < 0 ? r : pst_vm_files_remove(dir, "regions.d", name, err);
}
