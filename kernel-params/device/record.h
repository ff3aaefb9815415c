/* SPDX-License-Identifier: MIT */
/* How functions were before a guest or a reset, and what is different after. */
#ifndef PST_KERNEL_PARAMS_DEVICE_RECORD_H
#define PST_KERNEL_PARAMS_DEVICE_RECORD_H

#include "kernel-params/check/finding.h"
#include "kernel-params/machine/card_state.h"

struct pst_host_fn_record {
	struct pst_host_pci_addr addr;
	uint16_t vendor, device;
	enum pst_host_power power;
	enum pst_host_answer answer;
	unsigned int width; /* lanes, 0: not seen */
	uint32_t identity, places;
	char methods[96]; /* "flr,bus", "-" for none, "?" not seen */
};

/* Functions of one guest, as many as it can be given. */
#define PST_HOST_RECORD_FN 32
/* Bytes of a record as text, its NUL counted. */
#define PST_HOST_RECORD_MAX 8192

struct pst_host_record {
	struct pst_host_fn_record fn[PST_HOST_RECORD_FN];
	size_t n;
};

/* Adds how a function is. False: the record is full. */
bool pst_host_record_add(struct pst_host_record *r,
			 const struct pst_host_fn_state *s);

/* As text, a line a function, and back; pure functions. The text is one that
 * anybody may have written. 0, -EMSGSIZE; -EPROTO. */
PST_MUST_USE int pst_host_record_format(const struct pst_host_record *r,
					char ret[PST_HOST_RECORD_MAX]);
PST_MUST_USE int pst_host_record_parse(const char *text,
				       struct pst_host_record *ret);

/*
 * Compares the functions of before with those that there are now, and adds
 * what is different to seen: "0000:01:00.0 has x8 lanes, and had x16". Whether
 * all of them are there and answer as they did; differences of the link and of
 * methods leave that true.
 */
bool pst_host_record_compare(const struct pst_host_record *before,
			     const struct pst_host_root *root,
			     const struct pst_host_pci *pci,
			     struct pst_host_text *seen);

#endif
