/* SPDX-License-Identifier: MIT */
/* Decides how a card is best reset and kept awake: the rules of check, plan and
 * reset. */
#ifndef PST_KERNEL_PARAMS_CHECK_RESET_H
#define PST_KERNEL_PARAMS_CHECK_RESET_H

#include "kernel-params/machine/card_state.h"

/*
 * Whether this function's chip does not come back from a function-level reset:
 * GB202, device ids 2b80 to 2bff. Linux knows 2b85, 2b87 and 2b8c of them
 * (quirk_no_flr).
 */
bool pst_host_reset_flr_fails(const struct pst_host_pci_dev *dev);

/* Whether a method ("flr", "bus") is one of the function's. */
bool pst_host_reset_has(const struct pst_host_pci_dev *dev, const char *method);

/*
 * Whether the bus resets more than this function. Then the kernel refuses
 * "bus" for it alone, though reset_method still shows it of function 0, which
 * was alone when it was found. Of a whole card, vfio-pci resets the bus by
 * itself when its last function is closed and no method of the function's has
 * worked.
 */
bool pst_host_reset_shares_bus(const struct pst_host_pci *pci,
			       const struct pst_host_pci_dev *dev);

/* The function that decides how its card is reset: the first display, or dev.
 */
const struct pst_host_pci_dev *
pst_host_reset_main(const struct pst_host_card_state *card,
		    const struct pst_host_pci_dev *dev);

/*
 * Whether D3cold should be forbidden to a card: one that cannot be reset
 * without losing its bus, or whose FLR fails. What is not seen to be allowed or
 * forbidden cannot be.
 */
bool pst_host_reset_wants_awake(const struct pst_host_card_state *card,
				const struct pst_host_pci_dev *main);

#endif
