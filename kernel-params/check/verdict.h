/* SPDX-License-Identifier: MIT */
/* Decides whether a card may go to a guest: the rules of check, plan and vm. */
#ifndef PST_KERNEL_PARAMS_CHECK_VERDICT_H
#define PST_KERNEL_PARAMS_CHECK_VERDICT_H

#include "kernel-params/scan/host.h"

/* The sentence that refuses the card of dev, which names --i-know, for a use
 * other than PST_HOST_CARD_FREE. Returns -EBUSY. */
int pst_host_card_use_refuse(const struct pst_host_card_use *use,
			     const struct pst_host_pci_dev *dev,
			     struct pst_error *err);

/* Why nothing can be passed through below Xen, and what to do. */
#define PST_HOST_DOM0                                                          \
	"this kernel runs as Xen's dom0, where there is neither VFIO nor KVM"
#define PST_HOST_DOM0_FIX                                                      \
	"boot the entry without Xen (Xen's own guests get a card by "          \
	"xen-pciback, and no Penstock)"

/* What else is in the IOMMU groups of the chosen card. */
enum pst_host_group_state {
	PST_HOST_GROUP_OFF,   /* there are no groups: the IOMMU is off */
	PST_HOST_GROUP_NONE,  /* a function of the card is in none */
	PST_HOST_GROUP_ALONE, /* nothing but bridges, which stay */
	PST_HOST_GROUP_IDLE,  /* others that no driver of the host has */
	PST_HOST_GROUP_HELD,  /* others that it has and can do without */
	PST_HOST_GROUP_VITAL, /* others that it needs */
};

#define PST_HOST_GROUP_MAX 256

struct pst_host_group {
	enum pst_host_group_state state;
	const struct pst_host_pci_dev
		*fn; /* that makes it so: NONE, HELD, VITAL */
	/* All of it by address, bridges and the card's own functions too. */
	const struct pst_host_pci_dev *member[PST_HOST_GROUP_MAX];
	size_t n;
};

/* Judges the groups of h->gpu, which is not NULL. */
void pst_host_group_judge(const struct pst_host *h, struct pst_host_group *ret);

/* The sentence that refuses h->gpu for a function that the host needs. Returns
 * -EBUSY. */
int pst_host_group_refuse(const struct pst_host *h,
			  const struct pst_host_pci_dev *fn,
			  struct pst_error *err);

/* Whether guest and region leave the host memory enough, an eighth of it. */
enum pst_host_room_state {
	PST_HOST_ROOM_ENOUGH, /* or the memory is not known */
	PST_HOST_ROOM_LITTLE,
	PST_HOST_ROOM_NONE, /* they take more than there is */
};

struct pst_host_room {
	enum pst_host_room_state state;
	uint64_t total;  /* of what limits */
	uint64_t others; /* of it, what others take */
	char where[32];  /* that is, "this host" or "NUMA node 1" */
	char why[PST_HOST_CLAIM_TEXT]; /* the others, "" if there are none */
};

/* Judges bytes that have to lie on a node (-1: on any), beside the claims of
 * others. */
void pst_host_room_judge(const struct pst_host *h,
			 const struct pst_host_claims *claims, int node,
			 uint64_t bytes, struct pst_host_room *ret);

/* Whether a framebuffer of the firmware lies in the memory of the card. */
enum pst_host_fb_state {
	PST_HOST_FB_NONE,      /* there is none any more */
	PST_HOST_FB_ELSEWHERE, /* not in the card */
	PST_HOST_FB_UNSEEN, /* it may: what would tell is not there, or root's
			     */
	PST_HOST_FB_ON_CARD,
};

/* What keeps Linux from taking the firmware's framebuffer. */
#define PST_HOST_NO_SYSFB                                                      \
	"initcall_blacklist=sysfb_init on the command line "                   \
	"(video=efifb:off before Linux 5.15)"

/* What to do instead where that is on the command line already. */
#define PST_HOST_FB_OTHERWISE                                                  \
	"boot on another card (the firmware's setup), or unbind it before "    \
	"the guest starts: echo simple-framebuffer.0 "                         \
	">/sys/bus/platform/drivers/simple-framebuffer/unbind "                \
	"(efi-framebuffer.0 of efi-framebuffer before Linux 5.15)"

/* Whether it is. */
bool pst_host_fb_is_off(const struct pst_host *h);

struct pst_host_fb {
	enum pst_host_fb_state state;
	const char *name; /* of the framebuffer, "" for none */
	/* ON_CARD: the function and, where it was seen, range and BAR. */
	const struct pst_host_pci_dev *fn;
	const struct pst_host_fb_range *range;
	unsigned int bar;
};

/* Judges all functions of h->gpu, which is not NULL. */
void pst_host_fb_judge(const struct pst_host *h, struct pst_host_fb *ret);

/* The function of h->gpu's card that the firmware shows its picture by, or
 * NULL. */
const struct pst_host_pci_dev *pst_host_boot_function(const struct pst_host *h);

/* The n-th (from 0) display card other than the chosen one, or NULL. */
const struct pst_host_pci_dev *pst_host_other_display(const struct pst_host *h,
						      size_t n);

#endif
