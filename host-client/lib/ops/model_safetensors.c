/* SPDX-License-Identifier: MIT */
/* Loads a model of a safetensors file: that into a tensor, and both into a
 * model. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/ops/model.h"
#include "host-client/lib/ops/model_load.h"
#include "host-client/lib/ops/staging.h"
#include "host-client/lib/ops/tensor.h"
#include "host-client/lib/session/request.h"

/* The length before the JSON. */
#define LENGTH sizeof(uint64_t)
/* Read at once: the uploads of pieces this large wait for nothing but the
 * disk. */
#define PIECE (8ULL << 20)

/* A file on its way. */
struct load {
	const struct pst_model_job *job;
	struct pst *c;
	const char *name;
	const char *path;
	uint64_t header_size; /* with the length */
	uint64_t data_size;
	uint64_t deadline_ns;
	uint64_t tensor; /* 0: none */
	uint8_t *read;   /* the header as it was read */
	uint8_t *header; /* in the region, or NULL */
};

static int read_all(const struct load *l, void *buf, uint64_t n, uint64_t off,
		    struct pst_error *err)
{
	return pst_model_read(l->job->fd, l->path, buf, n, off, err);
}

/* The sizes of both parts, from the file's first bytes and its size. */
static int measure(struct load *l, uint64_t size, struct pst_error *err)
{
	uint64_t length;
	char first;
	int r;

	if (size < LENGTH + 1)
		return pst_error_set(
			err, -ENODATA,
			"%s is no ONNX model, and no safetensors file: it has "
			"%" PRIu64 " bytes",
			l->path, size);
	if ((r = read_all(l, &length, sizeof(length), 0, err)) < 0 ||
	    (r = read_all(l, &first, 1, LENGTH, err)) < 0)
		return r;
	if (first != '{')
		return pst_error_set(err, -EINVAL,
				     "%s is no ONNX model, and no safetensors "
				     "file: its header does not begin with '{'",
				     l->path);
	if (length > PST_WIRE_MODEL_HEADER - LENGTH)
		return pst_error_set(
			err, -EMSGSIZE,
			"%s is no safetensors file, or its header of %" PRIu64
			" "
			"bytes is above the limit of %" PRIu64,
			l->path, length, PST_WIRE_MODEL_HEADER - LENGTH);
	if (length > size - LENGTH)
		return pst_error_set(err, -ENODATA,
				     "%s is cut short: its header has %" PRIu64
				     " "
				     "bytes, %" PRIu64 " are there",
				     l->path, length, size - LENGTH);
	l->header_size = LENGTH + length;
	l->data_size = size - l->header_size;
	if (l->data_size == 0)
		return pst_error_set(err, -ENODATA,
				     "%s has no weights behind its header",
				     l->path);
	return 0;
}

/* Time that is left, at least 1 ns. */
static uint64_t left(const struct load *l)
{
	const uint64_t now = pst_now_ns();

	if (l->deadline_ns == UINT64_MAX)
		return PST_FOREVER;
	return l->deadline_ns > now ? l->deadline_ns - now : 1;
}

/* A public call's failure, with its sentence. */
static int failed(const struct load *l, int r, struct pst_error *err)
{
	if (r < 0) {
		err->code = r;
		pst_last_error(l->c, err->text, sizeof(err->text));
	}
	return r;
}

static int read_header(struct load *l, struct pst_error *err)
{
	l->read = malloc(l->header_size);
	if (!l->read)
		return pst_oom(err);
	return read_all(l, l->read, l->header_size, 0, err);
}

static int load_data(struct load *l, struct pst_error *err)
{
	const uint64_t piece = l->data_size < PIECE ? l->data_size : PIECE;
	PST_CLEANUP_FREE uint8_t *buf = malloc(piece);
	uint64_t done, n;
	int r;

	if (!buf)
		return pst_oom(err);
	r = failed(l,
		   pst_tensor_create_until(l->c, l->data_size, l->deadline_ns,
					   &l->tensor),
		   err);
	for (done = 0; !r && done < l->data_size; done += n) {
		n = l->data_size - done < piece ? l->data_size - done : piece;
		r = pst_model_progress(l->job, done, l->data_size, err);
		if (!r)
			r = read_all(l, buf, n, l->header_size + done, err);
		if (!r)
			r = failed(l,
				   pst_upload(l->c, l->tensor, done, buf, n,
					      left(l)),
				   err);
	}
	return r ? r
		 : pst_model_progress(l->job, l->data_size, l->data_size, err);
}

/* Asks the agent to make a model of both (unlocks). */
static int request(struct load *l, struct pst_block *header,
		   struct pst_model *ret, struct pst_error *err)
{
	struct pst *c = l->c;
	const uint64_t max = pst_deadline(pst_now_ns(), c->conf.timeout_ns);
	struct pst_wire_model_load q = {
		.header_off = pst_block_wire_off(header, l->header),
		.header_size = l->header_size,
	};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	const uint64_t serial = c->session.serial;
	struct pst_tentry *e;
	uint32_t n = 0;
	int r;

	r = pst_tensor_lookup(&c->mem, "the weights", l->tensor, &e, err);
	if (r < 0)
		return r;
	q.data = e->handle;
	memcpy(q.name, l->name, strlen(l->name));
	r = pst_request(c, PST_WIRE_MODEL_LOAD, &q, sizeof(q),
			l->deadline_ns < max ? l->deadline_ns : max, &payload,
			&n, err);
	if (r < 0)
		return r;
	if (!c->session.live || c->session.serial != serial)
		return pst_session_gone(&c->session, err);
	/* It is the agent's now. */
	e = pst_tensor_table_find(&c->mem.tensors, l->tensor);
	if (e)
		pst_tensor_table_remove(&c->mem.tensors, e);
	l->tensor = 0;
	return pst_model_reply(c, PST_WIRE_MODEL_LOAD, l->name, payload, n, ret,
			       err);
}

/* Words behind its end are read, too. */
static uint64_t header_room(void *arg, unsigned int tries)
{
	const struct load *l = arg;

	return tries ? 0 : l->header_size + LENGTH;
}

static int make_model(struct load *l, struct pst_model *ret,
		      struct pst_error *err)
{
	struct pst_block *b;
	void *mem;
	int r = pst_stage(l->c, header_room, l, l->deadline_ns, &mem, err);

	if (r < 0)
		return r;
	l->header = mem;
	memcpy(l->header, l->read, l->header_size);
	pst_lock(l->c);
	r = pst_buffer_find(&l->c->mem, "the header", l->header, l->header_size,
			    &b, err);
	if (!r) {
		b->busy++;
		r = request(l, b, ret, err);
		pst_buffer_unref(&l->c->mem, b);
	}
	pst_unlock(l->c);
	/* The agent has no name for what is wrong. */
	if (r == -EINVAL)
		pst_error_prefix(err, l->path);
	return r;
}

int pst_model_load_safetensors(const struct pst_model_job *j,
			       struct pst_model *ret, struct pst_error *err)
{
	struct load l = {
		.job = j,
		.c = j->c,
		.name = j->args.name,
		.path = j->args.path,
		.deadline_ns = j->deadline_ns,
	};
	int r;

	if ((r = measure(&l, j->size, err)) == 0 &&
	    (r = read_header(&l, err)) == 0 && (r = load_data(&l, err)) == 0)
		r = make_model(&l, ret, err);
	free(l.read);
	(void)pst_free(l.c, l.header);
	if (l.tensor)
		(void)pst_tensor_destroy(l.c, l.tensor);
	return r;
}
