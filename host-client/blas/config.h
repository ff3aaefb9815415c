/* SPDX-License-Identifier: MIT */
/* What the environment says: PENSTOCK_BLAS and its relatives. */
#ifndef PST_HOST_CLIENT_BLAS_CONFIG_H
#define PST_HOST_CLIENT_BLAS_CONFIG_H

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>

#include "host-client/blas/call.h"

enum pst_blas_mode {
	PST_BLAS_OFF,   /* everything goes to the next BLAS */
	PST_BLAS_AUTO,  /* what pays goes to the agent */
	PST_BLAS_FORCE, /* all from min on goes to the agent */
};

struct pst_blas_config {
	enum pst_blas_mode mode;
	bool trace, stats;
	bool resident;      /* operands that come again stay there */
	double min;         /* terms; below it nothing is offloaded */
	bool has_min;       /* the environment says so */
	int64_t block;      /* of level 3 but GEMM; 0: by size */
	uint32_t compute;   /* enum pst_compute */
	char endpoint[256]; /* "": none */
};

/* Read at the first call. A program with more rights than its user (setuid)
 * gets PST_BLAS_OFF. */
const struct pst_blas_config *pst_blas_config(void);

/* Numbers of this thread have points, whatever the program has chosen, until
 * uselocale() of what is returned. */
locale_t pst_blas_plain_numbers(void);

/* A line to $PENSTOCK_BLAS_LOG or stderr. pst_blas_trace() only with
 * PENSTOCK_BLAS=trace. */
void pst_blas_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void pst_blas_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
