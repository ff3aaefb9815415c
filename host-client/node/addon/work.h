/* SPDX-License-Identifier: MIT */
/* A call that waits, in a thread of the event loop's pool. */
#ifndef PST_NODE_WORK_H
#define PST_NODE_WORK_H

#include "host-client/node/addon/addon.h"

#define PST_NODE_KEPT PST_NODE_OPERANDS

/* The first member of what a call needs besides. */
struct pst_node_work {
	napi_async_work work;
	struct pst_node_conn *conn;
	int (*run)(struct pst_node_work *w); /* in the thread */
	/* In JavaScript's thread afterwards; NULL: see work.c. result may set
	 * rc. end gives back what the call had besides. */
	napi_value (*result)(napi_env env, struct pst_node_work *w);
	void (*end)(struct pst_node_work *w);
	napi_ref callback;
	napi_ref kept[PST_NODE_KEPT]; /* what must not be collected */
	struct pst_node_buffer *uses[PST_NODE_OPERANDS];
	/* Buffers that typed arrays lie in, perhaps of other connections. */
	struct pst_node_buffer *lent[PST_NODE_KEPT];
	int rc;
	char text[PST_NODE_TEXT];
	uint64_t timeout_ns;
};

/* A call of a connection, size bytes; NULL, with *ret_rc set, if it cannot be
 * made. */
struct pst_node_work *pst_node_work_begin(napi_env env, napi_value handle,
					  size_t size,
					  int (*f)(struct pst_node_work *w),
					  int *ret_rc);

/* Gives it to the pool. */
napi_value pst_node_work_start(napi_env env, struct pst_node_work *w,
			       napi_value callback);

/* Frees a call that was not started. */
void pst_node_work_drop(napi_env env, struct pst_node_work *w);

#endif
