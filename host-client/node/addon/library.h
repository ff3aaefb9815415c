/* SPDX-License-Identifier: MIT */
/* libpenstock, found when the addon is loaded, so that one addon serves every
 * version that has these functions. */
#ifndef PST_NODE_LIBRARY_H
#define PST_NODE_LIBRARY_H

#include <stddef.h>

#include "host-client/penstock.h"

/* clang-format off */
#define PST_NODE_FUNCTIONS(X) \
	X(pst_version) X(pst_strerror) X(pst_open) X(pst_close) \
	X(pst_last_error) X(pst_get_info) X(pst_check) X(pst_query) \
	X(pst_ping) X(pst_alloc) X(pst_free) X(pst_gemm) X(pst_submit_gemm) \
	X(pst_submit_nop) X(pst_infer) X(pst_submit_infer) X(pst_poll) \
	X(pst_cancel) X(pst_failure) X(pst_fd) X(pst_arm) X(pst_model_load) \
	X(pst_model_open) X(pst_model_unload) X(pst_model_list) \
	X(pst_model_info) X(pst_run) X(pst_take)
/* clang-format on */

struct pst_node_library {
#define X(name) __typeof__(name) *name;
	PST_NODE_FUNCTIONS(X)
#undef X
};

/* The functions; valid after pst_node_library_load() has succeeded. */
extern struct pst_node_library pst_node;

/*
 * Loads the library from path, or libpenstock.so.0 where the loader looks if
 * path is NULL. Once a process: later calls, from any thread, have its result.
 * Returns 0, or -1 with a sentence in text (size bytes).
 */
int pst_node_library_load(const char *path, char *text, size_t size);

#endif
