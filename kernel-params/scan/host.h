/* SPDX-License-Identifier: MIT */
/* Everything that checks need of a host, read from a root once. */
#ifndef PST_KERNEL_PARAMS_SCAN_HOST_H
#define PST_KERNEL_PARAMS_SCAN_HOST_H

#include "kernel-params/boot/boot.h"
#include "kernel-params/boot/initramfs.h"
#include "kernel-params/boot/os.h"
#include "kernel-params/config/claims.h"
#include "kernel-params/config/memlock.h"
#include "kernel-params/config/modprobe_conf.h"
#include "kernel-params/config/software.h"
#include "kernel-params/config/vfio_ids.h"
#include "kernel-params/machine/card_state.h"
#include "kernel-params/machine/card_use.h"
#include "kernel-params/machine/cpu.h"
#include "kernel-params/machine/display.h"
#include "kernel-params/machine/gpu_arch.h"
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/machine/iommu.h"
#include "kernel-params/machine/kernel.h"
#include "kernel-params/machine/modules.h"
#include "kernel-params/machine/mounts.h"
#include "kernel-params/machine/pci.h"
#include "kernel-params/syntax/cmdline.h"

/* What the guest is to have. */
struct pst_host_request {
	const char *gpu;            /* address, "auto" or NULL */
	uint64_t region, vm_memory; /* bytes */
	bool sizes_given;           /* else they are examples, not a wish */
};

/* What only the running machine can tell; of a tree, all is untested. */
struct pst_host_live {
	bool tested;
	int kvm_error;    /* errno of opening or asking, 0: it answered */
	int kvm_api;      /* KVM_GET_API_VERSION */
	int vhost_error;  /* errno of opening /dev/vhost-vsock */
	uint64_t memlock; /* RLIMIT_MEMLOCK in bytes, UINT64_MAX: none */
};

/* A file in such a mount. */
struct pst_host_region_entry {
	char path[256];
	uint64_t size;
	uint64_t conf_size; /* SIZE in its regions.d file, 0: none */
	unsigned int mode, uid, gid;
};

#define PST_HOST_REGIONS 8

/* What a check would believe in order because it is not there. */
enum pst_host_unseen {
	PST_HOST_UNSEEN_CMDLINE = 1U << 0,
	PST_HOST_UNSEEN_MOUNTS = 1U << 1,
	PST_HOST_UNSEEN_ROUTES = 1U << 2,
	PST_HOST_UNSEEN_NODES = 1U << 3,
	PST_HOST_UNSEEN_POOLS = 1U << 4,
	PST_HOST_UNSEEN_BOOT_VGA = 1U << 5, /* of a card that should have it */
};

/* Files that a kernel's command line is made from; below the root. */
#define PST_HOST_LINE_FILES 6
extern const char *const pst_host_line_files[PST_HOST_LINE_FILES];

struct pst_host_files {
	unsigned int unseen; /* enum pst_host_unseen */
	bool has_dev, has_acpi;
	bool has_sys; /* sys/kernel */
	bool dev_kvm, dev_vfio, dev_vhost_vsock;
	struct pst_host_mounts mounts;
	struct pst_host_region_entry region[PST_HOST_REGIONS];
	size_t n_regions;
	char no_region[64];    /* a name of regions.d without a file, or "" */
	char lockdown[32];     /* "none", "integrity", ...; "" not seen */
	int secure_boot;       /* 1, 0, or -1: not seen */
	int io_uring_disabled; /* 0, 1, 2, or -1: not seen */
	struct pst_host_memlock memlock;
	char nr_hugepages[160];       /* a line that sets them at boot, or "" */
	bool unsafe_interrupts;       /* vfio_iommu_type1 allows them */
	bool noiommu;                 /* vfio's unsafe mode without IOMMU */
	bool idle_d3_off;             /* vfio-pci leaves idle functions awake */
	unsigned int nvidia_dma_bits; /* as the host's driver tells, 0: no */
	bool grub, kernel_cmdline;    /* etc/default/grub, etc/kernel/cmdline */
	const char *loader; /* what systemd-boot's entries are in, or NULL */
	bool kernelstub;    /* Pop!_OS's, which writes those entries */
	/* The text of each of pst_host_line_files, NULL: not there. */
	char *line_file[PST_HOST_LINE_FILES];
};

struct pst_host {
	const struct pst_host_root *root; /* borrowed */
	struct pst_host_request request;
	struct pst_host_live live;
	struct pst_host_files files;
	struct pst_host_pci pci;
	struct pst_host_iommu iommu;
	struct pst_host_cpu cpu;
	struct pst_host_memory memory;
	struct pst_host_claims claims; /* of others on it */
	struct pst_host_cmdline cmdline;
	char *cmdline_text; /* as it is written, "" not seen */
	int cmdline_rc;     /* of reading it */
	struct pst_host_modconf modconf;
	struct pst_host_modules modules;
	struct pst_host_early early;
	struct pst_host_vfio_conf vfio;
	struct pst_host_boot boot;
	struct pst_host_display display;
	struct pst_host_card_use use;     /* of gpu */
	struct pst_host_card_state state; /* of gpu */
	struct pst_host_software software;
	char release[96]; /* of the kernel, "" not seen */
	bool has_version;
	struct pst_host_kernel_version
		version;                      /* upstream's, where it is told */
	char os_id[PST_HOST_OS_ID_MAX];       /* of os-release, "" not seen */
	const struct pst_host_pci_dev *gpu;   /* NULL: gpu_err says why */
	const struct pst_host_gpu_arch *arch; /* of gpu, NULL: unknown */
	struct pst_error gpu_err;
};

/*
 * Reads all of it, once; check, plan and vm then get it as it is. The running
 * machine is asked only when root is its own. ret is large: take it from the
 * heap. 0 (to be ended with pst_host_done()), or
 * with a sentence: -ENOENT (neither proc nor sys is there: no host), -ENOMEM,
 * or what pst_host_pci_scan() returns.
 */
PST_MUST_USE int pst_host_scan(const struct pst_host_root *root,
			       const struct pst_host_request *request,
			       struct pst_host *ret, struct pst_error *err);
void pst_host_done(struct pst_host *h);

/* Whether its kernel takes hugepages=NODE:PAGES (since Linux 5.16); true of one
 * that is not known. */
bool pst_host_knows_pool_nodes(const struct pst_host *h);

/* The parts of it; for host.c alone. */
void pst_host_scan_files(const struct pst_host_root *root, struct pst_host *h);
void pst_host_scan_live(struct pst_host_live *ret);
/* The same as a report tells it, of a tree that is one. */
void pst_host_read_live(const struct pst_host_root *root,
			struct pst_host_live *ret);

#endif
