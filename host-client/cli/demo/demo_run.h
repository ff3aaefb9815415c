/* SPDX-License-Identifier: MIT */
/* The options of "penstock demo", and its entry points. */
#ifndef PST_HOST_CLIENT_CLI_DEMO_DEMO_RUN_H
#define PST_HOST_CLIENT_CLI_DEMO_DEMO_RUN_H

#include "host-client/cli/cmd.h"
#include "host-client/cli/demo/demo.h"

struct pst_demo_options {
	uint64_t n;     /* of square matrices, when a is NULL */
	uint32_t dtype; /* enum pst_dtype of those matrices */
	const char *a;  /* .npy files, both or none */
	const char *b;
	uint64_t region_size; /* bytes at least; 0: by the matrices */
	uint64_t timeout_ns;  /* until the agent answers */
	enum pst_demo_accel accel;
	enum pst_vm_via via; /* ivshmem or nvdimm */
	const char *append;  /* further kernel words, or NULL */
	const char *vad;     /* a model file: the other demo; or NULL */
	bool debug_console;
	bool no_vm;
	bool keep;
};

/* Runs a demo. Returns an enum pst_exit: OK only if the product was verified.
 * Dies of SIGINT, SIGTERM or SIGHUP after cleaning up. */
int pst_demo_run(const struct pst_cmd_ctx *ctx,
		 const struct pst_demo_options *o);

/* Has the agent of the endpoint, a private one without any, hear where somebody
 * speaks in a sound that is made here; file is Silero VAD's. Returns an enum
 * pst_exit: OK only if it was heard there. */
int pst_demo_vad(const struct pst_cmd_ctx *ctx, const char *file);

/* Ends the demo whose state directory is dir, NULL: all kept ones. */
int pst_demo_stop(const struct pst_cmd_ctx *ctx, const char *dir);

#endif
