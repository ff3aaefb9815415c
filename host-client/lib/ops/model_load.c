/* SPDX-License-Identifier: MIT */
/* Loads a model: finds out what its file is. */
#include "host-client/lib/ops/model_load.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/ops/model.h"
#include "host-client/lib/plain/args.h"

/* As much as tells the formats apart. */
#define HEAD 9U

static bool ends_with(const char *s, const char *end)
{
	const size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/*
 * A ModelProto begins with its first field, ir_version (onnx.proto); a
 * safetensors file with a length below 4 GiB and '{'.
 */
static bool is_onnx(const struct pst_model_job *j, const uint8_t *head)
{
	static const uint8_t zeros[4];

	if (memcmp(head + 4, zeros, sizeof(zeros)) == 0 && head[8] == '{')
		return false;
	return head[0] == 0x08 || ends_with(j->args.path, ".onnx");
}

static int load(const struct pst_model_job *j, struct pst_model *ret,
		struct pst_error *err)
{
	uint8_t head[HEAD] = {0};
	const uint64_t n = j->size < sizeof(head) ? j->size : sizeof(head);
	int r = pst_model_read(j->fd, j->args.path, head, n, 0, err);

	if (r < 0)
		return r;
	if (is_onnx(j, head))
		return pst_model_load_staged(j, PST_WIRE_ONNX, ret, err);
	if (j->args.n_data || j->args.provider != PST_EP_AUTO)
		return pst_error_set(err, -EINVAL,
				     "%s is no ONNX file: other files and a "
				     "provider are for those",
				     j->args.path);
	if (j->args.flags & PST_MODEL_INSTALL)
		return pst_model_load_staged(j, PST_WIRE_SAFETENSORS, ret, err);
	return pst_model_load_safetensors(j, ret, err);
}

static int check(const struct pst_load_args *a, struct pst_error *err)
{
	int r = pst_model_name_check(a->name, err);

	if (r < 0)
		return r;
	if (!a->path)
		return pst_error_set(err, -EINVAL, "no model file was given");
	if (a->flags & ~PST_MODEL_INSTALL || a->reserved ||
	    a->provider > PST_EP_CUDA || (a->n_data && !a->data))
		return pst_error_set(err, -EINVAL,
				     "a member of struct pst_load_args has a "
				     "value that is unknown");
	return 0;
}

int pst_model_load_file(struct pst *c, const struct pst_load_args *args,
			uint64_t timeout_ns, struct pst_model *ret)
{
	static const struct pst_args_kind kind = {
		.init = "PST_LOAD_INIT",
		.size = sizeof(*args),
		.least = sizeof(*args),
	};
	struct pst_model_job j = {
		.c = c,
		.fd = -1,
		.deadline_ns = pst_deadline(pst_now_ns(), timeout_ns),
	};
	struct pst_error err = {0};
	struct pst_model m;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	if ((r = pst_args_take(&kind, args, &j.args, &err)) == 0 &&
	    (r = check(&j.args, &err)) == 0 &&
	    (r = pst_model_open_file(j.args.path, &j.fd, &j.size, &err)) == 0)
		r = load(&j, &m, &err);
	pst_close_fd(j.fd);
	if (!r && ret)
		*ret = m;
	return pst_fail(c, r, &err);
}

int pst_model_load(struct pst *c, const char *name, const char *path,
		   uint64_t timeout_ns, struct pst_model *ret)
{
	struct pst_load_args args = PST_LOAD_INIT;

	args.name = name;
	args.path = path;
	return pst_model_load_file(c, &args, timeout_ns, ret);
}
