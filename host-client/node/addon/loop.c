/* SPDX-License-Identifier: MIT */
/*
 * Completions from the event loop: before the loop sleeps it looks for
 * completions and arms the descriptor, which wakes it.
 *
 * A process with nothing outstanding ends by itself: the handle of the
 * descriptor is referenced only while something is.
 */
#include <errno.h>

#include "host-client/node/addon/addon.h"

/* So many times a turn of the loop are completions delivered; then it looks
 * after others. */
#define ROUNDS 8

static void end_hook(struct pst_node_env *e)
{
	struct pst_node_conn *conn;

	if (!e->hook)
		return;
	for (conn = e->conns; conn; conn = conn->next)
		if (conn->uv_handles)
			return;
	napi_remove_async_cleanup_hook(e->hook);
	e->hook = NULL;
}

static void handle_closed(uv_handle_t *handle)
{
	struct pst_node_conn *conn = handle->data;
	struct pst_node_env *e = conn->env;

	if (--conn->uv_handles)
		return;
	e->refs++;
	pst_node_unuse(conn);
	end_hook(e);
	pst_node_env_unref(e);
}

void pst_node_stop(struct pst_node_conn *conn, bool detach)
{
	if (!conn->open)
		return;
	conn->open = false;
	pst_node_drop_queued(conn);
	if (detach)
		pst_node_detach_all(conn);
	uv_poll_stop(&conn->poll);
	uv_close((uv_handle_t *)&conn->poll, handle_closed);
	uv_close((uv_handle_t *)&conn->prepare, handle_closed);
	uv_close((uv_handle_t *)&conn->idle, handle_closed);
	napi_delete_reference(conn->js, conn->deliver);
	napi_async_destroy(conn->js, conn->context);
	pst_node_unuse(conn);
}

void pst_node_end_env(napi_async_cleanup_hook_handle hook, void *env)
{
	struct pst_node_env *e = env;
	struct pst_node_conn *conn;

	e->hook = hook;
	e->refs++;
	for (conn = e->conns; conn; conn = conn->next) {
		/* Only a use by itself would let the list change here. */
		pst_node_use(conn);
		pst_node_stop(conn, true);
		conn->uses--;
	}
	end_hook(e);
	pst_node_env_unref(e);
}

/* ---- Completions --------------------------------------------------------- */

/* Calls deliver(n). What it runs may close the connection. */
static void call_deliver(struct pst_node_conn *conn, int n)
{
	napi_env env = conn->js;
	napi_handle_scope scope;
	napi_value f, global, arg, ignored;
	bool thrown = false;

	if (napi_open_handle_scope(env, &scope) != napi_ok)
		return;
	if (napi_get_reference_value(env, conn->deliver, &f) == napi_ok &&
	    napi_get_global(env, &global) == napi_ok &&
	    napi_create_int32(env, n, &arg) == napi_ok)
		napi_make_callback(env, conn->context, global, f, 1, &arg,
				   &ignored);
	napi_is_exception_pending(env, &thrown);
	if (thrown && napi_get_and_clear_last_exception(env, &arg) == napi_ok)
		napi_fatal_exception(env, arg);
	napi_close_handle_scope(env, scope);
}

/* Delivers what has completed; returns how many. */
static int reap(struct pst_node_conn *conn)
{
	struct pst_completion done[PST_NODE_DONE_MAX];
	double *out = conn->env->shared + PST_NODE_DONE;
	int i, n = pst_node.pst_poll(conn->c, done, PST_NODE_DONE_MAX);

	if (n <= 0)
		return 0;
	for (i = 0; i < n; i++, out += 4) {
		out[0] = (double)done[i].user_data;
		out[1] = done[i].status;
		out[2] = (double)done[i].compute_ns;
		out[3] = (double)done[i].queue_ns;
	}
	conn->outstanding -= (uint32_t)n;
	if (!conn->outstanding)
		uv_unref((uv_handle_t *)&conn->poll);
	call_deliver(conn, n);
	return n;
}

static void readable(uv_poll_t *handle, int status, int events)
{
	struct pst_node_conn *conn = handle->data;

	(void)status;
	(void)events;
	pst_node_use(conn);
	if (reap(conn) == 0 && !conn->outstanding && conn->open)
		uv_poll_stop(&conn->poll);
	pst_node_unuse(conn);
}

static void nothing(uv_idle_t *handle)
{
	(void)handle;
}

static void before_sleep(uv_prepare_t *handle)
{
	struct pst_node_conn *conn = handle->data;
	int round;

	uv_idle_stop(&conn->idle);
	pst_node_use(conn);
	for (round = 0; conn->open && conn->outstanding; round++) {
		if (reap(conn) > 0)
			;
		else if (pst_node.pst_arm(conn->c) != 1)
			break;
		if (round == ROUNDS && conn->open) {
			/* So that the loop comes back without sleeping. */
			uv_idle_start(&conn->idle, nothing);
			break;
		}
	}
	pst_node_unuse(conn);
}

void pst_node_submitted(struct pst_node_conn *conn, uint32_t slot, uint64_t tag)
{
	conn->tags[slot] = tag;
	if (conn->outstanding++)
		return;
	/* It stops at the loss of a session, whose descriptor stays readable.
	 */
	if (!uv_is_active((uv_handle_t *)&conn->poll))
		uv_poll_start(&conn->poll, UV_READABLE, readable);
	uv_ref((uv_handle_t *)&conn->poll);
}

/* Watches the descriptor of an opened connection. */
int pst_node_watch(struct pst_node_conn *conn)
{
	int fd = pst_node.pst_fd(conn->c);
	uv_loop_t *loop = conn->env->loop;

	if (fd < 0)
		return fd;
	if (uv_poll_init(loop, &conn->poll, fd) < 0)
		return -EMFILE;
	uv_prepare_init(loop, &conn->prepare);
	uv_idle_init(loop, &conn->idle);
	conn->poll.data = conn->prepare.data = conn->idle.data = conn;
	conn->uv_handles = 3;
	pst_node_use(conn);
	uv_prepare_start(&conn->prepare, before_sleep);
	uv_poll_start(&conn->poll, UV_READABLE, readable);
	uv_unref((uv_handle_t *)&conn->poll);
	uv_unref((uv_handle_t *)&conn->prepare);
	uv_unref((uv_handle_t *)&conn->idle);
	return 0;
}
