/* SPDX-License-Identifier: MIT */
/* The random bytes by which a client proves that it maps the region. */
#ifndef PST_GUEST_AGENT_SERVE_NONCES_H
#define PST_GUEST_AGENT_SERVE_NONCES_H

#include "transport/base/util.h"
#include "transport/wire.h"

/* A slot's bytes, and how many connections it was named to. */
struct pst_agent_nonce {
	unsigned int n_users;
	uint8_t bytes[PST_WIRE_NONCE_SIZE];
};

struct pst_agent_nonces {
	struct pst_wire_nonce *slots; /* the region header's */
	uint32_t used;                /* bit a slot */
	uint32_t last;                /* filled last */
	struct pst_agent_nonce nonces[PST_WIRE_NONCE_SLOTS];
};

/*
 * A slot filled with random bytes, which also go to ret. A free one; when there
 * is none, the one that was filled last, as it is: the bytes prove that their
 * reader maps the region, and are sent to nobody. Since only that one gets new
 * users, another is free once its users are gone, and no bytes stay longer than
 * two handshakes may take. Returns its index, -errno of getrandom.
 */
PST_MUST_USE int pst_agent_nonces_acquire(struct pst_agent_nonces *n,
					  uint8_t ret[PST_WIRE_NONCE_SIZE]);

/* One user less; the last one wipes the slot. */
void pst_agent_nonces_release(struct pst_agent_nonces *n, uint32_t slot);

#endif
