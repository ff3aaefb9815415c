/* SPDX-License-Identifier: MIT */
/* Reads how a card is just now: power, link, and whether it answers. */
#include "kernel-params/machine/card_state.h"

#include <string.h>
#include <unistd.h>

static const char *const powers[] = {
	[PST_HOST_POWER_UNSEEN] = "",     [PST_HOST_POWER_D0] = "D0",
	[PST_HOST_POWER_D1] = "D1",       [PST_HOST_POWER_D2] = "D2",
	[PST_HOST_POWER_D3HOT] = "D3hot", [PST_HOST_POWER_D3COLD] = "D3cold",
};

const char *pst_host_power_name(enum pst_host_power p)
{
	return powers[p];
}

static int attr(const struct pst_host_root *root,
		const struct pst_host_pci_dev *dev, const char *name, char *buf,
		size_t size)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	int r = pst_host_path(path, "%s/%s", dev->path, name);

	if (r == 0)
		r = pst_host_root_read_text(root, path, buf, size);
	if (r < 0)
		*buf = '\0';
	return r;
}

static enum pst_host_power read_power(const struct pst_host_root *root,
				      const struct pst_host_pci_dev *dev)
{
	char text[16];
	int p;

	if (attr(root, dev, "power_state", text, sizeof(text)) > 0)
		for (p = PST_HOST_POWER_D0; p <= PST_HOST_POWER_D3COLD; p++)
			if (strcmp(text, powers[p]) == 0)
				return (enum pst_host_power)p;
	return PST_HOST_POWER_UNSEEN;
}

/* 1 and 0 for the two words, -1 for anything else. */
static int read_word(const struct pst_host_root *root,
		     const struct pst_host_pci_dev *dev, const char *name,
		     const char *yes, const char *no)
{
	char text[16];

	if (attr(root, dev, name, text, sizeof(text)) <= 0)
		return -1;
	return strcmp(text, yes) == 0 ? 1 : strcmp(text, no) == 0 ? 0 : -1;
}

/* Lanes; what sleeps shows 63, and later kernels 0. */
static unsigned int read_width(const struct pst_host_root *root,
			       const struct pst_host_pci_dev *dev,
			       const char *name)
{
	char text[16];
	uint64_t v;

	if (attr(root, dev, name, text, sizeof(text)) <= 0 ||
	    pst_parse_u64(text, 1, 32, &v) < 0)
		return 0;
	return (unsigned int)v;
}

/* "8.0 GT/s PCIe", "2.5 GT/s" of older kernels, or "Unknown". */
static unsigned int read_speed(const struct pst_host_root *root,
			       const struct pst_host_pci_dev *dev,
			       const char *name)
{
	unsigned int whole, tenths;
	char text[32];
	int end = 0;

	if (attr(root, dev, name, text, sizeof(text)) <= 0 ||
	    strspn(text, "0123456789") > 3 || *text < '0' || *text > '9' ||
	    sscanf(text, "%3u.%1u GT/s%n", &whole, &tenths, &end) != 2 || !end)
		return 0;
	return whole * 1000 + tenths * 100;
}

static void read_link(const struct pst_host_root *root,
		      const struct pst_host_pci_dev *dev,
		      struct pst_host_link *ret)
{
	*ret = (struct pst_host_link){
		.width = read_width(root, dev, "current_link_width"),
		.max_width = read_width(root, dev, "max_link_width"),
		.speed = read_speed(root, dev, "current_link_speed"),
		.max_speed = read_speed(root, dev, "max_link_speed"),
	};
}

/* FNV-1a. */
static uint32_t sum(uint32_t h, const uint8_t *p, size_t n)
{
	for (; n > 0; n--)
		h = (h ^ *p++) * 16777619U;
	return h;
}

#define SUM_BEGIN 2166136261U

void pst_host_config_parse(const void *bytes, size_t len,
			   struct pst_host_config *ret)
{
	/* PCI Local Bus specification, 6.1: offset and length. */
	static const struct {
		uint8_t off, n;
	} parts[] = {{0x00, 4}, {0x08, 4}, {0x0e, 1}, {0x2c, 4}, {0x34, 1}};
	const uint8_t *p = bytes;
	uint8_t rom[4];
	size_t i;

	*ret = (struct pst_host_config){.answer = PST_HOST_ANSWER_UNSEEN};
	if (len < PST_HOST_CONFIG_HEAD)
		return;
	ret->vendor = (uint16_t)(p[0] | p[1] << 8);
	ret->device = (uint16_t)(p[2] | p[3] << 8);
	if ((p[0x0e] & 0x7f) == 0x7f) {
		ret->answer = ret->vendor == 0x0001 ? PST_HOST_ANSWER_LATER
						    : PST_HOST_ANSWER_NONE;
		return;
	}
	ret->answer = PST_HOST_ANSWER_YES;
	ret->identity = SUM_BEGIN;
	for (i = 0; i < PST_ARRAY_SIZE(parts); i++)
		ret->identity =
			sum(ret->identity, p + parts[i].off, parts[i].n);
	/* The ROM's lowest bit only says that it is shown. */
	memcpy(rom, p + 0x30, sizeof(rom));
	rom[0] &= (uint8_t)~1U;
	ret->places = sum(sum(SUM_BEGIN, p + 0x10, 24), rom, sizeof(rom));
}

static void read_config(const struct pst_host_root *root,
			const struct pst_host_pci_dev *dev,
			struct pst_host_config *ret)
{
	uint8_t bytes[PST_HOST_CONFIG_HEAD];
	char path[PST_HOST_ROOT_PATH_MAX];
	PST_CLEANUP_FD int fd = -1;
	ssize_t len = 0;

	/* No more than the header: what lies behind may not like it. */
	if (pst_host_path(path, "%s/config", dev->path) == 0)
		fd = pst_host_root_open_file(root, path);
	if (fd >= 0)
		len = read(fd, bytes, sizeof(bytes));
	pst_host_config_parse(bytes, len > 0 ? (size_t)len : 0, ret);
}

void pst_host_fn_state_read(const struct pst_host_root *root,
			    const struct pst_host_pci_dev *dev, bool wake,
			    struct pst_host_fn_state *ret)
{
	*ret = (struct pst_host_fn_state){
		.dev = dev,
		.power = read_power(root, dev),
		.d3cold_allowed =
			read_word(root, dev, "d3cold_allowed", "1", "0"),
		.stays_on = read_word(root, dev, "power/control", "on", "auto"),
	};
	if (ret->power == PST_HOST_POWER_D3COLD && !wake)
		return;
	read_config(root, dev, &ret->config);
	read_link(root, dev, &ret->link);
}

void pst_host_card_state_read(const struct pst_host_root *root,
			      const struct pst_host_pci *pci,
			      const struct pst_host_pci_dev *dev,
			      struct pst_host_card_state *ret)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t i, n = pst_host_pci_card(pci, dev, fn);

	*ret = (struct pst_host_card_state){
		.n = n,
		.port = pst_host_pci_port(pci, dev),
	};
	for (i = 0; i < n; i++)
		pst_host_fn_state_read(root, fn[i], false, &ret->fn[i]);
	if (ret->port)
		read_link(root, ret->port, &ret->port_link);
}
