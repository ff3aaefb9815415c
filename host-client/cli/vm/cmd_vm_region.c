/* SPDX-License-Identifier: MIT */
/* Makes and removes the file of a domain's region, and gives it its group. */
#include "host-client/cli/vm/cmd_vm_region.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "transport/base/group.h"
#include "transport/region/region.h"

int pst_cmd_vm_region_remove(const char *path, struct pst_error *err)
{
	struct pst_region_map m;
	int r = pst_region_map_open(path, &m, err);

	if (r)
		return r == -EACCES || r == -EPERM ? r : 0;
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
	/* A user may start domains without the right to use the region. */
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
	*ret = (gid_t)-1;
	if (!r->group[0] || pst_group_find(r->group, ret) == 0)
		return 0;
	return pst_error_set(
		err, -ENOENT,
		"there is no group %s, which is to have the region", r->group);
}

int pst_cmd_vm_region_make(const struct pst_vm_region *r, bool *ret_created,
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

int pst_cmd_vm_region_regroup(const struct pst_vm_region *r,
			      struct pst_error *err)
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
