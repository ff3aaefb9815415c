/* SPDX-License-Identifier: MIT */
/* The connections that this process has open. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_REGISTRY_H
#define PST_HOST_CLIENT_LIB_SESSION_REGISTRY_H

struct pst;

/* c was opened; it is about to be closed. Without its lock. */
void pst_registry_add(struct pst *c);
void pst_registry_remove(struct pst *c);

#endif
