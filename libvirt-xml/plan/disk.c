/* SPDX-License-Identifier: MIT */
/* Reads the format that a disk image's first bytes claim, and the files that
 * they name.
 */
#include "libvirt-xml/plan/disk.h"

#include <endian.h>
#include <string.h>

/* Header of qcow2 [QEMU: docs/interop/qcow2.txt], in big endian. */
#define QCOW2_VERSION      4U
#define QCOW2_BACKING_OFF  8U
#define QCOW2_BACKING_SIZE 16U
#define QCOW2_LEN_V2       72U
#define QCOW2_INCOMPATIBLE 72U
#define QCOW2_LEN_V3       104U
#define QCOW2_DATA_FILE    (1U << 2)

const char *pst_vm_disk_probe(const uint8_t *head, size_t n)
{
	/* QEMU's block/NAME.c, NAME_probe(). */
	static const struct {
		const char *name;
		size_t at;
		const char *magic;
		size_t len;
	} formats[] = {
		{"qcow2", 0, "QFI\xfb", 4},
		{"qed", 0, "QED\0", 4},
		{"vmdk", 0, "KDMV", 4},
		{"vmdk", 0, "COWD", 4},
		{"vmdk", 0, "# Disk DescriptorFile", 21},
		{"vdi", 64, "\x7f\x10\xda\xbe", 4},
		{"vhdx", 0, "vhdxfile", 8},
		{"vpc", 0, "conectix", 8},
		{"luks", 0, "LUKS\xba\xbe", 6},
		{"parallels", 0, "WithoutFreeSpace", 16},
		{"parallels", 0, "WithouFreSpacExt", 16},
		{"bochs", 0, "Bochs Virtual HD Image", 22},
		{"cloop", 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop", 37},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(formats); i++)
		if (n >= formats[i].at + formats[i].len &&
		    memcmp(head + formats[i].at, formats[i].magic,
			   formats[i].len) == 0)
			return formats[i].name;
	return NULL;
}

static uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

int pst_vm_qcow2_parse(const uint8_t *head, size_t n, struct pst_vm_qcow2 *ret)
{
	struct pst_vm_qcow2 q = {0};
	uint32_t version, len;
	uint64_t off;

	if (n < QCOW2_LEN_V2 || memcmp(head, "QFI\xfb", 4) != 0)
		return -EPROTO;
	version = be32(head + QCOW2_VERSION);
	if ((version != 2 && version != 3) ||
	    (version == 3 && n < QCOW2_LEN_V3))
		return -EPROTO;
	if (version == 3)
		q.has_data_file =
			be64(head + QCOW2_INCOMPATIBLE) & QCOW2_DATA_FILE;
	off = be64(head + QCOW2_BACKING_OFF);
	len = be32(head + QCOW2_BACKING_SIZE);
	if (off) {
		if (!len || len >= sizeof(q.backing) || off > n ||
		    len > n - off)
			return -EPROTO;
		memcpy(q.backing, head + off, len);
	}
	*ret = q;
	return 0;
}
