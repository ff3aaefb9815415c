/* SPDX-License-Identifier: MIT */
/* Makes a session of a model's files. */
#include "guest-agent/runner/model.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "guest-agent/runner/cuda.h"
#include "guest-agent/runner/describe.h"
#include "guest-agent/runner/onnx.h"
#include "guest-agent/runner/run.h"

/* A file in memory, and in no other's hands: read, or mapped if it is sealed.
 */
struct bytes {
	uint8_t *data;
	size_t size;
};

static void bytes_done(struct bytes *b)
{
	if (b->data)
		munmap(b->data, b->size);
	*b = (struct bytes){0};
}

static int read_all(int fd, struct bytes *b, struct pst_error *err)
{
	size_t done = 0;

	while (done < b->size) {
		ssize_t n =
			pread(fd, b->data + done, b->size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pst_error_set_errno(err, errno,
						   "cannot read the model");
		if (n == 0)
			return pst_error_set(err, -ENODATA,
					     "the model ends at byte %zu of "
					     "%zu",
					     done, b->size);
		done += (size_t)n;
	}
	return 0;
}

/* Whether nobody can change the file, nor make it shorter than size. */
static bool is_sealed(int fd, size_t size)
{
	const int want = F_SEAL_WRITE | F_SEAL_SHRINK;
	const int seals = fcntl(fd, F_GET_SEALS);
	char last;

	return seals >= 0 && (seals & want) == want &&
	       pread(fd, &last, 1, (off_t)size - 1) == 1;
}

static int read_file(int fd, uint64_t size, struct bytes *ret,
		     struct pst_error *err)
{
	struct bytes b = {.size = (size_t)size};
	int r;

	if (size == 0 || size > SSIZE_MAX)
		return pst_error_set(err, -EINVAL,
				     "a file of the model has "
				     "no bytes");
	if (is_sealed(fd, b.size)) {
		b.data = mmap(NULL, b.size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (b.data != MAP_FAILED) {
			*ret = b;
			return 0;
		}
	}
	b.data = mmap(NULL, b.size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b.data == MAP_FAILED)
		return pst_error_set(err, -ENOMEM,
				     "there is no memory for a file of the "
				     "model");
	r = read_all(fd, &b, err);
	if (r < 0)
		bytes_done(&b);
	else
		*ret = b;
	return r;
}

struct files {
	struct bytes graph;
	uint32_t n; /* others */
	struct pst_onnx_file known[PST_RUNNER_FILES];
	struct bytes data[PST_RUNNER_FILES];
	const struct pst_runner_shape *warm; /* of the first runs */
};

static void files_done(struct files *f)
{
	uint32_t i;

	bytes_done(&f->graph);
	for (i = 0; i < f->n; i++)
		bytes_done(&f->data[i]);
}

static int read_files(const struct pst_runner_load *load, const int *fds,
		      struct files *f, struct pst_error *err)
{
	uint32_t i;
	int r;

	for (i = 0; i < load->n_files; i++) {
		const struct pst_runner_file *file = &load->file[i];

		if (*file->name == '\0') {
			bytes_done(&f->graph);
			r = read_file(fds[i], file->size, &f->graph, err);
		} else {
			r = read_file(fds[i], file->size, &f->data[f->n], err);
			if (r == 0)
				f->known[f->n++] = (struct pst_onnx_file){
					file->name, file->size};
		}
		if (r < 0)
			return r;
	}
	if (!f->graph.data)
		return pst_error_set(err, -EINVAL,
				     "the model itself is not "
				     "among its files");
	return pst_onnx_walk(f->graph.data, f->graph.size, f->known, f->n, err);
}

static int add_files(const struct pst_runner_ort *ort,
		     struct ort_session_options *o, const struct files *f,
		     struct pst_error *err)
{
	const char *names[PST_RUNNER_FILES];
	char *data[PST_RUNNER_FILES];
	size_t sizes[PST_RUNNER_FILES];
	uint32_t i;

	if (f->n == 0)
		return 0;
	if (!ort->add_external_files)
		return pst_error_set(err, -ENOTSUP,
				     "ONNX Runtime %s takes no weights from "
				     "files of their own; 1.18 does",
				     ort->version);
	for (i = 0; i < f->n; i++) {
		names[i] = f->known[i].name;
		data[i] = (char *)f->data[i].data;
		sizes[i] = f->data[i].size;
	}
	return pst_runner_ort_check(
		ort, ort->add_external_files(o, names, data, sizes, f->n),
		"cannot hand over the weights", err);
}

static int set_up(const struct pst_runner_ort *ort, const struct files *f,
		  bool cuda, struct ort_session_options *o,
		  struct pst_error *err)
{
	int r = pst_runner_ort_check(ort, ort->disable_session_threads(o),
				     "cannot share threads", err);

	if (r == 0)
		r = pst_runner_ort_check(
			ort,
			ort->add_config(o, "session.load_model_format", "ONNX"),
			"cannot set the format", err);
	if (r == 0 && cuda)
		r = pst_runner_cuda_append(ort, o, err);
	return r == 0 ? add_files(ort, o, f, err) : r;
}

static int make_session(const struct pst_runner_ort *ort, const struct files *f,
			bool cuda, struct ort_session **ret,
			struct pst_error *err)
{
	struct ort_session_options *o;
	int r;

	r = pst_runner_ort_check(ort, ort->create_session_options(&o),
				 "cannot make options", err);
	if (r < 0)
		return r;
	r = set_up(ort, f, cuda, o, err);
	if (r == 0)
		r = pst_runner_ort_check(
			ort,
			ort->create_session(ort->env, f->graph.data,
					    f->graph.size, o, ret),
			"ONNX Runtime refuses the model", err);
	ort->release_session_options(o);
	return r;
}

/* Integers are 1, all else 0: an integer divided by 0 ends the process. */
static void fill(const struct pst_runner_call *call, uint8_t *arena)
{
	uint32_t i;
	uint64_t j;

	for (i = 0; i < call->n_in; i++) {
		const struct pst_runner_io *io = &call->io[i];
		const uint64_t width = pst_runner_elem_size(io->elem);

		for (j = 0; !pst_runner_elem_is_float(io->elem) && j < io->size;
		     j += width)
			arena[io->off + j] = 1;
	}
}

/* Most bytes of an input that is tried. */
#define TRY_MOST (256U << 20)

/* A dimension of any size: as it was at a call, else 1. */
static int64_t any_dim(const struct pst_runner_shape *s, uint32_t rank,
		       uint32_t j)
{
	return s && s->known && s->rank == rank && s->dim[j] >= 0 ? s->dim[j]
								  : 1;
}

/* Lays out an operand for each input. shapes: of a call, or NULL. Returns false
 * when one is too large to try. */
static bool lay_out(const struct pst_runner_loaded *about,
		    const struct pst_runner_shape *shapes,
		    struct pst_runner_call *call, uint64_t *ret_size)
{
	uint64_t at = 0;
	uint32_t i, j;

	call->n_in = about->n_in;
	for (i = 0; i < about->n_in; i++) {
		const struct pst_runner_tensor *t = &about->io[i];
		struct pst_runner_io *io = &call->io[i];
		uint64_t n = pst_runner_elem_size(t->elem);

		*io = (struct pst_runner_io){
			.slot = i, .elem = t->elem, .rank = t->rank};
		for (j = 0; j < t->rank; j++) {
			io->dim[j] = t->dim[j];
			if (t->dim[j] < 0)
				io->dim[j] = any_dim(shapes ? &shapes[i] : NULL,
						     t->rank, j);
			if (pst_mul_overflow(n, (uint64_t)io->dim[j], &n) ||
			    n > TRY_MOST)
				return false;
		}
		io->off = at;
		io->size = n;
		at += pst_round_up(n, 64);
	}
	*ret_size = at;
	return true;
}

static int try(const struct pst_runner_ort *ort, struct pst_runner_model *m,
	       const struct pst_runner_shape *shapes, struct pst_error *err)
{
	struct pst_runner_space space = {0};
	struct pst_runner_call *call PST_CLEANUP_FREE = NULL;
	uint8_t *arena PST_CLEANUP_FREE = NULL;
	uint64_t size;
	uint32_t i;

	call = calloc(1, sizeof(*call));
	if (!call || !lay_out(&m->about, shapes, call, &size))
		return pst_error_set(err, -EMSGSIZE,
				     "its inputs are too "
				     "large to try");
	arena = calloc(1, size + 64);
	if (!arena)
		return pst_oom(err);
	fill(call, arena);
	call->n_out = m->about.n_out;
	for (i = 0; i < call->n_out; i++)
		call->io[call->n_in + i] = (struct pst_runner_io){.slot = i};
	pst_runner_run(ort, m, NULL, arena, size, &space, call);
	if (call->status == 0 || call->status == -EMSGSIZE) {
		call->status = 0;
		m->about.first_ns = call->compute_ns;
		pst_runner_run(ort, m, NULL, arena, size, &space, call);
		m->about.second_ns = call->compute_ns;
	}
	pst_runner_space_done(&space);
	return call->status && call->status != -EMSGSIZE
		       ? pst_error_set(err, call->status, "%s", call->text)
		       : 0;
}

/* The first run of a model takes many times as long as the later ones. Returns
 * 0, or with a sentence what came of it. */
static int warm(const struct pst_runner_ort *ort, struct pst_runner_model *m,
		const struct pst_runner_shape *shapes, struct pst_error *err)
{
	bool some = false;
	uint32_t i;

	for (i = 0; i < PST_RUNNER_IO; i++)
		some |= shapes[i].known;
	/* With other numbers in them, they may be wrong all the same. */
	if (some && try(ort, m, shapes, err) == 0)
		return 0;
	return try(ort, m, NULL, err);
}

/* A session on the CPU, or by CUDA. *ret_warm: what came of its first run. */
static int make_on(const struct pst_runner_ort *ort, const struct files *f,
		   bool cuda, struct pst_runner_model *m, int *ret_warm,
		   struct pst_error *err)
{
	const uint64_t begin = pst_now_ns();
	int r = make_session(ort, f, cuda, &m->session, err);

	if (r == 0)
		r = pst_runner_describe(ort, m->session, &m->about, err);
	m->about.load_ns = pst_now_ns() - begin;
	m->about.provider = cuda ? PST_RUNNER_CUDA : PST_RUNNER_CPU;
	*ret_warm = r == 0 ? warm(ort, m, f->warm, err) : r;
	return r;
}

static void model_done(const struct pst_runner_ort *ort,
		       struct pst_runner_model *m)
{
	if (m->session)
		ort->release_session(m->session);
	*m = (struct pst_runner_model){
		.about = {.type = PST_RUNNER_LOADED, .id = m->about.id}};
}

static void say(struct pst_runner_model *m, const char *what,
		const struct pst_error *why)
{
	snprintf(m->about.note, sizeof(m->about.note), "%s%.200s", what,
		 why->text);
}

/*
 * By CUDA, unless that fails: a card for which the library has no code shows at
 * the first run only. If that fails on the CPU as well, it was the input.
 */
static int make_by_cuda(const struct pst_runner_ort *ort, const struct files *f,
			uint32_t wanted, struct pst_runner_model *m,
			struct pst_error *err)
{
	struct pst_runner_model on_cpu = {.about.id = m->about.id};
	struct pst_error why;
	int r, warmed;

	r = make_on(ort, f, true, m, &warmed, &why);
	say(m, "", &ort->cuda_note);
	if (r == 0 && warmed == 0)
		return 0;
	model_done(ort, &on_cpu);
	if (make_on(ort, f, false, &on_cpu, &warmed, err) < 0) {
		model_done(ort, &on_cpu);
		return err->code;
	}
	if (r == 0 && warmed < 0) {
		model_done(ort, &on_cpu);
		return 0;
	}
	model_done(ort, m);
	*m = on_cpu;
	say(m, "it is not computed by CUDA: ", &why);
	return wanted == PST_RUNNER_CUDA
		       ? pst_error_set(err, -ENOTSUP, "%s", m->about.note)
		       : 0;
}

static int make(const struct pst_runner_ort *ort,
		const struct pst_runner_load *load, const int *fds,
		struct pst_runner_model *m, struct pst_error *err)
{
	struct files f = {0};
	int r, warmed;

	if (load->provider == PST_RUNNER_CUDA && !ort->cuda)
		return pst_error_set(err, -ENOTSUP, "%s", ort->cuda_note.text);
	r = read_files(load, fds, &f, err);
	f.warm = load->warm;
	if (r == 0 && ort->cuda && load->provider != PST_RUNNER_CPU)
		r = make_by_cuda(ort, &f, load->provider, m, err);
	else if (r == 0)
		r = make_on(ort, &f, false, m, &warmed, err);
	files_done(&f);
	return r;
}

int pst_runner_model_load(const struct pst_runner_ort *ort,
			  const struct pst_runner_load *load, const int *fds,
			  struct pst_runner_model **ret, struct pst_error *err)
{
	struct pst_runner_model *m;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return pst_oom(err);
	m->about.type = PST_RUNNER_LOADED;
	m->about.id = load->id;
	r = make(ort, load, fds, m, err);
	if (r < 0) {
		pst_runner_model_free(ort, m);
		return r;
	}
	*ret = m;
	return 0;
}

void pst_runner_model_free(const struct pst_runner_ort *ort,
			   struct pst_runner_model *m)
{
	if (!m)
		return;
	model_done(ort, m);
	free(m);
}
