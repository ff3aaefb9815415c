/* SPDX-License-Identifier: MIT */
/* The random bytes by which a client proves that it maps the region. */
#include "guest-agent/serve/state/nonces.h"

#include <assert.h>
#include <string.h>

#include "transport/shm.h"

static_assert(PST_WIRE_NONCE_SLOTS <= 32, "a bit a slot");

int pst_agent_nonces_acquire(struct pst_agent_nonces *n,
			     uint8_t ret[PST_WIRE_NONCE_SIZE])
{
	struct pst_agent_nonce *nonce;
	uint32_t i;
	int r;

	for (i = 0; i < PST_WIRE_NONCE_SLOTS; i++)
		if (!(n->used >> i & 1))
			break;
	if (i == PST_WIRE_NONCE_SLOTS) {
		i = n->last;
		nonce = &n->nonces[i];
	} else {
		nonce = &n->nonces[i];
		r = pst_random(nonce->bytes, sizeof(nonce->bytes));
		if (r < 0)
			return r;
		pst_shm_write(n->slots[i].bytes, nonce->bytes,
			      sizeof(nonce->bytes));
		/* Before CHALLENGE names the slot; the socket orders the
		 * rest. */
		pst_shm_store_fence();
		n->used |= 1U << i;
		n->last = i;
	}
	nonce->n_users++;
	memcpy(ret, nonce->bytes, sizeof(nonce->bytes));
	return (int)i;
}

void pst_agent_nonces_release(struct pst_agent_nonces *n, uint32_t slot)
{
	static const struct pst_wire_nonce zero;

	if (--n->nonces[slot].n_users > 0)
		return;
	pst_shm_write(&n->slots[slot], &zero, sizeof(zero));
	n->nonces[slot] = (struct pst_agent_nonce){0};
	n->used &= ~(1U << slot);
}
