/* SPDX-License-Identifier: MIT */
/* penstock run: .npy files through a model with named tensors. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_model.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/files/tensorfile.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

#define DEFAULT_TIMEOUT_NS (600 * PST_NS_PER_S)
/* Inputs of a model at most, and outputs. */
#define MOST 64U
/* Elements of an output that are worth a line, or a place in the object. */
#define SHOWN 10U

enum {
	OPT_LOAD = PST_OPT_OWN,
	OPT_TIMEOUT,
};

/* What the options say, and what comes of it. */
struct job {
	const struct pst_cmd_ctx *ctx;
	const char *name;
	const char *load; /* a model file for this command alone, or NULL */
	uint64_t timeout_ns;
	char **inputs; /* NAME=FILE or NAME=@SHAPE:VALUE */
	uint32_t n_in;
	const char *outputs[MOST]; /* NAME=FILE, or FILE */
	uint32_t n_files;
	struct pst *c;
	struct pst_model_spec *m;
	struct pst_io in[MOST], out[MOST];
	void *result[MOST]; /* private copies */
	uint64_t call_ns;
	struct pst_completion done;
};

/* ---- Inputs ---- */

static const struct pst_tensor_spec *find(const struct pst_tensor_spec *t,
					  uint32_t n, const char *name,
					  size_t length)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (strlen(t[i].name) == length &&
		    memcmp(t[i].name, name, length) == 0)
			return &t[i];
	return NULL;
}

static void list_names(const struct pst_tensor_spec *t, uint32_t n, char *ret,
		       size_t size)
{
	size_t at = 0;
	uint32_t i;

	ret[0] = '\0';
	for (i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%s",
				       i ? ", " : "", t[i].name);
}

static int no_tensor(const struct job *j, bool in, const char *name,
		     size_t length)
{
	const struct pst_model_spec *m = j->m;
	char names[256];

	list_names(in ? m->in : m->out, in ? m->n_in : m->n_out, names,
		   sizeof(names));
	return pst_cmd_fail(j->ctx, "model %s has no %s \"%.*s\": %s", j->name,
			    in ? "input" : "output",
			    (int)(length < 80 ? length : 80), name, names);
}

/* "@2x1x128:0.5": that shape, all elements one number. */
static int make_input(const struct job *j, const char *text,
		      const struct pst_tensor_spec *t, struct pst_io *io)
{
	const char *p = text + 1;
	uint64_t elems = 1, i;
	double v = 0;
	char *end;

	io->dtype = t->dtype;
	while (*p && *p != ':') {
		if (io->rank == PST_MAX_RANK || *p < '0' || *p > '9')
			break;
		io->dim[io->rank] = (int64_t)strtoull(p, &end, 10);
		if (pst_mul_overflow(elems, (uint64_t)io->dim[io->rank],
				     &elems) ||
		    elems > (1ULL << 40))
			break;
		io->rank++;
		p = *end == 'x' && end[1] != ':' && end[1] ? end + 1 : end;
	}
	if (*p == ':')
		v = strtod(p + 1, &end);
	if ((*p && *p != ':') || (*p == ':' && (end == p + 1 || *end)))
		return pst_cmd_usage(j->ctx,
				     "%s: '%.80s' is not a shape and a number "
				     "such as @2x1x128:0.5, or @:7 of no "
				     "dimension",
				     t->name, text);
	io->bytes = elems * (io->dtype == PST_I8 ? 1 : 8);
	if (pst_alloc(j->c, io->bytes ? io->bytes : 1, &io->data) < 0)
		return pst_cmd_fail_call(j->ctx, j->c, -ENOSPC);
	for (i = 0; i < elems; i++)
		pst_tensor_put(io->data, io->dtype, i, v);
	io->bytes = 0;
	return PST_EXIT_OK;
}

static int read_input(struct job *j, const char *text, struct pst_io *io)
{
	const char *file = strchr(text, '=');
	const size_t length = file ? (size_t)(file - text) : 0;
	const struct pst_tensor_spec *t;
	struct pst_error err = {0};

	t = find(j->m->in, j->m->n_in, text, length);
	if (!t)
		return no_tensor(j, true, text, length);
	*io = (struct pst_io)PST_IO_INIT;
	io->name = t->name;
	if (file[1] == '@')
		return make_input(j, file + 1, t, io);
	if (pst_tensorfile_read(j->c, file + 1, io, &err) < 0)
		return pst_cmd_fail(j->ctx, "%s", err.text);
	/* numpy has no type for it. */
	if (t->dtype == PST_BF16 && io->dtype == PST_U16)
		io->dtype = PST_BF16;
	return PST_EXIT_OK;
}

/* ---- Outputs ---- */

/* The output that -o FILE or -o NAME=FILE means, and the file. */
static const struct pst_tensor_spec *output_of(const struct job *j, uint32_t i,
					       const char **ret_file)
{
	const struct pst_model_spec *m = j->m;
	const char *text = j->outputs[i], *is = strchr(text, '=');

	*ret_file = is ? is + 1 : text;
	if (!is)
		return i < m->n_out ? &m->out[i] : NULL;
	return find(m->out, m->n_out, text, (size_t)(is - text));
}

static int name_outputs(struct job *j)
{
	const struct pst_tensor_spec *t;
	const char *file;
	uint32_t i, k;

	for (i = 0; i < j->n_files; i++) {
		t = output_of(j, i, &file);
		if (!t)
			return no_tensor(j, false, j->outputs[i],
					 strcspn(j->outputs[i], "="));
		for (k = 0; k < i; k++)
			if (output_of(j, k, &file) == t)
				return pst_cmd_usage(j->ctx,
						     "output %s has two files",
						     t->name);
	}
	for (i = 0; i < j->m->n_out; i++) {
		j->out[i] = (struct pst_io)PST_IO_INIT;
		j->out[i].index = i;
	}
	return PST_EXIT_OK;
}

/* Private copies: what the guest could change no more. */
static int take_outputs(struct job *j)
{
	uint32_t i;
	int r;

	for (i = 0; i < j->m->n_out; i++) {
		j->result[i] = malloc(j->out[i].bytes + 1);
		if (!j->result[i])
			return pst_cmd_fail(j->ctx, "out of memory");
		r = j->out[i].bytes ? pst_take(j->c, j->result[i],
					       j->out[i].data, j->out[i].bytes)
				    : 0;
		if (r < 0)
			return pst_cmd_fail_call(j->ctx, j->c, r);
	}
	return PST_EXIT_OK;
}

static int write_outputs(const struct job *j)
{
	const struct pst_tensor_spec *t;
	struct pst_error err = {0};
	const char *file;
	uint32_t i, k;

	for (i = 0; i < j->n_files; i++) {
		t = output_of(j, i, &file);
		k = (uint32_t)(t - j->m->out);
		if (pst_tensorfile_write(file, &j->out[k], j->result[k], &err) <
		    0)
			return pst_cmd_fail(j->ctx, "%s", err.text);
	}
	return PST_EXIT_OK;
}

/* ---- What is said ---- */

static uint64_t elements(const struct pst_io *io)
{
	uint64_t n = 1;
	uint32_t i;

	for (i = 0; i < io->rank; i++)
		n *= (uint64_t)io->dim[i];
	return n;
}

static json_t *tensor_object(const char *name, const struct pst_io *io,
			     const void *data)
{
	const uint64_t n = elements(io);
	json_t *shape = json_array(), *values, *o;
	uint64_t i;

	for (i = 0; i < io->rank; i++)
		json_array_append_new(shape, json_integer(io->dim[i]));
	o = json_pack("{s:o, s:s, s:o}", "name", pst_cmd_text(name), "dtype",
		      pst_dtype_name(io->dtype), "shape", shape);
	if (!data || n > SHOWN)
		return o;
	values = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(values, pst_cmd_real(pst_tensor_get(
						      data, io->dtype, i)));
	json_object_set_new(o, "values", values);
	return o;
}

static json_t *result_object(const struct job *j)
{
	json_t *in = json_array(), *out = json_array();
	uint32_t i;

	for (i = 0; i < j->n_in; i++)
		json_array_append_new(
			in, tensor_object(j->in[i].name, &j->in[i], NULL));
	for (i = 0; i < j->m->n_out; i++)
		json_array_append_new(out,
				      tensor_object(j->m->out[i].name,
						    &j->out[i], j->result[i]));
	return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:f, s:f}", "endpoint",
			 pst_cmd_text(pst_cmd_endpoint(j->ctx)), "model",
			 j->name, "format", j->m->format, "provider",
			 j->m->provider, "inputs", in, "outputs", out,
			 "seconds", (double)j->call_ns / PST_NS_PER_S,
			 "compute_seconds",
			 (double)j->done.compute_ns / PST_NS_PER_S);
}

static void print_shape(const struct pst_io *io)
{
	uint32_t i;

	printf("%s ", pst_dtype_name(io->dtype));
	for (i = 0; i < io->rank; i++)
		printf("%s%" PRId64, i ? "x" : "", io->dim[i]);
	if (io->rank == 0)
		printf("of no dimension");
}

/* Few elements as they are, of many the least, the mean and the largest. */
static void print_values(const struct pst_io *io, const void *data)
{
	const uint64_t n = elements(io);
	double v, least = 0, most = 0, sum = 0;
	uint64_t i;

	for (i = 0; i < n; i++) {
		v = pst_tensor_get(data, io->dtype, i);
		if (n <= SHOWN)
			printf("%s%.6g", i ? " " : ": ", v);
		least = i == 0 || v < least ? v : least;
		most = i == 0 || v > most ? v : most;
		sum += v;
	}
	if (n > SHOWN)
		printf(": %.6g to %.6g, mean %.6g", least, most,
		       sum / (double)n);
}

static void print_result(const struct job *j)
{
	const char *file;
	uint32_t i;

	printf("model      %s, %s on %s\n", j->name, j->m->format,
	       j->m->provider);
	for (i = 0; i < j->n_in; i++) {
		printf("input      %s, ", j->in[i].name);
		print_shape(&j->in[i]);
		putchar('\n');
	}
	for (i = 0; i < j->m->n_out; i++) {
		printf("output     %s, ", j->m->out[i].name);
		print_shape(&j->out[i]);
		print_values(&j->out[i], j->result[i]);
		putchar('\n');
	}
	printf("time       %.6f s, of it %.6f s in the model\n",
	       (double)j->call_ns / PST_NS_PER_S,
	       (double)j->done.compute_ns / PST_NS_PER_S);
	for (i = 0; i < j->n_files; i++) {
		(void)output_of(j, i, &file);
		printf("written    %s\n", file);
	}
}

/* ---- The command ---- */

static int call(struct job *j)
{
	struct pst_run_args a = PST_RUN_INIT;
	uint64_t start;
	uint32_t i;
	int r;

	r = pst_model_info(j->c, j->name, &j->m);
	if (r < 0)
		return pst_cmd_fail_named(j->ctx, j->c, r);
	for (i = 0; i < j->n_in; i++) {
		r = read_input(j, j->inputs[i], &j->in[i]);
		if (r)
			return r;
	}
	r = name_outputs(j);
	if (r)
		return r;
	a.model = j->m;
	a.in = j->in;
	a.n_in = j->n_in;
	a.out = j->out;
	a.n_out = j->m->n_out;
	pst_cmd_progress(j->ctx, "the model runs");
	start = pst_now_ns();
	r = pst_run(j->c, &a, j->timeout_ns, &j->done);
	j->call_ns = pst_now_ns() - start;
	pst_cmd_progress(j->ctx, NULL);
	if (r < 0)
		return pst_cmd_fail_named(j->ctx, j->c, r);
	r = take_outputs(j);
	return r ? r : write_outputs(j);
}

static int run_job(struct job *j)
{
	struct pst_load_args l = PST_LOAD_INIT;
	uint32_t i;
	int r;

	r = pst_cmd_open(j->ctx, 0, &j->c);
	if (r)
		return r;
	l.name = j->name;
	l.path = j->load;
	r = j->load ? pst_cmd_model_load(j->ctx, j->c, &l, j->timeout_ns, NULL)
		    : 0;
	if (r == 0)
		r = call(j);
	else
		j->load = NULL;
	if (r == 0 && j->ctx->json)
		r = pst_cmd_print_json(j->ctx, result_object(j));
	else if (r == 0)
		print_result(j);
	if (j->load)
		(void)pst_model_unload(j->c, j->name);
	for (i = 0; i < MOST; i++)
		free(j->result[i]);
	free(j->m);
	pst_close(j->c);
	return r;
}

static bool read_opt(struct job *j, int opt)
{
	const char *is;

	switch (opt) {
	case 'o':
		if (j->n_files == MOST) {
			pst_cmd_usage(j->ctx, "more than %u outputs", MOST);
			return false;
		}
		is = strchr(optarg, '=');
		j->outputs[j->n_files++] = optarg;
		return pst_cmd_arg_output(j->ctx, is ? is + 1 : optarg, &is);
	case OPT_LOAD:
		j->load = optarg;
		return true;
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(j->ctx, "--timeout", optarg,
					    &j->timeout_ns);
	default:
		return true;
	}
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	static struct job j;
	uint32_t i;
	int opt;

	j.ctx = ctx;
	j.timeout_ns = DEFAULT_TIMEOUT_NS;
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!read_opt(&j, opt))
			return PST_EXIT_USAGE;
	j.name = argv[optind];
	if (!pst_cmd_arg_model(ctx, j.name))
		return PST_EXIT_USAGE;
	j.inputs = argv + optind + 1;
	j.n_in = (uint32_t)(argc - optind - 1);
	if (j.n_in > MOST)
		return pst_cmd_usage(ctx, "more than %u inputs", MOST);
	for (i = 0; i < j.n_in; i++)
		if (!strchr(j.inputs[i], '=') || !strchr(j.inputs[i], '=')[1])
			return pst_cmd_usage(ctx,
					     "'%.80s' is no INPUT=FILE.npy and "
					     "no INPUT=@SHAPE:NUMBER",
					     j.inputs[i]);
	return run_job(&j);
}

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "[NAME=]OUT.npy",
	 "where an output goes; without a name the first -o is\n"
	 "for the first output, and so on"},
	{OPT_LOAD, "load", "FILE",
	 "load FILE as MODEL for this command and unload it after"},
	{OPT_TIMEOUT, "timeout", "TIME", "give the run up after TIME [10m]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_run = {
	.name = "run",
	.args = "MODEL [INPUT=FILE.npy|INPUT=@SHAPE:NUMBER]...",
	.summary = "Run a model with named inputs on .npy files",
	.help = "Each input of the model is a file, or a shape all of whose "
		"elements are one\nnumber: state=@2x1x128:0, rate=@:16000 of "
		"no dimension. penstock model show\nlists inputs and outputs "
		"with their types and shapes.\n",
	.example = "penstock run net x=x.npy -o y.npy\n",
	.opts = opts,
	.min_args = 1,
	.max_args = PST_CMD_ANY,
	.run = run,
	.print_names = pst_cmd_model_names,
};
