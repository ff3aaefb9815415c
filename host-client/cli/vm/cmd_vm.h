/* SPDX-License-Identifier: MIT */
/* Common to the subcommands of "penstock vm". */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_H

#include "host-client/cli/cmd.h"
#include "libvirt-xml/define.h"

/* ---- cmd_vm_module.c: the part that needs libvirt ---- */

/*
 * Loads penstock-vm.so, once. NULL, and the sentence printed, when it is not
 * there or cannot be loaded; with_libvirt: also when it was built without.
 */
const struct pst_vm_api *pst_cmd_vm_api(const struct pst_cmd_ctx *ctx,
					bool with_libvirt);

/* Connects to uri (NULL: the default). Returns PST_EXIT_OK, or prints why not
 * and returns another code. */
int pst_cmd_vm_connect(const struct pst_cmd_ctx *ctx, const char *uri,
		       const struct pst_vm_api **ret_api,
		       struct pst_vm_virt **ret);

/* Whether uri (NULL: the default) is of a libvirt on this machine, where the
 * region and the files are. Prints the usage error itself. */
bool pst_cmd_vm_is_local(const struct pst_cmd_ctx *ctx, const char *uri);

/* ---- cmd_vm_opts.c: what describes a domain ---- */

enum {
	PST_OPT_VM_GPU = PST_OPT_OWN,
	PST_OPT_VM_MEMORY,
	PST_OPT_VM_VCPUS,
	PST_OPT_VM_DISK,
	PST_OPT_VM_REGION,
	PST_OPT_VM_VIA,
	PST_OPT_VM_REGION_PATH,
	PST_OPT_VM_GROUP,
	PST_OPT_VM_CID,
	PST_OPT_VM_ROM,
	PST_OPT_VM_HIDE_KVM,
	PST_OPT_VM_VENDOR_ID,
	PST_OPT_VM_PIN,
	PST_OPT_VM_FIRMWARE,
	PST_OPT_VM_NVRAM,
	PST_OPT_VM_HUGEPAGES,
	PST_OPT_VM_NETWORK,
	PST_OPT_VM_KERNEL,
	PST_OPT_VM_INITRD,
	PST_OPT_VM_APPEND,
	PST_OPT_VM_VSOCK,
	PST_OPT_VM_VSOCK_UDS,
	PST_OPT_VM_SERIAL_LOG,
	PST_OPT_VM_EMULATOR,
	PST_OPT_VM_EMULATED,
	PST_OPT_VM_I_KNOW,
	PST_OPT_VM_ROOT,
	PST_OPT_VM_DISK_FORMAT,
	PST_OPT_VM_DISK_BACKING,
	PST_OPT_VM_URI,
	PST_OPT_VM_END, /* the command's own options begin here */
};

#define PST_CMD_VM_OPT_URI                                                     \
	{                                                                      \
		PST_OPT_VM_URI, "uri", "URI",                                  \
			"libvirt's connection [qemu:///system]"                \
	}

#define PST_CMD_VM_VIAS  "auto|ivshmem|nvdimm|shmem"
#define PST_CMD_VM_POOLS "now|later|no"

#define PST_CMD_VM_OPT_ROOT                                                    \
	{                                                                      \
		PST_OPT_VM_ROOT, "root", "DIR",                                \
			"read the host's files below DIR [/]"                  \
	}

/* The options of what Penstock adds to a domain. */
/* clang-format off */
#define PST_CMD_VM_PART_OPTS                                                   \
	{PST_OPT_VM_GPU, "gpu", "ADDR|auto",                                   \
	 "the card to pass through, all its functions"},                       \
	{PST_OPT_VM_REGION, "region", "S", "size of the region [4G]"},         \
	{PST_OPT_VM_VIA, "region-via", PST_CMD_VM_VIAS,                        \
	 "what the region is to the guest [auto]"},                            \
	{PST_OPT_VM_REGION_PATH, "region-path", "PATH",                        \
	 "its file [penstock-NAME on the host's hugetlbfs]"},                  \
	{PST_OPT_VM_GROUP, "group", "G",                                       \
	 "group of the region's file [kvm, if there is one]"},                 \
	{PST_OPT_VM_CID, "cid", "auto|N", "vsock address [auto: a free one]"}, \
	{PST_OPT_VM_ROM, "rom", "FILE", "the card's ROM"},                     \
	{PST_OPT_VM_VSOCK, "vsock", "vhost-user:PATH",                         \
	 "vsock by a daemon (vhost-device-vsock), for hosts without\n"         \
	 "vhost_vsock [by the kernel]"},                                       \
	{PST_OPT_VM_VSOCK_UDS, "vsock-uds", "PATH",                            \
	 "its socket on the host, or Cloud Hypervisor's"},                     \
	{PST_OPT_VM_I_KNOW, "i-know", NULL,                                    \
	 "pass the host's own display through"},                               \
	PST_CMD_VM_OPT_ROOT,                                                   \
	PST_CMD_VM_OPT_URI

/* Those of a whole domain. */
#define PST_CMD_VM_OPTS                                                        \
	{PST_OPT_VM_MEMORY, "memory", "S", "the guest's memory, 16G; needed"}, \
	{PST_OPT_VM_VCPUS, "vcpus", "N", "its processors; needed"},            \
	{PST_OPT_VM_DISK, "disk", "PATH", "its disk: a file or block device"}, \
	{PST_OPT_VM_DISK_FORMAT, "disk-format", "raw|qcow2",                   \
	 "what an image is [qcow2 if it is called so, else raw]"},             \
	{PST_OPT_VM_DISK_BACKING, "disk-backing", "PATH",                      \
	 "the file under a qcow2 image [none]"},                               \
	PST_CMD_VM_PART_OPTS,                                                  \
	{PST_OPT_VM_HIDE_KVM, "hide-kvm", NULL,                                \
	 "hide from the guest that KVM runs it"},                              \
	{PST_OPT_VM_VENDOR_ID, "vendor-id", "ID",                              \
	 "Hyper-V vendor id that the guest sees"},                             \
	{PST_OPT_VM_PIN, "pin", "auto|none|LIST",                              \
	 "host CPUs of the vCPUs, 2-5,8 [auto with --gpu]"},                   \
	{PST_OPT_VM_FIRMWARE, "firmware", "auto|bios|CODE:VARS",               \
	 "OVMF, SeaBIOS, or two files [auto]"},                                \
	{PST_OPT_VM_NVRAM, "nvram", "PATH",                                    \
	 "the domain's own copy of VARS [in libvirt's directory]"},            \
	{PST_OPT_VM_HUGEPAGES, "hugepages", PST_CMD_VM_POOLS,                  \
	 "memory from the pool, which has it now, or at start\n"               \
	 "(see the example of a hook), or from ordinary pages [now]"},         \
	{PST_OPT_VM_NETWORK, "network", "NAME",                                \
	 "one of libvirt's networks [none]"},                                  \
	{PST_OPT_VM_KERNEL, "kernel", "FILE", "boot this kernel directly"},    \
	{PST_OPT_VM_INITRD, "initrd", "FILE", "with this initramfs"},          \
	{PST_OPT_VM_APPEND, "append", "WORDS", "and this command line"},       \
	{PST_OPT_VM_SERIAL_LOG, "serial-log", "FILE",                          \
	 "the serial line goes there instead of a console"},                   \
	{PST_OPT_VM_EMULATOR, "emulator", "FILE", "QEMU [libvirt's choice]"},  \
	{PST_OPT_VM_EMULATED, "emulated", NULL, "no KVM: to try it, slowly"}
/* clang-format on */

/* A region's size, unless --region names another. */
#define PST_CMD_VM_REGION (4ULL << 30)

/* One run of a command that describes a domain. */
struct pst_cmd_vm {
	const struct pst_cmd_ctx *ctx;
	struct pst_vm_ask ask;
	bool defines; /* what it describes, on this machine */
	int lock_fd;
	struct pst_error no_virt; /* why there is no libvirt */
};

/* Before any of these options. */
void pst_cmd_vm_init(struct pst_cmd_vm *vm, const struct pst_cmd_ctx *ctx);

/* Takes one of them, from optarg. Prints the usage error itself. */
bool pst_cmd_vm_opt(const struct pst_cmd_ctx *ctx, int opt,
		    struct pst_vm_ask *ask);

/*
 * Connects to libvirt as far as there is one; if the domain is to be defined,
 * if --uri was given, or if must is true, there has to be one. Takes the lock
 * if the domain is to be defined. Returns PST_EXIT_OK, or prints why not; vm is
 * always to be ended.
 */
int pst_cmd_vm_begin(struct pst_cmd_vm *vm, bool must);
void pst_cmd_vm_end(struct pst_cmd_vm *vm);

/* Makes the draft. Notes are printed. Returns PST_EXIT_OK, *ret to be ended
 * with pst_vm_draft_done(), or prints why not. */
int pst_cmd_vm_draft(const struct pst_cmd_vm *vm, struct pst_vm_draft *ret);

/* The exit code for an -errno of a plan or of libvirt. */
int pst_cmd_vm_exit(int rc);

#endif
