/* SPDX-License-Identifier: MIT */
/* The device-DAX information block that makes an nvdimm a /dev/daxX.Y. */
#ifndef PST_TRANSPORT_REGION_DAXBLOCK_H
#define PST_TRANSPORT_REGION_DAXBLOCK_H

#include <stdint.h>

/* Where the block lies in a region's file, and its size. */
#define PST_DAXBLOCK_OFFSET 4096U
#define PST_DAXBLOCK_SIZE   4096U

/*
 * Makes the block for a region's file of file_size bytes, a pure function:
 * data from PST_WIRE_PREAMBLE to the end of the file, in 2 MiB pages, page
 * structures in RAM. A guest kernel that finds it in an nvdimm without labels
 * shows device-DAX at its first boot, without a tool. uuid identifies the
 * block; parent_uuid is zero, as an nvdimm without labels has none.
 *
 * Source: Linux, drivers/nvdimm/pfn.h (struct nd_pfn_sb, minor version 4),
 * pfn_devs.c (what nd_pfn_validate() wants and nd_pfn_init() writes), claim.c
 * (nd_sb_checksum() is Fletcher's checksum over little-endian 32-bit words
 * with sums of 32 and 64 bits, its own field as zero). All fields are
 * little-endian.
 */
void pst_daxblock_make(uint64_t file_size, const uint8_t uuid[16],
		       uint8_t ret[PST_DAXBLOCK_SIZE]);

#endif
