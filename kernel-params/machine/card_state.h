/* SPDX-License-Identifier: MIT */
/* Reads how a card is just now: power, link, and whether it answers. */
#ifndef PST_KERNEL_PARAMS_MACHINE_CARD_STATE_H
#define PST_KERNEL_PARAMS_MACHINE_CARD_STATE_H

#include "kernel-params/machine/pci.h"

/* A PCIe link; 0: not seen. */
struct pst_host_link {
	unsigned int width, max_width; /* lanes, 1 to 32 */
	unsigned int speed, max_speed; /* MT/s, 8000 for "8.0 GT/s PCIe" */
};

enum pst_host_power {
	PST_HOST_POWER_UNSEEN,
	PST_HOST_POWER_D0,
	PST_HOST_POWER_D1,
	PST_HOST_POWER_D2,
	PST_HOST_POWER_D3HOT,
	PST_HOST_POWER_D3COLD,
};

/* "D0", "D3cold", ...; "" for UNSEEN. A static string. */
const char *pst_host_power_name(enum pst_host_power p);

/* What a function's configuration space says. */
enum pst_host_answer {
	PST_HOST_ANSWER_UNSEEN, /* not read, or too short */
	PST_HOST_ANSWER_YES,
	PST_HOST_ANSWER_LATER, /* it asks to be read again (PCIe, 2.3.2: CRS) */
	PST_HOST_ANSWER_NONE,  /* all ones, header type 7f: nothing is there */
};

/* The header's bytes that the enumeration does not change. */
#define PST_HOST_CONFIG_HEAD 64

struct pst_host_config {
	enum pst_host_answer answer;
	uint16_t vendor, device; /* both 0xffff of a virtual function */
	uint32_t identity;       /* sum of ids, class, header type, subsystem */
	uint32_t places;         /* sum of the base addresses */
};

/* Judges the first len bytes of configuration space; a pure function. */
void pst_host_config_parse(const void *bytes, size_t len,
			   struct pst_host_config *ret);

struct pst_host_fn_state {
	const struct pst_host_pci_dev *dev; /* borrowed */
	enum pst_host_power power;
	int d3cold_allowed; /* 1, 0, or -1: not seen */
	int stays_on;       /* power/control: on 1, auto 0, or -1: not seen */
	struct pst_host_link link;
	struct pst_host_config config;
};

struct pst_host_card_state {
	struct pst_host_fn_state fn[PST_HOST_PCI_MAX_FN];
	size_t n;
	const struct pst_host_pci_dev *port; /* above the card, or NULL */
	struct pst_host_link port_link;
};

/*
 * Reads all functions of dev's card. A function in D3cold is not asked for its
 * configuration space or its link, since reading them wakes it. ret borrows
 * from pci.
 */
void pst_host_card_state_read(const struct pst_host_root *root,
			      const struct pst_host_pci *pci,
			      const struct pst_host_pci_dev *dev,
			      struct pst_host_card_state *ret);

/* Reads one function; wake: also when that wakes it. */
void pst_host_fn_state_read(const struct pst_host_root *root,
			    const struct pst_host_pci_dev *dev, bool wake,
			    struct pst_host_fn_state *ret);

#endif
