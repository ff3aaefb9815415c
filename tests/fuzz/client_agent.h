/* SPDX-License-Identifier: MIT */
/* The agent that fuzz_client's library talks to: the real sessions over a
 * buffer, and a script that lies in their place. */
#ifndef PST_TESTS_FUZZ_CLIENT_AGENT_H
#define PST_TESTS_FUZZ_CLIENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of the input; both sides eat of it. */
struct script {
	const uint8_t *data;
	size_t n;
};

extern struct script script;
extern uint64_t fuzz_now_ns;

/* The next n bytes, zeros when they are not there. */
void script_take(void *ret, size_t n);
uint8_t script_u8(void);
uint16_t script_u16(void);

/* A fresh agent for one input. */
void agent_begin(void);
void agent_end(void);

/* What lies near the truth are made from. */
struct agent_sight {
	uint32_t seq;     /* of the client's last request */
	uint64_t cq_head; /* completions that it has taken */
	uint32_t lane;
	uint64_t tag; /* of one of its records */
};

/* The client: its side and the agent's have functions of the same name, so
 * neither sees the other's headers. */
struct agent_peer {
	/* False without a lane. */
	bool (*inspect)(unsigned int record, struct agent_sight *ret);
	/* Lets the library's thread end, or not. */
	void (*stop)(bool yes);
};

/* NULL: there is none. */
void agent_peer(const struct agent_peer *p);

/* The agent's turn: as the script says, and honest when that is over. */
void agent_turn(void);

/* The library's own thread checks the connection once. */
void agent_watch(void);

#endif
