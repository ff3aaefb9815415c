/* SPDX-License-Identifier: MIT */
/* Penstock: models with named tensors, such as ONNX files. The public
 * interface; penstock.h includes it, and has what is common to all calls. */
#ifndef PENSTOCK_RUN_H
#define PENSTOCK_RUN_H

#ifndef PENSTOCK_H
#error "include penstock.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Dimensions of a tensor at most. */
#define PST_MAX_RANK 8

/* Who computes a model. */
enum pst_ep {
	PST_EP_AUTO = 0, /* asked for: the best that the agent has */
	PST_EP_CPU = 1,
	PST_EP_CUDA = 2, /* asked for: no other */
};

#define PST_MODEL_INSTALL 1U

/*
 * A model file, and what becomes of it. path is a file of ONNX or of
 * penstock-models(7), told by their first bytes. Of an ONNX file whose weights
 * lie in files of their own, data has the paths of n_data such files, each
 * under the name that the model has for it; NULL with 0: the library looks for
 * them beside path.
 *
 * progress, or NULL, is called with arg and the bytes that were sent and are to
 * be sent; the last time when all were, while the agent makes the model ready.
 * Not 0 gives up: ECANCELED. It is called without a lock held.
 *
 * flags: PST_MODEL_INSTALL: the agent keeps the model over its own end, if its
 * owner allows it (allow_install, penstock-agent(8)), in the place of one of
 * the same name.
 */
struct pst_load_args {
	size_t size; /* sizeof(struct pst_load_args) */
	const char *name;
	const char *path;
	const char *const *data;
	uint32_t n_data;
	uint32_t provider; /* enum pst_ep */
	uint32_t flags;
	uint32_t reserved; /* 0 */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/*
 * As pst_model_load(), with all that can be said. The file goes through the
 * region in pieces of at most 256 KiB, so any free room will do. A client that
 * dies meanwhile leaves nothing.
 *
 * Errors: those of pst_model_load(); of an ONNX file EOPNOTSUPP (the agent has
 * no ONNX Runtime, the model needs what RUN has not, or the provider asked for
 * cannot be had; the sentence says why); EOPNOTSUPP (install: the agent does
 * not allow it), and ECANCELED.
 */
int pst_model_load_file(struct pst *c, const struct pst_load_args *l,
			uint64_t timeout_ns, struct pst_model *ret);

/* A tensor that a model takes or gives. */
struct pst_tensor_spec {
	const char *name;
	uint32_t dtype;            /* enum pst_dtype */
	uint32_t rank;             /* at most PST_MAX_RANK */
	int64_t dim[PST_MAX_RANK]; /* -1: any */
	/* Sizes of one name are equal within a call; NULL: it has none. */
	const char *dim_name[PST_MAX_RANK];
	uint64_t reserved[2];
};

/* What a model takes and gives, and how it is computed. Text is UTF-8 without
 * control characters, and the agent's: it is never NULL. */
struct pst_model_spec {
	struct pst_model model;
	const struct pst_tensor_spec *in, *out;
	uint32_t n_in, n_out;
	const char *format;   /* "onnx", "safetensors" */
	const char *provider; /* that computes it: "cpu", "cuda" */
	const char *runtime;  /* "ONNX Runtime 1.30.0" */
	const char *note;     /* why provider is not the best, or "" */
	const char *meta;     /* lines "key: value" of the file itself */
	uint32_t ready;       /* 0: it is loaded once more, calls wait */
	uint32_t wanted;      /* enum pst_ep, as asked for */
	/* CPUs that the agent and who computes the model may use; shared: one
	 * of them is for both, which costs a call about 10 us. */
	uint32_t n_cpus, shared;
	uint32_t threads;             /* that compute */
	uint32_t reserved0;           /* 0 */
	uint64_t load_ns;             /* until it was ready */
	uint64_t first_ns, second_ns; /* of the first runs; 0: none was tried */
	uint64_t run_ns;              /* about what one takes now */
	uint64_t n_runs;
	uint64_t copied; /* bytes of operands that were not used in place */
	uint64_t reserved[8];
};

/*
 * Describes the model that is loaded under a name. *ret is one piece of memory,
 * which the caller frees with free(). Blocks up to timeout_ns of the options.
 *
 * Errors: those of pst_model_open(), and EOPNOTSUPP (the agent is older).
 */
int pst_model_info(struct pst *c, const char *name,
		   struct pst_model_spec **ret);

#define PST_IO_IN_PLACE  1U
#define PST_IO_TOO_SMALL 2U

/*
 * A tensor of a call, packed in row-major order. It is named, or, with a name
 * of NULL, is the one of index in the model's inputs or outputs.
 *
 * An input: dtype (0: the model's), rank, dim and data say what it is; bytes is
 * 0, or what that takes. An output: data has room for bytes; rank, dim and
 * dtype are ignored. With data NULL the library allocates a buffer as
 * pst_alloc() does, stores it in data, and the caller frees it. After the call
 * an output's dtype, rank and dim are what it has, bytes are what it takes or,
 * where flags has PST_IO_TOO_SMALL, what it would. PST_IO_IN_PLACE: the model
 * wrote it there itself.
 *
 * An operand in a buffer of the connection, at a multiple of 64, is used in
 * place; so an output of one call can be an input of the next without a copy.
 * Others are copied through the region, which needs room for them. An output
 * overlaps no other operand.
 */
struct pst_io {
	size_t size; /* sizeof(struct pst_io), the same in all of a call */
	const char *name;
	void *data;
	uint64_t bytes;
	uint32_t index;
	uint32_t dtype; /* enum pst_dtype */
	uint32_t rank;
	uint32_t flags;
	int64_t dim[PST_MAX_RANK];
};

/* A call of a model. All its inputs have to be there; of its outputs those that
 * are wanted. */
struct pst_run_args {
	size_t size; /* sizeof(struct pst_run_args) */
	const struct pst_model_spec *model;
	const struct pst_io *in;
	struct pst_io *out;
	uint32_t n_in, n_out;
};

/*
 * Runs a model and waits at most timeout_ns. After ETIMEDOUT the agent ends the
 * run as soon as it can; buffers stay busy until then. done may be NULL.
 *
 * Errors: EINVAL (a tensor that is missing, there twice, of another type, rank
 * or size; the sentence names it), EMSGSIZE (an output has no room: its bytes
 * say how much it needs, and outputs are undefined; above a limit of the
 * agent), ENOENT (no such tensor; the model was unloaded), ESTALE (the model is
 * of an agent that is gone, or a buffer is), EFAULT (an operand leaves its
 * buffer, or is NULL), EIO (the model's run failed, or what computes it died),
 * ENOSPC, EMSGSIZE (no room in the region), and those of pst_gemm().
 */
int pst_run(struct pst *c, const struct pst_run_args *r, uint64_t timeout_ns,
	    struct pst_completion *done);

/*
 * Submits pst_run(). Operands lie in buffers of c at multiples of 64, outputs
 * with their data, else EFAULT. What r points to but the model is copied; out
 * is written, and has to stay valid, until the completion was collected. Leases
 * room in the region if there is none, and then blocks.
 */
int pst_submit_run(struct pst *c, const struct pst_run_args *r,
		   uint64_t user_data, uint64_t *ret_tag);

/* clang-format off */
#define PST_LOAD_INIT \
	{sizeof(struct pst_load_args), NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL}
#define PST_IO_INIT \
	{sizeof(struct pst_io), NULL, NULL, 0, 0, 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}}
#define PST_RUN_INIT {sizeof(struct pst_run_args), NULL, NULL, NULL, 0, 0}
/* clang-format on */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
