/* SPDX-License-Identifier: MIT */
/*
 * The addon's objects. JavaScript above it (../js/index.cjs) is trusted to keep
 * the calling conventions, since nobody else can reach these functions; numbers
 * that name memory are checked all the same.
 *
 * Every function returns a number, negative if it failed (-errno), or what its
 * comment says; text() has the sentence then. Functions that take a callback
 * call it once with (number, sentence, result).
 */
#ifndef PST_NODE_ADDON_H
#define PST_NODE_ADDON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAPI_VERSION 8
#include <node_api.h>
#include <uv.h>

#include "host-client/node/addon/library.h"

#define PST_NODE_TEXT 512

/* Numbers that JavaScript and C share, so that a call has few arguments. The
 * same names are in ../js/index.cjs. */
enum {
	PST_NODE_DTYPE,
	PST_NODE_ORDER,
	PST_NODE_TRANSA,
	PST_NODE_TRANSB,
	PST_NODE_M,
	PST_NODE_N,
	PST_NODE_K,
	PST_NODE_LDA,
	PST_NODE_LDB,
	PST_NODE_LDC,
	PST_NODE_ALPHA,
	PST_NODE_BETA,
	PST_NODE_DTYPE_C,
	PST_NODE_COMPUTE,
	PST_NODE_ACT,
	PST_NODE_BATCH,
	PST_NODE_STRIDE_A,
	PST_NODE_STRIDE_B,
	PST_NODE_STRIDE_C,
	/* Of each operand: the buffer, or -1, and bytes from its start. */
	PST_NODE_A,
	PST_NODE_B = PST_NODE_A + 2,
	PST_NODE_C = PST_NODE_B + 2,
	PST_NODE_BIAS = PST_NODE_C + 2,
	PST_NODE_TIMEOUT = PST_NODE_BIAS + 2, /* ms */
	PST_NODE_ARGS = 32,
	/* Of each completion: slot, status, compute_ns, queue_ns. */
	PST_NODE_DONE = PST_NODE_ARGS,
	PST_NODE_DONE_MAX = 64,
	PST_NODE_SHARED = PST_NODE_DONE + 4 * PST_NODE_DONE_MAX,
};

/* One JavaScript environment: the main thread, or a worker. */
struct pst_node_env {
	uv_loop_t *loop;
	double *shared;
	char text[PST_NODE_TEXT];
	struct pst_node_conn *conns;
	napi_async_cleanup_hook_handle hook; /* set while it is ending */
	unsigned int refs;                   /* its own and one a connection */
};

struct pst_node_buffer;

/* Operands of a call. */
#define PST_NODE_OPERANDS 4

/* A connection. */
struct pst_node_conn {
	struct pst_node_env *env;
	struct pst_node_conn *next;
	struct pst *c;     /* NULL after pst_close() */
	bool open;         /* until close(), or the handle is collected */
	bool handle_alive; /* JavaScript has its handle */
	unsigned int uses; /* being open, handles, calls of threads, buffers */
	unsigned int uv_handles;
	uv_poll_t poll;
	uv_prepare_t prepare;
	uv_idle_t idle;
	napi_env js;
	napi_async_context context;
	napi_ref deliver; /* function (n): n completions are shared */
	uint32_t outstanding;
	uint64_t *tags; /* by slot */
	uint32_t n_tags;
	struct pst_node_buffer **buffers; /* by number; NULL: free */
	uint32_t n_buffers;
};

/* Memory of the region that JavaScript has as an external ArrayBuffer. */
struct pst_node_buffer {
	struct pst_node_conn *conn;
	void *ptr;
	size_t size;
	uint32_t number;
	uint32_t users;  /* calls of threads that use it */
	uint32_t queued; /* operations that wait in JavaScript for a slot */
	bool given_back; /* as soon as nothing uses it */
	bool collected;  /* its last ArrayBuffer is gone */
	napi_ref weak;   /* to the ArrayBuffer */
};

/* ---- value.c ---- */
napi_value pst_node_number(napi_env env, double x);
/* The n arguments of a call; missing ones are undefined. */
void pst_node_arguments(napi_env env, napi_callback_info info, size_t n,
			napi_value *args);
/* -1 for what is no number. */
double pst_node_double(napi_env env, napi_value v);
/* A copy as malloc() makes it; NULL for what is no string. */
char *pst_node_string(napi_env env, napi_value v);

/* ---- conn.c ---- */
struct pst_node_env *pst_node_env(napi_env env);
void pst_node_env_unref(struct pst_node_env *e);
/* The connection of a handle; NULL for none that is open. */
struct pst_node_conn *pst_node_conn(napi_env env, napi_value handle);
/* Keeps the sentence of a failed call of this thread, and returns rc. */
int pst_node_failed(struct pst_node_conn *conn, int rc);
void pst_node_use(struct pst_node_conn *conn);
/* The last one closes the connection. */
void pst_node_unuse(struct pst_node_conn *conn);
/* Frees a connection that nobody has any more. */
void pst_node_destroy(struct pst_node_conn *conn);
/* Makes room for slot. */
int pst_node_slot(struct pst_node_conn *conn, double slot);

/* ---- buffer.c, above conn.c ---- */
void pst_node_detach_all(struct pst_node_conn *conn);
/* Nothing that waits in JavaScript will be submitted any more. */
void pst_node_drop_queued(struct pst_node_conn *conn);
/* The address of off bytes into a buffer; NULL where there is no such. */
void *pst_node_address(struct pst_node_conn *conn, double number, double off);
/* The buffers of the shared operands have a user more, until it is released.
 * For calls that submit several operations; pst_free() knows of a submitted
 * one. */
void pst_node_hold(struct pst_node_conn *conn, struct pst_node_buffer **ret);
void pst_node_release(struct pst_node_buffer *const *uses);
/* The buffer of any connection that p lies in has a user more; NULL if there is
 * no such. */
struct pst_node_buffer *pst_node_lend(struct pst_node_env *e, const void *p);
napi_value pst_node_alloc(napi_env env, napi_callback_info info);
napi_value pst_node_queued(napi_env env, napi_callback_info info);
napi_value pst_node_free(napi_env env, napi_callback_info info);

/* ---- loop.c, above buffer.c ---- */
/* Watches the descriptor of an opened connection. */
int pst_node_watch(struct pst_node_conn *conn);
/* Stops the connection; buffers are detached if detach is set. */
void pst_node_stop(struct pst_node_conn *conn, bool detach);
/* Notes an operation, submitted as slot. */
void pst_node_submitted(struct pst_node_conn *conn, uint32_t slot,
			uint64_t tag);
/* Ends all connections of an environment that ends; then its hook. */
void pst_node_end_env(napi_async_cleanup_hook_handle hook, void *env);

/* ---- open.c ---- */
napi_value pst_node_open(napi_env env, napi_callback_info info);
napi_value pst_node_close(napi_env env, napi_callback_info info);
napi_value pst_node_check(napi_env env, napi_callback_info info);
napi_value pst_node_cancel(napi_env env, napi_callback_info info);

/* ---- operation.c ---- */
/* The shared numbers as arguments; operands of buffers only. */
int pst_node_gemm_args(struct pst_node_conn *conn, struct pst_gemm_args *g);
napi_value pst_node_gemm(napi_env env, napi_callback_info info);
napi_value pst_node_infer(napi_env env, napi_callback_info info);
napi_value pst_node_nop(napi_env env, napi_callback_info info);

/* ---- work.c, above operation.c ---- */
napi_value pst_node_query(napi_env env, napi_callback_info info);
napi_value pst_node_ping(napi_env env, napi_callback_info info);
napi_value pst_node_failure(napi_env env, napi_callback_info info);
napi_value pst_node_gemm_any(napi_env env, napi_callback_info info);
napi_value pst_node_infer_any(napi_env env, napi_callback_info info);
napi_value pst_node_model(napi_env env, napi_callback_info info);

/* ---- run.c, above work.c ---- */
napi_value pst_node_describe(napi_env env, napi_callback_info info);
napi_value pst_node_run(napi_env env, napi_callback_info info);

#endif
