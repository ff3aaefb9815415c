/* SPDX-License-Identifier: MIT */
/* A real penstock-agent on a region file, for tests that kill it. */
#ifndef PST_TESTS_AGENT_PROC_H
#define PST_TESTS_AGENT_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct agent_proc {
	char region[64]; /* in /dev/shm */
	char socket[64];
	char log[64];
	char uri[160];
	uint64_t size;
	uint8_t *file; /* the whole region file, mapped by the test */
	pid_t pid;
	/* Further options, borrowed; for the next agent_start(). */
	const char *extra[6];
};

/* The agent's program of this build. */
const char *agent_program(void);

/* Creates the region and starts an agent on it; asserts on failure. */
void agent_open(struct agent_proc *a, uint64_t size);
/* Starts it again on the same region. */
void agent_start(struct agent_proc *a);
/* SIGKILL, and reaps it. */
void agent_kill(struct agent_proc *a);
/* Kills it and removes all files. */
void agent_close(struct agent_proc *a);

/* Kilobytes of anonymous memory of a process, which the region is not. */
uint64_t anon_kb(pid_t pid);

/* A number in a JSON text, the first after "name":. */
uint64_t json_number(const char *json, const char *name);

#endif
