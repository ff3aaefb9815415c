/* SPDX-License-Identifier: MIT */
/* Keeps another's library from printing to stderr. */
#ifndef PST_TRANSPORT_BASE_QUIET_H
#define PST_TRANSPORT_BASE_QUIET_H

/* From here to pst_quiet_end() what the process prints to stderr is lost.
 * Returns what that call takes. */
int pst_quiet_begin(void);
void pst_quiet_end(int saved);

#endif
