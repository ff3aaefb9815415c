/* SPDX-License-Identifier: MIT */
/* Common declarations of the files of ort/. */
#ifndef PST_GUEST_AGENT_ORT_ORT_INT_H
#define PST_GUEST_AGENT_ORT_ORT_INT_H

#include <sys/types.h>

#include "guest-agent/ort/ort.h"
#include "guest-agent/runner/runner.h"
#include "transport/wire.h"

enum pst_ort_process_state {
	PST_ORT_NONE,     /* no process */
	PST_ORT_STARTING, /* START was sent */
	PST_ORT_RUNNING,
	PST_ORT_DYING, /* it was killed, and may still write */
};

/* The runner's process. Descriptors are -1 where there is none. */
struct pst_ort_process {
	enum pst_ort_process_state state;
	pid_t pid;
	int socket;
	uint64_t since_ns;   /* when it was started */
	uint64_t restart_ns; /* not before */
	uint64_t pause_ns;   /* before the next start; doubles */
	bool blamed;         /* about says why it was killed */
	bool greeted;        /* it was RUNNING */
	pid_t tid;           /* of the thread that computes calls */
	int cpu;             /* that it was told to stay on; -1: none */
};

struct pst_ort_entry {
	struct pst_ort_model model; /* id 0: free */
	uint32_t n_files;
	uint32_t provider; /* that is wanted */
	struct pst_ort_file file[PST_RUNNER_FILES];
	/* Of the last run: those of the next load's first ones. */
	struct pst_runner_shape warm[PST_RUNNER_IO];
	uint64_t since_ns; /* LOADING: when it was asked for */
	bool was_ready;
	unsigned int n_lost; /* loads in a row that the process ended in */
};

/* The call that the runner has. */
struct pst_ort_flight {
	struct pst_backend_op *bop; /* NULL: nothing, or given up */
	uint64_t number;            /* of the mailbox; 0: the runner has none */
	uint64_t since_ns;
	uint64_t due_ns;    /* its deadline, UINT64_MAX: none */
	uint64_t cancel_ns; /* 0: it goes on */
};

struct pst_ort {
	struct pst_ort_config config;
	struct pst_ort_process process;
	int epoll, door, bell, stop;
	int mailbox_fd;
	struct pst_runner_mailbox *mailbox;
	uint64_t n_calls; /* put into the mailbox */
	uint64_t last_id;
	uint32_t n_places; /* of entries: those behind are free */
	char about[PST_RUNNER_TEXT];
	struct pst_ort_flight flight;
	unsigned int
		n_queued; /* begun, not yet with the runner; oldest first */
	struct pst_backend_op *queue[PST_WIRE_MAX_LANES];
	struct pst_ort_entry *entries; /* config.max_models */
};

/* ---- process.c: the process and its socket ---- */

/* Starts it. Returns 0, -errno with a sentence. */
int pst_ort_process_start(struct pst_ort *o, struct pst_error *err);

/* Ends it at once; it may write until pst_ort_process_reap(). why: for about;
 * NULL: it has ended by itself. */
void pst_ort_process_kill(struct pst_ort *o, const char *why);

/* Whether a killed process is no more, so that nothing of it can write; about
 * then says why. Never blocks. */
bool pst_ort_process_reap(struct pst_ort *o);

/* Sends a message with descriptors. Returns 0, -errno. */
int pst_ort_process_send(const struct pst_ort *o, const void *message,
			 size_t size, const int *fds, unsigned int n_fds);

/* ---- call.c: the device ---- */

/* The process has ended: its call is over. */
void pst_ort_calls_lost(struct pst_ort *o);

/* Ends the runner's call if its time is over. Returns the time of the next
 * such thing. */
uint64_t pst_ort_calls_tick(struct pst_ort *o, uint64_t now_ns);

/* ---- table.c: the models ---- */

struct pst_ort_entry *pst_ort_entry_find(const struct pst_ort *o, uint64_t id);

static inline uint64_t pst_ort_now(const struct pst_ort *o)
{
	return o->config.clock();
}

#endif
