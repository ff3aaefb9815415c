/* SPDX-License-Identifier: MIT */
/* What tests may ask of the cpu backend beyond struct pst_backend_ops. */
#ifndef PST_GUEST_AGENT_CPU_BACKEND_CPU_H
#define PST_GUEST_AGENT_CPU_BACKEND_CPU_H

#include <stdint.h>

#include "guest-agent/exec/backend.h"

/* Sets the length that a step aims at, 10 ms otherwise. */
void pst_backend_cpu_set_slice(struct pst_backend *b, uint64_t slice_ns);

#endif
