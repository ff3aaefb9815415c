/* SPDX-License-Identifier: MIT */
/* Models with named tensors: described, and run in threads of the pool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/work.h"

#define MOST 64 /* inputs of a model, and outputs */

/* ---- Descriptions ---------------------------------------------------------
 */

struct describe {
	struct pst_node_work w;
	char *name;
	struct pst_model_spec *spec;
};

static int run_describe(struct pst_node_work *base)
{
	struct describe *d = (struct describe *)base;

	return pst_node.pst_model_info(base->conn->c, d->name ? d->name : "",
				       &d->spec);
}

static void free_spec(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

static void put(napi_env env, napi_value o, const char *name, napi_value v)
{
	napi_set_named_property(env, o, name, v);
}

static napi_value text(napi_env env, const char *s)
{
	napi_value v = NULL;

	napi_create_string_utf8(env, s ? s : "", NAPI_AUTO_LENGTH, &v);
	return v;
}

static napi_value list(napi_env env, const int64_t *dim, uint32_t n)
{
	napi_value a;
	uint32_t i;

	napi_create_array_with_length(env, n, &a);
	for (i = 0; i < n; i++)
		napi_set_element(env, a, i,
				 pst_node_number(env, (double)dim[i]));
	return a;
}

static napi_value tensors(napi_env env, const struct pst_tensor_spec *t,
			  uint32_t n)
{
	napi_value all, o, names;
	uint32_t i, j;

	napi_create_array_with_length(env, n, &all);
	for (i = 0; i < n; i++) {
		napi_create_object(env, &o);
		put(env, o, "name", text(env, t[i].name));
		put(env, o, "dtype", pst_node_number(env, t[i].dtype));
		put(env, o, "shape", list(env, t[i].dim, t[i].rank));
		napi_create_array_with_length(env, t[i].rank, &names);
		for (j = 0; j < t[i].rank; j++)
			napi_set_element(env, names, j,
					 text(env, t[i].dim_name[j]));
		put(env, o, "symbols", names);
		napi_set_element(env, all, i, o);
	}
	return all;
}

static napi_value describe_result(napi_env env, struct pst_node_work *base)
{
	struct describe *d = (struct describe *)base;
	napi_value o, raw, handle;
	void *copy;

	napi_create_object(env, &o);
	put(env, o, "inputs", tensors(env, d->spec->in, d->spec->n_in));
	put(env, o, "outputs", tensors(env, d->spec->out, d->spec->n_out));
	put(env, o, "format", text(env, d->spec->format));
	put(env, o, "provider", text(env, d->spec->provider));
	put(env, o, "runtime", text(env, d->spec->runtime));
	if (napi_create_arraybuffer(env, sizeof(d->spec->model), &copy, &raw) !=
		    napi_ok ||
	    napi_create_external(env, d->spec, free_spec, NULL, &handle) !=
		    napi_ok) {
		base->rc = -ENOMEM;
		return o;
	}
	memcpy(copy, &d->spec->model, sizeof(d->spec->model));
	d->spec = NULL;
	put(env, o, "raw", raw);
	put(env, o, "handle", handle);
	return o;
}

static void describe_end(struct pst_node_work *base)
{
	struct describe *d = (struct describe *)base;

	free(d->name);
	free(d->spec);
}

/* describe(connection, name, callback): what a model takes and gives, its
 * struct pst_model as raw, and a handle for run(). */
napi_value pst_node_describe(napi_env env, napi_callback_info info)
{
	struct describe *d;
	napi_value args[3];
	int rc;

	pst_node_arguments(env, info, 3, args);
	d = (struct describe *)pst_node_work_begin(env, args[0], sizeof(*d),
						   run_describe, &rc);
	if (!d)
		return pst_node_number(env, rc);
	d->w.result = describe_result;
	d->w.end = describe_end;
	d->name = pst_node_string(env, args[1]);
	return pst_node_work_start(env, &d->w, args[2]);
}

/* ---- Calls ----------------------------------------------------------------
 */

struct run {
	struct pst_node_work w;
	struct pst_run_args args;
	struct pst_io in[MOST], out[MOST];
	/* Of the caller: else the library allocates it. */
	bool given[MOST];
	struct pst_node_buffer *lent[2 * MOST];
};

static int run_run(struct pst_node_work *base)
{
	struct run *r = (struct run *)base;

	return pst_node.pst_run(base->conn->c, &r->args, base->timeout_ns,
				NULL);
}

/* A copy of an output: the guest could still change the region. */
static napi_value take(napi_env env, struct run *r, const struct pst_io *io)
{
	napi_value v = NULL;
	void *copy;

	napi_get_undefined(env, &v);
	if (napi_create_arraybuffer(env, io->bytes, &copy, &v) != napi_ok)
		r->w.rc = -ENOMEM;
	else if (io->bytes)
		r->w.rc = pst_node.pst_take(r->w.conn->c, copy, io->data,
					    io->bytes);
	if (r->w.rc < 0)
		pst_node.pst_last_error(r->w.conn->c, r->w.text,
					sizeof(r->w.text));
	return v;
}

/* Of each output: type, shape, memory that the library made. */
static napi_value run_result(napi_env env, struct pst_node_work *base)
{
	struct run *r = (struct run *)base;
	napi_value all;
	uint32_t i;

	napi_create_array(env, &all);
	for (i = 0; i < r->args.n_out && base->rc >= 0; i++) {
		const struct pst_io *io = &r->out[i];

		napi_set_element(env, all, 3 * i,
				 pst_node_number(env, io->dtype));
		napi_set_element(env, all, 3 * i + 1,
				 list(env, io->dim, io->rank));
		if (!r->given[i])
			napi_set_element(env, all, 3 * i + 2, take(env, r, io));
	}
	return all;
}

static void run_end(struct pst_node_work *base)
{
	struct run *r = (struct run *)base;
	uint32_t i;

	for (i = 0; i < r->args.n_out; i++)
		if (!r->given[i] && r->out[i].data)
			pst_node.pst_free(base->conn->c, r->out[i].data);
	for (i = 0; i < 2 * MOST; i += PST_NODE_OPERANDS)
		pst_node_release(r->lent + i);
}

static double element(napi_env env, napi_value a, uint32_t i)
{
	napi_value v = NULL;

	return napi_get_element(env, a, i, &v) == napi_ok
		       ? pst_node_double(env, v)
		       : -1;
}

/* The memory of a Uint8Array. false: it is none. */
static bool memory(napi_env env, struct run *r, uint32_t i, napi_value v,
		   struct pst_io *io)
{
	napi_typedarray_type type;
	napi_value buffer;
	size_t n, off;
	bool is = false;
	void *p = NULL;

	if (napi_is_typedarray(env, v, &is) != napi_ok || !is ||
	    napi_get_typedarray_info(env, v, &type, &n, &p, &buffer, &off) !=
		    napi_ok ||
	    type != napi_uint8_array)
		return false;
	/* An array of no elements may lie nowhere. */
	io->data = n ? p : r;
	io->bytes = n;
	if (n)
		r->lent[i] = pst_node_lend(r->w.conn->env, p);
	return true;
}

static int take_input(napi_env env, struct run *r, napi_value all, uint32_t k)
{
	struct pst_io *io = &r->in[k];
	napi_value shape, data;
	uint32_t i;

	*io = (struct pst_io)PST_IO_INIT;
	io->index = (uint32_t)element(env, all, 4 * k);
	io->dtype = (uint32_t)element(env, all, 4 * k + 1);
	if (napi_get_element(env, all, 4 * k + 2, &shape) != napi_ok ||
	    napi_get_array_length(env, shape, &io->rank) != napi_ok ||
	    io->rank > PST_MAX_RANK ||
	    napi_get_element(env, all, 4 * k + 3, &data) != napi_ok ||
	    !memory(env, r, k, data, io))
		return -EINVAL;
	for (i = 0; i < io->rank; i++)
		io->dim[i] = (int64_t)element(env, shape, i);
	return 0;
}

static int take_output(napi_env env, struct run *r, napi_value all, uint32_t k)
{
	struct pst_io *io = &r->out[k];
	napi_value data;

	*io = (struct pst_io)PST_IO_INIT;
	io->index = (uint32_t)element(env, all, 2 * k);
	if (napi_get_element(env, all, 2 * k + 1, &data) != napi_ok)
		return -EINVAL;
	r->given[k] = memory(env, r, MOST + k, data, io);
	return 0;
}

static int take_all(napi_env env, struct run *r, const napi_value *args)
{
	napi_value handle;
	uint32_t n_in = 0, n_out = 0, i;
	void *spec = NULL;
	int rc = 0;

	if (napi_get_named_property(env, args[0], "handle", &handle) !=
		    napi_ok ||
	    napi_get_value_external(env, handle, &spec) != napi_ok ||
	    napi_get_array_length(env, args[1], &n_in) != napi_ok ||
	    napi_get_array_length(env, args[2], &n_out) != napi_ok ||
	    n_in > 4 * MOST || n_out > 2 * MOST)
		return -EINVAL;
	for (i = 0; i < 3; i++)
		if (napi_create_reference(env, args[i], 1, &r->w.kept[i]) !=
		    napi_ok)
			return -ENOMEM;
	for (i = 0; i < n_in / 4 && rc == 0; i++)
		rc = take_input(env, r, args[1], i);
	for (i = 0; i < n_out / 2 && rc == 0; i++)
		rc = take_output(env, r, args[2], i);
	r->args = (struct pst_run_args)PST_RUN_INIT;
	r->args.model = spec;
	r->args.in = r->in;
	r->args.out = r->out;
	r->args.n_in = n_in / 4;
	r->args.n_out = rc ? 0 : n_out / 2;
	return rc;
}

/* run(connection, description, inputs, outputs, callback). Of each input four
 * elements: index, type, shape, bytes; of each output two: index, and bytes or
 * undefined. */
napi_value pst_node_run(napi_env env, napi_callback_info info)
{
	struct run *r;
	napi_value args[5];
	int rc;

	pst_node_arguments(env, info, 5, args);
	r = (struct run *)pst_node_work_begin(env, args[0], sizeof(*r), run_run,
					      &rc);
	if (!r)
		return pst_node_number(env, rc);
	r->w.result = run_result;
	r->w.end = run_end;
	rc = take_all(env, r, args + 1);
	if (rc == 0)
		return pst_node_work_start(env, &r->w, args[4]);
	pst_node_work_drop(env, &r->w);
	return pst_node_number(env, rc);
}
