/* SPDX-License-Identifier: MIT */
/* What a domain has beside libvirt: its configuration files and its region. */
#include "host-client/cli/vm/cmd_vm_files.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host-client/files/outfile.h"
#include "transport/region/region.h"

extern char **environ;

/* The first line of a file that is ours. */
#define MARK                                                                   \
	"# Written by penstock vm define; penstock vm undefine removes it.\n"
/* Ours have some lines. */
#define FILE_MAX 16384

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

/* Reads it. 0 (there is none), 1, or -errno. */
static int read_file(const char *path, char text[FILE_MAX],
		     struct pst_error *err)
{
	int rc = pst_read_text(path, text, FILE_MAX);

	if (rc == -ENOENT)
		return 0;
	if (rc == -EMSGSIZE)
		return 1;
	if (rc < 0)
		return pst_error_set_errno(err, -rc, "cannot read %s", path);
	return 1;
}

static bool is_ours(const char *text)
{
	/* The reader takes the newline at the end away. */
	return strncmp(text, MARK, strlen(MARK) - 1) == 0;
}

static int path_of(const char *dir, const char *sub, const char *name,
		   char *ret, size_t size, struct pst_error *err)
{
	int n = snprintf(ret, size, "%s/%s/%s.conf", dir, sub, name);

	return fits(n, size, err);
}

static int make_dirs(const char *dir, const char *sub, struct pst_error *err)
{
	char path[PATH_MAX];

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return pst_error_set_errno(err, errno, "cannot make %s", dir);
	if (snprintf(path, sizeof(path), "%s/%s", dir, sub) >= PATH_MAX)
		return pst_error_set(err, -EMSGSIZE, "%s is too long", dir);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return pst_error_set_errno(err, errno, "cannot make %s", path);
	return 0;
}

static int write_text(const char *path, const char *text, struct pst_error *err)
{
	struct pst_outfile o;
	int rc;

	rc = pst_outfile_open(path, &o, err);
	if (rc)
		return rc;
	rc = pst_outfile_write(&o, text, strlen(text), err);
	if (rc == 0 && fchmod(o.fd, 0644) < 0)
		rc = pst_error_set_errno(err, errno, "cannot write %s", path);
	if (rc == 0)
		return pst_outfile_commit(&o, err);
	pst_outfile_abandon(&o);
	return rc;
}

int pst_vm_files_write(const char *dir, const char *sub, const char *name,
		       const char *text, struct pst_error *err)
{
	char path[PATH_MAX], have[FILE_MAX];
	size_t n = strlen(text);
	int rc;

	rc = path_of(dir, sub, name, path, sizeof(path), err);
	if (rc == 0)
		rc = make_dirs(dir, sub, err);
	if (rc == 0)
		rc = read_file(path, have, err);
	if (rc < 0)
		return rc;
	if (rc == 1 && strncmp(have, text, n - 1) == 0 && !have[n - 1])
		return 0;
	if (rc == 1 && !is_ours(have))
		return pst_error_set(err, -EEXIST,
				     "%s is not Penstock's and is left as it "
				     "is",
				     path);
	return write_text(path, text, err);
}

int pst_vm_files_remove(const char *dir, const char *sub, const char *name,
			struct pst_error *err)
{
	char path[PATH_MAX], have[FILE_MAX];
	int rc;

	rc = path_of(dir, sub, name, path, sizeof(path), err);
	if (rc == 0)
		rc = read_file(path, have, err);
	if (rc <= 0)
		return rc;
	if (!is_ours(have))
		return 1;
	if (unlink(path) < 0 && errno != ENOENT)
		return pst_error_set_errno(err, errno, "cannot remove %s",
					   path);
	return 0;
}

/* ---- The unit ----------------------------------------------------------- */

int pst_vm_files_systemctl(const char *dir, const char *verb, const char *name,
			   struct pst_error *err)
{
	char unit[PST_VM_NAME_MAX + 64];
	char *argv[] = {(char *)"systemctl",
			(char *)"--quiet",
			(char *)verb,
			unit,
			NULL,
			NULL};
	int status, rc;
	pid_t pid;

	if (strcmp(dir, PST_VM_CONF_DIR) != 0 ||
	    access("/run/systemd/system", F_OK) < 0)
		return 1;
	snprintf(unit, sizeof(unit), "penstock-region@%s.service", name);
	/* It stays active after it made the region. */
	if (strcmp(verb, "disable") == 0)
		argv[4] = (char *)"--now";
	rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc)
		return pst_error_set_errno(err, rc, "cannot run systemctl");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return pst_error_set_errno(err, errno, "systemctl");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return pst_error_set(err, -EIO, "systemctl %s %s failed", verb, unit);
}

/* ---- The region --------------------------------------------------------- */

/* Where the settings of the unit say that it makes the region. */
static void region_of_unit(const char *text, const char *name, char *ret,
			   size_t size)
{
	static const char key[] = "\nARGS=--path ";
	const char *dir = strstr(text, key);

	*ret = '\0';
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
	char path[PATH_MAX], text[FILE_MAX];
	size_t i;
	int n = 0;

	*ret_region = '\0';
	for (i = 0; i < PST_ARRAY_SIZE(subs); i++) {
		if (path_of(dir, subs[i], name, path, sizeof(path), NULL) < 0 ||
		    read_file(path, text, NULL) != 1 || !is_ours(text))
			continue;
		n++;
		if (i == 0)
			region_of_unit(text, name, ret_region, PATH_MAX);
	}
	return n;
}

int pst_vm_files_remove_region(const char *path, struct pst_error *err)
{
	struct pst_region_map m;

	int rc = pst_region_map_open(path, &m, err);

	if (rc)
		return rc == -EACCES || rc == -EPERM ? rc : 0;
	pst_region_map_close(&m);
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	return pst_error_set_errno(err, errno, "cannot remove %s", path);
}

static int check_region(const struct pst_vm_region *r, struct pst_error *err)
{
	struct pst_region_map m;
	struct pst_error why;
	struct stat st;
	int rc;

	rc = pst_region_map_open(r->path, &m, &why);
	if (rc == -ENOENT)
		return rc;
	/* Who may start domains need not be one who may use the region. */
	if (rc == -EACCES && stat(r->path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == r->size)
		return 0;
	if (rc)
		return pst_error_set(err, -EEXIST,
				     "%s is in the region's place: %s", r->path,
				     why.text);
	if (m.file_size != r->size)
		rc = pst_error_set(err, -EEXIST,
				   "%s has %" PRIu64 " MiB, and the domain "
				   "wants %" PRIu64 ": remove it, QEMU would "
				   "not start",
				   r->path, m.file_size >> 20, r->size >> 20);
	pst_region_map_close(&m);
	return rc;
}

/* (gid_t)-1 when none is wanted. */
static int group_of(const struct pst_vm_region *r, gid_t *ret,
		    struct pst_error *err)
{
	const struct group *g = r->group[0] ? getgrnam(r->group) : NULL;
	uint64_t gid;

	*ret = (gid_t)-1;
	if (g)
		*ret = g->gr_gid;
	else if (r->group[0] &&
		 pst_parse_u64(r->group, 0, UINT32_MAX - 1, &gid) == 0)
		*ret = (gid_t)gid;
	else if (r->group[0])
		return pst_error_set(err, -ENOENT,
				     "there is no group %s, which is to have "
				     "the region",
				     r->group);
	return 0;
}

int pst_vm_files_make_region(const struct pst_vm_region *r, bool *ret_created,
			     struct pst_error *err)
{
	struct pst_region_create c = {
		.file_size = r->size,
		.mode = 0660,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.node = r->node,
		.prefault = true,
	};
	uint8_t uuid[16];
	int rc;

	*ret_created = false;
	rc = check_region(r, err);
	if (rc != -ENOENT)
		return rc;
	rc = group_of(r, &c.gid, err);
	if (rc)
		return rc;
	rc = pst_region_create_file(r->path, &c, uuid, err);
	*ret_created = rc == 0;
	return rc;
}

int pst_vm_files_regroup(const struct pst_vm_region *r, struct pst_error *err)
{
	struct stat st;
	gid_t gid;
	int rc;

	rc = group_of(r, &gid, err);
	if (rc || gid == (gid_t)-1)
		return rc;
	if (stat(r->path, &st) == 0 &&
	    (st.st_gid == gid || chown(r->path, (uid_t)-1, gid) == 0))
		return 0;
	return pst_error_set_errno(err, errno, "cannot give %s to group %s",
				   r->path, r->group);
}
