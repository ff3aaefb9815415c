/* SPDX-License-Identifier: MIT */
/* An agent in a thread of the test that misbehaves as the test wants. */
#ifndef PST_TESTS_FAKE_AGENT_H
#define PST_TESTS_FAKE_AGENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/frame.h"
#include "transport/region/region.h"
#include "transport/ring.h"

/*
 * It serves one client at a time on a Unix socket and passes its memfd. NOP
 * and CHECKSUM do nothing, FILL sets bytes, GEMM adds 1 to the first byte of
 * c. Fields without an atomic type are set before fake_open().
 */
struct fake {
	/* Each may change what is about to be sent, be it to nonsense. */
	void (*challenge)(struct pst_wire_challenge *p);
	void (*welcome)(struct pst_frame *f, struct pst_wire_welcome *p);
	void (*_Atomic lease)(struct pst_frame *f, struct pst_wire_lease *p);
	void (*_Atomic tensor)(struct pst_frame *f, struct pst_wire_tensor *p);
	void (*_Atomic reply)(struct pst_frame *f);
	void (*_Atomic complete)(struct pst_wire_cqe *cqe);
	/* Bytes sent in place of CHALLENGE. */
	const void *greeting;
	size_t greeting_n;
	bool no_fd;

	atomic_bool frozen;  /* no heartbeat, no service */
	atomic_bool hold;    /* heartbeat, but no operation completes */
	atomic_bool mute;    /* requests are read and not answered */
	atomic_bool no_read; /* nothing is read, the heartbeat goes on */
	atomic_bool hang_up; /* closes the connection, once */
	/* Once: answers what it holds (unless mute) and reads no more from its
	 * socket, so that the client's sends fail and nothing else tells. */
	atomic_bool deafen;
	atomic_uint sessions, leases, releases, cancels, wakes, taken, byes;
	atomic_uint whys, tensors, destroys;
	_Atomic(const char *) why; /* WHY's sentence; NULL: ENOENT */
	/* Bytes sent once in the middle of a session, then set to NULL. */
	_Atomic(const void *) inject;
	size_t inject_n;

	/* Its own. */
	char path[64];
	char uri[96];
	struct pst_region region;
	uint64_t epoch;
	int listener, conn;
	struct pst_lane_agent lane;
	struct pst_wire_sqe held[PST_WIRE_SLOTS];
	unsigned int n_held;
	bool has_lane, deaf;
	uint64_t next_off;
	uint8_t rx[PST_WIRE_MAX_PAYLOAD + sizeof(struct pst_wire_frame)];
	size_t rx_n;
	atomic_bool stop;
	pthread_t thread;
};

/* Starts it; asserts on failure. f is static, as large as it is. */
void fake_open(struct fake *f);
/* Ends it: the connection closes, as when an agent dies. */
void fake_close(struct fake *f);
/* A new epoch on the same region, as another agent would write it. */
void fake_reformat(struct fake *f);

#endif
