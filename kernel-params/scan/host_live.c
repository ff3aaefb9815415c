/* SPDX-License-Identifier: MIT */
/* Asks the running machine: KVM, vhost-vsock, the locked-memory limit. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "kernel-params/scan/host.h"

static int try_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void pst_host_scan_live(struct pst_host_live *ret)
{
	struct pst_host_live l = {.tested = true, .memlock = UINT64_MAX};
	PST_CLEANUP_FD int kvm = try_open("/dev/kvm");
	PST_CLEANUP_FD int vhost = try_open("/dev/vhost-vsock");
	struct rlimit limit;

	if (kvm < 0) {
		l.kvm_error = -kvm;
	} else {
		l.kvm_api = ioctl(kvm, KVM_GET_API_VERSION, 0);
		if (l.kvm_api < 0)
			l.kvm_error = errno;
	}
	if (vhost < 0)
		l.vhost_error = -vhost;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		l.memlock = limit.rlim_cur;
	*ret = l;
}

void pst_host_read_live(const struct pst_host_root *root,
			struct pst_host_live *ret)
{
	static const char *const names[] = {"kvm_error", "kvm_api",
					    "vhost_error", "memlock"};
	char path[PST_HOST_ROOT_PATH_MAX];
	uint64_t v[PST_ARRAY_SIZE(names)];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (pst_host_path(path, PST_HOST_REPORT_DIR "/%s", names[i]) <
			    0 ||
		    pst_host_root_read_u64(root, path, 10, &v[i]) < 0 ||
		    (i < 3 && v[i] > INT16_MAX))
			return;
	*ret = (struct pst_host_live){
		.tested = true,
		.kvm_error = (int)v[0],
		.kvm_api = (int)v[1],
		.vhost_error = (int)v[2],
		.memlock = v[3],
	};
}
