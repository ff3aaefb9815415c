/* SPDX-License-Identifier: MIT */
/* Brings a model's files to the agent, piece by piece through the region, which
 * makes the model of them and may keep them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/ops/model.h"
#include "host-client/lib/ops/model_info.h"
#include "host-client/lib/ops/model_load.h"
#include "host-client/lib/ops/staging.h"
#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"

/* Names of files are looked for in as much of the graph. */
#define SCAN_MOST   (256ULL << 20)
#define SCAN_PIECE  (1U << 20)
#define PIECE_LEAST 4096U

struct file {
	char name[64]; /* as the model has it; "": the graph */
	char *path;    /* allocated, but of the graph */
	int fd;
	uint64_t size;
	uint64_t handle; /* the agent's; 0: none */
};

struct load {
	const struct pst_model_job *job;
	struct pst *c;
	uint32_t format; /* enum pst_wire_model_format */
	uint32_t n_files;
	struct file file[PST_WIRE_MODEL_FILES];
	uint64_t serial; /* of the session that the handles are of */
	uint64_t total, done;
	uint8_t *piece; /* in the region */
	uint64_t n_piece;
};

/* ---- The files ---- */

static int add_file(struct load *l, const char *name, const char *path,
		    struct pst_error *err)
{
	struct file *f = &l->file[l->n_files];
	uint32_t i;
	int r;

	for (i = 1; i < l->n_files; i++)
		if (strcmp(l->file[i].name, name) == 0)
			return 0;
	if (l->n_files == PST_WIRE_MODEL_FILES)
		return pst_error_set(err, -EMSGSIZE,
				     "a model of more than %u files",
				     PST_WIRE_MODEL_FILES);
	if (strlen(name) >= sizeof(f->name))
		return pst_error_set(err, -EINVAL,
				     "the name of %s is longer than %zu "
				     "characters",
				     path, sizeof(f->name) - 1);
	f->path = strdup(path);
	if (!f->path)
		return pst_oom(err);
	r = pst_model_open_file(path, &f->fd, &f->size, err);
	if (r < 0) {
		free(f->path);
		return r;
	}
	if (f->size == 0) {
		r = pst_error_set(err, -ENODATA, "%s is empty", path);
		pst_close_fd(f->fd);
		free(f->path);
		return r;
	}
	memcpy(f->name, name, strlen(name) + 1);
	l->n_files++;
	return 0;
}

/* A file that the graph names, if it lies beside it. */
static int add_beside(struct load *l, const char *name, struct pst_error *err)
{
	const char *graph = l->job->args.path, *slash = strrchr(graph, '/');
	const int dir = slash ? (int)(slash - graph) + 1 : 0;
	char path[4096];

	if (strchr(name, '/') || name[0] == '.')
		return 0;
	if (snprintf(path, sizeof(path), "%.*s%s", dir, graph, name) >=
		    (int)sizeof(path) ||
	    access(path, F_OK) < 0)
		return 0;
	return add_file(l, name, path, err);
}

/* Key and value of external_data's "location" in a TensorProto (onnx.proto):
 * what looks so and is none names no file, or one that is not used. */
static const char location[] = "\x0a\x08location\x12";
#define LOCATION  (sizeof(location) - 1)
#define NAME_MOST (sizeof(((struct file *)0)->name) - 1)

static int scan_piece(struct load *l, const uint8_t *p, uint64_t n,
		      struct pst_error *err)
{
	const uint8_t *end = p + n;
	char name[NAME_MOST + 1];
	size_t length;
	int r = 0;

	while (r == 0 &&
	       (p = memmem(p, (size_t)(end - p), location, LOCATION)) != NULL) {
		p += LOCATION;
		length = p < end ? *p : 0;
		if (length == 0 || length > NAME_MOST ||
		    length >= (size_t)(end - p))
			continue;
		memcpy(name, p + 1, length);
		name[length] = '\0';
		if (strlen(name) == length)
			r = add_beside(l, name, err);
	}
	return r;
}

static int find_files(struct load *l, struct pst_error *err)
{
	const struct file *graph = &l->file[0];
	const uint64_t most = pst_min_u64(graph->size, SCAN_MOST);
	/* What begins at the end of a piece is whole in the next. */
	const uint64_t overlap = LOCATION + 1 + NAME_MOST;
	PST_CLEANUP_FREE uint8_t *buf = malloc(SCAN_PIECE);
	uint64_t off, n;
	int r = 0;

	if (!buf)
		return pst_oom(err);
	for (off = 0; r == 0 && off < most; off += n - overlap) {
		n = pst_min_u64(most - off, SCAN_PIECE);
		r = pst_model_read(graph->fd, graph->path, buf, n, off, err);
		if (r == 0)
			r = scan_piece(l, buf, n, err);
		if (off + n == most)
			break;
	}
	return r;
}

static int open_files(struct load *l, struct pst_error *err)
{
	const struct pst_load_args *a = &l->job->args;
	const char *slash;
	uint32_t i;
	int r = 0;

	l->file[0] = (struct file){
		/* Only read: it is not freed. */
		.path = (char *)(uintptr_t)a->path,
		.fd = l->job->fd,
		.size = l->job->size,
	};
	l->n_files = 1;
	if (l->file[0].size == 0)
		return pst_error_set(err, -ENODATA,
				     "%s is no ONNX file: it is empty",
				     a->path);
	if (a->n_data == 0 && l->format == PST_WIRE_ONNX)
		r = find_files(l, err);
	for (i = 0; r == 0 && i < a->n_data; i++) {
		slash = strrchr(a->data[i], '/');
		r = add_file(l, slash ? slash + 1 : a->data[i], a->data[i],
			     err);
	}
	for (i = 0; i < l->n_files; i++)
		l->total += l->file[i].size;
	return r;
}

/* ---- To the agent ---- */

/* One request in the session that the load began in (unlocks). */
static int ask(struct load *l, uint16_t type, const void *payload,
	       uint32_t length, uint64_t deadline_ns, uint8_t **ret,
	       uint32_t *ret_n, struct pst_error *err)
{
	struct pst *c = l->c;
	int r;

	if (!c->session.live || c->session.serial != l->serial)
		return pst_session_gone(&c->session, err);
	r = pst_request(c, type, payload, length, deadline_ns, ret, ret_n, err);
	if (r < 0)
		return r;
	if (!c->session.live || c->session.serial != l->serial)
		return pst_session_gone(&c->session, err);
	return 0;
}

/* As long as one request may take. */
static uint64_t soon(const struct load *l)
{
	return pst_min_u64(l->job->deadline_ns, pst_control_deadline(l->c));
}

static int stage_file(struct load *l, struct file *f, struct pst_error *err)
{
	struct pst_frame frame = {.type = PST_WIRE_MODEL_STAGE, .reply = true};
	struct pst_wire_tensor t = {.size = f->size};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	int r;

	pst_lock(l->c);
	r = ask(l, PST_WIRE_MODEL_STAGE, &t, sizeof(t), soon(l), &payload,
		&frame.length, err);
	if (r == 0) {
		frame.payload = payload;
		r = pst_frame_tensor(&frame, &t, err);
		if (r == 0 && t.size != f->size)
			r = pst_error_set(err, -EPROTO,
					  "the agent made room for a file of "
					  "another size");
		if (r < 0)
			pst_channel_fail(&l->c->channel, r, "%s", err->text);
		else
			f->handle = t.handle;
	}
	pst_unlock(l->c);
	return r;
}

/* One piece, which was read into the region. */
static int fill(struct load *l, const struct file *f, uint64_t off, uint64_t n,
		struct pst_error *err)
{
	struct pst_wire_model_fill q = {
		.handle = f->handle,
		.file_off = off,
		.size = n,
	};
	struct pst_block *b;
	int r;

	pst_lock(l->c);
	r = pst_buffer_find(&l->c->mem, "a piece of the file", l->piece, n, &b,
			    err);
	if (r == 0) {
		q.off = pst_block_wire_off(b, l->piece);
		b->busy++;
		r = ask(l, PST_WIRE_MODEL_FILL, &q, sizeof(q), soon(l), NULL,
			NULL, err);
		pst_buffer_unref(&l->c->mem, b);
	}
	pst_unlock(l->c);
	return r;
}

static int send_file(struct load *l, struct file *f, struct pst_error *err)
{
	uint64_t off, n;
	int r = stage_file(l, f, err);

	for (off = 0; r == 0 && off < f->size; off += n) {
		n = pst_min_u64(f->size - off, l->n_piece);
		if ((r = pst_model_progress(l->job, l->done, l->total, err)) ==
			    0 &&
		    (r = pst_model_read(f->fd, f->path, l->piece, n, off,
					err)) == 0)
			r = fill(l, f, off, n, err);
		l->done += n;
		if (r == 0 && pst_now_ns() >= l->job->deadline_ns)
			r = pst_error_set(err, -ETIMEDOUT,
					  "the deadline passed after %" PRIu64
					  " of %" PRIu64 " bytes",
					  l->done, l->total);
	}
	return r;
}

static uint64_t piece(void *arg, unsigned int tries)
{
	struct load *l = arg;
	const uint64_t size = PST_WIRE_FILL_MAX >> tries;

	l->n_piece = size < PIECE_LEAST ? 0 : size;
	return l->n_piece;
}

/* What pst_model_load() says of a model of rows. Unlocks. */
static int open_rows(struct load *l, struct pst_model *ret,
		     struct pst_error *err)
{
	struct pst_wire_model q = {0};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	uint32_t n = 0;
	int r;

	memcpy(q.name, l->job->args.name, strlen(l->job->args.name));
	r = ask(l, PST_WIRE_MODEL_OPEN, &q, sizeof(q), soon(l), &payload, &n,
		err);
	if (r < 0)
		return r;
	return pst_model_reply(l->c, PST_WIRE_MODEL_OPEN, q.name, payload, n,
			       ret, err);
}

/* Says which files make the model, and waits until it is ready. */
static int make_model(struct load *l, struct pst_model *ret,
		      struct pst_error *err)
{
	const struct pst_load_args *a = &l->job->args;
	struct pst_wire_model_files q = {
		.format = l->format,
		.provider = a->provider,
		.flags = a->flags & PST_MODEL_INSTALL ? PST_WIRE_MODEL_INSTALL
						      : 0,
		.n_files = l->n_files,
	};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	struct pst_model_spec *spec = NULL;
	uint32_t i, n = 0;
	int r;

	memcpy(q.name, a->name, strlen(a->name));
	for (i = 0; i < l->n_files; i++) {
		memcpy(q.file[i].name, l->file[i].name,
		       strlen(l->file[i].name));
		q.file[i].handle = l->file[i].handle;
	}
	pst_lock(l->c);
	r = ask(l, PST_WIRE_MODEL_LOAD_FILES, &q, sizeof(q),
		l->job->deadline_ns, &payload, &n, err);
	if (r == 0)
		r = pst_model_spec_take(l->c, PST_WIRE_MODEL_LOAD_FILES,
					a->name, payload, n, &spec, err);
	if (r == 0 && l->format == PST_WIRE_SAFETENSORS)
		r = open_rows(l, ret, err);
	else if (r == 0)
		*ret = spec->model;
	pst_unlock(l->c);
	free(spec);
	return r;
}

/* The agent drops what did not become a model. */
static void unstage(struct load *l)
{
	struct pst_wire_tensor t = {0};
	uint32_t i;

	pst_lock(l->c);
	for (i = 0; i < l->n_files; i++) {
		t.handle = l->file[i].handle;
		if (t.handle && l->c->session.live &&
		    l->c->session.serial == l->serial)
			(void)pst_post(&l->c->channel, PST_WIRE_MODEL_UNSTAGE,
				       &t, sizeof(t));
	}
	pst_unlock(l->c);
}

static int begin(struct load *l, struct pst_error *err)
{
	struct pst *c = l->c;
	int r;

	pst_lock(c);
	r = pst_conf_check_data(&c->conf, err);
	if (r == 0)
		r = pst_session_ensure(c, soon(l), err);
	l->serial = c->session.serial;
	if (r == 0 && !(c->session.welcome.features & PST_WIRE_FEATURE_RUN))
		r = pst_error_set(err, -EOPNOTSUPP,
				  "the agent is older than models of files");
	pst_unlock(c);
	return r;
}

static int send_all(struct load *l, struct pst_error *err)
{
	void *mem;
	uint32_t i;
	int r = pst_stage(l->c, piece, l, l->job->deadline_ns, &mem, err);

	if (r < 0)
		return r;
	l->piece = mem;
	for (i = 0; r == 0 && i < l->n_files; i++)
		r = send_file(l, &l->file[i], err);
	(void)pst_free(l->c, l->piece);
	return r;
}

int pst_model_load_staged(const struct pst_model_job *j, uint32_t format,
			  struct pst_model *ret, struct pst_error *err)
{
	struct load l = {.job = j, .c = j->c, .format = format};
	uint32_t i;
	int r;

	if ((r = open_files(&l, err)) == 0 && (r = begin(&l, err)) == 0 &&
	    (r = send_all(&l, err)) == 0 &&
	    (r = pst_model_progress(j, l.total, l.total, err)) == 0)
		r = make_model(&l, ret, err);
	if (r < 0)
		unstage(&l);
	for (i = 1; i < l.n_files; i++) {
		pst_close_fd(l.file[i].fd);
		free(l.file[i].path);
	}
	return r;
}
