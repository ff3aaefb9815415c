/* SPDX-License-Identifier: MIT */
/* Chooses the vsock address of a guest: one that no other guest has. */
#include "libvirt-xml/virt/cid.h"

#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>

/* Further CIDs tried above those that libvirt knows. */
#define N_CIDS 256

int pst_vm_cid_open(void)
{
	return open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
}

/* Whether the kernel would give the CID to a guest: 0, -EADDRINUSE, -errno. */
static int try_cid(int vhost_fd, uint32_t cid)
{
	uint64_t v = cid;

	if (vhost_fd >= 0 && ioctl(vhost_fd, VHOST_VSOCK_SET_GUEST_CID, &v) < 0)
		return -errno;
	return 0;
}

/* The domain that has it, other than name; NULL: none. */
static const struct pst_vm_virt_entry *
owner_of(const struct pst_vm_virt_entry *list, int n, uint32_t cid,
	 const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (list[i].cid == cid &&
		    (!name || strcmp(list[i].name, name) != 0))
			return &list[i];
	return NULL;
}

static uint32_t own_cid(const struct pst_vm_virt_entry *list, int n,
			const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].cid;
	return 0;
}

int pst_vm_cid_find(int vhost_fd, uint32_t first, uint32_t n,
		    const struct pst_vm_virt_entry *list, int n_list,
		    uint32_t *ret)
{
	uint32_t i;
	int r;

	for (i = 0; i < n; i++) {
		if (owner_of(list, n_list, first + i, NULL))
			continue;
		r = try_cid(vhost_fd, first + i);
		if (r == 0)
			*ret = first + i;
		if (r != -EADDRINUSE)
			return r;
	}
	return -EADDRINUSE;
}

int pst_vm_cid_choose(int vhost_fd, uint32_t wanted, const char *name,
		      const struct pst_vm_virt_entry *list, int n_list,
		      uint32_t *ret, struct pst_error *err)
{
	const struct pst_vm_virt_entry *owner =
		owner_of(list, n_list, wanted, name);
	const uint32_t n = (uint32_t)n_list + N_CIDS;
	uint32_t own = own_cid(list, n_list, name);
	int r;

	/* One that another domain has as well is not kept. */
	if (own && owner_of(list, n_list, own, name))
		own = 0;
	*ret = wanted ? wanted : own;
	if (wanted && owner)
		return pst_error_set(err, -EADDRINUSE,
				     "CID %u already belongs to domain %s",
				     wanted, owner->name);
	/* A running domain has its own. */
	if (wanted && wanted != own && try_cid(vhost_fd, wanted) == -EADDRINUSE)
		return pst_error_set(err, -EADDRINUSE,
				     "CID %u belongs to a running guest",
				     wanted);
	if (*ret)
		return 0;
	r = pst_vm_cid_find(vhost_fd, PST_VM_FIRST_CID, n, list, n_list, ret);
	/* A kernel that cannot say: libvirt's domains are what is known. */
	if (r < 0 && r != -EADDRINUSE)
		r = pst_vm_cid_find(-1, PST_VM_FIRST_CID, n, list, n_list, ret);
	if (r == 0)
		return 0;
	return pst_error_set(err, -EADDRINUSE,
			     "no CID is free: name one with --cid");
}
