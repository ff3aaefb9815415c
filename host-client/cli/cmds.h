/* SPDX-License-Identifier: MIT */
/* All subcommands: each is defined in the file of its name. */
#ifndef PST_HOST_CLIENT_CLI_CMDS_H
#define PST_HOST_CLIENT_CLI_CMDS_H

#include "host-client/cli/cmd.h"

extern const struct pst_cmd pst_cmd_bench;
extern const struct pst_cmd pst_cmd_blas;
extern const struct pst_cmd pst_cmd_completion;
extern const struct pst_cmd pst_cmd_demo;
extern const struct pst_cmd pst_cmd_gemm;
extern const struct pst_cmd pst_cmd_health;
extern const struct pst_cmd pst_cmd_help;
extern const struct pst_cmd pst_cmd_host;
extern const struct pst_cmd pst_cmd_infer;
extern const struct pst_cmd pst_cmd_info;
extern const struct pst_cmd pst_cmd_metrics;
extern const struct pst_cmd pst_cmd_model;
/* Whether name can be a model's; prints the usage error itself. */
bool pst_cmd_arg_model(const struct pst_cmd_ctx *ctx, const char *name);
/* Completion of a loaded model's name. */
void pst_cmd_model_names(const struct pst_cmd_ctx *ctx, const char *uri,
			 const char *typed);
extern const struct pst_cmd pst_cmd_ping;
extern const struct pst_cmd pst_cmd_run;
extern const struct pst_cmd pst_cmd_vm;

/* blas/ */
extern const struct pst_cmd pst_cmd_blas_run;
extern const struct pst_cmd pst_cmd_blas_tune;
extern const struct pst_cmd pst_cmd_blas_why;

/* host/ */
extern const struct pst_cmd pst_cmd_host_apply;
extern const struct pst_cmd pst_cmd_host_check;
extern const struct pst_cmd pst_cmd_host_gpu_reset;
extern const struct pst_cmd pst_cmd_host_plan;
extern const struct pst_cmd pst_cmd_host_region_create;
extern const struct pst_cmd pst_cmd_host_report;
extern const struct pst_cmd pst_cmd_host_rom;
extern const struct pst_cmd pst_cmd_host_undo;
extern const struct pst_cmd pst_cmd_host_verify;

/* vm/ */
extern const struct pst_cmd pst_cmd_vm_autostart;
extern const struct pst_cmd pst_cmd_vm_console;
extern const struct pst_cmd pst_cmd_vm_define;
extern const struct pst_cmd pst_cmd_vm_list;
extern const struct pst_cmd pst_cmd_vm_patch;
extern const struct pst_cmd pst_cmd_vm_start;
extern const struct pst_cmd pst_cmd_vm_status;
extern const struct pst_cmd pst_cmd_vm_stop;
extern const struct pst_cmd pst_cmd_vm_undefine;
extern const struct pst_cmd pst_cmd_vm_xml;

#endif
