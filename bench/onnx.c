/* SPDX-License-Identifier: MIT */
/* The same ONNX model here and through an agent. */
#include "bench/onnx.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/clock.h"

#define TIMEOUT_NS (600 * PST_BENCH_S)
#define API        12U
#define LOG_ERROR  3

/* The slots in use of struct OrtApi (onnxruntime_c_api.h, which only appends).
 * A status is NULL on success. */
struct ort {
	const char *version; /* NULL: there is none */
	const char *(*message)(const void *status);
	void *(*create_env)(int severity, const char *id, void **ret);
	void *(*create_session)(void *env, const void *model, size_t n,
				const void *options, void **ret);
	void *(*run)(void *session, const void *options,
		     const char *const *in_names, const void *const *in,
		     size_t n_in, const char *const *out_names, size_t n_out,
		     void **out);
	void *(*create_options)(void **ret);
	void *(*set_threads)(void *options, int n);
	void *(*create_tensor)(const void *info, void *data, size_t size,
			       const int64_t *dim, size_t rank, int elem,
			       void **ret);
	void *(*create_memory_info)(int allocator, int type, void **ret);
	void (*release_status)(void *);
	void (*release_session)(void *);
	void (*release_value)(void *);
	void (*release_options)(void *);
	void *env, *memory;
};

static struct ort ort;

static int fail(struct pst_bench_onnx *m, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct pst_bench_onnx *m, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->error, sizeof(m->error), fmt, ap);
	va_end(ap);
	return r;
}

static int check(struct pst_bench_onnx *m, void *status)
{
	if (!status)
		return 0;
	fail(m, -EIO, "ONNX Runtime here: %s", ort.message(status));
	ort.release_status(status);
	return -EIO;
}

static void *open_library(void)
{
	const char *named = getenv("PENSTOCK_ORT");
	char name[40];
	unsigned int minor;
	void *h;

	if (named && *named)
		return dlopen(named, RTLD_NOW | RTLD_LOCAL);
	h = dlopen("libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
	for (minor = 60; !h && minor >= 16; minor--) {
		snprintf(name, sizeof(name), "libonnxruntime.so.1.%u", minor);
		h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	}
	return h;
}

static bool take(const void *api)
{
	void *const *slot = api;

	/* ISO C has no cast from an object's address to a function's. */
#define TAKE(name, i) memcpy(&ort.name, &slot[i], sizeof(ort.name))
	TAKE(message, 2);
	TAKE(create_env, 3);
	TAKE(create_session, 8);
	TAKE(run, 9);
	TAKE(create_options, 10);
	TAKE(set_threads, 24);
	TAKE(create_tensor, 49);
	TAKE(create_memory_info, 69);
	TAKE(release_status, 93);
	TAKE(release_session, 95);
	TAKE(release_value, 96);
	TAKE(release_options, 100);
#undef TAKE
	return !ort.create_env(LOG_ERROR, "bench", &ort.env) &&
	       !ort.create_memory_info(1, 0, &ort.memory);
}

const char *pst_bench_onnx_library(void)
{
	const struct {
		const void *(*api)(uint32_t version);
		const char *(*version)(void);
	} * base, *(*get)(void);
	static bool tried;
	const void *api;
	void *h, *symbol;

	if (tried)
		return ort.version;
	tried = true;
	h = open_library();
	symbol = h ? dlsym(h, "OrtGetApiBase") : NULL;
	if (!symbol)
		return NULL;
	memcpy(&get, &symbol, sizeof(get));
	base = get();
	api = base->api(API);
	if (api && take(api))
		ort.version = base->version();
	return ort.version;
}

/* ---- Operands ----------------------------------------------------------- */

/* Numbers of TensorProto.DataType. */
static int elem_of(uint32_t dtype)
{
	static const struct {
		uint32_t dtype;
		int elem;
	} elems[] = {{PST_F32, 1},  {PST_U8, 2},   {PST_I8, 3},   {PST_U16, 4},
		     {PST_I16, 5},  {PST_I32, 6},  {PST_I64, 7},  {PST_BOOL, 9},
		     {PST_F16, 10}, {PST_F64, 11}, {PST_U32, 12}, {PST_U64, 13},
		     {PST_BF16, 16}};
	size_t i;

	for (i = 0; i < sizeof(elems) / sizeof(*elems); i++)
		if (elems[i].dtype == dtype)
			return elems[i].elem;
	return 0;
}

/* "NAME=@SHAPE:NUMBER" or NULL, for the dimensions, and the number. */
static int read_shape(struct pst_bench_onnx *m, const char *text,
		      struct pst_io *io, double *ret)
{
	const char *p = strchr(text, '=');
	char *end;

	if (!p || p[1] != '@')
		return fail(m, -EINVAL, "'%.80s' is no INPUT=@SHAPE:NUMBER",
			    text);
	io->rank = 0;
	for (p += 2; *p >= '0' && *p <= '9' && io->rank < PST_MAX_RANK;) {
		io->dim[io->rank++] = (int64_t)strtoull(p, &end, 10);
		p = *end == 'x' ? end + 1 : end;
	}
	if (*p == ':')
		*ret = strtod(p + 1, &end);
	if (*p && (*p != ':' || end == p + 1 || *end))
		return fail(m, -EINVAL, "'%.80s' has no shape such as @1x512",
			    text);
	return 0;
}

static void fill(void *data, uint32_t dtype, uint64_t n, const double *value)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		const double v =
			value ? *value
			: dtype == PST_F32 || dtype == PST_F64
				? (double)(i * 7919 % 1013) / 1013 - 0.5
				: 1;

		switch (dtype) {
		case PST_F32:
			((float *)data)[i] = (float)v;
			break;
		case PST_F64:
			((double *)data)[i] = v;
			break;
		case PST_I64:
		case PST_U64:
			((int64_t *)data)[i] = (int64_t)v;
			break;
		case PST_I32:
		case PST_U32:
			((int32_t *)data)[i] = (int32_t)v;
			break;
		case PST_I16:
		case PST_U16:
			((int16_t *)data)[i] = (int16_t)v;
			break;
		case PST_F16:
		case PST_BF16:
			((uint16_t *)data)[i] = 0;
			break;
		default:
			((uint8_t *)data)[i] = (uint8_t)v;
		}
	}
}

static uint64_t elements(const struct pst_io *io)
{
	uint64_t n = 1;
	uint32_t i;

	for (i = 0; i < io->rank; i++)
		n *= (uint64_t)io->dim[i];
	return n;
}

/* One input, in the region. */
static int make_input(struct pst_bench_onnx *m, uint32_t k,
		      const char *const *inputs, unsigned int n_inputs)
{
	const struct pst_tensor_spec *t = &m->spec->in[k];
	const size_t length = strlen(t->name);
	struct pst_io *io = &m->in[k];
	const double *number = NULL;
	double value = 1;
	unsigned int i;
	int r = 0;

	*io = (struct pst_io)PST_IO_INIT;
	io->index = k;
	io->dtype = t->dtype;
	io->rank = t->rank;
	for (i = 0; i < t->rank; i++)
		io->dim[i] = t->dim[i] < 0 ? 1 : t->dim[i];
	for (i = 0; i < n_inputs && !r; i++) {
		if (strncmp(inputs[i], t->name, length) != 0 ||
		    inputs[i][length] != '=')
			continue;
		r = read_shape(m, inputs[i], io, &value);
		if (strchr(inputs[i], ':'))
			number = &value;
	}
	if (r < 0)
		return r;
	/* 8 bytes an element are enough for each. */
	if (pst_alloc(m->c, 8 * elements(io) + 64, &io->data) < 0)
		return fail(m, -ENOSPC,
			    "the inputs have no room in the region");
	fill(io->data, io->dtype, elements(io), number);
	return 0;
}

/* ---- Both sides --------------------------------------------------------- */

static int load(struct pst_bench_onnx *m, const void *data, size_t n)
{
	struct pst_load_args l = PST_LOAD_INIT;
	static unsigned int number;
	char path[64];
	int fd, r;

	fd = memfd_create("model.onnx", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		return fail(m, -EIO, "no memory for a model");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(m->name, sizeof(m->name), "bench-%d-%u", (int)getpid(),
		 number++);
	l.name = m->name;
	l.path = path;
	r = pst_model_load_file(m->c, &l, TIMEOUT_NS, NULL);
	close(fd);
	if (r == 0)
		r = pst_model_info(m->c, m->name, &m->spec);
	else
		m->name[0] = '\0';
	if (r < 0) {
		pst_last_error(m->c, m->error, sizeof(m->error));
		/* The caller's file has another name. */
		if (strncmp(m->error, path, strlen(path)) == 0)
			memmove(m->error, m->error + strlen(path),
				strlen(m->error + strlen(path)) + 1);
	}
	if (r < 0)
		return r;
	if (m->spec->n_in > PST_BENCH_ONNX_IO ||
	    m->spec->n_out > PST_BENCH_ONNX_IO)
		r = fail(m, -EINVAL,
			 "the model has more than %d inputs or "
			 "outputs",
			 PST_BENCH_ONNX_IO);
	return r;
}

/* A tensor of this process: of the same shape, and an input's data. */
static int mirror(struct pst_bench_onnx *m, const struct pst_io *io,
		  unsigned int k, bool in)
{
	const size_t size = io->bytes;

	m->copy[k] = calloc(1, size + 64);
	if (!m->copy[k])
		return fail(m, -ENOMEM, "out of memory");
	if (in)
		memcpy(m->copy[k], io->data, size);
	return check(m, ort.create_tensor(ort.memory, m->copy[k], size, io->dim,
					  io->rank, elem_of(io->dtype),
					  &m->value[k]));
}

static uint64_t size_of(const struct pst_io *io)
{
	static const uint8_t sizes[] = {
		[PST_F32] = 4,  [PST_F64] = 8, [PST_F16] = 2, [PST_BF16] = 2,
		[PST_I8] = 1,   [PST_I32] = 4, [PST_I64] = 8, [PST_U8] = 1,
		[PST_BOOL] = 1, [PST_I16] = 2, [PST_U16] = 2, [PST_U32] = 4,
		[PST_U64] = 8};

	return elements(io) * sizes[io->dtype];
}

/* The first one prints a line for each operator in Debian's 1.21. */
static void *create_session(const void *data, size_t n, const void *options,
			    void **ret)
{
	const int old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	void *status;

	if (old >= 0 && null >= 0)
		dup2(null, STDERR_FILENO);
	status = ort.create_session(ort.env, data, n, options, ret);
	if (old >= 0) {
		dup2(old, STDERR_FILENO);
		close(old);
	}
	if (null >= 0)
		close(null);
	return status;
}

static int open_here(struct pst_bench_onnx *m, const void *data, size_t n)
{
	const uint32_t n_in = m->spec->n_in;
	void *options;
	uint32_t i;
	int r;

	r = check(m, ort.create_options(&options));
	if (r == 0) {
		r = check(m, ort.set_threads(options, 1));
		if (r == 0)
			r = check(m, create_session(data, n, options,
						    &m->session));
		ort.release_options(options);
	}
	for (i = 0; i < n_in && r == 0; i++) {
		struct pst_io io = m->in[i];

		io.bytes = size_of(&io);
		m->names[i] = m->spec->in[i].name;
		r = mirror(m, &io, i, true);
	}
	for (i = 0; i < m->spec->n_out && r == 0; i++) {
		m->names[n_in + i] = m->spec->out[i].name;
		r = mirror(m, &m->out[i], n_in + i, false);
	}
	return r;
}

/* Bit for bit, since both are the same library on the same CPU. */
static int compare(struct pst_bench_onnx *m)
{
	uint32_t i;

	for (i = 0; i < m->spec->n_out; i++)
		if (memcmp(m->copy[m->spec->n_in + i], m->out[i].data,
			   m->out[i].bytes) != 0)
			return fail(m, -EIO,
				    "output %s of the agent is not what ONNX "
				    "Runtime gives here",
				    m->spec->out[i].name);
	return 0;
}

int pst_bench_onnx_open(struct pst_bench_onnx *m, struct pst *c,
			const void *data, size_t n, const char *const *inputs,
			unsigned int n_inputs)
{
	uint64_t ns;
	uint32_t i;
	int r;

	*m = (struct pst_bench_onnx){.c = c};
	r = load(m, data, n);
	for (i = 0; r == 0 && i < m->spec->n_in; i++)
		r = make_input(m, i, inputs, n_inputs);
	if (r < 0)
		return r;
	m->args = (struct pst_run_args)PST_RUN_INIT;
	m->args.model = m->spec;
	m->args.in = m->in;
	m->args.out = m->out;
	m->args.n_in = m->spec->n_in;
	m->args.n_out = m->spec->n_out;
	for (i = 0; i < m->spec->n_out; i++) {
		m->out[i] = (struct pst_io)PST_IO_INIT;
		m->out[i].index = i;
	}
	/* The library allocates the outputs, which stay for the next calls. */
	r = pst_bench_onnx_run(m, &ns);
	if (r == 0 && pst_bench_onnx_library()) {
		r = open_here(m, data, n);
		if (r == 0)
			r = pst_bench_onnx_direct(m, &ns);
		if (r == 0)
			r = compare(m);
	}
	return r;
}

void pst_bench_onnx_close(struct pst_bench_onnx *m)
{
	uint32_t i;

	for (i = 0; i < PST_BENCH_ONNX_IO; i++) {
		pst_free(m->c, m->in[i].data);
		pst_free(m->c, m->out[i].data);
	}
	for (i = 0; i < 2 * PST_BENCH_ONNX_IO; i++) {
		if (m->value[i])
			ort.release_value(m->value[i]);
		free(m->copy[i]);
	}
	if (m->session)
		ort.release_session(m->session);
	if (m->name[0])
		(void)pst_model_unload(m->c, m->name);
	free(m->spec);
	*m = (struct pst_bench_onnx){0};
}

int pst_bench_onnx_run(struct pst_bench_onnx *m, uint64_t *ret_ns)
{
	struct pst_completion done;
	const uint64_t start = pst_bench_now_ns();
	const int r = pst_run(m->c, &m->args, TIMEOUT_NS, &done);

	*ret_ns = pst_bench_now_ns() - start;
	m->compute_ns = done.compute_ns;
	if (r < 0)
		pst_last_error(m->c, m->error, sizeof(m->error));
	return r;
}

int pst_bench_onnx_direct(struct pst_bench_onnx *m, uint64_t *ret_ns)
{
	const uint32_t n_in = m->spec->n_in;
	const uint64_t start = pst_bench_now_ns();
	void *status;

	status = ort.run(m->session, NULL, m->names,
			 (const void *const *)m->value, n_in, m->names + n_in,
			 m->spec->n_out, m->value + n_in);
	*ret_ns = pst_bench_now_ns() - start;
	return check(m, status);
}
