/* SPDX-License-Identifier: MIT */
/* Finds who uses a function, and keeps others from it. */
#include "kernel-params/device/users.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- Processes ----------------------------------------------------------- */

/* The ends of what a descriptor of its group, or of itself, links to. */
struct ends {
	char group[32], cdev[64];
};

static void find_ends(const struct pst_host_root *root,
		      const struct pst_host_pci_dev *dev, struct ends *ret)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];

	*ret = (struct ends){0};
	if (dev->iommu_group >= 0)
		snprintf(ret->group, sizeof(ret->group), "/vfio/%d",
			 dev->iommu_group);
	if (pst_host_path(path, "%s/vfio-dev", dev->path) == 0 &&
	    pst_host_root_list(root, path, &names) == 0 && names.n &&
	    strlen(names.name[0]) < 32)
		snprintf(ret->cdev, sizeof(ret->cdev), "/vfio/devices/%.31s",
			 names.name[0]);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return k && n >= k && strcmp(text + n - k, end) == 0;
}

/* Whether a process has one of these open; 0, 1, or -errno: -EACCES also where
 * it has more descriptors than were read. */
static int has_open(const struct pst_host_root *root, const char *pid,
		    const struct ends *ends)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names fds = {0};
	char path[PST_HOST_ROOT_PATH_MAX], to[PST_HOST_ROOT_PATH_MAX];
	size_t i;
	int r = pst_host_path(path, "proc/%s/fd", pid);

	if (r == 0)
		r = pst_host_root_list(root, path, &fds);
	if (r < 0)
		return r;
	for (i = 0; i < fds.n; i++)
		if (pst_host_path(path, "proc/%s/fd/%s", pid, fds.name[i]) ==
			    0 &&
		    pst_host_root_readlink(root, path, to, sizeof(to)) > 0 &&
		    (ends_with(to, ends->group) || ends_with(to, ends->cdev)))
			return 1;
	return fds.truncated ? -EACCES : 0;
}

/* The first process that has it open, but this one, which may hold it. */
static bool find_process(const struct pst_host_root *root,
			 const struct pst_host_pci_dev *dev, char *ret,
			 size_t size, bool *unseen)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names pids = {0};
	char path[PST_HOST_ROOT_PATH_MAX], comm[32];
	struct ends ends;
	size_t i;
	int r;

	find_ends(root, dev, &ends);
	if (pst_host_root_list(root, "proc", &pids) < 0)
		return false;
	*unseen |= pids.truncated;
	for (i = 0; i < pids.n; i++) {
		const char *pid = pids.name[i];

		if (strspn(pid, "0123456789") != strlen(pid) ||
		    (root->live && strtol(pid, NULL, 10) == (long)getpid()))
			continue;
		r = has_open(root, pid, &ends);
		*unseen |= r == -EACCES || r == -EPERM;
		if (r <= 0)
			continue;
		if (pst_host_path(path, "proc/%s/comm", pid) < 0 ||
		    pst_host_root_read_text(root, path, comm, sizeof(comm)) <=
			    0)
			strcpy(comm, "?");
		snprintf(ret, size, "process %.10s (%.16s) has it open", pid,
			 comm);
		return true;
	}
	return false;
}

/* ---- All of it ----------------------------------------------------------- */

static uint64_t virtual_functions(const struct pst_host_root *root,
				  const struct pst_host_pci_dev *dev)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t n;

	if (pst_host_path(path, "%s/sriov_numvfs", dev->path) < 0 ||
	    pst_host_root_read_u64(root, path, 10, &n) < 0)
		return 0;
	return n;
}

bool pst_host_find_blocker(const struct pst_host *h,
			   const struct pst_host_pci_dev *dev,
			   struct pst_host_blocker *ret, bool *ret_unseen)
{
	struct pst_host_blocker b = {.dev = dev};
	struct pst_host_card_use use;
	bool used;

	pst_host_card_use_find(h->root, &h->pci, &h->display, dev, &use);
	used = use.fn == dev && use.kind != PST_HOST_CARD_FREE &&
	       use.kind != PST_HOST_CARD_NO_GPU;
	if (*dev->driver && !pst_host_pci_on_vfio(dev))
		snprintf(b.why, sizeof(b.why),
			 "%.60s of the host drives it%s%s", dev->driver,
			 used ? ": " : "", used ? use.why : "");
	else if (used)
		snprintf(b.why, sizeof(b.why), "%s", use.why);
	else if (virtual_functions(h->root, dev))
		snprintf(b.why, sizeof(b.why),
			 "it has virtual functions (sriov_numvfs)");
	else if (!find_process(h->root, dev, b.why, sizeof(b.why), ret_unseen))
		return false;
	*ret = b;
	return true;
}

/* ---- Holding ------------------------------------------------------------- */

int pst_host_hold(const struct pst_host_root *root,
		  const struct pst_host_pci_dev *dev,
		  struct pst_host_holds *holds, struct pst_error *err)
{
	char path[64];
	size_t i;
	int fd;

	if (!pst_host_pci_on_vfio(dev) || dev->iommu_group < 0)
		return 0;
	for (i = 0; i < holds->n; i++)
		if (holds->group[i] == dev->iommu_group)
			return 0;
	if (holds->n == PST_HOST_HOLDS)
		return pst_error_set(err, -ENOSPC,
				     "more than %d IOMMU groups are concerned",
				     PST_HOST_HOLDS);
	snprintf(path, sizeof(path), "dev/vfio/%d", dev->iommu_group);
	fd = openat(root->fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return pst_error_set(err, -EBUSY,
				     "a virtual machine has %s (/%s is open)",
				     dev->name, path);
	if (fd < 0)
		return pst_error_set_errno(err, errno,
					   "cannot hold %s: cannot open /%s",
					   dev->name, path);
	holds->group[holds->n] = dev->iommu_group;
	holds->fd[holds->n++] = fd;
	return 0;
}

void pst_host_holds_done(struct pst_host_holds *holds)
{
	while (holds->n > 0)
		pst_close_fd(holds->fd[--holds->n]);
}
