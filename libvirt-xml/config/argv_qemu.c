/* SPDX-License-Identifier: MIT */
/* Writes a configuration as QEMU's command line. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "libvirt-xml/config/argv.h"

/* Root ports for the card's functions. */
#define FIRST_PORT 0x10

#define add   pst_vm_argv_add
#define quote pst_vm_argv_quote

const char *pst_vm_argv_quote(struct pst_vm_argv *a, const char *text,
			      char ret[2 * PATH_MAX])
{
	size_t n = 0;

	for (; *text; text++) {
		if (n + 3 > 2 * PATH_MAX) {
			a->failed = true;
			break;
		}
		if (*text == ',')
			ret[n++] = ',';
		ret[n++] = *text;
	}
	ret[n] = '\0';
	return ret;
}

/* A layer over a file: format, file, and what lies under it: nothing, unless
 * under is given, whatever the header says. Steals under. */
static json_t *layer(const char *format, const char *driver, const char *path,
		     json_t *under)
{
	json_t *node = json_pack("{s:s, s:{s:s, s:s}}", "driver", format,
				 "file", "driver", driver, "filename", path);

	if (strcmp(format, "raw") != 0)
		json_object_set_new(node, "backing",
				    under ? under : json_null());
	else
		json_decref(under);
	return node;
}

/* In JSON, since the other form of the option has no null. */
static void add_blockdev(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	PST_CLEANUP_FREE char *text = NULL;
	json_t *under = NULL, *disk;

	if (c->disk_backing) {
		under = layer(c->disk_backing_format, "file", c->disk_backing,
			      NULL);
		/* Without it the guest would see zeros in its place. */
		if (!under)
			a->failed = true;
		json_object_set_new(under, "read-only", json_true());
	}
	disk = layer(c->disk_format ? c->disk_format : "raw",
		     c->disk_is_block ? "host_device" : "file", c->disk, under);
	json_object_set_new(disk, "node-name", json_string("disk"));
	json_object_set_new(disk, "discard", json_string("unmap"));
	text = json_dumps(disk, JSON_COMPACT);
	json_decref(disk);
	if (!text)
		a->failed = true;
	add(a, "-blockdev");
	add(a, "%s", text ? text : "");
}

static void add_region_object(struct pst_vm_argv *a,
			      const struct pst_vm_config *c)
{
	char path[2 * PATH_MAX];

	add(a, "-object");
	/* Over shared pages only, and never more than the file has. */
	add(a,
	    "memory-backend-file,id=penstock-region,share=on,mem-path=%s,"
	    "size=%" PRIu64 "%s",
	    quote(a, c->region.path, path), c->region.size,
	    c->region.via == PST_VM_VIA_NVDIMM ? ",align=2M" : "");
}

static const char *root_bus(const struct pst_vm_config *c)
{
	return c->root_bus ? c->root_bus : "pcie.0";
}

void pst_vm_argv_add_ivshmem(struct pst_vm_argv *a,
			     const struct pst_vm_config *c)
{
	add_region_object(a, c);
	add(a, "-device");
	add(a,
	    "ivshmem-plain,id=penstock-shm,memdev=penstock-region,"
	    "bus=%s,addr=0x%x",
	    root_bus(c),
	    c->ivshmem_slot ? c->ivshmem_slot : PST_VM_IVSHMEM_SLOT);
}

void pst_vm_argv_add_vhost_user(struct pst_vm_argv *a,
				const struct pst_vm_config *c)
{
	char path[2 * PATH_MAX];

	add(a, "-chardev");
	add(a, "socket,id=penstock-vsock,path=%s",
	    quote(a, c->vsock_socket, path));
	add(a, "-device");
	add(a,
	    "vhost-user-vsock-pci,id=penstock-vsock0,chardev=penstock-vsock,"
	    "bus=%s,addr=0x%x",
	    root_bus(c), c->vsock_slot ? c->vsock_slot : PST_VM_VSOCK_SLOT);
}

static void add_memory(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	const bool nvdimm = c->region.via == PST_VM_VIA_NVDIMM;
	unsigned long long size = c->memory;
	const char *share = c->vsock_socket ? ",share=on" : "";

	add(a, "-m");
	if (nvdimm)
		add(a, "%lluM,slots=1,maxmem=%lluM", size >> 20,
		    (size + (unsigned long long)c->region.size) >> 20);
	else
		add(a, "%lluM", size >> 20);
	add(a, "-object");
	/* The other process is passed a descriptor, which a memfd has. */
	if (c->memory_from == PST_VM_MEMORY_PLAIN)
		add(a, "memory-backend-%s,id=ram,size=%llu%s",
		    c->vsock_socket ? "memfd" : "ram", size, share);
	else if (c->node >= 0)
		add(a,
		    "memory-backend-memfd,id=ram,size=%llu,hugetlb=on,"
		    "hugetlbsize=2M,prealloc=on,host-nodes=%d,"
		    "policy=preferred%s",
		    size, c->node, share);
	else
		add(a,
		    "memory-backend-memfd,id=ram,size=%llu,hugetlb=on,"
		    "hugetlbsize=2M,prealloc=on%s",
		    size, share);
}

static void add_machine(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	const bool nvdimm = c->region.via == PST_VM_VIA_NVDIMM;
	uint32_t threads = c->pin.threads ? c->pin.threads : 1;
	char bits[64] = "", vendor[64] = "";

	add(a, "%s", c->emulator ? c->emulator : "qemu-system-x86_64");
	add(a, "-nodefaults");
	add(a, "-no-user-config");
	add(a, "-name");
	add(a, "%s", c->name);
	add(a, "-machine");
	add(a, "q35,accel=%s,memory-backend=ram%s", c->emulated ? "tcg" : "kvm",
	    nvdimm ? ",nvdimm=on" : "");
	if (c->phys_bits)
		snprintf(bits, sizeof(bits),
			 ",host-phys-bits=on,host-phys-bits-limit=%u",
			 c->phys_bits);
	if (c->vendor_id)
		snprintf(vendor, sizeof(vendor), ",hv-vendor-id=%s",
			 c->vendor_id);
	add(a, "-cpu");
	add(a, "%s%s%s%s%s%s",
	    c->cpu        ? c->cpu
	    : c->emulated ? "max"
			  : "host",
	    c->n_gpu && !c->emulated ? ",migratable=off" : "",
	    c->emulated ? "" : bits, c->topoext ? ",topoext=on" : "",
	    c->hide_kvm ? ",kvm=off" : "", vendor);
	add(a, "-smp");
	add(a, "%u,sockets=1,cores=%u,threads=%u", c->vcpus, c->vcpus / threads,
	    threads);
	add_memory(a, c);
	add(a, "-display");
	add(a, "none");
	add(a, "-nic");
	add(a, "none");
}

static void add_boot(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	const struct pst_vm_firmware *f = &c->firmware;
	const char *format = f->format[0] ? f->format : "raw";
	char path[2 * PATH_MAX];

	if (f->uefi) {
		add(a, "-drive");
		add(a, "if=pflash,unit=0,readonly=on,format=%s,file=%s", format,
		    quote(a, f->code, path));
		add(a, "-drive");
		add(a, "if=pflash,unit=1,format=%s,file=%s", format,
		    quote(a, f->vars, path));
	}
	if (c->kernel) {
		add(a, "-kernel");
		add(a, "%s", c->kernel);
	}
	if (c->initrd) {
		add(a, "-initrd");
		add(a, "%s", c->initrd);
	}
	if (c->append) {
		add(a, "-append");
		add(a, "%s", c->append);
	}
	if (!c->disk)
		return;
	add_blockdev(a, c);
	add(a, "-device");
	add(a, "virtio-blk-pci,drive=disk,bootindex=1");
}

static void add_gpu(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	char address[PST_HOST_PCI_ADDR_LEN], path[2 * PATH_MAX];
	uint32_t i;

	for (i = 0; i < c->n_gpu; i++) {
		pst_host_pci_addr_format(&c->gpu[i].addr, address);
		add(a, "-device");
		add(a, "pcie-root-port,id=port%u,chassis=%u,slot=%u,addr=0x%x",
		    i, i + 1, i + 1, FIRST_PORT + i);
		add(a, "-device");
		if (i == 0 && c->rom)
			add(a, "vfio-pci,host=%s,bus=port%u,romfile=%s",
			    address, i, quote(a, c->rom, path));
		else
			add(a, "vfio-pci,host=%s,bus=port%u", address, i);
	}
}

static void add_channels(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	char path[2 * PATH_MAX];

	if (c->vsock_socket) {
		pst_vm_argv_add_vhost_user(a, c);
	} else {
		add(a, "-device");
		add(a, "vhost-vsock-pci,guest-cid=%u", c->cid);
	}
	if (c->serial_log) {
		add(a, "-chardev");
		add(a, "file,id=serial,path=%s", quote(a, c->serial_log, path));
		add(a, "-serial");
		add(a, "chardev:serial");
		return;
	}
	add(a, "-serial");
	add(a, "mon:stdio");
}

int pst_vm_argv_qemu(const struct pst_vm_config *c, struct pst_vm_argv *ret,
		     struct pst_error *err)
{
	memset(ret, 0, sizeof(*ret));
	if (c->network)
		return pst_error_set(err, -EINVAL,
				     "--network is libvirt's; QEMU's own "
				     "networks are not written here");
	if (c->firmware.uefi && c->firmware.by_libvirt)
		return pst_error_set(err, -EINVAL,
				     "no OVMF was found; name it with "
				     "--firmware CODE:VARS, or --firmware "
				     "bios");
	add_machine(ret, c);
	add_boot(ret, c);
	add_gpu(ret, c);
	if (c->region.via == PST_VM_VIA_NVDIMM) {
		add_region_object(ret, c);
		add(ret, "-device");
		add(ret, "nvdimm,memdev=penstock-region");
	} else {
		pst_vm_argv_add_ivshmem(ret, c);
	}
	add_channels(ret, c);
	if (ret->failed)
		return pst_error_set(err, -ENOMEM,
				     "QEMU's command line does not fit");
	return 0;
}
