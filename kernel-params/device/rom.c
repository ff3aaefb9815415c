/* SPDX-License-Identifier: MIT */
/* Checks the images of a card's expansion ROM. */
#include "kernel-params/device/rom.h"

#include <string.h>

/* Images begin, and their sizes count, by these bytes. */
#define UNIT 512U
/* A header's pointer to the PCIR structure, and what is used of that. */
#define PCIR_POINTER 0x18U
#define PCIR_LEN     0x18U
/* UEFI specification, 14.4.2.1: signature and size of the EFI header. */
#define EFI_SIGNATURE 0x0ef1U
#define EFI_X86_64    0x8664U

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static bool is_image(const uint8_t *p, size_t left)
{
	return left >= PCIR_POINTER + 2 && p[0] == 0x55 && p[1] == 0xaa;
}

const char *pst_host_rom_type_name(unsigned int type)
{
	static const char *const names[] = {"x86", "Open Firmware", "HP PA",
					    "EFI"};

	return type < PST_ARRAY_SIZE(names) ? names[type] : "other";
}

/* Why the image at off cannot be read, or NULL. */
static const char *read_image(const uint8_t *rom, size_t size, size_t off,
			      struct pst_host_rom_image *ret)
{
	const uint8_t *p = rom + off, *pcir;
	size_t left = size - off, at;

	if (!is_image(p, left))
		return "has no signature 55 AA";
	at = u16(p + PCIR_POINTER);
	if (at < PCIR_POINTER + 2 || at > left || left - at < PCIR_LEN)
		return "has its PCIR outside of it";
	pcir = p + at;
	if (memcmp(pcir, "PCIR", 4) != 0)
		return "has no PCIR structure";
	*ret = (struct pst_host_rom_image){
		.off = off,
		.size = (size_t)u16(pcir + 0x10) * UNIT,
		.type = pcir[0x14],
		.vendor = u16(pcir + 4),
		.device = u16(pcir + 6),
		.last = pcir[0x15] & 0x80,
	};
	if (ret->type == PST_HOST_ROM_EFI &&
	    (u16(p + 4) == EFI_SIGNATURE && u16(p + 6) == 0))
		ret->machine = u16(p + 0x0a);
	if (!ret->size)
		return "has the size 0";
	if (ret->size > left)
		return "is longer than the ROM";
	/* It may not be another image's. */
	if (at + PCIR_LEN > ret->size)
		return "has its PCIR outside of it";
	return NULL;
}

/* PCI Firmware specification, 5.1.2: revision 3 may list more devices. */
static bool lists(const uint8_t *rom, const struct pst_host_rom_image *im,
		  uint16_t device)
{
	const uint8_t *p = rom + im->off;
	size_t pcir = u16(p + PCIR_POINTER), at = u16(p + pcir + 8);

	if (im->device == device)
		return true;
	if (p[pcir + 0x0c] < 3 || !at)
		return false;
	for (at += pcir; at + 2 <= im->size && u16(p + at); at += 2)
		if (u16(p + at) == device)
			return true;
	return false;
}

/* Of x86 images only: all bytes of what the BIOS loads add up to 0. */
static bool adds_up(const uint8_t *rom, const struct pst_host_rom_image *im)
{
	const uint8_t *p = rom + im->off;
	size_t i, n = p[2] * UNIT;
	uint8_t sum = 0;

	if (!n || n > im->size)
		n = im->size;
	for (i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum == 0;
}

/* ---- Findings ------------------------------------------------------------ */

static void begin(struct pst_host_findings *out, const char *id,
		  const char *why)
{
	out->id = id;
	out->why = why;
}

static void find_begin(const uint8_t *rom, struct pst_host_rom *r,
		       struct pst_host_findings *out)
{
	bool vendors = r->size >= 4 && memcmp(rom, "NVGI", 4) == 0;
	size_t off;

	begin(out, "rom.signature",
	      "a guest's firmware looks for 55 AA at the beginning");
	for (off = 0; off < r->size; off += UNIT) {
		struct pst_host_rom_image im;

		if (!read_image(rom, r->size, off, &im))
			break;
	}
	r->begin = off < r->size ? off : r->size;
	if (r->begin == 0 && r->size)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "55 AA");
	else if (r->begin < r->size)
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"read the ROM by penstock host rom on the host; do not "
			"cut the file by hand",
			"the first image begins at byte %zu, behind %s",
			r->begin,
			vendors ? "the header of NVIDIA's flash tools"
				: "something else");
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"read it while another card is the boot display and no "
			"guest has the card",
			"no image in %zu bytes%s", r->size,
			r->size && rom[0] == 0xff ? ", which begin with FF"
						  : "");
}

static void find_images(const uint8_t *rom, struct pst_host_rom *r,
			struct pst_host_findings *out)
{
	struct pst_host_text seen = {0};
	const char *why = NULL;
	size_t off = r->begin;

	begin(out, "rom.images", "the chain ends with the image marked last");
	while (r->n < PST_HOST_ROM_IMAGES) {
		struct pst_host_rom_image *im = &r->image[r->n];

		if (off >= r->size) {
			why = "is missing: none is marked last";
			break;
		}
		why = read_image(rom, r->size, off, im);
		if (why)
			break;
		pst_host_text_add(&seen, "%s%s %04x:%04x, %zu bytes",
				  r->n ? "; " : "",
				  pst_host_rom_type_name(im->type), im->vendor,
				  im->device, im->size);
		r->efi |= im->machine == EFI_X86_64;
		off += im->size;
		r->n++;
		if (im->last)
			break;
	}
	r->end = off;
	if (why)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"compare with a second reading; a file that was cut "
			"off is of no use",
			"%s; image %zu at byte %zu %s", seen.buf, r->n, off,
			why);
	else if (!r->image[r->n - 1].last)
		pst_host_finding_add(
			out, PST_HOST_WARN, "this is no ROM of a card",
			"more than %d images", PST_HOST_ROM_IMAGES);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
}

static void find_ids(const uint8_t *rom, const struct pst_host_rom *r,
		     const struct pst_host_rom_want *want,
		     struct pst_host_findings *out)
{
	size_t i;

	begin(out, "rom.ids", "a ROM of another model does not start the card");
	if (!want->vendor)
		return;
	for (i = 0; i < r->n; i++)
		if (r->image[i].vendor != want->vendor ||
		    !lists(rom, &r->image[i], want->device))
			break;
	if (i == r->n)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%04x:%04x, the card's", want->vendor,
				     want->device);
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"use the ROM of this very card, not one of a "
			"collection",
			"image %zu is for %04x:%04x, the card is %04x:%04x", i,
			r->image[i].vendor, r->image[i].device, want->vendor,
			want->device);
}

static void find_sums(const uint8_t *rom, const struct pst_host_rom *r,
		      const struct pst_host_rom_want *want,
		      struct pst_host_findings *out)
{
	size_t i, n = 0;

	begin(out, "rom.checksum",
	      "SeaBIOS does not run an image whose bytes do not add up to 0");
	for (i = 0; i < r->n; i++) {
		if (r->image[i].type != PST_HOST_ROM_X86)
			continue;
		n++;
		if (adds_up(rom, &r->image[i]))
			continue;
		pst_host_finding_add(
			out, PST_HOST_WARN,
			want->shadow
				? "read it while another card is the boot "
				  "display: the BIOS writes into its copy"
				: "read it again; never repair the sum by hand",
			"the bytes of image %zu do not add up to 0", i);
		return;
	}
	if (n)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "the bytes of the x86 image add up to 0");
}

static void find_efi(const struct pst_host_rom *r,
		     struct pst_host_findings *out)
{
	begin(out, "rom.efi", "OVMF runs UEFI images alone");
	if (r->efi)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "an image for UEFI on x86-64");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"a guest for computing does without; one that boots "
			"with a picture needs SeaBIOS (--firmware bios)",
			"no image for UEFI on x86-64");
}

void pst_host_rom_check(const uint8_t *bytes, size_t size,
			const struct pst_host_rom_want *want,
			struct pst_host_rom *ret, struct pst_host_findings *out)
{
	*ret = (struct pst_host_rom){.size = size};
	find_begin(bytes, ret, out);
	if (ret->begin < size) {
		find_images(bytes, ret, out);
		find_ids(bytes, ret, want, out);
		find_sums(bytes, ret, want, out);
		find_efi(ret, out);
	}
	begin(out, "rom.shadow",
	      "the firmware changes its copy of the boot display's ROM");
	if (want->shadow)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"make another card the boot display in the firmware's "
			"setup, and read it again",
			"this is the copy in memory that the firmware ran, not "
			"the ROM");
}
