/* SPDX-License-Identifier: MIT */
/* ONNX Runtime's C interface, found at run time. */
#ifndef PST_GUEST_AGENT_RUNNER_ORT_H
#define PST_GUEST_AGENT_RUNNER_ORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Opaque structures of onnxruntime_c_api.h. */
struct ort_allocator;
struct ort_cuda_options;
struct ort_env;
struct ort_memory_info;
struct ort_run_options;
struct ort_session;
struct ort_session_options;
struct ort_shape_info;
struct ort_status;
struct ort_threading_options;
struct ort_type_info;
struct ort_value;

/* As OrtLoggingFunction. */
typedef void pst_runner_ort_log_fn(void *param, int severity,
				   const char *category, const char *id,
				   const char *where, const char *message);

/*
 * The slots of struct OrtApi that are used (onnxruntime_c_api.h, which only
 * appends): slot, type, our name, parameters. What returns a status returns
 * NULL on success.
 */
/* clang-format off */
#define PST_ORT_SLOTS(X)                                                       \
	X(1, int, error_code, (const struct ort_status *))                     \
	X(2, const char *, error_message, (const struct ort_status *))         \
	X(8, struct ort_status *, create_session,                              \
	  (const struct ort_env *, const void *model, size_t n,                \
	   const struct ort_session_options *, struct ort_session **))         \
	X(9, struct ort_status *, run,                                         \
	  (struct ort_session *, const struct ort_run_options *,               \
	   const char *const *in_names, const struct ort_value *const *in,     \
	   size_t n_in, const char *const *out_names, size_t n_out,            \
	   struct ort_value **out))                                            \
	X(10, struct ort_status *, create_session_options,                     \
	  (struct ort_session_options **))                                     \
	X(30, struct ort_status *, input_count,                                \
	  (const struct ort_session *, size_t *))                              \
	X(31, struct ort_status *, output_count,                               \
	  (const struct ort_session *, size_t *))                              \
	X(33, struct ort_status *, input_type,                                 \
	  (const struct ort_session *, size_t, struct ort_type_info **))       \
	X(34, struct ort_status *, output_type,                                \
	  (const struct ort_session *, size_t, struct ort_type_info **))       \
	X(36, struct ort_status *, input_name,                                 \
	  (const struct ort_session *, size_t, struct ort_allocator *,         \
	   char **))                                                           \
	X(37, struct ort_status *, output_name,                                \
	  (const struct ort_session *, size_t, struct ort_allocator *,         \
	   char **))                                                           \
	X(39, struct ort_status *, create_run_options,                         \
	  (struct ort_run_options **))                                         \
	X(46, struct ort_status *, set_terminate, (struct ort_run_options *))  \
	X(47, struct ort_status *, unset_terminate,                            \
	  (struct ort_run_options *))                                          \
	X(49, struct ort_status *, create_tensor,                              \
	  (const struct ort_memory_info *, void *data, size_t size,            \
	   const int64_t *dim, size_t rank, int elem, struct ort_value **))    \
	X(51, struct ort_status *, tensor_data, (struct ort_value *, void **)) \
	X(55, struct ort_status *, cast_tensor_info,                           \
	  (const struct ort_type_info *, const struct ort_shape_info **))      \
	X(56, struct ort_status *, type_of,                                    \
	  (const struct ort_type_info *, int *))                               \
	X(60, struct ort_status *, shape_elem,                                 \
	  (const struct ort_shape_info *, int *))                              \
	X(61, struct ort_status *, shape_rank,                                 \
	  (const struct ort_shape_info *, size_t *))                           \
	X(62, struct ort_status *, shape_dims,                                 \
	  (const struct ort_shape_info *, int64_t *, size_t))                  \
	X(63, struct ort_status *, shape_symbols,                              \
	  (const struct ort_shape_info *, const char **, size_t))              \
	X(65, struct ort_status *, tensor_shape,                               \
	  (const struct ort_value *, struct ort_shape_info **))                \
	X(69, struct ort_status *, create_cpu_memory_info,                     \
	  (int allocator, int mem_type, struct ort_memory_info **))            \
	X(76, struct ort_status *, allocator_free,                             \
	  (struct ort_allocator *, void *))                                    \
	X(78, struct ort_status *, default_allocator,                          \
	  (struct ort_allocator **))                                           \
	X(93, void, release_status, (struct ort_status *))                     \
	X(95, void, release_session, (struct ort_session *))                   \
	X(96, void, release_value, (struct ort_value *))                       \
	X(98, void, release_type_info, (struct ort_type_info *))               \
	X(99, void, release_shape_info, (struct ort_shape_info *))             \
	X(100, void, release_session_options, (struct ort_session_options *))  \
	X(120, struct ort_status *, disable_session_threads,                   \
	  (struct ort_session_options *))                                      \
	X(121, struct ort_status *, create_threading_options,                  \
	  (struct ort_threading_options **))                                   \
	X(122, void, release_threading_options,                                \
	  (struct ort_threading_options *))                                    \
	X(130, struct ort_status *, add_config,                                \
	  (struct ort_session_options *, const char *key, const char *value))  \
	X(147, struct ort_status *, set_intra_threads,                         \
	  (struct ort_threading_options *, int))                               \
	X(148, struct ort_status *, set_inter_threads,                         \
	  (struct ort_threading_options *, int))                               \
	X(149, struct ort_status *, set_spin,                                  \
	  (struct ort_threading_options *, int))                               \
	X(151, struct ort_status *, create_env,                                \
	  (pst_runner_ort_log_fn *, void *param, int severity, const char *id,        \
	   const struct ort_threading_options *, struct ort_env **))           \
	X(204, struct ort_status *, append_cuda,                               \
	  (struct ort_session_options *, const struct ort_cuda_options *))     \
	X(205, struct ort_status *, create_cuda_options,                       \
	  (struct ort_cuda_options **))                                        \
	X(206, struct ort_status *, update_cuda_options,                       \
	  (struct ort_cuda_options *, const char *const *keys,                 \
	   const char *const *values, size_t n))                               \
	X(208, void, release_cuda_options, (struct ort_cuda_options *))

/* Those of version 18 of the interface; NULL in an older library. */
#define PST_ORT_SLOTS_18(X)                                                    \
	X(279, struct ort_status *, add_external_files,                        \
	  (struct ort_session_options *, const char *const *names,             \
	   char *const *data, const size_t *sizes, size_t n))

struct pst_runner_ort {
	void *library;
	const char *version; /* the library's text, "1.30.0" */
	uint32_t api;	     /* version of the interface that was taken */
	struct ort_env *env;
	struct ort_allocator *allocator;
	struct ort_memory_info *cpu;
	/* Whether CUDA can be had; why not, or what is not the best of it. */
	bool cuda;
	struct pst_error cuda_note;
	uint32_t gpu;        /* CUDA's number of the card */
	uint64_t gpu_memory; /* of each model there; 0: no bound */
#define PST_ORT_MEMBER(slot, type, name, params) type (*name) params;
	PST_ORT_SLOTS(PST_ORT_MEMBER)
	PST_ORT_SLOTS_18(PST_ORT_MEMBER)
#undef PST_ORT_MEMBER
};
/* clang-format on */

/*
 * Opens a library by its name or path, or, with "", the newest of those that
 * the loader finds, and starts the threads that its sessions share: threads - 1
 * of them. Version 1.16 or newer. Returns 0, or with a sentence: -ENOENT (none
 * is there), -ENOTSUP (too old), -EIO. There is one in a process, for ever.
 */
PST_MUST_USE int pst_runner_ort_open(struct pst_runner_ort *ort,
				     const char *library, uint32_t threads,
				     struct pst_error *err);

/*
 * Turns a status into an error and releases it. Returns 0 for NULL, else
 * -EINVAL (an argument or the model is wrong), -ENOTSUP (not implemented) or
 * -EIO, with what and the library's words as the sentence.
 */
PST_MUST_USE int pst_runner_ort_check(const struct pst_runner_ort *ort,
				      struct ort_status *status,
				      const char *what, struct pst_error *err);

#endif
