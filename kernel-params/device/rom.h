/* SPDX-License-Identifier: MIT */
/* Checks the images of a card's expansion ROM. */
#ifndef PST_KERNEL_PARAMS_DEVICE_ROM_H
#define PST_KERNEL_PARAMS_DEVICE_ROM_H

#include "kernel-params/check/finding.h"
#include "kernel-params/machine/pci.h"

/* Bytes of a ROM at most: more than any BAR of one has. */
#define PST_HOST_ROM_MAX (16U << 20)
/* Images of one ROM at most. */
#define PST_HOST_ROM_IMAGES 16

/* PCI Firmware specification, table 5-3: code types. */
enum {
	PST_HOST_ROM_X86 = 0,
	PST_HOST_ROM_OPEN_FIRMWARE = 1,
	PST_HOST_ROM_HPPA = 2,
	PST_HOST_ROM_EFI = 3,
};

struct pst_host_rom_image {
	size_t off, size; /* bytes in the ROM */
	unsigned int type;
	uint16_t vendor, device;
	uint16_t machine; /* of an EFI image: 0x8664 is x86-64 */
	bool last;
};

struct pst_host_rom {
	size_t size;
	size_t begin; /* of the first image; something else is before it */
	struct pst_host_rom_image image[PST_HOST_ROM_IMAGES];
	size_t n;
	size_t end; /* of the last image */
	bool efi;   /* one of them is UEFI's for x86-64 */
};

/* What a ROM is compared with: a card, or nothing (vendor 0). */
struct pst_host_rom_want {
	uint16_t vendor, device;
	bool shadow; /* it is the copy in memory that the firmware ran */
};

/*
 * Reads the chain of images, whatever the bytes are, and adds what is found,
 * as findings with the ids rom.signature, rom.ids, rom.images, rom.checksum,
 * rom.efi and rom.shadow. A pure function.
 */
void pst_host_rom_check(const uint8_t *bytes, size_t size,
			const struct pst_host_rom_want *want,
			struct pst_host_rom *ret,
			struct pst_host_findings *out);

/* "x86", "EFI", ..., "other". A static string. */
const char *pst_host_rom_type_name(unsigned int type);

/* Whether the kernel shows the copy that the firmware left in low memory
 * instead of the ROM (pci_fixup_video()). */
bool pst_host_rom_is_shadow(const struct pst_host_pci_dev *dev);

/*
 * Reads dev's ROM: has it shown, reads it, and has it hidden again, on failure
 * too. Of a copied tree, a file of that name is read. *ret is to be freed. 0,
 * or with a sentence: -ENOENT (it has none), -EIO (the kernel finds no image),
 * -EACCES, -EMSGSIZE, -ENOMEM.
 */
PST_MUST_USE int pst_host_rom_read(const struct pst_host_root *root,
				   const struct pst_host_pci_dev *dev,
				   uint8_t **ret, size_t *ret_size,
				   struct pst_error *err);

#endif
