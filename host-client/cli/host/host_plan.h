/* SPDX-License-Identifier: MIT */
/* Common to penstock host plan, apply, verify and undo. */
#ifndef PST_HOST_CLIENT_CLI_HOST_HOST_PLAN_H
#define PST_HOST_CLIENT_CLI_HOST_HOST_PLAN_H

#include "host-client/cli/cmd.h"
#include "kernel-params/plan/plan.h"

enum {
	PST_OPT_GPU = PST_OPT_OWN,
	PST_OPT_REGION,
	PST_OPT_VM_MEMORY,
	PST_OPT_ISOLATE,
	PST_OPT_FOR,
	PST_OPT_I_KNOW,
	PST_OPT_ROOT,
	PST_OPT_KEEP_EDITED,
};

/* The options of plan and apply. */
extern const struct pst_cmd_opt pst_cmd_host_plan_opts[];

/* The options of a request, for a command's table. */
#define PST_CMD_HOST_PLAN_OPTS                                                 \
	{PST_OPT_GPU, "gpu", "ADDR",                                           \
	 "PCI address of the card, or auto [auto]"},                           \
		{PST_OPT_REGION, "region", "S",                                \
		 "hugepages for a region of that size, such as 4G [0]"},       \
		{PST_OPT_VM_MEMORY, "vm-memory", "S",                          \
		 "hugepages for a VM's memory, such as 16G [0]"},              \
		{PST_OPT_ISOLATE, "isolate-cpus", "LIST",                      \
		 "keep the host's tasks off these CPUs, such as 2-5,8"},       \
	{                                                                      \
		PST_OPT_FOR, "for", "LIST",                                    \
			"only these, with commas: grub, systemd-boot, "        \
			"modprobe,\nmkinitcpio, dracut, initramfs-tools, "     \
			"sysctl, tmpfiles,\nudev, nixos; auto: what the host " \
			"has [auto]"                                           \
	}
#define PST_CMD_HOST_ROOT_OPT                                                  \
	{                                                                      \
		PST_OPT_ROOT, "root", "DIR",                                   \
			"the host's files are below DIR [/]"                   \
	}

/* One run of such a command. */
struct pst_cmd_host_job {
	const struct pst_cmd_ctx *ctx;
	const char *root_dir;
	struct pst_host_plan_request request;
	bool has_request; /* an option gave a part of it */
	bool keep_edited; /* of undo */
	struct pst_host_root root;
	struct pst_host_journal journal;
	char *text;                 /* of the journal's request */
	struct pst_host *host;      /* NULL: not read yet */
	struct pst_host_plan *plan; /* NULL: none yet */
};

enum {
	PST_CMD_HOST_JOB_WRITE = 1U << 0, /* the journal is to be changed */
	PST_CMD_HOST_JOB_PLAN = 1U << 1,
	PST_CMD_HOST_JOB_LOOK_ONLY = 1U << 2, /* a plan that refuses nothing */
};

/*
 * Reads the options, opens root and journal, plans what the options say or,
 * without any, what the last apply did, and calls run. Prints failures. Returns
 * what run does, or another exit code.
 */
int pst_cmd_host_job_run(const struct pst_cmd_ctx *ctx, int argc, char **argv,
			 unsigned int flags,
			 int (*run)(struct pst_cmd_host_job *job));

/* {"files": [...], "commands": [...], "notes": [...], ...} of the plan, to be
 * completed. NULL: out of memory. */
json_t *pst_cmd_host_job_json(const struct pst_cmd_host_job *job);

/* A list of lines as JSON. NULL: out of memory. */
json_t *pst_cmd_host_lines_json(const struct pst_host_lines *lines);

/* That no file has to change, and whether all is done then. */
void pst_cmd_host_print_unchanged(const struct pst_host_plan *p);

/* "Then run:" and the commands, if there are any. */
void pst_cmd_host_print_commands(const struct pst_host_lines *commands);

#endif
