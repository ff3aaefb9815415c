/* SPDX-License-Identifier: MIT */
/* Opens device files, and gives them to a group. */
#include "transport/region/region_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int pst_region_open_node(const char *sysfs, const char *name, const char *dev,
			 uint64_t size, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	char path[512], numbers[32];
	struct stat st;
	bool good;
	int n;

	n = snprintf(path, sizeof(path), "%s/../dev/%s", sysfs, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open /dev/%s",
					   name);
	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "/dev/%s", name);
	snprintf(numbers, sizeof(numbers), "%u:%u", major(st.st_rdev),
		 minor(st.st_rdev));
	/* A plain file can only be a stand-in; it must be large enough. */
	if (S_ISCHR(st.st_mode))
		good = strcmp(dev, numbers) == 0;
	else
		good = S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	if (!good)
		return pst_error_set(err, -ENODEV,
				     "/dev/%s is not the device that sysfs "
				     "names so",
				     name);
	n = fd;
	fd = -1;
	return n;
}

int pst_region_give(const char *path, gid_t gid, mode_t mode,
		    struct pst_error *err)
{
	/* Both directories, /dev and /sys, are root's: nobody replaces a file
	 * between the two. */
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, mode) < 0)
		return pst_error_set_errno(err, errno,
					   "cannot give %s to group %u", path,
					   (unsigned int)gid);
	return 0;
}
