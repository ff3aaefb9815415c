/* SPDX-License-Identifier: MIT */
/* Each thread's last error on each of a few connections, by their number. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_LAST_ERROR_H
#define PST_HOST_CLIENT_LIB_PLAIN_LAST_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"

/* Keeps the sentence of a call that failed with r. Returns r; r >= 0 does
 * nothing. Without a sentence in err the phrase of r is kept. */
int pst_last_error_set(uint64_t id, int r, const struct pst_error *err);

/* The call that failed last may have written to C; and whether it may. What is
 * not remembered may have. */
void pst_last_error_touch(uint64_t id);
bool pst_last_error_touched(uint64_t id);

/* The sentence; "" when none is remembered. */
const char *pst_last_error_text(uint64_t id);

#endif
