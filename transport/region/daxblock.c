/* SPDX-License-Identifier: MIT */
/* Writes the device-DAX information block of Linux' nvdimm drivers. */
#include "transport/region/daxblock.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "transport/wire.h"

#define SIGNATURE     "NVDIMM_DAX_INFO"
#define VERSION_MAJOR 1
#define VERSION_MINOR 4
/* enum nd_pfn_mode: page structures in RAM, not in the device. */
#define MODE_RAM 1
#define PAGE     4096U
/* MAX_STRUCT_PAGE_SIZE; read only where the device holds the structures. */
#define PAGE_STRUCT 64

struct block {
	char signature[16];
	uint8_t uuid[16];
	uint8_t parent_uuid[16];
	uint32_t flags;
	uint16_t version_major;
	uint16_t version_minor;
	uint64_t data_off; /* bytes from the device's begin */
	uint64_t n_pages;
	uint32_t mode;
	uint32_t start_pad;
	uint32_t end_trunc;
	uint32_t align;
	uint32_t page_size;
	uint16_t page_struct_size;
	uint8_t padding[3994];
	uint64_t checksum;
};
static_assert(sizeof(struct block) == PST_DAXBLOCK_SIZE, "one page");
static_assert(sizeof(SIGNATURE) == 16, "with its NUL");
static_assert(offsetof(struct block, data_off) == 56, "as the kernel's");
static_assert(offsetof(struct block, page_struct_size) == 92,
	      "as the kernel's");
static_assert(offsetof(struct block, checksum) == 4088, "the last word");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as on the wire");

static uint64_t checksum(const struct block *b)
{
	const uint8_t *p = (const uint8_t *)b;
	uint64_t hi = 0;
	uint32_t lo = 0, word;
	size_t i;

	for (i = 0; i < sizeof(*b); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		lo += word;
		hi += lo;
	}
	return hi << 32 | lo;
}

void pst_daxblock_make(uint64_t file_size, const uint8_t uuid[16],
		       uint8_t ret[PST_DAXBLOCK_SIZE])
{
	struct block b = {
		.signature = SIGNATURE,
		.version_major = VERSION_MAJOR,
		.version_minor = VERSION_MINOR,
		.data_off = PST_WIRE_PREAMBLE,
		.n_pages = (file_size - PST_WIRE_PREAMBLE) / PAGE,
		.mode = MODE_RAM,
		.align = PST_WIRE_UNIT,
		.page_size = PAGE,
		.page_struct_size = PAGE_STRUCT,
	};

	memcpy(b.uuid, uuid, sizeof(b.uuid));
	b.checksum = checksum(&b);
	memcpy(ret, &b, sizeof(b));
}
